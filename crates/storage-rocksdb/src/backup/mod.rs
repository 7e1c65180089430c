//! What an operator does to a store: back it up, restore it, cut a corrupt write-ahead log, give a log up.
//!
//! A data folder holds `db/` (the store), `heads/` (the head journal, unless it lies elsewhere) and
//! `keys/`. A backup holds `db/`, the public keys, and a file `BACKUP`, written last: a backup
//! without it was cut short. A backup never holds the journal, and a restore never changes it,
//! because the journal tells an old store from the newest. A backup holds no private keys either:
//! the operator copies those once, when they are made. It holds the secrets of audit logs if it is
//! asked to.

mod recover;
mod restore;

#[cfg(test)]
mod tests;

pub use recover::{Cut, RecoverReport, Recovered, RetireReport, recover_truncating, retire};
pub use restore::{RestoreReport, restore};

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use base::durable::{self, FileError};
use base::keys::Readers;
use base::secret::Secret;
use merkle::{Hash, TreeSize};
use serde_json::json;

use crate::fsck::{FsckError, Report};
use crate::{RocksEngine, RocksOptions};
use storage::journal::JournalError;
use storage::{CommitOutcome, Engine, LogName, LogRecord, SecretCheck, StorageError};

/// The store's folder in a data folder and in a backup.
pub const DB: &str = "db";
/// The journal's folder in a data folder, unless it is set.
pub const HEADS: &str = "heads";
/// The keys' folder in a data folder and, public ones only, in a backup.
pub const KEYS: &str = "keys";
/// How the files of audit logs' secrets end.
const SECRET: &str = "audit";
/// The file that is written last, when a backup is complete.
const MARK: &str = "BACKUP";

/// Why an operation on a store failed. Every message names the file or the log to look at.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The store or a file.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The journal.
    #[error("head journal: {0}")]
    Journal(#[from] JournalError),
    /// The restored store could not be checked.
    #[error(transparent)]
    Fsck(#[from] FsckError),
    /// There is something already at the path of the result.
    #[error("{path}: exists; nothing is ever overwritten", path = path.display())]
    Exists {
        /// The path.
        path: PathBuf,
    },
    /// The folder is no backup, or one that was cut short.
    #[error("{path}: not a complete backup: it has no file BACKUP", path = path.display())]
    NotABackup {
        /// The folder.
        path: PathBuf,
    },
    /// The backup's content is damaged; nothing was restored.
    #[error("the backup is damaged, nothing was restored: {first}")]
    Damaged {
        /// The first finding.
        first: String,
        /// All findings.
        report: Box<Report>,
    },
    /// The expected checkpoint does not parse, or is of no log in the store, or its signature
    /// fails.
    #[error("{path}: {reason}", path = path.display())]
    Expect {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: ExpectFault,
    },
    /// The data end before what is known to have been signed.
    #[error(
        "{log}: the data end at size {found}, a head of size {known} was signed: use newer data"
    )]
    Behind {
        /// The log.
        log: LogName,
        /// The size of the data.
        found: u64,
        /// The signed size.
        known: u64,
    },
    /// The data have another root at a size that was signed.
    #[error("{log}: the data have another root than was signed at size {size}")]
    OtherRoot {
        /// The log.
        log: LogName,
        /// The signed size.
        size: u64,
    },
    /// A log with signed heads would be lost.
    #[error(
        "the journal holds signed heads of a log that is not in the data (origin hash {origin_hash}): \
         use newer data"
    )]
    LogLost {
        /// How the journal names the log.
        origin_hash: Hash,
    },
    /// There is no journal that says what was signed.
    #[error(
        "{heads_dir}: no journal of signed heads, so nothing says whether more was signed than would be \
         left: name its folder with --heads-dir, or accept that with --adopt-journal",
        heads_dir = heads_dir.display()
    )]
    JournalMissing {
        /// The folder.
        heads_dir: PathBuf,
    },
    /// There is no such log.
    #[error("no log named {name}")]
    UnknownLog {
        /// The name asked for.
        name: LogName,
    },
    /// The store did not take the change.
    #[error("the store did not take the change: {outcome:?}")]
    NotWritten {
        /// Its answer.
        outcome: CommitOutcome,
    },
}

impl From<FileError> for BackupError {
    fn from(error: FileError) -> Self {
        Self::Storage(error.into())
    }
}

/// What is wrong with an expected checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ExpectFault {
    /// The file does not parse.
    #[error("not a signed checkpoint")]
    Malformed,
    /// Its origin is that of no log in the backup.
    #[error("a checkpoint of no log in the backup")]
    OtherLog,
    /// No key of the log verifies it.
    #[error("not signed by the log's key")]
    Signature,
}

/// What a backup holds of one log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SavedLog {
    /// Its name.
    pub name: LogName,
    /// The size it has in the backup.
    pub size: TreeSize,
    /// The root at that size.
    pub root: Hash,
}

