//! The frames of a call's body, checked and decompressed as they come.

use bytes::{BufMut as _, Bytes, BytesMut};

use super::bad_message;
use crate::gzip::{self, NotOpened};
use crate::refusal::{Api, Kind, Refusal};
use crate::room::Room;

/// Compression flag and length, before each message.
const HEAD_BYTES: usize = 5;

/// The frames of a body, as far as they have come. Holds at most one message, beside the last piece.
#[derive(Debug)]
pub(super) struct Frames {
    /// As sent, and again decompressed.
    message_bytes_max: usize,
    /// One message must come.
    unary: bool,
    /// Messages may be compressed.
    gzip: bool,
    api: &'static Api,
    state: State,
    any: bool,
    /// Of the last piece, what is not handed on yet.
    rest: Bytes,
    /// For the decompressed message that was handed on last.
    room: Option<Room>,
}

#[derive(Debug)]
enum State {
    /// Before a message: what has come of its head.
    Head { bytes: [u8; HEAD_BYTES], len: usize },
    /// Within a message: how much of it is missing.
    Message { left: usize },
    /// Within a compressed message: what has come of it, and how much is missing.
    Compressed { content: Vec<u8>, left: usize },
}

impl State {
    const NEXT: Self = Self::Head { bytes: [0; HEAD_BYTES], len: 0 };
}

impl Frames {
    pub(super) const fn new(
        message_bytes_max: usize,
        unary: bool,
        gzip: bool,
        api: &'static Api,
    ) -> Self {
        let rest = Bytes::new();
        Self {
            message_bytes_max,
            unary,
            gzip,
            api,
            state: State::NEXT,
            any: false,
            rest,
            room: None,
        }
    }

    pub(super) const fn api(&self) -> &'static Api {
        self.api
    }

    pub(super) const fn gzip(&self) -> bool {
        self.gzip
    }

    /// Takes the next piece of the body. All of the last one must have been handed on.
    pub(super) fn put(&mut self, piece: Bytes) {
        self.rest = piece;
    }

    /// The frames as tonic reads them: the piece itself where nothing may be compressed, else one message
    /// at a time, so that one piece does not become many large messages. `None` once the piece is used up.
    pub(super) fn next(&mut self) -> Result<Option<Bytes>, Refusal> {
        if !self.unary {
            // Whoever asks for the next message has taken the last one.
            self.room = None;
        }
        let piece = std::mem::take(&mut self.rest);
        let (mut plain, mut at) = (BytesMut::new(), 0);
        while at < piece.len() && plain.is_empty() {
            at += self.step(&piece[at..], &mut plain)?;
        }
        if !self.gzip {
            return Ok(Some(piece).filter(|piece| !piece.is_empty()));
        }
        self.rest = piece.slice(at..);
        Ok(Some(plain.freeze()).filter(|plain| !plain.is_empty()))
    }

    /// Takes what belongs to one head or message, and returns how much that is.
    fn step(&mut self, piece: &[u8], plain: &mut BytesMut) -> Result<usize, Refusal> {
        let missing = match &self.state {
            State::Head { len, .. } => HEAD_BYTES - len,
            State::Message { left } | State::Compressed { left, .. } => *left,
        };
        let piece = &piece[..piece.len().min(missing)];
        let whole = piece.len() == missing;
        match &mut self.state {
            State::Head { bytes, len } => {
                bytes[*len..*len + piece.len()].copy_from_slice(piece);
                *len += piece.len();
                if whole {
                    let head = *bytes;
                    self.state = self.begin(head, plain)?;
                }
            }
            State::Message { left } => {
                *left -= piece.len();
                if self.gzip {
                    plain.extend_from_slice(piece);
                }
                if whole {
                    self.state = State::NEXT;
                }
            }
            State::Compressed { content, left } => {
                content.extend_from_slice(piece);
                *left -= piece.len();
                if whole {
                    let (message, room) = decompressed(content, self.message_bytes_max, self.api)?;
                    self.room = Some(room);
                    plain.put_u8(0);
                    plain.put_u32(
                        u32::try_from(message.len()).expect("a limit of messages is a u32"),
                    );
                    plain.extend_from_slice(&message);
                    self.state = State::NEXT;
                }
            }
        }
        Ok(piece.len())
    }

    fn begin(&mut self, head: [u8; HEAD_BYTES], plain: &mut BytesMut) -> Result<State, Refusal> {
        let [flag, length @ ..] = head;
        let left = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
        if left > self.message_bytes_max {
            let bytes_max = self.message_bytes_max;
            let message = format!("message has {left} bytes, the limit is {bytes_max}");
            return Err(too_large(message, self.api));
        }
        if self.unary && self.any {
            return Err(bad_message("call has more than one message"));
        }
        self.any = true;
        match (flag, self.gzip) {
            (0, gzip) => {
                if gzip {
                    plain.extend_from_slice(&head);
                }
                Ok(if left == 0 { State::NEXT } else { State::Message { left } })
            }
            (1, true) if left == 0 => Err(bad_message(NOT_GZIP)),
            (1, true) => Ok(State::Compressed { content: Vec::new(), left }),
            (1, false) => Err(bad_message("message is compressed and the call names no encoding")),
            _ => Err(bad_message("message has an unknown flag")),
        }
    }

    /// Whether the body may end here.
    pub(super) fn end(&self) -> Result<(), Refusal> {
        match self.state {
            State::Head { len: 0, .. } if self.any || !self.unary => Ok(()),
            State::Head { len: 0, .. } => Err(bad_message("message is missing")),
            State::Head { .. } | State::Message { .. } | State::Compressed { .. } => {
                Err(bad_message("message ends before its end"))
            }
        }
    }
}

