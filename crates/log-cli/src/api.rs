//! Asks the server over plain HTTP: what audit logs answer in JSON.

use std::sync::Arc;
use std::time::Duration;

use base::backoff::Backoff;
use base::clock::SystemClock;
use base::clock::machine::sleep;
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_client::{Answer, CallError, Client, Options, Redirects};
use serde::Deserialize;
use tls::{Address, AddressError, AuthoritiesError};

use crate::args::Server;
use crate::cloudtrail::to_hex;
use crate::error::Exit;

/// How long one answer may take, from connecting to its last byte.
const ANSWER_TIMEOUT: Duration = Duration::from_mins(2);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const IDLE_CONNECTIONS_MAX: usize = 2;
/// Bytes of an answer: a page of events, or one event with all that was received of it.
pub(crate) const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Attempts in a row before a call is given up.
const ATTEMPTS_MAX: u32 = 6;
const PAUSE_FIRST: Duration = Duration::from_millis(200);
const PAUSE_LONGEST: Duration = Duration::from_secs(5);
/// The longest pause that a server may ask for.
const PAUSE_ASKED_MAX: Duration = Duration::from_secs(30);

/// JSON, one value.
pub(crate) const JSON: &str = "application/json";
/// JSON, a value a line.
pub(crate) const LINES: &str = "application/x-ndjson";

/// Why the server did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApiError {
    #[error("server address {0}")]
    Address(#[from] AddressError),
    #[error(transparent)]
    Authorities(#[from] AuthoritiesError),
    #[error("the server at {url} does not answer")]
    NoAnswer { url: String, source: CallError },
    #[error("the server refused: {message} [{reason}]")]
    Refused { status: StatusCode, reason: String, message: String, retry_after: Option<Duration> },
    #[error("the server's answer is not valid: {what}")]
    BadAnswer { what: &'static str },
}

impl ApiError {
    /// Whether the server is away or busy, so that the same call may be sent again later.
    pub(crate) fn is_passing(&self) -> bool {
        match self {
            Self::NoAnswer { source, .. } => !matches!(source, CallError::Redirect(_)),
            Self::Refused { status, .. } => is_busy(*status),
            Self::Address(_) | Self::Authorities(_) | Self::BadAnswer { .. } => false,
        }
    }

    /// Whether nobody was there at all.
    fn is_unreachable(&self) -> bool {
        matches!(self, Self::NoAnswer { source: CallError::Unreachable(_), .. })
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused { retry_after, .. } => retry_after.map(|it| it.min(PAUSE_ASKED_MAX)),
            _ => None,
        }
    }

    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Address(_) => Exit::Unusable,
            Self::Refused { status, .. } if *status == StatusCode::BAD_REQUEST => Exit::Unusable,
            _ => Exit::Failed,
        }
    }

    pub(crate) fn hint(&self) -> &'static str {
        match self {
            Self::Address(_) => "give the server as http://HOST:PORT or https://HOST:PORT",
            Self::Authorities(_) => {
                "install ca-certificates, or pin the server's key: https://HOST:PORT#sha256//PIN"
            }
            Self::NoAnswer { .. } => {
                "check that the server runs, and name it with --server or CAIRN_SERVER"
            }
            Self::Refused { status, .. } if is_busy(*status) => "send again later",
            Self::Refused { .. } => "change what was asked for as the message says",
            Self::BadAnswer { .. } => "check that client and server are of one version",
        }
    }
}

fn is_busy(status: StatusCode) -> bool {
    matches!(status.as_u16(), 429 | 502 | 503 | 504)
}

/// The server's HTTP interface.
#[derive(Clone, Debug)]
pub(crate) struct Api {
    client: Client,
    /// Scheme, host and port, without a slash at the end.
    base: String,
}

/// What a refusal says.
#[derive(Deserialize)]
struct RefusalDocument {
    error: RefusalMembers,
}

#[derive(Deserialize)]
struct RefusalMembers {
    #[serde(default)]
    message: String,
    #[serde(default)]
    reason: String,
}

impl Api {
    pub(crate) fn new(server: &Server) -> Result<Self, ApiError> {
        let address: Address = server.server.parse()?;
        let options = Options {
            known: address.known(),
            connect_timeout: CONNECT_TIMEOUT,
            answer_timeout: ANSWER_TIMEOUT,
            idle_connections_max: IDLE_CONNECTIONS_MAX,
            redirects: Redirects::Answers,
        };
        let client = Client::new(options, Arc::new(SystemClock::new()))?;
        Ok(Self { client, base: address.uri().to_string().trim_end_matches('/').to_owned() })
    }

    /// A request for a path of this server.
    pub(crate) fn request(&self, method: Method, path: &str) -> http::request::Builder {
        Request::builder().method(method).uri(format!("{}{path}", self.base))
    }

    /// The path of an address that the server named. One of another server is not followed.
    pub(crate) fn own_path(&self, url: &str) -> Result<String, ApiError> {
        let path = url.strip_prefix(&self.base).unwrap_or(url);
        let is_path = path.starts_with('/')
            && !path.starts_with("//")
            && path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#');
        let what = "it names an address of another server";
        if is_path { Ok(path.to_owned()) } else { Err(ApiError::BadAnswer { what }) }
    }

    /// Sends a request once, and gives the head of the answer, whatever its status.
    pub(crate) async fn ask(&self, request: Request<Bytes>) -> Result<Answer, ApiError> {
        self.client.ask(request).await.map_err(|source| self.no_answer(source))
    }

    /// That the server broke off.
    pub(crate) fn no_answer(&self, source: CallError) -> ApiError {
        ApiError::NoAnswer { url: self.base.clone(), source }
    }

