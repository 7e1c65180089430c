//! Plans a commit. In go the committed tree, the tickets and what the store said about them; out come the
//! entries, tiles and rows to write, the tree after them, and every reply. Pure: no I/O, no clock.

use std::sync::Arc;

use merkle::{Hash, LeafIndex, TreeSize};

use super::queue::{Answer, Call, PreparedEntry, Ticket};
use super::resolve::Lookups;
use crate::error::{AppendError, EntryRefusal};
use crate::types::{Committed, CommittedLeaves, EntryOutcome, ProducerSpan, TreeView};
use storage::{
    DedupId, DedupRow, LogCommit, LogId, ProducerId, ProducerRow, Row, StoredEntry, StoredHead,
};

const NS_OF_MS: u64 = 1_000_000;

/// What a plan starts from.
#[derive(Debug)]
pub(super) struct Base<'a> {
    pub(super) log: LogId,
    /// The committed tree; of size 0 if the log is being created.
    pub(super) view: &'a TreeView,
    /// The log has a head row.
    pub(super) exists: bool,
    /// The time of the new head: never before that of the last one.
    pub(super) time_ms: u64,
    /// The time of the newest leaf of an audit log, in nanoseconds.
    pub(super) newest_ns: u64,
}

/// A planned commit of one log.
#[derive(Debug)]
pub(super) struct Plan {
    /// What to write; `None` if every ticket can be answered from what is committed.
    pub(super) commit: Option<LogCommit>,
    /// The tree once it is written.
    pub(super) next: Arc<TreeView>,
    /// The time of the newest leaf of an audit log once it is written, in nanoseconds.
    pub(super) newest_ns: u64,
    pub(super) replies: Vec<Reply>,
    /// Bytes of the entries in the commit, and of their attachments.
    pub(super) bytes: usize,
    /// Calls that are answered.
    pub(super) calls: u64,
}

/// A reply that must not be given before the plan is durable.
#[derive(Debug)]
pub(super) enum Reply {
    Append(Answer<Committed>, Result<Committed, AppendError>),
    AppendStamped(Answer<CommittedLeaves>, CommittedLeaves),
    OpenProducer(Answer<Option<ProducerRow>>, Option<ProducerRow>),
    /// The tree once the rows are written.
    Rows(Answer<Arc<TreeView>>),
}

// A send fails only if the caller has gone, and then nobody needs the reply.
impl Reply {
    /// Answers as planned: `next`, the tree of the plan, is durable.
    pub(super) fn durable(self, next: &Arc<TreeView>) {
        match self {
            Self::Append(answer, result) => drop(answer.send(result)),
            Self::AppendStamped(answer, committed) => drop(answer.send(Ok(committed))),
            Self::OpenProducer(answer, row) => drop(answer.send(Ok(row))),
            Self::Rows(answer) => drop(answer.send(Ok(Arc::clone(next)))),
        }
    }

    /// Answers that the plan was not written, or that nobody knows whether it was.
    pub(super) fn refuse(self, error: AppendError) {
        match self {
            Self::Append(answer, _) => drop(answer.send(Err(error))),
            Self::AppendStamped(answer, _) => drop(answer.send(Err(error))),
            Self::OpenProducer(answer, _) => drop(answer.send(Err(error))),
            Self::Rows(answer) => drop(answer.send(Err(error))),
        }
    }
}

