//! AWS CloudTrail: the records of a log file, `{"Records":[…]}` (AWS CloudTrail User Guide, "CloudTrail
//! record contents", event version 1.11).
//!
//! Most members of a record are optional, and `requestParameters` has any form. Sign-in records say in
//! `responseElements` how they ended, not in `errorCode`. Insight records have neither an identity nor
//! an event name: nobody called anything, CloudTrail noticed something.

mod tables;
mod who;

use super::draft::{Draft, action, address, is_host, source_uri};
use super::fields::{Fields, Notes, scalar_text};
use super::items::Items;
use super::{IdFrom, Intake, MapError, Mapped};
use crate::event::{Actor, ActorKind, Category, Operation, Outcome, Target};

/// The service that insight records come from.
const CLOUDTRAIL: &str = "cloudtrail.amazonaws.com";
/// Targets that are collected: one more than an event may have, so that a longer list is named as cut.
const TARGETS_MAX: usize = 33;

/// The records of a log file, unpacked.
pub fn split(file: &[u8]) -> Result<Items<'_>, MapError> {
    Items::of_member(file, "Records")
}

/// One record as an event.
pub fn map<'a>(item: &'a [u8], intake: &Intake<'_>) -> Result<Mapped<'a>, MapError> {
    let notes = Notes::default();
    let mut fields = Fields::of_item(item, &notes)?;
    let mut draft = Draft::default();
    draft.event.id = fields.filled("eventID")?;
    draft.event.time = fields.time("eventTime")?;
    draft.event.request.id = fields.filled("requestID")?;
    draft.event.trace.correlation_id = fields.filled("sharedEventID")?;
    draft.event.schema.name = Some("aws.cloudtrail".to_owned());
    draft.event.schema.version = fields.filled("eventVersion")?;
    origin(&mut fields, &mut draft)?;
    let account = fields.filled("recipientAccountId")?;
    let service = fields.filled("eventSource")?;
    let account = match fields.object("insightDetails")? {
        Some(insight) => {
            self::insight(insight, &mut draft, &notes)?;
            account
        }
        None => call(&mut fields, &mut draft, account, service.as_deref(), intake, &notes)?,
    };
    let region = fields.filled("awsRegion")?;
    let uri = account.zip(region).and_then(|(account, region)| {
        source_uri("aws://", &[&account, &region, service.as_deref().unwrap_or(CLOUDTRAIL)])
    });
    draft.event.source = Some(uri.unwrap_or_else(|| intake.source.to_owned()));
    rest(&mut fields, &mut draft, &notes)?;
    let id = if draft.event.id.is_some() { IdFrom::Sender } else { IdFrom::Content };
    Ok(draft.finish(item, "application/json", id, &notes))
}

/// An address, or the name of a service that called; `AWS Internal` is neither.
fn origin(fields: &mut Fields<'_, '_>, draft: &mut Draft) -> Result<(), MapError> {
    if let Some(text) = fields.filled("sourceIPAddress")? {
        match address(&text) {
            Some(address) => draft.event.origin.ip = Some(address),
            None if is_host(&text) => draft.event.origin.host = Some(text),
            None => draft.metadata("sourceIPAddress", text),
        }
    }
    draft.event.origin.user_agent = fields.filled("userAgent")?;
    Ok(())
}

/// Something that CloudTrail noticed. Start and end have one `sharedEventID`.
fn insight(mut insight: Fields<'_, '_>, draft: &mut Draft, notes: &Notes) -> Result<(), MapError> {
    let mut part = |name: &str| insight.filled(name);
    let (kind, state) = (part("insightType")?, part("state")?);
    let (service, name) = (part("eventSource")?, part("eventName")?);
    let said = |text: &Option<String>| text.clone().unwrap_or_else(|| "unknown".to_owned());
    draft.event.description =
        Some(format!("{} of {} {} ({})", said(&kind), said(&service), said(&name), said(&state)));
    draft.event.outcome_code = part("errorCode")?;
    draft.metadata_text("insight.insightType", kind);
    draft.metadata_text("insight.state", state);
    draft.metadata_text("insight.eventSource", service);
    draft.metadata_text("insight.eventName", name);
    for (name, value) in insight.into_rest() {
        draft.metadata_json(&format!("insight.{name}"), value, notes);
    }
    draft.event.action = Some("aws.cloudtrail.insight".to_owned());
    draft.event.category = Some(Category::System);
    draft.event.operation = Some(Operation::Other);
    draft.event.outcome = Some(Outcome::Unknown);
    draft.event.actor = Some(Actor::new(ActorKind::System, CLOUDTRAIL));
    Ok(())
}

