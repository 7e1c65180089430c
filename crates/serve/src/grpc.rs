//! What a gRPC call brings, checked before tonic reads it: encoding, and the frame of each message.
//!
//! tonic refuses in words of its own and without details. Whatever it could refuse about a frame is
//! therefore refused here first, which leaves it one refusal: of a message that is not that of its method.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body::{Frame, SizeHint};
use pin_project_lite::pin_project;
use tonic::{Code, Status};

use crate::body::Body;
use crate::refusal::{Api, Kind, Refusal};
use crate::route::{Call, Route};

/// Compression flag and length, before each message.
const HEAD_BYTES: usize = 5;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A call whose frames are checked as tonic reads them, or the refusal of its encoding.
pub fn checked<B>(
    request: Request<B>,
    route: &Route,
    api: &'static Api,
) -> Result<Request<Checked<B>>, Box<Response<Body>>> {
    if !is_plain(request.headers()) {
        let refusal = Refusal::new(Kind::UnknownEncoding, "BAD_FIELD")
            .field("grpc-encoding")
            .says("messages must not be compressed");
        let mut response = refusal.into_status(api.domain).into_http();
        let identity = HeaderValue::from_static("identity");
        response.headers_mut().insert("grpc-accept-encoding", identity);
        return Err(response.into());
    }
    let frames = Frames::new(route.body_bytes_max, route.call == Call::Unary, api);
    Ok(request.map(|body| Checked { body, frames, ended: false }))
}

fn is_plain(headers: &HeaderMap) -> bool {
    headers.get("grpc-encoding").is_none_or(|encoding| encoding == "identity")
}

/// A refusal of tonic's own, which has no details, as one of ours. Any other answer costs one look at its
/// headers.
pub fn answered<B: Default>(response: Response<B>, api: &Api) -> Response<B> {
    let headers = response.headers();
    let internal = headers
        .get(Status::GRPC_STATUS)
        .is_some_and(|code| Code::from_bytes(code.as_bytes()) == Code::Internal);
    if internal && !headers.contains_key(Status::GRPC_STATUS_DETAILS) {
        return undecodable().into_status(api.domain).into_http();
    }
    response
}

/// Why the next message of a stream did not come.
pub fn unread(status: &Status) -> Refusal {
    Refusal::within(status).cloned().unwrap_or_else(undecodable)
}

fn bad_message(message: &'static str) -> Refusal {
    Refusal::new(Kind::Invalid, "BAD_FIELD").field("message").says(message)
}

fn undecodable() -> Refusal {
    bad_message("message is not that of the method")
}

/// The frames of a body, as far as they have come.
#[derive(Debug)]
struct Frames {
    message_bytes_max: usize,
    /// One message must come.
    unary: bool,
    api: &'static Api,
    state: State,
    any: bool,
}

#[derive(Debug)]
enum State {
    /// Before a message: what has come of its head.
    Head { bytes: [u8; HEAD_BYTES], len: usize },
    /// Within a message: how much of it is missing.
    Message { left: usize },
}

impl State {
    const NEXT: Self = Self::Head { bytes: [0; HEAD_BYTES], len: 0 };
}

impl Frames {
    fn new(message_bytes_max: usize, unary: bool, api: &'static Api) -> Self {
        Self { message_bytes_max, unary, api, state: State::NEXT, any: false }
    }

    /// Takes the next piece of the body.
    fn take(&mut self, mut piece: &[u8]) -> Result<(), Refusal> {
        while !piece.is_empty() {
            match &mut self.state {
                State::Head { bytes, len } => {
                    let count = piece.len().min(HEAD_BYTES - *len);
                    bytes[*len..*len + count].copy_from_slice(&piece[..count]);
                    *len += count;
                    piece = &piece[count..];
                    if *len == HEAD_BYTES {
                        let head = *bytes;
                        self.state = self.begin(head)?;
                    }
                }
                State::Message { left } => {
                    let count = piece.len().min(*left);
                    *left -= count;
                    piece = &piece[count..];
                    if *left == 0 {
                        self.state = State::NEXT;
                    }
                }
            }
        }
        Ok(())
    }

    fn begin(&mut self, [flag, length @ ..]: [u8; HEAD_BYTES]) -> Result<State, Refusal> {
        if flag != 0 {
            return Err(bad_message("message must not be compressed"));
        }
        let bytes = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
        if bytes > self.message_bytes_max {
            let bytes_max = self.message_bytes_max;
            return Err(Refusal::new(Kind::TooLarge, self.api.message_too_large)
                .field("message")
                .says(format!("message has {bytes} bytes, the limit is {bytes_max}")));
        }
        self.any = true;
        Ok(if bytes == 0 { State::NEXT } else { State::Message { left: bytes } })
    }

    /// Whether the body may end here.
    fn end(&self) -> Result<(), Refusal> {
        match self.state {
            State::Head { len: 0, .. } if self.any || !self.unary => Ok(()),
            State::Head { len: 0, .. } => Err(bad_message("message is missing")),
            State::Head { .. } | State::Message { .. } => {
                Err(bad_message("message ends before its end"))
            }
        }
    }
}

pin_project! {
    /// The body of a call, whose frames are those that the call may have.
    #[derive(Debug)]
    pub struct Checked<B> {
        #[pin]
        body: B,
        frames: Frames,
        ended: bool,
    }
}

