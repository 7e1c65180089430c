//! Followers behind the write path, and what they cost.

use std::collections::{BTreeMap, VecDeque};
use std::sync::MutexGuard;

use merkle::{LeafIndex, leaf_hash};
use storage::LeafIndexStore as _;
use tokio::task::JoinHandle;

use super::*;
use crate::follow::leaf_index::LeafIndexer;
use crate::follow::{Follow, FollowError, Follower, FollowerHandle, Step};
use crate::read::Reads;

const TICK: Duration = Duration::from_millis(100);
const BUSY_RATE: u64 = 1_000;

/// How a step of the counter fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fail {
    /// Nothing is taken.
    Before(&'static str),
    /// What is taken stays, and the runner is not told.
    Behind(&'static str),
    /// It says that it took nothing.
    Astray,
}

/// Counts entries and the bytes of them and their attachments.
#[derive(Clone, Debug, Default)]
struct Counter {
    /// Outlives the process.
    disk: Arc<Mutex<Disk>>,
    /// Entries of a step that it takes.
    step_max: u64,
}

#[derive(Debug, Default)]
struct Disk {
    /// The bytes of each entry that is taken, by index.
    taken: BTreeMap<LogId, BTreeMap<u64, usize>>,
    /// What becomes of the next steps of a log; the last one stays.
    fails: BTreeMap<LogId, VecDeque<Option<Fail>>>,
    /// The steps that were tried, from index and to size.
    steps: Vec<(LogId, u64, u64)>,
    cursors: u64,
    resets: usize,
}

impl Counter {
    fn new(step_max: u64) -> Self {
        Self { disk: Arc::default(), step_max }
    }

    fn disk(&self) -> MutexGuard<'_, Disk> {
        self.disk.lock().unwrap()
    }

    fn fail(&self, log: &Log, fails: impl IntoIterator<Item = Option<Fail>>) {
        self.disk().fails.insert(log.id(), fails.into_iter().collect());
    }

    fn cursors(&self) -> u64 {
        self.disk().cursors
    }

    fn resets(&self) -> usize {
        self.disk().resets
    }

    /// Entries that are taken, and the bytes of all of them.
    fn taken(&self, log: &Log) -> (u64, usize) {
        let disk = self.disk();
        let Some(taken) = disk.taken.get(&log.id()) else { return (0, 0) };
        (u64::try_from(taken.len()).unwrap(), taken.values().sum())
    }

    /// Forgets what lies at `from` and beyond, as a crash would.
    fn crash(&self, log: &Log, from: u64) {
        self.disk().taken.get_mut(&log.id()).unwrap().retain(|index, _| *index < from);
    }

    /// The steps of a log that were tried since the last call.
    fn steps(&self, log: &Log) -> Vec<(u64, u64)> {
        let steps = std::mem::take(&mut self.disk().steps);
        let of_log = steps.into_iter().filter(|(id, ..)| *id == log.id());
        of_log.map(|(_, start, end)| (start, end)).collect()
    }
}

impl Follower for Counter {
    fn name(&self) -> &'static str {
        "counter"
    }

    fn follows(&self, log: &Log) -> bool {
        !log.name().as_str().starts_with("not-")
    }

    async fn cursor(&self, log: &Log) -> Result<TreeSize, FollowError> {
        self.disk().cursors += 1;
        Ok(size(self.taken(log).0))
    }

    async fn apply(&self, step: Step) -> Result<TreeSize, FollowError> {
        let (id, start) = (step.log().id(), step.start().get());
        let own = |kind| Err(FollowError::Own { kind, source: "on purpose".into() });
        let end = step.end().get().min(start + self.step_max);
        let mut disk = self.disk();
        disk.steps.push((id, start, step.end().get()));
        let fails = disk.fails.entry(id).or_default();
        let fail = if fails.len() > 1 { fails.pop_front() } else { fails.front().copied() };
        match fail.flatten() {
            Some(Fail::Before(kind)) => return own(kind),
            Some(Fail::Astray) => return Ok(size(start)),
            Some(Fail::Behind(_)) | None => {}
        }
        let taken = disk.taken.entry(id).or_default();
        let mut at = start;
        while at < end {
            let left = usize::try_from(end - at).unwrap();
            for entry in step.entries(LeafIndex::new(at).unwrap(), 1_000)?.iter().take(left) {
                let beside = step.attachments(LeafIndex::new(at).unwrap())?;
                let kept = beside.iter().filter_map(Beside::kept);
                let bytes = entry.len() + kept.map(|kept| kept.bytes.len()).sum::<usize>();
                let before = taken.insert(at, bytes);
                assert!(before.is_none_or(|before| before == bytes), "entry {at} differs");
                at += 1;
            }
        }
        match fail.flatten() {
            Some(Fail::Behind(kind)) => own(kind),
            _ => Ok(size(at)),
        }
    }

    async fn reset(&self, log: &Log) -> Result<(), FollowError> {
        let mut disk = self.disk();
        disk.resets += 1;
        disk.taken.remove(&log.id());
        Ok(())
    }
}

