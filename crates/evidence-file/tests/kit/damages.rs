//! What can be wrong with an evidence file, and the exit status of each: 0 marks the twin that is allowed.

use audit_event::evidence::{LINE_BYTES_MAX, MANIFEST_BYTES_MAX};
use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::Files;
use super::raw_zip::{RawEntry, RawZip};

/// Which good file is altered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Base {
    /// Some events with all views.
    Few,
    /// A complete file, in which events that were not asked for are reduced.
    Complete,
    /// A complete file of a range of receipt times.
    Times,
}

/// One alteration of the files.
pub struct Damage {
    pub name: &'static str,
    pub base: Base,
    /// Whether the manifest agrees with the altered files.
    pub sealed: bool,
    pub status: u8,
    pub alter: fn(&mut Files),
}

/// One alteration of an archive.
pub struct ZipDamage {
    pub name: &'static str,
    pub status: u8,
    pub alter: fn(&mut RawZip),
}

const EVENTS: &str = "events.ndjson";
const MANIFEST: &str = "manifest.json";
const PROOF: &str = "proofs/000001.txt";

fn edit(files: &mut Files, name: &str, find: &str, replace: &str) {
    let text = String::from_utf8(files[name].clone()).unwrap();
    assert!(text.contains(find), "{find} is not in {name}");
    files.insert(name.to_owned(), text.replacen(find, replace, 1).into_bytes());
}

/// Puts text behind the first place where another stands.
fn behind(files: &mut Files, name: &str, find: &str, more: &str) {
    edit(files, name, find, &format!("{find}{more}"));
}

/// Takes the last byte.
fn pop(files: &mut Files, name: &str) {
    files.get_mut(name).unwrap().pop().unwrap();
}

fn append(files: &mut Files, name: &str, more: &[u8]) {
    files.get_mut(name).unwrap().extend_from_slice(more);
}

fn lines(files: &mut Files, change: impl FnOnce(&mut Vec<String>)) {
    let text = String::from_utf8(files[EVENTS].clone()).unwrap();
    let mut lines = text.split_inclusive('\n').map(str::to_owned).collect();
    change(&mut lines);
    files.insert(EVENTS.to_owned(), lines.concat().into_bytes());
}

/// Changes the leaf of the first line.
fn leaf(files: &mut Files, change: impl FnOnce(&mut Vec<u8>)) {
    let text = String::from_utf8(files[EVENTS].clone()).unwrap();
    let start = text.find("\"leaf\":\"").unwrap() + 8;
    let old = &text[start..start + text[start..].find('"').unwrap()];
    let mut bytes = STANDARD.decode(old).unwrap();
    change(&mut bytes);
    let new = STANDARD.encode(bytes);
    edit(files, EVENTS, old, &new);
}

/// Another character of base64 somewhere in what follows.
fn flip_base64(files: &mut Files, name: &str, after: &str, at: usize) {
    let bytes = files.get_mut(name).unwrap();
    let found = bytes.windows(after.len()).position(|it| it == after.as_bytes()).unwrap();
    let byte = &mut bytes[found + after.len() + at];
    *byte = if *byte == b'A' { b'B' } else { b'A' };
}

const fn of_few(name: &'static str, status: u8, alter: fn(&mut Files)) -> Damage {
    Damage { name, base: Base::Few, sealed: true, status, alter }
}

/// An alteration after the manifest was written, or of the manifest.
const fn after_seal(name: &'static str, status: u8, alter: fn(&mut Files)) -> Damage {
    Damage { name, base: Base::Few, sealed: false, status, alter }
}

const fn of_complete(name: &'static str, status: u8, alter: fn(&mut Files)) -> Damage {
    Damage { name, base: Base::Complete, sealed: false, status, alter }
}

const fn of_times(name: &'static str, status: u8, alter: fn(&mut Files)) -> Damage {
    Damage { name, base: Base::Times, sealed: false, status, alter }
}

