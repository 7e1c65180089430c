//! The publisher: one task for each log, asleep unless there is a new head.
//!
//! It is the only writer of the published checkpoint and of the archive, so freezing a log and the end
//! of the server pass through it too.

use std::sync::Arc;
use std::time::Duration;

use base::clock::{Clock as _, boot_ms};
use bytes::Bytes;
use merkle::TreeSize;
use storage::{ArchivedCheckpoint, LogState, Row, StoredHead};
use tokio::sync::watch;

use super::{Publish, Wish};
use crate::append::Append;
use crate::error::{AppendError, FreezeError, SignError};
use crate::health::Surroundings;
use crate::invariants::Invariant;
use crate::sign::Sign;
use crate::types::{Limits, Published};
use crate::witness::{Progress, Witnesses};

/// How long the publisher waits after it could not sign. The reasons do not pass quickly.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// If more entries than this come between two checkpoints, many callers share the next checkpoint, and
/// signing must leave the cores to them.
const FEW_ENTRIES: u64 = 16;
/// Signing then takes at most this fraction of one core: one part in 12.
const SIGNING_SHARE: u32 = 12;
/// The longest that a checkpoint waits because signing is slow.
const PACE_MAX: Duration = Duration::from_millis(50);

/// The rooms that a publisher works with.
#[derive(Clone, Debug)]
pub(crate) struct PublisherParts {
    pub(crate) publish: Publish,
    pub(crate) append: Append,
    pub(crate) sign: Sign,
    /// `None` where the log has no witness policy.
    pub(crate) witnesses: Option<Witnesses>,
    pub(crate) limits: Arc<Limits>,
    pub(crate) around: Arc<Surroundings>,
}

/// The publisher of a log. It is started again after a panic; wishes that come meanwhile wait.
/// `archived`: the log's published checkpoint is in the archive.
pub(crate) async fn keep(rooms: PublisherParts, archived: bool) {
    let (kept, mut archived) = (rooms.clone(), archived);
    let make = move || {
        // The publisher that panicked may have missed a new head, and nobody knows what it
        // archived.
        kept.publish.wake();
        Publisher::new(kept.clone(), std::mem::take(&mut archived)).run()
    };
    rooms.around.supervisor.clone().keep("publisher", make).await;
    rooms.publish.close();
    rooms.witnesses.as_ref().inspect(|witnesses| witnesses.stop());
}

/// The task of one log, with what it remembers.
#[derive(Debug)]
struct Publisher {
    rooms: PublisherParts,
    /// The committed tree grew.
    grown: watch::Receiver<()>,
    /// A head was witnessed, or the quorum was lost; `None` without witnesses.
    witnessed: Option<watch::Receiver<Progress>>,
    /// When making the last checkpoint began, by the monotonic clock.
    started_at: Option<Duration>,
    /// When the last checkpoint was archived.
    archived_at: Option<Duration>,
    /// Whether the note of the last checkpoint is in the archive.
    archived: bool,
    /// The least time to the next checkpoint. Follows from how long signing the last one took.
    pace: Duration,
}

impl Publisher {
    fn new(rooms: PublisherParts, archived: bool) -> Self {
        let grown = rooms.append.tree().follow();
        let witnessed = rooms.witnesses.as_ref().map(|witnesses| witnesses.follow());
        let pace = Duration::ZERO;
        Self { rooms, grown, witnessed, started_at: None, archived_at: None, archived, pace }
    }

    /// The task's body.
    async fn run(mut self) {
        loop {
            self.news().await;
            for (wish, answer) in self.rooms.publish.inbox.take() {
                let result = self.fulfil(wish).await;
                // A send fails only if the caller has gone, and then nobody needs the answer.
                drop(answer.send(result));
                if wish == Wish::Stop {
                    return;
                }
            }
            self.catch_up().await;
        }
    }

