//! What is asked over HTTPS, by the machine's certificate authorities: a witness by the log server
//! and by `cairn`, the log's tiles by an auditor; and the log's API by `cairn`, which may also pin
//! a key. Proxies that end TLS stand before all.

#![expect(clippy::unwrap_used, reason = "a test fails where its fixtures do")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use e2e::{Home, cairn_with, stderr_of, stdout_of, witness::Witness};
use rcgen::{CertificateParams, KeyPair, PublicKeyData as _};
use rustls::crypto::ring;
use rustls::pki_types::PrivatePkcs8KeyDer;
use tls::Pin;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// A certificate for loopback that is its own authority, in a file, and who shows it.
fn certified(home: &Home) -> (String, TlsAcceptor) {
    let (file, acceptor, _) = pinnable(home);
    (file, acceptor)
}

/// The same, and the pin of its key.
fn pinnable(home: &Home) -> (String, TlsAcceptor, Pin) {
    let key = KeyPair::generate().unwrap();
    let pin = Pin::of_spki(&key.subject_public_key_info());
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
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let file = home.file("authorities.pem", pem.as_bytes());
    (file.display().to_string(), TlsAcceptor::from(Arc::new(config)), pin)
}

/// Ends TLS before a plain address, and counts the connections of each protocol.
#[derive(Default)]
struct Proxy {
    http_1: AtomicUsize,
    http_2: AtomicUsize,
}

