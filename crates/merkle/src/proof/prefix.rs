//! Prefix proofs: what the tree of `to` leaves was when it had `from` of them.
//!
//! A consistency proof shows that two trees agree. When it fails, it shows nothing: anyone can make a
//! wrong proof. A prefix proof shows what a tree's own older root *was*, whatever anyone claims about
//! it, so that a signed root that differs is a contradiction. It spells out the whole frontier of the
//! older tree, the root itself where that is a power of two:
//!
//! ```text
//! from 6 to 8     frontier, left to right: A = [0, 4), B = [4, 6)
//!                 then what completes it, from the bottom up: C = [6, 8)
//!
//!         .           the proof is A, B, C
//!       /   \         root of 6 leaves: H(A, B)
//!      A     .        root of 8 leaves: H(A, H(B, C))
//!     / \   / \
//!    .   . B   C
//! ```
//!
//! Count and order follow from the two sizes alone. Every hash of the proof goes into the root of
//! `to`, at a place that the sizes decide, so a proof that leads to that root holds the true hashes,
//! unless SHA-256 is broken.

use alloc::vec::Vec;

use super::verify::{expect_root, expect_used};
use super::{Plan, ProofError};
use crate::compact::fold_right;
use crate::{Hash, LeafIndex, NodeId, Subtree, TreeSize, node_hash};

/// Plans the proof of what the tree of `to` leaves was at `from` leaves: the hashes of the compact
/// range `[0, from)` from left to right, then those that complete it, from the bottom up. From size 0
/// it is the root alone.
pub fn plan_prefix(from: TreeSize, to: TreeSize) -> Result<Plan, ProofError> {
    let steps = steps(from, to)?;
    let mut plan = Plan::default();
    for node in NodeId::cover(0..from.get()) {
        plan.push(node.leaves());
    }
    for step in steps.iter().rev() {
        if let Step::Completes { end, start } = *step {
            plan.push(start..end);
        }
    }
    Ok(plan)
}

/// The root that the tree of `to` leaves with `to_root` has at `from` leaves.
///
/// Total: any input gives the true root or an error. Costs one hash for each hash of the proof, and
/// one more for each of the frontier.
pub fn prefix_root(
    from: TreeSize,
    to: TreeSize,
    to_root: &Hash,
    proof: &[Hash],
) -> Result<Hash, ProofError> {
    let steps = steps(from, to)?;
    let peaks = NodeId::cover(0..from.get()).count();
    let completing = steps.iter().filter(|step| matches!(step, Step::Completes { .. })).count();
    let found = proof.len();
    if found < peaks + completing {
        return Err(ProofError::MissingHashes { found });
    }
    expect_used(proof, peaks + completing)?;
    let (frontier, completing) = proof.split_at(peaks);
    expect_root(completed_root(&steps, frontier, completing), to_root)?;
    Ok(fold_right(frontier))
}

/// The prefix proof that a consistency proof (RFC 6962, section 2.1.2) holds. `None` where it has
/// another number of hashes, and from sizes that are powers of two, whose root it leaves out.
pub fn prefix_from_consistency(
    from: TreeSize,
    to: TreeSize,
    consistency: &[Hash],
) -> Option<Vec<Hash>> {
    let steps = steps(from, to).ok()?;
    let (lowest, siblings) = consistency.split_first()?;
    if from.get().is_power_of_two() || siblings.len() != steps.len() {
        return None;
    }
    Some(sorted(&steps, *lowest, siblings))
}

/// The prefix proof that the inclusion proof of the older tree's last leaf, in the tree of `to`
/// leaves, holds. `None` where that has another number of hashes, and from size 0.
pub fn prefix_from_inclusion(
    leaf: &Hash,
    from: TreeSize,
    to: TreeSize,
    inclusion: &[Hash],
) -> Option<Vec<Hash>> {
    LeafIndex::new(from.get().checked_sub(1)?).ok()?;
    let steps = steps(from, to).ok()?;
    // The last perfect subtree of the older tree ends with the leaf: its inner hashes come first.
    let height = usize::try_from(from.get().trailing_zeros()).ok()?;
    let (inner, siblings) = inclusion.split_at_checked(height)?;
    if siblings.len() != steps.len() {
        return None;
    }
    let lowest = inner.iter().fold(*leaf, |below, left| node_hash(left, &below));
    Some(sorted(&steps, lowest, siblings))
}

/// One step from the root of `to` down to the last perfect subtree of `from`.
enum Step {
    /// The left side is a hash of the frontier; the walk goes on with the right one.
    Frontier,
    /// The right side completes the older tree; the walk goes on with the left one.
    Completes { start: u64, end: u64 },
}

/// The walk, from the root down.
fn steps(from: TreeSize, to: TreeSize) -> Result<Vec<Step>, ProofError> {
    let Some(older) = Subtree::whole(from) else {
        let completes = Step::Completes { start: 0, end: to.get() };
        return Ok(Vec::from_iter((to != TreeSize::ZERO).then_some(completes)));
    };
    if from > to {
        return Err(ProofError::BeyondSize { subtree: older, size: to });
    }
    let last = older.end().get() - 1;
    let (mut start, mut end) = (0, to.get());
    let mut steps = Vec::new();
    while !(end == from.get() && (end - start).is_power_of_two()) {
        let middle = start + (1 << (end - start - 1).ilog2());
        if last < middle {
            steps.push(Step::Completes { start: middle, end });
            end = middle;
        } else {
            steps.push(Step::Frontier);
            start = middle;
        }
    }
    Ok(steps)
}

/// The root of `to`, from a frontier and completing hashes of the right counts.
fn completed_root(steps: &[Step], frontier: &[Hash], completing: &[Hash]) -> Hash {
    let Some((lowest, peaks)) = frontier.split_last() else {
        // From size 0 the one completing hash is the root; an empty tree has none.
        return fold_right(completing);
    };
    let (mut peaks, mut completing) = (peaks.iter().rev(), completing.iter());
    steps.iter().rev().fold(*lowest, |below, step| match step {
        Step::Frontier => peaks.next().map_or(below, |left| node_hash(left, &below)),
        Step::Completes { .. } => completing.next().map_or(below, |right| node_hash(&below, right)),
    })
}

/// The hashes of a walk from the bottom up, in the order of a prefix proof.
fn sorted(steps: &[Step], lowest: Hash, siblings: &[Hash]) -> Vec<Hash> {
    let is_peak = |step: &Step| matches!(step, Step::Frontier);
    let upwards = || steps.iter().rev().zip(siblings);
    let peaks = upwards().filter(|(step, _)| is_peak(step)).map(|(_, hash)| *hash);
    let mut proof = Vec::with_capacity(siblings.len() + 1);
    proof.extend(peaks);
    proof.reverse();
    proof.push(lowest);
    proof.extend(upwards().filter(|(step, _)| !is_peak(step)).map(|(_, hash)| *hash));
    proof
}
