//! Bounds what a request may bring: its headers, its path, and for plain HTTP its announced body, which
//! may be as large as its route takes.
//!
//! Bodies of gRPC calls are bounded by message ([`crate::grpc`]), as a stream of appends has no end. A body
//! without an announced length is bounded where it is read.

use std::pin::Pin;
use std::task::{Context, Poll};

use http::{HeaderMap, HeaderValue, Response, header};
use pin_project_lite::pin_project;
use tower::{Layer, Service};

use crate::body::Body;
use crate::refusal::{Api, Refusal};
use crate::route::Matched;

/// Largest path and query together, in bytes: three times the longest that means anything.
pub const PATH_BYTES_MAX: usize = 1_024;

/// Makes [`Limited`] services.
#[derive(Clone, Copy, Debug)]
pub struct LimitsLayer {
    header_bytes_max: usize,
    api: &'static Api,
}

impl LimitsLayer {
    /// Refuses more than `header_bytes_max` bytes of headers, and bodies beyond the limits of their routes.
    pub fn new(header_bytes_max: usize, api: &'static Api) -> Self {
        Self { header_bytes_max, api }
    }
}

impl<S> Layer<S> for LimitsLayer {
    type Service = Limited<S>;

    fn layer(&self, inner: S) -> Limited<S> {
        Limited { inner, header_bytes_max: self.header_bytes_max, api: self.api }
    }
}

/// Refuses requests beyond its limits before anything reads them.
#[derive(Clone, Debug)]
pub struct Limited<S> {
    inner: S,
    header_bytes_max: usize,
    api: &'static Api,
}

impl<S> Limited<S> {
    fn breach<B, T>(&self, matched: &Matched<B, T>) -> Option<Refusal> {
        let Matched { request, route, .. } = matched;
        let bytes = header_bytes(request.headers());
        if bytes > self.header_bytes_max {
            return Some(Refusal::headers_too_large(bytes, self.header_bytes_max));
        }
        let path = request.uri().path_and_query().map_or(0, |path| path.as_str().len());
        if path > PATH_BYTES_MAX {
            return Some(Refusal::no_such_path());
        }
        let bytes = announced(request.headers());
        let bytes_max = route.body_bytes_max;
        let is_beyond = usize::try_from(bytes).map_or(true, |bytes| bytes > bytes_max);
        (!route.call.is_grpc() && is_beyond).then(|| Refusal::body_too_large(bytes, bytes_max))
    }
}

fn header_bytes(headers: &HeaderMap) -> usize {
    headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum()
}

/// The announced length of the body; 0 if there is none, which says nothing.
pub(super) fn announced(headers: &HeaderMap) -> u64 {
    let value = headers.get(header::CONTENT_LENGTH).map(HeaderValue::to_str);
    value.and_then(Result::ok).and_then(|value| value.parse().ok()).unwrap_or(0)
}

impl<S, B, T> Service<Matched<B, T>> for Limited<S>
where
    S: Service<Matched<B, T>, Response = Response<Body>>,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Answer<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, matched: Matched<B, T>) -> Self::Future {
        match self.breach(&matched) {
            Some(refusal) => {
                Answer::Refused { response: Some(matched.protocol.refuse(refusal, self.api)) }
            }
            None => Answer::Passed { inner: self.inner.call(matched) },
        }
    }
}

pin_project! {
    /// The inner answer, or the refusal.
    #[derive(Debug)]
    #[project = AnswerProjection]
    pub enum Answer<F> {
        Passed {
            #[pin]
            inner: F,
        },
        Refused {
            response: Option<Response<Body>>,
        },
    }
}

impl<F, E> Future for Answer<F>
where
    F: Future<Output = Result<Response<Body>, E>>,
{
    type Output = Result<Response<Body>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project() {
            AnswerProjection::Passed { inner } => inner.poll(cx),
            AnswerProjection::Refused { response } => {
                Poll::Ready(Ok(response.take().expect("a future is polled to its end once")))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::refusal::tests::API;
    use crate::route::Call;
    use crate::route::tests::{matched, matched_as};
    use http::{Request, StatusCode};

    async fn status(request: Request<()>) -> (StatusCode, Option<String>) {
        answer(matched(request)).await
    }

    async fn answer(matched: Matched<(), char>) -> (StatusCode, Option<String>) {
        let (mut service, mut handle) = tower_test::mock::spawn_layer(LimitsLayer::new(100, &API));
        handle.allow(1);
        std::future::poll_fn(|_| service.poll_ready()).await.unwrap();
        let answer = service.call(matched);
        let respond = async {
            if let Some((_, send)) = handle.next_request().await {
                send.send_response(Response::new(Body::empty()));
            }
            std::future::pending::<()>().await;
        };
        let answer = async {
            let response = answer.await.unwrap();
            let code = response.headers().get("grpc-status");
            (response.status(), code.map(|code| code.to_str().unwrap().to_owned()))
        };
        tokio::select! { found = answer => found, () = respond => unreachable!("it never ends") }
    }

    fn request(headers: &[(&str, String)]) -> Request<()> {
        let mut builder = Request::builder().uri("/logs/a/add");
        for (name, value) in headers {
            builder = builder.header(*name, value);
        }
        builder.body(()).unwrap()
    }

    #[tokio::test]
    async fn headers_are_taken_up_to_the_limit() {
        let at = "v".repeat(100 - 1);
        assert_eq!(status(request(&[("a", at.clone())])).await.0, StatusCode::OK);
        let beyond = status(request(&[("a", at + "v")])).await.0;
        assert_eq!(beyond, StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
        let grpc = [("content-type", "application/grpc".to_owned()), ("a", "v".repeat(100))];
        assert_eq!(status(request(&grpc)).await, (StatusCode::OK, Some("8".to_owned())));
    }

    #[tokio::test]
    async fn bodies_are_taken_up_to_the_limit_of_their_route() {
        let of = |len: &str| request(&[("content-length", len.to_owned())]);
        assert_eq!(status(of("10")).await.0, StatusCode::OK);
        assert_eq!(status(of("11")).await.0, StatusCode::PAYLOAD_TOO_LARGE);
        assert_eq!(status(of(&u64::MAX.to_string())).await.0, StatusCode::PAYLOAD_TOO_LARGE);
        let large = |len| matched_as(of(len), Call::Post, 32 << 20);
        assert_eq!(answer(large("33554432")).await.0, StatusCode::OK);
        assert_eq!(answer(large("33554433")).await.0, StatusCode::PAYLOAD_TOO_LARGE);
        let call = matched_as(of("11"), Call::Unary, 10);
        assert_eq!(answer(call).await.0, StatusCode::OK, "a call is bounded by message");
    }

    #[tokio::test]
    async fn paths_are_taken_up_to_the_limit() {
        let of = |len: usize| {
            Request::builder().uri(format!("/{}", "a".repeat(len - 1))).body(()).unwrap()
        };
        assert_eq!(status(of(PATH_BYTES_MAX)).await.0, StatusCode::OK);
        assert_eq!(status(of(PATH_BYTES_MAX + 1)).await.0, StatusCode::NOT_FOUND);
    }
}
