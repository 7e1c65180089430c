//! A log's queue, bounded in entries and bytes. A full queue refuses at once.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use merkle::Hash;
use tokio::sync::oneshot;

use crate::error::{AppendError, EntryRefusal};
use crate::types::{Committed, CommittedLeaves, Limits, ProducerSpan, TreeView};
use storage::{ContentDigest, DedupId, EraseTarget, ProducerId, ProducerRow, Row, StoredEntry};

/// How long a caller should wait when the queue is full: about as long as a full queue takes to drain.
const FULL_RETRY_AFTER: Duration = Duration::from_millis(50);

pub(super) type Answer<T> = oneshot::Sender<Result<T, AppendError>>;

/// An entry that passed admission.
#[derive(Debug)]
pub(super) struct PreparedEntry {
    pub(super) entry: StoredEntry,
    pub(super) leaf: Hash,
    /// Its row in the deduplication index, if it has a key.
    pub(super) dedup: Option<DedupId>,
    /// The digest that goes into that row.
    pub(super) digest: Option<ContentDigest>,
}

/// A call that passed admission.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) entries: Vec<Result<PreparedEntry, EntryRefusal>>,
    pub(super) bytes: usize,
    pub(super) producer: Option<ProducerSpan>,
    pub(super) answer: Answer<Committed>,
}

/// A leaf that passed admission. Its hash comes with its time.
#[derive(Debug)]
pub(super) struct PreparedLeaf {
    pub(super) entry: StoredEntry,
    /// Its row in the deduplication index, if its event is known by a key.
    pub(super) once: Option<(DedupId, ContentDigest)>,
    /// What its commit erases, because the leaf states that.
    pub(super) erases: Vec<EraseTarget>,
}

/// A call of leaves that passed admission.
#[derive(Debug)]
pub(super) struct StampedCall {
    pub(super) leaves: Vec<Result<PreparedLeaf, EntryRefusal>>,
    pub(super) bytes: usize,
    pub(super) answer: Answer<CommittedLeaves>,
}

/// What waits for the committer, in the order it is done.
#[derive(Debug)]
pub(super) enum Ticket {
    Append(Call),
    AppendStamped(StampedCall),
    /// Reads a producer's row behind everything queued before.
    OpenProducer {
        id: ProducerId,
        answer: Answer<Option<ProducerRow>>,
    },
    /// Commits rows without entries; without rows it only waits for everything queued before.
    Rows {
        rows: Vec<Row>,
        answer: Answer<Arc<TreeView>>,
    },
}

impl Ticket {
    /// Entries and bytes as the queue counts them. A row counts as one entry.
    fn weight(&self) -> (usize, usize) {
        match self {
            Self::Append(call) => (call.entries.len(), call.bytes),
            Self::AppendStamped(call) => (call.leaves.len(), call.bytes),
            Self::OpenProducer { .. } => (1, 0),
            Self::Rows { rows, .. } => (rows.len(), 0),
        }
    }

    /// The caller has gone; nothing needs to be done for it.
    fn is_cancelled(&self) -> bool {
        match self {
            Self::Append(call) => call.answer.is_closed(),
            Self::AppendStamped(call) => call.answer.is_closed(),
            Self::OpenProducer { answer, .. } => answer.is_closed(),
            // Rows are the server's own and are written even if nobody waits.
            Self::Rows { .. } => false,
        }
    }

    /// Answers that nothing was done.
    pub(super) fn refuse(self, error: AppendError) {
        // A send fails only if the caller has gone, and then nobody needs the answer.
        match self {
            Self::Append(call) => drop(call.answer.send(Err(error))),
            Self::AppendStamped(call) => drop(call.answer.send(Err(error))),
            Self::OpenProducer { answer, .. } => drop(answer.send(Err(error))),
            Self::Rows { answer, .. } => drop(answer.send(Err(error))),
        }
    }
}

/// Which tickets a queue takes.
#[derive(Debug, Clone)]
enum Intake {
    Open,
    /// No appends: the log is being frozen or the server stops. The server's own rows pass.
    RowsOnly(AppendError),
    Closed(AppendError),
}

#[derive(Debug)]
pub(super) struct Queue {
    /// Callers push, the committer drains.
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    tickets: VecDeque<Ticket>,
    entries: usize,
    bytes: usize,
    /// The committer knows that there are tickets.
    listed: bool,
    intake: Intake,
}

/// Whether the committer must be told of the queue, because the queue was empty as far as it knows.
#[must_use]
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Pushed {
    MustList,
    Listed,
}

