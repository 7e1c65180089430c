//! Between the messages of the API and the types of this crate. Everything that comes in is checked
//! here, once: lengths of hashes, bounds of indexes and sizes, missing fields.
//!
//! Every message is taken apart field by field, so that a field added to the API breaks this file
//! until someone decides what becomes of it.

use std::{ops::Range, time::Duration};

use bytes::Bytes;
use log_proto::log_v1 as proto;
use merkle::{Hash, LeafIndex, TreeSize};
use prost::Message as _;

use crate::{
    error::AnswerError,
    types::{
        AppendAnswer, BatchAnswer, BatchInclusionProof, ConsistencyProof, EntryOutcome, EntryRange,
        EntryRefusal, Found, InclusionProof, LogInfo, LogKind, LogState, NewEntry, Published,
        RangeReceipt, ReceiptAnswer, ReceiptLevel, WatchEvent,
    },
};

type Answer<T> = Result<T, AnswerError>;

impl RangeReceipt {
    /// The receipt as an encoded `cairn.log.v1.RangeReceipt`, to keep in a file.
    pub fn encode(&self) -> Vec<u8> {
        proto::RangeReceipt {
            checkpoint: self.checkpoint.clone(),
            indexes: self
                .indexes
                .iter()
                .map(|range| proto::IndexRange { start: range.start, end: range.end })
                .collect(),
            hashes: concat(&self.hashes),
        }
        .encode_to_vec()
    }

    /// Reads what [`RangeReceipt::encode`] gives. `Missing` if the bytes are no such message.
    pub fn decode(bytes: &[u8]) -> Result<Self, AnswerError> {
        let message = proto::RangeReceipt::decode(bytes)
            .map_err(|_| AnswerError::Missing { field: "range_receipt" })?;
        range_receipt(message)
    }
}

pub(crate) fn entry(new: NewEntry) -> proto::Entry {
    proto::Entry { data: new.data, dedup_key: new.dedup_key }
}

pub(crate) fn level(level: ReceiptLevel) -> i32 {
    match level {
        ReceiptLevel::Index => proto::Receipt::Index.into(),
        ReceiptLevel::Signed => proto::Receipt::Signed.into(),
        ReceiptLevel::Witnessed => proto::Receipt::Witnessed.into(),
    }
}

/// Waits beyond what a duration message holds mean "as long as the server allows" just as well.
pub(crate) fn wait(wait: Option<Duration>) -> Option<prost_types::Duration> {
    wait.and_then(|wait| prost_types::Duration::try_from(wait).ok())
}

pub(crate) fn index(field: &'static str, value: u64) -> Answer<LeafIndex> {
    LeafIndex::new(value).map_err(|_| AnswerError::OutOfRange { field, value })
}

pub(crate) fn size(field: &'static str, value: u64) -> Answer<TreeSize> {
    TreeSize::new(value).map_err(|_| AnswerError::OutOfRange { field, value })
}

pub(crate) fn hash(field: &'static str, bytes: &[u8]) -> Answer<Hash> {
    Hash::try_from(bytes).map_err(|_| AnswerError::HashLength { field, len: bytes.len() })
}

fn hash_list(field: &'static str, list: &[Bytes]) -> Answer<Vec<Hash>> {
    list.iter().map(|bytes| hash(field, bytes)).collect()
}

fn hashes(field: &'static str, bytes: &[u8]) -> Answer<Vec<Hash>> {
    if !bytes.len().is_multiple_of(Hash::LEN) {
        return Err(AnswerError::HashLength { field, len: bytes.len() });
    }
    bytes.chunks_exact(Hash::LEN).map(|chunk| hash(field, chunk)).collect()
}

fn concat(hashes: &[Hash]) -> Bytes {
    let mut bytes = Vec::with_capacity(hashes.len() * Hash::LEN);
    for hash in hashes {
        bytes.extend_from_slice(hash.as_bytes());
    }
    bytes.into()
}

pub(crate) fn reached(value: i32) -> Answer<ReceiptLevel> {
    match proto::Receipt::try_from(value) {
        Ok(proto::Receipt::Unspecified | proto::Receipt::Index) => Ok(ReceiptLevel::Index),
        Ok(proto::Receipt::Signed) => Ok(ReceiptLevel::Signed),
        Ok(proto::Receipt::Witnessed) => Ok(ReceiptLevel::Witnessed),
        Err(_) => Err(AnswerError::UnknownValue { field: "receipt_reached", value }),
    }
}

pub(crate) fn optional(bytes: Bytes) -> Option<Bytes> {
    (!bytes.is_empty()).then_some(bytes)
}

/// A level above `INDEX` must come with what proves it.
pub(crate) fn proven<T>(
    reached: ReceiptLevel,
    proof: Option<T>,
    field: &'static str,
) -> Answer<Option<T>> {
    if reached > ReceiptLevel::Index && proof.is_none() {
        return Err(AnswerError::Missing { field });
    }
    Ok(proof)
}

