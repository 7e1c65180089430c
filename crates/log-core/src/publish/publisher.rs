//! The publisher: one task for each log, asleep unless there is a new head.
//!
//! It is the only writer of the published checkpoint and of the archive, so freezing a log and the end
//! of the server pass through it too.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use merkle::TreeSize;
use tokio::sync::{Notify, oneshot};

use crate::append::committer::state_row;
use crate::append::queue::Ticket;
use crate::error::{AppendError, FreezeError, SignError};
use crate::invariants::{Invariant, check};
use crate::life::state::LogShared;
use crate::sign::signing::{sign_newest, sign_with_all_keys};
use crate::types::{Published, TreeView};
use storage::{ArchivedCheckpoint, LogState, Row, StoredHead};

/// How long the publisher waits after it could not sign: the reasons do not pass quickly.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Where more entries than this come between two checkpoints, many callers share the next one, and
/// signing must leave the cores to them.
const FEW_ENTRIES: u64 = 16;
/// Then signing takes at most one part in this many of one core.
const SIGNING_SHARE: u32 = 12;
/// However slow signing is, a checkpoint is not older than this for its sake.
const PACE_MAX: Duration = Duration::from_millis(50);

/// What the publisher can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    /// Publish and archive the newest head now.
    Now,
    /// Drain the queue, publish the final checkpoint and freeze the log.
    Freeze,
    /// Drain the queue, publish and archive, and end.
    Stop,
}

type Answer = oneshot::Sender<Result<Arc<Published>, FreezeError>>;

/// How the publisher hears of work.
#[derive(Debug)]
pub(crate) struct PublisherInbox {
    wake: Notify,
    /// Callers push, the publisher takes.
    wishes: Mutex<Vec<(Wish, Answer)>>,
}

impl PublisherInbox {
    pub(crate) fn new() -> Self {
        Self { wake: Notify::new(), wishes: Mutex::new(Vec::new()) }
    }

    /// There is a new head.
    pub(crate) fn wake(&self) {
        self.wake.notify_one();
    }

