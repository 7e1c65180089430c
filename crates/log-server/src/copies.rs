//! What the server has made of events, and what becomes of that when something of them is erased: search
//! indexes, exports, and what waits for destinations.
//!
//! Before an erasure is committed, a mark is written to `DATA/erasing`. The mark goes once the copies are
//! rid of what was erased. If we crash in between, the next start finds the mark and does it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use audit_api::exports::{self, Exports};
use audit_index::{AuditIndexes, IndexOptions};
use audit_stream::Destinations;
use base::durable::{self, FileError};
use log_core::{Log, Registry};
use merkle::LeafIndex;

use crate::config::Config;

/// The copies of a data folder.
#[derive(Clone, Debug)]
pub struct Copies {
    marks: PathBuf,
    indexes: Arc<AuditIndexes>,
    exports: Made,
    destinations: Waiting,
}

/// The exports: those of this server, or those in a folder that no server has.
#[derive(Clone, Debug)]
enum Made {
    Here(Exports),
    Folder(PathBuf),
}

/// What waits for destinations: of this server, or in a folder that no server has.
#[derive(Clone, Debug)]
enum Waiting {
    Here(Destinations),
    Folder(PathBuf),
}

/// Why a copy may still hold what was erased.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// A mark, or an export.
    #[error(transparent)]
    File(#[from] FileError),
    /// A search index.
    #[error(transparent)]
    Index(#[from] audit_index::EraseError),
}

impl Copies {
    /// The copies that a running server has.
    pub fn of_server(
        config: &Config,
        indexes: Arc<AuditIndexes>,
        exports: Exports,
        destinations: Destinations,
    ) -> Self {
        let (exports, destinations) = (Made::Here(exports), Waiting::Here(destinations));
        Self { marks: config.erasing_dir(), indexes, exports, destinations }
    }

    /// The copies in a data folder that nobody serves.
    pub fn of_folder(config: &Config) -> Self {
        let indexes = AuditIndexes::new(IndexOptions::new(config.index_dir()));
        let (indexes, exports) = (Arc::new(indexes), Made::Folder(config.exports_dir()));
        let destinations = Waiting::Folder(config.destinations_dir());
        Self { marks: config.erasing_dir(), indexes, exports, destinations }
    }

    /// Marks that something of an event is about to be erased. Blocks.
    pub fn mark(&self, log: &str, index: LeafIndex) -> Result<(), FileError> {
        durable::create_dir_all(&self.marks, 0o700)?;
        durable::replace(&self.place(log, index), b"", 0o600)
    }

    /// Rids the copies of what the store does not hold any more. Blocks. Doing it again does no harm.
    pub fn clean(&self, log: &Log, index: LeafIndex) -> Result<(), CopyError> {
        let name = log.name().as_str();
        self.indexes.erase(log, &[index])?;
        match &self.exports {
            Made::Here(exports) => exports.withdraw(name, index)?,
            Made::Folder(folder) => exports::withdraw_stored(folder, name, index)?,
        }
        match &self.destinations {
            Waiting::Here(destinations) => destinations.forget(name, index.get())?,
            Waiting::Folder(folder) => audit_stream::forget_stored(folder, name, index.get())?,
        }
        let mark = self.place(name, index);
        match std::fs::remove_file(&mark) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(FileError::new(mark, error).into())
            }
            _ => Ok(()),
        }
    }

    /// Does what a crash left undone. Blocks.
    pub fn clean_marked(&self, registry: &Registry) -> Result<(), CopyError> {
        for (log, index) in marked(&self.marks) {
            if let Some(log) = registry.log(&log) {
                self.clean(&log, index)?;
            }
        }
        Ok(())
    }

    fn place(&self, log: &str, index: LeafIndex) -> PathBuf {
        self.marks.join(format!("{log}.{index}"))
    }
}

/// Log and index of every mark. Names of logs have no dot.
fn marked(folder: &Path) -> Vec<(String, LeafIndex)> {
    let Ok(marks) = std::fs::read_dir(folder) else { return Vec::new() };
    let mark = |entry: std::io::Result<std::fs::DirEntry>| {
        let name = entry.ok()?.file_name().into_string().ok()?;
        let (log, index) = name.rsplit_once('.')?;
        let index = LeafIndex::new(index.parse().ok()?).ok()?;
        Some((log.to_owned(), index))
    };
    marks.filter_map(mark).collect()
}
