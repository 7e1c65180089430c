//! What the scripts that build share between checkouts: the archive of `RocksDB`, and nothing else.

#![expect(clippy::unwrap_used, reason = "a test fails where its fixtures do")]

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use e2e::{stderr_of, stdout_of};

/// A checkout with the real `scripts/env`, and a `scripts/rocksdb` that does what `script` says.
fn checkout(folder: &Path, name: &str, script: &str) -> PathBuf {
    let (root, scripts) = (folder.join(name), folder.join(name).join("scripts"));
    fs::create_dir_all(&scripts).unwrap();
    let env = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/env");
    fs::copy(env, scripts.join("env")).unwrap();
    fs::write(scripts.join("rocksdb"), format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(scripts.join("rocksdb"), Permissions::from_mode(0o755)).unwrap();
    root
}

/// Sources `scripts/env` as an interactive shell does, and says what it set.
fn sourced(root: &Path) -> Output {
    let script = "source scripts/env; code=$?
        echo \"$CARGO_TARGET_DIR ${ROCKSDB_LIB_DIR-none}\"; exit $code";
    let mut bash = Command::new("bash");
    bash.args(["-c", script]).current_dir(root).env("CARGO_TARGET_DIR", "/of/another/checkout");
    bash.env_remove("ROCKSDB_LIB_DIR").output().unwrap()
}

#[test]
fn checkouts_share_rocksdb_and_have_target_folders_of_their_own() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().canonicalize().unwrap();
    let archive = folder.join("rocksdb");
    fs::create_dir(&archive).unwrap();
    fs::write(archive.join("librocksdb.a"), "").unwrap();
    let script = format!("echo {}", archive.display());
    for name in ["one", "another"] {
        let root = checkout(&folder, name, &script);
        let expected = format!("{} {}\n", root.join("target").display(), archive.display());
        assert_eq!(stdout_of(&sourced(&root)), expected);
    }
}

#[test]
fn without_rocksdb_nothing_is_built() {
    let folder = tempfile::tempdir().unwrap();
    for (name, script) in [("fails", "exit 1"), ("lies", "echo /no/such/folder"), ("silent", "")] {
        let sourced = sourced(&checkout(folder.path(), name, script));
        assert!(!sourced.status.success(), "{name}");
        assert!(stderr_of(&sourced).contains("scripts/rocksdb"), "{name}");
        let said = String::from_utf8_lossy(&sourced.stdout).into_owned();
        assert!(said.ends_with(" none\n"), "{name}: {said}");
    }
}
