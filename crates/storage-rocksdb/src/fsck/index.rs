//! Comparing look-up rows with the entries they are made from.
//!
//! The entries and the rows are each read once, in their own order, and compared by two sums of
//! SHA-256: over the rows that the entries call for, and over the rows there are. Only if the sums
//! differ are rows looked up one by one, to name the first that is wrong.

use merkle::{Hash, LeafIndex, TreeSize, leaf_hash};
use sha2::{Digest, Sha256};

use super::Damage;
use crate::RocksEngine;
use storage::keys::{self, Key};
use storage::{
    DedupId, DedupRow, Engine, Family, LeafIndexStore as _, LogKind, LogRecord, StoredEntry, stamp,
};

/// A sum over rows, whatever their order.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Fingerprint {
    rows: u64,
    sum: u128,
}

impl Fingerprint {
    fn add(&mut self, key: &[u8], value: &[u8]) {
        let digest = Sha256::new().chain_update(key).chain_update(value).finalize();
        let (front, _) = digest.split_first_chunk::<16>().expect("a digest has 32 bytes");
        self.sum = self.sum.wrapping_add(u128::from_be_bytes(*front));
        self.rows += 1;
    }
}

/// The look-up rows of one log.
pub(super) struct IndexCheck<'a> {
    engine: &'a RocksEngine,
    record: &'a LogRecord,
    size: TreeSize,
    pub(super) indexed_to: TreeSize,
    dedup_wanted: Fingerprint,
    dedup_found: Fingerprint,
    leaf_wanted: Fingerprint,
    leaf_found: Fingerprint,
    pub(super) producers: u64,
}

impl<'a> IndexCheck<'a> {
    pub(super) fn new(
        engine: &'a RocksEngine,
        record: &'a LogRecord,
        size: TreeSize,
        found: &mut dyn FnMut(Damage),
    ) -> Self {
        // The scan of all rows finds a damaged row again, and names it.
        let indexed_to = engine.leaf_indexed_to(record.id).unwrap_or(TreeSize::ZERO);
        if indexed_to > size {
            found(Damage::LeafIndexAhead { indexed: indexed_to });
        }
        Self {
            engine,
            record,
            size,
            indexed_to,
            dedup_wanted: Fingerprint::default(),
            dedup_found: Fingerprint::default(),
            leaf_wanted: Fingerprint::default(),
            leaf_found: Fingerprint::default(),
            producers: 0,
        }
    }

    pub(super) fn dedup_rows(&self) -> u64 {
        self.dedup_found.rows
    }

    pub(super) fn leaf_rows(&self) -> u64 {
        self.leaf_found.rows
    }

    /// Notes the rows an entry calls for.
    pub(super) fn entry(&mut self, index: LeafIndex, entry: &StoredEntry, leaf: &Hash) {
        let log = self.record.id;
        let row = self.row_of(index, entry, *leaf);
        for id in ids(self.record, entry, leaf) {
            let key = keys::dedup_key(log, &id);
            self.dedup_wanted.add(&key, &keys::encode_dedup(&key, &row));
        }
        if self.indexed_to.contains(index) {
            self.leaf_wanted.add(&keys::leaf_key(log, leaf, index), &[]);
        }
    }

    /// Reads all rows there are, and compares.
    pub(super) fn finish(&mut self, found: &mut dyn FnMut(Damage)) {
        for row in self.engine.scan(Family::Index, &self.record.id.get().to_be_bytes()) {
            match row {
                Ok((key, value)) => {
                    if let Err(damage) = self.row(&key, &value, found) {
                        found(damage);
                    }
                }
                Err(source) => found(Damage::Unreadable { family: Family::Index, source }),
            }
        }
        if self.dedup_found != self.dedup_wanted || self.leaf_found != self.leaf_wanted {
            self.name_missing(found);
            self.name_orphans(found);
        }
    }

