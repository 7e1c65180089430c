use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use storage::faulty::Fault;

/// What each way to fail tells the caller, does to the process, and leaves for the next one.
#[tokio::test(flavor = "multi_thread")]
async fn every_failure_is_told_as_what_it_is() {
    for fault in Fault::ALL {
        let mut rig = Rig::new();
        let (registry, log) = rig.start().await;
        log.append(numbered(0, 1)).await.unwrap();
        published_at(&log, 1).await;
        rig.engine.fail_commit(fault, 0);
        let error = log.append(batch(vec![keyed("a", "k")])).await.unwrap_err();
        assert_eq!(log.tree().head.size, size(1), "{fault:?}");
        if fault == Fault::NotIssued {
            assert!(matches!(error, AppendError::NotCommitted { .. }), "{error}");
            assert!(registry.can_commit());
        } else {
            assert!(matches!(error, AppendError::OutcomeUnknown), "{error}");
            while rig.fatals.lock().unwrap().is_empty() {
                tokio::task::yield_now().await;
            }
            assert_eq!(*rig.fatals.lock().unwrap(), [Fatal::OutcomeUnknown]);
            assert!(!registry.can_commit() && !registry.can_sign());
            let later = log.append(numbered(5, 1)).await.unwrap_err();
            assert!(matches!(later, AppendError::ShuttingDown), "{later}");
        }
        drop(log);
        rig.kill(registry).await;

        let registry = rig.open().unwrap();
        let log = registry.log("default").unwrap();
        let found = u64::from(fault == Fault::Persisted);
        assert_eq!(log.tree().head.size, size(1 + found), "{fault:?}");
        // A retry with the key finds out what happened, and writes once.
        let retried = log.append(batch(vec![keyed("a", "k")])).await.unwrap();
        assert_eq!(indexes(&retried), [Some((1, fault == Fault::Persisted))], "{fault:?}");
        assert_eq!(log.tree().head.size, size(2));
        registry.shutdown().await;
    }
}

/// While a sync blocks nothing is answered or signed, and what waits is planned only after it; when
/// the sync fails, what waited was never written.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_answered_around_a_commit_that_fails() {
    for fault in [Fault::Lost, Fault::Persisted] {
        let mut rig = Rig::new();
        let (registry, log) = rig.start().await;
        let commits_before = rig.engine.commits();
        rig.engine.block_sync();
        rig.engine.fail_commit(fault, 0);
        let call = |submission: Submission| {
            let log = log.clone();
            tokio::spawn(async move { log.append(submission).await })
        };
        let in_flight = call(batch(vec![keyed("a", "k")]));
        rig.engine.wait_until_blocked();
        let duplicate = call(batch(vec![keyed("a", "k")]));
        let conflict = call(batch(vec![keyed("b", "k")]));
        while registry.queued().0 < 2 {
            tokio::task::yield_now().await;
        }
        assert!(!in_flight.is_finished() && !duplicate.is_finished() && !conflict.is_finished());
        assert_eq!(log.tree().head.size, size(0));
        assert_eq!(rig.engine.commits(), commits_before + 1);
        let signing = log.sign_covering(size(1)).await;
        assert!(matches!(signing, Err(SignError::BeyondSize { .. })), "{signing:?}");

        rig.engine.release_sync();
        assert!(matches!(in_flight.await.unwrap(), Err(AppendError::OutcomeUnknown)));
        for waiting in [duplicate, conflict] {
            assert!(matches!(waiting.await.unwrap(), Err(AppendError::ShuttingDown)));
        }
        assert_eq!(rig.engine.commits(), commits_before + 1);
        drop(log);
        rig.kill(registry).await;
        let registry = rig.open().unwrap();
        let found = u64::from(fault == Fault::Persisted);
        assert_eq!(registry.log("default").unwrap().tree().head.size, size(found));
        registry.shutdown().await;
    }
}

/// A commit that was not written is forgotten: the calls behind it are planned on what is committed.
#[tokio::test(flavor = "multi_thread")]
async fn a_plan_that_was_not_written_leaves_no_trace() {
    let rig = Rig::new();
    let (registry, log) = rig.start().await;
    rig.engine.fail_commit(Fault::NotIssued, 0);
    let failed = log.append(batch(vec![keyed("a", "k"), entry("b")])).await.unwrap_err();
    assert!(matches!(failed, AppendError::NotCommitted { .. }), "{failed}");
    let other = log.append(batch(vec![keyed("other", "k")])).await.unwrap();
    assert_eq!(indexes(&other), [Some((0, false))]);
    rig.engine.fail_reads(true);
    let unread = log.append(batch(vec![keyed("c", "l")])).await.unwrap_err();
    assert!(matches!(unread, AppendError::NotCommitted { .. }), "{unread}");
    rig.engine.fail_reads(false);
    log.append(batch(vec![keyed("c", "l")])).await.unwrap();
    registry.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_shutdown_stops_at_once_and_loses_nothing_acknowledged() {
    let mut rig = Rig::new();
    let (registry, log) = rig.start().await;
    log.append(numbered(0, 3)).await.unwrap();
    rig.engine.block_sync();
    let in_flight = tokio::spawn({
        let log = log.clone();
        async move { log.append(numbered(3, 1)).await }
    });
    rig.engine.wait_until_blocked();
    let waiting = tokio::spawn({
        let log = log.clone();
        async move { log.append(numbered(4, 1)).await }
    });
    while registry.queued().0 < 1 {
        tokio::task::yield_now().await;
    }
    let first = tokio::spawn({
        let registry = registry.clone();
        async move { registry.shutdown().await }
    });
    while !registry.inner.stopping.load(Ordering::SeqCst) {
        tokio::task::yield_now().await;
    }
    registry.shutdown().await;
    assert!(matches!(waiting.await.unwrap(), Err(AppendError::ShuttingDown)));
    rig.engine.release_sync();
    in_flight.await.unwrap().unwrap();
    first.await.unwrap();
    drop(log);
    rig.kill(registry).await;
    let registry = rig.open().unwrap();
    assert_eq!(registry.log("default").unwrap().tree().head.size, size(4));
    registry.shutdown().await;
}

/// Panics where the first entry is published, and never again.
struct FailsToPublishOnce(AtomicUsize);

impl Observer for FailsToPublishOnce {
    fn published(&self, _: &LogName) {
        assert_ne!(self.0.fetch_add(1, Ordering::SeqCst), 1, "on purpose");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_publisher_that_panics_is_started_again() {
    let observer = Arc::new(FailsToPublishOnce(AtomicUsize::new(0)));
    let rig = Rig { observer, ..Rig::new() };
    let (registry, log) = rig.start().await;
    // The first head is published when the log is made; the second panics behind its publication.
    log.append(numbered(0, 1)).await.unwrap();
    published_at(&log, 1).await;
    log.append(numbered(1, 1)).await.unwrap();
    published_at(&log, 2).await;
    assert!(rig.fatals.lock().unwrap().is_empty());
    assert!(registry.can_commit() && registry.can_sign());
}
