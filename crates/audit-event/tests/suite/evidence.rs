//! Evidence files: what holds, and every way in which one does not.

use std::collections::BTreeMap;

use audit_event::evidence::line::ShownBlock;
use audit_event::evidence::manifest::{FileFact, REQUIRED, proof_name};
use audit_event::evidence::verify;
use audit_event::evidence::view::{
    Next, Row, Separator, csv_difference, csv_head, csv_row, json_item, next_item, split_row,
};
use audit_event::evidence::{
    BatchProof, Filter, Finding, Gap, Line, Manifest, Report, Status, verify_event,
};
use audit_event::json::{Numbers, read_value};
use audit_event::{Raw, Tag, Tags, Value, text};
use formats::{Checkpoint, Origin, PrivateKey, SignedCheckpoint, Timestamp, TlogProof, Trust};
use merkle::{CompactRange, LeafIndex, TreeSize, plan_batch_inclusion};
use sha2::{Digest as _, Sha256};

use crate::*;

pub(crate) const ORIGIN: &str = "example.com/audit";

/// A log of audit events in memory.
pub(crate) struct Log {
    pub(crate) lines: Vec<Line>,
}

/// Files by name.
pub(crate) type Files = BTreeMap<String, Vec<u8>>;

impl Log {
    /// A log of so many events, received a second apart; every third one was refused, every second one
    /// has a RAW.
    pub(crate) fn of(events: u64) -> Self {
        Self::with(events, event, stamp)
    }

    /// A log of events that are made by their number.
    fn with(events: u64, event: fn(u64) -> ValidEvent, stamp: fn(u64) -> Stamp) -> Self {
        let mut next = 0u64;
        let mut salt = || {
            next += 1;
            let digest = Sha256::digest(next.to_be_bytes());
            Salt::from(<[u8; 16]>::try_from(&digest[..16]).unwrap())
        };
        let line = |number: u64| {
            let blocks = Blocks::of(&event(number), stamp(number));
            let received = 1_772_615_411_000_000_000 + number * 1_000_000_000;
            let (leaf, salts) = Leaf::commit(received, &blocks, &mut salt).unwrap();
            let shown = |(block, salt): (audit_event::Block, Salt)| ShownBlock {
                tag: block.tag(),
                salt,
                bytes: block.into_bytes(),
            };
            Line {
                index: LeafIndex::new(number).unwrap(),
                leaf,
                blocks: blocks.into_iter().zip(salts).map(shown).collect(),
                withheld: Tags::NONE,
                erased: Tags::NONE,
            }
        };
        Self { lines: (0..events).map(line).collect() }
    }

    pub(crate) fn size(&self) -> TreeSize {
        TreeSize::new(self.lines.len().try_into().unwrap()).unwrap()
    }

    fn tree(&self) -> CompactRange {
        let mut tree = CompactRange::empty();
        self.lines.iter().for_each(|line| tree.append(line.leaf_hash()));
        tree
    }

    pub(crate) fn checkpoint(&self) -> Vec<u8> {
        let head =
            Checkpoint::new(ORIGIN.parse::<Origin>().unwrap(), self.size(), self.tree().root());
        formats::sign(&head, &[&key()], Timestamp::new(1_772_615_500).unwrap()).unwrap()
    }

    /// The proof of some lines.
    pub(crate) fn proof(&self, lines: &[Line]) -> BatchProof {
        let leaves: Vec<_> = self.lines.iter().map(Line::leaf_hash).collect();
        let indexes: Vec<_> = lines.iter().map(|line| line.index).collect();
        let plan = plan_batch_inclusion(&indexes, self.size()).unwrap();
        let hash = |node: &merkle::NodeId| {
            let range = node.leaves();
            let range = usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap();
            merkle::root_of(&leaves[range])
        };
        let hashes: Vec<_> = plan.nodes().iter().map(hash).collect();
        BatchProof { size: self.size(), hashes: plan.build(&hashes).unwrap() }
    }

