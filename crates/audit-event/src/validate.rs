//! [`ValidEvent`]: an event whose every limit holds and whose every required member is there.

use std::collections::BTreeSet;

use crate::catalogue;
use crate::event::{Actor, AuditEvent, Category, Operation, Outcome, Severity};
use crate::flag::{Flag, Flags};
use crate::limits::{self, Breach};
use crate::members::{FieldError, Rule};
use crate::path::Path;
use crate::time::Instant;

/// The scheme of the server's own source.
const OWN_SCHEME: &str = "cairn:";

/// How far ahead of the receipt an event's time may be before it is flagged, in seconds.
const CLOCK_SKEW_SECONDS: u32 = 5 * 60;

/// What the server adds where an event says nothing.
#[derive(Debug, Clone, Copy)]
pub struct Fill<'a> {
    /// When the event was received.
    pub now: Instant,
    /// An id that the server has given nobody else: a ULID.
    pub id: &'a str,
}

/// An event that may be sealed. Made by [`own`](Self::own), [`foreign`](Self::foreign) or
/// [`of_server`](Self::of_server) alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValidEvent {
    event: AuditEvent,
    flags: Flags,
    truncated: BTreeSet<String>,
}

impl ValidEvent {
    /// Checks an event of our own API: a member beyond its limit is refused.
    pub fn own(event: AuditEvent, flags: Flags, fill: Fill<'_>) -> Result<Self, FieldError> {
        require(event.time.is_some(), "time")?;
        require(event.outcome.is_some(), "outcome")?;
        let known = event.action.as_deref().and_then(catalogue::find);
        require(event.category.is_some() || known.is_some(), "category")?;
        require(event.operation.is_some() || known.is_some(), "operation")?;
        refuse_own_source(&event)?;
        Self::checked(event, flags, fill, Breach::Refuse)
    }

    /// Checks an event made of a foreign item: a member beyond its limit is cut and named in
    /// `truncated`, and a stated default stands for what the format lacks. What remains an error is
    /// a mistake of the mapping, or an item that no event can be made of.
    pub fn foreign(event: AuditEvent, flags: Flags, fill: Fill<'_>) -> Result<Self, FieldError> {
        refuse_own_source(&event)?;
        Self::checked(event, flags, fill, Breach::Cut)
    }

    /// Checks an event of the server itself, whose source is `cairn:` and the log's origin.
    pub fn of_server(
        mut event: AuditEvent,
        origin: &str,
        fill: Fill<'_>,
    ) -> Result<Self, FieldError> {
        event.source = Some(format!("{OWN_SCHEME}{origin}"));
        Self::checked(event, Flags::new(), fill, Breach::Refuse)
    }

    fn checked(
        mut event: AuditEvent,
        mut flags: Flags,
        fill: Fill<'_>,
        breach: Breach,
    ) -> Result<Self, FieldError> {
        let truncated = limits::apply(&mut event, breach)?;
        if !truncated.is_empty() {
            flags.insert(Flag::TRUNCATED);
        }
        complete(&mut event, &mut flags, fill);
        if breach == Breach::Cut {
            mend_cuts(&mut event);
        }
        let source = event.source.as_deref().ok_or_else(|| missing("source"))?;
        check(is_uri_reference(source), "source", Rule::Uri)?;
        let action = event.action.as_deref().ok_or_else(|| missing("action"))?;
        check(is_action(action), "action", Rule::Action)?;
        require(event.actor.is_some(), "actor")?;
        if let Some(id) = event.id.as_deref() {
            check(
                (1..=limits::ID_MAX).contains(&id.len()),
                "id",
                Rule::TooLong { max: limits::ID_MAX },
            )?;
        }
        Ok(Self { event, flags, truncated })
    }

    /// The same foreign item under an id made of its content, because its own id stands in the log
    /// with another content ([`LogSecret::id_of_reused`](crate::LogSecret::id_of_reused)).
    #[must_use]
    pub fn under_new_id(mut self, id: crate::keys::ReusedId) -> Self {
        self.event.id = Some(id.into_text());
        self.flags.insert(Flag::ID_REUSED);
        self
    }

