//! One bound on the requests of all connections that are being worked on. Beyond it a request is refused
//! at once, with the time to wait before the next attempt: queueing more would only add latency.
//!
//! A call that streams its answer counts until its first message can be sent. Health checks and scrapes
//! always pass, as they must tell an overloaded server from a dead one.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use http::{HeaderValue, Request, Response, header};
use pin_project_lite::pin_project;
use tower::{Layer, Service};

use super::limits::Answer;
use super::{Protocol, Refusal, ToStatus};
use crate::body::Body;

/// What a refused caller is told to wait.
pub const RETRY_AFTER: Duration = Duration::from_millis(100);

/// Makes [`LoadShed`] services that share one bound.
#[derive(Clone, Debug)]
pub struct LoadShedLayer {
    load: Arc<Load>,
    to_status: ToStatus,
}

/// Requests being worked on. Written by [`Permit`] alone.
#[derive(Debug)]
struct Load {
    in_flight: AtomicUsize,
    in_flight_max: usize,
}

impl LoadShedLayer {
    /// At most `in_flight_max` requests at a time.
    pub fn new(in_flight_max: usize, to_status: ToStatus) -> Self {
        let load = Load { in_flight: AtomicUsize::new(0), in_flight_max };
        Self { load: Arc::new(load), to_status }
    }
}

impl<S> Layer<S> for LoadShedLayer {
    type Service = LoadShed<S>;

    fn layer(&self, inner: S) -> LoadShed<S> {
        LoadShed { inner, load: Arc::clone(&self.load), to_status: self.to_status }
    }
}

/// One request that is being worked on, until it is dropped.
#[derive(Debug)]
pub struct Permit(Arc<Load>);

impl Permit {
    fn take(load: &Arc<Load>) -> Option<Self> {
        let before = load.in_flight.fetch_add(1, Ordering::Relaxed);
        let permit = Self(Arc::clone(load));
        (before < load.in_flight_max).then_some(permit)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Refuses what is beyond the bound.
#[derive(Clone, Debug)]
pub struct LoadShed<S> {
    inner: S,
    load: Arc<Load>,
    to_status: ToStatus,
}

/// Whether a request is answered however busy the server is.
fn always_passes(path: &str) -> bool {
    matches!(path, "/healthz" | "/readyz" | "/metrics") || path.starts_with("/grpc.health.v1.")
}

impl<S, B> Service<Request<B>> for LoadShed<S>
where
    S: Service<Request<B>, Response = Response<Body>>,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Shed<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let permit = Permit::take(&self.load);
        if permit.is_none() && !always_passes(request.uri().path()) {
            let protocol = Protocol::of(request.headers());
            let response = Some(overloaded(protocol, self.to_status));
            return Shed { answer: Answer::Refused { response }, permit: None };
        }
        Shed { answer: Answer::Passed { inner: self.inner.call(request) }, permit }
    }
}

fn overloaded(protocol: Protocol, to_status: ToStatus) -> Response<Body> {
    let refusal = Refusal::Overloaded { retry_after: RETRY_AFTER };
    let mut response = protocol.refuse(&refusal, to_status);
    if protocol == Protocol::Http {
        // The header counts whole seconds, and 0 would mean at once.
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}

pin_project! {
    /// The answer, with the request's permit until it is there.
    #[derive(Debug)]
    pub struct Shed<F> {
        #[pin]
        answer: Answer<F>,
        permit: Option<Permit>,
    }
}

impl<F, E> Future for Shed<F>
where
    F: Future<Output = Result<Response<Body>, E>>,
{
    type Output = Result<Response<Body>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let answer = std::task::ready!(this.answer.poll(cx));
        drop(this.permit.take());
        Poll::Ready(answer)
    }
}

#[cfg(test)]
mod tests {
    use super::super::to_status;
    use super::*;
    use http::StatusCode;

    fn request(path: &str, content_type: &'static str) -> Request<()> {
        let builder = Request::builder().uri(path).header("content-type", content_type);
        builder.body(()).unwrap()
    }

    #[tokio::test]
    async fn the_request_beyond_the_bound_is_refused_at_once() {
        let (mut service, mut handle) =
            tower_test::mock::spawn_layer(LoadShedLayer::new(1, to_status));
        handle.allow(8);
        let mut call = |path, content_type| {
            assert!(service.poll_ready().is_ready());
            service.call(request(path, content_type))
        };
        let first = call("/logs/a/add", "text/plain");
        let (_, answer_first) = handle.next_request().await.unwrap();

        let http = call("/logs/a/add", "text/plain").await.unwrap();
        assert_eq!(http.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(http.headers()["retry-after"], "1");
        let grpc = call("/a/B", "application/grpc").await.unwrap();
        assert_eq!(grpc.headers()["grpc-status"], "8");

        let health = call("/healthz", "text/plain");
        handle.next_request().await.unwrap().1.send_response(Response::new(Body::empty()));
        assert_eq!(health.await.unwrap().status(), StatusCode::OK);

        answer_first.send_response(Response::new(Body::empty()));
        assert_eq!(first.await.unwrap().status(), StatusCode::OK);
        let next = call("/logs/a/add", "text/plain");
        handle.next_request().await.unwrap().1.send_response(Response::new(Body::empty()));
        assert_eq!(next.await.unwrap().status(), StatusCode::OK);
    }

    #[tokio::test]
    async fn a_dropped_request_gives_its_place_back() {
        let layer = LoadShedLayer::new(1, to_status);
        let permit = Permit::take(&layer.load).unwrap();
        assert!(Permit::take(&layer.load).is_none());
        drop(permit);
        assert!(Permit::take(&layer.load).is_some());
    }
}
