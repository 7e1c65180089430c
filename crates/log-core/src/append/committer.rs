//! The committer: one thread that writes for all logs.
//!
//! In each step it takes every log that has calls waiting, plans a share of each, joins the plans
//! into one synced write and answers. See the crate's documentation for why planning does not
//! overlap with writing. [`Committer::step`] does everything except waiting, so a test can drive
//! it.

use std::sync::Arc;

use base::clock::Clock as _;
use base::tasks;
use storage::{CommitOutcome, Engine, LogCommit, LogId, Row};

use super::linger::Linger;
use super::sequencer::{self, LogPlan, Share};
use super::{CommitterInbox, Line};
use crate::error::{AppendError, Fatal};
use crate::health::Surroundings;
use crate::inbox::{DELIVER_IN_TASK_FROM, Stop};
use crate::invariants::Invariant;
use crate::types::Limits;

/// The most bytes of one log in a commit while other logs write too, so that a log with little to write
/// does not wait for another's large commits.
const SHARED_BYTES_MAX: usize = 256 * 1024;
/// For so many turns after its last write another log counts as writing.
const SHARED_FOR_TURNS: u32 = 64;

/// The only writer of the store.
pub(crate) struct Committer {
    engine: Arc<dyn Engine>,
    inbox: Arc<CommitterInbox>,
    limits: Arc<Limits>,
    around: Arc<Surroundings>,
    turns: Turns,
}

impl Committer {
    pub(crate) fn new(
        engine: Arc<dyn Engine>,
        inbox: Arc<CommitterInbox>,
        limits: Arc<Limits>,
        around: Arc<Surroundings>,
    ) -> Self {
        Self { engine, inbox, limits, around, turns: Turns::default() }
    }

    /// The thread's body.
    pub(crate) fn run(mut self) {
        while self.wait() {
            tasks::trip("committer");
            if !self.step(self.around.clock.unix_ms()) {
                break;
            }
        }
        self.inbox.take().iter().for_each(|line| line.queue.close(&AppendError::ShuttingDown));
    }

    /// Waits for work, and then for more if waiting pays. False if there will be no more work.
    fn wait(&mut self) -> bool {
        let bell = self.inbox.bell();
        self.turns.observe_queued(bell.rung());
        let Some(seen) = self.inbox.wait(self.turns.seen) else { return false };
        self.turns.seen = seen;
        let linger_max = self.limits.linger_max;
        if self.inbox.stopping() == Stop::Never
            && let Some(calls) = self.turns.linger.calls_wanted()
            && !linger_max.is_zero()
        {
            bell.wait(seen, calls, Some(linger_max));
        }
        true
    }

    /// Commits and answers what waits, with heads of the time `now_ms` or later. It waits for
    /// nothing but the store. False if the process must end.
    pub(crate) fn step(&mut self, now_ms: u64) -> bool {
        let seen = self.inbox.bell().rung();
        let lines = self.inbox.take();
        let share = self.turns.share(&lines, &self.limits);
        let plans = self.plan_all(lines, share, now_ms);
        self.turns.observe(seen, &plans);
        plans.is_empty() || self.commit(plans)
    }

    /// Plans a share of each log; those with more waiting go to the end of the line.
    fn plan_all(&self, lines: Vec<Arc<Line>>, share: Share, now_ms: u64) -> Vec<LogPlan> {
        let mut plans = Vec::with_capacity(lines.len());
        for line in lines {
            let (planned, more) = sequencer::next(&*self.engine, &line, share, now_ms);
            plans.extend(planned);
            if more {
                let added = self.inbox.add(line);
                added.expect("the log's place in the inbox was free");
            }
        }
        plans
    }

    /// Writes the plans and answers. False if the process must end.
    fn commit(&self, mut plans: Vec<LogPlan>) -> bool {
        let commits: Vec<LogCommit> =
            plans.iter_mut().filter_map(|planned| planned.plan.commit.take()).collect();
        if commits.is_empty() {
            self.answer(plans);
            return true;
        }
        let Surroundings { clock, observer, health, .. } = &*self.around;
        let started = clock.monotonic();
        health.commits.begin(started);
        // THE COMMIT POINT. If we crash before this line, nothing of these calls is stored. If we
        // crash after it, all of them are, and their callers find them by their deduplication keys
        // or producer rows.
        let outcome = self.engine.commit(&commits);
        match outcome {
            CommitOutcome::Committed => {
                health.commits.succeed();
                let took = clock.monotonic().saturating_sub(started);
                let entries = commits.iter().map(|commit| commit.entries.len()).sum();
                let bytes = plans.iter().map(|planned| planned.plan.bytes).sum();
                observer.committed(commits.len(), entries, bytes, took);
                self.advance(&plans, &commits);
                self.answer(plans);
                true
            }
            CommitOutcome::NotCommitted(error) => {
                health.commits.fail(clock.monotonic());
                tracing::error!(%error, "a commit was not written, its calls are refused");
                observer.commit_failed(false);
                refuse(plans, &AppendError::NotCommitted { source: Arc::new(error) });
                true
            }
            CommitOutcome::Ambiguous(error) => {
                tracing::error!(%error, "a commit failed with an unknown outcome");
                self.end(plans, Fatal::OutcomeUnknown)
            }
            CommitOutcome::Conflict { log, found } => {
                tracing::error!(%log, ?found, "another writer moved the head of this log");
                self.end(plans, Fatal::Conflict)
            }
        }
    }

