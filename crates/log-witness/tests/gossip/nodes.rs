//! Witnesses as processes, a log that may lie, and cables that can be cut.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use formats::{
    AddCheckpoint, Checkpoint, KeyName, Origin, PrivateKey, SignedCheckpoint, Timestamp,
};
use log_proto::gossip_v1 as pb;
use log_proto::gossip_v1::gossip_service_client::GossipServiceClient;
use merkle::{Frontier, Hash, TreeSize, leaf_hash, tile};
use sha2::{Digest as _, Sha256};

use crate::eventually::{eventually, once};

/// Far beyond any bound that is tested: a debug build on a busy machine.
pub(crate) const WITHIN: Duration = Duration::from_secs(90);
/// The file in a node's folder with what are the machine's certificate authorities to it.
pub(crate) const AUTHORITIES: &str = "authorities.pem";
pub(crate) const ORIGIN: &str = "example.com/log";

pub(crate) fn key() -> PrivateKey {
    PrivateKey::ed25519(KeyName::new(ORIGIN).unwrap(), &[1; 32])
}

pub(crate) fn origin_hash() -> [u8; 32] {
    Sha256::digest(ORIGIN.as_bytes()).into()
}

/// The leaves of one history: `shared` that all histories have, then its own.
pub(crate) fn history(name: &str, shared: usize, size: usize) -> Vec<Hash> {
    let leaf = |at: usize| {
        let history = if at < shared { "" } else { name };
        leaf_hash(format!("{history} {at}").as_bytes())
    };
    (0..size).map(leaf).collect()
}

/// The head of a history, signed with the log's own key.
pub(crate) fn head(leaves: &[Hash]) -> SignedCheckpoint {
    signed(ORIGIN, leaves, &key())
}

/// The head of a history of another log.
pub(crate) fn head_of(origin: &str, leaves: &[Hash]) -> SignedCheckpoint {
    signed(origin, leaves, &key_of(origin))
}

pub(crate) fn key_of(origin: &str) -> PrivateKey {
    PrivateKey::ed25519(KeyName::new(origin).unwrap(), &Sha256::digest(origin).into())
}

fn size_and_root(leaves: &[Hash]) -> (u64, Hash) {
    (u64::try_from(leaves.len()).unwrap(), merkle::root_of(leaves))
}

fn signed(origin: &str, leaves: &[Hash], key: &PrivateKey) -> SignedCheckpoint {
    let size = TreeSize::new(u64::try_from(leaves.len()).unwrap()).unwrap();
    let head = Checkpoint::new(Origin::new(origin).unwrap(), size, merkle::root_of(leaves));
    let note = formats::sign(&head, &[key], Timestamp::ZERO).unwrap();
    SignedCheckpoint::parse(&note).unwrap()
}

/// Has a witness that will be started in `dir` know another log, whose tiles are at `tiles`.
pub(crate) fn add_log(dir: &Path, origin: &str, tiles: &[&str]) {
    let name = dir.join("logs").join(origin.replace('/', "-"));
    fs::create_dir_all(dir.join("logs")).unwrap();
    let vkey = format!("{}\n", key_of(origin).verifier_key());
    let path = |kind| format!("{}.{kind}", name.display());
    File::create(path("vkey")).unwrap().write_all(vkey.as_bytes()).unwrap();
    if !tiles.is_empty() {
        File::create(path("url")).unwrap().write_all(tiles.join("\n").as_bytes()).unwrap();
    }
}

/// The public tiles of a log: whatever history was published last.
pub(crate) struct Tiles {
    dir: tempfile::TempDir,
    pub(crate) url: String,
}

impl Tiles {
    pub(crate) fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().to_owned();
        let answer = move |path: &str, _: &[u8]| fs::read(root.join(path.trim_start_matches('/')));
        let url = serve(move |path, body| answer(path, body).ok());
        Self { dir, url }
    }

    pub(crate) fn publish(&self, leaves: &[Hash]) {
        let mut frontier = Frontier::new();
        let full = frontier.append(leaves);
        let partial = tile::partial_tiles(frontier.size())
            .map(|(coord, width)| (coord, width, frontier.partial(coord.level).to_vec()));
        let full = full.into_iter().map(|(coord, row)| (coord, 256, row.to_vec()));
        for (coord, width, row) in full.chain(partial) {
            let path = tile::TilePath::new(coord, width).unwrap().to_string();
            let path = self.dir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            File::create(path).unwrap().write_all(&tile::encode(&row)).unwrap();
        }
    }
}

