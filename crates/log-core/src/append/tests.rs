//! The committer without its thread: the tests decide when it takes a step, what time it is then and
//! which write fails. Everything runs on one thread, so each case is the same in every run. The tests enter
//! a runtime but do not run on it: within a task, tokio would make polls fail after a while.

use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Mutex;
use std::time::Duration;

use base::clock::checked::CheckedClock;
use base::clock::{Clock, ManualClock};
use base::secret::Secret;
use base::tasks::Supervisor;
use bytes::Bytes;
use futures_util::FutureExt as _;
use merkle::{LeafIndex, TreeSize, leaf_hashes};
use storage::faulty::{Fault, FaultyEngine};
use storage::memory::MemoryEngine;
use storage::{DedupKey, Engine, LogId, LogKind, LogName, Scope, SecretCheck, stamp};
use tokio::runtime::Runtime;

use super::*;
use crate::error::Fatal;
use crate::growth::Growth;
use crate::health::Health;
use crate::inbox::Doorbell;
use crate::observe::Unobserved;
use crate::types::{Committed, EntryOutcome, Submission};

mod stamped;

const START_MS: u64 = 1_700_000_000_000;

/// One process with one log, and nobody but the test to run it.
struct Sim {
    engine: Arc<FaultyEngine>,
    clock: Arc<ManualClock>,
    committer: Committer,
    append: Append,
    around: Arc<Surroundings>,
    fatals: Arc<Mutex<Vec<Fatal>>>,
    /// The committer said that the process must end.
    ended: bool,
}

impl Sim {
    /// Starts over what `engine` holds, and creates the log if it is not there.
    fn start(engine: FaultyEngine) -> Self {
        Self::of_kind(LogKind::Plain, engine)
    }

    fn of_kind(kind: LogKind, engine: FaultyEngine) -> Self {
        let engine = Arc::new(engine);
        let clock = Arc::new(ManualClock::new(START_MS));
        let fatals = Arc::<Mutex<Vec<Fatal>>>::default();
        let told = Arc::clone(&fatals);
        let below = Arc::clone(&clock) as Arc<dyn Clock>;
        let checked = CheckedClock::new(below, Duration::from_hours(24), PathBuf::new());
        let around = Arc::new(Surroundings {
            clock: Arc::new(checked),
            observer: Arc::new(Unobserved),
            supervisor: Supervisor::new(),
            health: Health::new(0),
            growth: Growth::default(),
            on_fatal: Arc::new(move |fatal| told.lock().unwrap().push(fatal)),
        });
        let limits = Arc::new(crate::testing::limits());
        let inbox = Arc::new(Inbox::new(1, Doorbell::new()));
        let store = Arc::clone(&engine) as Arc<dyn Engine>;
        let (parts, created) = found(kind, &engine);
        let append = Append::new(
            Arc::new(Line::new(parts)),
            Arc::clone(&inbox),
            Arc::new(Gate::open()),
            Arc::clone(&limits),
            Arc::clone(&around),
            false,
        );
        let committer = Committer::new(store, inbox, limits, Arc::clone(&around));
        let mut sim = Self { engine, clock, committer, append, around, fatals, ended: false };
        if !created {
            let row = Row::Log(LogRecord::clone(sim.append.record()));
            let append = sim.append.clone();
            let mut creation = Box::pin(async move { append.commit_rows(vec![row]).await });
            assert!(creation.as_mut().now_or_never().is_none());
            sim.step();
            creation.now_or_never().unwrap().unwrap();
        }
        sim
    }

    fn step(&mut self) {
        if !self.ended {
            self.ended = !self.committer.step(self.clock.unix_ms());
        }
    }

    fn call(&self, data: &'static str, key: Option<&'static str>) -> Call {
        let dedup = key.map(|key| DedupKey { scope: Scope::ANONYMOUS, key: Bytes::from(key) });
        let append = self.append.clone();
        let submission = Submission::single(Bytes::from(data), dedup);
        let future = Box::pin(async move { append.append(submission).await });
        let mut call = Call { data, future, answer: None };
        call.poll();
        call
    }

