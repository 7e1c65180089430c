//! The HTTP client of everything here that asks a server of somebody else: witnesses, tiles, webhooks.
//!
//! Each request is sent once, and its answer is bounded in time and in bytes. HTTP/1.1, plain or over TLS.

#![warn(missing_docs)]

mod redirect;

pub use redirect::RedirectError;

use std::sync::Arc;
use std::time::Duration;

use base::clock::{Clock, TimeIsUp};
use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper_util::client::legacy;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tls::{AuthoritiesError, Connector, Http, Known};

/// How long a connection is kept that nothing is asked on.
const IDLE_TIMEOUT: Duration = Duration::from_mins(1);

/// How a client asks.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// By what the servers at `https` addresses are known.
    pub known: Known,
    /// How long connecting may take, the handshake of TLS aside.
    pub connect_timeout: Duration,
    /// How long an answer may take, from connecting to its last byte.
    pub answer_timeout: Duration,
    /// Idle connections that are kept to one server.
    pub idle_connections_max: usize,
    /// What becomes of an answer that says that something else lies elsewhere.
    pub redirects: Redirects,
}

/// What becomes of redirects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Redirects {
    /// They are answers like others.
    Answers,
    /// Those of a GET are followed once, within the origin that was asked; others are errors.
    OnceWithinOrigin,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// It was not complete in time.
    #[error("no answer within {} ms", timeout.as_millis())]
    Timeout {
        /// How long was waited.
        timeout: Duration,
    },
    /// The server cannot be reached, or broke off before it answered.
    #[error("the server cannot be reached")]
    Unreachable(#[source] legacy::Error),
    /// The answer broke off.
    #[error("the answer broke off")]
    BrokenOff(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The answer is longer than whoever asked takes.
    #[error("the answer has more than {max} bytes")]
    TooLong {
        /// The limit.
        max: usize,
    },
    /// The server redirects where the client does not follow.
    #[error(transparent)]
    Redirect(#[from] RedirectError),
}

/// Asks, over connections that it keeps. Cloning it is cheap.
#[derive(Clone, Debug)]
pub struct Client {
    http: legacy::Client<Connector, Full<Bytes>>,
    clock: Arc<dyn Clock>,
    answer_timeout: Duration,
    redirects: Redirects,
}

impl Client {
    /// A client whose answers are bounded in time by `clock`.
    ///
    /// # Errors
    /// The machine's certificate authorities vouch for the servers, and cannot be read.
    pub fn new(options: Options, clock: Arc<dyn Clock>) -> Result<Self, AuthoritiesError> {
        let Options { known, connect_timeout, answer_timeout, idle_connections_max, redirects } =
            options;
        let connector = tls::connector(known, Http::One, connect_timeout)?;
        let http = legacy::Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .pool_max_idle_per_host(idle_connections_max)
            .build(connector);
        Ok(Self { http, clock, answer_timeout, redirects })
    }

    /// Sends a request, and waits for the head of the answer.
    pub async fn ask(&self, request: Request<Bytes>) -> Result<Answer, CallError> {
        let ends_at = self.clock.monotonic().saturating_add(self.answer_timeout);
        let head = self.clock.timeout_at(ends_at, self.follow(request)).await;
        let (head, body) = head.map_err(|TimeIsUp| self.timeout())??.into_parts();
        Ok(Answer { head: Response::from_parts(head, ()), body, ends_at, client: self.clone() })
    }

    async fn follow(&self, request: Request<Bytes>) -> Result<Response<Incoming>, CallError> {
        if self.redirects == Redirects::Answers || request.method() != Method::GET {
            return self.send(request).await;
        }
        let (uri, headers) = (request.uri().clone(), request.headers().clone());
        let answer = self.send(request).await?;
        let Some(target) = redirect::target(&uri, answer.status(), answer.headers())? else {
            return Ok(answer);
        };
        let answer = self.send(get(target, headers)).await?;
        if redirect::is_redirect(answer.status()) {
            return Err(redirect::second(answer.headers()).into());
        }
        Ok(answer)
    }

    async fn send(&self, request: Request<Bytes>) -> Result<Response<Incoming>, CallError> {
        self.http.request(request.map(Full::new)).await.map_err(CallError::Unreachable)
    }

    fn timeout(&self) -> CallError {
        CallError::Timeout { timeout: self.answer_timeout }
    }
}

/// An answer whose body was not read yet.
#[derive(Debug)]
pub struct Answer {
    head: Response<()>,
    body: Incoming,
    /// By the monotonic time of the client's clock.
    ends_at: Duration,
    client: Client,
}

impl Answer {
    /// The status.
    pub fn status(&self) -> StatusCode {
        self.head.status()
    }

    /// The headers.
    pub fn headers(&self) -> &HeaderMap {
        self.head.headers()
    }

    /// The next bytes of the body if they come within `timeout`, or `None` at its end. For bodies that are
    /// too large or too slow to be taken as a whole: the time for the whole answer does not bound them.
    pub async fn part(&mut self, timeout: Duration) -> Result<Option<Bytes>, CallError> {
        let clock = &self.client.clock;
        let ends_at = clock.monotonic().saturating_add(timeout);
        loop {
            let frame = clock.timeout_at(ends_at, self.body.frame()).await;
            match frame.map_err(|TimeIsUp| CallError::Timeout { timeout })? {
                None => return Ok(None),
                Some(Err(error)) => return Err(CallError::BrokenOff(error.into())),
                // Trailers say nothing that is asked for here.
                Some(Ok(frame)) => {
                    if let Ok(bytes) = frame.into_data() {
                        return Ok(Some(bytes));
                    }
                }
            }
        }
    }

    /// The whole answer, with at most `body_bytes_max` bytes of body.
    pub async fn whole(self, body_bytes_max: usize) -> Result<Response<Bytes>, CallError> {
        let Self { head, body, ends_at, client } = self;
        let body = Limited::new(body, body_bytes_max).collect();
        match client.clock.timeout_at(ends_at, body).await {
            Ok(Ok(body)) => Ok(head.map(|()| body.to_bytes())),
            Ok(Err(error)) if error.is::<LengthLimitError>() => {
                Err(CallError::TooLong { max: body_bytes_max })
            }
            Ok(Err(error)) => Err(CallError::BrokenOff(error)),
            Err(TimeIsUp) => Err(client.timeout()),
        }
    }
}

fn get(uri: Uri, headers: HeaderMap) -> Request<Bytes> {
    let mut request = Request::new(Bytes::new());
    (*request.uri_mut(), *request.headers_mut()) = (uri, headers);
    request
}

#[cfg(test)]
mod tests;
