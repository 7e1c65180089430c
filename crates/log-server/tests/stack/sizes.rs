//! The largest answer of every call, asked for by a client at gRPC's default limits: 4 MiB a
//! message.

use log_proto::log_v1 as pb;
use log_proto::log_v1::log_service_client::LogServiceClient;
use prost::Message as _;
use storage::{ArchivedCheckpoint, CommitOutcome, Engine as _, LogCommit, Row};
use storage_rocksdb::{RocksEngine, RocksOptions};
use tonic::transport::Channel;

use crate::harness::{LOG, Stack, batch_request, entry, keyed, numbered};

/// What a client takes that sets nothing.
const DEFAULT_BYTES_MAX: usize = 4 * 1024 * 1024;

fn at_defaults(stack: &Stack) -> LogServiceClient<Channel> {
    LogServiceClient::new(stack.channel.clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_and_their_proofs_fit() {
    let stack = Stack::new().await;
    let mut client = at_defaults(&stack);
    let entries = (0..10_000).map(|number| entry(&numbered(number))).collect();
    let batch = client.append_batch(batch_request(entries, pb::Receipt::Signed)).await;
    assert_eq!(batch.unwrap().into_inner().receipt_reached(), pb::Receipt::Signed);
    // Refused one by one, each with its text.
    let refused = vec![keyed(&vec![7; 65_536], &[7; 65]); 100];
    let refused = refused.into_iter().chain(vec![keyed(b"", &[7; 64]); 9_900]).collect();
    let batch = client.append_batch(batch_request(refused, pb::Receipt::Signed)).await;
    assert_eq!(batch.unwrap().into_inner().results.len(), 10_000);
    // Every other leaf has a sibling of its own in the proof.
    let second = batch_request(vec![entry(b"x"); 10_000], pb::Receipt::Signed);
    client.append_batch(second).await.unwrap();
    let proof = pb::GetBatchInclusionProofRequest {
        log: LOG.to_owned(),
        leaf_indexes: (0..10_000).map(|index| 2 * index).collect(),
        tree_size: 0,
    };
    let proof = client.get_batch_inclusion_proof(proof).await.unwrap().into_inner();
    assert_eq!(proof.hashes.len(), 10_000 * 32);
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_with_receipts_arrive_in_messages_that_fit() {
    let stack = Stack::new().await;
    let mut client = at_defaults(&stack);
    for _ in 0..2 {
        let entries = vec![entry(&vec![7; 65_535]); 128];
        client.append_batch(batch_request(entries, pb::Receipt::Signed)).await.unwrap();
    }
    let range = Some(pb::IndexRange { start: 0, end: 0 });
    let request = pb::GetEntriesRequest { log: LOG.to_owned(), range, with_receipts: true };
    let mut answers = client.get_entries(request).await.unwrap().into_inner();
    let mut count = 0;
    while let Some(answer) = answers.message().await.unwrap() {
        count += answer.entries.unwrap().entries.len();
    }
    assert_eq!(count, 256);
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_of_logs_ends_its_pages_at_bytes() {
    const LOGS: usize = 660;
    let stack = Stack::new().await;
    let mut creating = tokio::task::JoinSet::new();
    for number in 0..LOGS {
        let mut client = at_defaults(&stack);
        creating.spawn(async move {
            let origin = format!("{number:03}.{}", "o".repeat(251));
            let log = format!("log-{number:03}");
            let create = pb::CreateLogRequest { log, origin, ..pb::CreateLogRequest::default() };
            client.create_log(create).await.unwrap();
        });
    }
    creating.join_all().await;
    let mut client = at_defaults(&stack);
    let (mut names, mut bytes, mut pages, mut page_token) = (Vec::new(), 0, 0, String::new());
    loop {
        let request = pb::ListLogsRequest { page_size: 1_000, page_token };
        let page = client.list_logs(request).await.unwrap().into_inner();
        bytes += page.encoded_len();
        pages += 1;
        assert!(page.encoded_len() > DEFAULT_BYTES_MAX / 2 || page.next_page_token.is_empty());
        names.extend(page.logs.into_iter().map(|log| log.name));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    assert!(bytes > DEFAULT_BYTES_MAX, "{bytes} bytes would show nothing");
    assert_eq!(pages, 2);
    assert!(names.is_sorted() && names.len() == LOGS + 3, "{} logs", names.len());
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_of_checkpoints_ends_its_pages_at_bytes() {
    const CHECKPOINTS: u64 = 1_000;
    // As large as with the cosignatures of a few witnesses; nobody reads them here.
    const NOTE_BYTES: usize = 10_000;
    let stack = Stack::new().await;
    let before = archived(&mut at_defaults(&stack)).await.0;
    let data = stack.stop().await;
    let engine = RocksEngine::open(&data.path().join("db"), &RocksOptions::default()).unwrap();
    let record = engine.logs().unwrap().remove(0);
    let head = engine.head(record.id).unwrap().unwrap();
    let row = |published_ms| {
        let note = vec![b'n'; NOTE_BYTES].into();
        Row::Checkpoint(ArchivedCheckpoint { size: head.size, published_ms, note })
    };
    let rows = (1..=CHECKPOINTS).map(row).collect();
    let (entries, tiles) = (Vec::new(), Vec::new());
    let log = record.id;
    let commit = LogCommit { log, expected: Some(head), new: head, entries, tiles, rows };
    assert!(matches!(engine.commit(&[commit]), CommitOutcome::Committed));
    drop(engine);

    let stack = Stack::over(data, &[]).await;
    let (after, pages) = archived(&mut at_defaults(&stack)).await;
    assert!(after >= before + CHECKPOINTS, "{before} and {after}");
    assert_eq!(pages, 3);
    stack.stop().await;
}

/// The archived checkpoints of the log, and the pages they came in.
async fn archived(client: &mut LogServiceClient<Channel>) -> (u64, usize) {
    let (mut count, mut pages, mut page_token) = (0, 0, String::new());
    loop {
        let log = LOG.to_owned();
        let request =
            pb::ListCheckpointsRequest { log, from_size: 0, page_size: 1_000, page_token };
        let page = client.list_checkpoints(request).await.unwrap().into_inner();
        count += u64::try_from(page.checkpoints.len()).unwrap();
        pages += 1;
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return (count, pages);
        }
    }
}
