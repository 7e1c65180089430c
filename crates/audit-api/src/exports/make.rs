//! Making the evidence file of one export: events in the order of the log, each batch with its proof.

use std::path::Path;

use audit_event::evidence::filter::TimeOf;
use audit_event::evidence::{BatchProof, Line};
use audit_event::{Instant, Tags};
use audit_index::{AuditIndexes, Order, Query, QueryError, SearchError};
use audit_trail::{StoredError, StoredEvent};
use evidence_file::write::{Options, Statements, Target, WriteError, Writer, Written};
use formats::SignedCheckpoint;
use log_core::Log;
use log_core::read::{Access, ReadError, Reads};
use merkle::{LeafIndex, TreeSize};
use storage::StorageError;

use super::job::{Request, View};

/// Events that are read at a time.
const READ_MAX: usize = 32;
/// Events between two reports of how far it is.
const REPORT_EVERY: u64 = 1_000;

/// Why an evidence file was not made.
#[derive(Debug, thiserror::Error)]
pub enum MakeError {
    /// The filter.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// The search.
    #[error(transparent)]
    Search(#[from] SearchError),
    /// An event cannot be read.
    #[error(transparent)]
    Stored(#[from] StoredError),
    /// A block of an event is missing or is not what was committed to.
    #[error("event {index} is damaged: run `cairn-server fsck`")]
    Damaged {
        /// Where it stands.
        index: LeafIndex,
    },
    /// A proof cannot be made.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The store.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The file cannot be written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// The log has no checkpoint that can be read.
    #[error("the log has no published checkpoint")]
    Checkpoint,
    /// The export was deleted, or the server stops.
    #[error("the export was stopped")]
    Stopped,
}

/// What an export is made of.
pub(super) struct Maker<'a> {
    pub(super) log: &'a Log,
    pub(super) reads: &'a Reads,
    pub(super) indexes: &'a AuditIndexes,
    pub(super) request: &'a Request,
    pub(super) made_by: &'a str,
    pub(super) made_at: Instant,
    /// Told how far it is: events done, and in all. False stops it.
    pub(super) progress: &'a dyn Fn(u64, u64) -> bool,
}

/// What is made, and the events of the log that it is about.
pub(super) struct Made {
    pub(super) written: Written,
    pub(super) tree_size: TreeSize,
}

impl Maker<'_> {
    /// Makes the archive at `path`. Blocks.
    pub(super) fn make(&self, path: &Path) -> Result<Made, MakeError> {
        let published = self.log.published();
        let checkpoint = SignedCheckpoint::parse(&published.note);
        let checkpoint = checkpoint.map_err(|_| MakeError::Checkpoint)?;
        let size = checkpoint.size();
        let query = self.request.query()?;
        let options = Options {
            csv: self.request.csv(),
            json: self.request.views.contains(&View::Json),
            parquet: self.request.views.contains(&View::Parquet),
            deflate: self.request.deflate,
        };
        let mut file = Writer::create(Target::Zip(path), options, checkpoint)?;
        let complete = if self.request.complete { Some(self.range(&query, size)?) } else { None };
        let mut hits = Hits::new(self, &query, size)?;
        let total = complete.as_ref().map_or(hits.total, |range| range.end - range.start);
        match &complete {
            None => self.matching(&mut file, &mut hits, size, total)?,
            Some(range) => self.all(&mut file, &mut hits, range.clone(), size, total)?,
        }
        if !file.unproven().is_empty() {
            self.prove(&mut file, size)?;
        }
        let keys: Vec<String> = self.log.vkeys().iter().map(ToString::to_string).collect();
        let written = file.finish(
            self.statements(&query, complete),
            &format!("{}\n", keys.join("\n")),
            &self.policy(&keys),
        )?;
        Ok(Made { written, tree_size: size })
    }

    fn statements(&self, query: &Query, complete: Option<std::ops::Range<u64>>) -> Statements {
        let withheld = self.request.withhold;
        Statements {
            log: self.log.name().as_str().to_owned(),
            made_at: self.made_at.to_string(),
            made_by: self.made_by.to_owned(),
            purpose: self.request.purpose.clone(),
            filter: query.to_filter().stated(withheld),
            filter_text: self.request.in_words(),
            time_zone: query.zone().iana_name().unwrap_or("UTC").to_owned(),
            complete,
            withheld,
        }
    }

    /// The log's policy with its keys, or one that asks for its keys alone.
    fn policy(&self, keys: &[String]) -> String {
        let logs: Vec<String> = keys.iter().map(|key| format!("log {key}\n")).collect();
        let logs = logs.concat();
        match self.log.policy() {
            None => format!("{logs}quorum none\n"),
            Some(policy) => {
                let text = String::from_utf8_lossy(&policy.format()).into_owned();
                if text.starts_with("log ") { text } else { format!("{logs}{text}") }
            }
        }
    }

