//! Start-up of one log: its tree, rebuilt from what is stored and compared with the head row, and its
//! newest archived checkpoint.

use std::sync::Arc;

use bytes::Bytes;
use formats::SignedCheckpoint;
use merkle::tile::{self, FullRow, TileCoord};
use merkle::{Frontier, Hash, LeafIndex, NodeId, TreeSize, leaf_hashes, plan_root};

use crate::error::{Damage, StartError};
use crate::types::{Published, SignedHead, TreeView};
use storage::journal::JournalHead;
use storage::{
    ArchivePosition, ArchivedCheckpoint, Engine, LogKind, LogRecord, StorageError, StoredEntry,
    StoredHead, stamp,
};

/// Bytes of entries read at a time: more than a bundle of the largest entries.
const READ_BYTES_MAX: usize = 32 * 1024 * 1024;

/// Archived checkpoints read at a time.
const ARCHIVE_PAGE: usize = 256;

/// Reads one log of a store.
pub(super) struct Reader<'a> {
    pub(super) engine: &'a dyn Engine,
    pub(super) record: &'a LogRecord,
}

impl Reader<'_> {
    /// The committed tree: the right edge re-hashed from the last entries and the stored tiles.
    pub(super) fn tree(&self) -> Result<TreeView, StartError> {
        let head =
            self.engine.head(self.record.id)?.ok_or_else(|| self.damaged(Damage::HeadMissing))?;
        let frontier = self.frontier(head.size)?;
        if frontier.root() != head.root {
            return Err(self.damaged(self.diagnose(head.size)?));
        }
        Ok(TreeView { head, frontier })
    }

    /// The time of the newest leaf of an audit log, in nanoseconds; 0 if there is none.
    pub(super) fn newest_ns(&self, size: TreeSize) -> Result<u64, StartError> {
        let last = size.get().checked_sub(1).and_then(|last| LeafIndex::new(last).ok());
        let (LogKind::Audit, Some(last)) = (self.record.kind, last) else { return Ok(0) };
        let index = last.get();
        let entries = self.engine.entries(self.record.id, last, 1, READ_BYTES_MAX)?;
        let newest = entries.first().ok_or_else(|| self.damaged(Damage::EntryMissing { index }))?;
        stamp::time_ns(&newest.data).ok_or_else(|| self.damaged(Damage::NoTime { index }))
    }

    /// The right edge of the tree at any size up to the committed one.
    pub(super) fn frontier(&self, size: TreeSize) -> Result<Frontier, StartError> {
        let mut levels: Vec<Vec<Hash>> = Vec::new();
        for (coord, width) in tile::partial_tiles(size) {
            let row = self.partial_row(coord, width)?;
            levels.resize(usize::from(coord.level), Vec::new());
            levels.push(row);
        }
        let frontier = Frontier::from_levels(size, levels);
        Ok(frontier.expect("the rows have the widths that were asked for"))
    }

    fn partial_row(&self, coord: TileCoord, width: u16) -> Result<Vec<Hash>, StartError> {
        if coord.level == 0 {
            return self.leaf_row(coord.index, usize::from(width));
        }
        let first = coord.index << tile::HEIGHT;
        let children = (first..).take(usize::from(width));
        children.map(|index| Ok(tile::root_of(&self.tile(coord.level - 1, index)?[..]))).collect()
    }

    /// Leaf hashes from the entries themselves.
    fn leaf_row(&self, tile_index: u64, width: usize) -> Result<Vec<Hash>, StartError> {
        let mut next = tile_index << tile::HEIGHT;
        let mut row = Vec::with_capacity(width);
        while row.len() < width {
            let missing = || self.damaged(Damage::EntryMissing { index: next });
            let start = LeafIndex::new(next).map_err(|_| missing())?;
            let wanted = width - row.len();
            let entries = self.engine.entries(self.record.id, start, wanted, READ_BYTES_MAX)?;
            if entries.is_empty() {
                return Err(missing());
            }
            next += u64::try_from(entries.len()).expect("a tile has 256 entries at most");
            row.extend(hash_entries(&entries));
        }
        Ok(row)
    }

    fn tile(&self, level: u8, index: u64) -> Result<Box<FullRow>, StartError> {
        let row = self.engine.tile(self.record.id, TileCoord { level, index })?;
        row.ok_or_else(|| self.damaged(Damage::TileMissing { level, index }))
    }

    /// Finds what does not match: a tile of the right edge and the level below it, or else the head
    /// itself. Reads a lot, but is called only when something is known to be wrong.
    fn diagnose(&self, size: TreeSize) -> Result<Damage, StartError> {
        for (coord, width) in tile::partial_tiles(size).filter(|(coord, _)| coord.level > 0) {
            let level = coord.level - 1;
            for index in (coord.index << tile::HEIGHT..).take(usize::from(width)) {
                let below = TileCoord { level, index };
                let expected = self.partial_row(below, 256)?;
                if self.tile(level, index)?[..] != expected[..] {
                    return Ok(Damage::Tile { level, index });
                }
            }
        }
        Ok(Damage::Head { size: size.get() })
    }

    /// The root the stored tree had at an earlier size.
    fn root_at(&self, size: TreeSize, view: &TreeView) -> Result<Hash, StartError> {
        if size == TreeSize::ZERO {
            return Ok(Hash::EMPTY_ROOT);
        }
        let plan = plan_root(size);
        let node = |node: &NodeId| self.node(*node, view);
        let fetched = plan.nodes().iter().map(node).collect::<Result<Vec<Hash>, StartError>>()?;
        let root = plan.build(&fetched).expect("every planned node was fetched");
        Ok(root[0])
    }

    fn node(&self, node: NodeId, view: &TreeView) -> Result<Hash, StartError> {
        if let Some(hash) = view.frontier.node(node) {
            return Ok(hash);
        }
        let location = tile::locate(node);
        let TileCoord { level, index } = location.coord;
        let row = self.tile(level, index)?;
        let slice = location.slice(&row[..]).expect("a full tile has every slice");
        Ok(tile::root_of(slice))
    }

    /// Compares what the journal says was signed with what is stored.
    pub(super) fn check_journal(
        &self,
        view: &TreeView,
        journaled: &JournalHead,
    ) -> Result<(), StartError> {
        let log = || self.record.name.to_string();
        if journaled.size > view.head.size {
            let (journal, store) = (journaled.size, view.head.size);
            return Err(StartError::JournalAhead { log: log(), journal, store });
        }
        let store = self.root_at(journaled.size, view)?;
        if store != journaled.root {
            let (size, journal) = (journaled.size, journaled.root);
            return Err(StartError::JournalFork { log: log(), size, journal, store });
        }
        Ok(())
    }

    /// The newest archived checkpoint, checked against the stored tree.
    pub(super) fn archived(&self, view: &TreeView) -> Result<Option<Published>, StartError> {
        let Some(last) = self.newest_archived(view.head.size)? else { return Ok(None) };
        let ArchivedCheckpoint { size, published_ms, note } = last;
        let damaged = || self.damaged(Damage::Archive { size: size.get() });
        let signed = SignedCheckpoint::parse(&note).map_err(|_| damaged())?;
        let holds = signed.size() == size
            && size <= view.head.size
            && *signed.root() == self.root_at(size, view)?;
        if !holds {
            return Err(damaged());
        }
        let head = StoredHead { size, root: *signed.root(), ..view.head };
        let published_boot_ms = 0;
        Ok(Some(Published { note, head, published_ms, published_boot_ms, witnessed: false }))
    }

    /// Looks back in growing steps, so that a long archive costs only a few reads.
    fn newest_archived(&self, size: TreeSize) -> Result<Option<ArchivedCheckpoint>, StartError> {
        let mut back = 0_u64;
        loop {
            let from = TreeSize::new(size.get().saturating_sub(back)).unwrap_or(TreeSize::ZERO);
            let mut page = self.archive_page(from, None)?;
            while let Some(last) = page.pop() {
                page = self.archive_page(from, Some(last.position()))?;
                if page.is_empty() {
                    return Ok(Some(last));
                }
            }
            if from == TreeSize::ZERO {
                return Ok(None);
            }
            back = (back * 2).max(1);
        }
    }

    fn archive_page(
        &self,
        from: TreeSize,
        after: Option<ArchivePosition>,
    ) -> Result<Vec<ArchivedCheckpoint>, StorageError> {
        self.engine.checkpoints(self.record.id, from, after, ARCHIVE_PAGE)
    }

    /// The newest archived checkpoint as the signed head of a log that signs nothing.
    pub(super) fn archived_head(&self, published: &Published) -> Result<SignedHead, StartError> {
        let frontier = self.frontier(published.head.size)?;
        let view = Arc::new(TreeView { head: published.head, frontier });
        Ok(SignedHead { view, note: published.note.clone() })
    }

    fn damaged(&self, what: Damage) -> StartError {
        StartError::Damaged { log: self.record.name.to_string(), what }
    }
}

fn hash_entries(entries: &[StoredEntry]) -> Vec<Hash> {
    let data: Vec<&[u8]> = entries.iter().map(|entry| entry.data.as_ref()).collect();
    leaf_hashes(&data)
}

/// Stands in for a signed head and a published checkpoint until the first ones exist.
pub(super) fn unsigned(view: &Arc<TreeView>) -> (SignedHead, Published) {
    let signed = SignedHead { view: Arc::clone(view), note: Bytes::new() };
    let head = view.head;
    let published = Published {
        note: Bytes::new(),
        head,
        published_ms: 0,
        published_boot_ms: 0,
        witnessed: false,
    };
    (signed, published)
}
