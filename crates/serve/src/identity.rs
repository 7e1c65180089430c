//! The key that a port's TLS is known by: a private file, and the pin that peers are given beside it.
//!
//! Nobody certifies the key, and nothing in its certificate counts but the key. So the certificate
//! is made anew at each start and stored nowhere: it cannot be lost, and it does not expire.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{
    CertificateParams, DistinguishedName, DnType, KeyPair, PKCS_ECDSA_P256_SHA256,
    PublicKeyData as _,
};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::ParsedCertificate;
use tls::Pin;
use tokio_rustls::TlsAcceptor;
use zeroize::Zeroizing;

use base::durable::{self, FileError};
use base::keys::{self, KeysError, Readers};

/// The lines around a private key in PEM (RFC 7468, section 10), and how many characters one line has.
const BEGIN: &str = "-----BEGIN PRIVATE KEY-----\n";
const END: &str = "-----END PRIVATE KEY-----\n";
const LINE_CHARS: usize = 64;

/// Why a port has no identity. Never holds any byte of the key.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    #[error(transparent)]
    Key(#[from] KeysError),
    #[error(transparent)]
    File(#[from] FileError),
    #[error(
        "{}: no private key of ECDSA P-256 as PKCS#8 in PEM: bring the file back, or remove it and {} \
         to have another key made, which peers must then pin", path.display(), pin_path(path).display()
    )]
    Format { path: PathBuf },
    #[error(
        "{}: the private key is missing, and peers may have pinned it: bring it back, or remove {} \
         to have another key made, which peers must then pin", path.display(), pin_path(path).display()
    )]
    Missing { path: PathBuf },
    #[error("{}: no certificate or private key in PEM", path.display())]
    Pem { path: PathBuf, source: rustls::pki_types::pem::Error },
    #[error("no private key, or no certificate for it, can be made")]
    Make { source: rcgen::Error },
    #[error("the private key is refused for TLS")]
    Refused { source: rustls::Error },
}

/// A private key, and the certificate that shows its public half.
#[derive(Clone, Debug)]
pub struct Identity {
    config: Arc<ServerConfig>,
    pin: Pin,
}

impl Identity {
    /// Reads the key at `path`, and makes it if neither it nor its pin is there. From then on it never
    /// changes by itself. Blocks.
    pub fn open(path: &Path, readers: Readers) -> Result<Self, IdentityError> {
        let key = match keys::read_private(path, readers)? {
            Some(text) => {
                parse(&text).ok_or_else(|| IdentityError::Format { path: path.to_owned() })?
            }
            None if pin_path(path).exists() => {
                return Err(IdentityError::Missing { path: path.to_owned() });
            }
            None => make(path)?,
        };
        let identity = Self::of(&key)?;
        identity.write_pin(path)?;
        Ok(identity)
    }

    /// A certificate chain and its private key, which somebody else made, in PEM. Blocks.
    pub fn of_files(
        certificate: &Path,
        key: &Path,
        readers: Readers,
    ) -> Result<Self, IdentityError> {
        let pem = |path: &Path| {
            let path = path.to_owned();
            move |source| IdentityError::Pem { path, source }
        };
        let text = keys::read_private(key, readers)?;
        let text = text.ok_or_else(|| IdentityError::Missing { path: key.to_owned() })?;
        let private = PrivateKeyDer::from_pem_slice(text.as_bytes()).map_err(pem(key))?;
        let chain = CertificateDer::pem_file_iter(certificate).map_err(pem(certificate))?;
        let chain = chain.collect::<Result<Vec<_>, _>>().map_err(pem(certificate))?;
        let Some(first) = chain.first() else {
            let source = rustls::pki_types::pem::Error::NoItemsFound;
            return Err(IdentityError::Pem { path: certificate.to_owned(), source });
        };
        let parsed = ParsedCertificate::try_from(first);
        let parsed = parsed.map_err(|source| IdentityError::Refused { source })?;
        let pin = Pin::of_spki(&parsed.subject_public_key_info());
        let config = server_config(chain, private)?;
        Ok(Self { config: Arc::new(config), pin })
    }

