//! What the operator of a witness, and whoever asks it, is told: real processes.

#![expect(clippy::unwrap_used, reason = "a test fails where its fixtures do")]

use std::fs;
use std::process::Output;
use std::time::Duration;

use e2e::{Home, Server, cairn, stderr_of, stdout_of, witness::Witness};
use formats::{Checkpoint, KeyFile, Signer, Timestamp};
use log_client::gossip::{Standing, report_checkpoint};
use merkle::{Hash, TreeSize};
use serde_json::Value;

/// A log and its only witness.
struct Site {
    home: Home,
    witness: Witness,
    policy: String,
}

impl Site {
    fn new() -> Self {
        let home = Home::new();
        // A first start makes the log's keys, which the witness has to know.
        home.start().stop().unwrap();
        let witness = Witness::start("w1");
        let lines = witness.policy_lines() + "quorum w1\n";
        let policy = home.file("default.policy", lines.as_bytes());
        let policy = format!("default={}", policy.display());
        Self { home, witness, policy }
    }

    fn vkeys(&self) -> String {
        fs::read_to_string(self.home.data().join("keys/default.vkey")).unwrap()
    }

    fn origin(&self) -> String {
        self.vkeys().split('+').next().unwrap().to_owned()
    }

    fn start(&self) -> Server {
        self.home.start_with(&["--policy", &self.policy, "--witness-pause-max-ms", "200"]).unwrap()
    }

    /// Appends a line that the witness cosigns before this returns.
    fn witnessed(&self, server: &Server, line: &str) {
        assert!(self.append(server, line).status.success());
    }

    fn append(&self, server: &Server, line: &str) -> Output {
        let append = ["append", "default", "-", "--lines", "--receipt", "witnessed"];
        server.cairn_stdin(&self.home, append, format!("{line}\n").as_bytes())
    }

    /// A head of this size that the log's own key signs, over a tree that it does not have.
    fn contradiction(&self, size: u64) -> Vec<u8> {
        let keys = fs::read_to_string(self.home.data().join("keys/default")).unwrap();
        let file = KeyFile::parse(&keys).unwrap();
        let origin = file.name().clone().into();
        let head = Checkpoint::new(origin, TreeSize::new(size).unwrap(), Hash::from([7; 32]));
        let key: &dyn Signer = &file.keys()[0];
        formats::sign(&head, &[key], Timestamp::ZERO).unwrap()
    }

    fn status(&self, vkey: &str, more: &[&str]) -> Output {
        let args = [&["witness", "status", self.witness.url(), "--vkey", vkey][..], more].concat();
        cairn(args)
    }
}

fn said(output: &Output) -> (Option<i32>, String) {
    (output.status.code(), String::from_utf8(output.stdout.clone()).unwrap())
}

#[test]
fn status_says_what_a_witness_holds_and_its_exit_code_what_to_think_of_it() {
    let mut site = Site::new();
    let vkey = site.home.vkey_argument("default");
    let (url, origin) = (site.witness.url().to_owned(), site.origin());
    let nothing = (Some(0), format!("{url}\t{origin}\tholds nothing\n"));
    assert_eq!(said(&site.status(&vkey, &[])), nothing, "of a log that it does not know");
    site.witness.add_log("default", &site.vkeys());

    let server = site.start();
    site.witnessed(&server, "one");
    let shown = stdout_of(&server.cairn(&site.home, ["log", "show", "default", "--json"]));
    let shown: Value = serde_json::from_str(&shown).unwrap();
    let root = shown["root"].as_str().unwrap();
    let holds = (Some(0), format!("{url}\t{origin}\t1\t{root}\n"));
    assert_eq!(said(&site.status(&vkey, &[])), holds);
    let json: Value = serde_json::from_str(&stdout_of(&site.status(&vkey, &["--json"]))).unwrap();
    let expected = serde_json::json!({
        "witness": url, "origin": origin, "size": 1, "root": root, "contradicts": false,
    });
    assert_eq!(json, expected);

    // Another key of the same name: what is served, that key has not signed.
    let other = site.home.path("other");
    let other = ["keygen", "--name", &origin, "--out", other.to_str().unwrap()];
    let other = site.home.file("other.vkey", stdout_of(&cairn(other)).as_bytes());
    let unsigned = site.status(&format!("@{}", other.display()), &["--json"]);
    assert_eq!(unsigned.status.code(), Some(1), "{}", stderr_of(&unsigned));
    let json: Value = serde_json::from_slice(&unsigned.stdout).unwrap();
    assert!(json["problem"].is_string() && json.get("size").is_none(), "{json}");
    assert_eq!(json["contradicts"], false);

    // A witness that answers and one that does not.
    let nobody = site.status(&vkey, &["http://127.0.0.1:1"]);
    assert_eq!(nobody.status.code(), Some(3));
    assert!(said(&nobody).1.starts_with(&holds.1), "{}", said(&nobody).1);
    server.stop().unwrap();
    site.witness.kill();
    let away = site.status(&vkey, &[]);
    assert_eq!(away.status.code(), Some(3), "{}", stderr_of(&away));
    site.witness.restart().unwrap();
    assert_eq!(said(&site.status(&vkey, &[])), holds, "a restart forgets nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_contradiction_is_told_and_trust_comes_back_only_to_a_stopped_witness() {
    let mut site = Site::new();
    let vkey = site.home.vkey_argument("default");
    let origin = site.origin();
    site.witness.add_log("default", &site.vkeys());
    let server = site.start();
    site.witnessed(&server, "one");
    // Gossip hears of a new log a moment after submissions do.
    let told = loop {
        let fork = site.contradiction(1).into();
        match report_checkpoint(site.witness.url(), fork).await.unwrap() {
            Standing::UnknownLog => tokio::time::sleep(Duration::from_millis(20)).await,
            standing => break standing,
        }
    };
    assert_eq!(told, Standing::Contradicts);
    let (code, text) = said(&site.status(&vkey, &[]));
    assert!(code == Some(1) && text.contains("HOLDS EVIDENCE"), "{code:?} {text}");
    let json: Value = serde_json::from_slice(&site.status(&vkey, &["--json"]).stdout).unwrap();
    assert_eq!(json["contradicts"], true, "{json}");
    server.stop().unwrap();

    // Its store has one user.
    let running = site.witness.command(&["trust", &origin]);
    assert_eq!(running.status.code(), Some(2));
    assert!(stderr_of(&running).trim_end().ends_with("stop it first"), "{}", stderr_of(&running));
    assert_eq!(said(&site.status(&vkey, &[])).0, Some(1), "nothing has changed");

    site.witness.kill();
    let unknown = stdout_of(&site.witness.command(&["trust", "example.com/other"]));
    assert!(unknown.contains("no evidence against example.com/other"), "{unknown}");
    site.witness.restart().unwrap();
    assert_eq!(said(&site.status(&vkey, &[])).0, Some(1), "of another log nothing was decided");
    site.witness.kill();
    let decided = stdout_of(&site.witness.command(&["trust", &origin]));
    assert!(decided.contains(&format!("{origin} is trusted again")), "{decided}");
    site.witness.restart().unwrap();
    let server = site.start();
    site.witnessed(&server, "two");
    server.stop().unwrap();
}
