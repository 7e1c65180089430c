//! Waiting for a receipt level, and making the receipt of what was reached.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use checkpoint::{SignedCheckpoint, TlogProof};
use log_proto::log_v1 as pb;
use merkle::{Hash, LeafIndex, TreeSize};
use node::middleware::deadline::Deadline;
use tokio::time::{Instant, timeout_at};
use tonic::{Request, Status};

use super::convert::{self, Level};
use super::status::{self, IntoStatus};
use super::{Service, ServiceOptions};
use crate::log::read::{Reads, Snapshot};
use crate::log::{Log, SignedHead};

/// Taken off a call's deadline, so that an answer with less still arrives in time.
const DEADLINE_MARGIN: Duration = Duration::from_millis(50);

/// Until when a call waits for its receipt.
#[derive(Clone, Copy, Debug)]
pub(super) struct Until {
    wait: Duration,
    deadline: Option<Instant>,
}

impl Until {
    /// What the request asks for, bounded by the server's settings and the call's deadline.
    pub(super) fn of<T>(
        request: &Request<T>,
        wait: Option<prost_types::Duration>,
        options: &ServiceOptions,
    ) -> Result<Self, Status> {
        let wait = convert::receipt_wait(wait)?.unwrap_or(options.receipt_wait_default);
        let deadline = request.extensions().get::<Deadline>().map(|deadline| deadline.0);
        Ok(Self { wait: wait.min(options.receipt_wait_max), deadline })
    }

    /// The moment, counted from now.
    fn instant(self) -> Instant {
        let end = Instant::now() + self.wait;
        let deadline = self.deadline.map(|at| at.checked_sub(DEADLINE_MARGIN).unwrap_or(at));
        deadline.map_or(end, |deadline| deadline.min(end))
    }
}

/// Refuses at once what this log can never reach.
pub(super) async fn check(log: &Log, level: Level) -> Result<(), Status> {
    if level == Level::Witnessed {
        let probe = log.witnessed_covering(TreeSize::ZERO, Duration::ZERO).await;
        drop(probe.map_err(IntoStatus::into_status)?);
    }
    Ok(())
}

/// Waits until a signed head covers `size`, or until the call's time is up: then `None`, and the answer
/// carries the level below.
pub(super) async fn signed(
    log: &Log,
    size: TreeSize,
    level: Level,
    until: Until,
) -> Result<Option<Arc<SignedHead>>, Status> {
    if level == Level::Index {
        return Ok(None);
    }
    let head = log.signed();
    if head.size() >= size {
        return Ok(Some(head));
    }
    match timeout_at(until.instant(), log.sign_covering(size)).await {
        Ok(head) => head.map(Some).map_err(IntoStatus::into_status),
        Err(_) => Ok(None),
    }
}

/// A signed head of at least `size`; where `size` is committed and not yet signed, one is signed now.
pub(super) async fn covering(
    log: &Log,
    field: &'static str,
    size: TreeSize,
) -> Result<Arc<SignedHead>, Status> {
    let head = log.signed();
    if head.size() >= size {
        return Ok(head);
    }
    let committed = log.tree().head.size;
    if committed < size {
        return Err(status::beyond_size(field, size.get(), committed.get()));
    }
    log.sign_covering(size).await.map_err(IntoStatus::into_status)
}

impl Service {
    /// The tree of a signed head.
    pub(super) fn snapshot(&self, log: &Log, head: &SignedHead) -> Result<Arc<Snapshot>, Status> {
        self.shared.reads.signed(log.id(), head).map_err(IntoStatus::into_status)
    }

    /// The receipt of one entry: the bytes of a c2sp.org/tlog-proof.
    pub(super) async fn tlog_proof(
        &self,
        log: &Log,
        head: &SignedHead,
        index: LeafIndex,
    ) -> Result<Bytes, Status> {
        let (snapshot, size) = (self.snapshot(log, head)?, head.size());
        let read = move |tree: &Snapshot, access| tree.inclusion(index, size, access);
        let proof = Reads::run(&snapshot, read).await.map_err(IntoStatus::into_status)?;
        let checkpoint = SignedCheckpoint::parse(&head.note).map_err(|error| {
            tracing::error!(%error, log = %log.name(), "a signed head does not parse");
            status::internal()
        })?;
        let proof = TlogProof::new(index, proof.hashes, checkpoint).map_err(|error| {
            tracing::error!(%error, log = %log.name(), "a receipt cannot be made");
            status::internal()
        })?;
        Ok(proof.format().into())
    }

    /// The receipt of many entries whose leaf hashes are at hand; `leaves` ascending and each once.
    pub(super) async fn range_receipt(
        &self,
        log: &Log,
        head: &SignedHead,
        leaves: Vec<(LeafIndex, Hash)>,
    ) -> Result<pb::RangeReceipt, Status> {
        let snapshot = self.snapshot(log, head)?;
        let (indexes, leaves): (Vec<LeafIndex>, Vec<Hash>) = leaves.into_iter().unzip();
        let ranges = convert::index_ranges(&indexes);
        let read = move |tree: &Snapshot, access| tree.prove_leaves(&indexes, &leaves, access);
        let hashes = Reads::run(&snapshot, read).await.map_err(IntoStatus::into_status)?;
        Ok(range_receipt(head, ranges, &hashes))
    }

    /// The receipt of a range, its leaf hashes read from the tree.
    pub(super) async fn stored_range_receipt(
        &self,
        log: &Log,
        head: &SignedHead,
        range: &Range<TreeSize>,
    ) -> Result<pb::RangeReceipt, Status> {
        let (snapshot, size) = (self.snapshot(log, head)?, head.size());
        let indexes = convert::indexes(range)?;
        let ranges = convert::index_ranges(&indexes);
        let read = move |tree: &Snapshot, access| tree.batch_inclusion(&indexes, size, access);
        let proof = Reads::run(&snapshot, read).await.map_err(IntoStatus::into_status)?;
        Ok(range_receipt(head, ranges, &proof.hashes))
    }
}

pub(super) fn range_receipt(
    head: &SignedHead,
    indexes: Vec<pb::IndexRange>,
    hashes: &[Hash],
) -> pb::RangeReceipt {
    let hashes = convert::concatenated(hashes);
    pb::RangeReceipt { checkpoint: head.note.clone(), indexes, hashes }
}
