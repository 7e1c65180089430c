//! An event as an answer shows it: the members of its blocks, where it stands, and a sentence.

use audit_event::evidence::Line;
use audit_event::evidence::view::{Row, json_item};
use audit_event::sentence::Naming;
use audit_event::text;
use audit_event::value::Object;
use audit_event::{Integer, Sentence, Tag, Tags, Value};
use audit_trail::StoredEvent;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// An object of these members.
pub fn object<const N: usize>(members: [(&str, Value); N]) -> Object {
    members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// A count or an index. Beyond 2^53 it is a text, as no reader would keep the number.
pub fn number(value: u64) -> Value {
    let integer = i64::try_from(value).ok().and_then(Integer::new);
    integer.map_or_else(|| Value::Text(value.to_string()), Value::Integer)
}

fn names(tags: Tags) -> Value {
    Value::List(tags.iter().map(|tag| Value::from(tag.name())).collect())
}

/// The members of an event in a list of events. RAW is in it only if it is asked for.
pub fn listed(stored: StoredEvent, with_raw: bool) -> Object {
    let sentence = sentence(&stored);
    let damaged = stored.damaged;
    let line = stored.into_line();
    let mut item = members(&line);
    item.insert("sentence".to_owned(), Value::from(sentence.as_str()));
    if with_raw && let Some(raw) = line.block(Tag::Raw) {
        item.insert("raw".to_owned(), Value::Text(STANDARD.encode(&raw.bytes)));
    }
    if !damaged.is_empty() {
        item.insert("damaged".to_owned(), names(damaged));
        item.insert("withheld".to_owned(), names(line.withheld.without(damaged)));
    }
    item
}

/// The members that an event has in `events.json` of an evidence file.
pub(crate) fn members(line: &Line) -> Object {
    json_item(&Row::of(line))
}

/// What the event says, in one sentence.
pub fn sentence(stored: &StoredEvent) -> String {
    Sentence::of(&stored.recorded().event, Naming::Name).to_string()
}

/// One step of a verification, for a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// What was compared.
    pub step: &'static str,
    /// Whether it holds.
    pub ok: bool,
    /// With what.
    pub value: String,
}

/// A line of `events.ndjson` with the event as members and as a sentence, and how it was verified.
pub fn single(stored: StoredEvent, steps: Option<&[Step]>) -> String {
    let sentence = sentence(&stored);
    let damaged = stored.damaged;
    let line = stored.into_line();
    let mut out = line.write();
    // The line is an object that ends here.
    out.pop();
    let mut push = |name: &str, value: Value| {
        out.push_str(",\"");
        out.push_str(name);
        out.push_str("\":");
        out.push_str(&text::write_value(&value));
    };
    push("event", Value::Object(members(&line)));
    push("sentence", Value::from(sentence.as_str()));
    if !damaged.is_empty() {
        push("damaged", names(damaged));
    }
    if let Some(steps) = steps {
        push("verification", Value::Object(verification(steps)));
    }
    out.push('}');
    out
}

fn verification(steps: &[Step]) -> Object {
    let step = |Step { step, ok, value }: &Step| {
        let members = [
            ("step", Value::from(*step)),
            ("ok", Value::Bool(*ok)),
            ("value", Value::from(value.as_str())),
        ];
        Value::Object(object(members))
    };
    object([
        ("verified", Value::Bool(steps.iter().all(|step| step.ok))),
        ("steps", Value::List(steps.iter().map(step).collect())),
    ])
}