pub const LINES: &[Damage] = &[
    of_few("line-text", 1, |it| edit(it, EVENTS, "u-3", "u-4")),
    of_few("line-salt", 1, |it| flip_base64(it, EVENTS, "\"salt\":\"", 5)),
    of_few("line-salt-short", 2, |it| {
        edit(it, EVENTS, "\"salt\":\"", "\"salt\":\"AA==\",\"x\":\"");
    }),
    of_few("line-salt-of-15-bytes", 2, |it| {
        edit(
            it,
            EVENTS,
            "\"actor\":{\"salt\":\"",
            "\"actor\":{\"salt\":\"AAAAAAAAAAAAAAAAAAAA\",\"y\":\"",
        );
    }),
    of_few("line-another-index", 1, |it| edit(it, EVENTS, "{\"index\":9,", "{\"index\":10,")),
    of_few("line-beyond-the-tree", 1, |it| edit(it, EVENTS, "{\"index\":9,", "{\"index\":11,")),
    of_few("line-index-twice", 1, |it| edit(it, EVENTS, "{\"index\":2,", "{\"index\":0,")),
    of_few("lines-swapped", 1, |it| lines(it, |lines| lines.swap(1, 2))),
    of_few("lines-fewer", 1, |it| lines(it, |lines| drop(lines.pop()))),
    of_few("lines-none", 1, |it| lines(it, Vec::clear)),
    of_few("lines-more", 1, |it| lines(it, |lines| lines.push(lines[0].clone()))),
    of_few("line-of-another-leaf", 1, |it| leaf(it, |leaf| leaf[20] ^= 1)),
    of_few("line-of-another-time", 1, |it| leaf(it, |leaf| leaf[11] ^= 1)),
    of_few("leaf-magic", 2, |it| leaf(it, |leaf| leaf[3] = b'2')),
    of_few("leaf-without-commitment", 2, |it| leaf(it, |leaf| leaf[12] = 0)),
    of_few("leaf-of-another-count", 2, |it| leaf(it, |leaf| leaf[12] -= 1)),
    of_few("leaf-too-long", 2, |it| leaf(it, |leaf| leaf.push(0))),
    of_few("leaf-tag-unknown", 2, |it| {
        leaf(it, |leaf| *leaf.iter_mut().rev().nth(32).unwrap() = 8);
    }),
    of_few("leaf-tags-out-of-order", 2, |it| leaf(it, |leaf| leaf[13 + 33] = 1)),
    of_few("leaf-without-core", 2, |it| leaf(it, |leaf| leaf[13] = 2)),
    of_few("leaf-empty", 2, |it| leaf(it, Vec::clear)),
    of_few("block-in-no-list", 1, |it| edit(it, EVENTS, "[\"origin\",\"raw\"]", "[\"origin\"]")),
    of_few("block-in-both-lists", 1, |it| {
        edit(
            it,
            EVENTS,
            "\"withheld\":[\"origin\"],\"erased\":[",
            "\"withheld\":[\"origin\"],\"erased\":[\"origin\",",
        );
    }),
    of_few("block-shown-and-erased", 1, |it| {
        edit(it, EVENTS, "\"erased\":[]", "\"erased\":[\"actor\"]");
    }),
    of_few("block-not-of-the-leaf", 1, |it| {
        edit(it, EVENTS, "\"withheld\":[\"origin\"]", "\"withheld\":[\"origin\",\"raw\"]");
    }),
    of_few("core-withheld", 1, |it| edit(it, EVENTS, "[\"origin\"", "[\"core\",\"origin\"")),
    of_few("withheld-unknown", 2, |it| edit(it, EVENTS, "[\"origin\"", "[\"orange\"")),
    of_few("withheld-twice", 2, |it| edit(it, EVENTS, "[\"origin\"", "[\"origin\",\"origin\"")),
    of_few("withheld-out-of-order", 2, |it| {
        edit(it, EVENTS, "[\"origin\",\"raw\"]", "[\"raw\",\"origin\"]");
    }),
    of_few("withheld-a-number", 2, |it| edit(it, EVENTS, "[\"origin\"", "[3,\"origin\"")),
    of_few("withheld-null", 2, |it| {
        edit(it, EVENTS, "\"withheld\":[\"origin\",\"raw\"]", "\"withheld\":null");
    }),
    of_few("erased-unknown", 2, |it| edit(it, EVENTS, "\"erased\":[]", "\"erased\":[\"sum\"]")),
    of_few("erased-twice", 2, |it| {
        edit(it, EVENTS, "\"erased\":[]", "\"erased\":[\"raw\",\"raw\"]");
    }),
    of_few("erased-out-of-order", 2, |it| {
        edit(it, EVENTS, "\"erased\":[]", "\"erased\":[\"raw\",\"actor\"]");
    }),
    of_few("block-unknown", 2, |it| edit(it, EVENTS, "\"actor\":{\"salt\"", "\"acter\":{\"salt\"")),
    of_few("block-with-more", 2, |it| edit(it, EVENTS, "\"actor\":{", "\"actor\":{\"more\":1,")),
    of_few("block-as-base64", 2, |it| edit(it, EVENTS, "\"text\":\"", "\"base64\":\"")),
    of_few("block-a-text", 2, |it| {
        edit(it, EVENTS, "\"actor\":{\"salt\":", "\"actor\":\"x\",\"x\":{\"salt\":");
    }),
];

pub const JSON: &[Damage] = &[
    of_few("json-blanks", 0, |it| {
        edit(it, EVENTS, ",\"erased\":[]}\n", " ,\t\"erased\" : [ ] } \r\n");
    }),
    of_few("json-blanks-in-front", 0, |it| edit(it, EVENTS, "{\"index\":2,", " \t{\"index\":2,")),
    of_few("json-escaped-key", 0, |it| edit(it, EVENTS, "{\"index\"", "{\"\\u0069ndex\"")),
    of_few("json-order-of-members", 0, |it| {
        edit(it, EVENTS, "{\"index\":0,", "{");
        edit(it, EVENTS, "\"erased\":[]}", "\"erased\":[],\"index\":0}");
    }),
    of_few("json-crlf", 0, |it| {
        let text = String::from_utf8(it[EVENTS].clone()).unwrap().replace('\n', "\r\n");
        it.insert(EVENTS.to_owned(), text.into_bytes());
    }),
    of_few("json-syntax", 2, |it| edit(it, EVENTS, "\"erased\":[]}", "\"erased\":[]")),
    of_few("json-comma", 2, |it| edit(it, EVENTS, "\"erased\":[]}", "\"erased\":[],}")),
    of_few("json-two-values", 2, |it| edit(it, EVENTS, "\"erased\":[]}", "\"erased\":[]}{}")),
    of_few("json-list", 2, |it| edit(it, EVENTS, "{\"index\":0", "[{\"index\":0")),
    of_few("json-mark", 2, |it| edit(it, EVENTS, "{\"index\":0", "\u{feff}{\"index\":0")),
    of_few("json-key-twice", 2, |it| {
        edit(it, EVENTS, "{\"index\":0,", "{\"index\":0,\"index\":0,");
    }),
    of_few("json-key-twice-escaped", 2, |it| {
        edit(it, EVENTS, "{\"index\":0,", "{\"index\":0,\"\\u0069ndex\":0,");
    }),
    of_few("json-block-twice", 2, |it| {
        edit(it, EVENTS, "\"blocks\":{", "\"blocks\":{\"core\":{},");
    }),
    of_few("json-unknown-member", 2, |it| {
        edit(it, EVENTS, "{\"index\":0,", "{\"index\":0,\"more\":null,");
    }),
    of_few("json-missing-member", 2, |it| edit(it, EVENTS, ",\"erased\":[]}", "}")),
    of_few("json-minus-zero", 2, |it| edit(it, EVENTS, "{\"index\":0,", "{\"index\":-0,")),
    of_few("json-minus-one", 2, |it| edit(it, EVENTS, "{\"index\":0,", "{\"index\":-1,")),
    of_few("json-fraction", 2, |it| edit(it, EVENTS, "{\"index\":0,", "{\"index\":0.0,")),
    of_few("json-exponent", 2, |it| edit(it, EVENTS, "{\"index\":0,", "{\"index\":0e0,")),
    of_few("json-leading-zero", 2, |it| edit(it, EVENTS, "{\"index\":2,", "{\"index\":02,")),
    of_few("json-2-to-53", 2, |it| {
        edit(it, EVENTS, "{\"index\":9,", "{\"index\":9007199254740992,");
    }),
    of_few("json-below-2-to-53", 1, |it| {
        edit(it, EVENTS, "{\"index\":9,", "{\"index\":9007199254740991,");
    }),
    of_few("json-number-as-text", 2, |it| edit(it, EVENTS, "{\"index\":0,", "{\"index\":\"0\",")),
    of_few("json-not-a-number", 2, |it| edit(it, EVENTS, "{\"index\":0,", "{\"index\":NaN,")),
    of_few("json-half-a-pair", 2, |it| edit(it, EVENTS, "\"text\":\"", "\"text\":\"\\ud800")),
    of_few("json-control-character", 2, |it| edit(it, EVENTS, "\"text\":\"", "\"text\":\"\u{1}")),
    of_few("json-unknown-escape", 2, |it| edit(it, EVENTS, "\"text\":\"", "\"text\":\"\\x")),
    of_few("json-not-utf-8", 2, |it| {
        let bytes = it.get_mut(EVENTS).unwrap();
        let at = bytes.windows(3).position(|it| it == b"u-3").unwrap();
        bytes[at] = 0xff;
    }),
    of_few("json-other-blank", 2, |it| edit(it, EVENTS, "{\"index\":0,", "{\u{a0}\"index\":0,")),
    of_few("line-empty", 2, |it| edit(it, EVENTS, "\n", "\n\n")),
    of_few("line-empty-first", 2, |it| edit(it, EVENTS, "{\"index\":0", "\n{\"index\":0")),
    of_few("line-unended", 2, |it| pop(it, EVENTS)),
    of_few("line-too-long", 2, |it| {
        let blanks = " ".repeat(LINE_BYTES_MAX);
        edit(it, EVENTS, "{\"index\":0,", &format!("{{{blanks}\"index\":0,"));
    }),
    of_few("line-long", 0, |it| {
        let first = it[EVENTS].iter().position(|byte| *byte == b'\n').unwrap();
        let blanks = " ".repeat(LINE_BYTES_MAX - first);
        edit(it, EVENTS, "{\"index\":0,", &format!("{{{blanks}\"index\":0,"));
    }),
    of_few("base64-unpadded", 2, |it| edit(it, EVENTS, "==\"", "\"")),
    of_few("base64-half-padded", 2, |it| edit(it, EVENTS, "==\"", "=\"")),
    of_few("base64-loose-bits", 2, |it| {
        // The last character before the padding of a salt holds four bits that must be zero.
        let text = String::from_utf8(it[EVENTS].clone()).unwrap();
        let at = text.find("==\"").unwrap();
        let next = char::from(text.as_bytes()[at - 1] + 1);
        it.insert(
            EVENTS.to_owned(),
            format!("{}{next}{}", &text[..at - 1], &text[at..]).into_bytes(),
        );
    }),
    of_few("base64-blank", 2, |it| edit(it, EVENTS, "\"salt\":\"", "\"salt\":\" ")),
    of_few("base64-of-urls", 2, |it| edit(it, EVENTS, "\"leaf\":\"QUVM", "\"leaf\":\"QUV-")),
];

