//! The connection to a server, and one method for each call of its API.
//!
//! Answers are checked for shape (lengths, bounds, counts, the leaf hash of what was appended) and
//! nothing more: proofs come back as they came, for [`crate::verify`] to judge.

use std::{
    num::NonZeroUsize,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use log_proto::log_v1::{self as proto, log_service_client::LogServiceClient};
use merkle::{LeafIndex, TreeSize};
use tls::Address;
use tonic::{
    Request, Response, Status, Streaming,
    transport::{Channel, Endpoint},
};

use crate::{
    connect::channel,
    convert,
    error::{AnswerError, ClientError},
    types::{
        AppendAnswer, BatchAnswer, BatchInclusionProof, ConsistencyProof, EntryRange, EntryRef,
        Found, InclusionProof, LogInfo, LookupBy, NewEntry, NewLog, Page, Published, ReceiptAnswer,
        Wanted, WatchEvent,
    },
};

/// The largest message accepted and sent, in bytes: the API's 8 MiB of entries and what surrounds them.
pub(crate) const MESSAGE_BYTES_MAX: usize = 9 * 1024 * 1024;
/// HTTP/2 windows wide enough that a batch is sent without waiting for the other side.
const WINDOW_BYTES: u32 = 8 * 1024 * 1024;

/// How a [`Client`] connects and how long its calls may take.
#[derive(Clone, Debug)]
pub struct ClientOptions {
    /// Connections, used in turn; more than one pays only beyond some hundred calls in flight.
    pub connections: NonZeroUsize,
    /// How long connecting may take.
    pub connect_timeout: Duration,
    /// The deadline of every call but streams; `None` for none.
    pub call_timeout: Option<Duration>,
    /// How often an HTTP/2 ping asks whether the server is still there.
    pub keep_alive_interval: Duration,
    /// How long it may take to answer that.
    pub keep_alive_timeout: Duration,
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self {
            connections: NonZeroUsize::MIN,
            connect_timeout: Duration::from_secs(5),
            call_timeout: Some(Duration::from_secs(30)),
            keep_alive_interval: Duration::from_secs(20),
            keep_alive_timeout: Duration::from_secs(10),
        }
    }
}

/// A server. Clones are cheap and share the connections.
#[derive(Clone, Debug)]
pub struct Client {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    channels: Vec<Channel>,
    next: AtomicUsize,
    call_timeout: Option<Duration>,
}