    fn of(key: &KeyPair) -> Result<Self, IdentityError> {
        let make = |source| IdentityError::Make { source };
        let mut params = CertificateParams::new(Vec::<String>::new()).map_err(make)?;
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, "cairn");
        let certificate = params.self_signed(key).map_err(make)?;
        let der = PrivatePkcs8KeyDer::from(key.serialize_der());
        let config = server_config(vec![certificate.der().clone()], der.into())?;
        let pin = Pin::of_spki(&key.subject_public_key_info());
        Ok(Self { config: Arc::new(config), pin })
    }

    /// What peers pin.
    pub fn pin(&self) -> Pin {
        self.pin
    }

    /// The same for connections that agree on no protocol within TLS.
    #[must_use]
    pub fn without_protocols(mut self) -> Self {
        Arc::make_mut(&mut self.config).alpn_protocols.clear();
        self
    }

    /// Accepts handshakes with this key: TLS 1.3 and 1.2, for HTTP/2 and HTTP/1.1. Callers are not
    /// asked for a certificate.
    pub fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.config))
    }

    /// Writes the pin beside the key, unless it is there in this form already.
    fn write_pin(&self, path: &Path) -> Result<(), FileError> {
        let (path, text) = (pin_path(path), format!("{}\n", self.pin));
        if std::fs::read_to_string(&path).is_ok_and(|found| found == text) {
            return Ok(());
        }
        durable::replace(&path, text.as_bytes(), 0o644)
    }
}

/// Where the pin of the key at `path` is.
pub fn pin_path(path: &Path) -> PathBuf {
    path.with_extension("pin")
}

/// TLS 1.3 and 1.2 with this certificate, for HTTP/2 and HTTP/1.1.
fn server_config(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<ServerConfig, IdentityError> {
    let refused = |source| IdentityError::Refused { source };
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(refused)?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(refused)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

fn make(path: &Path) -> Result<KeyPair, IdentityError> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256);
    let key = key.map_err(|source| IdentityError::Make { source })?;
    if let Some(folder) = path.parent() {
        durable::create_dir_all(folder, 0o700)?;
    }
    durable::create_new(path, format(key.serialized_der()).as_bytes(), 0o600)?;
    Ok(key)
}

/// The key in PEM, every line ended.
fn format(der: &[u8]) -> Zeroizing<String> {
    let base64 = Zeroizing::new(STANDARD.encode(der));
    let mut text = Zeroizing::new(String::with_capacity(base64.len() * 2));
    text.push_str(BEGIN);
    let mut rest = base64.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.len().min(LINE_CHARS));
        text.push_str(line);
        text.push('\n');
        rest = after;
    }
    text.push_str(END);
    text
}

