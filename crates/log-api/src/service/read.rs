//! Checkpoints, proofs and look-ups that have one answer.

use std::sync::Arc;

use base::tasks;
use bytes::Bytes;
use log_proto::log_v1 as pb;
use log_proto::log_v1::get_inclusion_proof_request::Entry as InclusionOf;
use log_proto::log_v1::lookup_entry_request::By;
use merkle::{Hash, LeafIndex, TreeSize};
use serve::principal::Principal;
use serve::refusal::Refusal;

use super::{Service, answer, convert};
use crate::logs::scope;
use crate::receipts;
use crate::refusal::{self, IntoRefusal};
use log_core::read::{ReadError, Reads, Snapshot};
use log_core::{CALL_ENTRIES_MAX, DEDUP_KEY_BYTES_MAX, Log, SignedHead};
use storage::DedupKey;

pub(super) fn get_checkpoint(
    service: &Service,
    request: pb::GetCheckpointRequest,
) -> Result<pb::GetCheckpointResponse, Refusal> {
    let pb::GetCheckpointRequest { log } = request;
    Ok(convert::published(&service.log(&log)?.published()))
}

pub(super) async fn list_checkpoints(
    service: &Service,
    request: pb::ListCheckpointsRequest,
) -> Result<pb::ListCheckpointsResponse, Refusal> {
    let pb::ListCheckpointsRequest { log, from_size, page_size, page_token } = request;
    let id = service.log(&log)?.id();
    let from_size = convert::size("from_size", from_size)?;
    let limit = convert::page_size(page_size)?;
    let after = convert::archive_position(&page_token)?;
    let engine = Arc::clone(service.logs().reads().engine());
    let read = move || engine.checkpoints(id, from_size, after, limit + 1);
    let found = tasks::blocking(read).await.map_err(IntoRefusal::into_refusal)?;
    let (checkpoints, more) = answer::page(&found, limit, convert::archived);
    let last = found[..checkpoints.len()].last();
    let last = last.map(|last| convert::archive_token(last.position()));
    let next_page_token = last.filter(|_| more).unwrap_or_default();
    Ok(pb::ListCheckpointsResponse { checkpoints, next_page_token })
}

/// The head that a proof is made against: the newest signed one, or one that covers what was asked for.
/// The note is part of the answer only if the caller did not name a size.
async fn head_for(
    log: &Log,
    asked: TreeSize,
    field: &'static str,
    at_least: TreeSize,
) -> Result<(Arc<SignedHead>, TreeSize, Bytes), Refusal> {
    if asked == TreeSize::ZERO {
        let committed = log.tree().head.size;
        if at_least > committed {
            let index = at_least.get().saturating_sub(1);
            return Err(refusal::beyond_size("leaf_index", index, committed.get()));
        }
        let head = receipts::covering(log, "leaf_index", at_least).await?;
        let (size, note) = (head.size(), head.note.clone());
        return Ok((head, size, note));
    }
    Ok((receipts::covering(log, field, asked).await?, asked, Bytes::new()))
}

async fn run<T: Send + 'static>(
    service: &Service,
    log: &Log,
    head: &SignedHead,
    read: impl Fn(&Snapshot, log_core::read::Access) -> Result<T, ReadError> + Send + 'static,
) -> Result<T, Refusal> {
    let snapshot = service.snapshot(log, head)?;
    Reads::run(&snapshot, read).await.map_err(IntoRefusal::into_refusal)
}

pub(super) async fn inclusion(
    service: &Service,
    request: pb::GetInclusionProofRequest,
) -> Result<pb::GetInclusionProofResponse, Refusal> {
    let pb::GetInclusionProofRequest { log, entry, tree_size } = request;
    let log = service.log(&log)?;
    let wanted = convert::size("tree_size", tree_size)?;
    let index = match entry {
        Some(InclusionOf::LeafIndex(index)) => convert::index("leaf_index", index)?,
        Some(InclusionOf::LeafHash(hash)) => {
            let hash = convert::hash("leaf_hash", &hash)?;
            find_leaf(service, &log, hash).await?
        }
        None => return Err(refusal::bad_field("entry", "a leaf index or a leaf hash")),
    };
    let (head, size, note) = head_for(&log, wanted, "tree_size", index.size_through()).await?;
    let read = move |tree: &Snapshot, access| tree.inclusion(index, size, access);
    let proof = run(service, &log, &head, read).await?;
    Ok(pb::GetInclusionProofResponse {
        leaf_index: proof.index.get(),
        leaf_hash: convert::hash_bytes(&proof.leaf),
        tree_size: proof.size.get(),
        hashes: convert::hashes(&proof.hashes),
        checkpoint: note,
    })
}

