//! Subtrees, against the recursion of draft-ietf-plants-merkle-tree-certs-03, section 4, its worked
//! examples, and the accumulated vectors of the editors' copy of August 2026.

use core::ops::Range;

use merkle::{
    Hash, Subtree, SubtreeError, leaf_hash, plan_subtree_consistency, plan_subtree_inclusion,
    verify_subtree_consistency, verify_subtree_inclusion,
};
use sha2::{Digest, Sha256};

use crate::reference::{Tree, index, leaves, size, subtree};

/// The vectors cover all trees to this size, of leaves that are one byte each: 0, 1, 2 ...
const VECTORS_SIZE_MAX: usize = 130;

fn vector_tree() -> Tree {
    Tree::new((0..=u8::MAX).map(|byte| leaf_hash(&[byte])).collect())
}

/// All ranges within `[0, size]`, by end, then start; empty ones too, as the vectors have them.
fn ranges(size: usize) -> impl Iterator<Item = Range<usize>> {
    (0..=size).flat_map(|end| (0..=end).map(move |start| start..end))
}

fn write_line(rolling: &mut Sha256, line: &str, hashes: &[Hash]) {
    rolling.update(line);
    for hash in hashes {
        rolling.update(format!(" {hash}"));
    }
    rolling.update("\n");
}

#[test]
fn all_subtree_hashes() {
    let (tree, mut rolling) = (vector_tree(), Sha256::new());
    for Range { start, end } in ranges(VECTORS_SIZE_MAX) {
        if start == end || subtree(start..end).is_some() {
            write_line(&mut rolling, &format!("[{start}, {end})"), &[tree.mth(start..end)]);
        }
    }
    let expected = "b82806ad4265bb151c1119c0f4db437bb4d1a1f887b3a7fba1cd4ebf552e3e81";
    assert_eq!(hex::encode(rolling.finalize()), expected);
}

#[test]
fn all_subtree_inclusion_proofs() {
    let (tree, mut rolling) = (vector_tree(), Sha256::new());
    for range in ranges(VECTORS_SIZE_MAX) {
        let Some(part) = subtree(range.clone()) else { continue };
        let hash = tree.mth(range.clone());
        for leaf in range.clone() {
            let proof = tree.build(&plan_subtree_inclusion(index(leaf), part).unwrap());
            assert_eq!(proof, tree.path(leaf - range.start, range.clone()), "{leaf} in {part}");
            verify_subtree_inclusion(&tree.leaf(leaf), index(leaf), part, &proof, &hash).unwrap();
            write_line(&mut rolling, &format!("{leaf} {part}"), &proof);
        }
    }
    let expected = "ac2a8f989e44d99e399db448050ff5f19757df53cfb716aa81015d3955d8163f";
    assert_eq!(hex::encode(rolling.finalize()), expected);
}

#[test]
fn all_subtree_consistency_proofs() {
    let (tree, mut rolling) = (vector_tree(), Sha256::new());
    for n in 0..=VECTORS_SIZE_MAX {
        let root = tree.mth(0..n);
        for range in ranges(n) {
            let line = format!("[{}, {}) {n}", range.start, range.end);
            if range.is_empty() {
                write_line(&mut rolling, &line, &[]);
            }
            let Some(part) = subtree(range.clone()) else { continue };
            let proof = tree.build(&plan_subtree_consistency(part, size(n)).unwrap());
            let hash = tree.mth(range);
            verify_subtree_consistency(part, size(n), &hash, &root, &proof).unwrap();
            write_line(&mut rolling, &line, &proof);
        }
    }
    let expected = "10fa99b37bf9bf9ffa26b412fbd98bd75363256d0b75d61bc4538b9c9c5a0a74";
    assert_eq!(hex::encode(rolling.finalize()), expected);
}

#[test]
fn consistency_proofs_are_the_recursion() {
    let tree = Tree::new(leaves(64));
    for n in 1..=64 {
        for range in ranges(n) {
            let Some(part) = subtree(range.clone()) else { continue };
            let proof = tree.build(&plan_subtree_consistency(part, size(n)).unwrap());
            assert_eq!(proof, tree.subtree_subproof(range, 0..n, true), "{part} in {n}");
        }
    }
}

#[test]
fn worked_examples() {
    let tree = Tree::new(leaves(14));
    let (four_to_eight, eight_to_thirteen) = (subtree(4..8).unwrap(), subtree(8..13).unwrap());

    let plan = plan_subtree_inclusion(index(10), eight_to_thirteen).unwrap();
    assert_eq!(tree.build(&plan), [tree.mth(11..12), tree.mth(8..10), tree.mth(12..13)]);

    let plan = plan_subtree_consistency(four_to_eight, size(14)).unwrap();
    assert_eq!(tree.build(&plan), [tree.mth(0..4), tree.mth(8..14)]);

    let plan = plan_subtree_consistency(eight_to_thirteen, size(14)).unwrap();
    let expected = [tree.mth(12..13), tree.mth(13..14), tree.mth(8..12), tree.mth(0..8)];
    assert_eq!(tree.build(&plan), expected);
}

#[test]
fn only_aligned_runs_are_subtrees() {
    for Range { start, end } in ranges(130) {
        let by_definition = start < end && start % (end - start).next_power_of_two() == 0;
        assert_eq!(subtree(start..end).is_some(), by_definition, "[{start}, {end})");
    }
    let past_the_end = (1 << 63) - 1;
    assert!(Subtree::new(0..past_the_end).is_ok());
    assert!(matches!(Subtree::new(0..past_the_end + 1), Err(SubtreeError::End(_))));
    assert!(matches!(Subtree::new(u64::MAX - 1..u64::MAX), Err(SubtreeError::End(_))));
    #[expect(clippy::reversed_empty_ranges, reason = "that is what is refused")]
    let reversed = Subtree::new(5..4);
    assert_eq!(reversed, Err(SubtreeError::Empty { start: 5, end: 4 }));
    assert_eq!(Subtree::new(4..4), Err(SubtreeError::Empty { start: 4, end: 4 }));
    assert_eq!(Subtree::new(2..5), Err(SubtreeError::Misaligned { start: 2, end: 5 }));
    let lone_leaf_at_the_end = Subtree::new(past_the_end - 1..past_the_end).unwrap();
    assert_eq!(lone_leaf_at_the_end.size().get(), 1);
}
