//! A connection says with its first bytes which protocol it speaks. Nothing else bounds the time it takes
//! for that, and a connection that stays silent holds a place that others wait for.

use std::io;
use std::time::Duration;

use tokio::net::TcpStream;

/// What an HTTP/2 connection begins with (RFC 9113, section 3.4).
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// How often the rest of a beginning is looked for: looking does not take bytes away, so it cannot wait.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// What a connection speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Speaks {
    Http2,
    /// HTTP/1, or nothing that will be understood.
    Other,
}

/// What a connection speaks, by its first bytes, which stay to be read; `None` if they do not arrive
/// within a time.
pub(super) async fn arrive(stream: &TcpStream, within: Duration) -> Option<Speaks> {
    let arrived = tokio::time::timeout(within, say_the_protocol(stream)).await;
    arrived.ok()?.ok()?
}

/// `None` if the connection ends first.
async fn say_the_protocol(stream: &TcpStream) -> io::Result<Option<Speaks>> {
    let mut first = [0; PREFACE.len()];
    loop {
        let seen = stream.peek(&mut first).await?;
        if seen == 0 {
            return Ok(None);
        }
        if !PREFACE.starts_with(&first[..seen]) {
            return Ok(Some(Speaks::Other));
        }
        if seen == PREFACE.len() {
            return Ok(Some(Speaks::Http2));
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt as _;
    use tokio::net::TcpListener;

    use super::*;

    async fn sent(bytes: &[u8]) -> Option<Speaks> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        client.write_all(bytes).await.unwrap();
        let (server, _) = listener.accept().await.unwrap();
        let arrived = arrive(&server, Duration::from_secs(1)).await;
        drop(client);
        arrived
    }

    #[tokio::test]
    async fn a_connection_that_does_not_say_its_protocol_is_given_up() {
        for silent in [&b""[..], b"P", &PREFACE[..23]] {
            assert_eq!(sent(silent).await, None, "{silent:?}");
        }
        for other in [&b"G"[..], b"PUT", b"\xff"] {
            assert_eq!(sent(other).await, Some(Speaks::Other), "{other:?}");
        }
        assert_eq!(sent(PREFACE).await, Some(Speaks::Http2));
    }

    #[tokio::test]
    async fn a_connection_that_ends_is_given_up_at_once() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (server, _) = listener.accept().await.unwrap();
        drop(client);
        assert_eq!(arrive(&server, Duration::from_hours(1)).await, None);
    }
}
