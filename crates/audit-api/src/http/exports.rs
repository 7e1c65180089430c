//! Evidence files: asked for, watched, downloaded, deleted.

use std::io::{Read as _, Seek as _, SeekFrom};
use std::ops::Range;
use std::path::PathBuf;

use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};
use http_body::Frame;
use http_body_util::StreamBody;
use serve::body::Body;
use serve::principal::Principal;
use serve::refusal::Refusal;

use super::record::read;
use super::{Asked, answer};
use crate::audit::Audit;
use crate::exports::{Exports, Job, Request, State};
use crate::refusal;

/// Bytes of an order for an export.
const REQUEST_BYTES_MAX: usize = 256 * 1024;
/// Bytes of a download that are read at a time.
pub(crate) const PIECE: usize = 256 * 1024;

/// Begins an export.
pub(crate) async fn begin<B>(
    audit: &Audit,
    asked: &Asked<'_>,
    body: B,
) -> Result<Response<Body>, Refusal>
where
    B: http_body::Body<Data = Bytes> + Send,
{
    asked.parameters.only(&[])?;
    let log = audit.log(asked.log)?;
    let body = read(body, REQUEST_BYTES_MAX).await?;
    let request = Request::read(&body).map_err(|error| refusal::of_export_request(&error))?;
    let made_by = made_by(&asked.principal);
    let exports = audit.exports()?.clone();
    let begun = base::tasks::blocking(move || exports.begin(&log, request, &made_by)).await;
    let job = begun.map_err(|error| refusal::of_export(&error))?;
    let mut response = answer::members(StatusCode::ACCEPTED, &job.shown());
    if let Ok(url) = HeaderValue::from_str(&job.url()) {
        response.headers_mut().insert(header::LOCATION, url);
    }
    Ok(response)
}

/// Who an export says that it was made by.
pub(crate) fn made_by(principal: &Principal) -> String {
    match principal {
        Principal::Anonymous => "anonymous".to_owned(),
        Principal::Named(id) => id.as_ref().to_owned(),
    }
}

/// What one export is like, its archive, or its end.
pub(crate) async fn one(
    audit: &Audit,
    asked: &Asked<'_>,
    method: &Method,
) -> Result<Response<Body>, Refusal> {
    asked.parameters.only(&[])?;
    let log = audit.log(asked.log)?;
    let exports = audit.exports()?;
    let (id, is_download) = match asked.rest.split_once('/') {
        None => (asked.rest, false),
        Some((id, "download")) => (id, true),
        Some(_) => return Err(Refusal::no_such_path()),
    };
    let name = log.name().as_str();
    let job = exports.job(name, id).ok_or_else(refusal::export_not_found)?;
    if method == Method::DELETE {
        if is_download {
            return Err(Refusal::no_such_path());
        }
        let (exports, log, id) = (exports.clone(), name.to_owned(), id.to_owned());
        let deleted = base::tasks::blocking(move || exports.delete(&log, &id)).await;
        deleted.map_err(|error| refusal::of_export(&error.into()))?;
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NO_CONTENT;
        return Ok(response);
    }
    if is_download { download(exports, &job, asked.headers) } else { Ok(shown(&job)) }
}

fn shown(job: &Job) -> Response<Body> {
    answer::members(StatusCode::OK, &job.shown())
}

/// The archive, or a range of it.
fn download(exports: &Exports, job: &Job, headers: &HeaderMap) -> Result<Response<Body>, Refusal> {
    if job.state != State::Done {
        return Err(refusal::export_not_done(job.state));
    }
    let range = match headers.get(header::RANGE) {
        None => None,
        Some(value) => match value.to_str().ok().and_then(|text| byte_range(text, job.bytes)) {
            Some(range) => Some(range),
            None => return Ok(unsatisfiable(job.bytes)),
        },
    };
    let (status, sent) = match range {
        None => (StatusCode::OK, 0..job.bytes),
        Some(range) => (StatusCode::PARTIAL_CONTENT, range),
    };
    let mut response = Response::new(pieces(exports.archive(job), sent.clone()));
    *response.status_mut() = status;
    let answer = response.headers_mut();
    answer.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/zip"));
    answer.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    answer.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer.insert(header::CONTENT_LENGTH, HeaderValue::from(sent.end - sent.start));
    let name = format!("attachment; filename=\"evidence-{}.zip\"", job.id);
    let text = [(header::CONTENT_DISPOSITION, name), (header::ETAG, format!("\"{}\"", job.id))];
    for (header, text) in text {
        answer.extend(HeaderValue::from_str(&text).ok().map(|value| (header, value)));
    }
    if status == StatusCode::PARTIAL_CONTENT {
        let text = format!("bytes {}-{}/{}", sent.start, sent.end - 1, job.bytes);
        let value = HeaderValue::from_str(&text).ok();
        answer.extend(value.map(|value| (header::CONTENT_RANGE, value)));
    }
    Ok(response)
}

/// One range of bytes (RFC 9110, section 14.1.2), not empty.
fn byte_range(text: &str, bytes: u64) -> Option<Range<u64>> {
    let (first, last) = text.strip_prefix("bytes=")?.split_once('-')?;
    let range = match (first, last) {
        ("", suffix) => bytes.saturating_sub(suffix.parse().ok()?)..bytes,
        (first, "") => first.parse().ok()?..bytes,
        (first, last) => {
            first.parse().ok()?..last.parse::<u64>().ok()?.saturating_add(1).min(bytes)
        }
    };
    (range.start < range.end).then_some(range)
}

fn unsatisfiable(bytes: u64) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::RANGE_NOT_SATISFIABLE;
    let value = HeaderValue::from_str(&format!("bytes */{bytes}")).ok();
    response.headers_mut().extend(value.map(|value| (header::CONTENT_RANGE, value)));
    response
}

/// The file piece by piece. An error cuts the body short, which a reader of its length notices.
fn pieces(path: PathBuf, range: Range<u64>) -> Body {
    let frames = stream::unfold(Some((path, range)), |state| async {
        let (path, range) = state.filter(|(_, range)| range.start < range.end)?;
        let (from, at) = (path.clone(), range.clone());
        match base::tasks::blocking(move || piece(&from, at)).await {
            Ok(piece) => {
                let start = range.start + u64::try_from(piece.len()).unwrap_or(u64::MAX);
                Some((Ok(Frame::data(piece)), Some((path, start..range.end))))
            }
            Err(error) => Some((Err(error), None)),
        }
    });
    Body::new(StreamBody::new(frames))
}

pub(crate) fn piece(path: &std::path::Path, range: Range<u64>) -> std::io::Result<Bytes> {
    let mut file = std::fs::File::open(path)?;
    file.seek(SeekFrom::Start(range.start))?;
    let wanted = usize::try_from(range.end - range.start).unwrap_or(usize::MAX).min(PIECE);
    let mut piece = vec![0; wanted];
    file.read_exact(&mut piece)?;
    Ok(piece.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_as_http_has_them() {
        for (text, range) in [
            ("bytes=0-", Some(0..10)),
            ("bytes=3-5", Some(3..6)),
            ("bytes=3-99", Some(3..10)),
            ("bytes=-4", Some(6..10)),
            ("bytes=-99", Some(0..10)),
            ("bytes=10-", None),
            ("bytes=5-3", None),
            ("bytes=-0", None),
            ("bytes=1-2,4-5", None),
            ("lines=1-2", None),
        ] {
            assert_eq!(byte_range(text, 10), range, "{text}");
        }
    }
}
