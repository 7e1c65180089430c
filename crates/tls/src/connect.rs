//! Connections to `http://` and `https://` addresses.

use std::io;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use hyper_rustls::{ConfigBuilderExt as _, HttpsConnector};
use hyper_util::client::legacy::connect::HttpConnector;
use rustls::crypto::ring;
use rustls::{ClientConfig, ConfigBuilder, RootCertStore, WantsVerifier};

use crate::Pin;
use crate::verifier::PinnedKey;

/// Connects to `http://` addresses as they are, to `https://` addresses over TLS.
pub type Connector = HttpsConnector<HttpConnector>;

/// How we know a server at an `https://` address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// A certificate for its name, from one of the machine's authorities.
    ByAuthorities,
    /// Its key, whatever its certificate says.
    ByKey(Pin),
    /// By nothing: for servers that are called over HTTP only. A call over HTTPS fails.
    ByNothing,
}

/// The protocol to agree on within TLS. Without TLS both sides know it beforehand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Http {
    /// HTTP/1.1.
    One,
    /// HTTP/2, as gRPC needs it.
    Two,
}

/// The machine's certificate authorities cannot be read, and a server has to be called over HTTPS.
#[derive(Debug, thiserror::Error)]
#[error("the machine's certificate authorities cannot be read: install ca-certificates")]
pub struct AuthoritiesError(#[source] io::Error);

/// A connector. `connect_timeout` bounds the connection; the caller bounds the handshake together
/// with the call. The authorities are read once a process, when they are first needed: that blocks
/// for some milliseconds.
pub fn connector(
    known: Known,
    http: Http,
    connect_timeout: Duration,
) -> Result<Connector, AuthoritiesError> {
    let mut config = match known {
        Known::ByAuthorities => authorities()?.as_ref().clone(),
        Known::ByKey(pin) => {
            let verifier = Arc::new(PinnedKey::new(pin, &ring::default_provider()));
            let config = builder().dangerous().with_custom_certificate_verifier(verifier);
            config.with_no_client_auth()
        }
        Known::ByNothing => {
            builder().with_root_certificates(RootCertStore::empty()).with_no_client_auth()
        }
    };
    config.alpn_protocols = match http {
        Http::One => vec![b"http/1.1".to_vec()],
        Http::Two => vec![b"h2".to_vec()],
    };
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_connect_timeout(Some(connect_timeout));
    Ok(HttpsConnector::from((tcp, config)))
}

/// A failure is not remembered: somebody may install the authorities while the process runs.
fn authorities() -> Result<Arc<ClientConfig>, AuthoritiesError> {
    static READ: OnceLock<Arc<ClientConfig>> = OnceLock::new();
    if let Some(config) = READ.get() {
        return Ok(Arc::clone(config));
    }
    let config = builder().with_native_roots().map_err(AuthoritiesError)?.with_no_client_auth();
    Ok(Arc::clone(READ.get_or_init(|| Arc::new(config))))
}

/// Names the provider of cryptography, so that none has to be installed for the whole process.
fn builder() -> ConfigBuilder<ClientConfig, WantsVerifier> {
    ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("the provider speaks the default versions")
}
