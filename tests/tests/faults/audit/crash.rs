//! `kill -9` while events come by every way: what was acknowledged is there, whole, found, provable, once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use e2e::{Home, Server, cairn, eventually, long_profile, stdout_of};
use log_proto::audit_v1 as pb;
use log_proto::audit_v1::audit_service_client::AuditServiceClient;
use log_proto::audit_v1::record_result::Result as Outcome;
use log_proto::events::RecordEventsRequest;
use log_proto::log_v1::log_service_client::LogServiceClient;
use log_proto::log_v1::{AppendRequest, Entry, GetEntriesRequest, IndexRange, Receipt};
use merkle::Hash;
use prost::Message as _;
use serde_json::{Value, json};
use tonic::transport::Channel;

use super::super::clean_report;
use super::{EVENTS, answered, ask, event, member, record, search, verified_export};

/// Writers of each way.
const WRITERS: u64 = 2;
/// Events of one call over gRPC, and items of one post.
const BATCH: u64 = 5;
/// Events whose receipts are verified, and that are sent again.
const LOOKED_AT: usize = 5;

/// What the servers of this test have promised, over all of their lives.
#[derive(Default)]
struct Promises {
    /// Index → id and leaf hash of an event of our own schema.
    events: BTreeMap<u64, (String, String)>,
    /// Index → the receipt that came with it.
    receipts: BTreeMap<u64, String>,
    /// `auditID` of every item of a post that was answered.
    items: BTreeSet<String>,
    /// Index → entry of the log that takes anything.
    entries: BTreeMap<u64, Vec<u8>>,
    /// Paths of exports that were begun.
    exports: Vec<String>,
}

type Shared = Arc<Mutex<Promises>>;

impl Promises {
    fn event(&mut self, index: u64, id: &str, leaf_hash: String) {
        let promised = (id.to_owned(), leaf_hash);
        let before = self.events.insert(index, promised.clone());
        assert!(
            before.is_none_or(|before| before == promised),
            "index {index} was acknowledged for two events"
        );
    }
}

fn actor(writer: u64) -> String {
    format!("writer-{writer}")
}

/// The event of [`event`] as a message.
fn message(id: &str, actor: &str) -> bytes::Bytes {
    let target = pb::audit_event::Target {
        r#type: Some("invoice".to_owned()),
        id: Some(format!("invoice-{id}")),
        ..Default::default()
    };
    let event = pb::AuditEvent {
        id: Some(id.to_owned()),
        source: Some("/crash".to_owned()),
        time: Some("2026-03-04T09:10:11Z".to_owned()),
        action: Some("invoice.updated".to_owned()),
        category: pb::Category::Data.into(),
        operation: pb::Operation::Update.into(),
        outcome: pb::Outcome::Success.into(),
        actor: Some(pb::audit_event::Actor {
            r#type: pb::ActorType::User.into(),
            id: Some(actor.to_owned()),
            name: Some("Ana Silva".to_owned()),
            ..Default::default()
        }),
        targets: vec![target],
        ..Default::default()
    };
    event.encode_to_vec().into()
}

/// Records over gRPC until the server goes away.
async fn record_by_grpc(channel: Channel, cycle: u64, writer: u64, promises: Shared) {
    let mut client = AuditServiceClient::new(channel);
    for call in 0_u64.. {
        let id = |number: u64| format!("g-{cycle}-{writer}-{call}-{number}");
        let request = RecordEventsRequest {
            log: "audit".to_owned(),
            events: (0..BATCH).map(|number| message(&id(number), &actor(writer))).collect(),
            receipt: Receipt::Index.into(),
            receipt_wait: None,
        };
        let Ok(answer) = client.record_events(request).await else { return };
        for (number, result) in (0..).zip(answer.into_inner().results) {
            let Some(Outcome::Recorded(recorded)) = result.result else {
                panic!("an event was refused: {result:?}");
            };
            assert!(!recorded.duplicate && recorded.id == id(number), "{recorded:?}");
            let leaf_hash = hex::encode(&recorded.leaf_hash);
            promises.lock().unwrap().event(recorded.index, &id(number), leaf_hash);
        }
    }
}

