//! The body of a request that may be compressed, read and opened within a bound and within the room that
//! the server has for all of them.

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, header};
use http_body_util::BodyExt as _;

use crate::gzip::{self, NotOpened};
use crate::room::{NoRoom, Room};

/// A body in memory. Its room is given back when it is dropped.
#[derive(Debug)]
pub struct Received {
    bytes: Bytes,
    _room: Room,
}

impl Received {
    /// What was sent, decompressed.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// Why there is no body.
#[derive(Debug, PartialEq, Eq)]
pub enum NotReceived {
    /// The connection broke off within the body.
    CutShort,
    /// It is longer than the limit, as sent or opened. It has this many bytes, if that is known.
    TooLarge { bytes: Option<u64> },
    /// It is not the gzip that it says it is. Here it is as it was sent.
    NotGzip(Bytes),
    /// It is compressed in a way that is not read.
    Encoding,
    /// The server holds as many bytes of bodies as it takes.
    NoRoom,
}

impl From<NoRoom> for NotReceived {
    fn from(_: NoRoom) -> Self {
        Self::NoRoom
    }
}

/// Reads a body of at most `bytes_max` bytes, which may be compressed with gzip.
pub async fn receive<B>(
    headers: &HeaderMap,
    body: B,
    bytes_max: usize,
) -> Result<Received, NotReceived>
where
    B: http_body::Body<Data = Bytes> + Send,
{
    let is_gzip = is_gzip(headers)?;
    let announced = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    let announced: Option<u64> = announced.and_then(|value| value.parse().ok());
    let is_beyond = |bytes: u64| usize::try_from(bytes).map_or(true, |bytes| bytes > bytes_max);
    if let Some(bytes) = announced.filter(|bytes| is_beyond(*bytes)) {
        return Err(NotReceived::TooLarge { bytes: Some(bytes) });
    }
    let (bytes, room) = read(body, bytes_max).await?;
    if !is_gzip {
        return Ok(Received { bytes, _room: room });
    }
    match gzip::open(&bytes, bytes_max) {
        Ok((opened, room)) => Ok(Received { bytes: opened.into(), _room: room }),
        Err(NotOpened::NotGzip) => Err(NotReceived::NotGzip(bytes)),
        Err(NotOpened::TooLarge { .. }) => Err(NotReceived::TooLarge { bytes: None }),
        Err(NotOpened::NoRoom(_)) => Err(NotReceived::NoRoom),
    }
}

/// The whole body, and the room that it takes. A body in one piece is not copied.
async fn read<B>(body: B, bytes_max: usize) -> Result<(Bytes, Room), NotReceived>
where
    B: http_body::Body<Data = Bytes> + Send,
{
    let mut body = std::pin::pin!(body);
    let mut room = Room::take(0)?;
    let (mut first, mut more) = (Bytes::new(), BytesMut::new());
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else { return Err(NotReceived::CutShort) };
        let Ok(piece) = frame.into_data() else { continue };
        let bytes = first.len() + more.len() + piece.len();
        if bytes > bytes_max {
            return Err(NotReceived::TooLarge { bytes: None });
        }
        room.hold(bytes)?;
        if bytes == piece.len() {
            first = piece;
        } else {
            more.extend_from_slice(&std::mem::take(&mut first));
            more.extend_from_slice(&piece);
        }
    }
    let whole = if more.is_empty() { first } else { more.freeze() };
    Ok((whole, room))
}

/// Whether a body is compressed with gzip.
fn is_gzip(headers: &HeaderMap) -> Result<bool, NotReceived> {
    let mut gzip = false;
    for value in headers.get_all(header::CONTENT_ENCODING) {
        let names = HeaderValue::to_str(value).map_err(|_| NotReceived::Encoding)?;
        for name in names.split(',').map(str::trim) {
            match name {
                name if name.eq_ignore_ascii_case("identity") => {}
                name if !gzip && is_name_of_gzip(name) => gzip = true,
                _ => return Err(NotReceived::Encoding),
            }
        }
    }
    Ok(gzip)
}

fn is_name_of_gzip(name: &str) -> bool {
    name.eq_ignore_ascii_case("gzip") || name.eq_ignore_ascii_case("x-gzip")
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use http_body_util::{Full, StreamBody};

    use super::*;

    fn gzip(content: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(content).unwrap();
        encoder.finish().unwrap()
    }

    async fn of(headers: &[(&'static str, &str)], body: &[u8]) -> Result<Vec<u8>, NotReceived> {
        let header = |(name, value): &(&'static str, &str)| {
            (http::HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())
        };
        let headers = headers.iter().map(header).collect();
        let body = Full::new(Bytes::copy_from_slice(body));
        receive(&headers, body, 60).await.map(|received| received.bytes().to_vec())
    }

    #[tokio::test]
    async fn bodies_keep_to_the_limit_as_sent_and_opened() {
        let packed: &[(&str, &str)] = &[("content-encoding", "gzip")];
        assert_eq!(of(&[], &[7; 60]).await, Ok(vec![7; 60]));
        assert_eq!(of(&[], &[7; 61]).await, Err(NotReceived::TooLarge { bytes: None }));
        let announced = of(&[("content-length", "61")], b"").await;
        assert_eq!(announced, Err(NotReceived::TooLarge { bytes: Some(61) }));
        assert_eq!(of(packed, &gzip(&[7; 60])).await, Ok(vec![7; 60]));
        let bomb = gzip(&[0; 5_000]);
        assert!(bomb.len() <= 60);
        assert_eq!(of(packed, &bomb).await, Err(NotReceived::TooLarge { bytes: None }));
        let members = [gzip(b"one "), gzip(b"two")].concat();
        assert_eq!(of(packed, &members).await, Ok(b"one two".to_vec()));
    }

    #[tokio::test]
    async fn what_is_not_gzip_or_not_read_is_told_apart() {
        let packed: &[(&str, &str)] = &[("content-encoding", "identity, GZIP")];
        let cut = &gzip(b"one")[..20];
        let refused = Err(NotReceived::NotGzip(Bytes::copy_from_slice(cut)));
        assert_eq!(of(packed, cut).await, refused);
        for encoding in ["zstd", "gzip, gzip", "deflate", ""] {
            let refused = of(&[("content-encoding", encoding)], b"").await;
            assert_eq!(refused, Err(NotReceived::Encoding), "{encoding}");
        }
    }

    #[tokio::test]
    async fn pieces_become_one() {
        let frame = |byte: u8| Ok::<_, std::io::Error>(http_body::Frame::data(vec![byte].into()));
        let pieces = futures_util::stream::iter([frame(1), frame(2), frame(3)]);
        let received = receive(&HeaderMap::new(), StreamBody::new(pieces), 3).await.unwrap();
        assert_eq!(received.bytes(), [1, 2, 3]);
        let broken = [frame(1), Err(std::io::Error::other("gone"))];
        let broken = StreamBody::new(futures_util::stream::iter(broken));
        let refused = receive(&HeaderMap::new(), broken, 3).await.unwrap_err();
        assert_eq!(refused, NotReceived::CutShort);
    }
}
