//! The two hash functions of RFC 6962, section 2.1, one at a time and in bulk.
//!
//! One SHA-256 cannot be split over the lanes of a vector unit, but many independent ones can run side by
//! side, one a lane. With the feature `multilane` the bulk functions do that from [`LANES_PAY_FROM`]
//! messages on; without it, and below that, every hash goes through `sha2`, one after the other.

use alloc::vec::Vec;

use sha2::{Digest, Sha256};

use crate::Hash;

/// What comes before an entry, so that no entry can pose as an inner node.
const LEAF_PREFIX: u8 = 0x00;

/// What comes before the two hashes under an inner node.
const NODE_PREFIX: u8 = 0x01;

/// From how many messages on the lanes are fuller than they are costly.
#[cfg(feature = "multilane")]
const LANES_PAY_FROM: usize = 8;

/// The hash of a leaf: SHA-256(0x00 ‖ entry).
pub fn leaf_hash(entry: &[u8]) -> Hash {
    let digest = Sha256::new().chain_update([LEAF_PREFIX]).chain_update(entry).finalize();
    Hash::from(<[u8; 32]>::from(digest))
}

/// The hash of an inner node: SHA-256(0x01 ‖ left ‖ right).
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    let mut input = [NODE_PREFIX; 1 + 2 * Hash::LEN];
    input[1..=Hash::LEN].copy_from_slice(left.as_bytes());
    input[1 + Hash::LEN..].copy_from_slice(right.as_bytes());
    Hash::from(<[u8; 32]>::from(Sha256::digest(input)))
}

/// [`leaf_hash`] of each entry, in order.
pub fn leaf_hashes(entries: &[&[u8]]) -> Vec<Hash> {
    #[cfg(feature = "multilane")]
    if entries.len() >= LANES_PAY_FROM {
        return multilane::leaf_hashes(entries);
    }
    entries.iter().map(|entry| leaf_hash(entry)).collect()
}

/// [`node_hash`] of each pair of neighbours, in order: the row above `row`. A last one without a neighbour
/// moves up as it is, as the split of RFC 6962 has it.
pub fn parent_hashes(row: &[Hash]) -> Vec<Hash> {
    let (pairs, alone) = row.as_chunks::<2>();
    let mut parents = pair_hashes(pairs);
    parents.extend_from_slice(alone);
    parents
}

/// The root of the tree whose leaf hashes (or any one row of nodes) are `row`.
///
/// Costs `row.len() - 1` hashes, in bulk, and memory for half a row.
pub fn root_of(row: &[Hash]) -> Hash {
    match row {
        [] => Hash::EMPTY_ROOT,
        [root] => *root,
        _ => {
            let mut above = parent_hashes(row);
            while above.len() > 1 {
                above = parent_hashes(&above);
            }
            above[0]
        }
    }
}

fn pair_hashes(pairs: &[[Hash; 2]]) -> Vec<Hash> {
    #[cfg(feature = "multilane")]
    if pairs.len() >= LANES_PAY_FROM {
        return multilane::pair_hashes(pairs);
    }
    pairs.iter().map(|[left, right]| node_hash(left, right)).collect()
}

#[cfg(feature = "multilane")]
mod multilane {
    use alloc::{vec, vec::Vec};

    use super::{LEAF_PREFIX, NODE_PREFIX};
    use crate::Hash;

    pub(super) fn leaf_hashes(entries: &[&[u8]]) -> Vec<Hash> {
        let mut digests = vec![[0; Hash::LEN]; entries.len()];
        tape_sha256::hash_many_prefixed(&[LEAF_PREFIX], entries, &mut digests);
        digests.into_iter().map(Hash::from).collect()
    }

    pub(super) fn pair_hashes(pairs: &[[Hash; 2]]) -> Vec<Hash> {
        let lefts: Vec<&[u8]> = pairs.iter().map(|[left, _]| left.as_ref()).collect();
        let rights: Vec<&[u8]> = pairs.iter().map(|[_, right]| right.as_ref()).collect();
        let mut digests = vec![[0; Hash::LEN]; pairs.len()];
        tape_sha256::hash_pairs(&[NODE_PREFIX], &lefts, &rights, &mut digests);
        digests.into_iter().map(Hash::from).collect()
    }
}
