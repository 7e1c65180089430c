//! Recording without end. Calls of a stream wait for their commits side by side, and their results
//! leave in the order in which they came.

use std::fmt::Write as _;
use std::sync::Arc;

use audit_event::Writer;
use futures_util::{StreamExt as _, stream};
use log_api::receipts::{self, Level};
use log_api::service::convert;
use log_api::service::receipt::range_receipt_of;
use log_core::Log;
use log_proto::audit_v1 as pb;
use log_proto::audit_v1::record_stream_request::{Message as Asked, Open};
use log_proto::audit_v1::record_stream_response::{self as answers, Message as Answer};
use log_proto::events::RecordStreamItems;
use serve::grpc;
use serve::principal::Principal;
use serve::refusal::Refusal;
use tonic::{Request, Status, Streaming};

use super::Answers;
use super::record::{Results, leaves, result, take};
use crate::audit::{Audit, writer};
use crate::refusal;

/// Calls of one stream that may wait for their commit.
const CALLS_MAX: usize = 8;

/// What every call of a stream needs.
struct Producer {
    audit: Audit,
    log: Log,
    level: Level,
    writer: Option<Writer>,
    /// What the ids of events without ids begin with.
    prefix: String,
}

pub(super) async fn open(
    audit: &Audit,
    request: Request<Streaming<pb::RecordStreamRequest>>,
) -> Result<Answers<pb::RecordStreamResponse>, Refusal> {
    let who = Principal::of(request.extensions());
    let permit = audit.open_stream()?;
    let mut requests = request.into_inner();
    let first = requests.message().await.map_err(|status| grpc::unread(&status))?;
    let Some(Asked::Open(open)) = first.and_then(|first| first.message) else {
        return Err(refusal::bad_field("open", "the first message of a stream"));
    };
    let Open { log, producer_id, receipt } = open;
    let level = convert::level(receipt)?;
    let log = audit.log(&log)?;
    receipts::check(&log, level)?;
    let producer_id = convert::producer_id(&producer_id)?;
    let mut prefix = "s:".to_owned();
    for byte in producer_id.0 {
        write!(prefix, "{byte:02x}").expect("writing to a string cannot fail");
    }
    let producer =
        Arc::new(Producer { audit: audit.clone(), log, level, writer: writer(&who), prefix });
    let opened = message(Answer::Opened(answers::Opened {}));
    let stopping = audit.stopping();
    let results = requests
        .map(move |request| Arc::clone(&producer).record(request))
        .buffered(CALLS_MAX)
        .flat_map(stream::iter)
        .take_until(stopping.cancelled_owned());
    let answers = stream::iter([Ok(opened)]).chain(results);
    // The stream holds its permit until it ends.
    Ok(Box::pin(answers.map(move |answer| {
        let _held = &permit;
        answer
    })))
}

fn message(answer: Answer) -> pb::RecordStreamResponse {
    pb::RecordStreamResponse { message: Some(answer) }
}

type Step = Result<pb::RecordStreamResponse, Status>;

impl Producer {
    /// The answers to one message: its results, and their receipt where one is wanted.
    async fn record(
        self: Arc<Self>,
        request: Result<pb::RecordStreamRequest, Status>,
    ) -> Vec<Step> {
        match self.answers(request).await {
            Ok(answers) => answers.into_iter().map(|answer| Ok(message(answer))).collect(),
            Err(refusal) => vec![Err(self.audit.status(refusal))],
        }
    }

    async fn answers(
        &self,
        request: Result<pb::RecordStreamRequest, Status>,
    ) -> Result<Vec<Answer>, Refusal> {
        let request = request.map_err(|status| grpc::unread(&status))?;
        let Some(Asked::Items(items)) = request.message else {
            return Err(refusal::bad_field("items", "every message after the first"));
        };
        let RecordStreamItems { first_sequence, events } = items;
        if first_sequence == 0 {
            return Err(refusal::bad_field("first_sequence", "at least 1"));
        }
        let id = |at: usize| {
            let sequence = u64::try_from(at).ok().and_then(|at| first_sequence.checked_add(at));
            Some(format!("{}:{}", self.prefix, sequence?))
        };
        let taken = take(&self.audit, &self.log, &events, self.writer.as_ref(), id).await?;
        let Results { results, tree_size } = taken;
        let leaves = leaves(&results);
        let results = results.into_iter().map(result).collect();
        let results = answers::Results { first_sequence, results, tree_size: tree_size.get() };
        let mut answers = vec![Answer::Results(results)];
        if self.level > Level::Index && !leaves.is_empty() {
            let head = receipts::reach_on_stream(&self.log, tree_size, self.level).await?;
            let reads = self.audit.logs().reads();
            let receipt = range_receipt_of(reads, &self.log, &head, leaves).await?;
            answers.push(Answer::Receipt(receipt));
        }
        Ok(answers)
    }
}
