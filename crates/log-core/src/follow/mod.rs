//! Followers: what is derived from the logs, in order, behind their appends.
//!
//! A [`Follower`] takes the committed entries of each log and keeps a cursor for each. [`Follow`] runs one:
//! it back-fills from the cursors, is woken by commits, and starts a log again from zero where its cursor
//! cannot be true or somebody asks for it. Everything a follower holds can be deleted: that costs time.

pub mod leaf_index;

mod pace;
mod runner;

pub use runner::{Follow, FollowerHandle};

use std::error::Error;
use std::sync::Arc;

use bytes::Bytes;
use merkle::{Hash, LeafIndex, TreeSize};
use storage::{Beside, StorageError};

use crate::Log;
use crate::read::{Access, ReadError, Snapshot};

/// Derives something from the entries of the logs.
///
/// One call runs at a time. The future of a call is dropped where it waits when the server stops. Work
/// that may wait for the disk or compute for long goes to [`base::tasks::blocking`].
pub trait Follower: Send + Sync + 'static {
    /// Its label in metrics and logs: one of a few fixed names.
    fn name(&self) -> &str;

    /// Whether it takes the entries of this log. The answer never changes.
    fn follows(&self, _log: &Log) -> bool {
        true
    }

    /// The entries of the log below this size are taken. Asked once for each log, and again after an error.
    fn cursor(&self, log: &Log) -> impl Future<Output = Result<TreeSize, FollowError>> + Send;

    /// Takes entries from the start of `step` on, at least one, moves the cursor behind the last, and
    /// answers the cursor. It may stop before the end of the step where that is too much at once.
    ///
    /// A crash may put the cursor back to any earlier value, so the same entries may come again: taking
    /// them twice must leave what taking them once does.
    fn apply(&self, step: Step) -> impl Future<Output = Result<TreeSize, FollowError>> + Send;

    /// Forgets all it holds of a log, and moves the cursor to zero. Works on what is damaged or gone.
    fn reset(&self, log: &Log) -> impl Future<Output = Result<(), FollowError>> + Send;
}

/// Why a follower has not taken entries. Each is tried again after a pause.
#[derive(Debug, thiserror::Error)]
pub enum FollowError {
    #[error("log cannot be read: {0}")]
    Read(#[from] ReadError),
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// `kind` says what it is in a few fixed words: each kind is logged once.
    #[error("{kind}: {source}")]
    Own { kind: &'static str, source: Box<dyn Error + Send + Sync> },
    /// A defect of the follower.
    #[error("cursor is {cursor} after entries from {start} to below {end}")]
    Astray { cursor: TreeSize, start: LeafIndex, end: TreeSize },
}

impl FollowError {
    fn kind(&self) -> &'static str {
        match self {
            Self::Read(_) => "read",
            Self::Storage(_) => "storage",
            Self::Own { kind, .. } => kind,
            Self::Astray { .. } => "astray",
        }
    }
}

/// Committed entries of one log for a follower to take. All that reads here may wait for the disk.
#[derive(Clone, Debug)]
pub struct Step {
    log: Log,
    /// The committed tree.
    tree: Arc<Snapshot>,
    start: LeafIndex,
    end: TreeSize,
}

impl Step {
    /// Whose entries they are.
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// The first one.
    pub fn start(&self) -> LeafIndex {
        self.start
    }

    /// They lie below this size.
    pub fn end(&self) -> TreeSize {
        self.end
    }

    /// The leaf hashes of all of them.
    pub fn leaves(&self) -> Result<Vec<Hash>, ReadError> {
        self.tree.leaves(self.start.get()..self.end.get(), Access::Disk)
    }

    /// Entries from `from` on, each compared with its leaf hash: as many as `bytes_max` allows, but at least
    /// one.
    pub fn entries(&self, from: LeafIndex, bytes_max: usize) -> Result<Vec<Bytes>, ReadError> {
        let left = self.end.get().saturating_sub(from.get());
        let limit = usize::try_from(left).unwrap_or(usize::MAX);
        Ok(self.tree.entries(from, limit, bytes_max, Access::Disk)?.0)
    }

    /// What is stored beside an entry. Of what was erased there is a tombstone, whenever the entry is
    /// taken.
    pub fn attachments(&self, index: LeafIndex) -> Result<Vec<Beside>, ReadError> {
        self.tree.attachments(index, Access::Disk)
    }
}
