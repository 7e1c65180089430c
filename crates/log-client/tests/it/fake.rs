//! A log in memory behind the real gRPC service: honest, unless it is told otherwise.

use std::{
    collections::{BTreeMap, VecDeque},
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use bytes::Bytes;
use formats::{Checkpoint, KeyName, Origin, PrivateKey, Timestamp, Trust};
use log_client::{Client, ClientOptions};
use log_proto::log_v1::{
    self as proto,
    log_service_server::{LogService, LogServiceServer},
};
use merkle::{CompactRange, Hash, LeafIndex, Plan, TreeSize, leaf_hash};
use tokio_stream::{Stream, StreamExt as _, wrappers::TcpListenerStream};
use tonic::{Code, Request, Response, Status, Streaming};
use tonic_types::{ErrorDetails, StatusExt as _};

pub(crate) const ORIGIN: &str = "example.org/log";

/// What the next append does instead of answering.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    /// `QUEUE_FULL`, with this pause.
    Busy(Duration),
    /// `OUTCOME_UNKNOWN`, and nothing was written.
    UnknownNotWritten,
    /// `OUTCOME_UNKNOWN`, and all was written.
    UnknownWritten,
    /// `LOG_FROZEN`.
    Frozen,
    /// OK, and then one result too few.
    ShortAnswer,
}

/// How reads lie.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Lie {
    #[default]
    None,
    /// Every proof has a bit flipped.
    WrongProof,
    /// The answer is about the next index.
    WrongIndex,
    /// Entries have a byte changed.
    WrongEntry,
    /// Checkpoints state another root.
    OtherRoot,
    /// Consistency proofs are refused.
    NoConsistency,
}

#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) entries: Vec<Bytes>,
    pub(crate) keys: BTreeMap<Bytes, u64>,
    pub(crate) producers: BTreeMap<Bytes, (u64, u64)>,
    pub(crate) faults: VecDeque<Fault>,
    pub(crate) lie: Lie,
    /// Every append call: its entries with their keys.
    pub(crate) calls: Vec<Vec<(Bytes, Bytes)>>,
    /// After so many messages the append stream dies, with the message written or not.
    pub(crate) stream_dies: VecDeque<(usize, bool)>,
    pub(crate) streams_opened: usize,
    /// How many leaves the published checkpoint covers that a witness cosigned, if it publishes such.
    pub(crate) cosigned: Option<u64>,
}

#[derive(Clone, Debug)]
pub(crate) struct Fake {
    state: Arc<Mutex<State>>,
}

pub(crate) fn key() -> PrivateKey {
    PrivateKey::ed25519(KeyName::new(ORIGIN).unwrap(), &[7; 32])
}

pub(crate) fn trust() -> Trust {
    Trust::Keys(vec![key().verifier_key().clone()])
}

/// What evidence of a fork shows to anyone who has the log's key.
pub(crate) fn shown(fork: &log_client::fork::Fork) -> formats::Contradiction {
    fork.evidence().verify(&[key().verifier_key()]).unwrap().contradiction()
}

pub(crate) fn witness_key() -> PrivateKey {
    PrivateKey::cosigner_ed25519(KeyName::new("witness.example/w1").unwrap(), &[9; 32])
}

/// Believes this log if the witness has cosigned.
pub(crate) fn policy() -> Trust {
    let [log, witness] = [key(), witness_key()].map(|key| key.verifier_key().to_string());
    let policy = format!("log {log}\nwitness w1 {witness}\nquorum w1\n");
    Trust::Policy(formats::Policy::parse(policy.as_bytes()).unwrap())
}

pub(crate) fn numbered(range: std::ops::Range<u64>) -> Vec<Bytes> {
    range.map(|number| Bytes::from(format!("entry {number}"))).collect()
}

pub(crate) fn index(value: u64) -> LeafIndex {
    LeafIndex::new(value).unwrap()
}

pub(crate) fn size(value: u64) -> TreeSize {
    TreeSize::new(value).unwrap()
}

