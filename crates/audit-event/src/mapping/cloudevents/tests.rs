use proptest::prelude::*;

use super::*;
use crate::event::{Actor, ActorKind};
use crate::flag::Flags;
use crate::mapping::Recorded;
use crate::mapping::testing::{
    checked, flags, hold, intake, metadata, now, object, refusal, shown,
};
use crate::{Blocks, Fill, RecordedEvent, Stamp, ValidEvent, text};

const DATA: &str = r#"{"actor":{"type":"user","id":"u-17"},"category":"data","operation":"update",
    "outcome":"success","targets":[{"type":"invoice","id":"7"}]}"#;

/// An event with these members in place of the usual ones.
fn event(members: &str) -> String {
    let rest = format!(
        r#""specversion":"1.0","type":"com.example.audit.invoice.updated.v1","source":"/billing",
        "id":"ce-1","time":"2026-03-04T09:10:11Z","data":{DATA}"#
    );
    object(members, &rest)
}

fn with<T>(members: &str, look: impl FnOnce(&Mapped<'_>) -> T) -> T {
    let text = event(members);
    let mapped = map(text.as_bytes(), &intake("/billing")).unwrap();
    checked(&mapped);
    look(&mapped)
}

fn refused(members: &str) -> String {
    refusal(map(event(members).as_bytes(), &intake("/billing")))
}

#[test]
fn an_event_in_our_schema_is_taken_as_it_is() {
    let members = r#""subject":null,"traceparent":null,"tenantid":"t1","averyveryverylongextension":"ok","n":5,"b":true"#;
    with(members, |mapped| {
        assert_eq!(
            shown(&mapped.event),
            r#"{"action":"invoice.updated","actor":{"id":"u-17","type":"user"},"category":"data","id":"ce-1","metadata":{"averyveryverylongextension":"ok","b":"true","n":"5","tenantid":"t1"},"operation":"update","outcome":"success","source":"/billing","targets":[{"id":"7","type":"invoice"}],"time":"2026-03-04T09:10:11Z"}"#
        );
        assert_eq!(mapped.raw.as_ref(), event(members).as_bytes());
        assert_eq!(mapped.id, IdFrom::Sender);
        assert!(flags(mapped).is_empty());
    });
}

#[test]
fn a_batch_keeps_the_bytes_of_its_events() {
    let items: Vec<_> = split_batch(b"[{\"a\": 1} ,{}]").unwrap().collect();
    assert_eq!(items, [b"{\"a\": 1}".as_slice(), b"{}"]);
    assert_eq!(split_batch(b"{}").unwrap_err().to_string(), "the event is not a list");
}

#[test]
fn what_the_specification_forbids_is_refused_by_name() {
    assert_eq!(refused(r#""specversion":"0.3""#), "specversion is none of: 1.0");
    assert_eq!(refused(r#""id":null"#), "id is missing");
    assert_eq!(refused(r#""id":"""#), "id is empty");
    assert_eq!(refused(r#""type":null"#), "type is missing");
    assert_eq!(
        refused(r#""tenantID":"t1""#),
        "tenantID is not a name of lower-case letters and digits"
    );
    assert_eq!(refused(r#""labels":{"a":1}"#), "labels is not a text, a number or a truth value");
    assert_eq!(refused(r#""n":1.5"#), "n is not a text");
    let text = format!(r#""data":{:?}"#, DATA.replace('\n', ""));
    assert_eq!(refused(&text), "data.actor is missing");
    assert_eq!(refused(r#""data":{"actor":{"type":"user"}}"#), "data.actor.id is missing");
    assert_eq!(
        refused(r#""data":{"actor":{"type":"user","id":"a","id":"b"}}"#),
        "data.actor.id stands twice"
    );
    assert_eq!(refused(r#""datacontenttype":"text/plain""#), "data.actor is missing");
    let other = r#""data":{"actor":{"type":"user","id":"a"},"action":"invoice.deleted"}"#;
    assert!(refused(other).starts_with("data.action is not 2 to 12 parts"));
}

#[test]
fn times_are_those_of_rfc_3339() {
    let time = |text: &str| {
        with(&format!(r#""time":{text}"#), |mapped| {
            (checked(mapped).event().time.unwrap().to_string(), flags(mapped))
        })
    };
    let none: [&str; 0] = [];
    assert_eq!(
        time(r#""2026-03-04t09:10:11z""#),
        ("2026-03-04T09:10:11Z".to_owned(), none.map(String::from).to_vec())
    );
    assert_eq!(time(r#""1937-01-01T12:00:27.87+00:20""#).0, "1937-01-01T11:40:27.87Z");
    assert_eq!(time(r#""2026-03-04T09:10:11.123456789987Z""#).1, ["time_invalid"]);
    let leap = time(r#""2016-12-31T23:59:60Z""#);
    assert_eq!(
        leap,
        ("2016-12-31T23:59:59.999999999Z".to_owned(), vec!["time_invalid".to_owned()])
    );
    assert_eq!(time("null"), (now().to_string(), vec!["time_missing".to_owned()]));
    assert!(
        refused(r#""time":"2026-03-04T09:10:11""#).starts_with("time is not a time of the form")
    );
    assert_eq!(refused(r#""time":"2026-02-30T09:10:11Z""#), "time is not a time that exists");
}

#[test]
fn events_of_others_need_an_actor_and_a_type_that_is_an_action() {
    let other = r#""type":"com.github.PullRequest.opened","data":{"action":"opened","actor":"ana","labels":{"a":"b"}}"#;
    assert_eq!(refused(other), "data.actor is missing");
    let actor = Actor::new(ActorKind::Service, "github");
    let known = Intake { actor: Some(&actor), ..intake("/github") };
    let text = event(other);
    let mapped = map(text.as_bytes(), &known).unwrap();
    assert_eq!(checked(&mapped).action(), "com.github.pullrequest.opened");
    assert_eq!(checked(&mapped).actor().id, "github");
    let unusable = event(r#""type":"Opened!""#);
    assert!(refusal(map(unusable.as_bytes(), &known)).starts_with("type is not 2 to 12 parts"));
    let known = Intake { action: Some("github.event"), ..known };
    assert_eq!(
        map(unusable.as_bytes(), &known).unwrap().event.action.as_deref(),
        Some("github.event")
    );
}

#[test]
fn labels_are_for_those_who_speak_our_schema() {
    let labels = r#""data":{"actor":{"type":"user","id":"a"},"labels":{"team":"x"}}"#;
    with(labels, |mapped| assert_eq!(mapped.event.labels.len(), 1));
    with(&format!(r#"{labels},"type":"com.example.other""#), |mapped| {
        assert!(mapped.event.labels.is_empty() && mapped.event.actor.is_some());
    });
}

#[test]
fn a_subject_is_the_first_target_or_metadata() {
    with(r#""subject":"invoice/7""#, |mapped| assert_eq!(metadata(mapped, "subject"), None));
    with(r#""subject":"a/b""#, |mapped| assert_eq!(metadata(mapped, "subject"), Some("a/b")));
    let target = |subject: &str| {
        let members =
            format!(r#""subject":"{subject}","data":{{"actor":{{"type":"user","id":"a"}}}}"#);
        with(&members, |mapped| mapped.event.targets.first().map(subject_of))
    };
    assert_eq!(target("invoice/7/8").as_deref(), Some("invoice/7/8"));
    assert_eq!(target("alone").as_deref(), Some("subject/alone"));
    assert_eq!(target(""), None);
}

#[test]
fn traces_correlation_and_schema_have_places_of_their_own() {
    let parent = "00-5b8efff798038103d269b633813fc60c-eee19b7ec3c1b174-01";
    with(
        &format!(r#""traceparent":"{parent}","correlationid":"c-1","dataschema":"urn:x""#),
        |mapped| {
            assert_eq!(mapped.event.trace.trace_id.as_deref(), Some(&parent[3..35]));
            assert_eq!(mapped.event.trace.span_id.as_deref(), Some(&parent[36..52]));
            assert_eq!(mapped.event.trace.correlation_id.as_deref(), Some("c-1"));
            assert_eq!(mapped.event.schema.name.as_deref(), Some("urn:x"));
            assert!(mapped.event.metadata.is_empty());
        },
    );
    for bad in [parent.replace("5b", "5B"), parent.replace("00-", "99-"), "x".to_owned()] {
        with(&format!(r#""traceparent":"{bad}""#), |mapped| {
            assert_eq!(mapped.event.trace.trace_id, None);
            assert_eq!(metadata(mapped, "traceparent"), Some(bad.as_str()));
        });
    }
}

fn headers<'a>(more: &[(&'a str, &'a [u8])]) -> Vec<Header<'a>> {
    let all: [(&str, &[u8]); 5] = [
        ("ce-specversion", b"1.0"),
        ("ce-type", b"com.example.audit.invoice.updated.v1"),
        ("ce-source", b"/billing"),
        ("CE-Id", b"ce-1"),
        ("Content-Type", b"application/json; charset=utf-8"),
    ];
    let header = |(name, value): &(&'a str, &'a [u8])| Header { name, value };
    all.iter().chain(more).map(header).collect()
}

#[test]
fn headers_are_decoded_once() {
    let more: [(&str, &[u8]); 6] = [
        ("CE-Subject", b"Euro%20%E2%82%AC%20%f0%9f%98%80"),
        ("ce-note", b"100%2525"),
        ("ce-plain", b"a/b:c"),
        ("ce-quoted", b"\"a\\\"b\\\\%20\""),
        ("ce-odd", b"100%, %4"),
        ("Host", b"localhost"),
    ];
    let mapped = map_binary(&headers(&more), DATA.as_bytes(), &intake("/billing")).unwrap();
    for (key, text) in [
        ("subject", "Euro € 😀"),
        ("note", "100%25"),
        ("plain", "a/b:c"),
        ("quoted", "a\"b\\ "),
        ("odd", "100%, %4"),
    ] {
        assert_eq!(metadata(&mapped, key), Some(text));
    }
    assert_eq!(checked(&mapped).action(), "invoice.updated");
    let raw = String::from_utf8(mapped.raw.to_vec()).unwrap();
    assert!(raw.starts_with("ce-id: ce-1\r\nce-note: 100%2525\r\nce-odd: 100%, %4\r\nce-plain"));
    assert!(raw.ends_with(&format!("content-type: application/json; charset=utf-8\r\n\r\n{DATA}")));
    assert!(!raw.contains("localhost"));
}

#[test]
fn headers_that_are_no_text_are_refused_by_name() {
    let refused = |name: &str, value: &[u8]| {
        refusal(map_binary(&headers(&[(name, value)]), DATA.as_bytes(), &intake("/billing")))
    };
    assert_eq!(refused("ce-subject", b"a%C0%A0b"), "subject is not UTF-8 once it is decoded");
    assert_eq!(refused("ce-subject", b"a\xff"), "subject is not UTF-8 once it is decoded");
    assert_eq!(
        refused("ce-my_name", b"a"),
        "my_name is not a name of lower-case letters and digits"
    );
    assert_eq!(refused("ce-id", b"again"), "id stands twice");
    let none = map_binary(&headers(&[]), b"", &intake("/billing"));
    assert_eq!(refusal(none), "data.actor is missing");
}

#[test]
fn our_own_events_come_back_as_they_were() {
    let own = r#"{"id":"j-1","source":"/billing","time":"2026-03-04T09:10:11.5Z","action":"invoice.audit.updated.v2",
        "category":"data","operation":"update","outcome":"denied","outcome_code":"E1","severity":"high",
        "schema":{"name":"invoice","version":"2"},"retention_class":"six-years","labels":{"team":"x"},
        "actor":{"type":"user","id":"u-17","email":"a@example.com","on_behalf_of":{"type":"service","id":"s"}},
        "origin":{"ip":"198.51.100.9","forwarded_for":["10.0.0.1"]},"targets":[{"type":"in/voice","id":"7"},
        {"type":"b","id":"8"}],"changes":[{"field":"f","old":1,"new":{"a":[true]}}],"description":"d",
        "request":{"id":"r","path":"/x"},"trace":{"trace_id":"t","correlation_id":"c"},"metadata":{"subject":"m","n":5}}"#;
    let read = json::read(own.as_bytes(), json::EVENT_BYTES_DEFAULT).unwrap();
    let fill = Fill { now: now(), id: "x" };
    let valid = ValidEvent::own(read.event, Flags::new(), fill).unwrap();
    let blocks = Blocks::of(&valid, Stamp::default());
    let event =
        RecordedEvent::read(blocks.iter().map(|block| (block.tag(), block.bytes()))).unwrap();
    let recorded = Recorded {
        event: &event,
        index: 7,
        received_at: now(),
        leaf_hash: [1; 32],
        origin: "example.com/log",
    };
    let out = export(&recorded, &Domain::new("com.example").unwrap()).unwrap();
    assert_eq!(out["type"], Value::from("com.example.audit.invoice.audit.updated.v2.v1"));
    assert_eq!(out["logindex"], Value::from("7"));
    assert_eq!(out["subject"], Value::from("in/voice/7"));
    assert!(!text::write(&out).replace(&text::write_value(&out["data"]), "").contains("u-17"));
    let written = text::write(&out);
    let back = map(written.as_bytes(), &intake("/billing")).unwrap();
    assert_eq!(back.event, *valid.event());

    let erased = RecordedEvent::read(std::iter::empty()).unwrap();
    let recorded = Recorded { event: &erased, ..recorded };
    let error = export(&recorded, &Domain::new("com.example").unwrap()).unwrap_err();
    assert_eq!(error.to_string(), "the event 7 has no core any more");
}

#[test]
fn a_domain_cannot_be_taken_for_the_rest_of_a_type() {
    assert!(Domain::new("com.my-audit").is_some());
    for other in ["", "com.audit.x", "com..x", "Com.x", "com.x."] {
        assert_eq!(Domain::new(other), None, "{other}");
    }
}

proptest! {
    #[test]
    fn arbitrary_events_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..100), value in "[\\[\\]{}\":a,0-9null%]{0,12}") {
        hold(map(&bytes, &intake("/billing")));
        hold(map_binary(&headers(&[("ce-x", &bytes), ("ce-subject", value.as_bytes())]), DATA.as_bytes(), &intake("/billing")));
        hold(map_binary(&headers(&[]), &bytes, &intake("/billing")));
        for name in ["data", "subject", "traceparent", "time", "type"] {
            hold(map(event(&format!(r#""{name}":{value}"#)).as_bytes(), &intake("/billing")));
        }
    }
}