pub const PROOFS: &[Damage] = &[
    of_few("proof-hash", 1, |it| flip_base64(it, PROOF, "\n11\n", 5)),
    of_few("proof-hash-missing", 1, |it| {
        let bytes = it.get_mut(PROOF).unwrap();
        bytes.truncate(bytes.len() - 45);
    }),
    of_few("proof-hash-more", 1, |it| {
        behind(it, PROOF, "\n11\n", "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n");
    }),
    of_few("proof-another-size", 1, |it| edit(it, PROOF, "\n11\n", "\n12\n")),
    of_few("proof-without-size", 2, |it| edit(it, PROOF, "\n11\n", "\n")),
    of_few("proof-size-with-zero", 2, |it| edit(it, PROOF, "\n11\n", "\n011\n")),
    of_few("proof-size-signed", 2, |it| edit(it, PROOF, "\n11\n", "\n+11\n")),
    of_few("proof-of-another-version", 2, |it| edit(it, PROOF, "@v1", "@v2")),
    of_few("proof-crlf", 2, |it| {
        let text = String::from_utf8(it[PROOF].clone()).unwrap().replace('\n', "\r\n");
        it.insert(PROOF.to_owned(), text.into_bytes());
    }),
    of_few("proof-unended", 2, |it| pop(it, PROOF)),
    of_few("proof-empty", 2, |it| it.get_mut(PROOF).unwrap().clear()),
    of_few("proof-empty-line", 2, |it| append(it, PROOF, b"\n")),
    of_few("proof-hash-short", 2, |it| behind(it, PROOF, "\n11\n", "AAAA\n")),
    of_few("proof-hash-loose", 2, |it| {
        behind(it, PROOF, "\n11\n", "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFV=\n");
    }),
    after_seal("proof-too-many", 2, |it| {
        let proof = it[PROOF].clone();
        it.insert("proofs/000002.txt".into(), proof);
        let more = "{\"bytes\":0,\"sha256\":\"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\"}";
        behind(it, MANIFEST, "\"files\":{", &format!("\"proofs/000002.txt\":{more},"));
    }),
    after_seal("proof-too-few", 2, |it| drop(it.remove(PROOF))),
    of_few("checkpoint-signature", 1, |it| flip_base64(it, "checkpoint", "example.com/audit ", 30)),
    of_few("checkpoint-root", 1, |it| flip_base64(it, "checkpoint", "\n11\n", 7)),
    of_few("checkpoint-size", 1, |it| edit(it, "checkpoint", "\n11\n", "\n12\n")),
    of_few("checkpoint-junk", 2, |it| drop(it.insert("checkpoint".into(), b"x\n".to_vec()))),
    of_few("checkpoint-empty", 2, |it| it.get_mut("checkpoint").unwrap().clear()),
    of_few("checkpoint-crlf", 2, |it| {
        let text = String::from_utf8(it["checkpoint"].clone()).unwrap().replace('\n', "\r\n");
        it.insert("checkpoint".into(), text.into_bytes());
    }),
];

