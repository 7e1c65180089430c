//! An evidence file as a folder: regular files alone, and the one sub-folder `proofs`.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use audit_event::evidence::FILES_MAX;

use crate::container::is_known;

/// Why a folder is not an evidence file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FolderError {
    /// A file that no evidence file has.
    #[error("{name:?} does not belong there")]
    Unknown {
        /// Its name.
        name: String,
    },
    /// A link, a folder, a device.
    #[error("{name:?} is not a regular file")]
    NotRegular {
        /// Its name.
        name: String,
    },
    /// More files than a limit allows.
    #[error("there are more than {FILES_MAX} files")]
    TooManyFiles,
}

/// A folder whose names are those of an evidence file.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    names: Vec<String>,
}

/// A folder is listed, or refused, or the system does not let us.
type Listed<T> = Result<T, ListError>;

/// Why a folder is not listed.
#[derive(Debug)]
pub(crate) enum ListError {
    Io(io::Error),
    Form(FolderError),
}

impl From<io::Error> for ListError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<FolderError> for ListError {
    fn from(error: FolderError) -> Self {
        Self::Form(error)
    }
}

impl Folder {
    /// Lists a folder; opens none of its files.
    pub(crate) fn open(path: &Path) -> Listed<Self> {
        let mut names = Vec::new();
        list(path, "", &mut names)?;
        names.sort();
        Ok(Self { path: path.to_owned(), names })
    }

    pub(crate) fn names(&self) -> &[String] {
        &self.names
    }

    pub(crate) fn file(&self, name: &str) -> io::Result<File> {
        File::open(self.path.join(name))
    }
}

fn list(folder: &Path, prefix: &str, names: &mut Vec<String>) -> Listed<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        let kind = entry.file_type()?; // of the link, not of what it leads to
        if kind.is_dir() && name == "proofs" {
            list(&entry.path(), "proofs/", names)?;
        } else if !is_known(&name) {
            return Err(FolderError::Unknown { name }.into());
        } else if !kind.is_file() {
            return Err(FolderError::NotRegular { name }.into());
        } else {
            names.push(name);
        }
        if names.len() > FILES_MAX {
            return Err(FolderError::TooManyFiles.into());
        }
    }
    Ok(())
}