pub(super) async fn consistency(
    service: &Service,
    request: pb::GetConsistencyProofRequest,
) -> Result<pb::GetConsistencyProofResponse, Refusal> {
    let pb::GetConsistencyProofRequest { log, from_size, to_size } = request;
    let log = service.log(&log)?;
    let from = convert::size("from_size", from_size)?;
    let wanted = convert::size("to_size", to_size)?;
    let (head, to, checkpoint) = if wanted == TreeSize::ZERO {
        let head = receipts::covering(&log, "from_size", from).await?;
        let (size, note) = (head.size(), head.note.clone());
        (head, size, note)
    } else {
        (receipts::covering(&log, "to_size", wanted).await?, wanted, Bytes::new())
    };
    let read = move |tree: &Snapshot, access| tree.consistency(from, to, access);
    let hashes = run(service, &log, &head, read).await?;
    Ok(pb::GetConsistencyProofResponse {
        from_size: from.get(),
        to_size: to.get(),
        hashes: convert::hashes(&hashes),
        checkpoint,
    })
}

pub(super) async fn batch_inclusion(
    service: &Service,
    request: pb::GetBatchInclusionProofRequest,
) -> Result<pb::GetBatchInclusionProofResponse, Refusal> {
    let pb::GetBatchInclusionProofRequest { log, leaf_indexes, tree_size } = request;
    let log = service.log(&log)?;
    if leaf_indexes.is_empty() || leaf_indexes.len() > CALL_ENTRIES_MAX {
        return Err(refusal::bad_range("leaf_indexes", "1 to 10,000 indexes"));
    }
    let wanted = convert::size("tree_size", tree_size)?;
    let of = |index: &u64| convert::index("leaf_indexes", *index);
    let indexes = leaf_indexes.iter().map(of).collect::<Result<Vec<_>, _>>()?;
    let last = indexes.iter().copied().max().map_or(TreeSize::ZERO, LeafIndex::size_through);
    let (head, size, note) = head_for(&log, wanted, "tree_size", last).await?;
    let read = move |tree: &Snapshot, access| tree.batch_inclusion(&indexes, size, access);
    let proof = run(service, &log, &head, read).await?;
    let answer = pb::GetBatchInclusionProofResponse {
        tree_size: proof.size.get(),
        leaf_hashes: convert::hashes(&proof.leaves),
        hashes: convert::concatenated(&proof.hashes),
        checkpoint: note,
    };
    // Indexes that lie far apart in a large tree have long proofs.
    answer::fitting(answer, "leaf_indexes")
}

pub(super) async fn lookup(
    service: &Service,
    who: &Principal,
    request: pb::LookupEntryRequest,
) -> Result<pb::LookupEntryResponse, Refusal> {
    let pb::LookupEntryRequest { log, by } = request;
    let log = service.log(&log)?;
    let (index, leaf) = match by {
        Some(By::LeafHash(hash)) => {
            let hash = convert::hash("leaf_hash", &hash)?;
            (find_leaf(service, &log, hash).await?, hash)
        }
        Some(By::DedupKey(key)) => {
            find_key(service, &log, DedupKey { scope: scope(who), key }).await?
        }
        None => return Err(refusal::bad_field("by", "a leaf hash or a deduplication key")),
    };
    Ok(pb::LookupEntryResponse { leaf_index: index.get(), leaf_hash: convert::hash_bytes(&leaf) })
}

/// Looks in the committed tree, so an acknowledged entry is always found, signed or not.
async fn find_leaf(service: &Service, log: &Log, leaf: Hash) -> Result<LeafIndex, Refusal> {
    let snapshot = committed(service, log)?;
    let found = Reads::run(&snapshot, move |tree, access| tree.find_leaf(&leaf, access)).await;
    found.map_err(IntoRefusal::into_refusal)?.ok_or_else(refusal::entry_not_found)
}

async fn find_key(
    service: &Service,
    log: &Log,
    key: DedupKey,
) -> Result<(LeafIndex, Hash), Refusal> {
    if !(1..=DEDUP_KEY_BYTES_MAX).contains(&key.key.len()) {
        return Err(refusal::bad_field("dedup_key", "1 to 64 bytes"));
    }
    let id = key.id();
    let snapshot = committed(service, log)?;
    let found = Reads::run(&snapshot, move |tree, access| tree.find_key(&id, access)).await;
    found.map_err(IntoRefusal::into_refusal)?.ok_or_else(refusal::entry_not_found)
}

fn committed(service: &Service, log: &Log) -> Result<Arc<Snapshot>, Refusal> {
    service.logs().reads().committed(log.id(), log.tree()).map_err(IntoRefusal::into_refusal)
}
