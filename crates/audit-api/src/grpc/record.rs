//! Events into an audit log.

use audit_event::Writer;
use audit_event::protobuf::{self, ProtobufError};
use audit_trail::{Draft, Recorded, Taken};
use bytes::Bytes;
use log_api::receipts::{self, Level, Until};
use log_api::service::convert;
use log_api::service::receipt::range_receipt_of;
use log_core::Log;
use log_proto::audit_v1 as pb;
use log_proto::audit_v1::record_result::Result as Outcome;
use log_proto::events;
use log_proto::log_v1 as log_pb;
use merkle::{Hash, LeafIndex, TreeSize};
use serve::middleware::deadline::Deadline;
use serve::principal::Principal;
use serve::refusal::Refusal;
use tonic::{Code, Request};

use crate::audit::{Audit, writer};
use crate::http::EVENTS_MAX;
use crate::refusal::{self, EventRefusal};

/// The events of a call, recorded or refused.
pub(super) struct Results {
    pub(super) results: Vec<Result<(Taken, Vec<String>), EventRefusal>>,
    pub(super) tree_size: TreeSize,
}

/// Records the events of a call. Those without ids get the ids that `ids` gives for their positions,
/// or new ones.
pub(super) async fn take(
    audit: &Audit,
    log: &Log,
    events: &[Bytes],
    writer: Option<&Writer>,
    ids: impl Fn(usize) -> Option<String>,
) -> Result<Results, Refusal> {
    match events.len() {
        0 => return Err(refusal::no_events()),
        1..=EVENTS_MAX => {}
        _ => return Err(refusal::too_many_events(EVENTS_MAX)),
    }
    let bytes_max = audit.options().event_bytes_max;
    let (mut drafts, mut unknown) = (Vec::new(), Vec::new());
    let mut read = Vec::with_capacity(events.len());
    for (at, bytes) in events.iter().enumerate() {
        read.push(match protobuf::read(bytes, bytes_max) {
            Err(error) => Err(of_protobuf(&error)),
            Ok(event) => {
                let draft = Draft::own(event, bytes, protobuf::CONTENT_TYPE);
                unknown.push(draft.unknown());
                drafts.push(match ids(at) {
                    Some(id) => draft.or_id(id),
                    None => draft,
                });
                Ok(())
            }
        });
    }
    let (recorded, tree_size) = if drafts.is_empty() {
        (Vec::new(), log.tree().head.size)
    } else {
        let recorded = audit.trail().record(log, drafts, writer).await;
        let Recorded { results, tree_size } = recorded.map_err(refusal::of_record)?;
        (results, tree_size)
    };
    let mut recorded = recorded.into_iter().zip(unknown);
    let result = |read: Result<(), EventRefusal>| {
        read?;
        let (result, unknown) = recorded.next().expect("each event that was read has a result");
        result.map(|taken| (taken, unknown)).map_err(|refused| EventRefusal::from(&refused))
    };
    Ok(Results { results: read.into_iter().map(result).collect(), tree_size })
}

fn of_protobuf(error: &ProtobufError) -> EventRefusal {
    match error {
        ProtobufError::Field(error) => error.into(),
        ProtobufError::Json(error) => error.into(),
        ProtobufError::TooLarge { .. } => EventRefusal::too_large(error.to_string()),
        ProtobufError::Malformed(_) => EventRefusal::malformed(error.to_string()),
    }
}

pub(super) fn recorded((taken, unknown_fields): (Taken, Vec<String>)) -> pb::Recorded {
    let Taken { id, index, leaf_hash, received_at, duplicate } = taken;
    pb::Recorded {
        index: index.get(),
        leaf_hash: Bytes::copy_from_slice(leaf_hash.as_bytes()),
        id,
        received_at: received_at.to_nine_digits(),
        duplicate,
        unknown_fields,
    }
}

