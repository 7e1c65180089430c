//! The appender: entries go in one at a time, out in batches, each exactly once and in order.
//!
//! - **Memory is bounded.** [`Appender::append`] waits while the limits on entries or bytes are reached.
//! - **Order is kept.** One batch is under way at a time; what queues meanwhile makes the next one, so
//!   that batches grow with the load and a lone entry waits for nothing.
//! - **Exactly once.** Every entry gets a deduplication key, 16 random bytes of this appender and its
//!   position. A batch whose outcome is unknown is sent again, the same bytes with the same keys, until
//!   the server has answered for it.
//! - **The server may be away.** Attempts are repeated after growing, jittered pauses, never shorter
//!   than what the server asks for. With a [`Spool`](crate::spool::Spool), entries then go to disk and
//!   their handles resolve to [`Delivery::Spooled`]; they are appended once the server is back, by this
//!   appender or by the next one that opens the spool.

mod worker;

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

use merkle::{Hash, LeafIndex, TreeSize};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

use self::worker::Worker;
use crate::{
    backoff::RetryPolicy,
    client::Client,
    error::ClientError,
    receipt::BatchReceipt,
    spool::{Spool, SpoolError, SpoolOptions},
    tasks,
    types::{
        BATCH_BYTES_MAX, BATCH_ENTRIES_MAX, ENTRY_BYTES_MAX, EntryRefusal, LogInfo, NewEntry,
        ReceiptLevel, Wanted,
    },
};

/// How an [`Appender`] batches, waits and retries.
#[derive(Clone, Debug)]
pub struct AppenderOptions {
    /// The receipt that each batch waits for.
    pub wanted: Wanted,
    /// The most entries in one call, 1 to [`BATCH_ENTRIES_MAX`].
    pub batch_entries_max: usize,
    /// The most entry bytes in one call, up to [`BATCH_BYTES_MAX`]; a single longer entry goes alone.
    pub batch_bytes_max: usize,
    /// The most entries in memory that are not in the log yet.
    pub pending_entries_max: usize,
    /// The most entry bytes in memory that are not in the log yet; at least [`ENTRY_BYTES_MAX`].
    pub pending_bytes_max: usize,
    /// Give every entry without a deduplication key one. Off for a log that deduplicates entries
    /// itself, which takes no keys.
    pub make_keys: bool,
    /// The pauses between attempts, and when to give up.
    pub retry: RetryPolicy,
    /// Where entries wait while the server is away.
    pub spool: Option<SpoolOptions>,
    /// Failed attempts in a row after which the server counts as away, and entries go to the spool.
    pub spool_after: u32,
}

impl Default for AppenderOptions {
    fn default() -> Self {
        Self {
            wanted: Wanted::default(),
            batch_entries_max: 4096,
            batch_bytes_max: 2 * 1024 * 1024,
            pending_entries_max: 16_384,
            pending_bytes_max: 16 * 1024 * 1024,
            make_keys: true,
            retry: RetryPolicy::default(),
            spool: None,
            spool_after: 3,
        }
    }
}

impl AppenderOptions {
    /// The defaults for this log: keys unless it deduplicates entries itself.
    pub fn for_log(log: &LogInfo) -> Self {
        Self { make_keys: !log.deduplicate_entries, ..Self::default() }
    }

    /// Every limit as something that can work: at least one entry, at most what one call takes.
    fn within_limits(mut self) -> Self {
        self.batch_entries_max = self.batch_entries_max.clamp(1, BATCH_ENTRIES_MAX);
        self.batch_bytes_max = self.batch_bytes_max.min(BATCH_BYTES_MAX);
        self.pending_entries_max = self.pending_entries_max.clamp(1, Semaphore::MAX_PERMITS);
        let bytes_limit = usize::try_from(u32::MAX).unwrap_or(usize::MAX);
        self.pending_bytes_max = self.pending_bytes_max.clamp(ENTRY_BYTES_MAX, bytes_limit);
        self
    }
}