    /// An evidence file of some lines.
    pub(crate) fn export(
        &self,
        lines: &[Line],
        filter: &str,
        complete: Option<(u64, u64)>,
    ) -> Files {
        let withheld: Tags = [Tag::Origin].into_iter().collect();
        let mut files: Files =
            REQUIRED.iter().map(|name| ((*name).into(), b"x\n".to_vec())).collect();
        let text: String = lines.iter().map(|line| line.write() + "\n").collect();
        files.insert("events.ndjson".into(), text.into_bytes());
        files.insert("checkpoint".into(), self.checkpoint());
        files.insert("keys.txt".into(), format!("{}\n", key().verifier_key()).into_bytes());
        files.insert("policy.txt".into(), b"quorum none\n".to_vec());
        for (number, lines) in (1..).zip(lines.chunks(10_000)) {
            files.insert(proof_name(number), self.proof(lines).write().into_bytes());
        }
        let rows: Vec<Row> = lines.iter().map(Row::of).collect();
        let csv: String = rows.iter().map(|row| csv_row(row, Separator::Comma)).collect();
        files.insert("events.csv".into(), (csv_head(Separator::Comma) + &csv).into_bytes());
        let items: Vec<String> = rows.iter().map(|row| text::write(&json_item(row))).collect();
        files.insert("events.json".into(), format!("[\n{}\n]\n", items.join(",\n")).into_bytes());
        let filter =
            Filter::read(read_value(filter.as_bytes(), Numbers::Refused).unwrap()).unwrap();
        let manifest = Manifest {
            log: "audit".into(),
            origin: ORIGIN.into(),
            tree_size: self.size(),
            made_at: "2026-03-05T08:00:00Z".into(),
            made_by: "Tom Hale".into(),
            purpose: "Q4 \"audit\"".into(),
            filter,
            filter_text: "refused events".into(),
            time_zone: "Europe/London".into(),
            events: lines.len().try_into().unwrap(),
            complete: complete.map(|(start, end)| start..end),
            withheld,
            files: BTreeMap::new(),
        };
        seal(manifest, files)
    }

    /// The lines of a range, as a file with `origin` withheld shows them.
    pub(crate) fn range(&self, range: std::ops::Range<usize>) -> Vec<Line> {
        let mut lines = self.lines[range].to_vec();
        for line in &mut lines {
            withhold(line, Tag::Origin);
        }
        lines
    }

    /// The same, with lines that were not refused reduced to `core`.
    pub(crate) fn reduced(&self, range: std::ops::Range<usize>) -> Vec<Line> {
        let mut lines = self.range(range);
        let unmatched = |line: &&mut Line| !line.index.get().is_multiple_of(3);
        for line in lines.iter_mut().filter(unmatched) {
            Tag::ALL.into_iter().skip(1).for_each(|tag| withhold(line, tag));
        }
        lines
    }
}

/// Writes what the manifest says of every other file, and the manifest.
pub(crate) fn seal(mut manifest: Manifest, mut files: Files) -> Files {
    files.remove("manifest.json");
    let fact = |bytes: &Vec<u8>| FileFact {
        bytes: bytes.len().try_into().unwrap(),
        sha256: Sha256::digest(bytes).into(),
    };
    manifest.files = files.iter().map(|(name, bytes)| (name.clone(), fact(bytes))).collect();
    files.insert("manifest.json".into(), manifest.write().into_bytes());
    files
}

pub(crate) fn withhold(line: &mut Line, tag: Tag) {
    if line.leaf.commitment(tag).is_some() {
        line.blocks.retain(|block| block.tag != tag);
        line.withheld.insert(tag);
    }
}

fn erase(line: &mut Line, tag: Tag) {
    line.blocks.retain(|block| block.tag != tag);
    line.erased.insert(tag);
}

fn key() -> PrivateKey {
    PrivateKey::ed25519(ORIGIN.parse().unwrap(), &[1; 32])
}

