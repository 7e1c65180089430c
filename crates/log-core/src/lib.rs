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
//! **The commit point** is the synced write in `append::committer`. Before it nothing exists;
//! after it the entries do, whatever fails next.
//!
//! **Signing** happens on demand, on the journal thread: it signs the newest committed head of every
//! log somebody waits for, writes all records, syncs once and then releases the heads.
//!
//! # Rooms
//!
//! Each folder is a room: it owns its state and gives others a handle. A room uses only the rooms named
//! in its row; a test compares this table with the code.
//!
//! | room | what it decides | handle | uses |
//! |---|---|---|---|
//! | `append` | what is committed, and in which order | `Append` | – |
//! | `erase` | what is erased, and when it has left the files | [`erase::Erasing`] | `append` |
//! | `sign` | what is signed and journaled | `Sign` | – |
//! | `read` | what is served, and whether it is what was signed | [`read::Reads`] | – |
//! | `witness` | which heads are witnessed; whether a log may append | `Witnesses` | `append` `read` `sign` |
//! | `publish` | which checkpoint everybody sees | `Publish` | `append` `sign` `witness` |
//! | `follow` | what is derived from the logs, behind their appends | – | `read` |
//! | `life` | how logs start, are created and end; connects the others | [`Registry`] | all |
//!
//! All of them use what stands beside them: types, errors, the generic inbox and watch, the news of which
//! logs grew, and the health of the process, which is the only state they share.

mod error;
mod types;

mod append;

pub mod erase;

mod sign;

pub mod read;

pub mod witness;

mod publish;

pub mod follow;

mod life;

mod growth;
mod health;
mod inbox;
mod watch;

pub mod invariants;
pub mod observe;

#[cfg(any(test, feature = "testing"))]
pub mod testing;

pub use append::ProducerLease;
pub use error::{
    AppendError, CreateError, Damage, EntryRefusal, EraseError, Fatal, FreezeError, SignError,
    StartError, WitnessError,
};
pub use health::OnFatal;
pub use life::{Registry, RegistryOptions, WeakRegistry};
pub use sign::{KeyringError, LogKeys};
pub use types::{
    CALL_BYTES_MAX, CALL_ENTRIES_MAX, Committed, CommittedLeaves, CreateLog, DEDUP_KEY_BYTES_MAX,
    ENTRY_BYTES_MAX, EntryOutcome, Limits, NewEntry, NewLeaf, Once, ProducerSpan, Published,
    Repeats, SignedHead, StampedLeaf, Submission, TreeView,
};

use std::sync::Arc;

use base::secret::Secret;
use formats::{Origin, VerifierKey};
use merkle::TreeSize;
use storage::{Engine, LogId, LogName, LogRecord, LogState, ProducerId};
use tokio::sync::watch::Receiver;

use erase::Erasing;
use life::Rooms;
use witness::WitnessingStatus;

/// A handle to one log. Cloning it is cheap.
#[derive(Clone, Debug)]
pub struct Log {
    rooms: Arc<Rooms>,
}

impl Log {
    pub fn id(&self) -> LogId {
        self.rooms.append.record().id
    }

    pub fn name(&self) -> &LogName {
        &self.rooms.append.record().name
    }

    pub fn origin(&self) -> &Origin {
        &self.rooms.append.record().origin
    }

    /// The log's row, with the state of this moment.
    pub fn record(&self) -> LogRecord {
        LogRecord { state: self.state(), ..LogRecord::clone(self.rooms.append.record()) }
    }

    pub fn state(&self) -> LogState {
        self.rooms.append.state()
    }

    /// Nothing is written or signed in this process.
    pub fn is_read_only(&self) -> bool {
        self.rooms.append.is_read_only()
    }

    /// The keys that verify this log's checkpoints, Ed25519 first. Empty if the server is read-only and
    /// has no keys.
    pub fn vkeys(&self) -> Vec<VerifierKey> {
        self.rooms.sign.verifier_keys()
    }

    /// Entries and entry bytes that wait for a commit.
    pub fn queued(&self) -> (usize, usize) {
        self.rooms.append.queued()
    }

    /// The store, for reading.
    pub fn engine(&self) -> &Arc<dyn Engine> {
        &self.rooms.engine
    }

