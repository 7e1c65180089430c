//! The HTTP Event Collector of Splunk. Its 200 says that the events were read; only an acknowledgement says
//! that they are stored.

use std::collections::BTreeMap;

use audit_api::shown::{number, object};
use audit_event::{Instant, Value, text};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Uri};
use serde::Deserialize;

use crate::batch::{Item, Record};
use crate::destination::Form;
use crate::reply::{Fate, Reason, Reply, SetUp, of_status, strange};

const EVENT: &str = "/services/collector/event";
const ACK: &str = "/services/collector/ack";
/// What an address may end with that stands for the collector.
const ENDS: [&str; 3] = ["/services/collector/event/1.0", EVENT, "/services/collector"];
const CHANNEL: &str = "x-splunk-request-channel";

/// The envelope.
pub(crate) fn record(
    item: Item<'_>,
    form: Form,
    index: Option<&str>,
    sourcetype: &str,
) -> Option<String> {
    let event = &item.event.event;
    let time = seconds(event.time.unwrap_or_else(|| item.stored.received_at()));
    let mut envelope = object([
        ("sourcetype", Value::from(sourcetype)),
        (
            "fields",
            Value::Object(object([
                ("leaf_hash", Value::Text(item.stored.leaf_hash.to_string())),
                ("leaf_index", number(item.stored.index.get())),
                ("log_origin", Value::from(item.origin)),
                ("received_at", Value::Text(item.stored.received_at().to_nine_digits())),
                ("tree_size", number(item.tree_size)),
            ])),
        ),
    ]);
    let known = [
        ("index", index),
        ("host", event.origin.host.as_deref()),
        ("source", event.source.as_deref()),
    ];
    let known =
        known.into_iter().filter_map(|(name, text)| Some((name.to_owned(), Value::from(text?))));
    envelope.extend(known);
    envelope.insert("event".to_owned(), Value::Object(item.members(form)?));
    // The time is a decimal number, which the writer of blocks does not know.
    let rest = text::write(&envelope);
    Some(format!("{{\"time\":{time},{}\n", rest.strip_prefix('{')?))
}

fn seconds(time: Instant) -> String {
    let micros = time.micros().max(0);
    format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000)
}

pub(crate) fn request(
    url: &Uri,
    authorization: Option<&str>,
    channel: Option<&HeaderValue>,
    records: &[Record],
) -> Option<Request<Bytes>> {
    let url = super::below(url, &ENDS, EVENT);
    let body = records.iter().map(|record| record.body.as_str()).collect();
    let mut request = super::post(&url, "application/json", authorization, body)?;
    request.headers_mut().extend(channel.map(|channel| (name(), channel.clone())));
    Some(request)
}

/// Asks whether what was accepted is stored.
pub(crate) fn ask(
    url: &Uri,
    authorization: Option<&str>,
    channel: &HeaderValue,
    ack_id: u64,
) -> Option<Request<Bytes>> {
    let url = super::below(url, &ENDS, ACK);
    let url = format!("{url}?channel={}", channel.to_str().ok()?);
    let body = format!("{{\"acks\":[{ack_id}]}}");
    let mut request = super::post(&url, "application/json", authorization, body)?;
    request.headers_mut().insert(name(), channel.clone());
    Some(request)
}

fn name() -> http::HeaderName {
    http::HeaderName::from_static(CHANNEL)
}

/// What the collector said of events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Said {
    /// It has read them, and may say later that they are stored.
    Accepted {
        ack_id: Option<u64>,
    },
    Other(Reply),
}

#[derive(Debug, Deserialize)]
struct Collector {
    code: u16,
    #[serde(rename = "ackId")]
    ack_id: Option<u64>,
    #[serde(rename = "invalid-event-number")]
    invalid: Option<usize>,
}

pub(crate) fn reply(status: u16, headers: &HeaderMap, body: &[u8], sent: usize) -> Said {
    if let Some(reply) = of_status(status, headers) {
        return Said::Other(reply);
    }
    let collector = serde_json::from_slice::<Collector>(body).ok();
    let Some(Collector { code, ack_id, invalid }) = collector else {
        return Said::Other(strange(status));
    };
    match (status, code) {
        (200, 0) => Said::Accepted { ack_id },
        // No data, invalid format, no event, a blank event, fields that cannot be indexed.
        (400, 5 | 6 | 12 | 13 | 15) => Said::Other(of_bad_data(code, invalid, sent)),
        (400, _) => Said::Other(Reply::Stop(SetUp::Collector { code })),
        _ => Said::Other(strange(status)),
    }
}

/// The one that is named is dead, and all others are sent again: nobody says which of them were read.
fn of_bad_data(code: u16, invalid: Option<usize>, sent: usize) -> Reply {
    let reason = Reason::new(400, &format!("code_{code}"));
    let Some(invalid) = invalid.filter(|invalid| *invalid < sent) else {
        return Reply::Halve(reason);
    };
    let fate = |at| if at == invalid { Fate::Dead(reason.clone()) } else { Fate::Again };
    Reply::Fates { fates: (0..sent).map(fate).collect(), pauses: false }
}

#[derive(Debug, Deserialize)]
struct Acks {
    acks: BTreeMap<String, bool>,
}

/// Whether events are stored: yes, not yet, or a fault.
pub(crate) fn acknowledged(status: u16, body: &[u8], ack_id: u64) -> Result<bool, SetUp> {
    match status {
        200 => {
            let acks = serde_json::from_slice::<Acks>(body).ok();
            let ack = acks.and_then(|acks| acks.acks.get(&ack_id.to_string()).copied());
            Ok(ack.unwrap_or(false))
        }
        400 => {
            let collector = serde_json::from_slice::<Collector>(body).ok();
            collector.map_or(Ok(false), |it| Err(SetUp::Collector { code: it.code }))
        }
        401 | 403 | 404 => Err(SetUp::Status { status }),
        _ => Ok(false),
    }
}

#[cfg(test)]
mod tests;
