//! `cairn audit` of a folder: what the log signed is one thing, the auditor's own files another.

use std::fs;

use merkle::{Hash, bundle, tile};

use crate::common::{Folder, Run, TestLog};

/// Writes the public files of a log's first `size` entries, fewer than a tile.
fn mirror(folder: &Folder, name: &str, log: &TestLog, size: usize) {
    let entries: Vec<&[u8]> = (0..size).map(|index| log.entry(index)).collect();
    let leaves: Vec<Hash> = entries.iter().map(|entry| merkle::leaf_hash(entry)).collect();
    folder.file(&format!("{name}/tile/0/000.p/{size}"), tile::encode(&leaves));
    folder.file(&format!("{name}/tile/entries/000.p/{size}"), bundle::encode(&entries).unwrap());
    folder.file(&format!("{name}/checkpoint"), log.checkpoint(size).as_bytes());
}

/// A folder with the public files of a log of five, and a state of the audit of four.
fn audited() -> (Folder, TestLog) {
    let (folder, log) = (Folder::new(), TestLog::new(5, 1));
    folder.file("log.vkey", format!("{}\n", log.vkey()));
    mirror(&folder, "mirror", &log, 4);
    let first = audit(&folder, "mirror", "state");
    assert_eq!(first.exit, Some(0), "{first:?}");
    mirror(&folder, "mirror", &log, 5);
    (folder, log)
}

fn audit(folder: &Folder, source: &str, state: &str) -> Run {
    folder.cairn(["audit", source, "--vkey", "@log.vkey", "--resume", state])
}

#[test]
fn a_state_that_cannot_be_used_is_named_and_says_nothing_about_the_log() {
    let (folder, _) = audited();
    let good = fs::read(folder.path("state")).unwrap();
    let text = String::from_utf8(good.clone()).unwrap();
    let root = text.lines().nth(2).unwrap();
    let signed = text.lines().rev().find(|line| line.starts_with("— ")).unwrap();
    for (what, bytes) in [
        ("empty", Vec::new()),
        ("torn", good[..good.len() / 2].to_vec()),
        ("other root", text.replace(root, &format!("root {}", Hash::EMPTY_ROOT)).into_bytes()),
        ("unsigned", text.replace(signed, &signed.replace('=', "A")).into_bytes()),
        ("of Windows", text.replace('\n', "\r\n").into_bytes()),
    ] {
        folder.file("state", bytes);
        let run = audit(&folder, "mirror", "state");
        assert_eq!(run.exit, Some(2), "{what}: {run:?}");
        assert!(run.stderr.contains("state"), "{what}: {run:?}");
        assert!(run.stderr.contains("  try: pass the state of an audit"), "{what}: {run:?}");
        assert!(!run.stderr.contains("operator"), "{what}: {run:?}");
    }
    fs::create_dir(folder.path("folder")).unwrap();
    for (place, exit) in [("folder", 2), ("log.vkey/state", 2), ("/dev/full", 2), ("no/state", 2)] {
        let run = audit(&folder, "mirror", place);
        assert_eq!(run.exit, Some(exit), "{place}: {run:?}");
        assert!(run.stderr.contains(place), "{place}: {run:?}");
    }
    folder.file("state", good);
    assert_eq!(audit(&folder, "mirror", "state").exit, Some(0));
}

#[test]
fn a_state_of_another_log_is_the_auditors_mistake() {
    let (folder, log) = audited();
    let other = TestLog::of_origin("example.com/other", 3, 2);
    mirror(&folder, "other", &other, 3);
    let keys = format!("{}\n{}\n", log.vkey(), other.vkey());
    folder.file("log.vkey", keys);
    let run = audit(&folder, "other", "state");
    assert_eq!(run.exit, Some(2), "{run:?}");
    assert!(run.stderr.contains("cannot go on from state"), "{run:?}");
}

#[test]
fn a_state_that_cannot_be_saved_leaves_the_verdict() {
    let (folder, _) = audited();
    let before = fs::read(folder.path("state")).unwrap();
    let args = ["audit", "mirror", "--vkey", "@log.vkey", "--resume", "state"];
    let run = folder.cairn_on_a_full_disk(args);
    assert_eq!(run.exit, Some(3), "{run:?}");
    assert!(run.stdout.starts_with("verified: "), "{run:?}");
    assert!(run.stderr.contains("the audit state state cannot be saved"), "{run:?}");
    assert_eq!(fs::read(folder.path("state")).unwrap(), before);
}

#[test]
fn what_the_log_signed_is_a_finding_and_what_is_no_checkpoint_is_none() {
    let (folder, log) = audited();
    let forged = TestLog::of_history("forged", 5, 1);
    let tile = folder.path("mirror/tile/0/000.p/5");
    let good = fs::read(&tile).unwrap();
    folder.file("mirror/tile/0/000.p/5", [&good[..5], &[good[5] ^ 1], &good[6..]].concat());
    let run = audit(&folder, "mirror", "new-state");
    assert_eq!(run.exit, Some(1), "{run:?}");
    folder.file("mirror/tile/0/000.p/5", &good);
    folder.file("mirror/checkpoint", forged.checkpoint(5).as_bytes());
    let run = audit(&folder, "mirror", "new-state");
    assert_eq!(run.exit, Some(1), "the root is another: {run:?}");

    for bytes in ["", "<html>no such page</html>\n"] {
        folder.file("mirror/checkpoint", bytes);
        let run = audit(&folder, "mirror", "new-state");
        assert_eq!(run.exit, Some(2), "{bytes:?}: {run:?}");
        assert!(!run.stderr.contains("operator"), "{bytes:?}: {run:?}");
    }
    folder.file("mirror/checkpoint", log.checkpoint(5).as_bytes());
    assert_eq!(audit(&folder, "mirror", "new-state").exit, Some(0));
    let run = audit(&folder, "mirror/checkpoint", "new-state");
    assert_eq!(run.exit, Some(2), "a file is no folder: {run:?}");
}

#[test]
fn evidence_that_cannot_be_kept_is_printed_and_stays_a_finding() {
    let (folder, _) = audited();
    let forged = TestLog::of_history("forged", 5, 1);
    mirror(&folder, "mirror", &forged, 5);
    let args = ["audit", "mirror", "--vkey", "@log.vkey", "--resume", "state", "--state"];
    let kept = folder.cairn(args.iter().chain(&["kept"]));
    assert_eq!(kept.exit, Some(1), "{kept:?}");
    assert!(kept.stderr.contains("the evidence is in kept/evidence/fork-4-5-"), "{kept:?}");

    let lost = folder.cairn(args.iter().chain(&["log.vkey"]));
    assert_eq!(lost.exit, Some(1), "{lost:?}");
    assert!(lost.stderr.contains("cannot be kept in log.vkey/evidence"), "{lost:?}");
    let (evidence, _) = lost.stderr.split_once("error: ").unwrap();
    folder.file("printed", evidence.strip_suffix('\n').unwrap());
    let verified = folder.cairn(["verify-evidence", "printed", "--vkey", "@log.vkey"]);
    assert_eq!(verified.exit, Some(0), "{verified:?}");
}
