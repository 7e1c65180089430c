//! Entries by range, in order, with and without receipts.

use log_proto::log_v1 as pb;
use tonic::{Code, Status};

use crate::harness::{
    LOG, Stack, at_fault, because, numbered, numbered_leaves, proven, refused, refused_field,
};

fn entries_request(start: u64, end: u64, with_receipts: bool) -> pb::GetEntriesRequest {
    let range = Some(pb::IndexRange { start, end });
    pb::GetEntriesRequest { log: LOG.to_owned(), range, with_receipts }
}

/// All answers to a request, which must follow one another.
async fn collect(
    stack: &mut Stack,
    request: pb::GetEntriesRequest,
) -> Result<Vec<pb::GetEntriesResponse>, Status> {
    let mut next = request.range.unwrap_or_default().start;
    let mut stream = stack.client.get_entries(request).await?.into_inner();
    let mut answers = Vec::new();
    while let Some(answer) = stream.message().await? {
        let range = answer.entries.as_ref().unwrap();
        assert_eq!(range.first_index, next, "answers follow one another");
        assert!(!range.entries.is_empty());
        next += range.entries.len() as u64;
        answers.push(answer);
    }
    Ok(answers)
}

fn data(answers: &[pb::GetEntriesResponse]) -> Vec<&[u8]> {
    let ranges = answers.iter().map(|answer| answer.entries.as_ref().unwrap());
    ranges.flat_map(|range| range.entries.iter().map(AsRef::as_ref)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_come_in_order_up_to_the_tree() {
    let mut stack = Stack::new().await;
    stack.fill(0, 600).await;
    for (start, end, last) in
        [(0, 0, 600), (0, 600, 600), (250, 300, 300), (599, 0, 600), (590, 9_999, 600)]
    {
        let answers = collect(&mut stack, entries_request(start, end, false)).await.unwrap();
        let expected: Vec<_> = (start..last).map(numbered).collect();
        assert_eq!(data(&answers), expected, "{start} to {end}");
        assert!(answers.iter().all(|answer| answer.range_receipt.is_none()));
    }
    let whole = pb::GetEntriesRequest { log: LOG.to_owned(), ..Default::default() };
    assert_eq!(data(&collect(&mut stack, whole).await.unwrap()).len(), 600);
    assert!(collect(&mut stack, entries_request(600, 0, false)).await.unwrap().is_empty());
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_carries_a_receipt_for_its_own_entries() {
    let mut stack = Stack::new().await;
    for call in 0..3 {
        stack.fill(call * 10_000, 10_000).await;
    }
    let trust = stack.trust(LOG).await;
    let answers = collect(&mut stack, entries_request(5, 25_000, true)).await.unwrap();
    assert!(answers.len() > 1, "more than one answer holds");
    let mut checkpoints = Vec::new();
    for answer in &answers {
        let range = answer.entries.as_ref().unwrap();
        let end = range.first_index + range.entries.len() as u64;
        let receipt = answer.range_receipt.as_ref().unwrap();
        proven(receipt, &numbered_leaves(range.first_index..end), &trust);
        checkpoints.push(&receipt.checkpoint);
    }
    checkpoints.dedup();
    assert_eq!(checkpoints.len(), 1, "one checkpoint for the whole call");
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn large_entries_are_cut_into_answers_of_bounded_size() {
    let mut stack = Stack::new().await;
    for _ in 0..2 {
        let entries = vec![crate::harness::entry(&vec![7; 65_535]); 64];
        let request = crate::harness::batch_request(entries, pb::Receipt::Index);
        stack.client.append_batch(request).await.unwrap();
    }
    let answers = collect(&mut stack, entries_request(0, 128, false)).await.unwrap();
    assert_eq!(data(&answers).len(), 128);
    for answer in &answers {
        let entries = &answer.entries.as_ref().unwrap().entries;
        let bytes: usize = entries.iter().map(bytes::Bytes::len).sum();
        assert!(bytes <= (1 << 20) + 65_535, "{bytes}");
    }
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ranges_beyond_the_log_or_backwards_are_refused() {
    let mut stack = Stack::new().await;
    stack.fill(0, 10).await;
    for (start, end, code, reason, field) in [
        (11, 0, Code::OutOfRange, "BEYOND_SIZE", "range.start"),
        (11, 20, Code::OutOfRange, "BEYOND_SIZE", "range.start"),
        (10, 11, Code::OutOfRange, "BEYOND_SIZE", "range.start"),
        (6, 5, Code::InvalidArgument, "BAD_RANGE", "range"),
        (1 << 63, 0, Code::InvalidArgument, "BAD_RANGE", "range.start"),
        (0, u64::MAX, Code::InvalidArgument, "BAD_RANGE", "range.end"),
    ] {
        let refusal = collect(&mut stack, entries_request(start, end, false)).await.unwrap_err();
        assert_eq!(refused_field(&refusal), at_fault(code, reason, field), "{start} to {end}");
    }
    let mut request = entries_request(0, 0, false);
    request.log = "nothing".to_owned();
    let missing = collect(&mut stack, request).await.unwrap_err();
    assert_eq!(refused(&missing), because(Code::NotFound, "LOG_NOT_FOUND"));
    stack.stop().await;
}
