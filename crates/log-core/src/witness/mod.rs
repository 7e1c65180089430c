//! Witnessing: collecting the cosignatures that a log's policy asks for.
//!
//! ```text
//!                          ┌► submitter, one for each address ──┐
//! commit ──► rounds task ──┼► submitter    add-checkpoint       ├──► quorum ─► grace ─► witnessed head
//!   (wakes)  newest head,  └► submitter    proof, 409, back-off ┘               │
//!            signed                                                  publisher, waiting receipts
//! ```
//!
//! A **round** asks all witnesses to cosign one head. It ends when the witnesses that cosigned the head
//! satisfy the policy. We do not give a round up for a newer head, because then a slow witness would
//! never finish one; the next round takes the newest head of its time. Commits, signed heads and a
//! shutdown do not wait for any of this.
//!
//! We believe nothing that a witness says. A cosignature counts once it verifies under the policy's keys.
//! A size only chooses the proof that we send, and we report a size that the log never had.

mod calls;
mod policy;

mod rounds;
mod submit;

mod cosign;
mod held;
mod trouble;

mod ask;
mod clock;
mod evidence;
mod status;

pub use calls::{Answer, CallError, WitnessAddress, WitnessCalls};
pub use policy::{LogPolicy, OnQuorumLoss, PolicyRefusal};
pub use status::{TROUBLES, WitnessStatus, WitnessingStatus};

pub(super) use ask::ask_all;
pub(super) use clock::watch_clock;
pub(super) use rounds::run;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use base::backoff::Backoff;
use merkle::TreeSize;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use crate::append::Gate;
use crate::error::WitnessError;
use crate::health::Surroundings;
use crate::read::Reads;
use crate::sign::Sign;
use crate::types::{Published, SignedHead, TreeView};
use crate::watch::Watch;
use clock::Clocks;
use status::PeerState;
use storage::{LogName, LogRecord};

/// The first pause after a failure, before jitter: a witness that restarts is back soon.
const PAUSE_MIN: Duration = Duration::from_millis(100);

/// How witnesses are asked; the same for every log of a process.
#[derive(Clone, Copy, Debug)]
pub struct WitnessSettings {
    /// How long a round waits for more cosignatures once it has a quorum.
    pub grace: Duration,
    /// How long a quorum may take before it counts as lost.
    pub quorum_timeout: Duration,
    /// The least time between two rounds while no caller waits.
    pub interval_min: Duration,
    /// The longest pause after a failed submission.
    pub pause_max: Duration,
    /// How long we do not ask a witness that contradicted itself or the log.
    pub quarantine: Duration,
}

impl WitnessSettings {
    /// The pauses of a task that asks a witness again and again.
    fn backoff(&self) -> Backoff {
        Backoff::new(PAUSE_MIN, self.pause_max)
    }
}

/// What a process witnesses its logs with.
#[derive(Clone)]
pub struct WitnessOptions {
    pub policies: BTreeMap<LogName, LogPolicy>,
    pub calls: Arc<dyn WitnessCalls>,
    /// Where consistency proofs come from.
    pub reads: Arc<Reads>,
    pub settings: WitnessSettings,
    /// The folder for checkpoints that contradict the log.
    pub evidence_dir: PathBuf,
    /// Logs take entries even if too few witnesses said what they hold.
    pub accept_unwitnessed_start: bool,
    /// Names in the policies: at start we do not believe the unsigned claims of these witnesses.
    pub distrusted: BTreeSet<String>,
}

impl fmt::Debug for WitnessOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WitnessOptions")
            .field("policies", &self.policies.keys())
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

/// The witnessing of one log, as its tasks and all who wait see it. Cloning it is cheap.
pub(super) type Witnesses = Arc<Witnessing>;

/// What a log's witnessing begins with.
#[derive(Debug)]
pub(super) struct WitnessingParts {
    pub(super) options: Arc<WitnessOptions>,
    pub(super) policy: LogPolicy,
    pub(super) record: Arc<LogRecord>,
    pub(super) tree: Arc<Watch<TreeView>>,
    pub(super) sign: Sign,
    pub(super) gate: Arc<Gate>,
    /// The newest head that is known to have been witnessed.
    pub(super) head: Option<Arc<SignedHead>>,
    pub(super) around: Arc<Surroundings>,
}

#[derive(Debug)]
pub(super) struct Witnessing {
    options: Arc<WitnessOptions>,
    policy: LogPolicy,
    record: Arc<LogRecord>,
    /// The committed tree.
    tree: Arc<Watch<TreeView>>,
    sign: Sign,
    /// Whether the log may take entries yet.
    gate: Arc<Gate>,
    around: Arc<Surroundings>,
    /// Written by the rounds task.
    progress: watch::Sender<Progress>,
    /// What is known of each address of the policy. Each is written by its submitter.
    peers: Vec<PeerState>,
    /// Each is written by whoever has verified a cosignature.
    clocks: Clocks,
    wake: Notify,
    /// Callers that wait for a witnessed head now.
    waiters: AtomicUsize,
    /// Checkpoints published without a quorum.
    unwitnessed: AtomicU64,
    /// Ends the tasks.
    stop: CancellationToken,
}

