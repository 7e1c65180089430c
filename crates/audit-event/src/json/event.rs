//! The JSON form of an event of our own API.

use std::collections::BTreeSet;

use super::{JsonError, Numbers, parse};
use crate::event::AuditEvent;
use crate::flag::{Flag, Flags};
use crate::members::{FieldError, Rule, Unknown};
use crate::path::Path;
use crate::schema::{self, Part};
use crate::text;
use crate::value::{Object, Value};

/// Bytes that an event of our own API may have where nothing else is configured.
pub const EVENT_BYTES_DEFAULT: usize = 256 * 1024;

/// Bytes that an event of our own API may have at most.
pub const EVENT_BYTES_MAX: usize = 1024 * 1024;

/// Why bytes are not an event.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EventError {
    /// Not JSON that we read.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// A member of the wrong type, or one that is missing.
    #[error(transparent)]
    Field(#[from] FieldError),
}

/// An event as it came: unchecked, with what came beside the schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadEvent {
    /// The event.
    pub event: AuditEvent,
    /// What reading noticed.
    pub flags: Flags,
    /// Members that the schema does not know. If there are any, the bytes are kept as RAW.
    pub unknown: Unknown,
    /// RFC 6901 pointers of the texts in `unknown` that were numbers.
    pub unknown_numbers: BTreeSet<String>,
}

/// Reads an event of our own API, at most `bytes_max` bytes.
pub fn read(bytes: &[u8], bytes_max: usize) -> Result<ReadEvent, EventError> {
    if bytes.len() > bytes_max {
        return Err(JsonError::TooLarge { bytes: bytes.len(), max: bytes_max }.into());
    }
    let parsed = parse(bytes, Numbers::Own)?;
    let Value::Object(object) = parsed.value else {
        return Err(FieldError::new(Path::TOP, Rule::NotObject).into());
    };
    Ok(read_object(object, parsed.numbers)?)
}

/// Reads an event that stands inside another item, for example as the data of an event of another format.
/// `numbers` are the pointers, from this object, of texts that were numbers.
pub fn read_object(object: Object, numbers: BTreeSet<String>) -> Result<ReadEvent, FieldError> {
    let mut part = Part::default();
    schema::read_event(object, &mut part)?;
    let Part { mut event, unknown, time_altered, .. } = part;
    let within = |pointer: &str| {
        let under = |(path, _): &(Path, Value)| {
            let rest = pointer.strip_prefix(&path.pointer());
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        unknown.iter().any(under)
    };
    let (unknown_numbers, numbers): (BTreeSet<_>, BTreeSet<_>) =
        numbers.into_iter().partition(|pointer| within(pointer));
    if let Some(pointer) = numbers.iter().find(|pointer| !may_be_number(pointer)) {
        return Err(FieldError::new(Path::from_pointer(pointer), Rule::NotText));
    }
    event.numbers = numbers;
    let flags = time_altered.then_some(Flag::TIME_INVALID).into_iter().collect();
    Ok(ReadEvent { event, flags, unknown, unknown_numbers })
}

/// Whether a number may stand there: where any value may. Elsewhere the schema wants a text.
fn may_be_number(pointer: &str) -> bool {
    let steps: Vec<&str> = pointer.split('/').skip(1).collect();
    matches!(steps[..], ["metadata", _] | ["changes", _, "old" | "new", ..])
}

/// Writes the members that a client may send; [`read`] gives the same event back, save that texts
/// that were numbers stay texts.
pub fn write(event: &AuditEvent) -> String {
    text::write(&to_object(event))
}

/// The members that a client may send, as one object.
pub fn to_object(event: &AuditEvent) -> Object {
    let mut all = Object::new();
    for (tag, members) in schema::objects(event, None) {
        match tag.wrapper() {
            Some(name) => drop(all.insert(name.to_owned(), Value::Object(members))),
            None => all.extend(members),
        }
    }
    all.remove("numbers");
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own(text: &str) -> Result<ReadEvent, EventError> {
        read(text.as_bytes(), EVENT_BYTES_DEFAULT)
    }

    fn refusal(text: &str) -> String {
        own(text).unwrap_err().to_string()
    }

    #[test]
    fn unknown_members_are_reported_at_every_level() {
        let read = own(r#"{"id":"1","zone":5,"actor":{"type":"user","id":"u","age":0.5},
                "targets":[{"type":"t","id":"i","extra":null}],"flags":["clock_skew"],"writer":"w",
                "metadata":{"share":0.25},"changes":[{"field":"f","old":1.5,"new":[2.5]}]}"#)
        .unwrap();
        let mut pointers: Vec<_> = read.unknown.iter().map(|(path, _)| path.pointer()).collect();
        pointers.sort();
        assert_eq!(pointers, ["/actor/age", "/flags", "/targets/0/extra", "/writer", "/zone"]);
        assert_eq!(read.unknown_numbers.into_iter().collect::<Vec<_>>(), ["/actor/age"]);
        let numbers: Vec<_> = read.event.numbers.iter().map(String::as_str).collect();
        assert_eq!(numbers, ["/changes/0/new/0", "/changes/0/old", "/metadata/share"]);
        assert!(read.flags.is_empty());
    }

    #[test]
    fn members_without_value_are_absent() {
        let read = own(r#"{"id":null,"actor":{},"labels":[],"metadata":{"a":null},"targets":{}}"#);
        assert_eq!(read.unwrap().event, AuditEvent::default());
    }

    #[test]
    fn refusals_name_the_member_and_never_the_value() {
        let cases = [
            (r#"{"id":5}"#, "id is not a text"),
            (r#"{"id":0.5}"#, "id is not a text"),
            (r#"{"changes":[{"field":0.5}]}"#, "changes[0].field is not a text"),
            (r#"{"actor":{"type":"user"}}"#, "actor.id is missing"),
            (r#"{"actor":"ana"}"#, "actor is not an object"),
            (r#"{"targets":[{"type":"t","id":"i"},{"type":"t"}]}"#, "targets[1].id is missing"),
            (r#"{"targets":[{}]}"#, "targets[0].type is missing"),
            (r#"{"metadata":{"a":[1]}}"#, "metadata.a is not a text, a number or a truth value"),
            (r#"{"labels":{"a":1}}"#, "labels.a is not a text"),
            (r#"{"outcome":"ok"}"#, "outcome is none of: success, failure, denied, unknown"),
            (r#"{"time":"yesterday"}"#, "time is not a time of the form 2026-01-31T09:15:00.25Z"),
            (
                r#"{"metadata":{"amount_cents":9007199254740993}}"#,
                "metadata.amount_cents holds a number that is not kept exactly: send it as text",
            ),
            (r#"{"action":"a.b","action":"c.d"}"#, "action stands twice"),
            ("[]", "the event is not an object"),
        ];
        for (text, refused) in cases {
            assert_eq!(refusal(text), refused);
        }
        let long = format!("{{\"id\":\"{}\"}}", "x".repeat(EVENT_BYTES_DEFAULT));
        assert_eq!(refusal(&long), "262153 bytes exceed 262144");
    }

    #[test]
    fn an_altered_time_is_flagged() {
        let read = own(r#"{"time":"2026-03-04T09:10:11.1234567891Z"}"#).unwrap();
        assert!(read.flags.contains(&Flag::TIME_INVALID));
    }
}
