//! Taking erased bytes out of files.
//!
//! A commit puts a tombstone in the place of an attachment, which only hides it: the bytes stay in
//! the write-ahead log until that is dropped, and in table files until those are rewritten. The same
//! is true of the digest in a deduplication row.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::sync::PoisonError;
use std::thread;
use std::time::Duration;

use rocksdb::{BottommostLevelCompaction, CompactOptions, WriteBatch};

use super::{RocksEngine, engine, synced, wal};
use storage::{DedupKey, Engine as _, Erase, Family, StorageError, Unpurged, keys};

/// RocksDB deletes a file soon after nothing needs it. A file that is still there after so many
/// looks is held by a reader or a backup.
const LOOKS_MAX: u32 = 100;
/// The pause between two looks.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// Keys of a family that lie together, first and last.
struct Range {
    family: Family,
    first: Vec<u8>,
    last: Vec<u8>,
}

impl Erase for RocksEngine {
    fn unpurged(&self) -> Result<Vec<Unpurged>, StorageError> {
        let rows = self.scan(Family::Meta, &keys::UNPURGED_PREFIX);
        rows.map(|row| {
            let (key, value) = row?;
            Ok(keys::decode_unpurged(&key, &value)?)
        })
        .collect()
    }

    fn purge(&self, erasure: &Unpurged) -> Result<(), StorageError> {
        if self.read_only {
            return Err(StorageError::ReadOnly);
        }
        let _one_at_a_time = self.eraser.lock().unwrap_or_else(PoisonError::into_inner);
        let ranges = self.ranges(erasure)?;
        let wals = self.wals()?;
        self.flush()?;
        let mut stale = BTreeSet::new();
        for range in &ranges {
            stale.extend(self.tables(range)?);
        }
        for range in &ranges {
            // A file is rewritten as a whole, so an earlier range may have taken this one with it.
            if self.tables(range)?.iter().any(|file| stale.contains(file)) {
                self.rewrite(range);
            }
        }
        // RocksDB does not say whether it compacted, so we look at its files.
        wait_until_gone(wals.into_iter().chain(stale).collect())?;
        self.forget(erasure)
    }
}

impl RocksEngine {
    /// Where the bytes of an erasure lie: the attachments of each entry, and its deduplication row.
    fn ranges(&self, erasure: &Unpurged) -> Result<Vec<Range>, StorageError> {
        let log = erasure.log;
        let mut ranges = Vec::new();
        for index in &erasure.entries {
            let key = |kind| keys::attachment_key(log, *index, kind).to_vec();
            let (first, last) = (key(u8::MIN), key(u8::MAX));
            ranges.push(Range { family: Family::Attachments, first, last });
            let entry = self.entries(log, *index, 1, 0)?.pop();
            if let Some(id) = entry.and_then(|entry| entry.dedup.as_ref().map(DedupKey::id)) {
                let key = keys::dedup_key(log, &id).to_vec();
                ranges.push(Range { family: Family::Index, first: key.clone(), last: key });
            }
        }
        Ok(ranges)
    }

    /// The files of the write-ahead log that hold something. A flush leaves an empty one where it is.
    fn wals(&self) -> Result<Vec<PathBuf>, StorageError> {
        let mut files =
            wal::files(&self.path).map_err(|error| StorageError::io(&self.path, error))?;
        files.retain(|file| fs::metadata(file).is_ok_and(|held| held.len() > 0));
        Ok(files)
    }

    fn rewrite(&self, Range { family, first, last }: &Range) {
        let mut options = CompactOptions::default();
        // The lowest levels too: the bytes are there.
        options.set_bottommost_level_compaction(BottommostLevelCompaction::Force);
        options.set_exclusive_manual_compaction(false);
        let family = self.family(*family);
        self.db.compact_range_cf_opt(family, Some(first), Some(last), &options);
    }

    /// The table files that may hold rows of a range.
    fn tables(&self, range: &Range) -> Result<Vec<PathBuf>, StorageError> {
        let files = self.db.live_files().map_err(engine("list the table files"))?;
        let own = files.into_iter().filter(|file| {
            file.column_family_name == range.family.name()
                && file.start_key.as_ref().is_none_or(|key| *key <= range.last)
                && file.end_key.as_ref().is_none_or(|key| *key >= range.first)
        });
        Ok(own.map(|file| self.path.join(file.name.trim_start_matches('/'))).collect())
    }

    /// The end of a purging. If we crash before it, the next start purges once more.
    fn forget(&self, erasure: &Unpurged) -> Result<(), StorageError> {
        let mut rows = WriteBatch::default();
        let meta = self.family(Family::Meta);
        rows.delete_cf(meta, keys::unpurged_key(erasure.log, erasure.by));
        self.db.write_opt(rows, &synced()).map_err(engine("forget a purged erasure"))
    }
}

/// Waits until none of these files is there.
fn wait_until_gone(mut files: Vec<PathBuf>) -> Result<(), StorageError> {
    for _ in 0..LOOKS_MAX {
        files.retain(|file| fs::exists(file).unwrap_or(true));
        if files.is_empty() {
            return Ok(());
        }
        thread::sleep(LOOK_INTERVAL);
    }
    Err(StorageError::StillInFiles { path: files.swap_remove(0) })
}
