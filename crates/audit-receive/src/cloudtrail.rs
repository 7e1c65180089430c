//! A log file of CloudTrail, `POST /v1/cloudtrail`: `{"Records":[…]}`, plain or gzip.
//!
//! The answer counts. Whoever imports files asks for a log by `?log=NAME`, and says by
//! `?digest=VERDICT` what became of the file's digest; every record keeps that word.

use std::borrow::Cow;

use audit_api::http::answer;
use audit_api::refusal::EventRefusal;
use audit_api::shown::{number, object};
use audit_event::mapping::cloudtrail;
use audit_event::{Flag, Value};
use bytes::Bytes;
use http::{Response, StatusCode};
use serve::body::Body;
use serve::gzip::{self, NotOpened};
use serve::refusal::{Kind, Refusal};

use crate::receive::{Asked, Receive, Sender, bad_body, of_whole};
use crate::take::{Item, Outcome};

/// The source of a record that names no account or no region.
const SOURCE: &str = "aws://unknown";
/// Bytes of the word for what became of a digest.
const VERDICT_BYTES_MAX: usize = 32;
/// The detail of an event that holds it.
const VERDICT: &str = "digest";

pub(crate) async fn answer<B>(receive: &Receive, asked: &Asked<'_>, body: B) -> Response<Body>
where
    B: http_body::Body<Data = Bytes> + Send,
{
    let log = asked.parameter("log");
    let sender = Sender {
        receiver: "cloudtrail",
        content_type: "application/json",
        source: SOURCE,
        log: log.as_deref(),
    };
    match take(receive, asked, &sender, body).await {
        Ok(outcome) => {
            let size = outcome.tree_size.map(merkle::TreeSize::get);
            let size = size.unwrap_or_else(|| receive.size_of(&sender));
            let counts = object([
                ("duplicates", number(outcome.duplicates)),
                ("quarantined", number(outcome.refused)),
                ("taken", number(outcome.taken - outcome.duplicates)),
                ("tree_size", number(size)),
            ]);
            answer::members(StatusCode::OK, &counts)
        }
        Err(refusal) => answer::refusal(receive.counted(refusal)),
    }
}

async fn take<B>(
    receive: &Receive,
    asked: &Asked<'_>,
    sender: &Sender<'_>,
    body: B,
) -> Result<Outcome, Refusal>
where
    B: http_body::Body<Data = Bytes> + Send,
{
    let verdict = verdict(asked)?;
    let bytes_max = receive.options().body_bytes_max;
    let received = receive.body(asked, sender, body, bytes_max).await?;
    // A log file as it lies in a bucket is gzip, whatever its sender says of it.
    let opened = match received.bytes() {
        packed @ [0x1f, 0x8b, ..] => match gzip::open(packed, bytes_max) {
            Ok(opened) => Some(opened),
            Err(NotOpened::NoRoom(no_room)) => return Err(no_room.into()),
            Err(error) => return Err(of_whole(bad_body(&format!("body is {error}")))),
        },
        _ => None,
    };
    let body = match &opened {
        Some((opened, _room)) => opened,
        None => received.bytes(),
    };
    let records = match cloudtrail::split(body) {
        Ok(records) => records,
        Err(error) => {
            let refusal = EventRefusal::from(&error);
            receive.keep_whole(sender, body, &refusal).await?;
            return Err(of_whole(refusal));
        }
    };
    let batch = receive.batch(asked, sender, body);
    let places = records.enumerate().map(|(at, bytes)| Item {
        at,
        bytes,
        source: source(receive, bytes, &batch),
        with: (),
    });
    let outcome = receive.take(&batch, places, |item, intake| {
        let mut mapped = cloudtrail::map(item.bytes, intake)?;
        if let Some(verdict) = &verdict {
            mapped.event.metadata.insert(VERDICT.to_owned(), Value::from(verdict.as_str()));
            let flag = Flag::new(&format!("digest_{verdict}")).filter(|_| verdict != "valid");
            mapped.flags.extend(flag);
        }
        Ok(mapped)
    });
    outcome.await
}

/// The source that a record names, where any is configured.
fn source<'a>(receive: &Receive, record: &[u8], batch: &crate::take::Batch<'a>) -> Cow<'a, str> {
    let sources = receive.sources();
    if sources.is_empty() {
        return Cow::Borrowed(SOURCE);
    }
    let mapped = cloudtrail::map(record, &sources.of(SOURCE).intake(batch.now, SOURCE));
    let named = mapped.ok().and_then(|mapped| mapped.event.source);
    named.map_or(Cow::Borrowed(SOURCE), Cow::Owned)
}

fn verdict(asked: &Asked<'_>) -> Result<Option<String>, Refusal> {
    let Some(verdict) = asked.parameter(VERDICT) else { return Ok(None) };
    let is_word = verdict.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    if is_word && (1..=VERDICT_BYTES_MAX).contains(&verdict.len()) {
        return Ok(Some(verdict));
    }
    let says = "digest must be a word of small letters";
    Err(Refusal::new(Kind::Invalid, "BAD_FIELD").field(VERDICT).says(says))
}
