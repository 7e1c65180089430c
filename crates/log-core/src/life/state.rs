//! What the threads of the write path share: of one log, and of the process.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use base::clock::Clock;
use tokio::runtime::Handle;
use tokio::sync::watch;

use crate::append::committer::CommitterInbox;
use crate::append::producers::Producers;
use crate::append::queue::{Pushed, Queue, Ticket};
use crate::error::{AppendError, Fatal};
use crate::observe::Observer;
use crate::progress::Progress;
use crate::publish::publisher::PublisherInbox;
use crate::sign::keyring::LogKeys;
use crate::sign::signing::SigningInbox;
use crate::types::{Limits, Published, SignedHead, TreeView};
use crate::witness::{Gate, WitnessOptions, Witnessing};
use storage::{Engine, LogRecord, LogState};

/// What a caller is told to wait while the disk is low: an operator must act first.
const DISK_LOW_RETRY_AFTER: Duration = Duration::from_secs(5);

/// Called once, from a writer thread, when the process must end.
pub type OnFatal = Arc<dyn Fn(Fatal) + Send + Sync>;

/// Everything the logs of one process share.
pub(crate) struct Process {
    pub(crate) engine: Arc<dyn Engine>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) limits: Limits,
    pub(crate) read_only: bool,
    pub(crate) witness: Option<Arc<WitnessOptions>>,
    pub(crate) observer: Arc<dyn Observer>,
    pub(crate) runtime: Handle,
    pub(crate) committer: CommitterInbox,
    pub(crate) signing: SigningInbox,
    /// Bytes free on the store's disk, as last read. Written by the disk watch.
    pub(crate) free_bytes: AtomicU64,
    /// Writes of the store. Written by the committer.
    pub(crate) commits: Progress,
    /// Syncs of the head journal. Written by the signing thread.
    pub(crate) journaling: Progress,
    /// Set once by the committer: nothing is written or signed after it.
    halted: AtomicBool,
    on_fatal: OnFatal,
}

impl fmt::Debug for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Process").field("read_only", &self.read_only).finish_non_exhaustive()
    }
}

/// What a process is made of.
pub(crate) struct ProcessParts {
    pub(crate) engine: Arc<dyn Engine>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) limits: Limits,
    pub(crate) read_only: bool,
    pub(crate) witness: Option<Arc<WitnessOptions>>,
    pub(crate) observer: Arc<dyn Observer>,
    pub(crate) on_fatal: OnFatal,
}

