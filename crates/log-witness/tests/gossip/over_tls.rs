//! Gossip over TLS, between processes that are known by their keys, and with somebody between.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use base::keys::Readers;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{CertificateParams, KeyPair};
use rustls::crypto::ring;
use rustls::pki_types::PrivatePkcs8KeyDer;
use serve::identity::Identity;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::eventually::eventually;
use crate::nodes::{AUTHORITIES, Cable, Node, Tiles, WITHIN, head, history, origin_hash, serve};

/// What HTTP/2 begins with.
const PREFACE: &[u8] = b"PRI * HTTP/2.0";

fn address(url: &str) -> &str {
    url.split_once("://").unwrap().1
}

/// The address of TLS that is spoken at a plain one.
fn pinned(url: &str, pin: &str) -> String {
    format!("https://{}#{pin}", address(url))
}

/// Rounds of gossip that did not come to their end.
const FAILED_ROUNDS: &str = "cairn_witness_gossip_rounds_total{result=\"failed\",peer=\"https://";

async fn several_rounds_fail(node: &Node) {
    let rounds = node.metric(FAILED_ROUNDS);
    let before = rounds.split_whitespace().last().map_or(0, |count| count.parse().unwrap());
    node.shows(FAILED_ROUNDS, |failed| failed > before + 5).await;
}

/// Ends TLS with a certificate of its own, and passes on what is said within.
struct Front {
    url: String,
    handshakes: Arc<AtomicUsize>,
}

impl Front {
    async fn to(url: &str, acceptor: TlsAcceptor) -> Self {
        let target: SocketAddr = address(url).parse().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://{}", listener.local_addr().unwrap());
        let handshakes: Arc<AtomicUsize> = Arc::default();
        let count = Arc::clone(&handshakes);
        drop(base::tasks::Supervisor::new().task("front", async move {
            while let Ok((near, _)) = listener.accept().await {
                let (acceptor, count) = (acceptor.clone(), Arc::clone(&count));
                drop(base::tasks::Supervisor::new().task("front connection", async move {
                    let Ok(mut near) = acceptor.accept(near).await else { return };
                    count.fetch_add(1, Ordering::SeqCst);
                    let mut far = TcpStream::connect(target).await.unwrap();
                    drop(copy_bidirectional(&mut near, &mut far).await);
                }));
            }
        }));
        Self { url, handshakes }
    }

    fn handshakes(&self) -> usize {
        self.handshakes.load(Ordering::SeqCst)
    }
}

/// A certificate for this machine's loopback address that is its own authority, in PEM, and who shows it.
fn certified(protocol: &[u8]) -> (String, TlsAcceptor) {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    let certificate = params.self_signed(&key).unwrap().der().clone();
    let pem = STANDARD.encode(&certificate);
    let pem = format!("-----BEGIN CERTIFICATE-----\n{pem}\n-----END CERTIFICATE-----\n");
    let key = PrivatePkcs8KeyDer::from(key.serialize_der());
    let provider = Arc::new(ring::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key.into())
        .unwrap();
    config.alpn_protocols = vec![protocol.to_vec()];
    (pem, TlsAcceptor::from(Arc::new(config)))
}

/// A folder for a node to which this is the machine's only authority.
fn believes(dir: &Path, pem: &str) {
    fs::create_dir_all(dir).unwrap();
    fs::write(dir.join(AUTHORITIES), pem).unwrap();
}

#[tokio::test]
async fn two_witnesses_converge_over_pinned_tls_and_say_nothing_in_clear() {
    let dir = tempfile::tempdir().unwrap();
    let tiles = Tiles::start();
    let honest = history("honest", 2, 20);
    tiles.publish(&honest[..9]);
    tiles.publish(&honest[..14]);
    let mut one = Node::start(&dir.path().join("1"), Some(&tiles.url), &[], &[]);
    let (cable, pin) = (Cable::to(&one.url), one.pin());
    let peer = pinned(&cable.url, &pin);
    let other = Node::start(&dir.path().join("2"), Some(&tiles.url), &[&peer], &[]);
    assert_eq!(one.add(&honest[..5], 0).0, 200, "plain HTTP is spoken on the same port");
    other.learns(&honest[..5]).await;
    assert_eq!(other.add(&honest[..9], 0).0, 200);
    one.learns(&honest[..9]).await;

    one.restart();
    assert_eq!(one.pin(), pin, "the key does not change by itself");
    assert_eq!(one.add(&honest[..14], 5).0, 200);
    other.learns(&honest[..14]).await;
    assert!(cable.heard_bytes() > 1_000);
    assert!(!cable.heard(&origin_hash()) && !cable.heard(PREFACE));
    assert!(!other.stderr().contains("another key"), "{}", other.stderr());

    // The ear is one that hears.
    let cable = Cable::to(&one.url);
    let third = Node::start(&dir.path().join("3"), None, &[&cable.url], &[]);
    third.learns(&honest[..14]).await;
    assert!(cable.heard(&origin_hash()) && cable.heard(PREFACE));
}

