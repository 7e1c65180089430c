//! The events of one log on their way to one destination.
//!
//! The task of a lane owns its place in the log. Operators and erasures change dead letters and
//! wishes, which are behind locks that nobody holds across a wait.

mod deliver;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use audit_event::event::Outcome;
use audit_trail::{OwnEvent, SYSTEM_LOG, Trail};
use base::clock::Clock;
use base::tasks::blocking;
use log_core::Log;
use storage::LogKind;
use tokio::sync::Notify;

use crate::batch::{self, Batch};
use crate::destination::Destination;
use crate::reply::{SetUp, Trouble};
use crate::sender::Sender;
use crate::state::{DeadLetters, Files, StateError};
use deliver::Delivery;

/// How often it is looked for a log that is not there yet.
const LOG_INTERVAL: Duration = Duration::from_secs(1);
/// Events that a filter left out between two writes of the cursor: they are looked at again after a
/// start.
const PASSED_MAX: u64 = 1_000;

/// How a lane is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// It has not begun, or its log is not there.
    Off,
    /// Everything is sent.
    Idle,
    /// It sends.
    Sending,
    /// It tries again.
    Waiting(Trouble),
    /// It waits for an operator.
    Stopped(SetUp),
}

/// What others may know of a lane.
#[derive(Debug, Clone)]
pub(crate) struct Shown {
    pub(crate) state: State,
    /// Since when it is like that.
    pub(crate) since_ms: u64,
    /// The first event that is not done.
    pub(crate) next: u64,
    /// When the log took the oldest event that is not done.
    pub(crate) oldest_ms: Option<u64>,
    /// Since the start of the server.
    pub(crate) sent: u64,
    pub(crate) refused: u64,
    pub(crate) failed_calls: u64,
    /// The destination said that it took the last records, and not that they are stored.
    pub(crate) is_unconfirmed: bool,
}

/// What operators wish.
#[derive(Debug, Default)]
struct Wishes {
    /// Dead letters to be sent again.
    retry: BTreeSet<u64>,
    /// Where to go on from.
    from: Option<u64>,
    /// To go on after a stop.
    resume: bool,
}

