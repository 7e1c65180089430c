//! `cairn verify-batch` and `cairn verify-consistency`, run for real.

use crate::common::{Folder, TestLog, tree_size};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use formats::witness::AddCheckpoint;
use merkle::Hash;

fn range_receipt(log: &TestLog, ranges: &[(usize, usize)], size: usize) -> String {
    let indexes = ranges.iter().flat_map(|(start, end)| *start..*end).collect::<Vec<_>>();
    let lines = ranges.iter().map(|(start, end)| format!("range {start} {end}\n"));
    let hashes = log.batch_hashes(&indexes, size);
    let hashes = hashes.iter().map(|hash: &Hash| STANDARD.encode(hash.as_bytes()) + "\n");
    let checkpoint = String::from_utf8(log.checkpoint(size).as_bytes().to_vec()).unwrap();
    let (lines, hashes) = (lines.collect::<String>(), hashes.collect::<String>());
    format!("cairn/range-receipt@v1\n{lines}{hashes}\n{checkpoint}")
}

/// A receipt of entries 2, 3 and 8 of 10, the entries and the key as files.
fn batch() -> (Folder, TestLog) {
    let (folder, log) = (Folder::new(), TestLog::new(12, 1));
    folder.file("receipt", range_receipt(&log, &[(2, 4), (8, 9)], 10));
    for index in 0..12 {
        folder.file(&format!("{index}.entry"), log.entry(index));
    }
    folder.file("log.vkey", format!("{}\n", log.vkey()));
    (folder, log)
}

fn verify_batch(folder: &Folder, receipt: &str, entries: &[&str]) -> Option<i32> {
    let mut args = vec!["verify-batch", receipt, "--vkey", "@log.vkey"];
    args.extend(entries.iter().flat_map(|entry| ["--entry", entry]));
    folder.cairn(args).exit
}

#[test]
fn a_range_receipt_holds_for_its_entries() {
    let (folder, _) = batch();
    let run = folder.cairn(["verify-batch", "receipt", "--entries", ".", "--vkey", "@log.vkey"]);
    insta::assert_snapshot!(run.shown());
    assert_eq!(verify_batch(&folder, "receipt", &["2.entry", "3.entry", "8.entry"]), Some(0));
}

#[test]
fn other_entries_another_order_or_another_key_do_not_hold() {
    let (folder, _) = batch();
    assert_eq!(verify_batch(&folder, "receipt", &["3.entry", "2.entry", "8.entry"]), Some(1));
    assert_eq!(verify_batch(&folder, "receipt", &["2.entry", "3.entry", "9.entry"]), Some(1));
    let stranger = TestLog::new(1, 2).vkey();
    let args = ["verify-batch", "receipt", "--entries", ".", "--vkey", &stranger];
    assert_eq!(folder.cairn(args).exit, Some(1));

    folder.file("8.entry", "forged");
    let run = folder.cairn(["verify-batch", "receipt", "--entries", ".", "--vkey", "@log.vkey"]);
    insta::assert_snapshot!(run.shown());
}

#[test]
fn a_range_receipt_has_one_form() {
    let (folder, log) = batch();
    let good = range_receipt(&log, &[(2, 4), (8, 9)], 10);
    let refused = [
        ("empty", String::new()),
        ("header", good.replace("@v1", "@v2")),
        ("touching", good.replace("range 2 4\n", "range 2 3\nrange 3 4\n")),
        ("descending", good.replace("range 2 4\nrange 8 9\n", "range 8 9\nrange 2 4\n")),
        ("empty range", good.replace("range 8 9", "range 8 8")),
        ("leading zero", good.replace("range 2 4", "range 02 4")),
        ("plus", good.replace("range 2 4", "range +2 4")),
        ("too many", good.replace("range 8 9", "range 8 10007")),
        ("overflow", good.replace("range 8 9", "range 8 18446744073709551616")),
        ("no range", good.replace("range 2 4\nrange 8 9\n", "")),
        ("carriage return", good.replace("range 2 4\n", "range 2 4\r\n")),
        ("no separator", good.replace("\n\n", "\n")),
        ("cut", good[..good.len() - 10].to_owned()),
        ("trailing", format!("{good}\n")),
    ];
    for (what, bytes) in refused {
        folder.file("bad", bytes);
        let run = folder.cairn(["verify-batch", "bad", "--entries", ".", "--vkey", "@log.vkey"]);
        assert_eq!(run.exit, Some(2), "{what}: {run:?}");
    }
    // Well-formed, with a hash too many or too few: does not hold.
    let hash = good.lines().nth(3).unwrap();
    for changed in [
        good.replacen(hash, &format!("{hash}\n{hash}"), 1),
        good.replacen(&format!("{hash}\n"), "", 1),
    ] {
        folder.file("bad", changed);
        let run = folder.cairn(["verify-batch", "bad", "--entries", ".", "--vkey", "@log.vkey"]);
        assert_eq!(run.exit, Some(1), "{run:?}");
    }
    let run =
        folder.cairn(["verify-batch", "receipt", "--entry", "2.entry", "--vkey", "@log.vkey"]);
    insta::assert_snapshot!(run.shown());
}

