//! The values a store holds.

use std::fmt;
use std::str::FromStr;

use bytes::Bytes;
use formats::Origin;
use hmac::{Hmac, KeyInit as _, Mac as _};
use merkle::tile::TileCoord;
use merkle::{Hash, LeafIndex, TreeSize};
use sha2::{Digest, Sha256};

use super::Erasure;

/// A log's number inside one store. Numbers are never reused. The greatest is reserved for the store's
/// own rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogId(u32);

impl LogId {
    /// The number, unless it is the reserved one.
    pub const fn new(id: u32) -> Option<Self> {
        if id == u32::MAX { None } else { Some(Self(id)) }
    }

    /// The number.
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl fmt::Display for LogId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "log {}", self.0)
    }
}

/// The name a log has on this server: 1 to 64 characters of `[a-z0-9-]`, starting with a letter or
/// digit. It is part of paths, so no other characters are allowed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogName(Box<str>);

/// A string that is no log name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a log name has 1 to 64 characters of [a-z0-9-] and starts with a letter or digit")]
pub struct BadLogName;

impl LogName {
    /// Longest name, in bytes: it must fit a file name with a suffix, and a host label.
    pub const LEN_MAX: usize = 64;

    /// Checks and keeps a name.
    pub fn new(name: &str) -> Result<Self, BadLogName> {
        let bytes = name.as_bytes();
        let legal = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'-';
        let fits = (1..=Self::LEN_MAX).contains(&bytes.len());
        if fits && bytes.iter().all(legal) && bytes[0] != b'-' {
            Ok(Self(name.into()))
        } else {
            Err(BadLogName)
        }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for LogName {
    type Err = BadLogName;
    fn from_str(name: &str) -> Result<Self, BadLogName> {
        Self::new(name)
    }
}

impl fmt::Display for LogName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The committed head of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredHead {
    /// Committed leaves.
    pub size: TreeSize,
    /// RFC 6962 root hash of them.
    pub root: Hash,
    /// When the newest commit was planned, in milliseconds since the Unix epoch. Never goes back.
    pub time_ms: u64,
    /// The term of the writer that made the head. Never goes back; 0 with a single writer.
    pub epoch: u32,
}

/// The owner of deduplication keys, as 16 bytes: no caller can use or probe the keys of another
/// one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Scope(pub [u8; 16]);

impl Scope {
    /// Callers without an identity share this one.
    pub const ANONYMOUS: Self = Self([0; 16]);
    /// Rows of logs that deduplicate whole entries. No caller ever has this scope, so a chosen key
    /// can never collide with a leaf hash.
    pub const LEAF: Self = Self([0xff; 16]);
}

/// A deduplication key as it is stored with its entry.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct DedupKey {
    /// Whose key it is; not [`Scope::LEAF`].
    pub scope: Scope,
    /// 1 to [`DedupKey::LEN_MAX`] bytes.
    pub key: Bytes,
}

impl DedupKey {
    /// Longest key, in bytes.
    pub const LEN_MAX: usize = 64;

    /// The id by which the key is looked up. Costs one SHA-256 block or two.
    pub fn id(&self) -> DedupId {
        DedupId { scope: self.scope, key_hash: Sha256::digest(&self.key).into() }
    }
}

/// The id by which a deduplication row is looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DedupId {
    /// The owner of the key.
    pub scope: Scope,
    /// SHA-256 of the key; in [`Scope::LEAF`] the leaf hash itself.
    pub key_hash: [u8; 32],
}

impl DedupId {
    /// The id of an entry in a log that deduplicates whole entries.
    pub fn of_leaf(leaf: &Hash) -> Self {
        Self { scope: Scope::LEAF, key_hash: *leaf.as_bytes() }
    }
}

