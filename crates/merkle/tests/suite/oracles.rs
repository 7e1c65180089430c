//! The same trees and proofs by three other implementations: `rs_merkle`, `ct-merkle` and `tlog_tiles`.

use ct_merkle::mem_backed_tree::MemoryBackedTree;
use merkle::tile::{TileCoord, TilePath, full_tiles_between, locate, partial_tiles};
use merkle::{
    Hash, NodeId, plan_batch_inclusion, plan_consistency, plan_inclusion, verify_batch_inclusion,
    verify_inclusion,
};
use proptest::prelude::*;
use rs_merkle::{MerkleProof, MerkleTree};
use sha2::Sha256;
use tlog_tiles::{HashReader, Tile};

use crate::reference::{Tree, index, leaves, size};

const SIZE_MAX: usize = 100;

/// Gives `rs_merkle` the node hash of RFC 6962; its own way to handle a node without a neighbour, to move
/// it up unchanged, is RFC 6962's already.
#[derive(Clone)]
struct NodeHasher;

impl rs_merkle::Hasher for NodeHasher {
    type Hash = [u8; 32];

    fn hash(_: &[u8]) -> [u8; 32] {
        unreachable!("leaves are given as hashes")
    }

    fn concat_and_hash(left: &[u8; 32], right: Option<&[u8; 32]>) -> [u8; 32] {
        right.map_or(*left, |right| {
            merkle::node_hash(&Hash::from(*left), &Hash::from(*right)).into_bytes()
        })
    }
}

fn bytes(hashes: &[Hash]) -> Vec<[u8; 32]> {
    hashes.iter().map(|hash| hash.into_bytes()).collect()
}

fn rs_tree(leaves: &[Hash]) -> MerkleTree<NodeHasher> {
    MerkleTree::from_leaves(&bytes(leaves))
}

#[test]
fn rs_merkle_has_the_same_roots_and_single_proofs() {
    let all = leaves(300);
    let tree = Tree::new(all.clone());
    for n in 1..=all.len() {
        let oracle = rs_tree(&all[..n]);
        assert_eq!(oracle.root(), Some(tree.mth(0..n).into_bytes()), "size {n}");
        for m in (0..n).filter(|m| n <= SIZE_MAX || m % 17 == n % 17) {
            let proof = tree.build(&plan_inclusion(index(m), size(n)).unwrap());
            assert_eq!(bytes(&proof), oracle.proof(&[m]).proof_hashes(), "leaf {m} of {n}");
        }
    }
}

proptest! {
    /// Hash for hash: the order of our batch proofs is that of `rs_merkle`.
    #[test]
    fn rs_merkle_has_the_same_multi_proofs(
        (proven, n) in (1..=300_usize)
            .prop_flat_map(|n| (prop::collection::btree_set(0..n, 1..=n), Just(n))),
    ) {
        let all = leaves(n);
        let (tree, oracle) = (Tree::new(all.clone()), rs_tree(&all));
        let proven: Vec<usize> = proven.into_iter().collect();
        let indexes: Vec<_> = proven.iter().map(|leaf| index(*leaf)).collect();
        let proof = tree.build(&plan_batch_inclusion(&indexes, size(n)).unwrap());
        let by_oracle = oracle.proof(&proven);
        prop_assert_eq!(bytes(&proof), by_oracle.proof_hashes());
        let given: Vec<[u8; 32]> = proven.iter().map(|leaf| all[*leaf].into_bytes()).collect();
        let theirs = MerkleProof::<NodeHasher>::new(bytes(&proof));
        prop_assert!(theirs.verify(oracle.root().unwrap(), &proven, &given, n));
    }
}

/// Why `rs_merkle` builds and never verifies: its verifier takes proofs that ours refuses.
#[test]
fn the_verifier_of_rs_merkle_is_not_ours() {
    let all = leaves(5);
    let tree = Tree::new(all.clone());
    let root = tree.mth(0..5);
    let surplus = [tree.path(2, 0..5), vec![Hash::EMPTY_ROOT]].concat();
    let theirs = MerkleProof::<NodeHasher>::new(bytes(&surplus));
    assert!(theirs.verify(root.into_bytes(), &[2], &[all[2].into_bytes()], 5));
    assert!(verify_inclusion(&all[2], index(2), size(5), &surplus, &root).is_err());
    assert!(verify_batch_inclusion(&[(index(2), all[2])], size(5), &surplus, &root).is_err());
}

#[test]
fn ct_merkle_has_the_same_roots_and_proofs() {
    let entries: Vec<[u8; 8]> = (0..SIZE_MAX).map(usize::to_be_bytes).collect();
    let tree = Tree::new(leaves(SIZE_MAX));
    let mut oracle = MemoryBackedTree::<Sha256, [u8; 8]>::new();
    for n in 1..=SIZE_MAX {
        oracle.push(entries[n - 1]);
        assert_eq!(oracle.root().as_bytes().as_slice(), tree.mth(0..n).as_bytes(), "size {n}");
        for m in 0..n {
            let proof = tree.build(&plan_inclusion(index(m), size(n)).unwrap());
            assert_eq!(bytes(&proof).concat(), oracle.prove_inclusion(m).as_bytes());
        }
        for from in 1..n {
            let proof = tree.build(&plan_consistency(size(from), size(n)).unwrap());
            assert_eq!(bytes(&proof).concat(), oracle.prove_consistency(n - from).as_bytes());
        }
    }
}

