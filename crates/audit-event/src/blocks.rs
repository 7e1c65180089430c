//! An event in blocks: texts that are written once, stored, exported and hashed as these bytes for
//! ever.

use std::fmt;

use sha2::{Digest as _, Sha256};

use crate::event::AuditEvent;
use crate::flag::{Flag, Flags};
use crate::members::{FieldError, Unknown};
use crate::schema::{self, Noted, Part, Server};
use crate::text::{self, TextError};
use crate::validate::ValidEvent;

/// Bytes of RAW that are kept: 4 MiB.
pub const RAW_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Which block it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tag {
    /// What happened, without a person: always there.
    Core,
    /// Who.
    Actor,
    /// Where from.
    Origin,
    /// To which items.
    Target,
    /// What is different.
    Changes,
    /// Everything else.
    Detail,
    /// The item as it was received: bytes, not JSON.
    Raw,
}

impl Tag {
    /// Every tag, ascending.
    pub const ALL: [Self; 7] = [
        Self::Core,
        Self::Actor,
        Self::Origin,
        Self::Target,
        Self::Changes,
        Self::Detail,
        Self::Raw,
    ];

    /// Its number in a leaf and in a row's key.
    pub const fn number(self) -> u8 {
        match self {
            Self::Core => 1,
            Self::Actor => 2,
            Self::Origin => 3,
            Self::Target => 4,
            Self::Changes => 5,
            Self::Detail => 6,
            Self::Raw => 7,
        }
    }

    /// The tag of a number.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|tag| tag.number() == number)
    }

    /// Its name in an evidence file.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Core => "core",
            Self::Actor => "actor",
            Self::Origin => "origin",
            Self::Target => "target",
            Self::Changes => "changes",
            Self::Detail => "detail",
            Self::Raw => "raw",
        }
    }

    /// The tag of a name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|tag| tag.name() == name)
    }

    /// The member of an event whose members are those of this block; the members of other blocks
    /// stand in the event itself.
    pub(crate) const fn wrapper(self) -> Option<&'static str> {
        match self {
            Self::Actor | Self::Origin => Some(self.name()),
            Self::Core | Self::Target | Self::Changes | Self::Detail | Self::Raw => None,
        }
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A set of tags.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Tags(u8);

impl Tags {
    /// No tag.
    pub const NONE: Self = Self(0);

    /// `core` alone.
    pub const CORE: Self = Self(1);

    /// Whether a tag is in it.
    pub fn contains(self, tag: Tag) -> bool {
        self.0 & Self::bit(tag) != 0
    }

    /// Whether there is no tag in it.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Adds a tag; false if it was there.
    pub fn insert(&mut self, tag: Tag) -> bool {
        let is_new = !self.contains(tag);
        self.0 |= Self::bit(tag);
        is_new
    }

    /// What is in either.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// What is in both.
    #[must_use]
    pub fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// What is in this one alone.
    #[must_use]
    pub fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// These, and RAW with any of those that it repeats: whoever erases or withholds one of 2 to 6 must
    /// do the same to RAW, where there is one.
    #[must_use]
    pub fn with_raw(self) -> Self {
        let repeated = Self(0b11_1110);
        if self.intersection(repeated).is_empty() {
            self
        } else {
            Self(self.0 | Self::bit(Tag::Raw))
        }
    }

    /// The tags, ascending.
    pub fn iter(self) -> impl Iterator<Item = Tag> {
        Tag::ALL.into_iter().filter(move |tag| self.contains(*tag))
    }

    const fn bit(tag: Tag) -> u8 {
        1 << (tag.number() - 1)
    }
}

impl FromIterator<Tag> for Tags {
    fn from_iter<I: IntoIterator<Item = Tag>>(tags: I) -> Self {
        tags.into_iter().fold(Self::NONE, |all, tag| Self(all.0 | Self::bit(tag)))
    }
}

/// Who wrote an event to the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Writer {
    /// The id of a key for a system.
    Token(String),
    /// A person or machine that another party vouches for.
    Person {
        /// Who vouches.
        issuer: String,
        /// For whom.
        subject: String,
    },
}

/// An item as it was received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Raw {
    bytes: Vec<u8>,
    content_type: Option<String>,
    /// Size and hash of the whole, if it was cut.
    whole: Option<(u64, [u8; 32])>,
}

impl Raw {
    /// Keeps an item, or the first [`RAW_BYTES_MAX`] bytes of a larger one. The content type is cut
    /// at 256 bytes.
    pub fn new(mut item: Vec<u8>, content_type: Option<&str>) -> Self {
        let mut whole = None;
        if item.len() > RAW_BYTES_MAX {
            let size = u64::try_from(item.len()).unwrap_or(u64::MAX);
            whole = Some((size, Sha256::digest(&item).into()));
            item.truncate(RAW_BYTES_MAX);
        }
        let content_type = content_type.map(|text| crate::limits::cut(text, 256).to_owned());
        Self { bytes: item, content_type, whole }
    }
}

