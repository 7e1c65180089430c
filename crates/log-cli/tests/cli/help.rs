//! What `cairn` says of itself, and what it says when it cannot go on.

use crate::common::{Folder, TestLog};

fn help(command: &[&str]) -> String {
    let run = Folder::new().cairn(command.iter().copied().chain(["--help"]));
    assert_eq!(run.exit, Some(0));
    run.stdout
}

#[test]
fn the_overview_names_every_command_and_exit_code() {
    insta::assert_snapshot!(help(&[]));
}

#[test]
fn verify_explains_itself() {
    insta::assert_snapshot!(help(&["verify"]));
}

#[test]
fn append_explains_itself() {
    insta::assert_snapshot!(help(&["append"]));
}

#[test]
fn every_command_has_examples() {
    let commands = [
        "keygen",
        "append",
        "record",
        "search",
        "count",
        "export",
        "prove",
        "checkpoint",
        "verify",
        "verify-batch",
        "verify-consistency",
        "verify-evidence",
        "verify-export",
        "verify-event",
        "tail",
        "audit",
        "bench",
    ];
    let below = [
        &["log", "create"][..],
        &["log", "list"],
        &["log", "show"],
        &["log", "freeze"],
        &["event", "show"],
        &["event", "tail"],
        &["import", "ndjson"],
        &["import", "cloudtrail"],
        &["witness", "add-log"],
        &["witness", "status"],
    ];
    for command in commands.iter().map(std::slice::from_ref).chain(below) {
        let (text, command) = (help(command), command.join(" "));
        assert!(
            text.contains(&format!("\n  cairn {command}")),
            "{command} shows no example:\n{text}"
        );
        assert!(text.contains("--json"), "{command} has no --json");
    }
}

#[test]
fn what_is_audited_is_a_folder_or_an_address_with_its_scheme() {
    let (folder, log, other) = (Folder::new(), TestLog::new(3, 1), TestLog::new(3, 2));
    let vkey = log.vkey();
    let run = folder.cairn(["audit", "127.0.0.1:6962/logs/default", "--vkey", &vkey]);
    assert_eq!(run.exit, Some(2), "{run:?}");
    assert!(run.stderr.contains("an address with its scheme, like http://"), "{run:?}");
    // The keys of another log are the caller's mistake first.
    std::fs::create_dir(folder.path("mirror")).unwrap();
    folder.file("mirror/checkpoint", other.cosigned(3, &[]).as_bytes());
    let run = folder.cairn(["audit", "mirror", "--vkey", &vkey]);
    assert_eq!(run.exit, Some(1), "{run:?}");
    assert!(run.stderr.contains("try: check the keys"), "{run:?}");
}

#[test]
fn usage_errors_are_exit_code_2() {
    let folder = Folder::new();
    for args in [&["appendix"][..], &[], &["verify"], &["prove", "default", "--out", "x"]] {
        let run = folder.cairn(args);
        assert_eq!(run.exit, Some(2), "{args:?}: {run:?}");
        assert!(run.stdout.is_empty(), "{args:?}");
    }
}

#[test]
fn without_a_server_online_commands_say_what_to_do() {
    let folder = Folder::new();
    for args in [
        &["log", "list"][..],
        &["append", "default", "-"],
        &["prove", "default", "--index", "0", "--out", "x"],
        &["checkpoint", "default"],
        &["tail", "default"],
        &["record", "deploy.finished"],
        &["event", "show", "audit", "0"],
        &["event", "tail", "audit"],
        &["search", "audit"],
        &["count", "audit", "--by", "day"],
        &["export", "audit", "--out", "x"],
        &["bench", "default", "--duration", "0.1"],
    ] {
        let run = folder.cairn(args);
        assert_eq!(run.exit, Some(3), "{args:?}: {run:?}");
        assert!(run.stderr.contains("  try: "), "{args:?}: {run:?}");
    }
    let run = folder.cairn(["log", "show", "default"]);
    insta::assert_snapshot!(run.stderr);
    assert!(!folder.path("x").exists());
}

#[test]
fn a_proof_never_overwrites() {
    let folder = Folder::new();
    folder.file("x", "precious");
    let run = folder.cairn(["prove", "default", "--index", "0", "--out", "x"]);
    assert_eq!(run.exit, Some(2), "{run:?}");
    assert_eq!(std::fs::read_to_string(folder.path("x")).unwrap(), "precious");
}

#[test]
fn a_bad_range_or_pointer_is_a_usage_error() {
    let folder = Folder::new();
    for range in ["5", "5..5", "6..5", "a..b", "0..10001"] {
        let run = folder.cairn(["prove", "default", "--range", range, "--out", "x"]);
        assert_eq!(run.exit, Some(2), "{range}: {run:?}");
    }
    let run = folder.cairn(["append", "default", "--json-array", "Records"]);
    assert_eq!(run.exit, Some(2), "{run:?}");
}
