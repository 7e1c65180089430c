//! Pages, counts, tails.

use audit_index::{By, Counts, Query};
use audit_trail::StoredEvent;
use futures_util::StreamExt as _;
use log_proto::audit_v1 as pb;
use serve::refusal::Refusal;

use super::{Answers, read};
use crate::audit::Audit;
use crate::http::list::page_of;
use crate::{refusal, tail};

fn query(parameters: &[pb::Parameter]) -> Result<Query, Refusal> {
    let pairs = parameters.iter().map(|it| (it.name.as_str(), it.value.as_str()));
    Query::parse(pairs).map_err(|error| refusal::of_query(&error))
}

pub(super) async fn search(
    audit: &Audit,
    request: pb::SearchEventsRequest,
) -> Result<pb::SearchEventsResponse, Refusal> {
    let log = audit.log(&request.log)?;
    let query = query(&request.query)?;
    let indexes = audit.indexes().clone();
    let found = base::tasks::blocking(move || page_of(&indexes, &log, &query)).await?;
    let page = found.page;
    Ok(pb::SearchEventsResponse {
        events: found.events.into_iter().map(listed).collect(),
        next: found.next.unwrap_or_default(),
        count: page.count.value,
        count_exact: page.count.exact,
        indexed_to: page.indexed_to.get(),
        tree_size: page.tree_size.get(),
    })
}

/// An event of a list, which has no blocks.
fn listed(stored: StoredEvent) -> pb::StoredEvent {
    pb::StoredEvent { blocks: Vec::new(), ..read::message(stored) }
}

pub(super) async fn count(
    audit: &Audit,
    request: pb::CountEventsRequest,
) -> Result<pb::CountEventsResponse, Refusal> {
    let log = audit.log(&request.log)?;
    let by = By::from_name(&request.by);
    let by = by.ok_or_else(|| refusal::bad_field("by", &format!("one of {}", By::ALLOWED)))?;
    let query = query(&request.query)?;
    let indexes = audit.indexes().clone();
    let counted = base::tasks::blocking(move || indexes.counts(&log, &query, by)).await;
    let Counts { counts, other, indexed_to } = counted.map_err(refusal::of_search)?;
    let count = |(key, count)| pb::count_events_response::KeyCount { key, count };
    Ok(pb::CountEventsResponse {
        counts: counts.into_iter().map(count).collect(),
        other,
        indexed_to: indexed_to.get(),
    })
}

pub(super) fn tail(
    audit: &Audit,
    request: &pb::TailEventsRequest,
) -> Result<Answers<pb::StoredEvent>, Refusal> {
    let log = audit.log(&request.log)?;
    let events = tail::tail(audit, log, request.from)?;
    let audit = audit.clone();
    Ok(Box::pin(
        events.map(move |event| event.map(read::message).map_err(|refusal| audit.status(refusal))),
    ))
}
