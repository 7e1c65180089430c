//! Requests over keep-alive HTTP/1.1 connections, written by hand: one write and usually one read for
//! each call, so that we measure the server and not the client.

use std::ops::Range;
use std::sync::Arc;

use serde::Deserialize;
use serde::de::IgnoredAny;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::grpc::in_turn;
use super::load::{Call, Done, Reply};
use super::template::Template;
use crate::error::CliError;

/// Largest answer taken, head and body.
const ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;

/// The server's authority, from an `http://` URL without a path.
#[derive(Clone, Debug)]
pub(crate) struct Authority {
    host_and_port: String,
}

impl Authority {
    pub(crate) fn of(server: &str) -> Result<Self, CliError> {
        let plain = server.strip_prefix("http://");
        let rest = plain.ok_or_else(|| CliError::PlainHttpOnly { url: server.to_owned() })?;
        let authority = rest.trim_end_matches('/');
        let has_port = authority.rsplit_once(':').is_some_and(|(_, port)| !port.ends_with(']'));
        let port = if has_port { "" } else { ":80" };
        Ok(Self { host_and_port: format!("{authority}{port}") })
    }
}

/// What an answer of 200 stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Counted {
    /// The route does nothing.
    Nothing,
    /// Everything that was sent is in the log.
    Sent,
    /// A page of events.
    Page,
    /// Numbers of events by key.
    Counts,
}

/// A request that is made again and again.
#[derive(Debug)]
pub(crate) struct Prepared {
    head: Vec<u8>,
    body: Template,
}

impl Prepared {
    pub(crate) fn get(authority: &Authority, path: &str) -> Self {
        let head = format!("GET {path} HTTP/1.1\r\nhost: {}\r\n\r\n", authority.host_and_port);
        Self { head: head.into_bytes(), body: Template::empty() }
    }

    pub(crate) fn post(
        authority: &Authority,
        path: &str,
        content_type: Option<&str>,
        body: Template,
    ) -> Self {
        let kind = content_type.map(|kind| format!("content-type: {kind}\r\n"));
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: {}\r\n{}content-length: {}\r\n\r\n",
            authority.host_and_port,
            kind.unwrap_or_default(),
            body.len()
        );
        Self { head: head.into_bytes(), body }
    }
}

/// One keep-alive connection that makes prepared requests in turn.
#[derive(Debug)]
pub(crate) struct Poster {
    authority: Authority,
    connection: Option<TcpStream>,
    /// Never none.
    requests: Arc<[Prepared]>,
    counted: Counted,
    buffer: Vec<u8>,
}

impl Poster {
    pub(crate) fn new(authority: Authority, requests: Arc<[Prepared]>, counted: Counted) -> Self {
        let buffer = Vec::with_capacity(4096);
        Self { authority, connection: None, requests, counted, buffer }
    }

    /// Makes one call and gives its status, which says whether the route exists.
    pub(crate) async fn probe(&mut self) -> Result<u16, std::io::Error> {
        self.exchange(0).await.map(|answer| answer.status)
    }

    async fn exchange(&mut self, number: u64) -> Result<Answer, std::io::Error> {
        // We put the connection back only after a whole answer: after a broken one it is closed.
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.connect().await?,
        };
        let request = in_turn(&self.requests, number);
        self.buffer.clear();
        self.buffer.extend_from_slice(&request.head);
        request.body.write(number, &mut self.buffer);
        connection.write_all(&self.buffer).await?;
        self.buffer.clear();
        let answer = loop {
            if connection.read_buf(&mut self.buffer).await? == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
            if let Some(answer) = parse_answer(&self.buffer)? {
                break answer;
            }
            if self.buffer.len() > ANSWER_BYTES_MAX {
                return Err(bad_answer("the answer is too long"));
            }
        };
        if answer.keep_alive {
            self.connection = Some(connection);
        }
        Ok(answer)
    }

    /// What the answer to request `number`, which is in the buffer, stands for.
    fn done(&self, number: u64, answer: &Answer) -> Result<Done, serde_json::Error> {
        let body = &self.buffer[answer.body.clone()];
        let sent = &in_turn(&self.requests, number).body;
        Ok(match self.counted {
            Counted::Nothing => Done::default(),
            Counted::Sent => Done {
                leaves: sent.entries(),
                last_index: std::str::from_utf8(body)
                    .ok()
                    .and_then(|it| it.trim_end().parse().ok()),
                bytes: sent.items_bytes(),
                ..Done::default()
            },
            Counted::Page => {
                let page: Page = serde_json::from_slice(body)?;
                Done { found: wide(page.events.len()), bytes: wide(body.len()), ..Done::default() }
            }
            Counted::Counts => {
                let counts: Counts = serde_json::from_slice(body)?;
                let found = counts.counts.iter().map(|key| key.count).sum::<u64>() + counts.other;
                Done { found, bytes: wide(body.len()), ..Done::default() }
            }
        })
    }

    async fn connect(&self) -> Result<TcpStream, std::io::Error> {
        let connection = TcpStream::connect(&self.authority.host_and_port).await?;
        connection.set_nodelay(true)?;
        Ok(connection)
    }
}

