//! Appending: from a call to its answer.
//!
//! Other rooms hold an [`Append`] for each log. The committer alone drains the queues, writes and
//! replaces the trees. The crate's documentation shows the way of a call.

mod admission;
mod gate;
mod line;
mod queue;

mod committer;
mod linger;
mod plan;
mod resolve;
mod sequencer;

mod producers;
mod stamping;

pub(crate) use committer::Committer;
pub(crate) use gate::Gate;
pub(crate) use line::{Line, LineParts};
pub use producers::ProducerLease;

use std::sync::Arc;

use base::secret::Secret;
use storage::{LogKind, LogRecord, LogState, Row};
use tokio::sync::oneshot;

use crate::error::AppendError;
use crate::health::Surroundings;
use crate::inbox::Inbox;
use crate::types::{Limits, TreeView};
use crate::watch::Watch;
use queue::{Pushed, Ticket};

/// How the committer hears of logs whose queues are not empty. Each log is in it once.
pub(crate) type CommitterInbox = Inbox<Arc<Line>>;

/// The appending of one log. Cloning it is cheap.
#[derive(Clone, Debug)]
pub(crate) struct Append {
    line: Arc<Line>,
    inbox: Arc<CommitterInbox>,
    /// Written by the witnesses.
    gate: Arc<Gate>,
    limits: Arc<Limits>,
    around: Arc<Surroundings>,
    read_only: bool,
}

impl Append {
    pub(crate) fn new(
        line: Arc<Line>,
        inbox: Arc<CommitterInbox>,
        gate: Arc<Gate>,
        limits: Arc<Limits>,
        around: Arc<Surroundings>,
        read_only: bool,
    ) -> Self {
        Self { line, inbox, gate, limits, around, read_only }
    }

    /// The log's row as it was opened; for its state see [`Self::state`].
    pub(crate) fn record(&self) -> &Arc<LogRecord> {
        &self.line.record
    }

    pub(crate) fn state(&self) -> LogState {
        self.line.state()
    }

    /// Nothing is written in this process.
    pub(crate) fn is_read_only(&self) -> bool {
        self.read_only
    }

    /// The committed tree.
    pub(crate) fn tree(&self) -> &Arc<Watch<TreeView>> {
        &self.line.tree
    }

    /// Entries and entry bytes that wait.
    pub(crate) fn queued(&self) -> (usize, usize) {
        self.line.queue.depth()
    }

    /// Whether entries of any bytes may be queued now.
    fn may_append_plain(&self) -> Result<(), AppendError> {
        match self.line.record.kind {
            LogKind::Plain => self.may_append(),
            LogKind::Audit => Err(AppendError::EventsOnly),
        }
    }

    /// Whether leaves of events may be queued now.
    fn may_append_stamped(&self) -> Result<(), AppendError> {
        match self.line.record.kind {
            LogKind::Plain => Err(AppendError::EntriesOnly),
            LogKind::Audit => {
                self.may_append()?;
                self.secret().map(drop).ok_or(AppendError::AuditSecretMissing)
            }
        }
    }

    /// The secret of an audit log, unless it is missing or another one is there.
    pub(crate) fn secret(&self) -> Option<&Secret> {
        self.line.secret.as_deref()
    }

    /// Whether an append may be queued now.
    fn may_append(&self) -> Result<(), AppendError> {
        if self.read_only {
            return Err(AppendError::ReadOnly);
        }
        match self.state() {
            LogState::Active => {
                self.gate.check()?;
                self.around.health.disk.check()
            }
            LogState::Draining | LogState::Frozen => Err(AppendError::Frozen),
            LogState::Retired => Err(AppendError::Retired),
        }
    }

    /// Queues a ticket and wakes the committer.
    fn submit(&self, ticket: Ticket) -> Result<(), AppendError> {
        if !self.inbox.is_open() {
            return Err(AppendError::ShuttingDown);
        }
        let pushed = self.line.queue.push(ticket, &self.limits).inspect_err(|error| {
            if matches!(error, AppendError::QueueFull { .. }) {
                self.around.observer.queue_full(&self.line.record.name);
            }
        })?;
        if pushed == Pushed::MustList {
            let added = self.inbox.add(Arc::clone(&self.line));
            added.expect("each log is listed once, and the inbox has room for every log");
        }
        self.inbox.bell().ring();
        Ok(())
    }

    /// Commits rows behind everything queued before.
    pub(crate) async fn commit_rows(&self, rows: Vec<Row>) -> Result<Arc<TreeView>, AppendError> {
        let (answer, answered) = oneshot::channel();
        self.submit(Ticket::Rows { rows, answer })?;
        answered.await.unwrap_or(Err(AppendError::OutcomeUnknown))
    }

    /// A row that moves the log to another state; committed like any other.
    pub(crate) fn state_row(&self, state: LogState) -> Row {
        Row::Log(LogRecord { state, ..LogRecord::clone(&self.line.record) })
    }

    /// Refuses appends from now on. Everything accepted before is in the queue.
    pub(crate) fn refuse_appends(&self, error: AppendError) {
        self.line.queue.refuse_appends(error);
    }

    /// Accepts appends again, after a freeze that was not committed.
    pub(crate) fn accept_appends(&self) {
        self.line.queue.accept_appends();
    }

    /// Refuses everything from now on, and everything that waits.
    pub(crate) fn close(&self) {
        self.line.queue.close(&AppendError::ShuttingDown);
    }
}

#[cfg(test)]
mod tests;
