//! Planning: which nodes a proof is made of. Pure arithmetic, no I/O.

use alloc::vec::Vec;
use core::ops::Range;

use super::ProofError;
use crate::compact::fold_right;
use crate::{Hash, LeafIndex, NodeId, Subtree, TreeSize};

/// What to fetch for a proof, and how to make the proof of it.
///
/// Every hash of a proof is the root over some run of leaves. Where that run is no perfect subtree,
/// which happens only at the right edge of the tree, it is folded from several nodes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// The nodes, hash after hash of the proof, each hash's from left to right.
    nodes: Vec<NodeId>,
    /// For each hash of the proof, where its nodes end.
    ends: Vec<usize>,
}

impl Plan {
    /// The nodes to fetch. No node comes twice.
    pub fn nodes(&self) -> &[NodeId] {
        &self.nodes
    }

    /// How many hashes the proof will have.
    pub fn proof_len(&self) -> usize {
        self.ends.len()
    }

    /// Makes the proof from the hashes of [`nodes`](Self::nodes), in that order.
    ///
    /// Does not check the hashes: verify the proof before you send it.
    pub fn build(&self, fetched: &[Hash]) -> Result<Vec<Hash>, ProofError> {
        let (expected, found) = (self.nodes.len(), fetched.len());
        if expected != found {
            return Err(ProofError::FetchCount { expected, found });
        }
        let starts = core::iter::once(0).chain(self.ends.iter().copied());
        Ok(starts.zip(&self.ends).map(|(start, end)| fold_right(&fetched[start..*end])).collect())
    }

    /// One more hash of the proof: the root over these leaves.
    pub(super) fn push(&mut self, leaves: Range<u64>) {
        self.nodes.extend(NodeId::cover(leaves));
        self.ends.push(self.nodes.len());
    }
}

/// Plans the root itself: [`Plan::build`] gives one hash, the root of the tree.
pub fn plan_root(size: TreeSize) -> Plan {
    let mut plan = Plan::default();
    plan.push(0..size.get());
    plan
}

/// Plans the proof that a tree of `size` leaves has a certain leaf at `index` (RFC 6962, section
/// 2.1.1).
pub fn plan_inclusion(index: LeafIndex, size: TreeSize) -> Result<Plan, ProofError> {
    if !size.contains(index) {
        return Err(ProofError::IndexBeyondSize { index, size });
    }
    plan_subtree_consistency(Subtree::leaf(index), size)
}

/// Plans the proof that the tree of `to` leaves begins with that of `from` (RFC 6962, section
/// 2.1.2). It is empty from size 0, and between equal sizes.
pub fn plan_consistency(from: TreeSize, to: TreeSize) -> Result<Plan, ProofError> {
    Subtree::whole(from)
        .map_or_else(|| Ok(Plan::default()), |old| plan_subtree_consistency(old, to))
}

/// Plans the proof that `subtree` has a certain leaf at `index`, which counts from the start of the
/// tree (draft-ietf-plants-merkle-tree-certs-03, section 4.3).
pub fn plan_subtree_inclusion(index: LeafIndex, subtree: Subtree) -> Result<Plan, ProofError> {
    if subtree.position(index).is_none() {
        return Err(ProofError::IndexOutsideSubtree { index, subtree });
    }
    Ok(siblings(index.get()..index.get() + 1, subtree.leaves()))
}

/// Plans the proof that `subtree` is part of the tree of `size` leaves
/// (`SUBTREE_PROOF` of draft-ietf-plants-merkle-tree-certs-03, section 4.4.1).
pub fn plan_subtree_consistency(subtree: Subtree, size: TreeSize) -> Result<Plan, ProofError> {
    if subtree.end() > size {
        return Err(ProofError::BeyondSize { subtree, size });
    }
    Ok(siblings(subtree.leaves(), 0..size.get()))
}

/// `SUBTREE_SUBPROOF`, as a loop from the root down. At each split the proof takes the side that
/// `target` is not on. If `target` lies on both sides, its left part is the whole left side, which
/// the proof states, and the walk goes on with its right part.
fn siblings(target: Range<u64>, tree: Range<u64>) -> Plan {
    let (mut target, mut tree) = (target, tree);
    let mut taken = Vec::new();
    let mut target_known = true; // the verifier already holds its hash
    while target != tree {
        let middle = split(&tree);
        let (left, right) = (tree.start..middle, middle..tree.end);
        if target.end <= middle {
            taken.push(right);
            tree = left;
        } else {
            target_known &= middle <= target.start;
            target.start = target.start.max(middle);
            taken.push(left);
            tree = right;
        }
    }
    if !target_known {
        taken.push(target);
    }
    let mut plan = Plan::default();
    taken.into_iter().rev().for_each(|leaves| plan.push(leaves));
    plan
}

/// Where a tree of at least two leaves splits: after the largest power of two below its size.
fn split(tree: &Range<u64>) -> u64 {
    tree.start + (1 << (tree.end - tree.start - 1).ilog2())
}