impl Client {
    /// A client of the server at `url`: `http://HOST:PORT`; `https://HOST:PORT`, whose server is
    /// known by the machine's certificate authorities; or `https://HOST:PORT#sha256//PIN`, by its
    /// key ([`tls::Pin`]). Connects when the first call is made, and again whenever a connection
    /// was lost. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// The address has another form, or the machine's certificate authorities cannot be read.
    pub fn connect(url: &str, options: &ClientOptions) -> Result<Self, ClientError> {
        let address: Address = url.parse()?;
        let endpoint = Endpoint::from(address.uri().clone())
            .connect_timeout(options.connect_timeout)
            .http2_keep_alive_interval(options.keep_alive_interval)
            .keep_alive_timeout(options.keep_alive_timeout)
            .keep_alive_while_idle(true)
            .initial_stream_window_size(WINDOW_BYTES)
            .initial_connection_window_size(WINDOW_BYTES);
        let channels = (0..options.connections.get())
            .map(|_| channel(&endpoint, address.known(), options.connect_timeout))
            .collect::<Result<_, _>>()?;
        let shared =
            Shared { channels, next: AtomicUsize::new(0), call_timeout: options.call_timeout };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// The next connection in turn, for services of the server that this crate does not wrap.
    pub fn channel(&self) -> Channel {
        let turn = self.shared.next.fetch_add(1, Ordering::Relaxed);
        let channels = &self.shared.channels;
        channels[turn % channels.len()].clone()
    }

    /// Appends one entry and waits for the receipt it wants. One attempt: [`crate::Appender`] retries.
    pub async fn append(
        &self,
        log: &str,
        entry: NewEntry,
        wanted: Wanted,
    ) -> Result<AppendAnswer, ClientError> {
        let leaf = merkle::leaf_hash(&entry.data);
        let request = proto::AppendRequest {
            log: log.to_owned(),
            entry: Some(convert::entry(entry)),
            receipt: convert::level(wanted.level),
            receipt_wait: convert::wait(wanted.wait),
        };
        let answer = self.service().append(self.request(request)).await;
        checked("Append", answer, |message| convert::appended(message, &leaf))
    }

    /// Appends up to [`crate::BATCH_ENTRIES_MAX`] entries in one commit. One attempt.
    pub async fn append_batch(
        &self,
        log: &str,
        entries: Vec<NewEntry>,
        wanted: Wanted,
    ) -> Result<BatchAnswer, ClientError> {
        let sent = entries.len();
        let request = proto::AppendBatchRequest {
            log: log.to_owned(),
            entries: entries.into_iter().map(convert::entry).collect(),
            receipt: convert::level(wanted.level),
            receipt_wait: convert::wait(wanted.wait),
        };
        let answer = self.service().append_batch(self.request(request)).await;
        checked("AppendBatch", answer, |message| convert::batch(message, sent))
    }

    /// Opens the append stream with requests as they come. [`crate::ProducerStream`] is what to use.
    pub(crate) async fn append_stream(
        &self,
        requests: tokio_stream::wrappers::ReceiverStream<proto::AppendStreamRequest>,
    ) -> Result<Streaming<proto::AppendStreamResponse>, ClientError> {
        Ok(self.service().append_stream(Request::new(requests)).await?.into_inner())
    }

    /// The receipt of the entries from `start` up to but not including `end`, at most 10,000 of them, at
    /// the wanted level or what was reached in time.
    pub async fn receipt(
        &self,
        log: &str,
        start: LeafIndex,
        end: TreeSize,
        wanted: Wanted,
    ) -> Result<ReceiptAnswer, ClientError> {
        let request = proto::GetReceiptRequest {
            log: log.to_owned(),
            range: Some(proto::IndexRange { start: start.get(), end: end.get() }),
            receipt: convert::level(wanted.level),
            receipt_wait: convert::wait(wanted.wait),
        };
        let answer = self.service().get_receipt(self.request(request)).await;
        checked("GetReceipt", answer, convert::receipt)
    }

    /// The published checkpoint.
    pub async fn checkpoint(&self, log: &str) -> Result<Published, ClientError> {
        let request = proto::GetCheckpointRequest { log: log.to_owned() };
        let answer = self.service().get_checkpoint(self.request(request)).await;
        checked("GetCheckpoint", answer, convert::published)
    }

    /// Archived checkpoints of at least `from`, oldest first; `page_size` at most 1,000, 0 for 100.
    pub async fn checkpoints(
        &self,
        log: &str,
        from: TreeSize,
        page_size: u32,
        page: Option<String>,
    ) -> Result<Page<Published>, ClientError> {
        let request = proto::ListCheckpointsRequest {
            log: log.to_owned(),
            from_size: from.get(),
            page_size,
            page_token: page.unwrap_or_default(),
        };
        let answer = self.service().list_checkpoints(self.request(request)).await;
        checked("ListCheckpoints", answer, |message| {
            let items = message.checkpoints.into_iter().map(convert::published);
            Ok(Page {
                items: items.collect::<Result<_, _>>()?,
                next: token(message.next_page_token),
            })
        })
    }

    /// Every newly published checkpoint from now on, the first at once, each with a proof that it
    /// continues the one before (at first, the tree of size `from`), and if `entries` what lies between.
    pub async fn watch(
        &self,
        log: &str,
        from: TreeSize,
        entries: bool,
    ) -> Result<Watch, ClientError> {
        let request =
            proto::WatchCheckpointsRequest { log: log.to_owned(), from_size: from.get(), entries };
        let stream = self.service().watch_checkpoints(Request::new(request)).await;
        let stream = stream.map_err(ClientError::of_read)?.into_inner();
        Ok(Watch { stream })
    }

    /// An inclusion proof in the tree of `size`, or in that of the newest signed head.
    pub async fn inclusion_proof(
        &self,
        log: &str,
        entry: EntryRef,
        size: Option<TreeSize>,
    ) -> Result<InclusionProof, ClientError> {
        use proto::get_inclusion_proof_request::Entry;
        let asked = entry.clone();
        let request = proto::GetInclusionProofRequest {
            log: log.to_owned(),
            entry: Some(match entry {
                EntryRef::Index(index) => Entry::LeafIndex(index.get()),
                EntryRef::LeafHash(hash) => Entry::LeafHash(hash.as_bytes().to_vec().into()),
            }),
            tree_size: size.map_or(0, TreeSize::get),
        };
        let answer = self.service().get_inclusion_proof(self.request(request)).await;
        checked("GetInclusionProof", answer, |message| {
            let proof = convert::inclusion(message)?;
            same_entry(&asked, &proof)?;
            same_size("tree_size", size, proof.tree_size)?;
            Ok(proof)
        })
    }

    /// A consistency proof from the tree of size `from` to that of `to`, or to the newest signed head.
    pub async fn consistency_proof(
        &self,
        log: &str,
        from: TreeSize,
        to: Option<TreeSize>,
    ) -> Result<ConsistencyProof, ClientError> {
        let request = proto::GetConsistencyProofRequest {
            log: log.to_owned(),
            from_size: from.get(),
            to_size: to.map_or(0, TreeSize::get),
        };
        let answer = self.service().get_consistency_proof(self.request(request)).await;
        checked("GetConsistencyProof", answer, |message| {
            let proof = convert::consistency(message)?;
            same_size("from_size", Some(from), proof.from)?;
            same_size("to_size", to, proof.to)?;
            Ok(proof)
        })
    }

    /// One de-duplicated set of hashes that proves many leaves; `indexes` ascending, each once.
    pub async fn batch_inclusion_proof(
        &self,
        log: &str,
        indexes: &[LeafIndex],
        size: Option<TreeSize>,
    ) -> Result<BatchInclusionProof, ClientError> {
        let request = proto::GetBatchInclusionProofRequest {
            log: log.to_owned(),
            leaf_indexes: indexes.iter().map(|index| index.get()).collect(),
            tree_size: size.map_or(0, TreeSize::get),
        };
        let answer = self.service().get_batch_inclusion_proof(self.request(request)).await;
        checked("GetBatchInclusionProof", answer, |message| {
            let proof = convert::batch_inclusion(message)?;
            same_size("tree_size", size, proof.tree_size)?;
            same_count("leaf_hashes", indexes.len(), proof.leaf_hashes.len())?;
            Ok(proof)
        })
    }

    /// Entries from `start` on, up to `end` or the newest signed head, with receipts if asked for.
    pub async fn entries(
        &self,
        log: &str,
        start: LeafIndex,
        end: Option<TreeSize>,
        with_receipts: bool,
    ) -> Result<Entries, ClientError> {
        let request = proto::GetEntriesRequest {
            log: log.to_owned(),
            range: Some(proto::IndexRange {
                start: start.get(),
                end: end.map_or(0, TreeSize::get),
            }),
            with_receipts,
        };
        let stream = self.service().get_entries(self.request(request)).await;
        let stream = stream.map_err(ClientError::of_read)?.into_inner();
        Ok(Entries { stream, next: start.get(), end, with_receipts })
    }

    /// Finds an entry.
    pub async fn lookup(&self, log: &str, by: LookupBy) -> Result<Found, ClientError> {
        use proto::lookup_entry_request::By;
        let request = proto::LookupEntryRequest {
            log: log.to_owned(),
            by: Some(match by {
                LookupBy::LeafHash(hash) => By::LeafHash(hash.as_bytes().to_vec().into()),
                LookupBy::DedupKey(key) => By::DedupKey(key),
            }),
        };
        let answer = self.service().lookup_entry(self.request(request)).await;
        checked("LookupEntry", answer, convert::found)
    }

    /// Creates a log with its keys.
    pub async fn create_log(&self, new: NewLog) -> Result<LogInfo, ClientError> {
        let request = proto::CreateLogRequest {
            log: new.name,
            origin: new.origin,
            deduplicate_entries: new.deduplicate_entries,
            kind: convert::wanted_kind(new.kind),
        };
        let answer = self.service().create_log(self.request(request)).await;
        checked("CreateLog", answer, |message| convert::log(message.log))
    }

    /// What the server says of a log.
    pub async fn log(&self, log: &str) -> Result<LogInfo, ClientError> {
        let request = proto::GetLogRequest { log: log.to_owned() };
        let answer = self.service().get_log(self.request(request)).await;
        checked("GetLog", answer, |message| convert::log(message.log))
    }

    /// The server's logs by name; `page_size` at most 1,000, 0 for 100.
    pub async fn logs(
        &self,
        page_size: u32,
        page: Option<String>,
    ) -> Result<Page<LogInfo>, ClientError> {
        let request = proto::ListLogsRequest { page_size, page_token: page.unwrap_or_default() };
        let answer = self.service().list_logs(self.request(request)).await;
        checked("ListLogs", answer, |message| {
            let items = message.logs.into_iter().map(|log| convert::log(Some(log)));
            Ok(Page {
                items: items.collect::<Result<_, _>>()?,
                next: token(message.next_page_token),
            })
        })
    }

    /// Freezes a log for good; gives what it is then, and its final checkpoint.
    pub async fn freeze_log(&self, log: &str) -> Result<(LogInfo, Published), ClientError> {
        let request = proto::FreezeLogRequest { log: log.to_owned() };
        let answer = self.service().freeze_log(self.request(request)).await;
        checked("FreezeLog", answer, |message| {
            let published = proto::GetCheckpointResponse {
                checkpoint: message.checkpoint,
                published_at: None,
                witnessed: None,
            };
            Ok((convert::log(message.log)?, convert::published(published)?))
        })
    }

    fn service(&self) -> LogServiceClient<Channel> {
        LogServiceClient::new(self.channel())
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX)
    }

