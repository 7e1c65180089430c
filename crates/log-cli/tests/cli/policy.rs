//! `--policy`: a quorum of witnesses decides what is believed.

use formats::witness::AddCheckpoint;

use crate::common::{Folder, TestLog, tree_size, witness_key};

/// A log, and a policy that wants two of three witnesses.
fn two_of_three() -> (Folder, TestLog) {
    let (folder, log) = (Folder::new(), TestLog::new(12, 1));
    let witnesses =
        [10, 11, 12].map(|seed| format!("witness w{seed} {}\n", witness_key(seed).verifier_key()));
    let policy =
        format!("log {}\n{}group q 2 w10 w11 w12\nquorum q\n", log.vkey(), witnesses.concat());
    folder.file("policy", policy);
    folder.file("5.entry", log.entry(5));
    (folder, log)
}

#[test]
fn a_receipt_holds_with_the_quorum_and_not_below_it() {
    let (folder, log) = two_of_three();
    let args = ["verify", "r", "--entry", "5.entry", "--policy", "policy"];
    for quorum in [&[10, 11][..], &[12, 10], &[10, 11, 12], &[10, 99, 12]] {
        folder.file("r", log.receipt_under(5, log.cosigned(8, quorum)));
        let run = folder.cairn(args);
        assert_eq!(run.exit, Some(0), "{quorum:?}: {run:?}");
    }
    for none in [&[][..], &[10], &[10, 10], &[10, 99], &[97, 98, 99]] {
        folder.file("r", log.receipt_under(5, log.cosigned(8, none)));
        let run = folder.cairn(args);
        assert_eq!(run.exit, Some(1), "{none:?}: {run:?}");
    }
    folder.file("r", log.receipt_under(5, log.cosigned(8, &[11])));
    insta::assert_snapshot!(folder.cairn(args).shown());
    // Another log's receipt, whatever its witnesses.
    let stranger = TestLog::new(12, 2);
    folder.file("r", stranger.receipt_under(5, stranger.cosigned(8, &[10, 11])));
    assert_eq!(folder.cairn(args).exit, Some(1));
}

#[test]
fn consistency_needs_the_quorum_at_both_ends() {
    let (folder, log) = two_of_three();
    let growth = |witnesses: &[u8]| {
        let hashes = log.consistency_hashes(4, 10);
        AddCheckpoint::new(tree_size(4), hashes, log.cosigned(10, witnesses)).unwrap().format()
    };
    let args = ["verify-consistency", "old", "proof", "--policy", "policy"];
    for (old, new, exit) in [
        (&[10, 11][..], &[11, 12][..], 0),
        (&[10][..], &[11, 12][..], 1),
        (&[10, 11][..], &[11][..], 1),
    ] {
        folder.file("old", log.cosigned(4, old).as_bytes());
        folder.file("proof", growth(new));
        assert_eq!(folder.cairn(args).exit, Some(exit), "{old:?} {new:?}");
    }
}

#[test]
fn two_keys_of_one_witness_outside_a_group_are_warned_of() {
    let (folder, log) = two_of_three();
    folder.file("r", log.receipt_under(5, log.cosigned(8, &[10, 11])));
    let url = "https://w.example/";
    let [one, two] = [10, 11].map(|seed| witness_key(seed).verifier_key().to_string());
    let lines = format!("log {}\nwitness a {one} {url}\nwitness b {two} {url}\n", log.vkey());
    folder.file("policy", format!("{lines}group q all a b\nquorum q\n"));
    let args = ["verify", "r", "--entry", "5.entry", "--policy", "policy"];
    insta::assert_snapshot!(folder.cairn(args).shown());
    folder.file("policy", format!("{lines}group w any a b\nquorum w\n"));
    let grouped = folder.cairn(args);
    assert_eq!((grouped.exit, grouped.stderr.as_str()), (Some(0), ""));
}

#[test]
fn a_policy_without_a_log_verifies_nothing_and_says_why() {
    let (folder, log) = two_of_three();
    folder.file("r", log.receipt_under(5, log.cosigned(8, &[10, 11])));
    let witness = witness_key(10).verifier_key().to_string();
    folder.file("policy", format!("witness w {witness} http://127.0.0.1:1/\nquorum w\n"));
    for args in [
        &["verify", "r", "--entry", "5.entry", "--policy", "policy"][..],
        &["witness", "status", "--policy", "policy"],
    ] {
        let run = folder.cairn(args);
        assert_eq!((run.exit, run.stdout.as_str()), (Some(2), ""), "{args:?}: {run:?}");
        assert!(run.stderr.contains("needs a line `log <vkey>`"), "{args:?}: {run:?}");
        assert!(run.stderr.contains("c2sp.org/tlog-policy"), "{args:?}: {run:?}");
    }
}

#[test]
fn what_is_no_policy_is_unusable() {
    let (folder, log) = two_of_three();
    folder.file("r", log.receipt(5, 8));
    for policy in ["", "quorum\n", "quorum q\n", "log x\nquorum none\n"] {
        folder.file("policy", policy);
        let run = folder.cairn(["verify", "r", "--entry", "5.entry", "--policy", "policy"]);
        assert_eq!(run.exit, Some(2), "{policy:?}: {run:?}");
    }
}