/// Answers every request on a free port with 200 and what `answer` gives for its path and body, or 404.
pub(crate) fn serve(
    answer: impl Fn(&str, &[u8]) -> Option<Vec<u8>> + Send + Sync + 'static,
) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let answer = Arc::new(answer);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let answer = Arc::clone(&answer);
            std::thread::spawn(move || drop(answer_one(stream, &*answer)));
        }
    });
    url
}

fn answer_one(
    stream: TcpStream,
    answer: &impl Fn(&str, &[u8]) -> Option<Vec<u8>>,
) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let (mut first, mut length) = (String::new(), 0);
    reader.read_line(&mut first)?;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let line = line.to_ascii_lowercase();
        if let Some(digits) = line.strip_prefix("content-length:") {
            length = digits.trim().parse().unwrap();
        }
        if line.trim().is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let path = first.split(' ').nth(1).unwrap_or_default();
    let (status, body) = match answer(path, &body) {
        Some(body) => ("200 OK", body),
        None => ("404 Not Found", Vec::new()),
    };
    let head =
        format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
    reader.get_mut().write_all(&[head.as_bytes(), &body].concat())
}

/// A cable to an address, which can be cut and joined again, and listened in on.
pub(crate) struct Cable {
    pub(crate) url: String,
    joined: Arc<AtomicBool>,
    connections: Arc<Mutex<Vec<TcpStream>>>,
    heard: Arc<Mutex<Vec<u8>>>,
}

impl Cable {
    pub(crate) fn to(url: &str) -> Self {
        let target: SocketAddr = url.strip_prefix("http://").unwrap().parse().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let joined = Arc::new(AtomicBool::new(true));
        let connections: Arc<Mutex<Vec<TcpStream>>> = Arc::default();
        let heard: Arc<Mutex<Vec<u8>>> = Arc::default();
        let (open, kept) = (Arc::clone(&joined), Arc::clone(&connections));
        let ear = Arc::clone(&heard);
        std::thread::spawn(move || {
            for near in listener.incoming().flatten() {
                if !open.load(Ordering::SeqCst) {
                    continue;
                }
                let Ok(far) = TcpStream::connect(target) else { continue };
                let ends = [near.try_clone(), far.try_clone()].map(Result::unwrap);
                kept.lock().unwrap().extend(ends);
                pump(near.try_clone().unwrap(), far.try_clone().unwrap(), Arc::clone(&ear));
                pump(far, near, Arc::clone(&ear));
            }
        });
        Self { url, joined, connections, heard }
    }

    /// Whether these bytes went over it in clear.
    pub(crate) fn heard(&self, bytes: &[u8]) -> bool {
        self.heard.lock().unwrap().windows(bytes.len()).any(|window| window == bytes)
    }

    pub(crate) fn heard_bytes(&self) -> usize {
        self.heard.lock().unwrap().len()
    }

    pub(crate) fn cut(&self) {
        self.joined.store(false, Ordering::SeqCst);
        for end in self.connections.lock().unwrap().drain(..) {
            drop(end.shutdown(std::net::Shutdown::Both));
        }
    }

    pub(crate) fn join(&self) {
        self.joined.store(true, Ordering::SeqCst);
    }
}

fn pump(mut from: TcpStream, mut to: TcpStream, heard: Arc<Mutex<Vec<u8>>>) {
    std::thread::spawn(move || {
        let mut bytes = [0; 16 * 1024];
        while let Ok(read) = from.read(&mut bytes)
            && read > 0
        {
            heard.lock().unwrap().extend_from_slice(&bytes[..read]);
            if to.write_all(&bytes[..read]).is_err() {
                break;
            }
        }
        drop(to.shutdown(std::net::Shutdown::Both));
    });
}

/// A witness in a process of its own. Killed when dropped.
pub(crate) struct Node {
    pub(crate) url: String,
    data: PathBuf,
    arguments: Vec<String>,
    child: Child,
}

