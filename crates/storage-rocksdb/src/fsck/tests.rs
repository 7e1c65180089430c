#![expect(clippy::disallowed_methods, reason = "these tests damage files on purpose")]

mod blocks;

use bytes::Bytes;
use formats::{Checkpoint, PrivateKey, Timestamp};
use merkle::LeafIndex;
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use super::*;
use crate::RawRow;
use storage::conformance::commit;
use storage::testing::{Planner, attachment, entry, index, keyed, unkeyed};
use storage::{ArchivedCheckpoint, LeafIndexStore as _, ProducerId, ProducerRow, Row, StoredEntry};

/// Entries of the first log: one full tile and a ragged end.
const ENTRIES: u64 = 300;

struct Store {
    _folder: TempDir,
    engine: RocksEngine,
    planner: Planner,
    journal: Vec<JournaledHead>,
}

impl Store {
    /// Two logs, with a row of every kind.
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let engine = RocksEngine::open(folder.path(), &RocksOptions::default()).unwrap();
        let mut planner = Planner::new(1);
        planner.record.deduplicate_entries = true;
        let mut other = Planner::new(2);
        commit(&engine, &[planner.create(), other.create()]);
        commit(&engine, &[planner.append((0..150).map(keyed).collect())]);
        let early = planner.head.unwrap();
        let mut rest: Vec<_> = (150..ENTRIES).map(keyed).collect();
        for (number, entry) in (150..).zip(&mut rest).step_by(50) {
            entry.attachments = [1, 9].map(|kind| attachment(number, kind)).into();
        }
        commit(&engine, &[planner.append(rest), other.append(vec![entry(1), entry(1)])]);
        let producer = ProducerRow { last_sequence: 1, last_index: index(7) };
        let rows =
            vec![Row::Producer(ProducerId([7; 16]), producer), Row::Checkpoint(archived(&planner))];
        commit(&engine, &[planner.plan(vec![], rows)]);
        let leaves: Vec<Hash> = (0..ENTRIES).map(|n| leaf_hash(&entry(n).data)).collect();
        engine.leaf_index_put(planner.log(), index(0), &leaves).unwrap();
        let origin: [u8; 32] = Sha256::digest(planner.record.origin.as_str()).into();
        let origin_hash = Hash::from(origin);
        let journal = vec![JournaledHead { origin_hash, size: early.size, root: early.root }];
        Self { _folder: folder, engine, planner, journal }
    }

    fn check(&self) -> Report {
        check(&self.engine, &self.journal, &mut |_| {}).unwrap()
    }

    fn kinds(&self) -> Vec<&'static str> {
        self.check().findings.keys().copied().collect()
    }

    /// Every row of a family, of the first log.
    fn rows(&self, family: Family) -> Vec<RawRow> {
        self.engine.scan(family, &[0, 0, 0, 1]).map(Result::unwrap).collect()
    }

    /// Flips one bit of a row's value, checks, and puts it back.
    fn finds_flip(&self, family: Family, key: &[u8], value: &[u8], bit: usize) -> bool {
        let mut flipped = value.to_vec();
        flipped[bit / 8] ^= 1 << (bit % 8);
        self.engine.put_raw(family, key, &flipped);
        let found = !self.check().is_clean();
        self.engine.put_raw(family, key, value);
        found
    }
}

fn archived(planner: &Planner) -> ArchivedCheckpoint {
    let head = planner.head.unwrap();
    let origin = planner.record.origin.clone();
    let key = PrivateKey::ed25519(origin.key_name().unwrap(), &[1; 32]);
    let checkpoint = Checkpoint::new(origin, head.size, head.root);
    let note = formats::sign(&checkpoint, &[&key], Timestamp::ZERO).unwrap();
    ArchivedCheckpoint { size: head.size, published_ms: 5, note: Bytes::from(note) }
}

#[test]
fn a_sound_store_is_clean_and_its_counts_equal_the_size() {
    let store = Store::new();
    let mut calls = 0;
    let report = check(&store.engine, &store.journal, &mut |_| calls += 1).unwrap();
    assert!(report.is_clean(), "{:?}", report.findings);
    let [log, other] = &report.logs[..] else { panic!("two logs") };
    assert_eq!((log.size.get(), log.entries, log.tiles), (ENTRIES, ENTRIES, 1));
    assert_eq!((log.leaf_rows, log.indexed_to.get()), (ENTRIES, ENTRIES));
    assert_eq!((log.dedup_rows, log.producers, log.checkpoints), (2 * ENTRIES, 1, 1));
    assert_eq!((log.attachments, other.attachments), (6, 0));
    assert_eq!(log.journaled.map(TreeSize::get), Some(150));
    assert_eq!((other.entries, other.indexed_to.get(), other.journaled), (2, 0, None));
    let mut text = vec![];
    report.write_text(&mut text).unwrap();
    assert!(text.ends_with(b"\nclean\n"));
    let mut json = vec![];
    report.write_json(&mut json).unwrap();
    let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
    assert_eq!(json["clean"], true);
    assert_eq!(json["logs"][0]["entries"], ENTRIES);
}