fn event(number: u64) -> ValidEvent {
    let outcome = if number.is_multiple_of(3) { "denied" } else { "success" };
    let text = format!(
        r#"{{"id":"e-{number}","source":"/billing","time":"2026-03-04T09:10:{:02}.50Z","action":"invoice.updated",
        "outcome":"{outcome}","labels":{{"n":"{number}"}},"actor":{{"type":"user","id":"u-{number}","name":"=Ana, \"{number}\""}},
        "origin":{{"ip":"192.0.2.7"}},"changes":[{{"field":"amount","old":900,"new":0.5}}],"description":""}}"#,
        number % 60
    );
    own(read(&text).event).unwrap()
}

fn stamp(number: u64) -> Stamp {
    let raw = || Raw::new(vec![0xff, number.to_be_bytes()[7]], Some("application/json"));
    Stamp { writer: None, raw: number.is_multiple_of(2).then(raw) }
}

/// Verifies a whole file as a command line would, the container aside.
pub(crate) fn verify(files: &Files) -> (Status, Vec<Finding>) {
    let trust = Trust::Keys(vec![key().verifier_key().clone()]);
    let Ok(manifest) = Manifest::parse(&files["manifest.json"]) else {
        return (Status::Unusable, vec![]);
    };
    if manifest.check_present(files.keys().map(String::as_str)).is_err() {
        return (Status::Unusable, vec![]);
    }
    let (signed, mut findings) = match verify::check_trust(&files["checkpoint"], &trust) {
        Ok((signed, finding)) => (signed, Vec::from_iter(finding)),
        Err(finding) => return (finding.status(), vec![finding]),
    };
    for (name, stated) in &manifest.files {
        let bytes = &files[name];
        let found = FileFact {
            bytes: bytes.len().try_into().unwrap(),
            sha256: Sha256::digest(bytes).into(),
        };
        findings.extend(verify::check_file(name, stated, &found).err());
    }
    let report = verify_lines(&manifest, &signed, files);
    findings.extend(report.findings);
    if files.contains_key("events.csv") {
        findings.extend(compare_csv(files));
        findings.extend(compare_json(files));
    }
    let status = findings.iter().map(Finding::status).max().unwrap_or(Status::Holds);
    (status, findings)
}

fn verify_lines(manifest: &Manifest, signed: &SignedCheckpoint, files: &Files) -> Report {
    let lines =
        files["events.ndjson"].split_inclusive(|byte| *byte == b'\n').map(|it| Ok(it.to_vec()));
    let proof = |name: &str| Ok::<_, String>(files.get(name).cloned().unwrap_or_default());
    verify::verify(manifest, signed.checkpoint(), lines, proof).unwrap()
}

/// The events of a file as rows of its views.
fn rows(files: &Files) -> Vec<Row> {
    let lines = files["events.ndjson"].split_inclusive(|byte| *byte == b'\n');
    let lines = lines.filter_map(|line| Line::parse(line).ok());
    lines.map(|line| Row::of(&line)).collect()
}

fn compare_csv(files: &Files) -> Option<Finding> {
    let finding = |row, column| Some(Finding::View { name: "events.csv".into(), row, column });
    let text = std::str::from_utf8(&files["events.csv"]).unwrap();
    let Some(mut rest) = text.strip_prefix(&csv_head(Separator::Comma)) else {
        return finding(0, "index");
    };
    for (number, row) in (1..).zip(rows(files)) {
        let (found, length) = split_row(rest, Separator::Comma).unwrap_or_default();
        if let Some(column) = csv_difference(&found, &row) {
            return finding(number, column);
        }
        rest = &rest[length..];
    }
    if rest.is_empty() { None } else { finding(0, "leaf_hash") }
}

