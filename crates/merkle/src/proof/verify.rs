//! Verifying inclusion and consistency, in trees and subtrees.

use core::iter::Copied;
use core::slice;

use super::ProofError;
use crate::{Hash, LeafIndex, Subtree, TreeSize, node_hash};

/// Checks that the tree of `size` leaves with this `root` has `leaf` at `index`
/// (RFC 9162, section 2.1.3.2). Costs one hash for each hash of the proof.
pub fn verify_inclusion(
    leaf: &Hash,
    index: LeafIndex,
    size: TreeSize,
    proof: &[Hash],
    root: &Hash,
) -> Result<(), ProofError> {
    expect_root(root_from_inclusion(leaf, index, size, proof)?, root)
}

/// The root that follows from an inclusion proof. Proves nothing until it is compared with a
/// trusted one.
pub fn root_from_inclusion(
    leaf: &Hash,
    index: LeafIndex,
    size: TreeSize,
    proof: &[Hash],
) -> Result<Hash, ProofError> {
    if !size.contains(index) {
        return Err(ProofError::IndexBeyondSize { index, size });
    }
    Ok(climb(Subtree::leaf(index), size, leaf, proof)?.tree)
}

/// Checks that the tree with `to_root` begins with the leaves of the tree with `from_root` (RFC
/// 9162, section 2.1.4.2). From size 0 the proof is empty and says nothing about `to_root`, unless
/// that is of size 0 too.
pub fn verify_consistency(
    from: TreeSize,
    to: TreeSize,
    from_root: &Hash,
    to_root: &Hash,
    proof: &[Hash],
) -> Result<(), ProofError> {
    if let Some(old) = Subtree::whole(from) {
        return verify_subtree_consistency(old, to, from_root, to_root, proof);
    }
    expect_used(proof, 0)?;
    expect_subtree(Hash::EMPTY_ROOT, from_root)?;
    if to == TreeSize::ZERO { expect_root(Hash::EMPTY_ROOT, to_root) } else { Ok(()) }
}

/// Checks that `subtree` with this hash has `leaf` at `index`, which counts from the start of the
/// tree (draft-ietf-plants-merkle-tree-certs-03, section 4.3.3).
pub fn verify_subtree_inclusion(
    leaf: &Hash,
    index: LeafIndex,
    subtree: Subtree,
    proof: &[Hash],
    subtree_hash: &Hash,
) -> Result<(), ProofError> {
    let position =
        subtree.position(index).ok_or(ProofError::IndexOutsideSubtree { index, subtree })?;
    verify_inclusion(leaf, position, subtree.size(), proof, subtree_hash)
}

/// Checks that `subtree`, whose hash is `subtree_hash`, is part of the tree of `size` leaves with
/// `root` (draft-ietf-plants-merkle-tree-certs-03, section 4.4.3). Costs two hashes at most for
/// each of the proof.
pub fn verify_subtree_consistency(
    subtree: Subtree,
    size: TreeSize,
    subtree_hash: &Hash,
    root: &Hash,
    proof: &[Hash],
) -> Result<(), ProofError> {
    if subtree.end() > size {
        return Err(ProofError::BeyondSize { subtree, size });
    }
    let climbed = climb(subtree, size, subtree_hash, proof)?;
    expect_subtree(climbed.subtree, subtree_hash)?;
    expect_root(climbed.tree, root)
}

/// The two hashes a proof leads to.
struct Climbed {
    subtree: Hash,
    tree: Hash,
}

/// Steps 3 to 8 of draft-ietf-plants-merkle-tree-certs-03, section 4.4.3. In the row the climb has
/// reached, `first`, `last` and `end` (there `fn`, `sn` and `tn`) are the nodes over the subtree's
/// first leaf, over its last leaf, and over the tree's last leaf. The caller has checked that the
/// subtree lies within the tree.
fn climb(
    subtree: Subtree,
    size: TreeSize,
    subtree_hash: &Hash,
    proof: &[Hash],
) -> Result<Climbed, ProofError> {
    let mut row =
        Row { first: subtree.start(), last: subtree.end().get() - 1, end: size.get() - 1 };
    let whole_right_edge = row.last == row.end;
    while row.first != row.last && (whole_right_edge || row.last % 2 == 1) {
        row.rise();
    }
    let mut hashes = Hashes { found: proof.len(), rest: proof.iter().copied() };
    let start = if row.first == row.last { *subtree_hash } else { hashes.next()? };
    let mut climbed = Climbed { subtree: start, tree: start };
    while row.end > 0 {
        let sibling = hashes.next()?;
        if row.last % 2 == 1 || row.last == row.end {
            if row.first < row.last {
                climbed.subtree = node_hash(&sibling, &climbed.subtree);
            }
            climbed.tree = node_hash(&sibling, &climbed.tree);
            while row.last.is_multiple_of(2) {
                row.rise();
            }
        } else {
            climbed.tree = node_hash(&climbed.tree, &sibling);
        }
        row.rise();
    }
    expect_used(proof, hashes.used()).map(|()| climbed)
}

/// Positions in one row of the tree, from 0.
struct Row {
    first: u64,
    last: u64,
    end: u64,
}

impl Row {
    fn rise(&mut self) {
        self.first >>= 1;
        self.last >>= 1;
        self.end >>= 1;
    }
}

/// The hashes of a proof, used one by one.
struct Hashes<'a> {
    found: usize,
    rest: Copied<slice::Iter<'a, Hash>>,
}

impl Hashes<'_> {
    fn next(&mut self) -> Result<Hash, ProofError> {
        self.rest.next().ok_or(ProofError::MissingHashes { found: self.found })
    }

    fn used(&self) -> usize {
        self.found - self.rest.len()
    }
}

/// A proof that goes on after its last needed hash is refused.
pub(super) fn expect_used(proof: &[Hash], used: usize) -> Result<(), ProofError> {
    let found = proof.len();
    if found == used { Ok(()) } else { Err(ProofError::SurplusHashes { found, used }) }
}

pub(super) fn expect_root(computed: Hash, expected: &Hash) -> Result<(), ProofError> {
    if computed == *expected {
        Ok(())
    } else {
        Err(ProofError::RootMismatch { expected: *expected, computed })
    }
}

fn expect_subtree(computed: Hash, expected: &Hash) -> Result<(), ProofError> {
    if computed == *expected {
        Ok(())
    } else {
        Err(ProofError::SubtreeMismatch { expected: *expected, computed })
    }
}
