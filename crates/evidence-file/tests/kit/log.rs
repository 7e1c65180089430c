//! A log of audit events in memory, and evidence files of it.

use std::ops::Range;
use std::path::Path;

use audit_event::commit::Commitment;
use audit_event::evidence::line::ShownBlock;
use audit_event::evidence::{BatchProof, Filter, Line};
use audit_event::json::{self, Numbers};
use audit_event::{Blocks, Fill, Flags, Instant, Leaf, Raw, Salt, Stamp, Tag, Tags, ValidEvent};
use evidence_file::write::{Csv, Target, Written};
use evidence_file::{Options, Statements, Writer};
use formats::{Checkpoint, KeyName, Origin, PrivateKey, SignedCheckpoint, Timestamp, TlogProof};
use merkle::{CompactRange, Hash, LeafIndex, TreeSize, plan_batch_inclusion};
use sha2::{Digest as _, Sha256};

pub const ORIGIN: &str = "example.com/audit";

/// 2026-03-04T09:10:11Z.
pub const START: u64 = 1_772_615_411;

const SECOND: u64 = 1_000_000_000;

/// Free texts that a table could get wrong.
const TEXTS: [&str; 16] = [
    "",
    "plain",
    "comma, inside",
    "say \"hi\"",
    "two\nlines",
    "carriage\r\nreturn",
    "=1+1",
    "+49 30 1234",
    "-2",
    "-2+3",
    "@SUM(A1)",
    "'quoted",
    "\u{ff1d}1+1; \t",
    "ctl \0\u{1b}[31m \u{7f}\u{202e}evil\u{202c}",
    "\u{2028}\u{85}\u{feff}\u{1f600}",
    "00123",
];

/// Changes an event before it is committed to: its number, blocks and time of receipt.
pub type Spoil = fn(u64, &mut Vec<ShownBlock>, &mut u64);

pub struct Log {
    pub lines: Vec<Line>,
}

impl Log {
    /// Events that were received a second apart. Every third was denied, every second has a RAW.
    pub fn of(events: u64) -> Self {
        Self::spoiled(events, |_, _, _| {})
    }

    pub fn spoiled(events: u64, spoil: Spoil) -> Self {
        Self::with(events, |number| event(number, "success", TEXTS[index(number) % 16]), spoil)
    }

    /// Many events that say little.
    pub fn small(events: u64) -> Self {
        Self::with(events, |number| event(number, "success", "plain"), |_, _, _| {})
    }

    pub fn with(events: u64, text: impl Fn(u64) -> String, spoil: Spoil) -> Self {
        let line = |number: u64| {
            let read = json::read(text(number).as_bytes(), json::EVENT_BYTES_MAX).unwrap();
            let now = Instant::from_nanos(START * SECOND);
            let fill = Fill { now, id: "01JNFTQXC0000000000000000" };
            let event = ValidEvent::own(read.event, Flags::new(), fill).unwrap();
            let raw = || Raw::new(vec![0xff, number.to_be_bytes()[7]], Some("application/json"));
            let stamp = Stamp { writer: None, raw: number.is_multiple_of(2).then(raw) };
            let blocks = Blocks::of(&event, stamp).into_iter();
            let shown = |block: audit_event::Block| {
                let tag = block.tag();
                ShownBlock { tag, salt: salt(number, tag), bytes: block.into_bytes() }
            };
            let (mut blocks, mut received) =
                (blocks.map(shown).collect(), (START + number) * SECOND + number);
            spoil(number, &mut blocks, &mut received);
            committed(number, received, blocks)
        };
        Self { lines: (0..events).map(line).collect() }
    }

    pub fn size(&self) -> TreeSize {
        TreeSize::new(self.lines.len().try_into().unwrap()).unwrap()
    }

    pub fn head(&self) -> Checkpoint {
        let mut tree = CompactRange::empty();
        self.lines.iter().for_each(|line| tree.append(line.leaf_hash()));
        Checkpoint::new(ORIGIN.parse::<Origin>().unwrap(), self.size(), tree.root())
    }

    pub fn checkpoint(&self) -> SignedCheckpoint {
        let time = Timestamp::new(START + 100_000).unwrap();
        SignedCheckpoint::parse(&formats::sign(&self.head(), &[&key()], time).unwrap()).unwrap()
    }

    /// The checkpoint with a cosignature of the witness.
    pub fn cosigned(&self) -> SignedCheckpoint {
        let time = Timestamp::new(START + 100_001).unwrap();
        let note = formats::sign(&self.head(), &[&witness()], time).unwrap();
        let note = SignedCheckpoint::parse(&note).unwrap();
        let lines: String = note.signatures().map(|it| it.line.to_owned()).collect();
        self.checkpoint().with_signature_lines(lines.as_bytes()).unwrap()
    }

    /// The proof of some events.
    pub fn proof(&self, events: &[(LeafIndex, Hash)]) -> BatchProof {
        let leaves: Vec<_> = self.lines.iter().map(Line::leaf_hash).collect();
        let indexes: Vec<_> = events.iter().map(|(index, _)| *index).collect();
        let plan = plan_batch_inclusion(&indexes, self.size()).unwrap();
        let hash = |node: &merkle::NodeId| {
            let range = node.leaves();
            merkle::root_of(&leaves[index(range.start)..index(range.end)])
        };
        let hashes: Vec<_> = plan.nodes().iter().map(hash).collect();
        BatchProof { size: self.size(), hashes: plan.build(&hashes).unwrap() }
    }

    /// The log's own receipt of one event.
    pub fn receipt(&self, at: usize) -> Vec<u8> {
        let line = &self.lines[at];
        let proof = self.proof(&[(line.index, line.leaf_hash())]);
        TlogProof::new(line.index, proof.hashes, self.checkpoint()).unwrap().format()
    }

