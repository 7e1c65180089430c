//! Many entries in one call.

use bytes::Bytes;
use http_body_util::Full;
use log_api::service::MESSAGE_BYTES_MAX;
use log_proto::log_v1 as pb;
use log_proto::log_v1::ErrorReason::{BadDedupKey, DedupKeyConflict, EmptyEntry, EntryTooLarge};
use log_proto::log_v1::append_result::Result as One;
use merkle::leaf_hash;
use prost::Message as _;
use tonic::Code;

use crate::harness::{
    LOG, Stack, at, at_fault, batch_request, because, entry, keyed, proven, refused, refused_field,
};

fn appended(result: &pb::AppendResult) -> (u64, bool) {
    match result.result.as_ref().unwrap() {
        One::Appended(pb::Appended { leaf_index, duplicate }) => (*leaf_index, *duplicate),
        One::Refused(refused) => panic!("{refused:?}"),
    }
}

fn refusal(result: &pb::AppendResult) -> (Code, pb::ErrorReason) {
    match result.result.as_ref().unwrap() {
        One::Appended(appended) => panic!("{appended:?}"),
        One::Refused(refused) => {
            assert!(!refused.message.is_empty());
            (Code::from(refused.code), refused.reason())
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_have_1_to_10000_entries() {
    let mut stack = Stack::new().await;
    let batch = |count| batch_request(vec![entry(b"x"); count], pb::Receipt::Signed);
    let answer = stack.client.append_batch(batch(10_000)).await.unwrap().into_inner();
    assert_eq!(answer.receipt_reached(), pb::Receipt::Signed);
    assert!(answer.results.iter().map(appended).eq((0..10_000).map(|index| (index, false))));
    let trust = stack.trust(LOG).await;
    let leaves: Vec<_> = (0..10_000).map(|index| (at(index), leaf_hash(b"x"))).collect();
    assert_eq!(proven(&answer.range_receipt.unwrap(), &leaves, &trust).size().get(), 10_000);

    let beyond = stack.client.append_batch(batch(10_001)).await.unwrap_err();
    assert_eq!(
        refused_field(&beyond),
        at_fault(Code::InvalidArgument, "BATCH_TOO_LARGE", "entries")
    );
    let none = stack.client.append_batch(batch(0)).await.unwrap_err();
    assert_eq!(refused_field(&none), at_fault(Code::InvalidArgument, "EMPTY_BATCH", "entries"));
    assert_eq!(stack.describe(LOG).await.unwrap().tree_size, 10_000);
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_have_8_mib_of_entries() {
    let mut stack = Stack::new().await;
    let full = vec![entry(&vec![1; 32 << 10]); 256];
    let request = batch_request(full.clone(), pb::Receipt::Index);
    let answer = stack.client.append_batch(request).await.unwrap().into_inner();
    assert_eq!(answer.results.len(), 256);
    let beyond = [full, vec![entry(b"x")]].concat();
    let request = batch_request(beyond, pb::Receipt::Index);
    let beyond = stack.client.append_batch(request).await.unwrap_err();
    assert_eq!(
        refused_field(&beyond),
        at_fault(Code::InvalidArgument, "BATCH_TOO_LARGE", "entries")
    );
    stack.stop().await;
}

/// A batch whose message has exactly so many bytes; its entries are more than 8 MiB.
fn message_of(bytes: usize) -> pb::AppendBatchRequest {
    let mut request = batch_request(vec![entry(&vec![1; 64 << 10]); 143], pb::Receipt::Index);
    let missing = bytes - request.encoded_len();
    // Tag and length of the entry and of its data come with it.
    request.entries.push(entry(&vec![1; missing - 8]));
    assert_eq!(request.encoded_len(), bytes);
    request
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_beyond_9_mib_is_refused_by_its_length_and_nothing_of_it_written() {
    let mut stack = Stack::new().await;
    // At the limit it is read, and refused for what is in it.
    let at_limit = stack.client.append_batch(message_of(MESSAGE_BYTES_MAX)).await.unwrap_err();
    assert_eq!(
        refused_field(&at_limit),
        at_fault(Code::InvalidArgument, "BATCH_TOO_LARGE", "entries")
    );
    let beyond = stack.client.append_batch(message_of(MESSAGE_BYTES_MAX + 1)).await.unwrap_err();
    assert_eq!(
        refused_field(&beyond),
        at_fault(Code::InvalidArgument, "BATCH_TOO_LARGE", "message")
    );
    assert_eq!(beyond.message(), "message has 9437185 bytes, the limit is 9437184");
    assert_eq!(stack.describe(LOG).await.unwrap().tree_size, 0);
    stack.stop().await;
}

/// Bytes that are no message of the method.
#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_cannot_be_decoded_is_refused_with_details() {
    let stack = Stack::new().await;
    let request = http::Request::post(stack.uri("/cairn.log.v1.LogService/Append"))
        .header("content-type", "application/grpc")
        .body(Full::from(Bytes::from_static(&[0, 0, 0, 0, 2, 0xff, 0xff])));
    let answer = stack.send(request.unwrap()).await;
    let status = tonic::Status::from_header_map(answer.headers()).unwrap();
    assert_eq!(refused_field(&status), at_fault(Code::InvalidArgument, "BAD_FIELD", "message"));
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_entries_are_reported_by_position_and_the_others_are_appended() {
    let mut stack = Stack::new().await;
    stack.append_to(LOG, keyed(b"first", b"k"), pb::Receipt::Index).await.unwrap();
    let entries = vec![
        entry(b"a"),
        entry(b""),
        entry(&[1; 65_536]),
        keyed(b"first", b"k"),
        keyed(b"other", b"k"),
        keyed(b"b", b"new"),
        keyed(b"b", b"new"),
        keyed(b"c", b"new"),
        keyed(b"d", &[7; 65]),
        entry(b"e"),
    ];
    let request = batch_request(entries, pb::Receipt::Signed);
    let answer = stack.client.append_batch(request).await.unwrap().into_inner();
    let results = &answer.results;
    assert_eq!(results.len(), 10);
    let taken = [(0, (1, false)), (3, (0, true)), (5, (2, false)), (6, (2, true)), (9, (3, false))];
    for (position, expected) in taken {
        assert_eq!(appended(&results[position]), expected, "entry {position}");
    }
    for (position, code, reason) in [
        (1, Code::InvalidArgument, EmptyEntry),
        (2, Code::InvalidArgument, EntryTooLarge),
        (4, Code::AlreadyExists, DedupKeyConflict),
        (7, Code::AlreadyExists, DedupKeyConflict),
        (8, Code::InvalidArgument, BadDedupKey),
    ] {
        assert_eq!(refusal(&results[position]), (code, reason), "entry {position}");
    }
    assert_eq!(answer.tree_size, 4);
    let trust = stack.trust(LOG).await;
    let leaves: Vec<_> = [&b"first"[..], b"a", b"b", b"e"]
        .into_iter()
        .zip(0..)
        .map(|(data, index)| (at(index), leaf_hash(data)))
        .collect();
    proven(&answer.range_receipt.unwrap(), &leaves, &trust);
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_of_refused_entries_alone_writes_nothing_and_has_no_receipt() {
    let mut stack = Stack::new().await;
    let request = batch_request(vec![entry(b""); 3], pb::Receipt::Signed);
    let answer = stack.client.append_batch(request).await.unwrap().into_inner();
    assert_eq!(
        answer
            .results
            .iter()
            .map(refusal)
            .filter(|(code, _)| *code == Code::InvalidArgument)
            .count(),
        3
    );
    assert_eq!((answer.tree_size, answer.range_receipt), (0, None));
    assert_eq!(stack.describe(LOG).await.unwrap().tree_size, 0);
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_names_a_log_and_a_level_that_exist() {
    let mut stack = Stack::new().await;
    let mut request = batch_request(vec![entry(b"a")], pb::Receipt::Index);
    request.log = "nothing".to_owned();
    let missing = stack.client.append_batch(request).await.unwrap_err();
    assert_eq!(refused(&missing), because(Code::NotFound, "LOG_NOT_FOUND"));
    let request = batch_request(vec![entry(b"a")], pb::Receipt::Witnessed);
    let witnessed = stack.client.append_batch(request).await.unwrap_err();
    assert_eq!(refused(&witnessed), because(Code::FailedPrecondition, "NO_WITNESS_POLICY"));
    let mut request = batch_request(vec![entry(b"a")], pb::Receipt::Index);
    request.receipt_wait = Some(prost_types::Duration { seconds: -1, nanos: 0 });
    let negative = stack.client.append_batch(request).await.unwrap_err();
    assert_eq!(
        refused_field(&negative),
        at_fault(Code::InvalidArgument, "BAD_FIELD", "receipt_wait")
    );
    let empty = Bytes::new();
    assert_eq!(
        stack.append(&empty, pb::Receipt::Index).await.unwrap_err().code(),
        Code::InvalidArgument
    );
    stack.stop().await;
}
