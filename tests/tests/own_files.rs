//! Trouble with files of the caller's own, while the server is well: the exit code is 2 or 3 and the file
//! is named. 1 is for what somebody signed.

#![expect(clippy::unwrap_used, reason = "a test fails where its fixtures do")]

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use e2e::{Home, Server, binary, bound, stderr_of, stdout_of};

const FULL: [&str; 4] = ["sh", "-c", "ulimit -f 0; trap '' XFSZ; exec \"$@\"", "sh"];

fn append(server: &Server, home: &Home, lines: &str) {
    let args = ["append", "default", "--lines", "--receipt", "signed"];
    stdout_of(&server.cairn_stdin(home, args, lines.as_bytes()));
}

/// Follows the log, verified, to its end, through another program.
fn tail_under(server: &Server, home: &Home, wrapper: &[&str]) -> Output {
    let vkey = home.vkey_argument("default");
    let tail = ["tail", "default", "--from", "0", "--verify", "--no-follow", "--vkey", &vkey];
    let cairn = binary("cairn");
    let command = wrapper.iter().copied().chain([cairn.to_str().unwrap()]).chain(tail);
    let command: Vec<&str> = command.collect();
    Command::new(command[0])
        .args(&command[1..])
        .env("CAIRN_SERVER", server.url())
        .env("CAIRN_STATE", home.path("state"))
        .output()
        .unwrap()
}

fn tail(server: &Server, home: &Home) -> Output {
    tail_under(server, home, &[])
}

/// The one trusted checkpoint.
fn trusted(home: &Home) -> PathBuf {
    let files = fs::read_dir(home.path("state")).unwrap().map(|entry| entry.unwrap().path());
    let is_checkpoint = |path: &PathBuf| path.extension().is_some_and(|kind| kind == "checkpoint");
    let mut files = files.filter(is_checkpoint);
    let file = files.next().unwrap();
    assert_eq!(files.next(), None);
    file
}

fn assert_own_trouble(output: &Output, exit: i32, file: &Path) {
    let said = stderr_of(output);
    assert_eq!(output.status.code(), Some(exit), "{said}");
    assert!(said.contains(file.to_str().unwrap()), "{} is named: {said}", file.display());
    assert!(said.contains("  try: ") && !said.contains("operator"), "{said}");
}

/// Tails until the log has published what was appended, which follows by some milliseconds.
fn assert_well(server: &Server, home: &Home, entries: usize) {
    let output = e2e::eventually(|| {
        let output = tail(server, home);
        let printed = String::from_utf8_lossy(&output.stdout).lines().count();
        (!output.status.success() || printed == entries).then_some(output)
    });
    stdout_of(&output);
}

#[test]
fn a_damaged_trusted_checkpoint_is_named_and_says_nothing_about_the_log() {
    let home = Home::new();
    let server = home.start();
    append(&server, &home, "one\n");
    assert_well(&server, &home, 1);
    let file = trusted(&home);
    let good = fs::read_to_string(&file).unwrap();
    let other = Home::new();
    let stranger = other.start();
    append(&stranger, &other, "one\n");
    assert_well(&stranger, &other, 1);
    for (what, bytes) in [
        ("empty", String::new()),
        ("torn", good[..good.len() / 2].to_owned()),
        ("forged", good.replacen("\n1\n", "\n2\n", 1)),
        ("of Windows", good.replace('\n', "\r\n")),
        ("of another log", fs::read_to_string(trusted(&other)).unwrap()),
    ] {
        fs::write(&file, bytes).unwrap();
        let output = tail(&server, &home);
        assert_own_trouble(&output, 2, &file);
        assert_eq!(output.stdout, b"", "{what}: nothing unproven is printed");
    }
    fs::remove_file(&file).unwrap();
    fs::create_dir(&file).unwrap();
    assert_own_trouble(&tail(&server, &home), 2, &file);
    fs::remove_dir(&file).unwrap();
    fs::write(&file, good).unwrap();
    assert_well(&server, &home, 1);
}

#[test]
fn a_state_folder_that_cannot_be_written_is_named() {
    let home = Home::new();
    let server = home.start();
    append(&server, &home, "one\n");
    let folder = home.path("state");
    fs::write(&folder, "a file").unwrap();
    assert_own_trouble(&tail(&server, &home), 2, &folder);
    fs::remove_file(&folder).unwrap();

    fs::create_dir(&folder).unwrap();
    fs::set_permissions(&folder, Permissions::from_mode(0o555)).unwrap();
    assert_own_trouble(&tail_under(&server, &home, bound()), 3, &folder);
    fs::set_permissions(&folder, Permissions::from_mode(0o755)).unwrap();
    assert_own_trouble(&tail_under(&server, &home, &FULL), 3, &folder);
    assert_well(&server, &home, 1);

    // A later checkpoint cannot be kept either, and the one before stays.
    let before = fs::read(trusted(&home)).unwrap();
    append(&server, &home, "two\n");
    let output = e2e::eventually(|| {
        let output = tail_under(&server, &home, &FULL);
        (!output.status.success()).then_some(output)
    });
    assert_own_trouble(&output, 3, &trusted(&home));
    assert_eq!(fs::read(trusted(&home)).unwrap(), before);
    assert_well(&server, &home, 2);
}

#[test]
fn receipts_that_cannot_be_kept_leave_what_was_appended_printed() {
    let home = Home::new();
    let server = home.start();
    let out = home.path("receipts");
    let args = ["append", "default", "--lines", "--receipt", "signed", "--out"];
    let args = args.map(AsRef::as_ref).into_iter().chain([out.as_os_str()]);
    fs::create_dir(&out).unwrap();
    symlink("/dev/full", out.join("1.tlog-proof")).unwrap();
    let full = server.cairn_stdin(&home, args.clone(), b"one\ntwo\nthree\n");
    assert_own_trouble(&full, 3, &out.join("1.tlog-proof"));
    // What is in the log is what was printed, though it could not be kept.
    let printed = String::from_utf8_lossy(&full.stdout).lines().count();
    let shown = stdout_of(&server.cairn(&home, ["log", "show", "default", "--json"]));
    let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(shown["size"], printed);
    assert!(printed >= 2, "{full:?}");
    assert_eq!(fs::read(out.join("0.entry")).unwrap(), b"one");

    fs::create_dir(out.join(format!("{printed}.entry"))).unwrap();
    let folder = server.cairn_stdin(&home, args.clone(), b"four\n");
    assert_own_trouble(&folder, 2, &out.join(format!("{printed}.entry")));
    fs::remove_dir_all(&out).unwrap();
    fs::write(&out, "a file").unwrap();
    let file = server.cairn_stdin(&home, args.clone(), b"five\n");
    assert_own_trouble(&file, 2, &out);
    assert_eq!(file.stdout, b"", "nothing is appended that cannot be kept");
    fs::remove_file(&out).unwrap();
    stdout_of(&server.cairn_stdin(&home, args, b"six\n"));
}
