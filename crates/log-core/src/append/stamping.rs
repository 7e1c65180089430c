//! Leaves of audit events: the log writes into each the time at which it takes it.
//!
//! That time is given together with the index, so a leaf is hashed when it is planned. Of an event the
//! log knows a key and a digest, which it only compares.

use merkle::leaf_hash;
use storage::{
    ContentDigest, DedupId, DedupKey, DedupRow, EraseTarget, Erasure, Row, Scope, StoredEntry,
    check_attachments, stamp,
};
use tokio::sync::oneshot;

use super::Append;
use super::admission::check_count;
use super::plan::{Batch, Reply};
use super::queue::{PreparedLeaf, StampedCall, Ticket};
use crate::error::{AppendError, EntryRefusal};
use crate::types::{
    CALL_BYTES_MAX, CommittedLeaves, ENTRY_BYTES_MAX, NewLeaf, Once, Repeats, StampedLeaf,
};

impl Append {
    /// Queues the leaves of a call and waits until it is durable.
    pub(crate) async fn append_stamped(
        &self,
        leaves: Vec<NewLeaf>,
    ) -> Result<CommittedLeaves, AppendError> {
        check_count(leaves.len())?;
        let bytes = leaves.iter().map(NewLeaf::bytes).sum();
        self.queue_leaves(leaves.into_iter().map(|new| prepare(new, Vec::new())), bytes).await
    }

    /// As [`Self::append_stamped`], with a leaf that states an erasure: its commit erases.
    pub(crate) async fn append_erasing(
        &self,
        leaf: NewLeaf,
        erases: Vec<EraseTarget>,
    ) -> Result<CommittedLeaves, AppendError> {
        let bytes = leaf.bytes();
        self.queue_leaves(std::iter::once(prepare(leaf, erases)), bytes).await
    }

    async fn queue_leaves(
        &self,
        leaves: impl Iterator<Item = Result<PreparedLeaf, EntryRefusal>>,
        bytes: usize,
    ) -> Result<CommittedLeaves, AppendError> {
        self.may_append_stamped()?;
        if bytes > CALL_BYTES_MAX {
            return Err(AppendError::TooManyBytes { bytes });
        }
        let leaves = leaves.collect();
        let (answer, answered) = oneshot::channel();
        self.submit(Ticket::AppendStamped(StampedCall { leaves, bytes, answer }))?;
        // The committer answers every ticket. It drops one only when the process ends.
        answered.await.unwrap_or(Err(AppendError::OutcomeUnknown))
    }
}

fn prepare(new: NewLeaf, erases: Vec<EraseTarget>) -> Result<PreparedLeaf, EntryRefusal> {
    let bytes = new.leaf.len();
    if bytes > ENTRY_BYTES_MAX {
        return Err(EntryRefusal::TooLarge { bytes });
    }
    match stamp::time_ns(&new.leaf) {
        None => return Err(EntryRefusal::NoRoomForTime { bytes }),
        Some(0) => {}
        Some(_) => return Err(EntryRefusal::TimeGiven),
    }
    check_attachments(&new.attachments)?;
    let NewLeaf { leaf: data, once, attachments } = new;
    // The keys of events are the log's own, whoever sends them.
    let key = |once: &Once| DedupKey { scope: Scope::ANONYMOUS, key: once.key.to_vec().into() };
    let dedup = once.as_ref().map(key);
    let once = dedup.as_ref().zip(once).map(|(key, once)| (key.id(), once.digest));
    Ok(PreparedLeaf { entry: StoredEntry { dedup, data, attachments }, once, erases })
}

impl Batch {
    pub(super) fn take_stamped_call(&mut self, call: StampedCall) -> Reply {
        let StampedCall { leaves, answer, .. } = call;
        let outcomes = leaves.into_iter().map(|leaf| Ok(self.take_leaf(leaf?))).collect();
        let committed = CommittedLeaves { outcomes, tree_size: self.start() };
        Reply::AppendStamped(answer, committed)
    }

    fn take_leaf(&mut self, leaf: PreparedLeaf) -> StampedLeaf {
        let PreparedLeaf { mut entry, once, erases } = leaf;
        if let Some((id, digest)) = &once
            && let Some(first) = self.first(id, digest)
        {
            return first;
        }
        let time_ns = self.stamp_ns;
        let stamped = stamp::with_time_ns(&entry.data, time_ns);
        entry.data = stamped.expect("admission refuses a leaf that is too short").into();
        let leaf_hash = leaf_hash(&entry.data);
        let index = self.push(entry, leaf_hash);
        self.stamped = true;
        if let Some((id, digest)) = once {
            let (time_ns, digest) = (Some(time_ns), Some(digest));
            self.add_key(id, DedupRow { index, leaf: leaf_hash, time_ns, digest });
        }
        if !erases.is_empty() {
            self.rows.push(Row::Erasure(Erasure { by: index, time_ns, targets: erases }));
        }
        StampedLeaf { index, leaf_hash, time_ns, repeats: Repeats::No }
    }

    /// The first event with this key, if the log or the batch has one.
    fn first(&self, id: &DedupId, digest: &ContentDigest) -> Option<StampedLeaf> {
        let row = *self.lookups.dedup.get(id)?;
        let DedupRow { index, leaf: leaf_hash, time_ns, digest: first } = row;
        let time_ns = time_ns.expect("a row of an event without its time refuses the look-up");
        let repeats = match first {
            None => Repeats::Unknown,
            Some(first) if first == *digest => Repeats::Same,
            Some(_) => Repeats::Other,
        };
        Some(StampedLeaf { index, leaf_hash, time_ns, repeats })
    }
}