pub(super) fn result(result: Result<(Taken, Vec<String>), EventRefusal>) -> pb::RecordResult {
    let outcome = match result {
        Ok(taken) => Outcome::Recorded(recorded(taken)),
        Err(EventRefusal { kind, reason, field, message }) => Outcome::Refused(pb::EventRefused {
            code: Code::into(kind.grpc()),
            reason: reason.to_owned(),
            field: field.unwrap_or_default(),
            message,
        }),
    };
    pb::RecordResult { result: Some(outcome) }
}

/// Where the events that were taken stand, ascending and each once.
pub(super) fn leaves(
    results: &[Result<(Taken, Vec<String>), EventRefusal>],
) -> Vec<(LeafIndex, Hash)> {
    let taken = results.iter().flatten();
    let mut leaves: Vec<_> = taken.map(|(taken, _)| (taken.index, taken.leaf_hash)).collect();
    leaves.sort_unstable_by_key(|(index, _)| *index);
    leaves.dedup_by_key(|(index, _)| *index);
    leaves
}

pub(super) async fn one(
    audit: &Audit,
    request: Request<events::RecordEventRequest>,
) -> Result<pb::RecordEventResponse, Refusal> {
    let who = Principal::of(request.extensions());
    let deadline = request.extensions().get::<Deadline>().copied();
    let events::RecordEventRequest { log, event, receipt, receipt_wait } = request.into_inner();
    let (level, wait) = (convert::level(receipt)?, convert::receipt_wait(receipt_wait)?);
    let log = audit.log(&log)?;
    receipts::check(&log, level)?;
    let until = Until::new(wait, deadline, audit.options().waits, audit.clock());
    let taken = take(audit, &log, &[event], writer(&who).as_ref(), |_| None).await?;
    let Results { mut results, tree_size } = taken;
    let taken = results.remove(0).map_err(EventRefusal::into_refusal)?;
    let reached = receipts::reach_committed(&log, tree_size, level, until).await;
    let (tlog_proof, reached) = match reached {
        None => (None, Level::Index),
        Some((head, level)) => {
            let reads = audit.logs().reads();
            let proof = receipts::tlog_proof(reads, &log, &head, taken.0.index).await;
            receipts::of_committed(proof, level)
        }
    };
    Ok(pb::RecordEventResponse {
        recorded: Some(recorded(taken)),
        tree_size: tree_size.get(),
        receipt_reached: convert::level_message(reached),
        tlog_proof: tlog_proof.unwrap_or_default(),
    })
}

pub(super) async fn many(
    audit: &Audit,
    request: Request<events::RecordEventsRequest>,
) -> Result<pb::RecordEventsResponse, Refusal> {
    let who = Principal::of(request.extensions());
    let deadline = request.extensions().get::<Deadline>().copied();
    let events::RecordEventsRequest { log, events, receipt, receipt_wait } = request.into_inner();
    let (level, wait) = (convert::level(receipt)?, convert::receipt_wait(receipt_wait)?);
    let log = audit.log(&log)?;
    receipts::check(&log, level)?;
    let until = Until::new(wait, deadline, audit.options().waits, audit.clock());
    let taken = take(audit, &log, &events, writer(&who).as_ref(), |_| None).await?;
    let Results { results, tree_size } = taken;
    let leaves = leaves(&results);
    let reached = if leaves.is_empty() {
        None
    } else {
        receipts::reach_committed(&log, tree_size, level, until).await
    };
    let (range_receipt, reached): (Option<log_pb::RangeReceipt>, Level) = match reached {
        None => (None, Level::Index),
        Some((head, level)) => {
            let proof = range_receipt_of(audit.logs().reads(), &log, &head, leaves).await;
            receipts::of_committed(proof, level)
        }
    };
    Ok(pb::RecordEventsResponse {
        results: results.into_iter().map(result).collect(),
        tree_size: tree_size.get(),
        receipt_reached: convert::level_message(reached),
        range_receipt,
    })
}
