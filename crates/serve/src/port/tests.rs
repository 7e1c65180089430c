//! The port over real sockets: plain, over TLS, and with connections that never begin.

#![expect(clippy::disallowed_methods, reason = "a test on real sockets waits for real")]

use std::sync::Arc;

use base::clock::SystemClock;
use base::keys::Readers;
use bytes::Bytes;
use http::Version;
use http_body_util::{BodyExt as _, Empty};
use hyper_util::client::legacy::Client;
use rcgen::{CertificateParams, KeyPair, PublicKeyData as _};
use rustls::crypto::ring;
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use tls::{Http, Known, OtherKey, Pin};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tower::{Service as _, service_fn};

use super::*;
use crate::body::plain;
use crate::metrics::tests::{requests, scrape};

/// Long enough for every connection that begins.
const LONG: Duration = Duration::from_mins(1);
/// For connections that do not begin: what they wait for.
const SHORT: Duration = Duration::from_millis(200);

/// A port that answers every request.
struct Open {
    address: SocketAddr,
    counts: Arc<Requests>,
    places: Arc<Places>,
    identity: Identity,
    stopping: CancellationToken,
    _folder: tempfile::TempDir,
}

impl Open {
    /// Waits until no connection has a place.
    async fn free(&self) {
        let free = async {
            while self.places.taken() > 0 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(LONG, free).await.unwrap();
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.stopping.cancel();
    }
}

fn options() -> PortOptions {
    PortOptions {
        listen: vec!["127.0.0.1:0".parse().unwrap()],
        connections_max: 1,
        connections_per_address_max: 1,
        header_bytes_max: 16 * 1024,
        shutdown_timeout: Duration::ZERO,
    }
}

/// With room for one connection.
fn open(header_timeout: Duration, with_tls: bool) -> Open {
    open_with(&options(), header_timeout, with_tls)
}

fn open_port(
    options: &PortOptions,
    counts: Arc<Requests>,
    stopping: &CancellationToken,
) -> io::Result<Port> {
    Port::open(options, counts, stopping, Arc::new(SystemClock::new()))
}

fn open_with(options: &PortOptions, header_timeout: Duration, with_tls: bool) -> Open {
    let folder = tempfile::tempdir().unwrap();
    let identity = Identity::open(&folder.path().join("tls"), Readers::Nobody).unwrap();
    let stopping = CancellationToken::new();
    let counts = counts();
    let mut port = open_port(options, Arc::clone(&counts), &stopping).unwrap();
    port.header_timeout = header_timeout;
    if with_tls {
        port = port.with_tls(identity.clone());
    }
    let (address, places) = (port.address(), Arc::clone(&port.places));
    let stack = service_fn(async |_: Request<Incoming>| {
        Ok::<_, Infallible>(plain(http::StatusCode::OK, "here"))
    });
    let supervisor = Supervisor::new();
    drop(supervisor.task("port", port.serve(stack, supervisor.clone())));
    Open { address, counts, places, identity, stopping, _folder: folder }
}

fn counts() -> Arc<Requests> {
    Arc::new(requests())
}

type Failed = hyper_util::client::legacy::Error;

/// As [`get`], once the connection before has left its place.
async fn get_next(open: &Open, scheme: &str, known: Known, http: Http) -> Result<Version, Failed> {
    open.free().await;
    get(scheme, open.address, known, http).await
}

async fn get(
    scheme: &str,
    address: SocketAddr,
    known: Known,
    http: Http,
) -> Result<Version, Failed> {
    let connector = tls::connector(known, http, LONG).unwrap();
    let client = Client::builder(TokioExecutor::new())
        .http2_only(http == Http::Two)
        .build::<_, Empty<Bytes>>(connector);
    let response = client.get(format!("{scheme}://{address}/").parse().unwrap()).await?;
    let version = response.version();
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "here\n");
    Ok(version)
}

