//! What lies beside the entries: attachments and tombstones, and in an audit log the blocks of events.
//!
//! The rows are read once, beside the entries, in the same order. The leaf of an event commits to its
//! blocks, so each block is hashed with its salt and compared, and none may be missing or too many. A
//! tombstone must name a later entry that states an erasure.

use std::fmt;
use std::iter::Peekable;

use audit_event::commit::Commitment;
use audit_event::{Leaf, RecordedEvent, Salt, Tag, Tags};
use merkle::{LeafIndex, TreeSize};
use storage::keys::{self, Key};
use storage::{
    Attachment, Beside, DedupKey, Engine as _, Family, LogKind, LogRecord, RowFault, StoredEntry,
    stamp,
};

use super::Damage;
use crate::{RocksEngine, Scan};

/// What an event that states an erasure is called.
const ERASED_ACTION: &str = "privacy.erased";
/// The scheme of the server's own source, before the log's origin.
const OWN_SCHEME: &str = "cairn:";

/// What is wrong with a tombstone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TombstoneFault {
    /// The entry it names does not come later in the log.
    NotLater,
    /// The entry it names has another time.
    OtherTime,
    /// The entry it names states no erasure.
    NoErasure,
}

impl fmt::Display for TombstoneFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotLater => "which does not come later in the log",
            Self::OtherTime => "which has another time",
            Self::NoErasure => "which states no erasure",
        })
    }
}

/// A row of the family, with what its key says.
struct Row {
    index: LeafIndex,
    kind: u8,
    key: Box<[u8]>,
    value: Box<[u8]>,
}

/// The rows beside the entries of one log.
pub(super) struct BlockCheck<'a> {
    engine: &'a RocksEngine,
    record: &'a LogRecord,
    size: TreeSize,
    rows: Peekable<Scan<'a>>,
    /// The entry that was last looked at because a tombstone names it: its time, if it has one, and
    /// whether it may state an erasure.
    stated: Option<(LeafIndex, Option<u64>, bool)>,
    pub(super) attachments: u64,
    pub(super) blocks: u64,
    pub(super) erased: u64,
}

impl<'a> BlockCheck<'a> {
    pub(super) fn new(engine: &'a RocksEngine, record: &'a LogRecord, size: TreeSize) -> Self {
        let rows = engine.scan(Family::Attachments, &record.id.get().to_be_bytes()).peekable();
        let (attachments, blocks, erased) = (0, 0, 0);
        Self { engine, record, size, rows, stated: None, attachments, blocks, erased }
    }

    /// Passes the next entry with its rows.
    pub(super) fn entry(
        &mut self,
        index: LeafIndex,
        entry: &StoredEntry,
        found: &mut dyn FnMut(Damage),
    ) {
        let leaf = match self.record.kind {
            LogKind::Plain => None,
            LogKind::Audit => match Leaf::decode(&entry.data) {
                Ok(leaf) => Some(leaf),
                Err(source) => {
                    found(Damage::Leaf { index, source });
                    None
                }
            },
        };
        let mut seen = Tags::NONE;
        let erased_before = self.erased;
        while let Some(row) = self.next_row(Some(index), found) {
            if row.index < index {
                // Its entry is missing, which is found already.
                self.row(row, None, found);
                continue;
            }
            seen = Tag::from_number(row.kind).into_iter().collect::<Tags>().union(seen);
            self.row(row, leaf.as_ref(), found);
        }
        let missing = leaf.map_or(Tags::NONE, |leaf| leaf.tags().without(seen));
        missing.iter().for_each(|tag| found(Damage::BlockMissing { index, tag }));
        if self.erased != erased_before {
            self.once(index, entry, found);
        }
    }

    /// Reads the rows behind the last entry.
    pub(super) fn finish(&mut self, found: &mut dyn FnMut(Damage)) {
        while let Some(row) = self.next_row(None, found) {
            let (index, kind) = (row.index, row.kind);
            if !self.size.contains(index) {
                found(Damage::AttachmentBeyond { index, kind });
            }
            self.row(row, None, found);
        }
    }

    /// The next row, unless it lies behind the entry `last`.
    fn next_row(&mut self, last: Option<LeafIndex>, found: &mut dyn FnMut(Damage)) -> Option<Row> {
        let behind = |key: &[u8]| match keys::decode_key(Family::Attachments, key) {
            Ok(Key::Attachment(_, index, _)) => last.is_some_and(|last| index > last),
            _ => false,
        };
        loop {
            let next = self.rows.next_if(|row| !row.as_ref().is_ok_and(|(key, _)| behind(key)))?;
            let (key, value) = match next {
                Ok(row) => row,
                Err(source) => {
                    found(Damage::Unreadable { family: Family::Attachments, source });
                    continue;
                }
            };
            match keys::decode_key(Family::Attachments, &key) {
                Ok(Key::Attachment(_, index, kind)) => {
                    return Some(Row { index, kind, key, value });
                }
                Ok(_) => unreachable!("the attachments family decodes to attachment keys only"),
                Err(corrupt) => found(corrupt.into()),
            }
        }
    }

