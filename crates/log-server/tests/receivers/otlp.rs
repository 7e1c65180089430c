//! OTLP logs over HTTP and gRPC.

use bytes::Bytes;
use http::{Request, Version};
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client as HttpClient;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::harness::{Answer, Rig, gzip};

const PATH: &str = "/v1/logs";
const JSON: [(&str, &str); 1] = [("content-type", "application/json; charset=utf-8")];
const PROTOBUF: [(&str, &str); 1] = [("content-type", "application/x-protobuf")];
const EXPORT: &str = "/opentelemetry.proto.collector.logs.v1.LogsService/Export";

fn attribute(key: &str, value: &str) -> Value {
    json!({"key": key, "value": {"stringValue": value}})
}

fn record(id: &str, more: &Value) -> Value {
    let mut record = json!({"timeUnixNano": "1772615411123456789",
        "observedTimeUnixNano": "1772615411123456799", "severityNumber": 9,
        "eventName": "invoice.updated", "body": {"stringValue": "ana changed invoice 7"},
        "attributes": [attribute("user.id", "u-17"), attribute("log.record.uid", id)]});
    record.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    record
}

fn request(records: &[Value]) -> String {
    json!({"resourceLogs": [{"resource": {"attributes": [attribute("service.name", "billing")]},
        "scopeLogs": [{"scope": {"name": "billing.audit"}, "logRecords": records}]}]})
    .to_string()
}

async fn post(rig: &Rig, body: impl Into<Bytes>) -> Answer {
    rig.post(PATH, &JSON, body).await
}

/// A field of a protobuf message that holds bytes.
fn field(number: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![number << 3 | 2];
    let mut length = content.len();
    while length >= 0x80 {
        out.push(u8::try_from(length & 0x7f).unwrap() | 0x80);
        length >>= 7;
    }
    out.push(u8::try_from(length).unwrap());
    out.extend_from_slice(content);
    out
}

/// A log record: its name, an attribute `user.id`, and so many bytes of body.
fn record_bytes(name: &str, body: usize) -> Vec<u8> {
    let text = |text: &str| field(1, text.as_bytes());
    let user = [field(1, b"user.id"), field(2, &text("u-1"))].concat();
    let body = field(1, "x".repeat(body).as_bytes());
    [field(5, &body), field(6, &user), field(12, name.as_bytes())].concat()
}

fn request_bytes(records: &[Vec<u8>]) -> Vec<u8> {
    let records: Vec<u8> = records.iter().flat_map(|record| field(2, record)).collect();
    field(1, &field(2, &records))
}

