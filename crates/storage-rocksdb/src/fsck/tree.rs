//! Re-hashing one log's tree, tile by tile, in the memory of one row a level.

use merkle::tile::{self, TileCoord};
use merkle::{CompactRange, Hash, TreeSize};
use rs_merkle::{Hasher, MerkleTree};
use sha2::{Digest, Sha256};

use super::Damage;
use crate::RocksEngine;
use storage::{Engine, Family, LogId, StorageError};

/// A size whose root the journal or the archive states.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Milestone {
    pub(super) size: TreeSize,
    pub(super) root: Hash,
    pub(super) source: Source,
}

/// Where a milestone's root is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Source {
    Journal,
    Archive,
}

/// The tree of the leaves pushed so far, compared with what is stored.
pub(super) struct TreeCheck<'a> {
    engine: &'a RocksEngine,
    log: LogId,
    range: CompactRange,
    /// The row of each level that is not yet a full tile.
    rows: Vec<Vec<Hash>>,
    pub(super) tiles: u64,
}

impl<'a> TreeCheck<'a> {
    pub(super) fn new(engine: &'a RocksEngine, log: LogId) -> Self {
        Self { engine, log, range: CompactRange::empty(), rows: vec![Vec::new()], tiles: 0 }
    }

    pub(super) fn size(&self) -> u64 {
        self.range.end().get()
    }

    pub(super) fn root(&self) -> Hash {
        self.range.root()
    }

    /// Adds the hash of a leaf, and checks the tiles it completes.
    pub(super) fn push(&mut self, leaf: Hash, found: &mut dyn FnMut(Damage)) {
        let mut end = self.range.end().get() + 1;
        self.range.append(leaf);
        let mut hash = leaf;
        for level in 0_u8.. {
            let row = usize::from(level);
            if self.rows.len() == row {
                self.rows.push(Vec::new());
            }
            self.rows[row].push(hash);
            if self.rows[row].len() < tile::WIDTH {
                break;
            }
            end >>= tile::HEIGHT;
            let computed = std::mem::take(&mut self.rows[row]);
            hash = self.close(TileCoord { level, index: end - 1 }, &computed, found);
        }
    }

    /// Compares a tile made of the level below with the stored one. Yields the root of the stored
    /// tile, or of the made one if none is stored: each level is checked against what is stored
    /// below it.
    fn close(
        &mut self,
        coord: TileCoord,
        computed: &[Hash],
        found: &mut dyn FnMut(Damage),
    ) -> Hash {
        let stored = match self.engine.tile(self.log, coord) {
            Ok(Some(stored)) => {
                self.tiles += 1;
                compare(coord, computed, &stored[..], found);
                Some(stored)
            }
            Ok(None) => {
                found(Damage::TileMissing { tile: coord });
                None
            }
            Err(StorageError::Corrupt(corrupt)) => {
                found(corrupt.into());
                None
            }
            Err(source) => {
                found(Damage::Unreadable { family: Family::Tiles, source });
                None
            }
        };
        let row = stored.as_ref().map_or(computed, |stored| &stored[..]);
        let root = tile::root_of(row);
        if second_root(row) != Some(root) {
            found(Damage::SecondOpinion { tile: coord });
        }
        root
    }

    /// The root by the second implementation: each level's last row, with the root of the ragged end
    /// below it as its last node. Splits of a tree fall on multiples of 256 wherever it is larger than
    /// one tile, so a row of tile roots is hashed like a row of leaves (RFC 6962, section 2.1).
    pub(super) fn second_root(&self) -> Option<Hash> {
        let mut ragged = None;
        for row in &self.rows {
            let mut row = row.clone();
            row.extend(ragged);
            ragged = second_root(&row).or(ragged);
        }
        ragged
    }
}

fn compare(coord: TileCoord, computed: &[Hash], stored: &[Hash], found: &mut dyn FnMut(Damage)) {
    let first = coord.index << tile::HEIGHT;
    for (index, _) in (first..).zip(computed.iter().zip(stored)).filter(|(_, (a, b))| a != b) {
        found(match coord.level.checked_sub(1) {
            None => Damage::EntryHash { index, tile: coord },
            Some(level) => Damage::TileHash { tile: TileCoord { level, index }, above: coord },
        });
    }
}

/// RFC 6962 hashing for `rs_merkle`.
#[derive(Clone)]
struct Rfc6962;

impl Hasher for Rfc6962 {
    type Hash = [u8; 32];

    fn hash(bytes: &[u8]) -> [u8; 32] {
        Sha256::digest(bytes).into()
    }

    fn concat_and_hash(left: &[u8; 32], right: Option<&[u8; 32]>) -> [u8; 32] {
        match right {
            Some(right) => Sha256::new()
                .chain_update([1])
                .chain_update(left)
                .chain_update(right)
                .finalize()
                .into(),
            None => *left,
        }
    }
}

fn second_root(row: &[Hash]) -> Option<Hash> {
    let row: Vec<[u8; 32]> = row.iter().map(|hash| *hash.as_bytes()).collect();
    MerkleTree::<Rfc6962>::from_leaves(&row).root().map(Hash::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_root_is_the_root_of_the_row() {
        for width in 1..=256_u32 {
            let row: Vec<Hash> = (0..width).map(|n| Hash::from([n.to_le_bytes()[0]; 32])).collect();
            assert_eq!(second_root(&row), Some(tile_free_root(&row)), "{width}");
        }
        assert_eq!(second_root(&[]), None);
    }

    fn tile_free_root(row: &[Hash]) -> Hash {
        let mut range = CompactRange::empty();
        for hash in row {
            range.append(*hash);
        }
        range.root()
    }
}
