//! An event as it is stored. Every block is compared with the leaf's commitment before it is shown.

use audit_event::blocks::RecordedEvent;
use audit_event::evidence::Line;
use audit_event::evidence::line::ShownBlock;
use audit_event::leaf::LeafError;
use audit_event::mapping::Recorded as Described;
use audit_event::{Instant, Leaf, Salt, Shown, Tag, Tags};
use log_core::Log;
use merkle::{Hash, LeafIndex, TreeSize};
use storage::{Attachment, Beside, StorageError};

/// Bytes of leaves that are read at a time.
const LEAVES_BYTES_MAX: usize = 1024 * 1024;

/// An event of an audit log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredEvent {
    /// Its place.
    pub index: LeafIndex,
    /// The log's entry.
    pub leaf: Leaf,
    /// The hash of the entry as it is stored.
    pub leaf_hash: Hash,
    /// The blocks that are there and are what was committed to, in the order of their tags.
    pub blocks: Vec<ShownBlock>,
    /// The blocks that were erased.
    pub erased: Tags,
    /// The blocks that are missing or are not what was committed to. They are never shown.
    pub damaged: Tags,
}

/// Why an event cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum StoredError {
    /// The store.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// What stands there is not the leaf of an event.
    #[error("entry {index} is not the leaf of an event")]
    Leaf {
        /// Its place.
        index: LeafIndex,
        /// What is wrong with it.
        #[source]
        source: LeafError,
    },
    /// No such place.
    #[error("the log has {size} events")]
    Beyond {
        /// Events of the log.
        size: TreeSize,
    },
}

impl StoredEvent {
    /// Reads one event. Blocks while it reads.
    pub fn read(log: &Log, index: LeafIndex) -> Result<Self, StoredError> {
        let size = log.tree().head.size;
        let first = Self::run(log, index, 1)?.into_iter().next();
        first.ok_or(StoredError::Beyond { size })
    }

    /// Reads consecutive events, at most `limit`; fewer where the log ends, or where their leaves are
    /// more than a megabyte. Blocks while it reads.
    pub fn run(log: &Log, start: LeafIndex, limit: usize) -> Result<Vec<Self>, StoredError> {
        let size = log.tree().head.size;
        if !size.contains(start) {
            return Ok(Vec::new());
        }
        let left = usize::try_from(size.get() - start.get()).unwrap_or(usize::MAX);
        let entries = log.engine().entries(log.id(), start, limit.min(left), LEAVES_BYTES_MAX)?;
        let mut events = Vec::with_capacity(entries.len());
        for (entry, at) in entries.iter().zip(start.get()..) {
            let index = LeafIndex::new(at).map_err(|_| StoredError::Beyond { size })?;
            let attachments = log.engine().attachments(log.id(), index)?;
            events.push(Self::of(index, &entry.data, attachments)?);
        }
        Ok(events)
    }

    fn of(index: LeafIndex, entry: &[u8], beside: Vec<Beside>) -> Result<Self, StoredError> {
        let leaf = Leaf::decode(entry).map_err(|source| StoredError::Leaf { index, source })?;
        let leaf_hash = merkle::leaf_hash(entry);
        let mut event = Self {
            index,
            leaf_hash,
            blocks: Vec::with_capacity(beside.len()),
            erased: Tags::NONE,
            damaged: leaf.tags(),
            leaf,
        };
        for beside in beside {
            match beside {
                Beside::Kept(attachment) => event.take(&attachment),
                Beside::Erased { kind, .. } => event.take_erased(kind),
            }
        }
        Ok(event)
    }

    fn take_erased(&mut self, kind: u8) {
        let tag = Tag::from_number(kind).filter(|tag| self.damaged.contains(*tag));
        if let Some(tag) = tag {
            self.damaged = self.damaged.without([tag].into_iter().collect());
            self.erased.insert(tag);
        }
    }

    fn take(&mut self, attachment: &Attachment) {
        let Some(tag) = Tag::from_number(attachment.kind) else { return };
        let Some((salt, bytes)) = attachment.bytes.split_first_chunk::<{ Salt::LEN }>() else {
            return;
        };
        let salt = Salt::from(*salt);
        if self.leaf.verify(&[Shown { tag, salt: &salt, bytes }], Tags::NONE).is_err() {
            return;
        }
        self.damaged = self.damaged.without([tag].into_iter().collect());
        self.blocks.push(ShownBlock { tag, salt, bytes: bytes.to_vec() });
    }

    /// When the log took it.
    pub fn received_at(&self) -> Instant {
        Instant::from_nanos(self.leaf.received_at_ns())
    }

    /// What its blocks say. A block that cannot be read says nothing: the log's own server never
    /// writes one.
    pub fn recorded(&self) -> RecordedEvent {
        let all = self.blocks.iter().map(|block| (block.tag, &block.bytes[..]));
        RecordedEvent::read(all).unwrap_or_else(|_| {
            let readable = self
                .blocks
                .iter()
                .filter(|block| RecordedEvent::read([(block.tag, &block.bytes[..])]).is_ok());
            let readable = readable.map(|block| (block.tag, &block.bytes[..]));
            RecordedEvent::read(readable).expect("each of these blocks can be read")
        })
    }

    /// As it goes out in another format.
    pub fn described<'a>(&self, event: &'a RecordedEvent, origin: &'a str) -> Described<'a> {
        Described {
            event,
            index: self.index.get(),
            received_at: self.received_at(),
            leaf_hash: *self.leaf_hash.as_bytes(),
            origin,
        }
    }

    /// As a line of an evidence file, with everything that is there. Damaged blocks stand as withheld:
    /// they exist, and are not shown.
    pub fn into_line(self) -> Line {
        let Self { index, leaf, blocks, erased, damaged, .. } = self;
        Line { index, leaf, blocks, withheld: damaged, erased }
    }
}
