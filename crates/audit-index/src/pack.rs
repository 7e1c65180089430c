//! A part of an index on disk: one file, written once, every block of it with a checksum.
//!
//! ```text
//! data      the files of the part one after the other, in blocks of 32 KiB, the last one shorter
//! table     version u32 ‖ start u64 ‖ end u64 ‖ last leaf hash 32 ‖ n u32
//!           ‖ n × ( u16 length of name ‖ name ‖ offset u64 ‖ length u64 ) ‖ CRC-32 of each block u32
//! footer    length of data u64 ‖ length of table u64 ‖ CRC-32 of table u32 ‖ "CAIX"
//! ```
//!
//! Big-endian. Read with `pread` into memory, never mapped: a file that shrinks is an error and not a
//! signal. Every block is compared with its checksum whenever it is read from the disk. What does not
//! match is damage, and the index is built anew.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use merkle::Hash;
use quick_cache::sync::Cache;

/// Bytes of a block.
pub(crate) const BLOCK_BYTES: usize = 32 * 1024;
/// Bytes of a block, as a place in a file.
pub(crate) const BLOCK_LENGTH: u64 = 32 * 1024;
/// Bytes of the footer.
const FOOTER_BYTES: usize = 24;
const FOOTER_LENGTH: u64 = 24;
const MAGIC: &[u8; 4] = b"CAIX";
/// A table of more bytes is damage: one of a part of 4 GiB has 512 KiB.
const TABLE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Blocks that a cache has room for at least.
const BLOCKS_MIN: usize = 64;

/// Blocks of parts in memory, checked, within a bound over all logs of a server.
pub(crate) type Blocks = Cache<(u64, u64), Arc<[u8]>>;

/// A cache of blocks within so many bytes.
pub(crate) fn blocks(bytes_max: usize) -> Arc<Blocks> {
    Arc::new(Cache::new((bytes_max / BLOCK_BYTES).max(BLOCKS_MIN)))
}

/// Why a part cannot be read. Each is a reason to build it anew.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PackError {
    #[error("cannot be read: {0}")]
    Io(#[from] io::Error),
    #[error("{0} does not match its checksum or its form")]
    Damaged(&'static str),
}

/// What a part covers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Head {
    /// The version of what it holds.
    pub(crate) version: u32,
    /// The indexes of its events.
    pub(crate) range: Range<u64>,
    /// The leaf hash of the last of them: another history of a log has another one.
    pub(crate) last_leaf: Hash,
}

/// The bytes of a part that holds these files.
pub(crate) fn write(head: &Head, files: &[(String, Vec<u8>)]) -> Vec<u8> {
    let length = |bytes: usize| u64::try_from(bytes).expect("a length fits 64 bits");
    let mut out = Vec::with_capacity(files.iter().map(|(_, it)| it.len()).sum::<usize>() + 4096);
    let mut table = Vec::new();
    table.extend_from_slice(&head.version.to_be_bytes());
    table.extend_from_slice(&head.range.start.to_be_bytes());
    table.extend_from_slice(&head.range.end.to_be_bytes());
    table.extend_from_slice(head.last_leaf.as_bytes());
    let count = u32::try_from(files.len()).expect("a part has a few files");
    table.extend_from_slice(&count.to_be_bytes());
    for (name, bytes) in files {
        let name_length = u16::try_from(name.len()).expect("names of files are short");
        table.extend_from_slice(&name_length.to_be_bytes());
        table.extend_from_slice(name.as_bytes());
        table.extend_from_slice(&length(out.len()).to_be_bytes());
        table.extend_from_slice(&length(bytes.len()).to_be_bytes());
        out.extend_from_slice(bytes);
    }
    let data_length = length(out.len());
    for block in out.chunks(BLOCK_BYTES) {
        table.extend_from_slice(&crc32fast::hash(block).to_be_bytes());
    }
    out.extend_from_slice(&table);
    out.extend_from_slice(&data_length.to_be_bytes());
    out.extend_from_slice(&length(table.len()).to_be_bytes());
    out.extend_from_slice(&crc32fast::hash(&table).to_be_bytes());
    out.extend_from_slice(MAGIC);
    out
}