    /// The entries of the store, in their order.
    fn stored(&self) -> Vec<Bytes> {
        let id = self.append.record().id;
        let entries = self.engine.entries(id, LeafIndex::new(0).unwrap(), 100, 1 << 20);
        entries.unwrap().into_iter().map(|entry| entry.data).collect()
    }

    /// The next process, over what this one has left if it is killed now.
    fn restarted(&self) -> Self {
        Self::of_kind(self.append.record().kind, self.engine.restart())
    }
}

/// The log as a store has it, and whether it has it.
fn found(kind: LogKind, engine: &FaultyEngine) -> (LineParts, bool) {
    let id = LogId::new(1).unwrap();
    let secret = (kind == LogKind::Audit).then(|| Arc::new(Secret::generate().unwrap()));
    let record = LogRecord {
        id,
        name: LogName::new("default").unwrap(),
        origin: formats::Origin::new("log.example/default").unwrap(),
        created_ms: START_MS,
        kind,
        secret_check: secret.as_ref().map(|_| SecretCheck([7; 32])),
        deduplicate_entries: false,
        state: LogState::Active,
    };
    let mut tree = TreeView::empty(START_MS);
    let mut newest_ns = 0;
    let head = engine.head(id).unwrap();
    if let Some(head) = head {
        let entries = engine.entries(id, LeafIndex::new(0).unwrap(), 100, 1 << 20).unwrap();
        let data: Vec<&[u8]> = entries.iter().map(|entry| &entry.data[..]).collect();
        tree.frontier.append(&leaf_hashes(&data));
        assert_eq!((tree.frontier.size(), tree.frontier.root()), (head.size, head.root));
        tree.head = head;
        if let (LogKind::Audit, Some(last)) = (kind, data.last()) {
            newest_ns = stamp::time_ns(last).unwrap();
        }
    }
    let time_floor_ms = tree.head.time_ms;
    let (record, tree, exists) = (Arc::new(record), Arc::new(tree), head.is_some());
    (LineParts { record, time_floor_ms, tree, newest_ns, exists, secret }, exists)
}

type Answer = Result<Committed, AppendError>;

/// A caller and what it was told.
struct Call {
    data: &'static str,
    future: Pin<Box<dyn Future<Output = Answer>>>,
    answer: Option<Answer>,
}

impl Call {
    fn poll(&mut self) {
        if self.answer.is_none() {
            self.answer = self.future.as_mut().now_or_never();
        }
    }

    /// The index that the caller was told, and whether the entry was there before.
    fn told(&self) -> Option<(usize, bool)> {
        match &self.answer.as_ref()?.as_ref().ok()?.outcomes[..] {
            [EntryOutcome::Appended { index, duplicate, .. }] => {
                Some((usize::try_from(index.get()).unwrap(), *duplicate))
            }
            other => panic!("{other:?}"),
        }
    }
}

/// One case: three calls, the first two of them with one key, a fault in one of the writes, and a step
/// after some of the calls.
fn run(fault: Option<Fault>, after: u64, steps: u8) {
    let case = format!("{fault:?} after {after} commits, steps {steps:03b}");
    let mut sim = Sim::start(FaultyEngine::new(Arc::new(MemoryEngine::new())));
    if let Some(fault) = fault {
        sim.engine.fail_commit(fault, after);
    }
    let mut calls = Vec::new();
    for (number, (data, key)) in
        [("a", Some("k")), ("a", Some("k")), ("b", None)].iter().enumerate()
    {
        calls.push(sim.call(data, *key));
        assert!(calls[number].answer.is_none() || sim.ended, "{case}: answered before any write");
        if steps & (1 << number) != 0 {
            sim.clock.advance(Duration::from_secs(1));
            sim.step();
        }
        // An operator sets the clock back between the steps.
        sim.clock.set_unix_ms(START_MS - 1_000);
        calls.iter_mut().for_each(Call::poll);
    }
    sim.step();
    calls.iter_mut().for_each(Call::poll);
    let told: Vec<_> = calls.iter().map(Call::told).collect();
    let ended = sim;
    let mut sim = ended.restarted();
    let before = sim.stored();
    check(&case, fault, &ended, &calls, &before);
    assert!(sim.append.tree().load().head.time_ms >= START_MS, "{case}: the time went back");
    let mut again = sim.call("a", Some("k"));
    sim.step();
    again.poll();
    let (index, duplicate) = again.told().unwrap_or_else(|| panic!("{case}: {:?}", again.answer));
    assert_eq!(duplicate, before.contains(&Bytes::from("a")), "{case}");
    assert!(told[..2].iter().flatten().all(|told| told.0 == index), "{case}: another index");
    assert_eq!(sim.stored().iter().filter(|data| &data[..] == b"a").count(), 1, "{case}");
}

