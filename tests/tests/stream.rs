//! A producer's stream over servers that die: each sequence ends up at exactly one index.

use std::time::Duration;

use e2e::{Home, Server, long_profile};
use log_proto::log_v1::{
    AppendStreamRequest, Entry, GetEntriesRequest, IndexRange, Receipt,
    append_stream_request::{Items, Message, Open},
    append_stream_response::Message as Answer,
    log_service_client::LogServiceClient,
};
use merkle::TreeSize;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;

const PRODUCER: &[u8] = b"producer-sixteen";

async fn connect(server: &Server) -> LogServiceClient<Channel> {
    let endpoint = Channel::from_shared(server.url().to_owned()).expect("a URL");
    LogServiceClient::new(endpoint.connect().await.expect("the server accepts connections"))
}

fn open(producer: &'static [u8]) -> AppendStreamRequest {
    AppendStreamRequest {
        message: Some(Message::Open(Open {
            log: "default".into(),
            producer_id: producer.into(),
            receipt: Receipt::Index.into(),
        })),
    }
}

fn items(first_sequence: u64, count: u64) -> AppendStreamRequest {
    let entry = |sequence: u64| Entry {
        data: format!("sequence {sequence}").into_bytes().into(),
        dedup_key: Vec::new().into(),
    };
    let entries = (first_sequence..first_sequence + count).map(entry).collect();
    AppendStreamRequest { message: Some(Message::Items(Items { first_sequence, entries })) }
}

/// Streams from where the log stands until the server dies or `upto` is committed; the last committed
/// sequence this client heard of.
async fn stream_until(server: &Server, upto: u64) -> u64 {
    let (requests, receiver) = tokio::sync::mpsc::channel(4);
    let mut client = connect(server).await;
    requests.send(open(PRODUCER)).await.expect("the channel is open");
    let Ok(answers) = client.append_stream(ReceiverStream::new(receiver)).await else { return 0 };
    let mut answers = answers.into_inner();
    let Ok(Some(first)) = answers.message().await else { return 0 };
    let Some(Answer::Opened(opened)) = first.message else { panic!("the first answer opens") };
    let mut last = opened.last_sequence;
    let sender = tokio::spawn(async move {
        let mut next = opened.last_sequence + 1;
        while next <= upto {
            let count = (upto - next + 1).min(7);
            if requests.send(items(next, count)).await.is_err() {
                return;
            }
            next += count;
        }
        // The stream stays open until the last answer is in: dropping the sender would end it.
        requests.closed().await;
    });
    while last < upto {
        match answers.message().await {
            Ok(Some(answer)) => {
                if let Some(Answer::Committed(committed)) = answer.message {
                    assert!(committed.from_sequence <= last + 1, "no gap between answers");
                    last = last.max(committed.to_sequence);
                }
            }
            Ok(None) | Err(_) => break,
        }
    }
    sender.abort();
    last
}

async fn entries(server: &Server) -> Vec<String> {
    let request = GetEntriesRequest {
        log: "default".into(),
        // Cut to what is committed, for which a head is then signed; 0 would end at the last one signed.
        range: Some(IndexRange { start: 0, end: TreeSize::MAX.get() }),
        with_receipts: false,
    };
    let mut stream =
        connect(server).await.get_entries(request).await.expect("entries can be read").into_inner();
    let mut all = Vec::new();
    while let Some(part) = stream.message().await.expect("the stream goes on") {
        let range = part.entries.expect("a range");
        all.extend(
            range
                .entries
                .iter()
                .map(|e| String::from_utf8(e.to_vec()).expect("what was sent is text")),
        );
    }
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_sequence_is_at_exactly_one_index_over_dying_servers() {
    let (deaths, total) = if long_profile() { (40, 200_000) } else { (4, 8_000) };
    let home = Home::new();
    for death in 0..deaths {
        let server = home.start();
        let pid = server.pid();
        let killer = tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(30 + 41 * (death % 5))).await;
            let pid = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
            rustix::process::kill_process(pid, rustix::process::Signal::KILL)
        });
        stream_until(&server, total).await;
        killer.await.unwrap().expect("the server was there to be killed");
    }
    let server = home.start();
    assert_eq!(stream_until(&server, total).await, total);
    let expected: Vec<_> = (1..=total).map(|sequence| format!("sequence {sequence}")).collect();
    assert!(entries(&server).await == expected, "each sequence once, in order");
}

#[tokio::test]
async fn a_gap_is_refused_and_a_second_opener_fences_the_first() {
    let home = Home::new();
    let server = home.start();
    let (first, receiver) = tokio::sync::mpsc::channel(4);
    first.send(open(PRODUCER)).await.unwrap();
    first.send(items(1, 3)).await.unwrap();
    let mut client = connect(&server).await;
    let mut answers =
        client.append_stream(ReceiverStream::new(receiver)).await.unwrap().into_inner();
    assert!(matches!(answers.message().await.unwrap().unwrap().message, Some(Answer::Opened(_))));
    assert!(matches!(
        answers.message().await.unwrap().unwrap().message,
        Some(Answer::Committed(_))
    ));

    let (second, receiver) = tokio::sync::mpsc::channel(4);
    second.send(open(PRODUCER)).await.unwrap();
    let mut other = client.append_stream(ReceiverStream::new(receiver)).await.unwrap().into_inner();
    let Some(Answer::Opened(opened)) = other.message().await.unwrap().unwrap().message else {
        panic!("the second stream opens");
    };
    assert_eq!((opened.last_sequence, opened.last_index), (3, 2));
    assert_eq!(answers.message().await.unwrap_err().code(), tonic::Code::Aborted);

    second.send(items(5, 1)).await.unwrap();
    assert_eq!(other.message().await.unwrap_err().code(), tonic::Code::FailedPrecondition);
}