const NOT_GZIP: &str = "message is not gzip as its flag says";

/// A message out of its gzip members, and the room that it takes.
fn decompressed(content: &[u8], bytes_max: usize, api: &Api) -> Result<(Vec<u8>, Room), Refusal> {
    gzip::open(content, bytes_max).map_err(|error| match error {
        NotOpened::NotGzip => bad_message(NOT_GZIP),
        NotOpened::TooLarge { bytes_max } => {
            let message =
                format!("message has more than {bytes_max} bytes decompressed, the limit");
            too_large(message, api)
        }
        NotOpened::NoRoom(no_room) => no_room.into(),
    })
}

fn too_large(message: String, api: &Api) -> Refusal {
    Refusal::new(Kind::TooLarge, api.message_too_large).field("message").says(message)
}

#[cfg(test)]
mod tests {
    use super::super::Checked;
    use super::*;
    use crate::refusal::tests::API;
    use http_body::Frame;
    use http_body_util::{BodyExt as _, StreamBody};
    use std::io::Write as _;
    use tonic::{Code, Status};

    fn framed(flag: u8, content: &[u8]) -> Vec<u8> {
        let length = u32::try_from(content.len()).unwrap();
        [&[flag], &length.to_be_bytes()[..], content].concat()
    }

    fn message(len: usize) -> Vec<u8> {
        framed(0, &vec![7; len])
    }

    fn gzip(content: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(content).unwrap();
        encoder.finish().unwrap()
    }

    /// Reads a body in pieces of each size; neither what is read nor what is refused must depend on it.
    async fn read(bytes: &[u8], frames: impl Fn() -> Frames) -> Result<Vec<u8>, String> {
        let mut results = Vec::new();
        for size in 1..=bytes.len().max(1) {
            let pieces = bytes
                .chunks(size)
                .map(|piece| Ok::<_, std::io::Error>(Frame::data(Bytes::copy_from_slice(piece))));
            let pieces: Vec<_> = pieces.collect();
            let body = StreamBody::new(futures_util::stream::iter(pieces));
            let body = Checked { body, frames: frames(), ended: false };
            results.push(match body.collect().await {
                Ok(read) => Ok(read.to_bytes().to_vec()),
                Err(error) => {
                    let status = Status::from_error(error);
                    let Refusal { reason, field, message, .. } =
                        Refusal::within(&status).expect("it is one of ours").clone();
                    assert_eq!(status.code(), Code::InvalidArgument);
                    assert_eq!(field.as_deref(), Some("message"));
                    assert!(!status.details().is_empty());
                    Err(format!("{} {message}", reason.unwrap()))
                }
            });
        }
        assert!(results.iter().all(|result| *result == results[0]), "{results:?}");
        results.swap_remove(0)
    }

    async fn plain(bytes: &[u8], unary: bool) -> Result<Vec<u8>, String> {
        read(bytes, || Frames::new(10, unary, false, &API)).await
    }

    async fn zipped(bytes: &[u8], bytes_max: usize) -> Result<Vec<u8>, String> {
        read(bytes, || Frames::new(bytes_max, false, true, &API)).await
    }

    fn refused(message: &str) -> Result<Vec<u8>, String> {
        Err(format!("BAD_FIELD {message}"))
    }

