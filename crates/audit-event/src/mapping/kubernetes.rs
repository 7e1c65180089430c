//! Kubernetes audit events: the items of an `EventList` of `audit.k8s.io/v1`, as the webhook of a
//! kube-apiserver sends them (<https://kubernetes.io/docs/reference/config-api/apiserver-audit.v1/>).
//!
//! An item has neither `kind` nor `apiVersion` of its own. Its id is a keyed digest of its bytes,
//! because the caller chooses `auditID`. All of `sourceIPs` but the last, and `userAgent`, are the
//! caller's as well. `requestURI` keeps its path; its query, which can hold command lines, stays in RAW.

mod changes;

use std::collections::BTreeMap;

use super::draft::{Draft, action, address, list_text};
use super::fields::{Fields, Notes};
use super::items::Items;
use super::{IdFrom, Intake, MapError, Mapped};
use crate::event::{Actor, ActorKind, Category, Operation, Outcome, Party, Severity, Target};
use crate::flag::Flag;
use crate::members::Rule;
use crate::path::Path;

const GROUP: &str = "audit.k8s.io";
const VERSION: &str = "v1";
const ANONYMOUS: &str = "system:anonymous";
/// The key of `user.extra` that names the credential.
const CREDENTIAL: &str = "authentication.kubernetes.io/credential-id";

/// The items of a request's body, an `EventList`.
pub fn split(body: &[u8]) -> Result<Items<'_>, MapError> {
    let notes = Notes::default();
    let mut list = Fields::of_item(body, &notes)?;
    let kind = list.text("kind")?;
    if kind.as_deref() != Some("EventList") {
        return Err(MapError::field(&list.path("kind"), Rule::Word { allowed: "EventList" }));
    }
    check_version(&mut list)?;
    Items::of_member(body, "items")
}

/// Which items share `auditID` and stage with another item of the request that has other bytes.
/// Whoever maps the request flags them [`Flag::AUDIT_ID_SHARED`].
pub fn audit_ids_shared(items: &[&[u8]]) -> Vec<bool> {
    let notes = Notes::default();
    let key = |item: &&[u8]| {
        let mut fields = Fields::of_item(item, &notes).ok()?;
        Some((fields.text("auditID").ok()??, fields.text("stage").ok()?))
    };
    let keys: Vec<_> = items.iter().map(key).collect();
    let mut first: BTreeMap<_, (&[u8], bool)> = BTreeMap::new(); // the first item, and: is it alone?
    for (key, item) in keys.iter().zip(items) {
        if let Some(key) = key {
            let (bytes, alone) = first.entry(key).or_insert((item, true));
            *alone &= bytes == item;
        }
    }
    let shared =
        |key: &Option<_>| key.as_ref().and_then(|key| first.get(key)).is_some_and(|it| !it.1);
    keys.iter().map(shared).collect()
}

/// One item as an event.
pub fn map<'a>(item: &'a [u8], intake: &Intake<'_>) -> Result<Mapped<'a>, MapError> {
    let notes = Notes::default();
    let mut fields = Fields::of_item(item, &notes)?;
    check_version(&mut fields)?;
    let mut draft = Draft::default();
    draft.event.source = Some(intake.source.to_owned());
    draft.event.schema.name = Some(GROUP.to_owned());
    draft.event.schema.version = Some(VERSION.to_owned());
    let stage = fields.text("stage")?.ok_or_else(|| fields.missing("stage"))?;
    identity(&mut fields, &mut draft, &stage)?;
    let call = call(&mut fields)?;
    actor(&mut fields, &mut draft)?;
    origin(&mut fields, &mut draft)?;
    let annotations = fields.object("annotations")?;
    let annotation = |key: &str| annotations.as_ref().and_then(|all| all.peek_text(key));
    let decision = annotation("authorization.k8s.io/decision");
    if annotation("audit.k8s.io/truncated").as_deref() == Some("true") {
        draft.flags.insert(Flag::SOURCE_CUT);
    }
    outcome(&mut fields, &mut draft, &stage, decision.as_deref())?;
    call.describe(intake, &mut draft);
    if let Some(body) = fields.take("requestObject")
        && call.verb == "patch"
    {
        changes::of_patch(body, !call.is_secret(), &mut draft, &notes);
    }
    for (key, value) in annotations.map(Fields::into_rest).unwrap_or_default() {
        draft.metadata_json(&key, value, &notes);
    }
    Ok(draft.finish(item, "application/json", IdFrom::Content, &notes))
}

fn check_version(fields: &mut Fields<'_, '_>) -> Result<(), MapError> {
    const ALLOWED: &str = "audit.k8s.io/v1";
    match fields.text("apiVersion")? {
        Some(version) if version != ALLOWED => {
            Err(MapError::field(&fields.path("apiVersion"), Rule::Word { allowed: ALLOWED }))
        }
        _ => Ok(()),
    }
}

