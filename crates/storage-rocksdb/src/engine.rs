//! The engine of the server, on RocksDB.
//!
//! A commit is one write batch over five column families, synced. **That write is the commit
//! point**: a crash before it leaves nothing of the batch, after it all of it. Opening replays the
//! write-ahead log, which may hold records that were written but never synced, and flushes them to
//! synced table files before anyone reads them: what an open engine shows is durable.

mod batch;
mod erase;
mod leaf_index;
mod lock;
mod open;
mod options;
mod scan;
#[cfg(test)]
mod tests;
mod wal;

pub use lock::StoreLock;
pub use options::RocksOptions;
pub use scan::{RawRow, Scan, TableFiles};
pub use wal::Wal;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base::durable;
use bytes::{Bytes, BytesMut};
use merkle::tile::TileCoord;
use merkle::{LeafIndex, TreeSize};
use rocksdb::checkpoint::Checkpoint;
use rocksdb::{
    ColumnFamily, DB, DBPinnableSlice, ErrorKind, FlushOptions, ReadOptions, WriteOptions,
};

use storage::keys::{self, Key};
use storage::{
    ArchivePosition, ArchivedCheckpoint, Beside, CommitOutcome, Corrupt, DedupId, DedupRow, Engine,
    EngineError, Family, FullTile, LogCommit, LogId, LogRecord, ProducerId, ProducerRow, RowFault,
    StorageError, StoredEntry, StoredHead, check_batch,
};

/// An open store.
pub struct RocksEngine {
    db: DB,
    path: PathBuf,
    read_only: bool,
    /// Reads what is in memory and nothing else.
    at_hand: ReadOptions,
    /// Owned by `commit`, of which one runs at a time.
    writer: Mutex<Writer>,
    /// Owned by `leaf_index_put` and `leaf_index_forget`.
    index_writer: Mutex<()>,
    /// Owned by `purge`.
    eraser: Mutex<()>,
}

/// What a commit needs besides the database. Sound to keep in memory because RocksDB locks its folder
/// and heads are written here only.
struct Writer {
    heads: BTreeMap<LogId, StoredHead>,
    /// A write failed, and whether it will be found at the next start is unknown.
    poisoned: bool,
    /// Reused for every row's value.
    value: Vec<u8>,
}

impl fmt::Debug for RocksEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RocksEngine")
            .field("path", &self.path)
            .field("read_only", &self.read_only)
            .finish_non_exhaustive()
    }
}

impl RocksEngine {
    /// Writes a consistent copy of the store to `out`, a folder that must not exist. May run beside
    /// commits; files are hard-linked where `out` is on the same file system, so it costs a flush and
    /// little else.
    pub fn checkpoint(&self, out: &Path) -> Result<(), StorageError> {
        let write = || Checkpoint::new(&self.db)?.create_checkpoint(out);
        write().map_err(engine("write a checkpoint of the database"))
    }

    /// The folder of the store.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn lock_writer(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn family(&self, family: Family) -> &ColumnFamily {
        let handle = self.family_if_there(family);
        handle.expect("every family is opened with a database that is written")
    }

    /// A family, `None` if the store is read-only and was made before there was that family.
    fn family_if_there(&self, family: Family) -> Option<&ColumnFamily> {
        self.db.cf_handle(family.name())
    }

    fn read(
        &self,
        family: Family,
        key: &[u8],
    ) -> Result<Option<DBPinnableSlice<'_>>, StorageError> {
        let Some(handle) = self.family_if_there(family) else { return Ok(None) };
        self.db.get_pinned_cf(handle, key).map_err(engine("read a row"))
    }

    fn decoded<T>(
        &self,
        family: Family,
        key: &[u8],
        decode: impl FnOnce(&[u8], &[u8]) -> Result<T, Corrupt>,
    ) -> Result<Option<T>, StorageError> {
        let value = self.read(family, key)?;
        Ok(value.map(|value| decode(key, &value)).transpose()?)
    }

    /// Consecutive entry rows as one buffer and the end of each row in it: one allocation for all.
    fn entry_rows(
        &self,
        log: LogId,
        start: LeafIndex,
        limit: usize,
        bytes_max: usize,
    ) -> Result<(Bytes, Vec<usize>), StorageError> {
        let end = u64::try_from(limit).map_or(u64::MAX, |limit| start.get().saturating_add(limit));
        let mut options = ReadOptions::default();
        options.set_iterate_upper_bound(upper_bound(log, end));
        let mut rows = self.db.raw_iterator_cf_opt(self.family(Family::Entries), options);
        rows.seek(keys::entry_key(log, start));
        let mut values = BytesMut::new();
        let mut ends = Vec::new();
        for index in start.get()..end {
            let Some((key, value)) = rows.item() else {
                break;
            };
            let wanted = keys::entry_key(log, LeafIndex::new(index).expect("below a stored index"));
            if key != wanted {
                return Err(keys::corrupt(Family::Entries, &wanted, RowFault::Missing).into());
            }
            if !ends.is_empty() && values.len().saturating_add(value.len()) > bytes_max {
                break;
            }
            values.extend_from_slice(value);
            ends.push(values.len());
            rows.next();
        }
        rows.status().map_err(engine("read entries"))?;
        Ok((values.freeze(), ends))
    }
}

