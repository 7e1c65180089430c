//! The leaf of an event: the bytes that a log commits to.
//!
//! ```text
//! "AEL1" 4 ‖ received_at_ns u64 ‖ n u8 ‖ n × ( tag u8 ‖ commitment 32 )          13 + 33 n bytes
//! ```
//!
//! Big-endian; 1 ≤ n ≤ 7; tags strictly ascending, the first is 1; nothing else is a leaf.

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::as_conversions)]

use std::ops::Range;

use crate::blocks::{Tag, Tags};
use crate::commit::Commitment;

/// What a leaf begins with: its format and version.
pub const MAGIC: &[u8; 4] = b"AEL1";

/// Where the time of receipt lies in a leaf: 8 bytes, big-endian nanoseconds since the Unix epoch. It
/// is given where the index is given, so the log writes it into a leaf that is otherwise complete.
pub const TIME: Range<usize> = 4..12;

/// Bytes before the first commitment.
const HEAD: usize = 13;

/// Bytes of a tag and its commitment.
const PART: usize = 33;

/// Bytes of the largest leaf.
pub const LEAF_BYTES_MAX: usize = HEAD + 7 * PART;

/// Why bytes are not a leaf.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LeafError {
    /// They do not begin with `AEL1`.
    #[error("a leaf does not begin with AEL1")]
    Magic,
    /// No commitment, or more than seven.
    #[error("a leaf has {found} commitments where 1 to 7 belong")]
    Count {
        /// Commitments stated.
        found: u8,
    },
    /// Another length than the number of commitments gives.
    #[error("a leaf of {found} bytes is not of the length that its commitments have")]
    Length {
        /// Bytes found.
        found: usize,
    },
    /// A number that is no tag.
    #[error("a leaf has the unknown tag {found}")]
    Tag {
        /// The number.
        found: u8,
    },
    /// The first tag is not that of `core`, or one does not come after the one before it.
    #[error("a leaf's tag {found} is out of order")]
    Order {
        /// The tag.
        found: u8,
    },
}

/// A leaf: when the event was received, and a commitment to each of its blocks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaf {
    received_at_ns: u64,
    /// Ascending by tag; the first is `core`.
    commitments: Vec<(Tag, Commitment)>,
}

impl Leaf {
    /// A leaf of commitments in the order of their tags.
    pub fn new(
        received_at_ns: u64,
        commitments: Vec<(Tag, Commitment)>,
    ) -> Result<Self, LeafError> {
        if commitments.is_empty() {
            return Err(LeafError::Count { found: 0 });
        }
        let mut last = 0;
        for (tag, _) in &commitments {
            check_order(last, *tag)?;
            last = tag.number();
        }
        Ok(Self { received_at_ns, commitments })
    }

    /// Reads a leaf. Accepts nothing but the form above.
    pub fn decode(bytes: &[u8]) -> Result<Self, LeafError> {
        let found = bytes.len();
        let rest = bytes.strip_prefix(MAGIC).ok_or(LeafError::Magic)?;
        let (time, rest) = rest.split_first_chunk::<8>().ok_or(LeafError::Length { found })?;
        let (count, rest) = rest.split_first().ok_or(LeafError::Length { found })?;
        if !(1..=7).contains(count) {
            return Err(LeafError::Count { found: *count });
        }
        let (parts, beyond) = rest.as_chunks::<PART>();
        if parts.len() != usize::from(*count) || !beyond.is_empty() {
            return Err(LeafError::Length { found });
        }
        let mut commitments = Vec::with_capacity(parts.len());
        let mut last = 0;
        for [number, hash @ ..] in parts {
            let tag = Tag::from_number(*number).ok_or(LeafError::Tag { found: *number })?;
            check_order(last, tag)?;
            last = *number;
            commitments.push((tag, Commitment::from(*hash)));
        }
        Ok(Self { received_at_ns: u64::from_be_bytes(*time), commitments })
    }

