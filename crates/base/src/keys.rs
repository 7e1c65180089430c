//! Files of private keys, and the `.vkey` files with their public halves beside them.

use std::fs::{File, Permissions};
use std::io::{self, Read as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use formats::private::SEED_LEN;
use formats::{KeyFile, KeyFileError};
use zeroize::Zeroizing;

use crate::durable::{self, FileError};

/// The longest private key file that is read, in bytes: several keys fit, a wrong file does not.
pub const KEY_FILE_BYTES_MAX: u64 = 64 * 1024;

/// Why a key file cannot be used. Never holds any of its bytes.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    #[error(transparent)]
    File(#[from] FileError),
    #[error("{}: mode is {mode:03o}, others may read the key: chmod 600", path.display())]
    Readable { path: PathBuf, mode: u32 },
    #[error(
        "{}: mode is {mode:03o} and the file is another user's, its group may read the key: chmod 600, \
         or accept it with allow_group_readable_keys", path.display()
    )]
    GroupReadable { path: PathBuf, mode: u32 },
    #[error("{}: {source}", path.display())]
    Format { path: PathBuf, source: KeyFileError },
    #[error("{}: file has {bytes} bytes, which is no key file", path.display())]
    TooLong { path: PathBuf, bytes: u64 },
    #[error("{}: file has {bytes} bytes, a secret has 32", path.display())]
    SecretLength { path: PathBuf, bytes: u64 },
    #[error("no random bytes for a new key: {source}")]
    Random { source: getrandom::Error },
}

/// Who beside the owner may read private key files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Readers {
    #[default]
    Nobody,
    /// The group of a file that another user owns, as of secrets that Kubernetes mounts with
    /// `fsGroup`.
    Group,
}

impl Readers {
    /// As the setting `allow_group_readable_keys` says.
    pub fn of_setting(allow_group_readable_keys: bool) -> Self {
        if allow_group_readable_keys { Self::Group } else { Self::Nobody }
    }
}

/// A fresh seed for a private key.
pub fn seed() -> Result<Zeroizing<[u8; SEED_LEN]>, KeysError> {
    let mut seed = Zeroizing::new([0; SEED_LEN]);
    getrandom::fill(&mut *seed).map_err(|source| KeysError::Random { source })?;
    Ok(seed)
}

/// The keys of a private file, `None` if there is none. As [`read_private`] about who else may read
/// it.
pub fn read(path: &Path, readers: Readers) -> Result<Option<KeyFile>, KeysError> {
    let Some(text) = read_private(path, readers)? else { return Ok(None) };
    let keys = KeyFile::parse(&text);
    keys.map(Some).map_err(|source| KeysError::Format { path: path.to_owned(), source })
}

/// Writes the private file, unless it is there, and the public one. Makes the folder.
pub fn write(path: &Path, keys: &KeyFile) -> Result<(), KeysError> {
    if let Some(folder) = path.parent() {
        durable::create_dir_all(folder, 0o700)?;
    }
    if !path.exists() {
        durable::create_new(path, keys.format().as_bytes(), 0o600)?;
    }
    write_public(path, keys)
}

/// Writes the public halves beside the private file at `path`, with `.vkey` behind its name, if they are
/// not there in this form already.
pub fn write_public(path: &Path, keys: &KeyFile) -> Result<(), KeysError> {
    let public = public_path(path);
    let text = keys.format_vkeys();
    if std::fs::read_to_string(&public).is_ok_and(|found| found == text) {
        return Ok(());
    }
    Ok(durable::replace(&public, text.as_bytes(), 0o644)?)
}

/// Where the public halves of a private file are.
pub fn public_path(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".vkey");
    path.with_file_name(name)
}

/// The text of a private file, `None` if there is none. Refuses one that others can read. One that
/// only its group can read gets mode 0600 back if it is ours: Kubernetes opens every file of a
/// volume to its `fsGroup`.
pub fn read_private(path: &Path, readers: Readers) -> Result<Option<Zeroizing<String>>, KeysError> {
    let Some((mut file, bytes)) = open_private(path, readers)? else { return Ok(None) };
    if bytes > KEY_FILE_BYTES_MAX {
        return Err(KeysError::TooLong { path: path.to_path_buf(), bytes });
    }
    let mut text = Zeroizing::new(String::new());
    file.read_to_string(&mut text).map_err(|source| FileError::new(path, source))?;
    Ok(Some(text))
}

/// A private file and its length, `None` if there is none. Checks who else can read it as
/// [`read_private`] does.
pub(crate) fn open_private(
    path: &Path,
    readers: Readers,
) -> Result<Option<(File, u64)>, KeysError> {
    let failed = |source| KeysError::File(FileError::new(path, source));
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(failed(source)),
    };
    let metadata = file.metadata().map_err(failed)?;
    let mode = metadata.mode() & 0o777;
    let owned = metadata.uid() == rustix::process::geteuid().as_raw();
    match access(mode, owned, readers) {
        Access::Fine => {}
        Access::SetBack => set_back(&file, path, mode, readers)?,
        Access::Refused => return Err(refused(path, mode)),
    }
    Ok(Some((file, metadata.len())))
}

