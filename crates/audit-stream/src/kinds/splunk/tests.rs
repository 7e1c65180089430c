//! Every published answer of the HTTP Event Collector, and what it means.

use serde_json::Value;

use super::*;
use crate::reply::Trouble;

const REPLIES: &str = include_str!("../../../tests/fixtures/hec-replies.json");

fn row(name: &str) -> Value {
    let all: Value = serde_json::from_str(REPLIES).unwrap();
    let rows = all["replies"].as_array().unwrap();
    rows.iter().find(|row| row["name"] == name).unwrap().clone()
}

fn of(name: &str) -> Said {
    let row = row(name);
    let body = row["body"].as_str().map_or_else(|| row["body"].to_string(), str::to_owned);
    let status = u16::try_from(row["status"].as_u64().unwrap()).unwrap();
    reply(status, &HeaderMap::new(), body.as_bytes(), 5)
}

#[test]
fn accepted_is_not_stored() {
    let plain = "accepted, no acknowledgement configured";
    assert_eq!(of(plain), Said::Accepted { ack_id: None });
    let name = "accepted, acknowledgement configured";
    assert_eq!(of(name), Said::Accepted { ack_id: Some(7) });
    let then = row(name)["then"].as_array().unwrap().clone();
    let acks = then.iter().map(|ack| acknowledged(200, ack.to_string().as_bytes(), 7));
    assert_eq!(acks.collect::<Vec<_>>(), [Ok(false), Ok(false), Ok(true)]);
    assert_eq!(acknowledged(200, br#"{"acks":{"8":true}}"#, 7), Ok(false));
    assert_eq!(acknowledged(200, b"<html>", 7), Ok(false));
    assert_eq!(acknowledged(503, b"", 7), Ok(false));
    let off = acknowledged(400, br#"{"text":"ACK is disabled","code":14}"#, 7);
    assert_eq!(off, Err(SetUp::Collector { code: 14 }));
    assert_eq!(acknowledged(403, b"", 7), Err(SetUp::Status { status: 403 }));
}

#[test]
fn a_bad_event_is_found() {
    let dead = Fate::Dead(Reason::new(400, "code_6"));
    let fates = vec![Fate::Again, Fate::Again, dead, Fate::Again, Fate::Again];
    let named = Said::Other(Reply::Fates { fates, pauses: false });
    assert_eq!(of("one bad event named"), named);
    assert!(matches!(of("bad data, no number"), Said::Other(Reply::Halve(_))));
    let beyond = reply(400, &HeaderMap::new(), br#"{"code":6,"invalid-event-number":5}"#, 5);
    assert!(matches!(beyond, Said::Other(Reply::Halve(_))));
}

#[test]
fn faults_of_the_set_up_stop() {
    let stop = |set_up| Said::Other(Reply::Stop(set_up));
    assert_eq!(of("wrong index"), stop(SetUp::Collector { code: 7 }));
    assert_eq!(of("channel missing"), stop(SetUp::Collector { code: 10 }));
    assert_eq!(of("bad token"), stop(SetUp::Status { status: 403 }));
}

#[test]
fn what_is_busy_or_strange_is_tried_again() {
    let later = |why| Said::Other(Reply::Later { why, after: None });
    assert_eq!(of("busy"), later(Trouble::Status { status: 503 }));
    assert_eq!(of("page of a proxy"), later(Trouble::Strange { status: 200 }));
}

#[test]
fn times_are_decimal_seconds() {
    let of = |text: &str| seconds(Instant::parse_utc(text).unwrap());
    assert_eq!(of("2026-03-04T09:10:11.5Z"), "1772615411.500000");
    assert_eq!(of("1969-12-31T23:59:59Z"), "0.000000");
}
