//! CloudEvents 1.0.2 over HTTP (<https://github.com/cloudevents/spec/tree/v1.0.2>): one structured
//! event, a batch of them, or one in binary mode; and events of ours as CloudEvents.
//!
//! The `type` of an event that speaks our schema is `<reverse domain>.audit.<action>.v<number>`, and
//! its `data` holds the other members of the event; such data is read strictly. Of the events of
//! others the data counts if it can be read as such members. An event that names no actor is refused,
//! unless one is configured.

mod attributes;
mod binary;
mod export;

use std::collections::BTreeMap;

pub use self::binary::{Header, map_binary, raw_of_binary, source_of_binary};
pub use self::export::{Domain, export};

use self::attributes::Envelope;
use super::draft::{Draft, is_usable_action};
use super::fields::{Fields, Notes};
use super::items::Items;
use super::{IdFrom, Intake, MapError, Mapped};
use crate::event::{AuditEvent, Target};
use crate::json::{self, JsonError, Numbers};
use crate::members::{FieldError, Rule};
use crate::path::Path;
use crate::value::Value;

/// The events of a batch, each to be mapped by [`map`].
pub fn split_batch(body: &[u8]) -> Result<Items<'_>, MapError> {
    Items::of_list(body)
}

/// The source that an event in the JSON format states.
pub fn source_of(item: &[u8]) -> Option<String> {
    let notes = Notes::default();
    Fields::of_item(item, &notes).ok()?.filled("source").ok()?
}

/// One event in the JSON format.
pub fn map<'a>(item: &'a [u8], intake: &Intake<'_>) -> Result<Mapped<'a>, MapError> {
    let notes = Notes::default();
    let envelope = Envelope::of_json(Fields::of_item(item, &notes)?, &notes)?;
    let draft = fill(envelope, intake, &notes)?;
    Ok(draft.finish(item, "application/cloudevents+json", IdFrom::Sender, &notes))
}

/// The event that attributes and data make.
fn fill(envelope: Envelope<'_>, intake: &Intake<'_>, notes: &Notes) -> Result<Draft, MapError> {
    let Envelope { mut attributes, data } = envelope;
    if attributes.remove("specversion").as_deref() != Some("1.0") {
        return Err(MapError::field(&Path::of("specversion"), Rule::Word { allowed: "1.0" }));
    }
    let id = required(&mut attributes, "id")?;
    let source = required(&mut attributes, "source")?;
    let kind = required(&mut attributes, "type")?;
    let stated = action_of(&kind);
    let mut draft = members(data, stated.is_some())?;
    let event = &mut draft.event;
    event.id = Some(id);
    event.source = Some(source);
    if let Some(time) = attributes.remove("time") {
        event.time = Some(notes.time(&time, &Path::of("time"))?);
    }
    event.action = Some(action(stated, event.action.take(), &kind, intake)?);
    event.category = event.category.or(intake.category);
    if event.actor.is_none() {
        event.actor = intake.actor.cloned();
    }
    if event.actor.is_none() {
        return Err(MapError::field(&Path::of("data").member("actor"), Rule::Missing));
    }
    extensions(attributes, &mut draft);
    Ok(draft)
}

fn required(attributes: &mut BTreeMap<String, String>, name: &str) -> Result<String, MapError> {
    match attributes.remove(name) {
        None => Err(MapError::field(&Path::of(name), Rule::Missing)),
        Some(text) if text.is_empty() => Err(MapError::field(&Path::of(name), Rule::Empty)),
        Some(text) => Ok(text),
    }
}

/// The action of a `type` of our form, `<reverse domain>.audit.<action>.v<number>`.
fn action_of(kind: &str) -> Option<&str> {
    let (_, rest) = kind.split_once(".audit.")?;
    let (action, version) = rest.rsplit_once(".v")?;
    let is_number = !version.is_empty() && version.bytes().all(|byte| byte.is_ascii_digit());
    (is_number && is_usable_action(action)).then_some(action)
}

