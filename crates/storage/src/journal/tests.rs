use std::os::unix::fs::FileExt as _;

use super::*;

fn head(log: u8, size: u64) -> JournalHead {
    JournalHead {
        origin_hash: Hash::from([log; 32]),
        size: TreeSize::new(size).unwrap(),
        root: Hash::from([7; 32]),
        time_ms: size,
        epoch: 0,
        retired: false,
    }
}

fn sizes(heads: &JournalHeads) -> Vec<u64> {
    heads.values().map(|head| head.size.get()).collect()
}

fn spoil(dir: &Path, segment: usize, at: u64) {
    let file = OpenOptions::new().write(true).open(&paths(dir)[segment]).unwrap();
    file.write_all_at(&[0xff], at).unwrap();
}

fn spoil_back(dir: &Path, segment: usize, at: u64) {
    let file = OpenOptions::new().write(true).open(&paths(dir)[segment]).unwrap();
    file.write_all_at(&[0], at).unwrap();
}

const RECORD: u64 = 128;

#[test]
fn the_newest_head_of_each_log_is_found_again() {
    let dir = tempfile::tempdir().unwrap();
    assert!(!Journal::exists(dir.path()).unwrap());
    assert_eq!(read_heads(dir.path()).unwrap(), None);
    let mut journal = Journal::open(dir.path()).unwrap();
    journal.append(&[head(1, 0), head(2, 0)]).unwrap();
    journal.append(&[head(1, 5)]).unwrap();
    assert!(matches!(Journal::open(dir.path()), Err(JournalError::Locked { .. })));
    drop(journal);
    assert_eq!(sizes(&read_heads(dir.path()).unwrap().unwrap()), [5, 0]);
    let mut journal = Journal::open(dir.path()).unwrap();
    journal.append(&[head(2, 9)]).unwrap();
    assert_eq!(sizes(&read_heads(dir.path()).unwrap().unwrap()), [5, 9]);
}

#[test]
fn a_torn_last_group_is_ignored_and_leaves_nothing_behind() {
    for torn in 1..4 {
        let dir = tempfile::tempdir().unwrap();
        let mut journal = Journal::open(dir.path()).unwrap();
        journal.append(&[head(1, 1)]).unwrap();
        journal.append(&[head(1, 2), head(2, 2), head(3, 2)]).unwrap();
        drop(journal);
        spoil(dir.path(), 0, torn * RECORD + 20);
        let mut journal = Journal::open(dir.path()).unwrap();
        let expected: &[u64] = [&[1][..], &[2], &[2, 2]][usize::try_from(torn).unwrap() - 1];
        assert_eq!(sizes(journal.heads()), expected, "record {torn}");
        // The sequences are used again; what was left of the torn group must not follow them.
        journal.append(&[head(1, 3)]).unwrap();
        drop(journal);
        let heads = read_heads(dir.path()).unwrap().unwrap();
        assert_eq!(heads[&Hash::from([1; 32])].size.get(), 3);
        assert!(!heads.contains_key(&Hash::from([3; 32])), "record {torn}");
    }
}

#[test]
fn a_damaged_record_before_a_later_group_refuses() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = Journal::open(dir.path()).unwrap();
    for size in 1..4 {
        journal.append(&[head(1, size)]).unwrap();
    }
    drop(journal);
    spoil(dir.path(), 0, RECORD + 20);
    let error = Journal::open(dir.path()).unwrap_err();
    assert!(matches!(error, JournalError::Damaged { sequence: 2, found: 3, .. }), "{error}");
}

#[test]
fn segments_take_turns_and_each_begins_with_every_log() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = Journal::open(dir.path()).unwrap();
    let slots = SEGMENT_BYTES / RECORD;
    journal.append(&[head(1, 1), head(2, 1)]).unwrap();
    let group: Vec<_> = (0..8_192).map(|n| head(3, n)).collect();
    for _ in 0..9 {
        journal.append(&group).unwrap();
    }
    // Twice around: the first segment was filled, then the second, and the first begun again.
    assert!(journal.active == 0 && journal.next_sequence > slots);
    journal.append(&[head(2, 2)]).unwrap();
    let expected = journal.heads().clone();
    drop(journal);
    let journal = Journal::open(dir.path()).unwrap();
    assert_eq!(journal.heads(), &expected);
    assert_eq!(sizes(journal.heads()), [1, 2, 8_191]);
}

