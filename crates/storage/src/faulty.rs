//! An engine that fails when a test says so.
//!
//! Faults come in pairs, because a failed synced write comes in two forms and callers must be right in
//! both: the data are lost, or they are found at the next start although the write failed. A restart is
//! [`FaultyEngine::restart`]: the same store, a process that knows nothing.

use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use merkle::tile::TileCoord;
use merkle::{Hash, LeafIndex, TreeSize};

use super::conformance::{assert_holds, commit};
use super::testing::{Planner, entries};
use super::{
    ArchivePosition, ArchivedCheckpoint, Beside, CommitOutcome, DedupId, DedupRow, Engine, Erase,
    FullTile, LeafCandidates, LeafIndexStore, LogCommit, LogId, LogRecord, ProducerId, ProducerRow,
    StorageError, Store, StoredEntry, StoredHead, Unpurged,
};

/// How a commit fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Before the write is issued: [`CommitOutcome::NotCommitted`], and later commits may succeed.
    NotIssued,
    /// [`CommitOutcome::Ambiguous`], and the data are lost.
    Lost,
    /// [`CommitOutcome::Ambiguous`], and the data are there after a restart.
    Persisted,
}

impl Fault {
    /// All faults, for tests that run over each of them.
    pub const ALL: [Self; 3] = [Self::NotIssued, Self::Lost, Self::Persisted];

    const fn point(self) -> &'static str {
        match self {
            Self::NotIssued => "commit, before the write",
            Self::Lost => "commit, not persisted",
            Self::Persisted => "commit, persisted",
        }
    }

    const fn point_of_purge(self) -> &'static str {
        match self {
            Self::NotIssued | Self::Lost => "purge, not persisted",
            Self::Persisted => "purge, persisted",
        }
    }
}

/// An engine around another, with faults that a test sets.
pub struct FaultyEngine {
    inner: Arc<dyn Store>,
    /// Set by the test, read by calls.
    plan: Mutex<Plan>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Plan {
    /// The fault and how many commits succeed before it.
    commit: Option<(Fault, u64)>,
    /// How the next purging fails.
    purge: Option<Fault>,
    /// A sync that blocks: commits wait in it.
    blocked: bool,
    /// Commits that wait in a blocked sync now.
    waiting: u64,
    /// Commits called so far, those that failed included.
    commits: u64,
    /// Whether reads fail.
    reads_fail: bool,
    /// Reads called so far, and writes of the leaf-hash index: those that failed included.
    reads: u64,
    /// What `free_bytes` answers, if set.
    free_bytes: Option<u64>,
    poisoned: bool,
}

impl fmt::Debug for FaultyEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FaultyEngine").field("plan", &*self.plan()).finish_non_exhaustive()
    }
}

impl FaultyEngine {
    /// Wraps an engine; no fault is set.
    pub fn new(inner: Arc<dyn Store>) -> Self {
        Self { inner, plan: Mutex::default(), changed: Condvar::new() }
    }

    /// The same store as a new process would find it.
    #[must_use]
    pub fn restart(&self) -> Self {
        Self::new(Arc::clone(&self.inner))
    }

    /// Lets `after` commits succeed and fails the next one.
    pub fn fail_commit(&self, fault: Fault, after: u64) {
        self.plan().commit = Some((fault, after));
    }

    /// Fails the next purging: before it, or after it.
    pub fn fail_purge(&self, fault: Fault) {
        self.plan().purge = Some(fault);
    }

    /// From now on a commit waits in its sync, before anything of it is visible or durable.
    pub fn block_sync(&self) {
        self.plan().blocked = true;
    }

    /// Lets blocked commits go on.
    pub fn release_sync(&self) {
        self.plan().blocked = false;
        self.changed.notify_all();
    }

    /// Returns once a commit waits in a blocked sync.
    pub fn wait_until_blocked(&self) {
        let plan = self.plan();
        let waited = self.changed.wait_while(plan, |plan| plan.waiting == 0);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }

    /// Whether reads fail from now on, and writes of the leaf-hash index.
    pub fn fail_reads(&self, fail: bool) {
        self.plan().reads_fail = fail;
    }

    /// What `free_bytes` answers from now on; `None` asks the wrapped engine.
    pub fn set_free_bytes(&self, bytes: Option<u64>) {
        self.plan().free_bytes = bytes;
    }

    /// Commits called so far, those that failed included.
    pub fn commits(&self) -> u64 {
        self.plan().commits
    }

    /// Reads called so far, and writes of the leaf-hash index: those that failed included.
    pub fn reads(&self) -> u64 {
        self.plan().reads
    }

