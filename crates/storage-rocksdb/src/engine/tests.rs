#![expect(clippy::disallowed_methods, reason = "these tests damage files on purpose")]

mod erase;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use merkle::Hash;
use tempfile::TempDir;

use super::*;
use storage::conformance::{self, Opened, assert_holds, commit};
use storage::faulty::{Fault, FaultyEngine, assert_fault_leaves_what_it_says};
use storage::testing::{
    Planner, attached, entries, erased, erasing, index, kept, key, keyed, size, unkeyed,
};
use storage::{Attachment, ContentDigest, Erase as _, LeafIndexStore as _, Row, Unpurged};

/// Rows as no commit would write them, for tests of what finds damage.
impl RocksEngine {
    pub(crate) fn put_raw(&self, family: Family, key: &[u8], value: &[u8]) {
        self.db.put_cf(self.family(family), key, value).unwrap();
    }

    pub(crate) fn delete_raw(&self, family: Family, key: &[u8]) {
        self.db.delete_cf(self.family(family), key).unwrap();
    }
}

/// An engine whose folder goes with it.
struct Temporary {
    engine: Option<RocksEngine>,
    folder: TempDir,
}

impl Temporary {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let engine = open(folder.path());
        Self { engine: Some(engine), folder }
    }

    fn engine(&self) -> &RocksEngine {
        self.engine.as_ref().unwrap()
    }

    fn reopen(&mut self) {
        self.engine = None;
        self.engine = Some(open(self.folder.path()));
    }

    /// The files as a crash at this moment would leave them.
    fn crash_copy(&self) -> TempDir {
        let copy = tempfile::tempdir().unwrap();
        for file in fs::read_dir(self.folder.path()).unwrap() {
            let file = file.unwrap();
            fs::copy(file.path(), copy.path().join(file.file_name())).unwrap();
        }
        copy
    }
}

fn open(path: &Path) -> RocksEngine {
    RocksEngine::open(path, &RocksOptions::default()).unwrap()
}

fn open_fresh() -> Opened {
    let folder = tempfile::tempdir().unwrap();
    Opened { engine: Arc::new(open(folder.path())), folder: Some(folder) }
}

/// The newest write-ahead log in a folder.
fn newest_wal(folder: &Path) -> PathBuf {
    let files = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    let wals = files.filter(|path| path.extension().is_some_and(|ending| ending == "log"));
    wals.filter(|path| fs::metadata(path).unwrap().len() > 0).max().unwrap()
}

/// A log with two commits after what is in table files: 300 entries, then 10, then 10.
fn three_commits(store: &Temporary) -> [Planner; 3] {
    let mut planner = Planner::new(1);
    commit(store.engine(), &[planner.create()]);
    commit(store.engine(), &[planner.append(entries(0, 300))]);
    store.engine().flush().unwrap();
    let first = planner.clone();
    commit(store.engine(), &[planner.append(entries(300, 10))]);
    let second = planner.clone();
    commit(store.engine(), &[planner.append(entries(310, 10))]);
    [first, second, planner]
}

#[test]
fn conforms() {
    conformance::run(&open_fresh);
}

#[test]
fn conforms_through_faulty() {
    conformance::run(&|| {
        let Opened { engine, folder } = open_fresh();
        Opened { engine: Arc::new(FaultyEngine::new(engine)), folder }
    });
}

#[test]
fn a_store_without_the_fifth_family_is_read_and_gets_it_when_it_is_written() {
    let mut store = Temporary::new();
    let mut planner = Planner::new(1);
    let log = planner.log();
    commit(store.engine(), &[planner.create()]);
    commit(store.engine(), &[planner.append(entries(0, 300))]);
    store.engine.as_mut().unwrap().db.drop_cf(Family::Attachments.name()).unwrap();
    store.engine = None;
    let path = store.folder.path();
    let engine = RocksEngine::open_read_only(path, &RocksOptions::default()).unwrap();
    assert_holds(&engine, &planner, &entries(0, 300));
    assert_eq!(engine.attachments(log, index(0)).unwrap(), []);
    let unpurged = Unpurged { log, by: index(1), entries: vec![index(0)] };
    assert!(matches!(engine.purge(&unpurged), Err(StorageError::ReadOnly)));
    drop(engine);
    let engine = open(path);
    commit(&engine, &[planner.append(vec![attached(300, &[1])])]);
    assert_eq!(engine.attachments(log, index(300)).unwrap(), [kept(300, 1)]);
}

