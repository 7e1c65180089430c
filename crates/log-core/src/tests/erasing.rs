//! Erasing what lies beside leaves, and finishing that after a crash.

use std::collections::BTreeSet;

use merkle::LeafIndex;

use super::*;
use crate::erase::{ErasedBefore, Targets};
use storage::faulty::Fault;
use storage::{Erase as _, Unpurged};

const KINDS: [u8; 3] = [1, 2, 7];

fn at(index: u64) -> LeafIndex {
    LeafIndex::new(index).unwrap()
}

fn block(number: u64, kind: u8) -> Attachment {
    Attachment { kind, key_id: 0, bytes: Bytes::from(format!("block {kind} of {number}")) }
}

fn leaf(number: u8, digest: u8) -> NewLeaf {
    let once = Once { key: [number; 32], digest: ContentDigest([digest; 32]) };
    let attachments = KINDS.map(|kind| block(number.into(), kind)).into();
    NewLeaf { once: Some(once), attachments, ..stating() }
}

/// A leaf that states an erasure.
fn stating() -> NewLeaf {
    NewLeaf { leaf: vec![0; 20].into(), once: None, attachments: vec![] }
}

fn targets(of: &[(u64, &[u8])]) -> Targets {
    let target = |(index, kinds): &(u64, &[u8])| (at(*index), kinds.iter().copied().collect());
    of.iter().map(target).collect()
}

/// An audit log with three events.
async fn trail(rig: &Rig) -> (Registry, Log) {
    let registry = rig.open().unwrap();
    let new = CreateLog::new("trail", LogKind::Audit);
    let log = registry.create(new).await.unwrap();
    log.append_stamped((0..3).map(|number| leaf(number, 1)).collect()).await.unwrap();
    (registry, log)
}

async fn erase(log: &Log, of: &[(u64, &[u8])]) -> Result<StampedLeaf, EraseError> {
    log.erase(targets(of)).await?.commit(stating()).await
}

fn beside(rig: &Rig, log: &Log, index: u64) -> Vec<Beside> {
    rig.engine.attachments(log.id(), at(index)).unwrap()
}

fn kept(number: u64) -> Vec<Beside> {
    KINDS.map(|kind| Beside::Kept(block(number, kind))).into()
}

