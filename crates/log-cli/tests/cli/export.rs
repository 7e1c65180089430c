//! `cairn verify-export` and `cairn verify-event`, run for real.

use evidence_file::Options;
use evidence_file::write::Target;
use serde_json::{Value, json};

use crate::common::{Folder, Run};

#[path = "../../../evidence-file/tests/kit/log.rs"]
#[expect(dead_code, unreachable_pub, reason = "the tests of evidence files use more of it")]
mod kit;

pub(crate) use kit::{Export, Log, key};
use kit::{all_views, other_key};

/// A log of eleven events, some of them in `e` and `e.zip`, and one alone.
fn exported() -> (Folder, Log) {
    let (folder, log) = (Folder::new(), Log::of(11));
    let export = Export::of(&log.lines[2..5]);
    log.write(Target::Folder(&folder.path("e")), all_views(), &export);
    log.write(Target::Zip(&folder.path("e.zip")), Options::default(), &export);
    folder.file("log.vkey", format!("{}\n", key().verifier_key()));
    folder.file("other.vkey", format!("{}\n", other_key().verifier_key()));
    folder.file("3.event.json", export.lines[1].write() + "\n");
    folder.file("3.tlog-proof", log.receipt(3));
    (folder, log)
}

fn edit(folder: &Folder, name: &str, find: &str, replace: &str) {
    let text = std::fs::read_to_string(folder.path(name)).unwrap();
    assert!(text.contains(find), "{find}");
    folder.file(name, text.replacen(find, replace, 1));
}

fn verify(folder: &Folder, file: &str, more: &[&str]) -> Run {
    folder.cairn(["verify-export", file, "--vkey", "@log.vkey"].iter().chain(more))
}

fn document(run: &Run) -> Value {
    let mut document: Value = serde_json::from_str(&run.stdout).unwrap();
    assert!(document["rows_per_s"].is_u64());
    document["rows_per_s"] = json!(1);
    document
}

#[test]
fn an_evidence_file_holds() {
    let (folder, _) = exported();
    let run = verify(&folder, "e", &[]);
    insta::assert_snapshot!(run.shown());
    assert!(!run.stdout.contains('\u{1b}'), "the maker's words are escaped");
    let zip = verify(&folder, "e.zip", &["--json"]);
    assert_eq!(zip.exit, Some(0));
    insta::assert_snapshot!(serde_json::to_string_pretty(&document(&zip)).unwrap());
    let quiet = verify(&folder, "e.zip", &["--quiet"]);
    assert_eq!((quiet.exit, &*quiet.stdout, &*quiet.stderr), (Some(0), "", ""));
    folder.file("policy", format!("log {}\nquorum none\n", key().verifier_key()));
    let by_policy = folder.cairn(["verify-export", "e", "--policy", "policy"]);
    assert_eq!(by_policy.exit, Some(0), "{by_policy:?}");
}

#[test]
fn a_complete_file_says_what_it_shows() {
    let (folder, log) = exported();
    let filter = r#"{"outcome":["denied"]}"#;
    let export = Export::complete(&log, 0..11, filter, |at| at.is_multiple_of(3));
    log.write(Target::Zip(&folder.path("c.zip")), Options::default(), &export);
    insta::assert_snapshot!(verify(&folder, "c.zip", &[]).shown());
    let filter = r#"{"actor":["(withheld)"]}"#;
    let export = Export::complete(&log, 0..11, filter, |at| at == 4);
    log.write(Target::Zip(&folder.path("d.zip")), Options::default(), &export);
    let run = verify(&folder, "d.zip", &[]);
    assert!(run.stdout.contains("whether the reduced lines match cannot be seen here"), "{run:?}");
}

#[test]
fn what_does_not_hold_is_named_by_line_block_and_step() {
    let (folder, _) = exported();
    edit(&folder, "e/events.ndjson", "u-3", "u-x");
    let run = verify(&folder, "e", &[]);
    insta::assert_snapshot!(run.shown());
    let found = document(&verify(&folder, "e", &["--json"]));
    assert_eq!((&found["verified"], &found["status"]), (&json!(false), &json!(1)));
    let of_block = |it: &&Value| it["block"] == "actor";
    let block = found["findings"].as_array().unwrap().iter().find(of_block).unwrap();
    assert_eq!((&block["line"], &block["index"]), (&json!(2), &json!(3)));
    assert_eq!(block["step"], "commitment");
    let other = folder.cairn(["verify-export", "e.zip", "--vkey", "@other.vkey"]);
    assert_eq!(other.exit, Some(1), "{other:?}");
}

#[test]
fn what_cannot_be_used_is_exit_code_2() {
    let (folder, _) = exported();
    folder.file("e/more.txt", "");
    insta::assert_snapshot!(verify(&folder, "e", &[]).shown());
    let found = document(&verify(&folder, "e", &["--json"]));
    assert_eq!((&found["verified"], &found["status"]), (&json!(false), &json!(2)));
    folder.file("junk.zip", "PK");
    assert_eq!(verify(&folder, "junk.zip", &[]).exit, Some(2));
    assert_eq!(verify(&folder, "absent", &[]).exit, Some(2));
    assert_eq!(folder.cairn(["verify-export", "e.zip"]).exit, Some(2));
}

#[test]
fn one_event_holds_under_its_receipt() {
    let (folder, log) = exported();
    let args = ["verify-event", "3.event.json", "3.tlog-proof", "--vkey"];
    let verify = |more: &[&str]| folder.cairn(args.iter().chain(more));
    insta::assert_snapshot!(verify(&["@log.vkey"]).shown());
    let json = verify(&["@log.vkey", "--json"]);
    insta::assert_snapshot!(json.shown());
    assert_eq!(verify(&["@other.vkey"]).exit, Some(1));
    folder.file("3.tlog-proof", log.receipt(4));
    insta::assert_snapshot!(verify(&["@log.vkey"]).shown());
    folder.file("3.tlog-proof", "x");
    assert_eq!(verify(&["@log.vkey"]).exit, Some(2));
    folder.file("3.tlog-proof", log.receipt(3));
    edit(&folder, "3.event.json", "u-3", "u-x");
    assert_eq!(verify(&["@log.vkey"]).exit, Some(1));
    folder.file("3.event.json", "{}");
    assert_eq!(verify(&["@log.vkey"]).exit, Some(2));
}
