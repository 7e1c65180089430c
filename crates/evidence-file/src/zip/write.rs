//! Writing an archive entry by entry, in bounded memory. The same entries always give the same bytes:
//! there are no times in it.

use std::io::{self, Seek, SeekFrom, Write};

use flate2::Compression;
use flate2::write::DeflateEncoder;

use super::{CENTRAL, END, END_64, END_64_BYTES, LOCAL, LOCATOR_64, ZIP64};

/// 1980-01-01, the first date that there is, at midnight.
const NO_TIME: u32 = 0x0021_0000;

/// Made on Unix, whose attributes say that an entry is a file anybody may read.
const MADE_BY: u16 = 0x032d;
const REGULAR_FILE: u32 = 0o100_644 << 16;

/// Versions that a reader needs.
const NEEDS_DEFLATE: u16 = 20;
const NEEDS_ZIP64: u16 = 45;

/// Packed bytes held before they go on.
const PACKED_MAX: usize = 64 * 1024;

/// An entry of more unpacked bytes is written so that its sizes fit, whatever it packs to.
const SMALL_MAX: u64 = 0xf000_0000;

/// How the data of an entry is packed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Method {
    /// Not at all.
    #[default]
    Stored,
    /// By deflate.
    Deflated,
}

/// Why an archive cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum ZipWriteError {
    /// The system does not take it.
    #[error("the archive cannot be written")]
    Io(#[from] io::Error),
    /// An entry has more bytes than were announced.
    #[error("the entry {name:?} has more bytes than were announced")]
    Announced {
        /// Its name.
        name: String,
    },
}

/// Writes entries one after the other; what is written goes to the entry that was started last.
#[derive(Debug)]
pub struct ZipWriter<W: Write + Seek> {
    out: W,
    /// Where the next byte goes.
    at: u64,
    open: Option<Open>,
    written: Vec<Written>,
}

/// The entry that is being written.
#[derive(Debug)]
struct Open {
    name: String,
    offset: u64,
    is_large: bool,
    size: u64,
    crc: crc32fast::Hasher,
    packer: Option<DeflateEncoder<Vec<u8>>>,
}

/// An entry that was written.
#[derive(Debug)]
struct Written {
    name: String,
    is_deflated: bool,
    is_large: bool,
    crc: u32,
    packed: u64,
    size: u64,
    offset: u64,
}

impl<W: Write + Seek> ZipWriter<W> {
    /// An archive that begins where `out` stands, at byte 0.
    pub fn new(out: W) -> Self {
        Self { out, at: 0, open: None, written: Vec::new() }
    }

    /// Ends the entry before, and starts one of at most so many bytes.
    pub fn start(
        &mut self,
        name: &str,
        method: Method,
        bytes_max: u64,
    ) -> Result<(), ZipWriteError> {
        self.end()?;
        let is_large = bytes_max > SMALL_MAX;
        let is_deflated = method == Method::Deflated;
        let entry = Written {
            name: name.to_owned(),
            is_deflated,
            is_large,
            crc: 0,
            packed: 0,
            size: 0,
            offset: self.at,
        };
        self.put(&local(&entry))?;
        self.open = Some(Open {
            name: entry.name,
            offset: entry.offset,
            is_large,
            size: 0,
            crc: crc32fast::Hasher::new(),
            packer: is_deflated.then(|| DeflateEncoder::new(Vec::new(), Compression::default())),
        });
        Ok(())
    }

    /// Ends the archive, and gives back what it was written to.
    pub fn finish(mut self) -> Result<W, ZipWriteError> {
        self.end()?;
        let start = self.at;
        let written = std::mem::take(&mut self.written);
        for entry in &written {
            self.put(&central(entry))?;
        }
        let count = u64::try_from(written.len()).unwrap_or(u64::MAX);
        let ends = end(count, start, self.at - start);
        self.put(&ends)?;
        self.out.flush()?;
        Ok(self.out)
    }

    /// Ends the entry that is open: its local header is written again, now that sizes and checksum are
    /// known.
    fn end(&mut self) -> Result<(), ZipWriteError> {
        let Some(open) = self.open.take() else { return Ok(()) };
        let is_deflated = open.packer.is_some();
        if let Some(packer) = open.packer {
            let rest = packer.finish()?;
            self.put(&rest)?;
        }
        let header_bytes = u64::try_from(local_bytes(&open.name, open.is_large)).unwrap_or(0);
        let entry = Written {
            name: open.name,
            is_deflated,
            is_large: open.is_large,
            crc: open.crc.finalize(),
            packed: self.at - open.offset - header_bytes,
            size: open.size,
            offset: open.offset,
        };
        let fits = entry.size.max(entry.packed) < u32::MAX.into();
        if !fits && !entry.is_large {
            return Err(ZipWriteError::Announced { name: entry.name });
        }
        self.out.seek(SeekFrom::Start(entry.offset))?;
        self.out.write_all(&local(&entry))?;
        self.out.seek(SeekFrom::Start(self.at))?;
        self.written.push(entry);
        Ok(())
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.out.write_all(bytes)?;
        self.at += u64::try_from(bytes.len()).unwrap_or(0);
        Ok(())
    }
}

