//! Evidence files that are asked for, and what an erasure does to them.

use std::path::PathBuf;
use std::time::Duration;

use audit_event::Tag;
use audit_event::evidence::Status;
use formats::Trust;
use http::Request;
use http_body_util::Full;
use log_proto::audit_v1 as pb;
use log_proto::audit_v1::export_events_response::Message;
use log_server::erase::Order;
use merkle::LeafIndex;
use serde_json::{Value, json};

use super::event;
use crate::harness::Stack;

async fn filled() -> Stack {
    let stack = Stack::new().await;
    let events: Vec<Value> = (0..20)
        .map(|number| {
            let actor = if number % 4 == 0 { "bob" } else { "ana" };
            event(&number.to_string(), actor, "invoice.updated")
        })
        .collect();
    stack.record_all(&events).await;
    stack
}

/// Asks for an export, waits for its end, and gives its address and state.
async fn export(stack: &Stack, request: &Value) -> (String, Value) {
    let path = "/v1/logs/audit/exports";
    let (status, begun) = stack.record(path, "application/json", &request.to_string()).await;
    assert_eq!(status, 202, "{begun}");
    let url = begun["url"].as_str().unwrap().to_owned();
    loop {
        let (status, state) = stack.json(&url).await;
        assert_eq!(status, 200);
        if !["waiting", "running"].contains(&state["state"].as_str().unwrap()) {
            return (url, state);
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn download(stack: &Stack, url: &str) -> PathBuf {
    let archive = stack.get(&format!("{url}/download"), &[]).await;
    assert_eq!(
        (archive.status(), &archive.headers()["content-type"]),
        (200.try_into().unwrap(), &"application/zip".parse::<http::HeaderValue>().unwrap())
    );
    let path = stack.data().join("evidence.zip");
    std::fs::write(&path, archive.body()).unwrap();
    path
}

fn verdict(path: &std::path::Path, trust: &Trust) -> evidence_file::Verdict {
    evidence_file::verify(path, trust, |_| {}).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_holds_what_was_asked_for_and_verifies() {
    let mut stack = filled().await;
    let trust = stack.trust("audit").await;
    let request = json!({
        "filter": {"actor": "ana"}, "formats": ["csv", "json", "parquet"], "withhold": ["origin"],
        "deflate": true, "purpose": "Q4 audit",
    });
    let (url, state) = export(&stack, &request).await;
    assert_eq!(
        (&state["state"], &state["done"], &state["total"]),
        (&json!("done"), &json!(15), &json!(15))
    );
    let path = download(&stack, &url).await;
    let found = verdict(&path, &trust);
    assert_eq!(found.status(), Status::Holds, "{found:?}");
    let manifest = found.manifest.unwrap();
    assert_eq!((manifest.events, manifest.purpose.as_str()), (15, "Q4 audit"));
    // The same, and nothing left out: every event is there, five of them reduced to their core.
    let complete = json!({"filter": {"outcome": "denied"}, "complete": true});
    let (other, _) = export(&stack, &complete).await;
    let path = download(&stack, &other).await;
    let found = verdict(&path, &trust);
    assert_eq!((found.status(), found.report.lines, found.report.reduced), (Status::Holds, 20, 20));
    // A wrong key, and a byte that is another.
    let system = stack.trust("system").await;
    assert_eq!(verdict(&path, &system).status(), Status::DoesNotHold);
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    assert_ne!(verdict(&path, &trust).status(), Status::Holds);

    let part = stack.get(&format!("{url}/download"), &[("range", "bytes=0-3")]).await;
    assert_eq!((part.status().as_u16(), &part.body()[..]), (206, &b"PK\x03\x04"[..]));
    let beyond = stack.get(&format!("{url}/download"), &[("range", "bytes=99999999-")]).await;
    assert_eq!(beyond.status(), 416);
    let delete = Request::delete(stack.uri(&url)).body(Full::default()).unwrap();
    assert_eq!(stack.send(delete).await.status(), 204);
    assert_eq!(stack.json(&url).await.0, 404);
    // What left the house stands in the log of the server.
    let (_, said) = stack.json("/v1/logs/system/events?action=audit.exported").await;
    assert_eq!(said["count"]["value"], json!(2));
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_for_exports_are_checked() {
    let stack = filled().await;
    for (request, field) in [
        (json!({"filter": {"shoe": "1"}}), json!("shoe")),
        (json!({"formats": ["xml"]}), json!("formats")),
        (json!({"withhold": ["core"]}), json!("withhold")),
        (json!({"shape": 1}), json!("shape")),
    ] {
        let path = "/v1/logs/audit/exports";
        let (status, answer) = stack.record(path, "application/json", &request.to_string()).await;
        assert_eq!((status, &answer["error"]["field"]), (400, &field), "{request}");
    }
    assert_eq!(stack.json("/v1/logs/audit/exports/nobody").await.0, 404);
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_is_there_after_a_restart_and_goes_with_what_is_erased() {
    let mut stack = filled().await;
    let trust = stack.trust("audit").await;
    let (url, _) = export(&stack, &json!({})).await;
    let stack = Stack::over(stack.stop().await, &[]).await;
    let path = download(&stack, &url).await;
    assert_eq!(verdict(&path, &trust).report.lines, 20);
    std::fs::remove_file(&path).unwrap();

    let order = Order {
        log: "audit".to_owned(),
        index: LeafIndex::new(4).unwrap(),
        blocks: [Tag::Actor].into_iter().collect(),
        reason: "request 12".to_owned(),
    };
    let data = stack.data().to_owned();
    let said = tokio::task::spawn_blocking(move || log_server::admin::erase_live(&data, &order));
    assert!(said.await.unwrap().unwrap().unwrap().starts_with("erased actor of event 4"));
    assert_eq!(stack.json(&url).await.1["state"], json!("withdrawn"));
    assert_eq!(stack.get(&format!("{url}/download"), &[]).await.status(), 409);
    let (_, shown) = stack.json("/v1/events/4?verify=true").await;
    assert_eq!(
        (&shown["erased"], &shown["verification"]["verified"]),
        (&json!(["actor"]), &json!(true))
    );
    let (_, found) = stack.json("/v1/events?actor=bob").await;
    assert_eq!(found["count"]["value"], json!(4), "one is not found by who did it any more");
    let (url, _) = export(&stack, &json!({})).await;
    let path = download(&stack, &url).await;
    let found = verdict(&path, &trust);
    assert_eq!((found.status(), found.report.lines, found.report.erased), (Status::Holds, 21, 1));
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_makes_an_export_and_sends_it() {
    let mut stack = filled().await;
    let trust = stack.trust("audit").await;
    let request = pb::ExportEventsRequest { log: "audit".to_owned(), ..Default::default() };
    let mut answers = stack.audit().export_events(request).await.unwrap().into_inner();
    let (mut bytes, mut state) = (Vec::new(), String::new());
    while let Some(answer) = answers.message().await.unwrap() {
        match answer.message.unwrap() {
            Message::Progress(progress) => state = progress.state,
            Message::Piece(piece) => bytes.extend_from_slice(&piece),
        }
    }
    assert_eq!(state, "done");
    let path = stack.data().join("sent.zip");
    std::fs::write(&path, bytes).unwrap();
    assert_eq!(verdict(&path, &trust).status(), Status::Holds);
    let formats = vec!["xml".to_owned()];
    let bad = pb::ExportEventsRequest { log: "audit".to_owned(), formats, ..Default::default() };
    assert!(stack.audit().export_events(bad).await.is_err());
    stack.stop().await;
}
