//! Every limit, at the limit and one beyond it, of our own API and of a foreign source.

use audit_event::event::{Change, Party, ProducerSig, Target};
use audit_event::{Flag, Integer, Rule, Value};

use crate::*;

/// A text of this many bytes in a member.
type Put = fn(&mut AuditEvent, String);

fn actor(event: &mut AuditEvent) -> &mut Actor {
    event.actor.as_mut().unwrap()
}

fn target(event: &mut AuditEvent) -> &mut Target {
    event.targets = vec![Target { kind: "t".into(), id: "i".into(), ..Target::default() }];
    &mut event.targets[0]
}

fn change(event: &mut AuditEvent) -> &mut Change {
    event.changes = vec![Change { field: "f".into(), ..Change::default() }];
    &mut event.changes[0]
}

fn party(event: &mut AuditEvent) -> &mut Party {
    let party = Party { kind: ActorKind::User, id: "p".into(), name: None };
    actor(event).on_behalf_of.insert(party)
}

const TEXTS: &[(&str, usize, Put)] = &[
    ("id", 128, |event, text| event.id = Some(text)),
    ("source", 256, |event, text| event.source = Some(text)),
    ("outcome_code", 64, |event, text| event.outcome_code = Some(text)),
    ("schema.name", 64, |event, text| event.schema.name = Some(text)),
    ("schema.version", 64, |event, text| event.schema.version = Some(text)),
    ("retention_class", 64, |event, text| event.retention_class = Some(text)),
    ("labels.a", 256, |event, text| drop(event.labels.insert("a".into(), text))),
    ("actor.id", 256, |event, text| actor(event).id = text),
    ("actor.name", 256, |event, text| actor(event).name = Some(text)),
    ("actor.email", 320, |event, text| actor(event).email = Some(text)),
    ("actor.groups[0]", 256, |event, text| actor(event).groups = vec![text]),
    ("actor.session_id", 256, |event, text| actor(event).session_id = Some(text)),
    ("actor.auth_method", 64, |event, text| actor(event).auth_method = Some(text)),
    ("actor.on_behalf_of.id", 256, |event, text| party(event).id = text),
    ("actor.on_behalf_of.name", 256, |event, text| party(event).name = Some(text)),
    ("origin.ip", 64, |event, text| event.origin.ip = Some(text)),
    ("origin.forwarded_for[0]", 128, |event, text| event.origin.forwarded_for = vec![text]),
    ("origin.host", 255, |event, text| event.origin.host = Some(text)),
    ("origin.user_agent", 1_024, |event, text| event.origin.user_agent = Some(text)),
    ("origin.country", 64, |event, text| event.origin.country = Some(text)),
    ("origin.device", 256, |event, text| event.origin.device = Some(text)),
    ("targets[0].type", 128, |event, text| target(event).kind = text),
    ("targets[0].id", 512, |event, text| target(event).id = text),
    ("targets[0].name", 512, |event, text| target(event).name = Some(text)),
    ("targets[0].parent", 512, |event, text| target(event).parent = Some(text)),
    ("targets[0].uid", 512, |event, text| target(event).uid = Some(text)),
    ("changes[0].field", 256, |event, text| change(event).field = text),
    ("changes[0].old", 4_096, |event, text| change(event).old = Some(text.into())),
    ("changes[0].new", 4_096, |event, text| change(event).new = Some(text.into())),
    ("description", 1_024, |event, text| event.description = Some(text)),
    ("request.id", 256, |event, text| event.request.id = Some(text)),
    ("request.method", 64, |event, text| event.request.method = Some(text)),
    ("request.path", 2_048, |event, text| event.request.path = Some(text)),
    ("trace.trace_id", 128, |event, text| event.trace.trace_id = Some(text)),
    ("trace.span_id", 128, |event, text| event.trace.span_id = Some(text)),
    ("trace.correlation_id", 256, |event, text| event.trace.correlation_id = Some(text)),
    ("metadata.a", 1_024, |event, text| drop(event.metadata.insert("a".into(), text.into()))),
    ("subject_ref", 256, |event, text| event.subject_ref = Some(text)),
    ("producer_sig.key_id", 128, |event, text| {
        event.producer_sig = Some(ProducerSig { key_id: text, sig: [0; 64] });
    }),
];

