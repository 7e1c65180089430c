//! `make demo-witnesses`, as a stranger runs it, with the binaries of this test run.

use std::fs;
use std::path::Path;
use std::process::Command;

use e2e::{Home, binary};

#[test]
fn a_log_that_tells_two_stories_is_found_out_and_refused() {
    let home = Home::new();
    let temporary = home.path("tmp");
    fs::create_dir(&temporary).unwrap();
    let profile = binary("cairn");
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let output = Command::new(root.join("scripts/demo-witnesses"))
        .current_dir(&root)
        .env("CAIRN_BIN", profile.parent().unwrap())
        .env("TMPDIR", &temporary)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}{complained}");
    let line = |start: &str| said.lines().find(|line| line.starts_with(start));
    for start in [
        "Without cleo, entry ",
        "misbehaved: ",
        "What this showed",
        "A log that shows two histories under one key is found out",
    ] {
        assert!(line(start).is_some(), "{start}: {said}");
    }
    let refused = line("REFUSED").unwrap_or_default();
    assert!(refused.contains("403") && refused.contains("/evidence"), "{said}");
    assert_eq!(fs::read_dir(&temporary).unwrap().count(), 0, "it leaves nothing behind");
}
