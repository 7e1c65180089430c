//! Proofs that are almost right: one bit flipped, one hash too many, too few or misplaced, another index.
//! Every one is refused, and the error says why.

use merkle::{
    Hash, LeafIndex, ProofError, Subtree, TreeSize, expand, plan_batch_inclusion, plan_consistency,
    plan_inclusion, plan_root, plan_subtree_consistency, plan_subtree_inclusion,
    root_from_inclusion, verify_batch_inclusion, verify_consistency, verify_inclusion,
    verify_subtree_consistency, verify_subtree_inclusion,
};

use crate::reference::{Tree, index, leaves, size, subtree};

const SIZE_MAX: usize = 17;

/// The hash with each of its bits flipped, one at a time.
fn flips(hash: Hash) -> impl Iterator<Item = Hash> {
    (0..256).map(move |bit| {
        let mut bytes = hash.into_bytes();
        bytes[bit / 8] ^= 1 << (bit % 8);
        Hash::from(bytes)
    })
}

/// Gives `check` the hashes with each bit of each of them flipped, one at a time.
fn each_flip(hashes: &[Hash], mut check: impl FnMut(&[Hash])) {
    let mut flipped = hashes.to_vec();
    for position in 0..hashes.len() {
        for hash in flips(hashes[position]) {
            flipped[position] = hash;
            check(&flipped);
        }
        flipped[position] = hashes[position];
    }
}

/// Checks a right proof, then that each of its hashes is needed where it is, and none more.
fn each_hash_counts(proof: &[Hash], verify: impl Fn(&[Hash]) -> Result<(), ProofError>) {
    assert_eq!(verify(proof), Ok(()));
    let found = proof.len();
    for surplus in [1, 2, 70] {
        let longer = [proof, &vec![Hash::EMPTY_ROOT; surplus]].concat();
        let error = ProofError::SurplusHashes { found: found + surplus, used: found };
        assert_eq!(verify(&longer), Err(error));
    }
    for position in 0..found {
        let mut shorter = proof.to_vec();
        let removed = shorter.remove(position);
        assert_eq!(verify(&shorter), Err(ProofError::MissingHashes { found: found - 1 }));
        shorter.insert((position + 1) % found, removed);
        assert!(verify(&shorter).is_err() || shorter == proof, "hash {position} moved");
    }
}

#[test]
fn inclusion() {
    let tree = Tree::new(leaves(SIZE_MAX));
    for n in 1..=SIZE_MAX {
        let root = tree.mth(0..n);
        for m in 0..n {
            let (leaf, proof) = (tree.leaf(m), tree.path(m, 0..n));
            each_hash_counts(&proof, |proof| {
                verify_inclusion(&leaf, index(m), size(n), proof, &root)
            });
            each_flip(&[&[leaf, root], &proof[..]].concat(), |hashes| {
                let verified =
                    verify_inclusion(&hashes[0], index(m), size(n), &hashes[2..], &hashes[1]);
                assert!(matches!(verified, Err(ProofError::RootMismatch { .. })));
            });
            for other in (0..n).filter(|other| *other != m) {
                assert!(verify_inclusion(&leaf, index(other), size(n), &proof, &root).is_err());
            }
        }
        for beyond in [n, n + 1, 2 * n, usize::MAX >> 2] {
            let error = ProofError::IndexBeyondSize { index: index(beyond), size: size(n) };
            assert_eq!(
                verify_inclusion(&root, index(beyond), size(n), &[], &root),
                Err(error.clone())
            );
            assert_eq!(root_from_inclusion(&root, index(beyond), size(n), &[]), Err(error.clone()));
            assert_eq!(plan_inclusion(index(beyond), size(n)), Err(error));
        }
    }
}

#[test]
fn consistency() {
    let tree = Tree::new(leaves(SIZE_MAX));
    for to in 1..=SIZE_MAX {
        for from in 1..=to {
            let (old, new) = (tree.mth(0..from), tree.mth(0..to));
            let proof = tree.subproof(from, 0..to, true);
            let (from, to) = (size(from), size(to));
            each_hash_counts(&proof, |proof| verify_consistency(from, to, &old, &new, proof));
            each_flip(&[&[old, new], &proof[..]].concat(), |hashes| {
                let verified = verify_consistency(from, to, &hashes[0], &hashes[1], &hashes[2..]);
                assert!(matches!(
                    verified,
                    Err(ProofError::RootMismatch { .. } | ProofError::SubtreeMismatch { .. })
                ));
            });
        }
    }
}

