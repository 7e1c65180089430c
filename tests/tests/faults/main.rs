//! What the disk, the files and the operator can do to a server: real processes over real stores.

#![expect(clippy::unwrap_used, reason = "a test fails where its fixtures do")]

mod audit;
mod damage;
mod full_disk;
mod recover;
mod refusals;

use std::path::Path;
use std::process::Output;

use e2e::{Home, Server, cairn_server, stdout_of};

const APPEND: [&str; 6] = ["append", "default", "-", "--lines", "--receipt", "signed"];

/// The reason of a refusal: the last line of standard error.
fn last_line(text: &str) -> &str {
    text.trim_end().lines().last().unwrap_or_default()
}

/// Why a server over this folder does not start.
fn refusal(home: &Home, args: &[&str]) -> String {
    last_line(&home.start_with(args).unwrap_err().to_string()).to_owned()
}

fn append(server: &Server, home: &Home, lines: &str) {
    stdout_of(&server.cairn_stdin(home, APPEND, lines.as_bytes()));
}

fn offline(command: &str, data: &Path, more: &[&str]) -> Output {
    cairn_server([&[command, "--data-dir", data.to_str().unwrap()], more].concat())
}

/// What `fsck` reports of a store that must be clean.
fn clean_report(data: &Path) -> serde_json::Value {
    let report: serde_json::Value =
        serde_json::from_str(&stdout_of(&offline("fsck", data, &["--json"]))).unwrap();
    assert_eq!(report["clean"], true, "{report}");
    assert_eq!(report["logs"][0]["entries"], report["logs"][0]["size"], "{report}");
    report
}
