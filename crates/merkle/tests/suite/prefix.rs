//! Prefix proofs: every pair of small sizes against the recursion, against the proofs they can be
//! taken from, then hostile ones. A true root of the older tree is the only one that ever comes out.

use merkle::{
    Hash, NodeId, ProofError, TreeSize, plan_consistency, plan_inclusion, plan_prefix,
    prefix_from_consistency, prefix_from_inclusion, prefix_root,
};
use proptest::prelude::*;

use crate::reference::{Tree, index, leaves, size, subtree};

const SIZE_MAX: usize = 130;

/// The proof by the definition: the frontier is spelled out, then every right side on the way down
/// to it, the nearest first.
fn by_definition(tree: &Tree, from: usize, to: usize) -> Vec<Hash> {
    let (mut peaks, mut at) = (Vec::new(), 0);
    while at < from {
        let width = 1 << (from - at).ilog2();
        peaks.push(tree.mth(at..at + width));
        at += width;
    }
    let (mut right, mut start, mut end) = (Vec::new(), 0, to);
    while from < end {
        if from == start {
            right.push(tree.mth(start..end));
            break;
        }
        let middle = start + (end - start).next_power_of_two() / 2;
        if from <= middle {
            right.push(tree.mth(middle..end));
            end = middle;
        } else {
            start = middle;
        }
    }
    right.reverse();
    [peaks, right].concat()
}

#[test]
fn all_pairs_of_small_sizes() {
    let tree = Tree::new(leaves(SIZE_MAX));
    for to in 0..=SIZE_MAX {
        for from in 0..=to {
            let (m, n, root) = (size(from), size(to), tree.mth(0..to));
            let proof = tree.build(&plan_prefix(m, n).unwrap());
            assert_eq!(proof, by_definition(&tree, from, to), "{from} in {to}");
            assert_eq!(prefix_root(m, n, &root, &proof), Ok(tree.mth(0..from)), "{from} in {to}");
        }
    }
}

#[test]
fn other_proofs_hold_it() {
    let tree = Tree::new(leaves(SIZE_MAX));
    for to in 1..=SIZE_MAX {
        for from in 1..=to {
            let (m, n) = (size(from), size(to));
            let proof = tree.build(&plan_prefix(m, n).unwrap());
            let path = tree.build(&plan_inclusion(index(from - 1), n).unwrap());
            let last = tree.leaf(from - 1);
            assert_eq!(prefix_from_inclusion(&last, m, n, &path), Some(proof.clone()));
            let growth = tree.build(&plan_consistency(m, n).unwrap());
            let ragged = !from.is_power_of_two() && from < to;
            assert_eq!(prefix_from_consistency(m, n, &growth), ragged.then_some(proof));
            for other in [&path[..path.len().saturating_sub(1)], &[&path[..], &[last]].concat()] {
                let taken = prefix_from_inclusion(&last, m, n, other);
                assert!(taken.is_none() || other.len() == path.len());
            }
            let longer = [&growth[..], &[last]].concat();
            assert!(prefix_from_consistency(m, n, &longer).is_none() || growth.is_empty());
        }
    }
    assert_eq!(prefix_from_inclusion(&Hash::EMPTY_ROOT, size(0), size(5), &[]), None);
    assert_eq!(prefix_from_consistency(size(0), size(5), &[]), None);
    assert_eq!(prefix_from_consistency(size(6), size(5), &[Hash::EMPTY_ROOT; 3]), None);
}

