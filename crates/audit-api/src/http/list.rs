//! Events that match, a page at a time, and how many there are.

use audit_event::{Value, text};
use audit_index::{AuditIndexes, By, Counts, Cursor, Page, Query};
use audit_trail::StoredEvent;
use http::{Response, StatusCode};
use log_core::Log;
use serve::body::Body;
use serve::refusal::Refusal;

use super::{Asked, answer};
use crate::audit::Audit;
use crate::refusal;
use crate::shown::{self, number, object};

/// Bytes of the events in one answer: what gRPC clients take by default is 4 MiB, and JSON escapes.
const PAGE_BYTES_MAX: usize = 3 * 1024 * 1024;

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

/// A page of events as they are stored, which ends early where it would be too large for one answer.
pub(crate) struct Found {
    pub(crate) page: Page,
    pub(crate) events: Vec<StoredEvent>,
    /// The cursor of the next page.
    pub(crate) next: Option<String>,
}

/// Searches, and reads what is found. Blocks.
pub(crate) fn page_of(indexes: &AuditIndexes, log: &Log, query: &Query) -> Result<Found, Refusal> {
    let page = indexes.search(log, query).map_err(refusal::of_search)?;
    let (mut events, mut bytes): (Vec<StoredEvent>, usize) = (Vec::new(), 0);
    for index in &page.hits {
        let stored = StoredEvent::read(log, *index).map_err(refusal::of_stored)?;
        bytes += stored.blocks.iter().map(|block| block.bytes.len()).sum::<usize>();
        if bytes > PAGE_BYTES_MAX && !events.is_empty() {
            break;
        }
        events.push(stored);
    }
    let last = events.last().filter(|_| events.len() < page.hits.len());
    let cursor = match last {
        None => page.next,
        Some(last) => {
            Some(Cursor { received_at_ns: last.leaf.received_at_ns(), index: last.index })
        }
    };
    let next = cursor.map(|cursor| query.cursor_text(cursor));
    Ok(Found { page, events, next })
}

fn page(indexes: &AuditIndexes, log: &Log, query: &Query, raw: bool) -> Result<String, Refusal> {
    let Found { page, events, next } = page_of(indexes, log, query)?;
    let events = events.into_iter().map(|stored| text::write(&shown::listed(stored, raw)));
    let events: Vec<String> = events.collect();
    let next = next.map_or_else(|| "null".to_owned(), |next| text::write_value(&Value::Text(next)));
    Ok(format!(
        "{{\"events\":[{}],\"next\":{next},\"count\":{{\"value\":{},\"exact\":{}}},\
         \"indexed_to\":{},\"tree_size\":{}}}\n",
        events.join(","),
        page.count.value,
        page.count.exact,
        page.indexed_to.get(),
        page.tree_size.get(),
    ))
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
