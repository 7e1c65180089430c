//! Submitting to one witness: one task for each address of a log's policy.
//!
//! The task works on the newest target. It sends each request once and pauses after every failure, so no
//! answer can make it loop.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use base::backoff::Backoff;
use base::clock::Clock as _;
use bytes::Bytes;
use formats::{AddCheckpoint, SignedCheckpoint};
use merkle::{Hash, TreeSize};
use tokio::sync::{mpsc, watch};

use super::ask::{self, Elsewhere};
use super::calls::Answer;
use super::clock;
use super::cosign::{Cosignature, cosignatures};
use super::held::{Claim, Held, judge};
use super::policy::Peer;
use super::rounds::Target;
use super::status::PeerState;
use super::trouble::{BadAnswer, Trouble};
use super::{WitnessOptions, Witnesses, Witnessing, evidence};
use crate::read::{Access, Reads, Snapshot};
use crate::types::TreeView;

/// Submissions of one head in a row, each with a proof from the size that the witness named last. Others
/// may submit heads of this log too, but a witness that names another size every time is wrong.
const SUBMISSIONS_MAX: usize = 3;
/// The largest body, in bytes, that every deployed witness takes. Where the body would be larger, we send
/// only the first signature.
const BODY_BYTES_MAX: usize = 10 * 1024;

/// What became of one target at one witness.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) peer: usize,
    pub(super) round: u64,
    pub(super) result: Result,
}

#[derive(Debug)]
pub(super) enum Result {
    /// By the witness's position in the policy.
    Cosigned(BTreeMap<usize, Cosignature>),
    /// No cosignature. The submitter pauses and tries again.
    Failed,
    /// The witness holds a newer head, which this log has too.
    Superseded,
}

/// The state of one submitter. Nobody else writes it.
pub(super) struct Submitter {
    witnessing: Witnesses,
    peer: usize,
    targets: watch::Receiver<Option<Arc<Target>>>,
    reports: mpsc::Sender<Report>,
    held: Held,
    backoff: Backoff,
    /// Targets in a row for which the witness claimed to hold a newer head.
    superseded: usize,
}

impl Submitter {
    pub(super) fn new(
        witnessing: Witnesses,
        peer: usize,
        targets: watch::Receiver<Option<Arc<Target>>>,
        reports: mpsc::Sender<Report>,
    ) -> Self {
        let held = cosigned_before(&witnessing, peer).map_or(Held::Unknown, Held::Cosigned);
        let backoff = witnessing.options.settings.backoff();
        Self { witnessing, peer, targets, reports, held, backoff, superseded: 0 }
    }

    fn options(&self) -> &WitnessOptions {
        &self.witnessing.options
    }

    fn policy_peer(&self) -> &Peer {
        &self.witnessing.policy.peers()[self.peer]
    }

    fn state(&self) -> &PeerState {
        &self.witnessing.peers[self.peer]
    }

    /// The task's body; ends when the log's rounds do.
    pub(super) async fn run(mut self) {
        while self.targets.changed().await.is_ok() {
            while let Some(pause) = self.turn().await {
                self.witnessing.around.clock.sleep(pause).await;
            }
        }
    }

    /// Submits the newest target. After trouble, gives the pause before the next attempt.
    async fn turn(&mut self) -> Option<Duration> {
        let target = self.targets.borrow_and_update().clone()?;
        let started = self.witnessing.around.clock.monotonic();
        let (result, pause) = match self.submit(&target).await {
            Ok(result) => {
                let took = self.witnessing.around.clock.monotonic().saturating_sub(started);
                if matches!(result, Result::Cosigned(_)) {
                    self.succeeded(&target, took);
                }
                (result, None)
            }
            Err(trouble) => (Result::Failed, Some(self.failed(&trouble).await)),
        };
        // An error means that the rounds have ended, and this task with them.
        drop(self.reports.send(Report { peer: self.peer, round: target.round, result }).await);
        pause
    }

