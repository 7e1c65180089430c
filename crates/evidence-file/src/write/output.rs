//! A folder or an archive that is being made.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use base::durable::{self, FileError};

use super::{Target, WriteError, zip_failed};
use crate::zip::{Method, ZipWriter};

/// What is written goes to the file that was started last.
#[derive(Debug)]
pub(super) struct Output {
    target: PathBuf,
    temporary: PathBuf,
    kind: Kind,
    method: Method,
}

#[derive(Debug)]
enum Kind {
    Folder(Option<BufWriter<File>>),
    Zip(Box<ZipWriter<BufWriter<File>>>),
    /// It has its name, or is given up.
    Done,
}

impl Output {
    pub(super) fn create(target: Target<'_>, deflate: bool) -> Result<Self, WriteError> {
        let (Target::Folder(path) | Target::Zip(path)) = target;
        if path.symlink_metadata().is_ok() {
            return Err(WriteError::Exists { path: path.to_owned() });
        }
        let mut name = std::ffi::OsString::from(".");
        name.push(path.file_name().unwrap_or_default());
        name.push(".tmp");
        let temporary = path.with_file_name(name);
        let kind = match target {
            Target::Folder(_) => make_folder(&temporary).map(|()| Kind::Folder(None)),
            Target::Zip(_) => make_file(&temporary).map(|file| {
                Kind::Zip(Box::new(ZipWriter::new(BufWriter::with_capacity(1 << 18, file))))
            }),
        };
        let method = if deflate { Method::Deflated } else { Method::Stored };
        let failed = |source| WriteError::Io { path: path.to_owned(), source };
        Ok(Self { target: path.to_owned(), kind: kind.map_err(failed)?, temporary, method })
    }

    /// Starts a file of at most so many bytes, and ends the one before.
    pub(super) fn start(&mut self, name: &str, bytes_max: u64) -> Result<(), WriteError> {
        self.start_by(name, bytes_max, self.method)
    }

    /// The same, packed in this way where the target is an archive.
    pub(super) fn start_by(
        &mut self,
        name: &str,
        bytes_max: u64,
        method: Method,
    ) -> Result<(), WriteError> {
        let started = match &mut self.kind {
            Kind::Folder(file) => start_in_folder(file, &self.temporary.join(name)),
            Kind::Zip(zip) => {
                return zip
                    .start(name, method, bytes_max)
                    .map_err(|error| zip_failed(&self.target, error));
            }
            Kind::Done => Ok(()),
        };
        started.map_err(|source| self.failed(source))
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), WriteError> {
        self.write_all(bytes).map_err(|source| self.failed(source))
    }

    /// A file without a name, on the disk that the target is on.
    pub(super) fn aside(&self) -> io::Result<File> {
        match self.temporary.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            Some(folder) => tempfile::tempfile_in(folder),
            None => tempfile::tempfile_in("."),
        }
    }

    /// Makes everything durable, and gives it its name.
    pub(super) fn commit(&mut self) -> Result<(), WriteError> {
        match std::mem::replace(&mut self.kind, Kind::Done) {
            Kind::Folder(file) => {
                let ended = self.end_folder(file);
                ended.map_err(|source| self.failed(source))?;
            }
            Kind::Zip(zip) => {
                let written = zip.finish().map_err(|error| zip_failed(&self.target, error))?;
                let synced = written.into_inner().map_err(io::IntoInnerError::into_error);
                let synced = synced.and_then(|file| file.sync_all());
                synced.map_err(|source| self.failed(source))?;
            }
            Kind::Done => {}
        }
        if self.target.symlink_metadata().is_ok() {
            return Err(WriteError::Exists { path: self.target.clone() });
        }
        let renamed = durable::rename(&self.temporary, &self.target);
        renamed.map_err(|FileError { path, source }| WriteError::Io { path, source })
    }

    pub(super) fn failed(&self, source: io::Error) -> WriteError {
        WriteError::Io { path: self.target.clone(), source }
    }

    fn end_folder(&self, last: Option<BufWriter<File>>) -> io::Result<()> {
        end_file(last)?;
        let proofs = self.temporary.join("proofs");
        let folders = [Some(&proofs).filter(|it| it.exists()), Some(&self.temporary)];
        for folder in folders.into_iter().flatten() {
            durable::sync_dir(folder).map_err(|error| error.source)?;
        }
        Ok(())
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.kind {
            Kind::Folder(Some(file)) => file.write(bytes),
            Kind::Zip(zip) => zip.write(bytes),
            Kind::Folder(None) | Kind::Done => Err(io::ErrorKind::InvalidInput.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What was not finished is removed; nobody has seen it.
impl Drop for Output {
    fn drop(&mut self) {
        let _gone_already = match self.kind {
            Kind::Folder(_) => fs::remove_dir_all(&self.temporary),
            _ => fs::remove_file(&self.temporary),
        };
    }
}

fn make_folder(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    DirBuilder::new().create(path)
}

fn make_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create(true).truncate(true).open(path)
}

fn start_in_folder(file: &mut Option<BufWriter<File>>, path: &Path) -> io::Result<()> {
    end_file(file.take())?;
    if let Some(folder) = path.parent().filter(|folder| !folder.is_dir()) {
        DirBuilder::new().create(folder)?;
    }
    let made = OpenOptions::new().write(true).create_new(true).open(path)?;
    *file = Some(BufWriter::with_capacity(1 << 18, made));
    Ok(())
}

fn end_file(file: Option<BufWriter<File>>) -> io::Result<()> {
    let Some(file) = file else { return Ok(()) };
    file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()
}
