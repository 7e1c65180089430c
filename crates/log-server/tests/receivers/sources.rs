//! What is configured of a source.

use serde_json::json;

use crate::harness::Rig;

const TOKEN: (&str, &str) = ("authorization", "Splunk abc");

#[tokio::test(flavor = "multi_thread")]
async fn a_source_has_a_log_and_defaults_of_its_own() {
    let rig = Rig::configured(
        "[sources.\"hec://gate-1\"]\naction = \"gate.event\"\nactor = \"system:gate\"\n\
         category = \"access\"\nowner = \"ana\"\n[sources.\"k8s://lab\"]\nlog = \"missing\"\n\
         [sources.\"/foreign\"]\nactor = \"service:foreign\"\n\
         [sources.\"syslog://x\"]\nlog = \"audit\"",
    )
    .await;
    let body =
        r#"{"host":"gate-1","event":"open"}{"host":"gate-2","event":"open"}{"host":"gate-1"}"#;
    assert_eq!(rig.post("/services/collector", &[TOKEN], body).await.status, 200);
    let seen = rig.taken();
    let of = |at: usize| {
        (seen[at].text("/action"), seen[at].text("/actor/id"), seen[at].text("/category"))
    };
    assert_eq!(of(0), ("gate.event", "gate", "access"));
    assert_eq!(of(1), ("hec.event", "gate-2", "system"));
    assert_eq!(rig.malformed()[0].text("/metadata/owner"), "ana");

    // An event without an actor is taken once one is configured of its source.
    let cloud = |source: &str| {
        json!({"specversion": "1.0", "type": "org.thing.changed", "source": source, "id": "1"})
            .to_string()
    };
    let header = [("content-type", "application/cloudevents+json")];
    assert_eq!(rig.post("/v1/cloudevents", &header, cloud("/foreign")).await.status, 200);
    assert_eq!(rig.post("/v1/cloudevents", &header, cloud("/other")).await.status, 400);

    // A log that is not there costs no events: the sender tries again.
    let list = json!({"kind": "EventList", "apiVersion": "audit.k8s.io/v1", "items": [{}]});
    let answer = rig.post("/v1/k8s/lab/audit", &[], list.to_string()).await;
    assert_eq!((answer.status, answer.retry_after()), (503, 5));
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn items_of_one_request_go_to_the_logs_of_their_sources() {
    let rig = Rig::configured("[sources.\"hec://b\"]\nlog = \"doors\"").await;
    let new = log_core::CreateLog::new("doors", storage::LogKind::Audit);
    rig.server.registry().create(new).await.unwrap();
    let body =
        r#"{"host":"a","event":"1"}{"host":"b","event":"2"}{"host":"b"}{"host":"a","event":"3"}"#;
    assert_eq!(rig.post("/services/collector", &[TOKEN], body).await.status, 200);
    assert_eq!((rig.taken().len(), rig.malformed().len()), (2, 0));
    let doors = rig.events("doors");
    assert_eq!((doors.len(), doors[0].text("/description")), (2, "2"));
    assert_eq!(
        (doors[1].text("/action"), doors[1].items()),
        ("source.malformed", "2: event is missing")
    );
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_s_own_source_is_no_one_s_to_name() {
    let rig = Rig::new().await;
    let own = "cairn:host/audit";
    let cloud = json!({"specversion": "1.0", "type": "a.b", "source": own, "id": "1",
        "data": {"actor": {"type": "user", "id": "u"}}});
    let header = [("content-type", "application/cloudevents+json")];
    let answer = rig.post("/v1/cloudevents", &header, cloud.to_string()).await;
    assert_eq!((answer.status, answer.json()["error"]["field"].clone()), (400, json!("source")));
    let hec = json!({"source": own, "sourcetype": "audit:json", "event": {"source": own,
        "action": "a.b", "category": "data", "operation": "read", "outcome": "success",
        "actor": {"type": "user", "id": "u"}}});
    assert_eq!(rig.post("/services/collector", &[TOKEN], hec.to_string()).await.status, 400);
    assert_eq!(
        rig.post("/services/collector", &[TOKEN], json!({"source": own, "event": "x"}).to_string())
            .await
            .status,
        200
    );
    assert_eq!(rig.taken()[0].text("/source"), "hec://unknown");
    rig.stop().await;
}