impl Node {
    /// Starts a witness of the log, whose tiles are at `tiles`, on a free port.
    pub(crate) fn start(dir: &Path, tiles: Option<&str>, peers: &[&str], more: &[&str]) -> Self {
        let logs = dir.join("logs");
        fs::create_dir_all(&logs).unwrap();
        let put = |name: &str, text: String| {
            File::create(logs.join(name)).unwrap().write_all(text.as_bytes()).unwrap();
        };
        put("log.vkey", format!("{}\n", key().verifier_key()));
        if let Some(tiles) = tiles {
            put("log.url", format!("{tiles}\n"));
        }
        let more: Vec<&str> = ["--gossip-interval-ms", "100"].iter().chain(more).copied().collect();
        Self::start_by_default(dir, peers, &more)
    }

    /// Starts a witness of the logs that `dir` has, with the default settings for what `more` leaves out.
    pub(crate) fn start_by_default(dir: &Path, peers: &[&str], more: &[&str]) -> Self {
        let mut arguments: Vec<String> = more.iter().map(ToString::to_string).collect();
        for peer in peers {
            arguments.extend(["--peer".to_owned(), (*peer).to_owned()]);
        }
        let (child, url) = spawn(dir, &arguments, "127.0.0.1:0");
        Self { url, data: dir.to_owned(), arguments, child }
    }

    /// `kill -9`, and a new process on the same address.
    pub(crate) fn restart(&mut self) {
        self.kill();
        let listen = self.url.strip_prefix("http://").unwrap().to_owned();
        (self.child, self.url) = spawn(&self.data, &self.arguments, &listen);
    }

    pub(crate) fn kill(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }

    /// Its pin, as peers are given it.
    pub(crate) fn pin(&self) -> String {
        fs::read_to_string(self.data.join("keys/tls.pin")).unwrap().trim_end().to_owned()
    }

    /// What it has said.
    pub(crate) fn stderr(&self) -> String {
        fs::read_to_string(self.data.join("stderr")).unwrap()
    }

    /// Runs a subcommand over this node's data.
    pub(crate) fn command(&self, arguments: &[&str]) -> std::process::Output {
        Command::new(env!("CARGO_BIN_EXE_cairn-witness"))
            .args(arguments)
            .arg("--data-dir")
            .arg(&self.data)
            .output()
            .unwrap()
    }

    /// Submits a head as the log's first contact, or after the `old` size that was cosigned.
    pub(crate) fn add(&self, leaves: &[Hash], old: usize) -> (u16, String) {
        let from = TreeSize::new(u64::try_from(old).unwrap()).unwrap();
        let head = head(leaves);
        let plan = merkle::plan_consistency(from, head.size()).unwrap();
        let node = |node: &merkle::NodeId| {
            let range = node.leaves();
            let [start, end] = [range.start, range.end].map(|at| usize::try_from(at).unwrap());
            merkle::root_of(&leaves[start..end])
        };
        let proof = plan.build(&plan.nodes().iter().map(node).collect::<Vec<_>>()).unwrap();
        let body = AddCheckpoint::new(from, proof, head).unwrap().format();
        self.http("POST", "/add-checkpoint", &body)
    }

    /// Submits a head as its log's first contact.
    pub(crate) fn add_first(&self, head: SignedCheckpoint) -> (u16, String) {
        let body = AddCheckpoint::new(TreeSize::ZERO, Vec::new(), head).unwrap().format();
        self.http("POST", "/add-checkpoint", &body)
    }

    pub(crate) fn evidence(&self) -> Option<Vec<u8>> {
        self.evidence_against(ORIGIN)
    }

    pub(crate) fn evidence_against(&self, origin: &str) -> Option<Vec<u8>> {
        let hash = Hash::from(<[u8; 32]>::from(Sha256::digest(origin.as_bytes())));
        let (status, body) = self.http("GET", &format!("/{hash}/evidence"), b"");
        (status == 200).then(|| body.into_bytes())
    }

    pub(crate) fn metric(&self, name: &str) -> String {
        let (_, text) = self.http("GET", "/metrics", b"");
        let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
        line.trim().to_owned()
    }