impl Engine for RocksEngine {
    fn commit(&self, batch: &[LogCommit]) -> CommitOutcome {
        if batch.is_empty() {
            return CommitOutcome::Committed;
        }
        let mut writer = self.lock_writer();
        if self.read_only {
            return CommitOutcome::NotCommitted(StorageError::ReadOnly);
        }
        if writer.poisoned {
            return CommitOutcome::NotCommitted(StorageError::Poisoned);
        }
        if let Err(error) = check_batch(batch) {
            return CommitOutcome::NotCommitted(error);
        }
        for LogCommit { log, expected, .. } in batch {
            let found = writer.heads.get(log).copied();
            if found != *expected {
                return CommitOutcome::Conflict { log: *log, found };
            }
        }
        let rows = self.encode(batch, &mut writer.value);
        // The commit point.
        if let Err(error) = self.db.write_opt(rows, &synced()) {
            writer.poisoned = true;
            return CommitOutcome::Ambiguous(engine("write a commit")(error));
        }
        let heads = batch.iter().map(|commit| (commit.log, commit.new));
        writer.heads.extend(heads);
        CommitOutcome::Committed
    }

    fn head(&self, log: LogId) -> Result<Option<StoredHead>, StorageError> {
        self.decoded(Family::Meta, &keys::head_key(log), keys::decode_head)
    }

    fn logs(&self) -> Result<Vec<LogRecord>, StorageError> {
        let mut logs = Vec::new();
        let mut options = ReadOptions::default();
        options.set_total_order_seek(true);
        let mut rows = self.db.raw_iterator_cf_opt(self.family(Family::Meta), options);
        rows.seek_to_first();
        // A log's rows lie together with its archive between them: seek from record to record.
        while let Some((key, value)) = rows.item() {
            let log = match keys::decode_key(Family::Meta, key)? {
                Key::Record(log) => {
                    logs.push(keys::decode_record(key, value)?);
                    log
                }
                Key::Head(log) | Key::Checkpoint(log, _) => {
                    rows.seek(keys::record_key(log));
                    let at_record = rows.key() == Some(&keys::record_key(log)[..]);
                    if !at_record {
                        let key = keys::record_key(log);
                        return Err(keys::corrupt(Family::Meta, &key, RowFault::Missing).into());
                    }
                    continue;
                }
                // The store's own rows are the last ones.
                Key::Layout | Key::Unpurged(..) => break,
                _ => unreachable!("the meta family decodes to meta keys only"),
            };
            rows.seek(log.get().saturating_add(1).to_be_bytes());
        }
        rows.status().map_err(engine("list the logs"))?;
        Ok(logs)
    }

    fn entries(
        &self,
        log: LogId,
        start: LeafIndex,
        limit: usize,
        bytes_max: usize,
    ) -> Result<Vec<StoredEntry>, StorageError> {
        let (values, ends) = self.entry_rows(log, start, limit, bytes_max)?;
        let mut entries = Vec::with_capacity(ends.len());
        let mut from = 0;
        for (index, to) in (start.get()..).zip(ends) {
            let key = keys::entry_key(log, LeafIndex::new(index).expect("below a stored index"));
            entries.push(keys::decode_entry(&key, &values.slice(from..to))?);
            from = to;
        }
        Ok(entries)
    }

    fn attachments(&self, log: LogId, index: LeafIndex) -> Result<Vec<Beside>, StorageError> {
        let rows = self.scan(Family::Attachments, &keys::entry_key(log, index));
        let mut beside = Vec::new();
        for row in rows {
            let (key, value) = row?;
            match keys::decode_beside(&key, &value.into_vec().into()) {
                Ok(row) => beside.push(row),
                // One bad row hides no other. The entry says which ones there have to be.
                Err(corrupt) => tracing::error!(error = %corrupt, "an attachment is damaged"),
            }
        }
        Ok(beside)
    }