/// One log at one destination.
#[derive(Debug)]
pub(crate) struct Lane {
    pub(crate) destination: Arc<Destination>,
    pub(crate) log: String,
    files: Files,
    shown: Mutex<Shown>,
    wishes: Mutex<Wishes>,
    /// `None` until they are read. Whoever changes them writes them while holding the lock.
    dead: Mutex<Option<DeadLetters>>,
    wake: Notify,
    /// Erasures in this log so far. Records made before the last one are made again.
    erasures: AtomicU64,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Lane {
    pub(crate) fn new(root: &Path, destination: Arc<Destination>, log: &str) -> Self {
        let shown = Shown {
            state: State::Off,
            since_ms: 0,
            next: 0,
            oldest_ms: None,
            sent: 0,
            refused: 0,
            failed_calls: 0,
            is_unconfirmed: false,
        };
        Self {
            files: Files::new(root, &destination.name, log),
            destination,
            log: log.to_owned(),
            shown: Mutex::new(shown),
            wishes: Mutex::default(),
            dead: Mutex::default(),
            wake: Notify::new(),
            erasures: AtomicU64::new(0),
        }
    }

    pub(crate) fn shown(&self) -> Shown {
        lock(&self.shown).clone()
    }

    fn note(&self, change: impl FnOnce(&mut Shown)) {
        change(&mut lock(&self.shown));
    }

    /// Reads the dead letters if they are not known yet. Blocks.
    pub(crate) fn dead(&self) -> Result<DeadLetters, StateError> {
        let mut dead = lock(&self.dead);
        if dead.is_none() {
            *dead = Some(self.files.dead()?);
        }
        Ok(dead.clone().unwrap_or_default())
    }

    /// How many dead letters are known.
    pub(crate) fn dead_count(&self) -> usize {
        lock(&self.dead).as_ref().map_or(0, DeadLetters::len)
    }

    /// Changes the dead letters, on disk first. Blocks.
    fn change_dead(&self, change: impl FnOnce(&mut DeadLetters)) -> Result<(), StateError> {
        let mut dead = lock(&self.dead);
        let before = match dead.take() {
            Some(known) => known,
            None => self.files.dead()?,
        };
        let mut after = before.clone();
        change(&mut after);
        let written = if after == before { Ok(()) } else { self.files.put_dead(&after) };
        *dead = Some(if written.is_ok() { after } else { before });
        Ok(written?)
    }

    /// Forgets dead letters: those of these indexes, or all. Says how many. Blocks.
    pub(crate) fn skip(&self, indexes: Option<&BTreeSet<u64>>) -> Result<usize, StateError> {
        let mut skipped = 0;
        self.change_dead(|dead| {
            let before = dead.len();
            dead.retain(|index, _| indexes.is_some_and(|indexes| !indexes.contains(index)));
            skipped = before - dead.len();
        })?;
        Ok(skipped)
    }

    /// Wishes that dead letters be sent again, all or these, that the lane go on after a stop, and
    /// where from. Says how many dead letters. Blocks.
    pub(crate) fn retry(
        &self,
        indexes: Option<&BTreeSet<u64>>,
        from: Option<u64>,
    ) -> Result<usize, StateError> {
        let dead = self.dead()?;
        let dead = dead.into_keys();
        let wanted = dead.filter(|it| indexes.is_none_or(|indexes| indexes.contains(it)));
        let wanted: Vec<u64> = wanted.collect();
        let count = wanted.len();
        let mut wishes = lock(&self.wishes);
        wishes.retry.extend(wanted);
        wishes.from = from.or(wishes.from);
        wishes.resume = true;
        drop(wishes);
        self.wake.notify_one();
        Ok(count)
    }

    /// Something of an event was erased: nothing made of it before is sent again. Blocks.
    pub(crate) fn forget(&self, index: u64) -> Result<(), StateError> {
        self.erasures.fetch_add(1, Ordering::SeqCst);
        lock(&self.wishes).retry.remove(&index);
        self.change_dead(|dead| drop(dead.remove(&index)))
    }

    fn show(&self, clock: &dyn Clock, state: State) {
        let mut shown = lock(&self.shown);
        if shown.state != state {
            (shown.state, shown.since_ms) = (state, clock.unix_ms());
        }
    }
}

/// A lane at work.
#[derive(Debug)]
pub(crate) struct Running {
    lane: Arc<Lane>,
    trail: Trail,
    clock: Arc<dyn Clock>,
    /// The cursor as it stands on disk.
    saved: u64,
}

impl Running {
    pub(crate) fn new(lane: Arc<Lane>, trail: Trail) -> Self {
        let clock = Arc::clone(trail.registry().clock()) as Arc<dyn Clock>;
        Self { lane, trail, clock, saved: 0 }
    }

    /// Runs for ever: stops where an operator has to act, and goes on when one says so.
    pub(crate) async fn run(mut self) {
        loop {
            let Err(set_up) = self.stream().await else { return };
            self.stopped(set_up).await;
            while !std::mem::take(&mut lock(&self.lane.wishes).resume) {
                self.lane.wake.notified().await;
            }
        }
    }

    /// Ends without an error only if the log is gone.
    async fn stream(&mut self) -> Result<(), SetUp> {
        let log = self.log().await?;
        let (lane, clock) = (Arc::clone(&self.lane), Arc::clone(&self.clock));
        let sender = blocking(move || Sender::open(Arc::clone(&lane.destination), clock)).await?;
        self.open(&log).await?;
        let mut news = log.news();
        loop {
            // What is committed after this look is told anew.
            news.borrow_and_update();
            let Wishes { retry, from, .. } = std::mem::take(&mut *lock(&self.lane.wishes));
            if let Some(from) = from {
                self.go_to(from.min(log.tree().head.size.get())).await;
            }
            if !retry.is_empty() {
                let delivery = Delivery::again(self, &log, &sender, retry).await;
                delivery.run().await?;
            }
            let batch = self.collect(&log).await;
            let Batch { end, .. } = batch;
            if end == lock(&self.lane.shown).next {
                self.lane.show(&*self.clock, State::Idle);
                tokio::select! {
                    news = news.changed() => if news.is_err() { return Ok(()) },
                    () = self.lane.wake.notified() => {}
                }
                continue;
            }
            if let Err(set_up) = Delivery::of(self, &log, &sender, batch).run().await {
                let next = lock(&self.lane.shown).next;
                if next > self.saved {
                    self.save(next).await;
                }
                return Err(set_up);
            }
        }
    }

