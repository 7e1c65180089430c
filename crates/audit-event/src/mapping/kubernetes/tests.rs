use proptest::prelude::*;

use super::*;
use crate::mapping::testing::{checked, flags, hold, intake, metadata, object, refusal, shown};

/// A call with these members beside the ones that every item has; later members replace earlier ones.
fn item(members: &str) -> String {
    let rest = r#""auditID":"a-1","requestURI":"/api/v1/namespaces/shop/pods/web-0?x=1","user":{"username":"ana",
        "groups":["ops","system:authenticated"]},"sourceIPs":["10.20.0.7"],"userAgent":"kubectl",
        "requestReceivedTimestamp":"2026-03-04T09:10:11.123456Z","stageTimestamp":"2026-03-04T09:10:12Z",
        "level":"Metadata","stage":"ResponseComplete","verb":"get","responseStatus":{"metadata":{},"code":200}"#;
    object(members, rest)
}

fn with<T>(members: &str, look: impl FnOnce(&Mapped<'_>) -> T) -> T {
    let text = item(members);
    look(&map(text.as_bytes(), &intake("k8s://prod")).unwrap())
}

fn refused(members: &str) -> String {
    let text = item(members);
    refusal(map(text.as_bytes(), &intake("k8s://prod")))
}

const POD: &str =
    r#""objectRef":{"resource":"pods","namespace":"shop","name":"web-0","apiVersion":"v1"}"#;

#[test]
fn a_call_says_who_did_what_to_which_object() {
    with(POD, |mapped| {
        assert_eq!(
            shown(&mapped.event),
            r#"{"action":"k8s.core.pods.get","actor":{"groups":["ops","system:authenticated"],"id":"ana","type":"user"},"metadata":{"auditID":"a-1","level":"Metadata","stage":"ResponseComplete","stageTimestamp":"2026-03-04T09:10:12Z","verb":"get"},"operation":"read","origin":{"ip":"10.20.0.7","user_agent":"kubectl"},"outcome":"success","outcome_code":"200","request":{"id":"a-1","path":"/api/v1/namespaces/shop/pods/web-0"},"schema":{"name":"audit.k8s.io","version":"v1"},"severity":"info","source":"k8s://prod","targets":[{"id":"shop/web-0","name":"web-0","parent":"shop","type":"pods"}],"time":"2026-03-04T09:10:11.123456Z","trace":{"correlation_id":"a-1"}}"#
        );
        assert_eq!(mapped.raw.as_ref(), item(POD).as_bytes());
        assert_eq!((mapped.id, mapped.event.id.as_deref()), (IdFrom::Content, None));
        assert!(flags(mapped).is_empty());
    });
}

#[test]
fn the_id_is_a_keyed_digest_of_the_item() {
    let (text, secret) = (item(""), crate::LogSecret::from([7; 32]));
    let mut mapped = map(text.as_bytes(), &intake("k8s://prod")).unwrap();
    mapped.set_content_id(&secret);
    let id = mapped.event.id.unwrap();
    assert_eq!(id, secret.id_of_item(text.as_bytes()));
    assert!(id.starts_with("h:") && id.len() == 34);
}

#[test]
fn items_of_a_list_keep_their_bytes_and_other_bodies_are_refused() {
    let body = r#"{"kind":"EventList","apiVersion":"audit.k8s.io/v1","metadata":{},"items":[{"a": 1},{}]}"#;
    let items: Vec<_> = split(body.as_bytes()).unwrap().collect();
    assert_eq!(items, [b"{\"a\": 1}".as_slice(), b"{}"]);
    let refused = |body: &str| split(body.as_bytes()).unwrap_err().to_string();
    assert_eq!(refused(r#"{"kind":"Event","items":[]}"#), "kind is none of: EventList");
    assert_eq!(refused(r#"{"kind":"EventList"}"#), "items is missing");
    assert_eq!(
        refused(r#"{"kind":"EventList","apiVersion":"audit.k8s.io/v1beta1","items":[]}"#),
        "apiVersion is none of: audit.k8s.io/v1"
    );
    assert_eq!(refused("[]"), "the event is not an object");
}

#[test]
fn wrong_types_are_refused_by_name() {
    assert_eq!(refused(r#""verb":null"#), "verb is missing");
    assert_eq!(refused(r#""stage":null"#), "stage is missing");
    assert_eq!(refused(r#""user":"ana""#), "user is not an object");
    assert_eq!(refused(r#""user":{"username":["ana"]}"#), "user.username is not a text");
    assert_eq!(refused(r#""sourceIPs":"10.0.0.1""#), "sourceIPs is not a list");
    assert_eq!(refused(r#""impersonatedUser":{}"#), "impersonatedUser.username is missing");
    assert_eq!(
        refused(r#""responseStatus":{"code":"no"}"#),
        "responseStatus.code is not a number from 0 on"
    );
    assert!(
        refused(r#""requestReceivedTimestamp":"2026-02-30T00:00:00Z""#)
            .contains("requestReceivedTimestamp")
    );
    assert_eq!(
        refused(r#""apiVersion":"audit.k8s.io/v2""#),
        "apiVersion is none of: audit.k8s.io/v1"
    );
}

#[test]
fn actions_name_group_resource_subresource_and_verb() {
    let cases = [
        (r#"{"resource":"pods"}"#, "create", "k8s.core.pods.create"),
        (r#"{"resource":"deployments","apiGroup":"apps"}"#, "patch", "k8s.apps.deployments.patch"),
        (
            r#"{"resource":"clusterroles","apiGroup":"rbac.authorization.k8s.io"}"#,
            "bind",
            "k8s.rbac.authorization.k8s.io.clusterroles.bind",
        ),
        (r#"{"resource":"pods","subresource":"exec"}"#, "create", "k8s.core.pods.exec.create"),
        (r#"{"resource":"pods"}"#, "", "k8s.core.pods.unknown"),
        ("null", "get", "k8s.nonresource.get"),
        (r#"{"apiVersion":"v1"}"#, "post", "k8s.nonresource.post"),
    ];
    for (object, verb, action) in cases {
        with(&format!(r#""objectRef":{object},"verb":"{verb}""#), |mapped| {
            assert_eq!(checked(mapped).action(), action);
        });
    }
}

#[test]
fn the_verb_and_the_subresource_give_the_operation() {
    use Operation::{Create, Delete, Execute, Other, Read, Update};
    let cases = [
        ("get", "", Read),
        ("list", "", Read),
        ("watch", "", Read),
        ("create", "", Create),
        ("update", "status", Update),
        ("patch", "", Update),
        ("delete", "", Delete),
        ("deletecollection", "", Delete),
        ("get", "exec", Execute),
        ("create", "attach", Execute),
        ("get", "portforward", Execute),
        ("get", "proxy", Execute),
        ("get", "log", Read),
        ("escalate", "", Other),
        ("", "", Other),
    ];
    for (verb, subresource, operation) in cases {
        let object = format!(
            r#""verb":"{verb}","objectRef":{{"resource":"pods","subresource":"{subresource}"}}"#
        );
        with(&object, |mapped| assert_eq!(mapped.event.operation, Some(operation), "{object}"));
    }
}

#[test]
fn some_calls_are_severe_and_most_are_not() {
    let severity = |verb: &str, subresource: &str| {
        let object = format!(
            r#""verb":"{verb}","objectRef":{{"resource":"pods","subresource":"{subresource}"}}"#
        );
        with(&object, |mapped| mapped.event.severity.unwrap())
    };
    for (verb, subresource) in [
        ("deletecollection", ""),
        ("escalate", ""),
        ("bind", ""),
        ("impersonate", ""),
        ("get", "exec"),
    ] {
        assert_eq!(severity(verb, subresource), Severity::High);
    }
    for (verb, subresource) in [("delete", ""), ("get", "log"), ("get", "proxy")] {
        assert_eq!(severity(verb, subresource), Severity::Info);
    }
}

#[test]
fn resources_have_categories() {
    let category =
        |object: &str| with(&format!(r#""objectRef":{object}"#), |mapped| mapped.event.category);
    assert_eq!(category(r#"{"resource":"secrets"}"#), Some(Category::Access));
    assert_eq!(category(r#"{"resource":"pods","subresource":"exec"}"#), Some(Category::Access));
    assert_eq!(
        category(r#"{"resource":"roles","apiGroup":"rbac.authorization.k8s.io"}"#),
        Some(Category::Config)
    );
    assert_eq!(category(r#"{"resource":"configmaps"}"#), Some(Category::Config));
    assert_eq!(
        category(r#"{"resource":"tokenreviews","apiGroup":"authentication.k8s.io"}"#),
        Some(Category::Auth)
    );
    assert_eq!(
        category(r#"{"resource":"serviceaccounts","subresource":"token"}"#),
        Some(Category::Auth)
    );
    assert_eq!(category(r#"{"resource":"secrets","apiGroup":"example.com"}"#), None);
    let (text, mut known) = (item(POD), intake("k8s://prod"));
    known.category = Some(Category::Data);
    assert_eq!(map(text.as_bytes(), &known).unwrap().event.category, Some(Category::Data));
}

#[test]
fn the_answer_gives_the_outcome() {
    use Outcome::{Denied, Failure, Success, Unknown};
    let cases = [
        (r#""responseStatus":{"code":200}"#, Success, Some("200")),
        (r#""responseStatus":{"code":101}"#, Success, Some("101")),
        (r#""responseStatus":{"code":399}"#, Success, Some("399")),
        (r#""responseStatus":{"code":409,"reason":"AlreadyExists"}"#, Failure, Some("409")),
        (r#""responseStatus":{"code":401}"#, Denied, Some("401")),
        (r#""responseStatus":{"code":403}"#, Denied, Some("403")),
        (r#""responseStatus":{"status":"Failure"}"#, Failure, None),
        (r#""annotations":{"authorization.k8s.io/decision":"forbid"}"#, Denied, Some("200")),
        (r#""annotations":{"authorization.k8s.io/decision":"allow"}"#, Success, Some("200")),
        (r#""stage":"Panic","responseStatus":null"#, Failure, None),
        (r#""stage":"RequestReceived","responseStatus":null"#, Unknown, None),
    ];
    for (members, outcome, code) in cases {
        with(members, |mapped| {
            assert_eq!(mapped.event.outcome, Some(outcome), "{members}");
            assert_eq!(mapped.event.outcome_code.as_deref(), code, "{members}");
        });
    }
    with(
        r#""responseStatus":{"code":409,"reason":"AlreadyExists","message":"it is there"}"#,
        |mapped| {
            assert_eq!(metadata(mapped, "reason"), Some("AlreadyExists"));
            assert_eq!(metadata(mapped, "message"), Some("it is there"));
        },
    );
}

#[test]
fn the_user_is_the_true_one_and_the_impersonated_the_other() {
    let members =
        r#""impersonatedUser":{"username":"system:serviceaccount:shop:bot","groups":["dev"]}"#;
    with(members, |mapped| {
        let actor = mapped.event.actor.as_ref().unwrap();
        assert_eq!((actor.kind, actor.id.as_str()), (ActorKind::User, "ana"));
        let party = actor.on_behalf_of.as_ref().unwrap();
        assert_eq!(
            (party.kind, party.id.as_str()),
            (ActorKind::Service, "system:serviceaccount:shop:bot")
        );
        assert_eq!(metadata(mapped, "impersonatedUser.groups"), Some(r#"["dev"]"#));
    });
    with("", |mapped| assert_eq!(mapped.event.actor.as_ref().unwrap().on_behalf_of, None));
}

#[test]
fn user_names_give_the_kind_of_actor() {
    let kind =
        |user: &str| with(&format!(r#""user":{user}"#), |mapped| checked(mapped).actor().kind);
    assert_eq!(kind(r#"{"username":"system:serviceaccount:a:b"}"#), ActorKind::Service);
    assert_eq!(kind(r#"{"username":"system:node:n1"}"#), ActorKind::System);
    assert_eq!(kind(r#"{"username":"system:anonymous"}"#), ActorKind::Anonymous);
    assert_eq!(kind(r#"{"username":"systema"}"#), ActorKind::User);
    assert_eq!(kind("{}"), ActorKind::Anonymous);
    let extra = r#"{"username":"ana","uid":"u-1","extra":{"example.com/team":["a","b"],
        "authentication.kubernetes.io/credential-id":["JTI=5"],"x":["y"]}}"#;
    with(&format!(r#""user":{extra}"#), |mapped| {
        assert_eq!(mapped.event.actor.as_ref().unwrap().session_id.as_deref(), Some("JTI=5"));
        assert_eq!(metadata(mapped, "user.uid"), Some("u-1"));
        assert_eq!(metadata(mapped, "user.extra.x"), Some("y"));
        assert_eq!(metadata(mapped, "user.extra.example.com/team"), Some(r#"["a","b"]"#));
    });
}

#[test]
fn only_the_last_address_is_the_peer() {
    with(r#""sourceIPs":["198.51.100.1","203.0.113.9","2001:DB8::0:7"]"#, |mapped| {
        let origin = &mapped.event.origin;
        assert_eq!(origin.ip.as_deref(), Some("2001:db8::7"));
        assert_eq!(origin.forwarded_for, ["198.51.100.1", "203.0.113.9"]);
    });
    with(r#""sourceIPs":[]"#, |mapped| assert_eq!(mapped.event.origin.ip, None));
}

#[test]
fn a_command_line_stays_in_raw() {
    let members = r#""requestURI":"/api/v1/namespaces/shop/pods/web-0/exec?command=--token%3Dtok-4711",
        "verb":"create","objectRef":{"resource":"pods","namespace":"shop","name":"web-0","subresource":"exec"},
        "responseStatus":{"code":101}"#;
    with(members, |mapped| {
        let path = mapped.event.request.path.as_deref();
        assert_eq!(path, Some("/api/v1/namespaces/shop/pods/web-0/exec"));
        assert!(!shown(&mapped.event).contains("tok-4711"));
        assert!(String::from_utf8_lossy(&mapped.raw).contains("tok-4711"));
    });
    with(r#""requestURI":"/livez?verbose&tok-4711","objectRef":null"#, |mapped| {
        let target = &mapped.event.targets[0];
        assert_eq!((target.kind.as_str(), target.id.as_str()), ("path", "/livez"));
        assert!(!shown(&mapped.event).contains("tok-4711"));
    });
}

#[test]
fn a_list_has_its_path_as_target() {
    let members = r#""requestURI":"/api/v1/namespaces/shop/pods?limit=5","verb":"list",
        "objectRef":{"resource":"pods","namespace":"shop"}"#;
    with(members, |mapped| {
        let target = &mapped.event.targets[0];
        assert_eq!(
            (target.kind.as_str(), target.id.as_str()),
            ("pods", "/api/v1/namespaces/shop/pods")
        );
        assert_eq!(target.parent.as_deref(), Some("shop"));
    });
    with(r#""requestURI":"""#, |mapped| assert!(mapped.event.targets.is_empty()));
}

#[test]
fn patches_become_changes_without_old_values() {
    let patch = |body: &str, rest: &str| {
        let members = format!(r#""verb":"patch","requestObject":{body}{rest}"#);
        with(&members, |mapped| {
            let changes = &mapped.event.changes;
            assert!(changes.iter().all(|change| change.old.is_none()));
            let text = |change: &crate::event::Change| {
                let new =
                    change.new.as_ref().map_or_else(|| "?".to_owned(), crate::text::write_value);
                format!("{}={new}", change.field)
            };
            let changes: Vec<_> = changes.iter().map(text).collect();
            (changes.join(" "), metadata(mapped, "patch.removed").map(str::to_owned))
        })
    };
    let operations = r#"[{"op":"replace","path":"/spec/replicas","value":3},
        {"op":"remove","path":"/metadata/labels/canary"},{"op":"test","path":"/a","value":1},
        {"op":"move","from":"/b","path":"/c"},5]"#;
    let (changes, removed) = patch(operations, "");
    assert_eq!(changes, "/spec/replicas=3 /metadata/labels/canary=? /b=? /c=?");
    assert_eq!(removed.as_deref(), Some(r#"["/metadata/labels/canary","/b"]"#));
    let (changes, removed) = patch(r#"{"spec":{"a/b":[1],"x":null},"y":{}}"#, "");
    assert_eq!(changes, "/spec/a~1b=[1] /spec/x=? /y={}");
    assert_eq!(removed.as_deref(), Some(r#"["/spec/x"]"#));
    let secret = r#","objectRef":{"resource":"secrets","name":"db"}"#;
    assert_eq!(patch(r#"{"data":{"password":"aHVudGVyMg=="}}"#, secret).0, "/data/password=?");
    with(r#""verb":"update","requestObject":{"a":1}"#, |mapped| {
        assert!(mapped.event.changes.is_empty());
    });
}

#[test]
fn numbers_of_a_patch_keep_their_spelling_and_long_patches_are_cut() {
    let body = r#""verb":"patch","requestObject":{"a":1e-7,"b":[9007199254740993]}"#;
    with(body, |mapped| {
        let numbers: Vec<_> = checked(mapped).event().numbers.iter().cloned().collect();
        assert_eq!(numbers, ["/changes/0/new", "/changes/1/new/0"]);
    });
    let many: Vec<String> = (0..150).map(|at| format!("\"k{at}\":{at}")).collect();
    with(&format!(r#""verb":"patch","requestObject":{{{}}}"#, many.join(",")), |mapped| {
        let valid = checked(mapped);
        assert_eq!(valid.event().changes.len(), 100);
        assert!(valid.truncated().contains("/changes"));
    });
}

#[test]
fn what_is_too_long_is_cut_and_named() {
    let long = "x".repeat(60);
    let groups: Vec<String> = (0..91).map(|at| format!("\"team-{at}\"")).collect();
    let addresses: Vec<String> = (1..31).map(|at| format!("\"192.0.2.{at}\"")).collect();
    let members = format!(
        r#""user":{{"username":"{}","groups":[{}]}},"sourceIPs":[{}],"userAgent":"{}",
        "objectRef":{{"resource":"gadgets","name":"g","apiGroup":"{long}.{long}.{long}.example.com"}}"#,
        "é".repeat(200),
        groups.join(","),
        addresses.join(","),
        "U".repeat(1_500),
    );
    with(&members, |mapped| {
        let valid = checked(mapped);
        let cut: Vec<_> = valid.truncated().iter().map(String::as_str).collect();
        let expected = [
            "/action",
            "/actor/groups",
            "/actor/id",
            "/origin/forwarded_for",
            "/origin/user_agent",
        ];
        assert_eq!(cut, expected);
        assert_eq!(valid.actor().id.len(), 256);
        assert_eq!(valid.event().origin.ip.as_deref(), Some("192.0.2.30"));
        assert_eq!(flags(mapped), ["truncated"]);
    });
}

#[test]
fn what_the_cluster_cut_is_flagged() {
    let flagged = |value: &str| {
        with(
            &format!(r#""annotations":{{"audit.k8s.io/truncated":"{value}","k":"v"}}"#),
            |mapped| {
                assert_eq!(metadata(mapped, "k"), Some("v"));
                flags(mapped)
            },
        )
    };
    assert_eq!(flagged("true"), ["source_cut"]);
    assert!(flagged("false").is_empty());
}

#[test]
fn an_annotation_does_not_stand_for_what_the_server_says() {
    with(r#""annotations":{"verb":"x","stage":"y"}"#, |mapped| {
        assert_eq!(
            (metadata(mapped, "verb"), metadata(mapped, "stage")),
            (Some("get"), Some("ResponseComplete"))
        );
        assert_eq!(flags(mapped), ["duplicate_keys"]);
    });
    assert_eq!(refused(r#""annotations":[]"#), "annotations is not an object");
}

#[test]
fn times_fall_back_to_the_stage_and_then_to_the_receipt() {
    with(r#""requestReceivedTimestamp":null"#, |mapped| {
        assert_eq!(mapped.event.time.unwrap().to_string(), "2026-03-04T09:10:12Z");
        assert!(flags(mapped).is_empty());
    });
    with(r#""requestReceivedTimestamp":null,"stageTimestamp":null"#, |mapped| {
        assert_eq!(flags(mapped), ["time_missing"]);
    });
}

#[test]
fn an_audit_id_is_shared_by_items_that_differ() {
    let texts = [
        item(r#""verb":"delete""#),
        item(r#""verb":"get""#),
        item(r#""verb":"delete""#),
        item(r#""auditID":"b""#),
        item(r#""stage":"Panic""#),
    ];
    let items: Vec<&[u8]> = texts.iter().map(String::as_bytes).collect();
    assert_eq!(audit_ids_shared(&items), [true, true, true, false, false]);
    assert_eq!(audit_ids_shared(&[items[0], items[2], b"{", b"{}"]), [false; 4]);
}

proptest! {
    #[test]
    fn arbitrary_items_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..100), value in "[\\[\\]{}\":a,0-9null]{0,12}") {
        hold(map(&bytes, &intake("k8s://prod")));
        drop(split(&bytes).map(Iterator::count));
        for name in ["user", "objectRef", "requestObject", "annotations", "responseStatus", "sourceIPs"] {
            let text = format!(r#"{{"stage":"s","verb":"patch","{name}":{value}}}"#);
            hold(map(text.as_bytes(), &intake("k8s://prod")));
        }
        audit_ids_shared(&[&bytes, &bytes]);
    }
}
