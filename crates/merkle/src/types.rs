//! The vocabulary of the tree. Every value here is checked when it is made, so no later function
//! has to ask whether an index, a size or a subtree makes sense.

use core::fmt;
use core::ops::Range;

/// The largest tree: 2^63 - 1 leaves, so that sizes fit the signed integers of other
/// implementations and no sum of two of them overflows.
const SIZE_MAX: u64 = (1 << 63) - 1;

/// A SHA-256 digest: the hash of a leaf, of an inner node, or of a whole tree.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hash([u8; 32]);

impl Hash {
    /// Bytes in a hash.
    pub const LEN: usize = 32;

    /// The root of the tree with no leaves: SHA-256 of the empty string (RFC 6962, section 2.1).
    pub const EMPTY_ROOT: Self = Self([
        0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9,
        0x24, 0x27, 0xae, 0x41, 0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52,
        0xb8, 0x55,
    ]);

    /// The digest's bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The digest's bytes, by value.
    pub fn into_bytes(self) -> [u8; 32] {
        self.0
    }
}

impl From<[u8; 32]> for Hash {
    fn from(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

/// The bytes were not 32.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a hash is 32 bytes, found {found}")]
pub struct HashError {
    /// How many bytes there were.
    pub found: usize,
}

impl TryFrom<&[u8]> for Hash {
    type Error = HashError;

    fn try_from(bytes: &[u8]) -> Result<Self, HashError> {
        let found = bytes.len();
        bytes.try_into().map(Self).map_err(|_| HashError { found })
    }
}

impl AsRef<[u8]> for Hash {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A number that no tree can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OutOfRange {
    /// Not a leaf index.
    #[error("leaf index {value} is not below 2^63 - 1")]
    LeafIndex {
        /// The rejected number.
        value: u64,
    },
    /// Not a tree size.
    #[error("tree size {value} is not below 2^63")]
    TreeSize {
        /// The rejected number.
        value: u64,
    },
    /// Not a node of any tree.
    #[error("no tree has a node {index} at level {level}")]
    Node {
        /// The rejected level.
        level: u8,
        /// The rejected index within the level.
        index: u64,
    },
}

/// The position of a leaf, from 0; below 2^63 - 1, so that a tree holding it exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LeafIndex(u64);

impl LeafIndex {
    /// Checks that some tree can have a leaf there.
    pub fn new(value: u64) -> Result<Self, OutOfRange> {
        if value < SIZE_MAX { Ok(Self(value)) } else { Err(OutOfRange::LeafIndex { value }) }
    }

    /// The position as a number.
    pub fn get(self) -> u64 {
        self.0
    }

    /// The size of the smallest tree that holds this leaf: index + 1.
    pub fn size_through(self) -> TreeSize {
        TreeSize(self.0 + 1)
    }
}

impl fmt::Display for LeafIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The number of leaves in a tree; below 2^63.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TreeSize(u64);

impl TreeSize {
    /// The empty tree.
    pub const ZERO: Self = Self(0);

    /// The largest tree there can be, 2^63 - 1 leaves.
    pub const MAX: Self = Self(SIZE_MAX);

    /// Checks that a tree can have this many leaves.
    pub fn new(value: u64) -> Result<Self, OutOfRange> {
        if value <= SIZE_MAX { Ok(Self(value)) } else { Err(OutOfRange::TreeSize { value }) }
    }

    /// The size as a number.
    pub fn get(self) -> u64 {
        self.0
    }

    /// The size after `count` more leaves, or `None` where that is no tree size.
    pub fn checked_add(self, count: u64) -> Option<Self> {
        Self::new(self.0.checked_add(count)?).ok()
    }

    /// Whether a tree of this size has a leaf at `index`.
    pub fn contains(self, index: LeafIndex) -> bool {
        index.0 < self.0
    }

    /// The index the next leaf gets, or `None` if the tree is as large as it can be.
    pub fn next_index(self) -> Option<LeafIndex> {
        LeafIndex::new(self.0).ok()
    }
}

impl fmt::Display for TreeSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A perfect subtree: the node over the leaves `[index << level, (index + 1) << level)`.
///
/// Level 0 is the leaves. All its leaves lie in some tree, so shifts of these numbers never
/// overflow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId {
    level: u8,
    index: u64,
}

impl NodeId {
    /// Checks that some tree has this node.
    pub fn new(level: u8, index: u64) -> Result<Self, OutOfRange> {
        let nodes_max = SIZE_MAX.checked_shr(u32::from(level)).unwrap_or(0);
        if index < nodes_max {
            Ok(Self { level, index })
        } else {
            Err(OutOfRange::Node { level, index })
        }
    }

    /// The node of a leaf.
    pub fn leaf(index: LeafIndex) -> Self {
        Self { level: 0, index: index.0 }
    }

    /// How many halvings lie between this node and the leaves.
    pub fn level(self) -> u8 {
        self.level
    }

    /// The position among the nodes of its level, from 0.
    pub fn index(self) -> u64 {
        self.index
    }

    /// The leaves under this node.
    pub fn leaves(self) -> Range<u64> {
        self.index << self.level..(self.index + 1) << self.level
    }

    /// The node above this one, or `None` where no tree is large enough to have it.
    pub(crate) fn parent(self) -> Option<Self> {
        Self::new(self.level + 1, self.index >> 1).ok()
    }

    /// The maximal perfect subtrees that cover `[start, end)`, left to right: at most 62 growing
    /// ones, then at most 62 shrinking ones. From `start` on, each is as large as alignment and
    /// `end` allow.
    pub(crate) fn cover(Range { start, end }: Range<u64>) -> impl Iterator<Item = Self> {
        debug_assert!(end <= SIZE_MAX, "a range of leaves lies in a tree");
        let mut at = start;
        core::iter::from_fn(move || {
            let left = end.checked_sub(at).filter(|left| *left > 0)?;
            let level = at.trailing_zeros().min(left.ilog2());
            let node = Self { level: u8::try_from(level).expect("below 64"), index: at >> level };
            at += 1 << level;
            Some(node)
        })
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "node {} at level {}", self.index, self.level)
    }
}

const POWER: &str = "rounded up to a power of two";

/// Two numbers that are not the bounds of a subtree.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SubtreeError {
    /// It has no leaves.
    #[error("subtree [{start}, {end}) has no leaves")]
    Empty {
        /// First leaf.
        start: u64,
        /// One past the last leaf.
        end: u64,
    },
    /// The start is no multiple of the length rounded up to a power of two.
    #[error("subtree [{start}, {end}) does not start at a multiple of its length, {POWER}")]
    Misaligned {
        /// First leaf.
        start: u64,
        /// One past the last leaf.
        end: u64,
    },
    /// The end is no tree size.
    #[error(transparent)]
    End(#[from] OutOfRange),
}

/// A run of leaves that is a Merkle tree of its own inside every tree that holds it.
///
/// Defined by [draft-ietf-plants-merkle-tree-certs-03, section 4.1]: `start` is a multiple of the
/// length rounded up to a power of two, and it has at least one leaf. (Later drafts count `[n, n)`
/// as a subtree too; c2sp.org/tlog-witness and c2sp.org/tlog-cosignature name this one.)
///
/// [draft-ietf-plants-merkle-tree-certs-03, section 4.1]:
/// https://www.ietf.org/archive/id/draft-ietf-plants-merkle-tree-certs-03.html#section-4.1
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Subtree {
    start: u64,
    end: u64,
}

impl Subtree {
    /// Checks the bounds against the definition.
    pub fn new(leaves: Range<u64>) -> Result<Self, SubtreeError> {
        let Range { start, end } = leaves;
        TreeSize::new(end)?;
        let length = end.checked_sub(start).filter(|length| *length > 0);
        let length = length.ok_or(SubtreeError::Empty { start, end })?;
        if start & (length.next_power_of_two() - 1) != 0 {
            return Err(SubtreeError::Misaligned { start, end });
        }
        Ok(Self { start, end })
    }

    /// The whole of a tree, or `None` for the empty tree.
    pub fn whole(size: TreeSize) -> Option<Self> {
        (size != TreeSize::ZERO).then_some(Self { start: 0, end: size.0 })
    }

    /// One leaf.
    pub fn leaf(index: LeafIndex) -> Self {
        Self { start: index.0, end: index.0 + 1 }
    }

    /// First leaf.
    pub fn start(self) -> u64 {
        self.start
    }

    /// One past the last leaf: the size of the smallest tree that holds this subtree.
    pub fn end(self) -> TreeSize {
        TreeSize(self.end)
    }

    /// How many leaves it has, which is its size as a tree of its own.
    pub fn size(self) -> TreeSize {
        TreeSize(self.end - self.start)
    }

    /// The leaves as a range.
    pub fn leaves(self) -> Range<u64> {
        self.start..self.end
    }

    /// The leaf's position within the subtree, or `None` if it lies outside.
    pub fn position(self, index: LeafIndex) -> Option<LeafIndex> {
        self.leaves().contains(&index.0).then(|| LeafIndex(index.0 - self.start))
    }
}

impl fmt::Display for Subtree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}, {})", self.start, self.end)
    }
}
