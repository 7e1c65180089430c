//! What the writer leaves, and what it refuses.

use std::path::Path;

use audit_event::evidence::{Finding, Status};
use evidence_file::write::{Target, WriteError};
use evidence_file::{Options, Writer, verify};
use formats::Trust;

use crate::kit::log::{Export, Log, all_views, key};
use crate::kit::read_folder;

fn names(folder: &Path) -> Vec<String> {
    let name = |entry: std::io::Result<std::fs::DirEntry>| entry.unwrap().file_name();
    let mut names: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(name).map(|it| it.into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_writer_that_is_dropped_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (log, path) = (Log::of(3), folder.path().join("e"));
    for target in [Target::Folder(&path), Target::Zip(&path)] {
        let mut writer = Writer::create(target, all_views(), log.checkpoint()).unwrap();
        writer.push(&log.lines[0]).unwrap();
        assert_eq!(names(folder.path()), [".e.tmp"]);
        drop(writer);
        assert_eq!(names(folder.path()), [""; 0]);
    }
}

#[test]
fn nothing_is_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let (log, path) = (Log::of(3), folder.path().join("e"));
    let export = Export::whole(&log.lines);
    log.write(Target::Zip(&path), Options::default(), &export);
    for target in [Target::Folder(&path), Target::Zip(&path)] {
        let refused = Writer::create(target, Options::default(), log.checkpoint()).unwrap_err();
        assert!(matches!(refused, WriteError::Exists { .. }));
    }
    assert_eq!(names(folder.path()), ["e"]);
}

#[test]
fn a_file_left_by_a_crash_is_no_obstacle() {
    let folder = tempfile::tempdir().unwrap();
    let (log, path) = (Log::of(3), folder.path().join("e"));
    std::fs::create_dir(folder.path().join(".e.tmp")).unwrap();
    std::fs::create_dir(folder.path().join(".e.tmp/proofs")).unwrap();
    log.write(Target::Folder(&path), Options::default(), &Export::whole(&log.lines));
    assert_eq!(names(folder.path()), ["e"]);
}

#[test]
fn events_come_in_order_and_with_their_proofs() {
    let folder = tempfile::tempdir().unwrap();
    let (log, path) = (Log::of(5), folder.path().join("e"));
    let target = Target::Folder(&path);
    let begin = || Writer::create(target, Options::default(), log.checkpoint()).unwrap();
    let mut writer = begin();
    writer.push(&log.lines[2]).unwrap();
    for line in [&log.lines[2], &log.lines[1]] {
        assert!(matches!(writer.push(line), Err(WriteError::Order { .. })));
    }
    let beyond = Log::of(6).lines[5].clone();
    assert!(matches!(writer.push(&beyond), Err(WriteError::Order { .. })));
    let other = log.proof(&[(log.lines[3].index, log.lines[3].leaf_hash())]);
    assert!(matches!(writer.proof(&other), Err(WriteError::Proof { .. })));
    drop(writer);
    let mut writer = begin();
    assert!(matches!(writer.proof(&other), Err(WriteError::ProofOrder)));
}

#[test]
fn the_same_events_give_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let log = Log::of(9);
    let export = Export::whole(&log.lines);
    for deflate in [false, true] {
        let options = Options { deflate, ..all_views() };
        let made = ["one", "other"].map(|name| {
            let path = folder.path().join(format!("{name}-{deflate}"));
            log.write(Target::Zip(&path), options, &export);
            std::fs::read(path).unwrap()
        });
        assert!(made[0] == made[1]);
    }
}

#[test]
fn the_files_for_people_say_what_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let (log, path) = (Log::of(11), folder.path().join("e"));
    log.write(Target::Folder(&path), all_views(), &Export::of(&log.lines[2..5]));
    let files = read_folder(&path);
    let text = String::from_utf8(files["READ ME FIRST.txt"].clone()).unwrap();
    insta::assert_snapshot!(text);
    assert!(files["verify.html"].starts_with(b"<!doctype html>"));
}

#[test]
fn a_finding_names_line_and_index() {
    let folder = tempfile::tempdir().unwrap();
    let (log, path) = (Log::of(11), folder.path().join("e"));
    log.write(Target::Folder(&path), Options::default(), &Export::of(&log.lines[4..7]));
    let mut files = read_folder(&path);
    let text = String::from_utf8(files["events.ndjson"].clone()).unwrap().replace("u-5", "u-x");
    files.insert("events.ndjson".into(), text.into_bytes());
    crate::kit::write_folder(&path, &files);
    let trust = Trust::Keys(vec![key().verifier_key().clone()]);
    let verdict = verify(&path, &trust, |_| {}).unwrap();
    assert_eq!(verdict.status(), Status::DoesNotHold);
    let findings = &verdict.report.findings;
    assert!(matches!(findings[0], Finding::File { .. }), "{findings:?}");
    assert!(matches!(findings[1], Finding::Block { line: 2, .. }), "{findings:?}");
    assert_eq!(verdict.indexes.get(&2).map(|it| it.get()), Some(5));
}

#[test]
fn what_is_not_there_says_nothing_about_evidence() {
    let folder = tempfile::tempdir().unwrap();
    let trust = Trust::Keys(vec![key().verifier_key().clone()]);
    let missing = verify(&folder.path().join("e"), &trust, |_| {}).unwrap_err();
    assert_eq!(missing.source.kind(), std::io::ErrorKind::NotFound);
}
