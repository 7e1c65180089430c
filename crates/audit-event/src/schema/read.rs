//! Members of JSON objects to members of an event.

use base64::{Engine as _, engine::general_purpose::STANDARD};

use crate::blocks::{Tag, Writer};
use crate::event::{
    Actor, ActorKind, AuditEvent, Change, Origin, Party, ProducerSig, Request, Schema, Target,
    Trace,
};
use crate::flag::{Flag, Flags};
use crate::members::{FieldError, Members, Rule, Unknown};
use crate::path::Path;
use crate::value::{Object, Value};

/// What the server adds to an event's `core` and `detail`, as it stands in stored blocks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Server {
    pub(crate) flags: Flags,
    pub(crate) truncated: Vec<String>,
    pub(crate) writer: Option<Writer>,
    pub(crate) raw_content_type: Option<String>,
    pub(crate) raw_size: Option<u64>,
    pub(crate) raw_sha256: Option<[u8; 32]>,
}

/// What reading fills, object by object.
#[derive(Debug, Default)]
pub(crate) struct Part {
    pub(crate) event: AuditEvent,
    pub(crate) server: Server,
    pub(crate) unknown: Unknown,
    /// The time stated was altered to be one.
    pub(crate) time_altered: bool,
}

/// Reads an event from its JSON object. What the server alone writes counts as unknown.
pub(crate) fn read_event(object: Object, part: &mut Part) -> Result<(), FieldError> {
    let mut members = Members::new(Path::TOP, object);
    core(&mut members, part)?;
    if let Some(mut inner) = members.object("actor")? {
        part.event.actor = Some(actor(&mut inner, part)?);
        inner.finish(&mut part.unknown);
    }
    if let Some(mut inner) = members.object("origin")? {
        part.event.origin = origin(&mut inner)?;
        inner.finish(&mut part.unknown);
    }
    target(&mut members, part)?;
    changes(&mut members, part)?;
    detail(&mut members, part)?;
    members.finish(&mut part.unknown);
    Ok(())
}

/// Reads one block of the tags 1 to 6 into what was read of the others.
pub(crate) fn read_block(tag: Tag, object: Object, part: &mut Part) -> Result<(), FieldError> {
    let at = |name| Members::new(Path::of(name), object.clone());
    let mut members = match tag {
        Tag::Actor => at("actor"),
        Tag::Origin => at("origin"),
        _ => Members::new(Path::TOP, object),
    };
    match tag {
        Tag::Core => {
            core(&mut members, part)?;
            part.server.flags = flags(&mut members)?;
        }
        Tag::Actor => part.event.actor = Some(actor(&mut members, part)?),
        Tag::Origin => part.event.origin = origin(&mut members)?,
        Tag::Target => target(&mut members, part)?,
        Tag::Changes => changes(&mut members, part)?,
        Tag::Detail => {
            detail(&mut members, part)?;
            detail_of_server(&mut members, part)?;
        }
        Tag::Raw => {}
    }
    members.finish(&mut part.unknown);
    Ok(())
}

fn core(members: &mut Members, part: &mut Part) -> Result<(), FieldError> {
    let event = &mut part.event;
    event.id = members.text("id")?;
    event.source = members.text("source")?;
    if let Some(stated) = members.time("time")? {
        event.time = Some(stated.instant);
        part.time_altered = stated.altered;
    }
    event.action = members.text("action")?;
    event.category = members.word("category")?;
    event.operation = members.word("operation")?;
    event.outcome = members.word("outcome")?;
    event.outcome_code = members.text("outcome_code")?;
    event.severity = members.word("severity")?;
    if let Some(mut inner) = members.object("schema")? {
        event.schema = Schema { name: inner.text("name")?, version: inner.text("version")? };
        inner.finish(&mut part.unknown);
    }
    event.retention_class = members.text("retention_class")?;
    if let Some(labels) = members.object("labels")? {
        let (path, labels) = labels.into_rest();
        for (key, value) in labels {
            match value {
                Value::Text(text) => drop(event.labels.insert(key, text)),
                absent if absent.is_absent() => {}
                _ => return Err(FieldError::new(path.member(&key), Rule::NotText)),
            }
        }
    }
    Ok(())
}

fn flags(members: &mut Members) -> Result<Flags, FieldError> {
    let names = members.texts("flags")?;
    let flag = |name: &String| Flag::new(name).ok_or_else(|| members.error("flags", Rule::Flag));
    names.iter().map(flag).collect()
}

