//! Round trips, and that no bytes from outside panic or are read in two ways.

use audit_event::evidence::{Line, Status};
use audit_event::value::INTEGER_MAX;
use audit_event::{Integer, Tags, Value, text};
use proptest::prelude::*;

use crate::corpus::targets;
use crate::evidence::Log;

fn integers() -> impl Strategy<Value = Value> {
    (-INTEGER_MAX..=INTEGER_MAX).prop_map(|number| Integer::new(number).unwrap().into())
}

/// Values of any form, a few levels deep.
fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        integers(),
        any::<String>().prop_map(Value::from),
        "[\"\\\\/\u{0}-\u{1f}\u{7f}\u{2028}é😀]{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::List),
            prop::collection::btree_map(any::<String>(), inner, 0..4).prop_map(Value::Object),
        ]
    })
}

fn objects() -> impl Strategy<Value = audit_event::value::Object> {
    prop::collection::btree_map(any::<String>(), values(), 0..5)
}

/// JSON of an event whose members hold anything.
fn events() -> impl Strategy<Value = String> {
    let texts = || prop_oneof![any::<String>(), "[a-z]{1,9}", "x{60,300}"];
    let metadata = prop::collection::btree_map("[!-~]{1,8}", values(), 0..4);
    let changes = prop::collection::vec((texts(), values(), values()), 0..3);
    (texts(), texts(), texts(), metadata, changes, objects()).prop_map(
        |(id, name, path, metadata, changes, unknown)| {
            let change = |(field, old, new): (String, Value, Value)| {
                let pairs = [("field", Value::from(field)), ("old", old), ("new", new)];
                Value::Object(pairs.map(|(name, value)| (name.to_owned(), value)).into())
            };
            let target = [("type", "t"), ("id", &*name)].map(|(key, it)| (key.into(), it.into()));
            let actor = [("type", "user"), ("id", &*id), ("name", &*name)];
            let members = [
                ("id", Value::from(id.as_str())),
                ("source", Value::from("/billing")),
                ("time", Value::from("2026-03-04T09:10:11.25+02:00")),
                ("action", Value::from("invoice.updated")),
                ("outcome", Value::from("success")),
                ("actor", Value::Object(actor.map(|(key, it)| (key.to_owned(), it.into())).into())),
                ("targets", Value::List(vec![Value::Object(target.into())])),
                ("request", Value::Object([("path".to_owned(), path.into())].into())),
                ("metadata", Value::Object(metadata)),
                ("changes", Value::List(changes.into_iter().map(change).collect())),
                ("unknown", Value::Object(unknown)),
            ];
            text::write(&members.map(|(name, value)| (name.to_owned(), value)).into())
        },
    )
}

/// Bytes that look like JSON.
fn almost_json() -> impl Strategy<Value = Vec<u8>> {
    let pieces = prop_oneof![
        "[{}\\[\\]:,\" ]{1,3}",
        "\"[a-z]{0,3}\"",
        "-?[0-9]{1,20}(\\.[0-9]{1,3})?([eE][+-]?[0-9]{1,20})?",
        "\\\\u[0-9a-fD]{4}",
        Just("true".to_owned()),
        Just("null".to_owned()),
        any::<String>(),
    ];
    prop::collection::vec(pieces, 0..12).prop_map(|pieces| pieces.concat().into_bytes())
}

fn every_reader(bytes: &[u8]) {
    for target in [targets::event, targets::block, targets::evidence] {
        target(bytes);
    }
}

proptest! {
    #[test]
    fn what_was_written_is_read_back(object in objects()) {
        let written = text::write(&object);
        prop_assert_eq!(text::read(written.as_bytes()).unwrap(), object);
    }

    #[test]
    fn events_are_sealed_and_read_back(event in events()) {
        targets::event(event.as_bytes()); // asserts it
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        every_reader(&bytes);
    }

    #[test]
    fn no_almost_json_panics(bytes in almost_json()) {
        every_reader(&bytes);
    }

    #[test]
    fn other_readers_agree_on_what_is_json(bytes in almost_json()) {
        use audit_event::json::{Numbers, read_value};
        // What we accept, they accept; they also accept keys that stand twice.
        if read_value(&bytes, Numbers::Foreign).is_ok() {
            let other = serde_json::from_slice::<serde_json::Value>(&bytes);
            // They refuse numbers that a double cannot hold.
            prop_assert!(other.is_ok_and(|_| true) || read_value(&bytes, Numbers::Own).is_err());
        }
    }

    #[test]
    fn a_flipped_bit_of_a_line_is_never_verified(at in any::<prop::sample::Index>(), bit in 0..8u8) {
        let log = Log::of(1);
        let line = log.lines[0].write();
        let mut altered = line.into_bytes();
        let at = at.index(altered.len());
        altered[at] ^= 1 << bit;
        let Ok(altered) = Line::parse(&altered) else { return Ok(()) };
        if altered == log.lines[0] {
            return Ok(()); // hex digits of an escape, white space
        }
        let same_leaf = altered.leaf_hash() == log.lines[0].leaf_hash();
        let all_shown = altered.shown_tags() == altered.leaf.tags();
        let verified = altered.leaf.verify(&altered.shown(), Tags::NONE).is_ok();
        let same_index = altered.index == log.lines[0].index;
        prop_assert!(!(same_leaf && all_shown && verified && same_index));
    }
}

#[test]
fn a_flipped_bit_of_a_file_is_never_verified() {
    let log = Log::of(2);
    let files = log.export(&log.range(0..2), "{}", None);
    for (name, bytes) in &files {
        for at in (0..bytes.len()).step_by(7) {
            let mut altered = files.clone();
            altered.get_mut(name).unwrap()[at] ^= 1 << (at % 7);
            let (status, _) = crate::evidence::verify(&altered);
            // The words of the maker are nobody's to prove.
            assert!(status != Status::Holds || name == "manifest.json", "{name} byte {at}");
        }
    }
}

#[test]
fn hostile_json_is_refused() {
    let deep = |open: &str| open.repeat(10_000).into_bytes();
    for bytes in
        [deep("["), deep("{\"a\":"), deep("[{\"a\":"), vec![b'9'; 100_000], deep("\\ud800")]
    {
        every_reader(&bytes);
        assert!(text::read(&bytes).is_err());
        assert!(Line::parse(&bytes).is_err());
    }
    let digits = format!("{{\"metadata\":{{\"a\":1e{}}}}}", "9".repeat(100_000));
    assert!(audit_event::json::read(digits.as_bytes(), usize::MAX).is_err());
}
