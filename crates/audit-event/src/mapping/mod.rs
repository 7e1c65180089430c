//! Items of other formats to events, one file a format.
//!
//! Each format has a pure function from the bytes of one item, exactly as received, to an unchecked
//! event, flags and RAW, or an error that names the field. What a format lacks gets a stated
//! default, which the caller passes in as an [`Intake`]. The same bytes give the same event.
//!
//! An item of a foreign format is read leniently where that costs nothing: of two members of one
//! name the first counts, half of a surrogate pair becomes U+FFFD, and both are flagged. Members
//! that are not mapped may hold any JSON of any depth. Limits are applied later, by
//! [`ValidEvent::foreign`](crate::ValidEvent::foreign), which cuts and never refuses.

use std::borrow::Cow;

use crate::blocks::RecordedEvent;
use crate::event::{Actor, AuditEvent, Category};
use crate::flag::Flags;
use crate::json::{JsonError, ReadEvent};
use crate::keys::LogSecret;
use crate::members::{FieldError, Rule};
use crate::path::Path;
use crate::time::Instant;
use crate::validate::{Fill, ValidEvent};

pub mod cloudevents;
pub mod cloudtrail;
pub mod hec;
pub mod items;
pub mod kubernetes;
pub mod ocsf;
pub mod otlp;
pub mod syslog;

mod decimal;
mod draft;
mod fields;

pub use self::draft::source_uri;

/// What is known of a sender besides what it sends.
#[derive(Debug, Clone, Copy)]
pub struct Intake<'a> {
    /// When the item was received.
    pub now: Instant,
    /// The source that the sender's token or address stands for.
    pub source: &'a str,
    /// The action of an item that states none.
    pub action: Option<&'a str>,
    /// The actor of an item that states none.
    pub actor: Option<&'a Actor>,
    /// The category of an item that shows none.
    pub category: Option<Category>,
}

/// Where the id of an item comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IdFrom {
    /// The sender gave one, and the event has it.
    Sender,
    /// From the content: a keyed digest of RAW.
    Content,
    /// The server gives one; the same item sent again is another event.
    Server,
}

/// An item as an event, unchecked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapped<'a> {
    /// The event.
    pub event: AuditEvent,
    /// What the mapping noticed.
    pub flags: Flags,
    /// The whole item as it was received.
    pub raw: Cow<'a, [u8]>,
    /// What RAW is.
    pub content_type: &'static str,
    /// Where the id comes from.
    pub id: IdFrom,
    /// What the sender said, if the item is an event of our own schema inside another envelope. It is
    /// checked as one, and RAW is kept only if it has unknown members.
    pub own: Option<ReadEvent>,
}

impl Mapped<'_> {
    /// Gives the event the id of its content, if its format wants that.
    pub fn set_content_id(&mut self, secret: &LogSecret) {
        if self.id == IdFrom::Content {
            self.event.id = Some(secret.id_of_item(&self.raw));
        }
    }

    /// Checks the event: as one of our own API if it is one, else as a foreign one.
    pub fn check(&self, fill: Fill<'_>) -> Result<ValidEvent, FieldError> {
        let (event, flags) = (self.event.clone(), self.flags.clone());
        match self.own {
            Some(_) => ValidEvent::own(event, flags, fill),
            None => ValidEvent::foreign(event, flags, fill),
        }
    }
}

/// An event as it stands in a log, for a format that it goes out in.
#[derive(Debug, Clone, Copy)]
pub struct Recorded<'a> {
    /// What the blocks say that may be shown.
    pub event: &'a RecordedEvent,
    /// Its place in the log.
    pub index: u64,
    /// When the log says that it received it.
    pub received_at: Instant,
    /// The hash of its leaf.
    pub leaf_hash: [u8; 32],
    /// The log's origin.
    pub origin: &'a str,
}

/// Why an event cannot go out in another format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ExportError {
    /// Its `core` is erased, so that nothing says what it is.
    #[error("the event {index} has no core any more")]
    CoreErased {
        /// Its place in the log.
        index: u64,
    },
}

/// Why no event can be made of an item.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MapError {
    /// Not JSON that we read.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// A field of the item that breaks a rule.
    #[error(transparent)]
    Field(#[from] FieldError),
    /// Not a protobuf message.
    #[error("not a protobuf message at byte {offset}")]
    Protobuf {
        /// Where.
        offset: usize,
    },
    /// A name that no attribute of a CloudEvent may have.
    #[error("{path} is not a name of lower-case letters and digits")]
    AttributeName {
        /// The attribute.
        path: Path,
    },
    /// A header that is not UTF-8, before or after percent-decoding.
    #[error("{path} is not UTF-8 once it is decoded")]
    Encoding {
        /// The attribute.
        path: Path,
    },
}

impl MapError {
    /// The field at fault, where one can be named.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Field(FieldError { path, .. })
            | Self::AttributeName { path }
            | Self::Encoding { path }
            | Self::Json(JsonError::Duplicate { path } | JsonError::Number { path }) => Some(path),
            Self::Json(_) | Self::Protobuf { .. } => None,
        }
    }

    pub(crate) fn field(path: &Path, rule: Rule) -> Self {
        Self::Field(FieldError::new(path.clone(), rule))
    }
}

#[cfg(test)]
mod testing;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json;

    #[test]
    fn errors_name_the_field_where_there_is_one() {
        let path = Path::of("a").member("b");
        let named = [
            MapError::field(&path, Rule::NotText),
            MapError::Encoding { path: path.clone() },
            MapError::AttributeName { path: path.clone() },
            JsonError::Duplicate { path: path.clone() }.into(),
            JsonError::Number { path: path.clone() }.into(),
        ];
        for error in named {
            assert_eq!(error.path(), Some(&path), "{error}");
            assert!(error.to_string().starts_with("a.b "), "{error}");
        }
        for error in [MapError::Protobuf { offset: 5 }, JsonError::Syntax { offset: 5 }.into()] {
            assert_eq!(error.path(), None, "{error}");
        }
    }

    #[test]
    fn an_event_of_our_own_is_held_to_our_limits_and_a_foreign_one_is_cut() {
        let item = br#"{"event":"x"}"#;
        let mut mapped = hec::map(item, &testing::intake("/x")).unwrap();
        mapped.event.outcome_code = Some("c".repeat(65));
        let fill = Fill { now: testing::now(), id: "x" };
        assert!(mapped.check(fill).unwrap().truncated().contains("/outcome_code"));
        let read = json::read(b"{}", 2).unwrap();
        mapped.own = Some(read);
        assert!(mapped.check(fill).is_err());
    }
}
