//! Files outside the engine: each appears whole and synced, or not at all.
//!
//! The order is always the same: write a temporary file in the same folder, sync it, give it its name,
//! sync the folder. **The naming is the commit point**: a crash before it leaves at most a temporary file
//! (`.NAME.tmp`), which the next write of the same name replaces; after it the file is whole.

#![expect(
    clippy::disallowed_methods,
    reason = "this module is what the disallowed calls are replaced with"
)]

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// The file system refused an operation.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {source}", path = path.display())]
pub struct FileError {
    /// The file or folder concerned.
    pub path: PathBuf,
    /// The system's error.
    pub source: io::Error,
}

/// Whether the system is out of something for a while, open files or disk space: the same operation
/// may succeed later, and nothing is wrong with what is stored.
pub fn is_passing(error: &io::Error) -> bool {
    use rustix::io::Errno;

    let code = error.raw_os_error().map(Errno::from_raw_os_error);
    code.is_some_and(|code| {
        [Errno::MFILE, Errno::NFILE, Errno::NOSPC, Errno::DQUOT].contains(&code)
    })
}

impl FileError {
    /// Wraps an error of the file system with the path it concerns.
    pub fn new(path: impl Into<PathBuf>, source: io::Error) -> Self {
        Self { path: path.into(), source }
    }
}

/// Zeros written at a time when space is preallocated.
static ZEROS: [u8; 64 * 1024] = [0; 64 * 1024];

/// Creates or replaces a file with `content` and permission bits `mode`. Costs two syncs.
pub fn replace(path: &Path, content: &[u8], mode: u32) -> Result<(), FileError> {
    let temporary = write_temporary(path, mode, |file| file.write_all(content))?.0;
    rename(&temporary, path)
}

/// Creates a file, and fails with `AlreadyExists` if there is one. Costs two syncs.
pub fn create_new(path: &Path, content: &[u8], mode: u32) -> Result<(), FileError> {
    let temporary = write_temporary(path, mode, |file| file.write_all(content))?.0;
    link_new(&temporary, path)
}

/// Creates a file of `len` zero bytes, open for reading and writing, and fails with `AlreadyExists` if
/// there is one. The zeros are written, not only reserved: overwriting them later changes no metadata,
/// so that each later data sync is one disk write.
pub fn create_preallocated(path: &Path, len: u64, mode: u32) -> Result<File, FileError> {
    let (temporary, file) = write_temporary(path, mode, |file| write_zeros(file, len))?;
    link_new(&temporary, path)?;
    Ok(file)
}

/// Renames a file or folder, replacing a file that is there, and syncs the folders of both names.
pub fn rename(from: &Path, to: &Path) -> Result<(), FileError> {
    fs::rename(from, to).map_err(|error| FileError::new(to, error))?;
    sync_parent(to)?;
    if from.parent() == to.parent() { Ok(()) } else { sync_parent(from) }
}

/// Creates a folder and those above it that are missing, with permission bits `mode`, and syncs the
/// folder that holds each. Fine if it exists.
pub fn create_dir_all(path: &Path, mode: u32) -> Result<(), FileError> {
    if path.is_dir() {
        return Ok(());
    }
    if let Some(parent) = parent_of(path) {
        create_dir_all(&parent, mode)?;
    }
    match DirBuilder::new().mode(mode).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            Err(FileError::new(path, error))
        }
        _ => sync_parent(path),
    }
}

/// Syncs a folder, which makes the names in it durable.
pub fn sync_dir(path: &Path) -> Result<(), FileError> {
    let sync = || File::open(path)?.sync_all();
    sync().map_err(|error| FileError::new(path, error))
}

/// Bytes an unprivileged process can still write to the file system that holds `path`.
pub fn free_bytes(path: &Path) -> Result<u64, FileError> {
    let stat = rustix::fs::statvfs(path).map_err(|error| FileError::new(path, error.into()))?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}

fn write_temporary(
    path: &Path,
    mode: u32,
    write: impl FnOnce(&mut File) -> io::Result<()>,
) -> Result<(PathBuf, File), FileError> {
    let temporary = temporary_name(path);
    let create = || {
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .mode(mode)
            .open(&temporary)?;
        // A file left by a crash keeps its old bits, and the umask may have cleared some.
        file.set_permissions(fs::Permissions::from_mode(mode))?;
        write(&mut file)?;
        file.sync_all()?;
        Ok(file)
    };
    match create() {
        Ok(file) => Ok((temporary, file)),
        Err(error) => Err(FileError::new(path, error)),
    }
}

/// Gives a temporary file its name, unless the name is taken.
fn link_new(temporary: &Path, path: &Path) -> Result<(), FileError> {
    link_new_with(temporary, path, hard_link, rename_new)
}

type Naming = fn(&Path, &Path) -> io::Result<()>;

/// As [`link_new`], with the system calls that may be missing on a file system.
fn link_new_with(
    temporary: &Path,
    path: &Path,
    link: Naming,
    rename_new: Naming,
) -> Result<(), FileError> {
    let mut named = link(temporary, path);
    if named.as_ref().is_err_and(is_not_offered) {
        named = rename_new(temporary, path);
    }
    if named.as_ref().is_err_and(is_not_offered) {
        named = rename_if_free(temporary, path);
    }
    match fs::remove_file(temporary) {
        // It was renamed.
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(FileError::new(temporary, error));
        }
        _ => {}
    }
    named.map_err(|error| FileError::new(path, error))?;
    sync_parent(path)
}

