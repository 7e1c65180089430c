//! One page of a search: the index, and what it does not hold yet, looked through in the order asked for.

use std::collections::VecDeque;
use std::ops::{ControlFlow, Range};

use audit_event::Instant;
use audit_event::evidence::filter::TimeOf;
use log_core::Log;
use merkle::{LeafIndex, TreeSize};
use storage::StorageError;

use super::{AuditIndexes, SearchError};
use crate::matching::Wanted;
use crate::part::{PartError, PartReader, Times};
use crate::parts::{Part, View, caught};
use crate::query::{Cursor, Order, Query};
use crate::read::{self, ROWS_MAX, Seen};

/// Where a count is not known without looking at each event, it ends here: there are more.
pub const COUNT_MAX: u64 = 10_000;

/// What matches, of the whole query and not of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Count {
    /// How many.
    pub value: u64,
    /// Whether it is all of them; if not there may be more.
    pub exact: bool,
}

/// A page of events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// Where they stand, in the order asked for. May be fewer than asked for, or none, where `next` is set.
    pub hits: Vec<LeafIndex>,
    /// Where to go on; `None` once the whole range was searched.
    pub next: Option<Cursor>,
    /// What matches.
    pub count: Count,
    /// Events that the index has taken. Those beyond were read from the log.
    pub indexed_to: TreeSize,
    /// Events of the log when it was searched.
    pub tree_size: TreeSize,
}

impl AuditIndexes {
    /// One page of what matches, over all events that the log had when it was called. Blocking.
    ///
    /// **Cost.** Some point reads, the postings of the terms asked for, a read of each hit, and of each
    /// event that the index does not hold yet.
    pub fn search(&self, log: &Log, query: &Query) -> Result<Page, SearchError> {
        let view = self.view(log)?;
        let size = log.tree().head.size.get();
        let range = range(log, query, size)?;
        let window = window(log, query, size, &range)?;
        let (wanted, times) = (Wanted::of(query), index_times(query));
        let mut run = Run::new(self, log, query, &wanted, range.clone(), window.clone());
        let page = match times {
            IndexTimes::Unknown => run.all(&View::default(), None),
            IndexTimes::Any => run.all(&view, None),
            IndexTimes::Within(times) => run.all(&view, Some(times)),
        };
        let found = match page {
            Ok(()) => run.page(),
            Err(PartError::Storage(error)) => return Err(error.into()),
            Err(error) => {
                self.abandon(log, &error);
                let mut run = Run::new(self, log, query, &wanted, range, window);
                run.all(&View::default(), None).map_err(of_log)?;
                run.page()
            }
        };
        let (hits, next, count) = found;
        let indexed_to = tree_size(view.noted.min(size));
        Ok(Page { hits, next, count, indexed_to, tree_size: tree_size(size) })
    }
}

/// Only the log is read without parts.
fn of_log(error: PartError) -> SearchError {
    match error {
        PartError::Storage(error) => error.into(),
        error => unreachable!("without parts there is no {error}"),
    }
}

pub(crate) fn tree_size(size: u64) -> TreeSize {
    TreeSize::new(size).expect("no larger than a tree that there is")
}

/// The events that a range of receipt times allows.
pub(crate) fn range(log: &Log, query: &Query, size: u64) -> Result<Range<u64>, StorageError> {
    if query.time() != TimeOf::Received {
        return Ok(0..size);
    }
    let place = |instant: Option<Instant>, otherwise: u64| match instant.map(Instant::nanos) {
        None => Ok(otherwise),
        Some(nanos) if nanos <= 0 => Ok(0),
        Some(nanos) => match u64::try_from(nanos) {
            Ok(nanos) => read::first_received(log, 0, size, nanos),
            Err(_) => Ok(size),
        },
    };
    let (start, end) = (place(query.from(), 0)?, place(query.to(), size)?);
    Ok(start..end.max(start))
}

/// What of the range lies behind the cursor.
fn window(
    log: &Log,
    query: &Query,
    size: u64,
    range: &Range<u64>,
) -> Result<Range<u64>, SearchError> {
    let Some(cursor) = query.after() else { return Ok(range.clone()) };
    let index = cursor.index.get();
    if index >= size || read::received_at_ns(log, index)? != cursor.received_at_ns {
        return Err(SearchError::Cursor);
    }
    Ok(match query.order() {
        Order::Newest => range.start..range.end.min(index).max(range.start),
        Order::Oldest => range.start.max(index + 1).min(range.end)..range.end,
    })
}

/// A range of event times as the index states times.
#[derive(Debug, Clone, Copy)]
pub(crate) enum IndexTimes {
    /// Every event is in range.
    Any,
    /// Those are.
    Within(Times),
    /// It ends beyond what the index can tell apart.
    Unknown,
}