/// What is known only where an event is sealed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stamp {
    /// Who wrote the event to the log, once there are identities.
    pub writer: Option<Writer>,
    /// The item as received: of every foreign item, and of an own event with unknown members.
    pub raw: Option<Raw>,
}

/// One block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    tag: Tag,
    bytes: Vec<u8>,
}

impl Block {
    /// Which block.
    pub fn tag(&self) -> Tag {
        self.tag
    }

    /// The bytes that are committed to.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The bytes, by value.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

/// The blocks of one event, in the order of their tags. The first is `core`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blocks(Vec<Block>);

impl Blocks {
    /// Writes an event in blocks.
    pub fn of(event: &ValidEvent, stamp: Stamp) -> Self {
        let Stamp { writer, raw } = stamp;
        let mut flags = event.flags().clone();
        let mut server = Server { writer, ..Server::default() };
        if let Some(raw) = &raw {
            server.raw_content_type.clone_from(&raw.content_type);
            if let Some((size, sha256)) = raw.whole {
                flags.insert(Flag::RAW_CUT);
                server.raw_size = Some(size);
                server.raw_sha256 = Some(sha256);
            }
        }
        let noted = Noted { flags: &flags, truncated: event.truncated(), server: &server };
        let objects = schema::objects(event.event(), Some(noted)).into_iter();
        let mut blocks: Vec<Block> = objects
            .map(|(tag, object)| Block { tag, bytes: text::write(&object).into_bytes() })
            .collect();
        assert!(
            blocks.first().is_some_and(|block| block.tag == Tag::Core),
            "a valid event has members in core"
        );
        blocks.extend(raw.map(|raw| Block { tag: Tag::Raw, bytes: raw.bytes }));
        Self(blocks)
    }

    /// The blocks, in the order of their tags.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Block> {
        self.0.iter()
    }

    /// The block of a tag.
    pub fn get(&self, tag: Tag) -> Option<&Block> {
        self.0.iter().find(|block| block.tag == tag)
    }

    /// Which blocks there are.
    pub fn tags(&self) -> Tags {
        self.0.iter().map(Block::tag).collect()
    }
}

impl IntoIterator for Blocks {
    type Item = Block;
    type IntoIter = std::vec::IntoIter<Block>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

/// An event as it stands in blocks. Members of blocks that were not given are absent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedEvent {
    /// What the source said.
    pub event: AuditEvent,
    /// What the server noticed.
    pub flags: Flags,
    /// RFC 6901 pointers of members that were cut.
    pub truncated: Vec<String>,
    /// Who wrote it to the log.
    pub writer: Option<Writer>,
    /// The content type of RAW.
    pub raw_content_type: Option<String>,
    /// The size of the whole item, if RAW is its beginning.
    pub raw_size: Option<u64>,
    /// SHA-256 of the whole item, if RAW is its beginning.
    pub raw_sha256: Option<[u8; 32]>,
    /// Members that this version does not know.
    pub unknown: Unknown,
}

/// Why a block is not one that this version reads.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BlockError {
    /// Its text.
    #[error("the block {tag} cannot be read")]
    Text {
        /// Which block.
        tag: Tag,
        /// What is wrong with it.
        #[source]
        source: TextError,
    },
    /// One of its members.
    #[error("the block {tag} has a member of another form")]
    Field {
        /// Which block.
        tag: Tag,
        /// The member.
        #[source]
        source: FieldError,
    },
}

impl RecordedEvent {
    /// Reads an event from some of its blocks. RAW is passed over: it is the item in another form.
    pub fn read<'a>(blocks: impl IntoIterator<Item = (Tag, &'a [u8])>) -> Result<Self, BlockError> {
        let mut part = Part::default();
        for (tag, bytes) in blocks.into_iter().filter(|(tag, _)| *tag != Tag::Raw) {
            let object = text::read(bytes).map_err(|source| BlockError::Text { tag, source })?;
            schema::read_block(tag, object, &mut part)
                .map_err(|source| BlockError::Field { tag, source })?;
        }
        let Part { event, server, unknown, .. } = part;
        let Server { flags, truncated, writer, raw_content_type, raw_size, raw_sha256 } = server;
        Ok(Self {
            event,
            flags,
            truncated,
            writer,
            raw_content_type,
            raw_size,
            raw_sha256,
            unknown,
        })
    }
}
