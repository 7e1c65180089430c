//! `cairn export`, against a server that answers as it is told.

use std::sync::atomic::{AtomicU32, Ordering};

use evidence_file::Options;
use evidence_file::write::Target;
use serde_json::{Value, json};

use crate::common::{Folder, Run};
use crate::export::{Export, Log, key};
use crate::server::{Answer, Asked, Server};

/// The bytes of an evidence file.
fn archive() -> Vec<u8> {
    let (folder, log) = (Folder::new(), Log::of(11));
    let path = folder.path("made.zip");
    log.write(Target::Zip(&path), Options::default(), &Export::of(&log.lines[2..5]));
    std::fs::read(path).unwrap()
}

/// Makes the file while it is looked at twice; the first download breaks off.
fn server(zip: Vec<u8>, keeps_ranges: bool) -> Server {
    let looks = AtomicU32::new(0);
    let half = zip.len() / 2;
    Server::start(move |asked| match (&*asked.method, &*asked.target) {
        ("POST", "/v1/logs/audit/exports") => {
            Answer { status: 202, ..Answer::json(&json!({"url": "/x/1", "state": "waiting"})) }
        }
        ("GET", "/x/1") if looks.fetch_add(1, Ordering::SeqCst) == 0 => {
            Answer::json(&json!({"state": "running", "done": 1, "total": 3, "bytes": 0}))
        }
        ("GET", "/x/1") => Answer::json(&json!({"state": "done", "done": 3, "total": 3})),
        ("GET", "/x/1/download") => download(asked, &zip, half, keeps_ranges),
        _ => Answer::of(404, ""),
    })
}

fn download(asked: &Asked, zip: &[u8], half: usize, keeps_ranges: bool) -> Answer {
    match asked.header("range") {
        None => Answer { cut_at: Some(half), ..Answer::of(200, zip) },
        Some(range) if keeps_ranges => {
            let start: usize = range.trim_matches(|it: char| !it.is_ascii_digit()).parse().unwrap();
            let content = format!("bytes {start}-{}/{}", zip.len() - 1, zip.len());
            let headers = vec![("content-range", content)];
            Answer { headers, ..Answer::of(206, &zip[start..]) }
        }
        Some(_) => Answer::of(200, zip),
    }
}

fn export(folder: &Folder, server: &Server, args: &[&str]) -> Run {
    folder.cairn(["--server", server.url(), "export", "audit"].iter().chain(args))
}

fn names(folder: &Folder) -> Vec<String> {
    let entries = std::fs::read_dir(folder.path("")).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}

#[test]
fn a_file_is_asked_for_and_brought_over_broken_connections() {
    let zip = archive();
    for keeps_ranges in [true, false] {
        let (folder, server) = (Folder::new(), server(zip.clone(), keeps_ranges));
        let args = [
            "--outcome",
            "denied",
            "--from",
            "2026-01-01",
            "--format",
            "csv,json",
            "--withhold",
            "actor,origin",
            "--purpose",
            "Q1",
            "--out",
            "e.zip",
            "--json",
        ];
        let run = export(&folder, &server, &args);
        assert_eq!(run.exit, Some(0), "{run:?}");
        assert_eq!(std::fs::read(folder.path("e.zip")).unwrap(), zip);
        assert_eq!(names(&folder), ["e.zip"]);
        let told: Value = serde_json::from_str(&run.stdout).unwrap();
        assert_eq!((&told["events"], &told["bytes"]), (&json!(3), &json!(zip.len())));
        assert_eq!(told["manifest_sha256"].as_str().unwrap().len(), 64);
        assert!(told["rows_per_s"].is_u64());
        assert_eq!(
            server.asked()[0].json(),
            json!({"filter": {"from": "2026-01-01", "outcome": ["denied"]}, "purpose": "Q1",
                "formats": ["csv", "json"], "withhold": ["actor", "origin"],
                "complete": false, "deflate": false})
        );
        folder.file("log.vkey", format!("{}\n", key().verifier_key()));
        assert_eq!(folder.cairn(["verify-export", "e.zip", "--vkey", "@log.vkey"]).exit, Some(0));
        let again = export(&folder, &server, &["--out", "e.zip"]);
        assert_eq!(again.exit, Some(2), "nothing is overwritten: {again:?}");
    }
}

#[test]
fn a_folder_has_the_files_of_the_archive() {
    let (folder, server) = (Folder::new(), server(archive(), true));
    let run = export(&folder, &server, &["--out", "e"]);
    assert_eq!(run.exit, Some(0), "{run:?}");
    assert_eq!(names(&folder), ["e"]);
    folder.file("log.vkey", format!("{}\n", key().verifier_key()));
    let verified = folder.cairn(["verify-export", "e", "--vkey", "@log.vkey"]);
    assert_eq!(verified.exit, Some(0), "{verified:?}");
}

#[test]
fn what_is_not_made_leaves_nothing() {
    let state = |state: &'static str| {
        Server::start(move |asked| match &*asked.method {
            "POST" => Answer::json(&json!({"url": "/x/1", "state": "waiting"})),
            _ => Answer::json(&json!({"state": state, "done": 0, "error": "no\u{1b}room"})),
        })
    };
    let broken = Server::start(|asked| match (&*asked.method, &*asked.target) {
        ("POST", _) => Answer::json(&json!({"url": "/x/1", "state": "done"})),
        (_, "/x/1") => Answer::json(&json!({"state": "done"})),
        _ => Answer::of(200, "no archive"),
    });
    let elsewhere =
        Server::start(|_| Answer::json(&json!({"url": "http://other.example/x", "state": "done"})));
    for (server, exit) in [
        (state("refused"), 1),
        (state("failed"), 3),
        (state("odd"), 3),
        (broken, 3),
        (elsewhere, 3),
    ] {
        for out in ["e.zip", "e"] {
            let folder = Folder::new();
            let run = export(&folder, &server, &["--out", out]);
            assert_eq!(run.exit, Some(exit), "{run:?}");
            assert!(names(&folder).is_empty() && !run.stderr.contains('\u{1b}'), "{run:?}");
        }
    }
}

#[test]
fn a_complete_file_is_confirmed_first() {
    let (folder, server) = (Folder::new(), server(archive(), true));
    let run = export(&folder, &server, &["--complete", "--out", "e.zip"]);
    assert_eq!(run.exit, Some(1), "{run:?}");
    assert!(server.asked().is_empty() && run.stderr.contains("--yes"), "{run:?}");
    let run = export(&folder, &server, &["--complete", "--yes", "--deflate", "--out", "e.zip"]);
    assert_eq!(run.exit, Some(0), "{run:?}");
    let asked = server.asked()[0].json();
    assert_eq!((&asked["complete"], &asked["deflate"]), (&json!(true), &json!(true)));
}