/// Appends entries to one log. Shared by reference; dropped, it still delivers what it holds for as long
/// as the runtime runs.
#[derive(Debug)]
pub struct Appender {
    queue: mpsc::Sender<Command>,
    room_entries: Arc<Semaphore>,
    room_bytes: Arc<Semaphore>,
    stop: CancellationToken,
    worker: JoinHandle<Summary>,
    /// Written by the worker: it takes nothing more.
    ended: Arc<AtomicBool>,
}

impl Appender {
    /// Starts an appender. Opens the spool if one is configured, and first sends what it holds. Must be
    /// called within a tokio runtime.
    pub fn start(
        client: Client,
        log: impl Into<String>,
        options: AppenderOptions,
    ) -> Result<Self, StartError> {
        let options = options.within_limits();
        let spool = options.spool.clone().map(Spool::open).transpose()?;
        let mut run = [0; 16];
        getrandom::fill(&mut run).map_err(StartError::Random)?;
        let (queue, commands) = mpsc::channel(options.pending_entries_max);
        let room_entries = Arc::new(Semaphore::new(options.pending_entries_max));
        let room_bytes = Arc::new(Semaphore::new(options.pending_bytes_max));
        let stop = CancellationToken::new();
        let worker = Worker::new(client, log.into(), options, run, spool, commands, stop.clone());
        let ended = Arc::new(AtomicBool::new(false));
        let ending = Arc::clone(&ended);
        let worker = tasks::spawn(async move {
            let summary = worker.run().await;
            ending.store(true, Ordering::Release);
            summary
        });
        Ok(Self { queue, room_entries, room_bytes, stop, worker, ended })
    }

    /// Hands an entry over; waits while the limits on memory are reached. The entry is on its way when
    /// this returns, and in the log when the handle resolves to [`Delivery::Appended`].
    pub async fn append(&self, entry: NewEntry) -> Result<Pending, AppendError> {
        check(&entry)?;
        let bytes = u32::try_from(entry.data.len()).expect("checked to be at most 65,535");
        let one = acquire(&self.room_entries, 1).await?;
        let room = acquire(&self.room_bytes, bytes).await?;
        let (done, pending) = oneshot::channel();
        let item = Item { entry, done, _room: (one, room) };
        self.queue.send(Command::Append(item)).await.map_err(|_| AppendError::Closed)?;
        Ok(Pending(pending))
    }

    /// Waits until everything handed over before is in the log, in the spool, or failed.
    pub async fn flush(&self) -> Result<(), AppendError> {
        let (done, flushed) = oneshot::channel();
        self.queue.send(Command::Flush(done)).await.map_err(|_| AppendError::Closed)?;
        flushed.await.map_err(|_| AppendError::Closed)
    }

    /// Takes no more entries, delivers what it holds, and says what became of everything. Waits for the
    /// server for as long as the retry policy does: see [`Appender::stopper`] to bound it.
    pub async fn close(self) -> Summary {
        drop(self.queue);
        self.worker.await.unwrap_or_default()
    }

    /// A handle that ends the waiting: once cancelled, no attempt is repeated. What was not delivered
    /// goes to the spool, and without one fails with [`AppendError::Stopped`], or with
    /// [`AppendError::NotWritten`] where no attempt can have written it.
    pub fn stopper(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Whether the worker has ended and takes nothing more.
    pub fn is_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }
}

/// The outcome of one entry, to come.
#[derive(Debug)]
pub struct Pending(oneshot::Receiver<Result<Delivery, AppendError>>);

impl Future for Pending {
    type Output = Result<Delivery, AppendError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0)
            .poll(context)
            .map(|outcome| outcome.unwrap_or(Err(AppendError::Closed)))
    }
}

/// What became of an entry.
#[derive(Clone, Debug)]
pub enum Delivery {
    /// It is in the log.
    Appended(Appended),
    /// It is on this machine's disk, and will be appended when the server is back.
    Spooled,
}

