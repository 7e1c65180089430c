//! Errors of the audit trail as refusals, for both edges.
#![deny(clippy::wildcard_enum_match_arm)]

use crate::exports::{BeginError, RequestError, State};
use audit_event::json::{EventError, JsonError};
use audit_event::mapping::MapError;
use audit_event::{FieldError, Path};
use audit_index::{QueryError, QueryRule, SearchError};
use audit_trail::{RecordError, Refused, StoredError};
use log_api::refusal::IntoRefusal as _;
use serve::refusal::{Kind, Refusal};

/// A member of an event, or of a request, breaks a rule.
const BAD_FIELD: &str = "BAD_FIELD";
/// Bytes that are not JSON.
const BAD_JSON: &str = "BAD_JSON";

/// The log takes entries, not events.
pub(crate) fn not_audit(name: &str) -> Refusal {
    let says = format!("log {name} is not an audit log: it holds entries, not events");
    Refusal::new(Kind::Precondition, "NOT_AN_AUDIT_LOG").says(says)
}

/// A field of a call.
pub(crate) fn bad_field(name: &'static str, expected: &str) -> Refusal {
    Refusal::new(Kind::Invalid, BAD_FIELD).field(name).says(format!("{name} must be {expected}"))
}

pub(crate) fn too_many_streams(streams_max: usize) -> Refusal {
    Refusal::new(Kind::Exhausted, "OVERLOADED")
        .retry(std::time::Duration::from_secs(1))
        .says(format!("server has {streams_max} streams open, the most it takes"))
}

pub(crate) fn too_many_events(events_max: usize) -> Refusal {
    Refusal::new(Kind::TooLarge, "TOO_MANY_EVENTS")
        .field("events")
        .says(format!("body has more than {events_max} events: send it in parts"))
}

pub(crate) fn no_events() -> Refusal {
    Refusal::new(Kind::Invalid, "EMPTY_BATCH").field("events").says("body has no events")
}

pub(crate) fn body_cut_short() -> Refusal {
    Refusal::new(Kind::Invalid, BAD_FIELD).field("body").says("body must be sent to its end")
}

pub(crate) fn media_type() -> Refusal {
    Refusal::new(Kind::UnknownEncoding, "MEDIA_TYPE").field("content-type").says(
        "Content-Type must be application/json or application/x-ndjson, in UTF-8 and not compressed",
    )
}

pub(crate) fn event_not_found() -> Refusal {
    Refusal::new(Kind::NotFound, "ENTRY_NOT_FOUND").says("log has no such event")
}

/// Why nothing of a call was answered as recorded.
pub fn of_record(error: RecordError) -> Refusal {
    match error {
        RecordError::NotAudit { log } => not_audit(&log),
        RecordError::Reserved => {
            Refusal::new(Kind::Forbidden, "LOG_RESERVED").field("log").says(error.to_string())
        }
        RecordError::Append(error) => error.into_refusal(),
        RecordError::Random(_) => {
            tracing::error!(%error, "an event could not be sealed");
            Refusal::internal()
        }
    }
}

/// Why an event cannot be read.
pub fn of_stored(error: StoredError) -> Refusal {
    match error {
        StoredError::Beyond { .. } => event_not_found(),
        StoredError::Storage(error) => error.into_refusal(),
        StoredError::Leaf { .. } => {
            tracing::error!(%error, "an audit log holds what no event is");
            Refusal::new(Kind::DataLoss, "CORRUPT").says("what is stored there is damaged")
        }
    }
}

/// Why a query is none. Names come from the caller, so that only known ones are fields.
pub fn of_query(error: &QueryError) -> Refusal {
    let reason = match error.rule {
        QueryRule::Unknown => "UNKNOWN_PARAMETER",
        QueryRule::Cursor => "BAD_CURSOR",
        QueryRule::Twice
        | QueryRule::Empty
        | QueryRule::TooLong { .. }
        | QueryRule::TooMany { .. }
        | QueryRule::Word { .. }
        | QueryRule::Time
        | QueryRule::Zone
        | QueryRule::Number { .. }
        | QueryRule::Flag
        | QueryRule::Label => BAD_FIELD,
    };
    Refusal::new(Kind::Invalid, reason).says(error.to_string()).field(error.name.clone())
}

/// Why a search has no answer.
pub fn of_search(error: SearchError) -> Refusal {
    match error {
        SearchError::Cursor => {
            Refusal::new(Kind::Invalid, "BAD_CURSOR").field("cursor").says(error.to_string())
        }
        SearchError::Behind { .. } => Refusal::new(Kind::Unavailable, "INDEX_BEHIND")
            .retry(std::time::Duration::from_secs(5))
            .says(error.to_string()),
        SearchError::Storage(error) => error.into_refusal(),
    }
}

