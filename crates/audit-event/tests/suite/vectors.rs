//! Test vectors for other implementations, in `tests/vectors`. `CAIRN_BLESS=1` in the environment writes
//! them; a second reader, `tests/verifier.py`, recomputes them.

use std::path::{Path, PathBuf};
use std::process::Command;

use audit_event::evidence::{Manifest, Status};
use audit_event::{Flag, LogSecret, Raw, Tag, text};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use crate::evidence::{Files, Log, seal, verify};
use crate::sealed::WHOLE;
use crate::*;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors")
}

/// Compares a file of vectors with what the crate makes, or writes it.
fn bless(name: &str, made: &Value) {
    let path = folder().join(name);
    let made = serde_json::to_string_pretty(made).unwrap() + "\n";
    if std::env::var_os("CAIRN_BLESS").is_some() {
        std::fs::create_dir_all(folder()).unwrap();
        #[expect(clippy::disallowed_methods, reason = "a fixture, written by a person's command")]
        std::fs::write(&path, &made).unwrap();
    }
    let stored = std::fs::read_to_string(&path).unwrap();
    assert!(stored == made, "{name} is not what the crate makes: CAIRN_BLESS=1 writes it anew");
}

/// An event as it was sent, and whether it is a foreign item (then `id` is that of the event made of it).
struct Sent {
    name: &'static str,
    bytes: Vec<u8>,
    foreign: Option<AuditEvent>,
}

fn sent() -> Vec<Sent> {
    let own = |name, text: &str| Sent { name, bytes: text.as_bytes().to_vec(), foreign: None };
    let long = AuditEvent {
        id: Some("é".repeat(60)),
        source: Some("k8s://prod".into()),
        description: Some("x".repeat(1_025)),
        ..least()
    };
    vec![
        own("least", LEAST),
        own("whole", WHOLE),
        own(
            "numbers and characters",
            r#"{"id":"n-1","source":"/billing","time":"2026-03-04T09:10:11.000000001-05:30","action":"invoice.updated",
            "outcome":"success","actor":{"type":"user","id":"u","name":"\"\\\b\f\n\r\t\u0000\u001f\u007f\/\ud83d\ude00"},
            "metadata":{"a":1.0,"b":1e3,"c":-0,"d":0.10,"e":1e-400,"f":-9007199254740991,"~/":2.5},
            "changes":[{"field":"f","old":{"b":[1.5,{"a":null}],"a":true},"new":false}],"labels":{"z":"","a":"1"}}"#,
        ),
        own(
            "unknown members",
            r#"{"id":"u-1","source":"/billing","time":"2026-03-04T09:10:11Z","action":"invoice.updated","outcome":"success",
            "actor":{"type":"user","id":"u","age":41.5,"shoe":null},"zone":{"a/b":[1e2,0.25]},"flags":["mine"],
            "targets":[{"type":"t","id":"i","more":"x"}]}"#,
        ),
        Sent {
            name: "a foreign item",
            bytes: b"{\"b\":1, \"a\":\xff}".to_vec(),
            foreign: Some(long),
        },
    ]
}

fn event_case((number, sent): (u8, Sent)) -> Value {
    let secret = LogSecret::from([number; 32]);
    let Sent { name, bytes, foreign } = sent;
    let is_foreign = foreign.is_some();
    let raw = || Some(Raw::new(bytes.clone(), Some("application/json")));
    let (event, digest, stamp) = if let Some(event) = foreign {
        let event = ValidEvent::foreign(event, [Flag::TIME_INVALID].into(), fill()).unwrap();
        let digest = secret.digest_of_foreign(&event, &bytes);
        (event, digest, Stamp { writer: None, raw: raw() })
    } else {
        let read = json::read(&bytes, json::EVENT_BYTES_DEFAULT).unwrap();
        let digest = secret.digest_of_own(&read);
        let stamp = Stamp { writer: None, raw: if read.unknown.is_empty() { None } else { raw() } };
        (own(read.event).unwrap(), digest, stamp)
    };
    let blocks = Blocks::of(&event, stamp);
    let received = 1_772_615_411_000_000_000 + u64::from(number);
    let (leaf, salts) = Leaf::commit(received, &blocks, salts()).unwrap();
    let encoded = leaf.encode();
    let leaf_hash = merkle::leaf_hash(&encoded);
    let block = |(block, salt): (&audit_event::Block, &Salt)| {
        let (member, bytes) = match block.tag() {
            Tag::Raw => ("base64", STANDARD.encode(block.bytes())),
            _ => ("text", String::from_utf8(block.bytes().to_vec()).unwrap()),
        };
        json!({
            "tag": block.tag().number(), member: bytes, "salt": hex::encode(salt.as_bytes()),
            "commitment": hex::encode(leaf.commitment(block.tag()).unwrap().as_bytes()),
        })
    };
    let item = |text: String| if is_foreign { Value::from(text) } else { Value::Null };
    json!({
        "name": name, "sent": STANDARD.encode(&bytes), "foreign": is_foreign,
        "secret": hex::encode([number; 32]), "received_at_ns": received.to_string(),
        "blocks": blocks.iter().zip(&salts).map(block).collect::<Vec<_>>(),
        "leaf": hex::encode(&encoded), "leaf_hash": leaf_hash.to_string(),
        "event_key": hex::encode(secret.event_key(&event).0), "digest": hex::encode(digest.0),
        "id_of_item": item(secret.id_of_item(&bytes)),
        "id_of_reused": item(secret.id_of_reused(event.id(), &bytes).into_text()),
    })
}

