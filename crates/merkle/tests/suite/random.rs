//! Random proofs in trees of up to 2^20 leaves, against the recursive definition; and random input of
//! any kind, which must be refused without a panic.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use merkle::{
    Hash, LeafIndex, Subtree, TreeSize, bundle, expand, plan_batch_inclusion, plan_consistency,
    plan_inclusion, plan_root, plan_subtree_consistency, plan_subtree_inclusion, tile,
    verify_batch_inclusion, verify_consistency, verify_inclusion, verify_subtree_consistency,
    verify_subtree_inclusion,
};
use proptest::collection::{btree_set, vec};
use proptest::prelude::*;

use crate::reference::{Tree, index, leaves, size, subtree};

const LEAVES: usize = 1 << 20;

static TREE: LazyLock<Tree> = LazyLock::new(|| Tree::new(leaves(LEAVES)));

fn leaf_and_size() -> impl Strategy<Value = (usize, usize)> {
    (1..=LEAVES).prop_flat_map(|n| (0..n, Just(n)))
}

fn batch_and_size() -> impl Strategy<Value = (BTreeSet<usize>, usize)> {
    (1..=LEAVES).prop_flat_map(|n| (btree_set(0..n, 1..=n.min(200)), Just(n)))
}

/// A subtree, by its first leaf and a length that its start allows.
fn subtree_and_size() -> impl Strategy<Value = (Subtree, usize)> {
    leaf_and_size().prop_flat_map(|(start, n)| {
        let aligned = if start == 0 { n } else { 1 << start.trailing_zeros() };
        (1..=aligned.min(n - start))
            .prop_map(move |length| (subtree(start..start + length).unwrap(), n))
    })
}

proptest! {
    #[test]
    fn inclusion((m, n) in leaf_and_size()) {
        let proof = TREE.build(&plan_inclusion(index(m), size(n)).unwrap());
        prop_assert_eq!(&proof, &TREE.path(m, 0..n));
        let root = TREE.mth(0..n);
        prop_assert_eq!(verify_inclusion(&TREE.leaf(m), index(m), size(n), &proof, &root), Ok(()));
    }

    #[test]
    fn consistency((from, to) in leaf_and_size()) {
        let proof = TREE.build(&plan_consistency(size(from), size(to)).unwrap());
        if from > 0 {
            prop_assert_eq!(&proof, &TREE.subproof(from, 0..to, true));
        }
        let (old, new) = (TREE.mth(0..from), TREE.mth(0..to));
        prop_assert_eq!(verify_consistency(size(from), size(to), &old, &new, &proof), Ok(()));
    }

    #[test]
    fn roots(n in 0..=LEAVES) {
        prop_assert_eq!(TREE.build(&plan_root(size(n))), [TREE.mth(0..n)]);
    }

    #[test]
    fn batches((proven, n) in batch_and_size()) {
        let proven: Vec<usize> = proven.into_iter().collect();
        let indexes: Vec<LeafIndex> = proven.iter().map(|leaf| index(*leaf)).collect();
        let proof = TREE.build(&plan_batch_inclusion(&indexes, size(n)).unwrap());
        prop_assert_eq!(&proof, &TREE.batch(&proven, n));
        let batch: Vec<_> = proven.iter().map(|leaf| (index(*leaf), TREE.leaf(*leaf))).collect();
        let paths = expand(&batch, size(n), &proof, &TREE.mth(0..n)).unwrap();
        for (leaf, path) in proven.iter().zip(paths) {
            prop_assert_eq!(path, TREE.path(*leaf, 0..n));
        }
    }

    #[test]
    fn subtrees((part, n) in subtree_and_size(), pick in any::<prop::sample::Index>()) {
        let leaves = usize::try_from(part.start()).unwrap()..usize::try_from(part.end().get()).unwrap();
        let hash = TREE.mth(leaves.clone());
        let proof = TREE.build(&plan_subtree_consistency(part, size(n)).unwrap());
        prop_assert_eq!(&proof, &TREE.subtree_subproof(leaves.clone(), 0..n, true));
        let root = TREE.mth(0..n);
        prop_assert_eq!(verify_subtree_consistency(part, size(n), &hash, &root, &proof), Ok(()));

        let leaf = leaves.start + pick.index(leaves.len());
        let proof = TREE.build(&plan_subtree_inclusion(index(leaf), part).unwrap());
        prop_assert_eq!(
            verify_subtree_inclusion(&TREE.leaf(leaf), index(leaf), part, &proof, &hash), Ok(())
        );
    }
}