/// Every caller has an answer, and the answer is true of what is stored.
fn check(case: &str, fault: Option<Fault>, sim: &Sim, calls: &[Call], stored: &[Bytes]) {
    for call in calls {
        let data = Bytes::from(call.data);
        match call.answer.as_ref().unwrap_or_else(|| panic!("{case}: no answer")) {
            Ok(_) => assert_eq!(stored[call.told().unwrap().0], data, "{case}"),
            Err(AppendError::NotCommitted { .. }) => {
                assert_eq!(fault, Some(Fault::NotIssued), "{case}");
            }
            // What one call wrote, another with its key may have written.
            Err(AppendError::OutcomeUnknown) => {
                assert!(sim.ended, "{case}");
                let kept = fault == Some(Fault::Persisted);
                assert!(!kept || stored.contains(&data), "{case}");
            }
            Err(AppendError::ShuttingDown) => assert!(sim.ended, "{case}"),
            Err(other) => panic!("{case}: {other}"),
        }
    }
    let ambiguous =
        calls.iter().any(|call| matches!(call.answer, Some(Err(AppendError::OutcomeUnknown))));
    assert_eq!(sim.ended, ambiguous, "{case}");
    assert_eq!(sim.around.health.is_halted(), sim.ended, "{case}");
    let fatals = if sim.ended { vec![Fatal::OutcomeUnknown] } else { vec![] };
    assert_eq!(*sim.fatals.lock().unwrap(), fatals, "{case}");
    let read = sim.append.tree().load().head.size;
    let written = TreeSize::new(u64::try_from(stored.len()).unwrap()).unwrap();
    assert!(read <= written, "{case}: read before it was written");
}

#[test]
fn every_fault_in_every_write_under_every_schedule_tells_the_truth() {
    let runtime = Runtime::new().unwrap();
    let _inside = runtime.enter();
    for steps in 0..8 {
        for after in 0..3 {
            for fault in Fault::ALL {
                run(Some(fault), after, steps);
            }
        }
        run(None, 0, steps);
    }
}

#[test]
fn a_step_with_nothing_to_do_writes_nothing() {
    let runtime = Runtime::new().unwrap();
    let _inside = runtime.enter();
    let mut sim = Sim::start(FaultyEngine::new(Arc::new(MemoryEngine::new())));
    let before = sim.engine.commits();
    sim.step();
    assert_eq!((sim.engine.commits(), sim.ended), (before, false));
}

#[test]
fn calls_of_one_step_share_one_write() {
    let runtime = Runtime::new().unwrap();
    let _inside = runtime.enter();
    let mut sim = Sim::start(FaultyEngine::new(Arc::new(MemoryEngine::new())));
    let before = sim.engine.commits();
    let mut calls = [sim.call("a", None), sim.call("b", None), sim.call("c", None)];
    sim.step();
    calls.iter_mut().for_each(Call::poll);
    let told: Vec<_> = calls.iter().map(Call::told).collect();
    assert_eq!(told, [Some((0, false)), Some((1, false)), Some((2, false))]);
    assert_eq!(sim.engine.commits(), before + 1);
}
