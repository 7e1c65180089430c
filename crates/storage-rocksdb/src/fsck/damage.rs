//! What `fsck` can find.

use audit_event::Tag;
use audit_event::leaf::LeafError;
use merkle::tile::{TileCoord, TilePath};
use merkle::{Hash, LeafIndex, TreeSize};

use super::TombstoneFault;
use storage::{Corrupt, Family, LogId, StorageError};

/// One finding. Each variant is a kind; the report keeps the first finding of each kind.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Damage {
    /// The engine could not read on: a block or file with a wrong checksum, or the disk.
    #[error("{family} cannot be read: {source}")]
    Unreadable {
        /// The column family.
        family: Family,
        /// Why.
        #[source]
        source: StorageError,
    },
    /// A row does not decode.
    #[error(transparent)]
    Row(#[from] Corrupt),
    /// Rows of a log that has no record.
    #[error("rows in {family} belong to {log}, which has no record")]
    UnknownLog {
        /// The column family.
        family: Family,
        /// The number that no record has.
        log: LogId,
    },
    /// An entry below the head is missing.
    #[error("entry {index} is missing")]
    EntryMissing {
        /// The first missing one.
        index: u64,
    },
    /// There is an entry at or beyond the head's size.
    #[error("entry {index} lies beyond the head")]
    EntryBeyond {
        /// Its index.
        index: LeafIndex,
    },
    /// An entry does not hash to the leaf hash stored for it.
    #[error("entry {index} does not hash to its leaf hash in {}", path(*tile))]
    EntryHash {
        /// The entry.
        index: u64,
        /// The level-0 tile that holds its leaf hash.
        tile: TileCoord,
    },
    /// An entry of an audit log is too short to hold a time.
    #[error("entry {index} of an audit log is too short to hold a time")]
    TimeMissing {
        /// The entry.
        index: LeafIndex,
    },
    /// An entry of an audit log has an earlier time than one before it.
    #[error("entry {index} of an audit log has an earlier time than an entry before it")]
    TimeBack {
        /// The later entry.
        index: LeafIndex,
    },
    /// An entry of an audit log is not the leaf of an event.
    #[error("entry {index} of an audit log is not the leaf of an event: {source}")]
    Leaf {
        /// The entry.
        index: LeafIndex,
        /// Why.
        #[source]
        source: LeafError,
    },
    /// A block that a leaf commits to is not there, nor a tombstone of it.
    #[error("the block {tag} of entry {index} is missing")]
    BlockMissing {
        /// The entry.
        index: LeafIndex,
        /// Which block.
        tag: Tag,
    },
    /// There is an attachment that its entry's leaf does not commit to.
    #[error("entry {index} has the attachment {kind}, which its leaf does not commit to")]
    BlockSurplus {
        /// The entry.
        index: LeafIndex,
        /// Its kind.
        kind: u8,
    },
    /// A block is not what the leaf commits to.
    #[error("the block {tag} of entry {index} is not what the leaf commits to")]
    BlockHash {
        /// The entry.
        index: LeafIndex,
        /// Which block.
        tag: Tag,
    },
    /// A block is encrypted, which no version so far does.
    #[error("the block {tag} of entry {index} is encrypted with the unknown key {key_id}")]
    BlockEncrypted {
        /// The entry.
        index: LeafIndex,
        /// Which block.
        tag: Tag,
        /// The key that its row names.
        key_id: u32,
    },
    /// A tombstone is not one that an erasure left.
    #[error("the tombstone of attachment {kind} of entry {index} names entry {by}, {fault}")]
    Tombstone {
        /// The entry.
        index: LeafIndex,
        /// The kind of the attachment.
        kind: u8,
        /// The entry it names.
        by: LeafIndex,
        /// What is wrong with that.
        fault: TombstoneFault,
    },
    /// Something of an event is erased, and a digest of its content is still there.
    #[error("the deduplication row of entry {index} has a digest of what was erased")]
    DigestKept {
        /// The entry.
        index: LeafIndex,
    },
    /// There is an attachment of an entry at or beyond the head's size.
    #[error("attachment {kind} of entry {index} lies beyond the head")]
    AttachmentBeyond {
        /// The entry it names.
        index: LeafIndex,
        /// Its kind.
        kind: u8,
    },
    /// A full tile is missing.
    #[error("{} is missing", path(*tile))]
    TileMissing {
        /// The tile.
        tile: TileCoord,
    },
    /// A stored tile is not full at the head's size.
    #[error("{} does not belong to a tree of this size", path(*tile))]
    TileBeyond {
        /// The tile.
        tile: TileCoord,
    },
    /// A tile does not hash to its place in the tile above.
    #[error("{} does not hash to its place in {}", path(*tile), path(*above))]
    TileHash {
        /// The tile.
        tile: TileCoord,
        /// The tile above it.
        above: TileCoord,
    },
    /// The second implementation computes another root for a tile.
    #[error("two implementations disagree on the root of {}", path(*tile))]
    SecondOpinion {
        /// The tile.
        tile: TileCoord,
    },
    /// The entries do not hash to the head's root.
    #[error("the {size} entries hash to {computed}, the head says {stored}")]
    HeadRoot {
        /// The head's size.
        size: TreeSize,
        /// The root of the entries.
        computed: Hash,
        /// The root in the head.
        stored: Hash,
    },
    /// The tiles, hashed by the second implementation, do not give the head's root.
    #[error("the tiles do not give the root of the head at size {size}")]
    TileTree {
        /// The head's size.
        size: TreeSize,
    },
    /// The journal holds a signed head that the store does not reach.
    #[error("the journal holds a signed head of size {size}, the store ends before")]
    JournalAhead {
        /// The journaled size.
        size: TreeSize,
    },
    /// The journal holds a signed head of a log that the store does not have.
    #[error(
        "the journal holds a signed head of a log the store does not have, origin hash {origin_hash}"
    )]
    JournalUnknown {
        /// SHA-256 of the log's origin.
        origin_hash: Hash,
    },
    /// The journal holds another root for a size of the store.
    #[error("the journal holds a signed head of size {size} with another root")]
    JournalRoot {
        /// The journaled size.
        size: TreeSize,
    },
    /// An archived checkpoint does not parse, or names another origin or size than its row.
    #[error("the archived checkpoint of size {size} is not a checkpoint of this log")]
    Archive {
        /// The size in the row's key.
        size: TreeSize,
    },
    /// An archived checkpoint signs another root than the entries have.
    #[error("the archived checkpoint of size {size} has another root")]
    ArchiveRoot {
        /// Its size.
        size: TreeSize,
    },
    /// An entry with a deduplication key has no row, or its row names another entry.
    #[error("entry {index} has no deduplication row of its own")]
    DedupMissing {
        /// The entry.
        index: u64,
    },
    /// A deduplication row names an entry without that key.
    #[error("the deduplication row of entry {index} belongs to no key of that entry")]
    DedupOrphan {
        /// The index the row names.
        index: LeafIndex,
    },
    /// An entry that is indexed by leaf hash has no row.
    #[error("entry {index} is missing in the leaf-hash index")]
    LeafMissing {
        /// The entry.
        index: u64,
    },
    /// A row of the leaf-hash index names an entry with another hash, or one not yet indexed.
    #[error("the leaf-hash row of entry {index} does not belong to that entry")]
    LeafOrphan {
        /// The index the row names.
        index: LeafIndex,
    },
    /// The leaf-hash index claims to be ahead of the log.
    #[error("the leaf-hash index reaches size {indexed}, beyond the head")]
    LeafIndexAhead {
        /// The size it claims.
        indexed: TreeSize,
    },
    /// A producer's row names an entry beyond the head, or the sequence 0.
    #[error("a producer's row names entry {index} and sequence {sequence}, which cannot be")]
    Producer {
        /// The index it names.
        index: LeafIndex,
        /// The sequence it names.
        sequence: u64,
    },
}

