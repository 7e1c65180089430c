//! The right edge of a growing tree: the partial tile of each level, in memory.
//!
//! Only full tiles are ever stored, so this is what a log must keep, and rebuild at start, to grow
//! and to prove. It is at most 255 hashes a level, 32 KB for a tree of 10^9 leaves.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::tile::{self, FullRow, TileCoord};
use crate::{CompactRange, Hash, NodeId, TreeSize};

/// A tile that became full, with its hashes.
pub type FullTile = (TileCoord, Box<FullRow>);

/// Hashes that are not the partial tiles of a tree.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrontierError {
    /// The partial tile of this level has another width in a tree of this size.
    #[error("the partial tile of level {level} has {expected} hashes, found {found}")]
    Width {
        /// The tile level.
        level: usize,
        /// How many hashes it should have.
        expected: u16,
        /// How many there were.
        found: usize,
    },
}

/// The partial tiles of a tree, and its compact range.
///
/// A clone costs a few hundred bytes: the tiles are shared until one of the two grows.
#[derive(Debug, Clone)]
pub struct Frontier {
    range: CompactRange,
    /// The partial tile of each tile level, empty where the last tile is full.
    levels: Vec<Arc<Vec<Hash>>>,
}

impl Default for Frontier {
    fn default() -> Self {
        Self::new()
    }
}

impl Frontier {
    /// The right edge of the empty tree.
    pub fn new() -> Self {
        Self { range: CompactRange::empty(), levels: Vec::new() }
    }

    /// Rebuilds the right edge of a tree from its partial tiles, from level 0 up.
    ///
    /// Their widths are those of [`tile::partial_tiles`] (0 for levels it leaves out); levels above
    /// the last partial tile may be missing. Only the widths are checked here: compare
    /// [`root`](Self::root) with the one that was stored.
    pub fn from_levels(size: TreeSize, levels: Vec<Vec<Hash>>) -> Result<Self, FrontierError> {
        check_widths(size, &levels)?;
        let mut range = CompactRange::empty();
        for (coord, _) in tile::partial_tiles(size).collect::<Vec<_>>().into_iter().rev() {
            for (index, hash) in
                (coord.index << tile::HEIGHT..).zip(&levels[usize::from(coord.level)])
            {
                let node = NodeId::new(coord.level * tile::HEIGHT, index)
                    .expect("a tile of the tree holds it");
                range
                    .append_node_with(node, *hash, &mut |_, _| ())
                    .expect("each level starts where the one above ends");
            }
        }
        Ok(Self { range, levels: levels.into_iter().map(Arc::new).collect() })
    }

    /// How many leaves the tree has.
    pub fn size(&self) -> TreeSize {
        self.range.end()
    }

    /// The tree's root. Costs at most one hash a level of the tree.
    pub fn root(&self) -> Hash {
        self.range.root()
    }

    /// The compact range of the tree.
    pub fn compact_range(&self) -> &CompactRange {
        &self.range
    }

    /// The hashes of the partial tile of this tile level; none if its last tile is full or it has
    /// no tile.
    pub fn partial(&self, level: u8) -> &[Hash] {
        self.levels.get(usize::from(level)).map_or(&[], |hashes| hashes.as_slice())
    }

    /// A node that lies in a partial tile, or above full tiles in the compact range; `None` for any
    /// other. Costs at most 127 hashes.
    pub fn node(&self, node: NodeId) -> Option<Hash> {
        let location = tile::locate(node);
        if location.coord.index == self.size_at(location.coord.level) >> tile::HEIGHT {
            return Some(tile::root_of(location.slice(self.partial(location.coord.level))?));
        }
        self.range.nodes().find_map(|(peak, hash)| (peak == node).then_some(hash))
    }

    /// Adds leaves on the right, and yields the tiles that become full, each after the tiles below
    /// it.
    ///
    /// Whole tiles of new leaves are hashed in bulk. At most one tile a level is copied, if a clone
    /// shares it.
    ///
    /// # Panics
    ///
    /// If the tree would pass 2^63 - 1 leaves.
    pub fn append(&mut self, leaves: &[Hash]) -> Vec<FullTile> {
        let mut full = Vec::new();
        let mut rest = leaves;
        while !rest.is_empty() {
            let room = tile::WIDTH - self.partial(0).len();
            let (chunk, after) = rest.split_at(room.min(rest.len()));
            rest = after;
            match chunk.try_into() {
                Ok(row) => self.append_tile(row, &mut full),
                Err(_) => self.append_leaves(chunk, &mut full),
            }
        }
        full
    }

    fn append_leaves(&mut self, leaves: &[Hash], full: &mut Vec<FullTile>) {
        let levels = &mut self.levels;
        let mut visit = |node, hash| grow(levels, node, hash, full);
        for leaf in leaves {
            self.range.append_with(*leaf, &mut visit);
        }
    }

    /// A whole level-0 tile at once, which an empty partial tile has room for.
    fn append_tile(&mut self, row: &FullRow, full: &mut Vec<FullTile>) {
        let coord = TileCoord { level: 0, index: self.size_at(0) >> tile::HEIGHT };
        let node = NodeId::new(tile::HEIGHT, coord.index).expect("no tree grows to 2^63 leaves");
        full.push((coord, Box::new(*row)));
        if self.levels.is_empty() {
            self.levels.push(Arc::default());
        }
        let levels = &mut self.levels;
        let mut visit = |node, hash| grow(levels, node, hash, full);
        self.range
            .append_node_with(node, tile::root_of(row), &mut visit)
            .expect("the tile starts at the tree's end");
    }

    /// How many hashes the tiles of a level hold together.
    fn size_at(&self, level: u8) -> u64 {
        self.size().get().checked_shr(u32::from(level * tile::HEIGHT)).unwrap_or(0)
    }
}

/// Puts a completed node into the partial tile of its level, if the level has one, and empties the
/// tile when it is full.
fn grow(levels: &mut Vec<Arc<Vec<Hash>>>, node: NodeId, hash: Hash, full: &mut Vec<FullTile>) {
    if !node.level().is_multiple_of(tile::HEIGHT) {
        return;
    }
    let level = node.level() / tile::HEIGHT;
    if levels.len() == usize::from(level) {
        levels.push(Arc::default());
    }
    let partial = Arc::make_mut(&mut levels[usize::from(level)]);
    partial.push(hash);
    if partial.len() == tile::WIDTH {
        let row =
            core::mem::take(partial).into_boxed_slice().try_into().expect("it holds a full tile");
        full.push((TileCoord { level, index: node.index() >> tile::HEIGHT }, row));
    }
}

fn check_widths(size: TreeSize, levels: &[Vec<Hash>]) -> Result<(), FrontierError> {
    (0..levels.len().max(usize::from(tile::LEVELS))).try_for_each(|level| {
        let expected = tile::partial_tiles(size)
            .find(|(coord, _)| usize::from(coord.level) == level)
            .map_or(0, |(_, width)| width);
        let found = levels.get(level).map_or(0, Vec::len);
        if usize::from(expected) == found {
            Ok(())
        } else {
            Err(FrontierError::Width { level, expected, found })
        }
    })
}
