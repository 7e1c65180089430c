//! Runs one follower over all logs, in one task.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base::clock::Clock as _;
use merkle::{LeafIndex, TreeSize};
use storage::LogId;

use super::pace::{Pace, TICK, Trouble};
use super::{FollowError, Follower, Step};
use crate::growth::News;
use crate::read::Reads;
use crate::{Log, Registry, WeakRegistry};

/// A follower and what it follows.
#[derive(Debug)]
pub struct Follow<F> {
    follower: F,
    registry: Registry,
    reads: Arc<Reads>,
    /// Entries of a busy log that are taken in a second.
    busy_rate: u64,
    shared: Arc<Shared>,
}

/// What the runner shares with the handles.
#[derive(Debug, Default)]
struct Shared {
    news: Arc<News>,
    /// Handles add, the runner takes.
    rebuilds: Mutex<BTreeSet<LogId>>,
    /// How far each log was when the runner last knew. Written by the runner.
    cursors: Mutex<BTreeMap<LogId, TreeSize>>,
}

/// Watches a follower and gives it orders. Holds neither the logs nor the follower.
#[derive(Clone, Debug)]
pub struct FollowerHandle {
    name: Arc<str>,
    registry: WeakRegistry,
    shared: Arc<Shared>,
}

impl FollowerHandle {
    /// The follower's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Has a log forgotten and taken again from zero. Returns at once; a stop of the server forgets an
    /// order that was not begun.
    pub fn rebuild(&self, log: &Log) {
        lock(&self.shared.rebuilds).insert(log.id());
        self.shared.news.tell(&[log.id()]);
    }

    /// Committed entries that are not taken yet, over the logs whose cursor is known.
    pub fn lag_entries(&self) -> u64 {
        let Some(registry) = self.registry.upgrade() else { return 0 };
        let cursors = lock(&self.shared.cursors);
        let lag = |log: Log| {
            let cursor = cursors.get(&log.id())?;
            Some(log.tree().head.size.get().saturating_sub(cursor.get()))
        };
        registry.list(None, usize::MAX).into_iter().filter_map(lag).sum()
    }
}

impl<F: Follower> Follow<F> {
    /// `follower` over the logs of `registry`, whose entries come through `reads`. It takes at most
    /// `busy_rate` entries a second from a log that is busy.
    pub fn new(follower: F, registry: Registry, reads: Arc<Reads>, busy_rate: u64) -> Self {
        Self { follower, registry, reads, busy_rate, shared: Arc::default() }
    }

    /// Watches it and gives it orders.
    pub fn handle(&self) -> FollowerHandle {
        FollowerHandle {
            name: self.follower.name().into(),
            registry: self.registry.downgrade(),
            shared: Arc::clone(&self.shared),
        }
    }

    /// Follows until it is dropped. Runs once at a time; what it knew before is read again.
    pub async fn run(self: Arc<Self>) {
        // Heard before the logs are listed, so that no growth falls between.
        self.registry.follow_growth(&self.shared.news);
        let mut runner = Runner {
            follow: self,
            logs: BTreeMap::new(),
            listed: 0,
            due: BTreeSet::new(),
            queued: 0,
        };
        runner.list();
        loop {
            runner.wait().await;
            runner.hear();
            while let Some(id) = runner.next() {
                runner.turn(id).await;
                runner.hear();
            }
        }
    }
}

/// One log as the runner sees it.
struct Followed {
    log: Log,
    /// Unknown before the first look, and after an error.
    cursor: Option<TreeSize>,
    pace: Pace,
    /// It is in the queue of those that are due.
    queued: bool,
    /// When it may have its next turn.
    not_before: Duration,
    trouble: Trouble,
}

struct Runner<F> {
    follow: Arc<Follow<F>>,
    logs: BTreeMap<LogId, Followed>,
    /// Logs of the registry when it was last listed.
    listed: usize,
    /// Logs that have work, by the time of their turn and then in the order they were queued: whoever had
    /// a turn queues behind the others.
    due: BTreeSet<(Duration, u64, LogId)>,
    /// How often a log was queued.
    queued: u64,
}

impl<F: Follower> Runner<F> {
    fn now(&self) -> Duration {
        self.follow.registry.clock().monotonic()
    }

    /// Waits until a log may be due. Without work it waits for news and for nothing else.
    async fn wait(&self) {
        let news = self.follow.shared.news.wait();
        let Some((at, ..)) = self.due.first() else { return news.await };
        let left = at.saturating_sub(self.now());
        let sleep = || self.follow.registry.clock().sleep(left);
        if left > TICK {
            tokio::select! {
                () = news => {}
                () = sleep() => {}
            }
        } else if !left.is_zero() {
            // News can wait for so long: a log that is written to all the time wakes nobody meanwhile.
            sleep().await;
        }
    }