pub(crate) fn appended(message: proto::AppendResponse, leaf: &Hash) -> Answer<AppendAnswer> {
    let proto::AppendResponse {
        leaf_index,
        leaf_hash,
        tree_size,
        duplicate,
        receipt_reached,
        tlog_proof,
    } = message;
    let answer = AppendAnswer {
        index: index("leaf_index", leaf_index)?,
        leaf_hash: hash("leaf_hash", &leaf_hash)?,
        tree_size: size("tree_size", tree_size)?,
        duplicate,
        reached: reached(receipt_reached)?,
        tlog_proof: optional(tlog_proof),
    };
    if answer.leaf_hash != *leaf {
        return Err(AnswerError::LeafHash);
    }
    covers(answer.tree_size, answer.index)?;
    proven(answer.reached, answer.tlog_proof.as_ref(), "tlog_proof")?;
    Ok(answer)
}

pub(crate) fn covers(size: TreeSize, index: LeafIndex) -> Answer<()> {
    if size.contains(index) {
        return Ok(());
    }
    Err(AnswerError::OutOfRange { field: "leaf_index", value: index.get() })
}

pub(crate) fn batch(message: proto::AppendBatchResponse, sent: usize) -> Answer<BatchAnswer> {
    let proto::AppendBatchResponse { results, tree_size, receipt_reached, range_receipt } = message;
    if results.len() != sent {
        let found = results.len();
        return Err(AnswerError::Count { field: "results", expected: sent, found });
    }
    let tree_size = size("tree_size", tree_size)?;
    let outcomes: Vec<EntryOutcome> =
        results.into_iter().map(|result| outcome(result, tree_size)).collect::<Answer<_>>()?;
    let reached = reached(receipt_reached)?;
    let receipt = range_receipt.map(self::range_receipt).transpose()?;
    if outcomes.iter().any(|outcome| matches!(outcome, EntryOutcome::Appended { .. })) {
        proven(reached, receipt.as_ref(), "range_receipt")?;
    }
    Ok(BatchAnswer { outcomes, tree_size, reached, receipt })
}

fn outcome(message: proto::AppendResult, tree_size: TreeSize) -> Answer<EntryOutcome> {
    let proto::AppendResult { result } = message;
    match result.ok_or(AnswerError::Missing { field: "result" })? {
        proto::append_result::Result::Appended(proto::Appended { leaf_index, duplicate }) => {
            let index = index("leaf_index", leaf_index)?;
            covers(tree_size, index)?;
            Ok(EntryOutcome::Appended { index, duplicate })
        }
        proto::append_result::Result::Refused(proto::Refused { code: _, reason, message }) => {
            let reason =
                proto::ErrorReason::try_from(reason).unwrap_or(proto::ErrorReason::Unspecified);
            Ok(EntryOutcome::Refused(EntryRefusal { reason, message }))
        }
    }
}

pub(crate) fn range_receipt(message: proto::RangeReceipt) -> Answer<RangeReceipt> {
    let proto::RangeReceipt { checkpoint, indexes, hashes } = message;
    let mut ranges: Vec<Range<u64>> = Vec::with_capacity(indexes.len());
    for proto::IndexRange { start, end } in indexes {
        let follows = ranges.last().is_none_or(|last| last.end <= start);
        if start >= end || !follows {
            return Err(AnswerError::Range { start, end });
        }
        size("indexes", end)?;
        ranges.push(start..end);
    }
    if ranges.is_empty() {
        return Err(AnswerError::Missing { field: "indexes" });
    }
    Ok(RangeReceipt {
        checkpoint: optional(checkpoint).ok_or(AnswerError::Missing { field: "checkpoint" })?,
        indexes: ranges,
        hashes: self::hashes("hashes", &hashes)?,
    })
}

pub(crate) fn receipt(message: proto::GetReceiptResponse) -> Answer<ReceiptAnswer> {
    let proto::GetReceiptResponse { receipt_reached, range_receipt } = message;
    let reached = reached(receipt_reached)?;
    let receipt = range_receipt.map(self::range_receipt).transpose()?;
    Ok(ReceiptAnswer { reached, receipt: proven(reached, receipt, "range_receipt")? })
}

pub(crate) fn published(message: proto::GetCheckpointResponse) -> Answer<Published> {
    let proto::GetCheckpointResponse { checkpoint, published_at, witnessed } = message;
    Ok(Published {
        checkpoint: optional(checkpoint).ok_or(AnswerError::Missing { field: "checkpoint" })?,
        published_ms: published_at.and_then(unix_ms),
        witnessed,
    })
}

fn unix_ms(time: prost_types::Timestamp) -> Option<u64> {
    let seconds = u64::try_from(time.seconds).ok()?;
    let millis = u64::try_from(time.nanos / 1_000_000).ok()?;
    seconds.checked_mul(1000)?.checked_add(millis)
}

pub(crate) fn inclusion(message: proto::GetInclusionProofResponse) -> Answer<InclusionProof> {
    let proto::GetInclusionProofResponse { leaf_index, leaf_hash, tree_size, hashes, checkpoint } =
        message;
    Ok(InclusionProof {
        index: index("leaf_index", leaf_index)?,
        leaf_hash: hash("leaf_hash", &leaf_hash)?,
        tree_size: size("tree_size", tree_size)?,
        hashes: hash_list("hashes", &hashes)?,
        checkpoint: optional(checkpoint),
    })
}

