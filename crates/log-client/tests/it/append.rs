//! The appender: order, retries with the same keys, refusals, back-pressure, the spool.

use std::time::Duration;

use log_client::{
    Advice, Appender, AppenderOptions, Client, ClientOptions, NewEntry, ReceiptLevel, RetryPolicy,
    appender::{AppendError, Delivery, Pending, Summary},
    spool::{Spool, SpoolOptions},
};

use crate::fake::{Fake, Fault, numbered, trust};

fn options() -> AppenderOptions {
    let pause = Duration::from_millis(1);
    let retry = RetryPolicy { pause_min: pause, pause_max: pause, attempts_max: Some(5) };
    AppenderOptions { retry, batch_entries_max: 4, ..AppenderOptions::default() }
}

async fn hand_over(appender: &Appender, entries: std::ops::Range<u64>) -> Vec<Pending> {
    let mut pending = Vec::new();
    for data in numbered(entries) {
        pending.push(appender.append(NewEntry::new(data)).await.unwrap());
    }
    pending
}

async fn indexes(pending: Vec<Pending>) -> Vec<u64> {
    let mut indexes = Vec::new();
    for pending in pending {
        indexes.push(pending.await.unwrap().appended().unwrap().index.get());
    }
    indexes
}

#[tokio::test]
async fn entries_keep_their_order_over_batches() {
    let (fake, client) = Fake::start(Vec::new()).await;
    let appender = Appender::start(client, "default", options()).unwrap();
    let pending = hand_over(&appender, 0..30).await;
    assert_eq!(indexes(pending).await, (0..30).collect::<Vec<_>>());
    let summary = appender.close().await;
    assert_eq!(summary, Summary { appended: 30, ..Summary::default() });
    assert_eq!(fake.state().entries, numbered(0..30));
}

#[tokio::test]
async fn a_batch_of_unknown_outcome_is_sent_again_with_the_same_keys_and_written_once() {
    for fault in [Fault::UnknownWritten, Fault::UnknownNotWritten] {
        let (fake, client) = Fake::start(Vec::new()).await;
        fake.state().faults.extend([fault, Fault::UnknownNotWritten]);
        let appender = Appender::start(client, "default", options()).unwrap();
        let pending = hand_over(&appender, 0..3).await;
        assert_eq!(indexes(pending).await, [0, 1, 2]);
        let summary = appender.close().await;
        let state = fake.state();
        assert_eq!(state.entries, numbered(0..3));
        assert_eq!((summary.appended, summary.retries), (3, 2));
        assert_eq!(summary.duplicates > 0, matches!(fault, Fault::UnknownWritten));
        assert_eq!(state.calls[0], state.calls[1], "the same bytes with the same keys");
        assert_eq!(state.calls[1], state.calls[2]);
        let key = &state.calls[0][0].1;
        assert_eq!((key.len(), &key[16..]), (24, &[0; 8][..]));
    }
}

#[tokio::test]
async fn a_full_queue_is_waited_for() {
    let (fake, client) = Fake::start(Vec::new()).await;
    fake.state().faults.push_back(Fault::Busy(Duration::from_millis(2)));
    let appender = Appender::start(client, "default", options()).unwrap();
    let pending = hand_over(&appender, 0..1).await;
    assert_eq!(indexes(pending).await, [0]);
    assert_eq!(appender.close().await.retries, 1);
}

#[tokio::test]
async fn a_frozen_log_is_not_asked_again() {
    let (fake, client) = Fake::start(Vec::new()).await;
    fake.state().faults.push_back(Fault::Frozen);
    let appender = Appender::start(client, "default", options()).unwrap();
    let pending = appender.append(NewEntry::new("late")).await.unwrap();
    let Err(AppendError::Call { attempts: 1, source }) = pending.await else {
        panic!("a frozen log takes nothing");
    };
    assert_eq!(source.advice(), Advice::FixRequest);
    assert_eq!(source.hint(), "the log is final: append to another one");
    assert_eq!(appender.close().await, Summary { failed: 1, ..Summary::default() });
    assert_eq!(fake.state().calls.len(), 1);
}

#[tokio::test]
async fn attempts_end_where_the_policy_says() {
    let (fake, client) = Fake::start(Vec::new()).await;
    fake.state().faults.extend([Fault::UnknownNotWritten; 5]);
    let appender = Appender::start(client, "default", options()).unwrap();
    let pending = appender.append(NewEntry::new("never")).await.unwrap();
    assert!(matches!(pending.await, Err(AppendError::Call { attempts: 5, .. })));
    // The sixth would have worked: the next entry does.
    let pending = hand_over(&appender, 0..1).await;
    assert_eq!(indexes(pending).await, [0]);
}

#[tokio::test]
async fn what_one_attempt_may_have_written_no_later_refusal_takes_back() {
    let (fake, client) = Fake::start(Vec::new()).await;
    fake.state().faults.extend([Fault::UnknownWritten, Fault::Frozen]);
    let appender = Appender::start(client.clone(), "default", options()).unwrap();
    let pending = appender.append(NewEntry::new("late")).await.unwrap();
    let error = pending.await.unwrap_err();
    assert!(error.outcome_is_unknown(), "{error:?}");
    let AppendError::Call { source, .. } = error else { panic!("refused") };
    assert!(source.to_string().contains("LOG_FROZEN"), "{source}");
    assert_eq!(fake.state().entries.len(), 1);
    // The refusal alone is certain.
    fake.state().faults.push_back(Fault::Frozen);
    let pending = appender.append(NewEntry::new("later")).await.unwrap();
    assert!(!pending.await.unwrap_err().outcome_is_unknown());
}

