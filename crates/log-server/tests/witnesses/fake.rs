//! A witness on a real socket that behaves as it is told to.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use formats::{AddCheckpoint, Checkpoint, KeyName, PrivateKey, Signer as _, Timestamp};
use http::{Method, Request, Response, StatusCode};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper_util::rt::TokioIo;
use merkle::{Hash, TreeSize, proof};
use tokio::net::TcpListener;

/// What a witness does with submissions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Honest,
    /// Signs another root.
    BadCosignature,
    /// Cosigns under a name that is not in the policy.
    WrongName,
    /// States no time.
    Timeless,
    /// Claims a size that the log never had.
    Huge,
    /// Another size each time, so that each proof is for nothing.
    ConflictLoop,
    /// One more than what it was sent, which a busy log soon has.
    AlwaysAhead,
    /// The size it was sent.
    ConflictEcho,
    /// 409 without a size.
    ConflictSizeless,
    Unprocessable,
    Busy,
    ServerError,
    NotFound,
    Forbidden,
    /// 200 with more bytes than any answer can have.
    TooLong,
    /// 200 with nothing in it.
    Empty,
    /// 200 with what is no signature line.
    Garbage,
    /// Breaks off in the middle of its answer.
    ClosesMidBody,
    /// Takes the request and answers nothing.
    Silent,
    /// Closes every connection.
    Down,
    /// A proxy in front of a witness that is away.
    ProxyAlone,
    /// Judges the proof first, and cannot read what it holds.
    Blind,
    /// One more than what it was sent, once.
    AheadOnce,
}

pub(crate) struct State {
    pub(crate) mode: Mode,
    pub(crate) size: TreeSize,
    root: Hash,
    pub(crate) note: Option<Bytes>,
    /// Whether it serves the checkpoint it holds.
    pub(crate) monitoring: bool,
    pub(crate) submissions: u64,
    /// What its cosignatures state.
    pub(crate) time: Timestamp,
    /// What a log must never send.
    pub(crate) breaches: Vec<String>,
}

#[derive(Clone)]
pub(crate) struct Witness {
    pub(crate) name: &'static str,
    keys: Arc<[PrivateKey; 2]>,
    state: Arc<Mutex<State>>,
    address: SocketAddr,
}

type Answer = Response<BoxBody<Bytes, std::io::Error>>;

impl Witness {
    pub(crate) async fn start(name: &'static str) -> Self {
        let key_name = KeyName::new(&format!("{name}.example")).unwrap();
        let seed = |kind: u8| {
            let mut seed = [kind; 32];
            seed[..name.len()].copy_from_slice(name.as_bytes());
            seed
        };
        let keys = [
            PrivateKey::cosigner_ed25519(key_name.clone(), &seed(1)),
            PrivateKey::ml_dsa_44(key_name, &seed(2)),
        ];
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let state = State {
            mode: Mode::Honest,
            size: TreeSize::ZERO,
            root: Hash::EMPTY_ROOT,
            note: None,
            monitoring: true,
            submissions: 0,
            time: TIME,
            breaches: Vec::new(),
        };
        let witness = Self {
            name,
            keys: Arc::new(keys),
            state: Arc::new(Mutex::new(state)),
            address: listener.local_addr().unwrap(),
        };
        tokio::spawn(witness.clone().serve(listener));
        witness
    }

    async fn serve(self, listener: TcpListener) {
        while let Ok((stream, _)) = listener.accept().await {
            let witness = self.clone();
            let service = hyper::service::service_fn(move |request| {
                let witness = witness.clone();
                async move { witness.answer(request).await }
            });
            let connection = hyper::server::conn::http1::Builder::new();
            let io = TokioIo::new(stream);
            tokio::spawn(async move { drop(connection.serve_connection(io, service).await) });
        }
    }

    /// Its lines of a policy: two keys of one operator, counted once.
    pub(crate) fn policy_lines(&self) -> String {
        let Self { name, address, .. } = self;
        let [ed, ml] = self.keys.each_ref().map(PrivateKey::verifier_key);
        format!(
            "witness {name}-ed {ed} http://{address}\nwitness {name}-ml {ml} http://{address}/\n\
             group {name} any {name}-ed {name}-ml\n"
        )
    }

    pub(crate) fn set(&self, mode: Mode) {
        self.with(|state| state.mode = mode);
    }

