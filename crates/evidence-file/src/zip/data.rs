//! The data of an entry, checked while it is read.

use std::fmt;
use std::io::{self, Read, Seek};

use flate2::{Decompress, FlushDecompress, Status};

use super::ZipError;
use super::directory::Entry;
use crate::section::{Section, SectionReader};

/// Bytes read of packed data at a time.
const STEP: usize = 64 * 1024;

/// Reads an entry. What is wrong with its data is an error whose source is a [`ZipError`], at the
/// latest where the data ends: who reads to the end has checked size and checksum.
pub struct EntryReader<R> {
    name: String,
    data: Data<R>,
    /// Bytes of the unpacked data that are still to come.
    left: u64,
    crc: u32,
    hasher: crc32fast::Hasher,
    is_checked: bool,
}

enum Data<R> {
    Stored(SectionReader<R>),
    Deflated(Inflate<R>),
}

impl<R: Read + Seek> EntryReader<R> {
    pub(super) fn new(packed: &Section<R>, entry: &Entry) -> Self {
        let data = if entry.is_deflated {
            Data::Deflated(Inflate::new(packed.reader()))
        } else {
            Data::Stored(packed.reader())
        };
        Self {
            name: entry.name.clone(),
            data,
            left: entry.size,
            crc: entry.crc,
            hasher: crc32fast::Hasher::new(),
            is_checked: false,
        }
    }

    fn check(&mut self) -> io::Result<()> {
        let ends = match &mut self.data {
            Data::Stored(_) => true,
            Data::Deflated(inflate) => inflate.ends()?,
        };
        let name = || self.name.clone();
        if !ends {
            return Err(io::Error::other(ZipError::Size { name: name() }));
        }
        if self.hasher.clone().finalize() != self.crc {
            return Err(io::Error::other(ZipError::Checksum { name: name() }));
        }
        self.is_checked = true;
        Ok(())
    }
}

impl<R: Read + Seek> Read for EntryReader<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if out.is_empty() || self.is_checked {
            return Ok(0);
        }
        if self.left == 0 {
            return self.check().map(|()| 0);
        }
        let wanted = usize::try_from(self.left).map_or(out.len(), |left| left.min(out.len()));
        let out = &mut out[..wanted];
        let read = match &mut self.data {
            Data::Stored(data) => data.read(out)?,
            Data::Deflated(data) => data.read(out)?,
        };
        if read == 0 {
            return Err(io::Error::other(ZipError::Size { name: self.name.clone() }));
        }
        self.hasher.update(&out[..read]);
        self.left -= u64::try_from(read).unwrap_or(self.left);
        Ok(read)
    }
}

impl<R> fmt::Debug for EntryReader<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EntryReader").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Unpacks as much as is asked for. A stream that is damaged, or that does not end, gives no bytes.
struct Inflate<R> {
    packed: SectionReader<R>,
    buffer: Vec<u8>,
    /// What of the buffer is still to be unpacked.
    rest: std::ops::Range<usize>,
    stream: Decompress,
    is_ended: bool,
}

impl<R: Read + Seek> Inflate<R> {
    fn new(packed: SectionReader<R>) -> Self {
        let stream = Decompress::new(false);
        Self { packed, buffer: vec![0; STEP], rest: 0..0, stream, is_ended: false }
    }

    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while !self.is_ended {
            if self.rest.is_empty() {
                self.rest = 0..self.packed.read(&mut self.buffer)?;
            }
            let is_last = self.rest.is_empty();
            let before = (self.stream.total_in(), self.stream.total_out());
            let flush = if is_last { FlushDecompress::Finish } else { FlushDecompress::None };
            let status = self.stream.decompress(&self.buffer[self.rest.clone()], out, flush);
            let taken = usize::try_from(self.stream.total_in() - before.0).unwrap_or(0);
            let given = usize::try_from(self.stream.total_out() - before.1).unwrap_or(0);
            self.rest.start += taken;
            self.is_ended = matches!(status, Ok(Status::StreamEnd));
            let is_stuck = taken == 0 && given == 0 && !self.is_ended;
            if given > 0 || status.is_err() || is_stuck {
                return Ok(given);
            }
        }
        Ok(0)
    }

    /// Whether the stream ends here, and with it the packed data.
    fn ends(&mut self) -> io::Result<bool> {
        let more = self.read(&mut [0])?;
        let is_last = self.rest.is_empty() && self.packed.read(&mut [0])? == 0;
        Ok(more == 0 && self.is_ended && is_last)
    }
}
