//! Reading a segment: the records from its start up to the first that is not there.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use super::JournalError;
use super::record::{RECORD_BYTES, Record, decode};

/// Reads the records of a segment.
///
/// The sequences of the records are consecutive, so records that an earlier use of the segment left
/// behind them are recognised. The first record that is missing, or whose checksum fails, ends the
/// segment. That record may be torn: its sync never returned, so nobody saw its head. In that case
/// only records of its own group can follow, because we write the next group after that sync. A
/// record of a later group behind it proves damage.
pub(super) fn read(path: &Path, file: &File) -> Result<Vec<Record>, JournalError> {
    let found = slots(path, file)?;
    let end = contiguous(&found);
    let records: Vec<Record> = found[..end].iter().copied().flatten().collect();
    if let Some(last) = records.last() {
        check_tail(path, last.sequence + 1, &found[end..])?;
    }
    Ok(records)
}

/// Refuses a record whose group begins after `missing`, the sequence after the newest record of
/// both segments. A segment whose first record is damaged looks unused, and no other check would
/// notice what it held.
pub(super) fn check_leftovers(path: &Path, file: &File, missing: u64) -> Result<(), JournalError> {
    check_tail(path, missing, &slots(path, file)?)
}

/// Overwrites with zeros what a torn group left behind. Its sequences will be used again, and its
/// remains must not seem to follow the new records.
pub(super) fn clear_torn(path: &Path, file: &File, next_sequence: u64) -> Result<(), JournalError> {
    let left = |record: &Record| record.sequence >= next_sequence;
    let mut cleared = false;
    for (slot, record) in (0_u64..).zip(slots(path, file)?) {
        if record.as_ref().is_some_and(left) {
            let at = slot * u64::try_from(RECORD_BYTES).expect("a record is small");
            file.write_all_at(&[0; RECORD_BYTES], at)
                .map_err(|source| JournalError::io(path, source))?;
            cleared = true;
        }
    }
    if cleared {
        file.sync_data().map_err(|source| JournalError::io(path, source))?;
    }
    Ok(())
}

/// What each slot of a segment holds.
fn slots(path: &Path, file: &File) -> Result<Vec<Option<Record>>, JournalError> {
    let length = file.metadata().map_err(|source| JournalError::io(path, source))?.len();
    let slots = usize::try_from(length).unwrap_or(usize::MAX) / RECORD_BYTES;
    let mut bytes = vec![0; slots * RECORD_BYTES];
    file.read_exact_at(&mut bytes, 0).map_err(|source| JournalError::io(path, source))?;
    Ok(bytes.as_chunks().0.iter().map(decode).collect())
}

fn contiguous(found: &[Option<Record>]) -> usize {
    let Some(Some(first)) = found.first() else { return 0 };
    let expected = (first.sequence..).zip(found);
    let follows = |(sequence, record): (u64, &Option<Record>)| {
        record.is_some_and(|record| record.sequence == sequence)
    };
    expected.map(follows).take_while(|follows| *follows).count()
}

/// `missing` is the sequence of the first record that is not there.
fn check_tail(path: &Path, missing: u64, tail: &[Option<Record>]) -> Result<(), JournalError> {
    for record in tail.iter().flatten() {
        let group_start = record.sequence.saturating_sub(u64::from(record.group_position));
        if group_start > missing {
            let (path, found) = (path.to_path_buf(), record.sequence);
            return Err(JournalError::Damaged { path, sequence: missing, found });
        }
    }
    Ok(())
}
