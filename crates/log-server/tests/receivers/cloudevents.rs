//! CloudEvents over HTTP.

use serde_json::{Value, json};

use crate::harness::Rig;

const PATH: &str = "/v1/cloudevents";
const ONE: [(&str, &str); 1] = [("content-type", "application/cloudevents+json")];
const BATCH: [(&str, &str); 1] =
    [("content-type", "application/cloudevents-batch+json; charset=utf-8")];

fn data() -> Value {
    json!({"actor": {"type": "user", "id": "u-17"}, "category": "data", "operation": "update",
        "outcome": "success", "targets": [{"type": "invoice", "id": "7"}]})
}

fn event(id: &str, more: &Value) -> Value {
    let mut event = json!({"specversion": "1.0", "type": "com.example.audit.invoice.updated.v1",
        "source": "/billing", "id": id, "time": "2026-03-04T09:10:11Z", "data": data()});
    event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    event
}

fn binary(subject: &str) -> Vec<u8> {
    let body = data().to_string();
    let head = format!(
        "POST {PATH} HTTP/1.1\r\nHost: localhost\r\nce-specversion: 1.0\r\n\
         ce-type: com.example.audit.invoice.updated.v1\r\nce-source: /billing\r\nce-id: ce-001\r\n\
         ce-time: 2026-03-04T09:10:11.123456789Z\r\nCE-Subject: {subject}\r\nce-note: 100%2525\r\n\
         ce-plain: a/b:c\r\nContent-Type: application/json; charset=utf-8\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    head.into_bytes()
}

#[tokio::test(flavor = "multi_thread")]
async fn binary_mode_decodes_each_header_once() {
    let rig = Rig::new().await;
    let answer = rig.raw(&binary("Euro%20%E2%82%AC%20%f0%9f%98%80")).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let seen = rig.taken();
    assert_eq!((seen[0].text("/action"), seen[0].text("/id")), ("invoice.updated", "ce-001"));
    assert_eq!(seen[0].text("/metadata/subject"), "Euro € 😀");
    assert_eq!(seen[0].text("/metadata/note"), "100%25");
    assert_eq!(seen[0].text("/metadata/plain"), "a/b:c");
    let expected = format!(
        "ce-id: ce-001\r\nce-note: 100%2525\r\nce-plain: a/b:c\r\nce-source: /billing\r\n\
         ce-specversion: 1.0\r\nce-subject: Euro%20%E2%82%AC%20%f0%9f%98%80\r\n\
         ce-time: 2026-03-04T09:10:11.123456789Z\r\nce-type: com.example.audit.invoice.updated.v1\r\n\
         content-type: application/json; charset=utf-8\r\n\r\n{}",
        data()
    );
    assert_eq!(seen[0].raw(), expected);
    let refused = rig.raw(&binary("a%C0%A0b")).await;
    assert!(refused.starts_with("HTTP/1.1 400"), "{refused}");
    assert!(refused.contains(r#""field":"subject""#), "{refused}");
    assert_eq!((rig.taken().len(), rig.malformed().len()), (1, 1));
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn structured_mode_takes_one_event_in_which_null_says_nothing() {
    let rig = Rig::new().await;
    let nulls = json!({"subject": null, "traceparent": null, "tenantid": null, "dataschema": null});
    let body = event("ce-003", &nulls).to_string();
    let answer = rig.post(PATH, &ONE, body.clone()).await;
    assert_eq!(answer.status, 200);
    let result = &answer.json()["results"][0];
    assert_eq!(
        (&result["id"], &result["index"], &result["duplicate"]),
        (&json!("ce-003"), &json!(0), &json!(false))
    );
    assert_eq!(answer.json()["tree_size"], 1);
    assert_eq!(rig.taken()[0].raw(), body);
    let again = rig.post(PATH, &ONE, body).await;
    assert_eq!(again.json()["results"][0]["duplicate"], true);
    let other = rig.post(PATH, &ONE, event("ce-003", &json!({"subject": "x/y"})).to_string()).await;
    let id = other.json()["results"][0]["id"].as_str().unwrap().to_owned();
    assert!(id.starts_with("ce-003#"), "a foreign event is never refused for its id");
    assert_eq!(rig.size("audit"), 2);
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_has_a_result_an_event() {
    let rig = Rig::new().await;
    let mut no_id = event("", &json!({}));
    no_id.as_object_mut().unwrap().remove("id");
    let batch = json!([
        event("ce-010", &json!({})),
        event("ce-011", &json!({"specversion": "0.3"})),
        event("ce-012", &json!({"data": data().to_string()})),
        event("ce-013", &json!({"tenantID": "t1"})),
        event("ce-014", &json!({"averyveryverylongextension": "ok"})),
        event("ce-015", &json!({"labels": {"a": 1}})),
        no_id,
    ]);
    let body = serde_json::to_string_pretty(&batch).unwrap();
    let answer = rig.post(PATH, &BATCH, body.clone()).await;
    assert_eq!(answer.status, 200);
    let results = answer.json()["results"].as_array().unwrap().clone();
    let fields: Vec<&str> =
        results.iter().map(|result| result["error"]["field"].as_str().unwrap_or("")).collect();
    let expected = ["", "specversion", "data.actor", "tenantID", "", "labels", "id"];
    assert_eq!(fields, expected);
    let line = u64::try_from(body[..body.find("\"0.3\"").unwrap()].matches('\n').count()).unwrap();
    let named = results[1]["error"]["line"].as_u64().unwrap();
    assert!(named > 1 && named <= line + 1, "the line that the event begins in");
    let ids: Vec<String> = rig.taken().iter().map(|event| event.text("/id").to_owned()).collect();
    assert_eq!(ids, ["ce-010", "ce-014"]);
    let malformed = rig.malformed();
    assert_eq!(malformed.len(), 1);
    assert!(malformed[0].items().starts_with("1: specversion "), "{}", malformed[0].items());
    assert_eq!(malformed[0].members["metadata"]["refused"], 5);
    assert!(malformed[0].raw().contains("ce-011") && !malformed[0].raw().contains("ce-010"));
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn times_are_those_of_rfc_3339() {
    let rig = Rig::new().await;
    let timed = |id: &str, time: Value| event(id, &json!({ "time": time }));
    let mut absent = event("ce-026", &json!({}));
    absent.as_object_mut().unwrap().remove("time");
    let batch = json!([
        timed("ce-020", json!("2026-03-04t09:10:11z")),
        timed("ce-021", json!("2026-03-04T09:10:11.123456789987Z")),
        timed("ce-022", json!("2016-12-31T23:59:60Z")),
        timed("ce-023", json!("2026-03-04T09:10:11")),
        timed("ce-024", Value::Null),
        timed("ce-025", json!("1937-01-01T12:00:27.87+00:20")),
        absent,
        timed("ce-027", json!("2026-02-30T09:10:11Z")),
    ]);
    let answer = rig.post(PATH, &BATCH, batch.to_string()).await;
    assert_eq!(answer.status, 200);
    let seen = rig.taken();
    let ids: Vec<&str> = seen.iter().map(|event| event.text("/id")).collect();
    assert_eq!(ids, ["ce-020", "ce-021", "ce-022", "ce-024", "ce-025", "ce-026"]);
    let time = |at: usize| seen[at].text("/time");
    assert_eq!((time(0), time(1)), ("2026-03-04T09:10:11Z", "2026-03-04T09:10:11.123456789Z"));
    assert_eq!((time(2), time(4)), ("2016-12-31T23:59:59.999999999Z", "1937-01-01T11:40:27.87Z"));
    assert!(seen[1].flags().contains(&"time_invalid") && seen[2].flags().contains(&"time_invalid"));
    assert!(seen[3].flags().contains(&"time_missing") && seen[5].flags().contains(&"time_missing"));
    let items = rig.malformed()[0].items().to_owned();
    assert!(items.starts_with("3: time ") && items.contains("; 7: time "), "{items}");
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_cloudevent_is_told_so() {
    let rig = Rig::new().await;
    for (headers, body, status) in [
        (&ONE[..], "not json", 400),
        (&ONE, "", 400),
        (&BATCH, "{}", 400),
        (&BATCH, "[1]", 400),
        (&[("content-type", "application/json")], "{}", 415),
        (
            &[("content-type", "application/cloudevents+xml"), ("ce-specversion", "1.0")],
            "<a/>",
            415,
        ),
        (
            &[("content-type", "application/cloudevents+json"), ("content-encoding", "br")],
            "{}",
            415,
        ),
    ] {
        let answer = rig.post(PATH, headers, body).await;
        assert_eq!(answer.status, status, "{headers:?} {body}: {answer:?}");
        assert!(answer.json()["error"]["message"].is_string());
    }
    assert_eq!(rig.post(PATH, &BATCH, "[]").await.status, 200);
    let many = format!("[{}]", vec!["{}"; 1_001].join(","));
    assert_eq!(rig.post(PATH, &BATCH, many).await.status, 413);
    assert!(rig.taken().is_empty());
    rig.stop().await;
}
