//! `cairn record`, against a server that answers as it is told.

use serde_json::{Value, json};

use crate::common::{Folder, Run};
use crate::export::{Log, key};
use crate::server::{Answer, Asked, Server};

/// Takes every event of a body, but those whose action is `bad.one`.
fn take(asked: &Asked) -> Answer {
    let events = asked.body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let events: Vec<Value> = events.map(|line| serde_json::from_slice(line).unwrap()).collect();
    let results = events.iter().zip(5..).map(|(event, index)| match event["action"].as_str() {
        Some("bad.one") => json!({"error": {"reason": "BAD_FIELD", "field": "action",
            "message": "action is bad\u{1b}", "line": 1}}),
        _ => json!({"index": index, "leaf_hash": "ab", "id": event["id"], "duplicate": false,
            "received_at": "2026-01-01T00:00:00.000000000Z"}),
    });
    let results: Vec<Value> = results.collect();
    let is_any = results.iter().any(|result| result["error"].is_null());
    let answer = json!({"results": results, "tree_size": 9});
    Answer { status: if is_any { 200 } else { 400 }, ..Answer::json(&answer) }
}

fn record(folder: &Folder, server: &Server, args: &[&str]) -> Run {
    folder.cairn(["--server", server.url(), "record"].iter().chain(args))
}

#[test]
fn an_event_of_arguments_is_sent_with_an_id_and_its_place_is_printed() {
    let (folder, server) = (Folder::new(), Server::start(take));
    let args = ["shop.order.deleted", "--target", "order:7", "--log", "shop", "--meta", "a=b"];
    let run = record(&folder, &server, &args);
    assert_eq!(run.exit, Some(0), "{run:?}");
    let asked = server.asked_of("/v1/logs/shop/events");
    let (event, id) = (asked[0].json(), asked[0].json()["id"].as_str().unwrap().to_owned());
    assert_eq!(run.stdout, format!("5\tab\t{id}\n"));
    assert_eq!((&event["action"], &event["operation"]), (&args[0].into(), &"delete".into()));
    assert_eq!(asked[0].parameter("receipt"), Some("index"));
    let json: Value =
        serde_json::from_str(&record(&folder, &server, &["a.b", "--json"]).stdout).unwrap();
    assert_eq!((&json["index"], &json["duplicate"]), (&json!(5), &json!(false)));
}

