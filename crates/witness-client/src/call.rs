//! One call to one witness.

use std::sync::Arc;
use std::time::Duration;

use base::clock::Clock;
use bytes::Bytes;
use formats::Origin;
use http::{Method, Request, Response, StatusCode, header};
use http_client::{Client, Options, Redirects};
use tls::{AuthoritiesError, Known};

use crate::answer::excerpt;
use crate::{ANSWER_BYTES_MAX, Answer, WitnessUrl};

/// The longest checkpoint that is read, in bytes: the limit of notes.
const CHECKPOINT_BYTES_MAX: usize = formats::note::NOTE_BYTES_MAX;
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
    http: Client,
}

impl WitnessClient {
    /// `timeout` bounds each call, from connecting to the last byte, by `clock`. `https`: some witness is
    /// asked over HTTPS; without one the machine's certificate authorities are not read.
    pub fn new(
        timeout: Duration,
        https: bool,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, AuthoritiesError> {
        let known = if https { Known::ByAuthorities } else { Known::ByNothing };
        let options = Options {
            known,
            connect_timeout: timeout,
            answer_timeout: timeout,
            idle_connections_max: IDLE_CONNECTIONS_MAX,
            redirects: Redirects::Answers,
        };
        Ok(Self { http: Client::new(options, clock)? })
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
        request: Request<Bytes>,
        max: usize,
    ) -> Result<Response<Bytes>, CallError> {
        Ok(self.http.ask(request).await?.whole(max).await?)
    }
}

impl From<http_client::CallError> for CallError {
    fn from(error: http_client::CallError) -> Self {
        use http_client::CallError as Http;
        match error {
            Http::Timeout { timeout } => Self::Timeout { timeout },
            Http::Unreachable(source) => Self::Unreachable(source.into()),
            Http::BrokenOff(source) => Self::BrokenOff(source),
            Http::TooLong { max } => Self::TooLong { max },
            Http::Redirect(source) => Self::Unreachable(source.into()),
        }
    }
}

fn request(method: Method, url: String, body: Bytes) -> Result<Request<Bytes>, CallError> {
    Request::builder()
        .method(method)
        .uri(url)
        .header(header::USER_AGENT, concat!("cairn/", env!("CARGO_PKG_VERSION")))
        .body(body)
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
