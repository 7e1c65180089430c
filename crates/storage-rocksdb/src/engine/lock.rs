//! Keeps other processes out of a store while we read it.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;

use rustix::fs::{FlockOperation, fcntl_lock};

use super::RocksEngine;
use storage::StorageError;

/// The lock RocksDB takes when it opens a database to write, held without opening it: a read-only open
/// takes none. Released when dropped.
#[derive(Debug)]
pub struct StoreLock {
    /// `None` if the disk is mounted read-only and has no lock file: nobody ever wrote to the
    /// store.
    _file: Option<File>,
}

impl StoreLock {
    /// Takes the lock of the store in `path`, or says that it is in use. Must not be called in a process
    /// that has the store open: such locks belong to a process, and the first file closed drops them.
    pub fn take(path: &Path) -> Result<Self, StorageError> {
        if !RocksEngine::exists(path) {
            return Err(StorageError::NotAStore { path: path.to_path_buf() });
        }
        let lock = path.join("LOCK");
        let opened =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&lock);
        let (file, operation) = match opened {
            Ok(file) => (file, FlockOperation::NonBlockingLockExclusive),
            // If anybody writes, they have mounted the disk elsewhere. A shared lock needs no right
            // to write, and conflicts with the lock of a writer.
            Err(error) if error.kind() == io::ErrorKind::ReadOnlyFilesystem => {
                match File::open(&lock) {
                    Ok(file) => (file, FlockOperation::NonBlockingLockShared),
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {
                        return Ok(Self { _file: None });
                    }
                    Err(error) => return Err(StorageError::io(&lock, error)),
                }
            }
            Err(error) => return Err(StorageError::io(&lock, error)),
        };
        fcntl_lock(&file, operation)
            .map_err(|_| StorageError::InUse { path: path.to_path_buf() })?;
        Ok(Self { _file: Some(file) })
    }
}
