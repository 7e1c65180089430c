//! `cairn verify`, run for real: each thing it accepts, and its twin that it refuses.

use crate::common::{Folder, ORIGIN, TestLog};

const SIZE: usize = 7;

/// A log, its receipt of entry 3, the entry and the keys as files.
fn receipt() -> (Folder, TestLog) {
    let (folder, log) = (Folder::new(), TestLog::new(10, 1));
    folder.file("3.tlog-proof", log.receipt(3, SIZE));
    folder.file("3.entry", log.entry(3));
    folder.file("log.vkey", format!("{}\n", log.vkey()));
    (folder, log)
}

fn verify(folder: &Folder, receipt: &str, entry: &str, vkey: &str) -> Option<i32> {
    folder.cairn(["verify", receipt, "--entry", entry, "--vkey", vkey]).exit
}

#[test]
fn a_receipt_holds_for_its_entry_under_its_logs_key() {
    let (folder, log) = receipt();
    let run = folder.cairn(["verify", "3.tlog-proof", "--entry", "3.entry", "--vkey", "@log.vkey"]);
    insta::assert_snapshot!(run.shown());
    assert_eq!(verify(&folder, "3.tlog-proof", "3.entry", &log.vkey()), Some(0));
    let args = ["verify", "3.tlog-proof", "--entry", "-", "--vkey", "@log.vkey", "--quiet"];
    let piped = folder.cairn_stdin(args, log.entry(3));
    assert_eq!((piped.exit, piped.stdout.as_str()), (Some(0), ""));
}

#[test]
fn another_entry_index_or_key_does_not_hold() {
    let (folder, log) = receipt();
    let forged = folder.file("forged", "entry 4");
    let args = ["verify", "3.tlog-proof", "--entry", "forged", "--vkey", "@log.vkey"];
    insta::assert_snapshot!(folder.cairn(args).shown());
    assert!(forged.exists());

    folder.file("4.tlog-proof", log.receipt(4, SIZE));
    assert_eq!(verify(&folder, "4.tlog-proof", "3.entry", "@log.vkey"), Some(1));

    let stranger = TestLog::new(10, 2).vkey();
    let args = ["verify", "3.tlog-proof", "--entry", "3.entry", "--vkey", &stranger];
    insta::assert_snapshot!(folder.cairn(args).shown());
}

#[test]
fn no_flipped_bit_of_entry_or_hashes_is_accepted() {
    let (folder, log) = receipt();
    for bit in 0..8 {
        let mut entry = log.entry(3).to_vec();
        entry[bit % log.entry(3).len()] ^= 1 << bit;
        folder.file("flipped", &entry);
        assert_eq!(verify(&folder, "3.tlog-proof", "flipped", "@log.vkey"), Some(1));
    }
    let proof = log.receipt(3, SIZE);
    // In each line but the header: another letter stays base64, or is no longer canonical.
    let text = String::from_utf8(proof.clone()).unwrap();
    let mut start = text.find('\n').unwrap() + 1;
    for line in text[start..].split_inclusive('\n') {
        if line.len() > 1 {
            let mut bytes = proof.clone();
            bytes[start] = if bytes[start] == b'A' { b'B' } else { b'A' };
            folder.file("flipped.tlog-proof", &bytes);
            let exit = verify(&folder, "flipped.tlog-proof", "3.entry", "@log.vkey");
            assert!(matches!(exit, Some(1 | 2)), "{line:?}: {exit:?}");
        }
        start += line.len();
    }
    let hash_line = text.lines().nth(2).unwrap();
    let flipped =
        hash_line.replacen(&hash_line[..1], if hash_line.starts_with('A') { "B" } else { "A" }, 1);
    folder.file("flipped.tlog-proof", text.replace(hash_line, &flipped));
    assert_eq!(verify(&folder, "flipped.tlog-proof", "3.entry", "@log.vkey"), Some(1));
}

#[test]
fn what_is_no_receipt_entry_or_key_is_unusable() {
    let (folder, log) = receipt();
    let whole = log.receipt(3, SIZE);
    for (name, bytes) in [("empty", &b""[..]), ("garbage", b"\xff\x00"), ("torn", &whole[..40])] {
        folder.file(name, bytes);
        assert_eq!(verify(&folder, name, "3.entry", "@log.vkey"), Some(2), "{name}");
    }
    let run = folder.cairn(["verify", "empty", "--entry", "3.entry", "--vkey", "@log.vkey"]);
    insta::assert_snapshot!(run.shown());

    assert_eq!(verify(&folder, "3.tlog-proof", "empty", "@log.vkey"), Some(2));
    assert_eq!(verify(&folder, "absent", "3.entry", "@log.vkey"), Some(2));
    assert_eq!(verify(&folder, "3.tlog-proof", "absent", "@log.vkey"), Some(2));
    for vkey in ["@empty", "@absent", "@garbage", "no-key", &log.vkey()[1..]] {
        assert_eq!(verify(&folder, "3.tlog-proof", "3.entry", vkey), Some(2), "{vkey}");
    }
    let run = folder.cairn(["verify", "3.tlog-proof", "--entry", "3.entry", "--vkey", "no-key"]);
    insta::assert_snapshot!(run.shown());
    let run = folder.cairn(["verify", "3.tlog-proof", "--entry", "3.entry"]);
    assert_eq!(run.exit, Some(2), "whom to believe must be said: {run:?}");
}