fn actor(members: &mut Members, part: &mut Part) -> Result<Actor, FieldError> {
    let on_behalf_of = match members.object("on_behalf_of")? {
        None => None,
        Some(mut inner) => {
            let (kind, id) = (inner.required_word("type")?, inner.required_text("id")?);
            let party = Party { kind, id, name: inner.text("name")? };
            inner.finish(&mut part.unknown);
            Some(party)
        }
    };
    Ok(Actor {
        kind: members.required_word::<ActorKind>("type")?,
        id: members.required_text("id")?,
        name: members.text("name")?,
        email: members.text("email")?,
        groups: members.texts("groups")?,
        session_id: members.text("session_id")?,
        auth_method: members.text("auth_method")?,
        on_behalf_of,
    })
}

fn origin(members: &mut Members) -> Result<Origin, FieldError> {
    Ok(Origin {
        ip: members.text("ip")?,
        forwarded_for: members.texts("forwarded_for")?,
        host: members.text("host")?,
        user_agent: members.text("user_agent")?,
        country: members.text("country")?,
        device: members.text("device")?,
    })
}

fn target(members: &mut Members, part: &mut Part) -> Result<(), FieldError> {
    for (path, value) in members.list("targets")? {
        let mut inner = Members::of(path, value)?;
        part.event.targets.push(Target {
            kind: inner.required_text("type")?,
            id: inner.required_text("id")?,
            name: inner.text("name")?,
            parent: inner.text("parent")?,
            uid: inner.text("uid")?,
        });
        inner.finish(&mut part.unknown);
    }
    part.event.description = members.text("description")?;
    Ok(())
}

fn changes(members: &mut Members, part: &mut Part) -> Result<(), FieldError> {
    for (path, value) in members.list("changes")? {
        let mut inner = Members::of(path, value)?;
        let field = inner.required_text("field")?;
        let change = Change { field, old: inner.value("old"), new: inner.value("new") };
        part.event.changes.push(change);
        inner.finish(&mut part.unknown);
    }
    Ok(())
}

fn detail(members: &mut Members, part: &mut Part) -> Result<(), FieldError> {
    if let Some(mut inner) = members.object("request")? {
        let (id, method) = (inner.text("id")?, inner.text("method")?);
        part.event.request = Request { id, method, path: inner.text("path")? };
        inner.finish(&mut part.unknown);
    }
    if let Some(mut inner) = members.object("trace")? {
        part.event.trace = Trace {
            trace_id: inner.text("trace_id")?,
            span_id: inner.text("span_id")?,
            correlation_id: inner.text("correlation_id")?,
        };
        inner.finish(&mut part.unknown);
    }
    if let Some(inner) = members.object("metadata")? {
        let (path, metadata) = inner.into_rest();
        for (key, value) in metadata {
            match value {
                absent if absent.is_absent() => {}
                Value::List(_) | Value::Object(_) => {
                    return Err(FieldError::new(path.member(&key), Rule::NotSimple));
                }
                simple => drop(part.event.metadata.insert(key, simple)),
            }
        }
    }
    part.event.subject_ref = members.text("subject_ref")?;
    if let Some(mut inner) = members.object("producer_sig")? {
        part.event.producer_sig = Some(producer_sig(&mut inner)?);
        inner.finish(&mut part.unknown);
    }
    Ok(())
}

fn producer_sig(members: &mut Members) -> Result<ProducerSig, FieldError> {
    if members.required_text("alg")? != "ed25519" {
        return Err(members.error("alg", Rule::Word { allowed: "ed25519" }));
    }
    let key_id = members.required_text("key_id")?;
    let sig = STANDARD.decode(members.required_text("sig")?).ok();
    let sig = sig.and_then(|sig| <[u8; 64]>::try_from(sig).ok());
    let sig = sig.ok_or_else(|| members.error("sig", Rule::Signature))?;
    Ok(ProducerSig { key_id, sig })
}

fn detail_of_server(members: &mut Members, part: &mut Part) -> Result<(), FieldError> {
    part.server.writer = match members.value("writer") {
        None => None,
        Some(Value::Text(id)) => Some(Writer::Token(id)),
        Some(value) => {
            let mut inner = Members::of(Path::of("writer"), value)?;
            let issuer = inner.required_text("issuer")?;
            let writer = Writer::Person { issuer, subject: inner.required_text("subject")? };
            inner.finish(&mut part.unknown);
            Some(writer)
        }
    };
    part.server.raw_content_type = members.text("raw_content_type")?;
    part.server.raw_size = members.count("raw_size")?;
    part.server.raw_sha256 = match members.text("raw_sha256")? {
        None => None,
        Some(digits) => {
            let sha256 = crate::hex::decode_32(&digits);
            Some(sha256.ok_or_else(|| members.error("raw_sha256", Rule::Hex))?)
        }
    };
    part.server.truncated = members.texts("truncated")?;
    part.event.numbers = members.texts("numbers")?.into_iter().collect();
    Ok(())
}
