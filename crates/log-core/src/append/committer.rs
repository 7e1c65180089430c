//! The committer: one thread that writes for all logs.
//!
//! Each turn it takes every log that has calls waiting, plans a share of each, joins the plans into one
//! synced write and answers. See the module above for why planning does not overlap with writing.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use base::tasks;

use super::linger::Linger;
use super::plan::Planned;
use super::sequencer::{self, LogPlan, Share};
use crate::doorbell::Doorbell;
use crate::error::{AppendError, Fatal};
use crate::invariants::{Invariant, check};
use crate::life::registry::on_panic;
use crate::life::state::{LogShared, Process};
use storage::{CommitOutcome, LogCommit, LogId, LogRecord, LogState, Row};

/// The most bytes of one log in a commit while other logs write too: what keeps a log with little to
/// write from waiting for another's large commits.
const SHARED_BYTES_MAX: usize = 256 * 1024;
/// Turns for which another log counts as writing after it last did.
const SHARED_FOR_TURNS: u32 = 64;
/// From this many answers on, a task delivers them instead of the thread that has them: waking callers from
/// outside the runtime costs more than from within.
pub(crate) const DELIVER_IN_TASK_FROM: usize = 8;

const RUN: u8 = 0;
const FINISH: u8 = 1;
const ABORT: u8 = 2;

/// How the committer hears of work.
#[derive(Debug)]
pub(crate) struct CommitterInbox {
    /// Logs whose queues are not empty. Callers push, the committer takes.
    ready: Mutex<VecDeque<Arc<LogShared>>>,
    pub(crate) bell: Doorbell,
    stop: AtomicU8,
}

impl CommitterInbox {
    pub(crate) fn new() -> Self {
        Self { ready: Mutex::new(VecDeque::new()), bell: Doorbell::new(), stop: AtomicU8::new(RUN) }
    }

    /// Puts a log with a non-empty queue in line.
    pub(crate) fn list(&self, log: Arc<LogShared>) {
        self.ready.lock().unwrap_or_else(PoisonError::into_inner).push_back(log);
    }

    fn take(&self) -> Vec<Arc<LogShared>> {
        self.ready.lock().unwrap_or_else(PoisonError::into_inner).drain(..).collect()
    }

    fn is_empty(&self) -> bool {
        self.ready.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// Ends the committer once nothing waits any more.
    pub(crate) fn finish(&self) {
        self.stop.fetch_max(FINISH, Ordering::SeqCst);
        self.bell.ring();
    }

    /// Ends the committer after the write in flight.
    pub(crate) fn abort(&self) {
        self.stop.fetch_max(ABORT, Ordering::SeqCst);
        self.bell.ring();
    }

    /// Whether the committer still takes logs.
    pub(crate) fn is_running(&self) -> bool {
        self.stop() == RUN
    }

    fn stop(&self) -> u8 {
        self.stop.load(Ordering::SeqCst)
    }
}

/// The thread's body.
pub(crate) fn run(process: &Arc<Process>) {
    let mut turns = Turns::default();
    while turns.wait(process) {
        let seen = process.committer.bell.rung();
        let logs = process.committer.take();
        let share = turns.share(&logs, process);
        let plans = plan_all(process, logs, share);
        turns.observe(seen, &plans);
        if !plans.is_empty() && !commit(process, plans) {
            break;
        }
    }
    for log in process.committer.take() {
        log.queue.close(&AppendError::ShuttingDown);
    }
}

/// What the committer remembers from turn to turn.
#[derive(Debug, Default)]
struct Turns {
    linger: Linger,
    /// Calls of the last commit.
    calls: u64,
    /// Rings that were taken into account.
    seen: u64,
    /// The log of the last turn, if it was alone.
    alone: Option<LogId>,
    /// Turns left in which shares are bounded.
    shared_for: u32,
}

impl Turns {
    /// Waits for work; false if there is no more.
    fn wait(&mut self, process: &Process) -> bool {
        let inbox = &process.committer;
        let queued = inbox.bell.rung() - self.seen;
        self.linger.observe(std::mem::take(&mut self.calls), queued);
        while inbox.is_empty() {
            if inbox.stop() != RUN {
                return false;
            }
            self.seen = inbox.bell.rung();
            if inbox.is_empty() && inbox.stop() == RUN {
                inbox.bell.wait(self.seen, 1, None);
            }
        }
        if inbox.stop() == ABORT {
            return false;
        }
        if inbox.stop() == RUN
            && let Some(calls) = self.linger.calls_wanted()
            && !process.limits.linger_max.is_zero()
        {
            inbox.bell.wait(self.seen, calls, Some(process.limits.linger_max));
        }
        true
    }

    /// A log alone takes what it likes, logs together take turns.
    fn share(&mut self, logs: &[Arc<LogShared>], process: &Process) -> Share {
        let alone = match logs {
            [log] => Some(log.record.id),
            _ => None,
        };
        let same = alone.is_some() && (self.alone.is_none() || self.alone == alone);
        self.shared_for = if same { self.shared_for.saturating_sub(1) } else { SHARED_FOR_TURNS };
        self.alone = alone;
        let bytes_max = process.limits.batch_bytes_max;
        let bounded = if self.shared_for > 0 { SHARED_BYTES_MAX } else { bytes_max };
        Share { entries_max: process.limits.batch_entries_max, bytes_max: bounded.min(bytes_max) }
    }

