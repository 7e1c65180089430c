//! Events that match, a page at a time, and how many there are.

use audit_event::Value;
use audit_index::{By, Counts, Page, Query};
use audit_trail::StoredEvent;
use http::{Response, StatusCode};
use log_core::Log;
use merkle::LeafIndex;
use serve::body::Body;
use serve::refusal::Refusal;

use super::{Asked, answer};
use crate::audit::Audit;
use crate::refusal;
use crate::shown::{self, number, object};

/// Bytes of events in one answer, about. A page that would be larger ends early and says where to go on.
const PAGE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// One page of a search.
pub(crate) async fn list(audit: &Audit, asked: &Asked<'_>) -> Result<Response<Body>, Refusal> {
    let log = audit.log(asked.log)?;
    let raw = asked.parameters.flag("raw")?;
    let query = query(asked, &["raw"])?;
    let indexes = audit.indexes().clone();
    let answer = move || page(&indexes, &log, &query, raw);
    let text = base::tasks::blocking(answer).await?;
    Ok(answer::json(StatusCode::OK, text))
}

/// The query that the parameters state, some aside.
fn query(asked: &Asked<'_>, aside: &[&str]) -> Result<Query, Refusal> {
    let pairs: Vec<(String, String)> =
        asked.parameters.pairs().filter(|(name, _)| !aside.contains(&name.as_str())).collect();
    let pairs = pairs.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    Query::parse(pairs).map_err(|error| refusal::of_query(&error))
}

fn page(
    indexes: &audit_index::AuditIndexes,
    log: &Log,
    query: &Query,
    raw: bool,
) -> Result<String, Refusal> {
    let found = indexes.search(log, query).map_err(refusal::of_search)?;
    let (mut events, mut bytes) = (String::new(), 0);
    let mut taken = 0;
    for index in &found.hits {
        let stored = StoredEvent::read(log, *index).map_err(refusal::of_stored)?;
        let item = audit_event::text::write(&shown::listed(stored, raw));
        if taken > 0 && bytes + item.len() > PAGE_BYTES_MAX {
            break;
        }
        bytes += item.len();
        if taken > 0 {
            events.push(',');
        }
        events.push_str(&item);
        taken += 1;
    }
    let next = next(&found, query, log, taken)?;
    Ok(format!(
        "{{\"events\":[{events}],\"next\":{},\"count\":{{\"value\":{},\"exact\":{}}},\
         \"indexed_to\":{},\"tree_size\":{}}}\n",
        next.map_or_else(|| "null".to_owned(), |text| audit_event::text::write_value(&text)),
        found.count.value,
        found.count.exact,
        found.indexed_to.get(),
        found.tree_size.get(),
    ))
}

/// The cursor behind the events that were answered.
fn next(found: &Page, query: &Query, log: &Log, taken: usize) -> Result<Option<Value>, Refusal> {
    let cut = found.hits.get(taken.wrapping_sub(1)).filter(|_| taken < found.hits.len());
    let cursor = match cut {
        None => found.next,
        Some(last) => Some(cursor_at(log, *last)?),
    };
    Ok(cursor.map(|cursor| Value::Text(query.cursor_text(cursor))))
}

fn cursor_at(log: &Log, index: LeafIndex) -> Result<audit_index::Cursor, Refusal> {
    let stored = StoredEvent::read(log, index).map_err(refusal::of_stored)?;
    Ok(audit_index::Cursor { received_at_ns: stored.leaf.received_at_ns(), index })
}

/// How many events match, by day, by hour or by a member.
pub(crate) async fn counts(audit: &Audit, asked: &Asked<'_>) -> Result<Response<Body>, Refusal> {
    let log = audit.log(asked.log)?;
    let by = asked.parameters.one("by")?;
    let by = by.as_deref().and_then(By::from_name);
    let by = by.ok_or_else(|| refusal::bad_field("by", &format!("one of {}", By::ALLOWED)))?;
    let query = query(asked, &["by"])?;
    let indexes = audit.indexes().clone();
    let counted = base::tasks::blocking(move || indexes.counts(&log, &query, by)).await;
    let Counts { counts, other, indexed_to } = counted.map_err(refusal::of_search)?;
    let count = |(key, count): (String, u64)| {
        Value::Object(object([("key", Value::Text(key)), ("count", number(count))]))
    };
    let counts = Value::List(counts.into_iter().map(count).collect());
    let members = object([
        ("counts", counts),
        ("other", number(other)),
        ("indexed_to", number(indexed_to.get())),
    ]);
    Ok(answer::members(StatusCode::OK, &members))
}
