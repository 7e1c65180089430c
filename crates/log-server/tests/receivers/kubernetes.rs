//! The audit webhook of a kube-apiserver.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::harness::{Answer, Rig};

const PATH: &str = "/v1/k8s/prod/audit?timeout=30s";
const JSON: [(&str, &str); 1] = [("content-type", "application/json")];

/// An item as an apiserver sends it: without kind and apiVersion of its own.
fn item(id: &str, verb: &str, resource: &str, more: &Value) -> Value {
    let mut item = json!({
        "level": "Metadata", "auditID": id, "stage": "ResponseComplete",
        "requestURI": format!("/api/v1/namespaces/shop/{resource}/a?x=y"), "verb": verb,
        "user": {"username": "ana", "groups": ["ops"]}, "sourceIPs": ["10.20.0.7"],
        "objectRef": {"resource": resource, "namespace": "shop", "name": "a", "apiVersion": "v1"},
        "responseStatus": {"metadata": {}, "code": 200},
        "requestReceivedTimestamp": "2026-03-04T09:10:11.123456Z",
        "stageTimestamp": "2026-03-04T09:10:11.123459Z",
    });
    item.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    item
}

fn list(items: &[Value]) -> String {
    let list = json!({"kind": "EventList", "apiVersion": "audit.k8s.io/v1", "metadata": {},
        "items": items});
    format!("{list}\n")
}

async fn post(rig: &Rig, body: impl Into<bytes::Bytes>) -> Answer {
    rig.post(PATH, &JSON, body).await
}

