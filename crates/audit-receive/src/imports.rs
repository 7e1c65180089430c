//! What an import of files came to, `POST /v1/logs/{log}/imports`: one `import.finished`.
//!
//! The body is an object of texts, whole numbers and truth values: `kind`, `files`, `events`,
//! `duplicates`, `quarantined`, `gaps` and what else there is to say. `outcome` is that of the event.

use audit_api::http::answer;
use audit_api::refusal::EventRefusal;
use audit_api::shown::number;
use audit_event::event::{Outcome, Word as _};
use audit_event::json::{self, Numbers};
use audit_event::value::Object;
use audit_event::{Path, Value};
use audit_trail::own::OwnError;
use audit_trail::{OwnEvent, SYSTEM_LOG};
use bytes::Bytes;
use http::{Response, StatusCode};
use serve::body::Body;
use serve::received::{self, NotReceived};
use serve::refusal::{Kind, Refusal};
use serve::room::NoRoom;

use crate::receive::{Asked, Receive, refused};

const BODY_BYTES_MAX: usize = 64 * 1024;
const MEMBERS_MAX: usize = 40;
const NAME_BYTES_MAX: usize = 64;
const TEXT_BYTES_MAX: usize = 1_024;

pub(crate) async fn answer<B>(receive: &Receive, asked: &Asked<'_>, body: B) -> Response<Body>
where
    B: http_body::Body<Data = Bytes> + Send,
{
    match record(receive, asked, body).await {
        Ok(members) => answer::members(StatusCode::OK, &members),
        Err(refusal) => answer::refusal(receive.counted(refusal)),
    }
}

async fn record<B>(receive: &Receive, asked: &Asked<'_>, body: B) -> Result<Object, Refusal>
where
    B: http_body::Body<Data = Bytes> + Send,
{
    let log = receive.audit_log(asked.segment)?;
    let received = received::receive(asked.headers, body, BODY_BYTES_MAX).await;
    let received = received.map_err(|not| not_received(&not))?;
    let event = event(members(received.bytes())?);
    let taken = receive.trail().record_own(&log, event).await.map_err(|error| match error {
        OwnError::Record(error) => refused(error),
        OwnError::Refused(refused) => of_field(&EventRefusal::from(&refused)),
    })?;
    let mut members = answer::taken_members(taken, None);
    members.insert("tree_size".to_owned(), number(log.tree().head.size.get()));
    Ok(members)
}

fn event(mut members: Object) -> OwnEvent {
    let outcome = members.get("outcome").and_then(Value::as_text).and_then(Outcome::from_word);
    if outcome.is_some() {
        members.remove("outcome");
    }
    let kind = members.get("kind").and_then(Value::as_text).unwrap_or("files").to_owned();
    let mut event = OwnEvent::new("import.finished").target("import", &kind);
    if let Some(outcome) = outcome {
        event = event.outcome(outcome);
    }
    members.into_iter().fold(event, |event, (name, value)| event.value(&name, value))
}

/// The members of a body, each of a name and a form that an event can hold.
fn members(body: &[u8]) -> Result<Object, Refusal> {
    let parsed = json::parse(body, Numbers::Own).map_err(|error| {
        Refusal::new(Kind::Invalid, "BAD_JSON").field("body").says(error.to_string())
    })?;
    let Value::Object(members) = parsed.value else {
        return Err(bad("body is not an object".to_owned()));
    };
    if members.is_empty() || members.len() > MEMBERS_MAX {
        return Err(bad(format!("body must have 1 to {MEMBERS_MAX} members")));
    }
    for (name, value) in &members {
        let printable = name.bytes().all(|byte| (0x20..0x7f).contains(&byte));
        if !printable || !(1..=NAME_BYTES_MAX).contains(&name.len()) {
            return Err(bad("a name must be 1 to 64 printable ASCII characters".to_owned()));
        }
        let path = Path::of(name);
        match value {
            Value::Text(text) if text.len() > TEXT_BYTES_MAX => {
                return Err(bad(format!("{path} has more than {TEXT_BYTES_MAX} bytes")));
            }
            Value::Text(_) | Value::Integer(_) | Value::Bool(_) => {}
            Value::Null | Value::List(_) | Value::Object(_) => {
                return Err(bad(format!("{path} is not a text, a whole number or a truth value")));
            }
        }
    }
    Ok(members)
}

fn bad(message: String) -> Refusal {
    Refusal::new(Kind::Invalid, "BAD_FIELD").field("body").says(message)
}

fn of_field(refusal: &EventRefusal) -> Refusal {
    bad(refusal.message.clone())
}

fn not_received(not: &NotReceived) -> Refusal {
    match not {
        NotReceived::NoRoom => NoRoom.into(),
        NotReceived::TooLarge { bytes } => {
            Refusal::body_too_large(bytes.unwrap_or(u64::MAX), BODY_BYTES_MAX)
        }
        NotReceived::CutShort | NotReceived::NotGzip(_) => {
            bad("body cannot be read to its end".to_owned())
        }
        NotReceived::Encoding => Refusal::new(Kind::UnknownEncoding, "ENCODING")
            .field("content-encoding")
            .says("Content-Encoding must be gzip or none"),
    }
}

impl Receive {
    /// The audit log that a path names. Whoever names a wrong one is told so.
    fn audit_log(&self, name: &str) -> Result<log_core::Log, Refusal> {
        if name == SYSTEM_LOG {
            return Err(audit_api::refusal::of_record(audit_trail::RecordError::Reserved));
        }
        let log = self.logs().named(name)?;
        match log.record().kind {
            storage::LogKind::Audit => Ok(log),
            storage::LogKind::Plain => {
                let log = name.to_owned();
                Err(audit_api::refusal::of_record(audit_trail::RecordError::NotAudit { log }))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_holds_what_an_event_can_hold() {
        let good = members(br#"{"kind":"cloudtrail","files":3,"complete":true}"#).unwrap();
        assert_eq!(good.len(), 3);
        let many: Vec<String> = (0..=MEMBERS_MAX).map(|at| format!("\"n{at}\":1")).collect();
        let long = format!(r#"{{"a":"{}"}}"#, "x".repeat(1_025));
        for (bad, says) in [
            ("", "not JSON"),
            ("[]", "body is not an object"),
            ("{}", "1 to 40 members"),
            (r#"{"a":[]}"#, "a is not a text"),
            (r#"{"a":null}"#, "a is not a text"),
            (r#"{"a":1,"a":2}"#, "a stands twice"),
            (r#"{"":1}"#, "a name must be"),
            (&format!("{{{}}}", many.join(",")), "1 to 40 members"),
            (&long, "a has more than 1024 bytes"),
        ] {
            let refusal = members(bad.as_bytes()).unwrap_err();
            assert!(refusal.message.contains(says), "{bad}: {refusal}");
        }
        // A fraction stays as it is spelled; an integer that not every reader keeps is refused.
        assert_eq!(members(br#"{"a":1.5}"#).unwrap()["a"], Value::from("1.5"));
        assert!(members(br#"{"a":9007199254740993}"#).is_err());
    }
}