pub const VIEWS: &[Damage] = &[
    of_few("csv-cell", 1, |it| edit(it, "events.csv", "denied", "success")),
    of_few("csv-sentence", 0, |it| edit(it, "events.csv", " changed ", " altered ")),
    of_few("csv-unsafe-cell", 1, |it| edit(it, "events.csv", "u-0,\"'=Ana", "u-0,\"=Ana")),
    of_few("csv-unquoted", 1, |it| edit(it, "events.csv", "\"'=1+1\"", "'=1+1")),
    of_few("csv-quoted", 1, |it| edit(it, "events.csv", ",denied,", ",\"denied\",")),
    of_few("csv-empty-for-absent", 1, |it| edit(it, "events.csv", ",denied,,", ",denied,\"\",")),
    of_few("csv-lf", 1, |it| {
        let text = String::from_utf8(it["events.csv"].clone()).unwrap().replace("\r\n", "\n");
        it.insert("events.csv".into(), text.into_bytes());
    }),
    of_few("csv-mark", 0, |it| {
        let text = format!("\u{feff}{}", String::from_utf8(it["events.csv"].clone()).unwrap());
        it.insert("events.csv".into(), text.into_bytes());
    }),
    of_few("csv-head", 1, |it| edit(it, "events.csv", "received_at,time", "time,received_at")),
    of_few("csv-row-more", 1, |it| append(it, "events.csv", b"x\r\n")),
    of_few("csv-byte-more", 1, |it| append(it, "events.csv", b"\n")),
    of_few("csv-row-less", 1, |it| {
        let text = String::from_utf8(it["events.csv"].clone()).unwrap();
        let end = text[..text.len() - 2].rfind("\r\n").unwrap() + 2;
        it.insert("events.csv".into(), text.as_bytes()[..end].to_vec());
    }),
    of_few("csv-cell-more", 1, |it| edit(it, "events.csv", "\r\n2,", ",\r\n2,")),
    of_few("csv-empty", 1, |it| it.get_mut("events.csv").unwrap().clear()),
    of_few("csv-not-utf-8", 1, |it| {
        let bytes = it.get_mut("events.csv").unwrap();
        let at = bytes.windows(6).position(|it| it == b"denied").unwrap();
        bytes[at] = 0xff;
    }),
    of_few("items-value", 1, |it| edit(it, "events.json", "denied", "success")),
    of_few("items-blanks", 0, |it| edit(it, "events.json", "[\n{", " [\r\n { ")),
    of_few("items-member-more", 1, |it| edit(it, "events.json", "[\n{", "[\n{\"more\":1,")),
    of_few("items-member-less", 1, |it| edit(it, "events.json", "\"description\":\"\",", "")),
    of_few("items-key-twice", 1, |it| {
        edit(it, "events.json", "\"index\":0,", "\"index\":0,\"index\":0,");
    }),
    of_few("items-number-as-text", 1, |it| {
        edit(it, "events.json", "\"index\":0,", "\"index\":\"0\",");
    }),
    of_few("items-more", 1, |it| edit(it, "events.json", "\n]", ",{}\n]")),
    of_few("items-unended", 1, |it| edit(it, "events.json", "\n]", "")),
    of_few("items-and-more", 1, |it| append(it, "events.json", b"[]")),
    of_few("items-comma", 1, |it| edit(it, "events.json", "\n]", ",\n]")),
    of_few("items-empty", 1, |it| drop(it.insert("events.json".into(), b"[]\n".to_vec()))),
    of_few("items-nothing", 1, |it| it.get_mut("events.json").unwrap().clear()),
    of_few("parquet-junk", 1, |it| drop(it.insert("events.parquet".into(), b"PAR1PAR1".to_vec()))),
    of_few("parquet-empty", 1, |it| it.get_mut("events.parquet").unwrap().clear()),
    of_few("parquet-cut", 1, |it| {
        let bytes = it.get_mut("events.parquet").unwrap();
        bytes.drain(100..200);
    }),
    of_few("parquet-flipped", 1, |it| {
        // A byte of the first pages: their checksum is not looked at, so a cell or its form is another.
        let bytes = it.get_mut("events.parquet").unwrap();
        let at = bytes.windows(6).position(|it| it == b"denied").unwrap();
        bytes[at] ^= 1;
    }),
];

