//! One log and three witnesses, each its own process.

#![expect(clippy::unwrap_used, reason = "a test fails where its fixtures do")]

use std::fs;

use e2e::{Home, Server, cairn, copy_folder, stderr_of, stdout_of, witness::Witness};

/// A log whose heads two of three witnesses must have cosigned, and what a verifier is given.
struct Site {
    home: Home,
    witnesses: [Witness; 3],
    /// `NAME=FILE` for the server, whose lines have addresses.
    policy_argument: String,
    /// For whoever verifies: the log's keys too.
    trust: String,
}

impl Site {
    fn new() -> Self {
        let home = Home::new();
        // A first start makes the log's keys, which the witnesses have to know.
        home.start().stop().unwrap();
        let vkeys = fs::read_to_string(home.data().join("keys/default.vkey")).unwrap();
        let witnesses = ["w1", "w2", "w3"].map(Witness::start);
        for witness in &witnesses {
            witness.add_log("default", &vkeys);
        }
        let mut lines = witnesses.iter().map(Witness::policy_lines).collect::<Vec<_>>().concat();
        lines += "group q 2 w1 w2 w3\nquorum q\n";
        let policy = home.file("default.policy", lines.as_bytes());
        let logs = vkeys.lines().map(|vkey| format!("log {vkey}\n")).collect::<Vec<_>>().concat();
        let trust = home.file("trust.policy", (logs + &lines).as_bytes());
        let policy_argument = format!("default={}", policy.display());
        Self { home, witnesses, policy_argument, trust: trust.display().to_string() }
    }

    fn start(&self) -> anyhow::Result<Server> {
        self.home.start_with(&["--policy", &self.policy_argument, "--witness-pause-max-ms", "200"])
    }

    /// Appends a line, and verifies its receipt offline, under the policy.
    fn witnessed(&self, server: &Server, line: &str) {
        let out = self.home.path("receipts");
        let out = out.to_str().unwrap();
        let append = ["append", "default", "-", "--lines", "--receipt", "witnessed"];
        let append = append.into_iter().chain(["--policy", &self.trust, "--out", out]);
        let text = format!("{line}\n");
        let output = server.cairn_stdin(&self.home, append, text.as_bytes());
        let printed = stdout_of(&output);
        let index = printed.split('\t').next().unwrap();
        let receipt = format!("{out}/{index}.tlog-proof");
        let entry = format!("{out}/{index}.entry");
        let verify = ["verify", &receipt, "--entry", &entry, "--policy", &self.trust];
        stdout_of(&cairn(verify));
        let noted = fs::read_to_string(&receipt).unwrap();
        let signed = |name: &str| noted.contains(&format!("{name}.example "));
        let cosigned = ["w1", "w2", "w3"].into_iter().filter(|name| signed(name)).count();
        assert!(cosigned >= 2, "{noted:.200}");
    }
}

#[test]
fn witnessed_receipts_outlive_a_witness_and_name_a_rollback() {
    let mut site = Site::new();
    let server = site.start().unwrap();
    site.witnessed(&server, "one");
    site.witnesses[2].kill();
    site.witnessed(&server, "two");
    server.stop().unwrap();
    let copy = site.home.path("copy");
    copy_folder(&site.home.data(), &copy).unwrap();

    site.witnesses[2].restart().unwrap();
    site.witnesses[0].kill();
    let server = site.start().unwrap();
    site.witnessed(&server, "three");
    server.stop().unwrap();

    // Store, journal and keys of before: only the witnesses know.
    fs::remove_dir_all(site.home.data()).unwrap();
    copy_folder(&copy, &site.home.data()).unwrap();
    let refusal = site.start().unwrap_err().to_string();
    let last = refusal.trim_end().lines().last().unwrap_or_default();
    for word in ["w2", "size 3", "size 2", "retire"] {
        assert!(last.contains(word) || (word == "w2" && last.contains("w3")), "{word}: {refusal}");
    }
    let evidence = fs::read_dir(site.home.data().join("evidence")).unwrap();
    assert_ne!(evidence.count(), 0);
    let without_policy = site.home.start();
    let said = without_policy.stderr();
    assert!(said.contains("witnesses have cosigned this log"), "{said}");
    without_policy.stop().unwrap();
    let read_only = site.home.start_with(&["--read-only"]).unwrap();
    stdout_of(&read_only.cairn(&site.home, ["log", "show", "default"]));
}

#[test]
fn a_receipt_below_the_quorum_is_refused_by_whoever_wants_one() {
    let mut site = Site::new();
    let server = site.start().unwrap();
    site.witnessed(&server, "one");
    site.witnesses[0].kill();
    site.witnesses[1].kill();
    let out = site.home.path("signed");
    let out = out.to_str().unwrap();
    let append = ["append", "default", "-", "--lines", "--receipt", "signed", "--out", out];
    let vkey = site.home.vkey_argument("default");
    let append = append.into_iter().chain(["--vkey", &vkey]);
    stdout_of(&server.cairn_stdin(&site.home, append, b"two\n"));
    let (receipt, entry) = (format!("{out}/1.tlog-proof"), format!("{out}/1.entry"));
    stdout_of(&cairn(["verify", &receipt, "--entry", &entry, "--vkey", &vkey]));
    let refused = cairn(["verify", &receipt, "--entry", &entry, "--policy", &site.trust]);
    assert_eq!(refused.status.code(), Some(1), "{}", stderr_of(&refused));

    // They come back, and the receipt can be had.
    site.witnesses[0].restart().unwrap();
    site.witnessed(&server, "three");
    server.stop().unwrap();
}
