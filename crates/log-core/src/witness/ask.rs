//! Asking witnesses what they hold: before a log takes entries, and where a witness surprises.
//!
//! The question is an `add-checkpoint` with the log's size-zero checkpoint, old size 0 and one junk proof
//! line. It is always safe to sign, harmless even where a witness takes it for a first contact, and a
//! witness that holds anything answers 409 with its size.
//!
//! A log takes entries once the witnesses that have not answered could not satisfy its policy by
//! themselves: any newer head that satisfied it was cosigned by one of those that did answer.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use base::tasks;
use bytes::Bytes;
use formats::{SignedCheckpoint, VerifierKey};
use futures_util::future::join_all;
use merkle::{Hash, TreeSize};
use tokio::sync::{Semaphore, oneshot};

use super::calls::Answer;
use super::pause::pause;
use super::submit::body;
use super::trouble::Trouble;
use super::{Witnessing, evidence};
use crate::error::StartError;
use crate::life::recover::empty_tree;
use crate::life::registry::Inner;
use crate::life::state::LogShared;
use crate::read::{Access, ReadError, Reads, Snapshot};
use crate::sign::keyring::LogKeys;

/// Logs whose witnesses are asked at a time.
const LOGS_AT_A_TIME: usize = 64;
/// How long a start waits for the first answers of all logs; those that are late go on beside it.
const START_WAIT: Duration = Duration::from_secs(10);

/// A checkpoint that a witness serves, beside what this log has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Elsewhere {
    /// None that this log signed, or one that this log has too.
    Known(Option<TreeSize>),
    /// Signed by this log, and larger than it ever was.
    Ahead(Bytes),
    /// Signed by this log, with another root than it has at that size.
    Fork(Bytes),
}

/// The size a witness holds of a log.
pub(super) async fn held(log: &LogShared, peer: usize) -> Result<TreeSize, Trouble> {
    let witnessing = log.witnessing.as_ref().expect("only logs with a policy have witnesses");
    let address = &witnessing.policy.peers()[peer].address;
    let question = question(log).ok_or(Trouble::SizelessConflict)?;
    match witnessing.options.calls.add_checkpoint(address, question).await? {
        Answer::Conflict { size: Some(size) } => Ok(size),
        // It held nothing, and took the question for a first contact.
        Answer::Cosigned(_) => Ok(TreeSize::ZERO),
        // It holds size zero, and says that the proof is junk; or does not compare sizes first, and then
        // what it serves says more.
        Answer::Unprocessable { .. } => match elsewhere(log, peer).await {
            Ok(Elsewhere::Known(size)) => Ok(size.unwrap_or(TreeSize::ZERO)),
            Ok(Elsewhere::Ahead(note) | Elsewhere::Fork(note)) => {
                Ok(SignedCheckpoint::parse(&note).map_or(TreeSize::ZERO, |signed| signed.size()))
            }
            // It may hold anything.
            Err(trouble) => Err(trouble),
        },
        other => Err(Trouble::of(other)),
    }
}

fn question(log: &LogShared) -> Option<Bytes> {
    let empty = empty_tree(log.record.created_ms);
    let note = log.keys.as_ref()?.sign_all(&log.record.origin, &empty).ok()?;
    let signed = SignedCheckpoint::parse(&note).ok()?;
    Some(body(TreeSize::ZERO, &[Hash::EMPTY_ROOT], &signed))
}

/// Compares the checkpoint a witness serves with the log's tree.
pub(super) async fn elsewhere(log: &LogShared, peer: usize) -> Result<Elsewhere, Trouble> {
    let witnessing = log.witnessing.as_ref().expect("only logs with a policy have witnesses");
    let address = &witnessing.policy.peers()[peer].address;
    let origin = &log.record.origin;
    let served = witnessing.options.calls.monitored_checkpoint(address, origin).await?;
    let Some(note) = served.filter(|note| is_ours(log, note)) else {
        return Ok(Elsewhere::Known(None));
    };
    let Ok(signed) = SignedCheckpoint::parse(&note) else { return Ok(Elsewhere::Known(None)) };
    let view = log.tree.load_full();
    let size = signed.size();
    if size > view.head.size {
        return Ok(Elsewhere::Ahead(note));
    }
    let snapshot = witnessing.options.reads.committed(log.record.id, view)?;
    let read = move |tree: &Snapshot, access: Access| tree.root(size, access);
    let root: Result<Hash, ReadError> = Reads::run(&snapshot, read).await;
    if root? == *signed.root() {
        return Ok(Elsewhere::Known(Some(size)));
    }
    Ok(Elsewhere::Fork(note))
}

/// Signed by this log's own key: nothing else says anything about this log.
fn is_ours(log: &LogShared, note: &[u8]) -> bool {
    let keys: Vec<VerifierKey> = log.keys.as_ref().map(LogKeys::verifier_keys).unwrap_or_default();
    let signed = SignedCheckpoint::parse(note);
    signed.is_ok_and(|signed| signed.origin() == &log.record.origin && signed.verify(&keys).is_ok())
}

