//! [`Query`]: what is asked of a log, as names and values state it.

mod cursor;
mod days;

pub use cursor::{Cursor, CursorError};
pub use days::{ZoneError, zone};

use std::collections::BTreeMap;

use audit_event::event::{Category, Operation, Outcome, Severity, Word};
use audit_event::evidence::Filter;
use audit_event::evidence::filter::TimeOf;
use audit_event::{Flag, Instant};
use jiff::tz::TimeZone;

/// Events of a page where nothing is said.
const LIMIT_DEFAULT: usize = 50;
/// Events of a page at most.
pub const LIMIT_MAX: usize = 1_000;
/// Filters of a query at most.
pub const VALUES_MAX: usize = 100;
/// Bytes of a filter at most: no identifier is longer, and no words one would type.
pub const VALUE_BYTES_MAX: usize = 2_048;
/// Bytes of a parameter's name that an error repeats.
const NAME_SHOWN_MAX: usize = 64;

/// What a filter compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Member {
    /// The event's own id, byte for byte.
    Id,
    /// The action, byte for byte.
    Action,
    /// The category.
    Category,
    /// The operation.
    Operation,
    /// The outcome.
    Outcome,
    /// The severity.
    Severity,
    /// The source, byte for byte.
    Source,
    /// The whole id or e-mail of the actor, or words that follow one another in the name.
    Actor,
    /// The whole id or name of a target.
    Target,
    /// The address that the act came from.
    Ip,
    /// All words, over every shown text but RAW.
    Text,
    /// One of the flags.
    Flag,
    /// A label, as `key=value`.
    Label,
}

impl Member {
    /// Every member.
    pub const ALL: [Self; 13] = [
        Self::Id,
        Self::Action,
        Self::Category,
        Self::Operation,
        Self::Outcome,
        Self::Severity,
        Self::Source,
        Self::Actor,
        Self::Target,
        Self::Ip,
        Self::Text,
        Self::Flag,
        Self::Label,
    ];

    /// Its name in a query and in a filter.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Id => "id",
            Self::Action => "action",
            Self::Category => "category",
            Self::Operation => "operation",
            Self::Outcome => "outcome",
            Self::Severity => "severity",
            Self::Source => "source",
            Self::Actor => "actor",
            Self::Target => "target",
            Self::Ip => "ip",
            Self::Text => "text",
            Self::Flag => "flag",
            Self::Label => "label",
        }
    }

    /// The member of a name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|member| member.name() == name)
    }
}

/// In which order events are answered. Both are total: by the time of receipt, then by index.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Order {
    /// The last first.
    #[default]
    Newest,
    /// The first first.
    Oldest,
}

/// Why names and values are not a query. No error repeats a value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name} {rule}")]
pub struct QueryError {
    /// The parameter.
    pub name: String,
    /// What it breaks.
    pub rule: QueryRule,
}

/// What a parameter can break.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum QueryRule {
    /// No such parameter.
    #[error("is not a parameter of a search")]
    Unknown,
    /// A parameter that has one value stands there again.
    #[error("is there more than once")]
    Twice,
    /// An empty value.
    #[error("is empty")]
    Empty,
    /// A value beyond [`VALUE_BYTES_MAX`].
    #[error("has more than {max} bytes")]
    TooLong {
        /// Bytes allowed.
        max: usize,
    },
    /// More filters than [`VALUES_MAX`].
    #[error("is one filter more than the {max} that are allowed")]
    TooMany {
        /// Filters allowed.
        max: usize,
    },
    /// None of the words allowed.
    #[error("is none of: {allowed}")]
    Word {
        /// The words.
        allowed: &'static str,
    },
    /// Not a time.
    #[error("is neither a time of the form 2026-01-31T09:15:00Z nor a date of the form 2026-01-31")]
    Time,
    /// No zone of this name.
    #[error("is not the name of a time zone, as Europe/London is one")]
    Zone,
    /// Not a number in range.
    #[error("is not a number from {min} to {max}")]
    Number {
        /// The least.
        min: usize,
        /// The most.
        max: usize,
    },
    /// Not a flag's name.
    #[error("is not the name of a flag")]
    Flag,
    /// Not a label.
    #[error("is not of the form key=value")]
    Label,
    /// Not a cursor, or that of another query.
    #[error("is not a cursor of this search")]
    Cursor,
}

