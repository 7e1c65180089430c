//! Files of private keys, and the `.vkey` files with their public halves beside them.

use std::io;
use std::os::unix::fs::MetadataExt as _;
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
    #[error("{}: {source}", path.display())]
    Format { path: PathBuf, source: KeyFileError },
    #[error("{}: file has {bytes} bytes, which is no key file", path.display())]
    TooLong { path: PathBuf, bytes: u64 },
    #[error("no random bytes for a new key: {source}")]
    Random { source: getrandom::Error },
}

/// A fresh seed for a private key.
pub fn seed() -> Result<Zeroizing<[u8; SEED_LEN]>, KeysError> {
    let mut seed = Zeroizing::new([0; SEED_LEN]);
    getrandom::fill(&mut *seed).map_err(|source| KeysError::Random { source })?;
    Ok(seed)
}

/// The keys of a private file, `None` if there is none. Refuses a file that others can read.
pub fn read(path: &Path) -> Result<Option<KeyFile>, KeysError> {
    let Some(text) = read_private(path)? else { return Ok(None) };
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

/// The text of a private file, `None` if there is none. Refuses one that others can read.
pub fn read_private(path: &Path) -> Result<Option<Zeroizing<String>>, KeysError> {
    let failed = |source| KeysError::File(FileError::new(path, source));
    let metadata = match std::fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(failed(source)),
    };
    let mode = metadata.mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(KeysError::Readable { path: path.to_path_buf(), mode });
    }
    let bytes = metadata.len();
    if bytes > KEY_FILE_BYTES_MAX {
        return Err(KeysError::TooLong { path: path.to_path_buf(), bytes });
    }
    std::fs::read_to_string(path).map(|text| Some(Zeroizing::new(text))).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use formats::{KeyName, PrivateKey};
    use std::os::unix::fs::PermissionsExt as _;

    fn keys(byte: u8) -> KeyFile {
        let name = KeyName::new("example.com/w").unwrap();
        KeyFile::new(vec![PrivateKey::cosigner_ed25519(name, &[byte; SEED_LEN])]).unwrap()
    }

    #[test]
    fn keys_are_written_once_and_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys/witness");
        assert!(read(&path).unwrap().is_none());
        write(&path, &keys(1)).unwrap();
        write(&path, &keys(2)).unwrap();
        let found = read(&path).unwrap().unwrap();
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
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(read(&path), Err(KeysError::Readable { mode: 0o640, .. })));
        durable::replace(&path, b"no key\n", 0o600).unwrap();
        assert!(matches!(read(&path), Err(KeysError::Format { .. })));
        let long = vec![b'a'; usize::try_from(KEY_FILE_BYTES_MAX).unwrap() + 1];
        durable::replace(&path, &long, 0o600).unwrap();
        assert!(matches!(read(&path), Err(KeysError::TooLong { .. })));
    }
}
