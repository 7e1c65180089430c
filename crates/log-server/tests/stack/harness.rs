//! A server on a free port of loopback over a real store, and its callers: a raw tonic client and plain
//! HTTP.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use formats::{SignedCheckpoint, Trust, VerifiedCheckpoint};
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client as HttpClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use log_proto::log_v1 as pb;
use log_proto::log_v1::log_service_client::LogServiceClient;

use base::clock::{ManualClock, SystemClock};
use log_server::config::{Config, SOURCES};
use log_server::server::{Server, StartError};
use merkle::{Hash, LeafIndex, TreeSize, leaf_hash};
use serve::config::Values;
use storage::StorageError;
use storage::faulty::FaultyEngine;
use storage_rocksdb::RocksEngine;
use tonic::transport::Channel;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

/// The log that a first start makes.
pub(crate) const LOG: &str = "default";

/// How long a test waits for what must come at some time. Nothing depends on it but how soon it fails.
const PATIENCE: Duration = Duration::from_mins(1);

/// A running server and its callers.
pub(crate) struct Stack {
    pub(crate) server: Server,
    pub(crate) client: LogServiceClient<Channel>,
    pub(crate) channel: Channel,
    http: HttpClient<HttpConnector, Full<Bytes>>,
    data: tempfile::TempDir,
}

fn config(data: &tempfile::TempDir, settings: &[(&str, &str)]) -> Config {
    let mut values = Values::new(&SOURCES);
    let folder = data.path().to_str().unwrap();
    let own = [("listen", "127.0.0.1:0"), ("data_dir", folder), ("min_free_bytes", "0")];
    for (key, value) in own.iter().chain(settings) {
        values.set(key, value).unwrap();
    }
    Config::new(&values.settings().unwrap(), |_| None).unwrap()
}

/// Starts a server. The tasks of one before it let go of the store a moment after it has stopped.
pub(crate) async fn start(
    data: &tempfile::TempDir,
    settings: &[(&str, &str)],
) -> Result<Server, StartError> {
    let config = config(data, settings);
    let started = async {
        loop {
            match Server::start(&config).await {
                Err(StartError::Storage(StorageError::InUse { .. })) => {
                    tokio::task::yield_now().await;
                }
                result => return result,
            }
        }
    };
    tokio::time::timeout(PATIENCE, started).await.unwrap()
}

impl Stack {
    /// With the defaults.
    pub(crate) async fn new() -> Self {
        Self::with(&[]).await
    }

    pub(crate) async fn with(settings: &[(&str, &str)]) -> Self {
        Self::over(tempfile::tempdir().unwrap(), settings).await
    }

    /// Over a data folder that may hold something already.
    pub(crate) async fn over(data: tempfile::TempDir, settings: &[(&str, &str)]) -> Self {
        let server = start(&data, settings).await.unwrap();
        Self::connect(data, server).await
    }

    /// On RocksDB whose syncs and free space the test has in its hand.
    pub(crate) async fn faulty(settings: &[(&str, &str)]) -> (Self, Arc<FaultyEngine>) {
        let data = tempfile::tempdir().unwrap();
        let config = config(&data, settings);
        let rocks = RocksEngine::open(&config.db_dir(), &config.storage).unwrap();
        let engine = Arc::new(FaultyEngine::new(Arc::new(rocks)));
        let store = Arc::<FaultyEngine>::clone(&engine);
        let clock = Arc::new(SystemClock::new());
        let server = Server::start_on(&config, store, clock).await.unwrap();
        (Self::connect(data, server).await, engine)
    }

    /// On a clock that the test moves.
    pub(crate) async fn on_clock(clock: &Arc<ManualClock>) -> Self {
        Self::over_on_clock(tempfile::tempdir().unwrap(), clock).await
    }

    /// As [`Self::on_clock`], over a data folder that may hold something already.
    pub(crate) async fn over_on_clock(data: tempfile::TempDir, clock: &Arc<ManualClock>) -> Self {
        let config = config(&data, &[]);
        let opened = async {
            loop {
                match RocksEngine::open(&config.db_dir(), &config.storage) {
                    Err(StorageError::InUse { .. }) => tokio::task::yield_now().await,
                    result => return result.unwrap(),
                }
            }
        };
        let engine = Arc::new(tokio::time::timeout(PATIENCE, opened).await.unwrap());
        let clock = Arc::<ManualClock>::clone(clock);
        let server = Server::start_on(&config, engine, clock).await.unwrap();
        Self::connect(data, server).await
    }

