//! Events as messages of the API.

use audit_event::event::{
    Actor, ActorKind, AuditEvent, Change, Origin, Party, ProducerSig, Request, Schema, Target,
    Trace, Word,
};
use audit_event::{Value, text};
use log_proto::audit_v1 as pb;
use log_proto::audit_v1::audit_event as part;
use log_proto::audit_v1::audit_event::value::Value as Of;

/// The message of an event.
pub(crate) fn message(event: AuditEvent) -> pb::AuditEvent {
    let category = event.category.map(|it| enumerated("CATEGORY", it));
    let operation = event.operation.map(|it| enumerated("OPERATION", it));
    let outcome = event.outcome.map(|it| enumerated("OUTCOME", it));
    let severity = event.severity.map(|it| enumerated("SEVERITY", it));
    let metadata = event.metadata.into_iter().map(|(key, it)| (key, value(it)));
    pb::AuditEvent {
        id: event.id,
        source: event.source,
        time: event.time.map(|time| time.to_string()),
        action: event.action,
        category: category
            .and_then(|it| pb::Category::from_str_name(&it))
            .unwrap_or_default()
            .into(),
        operation: operation
            .and_then(|it| pb::Operation::from_str_name(&it))
            .unwrap_or_default()
            .into(),
        outcome: outcome.and_then(|it| pb::Outcome::from_str_name(&it)).unwrap_or_default().into(),
        outcome_code: event.outcome_code,
        severity: severity
            .and_then(|it| pb::Severity::from_str_name(&it))
            .unwrap_or_default()
            .into(),
        schema: schema(event.schema),
        retention_class: event.retention_class,
        labels: event.labels.into_iter().collect(),
        actor: event.actor.map(actor),
        origin: origin(event.origin),
        targets: event.targets.into_iter().map(target).collect(),
        description: event.description,
        changes: event.changes.into_iter().map(change).collect(),
        request: request(event.request),
        trace: trace(event.trace),
        metadata: metadata.collect(),
        subject_ref: event.subject_ref,
        producer_sig: event.producer_sig.map(signature),
    }
}

/// The name of a value in the schema: `CATEGORY_DATA`.
fn enumerated(prefix: &str, word: impl Word) -> String {
    format!("{prefix}_{}", word.word().to_ascii_uppercase())
}

fn kind(kind: ActorKind) -> i32 {
    let name = enumerated("ACTOR_TYPE", kind);
    pb::ActorType::from_str_name(&name).unwrap_or_default().into()
}

fn schema(schema: Schema) -> Option<part::Schema> {
    let Schema { name, version } = schema;
    (name.is_some() || version.is_some()).then_some(part::Schema { name, version })
}

fn actor(actor: Actor) -> part::Actor {
    let Actor { kind: of, id, name, email, groups, session_id, auth_method, on_behalf_of } = actor;
    let party = |Party { kind: of, id, name }| part::Party { r#type: kind(of), id: Some(id), name };
    part::Actor {
        r#type: kind(of),
        id: Some(id),
        name,
        email,
        groups,
        session_id,
        auth_method,
        on_behalf_of: on_behalf_of.map(party),
    }
}

fn origin(origin: Origin) -> Option<part::Origin> {
    let some = origin != Origin::default();
    let Origin { ip, forwarded_for, host, user_agent, country, device } = origin;
    some.then_some(part::Origin { ip, forwarded_for, host, user_agent, country, device })
}

fn target(target: Target) -> part::Target {
    let Target { kind, id, name, parent, uid } = target;
    part::Target { r#type: Some(kind), id: Some(id), name, parent, uid }
}

fn change(change: Change) -> part::Change {
    let Change { field, old, new } = change;
    part::Change { field: Some(field), old: old.map(value), new: new.map(value) }
}

fn request(request: Request) -> Option<part::Request> {
    let some = request != Request::default();
    let Request { id, method, path } = request;
    some.then_some(part::Request { id, method, path })
}

fn trace(trace: Trace) -> Option<part::Trace> {
    let some = trace != Trace::default();
    let Trace { trace_id, span_id, correlation_id } = trace;
    some.then_some(part::Trace { trace_id, span_id, correlation_id })
}

fn value(value: Value) -> part::Value {
    let of = match value {
        Value::Text(text) => Of::Text(text),
        Value::Integer(number) => Of::Number(number.get()),
        Value::Bool(truth) => Of::Truth(truth),
        other @ (Value::Null | Value::List(_) | Value::Object(_)) => {
            Of::Json(text::write_value(&other))
        }
    };
    part::Value { value: Some(of) }
}

fn signature(signature: ProducerSig) -> part::ProducerSig {
    let ProducerSig { key_id, sig } = signature;
    part::ProducerSig { key_id: Some(key_id), sig: sig.to_vec().into() }
}
