//! Tiles of the tree, as [c2sp.org/tlog-tiles] cuts it.
//!
//! A tile holds 256 neighbouring hashes of one level of the tree, and tile level `L` takes them
//! from tree level `8 L`: the leaf hashes, the roots of full level-0 tiles, the roots of full
//! level-1 tiles, and so on. The levels between are recomputed from the tile.
//!
//! ```text
//! tile level 1            . . . r . .            one hash for each full tile below
//!                              / \
//!                    (7 levels, not stored)
//!                            /     \
//! tile level 0           0 1 2 ... 255           256 leaf hashes, 8,192 bytes
//! ```
//!
//! A partial tile (1 to 255 hashes) is a prefix of the full tile it grows into.
//!
//! [c2sp.org/tlog-tiles]: https://github.com/C2SP/C2SP/blob/main/tlog-tiles.md

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;

mod path;

pub use path::{BundlePath, PathError, TilePath};

use crate::{Hash, NodeId, TreeSize, parent_hashes};

pub use crate::hash::root_of;

/// Levels of the tree in one tile.
pub const HEIGHT: u8 = 8;

/// Hashes in a full tile.
pub const WIDTH: usize = 1 << HEIGHT;

/// Bytes in a full tile.
pub const BYTES: usize = WIDTH * Hash::LEN;

/// Tile levels that any tree can have: level 7 spans 2^56 leaves a hash.
pub const LEVELS: u8 = 8;

/// The hashes of a full tile.
pub type FullRow = [Hash; WIDTH];

/// Which tile: its level counted in tiles, and its position within the level.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TileCoord {
    /// 0 for leaf hashes, 1 for roots of level-0 tiles, and so on.
    pub level: u8,
    /// Position from 0 among the tiles of the level.
    pub index: u64,
}

/// Where in the tiles a node is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Location {
    /// The tile that holds it.
    pub coord: TileCoord,
    /// The first hash of the tile that lies under the node.
    pub first: u16,
    /// How many hashes lie under it: a power of two. [`root_of`] those is the node's hash.
    pub count: u16,
}

impl Location {
    /// The slice of a tile's hashes under the node, or `None` if the tile is too narrow to have
    /// all.
    pub fn slice<'a>(&self, row: &'a [Hash]) -> Option<&'a [Hash]> {
        let first = usize::from(self.first);
        row.get(first..first + usize::from(self.count))
    }

    /// How far above the tile's own row the node lies: 0 to 7.
    pub fn height(&self) -> u8 {
        u8::try_from(self.count.ilog2()).expect("at most 7")
    }
}

/// Which tile holds `node`, and which slice of it. The tile is that of the row at or below the
/// node.
pub fn locate(node: NodeId) -> Location {
    let (level, height) = (node.level() / HEIGHT, node.level() % HEIGHT);
    let first = node.index() << height;
    Location {
        coord: TileCoord { level, index: first >> HEIGHT },
        first: low_byte(first),
        count: 1 << height,
    }
}

/// How many hashes this tile has in a tree of `size` leaves: 1 to 256, or `None` if there is no
/// such tile.
pub fn width_at(coord: TileCoord, size: TreeSize) -> Option<u16> {
    let row = hashes_at(coord.level, size);
    let full = row >> HEIGHT;
    if coord.index < full {
        Some(256)
    } else if coord.index == full && low_byte(row) > 0 {
        Some(low_byte(row))
    } else {
        None
    }
}

/// The tiles that are full at size `new` and were not at size `old`: by level, then by index.
pub fn full_tiles_between(old: TreeSize, new: TreeSize) -> impl Iterator<Item = TileCoord> {
    (0..LEVELS).flat_map(move |level| {
        let full = |size| hashes_at(level, size) >> HEIGHT;
        (full(old)..full(new)).map(move |index| TileCoord { level, index })
    })
}

