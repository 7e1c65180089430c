//! How many events match, by day, by hour, or by a member.

mod calendar;

use std::cmp::Reverse;
use std::collections::HashMap;
use std::ops::{ControlFlow, Range};

use audit_event::RecordedEvent;
use audit_event::evidence::filter::TimeOf;
use jiff::Timestamp;
use log_core::Log;
use merkle::{LeafIndex, TreeSize};
use tantivy::TantivyError;

use crate::matching::Wanted;
use crate::part::{PartError, PartReader, Times};
use crate::parts::{View, caught};
use crate::query::Query;
use crate::read::{self, ROWS_MAX};
use crate::schema::{TIME, clamped_nanos};
use crate::search::{AuditIndexes, IndexTimes, SearchError, index_times, range, tree_size};
use calendar::Calendar;

/// Keys of an answer at most.
pub const KEYS_MAX: usize = 1_000;
/// Keys that are told apart while counting; what comes beyond counts as other.
const KEYS_HELD_MAX: usize = 200_000;
/// Events that are counted without an index at most.
const SCAN_MAX: u64 = 1_000_000;

/// What is counted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// Days of the query's zone, by the time that the query counts by.
    Day,
    /// Hours of them, told apart by their offset where clocks go back.
    Hour,
    /// A member of the event.
    Key(Key),
}

/// Members that are counted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    /// The action.
    Action,
    /// The id of the actor.
    Actor,
    /// The outcome.
    Outcome,
    /// The source.
    Source,
    /// The category.
    Category,
}

impl Key {
    /// Every key.
    pub const ALL: [Self; 5] =
        [Self::Action, Self::Actor, Self::Outcome, Self::Source, Self::Category];

    /// Its name in a query.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Action => "action",
            Self::Actor => "actor",
            Self::Outcome => "outcome",
            Self::Source => "source",
            Self::Category => "category",
        }
    }
}

impl By {
    /// All that `by` may be.
    pub const ALLOWED: &'static str = "day, hour, action, actor, outcome, source, category";

    /// What a name asks for.
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "day" => Some(Self::Day),
            "hour" => Some(Self::Hour),
            _ => Key::ALL.into_iter().find(|key| key.name() == name).map(Self::Key),
        }
    }
}

/// How many events match.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counts {
    /// Key and count. Days as `2026-10-25` and hours as `2026-10-25T01:00:00+01:00`, ascending, the newest
    /// where there are more than [`KEYS_MAX`]; others by count, the greatest first.
    pub counts: Vec<(String, u64)>,
    /// Events of other keys, and those that have none, or none any more.
    pub other: u64,
    /// Events that the index has taken. Those beyond were read from the log.
    pub indexed_to: TreeSize,
}

impl AuditIndexes {
    /// Counts what matches over all events that the log had when it was called. Blocking. Order, limit
    /// and cursor of the query say nothing here.
    pub fn counts(&self, log: &Log, query: &Query, by: By) -> Result<Counts, SearchError> {
        let view = self.view(log)?;
        let size = log.tree().head.size.get();
        let range = range(log, query, size)?;
        let indexed_to = tree_size(view.noted.min(size));
        let nothing = View::default();
        let times = index_times(query);
        let usable = if matches!(times, IndexTimes::Unknown) { &nothing } else { &view };
        let times = if let IndexTimes::Within(times) = times { Some(times) } else { None };
        let wanted = Wanted::of(query);
        let job = Job { indexes: self, log, query, wanted: &wanted, by, range, times };
        let tally = match job.count(usable) {
            Err(CountError::Part(PartError::Storage(error))) => return Err(error.into()),
            Err(CountError::Part(error)) => {
                self.abandon(log, &error);
                job.count(&nothing)
            }
            tally => tally,
        };
        match tally {
            Ok(tally) => Ok(tally.answer(by, indexed_to)),
            Err(CountError::Behind { events }) => Err(SearchError::Behind { events }),
            Err(CountError::Part(PartError::Storage(error))) => Err(error.into()),
            Err(CountError::Part(error)) => unreachable!("without parts there is no {error}"),
        }
    }
}

