//! Cutting a corrupt write-ahead log, and giving a log up.

use std::collections::BTreeMap;
use std::path::Path;

use ::rocksdb::DBRecoveryMode;

use super::{BackupError, DB};
use crate::log::journal::{self, Journal, JournalHeads};
use crate::storage::rocksdb::{RocksEngine, RocksOptions, StoreLock};
use crate::storage::{
    CommitOutcome, Engine, LogCommit, LogName, LogRecord, LogState, Row, StorageError, StoredHead,
};

/// What was kept of one log, and what may be lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovered {
    /// The log.
    pub log: LogName,
    /// The size that is left.
    pub kept: u64,
    /// The largest size that could still be read beyond the corruption: the entries from `kept` to here
    /// were acknowledged and are lost. Entries beyond may be lost too.
    pub seen: u64,
}

/// A write-ahead log that was cut.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecoverReport {
    /// By log number.
    pub logs: Vec<Recovered>,
}

/// A log that was given up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetireReport {
    /// The log.
    pub log: LogName,
    /// Its size in the store.
    pub size: u64,
}

/// Reopens the store of `data_dir` at the last good point of its write-ahead log and gives up what follows
/// it. Refused, with nothing changed, if the journal holds a head beyond that point: a log that went on
/// from there would sign two histories.
pub fn recover_truncating(
    data_dir: &Path,
    heads_dir: &Path,
    options: &RocksOptions,
) -> Result<RecoverReport, BackupError> {
    let db = data_dir.join(DB);
    let lock = StoreLock::take(&db)?;
    let kept = heads(&db, options, DBRecoveryMode::PointInTime)?;
    let seen = heads(&db, options, DBRecoveryMode::SkipAnyCorruptedRecord).unwrap_or_default();
    if let Some(journal) = journal::read_heads(heads_dir)? {
        kept.values().try_for_each(|(record, head)| not_behind(record, head, &journal))?;
    }
    drop(lock);
    // The commit point: the engine writes what it kept to table files and drops the log.
    drop(RocksEngine::open_truncating(&db, options)?);
    let recovered = |(id, (record, head)): (&crate::storage::LogId, &(LogRecord, StoredHead))| {
        let kept = head.size.get();
        let seen = seen.get(id).map_or(kept, |(_, head)| head.size.get().max(kept));
        Recovered { log: record.name.clone(), kept, seen }
    };
    Ok(RecoverReport { logs: kept.iter().map(recovered).collect() })
}

/// Gives a log up: marks it in the journal, then in the store, and signs nothing. For a log whose data
/// are lost for good. Doing it again changes nothing.
pub fn retire(
    data_dir: &Path,
    heads_dir: &Path,
    name: &LogName,
    options: &RocksOptions,
) -> Result<RetireReport, BackupError> {
    let db = data_dir.join(DB);
    if !RocksEngine::exists(&db) {
        return Err(StorageError::NotAStore { path: db }.into());
    }
    let engine = RocksEngine::open(&db, options)?;
    let record = engine.logs()?.into_iter().find(|record| record.name == *name);
    let unknown = || BackupError::UnknownLog { name: name.clone() };
    let mut record = record.ok_or_else(unknown)?;
    let head = engine.head(record.id)?.ok_or_else(unknown)?;
    // The commit point: from here on no start signs for the log. The store only says the same.
    Journal::open(heads_dir)?.retire(record.origin.as_str())?;
    record.state = LogState::Retired;
    let commit = LogCommit {
        log: record.id,
        expected: Some(head),
        new: head,
        entries: Vec::new(),
        tiles: Vec::new(),
        rows: vec![Row::Log(record)],
    };
    match engine.commit(&[commit]) {
        CommitOutcome::Committed => Ok(RetireReport { log: name.clone(), size: head.size.get() }),
        outcome => Err(BackupError::NotWritten { outcome }),
    }
}

type Heads = BTreeMap<crate::storage::LogId, (LogRecord, StoredHead)>;

fn heads(db: &Path, options: &RocksOptions, mode: DBRecoveryMode) -> Result<Heads, StorageError> {
    let engine = RocksEngine::open_read_only_recovering(db, options, mode)?;
    let mut heads = Heads::new();
    for record in engine.logs()? {
        if let Some(head) = engine.head(record.id)? {
            heads.insert(record.id, (record, head));
        }
    }
    Ok(heads)
}

fn not_behind(
    record: &LogRecord,
    head: &StoredHead,
    journal: &JournalHeads,
) -> Result<(), BackupError> {
    let Some(signed) = journal.get(&journal::origin_hash(record.origin.as_str())) else {
        return Ok(());
    };
    let log = record.name.clone();
    let (found, known) = (head.size.get(), signed.size.get());
    if known > found {
        return Err(BackupError::Behind { log, found, known });
    }
    if known == found && signed.root != head.root {
        return Err(BackupError::OtherRoot { log, size: known });
    }
    Ok(())
}
