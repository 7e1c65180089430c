//! What logs send.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use serve::body::{Body, Unread, full, plain};

use crate::witness::{Refusal, Witness};

/// What a refused caller is told to wait, in seconds.
const RETRY_AFTER_S: &str = "1";

pub(super) async fn add_checkpoint<B>(
    witness: &Witness,
    body: B,
    bytes_max: usize,
) -> Response<Body>
where
    B: http_body::Body<Data = Bytes> + Send,
{
    match serve::body::read(body, bytes_max).await {
        Ok(body) => answer(witness.add_checkpoint(&body).await),
        Err(unread) => not_read(unread, bytes_max),
    }
}

pub(super) async fn sign_subtree<B>(witness: &Witness, body: B, bytes_max: usize) -> Response<Body>
where
    B: http_body::Body<Data = Bytes> + Send,
{
    match serve::body::read(body, bytes_max).await {
        Ok(body) => answer(witness.sign_subtree(&body).await),
        Err(unread) => not_read(unread, bytes_max),
    }
}

fn answer(lines: Result<String, Refusal>) -> Response<Body> {
    match lines {
        Ok(lines) => {
            let mut response = Response::new(full(lines));
            let headers = response.headers_mut();
            let text = HeaderValue::from_static("text/plain; charset=utf-8");
            headers.insert(header::CONTENT_TYPE, text);
            headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
            response
        }
        Err(refusal) => refused(&refusal),
    }
}

fn refused(refusal: &Refusal) -> Response<Body> {
    if let Refusal::OtherOldSize { held } = refusal {
        return other_old_size(held.get());
    }
    let status = refusal.status();
    let mut response = plain(status, &refusal.to_string());
    if status == StatusCode::SERVICE_UNAVAILABLE {
        let after = HeaderValue::from_static(RETRY_AFTER_S);
        response.headers_mut().insert(header::RETRY_AFTER, after);
    }
    response
}

/// The body is the size alone: tools read it.
fn other_old_size(held: u64) -> Response<Body> {
    let mut response = plain(StatusCode::CONFLICT, &held.to_string());
    let size = HeaderValue::from_static("text/x.tlog.size");
    response.headers_mut().insert(header::CONTENT_TYPE, size);
    response
}

fn not_read(unread: Unread, bytes_max: usize) -> Response<Body> {
    match unread {
        Unread::CutShort => plain(StatusCode::BAD_REQUEST, "the body ends before its end"),
        Unread::TooLarge { .. } => {
            let line = format!("the body exceeds {bytes_max} bytes");
            plain(StatusCode::PAYLOAD_TOO_LARGE, &line)
        }
    }
}