/// What a private file's permission bits lead to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Access {
    Fine,
    /// To 0600, which the owner alone can do.
    SetBack,
    Refused,
}

fn access(mode: u32, owned: bool, readers: Readers) -> Access {
    match (mode & 0o070 != 0, mode & 0o007 != 0) {
        (false, false) => Access::Fine,
        (true, false) if owned => Access::SetBack,
        (true, false) if readers == Readers::Group => Access::Fine,
        _ => Access::Refused,
    }
}

fn set_back(file: &File, path: &Path, mode: u32, readers: Readers) -> Result<(), KeysError> {
    match file.set_permissions(Permissions::from_mode(0o600)) {
        Ok(()) => {
            tracing::warn!(
                path = %path.display(),
                "the mode of a private key was {mode:03o}, so its group could read it: it is 0600 again"
            );
            Ok(())
        }
        // A volume that cannot be written: what holds for another user's file holds for this one.
        Err(_) if readers == Readers::Group => Ok(()),
        Err(_) => Err(refused(path, mode)),
    }
}

fn refused(path: &Path, mode: u32) -> KeysError {
    let path = path.to_path_buf();
    let others = mode & 0o007;
    if others == 0 {
        KeysError::GroupReadable { path, mode }
    } else {
        KeysError::Readable { path, mode }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use formats::{KeyName, PrivateKey};

    fn keys(byte: u8) -> KeyFile {
        let name = KeyName::new("example.com/w").unwrap();
        KeyFile::new(vec![PrivateKey::cosigner_ed25519(name, &[byte; SEED_LEN])]).unwrap()
    }

    #[test]
    fn keys_are_written_once_and_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys/witness");
        assert!(read(&path, Readers::Nobody).unwrap().is_none());
        write(&path, &keys(1)).unwrap();
        write(&path, &keys(2)).unwrap();
        let found = read(&path, Readers::Nobody).unwrap().unwrap();
        assert_eq!(found.format_vkeys(), keys(1).format_vkeys(), "a private file never changes");
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(public_path(&path), folder.path().join("keys/witness.vkey"));
        write_public(&path, &found).unwrap();
        let public = std::fs::read_to_string(public_path(&path)).unwrap();
        assert_eq!(public, found.format_vkeys());
    }

    #[test]
    fn files_that_others_can_read_or_that_are_no_keys_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        write(&path, &keys(1)).unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        for readers in [Readers::Nobody, Readers::Group] {
            assert!(matches!(read(&path, readers), Err(KeysError::Readable { mode: 0o644, .. })));
        }
        durable::replace(&path, b"no key\n", 0o600).unwrap();
        assert!(matches!(read(&path, Readers::Nobody), Err(KeysError::Format { .. })));
        let long = vec![b'a'; usize::try_from(KEY_FILE_BYTES_MAX).unwrap() + 1];
        durable::replace(&path, &long, 0o600).unwrap();
        assert!(matches!(read(&path, Readers::Nobody), Err(KeysError::TooLong { .. })));
    }

    #[test]
    fn a_file_of_ours_that_its_group_can_read_is_set_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        write(&path, &keys(1)).unwrap();
        for mode in [0o640, 0o660, 0o440, 0o610] {
            std::fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            assert!(read(&path, Readers::Nobody).unwrap().is_some());
            assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o600, "{mode:o}");
        }
    }

    #[test]
    fn who_may_read_decides() {
        use Access::{Fine, Refused, SetBack};
        use Readers::{Group, Nobody};

        for (mode, owned, readers, expected) in [
            (0o600, true, Nobody, Fine),
            (0o400, false, Nobody, Fine),
            (0o640, true, Nobody, SetBack),
            (0o660, true, Group, SetBack),
            (0o640, false, Nobody, Refused),
            (0o440, false, Group, Fine),
            (0o660, false, Group, Fine),
            (0o644, true, Group, Refused),
            (0o604, true, Nobody, Refused),
            (0o444, false, Group, Refused),
            (0o641, true, Group, Refused),
        ] {
            assert_eq!(access(mode, owned, readers), expected, "{mode:o} {owned} {readers:?}");
        }
        let text = refused(Path::new("keys/a"), 0o440).to_string();
        assert!(text.contains("440") && text.contains("allow_group_readable_keys"), "{text}");
        let text = refused(Path::new("keys/a"), 0o644).to_string();
        assert!(text.contains("644") && text.contains("chmod 600"), "{text}");
    }
}
