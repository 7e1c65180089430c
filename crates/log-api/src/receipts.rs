//! Waiting for a receipt level, and making the receipt of what was reached.

use std::sync::Arc;
use std::time::Duration;

use base::clock::Clock;
use bytes::Bytes;
use formats::TlogProof;
use merkle::{LeafIndex, TreeSize};
use serve::middleware::deadline::Deadline;
use serve::refusal::Refusal;

use crate::refusal::{self, IntoRefusal};
use log_core::read::{Reads, Snapshot};
use log_core::{Log, SignedHead, WitnessError};

/// We answer this long before a call's deadline, so that an answer of a lower level still arrives
/// in time.
const DEADLINE_MARGIN: Duration = Duration::from_millis(50);

/// How long calls wait for receipts.
#[derive(Clone, Copy, Debug)]
pub struct Waits {
    /// If they do not say.
    pub default: Duration,
    /// At most.
    pub max: Duration,
}

/// The receipt levels, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// The event is durable and its place final.
    Index,
    /// A signed head covers it.
    Signed,
    /// A head with the cosignatures of the log's policy covers it.
    Witnessed,
}

/// Until when a call waits for its receipt.
#[derive(Clone, Copy, Debug)]
pub struct Until<'a> {
    clock: &'a dyn Clock,
    wait: Duration,
    /// By the clock's monotonic time, as all moments here.
    deadline: Option<Duration>,
}

impl<'a> Until<'a> {
    /// The wait that a caller asks for, bounded by the server's settings and the call's deadline.
    pub fn new(
        wait: Option<Duration>,
        deadline: Option<Deadline>,
        waits: Waits,
        clock: &'a dyn Clock,
    ) -> Self {
        let wait = wait.unwrap_or(waits.default).min(waits.max);
        Self { clock, wait, deadline: deadline.map(|deadline| deadline.0) }
    }

    /// The moment, counted from now.
    fn moment(self) -> Duration {
        let end = self.clock.monotonic().saturating_add(self.wait);
        let deadline = self.deadline.map(|at| at.saturating_sub(DEADLINE_MARGIN));
        deadline.map_or(end, |deadline| deadline.min(end))
    }
}

/// Refuses a level at once that this log can never reach.
pub fn check(log: &Log, level: Level) -> Result<(), Refusal> {
    if level == Level::Witnessed && !log.has_witness_policy() {
        return Err(WitnessError::NoWitnessPolicy.into_refusal());
    }
    Ok(())
}

/// The head that a receipt is made against, and the level it is of.
pub type Reached = Option<(Arc<SignedHead>, Level)>;

/// The level that an answer carries.
pub fn level_of(reached: &Reached) -> Level {
    reached.as_ref().map_or(Level::Index, |(_, level)| *level)
}

/// Waits until `level` is reached for `size`, or until the call's time is up: then the answer carries the
/// level below, and `None` is an index alone.
pub async fn reach(
    log: &Log,
    size: TreeSize,
    level: Level,
    until: Until<'_>,
) -> Result<Reached, Refusal> {
    let (clock, moment) = (until.clock, until.moment());
    match level {
        Level::Index => Ok(None),
        Level::Signed => {
            let head = signed(log, size, clock, moment).await?;
            Ok(head.map(|head| (head, Level::Signed)))
        }
        Level::Witnessed => witnessed(log, size, clock, moment).await,
    }
}

/// As [`reach`], for entries that this call has committed. Where no head can be signed any more the answer
/// carries the level below too: a refusal would say that the entries may not be committed.
pub async fn reach_committed(log: &Log, size: TreeSize, level: Level, until: Until<'_>) -> Reached {
    reach(log, size, level, until).await.unwrap_or_else(|_| {
        // The signing thread has logged why.
        let head = log.signed();
        (head.size() >= size).then_some((head, Level::Signed))
    })
}

/// The receipt of entries that this call has committed, with the level that the answer carries: the index
/// alone if the receipt cannot be made.
pub fn of_committed<T>(receipt: Result<T, Refusal>, level: Level) -> (Option<T>, Level) {
    match receipt {
        Ok(receipt) => (Some(receipt), level),
        Err(refusal) => {
            tracing::error!(%refusal, "no receipt can be made of entries that are committed");
            (None, Level::Index)
        }
    }
}

async fn signed(
    log: &Log,
    size: TreeSize,
    clock: &dyn Clock,
    until: Duration,
) -> Result<Option<Arc<SignedHead>>, Refusal> {
    let head = log.signed();
    if head.size() >= size {
        return Ok(Some(head));
    }
    match clock.timeout_at(until, log.sign_covering(size)).await {
        Ok(head) => head.map(Some).map_err(IntoRefusal::into_refusal),
        Err(_) => Ok(None),
    }
}

async fn witnessed(
    log: &Log,
    size: TreeSize,
    clock: &dyn Clock,
    until: Duration,
) -> Result<Reached, Refusal> {
    // We also sign a head that covers `size`: the round under way may be about an earlier head.
    let witnessed = clock.timeout_at(until, log.witnessed_covering(size));
    let (head, witnessed) = tokio::join!(signed(log, size, clock, until), witnessed);
    match witnessed {
        Ok(Ok(head)) => return Ok(Some((head, Level::Witnessed))),
        Ok(Err(error @ (WitnessError::NoWitnessPolicy | WitnessError::ShuttingDown))) => {
            return Err(error.into_refusal());
        }
        // Out of time, or nobody to wait for.
        Ok(Err(WitnessError::QuorumLost)) | Err(_) => {}
    }
    Ok(head?.map(|head| (head, Level::Signed)))
}

/// The head that a stream's receipt is made against. Waits for it as long as the stream lasts.
pub async fn reach_on_stream(
    log: &Log,
    size: TreeSize,
    level: Level,
) -> Result<Arc<SignedHead>, Refusal> {
    if level < Level::Witnessed {
        return log.sign_covering(size).await.map_err(IntoRefusal::into_refusal);
    }
    loop {
        match log.witnessed_covering(size).await {
            Ok(head) => return Ok(head),
            Err(WitnessError::QuorumLost) => log.quorum_found().await,
            Err(error) => return Err(error.into_refusal()),
        }
    }
}

/// A signed head of at least `size`. If `size` is committed and not yet signed, a head is signed
/// now.
pub async fn covering(
    log: &Log,
    field: &'static str,
    size: TreeSize,
) -> Result<Arc<SignedHead>, Refusal> {
    let head = log.signed();
    if head.size() >= size {
        return Ok(head);
    }
    let committed = log.tree().head.size;
    if committed < size {
        return Err(refusal::beyond_size(field, size.get(), committed.get()));
    }
    log.sign_covering(size).await.map_err(IntoRefusal::into_refusal)
}

/// The receipt of one entry: the bytes of a c2sp.org/tlog-proof.
pub async fn tlog_proof(
    reads: &Reads,
    log: &Log,
    head: &SignedHead,
    index: LeafIndex,
) -> Result<Bytes, Refusal> {
    let snapshot = reads.signed(log.id(), head).map_err(IntoRefusal::into_refusal)?;
    let size = head.size();
    let read = move |tree: &Snapshot, access| tree.inclusion(index, size, access);
    let proof = Reads::run(&snapshot, read).await.map_err(IntoRefusal::into_refusal)?;
    Ok(TlogProof::format_under(index, &proof.hashes, &head.note).into())
}
