//! Every limit on the members of an event, in one walk. Of our own API a breach is refused; of a
//! foreign source the member is cut and named.

use std::collections::{BTreeMap, BTreeSet};

use crate::event::{
    Actor, AuditEvent, Change, Origin, Party, ProducerSig, Request, Schema, Target, Trace,
};
use crate::members::{FieldError, Rule};
use crate::path::Path;
use crate::text::{self, DEPTH_MAX};
use crate::value::{Object, Value};

pub(crate) const ID_MAX: usize = 128;
pub(crate) const SOURCE_MAX: usize = 256;
pub(crate) const ACTION_MAX: usize = 128;
const KEY_MAX: usize = 64;
const LABELS_MAX: usize = 16;
const GROUPS_MAX: usize = 64;
const ADDRESSES_MAX: usize = 16;
const TARGETS_MAX: usize = 32;
const CHANGES_MAX: usize = 100;
const CHANGE_SIDE_MAX: usize = 4_096;
const METADATA_MAX: usize = 50;
const METADATA_VALUE_MAX: usize = 1_024;
/// Levels above `old` and `new` of a change: the block, the list, the change.
const CHANGE_LEVELS: usize = 3;

/// Whose limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Breach {
    /// Refuse it.
    Refuse,
    /// Cut the member, and name it.
    Cut,
}

/// What kind of text a member is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Names something: neither empty nor with control characters.
    Identifier,
    /// Written by anybody, stored as sent.
    Free,
}

/// Holds an event to its limits. Returns the RFC 6901 pointers of what was cut.
pub(crate) fn apply(
    event: &mut AuditEvent,
    breach: Breach,
) -> Result<BTreeSet<String>, FieldError> {
    let mut limits = Limits { breach, truncated: BTreeSet::new() };
    limits.core(event)?;
    if let Some(actor) = &mut event.actor {
        limits.actor(actor)?;
    }
    limits.origin(&mut event.origin)?;
    limits.items(&Path::of("targets"), &mut event.targets, TARGETS_MAX)?;
    for (index, target) in event.targets.iter_mut().enumerate() {
        limits.target(&Path::of("targets").item(index), target)?;
    }
    limits.items(&Path::of("changes"), &mut event.changes, CHANGES_MAX)?;
    for (index, change) in event.changes.iter_mut().enumerate() {
        limits.change(&Path::of("changes").item(index), change)?;
    }
    limits.detail(event)?;
    let Limits { truncated, .. } = limits;
    let numbers = std::mem::take(&mut event.numbers).into_iter();
    event.numbers = numbers.filter(|pointer| stands(pointer, event, &truncated)).collect();
    Ok(truncated)
}

/// The longest beginning of a text that has at most `max` bytes and ends with a whole character.
pub(crate) fn cut(text: &str, max: usize) -> &str {
    &text[..text.floor_char_boundary(max)]
}

/// Whether a pointer of a number still leads to it after what was cut away, or cut to a text.
fn stands(pointer: &str, event: &AuditEvent, truncated: &BTreeSet<String>) -> bool {
    let mut steps = pointer.split('/').skip(1);
    match (steps.next(), steps.next(), steps.next(), steps.next()) {
        (Some("metadata"), Some(key), None, None) => {
            event.metadata.contains_key(&key.replace("~1", "/").replace("~0", "~"))
        }
        (Some("changes"), Some(index), Some(side), inside) => {
            let is_there = index.parse().is_ok_and(|index: usize| index < event.changes.len());
            let cut = || truncated.contains(&format!("/changes/{index}/{side}"));
            is_there && (inside.is_none() || !cut())
        }
        _ => false,
    }
}

struct Limits {
    breach: Breach,
    truncated: BTreeSet<String>,
}

