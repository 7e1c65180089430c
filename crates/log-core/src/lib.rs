//! One log, or many: the only code that writes to the store.
//!
//! ```text
//! call ──► admission ──► queue ──► committer thread ───────────────────────► answer
//! (any     limits, leaf  bounded   drain ► resolve ► plan ► one synced write    │
//!  task)   hash                    (all logs that have calls waiting)           ▼
//!                                                            journal thread: sign ► record ► fdatasync
//!                                                                               ▼
//!                                                            publisher task, one for each log
//! ```
//!
//! **Threads.** Draining, resolving, planning and writing happen on one operating-system thread for all
//! logs, the committer: a lone caller pays two thread switches and one sync, an idle log costs some
//! memory and no task. Nothing is planned while a write is in flight, so the planned and the committed
//! state are the same value whenever a plan starts, and a plan whose commit fails is simply dropped.
//! What could overlap with a sync, the hashing of leaves and the decoding of requests, is already done
//! in the callers' tasks.
//!
//! **The commit point** is the synced write in `committer::commit`. Before it nothing exists;
//! after it the entries do, whatever fails next.
//!
//! **Signing** happens on demand, on the journal thread: it signs the newest committed head of every
//! log somebody waits for, writes all records, syncs once and then releases the heads.

mod error;
mod types;

mod append;
mod sign;

mod publish;
pub mod witness;

mod life;

pub mod read;

pub mod follow;

mod doorbell;
pub mod invariants;
pub mod observe;
mod progress;

pub use append::producers::ProducerLease;
pub use error::{
    AppendError, CreateError, Damage, EntryRefusal, Fatal, FreezeError, SignError, StartError,
    WitnessError,
};
pub use life::registry::{Registry, RegistryOptions, WeakRegistry};
pub use life::state::OnFatal;
pub use sign::keyring::{KeyringError, LogKeys};
pub use types::{
    CALL_BYTES_MAX, CALL_ENTRIES_MAX, Committed, CreateLog, DEDUP_KEY_BYTES_MAX, ENTRY_BYTES_MAX,
    EntryOutcome, Limits, NewEntry, ProducerSpan, Published, SignedHead, Submission, TreeView,
};

use std::sync::Arc;

use formats::{Origin, VerifierKey};
use merkle::TreeSize;
use tokio::sync::watch;

use append::{admission, producers};
use life::state::LogShared;
use publish::publisher;
use sign::signing;
use storage::{Engine, LogId, LogName, LogRecord, LogState, ProducerId};
use witness::WitnessingStatus;

/// A handle to one log. Cloning it is cheap.
#[derive(Clone, Debug)]
pub struct Log {
    shared: Arc<LogShared>,
}

impl Log {
    pub fn id(&self) -> LogId {
        self.shared.record.id
    }

    pub fn name(&self) -> &LogName {
        &self.shared.record.name
    }

    pub fn origin(&self) -> &Origin {
        &self.shared.record.origin
    }

    /// The log's row, with the state of this moment.
    pub fn record(&self) -> LogRecord {
        LogRecord { state: self.state(), ..self.shared.record.clone() }
    }

    pub fn state(&self) -> LogState {
        self.shared.state()
    }

    /// Nothing is written or signed in this process.
    pub fn is_read_only(&self) -> bool {
        self.shared.process.read_only
    }

    /// The keys that verify this log's checkpoints, Ed25519 first. Empty if the server is read-only and
    /// has no keys.
    pub fn vkeys(&self) -> Vec<VerifierKey> {
        self.shared.keys.as_ref().map(LogKeys::verifier_keys).unwrap_or_default()
    }

    /// Entries and entry bytes that wait for a commit.
    pub fn queued(&self) -> (usize, usize) {
        self.shared.queue.depth()
    }

    /// The store, for reading.
    pub fn engine(&self) -> &Arc<dyn Engine> {
        &self.shared.process.engine
    }

    /// Appends a call's entries, all in one commit, and waits until it is durable.
    ///
    /// Dropping the future before the call is drained from the queue drops the call; after that it is
    /// committed. Cost: one leaf hash an entry in the caller's task, and a share of one sync.
    pub async fn append(&self, submission: Submission) -> Result<Committed, AppendError> {
        admission::append(&self.shared, submission).await
    }

    /// The committed tree.
    pub fn tree(&self) -> Arc<TreeView> {
        self.shared.tree.load_full()
    }

    /// The newest head that is signed and journaled.
    pub fn signed(&self) -> Arc<SignedHead> {
        self.shared.signed.load_full()
    }

    /// Waits for a signed and journaled head of at least `size`. Cost: a share of one signature and
    /// one sync of the journal.
    pub async fn sign_covering(&self, size: TreeSize) -> Result<Arc<SignedHead>, SignError> {
        signing::sign_covering(&self.shared, size).await
    }

    /// The newest published checkpoint.
    pub fn published(&self) -> Arc<Published> {
        Arc::clone(&self.shared.published.borrow())
    }

    /// Follows the published checkpoints; slow readers skip some.
    pub fn watch_published(&self) -> watch::Receiver<Arc<Published>> {
        self.shared.published.subscribe()
    }

    /// Waits for a checkpoint of at least `size` that satisfies the log's witness policy: the log's own
    /// signatures, then the cosignatures. Waits without end while the witnesses form no quorum, unless the
    /// log is set to go on without: then it fails at once.
    pub async fn witnessed_covering(
        &self,
        size: TreeSize,
    ) -> Result<Arc<SignedHead>, WitnessError> {
        let witnessing = self.shared.witnessing.as_ref().ok_or(WitnessError::NoWitnessPolicy)?;
        witnessing.covering(size).await
    }

    /// Waits until the witnesses form a quorum again, where they do not; returns at once without a policy.
    pub async fn quorum_found(&self) {
        if let Some(witnessing) = &self.shared.witnessing {
            witnessing.quorum_found().await;
        }
    }

    /// Whether witnessed heads can be waited for.
    pub fn has_witness_policy(&self) -> bool {
        self.shared.witnessing.is_some()
    }

    /// How witnessing stands; `None` without a policy.
    pub fn witnessing(&self) -> Option<WitnessingStatus> {
        self.shared.witnessing.as_ref().map(witness::Witnessing::status)
    }

    /// Refuses further appends, commits what is queued, publishes and archives the final checkpoint,
    /// and freezes the log for good. Doing it again gives the same checkpoint.
    pub async fn freeze(&self) -> Result<Arc<Published>, FreezeError> {
        publisher::freeze(&self.shared).await
    }

    /// Opens a producer's stream, which fences any stream opened before with the same id. The lease
    /// knows the last committed sequence; nothing of an earlier stream is committed after this.
    pub async fn open_producer(&self, id: ProducerId) -> Result<ProducerLease, AppendError> {
        producers::open(&self.shared, id).await
    }
}

#[cfg(test)]
mod tests;
