//! `make demo`, as a stranger runs it, with the binaries of this test run.

use std::{fs, path::Path, process::Command};

use e2e::{Home, binary};

fn demo(events: Option<&Path>) -> String {
    let profile = binary("cairn");
    let profile = profile.parent().expect("a binary lies in a folder");
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut demo = Command::new(root.join("scripts/demo"));
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

#[test]
fn the_demo_verifies_cloudtrail_records_and_refuses_a_forged_one() {
    let home = Home::new();
    let records: Vec<_> =
        (0..300).map(|n| format!(r#"{{"eventName":"GetObject","eventID":"{n}"}}"#)).collect();
    let dir = home.path("events");
    fs::create_dir(&dir).unwrap();
    for (name, part) in [("a.json", &records[..120]), ("b.json", &records[120..])] {
        home.file(
            &format!("events/{name}"),
            format!(r#"{{"Records":[{}]}}"#, part.join(",")).as_bytes(),
        );
    }
    let said = demo(Some(&dir));
    assert!(said.contains("300 entries"), "{said}");
    assert!(said.lines().any(|line| line.starts_with("REFUSED")), "{said}");
}

#[test]
fn the_demo_works_without_input() {
    let said = demo(None);
    assert!(said.lines().any(|line| line.starts_with("REFUSED")), "{said}");
}
