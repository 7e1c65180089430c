//! Asking witnesses what they hold: before a log takes entries, and when an answer contradicts the log.
//!
//! The question is an `add-checkpoint` with the log's size-zero checkpoint, old size 0 and one junk proof
//! line. That checkpoint is always safe to sign, and does no harm if the witness takes the question for a
//! first contact. A witness that holds anything answers 409 with its size.
//!
//! A log takes entries once the witnesses that have not answered cannot satisfy its policy by themselves.
//! If a newer head had satisfied the policy, one of the witnesses that did answer would have cosigned it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use formats::SignedCheckpoint;
use futures_util::future::join_all;
use merkle::{Hash, TreeSize};
use tokio::sync::{Semaphore, oneshot};

use super::calls::Answer;
use super::submit::body;
use super::trouble::Trouble;
use super::{Witnesses, Witnessing, clock, evidence};
use crate::error::StartError;
use crate::read::{Access, ReadError, Reads, Snapshot};
use crate::types::TreeView;
use base::backoff::Backoff;
use base::clock::Clock;

/// How many logs ask their witnesses at the same time.
const LOGS_AT_A_TIME: usize = 64;
/// How long a start waits for the first answers. Logs that have none by then go on asking.
const START_WAIT: Duration = Duration::from_secs(10);

/// The checkpoint that a witness serves, compared with this log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Elsewhere {
    /// The witness serves no checkpoint of this log, or one that the log has too.
    Known(Option<TreeSize>),
    /// Signed by this log, and larger than it ever was.
    Ahead(Bytes),
    /// Signed by this log, with another root than it has at that size.
    Fork(Bytes),
}

/// The size a witness holds of a log.
pub(super) async fn held(witnessing: &Witnessing, peer: usize) -> Result<TreeSize, Trouble> {
    let address = &witnessing.policy.peers()[peer].address;
    let question = question(witnessing).ok_or(Trouble::SizelessConflict)?;
    match witnessing.options.calls.add_checkpoint(address, question).await? {
        Answer::Conflict { size: Some(size) } => Ok(size),
        // The witness held nothing, and took the question for a first contact.
        Answer::Cosigned(_) => Ok(TreeSize::ZERO),
        // The witness holds size zero and refuses the junk proof, or it checks the proof before it
        // compares sizes. What it serves tells which.
        Answer::Unprocessable { .. } => match elsewhere(witnessing, peer).await {
            Ok(Elsewhere::Known(size)) => Ok(size.unwrap_or(TreeSize::ZERO)),
            Ok(Elsewhere::Ahead(note) | Elsewhere::Fork(note)) => {
                Ok(SignedCheckpoint::parse(&note).map_or(TreeSize::ZERO, |signed| signed.size()))
            }
            // The witness may hold anything.
            Err(trouble) => Err(trouble),
        },
        other => Err(Trouble::of(other)),
    }
}

fn question(witnessing: &Witnessing) -> Option<Bytes> {
    let empty = TreeView::empty(witnessing.record.created_ms);
    let note = witnessing.sign.seal().sign_all(&empty).ok()?;
    let signed = SignedCheckpoint::parse(&note).ok()?;
    Some(body(TreeSize::ZERO, &[Hash::EMPTY_ROOT], &signed))
}

/// Compares the checkpoint a witness serves with the log's tree.
pub(super) async fn elsewhere(witnessing: &Witnessing, peer: usize) -> Result<Elsewhere, Trouble> {
    let address = &witnessing.policy.peers()[peer].address;
    let origin = &witnessing.record.origin;
    let served = witnessing.options.calls.monitored_checkpoint(address, origin).await?;
    let Some(note) = served.filter(|note| is_ours(witnessing, note)) else {
        return Ok(Elsewhere::Known(None));
    };
    let Ok(signed) = SignedCheckpoint::parse(&note) else { return Ok(Elsewhere::Known(None)) };
    let view = witnessing.tree.load_full();
    let size = signed.size();
    if size > view.head.size {
        return Ok(Elsewhere::Ahead(note));
    }
    let snapshot = witnessing.options.reads.committed(witnessing.record.id, view)?;
    let read = move |tree: &Snapshot, access: Access| tree.root(size, access);
    let root: Result<Hash, ReadError> = Reads::run(&snapshot, read).await;
    if root? == *signed.root() {
        return Ok(Elsewhere::Known(Some(size)));
    }
    Ok(Elsewhere::Fork(note))
}

