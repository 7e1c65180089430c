//! Blocks, tombstones and once-only rows of an audit log.

use audit_event::commit::Commitment;
use audit_event::{Leaf, Salt, Tag};
use storage::{
    Attachment, ContentDigest, DedupId, DedupKey, DedupRow, EraseTarget, Erasure, Scope,
};

use super::*;

/// Entries of the log: the last one states the erasure of two blocks of entry 1.
const SIZE: u64 = 5;
const ERASED: u64 = 1;
const BY: u64 = 4;

struct Trail {
    _folder: TempDir,
    engine: RocksEngine,
    planner: Planner,
}

fn time_ns(number: u64) -> u64 {
    1_000 + number
}

fn salt(tag: Tag) -> [u8; Salt::LEN] {
    [tag.number(); Salt::LEN]
}

fn text(number: u64, tag: Tag) -> String {
    match tag {
        Tag::Core if number == BY => {
            r#"{"action":"privacy.erased","source":"cairn:example.com/log-1"}"#.to_owned()
        }
        _ => format!(r#"{{"id":"{tag} of {number}"}}"#),
    }
}

/// An event with these blocks.
fn event(number: u64, tags: &[Tag]) -> StoredEntry {
    let commitment =
        |tag: &Tag| (*tag, Commitment::to(*tag, &salt(*tag).into(), text(number, *tag).as_bytes()));
    let leaf = Leaf::new(time_ns(number), tags.iter().map(commitment).collect()).unwrap();
    let attachment = |tag: &Tag| Attachment {
        kind: tag.number(),
        key_id: 0,
        bytes: [&salt(*tag)[..], text(number, *tag).as_bytes()].concat().into(),
    };
    let key = Bytes::from(format!("key of {number}"));
    StoredEntry {
        dedup: Some(DedupKey { scope: Scope::ANONYMOUS, key }),
        data: leaf.encode().into(),
        attachments: tags.iter().map(attachment).collect(),
    }
}

impl Trail {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let engine = RocksEngine::open(folder.path(), &RocksOptions::default()).unwrap();
        let mut planner = Planner::audit(1);
        commit(&engine, &[planner.create()]);
        let all = (0..BY).map(|number| event(number, &[Tag::Core, Tag::Actor, Tag::Raw]));
        let mut append = planner.append(all.collect());
        for row in &mut append.rows {
            if let Row::Dedup(_, row) = row {
                row.digest = Some(ContentDigest([9; 32]));
            }
        }
        let Row::Dedup(id, row) = append.rows[1] else { panic!("a row for each key") };
        commit(&engine, &[append]);
        let mut erase = planner.append(vec![event(BY, &[Tag::Core])]);
        let once = Some((id, DedupRow { digest: None, ..row }));
        let kinds = vec![Tag::Actor.number(), Tag::Raw.number()];
        let targets = vec![EraseTarget { index: index(ERASED), kinds, once }];
        let by = index(BY);
        erase.rows.push(Row::Erasure(Erasure { by, time_ns: time_ns(BY), targets }));
        commit(&engine, &[erase]);
        Self { _folder: folder, engine, planner }
    }

    fn check(&self) -> Report {
        check(&self.engine, &[], &mut |_| {}).unwrap()
    }

    /// The finding of the only kind there is, after `damage`, which is then undone.
    fn finds(&self, family: Family, key: &[u8], value: Option<&[u8]>, kind: &str) -> String {
        let before = self.engine.scan(family, key).next().map(Result::unwrap);
        match value {
            Some(value) => self.engine.put_raw(family, key, value),
            None => self.engine.delete_raw(family, key),
        }
        let report = self.check();
        self.engine.delete_raw(family, key);
        if let Some((old, value)) = before
            && *old == *key
        {
            self.engine.put_raw(family, key, &value);
        }
        assert!(self.check().is_clean());
        let kinds: Vec<_> = report.findings.keys().copied().collect();
        assert_eq!(kinds, [kind]);
        report.findings[kind].first.to_string()
    }

    fn block_key(&self, number: u64, kind: u8) -> [u8; 13] {
        keys::attachment_key(self.planner.log(), index(number), kind)
    }

    fn finds_block(
        &self,
        number: u64,
        kind: u8,
        attachment: Option<&Attachment>,
        as_: &str,
    ) -> String {
        let key = self.block_key(number, kind);
        let mut value = vec![];
        if let Some(attachment) = attachment {
            keys::encode_attachment(&key, attachment, &mut value);
        }
        self.finds(Family::Attachments, &key, attachment.map(|_| &value[..]), as_)
    }

    fn finds_tombstone(&self, kind: u8, time_ns: u64, by: u64) -> String {
        let key = self.block_key(ERASED, kind);
        let value = keys::encode_tombstone(&key, time_ns, index(by));
        self.finds(Family::Attachments, &key, Some(&value), "tombstone")
    }
}

