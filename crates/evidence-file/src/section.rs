//! A part of a file that several readers read, each at its own place.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use parquet::errors::ParquetError;
use parquet::file::reader::{ChunkReader, Length};

/// Some bytes of a file. Clones share the file; its position belongs to nobody.
#[derive(Debug)]
pub(crate) struct Section<R> {
    source: Arc<Mutex<R>>,
    start: u64,
    bytes: u64,
}

impl<R> Clone for Section<R> {
    fn clone(&self) -> Self {
        Self { source: Arc::clone(&self.source), ..*self }
    }
}

impl<R: Read + Seek> Section<R> {
    /// All of a file.
    pub(crate) fn whole(mut source: R) -> io::Result<Self> {
        let bytes = source.seek(SeekFrom::End(0))?;
        Ok(Self { source: Arc::new(Mutex::new(source)), start: 0, bytes })
    }

    /// A part of this section, which ends where this one does at the latest.
    pub(crate) fn part(&self, start: u64, bytes: u64) -> Self {
        let start = start.min(self.bytes);
        let bytes = bytes.min(self.bytes - start);
        Self { source: Arc::clone(&self.source), start: self.start + start, bytes }
    }

    /// How many bytes it has.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Fills `out` from the bytes at `at`.
    pub(crate) fn read_exact_at(&self, at: u64, out: &mut [u8]) -> io::Result<()> {
        self.reader_at(at).read_exact(out)
    }

    /// A reader of its own, from the first byte on.
    pub(crate) fn reader(&self) -> SectionReader<R> {
        self.reader_at(0)
    }

    fn reader_at(&self, at: u64) -> SectionReader<R> {
        SectionReader { section: self.clone(), at }
    }

    fn read_at(&self, at: u64, out: &mut [u8]) -> io::Result<usize> {
        let left = self.bytes.saturating_sub(at);
        let wanted = usize::try_from(left).map_or(out.len(), |left| left.min(out.len()));
        if wanted == 0 {
            return Ok(0);
        }
        let mut source = self.source.lock().unwrap_or_else(PoisonError::into_inner);
        source.seek(SeekFrom::Start(self.start + at))?;
        match source.read(&mut out[..wanted])? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()), // the file shrank meanwhile
            read => Ok(read),
        }
    }
}

/// Reads a section from some place on.
#[derive(Debug)]
pub(crate) struct SectionReader<R> {
    section: Section<R>,
    at: u64,
}

impl<R: Read + Seek> Read for SectionReader<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let read = self.section.read_at(self.at, out)?;
        self.at += u64::try_from(read).unwrap_or(0);
        Ok(read)
    }
}

impl Length for Section<File> {
    fn len(&self) -> u64 {
        self.bytes
    }
}

impl ChunkReader for Section<File> {
    type T = SectionReader<File>;

    fn get_read(&self, start: u64) -> Result<Self::T, ParquetError> {
        Ok(self.reader_at(start))
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        let end = u64::try_from(length).ok().and_then(|length| start.checked_add(length));
        if end.is_none_or(|end| end > self.bytes) {
            return Err(ParquetError::EOF("a range goes beyond the end".to_owned()));
        }
        let mut bytes = vec![0; length];
        self.read_exact_at(start, &mut bytes)?;
        Ok(bytes.into())
    }
}