/// A call. Returns the account that the record is of.
fn call(
    fields: &mut Fields<'_, '_>,
    draft: &mut Draft,
    account: Option<String>,
    service: Option<&str>,
    intake: &Intake<'_>,
    notes: &Notes,
) -> Result<Option<String>, MapError> {
    let name = fields.filled("eventName")?;
    let host = service.unwrap_or_default();
    let stem = [".amazonaws.com", ".aws.amazon.com"].iter().find_map(|end| host.strip_suffix(end));
    let service = stem.unwrap_or(host);
    draft.event.action = match (&name, intake.action) {
        (Some(name), _) => Some(action(&["aws", service, name])),
        (None, Some(action)) => Some(action.to_owned()),
        (None, None) => return Err(fields.missing("eventName")),
    };
    let name = name.unwrap_or_default();
    let read_only = fields.text("readOnly")?.as_deref() == Some("true");
    let event_type = fields.filled("eventType")?;
    let is_sign_in = service == "signin" || event_type.as_deref() == Some("AwsConsoleSignIn");
    let operation = tables::operation(&name, read_only, is_sign_in);
    let event_category = fields.filled("eventCategory")?;
    draft.event.operation = Some(operation);
    draft.event.category =
        tables::category(service, event_category.as_deref(), operation, is_sign_in, intake);
    outcome(fields, draft, &name, is_sign_in)?;
    let account = who::identity(fields, draft, account, intake)?;
    targets(fields, draft, notes)?;
    draft.metadata("eventName", name);
    draft.metadata_text("eventSource", Some(host.to_owned()).filter(|host| !host.is_empty()));
    draft.metadata_text("eventType", event_type);
    draft.metadata_text("eventCategory", event_category);
    Ok(account)
}

fn outcome(
    fields: &mut Fields<'_, '_>,
    draft: &mut Draft,
    name: &str,
    is_sign_in: bool,
) -> Result<(), MapError> {
    let code = fields.filled("errorCode")?;
    let message = fields.filled("errorMessage")?;
    let said = is_sign_in.then(|| {
        let elements = ["responseElements", "serviceEventDetails"];
        elements.iter().find_map(|place| fields.maybe_object(place)?.filled(name).ok()?)
    });
    draft.event.outcome = Some(match (&code, said) {
        (Some(code), _) if tables::is_denial(code) => Outcome::Denied,
        (Some(_), _) => Outcome::Failure,
        (None, None) => Outcome::Success,
        (None, Some(_)) if message.is_some() => Outcome::Failure,
        (None, Some(Some(said))) if said == "Success" => Outcome::Success,
        (None, Some(Some(said))) if said == "Failure" => Outcome::Failure,
        (None, Some(_)) => Outcome::Unknown,
    });
    draft.event.outcome_code = code;
    draft.metadata_text("errorMessage", message);
    Ok(())
}

/// `resources`, or else what `requestParameters` names.
fn targets(fields: &mut Fields<'_, '_>, draft: &mut Draft, notes: &Notes) -> Result<(), MapError> {
    for (path, resource) in fields.list("resources")?.into_iter().take(TARGETS_MAX) {
        let Ok(mut resource) = Fields::of(path, resource, notes) else { continue };
        let id = resource.filled("ARN")?.or(resource.filled("ARNPrefix")?);
        let kind = resource.filled("type")?.unwrap_or_else(|| "resource".to_owned());
        let parent = resource.filled("accountId")?;
        draft.event.targets.extend(id.map(|id| Target { kind, id, parent, ..Target::default() }));
    }
    if draft.event.targets.is_empty()
        && let Some(parameters) = fields.maybe_object("requestParameters")
    {
        named(parameters, draft, notes);
    }
    Ok(())
}

/// Parameters whose name says that they name something: `bucketName`, `instanceId`, `roleArn`; and
/// those of the items of a set, `{"instancesSet":{"items":[{"instanceId":…}]}}`.
fn named(parameters: Fields<'_, '_>, draft: &mut Draft, notes: &Notes) {
    let top = parameters.path("");
    for (name, value) in parameters.into_rest() {
        if draft.event.targets.len() >= TARGETS_MAX {
            return;
        }
        if let Some(kind) = kind_of(&name) {
            let id = scalar_text(value, notes).filter(|id| !id.is_empty());
            let kind = kind.to_owned();
            draft.event.targets.extend(id.map(|id| Target { kind, id, ..Target::default() }));
        } else if name.ends_with("Set")
            && let Ok(mut set) = Fields::of(top.clone(), value, notes)
        {
            for (path, item) in set.list("items").unwrap_or_default().into_iter().take(TARGETS_MAX)
            {
                let Ok(item) = Fields::of(path, item, notes) else { continue };
                for (name, value) in item.into_rest() {
                    let found = kind_of(&name).zip(scalar_text(value, notes));
                    let found = found.filter(|(_, id)| !id.is_empty());
                    draft.event.targets.extend(found.map(|(kind, id)| Target {
                        kind: kind.to_owned(),
                        id,
                        ..Target::default()
                    }));
                }
            }
        }
    }
}

/// `bucket` of `bucketName`.
fn kind_of(parameter: &str) -> Option<&str> {
    let kind = ["Name", "Id", "Arn", "ARN"].iter().find_map(|end| parameter.strip_suffix(end))?;
    (!kind.is_empty()).then_some(kind)
}

/// What else is worth keeping in sight; all of it stays in RAW.
fn rest(fields: &mut Fields<'_, '_>, draft: &mut Draft, notes: &Notes) -> Result<(), MapError> {
    for name in ["apiVersion", "vpcEndpointId"] {
        draft.metadata_text(name, fields.filled(name)?);
    }
    if let Some(additional) = fields.maybe_object("additionalEventData") {
        for (name, value) in additional.into_rest() {
            draft.metadata_json(&format!("additionalEventData.{name}"), value, notes);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
