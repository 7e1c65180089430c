//! Payloads of products that send over the HTTP Event Collector or as plain JSON.

use serde_json::json;

use crate::harness::Rig;

const TOKEN: (&str, &str) = ("authorization", "Splunk abc");

/// GitHub's audit stream: envelopes to the collector.
#[tokio::test(flavor = "multi_thread")]
async fn github_streams_envelopes() {
    let rig = Rig::new().await;
    let event = json!({"@timestamp": 1_772_615_411_123_u64, "_document_id": "abc",
        "action": "repo.create", "actor": "octocat", "actor_ip": "198.51.100.7", "org": "acme"});
    let envelope = json!({"time": 1_772_615_411, "host": "github.com", "source": "github-audit-log",
        "sourcetype": "_json", "event": event});
    let answer = rig.post("/services/collector", &[TOKEN], envelope.to_string()).await;
    assert_eq!((answer.status, answer.text()), (200, r#"{"text":"Success","code":0}"#));
    let seen = rig.taken();
    assert_eq!(seen[0].text("/source"), "github-audit-log");
    assert_eq!(seen[0].text("/metadata/event.action"), "repo.create");
    assert_eq!(seen[0].text("/metadata/event.actor"), "octocat");
    assert_eq!(seen[0].text("/time"), "2026-03-04T09:10:11Z");
    assert_eq!(seen[0].raw(), envelope.to_string());
    rig.stop().await;
}

/// Docker's log driver and Fluent Bit: envelopes one after the other, gzip, after an OPTIONS.
#[tokio::test(flavor = "multi_thread")]
async fn docker_asks_first_and_then_sends() {
    let rig = Rig::new().await;
    let options = rig.ask("OPTIONS", "/services/collector/event/1.0", &[TOKEN], "").await;
    assert_eq!(options.status, 200);
    let line = |number: u64| {
        json!({"event": {"line": format!("line {number}"), "source": "stdout", "tag": "0a1b"},
            "time": format!("177261541{number}.5"), "host": "docker-1"})
        .to_string()
    };
    let body = crate::harness::gzip([line(1), line(2)].concat().as_bytes());
    let headers = [TOKEN, ("content-encoding", "gzip")];
    let answer = rig.post("/services/collector/event/1.0", &headers, body).await;
    assert_eq!(answer.status, 200);
    let seen = rig.taken();
    assert_eq!(seen.len(), 2);
    assert_eq!(seen[1].text("/metadata/event.line"), "line 2");
    assert_eq!(
        (seen[1].text("/source"), seen[1].text("/origin/host")),
        ("hec://docker-1", "docker-1")
    );
    rig.stop().await;
}

/// GitLab's audit event streams and hoop.dev's webhooks: one JSON object a request.
#[tokio::test(flavor = "multi_thread")]
async fn gitlab_and_hoop_post_one_object_to_the_raw_endpoint() {
    let rig = Rig::new().await;
    let gitlab = json!({"id": "796a363d-99ae-4d5a-a4a9-2d0f1f4f2c15", "author_id": 1,
        "entity_id": 29, "entity_type": "Project", "details": {"author_name": "Ana",
        "custom_message": "Added project access"}, "ip_address": "127.0.0.1",
        "created_at": "2026-03-04T09:10:11.123Z", "event_type": "project_access_added"});
    let headers = [
        TOKEN,
        ("content-type", "application/x-www-form-urlencoded"),
        ("x-gitlab-event-streaming-token", "t"),
    ];
    let path = "/services/collector/raw?source=gitlab&host=gitlab.example.com";
    assert_eq!(rig.post(path, &headers, gitlab.to_string()).await.status, 200);
    let hoop = json!({"event_type": "session.open", "event_payload": {"id": "s-1",
        "connection": "bash", "user_email": "ana@example.com", "start_date": "2026-03-04T09:10:11Z"}});
    let headers = [TOKEN, ("content-type", "application/json"), ("svix-id", "msg_1")];
    let path = "/services/collector/raw?source=hoop.dev";
    assert_eq!(rig.post(path, &headers, hoop.to_string()).await.status, 200);
    let seen = rig.taken();
    assert_eq!((seen[0].text("/source"), seen[1].text("/source")), ("gitlab", "hoop.dev"));
    assert_eq!(
        (seen[0].raw(), seen[1].raw()),
        (gitlab.to_string().as_str(), hoop.to_string().as_str())
    );
    assert!(seen[0].text("/description").contains("project_access_added"));
    // Without a token nothing is taken.
    assert_eq!(rig.post(path, &headers[1..], hoop.to_string()).await.status, 401);
    assert_eq!(rig.taken().len(), 2);
    rig.stop().await;
}