/// Whether this log's own key signed the note. Any other note says nothing about this log.
fn is_ours(witnessing: &Witnessing, note: &[u8]) -> bool {
    let (keys, origin) = (witnessing.sign.verifier_keys(), &witnessing.record.origin);
    let signed = SignedCheckpoint::parse(note);
    signed.is_ok_and(|signed| signed.origin() == origin && signed.verify(&keys).is_ok())
}

/// Asks the witnesses of all these logs. Returns once each log takes entries, was refused, or waits for
/// witnesses that do not answer; the log then goes on asking those.
///
/// # Errors
/// For the first log of which a witness holds a newer head.
pub(crate) async fn ask_all(logs: Vec<Witnesses>, clock: &dyn Clock) -> Result<(), StartError> {
    let places = Arc::new(Semaphore::new(LOGS_AT_A_TIME));
    let mut first_passes = Vec::new();
    for witnessing in logs.into_iter().filter(|witnessing| witnessing.gate.is_waiting()) {
        let (told, first_pass) = oneshot::channel();
        let supervisor = witnessing.around.supervisor.clone();
        let (places, mut told) = (Arc::clone(&places), Some(told));
        let ask =
            move || Asking::new(Arc::clone(&witnessing)).run(Arc::clone(&places), told.take());
        // It ends when the log takes entries, is refused or stops.
        drop(supervisor.helper("ask witnesses", ask));
        first_passes.push(first_pass);
    }
    let mut late = clock.sleep(START_WAIT);
    for first_pass in first_passes {
        tokio::select! {
            // An error means that the log stops.
            passed = first_pass => passed.unwrap_or(Ok(()))?,
            () = &mut late => return Ok(()),
        }
    }
    Ok(())
}

/// The questions of one log.
struct Asking {
    witnessing: Witnesses,
    /// Addresses that have not answered.
    unanswered: BTreeSet<usize>,
    /// Counts the passes that left somebody unanswered.
    backoff: Backoff,
}

impl Asking {
    fn new(witnessing: Witnesses) -> Self {
        let peers = witnessing.policy.peers().len();
        let backoff = witnessing.options.settings.backoff();
        Self { witnessing, unanswered: (0..peers).collect(), backoff }
    }

    /// `told` hears of the first pass; `None` after a panic.
    async fn run(
        mut self,
        places: Arc<Semaphore>,
        told: Option<oneshot::Sender<Result<(), StartError>>>,
    ) {
        let stop = self.witnessing.stop.clone();
        stop.run_until_cancelled(async move {
            // The semaphore is never closed.
            let Ok(place) = places.acquire().await else { return };
            let first = self.pass().await;
            drop(place);
            let go_on = first.is_ok();
            // A send fails if the start no longer waits. The log stays refused all the same.
            drop(told.map(|told| told.send(first)));
            while go_on && self.witnessing.gate.is_waiting() {
                self.pause().await;
                if self.pass().await.is_err() {
                    return;
                }
            }
        })
        .await;
    }

    async fn pause(&mut self) {
        let random = getrandom::u32().unwrap_or(u32::MAX);
        let pause = self.backoff.failed_jittered(None, random);
        self.witnessing.around.clock.sleep(pause).await;
    }

    /// Asks the witnesses that have not answered. Their answers may open or refuse the log.
    async fn pass(&mut self) -> Result<(), StartError> {
        let peers: Vec<usize> = self.unanswered.iter().copied().collect();
        let answers = join_all(peers.iter().map(|&peer| standing(&self.witnessing, peer))).await;
        let mut holders = Vec::new();
        for (peer, answer) in peers.into_iter().zip(answers) {
            match answer {
                Ok(held) => {
                    self.unanswered.remove(&peer);
                    holders.push((peer, held));
                }
                Err(Answerless::Trouble(trouble)) => self.tell(peer, &trouble),
                Err(Answerless::Refusal(refusal)) => {
                    self.witnessing.gate.refuse();
                    tracing::error!(log = %self.witnessing.record.name, error = %refusal, "refused");
                    return Err(*refusal);
                }
            }
        }
        // Before an entry is taken, which states the time.
        clock::ask(&self.witnessing, &holders).await;
        self.decide();
        Ok(())
    }