/// Records over HTTP, each event with its receipt, until the server goes away.
fn record_by_http(authority: &str, cycle: u64, writer: u64, promises: &Shared) {
    for call in 0_u64.. {
        let id = format!("h-{cycle}-{writer}-{call}");
        let body = event(&id, &actor(writer)).to_string();
        let path = format!("{EVENTS}?receipt=signed");
        let Ok((status, answer)) = ask(authority, "POST", &path, &body) else { return };
        if status == 503 {
            return;
        }
        let answer: Value = serde_json::from_str(&answer).unwrap();
        assert_eq!(status, 200, "{answer}");
        let result = &answer["results"][0];
        let index = result["index"].as_u64().unwrap();
        let mut promises = promises.lock().unwrap();
        promises.event(index, &id, result["leaf_hash"].as_str().unwrap().to_owned());
        if let Some(receipt) = result["receipt"].as_str() {
            promises.receipts.insert(index, receipt.to_owned());
        }
    }
}

/// Posts what an apiserver posts, until the server goes away.
fn post_items(authority: &str, cycle: u64, writer: u64, promises: &Shared) {
    for call in 0_u64.. {
        let ids: Vec<_> =
            (0..BATCH).map(|number| format!("k-{cycle}-{writer}-{call}-{number}")).collect();
        let item = |id: &String| {
            json!({
                "level": "Metadata", "auditID": id, "stage": "ResponseComplete", "verb": "get",
                "requestURI": "/api/v1/namespaces/shop/pods/a", "user": {"username": "ana"},
                "objectRef": {"resource": "pods", "namespace": "shop", "name": "a"},
                "responseStatus": {"code": 200},
                "requestReceivedTimestamp": "2026-03-04T09:10:11.123456Z",
                "stageTimestamp": "2026-03-04T09:10:11.123459Z",
            })
        };
        let items: Vec<_> = ids.iter().map(item).collect();
        let list = json!({"kind": "EventList", "apiVersion": "audit.k8s.io/v1", "items": items});
        match ask(authority, "POST", "/v1/k8s/prod/audit", &list.to_string()) {
            Ok((200, _)) => promises.lock().unwrap().items.extend(ids),
            Ok((503, _)) | Err(_) => return,
            Ok((status, answer)) => panic!("{status}: {answer}"),
        }
    }
}

/// Appends to the log that takes anything, until the server goes away.
async fn append(channel: Channel, cycle: u64, writer: u64, promises: Shared) {
    let mut client = LogServiceClient::new(channel);
    for n in 0_u64.. {
        let data = format!("cycle {cycle}, writer {writer}, entry {n}").into_bytes();
        let request = AppendRequest {
            log: "default".into(),
            entry: Some(Entry { data: data.clone().into(), dedup_key: data.clone().into() }),
            receipt: Receipt::Index.into(),
            receipt_wait: None,
        };
        let Ok(answer) = client.append(request).await else { return };
        promises.lock().unwrap().entries.insert(answer.into_inner().leaf_index, data);
    }
}

/// Makes one evidence file after the other, until the server goes away.
fn export(authority: &str, promises: &Shared) {
    loop {
        let body = r#"{"formats":["csv"],"purpose":"a test"}"#;
        let Ok((status, answer)) = ask(authority, "POST", "/v1/logs/audit/exports", body) else {
            return;
        };
        // While nothing is recorded, or the server stops, there is nothing to make.
        let answer: Value = serde_json::from_str(&answer).unwrap_or(Value::Null);
        if status != 202 {
            assert!([429, 503].contains(&status), "{status}: {answer}");
            thread::sleep(Duration::from_millis(20));
            continue;
        }
        let url = answer["url"].as_str().unwrap();
        let path = url.strip_prefix(&format!("http://{authority}")).unwrap_or(url).to_owned();
        promises.lock().unwrap().exports.push(path.clone());
        loop {
            let Ok((_, state)) = ask(authority, "GET", &path, "") else { return };
            let state: Value = serde_json::from_str(&state).unwrap();
            if !["waiting", "running"].contains(&state["state"].as_str().unwrap()) {
                break;
            }
            thread::sleep(Duration::from_millis(5));
        }
    }
}

