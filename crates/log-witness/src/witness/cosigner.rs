//! The witness's own keys.

use std::path::{Path, PathBuf};

use base::keys::{KeysError, Readers};
use formats::note::{NoteError, UnverifiedNote};
use formats::{
    KeyFile, KeyKind, KeyName, NameError, PrivateKey, SignError, SignedCheckpoint, Signer as _,
    Timestamp, VerifiedCheckpoint, VerifiedSignature, VerifierKey,
};
use sha2::{Digest as _, Sha256};

/// Why the witness has no keys to sign with.
#[derive(Debug, thiserror::Error)]
pub enum CosignerError {
    #[error(transparent)]
    Keys(#[from] KeysError),
    #[error("a witness cannot be named {name:?}: {source}; choose a name with --name NAME")]
    Name { name: String, source: NameError },
    #[error("{path}: the keys are named {found}, not {asked}: --name is for the first start alone", path = path.display())]
    OtherName { path: PathBuf, found: KeyName, asked: String },
}

/// Signs for the witness, with every key of its file: during a rotation, the old and the new ones.
#[derive(Debug)]
pub struct Cosigner {
    keys: Vec<PrivateKey>,
    public: Vec<VerifierKey>,
}

impl Cosigner {
    /// The keys of the file at `path`. Makes an Ed25519 and an ML-DSA-44 key where there is no file; `name`
    /// is theirs then, by default the host's name and a hash of the first key. Writes the public halves
    /// beside the file.
    pub fn open(
        path: &Path,
        readers: Readers,
        name: Option<&str>,
        hostname: &str,
    ) -> Result<Self, CosignerError> {
        let file = match base::keys::read(path, readers)? {
            Some(file) => file,
            None => generate(name, hostname)?,
        };
        if let Some(asked) = name.filter(|asked| *asked != file.name().as_str()) {
            let (path, found) = (path.to_owned(), file.name().clone());
            return Err(CosignerError::OtherName { path, found, asked: asked.to_owned() });
        }
        // The private file stays as it is; the public one says what is signed with.
        let file = to_cosigners(&file);
        base::keys::write(path, &file)?;
        Ok(Self::new(&file))
    }

    /// Ready to sign. Keys that other tools wrote with the type of a log's key become cosigning keys.
    pub fn new(file: &KeyFile) -> Self {
        let keys = to_cosigners(file).into_keys();
        let public = keys.iter().map(|key| key.verifier_key().clone()).collect();
        Self { keys, public }
    }

    /// The public halves, in the order of the cosignatures.
    pub fn verifier_keys(&self) -> &[VerifierKey] {
        &self.public
    }

    /// The cosignature lines of a checkpoint, each ended.
    pub(super) fn cosign(
        &self,
        verified: &VerifiedCheckpoint,
        time: Timestamp,
    ) -> Result<String, SignError> {
        let mut lines = String::with_capacity(256);
        for key in &self.keys {
            key.sign_checkpoint(verified.checkpoint(), time)?.push_to(&mut lines);
        }
        Ok(lines)
    }

    /// The lines of the keys that sign subtrees; `None` if there is no such key.
    pub(super) fn sign_subtree(
        &self,
        request: &formats::SignSubtree,
    ) -> Result<Option<String>, SignError> {
        let mut lines = String::new();
        let signs = |key: &&PrivateKey| key.verifier_key().kind() == KeyKind::CosignatureMlDsa44;
        for key in self.keys.iter().filter(signs) {
            let origin = request.checkpoint().origin();
            key.sign_subtree(origin, request.subtree(), request.hash())?.push_to(&mut lines);
        }
        Ok(Some(lines).filter(|lines| !lines.is_empty()))
    }

    /// The latest time that valid cosignatures of ours on a checkpoint state.
    pub(super) fn cosigned_at(&self, signed: &SignedCheckpoint) -> Result<Timestamp, NoteError> {
        let note = UnverifiedNote::parse(signed.as_bytes())?;
        let verified = note.verify(&self.public)?;
        let times = verified.signatures().iter().filter_map(VerifiedSignature::time);
        Ok(times.max().unwrap_or(Timestamp::ZERO))
    }

