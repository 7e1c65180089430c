//! Looks up in the store what a plan needs to know: deduplication keys and producers.
//!
//! Nothing is planned while a write is in flight, so what the store says is all there is to know apart
//! from the batch itself, which the plan looks through as it goes.

use std::collections::BTreeMap;

use super::queue::{Call, Ticket};
use crate::life::state::LogShared;
use storage::{DedupId, DedupRow, ProducerId, ProducerRow, StorageError};

/// What the store says about the tickets of a batch.
#[derive(Debug, Default)]
pub(crate) struct Lookups {
    pub(crate) dedup: BTreeMap<DedupId, DedupRow>,
    pub(crate) producers: BTreeMap<ProducerId, ProducerRow>,
    /// The generation of each producer's newest stream.
    pub(crate) generations: BTreeMap<ProducerId, u64>,
}

pub(crate) fn resolve(log: &LogShared, tickets: &[Ticket]) -> Result<Lookups, StorageError> {
    let mut lookups = Lookups::default();
    let mut ids = Vec::new();
    for ticket in tickets {
        match ticket {
            Ticket::Append(call) => {
                collect_dedup(call, &mut ids);
                if let Some(span) = &call.producer {
                    resolve_producer(log, span.id, &mut lookups)?;
                }
            }
            Ticket::OpenProducer { id, .. } => resolve_producer(log, *id, &mut lookups)?,
            Ticket::Rows { .. } => {}
        }
    }
    if !ids.is_empty() {
        let rows = log.process.engine.dedup(log.record.id, &ids)?;
        let found = ids.into_iter().zip(rows).filter_map(|(id, row)| Some((id, row?)));
        lookups.dedup = found.collect();
    }
    Ok(lookups)
}

fn collect_dedup(call: &Call, ids: &mut Vec<DedupId>) {
    ids.extend(call.entries.iter().flatten().filter_map(|entry| entry.dedup));
}

fn resolve_producer(
    log: &LogShared,
    id: ProducerId,
    lookups: &mut Lookups,
) -> Result<(), StorageError> {
    if lookups.generations.insert(id, log.producers.generation(id)).is_none()
        && let Some(row) = log.process.engine.producer(log.record.id, &id)?
    {
        lookups.producers.insert(id, row);
    }
    Ok(())
}
