//! What goes into calls and comes out of them, checked and typed.

use std::{ops::Range, time::Duration};

use bytes::Bytes;
use merkle::{Hash, LeafIndex, TreeSize};

/// The longest entry in bytes: the limit of a tlog-tiles entry bundle.
pub const ENTRY_BYTES_MAX: usize = 65_535;
/// The most entries one batch call takes.
pub const BATCH_ENTRIES_MAX: usize = 10_000;
/// The most entry bytes one batch call takes.
pub const BATCH_BYTES_MAX: usize = 8 * 1024 * 1024;

/// An entry to append.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewEntry {
    /// The bytes the leaf commits to, 1 to [`ENTRY_BYTES_MAX`].
    pub data: Bytes,
    /// Makes the append happen once however often it is sent; 1 to 64 bytes, or empty for none.
    pub dedup_key: Bytes,
}

impl NewEntry {
    /// An entry without a deduplication key: sent twice, it is written twice.
    pub fn new(data: impl Into<Bytes>) -> Self {
        Self { data: data.into(), dedup_key: Bytes::new() }
    }

    /// An entry with a key that makes it unique.
    pub fn with_key(data: impl Into<Bytes>, dedup_key: impl Into<Bytes>) -> Self {
        Self { data: data.into(), dedup_key: dedup_key.into() }
    }
}

/// The levels of a receipt, each including the ones before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ReceiptLevel {
    /// Durable, and the index final.
    #[default]
    Index,
    /// Also covered by a head that the log signed.
    Signed,
    /// Also covered by a checkpoint that satisfies the log's witness policy.
    Witnessed,
}

/// Which receipt an append waits for, and how long.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// The level.
    pub level: ReceiptLevel,
    /// How long the server may wait for it after the commit; `None`: as long as the server sees fit.
    pub wait: Option<Duration>,
}

impl From<ReceiptLevel> for Wanted {
    fn from(level: ReceiptLevel) -> Self {
        Self { level, wait: None }
    }
}

/// The answer to a single append.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppendAnswer {
    /// Where the entry stands.
    pub index: LeafIndex,
    /// Its leaf hash; checked against the entry that was sent.
    pub leaf_hash: Hash,
    /// The committed size, which covers it.
    pub tree_size: TreeSize,
    /// It was there before this call.
    pub duplicate: bool,
    /// The level that was reached.
    pub reached: ReceiptLevel,
    /// The bytes of a c2sp.org/tlog-proof, from [`ReceiptLevel::Signed`] on. Not verified: see
    /// [`crate::verify::receipt`].
    pub tlog_proof: Option<Bytes>,
}

/// The answer to a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchAnswer {
    /// One outcome for each entry sent, in order.
    pub outcomes: Vec<EntryOutcome>,
    /// The committed size.
    pub tree_size: TreeSize,
    /// The level that was reached.
    pub reached: ReceiptLevel,
    /// Proves every index among the outcomes, from [`ReceiptLevel::Signed`] on. Not verified: see
    /// [`crate::verify::range_receipt`].
    pub receipt: Option<RangeReceipt>,
}

/// What became of one entry of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EntryOutcome {
    /// It is in the log.
    Appended {
        /// Where.
        index: LeafIndex,
        /// It was there before this call.
        duplicate: bool,
    },
    /// It was not written; the others of the batch were.
    Refused(EntryRefusal),
}

/// Why one entry of a batch was not written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("entry refused: {message} [{}]", crate::error::reason_name(*reason))]
pub struct EntryRefusal {
    /// The stable reason.
    pub reason: crate::error::ErrorReason,
    /// One sentence for a person, from the server.
    pub message: String,
}

/// Proves many entries at once against one checkpoint. As it came: verify it with
/// [`crate::verify::range_receipt`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RangeReceipt {
    /// The signed checkpoint, verbatim.
    pub checkpoint: Bytes,
    /// The proven indexes: half-open ranges, ascending, not touching.
    pub indexes: Vec<Range<u64>>,
    /// The batch inclusion proof.
    pub hashes: Vec<Hash>,
}

impl RangeReceipt {
    /// The number of entries it proves.
    pub fn entries(&self) -> u64 {
        self.indexes.iter().map(|range| range.end - range.start).sum()
    }
}

/// A receipt fetched after the append.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceiptAnswer {
    /// The level that was reached.
    pub reached: ReceiptLevel,
    /// The receipt, from [`ReceiptLevel::Signed`] on.
    pub receipt: Option<RangeReceipt>,
}

/// A checkpoint as the server serves it, not verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// The note's bytes.
    pub checkpoint: Bytes,
    /// When it was published, in Unix milliseconds by the server's clock; not signed.
    pub published_ms: Option<u64>,
    /// Whether the server says that its witness policy holds; not signed, and unsaid in lists.
    pub witnessed: Option<bool>,
}

