//! What a mode of an audit log sends: events, or items of another format, each in two parts around the
//! place where its fresh id goes.

use audit_event::json::{self, EVENT_BYTES_MAX, EventError};
use prost::Message as _;
use prost::encoding::encode_varint;
use serde_json::{Map, Value};

use super::events;
use super::template::ID_LEN;

/// Items of one file.
const ITEMS_MAX: usize = 100_000;

/// Protobuf tags of length-delimited fields 1 and 2.
const FIELD_1_BYTES: u8 = 0x0a;
const FIELD_2_BYTES: u8 = 0x12;

/// The attribute that is the id of an OTLP record.
const RECORD_UID: &str = "log.record.uid";

/// Why lines cannot be sent. No value of an event is in it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ItemsError {
    #[error("there is no line to send")]
    Empty,
    #[error("there are more than {max} lines")]
    TooMany { max: usize },
    #[error("line {line} is not a JSON object")]
    NotObject { line: usize },
    #[error("line {line} is not an event")]
    Event { line: usize, source: EventError },
}

/// The bytes of one item, without its id.
#[derive(Debug)]
pub(crate) struct Item {
    pub(super) before_id: Vec<u8>,
    pub(super) after_id: Vec<u8>,
    /// Bytes of the item as JSON, whatever it is sent as.
    pub(super) json_bytes: usize,
}

/// What stands around the items of a request.
#[derive(Debug)]
pub(crate) struct Framing {
    pub(crate) before: Vec<u8>,
    pub(crate) between: &'static [u8],
    pub(crate) after: Vec<u8>,
}

/// How an item is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// A field of `RecordEventsRequest`. Members that the schema does not know are left out.
    Message,
    /// An `AuditEvent` as JSON.
    Json,
    /// An item of a Kubernetes `EventList`.
    Kubernetes,
    /// An OTLP record as JSON.
    Otlp,
}

/// The lines of a file; empty ones are left out.
pub(crate) fn lines(bytes: &[u8]) -> Result<Vec<Map<String, Value>>, ItemsError> {
    let mut items = Vec::new();
    for (line, text) in (1..).zip(bytes.split(|byte| *byte == b'\n')) {
        let text = text.trim_ascii();
        if text.is_empty() {
            continue;
        }
        if items.len() == ITEMS_MAX {
            return Err(ItemsError::TooMany { max: ITEMS_MAX });
        }
        items.push(serde_json::from_slice(text).map_err(|_| ItemsError::NotObject { line })?);
    }
    if items.is_empty() { Err(ItemsError::Empty) } else { Ok(items) }
}

/// Every item in the form in which it is sent.
pub(crate) fn items(given: Vec<Map<String, Value>>, form: Form) -> Result<Vec<Item>, ItemsError> {
    let item = |(line, members)| item(members, form, line);
    (1..).zip(given).map(item).collect()
}

fn item(members: Map<String, Value>, form: Form, line: usize) -> Result<Item, ItemsError> {
    Ok(match form {
        Form::Message => message(members, line)?,
        Form::Json => with_id("id", members),
        Form::Kubernetes => with_id("auditID", members),
        Form::Otlp => record(members),
    })
}

/// An event as a field of a request. Its id is its first field.
fn message(mut members: Map<String, Value>, line: usize) -> Result<Item, ItemsError> {
    members.remove("id");
    let text = Value::Object(members).to_string();
    // With its id: `"id":"…",`.
    let json_bytes = text.len() + ID_LEN + 8;
    let read = json::read(text.as_bytes(), EVENT_BYTES_MAX);
    let event = read.map_err(|source| ItemsError::Event { line, source })?.event;
    let after_id = events::message(event).encode_to_vec();
    let id_len = u8::try_from(ID_LEN).expect("an id is short");
    let length = u64::try_from(2 + ID_LEN + after_id.len()).expect("a length fits 64 bits");
    let mut before_id = vec![FIELD_2_BYTES];
    encode_varint(length, &mut before_id);
    before_id.extend_from_slice(&[FIELD_1_BYTES, id_len]);
    Ok(Item { before_id, after_id, json_bytes })
}

/// An object whose member `name` is the id.
fn with_id(name: &str, mut members: Map<String, Value>) -> Item {
    members.remove(name);
    let before_id = format!("{{\"{name}\":\"");
    around(before_id, format!("\"{}", rest(members)))
}