    /// The log, once it is there.
    async fn log(&self) -> Result<Log, SetUp> {
        loop {
            match self.trail.registry().log(&self.lane.log) {
                Some(log) if log.record().kind == LogKind::Audit => return Ok(log),
                Some(_) => return Err(SetUp::NotAudit),
                None => self.clock.sleep(LOG_INTERVAL).await,
            }
        }
    }

    /// Reads what is remembered.
    async fn open(&mut self, log: &Log) -> Result<(), SetUp> {
        let lane = Arc::clone(&self.lane);
        let read = blocking(move || lane.dead().and_then(|_| lane.files.cursor())).await;
        let cursor = read.map_err(|error| {
            tracing::error!(%error, "a destination does not know where it was");
            SetUp::State
        })?;
        let size = log.tree().head.size.get();
        if cursor > size {
            tracing::warn!(
                destination = self.lane.destination.name,
                log = self.lane.log,
                cursor,
                size,
                "a destination has had more events than the log has: it goes on from the log's end"
            );
        }
        self.saved = cursor;
        lock(&self.lane.shown).next = cursor.min(size);
        Ok(())
    }

    /// Reads the next events, again and again if the log cannot be read.
    async fn collect(&self, log: &Log) -> Batch {
        loop {
            let (lane, log, next) =
                (Arc::clone(&self.lane), log.clone(), lock(&self.lane.shown).next);
            let made_at = lane.erasures.load(Ordering::SeqCst);
            match blocking(move || batch::collect(&lane.destination, &log, next)).await {
                Ok(batch) => return Batch { made_at, ..batch },
                Err(error) => {
                    tracing::error!(log = self.lane.log, %error, "a destination cannot read the log");
                    self.lane.show(&*self.clock, State::Waiting(Trouble::Log));
                    self.clock.sleep(deliver::PAUSE_LONGEST).await;
                }
            }
        }
    }

    /// Moves the cursor, on disk at once.
    async fn go_to(&mut self, next: u64) {
        lock(&self.lane.shown).next = next;
        self.save(next).await;
    }

    /// The first event that is not done. It is written at once if events were sent.
    async fn advance(&mut self, next: u64, is_sent: bool) {
        lock(&self.lane.shown).next = next;
        if is_sent || next.saturating_sub(self.saved) >= PASSED_MAX {
            self.save(next).await;
        }
    }

    async fn save(&mut self, next: u64) {
        self.durably(move |lane| Ok(lane.files.put_cursor(next)?)).await;
        self.saved = next;
    }

    /// Writes until it is written: nothing goes on that is not remembered.
    async fn durably(
        &self,
        write: impl Fn(&Lane) -> Result<(), StateError> + Send + Sync + 'static,
    ) {
        let write = Arc::new(write);
        loop {
            let (lane, write) = (Arc::clone(&self.lane), Arc::clone(&write));
            let Err(error) = blocking(move || write(&lane)).await else { return };
            tracing::error!(%error, "a destination cannot write down where it is");
            self.lane.show(&*self.clock, State::Waiting(Trouble::File));
            self.clock.sleep(deliver::PAUSE_LONGEST).await;
        }
    }

    async fn stopped(&self, set_up: SetUp) {
        let Lane { destination, log, .. } = &*self.lane;
        let name = &destination.name;
        self.lane.show(&*self.clock, State::Stopped(set_up));
        tracing::error!(destination = name, log, "a destination gets no more events: {set_up}");
        let event = OwnEvent::new("system.destination_stopped")
            .outcome(Outcome::Failure)
            .target("destination", name)
            .detail("log", log)
            .detail("reason", &set_up.to_string())
            .described("a destination gets no more events until somebody acts");
        self.record(event).await;
    }

    /// Says in the log `system` what happened here. Not of the log `system` itself: each such event
    /// would be one more to send.
    async fn record(&self, event: OwnEvent) {
        let Some(system) = self.trail.system().filter(|_| self.lane.log != SYSTEM_LOG) else {
            return;
        };
        if let Err(error) = self.trail.record_own(&system, event).await {
            tracing::warn!(%error, "what became of a destination is not recorded");
        }
    }
}
