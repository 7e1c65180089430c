//! The keys of logs: `keys/<log>`, private, and `keys/<log>.vkey` beside it.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use base::keys::{KeysError, Readers};
use base::secret::Secret;
use bytes::Bytes;
use formats::{
    Checkpoint, KeyFile, KeyKind, KeyName, NameError, Origin, PrivateKey, Signer, Timestamp,
    VerifierKey,
};
use sha2::{Digest as _, Sha256};
use thiserror::Error;

use crate::types::TreeView;
use storage::LogName;

/// Why keys cannot be used. Never holds any of their bytes.
#[derive(Debug, Error)]
pub enum KeyringError {
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Keys(#[from] KeysError),
    #[error("{}: key is named {found}, the log's origin is {origin}", path.display())]
    WrongName { path: PathBuf, found: KeyName, origin: Origin },
    #[error("{}: first key must be an Ed25519 key of a log", path.display())]
    WrongKind { path: PathBuf },
    #[error("{}: private key is missing although the log has entries: bring it back", path.display())]
    Missing { path: PathBuf },
    #[error("origin cannot be the name of a key: {source}")]
    Origin { source: NameError },
}

impl KeyringError {
    /// The system lacks open files or disk space: the same call may succeed later.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Io { source, .. } => base::durable::is_passing(source),
            Self::Keys(KeysError::File(error)) => base::durable::is_passing(&error.source),
            Self::Keys(_)
            | Self::WrongName { .. }
            | Self::WrongKind { .. }
            | Self::Missing { .. }
            | Self::Origin { .. } => false,
        }
    }
}

/// The private keys of one log: Ed25519 first.
pub struct LogKeys {
    file: KeyFile,
}

impl fmt::Debug for LogKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.verifier_keys()).finish()
    }
}

impl LogKeys {
    /// The public halves, in the order of the signatures.
    pub fn verifier_keys(&self) -> Vec<VerifierKey> {
        self.file.keys().iter().map(|key| key.verifier_key().clone()).collect()
    }

    /// The private keys, to be written.
    pub(crate) fn file(&self) -> &KeyFile {
        &self.file
    }

    /// A head as a note with the Ed25519 signature alone.
    pub(crate) fn sign_head(
        &self,
        origin: &Origin,
        view: &TreeView,
    ) -> Result<Bytes, formats::SignError> {
        let head = &view.head;
        formats::sign_head(origin, head.size, &head.root, &self.file.keys()[0]).map(Bytes::from)
    }

    /// A head as a note with the signatures of all keys.
    pub(crate) fn sign_all(
        &self,
        origin: &Origin,
        view: &TreeView,
    ) -> Result<Bytes, formats::SignError> {
        let head = Checkpoint::new(origin.clone(), view.head.size, view.head.root);
        let signers: Vec<&dyn Signer> =
            self.file.keys().iter().map(|key| key as &dyn Signer).collect();
        let time = Timestamp::new(view.head.time_ms / 1_000).unwrap_or(Timestamp::MAX);
        formats::sign(&head, &signers, time).map(Bytes::from)
    }
}

/// The folder of keys.
#[derive(Debug)]
pub(crate) struct Keyring {
    dir: PathBuf,
    readers: Readers,
}

