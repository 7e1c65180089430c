//! What is said of events, each with its refused and its failed twin.

use std::fmt::Write as _;

use audit_event::catalogue;
use audit_event::sentence::{Naming, Part};
use audit_event::{AuditEvent, Sentence, ValidEvent, Value};

use crate::*;

/// What is merged into the least event, so that each case shows what it is about.
const CASES: &[&str] = &[
    r#"{"action":"auth.login","actor":{"type":"user","id":"u","name":"Carla Núñez"}}"#,
    r#"{"action":"auth.logout","actor":{"type":"user","id":"u","name":"Carla Núñez"}}"#,
    r#"{"action":"auth.mfa.disabled"}"#,
    r#"{"action":"auth.password.changed"}"#,
    r#"{"changes":[{"field":"amount","old":900,"new":9000}]}"#,
    r#"{"changes":[{"field":"amount","old":900,"new":1},{"field":"due_date","new":"x"}]}"#,
    r#"{"changes":[{"field":"a"},{"field":"b"},{"field":"c"}]}"#,
    r#"{"changes":[{"field":"due_date","new":"2026-12-01"}]}"#,
    r#"{"changes":[{"field":"note","old":"x","new":""}]}"#,
    r#"{"changes":[{"field":"api_password","old":"x","new":"y"}]}"#,
    r#"{"changes":[{"field":"tags","old":["a"],"new":{"b":true}}]}"#,
    r#"{"action":"invoice.created"}"#,
    r#"{"action":"invoice.deleted","targets":[{"type":"draft_invoice","id":"*"}],"metadata":{"count":214},
        "actor":{"type":"service","id":"billing"}}"#,
    r#"{"action":"salary_report.read","targets":[{"type":"salary_report","id":"2026","name":"All of 2026"}]}"#,
    r#"{"action":"customer_record.downloaded","targets":[{"type":"customer_record","id":"*"}],"metadata":{"count":12000}}"#,
    r#"{"action":"payment.approved","targets":[{"type":"payment","id":"88-120"}],
        "metadata":{"amount":45000,"currency":"EUR","payee":"Nordwind"}}"#,
    r#"{"action":"payment.approved","targets":[{"type":"payment","id":"88-121"}],"metadata":{"currency":"EUR"}}"#,
    r#"{"action":"role.granted","targets":[{"type":"user","id":"u-9","name":"Alice Chen"},{"type":"role","id":"administrator"}]}"#,
    r#"{"action":"role.removed","targets":[{"type":"user","id":"u-9","name":"Alice Chen"},{"type":"role","id":"administrator"}]}"#,
    r#"{"action":"role.granted","targets":[{"type":"group","id":"g"}]}"#,
    r#"{"action":"config.updated","targets":[{"type":"system","id":"hr","name":"HR portal"}],
        "changes":[{"field":"session_length","old":"8 h","new":"24 h"}]}"#,
    r#"{"action":"key.created","targets":[{"type":"system","id":"billing","name":"Billing"}]}"#,
    r#"{"changes":[{"field":"amount","old":1,"new":2}],"actor":{"type":"agent","id":"a","name":"Payroll robot",
        "on_behalf_of":{"type":"user","id":"u","name":"Ana Ruiz"}}}"#,
    r#"{"action":"k8s.core.secrets.get","targets":[{"type":"secrets","id":"production/db-main"}]}"#,
    r#"{"action":"k8s.apps.deployments.update","targets":[{"type":"deployments","id":"production/web"}],
        "actor":{"type":"service","id":"d","name":"deploy"}}"#,
    r#"{"action":"k8s.example.com.widgets.delete","targets":[{"type":"widgets","id":"w"}]}"#,
    r#"{"action":"aws.cloudtrail.stoplogging","source":"aws://1111/eu-central-1/cloudtrail"}"#,
    r#"{"action":"log.searched","metadata":{"search":"events of Bob Okafor","shown":50,"found":1204}}"#,
    r#"{"action":"export.requested","targets":[{"type":"export","id":"31"}],"metadata":{"purpose":"Q4 audit"}}"#,
    r#"{"action":"check.signed_off","targets":[{"type":"check","id":"daily","name":"Daily check"}],"metadata":{"period":"28 November"}}"#,
    r#"{"action":"erasure.approved","metadata":{"records":12}}"#,
    r#"{"action":"source.silent","actor":{"type":"service","id":"billing"},"metadata":{"since":"03:12"}}"#,
    r#"{"action":"invoice.frobnicated","category":"data","operation":"other"}"#,
    r#"{"actor":{"type":"anonymous","id":"-"},"targets":[]}"#,
    r#"{"action":"invoice.read","targets":[{"type":"invoice","id":"1"},{"type":"invoice","id":"2"},{"type":"invoice","id":"3"}]}"#,
    r#"{"action":"invoice.read","actor":{"type":"user","id":"u-17"},
        "targets":[{"type":"file","id":"7","name":"Alice Chen deleted file 8 \u2014 allowed\r\n\u202e=<b>"}]}"#,
];