pub(crate) fn consistency(message: proto::GetConsistencyProofResponse) -> Answer<ConsistencyProof> {
    let proto::GetConsistencyProofResponse { from_size, to_size, hashes, checkpoint } = message;
    Ok(ConsistencyProof {
        from: size("from_size", from_size)?,
        to: size("to_size", to_size)?,
        hashes: hash_list("hashes", &hashes)?,
        checkpoint: optional(checkpoint),
    })
}

pub(crate) fn batch_inclusion(
    message: proto::GetBatchInclusionProofResponse,
) -> Answer<BatchInclusionProof> {
    let proto::GetBatchInclusionProofResponse { tree_size, leaf_hashes, hashes, checkpoint } =
        message;
    Ok(BatchInclusionProof {
        tree_size: size("tree_size", tree_size)?,
        leaf_hashes: hash_list("leaf_hashes", &leaf_hashes)?,
        hashes: self::hashes("hashes", &hashes)?,
        checkpoint: optional(checkpoint),
    })
}

pub(crate) fn entry_range(message: proto::EntryRange) -> Answer<EntryRange> {
    let proto::EntryRange { first_index, entries } = message;
    Ok(EntryRange { first: index("first_index", first_index)?, entries, receipt: None })
}

pub(crate) fn entries(message: proto::GetEntriesResponse) -> Answer<EntryRange> {
    let proto::GetEntriesResponse { entries, range_receipt } = message;
    let range = entry_range(entries.ok_or(AnswerError::Missing { field: "entries" })?)?;
    let receipt = range_receipt.map(self::range_receipt).transpose()?;
    Ok(EntryRange { receipt, ..range })
}

pub(crate) fn watch(message: proto::WatchCheckpointsResponse) -> Answer<WatchEvent> {
    use proto::watch_checkpoints_response::{Message, NewCheckpoint};
    let proto::WatchCheckpointsResponse { message } = message;
    match message.ok_or(AnswerError::Missing { field: "message" })? {
        Message::Entries(range) => entry_range(range).map(WatchEvent::Entries),
        Message::Checkpoint(NewCheckpoint { checkpoint, from_size, consistency }) => {
            Ok(WatchEvent::Checkpoint {
                checkpoint: optional(checkpoint)
                    .ok_or(AnswerError::Missing { field: "checkpoint" })?,
                from: size("from_size", from_size)?,
                consistency: hash_list("consistency", &consistency)?,
            })
        }
    }
}

pub(crate) fn found(message: proto::LookupEntryResponse) -> Answer<Found> {
    let proto::LookupEntryResponse { leaf_index, leaf_hash } = message;
    Ok(Found { index: index("leaf_index", leaf_index)?, leaf_hash: hash("leaf_hash", &leaf_hash)? })
}

pub(crate) fn log(message: Option<proto::Log>) -> Answer<LogInfo> {
    let proto::Log {
        name,
        origin,
        state,
        vkeys,
        tree_size,
        root_hash,
        checkpoint,
        deduplicate_entries,
        created_at,
        kind,
    } = message.ok_or(AnswerError::Missing { field: "log" })?;
    Ok(LogInfo {
        name,
        origin,
        kind: log_kind(kind)?,
        state: log_state(state)?,
        vkeys,
        tree_size: size("tree_size", tree_size)?,
        root: hash("root_hash", &root_hash)?,
        checkpoint,
        deduplicate_entries,
        created_ms: created_at.and_then(unix_ms),
    })
}

pub(crate) fn wanted_kind(kind: LogKind) -> i32 {
    match kind {
        LogKind::Plain => proto::LogKind::Plain.into(),
        LogKind::Audit => proto::LogKind::Audit.into(),
    }
}

/// A server from before there were audit logs says nothing of the kind.
fn log_kind(value: i32) -> Answer<LogKind> {
    match proto::LogKind::try_from(value) {
        Ok(proto::LogKind::Unspecified | proto::LogKind::Plain) => Ok(LogKind::Plain),
        Ok(proto::LogKind::Audit) => Ok(LogKind::Audit),
        Err(_) => Err(AnswerError::UnknownValue { field: "kind", value }),
    }
}

fn log_state(value: i32) -> Answer<LogState> {
    match proto::LogState::try_from(value) {
        Ok(proto::LogState::Active) => Ok(LogState::Active),
        Ok(proto::LogState::Draining) => Ok(LogState::Draining),
        Ok(proto::LogState::Frozen) => Ok(LogState::Frozen),
        Ok(proto::LogState::Retired) => Ok(LogState::Retired),
        Ok(proto::LogState::ReadOnly) => Ok(LogState::ReadOnly),
        Ok(proto::LogState::Unspecified) | Err(_) => {
            Err(AnswerError::UnknownValue { field: "state", value })
        }
    }
}
