//! The tree mathematics of a transparency log: pure functions over bytes, no I/O, no clock, no
//! `unsafe`.
//!
//! The tree is the Merkle tree of [RFC 6962, section 2.1]: SHA-256, leaves hashed with a `0x00`
//! prefix, inner nodes with `0x01`, and a tree of `n` leaves split at the largest power of two
//! below `n`.
//!
//! Read the modules in this order:
//!
//! 1. [`types`](LeafIndex): what a hash, an index, a size, a node and a subtree are, checked once.
//! 2. [`hash`](leaf_hash): the two hash functions, one at a time and in bulk.
//! 3. [`compact`](CompactRange): the few hashes that stand for a whole range of leaves.
//! 4. [`tile`] and [`bundle`]: how c2sp.org/tlog-tiles cuts the tree and the entries into files.
//! 5. [`frontier`](Frontier): the partial tiles at the right edge of a growing tree.
//! 6. [`proof`]: planning, building and verifying every proof.
//!
//! ```
//! use merkle::{CompactRange, LeafIndex, leaf_hash, plan_inclusion, verify_inclusion};
//!
//! let leaves = [leaf_hash(b"a"), leaf_hash(b"b")];
//! let mut tree = CompactRange::empty();
//! leaves.iter().for_each(|leaf| tree.append(*leaf));
//!
//! let index = LeafIndex::new(0)?;
//! let plan = plan_inclusion(index, tree.end())?;
//! assert_eq!(plan.nodes().len(), 1); // the caller fetches these nodes: here, the other leaf
//! let proof = plan.build(&leaves[1..])?;
//! verify_inclusion(&leaves[0], index, tree.end(), &proof, &tree.root())?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! [RFC 6962, section 2.1]: https://www.rfc-editor.org/rfc/rfc6962.html#section-2.1
#![cfg_attr(not(feature = "std"), no_std)]
#![warn(missing_docs)]

extern crate alloc;

mod types;

mod hash;

mod compact;

pub mod tile;

pub mod bundle;

mod frontier;

pub mod proof;

pub use compact::{CompactRange, RangeError};
pub use frontier::{Frontier, FrontierError, FullTile};
pub use hash::{leaf_hash, leaf_hashes, node_hash, parent_hashes, root_of};
pub use proof::{
    Plan, ProofError, expand, plan_batch_inclusion, plan_consistency, plan_inclusion, plan_prefix,
    plan_root, plan_subtree_consistency, plan_subtree_inclusion, prefix_from_consistency,
    prefix_from_inclusion, prefix_root, root_from_inclusion, verify_batch_inclusion,
    verify_consistency, verify_inclusion, verify_subtree_consistency, verify_subtree_inclusion,
};
pub use types::{Hash, HashError, LeafIndex, NodeId, OutOfRange, Subtree, SubtreeError, TreeSize};
