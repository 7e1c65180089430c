//! What every engine must do. Each case gets a fresh, empty engine.

#![expect(clippy::unwrap_used, reason = "a test fails where its fixtures do")]

mod beside;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;

use bytes::Bytes;
use merkle::tile::TileCoord;
use merkle::{Hash, LeafIndex, leaf_hash};
use tempfile::TempDir;

use super::testing::{Planner, attachment, entries, entry, index, key, keyed, size, unkeyed};
use super::{
    ArchivedCheckpoint, Attachment, CommitOutcome, DedupId, Engine, LeafCandidates, LogCommit,
    LogId, LogState, ProducerId, ProducerRow, Row, Scope, StorageError, Store, StoredEntry,
    Unpurged,
};

/// One thing an engine must do.
type Case = (&'static str, fn(&dyn Store));

/// A breach of the contract of commits.
type Breach = (&'static str, fn(&mut LogCommit));

/// A fresh engine, and the folder it lives in.
#[expect(missing_debug_implementations, reason = "engines have none")]
pub struct Opened {
    pub engine: Arc<dyn Store>,
    pub folder: Option<TempDir>,
}

/// Runs every case on an engine that `open` makes.
pub fn run(open: &dyn Fn() -> Opened) {
    let cases: [Case; 19] = [
        ("empty store", empty_store),
        ("create and append", create_and_append),
        ("level one tiles", level_one_tiles),
        ("entry limits", entry_limits),
        ("longest and shortest", longest_and_shortest),
        ("conflict writes nothing", conflict_writes_nothing),
        ("logs share a commit", logs_share_a_commit),
        ("contract", contract),
        ("attachments", beside::attachments),
        ("erasures", beside::erasures),
        ("purging", beside::purging),
        ("lookup rows", lookup_rows),
        ("digests", beside::digests),
        ("archive", archive),
        ("leaf index", leaf_index),
        ("leaf index is forgotten", leaf_index_is_forgotten),
        ("records change", records_change),
        ("logs do not touch", logs_do_not_touch),
        ("readers see whole commits", readers_see_whole_commits),
    ];
    for (name, case) in cases {
        let Opened { engine, folder } = open();
        let outcome = catch_unwind(AssertUnwindSafe(|| case(&*engine)));
        assert!(outcome.is_ok(), "case failed: {name}");
        drop(engine);
        drop(folder);
    }
}

/// Commits, and expects it to succeed.
pub fn commit(engine: &dyn Engine, batch: &[LogCommit]) {
    let outcome = engine.commit(batch);
    assert!(matches!(outcome, CommitOutcome::Committed), "{outcome:?}");
}

/// Compares everything stored below a planner's head with what it planned.
pub fn assert_holds(engine: &dyn Engine, planner: &Planner, expected: &[StoredEntry]) {
    let log = planner.log();
    assert_eq!(engine.head(log).unwrap(), planner.head);
    assert_eq!(u64::try_from(expected.len()).unwrap(), planner.size());
    let found = engine.entries(log, index(0), usize::MAX, usize::MAX).unwrap();
    for (at, (found, expected)) in (0..).zip(found.iter().zip(expected)) {
        assert!(found.data == expected.data && found.dedup == expected.dedup, "entry {at} differs");
    }
    assert_eq!(found.len(), expected.len());
    for number in 0..planner.size() / 256 {
        let tile = engine.tile(log, TileCoord { level: 0, index: number }).unwrap();
        let first = usize::try_from(number * 256).unwrap();
        let leaves = expected[first..first + 256].iter().map(|entry| leaf_hash(&entry.data));
        assert!(tile.unwrap().iter().copied().eq(leaves), "tile {number} differs");
    }
}

fn empty_store(engine: &dyn Store) {
    let log = Planner::new(1).log();
    commit(engine, &[]);
    assert_eq!(engine.head(log).unwrap(), None);
    assert!(engine.logs().unwrap().is_empty());
    assert!(engine.entries(log, index(0), 10, 10).unwrap().is_empty());
    assert!(engine.tile(log, TileCoord { level: 0, index: 0 }).unwrap().is_none());
    assert_eq!(engine.dedup(log, &[key(1).id()]).unwrap(), [None]);
    assert_eq!(engine.producer(log, &ProducerId([1; 16])).unwrap(), None);
    assert!(engine.attachments(log, index(0)).unwrap().is_empty());
    assert_eq!(engine.unpurged().unwrap(), []);
    engine.purge(&Unpurged { log, by: index(1), entries: vec![index(0)] }).unwrap();
    assert!(engine.checkpoints(log, size(0), None, 10).unwrap().is_empty());
    assert_eq!(engine.leaf_indexed_to(log).unwrap(), size(0));
    engine.leaf_index_forget(log).unwrap();
    assert_eq!(candidates(engine, log, &Hash::EMPTY_ROOT, 10), (0, vec![]));
    assert!(engine.free_bytes().unwrap() > 0);
    engine.flush().unwrap();
}

fn create_and_append(engine: &dyn Store) {
    let mut planner = Planner::new(1);
    commit(engine, &[planner.create()]);
    assert_eq!(engine.logs().unwrap(), [planner.record.clone()]);
    assert_holds(engine, &planner, &[]);
    let mut all = vec![];
    for count in [1, 254, 1, 1, 255, 300, 0, 1_000] {
        let added = entries(planner.size(), count);
        all.extend(added.clone());
        commit(engine, &[planner.append(added)]);
        assert_holds(engine, &planner, &all);
    }
    engine.flush().unwrap();
    assert_holds(engine, &planner, &all);
}

fn level_one_tiles(engine: &dyn Store) {
    let mut planner = Planner::new(1);
    commit(engine, &[planner.create()]);
    commit(engine, &[planner.append(entries(0, 65_535))]);
    let coord = TileCoord { level: 1, index: 0 };
    assert!(engine.tile(planner.log(), coord).unwrap().is_none());
    commit(engine, &[planner.append(entries(65_535, 1))]);
    let tile = engine.tile(planner.log(), coord).unwrap().unwrap();
    let first = engine.tile(planner.log(), TileCoord { level: 0, index: 0 }).unwrap().unwrap();
    assert_eq!(tile[0], merkle::tile::root_of(&first[..]));

    // What was just written is at hand, what is not there never is, and the disk changes no tile.
    let at_hand = |coord| engine.tile_at_hand(planner.log(), coord).unwrap();
    assert!(at_hand(coord).is_some_and(|found| found == tile));
    assert!(at_hand(TileCoord { level: 1, index: 1 }).is_none());
    engine.flush().unwrap();
    assert!(at_hand(coord).is_none_or(|found| found == tile));
}

fn entry_limits(engine: &dyn Store) {
    let mut planner = Planner::new(1);
    commit(engine, &[planner.create()]);
    let data = |len: usize| unkeyed(vec![7; len]);
    commit(engine, &[planner.append(vec![data(100), data(1_000), data(100)])]);
    let count = |start, limit, bytes_max| {
        engine.entries(planner.log(), index(start), limit, bytes_max).unwrap().len()
    };
    assert_eq!(count(0, 0, usize::MAX), 0);
    assert_eq!(count(0, 2, usize::MAX), 2);
    assert_eq!(count(0, 9, usize::MAX), 3);
    assert_eq!(count(0, 9, 0), 1, "at least one");
    assert_eq!(count(1, 9, 10), 1, "at least one, however large");
    assert_eq!(count(0, 9, 1_150), 2);
    assert_eq!(count(2, 9, 10_000), 1);
    assert_eq!(count(3, 9, 10_000), 0);
    assert_eq!(count((1 << 63) - 2, usize::MAX, usize::MAX), 0);
}

fn longest_and_shortest(engine: &dyn Store) {
    let mut planner = Planner::new(1);
    commit(engine, &[planner.create()]);
    let long_key = super::DedupKey { scope: Scope([0xab; 16]), key: Bytes::from(vec![0xff; 64]) };
    let all = vec![
        unkeyed(vec![0]),
        StoredEntry { dedup: Some(long_key), ..unkeyed(vec![1; 65_535]) },
        unkeyed(vec![2; 65_535]),
    ];
    commit(engine, &[planner.append(all.clone())]);
    assert_holds(engine, &planner, &all);
}

fn conflict_writes_nothing(engine: &dyn Store) {
    let (mut one, mut two) = (Planner::new(1), Planner::new(2));
    commit(engine, &[one.create(), two.create()]);
    let mut stale = two.clone();
    commit(engine, &[two.append(entries(0, 3))]);
    let before = one.clone();
    let outcome = engine.commit(&[one.append(entries(0, 2)), stale.append(entries(0, 1))]);
    let CommitOutcome::Conflict { log, found } = outcome else {
        panic!("{outcome:?}");
    };
    assert_eq!((log, found), (two.log(), two.head));
    assert_holds(engine, &before, &[]);
    assert_holds(engine, &two, &entries(0, 3));
    // Creating a log that exists is a conflict too, and so is writing to one that does not.
    assert!(matches!(
        engine.commit(&[Planner::new(1).create()]),
        CommitOutcome::Conflict { found: Some(_), .. }
    ));
    let mut missing = Planner::new(3);
    drop(missing.create());
    assert!(matches!(
        engine.commit(&[missing.append(entries(0, 1))]),
        CommitOutcome::Conflict { found: None, .. }
    ));
    // The engine goes on.
    let mut one = before;
    commit(engine, &[one.append(entries(0, 2))]);
    assert_holds(engine, &one, &entries(0, 2));
}

fn logs_share_a_commit(engine: &dyn Store) {
    let mut planners: Vec<Planner> = (0..20).map(Planner::new).collect();
    let creations: Vec<LogCommit> = planners.iter_mut().map(Planner::create).collect();
    commit(engine, &creations);
    let batch: Vec<LogCommit> = (1..)
        .zip(&mut planners)
        .map(|(number, planner)| planner.append(entries(number * 1_000, number * 30)))
        .collect();
    commit(engine, &batch);
    for (number, planner) in (1..).zip(&planners) {
        assert_holds(engine, planner, &entries(number * 1_000, number * 30));
    }
    let names: Vec<_> = engine.logs().unwrap().into_iter().map(|record| record.id).collect();
    assert_eq!(names, planners.iter().map(Planner::log).collect::<Vec<_>>());
}

/// Each breach is refused, by a panic or by an error, and nothing is written.
fn contract(engine: &dyn Store) {
    let mut planner = Planner::new(1);
    commit(engine, &[planner.create()]);
    commit(engine, &[planner.append(entries(0, 200))]);
    let next = planner.clone().append(entries(200, 100));
    let breaches: [Breach; 12] = [
        ("an entry too few", |commit| drop(commit.entries.pop())),
        ("a tile missing", |commit| commit.tiles.clear()),
        ("a tile that is not full", |commit| commit.tiles[0].0.index = 1),
        ("a tile of another level", |commit| commit.tiles[0].0.level = 1),
        ("time going back", |commit| commit.new.time_ms = 0),
        ("an empty entry", |commit| commit.entries[3].data = Bytes::new()),
        ("a long entry", |commit| commit.entries[3].data = vec![0; 65_536].into()),
        ("an empty key", |commit| {
            commit.entries[0].dedup =
                Some(super::DedupKey { scope: Scope::ANONYMOUS, key: Bytes::new() });
        }),
        ("a reserved scope", |commit| {
            commit.entries[0].dedup = Some(super::DedupKey { scope: Scope::LEAF, ..key(1) });
        }),
        ("an empty attachment", |commit| {
            let empty = Attachment { bytes: Bytes::new(), ..attachment(0, 1) };
            commit.entries[0].attachments = vec![empty];
        }),
        ("a kind twice", |commit| {
            commit.entries[0].attachments = vec![attachment(0, 1), attachment(0, 1)];
        }),
        ("a record of another log", |commit| {
            commit.rows.push(Row::Log(Planner::new(9).record));
        }),
    ];
    for (name, breach) in breaches {
        let mut bad = next.clone();
        breach(&mut bad);
        assert!(refuses(engine, &[bad]), "accepted: {name}");
    }
    assert!(refuses(engine, &[next.clone(), next]), "accepted: a log twice");
    let mut unrecorded = Planner::new(7);
    let mut creation = unrecorded.create();
    creation.rows.clear();
    assert!(refuses(engine, &[creation]), "accepted: a log without a record");
    let mut same_size = planner.clone().plan(vec![], vec![]);
    same_size.new.root = Hash::EMPTY_ROOT;
    assert!(refuses(engine, &[same_size]), "accepted: two roots at one size");
    assert_holds(engine, &planner, &entries(0, 200));
}

fn refuses(engine: &dyn Store, batch: &[LogCommit]) -> bool {
    match catch_unwind(AssertUnwindSafe(|| engine.commit(batch))) {
        Err(_) => true,
        Ok(outcome) => {
            matches!(outcome, CommitOutcome::NotCommitted(StorageError::Contract { .. }))
        }
    }
}

fn lookup_rows(engine: &dyn Store) {
    let mut planner = Planner::new(1);
    planner.record.deduplicate_entries = true;
    commit(engine, &[planner.create()]);
    commit(engine, &[planner.append((0..10).map(keyed).collect())]);
    let log = planner.log();
    let leaf = |number| leaf_hash(&entry(number).data);
    let ids = [key(9).id(), key(77).id(), key(0).id(), DedupId::of_leaf(&leaf(4)), key(9).id()];
    let found = engine.dedup(log, &ids).unwrap();
    let found: Vec<_> =
        found.iter().map(|row| row.map(|row| (row.index.get(), row.leaf))).collect();
    let nine = Some((9, leaf(9)));
    assert_eq!(found, [nine, None, Some((0, leaf(0))), Some((4, leaf(4))), nine]);
    let scoped = super::DedupKey { scope: Scope([1; 16]), ..key(0) };
    assert_eq!(engine.dedup(log, &[scoped.id()]).unwrap(), [None], "another scope");
    let producer = ProducerId([5; 16]);
    for (last_sequence, last_index) in [(1, 3), (9, 7)] {
        let row = ProducerRow { last_sequence, last_index: index(last_index) };
        commit(engine, &[planner.plan(vec![], vec![Row::Producer(producer, row)])]);
        assert_eq!(engine.producer(log, &producer).unwrap(), Some(row));
    }
    assert_eq!(engine.producer(log, &ProducerId([6; 16])).unwrap(), None);
}

fn archive(engine: &dyn Store) {
    let mut planner = Planner::new(1);
    commit(engine, &[planner.create()]);
    commit(engine, &[planner.append(entries(0, 9))]);
    let archived = |(at, published_ms): (u64, u64)| ArchivedCheckpoint {
        size: size(at),
        published_ms,
        note: Bytes::from(format!("note {at} {published_ms}")),
    };
    let all: Vec<_> = [(0, 5), (3, 6), (3, 700), (9, 701)].map(archived).into();
    for checkpoint in all.iter().rev() {
        let row = Row::Checkpoint(checkpoint.clone());
        commit(engine, &[planner.plan(vec![], vec![row])]);
    }
    let list =
        |from, after, limit| engine.checkpoints(planner.log(), size(from), after, limit).unwrap();
    assert_eq!(list(0, None, 10), all);
    assert_eq!(list(1, None, 10), all[1..]);
    assert_eq!(list(0, None, 2), all[..2]);
    assert_eq!(list(0, Some(all[1].position()), 1), all[2..3]);
    assert_eq!(list(9, Some(all[1].position()), 9), all[3..]);
    assert_eq!(list(10, None, 9), []);
    assert_eq!(list(0, Some(all[3].position()), 9), []);
}

/// How far the index reaches, and what it says of a leaf hash.
fn candidates(engine: &dyn Store, log: LogId, leaf: &Hash, limit: usize) -> (u64, Vec<u64>) {
    let LeafCandidates { indexed_to, indexes } = engine.leaf_index_get(log, leaf, limit).unwrap();
    assert_eq!(engine.leaf_indexed_to(log).unwrap(), indexed_to);
    (indexed_to.get(), indexes.into_iter().map(LeafIndex::get).collect())
}

fn leaf_index(engine: &dyn Store) {
    let mut planner = Planner::new(1);
    let log = planner.log();
    commit(engine, &[planner.create()]);
    let same = vec![entry(1), entry(2), entry(1), entry(1)];
    let leaves: Vec<Hash> = same.iter().map(|entry| leaf_hash(&entry.data)).collect();
    commit(engine, &[planner.append(same)]);
    engine.leaf_index_put(log, index(0), &leaves[..3]).unwrap();
    assert_eq!(candidates(engine, log, &leaves[0], 9), (3, vec![0, 2]));
    engine.leaf_index_put(log, index(1), &leaves[1..]).unwrap();
    engine.leaf_index_put(log, index(0), &leaves[..1]).unwrap();
    assert_eq!(candidates(engine, log, &leaves[0], 2), (4, vec![0, 2]), "it never goes back");
    assert_eq!(candidates(engine, log, &leaves[1], 9), (4, vec![1]));
    assert_eq!(candidates(engine, log, &Hash::EMPTY_ROOT, 9), (4, vec![]));
}

fn leaf_index_is_forgotten(engine: &dyn Store) {
    let mut planners = [0, 1, 2].map(Planner::new);
    let leaves = [0, 1].map(|number| leaf_hash(&entry(number).data));
    for planner in &mut planners {
        commit(engine, &[planner.create()]);
        commit(engine, &[planner.append(vec![keyed(0), keyed(1)])]);
        engine.leaf_index_put(planner.log(), index(0), &leaves).unwrap();
    }
    let [before, log, after] = [0, 1, 2].map(|at: usize| planners[at].log());
    for _ in 0..2 {
        engine.leaf_index_forget(log).unwrap();
        assert_eq!(candidates(engine, log, &leaves[1], 9), (0, vec![]));
        for other in [before, after] {
            assert_eq!(candidates(engine, other, &leaves[1], 9), (2, vec![1]));
        }
        let kept = engine.dedup(log, &[key(0).id()]).unwrap();
        assert!(kept[0].is_some_and(|row| row.leaf == leaves[0]), "the other rows of the log stay");
        engine.flush().unwrap();
    }
    engine.leaf_index_put(log, index(0), &leaves[..1]).unwrap();
    assert_eq!(candidates(engine, log, &leaves[0], 9), (1, vec![0]));
    assert_eq!(candidates(engine, log, &leaves[1], 9), (1, vec![]), "not yet again");
}

fn records_change(engine: &dyn Store) {
    let mut planner = Planner::new(1);
    commit(engine, &[planner.create()]);
    for state in [LogState::Draining, LogState::Frozen, LogState::Retired] {
        planner.record.state = state;
        let row = Row::Log(planner.record.clone());
        commit(engine, &[planner.plan(vec![], vec![row])]);
        assert_eq!(engine.logs().unwrap(), [planner.record.clone()]);
    }
}

/// Neighbouring log numbers, and a log whose first rows are its archive.
fn logs_do_not_touch(engine: &dyn Store) {
    let mut planners = [0, 1, 255, 256, u32::MAX - 1].map(Planner::new);
    for planner in &mut planners {
        let checkpoint = Row::Checkpoint(ArchivedCheckpoint {
            size: size(0),
            published_ms: 1,
            note: Bytes::from_static(b"note"),
        });
        let mut creation = planner.create();
        creation.rows.push(checkpoint);
        commit(engine, &[creation]);
    }
    let own = |planner: &Planner| entries(u64::from(planner.log().get()), 2);
    for planner in &mut planners {
        let added = own(planner);
        commit(engine, &[planner.append(added)]);
    }
    for planner in &planners {
        assert_holds(engine, planner, &own(planner));
        assert_eq!(engine.checkpoints(planner.log(), size(0), None, 9).unwrap().len(), 1);
    }
    let records: Vec<_> = planners.iter().map(|planner| planner.record.clone()).collect();
    assert_eq!(engine.logs().unwrap(), records);
}

fn readers_see_whole_commits(engine: &dyn Store) {
    let mut planner = Planner::new(1);
    let log = planner.log();
    commit(engine, &[planner.create()]);
    let read = || {
        loop {
            let seen = engine.head(log).unwrap().unwrap().size.get();
            let found = engine.entries(log, index(0), usize::MAX, usize::MAX).unwrap();
            assert!(u64::try_from(found.len()).unwrap() >= seen);
            for number in 0..seen / 256 {
                let coord = TileCoord { level: 0, index: number };
                assert!(engine.tile(log, coord).unwrap().is_some());
            }
            if seen == 1_700 {
                break;
            }
        }
    };
    thread::scope(|threads| {
        threads.spawn(read);
        for _ in 0..100 {
            let added = entries(planner.size(), 17);
            commit(engine, &[planner.append(added)]);
        }
    });
}
