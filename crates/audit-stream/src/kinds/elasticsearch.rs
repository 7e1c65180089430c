//! The Bulk API of Elasticsearch and of what speaks it, into a data stream: `create` alone, with ids
//! that make a repetition harmless.

use std::collections::BTreeMap;

use audit_event::{Value, text};
use bytes::Bytes;
use http::{HeaderMap, Request, Uri};
use serde::Deserialize;

use crate::batch::{Item, Record};
use crate::destination::Form;
use crate::reply::{Fate, Reason, Reply, SetUp, of_status, strange};

/// The action line and the document.
pub(crate) fn record(item: Item<'_>, form: Form, id: &str) -> Option<String> {
    let time = item.event.event.time.unwrap_or_else(|| item.stored.received_at());
    let mut document = item.members(form)?;
    document.insert("@timestamp".to_owned(), Value::Text(time.to_string()));
    let id = text::write_value(&Value::from(id));
    Some(format!("{{\"create\":{{\"_id\":{id}}}}}\n{}\n", text::write(&document)))
}

pub(crate) fn request(
    url: &Uri,
    index: &str,
    authorization: Option<&str>,
    records: &[Record],
) -> Option<Request<Bytes>> {
    let url = if url.path().ends_with("/_bulk") {
        url.to_string()
    } else {
        super::below(url, &[], &format!("/{index}/_bulk"))
    };
    let body = records.iter().map(|record| record.body.as_str()).collect();
    super::post(&url, "application/x-ndjson", authorization, body)
}

#[derive(Debug, Deserialize)]
struct Bulk {
    items: Vec<BTreeMap<String, Outcome>>,
}

#[derive(Debug, Deserialize)]
struct Outcome {
    #[serde(rename = "_id")]
    id: Option<String>,
    status: u16,
    failure_store: Option<String>,
    error: Option<Failure>,
}

#[derive(Debug, Deserialize)]
struct Failure {
    #[serde(rename = "type")]
    kind: Option<String>,
}

/// A status of 200 may hide that nothing was taken: each item has one of its own.
pub(crate) fn reply(status: u16, headers: &HeaderMap, body: &[u8], records: &[Record]) -> Reply {
    if let Some(reply) = of_status(status, headers) {
        return reply;
    }
    // A whole request that is wrong says nothing of its records: no dead letters.
    if status == 400 {
        return Reply::Stop(SetUp::Status { status });
    }
    let bulk = serde_json::from_slice::<Bulk>(body).ok().filter(|_| status == 200);
    let outcomes: Option<Vec<Outcome>> = bulk
        .and_then(|bulk| bulk.items.into_iter().map(|item| item.into_values().next()).collect());
    let is_whole = |outcomes: &Vec<Outcome>| {
        let ids = outcomes.iter().zip(records);
        outcomes.len() == records.len() && { ids }
            .all(|(outcome, record)| outcome.id.as_ref().is_none_or(|id| *id == record.id))
    };
    let Some(outcomes) = outcomes.filter(is_whole) else { return strange(status) };
    if let Some(set_up) = outcomes.iter().find_map(set_up) {
        return Reply::Stop(set_up);
    }
    Reply::Fates { fates: outcomes.iter().map(fate).collect(), pauses: true }
}

fn kind(outcome: &Outcome) -> &str {
    outcome.error.as_ref().and_then(|error| error.kind.as_deref()).unwrap_or("")
}

/// What is wrong with the data stream, and not with a document.
fn set_up(outcome: &Outcome) -> Option<SetUp> {
    let status = outcome.status;
    let is_index =
        kind(outcome).starts_with("index_") || kind(outcome).starts_with("cluster_block");
    let is_set_up = matches!(status, 401 | 403 | 404) || (status == 400 && is_index);
    is_set_up.then_some(SetUp::Index { status })
}

fn fate(outcome: &Outcome) -> Fate {
    let status = outcome.status;
    match status {
        // It is kept where nobody searches.
        200..=299 if outcome.failure_store.as_deref().is_some_and(is_kept_aside) => {
            Fate::Dead(Reason::new(status, "failure_store"))
        }
        // 409: it is there already, by an attempt whose answer was lost.
        200..=299 | 409 => Fate::Taken,
        429 | 500..=599 => Fate::Again,
        _ => Fate::Dead(Reason::new(status, kind(outcome))),
    }
}

fn is_kept_aside(failure_store: &str) -> bool {
    matches!(failure_store, "used" | "failed")
}

#[cfg(test)]
mod tests;
