//! Events as the log has stored them: leaf, blocks, and the event that they hold.

use audit_event::evidence::line::ShownBlock;
use audit_event::{Leaf, RecordedEvent, Salt, Tag, Tags};
use bytes::Bytes;
use log_core::Log;
use merkle::{Hash, LeafIndex};
use storage::{Attachment, Beside, Engine, LogId, StorageError, StoredEntry, stamp};

/// Entries that are read at once.
pub const ROWS_MAX: usize = 256;

/// Bytes of entries that are read at once. A leaf has at most 244.
const ENTRY_BYTES_MAX: usize = 1024 * 1024;

/// One event of a log as it is stored.
#[derive(Debug, Clone)]
pub struct Recorded {
    /// Where it stands.
    pub index: LeafIndex,
    /// The log's entry.
    pub entry: Bytes,
    /// The entry as a leaf; `None` if it is damaged.
    pub leaf: Option<Leaf>,
    /// When the log received it, in nanoseconds since the Unix epoch.
    pub received_at_ns: u64,
    /// The blocks that are there, in the order of their tags. **Not compared with the leaf.**
    pub blocks: Vec<ShownBlock>,
    /// Blocks of the leaf that are not there: erased, or damaged, or encrypted with a key that is gone.
    pub gone: Tags,
    /// Blocks that are there and are not what this version reads.
    pub unreadable: Tags,
    /// What the blocks say.
    pub event: RecordedEvent,
}

impl Recorded {
    /// The leaf hash of the log's entry.
    pub fn leaf_hash(&self) -> Hash {
        merkle::leaf_hash(&self.entry)
    }
}

/// What search looks at in an event.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) received_at_ns: u64,
    pub(crate) event: RecordedEvent,
    /// A block of the leaf is not there, so that less may match than when it was indexed.
    pub(crate) lacks_blocks: bool,
}

/// The event at an index, `None` beyond the end of the log. Blocking: a point read of the entry, and one
/// of its blocks.
pub fn event(log: &Log, index: LeafIndex) -> Result<Option<Recorded>, StorageError> {
    Ok(events(log, index, 1)?.pop())
}

/// Consecutive events from `start` on: at most `limit` and [`ROWS_MAX`], fewer where the log ends.
/// Blocking: a scan of the entries, and a read of the blocks of each. RAW is read with the others, so
/// a caller asks for as many as it has room for 4 MiB.
pub fn events(log: &Log, start: LeafIndex, limit: usize) -> Result<Vec<Recorded>, StorageError> {
    rows(&**log.engine(), log.id(), start, limit, |index, entry, attachments| {
        let blocks: Vec<ShownBlock> = attachments
            .iter()
            .filter_map(shown)
            .map(|(tag, salt, bytes)| {
                let salt = Salt::from(*salt);
                ShownBlock { tag, salt, bytes: bytes.to_vec() }
            })
            .collect();
        let there = blocks.iter().map(|block| block.tag).collect();
        let leaf = Leaf::decode(&entry).ok();
        let tags = leaf.as_ref().map_or(Tags::NONE, Leaf::tags);
        let (event, unreadable) = read_event(blocks.iter().map(|it| (it.tag, &it.bytes[..])));
        let received_at_ns = stamp::time_ns(&entry).unwrap_or(0);
        let gone = tags.without(there);
        Recorded { index, entry, leaf, received_at_ns, blocks, gone, unreadable, event }
    })
}

/// What search looks at in consecutive events from `start` on, at most `limit` and [`ROWS_MAX`].
pub(crate) fn seen(log: &Log, start: LeafIndex, limit: usize) -> Result<Vec<Seen>, StorageError> {
    rows(&**log.engine(), log.id(), start, limit, |_, entry, attachments| {
        let blocks = attachments.iter().filter_map(shown).map(|(tag, _, bytes)| (tag, bytes));
        let there: Tags = blocks.clone().map(|(tag, _)| tag).collect();
        let tags = Leaf::decode(&entry).map_or(Tags::NONE, |leaf| leaf.tags());
        let received_at_ns = stamp::time_ns(&entry).unwrap_or(0);
        let lacks_blocks = !tags.without(there).is_empty();
        Seen { received_at_ns, event: read_event(blocks).0, lacks_blocks }
    })
}

/// When the event at an index was received; 0 if the entry is damaged, and the end of time if there is
/// none.
pub(crate) fn received_at_ns(log: &Log, index: u64) -> Result<u64, StorageError> {
    let Ok(index) = LeafIndex::new(index) else { return Ok(u64::MAX) };
    let entry = log.engine().entries(log.id(), index, 1, 1)?.pop();
    Ok(entry.map_or(u64::MAX, |entry| stamp::time_ns(&entry.data).unwrap_or(0)))
}

/// The first index from `low` to `high` whose event was received at this time or later; `high` if there
/// is none. Times never decrease along a log. Blocking: a point read for each halving.
pub fn first_received(log: &Log, low: u64, high: u64, time_ns: u64) -> Result<u64, StorageError> {
    let (mut low, mut high) = (low, high);
    while low < high {
        let middle = low + (high - low) / 2;
        if received_at_ns(log, middle)? < time_ns {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    Ok(low)
}

fn rows<T>(
    engine: &dyn Engine,
    log: LogId,
    start: LeafIndex,
    limit: usize,
    mut row: impl FnMut(LeafIndex, Bytes, Vec<Attachment>) -> T,
) -> Result<Vec<T>, StorageError> {
    let entries = engine.entries(log, start, limit.min(ROWS_MAX), ENTRY_BYTES_MAX)?;
    let numbered = (start.get()..).zip(entries);
    numbered
        .map_while(|(index, StoredEntry { data, .. })| Some((LeafIndex::new(index).ok()?, data)))
        .map(|(index, data)| {
            let beside = engine.attachments(log, index)?.into_iter();
            Ok(row(index, data, beside.filter_map(kept).collect()))
        })
        .collect()
}

/// What was not erased.
fn kept(beside: Beside) -> Option<Attachment> {
    match beside {
        Beside::Kept(attachment) => Some(attachment),
        Beside::Erased { .. } => None,
    }
}

/// The tag, salt and bytes of a block that can be read.
fn shown(attachment: &Attachment) -> Option<(Tag, &[u8; Salt::LEN], &[u8])> {
    let tag = Tag::from_number(attachment.kind)?;
    let (salt, bytes) = attachment.bytes.split_first_chunk()?;
    (attachment.key_id == 0).then_some((tag, salt, bytes))
}

/// The event that blocks hold, and the blocks that cannot be read. A damaged block hides no other.
fn read_event<'a>(blocks: impl Iterator<Item = (Tag, &'a [u8])> + Clone) -> (RecordedEvent, Tags) {
    if let Ok(event) = RecordedEvent::read(blocks.clone()) {
        return (event, Tags::NONE);
    }
    let reads = |(tag, bytes): &(Tag, &[u8])| RecordedEvent::read([(*tag, *bytes)]).is_ok();
    let unreadable = blocks.clone().filter(|it| !reads(it)).map(|(tag, _)| tag).collect();
    let event = RecordedEvent::read(blocks.filter(reads));
    let nothing = || RecordedEvent::read([]).expect("without blocks there is nothing to misread");
    (event.unwrap_or_else(|_| nothing()), unreadable)
}