    /// The event, with nothing missing that every event has.
    pub fn event(&self) -> &AuditEvent {
        &self.event
    }

    /// What the server noticed.
    pub fn flags(&self) -> &Flags {
        &self.flags
    }

    /// RFC 6901 pointers of members that were cut.
    pub fn truncated(&self) -> &BTreeSet<String> {
        &self.truncated
    }

    /// Its id, 1 to 128 bytes.
    pub fn id(&self) -> &str {
        self.event.id.as_deref().unwrap_or_default()
    }

    /// Its source, 1 to 256 bytes.
    pub fn source(&self) -> &str {
        self.event.source.as_deref().unwrap_or_default()
    }

    /// Its action.
    pub fn action(&self) -> &str {
        self.event.action.as_deref().unwrap_or_default()
    }

    /// Who did it.
    pub fn actor(&self) -> &Actor {
        self.event.actor.as_ref().expect("a valid event has an actor")
    }
}

/// A cut may leave half of an escape at the end of a source, and a dot at the end of an action.
fn mend_cuts(event: &mut AuditEvent) {
    if let Some(source) = &mut event.source
        && let Some(escape) = source.rfind('%')
        && escape + 3 > source.len()
    {
        source.truncate(escape);
    }
    if let Some(action) = &mut event.action {
        action.truncate(action.trim_end_matches('.').len());
    }
}

/// Fills in what the event does not say.
fn complete(event: &mut AuditEvent, flags: &mut Flags, fill: Fill<'_>) {
    event.id.get_or_insert_with(|| fill.id.to_owned());
    if event.time.is_none() {
        flags.insert(Flag::TIME_MISSING);
    }
    let time = *event.time.get_or_insert(fill.now);
    if time > fill.now.later_by(CLOCK_SKEW_SECONDS) {
        flags.insert(Flag::CLOCK_SKEW);
    }
    let known = event.action.as_deref().and_then(catalogue::find);
    let (category, operation) = known
        .map_or((Category::System, Operation::Other), |entry| (entry.category, entry.operation));
    event.category.get_or_insert(category);
    event.operation.get_or_insert(operation);
    event.outcome.get_or_insert(Outcome::Unknown);
    event.severity.get_or_insert(Severity::Info);
}

fn missing(name: &str) -> FieldError {
    FieldError::new(Path::of(name), Rule::Missing)
}

fn require(is_there: bool, name: &str) -> Result<(), FieldError> {
    check(is_there, name, Rule::Missing)
}

fn check(holds: bool, name: &str, rule: Rule) -> Result<(), FieldError> {
    if holds { Ok(()) } else { Err(FieldError::new(Path::of(name), rule)) }
}

/// A scheme is the same in letters of any case, and a reader would take `Cairn:` for ours.
fn refuse_own_source(event: &AuditEvent) -> Result<(), FieldError> {
    let scheme = event.source.as_deref().and_then(|source| source.get(..OWN_SCHEME.len()));
    let is_own = scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case(OWN_SCHEME));
    check(!is_own, "source", Rule::Reserved)
}

/// `^[a-z0-9_-]+(\.[a-z0-9_-]+){1,11}$`
pub fn is_action(action: &str) -> bool {
    let fits =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-".contains(&byte);
    let is_part = |part: &str| !part.is_empty() && part.bytes().all(fits);
    (2..=12).contains(&action.split('.').count()) && action.split('.').all(is_part)
}

/// The characters of RFC 3986, each `%` with two hexadecimal digits behind it.
pub fn is_uri_reference(text: &str) -> bool {
    let allowed =
        |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:/?#[]@!$&'()*+,;=%".contains(&byte);
    let escaped =
        |rest: &str| rest.len() >= 2 && rest.bytes().take(2).all(|byte| byte.is_ascii_hexdigit());
    !text.is_empty() && text.bytes().all(allowed) && text.split('%').skip(1).all(escaped)
}
