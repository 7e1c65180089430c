//! `cairn import`, against a server that answers as it is told.

use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;
use ring::rand::SystemRandom;
use ring::signature::{KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::common::{Folder, Run};
use crate::server::{Answer, Asked, Server};

/// A key of nobody, made for these tests.
const KEY: &[u8] = include_bytes!("digest-key.pk8");
const DAY: &str = "AWSLogs/111122223333/CloudTrail/eu-west-1/2026/03/01";
const DIGESTS: &str = "AWSLogs/111122223333/CloudTrail-Digest/eu-west-1/2026/03/01";

/// The hours of the chain, and the log file of each; the second is empty.
const LOGS: [Option<&str>; 5] =
    [Some("0020Z_a"), None, Some("0230Z_b"), Some("0340Z_c"), Some("0405Z_d")];

fn log_name(part: &str) -> String {
    format!("111122223333_CloudTrail_eu-west-1_20260301T{part}.json.gz")
}

fn digest_name(hour: usize) -> String {
    format!(
        "111122223333_CloudTrail-Digest_eu-west-1_main_eu-west-1_20260301T{hour:02}0000Z.json.gz"
    )
}

fn packed(text: &[u8], level: Compression) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), level);
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

fn log_text(part: &str) -> String {
    json!({"Records": [{"eventID": part, "eventTime": "2026-03-01T01:58:00Z"}]}).to_string()
}

fn hex(bytes: &[u8]) -> String {
    let bytes: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    bytes.concat()
}

fn sha256(text: &str) -> String {
    hex(&Sha256::digest(text.as_bytes()))
}

fn signature(key: &RsaKeyPair, text: &str) -> String {
    let mut signature = vec![0; key.public().modulus_len()];
    let random = SystemRandom::new();
    key.sign(&RSA_PKCS1_SHA256, &random, text.as_bytes(), &mut signature).unwrap();
    hex(&signature)
}

/// A bucket with a day's first hours, the metadata of its objects, and the keys.
fn bucket() -> Folder {
    let (folder, key) = (Folder::new(), RsaKeyPair::from_pkcs8(KEY).unwrap());
    let (mut heads, mut previous) = (Vec::new(), None::<(String, String, String)>);
    for (at, log) in LOGS.into_iter().enumerate() {
        let object = format!("{DIGESTS}/{}", digest_name(at + 1));
        let logs: Vec<Value> = log
            .iter()
            .map(|part| {
                let text = log_text(part);
                folder.file(
                    &format!("bucket/{DAY}/{}", log_name(part)),
                    packed(text.as_bytes(), Compression::fast()),
                );
                json!({"s3Bucket": "b", "s3Object": format!("{DAY}/{}", log_name(part)),
                "hashValue": sha256(&text), "hashAlgorithm": "SHA-256"})
            })
            .collect();
        let end = format!("2026-03-01T{:02}:00:00Z", at + 1);
        let before = previous.as_ref();
        let text = json!({
            "digestStartTime": format!("2026-03-01T{at:02}:00:00Z"), "digestEndTime": end,
            "digestS3Bucket": "b", "digestS3Object": object, "logFiles": logs,
            "digestPublicKeyFingerprint": "f1", "digestSignatureAlgorithm": "SHA256withRSA",
            "previousDigestS3Object": before.map(|it| &it.0),
            "previousDigestHashValue": before.map(|it| &it.1),
            "previousDigestSignature": before.map(|it| &it.2),
        })
        .to_string();
        let last = before.map_or("null", |it| &it.2);
        let signed = signature(&key, &format!("{end}\nb/{object}\n{}\n{last}", sha256(&text)));
        heads.push(json!({"Bucket": "b", "Key": object,
            "Metadata": {"signature": signed, "signature-algorithm": "SHA256withRSA"}}));
        folder.file(&format!("bucket/{object}"), packed(text.as_bytes(), Compression::best()));
        previous = Some((object, sha256(&text), signed));
    }
    folder.file("head-objects.json", json!(heads).to_string());
    let keys = json!({"PublicKeyList": [{"Value": STANDARD.encode(key.public_key()),
        "Fingerprint": "f1", "ValidityStartTime": "2026-01-01T00:00:00Z",
        "ValidityEndTime": "2026-04-01T00:00:00Z"}]});
    folder.file("public-keys.json", keys.to_string());
    folder
}

