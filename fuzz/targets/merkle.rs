//! What the fuzz targets do with their input, and the test suite with the corpus. Each takes any bytes,
//! and panics only if an invariant breaks.
//!
//! Proofs are read as numbers (8 bytes each, little-endian), then hashes (32 bytes each); what remains at
//! the end is left out. Numbers no tree can have end a run: their constructors have refused them.

use merkle::tile::{self, BundlePath, TilePath};
use merkle::{
    CompactRange, Frontier, Hash, LeafIndex, Plan, ProofError, Subtree, TreeSize, bundle, expand,
    plan_batch_inclusion, plan_consistency, plan_inclusion, plan_prefix, plan_root,
    plan_subtree_consistency, plan_subtree_inclusion, prefix_from_consistency,
    prefix_from_inclusion, prefix_root, root_from_inclusion, verify_batch_inclusion,
    verify_consistency, verify_inclusion, verify_subtree_consistency, verify_subtree_inclusion,
};

/// Leaf index, size; leaf, root, proof.
///
/// The batch verifier, which works row by row, must agree with the single one, which walks a path.
pub(super) fn inclusion(input: &[u8]) {
    let Some(([index, size], hashes)) = numbers(input) else { return };
    let (Ok(index), Ok(size)) = (LeafIndex::new(index), TreeSize::new(size)) else { return };
    let [leaf, root, proof @ ..] = &hashes[..] else { return };

    let batch = [(index, *leaf)];
    let verified = verify_inclusion(leaf, index, size, proof, root);
    assert_eq!(verified, verify_batch_inclusion(&batch, size, proof, root));
    assert_length_decides(&verified, plan_inclusion(index, size), proof);

    if let Ok(computed) = root_from_inclusion(leaf, index, size, proof) {
        assert_eq!(verify_inclusion(leaf, index, size, proof, &computed), Ok(()));
        assert_eq!(expand(&batch, size, proof, &computed), Ok(vec![proof.to_vec()]));
        assert!(verify_inclusion(&computed, index, size, proof, leaf).is_err() || proof.is_empty());
    }
}

/// Start and end of a subtree, size; its hash, root, proof.
///
/// A subtree from 0 is an older tree, and one of a single leaf is that leaf.
pub(super) fn consistency(input: &[u8]) {
    let Some(([start, end, size], hashes)) = numbers(input) else { return };
    let (Ok(part), Ok(size)) = (Subtree::new(start..end), TreeSize::new(size)) else { return };
    let [hash, root, proof @ ..] = &hashes[..] else { return };

    let verified = verify_subtree_consistency(part, size, hash, root, proof);
    assert_length_decides(&verified, plan_subtree_consistency(part, size), proof);
    if start == 0 {
        assert_eq!(verified, verify_consistency(part.end(), size, hash, root, proof));
        assert_eq!(plan_consistency(part.end(), size), plan_subtree_consistency(part, size));
    }
    let index = LeafIndex::new(start).expect("a subtree has a leaf");
    if part.size().get() == 1 {
        assert_eq!(verified.is_ok(), verify_inclusion(hash, index, size, proof, root).is_ok());
    }
    let included = verify_subtree_inclusion(hash, index, part, proof, root);
    assert_length_decides(&included, plan_subtree_inclusion(index, part), proof);
}

/// Older size, size; root, proof.
///
/// What a prefix proof derives, a consistency proof of the same hashes must show too.
pub(super) fn prefix(input: &[u8]) {
    let Some(([from, to], hashes)) = numbers(input) else { return };
    let (Ok(from), Ok(to)) = (TreeSize::new(from), TreeSize::new(to)) else { return };
    let [root, proof @ ..] = &hashes[..] else { return };

    let derived = prefix_root(from, to, root, proof);
    assert_length_decides(&derived.clone().map(|_| ()), plan_prefix(from, to), proof);
    if let Ok(older) = derived {
        assert_eq!(older == *root && from != TreeSize::ZERO, from == to && from != TreeSize::ZERO);
    }
    if let Some(taken) = prefix_from_consistency(from, to, proof)
        && let Ok(older) = prefix_root(from, to, root, &taken)
    {
        assert_eq!(verify_consistency(from, to, &older, root, proof), Ok(()));
    }
    if let [leaf, path @ ..] = proof
        && let Some(taken) = prefix_from_inclusion(leaf, from, to, path)
    {
        let last = LeafIndex::new(from.get() - 1).expect("not from size 0");
        let included = verify_inclusion(leaf, last, to, path, root);
        assert_eq!(prefix_root(from, to, root, &taken).is_ok(), included.is_ok());
    }
}

