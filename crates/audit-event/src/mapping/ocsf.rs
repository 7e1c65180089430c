//! Events of ours as OCSF 1.9 events (<https://schema.ocsf.io/1.9.0>): Authentication (3002) for
//! sign-ins, Entity Management (3004) for people, roles and rights, API Activity (6003) for the rest.
//!
//! The schema's own attestations are over an OCSF event; ours is over the leaf of the log, so place,
//! leaf hash and receipt stand in `unmapped`, and nothing here says that the OCSF event was signed.

use super::{ExportError, Recorded};
use crate::event::{
    Actor, ActorKind, AuditEvent, Category, Operation, Outcome, Severity, Target, Word as _,
};
use crate::hex;
use crate::json;
use crate::time::Instant;
use crate::value::{Integer, Object, Value};

const VERSION: &str = "1.9.0";

/// Members that an OCSF event has no place for, and that `unmapped` keeps.
const UNMAPPED: [&str; 11] = [
    "category",
    "changes",
    "labels",
    "metadata",
    "operation",
    "outcome",
    "producer_sig",
    "retention_class",
    "schema",
    "subject_ref",
    "trace",
];

/// A class of events.
struct Class {
    uid: u32,
    name: &'static str,
    category_uid: u32,
    category_name: &'static str,
}

const AUTHENTICATION: Class = Class {
    uid: 3_002,
    name: "Authentication",
    category_uid: 3,
    category_name: "Identity & Access Management",
};
const ENTITY_MANAGEMENT: Class = Class {
    uid: 3_004,
    name: "Entity Management",
    category_uid: 3,
    category_name: "Identity & Access Management",
};
const API_ACTIVITY: Class = Class {
    uid: 6_003,
    name: "API Activity",
    category_uid: 6,
    category_name: "Application Activity",
};

/// The event as one object. `receipt` is the log's own proof of the leaf, where it is at hand. Of
/// blocks that are not shown nothing is said.
pub fn export(recorded: &Recorded<'_>, receipt: Option<&str>) -> Result<Object, ExportError> {
    let event = &recorded.event.event;
    let (Some(id), Some(source), Some(action)) = (&event.id, &event.source, &event.action) else {
        return Err(ExportError::CoreErased { index: recorded.index });
    };
    let class = class_of(event);
    let mut out = Out::default();
    kind(&class, event.operation.unwrap_or(Operation::Other), &mut out);
    result(event, &mut out);
    out.value("time", event.time.map(milliseconds));
    out.text("message", event.description.as_deref());
    out.object("metadata", metadata(recorded, id, source));
    let user = event.actor.as_ref().map(user);
    if class.uid == AUTHENTICATION.uid {
        out.value("user", user.clone().map(Value::Object));
    }
    if class.uid == ENTITY_MANAGEMENT.uid {
        out.value("entity", event.targets.first().map(|target| Value::Object(resource(target))));
    }
    out.object("actor", actor(event.actor.as_ref(), user));
    out.object("api", api(event, id, source, action));
    endpoints(event, &mut out);
    let resources = event.targets.iter().map(|target| Value::Object(resource(target)));
    out.value("resources", Some(Value::List(resources.collect())));
    out.object("unmapped", unmapped(recorded, receipt));
    Ok(out.0)
}

/// The members of an object that say something.
#[derive(Debug, Default)]
struct Out(Object);

impl Out {
    fn value(&mut self, name: &str, value: Option<Value>) {
        if let Some(value) = value.filter(|value| !value.is_absent()) {
            self.0.insert(name.to_owned(), value);
        }
    }

    fn text(&mut self, name: &str, text: Option<&str>) {
        self.value(name, text.map(Value::from));
    }

    fn number(&mut self, name: &str, number: u32) {
        self.value(name, Some(Integer::from(number).into()));
    }

    fn object(&mut self, name: &str, members: Self) {
        self.value(name, Some(Value::Object(members.0)));
    }
}

fn class_of(event: &AuditEvent) -> Class {
    match (event.category, event.operation) {
        (Some(Category::Auth), _) | (_, Some(Operation::Login | Operation::Logout)) => {
            AUTHENTICATION
        }
        (Some(Category::Admin), _) if !event.targets.is_empty() => ENTITY_MANAGEMENT,
        _ => API_ACTIVITY,
    }
}