#[test]
fn one_flipped_bit_in_any_entry_is_found() {
    let store = Store::new();
    for (number, (key, value)) in store.rows(Family::Entries).iter().enumerate() {
        let bit = number * 7_919 % (value.len() * 8);
        assert!(store.finds_flip(Family::Entries, key, value, bit), "entry {number}, bit {bit}");
    }
    let (key, value) = &store.rows(Family::Entries)[299];
    for bit in 0..value.len() * 8 {
        assert!(store.finds_flip(Family::Entries, key, value, bit), "last entry, bit {bit}");
    }
    assert!(store.check().is_clean());
}

#[test]
fn one_flipped_bit_in_any_hash_of_a_tile_is_found() {
    let store = Store::new();
    let (key, value) = &store.rows(Family::Tiles)[0];
    for hash in 0..256 {
        let bit = hash * 256 + hash * 31 % 256;
        assert!(store.finds_flip(Family::Tiles, key, value, bit), "bit {bit}");
    }
}

#[test]
fn one_flipped_bit_in_any_attachment_is_found() {
    let store = Store::new();
    for (number, (key, value)) in store.rows(Family::Attachments).iter().enumerate() {
        for bit in (number..value.len() * 8).step_by(13) {
            assert!(store.finds_flip(Family::Attachments, key, value, bit), "{key:?}, bit {bit}");
        }
    }
}

#[test]
fn one_flipped_bit_in_heads_records_and_checkpoints_is_found() {
    let store = Store::new();
    for (key, value) in store.rows(Family::Meta) {
        let is_head = key[4] == b'h';
        for bit in (0..value.len() * 8).step_by(if is_head { 1 } else { 13 }) {
            assert!(store.finds_flip(Family::Meta, &key, &value, bit), "{key:?}, bit {bit}");
        }
    }
}

#[test]
fn one_flipped_bit_in_lookup_rows_is_found() {
    let store = Store::new();
    for (number, (key, value)) in store.rows(Family::Index).iter().enumerate().step_by(7) {
        if !value.is_empty() {
            let bit = number * 7_919 % (value.len() * 8);
            assert!(store.finds_flip(Family::Index, key, value, bit), "row {number}, bit {bit}");
        }
    }
}

#[test]
fn a_missing_row_of_any_family_is_found() {
    let store = Store::new();
    for family in Family::ALL {
        for (key, value) in store.rows(family).iter().step_by(17) {
            store.engine.delete_raw(family, key);
            let clean = store.check().is_clean();
            store.engine.put_raw(family, key, value);
            // Derived state that never was, and what nothing else mentions, cannot be missed.
            let unmentioned = matches!(
                keys::decode_key(family, key),
                Ok(Key::Checkpoint(..) | Key::Producer(..) | Key::Attachment(..))
            );
            assert!(!clean || unmentioned, "{family}: {key:?}");
        }
    }
    assert!(store.check().is_clean());
}

#[test]
fn findings_name_the_first_bad_record_of_their_kind() {
    let store = Store::new();
    for number in [200, 5, 299] {
        let key = keys::entry_key(store.planner.log(), index(number));
        store.engine.put_raw(Family::Entries, &key, b"\x01\x00other");
    }
    let report = store.check();
    assert_eq!(
        report.findings["entry_hash"].first.to_string(),
        "entry 5 does not hash to its leaf hash in tile/0/000"
    );
    assert_eq!(report.findings["entry_hash"].count, 2);
    let first = report.findings["dedup_orphan"].first.to_string();
    assert!(first.starts_with("the deduplication row of entry "), "{first}");
    assert!(report.findings.contains_key("head_root"));
    assert!(!report.findings.contains_key("tile_tree") || report.findings.len() > 2);
    let mut text = vec![];
    report.write_text(&mut text).unwrap();
    assert!(text.ends_with(b"\ndamaged\n"));
}

