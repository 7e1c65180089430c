//! A producer that appends exactly once, over any number of connections and processes.
//!
//! The server remembers, with the entries themselves, the last sequence that each producer id has
//! committed. A producer numbers its entries from 1, keeps each until the server says `Committed`, and
//! after a broken connection goes on behind what the server has: nothing is lost, nothing is twice.
//!
//! A producer that outlives its process keeps its id, and its entries by sequence, and hands over those
//! after [`Resume::last_sequence`] when it opens the stream again. Two streams with one id fence each
//! other: the first ends with [`StreamError::Fenced`].

mod worker;

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use merkle::{LeafIndex, TreeSize};
use tokio::{
    sync::{Mutex, OwnedSemaphorePermit, Semaphore, mpsc, oneshot},
    task::JoinHandle,
};

use self::worker::Worker;
use crate::{
    backoff::RetryPolicy,
    client::Client,
    error::{AnswerError, ClientError},
    receipt::BatchReceipt,
    tasks,
    types::{BATCH_BYTES_MAX, BATCH_ENTRIES_MAX, ENTRY_BYTES_MAX, ReceiptLevel},
};

/// Receipts that wait to be taken; beyond that the stream waits.
const RECEIPTS_WAITING_MAX: usize = 64;

/// The id of a producer: 16 bytes, chosen at random once, and kept with its entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ProducerId(pub [u8; 16]);

impl ProducerId {
    /// A new id from the system's random bytes.
    pub fn random() -> Result<Self, getrandom::Error> {
        let mut id = [0; 16];
        getrandom::fill(&mut id)?;
        Ok(Self(id))
    }
}

/// How a [`ProducerStream`] sends, waits and retries.
#[derive(Clone, Debug)]
pub struct ProducerOptions {
    /// From [`ReceiptLevel::Signed`] on, receipts come too: see [`ProducerStream::take_receipts`].
    pub receipt: ReceiptLevel,
    /// The most entries in one message, 1 to [`BATCH_ENTRIES_MAX`].
    pub message_entries_max: usize,
    /// The most entry bytes in one message.
    pub message_bytes_max: usize,
    /// The most entries kept that are not committed yet.
    pub pending_entries_max: usize,
    /// The most entry bytes kept that are not committed yet; at least [`ENTRY_BYTES_MAX`].
    pub pending_bytes_max: usize,
    /// The pauses between connections, and when to give up.
    pub retry: RetryPolicy,
}

impl Default for ProducerOptions {
    fn default() -> Self {
        Self {
            receipt: ReceiptLevel::Index,
            message_entries_max: 1000,
            message_bytes_max: 1024 * 1024,
            pending_entries_max: 16_384,
            pending_bytes_max: 16 * 1024 * 1024,
            retry: RetryPolicy::default(),
        }
    }
}

impl ProducerOptions {
    fn within_limits(mut self) -> Self {
        self.message_entries_max = self.message_entries_max.clamp(1, BATCH_ENTRIES_MAX);
        self.message_bytes_max = self.message_bytes_max.min(BATCH_BYTES_MAX);
        self.pending_entries_max = self.pending_entries_max.clamp(1, Semaphore::MAX_PERMITS);
        let bytes_limit = usize::try_from(u32::MAX).unwrap_or(usize::MAX);
        self.pending_bytes_max = self.pending_bytes_max.clamp(ENTRY_BYTES_MAX, bytes_limit);
        self
    }
}

/// Where a producer stands in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resume {
    /// The last committed sequence; 0 if there is none.
    pub last_sequence: u64,
    /// The index of that entry, if there is one.
    pub last_index: Option<LeafIndex>,
}

/// An entry that is in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Committed {
    /// Its number in this producer's stream.
    pub sequence: u64,
    /// Where it stands. `None` if it was committed just before a connection broke, and the server no
    /// longer says where: [`Client::lookup`] finds it by its leaf hash.
    pub index: Option<LeafIndex>,
    /// The committed size when it was answered for, if the server said.
    pub tree_size: Option<TreeSize>,
}

/// Why a stream ended, or an entry was not taken.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StreamError {
    /// An entry has 1 to 65,535 bytes.
    #[error("entry has {len} bytes; 1 to {ENTRY_BYTES_MAX} are allowed")]
    Length {
        /// Its length.
        len: usize,
    },
    /// Another stream with this producer id was opened.
    #[error("another stream with this producer id was opened")]
    Fenced,
    /// The server has fewer, or more, sequences of this producer than were sent.
    #[error("server has committed up to sequence {found}; {first} to {last} are possible")]
    Sequence {
        /// The last sequence the server has.
        found: u64,
        /// The last one it had answered for.
        first: u64,
        /// The last one that was sent.
        last: u64,
    },
    /// The stream failed for good, or attempts ran out.
    #[error("append stream failed after {attempts} attempts")]
    Call {
        /// How often it was opened since the last answer.
        attempts: u32,
        /// The last error.
        #[source]
        source: Arc<ClientError>,
    },
    /// The stream has ended.
    #[error("append stream has ended")]
    Closed,
}

