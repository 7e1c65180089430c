//! Submission prefixes.

use std::fmt;

use tls::{Known, Url};

/// The longest prefix, in bytes: what fits into a request line everywhere.
const URL_BYTES_MAX: usize = 2_048;

/// Why a text is no witness's address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// Not UTF-8, or longer than an address can be.
    #[error("witness address is no text of 1 to {URL_BYTES_MAX} bytes")]
    Text,
    /// Another form than expected.
    #[error("witness address {url:?} is not of the form http[s]://HOST[:PORT][/PATH]")]
    Form {
        /// The address as it was given.
        url: String,
    },
}

/// A witness's submission prefix, without a slash at its end.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WitnessUrl {
    prefix: String,
    https: bool,
}

impl WitnessUrl {
    /// Checks an address: absolute, over HTTP or HTTPS, without user, query and fragment.
    pub fn parse(url: &[u8]) -> Result<Self, UrlError> {
        let text = std::str::from_utf8(url).map_err(|_| UrlError::Text)?;
        if text.is_empty() || text.len() > URL_BYTES_MAX {
            return Err(UrlError::Text);
        }
        let form = || UrlError::Form { url: text.to_owned() };
        let url: Url = text.parse().map_err(|_| form())?;
        let prefix = url.prefix().ok_or_else(form)?;
        Ok(Self { prefix, https: url.known() != Known::ByNothing })
    }

    /// The prefix as text.
    pub fn as_str(&self) -> &str {
        &self.prefix
    }

    /// Whether it is asked over HTTPS.
    pub fn is_https(&self) -> bool {
        self.https
    }

    /// The address of something below the prefix.
    pub(crate) fn join(&self, path: &str) -> String {
        format!("{}/{path}", self.prefix)
    }
}

impl fmt::Display for WitnessUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.prefix)
    }
}

impl fmt::Debug for WitnessUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_absolute_and_plain() {
        for (given, kept) in [
            ("http://127.0.0.1:6963", "http://127.0.0.1:6963"),
            ("http://127.0.0.1:6963/", "http://127.0.0.1:6963"),
            ("https://witness.example/a/b/", "https://witness.example/a/b"),
        ] {
            assert_eq!(WitnessUrl::parse(given.as_bytes()).unwrap().as_str(), kept);
        }
        let https = |url: &str| WitnessUrl::parse(url.as_bytes()).unwrap().is_https();
        assert!(https("https://w.example") && https("HTTPS://w.example"));
        assert!(!https("http://w.example"));
        for given in [
            "",
            "witness.example",
            "/add-checkpoint",
            "ftp://witness.example",
            "http://user@witness.example",
            "http://witness.example/?a",
            "http://witness.example/#a",
            "http://",
        ] {
            assert!(WitnessUrl::parse(given.as_bytes()).is_err(), "{given:?}");
        }
        assert_eq!(WitnessUrl::parse(b"http://\xff"), Err(UrlError::Text));
        let long = |bytes: usize| format!("http://{}", "a".repeat(bytes - 7));
        assert!(WitnessUrl::parse(long(URL_BYTES_MAX).as_bytes()).is_ok());
        assert_eq!(WitnessUrl::parse(long(URL_BYTES_MAX + 1).as_bytes()), Err(UrlError::Text));
    }
}