#[derive(Debug, thiserror::Error)]
enum CountError {
    #[error(transparent)]
    Part(#[from] PartError),
    #[error("{events} events are not in the index")]
    Behind { events: u64 },
}

impl From<storage::StorageError> for CountError {
    fn from(error: storage::StorageError) -> Self {
        Self::Part(error.into())
    }
}

/// Counts by key, within a bound.
#[derive(Debug, Default)]
struct Tally {
    counts: HashMap<String, u64>,
    other: u64,
}

impl Tally {
    fn add(&mut self, key: Option<&str>, count: u64) {
        let Some(key) = key else {
            self.other += count;
            return;
        };
        if let Some(found) = self.counts.get_mut(key) {
            *found += count;
        } else if self.counts.len() < KEYS_HELD_MAX {
            self.counts.insert(key.to_owned(), count);
        } else {
            self.other += count;
        }
    }

    fn answer(self, by: By, indexed_to: TreeSize) -> Counts {
        let mut counts: Vec<(String, u64)> = self.counts.into_iter().collect();
        match by {
            By::Day => counts.sort_by(|one, other| other.0.cmp(&one.0)),
            // The hour that comes twice is in order by its instant alone.
            By::Hour => {
                counts.sort_by_cached_key(|(key, _)| Reverse(key.parse::<Timestamp>().ok()));
            }
            By::Key(_) => {
                counts.sort_by(|one, other| other.1.cmp(&one.1).then_with(|| one.0.cmp(&other.0)));
            }
        }
        let beyond = counts.split_off(counts.len().min(KEYS_MAX));
        let other = self.other + beyond.iter().map(|(_, count)| count).sum::<u64>();
        if matches!(by, By::Day | By::Hour) {
            counts.reverse();
        }
        Counts { counts, other, indexed_to }
    }
}

struct Job<'a> {
    indexes: &'a AuditIndexes,
    log: &'a Log,
    query: &'a Query,
    wanted: &'a Wanted,
    by: By,
    range: Range<u64>,
    times: Option<Times>,
}