#[test]
fn a_sound_trail_is_clean_and_its_blocks_are_counted() {
    let trail = Trail::new();
    let report = trail.check();
    assert!(report.is_clean(), "{:?}", report.findings);
    let log = &report.logs[0];
    assert_eq!((log.entries, log.attachments, log.blocks, log.erased), (SIZE, 11, 11, 2));
    let mut json = vec![];
    report.write_json(&mut json).unwrap();
    let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
    assert_eq!((&json["logs"][0]["blocks"], &json["logs"][0]["erased"]), (&11.into(), &2.into()));
}

#[test]
fn one_flipped_bit_in_any_block_leaf_tombstone_or_row_is_found() {
    let trail = Trail::new();
    for family in [Family::Attachments, Family::Entries, Family::Index, Family::Meta] {
        let rows: Vec<_> = trail.engine.scan(family, &[]).map(Result::unwrap).collect();
        for (key, value) in rows.iter().filter(|(key, _)| **key != keys::LAYOUT_KEY) {
            for bit in (0..value.len() * 8).step_by(3) {
                let mut flipped = value.to_vec();
                flipped[bit / 8] ^= 1 << (bit % 8);
                trail.engine.put_raw(family, key, &flipped);
                assert!(!trail.check().is_clean(), "{family}, {key:?}, bit {bit}");
            }
            trail.engine.put_raw(family, key, value);
        }
    }
    assert!(trail.check().is_clean());
}

#[test]
fn a_block_is_hashed_against_its_leaf() {
    let trail = Trail::new();
    let actor = event(2, &[Tag::Core, Tag::Actor, Tag::Raw]).attachments.remove(1);
    let wrong = Attachment { bytes: b"0123456789abcdef{}".as_slice().into(), ..actor };
    let found = trail.finds_block(2, 2, Some(&wrong), "block_hash");
    assert_eq!(found, "the block actor of entry 2 is not what the leaf commits to");
    let short = Attachment { bytes: b"short".as_slice().into(), ..actor };
    trail.finds_block(2, 2, Some(&short), "block_hash");
    let encrypted = Attachment { key_id: 3, ..actor.clone() };
    let found = trail.finds_block(2, 2, Some(&encrypted), "block_encrypted");
    assert_eq!(found, "the block actor of entry 2 is encrypted with the unknown key 3");
    for (kind, name) in [(1, "core"), (7, "raw")] {
        let found = trail.finds_block(3, kind, None, "block_missing");
        assert_eq!(found, format!("the block {name} of entry 3 is missing"));
    }
    for kind in [3, 8] {
        let found = trail.finds_block(0, kind, Some(&actor), "block_surplus");
        let expected =
            format!("entry 0 has the attachment {kind}, which its leaf does not commit to");
        assert_eq!(found, expected);
    }
    let found = trail.finds_block(SIZE, 1, Some(&actor), "attachment_beyond");
    assert_eq!(found, "attachment 1 of entry 5 lies beyond the head");
}

#[test]
fn a_tombstone_names_a_later_event_that_states_an_erasure() {
    let trail = Trail::new();
    let expect = |time_ns, by, fault: &str| {
        let expected =
            format!("the tombstone of attachment 2 of entry 1 names entry {by}, which {fault}");
        assert_eq!(trail.finds_tombstone(2, time_ns, by), expected);
    };
    for by in [0, ERASED, SIZE] {
        expect(time_ns(by), by, "does not come later in the log");
    }
    expect(time_ns(BY) + 1, BY, "has another time");
    expect(time_ns(3), 3, "states no erasure");
    let key = trail.block_key(ERASED, 2);
    let found = trail.finds(Family::Attachments, &key, None, "block_missing");
    assert_eq!(found, "the block actor of entry 1 is missing", "an erasure leaves a tombstone");
    let key = trail.block_key(ERASED, 5);
    let value = keys::encode_tombstone(&key, time_ns(BY), index(BY));
    trail.finds(Family::Attachments, &key, Some(&value), "block_surplus");
}