#[test]
fn rows_that_should_not_be_are_found() {
    let store = Store::new();
    let log = store.planner.log();
    let stray = |family, key: &[u8], value: &[u8], kind: &str| {
        store.engine.put_raw(family, key, value);
        assert!(store.kinds().contains(&kind), "{kind}: {:?}", store.kinds());
        store.engine.delete_raw(family, key);
    };
    let beyond = keys::entry_key(log, LeafIndex::new(ENTRIES).unwrap());
    stray(Family::Entries, &beyond, b"\x01\x00x", "entry_beyond");
    let beyond = LeafIndex::new(ENTRIES).unwrap();
    let key = keys::attachment_key(log, beyond, 1);
    let mut value = vec![];
    keys::encode_attachment(&key, &attachment(ENTRIES, 1), &mut value);
    stray(Family::Attachments, &key, &value, "attachment_beyond");
    stray(Family::Attachments, &keys::attachment_key(log, index(3), 1), &[1; 12], "row");
    stray(Family::Attachments, &keys::entry_key(log, index(3)), &value, "row");
    stray(Family::Attachments, &[0, 0, 0, 9, 0], b"x", "unknown_log");
    let tile = merkle::tile::TileCoord { level: 0, index: 1 };
    stray(Family::Tiles, &keys::tile_key(log, tile), &[0; 8_192], "tile_beyond");
    let leaf = leaf_hash(b"nowhere");
    stray(Family::Index, &keys::leaf_key(log, &leaf, index(3)), b"", "leaf_orphan");
    stray(Family::Entries, &[0, 0, 0, 9, 0], b"x", "unknown_log");
    stray(Family::Index, &[0, 0, 0, 1, b'?'], b"x", "row");
    stray(Family::Meta, &[0, 0, 0, 1, b'?'], b"x", "row");
    stray(Family::Tiles, &[9], b"x", "row");
    assert!(store.check().is_clean());
}

#[test]
fn the_journal_is_compared() {
    let mut store = Store::new();
    let good = store.journal[0];
    store.journal[0].root = Hash::EMPTY_ROOT;
    assert_eq!(store.kinds(), ["journal_root"]);
    store.journal[0] = JournaledHead { size: TreeSize::new(ENTRIES + 1).unwrap(), ..good };
    assert_eq!(store.kinds(), ["journal_ahead"]);
    store.journal[0] = JournaledHead { size: TreeSize::ZERO, ..good };
    assert_eq!(store.kinds(), ["journal_root"]);
    store.journal[0].root = Hash::EMPTY_ROOT;
    assert!(store.check().is_clean());
}

#[test]
fn a_tree_of_two_levels_is_clean_and_a_wrong_upper_tile_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let engine = RocksEngine::open(folder.path(), &RocksOptions::default()).unwrap();
    let mut planner = Planner::new(1);
    commit(&engine, &[planner.create()]);
    commit(&engine, &[planner.append((0..65_536 + 300).map(entry).collect())]);
    let report = check(&engine, &[], &mut |_| {}).unwrap();
    assert!(report.is_clean(), "{:?}", report.findings);
    assert_eq!(report.logs[0].tiles, 256 + 1 + 1);
    let coord = merkle::tile::TileCoord { level: 1, index: 0 };
    let key = keys::tile_key(planner.log(), coord);
    let mut value = engine.scan(Family::Tiles, &key).next().unwrap().unwrap().1;
    value[3 * 32] ^= 0x80;
    engine.put_raw(Family::Tiles, &key, &value);
    let report = check(&engine, &[], &mut |_| {}).unwrap();
    assert_eq!(
        report.findings["tile_hash"].first.to_string(),
        "tile/0/003 does not hash to its place in tile/1/000"
    );
    assert!(report.findings.contains_key("tile_tree"));
}

#[test]
fn a_flipped_bit_in_any_table_file_is_found_or_harmless() {
    let store = Store::new();
    store.engine.flush().unwrap();
    let copy = tempfile::tempdir().unwrap();
    let db = copy.path().join("db");
    store.engine.checkpoint(&db).unwrap();
    let tables: Vec<_> = std::fs::read_dir(&db)
        .unwrap()
        .map(|file| file.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "sst"))
        .collect();
    assert!(!tables.is_empty());
    for table in tables {
        let whole = std::fs::read(&table).unwrap();
        // The data blocks come first in a table file.
        let mut flipped = whole.clone();
        flipped[20] ^= 4;
        std::fs::write(&table, &flipped).unwrap();
        let found = check_folder(&db, &RocksOptions::default(), &[], &mut |_| {});
        assert!(!found.is_ok_and(|report| report.is_clean()), "{}", table.display());
        std::fs::write(&table, &whole).unwrap();
    }
    let report = check_folder(&db, &RocksOptions::default(), &[], &mut |_| {}).unwrap();
    assert!(report.is_clean());
}

#[test]
fn what_is_no_store_cannot_be_checked() {
    let folder = tempfile::tempdir().unwrap();
    let error =
        check_folder(folder.path(), &RocksOptions::default(), &[], &mut |_| {}).unwrap_err();
    assert!(error.to_string().ends_with(": not a store"), "{error}");
}