impl Job<'_> {
    fn count(&self, view: &View) -> Result<Tally, CountError> {
        let is_filtered = !self.wanted.is_everything() || self.times.is_some();
        let spans = match (self.by, self.query.time()) {
            (By::Day | By::Hour, TimeOf::Received) => Some(self.spans()?),
            _ => None,
        };
        if let Some(spans) = &spans
            && !is_filtered
        {
            return Ok(spans.tally(|span| span.end - span.start));
        }
        let tail = self.range.start.max(view.covered())..self.range.end;
        let events = tail.end.saturating_sub(tail.start);
        if events > SCAN_MAX {
            return Err(CountError::Behind { events });
        }
        if let Some(spans) = spans {
            return self.by_span(view, tail, &spans);
        }
        let mut tally = Tally::default();
        let mut calendar = Calendar::new(self.query.zone().clone(), self.by);
        for part in view.parts.iter() {
            if part.range.start < self.range.end && self.range.start < part.range.end {
                let reader = self.indexes.shared().reader(part)?;
                caught(|| match self.by {
                    By::Key(key) => self.part_by_key(&reader, key, &mut tally),
                    By::Day | By::Hour => self.part_by_time(&reader, &mut calendar, &mut tally),
                })?;
            }
        }
        self.tail(tail, |_, event| match self.by {
            By::Key(key) => tally.add(key.of(event), 1),
            By::Day | By::Hour => {
                let time = event.event.time.map(clamped_nanos);
                tally.add(time.map(|time| calendar.key(time)), 1);
            }
        })?;
        Ok(tally)
    }

    /// The days or hours of the range by receipt, as ranges of indexes: times never decrease along a log.
    fn spans(&self) -> Result<Spans, CountError> {
        let mut calendar = Calendar::new(self.query.zone().clone(), self.by);
        let mut spans = Vec::new();
        let mut end = self.range.end;
        while end > self.range.start && spans.len() < KEYS_MAX {
            let time = read::received_at_ns(self.log, end - 1)?;
            let (key, start) = calendar.span(i64::try_from(time).unwrap_or(i64::MAX));
            let first = match u64::try_from(start) {
                Ok(start) => read::first_received(self.log, self.range.start, end - 1, start)?,
                Err(_) => self.range.start,
            };
            spans.push((key, first..end));
            end = first;
        }
        spans.reverse();
        Ok(Spans { spans, before: self.range.start..end })
    }

    fn by_span(&self, view: &View, tail: Range<u64>, spans: &Spans) -> Result<Tally, CountError> {
        let mut counts = vec![0_u64; spans.spans.len() + 1];
        let mut at = 0;
        let mut add = |index: u64| {
            // Indexes come ascending.
            while spans.end_of(at).is_some_and(|end| end <= index) {
                at += 1;
            }
            counts[at] += 1;
        };
        for part in view.parts.iter() {
            if part.range.start < self.range.end && self.range.start < part.range.end {
                let reader = self.indexes.shared().reader(part)?;
                caught(|| {
                    reader.each(self.wanted, self.times, &self.range, |index| {
                        add(index);
                        ControlFlow::Continue(())
                    })
                })?;
            }
        }
        self.tail(tail, |index, _| add(index))?;
        let mut tally = Tally { other: counts[0], ..Tally::default() };
        for ((key, _), count) in spans.spans.iter().zip(&counts[1..]) {
            if *count > 0 {
                tally.add(Some(key), *count);
            }
        }
        Ok(tally)
    }

    fn part_by_key(
        &self,
        reader: &PartReader,
        key: Key,
        tally: &mut Tally,
    ) -> Result<(), PartError> {
        let start = reader.range().start;
        let Some(column) = reader.segment().fast_fields().bytes(key.name())? else {
            return reader.each(self.wanted, self.times, &self.range, |_| {
                tally.add(None, 1);
                ControlFlow::Continue(())
            });
        };
        let mut counts = vec![0_u64; column.num_terms()];
        let mut without = 0;
        reader.each(self.wanted, self.times, &self.range, |index| {
            let document = u32::try_from(index - start).unwrap_or(u32::MAX);
            let ordinal = column.ords().first(document).and_then(|it| usize::try_from(it).ok());
            match ordinal.and_then(|ordinal| counts.get_mut(ordinal)) {
                Some(count) => *count += 1,
                None => without += 1,
            }
            ControlFlow::Continue(())
        })?;
        tally.other += without;
        let (ordinals, counts): (Vec<u64>, Vec<u64>) =
            (0..).zip(counts).filter(|(_, count)| *count > 0).unzip();
        let mut counts = counts.into_iter();
        let found = column.dictionary().sorted_ords_to_term_cb(&ordinals, |key| {
            tally.add(std::str::from_utf8(key).ok(), counts.next().unwrap_or(0));
        });
        if found.map_err(TantivyError::from)? { Ok(()) } else { Err(PartError::Other) }
    }

    fn part_by_time(
        &self,
        reader: &PartReader,
        calendar: &mut Calendar,
        tally: &mut Tally,
    ) -> Result<(), PartError> {
        let start = reader.range().start;
        let column = reader.segment().fast_fields().column_opt::<i64>(TIME)?;
        reader.each(self.wanted, self.times, &self.range, |index| {
            let document = u32::try_from(index - start).unwrap_or(u32::MAX);
            let time = column.as_ref().and_then(|column| column.first(document));
            tally.add(time.map(|time| calendar.key(time)), 1);
            ControlFlow::Continue(())
        })
    }

    /// Calls `sink` with each event that matches and that the index does not hold, ascending.
    fn tail(
        &self,
        range: Range<u64>,
        mut sink: impl FnMut(u64, &RecordedEvent),
    ) -> Result<(), CountError> {
        let mut at = range.start;
        while at < range.end {
            let Ok(start) = LeafIndex::new(at) else { break };
            let limit = usize::try_from(range.end - at).unwrap_or(ROWS_MAX);
            let seen = read::seen(self.log, start, limit)?;
            if seen.is_empty() {
                break;
            }
            for seen in seen {
                let is_in_time = self.query.is_in_time(&seen.event, seen.received_at_ns);
                if is_in_time && self.wanted.holds(&seen.event) {
                    sink(at, &seen.event);
                }
                at += 1;
            }
        }
        Ok(())
    }
}

/// Days or hours as ranges of indexes, ascending, and what lies before the first of them.
struct Spans {
    spans: Vec<(String, Range<u64>)>,
    before: Range<u64>,
}

impl Spans {
    fn tally(&self, count: impl Fn(&Range<u64>) -> u64) -> Tally {
        let mut tally = Tally { other: count(&self.before), ..Tally::default() };
        self.spans.iter().for_each(|(key, span)| tally.add(Some(key), count(span)));
        tally
    }

    /// Where the span of a number ends: 0 is what lies before.
    fn end_of(&self, number: usize) -> Option<u64> {
        match number.checked_sub(1) {
            None => Some(self.before.end),
            Some(at) => self.spans.get(at).map(|(_, span)| span.end),
        }
    }
}