    /// Publishes what was committed: from here on readers see it, and the next plan starts from it.
    fn advance(&self, plans: &[LogPlan], commits: &[LogCommit]) {
        let mut commits = commits.iter().peekable();
        let mut news = Vec::new();
        for LogPlan { line, plan } in plans {
            // Commits are in the order of the plans they come from; some plans had none.
            let Some(commit) = commits.next_if(|commit| commit.log == line.record.id) else {
                continue;
            };
            let before = line.tree.load().head;
            let after = &plan.next.head;
            let grows = before.size <= after.size && before.time_ms <= after.time_ms;
            self.around.check(grows, Invariant::OnlyGrows);
            for row in &commit.rows {
                if let Row::Log(record) = row {
                    line.set_state(record.state);
                }
            }
            self.around.check(line.newest_ns() <= plan.newest_ns, Invariant::OnlyGrows);
            line.set_newest_ns(plan.newest_ns);
            line.tree.store(Arc::clone(&plan.next));
            line.set_exists();
            if before.size != after.size {
                line.tree.tell();
                news.push(line.record.id);
            }
        }
        self.around.growth.tell(&news);
    }

    fn answer(&self, plans: Vec<LogPlan>) {
        let replies: usize = plans.iter().map(|planned| planned.plan.replies.len()).sum();
        if replies < DELIVER_IN_TASK_FROM {
            deliver(&self.around, plans);
        } else {
            let around = Arc::clone(&self.around);
            let delivery = async move { deliver(&around, plans) };
            let on_panic = self.around.on_panic();
            drop(self.around.supervisor.vital("deliver", delivery, on_panic));
        }
    }

    /// Nothing more is written or signed. Callers whose entries were in the write learn that nobody
    /// knows whether they are stored.
    fn end(&self, plans: Vec<LogPlan>, fatal: Fatal) -> bool {
        self.around.health.halt();
        self.around.observer.commit_failed(fatal == Fatal::OutcomeUnknown);
        for LogPlan { line, .. } in &plans {
            line.queue.close(&AppendError::ShuttingDown);
        }
        refuse(plans, &AppendError::OutcomeUnknown);
        self.around.fatal(fatal);
        false
    }
}

/// Gives the replies of plans that are durable.
fn deliver(around: &Surroundings, plans: Vec<LogPlan>) {
    for LogPlan { line, plan } in plans {
        let durable = plan.next.head.size <= line.tree.load().head.size;
        around.check(durable, Invariant::DurableBeforeAnswered);
        for reply in plan.replies {
            reply.durable(&plan.next);
        }
    }
}

fn refuse(plans: Vec<LogPlan>, error: &AppendError) {
    for reply in plans.into_iter().flat_map(|planned| planned.plan.replies) {
        reply.refuse(error.clone());
    }
}

/// What the committer remembers from turn to turn.
#[derive(Debug, Default)]
struct Turns {
    linger: Linger,
    /// Calls of the last commit.
    calls: u64,
    /// Rings of the bell that were noticed.
    seen: u64,
    /// The log of the last turn, if it was the only one.
    alone: Option<LogId>,
    /// Turns left in which shares are bounded.
    shared_for: u32,
}

impl Turns {
    /// Learns how many calls queued behind the last commit, of which `rung` rings tell.
    fn observe_queued(&mut self, rung: u64) {
        self.linger.observe(std::mem::take(&mut self.calls), rung - self.seen);
    }

    /// A log that writes alone has no bound but its settings. Logs that write together have small
    /// shares.
    fn share(&mut self, lines: &[Arc<Line>], limits: &Limits) -> Share {
        let alone = match lines {
            [line] => Some(line.record.id),
            _ => None,
        };
        let same = alone.is_some() && (self.alone.is_none() || self.alone == alone);
        self.shared_for = if same { self.shared_for.saturating_sub(1) } else { SHARED_FOR_TURNS };
        self.alone = alone;
        let bytes_max = limits.batch_bytes_max;
        let bounded = if self.shared_for > 0 { SHARED_BYTES_MAX } else { bytes_max };
        Share { entries_max: limits.batch_entries_max, bytes_max: bounded.min(bytes_max) }
    }

    fn observe(&mut self, seen: u64, plans: &[LogPlan]) {
        self.seen = seen;
        self.calls = plans.iter().map(|planned| planned.plan.calls).sum();
    }
}
