//! Checks a gRPC call before tonic reads it: its encoding, and the frame of each message.
//!
//! tonic refuses in its own words and without details. So we refuse first whatever tonic could
//! refuse about a frame. One refusal is left to tonic: of a message that its method cannot read.
//! tonic decompresses without a limit, so messages are decompressed here too.

mod frames;

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

use frames::Frames;

const ENCODING: &str = "grpc-encoding";

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A call whose frames are checked as tonic reads them, or the refusal of its encoding.
pub fn checked<B>(
    mut request: Request<B>,
    route: &Route,
    api: &'static Api,
) -> Result<Request<Checked<B>>, Box<Response<Body>>> {
    let Some(gzip) = is_gzip(request.headers()) else {
        let refusal = Refusal::new(Kind::UnknownEncoding, "BAD_FIELD")
            .field(ENCODING)
            .says("messages may be compressed with gzip only");
        let mut response = refusal.into_status(api.domain).into_http();
        let accepted = HeaderValue::from_static("identity,gzip");
        response.headers_mut().insert("grpc-accept-encoding", accepted);
        return Err(response.into());
    };
    // What tonic reads is not compressed any more.
    request.headers_mut().remove(ENCODING);
    let frames = Frames::new(route.body_bytes_max, route.call == Call::Unary, gzip, api);
    Ok(request.map(|body| Checked { body, frames, ended: false }))
}

/// Whether the messages of a call may be compressed with gzip; `None` if by anything else.
fn is_gzip(headers: &HeaderMap) -> Option<bool> {
    match headers.get(ENCODING).map(HeaderValue::as_bytes) {
        None | Some(b"identity") => Some(false),
        Some(b"gzip") => Some(true),
        Some(_) => None,
    }
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
        let mut this = self.project();
        while !*this.ended {
            let refusal = match this.frames.next() {
                Ok(Some(bytes)) => return Poll::Ready(Some(Ok(Frame::data(bytes)))),
                Err(refusal) => refusal,
                Ok(None) => match ready!(this.body.as_mut().poll_frame(cx)) {
                    Some(Ok(frame)) => match frame.into_data() {
                        Ok(piece) => {
                            this.frames.put(piece);
                            continue;
                        }
                        Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
                    },
                    Some(Err(error)) => return Poll::Ready(Some(Err(error.into()))),
                    None => match this.frames.end() {
                        Ok(()) => break,
                        Err(refusal) => refusal,
                    },
                },
            };
            *this.ended = true;
            let refused = refusal.into_status(this.frames.api().domain);
            return Poll::Ready(Some(Err(refused.into())));
        }
        *this.ended = true;
        Poll::Ready(None)
    }

    fn is_end_stream(&self) -> bool {
        self.ended || (self.body.is_end_stream() && self.frames.end().is_ok())
    }

    fn size_hint(&self) -> SizeHint {
        if self.frames.gzip() { SizeHint::new() } else { self.body.size_hint() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::refusal::tests::API;
    use http_body_util::Full;

    #[test]
    fn an_empty_body_does_not_look_ended_to_who_would_miss_its_message() {
        let of = |unary| {
            let frames = Frames::new(10, unary, false, &API);
            Checked { body: Full::new(Bytes::new()), frames, ended: false }
        };
        assert!(!http_body::Body::is_end_stream(&of(true)));
        assert!(http_body::Body::is_end_stream(&of(false)));
    }

    #[test]
    fn a_compressed_call_is_told_what_is_read() {
        let route = crate::route::tests::ROWS[0].0;
        let of = |encoding| {
            let request = Request::builder().header(ENCODING, encoding).body(()).unwrap();
            checked(request, &route, &API)
        };
        assert!(of("identity").is_ok());
        // tonic must not see it: it would refuse the call.
        assert!(!of("gzip").unwrap().headers().contains_key(ENCODING));
        let refused = of("deflate").unwrap_err();
        assert_eq!(refused.headers()["grpc-status"], "12");
        assert_eq!(refused.headers()["grpc-accept-encoding"], "identity,gzip");
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
