//! `cairn verify-evidence`, run for real.

use formats::Evidence;

use crate::common::{Folder, Run, TestLog};

/// What the log signed first, and what it showed later, as evidence and key in files.
fn fork() -> (Folder, TestLog, TestLog) {
    let (folder, log) = (Folder::new(), TestLog::new(12, 1));
    let forged = TestLog::of_history("forged", 12, 1);
    folder.file("log.vkey", format!("{}\n", log.vkey()));
    folder.file("evidence", of_sizes(&log, &forged, 6, 8));
    (folder, log, forged)
}

fn of_sizes(one: &TestLog, other: &TestLog, from: usize, to: usize) -> Vec<u8> {
    let hashes = other.prefix_hashes(from, to);
    Evidence::of_sizes(one.checkpoint(from), other.checkpoint(to), hashes).unwrap().format()
}

fn of_same_size(one: &TestLog, other: &TestLog, size: usize) -> Vec<u8> {
    Evidence::of_same_size(one.checkpoint(size), other.checkpoint(size)).unwrap().format()
}

fn verify(folder: &Folder, file: &str) -> Run {
    folder.cairn(["verify-evidence", file, "--vkey", "@log.vkey"])
}

#[test]
fn a_log_that_contradicted_itself_is_named() {
    let (folder, log, forged) = fork();
    insta::assert_snapshot!(verify(&folder, "evidence").shown());
    folder.file("same-size", of_same_size(&log, &forged, 7));
    insta::assert_snapshot!(verify(&folder, "same-size").shown());
    let quiet = folder.cairn(["verify-evidence", "evidence", "--vkey", "@log.vkey", "--quiet"]);
    assert_eq!((quiet.exit, quiet.stdout.as_str()), (Some(0), ""));
    let json = folder.cairn(["verify-evidence", "evidence", "--vkey", "@log.vkey", "--json"]);
    let verdict: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(verdict["misbehaved"], true);
    assert_eq!(verdict["claim"], "not-continued");
    assert_eq!(verdict["sizes"], serde_json::json!([6, 8]));
    // By the keys of a policy's logs, whatever its quorum.
    folder.file("policy", format!("log {}\nquorum none\n", log.vkey()));
    let by_policy = folder.cairn(["verify-evidence", "evidence", "--policy", "policy"]);
    assert_eq!(by_policy.exit, Some(0));
}

#[test]
fn what_an_honest_log_signed_shows_nothing() {
    let (folder, log, forged) = fork();
    folder.file("continues", of_sizes(&log, &log, 6, 8));
    insta::assert_snapshot!(verify(&folder, "continues").shown());
    folder.file("same-head", of_same_size(&log, &log, 7));
    assert_eq!(verify(&folder, "same-head").exit, Some(1));
    // A proof of another tree than the one signed.
    let hashes = forged.prefix_hashes(6, 8);
    let junk = Evidence::of_sizes(log.checkpoint(6), log.checkpoint(8), hashes).unwrap();
    folder.file("junk", junk.format());
    assert_eq!(verify(&folder, "junk").exit, Some(1));
    // Signed by someone else.
    let stranger = TestLog::of_history("forged", 12, 2);
    folder.file("stranger", of_same_size(&log, &stranger, 7));
    insta::assert_snapshot!(verify(&folder, "stranger").shown());
    let json = folder.cairn(["verify-evidence", "stranger", "--vkey", "@log.vkey", "--json"]);
    let verdict: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!((json.exit, &verdict["misbehaved"]), (Some(1), &false.into()));
}

#[test]
fn what_is_no_evidence_is_unusable() {
    let (folder, log, _) = fork();
    folder.file("empty", "");
    folder.file("checkpoint", log.checkpoint(6).as_bytes());
    folder.file("large", vec![b'a'; 266_241]);
    for file in ["empty", "checkpoint", "large", "absent", "log.vkey"] {
        let run = verify(&folder, file);
        assert_eq!(run.exit, Some(2), "{file}: {run:?}");
    }
    insta::assert_snapshot!(verify(&folder, "checkpoint").shown());
    let no_key = folder.cairn(["verify-evidence", "evidence"]);
    assert_eq!(no_key.exit, Some(2), "{no_key:?}");
}
