//! A data folder of layout 1, as an older server left it, under this one.

#![expect(clippy::unwrap_used, reason = "a test fails where its fixtures do")]

use std::ffi::OsStr;
use std::fs;
use std::process::Command;

use e2e::layout_1::{
    FROZEN, FROZEN_LOG, KEYED_FLUSHED, KEYED_UNFLUSHED, OPEN_LOG, PRODUCER, SEQUENCES,
};
use e2e::{Home, Server, cairn, cairn_server, layout_1, stderr_of, stdout_of};
use log_client::producer::{ProducerId, ProducerOptions, ProducerStream, Resume};
use log_client::{
    Client, ClientOptions, EntryOutcome, LogState, LookupBy, NewEntry, ReceiptLevel, Wanted,
};
use merkle::{CompactRange, Hash, LeafIndex, leaf_hash};
use serde_json::Value;

/// Entries of the open log.
const ENTRIES: u64 = KEYED_FLUSHED + SEQUENCES + KEYED_UNFLUSHED;

/// A copy of the stored folder.
fn unpacked() -> Home {
    let home = Home::new();
    let unpack = Command::new("tar")
        .args(["--no-same-owner", "-xzf"])
        .arg(layout_1::folder().join("data.tar.gz"))
        .arg("-C")
        .arg(home.path("."))
        .status();
    assert!(unpack.unwrap().success(), "tar unpacks the fixture");
    home
}

/// What `fsck` says of each log, the open one first, once it has found nothing.
fn fsck(home: &Home) -> Value {
    let data = home.data();
    let args: [&OsStr; 4] =
        ["fsck".as_ref(), "--data-dir".as_ref(), data.as_os_str(), "--json".as_ref()];
    let report: Value = serde_json::from_str(&stdout_of(&cairn_server(args))).unwrap();
    assert_eq!(report["clean"], true, "{report}");
    report["logs"].clone()
}

fn connect(server: &Server) -> Client {
    Client::connect(server.url(), &ClientOptions::default()).unwrap()
}

fn root<'a>(entries: impl IntoIterator<Item = &'a String>) -> Hash {
    let mut tree = CompactRange::empty();
    entries.into_iter().for_each(|entry| tree.append(leaf_hash(entry.as_bytes())));
    tree.root()
}

async fn append(
    client: &Client,
    log: &str,
    data: &str,
    key: &str,
) -> Result<EntryOutcome, log_client::ClientError> {
    let entry =
        NewEntry { data: data.to_owned().into(), dedup_key: key.to_owned().into_bytes().into() };
    let wanted = Wanted { level: ReceiptLevel::Signed, wait: None };
    let answer = client.append_batch(log, vec![entry], wanted).await?;
    Ok(answer.outcomes.into_iter().next().expect("an outcome for the entry"))
}

fn appended(index: u64, duplicate: bool) -> EntryOutcome {
    EntryOutcome::Appended { index: LeafIndex::new(index).unwrap(), duplicate }
}

