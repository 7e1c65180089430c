//! Keeping other processes out of a store that is read where it lies.

use std::fs::{File, OpenOptions};
use std::path::Path;

use rustix::fs::{FlockOperation, fcntl_lock};

use super::RocksEngine;
use storage::StorageError;

/// The lock RocksDB takes when it opens a database to write, held without opening it: a read-only open
/// takes none. Released when dropped.
#[derive(Debug)]
pub struct StoreLock {
    _file: File,
}

impl StoreLock {
    /// Takes the lock of the store in `path`, or says that it is in use. Must not be called in a process
    /// that has the store open: such locks belong to a process, and the first file closed drops them.
    pub fn take(path: &Path) -> Result<Self, StorageError> {
        if !RocksEngine::exists(path) {
            return Err(StorageError::NotAStore { path: path.to_path_buf() });
        }
        let lock = path.join("LOCK");
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&lock)
            .map_err(|error| StorageError::io(&lock, error))?;
        fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive)
            .map_err(|_| StorageError::InUse { path: path.to_path_buf() })?;
        Ok(Self { _file: file })
    }
}
