//! Events read from a log and written as records.

use audit_api::shown::{listed, number, object, sentence};
use audit_event::mapping::ocsf;
use audit_event::value::Object;
use audit_event::{RecordedEvent, Tag, Value};
use audit_trail::{StoredError, StoredEvent};
use log_core::Log;
use merkle::LeafIndex;

use crate::destination::{Destination, Form, Kind};
use crate::kinds::{elasticsearch, otlp, splunk, webhook};

/// Records of one batch.
pub(crate) const RECORDS_MAX: usize = 1_000;
/// Bytes of one batch, unless its only record is larger.
pub(crate) const BYTES_MAX: usize = 5 * 1024 * 1024;
/// Events looked at for one batch: a filter may leave out nearly all.
const LOOKED_AT_MAX: u64 = 10_000;
/// Events read at a time: RAW is read with them, and each may have 4 MiB of it.
const READ_MAX: usize = 32;

/// One event, as a destination takes it.
#[derive(Debug, Clone)]
pub(crate) struct Record {
    pub(crate) index: u64,
    /// Unique for this event at every destination.
    pub(crate) id: String,
    pub(crate) body: String,
}

/// Consecutive events, as far as they go out.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    pub(crate) records: Vec<Record>,
    /// Events that exist and cannot be read.
    pub(crate) damaged: Vec<u64>,
    /// The first event behind it.
    pub(crate) end: u64,
    /// When the log took the first record.
    pub(crate) oldest_ms: Option<u64>,
    /// Erasures before it was read.
    pub(crate) made_at: u64,
}

/// What becomes of one stored event.
enum Part {
    Record(Record),
    /// Erased, or left out by the filter.
    Nothing,
    Damaged,
}

/// Reads events from `start` on. Blocks.
pub(crate) fn collect(
    destination: &Destination,
    log: &Log,
    start: u64,
) -> Result<Batch, StoredError> {
    let mut batch = Batch { end: start, ..Batch::default() };
    let mut bytes = 0;
    let last = start.saturating_add(LOOKED_AT_MAX);
    while batch.end < last {
        let events = StoredEvent::run(log, at(log, batch.end)?, READ_MAX)?;
        if events.is_empty() {
            break;
        }
        for stored in events {
            let (index, received) = (stored.index.get(), stored.leaf.received_at_ns());
            match part(destination, log, stored) {
                Part::Record(record) => {
                    let more = record.body.len() + record.id.len();
                    let is_full = batch.records.len() >= RECORDS_MAX || bytes + more > BYTES_MAX;
                    if is_full && !batch.records.is_empty() {
                        return Ok(batch);
                    }
                    bytes += more;
                    batch.oldest_ms.get_or_insert(received / 1_000_000);
                    batch.records.push(record);
                }
                Part::Damaged => batch.damaged.push(index),
                Part::Nothing => {}
            }
            batch.end = index.saturating_add(1);
        }
    }
    Ok(batch)
}

/// Reads single events. What is not there any more is left out. Blocks.
pub(crate) fn again(
    destination: &Destination,
    log: &Log,
    indexes: &[u64],
) -> Result<Vec<Record>, StoredError> {
    let mut records = Vec::with_capacity(indexes.len());
    for index in indexes {
        let stored = match StoredEvent::read(log, at(log, *index)?) {
            Err(StoredError::Beyond { .. }) => continue,
            stored => stored?,
        };
        if let Part::Record(record) = part(destination, log, stored) {
            records.push(record);
        }
    }
    Ok(records)
}

fn at(log: &Log, index: u64) -> Result<LeafIndex, StoredError> {
    LeafIndex::new(index).map_err(|_| StoredError::Beyond { size: log.tree().head.size })
}

fn part(destination: &Destination, log: &Log, stored: StoredEvent) -> Part {
    if stored.erased.contains(Tag::Core) {
        return Part::Nothing;
    }
    if stored.damaged.contains(Tag::Core) {
        return Part::Damaged;
    }
    let event = stored.recorded();
    let received = stored.leaf.received_at_ns();
    if destination.filter.as_ref().is_some_and(|filter| !filter.matches(&event, received)) {
        return Part::Nothing;
    }
    let (index, origin) = (stored.index.get(), log.origin().as_str());
    let id = format!("{origin}-{index}");
    let item = Item {
        event: &event,
        log: log.name().as_str(),
        origin,
        tree_size: log.tree().head.size.get(),
        stored,
    };
    // A core that is there and says nothing was not written by a log's own server.
    item.body(&destination.kind, &id)
        .map_or(Part::Damaged, |body| Part::Record(Record { index, id, body }))
}

/// An event with its place.
#[derive(Debug)]
pub(crate) struct Item<'a> {
    pub(crate) stored: StoredEvent,
    pub(crate) event: &'a RecordedEvent,
    pub(crate) log: &'a str,
    pub(crate) origin: &'a str,
    /// Events of the log when it was read: a proof of that size, or of a later one, has it.
    pub(crate) tree_size: u64,
}

impl Item<'_> {
    fn body(self, kind: &Kind, id: &str) -> Option<String> {
        match kind {
            Kind::Elasticsearch { form, .. } => elasticsearch::record(self, *form, id),
            Kind::Splunk { form, index, sourcetype, .. } => {
                splunk::record(self, *form, index.as_deref(), sourcetype)
            }
            Kind::Webhook { domain } => webhook::record(&self, domain),
            Kind::Otlp => Some(otlp::record(&self)),
        }
    }

    /// What finds the event in its log again.
    pub(crate) fn proof(&self) -> Object {
        object([
            ("log", Value::from(self.log)),
            ("origin", Value::from(self.origin)),
            ("leaf_index", number(self.stored.index.get())),
            ("leaf_hash", Value::Text(self.stored.leaf_hash.to_string())),
            ("received_at", Value::Text(self.stored.received_at().to_nine_digits())),
            ("tree_size", number(self.tree_size)),
        ])
    }

    /// What happened, in one sentence.
    pub(crate) fn sentence(&self) -> String {
        sentence(&self.stored)
    }

    /// The event as an object, with its proof fields as the member `cairn`.
    pub(crate) fn members(self, form: Form) -> Option<Object> {
        let proof = Value::Object(self.proof());
        let mut members = match form {
            Form::Event => listed(self.stored, false),
            Form::Ocsf => {
                ocsf::export(&self.stored.described(self.event, self.origin), None).ok()?
            }
        };
        members.insert("cairn".to_owned(), proof);
        Some(members)
    }
}
