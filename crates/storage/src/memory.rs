//! A store in memory, for tests. It enforces the contract: a caller that breaks it panics here, where a
//! real engine could only refuse or, worse, obey.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use merkle::tile::TileCoord;
use merkle::{Hash, LeafIndex, TreeSize};

use super::{
    ArchivePosition, ArchivedCheckpoint, Beside, CommitOutcome, DedupId, DedupRow, Engine, Erase,
    Erasure, FullTile, LeafCandidates, LeafIndexStore, LogCommit, LogId, LogRecord, ProducerId,
    ProducerRow, Row, StorageError, StoredEntry, StoredHead, Unpurged, check_batch,
};

/// A store in memory. Nothing outlives it.
#[derive(Debug, Default)]
pub struct MemoryEngine {
    /// Written by `commit`, `purge`, `leaf_index_put` and `leaf_index_forget` only.
    logs: RwLock<BTreeMap<LogId, MemoryLog>>,
}

#[derive(Debug, Default)]
struct MemoryLog {
    record: Option<LogRecord>,
    head: Option<StoredHead>,
    /// Their attachments lie in `beside`.
    entries: Vec<StoredEntry>,
    /// By index and kind.
    beside: BTreeMap<(u64, u8), Beside>,
    /// By the entry that states the erasure.
    unpurged: BTreeMap<LeafIndex, Vec<LeafIndex>>,
    tiles: BTreeMap<(u8, u64), FullTile>,
    dedup: BTreeMap<DedupId, DedupRow>,
    producers: BTreeMap<ProducerId, ProducerRow>,
    archive: BTreeMap<ArchivePosition, ArchivedCheckpoint>,
    leaf_index: BTreeSet<([u8; 16], u64)>,
    indexed_to: u64,
}

impl MemoryEngine {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    fn read(&self) -> RwLockReadGuard<'_, BTreeMap<LogId, MemoryLog>> {
        self.logs.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, BTreeMap<LogId, MemoryLog>> {
        self.logs.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn with<T>(&self, log: LogId, look: impl FnOnce(&MemoryLog) -> T) -> Option<T> {
        self.read().get(&log).map(look)
    }
}

impl Engine for MemoryEngine {
    fn commit(&self, batch: &[LogCommit]) -> CommitOutcome {
        if let Err(error) = check_batch(batch) {
            panic!("the caller broke the contract: {error}");
        }
        let mut logs = self.write();
        for commit in batch {
            let found = logs.get(&commit.log).and_then(|log| log.head);
            if found != commit.expected {
                return CommitOutcome::Conflict { log: commit.log, found };
            }
        }
        for commit in batch {
            logs.entry(commit.log).or_default().apply(commit);
        }
        CommitOutcome::Committed
    }

    fn head(&self, log: LogId) -> Result<Option<StoredHead>, StorageError> {
        Ok(self.with(log, |log| log.head).flatten())
    }

    fn logs(&self) -> Result<Vec<LogRecord>, StorageError> {
        let logs = self.read();
        Ok(logs.values().filter_map(|log| log.record.clone()).collect())
    }

    fn entries(
        &self,
        log: LogId,
        start: LeafIndex,
        limit: usize,
        bytes_max: usize,
    ) -> Result<Vec<StoredEntry>, StorageError> {
        let found = self.with(log, |log| {
            let start = usize::try_from(start.get()).unwrap_or(usize::MAX);
            let mut bytes = 0_usize;
            let mut found = Vec::new();
            for entry in log.entries.iter().skip(start).take(limit) {
                bytes = bytes.saturating_add(entry.data.len());
                if bytes > bytes_max && !found.is_empty() {
                    break;
                }
                found.push(entry.clone());
            }
            found
        });
        Ok(found.unwrap_or_default())
    }

    fn attachments(&self, log: LogId, index: LeafIndex) -> Result<Vec<Beside>, StorageError> {
        let at = index.get();
        let found = self.with(log, |log| {
            let rows = log.beside.range((at, u8::MIN)..=(at, u8::MAX));
            rows.map(|(_, beside)| beside.clone()).collect()
        });
        Ok(found.unwrap_or_default())
    }

