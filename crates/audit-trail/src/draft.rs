//! What is recorded, before any limit is checked.

use audit_event::json::{self, EventError, ReadEvent};
use audit_event::keys::ContentDigest;
use audit_event::mapping::Mapped;
use audit_event::validate::Fill;
use audit_event::{FieldError, LogSecret, Raw, ValidEvent};

/// An event to record.
#[derive(Debug, Clone)]
#[expect(clippy::large_enum_variant, reason = "both are large, and no call holds many of them")]
pub enum Draft<'a> {
    /// An event of our own API. A member beyond its limit refuses it.
    Own(OwnDraft<'a>),
    /// An item of another format. A member beyond its limit is cut, and the item is kept.
    Item(Mapped<'a>),
}

/// An event of our own API.
#[derive(Debug, Clone)]
pub struct OwnDraft<'a> {
    read: ReadEvent,
    bytes: &'a [u8],
    content_type: &'static str,
    /// Instead of a new id, where the event has none.
    fallback_id: Option<String>,
}

impl<'a> Draft<'a> {
    /// Reads an event in its JSON form, of at most `bytes_max` bytes.
    pub fn json(bytes: &'a [u8], bytes_max: usize) -> Result<Self, EventError> {
        let read = json::read(bytes, bytes_max)?;
        Ok(Self::own(read, bytes, "application/json"))
    }

    /// An event that was read from `bytes`, which are kept if they say more than the schema knows.
    pub fn own(read: ReadEvent, bytes: &'a [u8], content_type: &'static str) -> Self {
        Self::Own(OwnDraft { read, bytes, content_type, fallback_id: None })
    }

    /// Gives an event of our own API an id if it has none, under which a repetition of it is known.
    #[must_use]
    pub fn or_id(mut self, id: String) -> Self {
        if let Self::Own(own) = &mut self {
            own.fallback_id = Some(id);
        }
        self
    }

    /// Pointers of the members of an event of our own API that the schema does not know.
    pub fn unknown(&self) -> Vec<String> {
        match self {
            Self::Own(own) => own.read.unknown.iter().map(|(path, _)| path.pointer()).collect(),
            Self::Item(_) => Vec::new(),
        }
    }

    /// Gives an item the id of its content, if its format wants that.
    pub(crate) fn set_content_id(&mut self, secret: &LogSecret) {
        if let Self::Item(mapped) = self {
            mapped.set_content_id(secret);
        }
    }

    pub(crate) fn check(&self, fill: Fill<'_>) -> Result<ValidEvent, FieldError> {
        match self {
            Self::Own(own) => {
                let fill = match &own.fallback_id {
                    Some(id) => Fill { id, ..fill },
                    None => fill,
                };
                ValidEvent::own(own.read.event.clone(), own.read.flags.clone(), fill)
            }
            Self::Item(mapped) => mapped.check(fill),
        }
    }

    pub(crate) fn digest(&self, event: &ValidEvent, secret: &LogSecret) -> ContentDigest {
        match self {
            Self::Own(own) => secret.digest_of_own(&own.read),
            Self::Item(Mapped { own: Some(read), .. }) => secret.digest_of_own(read),
            Self::Item(mapped) => secret.digest_of_foreign(event, &mapped.raw),
        }
    }

    /// What is kept as it was received: a foreign item, or an own event that says more than the
    /// schema knows.
    pub(crate) fn raw(&self) -> Option<Raw> {
        match self {
            Self::Own(own) => {
                let keep = || Raw::new(own.bytes.to_vec(), Some(own.content_type));
                (!own.read.unknown.is_empty()).then(keep)
            }
            Self::Item(mapped) => {
                let says_more = mapped.own.as_ref().is_none_or(|own| !own.unknown.is_empty());
                says_more.then(|| Raw::new(mapped.raw.to_vec(), Some(mapped.content_type)))
            }
        }
    }

    /// The item, if it is a foreign one: its id is the sender's to choose, so it may be another item
    /// under a known id.
    pub(crate) fn foreign(&self) -> Option<&Mapped<'a>> {
        match self {
            Self::Item(mapped) if mapped.own.is_none() => Some(mapped),
            Self::Item(_) | Self::Own(_) => None,
        }
    }
}