    pub(crate) fn with<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.state.lock().unwrap())
    }

    async fn answer(self, request: Request<Incoming>) -> Result<Answer, std::io::Error> {
        let mode = self.with(|state| state.mode);
        if mode == Mode::Down {
            return Err(std::io::Error::other("down"));
        }
        if request.method() == Method::GET {
            if matches!(mode, Mode::ProxyAlone | Mode::Blind) {
                return Ok(plain(502, Bytes::new()));
            }
            let served = self.with(|state| state.note.clone().filter(|_| state.monitoring));
            return Ok(match served {
                Some(note) => plain(200, note),
                None => plain(404, Bytes::new()),
            });
        }
        assert_eq!(request.uri().path(), "/add-checkpoint");
        let body = request.into_body().collect().await.map_err(std::io::Error::other)?.to_bytes();
        if mode == Mode::Silent {
            return std::future::pending().await;
        }
        Ok(self.with(|state| self.submitted(state, &body)))
    }

    fn submitted(&self, state: &mut State, body: &[u8]) -> Answer {
        state.submissions += 1;
        let request = match AddCheckpoint::parse(body) {
            Ok(request) => request,
            Err(error) => {
                state.breaches.push(error.to_string());
                return plain(400, Bytes::new());
            }
        };
        if body.len() > 10 * 1024 {
            state.breaches.push(format!("{} bytes", body.len()));
        }
        let lines: Vec<_> = request.checkpoint().signatures().map(|s| s.signature.len()).collect();
        if lines != [64, 8 + 2_420] {
            state.breaches.push(format!("signatures of {lines:?} bytes"));
        }
        let head = request.checkpoint().checkpoint();
        let conflict = |size: u64| with_type(409, format!("{size}\n").into());
        match state.mode {
            Mode::Honest => self.honest(state, &request),
            Mode::BadCosignature => {
                let (size, root) = (head.size(), Hash::from([7; 32]));
                self.cosign(&Checkpoint::new(head.origin().clone(), size, root), TIME)
            }
            Mode::WrongName => {
                let name = KeyName::new("other.example").unwrap();
                let key = PrivateKey::cosigner_ed25519(name, &[9; 32]);
                let line = key.sign_checkpoint(head, TIME).unwrap();
                plain(200, format!("{line}\n").into())
            }
            Mode::Timeless => self.cosign(head, Timestamp::ZERO),
            Mode::Huge => conflict(1 << 40),
            Mode::ConflictLoop => conflict(state.submissions % head.size().get().max(1)),
            Mode::AlwaysAhead => conflict(head.size().get() + 1),
            Mode::ConflictEcho => conflict(request.old().get()),
            Mode::ConflictSizeless => plain(409, Bytes::from("no")),
            Mode::AheadOnce => {
                state.mode = Mode::Honest;
                conflict(head.size().get() + 1)
            }
            Mode::Unprocessable | Mode::Blind => plain(422, Bytes::from("no")),
            Mode::Busy => plain(429, Bytes::new()),
            Mode::ServerError => plain(500, Bytes::from("who?")),
            Mode::NotFound | Mode::ProxyAlone => plain(404, Bytes::new()),
            Mode::Forbidden => plain(403, Bytes::from("evidence\r\nfound")),
            Mode::TooLong => plain(200, vec![b'x'; 1 << 20].into()),
            Mode::Empty => plain(200, Bytes::new()),
            Mode::Garbage => plain(200, Bytes::from("hello\n\n\u{2014} x y\n")),
            Mode::ClosesMidBody => broken(),
            Mode::Silent | Mode::Down => unreachable!("answered before"),
        }
    }

    /// What the specification asks for, with the log's own signatures left to others.
    fn honest(&self, state: &mut State, request: &AddCheckpoint) -> Answer {
        let head = request.checkpoint().checkpoint();
        if request.old() > head.size() {
            return plain(400, Bytes::new());
        }
        if request.old() != state.size {
            return with_type(409, format!("{}\n", state.size.get()).into());
        }
        let proof = request.proof();
        let consistent = if state.size == TreeSize::ZERO {
            proof.is_empty()
        } else {
            let (old, new) = (&state.root, head.root());
            proof::verify_consistency(state.size, head.size(), old, new, proof).is_ok()
        };
        if !consistent {
            return plain(422, Bytes::new());
        }
        (state.size, state.root) = (head.size(), *head.root());
        let answer = self.lines(head, state.time);
        let note = [request.checkpoint().as_bytes(), answer.as_bytes()].concat();
        state.note = Some(note.into());
        plain(200, answer.into())
    }

    fn cosign(&self, head: &Checkpoint, time: Timestamp) -> Answer {
        plain(200, self.lines(head, time).into())
    }

    fn lines(&self, head: &Checkpoint, time: Timestamp) -> String {
        let line = |key: &PrivateKey| format!("{}\n", key.sign_checkpoint(head, time).unwrap());
        self.keys.iter().map(line).collect()
    }
}

const TIME: Timestamp = match Timestamp::new(1_700_000_000) {
    Ok(time) => time,
    Err(_) => unreachable!(),
};

fn full(body: Bytes) -> BoxBody<Bytes, std::io::Error> {
    Full::new(body).map_err(|never: Infallible| match never {}).boxed()
}

fn plain(status: u16, body: Bytes) -> Answer {
    let mut response = Response::new(full(body));
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    response
}

fn with_type(status: u16, body: Bytes) -> Answer {
    let mut response = plain(status, body);
    let size = http::HeaderValue::from_static("text/x.tlog.size");
    response.headers_mut().insert(http::header::CONTENT_TYPE, size);
    response
}

/// A body that says it goes on, and does not.
fn broken() -> Answer {
    let frames = [
        Ok(Frame::data(Bytes::from("\u{2014} w.example AAAA"))),
        Err(std::io::Error::other("broken off")),
    ];
    Response::new(StreamBody::new(tokio_stream::iter(frames)).boxed())
}
