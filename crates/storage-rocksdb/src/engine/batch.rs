//! Commits as one write batch. Rows are encoded straight into it, through one reused buffer.

use ::rocksdb::WriteBatch;
use merkle::LeafIndex;

use super::RocksEngine;
use storage::{EraseTarget, Erasure, Family, LogCommit, LogId, Row, StoredEntry, keys};

/// Bytes a row costs in a write batch beyond its value: key, lengths, column family.
pub(super) const ROW_OVERHEAD_BYTES: usize = 48;
/// Bytes a look-up row takes in a write batch, at most, unless it holds a note.
const LOOKUP_ROW_BYTES: usize = 160;

impl RocksEngine {
    /// All rows of a batch of commits. `value` is scratch.
    pub(super) fn encode(&self, batch: &[LogCommit], value: &mut Vec<u8>) -> WriteBatch {
        let mut rows = WriteBatch::with_capacity_bytes(batch.iter().map(encoded_len).sum());
        let entries = self.family(Family::Entries);
        let tiles = self.family(Family::Tiles);
        let attachments = self.family(Family::Attachments);
        for commit in batch {
            let first = commit.expected.map_or(0, |head| head.size.get());
            for (index, entry) in (first..).zip(&commit.entries) {
                let index = LeafIndex::new(index).expect("below a tree size");
                keys::encode_entry(entry, value);
                rows.put_cf(entries, keys::entry_key(commit.log, index), &*value);
                for attachment in &entry.attachments {
                    let key = keys::attachment_key(commit.log, index, attachment.kind);
                    keys::encode_attachment(&key, attachment, value);
                    rows.put_cf(attachments, key, &*value);
                }
            }
            for (coord, tile) in &commit.tiles {
                keys::encode_tile(tile, value);
                rows.put_cf(tiles, keys::tile_key(commit.log, *coord), &*value);
            }
            for row in &commit.rows {
                self.encode_row(commit.log, row, &mut rows);
            }
            let key = keys::head_key(commit.log);
            let head = keys::encode_head(&key, &commit.new);
            rows.put_cf(self.family(Family::Meta), key, head);
        }
        rows
    }

    fn encode_row(&self, log: LogId, row: &Row, rows: &mut WriteBatch) {
        let index = self.family(Family::Index);
        let meta = self.family(Family::Meta);
        match row {
            Row::Dedup(id, row) => {
                let key = keys::dedup_key(log, id);
                rows.put_cf(index, key, keys::encode_dedup(&key, row));
            }
            Row::Producer(id, row) => {
                let key = keys::producer_key(log, id);
                rows.put_cf(index, key, keys::encode_producer(&key, row));
            }
            Row::Log(record) => {
                let key = keys::record_key(log);
                rows.put_cf(meta, key, keys::encode_record(&key, record));
            }
            Row::Checkpoint(checkpoint) => {
                let key = keys::checkpoint_key(log, checkpoint.position());
                rows.put_cf(meta, key, keys::encode_checkpoint(&key, checkpoint));
            }
            Row::Erasure(erasure) => self.encode_erasure(log, erasure, rows),
        }
    }

    fn encode_erasure(&self, log: LogId, erasure: &Erasure, rows: &mut WriteBatch) {
        let Erasure { by, time_ns, targets } = erasure;
        let attachments = self.family(Family::Attachments);
        for EraseTarget { index, kinds, once } in targets {
            for kind in kinds {
                let key = keys::attachment_key(log, *index, *kind);
                rows.put_cf(attachments, key, keys::encode_tombstone(&key, *time_ns, *by));
            }
            if let Some((id, row)) = once {
                let key = keys::dedup_key(log, id);
                rows.put_cf(self.family(Family::Index), key, keys::encode_dedup(&key, row));
            }
        }
        let key = keys::unpurged_key(log, *by);
        let value = keys::encode_unpurged(&key, targets.iter().map(|target| target.index));
        rows.put_cf(self.family(Family::Meta), key, value);
    }
}

/// About what a commit takes in a write batch, so that the batch is allocated once.
fn encoded_len(commit: &LogCommit) -> usize {
    let entry = |entry: &StoredEntry| {
        let key = entry.dedup.as_ref().map_or(0, |dedup| dedup.key.len() + 16);
        entry.bytes() + key + ROW_OVERHEAD_BYTES * (1 + entry.attachments.len())
    };
    let row = |row: &Row| match row {
        Row::Checkpoint(checkpoint) => checkpoint.note.len() + ROW_OVERHEAD_BYTES,
        Row::Log(_) => 4 * LOOKUP_ROW_BYTES,
        Row::Dedup(..) | Row::Producer(..) => LOOKUP_ROW_BYTES,
        Row::Erasure(erasure) => {
            let kinds = |target: &EraseTarget| target.kinds.len();
            let rows = erasure.targets.iter().map(kinds).sum::<usize>() + erasure.targets.len();
            rows * LOOKUP_ROW_BYTES
        }
    };
    commit.entries.iter().map(entry).sum::<usize>()
        + commit.tiles.len() * (keys::TILE_BYTES + ROW_OVERHEAD_BYTES)
        + commit.rows.iter().map(row).sum::<usize>()
        + LOOKUP_ROW_BYTES
}
