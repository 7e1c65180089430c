//! The head journal: every head that this server ever released, newest last, outside the database.
//!
//! If an operator restored an old backup and the server went on signing from its size, the server
//! would fork its own log. The journal prevents that: a head is synced here before it is released,
//! so a store that ends before the journal has lost data.
//!
//! There are two segments, `heads-0` and `heads-1`, of zeros written in advance, so that a record
//! costs one disk write and no change of metadata. When one segment is full we overwrite the other,
//! beginning with the newest record of every log. So each segment, from its first group on, holds
//! all that matters, and if we crash while we write one, the other is whole.

mod record;
mod segment;

pub use record::JournalHead;

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use base::durable::{self, FileError};
use formats::OriginHash;
use merkle::{Hash, TreeSize};
use record::{RECORD_BYTES, Record, encode};
use thiserror::Error;

/// Bytes of a segment: 32,768 records.
pub const SEGMENT_BYTES: u64 = 4 * 1024 * 1024;
/// The most records in one group, and so the most logs: half a segment, so that the newest record of
/// each log and a group of new ones always fit, and their positions fit two bytes.
pub const HEADS_MAX: usize = 16_384;

const SEGMENTS: [&str; 2] = ["heads-0", "heads-1"];

/// Why the journal cannot be used.
#[derive(Debug, Error)]
pub enum JournalError {
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error(transparent)]
    File(#[from] FileError),
    #[error("{}: another process uses this journal", path.display())]
    Locked { path: PathBuf },
    #[error("{}: record {sequence} is damaged, although record {found} follows it", path.display())]
    Damaged { path: PathBuf, sequence: u64, found: u64 },
    #[error("{}: segment is missing, although the other holds records", path.display())]
    SegmentMissing { path: PathBuf },
    #[error("an earlier write failed; the journal takes no more before a restart")]
    Failed,
    #[error("{heads} heads in one group, the limit is {HEADS_MAX}")]
    TooManyHeads { heads: usize },
}

impl JournalError {
    fn io(path: &Path, source: io::Error) -> Self {
        Self::Io { path: path.to_path_buf(), source }
    }
}

/// How the journal names a log.
pub fn origin_hash(origin: &str) -> Hash {
    Hash::from(*OriginHash::of(origin).as_bytes())
}

/// The newest head of every log, by [`origin_hash`].
pub type JournalHeads = BTreeMap<Hash, JournalHead>;

/// Reads a journal without changing it, `None` if there is none. For checks of a stopped server.
pub fn read_heads(dir: &Path) -> Result<Option<JournalHeads>, JournalError> {
    let mut files = Vec::new();
    for path in paths(dir) {
        if let Some(file) = open_if_there(&path, false)? {
            files.push((path, file));
        }
    }
    if files.is_empty() {
        return Ok(None);
    }
    let mut heads = JournalHeads::new();
    let mut records = Vec::new();
    for (path, file) in &files {
        records.extend(segment::read(path, file)?);
    }
    let newest = records.iter().map(|record| record.sequence).max().unwrap_or(0);
    for (path, file) in &files {
        segment::check_leftovers(path, file, newest + 1)?;
    }
    absorb(&mut heads, records);
    Ok(Some(heads))
}

/// The journal, open for writing by this process alone.
#[derive(Debug)]
pub struct Journal {
    files: [(PathBuf, File); 2],
    /// The segment that takes the next record.
    active: usize,
    /// The next free slot in that segment.
    slot: u64,
    next_sequence: u64,
    heads: JournalHeads,
    /// A write failed: what the disk holds is unknown.
    failed: bool,
}

impl Journal {
    /// Marks a log as given up, for good: it signs nothing any more. For a stopped server.
    pub fn retire(&mut self, origin: &str) -> Result<(), JournalError> {
        let origin_hash = origin_hash(origin);
        let nothing_signed = JournalHead {
            origin_hash,
            size: TreeSize::ZERO,
            root: Hash::EMPTY_ROOT,
            time_ms: 0,
            epoch: 0,
            retired: true,
        };
        let last = self.heads.get(&origin_hash).copied().unwrap_or(nothing_signed);
        self.append(&[JournalHead { retired: true, ..last }])
    }

    /// Whether `dir` holds a journal, or the beginning of one.
    pub fn exists(dir: &Path) -> Result<bool, JournalError> {
        Ok(open_if_there(&dir.join(SEGMENTS[0]), false)?.is_some()
            || open_if_there(&dir.join(SEGMENTS[1]), false)?.is_some())
    }

    /// Opens the journal in `dir`, and makes what is missing of one that holds no records.
    pub fn open(dir: &Path) -> Result<Self, JournalError> {
        durable::create_dir_all(dir, 0o700)?;
        let [first, second] = paths(dir);
        let files = open_pair([first, second])?;
        let records =
            [segment::read(&files[0].0, &files[0].1)?, segment::read(&files[1].0, &files[1].1)?];
        let newest = |records: &[Record]| records.last().map_or(0, |record| record.sequence);
        let active = usize::from(newest(&records[1]) > newest(&records[0]));
        let next_sequence = newest(&records[active]) + 1;
        for (path, file) in &files {
            segment::check_leftovers(path, file, next_sequence)?;
        }
        for (path, file) in &files {
            segment::clear_torn(path, file, next_sequence)?;
        }
        let slot = u64::try_from(records[active].len()).expect("a segment is far below 2^64 bytes");
        let mut heads = JournalHeads::new();
        let [first, second] = records;
        absorb(&mut heads, first.into_iter().chain(second).collect());
        Ok(Self { files, active, slot, next_sequence, heads, failed: false })
    }

