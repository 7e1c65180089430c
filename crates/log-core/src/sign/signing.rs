//! The signing thread: signs on demand, journals, then releases.
//!
//! Each turn it takes everybody who waits, signs the newest committed head of each of their logs, writes
//! all records to the journal and syncs once. **The sync is the commit point**: a crash before it leaves
//! a record that counts or does not, of a head nobody saw; after it the head may be released.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use base::tasks;
use bytes::Bytes;
use merkle::TreeSize;
use tokio::sync::oneshot;

use crate::append::committer::DELIVER_IN_TASK_FROM;
use crate::doorbell::Doorbell;
use crate::error::SignError;
use crate::invariants::{Invariant, check};
use crate::life::state::{LogShared, Process};
use crate::types::{SignedHead, TreeView};
use storage::journal::{Journal, JournalError, JournalHead, origin_hash};
use storage::{LogId, LogState, StoredHead};

/// How far the clock may stand behind the last head before signing stops: beyond it, times in
/// signatures would say nothing.
const CLOCK_BEHIND_MAX_MS: u64 = 60_000;

pub(crate) type Answer = oneshot::Sender<Result<Arc<SignedHead>, SignError>>;

/// How the signing thread hears of work.
#[derive(Debug)]
pub(crate) struct SigningInbox {
    /// Callers push, the thread takes.
    requests: Mutex<Vec<(Arc<LogShared>, Answer)>>,
    bell: Doorbell,
    stop: AtomicBool,
    /// The journal cannot be written. Written by the thread.
    failed: AtomicBool,
}

impl SigningInbox {
    pub(crate) fn new() -> Self {
        Self {
            requests: Mutex::new(Vec::new()),
            bell: Doorbell::new(),
            stop: AtomicBool::new(false),
            failed: AtomicBool::new(false),
        }
    }

    fn take(&self) -> Vec<(Arc<LogShared>, Answer)> {
        std::mem::take(&mut *self.requests.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Ends the thread once nobody waits any more.
    pub(crate) fn finish(&self) {
        self.stop.store(true, Ordering::SeqCst);
        self.bell.ring();
    }

    /// The journal cannot be written, and will not be before a restart.
    pub(crate) fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }
}

/// Waits for a released head of at least `size`.
pub(crate) async fn sign_covering(
    log: &Arc<LogShared>,
    size: TreeSize,
) -> Result<Arc<SignedHead>, SignError> {
    let signed = log.signed.load_full();
    if signed.size() >= size {
        return Ok(signed);
    }
    let committed = log.tree.load().head.size;
    if size > committed {
        return Err(SignError::BeyondSize { wanted: size, committed });
    }
    sign_newest(log).await
}

/// Waits until the head that is newest now, or a later one, is released.
pub(crate) async fn sign_newest(log: &Arc<LogShared>) -> Result<Arc<SignedHead>, SignError> {
    let inbox = &log.process.signing;
    if log.process.read_only {
        return Err(SignError::ReadOnly);
    }
    if inbox.stop.load(Ordering::SeqCst) {
        return Err(SignError::ShuttingDown);
    }
    let (answer, answered) = oneshot::channel();
    let request = (Arc::clone(log), answer);
    inbox.requests.lock().unwrap_or_else(PoisonError::into_inner).push(request);
    inbox.bell.ring();
    answered.await.unwrap_or(Err(SignError::ShuttingDown))
}

/// The note of a head that is journaled, signed with all keys of its log. On a thread of its own:
/// ML-DSA-44 takes the better part of a millisecond, for which no request would be served.
pub(crate) async fn sign_with_all_keys(
    log: &Arc<LogShared>,
    view: &Arc<TreeView>,
) -> Result<Bytes, SignError> {
    let (log, view) = (Arc::clone(log), Arc::clone(view));
    let signing = tokio::task::spawn_blocking(move || {
        let keys = log.keys.as_ref().ok_or(SignError::ReadOnly)?;
        keys.sign_all(&log.record.origin, &view).map_err(|error| {
            tracing::error!(log = %log.record.name, %error, "a key could not sign");
            SignError::KeyFailed
        })
    });
    // Cancelled only where the runtime ends.
    signing.await.unwrap_or(Err(SignError::ShuttingDown))
}

/// The thread's body.
pub(crate) fn run(process: &Process, mut journal: Journal) {
    let inbox = &process.signing;
    loop {
        let seen = inbox.bell.rung();
        let requests = inbox.take();
        if !requests.is_empty() {
            turn(process, &mut journal, requests);
        } else if inbox.stop.load(Ordering::SeqCst) {
            return;
        } else {
            inbox.bell.wait(seen, 1, None);
        }
    }
}

/// Signs the heads that a start finds, all with one sync, before anybody can ask.
pub(crate) fn sign_at_start<'a>(
    process: &Process,
    journal: &mut Journal,
    logs: impl Iterator<Item = &'a Arc<LogShared>>,
) -> Result<(), JournalError> {
    let mut signed = Vec::new();
    let mut heads = Vec::new();
    for log in logs.filter(|log| log.state() != LogState::Retired) {
        match sign(process, log) {
            Ok(head) => {
                heads.extend(unjournaled(process, journal, log, &head));
                signed.push((log, head));
            }
            Err(error) => {
                tracing::error!(log = %log.record.name, %error, "the head was not signed at start");
            }
        }
    }
    journal.append(&heads)?;
    for (log, head) in signed {
        release(process, journal, log, &head);
    }
    Ok(())
}

/// A log with everybody who waits for it.
struct Waiting {
    log: Arc<LogShared>,
    answers: Vec<Answer>,
}

