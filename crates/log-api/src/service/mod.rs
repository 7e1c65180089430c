//! The gRPC service. It converts a request, hands it to the log, and converts the answer back.

pub mod append;

mod append_stream;

pub mod read;

mod stream;

mod unproven;

pub mod admin;

pub mod receipt;

mod answer;

pub mod convert;

use base::clock::Clock;
use base::tasks::Supervisor;
use log_proto::log_v1 as pb;
use log_proto::log_v1::log_service_server::LogService;
use serve::principal::Principal;
use serve::refusal::Refusal;
use std::sync::Arc;
use tokio::sync::Semaphore;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming};

use crate::logs::Logs;
use crate::receipts::Waits;
use crate::refusal::API;
use log_core::Log;

/// The largest request message, in bytes: a call's 8 MiB of entries with its framing and keys.
pub const MESSAGE_BYTES_MAX: usize = 9 * 1024 * 1024;

/// The settings of the service.
#[derive(Clone, Copy, Debug)]
pub struct ServiceOptions {
    /// How long calls wait for their receipts.
    pub waits: Waits,
    /// Streams open at a time, over all connections: appends, watches and entry ranges.
    pub streams_max: usize,
}

/// The parts every call needs. Cloning it is cheap.
#[derive(Clone, Debug)]
pub struct Service {
    shared: Arc<Shared>,
}

/// What all calls share; nothing in it changes after the start.
#[derive(Debug)]
struct Shared {
    logs: Logs,
    options: ServiceOptions,
    /// One permit for each stream that may be open.
    streams: Arc<Semaphore>,
    /// Cancelled when the server stops. It ends the streams that have no end of their own.
    stopping: CancellationToken,
}

impl Service {
    /// Serves `logs`; `stopping` ends the streams.
    pub fn new(logs: Logs, options: ServiceOptions, stopping: CancellationToken) -> Self {
        let streams = Arc::new(Semaphore::new(options.streams_max));
        let shared = Shared { logs, options, streams, stopping };
        Self { shared: Arc::new(shared) }
    }

    /// Watches over the tasks of streams.
    fn supervisor(&self) -> &Supervisor {
        self.logs().metrics().supervisor()
    }

    /// An answer as gRPC has it. A refusal is counted by its reason.
    fn answer<T>(&self, answer: Result<T, Refusal>) -> Result<Response<T>, Status> {
        answer.map(Response::new).map_err(|refusal| self.refused(refusal))
    }

    fn refused(&self, refusal: Refusal) -> Status {
        self.logs().refused(&refusal);
        refusal.into_status(API.domain)
    }

    fn clock(&self) -> &dyn Clock {
        &**self.logs().registry().clock()
    }

    fn logs(&self) -> &Logs {
        &self.shared.logs
    }

    /// The log a call names.
    fn log(&self, name: &str) -> Result<Log, Refusal> {
        self.logs().named(name)
    }
}

/// The answers of a call that streams them.
type Answers<T> = ReceiverStream<Result<T, Status>>;

#[tonic::async_trait]
impl LogService for Service {
    type AppendStreamStream = Answers<pb::AppendStreamResponse>;
    type WatchCheckpointsStream = Answers<pb::WatchCheckpointsResponse>;
    type GetEntriesStream = Answers<pb::GetEntriesResponse>;

    async fn append(
        &self,
        request: Request<pb::AppendRequest>,
    ) -> Result<Response<pb::AppendResponse>, Status> {
        self.answer(append::append(self, request).await)
    }

    async fn append_batch(
        &self,
        request: Request<pb::AppendBatchRequest>,
    ) -> Result<Response<pb::AppendBatchResponse>, Status> {
        self.answer(append::append_batch(self, request).await)
    }

    async fn append_stream(
        &self,
        request: Request<Streaming<pb::AppendStreamRequest>>,
    ) -> Result<Response<Self::AppendStreamStream>, Status> {
        self.answer(append_stream::open(self, request))
    }

    async fn get_receipt(
        &self,
        request: Request<pb::GetReceiptRequest>,
    ) -> Result<Response<pb::GetReceiptResponse>, Status> {
        self.answer(append::get_receipt(self, request).await)
    }

    async fn get_checkpoint(
        &self,
        request: Request<pb::GetCheckpointRequest>,
    ) -> Result<Response<pb::GetCheckpointResponse>, Status> {
        self.answer(read::get_checkpoint(self, request.into_inner()))
    }

    async fn list_checkpoints(
        &self,
        request: Request<pb::ListCheckpointsRequest>,
    ) -> Result<Response<pb::ListCheckpointsResponse>, Status> {
        self.answer(read::list_checkpoints(self, request.into_inner()).await)
    }

    async fn watch_checkpoints(
        &self,
        request: Request<pb::WatchCheckpointsRequest>,
    ) -> Result<Response<Self::WatchCheckpointsStream>, Status> {
        self.answer(stream::watch_checkpoints(self, request.into_inner()))
    }

    async fn get_inclusion_proof(
        &self,
        request: Request<pb::GetInclusionProofRequest>,
    ) -> Result<Response<pb::GetInclusionProofResponse>, Status> {
        self.answer(read::inclusion(self, request.into_inner()).await)
    }

    async fn get_consistency_proof(
        &self,
        request: Request<pb::GetConsistencyProofRequest>,
    ) -> Result<Response<pb::GetConsistencyProofResponse>, Status> {
        self.answer(read::consistency(self, request.into_inner()).await)
    }

    async fn get_batch_inclusion_proof(
        &self,
        request: Request<pb::GetBatchInclusionProofRequest>,
    ) -> Result<Response<pb::GetBatchInclusionProofResponse>, Status> {
        self.answer(read::batch_inclusion(self, request.into_inner()).await)
    }

    async fn get_entries(
        &self,
        request: Request<pb::GetEntriesRequest>,
    ) -> Result<Response<Self::GetEntriesStream>, Status> {
        self.answer(stream::get_entries(self, request.into_inner()).await)
    }

    async fn lookup_entry(
        &self,
        request: Request<pb::LookupEntryRequest>,
    ) -> Result<Response<pb::LookupEntryResponse>, Status> {
        let who = Principal::of(request.extensions());
        self.answer(read::lookup(self, &who, request.into_inner()).await)
    }

    async fn create_log(
        &self,
        request: Request<pb::CreateLogRequest>,
    ) -> Result<Response<pb::CreateLogResponse>, Status> {
        self.answer(admin::create_log(self, request.into_inner()).await)
    }

    async fn get_log(
        &self,
        request: Request<pb::GetLogRequest>,
    ) -> Result<Response<pb::GetLogResponse>, Status> {
        self.answer(admin::get_log(self, request.into_inner()))
    }

    async fn list_logs(
        &self,
        request: Request<pb::ListLogsRequest>,
    ) -> Result<Response<pb::ListLogsResponse>, Status> {
        self.answer(admin::list_logs(self, request.into_inner()))
    }

    async fn freeze_log(
        &self,
        request: Request<pb::FreezeLogRequest>,
    ) -> Result<Response<pb::FreezeLogResponse>, Status> {
        self.answer(admin::freeze_log(self, request.into_inner()).await)
    }
}
