//! Batch inclusion: one proof that many leaves are in a tree, no hash in it twice.
//!
//! # Order of the hashes
//!
//! Count and order follow from the indexes and the size alone. Draw the tree as rows: row 0 is the
//! leaf hashes, and row `r + 1` joins the nodes `2 i` and `2 i + 1` of row `r` into its node `i`; a
//! last node without a neighbour moves up unchanged. Start with the row 0 nodes to be proved as the
//! known ones. In each row, from row 0 up to the root, from left to right: for each known node
//! whose neighbour exists and is not known, the proof has the neighbour's hash. The parents of the
//! known nodes are the known nodes of the next row.
//!
//! ```text
//! row 3               .                leaves 1, 2 and 6 of a tree of 7: the proof is A, B, C
//!               /           \
//! row 2         .             .        row 0: A is the neighbour of 1, and B of 2;
//!            /     \         / \              6 has no neighbour and moves up
//! row 1      .      .       C   .      row 1: nodes 0 and 1 are known; C is the neighbour of node 3
//!           / \    / \     / \   \     row 2: nodes 0 and 1 are known
//! row 0    A  [1] [2] B   4   5  [6]   row 3: the root
//! ```
//!
//! For a single leaf this is the order of RFC 6962's audit path.

use alloc::vec::Vec;
use core::ops::Range;
use core::slice;

use super::verify::{expect_root, expect_used};
use super::{Plan, ProofError};
use crate::{Hash, LeafIndex, TreeSize, parent_hashes};

/// Plans the proof that a tree of `size` leaves has certain leaves at `indexes`, ascending and each
/// once.
pub fn plan_batch_inclusion(indexes: &[LeafIndex], size: TreeSize) -> Result<Plan, ProofError> {
    check_indexes(indexes.iter().copied(), size)?;
    let mut plan = Plan::default();
    let mut known: Vec<u64> = indexes.iter().map(|index| index.get()).collect();
    for level in 0..rows_above(size) {
        let last = (size.get() - 1) >> level;
        let mut parents = Vec::with_capacity(known.len());
        for group in known.chunk_by(|left, right| left ^ 1 == *right) {
            let sibling = group[0] ^ 1;
            if group.len() == 1 && sibling <= last {
                plan.push(sibling << level..((sibling + 1) << level).min(size.get()));
            }
            parents.push(group[0] >> 1);
        }
        known = parents;
    }
    Ok(plan)
}

/// Checks that the tree of `size` leaves with this `root` has each of `leaves`, ascending and each
/// once.
///
/// Costs about as many hashes as the proof and `leaves` have together.
pub fn verify_batch_inclusion(
    leaves: &[(LeafIndex, Hash)],
    size: TreeSize,
    proof: &[Hash],
    root: &Hash,
) -> Result<(), ProofError> {
    expect_root(climb(leaves, size, proof, &mut |_, _| ())?, root)
}

/// Verifies a batch proof and takes it apart: the single inclusion proof of each leaf, in their
/// order.
pub fn expand(
    leaves: &[(LeafIndex, Hash)],
    size: TreeSize,
    proof: &[Hash],
    root: &Hash,
) -> Result<Vec<Vec<Hash>>, ProofError> {
    let mut paths = alloc::vec![Vec::new(); leaves.len()];
    let mut extend =
        |under: Range<usize>, sibling| paths[under].iter_mut().for_each(|path| path.push(sibling));
    expect_root(climb(leaves, size, proof, &mut extend)?, root)?;
    Ok(paths)
}

/// A node on the way from some of the leaves to the root.
struct Known {
    /// Its position in its row.
    index: u64,
    hash: Hash,
    /// Which of the leaves lie under it, by their position in the batch.
    under: Range<usize>,
}

/// The root that follows from a batch proof. `joined` is told which leaves each hash on the way is a
/// sibling to, from row 0 upwards.
fn climb(
    leaves: &[(LeafIndex, Hash)],
    size: TreeSize,
    proof: &[Hash],
    joined: &mut impl FnMut(Range<usize>, Hash),
) -> Result<Hash, ProofError> {
    check_indexes(leaves.iter().map(|(index, _)| *index), size)?;
    let mut rest = proof.iter();
    let mut known: Vec<Known> = (0..)
        .zip(leaves)
        .map(|(at, (index, hash))| Known { index: index.get(), hash: *hash, under: at..at + 1 })
        .collect();
    for level in 0..rows_above(size) {
        let last = (size.get() - 1) >> level;
        known = raise(&known, last, &mut rest, joined)
            .ok_or(ProofError::MissingHashes { found: proof.len() })?;
    }
    expect_used(proof, proof.len() - rest.len())?;
    Ok(known[0].hash)
}

/// The parents of the known nodes of a row whose last node is `last`, or `None` if the proof ends here.
/// Pairs are gathered first, then hashed in bulk.
fn raise(
    known: &[Known],
    last: u64,
    proof: &mut slice::Iter<'_, Hash>,
    joined: &mut impl FnMut(Range<usize>, Hash),
) -> Option<Vec<Known>> {
    let mut pairs = Vec::with_capacity(2 * known.len());
    let groups = known.chunk_by(|left, right| left.index ^ 1 == right.index);
    for group in groups.clone() {
        let node = &group[0];
        let neighbour = node.index ^ 1;
        if let [left, right] = group {
            joined(left.under.clone(), right.hash);
            joined(right.under.clone(), left.hash);
            pairs.extend([left.hash, right.hash]);
        } else if neighbour > last {
            pairs.push(node.hash); // the last node of its row has no neighbour and moves up
        } else {
            let sibling = *proof.next()?;
            joined(node.under.clone(), sibling);
            pairs.extend(if neighbour > node.index {
                [node.hash, sibling]
            } else {
                [sibling, node.hash]
            });
        }
    }
    let parents = groups.zip(parent_hashes(&pairs)).map(|(group, hash)| Known {
        index: group[0].index >> 1,
        hash,
        under: group[0].under.start..group[group.len() - 1].under.end,
    });
    Some(parents.collect())
}

/// How many rows lie above the leaves of a tree that is not empty.
fn rows_above(size: TreeSize) -> u32 {
    u64::BITS - (size.get() - 1).leading_zeros()
}

/// At least one index, ascending, none twice, all within the tree.
fn check_indexes(
    indexes: impl Iterator<Item = LeafIndex>,
    size: TreeSize,
) -> Result<(), ProofError> {
    let mut before = None;
    for (position, index) in indexes.enumerate() {
        if !size.contains(index) {
            return Err(ProofError::IndexBeyondSize { index, size });
        }
        if before.is_some_and(|before| index <= before) {
            return Err(ProofError::LeavesNotAscending { position, index });
        }
        before = Some(index);
    }
    before.map(|_| ()).ok_or(ProofError::NoLeaves)
}
