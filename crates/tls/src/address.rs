//! Addresses of servers, and how we know each server.

use std::fmt;
use std::str::FromStr;

use http::Uri;
use http::uri::PathAndQuery;

use crate::{Known, Pin, PinError};

/// A text is not an address of something on a server.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{url:?} is not of the form http[s]://HOST[:PORT][/PATH]")]
pub struct UrlError {
    /// The text as it was given.
    pub url: String,
}

/// Where something lies on a server: `http[s]://HOST[:PORT][/PATH][?QUERY]`, by what it is asked. A user and
/// a fragment, which clients leave out without a word, are refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    uri: Uri,
    known: Known,
}

impl Url {
    /// The address as requests take it.
    pub fn uri(&self) -> &Uri {
        &self.uri
    }

    /// By what its server is known; [`Known::ByNothing`] means `http`.
    pub fn known(&self) -> Known {
        self.known
    }

    /// The address below which other things lie, without the slashes at its end; `None` where it has a query.
    pub fn prefix(&self) -> Option<String> {
        let Self { uri, .. } = self;
        uri.query().is_none().then(|| uri.to_string().trim_end_matches('/').to_owned())
    }

    /// The server that it is on.
    pub fn server(&self) -> Address {
        let mut parts = self.uri.clone().into_parts();
        parts.path_and_query = Some(PathAndQuery::from_static("/"));
        let uri = Uri::from_parts(parts).expect("an address stays one without its path");
        Address { uri, known: self.known }
    }
}

impl FromStr for Url {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        let form = || UrlError { url: text.to_owned() };
        let uri: Uri = text.parse().map_err(|_| form())?;
        let known = match uri.scheme_str() {
            Some("http") => Known::ByNothing,
            Some("https") => Known::ByAuthorities,
            _ => return Err(form()),
        };
        let user = uri.authority().ok_or_else(form)?.as_str().contains('@');
        let host = uri.host().is_some_and(|host| !host.is_empty());
        if user || !host || text.contains('#') { Err(form()) } else { Ok(Self { uri, known }) }
    }
}

/// A text is not an address of a server.
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
        let Url { uri, known } = address.parse().map_err(|_| form())?;
        let host = uri.host().ok_or_else(form)?;
        let port = uri.port_u16().map_or_else(String::new, |port| format!(":{port}"));
        let whole = uri.authority().is_some_and(|all| *all == *format!("{host}{port}"));
        if !whole || uri.path() != "/" || uri.query().is_some() {
            return Err(form());
        }
        let known = match (known, pin) {
            (Known::ByNothing, Some(_)) => {
                return Err(AddressError::PinWithoutTls { url: text.to_owned() });
            }
            (_, Some(pin)) => Known::ByKey(
                pin.parse::<Pin>()
                    .map_err(|source| AddressError::Pin { url: text.to_owned(), source })?,
            ),
            (known, None) => known,
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

    #[test]
    fn something_on_a_server_has_a_path_and_may_have_a_query() {
        let url: Url = "https://w.example:1/a/b/".parse().unwrap();
        assert_eq!((url.known(), url.uri().path()), (Known::ByAuthorities, "/a/b/"));
        assert_eq!(url.prefix().unwrap(), "https://w.example:1/a/b");
        assert_eq!(url.server(), "https://w.example:1".parse().unwrap());
        let root: Url = "http://[::1]:1".parse().unwrap();
        assert_eq!(
            (root.known(), root.prefix().unwrap()),
            (Known::ByNothing, "http://[::1]:1".into())
        );
        assert_eq!(root.server().to_string(), "http://[::1]:1");
        let query: Url = "http://w.example/a?token=1".parse().unwrap();
        assert_eq!((query.prefix(), query.uri().query()), (None, Some("token=1")));
        for bad in [
            "",
            "w.example/a",
            "/a",
            "ftp://w.example/",
            "http://",
            "http://:1/",
            "http://user@w.example/",
            "http://w.example/#a",
        ] {
            assert_eq!(bad.parse::<Url>(), Err(UrlError { url: bad.to_owned() }));
        }
    }
}