    /// The server's folder.
    pub(crate) fn data(&self) -> &std::path::Path {
        self.data.path()
    }

    async fn connect(data: tempfile::TempDir, server: Server) -> Self {
        let url = format!("http://{}", server.address());
        let channel = Channel::from_shared(url).unwrap().connect().await.unwrap();
        let client = LogServiceClient::new(channel.clone())
            .max_decoding_message_size(32 << 20)
            .max_encoding_message_size(32 << 20);
        let http = HttpClient::builder(TokioExecutor::new()).build_http();
        Self { server, client, channel, http, data }
    }

    /// Stops the server, and gives its data.
    pub(crate) async fn stop(self) -> tempfile::TempDir {
        let Self { mut server, client, channel, http, data } = self;
        drop((client, channel, http));
        server.stop().await;
        data
    }

    pub(crate) async fn append(
        &mut self,
        data: &[u8],
        receipt: pb::Receipt,
    ) -> Result<pb::AppendResponse, Status> {
        self.append_to(LOG, entry(data), receipt).await
    }

    pub(crate) async fn append_to(
        &mut self,
        log: &str,
        entry: pb::Entry,
        receipt: pb::Receipt,
    ) -> Result<pb::AppendResponse, Status> {
        let request = append_request(log, entry, receipt);
        self.client.append(request).await.map(tonic::Response::into_inner)
    }

    /// Appends `count` entries made by [`numbered`] in one call, from `first` on.
    pub(crate) async fn fill(&mut self, first: u64, count: u64) {
        let entries = (first..first + count).map(|number| entry(&numbered(number))).collect();
        let request = batch_request(entries, pb::Receipt::Signed);
        let answer = self.client.append_batch(request).await.unwrap().into_inner();
        assert_eq!(answer.tree_size, first + count);
    }

    pub(crate) async fn describe(&mut self, log: &str) -> Result<pb::Log, Status> {
        let request = pb::GetLogRequest { log: log.to_owned() };
        Ok(self.client.get_log(request).await?.into_inner().log.unwrap())
    }

    /// What somebody with the log's keys believes.
    pub(crate) async fn trust(&mut self, log: &str) -> Trust {
        let keys = self.describe(log).await.unwrap().vkeys.join("\n") + "\n";
        Trust::Keys(formats::key::parse_vkeys(&keys).unwrap())
    }

    /// Waits until the published checkpoint covers `size`, and gives it.
    pub(crate) async fn published(&self, log: &str, size: u64) -> Bytes {
        let name = storage::LogName::new(log).unwrap();
        let log = self.server.registry().log(name.as_str()).unwrap();
        let mut watch = log.watch_published();
        let reached = watch.wait_for(|published| published.head.size.get() >= size);
        let reached = tokio::time::timeout(PATIENCE, reached).await.unwrap();
        reached.unwrap().note.clone()
    }

    pub(crate) fn uri(&self, path: &str) -> String {
        format!("http://{}{path}", self.server.address())
    }

    pub(crate) async fn get(&self, path: &str, headers: &[(&str, &str)]) -> http::Response<Bytes> {
        let mut request = http::Request::get(self.uri(path));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.send(request.body(Full::default()).unwrap()).await
    }

    pub(crate) async fn post(&self, path: &str, body: Vec<u8>) -> http::Response<Bytes> {
        self.send(http::Request::post(self.uri(path)).body(Full::new(body.into())).unwrap()).await
    }

    pub(crate) async fn send(&self, request: http::Request<Full<Bytes>>) -> http::Response<Bytes> {
        let (parts, body) = self.http.request(request).await.unwrap().into_parts();
        http::Response::from_parts(parts, body.collect().await.unwrap().to_bytes())
    }
}

pub(crate) fn entry(data: &[u8]) -> pb::Entry {
    pb::Entry { data: Bytes::copy_from_slice(data), dedup_key: Bytes::new() }
}

pub(crate) fn keyed(data: &[u8], key: &[u8]) -> pb::Entry {
    pb::Entry { data: Bytes::copy_from_slice(data), dedup_key: Bytes::copy_from_slice(key) }
}

/// The entry that [`Stack::fill`] puts at an index.
pub(crate) fn numbered(number: u64) -> Vec<u8> {
    format!("entry {number}").into_bytes()
}