#[test]
fn consistency_from_nothing_and_backwards() {
    let tree = Tree::new(leaves(9));
    let (zero, empty, root) = (TreeSize::ZERO, Hash::EMPTY_ROOT, tree.mth(0..9));
    assert_eq!(verify_consistency(zero, zero, &empty, &empty, &[]), Ok(()));
    assert_eq!(verify_consistency(zero, size(9), &empty, &root, &[]), Ok(()));
    let surplus = ProofError::SurplusHashes { found: 1, used: 0 };
    assert_eq!(verify_consistency(zero, size(9), &empty, &root, &[root]), Err(surplus));
    let not_empty = ProofError::SubtreeMismatch { expected: root, computed: empty };
    assert_eq!(verify_consistency(zero, size(9), &root, &root, &[]), Err(not_empty.clone()));
    assert_eq!(verify_consistency(zero, zero, &root, &root, &[]), Err(not_empty));
    let not_empty = ProofError::RootMismatch { expected: root, computed: empty };
    assert_eq!(verify_consistency(zero, zero, &empty, &root, &[]), Err(not_empty));

    let backwards = ProofError::BeyondSize { subtree: subtree(0..9).unwrap(), size: size(8) };
    let old = tree.mth(0..8);
    assert_eq!(verify_consistency(size(9), size(8), &root, &old, &[]), Err(backwards.clone()));
    assert_eq!(plan_consistency(size(9), size(8)), Err(backwards));
    let from_nine = ProofError::BeyondSize { subtree: subtree(0..9).unwrap(), size: zero };
    assert_eq!(verify_consistency(size(9), zero, &root, &empty, &[]), Err(from_nine));
}

#[test]
fn subtrees() {
    let tree = Tree::new(leaves(SIZE_MAX));
    for n in 1..=SIZE_MAX {
        let root = tree.mth(0..n);
        for (start, end) in (0..n).flat_map(|start| (start + 1..=n).map(move |end| (start, end))) {
            let Some(part) = subtree(start..end) else { continue };
            let hash = tree.mth(start..end);
            let proof = tree.subtree_subproof(start..end, 0..n, true);
            each_hash_counts(&proof, |proof| {
                verify_subtree_consistency(part, size(n), &hash, &root, proof)
            });
            each_flip(&[&[hash, root], &proof[..]].concat(), |hashes| {
                let [hash, root, proof @ ..] = hashes else { unreachable!() };
                assert!(verify_subtree_consistency(part, size(n), hash, root, proof).is_err());
            });
            for m in start..end {
                let (leaf, proof) = (tree.leaf(m), tree.path(m - start, start..end));
                each_hash_counts(&proof, |proof| {
                    verify_subtree_inclusion(&leaf, index(m), part, proof, &hash)
                });
            }
        }
    }
}

#[test]
fn subtrees_elsewhere() {
    let tree = Tree::new(leaves(16));
    let part = subtree(8..12).unwrap();
    for outside in [0, 7, 12, 15, 100] {
        let error = ProofError::IndexOutsideSubtree { index: index(outside), subtree: part };
        assert_eq!(plan_subtree_inclusion(index(outside), part), Err(error.clone()));
        let leaf = Hash::EMPTY_ROOT;
        assert_eq!(verify_subtree_inclusion(&leaf, index(outside), part, &[], &leaf), Err(error));
    }
    for small in [0, 8, 11] {
        let error = ProofError::BeyondSize { subtree: part, size: size(small) };
        assert_eq!(plan_subtree_consistency(part, size(small)), Err(error.clone()));
        let (hash, root) = (tree.mth(8..12), tree.mth(0..small));
        assert_eq!(verify_subtree_consistency(part, size(small), &hash, &root, &[]), Err(error));
    }
    let proof = tree.subtree_subproof(8..12, 0..16, true);
    for other in [0..4, 4..8, 12..16, 8..10, 0..16] {
        let (other, hash) = (Subtree::new(other).unwrap(), tree.mth(8..12));
        let verified = verify_subtree_consistency(other, size(16), &hash, &tree.mth(0..16), &proof);
        assert!(verified.is_err(), "{other}");
    }
}

fn batch(tree: &Tree, proven: &[usize]) -> Vec<(LeafIndex, Hash)> {
    proven.iter().map(|leaf| (index(*leaf), tree.leaf(*leaf))).collect()
}

