//! What callers of a log hand in and get back.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use merkle::{Frontier, Hash, LeafIndex, TreeSize};

use crate::error::EntryRefusal;
use storage::{
    Attachment, ContentDigest, DedupKey, LogKind, ProducerId, StoredEntry, StoredHead,
    attachment_bytes,
};

/// The largest entry, in bytes: the limit of a tlog-tiles entry bundle (c2sp.org/tlog-tiles).
pub const ENTRY_BYTES_MAX: usize = StoredEntry::LEN_MAX;
/// The longest deduplication key, in bytes.
pub const DEDUP_KEY_BYTES_MAX: usize = DedupKey::LEN_MAX;
/// The most entries in one call.
pub const CALL_ENTRIES_MAX: usize = 10_000;
/// The most entry bytes in one call.
pub const CALL_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Bounds of the write path, the same for every log of a process.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Entries that may wait in one log's queue. Beyond it appends fail at once.
    pub queue_entries_max: usize,
    /// Entry bytes that may wait in one log's queue.
    pub queue_bytes_max: usize,
    /// Entries of one log in one commit. At least [`CALL_ENTRIES_MAX`], as a call is never split.
    pub batch_entries_max: usize,
    /// Entry bytes of one log in one commit. At least [`CALL_BYTES_MAX`].
    pub batch_bytes_max: usize,
    /// Logs of the process, at most as many as one group of the head journal has heads.
    pub logs_max: usize,
    /// How long a commit may wait for more calls while many are in flight. At most 1 ms pays.
    pub linger_max: Duration,
    /// Below this much free disk appends are refused.
    pub min_free_bytes: u64,
    /// The least time between two published checkpoints of a log.
    pub publish_interval_min: Duration,
    /// The least time between two archived checkpoints of a log.
    pub history_interval: Duration,
    /// How far the wall clock may move against the boot-time clock and still be believed.
    pub clock_step_max: Duration,
}

/// An entry as a caller hands it in, unchecked.
#[derive(Clone, Debug)]
pub struct NewEntry {
    /// 1 to [`ENTRY_BYTES_MAX`] bytes.
    pub data: Bytes,
    /// A key of 1 to [`DEDUP_KEY_BYTES_MAX`] bytes and the scope it lives in.
    pub dedup: Option<DedupKey>,
    /// What the entry holds, in its caller's words: with a key that was seen before it is compared
    /// instead of the leaf hash. Only with a key.
    pub digest: Option<ContentDigest>,
    /// Bytes written beside the entry that can be erased: at most [`Attachment::COUNT_MAX`], their
    /// kinds ascending.
    pub attachments: Vec<Attachment>,
}

impl NewEntry {
    /// An entry with nothing beside it.
    pub fn new(data: Bytes, dedup: Option<DedupKey>) -> Self {
        Self { data, dedup, digest: None, attachments: Vec::new() }
    }

    /// Bytes of the entry and its attachments.
    pub fn bytes(&self) -> usize {
        self.data.len() + attachment_bytes(&self.attachments)
    }
}

/// One call: committed whole in one commit, never split.
#[derive(Clone, Debug, Default)]
pub struct Submission {
    /// 1 to [`CALL_ENTRIES_MAX`] entries, at most [`CALL_BYTES_MAX`] of data and attachments.
    pub entries: Vec<NewEntry>,
    /// Set when the entries belong to a producer's stream.
    pub producer: Option<ProducerSpan>,
}

impl Submission {
    /// A call of one entry.
    pub fn single(data: Bytes, dedup: Option<DedupKey>) -> Self {
        Self { entries: vec![NewEntry::new(data, dedup)], producer: None }
    }
}

/// The leaf of an audit event as a caller hands it in, unchecked. It becomes an entry of an audit log.
#[derive(Clone, Debug)]
pub struct NewLeaf {
    /// 12 to [`ENTRY_BYTES_MAX`] bytes. Those at offsets 4 to 11 are zero: the log writes the time
    /// there, as [`storage::stamp`] draws it.
    pub leaf: Bytes,
    /// Set if the event can be told from others, so that it enters the log once.
    pub once: Option<Once>,
    /// As those of [`NewEntry::attachments`].
    pub attachments: Vec<Attachment>,
}

impl NewLeaf {
    /// Bytes of the leaf and its attachments.
    pub fn bytes(&self) -> usize {
        self.leaf.len() + attachment_bytes(&self.attachments)
    }
}

/// What an event is known by in its log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Once {
    /// The first event with this key is the only one.
    pub key: [u8; 32],
    /// What the event holds: tells a repetition from another event under the same key.
    pub digest: ContentDigest,
}