impl Keyring {
    pub(crate) fn new(dir: PathBuf, readers: Readers) -> Self {
        Self { dir, readers }
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Every file in the folder counts as a key.
    pub(crate) fn is_empty(&self) -> Result<bool, KeyringError> {
        match std::fs::read_dir(&self.dir) {
            Ok(mut files) => Ok(files.next().is_none()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
            Err(source) => Err(KeyringError::Io { path: self.dir.clone(), source }),
        }
    }

    fn path(&self, log: &LogName) -> PathBuf {
        self.dir.join(log.as_str())
    }

    /// The keys of a log, `None` if there is no file. Writes the `.vkey` file if it is missing.
    pub(crate) fn load(&self, log: &LogName) -> Result<Option<KeyFile>, KeyringError> {
        let path = self.path(log);
        let Some(file) = base::keys::read(&path, self.readers)? else { return Ok(None) };
        if file.keys()[0].verifier_key().kind() != KeyKind::Ed25519 {
            return Err(KeyringError::WrongKind { path });
        }
        Ok(Some(file))
    }

    /// Checks that keys belong to a log, and makes them ready to sign.
    pub(crate) fn adopt(
        &self,
        log: &LogName,
        origin: &Origin,
        file: KeyFile,
    ) -> Result<LogKeys, KeyringError> {
        if file.name().as_str() != origin.as_str() {
            let (path, found) = (self.path(log), file.name().clone());
            return Err(KeyringError::WrongName { path, found, origin: origin.clone() });
        }
        Ok(LogKeys { file })
    }

    /// Writes the keys of a log: the private file, unless it is there, and the public one. An audit
    /// log's secret comes first.
    pub(crate) fn store(
        &self,
        log: &LogName,
        file: &KeyFile,
        secret: Option<&Secret>,
    ) -> Result<(), KeyringError> {
        if let Some(secret) = secret {
            self.store_secret(log, secret)?;
        }
        Ok(base::keys::write(&self.path(log), file)?)
    }

    fn secret_path(&self, log: &LogName) -> PathBuf {
        self.dir.join(format!("{log}.audit"))
    }

    pub(crate) fn store_secret(&self, log: &LogName, secret: &Secret) -> Result<(), KeyringError> {
        Ok(secret.write(&self.secret_path(log))?)
    }

    /// The secret of an audit log, `None` if there is no file.
    pub(crate) fn secret(&self, log: &LogName) -> Result<Option<Secret>, KeyringError> {
        Ok(Secret::read(&self.secret_path(log), self.readers)?)
    }

    /// The secret that a new audit log gets: the one that is there, or a fresh one.
    pub(crate) fn new_secret(&self, log: &LogName) -> Result<Secret, KeyringError> {
        match self.secret(log)? {
            Some(secret) => Ok(secret),
            None => Ok(Secret::generate()?),
        }
    }
}

/// Makes keys for a new log: Ed25519, and ML-DSA-44 beside it, so that a checkpoint kept today can
/// still be trusted when Ed25519 no longer is. Without an origin the log is named after its key.
pub(crate) fn generate(
    log: &LogName,
    origin: Option<&Origin>,
    hostname: &str,
) -> Result<KeyFile, KeyringError> {
    let (ed25519, ml_dsa) = (base::keys::seed()?, base::keys::seed()?);
    let name = match origin {
        Some(origin) => origin.key_name(),
        None => default_origin(log, hostname, &ed25519),
    };
    let name = name.map_err(|source| KeyringError::Origin { source })?;
    let keys =
        vec![PrivateKey::ed25519(name.clone(), &ed25519), PrivateKey::ml_dsa_44(name, &ml_dsa)];
    Ok(KeyFile::new(keys).expect("two kinds of keys under one name make a key file"))
}

/// `<hostname>/<log>/<16 hex of the key's hash>`: no two installations meet under one name.
fn default_origin(log: &LogName, hostname: &str, seed: &[u8; 32]) -> Result<KeyName, NameError> {
    let placeholder = KeyName::new(log.as_str())?;
    let key = PrivateKey::ed25519(placeholder, seed);
    let hash: [u8; 32] = Sha256::digest(key.verifier_key().public_key()).into();
    let hash = u64::from_be_bytes(hash[..8].try_into().expect("a hash has 32 bytes"));
    KeyName::new(&format!("{}/{log}/{hash:016x}", formats::host_part(hostname)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_has_an_origin_whatever_the_host_is_called() {
        let log = LogName::new(&"a".repeat(64)).unwrap();
        for hostname in ["log.example.com", "Anna's laptop", "c++", "", &"h".repeat(64)] {
            let file = generate(&log, None, hostname).unwrap();
            let origin = Origin::from(file.name().clone());
            assert_eq!(origin.as_str().split('/').count(), 3, "{origin}");
            assert!(origin.key_name().is_ok(), "{origin}");
        }
    }
}
