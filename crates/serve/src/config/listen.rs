//! Where a server listens: an address, or a host's name that is resolved at start.

use std::fmt;
use std::net::{SocketAddr, ToSocketAddrs as _};

use super::{ConfigError, Kind, Switch};

/// An IP address or a host's name, and a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address(String);

impl Kind for Address {
    fn expected() -> String {
        "an address or a host's name, and a port".to_owned()
    }

    fn of(text: &str) -> Option<Self> {
        let fits = text.parse::<SocketAddr>().is_ok() || is_host_and_port(text);
        fits.then(|| Self(text.to_owned()))
    }
}

/// What RFC 1123 takes for a host, so that a misspelt address is not looked up as a name: the last
/// label of a name is never digits alone.
fn is_host_and_port(value: &str) -> bool {
    let Some((host, port)) = value.rsplit_once(':') else { return false };
    let is_label = |label: &str| {
        let inner = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        (1..=63).contains(&label.len()) && label.bytes().all(inner) && !label.starts_with('-')
    };
    let name = host.strip_suffix('.').unwrap_or(host);
    let last = name.rsplit('.').next().unwrap_or_default();
    name.len() <= 253
        && name.split('.').all(is_label)
        && !last.bytes().all(|byte| byte.is_ascii_digit())
        && port.bytes().all(|byte| byte.is_ascii_digit())
        && port.parse::<u16>().is_ok()
}

/// The setting `listen`, and whether other machines may reach what it names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listen {
    text: String,
    /// Other machines may reach it.
    consent: bool,
    /// What consent is needed for.
    why: &'static str,
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Listen {
    /// Where to listen. An address that other machines can reach needs consent; `why` says for
    /// what. A name is looked up at start, by [`Self::resolve`], because the other commands do not
    /// need it.
    pub fn new(address: &Address, consent: Switch, why: &'static str) -> Result<Self, ConfigError> {
        let Address(text) = address.clone();
        let listen = Self { text, consent: consent.get(), why };
        match listen.text.parse() {
            Ok(address) => listen.allow(&[address]).map(|()| listen),
            Err(_) => Ok(listen),
        }
    }

    /// The addresses to listen on; the server takes the first that it can open. Looking up a name
    /// blocks. Without consent only this machine may reach any of the addresses.
    pub fn resolve(&self) -> Result<Vec<SocketAddr>, ConfigError> {
        let failed = |source| ConfigError::Unresolved { listen: self.text.clone(), source };
        let found: Vec<SocketAddr> = self.text.to_socket_addrs().map_err(failed)?.collect();
        if found.is_empty() {
            return Err(failed(std::io::ErrorKind::NotFound.into()));
        }
        self.allow(&found)?;
        Ok(found)
    }

    /// Whether only this machine can reach the address. A name is not looked up for that: without
    /// consent [`Self::resolve`] refuses a name that stands for other addresses.
    pub(super) fn is_loopback(&self) -> bool {
        let address = self.text.parse::<SocketAddr>();
        address.map_or(!self.consent, |address| address.ip().is_loopback())
    }

    /// Refuses an address that other machines can reach, unless there is consent.
    fn allow(&self, addresses: &[SocketAddr]) -> Result<(), ConfigError> {
        let open = addresses.iter().find(|address| !address.ip().is_loopback());
        match open {
            Some(address) if !self.consent => {
                let address = address.to_string();
                let listen = if address == self.text {
                    address
                } else {
                    format!("{}, {}", self.text, address)
                };
                Err(ConfigError::InsecureListen { listen, why: self.why })
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_names_of_hosts_are_told_from_mistakes() {
        for good in [
            "127.0.0.1:0",
            "[::1]:6962",
            "localhost:6962",
            "log.example.com:1",
            "log.example.com.:1",
            "my-host_1:65535",
            "1.example:1",
        ] {
            assert!(Address::of(good).is_some(), "{good}");
        }
        for bad in [
            "",
            ":1",
            "localhost",
            "localhost:",
            "localhost:+1",
            "localhost:65536",
            "local host:1",
            "-a:1",
            "a..b:1",
            "::1:6962",
            "127.0.0:1",
            "127.0.0.1.1:1",
            "http://a:1",
            "a/b:1",
        ] {
            assert!(Address::of(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn every_address_of_a_name_must_be_of_this_machine() {
        let listen = |consent| Listen { text: "log.example:1".to_owned(), consent, why: "why" };
        let own: SocketAddr = "127.0.0.1:1".parse().unwrap();
        let open: SocketAddr = "192.0.2.1:1".parse().unwrap();
        assert!(listen(false).allow(&[own, "[::1]:1".parse().unwrap()]).is_ok());
        for addresses in [[own, open], [open, own]] {
            assert!(listen(true).allow(&addresses).is_ok());
            insta::allow_duplicates! {
                insta::assert_snapshot!(
                    listen(false).allow(&addresses).unwrap_err(),
                    @"listen is log.example:1, 192.0.2.1:1, which other machines can reach, and why: use a loopback address, or accept it with --insecure-listen"
                );
            }
        }
    }

    #[test]
    fn the_name_of_this_machine_is_resolved_and_no_other() {
        let of = |text: &str| Listen { text: text.to_owned(), consent: false, why: "" }.resolve();
        let found = of("localhost:6962").unwrap();
        assert!(found.iter().all(|address| address.port() == 6_962), "{found:?}");
        assert_eq!(of("127.0.0.1:7").unwrap(), ["127.0.0.1:7".parse().unwrap()]);
        let refused = of("no-such-host.invalid:1").unwrap_err().to_string();
        assert!(refused.contains("no-such-host.invalid:1"), "{refused}");
    }
}