impl<W: Write + Seek> Write for ZipWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some(mut open) = self.open.take() else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        open.crc.update(bytes);
        open.size += u64::try_from(bytes.len()).unwrap_or(0);
        match &mut open.packer {
            None => self.put(bytes)?,
            Some(packer) => {
                packer.write_all(bytes)?;
                if packer.get_ref().len() >= PACKED_MAX {
                    let full = std::mem::take(packer.get_mut());
                    self.put(&full)?;
                }
            }
        }
        self.open = Some(open);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

fn local_bytes(name: &str, is_large: bool) -> usize {
    30 + name.len() + if is_large { 20 } else { 0 }
}

/// What a 32-bit field holds of a size: all ones where the ZIP64 field holds it.
fn small(size: u64, is_large: bool) -> u32 {
    u32::try_from(size).ok().filter(|_| !is_large).unwrap_or(u32::MAX)
}

fn put_16(out: &mut Vec<u8>, values: &[u16]) {
    for value in values {
        out.extend_from_slice(&value.to_le_bytes());
    }
}

fn put_32(out: &mut Vec<u8>, values: &[u32]) {
    for value in values {
        out.extend_from_slice(&value.to_le_bytes());
    }
}

fn put_64(out: &mut Vec<u8>, values: &[u64]) {
    for value in values {
        out.extend_from_slice(&value.to_le_bytes());
    }
}

/// Lengths that a writer of known names cannot exceed.
fn short(length: usize) -> u16 {
    u16::try_from(length).unwrap_or(u16::MAX)
}

fn versions_and_method(entry: &Written, is_large: bool) -> [u16; 3] {
    let version = if is_large { NEEDS_ZIP64 } else { NEEDS_DEFLATE };
    [version, 0, if entry.is_deflated { 8 } else { 0 }]
}

fn local(entry: &Written) -> Vec<u8> {
    let is_large = entry.is_large;
    let mut out = Vec::with_capacity(local_bytes(&entry.name, is_large));
    put_32(&mut out, &[LOCAL]);
    put_16(&mut out, &versions_and_method(entry, is_large));
    let sizes = [small(entry.packed, is_large), small(entry.size, is_large)];
    put_32(&mut out, &[NO_TIME, entry.crc, sizes[0], sizes[1]]);
    put_16(&mut out, &[short(entry.name.len()), if is_large { 20 } else { 0 }]);
    out.extend_from_slice(entry.name.as_bytes());
    if is_large {
        put_16(&mut out, &[ZIP64, 16]);
        put_64(&mut out, &[entry.size, entry.packed]);
    }
    out
}

fn central(entry: &Written) -> Vec<u8> {
    let is_beyond = |value: u64| value >= u32::MAX.into();
    let places = [entry.size, entry.packed, entry.offset];
    let large: Vec<u64> = places.into_iter().filter(|it| is_beyond(*it)).collect();
    let is_large = entry.is_large || !large.is_empty();
    let extra = if large.is_empty() { 0 } else { 4 + large.len() * 8 };
    let mut out = Vec::new();
    put_32(&mut out, &[CENTRAL]);
    put_16(&mut out, &[MADE_BY]);
    put_16(&mut out, &versions_and_method(entry, is_large));
    put_32(&mut out, &[NO_TIME, entry.crc, small(entry.packed, false), small(entry.size, false)]);
    put_16(&mut out, &[short(entry.name.len()), short(extra), 0, 0, 0]);
    put_32(&mut out, &[REGULAR_FILE, small(entry.offset, false)]);
    out.extend_from_slice(entry.name.as_bytes());
    if !large.is_empty() {
        put_16(&mut out, &[ZIP64, short(large.len() * 8)]);
        put_64(&mut out, &large);
    }
    out
}

/// The records behind a directory.
fn end(count: u64, start: u64, size: u64) -> Vec<u8> {
    let mut out = Vec::new();
    let is_large = start >= u32::MAX.into() || size >= u32::MAX.into();
    if is_large {
        put_32(&mut out, &[END_64]);
        put_64(&mut out, &[END_64_BYTES - 12]);
        put_16(&mut out, &[MADE_BY, NEEDS_ZIP64]);
        put_32(&mut out, &[0, 0]);
        put_64(&mut out, &[count, count, size, start]);
        put_32(&mut out, &[LOCATOR_64, 0]);
        put_64(&mut out, &[start + size]);
        put_32(&mut out, &[1]);
    }
    let count = u16::try_from(count).unwrap_or(u16::MAX);
    put_32(&mut out, &[END]);
    put_16(&mut out, &[0, 0, count, count]);
    put_32(&mut out, &[small(size, false), small(start, false)]);
    put_16(&mut out, &[0]);
    out
}

#[cfg(test)]
pub(super) fn central_of(name: &str, packed: u64, size: u64, offset: u64) -> Vec<u8> {
    let name = name.to_owned();
    central(&Written { name, is_deflated: true, is_large: false, crc: 0, packed, size, offset })
}
