//! The Bulk API: each published answer, and what is done about it.

use std::time::Duration;

use serde_json::{Value, json};

use super::receiver::{Answer, Receiver, Sent};
use super::rig::{Rig, elastic};
use crate::routes::To;

const REPLIES: &str = include_str!("../../tests/fixtures/bulk-replies.json");

fn row(name: &str) -> Value {
    let all: Value = serde_json::from_str(REPLIES).unwrap();
    let rows = all["replies"].as_array().unwrap();
    rows.iter().find(|row| row["name"] == name).unwrap().clone()
}

/// The indexes of the documents of a request.
fn indexes(sent: &Sent) -> Vec<u64> {
    let lines = sent.lines();
    let ids = lines.iter().filter_map(|line| line["create"]["_id"].as_str());
    ids.map(|id| id.rsplit_once('-').unwrap().1.parse().unwrap()).collect()
}

/// Takes every document.
pub(crate) fn created(sent: &Sent) -> Answer {
    let items = indexes(sent).into_iter();
    let items =
        items.map(|at| json!({"create": {"_id": format!("cairn.example-{at}"), "status": 201}}));
    Answer::new(
        200,
        json!({"took": 1, "errors": false, "items": items.collect::<Vec<_>>()}).to_string(),
    )
}

/// Four records, to a receiver that gives this answer first.
async fn after(name: &str) -> (Rig, Receiver) {
    let receiver = Receiver::new(vec![Answer::of_row(&row(name))], created).await;
    let rig = Rig::one(elastic(), &receiver.url, 14, 10).await;
    (rig, receiver)
}

