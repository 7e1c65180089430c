//! Receipts as messages.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use log_proto::log_v1 as pb;
use merkle::{Hash, LeafIndex, TreeSize};
use serve::middleware::deadline::Deadline;
use serve::refusal::Refusal;
use tonic::Request;

use super::Service;
use super::convert;
use crate::receipts::{Until, tlog_proof};
use crate::refusal::IntoRefusal;
use log_core::read::{Reads, Snapshot};
use log_core::{Log, SignedHead};

impl Service {
    /// Until when a call waits for its receipt.
    pub(super) fn until<T>(
        &self,
        request: &Request<T>,
        wait: Option<prost_types::Duration>,
    ) -> Result<Until<'_>, Refusal> {
        let wait = convert::receipt_wait(wait)?;
        let deadline = request.extensions().get::<Deadline>().copied();
        Ok(Until::new(wait, deadline, self.shared.options.waits, self.clock()))
    }

    /// The tree of a signed head.
    pub(super) fn snapshot(&self, log: &Log, head: &SignedHead) -> Result<Arc<Snapshot>, Refusal> {
        self.logs().reads().signed(log.id(), head).map_err(IntoRefusal::into_refusal)
    }

    /// The receipt of one entry: the bytes of a c2sp.org/tlog-proof.
    pub(super) async fn tlog_proof(
        &self,
        log: &Log,
        head: &SignedHead,
        index: LeafIndex,
    ) -> Result<Bytes, Refusal> {
        tlog_proof(self.logs().reads(), log, head, index).await
    }

    /// The receipt of many entries whose leaf hashes are at hand; `leaves` ascending and each once.
    pub(super) async fn range_receipt(
        &self,
        log: &Log,
        head: &SignedHead,
        leaves: Vec<(LeafIndex, Hash)>,
    ) -> Result<pb::RangeReceipt, Refusal> {
        range_receipt_of(self.logs().reads(), log, head, leaves).await
    }

    /// The receipt of a range, its leaf hashes read from the tree.
    pub(super) async fn stored_range_receipt(
        &self,
        log: &Log,
        head: &SignedHead,
        range: &Range<TreeSize>,
    ) -> Result<pb::RangeReceipt, Refusal> {
        let (snapshot, size) = (self.snapshot(log, head)?, head.size());
        let indexes = convert::indexes(range)?;
        let ranges = convert::index_ranges(&indexes);
        let read = move |tree: &Snapshot, access| tree.batch_inclusion(&indexes, size, access);
        let proof = Reads::run(&snapshot, read).await.map_err(IntoRefusal::into_refusal)?;
        Ok(range_receipt(head, ranges, &proof.hashes))
    }
}

/// The receipt of many entries whose leaf hashes are at hand; `leaves` ascending and each once.
pub async fn range_receipt_of(
    reads: &Reads,
    log: &Log,
    head: &SignedHead,
    leaves: Vec<(LeafIndex, Hash)>,
) -> Result<pb::RangeReceipt, Refusal> {
    let snapshot = reads.signed(log.id(), head).map_err(IntoRefusal::into_refusal)?;
    let (indexes, leaves): (Vec<LeafIndex>, Vec<Hash>) = leaves.into_iter().unzip();
    let ranges = convert::index_ranges(&indexes);
    let read = move |tree: &Snapshot, access| tree.prove_leaves(&indexes, &leaves, access);
    let hashes = Reads::run(&snapshot, read).await.map_err(IntoRefusal::into_refusal)?;
    Ok(range_receipt(head, ranges, &hashes))
}

pub(super) fn range_receipt(
    head: &SignedHead,
    indexes: Vec<pb::IndexRange>,
    hashes: &[Hash],
) -> pb::RangeReceipt {
    let hashes = convert::concatenated(hashes);
    pb::RangeReceipt { checkpoint: head.note.clone(), indexes, hashes }
}