impl Call for Poster {
    async fn call(&mut self, number: u64) -> Reply {
        match self.exchange(number).await {
            Ok(answer) if answer.status == 200 => match self.done(number, &answer) {
                Ok(done) => Reply::Done(done),
                Err(_) => Reply::Failed("the answer has another form".to_owned()),
            },
            Ok(Answer { status: 429 | 503, .. }) => Reply::Shed { retry_after: None },
            Ok(Answer { status, .. }) => Reply::Failed(format!("HTTP status {status}")),
            Err(error) => Reply::Failed(format!("the connection failed: {error}")),
        }
    }
}

/// A page of events; nothing of them is looked at.
#[derive(Deserialize)]
struct Page {
    events: Vec<IgnoredAny>,
}

#[derive(Deserialize)]
struct Counts {
    counts: Vec<KeyCount>,
    other: u64,
}

#[derive(Deserialize)]
struct KeyCount {
    count: u64,
}

/// The parts of an answer that this tool uses.
#[derive(Debug, PartialEq, Eq)]
struct Answer {
    status: u16,
    keep_alive: bool,
    /// Where the body stands.
    body: Range<usize>,
}

/// The answer, once it is complete with its body; `None` while bytes are missing.
fn parse_answer(bytes: &[u8]) -> Result<Option<Answer>, std::io::Error> {
    let Some(head_len) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
        return Ok(None);
    };
    let head = std::str::from_utf8(&bytes[..head_len]).map_err(|_| bad_answer("no text"))?;
    let mut lines = head.split("\r\n");
    let status = lines
        .next()
        .and_then(|line| line.strip_prefix("HTTP/1.1 "))
        .and_then(|rest| rest.get(..3)?.parse().ok())
        .ok_or_else(|| bad_answer("no HTTP/1.1 status line"))?;
    let mut body_len = None;
    let mut keep_alive = true;
    for (name, value) in lines.filter_map(|line| line.split_once(':')) {
        let value = value.trim();
        if name.eq_ignore_ascii_case("content-length") {
            body_len = value.parse::<usize>().ok();
        } else if name.eq_ignore_ascii_case("connection") {
            keep_alive = !value.eq_ignore_ascii_case("close");
        }
    }
    let body_len = body_len.ok_or_else(|| bad_answer("no content-length"))?;
    let start = head_len + 4;
    if bytes.len() - start < body_len {
        return Ok(None);
    }
    Ok(Some(Answer { status, keep_alive, body: start..start + body_len }))
}

fn wide(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

fn bad_answer(what: &'static str) -> std::io::Error {
    std::io::Error::new(std::io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_whole_or_not_yet() {
        let bytes = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\ndate: x\r\n\r\n42\n";
        let body = bytes.len() - 3..bytes.len();
        let answer = Answer { status: 200, keep_alive: true, body };
        assert_eq!(parse_answer(bytes).unwrap(), Some(answer));
        for cut in 0..bytes.len() {
            assert_eq!(parse_answer(&bytes[..cut]).unwrap(), None, "cut at {cut}");
        }
    }

    #[test]
    fn what_cannot_be_framed_is_an_error() {
        for bytes in
            ["HTTP/1.0 200 OK\r\n\r\n", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"]
        {
            assert!(parse_answer(bytes.as_bytes()).is_err(), "{bytes}");
        }
        let closing = b"HTTP/1.1 503 X\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
        let body = closing.len()..closing.len();
        let answer = Answer { status: 503, keep_alive: false, body };
        assert_eq!(parse_answer(closing).unwrap(), Some(answer));
    }

    #[test]
    fn authorities_get_a_port() {
        let of = |url| Authority::of(url).map(|authority| authority.host_and_port).ok();
        assert_eq!(of("http://127.0.0.1:6962/").as_deref(), Some("127.0.0.1:6962"));
        assert_eq!(of("http://log.example").as_deref(), Some("log.example:80"));
        assert_eq!(of("http://[::1]").as_deref(), Some("[::1]:80"));
        assert_eq!(of("http://[::1]:1").as_deref(), Some("[::1]:1"));
        assert_eq!(of("https://log.example"), None);
    }
}
