//! Cutting a corrupt write-ahead log, and giving a log up.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use ::rocksdb::DBRecoveryMode;
use merkle::Hash;

use super::{BackupError, DB};
use crate::{RocksEngine, RocksOptions, StoreLock, Wal};
use storage::journal::{self, Journal, JournalHeads};
use storage::{
    CommitOutcome, Engine, LogCommit, LogId, LogName, LogRecord, LogState, Row, StorageError,
    StoredHead,
};

/// What was kept of one log, and what is lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovered {
    /// The log.
    pub log: LogName,
    /// The size that is left.
    pub kept: u64,
    /// The largest size found behind the damage: the entries from `kept` to here were written and are lost.
    pub seen: u64,
}

/// Where a write-ahead log was cut.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cut {
    /// The file that was cut.
    pub path: PathBuf,
    /// The first byte that was given up.
    pub offset: u64,
    /// Bytes behind the damage that could not be read. More entries than those seen may be lost.
    pub unread_bytes: u64,
}

/// What was done about a write-ahead log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecoverReport {
    /// Where it was cut; `None` if it is whole, and nothing was changed.
    pub cut: Option<Cut>,
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
/// that point. A store that opens is left as it is.
///
/// It refuses, and changes nothing, if the journal holds a head beyond that point: a log that went
/// on from there would sign two histories. Every head that a witness holds was journaled before, so
/// the journal speaks for the witnesses too. If there is no journal, it refuses unless
/// `without_journal` is set.
pub fn recover_truncating(
    data_dir: &Path,
    heads_dir: &Path,
    without_journal: bool,
    options: &RocksOptions,
) -> Result<RecoverReport, BackupError> {
    let db = data_dir.join(DB);
    let lock = StoreLock::take(&db)?;
    let (path, offset) = match RocksEngine::open_read_only(&db, options) {
        Ok(engine) => return Ok(RecoverReport { cut: None, logs: report(&heads(&engine)?, None) }),
        Err(StorageError::WalDamaged { path, offset, .. }) => (path, offset),
        Err(error) => return Err(error.into()),
    };
    let engine = RocksEngine::open_read_only_recovering(&db, options, DBRecoveryMode::PointInTime)?;
    let kept = heads(&engine)?;
    drop(engine);
    match journal::read_heads(heads_dir)? {
        Some(journal) => check_journal(&kept, &journal)?,
        None if without_journal || kept.is_empty() => {}
        None => {
            return Err(BackupError::JournalMissing { heads_dir: heads_dir.to_path_buf() });
        }
    }
    let wal = Wal::read(&db)?;
    drop(lock);
    // The commit point: the engine writes what it kept to table files and drops the log.
    drop(RocksEngine::open_truncating(&db, options)?);
    let cut = Cut { path, offset, unread_bytes: wal.unread_bytes };
    Ok(RecoverReport { cut: Some(cut), logs: report(&kept, Some(&wal)) })
}

/// What is left of each log, and what the write-ahead log had of it.
fn report(kept: &Heads, wal: Option<&Wal>) -> Vec<Recovered> {
    let seen = |id: &LogId| wal.and_then(|wal| wal.heads.get(id)).map_or(0, |head| head.size.get());
    let mut logs: BTreeMap<LogId, Recovered> = BTreeMap::new();
    for (id, record) in wal.iter().flat_map(|wal| &wal.records) {
        // All of them: the record of a log that was created behind the damage is only here.
        logs.insert(*id, Recovered { log: record.name.clone(), kept: 0, seen: seen(id) });
    }
    for (id, (record, head)) in kept {
        let kept = head.size.get();
        logs.insert(*id, Recovered { log: record.name.clone(), kept, seen: seen(id).max(kept) });
    }
    logs.into_values().collect()
}

/// Gives a log up: marks it in the journal, then in the store. Nothing is signed. It is for a log
/// whose data are lost for good. A second time changes nothing.
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
    // The commit point: from here on no start signs for the log. If we crash before the store says
    // the same, the next start goes by the journal.
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

type Heads = BTreeMap<LogId, (LogRecord, StoredHead)>;

fn heads(engine: &RocksEngine) -> Result<Heads, StorageError> {
    let mut heads = Heads::new();
    for record in engine.logs()? {
        if let Some(head) = engine.head(record.id)? {
            heads.insert(record.id, (record, head));
        }
    }
    Ok(heads)
}

/// No head that was signed is beyond what is kept.
fn check_journal(kept: &Heads, journal: &JournalHeads) -> Result<(), BackupError> {
    let origins: BTreeSet<Hash> =
        kept.values().map(|(record, _)| journal::origin_hash(record.origin.as_str())).collect();
    let lost = journal.iter().find(|(hash, head)| !head.retired && !origins.contains(hash));
    if let Some((origin_hash, _)) = lost {
        return Err(BackupError::LogLost { origin_hash: *origin_hash });
    }
    kept.values().try_for_each(|(record, head)| not_behind(record, head, journal))
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