/// Class, activity and type.
fn kind(class: &Class, operation: Operation, out: &mut Out) {
    let is_sign_in = class.uid == AUTHENTICATION.uid;
    let (activity, name) = match operation {
        Operation::Login if is_sign_in => (1, "Logon"),
        Operation::Logout if is_sign_in => (2, "Logoff"),
        Operation::Create if !is_sign_in => (1, "Create"),
        Operation::Read if !is_sign_in => (2, "Read"),
        Operation::Update if !is_sign_in => (3, "Update"),
        Operation::Delete if !is_sign_in => (4, "Delete"),
        other => (99, other.word()),
    };
    out.number("category_uid", class.category_uid);
    out.text("category_name", Some(class.category_name));
    out.number("class_uid", class.uid);
    out.text("class_name", Some(class.name));
    out.number("activity_id", activity);
    out.text("activity_name", Some(name));
    out.number("type_uid", class.uid * 100 + activity);
}

/// Severity and status. A refusal is a failure whose code says so.
fn result(event: &AuditEvent, out: &mut Out) {
    let (severity, name) = match event.severity {
        None => (0, "Unknown"),
        Some(Severity::Info) => (1, "Informational"),
        Some(Severity::Low) => (2, "Low"),
        Some(Severity::Medium) => (3, "Medium"),
        Some(Severity::High) => (4, "High"),
        Some(Severity::Critical) => (5, "Critical"),
    };
    out.number("severity_id", severity);
    out.text("severity", Some(name));
    let (status, name) = match event.outcome {
        Some(Outcome::Success) => (1, "Success"),
        Some(Outcome::Failure | Outcome::Denied) => (2, "Failure"),
        Some(Outcome::Unknown) | None => (0, "Unknown"),
    };
    out.number("status_id", status);
    out.text("status", Some(name));
    let is_denied = event.outcome == Some(Outcome::Denied);
    let code = event.outcome_code.as_deref();
    out.text("status_code", code.or_else(|| is_denied.then_some("denied")));
    out.text("status_detail", is_denied.then_some("denied"));
}

fn milliseconds(time: Instant) -> Value {
    let whole = time.micros().div_euclid(1_000);
    Integer::new(whole).map_or_else(|| Value::Text(whole.to_string()), Value::Integer)
}

fn count(number: u64) -> Value {
    let integer = i64::try_from(number).ok().and_then(Integer::new);
    integer.map_or_else(|| Value::Text(number.to_string()), Value::Integer)
}

fn metadata(recorded: &Recorded<'_>, id: &str, source: &str) -> Out {
    let mut product = Out::default();
    product.text("name", Some(source));
    let mut out = Out::default();
    out.text("uid", Some(id));
    out.text("version", Some(VERSION));
    out.object("product", product);
    out.value("logged_time", Some(milliseconds(recorded.received_at)));
    out.value("sequence", Some(count(recorded.index)));
    out.text("correlation_uid", recorded.event.event.trace.correlation_id.as_deref());
    out
}

fn user(actor: &Actor) -> Object {
    let (kind, name) = match actor.kind {
        ActorKind::User => (1, "User"),
        ActorKind::System => (3, "System"),
        other => (99, other.word()),
    };
    let mut out = Out::default();
    out.text("uid", Some(&actor.id));
    out.text("name", actor.name.as_deref());
    out.text("email_addr", actor.email.as_deref());
    out.number("type_id", kind);
    out.text("type", Some(name));
    let group = |group: &String| {
        Value::Object(Object::from([("name".to_owned(), Value::from(group.as_str()))]))
    };
    out.value("groups", Some(Value::List(actor.groups.iter().map(group).collect())));
    out.0
}

fn actor(actor: Option<&Actor>, user: Option<Object>) -> Out {
    let mut out = Out::default();
    out.value("user", user.map(Value::Object));
    if let Some(actor) = actor {
        let mut session = Out::default();
        session.text("uid", actor.session_id.as_deref());
        out.object("session", session);
        out.text("invoked_by", actor.on_behalf_of.as_ref().map(|party| party.id.as_str()));
    }
    out
}

fn api(event: &AuditEvent, id: &str, source: &str, action: &str) -> Out {
    let (mut service, mut request, mut out) = (Out::default(), Out::default(), Out::default());
    service.text("name", Some(source));
    request.text("uid", Some(event.request.id.as_deref().unwrap_or(id)));
    out.text("operation", Some(action));
    out.object("service", service);
    out.object("request", request);
    out
}

