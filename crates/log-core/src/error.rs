//! What can go wrong with a log, by what the caller can do about it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use merkle::{Hash, LeafIndex, TreeSize};
use thiserror::Error;

use crate::sign::KeyringError;
use crate::types::{CALL_BYTES_MAX, CALL_ENTRIES_MAX, DEDUP_KEY_BYTES_MAX, ENTRY_BYTES_MAX};
use storage::journal::JournalError;
use storage::{BadAttachments, Erasure, StorageError};

/// Why one entry of a call was not written. The other entries of the call were.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum EntryRefusal {
    #[error("entry is empty")]
    Empty,
    #[error("entry has {bytes} bytes, the limit is {ENTRY_BYTES_MAX}")]
    TooLarge { bytes: usize },
    #[error("deduplication key has {bytes} bytes, it must have 1 to {DEDUP_KEY_BYTES_MAX}")]
    BadDedupKey { bytes: usize },
    #[error("entries of this log take no deduplication key: the entry itself is the key")]
    DedupKeyNotTaken,
    #[error("content digest without a deduplication key")]
    DigestWithoutKey,
    #[error("leaf has {bytes} bytes, too few to hold a time")]
    NoRoomForTime { bytes: usize },
    #[error("leaf holds a time already: only the log writes it")]
    TimeGiven,
    #[error(transparent)]
    BadAttachments(#[from] BadAttachments),
    #[error("deduplication key belongs to another entry, at index {}", index.get())]
    DedupKeyConflict { index: LeafIndex },
}

/// Why a whole call was not appended.
#[derive(Clone, Debug, Error)]
pub enum AppendError {
    // Fix the request.
    #[error("call has no entries")]
    EmptyBatch,
    #[error("call has {entries} entries, the limit is {CALL_ENTRIES_MAX}")]
    TooManyEntries { entries: usize },
    #[error("call has {bytes} bytes of entries, the limit is {CALL_BYTES_MAX}")]
    TooManyBytes { bytes: usize },
    #[error("entry {position} of a producer's stream is refused: {refusal}")]
    StreamEntryRefused { position: usize, refusal: EntryRefusal },
    #[error("producer's next sequence is {expected}, the call starts at {found}")]
    SequenceGap { expected: u64, found: u64 },
    #[error("another stream was opened with this producer id")]
    ProducerFenced,
    #[error("an audit log takes events only")]
    EventsOnly,
    #[error("a plain log takes no events")]
    EntriesOnly,
    #[error("the secret of this audit log is missing, or another one is there: it takes no events")]
    AuditSecretMissing,
    // This log takes no more.
    #[error("log is frozen")]
    Frozen,
    #[error("log is retired: its operator declared data lost")]
    Retired,
    #[error("server is read-only")]
    ReadOnly,
    #[error("a witness holds a newer head of this log: it was rolled back, and takes no entries")]
    RolledBack,
    // Try again.
    #[error("too few witnesses have said what they hold of this log: no entries are taken yet")]
    WitnessesPending { retry_after: Duration },
    #[error("queue is full, try again in {} ms", retry_after.as_millis())]
    QueueFull { retry_after: Duration },
    #[error("disk is low: {free_bytes} bytes free, {min_free_bytes} needed")]
    DiskLow { free_bytes: u64, min_free_bytes: u64, retry_after: Duration },
    #[error("server is shutting down")]
    ShuttingDown,
    #[error("nothing was written: {source}")]
    NotCommitted { source: Arc<StorageError> },
    #[error("outcome unknown: the write failed, and may or may not be found after a restart")]
    OutcomeUnknown,
}

