//! Restoring a backup.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use base::durable;
use formats::{SignedCheckpoint, VerifierKey};

use super::{
    BackupError, DB, ExpectFault, KEYS, MARK, SECRET, SavedLog, copy_keys, saved_logs,
    without_secret,
};
use crate::fsck::{self, Damage, JournaledHead, Progress};
use crate::{RocksEngine, RocksOptions};
use storage::journal::{self, JournalHeads};
use storage::{Engine, LogName, LogRecord, StorageError};

/// A backup that was restored.
#[derive(Debug)]
pub struct RestoreReport {
    /// What it holds.
    pub logs: Vec<SavedLog>,
    /// Logs of which the journal holds a newer head: a server serves this store with `--read-only` only.
    pub behind_journal: Vec<LogName>,
    /// Audit logs whose secrets are neither in the backup nor were there: they take no events.
    pub without_secret: Vec<LogName>,
}

/// Puts the backup `from` in place as the store of `data_dir`, which must have none.
///
/// We read and hash everything in the copy before it becomes `db/`. If `expect` is given, the
/// newest checkpoint of a log that anyone knows, data that end before that checkpoint or differ
/// from it are refused. The journal in `heads_dir` is read to say whether it is ahead, and never
/// written.
pub fn restore(
    from: &Path,
    data_dir: &Path,
    heads_dir: &Path,
    expect: Option<&Path>,
    options: &RocksOptions,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<RestoreReport, BackupError> {
    let db = data_dir.join(DB);
    if db.exists() {
        return Err(BackupError::Exists { path: db });
    }
    if !from.join(MARK).is_file() {
        return Err(BackupError::NotABackup { path: from.to_path_buf() });
    }
    durable::create_dir_all(data_dir, 0o700)?;
    let journal = journal::read_heads(heads_dir)?;
    // The name is fixed, so that we replace what a restore left that was cut short.
    let staged = data_dir.join(".db.restoring");
    remove(&staged)?;
    copy_folder(&from.join(DB), &staged)?;
    let checked = check(&staged, from, data_dir, expect, options, progress);
    let report = match checked {
        Ok(logs) => logs,
        Err(error) => {
            remove(&staged)?;
            return Err(error);
        }
    };
    // No secret that is there is replaced. They come before the store, because nobody can restore to a
    // folder that has one.
    let keys = data_dir.join(KEYS);
    copy_keys(&from.join(KEYS), &keys, SECRET, 0o600)?;
    // The commit point: if we crash before it, the data folder has no store.
    durable::rename(&staged, &db)?;
    let (records, logs) = report;
    let behind_journal = behind(&records, &logs, journal.as_ref());
    let without_secret = without_secret(&records, &keys);
    Ok(RestoreReport { logs, behind_journal, without_secret })
}

fn check(
    staged: &Path,
    from: &Path,
    data_dir: &Path,
    expect: Option<&Path>,
    options: &RocksOptions,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<(Vec<LogRecord>, Vec<SavedLog>), BackupError> {
    let engine = RocksEngine::open_read_only(staged, options)?;
    let records = engine.logs()?;
    let logs = saved_logs(&engine)?;
    let expected = match expect {
        None => None,
        Some(path) => {
            let keys = [data_dir.join(KEYS), from.join(KEYS)];
            let fault = |reason| BackupError::Expect { path: path.to_path_buf(), reason };
            Some(expected(path, &records, &keys)?.map_err(fault)?)
        }
    };
    let known: Vec<JournaledHead> = expected.iter().map(|(_, head)| *head).collect();
    let report = fsck::check(&engine, &known, progress)?;
    if let Some((log, head)) = expected {
        if let Some(finding) = report.findings.get("journal_ahead")
            && let Damage::JournalAhead { size } = finding.first
        {
            let saved = logs.iter().find(|saved| saved.name == log);
            let found = saved.map_or(0, |saved| saved.size.get());
            return Err(BackupError::Behind { log, found, known: size.get() });
        }
        if report.findings.contains_key("journal_root") {
            return Err(BackupError::OtherRoot { log, size: head.size.get() });
        }
    }
    match report.findings.values().next() {
        None => Ok((records, logs)),
        Some(finding) => {
            Err(BackupError::Damaged { first: finding.first.to_string(), report: Box::new(report) })
        }
    }
}

/// The log and head of an expected checkpoint. Verifies its signature with the keys beside the data
/// or in the backup.
fn expected(
    path: &Path,
    records: &[LogRecord],
    key_folders: &[PathBuf],
) -> Result<Result<(LogName, JournaledHead), ExpectFault>, StorageError> {
    let bytes = fs::read(path).map_err(|error| StorageError::io(path, error))?;
    let Ok(signed) = SignedCheckpoint::parse(&bytes) else {
        return Ok(Err(ExpectFault::Malformed));
    };
    let Some(record) = records.iter().find(|record| record.origin == *signed.origin()) else {
        return Ok(Err(ExpectFault::OtherLog));
    };
    let keys = public_keys(&record.name, key_folders)?;
    let Ok(verified) = signed.verify(&keys) else {
        return Ok(Err(ExpectFault::Signature));
    };
    let head = JournaledHead {
        origin_hash: journal::origin_hash(record.origin.as_str()),
        size: verified.size(),
        root: *verified.root(),
    };
    Ok(Ok((record.name.clone(), head)))
}

/// A log's public keys, from the first folder that has them; none if no folder does.
fn public_keys(log: &LogName, folders: &[PathBuf]) -> Result<Vec<VerifierKey>, StorageError> {
    for folder in folders {
        let path = folder.join(format!("{log}.vkey"));
        match fs::read(&path) {
            Ok(bytes) => return Ok(formats::key::read_vkeys(&bytes).unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(StorageError::io(path, error)),
        }
    }
    Ok(Vec::new())
}

fn behind(
    records: &[LogRecord],
    logs: &[SavedLog],
    journal: Option<&JournalHeads>,
) -> Vec<LogName> {
    let Some(journal) = journal else { return Vec::new() };
    let is_behind = |(record, saved): &(&LogRecord, &SavedLog)| {
        let head = journal.get(&journal::origin_hash(record.origin.as_str()));
        head.is_some_and(|head| head.size > saved.size)
    };
    let behind = records.iter().zip(logs).filter(is_behind);
    behind.map(|(record, _)| record.name.clone()).collect()
}

/// Copies a folder of files and syncs every one. With hard links the store would change the backup.
fn copy_folder(from: &Path, to: &Path) -> Result<(), StorageError> {
    durable::create_dir_all(to, 0o700)?;
    let read = |error| StorageError::io(from, error);
    for file in fs::read_dir(from).map_err(read)? {
        let source = file.map_err(read)?;
        let target = to.join(source.file_name());
        let copy = || -> io::Result<()> {
            fs::copy(source.path(), &target)?;
            File::open(&target)?.sync_all()
        };
        copy().map_err(|error| StorageError::io(&target, error))?;
    }
    Ok(durable::sync_dir(to)?)
}

fn remove(folder: &Path) -> Result<(), StorageError> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(StorageError::io(folder, error))
        }
        _ => Ok(()),
    }
}
