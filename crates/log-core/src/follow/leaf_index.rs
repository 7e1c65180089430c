//! The follower that fills the leaf-hash index.
//!
//! Look-ups scan what is not indexed yet, so the index may lag, and is written without a sync.

use std::fmt;
use std::sync::Arc;

use base::tasks::blocking;
use merkle::TreeSize;
use storage::IndexedEngine;

use super::{FollowError, Follower, Step};
use crate::Log;

/// Writes the leaf-hash index of a store.
pub struct LeafIndexer {
    engine: Arc<dyn IndexedEngine>,
}

impl fmt::Debug for LeafIndexer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LeafIndexer").finish_non_exhaustive()
    }
}

impl LeafIndexer {
    /// Writes to the index beside `engine`.
    pub fn new(engine: Arc<dyn IndexedEngine>) -> Self {
        Self { engine }
    }
}

impl Follower for LeafIndexer {
    fn name(&self) -> &'static str {
        "leaf_index"
    }

    async fn cursor(&self, log: &Log) -> Result<TreeSize, FollowError> {
        let (engine, log) = (Arc::clone(&self.engine), log.id());
        Ok(blocking(move || engine.leaf_indexed_to(log)).await?)
    }

    async fn apply(&self, step: Step) -> Result<TreeSize, FollowError> {
        let engine = Arc::clone(&self.engine);
        let apply = move || {
            engine.leaf_index_put(step.log().id(), step.start(), &step.leaves()?)?;
            Ok(step.end())
        };
        blocking(apply).await
    }

    async fn reset(&self, log: &Log) -> Result<(), FollowError> {
        let (engine, log) = (Arc::clone(&self.engine), log.id());
        Ok(blocking(move || engine.leaf_index_forget(log)).await?)
    }
}