    fn tile(&self, log: LogId, coord: TileCoord) -> Result<Option<FullTile>, StorageError> {
        let key = keys::tile_key(log, coord);
        self.decoded(Family::Tiles, &key, keys::decode_tile)
    }

    fn tile_at_hand(&self, log: LogId, coord: TileCoord) -> Result<Option<FullTile>, StorageError> {
        let key = keys::tile_key(log, coord);
        let found = self.db.get_pinned_cf_opt(self.family(Family::Tiles), key, &self.at_hand);
        match found {
            Ok(value) => Ok(value.map(|value| keys::decode_tile(&key, &value)).transpose()?),
            // What is neither in a memtable nor in the block cache.
            Err(error) if error.kind() == ErrorKind::Incomplete => Ok(None),
            Err(error) => Err(engine("read a tile")(error)),
        }
    }

    fn dedup(&self, log: LogId, ids: &[DedupId]) -> Result<Vec<Option<DedupRow>>, StorageError> {
        let wanted: Vec<_> = ids.iter().map(|id| keys::dedup_key(log, id)).collect();
        let index = self.family(Family::Index);
        let found = self.db.batched_multi_get_cf(index, wanted.iter(), false);
        let decode = |(key, value): (&[u8; 53], Result<Option<DBPinnableSlice<'_>>, _>)| {
            let value = value.map_err(engine("look up deduplication keys"))?;
            let row = value.map(|value| keys::decode_dedup(key, &value));
            Ok(row.transpose()?)
        };
        wanted.iter().zip(found).map(decode).collect()
    }

    fn producer(&self, log: LogId, id: &ProducerId) -> Result<Option<ProducerRow>, StorageError> {
        let key = keys::producer_key(log, id);
        self.decoded(Family::Index, &key, keys::decode_producer)
    }

    fn checkpoints(
        &self,
        log: LogId,
        from_size: TreeSize,
        after: Option<ArchivePosition>,
        limit: usize,
    ) -> Result<Vec<ArchivedCheckpoint>, StorageError> {
        let from = ArchivePosition { size: from_size, published_ms: 0 };
        let first = after.map_or(from, |after| after.max(from));
        let prefix = keys::tagged(log, b'c');
        let mut found = Vec::new();
        for row in self.scan_from(Family::Meta, &prefix, &keys::checkpoint_key(log, first)) {
            if found.len() == limit {
                break;
            }
            let (key, value) = row?;
            let checkpoint = keys::decode_checkpoint(&key, &value)?;
            if after.is_none_or(|after| checkpoint.position() > after) {
                found.push(checkpoint);
            }
        }
        Ok(found)
    }

    fn free_bytes(&self) -> Result<u64, StorageError> {
        Ok(durable::free_bytes(&self.path)?)
    }

    fn flush(&self) -> Result<(), StorageError> {
        if self.read_only {
            return Ok(());
        }
        let families = Family::ALL.map(|family| self.family(family));
        let flushed = self
            .db
            .flush_cfs_opt(&families.each_ref().map(|family| *family), &FlushOptions::default());
        flushed.map_err(engine("flush"))
    }
}

fn synced() -> WriteOptions {
    let mut options = WriteOptions::default();
    options.set_sync(true);
    options
}

/// Names the operation in an error of the engine.
fn engine(operation: &'static str) -> impl Fn(rocksdb::Error) -> StorageError {
    move |error| StorageError::Engine { operation, source: engine_error(error) }
}

/// The first key beyond a log's entries below `end`.
fn upper_bound(log: LogId, end: u64) -> Vec<u8> {
    [&log.get().to_be_bytes()[..], &end.to_be_bytes()[..]].concat()
}

/// RocksDB gives the system's error only as its text, which no locale changes.
fn says_passing(text: &str) -> bool {
    let texts = ["Too many open files", "No space left on device", "Disk quota exceeded"];
    texts.iter().any(|passing| text.contains(passing))
}

fn engine_error(error: rocksdb::Error) -> EngineError {
    let is_corruption = error.kind() == ErrorKind::Corruption;
    let is_passing = says_passing(error.as_ref());
    EngineError { is_corruption, is_passing, source: Arc::new(error) }
}
