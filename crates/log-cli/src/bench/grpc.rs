//! Unary calls: append, append a batch, and the empty call that is the floor.

use std::sync::Arc;
use std::time::Duration;

use log_client::ClientError;
use log_proto::audit_v1::RecordEventsResponse;
use log_proto::audit_v1::record_result::Result as Recorded;
use log_proto::log_v1::append_result::Result as Outcome;
use log_proto::log_v1::{AppendBatchResponse, AppendResponse, AppendResult};
use merkle::{Hash, LeafIndex};
use prost::Message;
use tls::{Address, Http, Known};
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};
use tonic_health::pb::HealthCheckResponse;

use super::codec::{Body, TemplateCodec};
use super::load::{Call, Done, Reply};
use super::receipts::Verifier;
use super::template::Template;
use crate::error::CliError;

/// Largest answer taken; the server's own limit is the same.
const MESSAGE_BYTES_MAX: usize = 9 * 1024 * 1024;
/// HTTP/2 windows wide enough that a batch never waits for the reader.
const STREAM_WINDOW_BYTES: u32 = 4 * 1024 * 1024;
const CONNECTION_WINDOW_BYTES: u32 = 16 * 1024 * 1024;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Opens `count` connections of their own.
pub(crate) async fn connect(server: &str, count: usize) -> Result<Vec<Channel>, CliError> {
    let address: Address = server.parse().map_err(ClientError::from)?;
    let endpoint = Endpoint::from(address.uri().clone())
        .tcp_nodelay(true)
        .connect_timeout(CONNECT_TIMEOUT)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES);
    let mut channels = Vec::with_capacity(count);
    for _ in 0..count {
        let connected = match address.known() {
            Known::ByNothing => endpoint.connect().await,
            known => {
                let tls = tls::connector(known, Http::Two, CONNECT_TIMEOUT);
                endpoint.connect_with_connector(tls.map_err(ClientError::from)?).await
            }
        };
        let url = server.to_owned();
        channels.push(connected.map_err(|source| CliError::Connect { url, source })?);
    }
    Ok(channels)
}

/// A client that sends templates.
pub(crate) fn client(channel: Channel) -> Grpc<Channel> {
    Grpc::new(channel).max_decoding_message_size(MESSAGE_BYTES_MAX)
}

/// How a worker judges the answer to a call.
pub(crate) trait Answer: Message + Default + 'static {
    /// The checks a worker makes of each answer.
    type Check: Send + 'static;

    /// Counts the answer to request `number`, or says why it does not count.
    fn done(self, number: u64, template: &Template, check: &Self::Check) -> Result<Done, String>;
}

/// A worker that makes one kind of unary call, again and again.
#[derive(Debug)]
pub(crate) struct Unary<A: Answer> {
    client: Grpc<Channel>,
    path: PathAndQuery,
    /// Requests in turn; never none.
    templates: Arc<[Arc<Template>]>,
    check: A::Check,
}

impl Unary<AppendResponse> {
    pub(crate) fn append(channel: Channel, template: Arc<Template>, check: Verifier) -> Self {
        Self::new(channel, "/cairn.log.v1.LogService/Append", [template].into(), check)
    }
}

impl Unary<AppendBatchResponse> {
    pub(crate) fn append_batch(channel: Channel, template: Arc<Template>, check: Verifier) -> Self {
        Self::new(channel, "/cairn.log.v1.LogService/AppendBatch", [template].into(), check)
    }
}

impl Unary<HealthCheckResponse> {
    /// The empty call: `grpc.health.v1.Health/Check` of the whole server.
    pub(crate) fn empty(channel: Channel, template: Arc<Template>) -> Self {
        Self::new(channel, "/grpc.health.v1.Health/Check", [template].into(), ())
    }
}

impl Unary<RecordEventsResponse> {
    pub(crate) fn record_events(
        channel: Channel,
        templates: Arc<[Arc<Template>]>,
        check: Verifier,
    ) -> Self {
        Self::new(channel, "/cairn.audit.v1.AuditService/RecordEvents", templates, check)
    }
}

impl<A: Answer> Unary<A> {
    fn new(
        channel: Channel,
        path: &'static str,
        templates: Arc<[Arc<Template>]>,
        check: A::Check,
    ) -> Self {
        Self { client: client(channel), path: PathAndQuery::from_static(path), templates, check }
    }
}

