//! A server that cannot take more: each sender is told so in its own words, and nothing that was
//! acknowledged is missing.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use crate::harness::{Answer, Rig};

const TOKEN: (&str, &str) = ("authorization", "Splunk abc");
const JSON: (&str, &str) = ("content-type", "application/json");
const CLOUD: (&str, &str) = ("content-type", "application/cloudevents+json");
const PACKED: (&str, &str) = ("content-type", "application/x-protobuf");

fn kubernetes(id: &str) -> String {
    let item = json!({"auditID": id, "stage": "ResponseComplete", "verb": "get",
        "requestURI": "/api", "user": {"username": "ana"}, "sourceIPs": ["10.0.0.1"],
        "requestReceivedTimestamp": "2026-03-04T09:10:11Z"});
    json!({"kind": "EventList", "apiVersion": "audit.k8s.io/v1", "items": [item]}).to_string()
}

fn cloud() -> String {
    json!({"specversion": "1.0", "type": "a.b", "source": "/x", "id": "1",
        "data": {"actor": {"type": "user", "id": "u"}}})
    .to_string()
}

fn otlp() -> String {
    json!({"resourceLogs": [{"scopeLogs": [{"logRecords": [{"eventName": "a.b"}]}]}]}).to_string()
}

fn trail() -> String {
    json!({"Records": [{"eventName": "A", "eventTime": "2026-03-04T09:10:11Z", "eventID": "1"}]})
        .to_string()
}

async fn kubernetes_post(rig: &Rig, id: &str) -> Answer {
    rig.post("/v1/k8s/prod/audit", &[JSON], kubernetes(id)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_is_nearly_full_refuses_in_the_words_of_each_protocol() {
    let (rig, engine) = Rig::faulty(&[("min_free_bytes", "1000")]).await;
    assert_eq!(kubernetes_post(&rig, "before").await.status, 200);
    engine.set_free_bytes(Some(1));
    while !rig.server.registry().is_disk_low() {
        // Free space is looked at now and then, beside the calls.
        let _answer = kubernetes_post(&rig, "before").await;
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let size = rig.size("audit");
    let refused = kubernetes_post(&rig, "after").await;
    assert_eq!((refused.status, (1..=5).contains(&refused.retry_after())), (503, true));
    let hec = rig.post("/services/collector", &[TOKEN], r#"{"event":"x"}"#).await;
    assert_eq!((hec.status, hec.text()), (503, r#"{"text":"Server is busy","code":9}"#));
    assert!(hec.retry_after() >= 1);
    let health = rig.ask("GET", "/services/collector/health", &[], "").await;
    let unhealthy = r#"{"text":"HEC is unhealthy, queues are full","code":18}"#;
    assert_eq!((health.status, health.text()), (503, unhealthy));
    for (path, header, body) in [
        ("/v1/cloudevents", CLOUD, cloud()),
        ("/v1/logs", JSON, otlp()),
        ("/v1/cloudtrail", JSON, trail()),
        ("/v1/logs/audit/imports", JSON, r#"{"files":1}"#.to_owned()),
        // What nobody can read is not answered as bad before it is kept.
        ("/v1/cloudevents", CLOUD, "not json".to_owned()),
        ("/v1/logs", PACKED, "\u{0}".to_owned()),
    ] {
        let answer = rig.post(path, &[header], body).await;
        assert_eq!(answer.status, 503, "{path} {answer:?}");
        assert!(answer.retry_after() >= 1);
    }
    assert_eq!(rig.size("audit"), size);
    engine.set_free_bytes(None);
    while kubernetes_post(&rig, "after").await.status != 200 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(rig.size("audit"), size + 1);
    rig.stop().await;
}

/// A post whose one item is so long.
fn large(id: usize, bytes: usize) -> String {
    kubernetes(&format!("flood-{id}")).replace("/api", &format!("/api?{}", "x".repeat(bytes)))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_beyond_the_queue_loses_nothing_that_was_acknowledged() {
    let settings = [("queue_bytes_max", "8388608"), ("batch_bytes_max", "8388608")];
    let (rig, engine) = Rig::faulty(&settings).await;
    let rig = Arc::new(rig);
    engine.block_sync();
    let post = |id: usize| {
        let rig = Arc::clone(&rig);
        tokio::spawn(async move {
            let answer = rig.post("/v1/k8s/prod/audit", &[JSON], large(id, 1_000_000)).await;
            (id, answer)
        })
    };
    let first = post(0);
    engine.wait_until_blocked();
    let flood: Vec<_> = (1..30).map(post).collect();
    while !flood.iter().any(tokio::task::JoinHandle::is_finished) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    engine.release_sync();
    let (mut acknowledged, mut busy) = (BTreeSet::new(), 0);
    for answer in std::iter::once(first).chain(flood) {
        let (id, answer) = answer.await.unwrap();
        match answer.status {
            200 => drop(acknowledged.insert(format!("flood-{id}"))),
            429 | 503 => {
                assert!((1..=5).contains(&answer.retry_after()));
                busy += 1;
            }
            other => panic!("{other}: {answer:?}"),
        }
    }
    assert!(busy > 0 && !acknowledged.is_empty(), "{busy}");
    let held: BTreeSet<String> =
        rig.taken().iter().map(|event| event.text("/request/id").to_owned()).collect();
    assert!(acknowledged.is_subset(&held));
    for id in 0..30 {
        assert_eq!(post(id).await.unwrap().1.status, 200);
    }
    assert_eq!(rig.taken().len(), 30, "each once, however often it was sent");
    let rig = Arc::into_inner(rig).unwrap();
    rig.stop().await;
}