/// The partial tiles of a tree, from level 0 up, each with its width of 1 to 255. A level without a
/// partial tile is left out.
pub fn partial_tiles(size: TreeSize) -> impl Iterator<Item = (TileCoord, u16)> {
    (0..LEVELS).filter_map(move |level| {
        let row = hashes_at(level, size);
        let width = low_byte(row);
        (width > 0).then_some((TileCoord { level, index: row >> HEIGHT }, width))
    })
}

/// How many hashes the tiles of `level` hold together in a tree of `size` leaves.
fn hashes_at(level: u8, size: TreeSize) -> u64 {
    size.get().checked_shr(u32::from(HEIGHT) * u32::from(level)).unwrap_or(0)
}

fn low_byte(value: u64) -> u16 {
    u16::from(value.to_le_bytes()[0])
}

/// A full tile with all the nodes above it up to its root: 511 hashes, 16 KiB. Any node is then a
/// look-up.
#[derive(Clone, PartialEq, Eq)]
pub struct ExpandedTile {
    /// Row after row, from the tile's own 256 hashes up to the root.
    nodes: Box<[Hash]>,
}

impl ExpandedTile {
    /// Hashes kept.
    pub const NODES: usize = 2 * WIDTH - 1;

    /// Computes the 255 nodes above a full tile, in bulk.
    pub fn from_full(row: &FullRow) -> Self {
        let mut nodes = Vec::with_capacity(Self::NODES);
        nodes.extend_from_slice(row);
        let mut below = 0;
        for _ in 0..HEIGHT {
            let above = parent_hashes(&nodes[below..]);
            below = nodes.len();
            nodes.extend_from_slice(&above);
        }
        Self { nodes: nodes.into_boxed_slice() }
    }

    /// The node `height` (0 to 8) above the tile's own row, at position `index` from the tile's
    /// left side; `None` outside the tile.
    pub fn node(&self, height: u8, index: usize) -> Option<Hash> {
        let width = WIDTH.checked_shr(u32::from(height)).filter(|width| index < *width)?;
        self.nodes.get(2 * (WIDTH - width) + index).copied()
    }

    /// The node at a [`Location`] in this tile. The caller has checked that it is this tile's.
    pub fn at(&self, location: &Location) -> Hash {
        let index = usize::from(location.first / location.count);
        self.node(location.height(), index).expect("a location lies inside its tile")
    }

    /// The tile's own 256 hashes.
    pub fn row(&self) -> &[Hash] {
        &self.nodes[..WIDTH]
    }

    /// The hash over the whole tile, which is its hash in the tile level above.
    pub fn root(&self) -> Hash {
        self.nodes[Self::NODES - 1]
    }
}

impl fmt::Debug for ExpandedTile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExpandedTile").field("root", &self.root()).finish_non_exhaustive()
    }
}

/// Bytes that are not a tile.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TileError {
    /// A tile of this width has another length.
    #[error("a tile of {width} hashes has 32 bytes for each, found {found} bytes")]
    Length {
        /// The width it should have.
        width: u16,
        /// How many bytes there were.
        found: usize,
    },
}

/// The bytes of a tile: its hashes one after the other.
pub fn encode(row: &[Hash]) -> Vec<u8> {
    row.iter().flat_map(|hash| hash.into_bytes()).collect()
}

/// The hashes of a tile of this width. Says nothing about whether they are the right ones.
pub fn decode(bytes: &[u8], width: u16) -> Result<Vec<Hash>, TileError> {
    let (hashes, rest) = bytes.as_chunks::<{ Hash::LEN }>();
    if hashes.len() != usize::from(width) || !rest.is_empty() {
        return Err(TileError::Length { width, found: bytes.len() });
    }
    Ok(hashes.iter().copied().map(Hash::from).collect())
}

/// [`decode`] of a full tile, into the array the other functions take.
pub fn decode_full(bytes: &[u8]) -> Result<Box<FullRow>, TileError> {
    let row = decode(bytes, 256)?;
    Ok(row.into_boxed_slice().try_into().expect("decode checked the width"))
}