#[test]
fn an_erasure_whose_own_core_is_erased_is_one_all_the_same() {
    let mut trail = Trail::new();
    let stated = time_ns(6);
    let mut erase = trail.planner.append(vec![event(5, &[Tag::Core]), event(6, &[Tag::Core])]);
    let kinds = vec![Tag::Core.number()];
    let targets = vec![EraseTarget { index: index(BY), kinds, once: None }];
    erase.rows.push(Row::Erasure(Erasure { by: index(6), time_ns: stated, targets }));
    commit(&trail.engine, &[erase]);
    let report = trail.check();
    // Entry 6 states nothing, so its own tombstone is damage; those of entry 4 are as good as before.
    assert_eq!(report.findings.keys().copied().collect::<Vec<_>>(), ["tombstone"]);
    assert_eq!(report.findings["tombstone"].count, 1);
    assert!(report.findings["tombstone"].first.to_string().contains("of entry 4 names entry 6"));
}

#[test]
fn rows_of_events_have_their_times_and_no_digest_outlives_an_erasure() {
    let trail = Trail::new();
    let key = |number: u64| {
        let id: DedupId = event(number, &[Tag::Core]).dedup.unwrap().id();
        keys::dedup_key(trail.planner.log(), &id)
    };
    let row = |number: u64| {
        let id = event(number, &[Tag::Core]).dedup.unwrap().id();
        trail.engine.dedup(trail.planner.log(), &[id]).unwrap()[0].unwrap()
    };
    assert_eq!((row(ERASED).digest, row(0).digest), (None, Some(ContentDigest([9; 32]))));
    let damaged = |number: u64, row: DedupRow, kind| {
        let value = keys::encode_dedup(&key(number), &row);
        trail.finds(Family::Index, &key(number), Some(&value), kind)
    };
    let kept = DedupRow { digest: Some(ContentDigest([9; 32])), ..row(ERASED) };
    let found = damaged(ERASED, kept, "digest_kept");
    assert_eq!(found, "the deduplication row of entry 1 has a digest of what was erased");
    for time in [None, Some(time_ns(3))] {
        damaged(2, DedupRow { time_ns: time, ..row(2) }, "dedup_missing");
    }
}

#[test]
fn an_erasure_to_be_purged_names_a_log_and_an_entry_that_are_there() {
    let trail = Trail::new();
    for (log, by) in [(1, SIZE), (2, BY)] {
        let key = keys::unpurged_key(LogId::new(log).unwrap(), index(by));
        let value = keys::encode_unpurged(&key, [index(0)].into_iter());
        trail.finds(Family::Meta, &key, Some(&value), "row");
    }
    let key = keys::unpurged_key(trail.planner.log(), index(3));
    trail.finds(Family::Meta, &key, Some(&[1, 2]), "row");
}

#[test]
fn entries_of_an_audit_log_are_leaves_and_times_do_not_decrease() {
    let findings = |mut planner: Planner, leaves: Vec<StoredEntry>| {
        let folder = tempfile::tempdir().unwrap();
        let engine = RocksEngine::open(folder.path(), &RocksOptions::default()).unwrap();
        commit(&engine, &[planner.create()]);
        commit(&engine, &[planner.append(leaves)]);
        check(&engine, &[], &mut |_| {}).unwrap().findings.keys().copied().collect::<Vec<_>>()
    };
    let all = |numbers: &[u64]| -> Vec<_> {
        numbers
            .iter()
            .map(|number| StoredEntry { dedup: None, ..event(*number, &[Tag::Core]) })
            .collect()
    };
    let damaged = || {
        let mut all = all(&[1, 2]);
        let mut data = all[1].data.to_vec();
        data[0] ^= 1;
        all[1].data = data.into();
        all
    };
    let short = || vec![all(&[1]).remove(0), unkeyed(vec![0; 11])];
    assert_eq!(findings(Planner::audit(1), all(&[1, 1, 5])), [""; 0]);
    assert_eq!(findings(Planner::audit(1), all(&[3, 2, 3])), ["time_back"]);
    assert_eq!(findings(Planner::audit(1), damaged()), ["leaf"]);
    assert_eq!(findings(Planner::audit(1), short()), ["leaf", "time_missing"]);
    for entries in [all(&[3, 2, 3]), damaged(), short()] {
        assert_eq!(findings(Planner::new(1), entries), [""; 0]);
    }
}