/// Sets a number of items.
type Fill = fn(&mut AuditEvent, usize);

fn keys<T>(count: usize, value: &T) -> impl Iterator<Item = (String, T)>
where
    T: Clone,
{
    (0..count).map(|at| (format!("k{at:03}"), value.clone()))
}

const LISTS: &[(&str, usize, Fill)] = &[
    ("labels", 16, |event, count| event.labels = keys(count, &"v".to_owned()).collect()),
    ("actor.groups", 64, |event, count| actor(event).groups = vec!["g".into(); count]),
    ("origin.forwarded_for", 16, |event, count| {
        event.origin.forwarded_for = vec!["a".into(); count];
    }),
    ("targets", 32, |event, count| event.targets = vec![target(event).clone(); count]),
    ("changes", 100, |event, count| event.changes = vec![change(event).clone(); count]),
    ("metadata", 50, |event, count| event.metadata = keys(count, &Value::from(true)).collect()),
];

#[test]
fn texts_end_at_their_limits() {
    for (path, max, put) in TEXTS {
        let with = |length: usize| {
            let mut event = least();
            put(&mut event, "x".repeat(length));
            event
        };
        assert!(own(with(*max)).is_ok(), "{path}");
        let error = own(with(max + 1)).unwrap_err();
        assert_eq!(error.to_string(), format!("{path} has more than {max} bytes"));
        let uncut = foreign(with(*max)).unwrap();
        assert!(uncut.truncated().is_empty() && uncut.flags().is_empty(), "{path}");
        let cut = foreign(with(max + 1)).unwrap();
        assert_eq!(cut.truncated().len(), 1, "{path}");
        assert!(cut.flags().contains(&Flag::TRUNCATED), "{path}");
        assert_eq!(cut.event(), foreign(with(*max)).unwrap().event(), "{path}");
    }
}

#[test]
fn lists_end_at_their_limits() {
    for (path, max, put) in LISTS {
        let with = |count: usize| {
            let mut event = least();
            put(&mut event, count);
            event
        };
        assert!(own(with(*max)).is_ok(), "{path}");
        let error = own(with(max + 1)).unwrap_err();
        assert_eq!(error.to_string(), format!("{path} has more than {max} items"));
        let cut = foreign(with(max + 1)).unwrap();
        assert_eq!(cut.event(), foreign(with(*max)).unwrap().event(), "{path}");
        let pointer = format!("/{}", path.replace('.', "/"));
        assert_eq!(cut.truncated().iter().collect::<Vec<_>>(), [&pointer]);
    }
}

#[test]
fn cuts_end_with_a_whole_character() {
    let mut event = least();
    event.description = Some(format!("{}é", "x".repeat(1_023)));
    let cut = foreign(event).unwrap();
    assert_eq!(cut.event().description.as_deref(), Some(&*"x".repeat(1_023)));
    assert_eq!(cut.truncated().iter().collect::<Vec<_>>(), ["/description"]);
}

