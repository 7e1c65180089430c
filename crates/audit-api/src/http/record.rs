//! Events into an audit log.

use audit_event::Value;
use audit_trail::{Draft, Recorded, Taken};
use bytes::Bytes;
use http::{Response, StatusCode};
use log_api::receipts::{self, Level, Until};
use log_core::{Log, SignedHead};
use merkle::TreeSize;
use serve::body::{self, Body, Unread};
use serve::refusal::{Kind, Refusal};

use super::body::{Part, parts};
use super::{Asked, answer};
use crate::audit::{Audit, writer};
use crate::refusal::{self, EventRefusal};
use crate::routes::BODY_BYTES_MAX;
use crate::shown::{number, object};

/// What became of one event.
enum Result1 {
    Taken(Taken, Option<Bytes>),
    Refused(EventRefusal),
}

/// Records the events of a body and says what became of each.
pub(crate) async fn record<B>(
    audit: &Audit,
    asked: &Asked<'_>,
    body: B,
) -> Result<Response<Body>, Refusal>
where
    B: http_body::Body<Data = Bytes> + Send,
{
    asked.parameters.only(&["receipt"])?;
    let level = asked.parameters.level()?;
    let log = audit.log(asked.log)?;
    receipts::check(&log, level)?;
    if body::encoded(asked.headers).is_some() {
        return Err(refusal::media_type());
    }
    let body = read(body, BODY_BYTES_MAX).await?;
    let parts = parts(&body, asked.headers)?;
    let (results, tree_size) = take(audit, asked, &log, &parts, level).await?;
    Ok(answered(&parts, results, tree_size))
}

/// The whole body.
pub(crate) async fn read<B>(body: B, bytes_max: usize) -> Result<Bytes, Refusal>
where
    B: http_body::Body<Data = Bytes> + Send,
{
    body::read(body, bytes_max).await.map_err(|unread| match unread {
        Unread::CutShort => refusal::body_cut_short(),
        Unread::TooLarge { bytes } => {
            Refusal::body_too_large(u64::try_from(bytes).unwrap_or(u64::MAX), bytes_max)
        }
    })
}

async fn take(
    audit: &Audit,
    asked: &Asked<'_>,
    log: &Log,
    parts: &[Part<'_>],
    level: Level,
) -> Result<(Vec<Result1>, TreeSize), Refusal> {
    let bytes_max = audit.options().event_bytes_max;
    let mut drafts = Vec::with_capacity(parts.len());
    let read = parts.iter().map(|part| match Draft::json(part.bytes, bytes_max) {
        Ok(draft) => {
            drafts.push(draft);
            None
        }
        Err(error) => Some(EventRefusal::from(&error)),
    });
    let unread: Vec<Option<EventRefusal>> = read.collect();
    let (recorded, tree_size) = if drafts.is_empty() {
        (Vec::new(), log.tree().head.size)
    } else {
        let writer = writer(&asked.principal);
        let recorded = audit.trail().record(log, drafts, writer.as_ref()).await;
        let Recorded { results, tree_size } = recorded.map_err(refusal::of_record)?;
        (results, tree_size)
    };
    let head = if level == Level::Index || recorded.iter().all(Result::is_err) {
        None
    } else {
        let waits = audit.options().waits;
        let until = Until::new(None, asked.deadline, waits, audit.clock());
        receipts::reach_committed(log, tree_size, level, until).await
    };
    let mut recorded = recorded.into_iter();
    let mut results = Vec::with_capacity(parts.len());
    for unread in unread {
        let result = match unread {
            Some(refusal) => Result1::Refused(refusal),
            None => match recorded.next().expect("each event that was read has a result") {
                Err(refused) => Result1::Refused(EventRefusal::from(&refused)),
                Ok(taken) => {
                    let head = head.as_ref().map(|(head, _)| &**head);
                    let receipt = receipt(audit, log, head, &taken).await;
                    Result1::Taken(taken, receipt)
                }
            },
        };
        results.push(result);
    }
    Ok((results, tree_size))
}

/// The receipt of an event that this call has found or committed. Where none can be made the answer
/// says all the same that the event is there.
async fn receipt(
    audit: &Audit,
    log: &Log,
    head: Option<&SignedHead>,
    taken: &Taken,
) -> Option<Bytes> {
    let head = head?;
    let proof = receipts::tlog_proof(audit.logs().reads(), log, head, taken.index).await;
    proof
        .inspect_err(|refusal| {
            tracing::error!(%refusal, "no receipt can be made of an event that is committed");
        })
        .ok()
}

fn answered(parts: &[Part<'_>], results: Vec<Result1>, tree_size: TreeSize) -> Response<Body> {
    let status = status(&results);
    let mut first = None;
    let shown = results.into_iter().zip(parts).map(|(result, part)| match result {
        Result1::Taken(taken, receipt) => Value::Object(answer::taken_members(taken, receipt)),
        Result1::Refused(refusal) => {
            let error = Value::Object(answer::error_members(refusal, part.line));
            first.get_or_insert_with(|| error.clone());
            Value::Object(object([("error", error)]))
        }
    });
    let results = Value::List(shown.collect());
    let mut body = object([("results", results), ("tree_size", number(tree_size.get()))]);
    if status != StatusCode::OK {
        body.extend(first.map(|error| ("error".to_owned(), error)));
    }
    answer::members(status, &body)
}

/// 200 if anything stands in the log now, 409 if the one event is known with other content, 413 if the
/// one event is too large, else 400.
fn status(results: &[Result1]) -> StatusCode {
    if results.iter().any(|result| matches!(result, Result1::Taken(..))) {
        return StatusCode::OK;
    }
    match results {
        [Result1::Refused(EventRefusal { kind: kind @ (Kind::Exists | Kind::TooLarge), .. })] => {
            kind.http()
        }
        _ => StatusCode::BAD_REQUEST,
    }
}
