//! A server on a free port of loopback, what is sent to it, and what its logs hold.

use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use audit_trail::StoredEvent;
use base::clock::{ManualClock, SystemClock};
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::{HeaderMap, Request};
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client as HttpClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use log_server::config::{Config, SOURCES};
use log_server::server::{Server, StartError};
use merkle::LeafIndex;
use serde_json::Value;
use serve::config::Values;
use storage::StorageError;
use storage::faulty::FaultyEngine;
use storage_rocksdb::RocksEngine;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// How long a test waits for what must come at some time.
const PATIENCE: Duration = Duration::from_mins(1);

/// A running server.
pub(crate) struct Rig {
    pub(crate) server: Server,
    http: HttpClient<HttpConnector, Full<Bytes>>,
    data: TempDir,
}

/// An answer over HTTP.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// An event as a log holds it.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    /// Its members, without RAW.
    pub(crate) members: Value,
    pub(crate) raw: Option<Vec<u8>>,
}

impl Answer {
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("{self:?}"))
    }

    pub(crate) fn retry_after(&self) -> u64 {
        self.headers["retry-after"].to_str().unwrap().parse().unwrap()
    }
}

impl Seen {
    /// The text at a pointer; empty if there is none.
    pub(crate) fn text(&self, pointer: &str) -> &str {
        self.members.pointer(pointer).and_then(Value::as_str).unwrap_or("")
    }

    pub(crate) fn texts(&self, pointer: &str) -> Vec<&str> {
        let list = self.members.pointer(pointer).and_then(Value::as_array);
        list.into_iter().flatten().filter_map(Value::as_str).collect()
    }

    pub(crate) fn flags(&self) -> Vec<&str> {
        self.texts("/flags")
    }

    pub(crate) fn raw(&self) -> &str {
        std::str::from_utf8(self.raw.as_deref().unwrap_or_default()).unwrap()
    }

    /// The quarantined items that a `source.malformed` names.
    pub(crate) fn items(&self) -> &str {
        self.text("/metadata/items")
    }
}

fn values(data: &Path, settings: &[(&str, &str)]) -> Values {
    let mut values = Values::new(&SOURCES);
    let own =
        [("listen", "127.0.0.1:0"), ("data_dir", data.to_str().unwrap()), ("min_free_bytes", "0")];
    for (key, value) in own.iter().chain(settings) {
        values.set(key, value).unwrap();
    }
    values
}

fn checked(values: &Values) -> Config {
    Config::new(&values.settings().unwrap(), |_| None).unwrap()
}

impl Rig {
    pub(crate) async fn new() -> Self {
        Self::with(&[]).await
    }

    pub(crate) async fn with(settings: &[(&str, &str)]) -> Self {
        Self::over(tempfile::tempdir().unwrap(), settings).await
    }

    /// Over a data folder that may hold something already.
    pub(crate) async fn over(data: TempDir, settings: &[(&str, &str)]) -> Self {
        let config = checked(&values(data.path(), settings));
        Self::started(data, &config).await
    }

    /// With more settings, as a file has them.
    pub(crate) async fn configured(text: &str) -> Self {
        let data = tempfile::tempdir().unwrap();
        let mut values = values(data.path(), &[]);
        values.read_text(Path::new("test.toml"), text).unwrap();
        let config = checked(&values);
        Self::started(data, &config).await
    }

    async fn started(data: TempDir, config: &Config) -> Self {
        let started = async {
            loop {
                match Server::start(config).await {
                    Err(StartError::Storage(StorageError::InUse { .. })) => {
                        tokio::task::yield_now().await;
                    }
                    result => return result.unwrap(),
                }
            }
        };
        let server = tokio::time::timeout(PATIENCE, started).await.unwrap();
        Self::of(data, server)
    }

