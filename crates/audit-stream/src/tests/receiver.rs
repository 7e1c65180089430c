//! A receiver: keeps what it is sent, and answers as it is told.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// A request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Sent {
    pub(crate) path: String,
    /// The lines of the head, with names in lower case.
    pub(crate) head: String,
    pub(crate) body: String,
}

/// What a request is answered.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    Says {
        status: u16,
        headers: String,
        body: String,
    },
    /// The connection ends without one.
    Lost,
    /// Nothing comes.
    Never,
}

type Usual = Box<dyn Fn(&Sent) -> Answer + Send>;

/// What is said first, one answer a request, and what is said afterwards.
struct Script {
    first: VecDeque<Answer>,
    usual: Usual,
    sent: Vec<Sent>,
}

/// A receiver on a port of its own.
#[derive(Clone)]
pub(crate) struct Receiver {
    pub(crate) url: String,
    script: Arc<Mutex<Script>>,
}

impl Answer {
    pub(crate) fn new(status: u16, body: impl Into<String>) -> Self {
        Self::Says { status, headers: String::new(), body: body.into() }
    }

    /// The answer of a row of published ones.
    pub(crate) fn of_row(row: &Value) -> Self {
        let Some(status) = row["status"].as_u64() else { return Self::Lost };
        let body = row["body"].as_str().map_or_else(|| row["body"].to_string(), str::to_owned);
        let headers = row["headers"].as_object().into_iter().flatten();
        let headers =
            headers.map(|(name, value)| format!("{name}: {}\r\n", value.as_str().unwrap()));
        Self::Says { status: u16::try_from(status).unwrap(), headers: headers.collect(), body }
    }
}

impl Sent {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        { lines }.find(|(found, _)| *found == name).map(|(_, value)| value)
    }

    /// The objects of a body that has one a line.
    pub(crate) fn lines(&self) -> Vec<Value> {
        self.body.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

impl Receiver {
    pub(crate) async fn new(
        first: Vec<Answer>,
        usual: impl Fn(&Sent) -> Answer + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let script = Script { first: first.into(), usual: Box::new(usual), sent: Vec::new() };
        let receiver = Self { url, script: Arc::new(Mutex::new(script)) };
        let serving = receiver.clone();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let serving = serving.clone();
                tokio::spawn(async move { serving.serve(stream).await });
            }
        });
        receiver
    }

    /// What it was sent so far.
    pub(crate) fn sent(&self) -> Vec<Sent> {
        self.script.lock().unwrap().sent.clone()
    }

    async fn serve(&self, mut stream: TcpStream) {
        while let Some(sent) = read(&mut stream).await {
            let answer = {
                let mut script = self.script.lock().unwrap();
                script.sent.push(sent.clone());
                let first = script.first.pop_front();
                first.unwrap_or_else(|| (script.usual)(&sent))
            };
            match answer {
                Answer::Says { status, headers, body } => {
                    let length = body.len();
                    let text = format!(
                        "HTTP/1.1 {status} X\r\n{headers}content-length: {length}\r\n\r\n{body}"
                    );
                    if stream.write_all(text.as_bytes()).await.is_err() {
                        return;
                    }
                }
                Answer::Lost => return,
                Answer::Never => std::future::pending().await,
            }
        }
    }
}

async fn read(stream: &mut TcpStream) -> Option<Sent> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).unwrap();
    let path = head.split(' ').nth(1).unwrap().to_owned();
    let lines = head.lines().filter_map(|line| line.split_once(": "));
    let head: String =
        lines.flat_map(|(name, value)| [name.to_lowercase(), format!(": {value}\n")]).collect();
    let sent = Sent { path, head, body: String::new() };
    let length = sent.header("content-length").unwrap().parse().unwrap();
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    Some(Sent { body: String::from_utf8(body).unwrap(), ..sent })
}