impl Queue {
    pub(super) fn new() -> Self {
        Self {
            inner: Mutex::new(Inner {
                tickets: VecDeque::new(),
                entries: 0,
                bytes: 0,
                listed: false,
                intake: Intake::Open,
            }),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a ticket, or says at once why not.
    pub(super) fn push(&self, ticket: Ticket, limits: &Limits) -> Result<Pushed, AppendError> {
        let mut inner = self.lock();
        let own = matches!(ticket, Ticket::Rows { .. });
        match &inner.intake {
            Intake::Open => {}
            Intake::RowsOnly(_) if own => {}
            Intake::RowsOnly(error) | Intake::Closed(error) => return Err(error.clone()),
        }
        let (entries, bytes) = ticket.weight();
        let full = inner.entries + entries > limits.queue_entries_max
            || inner.bytes + bytes > limits.queue_bytes_max;
        if full && !own {
            return Err(AppendError::QueueFull { retry_after: FULL_RETRY_AFTER });
        }
        inner.entries += entries;
        inner.bytes += bytes;
        inner.tickets.push_back(ticket);
        let was_listed = std::mem::replace(&mut inner.listed, true);
        Ok(if was_listed { Pushed::Listed } else { Pushed::MustList })
    }

    /// Takes whole tickets from the front: as many as fit, and at least one. Cancelled ones are
    /// dropped. The second value says that more are waiting. If none are, the queue must be listed
    /// again when the next ticket comes.
    pub(super) fn drain(&self, entries_max: usize, bytes_max: usize) -> (Vec<Ticket>, bool) {
        let mut inner = self.lock();
        let (mut entries, mut bytes) = (0, 0);
        let mut drained = Vec::with_capacity(inner.tickets.len());
        while let Some(next) = inner.tickets.front() {
            let (next_entries, next_bytes) = next.weight();
            let fits = entries + next_entries <= entries_max && bytes + next_bytes <= bytes_max;
            if !fits && !drained.is_empty() {
                break;
            }
            let ticket = inner.tickets.pop_front().expect("the front was there");
            inner.entries -= next_entries;
            inner.bytes -= next_bytes;
            if !ticket.is_cancelled() {
                entries += next_entries;
                bytes += next_bytes;
                drained.push(ticket);
            }
        }
        inner.listed = !inner.tickets.is_empty();
        (drained, inner.listed)
    }

    /// Refuses appends from now on. Everything accepted before is in the queue.
    pub(super) fn refuse_appends(&self, error: AppendError) {
        let mut inner = self.lock();
        if matches!(inner.intake, Intake::Open) {
            inner.intake = Intake::RowsOnly(error);
        }
    }

    /// Accepts appends again, after a freeze that was not committed.
    pub(super) fn accept_appends(&self) {
        let mut inner = self.lock();
        if matches!(inner.intake, Intake::RowsOnly(_)) {
            inner.intake = Intake::Open;
        }
    }

    /// Refuses everything from now on, and everything that waits.
    pub(super) fn close(&self, error: &AppendError) {
        let tickets = {
            let mut inner = self.lock();
            inner.intake = Intake::Closed(error.clone());
            inner.entries = 0;
            inner.bytes = 0;
            std::mem::take(&mut inner.tickets)
        };
        for ticket in tickets {
            ticket.refuse(error.clone());
        }
    }

    /// Entries and bytes that wait.
    pub(super) fn depth(&self) -> (usize, usize) {
        let inner = self.lock();
        (inner.entries, inner.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(
        entries: usize,
        bytes: usize,
    ) -> (Ticket, oneshot::Receiver<Result<Committed, AppendError>>) {
        let (answer, answered) = oneshot::channel();
        let entries = (0..entries).map(|_| Err(EntryRefusal::Empty)).collect();
        (Ticket::Append(Call { entries, bytes, producer: None, answer }), answered)
    }

    fn limits(entries: usize, bytes: usize) -> Limits {
        Limits { queue_entries_max: entries, queue_bytes_max: bytes, ..crate::testing::limits() }
    }

    #[test]
    fn full_by_entries_and_by_bytes_at_the_limit_and_one_beyond() {
        for (entries, bytes) in [(3, 0), (1, 30)] {
            let (queue, limits) = (Queue::new(), limits(3, 30));
            let (fits, _keep) = call(entries, bytes);
            assert_eq!(queue.push(fits, &limits).unwrap(), Pushed::MustList);
            let (over, _keep_too) = call(usize::from(entries == 3), usize::from(entries == 1));
            let error = queue.push(over, &limits).unwrap_err();
            assert!(matches!(error, AppendError::QueueFull { .. }), "{error}");
        }
    }

    #[test]
    fn drains_whole_calls_up_to_the_limits_and_at_least_one() {
        let (queue, limits) = (Queue::new(), limits(100, 100));
        let kept: Vec<_> = [(5, 10), (5, 10), (1, 1)]
            .map(|(entries, bytes)| {
                let (ticket, answered) = call(entries, bytes);
                drop(queue.push(ticket, &limits).unwrap());
                answered
            })
            .into();
        assert_eq!(queue.drain(4, 100).0.len(), 1);
        assert_eq!(queue.drain(100, 10).0.len(), 1);
        let (last, more) = queue.drain(100, 100);
        assert_eq!((last.len(), more), (1, false));
        assert_eq!(queue.depth(), (0, 0));
        drop(kept);
    }

    #[test]
    fn cancelled_calls_are_dropped_when_drained() {
        let queue = Queue::new();
        let (ticket, answered) = call(1, 1);
        drop(queue.push(ticket, &limits(9, 9)).unwrap());
        drop(answered);
        assert_eq!(queue.drain(9, 9).0.len(), 0);
        assert_eq!(queue.depth(), (0, 0));
    }

    #[test]
    fn closing_refuses_what_waits_and_what_comes() {
        let queue = Queue::new();
        let (ticket, mut answered) = call(1, 1);
        drop(queue.push(ticket, &limits(9, 9)).unwrap());
        queue.refuse_appends(AppendError::Frozen);
        let (late, _keep) = call(1, 1);
        assert!(matches!(queue.push(late, &limits(9, 9)), Err(AppendError::Frozen)));
        queue.close(&AppendError::ShuttingDown);
        assert!(matches!(answered.try_recv(), Ok(Err(AppendError::ShuttingDown))));
    }
}