/// Every kind of load at once, until the server is killed.
async fn die_under_load(server: Server, cycle: u64, promises: &Shared) {
    let endpoint = Channel::from_shared(server.url().to_owned()).unwrap();
    let channel = endpoint.connect().await.unwrap();
    let authority: Arc<str> = server.authority().into();
    let mut tasks = Vec::new();
    let mut threads = Vec::new();
    for writer in 0..WRITERS {
        let (a, b) = (channel.clone(), channel.clone());
        tasks.push(tokio::spawn(record_by_grpc(a, cycle, writer, promises.clone())));
        tasks.push(tokio::spawn(append(b, cycle, writer, promises.clone())));
        for load in [record_by_http, post_items] {
            let (authority, promises) = (authority.clone(), promises.clone());
            threads.push(thread::spawn(move || load(&authority, cycle, writer, &promises)));
        }
    }
    let exported = promises.clone();
    threads.push(thread::spawn(move || export(&authority, &exported)));
    // Some cycles die almost at once, some after many commits.
    tokio::time::sleep(Duration::from_millis(150 + 380 * (cycle % 4))).await;
    server.kill();
    for task in tasks {
        task.await.expect("a writer finds no broken promise");
    }
    for thread in threads {
        thread.join().expect("a writer finds no broken promise");
    }
}

/// Events as the evidence file shows them, by index: what was promised is there, with its blocks, once.
fn check_lines(lines: &[Value], promises: &Promises) {
    let by_index: BTreeMap<u64, &Value> =
        lines.iter().map(|line| (line["index"].as_u64().unwrap(), line)).collect();
    assert_eq!(by_index.len(), lines.len());
    for (index, (id, leaf_hash)) in &promises.events {
        let line = by_index.get(index).unwrap_or_else(|| panic!("event {index} is gone"));
        let leaf = STANDARD.decode(line["leaf"].as_str().unwrap()).unwrap();
        assert_eq!(hex::encode(merkle::leaf_hash(&leaf).as_bytes()), *leaf_hash);
        assert_eq!(member(line, "core", "id").as_ref(), Some(id));
        assert!(member(line, "actor", "id").unwrap().starts_with("writer-"));
        assert!(line["blocks"]["target"]["text"].as_str().unwrap().contains(id.as_str()));
    }
    let keys: BTreeSet<_> = lines
        .iter()
        .map(|line| (member(line, "core", "source"), member(line, "core", "id")))
        .collect();
    assert_eq!(keys.len(), lines.len(), "no event is there twice");
    let raw = |line: &Value| {
        let raw = STANDARD.decode(line["blocks"]["raw"]["base64"].as_str()?).unwrap();
        let item: Value = serde_json::from_slice(&raw).unwrap();
        item["auditID"].as_str().map(str::to_owned)
    };
    let items: Vec<String> = lines.iter().filter_map(raw).collect();
    let once: BTreeSet<String> = items.iter().cloned().collect();
    assert_eq!(once.len(), items.len(), "no item is there twice");
    assert!(promises.items.is_subset(&once), "an item that was acknowledged is gone");
}

/// What is in the log is found, and no more.
fn check_search(server: &Server, lines: &[Value]) {
    let found = |filter: &str| -> BTreeSet<(u64, String)> {
        let key = |event: Value| {
            (event["index"].as_u64().unwrap(), event["id"].as_str().unwrap().to_owned())
        };
        let all = search(server, filter);
        let count = all.len();
        let keys: BTreeSet<_> = all.into_iter().map(key).collect();
        assert_eq!(keys.len(), count, "{filter}");
        keys
    };
    let shown = |keep: &dyn Fn(&Value) -> bool| -> BTreeSet<(u64, String)> {
        let kept = lines.iter().filter(|line| keep(line));
        kept.map(|line| (line["index"].as_u64().unwrap(), member(line, "core", "id").unwrap()))
            .collect()
    };
    assert_eq!(found(""), shown(&|_| true));
    for writer in 0..WRITERS {
        let actor = actor(writer);
        let of = |line: &Value| member(line, "actor", "id").as_ref() == Some(&actor);
        assert_eq!(found(&format!("&actor={actor}")), shown(&of));
    }
    let k8s = |line: &Value| member(line, "core", "source").as_deref() == Some("k8s://prod");
    assert_eq!(found("&source=k8s%3A%2F%2Fprod"), shown(&k8s));
}

