//! Files a command reads and makes.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use crate::error::CliError;

/// Largest file of a signed format that is read: a receipt of many entries, and room.
pub(crate) const FORMAT_BYTES_MAX: u64 = 32 * 1024 * 1024;
/// Largest entry a log takes (the limit of a tlog-tiles entry bundle).
pub(crate) const ENTRY_BYTES_MAX: u64 = 65_535;

/// Whether `path` means stdin, or stdout where something is written.
pub(crate) fn is_stdio(path: &Path) -> bool {
    path == Path::new("-")
}

/// The bytes of `path`, `-` meaning stdin; more than `bytes_max` is an error, not a cut.
pub(crate) fn read(path: &Path, bytes_max: u64) -> Result<Vec<u8>, CliError> {
    let unreadable = |source| CliError::Read { path: path.to_owned(), source };
    let mut bytes = Vec::new();
    let limited = bytes_max.saturating_add(1);
    let read = if is_stdio(path) {
        io::stdin().lock().take(limited).read_to_end(&mut bytes)
    } else {
        File::open(path).and_then(|file| file.take(limited).read_to_end(&mut bytes))
    };
    read.map_err(unreadable)?;
    if u64::try_from(bytes.len()).is_ok_and(|len| len <= bytes_max) {
        return Ok(bytes);
    }
    Err(CliError::TooLarge { path: path.to_owned(), bytes_max })
}

/// Makes `path` with these bytes and this mode, synced with its folder. Never overwrites.
///
/// If we crash meanwhile, the file may be short, but no other file is touched. The caller prints
/// nothing before this returns.
pub(crate) fn create(path: &Path, bytes: &[u8], mode: u32) -> Result<(), CliError> {
    let mut file = match OpenOptions::new().write(true).create_new(true).mode(mode).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            return Err(CliError::Exists { path: path.to_owned() });
        }
        Err(source) => return Err(CliError::Write { path: path.to_owned(), source }),
    };
    let written =
        file.write_all(bytes).and_then(|()| file.sync_all()).and_then(|()| sync_folder(path));
    if let Err(source) = written {
        // The part that was written is neither a key nor a proof, so we remove it.
        let _kept = fs::remove_file(path);
        return Err(CliError::Write { path: path.to_owned(), source });
    }
    Ok(())
}

/// Writes `path` anew, without a sync: for files that the log can give again.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).open(path)?;
    file.write_all(bytes)
}

/// Makes `folder` and its parents, if absent.
pub(crate) fn create_folder(folder: &Path) -> Result<(), CliError> {
    let made = DirBuilder::new().recursive(true).mode(0o755).create(folder);
    made.map_err(|source| CliError::Write { path: folder.to_owned(), source })
}

fn sync_folder(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(folder) if folder != Path::new("") => File::open(folder)?.sync_all(),
        _ => File::open(".")?.sync_all(),
    }
}
