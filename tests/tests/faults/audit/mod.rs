//! What kills, restores and damages a server does not change what its audit log promised.

mod crash;
mod damage;
mod restored;

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};

use e2e::{Home, Server, cairn, eventually, stdout_of};
use serde_json::{Value, json};

const EVENTS: &str = "/v1/logs/audit/events";

/// The status and the body of a whole answer; an error if the server went away meanwhile.
fn ask(authority: &str, method: &str, path: &str, body: &str) -> io::Result<(u16, String)> {
    let mut stream = TcpStream::connect(authority)?;
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: {authority}\r\nconnection: close\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let cut = || io::Error::from(io::ErrorKind::UnexpectedEof);
    let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(cut)?;
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    if length.is_some_and(|length| body.len() < length) {
        return Err(cut());
    }
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    Ok((status.ok_or_else(cut)?, body.to_owned()))
}

/// The answer of a server that runs.
fn answered(server: &Server, method: &str, path: &str, body: &str) -> (u16, Value) {
    let (status, body) = ask(server.authority(), method, path, body).unwrap();
    (status, serde_json::from_str(&body).unwrap_or(Value::Null))
}

fn event(id: &str, actor: &str) -> Value {
    json!({
        "id": id, "source": "/crash", "time": "2026-03-04T09:10:11Z", "action": "invoice.updated",
        "category": "data", "operation": "update", "outcome": "success",
        "actor": {"type": "user", "id": actor, "name": "Ana Silva"},
        "targets": [{"type": "invoice", "id": format!("invoice-{id}")}],
    })
}

/// Records events, which must be taken: their results.
fn record(server: &Server, events: &[Value]) -> Vec<Value> {
    let body = Value::from(events).to_string();
    let (status, answer) = answered(server, "POST", EVENTS, &body);
    assert_eq!(status, 200, "{answer}");
    answer["results"].as_array().unwrap().clone()
}

/// All events that match, page after page, oldest first.
fn search(server: &Server, filter: &str) -> Vec<Value> {
    let mut found = Vec::new();
    let mut cursor = String::new();
    loop {
        let path = format!("{EVENTS}?order=oldest&limit=1000{filter}{cursor}");
        let page = eventually(|| {
            let (status, page) = answered(server, "GET", &path, "");
            // It is busy while the search index has much to catch up with.
            assert!([200, 503].contains(&status), "{status}: {page}");
            (status == 200).then_some(page)
        });
        found.extend_from_slice(page["events"].as_array().unwrap());
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return found,
        }
    }
}

/// Makes an evidence file of all events, and verifies it under the log's key: its lines.
fn verified_export(server: &Server, home: &Home, keys: &Home, name: &str) -> Vec<Value> {
    let folder = home.path(name);
    let out = folder.to_str().unwrap();
    stdout_of(&server.cairn(home, ["export", "audit", "--format", "csv", "--out", out]));
    stdout_of(&cairn(["verify-export", out, "--vkey", &keys.vkey_argument("audit")]));
    lines(&folder)
}

fn lines(folder: &Path) -> Vec<Value> {
    let text = fs::read_to_string(folder.join("events.ndjson")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// A member of a block of an event.
fn member(line: &Value, block: &str, name: &str) -> Option<String> {
    let text = line["blocks"][block]["text"].as_str()?;
    let members: Value = serde_json::from_str(text).unwrap();
    members[name].as_str().map(str::to_owned)
}

/// Where a log's secret is kept.
fn secret(data: &Path) -> PathBuf {
    data.join("keys/audit.audit")
}
