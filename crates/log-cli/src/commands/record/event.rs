//! The arguments that state an event.

use audit_event::event::{
    Actor, ActorKind, AuditEvent, Category, Change, Operation, Outcome, Severity, Target, Word,
};
use audit_event::{Fill, Flags, Instant, ValidEvent, Value, catalogue, json};
use base::clock::{Clock, SystemClock};
use clap::Args;

use crate::error::CliError;
use crate::events::Draft;

/// Seconds of a clock reading in milliseconds.
const MS_PER_SECOND: u64 = 1_000;

#[derive(Clone, Debug, Args)]
pub(crate) struct EventArgs {
    /// What happened, as invoice.updated: 2 to 12 words of small letters with dots between; - for events
    /// from stdin
    #[arg(value_name = "ACTION")]
    pub(super) action: Option<String>,
    /// Who did it, as user:ana; the types are user, service, `api_key`, system, agent and anonymous
    /// [default: the Unix user]
    #[arg(long, value_name = "TYPE:ID", value_parser = actor)]
    actor: Option<(ActorKind, String)>,
    /// The actor's name
    #[arg(long, value_name = "NAME")]
    actor_name: Option<String>,
    /// To what it was done, as invoice:4711; repeatable
    #[arg(long = "target", value_name = "TYPE:ID", value_parser = target)]
    targets: Vec<(String, String)>,
    /// How it ended: success, failure, denied or unknown [default: success]
    #[arg(long, value_name = "OUTCOME", value_parser = word::<Outcome>)]
    outcome: Option<Outcome>,
    /// The code of how it ended, as an exit status
    #[arg(long, value_name = "CODE")]
    outcome_code: Option<String>,
    /// auth, access, data, config, transaction, admin or system
    #[arg(long, value_name = "CATEGORY", value_parser = word::<Category>)]
    category: Option<Category>,
    /// create, read, update, delete, execute, login, logout, approve or other
    #[arg(long, value_name = "OPERATION", value_parser = word::<Operation>)]
    operation: Option<Operation>,
    /// info, low, medium, high or critical [default: info]
    #[arg(long, value_name = "SEVERITY", value_parser = word::<Severity>)]
    severity: Option<Severity>,
    /// What the event comes from, a URI [default: urn:host:HOSTNAME]
    #[arg(long, value_name = "URI", env = "CAIRN_SOURCE")]
    source: Option<String>,
    /// Its id, which is unique for the source: the same event again is recorded once [default: random]
    #[arg(long, value_name = "ID")]
    id: Option<String>,
    /// When it happened, as 2026-01-31T09:15:00Z [default: now]
    #[arg(long, value_name = "TIME", value_parser = time)]
    time: Option<Instant>,
    /// One plain sentence
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// A detail; repeatable
    #[arg(long = "meta", value_name = "KEY=VALUE", value_parser = pair)]
    metadata: Vec<(String, String)>,
    /// A label, which can be searched for; repeatable
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = pair)]
    labels: Vec<(String, String)>,
    /// What is different; OLD ends at the first colon, and an empty OLD or NEW says nothing; repeatable
    #[arg(long = "change", value_name = "FIELD=OLD:NEW", value_parser = change)]
    changes: Vec<Change>,
    /// The address that it came from
    #[arg(long, value_name = "ADDRESS")]
    ip: Option<String>,
    /// The session of the actor
    #[arg(long, value_name = "ID")]
    session: Option<String>,
}

impl EventArgs {
    /// Whether any argument states a part of an event.
    pub(super) fn says_something(&self) -> bool {
        let Self {
            action: _,
            actor,
            actor_name,
            targets,
            outcome,
            outcome_code,
            category,
            operation,
            severity,
            // It may come from the environment.
            source: _,
            id,
            time,
            description,
            metadata,
            labels,
            changes,
            ip,
            session,
        } = self;
        let texts = [actor_name, outcome_code, id, description, ip, session];
        actor.is_some()
            || outcome.is_some()
            || category.is_some()
            || operation.is_some()
            || severity.is_some()
            || time.is_some()
            || !(targets.is_empty() && metadata.is_empty() && labels.is_empty())
            || !changes.is_empty()
            || texts.iter().any(|text| text.is_some())
    }

