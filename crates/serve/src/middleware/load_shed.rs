//! One bound on the requests that are being worked on, over all connections. Beyond it a request is
//! refused at once, with the time to wait before the next attempt: to queue more would only add
//! latency.
//!
//! A call that streams its answer counts until its first message can be sent. Some routes always
//! pass, as their rows say: health checks and scrapes must tell an overloaded server from a dead
//! one.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use http::Response;
use pin_project_lite::pin_project;
use tower::{Layer, Service};

use super::limits::Answer;
use crate::body::Body;
use crate::refusal::{Api, Refusal};
use crate::route::{Load as LoadClass, Matched};

/// How long a refused caller is told to wait.
pub const RETRY_AFTER: Duration = Duration::from_millis(100);

/// Makes [`LoadShed`] services that share one bound.
#[derive(Clone, Debug)]
pub struct LoadShedLayer {
    load: Arc<Load>,
    api: &'static Api,
}

/// Requests being worked on. Written by [`Permit`] alone.
#[derive(Debug)]
struct Load {
    in_flight: AtomicUsize,
    in_flight_max: usize,
}

impl LoadShedLayer {
    /// At most `in_flight_max` requests at a time.
    pub fn new(in_flight_max: usize, api: &'static Api) -> Self {
        let load = Load { in_flight: AtomicUsize::new(0), in_flight_max };
        Self { load: Arc::new(load), api }
    }
}

impl<S> Layer<S> for LoadShedLayer {
    type Service = LoadShed<S>;

    fn layer(&self, inner: S) -> LoadShed<S> {
        LoadShed { inner, load: Arc::clone(&self.load), api: self.api }
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

/// Refuses requests beyond the bound.
#[derive(Clone, Debug)]
pub struct LoadShed<S> {
    inner: S,
    load: Arc<Load>,
    api: &'static Api,
}

impl<S, B, T> Service<Matched<B, T>> for LoadShed<S>
where
    S: Service<Matched<B, T>, Response = Response<Body>>,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Shed<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, matched: Matched<B, T>) -> Self::Future {
        let permit = Permit::take(&self.load);
        if permit.is_none() && matched.route.load == LoadClass::Shed {
            let refusal = Refusal::overloaded(RETRY_AFTER);
            let response = Some(matched.protocol.refuse(refusal, self.api));
            return Shed { answer: Answer::Refused { response }, permit: None };
        }
        Shed { answer: Answer::Passed { inner: self.inner.call(matched) }, permit }
    }
}

pin_project! {
    /// The answer. Holds the request's permit until the answer is there.
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
    use super::*;
    use crate::refusal::tests::API;
    use crate::route::tests::matched;
    use http::{Request, StatusCode};

    fn request(path: &str, content_type: &'static str) -> Request<()> {
        let builder = Request::builder().uri(path).header("content-type", content_type);
        builder.body(()).unwrap()
    }

    #[tokio::test]
    async fn the_request_beyond_the_bound_is_refused_at_once() {
        let (mut service, mut handle) = tower_test::mock::spawn_layer(LoadShedLayer::new(1, &API));
        handle.allow(8);
        let mut call = |path, content_type| {
            assert!(service.poll_ready().is_ready());
            service.call(matched(request(path, content_type)))
        };
        let first = call("/logs/a/add", "text/plain");
        let (_, answer_first) = handle.next_request().await.unwrap();

        let http = call("/logs/a/add", "text/plain").await.unwrap();
        assert_eq!(http.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(http.headers()["retry-after"], "1");
        let grpc = call("/a.B/Call", "application/grpc").await.unwrap();
        assert_eq!(grpc.headers()["grpc-status"], "8");

        let health = call("/health", "text/plain");
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
        let layer = LoadShedLayer::new(1, &API);
        let permit = Permit::take(&layer.load).unwrap();
        assert!(Permit::take(&layer.load).is_none());
        drop(permit);
        assert!(Permit::take(&layer.load).is_some());
    }
}
