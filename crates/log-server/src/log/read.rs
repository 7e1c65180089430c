//! Reading one log: proofs, entries, tiles, look-ups. Nothing here writes.
//!
//! A [`Snapshot`] is one tree: its head, its partial tiles in memory, and its full tiles in the store. A
//! full tile read from the store is compared with the hash of it that the level above holds, up to the
//! head, before it is used or kept; a proof is verified against the head before it is returned; entries
//! are hashed and compared with their leaf hashes. What does not match is [`ReadError::Corrupt`].
//!
//! Reads that find all they need in memory answer on the caller's thread; the first miss sends the whole
//! read to a thread that may wait for the disk ([`Reads::run`]).

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use bytes::Bytes;
use merkle::tile::{self, BundlePath, ExpandedTile, Location, TileCoord, TilePath};
use merkle::{Hash, LeafIndex, NodeId, TreeSize, proof};

use super::tile_cache::TileCache;
use super::types::{SignedHead, TreeView};
use crate::storage::{DedupId, Engine, LogId, StorageError};

/// Candidates of the leaf-hash index that are confirmed for one look-up. More than one share 16 bytes of
/// a hash only if the same entry stands in the log more than once; the lowest index comes first.
const CANDIDATES_MAX: usize = 16;
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
    /// Page the operator: what is stored is not what was signed.
    #[error("{0} does not match the tree")]
    Corrupt(CorruptRead),
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// Not in memory, and the caller asked to look nowhere else.
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
    /// Blocks: only on threads that may.
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
    engine: Arc<dyn Engine>,
    cache: TileCache,
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Source").field("cache", &self.cache).finish_non_exhaustive()
    }
}

impl Reads {
    /// Reads from `engine`, keeping expanded tiles within `tile_cache_bytes`.
    pub fn new(engine: Arc<dyn Engine>, tile_cache_bytes: usize) -> Self {
        let source = Source { engine, cache: TileCache::new(tile_cache_bytes) };
        Self { source: Arc::new(source), newest: Mutex::default() }
    }

