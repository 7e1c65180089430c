//! The main job: append, take receipts, stop the server, verify offline; then change anything and see
//! it refused.

use std::fs;
use std::time::{Duration, Instant};

use e2e::{Home, Server, cairn, numbered_lines, stderr_of, stdout_of};
use serde_json::Value;

const LINES: &[u8] = b"first\nsecond\nthird \nfourth\r\nfirst\n";

/// `index TAB leaf-hash-hex`, in input order.
fn appended(stdout: &str) -> Vec<(u64, String)> {
    let row = |line: &str| {
        let (index, hash) = line.split_once('\t').expect("index TAB hash");
        (index.parse().expect("an index"), hash.to_owned())
    };
    stdout.lines().map(row).collect()
}

#[test]
fn every_line_is_an_entry_with_a_receipt_that_holds_offline() {
    let home = Home::new();
    let server = home.start();
    let out = home.path("receipts");
    let args = ["append", "default", "-", "--lines", "--receipt", "signed", "--out"];
    let output =
        server.cairn_stdin(&home, args.iter().map(AsRef::as_ref).chain([out.as_os_str()]), LINES);
    let rows = appended(&stdout_of(&output));
    assert_eq!(rows.iter().map(|row| row.0).collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
    server.stop().unwrap();

    // Nothing but the final newline is taken off a line, and the same line twice is two entries.
    let entries: [&[u8]; 5] = [b"first", b"second", b"third ", b"fourth\r", b"first"];
    for ((index, hash), entry) in rows.iter().zip(entries) {
        let file = out.join(format!("{index}.entry"));
        assert_eq!(fs::read(&file).unwrap(), entry);
        assert_eq!(*hash, merkle::leaf_hash(entry).to_string());
        let proof = out.join(format!("{index}.tlog-proof"));
        let verified = cairn([
            "verify".as_ref(),
            proof.as_os_str(),
            "--entry".as_ref(),
            file.as_os_str(),
            "--vkey".as_ref(),
            home.vkey_argument("default").as_ref(),
        ]);
        assert_eq!(verified.status.code(), Some(0), "{}", stderr_of(&verified));
    }
}

#[test]
fn a_changed_entry_proof_or_key_is_refused() {
    let home = Home::new();
    let server = home.start();
    let out = home.path("receipts");
    let out_text = out.to_str().unwrap().to_owned();
    let args = ["append", "default", "-", "--lines", "--receipt", "signed", "--out", &out_text];
    stdout_of(&server.cairn_stdin(&home, args, LINES));
    server.stop().unwrap();

    let proof = out.join("1.tlog-proof").to_str().unwrap().to_owned();
    let entry = out.join("1.entry").to_str().unwrap().to_owned();
    let vkey = home.vkey_argument("default");
    let verify = |proof: &str, entry: &str, vkey: &str| {
        cairn(["verify", proof, "--entry", entry, "--vkey", vkey]).status.code()
    };
    assert_eq!(verify(&proof, &entry, &vkey), Some(0));

    let other_entry = home.file("forged.entry", b"secone");
    assert_eq!(verify(&proof, other_entry.to_str().unwrap(), &vkey), Some(1));

    let other_index = out.join("2.tlog-proof");
    assert_eq!(verify(other_index.to_str().unwrap(), &entry, &vkey), Some(1));

    let other_log = Home::new();
    other_log.start().stop().unwrap();
    assert_eq!(verify(&proof, &entry, &other_log.vkey_argument("default")), Some(1));

    let torn = home.file("torn.tlog-proof", &fs::read(&proof).unwrap()[..40]);
    assert_eq!(verify(torn.to_str().unwrap(), &entry, &vkey), Some(2));
    let empty = home.file("empty.tlog-proof", b"");
    assert_eq!(verify(empty.to_str().unwrap(), &entry, &vkey), Some(2));
}

#[test]
fn an_empty_line_names_its_number_and_can_be_skipped() {
    let home = Home::new();
    let server = home.start();
    let refused = server.cairn_stdin(&home, ["append", "default", "-", "--lines"], b"a\n\nb\n");
    assert!(!refused.status.success());
    assert!(stderr_of(&refused).contains("line 2"), "{}", stderr_of(&refused));

    let args = ["append", "default", "-", "--lines", "--skip-empty"];
    let skipped = server.cairn_stdin(&home, args, b"a\n\nb\n");
    assert_eq!(stdout_of(&skipped).lines().count(), 2);
}

#[test]
fn array_elements_keep_their_bytes() {
    let home = Home::new();
    let server = home.start();
    // Spelling of numbers and white space inside an element are the element's own.
    let file = home.file("records.json", br#"{"Records":[{"n":1e-7},  {"n": 9007199254740993 }]}"#);
    let out = home.path("receipts");
    let (file, out_text) = (file.to_str().unwrap(), out.to_str().unwrap());
    let args = ["append", "default", file, "--json-array", "/Records", "--out", out_text];
    let rows = appended(&stdout_of(&server.cairn(&home, args)));
    assert_eq!(rows.len(), 2);
    assert_eq!(fs::read(out.join("0.entry")).unwrap(), br#"{"n":1e-7}"#);
    assert_eq!(fs::read(out.join("1.entry")).unwrap(), br#"{"n": 9007199254740993 }"#);
}

#[test]
fn a_log_lives_from_creation_to_its_freezing() {
    let home = Home::new();
    let server = home.start();
    stdout_of(&server.cairn(&home, ["log", "create", "payments"]));
    let again = server.cairn(&home, ["log", "create", "payments"]);
    assert!(!again.status.success());
    assert!(stderr_of(&again).contains("payments"), "{}", stderr_of(&again));

    stdout_of(&server.cairn_stdin(&home, ["append", "payments", "-", "--lines"], b"one\ntwo\n"));
    stdout_of(&server.cairn(&home, ["log", "freeze", "payments"]));
    let late = server.cairn_stdin(&home, ["append", "payments", "-", "--lines"], b"three\n");
    assert!(!late.status.success());
    assert!(stderr_of(&late).contains("frozen"), "{}", stderr_of(&late));

    // Frozen is final, across a restart too; the other log goes on.
    server.stop().unwrap();
    let server = home.start();
    let shown = stdout_of(&server.cairn(&home, ["log", "show", "payments", "--json"]));
    let shown: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(shown["state"], "frozen");
    assert_eq!(shown["size"], 2);
    let late = server.cairn_stdin(&home, ["append", "payments", "-", "--lines"], b"three\n");
    assert!(!late.status.success());
    stdout_of(&server.cairn_stdin(&home, ["append", "default", "-", "--lines"], b"three\n"));
}

/// Waits until the published checkpoint, which follows what is committed by some milliseconds, covers a
/// size.
fn wait_until_published(home: &Home, server: &Server, size: u64) {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let shown = stdout_of(&server.cairn(home, ["log", "show", "default", "--json"]));
        let shown: Value = serde_json::from_str(&shown).expect("JSON");
        let published = shown["checkpoint"].as_str().and_then(|note| note.lines().nth(1));
        if published.and_then(|line| line.parse::<u64>().ok()) >= Some(size) {
            return;
        }
        assert!(Instant::now() < deadline, "{shown}");
    }
}

#[test]
fn an_audit_reads_the_tiles_alone_and_resumes() {
    let home = Home::new();
    let server = home.start();
    let lines = numbered_lines(700);
    let append = ["append", "default", "-", "--lines", "--receipt", "signed"];
    stdout_of(&server.cairn_stdin(&home, append, lines.as_bytes()));
    wait_until_published(&home, &server, 700);
    let url = format!("{}/logs/default", server.url());
    let vkey = home.vkey_argument("default");
    let state = home.path("audit.state");
    let state = state.to_str().unwrap();
    let audit = ["audit", &url, "--vkey", &vkey, "--resume", state, "--json"];
    let report: Value = serde_json::from_str(&stdout_of(&cairn(audit))).unwrap();
    assert_eq!(report["size"], 700);

    stdout_of(&server.cairn_stdin(&home, append, lines.as_bytes()));
    wait_until_published(&home, &server, 1400);
    let report: Value = serde_json::from_str(&stdout_of(&cairn(audit))).unwrap();
    assert_eq!(report["size"], 1400);

    let other = Home::new();
    other.start().stop().unwrap();
    let stranger = cairn(["audit", &url, "--vkey", &other.vkey_argument("default")]);
    assert_eq!(stranger.status.code(), Some(1), "{}", stderr_of(&stranger));
}