/// Nothing is written here.
pub(crate) fn read_only() -> Refusal {
    Refusal::new(Kind::Precondition, "READ_ONLY").says("server is read-only")
}

pub(crate) fn export_not_found() -> Refusal {
    Refusal::new(Kind::NotFound, "EXPORT_NOT_FOUND").says("log has no such export")
}

pub(crate) fn export_not_done(state: State) -> Refusal {
    let says = format!("export is {}: there is nothing to download", state.name());
    Refusal::new(Kind::Precondition, "EXPORT_NOT_DONE").says(says)
}

/// Why an export cannot be asked for.
pub fn of_export_request(error: &RequestError) -> Refusal {
    match error {
        RequestError::Json => Refusal::new(Kind::Invalid, BAD_JSON).says(error.to_string()),
        RequestError::Filter(error) => of_query(error),
        RequestError::Member { name, .. } => {
            let name: String = name.chars().filter(|it| !it.is_control()).take(64).collect();
            Refusal::new(Kind::Invalid, BAD_FIELD).says(error.to_string()).field(name)
        }
    }
}

/// Why an export was not begun, or not deleted.
pub fn of_export(error: &BeginError) -> Refusal {
    match error {
        BeginError::TooMany => {
            Refusal::new(Kind::Exhausted, "TOO_MANY_EXPORTS").says(error.to_string())
        }
        BeginError::File(_) | BeginError::Random(_) => {
            tracing::error!(%error, "an export cannot be written down");
            Refusal::internal()
        }
    }
}

/// Why one event of a body was not taken: what a caller acts on, the field, and a sentence. No value
/// of the event is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventRefusal {
    /// What sort of refusal.
    pub kind: Kind,
    /// From a fixed list.
    pub reason: &'static str,
    /// The member at fault, where one can be named.
    pub field: Option<String>,
    /// One sentence for a person.
    pub message: String,
}

impl EventRefusal {
    pub(crate) fn too_large(message: String) -> Self {
        Self::new(Kind::TooLarge, "TOO_LARGE", None, message)
    }

    pub(crate) fn malformed(message: String) -> Self {
        Self::new(Kind::Invalid, "BAD_PROTOBUF", None, message)
    }

    /// As the refusal of a call with this event alone.
    pub(crate) fn into_refusal(self) -> Refusal {
        let Self { kind, reason, message, field } = self;
        let refusal = Refusal::new(kind, reason).says(message);
        match field {
            Some(field) => refusal.field(field),
            None => refusal,
        }
    }

    fn new(kind: Kind, reason: &'static str, field: Option<&Path>, message: String) -> Self {
        let field = field.map(Path::to_string);
        Self { kind, reason, field, message }
    }
}

impl From<&FieldError> for EventRefusal {
    fn from(error: &FieldError) -> Self {
        Self::new(Kind::Invalid, BAD_FIELD, Some(&error.path), error.to_string())
    }
}

impl From<&JsonError> for EventRefusal {
    fn from(error: &JsonError) -> Self {
        let message = error.to_string();
        match error {
            JsonError::Duplicate { path } | JsonError::Number { path } => {
                Self::new(Kind::Invalid, BAD_FIELD, Some(path), message)
            }
            JsonError::TooLarge { .. } => Self::new(Kind::TooLarge, "TOO_LARGE", None, message),
            JsonError::Syntax { .. }
            | JsonError::NotUtf8 { .. }
            | JsonError::LoneSurrogate { .. }
            | JsonError::TooDeep { .. } => Self::new(Kind::Invalid, BAD_JSON, None, message),
        }
    }
}

impl From<&EventError> for EventRefusal {
    fn from(error: &EventError) -> Self {
        match error {
            EventError::Json(error) => error.into(),
            EventError::Field(error) => error.into(),
        }
    }
}

impl From<&MapError> for EventRefusal {
    fn from(error: &MapError) -> Self {
        match error {
            MapError::Json(error) => error.into(),
            MapError::Field(error) => error.into(),
            MapError::Protobuf { .. } => {
                Self::new(Kind::Invalid, "BAD_PROTOBUF", None, error.to_string())
            }
            MapError::AttributeName { path } | MapError::Encoding { path } => {
                Self::new(Kind::Invalid, BAD_FIELD, Some(path), error.to_string())
            }
        }
    }
}

impl From<&Refused> for EventRefusal {
    fn from(refused: &Refused) -> Self {
        let message = refused.to_string();
        match refused {
            Refused::Field(error) => error.into(),
            Refused::IdTaken { .. } => {
                let field = Some("id".to_owned());
                Self { kind: Kind::Exists, reason: "ID_TAKEN", field, message }
            }
            Refused::Leaf(_) => Self::new(Kind::TooLarge, "TOO_LARGE", None, message),
        }
    }
}
