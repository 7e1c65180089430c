//! Bounds what a request may bring: its headers, its path, and for plain HTTP its announced body.
//!
//! Bodies of gRPC calls are bounded by message, where they are decoded, as a stream of appends has no
//! end. A body without an announced length is bounded where it is read.

use std::pin::Pin;
use std::task::{Context, Poll};

use http::{HeaderMap, HeaderValue, Request, Response, header};
use pin_project_lite::pin_project;
use tower::{Layer, Service};

use super::{Protocol, Refusal, ToStatus};
use crate::body::Body;

/// Largest path and query together, in bytes: three times the longest that means anything.
pub const PATH_BYTES_MAX: usize = 1_024;

/// What a request may bring.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Names and values of all headers together, in bytes.
    pub header_bytes_max: usize,
    /// The body of a plain HTTP request, in bytes.
    pub http_body_bytes_max: u64,
}

/// Makes [`Limited`] services.
#[derive(Clone, Copy, Debug)]
pub struct LimitsLayer {
    limits: Limits,
    to_status: ToStatus,
}

impl LimitsLayer {
    /// Refuses what is beyond `limits`.
    pub fn new(limits: Limits, to_status: ToStatus) -> Self {
        Self { limits, to_status }
    }
}

impl<S> Layer<S> for LimitsLayer {
    type Service = Limited<S>;

    fn layer(&self, inner: S) -> Limited<S> {
        Limited { inner, limits: self.limits, to_status: self.to_status }
    }
}

/// Refuses requests beyond its limits before anything reads them.
#[derive(Clone, Debug)]
pub struct Limited<S> {
    inner: S,
    limits: Limits,
    to_status: ToStatus,
}

impl<S> Limited<S> {
    fn refusal<B>(&self, request: &Request<B>) -> Option<Response<Body>> {
        let protocol = Protocol::of(request.headers());
        let refusal = self.breach(request, protocol)?;
        Some(protocol.refuse(&refusal, self.to_status))
    }

    fn breach<B>(&self, request: &Request<B>, protocol: Protocol) -> Option<Refusal> {
        let Limits { header_bytes_max, http_body_bytes_max } = self.limits;
        let bytes = header_bytes(request.headers());
        if bytes > header_bytes_max {
            return Some(Refusal::HeadersTooLarge { bytes, bytes_max: header_bytes_max });
        }
        let path = request.uri().path_and_query().map_or(0, |path| path.as_str().len());
        if path > PATH_BYTES_MAX {
            return Some(Refusal::NoSuchPath);
        }
        let bytes = announced(request.headers());
        if protocol == Protocol::Http && bytes > http_body_bytes_max {
            return Some(Refusal::BodyTooLarge { bytes, bytes_max: http_body_bytes_max });
        }
        None
    }
}

fn header_bytes(headers: &HeaderMap) -> usize {
    headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum()
}

/// The announced length of the body; 0 if there is none, which says nothing.
fn announced(headers: &HeaderMap) -> u64 {
    let value = headers.get(header::CONTENT_LENGTH).map(HeaderValue::to_str);
    value.and_then(Result::ok).and_then(|value| value.parse().ok()).unwrap_or(0)
}

impl<S, B> Service<Request<B>> for Limited<S>
where
    S: Service<Request<B>, Response = Response<Body>>,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Answer<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        match self.refusal(&request) {
            Some(response) => Answer::Refused { response: Some(response) },
            None => Answer::Passed { inner: self.inner.call(request) },
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
    use super::super::to_status;
    use super::*;
    use http::StatusCode;

    const LIMITS: Limits = Limits { header_bytes_max: 100, http_body_bytes_max: 10 };

    async fn status(request: Request<()>) -> (StatusCode, Option<String>) {
        let (mut service, mut handle) =
            tower_test::mock::spawn_layer(LimitsLayer::new(LIMITS, to_status));
        handle.allow(1);
        std::future::poll_fn(|_| service.poll_ready()).await.unwrap();
        let answer = service.call(request);
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
    async fn bodies_are_taken_up_to_the_limit() {
        let of = |len: u32| request(&[("content-length", len.to_string())]);
        assert_eq!(status(of(10)).await.0, StatusCode::OK);
        assert_eq!(status(of(11)).await.0, StatusCode::PAYLOAD_TOO_LARGE);
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
