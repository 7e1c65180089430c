//! What every request passes before its handler, one file for each layer.
//!
//! The order is written once, in [`Chain::around`]: panic guard, request id and span, route and metrics,
//! limits, global load-shed, identity and quota, deadline, handler. Each layer knows both protocols of the
//! port and refuses in the caller's own: a gRPC status with `google.rpc` details, or an HTTP status. None of
//! them allocates for a request that passes, apart from the timer of a call that names a deadline.

pub mod panic_guard;

pub mod request_id;

pub mod observe;

pub mod limits;

pub mod load_shed;

pub mod admission;

pub mod deadline;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use base::clock::Clock;
use http::{HeaderMap, HeaderValue, Request, Response, header};
use tower::ServiceBuilder;

use crate::body::Body;
use crate::metrics::Requests;
use crate::refusal::{Api, Refusal};
use crate::route::{Matched, RouteTable};
use admission::{AdmissionLayer, Identify, Quota};
use deadline::DeadlineLayer;
use limits::LimitsLayer;
use load_shed::LoadShedLayer;
use observe::ObserveLayer;
use panic_guard::PanicGuardLayer;
use request_id::RequestIdLayer;

/// The settings of all layers.
#[derive(Debug)]
pub struct Chain<T: 'static> {
    pub api: &'static Api,
    pub routes: Arc<RouteTable<T>>,
    /// Where requests are counted, by the rows of `routes`.
    pub requests: Arc<Requests>,
    /// Makes the request ids of this process differ from those of earlier and later ones.
    pub request_id_prefix: u32,
    /// Names and values of all headers together, in bytes.
    pub header_bytes_max: usize,
    /// Requests worked on at a time.
    pub requests_max: usize,
    /// What deadlines go by.
    pub clock: Arc<dyn Clock>,
    pub http_timeout: Duration,
    pub grpc_timeout: Duration,
    /// Says who sent a request; without it every request is anonymous.
    pub identity: Option<Arc<dyn Identify>>,
    /// Says whether a caller may send one more request.
    pub quota: Option<Arc<dyn Quota>>,
}

impl<T: Copy + Send + Sync> Chain<T> {
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
        H: tower::Service<Matched<B, T>, Response = Response<Body>, Error = Infallible>
            + Clone
            + Send
            + 'static,
        H::Future: Send + 'static,
        B: 'static,
    {
        let Self { api, .. } = self;
        ServiceBuilder::new()
            .layer(PanicGuardLayer::new(Arc::clone(&self.requests), api))
            .layer(RequestIdLayer::new(self.request_id_prefix))
            .layer(ObserveLayer::new(self.routes, self.requests, api))
            .layer(LimitsLayer::new(self.header_bytes_max, api))
            .layer(LoadShedLayer::new(self.requests_max, api))
            .layer(AdmissionLayer::new(self.identity, self.quota, api))
            .layer(DeadlineLayer::new(self.clock, self.http_timeout, self.grpc_timeout, api))
            .service(handler)
    }
}

/// Which of the two protocols of the port a request speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    Grpc,
    Http,
}

impl Protocol {
    /// A request is gRPC if its content type says so.
    pub fn of(headers: &HeaderMap) -> Self {
        let content_type = headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
        match content_type {
            Some(value) if value.starts_with(b"application/grpc") => Self::Grpc,
            _ => Self::Http,
        }
    }

    /// A refusal in this protocol.
    pub fn refuse(self, refusal: Refusal, api: &Api) -> Response<Body> {
        match self {
            Self::Grpc => refusal.into_status(api.domain).into_http(),
            Self::Http => refusal.into_http(),
        }
    }
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