/// What became of the leaves of a call, once it is durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommittedLeaves {
    /// One for each leaf of the call, in its order.
    pub outcomes: Vec<Result<StampedLeaf, EntryRefusal>>,
    /// The committed size, which covers every index in `outcomes`.
    pub tree_size: TreeSize,
}

/// Where an event stands: if its key was seen before, where the first event with that key stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StampedLeaf {
    pub index: LeafIndex,
    pub leaf_hash: Hash,
    /// The time that the log wrote into the leaf, in nanoseconds since the Unix epoch.
    pub time_ns: u64,
    pub repeats: Repeats,
}

/// Whether an event's key was seen before this call, or earlier in it. If it was, nothing is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeats {
    /// It was not: the leaf is new.
    No,
    /// It was, with the same digest.
    Same,
    /// It was, with another digest: the caller decides what that means.
    Other,
    /// It was, and the first digest is not kept any more, so nothing is compared.
    Unknown,
}

/// Which sequences of a producer a submission's entries are. Made by
/// [`ProducerLease::span`](crate::ProducerLease::span).
#[derive(Clone, Copy, Debug)]
pub struct ProducerSpan {
    pub(crate) id: ProducerId,
    pub(crate) generation: u64,
    /// The sequence of the first entry; sequences start at 1.
    pub(crate) first_sequence: u64,
}

/// What became of a submission, once it is durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committed {
    /// One for each entry of the submission, in its order.
    pub outcomes: Vec<EntryOutcome>,
    /// The committed size, which covers every index in `outcomes`.
    pub tree_size: TreeSize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EntryOutcome {
    /// Durable at `index`; `duplicate` if it was there before this call, or earlier in it.
    Appended { index: LeafIndex, leaf_hash: Hash, duplicate: bool },
    /// Its producer's sequence was committed by an earlier call; nothing was written.
    Skipped,
    /// Not written; the other entries of the call were.
    Refused(EntryRefusal),
}

/// The tree at one committed size. A cheap snapshot: readers keep it as long as they like.
#[derive(Clone, Debug)]
pub struct TreeView {
    /// The head row.
    pub head: StoredHead,
    /// The partial tiles of this size: together with the stored full tiles, the whole tree.
    pub frontier: Frontier,
}

impl TreeView {
    /// A tree without leaves.
    pub(crate) fn empty(time_ms: u64) -> Self {
        let head = StoredHead { size: TreeSize::ZERO, root: Hash::EMPTY_ROOT, time_ms, epoch: 0 };
        Self { head, frontier: Frontier::new() }
    }
}

/// A head whose Ed25519 signature is journaled: the only kind that leaves the process.
#[derive(Clone, Debug)]
pub struct SignedHead {
    /// The tree it covers.
    pub view: Arc<TreeView>,
    /// The checkpoint as a signed note.
    pub note: Bytes,
}

impl SignedHead {
    pub fn size(&self) -> TreeSize {
        self.view.head.size
    }

    pub fn root(&self) -> Hash {
        self.view.head.root
    }

    /// False only while a log is being created, before anybody can see it.
    pub(crate) fn is_released(&self) -> bool {
        !self.note.is_empty()
    }
}

/// A published checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// The signed note, byte for byte as it is served.
    pub note: Bytes,
    /// Its size and root, and the time of the head.
    pub head: StoredHead,
    /// When it was published, in milliseconds since the Unix epoch.
    pub published_ms: u64,
    /// The boot-time clock when it was published, in milliseconds; below 0 if that was before the machine
    /// started. Its age is counted from here, as the wall clock may step.
    pub published_boot_ms: i64,
    /// Its cosignatures satisfy the log's witness policy.
    pub witnessed: bool,
}

/// A log to create.
#[derive(Clone, Debug)]
pub struct CreateLog {
    /// 1 to 64 characters of `[a-z0-9-]`, starting with a letter or digit.
    pub name: String,
    /// The first line of every checkpoint; `None` for `<hostname>/<name>/<hash of the key>`.
    pub origin: Option<String>,
    /// What the log takes, for good.
    pub kind: LogKind,
    /// The leaf hash is the deduplication key of every entry. Not for an audit log, in which no two
    /// entries are equal.
    pub deduplicate_entries: bool,
}

impl CreateLog {
    /// A log that takes equal entries, with the origin that the server gives it.
    pub fn new(name: &str, kind: LogKind) -> Self {
        Self { name: name.to_owned(), origin: None, kind, deduplicate_entries: false }
    }
}
