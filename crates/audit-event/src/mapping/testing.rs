//! What the tests of mappings share.

use super::fields::{Fields, Notes};
use super::{Intake, MapError, Mapped};
use crate::event::AuditEvent;
use crate::json;
use crate::text;
use crate::time::Instant;
use crate::validate::{Fill, ValidEvent};
use crate::value::Value;

/// 2026-03-04T09:10:20Z.
pub(super) fn now() -> Instant {
    Instant::parse("2026-03-04T09:10:20Z").unwrap().instant
}

/// A sender of whom nothing is configured but its source.
pub(super) fn intake(source: &str) -> Intake<'_> {
    Intake { now: now(), source, action: None, actor: None, category: None }
}

/// An object of these members, and of those of `rest` that they do not name.
pub(super) fn object(members: &str, rest: &str) -> String {
    let text = format!("{{{rest}}}");
    let notes = Notes::default();
    let rest = Fields::of_item(text.as_bytes(), &notes).unwrap().into_rest();
    let first = format!("{{{members}}}");
    let own = Fields::of_item(first.as_bytes(), &notes).map(|fields| fields.names());
    let own = own.unwrap_or_default();
    let kept = rest.iter().filter(|(name, _)| !own.contains(name));
    let spelled = |value: &[u8]| String::from_utf8(value.to_vec()).unwrap();
    let kept = kept.map(|(name, value)| format!("\"{name}\":{}", spelled(value)));
    let all: Vec<String> = Some(members.to_owned())
        .filter(|members| !members.is_empty())
        .into_iter()
        .chain(kept)
        .collect();
    format!("{{{}}}", all.join(","))
}

/// Holds an event to its limits, as the caller of a mapping does.
pub(super) fn checked(mapped: &Mapped<'_>) -> ValidEvent {
    let fill = Fill { now: now(), id: "01JNFTQXC0000000000000000" };
    mapped.check(fill).unwrap()
}

pub(super) fn flags(mapped: &Mapped<'_>) -> Vec<String> {
    checked(mapped).flags().iter().map(|flag| flag.name().to_owned()).collect()
}

/// Why an item was refused, in the words of the error.
pub(super) fn refusal(mapped: Result<Mapped<'_>, MapError>) -> String {
    mapped.unwrap_err().to_string()
}

/// The members that an event states, under their names at the top.
pub(super) fn shown(event: &AuditEvent) -> String {
    text::write(&json::to_object(event))
}

/// One entry of metadata, as text.
pub(super) fn metadata<'a>(mapped: &'a Mapped<'_>, key: &str) -> Option<&'a str> {
    mapped.event.metadata.get(key).and_then(Value::as_text)
}

/// A mapping may refuse what it gets, but what it makes can always be sealed, or is refused with the
/// name of a field.
pub(super) fn hold(mapped: Result<Mapped<'_>, MapError>) {
    if let Ok(mapped) = mapped {
        let fill = Fill { now: now(), id: "01JNFTQXC0000000000000000" };
        if let Ok(valid) = mapped.check(fill) {
            let blocks = crate::Blocks::of(&valid, crate::Stamp::default());
            let texts = blocks.iter().map(|block| (block.tag(), block.bytes()));
            assert!(crate::RecordedEvent::read(texts).is_ok(), "blocks come back");
        }
    }
}
