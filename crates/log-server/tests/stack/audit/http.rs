//! Plain HTTP.

use std::collections::BTreeSet;

use http_body_util::BodyExt as _;
use hyper_util::client::legacy::Client as HttpClient;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use serve::route::Call;

use super::event;
use crate::harness::Stack;

const JSON: &str = "application/json";
const LINES: &str = "application/x-ndjson";

#[tokio::test(flavor = "multi_thread")]
async fn each_event_of_a_body_has_its_result() {
    let mut stack = Stack::new().await;
    let (good, other) = (event("1", "ana", "invoice.updated"), event("2", "bob", "invoice.read"));
    let mut bad = event("3", "ana", "invoice.updated");
    bad["actor"].as_object_mut().unwrap().remove("id");
    let body = format!("\u{feff}{good}\r\n\r\n{bad}\r\nnot json\n{other}");
    let (status, answer) = stack.record("/v1/events?receipt=signed", LINES, &body).await;
    assert_eq!((status, &answer["tree_size"]), (200, &json!(2)), "{answer}");
    let results = answer["results"].as_array().unwrap();
    assert_eq!((&results[0]["index"], &results[3]["index"]), (&json!(0), &json!(1)));
    assert!(results[0]["receipt"].as_str().unwrap().starts_with("c2sp.org/tlog-proof@v1\n"));
    let refused = &results[1]["error"];
    assert_eq!((&refused["field"], &refused["line"]), (&json!("actor.id"), &json!(3)));
    let refused = &results[2]["error"];
    assert_eq!((&refused["reason"], &refused["line"]), (&json!("BAD_JSON"), &json!(4)));
    assert!(stack.holds("audit", 0).await && stack.holds("audit", 1).await);

    let again = stack.record("/v1/logs/audit/events", JSON, &good.to_string()).await;
    assert_eq!((again.0, &again.1["results"][0]["duplicate"]), (200, &json!(true)));
    assert_eq!(again.1["results"][0]["index"], json!(0));
    let mut known = good.clone();
    known["outcome"] = json!("denied");
    let (status, answer) = stack.record("/v1/events", JSON, &known.to_string()).await;
    let error = &answer["results"][0]["error"];
    assert_eq!(
        (status, &error["field"], &error["reason"]),
        (409, &json!("id"), &json!("ID_TAKEN"))
    );
    let (status, _) = stack.record("/v1/events", JSON, &bad.to_string()).await;
    assert_eq!(status, 400);
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_and_logs_that_cannot_be_recorded_are_refused() {
    let stack = Stack::new().await;
    let good = event("1", "ana", "invoice.updated").to_string();
    for (path, media, body, status, reason) in [
        ("/v1/events", "text/xml", good.clone(), 415, "MEDIA_TYPE"),
        ("/v1/events", JSON, String::new(), 400, "EMPTY_BATCH"),
        ("/v1/events", JSON, format!("[{}]", vec!["{}"; 1_001].join(",")), 413, "TOO_MANY_EVENTS"),
        ("/v1/events", JSON, "x".repeat(8 * 1024 * 1024 + 1), 413, "BAD_FIELD"),
        ("/v1/events?receipt=now", JSON, good.clone(), 400, "BAD_FIELD"),
        ("/v1/events?wait=1", JSON, good.clone(), 400, "UNKNOWN_PARAMETER"),
        ("/v1/events?receipt=witnessed", JSON, good.clone(), 409, "NO_WITNESS_POLICY"),
        ("/v1/logs/nobody/events", JSON, good.clone(), 404, "LOG_NOT_FOUND"),
        ("/v1/logs/default/events", JSON, good.clone(), 409, "NOT_AN_AUDIT_LOG"),
        ("/v1/logs/system/events", JSON, good.clone(), 403, "LOG_RESERVED"),
    ] {
        let (found, answer) = stack.record(path, media, &body).await;
        assert_eq!((found, &answer["error"]["reason"]), (status, &json!(reason)), "{path}");
    }
    let system = stack.server.registry().log("audit").unwrap();
    assert_eq!(system.tree().head.size.get(), 0);
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_found_page_by_page_and_counted() {
    let stack = Stack::new().await;
    let events: Vec<Value> = (0..25)
        .map(|number| {
            let actor = if number % 5 == 0 { "bob" } else { "ana" };
            event(&number.to_string(), actor, "invoice.updated")
        })
        .collect();
    stack.record_all(&events).await;
    let (mut path, mut found) = ("/v1/events?actor=ana&limit=8".to_owned(), Vec::new());
    loop {
        let (status, page) = stack.json(&path).await;
        assert_eq!(status, 200);
        assert_eq!(
            (&page["count"], &page["tree_size"]),
            (&json!({"value": 20, "exact": true}), &json!(25))
        );
        for item in page["events"].as_array().unwrap() {
            assert_eq!(item["sentence"], json!("ana changed invoice 7 — allowed"));
            assert!(item["withheld"].is_array() && item["erased"].is_array());
            assert!(item.get("raw").is_none() && item["leaf_hash"].as_str().unwrap().len() == 64);
            found.push(item["index"].as_u64().unwrap());
        }
        let Some(next) = page["next"].as_str() else { break };
        path = format!("/v1/events?actor=ana&limit=8&cursor={next}");
    }
    let expected: Vec<u64> = (0..25).rev().filter(|number| number % 5 != 0).collect();
    assert_eq!(found, expected, "each once, the newest first");
    let (_, counts) = stack.json("/v1/events/counts?by=actor").await;
    assert_eq!(counts["counts"], json!([{"key": "ana", "count": 20}, {"key": "bob", "count": 5}]));
    for (path, field) in [
        ("/v1/events?shoe=1", "shoe"),
        ("/v1/events?limit=0", "limit"),
        ("/v1/events?from=yesterday", "from"),
        ("/v1/events?cursor=00", "cursor"),
        ("/v1/events/counts?by=shoe", "by"),
        ("/v1/events/counts", "by"),
        ("/v1/events/tail?from=x", "from"),
    ] {
        let (status, answer) = stack.json(path).await;
        assert_eq!((status, &answer["error"]["field"]), (400, &json!(field)), "{path}");
    }
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_event_is_shown_with_its_blocks_and_verified_step_by_step() {
    let stack = Stack::new().await;
    let mut more = event("1", "ana", "invoice.updated");
    more["shoe_size"] = json!(43);
    stack.record_all(std::slice::from_ref(&more)).await;
    let (status, shown) = stack.json("/v1/events/0?verify=true").await;
    assert_eq!((status, &shown["verification"]["verified"]), (200, &json!(true)), "{shown}");
    assert!(shown["verification"]["steps"].as_array().unwrap().len() > 3);
    assert_eq!(shown["event"]["actor"]["id"], json!("ana"));
    assert!(shown["blocks"]["raw"]["base64"].is_string(), "what the schema does not know is kept");
    let (_, listed) = stack.json("/v1/events?raw=true").await;
    assert!(listed["events"][0]["raw"].is_string());
    for path in ["/v1/events/1", "/v1/events/00", "/v1/events/1/receipt", "/v1/events/0/shoe"] {
        assert_eq!(stack.get(path, &[]).await.status(), 404, "{path}");
    }
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tail_sends_what_is_there_and_then_what_comes() {
    let stack = Stack::new().await;
    stack.record_all(&[event("1", "ana", "invoice.updated")]).await;
    let http = HttpClient::builder(TokioExecutor::new()).build_http();
    let request = ::http::Request::get(stack.uri("/v1/events/tail?from=0"))
        .header("accept", "text/event-stream")
        .body(http_body_util::Empty::<bytes::Bytes>::new())
        .unwrap();
    let mut answer = http.request(request).await.unwrap();
    assert_eq!(answer.headers()["content-type"], "text/event-stream");
    for id in ["1", "2"] {
        let frame = answer.body_mut().frame().await.unwrap().unwrap().into_data().unwrap();
        let text = String::from_utf8(frame.to_vec()).unwrap();
        let data = text.split_once("\ndata: ").unwrap().1;
        let item: Value = serde_json::from_str(data.trim()).unwrap();
        assert_eq!(item["id"], json!(id));
        stack.record_all(&[event("2", "bob", "invoice.updated")]).await;
    }
    drop(answer);
    stack.stop().await;
}

/// The document lists exactly the routes of plain HTTP below `/v1`, `/services` and `/logs`.
#[tokio::test(flavor = "multi_thread")]
async fn the_document_describes_every_route() {
    let stack = Stack::new().await;
    let (status, document) = stack.json("/v1/openapi.json").await;
    assert_eq!((status, &document["openapi"]), (200, &json!("3.1.0")));
    let mut described = BTreeSet::new();
    let mut ids = BTreeSet::new();
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            described.insert((method.clone(), path.clone()));
            assert!(ids.insert(operation["operationId"].as_str().unwrap().to_owned()), "{path}");
            let named = path.split('{').skip(1).map(|rest| rest.split_once('}').unwrap().0);
            let parameters = operation["parameters"].as_array().unwrap();
            for name in named {
                let is_it = |it: &Value| it["name"] == json!(name) && it["in"] == json!("path");
                assert!(parameters.iter().any(is_it), "{method} {path}: {name}");
            }
        }
    }
    let mut expected = BTreeSet::new();
    for route in log_server::routes::table().routes() {
        let text = route.pattern.text();
        let method = match route.call {
            Call::Get => "get",
            Call::Post => "post",
            Call::Delete => "delete",
            Call::Options => "options",
            Call::Unary | Call::Streaming => continue,
        };
        if !["/v1/", "/services/", "/logs/"].iter().any(|prefix| text.starts_with(prefix)) {
            continue;
        }
        // What a pattern leaves open is spelled out in the document.
        let rests: &[&str] = match (text, method) {
            ("/v1/logs/{log}/events/{rest..}", _) => &["{index}", "{index}/receipt"],
            ("/v1/logs/{log}/exports/{rest..}", "get") => &["{export}", "{export}/download"],
            ("/v1/logs/{log}/exports/{rest..}", _) => &["{export}"],
            ("/logs/{log}/tile/entries/{rest..}", _) => &["{bundle}"],
            ("/logs/{log}/tile/{rest..}", _) => &["{tile}"],
            _ => &[""],
        };
        expected
            .extend(rests.iter().map(|rest| (method.to_owned(), text.replace("{rest..}", rest))));
    }
    assert_eq!(described, expected);
    stack.stop().await;
}
