//! Receipts fetched later, and what happens when one is not reached in time.

use std::time::Duration;

use log_proto::log_v1 as pb;
use tonic::{Code, Request};

use crate::harness::{
    LOG, Stack, append_request, at_fault, because, entry, numbered_leaves, proven, refused,
    refused_field,
};

fn receipt_request(start: u64, end: u64, receipt: pb::Receipt) -> pb::GetReceiptRequest {
    let range = Some(pb::IndexRange { start, end });
    pb::GetReceiptRequest {
        log: LOG.to_owned(),
        range,
        receipt: receipt.into(),
        receipt_wait: None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_is_had_later_for_any_range() {
    let mut stack = Stack::new().await;
    stack.fill(0, 700).await;
    let trust = stack.trust(LOG).await;
    for (start, end) in [(0, 1), (0, 700), (255, 257), (699, 700), (3, 300)] {
        let request = receipt_request(start, end, pb::Receipt::Signed);
        let answer = stack.client.get_receipt(request).await.unwrap().into_inner();
        assert_eq!(answer.receipt_reached(), pb::Receipt::Signed);
        let receipt = answer.range_receipt.unwrap();
        assert_eq!(proven(&receipt, &numbered_leaves(start..end), &trust).size().get(), 700);
    }
    let request = receipt_request(0, 1, pb::Receipt::Index);
    let index = stack.client.get_receipt(request).await.unwrap().into_inner();
    assert_eq!((index.receipt_reached(), index.range_receipt), (pb::Receipt::Index, None));
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ranges_that_are_none_or_too_long_or_beyond_the_log_are_refused() {
    let mut stack = Stack::new().await;
    stack.fill(0, 10).await;
    let ask = |start, end| receipt_request(start, end, pb::Receipt::Signed);
    for (start, end, field) in [
        (0, 0, "range"),
        (5, 5, "range"),
        (6, 5, "range"),
        (0, 10_001, "range"),
        (1 << 63, (1 << 63) + 1, "range.start"),
    ] {
        let bad = stack.client.get_receipt(ask(start, end)).await.unwrap_err();
        assert_eq!(refused_field(&bad), at_fault(Code::InvalidArgument, "BAD_RANGE", field));
    }
    for (start, end) in [(0, 11), (10, 11), (500, 501)] {
        let beyond = stack.client.get_receipt(ask(start, end)).await.unwrap_err();
        assert_eq!(refused_field(&beyond), at_fault(Code::OutOfRange, "BEYOND_SIZE", "range.end"));
    }
    let witnessed = receipt_request(0, 1, pb::Receipt::Witnessed);
    let witnessed = stack.client.get_receipt(witnessed).await.unwrap_err();
    assert_eq!(refused(&witnessed), because(Code::FailedPrecondition, "NO_WITNESS_POLICY"));
    stack.stop().await;
}

/// A level is never claimed without what it stands for: no wait at all may or may not be enough.
#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_that_is_not_reached_in_time_is_never_claimed() {
    let mut stack = Stack::new().await;
    let mut request = append_request(LOG, entry(b"x"), pb::Receipt::Signed);
    request.receipt_wait = Some(prost_types::Duration { seconds: 0, nanos: 0 });
    let answer = stack.client.append(request).await.unwrap().into_inner();
    let carries = !answer.tlog_proof.is_empty();
    assert_eq!(answer.receipt_reached() == pb::Receipt::Signed, carries);
    stack.stop().await;
}

/// A call whose entry cannot be committed in its time is told so, and the entry is there afterwards.
#[tokio::test(flavor = "multi_thread")]
async fn a_deadline_before_the_commit_says_that_the_entry_may_follow() {
    let (mut stack, engine) = Stack::faulty(&[]).await;
    engine.block_sync();
    let mut request = Request::new(append_request(LOG, entry(b"x"), pb::Receipt::Index));
    request.set_timeout(Duration::from_millis(200));
    let late = stack.client.append(request).await.unwrap_err();
    // The caller's own timer may fire first; it knows no details.
    if late.code() == Code::DeadlineExceeded {
        assert_eq!(refused(&late), because(Code::DeadlineExceeded, "DEADLINE"));
    } else {
        assert_eq!(late.code(), Code::Cancelled, "{late}");
    }
    engine.release_sync();
    let next = stack.append(b"y", pb::Receipt::Index).await.unwrap();
    assert_eq!(next.leaf_index, 1, "what was in flight was committed");
    stack.stop().await;
}