#[test]
fn an_older_folder_is_checked_before_anything_is_written_to_it() {
    let home = unpacked();
    let logs = fsck(&home);
    let counts = |log: &Value, names: [&str; 5]| names.map(|name| log[name].as_u64().unwrap());
    let names = ["size", "entries", "tiles", "dedup_rows", "producers"];
    let keyed = KEYED_FLUSHED + KEYED_UNFLUSHED;
    assert_eq!(counts(&logs[0], names), [ENTRIES, ENTRIES, ENTRIES / 256, keyed, 1]);
    assert_eq!(counts(&logs[1], names), [FROZEN, FROZEN, 0, FROZEN, 0]);
    assert!(logs[0]["checkpoints"].as_u64().unwrap() >= 3, "{logs}");
    assert_eq!(logs[0]["attachments"], 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_older_folder_is_served_read_only() {
    let home = unpacked();
    let server = home.start_with(&["--read-only"]).unwrap();
    // What is archived is served: a log's newest heads may not be.
    let info = connect(&server).log(FROZEN_LOG).await.unwrap();
    assert_eq!(info.tree_size.get(), FROZEN);
    server.stop().unwrap();
    fsck(&home);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_older_folder_is_served_and_goes_on() {
    let home = unpacked();
    let server = home.start();
    let client = connect(&server);
    let mut entries = layout_1::open_log_entries();
    let info = client.log(OPEN_LOG).await.unwrap();
    assert_eq!((info.tree_size.get(), info.root), (ENTRIES, root(&entries)));
    let info = client.log(FROZEN_LOG).await.unwrap();
    let frozen: Vec<_> = (0..FROZEN).map(layout_1::frozen).collect();
    assert_eq!((info.tree_size.get(), info.root), (FROZEN, root(&frozen)));
    assert_eq!(info.state, LogState::Frozen);
    answers(&client).await;

    let (data, key) = layout_1::keyed(ENTRIES);
    assert_eq!(append(&client, OPEN_LOG, &data, &key).await.unwrap(), appended(ENTRIES, false));
    entries.push(data);
    server.kill();
    let server = home.start();
    let info = connect(&server).log(OPEN_LOG).await.unwrap();
    assert_eq!((info.tree_size.get(), info.root), (ENTRIES + 1, root(&entries)));
    let vkey = home.vkey_argument(OPEN_LOG);
    let prefix = format!("{}/logs/{OPEN_LOG}", server.url());
    stdout_of(&server.cairn(&home, ["audit", &prefix, "--vkey", &vkey]));
    server.stop().unwrap();
    let logs = fsck(&home);
    assert_eq!((&logs[0]["size"], &logs[1]["size"]), (&(ENTRIES + 1).into(), &FROZEN.into()));
}

/// What callers of the older server were told still holds.
async fn answers(client: &Client) {
    for number in [0, KEYED_FLUSHED - 1] {
        let (data, key) = layout_1::keyed(number);
        assert_eq!(append(client, OPEN_LOG, &data, &key).await.unwrap(), appended(number, true));
        let other = append(client, OPEN_LOG, "other", &key).await.unwrap();
        assert!(matches!(other, EntryOutcome::Refused(_)), "{other:?}");
    }
    let (data, key) = layout_1::keyed(KEYED_FLUSHED);
    let behind_stream = KEYED_FLUSHED + SEQUENCES;
    assert_eq!(append(client, OPEN_LOG, &data, &key).await.unwrap(), appended(behind_stream, true));
    let streamed = leaf_hash(layout_1::streamed(1).as_bytes());
    let found = client.lookup(OPEN_LOG, LookupBy::LeafHash(streamed)).await.unwrap();
    assert_eq!(found.index.get(), KEYED_FLUSHED);

    let (id, options) = (ProducerId(PRODUCER), ProducerOptions::default());
    let (stream, resume) =
        ProducerStream::open(client.clone(), OPEN_LOG, id, options).await.unwrap();
    let last_index = Some(LeafIndex::new(behind_stream - 1).unwrap());
    assert_eq!(resume, Resume { last_sequence: SEQUENCES, last_index });
    stream.close().await.unwrap();

    append(client, FROZEN_LOG, "late", "").await.expect_err("a frozen log takes nothing");
}

#[test]
fn a_receipt_of_the_older_server_verifies() {
    let home = unpacked();
    let folder = home.path("entries");
    fs::create_dir(&folder).unwrap();
    let entries = layout_1::open_log_entries();
    let put =
        |name: usize, data: &str| home.file(&format!("entries/{name}.entry"), data.as_bytes());
    for (index, entry) in entries.iter().enumerate() {
        put(index, entry);
    }
    let (receipt, vkey) = (layout_1::folder().join("range-receipt"), home.vkey_argument(OPEN_LOG));
    let verify = || {
        cairn([
            "verify-batch".as_ref(),
            receipt.as_os_str(),
            "--entries".as_ref(),
            folder.as_os_str(),
            "--vkey".as_ref(),
            vkey.as_ref(),
        ])
    };
    let verified = verify();
    assert_eq!(verified.status.code(), Some(0), "{}", stderr_of(&verified));
    put(300, "another");
    assert_eq!(verify().status.code(), Some(1));
}
