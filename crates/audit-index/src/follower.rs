//! The follower that fills the indexes of all audit logs.

use std::sync::Arc;

use base::tasks::blocking;
use log_core::Log;
use log_core::follow::{FollowError, Follower, Step};
use merkle::TreeSize;
use storage::LogKind;

use crate::part::PartError;
use crate::parts::IndexError;
use crate::search::{AuditIndexes, Trouble};

/// Fills [`AuditIndexes`].
///
/// The cursor that it answers counts events that it took note of: fewer than 512 of them are not in
/// a part yet, and searches read them from the log. After a start it is what the parts hold.
#[derive(Debug)]
pub struct AuditFollower {
    indexes: Arc<AuditIndexes>,
}

impl AuditFollower {
    /// Fills these indexes.
    pub fn new(indexes: Arc<AuditIndexes>) -> Self {
        Self { indexes }
    }

    /// Runs what may wait for the disk, and notes whether the index of the log goes on.
    async fn run<T: Send + 'static>(
        &self,
        log: &Log,
        work: impl FnOnce(&AuditIndexes, &Log) -> Result<T, IndexError> + Send + 'static,
    ) -> Result<T, FollowError> {
        let (indexes, log) = (Arc::clone(&self.indexes), log.clone());
        let run = move || {
            let outcome = work(&indexes, &log);
            indexes.note(&log, outcome.as_ref().err().and_then(trouble));
            outcome.map_err(follow_error)
        };
        blocking(run).await
    }
}

impl Follower for AuditFollower {
    fn name(&self) -> &'static str {
        "audit_index"
    }

    fn follows(&self, log: &Log) -> bool {
        log.record().kind == LogKind::Audit
    }

    async fn cursor(&self, log: &Log) -> Result<TreeSize, FollowError> {
        let cursor = self.run(log, |indexes, log| indexes.of(log).cursor(log)).await?;
        Ok(tree_size(cursor))
    }

    async fn apply(&self, step: Step) -> Result<TreeSize, FollowError> {
        let (start, end) = (step.start().get(), step.end().get());
        let taken = self.run(step.log(), move |indexes, log| indexes.of(log).take(log, start, end));
        Ok(tree_size(taken.await?))
    }

    async fn reset(&self, log: &Log) -> Result<(), FollowError> {
        self.run(log, |indexes, log| indexes.of(log).reset()).await
    }
}

fn tree_size(size: u64) -> TreeSize {
    TreeSize::new(size).expect("an index covers no more events than a log has")
}

fn trouble(error: &IndexError) -> Option<Trouble> {
    match error {
        IndexError::Full => Some(Trouble::Full),
        IndexError::Disk(_) => Some(Trouble::Disk),
        IndexError::Part(_) => Some(Trouble::Damaged),
        // The follower goes back at once.
        IndexError::Gap { .. } => None,
    }
}

fn follow_error(error: IndexError) -> FollowError {
    let kind = match error {
        IndexError::Part(PartError::Storage(error)) => return error.into(),
        IndexError::Part(_) => "part",
        IndexError::Disk(_) => "disk",
        IndexError::Full => "full",
        IndexError::Gap { .. } => "gap",
    };
    FollowError::Own { kind, source: error.into() }
}