/// One page of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    /// The items.
    pub items: Vec<T>,
    /// What the next call passes; `None` on the last page.
    pub next: Option<String>,
}

/// How a read names an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EntryRef {
    /// By its place.
    Index(LeafIndex),
    /// By its leaf hash; the lowest index, where it stands more than once.
    LeafHash(Hash),
}

/// How a look-up names an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LookupBy {
    /// By its leaf hash; the lowest index, where it stands more than once.
    LeafHash(Hash),
    /// By the deduplication key it was appended with.
    DedupKey(Bytes),
}

/// Where an entry was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its place.
    pub index: LeafIndex,
    /// Its leaf hash.
    pub leaf_hash: Hash,
}

/// An inclusion proof as it came, not verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InclusionProof {
    /// The entry's place.
    pub index: LeafIndex,
    /// Its leaf hash.
    pub leaf_hash: Hash,
    /// The size it is proven in.
    pub tree_size: TreeSize,
    /// From the leaf's sibling up.
    pub hashes: Vec<Hash>,
    /// A signed checkpoint of `tree_size`, if no size was asked for.
    pub checkpoint: Option<Bytes>,
}

/// A consistency proof as it came, not verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsistencyProof {
    /// The smaller size.
    pub from: TreeSize,
    /// The larger size.
    pub to: TreeSize,
    /// RFC 6962, Section 2.1.2.
    pub hashes: Vec<Hash>,
    /// A signed checkpoint of `to`, if no size was asked for.
    pub checkpoint: Option<Bytes>,
}

/// A batch inclusion proof as it came, not verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchInclusionProof {
    /// The size it is proven in.
    pub tree_size: TreeSize,
    /// The leaf hashes, in the order of the request.
    pub leaf_hashes: Vec<Hash>,
    /// The de-duplicated set of hashes.
    pub hashes: Vec<Hash>,
    /// A signed checkpoint of `tree_size`, if no size was asked for.
    pub checkpoint: Option<Bytes>,
}

/// Consecutive entries as they came, not verified unless a receipt came too and was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryRange {
    /// The place of the first.
    pub first: LeafIndex,
    /// Their bytes.
    pub entries: Vec<Bytes>,
    /// Proves them, if it was asked for.
    pub receipt: Option<RangeReceipt>,
}

/// One message of a watch, not verified: [`crate::verified::VerifiedLog::tail`] verifies each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WatchEvent {
    /// Entries that the next checkpoint adds.
    Entries(EntryRange),
    /// A newly published checkpoint.
    Checkpoint {
        /// The note's bytes.
        checkpoint: Bytes,
        /// The size the proof starts from.
        from: TreeSize,
        /// The consistency proof.
        consistency: Vec<Hash>,
    },
}

/// A log to create.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewLog {
    /// 1 to 64 characters of `[a-z0-9-]`, starting with a letter or digit.
    pub name: String,
    /// The first line of its checkpoints, for good; empty: the server makes one.
    pub origin: String,
    /// What it takes, for good.
    pub kind: LogKind,
    /// Appending the same bytes again gives the first index. Not for an audit log.
    pub deduplicate_entries: bool,
}

/// What a server says of a log. The keys are its own claim: an auditor brings them from elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogInfo {
    /// Its name.
    pub name: String,
    /// The first line of its checkpoints.
    pub origin: String,
    /// What it takes.
    pub kind: LogKind,
    /// What it can do now.
    pub state: LogState,
    /// Verifier keys, Ed25519 first.
    pub vkeys: Vec<String>,
    /// The committed size.
    pub tree_size: TreeSize,
    /// Its root.
    pub root: Hash,
    /// The published checkpoint.
    pub checkpoint: Bytes,
    /// Appending the same bytes again gives the first index.
    pub deduplicate_entries: bool,
    /// When it was created, in Unix milliseconds.
    pub created_ms: Option<u64>,
}

/// What a log takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogKind {
    /// Any bytes.
    #[default]
    Plain,
    /// Audit events alone.
    Audit,
}

impl LogKind {
    /// The word for it, as shown to people and in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Audit => "audit",
        }
    }
}

/// What a log can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogState {
    /// Everything.
    Active,
    /// Appends are refused, what was queued is being written.
    Draining,
    /// Final.
    Frozen,
    /// Signs nothing any more.
    Retired,
    /// Served from a restored or damaged store.
    ReadOnly,
}

impl LogState {
    /// The word for it, as shown to people and in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Draining => "draining",
            Self::Frozen => "frozen",
            Self::Retired => "retired",
            Self::ReadOnly => "read-only",
        }
    }
}