/// The action that the type states, or else the data, or the type in small letters, or the default.
fn action(
    stated: Option<&str>,
    of_data: Option<String>,
    kind: &str,
    intake: &Intake<'_>,
) -> Result<String, MapError> {
    if let Some(stated) = stated {
        // Two readers must not see two actions.
        if of_data.is_some_and(|action| action != stated) {
            let path = Path::of("data").member("action");
            return Err(MapError::field(&path, Rule::Action));
        }
        return Ok(stated.to_owned());
    }
    let small = kind.to_ascii_lowercase();
    let usable = of_data.into_iter().chain([small]).find(|action| is_usable_action(action));
    let usable = usable.or_else(|| intake.action.map(str::to_owned));
    usable.ok_or_else(|| MapError::field(&Path::of("type"), Rule::Action))
}

/// The members of an event in our schema that the data holds. Data of others that holds none counts
/// as absent, and says nothing for `labels`, which nobody else may fill.
fn members(data: Option<&[u8]>, is_ours: bool) -> Result<Draft, MapError> {
    let object = data.filter(|data| data.trim_ascii_start().starts_with(b"{"));
    let Some(object) = object else { return Ok(Draft::default()) };
    match (read_members(object), is_ours) {
        (Ok(draft), true) => Ok(draft),
        (Ok(mut draft), false) => {
            draft.event.labels.clear();
            draft.event.retention_class = None;
            Ok(draft)
        }
        (Err(error), true) => Err(error),
        (Err(_), false) => Ok(Draft::default()),
    }
}

fn read_members(object: &[u8]) -> Result<Draft, MapError> {
    let inside = |path: &Path| Path::from_pointer(&format!("/data{}", path.pointer()));
    let parsed = json::parse(object, Numbers::Foreign).map_err(|error| match error {
        JsonError::Duplicate { path } => JsonError::Duplicate { path: inside(&path) },
        other => other,
    })?;
    let Value::Object(members) = parsed.value else { return Ok(Draft::default()) };
    let read = json::read_object(members, parsed.numbers)
        .map_err(|FieldError { path, rule }| MapError::field(&inside(&path), rule))?;
    Ok(Draft { event: read.event, flags: read.flags })
}

/// What other attributes say. Those that an export of ours adds are stated by the log anew.
fn extensions(mut attributes: BTreeMap<String, String>, draft: &mut Draft) {
    attributes.remove("datacontenttype");
    if attributes.remove("logorigin").is_some() {
        for name in ["logindex", "recordedtime", "sequence"] {
            attributes.remove(name);
        }
    }
    let schema = attributes.remove("dataschema");
    draft.event.schema.name = draft.event.schema.name.take().or(schema);
    if let Some(subject) = attributes.remove("subject") {
        self::subject(subject, draft);
    }
    if let Some(correlation) = attributes.remove("correlationid") {
        draft.event.trace.correlation_id.get_or_insert(correlation);
    }
    if let Some(parent) = attributes.remove("traceparent") {
        traceparent(parent, &mut draft.event, &mut attributes);
    }
    for (name, text) in attributes {
        draft.metadata(&name, text);
    }
}

/// `type/id` of the first target. What says something else goes to metadata.
fn subject(subject: String, draft: &mut Draft) {
    let parts = subject.split_once('/').filter(|(kind, id)| !kind.is_empty() && !id.is_empty());
    if let Some(first) = draft.event.targets.first() {
        if subject_of(first) != subject {
            draft.metadata("subject", subject);
        }
    } else if !subject.is_empty() {
        let (kind, id) = parts.unwrap_or(("subject", &subject));
        let (kind, id) = (kind.to_owned(), id.to_owned());
        draft.event.targets.push(Target { kind, id, ..Target::default() });
    }
}

fn subject_of(target: &Target) -> String {
    format!("{}/{}", target.kind, target.id)
}

/// `00-<trace>-<span>-<flags>` of W3C Trace Context. What is none stays an extension.
fn traceparent(text: String, event: &mut AuditEvent, others: &mut BTreeMap<String, String>) {
    let parts: Vec<&str> = text.split('-').collect();
    let is_id = |id: &str, digits: usize| {
        let is_hex = id.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
        id.len() == digits && is_hex && id.bytes().any(|byte| byte != b'0')
    };
    match parts[..] {
        ["00", trace, span, flags] if is_id(trace, 32) && is_id(span, 16) && flags.len() == 2 => {
            if event.trace.trace_id.is_none() {
                event.trace.trace_id = Some(trace.to_owned());
                event.trace.span_id = Some(span.to_owned());
            }
        }
        _ => drop(others.insert("traceparent".to_owned(), text)),
    }
}

#[cfg(test)]
mod tests;