/// What the item is known by, and when it happened: `requestReceivedTimestamp`, the start.
fn identity(fields: &mut Fields<'_, '_>, draft: &mut Draft, stage: &str) -> Result<(), MapError> {
    let audit_id = fields.text("auditID")?;
    draft.event.request.id.clone_from(&audit_id);
    draft.event.trace.correlation_id.clone_from(&audit_id);
    draft.metadata_text("auditID", audit_id);
    draft.metadata("stage", stage);
    draft.metadata_text("level", fields.text("level")?);
    let ended = fields.time("stageTimestamp")?;
    draft.event.time = fields.time("requestReceivedTimestamp")?.or(ended);
    draft.metadata_text("stageTimestamp", ended.map(|time| time.to_string()));
    Ok(())
}

/// What was called.
struct Call {
    verb: String,
    path: Option<String>,
    object: Option<Object>,
}

/// `objectRef`.
struct Object {
    group: Option<String>,
    resource: String,
    subresource: Option<String>,
    namespace: Option<String>,
    name: Option<String>,
    uid: Option<String>,
}

fn call(fields: &mut Fields<'_, '_>) -> Result<Call, MapError> {
    let verb = fields.text("verb")?.ok_or_else(|| fields.missing("verb"))?;
    let uri = fields.filled("requestURI")?;
    let path = uri.map(|uri| uri.split(['?', '#']).next().unwrap_or_default().to_owned());
    let object = match fields.object("objectRef")? {
        None => None,
        Some(mut inner) => Some(Object {
            group: inner.filled("apiGroup")?,
            resource: inner.filled("resource")?.unwrap_or_default(),
            subresource: inner.filled("subresource")?,
            namespace: inner.filled("namespace")?,
            name: inner.filled("name")?,
            uid: inner.filled("uid")?,
        }),
    };
    Ok(Call { verb, path, object: object.filter(|object| !object.resource.is_empty()) })
}

impl Call {
    /// Action, category, operation, severity, target and path.
    fn describe(&self, intake: &Intake<'_>, draft: &mut Draft) {
        let verb = if self.verb.is_empty() { "unknown" } else { &self.verb };
        let name = match &self.object {
            None => action(&["k8s", "nonresource", verb]),
            Some(Object { group, resource, subresource, .. }) => {
                let (group, subresource) = (group.as_deref(), subresource.as_deref());
                action(&["k8s", group.unwrap_or("core"), resource, subresource.unwrap_or(""), verb])
            }
        };
        draft.event.action = Some(name);
        draft.event.category = self.category().or(intake.category);
        draft.event.operation = Some(self.operation());
        draft.event.severity = Some(self.severity());
        draft.event.targets.extend(self.target());
        draft.event.request.path.clone_from(&self.path);
        draft.metadata("verb", self.verb.as_str());
        let subresource = self.object.as_ref().and_then(|object| object.subresource.clone());
        draft.metadata_text("subresource", subresource);
    }

    fn is_secret(&self) -> bool {
        let of = |object: &Object| object.group.is_none() && object.resource == "secrets";
        self.object.as_ref().is_some_and(of)
    }

    fn subresource(&self) -> &str {
        self.object.as_ref().and_then(|object| object.subresource.as_deref()).unwrap_or_default()
    }

    /// Of resources whose access or change matters most; of others the catalogue of actions says it.
    fn category(&self) -> Option<Category> {
        let group = self.object.as_ref().and_then(|object| object.group.as_deref());
        let resource = self.object.as_ref().map_or("", |object| &object.resource);
        Some(match (group.unwrap_or_default(), resource, self.subresource()) {
            ("authentication.k8s.io" | "certificates.k8s.io", _, _)
            | ("", "serviceaccounts", "token") => Category::Auth,
            ("authorization.k8s.io", _, _)
            | ("", "secrets", _)
            | (
                "",
                "pods" | "services" | "nodes",
                "exec" | "attach" | "portforward" | "proxy" | "log",
            ) => Category::Access,
            (
                "rbac.authorization.k8s.io"
                | "admissionregistration.k8s.io"
                | "apiextensions.k8s.io"
                | "apiregistration.k8s.io",
                _,
                _,
            )
            | ("", "configmaps" | "serviceaccounts" | "namespaces", _) => Category::Config,
            _ => return None,
        })
    }

    /// `exec` and the like arrive as `get` or `create`, as the client asks by `WebSocket` or by POST.
    fn operation(&self) -> Operation {
        if matches!(self.subresource(), "exec" | "attach" | "portforward" | "proxy") {
            return Operation::Execute;
        }
        match self.verb.as_str() {
            "get" | "list" | "watch" | "head" => Operation::Read,
            "create" => Operation::Create,
            "update" | "patch" | "put" => Operation::Update,
            verb if verb.starts_with("delete") => Operation::Delete,
            _ => Operation::Other,
        }
    }