/// What a deduplication row says: the first entry with that key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DedupRow {
    /// Index of the first entry with the key.
    pub index: LeafIndex,
    /// Its leaf hash: another leaf hash under the same key is a conflict.
    pub leaf: Hash,
    /// The time in the entry, in nanoseconds since the Unix epoch. Of an audit log alone.
    pub time_ns: Option<u64>,
    /// What the entry holds, as its caller named it. Compared instead of the leaf hash if both
    /// callers named it.
    pub digest: Option<ContentDigest>,
}

impl DedupRow {
    /// Whether an entry with this row's key is the row's entry again. A salted entry has another
    /// leaf hash each time it is made, so its caller names what it holds with a digest.
    pub fn is_same(&self, leaf: &Hash, digest: Option<&ContentDigest>) -> bool {
        match (&self.digest, digest) {
            (Some(first), Some(digest)) => first == digest,
            _ => self.leaf == *leaf,
        }
    }
}

/// What an entry holds, as its caller named it: 32 bytes that the log only compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ContentDigest(pub [u8; 32]);

/// A stream producer's id, chosen by it at random.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProducerId(pub [u8; 16]);

/// How far a stream producer has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProducerRow {
    /// Its last committed sequence; sequences start at 1.
    pub last_sequence: u64,
    /// The leaf index of that sequence.
    pub last_index: LeafIndex,
}

/// An entry with what is stored beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredEntry {
    /// The deduplication key it came with.
    pub dedup: Option<DedupKey>,
    /// The bytes the leaf commits to: 1 to [`StoredEntry::LEN_MAX`].
    pub data: Bytes,
    /// What is written beside it, by kind. [`super::Engine::entries`] leaves it out.
    pub attachments: Vec<Attachment>,
}

impl StoredEntry {
    /// Longest entry, in bytes: the limit of a c2sp.org/tlog-tiles entry bundle.
    pub const LEN_MAX: usize = 65_535;

    /// Bytes of the entry and of its attachments, as queues and batches count them.
    pub fn bytes(&self) -> usize {
        self.data.len() + attachment_bytes(&self.attachments)
    }
}

/// Bytes beside an entry. No hash of the tree covers them, so a [`Row::Erasure`] can replace them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attachment {
    /// Which of the entry's attachments it is; the writer decides what the number means.
    pub kind: u8,
    /// The key with which the bytes are encrypted; 0 if they are not encrypted.
    pub key_id: u32,
    /// 1 to [`Attachment::LEN_MAX`] bytes.
    pub bytes: Bytes,
}

impl Attachment {
    /// Longest attachment, in bytes: 4 MiB of an original, and room for a salt, a nonce and a tag.
    pub const LEN_MAX: usize = 4 * 1024 * 1024 + 64;
    /// The most attachments of an entry: about twice what an audit event has.
    pub const COUNT_MAX: usize = 16;
}

/// The bytes of an entry's attachments together.
pub fn attachment_bytes(attachments: &[Attachment]) -> usize {
    attachments.iter().map(|attachment| attachment.bytes.len()).sum()
}

/// Why an entry cannot have these attachments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadAttachments {
    /// More than [`Attachment::COUNT_MAX`].
    #[error("entry has {count} attachments, the limit is {}", Attachment::COUNT_MAX)]
    TooMany {
        /// How many.
        count: usize,
    },
    /// One that is empty or too long.
    #[error(
        "attachment of kind {kind} has {bytes} bytes, it must have 1 to {}",
        Attachment::LEN_MAX
    )]
    Length {
        /// Which.
        kind: u8,
        /// Its bytes.
        bytes: usize,
    },
    /// A kind stands twice, or before a lower one.
    #[error("attachment of kind {kind} does not follow a lower kind")]
    Order {
        /// Which.
        kind: u8,
    },
}

/// Checks the attachments of one entry: not too many, none too long, their kinds ascending.
pub fn check_attachments(attachments: &[Attachment]) -> Result<(), BadAttachments> {
    if attachments.len() > Attachment::COUNT_MAX {
        return Err(BadAttachments::TooMany { count: attachments.len() });
    }
    let mut before = None;
    for Attachment { kind, bytes, .. } in attachments {
        let (kind, bytes) = (*kind, bytes.len());
        if !(1..=Attachment::LEN_MAX).contains(&bytes) {
            return Err(BadAttachments::Length { kind, bytes });
        }
        if before.is_some_and(|before| before >= kind) {
            return Err(BadAttachments::Order { kind });
        }
        before = Some(kind);
    }
    Ok(())
}

