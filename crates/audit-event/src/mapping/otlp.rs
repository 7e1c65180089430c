//! OpenTelemetry logs, OTLP 1.x (<https://opentelemetry.io/docs/specs/otel/logs/data-model/>), in JSON
//! and in protobuf. A request is cut into the bytes of its log records, each with what its resource and
//! scope say. A record whose `event_name` is no action is refused, unless an action is configured.

mod json;
mod protobuf;
mod record;

pub use self::json::split as split_json;
pub use self::protobuf::split as split_protobuf;

use std::sync::Arc;

use self::record::{Any, Attributes, LogRecord};
use super::draft::{Draft, default_actor, is_usable_action, source_uri};
use super::fields::Notes;
use super::{IdFrom, Intake, MapError, Mapped};
use crate::event::{Actor, ActorKind, AuditEvent, Change, Outcome, Party, Severity, Target, Word};
use crate::members::Rule;
use crate::path::Path;
use crate::time::Instant;

/// Changes that are collected: one more than an event may have, so that a longer list is named as cut.
const CHANGES_MAX: usize = 101;
/// Attributes of a resource that its records repeat: more than an event may have details, so that a
/// longer list is named as cut.
const RESOURCE_MAX: usize = 64;

/// Log records of a request: those of a body of 64 MiB, and few enough for the memory that they take.
const RECORDS_MAX: usize = 1_000_000;

/// How a request is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Encoding {
    Json,
    Protobuf,
}

/// One log record of a request.
#[derive(Debug, Clone)]
pub struct Record<'a> {
    bytes: &'a [u8],
    encoding: Encoding,
    context: Arc<Context>,
}

/// What resource and scope say of their records.
#[derive(Debug, Default)]
struct Context {
    resource: Arc<[(String, Any)]>,
    scope_name: Option<String>,
    scope_version: Option<String>,
    schema_url: Option<String>,
}

/// What the records of a resource repeat. It is bounded, because a small request can have many records
/// of one large resource.
fn repeated(resource: Vec<(String, Any)>, notes: &Notes) -> Arc<[(String, Any)]> {
    let first = resource.into_iter().take(RESOURCE_MAX);
    first.map(|(name, value)| (name, value.shortened(notes))).collect()
}

impl<'a> Record<'a> {
    /// Its bytes, as they stand in the request.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The source that its resource names: `service.namespace`/`service.name`.
    pub fn source(&self) -> Option<String> {
        self.context.service().1
    }
}

impl Context {
    /// The service's name, which is empty where the resource states none, and the source that it makes.
    fn service(&self) -> (String, Option<String>) {
        let mut resource = Attributes::new(self.resource.to_vec(), &Notes::default());
        let name = resource.text("service.name");
        // SDKs send this name where none is configured.
        let name = name.filter(|name| !name.starts_with("unknown_service")).unwrap_or_default();
        let namespace = resource.text("service.namespace");
        let segments = namespace.iter().map(String::as_str).chain([name.as_str()]);
        let segments: Vec<&str> = segments.collect();
        let uri = source_uri("", &segments).filter(|_| !name.is_empty());
        (name, uri)
    }
}

/// One record as an event.
pub fn map<'a>(record: &Record<'a>, intake: &Intake<'_>) -> Result<Mapped<'a>, MapError> {
    let notes = Notes::default();
    let (read, content_type) = match record.encoding {
        Encoding::Json => (json::record(record.bytes, &notes)?, "application/json"),
        Encoding::Protobuf => (protobuf::record(record.bytes, &notes)?, "application/x-protobuf"),
    };
    let LogRecord { time, observed, severity, severity_text, body, attributes, event_name, .. } =
        read;
    let mut draft = Draft::default();
    let mut attributes = Attributes::new(attributes, &notes);
    let event = &mut draft.event;
    event.action = Some(action(event_name, &mut attributes, intake)?);
    event.id = attributes.text("log.record.uid");
    event.time = [time, observed].into_iter().find(|nanos| *nanos > 0).map(Instant::from_nanos);
    event.severity = self::severity(severity);
    event.trace.trace_id = read.trace_id;
    event.trace.span_id = read.span_id.filter(|_| event.trace.trace_id.is_some());
    let (service, source) = record.context.service();
    // A resource that names no service has the source of the token.
    event.source = Some(source.unwrap_or_else(|| intake.source.to_owned()));
    who(&mut attributes, &mut draft, &service, intake);
    what(&mut attributes, &mut draft.event, intake);
    self::body(body, &mut draft, &notes);
    draft.metadata_text("severity_text", Some(severity_text).filter(|text| !text.is_empty()));
    let observed = Some(observed).filter(|nanos| *nanos > 0).map(Instant::from_nanos);
    draft.metadata_text("observed_time", observed.map(|time| time.to_string()));
    context(&record.context, &mut draft, &notes);
    for (name, value) in attributes.into_rest() {
        value.into_metadata(&name, &mut draft, &notes);
    }
    let id = if draft.event.id.is_some() { IdFrom::Sender } else { IdFrom::Server };
    Ok(draft.finish(record.bytes, content_type, id, &notes))
}