    fn take(&self) -> Vec<(Wish, Answer)> {
        std::mem::take(&mut *self.wishes.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn has_wishes(&self) -> bool {
        !self.wishes.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }
}

/// Asks the publisher and waits for the checkpoint.
pub(crate) async fn ask(log: &Arc<LogShared>, wish: Wish) -> Result<Arc<Published>, FreezeError> {
    let (answer, answered) = oneshot::channel();
    log.publisher.wishes.lock().unwrap_or_else(PoisonError::into_inner).push((wish, answer));
    log.publisher.wake();
    answered.await.unwrap_or(Err(FreezeError::Sign(SignError::ShuttingDown)))
}

/// Freezes a log; see [`Log::freeze`](crate::Log::freeze).
pub(crate) async fn freeze(log: &Arc<LogShared>) -> Result<Arc<Published>, FreezeError> {
    if log.process.read_only {
        return Err(AppendError::ReadOnly.into());
    }
    match log.state() {
        LogState::Frozen => Ok(Arc::clone(&log.published.borrow())),
        LogState::Retired => Err(AppendError::Retired.into()),
        LogState::Active | LogState::Draining => ask(log, Wish::Freeze).await,
    }
}

/// What the publisher remembers.
#[derive(Debug)]
pub(crate) struct Publisher {
    log: Arc<LogShared>,
    /// When making the last checkpoint began, by the monotonic clock.
    started_at: Option<Duration>,
    /// When the last one was archived.
    archived_at: Option<Duration>,
    /// Its note is in the archive.
    archived: bool,
    /// The least time to the next one, by what signing the last one took.
    pace: Duration,
}

impl Publisher {
    /// `archived`: the log's published checkpoint is in the archive.
    pub(crate) fn new(log: Arc<LogShared>, archived: bool) -> Self {
        Self { log, started_at: None, archived_at: None, archived, pace: Duration::ZERO }
    }

    /// The task's body.
    pub(crate) async fn run(mut self) {
        loop {
            self.log.publisher.wake.notified().await;
            self.wake_witnesses();
            for (wish, answer) in self.log.publisher.take() {
                let result = self.fulfil(wish).await;
                // A send fails only if the caller has gone, and then nobody needs the answer.
                drop(answer.send(result));
                if wish == Wish::Stop {
                    self.log.witnessing.as_ref().inspect(|witnessing| witnessing.stop());
                    return;
                }
            }
            self.catch_up().await;
        }
    }

    /// Publishes until there is nothing new, or until somebody wishes for something.
    async fn catch_up(&mut self) {
        while self.is_behind() {
            if self.pause(self.until_due()).await {
                return;
            }
            if let Err(error) = self.publish().await {
                if error == SignError::ShuttingDown {
                    return;
                }
                tracing::warn!(log = %self.log.record.name, %error, "nothing was published");
                if self.pause(RETRY_AFTER).await {
                    return;
                }
            } else if self.archive_is_due() {
                self.archive_or_warn().await;
            }
        }
    }

    fn is_behind(&self) -> bool {
        if self.log.state() == LogState::Retired {
            return false;
        }
        let published = self.log.published.borrow();
        let committed = self.log.tree.load().head.size;
        match &self.log.witnessing {
            Some(witnessing) => witnessing.is_ahead(&published, committed),
            None => published.note.is_empty() || published.head.size < committed,
        }
    }

    /// What wakes this task wakes the one that asks the witnesses too.
    fn wake_witnesses(&self) {
        self.log.witnessing.as_ref().inspect(|witnessing| witnessing.wake());
    }

    fn until_due(&self) -> Duration {
        let now = self.log.process.clock.monotonic();
        let interval = self.log.process.limits.publish_interval_min.max(self.pace);
        self.started_at.map_or(Duration::ZERO, |at| (at + interval).saturating_sub(now))
    }

    /// Waits; true if somebody wishes for something meanwhile.
    async fn pause(&self, wait: Duration) -> bool {
        if wait.is_zero() {
            return self.log.publisher.has_wishes();
        }
        let mut sleep = self.log.process.clock.sleep(wait);
        loop {
            tokio::select! {
                () = &mut sleep => return self.log.publisher.has_wishes(),
                () = self.log.publisher.wake.notified() => {
                    self.wake_witnesses();
                    if self.log.publisher.has_wishes() {
                        self.log.publisher.wake();
                        return true;
                    }
                }
            }
        }
    }

    /// Publishes the newest head that may be.
    async fn publish(&mut self) -> Result<(), SignError> {
        let log = Arc::clone(&self.log);
        let started = log.process.clock.monotonic();
        let Some((note, head, witnessed)) = self.next().await? else { return Ok(()) };
        let covered = head.size <= log.tree.load().head.size;
        check(&*log.process.observer, covered, Invariant::NotAheadOfCommitted);
        let published_ms = log.process.clock.unix_ms();
        let published = Published { note, head, published_ms, witnessed };
        log.published.send_replace(Arc::new(published));
        log.process.observer.published(&log.record.name);
        self.started_at = Some(started);
        self.archived = false;
        Ok(())
    }

    /// The note and head to publish, and whether it is witnessed: with a policy the newest witnessed one,
    /// or the newest one where the policy lets it go without; otherwise the newest.
    async fn next(&mut self) -> Result<Option<(Bytes, StoredHead, bool)>, SignError> {
        let log = Arc::clone(&self.log);
        let Some(witnessing) = &log.witnessing else {
            return self.sign_all().await.map(|(note, head)| Some((note, head, false)));
        };
        if let Some(head) = witnessing.newer(&self.log.published.borrow()) {
            return Ok(Some((head.note.clone(), head.view.head, true)));
        }
        let (note, head) = self.sign_all().await?;
        if !witnessing.allows_unwitnessed(head.size) {
            return Ok(None);
        }
        if head.size > TreeSize::ZERO {
            witnessing.published_unwitnessed();
        }
        Ok(Some((note, head, false)))
    }

    /// The newest head, signed. ML-DSA-44 takes most of the time, and only published checkpoints have it.
    async fn sign_all(&mut self) -> Result<(Bytes, StoredHead), SignError> {
        let log = &self.log;
        let signed = sign_newest(log).await?;
        let started = log.process.clock.monotonic();
        let note = sign_with_all_keys(log, &signed.view).await?;
        let took = log.process.clock.monotonic().saturating_sub(started);
        let published = log.published.borrow().head.size.get();
        let grown = signed.size().get().saturating_sub(published);
        let pace = (took * SIGNING_SHARE).min(PACE_MAX);
        self.pace = if grown > FEW_ENTRIES { pace } else { Duration::ZERO };
        Ok((note, signed.view.head))
    }

    fn archive_is_due(&self) -> bool {
        let now = self.log.process.clock.monotonic();
        let interval = self.log.process.limits.history_interval;
        self.archived_at.is_none_or(|at| now.saturating_sub(at) >= interval)
    }

    async fn archive_or_warn(&mut self) {
        if let Err(error) = self.archive(Vec::new()).await {
            tracing::warn!(log = %self.log.record.name, %error, "a checkpoint was not archived");
        }
    }

    /// Commits the published checkpoint to the archive, if it is not there, together with `rows`.
    async fn archive(&mut self, mut rows: Vec<Row>) -> Result<(), AppendError> {
        if !self.archived && !self.log.published.borrow().note.is_empty() {
            rows.insert(0, archive_row(&self.log.published.borrow()));
        }
        if !rows.is_empty() {
            commit_rows(&self.log, rows).await?;
        }
        self.archived = true;
        self.archived_at = Some(self.log.process.clock.monotonic());
        Ok(())
    }

    async fn fulfil(&mut self, wish: Wish) -> Result<Arc<Published>, FreezeError> {
        let frozen = self.log.state() == LogState::Frozen;
        let retired = self.log.state() == LogState::Retired;
        if (wish == Wish::Freeze && frozen) || (wish == Wish::Stop && retired) {
            return Ok(Arc::clone(&self.log.published.borrow()));
        }
        match wish {
            Wish::Now => {}
            Wish::Freeze => self.drain().await?,
            Wish::Stop => {
                self.log.queue.refuse_appends(AppendError::ShuttingDown);
                commit_rows(&self.log, Vec::new()).await?;
            }
        }
        if wish == Wish::Freeze {
            self.witness_final_head().await;
        }
        if self.is_behind() {
            self.publish().await?;
        }
        let freezing = (wish == Wish::Freeze).then(|| state_row(&self.log, LogState::Frozen));
        self.archive(freezing.into_iter().collect()).await?;
        Ok(Arc::clone(&self.log.published.borrow()))
    }

    /// Gives the witnesses their time for the last head; not at the cost of another wish. Without them the
    /// log is frozen all the same, and its last checkpoint is published once they are back.
    async fn witness_final_head(&self) {
        let Some(witnessing) = &self.log.witnessing else { return };
        let size = self.log.tree.load().head.size;
        if size == TreeSize::ZERO {
            return;
        }
        self.wake_witnesses();
        let timeout = witnessing.options.settings.quorum_timeout;
        tokio::select! {
            witnessed = witnessing.covering(size) => drop(witnessed),
            stopping = self.pause(timeout) => {
                tracing::warn!(log = %self.log.record.name, stopping, "frozen without witnesses");
            }
        }
    }

    /// Refuses appends and waits until everything accepted is committed. A crash from here on leaves a
    /// draining log, and the next start goes on freezing it.
    async fn drain(&self) -> Result<(), AppendError> {
        self.log.queue.refuse_appends(AppendError::Frozen);
        let draining = vec![state_row(&self.log, LogState::Draining)];
        let drained = commit_rows(&self.log, draining).await;
        if drained.is_err() {
            self.log.queue.accept_appends();
        }
        drained.map(drop)
    }
}

fn archive_row(published: &Published) -> Row {
    Row::Checkpoint(ArchivedCheckpoint {
        size: published.head.size,
        published_ms: published.published_ms,
        note: published.note.clone(),
    })
}

/// Commits rows behind everything queued before.
pub(crate) async fn commit_rows(
    log: &Arc<LogShared>,
    rows: Vec<Row>,
) -> Result<Arc<TreeView>, AppendError> {
    let (answer, answered) = oneshot::channel();
    log.submit(Ticket::Rows { rows, answer })?;
    answered.await.unwrap_or(Err(AppendError::OutcomeUnknown))
}