impl Limits {
    fn core(&mut self, event: &mut AuditEvent) -> Result<(), FieldError> {
        let top = Path::TOP;
        self.optional(&top, "id", &mut event.id, ID_MAX, Kind::Identifier)?;
        self.optional(&top, "source", &mut event.source, SOURCE_MAX, Kind::Identifier)?;
        self.optional(&top, "action", &mut event.action, ACTION_MAX, Kind::Identifier)?;
        self.optional(&top, "outcome_code", &mut event.outcome_code, 64, Kind::Free)?;
        let Schema { name, version } = &mut event.schema;
        let schema = Path::of("schema");
        self.optional(&schema, "name", name, 64, Kind::Free)?;
        self.optional(&schema, "version", version, 64, Kind::Free)?;
        self.optional(&top, "retention_class", &mut event.retention_class, 64, Kind::Identifier)?;
        let labels = Path::of("labels");
        self.keys(&labels, &mut event.labels, LABELS_MAX)?;
        for (key, value) in &mut event.labels {
            self.text(&labels.member(key), value, 256, Kind::Free)?;
        }
        Ok(())
    }

    fn actor(&mut self, actor: &mut Actor) -> Result<(), FieldError> {
        let Actor { kind: _, id, name, email, groups, session_id, auth_method, on_behalf_of } =
            actor;
        let path = Path::of("actor");
        self.text(&path.member("id"), id, 256, Kind::Identifier)?;
        self.optional(&path, "name", name, 256, Kind::Free)?;
        self.optional(&path, "email", email, 320, Kind::Free)?;
        self.items(&path.member("groups"), groups, GROUPS_MAX)?;
        for (index, group) in groups.iter_mut().enumerate() {
            self.text(&path.member("groups").item(index), group, 256, Kind::Free)?;
        }
        self.optional(&path, "session_id", session_id, 256, Kind::Free)?;
        self.optional(&path, "auth_method", auth_method, 64, Kind::Free)?;
        if let Some(Party { kind: _, id, name }) = on_behalf_of {
            let path = path.member("on_behalf_of");
            self.text(&path.member("id"), id, 256, Kind::Identifier)?;
            self.optional(&path, "name", name, 256, Kind::Free)?;
        }
        Ok(())
    }

    fn origin(&mut self, origin: &mut Origin) -> Result<(), FieldError> {
        let Origin { ip, forwarded_for, host, user_agent, country, device } = origin;
        let path = Path::of("origin");
        self.optional(&path, "ip", ip, 64, Kind::Free)?;
        self.items(&path.member("forwarded_for"), forwarded_for, ADDRESSES_MAX)?;
        for (index, address) in forwarded_for.iter_mut().enumerate() {
            self.text(&path.member("forwarded_for").item(index), address, 128, Kind::Free)?;
        }
        self.optional(&path, "host", host, 255, Kind::Free)?;
        self.optional(&path, "user_agent", user_agent, 1_024, Kind::Free)?;
        self.optional(&path, "country", country, 64, Kind::Free)?;
        self.optional(&path, "device", device, 256, Kind::Free)
    }

    fn target(&mut self, path: &Path, target: &mut Target) -> Result<(), FieldError> {
        let Target { kind, id, name, parent, uid } = target;
        self.text(&path.member("type"), kind, 128, Kind::Identifier)?;
        self.text(&path.member("id"), id, 512, Kind::Identifier)?;
        self.optional(path, "name", name, 512, Kind::Free)?;
        self.optional(path, "parent", parent, 512, Kind::Free)?;
        self.optional(path, "uid", uid, 512, Kind::Free)
    }

    fn change(&mut self, path: &Path, change: &mut Change) -> Result<(), FieldError> {
        let Change { field, old, new } = change;
        self.text(&path.member("field"), field, 256, Kind::Identifier)?;
        for (name, side) in [("old", old), ("new", new)] {
            if let Some(value) = side {
                self.side(&path.member(name), value)?;
            }
        }
        Ok(())
    }

    /// One side of a change: a text, or a value whose JSON text counts.
    fn side(&mut self, path: &Path, value: &mut Value) -> Result<(), FieldError> {
        if let Value::Text(text) = value {
            return self.text(path, text, CHANGE_SIDE_MAX, Kind::Free);
        }
        if value.depth(DEPTH_MAX) > DEPTH_MAX - CHANGE_LEVELS {
            return Err(FieldError::new(path.clone(), Rule::TooDeep));
        }
        let mut written = text::write_value(value);
        if written.len() > CHANGE_SIDE_MAX {
            self.text(path, &mut written, CHANGE_SIDE_MAX, Kind::Free)?;
            *value = Value::Text(written);
        }
        Ok(())
    }