/// Receipts that came with an answer verify, and who sends an event again is told where it stands.
fn check_again(server: &Server, home: &Home, lines: &[Value], promises: &Promises) {
    let vkey = home.vkey_argument("audit");
    for (index, receipt) in promises.receipts.iter().rev().take(LOOKED_AT) {
        let line = lines.iter().find(|line| line["index"] == *index).unwrap();
        let line = home.file("event.json", format!("{line}\n").as_bytes());
        let receipt = home.file("event.tlog-proof", receipt.as_bytes());
        let (line, receipt) = (line.to_str().unwrap(), receipt.to_str().unwrap());
        stdout_of(&cairn(["verify-event", line, receipt, "--vkey", &vkey]));
    }
    for (index, (id, leaf_hash)) in promises.events.iter().rev().take(LOOKED_AT) {
        let line = lines.iter().find(|line| line["index"] == *index).unwrap();
        let result = &record(server, &[event(id, &member(line, "actor", "id").unwrap())])[0];
        assert_eq!(result["duplicate"], true, "{result}");
        assert_eq!((&result["index"], &result["leaf_hash"]), (&json!(index), &json!(leaf_hash)));
    }
}

/// The entries of the other log.
async fn check_entries(server: &Server, promises: Shared) {
    let endpoint = Channel::from_shared(server.url().to_owned()).unwrap();
    let mut client = LogServiceClient::new(endpoint.connect().await.unwrap());
    let request = GetEntriesRequest {
        log: "default".into(),
        range: Some(IndexRange { start: 0, end: 0 }),
        with_receipts: false,
    };
    let mut stream = client.get_entries(request).await.unwrap().into_inner();
    let mut found = Vec::new();
    while let Some(part) = stream.message().await.unwrap() {
        found.extend(part.entries.unwrap().entries);
    }
    let promises = promises.lock().unwrap();
    for (index, data) in &promises.entries {
        let at = usize::try_from(*index).unwrap();
        assert_eq!(found.get(at).map(AsRef::as_ref), Some(&data[..]), "entry {index}");
    }
    let once: BTreeSet<Hash> = found.iter().map(|data| merkle::leaf_hash(data)).collect();
    assert_eq!(once.len(), found.len(), "no entry is there twice");
}

/// Every export that was begun is known, and comes to an end.
fn check_exports(server: &Server, promises: &Promises) {
    for path in promises.exports.iter().rev().take(LOOKED_AT) {
        let state = eventually(|| {
            let (status, answer) = answered(server, "GET", path, "");
            assert_eq!(status, 200, "{answer}");
            let state = answer["state"].as_str().unwrap().to_owned();
            (!["waiting", "running"].contains(&state.as_str())).then_some(state)
        });
        assert_eq!(state, "done");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_of_an_audit_log_is_lost_to_kill_9() {
    let cycles = if long_profile() { 40 } else { 4 };
    let home = Home::new();
    let promises = Shared::default();
    for cycle in 0..cycles {
        die_under_load(home.start(), cycle, &promises).await;
    }
    let server = home.start();
    check_entries(&server, promises.clone()).await;
    let promises = promises.lock().unwrap();
    for (what, count) in [
        ("events", promises.events.len()),
        ("receipts", promises.receipts.len()),
        ("items", promises.items.len()),
        ("entries", promises.entries.len()),
        ("exports", promises.exports.len()),
    ] {
        assert!(count > 0, "no {what} were acknowledged");
    }
    let lines = verified_export(&server, &home, &home, "evidence");
    check_lines(&lines, &promises);
    check_search(&server, &lines);
    check_again(&server, &home, &lines, &promises);
    check_exports(&server, &promises);
    assert_eq!(search(&server, "").len(), lines.len(), "a repetition adds nothing");
    server.stop().unwrap();
    clean_report(&home.data());
}
