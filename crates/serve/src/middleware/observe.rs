//! Finds the row of each request, and counts the request by route and code. For a gRPC call that
//! streams its answer we count the code in its headers: OK, unless the call was refused before the
//! first message.
//!
//! A request without a row is refused here.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::{HeaderMap, HeaderValue, Request, Response, header};
use pin_project_lite::pin_project;
use tonic::Code;
use tower::{Layer, Service};

use super::Protocol;
use super::limits::Answer;
use crate::body::Body;
use crate::metrics::{Outcome, Requests};
use crate::refusal::{Api, Refusal};
use crate::route::{Found, Matched, RouteTable, RowAt};

/// Makes [`Observe`]rs.
#[derive(Debug)]
pub struct ObserveLayer<T: 'static> {
    routes: Arc<RouteTable<T>>,
    requests: Arc<Requests>,
    api: &'static Api,
}

impl<T> ObserveLayer<T> {
    /// Requests are counted in `requests`, which counts by the rows of `routes`.
    pub fn new(routes: Arc<RouteTable<T>>, requests: Arc<Requests>, api: &'static Api) -> Self {
        Self { routes, requests, api }
    }
}

impl<S, T> Layer<S> for ObserveLayer<T> {
    type Service = Observe<S, T>;

    fn layer(&self, inner: S) -> Observe<S, T> {
        let (routes, requests) = (Arc::clone(&self.routes), Arc::clone(&self.requests));
        Observe { inner, routes, requests, api: self.api }
    }
}

/// Hands requests on with their rows, and counts what the inner service answers.
#[derive(Debug)]
pub struct Observe<S, T: 'static> {
    inner: S,
    routes: Arc<RouteTable<T>>,
    requests: Arc<Requests>,
    api: &'static Api,
}

impl<S: Clone, T> Clone for Observe<S, T> {
    fn clone(&self) -> Self {
        let (routes, requests) = (Arc::clone(&self.routes), Arc::clone(&self.requests));
        Self { inner: self.inner.clone(), routes, requests, api: self.api }
    }
}

impl<S, B, T> Service<Request<B>> for Observe<S, T>
where
    S: Service<Matched<B, T>, Response = Response<Body>>,
    T: Copy,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Observed<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let protocol = Protocol::of(request.headers());
        let found = self.routes.find(request.uri().path(), request.method());
        let row = match found {
            Found::Row { at, .. } | Found::WrongMethod { at } => Some(at),
            Found::Nothing => None,
        };
        let answer = match found {
            Found::Row { route, to, .. } if protocol == Protocol::Http || route.call.is_grpc() => {
                let matched = Matched { request, protocol, route, to };
                Answer::Passed { inner: self.inner.call(matched) }
            }
            Found::WrongMethod { at } if protocol == Protocol::Http => {
                let mut response = Refusal::wrong_method().into_http();
                let allow = HeaderValue::from_static(self.routes.allow(at));
                response.headers_mut().insert(header::ALLOW, allow);
                Answer::Refused { response: Some(response) }
            }
            Found::Row { .. } | Found::WrongMethod { .. } | Found::Nothing => {
                Answer::Refused { response: Some(not_found(protocol, self.api)) }
            }
        };
        Observed { answer, protocol, row, requests: Arc::clone(&self.requests) }
    }
}

fn not_found(protocol: Protocol, api: &Api) -> Response<Body> {
    let refusal = Refusal::no_such_path();
    match protocol {
        Protocol::Grpc => protocol.refuse(refusal, api),
        Protocol::Http => refusal.says("not found").into_http(),
    }
}

pin_project! {
    /// The answer, counted once it is there.
    #[derive(Debug)]
    pub struct Observed<F> {
        #[pin]
        answer: Answer<F>,
        protocol: Protocol,
        row: Option<RowAt>,
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
        let response = ready!(this.answer.poll(cx))?;
        let outcome = match this.protocol {
            Protocol::Grpc => Outcome::grpc(grpc_code(response.headers())),
            Protocol::Http => Outcome::http(response.status()),
        };
        this.requests.ended(*this.row, outcome);
        Poll::Ready(Ok(response))
    }
}

/// The status of a call that ended with its headers. If the status comes in the trailers: OK.
fn grpc_code(headers: &HeaderMap) -> Code {
    headers.get("grpc-status").map(HeaderValue::as_bytes).map_or(Code::Ok, Code::from_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::tests::{requests, scrape};
    use crate::refusal::tests::API;
    use crate::route::tests::ROWS;
    use http::{Method, StatusCode};

    fn layer(requests: &Arc<Requests>) -> ObserveLayer<char> {
        ObserveLayer::new(Arc::new(RouteTable::new(&ROWS)), Arc::clone(requests), &API)
    }

    #[tokio::test]
    async fn requests_are_counted_by_route_and_code() {
        let requests = Arc::new(requests());
        let (mut service, mut handle) = tower_test::mock::spawn_layer(layer(&requests));
        handle.allow(2);
        for (path, content_type, to) in
            [("/logs/x/add", "text/plain", 'a'), ("/a.B/Call", "application/grpc", 'c')]
        {
            std::future::poll_fn(|_| service.poll_ready()).await.unwrap();
            let request = Request::post(path).header("content-type", content_type);
            let answer = service.call(request.body(()).unwrap());
            let (matched, send) = handle.next_request().await.unwrap();
            let matched: Matched<(), char> = matched;
            assert_eq!((matched.to, matched.request.uri().path()), (to, path));
            let response = Response::builder().status(StatusCode::NOT_FOUND);
            let response = response.header("grpc-status", "5").body(Body::empty());
            send.send_response(response.unwrap());
            assert!(answer.await.is_ok());
        }
        let text = scrape(&requests);
        assert!(text.contains(r#"requests_total{route="add",code="404"} 1"#), "{text}");
        assert!(text.contains(r#"{route="call",code="NOT_FOUND"} 1"#), "{text}");
    }

    /// What is answered where no row is for the request: nothing is asked of the inner service.
    #[tokio::test]
    async fn a_request_that_no_row_is_for_is_refused_and_counted() {
        let requests = Arc::new(requests());
        let (mut service, handle) = tower_test::mock::spawn_layer(layer(&requests));
        let mut handle: tower_test::mock::Handle<Matched<(), char>, Response<Body>> = handle;
        handle.allow(8);
        let mut call = |method: Method, path: &str, content_type: &'static str| {
            assert!(service.poll_ready().is_ready());
            let request = Request::builder().method(method).uri(path);
            service.call(request.header("content-type", content_type).body(()).unwrap())
        };
        let (get, post) = (Method::GET, Method::POST);
        let nothing = call(get.clone(), "/nothing", "text/plain").await.unwrap();
        assert_eq!(nothing.status(), StatusCode::NOT_FOUND);
        let wrong = call(get, "/logs/x/add", "text/plain").await.unwrap();
        assert_eq!(wrong.status(), StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(wrong.headers()["allow"], "POST");
        for path in ["/a.B/Nothing", "/logs/x/add"] {
            let unknown = call(post.clone(), path, "application/grpc").await.unwrap();
            assert_eq!(unknown.headers()["grpc-status"], "12", "{path}");
        }
        let text = scrape(&requests);
        for line in [
            r#"{route="other",code="404"} 1"#,
            r#"{route="add",code="405"} 1"#,
            r#"{route="other",code="UNIMPLEMENTED"} 1"#,
            r#"{route="add",code="UNIMPLEMENTED"} 1"#,
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
    }
}