pub(crate) fn append_request(
    log: &str,
    entry: pb::Entry,
    receipt: pb::Receipt,
) -> pb::AppendRequest {
    let receipt = receipt.into();
    pb::AppendRequest { log: log.to_owned(), entry: Some(entry), receipt, receipt_wait: None }
}

pub(crate) fn batch_request(
    entries: Vec<pb::Entry>,
    receipt: pb::Receipt,
) -> pb::AppendBatchRequest {
    let receipt = receipt.into();
    pb::AppendBatchRequest { log: LOG.to_owned(), entries, receipt, receipt_wait: None }
}

pub(crate) fn at(index: u64) -> LeafIndex {
    LeafIndex::new(index).unwrap()
}

pub(crate) fn size(size: u64) -> TreeSize {
    TreeSize::new(size).unwrap()
}

/// Hashes that a message lists one by one.
pub(crate) fn hashes(listed: &[Bytes]) -> Vec<Hash> {
    listed.iter().map(|hash| Hash::try_from(&hash[..]).unwrap()).collect()
}

/// Hashes that a message holds in one piece.
pub(crate) fn joined(bytes: &Bytes) -> Vec<Hash> {
    assert_eq!(bytes.len() % Hash::LEN, 0);
    bytes.chunks(Hash::LEN).map(|hash| Hash::try_from(hash).unwrap()).collect()
}

pub(crate) fn verified(note: &[u8], trust: &Trust) -> VerifiedCheckpoint {
    trust.verify(&SignedCheckpoint::parse(note).unwrap()).unwrap()
}

/// The root of the tree over the entries that [`Stack::fill`] makes, computed here.
pub(crate) fn root_of_numbered(count: u64) -> Hash {
    let mut tree = merkle::CompactRange::empty();
    (0..count).for_each(|number| tree.append(leaf_hash(&numbered(number))));
    tree.root()
}

/// The checkpoint of a range receipt, once it proves exactly `leaves`, and nothing else.
pub(crate) fn proven(
    receipt: &pb::RangeReceipt,
    leaves: &[(LeafIndex, Hash)],
    trust: &Trust,
) -> VerifiedCheckpoint {
    let head = verified(&receipt.checkpoint, trust);
    let indexes = receipt.indexes.iter().flat_map(|range| range.start..range.end);
    assert!(indexes.eq(leaves.iter().map(|(index, _)| index.get())), "{:?}", receipt.indexes);
    let proof = joined(&receipt.hashes);
    merkle::verify_batch_inclusion(leaves, head.size(), &proof, head.root()).unwrap();
    let mut other = leaves.to_vec();
    other[0].1 = leaf_hash(b"an entry that is not in the log");
    let other = merkle::verify_batch_inclusion(&other, head.size(), &proof, head.root());
    assert!(other.is_err(), "a receipt that proves any entry");
    head
}

/// The leaves of the entries that [`Stack::fill`] makes.
pub(crate) fn numbered_leaves(indexes: impl IntoIterator<Item = u64>) -> Vec<(LeafIndex, Hash)> {
    indexes.into_iter().map(|index| (at(index), leaf_hash(&numbered(index)))).collect()
}

/// Code and `ErrorInfo` reason of a refusal, which every refusal has.
pub(crate) fn refused(status: &Status) -> (Code, String) {
    let info = status.get_details_error_info();
    let info = info.unwrap_or_else(|| panic!("every error has a reason: {status:?}"));
    assert_eq!(info.domain, "cairn.log.v1");
    (status.code(), info.reason)
}

/// Code, reason, and the field at fault, which must be in `BadRequest`.
pub(crate) fn refused_field(status: &Status) -> (Code, String, String) {
    let (code, reason) = refused(status);
    let bad = status.get_details_bad_request();
    let bad = bad.unwrap_or_else(|| panic!("the field is named: {status:?}"));
    (code, reason, bad.field_violations[0].field.clone())
}

/// How long a refusal says to wait, which must be in `RetryInfo`.
pub(crate) fn retry_after(status: &Status) -> Duration {
    let retry = status.get_details_retry_info().and_then(|info| info.retry_delay);
    retry.unwrap_or_else(|| panic!("how long to wait is named: {status:?}"))
}

/// What [`refused_field`] must give.
pub(crate) fn at_fault(code: Code, reason: &str, field: &str) -> (Code, String, String) {
    (code, reason.to_owned(), field.to_owned())
}

/// What [`refused`] must give.
pub(crate) fn because(code: Code, reason: &str) -> (Code, String) {
    (code, reason.to_owned())
}
