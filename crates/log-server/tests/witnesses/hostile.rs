//! Witnesses that lie, fail and stall: none makes the log trust, loop or wait.

use super::*;

const HOSTILE: [(Mode, &str); 16] = [
    (Mode::BadCosignature, "bad_answer"),
    (Mode::WrongName, "bad_answer"),
    (Mode::Timeless, "bad_answer"),
    (Mode::Huge, "ahead"),
    (Mode::ConflictLoop, ""),
    (Mode::ConflictEcho, "contradiction"),
    (Mode::ConflictSizeless, "sizeless_conflict"),
    (Mode::Unprocessable, "proof_refused"),
    (Mode::Busy, "busy"),
    (Mode::ServerError, "refused"),
    (Mode::NotFound, "unknown_log"),
    (Mode::Forbidden, "unknown_log"),
    (Mode::TooLong, "unreachable"),
    (Mode::Empty, "bad_answer"),
    (Mode::Garbage, "bad_answer"),
    (Mode::ClosesMidBody, "unreachable"),
];

#[tokio::test(flavor = "multi_thread")]
async fn a_hostile_witness_changes_nothing_for_the_others() {
    let witnesses = three().await;
    let policy = policy(&witnesses, 2);
    let site = Site::new(&policy).set("witness_timeout_ms", "200");
    let mut running = site.start().await;
    let trust = running.trust(&policy).await;
    let silent = [(Mode::Silent, "unreachable"), (Mode::Down, "unreachable")];
    for (mode, _) in HOSTILE.into_iter().chain(silent) {
        witnesses[2].set(mode);
        let data = format!("{mode:?}");
        let receipt = running.witnessed(&data).await;
        verify(&receipt, &data, &trust);
        assert!(!String::from_utf8_lossy(&receipt).contains("w3.example"), "{mode:?}");
        running.append(&data, pb::Receipt::Signed, LONG).await.unwrap();
    }
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hostile_witness_never_counts_is_reported_and_may_come_back() {
    for (mode, trouble) in HOSTILE {
        let witness = [Witness::start("w1").await];
        let policy = policy(&witness, 1);
        let site = Site::new(&policy).set("witness_pause_max_ms", "100");
        let mut running = site.start().await;
        let trust = running.trust(&policy).await;
        for number in 0..3 {
            running.witnessed(&format!("{number}")).await;
        }
        let before = witness[0].with(|state| {
            state.mode = mode;
            state.submissions
        });
        assert_eq!(running.reached("a").await, pb::Receipt::Signed, "{mode:?}");
        // Pauses are between 50 and 100 ms, with at most four requests after each.
        let asked = witness[0].with(|state| state.submissions) - before;
        assert!(asked <= 60, "{mode:?}: {asked} submissions in 300 ms");
        if !trouble.is_empty() {
            let labels = format!(r#"log="default",witness="w1-ed",result="{trouble}""#);
            let metric = format!("cairn_witness_submissions_total{{{labels}}}");
            assert!(running.metric(&metric) >= 1, "{mode:?}");
        }
        witness[0].set(Mode::Honest);
        let data = format!("after {mode:?}");
        verify(&running.witnessed(&data).await, &data, &trust);
        running.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_witness_that_lost_data_is_reported_and_served_again() {
    let witness = [Witness::start("w1").await];
    let policy = policy(&witness, 1);
    let site = Site::new(&policy);
    let mut running = site.start().await;
    for number in 0..3 {
        running.witnessed(&format!("{number}")).await;
    }
    witness[0].with(|state| state.size = merkle::TreeSize::ZERO);
    let trust = running.trust(&policy).await;
    verify(&running.witnessed("after").await, "after", &trust);
    let shrunk =
        r#"cairn_witness_submissions_total{log="default",witness="w1-ed",result="shrunk"}"#;
    assert_eq!(running.metric(shrunk), 1);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_witness_that_is_always_ahead_ends_no_round_of_the_others() {
    let witnesses = three().await;
    let policy = policy(&witnesses, 2);
    let site = Site::new(&policy);
    let mut running = site.start().await;
    let trust = running.trust(&policy).await;
    witnesses[0].set(Mode::AlwaysAhead);
    let mut busy = running.client.clone();
    let appends = tokio::spawn(async move {
        for number in 0.. {
            let request = pb::AppendRequest {
                log: "default".to_owned(),
                entry: Some(entry(&format!("busy {number}"))),
                receipt: pb::Receipt::Index.into(),
                receipt_wait: None,
            };
            busy.append(request).await.unwrap();
        }
    });
    let before = witnesses[0].with(|state| state.submissions);
    for number in 0..20 {
        let data = format!("{number}");
        verify(&running.witnessed(&data).await, &data, &trust);
    }
    // With it alone there is no quorum, and no end of heads to ask about; it is still asked with pauses.
    let after = witnesses[0].with(|state| state.submissions);
    witnesses[1].set(Mode::NotFound);
    assert_eq!(running.reached("a").await, pb::Receipt::Signed);
    let asked = witnesses[0].with(|state| state.submissions) - after;
    assert!(asked <= 100, "{asked} submissions in 300 ms, {} before", after - before);
    witnesses[1].set(Mode::Honest);
    verify(&running.witnessed("b").await, "b", &trust);
    appends.abort();
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_round_whose_witness_is_beyond_it_ends_where_another_is_away() {
    let witnesses = three().await;
    let policy = policy(&witnesses, 2);
    let site = Site::new(&policy);
    let mut running = site.start().await;
    let trust = running.trust(&policy).await;
    verify(&running.witnessed("first").await, "first", &trust);
    witnesses[2].set(Mode::Down);
    let mut busy = running.client.clone();
    let appends = tokio::spawn(async move {
        for number in 0.. {
            let request = pb::AppendRequest {
                log: "default".to_owned(),
                entry: Some(entry(&format!("busy {number}"))),
                receipt: pb::Receipt::Index.into(),
                receipt_wait: None,
            };
            busy.append(request).await.unwrap();
        }
    });
    for number in 0..10 {
        witnesses[1].set(Mode::AheadOnce);
        let data = format!("{number}");
        verify(&running.witnessed(&data).await, &data, &trust);
    }
    appends.abort();
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_witness_is_given_the_grace_and_no_more() {
    let witnesses = three().await;
    let policy = policy(&witnesses, 2);
    let site = Site::new(&policy).set("witness_grace_ms", "1").set("witness_timeout_ms", "3600000");
    let mut running = site.start().await;
    let trust = running.trust(&policy).await;
    witnesses[0].set(Mode::Silent);
    for number in 0..10 {
        let data = format!("{number}");
        verify(&running.witnessed(&data).await, &data, &trust);
    }
    running.stop().await;
}
