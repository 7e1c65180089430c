//! Producer streams: every sequence at exactly one index, however often the server dies.

use std::time::Duration;

use log_client::{
    RetryPolicy,
    producer::{ProducerId, ProducerOptions, ProducerStream, StreamError},
};

use crate::fake::{Fake, numbered};

const PRODUCER: ProducerId = ProducerId([3; 16]);

fn options() -> ProducerOptions {
    let pause = Duration::from_millis(1);
    let retry = RetryPolicy { pause_min: pause, pause_max: pause, attempts_max: Some(5) };
    ProducerOptions { retry, message_entries_max: 3, ..ProducerOptions::default() }
}

#[tokio::test]
async fn a_server_that_dies_mid_stream_ends_with_every_entry_once() {
    let (fake, client) = Fake::start(Vec::new()).await;
    // Died after two messages with the third written, at once with the first not written, and so on.
    fake.state().stream_dies.extend([(2, true), (0, false), (1, true), (0, true)]);
    let (stream, resume) =
        ProducerStream::open(client, "default", PRODUCER, options()).await.unwrap();
    assert_eq!((resume.last_sequence, resume.last_index), (0, None));
    let mut pending = Vec::new();
    for data in numbered(0..40) {
        pending.push(stream.append(data).await.unwrap());
    }
    for (position, pending) in (0..).zip(pending) {
        assert_eq!(pending.sequence(), position + 1);
        let committed = pending.await.unwrap();
        assert_eq!(committed.sequence, position + 1);
        if let Some(index) = committed.index {
            assert_eq!(index.get(), position, "only this producer writes");
        }
    }
    assert_eq!(stream.close().await.unwrap().last_sequence, 40);
    let state = fake.state();
    assert_eq!(state.entries, numbered(0..40));
    assert_eq!(state.streams_opened, 5);
}

#[tokio::test]
async fn a_second_run_goes_on_where_the_first_ended() {
    let (fake, client) = Fake::start(numbered(0..2)).await;
    let open = || ProducerStream::open(client.clone(), "default", PRODUCER, options());
    let (stream, _) = open().await.unwrap();
    stream.append("one").await.unwrap().await.unwrap();
    stream.close().await.unwrap();
    let (stream, resume) = open().await.unwrap();
    assert_eq!(resume.last_sequence, 1);
    assert_eq!(resume.last_index.unwrap().get(), 2);
    let pending = stream.append("two").await.unwrap();
    assert_eq!((pending.sequence(), pending.await.unwrap().index.unwrap().get()), (2, 3));
    assert_eq!(fake.state().entries.len(), 4);
}

#[tokio::test]
async fn a_server_that_forgot_committed_entries_is_refused() {
    let (fake, client) = Fake::start(Vec::new()).await;
    fake.state().stream_dies.push_back((1, false));
    let (stream, _) = ProducerStream::open(client, "default", PRODUCER, options()).await.unwrap();
    stream.append("kept").await.unwrap().await.unwrap();
    fake.state().producers.clear();
    let error = stream.append("next").await.unwrap().await.unwrap_err();
    assert!(matches!(error, StreamError::Sequence { found: 0, first: 1, last: 2 }), "{error}");
    assert!(stream.close().await.is_err());
}
