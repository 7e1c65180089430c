//! The HTTP Event Collector.

use serde_json::json;

use crate::harness::{Answer, Rig, gzip};

const PATH: &str = "/services/collector/event";
const TOKEN: (&str, &str) = ("authorization", "Splunk 11111111-2222-3333-4444-555555555555");
const CHANNEL: &str = "FE0ECFAD-13D5-401B-847D-77833BD77131";
const OTHER: &str = "0aeeac95-ac74-4aa9-b30d-6c4c0ac581ba";
const SUCCESS: &str = r#"{"text":"Success","code":0}"#;

fn door(id: &str, more: &str) -> String {
    format!(
        r#"{{{more}"sourcetype":"audit:json","event":{{"action":"door.opened","actor":{{"type":"user","id":"u-1"}},"category":"access","operation":"execute","outcome":"success","id":"{id}"}}}}"#
    )
}

async fn post(rig: &Rig, body: impl Into<bytes::Bytes>) -> Answer {
    rig.post(PATH, &[TOKEN], body).await
}

fn said(answer: &Answer) -> (u16, &str) {
    (answer.status, answer.text())
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_follow_one_another_with_or_without_blanks() {
    let rig = Rig::new().await;
    let tricky = door("hec-001", r#""time":1772615411,"host":"gate-1","#).replace(
        r#""id":"hec-001""#,
        r#""id":"hec-001","description":"line one\nline two } { \"""#,
    );
    let body = format!("{tricky}{} \n\t{}\n\n", door("hec-002", ""), door("hec-003", ""));
    let answer = post(&rig, body).await;
    assert_eq!(said(&answer), (200, SUCCESS));
    let seen = rig.taken();
    assert_eq!(seen.len(), 3);
    assert_eq!(seen[0].text("/description"), "line one\nline two } { \"");
    assert_eq!(
        (seen[0].text("/source"), seen[1].text("/source")),
        ("hec://gate-1", "hec://unknown")
    );
    // The same again is known by its ids.
    assert_eq!(post(&rig, door("hec-002", "")).await.status, 200);
    assert_eq!(rig.size("audit"), 3);
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn times_are_decimal_text() {
    let rig = Rig::new().await;
    let times = [
        r#""time":1772615411.123456789,"#,
        r#""time":"1772615411.5","#,
        r#""time":1772615411,"#,
        "",
        r#""time":"1772615411","#,
        r#""time":1.772615411e9,"#,
        r#""time":1772615411123,"#,
    ];
    let bodies: Vec<String> =
        times.iter().enumerate().map(|(at, time)| door(&format!("t-{at}"), time)).collect();
    assert_eq!(post(&rig, bodies.concat()).await.status, 200);
    let seen = rig.taken();
    let time = |at: usize| seen[at].text("/time");
    assert_eq!((time(0), time(1)), ("2026-03-04T09:10:11.123456789Z", "2026-03-04T09:10:11.5Z"));
    assert_eq!([time(2), time(4), time(5)], ["2026-03-04T09:10:11Z"; 3]);
    assert!(seen[3].flags().contains(&"time_missing"));
    assert_eq!((time(6), seen[6].flags()), ("2026-03-04T09:10:11.123Z", vec!["time_invalid"]));
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn good_events_are_taken_and_bad_ones_kept() {
    let rig = Rig::new().await;
    let bad = [r#"{"sourcetype":"audit:json","event":""}"#, r#"{"time":1772615411,"log":"x"}"#];
    let body = [&door("1", ""), bad[0], &door("2", ""), bad[1], &door("3", "")]
        .map(str::to_owned)
        .concat();
    assert_eq!(said(&post(&rig, body).await), (200, SUCCESS));
    assert_eq!(rig.taken().len(), 3);
    let malformed = rig.malformed();
    assert_eq!(malformed.len(), 1);
    assert_eq!(malformed[0].items(), "1: event is empty; 3: event is missing");
    assert_eq!(malformed[0].raw(), bad.concat());
    // From where the body cannot be cut any more it is one item.
    let torn = format!("{}{{\"event\":\"x\"", door("4", ""));
    assert_eq!(post(&rig, torn).await.status, 200);
    assert_eq!((rig.taken().len(), rig.malformed()[1].raw()), (4, "{\"event\":\"x\""));
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_path_and_every_refusal_is_the_collector_s() {
    let rig = Rig::new().await;
    for (at, path) in ["", "/event", "/event/1.0"].into_iter().enumerate() {
        let path = format!("/services/collector{path}");
        let answer = rig.post(&path, &[TOKEN], door(&format!("p-{at}"), "")).await;
        assert_eq!(said(&answer), (200, SUCCESS), "{path}");
        let options = rig.ask("OPTIONS", &path, &[], "").await;
        assert_eq!(options.status, 200);
        assert!(options.headers["allow"].to_str().unwrap().contains("POST"));
        assert_eq!(rig.post(&format!("{path}/"), &[TOKEN], "{}").await.status, 404);
    }
    for path in ["/services/collector/health", "/services/collector/health/1.0"] {
        let answer = rig.ask("GET", path, &[], "").await;
        assert_eq!(said(&answer), (200, r#"{"text":"HEC is healthy","code":17}"#));
    }
    let info = rig.ask("GET", "/services/server/info", &[], "").await;
    assert_eq!((info.status, info.json()["code"].clone()), (404, json!(404)));
    let refused = [
        ("", r#"{"text":"No data","code":5}"#),
        (" \n", r#"{"text":"No data","code":5}"#),
        (
            r#"{"log":"x"}"#,
            r#"{"text":"Event field is required","code":12,"invalid-event-number":0}"#,
        ),
        (
            r#"{"event":""}"#,
            r#"{"text":"Event field cannot be blank","code":13,"invalid-event-number":0}"#,
        ),
        ("not json", r#"{"text":"Invalid data format","code":6,"invalid-event-number":0}"#),
    ];
    for (body, expected) in refused {
        assert_eq!(said(&post(&rig, body).await), (400, expected), "{body}");
    }
    assert_eq!(rig.malformed().len(), 3, "what says nothing is not kept");
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_needed_and_never_in_the_address() {
    let rig = Rig::new().await;
    let none = rig.post(PATH, &[], door("1", "")).await;
    assert_eq!(said(&none), (401, r#"{"text":"Token is required","code":2}"#));
    for bad in ["11111111-2222-3333-4444-555555555555", "Splunk ", "Digest x", "Basic eDo="] {
        let answer = rig.post(PATH, &[("authorization", bad)], door("1", "")).await;
        assert_eq!(said(&answer), (401, r#"{"text":"Invalid authorization","code":3}"#), "{bad}");
    }
    let query = rig.post(&format!("{PATH}?token=abc"), &[], door("1", "")).await;
    let expected = r#"{"text":"Query string authorization is not enabled","code":16}"#;
    assert_eq!(said(&query), (400, expected));
    assert_eq!(rig.size("audit"), 0);
    for good in ["Splunk abc", "splunk abc", "Bearer abc", "Basic eDphYmM="] {
        let answer = rig.post(PATH, &[("authorization", good)], door(good, "")).await;
        assert_eq!(answer.status, 200, "{good}");
    }
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn raw_bodies_are_a_line_an_event() {
    let rig = Rig::new().await;
    let path = "/services/collector/raw?host=web1&source=%2Fvar%2Flog%2Fx&sourcetype=sshd";
    let answer = rig.post(path, &[TOKEN], "one\r\n\ntwo {\n").await;
    assert_eq!(said(&answer), (200, SUCCESS));
    let seen = rig.taken();
    assert_eq!((seen[0].raw(), seen[1].raw(), seen.len()), ("one", "two {", 2));
    assert_eq!((seen[1].text("/description"), seen[1].text("/action")), ("two {", "hec.event"));
    assert_eq!((seen[0].text("/source"), seen[0].text("/origin/host")), ("/var/log/x", "web1"));
    assert_eq!(seen[0].text("/metadata/sourcetype"), "sshd");
    assert_eq!(rig.post("/services/collector/raw/1.0", &[TOKEN], "x").await.status, 200);
    assert_eq!(rig.post("/services/collector/raw", &[TOKEN], "\n\n").await.status, 400);
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn compressed_bodies_keep_to_the_limit_when_they_are_opened() {
    let rig = Rig::with(&[("receive_body_bytes_max", "4096")]).await;
    let packed = [TOKEN, ("content-encoding", "gzip")];
    assert_eq!(rig.post(PATH, &packed, gzip(door("1", "").as_bytes())).await.status, 200);
    let blanks = " ".repeat(4_096);
    let bomb = gzip(format!("{}{blanks}", door("2", "")).as_bytes());
    assert!(bomb.len() < 4_096);
    assert_eq!(rig.post(PATH, &packed, bomb).await.status, 413);
    let cut = gzip(door("3", "").as_bytes());
    let cut = rig.post(PATH, &packed, cut[..cut.len() - 1].to_vec()).await;
    assert_eq!((cut.status, cut.json()["code"].clone()), (400, json!(6)));
    assert_eq!(rig.post(PATH, &[TOKEN, ("content-encoding", "zstd")], "x").await.status, 415);
    assert_eq!((rig.taken().len(), rig.malformed().len()), (1, 2));
    // A body without a length, in chunks.
    let body = door("4", "");
    let chunked = format!(
        "POST {PATH} HTTP/1.1\r\nHost: x\r\nAuthorization: Splunk x\r\nConnection: close\r\n\
         Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n",
        body.len()
    );
    assert!(rig.raw(chunked.as_bytes()).await.ends_with(SUCCESS));
    rig.stop().await;
}

async fn acks(rig: &Rig, channel: &str, ids: &str) -> Answer {
    let path = format!("/services/collector/ack?channel={channel}");
    rig.post(&path, &[TOKEN], format!("{{\"acks\":[{ids}]}}")).await
}

#[tokio::test(flavor = "multi_thread")]
async fn channels_count_for_themselves_and_a_restart_knows_them() {
    let rig = Rig::new().await;
    let on = async |rig: &Rig, channel: &str, id: &str| {
        let header = ("x-splunk-request-channel", channel);
        rig.post(PATH, &[TOKEN, header], door(id, "")).await.json()["ackId"].clone()
    };
    assert_eq!(on(&rig, CHANNEL, "1").await, 0);
    assert_eq!(on(&rig, OTHER, "2").await, 0);
    let query = rig.post(&format!("{PATH}?channel={CHANNEL}"), &[TOKEN], door("3", "")).await;
    assert_eq!(said(&query), (200, r#"{"text":"Success","code":0,"ackId":1}"#));
    let known = acks(&rig, CHANNEL, "0,1,2,99").await;
    assert_eq!(said(&known), (200, r#"{"acks":{"0":true,"1":true,"2":false,"99":false}}"#));
    assert_eq!(acks(&rig, OTHER, "0,1").await.text(), r#"{"acks":{"0":true,"1":false}}"#);
    let missing = rig.post("/services/collector/ack", &[TOKEN], r#"{"acks":[0]}"#).await;
    assert_eq!(said(&missing), (400, r#"{"text":"Data channel is missing","code":10}"#));
    for bad in ["1", "not-a-guid"] {
        let answer = acks(&rig, bad, "0").await;
        assert_eq!(said(&answer), (400, r#"{"text":"Invalid data channel","code":11}"#));
        let header = ("x-splunk-request-channel", bad);
        assert_eq!(rig.post(PATH, &[TOKEN, header], door("4", "")).await.status, 400);
    }
    assert_eq!(acks(&rig, CHANNEL, "-1").await.status, 400);
    let data = rig.stop().await;

    let rig = Rig::over(data, &[]).await;
    let known = acks(&rig, CHANNEL, "0,1,2").await;
    assert_eq!(known.text(), r#"{"acks":{"0":true,"1":true,"2":false}}"#);
    assert_eq!(on(&rig, CHANNEL, "5").await, 2);
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_acknowledgements_a_channel_is_passed_over() {
    let rig = Rig::with(&[("hec_acks", "false")]).await;
    for channel in [CHANNEL, "not-a-guid"] {
        let header = ("x-splunk-request-channel", channel);
        let answer = rig.post(PATH, &[TOKEN, header], door(channel, "")).await;
        assert_eq!(said(&answer), (200, SUCCESS));
    }
    let off = acks(&rig, CHANNEL, "0").await;
    assert_eq!(said(&off), (400, r#"{"text":"ACK is disabled","code":14}"#));
    rig.stop().await;
}