    fn row(&mut self, row: Row, leaf: Option<&Leaf>, found: &mut dyn FnMut(Damage)) {
        let Row { index, kind, key, value } = row;
        let damage = match keys::decode_beside(&key, &value.into_vec().into()) {
            Err(corrupt) => Some(corrupt.into()),
            Ok(Beside::Kept(attachment)) => {
                self.attachments += 1;
                leaf.and_then(|leaf| self.kept(index, leaf, &attachment))
            }
            Ok(Beside::Erased { time_ns, by, .. }) => {
                self.erased += 1;
                let surplus = leaf.and_then(|leaf| surplus(index, leaf, kind));
                surplus.or_else(|| {
                    let fault = self.tombstone(index, time_ns, by)?;
                    Some(Damage::Tombstone { index, kind, by, fault })
                })
            }
        };
        damage.into_iter().for_each(found);
    }

    /// Compares a block with its commitment.
    fn kept(&mut self, index: LeafIndex, leaf: &Leaf, attachment: &Attachment) -> Option<Damage> {
        let Attachment { kind, key_id, bytes } = attachment;
        let commitment = Tag::from_number(*kind).and_then(|tag| Some((tag, leaf.commitment(tag)?)));
        let Some((tag, commitment)) = commitment else {
            return Some(Damage::BlockSurplus { index, kind: *kind });
        };
        if *key_id != 0 {
            return Some(Damage::BlockEncrypted { index, tag, key_id: *key_id });
        }
        let holds = bytes.split_first_chunk::<{ Salt::LEN }>().is_some_and(|(salt, block)| {
            Commitment::to(tag, &Salt::from(*salt), block) == *commitment
        });
        if !holds {
            return Some(Damage::BlockHash { index, tag });
        }
        self.blocks += 1;
        None
    }

    fn tombstone(
        &mut self,
        index: LeafIndex,
        time_ns: u64,
        by: LeafIndex,
    ) -> Option<TombstoneFault> {
        if by <= index || !self.size.contains(by) {
            return Some(TombstoneFault::NotLater);
        }
        if self.record.kind == LogKind::Plain {
            return None;
        }
        let (time, states) = match self.stated {
            Some((last, time, states)) if last == by => (time, states),
            _ => {
                let looked = (self.time_of(by), self.states_erasure(by));
                self.stated = Some((by, looked.0, looked.1));
                looked
            }
        };
        if time != Some(time_ns) {
            return Some(TombstoneFault::OtherTime);
        }
        (!states).then_some(TombstoneFault::NoErasure)
    }

    fn time_of(&self, index: LeafIndex) -> Option<u64> {
        let entry = self.engine.entries(self.record.id, index, 1, 0).ok()?.pop()?;
        stamp::time_ns(&entry.data)
    }

    /// Whether an entry is the server's own event of an erasure, as far as its `core` is still there.
    fn states_erasure(&self, index: LeafIndex) -> bool {
        // A damaged row is found when its own turn comes.
        let rows = self.engine.attachments(self.record.id, index).unwrap_or_default();
        match rows.first() {
            Some(Beside::Erased { kind, .. }) => *kind == Tag::Core.number(),
            Some(Beside::Kept(core)) if core.kind == Tag::Core.number() && core.key_id == 0 => {
                let text = core.bytes.get(Salt::LEN..).unwrap_or_default();
                RecordedEvent::read([(Tag::Core, text)]).is_ok_and(|read| {
                    let source = read.event.source.as_deref().unwrap_or_default();
                    source.strip_prefix(OWN_SCHEME) == Some(self.record.origin.as_str())
                        && read.event.action.as_deref() == Some(ERASED_ACTION)
                })
            }
            _ => false,
        }
    }

    /// What tells an erased event's content again must not outlive the content.
    fn once(&self, index: LeafIndex, entry: &StoredEntry, found: &mut dyn FnMut(Damage)) {
        let id = entry.dedup.as_ref().map(DedupKey::id);
        let rows = self.engine.dedup(self.record.id, id.as_slice()).unwrap_or_default();
        if rows.iter().flatten().any(|row| row.digest.is_some()) {
            found(Damage::DigestKept { index });
        }
    }
}

fn surplus(index: LeafIndex, leaf: &Leaf, kind: u8) -> Option<Damage> {
    let is_named = Tag::from_number(kind).is_some_and(|tag| leaf.tags().contains(tag));
    (!is_named).then_some(Damage::BlockSurplus { index, kind })
}

/// Looks for erasures to be purged that name a log or entry that is not there.
pub(super) fn check_unpurged(
    engine: &RocksEngine,
    logs: &[LogRecord],
    found: &mut dyn FnMut(Damage),
) {
    for row in engine.scan(Family::Meta, &keys::UNPURGED_PREFIX) {
        let (key, value) = match row {
            Ok(row) => row,
            Err(source) => return found(Damage::Unreadable { family: Family::Meta, source }),
        };
        let unpurged = match keys::decode_unpurged(&key, &value) {
            Ok(unpurged) => unpurged,
            Err(corrupt) => {
                found(corrupt.into());
                continue;
            }
        };
        let known = logs.iter().any(|record| record.id == unpurged.log);
        let head = engine.head(unpurged.log).ok().flatten();
        if !known || !head.is_some_and(|head| head.size.contains(unpurged.by)) {
            found(keys::corrupt(Family::Meta, &key, RowFault::Field { field: "index" }).into());
        }
    }
}
