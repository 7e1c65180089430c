//! Members of an event to the objects of its blocks. What says nothing is left out.

use std::collections::BTreeSet;

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::read::Server;
use crate::blocks::{Tag, Writer};
use crate::event::{Actor, AuditEvent, Change, Target, Word};
use crate::flag::Flags;
use crate::hex;
use crate::value::{Integer, Object, Value};

/// What stands beside an event's own members.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Noted<'a> {
    pub(crate) flags: &'a Flags,
    pub(crate) truncated: &'a BTreeSet<String>,
    pub(crate) server: &'a Server,
}

/// The objects of the blocks 1 to 6, in the order of their tags; those without members are left out.
pub(crate) fn objects(event: &AuditEvent, noted: Option<Noted<'_>>) -> Vec<(Tag, Object)> {
    let mut actor_members = Out::default();
    if let Some(actor) = &event.actor {
        actor_members = self::actor(actor);
    }
    let all = [
        (Tag::Core, core(event, noted)),
        (Tag::Actor, actor_members),
        (Tag::Origin, origin(event)),
        (Tag::Target, target(event)),
        (Tag::Changes, changes(event)),
        (Tag::Detail, detail(event, noted)),
    ];
    let some = all.into_iter().filter(|(_, out)| !out.0.is_empty());
    some.map(|(tag, out)| (tag, out.0)).collect()
}

/// The members of an object that say something.
#[derive(Debug, Default)]
struct Out(Object);

impl Out {
    fn value(&mut self, name: &str, value: Value) {
        if !value.is_absent() {
            self.0.insert(name.to_owned(), value);
        }
    }

    fn text(&mut self, name: &str, text: Option<&str>) {
        if let Some(text) = text {
            self.value(name, Value::from(text));
        }
    }

    fn word<W: Word>(&mut self, name: &str, word: Option<W>) {
        self.text(name, word.map(Word::word));
    }

    fn texts<'a>(&mut self, name: &str, texts: impl IntoIterator<Item = &'a str>) {
        self.value(name, Value::List(texts.into_iter().map(Value::from).collect()));
    }

    fn object(&mut self, name: &str, members: Self) {
        self.value(name, Value::Object(members.0));
    }
}

fn core(event: &AuditEvent, noted: Option<Noted<'_>>) -> Out {
    let mut out = Out::default();
    out.text("id", event.id.as_deref());
    out.text("source", event.source.as_deref());
    out.text("time", event.time.map(|time| time.to_string()).as_deref());
    out.text("action", event.action.as_deref());
    out.word("category", event.category);
    out.word("operation", event.operation);
    out.word("outcome", event.outcome);
    out.text("outcome_code", event.outcome_code.as_deref());
    out.word("severity", event.severity);
    let mut schema = Out::default();
    schema.text("name", event.schema.name.as_deref());
    schema.text("version", event.schema.version.as_deref());
    out.object("schema", schema);
    out.text("retention_class", event.retention_class.as_deref());
    let labels = event.labels.iter().map(|(key, text)| (key.clone(), Value::from(text.as_str())));
    out.value("labels", Value::Object(labels.collect()));
    if let Some(noted) = noted {
        out.texts("flags", noted.flags.iter().map(crate::Flag::name));
    }
    out
}

fn actor(actor: &Actor) -> Out {
    let mut out = Out::default();
    out.word("type", Some(actor.kind));
    out.text("id", Some(&actor.id));
    out.text("name", actor.name.as_deref());
    out.text("email", actor.email.as_deref());
    out.texts("groups", actor.groups.iter().map(String::as_str));
    out.text("session_id", actor.session_id.as_deref());
    out.text("auth_method", actor.auth_method.as_deref());
    if let Some(party) = &actor.on_behalf_of {
        let mut inner = Out::default();
        inner.word("type", Some(party.kind));
        inner.text("id", Some(&party.id));
        inner.text("name", party.name.as_deref());
        out.object("on_behalf_of", inner);
    }
    out
}

fn origin(event: &AuditEvent) -> Out {
    let mut out = Out::default();
    let origin = &event.origin;
    out.text("ip", origin.ip.as_deref());
    out.texts("forwarded_for", origin.forwarded_for.iter().map(String::as_str));
    out.text("host", origin.host.as_deref());
    out.text("user_agent", origin.user_agent.as_deref());
    out.text("country", origin.country.as_deref());
    out.text("device", origin.device.as_deref());
    out
}

fn target(event: &AuditEvent) -> Out {
    let object = |target: &Target| {
        let mut out = Out::default();
        out.text("type", Some(&target.kind));
        out.text("id", Some(&target.id));
        out.text("name", target.name.as_deref());
        out.text("parent", target.parent.as_deref());
        out.text("uid", target.uid.as_deref());
        Value::Object(out.0)
    };
    let mut out = Out::default();
    out.value("targets", Value::List(event.targets.iter().map(object).collect()));
    out.text("description", event.description.as_deref());
    out
}

fn changes(event: &AuditEvent) -> Out {
    let object = |change: &Change| {
        let mut out = Out::default();
        out.text("field", Some(&change.field));
        for (name, value) in [("old", &change.old), ("new", &change.new)] {
            out.value(name, value.clone().unwrap_or(Value::Null));
        }
        Value::Object(out.0)
    };
    let mut out = Out::default();
    out.value("changes", Value::List(event.changes.iter().map(object).collect()));
    out
}

fn detail(event: &AuditEvent, noted: Option<Noted<'_>>) -> Out {
    let mut out = Out::default();
    let mut request = Out::default();
    request.text("id", event.request.id.as_deref());
    request.text("method", event.request.method.as_deref());
    request.text("path", event.request.path.as_deref());
    out.object("request", request);
    let mut trace = Out::default();
    trace.text("trace_id", event.trace.trace_id.as_deref());
    trace.text("span_id", event.trace.span_id.as_deref());
    trace.text("correlation_id", event.trace.correlation_id.as_deref());
    out.object("trace", trace);
    let mut metadata = Out::default();
    event.metadata.iter().for_each(|(key, value)| metadata.value(key, value.clone()));
    out.object("metadata", metadata);
    out.text("subject_ref", event.subject_ref.as_deref());
    if let Some(signature) = &event.producer_sig {
        let mut inner = Out::default();
        inner.text("alg", Some("ed25519"));
        inner.text("key_id", Some(&signature.key_id));
        inner.text("sig", Some(&STANDARD.encode(signature.sig)));
        out.object("producer_sig", inner);
    }
    out.texts("numbers", event.numbers.iter().map(String::as_str));
    if let Some(noted) = noted {
        out.texts("truncated", noted.truncated.iter().map(String::as_str));
        detail_of_server(noted.server, &mut out);
    }
    out
}

fn detail_of_server(server: &Server, out: &mut Out) {
    match &server.writer {
        None => {}
        Some(Writer::Token(id)) => out.text("writer", Some(id)),
        Some(Writer::Person { issuer, subject }) => {
            let mut inner = Out::default();
            inner.text("issuer", Some(issuer));
            inner.text("subject", Some(subject));
            out.object("writer", inner);
        }
    }
    out.text("raw_content_type", server.raw_content_type.as_deref());
    let size = server.raw_size.and_then(|size| Integer::new(i64::try_from(size).ok()?));
    out.value("raw_size", size.map_or(Value::Null, Value::Integer));
    out.text("raw_sha256", server.raw_sha256.map(|hash| hex::encode(&hash)).as_deref());
}