    /// Waits until there may be something to do.
    async fn news(&mut self) {
        let witnessed = async {
            match &mut self.witnessed {
                Some(witnessed) => told(witnessed).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = self.rooms.publish.inbox.bell().notified() => {}
            () = told(&mut self.grown) => {}
            () = witnessed => {}
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
                tracing::warn!(log = %self.rooms.append.record().name, %error, "nothing was published");
                if self.pause(RETRY_AFTER).await {
                    return;
                }
            } else if self.archive_is_due() {
                self.archive_or_warn().await;
            }
        }
    }

    fn is_behind(&self) -> bool {
        if self.rooms.append.state() == LogState::Retired {
            return false;
        }
        let published = self.published();
        let committed = self.rooms.append.tree().load().head.size;
        match &self.rooms.witnesses {
            Some(witnesses) => witnesses.is_ahead(&published, committed),
            None => published.note.is_empty() || published.head.size < committed,
        }
    }

    fn published(&self) -> Arc<Published> {
        self.rooms.publish.published()
    }

    fn has_wishes(&self) -> bool {
        !self.rooms.publish.inbox.is_empty()
    }

    fn until_due(&self) -> Duration {
        let now = self.rooms.around.clock.monotonic();
        let interval = self.rooms.limits.publish_interval_min.max(self.pace);
        self.started_at.map_or(Duration::ZERO, |at| (at + interval).saturating_sub(now))
    }

    /// Waits; true if somebody wishes for something meanwhile.
    async fn pause(&mut self, wait: Duration) -> bool {
        if wait.is_zero() {
            return self.has_wishes();
        }
        let mut sleep = self.rooms.around.clock.sleep(wait);
        loop {
            tokio::select! {
                () = &mut sleep => return self.has_wishes(),
                () = self.news() => {
                    if self.has_wishes() {
                        self.rooms.publish.wake();
                        return true;
                    }
                }
            }
        }
    }

    /// Publishes the newest head that may be.
    async fn publish(&mut self) -> Result<(), SignError> {
        let started = self.rooms.around.clock.monotonic();
        let Some((note, head, witnessed)) = self.next().await? else { return Ok(()) };
        let covered = head.size <= self.rooms.append.tree().load().head.size;
        let Surroundings { clock, observer, .. } = &*self.rooms.around;
        self.rooms.around.check(covered, Invariant::NotAheadOfCommitted);
        let (published_ms, published_boot_ms) = (clock.unix_ms(), boot_ms(&**clock));
        let published = Published { note, head, published_ms, published_boot_ms, witnessed };
        self.rooms.publish.published.send_replace(Arc::new(published));
        observer.published(&self.rooms.append.record().name);
        self.started_at = Some(started);
        self.archived = false;
        Ok(())
    }

    /// The note and head to publish, and whether the head is witnessed. With a policy that is the
    /// newest witnessed head, or the newest head if the log goes on without a quorum; without a
    /// policy the newest.
    async fn next(&mut self) -> Result<Option<(Bytes, StoredHead, bool)>, SignError> {
        let Some(witnesses) = self.rooms.witnesses.clone() else {
            return self.sign_all().await.map(|(note, head)| Some((note, head, false)));
        };
        if let Some(head) = witnesses.newer(&self.published()) {
            return Ok(Some((head.note.clone(), head.view.head, true)));
        }
        let (note, head) = self.sign_all().await?;
        if !witnesses.allows_unwitnessed(head.size) {
            return Ok(None);
        }
        if head.size > TreeSize::ZERO {
            witnesses.published_unwitnessed();
        }
        Ok(Some((note, head, false)))
    }

    /// The newest head, signed. ML-DSA-44 takes most of the time, and only published checkpoints have it.
    async fn sign_all(&mut self) -> Result<(Bytes, StoredHead), SignError> {
        let clock = Arc::clone(&self.rooms.around.clock);
        let signed = self.rooms.sign.newest().await?;
        let started = clock.monotonic();
        let note = self.rooms.sign.with_all_keys(&signed.view).await?;
        let took = clock.monotonic().saturating_sub(started);
        let published = self.published().head.size.get();
        let grown = signed.size().get().saturating_sub(published);
        let pace = (took * SIGNING_SHARE).min(PACE_MAX);
        self.pace = if grown > FEW_ENTRIES { pace } else { Duration::ZERO };
        Ok((note, signed.view.head))
    }

