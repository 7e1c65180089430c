//! Addresses of peers, and what proves that the right peer answers.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use base::error::chain;
use tls::{Address, AddressError, AuthoritiesError, Http, Known};
use tonic::transport::{Channel, Endpoint};

/// Peers of one witness. Each costs a connection, and in each round a call for every thousand logs.
const PEERS_MAX: usize = 64;

/// Why this is not the address of a peer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PeerUrlError {
    #[error("peer: {}", chain(.0))]
    Address(#[from] AddressError),
    #[error(
        "peer {url:?} is on another machine, and the connection is not encrypted: use https and the pin \
         that the peer prints at start, or accept it with --insecure-peers"
    )]
    Insecure { url: String },
    #[error("more than {PEERS_MAX} peers")]
    TooMany,
}

/// Where a peer is, and what proves that it is the peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerAddress(Address);

/// The addresses of peers, separated by blanks or commas.
///
/// # Errors
/// One is not an address; or it is a plain HTTP address beyond loopback, which needs `insecure`.
pub fn parse_peers(text: &str, insecure: bool) -> Result<Vec<PeerAddress>, PeerUrlError> {
    let split = text.split([' ', ',']).filter(|url| !url.is_empty());
    let peers: Vec<PeerAddress> =
        split.map(|url| PeerAddress::parse(url, insecure)).collect::<Result<_, _>>()?;
    if peers.len() > PEERS_MAX { Err(PeerUrlError::TooMany) } else { Ok(peers) }
}

impl PeerAddress {
    fn parse(url: &str, insecure: bool) -> Result<Self, PeerUrlError> {
        let address: Address = url.parse()?;
        let plain = address.known() == Known::ByNothing;
        if plain && !insecure && !address.uri().host().is_some_and(is_loopback) {
            return Err(PeerUrlError::Insecure { url: url.to_owned() });
        }
        Ok(Self(address))
    }

    /// A connection that is made at the first call, and again when it was lost. `timeout` bounds connecting,
    /// and each call.
    ///
    /// # Errors
    /// The machine's certificate authorities vouch for the peer, and cannot be read.
    pub(super) fn channel(&self, timeout: Duration) -> Result<Channel, AuthoritiesError> {
        let Self(address) = self;
        let connector = tls::connector(address.known(), Http::Two, timeout)?;
        let endpoint = Endpoint::from(address.uri().clone());
        let endpoint = endpoint.connect_timeout(timeout).timeout(timeout);
        Ok(endpoint.connect_with_connector_lazy(connector))
    }
}

/// Without the pin.
impl fmt::Display for PeerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PIN: &str = "sha256//47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";

    fn one(text: &str) -> Result<PeerAddress, PeerUrlError> {
        parse_peers(text, false).map(|peers| peers.into_iter().next().unwrap())
    }

    #[test]
    fn peers_without_tls_are_on_loopback_unless_the_operator_consents() {
        let peers = parse_peers("http://127.0.0.1:1 http://[::1]:2,http://localhost:3", false);
        let peers = peers.unwrap();
        assert_eq!(peers.len(), 3);
        assert!(peers.iter().all(|peer| peer.0.known() == Known::ByNothing));
        assert!(parse_peers("", false).unwrap().is_empty());
        let url = "http://192.0.2.1:1".to_owned();
        assert_eq!(parse_peers(&url, true).unwrap()[0].to_string(), url);
        assert_eq!(one(&url), Err(PeerUrlError::Insecure { url }));
    }

    #[test]
    fn a_peer_with_tls_is_known_by_its_key_or_by_the_authorities() {
        let pinned = one(&format!("https://192.0.2.1:6963#{PIN}")).unwrap();
        assert_eq!(pinned.0.known(), Known::ByKey(PIN.parse().unwrap()));
        assert_eq!(pinned.to_string(), "https://192.0.2.1:6963");
        let certified = one("https://w.example").unwrap();
        assert_eq!(certified.0.known(), Known::ByAuthorities);
        let many = format!("https://a:1#{PIN},https://a:1#{PIN} http://[::1]:2");
        assert_eq!(parse_peers(&many, false).unwrap().len(), 3);
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for bad in ["127.0.0.1:1", "https://w.example/a", "https://w.example#sha256//"] {
            assert!(matches!(one(bad), Err(PeerUrlError::Address(_))), "{bad}");
        }
        let many = vec!["http://127.0.0.1:1"; PEERS_MAX + 1].join(" ");
        assert_eq!(parse_peers(&many, false), Err(PeerUrlError::TooMany));
        assert_eq!(parse_peers(&many[19..], false).unwrap().len(), PEERS_MAX);
    }
}