    fn plan(&self) -> MutexGuard<'_, Plan> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn reading(&self) -> Result<&dyn Store, StorageError> {
        let mut plan = self.plan();
        plan.reads += 1;
        if plan.reads_fail {
            Err(StorageError::Injected { point: "read" })
        } else {
            Ok(&*self.inner)
        }
    }

    /// Waits while the sync is blocked, then takes the fault that is due.
    fn sync(&self) -> Option<Fault> {
        let mut plan = self.plan();
        plan.waiting += 1;
        self.changed.notify_all();
        let waited = self.changed.wait_while(plan, |plan| plan.blocked);
        plan = waited.unwrap_or_else(PoisonError::into_inner);
        plan.waiting -= 1;
        match &mut plan.commit {
            None => None,
            Some((fault, 0)) => {
                let fault = *fault;
                plan.commit = None;
                plan.poisoned = fault != Fault::NotIssued;
                Some(fault)
            }
            Some((_, after)) => {
                *after -= 1;
                None
            }
        }
    }
}

impl Engine for FaultyEngine {
    fn commit(&self, batch: &[LogCommit]) -> CommitOutcome {
        {
            let mut plan = self.plan();
            plan.commits += 1;
            if plan.poisoned {
                return CommitOutcome::NotCommitted(StorageError::Poisoned);
            }
        }
        let Some(fault) = self.sync() else {
            return self.inner.commit(batch);
        };
        let error = StorageError::Injected { point: fault.point() };
        match fault {
            Fault::NotIssued => CommitOutcome::NotCommitted(error),
            Fault::Lost => CommitOutcome::Ambiguous(error),
            Fault::Persisted => match self.inner.commit(batch) {
                CommitOutcome::Committed => CommitOutcome::Ambiguous(error),
                refused => refused,
            },
        }
    }

    fn head(&self, log: LogId) -> Result<Option<StoredHead>, StorageError> {
        self.reading()?.head(log)
    }

    fn logs(&self) -> Result<Vec<LogRecord>, StorageError> {
        self.reading()?.logs()
    }

    fn entries(
        &self,
        log: LogId,
        start: LeafIndex,
        limit: usize,
        bytes_max: usize,
    ) -> Result<Vec<StoredEntry>, StorageError> {
        self.reading()?.entries(log, start, limit, bytes_max)
    }

    fn attachments(&self, log: LogId, index: LeafIndex) -> Result<Vec<Beside>, StorageError> {
        self.reading()?.attachments(log, index)
    }

    fn tile(&self, log: LogId, coord: TileCoord) -> Result<Option<FullTile>, StorageError> {
        self.reading()?.tile(log, coord)
    }

    fn tile_at_hand(&self, log: LogId, coord: TileCoord) -> Result<Option<FullTile>, StorageError> {
        self.reading()?.tile_at_hand(log, coord)
    }

    fn dedup(&self, log: LogId, ids: &[DedupId]) -> Result<Vec<Option<DedupRow>>, StorageError> {
        self.reading()?.dedup(log, ids)
    }

    fn producer(&self, log: LogId, id: &ProducerId) -> Result<Option<ProducerRow>, StorageError> {
        self.reading()?.producer(log, id)
    }

    fn checkpoints(
        &self,
        log: LogId,
        from_size: TreeSize,
        after: Option<ArchivePosition>,
        limit: usize,
    ) -> Result<Vec<ArchivedCheckpoint>, StorageError> {
        self.reading()?.checkpoints(log, from_size, after, limit)
    }

    fn free_bytes(&self) -> Result<u64, StorageError> {
        let set = self.plan().free_bytes;
        set.map_or_else(|| self.inner.free_bytes(), Ok)
    }

    fn flush(&self) -> Result<(), StorageError> {
        self.inner.flush()
    }
}

impl LeafIndexStore for FaultyEngine {
    fn leaf_index_put(
        &self,
        log: LogId,
        from: LeafIndex,
        leaves: &[Hash],
    ) -> Result<(), StorageError> {
        self.reading()?.leaf_index_put(log, from, leaves)
    }

    fn leaf_index_get(
        &self,
        log: LogId,
        leaf: &Hash,
        limit: usize,
    ) -> Result<LeafCandidates, StorageError> {
        self.reading()?.leaf_index_get(log, leaf, limit)
    }

    fn leaf_indexed_to(&self, log: LogId) -> Result<TreeSize, StorageError> {
        self.reading()?.leaf_indexed_to(log)
    }