    fn archive_is_due(&self) -> bool {
        let now = self.rooms.around.clock.monotonic();
        let interval = self.rooms.limits.history_interval;
        self.archived_at.is_none_or(|at| now.saturating_sub(at) >= interval)
    }

    async fn archive_or_warn(&mut self) {
        if let Err(error) = self.archive(Vec::new()).await {
            tracing::warn!(log = %self.rooms.append.record().name, %error, "a checkpoint was not archived");
        }
    }

    /// Commits the published checkpoint to the archive, if it is not there, together with `rows`.
    async fn archive(&mut self, mut rows: Vec<Row>) -> Result<(), AppendError> {
        let published = self.published();
        if !self.archived && !published.note.is_empty() {
            rows.insert(0, archive_row(&published));
        }
        if !rows.is_empty() {
            self.rooms.append.commit_rows(rows).await?;
        }
        self.archived = true;
        self.archived_at = Some(self.rooms.around.clock.monotonic());
        Ok(())
    }

    async fn fulfil(&mut self, wish: Wish) -> Result<Arc<Published>, FreezeError> {
        let frozen = self.rooms.append.state() == LogState::Frozen;
        let retired = self.rooms.append.state() == LogState::Retired;
        if (wish == Wish::Freeze && frozen) || (wish == Wish::Stop && retired) {
            return Ok(self.published());
        }
        match wish {
            Wish::Now => {}
            Wish::Freeze => self.drain().await?,
            Wish::Stop => {
                self.rooms.append.refuse_appends(AppendError::ShuttingDown);
                self.rooms.append.commit_rows(Vec::new()).await?;
            }
        }
        if wish == Wish::Freeze {
            self.witness_final_head().await;
        }
        if self.is_behind() {
            self.publish().await?;
        }
        let freezing =
            (wish == Wish::Freeze).then(|| self.rooms.append.state_row(LogState::Frozen));
        self.archive(freezing.into_iter().collect()).await?;
        Ok(self.published())
    }

    /// Gives the witnesses time to cosign the last head, unless another wish comes. Without them the log is
    /// frozen all the same, and its last checkpoint is published once they are back.
    async fn witness_final_head(&mut self) {
        let Some(witnesses) = self.rooms.witnesses.clone() else { return };
        let size = self.rooms.append.tree().load().head.size;
        if size == TreeSize::ZERO {
            return;
        }
        let timeout = witnesses.quorum_timeout();
        tokio::select! {
            reached = witnesses.covering(size) => drop(reached),
            stopping = self.pause(timeout) => {
                tracing::warn!(log = %self.rooms.append.record().name, stopping, "frozen without witnesses");
            }
        }
    }

    /// Refuses appends and waits until everything accepted is committed. If we crash from here on,
    /// the log is left draining, and the next start goes on freezing it.
    async fn drain(&self) -> Result<(), AppendError> {
        self.rooms.append.refuse_appends(AppendError::Frozen);
        let draining = vec![self.rooms.append.state_row(LogState::Draining)];
        let drained = self.rooms.append.commit_rows(draining).await;
        if drained.is_err() {
            self.rooms.append.accept_appends();
        }
        drained.map(drop)
    }
}

/// Waits for the next news. The sender is in a room that the publisher holds, so it is not gone.
async fn told<T>(follower: &mut watch::Receiver<T>) {
    follower.changed().await.expect("the publisher holds the room that tells it");
}

fn archive_row(published: &Published) -> Row {
    Row::Checkpoint(ArchivedCheckpoint {
        size: published.head.size,
        published_ms: published.published_ms,
        note: published.note.clone(),
    })
}
