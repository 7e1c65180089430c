//! Reads under a policy whose quorum needs witnesses.
//!
//! The receipts that a server sends along carry heads it has signed and nobody has cosigned yet. Here entries
//! come without them, up to the trusted checkpoint, which the quorum has cosigned, and are proven
//! under that.

use std::sync::Arc;

use bytes::Bytes;
use formats::VerifiedCheckpoint;
use merkle::{LeafIndex, TreeSize};

use super::{ReadError, VerifiedEntries, VerifiedLog, VerifiedRange};
use crate::{
    error::{AnswerError, ClientError},
    types::{EntryRange, RangeReceipt},
    verify,
};

impl VerifiedLog {
    /// Entries up to what the quorum has cosigned, which is asked for anew if it does not cover them.
    pub(super) async fn witnessed_entries(
        &self,
        start: LeafIndex,
        end: Option<TreeSize>,
    ) -> Result<VerifiedEntries, ReadError> {
        let wanted = end.unwrap_or_else(|| start.size_through());
        let mut under = self.trusted();
        if under.size() < wanted || end.is_none() {
            under = self.update().await?;
        }
        if !under.size().contains(start) {
            return Err(ReadError::BeyondSize { index: start, size: under.size() });
        }
        let end = end.map_or_else(|| under.size(), |end| end.min(under.size()));
        let inner = &self.inner;
        let entries = inner.client.entries(&inner.log, start, Some(end), false).await?;
        Ok(VerifiedEntries { log: self.clone(), entries, under: Some(under) })
    }

    /// Proves entries that came bare, under a checkpoint that is trusted.
    pub(super) async fn prove_range(
        &self,
        range: EntryRange,
        under: &Arc<VerifiedCheckpoint>,
    ) -> Result<VerifiedRange, ReadError> {
        let EntryRange { first, entries, receipt: _ } = range;
        let end = first.get().saturating_add(u64::try_from(entries.len()).unwrap_or(u64::MAX));
        let indexes = (first.get()..end).map(LeafIndex::new).collect::<Result<Vec<_>, _>>();
        let indexes = indexes.map_err(|_| {
            let beyond = AnswerError::OutOfRange { field: "entries", value: end };
            ClientError::BadAnswer { call: "GetEntries", source: beyond }
        })?;
        let (inner, size) = (&self.inner, under.size());
        let proof = inner.client.batch_inclusion_proof(&inner.log, &indexes, Some(size)).await?;
        let checkpoint = Bytes::copy_from_slice(under.as_bytes());
        let indexes = std::iter::once(first.get()..end).collect();
        let receipt = RangeReceipt { checkpoint, indexes, hashes: proof.hashes };
        verify::range_receipt_entries(&receipt, first, &entries, &*inner.verifier)
            .map_err(|source| ReadError::Unverified { call: "GetBatchInclusionProof", source })?;
        Ok(VerifiedRange { first, entries, checkpoint: under.as_ref().clone(), receipt })
    }
}
