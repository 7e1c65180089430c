//! The outermost layer: if a handler panics, its request is answered INTERNAL or 500, and the
//! connection stays open.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::{Request, Response};
use pin_project_lite::pin_project;
use tower::{Layer, Service};

use super::Protocol;
use crate::body::Body;
use crate::metrics::Requests;
use crate::refusal::{Api, Refusal};

/// Makes [`PanicGuard`]s.
#[derive(Clone, Debug)]
pub struct PanicGuardLayer {
    requests: Arc<Requests>,
    api: &'static Api,
}

impl PanicGuardLayer {
    /// Panics are counted in `requests`.
    pub fn new(requests: Arc<Requests>, api: &'static Api) -> Self {
        Self { requests, api }
    }
}

impl<S> Layer<S> for PanicGuardLayer {
    type Service = PanicGuard<S>;

    fn layer(&self, inner: S) -> PanicGuard<S> {
        PanicGuard { inner, requests: Arc::clone(&self.requests), api: self.api }
    }
}

/// Turns panics of the inner service into answers.
#[derive(Clone, Debug)]
pub struct PanicGuard<S> {
    inner: S,
    requests: Arc<Requests>,
    api: &'static Api,
}

impl<S, B> Service<Request<B>> for PanicGuard<S>
where
    S: Service<Request<B>, Response = Response<Body>>,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Guarded<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let protocol = Protocol::of(request.headers());
        let inner = catch_unwind(AssertUnwindSafe(|| self.inner.call(request))).ok();
        let requests = Arc::clone(&self.requests);
        Guarded { inner, protocol, requests, api: self.api }
    }
}

pin_project! {
    /// The answer of the inner service, or that of a panic.
    #[derive(Debug)]
    pub struct Guarded<F> {
        // `None` if the call itself panicked.
        #[pin]
        inner: Option<F>,
        protocol: Protocol,
        requests: Arc<Requests>,
        api: &'static Api,
    }
}

impl<F, E> Future for Guarded<F>
where
    F: Future<Output = Result<Response<Body>, E>>,
{
    type Output = Result<Response<Body>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if let Some(inner) = this.inner.as_pin_mut()
            && let Ok(polled) = catch_unwind(AssertUnwindSafe(|| inner.poll(cx)))
        {
            return Poll::Ready(ready!(polled));
        }
        this.requests.panicked();
        tracing::error!("a request panicked");
        Poll::Ready(Ok(this.protocol.refuse(Refusal::internal(), this.api)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::tests::{requests, scrape};
    use crate::refusal::tests::API;
    use http::StatusCode;
    use std::convert::Infallible;
    use tower::{ServiceExt as _, service_fn};

    async fn panics(_: Request<()>) -> Result<Response<Body>, Infallible> {
        panic!("on purpose")
    }

    #[tokio::test]
    async fn a_panic_becomes_an_answer_in_the_callers_protocol() {
        let requests = Arc::new(requests());
        let guard = PanicGuardLayer::new(Arc::clone(&requests), &API).layer(service_fn(panics));
        let http = guard.clone().oneshot(Request::new(())).await.unwrap();
        assert_eq!(http.status(), StatusCode::INTERNAL_SERVER_ERROR);
        let mut request = Request::new(());
        request.headers_mut().insert("content-type", "application/grpc".parse().unwrap());
        let grpc = guard.oneshot(request).await.unwrap();
        assert_eq!(grpc.status(), StatusCode::OK);
        assert_eq!(grpc.headers()["grpc-status"], "13");
        assert!(scrape(&requests).contains("panics_total 2"));
    }

    #[tokio::test]
    async fn an_answer_passes_unchanged() {
        let (mut service, mut handle) =
            tower_test::mock::spawn_layer(PanicGuardLayer::new(Arc::new(requests()), &API));
        handle.allow(1);
        std::future::poll_fn(|_| service.poll_ready()).await.unwrap();
        let answer = service.call(Request::new(()));
        let (_, send) = handle.next_request().await.unwrap();
        send.send_response(Response::new(Body::empty()));
        assert_eq!(answer.await.unwrap().status(), StatusCode::OK);
    }
}