    fn observe(&mut self, seen: u64, plans: &[LogPlan]) {
        self.seen = seen;
        self.calls = plans.iter().map(|planned| planned.plan.calls).sum();
    }
}

/// Plans a share of each log; those with more waiting go to the end of the line.
fn plan_all(process: &Process, logs: Vec<Arc<LogShared>>, share: Share) -> Vec<LogPlan> {
    let mut plans = Vec::with_capacity(logs.len());
    for log in logs {
        let (planned, more) = sequencer::next(&log, share);
        plans.extend(planned);
        if more {
            process.committer.list(log);
        }
    }
    plans
}

/// Writes the plans and answers. False if the process must end.
fn commit(process: &Arc<Process>, mut plans: Vec<LogPlan>) -> bool {
    let commits: Vec<LogCommit> =
        plans.iter_mut().filter_map(|planned| planned.plan.commit.take()).collect();
    if commits.is_empty() {
        answer(process, plans);
        return true;
    }
    let started = process.clock.monotonic();
    process.commits.begin(started);
    // THE COMMIT POINT. A crash before this line leaves nothing of these calls; a crash after it leaves
    // all of them, and their callers find them by their deduplication keys or producer rows.
    let outcome = process.engine.commit(&commits);
    match outcome {
        CommitOutcome::Committed => {
            process.commits.succeed();
            let took = process.clock.monotonic().saturating_sub(started);
            let entries = commits.iter().map(|commit| commit.entries.len()).sum();
            let bytes = plans.iter().map(|planned| planned.plan.bytes).sum();
            process.observer.committed(commits.len(), entries, bytes, took);
            advance(process, &plans, &commits);
            answer(process, plans);
            true
        }
        CommitOutcome::NotCommitted(error) => {
            process.commits.fail(process.clock.monotonic());
            tracing::error!(%error, "a commit was not written, its calls are refused");
            process.observer.commit_failed(false);
            refuse(plans, &AppendError::NotCommitted { source: Arc::new(error) });
            true
        }
        CommitOutcome::Ambiguous(error) => {
            tracing::error!(%error, "a commit failed with an unknown outcome");
            end(process, plans, Fatal::OutcomeUnknown)
        }
        CommitOutcome::Conflict { log, found } => {
            tracing::error!(%log, ?found, "another writer moved the head of this log");
            end(process, plans, Fatal::Conflict)
        }
    }
}

/// Makes what was committed the state that readers see and the next plan starts from.
fn advance(process: &Process, plans: &[LogPlan], commits: &[LogCommit]) {
    let mut commits = commits.iter().peekable();
    for LogPlan { log, plan } in plans {
        // Commits are in the order of the plans they come from; some plans had none.
        let Some(commit) = commits.next_if(|commit| commit.log == log.record.id) else { continue };
        let before = log.tree.load().head;
        let after = &plan.next.head;
        let grows = before.size <= after.size && before.time_ms <= after.time_ms;
        check(&*process.observer, grows, Invariant::OnlyGrows);
        for row in &commit.rows {
            if let Row::Log(record) = row {
                log.set_state(record.state);
            }
        }
        log.tree.store(Arc::clone(&plan.next));
        log.set_exists();
        if before.size != after.size {
            log.publisher.wake();
        }
    }
}

fn answer(process: &Arc<Process>, plans: Vec<LogPlan>) {
    let answers: usize = plans.iter().map(|planned| planned.plan.answers.len()).sum();
    if answers < DELIVER_IN_TASK_FROM {
        plans.into_iter().for_each(deliver);
    } else {
        let delivery = async move { plans.into_iter().for_each(deliver) };
        let runtime = &process.runtime;
        drop(tasks::spawn_vital_on(runtime, "deliver", delivery, on_panic(process)));
    }
}

fn deliver(LogPlan { log, plan }: LogPlan) {
    let committed = log.tree.load();
    let durable = plan.next.head.size <= committed.head.size;
    check(&*log.process.observer, durable, Invariant::DurableBeforeAnswered);
    for planned in plan.answers {
        // A send fails only if the caller has gone, and then nobody needs the answer.
        match planned {
            Planned::Append(answer, result) => drop(answer.send(result)),
            Planned::OpenProducer(answer, row) => drop(answer.send(Ok(row))),
            Planned::Rows(answer) => drop(answer.send(Ok(Arc::clone(&plan.next)))),
        }
    }
}

fn refuse(plans: Vec<LogPlan>, error: &AppendError) {
    for planned in plans.into_iter().flat_map(|planned| planned.plan.answers) {
        match planned {
            Planned::Append(answer, _) => drop(answer.send(Err(error.clone()))),
            Planned::OpenProducer(answer, _) => drop(answer.send(Err(error.clone()))),
            Planned::Rows(answer) => drop(answer.send(Err(error.clone()))),
        }
    }
}

/// Nothing more is written or signed; callers whose entries were in the write learn that nobody knows.
fn end(process: &Process, plans: Vec<LogPlan>, fatal: Fatal) -> bool {
    process.halt();
    process.observer.commit_failed(fatal == Fatal::OutcomeUnknown);
    for LogPlan { log, .. } in &plans {
        log.queue.close(&AppendError::ShuttingDown);
    }
    refuse(plans, &AppendError::OutcomeUnknown);
    process.fatal(fatal);
    false
}

/// A row that moves a log to another state; committed like any other.
pub(crate) fn state_row(log: &LogShared, state: LogState) -> Row {
    Row::Log(LogRecord { state, ..log.record.clone() })
}