#[test]
fn identifiers_hold_no_control_characters() {
    for (path, put) in
        TEXTS.iter().filter(|(_, _, put)| is_identifier(*put)).map(|(p, _, f)| (p, f))
    {
        for control in ["\0", "\n", "\x1f", "\x7f"] {
            let mut event = least();
            put(&mut event, format!("a{control}b"));
            if *path != "source" {
                let replaced = foreign(event.clone()).unwrap();
                assert_eq!(replaced.truncated().len(), 1, "{path}");
            }
            assert_eq!(own(event).unwrap_err().rule, Rule::Control, "{path}");
        }
        let mut event = least();
        put(&mut event, String::new());
        assert_eq!(own(event.clone()).unwrap_err().rule, Rule::Empty, "{path}");
        assert_eq!(foreign(event).unwrap_err().rule, Rule::Empty, "{path}");
    }
    let mut event = least();
    actor(&mut event).name = Some("admin\r\n\u{1b}[2K\u{202e}".into());
    assert_eq!(own(event.clone()).unwrap().event(), foreign(event).unwrap().event());
}

/// Whether an empty text is refused there.
fn is_identifier(put: Put) -> bool {
    let mut event = least();
    put(&mut event, String::new());
    own(event).is_err()
}

#[test]
fn which_members_are_identifiers() {
    let paths = TEXTS.iter().filter(|(_, _, put)| is_identifier(*put)).map(|(path, _, _)| *path);
    let expected = [
        "id",
        "source",
        "retention_class",
        "actor.id",
        "actor.on_behalf_of.id",
        "targets[0].type",
        "targets[0].id",
        "changes[0].field",
        "producer_sig.key_id",
    ];
    assert_eq!(paths.collect::<Vec<_>>(), expected);
}

#[test]
fn actions_are_dotted_parts() {
    let with = |action: &str| {
        let mut event = least();
        event.action = Some(action.to_owned());
        event.category = Some(audit_event::event::Category::Data);
        event.operation = Some(audit_event::event::Operation::Other);
        event
    };
    let twelve = ["a"; 12].join(".");
    let longest = format!("a.{}", "b".repeat(126));
    for action in ["a.b", "k8s.rbac-x.roles_1.get", &twelve, &longest] {
        assert!(own(with(action)).is_ok(), "{action}");
    }
    let thirteen = ["a"; 13].join(".");
    for action in ["a", "A.b", "a..b", ".a", "a.", "a.b c", "ä.b", &thirteen] {
        assert_eq!(
            own(with(action)).unwrap_err().to_string(),
            "action is not 2 to 12 parts of a-z, 0-9, _ and - with dots between",
            "{action}"
        );
        assert!(foreign(with(action)).is_err() || action == "a.", "{action}");
    }
    assert_eq!(own(with(&format!("{longest}b"))).unwrap_err().rule, Rule::TooLong { max: 128 });
    let cut = foreign(with(&format!("{}.bb", "a.".to_owned() + &"b".repeat(125)))).unwrap();
    assert_eq!(cut.action(), "a.".to_owned() + &"b".repeat(125));
}

#[test]
fn sources_are_uri_references_and_never_the_servers_own() {
    let with = |source: &str| {
        let mut event = least();
        event.source = Some(source.to_owned());
        event
    };
    for source in ["/billing", "k8s://prod", "aws://1/eu/s3", "a%20b", "urn:x:y", "?q#f", "cairn"] {
        assert!(own(with(source)).is_ok(), "{source}");
    }
    for source in ["a b", "ü", "a%2", "a%zz", "<x>", "a\\b", "{x}"] {
        assert_eq!(own(with(source)).unwrap_err().to_string(), "source is not a URI reference");
    }
    for source in ["cairn:example.com/log", "Cairn:x", "CAIRN:"] {
        let refused = "source is reserved for the server itself";
        assert_eq!(own(with(source)).unwrap_err().to_string(), refused);
        assert_eq!(foreign(with(source)).unwrap_err().to_string(), refused);
    }
    let escapes = foreign(with(&"%C3%A4".repeat(43))).unwrap(); // 258 bytes, cut inside an escape
    assert_eq!(escapes.source(), "%C3%A4".repeat(42) + "%C3");
    let own = ValidEvent::of_server(least(), "example.com/log", fill()).unwrap();
    assert_eq!(own.source(), "cairn:example.com/log");
}

