//! Receipts of many entries at once.

use formats::{TlogProof, VerifiedCheckpoint};
use merkle::{Hash, LeafIndex};

use super::{CheckpointVerifier, VerifyError};
use crate::types::RangeReceipt;

/// Verifies that these leaves, ascending by index and each once, are what the receipt proves: all of
/// them, and nothing else. Costs the checkpoint's signatures, and less than two hashes a leaf.
pub fn range_receipt(
    receipt: &RangeReceipt,
    leaves: &[(LeafIndex, Hash)],
    trust: &impl CheckpointVerifier,
) -> Result<VerifiedCheckpoint, VerifyError> {
    same_indexes(receipt, leaves)?;
    let verified = trust.verify_note(&receipt.checkpoint)?;
    merkle::verify_batch_inclusion(leaves, verified.size(), &receipt.hashes, verified.root())?;
    Ok(verified)
}

/// As [`range_receipt`], for consecutive entries from `first` on.
pub fn range_receipt_entries<E: AsRef<[u8]>>(
    receipt: &RangeReceipt,
    first: LeafIndex,
    entries: &[E],
    trust: &impl CheckpointVerifier,
) -> Result<VerifiedCheckpoint, VerifyError> {
    range_receipt(receipt, &consecutive(first, entries)?, trust)
}

/// Verifies a receipt of many entries, and makes of it the bytes of one c2sp.org/tlog-proof for each
/// leaf, in the leaves' order: what would have come had each been asked for alone.
pub fn expand_range_receipt(
    receipt: &RangeReceipt,
    leaves: &[(LeafIndex, Hash)],
    trust: &impl CheckpointVerifier,
) -> Result<Vec<(LeafIndex, Vec<u8>)>, VerifyError> {
    same_indexes(receipt, leaves)?;
    let verified = trust.verify_note(&receipt.checkpoint)?;
    let proofs = merkle::expand(leaves, verified.size(), &receipt.hashes, verified.root())?;
    leaves
        .iter()
        .zip(proofs)
        .map(|((index, _), hashes)| {
            let proof = TlogProof::new(*index, hashes, verified.signed().clone())
                .map_err(VerifyError::Receipt)?;
            Ok((*index, proof.format()))
        })
        .collect()
}

/// The leaves of consecutive entries.
pub(crate) fn consecutive<E: AsRef<[u8]>>(
    first: LeafIndex,
    entries: &[E],
) -> Result<Vec<(LeafIndex, Hash)>, VerifyError> {
    let data: Vec<&[u8]> = entries.iter().map(AsRef::as_ref).collect();
    (first.get()..)
        .zip(merkle::leaf_hashes(&data))
        .map(|(index, leaf)| {
            let other = || VerifyError::OtherIndexes { entries: entries.len() };
            Ok((LeafIndex::new(index).map_err(|_| other())?, leaf))
        })
        .collect()
}

fn same_indexes(receipt: &RangeReceipt, leaves: &[(LeafIndex, Hash)]) -> Result<(), VerifyError> {
    let entries = leaves.len();
    let proven = receipt.indexes.iter().cloned().flatten();
    // The count first: a range may claim more indexes than it would be wise to walk.
    let as_many = u64::try_from(entries).is_ok_and(|entries| entries == receipt.entries());
    if as_many && proven.eq(leaves.iter().map(|(index, _)| index.get())) {
        return Ok(());
    }
    Err(VerifyError::OtherIndexes { entries })
}
