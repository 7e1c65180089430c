//! OTLP logs over HTTP, as JSON. What this server takes by OTLP reads the attributes back.

use audit_api::shown::object;
use audit_event::event::{AuditEvent, Severity, Word};
use audit_event::value::Object;
use audit_event::{Value, json, text};
use bytes::Bytes;
use http::{HeaderMap, Request, Uri};
use serde::Deserialize;

use crate::batch::{Item, Record};
use crate::reply::{Fate, Reason, Reply, of_status, strange};

const PATH: &str = "/v1/logs";

/// One log record: a sentence as its body, and the event as attributes.
pub(crate) fn record(item: &Item<'_>) -> String {
    let event = &item.event.event;
    let received = item.stored.received_at();
    let time = event.time.unwrap_or(received).nanos().max(0);
    let (number, name) = severity(event.severity);
    let mut record = object([
        ("timeUnixNano", Value::Text(time.to_string())),
        ("observedTimeUnixNano", Value::Text(received.nanos().to_string())),
        ("severityNumber", audit_event::Integer::from(number).into()),
        ("severityText", Value::from(name)),
        ("body", any("stringValue", &item.sentence())),
        ("attributes", Value::List(attributes(item))),
    ]);
    let ids = [("traceId", &event.trace.trace_id, 32), ("spanId", &event.trace.span_id, 16)];
    let named = [("eventName", &event.action, usize::MAX)];
    for (name, text, length) in ids.into_iter().chain(named) {
        let fits = |text: &&String| length == usize::MAX || is_hex(text, length);
        let text = text.as_ref().filter(fits).map(|text| Value::from(text.as_str()));
        record.extend(text.map(|text| (name.to_owned(), text)));
    }
    text::write(&record)
}