    pub(crate) fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        if let Some(timeout) = self.shared.call_timeout {
            request.set_timeout(timeout);
        }
        request
    }
}

/// Entries as they arrive, in order and without a gap.
#[derive(Debug)]
pub struct Entries {
    stream: Streaming<proto::GetEntriesResponse>,
    next: u64,
    end: Option<TreeSize>,
    with_receipts: bool,
}

impl Entries {
    /// The next entries, or `None` at the end of the range.
    pub async fn next(&mut self) -> Result<Option<EntryRange>, ClientError> {
        let message = self.stream.message().await.map_err(ClientError::of_read)?;
        let Some(message) = message else { return Ok(None) };
        let range = convert::entries(message)
            .and_then(|range| self.check(range))
            .map_err(|source| ClientError::BadAnswer { call: "GetEntries", source })?;
        Ok(Some(range))
    }

    fn check(&mut self, range: EntryRange) -> Result<EntryRange, AnswerError> {
        if range.first.get() != self.next {
            let (expected, found) = (self.next, range.first.get());
            return Err(AnswerError::Other { field: "first_index", expected, found });
        }
        if range.entries.is_empty() {
            return Err(AnswerError::Missing { field: "entries" });
        }
        if self.with_receipts && range.receipt.is_none() {
            return Err(AnswerError::Missing { field: "range_receipt" });
        }
        let count = u64::try_from(range.entries.len()).expect("a count in memory fits 64 bits");
        let end = self.next.saturating_add(count);
        convert::size("first_index", end)?;
        if self.end.is_some_and(|limit| end > limit.get()) {
            return Err(AnswerError::OutOfRange { field: "entries", value: end });
        }
        self.next = end;
        Ok(range)
    }
}

