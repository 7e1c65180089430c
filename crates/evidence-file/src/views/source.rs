//! The bytes of a view that have been read and not yet compared.

use std::fmt;
use std::io::{self, Read};

use audit_event::evidence::manifest::FileFact;

use super::ROW_BYTES_MAX;
use crate::digest::Digesting;

/// Bytes read at a time, at the least.
const STEP: usize = 64 * 1024;

/// A reader with a window that grows to what one row needs.
pub(crate) struct Source {
    reader: Digesting<Box<dyn Read>>,
    bytes: Vec<u8>,
    /// How many of the bytes are done with.
    done: usize,
    is_ended: bool,
}

impl Source {
    pub(crate) fn new(reader: Box<dyn Read>) -> Self {
        Self { reader: Digesting::new(reader), bytes: Vec::new(), done: 0, is_ended: false }
    }

    /// The bytes that are there.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes[self.done..]
    }

    /// Is done with some of them.
    pub(crate) fn pass(&mut self, count: usize) {
        self.done = (self.done + count).min(self.bytes.len());
    }

    /// Reads as many bytes again as are there, and says whether there are more of them now.
    pub(crate) fn grow(&mut self) -> io::Result<bool> {
        self.bytes.drain(..self.done);
        self.done = 0;
        let before = self.bytes.len();
        if self.is_ended || before >= ROW_BYTES_MAX {
            return Ok(false);
        }
        let limit = u64::try_from(before.max(STEP)).unwrap_or(u64::MAX);
        let read = self.reader.by_ref().take(limit).read_to_end(&mut self.bytes)?;
        self.is_ended = read == 0;
        Ok(read > 0)
    }

    /// What the whole file was. Reads the rest.
    pub(crate) fn finish(mut self) -> io::Result<FileFact> {
        io::copy(&mut self.reader, &mut io::sink())?;
        Ok(self.reader.finish().0)
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source").field("bytes", &self.bytes().len()).finish_non_exhaustive()
    }
}
