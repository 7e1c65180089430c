//! Appending without end: resuming, fencing, gaps.

use log_proto::log_v1 as pb;
use log_proto::log_v1::append_stream_request::{Items, Message as Ask, Open};
use log_proto::log_v1::append_stream_response::{Committed, Message as Answer, Opened};
use merkle::leaf_hash;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status, Streaming};

use crate::harness::{LOG, Stack, at, at_fault, because, entry, proven, refused, refused_field};

/// A stream that the test feeds and reads.
struct Producer {
    requests: mpsc::Sender<pb::AppendStreamRequest>,
    answers: Streaming<pb::AppendStreamResponse>,
}

fn open_message(log: &str, producer: u8, receipt: pb::Receipt) -> Ask {
    let producer_id = vec![producer; 16].into();
    Ask::Open(Open { log: log.to_owned(), producer_id, receipt: receipt.into() })
}

fn items(first_sequence: u64, entries: &[&[u8]]) -> Ask {
    Ask::Items(Items { first_sequence, entries: entries.iter().map(|data| entry(data)).collect() })
}

impl Producer {
    async fn start(stack: &mut Stack, first: Ask) -> Self {
        let (requests, received) = mpsc::channel(16);
        requests.send(pb::AppendStreamRequest { message: Some(first) }).await.unwrap();
        let answers = stack.client.append_stream(ReceiverStream::new(received)).await;
        Self { requests, answers: answers.unwrap().into_inner() }
    }

    async fn open(stack: &mut Stack, producer: u8, receipt: pb::Receipt) -> (Self, Opened) {
        let mut stream = Self::start(stack, open_message(LOG, producer, receipt)).await;
        match stream.answer().await.unwrap() {
            Some(Answer::Opened(opened)) => (stream, opened),
            other => panic!("{other:?}"),
        }
    }

    async fn send(&self, ask: Ask) {
        self.requests.send(pb::AppendStreamRequest { message: Some(ask) }).await.unwrap();
    }

    async fn answer(&mut self) -> Result<Option<Answer>, Status> {
        Ok(self.answers.message().await?.map(|answer| answer.message.unwrap()))
    }

    async fn committed(&mut self) -> Committed {
        match self.answer().await.unwrap() {
            Some(Answer::Committed(committed)) => committed,
            other => panic!("{other:?}"),
        }
    }

    /// The end of the stream, which is an error.
    async fn refusal(&mut self) -> Status {
        loop {
            match self.answer().await {
                Ok(Some(_)) => {}
                Ok(None) => panic!("the stream ends well"),
                Err(refusal) => return refusal,
            }
        }
    }

