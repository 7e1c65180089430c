use super::*;
use storage::ProducerId;

const PRODUCER: ProducerId = ProducerId([7; 16]);

fn span(lease: &ProducerLease, first_sequence: u64, entries: Vec<NewEntry>) -> Submission {
    Submission { entries, producer: Some(lease.span(first_sequence)) }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_producer_resumes_without_writing_twice() {
    let mut rig = Rig::new();
    let (registry, log) = rig.start().await;
    let lease = log.open_producer(PRODUCER).await.unwrap();
    assert_eq!((lease.last_sequence(), lease.last_index()), (0, None));
    let submission = span(&lease, 1, vec![entry("a"), entry("b")]);
    log.append(submission).await.unwrap();
    drop((lease, log));
    rig.kill(registry).await;

    let registry = rig.open().unwrap();
    let log = registry.log("default").unwrap();
    let lease = log.open_producer(PRODUCER).await.unwrap();
    assert_eq!((lease.last_sequence(), lease.last_index().unwrap().get()), (2, 1));
    // The client sends again what it may have sent before, and goes on.
    let submission = span(&lease, 2, vec![entry("b"), entry("c")]);
    let committed = log.append(submission).await.unwrap();
    assert_eq!(indexes(&committed), [None, Some((2, false))]);
    assert_eq!(committed.outcomes[0], EntryOutcome::Skipped);
    assert_eq!(log.tree().head.size, size(3));
    registry.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn gaps_and_bad_entries_refuse_the_whole_call() {
    let rig = Rig::new();
    let (registry, log) = rig.start().await;
    let lease = log.open_producer(PRODUCER).await.unwrap();
    for first_sequence in [0, 2] {
        let gap = log.append(span(&lease, first_sequence, vec![entry("a")])).await;
        assert!(matches!(gap, Err(AppendError::SequenceGap { expected: 1, .. })), "{gap:?}");
    }
    let bad = vec![keyed("a", "k"), entry("")];
    let refused = log.append(span(&lease, 1, bad)).await;
    let expected =
        Err(AppendError::StreamEntryRefused { position: 1, refusal: EntryRefusal::Empty });
    assert_eq!(format!("{refused:?}"), format!("{:?}", expected as Result<Committed, _>));
    assert_eq!(log.tree().head.size, size(0));
    // The refused call has taken no key.
    let submission = span(&lease, 1, vec![keyed("other", "k")]);
    assert_eq!(indexes(&log.append(submission).await.unwrap()), [Some((0, false))]);
    registry.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_stream_fences_the_first_even_in_the_queue() {
    let rig = Rig::new();
    let (registry, log) = rig.start().await;
    let first = log.open_producer(PRODUCER).await.unwrap();
    rig.engine.block_sync();
    let plain = tokio::spawn({
        let log = log.clone();
        async move { log.append(numbered(0, 1)).await }
    });
    rig.engine.wait_until_blocked();
    let queued = span(&first, 1, vec![entry("late")]);
    let queued = tokio::spawn({
        let log = log.clone();
        async move { log.append(queued).await }
    });
    while registry.queued().0 < 1 {
        tokio::task::yield_now().await;
    }
    let second = tokio::spawn({
        let log = log.clone();
        async move { log.open_producer(PRODUCER).await.unwrap() }
    });
    first.fenced().await;
    rig.engine.release_sync();
    plain.await.unwrap().unwrap();
    assert!(matches!(queued.await.unwrap(), Err(AppendError::ProducerFenced)));
    let second = second.await.unwrap();
    assert_eq!(second.last_sequence(), 0);
    drop(first);
    log.append(span(&second, 1, vec![entry("a")])).await.unwrap();
    assert_eq!(log.tree().head.size, size(2));
    registry.shutdown().await;
}