struct Running {
    handle: FollowerHandle,
    task: JoinHandle<()>,
}

impl Running {
    async fn stop(self) {
        self.task.abort();
        assert!(self.task.await.unwrap_err().is_cancelled());
    }
}

impl Rig {
    fn reads(&self) -> Arc<Reads> {
        Arc::new(Reads::new(Arc::<FaultyEngine>::clone(&self.engine), 1 << 20))
    }

    fn follow(&self, registry: &Registry, follower: impl Follower) -> Running {
        let follow = Follow::new(follower, registry.clone(), self.reads(), BUSY_RATE);
        let handle = follow.handle();
        Running { handle, task: tokio::spawn(Arc::new(follow).run()) }
    }

    /// Lets the time pass, a tick at a time, until something is so.
    async fn until(&self, mut so: impl FnMut() -> bool) {
        while !so() {
            self.clock.advance(TICK);
            settle().await;
        }
    }
}

/// Lets the tasks of a runtime with one thread do what they can do now.
async fn settle() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}

/// Entries of which each third has an attachment, and the bytes of all of it.
fn attached(first: u64, count: u64) -> (Submission, usize) {
    let mut call = numbered(first, count);
    for entry in call.entries.iter_mut().step_by(3) {
        let bytes = Bytes::from(vec![7; 100]);
        entry.attachments = vec![Attachment { kind: 1, key_id: 0, bytes }];
    }
    let bytes = call.entries.iter().map(NewEntry::bytes).sum();
    (call, bytes)
}

#[tokio::test]
async fn a_follower_goes_from_append_to_back_fill_restart_and_rebuild() {
    let mut rig = Rig::new();
    let (registry, log) = rig.start().await;
    let other = registry.create(new_log("other")).await.unwrap();
    let (call, mut bytes) = attached(0, 700);
    log.append(call).await.unwrap();
    other.append(numbered(0, 3)).await.unwrap();

    let counter = Counter::new(100);
    let fails = [Fail::Before("full"), Fail::Behind("gone"), Fail::Astray].map(Some);
    counter.fail(&log, fails.into_iter().chain([None]));
    let running = rig.follow(&registry, counter.clone());
    rig.until(|| counter.taken(&log) == (700, bytes) && counter.taken(&other).0 == 3).await;
    let starts: Vec<u64> = counter.steps(&log).iter().map(|(start, _)| *start).collect();
    assert_eq!(starts, [0, 0, 100, 100, 200, 300, 400, 500, 600], "it asks how far it came");
    let (call, more) = attached(700, 50);
    bytes += more;
    log.append(call).await.unwrap();
    rig.until(|| counter.taken(&log) == (750, bytes)).await;
    assert_eq!(running.handle.lag_entries(), 0);

    // We crash, the follower forgets its end, and the log grows before it comes back.
    running.stop().await;
    counter.crash(&log, 310);
    drop((log, other));
    rig.kill(registry).await;
    let registry = rig.open().unwrap();
    let [log, other] = ["default", "other"].map(|name| registry.log(name).unwrap());
    let (call, more) = attached(750, 10);
    bytes += more;
    log.append(call).await.unwrap();
    drop(counter.steps(&log));
    let running = rig.follow(&registry, counter.clone());
    rig.until(|| counter.taken(&log) == (760, bytes)).await;
    assert_eq!(counter.steps(&log)[0], (310, 760), "it goes on where it was");
    assert_eq!(counter.resets(), 0);

    running.handle.rebuild(&log);
    rig.until(|| counter.resets() == 1).await;
    rig.until(|| counter.taken(&log) == (760, bytes)).await;
    assert_eq!(counter.steps(&log)[0], (0, 760));
    assert_eq!(counter.taken(&other).0, 3, "the other log stays");
    log.append(numbered(760, 1)).await.unwrap();
    rig.until(|| counter.taken(&log).0 == 761).await;
    assert_eq!(counter.resets(), 1);
    registry.shutdown().await;
}