pub(crate) fn turn(
    process: &Process,
    journal: &mut Journal,
    requests: Vec<(Arc<LogShared>, Answer)>,
) {
    let mut signed = Vec::new();
    let mut heads = Vec::new();
    for Waiting { log, answers } in by_log(requests) {
        match sign(process, &log) {
            Ok(head) => {
                heads.extend(unjournaled(process, journal, &log, &head));
                signed.push((log, head, answers));
            }
            Err(error) => refuse(answers, &error),
        }
    }
    if let Err(error) = write(process, journal, &heads) {
        for (_, _, answers) in signed {
            refuse(answers, &error);
        }
        return;
    }
    for (log, head, answers) in signed {
        release(process, journal, &log, &head);
        deliver(process, head, answers);
    }
}

/// Answers everybody who waits for a head. Waking callers from outside the runtime costs more than from
/// within, so where there are many a task does it.
fn deliver(process: &Process, head: Arc<SignedHead>, answers: Vec<Answer>) {
    // A send fails only if the caller has gone, and then nobody needs the answer.
    let send = move |answer: Answer| drop(answer.send(Ok(Arc::clone(&head))));
    if answers.len() < DELIVER_IN_TASK_FROM {
        answers.into_iter().for_each(send);
    } else {
        let delivery = async move { answers.into_iter().for_each(send) };
        drop(tasks::spawn_on(&process.runtime, "deliver", delivery));
    }
}

fn by_log(requests: Vec<(Arc<LogShared>, Answer)>) -> Vec<Waiting> {
    let mut waiting: BTreeMap<LogId, Waiting> = BTreeMap::new();
    for (log, answer) in requests {
        let id = log.record.id;
        let entry = waiting.entry(id).or_insert_with(|| Waiting { log, answers: Vec::new() });
        entry.answers.push(answer);
    }
    waiting.into_values().collect()
}

/// Signs the newest committed head of a log. Nobody may see it yet.
fn sign(process: &Process, log: &LogShared) -> Result<Arc<SignedHead>, SignError> {
    if process.is_halted() {
        return Err(SignError::ShuttingDown);
    }
    if process.signing.has_failed() {
        return Err(SignError::JournalUnavailable);
    }
    if log.state() == LogState::Retired {
        return Err(SignError::Retired);
    }
    let view = log.tree.load_full();
    let signed = log.signed.load_full();
    if signed.is_released() && signed.size() == view.head.size {
        return Ok(signed);
    }
    check_clock(process, log, &view.head)?;
    sign_view(log, view)
}

fn check_clock(process: &Process, log: &LogShared, head: &StoredHead) -> Result<(), SignError> {
    let behind_ms = head.time_ms.saturating_sub(process.clock.unix_ms());
    if behind_ms <= CLOCK_BEHIND_MAX_MS {
        return Ok(());
    }
    let behind = std::time::Duration::from_millis(behind_ms);
    process.observer.clock_behind(&log.record.name, behind);
    Err(SignError::ClockBehind { behind_ms })
}

fn sign_view(log: &LogShared, view: Arc<TreeView>) -> Result<Arc<SignedHead>, SignError> {
    let keys = log.keys.as_ref().ok_or(SignError::ReadOnly)?;
    let note = keys.sign_head(&log.record.origin, &view).map_err(|error| {
        tracing::error!(log = %log.record.name, %error, "the key could not sign");
        SignError::KeyFailed
    })?;
    Ok(Arc::new(SignedHead { view, note }))
}

/// The record a head needs, if the journal does not end with it.
fn unjournaled(
    process: &Process,
    journal: &Journal,
    log: &LogShared,
    head: &SignedHead,
) -> Option<JournalHead> {
    let record = journal_head(log, &head.view.head);
    let last = journal.heads().get(&record.origin_hash);
    let one_root = last.is_none_or(|last| {
        last.size < record.size || (last.size == record.size && last.root == record.root)
    });
    check(&*process.observer, one_root, Invariant::OneRootPerSize);
    last.is_none_or(|last| last.size != record.size).then_some(record)
}

fn journal_head(log: &LogShared, head: &StoredHead) -> JournalHead {
    JournalHead {
        origin_hash: origin_hash(log.record.origin.as_str()),
        size: head.size,
        root: head.root,
        time_ms: head.time_ms,
        epoch: head.epoch,
        retired: false,
    }
}

fn write(process: &Process, journal: &mut Journal, heads: &[JournalHead]) -> Result<(), SignError> {
    let started = process.clock.monotonic();
    process.journaling.begin(started);
    if let Err(error) = journal.append(heads) {
        tracing::error!(%error, "the head journal cannot be written, signing stops");
        process.signing.failed.store(true, Ordering::SeqCst);
        process.observer.journal_failed();
        return Err(SignError::JournalUnavailable);
    }
    process.journaling.succeed();
    let took = process.clock.monotonic().saturating_sub(started);
    process.observer.journaled(heads.len(), took);
    Ok(())
}

fn release(process: &Process, journal: &Journal, log: &LogShared, head: &Arc<SignedHead>) {
    let record = journal_head(log, &head.view.head);
    let journaled = journal
        .heads()
        .get(&record.origin_hash)
        .is_some_and(|last| last.size == record.size && last.root == record.root);
    check(&*process.observer, journaled, Invariant::JournaledBeforeReleased);
    log.signed.store(Arc::clone(head));
}

fn refuse(answers: Vec<Answer>, error: &SignError) {
    for answer in answers {
        // A send fails only if the caller has gone, and then nobody needs the answer.
        drop(answer.send(Err(error.clone())));
    }
}
