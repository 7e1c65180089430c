//! Erasing: what lies beside entries gives way to tombstones, and its bytes leave the store's files.
//!
//! 1. Look: what is kept of the targets, and what was erased before.
//! 2. Commit the leaf that states the erasure. **That is the commit point**: the tombstones, the
//!    deduplication rows without their digests, and the note that files must be purged are part of it.
//!    If we crash before it, nothing is erased and nothing says so.
//! 3. Purge the files. If we crash before that has ended, the next start does it.
//!
//! The log knows an attachment by its kind alone. Which kinds an event has, and what the leaf says of
//! the erasure, is its caller's to know.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use base::tasks::blocking;
use merkle::{LeafIndex, TreeSize};
use storage::{
    Beside, DedupKey, DedupRow, EraseTarget, Erasure, LogId, StorageError, Store, Unpurged,
};
use tokio::sync::{Mutex, OwnedMutexGuard};

use crate::append::Append;
use crate::error::EraseError;
use crate::types::{NewLeaf, Repeats, StampedLeaf};

/// The erasing of one log. Cloning it is cheap.
#[derive(Clone)]
pub(crate) struct Eraser {
    store: Arc<dyn Store>,
    append: Append,
    /// Held from the look to the purge, so that nothing is erased twice.
    one_at_a_time: Arc<Mutex<()>>,
}

impl std::fmt::Debug for Eraser {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Eraser").field("append", &self.append).finish_non_exhaustive()
    }
}

/// Attachments to be erased, by entry and kind.
pub type Targets = BTreeMap<LeafIndex, BTreeSet<u8>>;

/// An attachment that was erased before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ErasedBefore {
    /// Its entry.
    pub index: LeafIndex,
    /// Its kind.
    pub kind: u8,
    /// When, in nanoseconds since the Unix epoch.
    pub time_ns: u64,
    /// The entry that states the erasure.
    pub by: LeafIndex,
}

/// An erasure that is about to be committed. No other one of this log begins while it is held.
#[derive(Debug)]
pub struct Erasing {
    eraser: Eraser,
    _one_at_a_time: OwnedMutexGuard<()>,
    targets: Vec<EraseTarget>,
    before: Vec<ErasedBefore>,
}

impl Eraser {
    pub(crate) fn new(store: Arc<dyn Store>, append: Append) -> Self {
        Self { store, append, one_at_a_time: Arc::default() }
    }

    /// Waits for its turn, and looks at the targets.
    pub(crate) async fn begin(&self, targets: Targets) -> Result<Erasing, EraseError> {
        check(&targets, self.append.tree().load().head.size)?;
        let one_at_a_time = Arc::clone(&self.one_at_a_time).lock_owned().await;
        let (store, log) = (Arc::clone(&self.store), self.append.record().id);
        let looked = blocking(move || look(&*store, log, &targets)).await;
        let (targets, before) = looked?;
        let eraser = self.clone();
        Ok(Erasing { eraser, _one_at_a_time: one_at_a_time, targets, before })
    }

    async fn purge(&self, unpurged: Unpurged) -> Result<(), EraseError> {
        let (store, by) = (Arc::clone(&self.store), unpurged.by);
        let purged = blocking(move || store.purge(&unpurged)).await;
        purged.map_err(|source| EraseError::NotPurged { by, source: Arc::new(source) })
    }
}

impl Erasing {
    /// What is kept so far and will be erased, by entry.
    pub fn targets(&self) -> &[EraseTarget] {
        &self.targets
    }

    /// What was erased before.
    pub fn before(&self) -> &[ErasedBefore] {
        &self.before
    }