#[tokio::test]
async fn a_cursor_beyond_the_log_starts_again_from_zero_and_one_at_its_end_does_not() {
    for (cursor, resets) in [(5, 0), (6, 1)] {
        let rig = Rig::new();
        let (registry, log) = rig.start().await;
        log.append(numbered(0, 5)).await.unwrap();
        let counter = Counter::new(100);
        counter.disk().taken.insert(log.id(), (0..cursor).map(|index| (index, 7)).collect());
        let running = rig.follow(&registry, counter.clone());
        settle().await;
        assert_eq!((counter.resets(), counter.taken(&log).0), (resets, 5), "{cursor}");
        running.stop().await;
        registry.shutdown().await;
    }
}

#[tokio::test]
async fn trouble_of_one_log_pauses_longer_and_holds_up_no_other() {
    let rig = Rig::new();
    let (registry, bad) = rig.start().await;
    let good = registry.create(new_log("good")).await.unwrap();
    bad.append(numbered(0, 5)).await.unwrap();
    let counter = Counter::new(100);
    counter.fail(&bad, [Some(Fail::Before("full"))]);
    let running = rig.follow(&registry, counter.clone());
    settle().await;
    let mut tries = vec![];
    for tick in 0..40 {
        tries.extend(counter.steps(&bad).iter().map(|_| tick));
        good.append(numbered(tick, 1)).await.unwrap();
        rig.clock.advance(TICK);
        settle().await;
        assert_eq!(counter.taken(&good).0, tick + 1, "the other log goes on");
    }
    assert_eq!(tries, [0, 1, 3, 7, 15, 31]);
    assert_eq!(running.handle.lag_entries(), 5);
    counter.fail(&bad, [None]);
    rig.until(|| counter.taken(&bad).0 == 5).await;
    assert_eq!(running.handle.lag_entries(), 0);
    registry.shutdown().await;
}

#[tokio::test]
async fn logs_take_turns() {
    let rig = Rig::new();
    let (registry, long) = rig.start().await;
    let short = registry.create(new_log("short")).await.unwrap();
    long.append(numbered(0, 100)).await.unwrap();
    short.append(numbered(0, 3)).await.unwrap();
    let counter = Counter::new(1);
    let running = rig.follow(&registry, counter.clone());
    rig.until(|| counter.taken(&long).0 == 100).await;
    let steps: Vec<LogId> = counter.disk().steps.iter().map(|(id, ..)| *id).collect();
    assert_eq!(steps.len(), 103);
    assert!(steps[6..].iter().all(|id| *id == long.id()), "{:?}", &steps[..9]);
    running.stop().await;
    registry.shutdown().await;
}

#[tokio::test]
async fn a_busy_log_is_followed_at_the_busy_rate_until_it_is_quieter() {
    let rig = Rig::new();
    let (registry, log) = rig.start().await;
    log.append(numbered(0, 2_500)).await.unwrap();
    let counter = Counter::new(u64::MAX >> 1);
    let running = rig.follow(&registry, counter.clone());
    settle().await;
    for first in [2_500, 5_000] {
        log.append(numbered(first, 2_500)).await.unwrap();
        settle().await;
        rig.clock.advance(TICK);
        settle().await;
    }
    assert_eq!(running.handle.lag_entries(), 4_800);
    rig.clock.advance(TICK);
    settle().await;
    assert_eq!(counter.steps(&log), [(0, 2_500), (2_500, 2_600), (2_600, 2_700), (2_700, 7_500)]);
    registry.shutdown().await;
}