    /// The bytes of the leaf; [`Leaf::decode`] gives the same leaf back.
    pub fn encode(&self) -> Vec<u8> {
        let count = u8::try_from(self.commitments.len()).expect("a leaf has at most 7 commitments");
        let mut bytes = Vec::with_capacity(LEAF_BYTES_MAX);
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&self.received_at_ns.to_be_bytes());
        bytes.push(count);
        for (tag, commitment) in &self.commitments {
            bytes.push(tag.number());
            bytes.extend_from_slice(commitment.as_bytes());
        }
        bytes
    }

    /// When the event was received, in nanoseconds since the Unix epoch.
    pub fn received_at_ns(&self) -> u64 {
        self.received_at_ns
    }

    /// The commitments, in the order of their tags.
    pub fn commitments(&self) -> &[(Tag, Commitment)] {
        &self.commitments
    }

    /// The commitment to a block.
    pub fn commitment(&self, tag: Tag) -> Option<&Commitment> {
        self.commitments.iter().find(|(found, _)| *found == tag).map(|(_, commitment)| commitment)
    }

    /// Which blocks the event has.
    pub fn tags(&self) -> Tags {
        self.commitments.iter().map(|(tag, _)| *tag).collect()
    }
}

/// The first tag is that of `core`, each other one comes after the one before it.
fn check_order(last: u8, tag: Tag) -> Result<(), LeafError> {
    let found = tag.number();
    let holds = if last == 0 { tag == Tag::Core } else { found > last };
    if holds { Ok(()) } else { Err(LeafError::Order { found }) }
}

#[cfg(test)]
#[expect(clippy::indexing_slicing, reason = "a test may panic")]
mod tests {
    use super::*;

    fn leaf(tags: &[Tag]) -> Result<Leaf, LeafError> {
        let commitment = |tag: &Tag| (*tag, Commitment::from([tag.number(); 32]));
        Leaf::new(0x0102_0304_0506_0708, tags.iter().map(commitment).collect())
    }

    #[test]
    fn a_leaf_has_its_time_at_byte_4() {
        let bytes = leaf(&[Tag::Core, Tag::Raw]).unwrap().encode();
        assert_eq!(bytes.len(), 13 + 2 * 33);
        assert_eq!(bytes[TIME], [1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(bytes[12..15], [2, 1, 1]);
        assert_eq!(leaf(&Tag::ALL).unwrap().encode().len(), LEAF_BYTES_MAX);
    }

    #[test]
    fn every_set_of_tags_with_core_is_a_leaf() {
        for bits in 0..64u8 {
            let others = Tag::ALL.into_iter().skip(1).enumerate();
            let some = others.filter(|(at, _)| bits >> at & 1 == 1).map(|(_, tag)| tag);
            let tags: Vec<Tag> = std::iter::once(Tag::Core).chain(some).collect();
            let leaf = leaf(&tags).unwrap();
            assert_eq!(Leaf::decode(&leaf.encode()).as_ref(), Ok(&leaf));
            assert_eq!(leaf.tags(), tags.into_iter().collect());
        }
    }

    #[test]
    fn tags_out_of_order_are_no_leaf() {
        let order = |found| Err(LeafError::Order { found });
        assert_eq!(leaf(&[]), Err(LeafError::Count { found: 0 }));
        assert_eq!(leaf(&[Tag::Actor]), order(2));
        assert_eq!(leaf(&[Tag::Core, Tag::Core]), order(1));
        assert_eq!(leaf(&[Tag::Core, Tag::Raw, Tag::Detail]), order(6));
    }

    #[test]
    fn other_bytes_are_no_leaf() {
        let bytes = leaf(&[Tag::Core, Tag::Actor]).unwrap().encode();
        let with = |at: usize, value: u8| {
            let mut other = bytes.clone();
            other[at] = value;
            Leaf::decode(&other)
        };
        assert_eq!(with(3, b'2'), Err(LeafError::Magic));
        assert_eq!(with(12, 0), Err(LeafError::Count { found: 0 }));
        assert_eq!(with(12, 8), Err(LeafError::Count { found: 8 }));
        assert_eq!(with(12, 1), Err(LeafError::Length { found: 79 }));
        assert_eq!(with(12, 3), Err(LeafError::Length { found: 79 }));
        assert_eq!(with(13, 2), Err(LeafError::Order { found: 2 }));
        assert_eq!(with(13, 0), Err(LeafError::Tag { found: 0 }));
        assert_eq!(with(46, 8), Err(LeafError::Tag { found: 8 }));
        assert_eq!(with(46, 1), Err(LeafError::Order { found: 1 }));
        for length in 0..bytes.len() {
            assert!(Leaf::decode(&bytes[..length]).is_err(), "{length}");
        }
        assert!(Leaf::decode(&[&bytes[..], &[0]].concat()).is_err());
    }
}
