//! What every request passes before its handler, one file for each layer.
//!
//! The order is written once, in [`Chain::around`]: panic guard, request id and span, metrics, body and
//! header limits, global load-shed, deadline, handler. Each layer knows both protocols of the port and
//! refuses in the caller's own: a gRPC status with `google.rpc` details, or an HTTP status. None of them
//! allocates for a request that passes, apart from the timer of a call that names a deadline.
//!
//! The status of a gRPC refusal, with its reason of the server's own API, is the server's to say: layers
//! that refuse take a [`ToStatus`].

pub mod panic_guard;

pub mod request_id;

pub mod observe;

pub mod limits;

pub mod load_shed;

pub mod deadline;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use tonic::Status;
use tower::ServiceBuilder;

use crate::body::{Body, plain};
use crate::metrics::Requests;
use deadline::DeadlineLayer;
use limits::{Limits, LimitsLayer};
use load_shed::LoadShedLayer;
use observe::ObserveLayer;
use panic_guard::PanicGuardLayer;
use request_id::RequestIdLayer;

/// What a server without an API of its own says.
pub fn to_status(refusal: &Refusal) -> Status {
    let code = match refusal {
        Refusal::Panicked => tonic::Code::Internal,
        Refusal::HeadersTooLarge { .. } | Refusal::Overloaded { .. } => {
            tonic::Code::ResourceExhausted
        }
        Refusal::NoSuchPath => tonic::Code::Unimplemented,
        Refusal::BodyTooLarge { .. } | Refusal::BadTimeout => tonic::Code::InvalidArgument,
        Refusal::DeadlinePassed => tonic::Code::DeadlineExceeded,
    };
    Status::new(code, refusal.to_string())
}

/// The settings of all layers.
#[derive(Debug)]
pub struct Chain {
    /// Where requests are counted.
    pub requests: Arc<Requests>,
    /// Tells the request ids of this process from those of its restarts.
    pub request_id_prefix: u32,
    pub limits: Limits,
    /// Requests worked on at a time.
    pub requests_max: usize,
    pub http_timeout: Duration,
    pub grpc_timeout: Duration,
    pub to_status: ToStatus,
}

impl Chain {
    /// What a request passes, outermost first, and its handler at the end.
    pub fn around<H, B>(
        self,
        handler: H,
    ) -> impl tower::Service<
        Request<B>,
        Response = Response<Body>,
        Error = Infallible,
        Future: Send + 'static,
    > + Clone
    + Send
    + 'static
    where
        H: tower::Service<Request<B>, Response = Response<Body>, Error = Infallible>
            + Clone
            + Send
            + 'static,
        H::Future: Send + 'static,
        B: 'static,
    {
        ServiceBuilder::new()
            .layer(PanicGuardLayer::new(Arc::clone(&self.requests), self.to_status))
            .layer(RequestIdLayer::new(self.request_id_prefix))
            .layer(ObserveLayer::new(self.requests))
            .layer(LimitsLayer::new(self.limits, self.to_status))
            .layer(LoadShedLayer::new(self.requests_max, self.to_status))
            .layer(DeadlineLayer::new(self.http_timeout, self.grpc_timeout, self.to_status))
            .service(handler)
    }
}

/// Why a layer refused a request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("internal error")]
    Panicked,
    #[error("headers have {bytes} bytes, the limit is {bytes_max}")]
    HeadersTooLarge { bytes: usize, bytes_max: usize },
    #[error("no such path")]
    NoSuchPath,
    #[error("body has {bytes} bytes, the limit is {bytes_max}")]
    BodyTooLarge { bytes: u64, bytes_max: u64 },
    #[error("server has as many requests in flight as it takes")]
    Overloaded { retry_after: Duration },
    #[error("grpc-timeout must be 1 to 8 digits and a unit")]
    BadTimeout,
    #[error("deadline passed")]
    DeadlinePassed,
}

impl Refusal {
    fn http_status(&self) -> StatusCode {
        match self {
            Self::Panicked => StatusCode::INTERNAL_SERVER_ERROR,
            Self::HeadersTooLarge { .. } => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::NoSuchPath => StatusCode::NOT_FOUND,
            Self::BodyTooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::BadTimeout => StatusCode::BAD_REQUEST,
            Self::Overloaded { .. } | Self::DeadlinePassed => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

/// A refusal as the server's API has it. Its message is what plain HTTP callers read too.
pub type ToStatus = fn(&Refusal) -> Status;

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

    /// A refusal in this protocol: a status for gRPC, a code and one line of text for HTTP.
    fn refuse(self, refusal: &Refusal, to_status: ToStatus) -> Response<Body> {
        let status = to_status(refusal);
        match self {
            Self::Grpc => status.into_http(),
            Self::Http => plain(refusal.http_status(), status.message()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_say_what_is_wrong() {
        let after = Duration::from_secs(1);
        let texts = [
            Refusal::Panicked,
            Refusal::HeadersTooLarge { bytes: 2, bytes_max: 1 },
            Refusal::NoSuchPath,
            Refusal::BodyTooLarge { bytes: 2, bytes_max: 1 },
            Refusal::Overloaded { retry_after: after },
            Refusal::BadTimeout,
            Refusal::DeadlinePassed,
        ]
        .map(|refusal| format!("{} {refusal}", refusal.http_status().as_u16()));
        assert_eq!(
            texts,
            [
                "500 internal error",
                "431 headers have 2 bytes, the limit is 1",
                "404 no such path",
                "413 body has 2 bytes, the limit is 1",
                "503 server has as many requests in flight as it takes",
                "400 grpc-timeout must be 1 to 8 digits and a unit",
                "503 deadline passed",
            ]
        );
    }

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