pub const MANIFESTS: &[Damage] = &[
    after_seal("keys-more", 1, |it| append(it, "keys.txt", b"x")),
    after_seal("policy-more", 1, |it| append(it, "policy.txt", b"x")),
    after_seal("readme-other", 1, |it| edit(it, "READ ME FIRST.txt", "AUDIT", "OTHER")),
    after_seal("page-other", 1, |it| edit(it, "verify.html", "Verify", "Verily")),
    after_seal("csv-after-seal", 1, |it| edit(it, "events.csv", " changed ", " altered ")),
    after_seal("manifest-words", 0, |it| edit(it, MANIFEST, "Tom Hale", "Tim Hale")),
    after_seal("manifest-blanks", 0, |it| edit(it, MANIFEST, "\"log\":", "\r\n \"log\" : ")),
    after_seal("manifest-filter-undecidable", 0, |it| {
        edit(it, MANIFEST, "\"filter\":{}", "\"filter\":{\"unheard\":[\"x\"]}");
    }),
    after_seal("manifest-without-end", 0, |it| pop(it, MANIFEST)),
    after_seal("manifest-hash", 1, |it| {
        let text = String::from_utf8(it[MANIFEST].clone()).unwrap();
        let at = text.find("\"keys.txt\":").unwrap()
            + text[text.find("\"keys.txt\":").unwrap()..].find("sha256").unwrap()
            + 9;
        let other = if &text[at..=at] == "0" { "1" } else { "0" };
        it.insert(
            MANIFEST.into(),
            format!("{}{other}{}", &text[..at], &text[at + 1..]).into_bytes(),
        );
    }),
    after_seal("manifest-length", 1, |it| {
        edit(it, MANIFEST, "\"policy.txt\":{\"bytes\":12", "\"policy.txt\":{\"bytes\":13");
    }),
    after_seal("manifest-origin", 1, |it| {
        edit(it, MANIFEST, "\"origin\":\"example", "\"origin\":\"exemple");
    }),
    after_seal("manifest-size", 1, |it| edit(it, MANIFEST, "\"tree_size\":11", "\"tree_size\":12")),
    after_seal("manifest-events-more", 1, |it| edit(it, MANIFEST, "\"events\":5", "\"events\":6")),
    after_seal("manifest-events-less", 1, |it| edit(it, MANIFEST, "\"events\":5", "\"events\":4")),
    after_seal("manifest-withheld-more", 1, |it| {
        edit(it, MANIFEST, "[\"origin\",\"raw\"]", "[\"actor\",\"origin\",\"raw\"]");
    }),
    after_seal("manifest-withheld-less", 1, |it| {
        edit(it, MANIFEST, "[\"origin\",\"raw\"]", "[\"raw\"]");
    }),
    after_seal("manifest-withheld-unknown", 2, |it| {
        edit(it, MANIFEST, "[\"origin\",\"raw\"]", "[\"origin\",\"row\"]");
    }),
    after_seal("manifest-withheld-twice", 2, |it| {
        edit(it, MANIFEST, "[\"origin\",\"raw\"]", "[\"origin\",\"raw\",\"raw\"]");
    }),
    after_seal("manifest-withheld-out-of-order", 2, |it| {
        edit(it, MANIFEST, "[\"origin\",\"raw\"]", "[\"raw\",\"origin\"]");
    }),
    after_seal("manifest-format", 2, |it| edit(it, MANIFEST, "evidence@v1", "evidence@v2")),
    after_seal("manifest-unknown-member", 2, |it| {
        edit(it, MANIFEST, "\"log\":", "\"more\":1,\"log\":");
    }),
    after_seal("manifest-missing-member", 2, |it| {
        edit(it, MANIFEST, "\"purpose\":\"Q4 \\\"audit\\\"\",", "");
    }),
    after_seal("manifest-member-twice", 2, |it| {
        edit(it, MANIFEST, "\"log\":", "\"log\":\"audit\",\"log\":");
    }),
    after_seal("manifest-file-twice", 2, |it| {
        behind(
            it,
            MANIFEST,
            "\"files\":{",
            "\"keys.txt\":{\"bytes\":1,\"sha256\":\"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\"},",
        );
    }),
    after_seal("manifest-words-number", 2, |it| {
        edit(it, MANIFEST, "\"log\":\"audit\"", "\"log\":1");
    }),
    after_seal("manifest-fraction", 2, |it| edit(it, MANIFEST, "\"events\":5", "\"events\":5.0")),
    after_seal("manifest-minus-zero", 2, |it| edit(it, MANIFEST, "\"events\":5", "\"events\":-0")),
    after_seal("manifest-2-to-53", 2, |it| {
        edit(it, MANIFEST, "\"tree_size\":11", "\"tree_size\":9007199254740992");
    }),
    after_seal("manifest-too-many-events", 2, |it| {
        edit(it, MANIFEST, "\"events\":5", "\"events\":10000001");
    }),
    after_seal("manifest-mark", 2, |it| edit(it, MANIFEST, "{\"format\"", "\u{feff}{\"format\"")),
    after_seal("manifest-and-more", 2, |it| append(it, MANIFEST, b"{}")),
    after_seal("manifest-empty", 2, |it| it.get_mut(MANIFEST).unwrap().clear()),
    after_seal("manifest-too-large", 2, |it| {
        let blanks = vec![b' '; MANIFEST_BYTES_MAX];
        append(it, MANIFEST, &blanks);
    }),
    after_seal("manifest-large", 0, |it| {
        let blanks = vec![b' '; MANIFEST_BYTES_MAX - it[MANIFEST].len()];
        append(it, MANIFEST, &blanks);
    }),
    after_seal("manifest-hash-upper-case", 2, |it| {
        edit(it, MANIFEST, "\"bytes\":12,\"sha256\":\"", "\"bytes\":12,\"sha256\":\"A");
    }),
    after_seal("manifest-hash-short", 2, |it| {
        let text = String::from_utf8(it[MANIFEST].clone()).unwrap();
        let at = text.rfind("\"}}}").unwrap();
        it.insert(MANIFEST.into(), format!("{}{}", &text[..at - 1], &text[at..]).into_bytes());
    }),
    after_seal("manifest-fact-with-more", 2, |it| {
        edit(it, MANIFEST, "\"bytes\":12,", "\"bytes\":12,\"more\":1,");
    }),
    after_seal("manifest-start-beyond-end", 2, |it| {
        edit(it, MANIFEST, "\"complete\":null", "\"complete\":{\"start\":2,\"end\":1}");
    }),
    after_seal("manifest-range-without-end", 2, |it| {
        edit(it, MANIFEST, "\"complete\":null", "\"complete\":{\"start\":2}");
    }),
    after_seal("manifest-range-true", 2, |it| {
        edit(it, MANIFEST, "\"complete\":null", "\"complete\":true");
    }),
    after_seal("filter-list", 2, |it| edit(it, MANIFEST, "\"filter\":{}", "\"filter\":[]")),
    after_seal("filter-text", 2, |it| {
        edit(it, MANIFEST, "\"filter\":{}", "\"filter\":{\"action\":\"a.b\"}");
    }),
    after_seal("filter-number", 2, |it| {
        edit(it, MANIFEST, "\"filter\":{}", "\"filter\":{\"action\":[1]}");
    }),
    after_seal("filter-time", 2, |it| {
        edit(it, MANIFEST, "\"filter\":{}", "\"filter\":{\"time\":\"both\"}");
    }),
    after_seal("filter-from-list", 2, |it| {
        edit(it, MANIFEST, "\"filter\":{}", "\"filter\":{\"from\":[\"2026-03-04T09:10:11Z\"]}");
    }),
    after_seal("filter-from-date", 2, |it| {
        edit(it, MANIFEST, "\"filter\":{}", "\"filter\":{\"from\":\"2026-03-04\"}");
    }),
    after_seal("filter-from-zone", 2, |it| {
        edit(it, MANIFEST, "\"filter\":{}", "\"filter\":{\"from\":\"2026-03-04T09:10:11+00:00\"}");
    }),
    after_seal("filter-from-that-is-no-day", 2, |it| {
        edit(it, MANIFEST, "\"filter\":{}", "\"filter\":{\"from\":\"2026-02-30T09:10:11Z\"}");
    }),
    after_seal("filter-unheard-object", 2, |it| {
        edit(it, MANIFEST, "\"filter\":{}", "\"filter\":{\"unheard\":{}}");
    }),
    after_seal("file-unlisted", 2, |it| {
        let text = String::from_utf8(it[MANIFEST].clone()).unwrap();
        let at = text.find("\"events.csv\":{").unwrap();
        let end = at + text[at..].find("},").unwrap() + 2;
        it.insert(MANIFEST.into(), format!("{}{}", &text[..at], &text[end..]).into_bytes());
    }),
    after_seal("file-unknown", 2, |it| drop(it.insert("more.txt".into(), vec![]))),
    after_seal("file-hidden", 2, |it| drop(it.insert(".DS_Store".into(), vec![]))),
    after_seal("file-in-a-folder", 2, |it| drop(it.insert("more/more.txt".into(), vec![]))),
    after_seal("file-beside-proofs", 2, |it| drop(it.insert("proofs/more.txt".into(), vec![]))),
    after_seal("file-unknown-and-listed", 2, |it| {
        it.insert("more.txt".into(), vec![]);
        behind(
            it,
            MANIFEST,
            "\"files\":{",
            "\"more.txt\":{\"bytes\":0,\"sha256\":\"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\"},",
        );
    }),
    after_seal("missing-manifest", 2, |it| drop(it.remove(MANIFEST))),
    after_seal("missing-events", 2, |it| drop(it.remove(EVENTS))),
    after_seal("missing-checkpoint", 2, |it| drop(it.remove("checkpoint"))),
    after_seal("missing-keys", 2, |it| drop(it.remove("keys.txt"))),
    after_seal("missing-policy", 2, |it| drop(it.remove("policy.txt"))),
    after_seal("missing-readme", 2, |it| drop(it.remove("READ ME FIRST.txt"))),
    after_seal("missing-page", 2, |it| drop(it.remove("verify.html"))),
    after_seal("missing-view", 2, |it| drop(it.remove("events.json"))),
    of_few("without-views", 0, |it| {
        it.retain(|name, _| !["events.csv", "events.json", "events.parquet"].contains(&&**name));
    }),
    of_few("sealed-without-keys", 2, |it| drop(it.remove("keys.txt"))),
    of_few("sealed-without-page", 2, |it| drop(it.remove("verify.html"))),
];