/// Checkpoints as they are published.
#[derive(Debug)]
pub struct Watch {
    stream: Streaming<proto::WatchCheckpointsResponse>,
}

impl Watch {
    /// The next message, or `None` when the server ended the stream.
    pub async fn next(&mut self) -> Result<Option<WatchEvent>, ClientError> {
        let message = self.stream.message().await.map_err(ClientError::of_read)?;
        let Some(message) = message else { return Ok(None) };
        let event = convert::watch(message)
            .map_err(|source| ClientError::BadAnswer { call: "WatchCheckpoints", source })?;
        Ok(Some(event))
    }
}

pub(crate) fn checked<M, T>(
    call: &'static str,
    answer: Result<Response<M>, Status>,
    convert: impl FnOnce(M) -> Result<T, AnswerError>,
) -> Result<T, ClientError> {
    let changes = matches!(
        call,
        "Append" | "AppendBatch" | "CreateLog" | "FreezeLog" | "RecordEvent" | "RecordEvents"
    );
    let failed = if changes { ClientError::from } else { ClientError::of_read };
    convert(answer.map_err(failed)?.into_inner())
        .map_err(|source| ClientError::BadAnswer { call, source })
}

fn token(token: String) -> Option<String> {
    (!token.is_empty()).then_some(token)
}

fn same_entry(asked: &EntryRef, proof: &InclusionProof) -> Result<(), AnswerError> {
    match asked {
        EntryRef::Index(index) if *index != proof.index => Err(AnswerError::Other {
            field: "leaf_index",
            expected: index.get(),
            found: proof.index.get(),
        }),
        EntryRef::LeafHash(hash) if *hash != proof.leaf_hash => Err(AnswerError::LeafHash),
        EntryRef::Index(_) | EntryRef::LeafHash(_) => Ok(()),
    }
}

fn same_size(
    field: &'static str,
    asked: Option<TreeSize>,
    found: TreeSize,
) -> Result<(), AnswerError> {
    match asked {
        Some(asked) if asked != found => {
            Err(AnswerError::Other { field, expected: asked.get(), found: found.get() })
        }
        Some(_) | None => Ok(()),
    }
}

fn same_count(field: &'static str, expected: usize, found: usize) -> Result<(), AnswerError> {
    if expected == found { Ok(()) } else { Err(AnswerError::Count { field, expected, found }) }
}