fn compare_json(files: &Files) -> Option<Finding> {
    let finding = |row| Some(Finding::View { name: "events.json".into(), row, column: "index" });
    let mut rest = &files["events.json"][..];
    let rows = rows(files);
    for (number, row) in (0..).zip(&rows) {
        match next_item(rest, number == 0) {
            Ok(Next::Item(Value::Object(item), length)) if item == json_item(row) => {
                rest = &rest[length..];
            }
            _ => return finding(number + 1),
        }
    }
    let ends = matches!(next_item(rest, rows.is_empty()), Ok(Next::End(_)));
    if ends { None } else { finding(0) }
}

const REFUSED: &str = r#"{"outcome":["denied"]}"#;

#[test]
fn a_file_of_some_events_holds() {
    let log = Log::of(11);
    for picked in [&[][..], &[0], &[10], &[0, 3, 9], &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]] {
        let all = log.range(0..11);
        let lines: Vec<Line> = picked.iter().map(|at| all[*at].clone()).collect();
        let files = log.export(&lines, REFUSED, None);
        assert_eq!(verify(&files), (Status::Holds, vec![]), "{picked:?}");
        assert_eq!(
            Manifest::parse(&files["manifest.json"]).unwrap().proofs(),
            u64::from(!picked.is_empty())
        );
    }
}

#[test]
fn more_lines_than_one_proof_is_about() {
    let small = |number: u64| {
        let id = Some(number.to_string());
        own(AuditEvent { id, ..least() }).unwrap()
    };
    let log = Log::with(10_003, small, |_| Stamp::default());
    let files = log.export(&log.range(0..10_003), "{}", Some((0, 10_003)));
    assert!(files.contains_key("proofs/000002.txt"));
    assert_eq!(verify(&files), (Status::Holds, vec![]));
}

#[test]
fn a_complete_file_shows_that_nothing_was_left_out() {
    let log = Log::of(12);
    let files = log.export(&log.reduced(0..12), REFUSED, Some((0, 12)));
    assert_eq!(verify(&files), (Status::Holds, vec![]));
    let manifest = Manifest::parse(&files["manifest.json"]).unwrap();
    let signed = SignedCheckpoint::parse(&files["checkpoint"]).unwrap();
    let report = verify_lines(&manifest, &signed, &files);
    assert_eq!((report.in_full, report.reduced, report.decided), (4, 8, true));

    // From second 2 on, until before second 5: the line before, and the line after, show the edges.
    let times = r#"{"from":"2026-03-04T09:10:13Z","to":"2026-03-04T09:10:16Z"}"#;
    let in_time = |range: std::ops::Range<usize>| {
        let mut lines = log.range(range);
        for line in lines.iter_mut().filter(|line| !(2..5).contains(&line.index.get())) {
            Tag::ALL.into_iter().skip(1).for_each(|tag| withhold(line, tag));
        }
        lines
    };
    let export = |start: u64, end: u64| {
        let range = usize::try_from(start).unwrap()..usize::try_from(end).unwrap();
        verify(&log.export(&in_time(range), times, Some((start, end))))
    };
    for (start, end) in [(1, 6), (0, 6), (1, 12), (0, 12)] {
        assert_eq!(export(start, end), (Status::Holds, vec![]), "{start} {end}");
    }
    let gap = |reason| (Status::DoesNotHold, vec![Finding::Incomplete { reason }]);
    assert_eq!(export(2, 6), gap(Gap::Start));
    assert_eq!(export(1, 5), gap(Gap::End));
}

