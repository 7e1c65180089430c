//! `POST /logs/<name>/add`: one entry in the body, its index in the answer.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use serve::body::{Body, Unread, full, plain};
use serve::middleware::Refusal;
use tonic::{Code, Status};

use crate::service::status::{self, IntoStatus};
use crate::service::{Service, append};
use log_core::{ENTRY_BYTES_MAX, Submission};

/// Committed and answered with the bare decimal index and a newline. Any `Content-Type` is taken.
pub(super) async fn add<B>(service: &Service, log: &str, body: B) -> Response<Body>
where
    B: http_body::Body<Data = Bytes> + Send,
{
    match index(service, log, body).await {
        Ok(index) => {
            let mut response = Response::new(full(format!("{index}\n")));
            let headers = response.headers_mut();
            let text = HeaderValue::from_static("text/plain; charset=utf-8");
            headers.insert(header::CONTENT_TYPE, text);
            headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
            response
        }
        Err(refusal) => refused(service, &refusal),
    }
}

/// Reads a body as [`add`] does and drops it: the floor that load generators measure `/add` against.
pub(super) async fn discard<B>(service: &Service, body: B) -> Response<Body>
where
    B: http_body::Body<Data = Bytes> + Send,
{
    match read(body).await {
        Ok(_) => plain(StatusCode::OK, "ok"),
        Err(refusal) => refused(service, &refusal),
    }
}

async fn index<B>(service: &Service, log: &str, body: B) -> Result<u64, Status>
where
    B: http_body::Body<Data = Bytes> + Send,
{
    let log = service.log(log)?;
    let entry = read(body).await?;
    let committed = log.append(Submission::single(entry, None)).await;
    let committed = committed.map_err(IntoStatus::into_status)?;
    service.shared.metrics.appended();
    append::single(&committed).map(|(index, _, _)| index.get())
}

async fn read<B>(body: B) -> Result<Bytes, Status>
where
    B: http_body::Body<Data = Bytes> + Send,
{
    serve::body::read(body, ENTRY_BYTES_MAX).await.map_err(|unread| match unread {
        Unread::CutShort => status::bad_field("body", "sent to its end"),
        Unread::TooLarge { bytes } => {
            let of = |bytes| u64::try_from(bytes).unwrap_or(u64::MAX);
            let (bytes, bytes_max) = (of(bytes), of(ENTRY_BYTES_MAX));
            status::of_layer(&Refusal::BodyTooLarge { bytes, bytes_max })
        }
    })
}

fn refused(service: &Service, refusal: &Status) -> Response<Body> {
    let reason = status::reason_of(refusal).unwrap_or_default();
    service.shared.metrics.refused(status::known_reason(&reason));
    let mut response = plain(http_status(refusal.code(), &reason), refusal.message());
    if let Some(after) = status::retry_after(refusal) {
        // Whole seconds, and 0 would mean at once.
        let seconds = after.as_secs_f64().ceil().max(1.0);
        let value = HeaderValue::try_from(format!("{seconds:.0}"));
        response
            .headers_mut()
            .insert(header::RETRY_AFTER, value.expect("digits are legal in a header"));
    }
    response
}

fn http_status(code: Code, reason: &str) -> StatusCode {
    match (code, reason) {
        (_, "ENTRY_TOO_LARGE") => StatusCode::PAYLOAD_TOO_LARGE,
        (_, "QUEUE_FULL") => StatusCode::TOO_MANY_REQUESTS,
        (_, "BAD_LOG_NAME") | (Code::NotFound, _) => StatusCode::NOT_FOUND,
        (Code::InvalidArgument, _) => StatusCode::BAD_REQUEST,
        (Code::AlreadyExists | Code::FailedPrecondition | Code::Aborted, _) => StatusCode::CONFLICT,
        (Code::ResourceExhausted | Code::Unavailable | Code::DeadlineExceeded, _) => {
            StatusCode::SERVICE_UNAVAILABLE
        }
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::Full;

    #[tokio::test]
    async fn bodies_are_taken_up_to_the_limit() {
        let of = async |len| read(Full::new(Bytes::from(vec![1; len]))).await.map(|b| b.len());
        assert_eq!(of(ENTRY_BYTES_MAX).await.unwrap(), ENTRY_BYTES_MAX);
        let refusal = of(ENTRY_BYTES_MAX + 1).await.unwrap_err();
        assert_eq!(status::reason_of(&refusal).as_deref(), Some("ENTRY_TOO_LARGE"));
    }

    #[test]
    fn refusals_have_the_status_tools_expect() {
        for (code, reason, expected) in [
            (Code::InvalidArgument, "EMPTY_ENTRY", 400),
            (Code::InvalidArgument, "ENTRY_TOO_LARGE", 413),
            (Code::NotFound, "LOG_NOT_FOUND", 404),
            (Code::InvalidArgument, "BAD_LOG_NAME", 404),
            (Code::ResourceExhausted, "QUEUE_FULL", 429),
            (Code::ResourceExhausted, "DISK_LOW", 503),
            (Code::Unavailable, "OUTCOME_UNKNOWN", 503),
            (Code::FailedPrecondition, "LOG_FROZEN", 409),
            (Code::DataLoss, "CORRUPT", 500),
        ] {
            assert_eq!(http_status(code, reason).as_u16(), expected, "{reason}");
        }
    }
}
