//! One call to one witness.

use std::sync::Arc;
use std::time::Duration;

use base::clock::Clock;
use bytes::Bytes;
use formats::Origin;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tls::{AuthoritiesError, Connector, Http, Known};

use crate::answer::excerpt;
use crate::{ANSWER_BYTES_MAX, Answer, WitnessUrl};

/// The longest checkpoint that is read, in bytes: the limit of notes.
const CHECKPOINT_BYTES_MAX: usize = formats::note::NOTE_BYTES_MAX;
/// How long an idle connection is kept: submissions of a busy log follow one another closely.
const IDLE_TIMEOUT: Duration = Duration::from_mins(1);
/// Connections kept to one witness: one is enough for one log, and many logs share it.
const IDLE_CONNECTIONS_MAX: usize = 16;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// It was not complete in time.
    #[error("no answer within {} ms", timeout.as_millis())]
    Timeout {
        /// How long was waited.
        timeout: Duration,
    },
    /// The witness cannot be reached, or broke off.
    #[error("witness cannot be reached")]
    Unreachable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The answer broke off.
    #[error("the answer broke off")]
    BrokenOff(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The answer is longer than any can be.
    #[error("the answer has more than {max} bytes")]
    TooLong {
        /// The limit.
        max: usize,
    },
    /// The request for a checkpoint was refused.
    #[error("the answer has status {status}{}{said}", if said.is_empty() { "" } else { ": " })]
    Status {
        /// The status.
        status: u16,
        /// The beginning of its text.
        said: String,
    },
    /// The address and path do not make a request.
    #[error("the address makes no request")]
    Request(#[source] http::Error),
}

/// Asks witnesses, over connections it keeps. Cloning it is cheap.
#[derive(Clone, Debug)]
pub struct WitnessClient {
    http: Client<Connector, Full<Bytes>>,
    clock: Arc<dyn Clock>,
    timeout: Duration,
}

impl WitnessClient {
    /// `timeout` bounds each call, from connecting to the last byte, by `clock`. `https`: some witness is asked over
    /// HTTPS; without one the machine's certificate authorities are not read.
    pub fn new(
        timeout: Duration,
        https: bool,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, AuthoritiesError> {
        let known = if https { Known::ByAuthorities } else { Known::ByNothing };
        let connector = tls::connector(known, Http::One, timeout)?;
        let http = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .pool_max_idle_per_host(IDLE_CONNECTIONS_MAX)
            .build(connector);
        Ok(Self { http, clock, timeout })
    }

    /// Submits the body of an `add-checkpoint`.
    pub async fn add_checkpoint(
        &self,
        witness: &WitnessUrl,
        body: Bytes,
    ) -> Result<Answer, CallError> {
        let request = request(Method::POST, witness.join("add-checkpoint"), body)?;
        let response = self.call(request, ANSWER_BYTES_MAX).await?;
        let (parts, body) = response.into_parts();
        Ok(Answer::of(parts.status, &parts.headers, body))
    }

    /// The checkpoint a witness serves of a log; `None` if it has none, or serves no checkpoints. It may
    /// lag behind what the witness cosigned.
    pub async fn monitored_checkpoint(
        &self,
        witness: &WitnessUrl,
        origin: &Origin,
    ) -> Result<Option<Bytes>, CallError> {
        let path = format!("{}/checkpoint", origin.sha256());
        let request = request(Method::GET, witness.join(&path), Bytes::new())?;
        let response = self.call(request, CHECKPOINT_BYTES_MAX).await?;
        match response.status() {
            StatusCode::OK => Ok(Some(response.into_body())),
            StatusCode::NOT_FOUND
            | StatusCode::METHOD_NOT_ALLOWED
            | StatusCode::GONE
            | StatusCode::NOT_IMPLEMENTED => Ok(None),
            status => {
                let said = excerpt(response.body());
                Err(CallError::Status { status: status.as_u16(), said })
            }
        }
    }

    async fn call(
        &self,
        request: Request<Full<Bytes>>,
        max: usize,
    ) -> Result<Response<Bytes>, CallError> {
        let timeout = self.timeout;
        let call = async {
            let response = self.http.request(request).await;
            let (parts, body) =
                response.map_err(|e| CallError::Unreachable(e.into()))?.into_parts();
            match Limited::new(body, max).collect().await {
                Ok(body) => Ok(Response::from_parts(parts, body.to_bytes())),
                Err(error) if error.is::<LengthLimitError>() => Err(CallError::TooLong { max }),
                Err(error) => Err(CallError::BrokenOff(error)),
            }
        };
        self.clock.timeout(timeout, call).await.map_err(|_| CallError::Timeout { timeout })?
    }
}

fn request(method: Method, url: String, body: Bytes) -> Result<Request<Full<Bytes>>, CallError> {
    Request::builder()
        .method(method)
        .uri(url)
        .header(header::USER_AGENT, concat!("cairn/", env!("CARGO_PKG_VERSION")))
        .body(Full::new(body))
        .map_err(CallError::Request)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn nobody_there_is_an_error_and_no_panic() {
        let clock = Arc::new(base::clock::SystemClock::new());
        let client = WitnessClient::new(Duration::from_secs(5), false, clock).unwrap();
        let witness = WitnessUrl::parse(b"http://127.0.0.1:1").unwrap();
        let error = client.add_checkpoint(&witness, Bytes::from("old 0\n")).await.unwrap_err();
        assert!(matches!(error, CallError::Unreachable(_)), "{error:?}");
        let https = WitnessUrl::parse(b"https://127.0.0.1:1").unwrap();
        let origin = Origin::new("a").unwrap();
        client.monitored_checkpoint(&https, &origin).await.unwrap_err();
    }
}