#[tokio::test(flavor = "multi_thread")]
async fn ids_of_traces_never_cost_a_record() {
    let rig = Rig::new().await;
    let trace =
        |id: &str, trace: &str, span: &str| record(id, &json!({"traceId": trace, "spanId": span}));
    let records = [
        trace("1", "5B8EFFF798038103D269B633813FC60C", "EEE19B7EC3C1B174"),
        trace("2", "", ""),
        trace("3", &"0".repeat(32), &"0".repeat(16)),
        trace("4", "5b8efff798038103d269b633813fc60", "eee19b7ec3c1b174"),
        trace("5", "5b8efff798038103d269b633813fc60c", ""),
    ];
    let answer = post(&rig, request(&records)).await;
    assert_eq!((answer.status, answer.text()), (200, "{}"));
    assert_eq!(answer.headers["content-type"], "application/json");
    let seen = rig.taken();
    let traces: Vec<&str> = seen.iter().map(|event| event.text("/trace/trace_id")).collect();
    let id = "5b8efff798038103d269b633813fc60c";
    assert_eq!(traces, [id, "", "", "", id]);
    assert_eq!(
        (seen[0].text("/trace/span_id"), seen[4].text("/trace/span_id")),
        ("eee19b7ec3c1b174", "")
    );
    assert!(seen.iter().all(|event| event.text("/source") == "billing"));
    assert_eq!(serde_json::from_str::<Value>(seen[3].raw()).unwrap(), records[3]);
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_of_64_bits_keep_every_digit() {
    let rig = Rig::new().await;
    let amounts = json!({"attributes": [attribute("user.id", "u-1"),
        attribute("log.record.uid", "13"),
        {"key": "amount", "value": {"intValue": "9007199254740993"}},
        {"key": "amount2", "value": {"intValue": 9_007_199_254_740_993_i64}}]});
    let records = [
        record("11", &json!({"timeUnixNano": "1772615411123456800"})),
        record("12", &json!({"timeUnixNano": 1_772_615_411_123_456_801_i64})),
        record("13", &amounts),
        record("14", &json!({"timeUnixNano": "0", "observedTimeUnixNano": "1772615411123456808"})),
        record("15", &json!({"timeUnixNano": null, "observedTimeUnixNano": null})),
    ];
    assert_eq!(post(&rig, request(&records)).await.status, 200);
    let seen = rig.taken();
    let time = |at: usize| seen[at].text("/time");
    assert_eq!(time(0), "2026-03-04T09:10:11.1234568Z");
    assert_eq!(time(1), "2026-03-04T09:10:11.123456801Z");
    assert_eq!(time(3), "2026-03-04T09:10:11.123456808Z");
    assert!(seen[4].flags().contains(&"time_missing"));
    for key in ["amount", "amount2"] {
        assert_eq!(seen[2].text(&format!("/metadata/{key}")), "9007199254740993");
    }
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_of_every_kind_are_taken() {
    let rig = Rig::new().await;
    let pair = |value: &str| attribute("invoice", value);
    let twice = json!([
        attribute("user.id", "u-17"),
        attribute("user.id", "u-99"),
        attribute("log.record.uid", "25")
    ]);
    let records = [
        record("21", &json!({"body": null})),
        record(
            "22",
            &json!({"body": {"kvlistValue": {"values": [pair("7"), {"key": "n", "value": {}},
            {"key": "l", "value": {"arrayValue": {"values": [{"intValue": "1"}, {}]}}}]}}}),
        ),
        record("23", &json!({"body": {"bytesValue": "AAECAwT/"}})),
        record("24", &json!({"body": {"kvlistValue": {"values": [pair("7"), pair("8")]}}})),
        record("25", &json!({"attributes": twice})),
    ];
    let body = json!({"resourceLogs": [{"scopeLogs": [{"logRecords": records}]}]}).to_string();
    assert_eq!(post(&rig, body).await.text(), "{}");
    let seen = rig.taken();
    assert_eq!(seen.len(), 5);
    assert!(seen.iter().all(|event| event.text("/source") == "otlp:unknown"));
    assert!(seen[3].flags().contains(&"duplicate_keys"));
    assert!(seen[4].flags().contains(&"duplicate_keys"));
    assert_eq!(seen[4].text("/actor/id"), "u-17");
    assert!(seen[4].raw().contains("u-99"));
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn json_of_another_form_is_not_taken_in_silence() {
    let rig = Rig::new().await;
    let body = r#"{"message":"user ana deleted invoice 7","level":"info"}"#;
    let answer = post(&rig, body).await;
    assert_eq!(answer.status, 200);
    let partial = &answer.json()["partialSuccess"];
    assert_eq!(partial["rejectedLogRecords"], "0");
    assert!(partial["errorMessage"].as_str().unwrap().contains("no log records were found"));
    assert_eq!(rig.malformed()[0].raw(), body);
    for wrong in [format!("[{body}]"), "not json".to_owned()] {
        let answer = post(&rig, wrong).await;
        assert_eq!((answer.status, answer.json()["code"].clone()), (400, json!(3)));
        assert!(answer.json()["message"].is_string());
    }
    assert_eq!((rig.taken().len(), rig.malformed().len()), (0, 3));
    for empty in ["{}", r#"{"resourceLogs":[]}"#] {
        assert_eq!((post(&rig, empty).await.text(), rig.size("audit")), ("{}", 3), "{empty}");
    }
    let empty = rig.post(PATH, &PROTOBUF, "").await;
    assert_eq!((empty.status, empty.body.len()), (200, 0));
    assert_eq!(empty.headers["content-type"], "application/x-protobuf");
    rig.stop().await;
}

fn partial() -> String {
    let mut nameless = record("2", &json!({}));
    nameless.as_object_mut().unwrap().remove("eventName");
    request(&[
        record("1", &json!({})),
        nameless,
        record("3", &json!({"eventName": "Invoice Updated!"})),
        record("4", &json!({})),
    ])
}

#[tokio::test(flavor = "multi_thread")]
async fn records_without_an_action_are_rejected_and_kept() {
    let rig = Rig::new().await;
    let answer = post(&rig, partial()).await;
    assert_eq!(answer.status, 200);
    let said = answer.json()["partialSuccess"].clone();
    assert_eq!(said["rejectedLogRecords"], "2");
    let message = said["errorMessage"].as_str().unwrap();
    assert!(message.contains("record 1: event_name is missing"), "{message}");
    assert!(message.contains("record 2: event_name "), "{message}");
    assert!(!message.contains("Invoice Updated"), "no value is repeated");
    assert_eq!(rig.taken().len(), 2);
    assert!(rig.malformed()[0].items().starts_with("1: event_name is missing; 2: event_name "));
    rig.stop().await;

    let rig = Rig::configured("[sources.billing]\naction = \"billing.record\"").await;
    assert_eq!(post(&rig, partial()).await.text(), "{}");
    let seen = rig.taken();
    let actions: Vec<&str> = seen.iter().map(|event| event.text("/action")).collect();
    assert_eq!(actions, ["invoice.updated", "billing.record", "billing.record", "invoice.updated"]);
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_of_which_nothing_can_be_taken_is_bad_data() {
    let rig = Rig::new().await;
    let body = request_bytes(&[record_bytes("Not An Action", 1)]);
    let answer = rig.post(PATH, &PROTOBUF, body.clone()).await;
    assert_eq!(answer.status, 400);
    assert_eq!(answer.headers["content-type"], "application/x-protobuf");
    assert_eq!(&answer.body[..2], [0x08, 3], "INVALID_ARGUMENT");
    assert!(String::from_utf8_lossy(&answer.body).contains("event_name"));
    assert_eq!(rig.malformed()[0].raw.as_deref(), Some(&record_bytes("Not An Action", 1)[..]));
    let torn = rig.post(PATH, &PROTOBUF, body[..body.len() - 1].to_vec()).await;
    assert_eq!((torn.status, rig.malformed().len()), (400, 2));
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn http_bodies_keep_to_their_limit_and_their_encodings() {
    let rig = Rig::with(&[("otlp_http_bytes_max", "2048")]).await;
    let empty = request_bytes(&[record_bytes("a.b", 1)]).len();
    let of = |length: usize| {
        let body = request_bytes(&[record_bytes("a.b", length)]);
        (body.len(), body)
    };
    let spare = (0..2_048).rev().map(of).find(|(length, _)| *length == 2_048);
    let (_, at_limit) = spare.unwrap_or_else(|| panic!("a request of 2048 bytes from {empty}"));
    assert_eq!(rig.post(PATH, &PROTOBUF, at_limit.clone()).await.status, 200);
    let beyond = rig.post(PATH, &PROTOBUF, of(2_048).1).await;
    assert_eq!(
        (beyond.status, &beyond.headers["content-type"]),
        (413, &"application/x-protobuf".parse().unwrap())
    );
    let packed = [PROTOBUF[0], ("content-encoding", "gzip")];
    assert_eq!(rig.post(PATH, &packed, gzip(&at_limit)).await.status, 200);
    let bomb = gzip(&of(100_000).1);
    assert!(bomb.len() < 2_048);
    assert_eq!(rig.post(PATH, &packed, bomb).await.status, 413);
    let good = gzip(&at_limit);
    let mut flipped = good.clone();
    *flipped.last_mut().unwrap() ^= 1;
    for bad in [good[..good.len() - 4].to_vec(), flipped] {
        assert_eq!(rig.post(PATH, &packed, bad).await.status, 400);
    }
    let zstd = rig.post(PATH, &[JSON[0], ("content-encoding", "zstd")], "{}").await;
    assert_eq!(zstd.status, 415);
    assert!(zstd.json()["message"].as_str().unwrap().contains("zstd"));
    let text = rig.post(PATH, &[("content-type", "text/plain")], "{}").await;
    assert_eq!((text.status, text.json()["code"].is_number()), (415, true));
    let shouted = rig.post(PATH, &[("content-type", "Application/JSON")], "{}").await;
    assert_eq!(shouted.status, 200);
    assert_eq!(rig.taken().len(), 2, "records without an id may repeat");
    rig.stop().await;
}

/// What a call was answered: the message, or its status.
async fn call(rig: &Rig, message: &[u8], encoding: Option<&str>) -> Result<Bytes, Status> {
    let flag = u8::from(encoding.is_some());
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    let body = [&[flag], &length[..], message].concat();
    framed(rig, body, encoding).await
}

async fn framed(rig: &Rig, body: Vec<u8>, encoding: Option<&str>) -> Result<Bytes, Status> {
    let http = HttpClient::builder(TokioExecutor::new()).http2_only(true).build_http();
    let uri = format!("http://{}{EXPORT}", rig.server.address());
    let mut request = Request::post(uri).version(Version::HTTP_2).header("te", "trailers");
    request = request.header("content-type", "application/grpc+proto");
    if let Some(encoding) = encoding {
        request = request.header("grpc-encoding", encoding);
    }
    let request = request.body(Full::new(Bytes::from(body))).unwrap();
    let (parts, body) = http.request(request).await.unwrap().into_parts();
    assert_eq!(
        (parts.status.as_u16(), &parts.headers["content-type"]),
        (200, &"application/grpc".parse().unwrap())
    );
    if let Some(status) = Status::from_header_map(&parts.headers) {
        return Err(status);
    }
    let collected = body.collect().await.unwrap();
    let trailers = collected.trailers().unwrap();
    assert_eq!(trailers["grpc-status"], "0");
    let body = collected.to_bytes();
    assert_eq!(
        usize::try_from(u32::from_be_bytes(body[1..5].try_into().unwrap())),
        Ok(body.len() - 5)
    );
    Ok(body.slice(5..))
}

#[tokio::test(flavor = "multi_thread")]
async fn grpc_takes_records_byte_for_byte() {
    let rig = Rig::new().await;
    let records = [record_bytes("invoice.updated", 10), record_bytes("nope", 1)];
    let answer = call(&rig, &request_bytes(&records), None).await.unwrap();
    assert_eq!(&answer[2..4], [0x08, 1], "one record rejected");
    assert!(String::from_utf8_lossy(&answer).contains("event_name"));
    assert_eq!(rig.taken()[0].raw.as_deref(), Some(&records[0][..]));
    assert_eq!(rig.malformed()[0].raw.as_deref(), Some(&records[1][..]));
    let all = call(&rig, &gzip(&request_bytes(&records[..1])), Some("gzip")).await.unwrap();
    assert!(all.is_empty() && call(&rig, b"", None).await.unwrap().is_empty());
    assert_eq!(rig.taken().len(), 2);
    let status = call(&rig, &request_bytes(&records[1..]), None).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    let status = call(&rig, b"\xff", None).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    for torn in [vec![], vec![0, 0], vec![0, 0, 0, 0, 9, 1], vec![7, 0, 0, 0, 0]] {
        let status = framed(&rig, torn, None).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument);
    }
    let status = call(&rig, b"x", Some("zstd")).await.unwrap_err();
    assert_eq!(status.code(), Code::Unimplemented);
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_beyond_the_limit_is_refused_for_good_and_told() {
    let rig = Rig::with(&[("otlp_grpc_bytes_max", "2048")]).await;
    let of = |length: usize| request_bytes(&[record_bytes("a.b", length)]);
    let at_limit = (0..2_048).rev().map(of).find(|body| body.len() == 2_048).unwrap();
    call(&rig, &at_limit, None).await.unwrap();
    for _ in 0..2 {
        let status = call(&rig, &[&at_limit[..], b"x"].concat(), None).await.unwrap_err();
        assert_eq!(status.code(), Code::ResourceExhausted);
        assert!(status.get_details_retry_info().is_none(), "it is final");
    }
    let bomb = gzip(&of(100_000));
    let status = call(&rig, &bomb, Some("gzip")).await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert_eq!(rig.taken().len(), 1);
    let malformed = rig.malformed();
    assert_eq!(malformed.len(), 2);
    assert_eq!(malformed[0].members["metadata"]["request_bytes"], 2_049);
    rig.stop().await;
}