fn any_hash() -> impl Strategy<Value = Hash> {
    any::<[u8; 32]>().prop_map(Hash::from)
}

/// Sizes and indexes of all magnitudes, with the ends of the range among them.
fn any_number() -> impl Strategy<Value = u64> {
    let max = TreeSize::MAX.get();
    prop_oneof![
        0..=8_u64,
        Just(max - 2),
        Just(max - 1),
        Just(max),
        (0..63).prop_map(|bit| 1_u64 << bit),
        0..=max
    ]
}

fn any_index() -> impl Strategy<Value = LeafIndex> {
    any_number().prop_filter_map("an index", |value| LeafIndex::new(value).ok())
}

fn any_size() -> impl Strategy<Value = TreeSize> {
    any_number().prop_map(|value| TreeSize::new(value).unwrap())
}

fn any_subtree() -> impl Strategy<Value = Subtree> {
    (any_number(), any_number())
        .prop_filter_map("a subtree", |(start, end)| Subtree::new(start..end).ok())
}

proptest! {
    /// Random hashes prove nothing, and nothing panics.
    #[test]
    fn noise_is_refused(
        (at, n, old) in (any_index(), any_size(), any_size()),
        part in any_subtree(),
        (leaf, root) in (any_hash(), any_hash()),
        proof in vec(any_hash(), 0..130),
        batch in vec((any_index(), any_hash()), 0..8),
    ) {
        prop_assert!(verify_inclusion(&leaf, at, n, &proof, &root).is_err());
        prop_assert!(verify_consistency(old, n, &leaf, &root, &proof).is_err());
        prop_assert!(verify_subtree_inclusion(&leaf, at, part, &proof, &root).is_err());
        prop_assert!(verify_subtree_consistency(part, n, &leaf, &root, &proof).is_err());
        prop_assert!(verify_batch_inclusion(&batch, n, &proof, &root).is_err());
        prop_assert!(expand(&batch, n, &proof, &root).is_err());
    }

    /// Plans are made, or refused, for any numbers; what they name lies in the tree, each node once.
    #[test]
    fn plans_stay_within_the_tree(at in any_index(), n in any_size(), old in any_size(), part in any_subtree()) {
        let plans = [
            plan_inclusion(at, n).ok(),
            plan_consistency(old, n).ok(),
            plan_subtree_consistency(part, n).ok(),
            plan_batch_inclusion(&[at], n).ok(),
            Some(plan_root(n)),
        ];
        for plan in plans.into_iter().flatten() {
            let mut leaves: Vec<_> = plan.nodes().iter().map(|node| node.leaves()).collect();
            leaves.sort_by_key(|leaves| leaves.start);
            prop_assert!(leaves.iter().all(|leaves| leaves.end <= n.get()));
            prop_assert!(leaves.windows(2).all(|pair| pair[0].end <= pair[1].start));
        }
        prop_assert_eq!(plan_inclusion(at, n).is_ok(), n.contains(at));
        prop_assert_eq!(plan_consistency(old, n).is_ok(), old <= n);
        prop_assert_eq!(plan_subtree_inclusion(at, part).is_ok(), part.leaves().contains(&at.get()));
    }

    #[test]
    fn paths_of_any_text(text in "(tile/)?(entries|[0-9]{1,3})/(x?[0-9]{3}/){0,7}[0-9]{3}(\\.p/[0-9]{1,3})?") {
        if let Ok(path) = text.parse::<tile::TilePath>() {
            prop_assert_eq!(path.to_string(), text.clone());
        }
        if let Ok(path) = text.parse::<tile::BundlePath>() {
            prop_assert_eq!(path.to_string(), text);
        }
    }

    #[test]
    fn bundles_of_any_bytes(bytes in vec(any::<u8>(), 0..2000), width in 0..300_u16) {
        if let Ok(entries) = bundle::decode(&bytes, width) {
            prop_assert_eq!(bundle::encode(entries).unwrap(), bytes);
        }
    }
}
