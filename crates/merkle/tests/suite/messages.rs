//! What the errors say: lowercase, no full stop, the offending values named.

use merkle::bundle::BundleError;
use merkle::tile::{PathError, TileError};
use merkle::{
    FrontierError, Hash, HashError, LeafIndex, NodeId, OutOfRange, ProofError, RangeError, Subtree,
    SubtreeError, TreeSize,
};

use crate::reference::{index, size, subtree};

fn assert_says(error: &dyn std::error::Error, text: &str) {
    assert_eq!(error.to_string(), text);
}

#[test]
fn numbers() {
    assert_says(&HashError { found: 31 }, "a hash is 32 bytes, found 31");
    let refused = LeafIndex::new((1 << 63) - 1).unwrap_err();
    assert_says(&refused, "leaf index 9223372036854775807 is not below 2^63 - 1");
    let refused = TreeSize::new(1 << 63).unwrap_err();
    assert_says(&refused, "tree size 9223372036854775808 is not below 2^63");
    assert_says(&NodeId::new(62, 1).unwrap_err(), "no tree has a node 1 at level 62");
    assert_says(&SubtreeError::Empty { start: 3, end: 3 }, "subtree [3, 3) has no leaves");
    assert_says(
        &SubtreeError::Misaligned { start: 2, end: 5 },
        "subtree [2, 5) does not start at a multiple of its length, rounded up to a power of two",
    );
    let past = Subtree::new(0..1 << 63).unwrap_err();
    assert_says(&past, "tree size 9223372036854775808 is not below 2^63");
    assert_eq!(past, SubtreeError::End(OutOfRange::TreeSize { value: 1 << 63 }));
}

#[test]
fn trees_and_tiles() {
    assert_says(
        &RangeError::HashCount { size: size(7), expected: 3, found: 4 },
        "a compact range of 7 leaves has 3 hashes, found 4",
    );
    assert_says(
        &RangeError::Gap { end: size(7), start: 8 },
        "a range that ends at 7 cannot take one that starts at 8",
    );
    assert_says(
        &FrontierError::Width { level: 1, expected: 2, found: 3 },
        "the partial tile of level 1 has 2 hashes, found 3",
    );
    assert_says(
        &TileError::Length { width: 256, found: 8191 },
        "a tile of 256 hashes has 32 bytes for each, found 8191 bytes",
    );
    assert_says(&PathError::TooLong { found: 99 }, "a tile path has at most 52 bytes, found 99");
    assert_says(&PathError::Syntax { path: "tile".into() }, "\"tile\" is not a tile path");
    let canonical = "tile/0/067".into();
    assert_says(
        &PathError::NotCanonical { path: "tile/0/x000/067".into(), canonical },
        "\"tile/0/x000/067\" is written \"tile/0/067\"",
    );
    assert_says(&PathError::Level { level: 64 }, "tile level 64 is above 63");
    assert_says(&PathError::Width { width: 257 }, "tile width 257 is not from 1 to 256");
    assert_says(
        &BundleError::EntryTooLong { found: 65_536 },
        "an entry has at most 65535 bytes, found 65536",
    );
    assert_says(&BundleError::Truncated { position: 4 }, "the bundle ends inside entry 4");
    assert_says(
        &BundleError::Surplus { width: 2, surplus: 5 },
        "5 bytes follow the last of 2 entries",
    );
}

#[test]
fn proofs() {
    let (index, size, subtree) = (index(9), size(8), subtree(8..12).unwrap());
    let (computed, expected) = (Hash::from([0x0a; 32]), Hash::from([0xf0; 32]));
    let (a, b) = ("0a".repeat(32), "f0".repeat(32));
    let messages = [
        (
            ProofError::IndexBeyondSize { index, size },
            "leaf index 9 is not below the tree size 8".to_owned(),
        ),
        (
            ProofError::IndexOutsideSubtree { index, subtree },
            "leaf index 9 is not in the subtree [8, 12)".to_owned(),
        ),
        (
            ProofError::BeyondSize { subtree, size },
            "[8, 12) is not within a tree of size 8".to_owned(),
        ),
        (ProofError::NoLeaves, "a batch proof needs at least one leaf".to_owned()),
        (
            ProofError::LeavesNotAscending { position: 3, index },
            "leaf 3 of the batch, at index 9, does not come after the one before it".to_owned(),
        ),
        (
            ProofError::MissingHashes { found: 2 },
            "the proof has 2 hashes, too few for these indexes and sizes".to_owned(),
        ),
        (
            ProofError::SurplusHashes { found: 4, used: 3 },
            "the proof has 4 hashes, and only 3 belong to it".to_owned(),
        ),
        (
            ProofError::RootMismatch { expected, computed },
            format!("the proof leads to the root {a}, not {b}"),
        ),
        (
            ProofError::SubtreeMismatch { expected, computed },
            format!("the proof leads to the hash {a} for the older or smaller tree, not {b}"),
        ),
        (
            ProofError::FetchCount { expected: 3, found: 2 },
            "the plan names 3 nodes, 2 were fetched".to_owned(),
        ),
    ];
    for (error, text) in messages {
        assert_says(&error, &text);
    }
}
