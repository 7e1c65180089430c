//! Where a request goes once its row in the route table is known.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{HeaderValue, Method, Request, Response, header};
use log_proto::audit_v1::audit_service_server::AuditServiceServer;
use log_proto::log_v1::log_service_server::LogServiceServer;
use serve::body::{self, Body};
use serve::grpc;
use serve::route::Matched;
use tonic_health::pb::health_server::HealthServer;
use tonic_health::server::HealthService;

use crate::routes::{OPENAPI, To};
use audit_api::audit::Audit;
use audit_receive::receive::Receive;
use audit_stream::Destinations;
use log_api::http::Http;
use log_api::refusal::API;
use log_api::routes::To as Log;
use log_api::service::Service;

/// Sends a request to what answers its row.
#[derive(Clone)]
pub(crate) struct Handler<R> {
    pub(crate) log: LogServiceServer<Service>,
    pub(crate) health: HealthServer<HealthService>,
    pub(crate) reflection: R,
    pub(crate) http: Http,
    pub(crate) audit: Audit,
    pub(crate) calls: AuditServiceServer<Audit>,
    pub(crate) receive: Receive,
    pub(crate) destinations: Destinations,
}

impl<R, B> tower::Service<Matched<B, To>> for Handler<R>
where
    R: tower::Service<
            Request<grpc::Checked<B>>,
            Response = Response<Body>,
            Error = Infallible,
            Future: Send + 'static,
        >,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>> + Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Answering;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        // The services are always ready: each bounds itself when it is called.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, matched: Matched<B, To>) -> Self::Future {
        let Matched { request, route, to, .. } = matched;
        let checked = |request| grpc::checked(request, route, &API);
        let refuse =
            |refused: Box<Response<Body>>| -> Answer { Box::pin(std::future::ready(Ok(*refused))) };
        let to = match to {
            To::Log(to) => to,
            To::Audit(audit_api::routes::To::Call) => {
                let answer = checked(request).map(|request| self.calls.call(request));
                return Answering::Grpc(answer.unwrap_or_else(refuse));
            }
            To::Audit(to) => {
                let audit = self.audit.clone();
                let answer = async move { Ok(audit.answer(request, to).await) };
                return Answering::Http(Box::pin(answer));
            }
            To::OpenApi => {
                let is_head = request.method() == Method::HEAD;
                let answer = std::future::ready(Ok(openapi(is_head)));
                return Answering::Http(Box::pin(answer));
            }
            To::Receive(to) => {
                let receive = self.receive.clone();
                let answer = async move { Ok(receive.answer(request, route, to).await) };
                return Answering::Http(Box::pin(answer));
            }
            To::Stream(to) => {
                let destinations = self.destinations.clone();
                let answer = async move { Ok(destinations.answer(request, route, to).await) };
                return Answering::Http(Box::pin(answer));
            }
        };
        let answer: Result<Answer, Box<Response<Body>>> = match to {
            Log::Log => checked(request).map(|request| self.log.call(request)),
            Log::Health => checked(request).map(|request| self.health.call(request)),
            Log::Reflection => checked(request)
                .map(|request| -> Answer { Box::pin(self.reflection.call(request)) }),
            Log::Http(target) => {
                let http = self.http.clone();
                let answer = async move { Ok(http.answer(request, route, target).await) };
                return Answering::Http(Box::pin(answer));
            }
        };
        Answering::Grpc(answer.unwrap_or_else(refuse))
    }
}

/// The document that describes the routes, which web pages may read.
fn openapi(is_head: bool) -> Response<Body> {
    let text = if is_head { "" } else { OPENAPI };
    let mut response = Response::new(body::full(text));
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    body::open_to_pages(response)
}

type Answer = BoxFuture<'static, Result<Response<Body>, Infallible>>;

/// An answer on its way. Every gRPC refusal gets details, also one that tonic made.
pub(crate) enum Answering {
    Grpc(Answer),
    Http(Answer),
}

impl Future for Answering {
    type Output = Result<Response<Body>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut *self {
            Self::Grpc(answer) => {
                answer.as_mut().poll(cx).map_ok(|answer| grpc::answered(answer, &API))
            }
            Self::Http(answer) => answer.as_mut().poll(cx),
        }
    }
}