#[test]
fn what_is_missing_from_a_complete_file_is_found() {
    let log = Log::of(12);
    let gaps = |lines: &[Line], complete| {
        let (_, findings) = verify(&log.export(lines, REFUSED, Some(complete)));
        let gap = |finding| match finding {
            Finding::Incomplete { reason } => Some(reason),
            _ => None,
        };
        findings.into_iter().filter_map(gap).collect::<Vec<_>>()
    };
    let all = log.reduced(0..12);
    let mut without = all.clone();
    without.remove(4);
    assert_eq!(gaps(&without, (0, 12)), [Gap::Line { line: 5 }, Gap::Short]);
    assert_eq!(gaps(&all[..11], (0, 12)), [Gap::Short]);
    assert_eq!(gaps(&all[1..], (0, 12)), [Gap::Line { line: 1 }, Gap::Short]);
    assert_eq!(gaps(&all[..11], (0, 11)), [Gap::NotWhole]);
    assert_eq!(gaps(&all, (0, 11)), [Gap::Line { line: 12 }, Gap::NotWhole]);
    assert_eq!(gaps(&all, (0, 13)), [Gap::Beyond, Gap::Short, Gap::NotWhole]);
}

#[test]
fn a_filter_is_evaluated_where_core_is_enough() {
    let log = Log::of(6);
    let verified = |lines: &[Line], filter| verify(&log.export(lines, filter, Some((0, 6)))).1;
    let whole = log.range(0..6);
    let shown = |line| Finding::ShownUnmatched { line };
    assert_eq!(verified(&whole, REFUSED), [2, 3, 5, 6].map(shown));
    let reduced = log.reduced(0..6);
    let withheld = |line| Finding::WithheldMatched { line };
    assert_eq!(verified(&reduced, "{}"), [2, 3, 5, 6].map(withheld));
    assert_eq!(verified(&reduced, r#"{"actor":["u-0"]}"#), []);

    let mut erased = log.reduced(0..6);
    erase(&mut erased[1], Tag::Core);
    erase(&mut erased[3], Tag::Actor);
    assert_eq!(verified(&erased, REFUSED), []);
}

/// What is done to a file, and what must be found.
type Case = (&'static str, fn(&mut Vec<Line>), fn(&Finding) -> bool);

fn swap_salt(lines: &mut [Line]) {
    let salt = lines[0].blocks[0].salt;
    lines[1].blocks[0].salt = salt;
}

const CASES: &[Case] = &[
    ("another salt", |lines| swap_salt(lines), |it| matches!(it, Finding::Block { line: 2, .. })),
    (
        "another byte",
        |lines| lines[1].blocks[1].bytes[3] ^= 1,
        |it| matches!(it, Finding::Block { line: 2, .. }),
    ),
    (
        "a block of none",
        |lines| lines[1].blocks[3].tag = Tag::Raw,
        |it| matches!(it, Finding::Tags { line: 2 }),
    ),
    (
        "in both lists",
        |lines| assert!(lines[0].erased.insert(Tag::Origin)),
        |it| matches!(it, Finding::BothLists { line: 1, tag: Tag::Origin }),
    ),
    (
        "shown and erased",
        |lines| assert!(lines[0].erased.insert(Tag::Actor)),
        |it| matches!(it, Finding::Tags { line: 1 }),
    ),
    (
        "not mentioned",
        |lines| drop(lines[0].blocks.remove(1)),
        |it| matches!(it, Finding::Tags { line: 1 }),
    ),
    (
        "core withheld",
        |lines| withhold(&mut lines[2], Tag::Core),
        |it| matches!(it, Finding::CoreWithheld { line: 3 }),
    ),
    (
        "unannounced",
        |lines| withhold(&mut lines[2], Tag::Actor),
        |it| matches!(it, Finding::Unannounced { line: 3, tag: Tag::Actor }),
    ),
    ("swapped lines", |lines| lines.swap(0, 1), |it| matches!(it, Finding::Order { line: 2 })),
    ("decreasing time", |lines| lines.swap(0, 1), |it| matches!(it, Finding::Time { line: 2 })),
    (
        "another index",
        |lines| lines[4].index = LeafIndex::new(5).unwrap(),
        |it| matches!(it, Finding::Inclusion { number: 1, .. }),
    ),
    (
        "beyond the tree",
        |lines| lines[4].index = LeafIndex::new(6).unwrap(),
        |it| matches!(it, Finding::Inclusion { number: 1, .. }),
    ),
    (
        "another leaf",
        |lines| lines[4].leaf = lines[3].leaf.clone(),
        |it| matches!(it, Finding::Inclusion { number: 1, .. }),
    ),
];

#[test]
fn every_alteration_of_a_line_is_found() {
    let log = Log::of(6);
    for (name, alter, expected) in CASES {
        let mut lines = log.range(0..5);
        let proof = log.proof(&lines);
        alter(&mut lines);
        let mut files = log.export(&log.range(0..5), "{}", None);
        let text: String = lines.iter().map(|line| line.write() + "\n").collect();
        files.insert("events.ndjson".into(), text.into_bytes());
        files.insert(proof_name(1), proof.write().into_bytes());
        let manifest = Manifest::parse(&files["manifest.json"]).unwrap();
        let (status, findings) = verify(&seal(manifest, files));
        assert_eq!(status, Status::DoesNotHold, "{name}: {findings:?}");
        assert!(findings.iter().any(expected), "{name}: {findings:?}");
    }
}

#[test]
fn a_file_that_was_altered_is_not_the_one_in_the_manifest() {
    let log = Log::of(5);
    let files = log.export(&log.range(0..5), "{}", None);
    for name in files.keys().filter(|name| *name != "manifest.json") {
        let mut altered = files.clone();
        altered.get_mut(name).unwrap().push(b' ');
        let (status, findings) = verify(&altered);
        assert_ne!(status, Status::Holds, "{name}");
        let is_named =
            |finding: &Finding| matches!(finding, Finding::File { name: it } if it == name);
        assert!(
            findings.iter().any(is_named) || status == Status::Unusable,
            "{name}: {findings:?}"
        );
        let mut without = files.clone();
        without.remove(name);
        assert_eq!(verify(&without).0, Status::Unusable, "{name}");
    }
    let mut more = files;
    more.insert("more.txt".into(), vec![]);
    assert_eq!(verify(&more).0, Status::Unusable);
}

#[test]
fn committed_but_not_canonical_is_the_logs_fault() {
    let mut log = Log::of(3);
    let line = &mut log.lines[1];
    line.blocks[1].bytes = b"{ \"id\":\"u\"}".to_vec();
    let commitment = |block: &ShownBlock| {
        (block.tag, audit_event::commit::Commitment::to(block.tag, &block.salt, &block.bytes))
    };
    let commitments = line.blocks.iter().map(commitment).collect();
    line.leaf = Leaf::new(line.leaf.received_at_ns(), commitments).unwrap();
    let (status, findings) = verify(&log.export(&log.range(0..3), "{}", None));
    assert_eq!(status, Status::DoesNotHold);
    assert!(
        matches!(findings[..], [Finding::NotCanonical { line: 2, tag: Tag::Actor, .. }]),
        "{findings:?}"
    );
}

#[test]
fn one_source_and_id_stands_once() {
    let mut log = Log::of(3);
    let again = Line { index: LeafIndex::new(2).unwrap(), ..log.lines[1].clone() };
    log.lines[2] = again;
    let (status, findings) = verify(&log.export(&log.range(0..3), "{}", None));
    assert_eq!((status, findings), (Status::DoesNotHold, vec![Finding::Twice { line: 3 }]));
}

#[test]
fn another_key_is_not_believed() {
    let log = Log::of(1);
    let bytes = log.checkpoint();
    let other = PrivateKey::ed25519(ORIGIN.parse().unwrap(), &[2; 32]).verifier_key().clone();
    let (_, finding) = verify::check_trust(&bytes, &Trust::Keys(vec![other])).unwrap();
    assert_eq!(finding.unwrap().status(), Status::DoesNotHold);
    assert_eq!(verify::check_trust(&bytes, &Trust::Keys(vec![])).unwrap_err(), Finding::NoKey);
    let trust = Trust::Keys(vec![key().verifier_key().clone()]);
    assert_eq!(verify::check_trust(b"x", &trust).unwrap_err().status(), Status::Unusable);
}

#[test]
fn blank_space_around_a_line_is_allowed_and_no_empty_line() {
    let log = Log::of(2);
    let files = log.export(&log.range(0..2), "{}", None);
    let with = |edit: fn(&str) -> String| {
        let mut files = files.clone();
        let text = edit(std::str::from_utf8(&files["events.ndjson"]).unwrap());
        files.insert("events.ndjson".into(), text.into_bytes());
        let manifest = Manifest::parse(&files["manifest.json"]).unwrap();
        verify(&seal(manifest, files)).0
    };
    assert_eq!(with(|text| text.replace('\n', "\r\n")), Status::Holds);
    assert_eq!(with(|text| text.replace(",\"leaf\"", " ,\t\"leaf\"")), Status::Holds);
    assert_eq!(with(|text| format!("\n{text}")), Status::Unusable);
    assert_eq!(with(|text| text.replace('\n', "\n\n")), Status::Unusable);
    assert_eq!(with(|text| text.trim_end().to_owned()), Status::Unusable);
    assert_eq!(with(|text| format!("{text}{{}}\n")), Status::DoesNotHold);
    assert_eq!(with(|text| text.split_inclusive('\n').take(1).collect()), Status::DoesNotHold);
}

#[test]
fn one_event_and_its_receipt() {
    let log = Log::of(5);
    let trust = Trust::Keys(vec![key().verifier_key().clone()]);
    let receipt = |at: usize| {
        let proof = log.proof(&log.lines[at..=at]);
        let checkpoint = SignedCheckpoint::parse(&log.checkpoint()).unwrap();
        TlogProof::new(log.lines[at].index, proof.hashes, checkpoint).unwrap().format()
    };
    let event = log.range(0..5)[3].write() + "\n";
    let status = |event: &str, receipt: &[u8], trust: &Trust| {
        verify_event(event.as_bytes(), receipt, trust).0.status()
    };
    assert_eq!(status(&event, &receipt(3), &trust), Status::Holds);
    let (report, _) = verify_event(event.as_bytes(), &receipt(2), &trust);
    assert!(matches!(report.findings[..], [Finding::Index, Finding::Receipt { .. }]), "{report:?}");
    for (find, replace) in [("u-3", "u-4"), ("[\"origin\"]", "[]"), ("\"index\":3", "\"index\":2")]
    {
        let altered = event.replace(find, replace);
        assert_eq!(status(&altered, &receipt(3), &trust), Status::DoesNotHold, "{find}");
    }
    let other = PrivateKey::ed25519(ORIGIN.parse().unwrap(), &[2; 32]).verifier_key().clone();
    assert_eq!(status(&event, &receipt(3), &Trust::Keys(vec![other])), Status::DoesNotHold);
    assert_eq!(status(&event, &receipt(3), &Trust::Keys(vec![])), Status::Unusable);
    assert_eq!(status("{}", &receipt(3), &trust), Status::Unusable);
    assert_eq!(status(&event, b"x", &trust), Status::Unusable);
}

#[test]
fn withholding_a_block_takes_raw_with_it() {
    let whole = &Log::of(1).lines[0];
    let withhold = |tags: &[Tag]| {
        let mut line = whole.clone();
        line.withhold(tags.iter().copied().collect());
        assert_eq!(line.shown_tags().union(line.withheld), line.leaf.tags());
        line.withheld.iter().collect::<Vec<_>>()
    };
    assert_eq!(withhold(&[]), []);
    assert_eq!(withhold(&[Tag::Core]), []);
    assert_eq!(withhold(&[Tag::Raw]), [Tag::Raw]);
    assert_eq!(withhold(&[Tag::Core, Tag::Actor]), [Tag::Actor, Tag::Raw]);
    assert_eq!(withhold(&Tag::ALL).len(), whole.blocks.len() - 1);
}
