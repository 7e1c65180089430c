//! The folder of an index, as the index uses it: a disk that is full or fails is set up in tests.

use std::fs;
use std::io;
use std::path::Path;

use base::durable::{self, FileError};

/// Permission bits of files and folders: an index holds what events hold.
const FILE_MODE: u32 = 0o600;
const FOLDER_MODE: u32 = 0o700;

/// What an index asks of the disk apart from reading. Blocking.
pub trait Disk: Send + Sync + 'static {
    /// Writes a file that appears whole and synced, or not at all, and leaves nothing else behind. Makes
    /// the folder if it is missing.
    fn write(&self, path: &Path, bytes: &[u8]) -> Result<(), FileError>;

    /// Removes a file. Fine if it is not there.
    fn remove(&self, path: &Path) -> Result<(), FileError>;

    /// The names of the files in a folder; none if it is not there.
    fn list(&self, folder: &Path) -> Result<Vec<String>, FileError>;

    /// Bytes that can still be written.
    fn free_bytes(&self, folder: &Path) -> Result<u64, FileError>;
}

/// The file system.
#[derive(Debug, Default, Clone, Copy)]
pub struct FileSystem;

impl Disk for FileSystem {
    fn write(&self, path: &Path, bytes: &[u8]) -> Result<(), FileError> {
        if let Some(folder) = path.parent() {
            durable::create_dir_all(folder, FOLDER_MODE)?;
        }
        let written = durable::replace(path, bytes, FILE_MODE);
        if written.is_err() {
            // What was written until the disk was full keeps it full.
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            self.remove(&path.with_file_name(format!(".{name}.tmp")))?;
        }
        written
    }

    fn remove(&self, path: &Path) -> Result<(), FileError> {
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(FileError::new(path, error))
            }
            _ => Ok(()),
        }
    }

    fn list(&self, folder: &Path) -> Result<Vec<String>, FileError> {
        let entries = match fs::read_dir(folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(|error| FileError::new(folder, error))?,
        };
        let name = |entry: io::Result<fs::DirEntry>| {
            let entry = entry.map_err(|error| FileError::new(folder, error))?;
            Ok(entry.file_name().to_string_lossy().into_owned())
        };
        entries.map(name).collect()
    }

    fn free_bytes(&self, folder: &Path) -> Result<u64, FileError> {
        let there = folder.ancestors().find(|it| it.is_dir()).unwrap_or(folder);
        durable::free_bytes(there)
    }
}
