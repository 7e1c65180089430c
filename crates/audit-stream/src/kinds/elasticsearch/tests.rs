//! Every published answer of the Bulk API, and what it means.

use serde_json::Value;

use super::*;
use crate::reply::Trouble;

const REPLIES: &str = include_str!("../../../tests/fixtures/bulk-replies.json");

fn records() -> Vec<Record> {
    let record =
        |index| Record { index, id: format!("cairn.example-{index}"), body: String::new() };
    (10..14).map(record).collect()
}

fn of(name: &str) -> Reply {
    let all: Value = serde_json::from_str(REPLIES).unwrap();
    let row = all["replies"].as_array().unwrap().iter().find(|row| row["name"] == name).unwrap();
    let body = row["body"].as_str().map_or_else(|| row["body"].to_string(), str::to_owned);
    let mut headers = HeaderMap::new();
    if let Some(after) = row["headers"]["Retry-After"].as_str() {
        headers.insert("retry-after", after.parse().unwrap());
    }
    let status = u16::try_from(row["status"].as_u64().unwrap()).unwrap();
    reply(status, &headers, body.as_bytes(), &records())
}

fn dead(status: u16, word: &str) -> Fate {
    Fate::Dead(Reason::new(status, word))
}

#[test]
fn each_item_has_a_fate_of_its_own() {
    let parsing = dead(400, "document_parsing_exception");
    let fates = vec![Fate::Taken, Fate::Taken, Fate::Again, parsing];
    assert_eq!(of("mixed"), Reply::Fates { fates, pauses: true });
    let fates = vec![Fate::Taken; 4];
    assert_eq!(of("all already there"), Reply::Fates { fates, pauses: true });
    let fates = vec![Fate::Taken, dead(201, "failure_store"), Fate::Taken, Fate::Taken];
    assert_eq!(of("failure store used"), Reply::Fates { fates, pauses: true });
}

#[test]
fn what_is_no_answer_is_no_success() {
    let strange = Reply::Later { why: Trouble::Strange { status: 200 }, after: None };
    assert_eq!(of("page of a proxy"), strange);
    assert_eq!(of("fewer items than sent"), strange);
    let other = r#"{"errors":false,"items":[{"create":{"_id":"other-10","status":201}}]}"#;
    assert_eq!(reply(200, &HeaderMap::new(), other.as_bytes(), &records()[..1]), strange);
}

#[test]
fn a_set_up_fault_makes_no_dead_letters() {
    assert_eq!(of("index missing"), Reply::Stop(SetUp::Index { status: 404 }));
    assert_eq!(of("no right to write"), Reply::Stop(SetUp::Status { status: 403 }));
    let closed =
        r#"{"items":[{"create":{"status":400,"error":{"type":"index_closed_exception"}}}]}"#;
    let closed = reply(200, &HeaderMap::new(), closed.as_bytes(), &records()[..1]);
    assert_eq!(closed, Reply::Stop(SetUp::Index { status: 400 }));
    assert_eq!(
        reply(400, &HeaderMap::new(), b"{}", &records()),
        Reply::Stop(SetUp::Status { status: 400 })
    );
}

#[test]
fn what_is_too_large_is_halved_and_what_is_busy_waits() {
    assert!(matches!(of("too large"), Reply::Halve(_)));
    let after = Some(std::time::Duration::from_secs(2));
    assert_eq!(of("busy"), Reply::Later { why: Trouble::Status { status: 429 }, after });
}

#[test]
fn the_address_is_that_of_the_server_or_of_its_bulk_api() {
    let of = |url: &str| {
        let request = request(&url.parse().unwrap(), "cairn-audit", None, &records()).unwrap();
        request.uri().to_string()
    };
    assert_eq!(of("http://h:1"), "http://h:1/cairn-audit/_bulk");
    assert_eq!(of("http://h:1/es/"), "http://h:1/es/cairn-audit/_bulk");
    assert_eq!(of("http://h:1/other/_bulk?x=y"), "http://h:1/other/_bulk?x=y");
}