impl Proxy {
    async fn start(plain: &str, acceptor: TlsAcceptor) -> (String, Arc<Self>) {
        let plain = plain.strip_prefix("http://").unwrap().to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://{}", listener.local_addr().unwrap());
        let proxy = Arc::new(Self::default());
        let counts = Arc::clone(&proxy);
        drop(tokio::task::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let (acceptor, plain) = (acceptor.clone(), plain.clone());
                let counts = Arc::clone(&counts);
                drop(tokio::task::spawn(async move {
                    let Ok(mut near) = acceptor.accept(near).await else { return };
                    let http_2 = near.get_ref().1.alpn_protocol() == Some(b"h2");
                    let count = if http_2 { &counts.http_2 } else { &counts.http_1 };
                    count.fetch_add(1, Ordering::SeqCst);
                    let mut far = TcpStream::connect(plain).await.unwrap();
                    drop(tokio::io::copy_bidirectional(&mut near, &mut far).await);
                }));
            }
        }));
        (url, proxy)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn witnesses_and_tiles_are_reached_over_https() {
    let home = Home::new();
    home.start().stop().unwrap();
    let vkeys = std::fs::read_to_string(home.data().join("keys/default.vkey")).unwrap();
    let witness = Witness::start("w");
    witness.add_log("default", &vkeys);
    let (authorities, acceptor) = certified(&home);
    let (witness_url, asked) = Proxy::start(witness.url(), acceptor.clone()).await;

    let lines = witness.policy_lines().replace(witness.url(), &witness_url);
    let policy = home.file("default.policy", format!("{lines}quorum w\n").as_bytes());
    let policy = format!("default={}", policy.display());
    let believing = format!("SSL_CERT_FILE={authorities}");
    let wrapper = ["env", "-u", "SSL_CERT_DIR", &believing];
    let server = home.start_under(&wrapper, &["--policy", &policy]).unwrap();
    let append = ["append", "default", "-", "--lines", "--receipt", "witnessed"];
    stdout_of(&server.cairn_stdin(&home, append, b"one\ntwo\n"));
    assert!(asked.http_1.load(Ordering::SeqCst) > 0, "the log server asked");
    assert_eq!(asked.http_2.load(Ordering::SeqCst), 0);

    let (log_url, _) = Proxy::start(server.url(), acceptor).await;
    let tiles = format!("{log_url}/logs/default");
    let vkey = home.vkey_argument("default");
    let state = home.path("state").display().to_string();
    // The machine may name a folder of authorities beside the file.
    let nothing = home.path("nothing").display().to_string();
    std::fs::create_dir(&nothing).unwrap();
    let cairn = |args: &[&str], authorities: &str| {
        let authorities = [("SSL_CERT_FILE", authorities), ("SSL_CERT_DIR", &nothing)];
        let env = authorities.into_iter().chain([("CAIRN_STATE", state.as_str())]);
        cairn_with(args, &env.collect::<Vec<_>>(), b"")
    };
    let status = ["witness", "status", &witness_url, "--vkey", &vkey];
    let audit = ["audit", &tiles, "--vkey", &vkey];
    let held = stdout_of(&cairn(&status, &authorities));
    assert!(held.contains(&format!("{witness_url}\t")) && held.contains("\t2\t"), "{held}");
    assert!(asked.http_2.load(Ordering::SeqCst) > 0, "the checkpoint was reported by gRPC");
    stdout_of(&cairn(&audit, &authorities));

    // Without an authority nobody is asked, and with another one nobody is believed.
    let elsewhere = Home::new();
    let (other, _) = certified(&elsewhere);
    for args in [&status[..], &audit[..]] {
        let refused = cairn(args, "/dev/null");
        assert_eq!(refused.status.code(), Some(3), "{args:?}");
        let said = stderr_of(&refused);
        assert!(said.contains("install ca-certificates"), "{args:?}: {said}");
        assert_eq!(cairn(args, &other).status.code(), Some(3), "{args:?}");
    }
    server.stop().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_is_reached_over_https_by_authority_or_by_pin() {
    let home = Home::new();
    let server = home.start();
    let (authorities, acceptor, pin) = pinnable(&home);
    let (url, asked) = Proxy::start(server.url(), acceptor).await;
    let nothing = home.path("nothing").display().to_string();
    std::fs::create_dir(&nothing).unwrap();
    let cairn = |args: &[&str], authorities: &str, url: &str| {
        let env =
            [("SSL_CERT_FILE", authorities), ("SSL_CERT_DIR", &nothing), ("CAIRN_SERVER", url)];
        cairn_with(args, &env, b"one\n")
    };
    let show = ["log", "show", "default"];
    let append = ["append", "default", "--lines", "--receipt", "signed"];
    let bench = ["bench", "default", "--duration", "1", "--warmup", "0", "--floor", "0"];
    let bench = [&bench[..], &["--connections", "1", "--in-flight", "1"]].concat();
    let pinned = format!("{url}#{pin}");
    for args in [&show[..], &append[..], &bench] {
        for (authorities, url) in [("/dev/null", &pinned), (authorities.as_str(), &url)] {
            let before = asked.http_2.load(Ordering::SeqCst);
            stdout_of(&cairn(args, authorities, url));
            assert!(asked.http_2.load(Ordering::SeqCst) > before, "{args:?} went over TLS");
        }
    }

    // Another key, an unknown authority, no authority at all, and a port that speaks no TLS.
    let other = format!("{url}#{}", Pin::of_spki(b"another key"));
    let (stranger, _) = certified(&Home::new());
    let plain = format!("https://{}#{pin}", server.authority());
    for args in [&show[..], &bench] {
        for (authorities, url, why) in [
            (&*authorities, &*other, "is pinned"),
            (&stranger, &url, "certificate"),
            ("/dev/null", &url, "install ca-certificates"),
            (&authorities, &plain, ""),
        ] {
            let refused = cairn(args, authorities, url);
            let said = stderr_of(&refused);
            assert_eq!(refused.status.code(), Some(3), "{args:?} {url}: {said}");
            assert!(said.contains(why), "{args:?} {url}: {said}");
        }
    }
    let http = [&bench[..], &["--mode", "http"]].concat();
    let refused = cairn(&http, &authorities, &url);
    assert_eq!(refused.status.code(), Some(2));
    assert!(stderr_of(&refused).contains("plain HTTP alone"), "{}", stderr_of(&refused));
    server.stop().unwrap();
}

#[test]
fn an_address_without_its_scheme_is_wrong_usage() {
    let pin = Pin::of_spki(b"a key");
    let pin_over_http = format!("http://127.0.0.1:6962#{pin}");
    for url in
        ["127.0.0.1:6962", "localhost:6962", "https://127.0.0.1:1#sha256//no", &pin_over_http]
    {
        for args in [&["log", "list"][..], &["append", "default"], &["bench", "default"]] {
            let refused = cairn_with(args.iter().chain(&["--server", url]), &[], b"one");
            let said = stderr_of(&refused);
            assert_eq!(refused.status.code(), Some(2), "{args:?} {url}: {said}");
            assert!(said.contains("http://HOST:PORT"), "{args:?} {url}: {said}");
        }
    }
}