    /// Whether a checkpoint carries a line that says it is ours. Costs no verification.
    pub(super) fn may_have_cosigned(&self, signed: &SignedCheckpoint) -> bool {
        let ours = |name: &str, id| {
            self.public.iter().any(|key| key.id() == id && key.name().as_str() == name)
        };
        signed.signatures().any(|line| ours(line.name, line.id))
    }
}

fn to_cosigners(file: &KeyFile) -> KeyFile {
    let keys = file.keys().iter().map(PrivateKey::to_cosigner).collect();
    KeyFile::new(keys).expect("their names, order and seeds are those of a key file")
}

fn generate(name: Option<&str>, hostname: &str) -> Result<KeyFile, CosignerError> {
    let (ed25519, ml_dsa) = (base::keys::seed()?, base::keys::seed()?);
    let name = name.map_or_else(|| default_name(hostname, &ed25519), ToOwned::to_owned);
    let name = KeyName::new(&name).map_err(|source| CosignerError::Name { name, source })?;
    let keys = vec![
        PrivateKey::cosigner_ed25519(name.clone(), &ed25519),
        PrivateKey::ml_dsa_44(name, &ml_dsa),
    ];
    Ok(KeyFile::new(keys).expect("two kinds of keys under one name make a key file"))
}

/// `<hostname>/witness/<16 hex of the key's hash>`: no two installations share a name.
fn default_name(hostname: &str, seed: &[u8; 32]) -> String {
    let placeholder = KeyName::new("witness").expect("a word is a name");
    let key = PrivateKey::cosigner_ed25519(placeholder, seed);
    let hash: [u8; 32] = Sha256::digest(key.verifier_key().public_key()).into();
    let hash = u64::from_be_bytes(hash[..8].try_into().expect("a hash has 32 bytes"));
    format!("{}/witness/{hash:016x}", formats::host_part(hostname))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(folder: &tempfile::TempDir) -> PathBuf {
        folder.path().join("keys/witness")
    }

    #[test]
    fn a_host_of_any_name_is_a_witness() {
        for hostname in ["Anna's laptop", "c++", "", "a\nb"] {
            let folder = tempfile::tempdir().unwrap();
            let made = Cosigner::open(&path(&folder), Readers::Nobody, None, hostname).unwrap();
            let again = Cosigner::open(&path(&folder), Readers::Nobody, None, "other").unwrap();
            assert_eq!(made.verifier_keys(), again.verifier_keys(), "{hostname:?}");
        }
    }

    #[test]
    fn keys_are_made_once() {
        let folder = tempfile::tempdir().unwrap();
        let made = Cosigner::open(&path(&folder), Readers::Nobody, None, "host").unwrap();
        let [ed25519, ml_dsa] = made.verifier_keys() else { panic!("two keys are made") };
        assert_eq!(ed25519.kind(), KeyKind::CosignatureEd25519);
        assert_eq!(ml_dsa.kind(), KeyKind::CosignatureMlDsa44);
        assert!(ed25519.name().as_str().starts_with("host/witness/"));
        let again = Cosigner::open(&path(&folder), Readers::Nobody, None, "other").unwrap();
        assert_eq!(again.verifier_keys(), made.verifier_keys());
        let public = std::fs::read_to_string(folder.path().join("keys/witness.vkey")).unwrap();
        assert_eq!(public, format!("{ed25519}\n{ml_dsa}\n"));
    }

    #[test]
    fn a_name_is_for_the_first_start_alone() {
        let folder = tempfile::tempdir().unwrap();
        let named =
            Cosigner::open(&path(&folder), Readers::Nobody, Some("example.com/w"), "host").unwrap();
        assert_eq!(named.verifier_keys()[0].name().as_str(), "example.com/w");
        assert!(
            Cosigner::open(&path(&folder), Readers::Nobody, Some("example.com/w"), "host").is_ok()
        );
        let error = Cosigner::open(&path(&folder), Readers::Nobody, Some("example.com/v"), "host")
            .unwrap_err();
        assert!(matches!(error, CosignerError::OtherName { .. }));
        let bad = tempfile::tempdir().unwrap();
        let error = Cosigner::open(&path(&bad), Readers::Nobody, Some("a b"), "host").unwrap_err();
        assert!(matches!(error, CosignerError::Name { .. }));
        assert!(!path(&bad).exists());
    }

    #[test]
    fn keys_of_other_tools_become_cosigning_keys() {
        let folder = tempfile::tempdir().unwrap();
        let name = KeyName::new("example.com/w").unwrap();
        let file = KeyFile::new(vec![PrivateKey::ed25519(name, &[1; 32])]).unwrap();
        base::keys::write(&path(&folder), &file).unwrap();
        let cosigner = Cosigner::open(&path(&folder), Readers::Nobody, None, "host").unwrap();
        assert_eq!(cosigner.verifier_keys()[0].kind(), KeyKind::CosignatureEd25519);
        let public = std::fs::read_to_string(folder.path().join("keys/witness.vkey")).unwrap();
        assert_eq!(public, format!("{}\n", cosigner.verifier_keys()[0]));
    }
}
