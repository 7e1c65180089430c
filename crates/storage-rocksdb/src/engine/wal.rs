//! The write-ahead log, read without RocksDB: where it is damaged, and which heads lie behind the damage.
//!
//! RocksDB says neither. Its error names no file, and from a bad record on it drops the rest of the
//! block. A file consists of blocks of 32 KiB. A record never crosses the end of a block, so a
//! batch is one record or several. If the rest of a block is too short for a header, it is zero:
//!
//! ```text
//! record   CRC-32C of kind and bytes, masked 4 ‖ length 2 ‖ kind 1 ‖ bytes
//! batch    sequence 8 ‖ count 4 ‖ (put or delete)…
//! put      05 ‖ family ‖ length ‖ key ‖ length ‖ value
//! delete   04 ‖ family ‖ length ‖ key
//! ```
//!
//! The integers of both are little-endian, those of a row are varints of at most 32 bits
//! (<https://github.com/facebook/rocksdb/wiki/Write-Ahead-Log-File-Format>). We read a record whose
//! checksum fails all the same, because its lengths are most likely right. Rows of heads and of
//! logs have checksums of their own, and we believe only rows whose checksum holds. Memory: one
//! block and one batch.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::engine_error;
use storage::keys::{self, Key};
use storage::{Family, LogId, LogRecord, StorageError, StoredHead};

const BLOCK_BYTES: usize = 32 * 1024;
const HEADER_BYTES: usize = 7;
/// Sequence and count.
const BATCH_HEADER_BYTES: usize = 12;
/// A row of a column family, the only kind that commits write.
const PUT: u8 = 5;
/// A deleted row: purging and forgetting an index write nothing else.
const DELETE: u8 = 4;

/// What was found in the write-ahead log.
#[derive(Debug, Default)]
pub struct Wal {
    /// The first bad record: its file, and where it begins.
    pub damage: Option<(PathBuf, u64)>,
    /// Bytes that could not be read as records; the other fields know nothing of what was in them.
    pub unread_bytes: u64,
    /// The largest head of each log, before and behind the damage.
    pub heads: BTreeMap<LogId, StoredHead>,
    /// Records of logs created or changed.
    pub records: BTreeMap<LogId, LogRecord>,
}

impl Wal {
    /// Reads every file of the write-ahead log in the store's folder, oldest first.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn read(db: &Path) -> Result<Self, StorageError> {
        let mut wal = Self::default();
        for path in files(db).map_err(|error| StorageError::io(db, error))? {
            wal.read_file(&path).map_err(|error| StorageError::io(&path, error))?;
        }
        Ok(wal)
    }

    fn read_file(&mut self, path: &Path) -> io::Result<()> {
        let mut file = File::open(path)?;
        let mut reader = Reader { wal: self, path, batch: None };
        let mut block = Vec::with_capacity(BLOCK_BYTES);
        let mut start = 0_u64;
        loop {
            block.clear();
            let limit = u64::try_from(BLOCK_BYTES).unwrap_or(u64::MAX);
            let read = file.by_ref().take(limit).read_to_end(&mut block)?;
            if read == 0 {
                return Ok(());
            }
            reader.block(&block, start);
            start += u64::try_from(read).unwrap_or(u64::MAX);
        }
    }

    fn unread(&mut self, bytes: usize) {
        self.unread_bytes += u64::try_from(bytes).unwrap_or(u64::MAX);
    }

    /// Notes the heads and records in a batch, as far as the batch can be read.
    fn batch(&mut self, batch: &[u8]) {
        let Some(mut rows) = batch.get(BATCH_HEADER_BYTES..) else {
            return self.unread(batch.len());
        };
        while !rows.is_empty() {
            let Some((key, value, rest)) = next_row(rows) else {
                return self.unread(rows.len());
            };
            self.row(key, value);
            rows = rest;
        }
    }

    fn row(&mut self, key: &[u8], value: &[u8]) {
        // Keys of other families have other lengths or tags.
        match keys::decode_key(Family::Meta, key) {
            Ok(Key::Head(log)) => {
                let Ok(head) = keys::decode_head(key, value) else { return };
                let largest = self.heads.entry(log).or_insert(head);
                if head.size > largest.size {
                    *largest = head;
                }
            }
            Ok(Key::Record(log)) => {
                if let Ok(record) = keys::decode_record(key, value) {
                    self.records.insert(log, record);
                }
            }
            _ => {}
        }
    }
}

/// Why a database did not open: names the damaged file, if it is one of the write-ahead log.
pub(super) fn not_opened(
    db: &Path,
    operation: &'static str,
    source: rocksdb::Error,
) -> StorageError {
    let source = engine_error(source);
    let damage =
        if source.is_corruption { Wal::read(db).ok().and_then(|wal| wal.damage) } else { None };
    match damage {
        Some((path, offset)) => StorageError::WalDamaged { path, offset, source },
        None => StorageError::Engine { operation, source },
    }
}