/// Where it came from, and how.
fn endpoints(event: &AuditEvent, out: &mut Out) {
    let origin = &event.origin;
    let (mut source, mut request, mut url) = (Out::default(), Out::default(), Out::default());
    source.text("ip", origin.ip.as_deref());
    source.text("hostname", origin.host.as_deref());
    let addresses = origin.forwarded_for.iter().map(|address| Value::from(address.as_str()));
    source.value("intermediate_ips", Some(Value::List(addresses.collect())));
    out.object("src_endpoint", source);
    url.text("path", event.request.path.as_deref());
    request.text("user_agent", origin.user_agent.as_deref());
    request.text("http_method", event.request.method.as_deref());
    request.object("url", url);
    out.object("http_request", request);
}

fn resource(target: &Target) -> Object {
    let mut out = Out::default();
    out.text("type", Some(&target.kind));
    out.text("uid", Some(&target.id));
    out.text("name", target.name.as_deref());
    out.text("namespace", target.parent.as_deref());
    out.0
}

/// What has no place of its own, and where in which log the event stands.
fn unmapped(recorded: &Recorded<'_>, receipt: Option<&str>) -> Out {
    let mut members = json::to_object(&recorded.event.event);
    let mut out = Out::default();
    for name in UNMAPPED {
        out.value(name, members.remove(name));
    }
    let flags = recorded.event.flags.iter().map(|flag| Value::from(flag.name()));
    out.value("flags", Some(Value::List(flags.collect())));
    let mut log = Out::default();
    log.text("origin", Some(recorded.origin));
    log.value("leaf_index", Some(count(recorded.index)));
    log.text("leaf_hash", Some(&hex::encode(&recorded.leaf_hash)));
    log.text("tlog_proof", receipt);
    out.object("log", log);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mapping::testing::now;
    use crate::{RecordedEvent, Tag, text};

    const CORE: &str = r#"{"action":"invoice.updated","category":"data","flags":["clock_skew"],"id":"j-1","operation":"update","outcome":"denied","severity":"high","source":"/billing","time":"2026-03-04T09:10:11.5Z"}"#;

    fn exported(blocks: &[(Tag, &str)], receipt: Option<&str>) -> Result<Object, ExportError> {
        let blocks = blocks.iter().map(|(tag, text)| (*tag, text.as_bytes()));
        let event = RecordedEvent::read(blocks).unwrap();
        let recorded = Recorded {
            event: &event,
            index: 7,
            received_at: now(),
            leaf_hash: [0xab; 32],
            origin: "example.com/log",
        };
        export(&recorded, receipt)
    }

    fn member<'a>(object: &'a Object, path: &str) -> &'a Value {
        let (first, rest) = path.split_once('.').unwrap_or((path, ""));
        let value = &object[first];
        if rest.is_empty() { value } else { member(value.as_object().unwrap(), rest) }
    }

    #[test]
    fn an_event_has_its_place_in_the_schema() {
        let actor = r#"{"groups":["ops"],"id":"u-17","name":"Ana","on_behalf_of":{"id":"s","type":"service"},"session_id":"x","type":"user"}"#;
        let origin = r#"{"forwarded_for":["10.0.0.1"],"ip":"198.51.100.9","user_agent":"curl"}"#;
        let target = r#"{"description":"d","targets":[{"id":"7","name":"n","parent":"p","type":"invoice"}]}"#;
        let detail = r#"{"metadata":{"k":"v"},"request":{"id":"r","method":"PUT","path":"/x"},"trace":{"correlation_id":"c"}}"#;
        let blocks = [
            (Tag::Core, CORE),
            (Tag::Actor, actor),
            (Tag::Origin, origin),
            (Tag::Target, target),
            (Tag::Changes, r#"{"changes":[{"field":"f","new":1}]}"#),
            (Tag::Detail, detail),
        ];
        let out = exported(&blocks, Some("c2sp.org/tlog-proof@v1")).unwrap();
        let leaf = "ab".repeat(32);
        assert_eq!(
            text::write(&out),
            r#"{"activity_id":3,"activity_name":"Update","actor":{"invoked_by":"s","session":{"uid":"x"},"user":{"groups":[{"name":"ops"}],"name":"Ana","type":"User","type_id":1,"uid":"u-17"}},"api":{"operation":"invoice.updated","request":{"uid":"r"},"service":{"name":"/billing"}},"category_name":"Application Activity","category_uid":6,"class_name":"API Activity","class_uid":6003,"http_request":{"http_method":"PUT","url":{"path":"/x"},"user_agent":"curl"},"message":"d","metadata":{"correlation_uid":"c","logged_time":1772615420000,"product":{"name":"/billing"},"sequence":7,"uid":"j-1","version":"1.9.0"},"resources":[{"name":"n","namespace":"p","type":"invoice","uid":"7"}],"severity":"High","severity_id":4,"src_endpoint":{"intermediate_ips":["10.0.0.1"],"ip":"198.51.100.9"},"status":"Failure","status_code":"denied","status_detail":"denied","status_id":2,"time":1772615411500,"type_uid":600303,"unmapped":{"category":"data","changes":[{"field":"f","new":1}],"flags":["clock_skew"],"log":{"leaf_hash":"LEAF","leaf_index":7,"origin":"example.com/log","tlog_proof":"c2sp.org/tlog-proof@v1"},"metadata":{"k":"v"},"operation":"update","outcome":"denied","trace":{"correlation_id":"c"}}}"#
                .replace("LEAF", &leaf)
        );
    }

    #[test]
    fn sign_ins_and_entities_have_classes_of_their_own() {
        let types = |category: &str, operation: &str, target: bool| {
            let core = CORE.replace("\"data\"", &format!("\"{category}\""));
            let core =
                core.replace("\"operation\":\"update\"", &format!("\"operation\":\"{operation}\""));
            let actor = (Tag::Actor, r#"{"id":"u-17","type":"agent"}"#);
            let targets = (Tag::Target, r#"{"targets":[{"id":"r","type":"role"}]}"#);
            let blocks = [(Tag::Core, core.as_str()), actor, targets];
            let out = exported(&blocks[..if target { 3 } else { 2 }], None).unwrap();
            let found = |name: &str| out.contains_key(name);
            (text::write_value(&out["type_uid"]), found("user"), found("entity"))
        };
        assert_eq!(types("auth", "login", false), ("300201".to_owned(), true, false));
        assert_eq!(types("auth", "logout", false), ("300202".to_owned(), true, false));
        assert_eq!(types("auth", "create", false), ("300299".to_owned(), true, false));
        assert_eq!(types("admin", "create", true), ("300401".to_owned(), false, true));
        assert_eq!(types("admin", "create", false), ("600301".to_owned(), false, false));
        assert_eq!(types("data", "read", true), ("600302".to_owned(), false, false));
        assert_eq!(types("data", "delete", true), ("600304".to_owned(), false, false));
        assert_eq!(types("data", "execute", true), ("600399".to_owned(), false, false));
    }

    #[test]
    fn outcomes_have_states_and_codes() {
        let state = |outcome: &str, code: &str| {
            let core =
                CORE.replace("\"outcome\":\"denied\"", &format!("\"outcome\":\"{outcome}\"{code}"));
            let out = exported(&[(Tag::Core, &core)], None).unwrap();
            let stated = out.get("status_code").and_then(Value::as_text).map(str::to_owned);
            (text::write_value(&out["status_id"]), stated)
        };
        assert_eq!(state("success", ""), ("1".to_owned(), None));
        assert_eq!(
            state("failure", r#","outcome_code":"E1""#),
            ("2".to_owned(), Some("E1".to_owned()))
        );
        assert_eq!(
            state("denied", r#","outcome_code":"403""#),
            ("2".to_owned(), Some("403".to_owned()))
        );
        assert_eq!(state("unknown", ""), ("0".to_owned(), None));
    }

    #[test]
    fn what_is_not_shown_is_not_said() {
        let out = exported(&[(Tag::Core, CORE)], None).unwrap();
        for name in ["actor", "src_endpoint", "resources", "message", "user"] {
            assert!(!out.contains_key(name), "{name}");
        }
        assert_eq!(member(&out, "api.request.uid"), &Value::from("j-1"));
        assert!(!member(&out, "unmapped.log").as_object().unwrap().contains_key("tlog_proof"));
        let error = exported(&[(Tag::Actor, r#"{"id":"u-17","type":"user"}"#)], None).unwrap_err();
        assert_eq!(error, ExportError::CoreErased { index: 7 });
    }
}