#[test]
fn a_segment_whose_first_record_is_damaged_does_not_count_as_unused() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = Journal::open(dir.path()).unwrap();
    let group: Vec<_> = (0..8_192).map(|n| head(1, n)).collect();
    for _ in 0..5 {
        journal.append(&group).unwrap();
    }
    assert_eq!(journal.active, 1);
    journal.append(&[head(1, 9_000)]).unwrap();
    drop(journal);
    spoil(dir.path(), 1, 20);
    let error = Journal::open(dir.path()).unwrap_err();
    assert!(matches!(error, JournalError::Damaged { .. }), "{error}");
    let error = read_heads(dir.path()).unwrap_err();
    assert!(matches!(error, JournalError::Damaged { .. }), "{error}");
    // Opening has erased nothing that a repair could start from.
    spoil_back(dir.path(), 1, 20);
    assert_eq!(sizes(Journal::open(dir.path()).unwrap().heads()), [9_000]);
}

#[test]
fn a_torn_first_group_of_a_segment_is_ignored() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = Journal::open(dir.path()).unwrap();
    let group: Vec<_> = (0..8_192).map(|n| head(1, n)).collect();
    for _ in 0..4 {
        journal.append(&group).unwrap();
    }
    journal.append(&[head(1, 9_000), head(2, 1)]).unwrap();
    assert_eq!((journal.active, journal.slot), (1, 2));
    drop(journal);
    spoil(dir.path(), 1, 20);
    assert_eq!(sizes(Journal::open(dir.path()).unwrap().heads()), [8_191]);
}

#[test]
fn a_first_start_that_was_cut_short_goes_on_and_a_lost_segment_refuses() {
    let dir = tempfile::tempdir().unwrap();
    File::create_new(dir.path().join("heads-0")).unwrap();
    let mut journal = Journal::open(dir.path()).unwrap();
    journal.append(&[head(1, 1)]).unwrap();
    drop(journal);
    std::fs::remove_file(dir.path().join("heads-1")).unwrap();
    let error = Journal::open(dir.path()).unwrap_err();
    assert!(matches!(error, JournalError::SegmentMissing { .. }), "{error}");
}

#[test]
fn retiring_stays() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = Journal::open(dir.path()).unwrap();
    let before = JournalHead { origin_hash: origin_hash("example.com/a"), ..head(1, 5) };
    journal.append(&[before]).unwrap();
    journal.retire("example.com/a").unwrap();
    journal.retire("example.com/b").unwrap();
    drop(journal);
    let heads = read_heads(dir.path()).unwrap().unwrap();
    assert!(heads.values().all(|head| head.retired));
    assert_eq!(heads[&origin_hash("example.com/a")].size, before.size);
}

#[test]
fn after_a_failed_write_nothing_is_taken() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = Journal::open(dir.path()).unwrap();
    let path = dir.path().join("heads-0");
    journal.files[0].1 = File::open(path).unwrap();
    assert!(matches!(journal.append(&[head(1, 1)]), Err(JournalError::Io { .. })));
    assert!(matches!(journal.append(&[head(1, 1)]), Err(JournalError::Failed)));
    assert!(journal.heads().is_empty());
}

#[test]
fn groups_are_bounded() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = Journal::open(dir.path()).unwrap();
    journal.append(&vec![head(1, 1); HEADS_MAX]).unwrap();
    let error = journal.append(&vec![head(1, 1); HEADS_MAX + 1]).unwrap_err();
    assert!(matches!(error, JournalError::TooManyHeads { .. }), "{error}");
}