/// The files of the write-ahead log, `NUMBER.log`, by their numbers.
pub(super) fn files(db: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for file in db.read_dir()? {
        let path = file?.path();
        let number = path.file_stem().and_then(|stem| stem.to_str()?.parse::<u64>().ok());
        if let (Some(number), Some("log")) = (number, path.extension().and_then(|end| end.to_str()))
        {
            files.push((number, path));
        }
    }
    files.sort();
    Ok(files.into_iter().map(|(_, path)| path).collect())
}

struct Reader<'a> {
    wal: &'a mut Wal,
    path: &'a Path,
    /// The batch whose first part was read.
    batch: Option<Vec<u8>>,
}

impl Reader<'_> {
    fn block(&mut self, block: &[u8], start: u64) {
        let mut at = 0;
        while let Some(record) = block.get(at..).filter(|rest| rest.len() >= HEADER_BYTES) {
            let length = usize::from(u16::from_le_bytes([record[4], record[5]]));
            let (kind, end) = (record[6], HEADER_BYTES + length);
            if kind == 0 && length == 0 {
                // This part of the file was allocated and never written.
                return;
            }
            let Some(bytes) = record.get(HEADER_BYTES..end) else {
                // A crash leaves a record that is cut short at the end of the file.
                if block.len() == BLOCK_BYTES {
                    self.damaged(start, at);
                    self.wal.unread(record.len());
                }
                self.batch = None;
                return;
            };
            if checksum(&record[6..end]).to_le_bytes() != record[..4] {
                self.damaged(start, at);
            }
            if !self.part(kind, bytes) {
                self.wal.unread(record.len());
                return;
            }
            at += end;
        }
    }

    fn damaged(&mut self, start: u64, at: usize) {
        let path = self.path;
        let at = start + u64::try_from(at).unwrap_or(u64::MAX);
        self.wal.damage.get_or_insert_with(|| (path.to_path_buf(), at));
    }

    /// One record; false if its kind is unknown, because then its length means nothing either.
    fn part(&mut self, kind: u8, bytes: &[u8]) -> bool {
        match kind {
            1 => {
                self.batch = None;
                self.wal.batch(bytes);
            }
            2 => self.batch = Some(bytes.to_vec()),
            3 | 4 => match &mut self.batch {
                Some(batch) => batch.extend_from_slice(bytes),
                // The beginning of the batch was not read.
                None => self.wal.unread(bytes.len()),
            },
            // A record in which RocksDB describes the file itself.
            9..=11 | 128.. => {}
            _ => {
                self.batch = None;
                return false;
            }
        }
        if kind == 4
            && let Some(batch) = self.batch.take()
        {
            self.wal.batch(&batch);
        }
        true
    }
}

/// Key and value of the row at the front, and the bytes behind it. A deleted row has an empty
/// value.
fn next_row(rows: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let (kind, rows) = rows.split_first()?;
    let (_family, rows) = varint(rows)?;
    let (key, rows) = sized(rows)?;
    let (value, rows) = match *kind {
        PUT => sized(rows)?,
        DELETE => (&[][..], rows),
        _ => return None,
    };
    Some((key, value, rows))
}

fn sized(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, bytes) = varint(bytes)?;
    bytes.split_at_checked(usize::try_from(length).ok()?)
}

/// Seven bits a byte, the lowest first; the last byte is below 128.
fn varint(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let mut value = 0_u32;
    for (at, byte) in bytes.iter().enumerate().take(5) {
        let bits = u32::from(byte & 0x7f);
        value |= bits.checked_shl(7 * u32::try_from(at).ok()?)?;
        if *byte < 0x80 {
            return Some((value, &bytes[at + 1..]));
        }
    }
    None
}

/// CRC-32C, rotated and offset as RocksDB stores it.
fn checksum(bytes: &[u8]) -> u32 {
    let step = |crc: u32, byte: &u8| CRC_32C[usize::from(crc.to_le_bytes()[0] ^ byte)] ^ (crc >> 8);
    let crc = !bytes.iter().fold(u32::MAX, step);
    crc.rotate_right(15).wrapping_add(0xa282_ead8)
}

/// The remainders of all bytes by the polynomial of Castagnoli, bits reversed.
const CRC_32C: [u32; 256] = {
    let mut table = [0; 256];
    let mut byte = 0_u32;
    let mut at = 0;
    while at < 256 {
        let mut crc = byte;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0x82f6_3b78 } else { crc >> 1 };
            bit += 1;
        }
        table[at] = crc;
        at += 1;
        byte += 1;
    }
    table
};
