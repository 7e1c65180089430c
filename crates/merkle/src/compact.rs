//! Compact ranges: the few hashes that stand for a whole range of leaves.
//!
//! ```text
//! [0, 7) of a tree        the compact range keeps three hashes: A, B and C
//!
//!        A                A = node 0 at level 2, over leaves 0..4
//!      /   \              B = node 2 at level 1, over leaves 4..6
//!     .     .     B       C = node 6 at level 0, the leaf 6
//!    / \   / \   / \
//!   0   1 2   3 4   5 C
//! ```
//!
//! A range of `n` leaves needs at most `2 log2(n)` hashes (`log2(n)` if it starts at 0), and
//! appending a leaf costs one hash on average.

use alloc::vec::Vec;

use crate::{Hash, LeafIndex, NodeId, TreeSize, node_hash};

/// Why hashes and a range do not fit together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RangeError {
    /// A range of this many leaves has another number of hashes.
    #[error("a compact range of {size} leaves has {expected} hashes, found {found}")]
    HashCount {
        /// Leaves in the range.
        size: TreeSize,
        /// How many hashes stand for them.
        expected: usize,
        /// How many there were.
        found: usize,
    },
    /// What is added on the right does not start where the range ends.
    #[error("a range that ends at {end} cannot take one that starts at {start}")]
    Gap {
        /// Where the left range ends.
        end: TreeSize,
        /// Where the right one starts.
        start: u64,
    },
}

/// The maximal perfect subtrees over the leaves `[start, end)`, left to right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompactRange {
    start: u64,
    end: TreeSize,
    /// One for each node of `NodeId::cover(start..end)`.
    hashes: Vec<Hash>,
}

impl CompactRange {
    /// A range of no leaves that will grow from leaf `start` on, to be merged into one that ends
    /// there.
    pub fn new(start: LeafIndex) -> Self {
        let end = TreeSize::new(start.get()).expect("every leaf index is a tree size");
        Self { start: start.get(), end, hashes: Vec::new() }
    }

    /// The range of the tree with no leaves.
    pub fn empty() -> Self {
        Self { start: 0, end: TreeSize::ZERO, hashes: Vec::new() }
    }

    /// The range of a whole tree, from the hashes that [`hashes`](Self::hashes) gave.
    ///
    /// Only their number is checked here: compare [`root`](Self::root) with a trusted one.
    pub fn from_parts(size: TreeSize, hashes: Vec<Hash>) -> Result<Self, RangeError> {
        let (expected, found) = (NodeId::cover(0..size.get()).count(), hashes.len());
        if expected != found {
            return Err(RangeError::HashCount { size, expected, found });
        }
        Ok(Self { start: 0, end: size, hashes })
    }

    /// The first leaf.
    pub fn start(&self) -> u64 {
        self.start
    }

    /// One past the last leaf; the tree size if the range starts at 0.
    pub fn end(&self) -> TreeSize {
        self.end
    }

    /// The hashes of the maximal perfect subtrees, left to right.
    pub fn hashes(&self) -> &[Hash] {
        &self.hashes
    }

    /// The nodes those hashes belong to.
    pub fn nodes(&self) -> impl Iterator<Item = (NodeId, Hash)> {
        NodeId::cover(self.start..self.end.get()).zip(self.hashes.iter().copied())
    }

    /// Adds one leaf on the right.
    ///
    /// # Panics
    ///
    /// If the tree has 2^63 - 1 leaves already; at 10^9 leaves a second that takes 292 years.
    pub fn append(&mut self, leaf: Hash) {
        self.append_with(leaf, &mut |_, _| ());
    }

    /// [`append`](Self::append), telling `visit` each node this completes, from the leaf upwards.
    pub fn append_with(&mut self, leaf: Hash, visit: &mut impl FnMut(NodeId, Hash)) {
        let index = self.end.next_index().expect("no tree grows to 2^63 leaves");
        self.push(NodeId::leaf(index), leaf, visit);
    }

    /// Adds a perfect subtree on the right, telling `visit` it and each node it completes, upwards.
    pub fn append_node_with(
        &mut self,
        node: NodeId,
        hash: Hash,
        visit: &mut impl FnMut(NodeId, Hash),
    ) -> Result<(), RangeError> {
        let start = node.leaves().start;
        if start != self.end.get() {
            return Err(RangeError::Gap { end: self.end, start });
        }
        self.push(node, hash, visit);
        Ok(())
    }

    /// Adds the leaves of `right`, which must start where this range ends.
    pub fn merge(&mut self, right: &Self) -> Result<(), RangeError> {
        if right.start != self.end.get() {
            return Err(RangeError::Gap { end: self.end, start: right.start });
        }
        right.nodes().for_each(|(node, hash)| self.push(node, hash, &mut |_, _| ()));
        Ok(())
    }

    /// The root of the tree over these leaves. Costs one hash less than there are
    /// [`hashes`](Self::hashes).
    ///
    /// # Panics
    ///
    /// If the range does not start at 0: only a whole tree has a root.
    pub fn root(&self) -> Hash {
        assert_eq!(self.start, 0, "only a range that starts at leaf 0 has a root");
        fold_right(&self.hashes)
    }

    /// Pushes a node that starts at `end`, then joins it with its left sibling while that sibling
    /// is in the range. The sibling of a node with an odd index is the last hash: nothing smaller
    /// can lie between the two.
    fn push(&mut self, node: NodeId, hash: Hash, visit: &mut impl FnMut(NodeId, Hash)) {
        let (mut node, mut hash) = (node, hash);
        self.end = TreeSize::new(node.leaves().end).expect("a node lies in a tree");
        visit(node, hash);
        while let Some(parent) = node
            .parent()
            .filter(|parent| node.index() % 2 == 1 && parent.leaves().start >= self.start)
        {
            let left = self.hashes.pop().expect("the left sibling is in the range");
            hash = node_hash(&left, &hash);
            node = parent;
            visit(node, hash);
        }
        self.hashes.push(hash);
    }
}

/// The root over adjacent perfect subtrees of falling size: the smallest two are joined first.
pub(crate) fn fold_right(hashes: &[Hash]) -> Hash {
    let mut from_the_right = hashes.iter().rev();
    let Some(last) = from_the_right.next() else { return Hash::EMPTY_ROOT };
    from_the_right.fold(*last, |right, left| node_hash(left, &right))
}
