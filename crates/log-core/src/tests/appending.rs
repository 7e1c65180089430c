use merkle::{CompactRange, LeafIndex, leaf_hash};

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn entries_get_contiguous_indexes_and_the_tree_is_theirs() {
    let rig = Rig::new();
    let (registry, log) = rig.start().await;
    let mut tree = CompactRange::empty();
    let mut next = 0;
    for count in [1, 3, 254, 600, 1] {
        let committed = log.append(numbered(next, count)).await.unwrap();
        let expected: Vec<_> = (next..next + count).map(|index| Some((index, false))).collect();
        assert_eq!(indexes(&committed), expected);
        (next..next + count).for_each(|n| tree.append(leaf_hash(format!("entry {n}").as_bytes())));
        next += count;
        assert_eq!(committed.tree_size, size(next));
        assert_eq!(log.tree().head.root, tree.root());
        assert_eq!(log.tree().frontier.root(), tree.root());
    }
    let stored = log.engine().entries(log.id(), LeafIndex::new(857).unwrap(), 9, 1 << 20).unwrap();
    assert_eq!(&stored[0].data[..], b"entry 857");
    registry.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_entry_does_not_stop_the_others() {
    let rig = Rig::new();
    let (registry, log) = rig.start().await;
    let too_large = NewEntry::new(vec![0; ENTRY_BYTES_MAX + 1].into(), None);
    let entries = vec![entry("a"), entry(""), too_large, entry("b")];
    let committed = log.append(batch(entries)).await.unwrap();
    assert_eq!(indexes(&committed), [Some((0, false)), None, None, Some((1, false))]);
    assert_eq!(committed.outcomes[1], EntryOutcome::Refused(EntryRefusal::Empty));
    assert!(matches!(log.append(batch(vec![])).await, Err(AppendError::EmptyBatch)));
    registry.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_gives_its_first_index_and_refuses_other_data() {
    let rig = Rig::new();
    let (registry, log) = rig.start().await;
    let entries = vec![
        keyed("a", "k"),
        keyed("a", "k"),
        keyed("other", "k"),
        keyed("", "l"),
        keyed("b", "l"),
    ];
    let committed = log.append(batch(entries)).await.unwrap();
    let expected = [Some((0, false)), Some((0, true)), None, None, Some((1, false))];
    assert_eq!(indexes(&committed), expected);
    let conflict = EntryRefusal::DedupKeyConflict { index: LeafIndex::new(0).unwrap() };
    assert_eq!(committed.outcomes[2], EntryOutcome::Refused(conflict.clone()));

    let again = log.append(batch(vec![keyed("b", "l"), keyed("x", "k")])).await.unwrap();
    assert_eq!(indexes(&again), [Some((1, true)), None]);
    assert_eq!(again.outcomes[1], EntryOutcome::Refused(conflict));
    assert_eq!(log.tree().head.size, size(2));

    let mut other_scope = keyed("x", "k");
    other_scope.dedup.as_mut().unwrap().scope = Scope([1; 16]);
    let apart = log.append(batch(vec![other_scope])).await.unwrap();
    assert_eq!(indexes(&apart), [Some((2, false))]);
    registry.shutdown().await;
}

/// An entry that its caller salts: other bytes each time, and a digest of what it holds.
fn salted(data: &'static str, key: &'static str, digest: u8) -> NewEntry {
    NewEntry { digest: Some(ContentDigest([digest; 32])), ..keyed(data, key) }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_digest_is_compared_instead_of_the_leaf_hash() {
    let mut rig = Rig::new();
    let (registry, log) = rig.start().await;
    let first = vec![salted("a, salt 1", "k", 1), salted("a, salt 2", "k", 1)];
    let committed = log.append(batch(first)).await.unwrap();
    assert_eq!(indexes(&committed), [Some((0, false)), Some((0, true))]);
    let EntryOutcome::Appended { leaf_hash, .. } = &committed.outcomes[1] else {
        panic!("appended")
    };
    assert_eq!(*leaf_hash, merkle::leaf_hash(b"a, salt 1"), "of the entry that is there");
    rig.kill(registry).await;

    let registry = rig.open().unwrap();
    let log = registry.log("default").unwrap();
    let again = vec![
        salted("a, salt 3", "k", 1),
        salted("a, salt 1", "k", 2),
        // Without a digest the leaf hash decides.
        keyed("a, salt 1", "k"),
        keyed("a, salt 3", "k"),
        keyed("b", "l"),
        salted("b", "l", 9),
        salted("c", "l", 9),
    ];
    let committed = log.append(batch(again)).await.unwrap();
    let (same, conflict) = (Some((0, true)), None);
    let expected = [same, conflict, same, conflict, Some((1, false)), Some((1, true)), conflict];
    assert_eq!(indexes(&committed), expected);
    assert_eq!(log.tree().head.size, size(2));
    registry.shutdown().await;
}

fn attached(data: &'static str, kinds: &[u8]) -> NewEntry {
    let attachments = kinds.iter().map(|kind| attachment(data, *kind)).collect();
    NewEntry { attachments, ..entry(data) }
}

fn attachment(data: &str, kind: u8) -> Attachment {
    Attachment { kind, key_id: 0, bytes: Bytes::from(format!("{data}, {kind}")) }
}

#[tokio::test(flavor = "multi_thread")]
async fn attachments_are_committed_with_their_entries() {
    let mut rig = Rig::new();
    let (registry, log) = rig.start().await;
    let mut refused = attached("refused", &[1]);
    refused.attachments[0].bytes = Bytes::new();
    let entries = vec![attached("a", &[1, 2]), refused, entry("b"), attached("c", &[3])];
    let committed = log.append(batch(entries)).await.unwrap();
    assert_eq!(indexes(&committed), [Some((0, false)), None, Some((1, false)), Some((2, false))]);
    rig.kill(registry).await;
    let registry = rig.open().unwrap();
    let found = |at| rig.engine.attachments(log.id(), LeafIndex::new(at).unwrap()).unwrap();
    assert_eq!(found(0), [1, 2].map(|kind| Beside::Kept(attachment("a", kind))));
    assert_eq!(found(1), []);
    assert_eq!(found(2), [Beside::Kept(attachment("c", 3))]);
    assert_eq!(found(3), []);
    registry.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn attachments_fill_the_queue() {
    let mut rig = Rig::new();
    rig.limits.queue_bytes_max = rig.limits.batch_bytes_max;
    let (registry, log) = rig.start().await;
    rig.engine.block_sync();
    let first = tokio::spawn({
        let log = log.clone();
        async move { log.append(numbered(0, 1)).await }
    });
    rig.engine.wait_until_blocked();
    let large = |number: u8| {
        let bytes = Bytes::from(vec![number; Attachment::LEN_MAX]);
        let attachments = vec![Attachment { kind: 1, key_id: 0, bytes }];
        batch(vec![NewEntry { attachments, ..entry("large") }])
    };
    let second = tokio::spawn({
        let (log, call) = (log.clone(), large(1));
        async move { log.append(call).await }
    });
    while log.queued().1 < Attachment::LEN_MAX {
        tokio::task::yield_now().await;
    }
    let full = log.append(large(2)).await;
    assert!(matches!(full, Err(AppendError::QueueFull { .. })), "{full:?}");
    rig.engine.release_sync();
    first.await.unwrap().unwrap();
    second.await.unwrap().unwrap();
    registry.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn racing_callers_with_one_key_write_one_entry() {
    let rig = Rig::new();
    let (registry, log) = rig.start().await;
    for key in ["one", "two", "three"] {
        let calls = (0..50).map(|_| {
            let log = log.clone();
            tokio::spawn(async move { log.append(batch(vec![keyed("same", key)])).await.unwrap() })
        });
        let answers = futures_util::future::join_all(calls).await;
        let outcomes: Vec<_> =
            answers.into_iter().map(|answer| indexes(&answer.unwrap())[0].unwrap()).collect();
        let first = outcomes[0].0;
        assert!(outcomes.iter().all(|(index, _)| *index == first));
        assert_eq!(outcomes.iter().filter(|(_, duplicate)| !duplicate).count(), 1);
    }
    assert_eq!(log.tree().head.size, size(3));
    registry.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deduplicating_log_keeps_equal_entries_once() {
    let rig = Rig::new();
    let registry = rig.open().unwrap();
    let new = CreateLog { deduplicate_entries: true, ..new_log("once") };
    let log = registry.create(new).await.unwrap();
    let first = log.append(batch(vec![entry("a"), entry("b"), entry("a")])).await.unwrap();
    assert_eq!(indexes(&first), [Some((0, false)), Some((1, false)), Some((0, true))]);
    let second = log.append(batch(vec![entry("b"), keyed("c", "k")])).await.unwrap();
    assert_eq!(indexes(&second), [Some((1, true)), None]);
    assert_eq!(second.outcomes[1], EntryOutcome::Refused(EntryRefusal::DedupKeyNotTaken));
    registry.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_queue_and_a_low_disk_refuse_at_once() {
    let mut rig = Rig::new();
    rig.limits.queue_entries_max = rig.limits.batch_entries_max;
    let (registry, log) = rig.start().await;
    rig.engine.block_sync();
    let first = tokio::spawn({
        let log = log.clone();
        async move { log.append(numbered(0, 1)).await }
    });
    rig.engine.wait_until_blocked();
    let waiting: Vec<_> = (0..2)
        .map(|call| {
            let log = log.clone();
            tokio::spawn(async move { log.append(numbered(call * 10_000, 10_000)).await })
        })
        .collect();
    while registry.queued().0 < rig.limits.queue_entries_max {
        tokio::task::yield_now().await;
    }
    let full = log.append(numbered(0, 1)).await;
    assert!(matches!(full, Err(AppendError::QueueFull { .. })), "{full:?}");
    rig.engine.release_sync();
    first.await.unwrap().unwrap();
    for call in waiting {
        call.await.unwrap().unwrap();
    }

    rig.engine.set_free_bytes(Some(99));
    // The disk watch and the clock watch.
    while rig.clock.sleepers() < 2 {
        tokio::task::yield_now().await;
    }
    rig.clock.advance(Duration::from_secs(1));
    let low = loop {
        if let Err(error) = log.append(numbered(0, 1)).await {
            break error;
        }
    };
    assert!(matches!(low, AppendError::DiskLow { free_bytes: 99, .. }), "{low}");
    registry.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_cancelled_before_it_is_drained_writes_nothing() {
    let rig = Rig::new();
    let (registry, log) = rig.start().await;
    rig.engine.block_sync();
    let first = tokio::spawn({
        let log = log.clone();
        async move { log.append(numbered(0, 1)).await }
    });
    rig.engine.wait_until_blocked();
    let cancelled = tokio::spawn({
        let log = log.clone();
        async move { log.append(numbered(1, 1)).await }
    });
    while registry.queued().0 < 1 {
        tokio::task::yield_now().await;
    }
    cancelled.abort();
    assert!(cancelled.await.unwrap_err().is_cancelled());
    rig.engine.release_sync();
    first.await.unwrap().unwrap();
    let committed = log.append(numbered(2, 1)).await.unwrap();
    assert_eq!(indexes(&committed), [Some((1, false))]);
    registry.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_small_log_is_not_kept_waiting_by_a_large_one() {
    let rig = Rig::new();
    let (registry, large) = rig.start().await;
    let small = registry.create(new_log("small")).await.unwrap();
    rig.engine.block_sync();
    let call = |()| {
        let log = large.clone();
        let entries = (0..4).map(|_| NewEntry::new(vec![7; 50_000].into(), None));
        let submission = batch(entries.collect());
        tokio::spawn(async move { log.append(submission).await })
    };
    let mut calls = vec![call(())];
    rig.engine.wait_until_blocked();
    calls.extend([(); 39].map(call));
    let lone = tokio::spawn({
        let log = small.clone();
        async move { log.append(numbered(0, 1)).await }
    });
    while registry.queued().1 < 6_000_000 {
        tokio::task::yield_now().await;
    }
    rig.engine.release_sync();
    lone.await.unwrap().unwrap();
    for call in calls {
        call.await.unwrap().unwrap();
    }
    assert_eq!(large.tree().head.size, size(160));
    registry.shutdown().await;
}