    fn http(&self, method: &str, path: &str, body: &[u8]) -> (u16, String) {
        let mut stream = TcpStream::connect(self.url.strip_prefix("http://").unwrap()).unwrap();
        stream.set_read_timeout(Some(WITHIN)).unwrap();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: w\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
            body.len()
        );
        stream.write_all(&[head.as_bytes(), body].concat()).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let answer = String::from_utf8(answer).unwrap();
        let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
        let body = answer.split_once("\r\n\r\n").unwrap().1;
        (status, body.to_owned())
    }

    pub(crate) async fn client(&self) -> GossipServiceClient<tonic::transport::Channel> {
        let endpoint = tonic::transport::Endpoint::from_shared(self.url.clone()).unwrap();
        GossipServiceClient::new(endpoint.connect().await.unwrap())
    }

    /// The heads this node would tell one that knows nothing.
    pub(crate) async fn heads(&self) -> Vec<(u64, Hash)> {
        let known = pb::KnownHead {
            origin_hash: origin_hash().to_vec().into(),
            size: 0,
            root: Hash::EMPTY_ROOT.as_bytes().to_vec().into(),
            evidence: true,
        };
        let request = pb::PullRequest { heads: vec![known], ..Default::default() };
        let answer = self.client().await.pull(request).await.unwrap().into_inner();
        let head = |note: &bytes::Bytes| {
            let signed = SignedCheckpoint::parse(note).unwrap();
            (signed.size().get(), *signed.root())
        };
        answer.checkpoints.iter().map(head).collect()
    }

    pub(crate) async fn knows(&self, leaves: &[Hash]) -> bool {
        self.heads().await == [size_and_root(leaves)]
    }

    /// Waits until it knows this head, and no other one.
    pub(crate) async fn learns(&self, leaves: &[Hash]) {
        let expected = size_and_root(leaves);
        let what = format!("{} knows {expected:?}", self.url);
        eventually(&what, WITHIN, async || {
            let heads = self.heads().await;
            once(heads == [expected], heads)
        })
        .await;
    }

    /// Waits until it holds evidence.
    pub(crate) async fn convicts(&self) -> Vec<u8> {
        let what = format!("{} holds evidence", self.url);
        eventually(&what, WITHIN, async || match self.evidence() {
            Some(evidence) => Ok(evidence),
            None => Err(self.heads().await),
        })
        .await
    }

    /// Waits until a metric is as expected.
    pub(crate) async fn shows(&self, metric: &str, expected: impl Fn(u64) -> bool) {
        let what = format!("{metric} of {}", self.url);
        eventually(&what, WITHIN, async || {
            let text = self.metric(metric);
            let value = text.rsplit(' ').next().map(|value| value.trim_end_matches(".0"));
            let value = value.and_then(|value| value.parse().ok());
            once(value.is_some_and(&expected), text)
        })
        .await;
    }

    pub(crate) async fn report(&self, head: &SignedCheckpoint) -> pb::ReportCheckpointResponse {
        use pb::report_checkpoint_request::Report;
        let report = Some(Report::Checkpoint(head.as_bytes().to_vec().into()));
        let request = pb::ReportCheckpointRequest { report };
        self.client().await.report_checkpoint(request).await.unwrap().into_inner()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.kill();
    }
}

fn spawn(dir: &Path, arguments: &[String], listen: &str) -> (Child, String) {
    let stderr = fs::OpenOptions::new().create(true).append(true).open(dir.join("stderr"));
    let mut command = Command::new(env!("CARGO_BIN_EXE_cairn-witness"));
    let authorities = dir.join(AUTHORITIES);
    if authorities.exists() {
        command.env("SSL_CERT_FILE", authorities).env_remove("SSL_CERT_DIR");
    }
    let mut child = command
        .arg("--data-dir")
        .arg(dir)
        .args(["--listen", listen, "--logs-poll-ms", "100"])
        .args(arguments)
        .stdout(Stdio::piped())
        .stderr(stderr.unwrap())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let url = line.trim().strip_prefix("listening on ");
    let said = || fs::read_to_string(dir.join("stderr")).unwrap();
    (child, url.unwrap_or_else(|| panic!("{}", said())).to_owned())
}