#[test]
fn batches() {
    let tree = Tree::new(leaves(9));
    for n in 1..=9 {
        let root = tree.mth(0..n);
        for subset in 1_u32..1 << n {
            let proven: Vec<usize> = (0..n).filter(|leaf| subset >> leaf & 1 == 1).collect();
            let (batch, proof) = (batch(&tree, &proven), tree.batch(&proven, n));
            each_hash_counts(&proof, |proof| verify_batch_inclusion(&batch, size(n), proof, &root));
            each_hash_counts(&proof, |proof| expand(&batch, size(n), proof, &root).map(|_| ()));
            if subset % 7 != 1 {
                continue;
            }
            let given: Vec<Hash> = batch.iter().map(|(_, hash)| *hash).collect();
            each_flip(&[&[root], &proof[..], &given].concat(), |hashes| {
                let [root, rest @ ..] = hashes else { unreachable!() };
                let (proof, given) = rest.split_at(proof.len());
                let batch: Vec<_> =
                    batch.iter().zip(given).map(|((index, _), hash)| (*index, *hash)).collect();
                let verified = verify_batch_inclusion(&batch, size(n), proof, root);
                assert!(matches!(verified, Err(ProofError::RootMismatch { .. })));
                assert!(expand(&batch, size(n), proof, root).is_err());
            });
        }
    }
}

#[test]
fn batches_of_wrong_leaves() {
    let tree = Tree::new(leaves(9));
    let root = tree.mth(0..9);
    let refused = |proven: &[usize], error: ProofError| {
        let batch: Vec<_> = proven.iter().map(|leaf| (index(*leaf), Hash::EMPTY_ROOT)).collect();
        let indexes: Vec<_> = batch.iter().map(|(index, _)| *index).collect();
        for n in [9, 8].into_iter().filter(|n| proven.iter().all(|leaf| leaf < n || *n == 9)) {
            assert_eq!(plan_batch_inclusion(&indexes, size(n)), Err(error.clone()));
            assert_eq!(verify_batch_inclusion(&batch, size(n), &[], &root), Err(error.clone()));
            assert_eq!(expand(&batch, size(n), &[root], &root), Err(error.clone()));
        }
    };
    let not_ascending =
        |position, value| ProofError::LeavesNotAscending { position, index: index(value) };
    let beyond = |value| ProofError::IndexBeyondSize { index: index(value), size: size(9) };
    refused(&[], ProofError::NoLeaves);
    refused(&[3, 3], not_ascending(1, 3));
    refused(&[0, 5, 4, 6], not_ascending(2, 4));
    refused(&[1, 2, 7, 0], not_ascending(3, 0));
    refused(&[9], beyond(9));
    refused(&[0, 1, 100], beyond(100));
    let none = plan_batch_inclusion(&[index(0)], TreeSize::ZERO);
    assert_eq!(none, Err(ProofError::IndexBeyondSize { index: index(0), size: TreeSize::ZERO }));
    assert_eq!(plan_batch_inclusion(&[], TreeSize::ZERO), Err(ProofError::NoLeaves));
}

#[test]
fn plans_take_as_many_hashes_as_they_name() {
    let plan = plan_root(size(7));
    for found in [0, 2, 4] {
        let fetched = vec![Hash::EMPTY_ROOT; found];
        assert_eq!(plan.build(&fetched), Err(ProofError::FetchCount { expected: 3, found }));
    }
}

#[test]
fn the_largest_tree() {
    let last = LeafIndex::new(TreeSize::MAX.get() - 1).unwrap();
    let plan = plan_inclusion(last, TreeSize::MAX).unwrap();
    assert_eq!((plan.nodes().len(), plan.proof_len()), (62, 62));
    let leaf = tree_of_one();
    let proof = vec![leaf; 62];
    let root = root_from_inclusion(&leaf, last, TreeSize::MAX, &proof).unwrap();
    assert_eq!(verify_inclusion(&leaf, last, TreeSize::MAX, &proof, &root), Ok(()));
    let batch = [(last, leaf)];
    assert_eq!(expand(&batch, TreeSize::MAX, &proof, &root), Ok(vec![proof.clone()]));
    let missing = verify_inclusion(&leaf, last, TreeSize::MAX, &proof[1..], &root);
    assert_eq!(missing, Err(ProofError::MissingHashes { found: 61 }));

    let half = TreeSize::new(1 << 62).unwrap();
    let plan = plan_consistency(half, TreeSize::MAX).unwrap();
    assert_eq!((plan.nodes().len(), plan.proof_len()), (62, 1));
    for beyond in [1 << 63, u64::MAX] {
        assert!(LeafIndex::new(beyond).is_err() && TreeSize::new(beyond).is_err());
    }
    assert!(LeafIndex::new(TreeSize::MAX.get()).is_err());
}

fn tree_of_one() -> Hash {
    Tree::new(leaves(1)).mth(0..1)
}