#[test]
fn events() {
    let cases: Vec<Value> = (1..).zip(sent()).map(event_case).collect();
    bless("events.json", &Value::from(cases));
}

#[test]
fn refused() {
    let texts: [&[u8]; 20] = [
        b"",
        b"{",
        b"[]",
        b"{} ",
        b"{ }",
        b"{\"b\":1,\"a\":1}",
        b"{\"a\":1,\"a\":1}",
        b"{\"a\":1.0}",
        b"{\"a\":-0}",
        b"{\"a\":0.5}",
        b"{\"a\":9007199254740992}",
        b"{\"a\":1e3}",
        b"{\"a\":\"\\/\"}",
        b"{\"a\":\"\\u0041\"}",
        b"{\"a\":\"\\u000A\"}",
        b"{\"a\":\"\\ud800\"}",
        b"{\"a\":\"\xff\"}",
        b"\xef\xbb\xbf{}",
        b"{\"a\":NaN}",
        b"{\"a\":\"\\u007f\"}",
    ];
    let nested = format!("{{\"a\":{}{}}}", "[".repeat(32), "]".repeat(32));
    let texts: Vec<&[u8]> = texts.into_iter().chain([nested.as_bytes()]).collect();
    for refused in &texts {
        assert!(text::read(refused).is_err(), "{}", refused.escape_ascii());
    }
    let part = |tag: u8| [&[tag][..], &[tag; 32]].concat();
    let leaf = |count: u8, tags: &[u8]| {
        let parts = tags.iter().flat_map(|tag| part(*tag)).collect::<Vec<_>>();
        [&b"AEL1"[..], &[0; 8], &[count], &parts].concat()
    };
    let mut leaves = vec![
        leaf(0, &[]),
        leaf(1, &[2]),
        leaf(2, &[1, 1]),
        leaf(2, &[1, 8]),
        leaf(3, &[1, 7, 6]),
        leaf(2, &[1]),
    ];
    leaves.extend([
        leaf(1, &[1, 2]),
        leaf(8, &[1, 2, 3, 4, 5, 6, 7, 7]),
        b"AEL2".to_vec(),
        vec![],
        leaf(1, &[0]),
    ]);
    leaves.push(leaf(1, &[1])[..45].to_vec());
    for refused in &leaves {
        assert!(Leaf::decode(refused).is_err(), "{}", hex::encode(refused));
    }
    let texts: Vec<_> = texts.into_iter().map(hex::encode).collect();
    bless(
        "refused.json",
        &json!({ "texts": texts, "leaves": leaves.iter().map(hex::encode).collect::<Vec<_>>() }),
    );
}

/// An alteration: name, file, what is replaced by what, and whether the manifest is made to agree.
type Altered = (&'static str, &'static str, &'static str, &'static str, bool);