#[test]
fn everything_is_there_after_reopening() {
    let mut store = Temporary::new();
    let mut planner = Planner::new(1);
    commit(store.engine(), &[planner.create()]);
    let all: Vec<_> = (0..600).map(keyed).collect();
    commit(store.engine(), &[planner.append(all.clone())]);
    store.reopen();
    assert_holds(store.engine(), &planner, &all);
    assert_eq!(store.engine().logs().unwrap(), [planner.record.clone()]);
    let mut all = all;
    all.extend(entries(600, 5));
    commit(store.engine(), &[planner.append(entries(600, 5))]);
    store.reopen();
    assert_holds(store.engine(), &planner, &all);
}

#[test]
fn a_crash_loses_nothing_committed_and_replay_reaches_table_files() {
    let store = Temporary::new();
    let [_, _, planner] = three_commits(&store);
    let copy = store.crash_copy();
    drop(open(copy.path()));
    // Once more, with every write-ahead log gone: what was replayed is in table files.
    for file in fs::read_dir(copy.path()).unwrap() {
        let path = file.unwrap().path();
        if path.extension().is_some_and(|ending| ending == "log") {
            fs::write(path, b"").unwrap();
        }
    }
    assert_holds(&open(copy.path()), &planner, &entries(0, 320));
}

#[test]
fn a_torn_last_record_is_dropped_whole() {
    let store = Temporary::new();
    let [_, second, _] = three_commits(&store);
    let copy = store.crash_copy();
    let wal = newest_wal(copy.path());
    let whole = fs::read(&wal).unwrap();
    fs::write(&wal, &whole[..whole.len() - 3]).unwrap();
    assert_holds(&open(copy.path()), &second, &entries(0, 310));
}

#[test]
fn corruption_before_the_last_record_refuses_the_start_and_can_be_truncated() {
    let store = Temporary::new();
    let [first, _, planner] = three_commits(&store);
    let copy = store.crash_copy();
    let wal = newest_wal(copy.path());
    let mut bytes = fs::read(&wal).unwrap();
    bytes[200] ^= 1;
    fs::write(&wal, &bytes).unwrap();
    let error = RocksEngine::open(copy.path(), &RocksOptions::default()).unwrap_err();
    assert!(matches!(&error, StorageError::WalDamaged { path, .. } if *path == wal), "{error}");
    let engine = RocksEngine::open_truncating(copy.path(), &RocksOptions::default()).unwrap();
    assert_holds(&engine, &first, &entries(0, 300));
    drop(engine);
    assert_holds(&open(copy.path()), &first, &entries(0, 300));
    assert_holds(store.engine(), &planner, &entries(0, 320));
}

/// What is read without RocksDB is what was written, over blocks and batches of any length.
#[test]
fn the_write_ahead_log_is_read_without_rocksdb() {
    let store = Temporary::new();
    let mut planners = [Planner::new(1), Planner::new(2)];
    for planner in &mut planners {
        commit(store.engine(), &[planner.create()]);
        commit(store.engine(), &[planner.append(entries(0, 3_000))]);
        for count in 1..40 {
            commit(store.engine(), &[planner.append(entries(0, count * 7))]);
        }
    }
    let read = Wal::read(store.folder.path()).unwrap();
    assert_eq!((&read.damage, read.unread_bytes), (&None, 0));
    for planner in &planners {
        assert_eq!(read.heads.get(&planner.log()).copied(), planner.head);
        assert_eq!(read.records.get(&planner.log()), Some(&planner.record));
    }

    // Every block but the damaged one is still read, wherever the damage is.
    let copy = store.crash_copy();
    let wal = newest_wal(copy.path());
    let whole = fs::read(&wal).unwrap();
    for at in (3..whole.len() - 40_000).step_by(7_919) {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x20;
        fs::write(&wal, &bytes).unwrap();
        let read = Wal::read(copy.path()).unwrap();
        let (path, offset) = read.damage.unwrap();
        assert!(path == wal && usize::try_from(offset).unwrap() <= at, "{offset}, {at}");
        assert_eq!(read.heads.get(&planners[1].log()).copied(), planners[1].head, "{at}");
    }
}