/// Asks the witnesses of every log that has some. Returns once each log takes entries, was refused, or
/// waits for witnesses that do not answer; those are asked on.
///
/// # Errors
/// The first log that a witness holds a newer head of.
pub(crate) async fn ask_all(inner: &Inner) -> Result<(), StartError> {
    for name in inner.process.witness.iter().flat_map(|options| options.policies.keys()) {
        if !inner.logs().contains_key(name) {
            tracing::warn!(log = %name, "a witness policy is set for a log that does not exist yet");
        }
    }
    let places = Arc::new(Semaphore::new(LOGS_AT_A_TIME));
    let mut first_passes = Vec::new();
    for log in inner.all() {
        let waits = log.witnessing.as_ref().is_some_and(|witnessing| witnessing.gate.is_waiting());
        if waits {
            let (told, first_pass) = oneshot::channel();
            let asking = Asking::new(Arc::clone(&log));
            let body = asking.run(Arc::clone(&places), told);
            // It ends when the log takes entries, is refused or stops.
            drop(tasks::spawn_on(&log.process.runtime, "ask witnesses", body));
            first_passes.push(first_pass);
        }
    }
    let mut late = inner.process.clock.sleep(START_WAIT);
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
    log: Arc<LogShared>,
    /// Addresses that have not answered.
    unanswered: BTreeSet<usize>,
    passes: u32,
}

impl Asking {
    fn new(log: Arc<LogShared>) -> Self {
        let peers = log.witnessing.as_ref().map_or(0, |witnessing| witnessing.policy.peers().len());
        Self { log, unanswered: (0..peers).collect(), passes: 0 }
    }

    fn witnessing(&self) -> &Witnessing {
        self.log.witnessing.as_ref().expect("only logs with a policy are asked about")
    }

    async fn run(mut self, places: Arc<Semaphore>, told: oneshot::Sender<Result<(), StartError>>) {
        let stop = self.witnessing().stop.clone();
        stop.run_until_cancelled(async move {
            // The semaphore is never closed.
            let Ok(place) = places.acquire().await else { return };
            let first = self.pass().await;
            drop(place);
            let go_on = first.is_ok();
            // Whoever started the log may have stopped waiting: the log itself stays refused.
            drop(told.send(first));
            while go_on && self.witnessing().gate.is_waiting() {
                self.pause().await;
                if self.pass().await.is_err() {
                    return;
                }
            }
        })
        .await;
    }

    async fn pause(&self) {
        let settings = self.witnessing().options.settings;
        let random = getrandom::u32().unwrap_or(u32::MAX);
        let pause = pause(self.passes, settings.pause_max, None, random);
        self.log.process.clock.sleep(pause).await;
    }

    /// Asks everybody who has not answered, and opens or refuses the log if that decides it.
    async fn pass(&mut self) -> Result<(), StartError> {
        self.passes = self.passes.saturating_add(1);
        let peers: Vec<usize> = self.unanswered.iter().copied().collect();
        let answers = join_all(peers.iter().map(|&peer| standing(&self.log, peer))).await;
        for (peer, answer) in peers.into_iter().zip(answers) {
            match answer {
                Ok(()) => {
                    self.unanswered.remove(&peer);
                }
                Err(Answerless::Trouble(trouble)) => self.tell(peer, &trouble),
                Err(Answerless::Refusal(refusal)) => {
                    self.witnessing().gate.refuse();
                    tracing::error!(log = %self.log.record.name, error = %refusal, "refused");
                    return Err(*refusal);
                }
            }
        }
        self.decide();
        Ok(())
    }

    fn tell(&self, peer: usize, trouble: &Trouble) {
        let (log, witness) = (&self.log.record.name, &self.witnessing().policy.peers()[peer].name);
        if self.passes == 1 {
            tracing::warn!(%log, witness, %trouble, "a witness does not say what it holds");
        } else {
            tracing::debug!(%log, witness, %trouble, "a witness still does not say what it holds");
        }
    }

    fn decide(&self) {
        let witnessing = self.witnessing();
        let log = &self.log.record.name;
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
            if self.passes == 1 {
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

/// `Ok` where a witness says that it holds nothing newer than the log has.
async fn standing(log: &LogShared, peer: usize) -> Result<(), Answerless> {
    let witnessing = log.witnessing.as_ref().expect("only logs with a policy have witnesses");
    let witness = witnessing.policy.peers()[peer].name.clone();
    let claimed = match held(log, peer).await {
        Ok(size) => size,
        // It says that it holds nothing of this log.
        Err(Trouble::Unknown { status, said }) => {
            tracing::warn!(log = %log.record.name, witness, status, said, "a witness does not know the log");
            TreeSize::ZERO
        }
        Err(trouble) => return Err(trouble.into()),
    };
    let store = log.tree.load().head.size;
    let served = match elsewhere(log, peer).await {
        Ok(served) => served,
        // Its word stands alone, where it gave one: that it holds nothing is what a proxy in front of a
        // witness that is away says too.
        Err(_) if claimed > TreeSize::ZERO => Elsewhere::Known(None),
        Err(trouble) => return Err(trouble.into()),
    };
    let name = log.record.name.to_string();
    let evidence = async |note: &Bytes| match evidence::keep(log, &witness, note).await {
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
        Elsewhere::Known(_) => return Ok(()),
    };
    Err(Answerless::Refusal(Box::new(refusal)))
}

fn is_distrusted(witnessing: &Witnessing, peer: usize) -> bool {
    let policy = witnessing.policy.policy();
    let name = |&at: &usize| policy.witnesses()[at].name().escape_ascii().to_string();
    let mut names = witnessing.policy.peers()[peer].witnesses.iter().map(name);
    names.any(|name| witnessing.options.distrusted.contains(&name))
}