    fn tile(&self, log: LogId, coord: TileCoord) -> Result<Option<FullTile>, StorageError> {
        let key = (coord.level, coord.index);
        Ok(self.with(log, |log| log.tiles.get(&key).cloned()).flatten())
    }

    fn tile_at_hand(&self, log: LogId, coord: TileCoord) -> Result<Option<FullTile>, StorageError> {
        self.tile(log, coord)
    }

    fn dedup(&self, log: LogId, ids: &[DedupId]) -> Result<Vec<Option<DedupRow>>, StorageError> {
        let look = |log: &MemoryLog| ids.iter().map(|id| log.dedup.get(id).copied()).collect();
        Ok(self.with(log, look).unwrap_or_else(|| vec![None; ids.len()]))
    }

    fn producer(&self, log: LogId, id: &ProducerId) -> Result<Option<ProducerRow>, StorageError> {
        Ok(self.with(log, |log| log.producers.get(id).copied()).flatten())
    }

    fn checkpoints(
        &self,
        log: LogId,
        from_size: TreeSize,
        after: Option<ArchivePosition>,
        limit: usize,
    ) -> Result<Vec<ArchivedCheckpoint>, StorageError> {
        let wanted = |checkpoint: &&ArchivedCheckpoint| {
            checkpoint.size >= from_size && after.is_none_or(|after| checkpoint.position() > after)
        };
        let found = self
            .with(log, |log| log.archive.values().filter(wanted).take(limit).cloned().collect());
        Ok(found.unwrap_or_default())
    }

    fn free_bytes(&self) -> Result<u64, StorageError> {
        Ok(u64::MAX)
    }

    fn flush(&self) -> Result<(), StorageError> {
        Ok(())
    }
}

impl LeafIndexStore for MemoryEngine {
    fn leaf_index_put(
        &self,
        log: LogId,
        from: LeafIndex,
        leaves: &[Hash],
    ) -> Result<(), StorageError> {
        let mut logs = self.write();
        let log = logs.get_mut(&log).expect("only existing logs are indexed");
        assert!(from.get() <= log.indexed_to, "the leaf-hash index would have a gap");
        for (index, leaf) in (from.get()..).zip(leaves) {
            log.leaf_index.insert((prefix(leaf), index));
            log.indexed_to = log.indexed_to.max(index + 1);
        }
        let size = log.head.map_or(0, |head| head.size.get());
        assert!(log.indexed_to <= size, "the leaf-hash index runs ahead of the log");
        Ok(())
    }

    fn leaf_index_get(
        &self,
        log: LogId,
        leaf: &Hash,
        limit: usize,
    ) -> Result<LeafCandidates, StorageError> {
        let key = prefix(leaf);
        let found = self.with(log, |log| {
            let rows = log.leaf_index.range((key, 0)..=(key, u64::MAX)).take(limit);
            let indexes = rows.filter_map(|(_, index)| LeafIndex::new(*index).ok()).collect();
            LeafCandidates { indexed_to: log.indexed_to(), indexes }
        });
        let nothing = LeafCandidates { indexed_to: TreeSize::ZERO, indexes: Vec::new() };
        Ok(found.unwrap_or(nothing))
    }

    fn leaf_indexed_to(&self, log: LogId) -> Result<TreeSize, StorageError> {
        Ok(self.with(log, MemoryLog::indexed_to).unwrap_or(TreeSize::ZERO))
    }

    fn leaf_index_forget(&self, log: LogId) -> Result<(), StorageError> {
        if let Some(log) = self.write().get_mut(&log) {
            log.leaf_index.clear();
            log.indexed_to = 0;
        }
        Ok(())
    }
}

impl Erase for MemoryEngine {
    fn unpurged(&self) -> Result<Vec<Unpurged>, StorageError> {
        let logs = self.read();
        let all = logs.iter().flat_map(|(id, log)| {
            log.unpurged.iter().map(|(by, entries)| (*id, *by, entries.clone()))
        });
        Ok(all.map(|(log, by, entries)| Unpurged { log, by, entries }).collect())
    }