impl Process {
    pub(crate) fn new(parts: ProcessParts) -> Self {
        let ProcessParts { engine, clock, limits, read_only, witness, observer, on_fatal } = parts;
        Self {
            engine,
            clock,
            limits,
            read_only,
            witness,
            observer,
            runtime: Handle::current(),
            committer: CommitterInbox::new(),
            signing: SigningInbox::new(),
            free_bytes: AtomicU64::new(u64::MAX),
            commits: Progress::new(),
            journaling: Progress::new(),
            halted: AtomicBool::new(false),
            on_fatal,
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

    /// Ends the process through its owner.
    pub(crate) fn fatal(&self, fatal: Fatal) {
        self.halt();
        tracing::error!(?fatal, exit_code = fatal.exit_code(), "the process must end");
        (self.on_fatal)(fatal);
    }

    pub(crate) fn disk(&self) -> Result<(), AppendError> {
        let free_bytes = self.free_bytes.load(Ordering::Relaxed);
        let min_free_bytes = self.limits.min_free_bytes;
        if free_bytes < min_free_bytes {
            let retry_after = DISK_LOW_RETRY_AFTER;
            return Err(AppendError::DiskLow { free_bytes, min_free_bytes, retry_after });
        }
        Ok(())
    }
}

/// One log, as all threads see it.
#[derive(Debug)]
pub(crate) struct LogShared {
    /// The log's row as it was opened; its state has moved on, see [`Self::state`].
    pub(crate) record: LogRecord,
    /// No head has an earlier time: the time of the newest journaled head.
    pub(crate) time_floor_ms: u64,
    /// `None` only in a read-only process.
    pub(crate) keys: Option<LogKeys>,
    pub(crate) queue: Queue,
    /// The committed tree. Written by the committer.
    pub(crate) tree: ArcSwap<TreeView>,
    /// Written by the signing thread.
    pub(crate) signed: ArcSwap<SignedHead>,
    /// Written by the log's publisher.
    pub(crate) published: watch::Sender<Arc<Published>>,
    pub(crate) publisher: PublisherInbox,
    /// `None` where the log has no witness policy, and in a read-only process.
    pub(crate) witnessing: Option<Witnessing>,
    pub(crate) producers: Producers,
    pub(crate) process: Arc<Process>,
    /// The log has a head row. Written by the committer.
    exists: AtomicBool,
    /// Written when a row with the new state is committed, except for the start of draining.
    state: AtomicU8,
}

/// What a log is opened with.
#[derive(Debug)]
pub(crate) struct LogParts {
    pub(crate) record: LogRecord,
    pub(crate) time_floor_ms: u64,
    pub(crate) keys: Option<LogKeys>,
    pub(crate) signed: SignedHead,
    pub(crate) tree: Arc<TreeView>,
    pub(crate) published: Published,
    pub(crate) exists: bool,
    /// The newest head known to satisfy the witness policy.
    pub(crate) witnessed: Option<Arc<SignedHead>>,
}

impl LogShared {
    pub(crate) fn new(process: Arc<Process>, parts: LogParts) -> Self {
        let LogParts { record, time_floor_ms, keys, signed, tree, published, exists, witnessed } =
            parts;
        let witnessing = witnessing(&process, &record, exists, witnessed);
        Self {
            time_floor_ms,
            keys,
            queue: Queue::new(),
            tree: ArcSwap::new(tree),
            signed: ArcSwap::from_pointee(signed),
            published: watch::Sender::new(Arc::new(published)),
            publisher: PublisherInbox::new(),
            witnessing,
            producers: Producers::new(),
            process,
            exists: AtomicBool::new(exists),
            state: AtomicU8::new(state_code(record.state)),
            record,
        }
    }

    pub(crate) fn exists(&self) -> bool {
        self.exists.load(Ordering::Acquire)
    }

    pub(crate) fn set_exists(&self) {
        self.exists.store(true, Ordering::Release);
    }

    pub(crate) fn state(&self) -> LogState {
        match self.state.load(Ordering::Acquire) {
            0 => LogState::Active,
            1 => LogState::Draining,
            2 => LogState::Frozen,
            _ => LogState::Retired,
        }
    }

    pub(crate) fn set_state(&self, state: LogState) {
        self.state.store(state_code(state), Ordering::Release);
    }

    /// Whether an append may be queued now.
    pub(crate) fn may_append(&self) -> Result<(), AppendError> {
        if self.process.read_only {
            return Err(AppendError::ReadOnly);
        }
        match self.state() {
            LogState::Active => {
                self.witnessing.as_ref().map_or(Ok(()), Witnessing::may_append)?;
                self.process.disk()
            }
            LogState::Draining | LogState::Frozen => Err(AppendError::Frozen),
            LogState::Retired => Err(AppendError::Retired),
        }
    }

    /// Queues a ticket and wakes the committer.
    pub(crate) fn submit(self: &Arc<Self>, ticket: Ticket) -> Result<(), AppendError> {
        if !self.process.committer.is_running() {
            return Err(AppendError::ShuttingDown);
        }
        let pushed = self.queue.push(ticket, &self.process.limits).inspect_err(|error| {
            if matches!(error, AppendError::QueueFull { .. }) {
                self.process.observer.queue_full(&self.record.name);
            }
        })?;
        if pushed == Pushed::MustList {
            self.process.committer.list(Arc::clone(self));
        }
        self.process.committer.bell.ring();
        Ok(())
    }
}

/// A log that was there before this process takes entries once its witnesses were asked.
fn witnessing(
    process: &Process,
    record: &LogRecord,
    existed: bool,
    witnessed: Option<Arc<SignedHead>>,
) -> Option<Witnessing> {
    let asks = !process.read_only && record.state != LogState::Retired;
    let options = process.witness.as_ref().filter(|_| asks)?;
    let policy = options.policies.get(&record.name)?.clone();
    let gate = if existed { Gate::waiting() } else { Gate::open() };
    Some(Witnessing::new(Arc::clone(options), policy, witnessed, gate))
}

fn state_code(state: LogState) -> u8 {
    match state {
        LogState::Active => 0,
        LogState::Draining => 1,
        LogState::Frozen => 2,
        LogState::Retired => 3,
    }
}