/// One form only: what [`format()`] gives for the bytes in it.
fn parse(text: &str) -> Option<KeyPair> {
    let body = text.strip_prefix(BEGIN)?.strip_suffix(END)?;
    let der = Zeroizing::new(STANDARD.decode(&*Zeroizing::new(body.replace('\n', ""))).ok()?);
    if *format(&der) != *text {
        return None;
    }
    let der = PrivatePkcs8KeyDer::from(der.as_slice());
    KeyPair::from_pkcs8_der_and_sign_algo(&der, &PKCS_ECDSA_P256_SHA256).ok()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

    use super::*;

    fn folder() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys/tls");
        (folder, path)
    }

    #[test]
    fn the_key_is_made_once_and_kept() {
        let (_folder, path) = folder();
        let pin = Identity::open(&path, Readers::Nobody).unwrap().pin();
        let key = fs::read_to_string(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(fs::metadata(pin_path(&path)).unwrap().mode() & 0o777, 0o644);
        assert_eq!(fs::read_to_string(pin_path(&path)).unwrap(), format!("{pin}\n"));
        // A start cut short leaves a key without its pin.
        fs::remove_file(pin_path(&path)).unwrap();
        assert_eq!(Identity::open(&path, Readers::Nobody).unwrap().pin(), pin);
        assert_eq!(fs::read_to_string(&path).unwrap(), key);
        assert_eq!(fs::read_to_string(pin_path(&path)).unwrap(), format!("{pin}\n"));
        let (_folder, other) = folder();
        assert_ne!(Identity::open(&other, Readers::Nobody).unwrap().pin(), pin);
    }

    #[test]
    fn a_key_that_is_lost_is_not_replaced() {
        let (_folder, path) = folder();
        Identity::open(&path, Readers::Nobody).unwrap();
        fs::remove_file(&path).unwrap();
        let error = Identity::open(&path, Readers::Nobody).unwrap_err();
        assert!(matches!(error, IdentityError::Missing { .. }), "{error}");
        assert!(!path.exists());
        fs::remove_file(pin_path(&path)).unwrap();
        Identity::open(&path, Readers::Nobody).unwrap();
    }

    #[test]
    fn keys_that_others_can_read_or_that_are_damaged_are_refused() {
        let (_folder, path) = folder();
        Identity::open(&path, Readers::Nobody).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o604)).unwrap();
        let error = Identity::open(&path, Readers::Nobody).unwrap_err();
        let readable = IdentityError::Key(KeysError::Readable { path: path.clone(), mode: 0o604 });
        assert_eq!(error.to_string(), readable.to_string());
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();

        let good = fs::read_to_string(&path).unwrap();
        let other_key = KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
        for bad in [
            String::new(),
            good[1..].to_owned(),
            good.trim_end().to_owned(),
            format!("{good}{good}"),
            format!("{good}\n"),
            good.replace('\n', "\r\n"),
            good.replacen('\n', "\n\n", 1),
            good.replace("PRIVATE", "PUBLIC"),
            format!("{BEGIN}{END}"),
            format!("{BEGIN}AAAA\n{END}"),
            format(other_key.serialized_der()).to_string(),
        ] {
            durable::replace(&path, bad.as_bytes(), 0o600).unwrap();
            let error = Identity::open(&path, Readers::Nobody).unwrap_err();
            assert!(matches!(error, IdentityError::Format { .. }), "{bad:?}: {error}");
        }
        durable::replace(&path, good.as_bytes(), 0o600).unwrap();
        Identity::open(&path, Readers::Nobody).unwrap();
    }

    #[test]
    fn a_certificate_that_somebody_else_made_is_taken_with_its_key() {
        let folder = tempfile::tempdir().unwrap();
        let (certificate, key) = (folder.path().join("c.pem"), folder.path().join("k.pem"));
        let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
        let params = CertificateParams::new(vec!["log.example".to_owned()]).unwrap();
        let made = params.self_signed(&pair).unwrap();
        let pem = format!(
            "-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n",
            STANDARD.encode(made.der())
        );
        durable::replace(&certificate, pem.as_bytes(), 0o644).unwrap();
        durable::replace(&key, format(pair.serialized_der()).as_bytes(), 0o600).unwrap();
        let of =
            |certificate: &Path, key: &Path| Identity::of_files(certificate, key, Readers::Nobody);
        let pin = of(&certificate, &key).unwrap().pin();
        assert_eq!(pin, Pin::of_spki(&pair.subject_public_key_info()));
        assert!(of(&key, &key).is_err() && of(&certificate, &folder.path().join("no")).is_err());
        let other = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
        durable::replace(&key, format(other.serialized_der()).as_bytes(), 0o600).unwrap();
        assert!(of(&certificate, &key).is_err());
    }

    #[test]
    fn a_flipped_byte_is_never_another_identity() {
        let (_folder, path) = folder();
        let pin = Identity::open(&path, Readers::Nobody).unwrap().pin();
        let text = fs::read_to_string(&path).unwrap();
        let body = text.strip_prefix(BEGIN).unwrap().strip_suffix(END).unwrap().replace('\n', "");
        let der = STANDARD.decode(body).unwrap();
        for at in 0..der.len() {
            let mut flipped = der.clone();
            flipped[at] ^= 1;
            let read = parse(&format(&flipped)).map(|key| Identity::of(&key).unwrap().pin());
            assert!(read.is_none_or(|read| read == pin), "byte {at}");
        }
    }
}