    /// The event that the arguments state, with an id. What the server would refuse is refused here.
    pub(super) fn draft(&self, action: &str, id: String) -> Result<Draft, CliError> {
        let now = now();
        let event = self.event(action, id, now);
        let fill = Fill { now, id: "" };
        ValidEvent::own(event.clone(), Flags::new(), fill)
            .map_err(|source| CliError::Event { source })?;
        let text = json::write(&event);
        Draft::new(text.as_bytes(), String::new).map_err(|source| CliError::EventText { source })
    }

    fn event(&self, action: &str, id: String, now: Instant) -> AuditEvent {
        let known = catalogue::find(action);
        let category = || known.map_or(Category::System, |entry| entry.category);
        let operation = || known.map_or_else(|| operation_of(action), |entry| entry.operation);
        let (kind, who) = self.actor.clone().unwrap_or_else(unix_user);
        let actor = Actor {
            name: self.actor_name.clone(),
            session_id: self.session.clone(),
            ..Actor::new(kind, who)
        };
        let target = |(kind, id): &(String, String)| Target {
            kind: kind.clone(),
            id: id.clone(),
            ..Target::default()
        };
        let text = |(key, value): &(String, String)| (key.clone(), Value::from(value.as_str()));
        let mut event = AuditEvent {
            id: Some(self.id.clone().unwrap_or(id)),
            source: Some(self.source.clone().unwrap_or_else(host_source)),
            time: Some(self.time.unwrap_or(now)),
            action: Some(action.to_owned()),
            category: Some(self.category.unwrap_or_else(category)),
            operation: Some(self.operation.unwrap_or_else(operation)),
            outcome: Some(self.outcome.unwrap_or(Outcome::Success)),
            outcome_code: self.outcome_code.clone(),
            severity: self.severity,
            actor: Some(actor),
            targets: self.targets.iter().map(target).collect(),
            description: self.description.clone(),
            metadata: self.metadata.iter().map(text).collect(),
            labels: self.labels.iter().cloned().collect(),
            changes: self.changes.clone(),
            ..AuditEvent::default()
        };
        event.origin.ip.clone_from(&self.ip);
        event
    }
}

pub(super) fn now() -> Instant {
    let ms = SystemClock::new().unix_ms();
    let nanos = u32::try_from(ms % MS_PER_SECOND).unwrap_or(0) * 1_000_000;
    let seconds = i64::try_from(ms / MS_PER_SECOND).unwrap_or(0);
    Instant::new(seconds, nanos).unwrap_or_else(|_| Instant::from_nanos(0))
}

/// What an action does whose last word says it.
fn operation_of(action: &str) -> Operation {
    match action.rsplit('.').next().unwrap_or_default() {
        "created" | "create" | "added" | "add" => Operation::Create,
        "read" | "viewed" | "view" | "listed" | "list" => Operation::Read,
        "updated" | "update" | "changed" | "change" => Operation::Update,
        "deleted" | "delete" | "removed" | "remove" => Operation::Delete,
        "executed" | "execute" | "run" | "started" | "start" => Operation::Execute,
        "approved" | "approve" => Operation::Approve,
        _ => Operation::Other,
    }
}

/// The user that this process runs as: by name where the environment has one, else by number.
fn unix_user() -> (ActorKind, String) {
    let named = ["USER", "LOGNAME"].iter().filter_map(|name| std::env::var(name).ok());
    let named = named.into_iter().find(|name| !name.is_empty());
    let id = named.unwrap_or_else(|| rustix::process::getuid().as_raw().to_string());
    (ActorKind::User, id)
}

/// A URI of this machine. What a URI cannot hold of its name is left out.
fn host_source() -> String {
    let host = gethostname::gethostname().to_string_lossy().into_owned();
    let is_kept = |it: &char| it.is_ascii_alphanumeric() || matches!(it, '-' | '.' | '_');
    let host: String = host.chars().filter(is_kept).take(200).collect();
    format!("urn:host:{}", if host.is_empty() { "unknown" } else { &host })
}