fn is_empty_success(answer: &Answer) -> bool {
    answer.status == 200 && answer.body.is_empty() && !answer.headers.contains_key("location")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_is_taken_whatever_its_bodies_hold() {
    let rig = Rig::new().await;
    let patch = json!({"level": "Request",
        "objectRef": {"resource": "deployments", "namespace": "shop", "name": "web",
            "apiGroup": "apps", "apiVersion": "v1"},
        "requestObject": [{"op": "replace", "path": "/spec/replicas", "value": 3},
            {"op": "remove", "path": "/metadata/labels/canary"}]});
    let update = json!({"responseObject": {"metadata": {"managedFields": [
        {"fieldsV1": {"f:data": {".": {}, "f:eur": {}}}}]}, "status": {"phase": "Active"}}});
    let create = json!({"responseObject": {"kind": "Status", "status": "Failure"},
        "responseStatus": {"metadata": {}, "code": 409, "reason": "AlreadyExists"}});
    let items = [
        item("a1", "patch", "deployments", &patch),
        item("a2", "update", "configmaps", &update),
        item("a3", "create", "configmaps", &create),
    ];
    let body = list(&items);
    assert!(is_empty_success(&post(&rig, body.clone()).await));
    let seen = rig.taken();
    let actions: Vec<&str> = seen.iter().map(|event| event.text("/action")).collect();
    let expected =
        ["k8s.apps.deployments.patch", "k8s.core.configmaps.update", "k8s.core.configmaps.create"];
    assert_eq!(actions, expected);
    assert!(seen.iter().all(|event| event.text("/source") == "k8s://prod"));
    let changes = &seen[0].members["changes"];
    assert_eq!(changes[0], json!({"field": "/spec/replicas", "new": 3}));
    assert_eq!(changes[1]["field"], "/metadata/labels/canary");
    assert!(seen[1].raw().contains(r#"{".":{},"f:eur":{}}"#));
    assert_eq!(seen[2].text("/outcome"), "failure");
    assert_eq!(seen[2].text("/outcome_code"), "409 AlreadyExists".split(' ').next().unwrap());
    // RAW is the bytes of the item, as they stand in the body.
    assert!(seen.iter().all(|event| body.contains(event.raw())));
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_caller_s_audit_id_hides_nothing() {
    let rig = Rig::new().await;
    let id = "11111111-2222-4333-8444-555555555555";
    let delete = item(id, "delete", "secrets", &json!({}));
    let get = json!({"sourceIPs": ["198.51.100.1", "203.0.113.9", "10.20.0.44"]});
    let get = item(id, "get", "pods", &get);
    let other = item("other", "get", "pods", &json!({}));
    let body = list(&[delete.clone(), get, delete, other]);
    for _ in 0..2 {
        assert!(is_empty_success(&post(&rig, body.clone()).await));
        let seen = rig.taken();
        assert_eq!(seen.len(), 3, "the third item is the first one again");
        assert!(seen[..2].iter().all(|event| event.flags().contains(&"audit_id_shared")));
        assert!(!seen[2].flags().contains(&"audit_id_shared"));
        assert_eq!(seen[1].text("/origin/ip"), "10.20.0.44");
        let forwarded = seen[1].texts("/origin/forwarded_for");
        assert_eq!(forwarded, ["198.51.100.1", "203.0.113.9"]);
    }
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_line_stands_in_raw_alone() {
    let rig = Rig::new().await;
    let secret = "test-token-4711";
    let exec = json!({"requestURI":
            format!("/api/v1/namespaces/shop/pods/a/exec?command=--token%3D{secret}&stdout=true"),
        "objectRef": {"resource": "pods", "namespace": "shop", "name": "a", "apiVersion": "v1",
            "subresource": "exec"},
        "responseStatus": {"metadata": {}, "code": 101}});
    let body = list(&[item("b1", "create", "pods", &exec)]);
    assert!(is_empty_success(&post(&rig, body).await));
    let seen = rig.taken();
    assert_eq!(seen[0].text("/action"), "k8s.core.pods.exec.create");
    assert_eq!((seen[0].text("/operation"), seen[0].text("/outcome")), ("execute", "success"));
    assert_eq!(seen[0].text("/request/path"), "/api/v1/namespaces/shop/pods/a/exec");
    assert!(!seen[0].members.to_string().contains(secret) && seen[0].raw().contains(secret));
    assert!(!rig.server.metrics().encode().contains(secret));
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_longer_than_a_member_may_be_is_cut_and_named() {
    let rig = Rig::new().await;
    let user = format!("system:serviceaccount:{}:{}", "n".repeat(63), "s".repeat(250));
    let groups: Vec<String> = (0..91).map(|at| format!("team-{at:03}")).collect();
    let mut addresses: Vec<String> = (1..30).map(|at| format!("192.0.2.{at}")).collect();
    addresses.push("10.20.0.7".to_owned());
    let large = json!({"user": {"username": user, "groups": groups}, "sourceIPs": addresses,
        "userAgent": "U".repeat(1_500),
        "objectRef": {"resource": "gadgets", "name": "g".repeat(200), "namespace": "n".repeat(63),
            "apiGroup": format!("widgets.{}.{}.example.com", "x".repeat(60), "y".repeat(60))}});
    let cut = json!({"annotations": {"audit.k8s.io/truncated": "true"}});
    let body = list(&[item("c1", "patch", "gadgets", &large), item("c2", "get", "pods", &cut)]);
    assert!(is_empty_success(&post(&rig, body).await));
    let seen = rig.taken();
    assert_eq!(seen.len(), 2);
    let truncated = seen[0].texts("/truncated");
    for pointer in ["/action", "/actor/id", "/actor/groups", "/origin/forwarded_for"] {
        assert!(truncated.contains(&pointer), "{pointer} in {truncated:?}");
    }
    assert_eq!(seen[0].text("/origin/ip"), "10.20.0.7");
    assert!(seen[0].raw().contains(&user) && seen[0].flags().contains(&"truncated"));
    assert!(seen[1].flags().contains(&"source_cut"));
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_of_a_batch_is_kept_and_the_batch_is_taken() {
    let rig = Rig::new().await;
    let good = item("d1", "get", "pods", &json!({}));
    let no_verb = json!({"auditID": "d2", "stage": "ResponseComplete"});
    let body = list(&[no_verb.clone(), good, json!(7)]);
    for _ in 0..3 {
        assert!(is_empty_success(&post(&rig, body.clone()).await));
    }
    assert_eq!(rig.taken().len(), 1);
    let malformed = rig.malformed();
    assert_eq!(malformed.len(), 1, "the same request is kept once");
    let event = &malformed[0];
    assert!(event.items().starts_with("0: verb is missing; 2: "), "{}", event.items());
    assert_eq!(event.raw(), format!("{no_verb}7"));
    assert_eq!(event.members["metadata"]["refused"], 2);
    assert!(event.text("/metadata/request_digest").starts_with("h:"));
    assert_eq!(event.text("/metadata/request_digest"), event.text("/id"));
    assert_eq!(event.members["targets"][0], json!({"type": "source", "id": "k8s://prod"}));
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_can_be_read_is_400_and_kept_once_though_sent_six_times() {
    let rig = Rig::new().await;
    let bodies = [
        "not json".to_owned(),
        String::new(),
        json!({"kind": "Event"}).to_string(),
        list(&[json!({"auditID": "x"})]),
    ];
    for body in &bodies {
        for _ in 0..6 {
            let answer = post(&rig, body.clone()).await;
            assert_eq!(answer.status, 400, "{body}");
        }
    }
    let malformed = rig.malformed();
    assert_eq!(malformed.len(), bodies.len());
    assert_eq!(malformed[0].raw(), "not json");
    assert!(malformed[0].items().starts_with("request: not JSON"), "{}", malformed[0].items());
    assert_eq!(malformed[3].raw(), r#"{"auditID":"x"}"#);
    assert!(rig.taken().is_empty());
    // An empty list is nothing to complain about.
    assert!(is_empty_success(&post(&rig, list(&[])).await));
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_post_is_taken_up_to_the_limit() {
    let rig = Rig::with(&[("k8s_body_bytes_max", "4096")]).await;
    let mut body = list(&[item("e1", "get", "pods", &json!({}))]);
    body.extend(std::iter::repeat_n(' ', 4_096 - body.len()));
    assert!(is_empty_success(&post(&rig, body.clone()).await));
    assert_eq!(rig.taken().len(), 1);
    body.push(' ');
    for _ in 0..2 {
        assert_eq!(post(&rig, body.clone()).await.status, 413);
    }
    let malformed = rig.malformed();
    assert_eq!(malformed.len(), 1);
    assert_eq!(malformed[0].members["metadata"]["request_bytes"], 4_097);
    assert!(malformed[0].raw.is_none());
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn there_is_no_redirect_and_no_other_method() {
    let rig = Rig::new().await;
    for path in ["/v1/k8s/prod/audit/", "/v1/k8s//audit", "/v1/k8s/prod"] {
        assert_eq!(rig.post(path, &JSON, "{}").await.status, 404, "{path}");
    }
    assert_eq!(rig.ask("GET", "/v1/k8s/prod/audit", &[], "").await.status, 405);
    assert_eq!(rig.size("audit"), 0);
    rig.stop().await;
}

/// Posts of a real apiserver, if `CAIRN_TEST_KUBERNETES` names a folder of them, and else posts of the
/// same shape: one item each, as the blocking mode sends them, and large batches.
fn posts() -> Vec<Vec<u8>> {
    if let Some(folder) = std::env::var_os("CAIRN_TEST_KUBERNETES") {
        let mut files: Vec<PathBuf> = ["blocking", "batch"]
            .iter()
            .flat_map(|mode| std::fs::read_dir(PathBuf::from(&folder).join(mode)).unwrap())
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|it| it == "json"))
            .collect();
        files.sort();
        assert!(!files.is_empty());
        return files.iter().map(|path| std::fs::read(path).unwrap()).collect();
    }
    let large = json!({"requestObject": {"data": {"a": "x".repeat(200_000)}}});
    let items = |batch: usize, count: usize| -> Vec<Value> {
        let one = |at: usize| {
            let more = if at == 7 { large.clone() } else { json!({}) };
            item(&format!("{batch}-{at}"), ["get", "list", "create"][at % 3], "pods", &more)
        };
        (0..count).map(one).collect()
    };
    let single = (0..46).map(|batch| list(&items(batch, 1)).into_bytes());
    single.chain((46..54).map(|batch| list(&items(batch, 400)).into_bytes())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn recorded_posts_and_their_retries_give_each_item_once() {
    let rig = Rig::new().await;
    let posts = posts();
    let mut expected = BTreeSet::new();
    for (at, body) in posts.iter().enumerate() {
        let text = std::str::from_utf8(body).unwrap();
        let items = audit_event::mapping::kubernetes::split(text.as_bytes()).unwrap();
        expected.extend(items.map(<[u8]>::to_vec));
        // Some are sent again at once, as after an answer that was lost.
        for _ in 0..=usize::from(at % 2 == 0) {
            assert!(is_empty_success(&post(&rig, body.clone()).await));
        }
    }
    for body in &posts {
        assert!(is_empty_success(&post(&rig, body.clone()).await));
    }
    let seen = rig.taken();
    assert_eq!(seen.len(), expected.len());
    let kept: BTreeSet<Vec<u8>> = seen.into_iter().filter_map(|event| event.raw).collect();
    assert_eq!(kept, expected, "every item is kept, byte for byte");
    assert!(rig.malformed().is_empty());
    rig.stop().await;
}
