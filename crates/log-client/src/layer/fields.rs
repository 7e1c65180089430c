//! Fields of `tracing` to the members of an event.

use std::collections::BTreeMap;
use std::fmt;

use audit_event::{Instant, catalogue};
use base::clock::{Clock, SystemClock};
use tracing::Level;
use tracing::field::{Field, Visit};

use super::LayerOptions;
use crate::events::{AuditEvent, event as proto, random_id};

/// Bytes of a text in `metadata` and of a description.
const TEXT_BYTES_MAX: usize = 1_024;
/// Entries of `metadata`.
const METADATA_MAX: usize = 50;
/// Bytes of a key of `metadata`.
const KEY_BYTES_MAX: usize = 64;
/// The largest integer that every reader of JSON keeps exactly.
const NUMBER_MAX: i64 = (1 << 53) - 1;

/// The fields of one event, by their names.
#[derive(Debug, Default)]
pub(super) struct Fields {
    values: BTreeMap<&'static str, Value>,
}

#[derive(Debug)]
enum Value {
    Text(String),
    Number(i64),
    Truth(bool),
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.values.insert(field.name(), Value::Text(cut(value).to_owned()));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        let number = (-NUMBER_MAX..=NUMBER_MAX).contains(&value);
        let value = if number { Value::Number(value) } else { Value::Text(value.to_string()) };
        self.values.insert(field.name(), value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        match i64::try_from(value) {
            Ok(value) => self.record_i64(field, value),
            Err(_) => self.record_str(field, &value.to_string()),
        }
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.values.insert(field.name(), Value::Truth(value));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.record_str(field, &format!("{value:?}"));
    }
}

impl Fields {
    /// The event that the fields state, with an id.
    pub(super) fn into_event(mut self, level: Level, options: &LayerOptions) -> AuditEvent {
        let action = self.text("action").unwrap_or_else(|| options.action.clone());
        let known = catalogue::find(&action).is_some();
        // Of an action that the server knows it knows these too.
        let or_unless_known = |found: i32, other: i32| match found {
            0 if !known => other,
            found => found,
        };
        let category = self.word("category", "CATEGORY_", proto::Category::from_str_name);
        let operation = self.word("operation", "OPERATION_", proto::Operation::from_str_name);
        let mut event = AuditEvent {
            id: Some(self.text("id").unwrap_or_else(random_id)),
            source: Some(self.text("source").unwrap_or_else(|| options.source.clone())),
            time: Some(self.text("time").unwrap_or_else(now)),
            action: Some(action),
            category: or_unless_known(category, proto::Category::System.into()),
            operation: or_unless_known(operation, proto::Operation::Other.into()),
            outcome: self.word("outcome", "OUTCOME_", proto::Outcome::from_str_name),
            outcome_code: self.text("outcome_code"),
            severity: self.word("severity", "SEVERITY_", proto::Severity::from_str_name),
            actor: Some(self.actor(options)),
            targets: self.target().into_iter().collect(),
            description: self.text("message").filter(|text| !text.is_empty()),
            ..AuditEvent::default()
        };
        let ip = self.text("ip");
        event.origin =
            ip.map(|ip| proto::audit_event::Origin { ip: Some(ip), ..Default::default() });
        let id = self.text("request_id");
        event.request =
            id.map(|id| proto::audit_event::Request { id: Some(id), ..Default::default() });
        let trace_id = self.text("trace_id").map(Some);
        event.trace =
            trace_id.map(|trace_id| proto::audit_event::Trace { trace_id, ..Default::default() });
        default_by_level(&mut event, level);
        event.metadata = self.metadata();
        event
    }

    /// A field as text, which is no detail then.
    fn text(&mut self, name: &str) -> Option<String> {
        self.values.remove(name).map(|value| match value {
            Value::Text(text) => text,
            Value::Number(number) => number.to_string(),
            Value::Truth(truth) => truth.to_string(),
        })
    }

    /// A word of an enumeration; 0 if there is none, or another, which then stays a detail.
    fn word<W: Into<i32>>(
        &mut self,
        name: &'static str,
        prefix: &str,
        of: impl Fn(&str) -> Option<W>,
    ) -> i32 {
        let Some(Value::Text(word)) = self.values.get(name) else { return 0 };
        let found = of(&format!("{prefix}{}", word.to_ascii_uppercase())).map_or(0, Into::into);
        if found != 0 {
            self.values.remove(name);
        }
        found
    }

    fn actor(&mut self, options: &LayerOptions) -> proto::audit_event::Actor {
        let stated = self.text("actor");
        let kind = |kind: &str| {
            let name = format!("ACTOR_TYPE_{}", kind.to_ascii_uppercase());
            proto::ActorType::from_str_name(&name)
        };
        let parts = stated.as_deref().and_then(|stated| stated.split_once(':'));
        let (kind, id) = match (parts.and_then(|(it, id)| Some((kind(it)?, id))), stated.as_deref())
        {
            (Some((kind, id)), _) => (kind, id.to_owned()),
            (None, Some(id)) => (proto::ActorType::User, id.to_owned()),
            (None, None) => (proto::ActorType::Service, options.source.clone()),
        };
        proto::audit_event::Actor {
            r#type: kind.into(),
            id: Some(id),
            name: self.text("actor.name"),
            email: self.text("actor.email"),
            session_id: self.text("session"),
            ..Default::default()
        }
    }

    fn target(&mut self) -> Option<proto::audit_event::Target> {
        let stated = self.text("item")?;
        let (kind, id) = stated.split_once(':').unwrap_or(("item", &stated));
        Some(proto::audit_event::Target {
            r#type: Some(kind.to_owned()),
            id: Some(id.to_owned()),
            name: self.text("item.name"),
            ..Default::default()
        })
    }

    /// What is left. A key that is none is left out, as no member can have its name.
    fn metadata(self) -> std::collections::HashMap<String, proto::audit_event::Value> {
        let is_key = |key: &str| {
            (1..=KEY_BYTES_MAX).contains(&key.len())
                && key.bytes().all(|it| (0x20..0x7f).contains(&it))
        };
        let values = self.values.into_iter().filter(|(key, _)| is_key(key)).take(METADATA_MAX);
        let values = values.map(|(key, value)| {
            let value = match value {
                Value::Text(text) => proto::audit_event::value::Value::Text(text),
                Value::Number(number) => proto::audit_event::value::Value::Number(number),
                Value::Truth(truth) => proto::audit_event::value::Value::Truth(truth),
            };
            (key.to_owned(), proto::audit_event::Value { value: Some(value) })
        });
        values.collect()
    }
}

fn default_by_level(event: &mut AuditEvent, level: Level) {
    if event.outcome == 0 {
        let failed = level == Level::ERROR;
        let outcome = if failed { proto::Outcome::Failure } else { proto::Outcome::Success };
        event.outcome = outcome.into();
    }
    if event.severity == 0 {
        let severity = match level {
            Level::ERROR => proto::Severity::High,
            Level::WARN => proto::Severity::Medium,
            _ => proto::Severity::Info,
        };
        event.severity = severity.into();
    }
}

/// Now, in the form of an event's time.
pub(super) fn now() -> String {
    let ms = SystemClock::new().unix_ms();
    Instant::from_nanos(ms.saturating_mul(1_000_000)).to_string()
}

/// As much of a text as a member takes, cut between characters.
fn cut(text: &str) -> &str {
    let mut end = text.len().min(TEXT_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}
