//! Ends a request at its deadline: the `grpc-timeout` that a gRPC caller names, or the server's own
//! time for plain HTTP and for callers that name no time or a longer one. Handlers find the
//! deadline in the request's extensions, so that a handler that can answer with less does so in
//! time.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use base::clock::{Clock, Sleep};
use http::{HeaderMap, HeaderValue, Response};
use pin_project_lite::pin_project;
use tower::{Layer, Service};

use super::Protocol;
use super::limits::Answer;
use crate::body::Body;
use crate::refusal::{Api, Refusal};
use crate::route::Matched;

/// When a request ends, by the monotonic time of the server's clock; in its extensions.
#[derive(Clone, Copy, Debug)]
pub struct Deadline(pub Duration);

/// Makes [`WithDeadline`] services.
#[derive(Clone, Debug)]
pub struct DeadlineLayer {
    clock: Arc<dyn Clock>,
    http_timeout: Duration,
    grpc_timeout: Duration,
    api: &'static Api,
}

impl DeadlineLayer {
    /// Plain HTTP requests, their bodies included, end after `http_timeout`.
    /// A gRPC call has `grpc_timeout` until its first answer, or less if it says so: a call whose request
    /// never ends must not hold its place for long.
    pub fn new(
        clock: Arc<dyn Clock>,
        http_timeout: Duration,
        grpc_timeout: Duration,
        api: &'static Api,
    ) -> Self {
        Self { clock, http_timeout, grpc_timeout, api }
    }
}

impl<S> Layer<S> for DeadlineLayer {
    type Service = WithDeadline<S>;

    fn layer(&self, inner: S) -> WithDeadline<S> {
        let Self { ref clock, http_timeout, grpc_timeout, api } = *self;
        WithDeadline { inner, clock: Arc::clone(clock), http_timeout, grpc_timeout, api }
    }
}

/// Answers `DEADLINE_EXCEEDED`, or 503, if the inner service is not done in time.
#[derive(Clone, Debug)]
pub struct WithDeadline<S> {
    inner: S,
    clock: Arc<dyn Clock>,
    http_timeout: Duration,
    grpc_timeout: Duration,
    api: &'static Api,
}

impl<S, B, T> Service<Matched<B, T>> for WithDeadline<S>
where
    S: Service<Matched<B, T>, Response = Response<Body>>,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Bounded<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut matched: Matched<B, T>) -> Self::Future {
        let protocol = matched.protocol;
        let timeout = match protocol {
            Protocol::Grpc => {
                let named = grpc_timeout(matched.request.headers());
                named.map(|named| {
                    named.map_or(self.grpc_timeout, |named| named.min(self.grpc_timeout))
                })
            }
            Protocol::Http => Ok(self.http_timeout),
        };
        let (answer, at) = if let Ok(timeout) = timeout {
            let at = self.clock.monotonic() + timeout;
            if protocol == Protocol::Grpc {
                matched.request.extensions_mut().insert(Deadline(at));
            }
            (Answer::Passed { inner: self.inner.call(matched) }, Some(at))
        } else {
            let response = protocol.refuse(Refusal::bad_timeout(), self.api);
            (Answer::Refused { response: Some(response) }, None)
        };
        let clock = Arc::clone(&self.clock);
        Bounded { answer, clock, at, sleep: None, protocol, api: self.api }
    }
}

/// A `grpc-timeout` header that states no time.
#[derive(Debug, PartialEq, Eq)]
struct BadTimeout;

/// 1 to 8 digits and a unit, as the gRPC protocol over HTTP/2 has it.
fn grpc_timeout(headers: &HeaderMap) -> Result<Option<Duration>, BadTimeout> {
    let Some(value) = headers.get("grpc-timeout").map(HeaderValue::as_bytes) else {
        return Ok(None);
    };
    let (unit, digits) = value.split_last().ok_or(BadTimeout)?;
    if !(1..=8).contains(&digits.len()) || !digits.iter().all(u8::is_ascii_digit) {
        return Err(BadTimeout);
    }
    let count = digits.iter().fold(0, |count, digit| count * 10 + u64::from(digit - b'0'));
    let timeout = match unit {
        b'H' => Duration::from_secs(count * 3_600),
        b'M' => Duration::from_secs(count * 60),
        b'S' => Duration::from_secs(count),
        b'm' => Duration::from_millis(count),
        b'u' => Duration::from_micros(count),
        b'n' => Duration::from_nanos(count),
        _ => return Err(BadTimeout),
    };
    Ok(Some(timeout))
}