/// Plans `tickets` in their order.
pub(super) fn plan(base: &Base<'_>, tickets: Vec<Ticket>, lookups: Lookups) -> Plan {
    let time_ms = base.time_ms.max(base.view.head.time_ms);
    let stamp_ns = time_ms.saturating_mul(NS_OF_MS).max(base.newest_ns);
    let mut batch = Batch::new(base.view.head.size, stamp_ns, lookups);
    let replies: Vec<Reply> = tickets.into_iter().map(|ticket| batch.take(ticket)).collect();
    let calls = u64::try_from(replies.len()).unwrap_or(u64::MAX);
    let bytes = batch.entries.iter().map(StoredEntry::bytes).sum();
    let mut frontier = base.view.frontier.clone();
    let tiles = frontier.append(&batch.leaves);
    let writes = !batch.entries.is_empty() || !batch.rows.is_empty() || !batch.moved.is_empty();
    if !writes {
        let next = Arc::new(base.view.clone());
        let replies = finish(replies, base.view);
        return Plan { commit: None, next, newest_ns: base.newest_ns, replies, bytes, calls };
    }
    let head = StoredHead {
        size: frontier.size(),
        root: frontier.root(),
        time_ms,
        epoch: base.view.head.epoch,
    };
    let newest_ns = if batch.stamped { stamp_ns } else { base.newest_ns };
    let moved = batch.moved.iter().map(|id| Row::Producer(*id, batch.lookups.producers[id]));
    batch.rows.extend(moved);
    let commit = LogCommit {
        log: base.log,
        expected: base.exists.then_some(base.view.head),
        new: head,
        entries: batch.entries,
        tiles,
        rows: batch.rows,
    };
    let next = TreeView { head, frontier };
    let replies = finish(replies, &next);
    Plan { commit: Some(commit), next: Arc::new(next), newest_ns, replies, bytes, calls }
}

/// Fills in the size that covers every answer, known only at the end.
fn finish(mut replies: Vec<Reply>, next: &TreeView) -> Vec<Reply> {
    for reply in &mut replies {
        match reply {
            Reply::Append(_, Ok(committed)) => committed.tree_size = next.head.size,
            Reply::AppendStamped(_, committed) => committed.tree_size = next.head.size,
            Reply::Append(_, Err(_)) | Reply::OpenProducer(..) | Reply::Rows(_) => {}
        }
    }
    replies
}

/// The batch as it grows.
pub(super) struct Batch {
    /// Size of the committed tree.
    start: TreeSize,
    /// The time that leaves of events get, in nanoseconds.
    pub(super) stamp_ns: u64,
    /// A leaf has got it.
    pub(super) stamped: bool,
    /// What the store said, and what this batch adds to it.
    pub(super) lookups: Lookups,
    leaves: Vec<Hash>,
    entries: Vec<StoredEntry>,
    pub(super) rows: Vec<Row>,
    /// Producers whose row changes, each once.
    moved: Vec<ProducerId>,
}

impl Batch {
    fn new(start: TreeSize, stamp_ns: u64, lookups: Lookups) -> Self {
        Self {
            start,
            stamp_ns,
            stamped: false,
            lookups,
            leaves: Vec::new(),
            entries: Vec::new(),
            rows: Vec::new(),
            moved: Vec::new(),
        }
    }

    fn take(&mut self, ticket: Ticket) -> Reply {
        match ticket {
            Ticket::Append(call) => self.take_call(call),
            Ticket::AppendStamped(call) => self.take_stamped_call(call),
            Ticket::OpenProducer { id, answer } => {
                Reply::OpenProducer(answer, self.lookups.producers.get(&id).copied())
            }
            Ticket::Rows { rows, answer } => {
                self.rows.extend(rows);
                Reply::Rows(answer)
            }
        }
    }

    fn take_call(&mut self, call: Call) -> Reply {
        let Call { entries, producer, answer, .. } = call;
        let result = match producer {
            None => Ok(entries.into_iter().map(|entry| self.take_entry(entry)).collect()),
            Some(span) => self.take_span(span, entries),
        };
        let committed = |outcomes| Committed { outcomes, tree_size: self.start };
        Reply::Append(answer, result.map(committed))
    }

