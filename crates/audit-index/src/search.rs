//! [`AuditIndexes`]: the indexes of all audit logs of a server, and pages of what is found.

mod page;

pub use page::{COUNT_MAX, Count, Page};
pub(crate) use page::{IndexTimes, index_times, range, tree_size};

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use log_core::Log;
use log_core::follow::FollowerHandle;
use merkle::LeafIndex;
use storage::{LogId, LogName, StorageError};

use crate::disk::{Disk, FileSystem};
use crate::pack;
use crate::part::PartError;
use crate::parts::{IndexError, LogIndex, Shared, View};

/// Where indexes lie, and what they may take.
#[derive(Clone)]
pub struct IndexOptions {
    /// The folder of the indexes: `DATA/index`. Each log has one in it.
    pub root: PathBuf,
    /// Bytes of parts that are kept in memory, over all logs.
    pub cache_bytes: usize,
    /// An index does not grow while fewer bytes of its disk are free: they are the log's.
    pub free_bytes_min: u64,
    /// Events that one search reads from the log at most, where the index does not hold them. A page that
    /// ends there says where to go on.
    pub scan_max: u64,
    /// How the folder is written.
    pub disk: Arc<dyn Disk>,
}

impl IndexOptions {
    /// Indexes below a folder, with 128 MiB of parts in memory, 512 MiB of the disk left free, and
    /// 100,000 events that a search reads from the log.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self {
            root: root.into(),
            cache_bytes: 128 * 1024 * 1024,
            free_bytes_min: 512 * 1024 * 1024,
            scan_max: 100_000,
            disk: Arc::new(FileSystem),
        }
    }
}

impl fmt::Debug for IndexOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IndexOptions").field("root", &self.root).finish_non_exhaustive()
    }
}

/// Why the index of a log does not keep up. Searches are right all the same: they read the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// Too little of the disk is free.
    #[error("the search index stands still: its disk is nearly full")]
    Full,
    /// The disk refuses.
    #[error("the search index stands still: its folder cannot be written")]
    Disk,
    /// It cannot be read, and is built anew.
    #[error("the search index is damaged and is built anew")]
    Damaged,
}

/// Why a search has no answer.
#[derive(Debug, thiserror::Error)]
pub enum SearchError {
    /// Fix the request: the cursor is not one of this log.
    #[error("the cursor is not one of this log")]
    Cursor,
    /// Try again later: the index has to catch up first.
    #[error("{events} events are not in the search index yet, more than are counted without it")]
    Behind {
        /// How many.
        events: u64,
    },
    /// The log cannot be read.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// The search indexes of the audit logs of a server, each opened when it is first asked for.
pub struct AuditIndexes {
    root: PathBuf,
    shared: Arc<Shared>,
    scan_max: u64,
    logs: Mutex<HashMap<LogId, Arc<LogIndex>>>,
    /// Logs whose index does not go on.
    troubles: Mutex<BTreeMap<LogName, Trouble>>,
    /// Who fills them.
    follower: OnceLock<FollowerHandle>,
}

impl fmt::Debug for AuditIndexes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuditIndexes").field("root", &self.root).finish_non_exhaustive()
    }
}

impl AuditIndexes {
    /// Opens nothing yet.
    pub fn new(options: IndexOptions) -> Self {
        let IndexOptions { root, cache_bytes, free_bytes_min, scan_max, disk } = options;
        let shared = Arc::new(Shared::new(pack::blocks(cache_bytes), disk, free_bytes_min));
        Self {
            root,
            shared,
            scan_max: scan_max.max(1),
            logs: Mutex::default(),
            troubles: Mutex::default(),
            follower: OnceLock::new(),
        }
    }

    /// Tells who fills the indexes, so that a damaged one is filled anew at once, and not when the next event
    /// arrives. Once.
    pub fn filled_by(&self, follower: FollowerHandle) {
        // A second one would be the same.
        let _again = self.follower.set(follower);
    }

    /// The logs whose index does not keep up, and why.
    pub fn troubles(&self) -> Vec<(LogName, Trouble)> {
        lock(&self.troubles).iter().map(|(name, trouble)| (name.clone(), *trouble)).collect()
    }

    /// Makes the index of these events anew from what is still stored: once it returns, the folder holds
    /// nothing of what was erased before the call. Doing it again finishes what a crash cut short.
    /// Where that cannot be done the index is dropped, which leaves nothing either.
    pub fn erase(&self, log: &Log, indexes: &[LeafIndex]) -> Result<(), EraseError> {
        let indexes: Vec<u64> = indexes.iter().map(|index| index.get()).collect();
        let index = self.of(log);
        let Err(error) = index.renew(log, &indexes) else { return Ok(()) };
        tracing::warn!(log = %log.name(), %error, "a search index is dropped, because it cannot be renewed");
        index.reset()?;
        self.fill(log);
        Ok(())
    }

    /// The index of a log.
    pub(crate) fn of(&self, log: &Log) -> Arc<LogIndex> {
        let mut logs = lock(&self.logs);
        let open = || Arc::new(LogIndex::new(&self.root, log, Arc::clone(&self.shared)));
        Arc::clone(logs.entry(log.id()).or_insert_with(open))
    }

    pub(crate) fn scan_max(&self) -> u64 {
        self.scan_max
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
    }

    /// What there is to search in; nothing where the folder cannot be read.
    pub(crate) fn view(&self, log: &Log) -> Result<View, SearchError> {
        match self.of(log).view(log) {
            Ok(view) => Ok(view),
            Err(IndexError::Part(PartError::Storage(error))) => Err(error.into()),
            Err(error) => {
                tracing::warn!(log = %log.name(), %error, "a search goes without its index");
                Ok(View::default())
            }
        }
    }

    /// Notes whether the index of a log goes on.
    pub(crate) fn note(&self, log: &Log, trouble: Option<Trouble>) {
        let mut troubles = lock(&self.troubles);
        match trouble {
            Some(trouble) => drop(troubles.insert(log.name().clone(), trouble)),
            None => drop(troubles.remove(log.name())),
        }
    }

    /// A part is damaged: the index is used no more, and is filled anew.
    pub(crate) fn abandon(&self, log: &Log, error: &PartError) {
        tracing::warn!(log = %log.name(), %error, "a search index is damaged and is built anew");
        self.note(log, Some(Trouble::Damaged));
        self.of(log).abandon();
        self.fill(log);
    }

    fn fill(&self, log: &Log) {
        if let Some(follower) = self.follower.get() {
            follower.rebuild(log);
        }
    }
}

/// Why erased bytes may still be in the folder of an index.
#[derive(Debug, thiserror::Error)]
#[error("the search index cannot be rid of what was erased: {0}")]
pub struct EraseError(#[from] Box<dyn std::error::Error + Send + Sync>);

impl From<IndexError> for EraseError {
    fn from(error: IndexError) -> Self {
        Self(Box::new(error))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
