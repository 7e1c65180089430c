//! Whether an event matches a query, decided without an index.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use audit_event::evidence::filter::TimeOf;
use audit_event::{Instant, RecordedEvent};

use crate::document::{self, Field, NAME_RUN_MAX};
use crate::fold::fold;
use crate::query::{Member, Query};
use crate::words::{self, Asked};

/// What the terms of an event must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// The event has this term.
    Term(Field, String),
    /// The event has a term that begins so.
    Beginning(Field, String),
    /// All of these; without any, every event.
    All(Vec<Self>),
    /// One of these.
    Any(Vec<Self>),
}

impl Wanted {
    /// What a query asks of an event apart from times.
    pub(crate) fn of(query: &Query) -> Self {
        let members = query.members().iter();
        let mut all: Vec<Self> = members
            .map(|(member, values)| {
                let mut any: Vec<Self> = values.iter().map(|it| of_member(*member, it)).collect();
                if any.len() == 1 { any.remove(0) } else { Self::Any(any) }
            })
            .collect();
        if all.len() == 1 { all.remove(0) } else { Self::All(all) }
    }

    /// Whether every event has it.
    pub(crate) fn is_everything(&self) -> bool {
        matches!(self, Self::All(all) if all.is_empty())
    }

    /// Whether an event has it.
    pub(crate) fn holds(&self, event: &RecordedEvent) -> bool {
        self.holds_in(&mut Terms { event, known: BTreeMap::new() })
    }

    fn holds_in(&self, terms: &mut Terms<'_>) -> bool {
        match self {
            Self::Term(field, term) => terms.of(*field).contains(term),
            Self::Beginning(field, term) => {
                let from = (Bound::Included(&**term), Bound::Unbounded);
                let next = terms.of(*field).range::<str, _>(from).next();
                next.is_some_and(|next| next.starts_with(&**term))
            }
            Self::All(all) => all.iter().all(|wanted| wanted.holds_in(terms)),
            Self::Any(any) => any.iter().any(|wanted| wanted.holds_in(terms)),
        }
    }
}

/// The terms of one event, each field's made when it is first asked for.
struct Terms<'a> {
    event: &'a RecordedEvent,
    known: BTreeMap<Field, BTreeSet<String>>,
}

impl Terms<'_> {
    fn of(&mut self, field: Field) -> &BTreeSet<String> {
        self.known.entry(field).or_insert_with(|| {
            let mut found = BTreeSet::new();
            document::terms(self.event, field, |term| {
                if !found.contains(term) {
                    found.insert(term.to_owned());
                }
            });
            found
        })
    }
}

fn of_member(member: Member, value: &str) -> Wanted {
    let exact = |field| Wanted::Term(field, value.to_owned());
    match member {
        Member::Id => exact(Field::Id),
        Member::Action => exact(Field::Action),
        Member::Category => exact(Field::Category),
        Member::Operation => exact(Field::Operation),
        Member::Outcome => exact(Field::Outcome),
        Member::Severity => exact(Field::Severity),
        Member::Source => exact(Field::Source),
        Member::Flag => exact(Field::Flag),
        Member::Label => exact(Field::Label),
        Member::Ip => Wanted::Term(Field::Ip, document::ip(value).into_owned()),
        Member::Target => whole(Field::Target, &fold(value)),
        Member::Actor => of_actor(&fold(value)),
        Member::Text => in_text(words::asked(&fold(value))),
    }
}

/// A folded text as a whole, or its beginning if it ends with `*`.
fn whole(field: Field, folded: &str) -> Wanted {
    match words::unstarred(folded) {
        (beginning, true) => Wanted::Beginning(field, beginning.to_owned()),
        (text, false) => Wanted::Term(field, text.to_owned()),
    }
}

fn of_actor(folded: &str) -> Wanted {
    let (name, goes_on) = words::unstarred(folded);
    let words: Vec<&str> = words::words(name).collect();
    let runs = words.windows(words.len().clamp(1, NAME_RUN_MAX)).map(|run| run.join(" "));
    let runs: Vec<String> = runs.collect();
    let last = runs.len().saturating_sub(1);
    let run = |(at, run)| {
        if goes_on && at == last {
            Wanted::Beginning(Field::ActorName, run)
        } else {
            Wanted::Term(Field::ActorName, run)
        }
    };
    let mut any = vec![whole(Field::Actor, folded)];
    if !runs.is_empty() {
        any.push(Wanted::All(runs.into_iter().enumerate().map(run).collect()));
    }
    Wanted::Any(any)
}

fn in_text(asked: Asked) -> Wanted {
    match asked {
        Asked::Whole(term) => Wanted::Term(Field::Text, term),
        Asked::Beginning(term) => Wanted::Beginning(Field::Text, term),
        Asked::All(all) => Wanted::All(all.into_iter().map(in_text).collect()),
        Asked::Any(any) => Wanted::Any(any.into_iter().map(in_text).collect()),
    }
}

impl Query {
    /// Whether an event matches that the log received then. Right without an index, and what every hit of
    /// one is held against.
    pub fn matches(&self, event: &RecordedEvent, received_at_ns: u64) -> bool {
        self.is_in_time(event, received_at_ns) && Wanted::of(self).holds(event)
    }

    /// Whether the time that counts lies in the range. Without a range any does, also none.
    pub(crate) fn is_in_time(&self, event: &RecordedEvent, received_at_ns: u64) -> bool {
        let time = match self.time() {
            TimeOf::Received => Some(Instant::from_nanos(received_at_ns)),
            TimeOf::Event => event.event.time,
        };
        let (from, to) = (self.from(), self.to());
        let is_in_range =
            |time| from.is_none_or(|from| from <= time) && to.is_none_or(|to| time < to);
        (from.is_none() && to.is_none()) || time.is_some_and(is_in_range)
    }
}
