//! Verification: plain functions over bytes, without a server, a clock or a runtime.
//!
//! Each takes what came from outside as bytes, and whom to believe as a [`CheckpointVerifier`]: a
//! [`Trust`] of keys or a policy, or [`VerifiedCheckpoints`], which does not verify the signatures of a
//! checkpoint it has seen before. Nothing a server says is taken on its word but what a signature covers.
//!
//! ```
//! use formats::{Checkpoint, KeyName, Origin, PrivateKey, SignedCheckpoint, Timestamp, TlogProof, Trust};
//! use log_client::verify;
//! use merkle::{LeafIndex, TreeSize, leaf_hash};
//!
//! # let name = KeyName::new("example.org/log")?;
//! let key = PrivateKey::ed25519(name.clone(), &[7; 32]);
//! // A log of one entry, its checkpoint and its receipt:
//! let entry = b"user 17 logged in";
//! let head = Checkpoint::new(Origin::from(name), TreeSize::new(1)?, leaf_hash(entry));
//! let note = formats::sign(&head, &[&key], Timestamp::ZERO)?;
//! let receipt =
//!     TlogProof::new(LeafIndex::new(0)?, vec![], SignedCheckpoint::parse(&note)?)?.format();
//!
//! // What an auditor does with the file, the entry and the log's public key:
//! let trust = Trust::Keys(vec![key.verifier_key().clone()]);
//! let verified = verify::receipt(&receipt, entry, &trust)?;
//! assert_eq!(verified.index().get(), 0);
//! assert!(verify::receipt(&receipt, b"user 18 logged in", &trust).is_err());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod range;
mod remember;

use formats::{
    CheckpointError, SignedCheckpoint, TlogProof, Trust, TrustError, VerifiedCheckpoint,
    VerifiedReceipt,
};
use merkle::{Hash, LeafIndex};

pub use self::{
    range::{expand_range_receipt, range_receipt, range_receipt_entries},
    remember::VerifiedCheckpoints,
};
use crate::types::{BatchInclusionProof, InclusionProof};