    /// Appends a call's entries, all in one commit, and waits until it is durable.
    ///
    /// Dropping the future before the call is drained from the queue drops the call; after that it is
    /// committed. Cost: one leaf hash an entry in the caller's task, and a share of one sync.
    pub async fn append(&self, submission: Submission) -> Result<Committed, AppendError> {
        self.rooms.append.append(submission).await
    }

    /// The secret of an audit log, with which its caller makes the keys and digests of events. `None` of
    /// a plain log, and where the secret is missing or another one is there.
    pub fn secret(&self) -> Option<&Secret> {
        self.rooms.append.secret()
    }

    /// Appends the leaves of audit events, all in one commit, and waits until it is durable. The log
    /// writes into each leaf the time at which it takes it, which never decreases along the log.
    ///
    /// Cost: one leaf hash a leaf on the committer's thread, because the time is known only there.
    pub async fn append_stamped(
        &self,
        leaves: Vec<NewLeaf>,
    ) -> Result<CommittedLeaves, AppendError> {
        self.rooms.append.append_stamped(leaves).await
    }

    /// Begins to erase what lies beside entries: waits for its turn, and looks at what is there. Nothing
    /// is erased before [`Erasing::commit`], which appends the leaf of an event that states it.
    pub async fn erase(&self, targets: erase::Targets) -> Result<Erasing, EraseError> {
        self.rooms.eraser.begin(targets).await
    }

    /// The committed tree.
    pub fn tree(&self) -> Arc<TreeView> {
        self.rooms.append.tree().load_full()
    }

    /// Hears of every commit of this log from here on; several may arrive as one.
    pub fn news(&self) -> Receiver<()> {
        self.rooms.append.tree().follow()
    }

    /// The newest head that is signed and journaled.
    pub fn signed(&self) -> Arc<SignedHead> {
        self.rooms.sign.signed()
    }

    /// Waits for a signed and journaled head of at least `size`. Cost: a share of one signature and
    /// one sync of the journal.
    pub async fn sign_covering(&self, size: TreeSize) -> Result<Arc<SignedHead>, SignError> {
        self.rooms.sign.covering(size).await
    }

    /// The newest published checkpoint.
    pub fn published(&self) -> Arc<Published> {
        self.rooms.publish.published()
    }

    /// Follows the published checkpoints; slow readers skip some.
    pub fn watch_published(&self) -> Receiver<Arc<Published>> {
        self.rooms.publish.follow()
    }

    /// Waits for a checkpoint of at least `size` that satisfies the log's witness policy: the log's own
    /// signatures, then the cosignatures. Waits without end while the witnesses form no quorum, unless the
    /// log is set to go on without: then it fails at once.
    pub async fn witnessed_covering(
        &self,
        size: TreeSize,
    ) -> Result<Arc<SignedHead>, WitnessError> {
        let witnesses = self.rooms.witnesses.as_ref().ok_or(WitnessError::NoWitnessPolicy)?;
        witnesses.covering(size).await
    }

    /// Waits until the witnesses form a quorum again, where they do not; returns at once without a policy.
    pub async fn quorum_found(&self) {
        if let Some(witnesses) = &self.rooms.witnesses {
            witnesses.quorum_found().await;
        }
    }

    /// Whether witnessed heads can be waited for.
    pub fn has_witness_policy(&self) -> bool {
        self.rooms.witnesses.is_some()
    }

    /// Who witnesses this log, as its operator wrote it; `None` if nobody does.
    pub fn policy(&self) -> Option<&formats::Policy> {
        self.rooms.witnesses.as_ref().map(|witnesses| witnesses.policy())
    }

    /// How witnessing stands; `None` without a policy.
    pub fn witnessing(&self) -> Option<WitnessingStatus> {
        self.rooms.witnesses.as_ref().map(|witnesses| witnesses.status())
    }

    /// Refuses further appends, commits what is queued, publishes and archives the final checkpoint,
    /// and freezes the log for good. Doing it again gives the same checkpoint.
    pub async fn freeze(&self) -> Result<Arc<Published>, FreezeError> {
        self.rooms.publish.freeze(&self.rooms.append).await
    }

    /// Opens a producer's stream, which fences any stream opened before with the same id. The lease
    /// knows the last committed sequence; nothing of an earlier stream is committed after this.
    pub async fn open_producer(&self, id: ProducerId) -> Result<ProducerLease, AppendError> {
        self.rooms.append.open_producer(id).await
    }
}

#[cfg(test)]
mod tests;
