//! Length and SHA-256 of what passes through.

use std::io::{self, Read, Write};

use audit_event::evidence::manifest::FileFact;
use sha2::{Digest as _, Sha256};

/// A reader or writer that counts and hashes the bytes that it passes on.
#[derive(Debug)]
pub(crate) struct Digesting<T> {
    inner: T,
    sha256: Sha256,
    bytes: u64,
}

impl<T> Digesting<T> {
    pub(crate) fn new(inner: T) -> Self {
        Self { inner, sha256: Sha256::new(), bytes: 0 }
    }

    /// What has passed through, and what it passed through to.
    pub(crate) fn finish(self) -> (FileFact, T) {
        (FileFact { bytes: self.bytes, sha256: self.sha256.finalize().into() }, self.inner)
    }

    /// Counts and hashes bytes that went another way.
    pub(crate) fn pass(&mut self, bytes: &[u8]) {
        self.sha256.update(bytes);
        self.bytes += u64::try_from(bytes.len()).unwrap_or(0);
    }
}

impl<T: Read> Read for Digesting<T> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(out)?;
        self.pass(&out[..read]);
        Ok(read)
    }
}

impl<T: Write> Write for Digesting<T> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.pass(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// What a manifest says of these bytes.
pub(crate) fn fact_of(bytes: &[u8]) -> FileFact {
    let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    FileFact { bytes: length, sha256: Sha256::digest(bytes).into() }
}

/// Reads to the end, and says what was read.
pub(crate) fn read_through(reader: impl Read) -> io::Result<FileFact> {
    let mut reader = Digesting::new(reader);
    io::copy(&mut reader, &mut io::sink())?;
    Ok(reader.finish().0)
}