/// Why something was not erased, or not from all files.
#[derive(Clone, Debug, Error)]
pub enum EraseError {
    // Fix the request.
    #[error("nothing is named that could be erased")]
    NoTargets,
    #[error("{targets} entries are named, the limit is {}", Erasure::TARGETS_MAX)]
    TooManyTargets { targets: usize },
    #[error("entry {} is beyond the committed size {}", index.get(), size.get())]
    BeyondSize { index: LeafIndex, size: TreeSize },
    #[error("nothing of kind {kind} lies beside entry {}", index.get())]
    NotThere { index: LeafIndex, kind: u8 },
    #[error("the event that should state the erasure stands at index {} already", index.get())]
    Repeated { index: LeafIndex },
    #[error(transparent)]
    Refused(EntryRefusal),
    // Nothing was erased.
    #[error(transparent)]
    Append(#[from] AppendError),
    #[error("store cannot be read: {source}")]
    Storage { source: Arc<StorageError> },
    /// All of it is committed. The next start finishes it, and so does the next erasing.
    #[error("entry {} states the erasure, but files may still hold the bytes: {source}", by.get())]
    NotPurged { by: LeafIndex, source: Arc<StorageError> },
}

impl From<StorageError> for EraseError {
    fn from(source: StorageError) -> Self {
        Self::Storage { source: Arc::new(source) }
    }
}

/// Why no signed head can be had.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum SignError {
    #[error("size {} is beyond the committed size {}", wanted.get(), committed.get())]
    BeyondSize { wanted: TreeSize, committed: TreeSize },
    #[error("head journal cannot be written")]
    JournalUnavailable,
    #[error("key could not sign")]
    KeyFailed,
    #[error("log is retired and signs nothing")]
    Retired,
    #[error("too many callers wait for a signed head, try again in {} ms", retry_after.as_millis())]
    TooManyWaiting { retry_after: Duration },
    #[error("server is read-only and signs nothing")]
    ReadOnly,
    #[error("server is shutting down")]
    ShuttingDown,
}

/// Why no witnessed checkpoint can be had.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum WitnessError {
    #[error("log has no witness policy")]
    NoWitnessPolicy,
    /// Only where the policy's operator chose to go on without.
    #[error("the log's witnesses form no quorum")]
    QuorumLost,
    #[error("server is shutting down")]
    ShuttingDown,
}

/// Why a log could not be created.
#[derive(Debug, Error)]
pub enum CreateError {
    #[error("bad log name {name:?}: 1 to 64 characters of a-z, 0-9 and '-', not starting with '-'")]
    BadName { name: String },
    #[error("bad origin {origin:?}: 1 to 255 bytes, no white space, no control character, no '+'")]
    BadOrigin { origin: String },
    #[error(
        "an audit log does not deduplicate whole entries: an event is known by its source and id"
    )]
    AuditDeduplicates,
    #[error("log {name} exists")]
    NameTaken { name: String },
    #[error("origin {origin} was used on this server before and is never used again")]
    OriginTaken { origin: String },
    #[error("server has {logs_max} logs, the most it takes")]
    TooManyLogs { logs_max: usize },
    #[error("server is read-only")]
    ReadOnly,
    #[error("server is shutting down")]
    ShuttingDown,
    #[error(transparent)]
    Keyring(#[from] KeyringError),
    #[error("nothing was written: {source}")]
    NotCommitted { source: Arc<StorageError> },
    #[error("outcome unknown: the write failed, and may or may not be found after a restart")]
    OutcomeUnknown,
    #[error("log was created, but its first head was not signed: {0}")]
    Sign(#[from] SignError),
}

/// Why a log could not be frozen.
#[derive(Clone, Debug, Error)]
pub enum FreezeError {
    #[error(transparent)]
    Append(#[from] AppendError),
    #[error(transparent)]
    Sign(#[from] SignError),
}

/// Why the logs of a server could not be opened. Nothing was signed.
#[derive(Debug, Error)]
pub enum StartError {
    #[error("storage: {0}")]
    Storage(#[from] StorageError),
    #[error("head journal: {0}")]
    Journal(#[from] JournalError),
    #[error("keys: {0}")]
    Keyring(#[from] KeyringError),
    #[error("thread {name} cannot start: {source}")]
    Thread { name: &'static str, source: std::io::Error },
    #[error(
        "log {log}: the journal holds a head of size {} signed by this server, the store ends at \
         size {}: restore newer data, or retire the log, or serve it with --read-only",
        journal.get(), store.get()
    )]
    JournalAhead { log: String, journal: TreeSize, store: TreeSize },
    #[error(
        "log {log}: at size {} the journal holds the signed root {journal} and the store has root \
         {store}: restore the data that was signed, or retire the log, or serve it with --read-only",
        size.get()
    )]
    JournalFork { log: String, size: TreeSize, journal: Hash, store: Hash },
    #[error(
        "the journal holds signed heads of a log that the store does not have (origin hash \
         {origin_hash}): restore newer data, or serve it with --read-only"
    )]
    UnknownOrigin { origin_hash: Hash },
    #[error(
        "the store holds logs but {} has no journal of signed heads: bring it back, or accept \
         that a rollback could go unnoticed with --adopt-journal",
        heads_dir.display()
    )]
    JournalMissing { heads_dir: PathBuf },
    #[error(
        "log {log} has entries but the journal has no head of it: bring the journal back, or use --adopt-journal"
    )]
    JournalLacksLog { log: String },
    #[error("keys are in {} but the store is empty: restore the store", keys_dir.display())]
    KeysWithoutStore { keys_dir: PathBuf },
    #[error("the journal in {} holds signed heads but the store is empty: restore the store", heads_dir.display())]
    JournalWithoutStore { heads_dir: PathBuf },
    #[error(
        "log {log}: the witness {witness} holds a checkpoint of size {} signed by this log, the store \
         ends at size {}; the checkpoint is in {evidence}: restore newer data, or retire the log, or \
         serve it with --read-only",
        signed.get(), store.get()
    )]
    WitnessAhead {
        log: String,
        witness: String,
        signed: TreeSize,
        store: TreeSize,
        evidence: String,
    },
    #[error(
        "log {log}: the witness {witness} holds a checkpoint signed by this log whose root the store \
         does not have; the checkpoint is in {evidence}: restore the data that was signed, or retire \
         the log, or serve it with --read-only"
    )]
    WitnessFork { log: String, witness: String, evidence: String },
    #[error(
        "log {log}: the witness {witness} claims to hold size {}, the store ends at size {}, and it \
         shows no checkpoint: restore newer data, or retire the log, or serve it with --read-only, or \
         do not believe this witness with --distrust-witness {witness}",
        claimed.get(), store.get()
    )]
    WitnessClaims { log: String, witness: String, claimed: TreeSize, store: TreeSize },
    #[error("log {log}: {what}; run `cairn-server fsck`")]
    Damaged { log: String, what: Damage },
    #[error("log {log} has no archived checkpoint, so nothing of it can be served read-only")]
    NothingSigned { log: String },
    #[error(
        "logs_max is {found}, it must be at most {max}: the heads of all logs must fit into one group of \
         the head journal; lower it, or run more servers"
    )]
    LogsMaxTooHigh { found: usize, max: usize },
    #[error("{name} is {found}, it must be at least {min}, as a call is never split")]
    LimitTooLow { name: &'static str, found: usize, min: usize },
}