pub const COMPLETE: &[Damage] = &[
    of_complete("complete-more", 1, |it| edit(it, MANIFEST, "\"end\":12", "\"end\":13")),
    of_complete("complete-less", 1, |it| edit(it, MANIFEST, "\"end\":12", "\"end\":11")),
    of_complete("complete-later", 1, |it| edit(it, MANIFEST, "\"start\":0", "\"start\":1")),
    of_complete("complete-range-and-time-of-events", 1, |it| {
        edit(it, MANIFEST, "\"start\":0", "\"start\":1");
        edit(
            it,
            MANIFEST,
            "\"filter\":{",
            "\"filter\":{\"time\":\"event\",\"from\":\"2026-03-04T09:10:00Z\",",
        );
    }),
    of_complete("complete-null", 1, |it| {
        edit(it, MANIFEST, "\"complete\":{\"start\":0,\"end\":12}", "\"complete\":null");
    }),
    of_complete("complete-of-another-filter", 1, |it| {
        edit(it, MANIFEST, "\"outcome\":[\"denied\"]", "\"outcome\":[\"success\"]");
    }),
    of_complete("complete-of-everything", 1, |it| {
        edit(it, MANIFEST, "\"filter\":{\"outcome\":[\"denied\"]}", "\"filter\":{}");
    }),
    of_complete("complete-of-either", 1, |it| {
        edit(it, MANIFEST, "\"outcome\":[\"denied\"]", "\"outcome\":[\"denied\",\"success\"]");
    }),
    of_complete("complete-of-nothing", 1, |it| {
        edit(it, MANIFEST, "\"outcome\":[\"denied\"]", "\"outcome\":[]");
    }),
    of_complete("complete-of-a-label", 1, |it| {
        edit(it, MANIFEST, "\"outcome\":[\"denied\"]", "\"label\":[\"n=0\"]");
    }),
    of_complete("complete-of-a-flag", 1, |it| {
        edit(it, MANIFEST, "\"outcome\":[\"denied\"]", "\"flag\":[\"truncated\"]");
    }),
    of_complete("complete-undecidable", 0, |it| {
        edit(it, MANIFEST, "\"outcome\":[\"denied\"]", "\"actor\":[\"(withheld)\"]");
    }),
    of_complete("complete-by-time-of-events", 0, |it| {
        edit(
            it,
            MANIFEST,
            "\"filter\":{",
            "\"filter\":{\"time\":\"event\",\"from\":\"2026-03-04T09:10:00.5Z\",",
        );
    }),
    of_complete("complete-by-later-time-of-events", 1, |it| {
        edit(
            it,
            MANIFEST,
            "\"filter\":{",
            "\"filter\":{\"time\":\"event\",\"from\":\"2026-03-04T09:10:00.500000001Z\",",
        );
    }),
    of_complete("complete-by-time-received", 0, |it| {
        edit(
            it,
            MANIFEST,
            "\"filter\":{",
            "\"filter\":{\"time\":\"received\",\"from\":\"2026-03-04T09:10:11Z\",",
        );
    }),
    Damage {
        name: "complete-without-a-line",
        base: Base::Complete,
        sealed: true,
        status: 1,
        alter: |it| {
            lines(it, |lines| drop(lines.remove(4)));
            edit(it, MANIFEST, "\"events\":12", "\"events\":11");
        },
    },
    of_times("times-edge-at-the-end", 1, |it| {
        edit(it, MANIFEST, "\"to\":\"2026-03-04T09:10:16Z\"", "\"to\":\"2026-03-04T09:10:17Z\"");
    }),
    of_times("times-edge-at-the-start", 1, |it| {
        edit(
            it,
            MANIFEST,
            "\"from\":\"2026-03-04T09:10:13Z\"",
            "\"from\":\"2026-03-04T09:10:12Z\"",
        );
    }),
    of_times("times-without-end", 1, |it| {
        edit(it, MANIFEST, ",\"to\":\"2026-03-04T09:10:16Z\"", "");
    }),
    of_times("times-without-start", 1, |it| {
        edit(it, MANIFEST, "\"from\":\"2026-03-04T09:10:13Z\",", "");
    }),
    of_times("times-undecidable", 0, |it| {
        edit(it, MANIFEST, "\"filter\":{", "\"filter\":{\"unheard\":[\"x\"],");
    }),
    of_times("times-edge-undecidable", 1, |it| {
        edit(
            it,
            MANIFEST,
            "\"from\":\"2026-03-04T09:10:13Z\"",
            "\"unheard\":[\"x\"],\"from\":\"2026-03-04T09:10:12Z\"",
        );
    }),
    of_times("times-within", 1, |it| {
        edit(
            it,
            MANIFEST,
            "\"from\":\"2026-03-04T09:10:13Z\"",
            "\"from\":\"2026-03-04T09:10:14Z\"",
        );
    }),
];