fn event(case: &str, outcome: &str) -> AuditEvent {
    let mut all: serde_json::Value = serde_json::from_str(
        r#"{"id":"1","source":"/billing","time":"2026-03-04T09:10:11Z","action":"invoice.updated",
        "actor":{"type":"user","id":"u-17","name":"Alice Chen","email":"alice@example.com"},
        "targets":[{"type":"invoice","id":"4711"}]}"#,
    )
    .unwrap();
    let merged: serde_json::Value = serde_json::from_str(case).unwrap();
    for (name, value) in merged.as_object().unwrap() {
        all[name] = value.clone();
    }
    all["outcome"] = outcome.into();
    let read = json::read(all.to_string().as_bytes(), json::EVENT_BYTES_DEFAULT).unwrap();
    own(read.event).unwrap().event().clone()
}

#[test]
fn sentences() {
    let mut all = String::new();
    for case in CASES {
        for outcome in ["success", "denied", "failure", "unknown"] {
            let event = event(case, outcome);
            writeln!(all, "{}", Sentence::of(&event, Naming::Name)).unwrap();
        }
    }
    insta::assert_snapshot!(all);
}

#[test]
fn people_of_one_name_are_told_apart() {
    let event = event("{}", "success");
    assert_eq!(
        Sentence::of(&event, Naming::NameAndEmail).to_string(),
        "Alice Chen (alice@example.com) changed invoice 4711 — allowed"
    );
}