/// What is asked of a log.
#[derive(Debug, Clone)]
pub struct Query {
    from: Option<Instant>,
    to: Option<Instant>,
    time: TimeOf,
    zone: TimeZone,
    /// Never an empty list.
    members: BTreeMap<Member, Vec<String>>,
    order: Order,
    limit: usize,
    after: Option<Cursor>,
}

impl Default for Query {
    fn default() -> Self {
        Self {
            from: None,
            to: None,
            time: TimeOf::Received,
            zone: TimeZone::UTC,
            members: BTreeMap::new(),
            order: Order::Newest,
            limit: LIMIT_DEFAULT,
            after: None,
        }
    }
}

/// Parameters that have one value, as they are stated.
#[derive(Default)]
struct Single<'a>(BTreeMap<&'static str, &'a str>);

/// The names of parameters that have one value.
const SINGLE: [&str; 7] = ["from", "to", "time", "zone", "order", "limit", "cursor"];

impl<'a> Single<'a> {
    fn get<T>(
        &self,
        name: &'static str,
        read: impl FnOnce(&'a str) -> Result<T, QueryRule>,
    ) -> Result<Option<T>, QueryError> {
        let read = self.0.get(name).map(|value| read(value)).transpose();
        read.map_err(|rule| error(name, rule))
    }
}

impl Query {
    /// Reads a query from names and values.
    pub fn parse<'a>(
        pairs: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, QueryError> {
        let mut query = Self::default();
        let mut single = Single::default();
        for (name, value) in pairs {
            if let Some(member) = Member::from_name(name) {
                query.add(member, value)?;
                continue;
            }
            let single_name = SINGLE.into_iter().find(|it| *it == name);
            let name = single_name.ok_or_else(|| error(shown(name), QueryRule::Unknown))?;
            check_length(value).map_err(|rule| error(name, rule))?;
            if single.0.insert(name, value).is_some() {
                return Err(error(name, QueryRule::Twice));
            }
        }
        let zone = single.get("zone", |it| zone(it).map_err(|_| QueryRule::Zone))?;
        query.zone = zone.unwrap_or(TimeZone::UTC);
        let instant = |text: &str| days::instant(text, &query.zone).ok_or(QueryRule::Time);
        (query.from, query.to) = (single.get("from", instant)?, single.get("to", instant)?);
        query.time = single.get("time", time_of)?.unwrap_or_default();
        query.order = single.get("order", order)?.unwrap_or_default();
        query.limit = single.get("limit", limit)?.unwrap_or(LIMIT_DEFAULT);
        let cursor =
            |text: &str| Cursor::parse(text, query.fingerprint()).map_err(|_| QueryRule::Cursor);
        query.after = single.get("cursor", cursor)?;
        Ok(query)
    }

    /// The query of an export's filter, for its events in the order of the log.
    pub fn of_filter(filter: &Filter) -> Result<Self, QueryError> {
        let mut query = Self {
            from: filter.from,
            to: filter.to,
            time: filter.time,
            order: Order::Oldest,
            ..Self::default()
        };
        for (name, values) in &filter.members {
            let member = Member::from_name(name);
            let member = member.ok_or_else(|| error(shown(name), QueryRule::Unknown))?;
            if values.is_empty() {
                return Err(error(member.name(), QueryRule::Empty));
            }
            for value in values {
                query.add(member, value)?;
            }
        }
        Ok(query)
    }

    /// The filter of an export of all that matches.
    pub fn to_filter(&self) -> Filter {
        let members = self.members.iter();
        Filter {
            from: self.from,
            to: self.to,
            time: self.time,
            members: members.map(|(it, values)| (it.name().to_owned(), values.clone())).collect(),
        }
    }

    fn add(&mut self, member: Member, value: &str) -> Result<(), QueryError> {
        check_length(value)
            .and_then(|()| check(member, value))
            .map_err(|rule| error(member.name(), rule))?;
        if self.members.values().map(Vec::len).sum::<usize>() >= VALUES_MAX {
            return Err(error(member.name(), QueryRule::TooMany { max: VALUES_MAX }));
        }
        self.members.entry(member).or_default().push(value.to_owned());
        Ok(())
    }

    /// The first instant that matches.
    pub fn from(&self) -> Option<Instant> {
        self.from
    }

    /// The first instant after it that does not.
    pub fn to(&self) -> Option<Instant> {
        self.to
    }

    /// Which time counts.
    pub fn time(&self) -> TimeOf {
        self.time
    }

    /// The zone of dates.
    pub fn zone(&self) -> &TimeZone {
        &self.zone
    }