/// Why something does not verify.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// The bytes are no checkpoint.
    #[error("checkpoint is malformed")]
    MalformedCheckpoint(#[source] CheckpointError),
    /// The bytes are no proof file.
    #[error("receipt is malformed")]
    MalformedReceipt(#[source] formats::ProofError),
    /// The checkpoint is well-formed, and nobody trusted signed it.
    #[error("checkpoint is not trusted")]
    Trust(#[source] TrustError),
    /// The receipt is well-formed and does not hold.
    #[error("receipt does not hold")]
    Receipt(#[source] formats::ProofError),
    /// The hashes do not lead from the leaves, or the older tree, to the signed root.
    #[error("proof does not hold")]
    Proof(#[from] merkle::ProofError),
    /// The receipt proves other indexes than those of the entries.
    #[error("receipt proves other indexes than those of the {entries} entries")]
    OtherIndexes {
        /// How many entries it was to prove.
        entries: usize,
    },
    /// The proof is about another index than the one asked for.
    #[error("proof is about index {found}, not {expected}")]
    OtherIndex {
        /// The index asked for.
        expected: LeafIndex,
        /// The index it is about.
        found: LeafIndex,
    },
    /// The two checkpoints are of different logs.
    #[error("checkpoints are of two logs: {from} and {to}")]
    OtherLog {
        /// The origin of the older one.
        from: formats::Origin,
        /// The origin of the newer one.
        to: formats::Origin,
    },
    /// The proof is for a tree of another size than the checkpoint's.
    #[error("proof is for a tree of size {found}, the checkpoint for one of {expected}")]
    OtherSize {
        /// The checkpoint's size.
        expected: merkle::TreeSize,
        /// The proof's size.
        found: merkle::TreeSize,
    },
    /// The leaf hash that came with the proof is not that of the entry.
    #[error("leaf hash in the answer is not that of the entry at index {index}")]
    OtherLeaf {
        /// Where the entry should be.
        index: LeafIndex,
    },
}

impl VerifyError {
    /// Whether the input could not be read at all, as opposed to read and found not to hold.
    pub fn is_malformed(&self) -> bool {
        match self {
            Self::MalformedCheckpoint(_) | Self::MalformedReceipt(_) => true,
            Self::Trust(_)
            | Self::Receipt(_)
            | Self::Proof(_)
            | Self::OtherIndexes { .. }
            | Self::OtherIndex { .. }
            | Self::OtherLog { .. }
            | Self::OtherSize { .. }
            | Self::OtherLeaf { .. } => false,
        }
    }
}

/// Who says whether a checkpoint is to be believed.
pub trait CheckpointVerifier {
    /// Verifies the signatures of a checkpoint.
    fn verify_signed(&self, signed: &SignedCheckpoint) -> Result<VerifiedCheckpoint, VerifyError>;

    /// Verifies the bytes of a checkpoint.
    fn verify_note(&self, note: &[u8]) -> Result<VerifiedCheckpoint, VerifyError> {
        let signed = SignedCheckpoint::parse(note).map_err(VerifyError::MalformedCheckpoint)?;
        self.verify_signed(&signed)
    }
}

impl CheckpointVerifier for Trust {
    fn verify_signed(&self, signed: &SignedCheckpoint) -> Result<VerifiedCheckpoint, VerifyError> {
        self.verify(signed).map_err(VerifyError::Trust)
    }
}

/// Verifies that a signed checkpoint is one to believe.
pub fn checkpoint(
    note: &[u8],
    trust: &impl CheckpointVerifier,
) -> Result<VerifiedCheckpoint, VerifyError> {
    trust.verify_note(note)
}

/// Verifies the bytes of a c2sp.org/tlog-proof for an entry. Costs the checkpoint's signatures, and one
/// hash for each level of the tree.
pub fn receipt(
    proof: &[u8],
    entry: &[u8],
    trust: &impl CheckpointVerifier,
) -> Result<VerifiedReceipt, VerifyError> {
    receipt_of_leaf(proof, &merkle::leaf_hash(entry), trust)
}

/// As [`receipt`], for who holds the leaf hash and not the entry.
pub fn receipt_of_leaf(
    proof: &[u8],
    leaf: &Hash,
    trust: &impl CheckpointVerifier,
) -> Result<VerifiedReceipt, VerifyError> {
    let proof = TlogProof::parse(proof).map_err(VerifyError::MalformedReceipt)?;
    let verified = trust.verify_signed(proof.checkpoint())?;
    proof.verify_under(leaf, &verified).map_err(VerifyError::Receipt)
}

/// As [`receipt`], and the entry must stand at this index: for the answer to an append.
pub fn receipt_at(
    proof: &[u8],
    leaf: &Hash,
    index: LeafIndex,
    trust: &impl CheckpointVerifier,
) -> Result<VerifiedReceipt, VerifyError> {
    let verified = receipt_of_leaf(proof, leaf, trust)?;
    same_index(index, verified.index())?;
    Ok(verified)
}

/// Verifies that the log of `to` continues that of `from`: every entry is still there, unchanged.
pub fn consistency(
    from: &VerifiedCheckpoint,
    to: &VerifiedCheckpoint,
    proof: &[Hash],
) -> Result<(), VerifyError> {
    if from.origin() != to.origin() {
        let (from, to) = (from.origin().clone(), to.origin().clone());
        return Err(VerifyError::OtherLog { from, to });
    }
    merkle::verify_consistency(from.size(), to.size(), from.root(), to.root(), proof)?;
    Ok(())
}

/// Verifies an inclusion proof for this entry under a checkpoint.
pub fn inclusion(
    proof: &InclusionProof,
    entry: &[u8],
    under: &VerifiedCheckpoint,
) -> Result<(), VerifyError> {
    if merkle::leaf_hash(entry) != proof.leaf_hash {
        return Err(VerifyError::OtherLeaf { index: proof.index });
    }
    same_size(under, proof.tree_size)?;
    let (index, size) = (proof.index, proof.tree_size);
    merkle::verify_inclusion(&proof.leaf_hash, index, size, &proof.hashes, under.root())?;
    Ok(())
}

/// Verifies a batch inclusion proof under a checkpoint: that these entries stand at these indexes,
/// ascending and each once.
pub fn batch_inclusion(
    proof: &BatchInclusionProof,
    entries: &[(LeafIndex, &[u8])],
    under: &VerifiedCheckpoint,
) -> Result<(), VerifyError> {
    same_size(under, proof.tree_size)?;
    let data: Vec<&[u8]> = entries.iter().map(|(_, entry)| *entry).collect();
    let indexes = entries.iter().map(|(index, _)| *index);
    let leaves: Vec<(LeafIndex, Hash)> = indexes.zip(merkle::leaf_hashes(&data)).collect();
    merkle::verify_batch_inclusion(&leaves, proof.tree_size, &proof.hashes, under.root())?;
    Ok(())
}

fn same_index(expected: LeafIndex, found: LeafIndex) -> Result<(), VerifyError> {
    if expected == found { Ok(()) } else { Err(VerifyError::OtherIndex { expected, found }) }
}

fn same_size(under: &VerifiedCheckpoint, found: merkle::TreeSize) -> Result<(), VerifyError> {
    let expected = under.size();
    if expected == found { Ok(()) } else { Err(VerifyError::OtherSize { expected, found }) }
}
