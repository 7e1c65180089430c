//! Bodies of plain HTTP: answers in one piece, and requests read within a bound.

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full};

/// The body of every answer.
pub type Body = tonic::body::Body;

/// An HTTP answer of one line of text that nobody may store. A 413 and a 415 come before the
/// request's body was read to its end, so they also tell HTTP/1 clients that the connection ends
/// (RFC 9110, section 15.5.14). In HTTP/2 only the request ends, and hyper leaves that header out.
pub fn plain(code: StatusCode, line: &str) -> Response<Body> {
    let mut response = Response::new(full(format!("{line}\n")));
    *response.status_mut() = code;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if matches!(code, StatusCode::PAYLOAD_TOO_LARGE | StatusCode::UNSUPPORTED_MEDIA_TYPE) {
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// The refusal of a request whose body is encoded; `None` if it is not. We decode nothing: a small
/// body may decode to a large one, and a log commits to the bytes that were sent.
pub fn encoded(headers: &HeaderMap) -> Option<Response<Body>> {
    let is_identity = |value: &HeaderValue| {
        let names = value.to_str().map(|names| names.split(','));
        names.is_ok_and(|mut names| names.all(|name| name.trim().eq_ignore_ascii_case("identity")))
    };
    if headers.get_all(header::CONTENT_ENCODING).iter().all(is_identity) {
        return None;
    }
    let line = "Content-Encoding must be identity: send the bytes as they are";
    let mut response = plain(StatusCode::UNSUPPORTED_MEDIA_TYPE, line);
    let identity = HeaderValue::from_static("identity");
    response.headers_mut().insert(header::ACCEPT_ENCODING, identity);
    Some(response)
}

/// Lets every web page read an answer. Use it only for what anybody may read anyway, and never for
/// a route that writes.
pub fn open_to_pages(mut response: Response<Body>) -> Response<Body> {
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    response
}

/// What a browser asks before it reads for a page; see [`open_to_pages`].
pub fn preflight() -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    let methods = HeaderValue::from_static("GET, HEAD");
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, methods);
    headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("*"));
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("86400"));
    open_to_pages(response)
}

/// A body that is there already.
pub fn full(bytes: impl Into<Bytes>) -> Body {
    Body::new(Full::new(bytes.into()))
}

/// Why a body was not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unread {
    /// The connection broke off within the body.
    CutShort,
    /// The body has at least this many bytes, which is over the limit; the rest was not read.
    TooLarge { bytes: usize },
}

/// The whole body, or a refusal as soon as it passes the limit. A body in one piece is not copied.
pub async fn read<B>(body: B, bytes_max: usize) -> Result<Bytes, Unread>
where
    B: http_body::Body<Data = Bytes> + Send,
{
    let mut body = std::pin::pin!(body);
    let mut first = Bytes::new();
    let mut more = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else { return Err(Unread::CutShort) };
        let Ok(piece) = frame.into_data() else { continue };
        let bytes = first.len() + more.len() + piece.len();
        if bytes > bytes_max {
            return Err(Unread::TooLarge { bytes });
        }
        if first.is_empty() {
            first = piece;
        } else {
            more.extend_from_slice(&piece);
        }
    }
    if more.is_empty() {
        return Ok(first);
    }
    Ok([&first[..], &more[..]].concat().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_that_are_encoded_are_refused() {
        let of = |values: &[&'static str]| {
            let values = values.iter().map(|value| HeaderValue::from_static(value));
            let headers = values.map(|value| (header::CONTENT_ENCODING, value)).collect();
            encoded(&headers).map(|response| response.status().as_u16())
        };
        for taken in [&[][..], &["identity"], &["Identity"], &["identity, identity"]] {
            assert_eq!(of(taken), None, "{taken:?}");
        }
        for refused in
            [&["gzip"][..], &["identity, gzip"], &["identity", "br"], &[""], &["identity;q=1"]]
        {
            assert_eq!(of(refused), Some(415), "{refused:?}");
        }
    }

    #[tokio::test]
    async fn bodies_are_taken_up_to_the_limit() {
        let of = async |len| read(Full::new(Bytes::from(vec![1; len])), 10).await;
        assert_eq!(of(10).await.map(|body| body.len()), Ok(10));
        assert_eq!(of(11).await, Err(Unread::TooLarge { bytes: 11 }));
    }

    #[tokio::test]
    async fn pieces_become_one_and_are_counted_together() {
        let pieces = |len: usize| {
            let frame =
                |byte: u8| Ok::<_, std::io::Error>(http_body::Frame::data(vec![byte].into()));
            let bytes = (0..len).map(|at| u8::try_from(at).unwrap()).map(frame);
            http_body_util::StreamBody::new(futures_util::stream::iter(bytes))
        };
        assert_eq!(read(pieces(3), 3).await.as_deref(), Ok(&[0, 1, 2][..]));
        assert_eq!(read(pieces(4), 3).await, Err(Unread::TooLarge { bytes: 4 }));
        let broken = [Err::<http_body::Frame<Bytes>, _>(std::io::Error::other("gone"))];
        let broken = http_body_util::StreamBody::new(futures_util::stream::iter(broken));
        assert_eq!(read(broken, 3).await, Err(Unread::CutShort));
    }
}
