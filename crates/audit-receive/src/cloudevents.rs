//! CloudEvents over HTTP, `POST /v1/cloudevents`: one in binary or structured mode, or a batch. The
//! answer says of each event what became of it, in the form of `/v1/events`.

use std::borrow::Cow;

use audit_api::http::answer;
use audit_api::refusal::EventRefusal;
use audit_api::shown::{number, object};
use audit_event::Value;
use audit_event::mapping::cloudevents::{self, Header};
use bytes::Bytes;
use http::{Response, StatusCode};
use serve::body::Body;
use serve::refusal::{Kind, Refusal};

use crate::receive::{Asked, Receive, Sender, bad_body, of_whole};
use crate::take::{Item, Outcome, RESULTS_MAX};

/// The source of what names none, which is refused anyway.
const SOURCE: &str = "cloudevents:unknown";

/// How a request says its events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Binary,
    Structured,
    Batch,
}

/// What became of the events, and the lines of the body that they begin in.
struct Answered {
    outcome: Outcome,
    lines: Vec<usize>,
}

pub(crate) async fn answer<B>(receive: &Receive, asked: &Asked<'_>, body: B) -> Response<Body>
where
    B: http_body::Body<Data = Bytes> + Send,
{
    let sender = Sender {
        receiver: "cloudevents",
        content_type: "application/cloudevents+json",
        source: SOURCE,
        log: None,
    };
    match take(receive, asked, &sender, body).await {
        Ok(answered) => written(receive, &sender, answered),
        Err(refusal) => answer::refusal(receive.counted(refusal)),
    }
}

async fn take<B>(
    receive: &Receive,
    asked: &Asked<'_>,
    sender: &Sender<'_>,
    body: B,
) -> Result<Answered, Refusal>
where
    B: http_body::Body<Data = Bytes> + Send,
{
    let mode = mode(asked).ok_or_else(media_type)?;
    let received = receive.body(asked, sender, body, receive.options().body_bytes_max).await?;
    let body = received.bytes();
    match mode {
        Mode::Binary => binary(receive, asked, sender, body).await,
        Mode::Structured => texts(receive, asked, sender, body, vec![body.trim_ascii()]).await,
        Mode::Batch => match batch(body) {
            Ok(items) => texts(receive, asked, sender, body, items).await,
            Err(refusal) if refusal.kind == Kind::TooLarge => {
                Err(Refusal { kind: Kind::TooLarge, ..of_whole(refusal) })
            }
            Err(refusal) => {
                receive.keep_whole(sender, body, &refusal).await?;
                Err(of_whole(refusal))
            }
        },
    }
}

/// Structured mode where the content type says so, else binary mode where there are attributes.
fn mode(asked: &Asked<'_>) -> Option<Mode> {
    let media_type = asked.media_type();
    match media_type.as_str() {
        "application/cloudevents+json" => Some(Mode::Structured),
        "application/cloudevents-batch+json" => Some(Mode::Batch),
        _ if media_type.starts_with("application/cloudevents") => None,
        _ => asked.headers.contains_key("ce-specversion").then_some(Mode::Binary),
    }
}

fn batch(body: &[u8]) -> Result<Vec<&[u8]>, EventRefusal> {
    let items = cloudevents::split_batch(body).map_err(|error| EventRefusal::from(&error))?;
    let items: Vec<&[u8]> = items.take(RESULTS_MAX + 1).collect();
    if items.len() > RESULTS_MAX {
        let refusal = bad_body(&format!("body has more than {RESULTS_MAX} events"));
        return Err(EventRefusal { kind: Kind::TooLarge, reason: "TOO_MANY_EVENTS", ..refusal });
    }
    Ok(items)
}

/// Events in the JSON format.
async fn texts(
    receive: &Receive,
    asked: &Asked<'_>,
    sender: &Sender<'_>,
    body: &[u8],
    items: Vec<&[u8]>,
) -> Result<Answered, Refusal> {
    let lines = lines(body, &items);
    let batch = receive.batch(asked, sender, body);
    let places = items.into_iter().enumerate().map(|(at, bytes)| Item {
        at,
        bytes,
        source: cloudevents::source_of(bytes).map_or(Cow::Borrowed(SOURCE), Cow::Owned),
        with: (),
    });
    let outcome = receive.take(&batch, places, |item, intake| cloudevents::map(item.bytes, intake));
    Ok(Answered { outcome: outcome.await?, lines })
}

/// One event in binary mode.
async fn binary(
    receive: &Receive,
    asked: &Asked<'_>,
    sender: &Sender<'_>,
    body: &[u8],
) -> Result<Answered, Refusal> {
    let headers = asked.headers.iter();
    let headers: Vec<Header<'_>> = headers
        .map(|(name, value)| Header { name: name.as_str(), value: value.as_bytes() })
        .collect();
    let raw = cloudevents::raw_of_binary(&headers, body);
    let sender = Sender { content_type: "message/http", ..*sender };
    let batch = receive.batch(asked, &sender, &raw);
    let source = cloudevents::source_of_binary(&headers);
    let source = source.map_or(Cow::Borrowed(SOURCE), Cow::Owned);
    let one = std::iter::once(Item { at: 0, bytes: &raw, source, with: () });
    let outcome =
        receive.take(&batch, one, |_, intake| cloudevents::map_binary(&headers, body, intake));
    Ok(Answered { outcome: outcome.await?, lines: vec![1] })
}

/// The line that each item begins in, from 1. The items are parts of the body, in their order.
fn lines(body: &[u8], items: &[&[u8]]) -> Vec<usize> {
    let (mut line, mut seen) = (1, 0);
    let line_of = |item: &&[u8]| {
        let at = item.as_ptr().addr().saturating_sub(body.as_ptr().addr()).min(body.len());
        let passed = body.get(seen..at).unwrap_or_default();
        line += passed.split(|byte| *byte == b'\n').count() - 1;
        seen = at;
        line
    };
    items.iter().map(line_of).collect()
}

fn written(receive: &Receive, sender: &Sender<'_>, answered: Answered) -> Response<Body> {
    let Answered { outcome, lines } = answered;
    let size = outcome.tree_size.map(merkle::TreeSize::get);
    let size = size.unwrap_or_else(|| receive.size_of(sender));
    let status = match outcome.first_refused {
        Some(_) if outcome.taken == 0 => StatusCode::BAD_REQUEST,
        _ => StatusCode::OK,
    };
    let mut first = None;
    let results = outcome.results.into_iter().map(|(at, result)| match result {
        Ok(taken) => Value::Object(answer::taken_members(taken, None)),
        Err(refusal) => {
            let line = lines.get(at).copied().unwrap_or(1);
            let error = Value::Object(answer::error_members(refusal, line));
            first.get_or_insert_with(|| error.clone());
            Value::Object(object([("error", error)]))
        }
    });
    let results = Value::List(results.collect());
    let mut members = object([("results", results), ("tree_size", number(size))]);
    if status != StatusCode::OK {
        members.extend(first.map(|error| ("error".to_owned(), error)));
    }
    answer::members(status, &members)
}

fn media_type() -> Refusal {
    Refusal::new(Kind::UnknownEncoding, "MEDIA_TYPE").field("content-type").says(
        "Content-Type must be application/cloudevents+json or application/cloudevents-batch+json, or \
         ce-specversion must be a header",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_said_with_the_line_that_it_begins_in() {
        let body = b"[\n {\"a\":\n1},{},\n\n {}]";
        let items = batch(body).unwrap();
        assert_eq!(items.len(), 3);
        assert_eq!(lines(body, &items), [2, 3, 5]);
    }

    #[test]
    fn a_batch_has_a_thousand_events_at_most() {
        let of = |count: usize| format!("[{}]", vec!["{}"; count].join(","));
        assert_eq!(batch(of(1_000).as_bytes()).unwrap().len(), 1_000);
        let refusal = batch(of(1_001).as_bytes()).unwrap_err();
        assert_eq!((refusal.kind, refusal.reason), (Kind::TooLarge, "TOO_MANY_EVENTS"));
        assert_eq!(batch(b"{}").unwrap_err().message, "the event is not a list");
    }
}