/// An open part.
pub(crate) struct Pack {
    file: File,
    /// Tells its blocks from those of other parts, also of one that had its name before.
    id: u64,
    head: Head,
    files: Vec<(String, Range<u64>)>,
    checksums: Vec<u32>,
    data_length: u64,
    blocks: Arc<Blocks>,
}

impl std::fmt::Debug for Pack {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pack").field("head", &self.head).finish_non_exhaustive()
    }
}

impl Pack {
    /// Opens a part: its table is read and checked, its data are not.
    pub(crate) fn open(path: &Path, blocks: Arc<Blocks>) -> Result<Self, PackError> {
        static NEXT_ID: AtomicU64 = AtomicU64::new(0);

        let file = File::open(path)?;
        let length = file.metadata()?.len();
        let mut footer = [0; FOOTER_BYTES];
        let at = length.checked_sub(FOOTER_LENGTH).ok_or(PackError::Damaged("length"))?;
        file.read_exact_at(&mut footer, at)?;
        let mut reader = Reader(&footer);
        let (data_length, table_length) = (reader.u64()?, reader.u64()?);
        let checksum = reader.u32()?;
        if reader.0 != MAGIC {
            return Err(PackError::Damaged("footer"));
        }
        let adds_up = data_length.checked_add(table_length) == Some(at);
        let table_length = usize::try_from(table_length).ok().filter(|it| *it <= TABLE_BYTES_MAX);
        let table_length = table_length.filter(|_| adds_up).ok_or(PackError::Damaged("footer"))?;
        let mut table = vec![0; table_length];
        file.read_exact_at(&mut table, data_length)?;
        if crc32fast::hash(&table) != checksum {
            return Err(PackError::Damaged("table"));
        }
        let mut reader = Reader(&table);
        let head = reader.head()?;
        let files = reader.files(data_length)?;
        let checksums = reader.checksums(data_length)?;
        let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
        Ok(Self { file, id, head, files, checksums, data_length, blocks })
    }

    pub(crate) fn head(&self) -> &Head {
        &self.head
    }

    /// Where a file lies in the data.
    pub(crate) fn file(&self, name: &str) -> Option<Range<u64>> {
        self.files.iter().find(|(found, _)| found == name).map(|(_, range)| range.clone())
    }

    /// The block of a number, from memory or from the disk.
    pub(crate) fn block(&self, number: u64) -> io::Result<Arc<[u8]>> {
        let key = (self.id, number);
        if let Some(block) = self.blocks.get(&key) {
            return Ok(block);
        }
        let block: Arc<[u8]> = self.read_block(number)?.into();
        self.blocks.insert(key, Arc::clone(&block));
        Ok(block)
    }

    fn read_block(&self, number: u64) -> io::Result<Vec<u8>> {
        let damaged = || io::Error::new(io::ErrorKind::InvalidData, "a block is damaged");
        let start = number.checked_mul(BLOCK_LENGTH).filter(|it| *it < self.data_length);
        let start = start.ok_or_else(damaged)?;
        let length = usize::try_from((self.data_length - start).min(BLOCK_LENGTH));
        let mut block = vec![0; length.map_err(|_| damaged())?];
        self.file.read_exact_at(&mut block, start)?;
        let wanted = usize::try_from(number).ok().and_then(|it| self.checksums.get(it));
        if wanted == Some(&crc32fast::hash(&block)) { Ok(block) } else { Err(damaged()) }
    }

    /// Compares every block on the disk with its checksum.
    #[cfg(test)]
    pub(crate) fn check(&self) -> io::Result<()> {
        (0..self.data_length.div_ceil(BLOCK_LENGTH))
            .try_for_each(|it| self.read_block(it).map(drop))
    }
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn bytes<const N: usize>(&mut self) -> Result<[u8; N], PackError> {
        let (bytes, rest) = self.0.split_first_chunk().ok_or(PackError::Damaged("table"))?;
        self.0 = rest;
        Ok(*bytes)
    }

    fn u64(&mut self) -> Result<u64, PackError> {
        Ok(u64::from_be_bytes(self.bytes()?))
    }

