//! Webhooks and OTLP.

use serde_json::{Value, json};

use super::receiver::{Answer, Receiver, Sent};
use super::rig::{Rig, webhook};
use crate::Kind;
use crate::kinds::webhook::signature;

fn index(sent: &Sent) -> Value {
    sent.json()["logindex"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_gets_signed_events_one_by_one() {
    let bad = |sent: &Sent| Answer::new(if index(sent) == "1" { 422 } else { 202 }, "");
    let receiver = Receiver::new(vec![Answer::new(500, "")], bad).await;
    let rig = Rig::one(webhook(), &format!("{}/in?a=b", receiver.url), 3, 0).await;
    rig.until_idle().await;
    let sent = receiver.sent();
    assert_eq!(sent.iter().map(index).collect::<Vec<_>>(), ["0", "0", "1", "2"]);
    assert_eq!((rig.dead(), rig.cursor()), (vec![(1, "422 refused".to_owned())], 3));
    for sent in &sent {
        assert_eq!(sent.path, "/in?a=b");
        assert_eq!(sent.header("content-type"), Some("application/cloudevents+json"));
        let id = sent.header("webhook-id").unwrap();
        let seconds = sent.header("webhook-timestamp").unwrap().parse().unwrap();
        let made = signature(b"s3cret", id, seconds, &sent.body);
        assert_eq!(sent.header("webhook-signature"), Some(&*made));
    }
    let event = sent[0].json();
    assert_eq!(event["type"], "com.example.audit.door.opened.v1");
    assert_eq!((&event["id"], &event["source"]), (&json!("e-0"), &json!("/gate")));
    assert_eq!(
        (&event["logorigin"], &event["logtreesize"]),
        (&json!("cairn.example"), &json!("3"))
    );
    assert_eq!(
        (event["logleafhash"].as_str().unwrap().len(), &event["logname"]),
        (64, &json!("audit"))
    );
    let (_, all) = rig.ask(crate::routes::To::List, "/v1/destinations", "").await;
    assert_eq!(
        all["destinations"][0]["url"],
        format!("{}/in", receiver.url),
        "a query may hold a secret"
    );
}

fn records(sent: &Sent) -> Vec<Value> {
    let all = sent.json();
    all["resourceLogs"][0]["scopeLogs"][0]["logRecords"].as_array().unwrap().clone()
}

fn attribute(record: &Value, key: &str) -> Value {
    let all = record["attributes"].as_array().unwrap();
    let found = all.iter().find(|attribute| attribute["key"] == key);
    found.map_or(Value::Null, |attribute| attribute["value"].clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn otlp_gets_records_with_proof_attributes() {
    let rejects = |sent: &Sent| {
        let bad = records(sent)
            .iter()
            .filter(|it| attribute(it, "log.record.uid")["stringValue"] == "e-2")
            .count();
        Answer::new(
            200,
            json!({"partialSuccess": {"rejectedLogRecords": bad.to_string()}}).to_string(),
        )
    };
    let receiver = Receiver::new(vec![], rejects).await;
    let rig = Rig::one(Kind::Otlp, &receiver.url, 4, 0).await;
    rig.until_idle().await;
    assert_eq!((rig.dead(), rig.cursor()), (vec![(2, "200 rejected".to_owned())], 4));
    let sent = receiver.sent();
    assert_eq!(
        (sent[0].path.as_str(), sent[0].header("authorization")),
        ("/v1/logs", Some("Bearer s3cret"))
    );
    assert_eq!(sent.iter().map(|it| records(it).len()).collect::<Vec<_>>(), [4, 2, 2, 1, 1]);
    let record = &records(&sent[0])[0];
    assert_eq!(record["timeUnixNano"], "1772615411500000000");
    assert_eq!(
        (&record["severityNumber"], &record["eventName"]),
        (&json!(17), &json!("door.opened"))
    );
    assert_eq!(attribute(record, "cairn.leaf_index"), json!({"intValue": "0"}));
    assert_eq!(attribute(record, "cairn.tree_size"), json!({"intValue": "4"}));
    assert_eq!(attribute(record, "cairn.origin"), json!({"stringValue": "cairn.example"}));
    assert_eq!(attribute(record, "user.id"), json!({"stringValue": "u-0"}));
    for name in ["cairn.leaf_hash", "cairn.received_at", "audit.event"] {
        assert!(attribute(record, name)["stringValue"].is_string(), "{name}");
    }
}