/// Whether a file system has no such operation, as FAT has no hard links; each says so in its own
/// way.
fn is_not_offered(error: &io::Error) -> bool {
    use rustix::io::Errno;

    let offered_nowhere =
        [Errno::PERM, Errno::NOSYS, Errno::OPNOTSUPP, Errno::INVAL, Errno::MLINK, Errno::ACCESS];
    let code = error.raw_os_error().map(Errno::from_raw_os_error);
    code.is_some_and(|code| offered_nowhere.contains(&code))
}

fn hard_link(from: &Path, to: &Path) -> io::Result<()> {
    fs::hard_link(from, to)
}

/// Renames a file unless the new name is taken, in one step.
fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};

    Ok(renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE)?)
}

/// The same in two steps, where the file system offers neither. Between them another process could
/// take the name; a data folder has one process that writes to it.
fn rename_if_free(from: &Path, to: &Path) -> io::Result<()> {
    if to.symlink_metadata().is_ok() {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    fs::rename(from, to)
}

fn write_zeros(file: &mut File, len: u64) -> io::Result<()> {
    let mut left = len;
    while left > 0 {
        let step = usize::try_from(left).map_or(ZEROS.len(), |left| left.min(ZEROS.len()));
        file.write_all(&ZEROS[..step])?;
        left -= u64::try_from(step).expect("a step is at most 64 KiB");
    }
    Ok(())
}

fn temporary_name(path: &Path) -> PathBuf {
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(".tmp");
    path.with_file_name(name)
}

fn sync_parent(path: &Path) -> Result<(), FileError> {
    sync_dir(&parent_of(path).unwrap_or_else(|| PathBuf::from("/")))
}

/// The folder that holds `path`; `.` for a bare name, `None` for the root.
fn parent_of(path: &Path) -> Option<PathBuf> {
    let parent = path.parent()?;
    if parent.as_os_str().is_empty() {
        Some(PathBuf::from("."))
    } else {
        Some(parent.to_path_buf())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode_of(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    fn names(folder: &Path) -> Vec<String> {
        let name = |entry: io::Result<fs::DirEntry>| entry.unwrap().file_name();
        let entries = fs::read_dir(folder).unwrap().map(name);
        entries.map(|name| name.into_string().unwrap()).collect()
    }

    #[test]
    fn replace_replaces_and_leaves_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        replace(&path, b"one", 0o644).unwrap();
        replace(&path, b"two", 0o600).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(mode_of(&path), 0o600);
        assert_eq!(names(folder.path()), ["a"]);
    }

    #[test]
    fn create_new_refuses_a_taken_name_and_keeps_its_content() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        create_new(&path, b"one", 0o600).unwrap();
        let error = create_new(&path, b"two", 0o600).unwrap_err();
        assert_eq!(error.source.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&path).unwrap(), b"one");
        assert_eq!(names(folder.path()), ["a"]);
    }

    #[test]
    fn without_hard_links_a_new_name_is_given_as_well_and_a_taken_one_refused() {
        let not_offered: Naming = |_, _| Err(rustix::io::Errno::PERM.into());
        let too_old: Naming = |_, _| Err(rustix::io::Errno::INVAL.into());
        for (link, rename) in [
            (hard_link as Naming, rename_new as Naming),
            (not_offered, rename_new),
            (not_offered, too_old),
        ] {
            let folder = tempfile::tempdir().unwrap();
            let (path, temporary) = (folder.path().join("a"), folder.path().join(".a.tmp"));
            fs::write(&temporary, b"one").unwrap();
            link_new_with(&temporary, &path, link, rename).unwrap();
            assert_eq!(names(folder.path()), ["a"]);
            fs::write(&temporary, b"two").unwrap();
            let error = link_new_with(&temporary, &path, link, rename).unwrap_err();
            assert_eq!(error.source.kind(), io::ErrorKind::AlreadyExists);
            assert_eq!(fs::read(&path).unwrap(), b"one");
            assert_eq!(names(folder.path()), ["a"]);
        }
    }

    #[test]
    fn a_full_disk_is_not_a_missing_operation() {
        let full: Naming = |_, _| Err(rustix::io::Errno::NOSPC.into());
        let folder = tempfile::tempdir().unwrap();
        let (path, temporary) = (folder.path().join("a"), folder.path().join(".a.tmp"));
        fs::write(&temporary, b"one").unwrap();
        let error = link_new_with(&temporary, &path, full, rename_new).unwrap_err();
        assert_eq!(error.source.kind(), io::ErrorKind::StorageFull);
        assert_eq!(names(folder.path()), [""; 0]);
    }

    #[test]
    fn a_temporary_file_of_a_crash_is_no_obstacle() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        fs::write(folder.path().join(".a.tmp"), b"torn, and longer than what follows").unwrap();
        create_new(&path, b"whole", 0o600).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"whole");
        assert_eq!(mode_of(&path), 0o600);
        assert_eq!(names(folder.path()), ["a"]);
    }

    #[test]
    fn preallocated_files_are_zeros_of_exactly_that_length() {
        let folder = tempfile::tempdir().unwrap();
        for len in [0, 1, 65_536, 65_537, 200_000] {
            let path = folder.path().join(format!("s{len}"));
            let _file = create_preallocated(&path, len, 0o600).unwrap();
            let content = fs::read(&path).unwrap();
            assert_eq!(content.len(), usize::try_from(len).unwrap());
            assert!(content.iter().all(|byte| *byte == 0));
        }
    }

    #[test]
    fn folders_are_made_with_their_parents() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b/c");
        create_dir_all(&path, 0o700).unwrap();
        create_dir_all(&path, 0o700).unwrap();
        assert_eq!(mode_of(&path), 0o700);
        assert!(free_bytes(&path).unwrap() > 0);
    }
}