    fn severity(&self) -> Severity {
        let is_high =
            matches!(self.verb.as_str(), "deletecollection" | "escalate" | "bind" | "impersonate")
                || matches!(self.subresource(), "exec" | "attach" | "portforward");
        if is_high { Severity::High } else { Severity::Info }
    }

    /// The object, or for a list and for what is no resource the path.
    fn target(&self) -> Option<Target> {
        let named = self.object.as_ref().and_then(|object| Some((object, object.name.as_ref()?)));
        if let Some((object, name)) = named {
            let prefix = object.namespace.as_ref().map(|namespace| format!("{namespace}/"));
            return Some(Target {
                kind: object.resource.clone(),
                id: prefix.unwrap_or_default() + name,
                name: Some(name.clone()),
                parent: object.namespace.clone(),
                uid: object.uid.clone(),
            });
        }
        let kind = self.object.as_ref().map_or("path", |object| &object.resource).to_owned();
        let id = self.path.clone().filter(|path| !path.is_empty())?;
        let parent = self.object.as_ref().and_then(|object| object.namespace.clone());
        Some(Target { kind, id, parent, ..Target::default() })
    }
}

/// `user` is who called, also where the call was made for another user.
fn actor(fields: &mut Fields<'_, '_>, draft: &mut Draft) -> Result<(), MapError> {
    let mut actor = Actor::new(ActorKind::Anonymous, "unauthenticated");
    if let Some(mut user) = fields.object("user")? {
        if let Some(name) = user.filled("username")? {
            actor = Actor::new(kind_of(&name), name);
        }
        draft.metadata_text("user.uid", user.filled("uid")?);
        actor.groups = user.texts("groups")?;
        actor.session_id = extra(&mut user, draft)?;
    }
    if let Some(mut user) = fields.object("impersonatedUser")? {
        let name = user.filled("username")?;
        let name = name.ok_or_else(|| user.missing("username"))?;
        actor.on_behalf_of = Some(Party { kind: kind_of(&name), id: name, name: None });
        let groups = user.texts("groups")?;
        if !groups.is_empty() {
            draft.metadata("impersonatedUser.groups", list_text(groups));
        }
    }
    draft.event.actor = Some(actor);
    Ok(())
}

fn kind_of(username: &str) -> ActorKind {
    match username {
        ANONYMOUS => ActorKind::Anonymous,
        name if name.starts_with("system:serviceaccount:") => ActorKind::Service,
        name if name.starts_with("system:") => ActorKind::System,
        _ => ActorKind::User,
    }
}

/// `user.extra`: the credential's id is the session, the rest goes to metadata.
fn extra(user: &mut Fields<'_, '_>, draft: &mut Draft) -> Result<Option<String>, MapError> {
    let Some(mut extra) = user.object("extra")? else { return Ok(None) };
    let session = extra.texts(CREDENTIAL)?.into_iter().next();
    let names: Vec<String> = extra.names();
    for name in names {
        let mut texts = extra.texts(&name)?;
        let text = if texts.len() == 1 { texts.pop() } else { Some(list_text(texts)) };
        draft.metadata_text(&format!("user.extra.{name}"), text);
    }
    Ok(session)
}

/// The last of `sourceIPs` is the peer; the others can be set by the client.
fn origin(fields: &mut Fields<'_, '_>, draft: &mut Draft) -> Result<(), MapError> {
    let mut addresses = fields.texts("sourceIPs")?;
    let origin = &mut draft.event.origin;
    if let Some(peer) = addresses.pop() {
        origin.ip = Some(address(&peer).unwrap_or(peer));
    }
    origin.forwarded_for = addresses;
    origin.user_agent = fields.text("userAgent")?;
    Ok(())
}

fn outcome(
    fields: &mut Fields<'_, '_>,
    draft: &mut Draft,
    stage: &str,
    decision: Option<&str>,
) -> Result<(), MapError> {
    let (mut code, mut failed) = (None, false);
    if let Some(mut status) = fields.object("responseStatus")? {
        code = status.filled("code")?.filter(|code| code != "0");
        failed = status.text("status")?.as_deref() == Some("Failure");
        draft.metadata_text("reason", status.filled("reason")?);
        draft.metadata_text("message", status.filled("message")?);
    }
    let number = code.as_deref().map(str::parse::<u32>);
    draft.event.outcome = Some(match number {
        _ if decision == Some("forbid") => Outcome::Denied,
        Some(Ok(401 | 403)) => Outcome::Denied,
        _ if stage == "Panic" || failed => Outcome::Failure,
        Some(Ok(code)) if code < 400 => Outcome::Success,
        Some(Ok(_)) => Outcome::Failure,
        Some(Err(_)) => {
            let path = Path::of("responseStatus").member("code");
            return Err(MapError::field(&path, Rule::NotCount));
        }
        None => Outcome::Unknown,
    });
    draft.event.outcome_code = code;
    Ok(())
}

#[cfg(test)]
mod tests;