    /// Sends a request once, and gives the whole answer, whatever its status.
    async fn whole(&self, request: Request<Bytes>) -> Result<Response<Bytes>, ApiError> {
        let answer = self.ask(request).await?;
        answer.whole(ANSWER_BYTES_MAX).await.map_err(|source| self.no_answer(source))
    }

    /// Reads, and tries again while the server is busy or breaks off.
    pub(crate) async fn get(&self, path: &str) -> Result<Bytes, ApiError> {
        let ask = || self.request(Method::GET, path).body(Bytes::new());
        let answer = self.persist(|| self.whole(built(ask()))).await?;
        done(answer)
    }

    /// Sends a body, and tries again while the server is busy or breaks off: only for what is the same
    /// when it is sent twice. The answer comes whatever its status, unless the server stays busy.
    pub(crate) async fn post(
        &self,
        path: &str,
        content_type: &str,
        body: Bytes,
    ) -> Result<Response<Bytes>, ApiError> {
        let ask = || {
            let request = self.request(Method::POST, path);
            request.header(header::CONTENT_TYPE, content_type).body(body.clone())
        };
        self.persist(|| self.whole(built(ask()))).await
    }

    /// Removes something. One attempt.
    pub(crate) async fn delete(&self, path: &str) -> Result<(), ApiError> {
        let request = built(self.request(Method::DELETE, path).body(Bytes::new()));
        done(self.whole(request).await?).map(drop)
    }

    async fn persist<F>(&self, mut call: impl FnMut() -> F) -> Result<Response<Bytes>, ApiError>
    where
        F: Future<Output = Result<Response<Bytes>, ApiError>>,
    {
        let mut backoff = Backoff::new(PAUSE_FIRST, PAUSE_LONGEST);
        loop {
            let answer = match call().await {
                Ok(answer) if is_busy(answer.status()) => Err(refused(&answer)),
                answer => answer,
            };
            let error = match answer {
                Err(error) if error.is_passing() => error,
                settled => return settled,
            };
            // A server that was never there is told at once.
            let away = backoff.failures() == 0 && error.is_unreachable();
            if away || backoff.failures() + 1 >= ATTEMPTS_MAX {
                return Err(error);
            }
            let pause = backoff.failed();
            sleep(error.retry_after().unwrap_or(pause).max(pause)).await;
        }
    }
}

/// The body of an answer that says that it was done.
pub(crate) fn done(answer: Response<Bytes>) -> Result<Bytes, ApiError> {
    if answer.status().is_success() { Ok(answer.into_body()) } else { Err(refused(&answer)) }
}

/// What an answer other than success says. A text that is not of our form is not repeated.
pub(crate) fn refused(answer: &Response<Bytes>) -> ApiError {
    let members = serde_json::from_slice::<RefusalDocument>(answer.body());
    let members = members.ok().map(|document| document.error);
    let (message, reason) = match members {
        Some(RefusalMembers { message, reason }) => (message, reason),
        None => (format!("status {}", answer.status().as_u16()), "UNKNOWN".to_owned()),
    };
    let message = evidence_file::words::shown(&message);
    let reason = evidence_file::words::shown(&reason);
    let after = answer.headers().get(header::RETRY_AFTER);
    let after = after.and_then(|it| it.to_str().ok()).and_then(|it| it.parse().ok());
    let retry_after = after.map(Duration::from_secs);
    ApiError::Refused { status: answer.status(), reason, message, retry_after }
}

/// A document of an answer.
pub(crate) fn document<'a, T: Deserialize<'a>>(
    body: &'a [u8],
    what: &'static str,
) -> Result<T, ApiError> {
    serde_json::from_slice(body).map_err(|_| ApiError::BadAnswer { what })
}

pub(crate) fn built(request: http::Result<Request<Bytes>>) -> Request<Bytes> {
    request.expect("the address was parsed, and what is added to it is encoded")
}

/// One segment of a path, whatever it holds.
pub(crate) fn segment(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            encoded.push(char::from(byte));
        } else {
            encoded.push('%');
            encoded.push_str(&to_hex(&[byte]).to_ascii_uppercase());
        }
    }
    encoded
}

/// A path with these parameters.
pub(crate) fn with_query<'a>(
    path: &str,
    parameters: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(parameters);
    let query = query.finish();
    if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_into_an_address_is_encoded() {
        assert_eq!(segment("audit-1"), "audit-1");
        assert_eq!(segment("a/../b?c é"), "a%2F..%2Fb%3Fc%20%C3%A9");
        assert_eq!(with_query("/v1", []), "/v1");
        let query = with_query("/v1", [("actor", "a&b=c"), ("text", "två ord")]);
        assert_eq!(query, "/v1?actor=a%26b%3Dc&text=tv%C3%A5+ord");
    }

    #[test]
    fn a_refusal_is_told_in_the_servers_words_or_by_its_status() {
        let answer = |status: u16, body: &'static str| {
            let answer = Response::builder().status(status).header("retry-after", "3");
            refused(&answer.body(Bytes::from_static(body.as_bytes())).unwrap())
        };
        let named =
            answer(400, r#"{"error":{"message":"from is not a time","reason":"BAD_FIELD"}}"#);
        assert_eq!(named.to_string(), "the server refused: from is not a time [BAD_FIELD]");
        assert_eq!((named.exit(), named.is_passing()), (Exit::Unusable, false));
        let busy = answer(503, "<html>\u{1b}[2J");
        assert_eq!(busy.to_string(), "the server refused: status 503 [UNKNOWN]");
        assert_eq!((busy.exit(), busy.is_passing()), (Exit::Failed, true));
        assert_eq!(busy.retry_after(), Some(Duration::from_secs(3)));
    }
}