pin_project! {
    /// The inner answer, or that of the deadline.
    pub struct Bounded<F> {
        #[pin]
        answer: Answer<F>,
        clock: Arc<dyn Clock>,
        at: Option<Duration>,
        // Made only once the request has to wait for something.
        sleep: Option<Sleep>,
        protocol: Protocol,
        api: &'static Api,
    }
}

impl<F, E> Future for Bounded<F>
where
    F: Future<Output = Result<Response<Body>, E>>,
{
    type Output = Result<Response<Body>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if let Poll::Ready(answer) = this.answer.poll(cx) {
            return Poll::Ready(answer);
        }
        let Some(at) = *this.at else { return Poll::Pending };
        let sleep = this.sleep.get_or_insert_with(|| this.clock.sleep_until(at));
        std::task::ready!(sleep.as_mut().poll(cx));
        Poll::Ready(Ok(this.protocol.refuse(Refusal::deadline_passed(this.api), this.api)))
    }
}

#[cfg(test)]
mod tests {
    use base::clock::SystemClock;
    use base::clock::machine::now;

    use super::*;
    use crate::refusal::tests::API;
    use crate::route::tests::matched;
    use http::StatusCode;

    fn timeout(value: &'static str) -> Result<Option<Duration>, BadTimeout> {
        let mut headers = HeaderMap::new();
        headers.insert("grpc-timeout", HeaderValue::from_static(value));
        grpc_timeout(&headers)
    }

    #[test]
    fn timeouts_are_read_strictly() {
        for (value, expected) in [
            ("1H", Duration::from_hours(1)),
            ("2M", Duration::from_mins(2)),
            ("3S", Duration::from_secs(3)),
            ("4m", Duration::from_millis(4)),
            ("5u", Duration::from_micros(5)),
            ("99999999n", Duration::from_nanos(99_999_999)),
        ] {
            assert_eq!(timeout(value), Ok(Some(expected)), "{value}");
        }
        for value in ["", "S", "1", "1s", "+1S", "1.5S", "123456789S", " 1S"] {
            assert_eq!(timeout(value), Err(BadTimeout), "{value}");
        }
        assert_eq!(grpc_timeout(&HeaderMap::new()), Ok(None));
    }

    async fn unanswered(headers: &[(&'static str, &'static str)]) -> Response<Body> {
        let clock = Arc::new(SystemClock::new());
        let (http, grpc) = (Duration::from_secs(10), Duration::from_secs(90));
        let layer = DeadlineLayer::new(clock, http, grpc, &API);
        let (mut service, mut handle) = tower_test::mock::spawn_layer(layer);
        handle.allow(1);
        std::future::poll_fn(|_| service.poll_ready()).await.unwrap();
        let mut request = http::Request::new(());
        for (name, value) in headers {
            request.headers_mut().insert(*name, HeaderValue::from_static(value));
        }
        let answer = service.call(matched(request)).await.unwrap();
        drop(handle);
        answer
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_ends_at_its_deadline() {
        let start = now();
        let grpc =
            unanswered(&[("content-type", "application/grpc"), ("grpc-timeout", "2S")]).await;
        assert_eq!(grpc.headers()["grpc-status"], "4");
        assert_eq!(start.elapsed().as_secs(), 2);
        let http = unanswered(&[]).await;
        assert_eq!(http.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(start.elapsed().as_secs(), 12);
        let patient = unanswered(&[("content-type", "application/grpc")]).await;
        assert_eq!(patient.headers()["grpc-status"], "4");
        assert_eq!(start.elapsed().as_secs(), 12 + 90);
        let greedy =
            unanswered(&[("content-type", "application/grpc"), ("grpc-timeout", "1H")]).await;
        assert_eq!(greedy.headers()["grpc-status"], "4");
        assert_eq!(start.elapsed().as_secs(), 12 + 90 + 90);
    }

    #[tokio::test]
    async fn a_timeout_that_is_none_is_refused() {
        let grpc =
            unanswered(&[("content-type", "application/grpc"), ("grpc-timeout", "soon")]).await;
        assert_eq!(grpc.headers()["grpc-status"], "3");
    }
}