/// A record whose first attribute is the id.
fn record(mut members: Map<String, Value>) -> Item {
    let mut others = match members.remove("attributes") {
        Some(Value::Array(attributes)) => attributes,
        _ => Vec::new(),
    };
    others.retain(|attribute| attribute["key"] != RECORD_UID);
    let others: Vec<String> = others.iter().map(|attribute| format!(",{attribute}")).collect();
    let others = others.concat();
    let before_id = format!(r#"{{"attributes":[{{"key":"{RECORD_UID}","value":{{"stringValue":""#);
    let after_id = format!("\"}}}}{others}]{}", rest(members));
    around(before_id, after_id)
}

/// The item of a text in two parts.
fn around(before_id: String, after_id: String) -> Item {
    let json_bytes = before_id.len() + ID_LEN + after_id.len();
    Item { before_id: before_id.into_bytes(), after_id: after_id.into_bytes(), json_bytes }
}

/// What follows the first member of an object.
fn rest(members: Map<String, Value>) -> String {
    let comma = if members.is_empty() { "" } else { "," };
    let text = Value::Object(members).to_string();
    format!("{comma}{}", &text[1..])
}

#[cfg(test)]
mod tests {
    use log_proto::audit_v1::AuditEvent;
    use log_proto::events::RecordEventsRequest;
    use serde_json::json;

    use super::super::builtin;
    use super::super::template::Template;
    use super::*;

    fn written(given: Vec<Map<String, Value>>, form: Form, request: u64) -> Vec<u8> {
        let items = items(given, form).unwrap();
        let between: &[u8] = if form == Form::Message { b"" } else { b"," };
        let bracket = |text: &str| {
            if form == Form::Message { Vec::new() } else { text.as_bytes().to_vec() }
        };
        let framing = Framing { before: bracket("["), between, after: bracket("]") };
        let template = Template::items(items.iter(), &framing, *b"run-id-8");
        let mut bytes = Vec::new();
        template.write(request, &mut bytes);
        assert_eq!(bytes.len(), template.len());
        bytes
    }

    fn id(number: u64) -> String {
        format!("72756e2d69642d38{number:016x}")
    }

    #[test]
    fn events_are_the_messages_they_stand_for() {
        let given = builtin::events("2026-03-04T09:10:11Z");
        let request = RecordEventsRequest::decode(&*written(given.clone(), Form::Message, 2));
        let events = request.unwrap().events;
        assert_eq!(events.len(), given.len());
        for (number, (bytes, members)) in (0..).zip(events.iter().zip(&given)) {
            let event = AuditEvent::decode(&**bytes).unwrap();
            let count = u64::try_from(given.len()).unwrap();
            assert_eq!(event.id, Some(id(2 * count + number)));
            let read = audit_event::protobuf::read(bytes, EVENT_BYTES_MAX).unwrap();
            let mut sent = members.clone();
            sent.insert("id".into(), event.id.into());
            let sent = Value::Object(sent).to_string();
            let sent = json::read(sent.as_bytes(), EVENT_BYTES_MAX).unwrap();
            assert_eq!(read.event, sent.event);
        }
    }

    #[test]
    fn ids_of_items_are_fresh_and_stand_in_their_member() {
        let given = || lines(br#"{"auditID":"old","id":"old","n":1}"#).unwrap();
        let parsed = |form, request| {
            let bytes = written(given(), form, request);
            serde_json::from_slice::<Value>(&bytes).unwrap()
        };
        let expected = json!([{"auditID": id(7), "id": "old", "n": 1}]);
        assert_eq!(parsed(Form::Kubernetes, 7), expected);
        let expected = json!([{"auditID": "old", "id": id(8), "n": 1}]);
        assert_eq!(parsed(Form::Json, 8), expected);
        let uid = |id: &str| json!({"key": RECORD_UID, "value": {"stringValue": id}});
        let other = json!({"key": "user.id", "value": {"stringValue": "u-1"}});
        let record = json!({"attributes": [uid("old"), other], "body": {}});
        let bytes = written(lines(record.to_string().as_bytes()).unwrap(), Form::Otlp, 9);
        let expected = json!([{"attributes": [uid(&id(9)), other], "body": {}}]);
        assert_eq!(serde_json::from_slice::<Value>(&bytes).unwrap(), expected);
        assert_eq!(written(lines(b"{}").unwrap(), Form::Json, 1), {
            format!(r#"[{{"id":"{}"}}]"#, id(1)).into_bytes()
        });
    }

    #[test]
    fn lines_that_cannot_be_sent_are_named_without_their_content() {
        assert!(matches!(lines(b"\n \n"), Err(ItemsError::Empty)));
        assert_eq!(lines(b"{}\r\n\n{}").unwrap().len(), 2);
        let bad = lines(b"{}\n\n[\"secret\"]").unwrap_err();
        assert_eq!(bad.to_string(), "line 3 is not a JSON object");
        let event = items(lines(br#"{"actor":"secret"}"#).unwrap(), Form::Message).unwrap_err();
        let text = base::error::chain(&event);
        assert!(text.starts_with("line 1 is not an event") && !text.contains("secret"), "{text}");
    }

    #[test]
    fn what_is_built_in_is_of_the_size_of_real_events() {
        let time = "2026-03-04T09:10:11Z";
        let sets = [
            (builtin::events(time), Form::Message),
            (builtin::events(time), Form::Json),
            (builtin::kubernetes(time), Form::Kubernetes),
            (builtin::records("1772615411123456789"), Form::Otlp),
        ];
        for (given, form) in sets {
            let count = given.len();
            let items = items(given, form).unwrap();
            let bytes: usize = items.iter().map(|item| item.json_bytes).sum();
            let mean = bytes / count;
            assert!((1_100..=1_300).contains(&mean), "{form:?}: {mean} bytes");
        }
    }
}