    /// The indexes that a complete file has a line for: the range of receipt times with an event before
    /// and one behind it, or the whole log.
    fn range(&self, query: &Query, size: TreeSize) -> Result<std::ops::Range<u64>, MakeError> {
        let filter = query.to_filter();
        if query.time() != TimeOf::Received || !filter.has_receipt_range() {
            return Ok(0..size.get());
        }
        let place = |instant: Instant| {
            let nanos = u64::try_from(instant.nanos().max(0)).unwrap_or(u64::MAX);
            audit_index::read::first_received(self.log, 0, size.get(), nanos)
        };
        let start = query.from().map(place).transpose()?.unwrap_or(0);
        let end = query.to().map(place).transpose()?.unwrap_or_else(|| size.get());
        Ok(start.saturating_sub(1)..(end.max(start) + 1).min(size.get()))
    }

    /// Writes what matches.
    fn matching(
        &self,
        file: &mut Writer,
        hits: &mut Hits<'_>,
        size: TreeSize,
        total: u64,
    ) -> Result<(), MakeError> {
        let mut done = 0;
        while let Some(index) = hits.next()? {
            let stored = StoredEvent::read(self.log, index)?;
            self.push(file, stored, false, size)?;
            done += 1;
            self.report(done, total.max(done))?;
        }
        Ok(())
    }

    /// Writes every event of a range; what does not match shows `core` alone.
    fn all(
        &self,
        file: &mut Writer,
        hits: &mut Hits<'_>,
        range: std::ops::Range<u64>,
        size: TreeSize,
        total: u64,
    ) -> Result<(), MakeError> {
        let mut hit = hits.next()?;
        let mut at = range.start;
        while at < range.end {
            let start = LeafIndex::new(at).map_err(|_| MakeError::Checkpoint)?;
            let left = usize::try_from(range.end - at).unwrap_or(usize::MAX);
            for stored in StoredEvent::run(self.log, start, READ_MAX.min(left))? {
                while hit.is_some_and(|hit| hit < stored.index) {
                    hit = hits.next()?;
                }
                let reduced = hit != Some(stored.index);
                self.push(file, stored, reduced, size)?;
                at += 1;
                self.report(at - range.start, total)?;
            }
        }
        Ok(())
    }

    fn push(
        &self,
        file: &mut Writer,
        stored: StoredEvent,
        reduced: bool,
        size: TreeSize,
    ) -> Result<(), MakeError> {
        if !stored.damaged.is_empty() {
            return Err(MakeError::Damaged { index: stored.index });
        }
        let mut line: Line = stored.into_line();
        let all: Tags = audit_event::Tag::ALL.into_iter().collect();
        line.withhold(if reduced { all } else { self.request.withhold });
        if file.proof_is_due() {
            self.prove(file, size)?;
        }
        file.push(&line)?;
        Ok(())
    }

    fn prove(&self, file: &mut Writer, size: TreeSize) -> Result<(), MakeError> {
        let indexes: Vec<LeafIndex> = file.unproven().iter().map(|(index, _)| *index).collect();
        let tree = self.reads.signed(self.log.id(), &self.log.signed())?;
        let hashes = tree.batch_inclusion(&indexes, size, Access::Disk)?.hashes;
        file.proof(&BatchProof { size, hashes })?;
        Ok(())
    }

    fn report(&self, done: u64, total: u64) -> Result<(), MakeError> {
        let is_due = done.is_multiple_of(REPORT_EVERY) || done == 1 || done == total;
        if is_due && !(self.progress)(done, total) {
            return Err(MakeError::Stopped);
        }
        Ok(())
    }
}

/// The events that match, in the order of the log, page by page.
struct Hits<'a> {
    maker: &'a Maker<'a>,
    query: Query,
    size: TreeSize,
    page: std::collections::VecDeque<LeafIndex>,
    ended: bool,
    total: u64,
}

impl<'a> Hits<'a> {
    fn new(maker: &'a Maker<'a>, query: &Query, size: TreeSize) -> Result<Self, MakeError> {
        let query = query.clone().ordered(Order::Oldest, audit_index::query::LIMIT_MAX);
        let page = std::collections::VecDeque::new();
        let mut hits = Self { maker, query, size, page, ended: false, total: 0 };
        hits.total = hits.turn()?;
        Ok(hits)
    }

    fn next(&mut self) -> Result<Option<LeafIndex>, MakeError> {
        loop {
            match self.page.pop_front() {
                // What came after the checkpoint is not in this file.
                Some(index) => return Ok(Some(index).filter(|index| self.size.contains(*index))),
                None if self.ended => return Ok(None),
                None => drop(self.turn()?),
            }
        }
    }

    /// Reads the next page. Gives how many events match in all, as far as it is known.
    fn turn(&mut self) -> Result<u64, MakeError> {
        let page = self.maker.indexes.search(self.maker.log, &self.query)?;
        self.page = page.hits.into();
        match page.next {
            Some(cursor) => self.query = self.query.clone().behind(cursor),
            None => self.ended = true,
        }
        Ok(page.count.value)
    }
}
