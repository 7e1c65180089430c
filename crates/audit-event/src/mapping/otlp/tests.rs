use proptest::prelude::*;

use super::severity as severity_of;
use super::*;
use crate::event::{Category, Operation};
use crate::mapping::testing::{checked, flags, hold, intake, metadata, refusal, shown};

/// 2026-03-04T09:10:11.123456789Z.
const TIME: u64 = 1_772_615_411_123_456_789;

/// A request with one record of these members.
fn request(members: &str) -> String {
    format!(
        r#"{{"resourceLogs":[{{"resource":{{"attributes":[{}]}},"schemaUrl":"urn:r","scopeLogs":[{{"scope":{{"name":"audit","version":"1"}},
        "logRecords":[{{{members}}}]}}]}}]}}"#,
        text("service.name", "billing"),
    )
}

fn text(key: &str, value: &str) -> String {
    format!(r#"{{"key":"{key}","value":{{"stringValue":"{value}"}}}}"#)
}

fn with<T>(members: &str, look: impl FnOnce(&Mapped<'_>) -> T) -> T {
    let body = request(members);
    let records = split_json(body.as_bytes()).unwrap();
    let mapped = map(&records[0], &intake("/otlp")).unwrap();
    checked(&mapped);
    look(&mapped)
}

fn refused(members: &str) -> String {
    let body = request(members);
    refusal(map(&split_json(body.as_bytes()).unwrap()[0], &intake("/otlp")))
}

#[test]
fn a_record_says_who_did_what() {
    let attributes = [
        text("user.id", "u-17"),
        text("user.name", "Ana"),
        text("session.id", "s"),
        r#"{"key":"user.roles","value":{"arrayValue":{"values":[{"stringValue":"ops"},{}]}}}"#
            .to_owned(),
        text("log.record.uid", "o-1"),
        text("audit.outcome", "denied"),
        text("audit.category", "data"),
        text("audit.operation", "update"),
        text("audit.target.id", "7"),
        text("audit.target.type", "invoice"),
        text("client.address", "2001:DB8::7"),
        text("user_agent.original", "curl"),
        text("error.type", "E1"),
        text("url.path", "/x?secret"),
        text("other", "kept"),
    ];
    let members = format!(
        r#""timeUnixNano":"{TIME}","observedTimeUnixNano":{TIME},"severityNumber":13,"severityText":"WARN",
        "eventName":"invoice.updated","body":{{"stringValue":"ana changed it"}},"attributes":[{}],
        "traceId":"5B8EFFF798038103D269B633813FC60C","spanId":"EEE19B7EC3C1B174","flags":1"#,
        attributes.join(",")
    );
    with(&members, |mapped| {
        assert_eq!(
            shown(&mapped.event),
            r#"{"action":"invoice.updated","actor":{"groups":["ops"],"id":"u-17","name":"Ana","session_id":"s","type":"user"},"category":"data","description":"ana changed it","id":"o-1","metadata":{"observed_time":"2026-03-04T09:10:11.123456789Z","other":"kept","resource.service.name":"billing","scope.name":"audit","scope.version":"1","severity_text":"WARN"},"operation":"update","origin":{"ip":"2001:db8::7","user_agent":"curl"},"outcome":"denied","outcome_code":"E1","request":{"path":"/x"},"schema":{"name":"urn:r"},"severity":"medium","source":"billing","targets":[{"id":"7","type":"invoice"}],"time":"2026-03-04T09:10:11.123456789Z","trace":{"span_id":"eee19b7ec3c1b174","trace_id":"5b8efff798038103d269b633813fc60c"}}"#
        );
        assert_eq!(mapped.raw.as_ref(), format!("{{{members}}}").as_bytes());
        assert_eq!((mapped.id, mapped.content_type), (IdFrom::Sender, "application/json"));
        assert!(flags(mapped).is_empty());
    });
}

#[test]
fn a_name_that_is_no_action_is_refused_unless_one_is_configured() {
    assert_eq!(refused(""), "event_name is missing");
    assert!(
        refused(r#""eventName":"Invoice Updated!""#).starts_with("event_name is not 2 to 12 parts")
    );
    let body = request(r#""eventName":"Invoice Updated!""#);
    let known = Intake { action: Some("otlp.log"), ..intake("/otlp") };
    let mapped = map(&split_json(body.as_bytes()).unwrap()[0], &known).unwrap();
    assert_eq!((checked(&mapped).action(), mapped.id), ("otlp.log", IdFrom::Server));
    with(&format!(r#""attributes":[{}]"#, text("event.name", "a.b")), |mapped| {
        assert_eq!(checked(mapped).action(), "a.b");
    });
}

#[test]
fn other_bodies_and_types_are_refused() {
    assert!(split_json(br#"{"message":"x"}"#).unwrap().is_empty());
    assert!(split_json(b"{}").unwrap().is_empty());
    assert_eq!(split_json(b"[{}]").unwrap_err().to_string(), "the event is not an object");
    assert!(split_json(b"{\"resourceLogs\":[{}").is_err());
    let error = split_json(br#"{"resourceLogs":[{"scopeLogs":{}}]}"#).unwrap_err();
    assert_eq!(error.to_string(), "resourceLogs[0].scopeLogs is not a list");
    assert_eq!(
        refused(r#""eventName":"a.b","timeUnixNano":"x""#),
        "timeUnixNano is not a number from 0 on"
    );
    let body = refused(r#""eventName":"a.b","body":{"intValue":"1.5"}"#);
    assert_eq!(body, "body.intValue is not a text");
    assert_eq!(refused(r#""eventName":"a.b","attributes":[5]"#), "attributes[0] is not an object");
}

#[test]
fn integers_of_64_bits_keep_their_digits() {
    let values = r#""eventName":"a.b","attributes":[{"key":"text","value":{"intValue":"9007199254740993"}},
        {"key":"bare","value":{"intValue":9007199254740993}},{"key":"small","value":{"intValue":"5"}},
        {"key":"rate","value":{"doubleValue":1.5}},{"key":"nan","value":{"doubleValue":"NaN"}}]"#;
    with(values, |mapped| {
        assert_eq!(metadata(mapped, "text"), Some("9007199254740993"));
        assert_eq!(metadata(mapped, "bare"), Some("9007199254740993"));
        assert_eq!(mapped.event.metadata["small"], crate::Integer::from(5).into());
        let numbers: Vec<_> = mapped.event.numbers.iter().map(String::as_str).collect();
        assert_eq!(numbers, ["/metadata/bare", "/metadata/rate", "/metadata/text"]);
        assert_eq!(metadata(mapped, "nan"), Some("NaN"));
    });
}

#[test]
fn times_fall_back_to_the_observed_and_then_to_the_receipt() {
    let time = |members: &str| {
        with(&format!(r#""eventName":"a.b"{members}"#), |mapped| {
            (checked(mapped).event().time.unwrap().to_string(), flags(mapped).join(" "))
        })
    };
    let exact = ("2026-03-04T09:10:11.123456789Z".to_owned(), String::new());
    assert_eq!(time(&format!(r#","timeUnixNano":{TIME}"#)), exact);
    assert_eq!(time(&format!(r#","timeUnixNano":"0","observedTimeUnixNano":"{TIME}""#)), exact);
    assert_eq!(time("").1, "time_missing");
}

#[test]
fn ids_that_are_none_are_absent() {
    let ids = |trace: &str, span: &str| {
        let members = format!(r#""eventName":"a.b","traceId":"{trace}","spanId":"{span}""#);
        with(&members, |mapped| {
            (mapped.event.trace.trace_id.is_some(), mapped.event.trace.span_id.is_some())
        })
    };
    let (trace, span) = ("5b8efff798038103d269b633813fc60c", "eee19b7ec3c1b174");
    assert_eq!(ids(trace, span), (true, true));
    assert_eq!(ids(trace, &"0".repeat(16)), (true, false));
    for bad in ["", &"0".repeat(32), &trace[..30], &trace.replace('5', "x")] {
        assert_eq!(ids(bad, span), (false, false), "{bad}");
    }
}

#[test]
fn severities_are_grouped() {
    use Severity::{Critical, High, Info, Low, Medium};
    let cases =
        [(1, Info), (9, Info), (10, Low), (13, Medium), (17, High), (21, Critical), (24, Critical)];
    for (number, severity) in cases {
        assert_eq!(severity_of(number), Some(severity));
    }
    for number in [0, 25] {
        assert_eq!(severity_of(number), None);
    }
}

#[test]
fn bodies_of_every_kind_are_taken() {
    let body = |value: &str| {
        with(&format!(r#""eventName":"a.b","body":{value}"#), |mapped| {
            (metadata(mapped, "body").map(str::to_owned), flags(mapped).join(" "))
        })
    };
    assert_eq!(body("{}"), (None, "time_missing".to_owned()));
    assert_eq!(body(r#"{"bytesValue":"AAECAwT/"}"#).0.as_deref(), Some("AAECAwT/"));
    let map = r#"{"kvlistValue":{"values":[{"key":"n","value":{"intValue":"120"}},{"key":"e","value":{}},
        {"key":"l","value":{"arrayValue":{"values":[{"intValue":"1"},{},{"boolValue":false}]}}}]}}"#;
    assert_eq!(body(map).0.as_deref(), Some(r#"{"e":null,"l":[1,null,false],"n":120}"#));
    let twice = r#"{"kvlistValue":{"values":[{"key":"i","value":{"stringValue":"7"}},{"key":"i","value":{"stringValue":"8"}}]}}"#;
    assert_eq!(
        body(twice),
        (Some(r#"{"i":"7"}"#.to_owned()), "duplicate_keys time_missing".to_owned())
    );
    let deep = r#"{"arrayValue":{"values":["#.repeat(60) + "{}" + &"]}}".repeat(60);
    assert!(body(&deep).1.contains("truncated"));
    let changes = r#"{"kvlistValue":{"values":[{"key":"changes","value":{"arrayValue":{"values":[{"kvlistValue":{"values":[
        {"key":"field","value":{"stringValue":"total"}},{"key":"old","value":{"intValue":"1"}}]}},{}]}}}]}}"#;
    with(&format!(r#""eventName":"a.b","body":{changes}"#), |mapped| {
        let valid = checked(mapped);
        let change = &valid.event().changes[0];
        assert_eq!((change.field.as_str(), change.new.as_ref()), ("total", None));
        assert_eq!(change.old, Some(crate::Integer::from(1).into()));
    });
}

#[test]
fn of_two_attributes_of_a_name_the_first_counts() {
    let members = format!(
        r#""eventName":"a.b","attributes":[{},{}]"#,
        text("user.id", "u-17"),
        text("user.id", "u-99")
    );
    with(&members, |mapped| {
        assert_eq!(checked(mapped).actor().id, "u-17");
        assert_eq!(flags(mapped), ["duplicate_keys", "time_missing"]);
    });
    with(
        &format!(r#""eventName":"a.b","attributes":[{}]"#, text("audit.outcome", "fine")),
        |mapped| {
            assert_eq!(mapped.event.outcome, Some(Outcome::Unknown));
            assert_eq!(metadata(mapped, "audit.outcome"), Some("fine"));
            assert_eq!(checked(mapped).actor(), &Actor::new(ActorKind::Service, "billing"));
        },
    );
}

#[test]
fn the_source_is_the_service_or_that_of_the_token() {
    let source = |attributes: &str| {
        let body =
            request(r#""eventName":"a.b""#).replace(&text("service.name", "billing"), attributes);
        let records = split_json(body.as_bytes()).unwrap();
        checked(&map(&records[0], &intake("/otlp")).unwrap()).source().to_owned()
    };
    assert_eq!(
        source(&format!("{},{}", text("service.namespace", "a b"), text("service.name", "c"))),
        "a%20b/c"
    );
    assert_eq!(source(&text("service.name", "unknown_service:java")), "/otlp");
    assert_eq!(source(""), "/otlp");
}

#[test]
fn what_a_resource_says_to_many_records_is_bounded_and_named_as_cut() {
    let many: Vec<String> =
        (0..100).map(|at| text(&format!("k{at}"), &"é".repeat(2_000))).collect();
    let body =
        request(r#""eventName":"a.b""#).replace(&text("service.name", "billing"), &many.join(","));
    let records = split_json(body.as_bytes()).unwrap();
    assert_eq!(records[0].context.resource.len(), RESOURCE_MAX);
    let valid = checked(&map(&records[0], &intake("/otlp")).unwrap());
    assert!(
        valid.truncated().contains("/metadata")
            && valid.truncated().contains("/metadata/resource.k0")
    );
}

/// A field of bytes; lengths here are below 128, or below 16,384 in two bytes.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let length = u16::try_from(bytes.len()).unwrap();
    let low = u8::try_from(length % 128).unwrap();
    let high = u8::try_from(length / 128).unwrap();
    let length = if high == 0 { vec![low] } else { vec![low | 0x80, high] };
    [vec![number << 3 | 2], length, bytes.to_vec()].concat()
}

fn fixed(number: u8, value: u64) -> Vec<u8> {
    [vec![number << 3 | 1], value.to_le_bytes().to_vec()].concat()
}

fn pair(key: &str, value: &[u8]) -> Vec<u8> {
    [field(1, key.as_bytes()), field(2, value)].concat()
}

fn protobuf_record() -> Vec<u8> {
    let big = [0x18, 0x81, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x10]; // field 3, 2^53 + 1
    let list = field(5, &[field(1, &field(1, b"ops")), field(1, &[])].concat());
    let map = field(6, &field(1, &pair("k", &[0x10, 1])));
    [
        fixed(1, TIME),
        vec![0x10, 17],
        field(3, b"ERROR"),
        field(5, &field(1, b"ana changed it")),
        field(6, &pair("user.id", &field(1, b"u-17"))),
        field(6, &pair("user.roles", &list)),
        field(6, &pair("big", &big)),
        field(6, &pair("rate", &fixed(4, 1.5_f64.to_bits()))),
        field(6, &pair("tiny", &fixed(4, 1e-7_f64.to_bits()))),
        field(
            6,
            &pair("minus", &[0x18, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]),
        ),
        field(6, &pair("map", &map)),
        field(6, &pair("bytes", &field(7, &[0, 1, 255]))),
        vec![0x45, 1, 0, 0, 0],
        field(9, &[0xab; 16]),
        field(10, &[0xcd; 8]),
        fixed(11, TIME),
        field(12, b"invoice.updated"),
        vec![0xf8, 0x01, 5], // an unknown field 31
    ]
    .concat()
}

fn protobuf_request(record: &[u8]) -> Vec<u8> {
    let scope =
        field(2, &[field(1, &field(1, b"audit")), field(2, record), field(3, b"urn:s")].concat());
    let resource = field(1, &field(1, &pair("service.name", &field(1, b"billing"))));
    field(1, &[scope, resource].concat()) // the resource behind its records
}

#[test]
fn protobuf_is_cut_into_records_with_their_bytes() {
    let body = protobuf_request(&protobuf_record());
    let records = split_protobuf(&body).unwrap();
    assert_eq!((records.len(), records[0].bytes()), (1, protobuf_record().as_slice()));
    let mapped = map(&records[0], &intake("/otlp")).unwrap();
    assert_eq!(
        shown(checked(&mapped).event()),
        r#"{"action":"invoice.updated","actor":{"groups":["ops"],"id":"u-17","type":"user"},"category":"data","description":"ana changed it","id":"01JNFTQXC0000000000000000","metadata":{"big":"9007199254740993","bytes":"AAH/","map":"{\"k\":true}","minus":-1,"observed_time":"2026-03-04T09:10:11.123456789Z","rate":"1.5","resource.service.name":"billing","scope.name":"audit","severity_text":"ERROR","tiny":"1e-7"},"operation":"update","outcome":"unknown","schema":{"name":"urn:s"},"severity":"high","source":"billing","time":"2026-03-04T09:10:11.123456789Z","trace":{"span_id":"cdcdcdcdcdcdcdcd","trace_id":"abababababababababababababababab"}}"#
    );
    assert_eq!(
        (mapped.raw.as_ref(), mapped.content_type),
        (protobuf_record().as_slice(), "application/x-protobuf")
    );
    let numbers: Vec<_> = mapped.event.numbers.iter().map(String::as_str).collect();
    assert_eq!(numbers, ["/metadata/big", "/metadata/rate", "/metadata/tiny"]);
    let known = Intake { category: Some(Category::Access), ..intake("/otlp") };
    assert_eq!(map(&records[0], &known).unwrap().event.category, Some(Category::Access));
    assert_eq!(checked(&mapped).event().operation, Some(Operation::Update));
    assert!(split_protobuf(b"").unwrap().is_empty());
}

#[test]
fn protobuf_that_breaks_off_is_refused() {
    let body = protobuf_request(&protobuf_record());
    for cut in 1..body.len() {
        assert!(split_protobuf(&body[..cut]).is_err(), "{cut}");
    }
    assert_eq!(
        split_protobuf(b"\x0a\x05").unwrap_err().to_string(),
        "not a protobuf message at byte 2"
    );
    for bad in [b"\x0b".as_slice(), b"\x00\x00", &[0xff; 11]] {
        assert!(matches!(split_protobuf(bad), Err(MapError::Protobuf { .. })));
    }
    let body = protobuf_request(b"\x0a");
    assert!(map(&split_protobuf(&body).unwrap()[0], &intake("/otlp")).is_err());
    let text = protobuf_request(&[field(12, b"a.b"), field(3, b"\xff")].concat());
    let mapped = map(&split_protobuf(&text).unwrap()[0], &intake("/otlp")).unwrap();
    assert!(flags(&mapped).contains(&"characters_replaced".to_owned()));
}

proptest! {
    #[test]
    fn arbitrary_requests_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..100), value in "[\\[\\]{}\":a,0-9null]{0,12}", at in 0_usize..300, byte in any::<u8>()) {
        drop(split_json(&bytes));
        drop(split_protobuf(&bytes));
        let context = Arc::new(Context::default());
        let record = Record { bytes: &bytes, encoding: Encoding::Protobuf, context };
        hold(map(&record, &intake("/otlp")));
        let mut body = protobuf_request(&protobuf_record());
        if let Some(place) = body.get_mut(at) {
            *place = byte;
        }
        for record in split_protobuf(&body).unwrap_or_default() {
            hold(map(&record, &intake("/otlp")));
        }
        for name in ["body", "attributes", "timeUnixNano", "traceId"] {
            let body = request(&format!(r#""eventName":"a.b","{name}":{value}"#));
            for record in split_json(body.as_bytes()).unwrap_or_default() {
                hold(map(&record, &intake("/otlp")));
            }
        }
    }
}