/// Size, number of leaves (16 at most), their indexes; root, their hashes, proof.
pub(super) fn batch(input: &[u8]) {
    let Some(([size, count], _)) = numbers(input) else { return };
    let count = usize::try_from(count % 17).expect("below 17");
    let Some((indexes, hashes)) = input[16..].split_at_checked(8 * count) else { return };
    let indexes: Result<Vec<_>, _> = indexes
        .as_chunks::<8>()
        .0
        .iter()
        .map(|number| LeafIndex::new(u64::from_le_bytes(*number)))
        .collect();
    let (Ok(indexes), Ok(size)) = (indexes, TreeSize::new(size)) else { return };
    let hashes = read_hashes(hashes);
    let Some((root, rest)) = hashes.split_first() else { return };
    let Some((leaves, proof)) = rest.split_at_checked(count) else { return };
    let leaves: Vec<_> = indexes.iter().copied().zip(leaves.iter().copied()).collect();

    let verified = verify_batch_inclusion(&leaves, size, proof, root);
    assert_length_decides(&verified, plan_batch_inclusion(&indexes, size), proof);
    let computed = match verified {
        Ok(()) => *root,
        Err(ProofError::RootMismatch { computed, .. }) => computed,
        Err(_) => return,
    };
    let paths = expand(&leaves, size, proof, &computed).expect("it leads to this root");
    assert_eq!(paths.len(), leaves.len());
    for ((index, leaf), path) in leaves.iter().zip(&paths) {
        assert_eq!(verify_inclusion(leaf, *index, size, path, &computed), Ok(()));
    }
}

/// Size; the hashes of its compact range, or of its partial tiles from level 0 up.
pub(super) fn range(input: &[u8]) {
    let Some(([size], hashes)) = numbers(input) else { return };
    let Ok(size) = TreeSize::new(size) else { return };

    let mut rest = &hashes[..];
    let mut levels = Vec::new();
    for (coord, width) in tile::partial_tiles(size) {
        let (row, after) = rest.split_at(rest.len().min(usize::from(width)));
        levels.resize(usize::from(coord.level), Vec::new());
        levels.push(row.to_vec());
        rest = after;
    }
    if let Ok(frontier) = Frontier::from_levels(size, levels) {
        let plan = plan_root(size);
        let peaks: Option<Vec<Hash>> =
            plan.nodes().iter().map(|node| frontier.node(*node)).collect();
        let peaks = peaks.expect("a frontier has the nodes of its root");
        assert_eq!(plan.build(&peaks), Ok(vec![frontier.root()]));
        let range = CompactRange::from_parts(size, peaks).expect("they are its hashes");
        assert_eq!(&range, frontier.compact_range());
    }
    if let Ok(mut range) = CompactRange::from_parts(size, hashes) {
        assert_eq!(plan_root(size).build(range.hashes()), Ok(vec![range.root()]));
        if let Some(index) = size.next_index() {
            let before = range.clone();
            let mut one = CompactRange::new(index);
            one.append(Hash::EMPTY_ROOT);
            range.append(Hash::EMPTY_ROOT);
            let mut merged = before;
            merged.merge(&one).expect("it starts where the other ends");
            assert_eq!(merged, range);
        }
    }
}

/// Text that may be a path.
pub(super) fn path(input: &[u8]) {
    let Ok(text) = str::from_utf8(input) else { return };
    let (tile, bundle) = (text.parse::<TilePath>(), text.parse::<BundlePath>());
    assert!(tile.is_err() || bundle.is_err(), "no path is both");
    if let Ok(path) = tile {
        assert_eq!(path.to_string(), text);
        assert_eq!(TilePath::new(path.coord(), path.width()), Ok(path));
    }
    if let Ok(path) = bundle {
        assert_eq!(path.to_string(), text);
        assert_eq!(BundlePath::new(path.index(), path.width()), Ok(path));
    }
}

/// A width, 2 bytes, then what may be a bundle or a tile of that width.
pub(super) fn bundle(input: &[u8]) {
    let Some((width, bytes)) = input.split_first_chunk::<2>() else { return };
    let width = u16::from_le_bytes(*width);
    if let Ok(entries) = bundle::decode(bytes, width) {
        assert_eq!(entries.len(), usize::from(width));
        assert_eq!(bundle::encode(entries).as_deref(), Ok(bytes));
    }
    if let Ok(row) = tile::decode(bytes, width) {
        assert_eq!(tile::encode(&row), bytes);
    }
}

/// The planner and the verifier agree on whether such a proof exists, and on how many hashes it has.
fn assert_length_decides(
    verified: &Result<(), ProofError>,
    plan: Result<Plan, ProofError>,
    proof: &[Hash],
) {
    let plan = match plan {
        Ok(plan) => plan,
        Err(error) => return assert_eq!(verified, &Err(error)),
    };
    let (found, used) = (proof.len(), plan.proof_len());
    match verified {
        Err(ProofError::MissingHashes { .. }) => assert!(found < used),
        Err(ProofError::SurplusHashes { .. }) => assert!(found > used),
        Ok(()) | Err(_) => assert_eq!(found, used),
    }
}

/// The first `N` numbers, and the hashes after them.
fn numbers<const N: usize>(input: &[u8]) -> Option<([u64; N], Vec<Hash>)> {
    let (numbers, hashes) = input.split_at_checked(8 * N)?;
    let numbers = numbers
        .as_chunks::<8>()
        .0
        .try_into()
        .map(|numbers: [[u8; 8]; N]| numbers.map(u64::from_le_bytes));
    Some((numbers.ok()?, read_hashes(hashes)))
}

fn read_hashes(bytes: &[u8]) -> Vec<Hash> {
    bytes.as_chunks::<{ Hash::LEN }>().0.iter().copied().map(Hash::from).collect()
}