fn word<W: Word>(text: &str) -> Result<W, String> {
    W::from_word(text).ok_or_else(|| format!("is none of: {}", W::ALLOWED))
}

fn actor(text: &str) -> Result<(ActorKind, String), String> {
    let (kind, id) = target(text)?;
    Ok((word(&kind)?, id))
}

fn target(text: &str) -> Result<(String, String), String> {
    match text.split_once(':') {
        Some((kind, id)) if !kind.is_empty() && !id.is_empty() => Ok((kind.into(), id.into())),
        _ => Err("is not of the form TYPE:ID".to_owned()),
    }
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.into(), value.into())),
        _ => Err("is not of the form KEY=VALUE".to_owned()),
    }
}

fn change(text: &str) -> Result<Change, String> {
    let form = || "is not of the form FIELD=OLD:NEW".to_owned();
    let (field, values) = text.split_once('=').ok_or_else(form)?;
    let (old, new) = values.split_once(':').ok_or_else(form)?;
    let value = |text: &str| Some(Value::from(text)).filter(|_| !text.is_empty());
    match field {
        "" => Err(form()),
        field => Ok(Change { field: field.to_owned(), old: value(old), new: value(new) }),
    }
}

fn time(text: &str) -> Result<Instant, String> {
    let stated = Instant::parse(text).map_err(|error| error.to_string())?;
    Ok(stated.instant)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        event: EventArgs,
    }

    fn parse(args: &[&str]) -> Result<EventArgs, clap::Error> {
        let args = ["cairn"].iter().chain(args);
        Line::try_parse_from(args).map(|line| line.event)
    }

    fn written(args: &[&str]) -> Result<String, String> {
        let args = parse(args).map_err(|error| error.kind().to_string())?;
        let action = args.action.clone().unwrap();
        let draft = args.draft(&action, "the-id".to_owned());
        let draft = draft.map_err(|error| base::error::chain(&error))?;
        Ok(String::from_utf8(draft.text().to_vec()).unwrap())
    }

    #[test]
    fn arguments_state_an_event() {
        let text = written(&[
            "shop.order.deleted",
            "--actor=service:ci",
            "--session=s1",
            "--target=order:a:b",
            "--target=order:2",
            "--outcome=denied",
            "--time=2026-01-31T10:15:00+01:00",
            "--source=urn:x",
            "--meta=a=b=c",
            "--label=team=x",
            "--change=price=1:2:3",
            "--change=note=:new",
            "--ip=203.0.113.7",
        ]);
        insta::assert_snapshot!(text.unwrap());
    }

    #[test]
    fn what_is_not_said_has_a_default() {
        let text = written(&["deploy.finished", "--actor", "user:ana"]).unwrap();
        for part in [
            r#""id":"the-id""#,
            r#""category":"system""#,
            r#""operation":"other""#,
            r#""outcome":"success""#,
            r#""source":"urn:host:"#,
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(written(&["auth.login"]).unwrap().contains(r#""category":"auth""#));
    }

    #[test]
    fn what_breaks_a_rule_is_refused_and_named() {
        for args in [
            &["a.b", "--actor", "ana"][..],
            &["a.b", "--actor", "robot:ana"],
            &["a.b", "--target", "x:"],
            &["a.b", "--outcome", "ok"],
            &["a.b", "--time", "yesterday"],
            &["a.b", "--meta", "x"],
            &["a.b", "--change", "x=1"],
            &["a.b", "--change", "=1:2"],
        ] {
            assert!(parse(args).is_err(), "{args:?}");
        }
        for (args, field) in [
            (&["Deploy"][..], "action"),
            (&["a.b", "--source", "not a uri"], "source"),
            (&["a.b", "--source", "cairn:x"], "source"),
            (&["a.b", "--id", ""], "id"),
        ] {
            let refused = written(args).unwrap_err();
            assert!(refused.contains(field), "{args:?}: {refused}");
        }
    }
}
