//! The receipt of a batch, with the leaves it is to prove.

use formats::VerifiedCheckpoint;
use merkle::{Hash, LeafIndex};

use crate::{
    types::{EntryOutcome, RangeReceipt},
    verify::{self, CheckpointVerifier, VerifyError},
};

/// What a server sent to prove the entries of one batch, beside the leaf hashes computed here. Nothing of
/// it is verified before [`BatchReceipt::verify`] or [`BatchReceipt::expand`] says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchReceipt {
    receipt: RangeReceipt,
    /// Ascending by index, each once.
    leaves: Vec<(LeafIndex, Hash)>,
}

impl BatchReceipt {
    /// Puts a receipt beside the leaves it is to prove, in any order.
    pub fn new(receipt: RangeReceipt, mut leaves: Vec<(LeafIndex, Hash)>) -> Self {
        leaves.sort_unstable();
        leaves.dedup();
        Self { receipt, leaves }
    }

    pub(crate) fn of_outcomes(
        receipt: RangeReceipt,
        outcomes: &[EntryOutcome],
        leaves: &[Hash],
    ) -> Self {
        let appended = outcomes.iter().zip(leaves).filter_map(|(outcome, leaf)| match outcome {
            EntryOutcome::Appended { index, .. } => Some((*index, *leaf)),
            EntryOutcome::Refused(_) => None,
        });
        Self::new(receipt, appended.collect())
    }

    /// The receipt as it came.
    pub fn range_receipt(&self) -> &RangeReceipt {
        &self.receipt
    }

    /// The leaves it is to prove, ascending by index.
    pub fn leaves(&self) -> &[(LeafIndex, Hash)] {
        &self.leaves
    }

    /// Verifies that the log holds every entry of the batch where the server said.
    pub fn verify(
        &self,
        trust: &impl CheckpointVerifier,
    ) -> Result<VerifiedCheckpoint, VerifyError> {
        verify::range_receipt(&self.receipt, &self.leaves, trust)
    }

    /// Verifies it, and makes of it one c2sp.org/tlog-proof for each entry, ascending by index.
    pub fn expand(
        &self,
        trust: &impl CheckpointVerifier,
    ) -> Result<Vec<(LeafIndex, Vec<u8>)>, VerifyError> {
        verify::expand_range_receipt(&self.receipt, &self.leaves, trust)
    }
}