impl<A: Answer> Call for Unary<A> {
    async fn call(&mut self, number: u64) -> Reply {
        if self.client.ready().await.is_err() {
            return Reply::Failed("the connection to the server is lost".to_owned());
        }
        let template = in_turn(&self.templates, number);
        let body = Body::Stamped(Arc::clone(template), number);
        let codec = TemplateCodec::<A>::new();
        match self.client.unary(Request::new(body), self.path.clone(), codec).await {
            Ok(answer) => match answer.into_inner().done(number, template, &self.check) {
                Ok(done) => Reply::Done(done),
                Err(error) => Reply::Failed(error),
            },
            Err(status) => refused(&status),
        }
    }
}

/// The item whose turn it is.
pub(super) fn in_turn<T>(items: &[T], number: u64) -> &T {
    let count = u64::try_from(items.len()).expect("a length in memory fits 64 bits");
    let turn = number.checked_rem(count).expect("there is at least one");
    &items[usize::try_from(turn).expect("it is below a length in memory")]
}

/// A call the server did not answer with OK.
pub(crate) fn refused(status: &Status) -> Reply {
    if status.code() == Code::ResourceExhausted {
        return Reply::Shed { retry_after: None };
    }
    Reply::Failed(format!("{:?}: {}", status.code(), status.message()))
}

impl Answer for HealthCheckResponse {
    type Check = ();

    fn done(self, _: u64, _: &Template, (): &()) -> Result<Done, String> {
        Ok(Done::default())
    }
}

impl Answer for AppendResponse {
    type Check = Verifier;

    fn done(self, number: u64, template: &Template, check: &Verifier) -> Result<Done, String> {
        check.append(&self, || merkle::leaf_hash(&template.entry_bytes(number, 0)))?;
        let duplicates = u64::from(self.duplicate);
        Ok(Done {
            leaves: 1 - duplicates,
            duplicates,
            last_index: Some(self.leaf_index),
            ..Done::default()
        })
    }
}

impl Answer for AppendBatchResponse {
    type Check = Verifier;

    fn done(self, number: u64, template: &Template, check: &Verifier) -> Result<Done, String> {
        let reached = self.receipt_reached();
        let mut done = Done::default();
        for result in &self.results {
            match &result.result {
                Some(Outcome::Appended(appended)) => {
                    done.leaves += u64::from(!appended.duplicate);
                    done.duplicates += u64::from(appended.duplicate);
                    done.last_index = done.last_index.max(Some(appended.leaf_index));
                }
                Some(Outcome::Refused(refused)) => return Err(refused.message.clone()),
                None => return Err("a result of the batch is empty".to_owned()),
            }
        }
        check.batch(reached, self.range_receipt, || leaves(&self.results, number, template))?;
        Ok(done)
    }
}

impl Answer for RecordEventsResponse {
    type Check = Verifier;

    fn done(self, _: u64, template: &Template, check: &Verifier) -> Result<Done, String> {
        check.reached(self.receipt_reached())?;
        let mut done = Done { bytes: template.items_bytes(), ..Done::default() };
        for result in self.results {
            match result.result {
                Some(Recorded::Recorded(recorded)) => {
                    done.leaves += u64::from(!recorded.duplicate);
                    done.duplicates += u64::from(recorded.duplicate);
                    done.last_index = done.last_index.max(Some(recorded.index));
                }
                Some(Recorded::Refused(refused)) => return Err(refused.message),
                None => return Err("a result of the batch is empty".to_owned()),
            }
        }
        Ok(done)
    }
}

/// The index of each entry of the request, and its leaf hash as computed here; ascending.
fn leaves(results: &[AppendResult], number: u64, template: &Template) -> Vec<(LeafIndex, Hash)> {
    let appended = results.iter().zip(0..).filter_map(|(result, entry)| match &result.result {
        Some(Outcome::Appended(appended)) => {
            let leaf = merkle::leaf_hash(&template.entry_bytes(number, entry));
            Some((LeafIndex::new(appended.leaf_index).ok()?, leaf))
        }
        _ => None,
    });
    let mut leaves = appended.collect::<Vec<_>>();
    leaves.sort_unstable();
    leaves
}