    /// Queues the logs that there is news of.
    fn hear(&mut self) {
        let news = self.follow.shared.news.take();
        if news.iter().any(|id| !self.logs.contains_key(id)) {
            self.list();
        }
        for id in news {
            let Some(followed) = self.logs.get(&id) else { continue };
            let at = followed.not_before.max(self.now());
            if !followed.queued {
                self.queue(id, at);
            } else if lock(&self.follow.shared.rebuilds).contains(&id) {
                // An order does not wait for the end of the pause after an error: it may be the cure.
                self.due.retain(|(_, _, due)| *due != id);
                self.queue(id, at);
            }
        }
    }

    /// Takes up the logs that are new. Their cursors must be looked at, so they are due.
    fn list(&mut self) {
        let Follow { follower, registry, .. } = &*self.follow;
        if self.listed == registry.len() {
            return;
        }
        let logs = registry.list(None, usize::MAX);
        self.listed = logs.len();
        let wanted = |log: &Log| {
            !log.is_read_only() && follower.follows(log) && !self.logs.contains_key(&log.id())
        };
        for log in logs.into_iter().filter(wanted).collect::<Vec<_>>() {
            let id = log.id();
            self.logs.insert(id, Followed::new(log));
            self.queue(id, Duration::ZERO);
        }
    }

    fn queue(&mut self, id: LogId, at: Duration) {
        self.queued += 1;
        self.due.insert((at, self.queued, id));
        self.logs.get_mut(&id).expect("only followed logs are queued").queued = true;
    }

    /// The next log that is due now.
    fn next(&mut self) -> Option<LogId> {
        let (at, ..) = self.due.first()?;
        if *at > self.now() {
            return None;
        }
        let (_, _, id) = self.due.pop_first()?;
        self.logs.get_mut(&id).expect("only followed logs are queued").queued = false;
        Some(id)
    }

    /// One step of one log, and when its next one is.
    async fn turn(&mut self, id: LogId) {
        let now = self.now();
        let followed = self.logs.get_mut(&id).expect("only followed logs are queued");
        followed.not_before = now + TICK;
        let outcome = followed.step(&self.follow, now).await;
        if let Some(cursor) = followed.cursor {
            lock(&self.follow.shared.cursors).insert(id, cursor);
        }
        let (name, log) = (self.follow.follower.name(), followed.log.name());
        match outcome {
            Ok(behind) => {
                if followed.trouble.end() {
                    tracing::info!(follower = name, %log, "the follower goes on");
                }
                let next = if followed.pace.is_busy() { followed.not_before } else { now };
                if behind {
                    self.queue(id, next.max(self.now()));
                }
            }
            Err(error) => {
                let (pause, is_new) = followed.trouble.add(error.kind());
                if is_new {
                    tracing::warn!(follower = name, %log, %error, "a follower is not up to date");
                }
                followed.cursor = None;
                self.queue(id, self.now() + pause);
            }
        }
    }
}

impl Followed {
    fn new(log: Log) -> Self {
        Self {
            log,
            cursor: None,
            pace: Pace::default(),
            queued: false,
            not_before: Duration::ZERO,
            trouble: Trouble::default(),
        }
    }

    /// Takes some entries, if there are any. Whether there are more.
    async fn step<F: Follower>(
        &mut self,
        follow: &Follow<F>,
        now: Duration,
    ) -> Result<bool, FollowError> {
        let cursor = self.start(follow).await?;
        self.cursor = Some(cursor);
        let tree = self.log.tree();
        let size = tree.head.size;
        self.pace.measure(now, size.get());
        let end = cursor.get().saturating_add(self.pace.step(follow.busy_rate));
        let end = TreeSize::new(end).map_or(size, |end| end.min(size));
        if end > cursor {
            let start = LeafIndex::new(cursor.get()).expect("an index below a tree size");
            let tree = follow.reads.committed(self.log.id(), tree)?;
            let step = Step { log: self.log.clone(), tree, start, end };
            let cursor = follow.follower.apply(step).await?;
            if cursor.get() <= start.get() || cursor > end {
                return Err(FollowError::Astray { cursor, start, end });
            }
            self.cursor = Some(cursor);
        }
        Ok(self.cursor < Some(size))
    }

    /// Where to go on: at zero if somebody asked for it, or if the cursor is beyond the log.
    async fn start<F: Follower>(&mut self, follow: &Follow<F>) -> Result<TreeSize, FollowError> {
        let Follow { follower, shared, .. } = follow;
        let (id, size) = (self.log.id(), self.log.tree().head.size);
        if !lock(&shared.rebuilds).remove(&id) {
            let cursor = match self.cursor {
                Some(cursor) => cursor,
                None => follower.cursor(&self.log).await?,
            };
            if cursor <= size {
                return Ok(cursor);
            }
            let (name, log) = (follower.name(), self.log.name());
            tracing::warn!(follower = name, %log, %cursor, %size, "a follower is ahead of its log");
        }
        if let Err(error) = follower.reset(&self.log).await {
            lock(&shared.rebuilds).insert(id);
            return Err(error);
        }
        Ok(TreeSize::ZERO)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
