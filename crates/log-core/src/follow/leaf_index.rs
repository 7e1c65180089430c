//! The follower that fills the derived leaf-hash index, for all logs, in one task.
//!
//! Look-ups scan what is not indexed yet, so the index may lag and is written without a sync: it yields
//! to appends. While a log takes entries faster than the busy rate, only that many leaves are indexed in
//! a second; once it is quieter, the index catches up in large steps.

use std::sync::Arc;
use std::time::Duration;

use base::clock::Clock;
use merkle::{LeafIndex, TreeSize};

use crate::read::{Access, ReadError, Reads};
use crate::{Log, Registry};

/// How often the logs are looked at.
const TICK: Duration = Duration::from_millis(100);
/// Leaves indexed in one step of a quiet log.
const STEP_LEAVES_MAX: u64 = 16_384;
/// Steps of one log before the next one has its turn.
const STEPS_MAX: usize = 16;
/// A log that grew by more leaves than this since the last look is busy.
const BUSY_LEAVES: u64 = 2_000;

/// Indexes until it is dropped. Errors are logged and tried again.
pub async fn follow(registry: Registry, reads: Arc<Reads>, clock: Arc<dyn Clock>, busy_rate: u64) {
    let mut sizes = std::collections::BTreeMap::new();
    let busy_step = busy_rate / 10;
    loop {
        clock.sleep(TICK).await;
        for log in registry.list(None, usize::MAX) {
            let size = log.tree().head.size.get();
            let before = sizes.insert(log.id(), size).unwrap_or(size);
            let busy = size - before.min(size) > BUSY_LEAVES;
            let (step, steps) = if busy { (busy_step, 1) } else { (STEP_LEAVES_MAX, STEPS_MAX) };
            if let Err(error) = catch_up(&log, &reads, step, steps).await {
                tracing::warn!(log = %log.name(), %error, "the leaf-hash index is not up to date");
            }
        }
    }
}

async fn catch_up(log: &Log, reads: &Reads, step: u64, steps: usize) -> Result<(), ReadError> {
    for _ in 0..steps {
        // Committed entries only, and only where there is something to do: an idle log costs a look.
        let tree = log.tree();
        if log.is_read_only() || step == 0 || is_known_complete(log, reads, tree.head.size) {
            return Ok(());
        }
        let snapshot = reads.committed(log.id(), tree)?;
        let (id, engine) = (log.id(), Arc::clone(reads.engine()));
        let done = Reads::run(&snapshot, move |tree, access| {
            if access == Access::Memory {
                return Err(ReadError::NeedsDisk);
            }
            let from = engine.leaf_indexed_to(id)?.get();
            let to = tree.size().get().min(from.saturating_add(step));
            if from >= to {
                return Ok(true);
            }
            let leaves = tree.leaves(from..to, access)?;
            let from = LeafIndex::new(from).map_err(|_| ReadError::BadIndexes)?;
            engine.leaf_index_put(id, from, &leaves)?;
            Ok(to == tree.size().get())
        });
        if done.await? {
            return Ok(());
        }
    }
    Ok(())
}

/// Whether the index is known to reach `size`, at the cost of one read in memory or one point read.
fn is_known_complete(log: &Log, reads: &Reads, size: TreeSize) -> bool {
    reads.engine().leaf_indexed_to(log.id()).is_ok_and(|indexed| indexed >= size)
}
