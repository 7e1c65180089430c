//! Where the files of an evidence file are: in a folder, or in a zip archive.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use audit_event::evidence::manifest::{NAME, REQUIRED, VIEWS, proof_name};
use audit_event::evidence::{EVENTS_MAX, EVENTS_PER_PROOF};

use crate::folder::{Folder, FolderError, ListError};
use crate::section::Section;
use crate::zip::{Zip, ZipError, ZipReadError};

/// Why the files of an evidence file cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ContainerError {
    /// The zip archive is not of the one form.
    #[error(transparent)]
    Zip(#[from] ZipError),
    /// The folder holds something else.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// A file is shorter than it was.
    #[error("a file ends before its end")]
    Short,
    /// A file that must be there.
    #[error("the file {name:?} is missing")]
    Missing {
        /// Its name.
        name: String,
    },
    /// A file is larger than a limit allows.
    #[error("the file {name:?} has more than {bytes_max} bytes")]
    TooLarge {
        /// Its name.
        name: String,
        /// The limit.
        bytes_max: usize,
    },
}

/// Reading failed: the container is at fault, or the system is.
#[derive(Debug)]
pub(crate) enum Fault {
    Container(ContainerError),
    Io(io::Error),
}

impl From<ContainerError> for Fault {
    fn from(error: ContainerError) -> Self {
        Self::Container(error)
    }
}

/// What a reader of an archive reports comes as an error of reading.
impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::UnexpectedEof {
            return ContainerError::Short.into();
        }
        match error.downcast::<ZipError>() {
            Ok(damage) => Self::Container(damage.into()),
            Err(error) => Self::Io(error),
        }
    }
}

/// A folder or an archive whose names are those of an evidence file.
#[derive(Debug)]
pub(crate) enum Container {
    Folder(Folder),
    Zip(Zip<File>),
}

impl Container {
    pub(crate) fn open(path: &Path) -> Result<Self, Fault> {
        let file = File::open(path)?;
        if file.metadata()?.is_dir() {
            return match Folder::open(path) {
                Ok(folder) => Ok(Self::Folder(folder)),
                Err(ListError::Form(error)) => Err(ContainerError::from(error).into()),
                Err(ListError::Io(error)) => Err(error.into()),
            };
        }
        match Zip::open(file) {
            Ok(zip) => Ok(Self::Zip(zip)),
            Err(ZipReadError::Zip(error)) => Err(ContainerError::from(error).into()),
            Err(ZipReadError::Io(error)) => Err(error.into()),
        }
    }

    pub(crate) fn names(&self) -> Vec<&str> {
        match self {
            Self::Folder(folder) => folder.names().iter().map(|name| &**name).collect(),
            Self::Zip(zip) => zip.names().collect(),
        }
    }

    /// A reader of one file.
    pub(crate) fn reader(&self, name: &str) -> Result<Box<dyn Read>, Fault> {
        match self {
            Self::Folder(folder) => Ok(Box::new(folder.file(name)?)),
            Self::Zip(zip) => Ok(Box::new(zip.reader(name).ok_or_else(|| missing(name))?)),
        }
    }

    /// A small file.
    pub(crate) fn read(&self, name: &str, bytes_max: usize) -> Result<Vec<u8>, Fault> {
        let limit = u64::try_from(bytes_max).unwrap_or(u64::MAX).saturating_add(1);
        let mut bytes = Vec::new();
        self.reader(name)?.take(limit).read_to_end(&mut bytes)?;
        if bytes.len() > bytes_max {
            return Err(ContainerError::TooLarge { name: name.to_owned(), bytes_max }.into());
        }
        Ok(bytes)
    }

    /// One file to be read at any place. One that is compressed is laid aside first.
    pub(crate) fn section(&self, name: &str) -> Result<Section<File>, Fault> {
        match self {
            Self::Folder(folder) => Ok(Section::whole(folder.file(name)?)?),
            Self::Zip(zip) => {
                if let Some(section) = zip.section(name) {
                    return Ok(section);
                }
                let mut aside = tempfile::tempfile()?;
                io::copy(&mut BufReader::new(self.reader(name)?), &mut aside)?;
                aside.seek(SeekFrom::Start(0))?;
                Ok(Section::whole(aside)?)
            }
        }
    }
}

fn missing(name: &str) -> Fault {
    ContainerError::Missing { name: name.to_owned() }.into()
}

/// Whether an evidence file can have a file of this name.
pub(crate) fn is_known(name: &str) -> bool {
    let number = name.strip_prefix("proofs/").and_then(|name| name.strip_suffix(".txt"));
    match number.and_then(|number| number.parse::<u64>().ok()) {
        Some(number) => {
            let is_one = (1..=EVENTS_MAX.div_ceil(EVENTS_PER_PROOF)).contains(&number);
            is_one && name == proof_name(number)
        }
        None => name == NAME || REQUIRED.contains(&name) || VIEWS.contains(&name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_one_spelling() {
        for name in ["manifest.json", "events.csv", "proofs/000001.txt", "proofs/001000.txt"] {
            assert!(is_known(name), "{name}");
        }
        for name in [
            "",
            "Manifest.json",
            "proofs",
            "proofs/",
            "proofs/000000.txt",
            "proofs/001001.txt",
            "proofs/+00001.txt",
            "proofs/1.txt",
            "./checkpoint",
            "../checkpoint",
        ] {
            assert!(!is_known(name), "{name}");
        }
    }
}
