//! Checks a store: reads everything again, and computes whatever can be computed.
//!
//! Every entry is hashed and compared with its leaf hash, and every tile with the level below. The
//! head is compared with the entries and, by a second implementation of the tree, with the tiles.
//! The journal, archived checkpoints and look-up rows are compared with all of these. Times along an
//! audit log must not decrease, and its blocks are hashed and compared with the leaves that commit
//! to them. Other attachments, which no hash covers, have checksums. Memory does not grow with the
//! log. A check writes nothing, and refuses to run beside a server, which would change the store
//! meanwhile.

mod blocks;
mod damage;
mod index;
mod report;
mod times;
mod tree;

#[cfg(test)]
mod tests;

pub use blocks::TombstoneFault;
pub use damage::Damage;
pub use report::{Finding, LogReport, Report};

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use blocks::BlockCheck;
use formats::SignedCheckpoint;
use index::IndexCheck;
use merkle::{Hash, TreeSize, leaf_hash};
use times::TimeCheck;
use tree::{Milestone, Source, TreeCheck};

use crate::{RawRow, RocksEngine, RocksOptions, StoreLock};
use storage::journal::{self, JournalError, JournalHead};
use storage::keys::{self, Key};
use storage::{Engine, Family, LogId, LogRecord, RowFault, StorageError, StoredHead};

/// Entries between two calls of the progress callback.
const PROGRESS_ENTRIES: u64 = 1 << 16;

/// A head that the journal holds: the newest of an origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JournaledHead {
    /// SHA-256 of the log's origin.
    pub origin_hash: Hash,
    /// The signed size.
    pub size: TreeSize,
    /// The signed root.
    pub root: Hash,
}

/// How far a check has come.
#[derive(Debug, Clone, Copy)]
pub struct Progress<'a> {
    /// The log that is read.
    pub log: &'a str,
    /// Entries of it read so far.
    pub entries: u64,
    /// Its size.
    pub size: u64,
}

/// Why a check could not run.
#[derive(Debug, thiserror::Error)]
pub enum FsckError {
    /// There is no store, it is in use, or it cannot be opened.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The journal cannot be read.
    #[error("the head journal in {path}: {source}", path = path.display())]
    Journal {
        /// The journal's folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: JournalError,
    },
}

