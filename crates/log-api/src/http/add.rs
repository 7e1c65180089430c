//! `POST /logs/<name>/add`: one entry in the body, its index in the answer.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use log_proto::log_v1::ErrorReason;
use serve::body::{Body, Unread, full, plain};
use serve::refusal::Refusal;

use crate::logs::{Logs, single};
use crate::refusal::{self, IntoRefusal, reason_name};
use log_core::Submission;

/// Commits the entry, and answers with its decimal index and a newline. Takes any `Content-Type`.
pub(super) async fn add<B>(logs: &Logs, log: &str, body: B, bytes_max: usize) -> Response<Body>
where
    B: http_body::Body<Data = Bytes> + Send,
{
    match index(logs, log, body, bytes_max).await {
        Ok(index) => {
            let mut response = Response::new(full(format!("{index}\n")));
            let headers = response.headers_mut();
            let text = HeaderValue::from_static("text/plain; charset=utf-8");
            headers.insert(header::CONTENT_TYPE, text);
            headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
            response
        }
        Err(refusal) => refused(logs, refusal),
    }
}

/// Reads a body as [`add`] does and drops it: the floor that load generators measure `/add` against.
pub(super) async fn discard<B>(logs: &Logs, body: B, bytes_max: usize) -> Response<Body>
where
    B: http_body::Body<Data = Bytes> + Send,
{
    match read(body, bytes_max).await {
        Ok(_) => plain(StatusCode::OK, "ok"),
        Err(refusal) => refused(logs, refusal),
    }
}

async fn index<B>(logs: &Logs, log: &str, body: B, bytes_max: usize) -> Result<u64, Refusal>
where
    B: http_body::Body<Data = Bytes> + Send,
{
    let log = logs.named(log)?;
    let entry = read(body, bytes_max).await?;
    let committed = log.append(Submission::single(entry, None)).await;
    let committed = committed.map_err(IntoRefusal::into_refusal)?;
    logs.metrics().appended();
    single(&committed).map(|(index, _, _)| index.get())
}

async fn read<B>(body: B, bytes_max: usize) -> Result<Bytes, Refusal>
where
    B: http_body::Body<Data = Bytes> + Send,
{
    serve::body::read(body, bytes_max).await.map_err(|unread| match unread {
        Unread::CutShort => refusal::bad_field("body", "sent to its end"),
        Unread::TooLarge { bytes } => {
            let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
            let reason = Some(reason_name(ErrorReason::EntryTooLarge));
            Refusal { reason, ..Refusal::body_too_large(bytes, bytes_max) }
        }
    })
}

fn refused(logs: &Logs, refusal: Refusal) -> Response<Body> {
    logs.refused(&refusal);
    refusal.into_http()
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::Full;

    #[tokio::test]
    async fn bodies_are_taken_up_to_the_limit() {
        let of = async |len| {
            let body = Full::new(Bytes::from(vec![1; len]));
            read(body, 10).await.map(|body| body.len()).map_err(|refusal| {
                (refusal.kind.http(), refusal.reason.unwrap(), refusal.message.into_owned())
            })
        };
        assert_eq!(of(10).await, Ok(10));
        let message = "body has 11 bytes, the limit is 10".to_owned();
        assert_eq!(of(11).await, Err((StatusCode::PAYLOAD_TOO_LARGE, "ENTRY_TOO_LARGE", message)));
    }
}
