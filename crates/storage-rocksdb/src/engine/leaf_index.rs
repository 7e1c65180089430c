//! The leaf-hash index, in the family of the look-up rows.
//!
//! It is written without the write-ahead log. The rows of one batch and their end are in one table file
//! or lost together, and batches are lost from the last one back: a crash leaves an earlier index.

use std::sync::PoisonError;

use merkle::{Hash, LeafIndex, TreeSize};
use rocksdb::{ReadOptions, WriteBatch, WriteOptions};

use super::{RocksEngine, batch, engine};
use storage::keys::{self, Key};
use storage::{Family, LeafCandidates, LeafIndexStore, LogId, StorageError};

/// The tag of the index's rows, and the one that no row of a log has after it.
const ROWS: (u8, u8) = (b'l', b'l' + 1);

impl LeafIndexStore for RocksEngine {
    fn leaf_index_put(
        &self,
        log: LogId,
        from: LeafIndex,
        leaves: &[Hash],
    ) -> Result<(), StorageError> {
        if self.read_only {
            return Err(StorageError::ReadOnly);
        }
        let _one_at_a_time = self.index_writer.lock().unwrap_or_else(PoisonError::into_inner);
        let index = self.family(Family::Index);
        let mut rows = WriteBatch::with_capacity_bytes(leaves.len() * batch::ROW_OVERHEAD_BYTES);
        let mut end = from.get();
        for leaf in leaves {
            let at = LeafIndex::new(end).expect("leaves lie below a tree size");
            rows.put_cf(index, keys::leaf_key(log, leaf, at), []);
            end += 1;
        }
        let key = keys::indexed_to_key(log);
        let end = TreeSize::new(end).expect("leaves lie below a tree size");
        if end > self.leaf_indexed_to(log)? {
            rows.put_cf(index, key, keys::encode_indexed_to(&key, end));
        }
        let written = self.db.write_opt(rows, &unlogged());
        written.map_err(engine("write the leaf-hash index"))
    }

    fn leaf_index_get(
        &self,
        log: LogId,
        leaf: &Hash,
        limit: usize,
    ) -> Result<LeafCandidates, StorageError> {
        let moment = self.db.snapshot();
        let mut options = ReadOptions::default();
        options.set_snapshot(&moment);
        let key = keys::indexed_to_key(log);
        let end = self.db.get_pinned_cf_opt(self.family(Family::Index), key, &options);
        let end = end.map_err(engine("read a row"))?;
        let end = end.map(|value| keys::decode_indexed_to(&key, &value)).transpose()?;
        let mut found =
            LeafCandidates { indexed_to: end.unwrap_or(TreeSize::ZERO), indexes: Vec::new() };
        let prefix = keys::leaf_prefix(log, leaf);
        for row in self.scan_with(options, Family::Index, &prefix, &prefix) {
            if found.indexes.len() == limit {
                break;
            }
            let (key, _) = row?;
            if let Key::Leaf(_, _, index) = keys::decode_key(Family::Index, &key)? {
                found.indexes.push(index);
            }
        }
        Ok(found)
    }

    fn leaf_indexed_to(&self, log: LogId) -> Result<TreeSize, StorageError> {
        let key = keys::indexed_to_key(log);
        let indexed = self.decoded(Family::Index, &key, keys::decode_indexed_to)?;
        Ok(indexed.unwrap_or(TreeSize::ZERO))
    }

    fn leaf_index_forget(&self, log: LogId) -> Result<(), StorageError> {
        if self.read_only {
            return Err(StorageError::ReadOnly);
        }
        let _one_at_a_time = self.index_writer.lock().unwrap_or_else(PoisonError::into_inner);
        let index = self.family(Family::Index);
        let mut rows = WriteBatch::default();
        let (first, end) = ROWS;
        rows.delete_range_cf(index, keys::tagged(log, first), keys::tagged(log, end));
        rows.delete_cf(index, keys::indexed_to_key(log));
        let written = self.db.write_opt(rows, &unlogged());
        written.map_err(engine("forget the leaf-hash index"))
    }
}

fn unlogged() -> WriteOptions {
    let mut options = WriteOptions::default();
    options.disable_wal(true);
    options
}
