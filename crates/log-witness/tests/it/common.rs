//! A witness on a free port, with a clock that stands still, and logs that submit to it.

use std::fmt::Debug;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use base::clock::{Clock, ManualClock};
use bytes::Bytes;
use formats::{
    AddCheckpoint, Checkpoint, KeyName, Origin, PrivateKey, SignSubtree, SignedCheckpoint, Signer,
    Timestamp, VerifierKey, sign,
};
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use log_witness::config::{Config, SOURCES};
use log_witness::server::{Server, StartError};
use log_witness::witness::origin_path;
use merkle::{
    Hash, Subtree, TreeSize, leaf_hash, plan_consistency, plan_subtree_consistency, root_of,
};
use serve::config::Values;

use crate::eventually::{eventually, once};

pub(crate) const NOW_S: u64 = 1_700_000_000;

/// A running witness, and where it keeps things.
pub(crate) struct Node {
    pub(crate) server: Server,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) dir: tempfile::TempDir,
    http: Client<HttpConnector, Full<Bytes>>,
}

/// What was answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) content_type: String,
    pub(crate) body: String,
}

pub(crate) fn config(dir: &Path) -> Config {
    let mut values = Values::new(&SOURCES);
    let own = [
        ("listen", "127.0.0.1:0"),
        ("data_dir", dir.to_str().unwrap()),
        ("name", "example.com/witness"),
        ("logs_poll_ms", "1000"),
        // What is refused here stays undecided: gossip has tests of its own.
        ("gossip_interval_ms", "3600000"),
        ("signer_threads", "2"),
    ];
    for (key, value) in own {
        values.set(key, value).unwrap();
    }
    Config::new(&values.settings().unwrap(), |_| None).unwrap()
}

impl Node {
    /// A witness that knows these logs.
    pub(crate) async fn start(logs: &[&TestLog]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        for (number, log) in logs.iter().enumerate() {
            write_vkeys(dir.path(), &format!("log{number}"), &log.keys);
        }
        Self::start_in(dir).await.unwrap()
    }

    pub(crate) async fn start_in(dir: tempfile::TempDir) -> Result<Self, StartError> {
        let clock = Arc::new(ManualClock::new(NOW_S * 1_000));
        Self::start_at(dir, clock).await
    }

    pub(crate) async fn start_at(
        dir: tempfile::TempDir,
        clock: Arc<ManualClock>,
    ) -> Result<Self, StartError> {
        let shared = Arc::clone(&clock) as Arc<dyn Clock>;
        let server = Server::start_with(&config(dir.path()), shared).await?;
        let http = Client::builder(TokioExecutor::new()).build_http();
        Ok(Self { server, clock, dir, http })
    }

    /// Stops, and starts again over the same folder.
    pub(crate) async fn restart(self) -> Self {
        let (dir, clock) = self.stop().await;
        Self::start_at(dir, clock).await.unwrap()
    }

    pub(crate) async fn stop(mut self) -> (tempfile::TempDir, Arc<ManualClock>) {
        self.server.stop().await;
        (self.dir, self.clock)
    }

    pub(crate) async fn call(&self, method: Method, path: &str, body: Vec<u8>) -> Answer {
        let uri = format!("http://{}{path}", self.server.address());
        let request = Request::builder().method(method).uri(uri).body(Full::new(body.into()));
        let response = self.http.request(request.unwrap()).await.unwrap();
        let status = response.status().as_u16();
        let content_type = response.headers()["content-type"].to_str().unwrap().to_owned();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        Answer { status, content_type, body: String::from_utf8(body.to_vec()).unwrap() }
    }

    /// Sends a request with one more header; gives the status and all headers of the answer.
    pub(crate) async fn ask(
        &self,
        method: Method,
        path: &str,
        (name, value): (&str, &str),
    ) -> (u16, http::HeaderMap) {
        let uri = format!("http://{}{path}", self.server.address());
        let request = Request::builder().method(method).uri(uri).header(name, value);
        let request = request.body(Full::default()).unwrap();
        let (parts, _) = self.http.request(request).await.unwrap().into_parts();
        (parts.status.as_u16(), parts.headers)
    }

    pub(crate) async fn add(&self, body: Vec<u8>) -> Answer {
        self.call(Method::POST, "/add-checkpoint", body).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.call(Method::GET, path, Vec::new()).await
    }

    /// The monitoring route of a log.
    pub(crate) async fn held(&self, log: &TestLog) -> Answer {
        self.get(&format!("{}/checkpoint", origin_path(&log.origin()))).await
    }

    /// Submits and expects the cosignatures.
    pub(crate) async fn cosigned(&self, log: &TestLog, old: u64, size: u64) -> String {
        let answer = self.add(log.body(old, size)).await;
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
        answer.body
    }

    /// Lets the witness look at its folder of logs again, until `probe` sees what is waited for.
    pub(crate) async fn look_until<T, S: Debug>(
        &self,
        what: &str,
        mut probe: impl AsyncFnMut() -> Result<T, S>,
    ) -> T {
        eventually(what, Duration::from_mins(1), async || {
            self.clock.advance(Duration::from_secs(1));
            probe().await
        })
        .await
    }