    fn take_entry(&mut self, entry: Result<PreparedEntry, EntryRefusal>) -> EntryOutcome {
        let PreparedEntry { entry, leaf: leaf_hash, dedup, digest } = match entry {
            Ok(entry) => entry,
            Err(refusal) => return EntryOutcome::Refused(refusal),
        };
        let first = dedup.and_then(|id| self.lookups.dedup.get(&id));
        if let Some(first @ &DedupRow { index, leaf: first_leaf, .. }) = first {
            return if first.is_same(&leaf_hash, digest.as_ref()) {
                EntryOutcome::Appended { index, leaf_hash: first_leaf, duplicate: true }
            } else {
                EntryOutcome::Refused(EntryRefusal::DedupKeyConflict { index })
            };
        }
        let index = self.push(entry, leaf_hash);
        if let Some(id) = dedup {
            self.add_key(id, DedupRow { index, leaf: leaf_hash, time_ns: None, digest });
        }
        EntryOutcome::Appended { index, leaf_hash, duplicate: false }
    }

    /// Adds an entry that the log does not have.
    pub(super) fn push(&mut self, entry: StoredEntry, leaf_hash: Hash) -> LeafIndex {
        let index = self.next_index();
        self.entries.push(entry);
        self.leaves.push(leaf_hash);
        index
    }

    pub(super) fn start(&self) -> TreeSize {
        self.start
    }

    fn next_index(&self) -> LeafIndex {
        let added = u64::try_from(self.leaves.len()).expect("a batch is far smaller than 2^64");
        let size = self.start.checked_add(added).and_then(TreeSize::next_index);
        size.expect("a log does not reach 2^63 entries")
    }

    pub(super) fn add_key(&mut self, id: DedupId, row: DedupRow) {
        self.lookups.dedup.insert(id, row);
        self.rows.push(Row::Dedup(id, row));
    }

    /// Entries of a producer's stream: all of them or none, because their sequences must have no
    /// gap.
    fn take_span(
        &mut self,
        span: ProducerSpan,
        entries: Vec<Result<PreparedEntry, EntryRefusal>>,
    ) -> Result<Vec<EntryOutcome>, AppendError> {
        let skipped = self.check_span(&span, entries.len())?;
        let marks = (self.leaves.len(), self.rows.len());
        let mut outcomes = Vec::with_capacity(entries.len());
        for (position, entry) in entries.into_iter().enumerate() {
            if position < skipped {
                outcomes.push(EntryOutcome::Skipped);
                continue;
            }
            let outcome = self.take_entry(entry);
            if let EntryOutcome::Refused(refusal) = outcome {
                self.undo_to(marks);
                return Err(AppendError::StreamEntryRefused { position, refusal });
            }
            outcomes.push(outcome);
        }
        self.move_producer(&span, &outcomes);
        Ok(outcomes)
    }

    /// How many entries at the front are committed already.
    fn check_span(&self, span: &ProducerSpan, entries: usize) -> Result<usize, AppendError> {
        if self.lookups.generations.get(&span.id) != Some(&span.generation) {
            return Err(AppendError::ProducerFenced);
        }
        let last = self.lookups.producers.get(&span.id).map_or(0, |row| row.last_sequence);
        let expected = last.saturating_add(1);
        if span.first_sequence == 0 || span.first_sequence > expected {
            return Err(AppendError::SequenceGap { expected, found: span.first_sequence });
        }
        let skipped = usize::try_from(expected - span.first_sequence).unwrap_or(usize::MAX);
        Ok(skipped.min(entries))
    }

    /// Takes back what a refused call has added.
    fn undo_to(&mut self, (leaves, rows): (usize, usize)) {
        self.leaves.truncate(leaves);
        self.entries.truncate(leaves);
        for row in self.rows.drain(rows..) {
            if let Row::Dedup(id, _) = row {
                self.lookups.dedup.remove(&id);
            }
        }
    }

    fn move_producer(&mut self, span: &ProducerSpan, outcomes: &[EntryOutcome]) {
        let Some(EntryOutcome::Appended { index, .. }) = outcomes.last() else { return };
        let count = u64::try_from(outcomes.len()).expect("a call is far smaller than 2^64");
        let last_sequence = span.first_sequence + (count - 1);
        let row = ProducerRow { last_sequence, last_index: *index };
        self.lookups.producers.insert(span.id, row);
        if !self.moved.contains(&span.id) {
            self.moved.push(span.id);
        }
    }
}
