//! The port over real sockets: plain, over TLS, and with connections that never begin.

use std::sync::Arc;

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

/// Long enough for every connection that begins.
const LONG: Duration = Duration::from_mins(1);
/// For connections that do not begin: what they wait for.
const SHORT: Duration = Duration::from_millis(200);

/// A port that answers every request, with room for one connection.
struct Open {
    address: SocketAddr,
    identity: Identity,
    stopping: CancellationToken,
    _folder: tempfile::TempDir,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.stopping.cancel();
    }
}

fn options() -> PortOptions {
    PortOptions {
        listen: "127.0.0.1:0".parse().unwrap(),
        connections_max: 1,
        header_bytes_max: 16 * 1024,
        shutdown_timeout: Duration::ZERO,
    }
}

fn open(header_timeout: Duration, with_tls: bool) -> Open {
    let folder = tempfile::tempdir().unwrap();
    let identity = Identity::open(&folder.path().join("tls")).unwrap();
    let stopping = CancellationToken::new();
    let mut port = Port::open(options(), &stopping).unwrap();
    port.header_timeout = header_timeout;
    if with_tls {
        port = port.with_tls(identity.clone());
    }
    let address = port.address();
    let stack = service_fn(async |_: Request<Incoming>| {
        Ok::<_, Infallible>(plain(http::StatusCode::OK, "here"))
    });
    drop(tasks::spawn("port", port.serve(stack)));
    Open { address, identity, stopping, _folder: folder }
}

type Failed = hyper_util::client::legacy::Error;

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
        assert_eq!(get("https", open.address, pinned, http).await.unwrap(), version);
        assert_eq!(get("http", open.address, Known::ByNothing, http).await.unwrap(), version);
    }
}

#[tokio::test]
async fn a_server_with_another_key_is_refused_and_named() {
    let open = open(LONG, true);
    let (wanted, seen) = (Pin::of_spki(b"another key"), open.identity.pin());
    let error = get("https", open.address, Known::ByKey(wanted), Http::Two).await.unwrap_err();
    assert_eq!(tls::other_key(&error), Some(&OtherKey { wanted, seen }));
    let error = get("https", open.address, Known::ByNothing, Http::Two).await.unwrap_err();
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
    get("http", open.address, Known::ByNothing, Http::One).await.unwrap();
}

/// A connection that came as far as it says, and comes no further: it is closed, and leaves its place.
async fn is_closed(open: &Open, mut stream: impl AsyncRead + AsyncWrite + Unpin, sent: &[u8]) {
    stream.write_all(sent).await.unwrap();
    stream.flush().await.unwrap();
    // An alert may come before the end, and the end may be a reset.
    drop(stream.read_to_end(&mut Vec::new()).await);
    get("http", open.address, Known::ByNothing, Http::One).await.unwrap();
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

#[tokio::test]
async fn a_rush_of_connections_waits_to_be_accepted() {
    let port = Port::open(options(), &CancellationToken::new()).unwrap();
    let mut rush = Vec::new();
    for _ in 0..300 {
        let connected = tokio::time::timeout(LONG, TcpStream::connect(port.address())).await;
        rush.push(connected.expect("there is room in the queue").unwrap());
    }
}

#[tokio::test]
async fn a_port_in_use_is_not_opened_again() {
    let port = Port::open(options(), &CancellationToken::new()).unwrap();
    let again = PortOptions { listen: port.address(), ..options() };
    let refused = Port::open(again, &CancellationToken::new()).unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::AddrInUse);
}