    /// The newest head of every log.
    pub fn heads(&self) -> &JournalHeads {
        &self.heads
    }

    /// Writes one group of records and returns once it is durable: one write, one data sync. After an
    /// error nothing can be written before a restart.
    pub fn append(&mut self, heads: &[JournalHead]) -> Result<(), JournalError> {
        if self.failed {
            return Err(JournalError::Failed);
        }
        if heads.len() > HEADS_MAX {
            return Err(JournalError::TooManyHeads { heads: heads.len() });
        }
        if heads.is_empty() {
            return Ok(());
        }
        self.failed = true;
        self.write(heads)?;
        self.failed = false;
        self.heads.extend(heads.iter().map(|head| (head.origin_hash, *head)));
        Ok(())
    }

    /// What a failed write leaves.
    #[cfg(feature = "testing")]
    pub fn fail_from_now_on(&mut self) {
        self.failed = true;
    }

    fn write(&mut self, heads: &[JournalHead]) -> Result<(), JournalError> {
        let slots = SEGMENT_BYTES / u64::try_from(RECORD_BYTES).expect("a record is small");
        let count = u64::try_from(heads.len()).expect("a group is small");
        if self.slot + count > slots {
            return self.rotate(heads);
        }
        self.write_group(heads)
    }

    /// Goes on in the other segment, which then starts with the newest head of every log.
    fn rotate(&mut self, heads: &[JournalHead]) -> Result<(), JournalError> {
        let mut newest = self.heads.clone();
        newest.extend(heads.iter().map(|head| (head.origin_hash, *head)));
        let group: Vec<JournalHead> = newest.into_values().collect();
        if group.len() > HEADS_MAX {
            return Err(JournalError::TooManyHeads { heads: group.len() });
        }
        self.active = 1 - self.active;
        self.slot = 0;
        self.write_group(&group)
    }

    fn write_group(&mut self, heads: &[JournalHead]) -> Result<(), JournalError> {
        let mut bytes = Vec::with_capacity(heads.len() * RECORD_BYTES);
        for (group_position, head) in (0..).zip(heads) {
            let sequence = self.next_sequence + u64::from(group_position);
            bytes.extend(encode(&Record { sequence, group_position, head: *head }));
        }
        let (path, file) = &self.files[self.active];
        let at = self.slot * u64::try_from(RECORD_BYTES).expect("a record is small");
        let write = || {
            file.write_all_at(&bytes, at)?;
            file.sync_data()
        };
        write().map_err(|source| JournalError::io(path, source))?;
        let count = u64::try_from(heads.len()).expect("a group is small");
        self.slot += count;
        self.next_sequence += count;
        Ok(())
    }
}

fn paths(dir: &Path) -> [PathBuf; 2] {
    SEGMENTS.map(|name| dir.join(name))
}

fn absorb(heads: &mut JournalHeads, mut records: Vec<Record>) {
    records.sort_by_key(|record| record.sequence);
    for Record { head, .. } in records {
        let retired = heads.get(&head.origin_hash).is_some_and(|before| before.retired);
        heads.insert(head.origin_hash, JournalHead { retired: retired || head.retired, ..head });
    }
}

fn open_if_there(path: &Path, write: bool) -> Result<Option<File>, JournalError> {
    match OpenOptions::new().read(true).write(write).open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(JournalError::io(path, error)),
    }
}

/// Opens both segments, each locked against other processes. If one is missing or too short and the
/// other holds nothing, the first start was cut short: the segment is made anew.
fn open_pair([first, second]: [PathBuf; 2]) -> Result<[(PathBuf, File); 2], JournalError> {
    let (one, two) = (open_segment(&first)?, open_segment(&second)?);
    let holds = |path: &Path, file: &Option<File>| match file {
        Some(file) => segment::read(path, file).map(|records| !records.is_empty()),
        None => Ok(false),
    };
    let holds_any = holds(&first, &one)? || holds(&second, &two)?;
    let one = complete(&first, one, holds_any)?;
    let two = complete(&second, two, holds_any)?;
    Ok([(first, one), (second, two)])
}

fn open_segment(path: &Path) -> Result<Option<File>, JournalError> {
    let Some(file) = open_if_there(path, true)? else { return Ok(None) };
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(std::fs::TryLockError::WouldBlock) => {
            Err(JournalError::Locked { path: path.to_path_buf() })
        }
        Err(std::fs::TryLockError::Error(source)) => Err(JournalError::io(path, source)),
    }
}

fn complete(path: &Path, file: Option<File>, holds_any: bool) -> Result<File, JournalError> {
    let length = match &file {
        Some(file) => file.metadata().map_err(|source| JournalError::io(path, source))?.len(),
        None => 0,
    };
    match file {
        Some(file) if length >= SEGMENT_BYTES => return Ok(file),
        _ if holds_any => return Err(JournalError::SegmentMissing { path: path.to_path_buf() }),
        Some(_) => std::fs::remove_file(path).map_err(|source| JournalError::io(path, source))?,
        None => {}
    }
    drop(durable::create_preallocated(path, SEGMENT_BYTES, 0o600)?);
    let file = open_segment(path)?;
    file.ok_or_else(|| JournalError::io(path, io::ErrorKind::NotFound.into()))
}

#[cfg(test)]
mod tests;
