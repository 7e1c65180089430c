//! Records handed over, until each has a fate.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use audit_event::event::Outcome;
use audit_trail::OwnEvent;
use base::backoff::Backoff;
use base::tasks::blocking;
use log_core::Log;

use super::{Running, State};
use crate::batch::{self, Batch, Record};
use crate::reply::{Fate, Reason, Reply, SetUp, Trouble};
use crate::sender::Sender;
use crate::state::{DEAD_MAX, Dead};

/// Pauses before another attempt.
const PAUSE_FIRST: Duration = Duration::from_millis(250);
pub(super) const PAUSE_LONGEST: Duration = Duration::from_mins(1);
/// How long attempts may fail before somebody is told.
const ALERT_AFTER: Duration = Duration::from_mins(10);
/// Events done between two writes of the cursor, where a call takes one.
const SAVE_EVERY: u64 = 100;

/// Records of one call.
#[derive(Debug)]
struct Part {
    records: Vec<Record>,
    /// Erasures before they were made.
    made_at: u64,
}

/// A batch on its way.
pub(super) struct Delivery<'a> {
    running: &'a mut Running,
    log: &'a Log,
    sender: &'a Sender,
    queue: VecDeque<Part>,
    damaged: Vec<u64>,
    /// Where the cursor is when all is done; `None` for dead letters, which lie behind it.
    end: Option<u64>,
    backoff: Backoff,
    /// Since when attempts fail, and whether somebody was told.
    failing: Option<(Duration, bool)>,
}

impl<'a> Delivery<'a> {
    pub(super) fn of(
        running: &'a mut Running,
        log: &'a Log,
        sender: &'a Sender,
        batch: Batch,
    ) -> Self {
        let Batch { records, damaged, end, oldest_ms, made_at } = batch;
        if oldest_ms.is_some() {
            running.lane.note(|shown| shown.oldest_ms = oldest_ms);
        }
        let mut delivery = Self::empty(running, log, sender, Some(end));
        delivery.damaged = damaged;
        delivery.enqueue(records, made_at);
        delivery
    }

    /// Dead letters once more.
    pub(super) async fn again(
        running: &'a mut Running,
        log: &'a Log,
        sender: &'a Sender,
        indexes: BTreeSet<u64>,
    ) -> Self {
        let mut delivery = Self::empty(running, log, sender, None);
        let indexes: Vec<u64> = indexes.into_iter().collect();
        for indexes in indexes.chunks(batch::RECORDS_MAX) {
            let made_at = delivery.running.lane.erasures.load(Ordering::SeqCst);
            let records = delivery.read(indexes.to_vec()).await;
            delivery.enqueue(records, made_at);
        }
        delivery
    }

    fn empty(running: &'a mut Running, log: &'a Log, sender: &'a Sender, end: Option<u64>) -> Self {
        let backoff = Backoff::new(PAUSE_FIRST, PAUSE_LONGEST);
        let queue = VecDeque::new();
        Self { running, log, sender, queue, damaged: Vec::new(), end, backoff, failing: None }
    }

    fn enqueue(&mut self, records: Vec<Record>, made_at: u64) {
        let max = self.running.lane.destination.kind.records_max();
        let mut records = records.into_iter();
        loop {
            let mut part: Vec<Record> = records.by_ref().take(1).collect();
            let Some(first) = part.first() else { return };
            let mut bytes = first.body.len();
            let mut fits = |record: &Record| {
                bytes += record.body.len();
                bytes <= batch::BYTES_MAX
            };
            let rest = records.as_slice().iter().take(max - 1).take_while(|it| fits(it)).count();
            part.extend(records.by_ref().take(rest));
            self.queue.push_back(Part { records: part, made_at });
        }
    }

    /// Reads events, again and again if the log cannot be read.
    async fn read(&self, indexes: Vec<u64>) -> Vec<Record> {
        let Running { lane, clock, .. } = &*self.running;
        loop {
            let (reader, log, indexes) = (Arc::clone(lane), self.log.clone(), indexes.clone());
            match blocking(move || batch::again(&reader.destination, &log, &indexes)).await {
                Ok(records) => return records,
                Err(error) => {
                    tracing::error!(log = lane.log, %error, "a destination cannot read the log");
                    lane.show(&**clock, State::Waiting(Trouble::Log));
                    clock.sleep(PAUSE_LONGEST).await;
                }
            }
        }
    }

    /// Hands over one part after the other. What is left after a set-up fault is read again later.
    pub(super) async fn run(mut self) -> Result<(), SetUp> {
        let damaged = std::mem::take(&mut self.damaged).into_iter();
        let damaged = damaged.map(|index| (index, Reason::new(0, "damaged"))).collect();
        self.bury(damaged).await?;
        let had_records = !self.queue.is_empty();
        while let Some(part) = self.queue.pop_front() {
            let part = self.current(part).await;
            if part.records.is_empty() {
                continue;
            }
            if self.failing.is_none() {
                self.running.lane.show(&*self.running.clock, State::Sending);
            }
            match self.sender.attempt(&part.records).await {
                Reply::Taken { is_confirmed } => {
                    self.running.lane.note(|shown| shown.is_unconfirmed = !is_confirmed);
                    self.taken(part.records.iter().map(|record| record.index).collect()).await;
                }
                Reply::Fates { fates, pauses } => self.apply(part, fates, pauses).await?,
                Reply::Later { why, after } => {
                    self.queue.push_front(part);
                    self.pause(why, after).await;
                }
                Reply::Halve(reason) => self.halve(part, reason).await?,
                Reply::Stop(set_up) => return Err(set_up),
            }
            self.advance().await;
        }
        if let Some(end) = self.end {
            self.running.advance(end, had_records).await;
            self.running.lane.note(|shown| shown.oldest_ms = None);
        }
        Ok(())
    }