#[test]
fn a_store_is_locked_while_open() {
    let store = Temporary::new();
    let error = RocksEngine::open(store.folder.path(), &RocksOptions::default()).unwrap_err();
    assert!(matches!(error, StorageError::InUse { .. }), "{error}");
}

#[test]
fn read_only_reads_and_refuses_to_write() {
    let mut store = Temporary::new();
    let [_, _, mut planner] = three_commits(&store);
    store.engine = None;
    let path = store.folder.path();
    let engine = RocksEngine::open_read_only(path, &RocksOptions::default()).unwrap();
    assert_holds(&engine, &planner, &entries(0, 320));
    let log = planner.log();
    let outcome = engine.commit(&[planner.append(entries(320, 1))]);
    assert!(matches!(outcome, CommitOutcome::NotCommitted(StorageError::ReadOnly)));
    let refused = engine.leaf_index_put(log, index(0), &[Hash::EMPTY_ROOT]);
    assert!(matches!(refused, Err(StorageError::ReadOnly)));
    assert!(matches!(engine.leaf_index_forget(log), Err(StorageError::ReadOnly)));
}

#[test]
fn what_is_no_store_is_not_opened_read_only() {
    let folder = tempfile::tempdir().unwrap();
    assert!(!RocksEngine::exists(folder.path()));
    let error = RocksEngine::open_read_only(folder.path(), &RocksOptions::default()).unwrap_err();
    assert!(matches!(error, StorageError::NotAStore { .. }));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is created");
}

#[test]
fn another_layout_is_refused() {
    let mut store = Temporary::new();
    store.put(Family::Meta, &keys::LAYOUT_KEY, &[9]);
    store.engine = None;
    let error = RocksEngine::open(store.folder.path(), &RocksOptions::default()).unwrap_err();
    assert!(matches!(error, StorageError::Layout { found: 9, expected: 1 }), "{error}");
}

#[test]
fn data_without_a_layout_row_are_refused() {
    let mut store = Temporary::new();
    let mut planner = Planner::new(1);
    commit(store.engine(), &[planner.create()]);
    store.engine().delete_raw(Family::Meta, &keys::LAYOUT_KEY);
    store.engine = None;
    let error = RocksEngine::open(store.folder.path(), &RocksOptions::default()).unwrap_err();
    assert!(matches!(error, StorageError::NotAStore { .. }), "{error}");
}

#[test]
fn damaged_rows_are_typed_errors_that_name_the_row() {
    let store = Temporary::new();
    let mut planner = Planner::new(1);
    commit(store.engine(), &[planner.create()]);
    commit(store.engine(), &[planner.append(entries(0, 300))]);
    let (engine, log) = (store.engine(), planner.log());
    store.put(Family::Entries, &keys::entry_key(log, index(3)), &[2, 0, 1]);
    store.put(Family::Meta, &keys::head_key(log), &[1; 57]);
    let coord = TileCoord { level: 0, index: 0 };
    store.put(Family::Tiles, &keys::tile_key(log, coord), &[1; 33]);
    engine.delete_raw(Family::Entries, &keys::entry_key(log, index(5)));
    let found = [
        engine.entries(log, index(0), 4, 100).unwrap_err(),
        engine.entries(log, index(4), 4, 100).unwrap_err(),
        engine.head(log).unwrap_err(),
        engine.tile(log, coord).unwrap_err(),
    ];
    assert_eq!(
        found.map(|error| error.to_string()),
        [
            "corrupt row in entries, key 000000010000000000000003: unknown version 2",
            "corrupt row in entries, key 000000010000000000000005: missing",
            "corrupt row in meta, key 0000000168: checksum mismatch",
            "corrupt row in tiles, key 00000001000000000000000000: the value has 33 bytes",
        ]
    );
}