    fn row(
        &mut self,
        key: &[u8],
        value: &[u8],
        found: &mut dyn FnMut(Damage),
    ) -> Result<(), Damage> {
        match keys::decode_key(Family::Index, key)? {
            Key::Dedup(..) => {
                let row = undigested(keys::decode_dedup(key, value)?);
                self.dedup_found.add(key, &keys::encode_dedup(key, &row));
            }
            Key::Leaf(..) => self.leaf_found.add(key, value),
            Key::IndexedTo(_) => drop(keys::decode_indexed_to(key, value)?),
            Key::Producer(..) => {
                let row = keys::decode_producer(key, value)?;
                self.producers += 1;
                let (index, sequence) = (row.last_index, row.last_sequence);
                if !self.size.contains(index) || sequence == 0 {
                    found(Damage::Producer { index, sequence });
                }
            }
            _ => unreachable!("the index family decodes to index keys only"),
        }
        Ok(())
    }

    /// Names entries whose rows are missing or say something else.
    fn name_missing(&self, found: &mut dyn FnMut(Damage)) {
        let log = self.record.id;
        for row in self.engine.scan(Family::Entries, &log.get().to_be_bytes()) {
            let Ok((key, value)) = row else { return };
            let Ok(Key::Entry(_, index)) = keys::decode_key(Family::Entries, &key) else {
                continue;
            };
            let Ok(entry) = keys::decode_entry(&key, &value.to_vec().into()) else { continue };
            let leaf = leaf_hash(&entry.data);
            let ids: Vec<_> = ids(self.record, &entry, &leaf).collect();
            let rows = self.engine.dedup(log, &ids).unwrap_or_default();
            let wanted = self.row_of(index, &entry, leaf);
            let own = |row: &DedupRow| undigested(*row) == wanted;
            if rows.len() != ids.len() || !rows.iter().all(|row| row.as_ref().is_some_and(own)) {
                found(Damage::DedupMissing { index: index.get() });
            }
            let key = keys::leaf_key(log, &leaf, index);
            if self.indexed_to.contains(index)
                && !self.engine.holds(Family::Index, &key).unwrap_or(false)
            {
                found(Damage::LeafMissing { index: index.get() });
            }
        }
    }

    /// Names rows that belong to no entry.
    fn name_orphans(&self, found: &mut dyn FnMut(Damage)) {
        for row in self.engine.scan(Family::Index, &self.record.id.get().to_be_bytes()) {
            let Ok((key, value)) = row else { return };
            match keys::decode_key(Family::Index, &key) {
                Ok(Key::Dedup(_, id)) => {
                    let Ok(row) = keys::decode_dedup(&key, &value) else { continue };
                    let entry = self.entry_at(row.index);
                    if !entry.is_some_and(|(entry, leaf)| {
                        leaf == row.leaf && ids(self.record, &entry, &leaf).any(|own| own == id)
                    }) {
                        found(Damage::DedupOrphan { index: row.index });
                    }
                }
                Ok(Key::Leaf(_, prefix, index)) => {
                    let entry = self.entry_at(index);
                    let own = entry.is_some_and(|(_, leaf)| leaf.as_bytes()[..16] == prefix);
                    if !own || !value.is_empty() || !self.indexed_to.contains(index) {
                        found(Damage::LeafOrphan { index });
                    }
                }
                _ => {}
            }
        }
    }

    /// The row of an entry's key, without its digest.
    fn row_of(&self, index: LeafIndex, entry: &StoredEntry, leaf: Hash) -> DedupRow {
        let time_ns = match self.record.kind {
            LogKind::Plain => None,
            LogKind::Audit => stamp::time_ns(&entry.data),
        };
        DedupRow { index, leaf, time_ns, digest: None }
    }

    fn entry_at(&self, index: LeafIndex) -> Option<(StoredEntry, Hash)> {
        let found = self.engine.entries(self.record.id, index, 1, 0);
        let entry = found.ok()?.pop()?;
        let leaf = leaf_hash(&entry.data);
        Some((entry, leaf))
    }
}

/// What a deduplication row and its entry must agree on. The entry does not know the digest, so the
/// row has a checksum for it.
fn undigested(row: DedupRow) -> DedupRow {
    DedupRow { digest: None, ..row }
}

/// The ids under which an entry is deduplicated.
fn ids(
    record: &LogRecord,
    entry: &StoredEntry,
    leaf: &Hash,
) -> impl Iterator<Item = DedupId> + use<> {
    let keyed = entry.dedup.as_ref().map(storage::DedupKey::id);
    let whole = record.deduplicate_entries.then(|| DedupId::of_leaf(leaf));
    keyed.into_iter().chain(whole)
}
