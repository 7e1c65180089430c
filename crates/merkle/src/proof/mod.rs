//! Proofs: planned and built by whoever holds the tree, verified by anyone.
//!
//! | proof | says | functions |
//! |---|---|---|
//! | inclusion | this leaf is at this index | [`plan_inclusion`], [`verify_inclusion`] |
//! | consistency | that tree grew out of this one | [`plan_consistency`], [`verify_consistency`] |
//! | batch inclusion | all these leaves are there | [`plan_batch_inclusion`], [`expand`] |
//! | subtree inclusion | this leaf is in that part | [`plan_subtree_inclusion`] |
//! | subtree consistency | this part is in that tree | [`plan_subtree_consistency`] |
//! | prefix | that tree had this root at that size | [`plan_prefix`], [`prefix_root`] |
//!
//! A [`Plan`] names the nodes to fetch, the caller fetches them from wherever they lie, and
//! [`Plan::build`] folds them into the proof. Verifiers are total: any input gives `Ok` or a
//! [`ProofError`], and a proof with one hash too many is as wrong as one with a flipped bit.
//!
//! There is little code here because one proof is enough. A subtree consistency proof for a single
//! leaf is an inclusion proof, and for `[0, m)` a consistency proof (section 4.4.1 of
//! draft-ietf-plants-merkle-tree-certs-03), so all but batch and prefix proofs share one planner
//! and one verifier.

mod plan;

mod verify;

mod batch;

mod prefix;

pub use batch::{expand, plan_batch_inclusion, verify_batch_inclusion};
pub use plan::{
    Plan, plan_consistency, plan_inclusion, plan_root, plan_subtree_consistency,
    plan_subtree_inclusion,
};
pub use prefix::{plan_prefix, prefix_from_consistency, prefix_from_inclusion, prefix_root};
pub use verify::{
    root_from_inclusion, verify_consistency, verify_inclusion, verify_subtree_consistency,
    verify_subtree_inclusion,
};

use crate::{Hash, LeafIndex, Subtree, TreeSize};

/// Why a proof cannot exist, cannot be built, or does not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// The tree is too small to have this leaf.
    #[error("leaf index {index} is not below the tree size {size}")]
    IndexBeyondSize {
        /// The leaf asked for.
        index: LeafIndex,
        /// The size of the tree.
        size: TreeSize,
    },
    /// The leaf lies outside the subtree.
    #[error("leaf index {index} is not in the subtree {subtree}")]
    IndexOutsideSubtree {
        /// The leaf asked for.
        index: LeafIndex,
        /// The subtree it should be in.
        subtree: Subtree,
    },
    /// The subtree, or the older tree `[0, m)`, reaches beyond the tree.
    #[error("{subtree} is not within a tree of size {size}")]
    BeyondSize {
        /// The smaller part.
        subtree: Subtree,
        /// The size of the tree.
        size: TreeSize,
    },
    /// A batch proof is about at least one leaf.
    #[error("a batch proof needs at least one leaf")]
    NoLeaves,
    /// The leaves of a batch must be in ascending order, each once.
    #[error(
        "leaf {position} of the batch, at index {index}, does not come after the one before it"
    )]
    LeavesNotAscending {
        /// Its position in the batch, from 0.
        position: usize,
        /// Its index in the tree.
        index: LeafIndex,
    },
    /// The proof ends before the root is reached.
    #[error("the proof has {found} hashes, too few for these indexes and sizes")]
    MissingHashes {
        /// How many hashes the proof has.
        found: usize,
    },
    /// The proof goes on after the root is reached.
    #[error("the proof has {found} hashes, and only {used} belong to it")]
    SurplusHashes {
        /// How many hashes the proof has.
        found: usize,
        /// How many a proof for these indexes and sizes has.
        used: usize,
    },
    /// The proof leads to another root.
    #[error("the proof leads to the root {computed}, not {expected}")]
    RootMismatch {
        /// The root to be proved.
        expected: Hash,
        /// The root that follows from the proof.
        computed: Hash,
    },
    /// The proof leads to another hash of the subtree, or to another root of the older tree.
    #[error("the proof leads to the hash {computed} for the older or smaller tree, not {expected}")]
    SubtreeMismatch {
        /// The hash to be proved.
        expected: Hash,
        /// The hash that follows from the proof.
        computed: Hash,
    },
    /// [`Plan::build`] got another number of hashes than the plan has nodes.
    #[error("the plan names {expected} nodes, {found} were fetched")]
    FetchCount {
        /// Nodes in the plan.
        expected: usize,
        /// Hashes given.
        found: usize,
    },
}