    fn detail(&mut self, event: &mut AuditEvent) -> Result<(), FieldError> {
        let top = Path::TOP;
        self.optional(&top, "description", &mut event.description, 1_024, Kind::Free)?;
        let Request { id, method, path } = &mut event.request;
        let request = Path::of("request");
        self.optional(&request, "id", id, 256, Kind::Free)?;
        self.optional(&request, "method", method, 64, Kind::Free)?;
        self.optional(&request, "path", path, 2_048, Kind::Free)?;
        let Trace { trace_id, span_id, correlation_id } = &mut event.trace;
        let trace = Path::of("trace");
        self.optional(&trace, "trace_id", trace_id, 128, Kind::Free)?;
        self.optional(&trace, "span_id", span_id, 128, Kind::Free)?;
        self.optional(&trace, "correlation_id", correlation_id, 256, Kind::Free)?;
        self.metadata(&mut event.metadata)?;
        self.optional(&top, "subject_ref", &mut event.subject_ref, 256, Kind::Free)?;
        if let Some(ProducerSig { key_id, sig: _ }) = &mut event.producer_sig {
            let path = Path::of("producer_sig").member("key_id");
            self.text(&path, key_id, 128, Kind::Identifier)?;
        }
        Ok(())
    }

    fn metadata(&mut self, metadata: &mut Object) -> Result<(), FieldError> {
        let path = Path::of("metadata");
        self.keys(&path, metadata, METADATA_MAX)?;
        for (key, value) in metadata {
            let path = path.member(key);
            match value {
                Value::Text(text) => self.text(&path, text, METADATA_VALUE_MAX, Kind::Free)?,
                Value::Bool(_) | Value::Integer(_) | Value::Null => {}
                Value::List(_) | Value::Object(_) => {
                    return Err(FieldError::new(path, Rule::NotSimple));
                }
            }
        }
        Ok(())
    }

    fn optional(
        &mut self,
        path: &Path,
        name: &str,
        text: &mut Option<String>,
        max: usize,
        kind: Kind,
    ) -> Result<(), FieldError> {
        text.as_mut().map_or(Ok(()), |text| self.text(&path.member(name), text, max, kind))
    }

    fn text(
        &mut self,
        path: &Path,
        text: &mut String,
        max: usize,
        kind: Kind,
    ) -> Result<(), FieldError> {
        if kind == Kind::Identifier {
            if text.is_empty() {
                return Err(FieldError::new(path.clone(), Rule::Empty));
            }
            if text.chars().any(|character| character.is_ascii_control()) {
                self.breach(path, Rule::Control)?;
                *text = text.replace(|character: char| character.is_ascii_control(), "\u{fffd}");
            }
        }
        if text.len() > max {
            self.breach(path, Rule::TooLong { max })?;
            text.truncate(cut(text, max).len());
        }
        Ok(())
    }

    fn items<T>(&mut self, path: &Path, items: &mut Vec<T>, max: usize) -> Result<(), FieldError> {
        if items.len() > max {
            self.breach(path, Rule::TooMany { max })?;
            items.truncate(max);
        }
        Ok(())
    }

    /// Keys are ours in every case: whoever maps a foreign format encodes them.
    fn keys<T>(
        &mut self,
        path: &Path,
        members: &mut BTreeMap<String, T>,
        max: usize,
    ) -> Result<(), FieldError> {
        if members.len() > max {
            self.breach(path, Rule::TooMany { max })?;
            while members.len() > max {
                members.pop_last();
            }
        }
        if members.keys().all(|key| is_key(key)) {
            return Ok(());
        }
        Err(FieldError::new(path.clone(), Rule::Key))
    }

    fn breach(&mut self, path: &Path, rule: Rule) -> Result<(), FieldError> {
        if self.breach == Breach::Refuse {
            return Err(FieldError::new(path.clone(), rule));
        }
        self.truncated.insert(path.pointer());
        Ok(())
    }
}

fn is_key(key: &str) -> bool {
    (1..=KEY_MAX).contains(&key.len()) && key.bytes().all(|byte| (0x20..0x7f).contains(&byte))
}