async fn again(log: &Log, number: u8, digest: u8) -> StampedLeaf {
    let committed = log.append_stamped(vec![leaf(number, digest)]).await.unwrap();
    *committed.outcomes[0].as_ref().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_erased_leaves_a_tombstone_and_every_retry_is_a_repetition() {
    let rig = Rig::new();
    let (registry, log) = trail(&rig).await;
    let first = again(&log, 1, 1).await;
    assert_eq!((first.index, again(&log, 1, 2).await.repeats), (at(1), Repeats::Other));
    rig.clock.advance(Duration::from_secs(5));
    let stated = erase(&log, &[(1, &[2, 7])]).await.unwrap();
    assert_eq!((stated.index, log.tree().head.size), (at(3), size(4)));
    let tombstone = |kind| Beside::Erased { kind, time_ns: stated.time_ns, by: at(3) };
    let left = vec![Beside::Kept(block(1, 1)), tombstone(2), tombstone(7)];
    assert_eq!(beside(&rig, &log, 1), left);
    assert_eq!((beside(&rig, &log, 0), beside(&rig, &log, 2)), (kept(0), kept(2)));
    assert_eq!(rig.engine.unpurged().unwrap(), []);
    for digest in [1, 2] {
        let repeated = StampedLeaf { repeats: Repeats::Unknown, ..first };
        assert_eq!(again(&log, 1, digest).await, repeated, "nothing is compared any more");
    }
    assert_eq!(again(&log, 2, 2).await.repeats, Repeats::Other);

    // Again, with one that is kept so far.
    let erasing = log.erase(targets(&[(1, &[1, 2])])).await.unwrap();
    assert_eq!((erasing.targets()[0].index, &erasing.targets()[0].kinds), (at(1), &vec![1]));
    let before = ErasedBefore { index: at(1), kind: 2, time_ns: stated.time_ns, by: at(3) };
    assert_eq!(erasing.before(), [before]);
    assert_eq!(erasing.commit(stating()).await.unwrap().index, at(4));
    let erasing = log.erase(targets(&[(1, &[1, 7])])).await.unwrap();
    assert_eq!((erasing.targets().len(), erasing.before().len()), (0, 2));
    erasing.finish().await.unwrap();
    assert_eq!(log.tree().head.size, size(5), "what is erased needs no other event");
    registry.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_erased_is_refused_and_nothing_is_written() {
    let rig = Rig::new();
    let (registry, log) = trail(&rig).await;
    let refused = async |of: &[(u64, &[u8])]| erase(&log, of).await.unwrap_err();
    assert!(matches!(refused(&[]).await, EraseError::NoTargets));
    assert!(matches!(refused(&[(1, &[])]).await, EraseError::NoTargets));
    let not_there = refused(&[(1, &[2, 3])]).await;
    assert!(matches!(not_there, EraseError::NotThere { kind: 3, .. }), "{not_there}");
    let beyond = refused(&[(1, &[2]), (3, &[2])]).await;
    assert!(matches!(beyond, EraseError::BeyondSize { .. }), "{beyond}");
    let many: Targets = (0..1_001).map(|index| (at(index), BTreeSet::from([1]))).collect();
    let many = log.erase(many).await.unwrap_err();
    assert!(matches!(many, EraseError::TooManyTargets { targets: 1_001 }), "{many}");
    let erasing = log.erase(targets(&[(1, &[1])])).await.unwrap();
    let repeated = erasing.commit(leaf(2, 1)).await.unwrap_err();
    assert!(matches!(repeated, EraseError::Repeated { .. }), "{repeated}");
    let erasing = log.erase(targets(&[(1, &[1])])).await.unwrap();
    let short = NewLeaf { leaf: vec![0; 11].into(), ..stating() };
    let refusal = erasing.commit(short).await.unwrap_err();
    assert!(matches!(refusal, EraseError::Refused(_)), "{refusal}");
    let plain = registry.create(new_log("plain")).await.unwrap();
    plain
        .append(batch(vec![NewEntry { attachments: vec![block(0, 1)], ..entry("a") }]))
        .await
        .unwrap();
    let events = erase(&plain, &[(0, &[1])]).await.unwrap_err();
    assert!(matches!(events, EraseError::Append(AppendError::EntriesOnly)), "{events}");
    assert_eq!((log.tree().head.size, plain.tree().head.size), (size(3), size(1)));
    assert_eq!(beside(&rig, &log, 1), kept(1));
    registry.shutdown().await;
}

/// If we crash in the commit, all of the erasure is there or nothing of it.
#[tokio::test(flavor = "multi_thread")]
async fn an_erasure_is_committed_with_the_event_that_states_it() {
    for fault in Fault::ALL {
        let mut rig = Rig::new();
        let (registry, log) = trail(&rig).await;
        published_at(&log, 3).await;
        rig.engine.fail_commit(fault, 0);
        let error = erase(&log, &[(1, &KINDS)]).await.unwrap_err();
        assert!(matches!(error, EraseError::Append(_)), "{error}");
        drop(log);
        rig.kill(registry).await;
        let written = fault == Fault::Persisted;
        assert_eq!(rig.engine.unpurged().unwrap().len(), usize::from(written));
        let registry = rig.open().unwrap();
        let log = registry.log("trail").unwrap();
        assert_eq!(log.tree().head.size, size(if written { 4 } else { 3 }));
        assert_eq!(beside(&rig, &log, 1) == kept(1), !written, "{fault:?}");
        assert_eq!(rig.engine.unpurged().unwrap(), [], "a start finishes it");
        let repeats = if written { Repeats::Unknown } else { Repeats::Same };
        assert_eq!(again(&log, 1, 1).await.repeats, repeats);
        registry.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_were_not_purged_are_purged_by_the_next_start_or_erasing() {
    for restarted in [true, false] {
        let mut rig = Rig::new();
        let (mut registry, mut log) = trail(&rig).await;
        rig.engine.fail_purge(Fault::Lost);
        let error = erase(&log, &[(1, &[1])]).await.unwrap_err();
        assert!(matches!(error, EraseError::NotPurged { by, .. } if by == at(3)), "{error}");
        let left = Unpurged { log: log.id(), by: at(3), entries: vec![at(1)] };
        assert_eq!(rig.engine.unpurged().unwrap(), [left]);
        if restarted {
            drop(log);
            rig.kill(registry).await;
            // Trouble with the files does not keep a server from its work.
            rig.engine.fail_purge(Fault::Lost);
            rig.kill(rig.open().unwrap()).await;
            assert_eq!(rig.engine.unpurged().unwrap().len(), 1);
            registry = rig.open().unwrap();
            log = registry.log("trail").unwrap();
        } else {
            log.erase(targets(&[(1, &[1])])).await.unwrap().finish().await.unwrap();
        }
        assert_eq!(rig.engine.unpurged().unwrap(), []);
        assert_eq!(log.tree().head.size, size(4));
        registry.shutdown().await;
    }
}

/// Two erasures of the same block: the second one finds the tombstone of the first.
#[tokio::test(flavor = "multi_thread")]
async fn erasures_of_a_log_take_turns() {
    let rig = Rig::new();
    let (registry, log) = trail(&rig).await;
    let first = log.erase(targets(&[(1, &[1])])).await.unwrap();
    let second = tokio::spawn({
        let log = log.clone();
        async move { log.erase(targets(&[(1, &[1])])).await.map(|erasing| erasing.before().len()) }
    });
    tokio::task::yield_now().await;
    first.commit(stating()).await.unwrap();
    assert_eq!(second.await.unwrap().unwrap(), 1);
    registry.shutdown().await;
}

/// A repetition is told by its row: the entry is not read.
#[tokio::test(flavor = "multi_thread")]
async fn no_entry_is_read_to_tell_a_repetition() {
    let rig = Rig::new();
    let (registry, log) = trail(&rig).await;
    published_at(&log, 3).await;
    let reads = rig.engine.reads();
    let repeats: Vec<_> = (0..3).map(|number| leaf(number, 1)).collect();
    log.append_stamped(repeats).await.unwrap();
    assert_eq!(rig.engine.reads() - reads, 1, "one look-up of the three keys");
    registry.shutdown().await;
}