pub(crate) fn leaves(entries: &[Bytes]) -> Vec<Hash> {
    entries.iter().map(|entry| leaf_hash(entry)).collect()
}

pub(crate) fn root(leaves: &[Hash]) -> Hash {
    let mut range = CompactRange::empty();
    for leaf in leaves {
        range.append(*leaf);
    }
    range.root()
}

/// The checkpoint of a tree of these leaves.
pub(crate) fn note(leaves: &[Hash]) -> Vec<u8> {
    note_of(size(u64::try_from(leaves.len()).unwrap()), root(leaves))
}

pub(crate) fn note_of(size: TreeSize, root: Hash) -> Vec<u8> {
    let head = Checkpoint::new(Origin::new(ORIGIN).unwrap(), size, root);
    formats::sign(&head, &[&key()], Timestamp::ZERO).unwrap()
}

pub(crate) fn build(plan: &Plan, leaves: &[Hash]) -> Vec<Hash> {
    let node = |node: &merkle::NodeId| {
        let range = node.leaves();
        merkle::root_of(&leaves[position(range.start)..position(range.end)])
    };
    plan.build(&plan.nodes().iter().map(node).collect::<Vec<_>>()).unwrap()
}

fn position(index: u64) -> usize {
    usize::try_from(index).unwrap()
}

fn count(len: usize) -> u64 {
    u64::try_from(len).unwrap()
}

pub(crate) fn status(code: Code, reason: &str, pause: Option<Duration>) -> Status {
    let mut details = ErrorDetails::new();
    details.set_error_info(reason, "cairn.log.v1", std::collections::HashMap::new());
    if pause.is_some() {
        details.set_retry_info(pause);
    }
    Status::with_error_details(code, format!("told to: {reason}"), details)
}