    async fn submit(&mut self, target: &Target) -> std::result::Result<Result, Trouble> {
        if self.held == Held::Unknown {
            let claimed = ask::held(&self.witnessing, self.peer).await?;
            self.claimed(claimed, None)?;
        }
        for _ in 0..SUBMISSIONS_MAX {
            let old = match self.held {
                Held::Unknown => TreeSize::ZERO,
                Held::Claimed(size) | Held::Cosigned(size) => size,
            };
            if old > target.size() {
                return self.beyond();
            }
            match self.call(old, target).await? {
                Answer::Cosigned(answer) => {
                    let cosigned = self.verified(target, &answer)?;
                    self.held = Held::Cosigned(target.size());
                    clock::heard(&self.witnessing, &cosigned);
                    return Ok(Result::Cosigned(cosigned));
                }
                Answer::Conflict { size: Some(claimed) } => self.claimed(claimed, Some(old))?,
                other => return Err(Trouble::of(other)),
            }
        }
        Err(Trouble::Contradiction)
    }

    /// Somebody else may have submitted a newer head. We do not believe a witness that says so every time.
    fn beyond(&mut self) -> std::result::Result<Result, Trouble> {
        self.superseded += 1;
        if self.superseded > SUBMISSIONS_MAX {
            return Err(Trouble::Contradiction);
        }
        Ok(Result::Superseded)
    }

    async fn call(&self, old: TreeSize, target: &Target) -> std::result::Result<Answer, Trouble> {
        let proof = proof(&self.witnessing, old, target.size(), &target.view).await?;
        let body = body(old, &proof, &target.signed);
        Ok(self.options().calls.add_checkpoint(&self.policy_peer().address, body).await?)
    }

    fn verified(
        &self,
        target: &Target,
        answer: &[u8],
    ) -> std::result::Result<BTreeMap<usize, Cosignature>, BadAnswer> {
        let policy = self.witnessing.policy.policy();
        cosignatures(&target.signed, policy, &self.policy_peer().witnesses, answer)
    }

    /// Takes the size that a witness names, if the size can be true.
    fn claimed(
        &mut self,
        claimed: TreeSize,
        sent: Option<TreeSize>,
    ) -> std::result::Result<(), Trouble> {
        let committed = self.witnessing.tree.load().head.size;
        let verdict = match sent {
            Some(sent) => judge(self.held, sent, claimed, committed),
            None if claimed > committed => Claim::Ahead,
            None => Claim::From(claimed),
        };
        match verdict {
            Claim::From(size) => {
                self.held = Held::Claimed(size);
                Ok(())
            }
            Claim::Ahead => {
                self.held = Held::Unknown;
                Err(Trouble::Ahead { claimed, committed })
            }
            Claim::Shrunk { from } => {
                self.held = Held::Claimed(claimed);
                Err(Trouble::Shrunk { from, to: claimed })
            }
            Claim::Contradiction => Err(Trouble::Contradiction),
        }
    }

    fn succeeded(&mut self, target: &Target, took: Duration) {
        self.superseded = 0;
        if self.backoff.failures() > 0 {
            self.backoff.reset();
            let (log, witness) = (&self.witnessing.record.name, &self.policy_peer().name);
            tracing::info!(%log, witness, "a witness cosigns again");
        }
        self.state().cosigned(target.size(), took);
    }

    /// Reports trouble and says how long to pause.
    async fn failed(&mut self, trouble: &Trouble) -> Duration {
        let random = getrandom::u32().unwrap_or(u32::MAX);
        let pause = self.backoff.failed_jittered(trouble.retry_after(), random);
        self.state().failed(trouble);
        self.tell(trouble);
        if forgets(trouble) {
            self.held = Held::Unknown;
        }
        if matches!(trouble, Trouble::Ahead { .. }) {
            self.look_for_evidence().await;
        }
        let quarantine = self.options().settings.quarantine;
        if trouble.is_misbehaviour() { pause.max(quarantine) } else { pause }
    }

