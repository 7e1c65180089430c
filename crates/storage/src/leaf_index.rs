//! The leaf-hash index: where a leaf hash stands in a log.

use merkle::{Hash, LeafIndex, TreeSize};

use super::{LogId, StorageError};

/// What the index says of a leaf hash, at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeafCandidates {
    /// The leaves below this size were in the index.
    pub indexed_to: TreeSize,
    /// Indexes whose leaf hash may be the one asked for, ascending.
    pub indexes: Vec<LeafIndex>,
}

/// An index from leaf hashes to leaf indexes, for each log of a store.
///
/// **It is derived.** A follower writes it from the committed entries, behind them and without a sync. A
/// crash leaves the index of an earlier moment: it ends lower than it did, and below that end it is
/// whole. Losing all of it loses nothing but the time to write it again.
///
/// **Concurrency.** All of it may run beside commits and from any thread, but one caller a log writes at
/// a time. Blocking, as [`Engine`](super::Engine).
pub trait LeafIndexStore: Send + Sync + 'static {
    /// Adds leaf hashes, from index `from` on, and moves [`Self::leaf_indexed_to`] to their end if that
    /// is beyond it. `from` is not beyond it. Writing the same hashes again changes nothing.
    fn leaf_index_put(
        &self,
        log: LogId,
        from: LeafIndex,
        leaves: &[Hash],
    ) -> Result<(), StorageError>;

    /// Indexes whose leaf hash may be `leaf`, at most `limit`, and how far the index reached when they
    /// were read. Rows hold 16 bytes of the hash: the caller confirms each candidate against the stored
    /// leaf hash.
    fn leaf_index_get(
        &self,
        log: LogId,
        leaf: &Hash,
        limit: usize,
    ) -> Result<LeafCandidates, StorageError>;

    /// The leaves below this size are in the index.
    fn leaf_indexed_to(&self, log: LogId) -> Result<TreeSize, StorageError>;

    /// Empties the index of a log. Readers see the index before or after this, and nothing between.
    fn leaf_index_forget(&self, log: LogId) -> Result<(), StorageError>;
}
