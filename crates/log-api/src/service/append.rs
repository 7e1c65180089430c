//! Appending one entry or many, and fetching a receipt later.

use std::collections::BTreeMap;

use log_proto::log_v1 as pb;
use merkle::{Hash, LeafIndex};
use serve::principal::Principal;
use serve::refusal::Refusal;
use tonic::Request;

use super::convert;

use super::{Service, answer};
use crate::logs::{scope, single};
use crate::receipts::{self, Level, Until};
use crate::refusal::{self, IntoRefusal};
use log_core::{CALL_ENTRIES_MAX, Committed, EntryOutcome, Log, Submission};

pub(super) async fn append(
    service: &Service,
    request: Request<pb::AppendRequest>,
) -> Result<pb::AppendResponse, Refusal> {
    let wait = request.get_ref().receipt_wait;
    let until = service.until(&request, wait)?;
    let scope = scope(&Principal::of(request.extensions()));
    let pb::AppendRequest { log, entry, receipt, receipt_wait: _ } = request.into_inner();
    let level = convert::level(receipt)?;
    let log = service.log(&log)?;
    receipts::check(&log, level)?;
    let entry = convert::entry(entry.unwrap_or_default(), scope);
    let submission = Submission::single(entry.data, entry.dedup);
    let committed = log.append(submission).await.map_err(IntoRefusal::into_refusal)?;
    service.logs().metrics().appended();
    let (index, leaf, duplicate) = single(&committed)?;
    let reached = receipts::reach_committed(&log, committed.tree_size, level, until).await;
    let (tlog_proof, level) = match reached {
        Some((head, level)) => {
            receipts::of_committed(service.tlog_proof(&log, &head, index).await, level)
        }
        None => (None, Level::Index),
    };
    Ok(pb::AppendResponse {
        leaf_index: index.get(),
        leaf_hash: convert::hash_bytes(&leaf),
        tree_size: committed.tree_size.get(),
        duplicate,
        receipt_reached: convert::level_message(level),
        tlog_proof: tlog_proof.unwrap_or_default(),
    })
}

pub(super) async fn append_batch(
    service: &Service,
    request: Request<pb::AppendBatchRequest>,
) -> Result<pb::AppendBatchResponse, Refusal> {
    let wait = request.get_ref().receipt_wait;
    let until = service.until(&request, wait)?;
    let scope = scope(&Principal::of(request.extensions()));
    let pb::AppendBatchRequest { log, entries, receipt, receipt_wait: _ } = request.into_inner();
    let level = convert::level(receipt)?;
    let log = service.log(&log)?;
    receipts::check(&log, level)?;
    let entries = entries.into_iter().map(|entry| convert::entry(entry, scope)).collect();
    let submission = Submission { entries, producer: None };
    let committed = log.append(submission).await.map_err(IntoRefusal::into_refusal)?;
    service.logs().metrics().appended();
    let results = committed.outcomes.iter().map(result).collect::<Result<Vec<_>, _>>()?;
    let (range_receipt, reached) = batch_receipt(service, &log, &committed, level, until).await;
    let mut answer = pb::AppendBatchResponse {
        results,
        tree_size: committed.tree_size.get(),
        receipt_reached: convert::level_message(reached),
        range_receipt,
    };
    if !answer::fits(&answer) {
        // Duplicates that lie far apart in a large tree have a long proof. The entries are
        // committed, so the answer gives their indexes, and the caller can ask for receipts by
        // index.
        answer.range_receipt = None;
        answer.receipt_reached = convert::level_message(Level::Index);
    }
    Ok(answer)
}

fn result(outcome: &EntryOutcome) -> Result<pb::AppendResult, Refusal> {
    match outcome {
        EntryOutcome::Appended { index, leaf_hash: _, duplicate } => {
            Ok(convert::appended(*index, *duplicate))
        }
        EntryOutcome::Refused(refusal) => Ok(convert::refused(refusal)),
        // The log skips only entries of a producer's stream.
        EntryOutcome::Skipped => Err(Refusal::internal()),
    }
}

/// The receipt of a batch at the level reached in time. A batch without an appended entry has none.
async fn batch_receipt(
    service: &Service,
    log: &Log,
    committed: &Committed,
    level: Level,
    until: Until<'_>,
) -> (Option<pb::RangeReceipt>, Level) {
    if level == Level::Index {
        return (None, Level::Index);
    }
    let leaves: BTreeMap<LeafIndex, Hash> =
        committed.outcomes.iter().filter_map(appended_leaf).collect();
    if leaves.is_empty() {
        return (None, Level::Index);
    }
    let reached = receipts::reach_committed(log, committed.tree_size, level, until).await;
    let Some((head, level)) = reached else {
        return (None, Level::Index);
    };
    let leaves = leaves.into_iter().collect();
    receipts::of_committed(service.range_receipt(log, &head, leaves).await, level)
}

fn appended_leaf(outcome: &EntryOutcome) -> Option<(LeafIndex, Hash)> {
    match outcome {
        EntryOutcome::Appended { index, leaf_hash, duplicate: _ } => Some((*index, *leaf_hash)),
        EntryOutcome::Skipped | EntryOutcome::Refused(_) => None,
    }
}

pub(super) async fn get_receipt(
    service: &Service,
    request: Request<pb::GetReceiptRequest>,
) -> Result<pb::GetReceiptResponse, Refusal> {
    let wait = request.get_ref().receipt_wait;
    let until = service.until(&request, wait)?;
    let pb::GetReceiptRequest { log, range, receipt, receipt_wait: _ } = request.into_inner();
    let level = convert::level(receipt)?;
    let log = service.log(&log)?;
    let range = convert::range(range)?;
    let count = range.end.get().saturating_sub(range.start.get());
    if count == 0 || usize::try_from(count).is_ok_and(|count| count > CALL_ENTRIES_MAX) {
        return Err(refusal::bad_range("range", "1 to 10,000 indexes"));
    }
    let committed = log.tree().head.size;
    if range.end > committed {
        return Err(refusal::beyond_size("range.end", range.end.get(), committed.get()));
    }
    receipts::check(&log, level)?;
    let reached = receipts::reach(&log, range.end, level, until).await?;
    let range_receipt = match &reached {
        Some((head, _)) => Some(service.stored_range_receipt(&log, head, &range).await?),
        None => None,
    };
    let receipt_reached = convert::level_message(receipts::level_of(&reached));
    Ok(pb::GetReceiptResponse { receipt_reached, range_receipt })
}