fn take(asked: &Asked) -> Answer {
    match asked.target.split('?').next() {
        Some("/v1/cloudtrail") => {
            let records = asked.json()["Records"].as_array().unwrap().len();
            Answer::json(
                &json!({"taken": records, "duplicates": 0, "quarantined": 0, "tree_size": 9}),
            )
        }
        _ => Answer::of(200, "{}"),
    }
}

fn import(folder: &Folder, args: &[&str]) -> (Run, Value, Server) {
    let server = Server::start(take);
    let first = ["--server", server.url(), "import", "cloudtrail", "--json"];
    let run = folder.cairn(first.iter().chain(args));
    let told = serde_json::from_str(&run.stdout).unwrap_or_default();
    (run, told, server)
}

const WITH_KEYS: [&str; 3] = ["bucket", "--public-keys", "public-keys.json"];

/// The verdict that the records of a log file keep.
fn verdict(server: &Server, part: &str) -> Option<String> {
    let is_of = |asked: &Asked| String::from_utf8_lossy(&asked.body).contains(part);
    let asked = server.asked_of("/v1/cloudtrail").into_iter().find(is_of).unwrap();
    asked.parameter("digest").map(str::to_owned)
}

#[test]
fn a_whole_chain_holds_and_the_log_records_what_it_came_to() {
    let (run, told, server) = import(&bucket(), &WITH_KEYS);
    assert_eq!(run.exit, Some(0), "{run:?}");
    for (name, count) in [("digests_valid", 5), ("logs_valid", 4), ("gaps", 0), ("events", 4)] {
        assert_eq!(told[name], count, "{name}");
    }
    assert_eq!(verdict(&server, "0340Z_c").as_deref(), Some("valid"));
    let finished = server.asked_of("/v1/logs/audit/imports");
    assert_eq!(finished.len(), 1);
    let finished = finished[0].json();
    assert_eq!(
        (&finished["kind"], &finished["outcome"]),
        (&json!("cloudtrail"), &json!("success"))
    );
    assert_eq!((&finished["digests_valid"], &finished["events"]), (&json!(5), &json!(4)));
}

#[test]
fn what_is_packed_anew_is_valid_and_what_is_altered_is_not() {
    let folder = bucket();
    let file = |part: &str, text: &[u8]| {
        folder.file(&format!("bucket/{DAY}/{}", log_name(part)), packed(text, Compression::none()))
    };
    file("0020Z_a", log_text("0020Z_a").as_bytes());
    assert_eq!(import(&folder, &WITH_KEYS).0.exit, Some(0));
    file("0020Z_a", log_text("0020Z_a").replace("01:58", "01:59").as_bytes());
    let (run, told, server) = import(&folder, &WITH_KEYS);
    assert_eq!((run.exit, &told["logs_invalid"]), (Some(1), &json!(1)), "{run:?}");
    assert_eq!(verdict(&server, "0020Z_a").as_deref(), Some("invalid"));
    assert_eq!(verdict(&server, "0230Z_b").as_deref(), Some("valid"));
    assert_eq!(server.asked_of("/v1/logs/audit/imports")[0].json()["outcome"], "failure");
}

