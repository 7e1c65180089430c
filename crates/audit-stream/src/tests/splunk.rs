//! The HTTP Event Collector: each published answer, and what is done about it.

use std::time::Duration;

use serde_json::{Value, json};

use super::receiver::{Answer, Receiver, Sent};
use super::rig::{Rig, splunk};
use crate::Ack;

const REPLIES: &str = include_str!("../../tests/fixtures/hec-replies.json");
const LONG: Duration = Duration::from_mins(10);

fn row(name: &str) -> Value {
    let all: Value = serde_json::from_str(REPLIES).unwrap();
    let rows = all["replies"].as_array().unwrap();
    rows.iter().find(|row| row["name"] == name).unwrap().clone()
}

fn indexes(sent: &Sent) -> Vec<u64> {
    let index = |line: &Value| line["fields"]["leaf_index"].as_u64();
    sent.lines().iter().filter_map(index).collect()
}

fn success(_: &Sent) -> Answer {
    Answer::new(200, r#"{"text":"Success","code":0}"#)
}

async fn after(name: &str) -> (Rig, Receiver) {
    let receiver = Receiver::new(vec![Answer::of_row(&row(name))], success).await;
    let rig = Rig::one(splunk(Ack::Auto, LONG), &receiver.url, 25, 20).await;
    (rig, receiver)
}

fn events(receiver: &Receiver) -> Vec<Vec<u64>> {
    let sent = receiver.sent();
    sent.iter().filter(|it| it.path == "/services/collector/event").map(indexes).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn without_acknowledgements_it_says_so() {
    let (rig, receiver) = after("accepted, no acknowledgement configured").await;
    let lane = rig.until_idle().await;
    assert_eq!((rig.cursor(), &lane["says"]), (25, &json!("accepted, not confirmed")));
    assert_eq!(events(&receiver), [[20, 21, 22, 23, 24]]);
    let first = &receiver.sent()[0];
    assert_eq!(first.header("authorization"), Some("Splunk s3cret"));
    assert_eq!(first.header("x-splunk-request-channel").unwrap().len(), 36);
    let envelope = &first.lines()[0];
    assert!(first.body.starts_with(r#"{"time":1772615411.500000,"#), "{}", first.body);
    assert_eq!(
        (&envelope["sourcetype"], &envelope["source"]),
        (&json!("audit:json"), &json!("/gate"))
    );
    assert_eq!(envelope["fields"]["log_origin"], "cairn.example");
    assert_eq!(
        (&envelope["event"]["id"], &envelope["event"]["cairn"]["leaf_index"]),
        (&json!("e-20"), &json!(20))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cursor_waits_for_the_acknowledgement() {
    let row = row("accepted, acknowledgement configured");
    let mut answers = vec![Answer::of_row(&row)];
    answers.extend(
        row["then"].as_array().unwrap().iter().map(|ack| Answer::new(200, ack.to_string())),
    );
    let receiver = Receiver::new(answers, |_| Answer::Never).await;
    let rig = Rig::one(splunk(Ack::Required, LONG), &receiver.url, 25, 20).await;
    let lane = rig.until_idle().await;
    let sent = receiver.sent();
    assert_eq!((sent.len(), rig.cursor(), &lane["confirmed"]), (4, 25, &json!(true)));
    let channel = sent[0].header("x-splunk-request-channel").unwrap();
    for ask in &sent[1..] {
        assert_eq!(ask.path, format!("/services/collector/ack?channel={channel}"));
        assert_eq!(ask.json(), json!({"acks": [7]}));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_never_acknowledged_is_sent_again() {
    let row = row("never acknowledged");
    let first = Answer::of_row(&row);
    let again = row["then"][0].to_string();
    let receiver = Receiver::new(vec![first.clone()], move |sent| {
        if sent.path.contains("/ack") { Answer::new(200, again.clone()) } else { first.clone() }
    })
    .await;
    let rig = Rig::one(splunk(Ack::Auto, Duration::from_millis(20)), &receiver.url, 25, 20).await;
    let lane = rig.until(|lane| lane["failed_calls"].as_u64() >= Some(2)).await;
    assert!(
        lane["says"].is_null() || lane["says"] == "the destination does not acknowledge in time"
    );
    assert!(events(&receiver).len() >= 2);
    assert!(events(&receiver).iter().all(|sent| *sent == [20, 21, 22, 23, 24]));
    assert_eq!((rig.cursor(), rig.dead().len()), (20, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn acknowledgements_that_are_required_and_missing_stop() {
    let receiver = Receiver::new(vec![], success).await;
    let rig = Rig::one(splunk(Ack::Required, LONG), &receiver.url, 25, 20).await;
    let lane = rig.until(|lane| lane["state"] == "stopped").await;
    assert!(lane["says"].as_str().unwrap().contains("no acknowledgements"));
    assert_eq!(rig.cursor(), 20);
    let rig = Rig::one(splunk(Ack::Off, LONG), &receiver.url, 25, 20).await;
    rig.until_idle().await;
    assert!(receiver.sent().last().unwrap().header("x-splunk-request-channel").is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_event_that_is_named_is_a_dead_letter() {
    let (rig, receiver) = after("one bad event named").await;
    rig.until_idle().await;
    assert_eq!(rig.dead(), [(22, "400 code_6".to_owned())]);
    assert_eq!(events(&receiver), [vec![20, 21, 22, 23, 24], vec![20, 21, 23, 24]]);
    assert_eq!(rig.cursor(), 25);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_event_that_is_not_named_is_found() {
    let bad = Answer::of_row(&row("bad data, no number"));
    let receiver = Receiver::new(vec![], move |sent| {
        if indexes(sent).contains(&22) { bad.clone() } else { success(sent) }
    })
    .await;
    let rig = Rig::one(splunk(Ack::Auto, LONG), &receiver.url, 25, 20).await;
    rig.until_idle().await;
    assert_eq!((rig.dead(), rig.cursor()), (vec![(22, "400 code_6".to_owned())], 25));
    let delivered: Vec<u64> =
        { events(&receiver) }.into_iter().filter(|it| !it.contains(&22)).flatten().collect();
    assert_eq!(delivered, [20, 21, 23, 24]);
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_of_the_set_up_stop() {
    for name in ["wrong index", "channel missing", "bad token"] {
        let (rig, receiver) = after(name).await;
        rig.until(|lane| lane["state"] == "stopped").await;
        assert_eq!((rig.cursor(), rig.dead().len(), receiver.sent().len()), (20, 0, 1), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_busy_or_strange_is_sent_again() {
    for name in ["busy", "page of a proxy"] {
        let (rig, receiver) = after(name).await;
        rig.until_idle().await;
        assert_eq!(events(&receiver), vec![vec![20, 21, 22, 23, 24]; 2], "{name}");
        assert_eq!((rig.cursor(), rig.dead().len()), (25, 0), "{name}");
    }
}