/// Checks the store and the journal of a server that does not run: `data_dir` holds the store as `db`.
pub fn run(
    data_dir: &Path,
    heads_dir: &Path,
    options: &RocksOptions,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<Report, FsckError> {
    let heads = journal::read_heads(heads_dir)
        .map_err(|source| FsckError::Journal { path: heads_dir.to_path_buf(), source })?;
    let journaled = |head: &JournalHead| JournaledHead {
        origin_hash: head.origin_hash,
        size: head.size,
        root: head.root,
    };
    let heads: Vec<_> = heads.iter().flat_map(BTreeMap::values).map(journaled).collect();
    check_folder(&data_dir.join("db"), options, &heads, progress)
}

/// Checks the store in the folder `db`, which no process may have open.
pub fn check_folder(
    db: &Path,
    options: &RocksOptions,
    journal: &[JournaledHead],
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<Report, FsckError> {
    let _lock = StoreLock::take(db)?;
    match RocksEngine::open_read_only(db, options) {
        Ok(engine) => check(&engine, journal, progress),
        // Damage to the engine's own files can be so bad that nothing behind it can be read.
        Err(source) if source.is_corruption() => {
            let mut report = Report::default();
            report.add(None, Damage::Unreadable { family: Family::Meta, source });
            Ok(report)
        }
        Err(source) => Err(source.into()),
    }
}

/// Checks an open store that nobody writes to.
pub fn check(
    engine: &RocksEngine,
    journal: &[JournaledHead],
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<Report, FsckError> {
    let mut report = Report::default();
    match engine.verify_table_files() {
        Ok(files) => report.table_files = files,
        Err(source) => {
            let family = Family::Meta;
            report.add(None, Damage::Unreadable { family, source });
        }
    }
    let logs = match engine.logs() {
        Ok(logs) => logs,
        Err(StorageError::Corrupt(corrupt)) => {
            report.add(None, corrupt.into());
            return Ok(report);
        }
        Err(error) => return Err(error.into()),
    };
    check_owners(engine, &logs, &mut report);
    check_origins(&logs, journal, &mut report);
    blocks::check_unpurged(engine, &logs, &mut |damage| report.add(None, damage));
    for record in &logs {
        check_log(engine, record, journal, progress, &mut report);
    }
    Ok(report)
}

/// Looks for rows of logs that have no record, by jumping from log to log.
fn check_owners(engine: &RocksEngine, logs: &[LogRecord], report: &mut Report) {
    let known: BTreeSet<LogId> = logs.iter().map(|record| record.id).collect();
    for family in Family::ALL {
        let mut next = Some(0_u32);
        while let Some(from) = next {
            let Some(row) = engine.scan_from(family, &[], &from.to_be_bytes()).next() else {
                break;
            };
            let key = match row {
                Ok((key, _)) => key,
                Err(source) => {
                    report.add(None, Damage::Unreadable { family, source });
                    break;
                }
            };
            let Some(number) = key.first_chunk::<4>().map(|number| u32::from_be_bytes(*number))
            else {
                report.add(None, keys::corrupt(family, &key, RowFault::UnknownKey).into());
                break;
            };
            match LogId::new(number) {
                Some(log) if !known.contains(&log) => {
                    report.add(None, Damage::UnknownLog { family, log });
                }
                Some(_) => {}
                // The store's own rows.
                None if family == Family::Meta && keys::decode_key(family, &key).is_ok() => {}
                None => report.add(None, keys::corrupt(family, &key, RowFault::UnknownKey).into()),
            }
            next = number.checked_add(1);
        }
    }
}

/// Looks for journaled heads of logs that the store does not have: a log is stored before it is signed.
fn check_origins(logs: &[LogRecord], journal: &[JournaledHead], report: &mut Report) {
    for head in journal {
        let own =
            |record: &LogRecord| journal::origin_hash(record.origin.as_str()) == head.origin_hash;
        if !logs.iter().any(own) {
            report.add(None, Damage::JournalUnknown { origin_hash: head.origin_hash });
        }
    }
}

fn check_log(
    engine: &RocksEngine,
    record: &LogRecord,
    journal: &[JournaledHead],
    progress: &mut dyn FnMut(Progress<'_>),
    report: &mut Report,
) {
    let head = match engine.head(record.id) {
        Ok(Some(head)) => head,
        Ok(None) => {
            let key = keys::head_key(record.id);
            let missing = keys::corrupt(Family::Meta, &key, RowFault::Missing);
            return report.add(Some(&record.name), missing.into());
        }
        Err(StorageError::Corrupt(corrupt)) => {
            return report.add(Some(&record.name), corrupt.into());
        }
        Err(source) => {
            let family = Family::Meta;
            return report.add(Some(&record.name), Damage::Unreadable { family, source });
        }
    };
    let mut found = |damage| report.add(Some(&record.name), damage);
    let log = LogCheck { engine, record, head }.run(journal, progress, &mut found);
    report.logs.push(log);
}

/// What is compared with each entry as it is passed.
struct Beside<'a> {
    index: IndexCheck<'a>,
    times: TimeCheck,
    blocks: BlockCheck<'a>,
}

/// The check of one log.
struct LogCheck<'a> {
    engine: &'a RocksEngine,
    record: &'a LogRecord,
    head: StoredHead,
}

impl LogCheck<'_> {
    fn run(
        &self,
        journal: &[JournaledHead],
        progress: &mut dyn FnMut(Progress<'_>),
        found: &mut dyn FnMut(Damage),
    ) -> LogReport {
        let journaled = journaled(self.record, journal);
        let (milestones, checkpoints) = self.milestones(journaled.as_ref(), found);
        let mut tree = TreeCheck::new(self.engine, self.record.id);
        let mut beside = Beside {
            index: IndexCheck::new(self.engine, self.record, self.head.size, found),
            times: TimeCheck::new(self.record),
            blocks: BlockCheck::new(self.engine, self.record, self.head.size),
        };
        let entries = self.entries(&mut tree, &mut beside, milestones, progress, found);
        self.check_head(&tree, entries, found);
        self.check_tiles(found);
        let Beside { mut index, mut blocks, .. } = beside;
        blocks.finish(found);
        index.finish(found);
        LogReport {
            name: self.record.name.clone(),
            size: self.head.size,
            root: self.head.root,
            entries,
            attachments: blocks.attachments,
            blocks: blocks.blocks,
            erased: blocks.erased,
            tiles: tree.tiles,
            dedup_rows: index.dedup_rows(),
            leaf_rows: index.leaf_rows(),
            indexed_to: index.indexed_to,
            producers: index.producers,
            checkpoints,
            journaled: journaled.map(|head| head.size),
        }
    }

    /// Roots from the journal and the archive, by size, and the number of archived checkpoints.
    /// There is at most one checkpoint for each second of the log's life, and each root takes 40
    /// bytes here.
    fn milestones(
        &self,
        journaled: Option<&JournaledHead>,
        found: &mut dyn FnMut(Damage),
    ) -> (Vec<Milestone>, u64) {
        let mut milestones = Vec::new();
        if let Some(JournaledHead { size, root, .. }) = journaled.copied() {
            if size > self.head.size {
                found(Damage::JournalAhead { size });
            } else {
                milestones.push(Milestone { size, root, source: Source::Journal });
            }
        }
        let mut checkpoints = 0;
        for row in self.engine.scan(Family::Meta, &self.record.id.get().to_be_bytes()) {
            match row {
                Ok((key, value)) => match self.meta_row(&key, &value) {
                    Ok(None) => {}
                    Ok(Some(milestone)) => {
                        checkpoints += 1;
                        milestones.push(milestone);
                    }
                    Err(damage) => found(damage),
                },
                Err(source) => found(Damage::Unreadable { family: Family::Meta, source }),
            }
        }
        milestones.sort_unstable();
        (milestones, checkpoints)
    }

    fn meta_row(&self, key: &[u8], value: &[u8]) -> Result<Option<Milestone>, Damage> {
        let size = match keys::decode_key(Family::Meta, key)? {
            Key::Checkpoint(_, position) => position.size,
            _ => return Ok(None),
        };
        let archived = keys::decode_checkpoint(key, value)?;
        let Ok(signed) = SignedCheckpoint::parse(&archived.note) else {
            return Err(Damage::Archive { size });
        };
        let own = *signed.origin() == self.record.origin && signed.size() == size;
        if !own || size > self.head.size {
            return Err(Damage::Archive { size });
        }
        Ok(Some(Milestone { size, root: *signed.root(), source: Source::Archive }))
    }

    /// Hashes every entry, and yields how many there are.
    fn entries(
        &self,
        tree: &mut TreeCheck<'_>,
        beside: &mut Beside<'_>,
        milestones: Vec<Milestone>,
        progress: &mut dyn FnMut(Progress<'_>),
        found: &mut dyn FnMut(Damage),
    ) -> u64 {
        let mut milestones = milestones.into_iter().peekable();
        let mut pass = |tree: &TreeCheck<'_>, found: &mut dyn FnMut(Damage)| {
            while let Some(due) = milestones.next_if(|due| due.size.get() <= tree.size()) {
                if due.size.get() == tree.size() && due.root != tree.root() {
                    found(match due.source {
                        Source::Journal => Damage::JournalRoot { size: due.size },
                        Source::Archive => Damage::ArchiveRoot { size: due.size },
                    });
                }
            }
        };
        pass(tree, found);
        let mut entries = 0;
        for row in self.engine.scan(Family::Entries, &self.record.id.get().to_be_bytes()) {
            let row = match row {
                Ok(row) => row,
                Err(source) => {
                    found(Damage::Unreadable { family: Family::Entries, source });
                    break;
                }
            };
            if let Some(leaf) = self.entry(row, tree, beside, found) {
                tree.push(leaf, found);
                pass(tree, found);
                entries += 1;
                if entries % PROGRESS_ENTRIES == 0 {
                    let (log, size) = (self.record.name.as_str(), self.head.size.get());
                    progress(Progress { log, entries, size });
                }
            }
        }
        entries
    }

    /// The leaf hash of an entry row, and the rows that the entry calls for. For entries that are
    /// missing or do not decode the tree gets holes, so that the entries behind them are still
    /// compared.
    fn entry(
        &self,
        (key, value): RawRow,
        tree: &mut TreeCheck<'_>,
        beside: &mut Beside<'_>,
        found: &mut dyn FnMut(Damage),
    ) -> Option<Hash> {
        const HOLE: [u8; 32] = [0; 32];
        let at = match keys::decode_key(Family::Entries, &key) {
            Ok(Key::Entry(_, at)) => at,
            Ok(_) => unreachable!("the entries family decodes to entry keys only"),
            Err(corrupt) => {
                found(corrupt.into());
                return None;
            }
        };
        if !self.head.size.contains(at) {
            found(Damage::EntryBeyond { index: at });
            return None;
        }
        while tree.size() < at.get() {
            found(Damage::EntryMissing { index: tree.size() });
            tree.push(Hash::from(HOLE), found);
        }
        match keys::decode_entry(&key, &value.into_vec().into()) {
            Ok(entry) => {
                let leaf = leaf_hash(&entry.data);
                beside.times.entry(at, &entry.data, found);
                beside.index.entry(at, &entry, &leaf);
                beside.blocks.entry(at, &entry, found);
                Some(leaf)
            }
            Err(corrupt) => {
                found(corrupt.into());
                tree.push(Hash::from(HOLE), found);
                None
            }
        }
    }

    fn check_head(&self, tree: &TreeCheck<'_>, entries: u64, found: &mut dyn FnMut(Damage)) {
        let StoredHead { size, root, .. } = self.head;
        if tree.size() < size.get() {
            found(Damage::EntryMissing { index: tree.size() });
        }
        let computed = tree.root();
        if computed != root || entries != size.get() {
            found(Damage::HeadRoot { size, computed, stored: root });
        }
        if tree.second_root().unwrap_or(Hash::EMPTY_ROOT) != root {
            found(Damage::TileTree { size });
        }
    }

    /// Looks for tiles that the tree does not have. Those it has are read while entries are.
    fn check_tiles(&self, found: &mut dyn FnMut(Damage)) {
        for row in self.engine.scan(Family::Tiles, &self.record.id.get().to_be_bytes()) {
            match row.map(|(key, _)| keys::decode_key(Family::Tiles, &key)) {
                Ok(Ok(Key::Tile(_, tile))) => {
                    if merkle::tile::width_at(tile, self.head.size) != Some(256) {
                        found(Damage::TileBeyond { tile });
                    }
                }
                Ok(Ok(_)) => unreachable!("the tiles family decodes to tile keys only"),
                Ok(Err(corrupt)) => found(corrupt.into()),
                Err(source) => found(Damage::Unreadable { family: Family::Tiles, source }),
            }
        }
    }
}

/// What the journal holds of a log.
fn journaled(record: &LogRecord, journal: &[JournaledHead]) -> Option<JournaledHead> {
    let origin_hash = journal::origin_hash(record.origin.as_str());
    journal.iter().copied().find(|head| head.origin_hash == origin_hash)
}