/// What `tlog_tiles` reads its hashes from: in the order it stores them.
struct Stored(Vec<tlog_tiles::Hash>);

impl HashReader for Stored {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<tlog_tiles::Hash>, tlog_tiles::Error> {
        Ok(indexes.iter().map(|index| self.0[usize::try_from(*index).unwrap()]).collect())
    }
}

fn theirs(hash: Hash) -> tlog_tiles::Hash {
    tlog_tiles::Hash(hash.into_bytes())
}

#[test]
fn tlog_tiles_has_the_same_roots_and_proofs_and_verifies_ours() {
    let all = leaves(SIZE_MAX);
    let tree = Tree::new(all.clone());
    let mut stored = Stored(Vec::new());
    for n in 1..=SIZE_MAX {
        let new =
            tlog_tiles::stored_hashes_for_record_hash(n as u64 - 1, theirs(all[n - 1]), &stored);
        stored.0.extend(new.unwrap());
        let root = theirs(tree.mth(0..n));
        assert_eq!(tlog_tiles::tree_hash(n as u64, &stored).unwrap(), root, "size {n}");
        for (m, leaf) in all[..n].iter().enumerate() {
            let proof = tree.build(&plan_inclusion(index(m), size(n)).unwrap());
            let proof: Vec<_> = proof.into_iter().map(theirs).collect();
            assert_eq!(tlog_tiles::prove_record(n as u64, m as u64, &stored).unwrap(), proof);
            let checked = tlog_tiles::check_record(&proof, n as u64, root, m as u64, theirs(*leaf));
            checked.unwrap();
        }
        for from in 1..n {
            let proof = tree.build(&plan_consistency(size(from), size(n)).unwrap());
            let proof: Vec<_> = proof.into_iter().map(theirs).collect();
            assert_eq!(tlog_tiles::prove_tree(n as u64, from as u64, &stored).unwrap(), proof);
            let old = theirs(tree.mth(0..from));
            tlog_tiles::check_tree(&proof, n as u64, root, from as u64, old).unwrap();
        }
    }
}

#[test]
fn tlog_tiles_lists_the_same_tiles() {
    let sizes = [0, 1, 255, 256, 257, 300, 511, 512, 65_535, 65_536, 65_537, 70_000, 200_000];
    for (position, new) in sizes.into_iter().enumerate() {
        for old in &sizes[..=position] {
            let mut expected: Vec<_> = Tile::new_tiles(8, *old as u64, new as u64)
                .into_iter()
                .filter(|tile| tile.width() == 256)
                .map(|tile| TileCoord { level: tile.level(), index: tile.level_index() })
                .collect();
            expected.sort();
            let full: Vec<_> = full_tiles_between(size(*old), size(new)).collect();
            assert_eq!(full, expected, "from {old} to {new}");
        }
        let mut expected: Vec<_> = Tile::new_tiles(8, 0, new as u64)
            .into_iter()
            .filter(|tile| tile.width() < 256)
            .map(|tile| (tile.level(), tile.level_index(), tile.width()))
            .collect();
        expected.sort_unstable();
        let partial: Vec<_> = partial_tiles(size(new))
            .map(|(coord, width)| (coord.level, coord.index, u32::from(width)))
            .collect();
        assert_eq!(partial, expected, "size {new}");
    }
}

proptest! {
    #[test]
    fn tlog_tiles_finds_nodes_in_the_same_tiles(level in 0..40_u8, index in 0..1_u64 << 20) {
        let tile = Tile::from_index(8, tlog_tiles::stored_hash_index(level, index));
        let location = locate(NodeId::new(level, index).unwrap());
        prop_assert_eq!(
            (tile.level(), tile.level_index(), tile.width()),
            (location.coord.level, location.coord.index, u32::from(location.first + location.count))
        );
    }

    /// Its paths name the tile height too: `tile/8/...`.
    #[test]
    fn tlog_tiles_spells_the_same_paths(level in 0..64_u8, index: u64, width in 1..=256_u16) {
        let path = TilePath::new(TileCoord { level, index }, width).unwrap().to_string();
        let theirs = Tile::new(8, level, index, width.into(), false).path();
        prop_assert_eq!(&path.replacen("tile/", "tile/8/", 1), &theirs);
        prop_assert!(path.parse::<TilePath>().is_ok());
    }

    #[test]
    fn tlog_tiles_refuses_the_same_paths(
        // No level above 63 and no width of 0: we refuse them, and it panics.
        text in "tile/0?([0-9]|[1-5][0-9]|6[0-3])/(x[0-9]{3}/){0,3}x?[0-9]{3}(\\.p/0?[1-9][0-9]{0,2})?",
    ) {
        let theirs = Tile::from_path(&text.replacen("tile/", "tile/8/", 1));
        prop_assert_eq!(text.parse::<TilePath>().is_ok(), theirs.is_ok(), "{}", text);
    }
}