    /// The same records, made again if something was erased since they were made.
    async fn current(&self, part: Part) -> Part {
        let made_at = self.running.lane.erasures.load(Ordering::SeqCst);
        if made_at == part.made_at {
            return part;
        }
        let indexes = part.records.iter().map(|record| record.index).collect();
        Part { records: self.read(indexes).await, made_at }
    }

    async fn apply(&mut self, part: Part, fates: Vec<Fate>, pauses: bool) -> Result<(), SetUp> {
        let Part { records, made_at } = part;
        let (mut taken, mut dead, mut again) = (Vec::new(), Vec::new(), Vec::new());
        for (record, fate) in records.into_iter().zip(fates) {
            match fate {
                Fate::Taken => taken.push(record.index),
                Fate::Dead(reason) => dead.push((record.index, reason)),
                Fate::Again => again.push(record),
            }
        }
        self.taken(taken).await;
        self.bury(dead).await?;
        if !again.is_empty() {
            self.queue.push_front(Part { records: again, made_at });
            if pauses {
                self.pause(Trouble::Partly, None).await;
            }
        }
        Ok(())
    }

    async fn halve(&mut self, part: Part, reason: Reason) -> Result<(), SetUp> {
        let Part { mut records, made_at } = part;
        if let [only] = &records[..] {
            return self.bury(vec![(only.index, reason)]).await;
        }
        let second = records.split_off(records.len() / 2);
        self.queue.push_front(Part { records: second, made_at });
        self.queue.push_front(Part { records, made_at });
        Ok(())
    }

    /// Counts what is there, and forgets what was a dead letter.
    async fn taken(&mut self, indexes: Vec<u64>) {
        if indexes.is_empty() {
            return;
        }
        self.backoff.reset();
        self.failing = None;
        let count = u64::try_from(indexes.len()).unwrap_or(u64::MAX);
        self.running.lane.note(|shown| shown.sent = shown.sent.saturating_add(count));
        if self.running.lane.dead_count() > 0 {
            let forget = move |lane: &super::Lane| {
                lane.change_dead(|dead| dead.retain(|index, _| !indexes.contains(index)))
            };
            self.running.durably(forget).await;
        }
    }

    /// Writes dead letters down, before the cursor passes them, and says so.
    async fn bury(&mut self, dead: Vec<(u64, Reason)>) -> Result<(), SetUp> {
        let Some((first, reason)) = dead.first().cloned() else { return Ok(()) };
        let (running, count) = (&*self.running, dead.len());
        let (lane, at_ms) = (&running.lane, running.clock.unix_ms());
        if lane.dead_count() + count > DEAD_MAX {
            return Err(SetUp::Full);
        }
        let name = lane.destination.name.clone();
        tracing::error!(
            destination = name, log = lane.log, first, count, %reason,
            "a destination does not take events: they are dead letters now"
        );
        running
            .durably(move |lane| {
                lane.change_dead(|letters| {
                    let made = dead.iter().cloned();
                    letters.extend(made.map(|(at, reason)| (at, Dead { at_ms, reason })));
                })
            })
            .await;
        let refused = u64::try_from(count).unwrap_or(u64::MAX);
        lane.note(|shown| shown.refused = shown.refused.saturating_add(refused));
        let event = OwnEvent::new("system.destination_refused")
            .outcome(Outcome::Failure)
            .target("destination", &name)
            .detail("log", &lane.log)
            .detail("first_index", &first.to_string())
            .detail("events", &count.to_string())
            .detail("reason", &reason.to_string())
            .described("a destination does not take events: they wait as dead letters");
        running.record(event).await;
        Ok(())
    }

    /// Waits before another attempt. An operator's wish ends it.
    async fn pause(&mut self, why: Trouble, after: Option<Duration>) {
        let running = &*self.running;
        let (lane, clock) = (&running.lane, &*running.clock);
        lane.show(clock, State::Waiting(why));
        lane.note(|shown| shown.failed_calls = shown.failed_calls.saturating_add(1));
        let (destination, log) = (&lane.destination.name, &lane.log);
        let now = clock.monotonic();
        let (since, is_told) = match self.failing {
            None => {
                tracing::warn!(destination, log, "events are sent again later: {why}");
                (now, false)
            }
            Some(failing) => failing,
        };
        let is_long = now.saturating_sub(since) >= ALERT_AFTER;
        if is_long && !is_told {
            tracing::error!(destination, log, "a destination has taken nothing for long: {why}");
        }
        self.failing = Some((since, is_told || is_long));
        let random = getrandom::u32().unwrap_or(u32::MAX);
        let pause = self.backoff.failed_jittered(after, random);
        tokio::select! {
            () = clock.sleep(pause) => {}
            () = lane.wake.notified() => {}
        }
    }

    /// Moves the cursor to the first record that has no fate yet.
    async fn advance(&mut self) {
        let Some(end) = self.end else { return };
        let waiting = self.queue.iter().flat_map(|part| &part.records);
        let next = waiting.map(|record| record.index).min().unwrap_or(end);
        let is_due = next.saturating_sub(self.running.saved) >= SAVE_EVERY;
        if next > self.running.lane.shown().next {
            self.running.advance(next, is_due).await;
        }
    }
}
