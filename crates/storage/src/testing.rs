//! Commits as a sequencer would plan them, for tests of engines and of what reads them.

#![expect(clippy::unwrap_used, reason = "a test fails where its fixtures do")]

use bytes::Bytes;
use formats::Origin;
use merkle::{Frontier, Hash, LeafIndex, TreeSize, leaf_hash};

use super::{
    Attachment, Beside, DedupId, DedupKey, DedupRow, EraseTarget, Erasure, LogCommit, LogId,
    LogKind, LogName, LogRecord, LogState, Row, Scope, SecretCheck, StoredEntry, StoredHead, stamp,
};

/// The secret of an audit log that is planned.
pub const SECRET: [u8; 32] = [7; 32];

/// Plans the commits of one log.
#[derive(Debug, Clone)]
pub struct Planner {
    pub record: LogRecord,
    pub head: Option<StoredHead>,
    pub frontier: Frontier,
}

impl Planner {
    pub fn new(id: u32) -> Self {
        let name = format!("log-{id}");
        let record = LogRecord {
            id: LogId::new(id).unwrap(),
            origin: Origin::new(&format!("example.com/{name}")).unwrap(),
            name: LogName::new(&name).unwrap(),
            created_ms: 1_000,
            kind: LogKind::Plain,
            secret_check: None,
            deduplicate_entries: false,
            state: LogState::Active,
        };
        Self { record, head: None, frontier: Frontier::new() }
    }

    /// As [`Self::new`], of an audit log whose secret is [`SECRET`].
    pub fn audit(id: u32) -> Self {
        let mut planner = Self::new(id);
        planner.record.kind = LogKind::Audit;
        planner.record.secret_check = Some(SecretCheck::of(&SECRET));
        planner
    }

    pub fn log(&self) -> LogId {
        self.record.id
    }

    pub fn size(&self) -> u64 {
        self.frontier.size().get()
    }

    /// The commit that creates the log.
    pub fn create(&mut self) -> LogCommit {
        let record = Row::Log(self.record.clone());
        self.plan(vec![], vec![record])
    }

    /// The next commit, with deduplication rows for keys used in it, each taken to be new.
    pub fn append(&mut self, entries: Vec<StoredEntry>) -> LogCommit {
        let mut rows = vec![];
        for (index, entry) in (self.size()..).zip(&entries) {
            let index = LeafIndex::new(index).unwrap();
            let leaf = leaf_hash(&entry.data);
            if let Some(key) = &entry.dedup {
                let audit = self.record.kind == LogKind::Audit;
                let time_ns = if audit { stamp::time_ns(&entry.data) } else { None };
                rows.push(Row::Dedup(key.id(), DedupRow { index, leaf, time_ns, digest: None }));
            }
            if self.record.deduplicate_entries {
                let row = DedupRow { index, leaf, time_ns: None, digest: None };
                rows.push(Row::Dedup(DedupId::of_leaf(&leaf), row));
            }
        }
        self.plan(entries, rows)
    }

    pub fn plan(&mut self, entries: Vec<StoredEntry>, rows: Vec<Row>) -> LogCommit {
        let leaves: Vec<Hash> = entries.iter().map(|entry| leaf_hash(&entry.data)).collect();
        let tiles = self.frontier.append(&leaves);
        let expected = self.head;
        let new = StoredHead {
            size: self.frontier.size(),
            root: self.frontier.root(),
            time_ms: expected.map_or(1_000, |head| head.time_ms + 1),
            epoch: 0,
        };
        self.head = Some(new);
        LogCommit { log: self.log(), expected, new, entries, tiles, rows }
    }
}

/// `count` distinct entries without keys, numbered from `first`.
pub fn entries(first: u64, count: u64) -> Vec<StoredEntry> {
    (first..first + count).map(entry).collect()
}

pub fn entry(number: u64) -> StoredEntry {
    unkeyed(format!("entry {number}").into_bytes())
}

/// An entry without a key and attachments.
pub fn unkeyed(data: impl Into<Bytes>) -> StoredEntry {
    StoredEntry { dedup: None, data: data.into(), attachments: vec![] }
}

/// An entry with an attachment of each of these kinds.
pub fn attached(number: u64, kinds: &[u8]) -> StoredEntry {
    let attachments = kinds.iter().map(|kind| attachment(number, *kind)).collect();
    StoredEntry { attachments, ..entry(number) }
}

/// What [`attached`] attaches; kinds from 5 on count as encrypted.
pub fn attachment(number: u64, kind: u8) -> Attachment {
    let bytes = Bytes::from(format!("attachment {kind} of entry {number}"));
    Attachment { kind, key_id: if kind < 5 { 0 } else { 77 }, bytes }
}

/// As [`attachment`], as it is read.
pub fn kept(number: u64, kind: u8) -> Beside {
    Beside::Kept(attachment(number, kind))
}

/// The next commit: an entry that states the erasure of these kinds of entries.
pub fn erasing(planner: &mut Planner, targets: &[(u64, &[u8])]) -> LogCommit {
    let target = |(at, kinds): &(u64, &[u8])| EraseTarget {
        index: index(*at),
        kinds: kinds.to_vec(),
        once: None,
    };
    let targets = targets.iter().map(target).collect();
    let by = index(planner.size());
    let erasure = Erasure { by, time_ns: by.get() * 10, targets };
    let stated = stamp::with_time_ns(&[0; 12], erasure.time_ns).expect("room for a time");
    planner.plan(vec![unkeyed(stated)], vec![Row::Erasure(erasure)])
}

/// The tombstone that [`erasing`] leaves, if its entry stands at `by`.
pub fn erased(kind: u8, by: u64) -> Beside {
    Beside::Erased { kind, time_ns: by * 10, by: index(by) }
}

pub fn keyed(number: u64) -> StoredEntry {
    StoredEntry { dedup: Some(key(number)), ..entry(number) }
}

pub fn key(number: u64) -> DedupKey {
    DedupKey { scope: Scope::ANONYMOUS, key: Bytes::from(format!("key {number}")) }
}

pub fn index(index: u64) -> LeafIndex {
    LeafIndex::new(index).unwrap()
}

pub fn size(size: u64) -> TreeSize {
    TreeSize::new(size).unwrap()
}