pub const ZIPS: &[ZipDamage] = &[
    ZipDamage { name: "zip-plain", status: 0, alter: |_| {} },
    ZipDamage {
        name: "zip-utf-8",
        status: 0,
        alter: |it| it.entry("checkpoint").both(|it| it.flags = 0x800),
    },
    ZipDamage {
        name: "zip-directory-in-another-order",
        status: 0,
        alter: |it| it.directory.reverse(),
    },
    ZipDamage {
        name: "zip-extra-fields",
        status: 0,
        alter: |it| {
            let entry = it.entry("checkpoint");
            entry.local.extra = vec![0x55, 0x54, 1, 0, 7];
            entry.central.extra = vec![0x55, 0x54, 2, 0, 7, 8];
        },
    },
    ZipDamage {
        name: "zip-extra-junk",
        status: 0,
        alter: |it| it.entry("checkpoint").local.extra = vec![1, 2, 3],
    },
    ZipDamage { name: "zip-times", status: 0, alter: |it| it.entry("checkpoint").local.time = 7 },
    ZipDamage {
        name: "zip-regular-file",
        status: 0,
        alter: |it| it.entry("checkpoint").attributes = 0o100_644 << 16,
    },
    ZipDamage {
        name: "zip-deflate",
        status: 0,
        alter: |it| it.entries.iter_mut().for_each(RawEntry::deflate),
    },
    ZipDamage {
        name: "zip-descriptors",
        status: 0,
        alter: |it| it.entries.iter_mut().for_each(|it| it.describe(true, 4)),
    },
    ZipDamage {
        name: "zip-descriptors-unsigned",
        status: 0,
        alter: |it| it.entries.iter_mut().for_each(|it| it.describe(false, 4)),
    },
    ZipDamage {
        name: "zip-descriptors-long",
        status: 0,
        alter: |it| it.entries.iter_mut().for_each(|it| it.describe(true, 8)),
    },
    ZipDamage {
        name: "zip-descriptors-long-unsigned",
        status: 0,
        alter: |it| it.entries.iter_mut().for_each(|it| it.describe(false, 8)),
    },
    ZipDamage {
        name: "zip-deflate-and-descriptors",
        status: 0,
        alter: |it| {
            it.entries.iter_mut().for_each(|it| {
                it.deflate();
                it.describe(true, 4);
            });
        },
    },
    ZipDamage {
        name: "zip-64",
        status: 0,
        alter: |it| {
            it.entries.iter_mut().for_each(|it| it.both(|it| it.is_64 = true));
            it.end_64 = Some(0);
        },
    },
    ZipDamage { name: "zip-64-end", status: 0, alter: |it| it.end_64 = Some(0) },
    ZipDamage {
        name: "zip-64-local",
        status: 0,
        alter: |it| it.entry("checkpoint").local.is_64 = true,
    },
    ZipDamage { name: "zip-64-end-of-another-size", status: 2, alter: |it| it.end_64 = Some(1) },
    ZipDamage {
        name: "zip-64-without-field",
        status: 2,
        alter: |it| {
            let entry = it.entry("checkpoint");
            entry.central.is_64 = true;
            entry.central.extra = vec![1, 0, 0, 0]; // an empty one in front
        },
    },
    ZipDamage {
        name: "zip-64-local-of-another-size",
        status: 2,
        alter: |it| {
            let local = &mut it.entry("checkpoint").local;
            local.is_64 = true;
            local.size += 1;
        },
    },
    ZipDamage { name: "zip-prefix", status: 2, alter: |it| it.prefix = b"#!/bin/sh\n".to_vec() },
    ZipDamage { name: "zip-suffix", status: 2, alter: |it| it.suffix = b"\n".to_vec() },
    ZipDamage { name: "zip-comment", status: 2, alter: |it| it.comment = b"hello".to_vec() },
    ZipDamage {
        name: "zip-comment-of-an-entry",
        status: 2,
        alter: |it| it.entry("checkpoint").comment = b"hello".to_vec(),
    },
    ZipDamage { name: "zip-gap", status: 2, alter: |it| it.entry("events.ndjson").gap = vec![0] },
    ZipDamage {
        name: "zip-gap-before-the-directory",
        status: 2,
        alter: |it| it.before_directory = vec![0],
    },
    ZipDamage {
        name: "zip-gap-behind-the-directory",
        status: 2,
        alter: |it| it.behind_directory = vec![0],
    },
    ZipDamage {
        name: "zip-overlap",
        status: 2,
        alter: |it| {
            // Two names for one entry: the directory has it twice.
            let mut twin = it.entry("checkpoint").clone();
            twin.central.name = b"policy.txt".to_vec();
            let at = it.entries.iter().position(|it| it.central.name == b"policy.txt").unwrap();
            it.entries[at] = twin;
            it.entries[at].local.name = b"checkpoint".to_vec();
        },
    },
    ZipDamage { name: "zip-offset", status: 2, alter: |it| it.entry("keys.txt").offset_more = 1 },
    ZipDamage {
        name: "zip-twice",
        status: 2,
        alter: |it| {
            let again = it.entry("checkpoint").clone();
            it.entries.push(again);
            it.directory.push(it.entries.len() - 1);
        },
    },
    ZipDamage { name: "zip-twice-in-the-directory", status: 2, alter: |it| it.directory.push(0) },
    ZipDamage {
        name: "zip-not-in-the-directory",
        status: 2,
        alter: |it| it.directory.truncate(it.entries.len() - 1),
    },
    ZipDamage { name: "zip-count", status: 2, alter: |it| it.count_more = 1 },
    ZipDamage { name: "zip-count-here", status: 2, alter: |it| it.count_here = Some(1) },
    ZipDamage {
        name: "zip-case",
        status: 2,
        alter: |it| {
            let mut twin = it.entry("checkpoint").clone();
            twin.both(|it| it.name = b"Checkpoint".to_vec());
            it.entries.push(twin);
            it.directory.push(it.entries.len() - 1);
        },
    },
    ZipDamage {
        name: "zip-folder",
        status: 2,
        alter: |it| {
            it.entries.push(RawEntry::of("proofs/", b""));
            it.directory.push(it.entries.len() - 1);
        },
    },
    ZipDamage {
        name: "zip-name-outside",
        status: 2,
        alter: |it| {
            it.entries.push(RawEntry::of("../more.txt", b""));
            it.directory.push(it.entries.len() - 1);
        },
    },
    ZipDamage {
        name: "zip-name-backslash",
        status: 2,
        alter: |it| {
            it.entry("proofs/000001.txt").both(|it| it.name = b"proofs\\000001.txt".to_vec());
        },
    },
    ZipDamage {
        name: "zip-name-not-ascii",
        status: 2,
        alter: |it| {
            it.entry("keys.txt").both(|it| it.name = b"keys.txt\xff".to_vec());
        },
    },
    ZipDamage {
        name: "zip-encrypted",
        status: 2,
        alter: |it| it.entry("checkpoint").both(|it| it.flags = 1),
    },
    ZipDamage {
        name: "zip-flag-1",
        status: 2,
        alter: |it| it.entry("checkpoint").both(|it| it.flags = 2),
    },
    ZipDamage {
        name: "zip-flag-13",
        status: 2,
        alter: |it| it.entry("checkpoint").both(|it| it.flags = 0x2000),
    },
    ZipDamage {
        name: "zip-method",
        status: 2,
        alter: |it| it.entry("checkpoint").both(|it| it.method = 12),
    },
    ZipDamage {
        name: "zip-link",
        status: 2,
        alter: |it| it.entry("checkpoint").attributes = 0o120_777 << 16,
    },
    ZipDamage {
        name: "zip-local-name",
        status: 2,
        alter: |it| it.entry("keys.txt").local.name = b"keyz.txt".to_vec(),
    },
    ZipDamage {
        name: "zip-local-flags",
        status: 2,
        alter: |it| it.entry("keys.txt").local.flags = 0x800,
    },
    ZipDamage {
        name: "zip-local-method",
        status: 2,
        alter: |it| it.entry("keys.txt").local.method = 8,
    },
    ZipDamage {
        name: "zip-local-checksum",
        status: 2,
        alter: |it| it.entry("keys.txt").local.crc ^= 1,
    },
    ZipDamage {
        name: "zip-local-size",
        status: 2,
        alter: |it| it.entry("keys.txt").local.size += 1,
    },
    ZipDamage {
        name: "zip-local-packed-size",
        status: 2,
        alter: |it| it.entry("keys.txt").local.packed -= 1,
    },
    ZipDamage {
        name: "zip-checksum",
        status: 2,
        alter: |it| it.entry("keys.txt").both(|it| it.crc ^= 1),
    },
    ZipDamage {
        name: "zip-size",
        status: 2,
        alter: |it| it.entry("keys.txt").both(|it| it.size += 1),
    },
    ZipDamage { name: "zip-data", status: 2, alter: |it| it.entry("verify.html").data[40] ^= 1 },
    ZipDamage {
        name: "zip-data-of-the-manifest",
        status: 2,
        alter: |it| {
            // A word of the maker, which nothing else protects.
            let entry = it.entry("manifest.json");
            let at = entry.data.windows(3).position(|it| it == b"Tom").unwrap();
            entry.data[at] = b'B';
        },
    },
    ZipDamage {
        name: "zip-deflate-of-another-size",
        status: 2,
        alter: |it| {
            let entry = it.entry("keys.txt");
            entry.deflate();
            entry.both(|it| it.size -= 1);
        },
    },
    ZipDamage {
        name: "zip-deflate-of-more",
        status: 2,
        alter: |it| {
            let entry = it.entry("keys.txt");
            entry.deflate();
            entry.both(|it| it.size += 1);
        },
    },
    ZipDamage {
        name: "zip-deflate-and-more",
        status: 2,
        alter: |it| {
            let entry = it.entry("keys.txt");
            entry.deflate();
            entry.data.push(0);
            entry.both(|it| it.packed += 1);
        },
    },
    ZipDamage {
        name: "zip-deflate-unended",
        status: 2,
        alter: |it| {
            let entry = it.entry("keys.txt");
            entry.deflate();
            entry.data.pop();
            entry.both(|it| it.packed -= 1);
        },
    },
    ZipDamage {
        name: "zip-deflate-junk",
        status: 2,
        alter: |it| {
            let entry = it.entry("keys.txt");
            entry.deflate();
            entry.data[0] = 0xff;
        },
    },
    ZipDamage {
        name: "zip-deflate-checksum",
        status: 2,
        alter: |it| {
            let entry = it.entry("keys.txt");
            entry.deflate();
            entry.both(|it| it.crc ^= 1);
        },
    },
    ZipDamage {
        name: "zip-descriptor-checksum",
        status: 2,
        alter: |it| {
            let entry = it.entry("keys.txt");
            entry.describe(true, 4);
            entry.descriptor[5] ^= 1;
        },
    },
    ZipDamage {
        name: "zip-descriptor-size",
        status: 2,
        alter: |it| {
            let entry = it.entry("keys.txt");
            entry.describe(false, 4);
            entry.descriptor[4] ^= 1;
        },
    },
    ZipDamage {
        name: "zip-descriptor-missing",
        status: 2,
        alter: |it| {
            let entry = it.entry("keys.txt");
            entry.describe(true, 4);
            entry.descriptor.clear();
        },
    },
    ZipDamage {
        name: "zip-descriptor-signature",
        status: 2,
        alter: |it| {
            let entry = it.entry("keys.txt");
            entry.describe(true, 4);
            entry.descriptor[0] ^= 1;
        },
    },
    ZipDamage {
        name: "zip-descriptor-unannounced",
        status: 2,
        alter: |it| {
            let entry = it.entry("keys.txt");
            entry.describe(true, 4);
            let (crc, size) = (entry.central.crc, entry.central.size);
            entry.both(|it| it.flags = 0);
            (entry.local.crc, entry.local.packed, entry.local.size) = (crc, size, size);
        },
    },
    ZipDamage {
        name: "zip-too-many-files",
        status: 2,
        alter: |it| {
            for _ in 0..1_100 {
                let again = it.entry("policy.txt").clone();
                it.entries.push(again);
                it.directory.push(it.entries.len() - 1);
            }
        },
    },
];
