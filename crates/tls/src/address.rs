//! Addresses of servers, and how we know each server.

use std::fmt;
use std::str::FromStr;

use http::Uri;

use crate::{Known, Pin, PinError};

/// A text is no address of a server.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// The text has none of the three forms.
    #[error(
        "{url:?} is not of the form http://HOST:PORT, https://HOST:PORT or https://HOST:PORT#sha256//PIN"
    )]
    Form {
        /// The text as it was given.
        url: String,
    },
    /// What stands behind `#` is no pin.
    #[error("{url:?} pins no key")]
    Pin {
        /// The text as it was given.
        url: String,
        /// What is wrong with the pin.
        #[source]
        source: PinError,
    },
    /// A key is pinned for an `http://` address, where the server shows no key.
    #[error("{url:?} pins a key, and http shows none")]
    PinWithoutTls {
        /// The text as it was given.
        url: String,
    },
}

/// A server's scheme, host and port, and how we know the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    uri: Uri,
    known: Known,
}

impl Address {
    /// The address without its pin: `http` or `https`, and the path `/`.
    pub fn uri(&self) -> &Uri {
        &self.uri
    }

    /// How we know the server; [`Known::ByNothing`] means `http`.
    pub fn known(&self) -> Known {
        self.known
    }
}

impl FromStr for Address {
    type Err = AddressError;

    /// `http://HOST[:PORT]`, `https://HOST[:PORT]`, or the latter with `#` and a [`Pin`]; one slash
    /// may end the address. A user, a path or a query is refused, because it would not be used.
    fn from_str(text: &str) -> Result<Self, AddressError> {
        let form = || AddressError::Form { url: text.to_owned() };
        let (address, pin) = match text.split_once('#') {
            Some((address, pin)) => (address, Some(pin)),
            None => (text, None),
        };
        let uri: Uri = address.parse().map_err(|_| form())?;
        let host = uri.host().filter(|host| !host.is_empty()).ok_or_else(form)?;
        let port = uri.port_u16().map_or_else(String::new, |port| format!(":{port}"));
        let whole = uri.authority().is_some_and(|all| *all == *format!("{host}{port}"));
        if !whole || uri.path() != "/" || uri.query().is_some() {
            return Err(form());
        }
        let known = match (uri.scheme_str(), pin) {
            (Some("http"), None) => Known::ByNothing,
            (Some("http"), Some(_)) => {
                return Err(AddressError::PinWithoutTls { url: text.to_owned() });
            }
            (Some("https"), None) => Known::ByAuthorities,
            (Some("https"), Some(pin)) => Known::ByKey(
                pin.parse::<Pin>()
                    .map_err(|source| AddressError::Pin { url: text.to_owned(), source })?,
            ),
            _ => return Err(form()),
        };
        Ok(Self { uri, known })
    }
}

/// Without the pin.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = self.uri.scheme_str().unwrap_or_default();
        let authority = self.uri.authority().map(http::uri::Authority::as_str).unwrap_or_default();
        write!(f, "{scheme}://{authority}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PIN: &str = "sha256//47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";

    fn known(text: &str) -> Known {
        text.parse::<Address>().unwrap().known()
    }

    #[test]
    fn the_scheme_and_the_pin_say_by_what_a_server_is_known() {
        assert_eq!(known("http://127.0.0.1:6962"), Known::ByNothing);
        assert_eq!(known("http://[::1]:6962/"), Known::ByNothing);
        assert_eq!(known("https://log.example"), Known::ByAuthorities);
        let pinned: Address = format!("https://log.example:443#{PIN}").parse().unwrap();
        assert_eq!(pinned.known(), Known::ByKey(PIN.parse().unwrap()));
        assert_eq!(pinned.to_string(), "https://log.example:443");
        assert_eq!(pinned.uri(), "https://log.example:443/");
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for bad in [
            "",
            "not a url",
            "127.0.0.1:6962",
            "log.example",
            "ftp://127.0.0.1:1",
            "http://127.0.0.1:1/a",
            "http://127.0.0.1:1?a",
            "https://a@log.example",
            "http://",
            "https://:1",
            "https://log.example:",
            "https://log.example:99999",
        ] {
            let url = bad.to_owned();
            assert_eq!(bad.parse::<Address>(), Err(AddressError::Form { url }));
        }
        for bad in ["", "sha256//", "sha1//AAAA", &PIN[8..], &PIN[..PIN.len() - 1]] {
            let refused = format!("https://log.example#{bad}").parse::<Address>();
            assert!(matches!(refused, Err(AddressError::Pin { .. })), "{bad:?}");
        }
        let url = format!("http://log.example#{PIN}");
        assert_eq!(url.parse::<Address>(), Err(AddressError::PinWithoutTls { url }));
    }
}
