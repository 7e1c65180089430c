//! What can go wrong in a store, by what the caller can do about it.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use merkle::LeafIndex;

use super::{BadAttachments, LogId};

/// An error of a storage engine.
///
/// `Corrupt`, `WalDamaged` and `Layout` need an operator and `cairn-server fsck`; `Poisoned` needs
/// a restart, which runs recovery; `ReadOnly` means the request came to the wrong process;
/// `Contract` is a defect of the caller and was refused before anything was written. The others
/// come from the machine.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StorageError {
    /// The file system refused an operation.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// The file or folder concerned.
        path: PathBuf,
        /// The system's error.
        #[source]
        source: Arc<std::io::Error>,
    },
    /// The engine refused an operation.
    #[error("storage engine: {operation}: {source}")]
    Engine {
        /// What was being done.
        operation: &'static str,
        /// The engine's error.
        #[source]
        source: EngineError,
    },
    /// The write-ahead log is damaged before its end.
    #[error(
        "{path}: the write-ahead log is corrupt at byte {offset} ({source}): restore a backup, or let \
         `cairn-server recover --truncate-wal` give up what follows, and say what it is",
        path = path.display()
    )]
    WalDamaged {
        /// The file.
        path: PathBuf,
        /// Where its first bad record begins.
        offset: u64,
        /// The engine's error.
        #[source]
        source: EngineError,
    },
    /// A stored row is not what the layout allows, or a row that must exist is missing.
    #[error(transparent)]
    Corrupt(#[from] Corrupt),
    /// The store was written by another version of the layout.
    #[error("the store has layout version {found}, this program reads version {expected}")]
    Layout {
        /// The version found.
        found: u8,
        /// The version this program reads and writes.
        expected: u8,
    },
    /// Another process has the store open, or another server in this one.
    #[error("{path}: in use by another server: stop it first, or name another --data-dir", path = path.display())]
    InUse {
        /// The database folder.
        path: PathBuf,
    },
    /// There is no store, or one without a layout row.
    #[error("{path}: not a store", path = path.display())]
    NotAStore {
        /// The database folder.
        path: PathBuf,
    },
    /// An earlier write failed with an unknown outcome; only a restart can tell what was written.
    #[error("an earlier write failed and its outcome is unknown: restart to recover")]
    Poisoned,
    /// The store was opened without the right to write.
    #[error("the store is open read-only")]
    ReadOnly,
    /// The caller broke the contract of [`super::Engine::commit`]. Nothing was written.
    #[error("commit of {log} refused: {violation}")]
    Contract {
        /// The log whose commit was refused.
        log: LogId,
        /// The rule that was broken.
        violation: Violation,
    },
    /// The attachments are erased, but a reader or a backup still holds a file that may contain
    /// their bytes.
    #[error(
        "{path}: may still hold erased bytes, and a reader or a backup uses it: erase once more when that is done",
        path = path.display()
    )]
    StillInFiles {
        /// The first such file.
        path: PathBuf,
    },
    /// A fault that a test asked for.
    #[error("injected fault at {point}")]
    Injected {
        /// The fault point.
        point: &'static str,
    },
}

/// An engine's own error.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{source}")]
pub struct EngineError {
    /// Stored bytes are damaged; the machine works.
    pub is_corruption: bool,
    /// The system lacks open files or disk space for a while.
    pub is_passing: bool,
    /// What the engine says.
    pub source: Arc<dyn std::error::Error + Send + Sync>,
}

impl From<base::durable::FileError> for StorageError {
    fn from(error: base::durable::FileError) -> Self {
        Self::io(error.path, error.source)
    }
}

impl StorageError {
    /// Wraps an error of the file system with the path it concerns.
    pub fn io(path: impl Into<PathBuf>, source: std::io::Error) -> Self {
        Self::Io { path: path.into(), source: Arc::new(source) }
    }

