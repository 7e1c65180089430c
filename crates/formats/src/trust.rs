//! Whom a verifier believes: keys of logs, or a policy with a quorum of witnesses.

use alloc::vec::Vec;

use crate::checkpoint::{CheckpointError, SignedCheckpoint, VerifiedCheckpoint};
use crate::key::VerifierKey;
use crate::policy::{Policy, QuorumError};

/// Whom a verifier believes.
#[derive(Debug, Clone)]
pub enum Trust {
    /// A checkpoint holds if a key of its log, whose name is the origin, is among these and has
    /// signed.
    Keys(Vec<VerifierKey>),
    /// A checkpoint holds if a log of the policy and its quorum of witnesses have signed.
    Policy(Policy),
}

/// Why a checkpoint is not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TrustError {
    /// Its syntax or its signatures.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// Its log signed, and too few witnesses cosigned.
    #[error(transparent)]
    Quorum(#[from] QuorumError),
}

impl Trust {
    /// Whether a log's own signature is not enough: a policy whose quorum needs witnesses.
    pub fn needs_witnesses(&self) -> bool {
        match self {
            Self::Keys(_) => false,
            Self::Policy(policy) => !policy.needs_no_witness(),
        }
    }

    /// Verifies a checkpoint. Costs one signature verification for each signature of a known key.
    pub fn verify(&self, signed: &SignedCheckpoint) -> Result<VerifiedCheckpoint, TrustError> {
        match self {
            Self::Keys(keys) => Ok(signed.verify(keys)?),
            Self::Policy(policy) => policy.verify(signed),
        }
    }
}