#[tokio::test]
async fn a_peer_with_another_key_is_refused_once_by_name_and_told_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (honest, more) = (history("honest", 2, 9), history("honest", 2, 14));
    let one = Node::start(&dir.path().join("1"), None, &[], &[]);
    let stranger =
        Identity::open(&dir.path().join("tls"), Readers::Nobody).unwrap().pin().to_string();
    let peer = pinned(&one.url, &stranger);
    let other = Node::start(&dir.path().join("2"), None, &[&peer], &[]);
    assert_eq!(one.add(&honest, 0).0, 200);
    assert_eq!(other.add(&more, 0).0, 200);
    several_rounds_fail(&other).await;
    assert!(one.knows(&honest).await && other.knows(&more).await, "each knows its own");

    let said = other.stderr();
    let warnings: Vec<&str> = said.lines().filter(|line| line.contains("another key")).collect();
    assert_eq!(warnings.len(), 1, "{said}");
    for named in [&format!("https://{}", address(&one.url)), &stranger, &one.pin()] {
        assert!(warnings[0].contains(named), "{named} is not in {said}");
    }
}

/// He takes the connection with a key of his own, and would pass everything on.
#[tokio::test]
async fn a_man_in_the_middle_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let honest = history("honest", 2, 9);
    let one = Node::start(&dir.path().join("1"), None, &[], &[]);
    let identity = Identity::open(&dir.path().join("tls"), Readers::Nobody).unwrap();
    let between = Front::to(&one.url, identity.acceptor()).await;
    let peer = pinned(&between.url, &one.pin());
    let other = Node::start(&dir.path().join("2"), None, &[&peer], &[]);
    assert_eq!(one.add(&honest, 0).0, 200);
    several_rounds_fail(&other).await;
    assert_eq!(between.handshakes(), 0);
    assert!(other.heads().await.is_empty());
    assert!(other.stderr().contains(&identity.pin().to_string()), "{}", other.stderr());

    // With his key pinned all of it goes through him.
    let peer = pinned(&between.url, &identity.pin().to_string());
    let third = Node::start(&dir.path().join("3"), None, &[&peer], &[]);
    third.learns(&honest).await;
    assert!(between.handshakes() > 0);
}

#[tokio::test]
async fn without_a_pin_the_authorities_decide() {
    let dir = tempfile::tempdir().unwrap();
    let honest = history("honest", 2, 9);
    let one = Node::start(&dir.path().join("1"), None, &[], &[]);
    assert_eq!(one.add(&honest, 0).0, 200);
    let (pem, acceptor) = certified(b"h2");
    let front = Front::to(&one.url, acceptor).await;
    let (believer, doubter) = (dir.path().join("2"), dir.path().join("3"));
    believes(&believer, &pem);
    believes(&doubter, &certified(b"h2").0);
    let doubter = Node::start(&doubter, None, &[&front.url], &[]);
    several_rounds_fail(&doubter).await;
    assert_eq!(front.handshakes(), 0);
    assert!(doubter.heads().await.is_empty());
    let believer = Node::start(&believer, None, &[&front.url], &[]);
    believer.learns(&honest).await;
}

#[tokio::test]
async fn tiles_and_the_webhook_are_reached_over_https() {
    let dir = tempfile::tempdir().unwrap();
    let (tiles, posted) = (Tiles::start(), Arc::<Mutex<Vec<Vec<u8>>>>::default());
    let hook = Arc::clone(&posted);
    let webhook = serve(move |_, body| {
        hook.lock().unwrap().push(body.to_vec());
        Some(Vec::new())
    });
    let (pem, acceptor) = certified(b"http/1.1");
    let (tiles_front, webhook_front) =
        (Front::to(&tiles.url, acceptor.clone()).await, Front::to(&webhook, acceptor).await);
    let one = dir.path().join("1");
    believes(&one, &pem);
    let more = ["--webhook", webhook_front.url.as_str()];
    let node = Node::start(&one, Some(&tiles_front.url), &[], &more);
    let (honest, forked) = (history("honest", 2, 20), history("forked", 2, 20));
    assert_eq!(node.add(&honest[..9], 0).0, 200);
    tiles.publish(&honest[..14]);
    node.report(&head(&honest[..14])).await;
    node.learns(&honest[..14]).await;
    node.report(&head(&forked[..14])).await;
    let told = eventually("the webhook was told", WITHIN, async || {
        posted.lock().unwrap().first().cloned().ok_or("nothing")
    })
    .await;
    assert_eq!(told, node.evidence().unwrap());
    assert!(tiles_front.handshakes() > 0 && webhook_front.handshakes() > 0);
}
