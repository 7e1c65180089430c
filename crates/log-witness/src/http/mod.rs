//! The routes of c2sp.org/tlog-witness, and what an operator asks for: see [`crate::routes`]. A log's part
//! of a path is the SHA-256 of its origin, in lowercase hexadecimal digits.

mod read;
mod submit;

use std::borrow::Cow;

use base::clock::checked::CheckedClock;
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use serve::body::{self, Body, plain};
use serve::ops::{Ops, Target as Asked};
use serve::route::{Params, Route};

use crate::witness::Witness;

/// How an operator accepts the clock.
const CLOCK_ACCEPT: &str = "cairn-witness clock accept";

/// The handlers' parts. Cloning it is cheap.
#[derive(Clone, Debug)]
pub struct Http {
    pub witness: Witness,
    pub ops: Ops,
}

/// What answers a row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    AddCheckpoint,
    SignSubtree,
    Checkpoint,
    Evidence,
    /// What an operator asks for.
    Ops(Asked),
}

impl Http {
    /// Answers one request, which is of this route.
    pub async fn answer<B>(
        &self,
        request: Request<B>,
        route: &Route,
        target: Target,
    ) -> Response<Body>
    where
        B: http_body::Body<Data = Bytes> + Send,
    {
        let (parts, body) = request.into_parts();
        let witness = &self.witness;
        let origin = || {
            let Params { segment, .. } = route.pattern.params(parts.uri.path())?;
            segment.parse().ok()
        };
        if parts.method == Method::OPTIONS {
            return body::preflight();
        }
        if parts.method == Method::POST
            && let Some(refusal) = body::encoded(&parts.headers)
        {
            return refusal;
        }
        let bytes_max = route.body_bytes_max;
        let mut response = match target {
            Target::AddCheckpoint => submit::add_checkpoint(witness, body, bytes_max).await,
            Target::SignSubtree => submit::sign_subtree(witness, body, bytes_max).await,
            Target::Checkpoint => match origin() {
                Some(hash) => read::checkpoint(witness, hash).await,
                None => not_found(),
            },
            Target::Evidence => match origin() {
                Some(hash) => read::evidence(witness, hash).await,
                None => not_found(),
            },
            Target::Ops(asked) => self.ops.answer(asked),
        };
        if parts.method == Method::HEAD {
            *response.body_mut() = Body::empty();
        }
        if route.is_public() { body::open_to_pages(response) } else { response }
    }
}

/// Whether every log can be cosigned and the clock is believed, or what is wrong.
pub fn readiness(witness: &Witness, clock: &CheckedClock) -> Result<(), Cow<'static, str>> {
    if witness.has_failed() {
        return Err("the store cannot be written: nothing is signed until a restart".into());
    }
    match clock.reading().trouble(CLOCK_ACCEPT) {
        Some(trouble) => Err(trouble.into()),
        None => Ok(()),
    }
}

fn not_found() -> Response<Body> {
    plain(StatusCode::NOT_FOUND, "not found")
}