    /// What else must match: of each member one of the values.
    pub fn members(&self) -> &BTreeMap<Member, Vec<String>> {
        &self.members
    }

    /// The same query from its beginning, in this order, in pages of so many events: 1 to [`LIMIT_MAX`].
    #[must_use]
    pub fn ordered(self, order: Order, limit: usize) -> Self {
        Self { order, limit: limit.clamp(1, LIMIT_MAX), after: None, ..self }
    }

    /// In which order events are answered.
    pub fn order(&self) -> Order {
        self.order
    }

    /// Events of a page, 1 to [`LIMIT_MAX`].
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// Where the page before ended.
    pub fn after(&self) -> Option<Cursor> {
        self.after
    }

    /// The same query for the page behind a cursor.
    #[must_use]
    pub fn behind(mut self, cursor: Cursor) -> Self {
        self.after = Some(cursor);
        self
    }

    /// The text of a cursor of this query.
    pub fn cursor_text(&self, cursor: Cursor) -> String {
        cursor.write(self.fingerprint())
    }

    /// Tells queries apart whose cursors must not be mixed up. Pages may differ in size.
    fn fingerprint(&self) -> u64 {
        let mut bytes = Vec::new();
        let mut text = |text: &str| {
            let length = u64::try_from(text.len()).unwrap_or(u64::MAX);
            bytes.extend_from_slice(&length.to_be_bytes());
            bytes.extend_from_slice(text.as_bytes());
        };
        text(if self.order == Order::Newest { "newest" } else { "oldest" });
        text(if self.time == TimeOf::Event { "event" } else { "received" });
        for instant in [self.from, self.to] {
            text(&instant.map(|it| it.to_string()).unwrap_or_default());
        }
        for (member, values) in &self.members {
            for value in values {
                text(member.name());
                text(value);
            }
        }
        let hash = merkle::leaf_hash(&bytes);
        let first = hash.as_bytes().first_chunk().expect("a hash has 32 bytes");
        u64::from_be_bytes(*first)
    }
}

fn error(name: impl Into<String>, rule: QueryRule) -> QueryError {
    QueryError { name: name.into(), rule }
}

/// The name of a parameter that is not known.
fn shown(name: &str) -> String {
    let mut end = name.len().min(NAME_SHOWN_MAX);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    name[..end].to_owned()
}

fn check_length(value: &str) -> Result<(), QueryRule> {
    if value.is_empty() {
        return Err(QueryRule::Empty);
    }
    let max = VALUE_BYTES_MAX;
    if value.len() > max { Err(QueryRule::TooLong { max }) } else { Ok(()) }
}

fn check(member: Member, value: &str) -> Result<(), QueryRule> {
    fn word<W: Word>(value: &str) -> Result<(), QueryRule> {
        let known = W::from_word(value).map(drop);
        known.ok_or(QueryRule::Word { allowed: W::ALLOWED })
    }
    match member {
        Member::Category => word::<Category>(value),
        Member::Operation => word::<Operation>(value),
        Member::Outcome => word::<Outcome>(value),
        Member::Severity => word::<Severity>(value),
        Member::Flag => Flag::new(value).map(drop).ok_or(QueryRule::Flag),
        Member::Label => match value.split_once('=') {
            Some((key, _)) if !key.is_empty() => Ok(()),
            _ => Err(QueryRule::Label),
        },
        Member::Text | Member::Actor | Member::Target | Member::Ip => {
            if value.trim().is_empty() {
                Err(QueryRule::Empty)
            } else {
                Ok(())
            }
        }
        Member::Id | Member::Action | Member::Source => Ok(()),
    }
}

fn time_of(text: &str) -> Result<TimeOf, QueryRule> {
    match text {
        "received" => Ok(TimeOf::Received),
        "event" => Ok(TimeOf::Event),
        _ => Err(QueryRule::Word { allowed: "received, event" }),
    }
}

fn order(text: &str) -> Result<Order, QueryRule> {
    match text {
        "newest" => Ok(Order::Newest),
        "oldest" => Ok(Order::Oldest),
        _ => Err(QueryRule::Word { allowed: "newest, oldest" }),
    }
}

fn limit(text: &str) -> Result<usize, QueryRule> {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse().ok().filter(|it| is_number && (1..=LIMIT_MAX).contains(it));
    number.ok_or(QueryRule::Number { min: 1, max: LIMIT_MAX })
}

#[cfg(test)]
mod tests;