    fn tell(&self, peer: usize, trouble: &Trouble) {
        let (log, witness) =
            (&self.witnessing.record.name, &self.witnessing.policy.peers()[peer].name);
        if self.backoff.failures() == 0 {
            tracing::warn!(%log, witness, %trouble, "a witness does not say what it holds");
        } else {
            tracing::debug!(%log, witness, %trouble, "a witness still does not say what it holds");
        }
    }

    fn decide(&self) {
        let witnessing = &self.witnessing;
        let log = &self.witnessing.record.name;
        let unanswered = |witness: usize| {
            let asked_at =
                |&peer: &usize| witnessing.policy.peers()[peer].witnesses.contains(&witness);
            self.unanswered.iter().any(asked_at)
        };
        let policy = &witnessing.policy;
        let decided = policy.policy().needs_no_witness() || !policy.is_quorum(unanswered);
        if decided {
            tracing::info!(%log, "the witnesses hold nothing newer: entries are taken");
        } else if witnessing.options.accept_unwitnessed_start {
            tracing::error!(%log, "entries are taken though too few witnesses answered");
        } else {
            if self.backoff.failures() == 0 {
                tracing::error!(
                    %log,
                    "too few witnesses say what they hold, so a rollback cannot be ruled out: no \
                     entries are taken until they do; bring them back, or start with \
                     --accept-unwitnessed-start"
                );
            }
            return;
        }
        witnessing.gate.pass();
        witnessing.wake();
    }
}

enum Answerless {
    Trouble(Trouble),
    Refusal(Box<StartError>),
}

impl From<Trouble> for Answerless {
    fn from(trouble: Trouble) -> Self {
        Self::Trouble(trouble)
    }
}

/// The size that a witness holds, where that is nothing newer than the log has.
async fn standing(witnessing: &Witnessing, peer: usize) -> Result<TreeSize, Answerless> {
    let witness = witnessing.policy.peers()[peer].name.clone();
    let claimed = match held(witnessing, peer).await {
        Ok(size) => size,
        // The witness says that it holds nothing of this log.
        Err(Trouble::Unknown { status, said }) => {
            tracing::warn!(log = %witnessing.record.name, witness, status, said, "a witness does not know the log");
            TreeSize::ZERO
        }
        Err(trouble) => return Err(trouble.into()),
    };
    let store = witnessing.tree.load().head.size;
    let served = match elsewhere(witnessing, peer).await {
        Ok(served) => served,
        // A size that the witness claimed counts without its checkpoint. "Nothing" does not: a proxy in
        // front of a witness that is away says the same.
        Err(_) if claimed > TreeSize::ZERO => Elsewhere::Known(None),
        Err(trouble) => return Err(trouble.into()),
    };
    let name = witnessing.record.name.to_string();
    let evidence = async |note: &Bytes| match evidence::keep(witnessing, &witness, note).await {
        Ok(path) => path.display().to_string(),
        Err(error) => format!("which could not be written ({error})"),
    };
    let refusal = match served {
        Elsewhere::Ahead(note) => {
            let signed = SignedCheckpoint::parse(&note).map_or(claimed, |signed| signed.size());
            let evidence = evidence(&note).await;
            StartError::WitnessAhead { log: name, witness, signed, store, evidence }
        }
        Elsewhere::Fork(note) => {
            let evidence = evidence(&note).await;
            StartError::WitnessFork { log: name, witness, evidence }
        }
        Elsewhere::Known(_) if claimed > store && !is_distrusted(witnessing, peer) => {
            StartError::WitnessClaims { log: name, witness, claimed, store }
        }
        Elsewhere::Known(_) => return Ok(claimed),
    };
    Err(Answerless::Refusal(Box::new(refusal)))
}

fn is_distrusted(witnessing: &Witnessing, peer: usize) -> bool {
    let policy = witnessing.policy.policy();
    let name = |&at: &usize| policy.witnesses()[at].name().escape_ascii().to_string();
    let mut names = witnessing.policy.peers()[peer].witnesses.iter().map(name);
    names.any(|name| witnessing.options.distrusted.contains(&name))
}