#[test]
fn a_checkpoint_is_a_store_of_its_moment() {
    let store = Temporary::new();
    let [_, _, mut planner] = three_commits(&store);
    let out = tempfile::tempdir().unwrap();
    let copy = out.path().join("db");
    store.engine().checkpoint(&copy).unwrap();
    let then = planner.clone();
    commit(store.engine(), &[planner.append(entries(320, 5))]);
    assert_holds(&open(&copy), &then, &entries(0, 320));
    assert!(store.engine().checkpoint(&copy).is_err(), "it never overwrites");
    assert!(store.engine().verify_table_files().unwrap().files > 0);
}

#[test]
fn the_leaf_index_may_lag_after_a_crash_but_never_lies() {
    let store = Temporary::new();
    let mut planner = Planner::new(1);
    let log = planner.log();
    commit(store.engine(), &[planner.create()]);
    commit(store.engine(), &[planner.append(entries(0, 20))]);
    let leaves: Vec<Hash> =
        entries(0, 20).iter().map(|entry| merkle::leaf_hash(&entry.data)).collect();
    store.engine().leaf_index_put(log, index(0), &leaves[..10]).unwrap();
    store.engine().flush().unwrap();
    store.engine().leaf_index_put(log, index(10), &leaves[10..]).unwrap();
    assert_eq!(store.engine().leaf_indexed_to(log).unwrap(), size(20));
    let copy = store.crash_copy();
    let engine = open(copy.path());
    let indexed = engine.leaf_indexed_to(log).unwrap();
    assert!(indexed >= size(10));
    for (at, leaf) in (0..indexed.get()).zip(&leaves) {
        assert_eq!(engine.leaf_index_get(log, leaf, 2).unwrap().indexes, [index(at)]);
    }
}

#[test]
fn a_crash_leaves_the_leaf_index_before_or_after_it_was_forgotten() {
    let store = Temporary::new();
    let mut planner = Planner::new(1);
    let log = planner.log();
    commit(store.engine(), &[planner.create()]);
    commit(store.engine(), &[planner.append(entries(0, 20))]);
    let leaves: Vec<Hash> =
        entries(0, 20).iter().map(|entry| merkle::leaf_hash(&entry.data)).collect();
    store.engine().leaf_index_put(log, index(0), &leaves).unwrap();
    store.engine().flush().unwrap();
    for flushed in [false, true] {
        store.engine().leaf_index_forget(log).unwrap();
        if flushed {
            store.engine().flush().unwrap();
        }
        store.engine().leaf_index_put(log, index(0), &leaves[..5]).unwrap();
        let copy = store.crash_copy();
        let engine = open(copy.path());
        let indexed = engine.leaf_indexed_to(log).unwrap().get();
        assert!(if flushed { indexed <= 5 } else { [0, 5, 20].contains(&indexed) }, "{indexed}");
        for (at, leaf) in (0..20).zip(&leaves) {
            let found = engine.leaf_index_get(log, leaf, 2).unwrap().indexes;
            assert_eq!(found, if at < indexed { vec![index(at)] } else { vec![] }, "{at}");
        }
    }
}

impl Temporary {
    fn put(&self, family: Family, key: &[u8], value: &[u8]) {
        self.engine().put_raw(family, key, value);
    }
}

#[test]
fn a_lack_of_files_or_space_is_told_from_other_trouble() {
    for (text, passing) in [
        ("IO error: While open a file for random read: /db/1.sst: Too many open files", true),
        ("IO error: No space left on device: While appending to file: /db/2.log", true),
        ("IO error: While appending to file: /db/2.log: Disk quota exceeded", true),
        ("IO error: While pread offset 0 len 16: /db/1.sst: Input/output error", false),
        ("Corruption: block checksum mismatch", false),
    ] {
        assert_eq!(says_passing(text), passing, "{text}");
    }
}

#[test]
fn each_fault_leaves_what_it_says() {
    for fault in Fault::ALL {
        let folder = tempfile::tempdir().unwrap();
        let engine = RocksEngine::open(folder.path(), &RocksOptions::default()).unwrap();
        assert_fault_leaves_what_it_says(fault, Arc::new(engine));
    }
}
