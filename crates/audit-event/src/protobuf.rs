//! The protobuf form of an event of our own API: `cairn.audit.v1.AuditEvent`.
//!
//! A message becomes the object that its JSON form is, so both forms are read by one schema, and one
//! event has one content digest however it is sent. A field of an unknown number becomes a member of
//! that number, which the schema does not know either: it is named in the answer, and the bytes of the
//! event are kept as RAW.

use std::collections::BTreeSet;

use base64::{Engine as _, engine::general_purpose::STANDARD};

use crate::event::{ActorKind, Category, Operation, Outcome, Severity, Word};
use crate::json::{self, JsonError, Numbers, ReadEvent};
use crate::members::{FieldError, Rule};
use crate::path::Path;
use crate::value::{Integer, Object, Value};
use crate::wire::{Malformed, Wire, each_field};

/// The content type of an event in this form.
pub const CONTENT_TYPE: &str = "application/x-protobuf";

/// Why bytes are not an event.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProtobufError {
    /// Not a protobuf message.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// More bytes than are read.
    #[error("{bytes} bytes exceed {max}")]
    TooLarge {
        /// Bytes found.
        bytes: usize,
        /// Bytes allowed.
        max: usize,
    },
    /// A JSON value in a change.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// A member of the wrong type, or one that is missing.
    #[error(transparent)]
    Field(#[from] FieldError),
}