    /// Appends the leaf that states the erasure and erases in the same commit, then purges the store's
    /// files, and returns where the leaf stands.
    ///
    /// The leaf must not be that of an event that the log has.
    ///
    /// # Errors
    /// [`EraseError::NotPurged`] means that all of it is committed.
    pub async fn commit(self, leaf: NewLeaf) -> Result<StampedLeaf, EraseError> {
        let Self { eraser, targets, .. } = &self;
        if targets.is_empty() {
            return Err(EraseError::NoTargets);
        }
        let entries = targets.iter().map(|target| target.index).collect();
        let committed = eraser.append.append_erasing(leaf, targets.clone()).await?;
        let stated = committed.outcomes.into_iter().next().ok_or(EraseError::NoTargets)?;
        let stated = stated.map_err(EraseError::Refused)?;
        if stated.repeats != Repeats::No {
            return Err(EraseError::Repeated { index: stated.index });
        }
        let (log, by) = (eraser.append.record().id, stated.index);
        eraser.purge(Unpurged { log, by, entries }).await?;
        Ok(stated)
    }

    /// Finishes the erasures before this one, as far as files were left. Does nothing where none were.
    pub async fn finish(self) -> Result<(), EraseError> {
        let (store, log) = (Arc::clone(&self.eraser.store), self.eraser.append.record().id);
        let left = blocking(move || store.unpurged()).await?;
        for unpurged in left.into_iter().filter(|left| left.log == log) {
            self.eraser.purge(unpurged).await?;
        }
        Ok(())
    }
}

/// Finishes what an earlier process left: called before anything is served. Trouble with it keeps no
/// server from its work: what cannot be purged is left to the next start, or to the next erasing.
pub(crate) fn finish_all(store: &dyn Store) {
    let unpurged = store.unpurged().unwrap_or_else(|error| {
        tracing::error!(%error, "erasures cannot be finished: files may still hold erased bytes");
        Vec::new()
    });
    for unpurged in unpurged {
        let (log, by) = (unpurged.log, unpurged.by.get());
        match store.purge(&unpurged) {
            Ok(()) => tracing::info!(%log, by, "an erasure is finished"),
            Err(error) => tracing::error!(%log, by, %error, "files may still hold erased bytes"),
        }
    }
}

fn check(targets: &Targets, size: TreeSize) -> Result<(), EraseError> {
    if targets.values().all(BTreeSet::is_empty) {
        return Err(EraseError::NoTargets);
    }
    if targets.len() > Erasure::TARGETS_MAX {
        return Err(EraseError::TooManyTargets { targets: targets.len() });
    }
    match targets.keys().find(|index| !size.contains(**index)) {
        Some(index) => Err(EraseError::BeyondSize { index: *index, size }),
        None => Ok(()),
    }
}

type Looked = (Vec<EraseTarget>, Vec<ErasedBefore>);

/// What is kept of the targets, and what was erased before. Erasing alone changes either.
fn look(store: &dyn Store, log: LogId, targets: &Targets) -> Result<Looked, EraseError> {
    let (mut kept, mut before) = (Vec::new(), Vec::new());
    for (&index, kinds) in targets {
        let rows = store.attachments(log, index)?;
        let mut left = Vec::new();
        for &kind in kinds {
            match rows.iter().find(|row| row.kind() == kind) {
                Some(Beside::Kept(_)) => left.push(kind),
                Some(&Beside::Erased { time_ns, by, .. }) => {
                    before.push(ErasedBefore { index, kind, time_ns, by });
                }
                None => return Err(EraseError::NotThere { index, kind }),
            }
        }
        if !left.is_empty() {
            let once = once(store, log, index)?;
            kept.push(EraseTarget { index, kinds: left, once });
        }
    }
    Ok((kept, before))
}

/// An entry's deduplication row without its digest, if it has one.
fn once(
    store: &dyn Store,
    log: LogId,
    index: LeafIndex,
) -> Result<Option<(storage::DedupId, DedupRow)>, StorageError> {
    let entry = store.entries(log, index, 1, 0)?.pop();
    let Some(id) = entry.and_then(|entry| entry.dedup.as_ref().map(DedupKey::id)) else {
        return Ok(None);
    };
    let row = store.dedup(log, &[id])?.pop().flatten();
    let own = row.filter(|row| row.index == index && row.digest.is_some());
    Ok(own.map(|row| (id, DedupRow { digest: None, ..row })))
}
