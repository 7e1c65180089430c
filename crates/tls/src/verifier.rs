//! Verifies a server by its pinned key.

use std::error::Error;
use std::io;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, OtherError, SignatureScheme};

use crate::Pin;

/// The server has another key than the one that is pinned: it is another server, or somebody stands
/// between.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the server's key is {seen}, and {wanted} is pinned")]
pub struct OtherKey {
    /// What is pinned.
    pub wanted: Pin,
    /// The key it showed.
    pub seen: Pin,
}

/// The [`OtherKey`] among the causes of a connection's error, if there is one.
pub fn other_key<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a OtherKey> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(rustls::Error::InvalidCertificate(CertificateError::Other(OtherError(why)))) =
            error.downcast_ref()
        {
            return why.downcast_ref();
        }
        // An `io::Error` does not give the error that it wraps as its source.
        next = match error.downcast_ref::<io::Error>() {
            Some(wrapping) => wrapping.get_ref().map(|inner| inner as &'a (dyn Error + 'static)),
            None => error.source(),
        };
    }
    None
}

/// Takes a certificate for the key in it. Its names, dates and issuer do not matter; the
/// handshake's signature shows that the server has that key.
#[derive(Debug)]
pub(crate) struct PinnedKey {
    pin: Pin,
    algorithms: WebPkiSupportedAlgorithms,
}

impl PinnedKey {
    pub(crate) fn new(pin: Pin, provider: &CryptoProvider) -> Self {
        Self { pin, algorithms: provider.signature_verification_algorithms }
    }
}

impl ServerCertVerifier for PinnedKey {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let spki = ParsedCertificate::try_from(end_entity)?.subject_public_key_info();
        let (wanted, seen) = (self.pin, Pin::of_spki(&spki));
        if seen == wanted {
            return Ok(ServerCertVerified::assertion());
        }
        Err(CertificateError::Other(OtherError(Arc::new(OtherKey { wanted, seen }))).into())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("outer")]
    struct Outer(#[source] io::Error);

    #[test]
    fn the_key_is_found_behind_what_wraps_it() {
        let key = |of: &[u8]| Pin::of_spki(of);
        let found = OtherKey { wanted: key(b"a"), seen: key(b"b") };
        let tls = || {
            let other = OtherError(Arc::new(found.clone()));
            rustls::Error::from(CertificateError::Other(other))
        };
        assert_eq!(other_key(&tls()), Some(&found));
        let deep = Outer(io::Error::other(io::Error::other(tls())));
        assert_eq!(other_key(&deep), Some(&found));
        let plain = Outer(io::Error::other(io::Error::from(io::ErrorKind::NotFound)));
        assert_eq!(other_key(&plain), None);
        let expired = rustls::Error::from(CertificateError::Expired);
        assert_eq!(other_key(&Outer(io::Error::other(expired))), None);
    }
}
