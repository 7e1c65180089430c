//! What an operator sees of the witnesses. The tasks that ask write it, each scrape reads it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use merkle::TreeSize;

use super::Witnessing;
use super::trouble::{KINDS, Trouble};

/// The kinds of trouble with a witness, as labels.
pub const TROUBLES: [&str; 11] = KINDS;

/// What is known of one address. Written by its submitter.
#[derive(Debug, Default)]
pub(super) struct PeerState {
    /// The size it cosigned last.
    cosigned_size: AtomicU64,
    cosigned: AtomicU64,
    troubles: [AtomicU64; KINDS.len()],
    /// The time of the last submission that gave a cosignature, in microseconds.
    latency_us: AtomicU64,
    /// Its submitter pauses after a failure.
    resting: AtomicBool,
    quarantined: AtomicBool,
}

impl PeerState {
    pub(super) fn cosigned(&self, size: TreeSize, took: Duration) {
        self.cosigned_size.store(size.get(), Ordering::Relaxed);
        self.cosigned.fetch_add(1, Ordering::Relaxed);
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.latency_us.store(micros, Ordering::Relaxed);
        self.quarantined.store(false, Ordering::Relaxed);
        self.resting.store(false, Ordering::SeqCst);
    }

    pub(super) fn failed(&self, trouble: &Trouble) {
        self.troubles[trouble.kind()].fetch_add(1, Ordering::Relaxed);
        self.quarantined.store(trouble.is_misbehaviour(), Ordering::Relaxed);
        self.resting.store(true, Ordering::SeqCst);
    }

    pub(super) fn is_resting(&self) -> bool {
        self.resting.load(Ordering::SeqCst)
    }
}

/// One witness of one log, at a scrape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WitnessStatus {
    /// Its name in the policy, or the first of the names at its address.
    pub name: String,
    /// The size it cosigned last; 0 before the first.
    pub cosigned_size: u64,
    /// Submissions that gave a cosignature.
    pub cosigned: u64,
    /// Submissions that gave none, by kind; see [`TROUBLES`].
    pub troubles: [u64; KINDS.len()],
    /// How long the last cosignature took.
    pub latency: Duration,
    /// Its submitter pauses after a failure.
    pub resting: bool,
    /// It contradicted the log or itself, and we do not ask it for a while.
    pub quarantined: bool,
}

/// The witnessing of one log, at a scrape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WitnessingStatus {
    /// The size of the newest head with a quorum; 0 before the first.
    pub witnessed_size: u64,
    /// The round under way takes longer than `quorum_timeout`: witnessed receipts wait.
    pub quorum_lost: bool,
    /// Too few witnesses have said what they hold: the log takes no entries yet.
    pub start_pending: bool,
    /// A witness holds a newer head of this log: the log takes no more entries.
    pub rolled_back: bool,
    /// Checkpoints published without a quorum.
    pub published_unwitnessed: u64,
    pub witnesses: Vec<WitnessStatus>,
}

impl Witnessing {
    /// Witnessed receipts are being given.
    pub(crate) fn is_fresh(&self) -> bool {
        self.gate.is_open() && !self.progress.borrow().lost
    }

    pub(crate) fn status(&self) -> WitnessingStatus {
        let progress = self.progress.borrow();
        let peers = self.policy.peers().iter().zip(&self.peers);
        let witnesses = peers.map(|(peer, state)| witness_status(&peer.name, state)).collect();
        WitnessingStatus {
            witnessed_size: progress.head.as_ref().map_or(0, |head| head.size().get()),
            quorum_lost: progress.lost,
            start_pending: self.gate.is_waiting(),
            rolled_back: !self.gate.is_open() && !self.gate.is_waiting(),
            published_unwitnessed: self.unwitnessed.load(Ordering::Relaxed),
            witnesses,
        }
    }
}

fn witness_status(name: &str, state: &PeerState) -> WitnessStatus {
    let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    WitnessStatus {
        name: name.to_owned(),
        cosigned_size: read(&state.cosigned_size),
        cosigned: read(&state.cosigned),
        troubles: std::array::from_fn(|kind| read(&state.troubles[kind])),
        latency: Duration::from_micros(read(&state.latency_us)),
        resting: state.is_resting(),
        quarantined: state.quarantined.load(Ordering::Relaxed),
    }
}
