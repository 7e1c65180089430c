//! Looks up in the store what a plan needs to know: deduplication keys and producers.
//!
//! No write is in flight while we plan, so the store knows everything but the batch itself, and the plan
//! keeps track of that.

use std::collections::BTreeMap;

use super::line::Line;
use super::queue::{Call, Ticket};
use storage::keys::{corrupt, dedup_key};
use storage::{
    DedupId, DedupRow, Engine, Family, LogKind, ProducerId, ProducerRow, RowFault, StorageError,
};

/// What the store says about the tickets of a batch.
#[derive(Debug, Default)]
pub(super) struct Lookups {
    pub(super) dedup: BTreeMap<DedupId, DedupRow>,
    pub(super) producers: BTreeMap<ProducerId, ProducerRow>,
    /// The generation of each producer's newest stream.
    pub(super) generations: BTreeMap<ProducerId, u64>,
}

pub(super) fn resolve(
    engine: &dyn Engine,
    line: &Line,
    tickets: &[Ticket],
) -> Result<Lookups, StorageError> {
    let mut lookups = Lookups::default();
    let mut ids = Vec::new();
    for ticket in tickets {
        match ticket {
            Ticket::Append(call) => {
                collect_dedup(call, &mut ids);
                if let Some(span) = &call.producer {
                    resolve_producer(engine, line, span.id, &mut lookups)?;
                }
            }
            Ticket::AppendStamped(call) => {
                let known = call.leaves.iter().flatten().filter_map(|leaf| leaf.once.as_ref());
                ids.extend(known.map(|(id, _)| *id));
            }
            Ticket::OpenProducer { id, .. } => resolve_producer(engine, line, *id, &mut lookups)?,
            Ticket::Rows { .. } => {}
        }
    }
    if !ids.is_empty() {
        let rows = engine.dedup(line.record.id, &ids)?;
        let found = ids.into_iter().zip(rows).filter_map(|(id, row)| Some((id, row?)));
        lookups.dedup = found.collect();
        if line.record.kind == LogKind::Audit {
            check_times(line, &lookups)?;
        }
    }
    Ok(lookups)
}

/// The row of an event says when it was taken, so that nothing but rows is read here: a damaged entry
/// does not get in the way of others.
fn check_times(line: &Line, lookups: &Lookups) -> Result<(), StorageError> {
    match lookups.dedup.iter().find(|(_, row)| row.time_ns.is_none()) {
        None => Ok(()),
        Some((id, _)) => {
            let key = dedup_key(line.record.id, id);
            Err(corrupt(Family::Index, &key, RowFault::Field { field: "time" }).into())
        }
    }
}

fn collect_dedup(call: &Call, ids: &mut Vec<DedupId>) {
    ids.extend(call.entries.iter().flatten().filter_map(|entry| entry.dedup));
}

fn resolve_producer(
    engine: &dyn Engine,
    line: &Line,
    id: ProducerId,
    lookups: &mut Lookups,
) -> Result<(), StorageError> {
    if lookups.generations.insert(id, line.producers.generation(id)).is_none()
        && let Some(row) = engine.producer(line.record.id, &id)?
    {
        lookups.producers.insert(id, row);
    }
    Ok(())
}