impl Delivery {
    /// Where it stands in the log, if it does.
    pub fn appended(self) -> Option<Appended> {
        match self {
            Self::Appended(appended) => Some(appended),
            Self::Spooled => None,
        }
    }
}

/// An entry that is in the log.
#[derive(Clone, Debug)]
pub struct Appended {
    /// Where.
    pub index: LeafIndex,
    /// Its leaf hash, computed here.
    pub leaf_hash: Hash,
    /// It was there before: an earlier attempt had gone through.
    pub duplicate: bool,
    /// The committed size at the time of the answer.
    pub tree_size: TreeSize,
    /// The level that was reached.
    pub reached: ReceiptLevel,
    /// The receipt of its whole batch, shared; not verified yet.
    pub receipt: Option<Arc<BatchReceipt>>,
}

/// Counts of what became of the entries of an appender.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Entries in the log, those of the spool included.
    pub appended: u64,
    /// Of these, entries that an earlier attempt had already written.
    pub duplicates: u64,
    /// Entries that the server refused.
    pub refused: u64,
    /// Entries that were put on disk, whether or not they were sent since.
    pub spooled: u64,
    /// Entries that were neither appended, refused nor spooled.
    pub failed: u64,
    /// Attempts after the first.
    pub retries: u64,
}

/// Why an appender did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The spool cannot be opened.
    #[error("appender cannot open its spool")]
    Spool(#[from] SpoolError),
    /// The system gave no random bytes for the keys.
    #[error("appender got no random bytes from the system: {0}")]
    Random(getrandom::Error),
}

/// Why an entry is not in the log.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AppendError {
    /// An entry has 1 to 65,535 bytes.
    #[error("entry has {len} bytes; 1 to {ENTRY_BYTES_MAX} are allowed")]
    Length {
        /// Its length.
        len: usize,
    },
    /// The server refused this entry, and took the others.
    #[error(transparent)]
    Refused(#[from] EntryRefusal),
    /// The call failed for good, or attempts ran out.
    #[error("append failed after {attempts} attempts")]
    Call {
        /// How often it was sent.
        attempts: u32,
        /// The last error; of unknown outcome if that of any attempt is.
        #[source]
        source: Arc<ClientError>,
    },
    /// The appender was told to stop before the entry was delivered; it may have been written.
    #[error("appender was stopped before the entry was delivered")]
    Stopped,
    /// The appender was told to stop, and no attempt has written the entry.
    #[error("appender was stopped before the entry was written")]
    NotWritten,
    /// The appender has ended.
    #[error("appender has ended")]
    Closed,
}

impl AppendError {
    /// Whether the entry may be in the log all the same.
    pub fn outcome_is_unknown(&self) -> bool {
        match self {
            Self::Stopped | Self::Closed => true,
            Self::Call { source, .. } => source.outcome_is_unknown(),
            Self::Length { .. } | Self::Refused(_) | Self::NotWritten => false,
        }
    }
}

#[derive(Debug)]
enum Command {
    Append(Item),
    Flush(oneshot::Sender<()>),
}

/// An entry on its way, and the room it takes until it is settled.
#[derive(Debug)]
struct Item {
    entry: NewEntry,
    done: oneshot::Sender<Result<Delivery, AppendError>>,
    _room: (OwnedSemaphorePermit, OwnedSemaphorePermit),
}

fn check(entry: &NewEntry) -> Result<(), AppendError> {
    match entry.data.len() {
        1..=ENTRY_BYTES_MAX => Ok(()),
        len => Err(AppendError::Length { len }),
    }
}

async fn acquire(room: &Arc<Semaphore>, permits: u32) -> Result<OwnedSemaphorePermit, AppendError> {
    Arc::clone(room).acquire_many_owned(permits).await.map_err(|_| AppendError::Closed)
}
