//! `cairn search`, `count` and `event`, against a server that answers as it is told.

use serde_json::{Value, json};

use crate::common::{Folder, Run};
use crate::export::{Log, key};
use crate::server::{Answer, Asked, Server};

fn cairn(server: &Server, args: &[&str]) -> Run {
    Folder::new().cairn(["--server", server.url()].iter().chain(args))
}

fn event(index: u64) -> Value {
    let time = format!("2026-03-04T09:10:{index:02}Z");
    json!({"index": index, "time": time, "received_at": "r", "sentence": "ana\u{1b}[2J \"did\""})
}

/// Three events, two a page.
fn pages(asked: &Asked) -> Answer {
    let page = |events: &[u64], next: Value| {
        let events: Vec<Value> = events.iter().map(|index| event(*index)).collect();
        Answer::json(&json!({"events": events, "next": next, "indexed_to": 8, "tree_size": 9,
            "count": {"value": 3, "exact": true}}))
    };
    match asked.parameter("cursor") {
        None => page(&[7, 6], json!("c&1")),
        Some("c%261") => page(&[2], Value::Null),
        Some(_) => Answer::of(400, r#"{"error":{"message":"cursor is odd","reason":"BAD_FIELD"}}"#),
    }
}

#[test]
fn what_matches_is_a_sentence_a_line_and_the_end_says_how_many() {
    let server = Server::start(pages);
    let args = ["search", "audit", "--actor", "a b", "--actor", "c", "--from", "2026-03-01"];
    let run = cairn(&server, &args);
    insta::assert_snapshot!(run.shown());
    let first = &server.asked()[0].target;
    assert!(first.contains("from=2026-03-01&actor=a+b&actor=c&order=newest&limit=50"), "{first}");
    let lines = cairn(&server, &["search", "audit", "--all", "--ndjson"]);
    let found: Vec<Value> =
        lines.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(found, [event(7), event(6), event(2)]);
    let json = cairn(&server, &["search", "audit", "--json", "--limit", "2"]);
    let document: Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!((&document["next"], &document["indexed_to"]), (&json!("c&1"), &json!(8)));
    assert_eq!(document["events"], json!([event(7), event(6)]));
}

#[test]
fn a_filter_that_is_refused_is_named() {
    let server = Server::start(|_| {
        let says = "outcome is none of: success, failure, denied, unknown";
        let error = json!({"error": {"message": says, "reason": "BAD_FIELD", "field": "outcome"}});
        Answer { status: 400, ..Answer::json(&error) }
    });
    for args in [&["search", "audit", "--outcome", "ok"][..], &["count", "audit", "--by", "day"]] {
        let run = cairn(&server, args);
        assert_eq!((run.exit, &*run.stdout), (Some(2), ""), "{run:?}");
        assert!(run.stderr.contains("outcome is none of"), "{run:?}");
    }
    assert_eq!(cairn(&server, &["count", "audit", "--by", "year"]).exit, Some(2));
    let odd = Server::start(|_| Answer::of(200, "<html>"));
    assert_eq!(cairn(&odd, &["search", "audit"]).exit, Some(3));
}

#[test]
fn counts_are_a_line_a_key() {
    let server = Server::start(|_| {
        Answer::json(&json!({"counts": [{"key": "ana\u{7}", "count": 7}], "other": 2,
            "indexed_to": 9}))
    });
    let run = cairn(&server, &["count", "audit", "--by", "actor"]);
    assert_eq!((run.exit, &*run.stdout), (Some(0), "7\tana\\u7\n2\tother\n"), "{run:?}");
    assert_eq!(server.asked()[0].parameter("by"), Some("actor"));
    let json = cairn(&server, &["count", "audit", "--by", "actor", "--json"]);
    assert!(json.stdout.contains(r#""other":2"#), "{json:?}");
}

#[test]
fn a_tail_goes_on_where_its_connection_broke() {
    let server = Server::start(|asked| {
        let lines =
            |events: &[u64]| events.iter().map(|it| event(*it).to_string() + "\n").collect();
        let lines: String = match asked.parameter("from") {
            None => return pages(asked),
            Some("6") => lines(&[6, 7]),
            Some(_) => lines(&[8]),
        };
        // The first breaks off within an event.
        let cut_at = (asked.parameter("from") == Some("6")).then(|| lines.len() - 5);
        Answer { cut_at, ..Answer::of(200, lines) }
    });
    for command in [&["event", "tail", "audit"][..], &["tail", "audit", "--events"]] {
        let run = cairn(&server, &[command, &["--from", "6", "--no-follow"]].concat());
        assert_eq!(run.exit, Some(0), "{run:?}");
        let indexes: Vec<&str> =
            run.stdout.lines().map(|line| line.split('\t').next().unwrap()).collect();
        assert!(indexes == ["6", "8"] || indexes == ["6", "7", "8"], "{run:?}");
    }
}

#[test]
fn an_event_is_shown_and_kept_with_its_receipt() {
    let (folder, log) = (Folder::new(), Log::of(11));
    let line = log.lines[3].write();
    let event = json!({"action": "invoice.updated", "category": "data", "operation": "update",
        "outcome": "denied", "time": "2026-03-04T09:10:11Z", "source": "urn:x", "id": "7",
        "actor": {"type": "user", "id": "u-3", "name": "An\u{1b}a"}, "origin": {"ip": "203.0.113.7"},
        "targets": [{"type": "invoice", "id": "4711"}],
        "changes": [{"field": "amount", "old": 1, "new": "2"}]});
    let answer = format!(
        "{},\"event\":{event},\"sentence\":\"An\\u001ba tried\"}}",
        &line[..line.len() - 1]
    );
    let receipt = log.receipt(3);
    let server = Server::start(move |asked| match asked.target.as_str() {
        "/v1/logs/audit/events/3" => Answer::of(200, answer.clone()),
        "/v1/logs/audit/events/3/receipt" => Answer::of(200, receipt.clone()),
        _ => Answer::of(404, r#"{"error":{"message":"log has no such event","reason":"X"}}"#),
    });
    folder.file("log.vkey", format!("{}\n", key().verifier_key()));
    let show = |args: &[&str]| {
        let first = ["--server", server.url(), "event", "show", "audit"];
        folder.cairn(first.iter().chain(args))
    };
    let run = show(&["3", "--out", "kept", "--vkey", "@log.vkey"]);
    insta::assert_snapshot!(run.shown());
    assert_eq!(std::fs::read_to_string(folder.path("kept/3.event.json")).unwrap(), line + "\n");
    let verify = ["verify-event", "kept/3.event.json", "kept/3.tlog-proof", "--vkey", "@log.vkey"];
    assert_eq!(folder.cairn(verify).exit, Some(0));
    let again = show(&["3", "--out", "kept", "--vkey", "@log.vkey"]);
    assert_eq!(again.exit, Some(2), "nothing is overwritten: {again:?}");
    let json: Value = serde_json::from_str(&show(&["3", "--json"]).stdout).unwrap();
    assert_eq!((&json["index"], &json["event"]), (&json!(3), &event));
    let absent = show(&["4"]);
    assert_eq!(absent.exit, Some(3), "{absent:?}");
}