#[test]
fn every_hour_without_a_digest_is_named() {
    let folder = bucket();
    for hour in [3, 4] {
        std::fs::remove_file(folder.path(&format!("bucket/{DIGESTS}/{}", digest_name(hour))))
            .unwrap();
    }
    let (run, told, server) = import(&folder, &WITH_KEYS);
    assert_eq!(run.exit, Some(1), "{run:?}");
    let hours =
        ["2026-03-01T02:00:00Z/2026-03-01T03:00:00Z", "2026-03-01T03:00:00Z/2026-03-01T04:00:00Z"];
    assert_eq!((&told["missing"], &told["logs_not_covered"]), (&json!(hours), &json!(2)));
    assert_eq!(verdict(&server, "0230Z_b").as_deref(), Some("not_covered"));
    assert!(
        run.stderr.contains("digest from 2026-03-01T02:00:00Z to 2026-03-01T03:00:00Z"),
        "{run:?}"
    );
}

#[test]
fn a_log_file_that_a_digest_states_may_not_be_missing() {
    let folder = bucket();
    std::fs::remove_file(folder.path(&format!("bucket/{DAY}/{}", log_name("0405Z_d")))).unwrap();
    let (run, told, _) = import(&folder, &WITH_KEYS);
    assert_eq!((run.exit, &told["logs_missing"]), (Some(1), &json!(1)), "{run:?}");
}

#[test]
fn nothing_is_valid_without_signatures_or_under_other_keys() {
    let folder = bucket();
    let keys = std::fs::read_to_string(folder.path("public-keys.json")).unwrap();
    let heads = std::fs::read_to_string(folder.path("head-objects.json")).unwrap();
    for (name, text, count, says) in [
        (
            "public-keys.json",
            keys.replace("\"f1\"", "\"f2\""),
            "digests_unverified",
            "no public key",
        ),
        (
            "public-keys.json",
            keys.replace("2026-04", "2026-02"),
            "digests_unverified",
            "no public key",
        ),
        (
            "head-objects.json",
            heads.replace("\"signature\":\"", "\"signature\":\"00"),
            "digests_invalid",
            "does not hold",
        ),
        (
            "head-objects.json",
            "[]".to_owned(),
            "digests_unverified",
            "the signature is in the object metadata",
        ),
    ] {
        let folder = bucket();
        folder.file(name, text);
        let (run, told, server) = import(&folder, &WITH_KEYS);
        assert_eq!((run.exit, &told[count]), (Some(1), &json!(5)), "{run:?}");
        assert_eq!((&told["digests_valid"], &told["logs_valid"]), (&json!(0), &json!(0)), "{name}");
        assert!(run.stderr.contains(says), "{says}: {run:?}");
        assert_eq!(verdict(&server, "0340Z_c").as_deref(), Some("unverified"));
    }
    folder.file("public-keys.json", "{}");
    assert_eq!(import(&folder, &WITH_KEYS).0.exit, Some(2));
}

#[test]
fn a_digest_that_is_altered_is_found_by_its_signature_and_by_the_next() {
    let folder = bucket();
    let path = format!("bucket/{DIGESTS}/{}", digest_name(2));
    let text = json!({"digestStartTime": "2026-03-01T01:00:00Z", "digestEndTime": "2026-03-01T02:00:00Z",
        "digestS3Bucket": "b", "digestS3Object": format!("{DIGESTS}/{}", digest_name(2)), "logFiles": [],
        "digestPublicKeyFingerprint": "f1", "digestSignatureAlgorithm": "SHA256withRSA"});
    folder.file(&path, packed(text.to_string().as_bytes(), Compression::fast()));
    let (run, told, _) = import(&folder, &WITH_KEYS);
    assert_eq!((run.exit, &told["digests_valid"]), (Some(1), &json!(4)), "{run:?}");
    assert_eq!((&told["restarts"], &told["digests_invalid"]), (&json!(1), &json!(1)));
    assert!(run.stderr.contains("logging, or the validation of log files, was off"), "{run:?}");
}

