//! The folder that a part is to tantivy: the files of a [`Pack`], read only.

use std::fmt;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tantivy::HasLen;
use tantivy::directory::error::{DeleteError, OpenReadError, OpenWriteError};
use tantivy::directory::{Directory, FileHandle, OwnedBytes, WatchCallback, WatchHandle, WritePtr};

use crate::pack::{BLOCK_BYTES, BLOCK_LENGTH, Pack};

/// The files of a part.
#[derive(Clone, Debug)]
pub(crate) struct PackDirectory(pub(crate) Arc<Pack>);

/// One file of a part.
struct PackFile {
    pack: Arc<Pack>,
    /// Where it begins in the data of the part.
    start: u64,
    length: usize,
}

impl fmt::Debug for PackFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PackFile").field("length", &self.length).finish_non_exhaustive()
    }
}

impl HasLen for PackFile {
    fn len(&self) -> usize {
        self.length
    }
}

impl FileHandle for PackFile {
    fn read_bytes(&self, range: Range<usize>) -> io::Result<OwnedBytes> {
        let invalid = || io::Error::new(io::ErrorKind::InvalidInput, "beyond the end of a file");
        if range.start > range.end || range.end > self.length {
            return Err(invalid());
        }
        if range.is_empty() {
            return Ok(OwnedBytes::empty());
        }
        let start = self.start + u64::try_from(range.start).map_err(|_| invalid())?;
        let mut number = start / BLOCK_LENGTH;
        let mut at = usize::try_from(start % BLOCK_LENGTH).map_err(|_| invalid())?;
        if at + range.len() <= BLOCK_BYTES {
            let block = OwnedBytes::new(self.pack.block(number)?);
            return Ok(block.slice(at..at + range.len()));
        }
        let mut found = Vec::with_capacity(range.len());
        while found.len() < range.len() {
            let block = self.pack.block(number)?;
            let rest = block.get(at..).ok_or_else(invalid)?;
            found.extend_from_slice(&rest[..rest.len().min(range.len() - found.len())]);
            (number, at) = (number + 1, 0);
        }
        Ok(OwnedBytes::new(found))
    }
}

impl PackDirectory {
    fn handle(&self, path: &Path) -> Result<PackFile, OpenReadError> {
        let missing = || OpenReadError::FileDoesNotExist(path.to_owned());
        let range = path.to_str().and_then(|name| self.0.file(name)).ok_or_else(missing)?;
        let length = usize::try_from(range.end - range.start).map_err(|_| missing())?;
        Ok(PackFile { pack: Arc::clone(&self.0), start: range.start, length })
    }
}

fn read_only() -> io::Error {
    io::Error::new(io::ErrorKind::ReadOnlyFilesystem, "a part is written once")
}

impl Directory for PackDirectory {
    fn get_file_handle(&self, path: &Path) -> Result<Arc<dyn FileHandle>, OpenReadError> {
        Ok(Arc::new(self.handle(path)?))
    }

    fn delete(&self, path: &Path) -> Result<(), DeleteError> {
        let filepath = path.to_owned();
        Err(DeleteError::IoError { io_error: Arc::new(read_only()), filepath })
    }

    fn exists(&self, path: &Path) -> Result<bool, OpenReadError> {
        Ok(path.to_str().is_some_and(|name| self.0.file(name).is_some()))
    }

    fn open_write(&self, path: &Path) -> Result<WritePtr, OpenWriteError> {
        Err(OpenWriteError::wrap_io_error(read_only(), PathBuf::from(path)))
    }

    fn atomic_read(&self, path: &Path) -> Result<Vec<u8>, OpenReadError> {
        let file = self.handle(path)?;
        let bytes = file.read_bytes(0..file.length);
        let bytes = bytes.map_err(|it| OpenReadError::wrap_io_error(it, PathBuf::from(path)))?;
        Ok(bytes.to_vec())
    }

    fn atomic_write(&self, _path: &Path, _data: &[u8]) -> io::Result<()> {
        Err(read_only())
    }

    fn sync_directory(&self) -> io::Result<()> {
        Ok(())
    }

    fn watch(&self, _callback: WatchCallback) -> tantivy::Result<WatchHandle> {
        Ok(WatchHandle::empty())
    }
}
