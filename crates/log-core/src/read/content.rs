//! Entries, tiles, bundles and look-ups, each compared with the tree.

use std::ops::Range;

use bytes::Bytes;
use merkle::tile::{self, BundlePath, TileCoord, TilePath};
use merkle::{Hash, LeafIndex, NodeId};

use super::{Access, CorruptRead, FULL, ReadError, Snapshot, corrupt_proof};
use storage::{Beside, DedupId, LeafCandidates};

/// Candidates of the leaf-hash index that are confirmed for one look-up. Several candidates share
/// 16 bytes of a hash only if the same entry stands in the log more than once; the lowest index
/// comes first.
const CANDIDATES_MAX: usize = 16;

impl Snapshot {
    /// Entries from `start` on, as many as `limit` and `bytes_max` allow but at least one, each compared
    /// with its leaf hash. Always reads the store.
    pub fn entries(
        &self,
        start: LeafIndex,
        limit: usize,
        bytes_max: usize,
        access: Access,
    ) -> Result<(Vec<Bytes>, Vec<Hash>), ReadError> {
        if access == Access::Memory {
            return Err(ReadError::NeedsDisk);
        }
        if !self.size().contains(start) {
            let asked = start.get();
            return Err(ReadError::BeyondSize { field: "start", asked, size: self.size() });
        }
        let left = usize::try_from(self.size().get() - start.get()).unwrap_or(usize::MAX);
        let engine = &self.source.engine;
        let stored = engine.entries(self.log, start, limit.min(left), bytes_max)?;
        let entries: Vec<Bytes> = stored.into_iter().map(|entry| entry.data).collect();
        let slices: Vec<&[u8]> = entries.iter().map(|entry| &entry[..]).collect();
        let leaves = merkle::leaf_hashes(&slices);
        for (position, leaf) in (start.get()..).zip(&leaves) {
            let index = LeafIndex::new(position).map_err(|_| corrupt_proof(self.size()))?;
            if self.node(NodeId::leaf(index), access)? != *leaf {
                return Err(ReadError::Corrupt(CorruptRead::Entry(index)));
            }
        }
        Ok((entries, leaves))
    }

    /// What is stored beside an entry of this tree, by kind, and tombstones of what was. Always reads the
    /// store, and no hash of the tree covers it.
    pub fn attachments(&self, index: LeafIndex, access: Access) -> Result<Vec<Beside>, ReadError> {
        if access == Access::Memory {
            return Err(ReadError::NeedsDisk);
        }
        if !self.size().contains(index) {
            let (field, asked) = ("leaf_index", index.get());
            return Err(ReadError::BeyondSize { field, asked, size: self.size() });
        }
        Ok(self.source.engine.attachments(self.log, index)?)
    }

    /// The bytes of a tile of the width its path names, `None` if this tree has no such tile.
    pub fn tile(&self, path: &TilePath, access: Access) -> Result<Option<Vec<u8>>, ReadError> {
        let coord = path.coord();
        let Some(width) = tile::width_at(coord, self.size()).filter(|width| path.width() <= *width)
        else {
            return Ok(None);
        };
        let wanted = usize::from(path.width());
        if width == FULL {
            let tile = self.full_tile(coord, access)?;
            return Ok(Some(tile::encode(&tile.row()[..wanted])));
        }
        Ok(Some(tile::encode(&self.view.frontier.partial(coord.level)[..wanted])))
    }

    /// The bytes of an entry bundle of the width its path names, `None` if this tree has no such bundle.
    /// At most 16 MiB.
    pub fn bundle(&self, path: &BundlePath, access: Access) -> Result<Option<Vec<u8>>, ReadError> {
        let coord = TileCoord { level: 0, index: path.index() };
        let width = tile::width_at(coord, self.size()).filter(|width| path.width() <= *width);
        let start = path.index().checked_mul(u64::from(FULL)).map(LeafIndex::new);
        let (Some(_), Some(Ok(start))) = (width, start) else {
            return Ok(None);
        };
        let (entries, _) = self.entries(start, usize::from(path.width()), usize::MAX, access)?;
        if entries.len() != usize::from(path.width()) {
            return Err(ReadError::Corrupt(CorruptRead::Entry(start)));
        }
        let bytes = merkle::bundle::encode(&entries);
        bytes.map(Some).map_err(|_| ReadError::Corrupt(CorruptRead::Entry(start)))
    }

    /// The lowest index with this leaf hash. Asks the index, then the leaves it does not cover yet.
    pub fn find_leaf(&self, leaf: &Hash, access: Access) -> Result<Option<LeafIndex>, ReadError> {
        if access == Access::Memory {
            return Err(ReadError::NeedsDisk);
        }
        let candidates = self.source.engine.leaf_index_get(self.log, leaf, CANDIDATES_MAX)?;
        let LeafCandidates { indexed_to, indexes } = candidates;
        for index in indexes.into_iter().filter(|index| self.size().contains(*index)) {
            if self.node(NodeId::leaf(index), access)? == *leaf {
                return Ok(Some(index));
            }
        }
        self.scan(leaf, indexed_to.get()..self.size().get())
    }

    /// The entry of a deduplication key, confirmed against its leaf.
    pub fn find_key(
        &self,
        id: &DedupId,
        access: Access,
    ) -> Result<Option<(LeafIndex, Hash)>, ReadError> {
        if access == Access::Memory {
            return Err(ReadError::NeedsDisk);
        }
        let found = self.source.engine.dedup(self.log, std::slice::from_ref(id))?;
        let Some(row) = found.into_iter().flatten().find(|row| self.size().contains(row.index))
        else {
            return Ok(None);
        };
        if self.node(NodeId::leaf(row.index), access)? != row.leaf {
            return Err(ReadError::Corrupt(CorruptRead::LookUp(row.index)));
        }
        Ok(Some((row.index, row.leaf)))
    }

    /// The leaf hashes of `range`, which lies in this tree, for a follower that derives an index
    /// from them.
    pub fn leaves(&self, range: Range<u64>, access: Access) -> Result<Vec<Hash>, ReadError> {
        let mut leaves = Vec::new();
        for tile in range.start / u64::from(FULL)..range.end.div_ceil(u64::from(FULL)) {
            let row = self.leaf_row(tile, access)?;
            let first = tile * u64::from(FULL);
            let from = usize::try_from(range.start.saturating_sub(first)).unwrap_or(usize::MAX);
            let to = usize::try_from(range.end - first).unwrap_or(usize::MAX);
            leaves.extend_from_slice(row.get(from..to.min(row.len())).unwrap_or_default());
        }
        Ok(leaves)
    }

    fn leaf_row(&self, index: u64, access: Access) -> Result<Vec<Hash>, ReadError> {
        let coord = TileCoord { level: 0, index };
        match tile::width_at(coord, self.size()) {
            Some(FULL) => Ok(self.full_tile(coord, access)?.row().to_vec()),
            Some(_) => Ok(self.view.frontier.partial(0).to_vec()),
            None => Ok(Vec::new()),
        }
    }

    fn scan(&self, leaf: &Hash, range: Range<u64>) -> Result<Option<LeafIndex>, ReadError> {
        for tile in range.start / u64::from(FULL)..range.end.div_ceil(u64::from(FULL)) {
            let row = self.leaf_row(tile, Access::Disk)?;
            if let Some(at) = row.iter().position(|found| found == leaf) {
                let at = u64::try_from(at).expect("a tile has 256 hashes");
                let index = LeafIndex::new(tile * u64::from(FULL) + at);
                return index.map(Some).map_err(|_| corrupt_proof(self.size()));
            }
        }
        Ok(None)
    }
}
