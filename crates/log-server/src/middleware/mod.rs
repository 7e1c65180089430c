//! What every request passes before its handler, one file for each layer.
//!
//! The order is written once, in [`crate::server`]: panic guard, request id and span, metrics, body and
//! header limits, global load-shed, deadline, handler. Each layer knows both protocols of the port and
//! refuses in the caller's own: a gRPC status with `google.rpc` details, or an HTTP status. None of them
//! allocates for a request that passes, apart from the timer of a call that names a deadline.

pub mod panic_guard;

pub mod request_id;

pub mod observe;

pub mod limits;

pub mod load_shed;

pub mod deadline;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use http_body_util::Full;
use tonic::Status;

/// The body of every answer.
pub type Body = tonic::body::Body;

/// Which of the two protocols of the port a request speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    Grpc,
    Http,
}

impl Protocol {
    /// gRPC is what says so in its content type.
    pub fn of(headers: &HeaderMap) -> Self {
        let content_type = headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
        match content_type {
            Some(value) if value.starts_with(b"application/grpc") => Self::Grpc,
            _ => Self::Http,
        }
    }

    /// A refusal in this protocol: `status` for gRPC, `code` and one line of text for HTTP.
    fn refuse(self, status: &Status, code: StatusCode) -> Response<Body> {
        match self {
            Self::Grpc => status.clone().into_http(),
            Self::Http => plain(code, status.message()),
        }
    }
}

/// An HTTP answer of one line of text that nobody may store.
pub(crate) fn plain(code: StatusCode, line: &str) -> Response<Body> {
    let mut response = Response::new(full(format!("{line}\n")));
    *response.status_mut() = code;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// A body that is there already.
pub(crate) fn full(bytes: impl Into<Bytes>) -> Body {
    Body::new(Full::new(bytes.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grpc_is_what_its_content_type_says() {
        let of = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(value));
            Protocol::of(&headers)
        };
        assert_eq!(of("application/grpc"), Protocol::Grpc);
        assert_eq!(of("application/grpc+proto"), Protocol::Grpc);
        assert_eq!(of("application/json"), Protocol::Http);
        assert_eq!(Protocol::of(&HeaderMap::new()), Protocol::Http);
    }
}