    /// The system lacks open files or disk space: the same call may succeed later. If the call
    /// writes, nobody knows what it has written.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Io { source, .. } => base::durable::is_passing(source),
            Self::Engine { source, .. } => source.is_passing,
            _ => false,
        }
    }

    /// The stored data are damaged; the machine works.
    pub fn is_corruption(&self) -> bool {
        match self {
            Self::Corrupt(_) | Self::WalDamaged { .. } => true,
            Self::Engine { source, .. } => source.is_corruption,
            _ => false,
        }
    }
}

/// A row that does not decode, contradicts another, or is missing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("corrupt row in {family}, key {key}: {fault}")]
pub struct Corrupt {
    /// The column family.
    pub family: Family,
    /// The row's key.
    pub key: RowKey,
    /// What is wrong with it.
    pub fault: RowFault,
}

/// A column family of the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// Entries, by log and leaf index.
    Entries,
    /// Full tiles, by log, level and index.
    Tiles,
    /// Look-up rows: deduplication keys, producers, leaf hashes.
    Index,
    /// Layout version, log records, heads, archived checkpoints.
    Meta,
    /// Attachments of entries, by log, leaf index and kind.
    Attachments,
}

impl Family {
    /// All families, in the order they are opened and checked.
    pub const ALL: [Self; 5] =
        [Self::Entries, Self::Tiles, Self::Index, Self::Meta, Self::Attachments];

    /// The family's name in the store.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Entries => "entries",
            Self::Tiles => "tiles",
            Self::Index => "index",
            Self::Meta => "meta",
            Self::Attachments => "attachments",
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A row's key as bytes; shown in lowercase hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowKey(pub Vec<u8>);

impl fmt::Display for RowKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// What is wrong with a row.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RowFault {
    /// The key has a form the layout does not know.
    #[error("unknown key")]
    UnknownKey,
    /// The value's version byte is unknown.
    #[error("unknown version {found}")]
    Version {
        /// The version byte found.
        found: u8,
    },
    /// The value is shorter or longer than its layout.
    #[error("the value has {found} bytes")]
    Length {
        /// Bytes found.
        found: usize,
    },
    /// A field holds a value that is not allowed.
    #[error("field {field} is out of range")]
    Field {
        /// The field's name in the layout.
        field: &'static str,
    },
    /// The row's checksum does not match it.
    #[error("checksum mismatch")]
    Checksum,
    /// A row that must exist does not.
    #[error("missing")]
    Missing,
}

/// A broken rule of [`super::Engine::commit`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// The log stands twice in one batch.
    #[error("the log appears twice in one batch")]
    LogTwice,
    /// The new size is not the old size plus the number of entries.
    #[error("size {new} does not follow {old} with {entries} entries")]
    Size {
        /// Expected size.
        old: u64,
        /// New size.
        new: u64,
        /// Entries in the commit.
        entries: usize,
    },
    /// The head's time or epoch goes back.
    #[error("the head's time or epoch goes back")]
    TimeBack,
    /// The root changes though the size does not.
    #[error("the root changes at one size")]
    RootChanged,
    /// The tiles are not exactly those that become full.
    #[error("the tiles are not those that become full")]
    Tiles,
    /// The first commit of a log lacks its record, or the record names another log. Or an audit log
    /// lacks the check value of its secret, or a plain one has such a value.
    #[error("the log's record is missing, names another log, or does not fit its kind")]
    Record,
    /// An entry is empty or too long, or its deduplication key is.
    #[error("entry {position} or its deduplication key has a length that is not allowed")]
    Entry {
        /// Position in the commit.
        position: usize,
    },
    /// An entry has attachments that it cannot have.
    #[error("entry {position}: {fault}")]
    Attachments {
        /// Position in the commit.
        position: usize,
        /// What is wrong with them.
        fault: BadAttachments,
    },
    /// An erasure is not stated by an entry of the commit, or has targets that it cannot have.
    #[error("the erasure that entry {by} states is not one that the commit can hold")]
    Erasure {
        /// The entry.
        by: LeafIndex,
    },
}