fn sent(receiver: &Receiver) -> Vec<Vec<u64>> {
    receiver.sent().iter().map(indexes).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn records_go_out_with_what_finds_them_again() {
    let receiver = Receiver::new(vec![], created).await;
    let rig = Rig::one(elastic(), &receiver.url, 2, 0).await;
    let lane = rig.until_idle().await;
    let first = &receiver.sent()[0];
    assert_eq!(first.path, "/cairn-audit/_bulk");
    assert_eq!(first.header("content-type"), Some("application/x-ndjson"));
    assert_eq!(first.header("authorization"), Some("ApiKey s3cret"));
    assert!(first.body.ends_with("}\n"));
    let lines = first.lines();
    assert_eq!(lines[0], json!({"create": {"_id": "cairn.example-0"}}));
    assert_eq!(lines[1]["@timestamp"], "2026-03-04T09:10:11.5Z");
    assert_eq!((&lines[1]["id"], &lines[1]["actor"]["id"]), (&json!("e-0"), &json!("u-0")));
    let proof = &lines[1]["cairn"];
    let known = (&proof["log"], &proof["origin"], &proof["leaf_index"], &proof["tree_size"]);
    assert_eq!(known, (&json!("audit"), &json!("cairn.example"), &json!(0), &json!(2)));
    assert_eq!(proof["leaf_hash"].as_str().unwrap().len(), 64);
    assert!(proof["received_at"].as_str().unwrap().ends_with('Z'));
    assert_eq!((&lane["next"], &lane["lag"], &lane["sent"]), (&json!(2), &json!(0), &json!(2)));
    assert_eq!((rig.cursor(), lane["confirmed"].as_bool()), (2, Some(true)));
    // What comes later goes out too.
    rig.record(2, "door.closed").await;
    rig.until(|lane| lane["next"] == 3).await;
    assert_eq!(sent(&receiver).concat(), [0, 1, 2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_record_has_a_fate_of_its_own() {
    let (rig, receiver) = after("mixed").await;
    let lane = rig.until_idle().await;
    assert_eq!(sent(&receiver), [vec![10, 11, 12, 13], vec![12]]);
    assert_eq!(rig.dead(), [(13, "400 document_parsing_exception".to_owned())]);
    assert_eq!((rig.cursor(), &lane["refused"], &lane["sent"]), (14, &json!(1), &json!(3)));
    assert_eq!(lane["dead_letters"][0]["index"], 13);
    assert_eq!(rig.said(), ["system.destination_refused"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_there_already_is_delivered() {
    let (rig, receiver) = after("all already there").await;
    rig.until_idle().await;
    assert_eq!((sent(&receiver).len(), rig.cursor()), (1, 14));
    assert!(rig.dead().is_empty() && rig.said().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_large_is_halved_until_it_fits_or_is_alone() {
    let answer = |sent: &Sent| match &indexes(sent)[..] {
        [_, _, ..] | [13] => Answer::new(413, ""),
        _ => created(sent),
    };
    let receiver = Receiver::new(vec![], answer).await;
    let rig = Rig::one(elastic(), &receiver.url, 14, 10).await;
    rig.until_idle().await;
    assert_eq!(rig.dead(), [(13, "413 too_large".to_owned())]);
    let expected = vec![
        vec![10, 11, 12, 13],
        vec![10, 11],
        vec![10],
        vec![11],
        vec![12, 13],
        vec![12],
        vec![13],
    ];
    assert_eq!((sent(&receiver), rig.cursor()), (expected, 14));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_success_is_sent_again_whole() {
    for name in ["page of a proxy", "fewer items than sent", "busy", "answer lost"] {
        let (rig, receiver) = after(name).await;
        let lane = rig.until_idle().await;
        assert_eq!(sent(&receiver), vec![vec![10, 11, 12, 13]; 2], "{name}");
        assert_eq!((rig.cursor(), &lane["failed_calls"]), (14, &json!(1)), "{name}");
        assert!(rig.dead().is_empty(), "{name}");
        if name == "busy" {
            let slept = rig.slept.lock().unwrap().clone();
            let two = Duration::from_secs(2);
            assert!(slept.iter().any(|it| *it >= two && *it < two * 2), "{slept:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_set_up_fault_stops_and_an_operator_lets_it_go_on() {
    for name in ["index missing", "no right to write"] {
        let (rig, receiver) = after(name).await;
        let lane = rig.until(|lane| lane["state"] == "stopped").await;
        assert!(lane["says"].as_str().unwrap().contains("the destination answers 40"), "{lane}");
        assert_eq!((rig.cursor(), rig.dead().len()), (10, 0), "{name}");
        assert_eq!(sent(&receiver).len(), 1);
        let (status, answer) = rig.ask(To::Retry, "/v1/destinations/siem/retry", "").await;
        assert_eq!((status, &answer["retried"]), (200, &json!(0)));
        rig.until_idle().await;
        assert_eq!((rig.cursor(), sent(&receiver).len()), (14, 2));
        assert_eq!(rig.said(), ["system.destination_stopped"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_kept_aside_is_not_delivered() {
    let (rig, receiver) = after("failure store used").await;
    rig.until_idle().await;
    assert_eq!(rig.dead(), [(11, "201 failure_store".to_owned())]);
    assert_eq!((rig.cursor(), sent(&receiver).len()), (14, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_are_retried_or_skipped() {
    let (rig, receiver) = after("mixed").await;
    rig.until_idle().await;
    let retry = "/v1/destinations/siem/retry";
    let (_, answer) = rig.ask(To::Retry, retry, r#"{"log":"audit","indexes":[12]}"#).await;
    assert_eq!(answer["retried"], 0);
    let (_, answer) = rig.ask(To::Retry, retry, r#"{"log":"audit","indexes":[13]}"#).await;
    assert_eq!(answer["retried"], 1);
    rig.until(|lane| lane["dead_letters_total"] == 0).await;
    assert_eq!(sent(&receiver).last(), Some(&vec![13]));
    assert_eq!((rig.cursor(), rig.dead().len()), (14, 0));

    let (rig, _receiver) = after("mixed").await;
    rig.until_idle().await;
    let skip = "/v1/destinations/siem/skip";
    let (_, answer) = rig.ask(To::Skip, skip, r#"{"indexes":[12]}"#).await;
    assert_eq!(answer["skipped"], 0);
    let (_, answer) = rig.ask(To::Skip, skip, "").await;
    assert_eq!((answer["skipped"].as_u64(), rig.dead().len()), (Some(1), 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn wishes_that_cannot_be_are_refused() {
    let receiver = Receiver::new(vec![], created).await;
    let rig = Rig::one(elastic(), &receiver.url, 1, 0).await;
    rig.until_idle().await;
    for (to, path, body, status) in [
        (To::Retry, "/v1/destinations/other/retry", "", 404),
        (To::Retry, "/v1/destinations/siem/retry", r#"{"log":"system"}"#, 404),
        (To::Retry, "/v1/destinations/siem/retry", r#"{"from":0}"#, 400),
        (To::Skip, "/v1/destinations/siem/skip", r#"{"log":"audit","from":0}"#, 400),
        (To::Skip, "/v1/destinations/siem/skip", r#"{"colour":"red"}"#, 400),
        (To::Skip, "/v1/destinations/siem/skip", "[", 400),
        (To::List, "/v1/destinations?a=b", "", 400),
    ] {
        assert_eq!(rig.ask(to, path, body).await.0, status, "{path} {body}");
    }
    // From an index on everything is sent again.
    let wish = r#"{"log":"audit","from":0}"#;
    assert_eq!(rig.ask(To::Retry, "/v1/destinations/siem/retry", wish).await.0, 200);
    rig.until(|lane| lane["sent"] == 2).await;
    assert_eq!(sent(&receiver), [[0], [0]]);
}