pub(crate) fn index_times(query: &Query) -> IndexTimes {
    if query.time() != TimeOf::Event || (query.from().is_none() && query.to().is_none()) {
        return IndexTimes::Any;
    }
    let bound = |instant: Option<Instant>, otherwise: i64| match instant {
        None => Some(otherwise),
        Some(instant) => {
            i64::try_from(instant.nanos()).ok().filter(|it| *it > i64::MIN && *it < i64::MAX)
        }
    };
    let last = query.to().map_or(Some(i64::MAX), |to| bound(Some(to), 0).map(|to| to - 1));
    match (bound(query.from(), i64::MIN), last) {
        (Some(from), Some(last)) => IndexTimes::Within(Times { from, last }),
        _ => IndexTimes::Unknown,
    }
}

fn overlap(one: &Range<u64>, other: &Range<u64>) -> Range<u64> {
    let start = one.start.max(other.start);
    start..one.end.min(other.end).max(start)
}

/// One search under way.
struct Run<'a> {
    indexes: &'a AuditIndexes,
    log: &'a Log,
    query: &'a Query,
    wanted: &'a Wanted,
    /// What is counted.
    range: Range<u64>,
    /// What the page may hold.
    window: Range<u64>,
    /// Candidates in the order asked for, one more than the page holds where there are more.
    found: Vec<Candidate>,
    count: u64,
    /// Nothing was left out of the count.
    counts_all: bool,
    /// Where reading of the log ended before the range did.
    ended_at: Option<Cursor>,
}

struct Candidate {
    at: Cursor,
    /// What the index knows of it is stored no more.
    is_gone: bool,
}

impl<'a> Run<'a> {
    fn new(
        indexes: &'a AuditIndexes,
        log: &'a Log,
        query: &'a Query,
        wanted: &'a Wanted,
        range: Range<u64>,
        window: Range<u64>,
    ) -> Self {
        let found = Vec::new();
        Self {
            indexes,
            log,
            query,
            wanted,
            range,
            window,
            found,
            count: 0,
            counts_all: true,
            ended_at: None,
        }
    }

    /// Candidates that the page still has room for, and one more.
    fn room(&self) -> usize {
        (self.query.limit() + 1).saturating_sub(self.found.len())
    }

    fn all(&mut self, view: &View, times: Option<Times>) -> Result<(), PartError> {
        if self.wanted.is_everything() && self.is_cheap() {
            return Ok(self.everything()?);
        }
        let covered = view.covered();
        let tail = overlap(&self.range, &(covered..u64::MAX));
        match self.query.order() {
            Order::Newest => {
                self.tail(&tail)?;
                for part in view.parts.iter().rev() {
                    self.part(part, times)?;
                }
            }
            Order::Oldest => {
                for part in view.parts.iter() {
                    self.part(part, times)?;
                }
                self.tail(&tail)?;
            }
        }
        Ok(())
    }

    /// Without filters the places say all.
    fn everything(&mut self) -> Result<(), StorageError> {
        self.count = self.range.end - self.range.start;
        let room = u64::try_from(self.room()).unwrap_or(u64::MAX);
        let Range { start, end } = self.window;
        let page: Vec<u64> = match self.query.order() {
            Order::Newest => (end.saturating_sub(room).max(start)..end).rev().collect(),
            Order::Oldest => (start..end.min(start.saturating_add(room))).collect(),
        };
        for index in page {
            let Ok(index) = LeafIndex::new(index) else { break };
            let received_at_ns = read::received_at_ns(self.log, index.get())?;
            let at = Cursor { received_at_ns, index };
            self.found.push(Candidate { at, is_gone: false });
        }
        Ok(())
    }

    fn part(&mut self, part: &Part, times: Option<Times>) -> Result<(), PartError> {
        let within = overlap(&self.range, &part.range);
        let window = overlap(&self.window, &within);
        let wants_hits = self.room() > 0 && !window.is_empty() && self.ended_at.is_none();
        if within.is_empty() || (!wants_hits && !self.is_counting()) {
            self.counts_all &= within.is_empty();
            return Ok(());
        }
        let reader = self.indexes.shared().reader(part)?;
        if times.is_none()
            && within == part.range
            && let Some(count) = caught(|| reader.count_of_term(self.wanted))?
        {
            self.count += count;
            if count > 0 && wants_hits {
                let (_, found) = caught(|| self.look(&reader, times, &window, &window))?;
                self.check(found)?;
            }
            return Ok(());
        }
        let within = if self.is_counting() { within } else { window.clone() };
        let (count, found) = caught(|| self.look(&reader, times, &within, &window))?;
        self.count += count;
        self.check(found)
    }

    /// Whether the count is not known to be too large.
    fn is_counting(&self) -> bool {
        self.counts_all && (self.is_cheap() || self.count <= COUNT_MAX)
    }