fn is_hex(text: &str, length: usize) -> bool {
    text.len() == length && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn severity(severity: Option<Severity>) -> (u32, &'static str) {
    match severity {
        None | Some(Severity::Info) => (9, "INFO"),
        Some(Severity::Low) => (10, "INFO2"),
        Some(Severity::Medium) => (13, "WARN"),
        Some(Severity::High) => (17, "ERROR"),
        Some(Severity::Critical) => (21, "FATAL"),
    }
}

fn any(kind: &str, text: &str) -> Value {
    Value::Object(object([(kind, Value::from(text))]))
}

fn attribute(key: &str, value: Value) -> Value {
    Value::Object(object([("key", Value::from(key)), ("value", value)]))
}

fn attributes(item: &Item<'_>) -> Vec<Value> {
    let event = &item.event.event;
    let texts = texts(event).into_iter();
    let texts = texts.filter_map(|(key, text)| Some(attribute(key, any("stringValue", text?))));
    let mut all: Vec<Value> = texts.collect();
    all.extend(proof(item.proof()));
    let whole = text::write(&json::to_object(event));
    all.push(attribute("audit.event", any("stringValue", &whole)));
    all
}

/// What OpenTelemetry has names for, and what is read back from `audit.*`.
fn texts(event: &AuditEvent) -> Vec<(&'static str, Option<&str>)> {
    let (actor, target) = (event.actor.as_ref(), event.targets.first());
    vec![
        ("log.record.uid", event.id.as_deref()),
        ("audit.source", event.source.as_deref()),
        ("audit.category", event.category.map(Word::word)),
        ("audit.operation", event.operation.map(Word::word)),
        ("audit.outcome", event.outcome.map(Word::word)),
        ("error.type", event.outcome_code.as_deref()),
        ("user.id", actor.map(|it| it.id.as_str())),
        ("user.name", actor.and_then(|it| it.name.as_deref())),
        ("user.email", actor.and_then(|it| it.email.as_deref())),
        ("session.id", actor.and_then(|it| it.session_id.as_deref())),
        ("audit.actor.type", actor.map(|it| it.kind.word())),
        ("client.address", event.origin.ip.as_deref()),
        ("user_agent.original", event.origin.user_agent.as_deref()),
        ("audit.target.type", target.map(|it| it.kind.as_str())),
        ("audit.target.id", target.map(|it| it.id.as_str())),
        ("audit.target.name", target.and_then(|it| it.name.as_deref())),
        ("audit.request.id", event.request.id.as_deref()),
        ("http.request.method", event.request.method.as_deref()),
        ("url.path", event.request.path.as_deref()),
        ("audit.correlation.id", event.trace.correlation_id.as_deref()),
    ]
}

fn proof(proof: Object) -> impl Iterator<Item = Value> {
    proof.into_iter().map(|(name, value)| {
        let value = match &value {
            Value::Integer(integer) => any("intValue", &integer.get().to_string()),
            other => any("stringValue", other.as_text().unwrap_or_default()),
        };
        attribute(&format!("cairn.{name}"), value)
    })
}

pub(crate) fn request(
    url: &Uri,
    authorization: Option<&str>,
    records: &[Record],
) -> Option<Request<Bytes>> {
    let url = if url.path().trim_end_matches('/').is_empty() {
        super::below(url, &[], PATH)
    } else {
        url.to_string()
    };
    let records: Vec<&str> = records.iter().map(|record| record.body.as_str()).collect();
    let body = format!(
        "{{\"resourceLogs\":[{{\"resource\":{{\"attributes\":[{{\"key\":\"service.name\",\"value\":\
         {{\"stringValue\":\"cairn\"}}}}]}},\"scopeLogs\":[{{\"scope\":{{\"name\":\"cairn\"}},\
         \"logRecords\":[{}]}}]}}]}}",
        records.join(",")
    );
    super::post(&url, "application/json", authorization, body)
}

#[derive(Debug, Default, Deserialize)]
struct Exported {
    #[serde(rename = "partialSuccess", default)]
    partial: Option<Partial>,
}

#[derive(Debug, Default, Deserialize)]
struct Partial {
    /// A number of 64 bits, which JSON writes as a text; some write a number.
    #[serde(rename = "rejectedLogRecords", default)]
    rejected: serde_json::Value,
}

/// A partial success does not say which records were refused: they are found by halves, so that some are
/// sent twice.
pub(crate) fn reply(status: u16, headers: &HeaderMap, body: &[u8], sent: usize) -> Reply {
    if status == 400 {
        return Reply::Halve(Reason::new(status, "bad_data"));
    }
    if let Some(reply) = of_status(status, headers) {
        return reply;
    }
    let exported = if body.is_empty() {
        Some(Exported::default())
    } else {
        serde_json::from_slice::<Exported>(body).ok()
    };
    let Some(Exported { partial }) = exported.filter(|_| status == 200) else {
        return strange(status);
    };
    let rejected = partial.unwrap_or_default().rejected;
    let rejected = rejected.as_u64().or_else(|| rejected.as_str()?.parse().ok()).unwrap_or(0);
    let reason = Reason::new(status, "rejected");
    match usize::try_from(rejected).unwrap_or(usize::MAX) {
        0 => Reply::Taken { is_confirmed: true },
        rejected if rejected >= sent => {
            Reply::Fates { fates: vec![Fate::Dead(reason); sent], pauses: false }
        }
        _ => Reply::Halve(reason),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partial_success_is_found_by_halves() {
        let of = |status, body: &str| reply(status, &HeaderMap::new(), body.as_bytes(), 4);
        let taken = Reply::Taken { is_confirmed: true };
        for body in [
            "",
            "{}",
            r#"{"partialSuccess":{}}"#,
            r#"{"partialSuccess":{"rejectedLogRecords":"0"}}"#,
        ] {
            assert_eq!(of(200, body), taken, "{body}");
        }
        for body in [
            r#"{"partialSuccess":{"rejectedLogRecords":"1"}}"#,
            r#"{"partialSuccess":{"rejectedLogRecords":1}}"#,
        ] {
            assert!(matches!(of(200, body), Reply::Halve(_)), "{body}");
        }
        let all = of(200, r#"{"partialSuccess":{"rejectedLogRecords":"4"}}"#);
        assert!(matches!(all, Reply::Fates { fates, .. } if fates.len() == 4));
        assert!(matches!(of(400, ""), Reply::Halve(_)));
        assert!(matches!(of(413, ""), Reply::Halve(_)));
        assert!(matches!(of(404, ""), Reply::Stop(_)));
        assert!(matches!(of(200, "<html>"), Reply::Later { .. }));
        assert!(matches!(of(204, ""), Reply::Later { .. }));
        assert!(matches!(of(503, ""), Reply::Later { .. }));
    }
}
