//! Log files of CloudTrail, and what an import of them came to.

use serde_json::{Value, json};

use crate::harness::{Rig, gzip};

fn record(id: &str, name: &str, more: &Value) -> Value {
    let mut record = json!({
        "eventVersion": "1.11", "eventID": id, "eventTime": "2026-03-04T09:10:11Z",
        "eventSource": "s3.amazonaws.com", "eventName": name, "awsRegion": "eu-west-1",
        "sourceIPAddress": "198.51.100.23", "userAgent": "aws-cli/2", "readOnly": true,
        "userIdentity": {"type": "IAMUser", "principalId": "AIDAEXAMPLEANA",
            "accountId": "111122223333", "userName": "ana"},
        "recipientAccountId": "111122223333", "managementEvent": true, "eventType": "AwsApiCall",
    });
    record.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    record
}

fn file(records: &[Value]) -> String {
    serde_json::to_string_pretty(&json!({ "Records": records })).unwrap()
}

fn counts(taken: u64, duplicates: u64, quarantined: u64, tree_size: u64) -> Value {
    json!({"taken": taken, "duplicates": duplicates, "quarantined": quarantined,
        "tree_size": tree_size})
}

async fn import(rig: &Rig, body: impl Into<bytes::Bytes>) -> Value {
    let answer = rig.post("/v1/cloudtrail", &[], body).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

#[tokio::test(flavor = "multi_thread")]
async fn outcomes_are_what_the_record_says_and_not_only_its_code() {
    let rig = Rig::new().await;
    let login = |id: &str, user: Value| {
        record(
            id,
            "ConsoleLogin",
            &json!({"eventSource": "signin.amazonaws.com",
            "eventType": "AwsConsoleSignIn", "readOnly": false, "userIdentity": user,
            "responseElements": {"ConsoleLogin": "Failure"},
            "errorMessage": "Failed authentication"}),
        )
    };
    let hidden = json!({"type": "IAMUser", "accountId": "111122223333",
        "userName": "HIDDEN_DUE_TO_SECURITY_REASONS"});
    let known = json!({"type": "IAMUser", "principalId": "AIDAEXAMPLEANA", "userName": "ana"});
    let coded = |id: &str, code: &str| record(id, "GetBucketPolicy", &json!({"errorCode": code}));
    let records = [
        login("1", known),
        login("2", hidden),
        coded("3", "AccessDenied"),
        coded("4", "AccessDeniedException"),
        coded("5", "Client.UnauthorizedOperation"),
        coded("6", "Client.InsufficientInstanceCapacity"),
        coded("7", "NoSuchBucketPolicy"),
        record("8", "ListBuckets", &json!({})),
    ];
    assert_eq!(import(&rig, file(&records)).await, counts(8, 0, 0, 8));
    let seen = rig.taken();
    let outcomes: Vec<&str> = seen.iter().map(|event| event.text("/outcome")).collect();
    let expected =
        ["failure", "failure", "denied", "denied", "denied", "failure", "failure", "success"];
    assert_eq!(outcomes, expected);
    assert_eq!(seen[0].text("/action"), "aws.signin.consolelogin");
    assert_eq!((seen[0].text("/category"), seen[0].text("/operation")), ("auth", "login"));
    assert!(!seen[1].text("/actor/id").is_empty());
    assert_eq!(seen[4].text("/outcome_code"), "Client.UnauthorizedOperation");
    assert_eq!(seen[7].text("/source"), "aws://111122223333/eu-west-1/s3.amazonaws.com");
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn records_of_every_shape_are_taken() {
    let rig = Rig::new().await;
    let insight = |id: &str, state: &str| {
        json!({"eventVersion": "1.09", "eventTime": "2026-03-04T12:44:00Z", "eventID": id,
            "awsRegion": "eu-west-1", "eventType": "AwsCloudTrailInsight",
            "recipientAccountId": "111122223333", "sharedEventID": "shared",
            "insightDetails": {"state": state, "eventSource": "ec2.amazonaws.com",
                "eventName": "DescribeRegions", "insightType": "ApiErrorRateInsight"}})
    };
    let internal = json!({"sourceIPAddress": "AWS Internal"});
    let service = json!({"sourceIPAddress": "batch.amazonaws.com",
        "requestParameters": {"overrides": [{"environment": "HIDDEN"}]}});
    let odd = json!({"sourceIPAddress": "2001:DB8:0:0:0:0:0:7", "requestParameters": {
        "environment": [{"name": "STAGE"}], "maxItems": "9007199254740993", "": "empty", "a.b": 1}});
    let bare = json!({"userIdentity": {"accountId": "111122223333",
        "invokedBy": "quicksight.amazonaws.com"}, "sourceIPAddress": null, "userAgent": null});
    let records = [
        insight("i1", "Start"),
        insight("i2", "End"),
        record("s1", "ListBuckets", &internal),
        record("s2", "RunTask", &service),
        record("s3", "SubmitJob", &odd),
        record("s4", "QueryDatabase", &bare),
    ];
    assert_eq!(import(&rig, file(&records)).await, counts(6, 0, 0, 6));
    let seen = rig.taken();
    assert_eq!(seen[0].text("/action"), "aws.cloudtrail.insight");
    assert_eq!((seen[0].text("/category"), seen[0].text("/actor/type")), ("system", "system"));
    assert!(seen[..2].iter().all(|event| event.text("/trace/correlation_id") == "shared"));
    let origin = |at: usize| (seen[at].text("/origin/ip"), seen[at].text("/origin/host"));
    assert_eq!(origin(2), ("", ""));
    assert_eq!(origin(3), ("", "batch.amazonaws.com"));
    assert_eq!(origin(4), ("2001:db8::7", ""));
    assert_eq!(
        (seen[5].text("/actor/type"), seen[5].text("/actor/id")),
        ("system", "quicksight.amazonaws.com")
    );
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_without_an_id_is_known_by_its_content() {
    let rig = Rig::new().await;
    let old = |time: &str| {
        let mut old =
            record("", "ListBuckets", &json!({"eventTime": time, "eventVersion": "1.10"}));
        for name in ["eventID", "recipientAccountId"] {
            old.as_object_mut().unwrap().remove(name);
        }
        old
    };
    let records = [
        old("2026-03-04T09:10:11Z"),
        old("2026-03-04T09:10:12Z"),
        record("3", "ListBuckets", &json!({})),
    ];
    assert_eq!(import(&rig, file(&records)).await, counts(3, 0, 0, 3));
    assert_eq!(import(&rig, file(&records)).await, counts(0, 3, 0, 3));
    let seen = rig.taken();
    assert!(seen[0].text("/id").starts_with("h:") && seen[0].text("/id") != seen[1].text("/id"));
    assert_eq!(seen[0].text("/schema/version"), "1.10");
    assert!(seen[0].text("/source").starts_with("aws://111122223333/"));
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_member_of_a_gzip_file_is_read_and_a_cut_one_is_refused() {
    let rig = Rig::new().await;
    let text = file(&[record("1", "A", &json!({})), record("2", "B", &json!({}))]);
    let (front, back) = text.split_at(text.len() / 2);
    let packed = [gzip(front.as_bytes()), gzip(back.as_bytes())].concat();
    assert_eq!(import(&rig, packed.clone()).await, counts(2, 0, 0, 2));
    let named = rig.post("/v1/cloudtrail", &[("content-encoding", "gzip")], packed.clone()).await;
    assert_eq!(named.json(), counts(0, 2, 0, 2));
    let cut = rig.post("/v1/cloudtrail", &[], packed[..packed.len() - 9].to_vec()).await;
    assert_eq!(cut.status, 400);
    assert!(cut.json()["error"]["message"].as_str().unwrap().contains("gzip"));
    assert_eq!(rig.taken().len(), 2);
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_is_counted_and_kept() {
    let rig = Rig::new().await;
    let bad = json!({"eventID": "x"});
    let body = file(&[record("1", "A", &json!({})), bad]);
    assert_eq!(import(&rig, body).await, counts(1, 0, 1, 1));
    let malformed = rig.malformed();
    assert_eq!(malformed[0].items(), "1: eventName is missing");
    let digest = rig.post("/v1/cloudtrail", &[], r#"{"awsAccountId":"1","logFiles":[]}"#).await;
    assert_eq!(
        (digest.status, digest.json()["error"]["message"].clone()),
        (400, json!("Records is missing"))
    );
    assert_eq!(rig.malformed().len(), 2);
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_imports_names_the_log_and_the_verdict_of_the_digest() {
    let rig = Rig::new().await;
    let body = file(&[record("1", "A", &json!({}))]);
    let invalid = rig.post("/v1/cloudtrail?log=audit&digest=invalid", &[], body.clone()).await;
    assert_eq!(invalid.status, 200);
    let seen = rig.taken();
    assert_eq!(seen[0].text("/metadata/digest"), "invalid");
    assert!(seen[0].flags().contains(&"digest_invalid"));
    for (query, status) in [("log=default", 503), ("log=none", 503), ("digest=No!", 400)] {
        let refused = rig.post(&format!("/v1/cloudtrail?{query}"), &[], body.clone()).await;
        assert_eq!(refused.status, status, "{query}");
    }
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_ends_with_an_event_that_counts() {
    let rig = Rig::new().await;
    let body = json!({"kind": "cloudtrail", "files": 3, "events": 10, "gaps": 0, "outcome": "failure",
        "verdicts": "2 valid, 1 invalid"});
    let answer = rig.post("/v1/logs/audit/imports", &[], body.to_string()).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!((&answer.json()["index"], &answer.json()["tree_size"]), (&json!(0), &json!(1)));
    let events = rig.events("audit");
    assert_eq!(
        (events[0].text("/action"), events[0].text("/outcome")),
        ("import.finished", "failure")
    );
    assert!(events[0].text("/source").starts_with("cairn:"));
    assert_eq!(events[0].members["metadata"]["files"], 3);
    assert_eq!(events[0].text("/metadata/verdicts"), "2 valid, 1 invalid");
    for (path, body, status) in [
        ("/v1/logs/audit/imports", "[]", 400),
        ("/v1/logs/audit/imports", r#"{"a":{}}"#, 400),
        ("/v1/logs/default/imports", r#"{"a":1}"#, 409),
        ("/v1/logs/system/imports", r#"{"a":1}"#, 403),
        ("/v1/logs/none/imports", r#"{"a":1}"#, 404),
    ] {
        assert_eq!(rig.post(path, &[], body).await.status, status, "{path} {body}");
    }
    let long = format!(r#"{{"a":"{}"}}"#, "x".repeat(64 * 1024));
    assert_eq!(rig.post("/v1/logs/audit/imports", &[], long).await.status, 413);
    assert_eq!(rig.size("audit"), 1);
    rig.stop().await;
}

/// The log files of `CAIRN_TEST_CLOUDTRAIL`, if it names a folder of them, and else files of the same
/// shape.
fn files() -> Vec<Vec<u8>> {
    if let Some(folder) = std::env::var_os("CAIRN_TEST_CLOUDTRAIL") {
        let mut paths: Vec<_> =
            std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.retain(|path| path.extension().is_some_and(|end| end == "json" || end == "gz"));
        paths.sort();
        assert!(!paths.is_empty());
        return paths.iter().map(|path| std::fs::read(path).unwrap()).collect();
    }
    let many = |file: usize| {
        let one = |at: usize| record(&format!("{file}-{at}"), "DeleteBucket", &json!({}));
        file_of(&(0..1_500).map(one).collect::<Vec<_>>())
    };
    (0..3).map(|number| gzip(many(number).as_bytes())).collect()
}

fn file_of(records: &[Value]) -> String {
    json!({ "Records": records }).to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_are_imported_twice_stand_there_once() {
    let rig = Rig::new().await;
    let files = files();
    for round in 0..2 {
        for body in &files {
            let answer = import(&rig, body.clone()).await;
            assert_eq!(answer["quarantined"], 0, "{answer}");
            let none = if round == 0 { "duplicates" } else { "taken" };
            assert_eq!(answer[none], 0, "{answer}");
        }
    }
    let sizes: u64 = rig.size("audit");
    assert!(sizes > 0 && rig.malformed().is_empty());
    rig.stop().await;
}