    fn leaf_index_forget(&self, log: LogId) -> Result<(), StorageError> {
        self.reading()?.leaf_index_forget(log)
    }
}

impl Erase for FaultyEngine {
    fn unpurged(&self) -> Result<Vec<Unpurged>, StorageError> {
        self.reading()?.unpurged()
    }

    fn purge(&self, erasure: &Unpurged) -> Result<(), StorageError> {
        let fault = self.plan().purge.take();
        let Some(fault) = fault else { return self.inner.purge(erasure) };
        if fault == Fault::Persisted {
            self.inner.purge(erasure)?;
        }
        Err(StorageError::Injected { point: fault.point_of_purge() })
    }
}

/// Asserts what a fault in a commit leaves: the answer, the data after a restart, and whether the
/// same process may go on.
///
/// # Panics
/// If one of the three is not as the fault should leave it.
pub fn assert_fault_leaves_what_it_says(fault: Fault, inner: Arc<dyn Store>) {
    let engine = FaultyEngine::new(inner);
    let mut planner = Planner::new(1);
    commit(&engine, &[planner.create()]);
    engine.fail_commit(fault, 1);
    commit(&engine, &[planner.append(entries(0, 5))]);
    let before = planner.clone();
    let outcome = engine.commit(&[planner.append(entries(5, 5))]);
    let next = engine.commit(&[before.clone().append(entries(5, 1))]);
    let found = engine.restart();
    match fault {
        Fault::NotIssued => {
            assert!(matches!(outcome, CommitOutcome::NotCommitted(_)));
            assert!(matches!(next, CommitOutcome::Committed));
        }
        Fault::Lost => {
            assert!(matches!(outcome, CommitOutcome::Ambiguous(_)));
            assert!(matches!(next, CommitOutcome::NotCommitted(StorageError::Poisoned)));
            assert_holds(&found, &before, &entries(0, 5));
        }
        Fault::Persisted => {
            assert!(matches!(outcome, CommitOutcome::Ambiguous(_)));
            assert!(matches!(next, CommitOutcome::NotCommitted(StorageError::Poisoned)));
            assert_holds(&found, &planner, &entries(0, 10));
        }
    }
    assert_eq!(engine.commits(), 4);
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;
    use crate::memory::MemoryEngine;
    use crate::testing::{attached, erasing};

    #[test]
    fn each_fault_leaves_what_it_says() {
        for fault in Fault::ALL {
            assert_fault_leaves_what_it_says(fault, Arc::new(MemoryEngine::new()));
        }
    }

    #[test]
    fn a_blocked_sync_shows_nothing_until_released() {
        let engine = Arc::new(FaultyEngine::new(Arc::new(MemoryEngine::new())));
        let mut planner = Planner::new(1);
        commit(&*engine, &[planner.create()]);
        let before = planner.clone();
        engine.block_sync();
        let (committer, append) = (Arc::clone(&engine), planner.append(entries(0, 3)));
        let committing = thread::spawn(move || commit(&*committer, &[append]));
        engine.wait_until_blocked();
        assert_holds(&*engine, &before, &[]);
        engine.release_sync();
        committing.join().unwrap();
        assert_holds(&*engine, &planner, &entries(0, 3));
    }

    #[test]
    fn a_purging_that_failed_is_done_again() {
        for fault in Fault::ALL {
            let engine = FaultyEngine::new(Arc::new(MemoryEngine::new()));
            let mut planner = Planner::new(1);
            commit(&engine, &[planner.create()]);
            commit(&engine, &[planner.append(vec![attached(0, &[1, 2])])]);
            commit(&engine, &[erasing(&mut planner, &[(0, &[1])])]);
            let unpurged = engine.unpurged().unwrap().remove(0);
            engine.fail_purge(fault);
            let error = engine.purge(&unpurged).unwrap_err();
            assert!(matches!(error, StorageError::Injected { .. }), "{error}");
            let left = engine.unpurged().unwrap().len();
            assert_eq!(left, usize::from(fault != Fault::Persisted));
            engine.purge(&unpurged).unwrap();
            assert_eq!(engine.unpurged().unwrap(), []);
        }
    }

    #[test]
    fn reads_and_free_space_can_be_set() {
        let engine = FaultyEngine::new(Arc::new(MemoryEngine::new()));
        engine.fail_reads(true);
        assert_eq!(engine.logs().unwrap_err().to_string(), "injected fault at read");
        engine.fail_reads(false);
        assert!(engine.logs().is_ok());
        engine.set_free_bytes(Some(7));
        assert_eq!(engine.free_bytes().unwrap(), 7);
    }
}
