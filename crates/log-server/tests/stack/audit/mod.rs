//! Audit logs over both edges: events recorded, found, proven, exported, erased.

mod calls;
mod exports;
mod http;

use ::http::Request;
use audit_event::evidence::verify_event;
use formats::Trust;
use http_body_util::Full;
use log_proto::audit_v1 as pb;
use log_proto::audit_v1::audit_service_client::AuditServiceClient;
use prost::Message as _;
use serde_json::{Value, json};
use tonic::transport::Channel;

use crate::harness::Stack;

pub(super) type Answer = (u16, Value);

impl Stack {
    pub(super) fn audit(&self) -> AuditServiceClient<Channel> {
        AuditServiceClient::new(self.channel.clone())
    }

    /// An answer in JSON.
    pub(super) async fn json(&self, path: &str) -> Answer {
        let answer = self.get(path, &[]).await;
        let value = serde_json::from_slice(answer.body());
        (answer.status().as_u16(), value.unwrap_or(Value::Null))
    }

    pub(super) async fn record(&self, path: &str, media: &str, body: &str) -> Answer {
        let request = Request::post(self.uri(path)).header("content-type", media);
        let body = Full::new(bytes::Bytes::copy_from_slice(body.as_bytes()));
        let answer = self.send(request.body(body).unwrap()).await;
        (answer.status().as_u16(), serde_json::from_slice(answer.body()).unwrap())
    }

    /// Records events in the log `audit`.
    pub(super) async fn record_all(&self, events: &[Value]) {
        let body = Value::from(events).to_string();
        let (status, answer) = self.record("/v1/events", "application/json", &body).await;
        assert_eq!(status, 200, "{answer}");
        let results = answer["results"].as_array().unwrap();
        assert!(results.iter().all(|result| result.get("index").is_some()), "{answer}");
    }

    /// An event and its receipt as somebody verifies them who has the log's key and nothing else.
    pub(super) async fn holds(&mut self, log: &str, index: u64) -> bool {
        let trust: Trust = self.trust(log).await;
        let event = self.get(&format!("/v1/logs/{log}/events/{index}"), &[]).await;
        let mut line: Value = serde_json::from_slice(event.body()).unwrap();
        let members = line.as_object_mut().unwrap();
        for added in ["event", "sentence", "damaged", "verification"] {
            members.remove(added);
        }
        let receipt = self.get(&format!("/v1/logs/{log}/events/{index}/receipt"), &[]).await;
        let (report, _) = verify_event(line.to_string().as_bytes(), receipt.body(), &trust);
        report.findings.is_empty()
    }
}

pub(super) fn event(id: &str, actor: &str, action: &str) -> Value {
    json!({
        "id": id, "source": "/billing", "time": "2026-03-04T09:10:11Z", "action": action,
        "category": "data", "operation": "update", "outcome": "success",
        "actor": {"type": "user", "id": actor, "name": actor},
        "targets": [{"type": "invoice", "id": "7"}],
    })
}

/// The same as a message, with whatever fields behind it.
pub(super) fn message(id: &str, more: &[u8]) -> bytes::Bytes {
    let event = pb::AuditEvent {
        id: (!id.is_empty()).then(|| id.to_owned()),
        source: Some("/billing".to_owned()),
        time: Some("2026-03-04T09:10:11Z".to_owned()),
        action: Some("invoice.updated".to_owned()),
        category: pb::Category::Data.into(),
        operation: pb::Operation::Update.into(),
        outcome: pb::Outcome::Success.into(),
        actor: Some(pb::audit_event::Actor {
            r#type: pb::ActorType::User.into(),
            id: Some("ana".to_owned()),
            name: Some("ana".to_owned()),
            ..Default::default()
        }),
        targets: vec![pb::audit_event::Target {
            r#type: Some("invoice".to_owned()),
            id: Some("7".to_owned()),
            ..Default::default()
        }],
        ..Default::default()
    };
    [&event.encode_to_vec(), more].concat().into()
}
