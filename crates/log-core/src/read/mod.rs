//! Reading one log: proofs, entries, tiles, look-ups. Nothing here writes.
//!
//! A [`Snapshot`] is one tree: its head, its partial tiles in memory, and its full tiles in the
//! store. A full tile from the store is compared with the hash that the level above holds for it,
//! up to the head, before it is used or kept. A proof is verified against the head before it is
//! returned. Entries are hashed and compared with their leaf hashes. If something does not match,
//! the read gives [`ReadError::Corrupt`].
//!
//! Reads that find all they need in memory answer on the caller's thread; the first miss sends the whole
//! read to a thread that may wait for the disk ([`Reads::run`]).

mod content;
mod proofs;
pub mod tile_cache;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use merkle::tile::{self, ExpandedTile, Location, TileCoord};
use merkle::{Hash, LeafIndex, NodeId, TreeSize};

use crate::types::{SignedHead, TreeView};
use storage::{IndexedEngine, LogId, StorageError};
use tile_cache::TileCache;

/// Width of a full tile or bundle.
const FULL: u16 = 256;

/// Why a read has no answer.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// Fix the request.
    #[error("{field} {asked} is beyond the size {size}")]
    BeyondSize { field: &'static str, asked: u64, size: TreeSize },
    #[error("leaf indexes must be ascending, each once, and at least one")]
    BadIndexes,
    #[error("size {to} is smaller than size {from}")]
    BackwardSizes { from: TreeSize, to: TreeSize },
    /// Page the operator: the store does not hold what was signed.
    #[error("{0} does not match the tree")]
    Corrupt(CorruptRead),
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The answer is not in memory, and the caller asked to look nowhere else.
    #[error("read needs the disk")]
    NeedsDisk,
}

/// What does not match.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CorruptRead {
    #[error("right edge of size {0}")]
    Edge(TreeSize),
    #[error("tile {}/{}", .0.level, .0.index)]
    Tile(TileCoord),
    #[error("missing tile {}/{}", .0.level, .0.index)]
    TileMissing(TileCoord),
    #[error("entry {0}")]
    Entry(LeafIndex),
    #[error("look-up row of entry {0}")]
    LookUp(LeafIndex),
    #[error("proof for size {0}")]
    Proof(TreeSize),
}

/// Where a read may look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    Memory,
    /// In the store too. Blocks, so only on threads that may block.
    Disk,
}

/// What all reads of a process share.
#[derive(Debug)]
pub struct Reads {
    source: Arc<Source>,
    /// The newest signed tree that was read, for each log, so that its right edge is expanded once.
    newest: Mutex<HashMap<LogId, Arc<Snapshot>>>,
}

struct Source {
    engine: Arc<dyn IndexedEngine>,
    cache: TileCache,
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Source").field("cache", &self.cache).finish_non_exhaustive()
    }
}

impl Reads {
    /// Reads from `engine`, keeping expanded tiles within `tile_cache_bytes`.
    pub fn new(engine: Arc<dyn IndexedEngine>, tile_cache_bytes: usize) -> Self {
        let source = Source { engine, cache: TileCache::new(tile_cache_bytes) };
        Self { source: Arc::new(source), newest: Mutex::default() }
    }

    /// The store below.
    pub fn engine(&self) -> &Arc<dyn IndexedEngine> {
        &self.source.engine
    }

    /// The tree of a signed head, shared by all who ask for the same one.
    pub fn signed(&self, log: LogId, signed: &SignedHead) -> Result<Arc<Snapshot>, ReadError> {
        let before = self.lock().get(&log).cloned();
        if let Some(before) = &before
            && before.size() == signed.size()
        {
            return Ok(Arc::clone(before));
        }
        let view = Arc::clone(&signed.view);
        let snapshot = Snapshot::new(Arc::clone(&self.source), log, view, before.as_deref())?;
        let snapshot = Arc::new(snapshot);
        let mut newest = self.lock();
        let kept = newest.entry(log).or_insert_with(|| Arc::clone(&snapshot));
        if kept.size() < snapshot.size() {
            *kept = Arc::clone(&snapshot);
        }
        Ok(snapshot)
    }

    /// A committed tree, signed or not.
    pub fn committed(&self, log: LogId, view: Arc<TreeView>) -> Result<Arc<Snapshot>, ReadError> {
        Snapshot::new(Arc::clone(&self.source), log, view, None).map(Arc::new)
    }

