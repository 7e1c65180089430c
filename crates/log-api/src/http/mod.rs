//! Plain HTTP on the same port: the tlog-tiles read API (c2sp.org/tlog-tiles), `/add`, and the
//! operator's pages.
//!
//! Every path that is not exactly one of [`crate::routes`] is 404 and never a redirect, because a
//! tile has one name.

pub mod tiles;

pub mod encoding;

pub mod add;

pub mod ops;

use http::{HeaderMap, Method, Request, Response, StatusCode};

use crate::logs::Logs;
use merkle::tile::BundlePath;
use serve::route::{Params, Route};

use encoding::Encoder;
use serve::body::{self, Body, plain};
use serve::ops::{Ops, Target as Asked};

/// The handlers' parts. Cloning it is cheap.
#[derive(Clone, Debug)]
pub struct Http {
    logs: Logs,
    encoder: Encoder,
    ops: Ops,
}

/// What answers a row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    Checkpoint,
    Tile,
    Bundle,
    Add,
    Discard,
    /// One of the operator's pages.
    Ops(Asked),
}

impl Http {
    /// Serves `logs`; encoded bundles are kept by `encoder`.
    pub fn new(logs: Logs, encoder: Encoder, ops: Ops) -> Self {
        Self { logs, encoder, ops }
    }

    /// Answers one request, which is of this route.
    pub async fn answer<B>(
        &self,
        request: Request<B>,
        route: &Route,
        target: Target,
    ) -> Response<Body>
    where
        B: http_body::Body<Data = bytes::Bytes> + Send,
    {
        let (parts, body) = request.into_parts();
        let Some(Params { segment: log, tail }) = route.pattern.params(parts.uri.path()) else {
            return not_found();
        };
        if parts.method == Method::OPTIONS {
            return body::preflight();
        }
        let (logs, bytes_max) = (&self.logs, route.body_bytes_max);
        let refusal = || body::encoded(&parts.headers);
        let mut response = match target {
            Target::Add => match refusal() {
                Some(refusal) => refusal,
                None => add::add(logs, log, body, bytes_max).await,
            },
            Target::Discard => add::discard(logs, body, bytes_max).await,
            Target::Checkpoint => tiles::checkpoint(logs, log),
            // A tile has one spelling; any other path is not found.
            Target::Tile => match tail.parse() {
                Ok(path) => tiles::tile(logs, log, path).await,
                Err(_) => not_found(),
            },
            Target::Bundle => match tail.parse() {
                Ok(path) => self.bundle(log, path, &parts.headers).await,
                Err(_) => not_found(),
            },
            Target::Ops(asked) => self.ops.answer(asked),
        };
        if parts.method == Method::HEAD {
            *response.body_mut() = Body::empty();
        }
        if route.is_public() { body::open_to_pages(response) } else { response }
    }

    async fn bundle(&self, log: &str, path: BundlePath, headers: &HeaderMap) -> Response<Body> {
        tiles::bundle(&self.logs, &self.encoder, log, path, headers).await
    }
}

fn not_found() -> Response<Body> {
    plain(StatusCode::NOT_FOUND, "not found")
}
