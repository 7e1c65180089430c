//! Evidence files of every kind, good and damaged, made of seeds: no server, no clock, the same bytes in
//! each run.

pub mod cases;
pub mod damages;
pub mod log;
pub mod raw_zip;

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::Path;

use audit_event::evidence::Manifest;
use audit_event::evidence::manifest::FileFact;
use sha2::{Digest as _, Sha256};

/// Files by name.
pub type Files = BTreeMap<String, Vec<u8>>;

/// How a file of the kit is to be verified, and with which exit status.
#[derive(Debug, Clone)]
pub struct Expected {
    /// Name of the archive or folder.
    pub name: String,
    /// Exit status.
    pub status: u8,
    /// What follows the name on the command line.
    pub arguments: Vec<String>,
}

/// The files of a folder.
pub fn read_folder(folder: &Path) -> Files {
    let mut files = Files::new();
    for (path, prefix) in [(folder.to_owned(), ""), (folder.join("proofs"), "proofs/")] {
        let Ok(entries) = fs::read_dir(&path) else { continue };
        for entry in entries {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_file() {
                let name = format!("{prefix}{}", entry.file_name().to_str().unwrap());
                files.insert(name, fs::read(entry.path()).unwrap());
            }
        }
    }
    files
}

/// Writes a folder of these files.
pub fn write_folder(folder: &Path, files: &Files) {
    for (name, bytes) in files {
        write_file(&folder.join(name), bytes);
    }
}

/// Writes a file.
pub fn write_file(path: &Path, bytes: &[u8]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let file = OpenOptions::new().write(true).create(true).truncate(true).open(path);
    file.unwrap().write_all(bytes).unwrap();
}

/// Writes the manifest anew, so that it agrees with the other files.
pub fn seal(files: &mut Files) {
    let mut manifest = Manifest::parse(&files["manifest.json"]).unwrap();
    let others = files.iter().filter(|(name, _)| *name != "manifest.json");
    let fact = |bytes: &Vec<u8>| FileFact {
        bytes: bytes.len().try_into().unwrap(),
        sha256: Sha256::digest(bytes).into(),
    };
    manifest.files = others.map(|(name, bytes)| (name.clone(), fact(bytes))).collect();
    files.insert("manifest.json".into(), manifest.write().into_bytes());
}
