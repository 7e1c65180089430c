//! Leaves of audit events, and the times that the log writes into them.

use super::*;
use storage::faulty::Fault;
use storage::testing::{Planner, unkeyed};
use storage::{BadAttachments, stamp};

const HOUR_MS: u64 = 3_600_000;

async fn audit_log(rig: &Rig) -> (Registry, Log) {
    let registry = rig.open().unwrap();
    let new = CreateLog::new("trail", LogKind::Audit);
    let log = registry.create(new).await.unwrap();
    (registry, log)
}

/// The leaf of an event that is known by a key, with a salt, as the blocks of an event have.
fn leaf(salt: u8, once: Option<(u8, u8)>) -> NewLeaf {
    let once =
        once.map(|(key, digest)| Once { key: [key; 32], digest: ContentDigest([digest; 32]) });
    let leaf = [&b"AEL1"[..], &[0; 8], &[salt; 8]].concat().into();
    NewLeaf { leaf, once, attachments: vec![] }
}

/// Appends one leaf that is taken.
async fn one(log: &Log, leaf: NewLeaf) -> StampedLeaf {
    let committed = log.append_stamped(vec![leaf]).await.unwrap();
    *committed.outcomes[0].as_ref().unwrap()
}

fn stored(rig: &Rig, log: &Log, leaf: &StampedLeaf) -> Bytes {
    rig.engine.entries(log.id(), leaf.index, 1, 1).unwrap().remove(0).data
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_writes_its_time_and_hashes_what_it_stores() {
    let rig = Rig::new();
    let (registry, log) = audit_log(&rig).await;
    let committed = log.append_stamped(vec![leaf(1, None), leaf(2, None)]).await.unwrap();
    assert_eq!(committed.tree_size, size(2));
    for (index, outcome) in (0..).zip(&committed.outcomes) {
        let found = outcome.as_ref().unwrap();
        assert_eq!((found.index.get(), found.repeats), (index, Repeats::No));
        assert_eq!(found.time_ns, START_MS * 1_000_000);
        let stored = stored(&rig, &log, found);
        assert_eq!(stamp::time_ns(&stored), Some(found.time_ns));
        assert_eq!((&stored[..4], merkle::leaf_hash(&stored)), (&b"AEL1"[..], found.leaf_hash));
    }
    registry.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repetition_has_the_place_and_time_of_the_first() {
    let mut rig = Rig::new();
    let (registry, log) = audit_log(&rig).await;
    let leaves = (1..=3).map(|key| leaf(key, Some((key, 7)))).collect();
    let first = log.append_stamped(leaves).await.unwrap();
    let first: Vec<StampedLeaf> = first.outcomes.into_iter().map(Result::unwrap).collect();
    rig.clock.advance(Duration::from_secs(5));
    one(&log, leaf(9, None)).await;
    drop(log);
    rig.kill(registry).await;

    let registry = rig.open().unwrap();
    let log = registry.log("trail").unwrap();
    // Two that are there, out of order and apart, one of another content; one that is new, twice.
    let again = [(3, 7), (1, 7), (3, 8), (4, 7), (4, 7), (4, 8)];
    let again = again.map(|(key, digest)| leaf(100, Some((key, digest)))).into();
    let again = log.append_stamped(again).await.unwrap();
    assert_eq!(again.tree_size, size(5), "one was new");
    let again: Vec<StampedLeaf> = again.outcomes.into_iter().map(Result::unwrap).collect();
    let repeats = |leaf: StampedLeaf, repeats| StampedLeaf { repeats, ..leaf };
    assert_eq!(again[0], repeats(first[2], Repeats::Same));
    assert_eq!(again[1], repeats(first[0], Repeats::Same));
    assert_eq!(again[2], repeats(first[2], Repeats::Other));
    assert_eq!((again[3].index.get(), again[3].repeats), (4, Repeats::No));
    assert!(again[3].time_ns > first[0].time_ns);
    assert_eq!(again[4], repeats(again[3], Repeats::Same));
    assert_eq!(again[5], repeats(again[3], Repeats::Other));
    registry.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_goes_back_takes_no_time_with_it() {
    let mut rig = Rig::new();
    let (registry, log) = audit_log(&rig).await;
    let before = one(&log, leaf(1, None)).await.time_ns;
    rig.clock.set_unix_ms(START_MS - HOUR_MS);
    assert_eq!(one(&log, leaf(2, None)).await.time_ns, before);
    drop(log);
    rig.kill(registry).await;
    let registry = rig.open().unwrap();
    let log = registry.log("trail").unwrap();
    assert_eq!(one(&log, leaf(3, None)).await.time_ns, before);
    rig.clock.set_unix_ms(START_MS + 1);
    assert_eq!(one(&log, leaf(4, None)).await.time_ns, before + 1_000_000);
    registry.shutdown().await;
}

/// A leaf that is written behind the log's back, with what it needs around it.
async fn planted(data: Vec<u8>) -> Rig {
    let mut rig = Rig::new();
    let (registry, log) = audit_log(&rig).await;
    one(&log, leaf(1, None)).await;
    let tree = log.tree();
    let (record, head) = (log.record(), rig.engine.head(log.id()).unwrap());
    let mut planner = Planner { record, head, frontier: tree.frontier.clone() };
    drop(log);
    rig.kill(registry).await;
    storage::conformance::commit(&*rig.engine, &[planner.append(vec![unkeyed(data)])]);
    rig
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_reads_the_time_of_the_newest_leaf() {
    let later = (START_MS + HOUR_MS) * 1_000_000 + 5;
    let rig = planted(stamp::with_time_ns(&[0; 12], later).unwrap()).await;
    let registry = rig.open().unwrap();
    let log = registry.log("trail").unwrap();
    assert_eq!(one(&log, leaf(2, None)).await.time_ns, later);
    registry.shutdown().await;

    let rig = planted(vec![0; 11]).await;
    let error = rig.open().unwrap_err();
    let damaged = matches!(error, StartError::Damaged { what: Damage::NoTime { index: 1 }, .. });
    assert!(damaged, "{error}");
}

/// If we crash between the commit and the answer, the caller finds the event, with its first time.
#[tokio::test(flavor = "multi_thread")]
async fn a_retry_after_a_crash_finds_what_was_written() {
    for fault in Fault::ALL {
        let mut rig = Rig::new();
        let (registry, log) = audit_log(&rig).await;
        one(&log, leaf(0, None)).await;
        published_at(&log, 1).await;
        rig.engine.fail_commit(fault, 0);
        log.append_stamped(vec![leaf(1, Some((1, 1)))]).await.unwrap_err();
        drop(log);
        rig.kill(registry).await;
        rig.clock.advance(Duration::from_secs(5));
        let registry = rig.open().unwrap();
        let log = registry.log("trail").unwrap();
        let again = one(&log, leaf(2, Some((1, 1)))).await;
        let kept = fault == Fault::Persisted;
        let expected = if kept { Repeats::Same } else { Repeats::No };
        assert_eq!((again.index.get(), again.repeats), (1, expected), "{fault:?}");
        let time_ms = if kept { START_MS } else { START_MS + 5_000 };
        assert_eq!(again.time_ns, time_ms * 1_000_000, "{fault:?}");
        assert_eq!(stamp::time_ns(&stored(&rig, &log, &again)), Some(again.time_ns));
        registry.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn leaves_are_checked_one_by_one_and_plain_logs_take_none() {
    let rig = Rig::new();
    let (registry, log) = audit_log(&rig).await;
    let of = |bytes: usize| NewLeaf { leaf: vec![0; bytes].into(), ..leaf(0, None) };
    let timed = [&[0; 11][..], &[1]].concat();
    let twice = Attachment { kind: 1, key_id: 0, bytes: Bytes::from_static(b"a") };
    let leaves = vec![
        of(12),
        of(11),
        of(ENTRY_BYTES_MAX),
        of(ENTRY_BYTES_MAX + 1),
        NewLeaf { leaf: timed.into(), ..leaf(0, None) },
        NewLeaf { attachments: vec![twice.clone()], ..of(12) },
        NewLeaf { attachments: vec![twice.clone(), twice], ..of(12) },
    ];
    let committed = log.append_stamped(leaves).await.unwrap();
    let refused: Vec<_> = committed.outcomes.into_iter().map(Result::err).collect();
    let expected = [
        None,
        Some(EntryRefusal::NoRoomForTime { bytes: 11 }),
        None,
        Some(EntryRefusal::TooLarge { bytes: ENTRY_BYTES_MAX + 1 }),
        Some(EntryRefusal::TimeGiven),
        None,
        Some(BadAttachments::Order { kind: 1 }.into()),
    ];
    assert_eq!(refused, expected);
    assert!(matches!(log.append_stamped(vec![]).await, Err(AppendError::EmptyBatch)));
    let most = log.append_stamped(vec![of(12); CALL_ENTRIES_MAX]).await;
    assert_eq!(most.unwrap().outcomes.len(), CALL_ENTRIES_MAX);
    let beyond = log.append_stamped(vec![of(12); CALL_ENTRIES_MAX + 1]).await;
    assert!(matches!(beyond, Err(AppendError::TooManyEntries { .. })), "{beyond:?}");
    let heavy = log.append_stamped(vec![of(CALL_BYTES_MAX / 100); 101]).await;
    assert!(matches!(heavy, Err(AppendError::TooManyBytes { .. })), "{heavy:?}");

    let plain = registry.create(new_log("plain")).await.unwrap();
    let refused = plain.append_stamped(vec![of(12)]).await;
    assert!(matches!(refused, Err(AppendError::EntriesOnly)), "{refused:?}");
    registry.shutdown().await;
}
