//! `make demo` and `make demo-log`, as a stranger runs them, with the binaries of this test run.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use e2e::{Home, binary};

fn demo(script: &str, events: Option<&Path>) -> String {
    let profile = binary("cairn");
    let profile = profile.parent().expect("a binary lies in a folder");
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut demo = Command::new(root.join("scripts").join(script));
    demo.current_dir(&root).env("CAIRN_BIN", profile);
    match events {
        Some(dir) => demo.env("CAIRN_DEMO_EVENTS", dir),
        None => demo.env_remove("CAIRN_DEMO_EVENTS"),
    };
    let output = demo.output().expect("the script runs");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}{complained}");
    said
}

/// Two log files of `CloudTrail` with 300 records, every third a deletion.
fn cloudtrail(home: &Home) -> PathBuf {
    let record = |n: u32| {
        let name = if n.is_multiple_of(3) { "DeleteBucket" } else { "GetBucketAcl" };
        format!(
            r#"{{"eventVersion":"1.08","eventID":"{n}","eventName":"{name}","eventSource":"s3.amazonaws.com",
            "eventTime":"2026-03-01T00:05:00Z","awsRegion":"eu-west-1","recipientAccountId":"111122223333",
            "userIdentity":{{"type":"IAMUser","userName":"ana","principalId":"AIDA{n}"}},
            "requestParameters":{{"bucketName":"bucket-{n}"}}}}"#
        )
    };
    let records: Vec<_> = (0..300).map(record).collect();
    fs::create_dir(home.path("events")).expect("the folder is made");
    for (name, part) in [("a.json", &records[..120]), ("b.json", &records[120..])] {
        let text = format!(r#"{{"Records":[{}]}}"#, part.join(","));
        home.file(&format!("events/{name}"), text.as_bytes());
    }
    home.path("events")
}

#[test]
fn the_demo_finds_and_proves_cloudtrail_records_and_refuses_a_forged_one() {
    let home = Home::new();
    let said = demo("demo", Some(&cloudtrail(&home)));
    for line in [
        "verified one event and its receipt",
        "verified the evidence file with cairn verify-export",
        "verified it with a Python script of another make",
    ] {
        assert!(said.contains(line), "{said}");
    }
    assert!(said.contains("bucket-297"), "who deleted what: {said}");
    assert!(said.lines().any(|line| line.starts_with("REFUSED")), "{said}");
}

#[test]
fn the_demo_works_without_input() {
    let said = demo("demo", None);
    assert!(said.lines().any(|line| line.starts_with("REFUSED")), "{said}");
}

#[test]
fn the_demo_of_the_log_verifies_records_and_refuses_a_forged_one() {
    let home = Home::new();
    let said = demo("demo-log", Some(&cloudtrail(&home)));
    assert!(said.contains("300 entries"), "{said}");
    assert!(said.lines().any(|line| line.starts_with("REFUSED")), "{said}");
}

#[test]
fn the_demo_of_the_log_works_without_input() {
    let said = demo("demo-log", None);
    assert!(said.lines().any(|line| line.starts_with("REFUSED")), "{said}");
}