impl StreamError {
    pub(crate) fn bad_answer(source: AnswerError) -> Self {
        let source = Arc::new(ClientError::BadAnswer { call: "AppendStream", source });
        Self::Call { attempts: 1, source }
    }
}

/// Appends the entries of one producer, in order. Shared by reference.
#[derive(Debug)]
pub struct ProducerStream {
    queue: Mutex<Queue>,
    room_entries: Arc<Semaphore>,
    room_bytes: Arc<Semaphore>,
    receipts: Option<mpsc::Receiver<BatchReceipt>>,
    worker: JoinHandle<Result<Resume, StreamError>>,
}

/// Numbers entries in the order in which they go to the worker.
#[derive(Debug)]
struct Queue {
    next_sequence: u64,
    items: mpsc::Sender<Item>,
}

impl ProducerStream {
    /// Opens the stream of a producer, and says where it stands. Waits for the server as the retry policy
    /// allows.
    pub async fn open(
        client: Client,
        log: impl Into<String>,
        producer: ProducerId,
        options: ProducerOptions,
    ) -> Result<(Self, Resume), StreamError> {
        let options = options.within_limits();
        let room_entries = Arc::new(Semaphore::new(options.pending_entries_max));
        let room_bytes = Arc::new(Semaphore::new(options.pending_bytes_max));
        let (items, queue) = mpsc::channel(options.pending_entries_max);
        let (receipts_out, receipts) = mpsc::channel(RECEIPTS_WAITING_MAX);
        let wants_receipts = options.receipt > ReceiptLevel::Index;
        let worker = Worker::new(client, log.into(), producer, options, queue, receipts_out);
        let (worker, connection, resume) = worker.open().await?;
        let queue = Mutex::new(Queue { next_sequence: resume.last_sequence + 1, items });
        let stream = Self {
            queue,
            room_entries,
            room_bytes,
            receipts: wants_receipts.then_some(receipts),
            worker: tasks::spawn(worker.run(connection)),
        };
        Ok((stream, resume))
    }

    /// Hands over the next entry; waits while the limits on memory are reached. The handle names its
    /// sequence at once, and resolves when it is committed.
    pub async fn append(&self, data: impl Into<Bytes>) -> Result<PendingCommit, StreamError> {
        let data = data.into();
        let bytes = match data.len() {
            len @ 1..=ENTRY_BYTES_MAX => u32::try_from(len).expect("at most 65,535"),
            len => return Err(StreamError::Length { len }),
        };
        let one = acquire(&self.room_entries, 1).await?;
        let room = acquire(&self.room_bytes, bytes).await?;
        let (done, committed) = oneshot::channel();
        let mut queue = self.queue.lock().await;
        let sequence = queue.next_sequence;
        let item = Item { sequence, data, done, _room: (one, room) };
        queue.items.send(item).await.map_err(|_| StreamError::Closed)?;
        queue.next_sequence += 1;
        Ok(PendingCommit { sequence, committed })
    }

    /// The receipts as they come, if they were asked for; to be taken once, and read, or the stream waits.
    /// Receipts under way when a connection breaks are lost: [`Client::receipt`] fetches them again.
    pub fn take_receipts(&mut self) -> Option<mpsc::Receiver<BatchReceipt>> {
        self.receipts.take()
    }

    /// Takes no more entries, waits until all are committed, and says where the producer stands.
    pub async fn close(self) -> Result<Resume, StreamError> {
        drop(self.queue);
        drop(self.receipts);
        self.worker.await.unwrap_or(Err(StreamError::Closed))
    }
}

/// An entry that is to be committed.
#[derive(Debug)]
pub struct PendingCommit {
    sequence: u64,
    committed: oneshot::Receiver<Result<Committed, StreamError>>,
}

impl PendingCommit {
    /// Its number in this producer's stream.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }
}

impl Future for PendingCommit {
    type Output = Result<Committed, StreamError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.committed)
            .poll(context)
            .map(|outcome| outcome.unwrap_or(Err(StreamError::Closed)))
    }
}

/// An entry on its way, and the room it takes until it is committed.
#[derive(Debug)]
struct Item {
    sequence: u64,
    data: Bytes,
    done: oneshot::Sender<Result<Committed, StreamError>>,
    _room: (OwnedSemaphorePermit, OwnedSemaphorePermit),
}

async fn acquire(room: &Arc<Semaphore>, permits: u32) -> Result<OwnedSemaphorePermit, StreamError> {
    Arc::clone(room).acquire_many_owned(permits).await.map_err(|_| StreamError::Closed)
}