#[test]
fn log_files_without_digests_are_imported_and_unusable_ones_are_named() {
    let folder = Folder::new();
    let text = log_text("x");
    let two =
        [packed(b"{\"Records\":[{},", Compression::fast()), packed(b"{}]}", Compression::fast())];
    folder.file("in/a.json", &text);
    folder.file("in/b.json.gz", two.concat());
    let (run, told, server) = import(&folder, &["in", "--log", "aws"]);
    assert_eq!((run.exit, &told["events"]), (Some(0), &json!(3)), "{run:?}");
    assert_eq!(server.asked_of("/v1/cloudtrail")[0].parameter("log"), Some("aws"));
    assert_eq!(server.asked_of("/v1/cloudtrail")[0].parameter("digest"), None);
    let whole = packed(text.as_bytes(), Compression::fast());
    folder.file("in/cut.json.gz", &whole[..whole.len() - 9]);
    folder.file("in/other.json", "{}");
    let (run, told, _) = import(&folder, &["in"]);
    assert_eq!((run.exit, &told["events"], &told["unusable"]), (Some(2), &json!(3), &json!(2)));
    for named in ["in/cut.json.gz: it is cut short", "in/other.json: it is neither"] {
        assert!(run.stderr.contains(named), "{named}: {run:?}");
    }
}

#[test]
fn what_is_quarantined_is_exit_code_1() {
    let folder = Folder::new();
    folder.file("a.json", log_text("x"));
    let server = Server::start(|asked| match asked.target.split('?').next() {
        Some("/v1/cloudtrail") => {
            Answer::json(&json!({"taken": 0, "duplicates": 0, "quarantined": 1}))
        }
        _ => Answer::of(200, "{}"),
    });
    let run = folder.cairn(["--server", server.url(), "import", "cloudtrail", "a.json"]);
    assert_eq!(run.exit, Some(1), "{run:?}");
}

#[test]
fn lines_are_imported_and_those_that_are_refused_are_named_by_file_and_line() {
    let folder = Folder::new();
    let server = Server::start(|asked| {
        if asked.target.ends_with("/imports") {
            return Answer::of(200, "{}");
        }
        let lines = asked.body.split(|byte| *byte == b'\n');
        let result = |line: &[u8]| match std::str::from_utf8(line).unwrap() {
            line if line.contains("\"bad\"") => {
                json!({"error": {"reason": "X", "message": "time is bad"}})
            }
            line => json!({"index": 1, "leaf_hash": "a", "id": "i", "received_at": "r",
                "duplicate": line.contains("again")}),
        };
        Answer::json(&json!({"results": lines.map(result).collect::<Vec<_>>(), "tree_size": 9}))
    });
    folder.file("in/a.ndjson", "{\"x\":1}\n\n{\"x\":\"again\"}\n");
    let import =
        |path: &str| folder.cairn(["--server", server.url(), "import", "ndjson", path, "--json"]);
    let run = import("in");
    assert_eq!(run.exit, Some(0), "{run:?}");
    let told: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(told, json!({"files": 1, "events": 1, "duplicates": 1, "refused": 0}));
    assert_eq!(server.asked_of("/v1/logs/audit/imports")[0].json()["kind"], "ndjson");
    folder.file("in/b.jsonl", "{\"x\":1}\n{\"x\":\"bad\"}\nnonsense\n");
    let run = import("in");
    assert_eq!(run.exit, Some(1), "{run:?}");
    for named in ["in/b.jsonl:2: time is bad", "in/b.jsonl:3: not JSON"] {
        assert!(run.stderr.contains(named), "{named}: {run:?}");
    }
    assert_eq!(import("absent").exit, Some(2));
    let many: Vec<String> = (0..2_500).map(|at| format!("{{\"x\":{at}}}\n")).collect();
    folder.file("many.ndjson", many.concat());
    let before = server.asked().len();
    assert_eq!(import("many.ndjson").exit, Some(0));
    assert_eq!(server.asked().len(), before + 3 + 1);
}