impl<B> http_body::Body for Checked<B>
where
    B: http_body::Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.project();
        if *this.ended {
            return Poll::Ready(None);
        }
        let (frame, checked) = match ready!(this.body.poll_frame(cx)) {
            Some(Ok(frame)) => {
                let checked = frame.data_ref().map_or(Ok(()), |piece| this.frames.take(piece));
                (Some(frame), checked)
            }
            Some(Err(error)) => return Poll::Ready(Some(Err(error.into()))),
            None => (None, this.frames.end()),
        };
        *this.ended = frame.is_none() || checked.is_err();
        Poll::Ready(match checked {
            Ok(()) => frame.map(Ok),
            Err(refusal) => Some(Err(refusal.into_status(this.frames.api.domain).into())),
        })
    }

    fn is_end_stream(&self) -> bool {
        self.ended || (self.body.is_end_stream() && self.frames.end().is_ok())
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::refusal::tests::API;
    use http_body_util::{BodyExt as _, Full, StreamBody};

    fn message(len: u32) -> Vec<u8> {
        let mut bytes = vec![0];
        bytes.extend(len.to_be_bytes());
        bytes.resize(HEAD_BYTES + usize::try_from(len).unwrap(), 7);
        bytes
    }

    /// Reads a body in pieces of each size; what is refused must not depend on it.
    async fn read(bytes: &[u8], unary: bool) -> Result<usize, String> {
        let mut results = Vec::new();
        for size in 1..=bytes.len().max(1) {
            let pieces = bytes
                .chunks(size)
                .map(|piece| Ok::<_, std::io::Error>(Frame::data(Bytes::copy_from_slice(piece))));
            let pieces: Vec<_> = pieces.collect();
            let body = StreamBody::new(futures_util::stream::iter(pieces));
            let body = Checked { body, frames: Frames::new(10, unary, &API), ended: false };
            results.push(match body.collect().await {
                Ok(read) => Ok(read.to_bytes().len()),
                Err(error) => {
                    let status = Status::from_error(error);
                    let Refusal { reason, field, message, .. } =
                        Refusal::within(&status).expect("it is one of ours").clone();
                    assert_eq!(status.code(), Code::InvalidArgument);
                    assert_eq!(field, Some("message"));
                    assert!(!status.details().is_empty());
                    Err(format!("{} {message}", reason.unwrap()))
                }
            });
        }
        assert!(results.iter().all(|result| *result == results[0]), "{results:?}");
        results.swap_remove(0)
    }

    #[tokio::test]
    async fn messages_are_taken_up_to_the_limit() {
        assert_eq!(read(&message(10), true).await, Ok(15));
        assert_eq!(read(&message(0), true).await, Ok(5));
        let two = [message(10), message(3)].concat();
        assert_eq!(read(&two, false).await, Ok(23));
        assert_eq!(read(&[], false).await, Ok(0));
        let beyond = Err("MESSAGE_TOO_LARGE message has 11 bytes, the limit is 10".to_owned());
        assert_eq!(read(&message(11), true).await, beyond);
        assert_eq!(read(&[message(10), message(11)].concat(), false).await, beyond);
    }

    #[tokio::test]
    async fn a_message_that_is_missing_cut_short_or_compressed_is_refused() {
        let refused = |message: &str| Err(format!("BAD_FIELD {message}"));
        assert_eq!(read(&[], true).await, refused("message is missing"));
        for cut in 1..15 {
            let cut = read(&message(10)[..cut], true).await;
            assert_eq!(cut, refused("message ends before its end"));
        }
        for flag in [1, 2, 255] {
            let mut flagged = message(10);
            flagged[0] = flag;
            let expected = refused("message must not be compressed");
            assert_eq!(read(&flagged, true).await, expected);
        }
    }

    #[test]
    fn an_empty_body_does_not_look_ended_to_who_would_miss_its_message() {
        let of = |unary| {
            let frames = Frames::new(10, unary, &API);
            Checked { body: Full::new(Bytes::new()), frames, ended: false }
        };
        assert!(!http_body::Body::is_end_stream(&of(true)));
        assert!(http_body::Body::is_end_stream(&of(false)));
    }

    #[test]
    fn a_compressed_call_is_told_what_is_read() {
        let route = crate::route::tests::ROWS[0].0;
        let of = |encoding| {
            let request = Request::builder().header("grpc-encoding", encoding).body(()).unwrap();
            checked(request, &route, &API)
        };
        assert!(of("identity").is_ok());
        let refused = of("gzip").unwrap_err();
        assert_eq!(refused.headers()["grpc-status"], "12");
        assert_eq!(refused.headers()["grpc-accept-encoding"], "identity");
        assert!(refused.headers().contains_key("grpc-status-details-bin"));
    }

    #[test]
    fn only_what_tonic_refused_by_itself_gets_details() {
        let of = |status: Status| {
            let answer = answered(status.into_http::<Body>(), &API);
            let status = Status::from_header_map(answer.headers()).unwrap();
            (status.code(), status.message().to_owned())
        };
        let undecodable = (Code::InvalidArgument, "message is not that of the method".to_owned());
        assert_eq!(of(Status::internal("some words")), undecodable);
        let ours = (Code::Internal, "internal error".to_owned());
        assert_eq!(of(Refusal::internal().into_status("test.v1")), ours);
        assert_eq!(of(Status::not_found("x")), (Code::NotFound, "x".to_owned()));
        let passed = answered(Response::new(Body::empty()), &API);
        assert!(!passed.headers().contains_key("grpc-status"));
    }

    #[test]
    fn a_refusal_of_a_stream_is_the_one_that_was_made() {
        let refusal = bad_message("message is missing");
        assert_eq!(unread(&refusal.clone().into_status("test.v1")), refusal);
        assert_eq!(unread(&Status::internal("some words")), undecodable());
    }
}
