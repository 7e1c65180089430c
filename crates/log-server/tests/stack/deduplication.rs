//! Exactly once: keys, and logs where the entry itself is the key.

use log_proto::log_v1 as pb;
use log_proto::log_v1::lookup_entry_request::By;
use tonic::Code;

use crate::harness::{
    LOG, Stack, at_fault, because, entry, keyed, numbered, refused, refused_field,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_key_gives_its_first_index_again_and_never_another_entry() {
    let mut stack = Stack::new().await;
    stack.append(b"before", pb::Receipt::Index).await.unwrap();
    let first = stack.append_to(LOG, keyed(b"a", b"k"), pb::Receipt::Signed).await.unwrap();
    assert_eq!((first.leaf_index, first.duplicate), (1, false));
    let again = stack.append_to(LOG, keyed(b"a", b"k"), pb::Receipt::Signed).await.unwrap();
    assert_eq!((again.leaf_index, again.duplicate), (1, true));
    assert_eq!(again.leaf_hash, first.leaf_hash);
    let trust = stack.trust(LOG).await;
    let proof = formats::TlogProof::parse(&again.tlog_proof).unwrap();
    assert_eq!(proof.verify_entry(b"a", &trust).unwrap().index().get(), 1);

    let other = stack.append_to(LOG, keyed(b"b", b"k"), pb::Receipt::Index).await.unwrap_err();
    assert_eq!(
        refused_field(&other),
        at_fault(Code::AlreadyExists, "DEDUP_KEY_CONFLICT", "entry.dedup_key")
    );
    assert!(other.message().contains('1'), "the index is named: {other}");
    // The same bytes under another key, and under none, are entries of their own.
    let second = stack.append_to(LOG, keyed(b"a", b"l"), pb::Receipt::Index).await.unwrap();
    assert_eq!((second.leaf_index, second.duplicate), (2, false));
    let third = stack.append(b"a", pb::Receipt::Index).await.unwrap();
    assert_eq!((third.leaf_index, third.duplicate), (3, false));
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_outlive_a_restart() {
    let mut stack = Stack::new().await;
    stack.append_to(LOG, keyed(b"a", b"k"), pb::Receipt::Index).await.unwrap();
    let data = stack.stop().await;
    let mut stack = Stack::over(data, &[]).await;
    let again = stack.append_to(LOG, keyed(b"a", b"k"), pb::Receipt::Index).await.unwrap();
    assert_eq!((again.leaf_index, again.duplicate, again.tree_size), (0, true, 1));
    let other = stack.append_to(LOG, keyed(b"b", b"k"), pb::Receipt::Index).await.unwrap_err();
    assert_eq!(refused(&other), because(Code::AlreadyExists, "DEDUP_KEY_CONFLICT"));
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_deduplicates_entries_takes_each_once() {
    let mut stack = Stack::new().await;
    let log = "once".to_owned();
    let origin = String::new();
    let create = pb::CreateLogRequest {
        log: log.clone(),
        origin,
        deduplicate_entries: true,
        ..pb::CreateLogRequest::default()
    };
    let created = stack.client.create_log(create).await.unwrap().into_inner().log.unwrap();
    assert!(created.deduplicate_entries);
    for (data, expected) in [
        (&b"a"[..], (0, false)),
        (b"b", (1, false)),
        (b"a", (0, true)),
        (b"b", (1, true)),
        (b"c", (2, false)),
    ] {
        let answer = stack.append_to(&log, entry(data), pb::Receipt::Signed).await.unwrap();
        assert_eq!((answer.leaf_index, answer.duplicate), expected);
        assert_eq!(answer.receipt_reached(), pb::Receipt::Signed);
    }
    let entries = vec![entry(b"c"), entry(b"d"), entry(b"d")];
    let request = pb::AppendBatchRequest { log: log.clone(), entries, ..Default::default() };
    let answer = stack.client.append_batch(request).await.unwrap().into_inner();
    assert_eq!(answer.tree_size, 4);
    let keyed = stack.append_to(&log, keyed(b"e", b"k"), pb::Receipt::Index).await.unwrap_err();
    assert_eq!(
        refused_field(&keyed),
        at_fault(Code::InvalidArgument, "BAD_DEDUP_KEY", "entry.dedup_key")
    );
    stack.stop().await;
}

/// Waits until the leaf-hash index has come to a size of the log, as the metrics say.
async fn indexed(stack: &Stack, size: u64) {
    let size = format!("cairn_log_indexed_size{{log=\"{LOG}\"}} {size}.0");
    let lag = "cairn_follower_lag_entries{follower=\"leaf_index\"} 0.0";
    loop {
        let page = stack.get("/metrics", &[]).await.into_body();
        let page = std::str::from_utf8(&page).unwrap();
        if [&size, lag].iter().all(|wanted| page.lines().any(|line| line == *wanted)) {
            return;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_leaf_hash_index_goes_on_after_a_restart() {
    let mut stack = Stack::new().await;
    stack.fill(0, 300).await;
    indexed(&stack, 300).await;
    let data = stack.stop().await;
    let mut stack = Stack::over(data, &[]).await;
    indexed(&stack, 300).await;
    stack.fill(300, 10).await;
    indexed(&stack, 310).await;
    let by = |number| By::LeafHash(merkle::leaf_hash(&numbered(number)).as_bytes().to_vec().into());
    let lookup = |number| pb::LookupEntryRequest { log: LOG.to_owned(), by: Some(by(number)) };
    for number in [0, 255, 256, 299, 300, 309] {
        let found = stack.client.lookup_entry(lookup(number)).await.unwrap().into_inner();
        assert_eq!(found.leaf_index, number);
    }
    let missing = stack.client.lookup_entry(lookup(310)).await.unwrap_err();
    assert_eq!(refused(&missing), because(Code::NotFound, "ENTRY_NOT_FOUND"));
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_are_found_by_leaf_hash_and_by_key() {
    let mut stack = Stack::new().await;
    for data in [&b"a"[..], b"b", b"a"] {
        stack.append(data, pb::Receipt::Index).await.unwrap();
    }
    stack.append_to(LOG, keyed(b"c", b"k"), pb::Receipt::Index).await.unwrap();
    let lookup = |by| pb::LookupEntryRequest { log: LOG.to_owned(), by: Some(by) };
    let leaf = |data: &[u8]| merkle::leaf_hash(data).as_bytes().to_vec();
    for (by, index, data) in [
        (By::LeafHash(leaf(b"a").into()), 0, &b"a"[..]),
        (By::LeafHash(leaf(b"b").into()), 1, b"b"),
        (By::LeafHash(leaf(b"c").into()), 3, b"c"),
        (By::DedupKey("k".into()), 3, b"c"),
    ] {
        let found = stack.client.lookup_entry(lookup(by)).await.unwrap().into_inner();
        assert_eq!((found.leaf_index, &found.leaf_hash[..]), (index, &leaf(data)[..]));
    }
    for by in [By::LeafHash(leaf(b"d").into()), By::DedupKey("l".into())] {
        let missing = stack.client.lookup_entry(lookup(by)).await.unwrap_err();
        assert_eq!(refused(&missing), because(Code::NotFound, "ENTRY_NOT_FOUND"));
    }
    for (by, reason, field) in [
        (By::LeafHash(vec![1; 31].into()), "BAD_HASH", "leaf_hash"),
        (By::LeafHash(vec![1; 33].into()), "BAD_HASH", "leaf_hash"),
        (By::DedupKey(vec![].into()), "BAD_FIELD", "dedup_key"),
        (By::DedupKey(vec![1; 65].into()), "BAD_FIELD", "dedup_key"),
    ] {
        let bad = stack.client.lookup_entry(lookup(by)).await.unwrap_err();
        assert_eq!(refused_field(&bad), at_fault(Code::InvalidArgument, reason, field));
    }
    let neither = pb::LookupEntryRequest { log: LOG.to_owned(), by: None };
    let neither = stack.client.lookup_entry(neither).await.unwrap_err();
    assert_eq!(refused_field(&neither), at_fault(Code::InvalidArgument, "BAD_FIELD", "by"));
    stack.stop().await;
}
