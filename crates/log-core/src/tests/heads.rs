use formats::{KeyKind, SignedCheckpoint, VerifierKey};

use super::*;
use crate::inbox::{Doorbell, Inbox};
use crate::sign::Signer;
use storage::ArchivedCheckpoint;
use storage::journal::{Journal, origin_hash};

fn verified(log: &Log, note: &[u8]) -> (u64, usize) {
    let signed = SignedCheckpoint::parse(note).unwrap();
    let verified = signed.verify(&log.vkeys()).unwrap();
    (verified.size().get(), verified.signatures().len())
}

fn archive(log: &Log) -> Vec<ArchivedCheckpoint> {
    log.engine().checkpoints(log.id(), TreeSize::ZERO, None, 100).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_log_has_keys_an_origin_and_signed_and_published_heads_of_size_0() {
    let rig = Rig::new();
    let (registry, log) = rig.start().await;
    let origin = log.origin().as_str().to_owned();
    assert!(origin.starts_with("host.example/default/"), "{origin}");
    assert_eq!(origin.len(), "host.example/default/".len() + 16);
    let kinds: Vec<_> = log.vkeys().iter().map(VerifierKey::kind).collect();
    assert_eq!(kinds, [KeyKind::Ed25519, KeyKind::CosignatureMlDsa44]);
    assert_eq!(verified(&log, &log.signed().note), (0, 1));
    assert_eq!(verified(&log, &log.published().note), (0, 2));
    assert_eq!(archive(&log).len(), 1);
    registry.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn heads_are_signed_on_demand_and_journaled_before_they_are_released() {
    let mut rig = Rig::new();
    rig.limits.publish_interval_min = Duration::from_hours(1);
    let (registry, log) = rig.start().await;
    log.append(numbered(0, 5)).await.unwrap();
    assert_eq!(log.signed().size(), size(0));
    let waiting = (1..=5).map(|covered| {
        let log = log.clone();
        async move { log.sign_covering(size(covered)).await.unwrap() }
    });
    for signed in futures_util::future::join_all(waiting).await {
        assert_eq!(verified(&log, &signed.note), (5, 1));
        assert_eq!(signed.view.frontier.root(), signed.root());
    }
    let heads = storage::journal::read_heads(&rig.dir.path().join("heads")).unwrap().unwrap();
    let head = heads[&origin_hash(log.origin().as_str())];
    assert_eq!((head.size, head.root), (size(5), log.tree().head.root));
    let beyond = log.sign_covering(size(6)).await.unwrap_err();
    assert_eq!(beyond, SignError::BeyondSize { wanted: size(6), committed: size(5) });
    assert_eq!(log.published().head.size, size(0));
    registry.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn checkpoints_are_published_apart_and_archived_further_apart() {
    let mut rig = Rig::new();
    rig.limits.publish_interval_min = Duration::from_millis(5);
    let (registry, log) = rig.start().await;
    log.append(numbered(0, 1)).await.unwrap();
    // The disk watch and the clock watch sleep too.
    while rig.clock.sleepers() < 3 {
        tokio::task::yield_now().await;
    }
    assert_eq!(log.published().head.size, size(0));
    rig.clock.advance(Duration::from_millis(5));
    assert_eq!(verified(&log, &published_at(&log, 1).await.note), (1, 2));
    assert_eq!(archive(&log).len(), 1, "the size-0 checkpoint was archived within the second");

    log.append(numbered(1, 1)).await.unwrap();
    while rig.clock.sleepers() < 3 {
        tokio::task::yield_now().await;
    }
    rig.clock.advance(Duration::from_secs(1));
    let published = published_at(&log, 2).await;
    while archive(&log).len() < 2 {
        tokio::task::yield_now().await;
    }
    assert!(archive(&log)[1].note == published.note);
    registry.shutdown().await;
    assert_eq!(archive(&log).len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn shutdown_commits_what_is_queued_and_archives_the_last_checkpoint() {
    let mut rig = Rig::new();
    let (registry, log) = rig.start().await;
    rig.engine.block_sync();
    let call = |call| {
        let log = log.clone();
        tokio::spawn(async move { log.append(numbered(call, 1)).await })
    };
    let mut calls = vec![call(0)];
    rig.engine.wait_until_blocked();
    calls.extend([call(1), call(2)]);
    while registry.queued().0 < 2 {
        tokio::task::yield_now().await;
    }
    let ending = tokio::spawn({
        let registry = registry.clone();
        async move { registry.shutdown().await }
    });
    while !registry.inner.stopping.load(std::sync::atomic::Ordering::SeqCst) {
        tokio::task::yield_now().await;
    }
    rig.engine.release_sync();
    for call in calls {
        call.await.unwrap().unwrap();
    }
    ending.await.unwrap();
    assert!(matches!(log.append(numbered(9, 1)).await, Err(AppendError::ShuttingDown)));
    let last = archive(&log).pop().unwrap();
    assert_eq!(last.size, log.tree().head.size);
    let note = log.published().note.clone();
    drop(log);
    rig.kill(registry).await;
    let registry = rig.open().unwrap();
    assert_eq!(registry.log("default").unwrap().published().note, note);
    registry.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_log_is_final() {
    let mut rig = Rig::new();
    let (registry, log) = rig.start().await;
    log.append(numbered(0, 2)).await.unwrap();
    let (one, two) = tokio::join!(log.freeze(), log.freeze());
    let published = one.unwrap();
    assert_eq!(published, two.unwrap());
    assert_eq!(verified(&log, &published.note), (2, 2));
    assert_eq!(log.state(), LogState::Frozen);
    assert!(matches!(log.append(numbered(2, 1)).await, Err(AppendError::Frozen)));
    assert_eq!(archive(&log).last().unwrap().note, published.note);
    drop(log);
    rig.kill(registry).await;
    let registry = rig.open().unwrap();
    let log = registry.log("default").unwrap();
    assert_eq!(log.state(), LogState::Frozen);
    assert!(matches!(log.append(numbered(2, 1)).await, Err(AppendError::Frozen)));
    assert_eq!(log.freeze().await.unwrap().note, published.note);
    registry.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_freeze_after_the_end_is_refused_and_does_not_wait() {
    let rig = Rig::new();
    let (registry, log) = rig.start().await;
    registry.shutdown().await;
    let refused = log.freeze().await.unwrap_err();
    assert!(matches!(refused, FreezeError::Sign(SignError::ShuttingDown)), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_freeze_that_was_cut_short_goes_on() {
    let mut rig = Rig::new();
    let (registry, log) = rig.start().await;
    log.append(numbered(0, 2)).await.unwrap();
    published_at(&log, 2).await;
    // The row that says draining is written, the one that says frozen is not.
    rig.engine.fail_commit(storage::faulty::Fault::Lost, 1);
    log.freeze().await.unwrap_err();
    drop(log);
    rig.kill(registry).await;
    let registry = rig.open().unwrap();
    let log = registry.log("default").unwrap();
    assert_eq!(verified(&log, &log.freeze().await.unwrap().note), (2, 2));
    assert_eq!(log.state(), LogState::Frozen);
    registry.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_journal_that_cannot_be_written_stops_receipts_but_not_appends() {
    let rig = Rig::new();
    let (registry, log) = rig.start().await;
    published_at(&log, 0).await;
    let mut broken = Journal::open(&rig.dir.path().join("elsewhere")).unwrap();
    broken.fail_from_now_on();
    log.append(numbered(0, 1)).await.unwrap();
    published_at(&log, 1).await;
    let seal = log.rooms.sign.seal();
    seal.signed.store(Arc::new(SignedHead {
        view: Arc::new(TreeView::empty(START_MS)),
        note: Bytes::from_static(b"older"),
    }));
    let (answer, answered) = tokio::sync::oneshot::channel();
    let inbox = Arc::new(Inbox::new(1, Doorbell::new()));
    inbox.add((Arc::clone(seal), answer)).unwrap();
    Signer::new(inbox, broken, Arc::clone(registry.around())).step();
    assert_eq!(answered.await.unwrap().unwrap_err(), SignError::JournalUnavailable);
    assert_eq!(log.signed().size(), size(0), "an unjournaled head was released");
    assert!(registry.can_commit() && !registry.can_sign());
    let later = log.sign_covering(size(1)).await.unwrap_err();
    assert_eq!(later, SignError::JournalUnavailable);
    assert_eq!(indexes(&log.append(numbered(1, 1)).await.unwrap()), [Some((1, false))]);
    registry.shutdown().await;
}
