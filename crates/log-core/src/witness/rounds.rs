//! The rounds: one task for each log with a policy. It sleeps while there is no head to witness.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use base::clock::Clock as _;
use bytes::Bytes;
use formats::SignedCheckpoint;
use merkle::TreeSize;
use tokio::sync::{mpsc, watch};

use super::submit::{Report, Result as Submitted, Submitter};
use super::{OnQuorumLoss, Witnesses, Witnessing};
use crate::error::SignError;
use crate::invariants::Invariant;
use crate::types::{SignedHead, TreeView};

/// How long the task waits after it could not sign. The reasons do not pass quickly.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// Reports of one submitter that may wait: a submitter sends its report and goes on with the next head.
const REPORTS_MAX: usize = 4;

/// The head of one round.
#[derive(Debug)]
pub(super) struct Target {
    /// The number of the round, so that we recognise a late report of an earlier one.
    pub(super) round: u64,
    pub(super) view: Arc<TreeView>,
    /// The checkpoint with the log's own signatures, which is all that we send to witnesses.
    pub(super) signed: SignedCheckpoint,
}

impl Target {
    pub(super) fn size(&self) -> TreeSize {
        self.view.head.size
    }
}

/// The task's body. Starts the submitters, and ends with them when the log stops.
pub(crate) async fn run(witnessing: Witnesses) {
    let grown = witnessing.tree.follow();
    let peers = witnessing.policy.peers().len();
    let (reports, received) = mpsc::channel(peers.max(1) * REPORTS_MAX);
    let targets = watch::Sender::new(None);
    for peer in 0..peers {
        let (asked, targets) = (Arc::clone(&witnessing), targets.subscribe());
        let reports = reports.clone();
        let submit = move || {
            Submitter::new(Arc::clone(&asked), peer, targets.clone(), reports.clone()).run()
        };
        let supervisor = &witnessing.around.supervisor;
        let kept = supervisor.clone().keep("witness submitter", submit);
        let stop = witnessing.stop.clone();
        // It ends when the log stops, or these rounds do.
        drop(supervisor.start("witness submitter", stop.run_until_cancelled_owned(kept)));
    }
    let rounds = Rounds {
        witnessing: &witnessing,
        grown,
        targets,
        reports: received,
        started: None,
        round: 0,
    };
    witnessing.stop.run_until_cancelled(rounds.run()).await;
}

struct Rounds<'a> {
    witnessing: &'a Witnessing,
    /// The committed tree grew.
    grown: watch::Receiver<()>,
    targets: watch::Sender<Option<Arc<Target>>>,
    reports: mpsc::Receiver<Report>,
    /// When the last round began, by the monotonic clock.
    started: Option<Duration>,
    round: u64,
}

/// What a round has collected.
#[derive(Default)]
struct Collected {
    /// Signature lines by the witness's position in the policy.
    lines: BTreeMap<usize, String>,
    /// Addresses that have answered, with or without cosignatures.
    answered: BTreeSet<usize>,
    /// Addresses whose witness claims to hold a newer head, so it cannot cosign this one.
    superseded: BTreeSet<usize>,
}