    /// The store below.
    pub fn engine(&self) -> &Arc<dyn Engine> {
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

    /// Runs a read on this thread if memory suffices, and where it may block otherwise.
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
        let task = tokio::task::spawn_blocking(move || read(&snapshot, Access::Disk));
        // The only other error is a runtime that is shutting down, where nobody waits for an answer.
        task.await.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
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

    /// An inclusion proof of one leaf in the tree of `size` leaves, which must not be beyond this one.
    pub fn inclusion(
        &self,
        index: LeafIndex,
        size: TreeSize,
        access: Access,
    ) -> Result<Inclusion, ReadError> {
        self.check_size("tree_size", size)?;
        if !size.contains(index) {
            return Err(ReadError::BeyondSize { field: "leaf_index", asked: index.get(), size });
        }
        let plan = proof::plan_inclusion(index, size).map_err(|_| corrupt_proof(size))?;
        let hashes = self.build(&plan, size, access)?;
        let leaf = self.node(NodeId::leaf(index), access)?;
        let root = self.root_at(size, access)?;
        proof::verify_inclusion(&leaf, index, size, &hashes, &root)
            .map_err(|_| corrupt_proof(size))?;
        Ok(Inclusion { index, leaf, size, hashes })
    }

    /// A consistency proof between two sizes up to this one.
    pub fn consistency(
        &self,
        from: TreeSize,
        to: TreeSize,
        access: Access,
    ) -> Result<Vec<Hash>, ReadError> {
        self.check_size("to_size", to)?;
        if to < from {
            return Err(ReadError::BackwardSizes { from, to });
        }
        let from_root = self.raw_root(from, access)?;
        let to_root = self.root_at(to, access)?;
        self.prove_consistency(from, to, (&from_root, &to_root), access)
    }

    /// One proof of many leaves, their indexes ascending and each once.
    pub fn batch_inclusion(
        &self,
        indexes: &[LeafIndex],
        size: TreeSize,
        access: Access,
    ) -> Result<BatchInclusion, ReadError> {
        self.check_size("tree_size", size)?;
        self.check_indexes(indexes, size)?;
        let leaf = |index: &LeafIndex| self.node(NodeId::leaf(*index), access);
        let leaves = indexes.iter().map(leaf).collect::<Result<Vec<_>, _>>()?;
        let hashes = self.prove_batch(indexes, &leaves, size, access)?;
        Ok(BatchInclusion { size, leaves, hashes })
    }

    /// As [`Self::batch_inclusion`] at this size, for leaf hashes the caller already holds: the proof is
    /// verified for those, so stored leaves that differ are found.
    pub fn prove_leaves(
        &self,
        indexes: &[LeafIndex],
        leaves: &[Hash],
        access: Access,
    ) -> Result<Vec<Hash>, ReadError> {
        self.check_indexes(indexes, self.size())?;
        self.prove_batch(indexes, leaves, self.size(), access)
    }

    fn prove_batch(
        &self,
        indexes: &[LeafIndex],
        leaves: &[Hash],
        size: TreeSize,
        access: Access,
    ) -> Result<Vec<Hash>, ReadError> {
        let plan = proof::plan_batch_inclusion(indexes, size).map_err(|_| corrupt_proof(size))?;
        let hashes = self.build(&plan, size, access)?;
        let root = self.root_at(size, access)?;
        let pairs: Vec<_> = indexes.iter().copied().zip(leaves.iter().copied()).collect();
        proof::verify_batch_inclusion(&pairs, size, &hashes, &root)
            .map_err(|_| corrupt_proof(size))?;
        Ok(hashes)
    }

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
        // Read before the candidates: what is indexed in between is then found by one or the other.
        let indexed_to = self.source.engine.leaf_indexed_to(self.log)?;
        let candidates = self.source.engine.leaf_index_get(self.log, leaf, CANDIDATES_MAX)?;
        for index in candidates.into_iter().filter(|index| self.size().contains(*index)) {
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

    /// The leaf hashes of `range`, which lies in this tree, for whoever derives an index from them.
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

    fn check_size(&self, field: &'static str, size: TreeSize) -> Result<(), ReadError> {
        if size > self.size() {
            let asked = size.get();
            return Err(ReadError::BeyondSize { field, asked, size: self.size() });
        }
        Ok(())
    }

    fn check_indexes(&self, indexes: &[LeafIndex], size: TreeSize) -> Result<(), ReadError> {
        let last = *indexes.last().ok_or(ReadError::BadIndexes)?;
        if !indexes.is_sorted_by(|left, right| left < right) {
            return Err(ReadError::BadIndexes);
        }
        if !size.contains(last) {
            return Err(ReadError::BeyondSize { field: "leaf_indexes", asked: last.get(), size });
        }
        Ok(())
    }

    /// The root of a tree up to this one, proved consistent with this one's.
    fn root_at(&self, size: TreeSize, access: Access) -> Result<Hash, ReadError> {
        let root = self.raw_root(size, access)?;
        if size != self.size() {
            let head = (&root, &self.view.head.root);
            self.prove_consistency(size, self.size(), head, access)?;
        }
        Ok(root)
    }

    /// The root of a tree up to this one, as its nodes give it.
    fn raw_root(&self, size: TreeSize, access: Access) -> Result<Hash, ReadError> {
        if size == self.size() {
            return Ok(self.view.head.root);
        }
        if size == TreeSize::ZERO {
            return Ok(Hash::EMPTY_ROOT);
        }
        let root = self.build(&proof::plan_root(size), size, access)?;
        root.first().copied().ok_or_else(|| corrupt_proof(size))
    }

    fn prove_consistency(
        &self,
        from: TreeSize,
        to: TreeSize,
        (from_root, to_root): (&Hash, &Hash),
        access: Access,
    ) -> Result<Vec<Hash>, ReadError> {
        let plan = proof::plan_consistency(from, to).map_err(|_| corrupt_proof(to))?;
        let hashes = self.build(&plan, to, access)?;
        proof::verify_consistency(from, to, from_root, to_root, &hashes)
            .map_err(|_| corrupt_proof(to))?;
        Ok(hashes)
    }

    fn build(
        &self,
        plan: &proof::Plan,
        size: TreeSize,
        access: Access,
    ) -> Result<Vec<Hash>, ReadError> {
        let nodes = plan.nodes().iter().map(|node| self.node(*node, access));
        let fetched = nodes.collect::<Result<Vec<_>, _>>()?;
        plan.build(&fetched).map_err(|_| corrupt_proof(size))
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
        if access == Access::Memory {
            return Err(ReadError::NeedsDisk);
        }
        let row = self.source.engine.tile(self.log, coord)?;
        let row = row.ok_or(ReadError::Corrupt(CorruptRead::TileMissing(coord)))?;
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