/// Whether a backup holds the secrets of audit logs. A restored audit log takes no events without its
/// secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Secrets {
    /// They stay where they are.
    Leave,
    /// They are copied: the backup must be kept as carefully as they are.
    Take,
}

/// A backup that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// Audit logs whose secrets are not in the backup.
    pub without_secret: Vec<LogName>,
}

impl Written {
    /// What the operator must know: nothing, or that secrets are missing.
    pub fn warning(&self) -> Option<String> {
        let names: Vec<&str> = self.without_secret.iter().map(LogName::as_str).collect();
        if names.is_empty() {
            return None;
        }
        let names = names.join(", ");
        Some(format!(
            "the backup does not hold the secrets of these audit logs: {names}; keep keys/LOG.audit of each \
             elsewhere, or back up --with-secrets"
        ))
    }
}

/// Writes a backup of the store in `data_dir` to `out`, a folder that must not exist.
///
/// A server that has the store open must write the backup itself, by [`write`]: RocksDB can hold files back
/// from deletion only in the process that writes, so that a copy made by another process beside it would be
/// torn. Here the store is opened, and in use it is refused.
pub fn backup(
    data_dir: &Path,
    out: &Path,
    secrets: Secrets,
    options: &RocksOptions,
) -> Result<Written, BackupError> {
    let db = data_dir.join(DB);
    if !RocksEngine::exists(&db) {
        return Err(StorageError::NotAStore { path: db }.into());
    }
    let engine = RocksEngine::open(&db, options)?;
    write(&engine, data_dir, out, secrets)
}

/// Writes a backup of an open store. The file `BACKUP` is the commit point: before it, what lies in
/// `out` is no backup.
pub fn write(
    engine: &RocksEngine,
    data_dir: &Path,
    out: &Path,
    secrets: Secrets,
) -> Result<Written, BackupError> {
    if out.exists() {
        return Err(BackupError::Exists { path: out.to_path_buf() });
    }
    durable::create_dir_all(out, 0o700)?;
    engine.checkpoint(&out.join(DB))?;
    let keys = out.join(KEYS);
    copy_keys(&data_dir.join(KEYS), &keys, "vkey", 0o644)?;
    if secrets == Secrets::Take {
        copy_keys(&data_dir.join(KEYS), &keys, SECRET, 0o600)?;
    }
    let saved = RocksEngine::open_read_only(&out.join(DB), &RocksOptions::default())?;
    let logs = saved_logs(&saved)?;
    let without_secret = without_secret(&saved.logs()?, &keys);
    drop(saved);
    durable::create_new(&out.join(MARK), describe(&logs).as_bytes(), 0o600)?;
    Ok(Written { without_secret })
}

fn saved_logs(engine: &RocksEngine) -> Result<Vec<SavedLog>, StorageError> {
    let mut logs = Vec::new();
    for record in engine.logs()? {
        if let Some(head) = engine.head(record.id)? {
            logs.push(SavedLog { name: record.name, size: head.size, root: head.root });
        }
    }
    Ok(logs)
}

fn describe(logs: &[SavedLog]) -> String {
    let log = |log: &SavedLog| json!({ "name": log.name.as_str(), "size": log.size.get(), "root": log.root.to_string() });
    let description = json!({
        "format": "cairn backup 1",
        "logs": logs.iter().map(log).collect::<Vec<_>>(),
    });
    format!("{description}\n")
}

/// The audit logs whose own secrets are not in this folder: no file, or one with another secret.
fn without_secret(records: &[LogRecord], keys: &Path) -> Vec<LogName> {
    let lacks = |record: &&LogRecord| {
        let Some(check) = record.secret_check else { return false };
        let path = keys.join(format!("{}.{SECRET}", record.name));
        // Whether a group may read the file is for the server to say that uses it.
        let secret = Secret::read(&path, Readers::Group).ok().flatten();
        secret.is_none_or(|secret| SecretCheck::of(secret.as_bytes()) != check)
    };
    records.iter().filter(lacks).map(|record| record.name.clone()).collect()
}

/// Copies the files with this ending that are not there yet.
fn copy_keys(from: &Path, to: &Path, ending: &str, mode: u32) -> Result<(), StorageError> {
    let files = match fs::read_dir(from) {
        Ok(files) => files,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(StorageError::io(from, error)),
    };
    durable::create_dir_all(to, 0o700)?;
    for file in files {
        let path = file.map_err(|error| StorageError::io(from, error))?.path();
        let Some(name) = path.file_name() else { continue };
        let target = to.join(name);
        if path.extension().is_some_and(|found| found == ending) && !target.exists() {
            let keys = fs::read(&path).map_err(|error| StorageError::io(&path, error))?;
            durable::create_new(&target, &keys, mode)?;
        }
    }
    Ok(())
}
