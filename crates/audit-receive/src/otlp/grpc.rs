//! OTLP over gRPC. The one message of the call is handed on as the bytes that were sent, so that a
//! record is kept exactly.

use bytes::{BufMut as _, Bytes};
use http::{HeaderMap, HeaderValue, Response, header};
use http_body_util::{BodyExt as _, Full};
use log_api::refusal::API;
use serve::body::Body;
use serve::gzip::{self, NotOpened};
use serve::refusal::{Kind, Refusal};
use serve::room::Room;

use super::{Encoding, Exported, export};
use crate::receive::{Asked, Receive, bad_body, of_whole};

/// Compression flag and length before the message.
const HEAD_BYTES: usize = 5;
const ENCODING: &str = "grpc-encoding";

/// The message of a call.
struct Message {
    bytes: Vec<u8>,
    /// Held while the bytes are.
    _room: Room,
}

/// Why there is none.
enum NotRead {
    /// It is longer than the limit; so many bytes as its head says.
    TooLarge {
        bytes: Option<u64>,
    },
    Refused(Refusal),
}

impl From<Refusal> for NotRead {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

pub(crate) async fn answer<B>(receive: &Receive, asked: &Asked<'_>, body: B) -> Response<Body>
where
    B: http_body::Body<Data = Bytes> + Send,
{
    match take(receive, asked, body).await {
        Ok(exported) => answered(&exported),
        Err(refusal) => {
            let is_encoding = refusal.kind == Kind::UnknownEncoding;
            let refusal = receive.counted(of_protocol(refusal));
            let mut response = refusal.into_status(API.domain).into_http();
            if is_encoding {
                let accepted = HeaderValue::from_static("identity,gzip");
                response.headers_mut().insert("grpc-accept-encoding", accepted);
            }
            response
        }
    }
}

async fn take<B>(receive: &Receive, asked: &Asked<'_>, body: B) -> Result<Exported, Refusal>
where
    B: http_body::Body<Data = Bytes> + Send,
{
    let gzip = match asked.header(ENCODING) {
        None | Some("identity") => false,
        Some("gzip") => true,
        Some(_) => return Err(unknown_encoding()),
    };
    let bytes_max = receive.options().otlp_grpc_bytes_max;
    let message = match read(body, bytes_max, gzip).await {
        Ok(message) => message,
        Err(NotRead::Refused(refusal)) => return Err(refusal),
        Err(NotRead::TooLarge { bytes }) => {
            let sender = Encoding::Protobuf.sender();
            return Err(receive.lost_to_size(&sender, bytes, bytes_max).await);
        }
    };
    export(receive, asked, Encoding::Protobuf, &message.bytes).await
}

/// The one message of a body, decompressed.
async fn read<B>(body: B, bytes_max: usize, gzip: bool) -> Result<Message, NotRead>
where
    B: http_body::Body<Data = Bytes> + Send,
{
    let mut body = std::pin::pin!(body);
    let mut room = Room::take(0).map_err(Refusal::from)?;
    let mut sent = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| cut_short())?;
        let Ok(piece) = frame.into_data() else { continue };
        room.hold(sent.len() + piece.len()).map_err(Refusal::from)?;
        sent.extend_from_slice(&piece);
        if let Some(bytes) = length(&sent).filter(|bytes| *bytes > bytes_max) {
            return Err(NotRead::TooLarge { bytes: u64::try_from(bytes).ok() });
        }
        if length(&sent).is_some_and(|bytes| sent.len() > HEAD_BYTES + bytes) {
            return Err(bad("call has more than one message").into());
        }
    }
    let length = length(&sent).ok_or_else(cut_short)?;
    let content = sent.split_off(HEAD_BYTES);
    if content.len() < length {
        return Err(cut_short().into());
    }
    match (sent.first(), gzip) {
        (Some(0), _) => Ok(Message { bytes: content, _room: room }),
        (Some(1), true) => opened(&content, bytes_max),
        (Some(1), false) => Err(bad("message is compressed and the call names no encoding").into()),
        _ => Err(bad("message has an unknown flag").into()),
    }
}

fn opened(content: &[u8], bytes_max: usize) -> Result<Message, NotRead> {
    match gzip::open(content, bytes_max) {
        Ok((bytes, room)) => Ok(Message { bytes, _room: room }),
        Err(NotOpened::NotGzip) => Err(bad("message is not gzip as its flag says").into()),
        Err(NotOpened::TooLarge { .. }) => Err(NotRead::TooLarge { bytes: None }),
        Err(NotOpened::NoRoom(no_room)) => Err(NotRead::Refused(no_room.into())),
    }
}

/// The length that the head of a message states, once all of the head is there.
fn length(sent: &[u8]) -> Option<usize> {
    let [_, length @ ..] = *sent.first_chunk::<HEAD_BYTES>()?;
    Some(usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX))
}

/// What is final and what may be sent again, as senders of OTLP tell it: `RESOURCE_EXHAUSTED` without
/// `RetryInfo` is final, and everything that passes is `UNAVAILABLE`.
fn of_protocol(refusal: Refusal) -> Refusal {
    match refusal.kind {
        Kind::TooLarge => Refusal { kind: Kind::Exhausted, retry_after: None, ..refusal },
        Kind::QueueFull | Kind::Exhausted | Kind::Deadline | Kind::Internal => {
            let after = refusal.retry_after.unwrap_or(std::time::Duration::from_secs(1));
            Refusal { kind: Kind::Unavailable, retry_after: Some(after), ..refusal }
        }
        _ => refusal,
    }
}

fn answered(exported: &Exported) -> Response<Body> {
    let message = exported.protobuf();
    let mut framed = Vec::with_capacity(HEAD_BYTES + message.len());
    framed.put_u8(0);
    framed.put_u32(u32::try_from(message.len()).expect("an answer is short"));
    framed.extend_from_slice(&message);
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    let trailers = std::future::ready(Some(Ok(trailers)));
    let mut response =
        Response::new(Body::new(Full::new(Bytes::from(framed)).with_trailers(trailers)));
    let media_type = HeaderValue::from_static("application/grpc");
    response.headers_mut().insert(header::CONTENT_TYPE, media_type);
    response
}

fn bad(message: &str) -> Refusal {
    of_whole(bad_body(message)).field("message")
}

fn cut_short() -> Refusal {
    bad("message ends before its end")
}

fn unknown_encoding() -> Refusal {
    Refusal::new(Kind::UnknownEncoding, "BAD_FIELD")
        .field(ENCODING)
        .says("messages may be compressed with gzip only")
}