    #[tokio::test]
    async fn messages_are_taken_up_to_the_limit() {
        for message in [message(10), message(0)] {
            assert_eq!(plain(&message, true).await, Ok(message));
        }
        let two = [message(10), message(3)].concat();
        assert_eq!(plain(&two, false).await, Ok(two));
        assert_eq!(plain(&[], false).await, Ok(Vec::new()));
        let beyond = Err("MESSAGE_TOO_LARGE message has 11 bytes, the limit is 10".to_owned());
        assert_eq!(plain(&message(11), true).await, beyond);
        assert_eq!(plain(&[message(10), message(11)].concat(), false).await, beyond);
    }

    #[tokio::test]
    async fn a_message_that_is_missing_or_cut_short_is_refused() {
        assert_eq!(plain(&[], true).await, refused("message is missing"));
        for cut in 1..15 {
            let cut = plain(&message(10)[..cut], true).await;
            assert_eq!(cut, refused("message ends before its end"));
        }
    }

    #[tokio::test]
    async fn compressed_messages_are_handed_on_decompressed() {
        let (long, short) = (vec![7; 60], b"abc");
        let sent = [framed(1, &gzip(&long)), framed(0, short), framed(1, &gzip(b""))].concat();
        let read = [framed(0, &long), framed(0, short), framed(0, b"")].concat();
        assert_eq!(zipped(&sent, 60).await, Ok(read));
        let members = [gzip(b"ab"), gzip(b"c")].concat();
        assert_eq!(zipped(&framed(1, &members), 60).await, Ok(framed(0, short)));
    }

    #[tokio::test]
    async fn a_compressed_message_keeps_to_the_limit_decompressed() {
        let bomb = framed(1, &gzip(&vec![0; 1_000_000]));
        assert!(bomb.len() < 2_000);
        let beyond = "MESSAGE_TOO_LARGE message has more than 2000 bytes decompressed, the limit";
        assert_eq!(zipped(&bomb, 2_000).await, Err(beyond.to_owned()));
        let limit = framed(1, &gzip(&[7; 60]));
        assert!(zipped(&limit, 60).await.is_ok());
        assert!(zipped(&limit, 59).await.is_err());
    }

    #[tokio::test]
    async fn a_unary_call_has_one_message() {
        let two = [message(1), message(0)].concat();
        assert_eq!(plain(&two, true).await, refused("call has more than one message"));
        let two = [framed(1, &gzip(b"a")), framed(1, &gzip(b"b"))].concat();
        let read = read(&two, || Frames::new(60, true, true, &API)).await;
        assert_eq!(read, refused("call has more than one message"));
    }

    /// Otherwise a piece of some kilobytes would become as many long messages as it holds.
    #[test]
    fn one_piece_is_handed_on_message_by_message() {
        let message = framed(1, &gzip(&[7; 60]));
        let mut frames = Frames::new(60, false, true, &API);
        frames.put([&message[..], &message, &message[..9]].concat().into());
        let plain = Bytes::from(framed(0, &[7; 60]));
        assert_eq!(frames.next(), Ok(Some(plain.clone())));
        assert!(frames.room.is_some());
        assert_eq!(frames.next(), Ok(Some(plain.clone())));
        assert_eq!(frames.next(), Ok(None));
        assert!(frames.room.is_none());
        frames.put(Bytes::copy_from_slice(&message[9..]));
        assert_eq!((frames.next(), frames.end()), (Ok(Some(plain)), Ok(())));
    }

    #[tokio::test]
    async fn what_is_not_compressed_as_it_says_is_refused() {
        let good = gzip(b"abc");
        let mut flipped = good.clone();
        *flipped.last_mut().unwrap() ^= 1;
        for bad in [b"abc".to_vec(), Vec::new(), good[..good.len() - 1].to_vec(), flipped] {
            assert_eq!(zipped(&framed(1, &bad), 60).await, refused(NOT_GZIP));
        }
        let cut = framed(1, &good);
        let ends = refused("message ends before its end");
        assert_eq!(zipped(&cut[..cut.len() - 1], 60).await, ends);
        let unnamed = "message is compressed and the call names no encoding";
        assert_eq!(plain(&framed(1, b"abc"), true).await, refused(unnamed));
        for flag in [2, 255] {
            let unknown = refused("message has an unknown flag");
            assert_eq!(plain(&framed(flag, b"abc"), true).await, unknown);
            assert_eq!(zipped(&framed(flag, b"abc"), 60).await, unknown);
        }
    }
}