    /// Logs misbehaviour every time, and other trouble when it begins.
    fn tell(&self, trouble: &Trouble) {
        let (log, witness) = (&self.witnessing.record.name, &self.policy_peer().name);
        if trouble.is_misbehaviour() {
            tracing::error!(%log, witness, %trouble, "a witness misbehaves and is left alone");
        } else if self.backoff.failures() == 1 {
            tracing::warn!(%log, witness, %trouble, "a witness does not cosign");
        } else {
            tracing::debug!(%log, witness, %trouble, "a witness still does not cosign");
        }
    }

    /// A witness that claims too large a size may hold a checkpoint that this log's key signed elsewhere.
    /// If it does, the log takes no more entries.
    async fn look_for_evidence(&self) {
        let (log, witness) = (&self.witnessing.record.name, &self.policy_peer().name);
        match ask::elsewhere(&self.witnessing, self.peer).await {
            Ok(Elsewhere::Ahead(note) | Elsewhere::Fork(note)) => {
                self.witnessing.gate.refuse();
                let file = evidence::keep(&self.witnessing, witness, &note).await;
                let file = file.map(|file| file.display().to_string());
                tracing::error!(
                    %log, witness, evidence = ?file.ok(),
                    "a witness holds a checkpoint signed by this log that this log does not have: \
                     it takes no more entries; retire it, or bring the newer data back"
                );
            }
            Ok(Elsewhere::Known(_)) | Err(_) => {}
        }
    }
}

/// Whether our idea of what the witness holds may be wrong, so that we ask before the next submission.
fn forgets(trouble: &Trouble) -> bool {
    matches!(
        trouble,
        Trouble::Unprocessable { .. } | Trouble::SizelessConflict | Trouble::Contradiction
    )
}

/// The proof that the tree of size `old` is the beginning of the tree `view`, of size `size`.
pub(super) async fn proof(
    witnessing: &Witnessing,
    old: TreeSize,
    size: TreeSize,
    view: &Arc<TreeView>,
) -> std::result::Result<Vec<Hash>, Trouble> {
    if old == TreeSize::ZERO || old == size {
        return Ok(Vec::new());
    }
    let snapshot = witnessing.options.reads.committed(witnessing.record.id, Arc::clone(view))?;
    let read = move |tree: &Snapshot, access: Access| tree.consistency(old, size, access);
    Ok(Reads::run(&snapshot, read).await?)
}

/// The body of a submission, no larger than every witness takes.
pub(super) fn body(old: TreeSize, proof: &[Hash], signed: &SignedCheckpoint) -> Bytes {
    let of = |signed: SignedCheckpoint| {
        let request = AddCheckpoint::new(old, proof.to_vec(), signed);
        Bytes::from(request.expect("a proof of a tree below 2^63 leaves is short enough").format())
    };
    let whole = of(signed.clone());
    if whole.len() <= BODY_BYTES_MAX { whole } else { of(first_signature_alone(signed)) }
}

/// The checkpoint with the log's Ed25519 signature, which stands first.
fn first_signature_alone(signed: &SignedCheckpoint) -> SignedCheckpoint {
    let others: usize = signed.signatures().skip(1).map(|signature| signature.line.len()).sum();
    let bytes = signed.as_bytes();
    SignedCheckpoint::parse(&bytes[..bytes.len() - others])
        .expect("a note without its last lines is a note")
}

/// The size of the newest witnessed head, if this witness is known to have cosigned it.
fn cosigned_before(witnessing: &Witnessing, peer: usize) -> Option<TreeSize> {
    let head = witnessing.head()?;
    let signed = SignedCheckpoint::parse(&head.note).ok()?;
    let policy = witnessing.policy.policy();
    let ours = &witnessing.policy.peers()[peer].witnesses;
    let of_peer = |name: &str, id: u32| {
        ours.iter().any(|&at| {
            let key = policy.witnesses()[at].key();
            key.name().as_str() == name && key.id() == id
        })
    };
    signed.signatures().any(|line| of_peer(line.name, line.id)).then(|| head.size())
}