    /// Sends nothing more, and gives what was still to be answered.
    async fn finish(mut self) -> Vec<Answer> {
        drop(self.requests);
        let mut rest = Vec::new();
        while let Some(answer) = self.answers.message().await.unwrap() {
            rest.push(answer.message.unwrap());
        }
        rest
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_goes_on_where_it_ended() {
    let mut stack = Stack::new().await;
    let (mut stream, opened) = Producer::open(&mut stack, 7, pb::Receipt::Index).await;
    assert_eq!((opened.last_sequence, opened.last_index), (0, 0));
    stream.send(items(1, &[b"a", b"b", b"c"])).await;
    let committed = stream.committed().await;
    assert_eq!((committed.from_sequence, committed.to_sequence), (1, 3));
    assert_eq!((committed.first_index, committed.tree_size), (0, 3));
    assert!(stream.finish().await.is_empty(), "each sequence is committed once");

    stack.append(b"between", pb::Receipt::Index).await.unwrap();
    let (mut stream, opened) = Producer::open(&mut stack, 7, pb::Receipt::Index).await;
    assert_eq!((opened.last_sequence, opened.last_index), (3, 2));
    // What was committed already is skipped, what overlaps is cut.
    stream.send(items(1, &[b"a", b"b", b"c"])).await;
    stream.send(items(3, &[b"c", b"d", b"e"])).await;
    let committed = stream.committed().await;
    assert_eq!((committed.from_sequence, committed.to_sequence), (4, 5));
    assert_eq!((committed.first_index, committed.tree_size), (4, 6));
    assert!(stream.finish().await.is_empty());

    let data = stack.stop().await;
    let mut stack = Stack::over(data, &[]).await;
    let (stream, opened) = Producer::open(&mut stack, 7, pb::Receipt::Index).await;
    assert_eq!((opened.last_sequence, opened.last_index), (5, 5), "after a restart too");
    assert!(stream.finish().await.is_empty());
    let (stream, opened) = Producer::open(&mut stack, 8, pb::Receipt::Index).await;
    assert_eq!(opened.last_sequence, 0, "another producer starts anew");
    assert!(stream.finish().await.is_empty());
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_beyond_9_mib_ends_a_stream_with_details() {
    let mut stack = Stack::new().await;
    let (mut stream, _) = Producer::open(&mut stack, 7, pb::Receipt::Index).await;
    stream.send(items(1, &[b"a"])).await;
    assert_eq!(stream.committed().await.to_sequence, 1);
    let large = vec![1; 60_000];
    stream.send(items(2, &[&large[..]; 160])).await;
    let refusal = stream.refusal().await;
    let expected = at_fault(Code::InvalidArgument, "BATCH_TOO_LARGE", "message");
    assert_eq!(refused_field(&refusal), expected);
    assert_eq!(stack.describe(LOG).await.unwrap().tree_size, 1);
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn receipts_follow_and_prove_every_committed_index_once() {
    let mut stack = Stack::new().await;
    let trust = stack.trust(LOG).await;
    let (stream, _) = Producer::open(&mut stack, 7, pb::Receipt::Signed).await;
    for call in 0..20_u64 {
        stream.send(items(1 + call * 2, &[b"x", b"x"])).await;
    }
    let (mut committed, mut indexes) = (0, Vec::new());
    for answer in stream.finish().await {
        match answer {
            Answer::Opened(_) => panic!("opened twice"),
            Answer::Committed(run) => committed = run.to_sequence,
            Answer::Receipt(receipt) => {
                let proves: Vec<_> =
                    receipt.indexes.iter().flat_map(|range| range.start..range.end).collect();
                let leaves: Vec<_> =
                    proves.iter().map(|index| (at(*index), leaf_hash(b"x"))).collect();
                proven(&receipt, &leaves, &trust);
                indexes.extend(proves);
            }
        }
    }
    assert_eq!(committed, 40);
    assert!(indexes.iter().copied().eq(0..40), "{indexes:?}");
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gap_ends_the_stream_and_keeps_what_came_before() {
    let mut stack = Stack::new().await;
    let (mut stream, _) = Producer::open(&mut stack, 7, pb::Receipt::Index).await;
    stream.send(items(1, &[b"a"])).await;
    stream.committed().await;
    stream.send(items(3, &[b"c"])).await;
    let gap = stream.refusal().await;
    assert_eq!(
        refused_field(&gap),
        at_fault(Code::FailedPrecondition, "SEQUENCE_GAP", "first_sequence")
    );
    assert!(gap.message().contains('2') && gap.message().contains('3'), "{gap}");
    assert_eq!(stack.describe(LOG).await.unwrap().tree_size, 1);
    let (_, opened) = Producer::open(&mut stack, 7, pb::Receipt::Index).await;
    assert_eq!(opened.last_sequence, 1);
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_opener_fences_the_first() {
    let mut stack = Stack::new().await;
    let (mut first, _) = Producer::open(&mut stack, 7, pb::Receipt::Index).await;
    first.send(items(1, &[b"a"])).await;
    first.committed().await;
    let (mut second, opened) = Producer::open(&mut stack, 7, pb::Receipt::Index).await;
    assert_eq!(opened.last_sequence, 1);
    let fenced = first.refusal().await;
    assert_eq!(refused(&fenced), because(Code::Aborted, "PRODUCER_FENCED"));
    second.send(items(2, &[b"b"])).await;
    assert_eq!(second.committed().await.first_index, 1);
    assert!(second.finish().await.is_empty());
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_opens_first_and_only_first() {
    let mut stack = Stack::new().await;
    let mut late = Producer::start(&mut stack, items(1, &[b"a"])).await;
    let refusal = late.refusal().await;
    assert_eq!(refused_field(&refusal), at_fault(Code::InvalidArgument, "BAD_FIELD", "open"));

    let (mut twice, _) = Producer::open(&mut stack, 7, pb::Receipt::Index).await;
    twice.send(open_message(LOG, 7, pb::Receipt::Index)).await;
    let refusal = twice.refusal().await;
    assert_eq!(refused_field(&refusal), at_fault(Code::InvalidArgument, "BAD_FIELD", "items"));

    let (mut zero, _) = Producer::open(&mut stack, 7, pb::Receipt::Index).await;
    zero.send(items(0, &[b"a"])).await;
    let refusal = zero.refusal().await;
    let expected = at_fault(Code::InvalidArgument, "BAD_FIELD", "first_sequence");
    assert_eq!(refused_field(&refusal), expected);

    for bytes in [0, 15, 17] {
        let producer_id = vec![7; bytes].into();
        let open = Open { log: LOG.to_owned(), producer_id, receipt: 0 };
        let refusal = Producer::start(&mut stack, Ask::Open(open)).await.refusal().await;
        let expected = at_fault(Code::InvalidArgument, "BAD_PRODUCER_ID", "producer_id");
        assert_eq!(refused_field(&refusal), expected);
    }
    let ask = open_message("nothing", 7, pb::Receipt::Index);
    let missing = Producer::start(&mut stack, ask).await.refusal().await;
    assert_eq!(refused(&missing), because(Code::NotFound, "LOG_NOT_FOUND"));
    let ask = open_message(LOG, 7, pb::Receipt::Witnessed);
    let witnessed = Producer::start(&mut stack, ask).await.refusal().await;
    assert_eq!(refused(&witnessed), because(Code::FailedPrecondition, "NO_WITNESS_POLICY"));
    assert_eq!(stack.describe(LOG).await.unwrap().tree_size, 0);
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_entry_ends_the_stream_and_nothing_of_its_call_is_written() {
    let mut stack = Stack::new().await;
    let oversized = vec![7; 65_536];
    for (bad, reason) in [(&b""[..], "EMPTY_ENTRY"), (&oversized, "ENTRY_TOO_LARGE")] {
        let (mut stream, _) = Producer::open(&mut stack, 7, pb::Receipt::Index).await;
        stream.send(items(1, &[b"a", bad, b"c"])).await;
        let refusal = stream.refusal().await;
        assert_eq!(refused_field(&refusal), at_fault(Code::InvalidArgument, reason, "entries"));
        assert!(refusal.message().contains("entry 1"), "the position is named: {refusal}");
    }
    let (mut stream, opened) = Producer::open(&mut stack, 7, pb::Receipt::Index).await;
    assert_eq!(opened.last_sequence, 0);
    stream.send(items(1, &[])).await;
    let empty = stream.refusal().await;
    assert_eq!(refused_field(&empty), at_fault(Code::InvalidArgument, "EMPTY_BATCH", "entries"));
    assert_eq!(stack.describe(LOG).await.unwrap().tree_size, 0);
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_are_bounded_in_number() {
    let mut stack = Stack::with(&[("streams_max", "1")]).await;
    let (first, _) = Producer::open(&mut stack, 7, pb::Receipt::Index).await;
    let watch = pb::WatchCheckpointsRequest { log: LOG.to_owned(), ..Default::default() };
    let beyond = stack.client.watch_checkpoints(watch.clone()).await.unwrap_err();
    assert_eq!(refused(&beyond), because(Code::ResourceExhausted, "OVERLOADED"));
    assert!(!crate::harness::retry_after(&beyond).is_zero());
    assert!(first.finish().await.is_empty());
    // The place is free once the server has seen the end, which is after the caller has.
    loop {
        match stack.client.watch_checkpoints(watch.clone()).await {
            Ok(_) => break,
            Err(beyond) => assert_eq!(refused(&beyond).1, "OVERLOADED"),
        }
    }
    stack.stop().await;
}
