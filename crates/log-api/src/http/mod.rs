//! Plain HTTP on the same port: the tlog-tiles read API (c2sp.org/tlog-tiles), `/add`, and what an
//! operator asks for.
//!
//! Every path that is not exactly one of these is 404 and never a redirect: a tile has one name.

pub mod tiles;

pub mod encoding;

pub mod add;

pub mod ops;

use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};

use crate::service::Service;
use merkle::tile::{BundlePath, TilePath};

use encoding::Encoder;
use serve::body::{Body, plain};

/// The handlers' parts. Cloning it is cheap.
#[derive(Clone, Debug)]
pub struct Http {
    service: Service,
    encoder: Encoder,
    ops: ops::Ops,
}

/// What a path names.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Target<'a> {
    Checkpoint(&'a str),
    Tile(&'a str, TilePath),
    Bundle(&'a str, BundlePath),
    Add(&'a str),
    Healthz,
    Readyz,
    Metrics,
}

/// Parses a path; only the canonical spelling of a target is one.
fn target(path: &str) -> Option<Target<'_>> {
    match path {
        "/healthz" => return Some(Target::Healthz),
        "/readyz" => return Some(Target::Readyz),
        "/metrics" => return Some(Target::Metrics),
        _ => {}
    }
    let (log, rest) = path.strip_prefix("/logs/")?.split_once('/')?;
    match rest {
        "checkpoint" => Some(Target::Checkpoint(log)),
        "add" => Some(Target::Add(log)),
        _ if rest.starts_with("tile/entries/") => {
            rest.parse().ok().map(|path| Target::Bundle(log, path))
        }
        _ => rest.parse().ok().map(|path| Target::Tile(log, path)),
    }
}

impl Http {
    /// Serves the logs of `service`; encoded bundles are kept by `encoder`.
    pub fn new(service: Service, encoder: Encoder, ops: ops::Ops) -> Self {
        Self { service, encoder, ops }
    }

    /// Answers one request.
    pub async fn answer<B>(&self, request: Request<B>) -> Response<Body>
    where
        B: http_body::Body<Data = bytes::Bytes> + Send,
        B::Error: std::fmt::Display,
    {
        let (parts, body) = request.into_parts();
        let Some(target) = target(parts.uri.path()) else {
            return not_found();
        };
        let head_only = parts.method == Method::HEAD;
        let reads = head_only || parts.method == Method::GET;
        let posts = parts.method == Method::POST;
        let mut response = match target {
            Target::Add(log) if posts => return add::add(&self.service, log, body).await,
            Target::Add(_) => return method_not_allowed("POST"),
            Target::Healthz if posts => return add::discard(&self.service, body).await,
            _ if !reads => return method_not_allowed("GET, HEAD"),
            Target::Checkpoint(log) => tiles::checkpoint(&self.service, log),
            Target::Tile(log, path) => tiles::tile(&self.service, log, path).await,
            Target::Bundle(log, path) => self.bundle(log, path, &parts.headers).await,
            Target::Healthz => plain(StatusCode::OK, "ok"),
            Target::Readyz => self.ops.ready(),
            Target::Metrics => self.ops.metrics(),
        };
        if head_only {
            *response.body_mut() = Body::empty();
        }
        response
    }

    async fn bundle(&self, log: &str, path: BundlePath, headers: &HeaderMap) -> Response<Body> {
        tiles::bundle(&self.service, &self.encoder, log, path, headers).await
    }
}

fn not_found() -> Response<Body> {
    plain(StatusCode::NOT_FOUND, "not found")
}

fn method_not_allowed(allow: &'static str) -> Response<Body> {
    let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, "method not allowed");
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allow));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_target_has_one_spelling() {
        assert_eq!(target("/logs/a/checkpoint"), Some(Target::Checkpoint("a")));
        assert_eq!(target("/logs/a/add"), Some(Target::Add("a")));
        assert!(matches!(target("/logs/a/tile/0/x001/234"), Some(Target::Tile("a", _))));
        assert!(matches!(target("/logs/a/tile/0/000.p/1"), Some(Target::Tile("a", _))));
        assert!(matches!(target("/logs/a/tile/entries/000"), Some(Target::Bundle("a", _))));
        assert_eq!(target("/healthz"), Some(Target::Healthz));
        for bad in [
            "",
            "/",
            "/healthz/",
            "/logs",
            "/logs/",
            "/logs/a",
            "/logs/a/",
            "/logs/a/checkpoint/",
            "/logs/a//checkpoint",
            "//logs/a/checkpoint",
            "/logs/a/tile/0/0",
            "/logs/a/tile/0/0000",
            "/logs/a/tile/00/000",
            "/logs/a/tile/0/x000/000",
            "/logs/a/tile/0/000.p/0",
            "/logs/a/tile/0/000.p/256",
            "/logs/a/tile/0/000.p/01",
            "/logs/a/tile/0/000.p/1/",
            "/logs/a/tile/-1/000",
            "/logs/a/tile/64/000",
            "/logs/a/tile/0/+01",
            "/logs/a/tile/entries/000.p/",
            "/logs/a/tile/entries/",
            "/logs/a/tile/data/000",
            "/logs/a/../b/checkpoint",
        ] {
            assert_eq!(target(bad), None, "{bad}");
        }
    }
}