    /// Runs a read on this thread if it finds all it needs in memory. If not, runs it on a thread
    /// that may block.
    pub async fn run<T, F>(snapshot: &Arc<Snapshot>, read: F) -> Result<T, ReadError>
    where
        T: Send + 'static,
        F: Fn(&Snapshot, Access) -> Result<T, ReadError> + Send + 'static,
    {
        match read(snapshot, Access::Memory) {
            Err(ReadError::NeedsDisk) => {}
            answer => return answer,
        }
        let snapshot = Arc::clone(snapshot);
        base::tasks::blocking(move || read(&snapshot, Access::Disk)).await
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<LogId, Arc<Snapshot>>> {
        // A panic while the map is held leaves whole snapshots behind, so it stays usable.
        self.newest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An inclusion proof, verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inclusion {
    pub index: LeafIndex,
    pub leaf: Hash,
    pub size: TreeSize,
    pub hashes: Vec<Hash>,
}

/// A batch inclusion proof, verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchInclusion {
    pub size: TreeSize,
    /// In the order of the indexes.
    pub leaves: Vec<Hash>,
    pub hashes: Vec<Hash>,
}

/// One tree of one log, at one size.
#[derive(Debug)]
pub struct Snapshot {
    source: Arc<Source>,
    log: LogId,
    view: Arc<TreeView>,
    /// The partial tile of each tile level with the nodes above it, made when first asked for.
    edge: Vec<Arc<OnceLock<Rows>>>,
}

/// A partial tile's own row, and the complete nodes of each row above it.
type Rows = Vec<Vec<Hash>>;

impl Snapshot {
    fn new(
        source: Arc<Source>,
        log: LogId,
        view: Arc<TreeView>,
        before: Option<&Self>,
    ) -> Result<Self, ReadError> {
        let size = view.head.size;
        if view.frontier.size() != size || view.frontier.root() != view.head.root {
            return Err(ReadError::Corrupt(CorruptRead::Edge(size)));
        }
        let edge = (0..tile::LEVELS).map(|level| {
            let same =
                before.filter(|before| hashes_at(level, before.size()) == hashes_at(level, size));
            same.map_or_else(Arc::default, |before| Arc::clone(&before.edge[usize::from(level)]))
        });
        Ok(Self { edge: edge.collect(), source, log, view })
    }

    /// The size of this tree.
    pub fn size(&self) -> TreeSize {
        self.view.head.size
    }

    fn node(&self, node: NodeId, access: Access) -> Result<Hash, ReadError> {
        let location = tile::locate(node);
        match tile::width_at(location.coord, self.size()) {
            Some(FULL) => Ok(self.full_tile(location.coord, access)?.at(&location)),
            Some(_) => self.edge_node(&location),
            None => Err(ReadError::Corrupt(CorruptRead::TileMissing(location.coord))),
        }
    }

    fn edge_node(&self, location: &Location) -> Result<Hash, ReadError> {
        let level = location.coord.level;
        let rows = self.edge[usize::from(level)]
            .get_or_init(|| rows_above(self.view.frontier.partial(level)));
        let row = rows.get(usize::from(location.height()));
        let at = usize::from(location.first / location.count);
        let hash = row.and_then(|row| row.get(at)).copied();
        hash.ok_or(ReadError::Corrupt(CorruptRead::Tile(location.coord)))
    }

    /// A full tile, checked against the level above it up to the head when it comes from the store.
    fn full_tile(&self, coord: TileCoord, access: Access) -> Result<Arc<ExpandedTile>, ReadError> {
        if let Some(tile) = self.source.cache.tile(self.log, coord) {
            return Ok(tile);
        }
        let engine = &self.source.engine;
        let row = match access {
            // The tile became full a moment ago, and the callers that filled it ask for it.
            Access::Memory => engine.tile_at_hand(self.log, coord)?.ok_or(ReadError::NeedsDisk)?,
            Access::Disk => {
                let row = engine.tile(self.log, coord)?;
                row.ok_or(ReadError::Corrupt(CorruptRead::TileMissing(coord)))?
            }
        };
        let tile = Arc::new(ExpandedTile::from_full(&row));
        let above = NodeId::new((coord.level + 1) * tile::HEIGHT, coord.index)
            .map_err(|_| ReadError::Corrupt(CorruptRead::Tile(coord)))?;
        if self.node(above, access)? != tile.root() {
            return Err(ReadError::Corrupt(CorruptRead::Tile(coord)));
        }
        self.source.cache.keep(self.log, coord, Arc::clone(&tile));
        Ok(tile)
    }
}

/// Hashes of a tile level in a tree, over all its tiles.
fn hashes_at(level: u8, size: TreeSize) -> u64 {
    size.get().checked_shr(u32::from(level) * u32::from(tile::HEIGHT)).unwrap_or(0)
}

/// A partial tile's row and the complete nodes of each row above it. At most 255 hashes of work.
fn rows_above(row: &[Hash]) -> Rows {
    let mut rows = vec![row.to_vec()];
    while let Some(row) = rows.last()
        && row.len() > 1
    {
        let above = merkle::parent_hashes(&row[..row.len() & !1]);
        rows.push(above);
    }
    rows
}

fn corrupt_proof(size: TreeSize) -> ReadError {
    ReadError::Corrupt(CorruptRead::Proof(size))
}