    /// On a store whose syncs and free space the test has in its hand.
    pub(crate) async fn faulty(settings: &[(&str, &str)]) -> (Self, Arc<FaultyEngine>) {
        let data = tempfile::tempdir().unwrap();
        let config = checked(&values(data.path(), settings));
        let rocks = RocksEngine::open(&config.db_dir(), &config.storage).unwrap();
        let engine = Arc::new(FaultyEngine::new(Arc::new(rocks)));
        let store = Arc::<FaultyEngine>::clone(&engine);
        let server = Server::start_on(&config, store, Arc::new(SystemClock::new())).await.unwrap();
        (Self::of(data, server), engine)
    }

    /// On a clock that the test moves.
    pub(crate) async fn on_clock(clock: &Arc<ManualClock>, settings: &[(&str, &str)]) -> Self {
        let data = tempfile::tempdir().unwrap();
        let config = checked(&values(data.path(), settings));
        let engine = Arc::new(RocksEngine::open(&config.db_dir(), &config.storage).unwrap());
        let clock = Arc::<ManualClock>::clone(clock);
        let server = Server::start_on(&config, engine, clock).await.unwrap();
        Self::of(data, server)
    }

    fn of(data: TempDir, server: Server) -> Self {
        let http = HttpClient::builder(TokioExecutor::new()).build_http();
        Self { server, http, data }
    }

    /// Stops the server, and gives its data.
    pub(crate) async fn stop(self) -> TempDir {
        let Self { mut server, http, data } = self;
        drop(http);
        server.stop().await;
        data
    }

    pub(crate) fn data(&self) -> &Path {
        self.data.path()
    }

    pub(crate) async fn post(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Answer {
        self.ask("POST", path, headers, body).await
    }

    pub(crate) async fn ask(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Answer {
        let uri = format!("http://{}{path}", self.server.address());
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(body.into())).unwrap();
        let (parts, body) = self.http.request(request).await.unwrap().into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Answer { status: parts.status.as_u16(), headers: parts.headers, body }
    }

    /// Sends bytes on a connection of their own, and reads to its end.
    pub(crate) async fn raw(&self, bytes: &[u8]) -> String {
        let mut stream = TcpStream::connect(self.server.address()).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    /// How many events a log has.
    pub(crate) fn size(&self, log: &str) -> u64 {
        self.server.registry().log(log).unwrap().tree().head.size.get()
    }

    /// Every event of a log.
    pub(crate) fn events(&self, log: &str) -> Vec<Seen> {
        let log = self.server.registry().log(log).unwrap();
        let seen = |index| {
            let stored = StoredEvent::read(&log, LeafIndex::new(index).unwrap()).unwrap();
            assert!(stored.damaged.is_empty());
            let raw = stored.blocks.iter().find(|block| block.tag == audit_event::Tag::Raw);
            let raw = raw.map(|block| block.bytes.clone());
            let members = audit_api::shown::listed(stored, false);
            let members = audit_event::text::write(&members);
            Seen { members: serde_json::from_str(&members).unwrap(), raw }
        };
        (0..log.tree().head.size.get()).map(seen).collect()
    }

    /// The events of the log `audit` of others, and those of the server.
    pub(crate) fn sorted(&self) -> (Vec<Seen>, Vec<Seen>) {
        let events = self.events("audit").into_iter();
        events.partition(|event| !event.text("/source").starts_with("cairn:"))
    }

    /// The events of others in the log `audit`.
    pub(crate) fn taken(&self) -> Vec<Seen> {
        self.sorted().0
    }

    /// What was quarantined in the log `audit`.
    pub(crate) fn malformed(&self) -> Vec<Seen> {
        let own = self.sorted().1;
        assert!(own.iter().all(|event| event.text("/action") == "source.malformed"));
        own
    }

    /// Waits until a log has so many events.
    pub(crate) async fn until(&self, log: &str, size: u64) {
        let grown = async {
            while self.size(log) < size {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        tokio::time::timeout(PATIENCE, grown).await.unwrap();
        assert_eq!(self.size(log), size);
    }
}

pub(crate) fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}