    /// Whether the index knows the count without looking at each event.
    fn is_cheap(&self) -> bool {
        let is_timed = !matches!(index_times(self.query), IndexTimes::Any);
        !is_timed && (self.wanted.is_everything() || matches!(self.wanted, Wanted::Term(..)))
    }

    /// Counts what matches in `within`, and finds what the page has room for in `window`.
    fn look(
        &self,
        reader: &PartReader,
        times: Option<Times>,
        within: &Range<u64>,
        window: &Range<u64>,
    ) -> Result<(u64, Vec<u64>), PartError> {
        let (room, is_newest) = (self.room(), self.query.order() == Order::Newest);
        let (mut count, mut found) = (0, VecDeque::new());
        reader.each(self.wanted, times, within, |index| {
            count += 1;
            if room > 0 && window.contains(&index) {
                if is_newest && found.len() == room {
                    found.pop_front();
                }
                if found.len() < room {
                    found.push_back(index);
                }
            }
            let is_settled = !is_newest && found.len() == room || index >= window.end;
            if is_settled && !self.is_cheap() && self.count + count > COUNT_MAX {
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        })?;
        let mut found = Vec::from(found);
        if is_newest {
            found.reverse();
        }
        Ok((count, found))
    }

    /// Compares what a part found with what is stored.
    fn check(&mut self, found: Vec<u64>) -> Result<(), PartError> {
        for index in found {
            let index = LeafIndex::new(index).map_err(|_| PartError::Other)?;
            let seen = read::seen(self.log, index, 1)?.pop().ok_or(PartError::Other)?;
            let is_gone = !self.matches(&seen);
            if is_gone && !seen.lacks_blocks {
                return Err(PartError::Lies);
            }
            self.count -= u64::from(is_gone);
            let at = Cursor { received_at_ns: seen.received_at_ns, index };
            self.found.push(Candidate { at, is_gone });
        }
        Ok(())
    }

    fn matches(&self, seen: &Seen) -> bool {
        self.query.is_in_time(&seen.event, seen.received_at_ns) && self.wanted.holds(&seen.event)
    }

    /// Reads what the index does not hold. Where that is much, only what the page may hold, and no more than
    /// one call may read.
    fn tail(&mut self, tail: &Range<u64>) -> Result<(), StorageError> {
        let is_short = tail.end - tail.start <= self.indexes.scan_max();
        self.counts_all &= is_short;
        let within = if is_short { tail.clone() } else { overlap(&self.window, tail) };
        let mut left = self.indexes.scan_max();
        let mut rest = within;
        while !rest.is_empty() {
            if self.room() == 0 && (!self.counts_all || self.count > COUNT_MAX) {
                self.counts_all = false;
                return Ok(());
            }
            let rows =
                u64::try_from(ROWS_MAX).unwrap_or(u64::MAX).min(rest.end - rest.start).min(left);
            let is_newest = self.query.order() == Order::Newest;
            let start = if is_newest { rest.end - rows } else { rest.start };
            let last = self.rows(start, rows, is_newest)?;
            rest = if is_newest { rest.start..start } else { start + rows..rest.end };
            left -= rows;
            if left == 0 && !rest.is_empty() {
                self.counts_all = false;
                if self.room() > 0 {
                    self.ended_at = last;
                }
                return Ok(());
            }
        }
        Ok(())
    }

    /// Reads consecutive events. Answers the last one in the order asked for.
    fn rows(
        &mut self,
        start: u64,
        rows: u64,
        is_newest: bool,
    ) -> Result<Option<Cursor>, StorageError> {
        let Ok(first) = LeafIndex::new(start) else { return Ok(None) };
        let limit = usize::try_from(rows).unwrap_or(ROWS_MAX);
        let mut seen: Vec<(u64, Seen)> =
            (start..).zip(read::seen(self.log, first, limit)?).collect();
        if is_newest {
            seen.reverse();
        }
        let mut last = None;
        for (index, seen) in seen {
            let Ok(place) = LeafIndex::new(index) else { break };
            let at = Cursor { received_at_ns: seen.received_at_ns, index: place };
            last = Some(at);
            if self.matches(&seen) {
                self.count += 1;
                if self.room() > 0 && self.window.contains(&index) {
                    self.found.push(Candidate { at, is_gone: false });
                }
            }
        }
        Ok(last)
    }

    fn page(self) -> (Vec<LeafIndex>, Option<Cursor>, Count) {
        let limit = self.query.limit();
        let has_more = self.found.len() > limit;
        let last = self.found.get(limit - 1).filter(|_| has_more).map(|found| found.at);
        let shown = self.found.iter().take(limit).filter(|found| !found.is_gone);
        let hits = shown.map(|found| found.at.index).collect();
        let is_over = self.count > COUNT_MAX && !(self.is_cheap() && self.counts_all);
        let exact = self.counts_all && !is_over;
        let value = if is_over { COUNT_MAX } else { self.count };
        (hits, last.or(self.ended_at), Count { value, exact })
    }
}