#[test]
fn a_file_of_keys_is_read_as_editors_leave_it() {
    let (folder, log) = receipt();
    let (vkey, other) = (log.vkey(), TestLog::new(1, 2).vkey());
    for keys in [
        vkey.clone(),
        format!("{vkey}\r\n"),
        format!("\u{feff}{vkey}\r\n"),
        format!("\n{other}\n\n{vkey}\n\n"),
    ] {
        folder.file("edited.vkey", &keys);
        assert_eq!(verify(&folder, "3.tlog-proof", "3.entry", "@edited.vkey"), Some(0), "{keys:?}");
    }
    for keys in [format!(" {vkey}\n"), format!("\u{feff}{other}\r\n# {vkey}\r\n")] {
        folder.file("edited.vkey", &keys);
        assert_eq!(verify(&folder, "3.tlog-proof", "3.entry", "@edited.vkey"), Some(2), "{keys:?}");
    }
}

#[test]
fn a_receipt_or_a_policy_that_was_converted_is_refused_and_says_so() {
    let (folder, log) = receipt();
    let receipt = String::from_utf8(log.receipt(3, SIZE)).unwrap();
    let policy = format!("log {}\nquorum none\n", log.vkey());
    let line_ends = |text: &str| text.replace('\n', "\r\n");
    let mark = |text: &str| format!("\u{feff}{text}");
    for (receipt, policy, exit, words) in [
        (receipt.clone(), policy.clone(), 0, ""),
        (line_ends(&receipt), policy.clone(), 2, "line ends are CR LF"),
        (mark(&receipt), policy.clone(), 2, "starts with a byte order mark"),
        (receipt.clone(), line_ends(&policy), 2, "line ends are CR LF"),
        (receipt.clone(), mark(&policy), 2, "starts with a byte order mark"),
    ] {
        folder.file("r.tlog-proof", receipt);
        folder.file("policy.txt", policy);
        let args = ["verify", "r.tlog-proof", "--entry", "3.entry", "--policy", "policy.txt"];
        let run = folder.cairn(args);
        assert_eq!(run.exit, Some(exit), "{words}: {run:?}");
        assert!(run.stderr.contains(words), "{words}: {run:?}");
    }
}

#[test]
fn a_policy_can_say_whom_to_believe() {
    let (folder, log) = receipt();
    let verify = |policy: String| {
        folder.file("policy", policy);
        folder.cairn(["verify", "3.tlog-proof", "--entry", "3.entry", "--policy", "policy"]).exit
    };
    assert_eq!(verify(format!("log {}\nquorum none\n", log.vkey())), Some(0));
    assert_eq!(verify(format!("log {}\nquorum none\n", TestLog::new(1, 2).vkey())), Some(1));
    assert_eq!(verify("no policy".into()), Some(2));
}

#[test]
fn many_receipts_are_checked_against_a_folder() {
    let (folder, log) = receipt();
    for index in 0..SIZE {
        folder.file(&format!("out/{index}.tlog-proof"), log.receipt(index, SIZE));
        folder.file(&format!("out/{index}.entry"), log.entry(index));
    }
    let receipts = (0..SIZE).map(|index| format!("out/{index}.tlog-proof")).collect::<Vec<_>>();
    let verify = || {
        let options = ["--entries", "out", "--vkey", "@log.vkey", "--json"].map(str::to_owned);
        folder.cairn(["verify".to_owned()].into_iter().chain(receipts.clone()).chain(options))
    };
    let all = verify();
    assert_eq!((all.exit, all.stdout.lines().count()), (Some(0), SIZE));

    folder.file("out/5.entry", "forged");
    let one_forged = verify();
    assert_eq!(one_forged.exit, Some(1));
    let verdicts = one_forged.stdout.lines().map(|line| {
        let verdict: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(verdict["origin"], ORIGIN);
        verdict["verified"].as_bool().unwrap()
    });
    assert_eq!(verdicts.collect::<Vec<_>>(), (0..SIZE).map(|n| n != 5).collect::<Vec<_>>());
}

#[test]
fn json_errors_stand_on_stdout_too() {
    let (folder, _) = receipt();
    let run =
        folder.cairn(["--json", "verify", "absent", "--entry", "3.entry", "--vkey", "@log.vkey"]);
    let document: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(document["exit_code"], 2);
    assert_eq!(run.exit, Some(2));
}
