//! Whether this process can still write and sign: the only state that all rooms share.

mod progress;

pub(crate) use progress::Progress;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use base::clock::checked::CheckedClock;
use base::tasks::Supervisor;

use crate::error::{AppendError, Fatal};
use crate::growth::Growth;
use crate::invariants::{Invariant, check};
use crate::observe::Observer;

/// How long a caller should wait while the disk is low. An operator must act first.
const DISK_LOW_RETRY_AFTER: Duration = Duration::from_secs(5);

/// Called once, from a writer thread, when the process must end.
pub type OnFatal = Arc<dyn Fn(Fatal) + Send + Sync>;

/// The health of the process.
#[derive(Debug)]
pub(crate) struct Health {
    /// Written by the disk watch.
    pub(crate) disk: Disk,
    /// Writes of the store. Written by the committer.
    pub(crate) commits: Progress,
    /// Syncs of the head journal. Written by the signer.
    pub(crate) journaling: Progress,
    /// Set once, when the process must end, by the room that finds out. Nothing is written or
    /// signed after.
    halted: AtomicBool,
}

impl Health {
    pub(crate) fn new(min_free_bytes: u64) -> Self {
        Self {
            disk: Disk { free_bytes: AtomicU64::new(u64::MAX), min_free_bytes },
            commits: Progress::new(),
            journaling: Progress::new(),
            halted: AtomicBool::new(false),
        }
    }

    /// Nothing is written or signed any more.
    pub(crate) fn is_halted(&self) -> bool {
        self.halted.load(Ordering::SeqCst)
    }

    /// Stops all writing and signing, before anybody hears of it.
    pub(crate) fn halt(&self) {
        self.halted.store(true, Ordering::SeqCst);
    }
}

/// The free space of the store's disk.
#[derive(Debug)]
pub(crate) struct Disk {
    /// As last read; `u64::MAX` before that.
    free_bytes: AtomicU64,
    min_free_bytes: u64,
}

impl Disk {
    pub(crate) fn set(&self, free_bytes: u64) {
        self.free_bytes.store(free_bytes, Ordering::Relaxed);
    }

    pub(crate) fn free_bytes(&self) -> Option<u64> {
        let free_bytes = self.free_bytes.load(Ordering::Relaxed);
        (free_bytes != u64::MAX).then_some(free_bytes)
    }

    /// Whether there is room to append.
    pub(crate) fn check(&self) -> Result<(), AppendError> {
        let free_bytes = self.free_bytes.load(Ordering::Relaxed);
        let min_free_bytes = self.min_free_bytes;
        if free_bytes < min_free_bytes {
            let retry_after = DISK_LOW_RETRY_AFTER;
            return Err(AppendError::DiskLow { free_bytes, min_free_bytes, retry_after });
        }
        Ok(())
    }
}

/// What every room gets: the clock, the observer, the supervisor of its tasks, and the health that
/// all share.
pub(crate) struct Surroundings {
    /// The clock whose wall time is the log's time.
    pub(crate) clock: Arc<CheckedClock>,
    pub(crate) observer: Arc<dyn Observer>,
    pub(crate) supervisor: Supervisor,
    pub(crate) health: Health,
    /// Told by the committer.
    pub(crate) growth: Growth,
    pub(crate) on_fatal: OnFatal,
}

impl fmt::Debug for Surroundings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Surroundings").field("health", &self.health).finish_non_exhaustive()
    }
}

impl Surroundings {
    /// Ends the process through its owner.
    pub(crate) fn fatal(&self, fatal: Fatal) {
        self.health.halt();
        tracing::error!(?fatal, exit_code = fatal.exit_code(), "the process must end");
        (self.on_fatal)(fatal);
    }

    /// For a thread or task that a log cannot do without: ends the process when it panics.
    pub(crate) fn on_panic(self: &Arc<Self>) -> impl FnOnce() + Send + use<> {
        let around = Arc::clone(self);
        move || around.fatal(Fatal::Panic)
    }

    /// Panics if `holds` is false, after counting the violation.
    #[track_caller]
    pub(crate) fn check(&self, holds: bool, invariant: Invariant) {
        check(&*self.observer, holds, invariant);
    }
}
