//! `cairn keygen`, run for real.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::common::Folder;
use formats::{KeyFile, KeyKind, VerifierKey};

fn kinds(vkeys: &str) -> Vec<KeyKind> {
    vkeys.lines().map(|vkey| VerifierKey::parse(vkey).unwrap().kind()).collect()
}

#[test]
fn a_log_key_file_holds_both_keys_and_only_its_owner_reads_it() {
    let folder = Folder::new();
    let run = folder.cairn(["keygen", "--name", "example.com/log", "--out", "log.key"]);
    assert_eq!(run.exit, Some(0), "{run:?}");
    assert_eq!(kinds(&run.stdout), [KeyKind::Ed25519, KeyKind::CosignatureMlDsa44]);
    let path = folder.path("log.key");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let keys = KeyFile::parse(&fs::read_to_string(&path).unwrap()).unwrap();
    assert_eq!(keys.format_vkeys(), run.stdout);
}

#[test]
fn a_witness_signs_cosignatures_with_both_keys() {
    let folder = Folder::new();
    let args = ["keygen", "--kind", "witness", "--name", "w.example/1", "--out", "w.key", "--json"];
    let run = folder.cairn(args);
    let made: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    let vkeys = made["vkeys"].as_array().unwrap();
    let kind = |n: usize| VerifierKey::parse(vkeys[n].as_str().unwrap()).unwrap().kind();
    assert_eq!([kind(0), kind(1)], [KeyKind::CosignatureEd25519, KeyKind::CosignatureMlDsa44]);
}

#[test]
fn split_keys_lie_in_two_files() {
    let folder = Folder::new();
    let args = ["keygen", "--name", "example.com/log", "--out", "log.key", "--split"];
    let run = folder.cairn(args);
    assert_eq!(run.exit, Some(0), "{run:?}");
    let of = |name| {
        let text = fs::read_to_string(folder.path(name)).unwrap();
        KeyFile::parse(&text).unwrap().format_vkeys()
    };
    assert_eq!(kinds(&of("log.key")), [KeyKind::Ed25519]);
    assert_eq!(kinds(&of("log.key.mldsa")), [KeyKind::CosignatureMlDsa44]);
    assert_eq!(of("log.key") + &of("log.key.mldsa"), run.stdout);
}

#[test]
fn two_runs_never_make_the_same_key() {
    let folder = Folder::new();
    let make = |out| folder.cairn(["keygen", "--name", "example.com/log", "--out", out]).stdout;
    assert_ne!(make("a"), make("b"));
}

#[test]
fn an_existing_file_is_kept() {
    let folder = Folder::new();
    folder.file("log.key", "precious");
    let run = folder.cairn(["keygen", "--name", "example.com/log", "--out", "log.key"]);
    insta::assert_snapshot!(run.shown());
    assert_eq!(fs::read_to_string(folder.path("log.key")).unwrap(), "precious");

    folder.file("half.key.mldsa", "precious");
    let args = ["keygen", "--name", "example.com/log", "--out", "half.key", "--split"];
    assert_eq!(folder.cairn(args).exit, Some(2));
    assert!(!folder.path("half.key").exists(), "no half of a pair is left");
}

#[test]
fn a_bad_name_makes_nothing() {
    let folder = Folder::new();
    let run = folder.cairn(["keygen", "--name", "two words", "--out", "log.key"]);
    insta::assert_snapshot!(run.shown());
    assert!(!folder.path("log.key").exists());
}