#[tokio::test]
async fn new_logs_are_picked_up_and_those_it_does_not_follow_are_not() {
    let rig = Rig::new();
    let (registry, log) = rig.start().await;
    let counter = Counter::new(100);
    let running = rig.follow(&registry, counter.clone());
    settle().await;
    let [new, not] = ["new", "not-this"].map(new_log);
    let (new, not) = (registry.create(new).await.unwrap(), registry.create(not).await.unwrap());
    for log in [&log, &not, &new] {
        log.append(numbered(0, 4)).await.unwrap();
    }
    rig.until(|| counter.taken(&log).0 == 4 && counter.taken(&new).0 == 4).await;
    assert_eq!((counter.taken(&not).0, counter.cursors()), (0, 2));
    assert_eq!(running.handle.lag_entries(), 0);
    running.handle.rebuild(&not);
    rig.clock.advance(TICK);
    settle().await;
    assert_eq!(counter.resets(), 0);
    registry.shutdown().await;
}

#[tokio::test]
async fn logs_that_are_read_only_are_not_followed() {
    let mut rig = Rig::new();
    let (registry, log) = rig.start().await;
    log.append(numbered(0, 4)).await.unwrap();
    registry.shutdown().await;
    drop(log);
    rig.kill(registry).await;
    rig.read_only = true;
    let registry = rig.open().unwrap();
    let counter = Counter::new(100);
    let running = rig.follow(&registry, counter.clone());
    rig.clock.advance(TICK);
    settle().await;
    assert_eq!((counter.cursors(), counter.disk().steps.len()), (0, 0));
    running.stop().await;
}

/// Ten thousand logs of which one is written to: the others cost a look at the start and none after it.
#[tokio::test(flavor = "multi_thread")]
async fn idle_logs_cost_nothing() {
    const IDLE: u32 = 9_999;
    const LOGS: u64 = 10_000;
    let mut rig = Rig::new();
    let (registry, log) = rig.start().await;
    (1..=IDLE).for_each(|id| registry.add_idle(id));
    let before = rig.engine.reads();
    let counter = Counter::new(100);
    let counting = rig.follow(&registry, counter.clone());
    let indexing = rig.follow(&registry, LeafIndexer::new(rig.engine.clone()));
    rig.until(|| counter.cursors() == LOGS).await;
    // Of each log: the index says how far it is.
    rig.until(|| rig.engine.reads() - before == LOGS).await;
    for number in 0..20 {
        log.append(numbered(number, 1)).await.unwrap();
        rig.until(|| counting.handle.lag_entries() + indexing.handle.lag_entries() == 0).await;
    }
    assert_eq!(rig.engine.leaf_indexed_to(log.id()).unwrap(), size(20));
    assert_eq!(counter.taken(&log).0, 20);
    // Each append: the counter reads an entry and its attachments, and the index is written.
    let (reads, steps) = (rig.engine.reads() - before - LOGS, counter.steps(&log).len());
    assert!(reads <= 1 + 20 * 3 && steps == 20, "{reads} reads in {steps} steps");
    let before = rig.engine.reads();
    for _ in 0..1_000 {
        rig.clock.advance(TICK);
        settle().await;
    }
    assert_eq!((rig.engine.reads(), counter.cursors()), (before, LOGS));
    drop(log);
    for running in [counting, indexing] {
        running.stop().await;
    }
    rig.kill(registry).await;
}

#[tokio::test]
async fn the_leaf_index_survives_failing_reads_and_a_rebuild() {
    let rig = Rig::new();
    let (registry, log) = rig.start().await;
    log.append(numbered(0, 600)).await.unwrap();
    rig.engine.fail_reads(true);
    let running = rig.follow(&registry, LeafIndexer::new(rig.engine.clone()));
    rig.clock.advance(TICK);
    settle().await;
    rig.engine.fail_reads(false);
    let indexed = || rig.engine.leaf_indexed_to(log.id()).unwrap().get();
    rig.until(|| indexed() == 600).await;
    let look_up = |text: &str| {
        let leaf = leaf_hash(text.as_bytes());
        let candidates = rig.engine.leaf_index_get(log.id(), &leaf, 9).unwrap();
        candidates.indexes.into_iter().map(LeafIndex::get).collect::<Vec<_>>()
    };
    assert_eq!((look_up("entry 599"), look_up("entry 600")), (vec![599], vec![]));
    rig.engine.leaf_index_forget(log.id()).unwrap();
    settle().await;
    assert_eq!(look_up("entry 599"), [], "nobody looks at the cursor again");
    running.handle.rebuild(&log);
    rig.until(|| indexed() == 600).await;
    assert_eq!((look_up("entry 599"), look_up("entry 600")), (vec![599], vec![]));
    registry.shutdown().await;
}
