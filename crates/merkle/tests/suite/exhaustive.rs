//! Every tree up to 256 leaves, every index, every pair of sizes: built and verified, and equal to
//! the recursive definition.

use crate::reference::{Tree, index, leaves, size};
use merkle::{
    CompactRange, Frontier, plan_batch_inclusion, plan_consistency, plan_inclusion, plan_root,
    verify_batch_inclusion, verify_consistency, verify_inclusion,
};

const SIZE_MAX: usize = 256;

#[test]
fn roots_of_all_sizes() {
    let all = leaves(SIZE_MAX + 1);
    let tree = Tree::new(all.clone());
    let (mut range, mut frontier) = (CompactRange::empty(), Frontier::new());
    for n in 0..=SIZE_MAX {
        let root = tree.mth(0..n);
        assert_eq!(range.root(), root, "size {n}");
        assert_eq!(frontier.root(), root, "size {n}");
        assert_eq!(tree.build(&plan_root(size(n))), [root], "size {n}");
        assert_eq!(merkle::root_of(&all[..n]), root, "size {n}");
        range.append(all[n]);
        frontier.append(&all[n..=n]);
    }
}

#[test]
fn inclusion_of_all_leaves_in_all_sizes() {
    let tree = Tree::new(leaves(SIZE_MAX));
    for n in 1..=SIZE_MAX {
        let root = tree.mth(0..n);
        for m in 0..n {
            let proof = tree.build(&plan_inclusion(index(m), size(n)).unwrap());
            assert_eq!(proof, tree.path(m, 0..n), "leaf {m} of {n}");
            verify_inclusion(&tree.leaf(m), index(m), size(n), &proof, &root).unwrap();
        }
    }
}

#[test]
fn consistency_between_all_sizes() {
    let tree = Tree::new(leaves(SIZE_MAX));
    for to in 0..=SIZE_MAX {
        for from in 0..=to {
            let proof = tree.build(&plan_consistency(size(from), size(to)).unwrap());
            let expected = if from == 0 { Vec::new() } else { tree.subproof(from, 0..to, true) };
            assert_eq!(proof, expected, "from {from} to {to}");
            let (old, new) = (tree.mth(0..from), tree.mth(0..to));
            verify_consistency(size(from), size(to), &old, &new, &proof).unwrap();
        }
    }
}

#[test]
fn batches_of_all_subsets_of_small_trees() {
    let tree = Tree::new(leaves(10));
    for n in 1..=10 {
        let root = tree.mth(0..n);
        for subset in 1_u32..1 << n {
            let proven: Vec<usize> = (0..n).filter(|leaf| subset >> leaf & 1 == 1).collect();
            let indexes: Vec<_> = proven.iter().map(|leaf| index(*leaf)).collect();
            let proof = tree.build(&plan_batch_inclusion(&indexes, size(n)).unwrap());
            assert_eq!(proof, tree.batch(&proven, n), "leaves {proven:?} of {n}");
            let batch: Vec<_> =
                proven.iter().map(|leaf| (index(*leaf), tree.leaf(*leaf))).collect();
            verify_batch_inclusion(&batch, size(n), &proof, &root).unwrap();
            let paths = merkle::expand(&batch, size(n), &proof, &root).unwrap();
            assert_eq!(paths.len(), proven.len());
            for (leaf, path) in proven.iter().zip(paths) {
                assert_eq!(path, tree.path(*leaf, 0..n), "leaf {leaf} of {n}, out of {proven:?}");
            }
        }
    }
}
