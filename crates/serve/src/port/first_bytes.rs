//! A connection says with its first bytes what it speaks. They are read here and kept to be read again.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};

/// What an HTTP/2 connection begins with (RFC 9113, section 3.4).
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// What a TLS connection begins with: the record type of a handshake (RFC 8446, section 5.1). No HTTP
/// request begins so.
const TLS_HANDSHAKE: u8 = 0x16;

/// What a connection speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Speaks {
    Tls,
    Http2,
    /// HTTP/1, or nothing that will be understood.
    Other,
}

/// Reads until the bytes say what a connection speaks; `None` if it ends first. Unbounded in time.
pub(super) async fn arrive<S: AsyncRead + Unpin>(
    mut stream: S,
) -> io::Result<Option<(Speaks, Begun<S>)>> {
    let mut first = [0; PREFACE.len()];
    let mut seen = 0;
    let speaks = loop {
        let read = stream.read(&mut first[seen..]).await?;
        if read == 0 {
            return Ok(None);
        }
        seen += read;
        if first[0] == TLS_HANDSHAKE {
            break Speaks::Tls;
        }
        if !PREFACE.starts_with(&first[..seen]) {
            break Speaks::Other;
        }
        if seen == PREFACE.len() {
            break Speaks::Http2;
        }
    };
    Ok(Some((speaks, Begun { first, seen, again: 0, stream })))
}

/// A connection of which the first bytes were read, and are read again.
#[derive(Debug)]
pub(super) struct Begun<S> {
    first: [u8; PREFACE.len()],
    /// How many bytes of `first` are filled, and how many of those were read again.
    seen: usize,
    again: usize,
    stream: S,
}

impl<S: AsyncRead + Unpin> AsyncRead for Begun<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.again == self.seen {
            return Pin::new(&mut self.stream).poll_read(cx, buf);
        }
        let take = buf.remaining().min(self.seen - self.again);
        buf.put_slice(&self.first[self.again..self.again + take]);
        self.again += take;
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Begun<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncWriteExt as _, duplex};

    use super::*;

    /// Sends pieces and ends; gives what was seen, and everything as it is read after that.
    async fn sent(pieces: &[&[u8]]) -> Option<(Speaks, Vec<u8>)> {
        let (mut client, server) = duplex(64);
        let send = async {
            for piece in pieces {
                client.write_all(piece).await.unwrap();
                tokio::task::yield_now().await;
            }
            drop(client);
        };
        let receive = async {
            let (speaks, mut stream) = arrive(server).await.unwrap()?;
            let mut all = Vec::new();
            stream.read_to_end(&mut all).await.unwrap();
            Some((speaks, all))
        };
        tokio::join!(send, receive).1
    }

    #[tokio::test]
    async fn the_protocol_is_known_from_whatever_pieces_and_nothing_is_lost() {
        for (speaks, all) in [
            (Speaks::Other, &b"G"[..]),
            (Speaks::Other, b"PUT / HTTP/1.1\r\nhost: a much longer one\r\n\r\n"),
            (Speaks::Other, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\rX"),
            (Speaks::Other, b"\xff"),
            (Speaks::Http2, PREFACE),
            (Speaks::Http2, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nand frames"),
            (Speaks::Tls, b"\x16"),
            (Speaks::Tls, b"\x16\x03\x01 whatever follows, more than a preface has"),
        ] {
            for cut in 0..all.len() {
                let (one, other) = all.split_at(cut);
                assert_eq!(sent(&[one, other]).await, Some((speaks, all.to_vec())), "{cut}");
            }
        }
    }

    #[tokio::test]
    async fn a_connection_that_ends_before_it_said_its_protocol_is_none() {
        for silent in [&b""[..], b"P", &PREFACE[..23]] {
            assert_eq!(sent(&[silent]).await, None, "{silent:?}");
        }
    }
}
