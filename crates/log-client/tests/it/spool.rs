//! The spool: order, restarts, torn tails, damage, limits.

use std::{fs, path::Path};

use log_client::{
    NewEntry,
    spool::{Spool, SpoolError, SpoolOptions},
};

fn entries(range: std::ops::Range<u8>) -> Vec<NewEntry> {
    range.map(|number| NewEntry::with_key(vec![number; 10], vec![number; 24])).collect()
}

fn open(dir: &Path) -> Result<Spool, SpoolError> {
    Spool::open(SpoolOptions::new(dir))
}

fn segments(dir: &Path) -> Vec<std::path::PathBuf> {
    let mut paths: Vec<_> = fs::read_dir(dir)
        .unwrap()
        .map(|item| item.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "seg"))
        .collect();
    paths.sort();
    paths
}

#[test]
fn entries_come_out_in_order_over_restarts_and_segments() {
    let folder = tempfile::tempdir().unwrap();
    let mut options = SpoolOptions::new(folder.path());
    options.segment_bytes = 100;
    let mut spool = Spool::open(options.clone()).unwrap();
    for number in 0..10 {
        spool.push(&entries(number..number + 1)).unwrap();
    }
    assert!(segments(folder.path()).len() > 1);
    drop(spool);
    let mut spool = Spool::open(options).unwrap();
    assert_eq!(spool.len(), 10);
    let mut out = Vec::new();
    while !spool.is_empty() {
        let some = spool.peek(2, usize::MAX).unwrap();
        spool.pop(&some).unwrap();
        out.extend(some);
    }
    assert_eq!(out, entries(0..10));
    assert!(segments(folder.path()).is_empty());
}

#[test]
fn a_torn_tail_is_ignored_wherever_it_is_torn() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = open(folder.path()).unwrap();
    spool.push(&entries(0..2)).unwrap();
    let whole = fs::metadata(&segments(folder.path())[0]).unwrap().len();
    spool.push(&entries(2..3)).unwrap();
    drop(spool);
    let path = segments(folder.path()).remove(0);
    let bytes = fs::read(&path).unwrap();
    for len in usize::try_from(whole).unwrap()..bytes.len() {
        fs::write(&path, &bytes[..len]).unwrap();
        let mut spool = open(folder.path()).unwrap();
        assert_eq!(spool.peek(9, usize::MAX).unwrap(), entries(0..2), "torn at {len}");
        // What comes after the restart is not behind the torn bytes.
        spool.push(&entries(7..8)).unwrap();
        drop(spool);
        assert_eq!(open(folder.path()).unwrap().len(), 3);
        fs::remove_file(segments(folder.path()).remove(1)).unwrap();
    }
}

#[test]
fn a_flipped_bit_before_the_last_segment_refuses_the_opening() {
    let folder = tempfile::tempdir().unwrap();
    for number in 0..2 {
        open(folder.path()).unwrap().push(&entries(number..number + 1)).unwrap();
    }
    let path = segments(folder.path()).remove(0);
    let good = fs::read(&path).unwrap();
    for position in 0..good.len() {
        let mut bad = good.clone();
        bad[position] ^= 1;
        fs::write(&path, &bad).unwrap();
        let error = open(folder.path()).unwrap_err();
        assert!(matches!(error, SpoolError::Damaged { .. }), "byte {position}: {error}");
    }
    fs::write(&path, &good).unwrap();
    assert_eq!(open(folder.path()).unwrap().len(), 2);
}

#[test]
fn a_spool_takes_what_fits_and_not_a_byte_more() {
    let folder = tempfile::tempdir().unwrap();
    // A header of 8, and one frame of 8 + 1 + 24 + 10.
    let options = |bytes_max| SpoolOptions { bytes_max, ..SpoolOptions::new(folder.path()) };
    let mut spool = Spool::open(options(50)).unwrap();
    let error = spool.push(&entries(0..1)).unwrap_err();
    assert_eq!(error.to_string(), "spool is full: 51 bytes more would pass the limit of 50");
    assert!(spool.is_empty());
    drop(spool);
    let mut spool = Spool::open(options(51)).unwrap();
    spool.push(&entries(0..1)).unwrap();
    assert!(matches!(spool.push(&entries(1..2)), Err(SpoolError::Full { .. })));
    assert_eq!(spool.len(), 1);
}

#[test]
fn one_process_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let first = open(folder.path()).unwrap();
    assert!(matches!(open(folder.path()), Err(SpoolError::InUse { .. })));
    drop(first);
    open(folder.path()).unwrap();
}
