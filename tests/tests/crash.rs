//! `kill -9` under load: whatever was acknowledged is there afterwards, at its index, once.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use e2e::{Home, Server, cairn_server, long_profile, stdout_of};
use formats::proof::TlogProof;
use log_proto::log_v1::{
    AppendRequest, Entry, GetEntriesRequest, IndexRange, Receipt,
    log_service_client::LogServiceClient,
};
use serde_json::Value;
use tonic::transport::Channel;

const WRITERS: u64 = 16;

/// What the servers of this test have promised, over all of their lives.
#[derive(Default)]
struct Promises {
    /// Index → the bytes that were acknowledged there.
    entries: BTreeMap<u64, Vec<u8>>,
    /// Signed size → root.
    heads: BTreeMap<u64, merkle::Hash>,
}

impl Promises {
    fn entry(&mut self, index: u64, data: &[u8]) {
        let before = self.entries.insert(index, data.to_owned());
        assert!(
            before.as_deref().is_none_or(|before| before == data),
            "index {index} was acknowledged for two entries"
        );
    }

    fn head(&mut self, size: u64, root: merkle::Hash) {
        let before = self.heads.insert(size, root);
        assert!(
            before.is_none_or(|before| before == root),
            "L-1: two roots signed for size {size}"
        );
    }

    /// Every promise holds over what the log has now.
    fn check(&self, entries: &[bytes::Bytes]) {
        for (index, data) in &self.entries {
            let at = usize::try_from(*index).expect("few entries");
            let found = entries.get(at).map(AsRef::as_ref);
            assert_eq!(found, Some(&data[..]), "entry {index} was acknowledged");
        }
        let mut tree = merkle::CompactRange::empty();
        for (entry, size) in entries.iter().zip(1..) {
            tree.append(merkle::leaf_hash(entry));
            if let Some(root) = self.heads.get(&size) {
                assert_eq!(tree.root(), *root, "the head of size {size} holds");
            }
        }
    }
}

async fn connect(server: &Server) -> LogServiceClient<Channel> {
    let endpoint = Channel::from_shared(server.url().to_owned()).expect("a URL");
    LogServiceClient::new(endpoint.connect().await.expect("the server accepts connections"))
}

/// Appends until the server goes away. Every other entry asks for a signed receipt.
async fn write(
    mut client: LogServiceClient<Channel>,
    cycle: u64,
    writer: u64,
    promises: Arc<Mutex<Promises>>,
) {
    for n in 0.. {
        let data = format!("cycle {cycle}, writer {writer}, entry {n}").into_bytes();
        let receipt = if n % 2 == 0 { Receipt::Index } else { Receipt::Signed };
        let request = AppendRequest {
            log: "default".into(),
            entry: Some(Entry { data: data.clone().into(), dedup_key: data.clone().into() }),
            receipt: receipt.into(),
            receipt_wait: None,
        };
        let Ok(answer) = client.append(request).await else { return };
        let answer = answer.into_inner();
        let mut promises = promises.lock().expect("no writer panicked");
        promises.entry(answer.leaf_index, &data);
        if !answer.tlog_proof.is_empty() {
            let proof = TlogProof::parse(&answer.tlog_proof).expect("a receipt parses");
            let head = proof.checkpoint();
            promises.head(head.size().get(), *head.root());
        }
    }
}

/// Everything in the log, in order.
async fn entries(server: &Server) -> Vec<bytes::Bytes> {
    let request = GetEntriesRequest {
        log: "default".into(),
        range: Some(IndexRange { start: 0, end: 0 }),
        with_receipts: false,
    };
    let answer = connect(server).await.get_entries(request).await;
    let mut stream = answer.expect("entries can be read").into_inner();
    let mut entries = Vec::new();
    while let Some(part) = stream.message().await.expect("the stream goes on") {
        let range = part.entries.expect("a range");
        assert_eq!(range.first_index, entries.len() as u64, "indexes are contiguous");
        entries.extend(range.entries);
    }
    entries
}

/// `fsck` finds nothing, and has re-hashed every entry and every index row: how many there are.
fn check_store(home: &Home) -> u64 {
    let data = home.data();
    let data = data.to_str().expect("temporary paths are UTF-8");
    let report = stdout_of(&cairn_server(["fsck", "--data-dir", data, "--json"]));
    let report: Value = serde_json::from_str(&report).expect("a report is JSON");
    assert_eq!(report["clean"], true, "{report}");
    let log = &report["logs"][0];
    assert_eq!(log["entries"], log["size"], "{report}");
    assert_eq!(log["dedup_rows"], log["size"], "every entry has a key: {report}");
    assert_eq!(log["leaf_rows"], log["indexed_to"], "{report}");
    let tiles = log["size"].as_u64().map(|size| (1..8).map(|level| size >> (8 * level)).sum());
    assert_eq!(log["tiles"].as_u64(), tiles, "{report}");
    log["size"].as_u64().expect("a size is a number")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_to_kill_9() {
    let cycles = if long_profile() { 200 } else { 5 };
    let home = Home::new();
    let promises = Arc::new(Mutex::new(Promises::default()));
    for cycle in 0..cycles {
        let server = home.start();
        let found = entries(&server).await;
        promises.lock().unwrap().check(&found);
        let client = connect(&server).await;
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| tokio::spawn(write(client.clone(), cycle, writer, promises.clone())))
            .collect();
        // Some cycles die almost at once, some after a few hundred commits.
        tokio::time::sleep(Duration::from_millis(20 + 97 * (cycle % 7))).await;
        server.kill();
        for writer in writers {
            writer.await.expect("a writer finds no broken promise");
        }
        if cycle % 10 == 0 {
            check_store(&home);
        }
    }
    let server = home.start();
    let found = entries(&server).await;
    let promises = promises.lock().unwrap();
    assert!(!promises.entries.is_empty() && !promises.heads.is_empty(), "the writers wrote");
    promises.check(&found);
    server.stop().unwrap();
    assert_eq!(check_store(&home), found.len() as u64);
}
