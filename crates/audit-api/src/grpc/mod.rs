//! The gRPC edge: `cairn.audit.v1.AuditService`.

mod export;
mod read;
mod record;
mod search;
mod stream;

use std::pin::Pin;

use futures_util::Stream;
use log_api::refusal::API;
use log_proto::audit_v1 as pb;
use log_proto::audit_v1::audit_service_server::AuditService;
use log_proto::events;
use serve::refusal::Refusal;
use tonic::{Request, Response, Status, Streaming};

use crate::audit::Audit;

/// The answers of a call that streams them.
type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

impl Audit {
    /// An answer as gRPC has it. A refusal is counted by its reason.
    fn grpc<T>(&self, answer: Result<T, Refusal>) -> Result<Response<T>, Status> {
        answer.map(Response::new).map_err(|refusal| self.status(refusal))
    }

    fn status(&self, refusal: Refusal) -> Status {
        self.logs().refused(&refusal);
        refusal.into_status(API.domain)
    }
}

#[tonic::async_trait]
impl AuditService for Audit {
    type RecordStreamStream = Answers<pb::RecordStreamResponse>;
    type TailEventsStream = Answers<pb::StoredEvent>;
    type ExportEventsStream = Answers<pb::ExportEventsResponse>;

    async fn record_event(
        &self,
        request: Request<events::RecordEventRequest>,
    ) -> Result<Response<pb::RecordEventResponse>, Status> {
        self.grpc(record::one(self, request).await)
    }

    async fn record_events(
        &self,
        request: Request<events::RecordEventsRequest>,
    ) -> Result<Response<pb::RecordEventsResponse>, Status> {
        self.grpc(record::many(self, request).await)
    }

    async fn record_stream(
        &self,
        request: Request<Streaming<pb::RecordStreamRequest>>,
    ) -> Result<Response<Self::RecordStreamStream>, Status> {
        self.grpc(stream::open(self, request).await)
    }

    async fn get_event(
        &self,
        request: Request<pb::GetEventRequest>,
    ) -> Result<Response<pb::StoredEvent>, Status> {
        self.grpc(read::event(self, request.into_inner()).await)
    }

    async fn get_event_receipt(
        &self,
        request: Request<pb::GetEventRequest>,
    ) -> Result<Response<pb::GetEventReceiptResponse>, Status> {
        self.grpc(read::receipt(self, request.into_inner()).await)
    }

    async fn search_events(
        &self,
        request: Request<pb::SearchEventsRequest>,
    ) -> Result<Response<pb::SearchEventsResponse>, Status> {
        self.grpc(search::search(self, request.into_inner()).await)
    }

    async fn count_events(
        &self,
        request: Request<pb::CountEventsRequest>,
    ) -> Result<Response<pb::CountEventsResponse>, Status> {
        self.grpc(search::count(self, request.into_inner()).await)
    }

    async fn tail_events(
        &self,
        request: Request<pb::TailEventsRequest>,
    ) -> Result<Response<Self::TailEventsStream>, Status> {
        self.grpc(search::tail(self, request.get_ref()))
    }

    async fn export_events(
        &self,
        request: Request<pb::ExportEventsRequest>,
    ) -> Result<Response<Self::ExportEventsStream>, Status> {
        self.grpc(export::export(self, request).await)
    }
}