/// What a field is.
enum Kind {
    Text,
    Texts,
    /// A number that stands for a word: 1 for the first.
    Word(fn(usize) -> Option<&'static str>),
    Message(&'static [Field]),
    Messages(&'static [Field]),
    /// A map from texts to texts.
    Labels,
    /// A map from texts to values.
    Values,
    Value,
    /// Bytes that are a text in base64 in the JSON form.
    Bytes,
}

/// A field of a message: its number, its name in the JSON form, and what it is.
type Field = (u64, &'static str, Kind);

fn word<W: Word + 'static>(at: usize) -> Option<&'static str> {
    at.checked_sub(1).and_then(|at| W::ALLOWED.split(", ").nth(at))
}

const EVENT: &[Field] = &[
    (1, "id", Kind::Text),
    (2, "source", Kind::Text),
    (3, "time", Kind::Text),
    (4, "action", Kind::Text),
    (5, "category", Kind::Word(word::<Category>)),
    (6, "operation", Kind::Word(word::<Operation>)),
    (7, "outcome", Kind::Word(word::<Outcome>)),
    (8, "outcome_code", Kind::Text),
    (9, "severity", Kind::Word(word::<Severity>)),
    (10, "schema", Kind::Message(&[(1, "name", Kind::Text), (2, "version", Kind::Text)])),
    (11, "retention_class", Kind::Text),
    (12, "labels", Kind::Labels),
    (13, "actor", Kind::Message(ACTOR)),
    (14, "origin", Kind::Message(ORIGIN)),
    (15, "targets", Kind::Messages(TARGET)),
    (16, "description", Kind::Text),
    (17, "changes", Kind::Messages(CHANGE)),
    (
        18,
        "request",
        Kind::Message(&[(1, "id", Kind::Text), (2, "method", Kind::Text), (3, "path", Kind::Text)]),
    ),
    (
        19,
        "trace",
        Kind::Message(&[
            (1, "trace_id", Kind::Text),
            (2, "span_id", Kind::Text),
            (3, "correlation_id", Kind::Text),
        ]),
    ),
    (20, "metadata", Kind::Values),
    (21, "subject_ref", Kind::Text),
    (22, "producer_sig", Kind::Message(&[(1, "key_id", Kind::Text), (2, "sig", Kind::Bytes)])),
];

const ACTOR: &[Field] = &[
    (1, "type", Kind::Word(word::<ActorKind>)),
    (2, "id", Kind::Text),
    (3, "name", Kind::Text),
    (4, "email", Kind::Text),
    (5, "groups", Kind::Texts),
    (6, "session_id", Kind::Text),
    (7, "auth_method", Kind::Text),
    (
        8,
        "on_behalf_of",
        Kind::Message(&[
            (1, "type", Kind::Word(word::<ActorKind>)),
            (2, "id", Kind::Text),
            (3, "name", Kind::Text),
        ]),
    ),
];

const ORIGIN: &[Field] = &[
    (1, "ip", Kind::Text),
    (2, "forwarded_for", Kind::Texts),
    (3, "host", Kind::Text),
    (4, "user_agent", Kind::Text),
    (5, "country", Kind::Text),
    (6, "device", Kind::Text),
];

const TARGET: &[Field] = &[
    (1, "type", Kind::Text),
    (2, "id", Kind::Text),
    (3, "name", Kind::Text),
    (4, "parent", Kind::Text),
    (5, "uid", Kind::Text),
];

const CHANGE: &[Field] =
    &[(1, "field", Kind::Text), (2, "old", Kind::Value), (3, "new", Kind::Value)];

/// Reads an event of our own API, at most `bytes_max` bytes.
pub fn read(bytes: &[u8], bytes_max: usize) -> Result<ReadEvent, ProtobufError> {
    if bytes.len() > bytes_max {
        return Err(ProtobufError::TooLarge { bytes: bytes.len(), max: bytes_max });
    }
    let mut numbers = BTreeSet::new();
    let mut object = Object::new();
    message(bytes, 0, EVENT, &Path::TOP, &mut object, &mut numbers)?;
    if let Some(Value::Object(sig)) = object.get_mut("producer_sig") {
        sig.insert("alg".to_owned(), Value::from("ed25519"));
    }
    Ok(json::read_object(object, numbers)?)
}

/// Reads the fields of a message into an object. Of a field that stands more than once the last value
/// counts, and messages are merged, as protobuf demands.
fn message(
    bytes: &[u8],
    offset: usize,
    fields: &[Field],
    path: &Path,
    object: &mut Object,
    numbers: &mut BTreeSet<String>,
) -> Result<(), ProtobufError> {
    each_field(bytes, offset, |number, wire, encoded| {
        let Some((_, name, kind)) = fields.iter().find(|(known, ..)| *known == number) else {
            object.insert(number.to_string(), Value::Text(STANDARD.encode(encoded)));
            return Ok(());
        };
        let path = path.member(name);
        member(name, kind, wire, &path, object, numbers)
    })
}

fn member(
    name: &str,
    kind: &Kind,
    wire: Wire<'_>,
    path: &Path,
    object: &mut Object,
    numbers: &mut BTreeSet<String>,
) -> Result<(), ProtobufError> {
    let value = match (kind, wire) {
        (Kind::Text, Wire::Bytes(bytes, _)) => Value::Text(text(bytes, path)?),
        (Kind::Bytes, Wire::Bytes(bytes, _)) => Value::Text(STANDARD.encode(bytes)),
        (Kind::Word(_), Wire::Varint(0)) => return Ok(()),
        (Kind::Word(word), Wire::Varint(number)) => {
            let found = usize::try_from(number).ok().and_then(word);
            let unknown = || FieldError::new(path.clone(), Rule::Word { allowed: "a known value" });
            Value::from(found.ok_or_else(unknown)?)
        }
        (Kind::Value, Wire::Bytes(bytes, offset)) => value(bytes, offset, path, numbers)?,
        (Kind::Message(fields), Wire::Bytes(bytes, offset)) => {
            let inner =
                object.entry(name.to_owned()).or_insert_with(|| Value::Object(Object::new()));
            let Value::Object(inner) = inner else { return Ok(()) };
            return message(bytes, offset, fields, path, inner, numbers);
        }
        (Kind::Messages(fields), Wire::Bytes(bytes, offset)) => {
            let Value::List(items) = list(object, name) else { return Ok(()) };
            let mut inner = Object::new();
            message(bytes, offset, fields, &path.item(items.len()), &mut inner, numbers)?;
            items.push(Value::Object(inner));
            return Ok(());
        }
        (Kind::Texts, Wire::Bytes(bytes, _)) => {
            let Value::List(items) = list(object, name) else { return Ok(()) };
            items.push(Value::Text(text(bytes, &path.item(items.len()))?));
            return Ok(());
        }
        (Kind::Labels | Kind::Values, Wire::Bytes(bytes, offset)) => {
            let (key, value) = entry(bytes, offset, kind, path, numbers)?;
            let inner =
                object.entry(name.to_owned()).or_insert_with(|| Value::Object(Object::new()));
            if let Value::Object(inner) = inner {
                inner.insert(key, value);
            }
            return Ok(());
        }
        (_, _) => return Err(FieldError::new(path.clone(), Rule::WireType).into()),
    };
    object.insert(name.to_owned(), value);
    Ok(())
}

fn list<'o>(object: &'o mut Object, name: &str) -> &'o mut Value {
    object.entry(name.to_owned()).or_insert_with(|| Value::List(Vec::new()))
}

fn text(bytes: &[u8], path: &Path) -> Result<String, FieldError> {
    let text = std::str::from_utf8(bytes);
    text.map(str::to_owned).map_err(|_| FieldError::new(path.clone(), Rule::NotText))
}

/// An entry of a map: key 1, value 2.
fn entry(
    bytes: &[u8],
    offset: usize,
    kind: &Kind,
    path: &Path,
    numbers: &mut BTreeSet<String>,
) -> Result<(String, Value), ProtobufError> {
    let mut key = String::new();
    let mut found = None;
    each_field(bytes, offset, |number, wire, _| {
        match (number, wire) {
            (1, Wire::Bytes(bytes, _)) => key = text(bytes, path)?,
            (2, Wire::Bytes(bytes, offset)) => found = Some((bytes, offset)),
            _ => return Err(ProtobufError::Field(FieldError::new(path.clone(), Rule::WireType))),
        }
        Ok(())
    })?;
    let (bytes, offset) = found.unwrap_or_default();
    let path = path.member(&key);
    let value = match kind {
        Kind::Values => value(bytes, offset, &path, numbers)?,
        _ => Value::Text(text(bytes, &path)?),
    };
    Ok((key, value))
}

/// A `Value`: text 1, number 2, truth 3, json 4. Without any it says nothing.
fn value(
    bytes: &[u8],
    offset: usize,
    path: &Path,
    numbers: &mut BTreeSet<String>,
) -> Result<Value, ProtobufError> {
    let mut value = Value::Null;
    each_field(bytes, offset, |number, wire, _| {
        value = match (number, wire) {
            (1, Wire::Bytes(bytes, _)) => Value::Text(text(bytes, path)?),
            (2, Wire::Varint(bits)) => {
                let integer = Integer::new(i64::from_le_bytes(bits.to_le_bytes()));
                let beyond = || JsonError::Number { path: path.clone() };
                Value::Integer(integer.ok_or_else(beyond)?)
            }
            (3, Wire::Varint(bit)) => Value::Bool(bit != 0),
            (4, Wire::Bytes(bytes, _)) => {
                let parsed = json::parse(bytes, Numbers::Own)?;
                let pointer = path.pointer();
                let within = parsed.numbers.iter().map(|inner| format!("{pointer}{inner}"));
                numbers.extend(within);
                parsed.value
            }
            _ => return Err(ProtobufError::Field(FieldError::new(path.clone(), Rule::WireType))),
        };
        Ok(())
    })?;
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A field of bytes.
    fn bytes(number: u8, content: &[u8]) -> Vec<u8> {
        let length = u8::try_from(content.len()).unwrap();
        assert!(length < 0x80 && number < 16);
        [&[number << 3 | 2, length], content].concat()
    }

    fn event() -> Vec<u8> {
        let actor = [&[8, 1][..], &bytes(2, b"u-1"), &bytes(5, b"a"), &bytes(5, b"b")].concat();
        let old = bytes(2, &bytes(4, b"[1.5]"));
        let change = [bytes(1, b"amount"), old, bytes(3, &[0x10, 7])].concat();
        let entry = [bytes(1, b"k"), bytes(2, &[0x18, 1])].concat();
        [
            bytes(1, b"e-1"),
            bytes(2, b"/billing"),
            bytes(3, b"2026-01-31T09:15:00Z"),
            bytes(4, b"invoice.updated"),
            vec![0x38, 1],
            bytes(13, &actor),
            bytes(15, &[bytes(1, b"invoice"), bytes(2, b"4711")].concat()),
            [&[0x8a, 1, u8::try_from(change.len()).unwrap()], &change[..]].concat(),
            [&[0xa2, 1, u8::try_from(entry.len()).unwrap()], &entry[..]].concat(),
        ]
        .concat()
    }

    #[test]
    fn both_forms_of_an_event_are_one() {
        let json = br#"{"id":"e-1","source":"/billing","time":"2026-01-31T09:15:00Z",
            "action":"invoice.updated","outcome":"success",
            "actor":{"type":"user","id":"u-1","groups":["a","b"]},
            "targets":[{"type":"invoice","id":"4711"}],"metadata":{"k":true},
            "changes":[{"field":"amount","old":[1.5],"new":7}]}"#;
        assert_eq!(read(&event(), 1_000).unwrap(), json::read(json, 1_000).unwrap());
    }

    #[test]
    fn unknown_numbers_are_named_and_kept() {
        let actor = [&[8, 1][..], &bytes(2, b"u-1"), &bytes(9, b"x")].concat();
        let more = [event(), bytes(13, &actor), vec![0xf8, 6, 5]].concat();
        let read = read(&more, 1_000).unwrap();
        let mut named: Vec<String> = read.unknown.iter().map(|(path, _)| path.pointer()).collect();
        named.sort();
        assert_eq!(named, ["/111", "/actor/9"]);
    }

    #[test]
    fn what_is_no_event_is_refused_with_its_member() {
        let refusal =
            |more: &[u8]| read(&[&event(), more].concat(), 1_000).unwrap_err().to_string();
        assert_eq!(refusal(&bytes(1, &[0xff])), "id is not a text");
        assert_eq!(refusal(&[0x08, 1]), "id is of another wire type");
        assert_eq!(refusal(&[0x38, 9]), "outcome is none of: a known value");
        assert!(refusal(&[0x0a, 0x7f]).starts_with("not a protobuf message"));
        let big = [&[0x10][..], &[0xff; 7], &[0x3f]].concat();
        let big = [bytes(1, b"n"), bytes(2, &big)].concat();
        let big = [&[0xa2, 1, u8::try_from(big.len()).unwrap()], &big[..]].concat();
        assert!(refusal(&big).starts_with("metadata.n holds a number that is not kept exactly"));
        assert_eq!(read(&event(), 10).unwrap_err().to_string(), "122 bytes exceed 10");
    }
}
