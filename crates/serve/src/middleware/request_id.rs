//! Gives each request an id and a span. A caller's own `x-request-id` is kept and sent back; an id made
//! here is sent back only with a failure, where somebody needs it to find the log line.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use http::{HeaderName, HeaderValue, Request, Response};
use pin_project_lite::pin_project;
use tower::{Layer, Service};
use tracing::Span;

use crate::body::Body;

/// The header that carries the id both ways.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Longest id taken from a caller, in bytes. Longer ones are replaced.
pub const REQUEST_ID_BYTES_MAX: usize = 64;

/// Makes [`RequestId`]s.
#[derive(Clone, Debug)]
pub struct RequestIdLayer {
    made: Arc<Made>,
}

/// Ids of this process: a prefix chosen at start, and a count.
#[derive(Debug)]
struct Made {
    prefix: u32,
    count: AtomicU64,
}

impl RequestIdLayer {
    /// `prefix` makes the ids of this process differ from those of earlier and later ones.
    pub fn new(prefix: u32) -> Self {
        Self { made: Arc::new(Made { prefix, count: AtomicU64::new(0) }) }
    }
}

impl<S> Layer<S> for RequestIdLayer {
    type Service = RequestId<S>;

    fn layer(&self, inner: S) -> RequestId<S> {
        RequestId { inner, made: Arc::clone(&self.made) }
    }
}

/// Runs the inner service in a span that names the request.
#[derive(Clone, Debug)]
pub struct RequestId<S> {
    inner: S,
    made: Arc<Made>,
}

/// The id of one request. Made ids stay numbers until somebody wants to read them.
#[derive(Clone, Debug)]
enum Id {
    Given(HeaderValue),
    Made { prefix: u32, count: u64 },
}

impl Id {
    fn to_header(&self) -> HeaderValue {
        match self {
            Self::Given(value) => value.clone(),
            Self::Made { prefix, count } => {
                HeaderValue::try_from(format!("{prefix:08x}-{count:x}"))
                    .expect("hexadecimal digits are legal in a header")
            }
        }
    }
}

impl std::fmt::Display for Id {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Given(value) => f.write_str(value.to_str().unwrap_or_default()),
            Self::Made { prefix, count } => write!(f, "{prefix:08x}-{count:x}"),
        }
    }
}

fn acceptable(value: &HeaderValue) -> bool {
    let legal = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b':');
    let bytes = value.as_bytes();
    (1..=REQUEST_ID_BYTES_MAX).contains(&bytes.len()) && bytes.iter().all(legal)
}

impl<S, B> Service<Request<B>> for RequestId<S>
where
    S: Service<Request<B>, Response = Response<Body>>,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Identified<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let given = request.headers().get(REQUEST_ID).filter(|value| acceptable(value));
        let id = if let Some(value) = given {
            Id::Given(value.clone())
        } else {
            let count = self.made.count.fetch_add(1, Ordering::Relaxed);
            Id::Made { prefix: self.made.prefix, count }
        };
        let span = tracing::debug_span!("request", %id, path = request.uri().path());
        let inner = span.in_scope(|| self.inner.call(request));
        Identified { inner, id, span }
    }
}

pin_project! {
    /// The answer, with its id if it gets one.
    #[derive(Debug)]
    pub struct Identified<F> {
        #[pin]
        inner: F,
        id: Id,
        span: Span,
    }
}

impl<F, E> Future for Identified<F>
where
    F: Future<Output = Result<Response<Body>, E>>,
{
    type Output = Result<Response<Body>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let entered = this.span.enter();
        let mut response = ready!(this.inner.poll(cx))?;
        drop(entered);
        let failed = failed(&response);
        if failed {
            tracing::warn!(id = %this.id, status = %response.status(), "a request failed");
        }
        if failed || matches!(this.id, Id::Given(_)) {
            response.headers_mut().insert(REQUEST_ID, this.id.to_header());
        }
        Poll::Ready(Ok(response))
    }
}

/// Whether the server, not the caller, is at fault: 5xx, or gRPC UNKNOWN, INTERNAL and `DATA_LOSS`.
fn failed(response: &Response<Body>) -> bool {
    let grpc = response.headers().get("grpc-status").map(HeaderValue::as_bytes);
    let overloaded = response.status() == http::StatusCode::SERVICE_UNAVAILABLE;
    (response.status().is_server_error() && !overloaded)
        || grpc.is_some_and(|code| matches!(code, b"2" | b"13" | b"15"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::StatusCode;

    async fn answer(given: Option<&'static str>, status: StatusCode) -> Option<String> {
        let (mut service, mut handle) = tower_test::mock::spawn_layer(RequestIdLayer::new(7));
        handle.allow(1);
        std::future::poll_fn(|_| service.poll_ready()).await.unwrap();
        let mut request = Request::new(());
        if let Some(id) = given {
            request.headers_mut().insert(REQUEST_ID, HeaderValue::from_static(id));
        }
        let answer = service.call(request);
        let (_, send) = handle.next_request().await.unwrap();
        let mut response = Response::new(Body::empty());
        *response.status_mut() = status;
        send.send_response(response);
        let response = answer.await.unwrap();
        response.headers().get(REQUEST_ID).map(|id| id.to_str().unwrap().to_owned())
    }

    #[tokio::test]
    async fn a_given_id_comes_back_and_a_made_one_only_with_a_failure() {
        assert_eq!(answer(Some("a-1"), StatusCode::OK).await.as_deref(), Some("a-1"));
        assert_eq!(answer(None, StatusCode::OK).await, None);
        let failed = answer(None, StatusCode::INTERNAL_SERVER_ERROR).await;
        assert_eq!(failed.as_deref(), Some("00000007-0"));
        assert_eq!(answer(Some("no spaces"), StatusCode::OK).await, None);
    }

    #[test]
    fn ids_are_bounded() {
        let of = |len| HeaderValue::try_from("a".repeat(len)).unwrap();
        assert!(acceptable(&of(REQUEST_ID_BYTES_MAX)));
        assert!(!acceptable(&of(REQUEST_ID_BYTES_MAX + 1)));
        assert!(!acceptable(&HeaderValue::from_static("")));
    }
}