impl Rounds<'_> {
    async fn run(mut self) {
        loop {
            self.due().await;
            match self.target().await {
                Ok(target) => self.round(target).await,
                Err(SignError::ShuttingDown | SignError::ReadOnly | SignError::Retired) => return,
                Err(error) => {
                    tracing::warn!(log = %self.witnessing.record.name, %error, "nothing to be witnessed");
                    self.witnessing.around.clock.sleep(RETRY_AFTER).await;
                }
            }
        }
    }

    /// Waits until there is a head to witness, and until a caller waits for it or the interval between
    /// rounds is over.
    async fn due(&mut self) {
        let clock = Arc::clone(&self.witnessing.around.clock);
        loop {
            if !self.is_behind() {
                self.news().await;
                continue;
            }
            let rest = self.rest();
            if rest.is_zero() || self.witnessing.somebody_waits() {
                return;
            }
            tokio::select! {
                () = clock.sleep(rest) => return,
                () = self.news() => {}
            }
        }
    }

    /// Waits until there may be a head to witness or a caller that waits for one. News that came before
    /// the call count too.
    async fn news(&mut self) {
        tokio::select! {
            () = self.witnessing.wake.notified() => {}
            told = self.grown.changed() => told.expect("the witnessing holds the tree"),
        }
    }

    fn is_behind(&self) -> bool {
        let witnessed = self.witnessing.head().map_or(TreeSize::ZERO, |head| head.size());
        self.witnessing.gate.is_open() && witnessed < self.witnessing.tree.load().head.size
    }

    fn rest(&self) -> Duration {
        let now = self.witnessing.around.clock.monotonic();
        let interval = self.witnessing.options.settings.interval_min;
        self.started.map_or(Duration::ZERO, |started| (started + interval).saturating_sub(now))
    }

    /// Signs the newest head with all keys of the log.
    async fn target(&mut self) -> Result<Arc<Target>, SignError> {
        let signed = self.witnessing.sign.newest().await?;
        let note = self.witnessing.sign.with_all_keys(&signed.view).await?;
        let checkpoint = SignedCheckpoint::parse(&note).map_err(|error| {
            tracing::error!(log = %self.witnessing.record.name, %error, "a signed head does not parse");
            SignError::KeyFailed
        })?;
        self.round += 1;
        let view = Arc::clone(&signed.view);
        Ok(Arc::new(Target { round: self.round, view, signed: checkpoint }))
    }

    /// Asks all witnesses to cosign one head, until there is a quorum or a witness holds a newer head.
    async fn round(&mut self, target: Arc<Target>) {
        let started = self.witnessing.around.clock.monotonic();
        self.started = Some(started);
        self.witnessing.progress.send_if_modified(|progress| {
            progress.since.get_or_insert(started);
            false
        });
        self.targets.send_replace(Some(Arc::clone(&target)));
        let mut collected = Collected::default();
        if !self.collect_quorum(&target, &mut collected).await {
            return;
        }
        self.collect_late(&target, &mut collected).await;
        self.witnessed(&target, &collected.lines);
    }

    /// False if the round ends without a witnessed head.
    async fn collect_quorum(&mut self, target: &Target, collected: &mut Collected) -> bool {
        let clock = Arc::clone(&self.witnessing.around.clock);
        let mut overdue = clock.sleep(self.left_for_quorum());
        let mut lost = self.witnessing.progress.borrow().lost;
        let witnessing = self.witnessing;
        let is_quorum = |collected: &Collected| {
            witnessing.policy.is_quorum(|witness| collected.lines.contains_key(&witness))
        };
        while !is_quorum(collected) {
            tokio::select! {
                report = self.reports.recv() => {
                    let Some(report) = report else { return false };
                    collected.take(target, report);
                    if self.is_superseded(collected) {
                        return false;
                    }
                }
                () = &mut overdue, if !lost => {
                    lost = true;
                    self.quorum_lost(target);
                }
            }
        }
        true
    }

    /// Whether the round cannot get a quorum because some witnesses are beyond its head. Those cosign the
    /// next head, and must not wait for witnesses that fail now. A claim may be a lie, so a round goes on
    /// while the other witnesses can form a quorum.
    fn is_superseded(&self, collected: &Collected) -> bool {
        let policy = &self.witnessing.policy;
        let peers = policy.peers().iter().zip(&self.witnessing.peers).enumerate();
        let left: BTreeSet<usize> = peers
            .filter(|(peer, (_, state))| {
                !collected.superseded.contains(peer) && !state.is_resting()
            })
            .flat_map(|(_, (peer, _))| peer.witnesses.iter().copied())
            .collect();
        !collected.superseded.is_empty() && !policy.is_quorum(|witness| left.contains(&witness))
    }

    /// The rest of the time for a quorum. The time runs from the first round that has had none.
    fn left_for_quorum(&self) -> Duration {
        let now = self.witnessing.around.clock.monotonic();
        let since = self.witnessing.progress.borrow().since.unwrap_or(now);
        (since + self.witnessing.options.settings.quorum_timeout).saturating_sub(now)
    }

    fn quorum_lost(&self, target: &Target) {
        let falls_back =
            self.witnessing.policy.on_quorum_loss() == OnQuorumLoss::PublishUnwitnessed;
        tracing::error!(
            log = %self.witnessing.record.name,
            size = target.size().get(),
            publishes_unwitnessed = falls_back,
            "the witnesses form no quorum"
        );
        self.witnessing.progress.send_modify(|progress| progress.lost = true);
    }

    /// Gives the other witnesses a short while, unless they rest after a failure.
    async fn collect_late(&mut self, target: &Target, collected: &mut Collected) {
        let mut over = self.witnessing.around.clock.sleep(self.witnessing.options.settings.grace);
        while self.somebody_is_late(collected) {
            tokio::select! {
                report = self.reports.recv() => {
                    let Some(report) = report else { return };
                    collected.take(target, report);
                }
                () = &mut over => return,
            }
        }
    }

    fn somebody_is_late(&self, collected: &Collected) -> bool {
        let mut peers = self.witnessing.peers.iter().enumerate();
        peers.any(|(peer, state)| !collected.answered.contains(&peer) && !state.is_resting())
    }

    /// Announces the head with its cosignatures. The log's own signatures come first, then the
    /// cosignatures in the policy's order.
    fn witnessed(&self, target: &Target, lines: &BTreeMap<usize, String>) {
        let mut note = target.signed.as_bytes().to_vec();
        for line in lines.values() {
            note.extend_from_slice(line.as_bytes());
        }
        debug_assert!(self.satisfies(&note), "a note of verified lines satisfies the policy");
        let covered = target.size() <= self.witnessing.tree.load().head.size;
        self.witnessing.around.check(covered, Invariant::NotAheadOfCommitted);
        let head = SignedHead { view: Arc::clone(&target.view), note: Bytes::from(note) };
        let mut found_again = false;
        self.witnessing.progress.send_modify(|progress| {
            progress.head = Some(Arc::new(head));
            progress.since = None;
            found_again = std::mem::take(&mut progress.lost);
        });
        if found_again {
            tracing::warn!(log = %self.witnessing.record.name, "the witnesses form a quorum again");
        }
    }

    fn satisfies(&self, note: &[u8]) -> bool {
        let keys = self.witnessing.sign.verifier_keys();
        let policy = self.witnessing.policy.policy();
        SignedCheckpoint::parse(note)
            .is_ok_and(|signed| policy.verify_of_log(&signed, &keys).is_ok())
    }
}

impl Collected {
    /// Takes a report of this round. A report of an earlier round changes nothing.
    fn take(&mut self, target: &Target, report: Report) {
        let Report { peer, round, result } = report;
        if round != target.round {
            return;
        }
        self.answered.insert(peer);
        match result {
            Submitted::Cosigned(cosigned) => {
                let lines = cosigned.into_iter().map(|(witness, found)| (witness, found.line));
                self.lines.extend(lines);
            }
            Submitted::Failed => {}
            Submitted::Superseded => {
                self.superseded.insert(peer);
            }
        }
    }
}
