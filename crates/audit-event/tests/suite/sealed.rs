//! Blocks, leaf, commitments, keys: an event from its JSON to the bytes that a log commits to, and back.

use std::collections::BTreeSet;

use audit_event::blocks::RAW_BYTES_MAX;
use audit_event::commit::CommitError;
use audit_event::{Flag, LogSecret, Raw, RecordedEvent, Tag, Tags, Value, Writer};

use crate::*;

/// An event with every member.
pub(crate) const WHOLE: &str = r#"{"id":"e-1","source":"/billing","time":"2026-03-04T10:10:11.50+01:00",
    "action":"invoice.updated","category":"data","operation":"update","outcome":"denied",
    "outcome_code":"403","severity":"low","schema":{"name":"invoice","version":"2"},
    "retention_class":"six","labels":{"b":"2","a":"1"},
    "actor":{"type":"user","id":"u-17","name":"Ana","email":"ana@example.com","groups":["g1","g2"],
        "session_id":"s","auth_method":"oidc","on_behalf_of":{"type":"service","id":"robot","name":"R"}},
    "origin":{"ip":"192.0.2.7","forwarded_for":["198.51.100.9"],"user_agent":"UA","host":"h",
        "country":"DE","device":"d"},
    "subject_ref":"subject",
    "targets":[{"type":"invoice","id":"7","name":"N","parent":"P","uid":"U"},{"type":"t","id":"i"}],
    "changes":[{"field":"amount","old":900,"new":9000.50},{"field":"note","old":"","new":null}],
    "description":"one \"sentence\"",
    "request":{"id":"r","method":"PUT","path":"/invoices/7"},
    "trace":{"trace_id":"t","span_id":"s","correlation_id":"c"},
    "metadata":{"n":-0.0,"share":0.50,"flag":true,"text":"x"},
    "producer_sig":{"alg":"ed25519","key_id":"k","sig":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=="}}"#;

fn seal(event: AuditEvent, stamp: Stamp) -> (Blocks, Leaf, Vec<Salt>) {
    let blocks = Blocks::of(&own(event).unwrap(), stamp);
    let (leaf, salts) = Leaf::commit(5, &blocks, salts()).unwrap();
    (blocks, leaf, salts)
}

fn shown<'a>(blocks: &'a Blocks, salts: &'a [Salt]) -> Vec<Shown<'a>> {
    let pairs = blocks.iter().zip(salts);
    pairs.map(|(block, salt)| Shown { tag: block.tag(), salt, bytes: block.bytes() }).collect()
}

#[test]
fn an_event_stands_in_seven_blocks() {
    let raw = Raw::new(b"\xffas it came".to_vec(), Some("text/plain"));
    let writer = Writer::Person { issuer: "https://id.example".into(), subject: "42".into() };
    let stamp = Stamp { writer: Some(writer), raw: Some(raw) };
    let blocks = Blocks::of(&own(read(WHOLE).event).unwrap(), stamp);
    let (raw, texts): (Vec<_>, Vec<_>) = blocks.iter().partition(|block| block.tag() == Tag::Raw);
    assert_eq!(raw[0].bytes(), b"\xffas it came");
    let expected = [
        r#"{"action":"invoice.updated","category":"data","id":"e-1","labels":{"a":"1","b":"2"},"operation":"update","outcome":"denied","outcome_code":"403","retention_class":"six","schema":{"name":"invoice","version":"2"},"severity":"low","source":"/billing","time":"2026-03-04T09:10:11.5Z"}"#,
        r#"{"auth_method":"oidc","email":"ana@example.com","groups":["g1","g2"],"id":"u-17","name":"Ana","on_behalf_of":{"id":"robot","name":"R","type":"service"},"session_id":"s","type":"user"}"#,
        r#"{"country":"DE","device":"d","forwarded_for":["198.51.100.9"],"host":"h","ip":"192.0.2.7","user_agent":"UA"}"#,
        r#"{"description":"one \"sentence\"","targets":[{"id":"7","name":"N","parent":"P","type":"invoice","uid":"U"},{"id":"i","type":"t"}]}"#,
        r#"{"changes":[{"field":"amount","new":"9000.50","old":900},{"field":"note","old":""}]}"#,
        r#"{"metadata":{"flag":true,"n":0,"share":"0.50","text":"x"},"numbers":["/changes/0/new","/metadata/share"],"producer_sig":{"alg":"ed25519","key_id":"k","sig":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=="},"raw_content_type":"text/plain","request":{"id":"r","method":"PUT","path":"/invoices/7"},"subject_ref":"subject","trace":{"correlation_id":"c","span_id":"s","trace_id":"t"},"writer":{"issuer":"https://id.example","subject":"42"}}"#,
    ];
    let texts = texts.into_iter().map(|block| std::str::from_utf8(block.bytes()).unwrap());
    assert_eq!(texts.collect::<Vec<_>>(), expected);
}

#[test]
fn blocks_without_members_are_left_out() {
    let (blocks, leaf, _) = seal(least(), Stamp::default());
    assert_eq!(
        texts(&blocks),
        [
            ("core".to_owned(), r#"{"action":"invoice.updated","category":"data","id":"j-1","operation":"update","outcome":"success","severity":"info","source":"/billing","time":"2026-03-04T09:10:11Z"}"#.to_owned()),
            ("actor".to_owned(), r#"{"id":"u-17","type":"user"}"#.to_owned()),
        ]
    );
    assert_eq!(leaf.tags(), [Tag::Core, Tag::Actor].into_iter().collect());
}

#[test]
fn what_was_written_is_read_back() {
    let event = read(WHOLE).event;
    let stamp = Stamp { writer: Some(Writer::Token("w".into())), raw: None };
    let (blocks, _, _) = seal(event.clone(), stamp);
    let recorded =
        RecordedEvent::read(blocks.iter().map(|block| (block.tag(), block.bytes()))).unwrap();
    assert_eq!(recorded.event, event);
    assert_eq!(recorded.writer, Some(Writer::Token("w".into())));
    assert!(recorded.unknown.is_empty() && recorded.flags.is_empty());
    let again = json::write(&AuditEvent { numbers: BTreeSet::new(), ..event.clone() });
    assert_eq!(AuditEvent { numbers: event.numbers.clone(), ..read(&again).event }, event);

    let actor_alone = blocks.iter().filter(|block| block.tag() == Tag::Actor);
    let recorded =
        RecordedEvent::read(actor_alone.map(|block| (block.tag(), block.bytes()))).unwrap();
    assert_eq!(recorded.event, AuditEvent { actor: event.actor, ..AuditEvent::default() });

    let newer = br#"{"later":1,"outcome":"success"}"#;
    let recorded = RecordedEvent::read([(Tag::Core, &newer[..])]).unwrap();
    assert_eq!(recorded.unknown[0].0.pointer(), "/later");
    for bad in [&b"{\"outcome\":\"ok\"}"[..], b"{ }", b"[]", b"\xff"] {
        assert!(RecordedEvent::read([(Tag::Core, bad)]).is_err());
    }
}

#[test]
fn a_larger_item_keeps_its_first_4_mib() {
    let item =
        |length: usize| Stamp { writer: None, raw: Some(Raw::new(vec![b'x'; length], None)) };
    let (whole, _, _) = seal(least(), item(RAW_BYTES_MAX));
    assert_eq!(whole.get(Tag::Raw).unwrap().bytes().len(), RAW_BYTES_MAX);
    assert!(whole.get(Tag::Detail).is_none());
    let (cut, _, _) = seal(least(), item(RAW_BYTES_MAX + 1));
    assert_eq!(cut.get(Tag::Raw).unwrap().bytes().len(), RAW_BYTES_MAX);
    let recorded =
        RecordedEvent::read(cut.iter().map(|block| (block.tag(), block.bytes()))).unwrap();
    assert!(recorded.flags.contains(&Flag::RAW_CUT));
    assert_eq!(recorded.raw_size, Some(4_194_305));
    assert_eq!(recorded.raw_sha256.unwrap()[..4], [0x8d, 0x3d, 0x3c, 0x04]);
}

#[test]
fn every_subset_of_blocks_verifies() {
    let raw = Some(Raw::new(b"raw".to_vec(), None));
    let (blocks, leaf, salts) = seal(read(WHOLE).event, Stamp { writer: None, raw });
    let all = shown(&blocks, &salts);
    for bits in 0..128u8 {
        let pick = |wanted: bool| {
            let picked = (0..7).filter(move |at| (bits >> at & 1 == 1) == wanted);
            picked.map(|at| all[at]).collect::<Vec<_>>()
        };
        let others: Tags = pick(false).iter().map(|shown| shown.tag).collect();
        let coverage = leaf.verify(&pick(true), Tags::NONE).unwrap();
        assert_eq!(coverage.withheld, others);
        assert_eq!(coverage.shown, leaf.tags().without(others));
        let coverage = leaf.verify(&pick(true), others).unwrap();
        assert_eq!((coverage.erased, coverage.withheld), (others, Tags::NONE));
    }
}

#[test]
fn another_bit_anywhere_is_refused() {
    let (blocks, leaf, salts) = seal(least(), Stamp::default());
    let all = shown(&blocks, &salts);
    for (at, original) in all.iter().enumerate() {
        let refused = |changed: Shown<'_>| {
            let mut others = all.clone();
            others[at] = changed;
            let error = leaf.verify(&others, Tags::NONE).unwrap_err();
            assert_eq!(error, CommitError::Mismatch { tag: original.tag });
        };
        for bit in 0..original.bytes.len() * 8 {
            let mut bytes = original.bytes.to_vec();
            bytes[bit / 8] ^= 1 << (bit % 8);
            refused(Shown { bytes: &bytes, ..*original });
        }
        for bit in 0..128 {
            let mut salt = *original.salt.as_bytes();
            salt[bit / 8] ^= 1 << (bit % 8);
            refused(Shown { salt: &Salt::from(salt), ..*original });
        }
    }
    let encoded = leaf.encode();
    for bit in 0..encoded.len() * 8 {
        let mut bytes = encoded.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let changed = Leaf::decode(&bytes);
        let is_time = (4..12).contains(&(bit / 8)); // what the proof of the leaf covers
        let holds = changed.is_ok_and(|leaf| leaf.verify(&all, Tags::NONE).is_ok());
        assert_eq!(holds, is_time, "bit {bit}");
        assert_ne!(merkle::leaf_hash(&bytes), merkle::leaf_hash(&encoded));
    }
}

#[test]
fn blocks_of_other_tags_are_refused() {
    let (blocks, leaf, salts) = seal(least(), Stamp::default());
    let [core, actor] = shown(&blocks, &salts)[..] else { panic!("two blocks") };
    let swapped = Shown { tag: Tag::Core, ..actor };
    assert_eq!(leaf.verify(&[swapped], Tags::NONE), Err(CommitError::Mismatch { tag: Tag::Core }));
    let raw = Shown { tag: Tag::Raw, ..actor };
    assert_eq!(leaf.verify(&[raw], Tags::NONE), Err(CommitError::NotInLeaf { tag: Tag::Raw }));
    assert_eq!(leaf.verify(&[core, core], Tags::NONE), Err(CommitError::Twice { tag: Tag::Core }));
    let erased: Tags = [Tag::Core].into_iter().collect();
    assert_eq!(leaf.verify(&[core], erased), Err(CommitError::Twice { tag: Tag::Core }));
    let erased: Tags = [Tag::Raw].into_iter().collect();
    assert_eq!(leaf.verify(&[core], erased), Err(CommitError::NotInLeaf { tag: Tag::Raw }));
}

#[test]
fn an_own_event_is_known_by_what_its_sender_said() {
    let secret = LogSecret::from([7; 32]);
    let digest = |text: &str| secret.digest_of_own(&read(text));
    let first = r#"{"id":"j-020","source":"/billing","time":"2026-03-04T09:10:11Z","action":"invoice.updated","outcome":"success","actor":{"type":"user","id":"u-17","name":"Ana"},"zone":1}"#;
    let other_order = r#"{ "zone":1.0, "actor":{"name":"Ana","id":"u-17","type":"user"}, "outcome":"success",
        "action":"invoice.updated","time":"2026-03-04T10:10:11.0+01:00","source":"/billing","id":"j-020","labels":{} }"#;
    assert_eq!(digest(first), digest(other_order));
    let others = [
        first.replace("success", "failure"),
        first.replace("\"zone\":1", "\"zone\":2"),
        first.replace("\"zone\":1", "\"zone\":\"1\""),
        first.replace(",\"zone\":1", ""),
        first.replace("\"outcome\"", "\"severity\":\"info\",\"outcome\""),
    ];
    for other in others {
        assert_ne!(digest(first), digest(&other), "{other}");
    }
    assert_ne!(digest(&first.replace(":1}", ":0.5}")), digest(&first.replace(":1}", ":\"0.5\"}")));
    assert_ne!(digest(first), LogSecret::from([8; 32]).digest_of_own(&read(first)));
}

#[test]
fn foreign_items_are_known_by_their_bytes() {
    let secret = LogSecret::from([7; 32]);
    let event = foreign(least()).unwrap();
    assert_eq!(
        secret.digest_of_foreign(&event, b"item"),
        secret.digest_of_foreign(&event, b"item")
    );
    assert_ne!(
        secret.digest_of_foreign(&event, b"item"),
        secret.digest_of_foreign(&event, b"iten")
    );
    let elsewhere = foreign(AuditEvent { source: Some("/hr".into()), ..least() }).unwrap();
    assert_ne!(
        secret.digest_of_foreign(&event, b"item"),
        secret.digest_of_foreign(&elsewhere, b"item")
    );
    assert_ne!(secret.event_key(&event), secret.event_key(&elsewhere));

    let id = secret.id_of_item(b"item");
    assert!(id.starts_with("h:") && id.len() == 34);
    assert_ne!(id, secret.id_of_item(b"iten"));
    let reused = secret.id_of_reused(&"é".repeat(64), b"item");
    assert_eq!(reused.as_str().len(), 110 + 1 + 16); // the 56th é would end at byte 112
    let sealed = event.under_new_id(secret.id_of_reused("j-1", b"item"));
    assert_eq!(sealed.id(), format!("j-1#{}", &id[2..18]));
    assert!(sealed.flags().contains(&Flag::ID_REUSED));
}

#[test]
fn secrets_and_salts_are_not_shown() {
    assert_eq!(
        format!("{:?} {:?}", LogSecret::from([7; 32]), Salt::from([7; 16])),
        "LogSecret(..) Salt(..)"
    );
}

#[test]
fn numbers_that_were_cut_away_are_not_named() {
    let mut event = read(WHOLE).event;
    event.metadata.clear();
    event.metadata.insert("kept".into(), Value::from("0.5"));
    event.numbers = ["/changes/0/new", "/changes/7/new", "/metadata/gone", "/metadata/kept", "/id"]
        .map(String::from)
        .into();
    let valid = foreign(event).unwrap();
    assert_eq!(
        valid.event().numbers.iter().collect::<Vec<_>>(),
        ["/changes/0/new", "/metadata/kept"]
    );
}