#[tokio::test]
async fn one_port_speaks_http_1_and_2_plain_and_over_tls() {
    let open = open(LONG, true);
    let pinned = Known::ByKey(open.identity.pin());
    for (http, version) in [(Http::One, Version::HTTP_11), (Http::Two, Version::HTTP_2)] {
        assert_eq!(get_next(&open, "https", pinned, http).await.unwrap(), version);
        assert_eq!(get_next(&open, "http", Known::ByNothing, http).await.unwrap(), version);
    }
}

#[tokio::test]
async fn a_server_with_another_key_is_refused_and_named() {
    let open = open(LONG, true);
    let (wanted, seen) = (Pin::of_spki(b"another key"), open.identity.pin());
    let error = get("https", open.address, Known::ByKey(wanted), Http::Two).await.unwrap_err();
    assert_eq!(tls::other_key(&error), Some(&OtherKey { wanted, seen }));
    let error = get_next(&open, "https", Known::ByNothing, Http::Two).await.unwrap_err();
    assert_eq!(tls::other_key(&error), None);
}

/// Connects to who shows a certificate for `shown` and signs with `own`; gives the error, if there is one.
async fn handshake(
    version: &'static rustls::SupportedProtocolVersion,
    shown: &KeyPair,
    own: &KeyPair,
) -> Option<Box<dyn std::error::Error + Send + Sync>> {
    let certificate = CertificateParams::new(Vec::<String>::new()).unwrap().self_signed(shown);
    let der = PrivatePkcs8KeyDer::from(own.serialize_der());
    let provider = ring::default_provider();
    let key = provider.key_provider.load_private_key(der.into()).unwrap();
    let certified = CertifiedKey::new(vec![certificate.unwrap().der().clone()], key);
    let config = rustls::ServerConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[version])
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let uri = format!("https://{}/", listener.local_addr().unwrap()).parse().unwrap();
    let pinned = Known::ByKey(Pin::of_spki(&shown.subject_public_key_info()));
    let mut connector = tls::connector(pinned, Http::One, LONG).unwrap();
    let pretend = async {
        let (stream, _) = listener.accept().await.unwrap();
        TlsAcceptor::from(Arc::new(config)).accept(stream).await.map(drop)
    };
    tokio::join!(pretend, connector.call(uri)).1.err()
}

/// The certificate is public: whoever shows it must also have its key.
#[tokio::test]
async fn the_pinned_certificate_without_its_key_is_refused() {
    let [shown, other] = [(), ()].map(|()| KeyPair::generate().unwrap());
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let accepted = handshake(version, &shown, &shown).await;
        assert!(accepted.is_none(), "{accepted:?}");
        let refused = handshake(version, &shown, &other).await.unwrap();
        assert!(refused.to_string().contains("BadSignature"), "{refused}");
        assert_eq!(tls::other_key(&*refused), None, "the key in the certificate is the right one");
    }
}

#[tokio::test]
async fn tls_is_closed_where_there_is_none() {
    let open = open(LONG, false);
    let mut stream = TcpStream::connect(open.address).await.unwrap();
    stream.write_all(b"\x16").await.unwrap();
    assert_eq!(stream.read_to_end(&mut Vec::new()).await.unwrap(), 0);
    get_next(&open, "http", Known::ByNothing, Http::One).await.unwrap();
}

/// A connection that came as far as it says, and comes no further: it is closed, and leaves its place.
async fn is_closed(open: &Open, mut stream: impl AsyncRead + AsyncWrite + Unpin, sent: &[u8]) {
    stream.write_all(sent).await.unwrap();
    stream.flush().await.unwrap();
    // An alert may come before the end, and the end may be a reset.
    drop(stream.read_to_end(&mut Vec::new()).await);
    get_next(open, "http", Known::ByNothing, Http::One).await.unwrap();
    open.free().await;
}

