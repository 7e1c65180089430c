//! Verifies the receipts in the answers, as a client that trusts no server would.

use std::sync::Arc;

use log_client::verify::{self, VerifiedCheckpoints};
use log_proto::log_v1::{AppendResponse, Receipt};
use merkle::{Hash, LeafIndex};

/// Whether a worker verifies receipts, and under which keys.
#[derive(Clone, Debug)]
pub(crate) struct Verifier {
    remembered: Arc<VerifiedCheckpoints>,
    verify: bool,
    pub(crate) wanted: Receipt,
}

impl Verifier {
    pub(crate) fn new(remembered: Arc<VerifiedCheckpoints>, verify: bool, wanted: Receipt) -> Self {
        Self { remembered, verify, wanted }
    }

    /// Checks that the level was reached and, if asked for, that the receipt proves `leaf`.
    pub(crate) fn append(
        &self,
        answer: &AppendResponse,
        leaf: impl FnOnce() -> Hash,
    ) -> Result<(), String> {
        self.reached(answer.receipt_reached())?;
        if !self.verify {
            return Ok(());
        }
        let index = LeafIndex::new(answer.leaf_index).map_err(|error| error.to_string())?;
        verify::receipt_at(&answer.tlog_proof, &leaf(), index, &*self.remembered)
            .map(|_| ())
            .map_err(|error| base::error::chain(&error))
    }

    /// Checks that the level was reached and, if asked for, that the receipt proves these leaves.
    pub(crate) fn batch(
        &self,
        reached: Receipt,
        receipt: Option<log_proto::log_v1::RangeReceipt>,
        leaves: impl FnOnce() -> Vec<(LeafIndex, Hash)>,
    ) -> Result<(), String> {
        self.reached(reached)?;
        if !self.verify {
            return Ok(());
        }
        let receipt = receipt.ok_or_else(|| "the answer carries no receipt".to_owned())?;
        let receipt = range_receipt(receipt)?;
        verify::range_receipt(&receipt, &leaves(), &*self.remembered)
            .map(|_| ())
            .map_err(|error| base::error::chain(&error))
    }

    /// A receipt of a lower level than asked for does not count as a success of this run.
    pub(crate) fn reached(&self, reached: Receipt) -> Result<(), String> {
        if i32::from(reached) >= i32::from(self.wanted) {
            return Ok(());
        }
        let (reached, wanted) = (reached.as_str_name(), self.wanted.as_str_name());
        Err(format!("{reached} was reached where {wanted} was asked for"))
    }
}

fn range_receipt(
    receipt: log_proto::log_v1::RangeReceipt,
) -> Result<log_client::RangeReceipt, String> {
    let (hashes, rest) = receipt.hashes.as_chunks::<{ Hash::LEN }>();
    if !rest.is_empty() {
        return Err("the receipt's hashes are cut short".to_owned());
    }
    Ok(log_client::RangeReceipt {
        checkpoint: receipt.checkpoint,
        indexes: receipt.indexes.iter().map(|range| range.start..range.end).collect(),
        hashes: hashes.iter().map(|hash| Hash::from(*hash)).collect(),
    })
}