    fn u32(&mut self) -> Result<u32, PackError> {
        Ok(u32::from_be_bytes(self.bytes()?))
    }

    fn head(&mut self) -> Result<Head, PackError> {
        let version = self.u32()?;
        let range = self.u64()?..self.u64()?;
        let last_leaf = Hash::from(self.bytes::<32>()?);
        Ok(Head { version, range, last_leaf })
    }

    fn files(&mut self, data_length: u64) -> Result<Vec<(String, Range<u64>)>, PackError> {
        let damaged = || PackError::Damaged("table");
        let count = self.u32()?;
        let mut files = Vec::new();
        for _ in 0..count {
            let length = usize::from(u16::from_be_bytes(self.bytes()?));
            let (name, rest) = self.0.split_at_checked(length).ok_or_else(damaged)?;
            self.0 = rest;
            let name = std::str::from_utf8(name).map_err(|_| damaged())?.to_owned();
            let start = self.u64()?;
            let end = start.checked_add(self.u64()?).filter(|end| *end <= data_length);
            files.push((name, start..end.ok_or_else(damaged)?));
        }
        Ok(files)
    }

    /// The checksums, which end the table.
    fn checksums(&mut self, data_length: u64) -> Result<Vec<u32>, PackError> {
        let (chunks, rest) = self.0.as_chunks::<4>();
        let blocks = usize::try_from(data_length.div_ceil(BLOCK_LENGTH)).ok();
        if !rest.is_empty() || blocks != Some(chunks.len()) {
            return Err(PackError::Damaged("table"));
        }
        Ok(chunks.iter().map(|chunk| u32::from_be_bytes(*chunk)).collect())
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "tests damage files")]
mod tests {
    use super::*;

    fn head() -> Head {
        Head { version: 1, range: 5..9, last_leaf: Hash::from([7; 32]) }
    }

    fn files() -> Vec<(String, Vec<u8>)> {
        let long: Vec<u8> = (0..100_000_u32).flat_map(u32::to_be_bytes).collect();
        vec![("a".to_owned(), vec![1, 2, 3]), ("b".to_owned(), long), ("c".to_owned(), vec![])]
    }

    fn opened(bytes: &[u8]) -> Result<Pack, PackError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("part");
        std::fs::write(&path, bytes).unwrap();
        Pack::open(&path, blocks(0))
    }

    #[test]
    fn what_was_written_is_read() {
        let bytes = write(&head(), &files());
        let pack = opened(&bytes).unwrap();
        assert_eq!(*pack.head(), head());
        for (name, content) in files() {
            let range = pack.file(&name).unwrap();
            assert_eq!(range.end - range.start, u64::try_from(content.len()).unwrap());
        }
        assert_eq!(pack.file("d"), None);
        assert_eq!(pack.block(0).unwrap()[..4], [1, 2, 3, 0]);
        assert_eq!(pack.block(0).unwrap().len(), BLOCK_BYTES);
        pack.check().unwrap();
        assert!(pack.block(13).is_err());
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_found() {
        let bytes = write(&head(), &files());
        let table = bytes.len() - 300;
        let places = (0..bytes.len()).filter(|at| at % 9_973 == 0 || *at > table);
        for at in places {
            let mut other = bytes.clone();
            other[at] ^= 1 << (at % 8);
            let found = opened(&other).and_then(|pack| Ok(pack.check()?));
            assert!(found.is_err(), "{at}");
            let found = opened(&bytes[..at]).and_then(|pack| Ok(pack.check()?));
            assert!(found.is_err(), "{at}");
        }
        assert!(opened(&[&bytes[..], &[0]].concat()).is_err());
    }

    #[test]
    fn a_file_that_shrinks_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("part");
        std::fs::write(&path, write(&head(), &files())).unwrap();
        let pack = Pack::open(&path, blocks(0)).unwrap();
        let file = File::options().write(true).open(&path).unwrap();
        file.set_len(40_000).unwrap();
        pack.block(0).unwrap();
        assert!(pack.block(1).is_err() && pack.block(5).is_err());
    }
}