/// Checkpoints of 4 and 10 entries, the proof between them and the key as files.
fn growth() -> (Folder, TestLog) {
    let (folder, log) = (Folder::new(), TestLog::new(12, 1));
    folder.file("old", log.checkpoint(4).as_bytes());
    folder.file("proof", consistency(&log, 4, 10));
    folder.file("log.vkey", format!("{}\n", log.vkey()));
    (folder, log)
}

fn consistency(log: &TestLog, from: usize, to: usize) -> Vec<u8> {
    let hashes = log.consistency_hashes(from, to);
    AddCheckpoint::new(tree_size(from), hashes, log.checkpoint(to)).unwrap().format()
}

fn verify_consistency(folder: &Folder, old: &str, proof: &str) -> Option<i32> {
    folder.cairn(["verify-consistency", old, proof, "--vkey", "@log.vkey"]).exit
}

#[test]
fn a_grown_log_is_consistent_with_what_was_kept() {
    let (folder, log) = growth();
    let run = folder.cairn(["verify-consistency", "old", "proof", "--vkey", "@log.vkey"]);
    insta::assert_snapshot!(run.shown());
    // A receipt, or a receipt of many entries, is a checkpoint that was kept.
    folder.file("receipt", log.receipt(1, 4));
    assert_eq!(verify_consistency(&folder, "receipt", "proof"), Some(0));
    folder.file("range-receipt", range_receipt(&log, &[(0, 2)], 4));
    assert_eq!(verify_consistency(&folder, "range-receipt", "proof"), Some(0));
    folder.file("same", consistency(&log, 4, 4));
    assert_eq!(verify_consistency(&folder, "old", "same"), Some(0));
}

#[test]
fn another_size_key_or_history_does_not_hold() {
    let (folder, log) = growth();
    folder.file("old-5", log.checkpoint(5).as_bytes());
    let run = folder.cairn(["verify-consistency", "old-5", "proof", "--vkey", "@log.vkey"]);
    insta::assert_snapshot!(run.shown());

    let stranger = TestLog::new(12, 2);
    folder.file("stranger", stranger.checkpoint(4).as_bytes());
    assert_eq!(verify_consistency(&folder, "stranger", "proof"), Some(1));

    // The same key signed another history: its first four entries are others.
    let proof = String::from_utf8(consistency(&log, 4, 10)).unwrap();
    let hash = proof.lines().nth(1).unwrap().to_owned();
    let other = STANDARD.encode([7; 32]);
    folder.file("wrong", proof.replace(&hash, &other));
    let run = folder.cairn(["verify-consistency", "old", "wrong", "--vkey", "@log.vkey"]);
    insta::assert_snapshot!(run.shown());
}

#[test]
fn what_is_no_checkpoint_or_proof_is_unusable() {
    let (folder, _) = growth();
    folder.file("empty", "");
    folder.file("garbage", [0xff, 0x00]);
    for (old, proof) in [("empty", "proof"), ("garbage", "proof"), ("old", "empty"), ("old", "old")]
    {
        assert_eq!(verify_consistency(&folder, old, proof), Some(2), "{old} {proof}");
    }
    assert_eq!(verify_consistency(&folder, "absent", "proof"), Some(2));
}