impl Fake {
    /// Starts a server over these entries, and a client of it.
    pub(crate) async fn start(entries: Vec<Bytes>) -> (Self, Client) {
        let fake = Self { state: Arc::new(Mutex::new(State { entries, ..State::default() })) };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let service = LogServiceServer::new(fake.clone());
        tokio::spawn(
            tonic::transport::Server::builder()
                .add_service(service)
                .serve_with_incoming(TcpListenerStream::new(listener)),
        );
        (fake, Client::connect(&url, &ClientOptions::default()).unwrap())
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

impl State {
    fn write(&mut self, entry: &proto::Entry) -> (u64, bool) {
        if let Some(index) = self.keys.get(&entry.dedup_key) {
            return (*index, true);
        }
        let index = count(self.entries.len());
        self.entries.push(entry.data.clone());
        if !entry.dedup_key.is_empty() {
            self.keys.insert(entry.dedup_key.clone(), index);
        }
        (index, false)
    }

    fn leaves(&self) -> Vec<Hash> {
        leaves(&self.entries)
    }

    fn note(&self) -> Bytes {
        let leaves = self.leaves();
        let root = if self.lie == Lie::OtherRoot { Hash::EMPTY_ROOT } else { root(&leaves) };
        note_of(size(count(leaves.len())), root).into()
    }

    /// What readers and watchers are shown.
    fn published(&self) -> Bytes {
        let Some(covered) = self.cosigned else { return self.note() };
        let leaves = leaves(&self.entries[..position(covered)]);
        let head = Checkpoint::new(Origin::new(ORIGIN).unwrap(), size(covered), root(&leaves));
        let time = Timestamp::new(1_700_000_000).unwrap();
        formats::sign(&head, &[&key(), &witness_key()], time).unwrap().into()
    }

    fn proof(&self, plan: &Plan) -> Vec<Bytes> {
        let mut hashes: Vec<Vec<u8>> =
            build(plan, &self.leaves()).iter().map(|hash| hash.as_bytes().to_vec()).collect();
        if self.lie == Lie::WrongProof {
            for hash in &mut hashes {
                hash[0] ^= 1;
            }
        }
        hashes.into_iter().map(Bytes::from).collect()
    }

    fn range_receipt(&self, mut indexes: Vec<u64>) -> proto::RangeReceipt {
        indexes.sort_unstable();
        indexes.dedup();
        let end = size(count(self.entries.len()));
        let asked: Vec<LeafIndex> = indexes.iter().copied().map(index).collect();
        let plan = merkle::plan_batch_inclusion(&asked, end).unwrap();
        let shift = u64::from(self.lie == Lie::WrongIndex);
        proto::RangeReceipt {
            checkpoint: self.note(),
            indexes: indexes
                .into_iter()
                .map(|start| proto::IndexRange { start: start + shift, end: start + shift + 1 })
                .collect(),
            hashes: self.proof(&plan).concat().into(),
        }
    }

    fn read(&self, range: std::ops::Range<u64>) -> proto::EntryRange {
        let mut entries = self.entries[position(range.start)..position(range.end)].to_vec();
        if self.lie == Lie::WrongEntry {
            entries.fill(Bytes::from_static(b"other"));
        }
        let shift = u64::from(self.lie == Lie::WrongIndex);
        proto::EntryRange { first_index: range.start + shift, entries }
    }

    fn stream_items(
        &mut self,
        producer: &Bytes,
        items: &proto::append_stream_request::Items,
    ) -> proto::append_stream_response::Committed {
        let (mut last, mut last_index) = self.producers.get(producer).copied().unwrap_or_default();
        let first_index = count(self.entries.len());
        let from = last + 1;
        for (sequence, entry) in (items.first_sequence..).zip(&items.entries) {
            if sequence > last {
                assert_eq!(sequence, last + 1, "the client leaves no gap");
                last_index = self.write(entry).0;
                last = sequence;
            }
        }
        self.producers.insert(producer.clone(), (last, last_index));
        proto::append_stream_response::Committed {
            from_sequence: from,
            to_sequence: last,
            first_index,
            tree_size: count(self.entries.len()),
        }
    }
}

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

fn unused<T>() -> Result<Response<T>, Status> {
    Err(Status::unimplemented("not part of this fake"))
}

#[tonic::async_trait]
impl LogService for Fake {
    type AppendStreamStream = Answers<proto::AppendStreamResponse>;
    type WatchCheckpointsStream = Answers<proto::WatchCheckpointsResponse>;
    type GetEntriesStream = Answers<proto::GetEntriesResponse>;

    async fn append(
        &self,
        _: Request<proto::AppendRequest>,
    ) -> Result<Response<proto::AppendResponse>, Status> {
        unused()
    }

    async fn append_batch(
        &self,
        request: Request<proto::AppendBatchRequest>,
    ) -> Result<Response<proto::AppendBatchResponse>, Status> {
        let request = request.into_inner();
        let mut state = self.state();
        let call =
            request.entries.iter().map(|entry| (entry.data.clone(), entry.dedup_key.clone()));
        let call = call.collect();
        state.calls.push(call);
        let fault = state.faults.pop_front();
        let unknown = status(Code::Unavailable, "OUTCOME_UNKNOWN", None);
        match fault {
            Some(Fault::Busy(pause)) => {
                return Err(status(Code::ResourceExhausted, "QUEUE_FULL", Some(pause)));
            }
            Some(Fault::UnknownNotWritten) => return Err(unknown),
            Some(Fault::Frozen) => {
                return Err(status(Code::FailedPrecondition, "LOG_FROZEN", None));
            }
            Some(Fault::UnknownWritten | Fault::ShortAnswer) | None => {}
        }
        let written: Vec<_> = request.entries.iter().map(|entry| state.write(entry)).collect();
        if matches!(fault, Some(Fault::UnknownWritten)) {
            return Err(unknown);
        }
        let mut results: Vec<_> = written
            .iter()
            .map(|(leaf_index, duplicate)| proto::Appended {
                leaf_index: *leaf_index,
                duplicate: *duplicate,
            })
            .map(proto::append_result::Result::Appended)
            .map(|result| proto::AppendResult { result: Some(result) })
            .collect();
        if matches!(fault, Some(Fault::ShortAnswer)) {
            results.pop();
        }
        let signed = request.receipt == i32::from(proto::Receipt::Signed);
        let receipt =
            signed.then(|| state.range_receipt(written.iter().map(|(index, _)| *index).collect()));
        Ok(Response::new(proto::AppendBatchResponse {
            results,
            tree_size: count(state.entries.len()),
            receipt_reached: if signed { 2 } else { 1 },
            range_receipt: receipt,
        }))
    }

    async fn append_stream(
        &self,
        request: Request<Streaming<proto::AppendStreamRequest>>,
    ) -> Result<Response<Self::AppendStreamStream>, Status> {
        use proto::{append_stream_request as ask, append_stream_response as tell};
        let fake = self.clone();
        let dies = {
            let mut state = self.state();
            state.streams_opened += 1;
            state.stream_dies.pop_front()
        };
        let mut messages = 0;
        let mut producer = Bytes::new();
        let answers = request.into_inner().map(move |message| {
            let mut state = fake.state();
            let message = match message?.message.unwrap() {
                ask::Message::Open(open) => {
                    producer = open.producer_id;
                    let (last_sequence, last_index) =
                        state.producers.get(&producer).copied().unwrap_or_default();
                    tell::Message::Opened(tell::Opened { last_sequence, last_index })
                }
                ask::Message::Items(items) => {
                    messages += 1;
                    let dying = dies.is_some_and(|(after, _)| messages > after);
                    if dying && dies.is_some_and(|(_, written)| !written) {
                        return Err(Status::unavailable("told to die before the write"));
                    }
                    let committed = state.stream_items(&producer, &items);
                    if dying {
                        return Err(Status::unavailable("told to die after the write"));
                    }
                    tell::Message::Committed(committed)
                }
            };
            Ok(proto::AppendStreamResponse { message: Some(message) })
        });
        Ok(Response::new(Box::pin(answers)))
    }

    async fn get_receipt(
        &self,
        _: Request<proto::GetReceiptRequest>,
    ) -> Result<Response<proto::GetReceiptResponse>, Status> {
        unused()
    }

    async fn get_checkpoint(
        &self,
        _: Request<proto::GetCheckpointRequest>,
    ) -> Result<Response<proto::GetCheckpointResponse>, Status> {
        let checkpoint = self.state().published();
        Ok(Response::new(proto::GetCheckpointResponse {
            checkpoint,
            published_at: None,
            witnessed: None,
        }))
    }

    async fn list_checkpoints(
        &self,
        _: Request<proto::ListCheckpointsRequest>,
    ) -> Result<Response<proto::ListCheckpointsResponse>, Status> {
        unused()
    }

    async fn watch_checkpoints(
        &self,
        request: Request<proto::WatchCheckpointsRequest>,
    ) -> Result<Response<Self::WatchCheckpointsStream>, Status> {
        use proto::watch_checkpoints_response::{Message, NewCheckpoint};
        let from_size = request.into_inner().from_size;
        let state = self.state();
        let end = count(state.entries.len());
        let plan = merkle::plan_consistency(size(from_size), size(end)).unwrap();
        let consistency = state.proof(&plan);
        let checkpoint = NewCheckpoint { checkpoint: state.note(), from_size, consistency };
        let messages = [
            (end > from_size).then(|| Message::Entries(state.read(from_size..end))),
            Some(Message::Checkpoint(checkpoint)),
        ];
        let messages: Vec<_> = messages
            .into_iter()
            .flatten()
            .map(|message| Ok(proto::WatchCheckpointsResponse { message: Some(message) }))
            .collect();
        Ok(Response::new(Box::pin(tokio_stream::iter(messages))))
    }

    async fn get_inclusion_proof(
        &self,
        request: Request<proto::GetInclusionProofRequest>,
    ) -> Result<Response<proto::GetInclusionProofResponse>, Status> {
        use proto::get_inclusion_proof_request::Entry;
        let request = request.into_inner();
        let Some(Entry::LeafIndex(leaf_index)) = request.entry else { return unused() };
        let state = self.state();
        let (leaf, tree) = (index(leaf_index), size(request.tree_size));
        let plan = merkle::plan_inclusion(leaf, tree).unwrap();
        Ok(Response::new(proto::GetInclusionProofResponse {
            leaf_index,
            leaf_hash: state.leaves()[position(leaf_index)].as_bytes().to_vec().into(),
            tree_size: request.tree_size,
            hashes: state.proof(&plan),
            checkpoint: Bytes::new(),
        }))
    }

    async fn get_consistency_proof(
        &self,
        request: Request<proto::GetConsistencyProofRequest>,
    ) -> Result<Response<proto::GetConsistencyProofResponse>, Status> {
        let proto::GetConsistencyProofRequest { from_size, to_size, .. } = request.into_inner();
        let state = self.state();
        if state.lie == Lie::NoConsistency || to_size > count(state.entries.len()) {
            return Err(status(Code::OutOfRange, "BEYOND_SIZE", None));
        }
        let plan = merkle::plan_consistency(size(from_size), size(to_size)).unwrap();
        let (hashes, checkpoint) = (state.proof(&plan), Bytes::new());
        Ok(Response::new(proto::GetConsistencyProofResponse {
            from_size,
            to_size,
            hashes,
            checkpoint,
        }))
    }

    async fn get_batch_inclusion_proof(
        &self,
        request: Request<proto::GetBatchInclusionProofRequest>,
    ) -> Result<Response<proto::GetBatchInclusionProofResponse>, Status> {
        let proto::GetBatchInclusionProofRequest { leaf_indexes, tree_size, .. } =
            request.into_inner();
        let state = self.state();
        let indexes: Vec<LeafIndex> = leaf_indexes.into_iter().map(index).collect();
        let plan = merkle::plan_batch_inclusion(&indexes, size(tree_size)).unwrap();
        let leaves = state.leaves();
        let hash = |index: &LeafIndex| leaves[position(index.get())].as_bytes().to_vec().into();
        Ok(Response::new(proto::GetBatchInclusionProofResponse {
            tree_size,
            leaf_hashes: indexes.iter().map(hash).collect(),
            hashes: state.proof(&plan).concat().into(),
            checkpoint: Bytes::new(),
        }))
    }

    async fn get_entries(
        &self,
        request: Request<proto::GetEntriesRequest>,
    ) -> Result<Response<Self::GetEntriesStream>, Status> {
        let request = request.into_inner();
        let state = self.state();
        let proto::IndexRange { start, end } = request.range.unwrap();
        let end = if end == 0 { count(state.entries.len()) } else { end };
        if end > count(state.entries.len()) {
            return Err(status(Code::OutOfRange, "BEYOND_SIZE", None));
        }
        // Two answers, so that clients have to put ranges together.
        let middle = start + (end - start).div_ceil(2);
        let answers: Vec<_> = [start..middle, middle..end]
            .into_iter()
            .filter(|range| !range.is_empty())
            .map(|range| {
                Ok(proto::GetEntriesResponse {
                    range_receipt: Some(state.range_receipt(range.clone().collect())),
                    entries: Some(state.read(range)),
                })
            })
            .collect();
        Ok(Response::new(Box::pin(tokio_stream::iter(answers))))
    }

    async fn lookup_entry(
        &self,
        _: Request<proto::LookupEntryRequest>,
    ) -> Result<Response<proto::LookupEntryResponse>, Status> {
        unused()
    }

    async fn create_log(
        &self,
        _: Request<proto::CreateLogRequest>,
    ) -> Result<Response<proto::CreateLogResponse>, Status> {
        unused()
    }

    async fn get_log(
        &self,
        _: Request<proto::GetLogRequest>,
    ) -> Result<Response<proto::GetLogResponse>, Status> {
        unused()
    }

    async fn list_logs(
        &self,
        _: Request<proto::ListLogsRequest>,
    ) -> Result<Response<proto::ListLogsResponse>, Status> {
        unused()
    }

    async fn freeze_log(
        &self,
        _: Request<proto::FreezeLogRequest>,
    ) -> Result<Response<proto::FreezeLogResponse>, Status> {
        unused()
    }
}
