//! Leaves of audit events: the log writes into each the time at which it takes it.
//!
//! That time is given together with the index, so a leaf is hashed when it is planned. Of an event the
//! log knows a key and a digest, which it only compares.

use merkle::{LeafIndex, leaf_hash};
use storage::keys::{corrupt, entry_key};
use storage::{
    ContentDigest, DedupId, DedupKey, DedupRow, Engine, Family, LogId, RowFault, Scope,
    StorageError, StoredEntry, check_attachments, stamp,
};
use tokio::sync::oneshot;

use super::Append;
use super::admission::check_count;
use super::plan::{Batch, Reply};
use super::queue::{PreparedLeaf, StampedCall, Ticket};
use super::resolve::Lookups;
use crate::error::{AppendError, EntryRefusal};
use crate::types::{
    CALL_BYTES_MAX, CommittedLeaves, ENTRY_BYTES_MAX, NewLeaf, Once, Repeats, StampedLeaf,
};

/// Bytes of entries read at a time.
const READ_BYTES_MAX: usize = 1024 * 1024;

impl Append {
    /// Queues the leaves of a call and waits until it is durable.
    pub(crate) async fn append_stamped(
        &self,
        leaves: Vec<NewLeaf>,
    ) -> Result<CommittedLeaves, AppendError> {
        self.may_append_stamped()?;
        check_count(leaves.len())?;
        let bytes = leaves.iter().map(NewLeaf::bytes).sum();
        if bytes > CALL_BYTES_MAX {
            return Err(AppendError::TooManyBytes { bytes });
        }
        let leaves = leaves.into_iter().map(prepare).collect();
        let (answer, answered) = oneshot::channel();
        self.submit(Ticket::AppendStamped(StampedCall { leaves, bytes, answer }))?;
        // The committer answers every ticket. It drops one only when the process ends.
        answered.await.unwrap_or(Err(AppendError::OutcomeUnknown))
    }
}

fn prepare(new: NewLeaf) -> Result<PreparedLeaf, EntryRefusal> {
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
    Ok(PreparedLeaf { entry: StoredEntry { dedup, data, attachments }, once })
}

/// Looks up the times of events that the log has already. A call that is sent again has them in a row,
/// which is one scan.
pub(super) fn resolve_times(
    engine: &dyn Engine,
    log: LogId,
    lookups: &mut Lookups,
) -> Result<(), StorageError> {
    let mut wanted: Vec<LeafIndex> = lookups.dedup.values().map(|row| row.index).collect();
    wanted.sort_unstable();
    wanted.dedup();
    let mut rest = &wanted[..];
    while let Some(&first) = rest.first() {
        let follows = |(index, next): &(u64, &LeafIndex)| *index == next.get();
        let run = (first.get()..).zip(rest).take_while(follows).count();
        let entries = engine.entries(log, first, run, READ_BYTES_MAX)?;
        if entries.is_empty() {
            return Err(damaged(log, first, RowFault::Missing));
        }
        for (index, entry) in rest.iter().zip(&entries) {
            let short = || damaged(log, *index, RowFault::Length { found: entry.data.len() });
            lookups.times.insert(*index, stamp::time_ns(&entry.data).ok_or_else(short)?);
        }
        rest = rest.get(entries.len()..).unwrap_or_default();
    }
    Ok(())
}

fn damaged(log: LogId, index: LeafIndex, fault: RowFault) -> StorageError {
    corrupt(Family::Entries, &entry_key(log, index), fault).into()
}

impl Batch {
    pub(super) fn take_stamped_call(&mut self, call: StampedCall) -> Reply {
        let StampedCall { leaves, answer, .. } = call;
        let outcomes = leaves.into_iter().map(|leaf| Ok(self.take_leaf(leaf?))).collect();
        let committed = CommittedLeaves { outcomes, tree_size: self.start() };
        Reply::AppendStamped(answer, committed)
    }

    fn take_leaf(&mut self, leaf: PreparedLeaf) -> StampedLeaf {
        let PreparedLeaf { mut entry, once } = leaf;
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
            self.add_key(id, DedupRow { index, leaf: leaf_hash, digest: Some(digest) });
            self.lookups.times.insert(index, time_ns);
        }
        StampedLeaf { index, leaf_hash, time_ns, repeats: Repeats::No }
    }

    /// The first event with this key, if the log or the batch has one.
    fn first(&self, id: &DedupId, digest: &ContentDigest) -> Option<StampedLeaf> {
        let DedupRow { index, leaf: leaf_hash, digest: first } = *self.lookups.dedup.get(id)?;
        let time_ns = self.lookups.times.get(&index);
        let time_ns = *time_ns.expect("the time of every event that was found is looked up");
        let repeats = match first {
            None => Repeats::Unknown,
            Some(first) if first == *digest => Repeats::Same,
            Some(_) => Repeats::Other,
        };
        Some(StampedLeaf { index, leaf_hash, time_ns, repeats })
    }
}
