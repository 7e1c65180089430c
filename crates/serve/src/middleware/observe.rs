//! Counts each request by route and code. The code of a gRPC call that streams its answer is that of its
//! headers: OK unless it was refused before the first message.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::{HeaderMap, HeaderValue, Request, Response};
use pin_project_lite::pin_project;
use tonic::Code;
use tower::{Layer, Service};

use super::Protocol;
use crate::body::Body;
use crate::metrics::{Outcome, Requests, Route};

/// Makes [`Observe`]rs.
#[derive(Clone, Debug)]
pub struct ObserveLayer {
    requests: Arc<Requests>,
}

impl ObserveLayer {
    /// Requests are counted in `requests`.
    pub fn new(requests: Arc<Requests>) -> Self {
        Self { requests }
    }
}

impl<S> Layer<S> for ObserveLayer {
    type Service = Observe<S>;

    fn layer(&self, inner: S) -> Observe<S> {
        Observe { inner, requests: Arc::clone(&self.requests) }
    }
}

/// Counts what the inner service answers.
#[derive(Clone, Debug)]
pub struct Observe<S> {
    inner: S,
    requests: Arc<Requests>,
}

impl<S, B> Service<Request<B>> for Observe<S>
where
    S: Service<Request<B>, Response = Response<Body>>,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Observed<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let protocol = Protocol::of(request.headers());
        let route = self.requests.route(request.uri().path());
        let requests = Arc::clone(&self.requests);
        Observed { inner: self.inner.call(request), protocol, route, requests }
    }
}

pin_project! {
    /// The answer, counted once it is there.
    #[derive(Debug)]
    pub struct Observed<F> {
        #[pin]
        inner: F,
        protocol: Protocol,
        route: Route,
        requests: Arc<Requests>,
    }
}

impl<F, E> Future for Observed<F>
where
    F: Future<Output = Result<Response<Body>, E>>,
{
    type Output = Result<Response<Body>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let response = ready!(this.inner.poll(cx))?;
        let outcome = match this.protocol {
            Protocol::Grpc => Outcome::grpc(grpc_code(response.headers())),
            Protocol::Http => Outcome::http(response.status()),
        };
        this.requests.ended(*this.route, outcome);
        Poll::Ready(Ok(response))
    }
}

/// The status of a call that ended with its headers; OK where it comes with the trailers.
fn grpc_code(headers: &HeaderMap) -> Code {
    headers.get("grpc-status").map(HeaderValue::as_bytes).map_or(Code::Ok, Code::from_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::tests::{ROUTES, scrape};
    use http::StatusCode;

    #[tokio::test]
    async fn requests_are_counted_by_route_and_code() {
        let requests = Arc::new(Requests::new(&ROUTES));
        let (mut service, mut handle) =
            tower_test::mock::spawn_layer(ObserveLayer::new(Arc::clone(&requests)));
        handle.allow(2);
        for (path, content_type) in [("/a", "text/plain"), ("/b", "application/grpc")] {
            std::future::poll_fn(|_| service.poll_ready()).await.unwrap();
            let request = Request::builder().uri(path).header("content-type", content_type);
            let answer = service.call(request.body(()).unwrap());
            let (_, send) = handle.next_request().await.unwrap();
            let response = Response::builder().status(StatusCode::NOT_FOUND);
            let response = response.header("grpc-status", "5").body(Body::empty());
            send.send_response(response.unwrap());
            assert!(answer.await.is_ok());
        }
        let text = scrape(&requests);
        assert!(text.contains(r#"requests_total{route="a",code="404"} 1"#), "{text}");
        assert!(text.contains(r#"{route="b",code="NOT_FOUND"} 1"#), "{text}");
    }
}
