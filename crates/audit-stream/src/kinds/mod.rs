//! The kinds of destinations: how a record and a request are written, and what an answer means. Pure.

pub(crate) mod elasticsearch;
pub(crate) mod otlp;
pub(crate) mod splunk;
pub(crate) mod webhook;

use bytes::Bytes;
use http::{HeaderValue, Request, Uri, header};

/// The address below which a kind has paths of its own.
pub(crate) fn below(url: &Uri, ends: &[&str], path: &str) -> String {
    let authority = url.authority().map_or("", http::uri::Authority::as_str);
    let base = url.path().trim_end_matches('/');
    let base = ends.iter().find_map(|end| base.strip_suffix(end)).unwrap_or(base);
    format!("{}://{authority}{base}{path}", url.scheme_str().unwrap_or("http"))
}

/// A POST, unless address or credentials make none.
pub(crate) fn post(
    url: &str,
    content_type: &'static str,
    authorization: Option<&str>,
    body: String,
) -> Option<Request<Bytes>> {
    let mut request = Request::post(url).header(header::CONTENT_TYPE, content_type);
    if let Some(text) = authorization {
        let mut value = HeaderValue::from_str(text).ok()?;
        value.set_sensitive(true);
        request = request.header(header::AUTHORIZATION, value);
    }
    request.body(Bytes::from(body)).ok()
}

/// What goes into `Authorization`: a secret with its scheme stands for itself.
pub(crate) fn authorization(secret: &str, scheme: &str) -> String {
    let known = ["ApiKey ", "Basic ", "Bearer ", "Splunk "];
    if known.iter().any(|known| secret.starts_with(known)) {
        secret.to_owned()
    } else {
        format!("{scheme} {secret}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_go_below_an_address() {
        let of = |url: &str| below(&url.parse().unwrap(), &["/a/b", "/a"], "/a/b");
        assert_eq!(of("http://h:1"), "http://h:1/a/b");
        assert_eq!(of("https://h/x/"), "https://h/x/a/b");
        assert_eq!(of("https://h/x/a/b"), "https://h/x/a/b");
        assert_eq!(of("https://h/x/a/"), "https://h/x/a/b");
    }

    #[test]
    fn a_secret_may_say_its_scheme() {
        assert_eq!(authorization("abc", "ApiKey"), "ApiKey abc");
        assert_eq!(authorization("Basic abc", "ApiKey"), "Basic abc");
    }
}