/// `event_name`, or what it was before it was a field: the attribute `event.name`.
fn action(
    event_name: String,
    attributes: &mut Attributes,
    intake: &Intake<'_>,
) -> Result<String, MapError> {
    let name = Some(event_name).filter(|name| !name.is_empty());
    let name = name.or_else(|| attributes.text("event.name"));
    let is_missing = name.is_none();
    let usable =
        name.filter(|name| is_usable_action(name)).or_else(|| intake.action.map(str::to_owned));
    let rule = if is_missing { Rule::Missing } else { Rule::Action };
    usable.ok_or_else(|| MapError::field(&Path::of("event_name"), rule))
}

/// Numbers 1 to 24: trace, debug, info, warn, error, fatal, four of each. 10 is `low`.
fn severity(number: u64) -> Option<Severity> {
    match number {
        1..=9 => Some(Severity::Info),
        10..=12 => Some(Severity::Low),
        13..=16 => Some(Severity::Medium),
        17..=20 => Some(Severity::High),
        21..=24 => Some(Severity::Critical),
        _ => None,
    }
}

fn who(attributes: &mut Attributes, draft: &mut Draft, service: &str, intake: &Intake<'_>) {
    let mut actor = match attributes.text("user.id") {
        Some(id) => Actor::new(ActorKind::User, id),
        None => default_actor(intake, service),
    };
    actor.kind = attributes.word("audit.actor.type").unwrap_or(actor.kind);
    actor.name = attributes.text("user.name").or(actor.name);
    actor.email = attributes.text("user.email").or(actor.email);
    actor.session_id = attributes.text("session.id").or(actor.session_id);
    let roles = attributes.texts("user.roles");
    if !roles.is_empty() {
        actor.groups = roles;
    }
    if let Some(id) = attributes.text("audit.on_behalf_of.id") {
        let kind = attributes.word("audit.on_behalf_of.type").unwrap_or(ActorKind::User);
        actor.on_behalf_of =
            Some(Party { kind, id, name: attributes.text("audit.on_behalf_of.name") });
    }
    draft.event.actor = Some(actor);
    draft.host(attributes.text("client.address"));
    draft.event.origin.user_agent = attributes.text("user_agent.original");
}

fn what(attributes: &mut Attributes, event: &mut AuditEvent, intake: &Intake<'_>) {
    event.category = attributes.word("audit.category").or(intake.category);
    event.operation = attributes.word("audit.operation");
    event.outcome = Some(attributes.word("audit.outcome").unwrap_or(Outcome::Unknown));
    event.outcome_code = attributes.text("error.type");
    event.request.id = attributes.text("audit.request.id");
    event.request.method = attributes.text("http.request.method");
    let path = attributes.text("url.path");
    event.request.path =
        path.map(|path| path.split(['?', '#']).next().unwrap_or_default().to_owned());
    event.trace.correlation_id = attributes.text("audit.correlation.id");
    if let Some(id) = attributes.text("audit.target.id") {
        let kind = attributes.text("audit.target.type").unwrap_or_else(|| "target".to_owned());
        let name = attributes.text("audit.target.name");
        event.targets.push(Target { kind, id, name, ..Target::default() });
    }
}

/// A text describes the event. A map with a list of `changes`, each with `field`, `old` and `new`,
/// says what is different. Any other body goes to metadata as JSON.
fn body(body: Any, draft: &mut Draft, notes: &Notes) {
    match body {
        Any::Empty => {}
        Any::Text(text) => draft.event.description = Some(text),
        other => {
            if let Any::Map(members) = &other
                && let Some((_, Any::List(changes))) = members.iter().find(|it| it.0 == "changes")
            {
                let changes = changes.iter().filter_map(|change| self::change(change, notes));
                draft.event.changes = changes.take(CHANGES_MAX).collect();
            }
            other.into_metadata("body", draft, notes);
        }
    }
}

fn change(change: &Any, notes: &Notes) -> Option<Change> {
    let Any::Map(members) = change else { return None };
    let member =
        |name: &str| members.iter().find(|member| member.0 == name).map(|member| &member.1);
    let Some(Any::Text(field)) = member("field") else { return None };
    let side = |name: &str| member(name).map(|value| value.value(notes));
    let field = Some(field.clone()).filter(|field| !field.is_empty())?;
    Some(Change { field, old: side("old"), new: side("new") })
}

/// What resource and scope say, and the schema.
fn context(context: &Context, draft: &mut Draft, notes: &Notes) {
    draft.event.schema.name.clone_from(&context.schema_url);
    draft.metadata_text("scope.name", context.scope_name.clone());
    draft.metadata_text("scope.version", context.scope_version.clone());
    for (name, value) in Attributes::new(context.resource.to_vec(), notes).into_rest() {
        value.into_metadata(&format!("resource.{name}"), draft, notes);
    }
}

#[cfg(test)]
mod tests;