#[test]
fn keys_are_printable_ascii() {
    let with = |key: &str| {
        let mut event = least();
        event.metadata.insert(key.to_owned(), Value::from(true));
        event
    };
    for key in ["a", "a b/~", &"k".repeat(64)] {
        assert!(own(with(key)).is_ok(), "{key}");
    }
    for key in ["", "ä", "a\n", "\u{7f}", &"k".repeat(65)] {
        let text = "metadata has a key that is not 1 to 64 printable ASCII characters";
        assert_eq!(own(with(key)).unwrap_err().to_string(), text);
        assert_eq!(foreign(with(key)).unwrap_err().to_string(), text);
    }
}

#[test]
fn sides_of_a_change_count_as_their_text() {
    let with = |value: Value| {
        let mut event = least();
        change(&mut event).new = Some(value);
        event
    };
    let list = |items: usize| Value::List(vec![Integer::from(1).into(); items]); // [1,1,…]
    assert!(own(with(list(2_047))).is_ok());
    assert_eq!(own(with(list(2_048))).unwrap_err().rule, Rule::TooLong { max: 4_096 });
    let cut = foreign(with(list(2_048))).unwrap();
    let Some(Value::Text(text)) = &cut.event().changes[0].new else { panic!("not cut to a text") };
    assert!(text.starts_with("[1,1,") && text.len() == 4_096);
    let nested =
        |levels: usize| (0..levels).fold(Value::from("x"), |inner, _| Value::List(vec![inner]));
    assert!(own(with(nested(29))).is_ok());
    assert_eq!(own(with(nested(30))).unwrap_err().rule, Rule::TooDeep);
    assert_eq!(foreign(with(nested(1_000))).unwrap_err().rule, Rule::TooDeep);
}

#[test]
fn required_members_are_required() {
    type Remove = fn(&mut AuditEvent);
    let without: [(&str, Remove); 5] = [
        ("source", |event| event.source = None),
        ("time", |event| event.time = None),
        ("action", |event| event.action = None),
        ("outcome", |event| event.outcome = None),
        ("actor", |event| event.actor = None),
    ];
    for (name, remove) in without {
        let mut event = least();
        event.category = Some(audit_event::event::Category::Data);
        event.operation = Some(audit_event::event::Operation::Update);
        remove(&mut event);
        assert_eq!(own(event).unwrap_err().to_string(), format!("{name} is missing"));
    }
    let mut event = least();
    event.action = Some("invoice.frobnicated".into());
    assert_eq!(own(event.clone()).unwrap_err().to_string(), "category is missing");
    event.category = Some(audit_event::event::Category::Data);
    assert_eq!(own(event).unwrap_err().to_string(), "operation is missing");
}

#[test]
fn what_is_not_said_has_a_stated_default() {
    let mut event = least();
    event.id = None;
    let valid = own(event).unwrap();
    assert_eq!(valid.id(), fill().id);
    assert_eq!(valid.event().severity, Some(audit_event::event::Severity::Info));
    assert_eq!(valid.event().category, Some(audit_event::event::Category::Data));
    assert!(valid.flags().is_empty());

    let mut event = least();
    event.time = None;
    event.outcome = None;
    let valid = foreign(event).unwrap();
    assert_eq!(valid.event().time, Some(now()));
    assert_eq!(valid.event().outcome, Some(Outcome::Unknown));
    assert!(valid.flags().contains(&Flag::TIME_MISSING));
}

#[test]
fn a_clock_ahead_by_more_than_five_minutes_is_flagged() {
    let at = |seconds: i64, nanos: u32| {
        let mut event = least();
        event.time = Some(Instant::new(NOW + seconds, nanos).unwrap());
        own(event).unwrap().flags().contains(&Flag::CLOCK_SKEW)
    };
    assert!(!at(-1_000_000_000, 0) && !at(300, 0));
    assert!(at(300, 1) && at(1_000_000_000, 0));
}