#[test]
fn altered_proofs_are_refused() {
    let tree = Tree::new(leaves(20));
    for to in 1..=20 {
        for from in 0..=to {
            let (m, n, root) = (size(from), size(to), tree.mth(0..to));
            let proof = tree.build(&plan_prefix(m, n).unwrap());
            let found = proof.len();
            for position in 0..found {
                for bit in 0..256 {
                    let mut bytes = proof[position].into_bytes();
                    bytes[bit / 8] ^= 1 << (bit % 8);
                    let mut flipped = proof.clone();
                    flipped[position] = Hash::from(bytes);
                    let refused = prefix_root(m, n, &root, &flipped);
                    assert!(matches!(refused, Err(ProofError::RootMismatch { .. })));
                }
                let mut shorter = proof.clone();
                let removed = shorter.remove(position);
                let missing = ProofError::MissingHashes { found: found - 1 };
                assert_eq!(prefix_root(m, n, &root, &shorter), Err(missing));
                shorter.insert((position + 1) % found, removed);
                assert!(prefix_root(m, n, &root, &shorter).is_err() || shorter == proof);
            }
            let longer = [&proof[..], &[root]].concat();
            let surplus = ProofError::SurplusHashes { found: found + 1, used: found };
            assert_eq!(prefix_root(m, n, &root, &longer), Err(surplus));
            // Under sizes that are not its own it holds only if the tree says the same there.
            for other in (0..=to).filter(|other| *other != from) {
                if let Ok(derived) = prefix_root(size(other), n, &root, &proof) {
                    assert_eq!(derived, tree.mth(0..other));
                }
            }
        }
    }
}

#[test]
fn sizes_that_do_not_fit_are_refused() {
    let part = subtree(0..6).unwrap();
    let beyond = ProofError::BeyondSize { subtree: part, size: size(5) };
    assert_eq!(plan_prefix(size(6), size(5)), Err(beyond.clone()));
    assert_eq!(prefix_root(size(6), size(5), &Hash::EMPTY_ROOT, &[]), Err(beyond));
    let largest = plan_prefix(size(1), TreeSize::MAX).unwrap();
    assert_eq!(largest.proof_len(), 64);
    let whole = plan_prefix(TreeSize::MAX, TreeSize::MAX).unwrap();
    assert_eq!((whole.proof_len(), whole.nodes()[0]), (63, NodeId::new(62, 0).unwrap()));
    let almost = TreeSize::new(TreeSize::MAX.get() - 1).unwrap();
    assert_eq!(
        plan_prefix(almost, TreeSize::MAX).unwrap().proof_len(),
        63,
        "no proof has more than 64"
    );
}

#[test]
fn the_empty_tree_has_its_own_root() {
    let tree = Tree::new(leaves(3));
    let root = tree.mth(0..3);
    assert_eq!(prefix_root(size(0), size(3), &root, &[root]), Ok(Hash::EMPTY_ROOT));
    assert!(prefix_root(size(0), size(3), &root, &[tree.leaf(0)]).is_err());
    assert_eq!(prefix_root(size(0), size(0), &Hash::EMPTY_ROOT, &[]), Ok(Hash::EMPTY_ROOT));
    assert!(prefix_root(size(0), size(0), &root, &[]).is_err());
}

proptest! {
    /// Whatever hashes are offered, of the tree or not: the true root or an error.
    #[test]
    fn no_proof_derives_another_root(
        to in 1usize..200,
        from in 0usize..200,
        junk in prop::collection::vec((0usize..200, 0usize..200), 0..12),
        random: [u8; 32],
    ) {
        let tree = Tree::new(leaves(200));
        let from = from.min(to);
        let (m, n, root) = (size(from), size(to), tree.mth(0..to));
        let hashes: Vec<Hash> = junk
            .iter()
            .map(|(one, other)| {
                let (start, end) = (*one.min(other), *one.max(other));
                if start == end { random.into() } else { tree.mth(start..end) }
            })
            .collect();
        let proof = tree.build(&plan_prefix(m, n).unwrap());
        let mixed: Vec<Hash> = proof
            .iter()
            .enumerate()
            .map(|(at, hash)| hashes.get(at).copied().unwrap_or(*hash))
            .collect();
        for offered in [&hashes, &mixed, &proof] {
            for claimed in [from, from + 1, from.saturating_sub(1), to] {
                if let Ok(derived) = prefix_root(size(claimed), n, &root, offered) {
                    prop_assert_eq!(derived, tree.mth(0..claimed));
                }
            }
        }
    }
}