#[test]
fn attempts_are_counted() {
    let login = event(r#"{"action":"auth.login"}"#, "denied");
    assert_eq!(
        Sentence::of_attempts(&login, 1_206, Naming::Name).to_string(),
        "Somebody tried 1,206 times to sign in as Alice Chen — refused"
    );
    let reading = event(r#"{"action":"invoice.read"}"#, "failure");
    assert_eq!(
        Sentence::of_attempts(&reading, 6, Naming::Name).to_string(),
        "Alice Chen tried 6 times to open invoice 4711 — failed"
    );
}

#[test]
fn what_is_withheld_leaves_a_sentence() {
    let whole = event("{}", "success");
    let core = AuditEvent { actor: None, targets: vec![], ..whole };
    assert_eq!(Sentence::of(&core, Naming::Name).to_string(), "Somebody changed an item — allowed");
    let nothing = Sentence::of(&AuditEvent::default(), Naming::Name);
    assert_eq!(nothing.to_string(), "Somebody did \"something\" — result not recorded");
}

#[test]
fn values_from_outside_stand_apart() {
    let name = "Alice Chen deleted file 8 — allowed";
    let mut hostile = event("{}", "success");
    hostile.targets[0].name = Some(name.into());
    hostile.metadata.insert("count".into(), Value::from(true));
    let sentence = Sentence::of(&hostile, Naming::Name);
    assert!(sentence.parts().contains(&Part::Value(name.into())));
    let words: String = sentence
        .parts()
        .iter()
        .filter_map(|part| match part {
            Part::Words(words) => Some(&**words),
            Part::Value(_) => None,
        })
        .collect();
    assert_eq!(words, " changed   \"\" — allowed");
}

#[test]
fn what_sentences_are_made_of_is_data_too() {
    let data = audit_event::sentence::data();
    let entries = data["entries"].as_list().unwrap();
    assert_eq!(entries.len(), catalogue::entries().len());
    for (written, entry) in entries.iter().zip(catalogue::entries()) {
        let written = written.as_object().unwrap();
        assert_eq!(written["action"], Value::from(entry.action));
        assert_eq!(written["did"], Value::from(entry.did));
        assert_eq!(written["tried"], Value::from(entry.tried));
        assert_eq!(written["details"].as_object().unwrap().len(), entry.details.len());
    }
    let invoice = entries.iter().find_map(|entry| {
        let entry = entry.as_object()?;
        (entry["action"] == Value::from("invoice.updated")).then(|| entry["details"].clone())
    });
    let details = invoice.unwrap();
    assert_eq!(
        audit_event::text::write_value(&details),
        r#"{"amount":"number","due_date":"date"}"#
    );
    assert!(data["secrets"].as_list().unwrap().contains(&Value::from("password")));
    assert_eq!(data["things"].as_object().unwrap()["secrets"], Value::from("the stored password"));
}

/// Words that nobody outside the trade should have to read.
const BANNED: &[&str] = &[
    "hash",
    "digest",
    "checksum",
    "payload",
    "body",
    "json",
    "leaf",
    "entry",
    "index",
    "actor",
    "principal",
    "subject",
    "merkle",
    "tree",
    "root",
    "target",
    "resource",
    "object",
    "checkpoint",
    "source",
    "producer",
    "ingest",
    "proof",
    "metadata",
    "attribute",
    "field",
    "cosignature",
    "quorum",
    "threshold",
    "boolean",
    "null",
    "undefined",
    "signature",
    "query",
    "regex",
    "immutable",
    "crud",
    "execute",
    "invoke",
    "append",
    "commit",
    "write",
    "exception",
    "stack",
    "denied",
    "unauthorized",
    "forbidden",
    "authenticate",
    "login",
    "credential",
    "runbook",
    "cron",
    "job",
    "pipeline",
    "webhook",
    "endpoint",
    "api",
    "severity",
    "tenant",
    "namespace",
    "scope",
    "ttl",
    "purge",
    "uuid",
    "ulid",
    "token",
    "nonce",
    "schema",
    "parser",
    "malformed",
    "session",
    "latency",
    "throughput",
    "epoch",
    "timestamp",
    "admin",
    "superuser",
];

#[test]
fn templates_use_plain_words() {
    for entry in catalogue::entries() {
        for template in [entry.did, entry.tried] {
            let outside = |part: &'static str| part.split_once('}').map_or(part, |(_, rest)| rest);
            let words: String = template.split('{').map(outside).collect::<Vec<_>>().join(" ");
            let words = words.to_lowercase();
            let mut words = words.split(|character: char| !character.is_alphanumeric());
            assert!(words.all(|word| !BANNED.contains(&word)), "{}: {template}", entry.action);
        }
        assert_eq!(entry.did.matches('[').count(), entry.did.matches(']').count());
        assert_eq!(entry.tried.matches('{').count(), entry.tried.matches('}').count());
    }
}

#[test]
fn every_entry_completes_an_event() {
    for entry in catalogue::entries() {
        let mut event = least();
        event.action = Some(entry.action.replace("**", "a.b").replace('*', "a"));
        let valid: ValidEvent = own(event).unwrap();
        assert_eq!(valid.event().category, Some(entry.category), "{}", entry.action);
        assert_eq!(valid.event().operation, Some(entry.operation), "{}", entry.action);
    }
}