    /// Submits again and again, until the status of the answer is `status`.
    pub(crate) async fn answers(&self, status: u16, body: &[u8]) {
        self.look_until(&format!("the answer is {status}"), async || {
            let answer = self.add(body.to_vec()).await;
            once(answer.status == status, answer)
        })
        .await;
    }

    pub(crate) fn vkeys(&self) -> Vec<VerifierKey> {
        self.server.verifier_keys().to_vec()
    }
}

pub(crate) fn write_vkeys(dir: &Path, name: &str, keys: &[PrivateKey]) -> PathBuf {
    let lines: Vec<String> = keys.iter().map(|key| format!("{}\n", key.verifier_key())).collect();
    write_log(dir, name, lines.concat().as_bytes())
}

pub(crate) fn write_log(dir: &Path, name: &str, content: &[u8]) -> PathBuf {
    base::durable::create_dir_all(&dir.join("logs"), 0o755).unwrap();
    let path = dir.join(format!("logs/{name}.vkey"));
    base::durable::replace(&path, content, 0o644).unwrap();
    path
}

/// A log whose every tree is known: its leaves follow from its tag.
pub(crate) struct TestLog {
    pub(crate) keys: Vec<PrivateKey>,
    tag: &'static str,
}

impl TestLog {
    pub(crate) fn new(name: &str) -> Self {
        let key = PrivateKey::ed25519(KeyName::new(name).unwrap(), &seed(name));
        Self { keys: vec![key], tag: "" }
    }

    /// The same history under other keys.
    pub(crate) fn with_keys(self, keys: Vec<PrivateKey>) -> Self {
        Self { keys, ..self }
    }

    /// The same keys over another history.
    pub(crate) fn fork(&self) -> Self {
        Self { tag: "fork", ..Self::new(self.origin().as_str()) }
    }

    pub(crate) fn with_ml_dsa(mut self) -> Self {
        let name = self.origin().key_name().unwrap();
        self.keys.push(PrivateKey::ml_dsa_44(name.clone(), &seed(&format!("{name} ml-dsa"))));
        self
    }

    pub(crate) fn origin(&self) -> Origin {
        self.keys[0].verifier_key().name().clone().into()
    }

    fn hash(&self, leaves: std::ops::Range<u64>) -> Hash {
        let leaf = |index| leaf_hash(format!("{} {index}", self.tag).as_bytes());
        root_of(&leaves.map(leaf).collect::<Vec<_>>())
    }

    pub(crate) fn root(&self, size: u64) -> Hash {
        if size == 0 { Hash::EMPTY_ROOT } else { self.hash(0..size) }
    }

    pub(crate) fn checkpoint(&self, size: u64) -> SignedCheckpoint {
        self.signed(size, self.root(size))
    }

    pub(crate) fn signed(&self, size: u64, root: Hash) -> SignedCheckpoint {
        let head = Checkpoint::new(self.origin(), TreeSize::new(size).unwrap(), root);
        let signers: Vec<&dyn Signer> = self.keys.iter().map(|key| key as &dyn Signer).collect();
        let note = sign(&head, &signers, Timestamp::new(NOW_S).unwrap()).unwrap();
        SignedCheckpoint::parse(&note).unwrap()
    }

    pub(crate) fn proof(&self, old: u64, size: u64) -> Vec<Hash> {
        if old == 0 {
            return Vec::new();
        }
        let plan = plan_consistency(TreeSize::new(old).unwrap(), TreeSize::new(size).unwrap());
        let plan = plan.unwrap();
        let nodes: Vec<Hash> = plan.nodes().iter().map(|node| self.hash(node.leaves())).collect();
        plan.build(&nodes).unwrap()
    }

    pub(crate) fn body(&self, old: u64, size: u64) -> Vec<u8> {
        submission(old, self.proof(old, size), self.checkpoint(size))
    }

    pub(crate) fn subtree(&self, leaves: std::ops::Range<u64>, note: &[u8]) -> SignSubtree {
        let reference = SignedCheckpoint::parse(note).unwrap();
        let subtree = Subtree::new(leaves.clone()).unwrap();
        let plan = plan_subtree_consistency(subtree, reference.size()).unwrap();
        let nodes: Vec<Hash> = plan.nodes().iter().map(|node| self.hash(node.leaves())).collect();
        let proof = plan.build(&nodes).unwrap();
        SignSubtree::new(subtree, self.hash(leaves), proof, reference).unwrap()
    }
}

pub(crate) fn submission(old: u64, proof: Vec<Hash>, checkpoint: SignedCheckpoint) -> Vec<u8> {
    AddCheckpoint::new(TreeSize::new(old).unwrap(), proof, checkpoint).unwrap().format()
}

fn seed(name: &str) -> [u8; 32] {
    leaf_hash(name.as_bytes()).into_bytes()
}