#[tokio::test]
async fn an_appender_that_is_stopped_knows_whether_it_wrote() {
    let nowhere = Client::connect("http://127.0.0.1:9", &ClientOptions::default()).unwrap();
    let (fake, client) = Fake::start(Vec::new()).await;
    fake.state().faults.extend([Fault::UnknownNotWritten; 3]);
    for (client, unknown) in [(nowhere, false), (client, true)] {
        let appender = Appender::start(client, "default", options()).unwrap();
        let pending = appender.append(NewEntry::new("one")).await.unwrap();
        appender.stopper().cancel();
        let error = pending.await.unwrap_err();
        assert_eq!(error.outcome_is_unknown(), unknown, "{error}");
        assert!(matches!(error, AppendError::Stopped | AppendError::NotWritten), "{error:?}");
    }
}

#[tokio::test]
async fn an_answer_with_a_result_too_few_is_refused() {
    let (fake, client) = Fake::start(Vec::new()).await;
    fake.state().faults.push_back(Fault::ShortAnswer);
    let appender = Appender::start(client, "default", options()).unwrap();
    let pending = appender.append(NewEntry::new("one")).await.unwrap();
    let Err(AppendError::Call { source, .. }) = pending.await else { panic!("one result missing") };
    assert_eq!(source.advice(), Advice::Operator);
}

#[tokio::test]
async fn entries_beyond_the_limit_are_refused_before_they_are_sent() {
    let (fake, client) = Fake::start(Vec::new()).await;
    let appender = Appender::start(client, "default", options()).unwrap();
    for (len, fits) in [(0, false), (1, true), (65_535, true), (65_536, false)] {
        let taken = appender.append(NewEntry::new(vec![b'x'; len])).await;
        assert_eq!(taken.is_ok(), fits, "{len} bytes");
        if let Ok(pending) = taken {
            pending.await.unwrap();
        }
    }
    assert_eq!(fake.state().entries.len(), 2);
}

#[tokio::test]
async fn batch_receipts_verify_and_expand_and_forged_ones_do_not() {
    let (_fake, client) = Fake::start(numbered(0..5)).await;
    let wanted = ReceiptLevel::Signed.into();
    let options = AppenderOptions { wanted, ..options() };
    let appender = Appender::start(client, "default", options).unwrap();
    for pending in hand_over(&appender, 100..106).await {
        let delivered = pending.await.unwrap().appended().unwrap();
        let receipt = delivered.receipt.unwrap();
        receipt.verify(&trust()).unwrap();
        let proofs = receipt.expand(&trust()).unwrap();
        let (_, proof) = proofs.iter().find(|(index, _)| *index == delivered.index).unwrap();
        let verify = |leaf| log_client::verify::receipt_at(proof, leaf, delivered.index, &trust());
        verify(&delivered.leaf_hash).unwrap();
        verify(&merkle::leaf_hash(b"another entry")).unwrap_err();
    }
}

#[tokio::test]
async fn while_the_server_is_away_entries_go_to_disk_and_are_sent_by_the_next_appender() {
    let folder = tempfile::tempdir().unwrap();
    let spool = Some(SpoolOptions::new(folder.path()));
    let options = AppenderOptions { spool, spool_after: 2, ..options() };
    // Nobody listens on port 9 of this address.
    let nowhere = Client::connect("http://127.0.0.1:9", &ClientOptions::default()).unwrap();
    let appender = Appender::start(nowhere, "default", options.clone()).unwrap();
    for pending in hand_over(&appender, 0..10).await {
        assert!(matches!(pending.await.unwrap(), Delivery::Spooled));
    }
    appender.stopper().cancel();
    let summary = appender.close().await;
    assert_eq!((summary.spooled, summary.appended), (10, 0));

    let (fake, client) = Fake::start(Vec::new()).await;
    // The first batch of the spool is written, and its answer lost: its keys keep it from being twice.
    fake.state().faults.push_back(Fault::UnknownWritten);
    let appender = Appender::start(client, "default", options).unwrap();
    let pending = hand_over(&appender, 10..12).await;
    let late = pending.into_iter().next_back().unwrap().await.unwrap();
    drop(late);
    let summary = appender.close().await;
    assert!(summary.duplicates > 0, "{summary:?}");
    assert_eq!(fake.state().entries, numbered(0..12));
}

#[tokio::test]
async fn an_appender_ends_though_its_spool_is_full_or_cannot_be_read() {
    let folder = tempfile::tempdir().unwrap();
    // Room for this entry, and not for a batch more.
    let spool = SpoolOptions { bytes_max: 3_000, ..SpoolOptions::new(folder.path()) };
    Spool::open(spool.clone()).unwrap().push(&[NewEntry::new(vec![1; 2_900])]).unwrap();
    let options = AppenderOptions { spool: Some(spool), spool_after: 2, ..options() };
    let nowhere = Client::connect("http://127.0.0.1:9", &ClientOptions::default()).unwrap();
    let appender = Appender::start(nowhere, "default", options.clone()).unwrap();
    assert_eq!(appender.close().await.appended, 0);

    let (fake, client) = Fake::start(Vec::new()).await;
    let appender = Appender::start(client, "default", options).unwrap();
    // Its task has not run yet.
    for file in std::fs::read_dir(folder.path()).unwrap() {
        let path = file.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "seg") {
            std::fs::remove_file(path).unwrap();
        }
    }
    assert_eq!(appender.close().await.appended, 0);
    assert!(fake.state().entries.is_empty());
}
