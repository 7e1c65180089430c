//! One entry at a time: its limits, its receipt, and what a bad one is told.

use log_proto::log_v1 as pb;
use tonic::Code;

use crate::harness::{
    LOG, Stack, append_request, at_fault, because, entry, keyed, refused, refused_field,
};

#[tokio::test(flavor = "multi_thread")]
async fn indexes_count_up_and_the_last_receipt_is_for_its_entry_alone() {
    let mut stack = Stack::new().await;
    for number in 0..300_u32 {
        let answer = stack.append(&number.to_be_bytes(), pb::Receipt::Index).await.unwrap();
        assert_eq!((answer.leaf_index, answer.duplicate), (number.into(), false));
        assert_eq!(answer.leaf_hash, merkle::leaf_hash(&number.to_be_bytes()).as_bytes()[..]);
        assert!(answer.tree_size > answer.leaf_index);
        assert_eq!(answer.receipt_reached(), pb::Receipt::Index);
        assert!(answer.tlog_proof.is_empty());
    }
    let signed = stack.append(b"last", pb::Receipt::Signed).await.unwrap();
    assert_eq!(signed.receipt_reached(), pb::Receipt::Signed);
    let trust = stack.trust(LOG).await;
    let proof = formats::TlogProof::parse(&signed.tlog_proof).unwrap();
    assert_eq!(proof.verify_entry(b"last", &trust).unwrap().index().get(), 300);
    assert!(proof.verify_entry(b"other", &trust).is_err());
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unspecified_receipt_is_the_index_and_an_unknown_one_is_refused() {
    let mut stack = Stack::new().await;
    let answer = stack.append(b"a", pb::Receipt::Unspecified).await.unwrap();
    assert_eq!(answer.receipt_reached(), pb::Receipt::Index);
    let mut request = append_request(LOG, entry(b"b"), pb::Receipt::Index);
    request.receipt = 4;
    let unknown = stack.client.append(request).await.unwrap_err();
    assert_eq!(refused_field(&unknown), at_fault(Code::InvalidArgument, "BAD_FIELD", "receipt"));
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_have_1_to_65535_bytes() {
    let mut stack = Stack::new().await;
    for bytes in [1, 65_535] {
        stack.append(&vec![7; bytes], pb::Receipt::Signed).await.unwrap();
    }
    let empty = stack.append(b"", pb::Receipt::Index).await.unwrap_err();
    assert_eq!(refused_field(&empty), at_fault(Code::InvalidArgument, "EMPTY_ENTRY", "entry.data"));
    let large = stack.append(&vec![7; 65_536], pb::Receipt::Index).await.unwrap_err();
    assert_eq!(
        refused_field(&large),
        at_fault(Code::InvalidArgument, "ENTRY_TOO_LARGE", "entry.data")
    );
    assert!(large.message().contains("65536") && large.message().contains("65535"));
    let request =
        pb::AppendRequest { log: LOG.to_owned(), entry: None, ..pb::AppendRequest::default() };
    let absent = stack.client.append(request).await.unwrap_err();
    assert_eq!(refused(&absent), because(Code::InvalidArgument, "EMPTY_ENTRY"));
    assert_eq!(stack.describe(LOG).await.unwrap().tree_size, 2, "nothing refused is written");
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deduplication_keys_have_1_to_64_bytes() {
    let mut stack = Stack::new().await;
    for key in [1, 64] {
        let entry = keyed(b"a", &vec![7; key]);
        let answer = stack.append_to(LOG, entry, pb::Receipt::Index).await.unwrap();
        assert!(!answer.duplicate);
    }
    let long = stack.append_to(LOG, keyed(b"a", &[7; 65]), pb::Receipt::Index).await.unwrap_err();
    assert_eq!(
        refused_field(&long),
        at_fault(Code::InvalidArgument, "BAD_DEDUP_KEY", "entry.dedup_key")
    );
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_is_not_there_and_a_name_that_is_none_are_told_apart() {
    let mut stack = Stack::new().await;
    let missing = stack.append_to("nothing", entry(b"a"), pb::Receipt::Index).await.unwrap_err();
    assert_eq!(refused(&missing), because(Code::NotFound, "LOG_NOT_FOUND"));
    assert!(missing.message().contains("nothing"), "{missing}");
    for name in ["", "-a", "Not A Name", "a/b", "a".repeat(65).as_str()] {
        let bad = stack.append_to(name, entry(b"a"), pb::Receipt::Index).await.unwrap_err();
        assert_eq!(refused_field(&bad), at_fault(Code::InvalidArgument, "BAD_LOG_NAME", "log"));
    }
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_witnessed_receipt_without_a_policy_is_refused_before_anything_is_written() {
    let mut stack = Stack::new().await;
    let witnessed = stack.append(b"a", pb::Receipt::Witnessed).await.unwrap_err();
    assert_eq!(
        refused_field(&witnessed),
        at_fault(Code::FailedPrecondition, "NO_WITNESS_POLICY", "receipt")
    );
    assert!(witnessed.message().contains("policy"), "the setting is named: {witnessed}");
    assert_eq!(stack.describe(LOG).await.unwrap().tree_size, 0);
    stack.stop().await;
}