/// The first stored thing found not to match the tree.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum Damage {
    #[error("tile {level}/{index} does not match the level below it")]
    Tile { level: u8, index: u64 },
    #[error("tile {level}/{index} is missing")]
    TileMissing { level: u8, index: u64 },
    #[error("entry {index} is missing")]
    EntryMissing { index: u64 },
    #[error("entry {index} of an audit log is too short to hold a time")]
    NoTime { index: u64 },
    #[error("head row of size {size} does not match the tree")]
    Head { size: u64 },
    #[error("head row is missing")]
    HeadMissing,
    #[error("archived checkpoint of size {size} does not match the tree")]
    Archive { size: u64 },
}

/// Why the process must end. It restarts through recovery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fatal {
    /// A synced write failed after it was issued: only recovery can tell what it left.
    OutcomeUnknown,
    /// Another writer moved a head of this store.
    Conflict,
    /// A writer thread panicked: an invariant did not hold.
    Panic,
}

impl Fatal {
    /// The documented exit status of the process.
    pub fn exit_code(self) -> i32 {
        match self {
            Self::OutcomeUnknown => 75,
            Self::Conflict => 76,
            Self::Panic => 70,
        }
    }
}

/// Publishing the first head of a new log failed.
impl From<FreezeError> for CreateError {
    fn from(error: FreezeError) -> Self {
        match error {
            FreezeError::Sign(error) => Self::Sign(error),
            FreezeError::Append(AppendError::NotCommitted { source }) => {
                Self::NotCommitted { source }
            }
            FreezeError::Append(AppendError::OutcomeUnknown) => Self::OutcomeUnknown,
            FreezeError::Append(_) => Self::ShuttingDown,
        }
    }
}