    /// Writes an evidence file of some lines.
    pub fn write(&self, target: Target<'_>, options: Options, export: &Export) -> Written {
        let checkpoint = if export.cosigned { self.cosigned() } else { self.checkpoint() };
        let mut writer = Writer::create(target, options, checkpoint).unwrap();
        for line in &export.lines {
            writer.push(line).unwrap();
            if writer.proof_is_due() {
                let proof = self.proof(writer.unproven());
                writer.proof(&proof).unwrap();
            }
        }
        if !writer.unproven().is_empty() {
            let proof = self.proof(writer.unproven());
            writer.proof(&proof).unwrap();
        }
        let keys = format!("{}\n", key().verifier_key());
        writer.finish(export.statements(), &keys, "quorum none\n").unwrap()
    }
}

/// What is exported.
#[derive(Debug, Clone)]
pub struct Export {
    pub lines: Vec<Line>,
    pub filter: &'static str,
    pub complete: Option<Range<u64>>,
    pub withheld: Tags,
    pub cosigned: bool,
}

impl Export {
    /// Some lines, of which nobody knows what was left out. `origin`, and with it RAW, is withheld.
    pub fn of(lines: &[Line]) -> Self {
        let withheld: Tags = [Tag::Origin, Tag::Raw].into_iter().collect();
        let mut lines = lines.to_vec();
        for line in &mut lines {
            line.withhold(withheld);
        }
        Self { lines, filter: "{}", complete: None, withheld, cosigned: false }
    }

    /// Lines as they are.
    pub fn whole(lines: &[Line]) -> Self {
        Self { lines: lines.to_vec(), withheld: Tags::NONE, ..Self::of(&[]) }
    }

    /// All events of a range, of which those that do not match are reduced to `core`.
    pub fn complete(
        log: &Log,
        range: Range<u64>,
        filter: &'static str,
        matches: impl Fn(u64) -> bool,
    ) -> Self {
        let mut export = Self::of(&log.lines[index(range.start)..index(range.end)]);
        for line in export.lines.iter_mut().filter(|line| !matches(line.index.get())) {
            line.withhold(Tag::ALL.into_iter().collect());
        }
        Self { filter, complete: Some(range), ..export }
    }

    fn statements(&self) -> Statements {
        let filter = json::read_value(self.filter.as_bytes(), Numbers::Refused).unwrap();
        Statements {
            log: "audit".into(),
            made_at: "2026-03-05T08:00:00Z".into(),
            made_by: "Tom Hale \u{1b}[2J".into(),
            purpose: "Q4 \"audit\"".into(),
            filter: Filter::read(filter).unwrap(),
            filter_text: "denied events".into(),
            time_zone: "Europe/London".into(),
            complete: self.complete.clone(),
            withheld: self.withheld,
        }
    }
}

/// All views.
pub fn all_views() -> Options {
    Options { csv: Some(Csv::default()), json: true, parquet: true, deflate: false }
}

/// The key of the log.
pub fn key() -> PrivateKey {
    PrivateKey::ed25519(ORIGIN.parse().unwrap(), &[1; 32])
}

/// A key of somebody else under the log's name.
pub fn other_key() -> PrivateKey {
    PrivateKey::ed25519(ORIGIN.parse().unwrap(), &[2; 32])
}

/// The key of a witness.
pub fn witness() -> PrivateKey {
    PrivateKey::cosigner_ed25519(KeyName::new("witness.example/w1").unwrap(), &[3; 32])
}

/// Blocks with the leaf that commits to them.
pub fn committed(number: u64, received: u64, blocks: Vec<ShownBlock>) -> Line {
    let commitment =
        |block: &ShownBlock| (block.tag, Commitment::to(block.tag, &block.salt, &block.bytes));
    let leaf = Leaf::new(received, blocks.iter().map(commitment).collect()).unwrap();
    Line {
        index: LeafIndex::new(number).unwrap(),
        leaf,
        blocks,
        withheld: Tags::NONE,
        erased: Tags::NONE,
    }
}

/// An event whose log says that some of its blocks are gone.
pub fn erase(line: &mut Line, tag: Tag) {
    line.blocks.retain(|block| block.tag != tag);
    line.withheld = line.withheld.without([tag].into_iter().collect());
    line.erased.insert(tag);
}

fn event(number: u64, outcome: &str, text: &str) -> String {
    let outcome = if number.is_multiple_of(3) { "denied" } else { outcome };
    let text = serde_json::Value::from(text);
    format!(
        r#"{{"id":"e-{number}","source":"/billing","time":"2026-03-04T09:10:{:02}.50Z","action":"invoice.updated",
        "outcome":"{outcome}","labels":{{"n":"{number}"}},"actor":{{"type":"user","id":"u-{number}","name":"=Ana, \"{number}\"","groups":["a","b"]}},
        "origin":{{"ip":"192.0.2.7"}},"changes":[{{"field":"amount","old":900,"new":0.5}}],"description":{text},
        "request":{{"id":"r","path":"/p"}},"metadata":{{"a":-1,"b":true,"c":1.50}},"targets":[{{"type":"invoice","id":"{number}"}}]}}"#,
        number % 60
    )
}

fn salt(number: u64, tag: Tag) -> Salt {
    let digest = Sha256::new().chain_update(number.to_be_bytes()).chain_update([tag.number()]);
    Salt::from(<[u8; 16]>::try_from(&digest.finalize()[..16]).unwrap())
}

pub fn index(number: u64) -> usize {
    usize::try_from(number).unwrap()
}

pub fn folder_of(path: &Path) -> Target<'_> {
    Target::Folder(path)
}
