//! What each of the given files is: a log file, a digest, metadata of objects, or public keys.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::cloudtrail::Signatures;
use crate::cloudtrail::chain::DigestFile;
use crate::cloudtrail::digest::{Digest, Sha256Hash};
use crate::cloudtrail::keys::PublicKeys;
use crate::commands::import::given;

/// Names of files that may lie beside a folder.
const BESIDE: [&str; 2] = ["head-objects.json", "public-keys.json"];
/// The member of an object's metadata, as tools print it and as it is on the wire.
const SIGNATURE: [&str; 2] = ["signature", "x-amz-meta-signature"];

/// A log file. It is read again when it is sent.
#[derive(Clone, Debug)]
pub(super) struct LogFile {
    pub(super) path: PathBuf,
    pub(super) name: String,
    /// Of the unpacked file.
    pub(super) sha256: Sha256Hash,
}

impl LogFile {
    pub(super) fn is_same(&self, bytes: &[u8]) -> bool {
        self.sha256 == <Sha256Hash>::from(Sha256::digest(bytes))
    }
}

/// Everything that was given.
#[derive(Debug, Default)]
pub(super) struct Given {
    pub(super) logs: Vec<LogFile>,
    pub(super) digests: Vec<DigestFile>,
    pub(super) signatures: Signatures,
    pub(super) keys: PublicKeys,
    /// A file of keys that lies among the others, or beside them.
    pub(super) keys_beside: Option<PathBuf>,
    /// Files that are none of these, and why.
    pub(super) unusable: Vec<(PathBuf, String)>,
}

/// What an object's metadata says; other members are not looked at.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct HeadObject {
    key: String,
    metadata: serde_json::Map<String, Value>,
}

impl Given {
    /// Takes a file for what it is. Keys among the files are taken only where no others are named.
    pub(super) fn read(&mut self, path: &Path, takes_keys: bool) {
        let bytes = match given::unpacked(path) {
            Ok(bytes) => bytes,
            Err(error) => return self.unusable.push((path.to_owned(), error.to_string())),
        };
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if let Some(digest) = Digest::parse(&bytes) {
            self.digests.push(DigestFile { name, digest });
        } else if let Some(objects) = head_objects(&bytes) {
            for HeadObject { key, metadata } in objects {
                let signature = SIGNATURE.iter().find_map(|it| metadata.get(*it)?.as_str());
                if let Some(signature) = signature {
                    self.signatures.insert(&key, signature.to_owned());
                }
            }
        } else if PublicKeys::default().read(&bytes) {
            if takes_keys && self.keys.read(&bytes) {
                self.keys_beside = Some(path.to_owned());
            }
        } else if audit_event::mapping::cloudtrail::split(&bytes).is_ok() {
            let sha256 = Sha256::digest(&bytes).into();
            self.logs.push(LogFile { path: path.to_owned(), name, sha256 });
        } else {
            let why = "it is neither a log file nor a digest of CloudTrail";
            self.unusable.push((path.to_owned(), why.to_owned()));
        }
    }
}

/// A list of objects' metadata, or that of one.
fn head_objects(bytes: &[u8]) -> Option<Vec<HeadObject>> {
    let one = || serde_json::from_slice(bytes).ok().map(|object| vec![object]);
    match bytes.trim_ascii_start().first()? {
        b'[' => serde_json::from_slice(bytes).ok(),
        b'{' => one(),
        _ => None,
    }
}

/// Files of metadata and keys that lie beside the folders that are given.
pub(super) fn beside(paths: &[PathBuf]) -> Vec<PathBuf> {
    let folders = paths.iter().filter(|path| path.is_dir());
    let parents = folders.filter_map(|path| Some(path.canonicalize().ok()?.parent()?.to_owned()));
    let files = parents.flat_map(|folder| BESIDE.map(|name| folder.join(name)));
    let is_given = |file: &PathBuf| {
        paths.iter().any(|path| path.canonicalize().is_ok_and(|path| file.starts_with(&path)))
    };
    let mut files: Vec<_> = files.filter(|file| file.is_file() && !is_given(file)).collect();
    files.sort_unstable();
    files.dedup();
    files
}
