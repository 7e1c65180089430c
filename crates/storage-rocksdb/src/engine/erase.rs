//! Deleting attachments, from the rows and then from the files.
//!
//! A delete only hides a row: the bytes stay in the write-ahead log until that is dropped, and in
//! table files until those are rewritten.

use std::fs;
use std::path::PathBuf;
use std::sync::PoisonError;
use std::thread;
use std::time::Duration;

use rocksdb::{BottommostLevelCompaction, CompactOptions, WriteBatch};

use super::{RocksEngine, engine, synced, wal};
use merkle::LeafIndex;
use storage::{Engine as _, Erase, Family, LogId, StorageError, keys};

/// RocksDB deletes a file soon after nothing needs it. A file that is still there after so many
/// looks is held by a reader or a backup.
const LOOKS_MAX: u32 = 100;
/// The pause between two looks.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

impl Erase for RocksEngine {
    fn erase(&self, log: LogId, index: LeafIndex, kinds: &[u8]) -> Result<(), StorageError> {
        if self.read_only {
            return Err(StorageError::ReadOnly);
        }
        if kinds.is_empty() {
            return Ok(());
        }
        let _one_at_a_time = self.eraser.lock().unwrap_or_else(PoisonError::into_inner);
        self.delete(log, index, kinds)?;
        let mut files =
            wal::files(&self.path).map_err(|error| StorageError::io(&self.path, error))?;
        self.flush()?;
        let first = keys::attachment_key(log, index, u8::MIN);
        let last = keys::attachment_key(log, index, u8::MAX);
        files.extend(self.tables(&first, &last)?);
        let mut options = CompactOptions::default();
        // The lowest levels too: the bytes are there.
        options.set_bottommost_level_compaction(BottommostLevelCompaction::Force);
        options.set_exclusive_manual_compaction(false);
        let attachments = self.family(Family::Attachments);
        self.db.compact_range_cf_opt(attachments, Some(first), Some(last), &options);
        // RocksDB does not say whether it compacted, so we look at its files.
        wait_until_gone(files)
    }
}

impl RocksEngine {
    /// The commit point of an erasing. If we crash before this write, all rows are there. If we
    /// crash after it, the rows are gone, but their bytes may be in files until the erasing is done
    /// again, or the files are compacted.
    pub(super) fn delete(
        &self,
        log: LogId,
        index: LeafIndex,
        kinds: &[u8],
    ) -> Result<(), StorageError> {
        let mut rows = WriteBatch::default();
        let attachments = self.family(Family::Attachments);
        for kind in kinds {
            rows.delete_cf(attachments, keys::attachment_key(log, index, *kind));
        }
        let mut writer = self.lock_writer();
        if writer.poisoned {
            return Err(StorageError::Poisoned);
        }
        self.db.write_opt(rows, &synced()).map_err(|error| {
            writer.poisoned = true;
            engine("delete attachments")(error)
        })
    }

    /// The table files that may hold attachments from `first` up to `last`.
    fn tables(&self, first: &[u8], last: &[u8]) -> Result<Vec<PathBuf>, StorageError> {
        let files = self.db.live_files().map_err(engine("list the table files"))?;
        let own = files.into_iter().filter(|file| {
            file.column_family_name == Family::Attachments.name()
                && file.start_key.as_deref().is_none_or(|key| key <= last)
                && file.end_key.as_deref().is_none_or(|key| key >= first)
        });
        Ok(own.map(|file| self.path.join(file.name.trim_start_matches('/'))).collect())
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
