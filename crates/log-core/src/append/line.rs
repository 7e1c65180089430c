//! One log as the committer sees it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};

use base::secret::Secret;
use storage::{LogRecord, LogState};

use super::producers::Producers;
use super::queue::Queue;
use crate::types::TreeView;
use crate::watch::Watch;

/// The calls that wait for the committer, and the state after the calls that it committed.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) record: Arc<LogRecord>,
    /// No head has an earlier time: the time of the newest journaled head.
    pub(crate) time_floor_ms: u64,
    /// Of an audit log, unless it is missing or another one is there.
    pub(super) secret: Option<Arc<Secret>>,
    pub(super) queue: Queue,
    pub(super) producers: Producers,
    /// The committed tree. Written by the committer, which wakes the followers when the size grew.
    pub(super) tree: Arc<Watch<TreeView>>,
    /// The time of the newest leaf of an audit log, in nanoseconds. Written by the committer.
    newest_ns: AtomicU64,
    /// The log has a head row. Written by the committer.
    exists: AtomicBool,
    /// Written by the committer, once a row with the new state is durable.
    state: AtomicU8,
}

/// The state with which a line begins.
#[derive(Debug)]
pub(crate) struct LineParts {
    pub(crate) record: Arc<LogRecord>,
    pub(crate) time_floor_ms: u64,
    pub(crate) tree: Arc<TreeView>,
    /// The time of the newest leaf of an audit log, in nanoseconds; 0 if there is none.
    pub(crate) newest_ns: u64,
    pub(crate) exists: bool,
    pub(crate) secret: Option<Arc<Secret>>,
}

impl Line {
    pub(crate) fn new(parts: LineParts) -> Self {
        let LineParts { record, time_floor_ms, tree, newest_ns, exists, secret } = parts;
        Self {
            state: AtomicU8::new(state_code(record.state)),
            record,
            time_floor_ms,
            secret,
            queue: Queue::new(),
            producers: Producers::new(),
            tree: Arc::new(Watch::new(tree)),
            newest_ns: AtomicU64::new(newest_ns),
            exists: AtomicBool::new(exists),
        }
    }

    pub(super) fn newest_ns(&self) -> u64 {
        self.newest_ns.load(Ordering::Acquire)
    }

    pub(super) fn set_newest_ns(&self, newest_ns: u64) {
        self.newest_ns.store(newest_ns, Ordering::Release);
    }

    pub(super) fn exists(&self) -> bool {
        self.exists.load(Ordering::Acquire)
    }

    pub(super) fn set_exists(&self) {
        self.exists.store(true, Ordering::Release);
    }

    pub(super) fn state(&self) -> LogState {
        match self.state.load(Ordering::Acquire) {
            0 => LogState::Active,
            1 => LogState::Draining,
            2 => LogState::Frozen,
            _ => LogState::Retired,
        }
    }

    pub(super) fn set_state(&self, state: LogState) {
        self.state.store(state_code(state), Ordering::Release);
    }
}

fn state_code(state: LogState) -> u8 {
    match state {
        LogState::Active => 0,
        LogState::Draining => 1,
        LogState::Frozen => 2,
        LogState::Retired => 3,
    }
}