/// Whether a log takes entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogState {
    /// It takes entries.
    Active,
    /// It is about to be frozen, and commits only what is queued.
    Draining,
    /// It is final: it is read, and takes no entries.
    Frozen,
    /// Given up by its operator: it signs nothing any more.
    Retired,
}

/// What a log takes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum LogKind {
    /// Any bytes as entries.
    #[default]
    Plain,
    /// Audit events alone: each entry holds the time at which the log took it.
    Audit,
}

/// What the secret of an audit log is recognised by: it gives nothing of the secret away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SecretCheck(pub [u8; 32]);

impl SecretCheck {
    /// HMAC-SHA256 of a fixed label, with the secret as key. No key or digest of an event has this
    /// label's first byte.
    pub fn of(secret: &[u8; 32]) -> Self {
        let mac = Hmac::<Sha256>::new_from_slice(secret).expect("a key of any length is taken");
        Self(mac.chain_update(b"cairn/audit-secret/v1").finalize().into_bytes().into())
    }
}

/// What a log is, apart from its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogRecord {
    /// Its number in this store.
    pub id: LogId,
    /// Its name on this server. Unique.
    pub name: LogName,
    /// The first line of its checkpoints. Unique; never changes.
    pub origin: Origin,
    /// When it was created, in milliseconds since the Unix epoch.
    pub created_ms: u64,
    /// What it takes; never changes.
    pub kind: LogKind,
    /// What its secret is recognised by, if it is an audit log.
    pub secret_check: Option<SecretCheck>,
    /// Whether equal entries are one entry. Never of an audit log.
    pub deduplicate_entries: bool,
    /// Whether it takes entries.
    pub state: LogState,
}

/// A published checkpoint that is kept, byte for byte.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchivedCheckpoint {
    /// The size it signs.
    pub size: TreeSize,
    /// When it was published, in milliseconds since the Unix epoch.
    pub published_ms: u64,
    /// The signed note.
    pub note: Bytes,
}

impl ArchivedCheckpoint {
    /// Its place in the order of the archive.
    pub fn position(&self) -> ArchivePosition {
        ArchivePosition { size: self.size, published_ms: self.published_ms }
    }
}

/// A place in a log's archive of checkpoints, which is ordered by size, then time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ArchivePosition {
    /// Size of the checkpoint there.
    pub size: TreeSize,
    /// When it was published.
    pub published_ms: u64,
}

/// A full tile: the 256 hashes of its lowest row.
pub type FullTile = Box<[Hash; 256]>;

/// A row that is written in the same commit as the entries it belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Row {
    /// The first entry with a key. Written once.
    Dedup(DedupId, DedupRow),
    /// Replaces the producer's row.
    Producer(ProducerId, ProducerRow),
    /// Replaces the log's record.
    Log(LogRecord),
    /// Adds to the archive. Written once.
    Checkpoint(ArchivedCheckpoint),
    /// Puts tombstones in the place of attachments, replaces deduplication rows by those without a
    /// digest, and notes that files must be purged.
    Erasure(Erasure),
}

/// Everything one commit writes for one log.
#[derive(Debug, Clone)]
pub struct LogCommit {
    /// The log.
    pub log: LogId,
    /// The head this commit was planned on; `None` creates the log.
    pub expected: Option<StoredHead>,
    /// The head after it.
    pub new: StoredHead,
    /// The entries, from index `expected.size` on (0 for a new log).
    pub entries: Vec<StoredEntry>,
    /// Exactly the tiles that are full at `new.size` and were not at `expected.size`.
    pub tiles: Vec<(TileCoord, FullTile)>,
    /// Rows that belong to the commit.
    pub rows: Vec<Row>,
}
