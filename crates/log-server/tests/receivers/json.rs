//! Events of our own API as JSON, which is read more strictly than what others send.

use serde_json::{Value, json};

use crate::harness::Rig;

const PATH: &str = "/v1/events";
const LINES: [(&str, &str); 1] = [("content-type", "application/x-ndjson")];

fn event(id: &str) -> Value {
    json!({"id": id, "source": "/billing", "time": "2026-03-04T09:10:11Z",
        "action": "invoice.updated", "category": "data", "operation": "update",
        "outcome": "success", "actor": {"type": "user", "id": "u-17", "name": "Ana"},
        "targets": [{"type": "invoice", "id": "7"}]})
}

fn without(id: &str, pointer: &str, member: &str) -> String {
    let mut event = event(id);
    event.pointer_mut(pointer).unwrap().as_object_mut().unwrap().remove(member);
    event.to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn two_readers_never_see_two_events() {
    let rig = Rig::new().await;
    let twice = event("j-001").to_string().replacen('{', r#"{"action":"invoice.deleted","#, 1);
    let mut large = event("j-002").to_string();
    large.insert_str(large.len() - 1, r#","metadata":{"amount_cents":9007199254740993}"#);
    for (body, field) in [(twice, "action"), (large, "metadata.amount_cents")] {
        let answer = rig.post(PATH, &[], body).await;
        assert_eq!((answer.status, answer.json()["error"]["field"].clone()), (400, json!(field)));
    }
    assert_eq!(rig.size("audit"), 0);
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn free_text_is_stored_as_it_was_sent_and_times_ahead_are_flagged() {
    let rig = Rig::new().await;
    let name = "admin\r\n2026 auth.login \u{1b}[2K\u{202e}gnp.exe";
    let mut injected = event("j-003");
    injected["actor"]["name"] = json!(name);
    injected["origin"] = json!({"user_agent": "x\" <script>\u{2028}"});
    let mut ahead = event("j-030");
    ahead["time"] = json!("2099-12-31T00:00:00Z");
    for body in [&injected, &ahead] {
        assert_eq!(rig.post(PATH, &[], body.to_string()).await.status, 200);
    }
    let seen = rig.taken();
    assert_eq!(seen[0].text("/actor/name"), name);
    assert_eq!(seen[0].text("/origin/user_agent"), "x\" <script>\u{2028}");
    assert!(seen[1].flags().contains(&"clock_skew") && !seen[0].flags().contains(&"clock_skew"));
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn good_lines_are_taken_and_bad_ones_named() {
    let rig = Rig::new().await;
    let lines = [
        event("j-010").to_string(),
        without("j-011", "", "action"),
        String::new(),
        without("j-012", "/actor", "id"),
        event("j-013").to_string(),
        "not json".to_owned(),
        event("j-014").to_string(),
    ];
    let answer = rig.post(PATH, &LINES, lines.join("\n")).await;
    assert_eq!(answer.status, 200);
    let results = answer.json()["results"].as_array().unwrap().clone();
    assert_eq!(results.len(), 6, "the blank line is passed over");
    let error = |at: usize, member: &str| results[at]["error"][member].clone();
    assert_eq!((error(1, "field"), error(1, "line")), (json!("action"), json!(2)));
    assert_eq!((error(2, "field"), error(2, "line")), (json!("actor.id"), json!(4)));
    assert_eq!(error(4, "line"), 6);
    let ids: Vec<String> = rig.taken().iter().map(|event| event.text("/id").to_owned()).collect();
    assert_eq!(ids, ["j-010", "j-013", "j-014"]);
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_stands_for_one_content() {
    let rig = Rig::new().await;
    let first = event("j-020").to_string();
    let mut other = event("j-020");
    other["outcome"] = json!("failure");
    // The same content with its members in another order.
    let again = r#"{ "targets":[{"id":"7","type":"invoice"}], "actor":{"name":"Ana","id":"u-17","type":"user"},
        "outcome":"success","operation":"update","category":"data","action":"invoice.updated",
        "time":"2026-03-04T09:10:11Z","source":"/billing","id":"j-020" }"#;
    let body = [first, other.to_string(), again.replace('\n', " ")].join("\n");
    let answer = rig.post(PATH, &LINES, body).await;
    let results = &answer.json()["results"];
    assert_eq!((&results[0]["index"], &results[1]["error"]["field"]), (&json!(0), &json!("id")));
    assert_eq!((&results[2]["index"], &results[2]["duplicate"]), (&json!(0), &json!(true)));
    assert_eq!(rig.post(PATH, &[], other.to_string()).await.status, 409);
    let reports = rig.events("system");
    let reported = reports.iter().filter(|event| event.text("/action") == "security.id_reused");
    assert_eq!((rig.size("audit"), reported.count()), (1, 1));
    rig.stop().await;
}
