//! The routes of c2sp.org/tlog-witness, and what an operator asks for.
//!
//! ```text
//! POST /add-checkpoint   POST /sign-subtree
//! GET  /<SHA-256 of the origin, lowercase hex>/checkpoint
//! GET  /<SHA-256 of the origin, lowercase hex>/evidence
//! GET  /healthz  /readyz  /metrics
//! ```

mod read;
mod submit;

use std::sync::Arc;

use base::clock::Clock;
use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use serve::body::{Body, full, plain};

use crate::metrics::Metrics;
use crate::witness::{OriginHash, Witness};

pub use submit::BODY_BYTES_MAX;

/// The handlers' parts. Cloning it is cheap.
#[derive(Clone, Debug)]
pub struct Http {
    pub witness: Witness,
    pub metrics: Arc<Metrics>,
    pub clock: Arc<dyn Clock>,
}

/// What a path names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Target {
    AddCheckpoint,
    SignSubtree,
    Checkpoint(OriginHash),
    Evidence(OriginHash),
    Healthz,
    Readyz,
    Metrics,
}

/// Parses a path; only the canonical spelling of a target is one.
fn target(path: &str) -> Option<Target> {
    match path {
        "/add-checkpoint" => return Some(Target::AddCheckpoint),
        "/sign-subtree" => return Some(Target::SignSubtree),
        "/healthz" => return Some(Target::Healthz),
        "/readyz" => return Some(Target::Readyz),
        "/metrics" => return Some(Target::Metrics),
        _ => {}
    }
    let (hash, rest) = path.strip_prefix('/')?.split_once('/')?;
    let hash = origin_hash(hash)?;
    match rest {
        "checkpoint" => Some(Target::Checkpoint(hash)),
        "evidence" => Some(Target::Evidence(hash)),
        _ => None,
    }
}

/// 64 lowercase hexadecimal digits.
fn origin_hash(hex: &str) -> Option<OriginHash> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let pairs = hex.as_bytes().chunks_exact(2);
    let bytes = pairs.map(|pair| Some(digit(pair[0])? << 4 | digit(pair[1])?));
    let bytes: Vec<u8> = bytes.collect::<Option<_>>()?;
    let hash = bytes.try_into().ok()?;
    (hex.len() == 64).then_some(hash)
}

impl Http {
    /// Answers one request.
    pub async fn answer<B>(&self, request: Request<B>) -> Response<Body>
    where
        B: http_body::Body<Data = Bytes> + Send,
    {
        let (parts, body) = request.into_parts();
        let Some(target) = target(parts.uri.path()) else {
            return plain(StatusCode::NOT_FOUND, "not found");
        };
        let head_only = parts.method == Method::HEAD;
        let reads = head_only || parts.method == Method::GET;
        let posts = parts.method == Method::POST;
        let mut response = match target {
            Target::AddCheckpoint if posts => {
                return submit::add_checkpoint(&self.witness, body).await;
            }
            Target::SignSubtree if posts => return submit::sign_subtree(&self.witness, body).await,
            Target::AddCheckpoint | Target::SignSubtree => return method_not_allowed("POST"),
            _ if !reads => return method_not_allowed("GET, HEAD"),
            Target::Checkpoint(hash) => read::checkpoint(&self.witness, hash).await,
            Target::Evidence(hash) => read::evidence(&self.witness, hash).await,
            Target::Healthz => plain(StatusCode::OK, "ok"),
            Target::Readyz => self.ready(),
            Target::Metrics => self.scrape(),
        };
        if head_only {
            *response.body_mut() = Body::empty();
        }
        response
    }

    fn ready(&self) -> Response<Body> {
        match readiness(&self.witness, self.clock.unix_ms()) {
            Ok(()) => plain(StatusCode::OK, "ready"),
            Err(reason) => plain(StatusCode::SERVICE_UNAVAILABLE, reason),
        }
    }

    fn scrape(&self) -> Response<Body> {
        let mut response = Response::new(full(self.metrics.encode()));
        let headers = response.headers_mut();
        let text = "application/openmetrics-text; version=1.0.0; charset=utf-8";
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(text));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }
}

/// Whether every log can be cosigned, or what is in the way.
fn readiness(witness: &Witness, now_ms: u64) -> Result<(), &'static str> {
    if witness.has_failed() {
        return Err("the store cannot be written: nothing is signed until a restart");
    }
    if witness.public().clock_is_behind(now_ms / 1_000) {
        return Err("the clock is behind the last cosignature of a log: set it right");
    }
    Ok(())
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
        let hex = "0123456789abcdef".repeat(4);
        let hash = origin_hash(&hex).unwrap();
        assert_eq!(hash[..3], [0x01, 0x23, 0x45]);
        assert_eq!(target("/add-checkpoint"), Some(Target::AddCheckpoint));
        assert_eq!(target("/sign-subtree"), Some(Target::SignSubtree));
        assert_eq!(target(&format!("/{hex}/checkpoint")), Some(Target::Checkpoint(hash)));
        assert_eq!(target(&format!("/{hex}/evidence")), Some(Target::Evidence(hash)));
        for bad in [
            String::new(),
            "/".to_owned(),
            "/add-checkpoint/".to_owned(),
            "//add-checkpoint".to_owned(),
            "/Add-checkpoint".to_owned(),
            format!("/{hex}"),
            format!("/{hex}/"),
            format!("/{hex}/checkpoint/"),
            format!("/{}/checkpoint", hex.to_uppercase()),
            format!("/{}/checkpoint", &hex[1..]),
            format!("/{hex}0/checkpoint"),
            format!("/{}/checkpoint", "0g".repeat(32)),
            format!("/{}/checkpoint", "é".repeat(32)),
        ] {
            assert_eq!(target(&bad), None, "{bad}");
        }
    }
}