    fn purge(&self, erasure: &Unpurged) -> Result<(), StorageError> {
        if let Some(log) = self.write().get_mut(&erasure.log) {
            log.unpurged.remove(&erasure.by);
        }
        Ok(())
    }
}

impl MemoryLog {
    fn indexed_to(&self) -> TreeSize {
        TreeSize::new(self.indexed_to).expect("an index beside a tree size is in range")
    }

    fn apply(&mut self, commit: &LogCommit) {
        let first = commit.expected.map_or(0, |head| head.size.get());
        for (index, entry) in (first..).zip(&commit.entries) {
            for attachment in &entry.attachments {
                let kept = Beside::Kept(attachment.clone());
                self.beside.insert((index, attachment.kind), kept);
            }
        }
        let bare = |entry: &StoredEntry| StoredEntry { attachments: vec![], ..entry.clone() };
        self.entries.extend(commit.entries.iter().map(bare));
        for (coord, tile) in &commit.tiles {
            let before = self.tiles.insert((coord.level, coord.index), tile.clone());
            assert!(before.is_none(), "L-4: a full tile is written once");
        }
        for row in &commit.rows {
            self.put(row);
        }
        self.head = Some(commit.new);
    }

    fn put(&mut self, row: &Row) {
        match row {
            Row::Dedup(id, row) => {
                let before = self.dedup.insert(*id, *row);
                assert!(before.is_none(), "a deduplication row is written once");
            }
            Row::Producer(id, row) => {
                let before = self.producers.insert(*id, *row);
                assert!(
                    before.is_none_or(|before| before.last_sequence < row.last_sequence),
                    "a producer only moves forward"
                );
            }
            Row::Log(record) => self.put_record(record),
            Row::Checkpoint(checkpoint) => {
                let before = self.archive.insert(checkpoint.position(), checkpoint.clone());
                assert!(before.is_none(), "an archived checkpoint is written once");
            }
            Row::Erasure(erasure) => self.erase(erasure),
        }
    }

    fn erase(&mut self, Erasure { by, time_ns, targets }: &Erasure) {
        for target in targets {
            for kind in &target.kinds {
                let tombstone = Beside::Erased { kind: *kind, time_ns: *time_ns, by: *by };
                let before = self.beside.insert((target.index.get(), *kind), tombstone);
                assert!(matches!(before, Some(Beside::Kept(_))), "only what is kept is erased");
            }
            if let Some((id, row)) = &target.once {
                let before = self.dedup.insert(*id, *row);
                let before = before.map(|before| DedupRow { digest: None, ..before });
                assert_eq!(before, Some(*row), "a deduplication row loses its digest alone");
            }
        }
        self.unpurged.insert(*by, targets.iter().map(|target| target.index).collect());
    }

    fn put_record(&mut self, record: &LogRecord) {
        if let Some(before) = &self.record {
            assert_eq!(before.origin, record.origin, "an origin never changes");
            assert_eq!(before.name, record.name, "a name never changes");
            assert_eq!(before.kind, record.kind, "a kind never changes");
        }
        self.record = Some(record.clone());
    }
}

fn prefix(leaf: &Hash) -> [u8; 16] {
    let mut prefix = [0; 16];
    prefix.copy_from_slice(&leaf.as_bytes()[..16]);
    prefix
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::conformance::{self, Opened};
    use crate::faulty::FaultyEngine;

    #[test]
    fn conforms() {
        let engine = || Arc::new(MemoryEngine::new());
        conformance::run(&|| Opened { engine: engine(), folder: None });
    }

    #[test]
    fn conforms_through_faulty() {
        let engine = || Arc::new(FaultyEngine::new(Arc::new(MemoryEngine::new())));
        conformance::run(&|| Opened { engine: engine(), folder: None });
    }
}