#[tokio::test]
async fn connections_that_do_not_begin_leave_their_place() {
    let open = open(SHORT, true);
    // A record that announces 512 bytes, a message that announces 65,536, and lengths that are none.
    for sent in [
        &b""[..],
        b"P",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r",
        b"\x16",
        b"\x16\x03\x01\x02\x00",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"\x16\x03\x01\x00\x05\x01\x01\x00\x00\x00",
        b"\x16\x03\x01\xff\xff",
        b"\x16garbage that is no record, and longer than one look takes",
    ] {
        let stream = TcpStream::connect(open.address).await.unwrap();
        is_closed(&open, stream, sent).await;
    }
}

#[tokio::test]
async fn after_a_handshake_silence_leaves_its_place_too() {
    let open = open(SHORT, true);
    let known = Known::ByKey(open.identity.pin());
    // The last is TLS within TLS.
    for sent in [&b""[..], b"P", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r", b"GET", b"\x16"] {
        for http in [Http::One, Http::Two] {
            let mut connector = tls::connector(known, http, LONG).unwrap();
            let uri = format!("https://{}/", open.address).parse().unwrap();
            let stream = connector.call(uri).await.unwrap();
            is_closed(&open, TokioIo::new(stream), sent).await;
        }
    }
}

/// Reads until the other side ends; a reset is an end too.
async fn ends(mut stream: TcpStream) {
    let mut read = Vec::new();
    drop(tokio::time::timeout(LONG, stream.read_to_end(&mut read)).await.unwrap());
    assert!(read.is_empty(), "nothing is answered");
}

async fn connect_from(from: &str, to: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(from.parse().unwrap()).unwrap();
    socket.connect(to).await.unwrap()
}

async fn answered(stream: &mut TcpStream) {
    stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"here\n") {
        assert_ne!(stream.read_buf(&mut answer).await.unwrap(), 0, "it ends early");
    }
    assert!(answer.starts_with(b"HTTP/1.1 200"));
}

#[tokio::test]
async fn a_connection_beyond_the_limits_is_closed_at_once_and_counted() {
    let options = PortOptions { connections_max: 3, connections_per_address_max: 2, ..options() };
    let open = open_with(&options, LONG, false);
    let mut kept = Vec::new();
    for from in ["127.0.0.1:0", "127.0.0.1:0", "127.0.0.2:0"] {
        let mut stream = connect_from(from, open.address).await;
        answered(&mut stream).await;
        if kept.len() == 1 {
            // Two of this address are open once this one is answered, and there is room for
            // another's.
            kept.push(stream);
            ends(connect_from(from, open.address).await).await;
        } else {
            kept.push(stream);
        }
    }
    ends(connect_from("127.0.0.3:0", open.address).await).await;
    let counted = scrape(&open.counts);
    assert!(counted.contains("connections_refused_total{reason=\"address\"} 1\n"), "{counted}");
    assert!(counted.contains("connections_refused_total{reason=\"total\"} 1\n"), "{counted}");

    // Those that are open go on, and a place that is left is another's.
    answered(&mut kept[0]).await;
    drop(kept);
    get_next(&open, "http", Known::ByNothing, Http::One).await.unwrap();
}

#[tokio::test]
async fn a_rush_of_connections_waits_to_be_accepted() {
    let port = open_port(&options(), counts(), &CancellationToken::new()).unwrap();
    let mut rush = Vec::new();
    for _ in 0..300 {
        let connected = tokio::time::timeout(LONG, TcpStream::connect(port.address())).await;
        rush.push(connected.expect("there is room in the queue").unwrap());
    }
}

#[tokio::test]
async fn a_port_in_use_is_not_opened_again() {
    let port = open_port(&options(), counts(), &CancellationToken::new()).unwrap();
    let again = PortOptions { listen: vec![port.address()], ..options() };
    let refused = open_port(&again, counts(), &CancellationToken::new()).unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::AddrInUse);
    let other = "127.0.0.1:0".parse().unwrap();
    let next = PortOptions { listen: vec![port.address(), other], ..options() };
    let next = open_port(&next, counts(), &CancellationToken::new()).unwrap();
    assert_ne!(next.address(), port.address(), "the first that can be opened");
}
