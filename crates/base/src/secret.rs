//! A file that holds 32 random bytes and nothing else, for its owner alone.

use std::fmt;
use std::io::Read as _;
use std::path::Path;

use zeroize::Zeroizing;

use crate::durable::{self, FileError};
use crate::keys::{KeysError, Readers, open_private, seed};

/// Bytes of a secret.
pub const SECRET_LEN: usize = 32;

/// A secret: forgotten when it is dropped, and never shown.
pub struct Secret(Zeroizing<[u8; SECRET_LEN]>);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

impl Secret {
    /// A fresh one.
    pub fn generate() -> Result<Self, KeysError> {
        seed().map(Self)
    }

    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8; SECRET_LEN] {
        &self.0
    }

    /// The secret in a file, `None` if there is no file. Who else may read it is checked as for a
    /// private key.
    pub fn read(path: &Path, readers: Readers) -> Result<Option<Self>, KeysError> {
        let Some((mut file, bytes)) = open_private(path, readers)? else { return Ok(None) };
        if usize::try_from(bytes) != Ok(SECRET_LEN) {
            return Err(KeysError::SecretLength { path: path.to_path_buf(), bytes });
        }
        let mut secret = Zeroizing::new([0; SECRET_LEN]);
        file.read_exact(&mut *secret).map_err(|source| FileError::new(path, source))?;
        Ok(Some(Self(secret)))
    }

    /// Writes the file, unless it is there. Makes the folder.
    pub fn write(&self, path: &Path) -> Result<(), KeysError> {
        if let Some(folder) = path.parent() {
            durable::create_dir_all(folder, 0o700)?;
        }
        if !path.exists() {
            durable::create_new(path, self.as_bytes(), 0o600)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{Permissions, metadata, set_permissions};
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

    use super::*;

    #[test]
    fn a_secret_is_written_once_and_read_back_by_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys/a.audit");
        assert!(Secret::read(&path, Readers::Nobody).unwrap().is_none());
        let secret = Secret::generate().unwrap();
        secret.write(&path).unwrap();
        Secret::generate().unwrap().write(&path).unwrap();
        let found = Secret::read(&path, Readers::Nobody).unwrap().unwrap();
        assert_eq!(found.as_bytes(), secret.as_bytes());
        assert_eq!(metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(format!("{found:?}"), "Secret(..)");
        set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        let refused = Secret::read(&path, Readers::Nobody);
        assert!(matches!(refused, Err(KeysError::Readable { mode: 0o644, .. })), "{refused:?}");
    }

    #[test]
    fn a_file_of_another_length_is_no_secret() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.audit");
        for length in [0, 31, 33] {
            durable::replace(&path, &vec![1; length], 0o600).unwrap();
            let error = Secret::read(&path, Readers::Nobody).unwrap_err();
            assert!(matches!(error, KeysError::SecretLength { .. }), "{error}");
        }
    }
}