#[test]
fn what_is_refused_is_named_and_exit_code_1() {
    let (folder, server) = (Folder::new(), Server::start(take));
    let run = record(&folder, &server, &["bad.one"]);
    assert_eq!((run.exit, &*run.stdout), (Some(1), ""), "{run:?}");
    assert_eq!(run.stderr, "refused: action is bad\\u1b (field action) [BAD_FIELD]\n");
    // What breaks a rule is not sent.
    for args in [&["Bad"][..], &[], &["-", "--outcome", "denied"], &["a.b", "--stdin"]] {
        let before = server.asked().len();
        let run = record(&folder, &server, args);
        assert_eq!(run.exit, Some(2), "{args:?}: {run:?}");
        assert_eq!(server.asked().len(), before, "{args:?}");
    }
    let none = Server::start(|_| Answer::of(404, r#"{"error":{"message":"no such log"}}"#));
    assert_eq!(record(&folder, &none, &["a.b"]).exit, Some(3));
}

#[test]
fn events_of_stdin_are_one_object_or_one_a_line() {
    let (folder, server) = (Folder::new(), Server::start(take));
    let lines = "{\"id\":\"1\",\"action\":\"a.b\"}\r\n\nnonsense\n{\"action\":\"bad.one\"}\n";
    let args = ["--server", server.url(), "record", "-"];
    let run = folder.cairn_stdin(args, lines.as_bytes());
    assert_eq!((run.exit, &*run.stdout), (Some(1), "5\tab\t1\n"), "{run:?}");
    assert!(run.stderr.contains("refused: line 3: not JSON"), "{run:?}");
    let args = ["--server", server.url(), "record", "--stdin"];
    let run = folder.cairn_stdin(args, b"{\n  \"action\": \"a.b\"\n}\n");
    assert_eq!(run.exit, Some(0), "{run:?}");
    assert_eq!(server.asked().last().unwrap().json()["action"], "a.b");
}

#[test]
fn what_waits_is_sent_first_in_order_and_once() {
    let folder = Folder::new();
    for action in ["one.first", "bad.one", "one.third"] {
        let run = folder.cairn(["record", action, "--spool", "spool"]);
        assert_eq!((run.exit, &*run.stdout), (Some(0), ""), "{run:?}");
        assert!(run.stderr.contains("1 event waits in spool"), "{run:?}");
    }
    assert_eq!(folder.cairn(["record", "--flush", "--spool", "spool"]).exit, Some(3));
    let server = Server::start(take);
    let run = record(&folder, &server, &["one.last", "--spool", "spool", "--json"]);
    assert_eq!(run.exit, Some(1), "one of them was refused: {run:?}");
    let bodies: Vec<String> =
        server.asked().iter().map(|it| String::from_utf8(it.body.clone()).unwrap()).collect();
    let places = ["one.first", "bad.one", "one.third"].map(|it| bodies[0].find(it).unwrap());
    assert!(places.is_sorted() && bodies[1].contains("one.last") && bodies.len() == 2);
    let again = record(&folder, &server, &["--flush", "--spool", "spool"]);
    assert_eq!((again.exit, &*again.stdout), (Some(0), ""), "{again:?}");
    assert_eq!(std::fs::read_dir(folder.path("spool/refused")).unwrap().count(), 1);
}

#[test]
fn a_busy_server_is_asked_again_with_the_same_event() {
    let folder = Folder::new();
    let calls = std::sync::atomic::AtomicU32::new(0);
    let server =
        Server::start(move |asked| match calls.fetch_add(1, std::sync::atomic::Ordering::SeqCst) {
            0 => Answer::of(503, ""),
            1 => Answer { cut_at: Some(3), ..take(asked) },
            _ => take(asked),
        });
    let run = record(&folder, &server, &["a.b"]);
    assert_eq!(run.exit, Some(0), "{run:?}");
    let asked = server.asked();
    assert!(asked.len() == 3 && asked.iter().all(|it| it.body == asked[0].body));
}

#[test]
fn an_event_is_kept_with_a_receipt_that_holds_and_not_with_another() {
    let (folder, log) = (Folder::new(), Log::of(11));
    let line = log.lines[5].write();
    let event = line[..line.len() - 1].to_owned() + r#","event":{},"sentence":"s"}"#;
    let [good, bad] = [log.receipt(5), log.receipt(4)];
    let server = move |receipt: Vec<u8>| {
        let event = event.clone();
        Server::start(move |asked| match asked.target.as_str() {
            "/v1/logs/audit/events/5" => Answer::of(200, event.clone()),
            "/v1/logs/audit/events/5/receipt" => Answer::of(200, receipt.clone()),
            _ => take(asked),
        })
    };
    folder.file("log.vkey", format!("{}\n", key().verifier_key()));
    let args = ["a.b", "--out", "kept", "--vkey", "@log.vkey"];
    let refused = record(&folder, &server(bad), &args);
    assert_eq!(refused.exit, Some(1), "{refused:?}");
    assert!(!folder.path("kept").exists());
    let run = record(&folder, &server(good), &args);
    assert_eq!(run.exit, Some(0), "{run:?}");
    assert_eq!(std::fs::read_to_string(folder.path("kept/5.event.json")).unwrap(), line + "\n");
    let verify = ["verify-event", "kept/5.event.json", "kept/5.tlog-proof", "--vkey", "@log.vkey"];
    assert_eq!(folder.cairn(verify).exit, Some(0));
}
