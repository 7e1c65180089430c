//! Quorums at and around their thresholds, and what happens without one.

use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use prost::Message as _;

use super::*;

/// Two of three of one kind, and one of two of another: both are needed.
fn nested(witnesses: &[Witness]) -> String {
    let lines: String = witnesses.iter().map(Witness::policy_lines).collect();
    format!("{lines}group x 2 w1 w2 w3\ngroup y any w4 w5\ngroup q all x y\nquorum q\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn nested_groups_are_satisfied_at_their_thresholds_and_not_below() {
    let [w1, w2, w3] = three().await;
    let (w4, w5) = (Witness::start("w4").await, Witness::start("w5").await);
    let witnesses = [w1, w2, w3, w4, w5];
    let policy = nested(&witnesses);
    let site = Site::new(&policy);
    let mut running = site.start().await;
    let trust = running.trust(&policy).await;
    for (up, holds) in [
        (&[0, 1, 2, 3, 4][..], true),
        (&[0, 1, 3], true),
        (&[1, 2, 4], true),
        (&[0, 3, 4], false),
        (&[0, 1, 2], false),
        (&[0, 2, 3], true),
        (&[], false),
    ] {
        for (position, witness) in witnesses.iter().enumerate() {
            let mode = if up.contains(&position) { Mode::Honest } else { Mode::ServerError };
            witness.set(mode);
        }
        let data = format!("{up:?}");
        if holds {
            verify(&running.witnessed(&data).await, &data, &trust);
        } else {
            assert_eq!(running.reached(&data).await, pb::Receipt::Signed, "{up:?}");
            let published = running.checkpoint().await;
            let published = SignedCheckpoint::parse(&published.checkpoint).unwrap();
            assert!(trust.verify(&published).is_ok(), "{up:?}: published without a quorum");
            assert!(published.size().get() < running.log().await.tree_size, "{up:?}");
        }
    }
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_operator_s_two_keys_count_once() {
    let [w1, w2, w3] = three().await;
    let witnesses = [w1, w2, w3];
    let site = Site::new(&policy(&witnesses, 2));
    let mut running = site.start().await;
    witnesses[1].set(Mode::NotFound);
    witnesses[2].set(Mode::NotFound);
    assert_eq!(running.reached("a").await, pb::Receipt::Signed);
    // Asked once for both of its keys.
    let asked = witnesses[0].with(|state| state.submissions);
    assert!((1..=2).contains(&asked), "{asked} submissions for one head");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_quorum_nothing_else_waits_and_health_says_so() {
    let witness = [Witness::start("w1").await];
    let site = Site::new(&policy(&witness, 1))
        .set("quorum_timeout_ms", "100")
        .set("witness_timeout_ms", "3600000");
    let mut running = site.start().await;
    running.serving(true).await;
    witness[0].set(Mode::Silent);
    for number in 0..20 {
        let index = running.append(&format!("i{number}"), pb::Receipt::Index, LONG).await.unwrap();
        assert_eq!(index.receipt_reached(), pb::Receipt::Index);
        let signed =
            running.append(&format!("s{number}"), pb::Receipt::Signed, LONG).await.unwrap();
        assert_eq!(signed.receipt_reached(), pb::Receipt::Signed);
    }
    running.serving(false).await;
    assert_eq!(running.metric(r#"cairn_log_quorum_lost{log="default"}"#), 1);
    assert_eq!(running.checkpoint().await.witnessed, Some(false));
    // The request hangs for an hour, and the server still stops.
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn publishing_without_witnesses_is_a_choice_and_shows() {
    let witness = [Witness::start("w1").await];
    let policy = policy(&witness, 1);
    let site = Site::with_loss(&policy, "publish_unwitnessed").set("quorum_timeout_ms", "100");
    let mut running = site.start().await;
    let trust = running.trust(&policy).await;
    running.witnessed("before").await;
    witness[0].set(Mode::ServerError);
    // Long before the wait is over: nobody is there to wait for.
    let answer = running.append("a", pb::Receipt::Witnessed, LONG).await.unwrap();
    assert_eq!(answer.receipt_reached(), pb::Receipt::Signed);
    let proof = TlogProof::parse(&answer.tlog_proof).unwrap();
    assert!(proof.verify_entry(b"a", &trust).is_err(), "it does not satisfy the policy");
    let log = running.server.registry().log("default").unwrap();
    let mut published = log.watch_published();
    let unwitnessed = published.wait_for(|published| published.head.size.get() == 2).await.unwrap();
    assert!(!unwitnessed.witnessed);
    drop(unwitnessed);
    assert_eq!(running.checkpoint().await.witnessed, Some(false));
    assert!(running.metric(r#"cairn_log_published_unwitnessed_total{log="default"}"#) >= 1);
    running.serving(false).await;

    witness[0].set(Mode::Honest);
    let mut published = log.watch_published();
    drop(published.wait_for(|published| published.witnessed).await.unwrap());
    verify(&running.witnessed("after").await, "after", &trust);
    running.serving(true).await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_is_frozen_with_its_witnesses_and_without_them() {
    for mode in [Mode::Honest, Mode::ServerError] {
        let witness = [Witness::start("w1").await];
        let site = Site::new(&policy(&witness, 1)).set("quorum_timeout_ms", "200");
        let mut running = site.start().await;
        witness[0].set(mode);
        running.append("a", pb::Receipt::Index, LONG).await.unwrap();
        let request = pb::FreezeLogRequest { log: "default".to_owned() };
        let frozen = running.client.freeze_log(request).await.unwrap().into_inner();
        assert_eq!(frozen.log.unwrap().state(), pb::LogState::Frozen);
        assert_eq!(running.checkpoint().await.witnessed, Some(mode == Mode::Honest));
        witness[0].set(Mode::Honest);
        let log = running.server.registry().log("default").unwrap();
        let mut published = log.watch_published();
        let last = published.wait_for(|published| published.witnessed).await.unwrap();
        assert_eq!(last.head.size.get(), 1);
        drop(last);
        running.stop().await;
    }
}

/// Of the deadline only the server knows: no timer of a client's is in the way.
#[tokio::test(flavor = "multi_thread")]
async fn before_the_deadline_an_append_is_answered_with_what_was_reached() {
    let witness = [Witness::start("w1").await];
    let site = Site::new(&policy(&witness, 1)).set("witness_timeout_ms", "3600000");
    let running = site.start().await;
    witness[0].set(Mode::Silent);
    let url = format!("http://{}/cairn.log.v1.LogService/Append", running.server.address());
    let message = pb::AppendRequest {
        log: "default".to_owned(),
        entry: Some(entry("a")),
        receipt: pb::Receipt::Witnessed.into(),
        receipt_wait: Some(wait(LONG)),
    };
    let message = message.encode_to_vec();
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    let body = [&[0][..], &length, &message].concat();
    let request = http::Request::post(url)
        .header("content-type", "application/grpc")
        .header("grpc-timeout", "3S")
        .body(Full::new(Bytes::from(body)));
    let client = Client::builder(TokioExecutor::new()).http2_only(true).build_http();
    let answer = client.request(request.unwrap()).await.unwrap();
    assert!(!answer.headers().contains_key("grpc-status"), "{:?}", answer.headers());
    let body = answer.into_body().collect().await.unwrap();
    assert_eq!(body.trailers().unwrap()["grpc-status"], "0");
    let answer = pb::AppendResponse::decode(&body.to_bytes()[5..]).unwrap();
    assert_eq!((answer.leaf_index, answer.tree_size), (0, 1));
    // The level below, with its receipt.
    assert_eq!(answer.receipt_reached(), pb::Receipt::Signed);
    assert!(TlogProof::parse(&answer.tlog_proof).is_ok());
    running.stop().await;
}