impl Damage {
    /// The kind, as a stable word for machines.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Unreadable { .. } => "unreadable",
            Self::Row(_) => "row",
            Self::UnknownLog { .. } => "unknown_log",
            Self::EntryMissing { .. } => "entry_missing",
            Self::EntryBeyond { .. } => "entry_beyond",
            Self::EntryHash { .. } => "entry_hash",
            Self::TimeMissing { .. } => "time_missing",
            Self::TimeBack { .. } => "time_back",
            Self::Leaf { .. } => "leaf",
            Self::BlockMissing { .. } => "block_missing",
            Self::BlockSurplus { .. } => "block_surplus",
            Self::BlockHash { .. } => "block_hash",
            Self::BlockEncrypted { .. } => "block_encrypted",
            Self::Tombstone { .. } => "tombstone",
            Self::DigestKept { .. } => "digest_kept",
            Self::AttachmentBeyond { .. } => "attachment_beyond",
            Self::TileMissing { .. } => "tile_missing",
            Self::TileBeyond { .. } => "tile_beyond",
            Self::TileHash { .. } => "tile_hash",
            Self::SecondOpinion { .. } => "second_opinion",
            Self::HeadRoot { .. } => "head_root",
            Self::TileTree { .. } => "tile_tree",
            Self::JournalAhead { .. } => "journal_ahead",
            Self::JournalUnknown { .. } => "journal_unknown",
            Self::JournalRoot { .. } => "journal_root",
            Self::Archive { .. } => "archive",
            Self::ArchiveRoot { .. } => "archive_root",
            Self::DedupMissing { .. } => "dedup_missing",
            Self::DedupOrphan { .. } => "dedup_orphan",
            Self::LeafMissing { .. } => "leaf_missing",
            Self::LeafOrphan { .. } => "leaf_orphan",
            Self::LeafIndexAhead { .. } => "leaf_index_ahead",
            Self::Producer { .. } => "producer",
        }
    }
}

/// A full tile as its tlog-tiles path.
fn path(tile: TileCoord) -> String {
    TilePath::new(tile, 256).map_or_else(|_| format!("{tile:?}"), |path| path.to_string())
}
