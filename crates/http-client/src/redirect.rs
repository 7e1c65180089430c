//! Where an answer says that something else lies: followed once, and only within the origin that was asked.

use http::{HeaderMap, StatusCode, Uri, header};

/// The longest address that is followed, in bytes.
const LOCATION_BYTES_MAX: usize = 2_048;

/// Why a redirect is not followed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RedirectError {
    /// It leads to another scheme, host or port.
    #[error("the server redirects to {to:?}, which is outside {origin}")]
    OtherOrigin {
        /// Where it leads.
        to: String,
        /// Scheme, host and port that were asked.
        origin: String,
    },
    /// One was followed already.
    #[error("the server redirects a second time, to {to:?}")]
    Second {
        /// Where it leads.
        to: String,
    },
    /// It names no address.
    #[error("the server redirects without an address of at most {LOCATION_BYTES_MAX} bytes")]
    Nowhere,
}

/// Where a redirect that may be followed leads; `None` for any other answer.
pub(crate) fn target(
    asked: &Uri,
    status: StatusCode,
    headers: &HeaderMap,
) -> Result<Option<Uri>, RedirectError> {
    if !is_redirect(status) {
        return Ok(None);
    }
    let location = location(headers).ok_or(RedirectError::Nowhere)?;
    let to = resolve(asked, location).ok_or(RedirectError::Nowhere)?;
    if origin(&to) == origin(asked) {
        return Ok(Some(to));
    }
    let (to, (scheme, host, port)) = (location.to_owned(), origin(asked));
    Err(RedirectError::OtherOrigin { to, origin: format!("{scheme}://{host}:{port}") })
}

pub(crate) fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

/// That another redirect followed the one.
pub(crate) fn second(headers: &HeaderMap) -> RedirectError {
    RedirectError::Second { to: location(headers).unwrap_or_default().to_owned() }
}

fn location(headers: &HeaderMap) -> Option<&str> {
    let location = headers.get(header::LOCATION)?.to_str().ok()?;
    (1..=LOCATION_BYTES_MAX).contains(&location.len()).then_some(location)
}

/// RFC 9110, section 10.2.2, without removing dots: what they mean, the server knows.
fn resolve(asked: &Uri, location: &str) -> Option<Uri> {
    let location = location.split('#').next().unwrap_or_default();
    let scheme = asked.scheme_str()?;
    let root = format!("{scheme}://{}", asked.authority()?);
    let folder = asked.path().rsplit_once('/').map_or("", |(folder, _)| folder);
    // A scheme ends before the path and the query begin.
    let has_scheme = location.split(['/', '?']).next().is_some_and(|first| first.ends_with(':'));
    let absolute = if has_scheme && location.contains("://") {
        location.to_owned()
    } else if location.starts_with("//") {
        format!("{scheme}:{location}")
    } else if location.starts_with('/') {
        format!("{root}{location}")
    } else if location.starts_with('?') {
        format!("{root}{}{location}", asked.path())
    } else {
        format!("{root}{folder}/{location}")
    };
    absolute.parse().ok()
}

/// Scheme, host and port; a user in the address makes it another.
fn origin(uri: &Uri) -> (String, String, u16) {
    let scheme = uri.scheme_str().unwrap_or_default().to_ascii_lowercase();
    let default = if scheme == "https" { 443 } else { 80 };
    let authority = uri.authority().map_or("", http::uri::Authority::as_str);
    let port = uri.port_u16();
    let host = port.and_then(|port| authority.strip_suffix(&format!(":{port}")));
    let host = host.unwrap_or(authority).to_ascii_lowercase();
    (scheme, host, port.unwrap_or(default))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn follow(asked: &str, location: &str) -> Result<Option<String>, RedirectError> {
        let mut headers = HeaderMap::new();
        headers.insert(header::LOCATION, location.parse().unwrap());
        let asked = asked.parse().unwrap();
        let target = target(&asked, StatusCode::FOUND, &headers)?;
        Ok(target.map(|uri| uri.to_string()))
    }

    #[test]
    fn an_origin_is_scheme_host_and_port() {
        let asked = "https://log.example/logs/a/tile/0/000";
        for (location, target) in [
            ("/b/tile/0/000", "https://log.example/b/tile/0/000"),
            ("/b?from=https://other/x", "https://log.example/b?from=https://other/x"),
            ("001", "https://log.example/logs/a/tile/0/001"),
            ("?x=1", "https://log.example/logs/a/tile/0/000?x=1"),
            ("//log.example/c", "https://log.example/c"),
            ("https://LOG.example:443/c#part", "https://LOG.example:443/c"),
        ] {
            assert_eq!(follow(asked, location), Ok(Some(target.to_owned())), "{location}");
        }
        for location in [
            "http://log.example/c",
            "https://log.example:444/c",
            "https://other.example/c",
            "https://sub.log.example/c",
            "//other.example/c",
            "https://user@log.example/c",
            "https://log.example.other/c",
            "ftp://log.example/c",
        ] {
            let refused = follow(asked, location).unwrap_err();
            let (to, origin) = (location.to_owned(), "https://log.example:443".to_owned());
            assert_eq!(refused, RedirectError::OtherOrigin { to, origin });
        }
        assert_eq!(follow("http://[::1]:80/a", "/b"), Ok(Some("http://[::1]:80/b".to_owned())));
        assert!(follow("http://[::1]:80/a", "http://[::1]/b").is_ok());
        assert!(follow("http://[::1]:80/a", "http://[::2]/b").is_err());
    }

    #[test]
    fn what_is_no_redirect_or_leads_nowhere() {
        let asked: Uri = "http://log.example/a".parse().unwrap();
        let mut headers = HeaderMap::new();
        let found = |headers: &HeaderMap| target(&asked, StatusCode::FOUND, headers);
        assert_eq!(found(&headers), Err(RedirectError::Nowhere));
        for location in ["", "http://", "/a b", &format!("/{}", "a".repeat(LOCATION_BYTES_MAX))] {
            headers.insert(header::LOCATION, location.parse().unwrap());
            assert_eq!(found(&headers), Err(RedirectError::Nowhere), "{location:?}");
        }
        headers.insert(header::LOCATION, "/b".parse().unwrap());
        for status in [200, 300, 304, 404] {
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(target(&asked, status, &headers), Ok(None));
        }
        for status in [301, 302, 303, 307, 308] {
            let status = StatusCode::from_u16(status).unwrap();
            assert!(matches!(target(&asked, status, &headers), Ok(Some(_))));
        }
    }
}
