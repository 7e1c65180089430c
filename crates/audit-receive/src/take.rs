//! The items of a request into the logs of their sources.

use std::borrow::Cow;
use std::collections::BTreeMap;

use audit_api::refusal::EventRefusal;
use audit_event::mapping::{Intake, MapError, Mapped};
use audit_event::{Instant, Writer};
use audit_trail::{Draft, Taken};
use log_core::Log;
use merkle::TreeSize;
use serve::refusal::Refusal;

use crate::quarantine::{Malformed, Origin};
use crate::receive::{Receive, refused};

/// Items that are mapped and recorded together, and their bytes: a request of any size holds no more
/// events in memory.
const CHUNK_ITEMS: usize = 1_000;
const CHUNK_BYTES: usize = 4 * 1024 * 1024;

/// Items of which it is said one by one what became of them.
pub(crate) const RESULTS_MAX: usize = 1_000;

/// An item of a request.
#[derive(Debug, Clone)]
pub(crate) struct Item<'a, T> {
    /// Its place in the request, from 0.
    pub(crate) at: usize,
    /// As it was received.
    pub(crate) bytes: &'a [u8],
    /// The source that it is of, for the configuration of sources.
    pub(crate) source: Cow<'a, str>,
    /// What its mapping needs besides.
    pub(crate) with: T,
}

/// A request whose items are taken.
#[derive(Debug, Clone)]
pub(crate) struct Batch<'a> {
    pub(crate) origin: Origin<'a>,
    pub(crate) now: Instant,
    /// Who sent it.
    pub(crate) writer: Option<Writer>,
    /// The log that the request names, whatever is configured of its sources.
    pub(crate) log: Option<&'a str>,
}

/// What became of the items of a request. What was taken is durable, and what was refused is kept.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// Items that stand in a log now, those that stood there before too.
    pub(crate) taken: u64,
    /// Of them, those that stood there before.
    pub(crate) duplicates: u64,
    /// Items that were refused.
    pub(crate) refused: u64,
    /// The first item that was refused.
    pub(crate) first_refused: Option<(usize, EventRefusal)>,
    /// What became of the first [`RESULTS_MAX`] items.
    pub(crate) results: BTreeMap<usize, Result<Taken, EventRefusal>>,
    /// The size of the log that was written last.
    pub(crate) tree_size: Option<TreeSize>,
}

impl Outcome {
    fn add(&mut self, at: usize, result: Result<Taken, EventRefusal>) {
        match &result {
            Ok(taken) => {
                self.taken += 1;
                self.duplicates += u64::from(taken.duplicate);
            }
            Err(refusal) => {
                self.refused += 1;
                if self.first_refused.as_ref().is_none_or(|(first, _)| at < *first) {
                    self.first_refused = Some((at, refusal.clone()));
                }
            }
        }
        if at < RESULTS_MAX {
            self.results.insert(at, result);
        }
    }
}

/// What waits to be recorded in one log, and what was refused of it.
struct Pending<'a> {
    log: Log,
    drafts: Vec<Draft<'a>>,
    /// Place, source and bytes of each draft.
    places: Vec<(usize, Cow<'a, str>, &'a [u8])>,
    bytes: usize,
    malformed: Malformed,
}

impl Receive {
    /// Records what can be taken of a request, and keeps the rest. On an error the whole request may be
    /// sent again: what was taken before is recognised, as far as its format has ids.
    pub(crate) async fn take<'a, T, M>(
        &self,
        batch: &Batch<'a>,
        items: impl Iterator<Item = Item<'a, T>>,
        map: M,
    ) -> Result<Outcome, Refusal>
    where
        M: Fn(&Item<'a, T>, &Intake<'_>) -> Result<Mapped<'a>, MapError>,
    {
        let mut outcome = Outcome::default();
        let mut logs: BTreeMap<String, Pending<'a>> = BTreeMap::new();
        for item in items {
            let source = self.sources().of(&item.source);
            let name = batch.log.unwrap_or_else(|| source.log());
            if !logs.contains_key(name) {
                logs.insert(name.to_owned(), Pending::new(self.log(name)?));
            }
            let pending = logs.get_mut(name).expect("it was added above");
            match map(&item, &source.intake(batch.now, &item.source)) {
                Ok(mapped) => pending.push(item, mapped),
                Err(error) => {
                    let refusal = EventRefusal::from(&error);
                    pending.malformed.add(item.at, &item.source, item.bytes, &refusal);
                    outcome.add(item.at, Err(refusal));
                }
            }
            if pending.is_full() {
                self.record(batch, pending, &mut outcome).await?;
            }
        }
        for mut pending in logs.into_values() {
            self.record(batch, &mut pending, &mut outcome).await?;
            if !pending.malformed.is_empty() {
                self.quarantine(&pending.log, batch.origin, pending.malformed).await?;
            }
        }
        Ok(outcome)
    }

    /// Records what waits.
    async fn record(
        &self,
        batch: &Batch<'_>,
        pending: &mut Pending<'_>,
        outcome: &mut Outcome,
    ) -> Result<(), Refusal> {
        if pending.drafts.is_empty() {
            return Ok(());
        }
        pending.bytes = 0;
        let drafts = std::mem::take(&mut pending.drafts);
        let recorded = self.trail().record(&pending.log, drafts, batch.writer.as_ref()).await;
        let recorded = recorded.map_err(refused)?;
        outcome.tree_size = Some(recorded.tree_size);
        for ((at, source, bytes), result) in pending.places.drain(..).zip(recorded.results) {
            let result = result.map_err(|refused| EventRefusal::from(&refused));
            if let Err(refusal) = &result {
                pending.malformed.add(at, &source, bytes, refusal);
            }
            outcome.add(at, result);
        }
        Ok(())
    }
}

impl<'a> Pending<'a> {
    fn new(log: Log) -> Self {
        let (drafts, places) = (Vec::new(), Vec::new());
        Self { log, drafts, places, bytes: 0, malformed: Malformed::default() }
    }

    fn push<T>(&mut self, item: Item<'a, T>, mapped: Mapped<'a>) {
        self.bytes += item.bytes.len();
        self.drafts.push(Draft::Item(mapped));
        self.places.push((item.at, item.source, item.bytes));
    }

    fn is_full(&self) -> bool {
        self.drafts.len() >= CHUNK_ITEMS || self.bytes >= CHUNK_BYTES
    }
}