/// How far witnessing has come.
#[derive(Clone, Debug, Default)]
pub(super) struct Progress {
    /// The newest head with a quorum of cosignatures.
    head: Option<Arc<SignedHead>>,
    /// When the round under way began, by the monotonic clock.
    since: Option<Duration>,
    /// The round under way takes longer than a quorum may.
    lost: bool,
}

impl Progress {
    fn covers(&self, size: TreeSize) -> Option<&Arc<SignedHead>> {
        self.head.as_ref().filter(|head| head.size() >= size)
    }
}

impl Witnessing {
    /// Who witnesses, as the operator wrote it.
    pub(crate) fn policy(&self) -> &formats::Policy {
        self.policy.policy()
    }

    pub(super) fn new(parts: WitnessingParts) -> Self {
        let WitnessingParts { options, policy, record, tree, sign, gate, head, around } = parts;
        let peers = policy.peers().iter().map(|_| PeerState::default()).collect();
        let progress = watch::Sender::new(Progress { head, since: None, lost: false });
        Self {
            options,
            policy,
            record,
            tree,
            sign,
            gate,
            around,
            progress,
            peers,
            clocks: Clocks::default(),
            wake: Notify::new(),
            waiters: AtomicUsize::new(0),
            unwitnessed: AtomicU64::new(0),
            stop: CancellationToken::new(),
        }
    }

    /// Somebody waits, or the log may take entries now.
    fn wake(&self) {
        self.wake.notify_one();
    }

    /// Ends the tasks, and refuses those who wait.
    pub(super) fn stop(&self) {
        self.stop.cancel();
    }

    pub(super) fn quorum_timeout(&self) -> Duration {
        self.options.settings.quorum_timeout
    }

    /// Whoever waits for this hears of every head that is witnessed, and of a quorum that is lost.
    pub(super) fn follow(&self) -> watch::Receiver<Progress> {
        self.progress.subscribe()
    }

    /// The newest witnessed head.
    fn head(&self) -> Option<Arc<SignedHead>> {
        self.progress.borrow().head.clone()
    }

    /// Waits for a witnessed head of at least `size`.
    pub(super) async fn covering(&self, size: TreeSize) -> Result<Arc<SignedHead>, WitnessError> {
        let mut progress = self.progress.subscribe();
        let _waiting = Waiting::new(self);
        let falls_back = self.policy.on_quorum_loss() == OnQuorumLoss::PublishUnwitnessed;
        let reached = progress
            .wait_for(|progress| progress.covers(size).is_some() || (progress.lost && falls_back));
        let reached = self.stop.run_until_cancelled(reached).await;
        let reached = reached.ok_or(WitnessError::ShuttingDown)?;
        let reached = reached.map_err(|_| WitnessError::ShuttingDown)?;
        reached.covers(size).cloned().ok_or(WitnessError::QuorumLost)
    }

    /// Waits until the witnesses form a quorum, or the log stops.
    pub(super) async fn quorum_found(&self) {
        let mut progress = self.progress.subscribe();
        let found = progress.wait_for(|progress| !progress.lost);
        // Either way there is nothing more to wait for.
        drop(self.stop.run_until_cancelled(found).await);
    }

    /// The witnessed head to publish next, if it is newer than what is published.
    pub(super) fn newer(&self, published: &Published) -> Option<Arc<SignedHead>> {
        self.head().filter(|head| {
            let (witnessed, size) = (head.size(), published.head.size);
            witnessed > size || (witnessed == size && !published.witnessed)
        })
    }

    /// Whether a head may be published without a quorum. The empty tree may: no other head contradicts it.
    /// For any other tree the operator must have chosen so.
    pub(super) fn allows_unwitnessed(&self, size: TreeSize) -> bool {
        let falls_back = self.policy.on_quorum_loss() == OnQuorumLoss::PublishUnwitnessed;
        size == TreeSize::ZERO || (falls_back && self.progress.borrow().lost)
    }

    /// Whether the publisher has something to do.
    pub(super) fn is_ahead(&self, published: &Published, committed: TreeSize) -> bool {
        let behind = published.note.is_empty() || published.head.size < committed;
        self.newer(published).is_some() || (behind && self.allows_unwitnessed(committed))
    }

    /// A checkpoint was published without a quorum.
    pub(super) fn published_unwitnessed(&self) {
        self.unwitnessed.fetch_add(1, Ordering::Relaxed);
    }

    fn somebody_waits(&self) -> bool {
        self.waiters.load(Ordering::SeqCst) > 0
    }
}

/// Counts one caller while it waits.
struct Waiting<'a>(&'a Witnessing);

impl<'a> Waiting<'a> {
    fn new(witnessing: &'a Witnessing) -> Self {
        witnessing.waiters.fetch_add(1, Ordering::SeqCst);
        witnessing.wake();
        Self(witnessing)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiters.fetch_sub(1, Ordering::SeqCst);
    }
}