const ALTERED: &[Altered] = &[
    ("a file that the manifest does not agree with", "keys.txt", "example", "exemple", false),
    ("words of the maker", "manifest.json", "Tom Hale", "Tim Hale", false),
    ("an unknown member", "manifest.json", "\"log\":", "\"more\":1,\"log\":", false),
    ("another format", "manifest.json", "evidence@v1", "evidence@v2", false),
    ("another origin", "manifest.json", "\"origin\":\"example", "\"origin\":\"exemple", false),
    ("another size", "manifest.json", "\"tree_size\":7", "\"tree_size\":8", false),
    ("another number of events", "manifest.json", "\"events\":7", "\"events\":8", false),
    ("a number with a fraction", "manifest.json", "\"events\":7", "\"events\":7.0", false),
    ("too many events", "manifest.json", "\"events\":7", "\"events\":10000001", false),
    (
        "a range that ends before it starts",
        "manifest.json",
        "\"start\":0,\"end\":7",
        "\"start\":8,\"end\":7",
        false,
    ),
    ("a range that is not the tree", "manifest.json", "\"end\":7", "\"end\":6", false),
    ("no range", "manifest.json", "{\"start\":0,\"end\":7}", "null", false),
    ("a filter of another form", "manifest.json", "[\"denied\"]", "\"denied\"", false),
    ("a filter of other events", "manifest.json", "[\"denied\"]", "[\"success\"]", false),
    ("a filter that cannot be decided", "manifest.json", "\"outcome\":", "\"actor\":", false),
    (
        "a filter by another member of core",
        "manifest.json",
        "{\"outcome\":[\"denied\"]}",
        "{\"label\":[\"n=0\",\"n=3\",\"n=6\"]}",
        false,
    ),
    (
        "a filter by what is not there",
        "manifest.json",
        "{\"outcome\":[\"denied\"]}",
        "{\"outcome_code\":[\"x\"]}",
        false,
    ),
    (
        "a range of times without edges",
        "manifest.json",
        "{\"outcome\":[\"denied\"]}",
        "{\"from\":\"2026-03-04T09:10:11Z\",\"outcome\":[\"denied\"]}",
        false,
    ),
    (
        "a time that is not UTC",
        "manifest.json",
        "{\"outcome\":[\"denied\"]}",
        "{\"from\":\"2026-03-04T09:10:11+00:00\"}",
        false,
    ),
    ("less withheld", "manifest.json", "[\"origin\"]", "[]", false),
    ("more withheld", "manifest.json", "[\"origin\"]", "[\"actor\",\"origin\"]", false),
    ("withheld out of order", "manifest.json", "[\"origin\"]", "[\"origin\",\"actor\"]", false),
    (
        "a file too many",
        "manifest.json",
        "\"files\":{",
        "\"files\":{\"more.txt\":{\"bytes\":0,\"sha256\":\"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\"},",
        false,
    ),
    ("another text", "events.ndjson", "u-3", "u-4", true),
    ("another salt", "events.ndjson", "\"salt\":\"", "\"salt\":\"AA==\",\"x\":\"", true),
    ("another index", "events.ndjson", "\"index\":6", "\"index\":7", true),
    ("an index twice", "events.ndjson", "\"index\":1,", "\"index\":0,", true),
    ("a member twice", "events.ndjson", "{\"index\":0,", "{\"index\":0,\"\\u0069ndex\":0,", true),
    ("minus nothing", "events.ndjson", "{\"index\":0,", "{\"index\":-0,", true),
    ("a block in no list", "events.ndjson", "\"withheld\":[\"origin\"]", "\"withheld\":[]", true),
    (
        "an unknown block",
        "events.ndjson",
        "\"withheld\":[\"origin\"]",
        "\"withheld\":[\"orange\"]",
        true,
    ),
    ("a block in both lists", "events.ndjson", "\"erased\":[]", "\"erased\":[\"origin\"]", true),
    (
        "core withheld",
        "events.ndjson",
        "\"withheld\":[\"origin\"]",
        "\"withheld\":[\"core\",\"origin\"]",
        true,
    ),
    ("loose base64", "events.ndjson", "\"leaf\":\"QUVM", "\"leaf\":\"QUVN", true),
    ("unpadded base64", "events.ndjson", "==\"", "\"", true),
    ("white space", "events.ndjson", ",\"erased\":[]}\n", " , \"erased\" : [ ] }\t\r\n", true),
    ("an empty line", "events.ndjson", "\n", "\n\n", true),
    ("another proof", "proofs/000001.txt", "@v1\n7\n", "@v1\n6\n", true),
    ("a proof without size", "proofs/000001.txt", "@v1\n7\n", "@v1\n", true),
    (
        "a hash too many",
        "proofs/000001.txt",
        "@v1\n7\n",
        "@v1\n7\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n",
        true,
    ),
    ("another root", "checkpoint", "\n7\n", "\n8\n", true),
    ("another sentence", "events.csv", "Somebody changed", "Somebody altered", true),
    ("another cell", "events.csv", "denied", "success", true),
    ("an unsafe cell", "events.csv", "'=Ana", "=Ana", true),
    ("another item", "events.json", "denied", "success", true),
    ("another order in an item", "events.json", "[\n{", "[\r\n { ", true),
];

/// Status of a file with one alteration.
fn altered(files: &Files, (name, file, find, replace, sealed): &Altered) -> Value {
    let mut files = files.clone();
    let text = String::from_utf8(files[*file].clone()).unwrap();
    assert!(text.contains(find), "{name}: {find} is not in {file}");
    files.insert((*file).to_owned(), text.replacen(find, replace, 1).into_bytes());
    if *sealed {
        let manifest = Manifest::parse(&files["manifest.json"]).unwrap();
        files = seal(manifest, files);
    }
    let status = verify(&files).0;
    json!({"name": name, "file": file, "find": find, "replace": replace, "sealed": sealed, "status": status.code()})
}

#[test]
fn evidence() {
    let log = Log::of(7);
    let files = log.export(&log.reduced(0..7), r#"{"outcome":["denied"]}"#, Some((0, 7)));
    assert_eq!(verify(&files), (Status::Holds, vec![]));
    let text = |(name, bytes): (&String, &Vec<u8>)| {
        (name.clone(), Value::from(String::from_utf8(bytes.clone()).unwrap()))
    };
    let altered: Vec<Value> = ALTERED.iter().map(|case| altered(&files, case)).collect();
    let files: serde_json::Map<String, Value> = files.iter().map(text).collect();
    bless("evidence.json", &json!({ "files": files, "altered": altered }));
}

#[test]
fn a_second_reader_agrees() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/verifier.py");
    let output = Command::new("python3").arg("-I").arg(script).arg(folder()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
}
