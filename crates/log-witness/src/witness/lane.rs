//! The threads that decide and sign. Each log belongs to one of them, and its newest state to that
//! thread alone: comparing what a submission builds on with what is held, and taking the submission's
//! place as what is held, has nothing between it. Other threads sign for other logs meanwhile, and the
//! committer syncs.
//!
//! What a lane remembers may be a commit ahead of the disk. Nobody learns of it: every answer goes through
//! the committer, behind the write it depends on. If that write fails the process ends.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::mpsc::Receiver;

use base::clock::Clock;
use formats::{AddCheckpoint, Origin, SignSubtree, SignedCheckpoint, VerifiedCheckpoint};
use merkle::verify_subtree_consistency;
use tokio::sync::oneshot;

use super::committer::{Committer, Step, StoreFailed};
use super::cosigner::Cosigner;
use super::decide::{self, Held};
use super::public::origin_path;
use super::refusal::Refusal;
use super::refused::Refused;
use crate::store::{RefusedNote, StoredCheckpoint, TrustRow, Write};

/// Lines of signatures, or why there are none.
pub(super) type Lines = Result<String, Refusal>;

/// One thing for a lane to do.
pub(super) enum Order {
    /// A submission whose signatures hold.
    Submit {
        request: Box<AddCheckpoint>,
        verified: Box<VerifiedCheckpoint>,
        answer: oneshot::Sender<Lines>,
    },
    /// A subtree whose reference checkpoint we have cosigned.
    SignSubtree { request: Box<SignSubtree>, answer: oneshot::Sender<Lines> },
    /// From here on the log is not trusted.
    Distrust { origin: Origin, evidence: Vec<u8>, answer: oneshot::Sender<Result<(), StoreFailed>> },
    /// The end, after what was ordered before.
    Stop,
}

/// The logs of one thread.
pub(super) struct Lane {
    logs: HashMap<Origin, LogState>,
    cosigner: Arc<Cosigner>,
    committer: Committer,
    clock: Arc<dyn Clock>,
}

/// What is known of one log. Written by its lane alone.
#[derive(Debug)]
pub(super) struct LogState {
    pub(super) held: Held,
    pub(super) distrusted: bool,
    pub(super) refused: Refused,
}

impl Default for LogState {
    fn default() -> Self {
        Self { held: Held::NOTHING, distrusted: false, refused: Refused::default() }
    }
}

impl Lane {
    pub(super) fn new(
        logs: HashMap<Origin, LogState>,
        cosigner: Arc<Cosigner>,
        committer: Committer,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self { logs, cosigner, committer, clock }
    }

    /// Works until it is told to stop.
    pub(super) fn run(&mut self, orders: &Receiver<Order>) {
        while let Ok(order) = orders.recv() {
            base::tasks::trip("lane");
            match order {
                Order::Submit { request, verified, answer } => {
                    let (step, lines) = self.submit(&request, &verified);
                    self.answer(step, lines, answer);
                }
                Order::SignSubtree { request, answer } => {
                    // Nobody waits any more.
                    drop(answer.send(self.sign_subtree(&request)));
                }
                Order::Distrust { origin, evidence, answer } => {
                    self.distrust(&origin, evidence, answer);
                }
                Order::Stop => return,
            }
        }
    }

    fn answer(&self, planned: Planned, lines: Lines, answer: oneshot::Sender<Lines>) {
        let Planned { writes, head } = planned;
        let done = move |durable: Result<(), StoreFailed>| {
            let lines = durable.map_err(|StoreFailed| Refusal::Unavailable).and(lines);
            drop(answer.send(lines));
        };
        self.committer.commit(Step { writes, head, done: Box::new(done) });
    }

    /// Compares and, if all holds, takes the submission's place. What it returns must become durable
    /// before the answer is given.
    fn submit(
        &mut self,
        request: &AddCheckpoint,
        verified: &VerifiedCheckpoint,
    ) -> (Planned, Lines) {
        let now_s = self.clock.unix_ms() / 1_000;
        let (cosigner, origin) = (&self.cosigner, verified.origin());
        let log = self.logs.entry(origin.clone()).or_default();
        if log.distrusted {
            let evidence = format!("{}/evidence", origin_path(origin));
            return (Planned::default(), Err(Refusal::Distrusted { evidence }));
        }
        let mut planned = log.catch_up(cosigner, request, verified);
        match log.cosign(cosigner, request, verified, now_s) {
            Ok((stored, lines)) => {
                planned.set(origin, log.held, stored);
                (planned, Ok(lines))
            }
            Err(refusal) => {
                planned.writes.extend(log.keep_refused(verified, &refusal, now_s));
                (planned, Err(refusal))
            }
        }
    }

    fn sign_subtree(&self, request: &SignSubtree) -> Lines {
        let origin = request.checkpoint().origin();
        if self.logs.get(origin).is_some_and(|log| log.distrusted) {
            let evidence = format!("{}/evidence", origin_path(origin));
            return Err(Refusal::Distrusted { evidence });
        }
        let (size, root) = (request.checkpoint().size(), request.checkpoint().root());
        let (subtree, hash) = (request.subtree(), request.hash());
        verify_subtree_consistency(subtree, size, hash, root, request.proof())
            .map_err(Refusal::Proof)?;
        let lines = self.cosigner.sign_subtree(request).map_err(|error| unsigned(&error))?;
        lines.ok_or(Refusal::NoSubtreeKey)
    }

    fn distrust(
        &mut self,
        origin: &Origin,
        evidence: Vec<u8>,
        answer: oneshot::Sender<Result<(), StoreFailed>>,
    ) {
        let log = self.logs.entry(origin.clone()).or_default();
        let since = self.clock.unix_ms() / 1_000;
        let row = TrustRow { trusted: false, since, evidence };
        let write = Write::Trust { origin: origin.clone(), row };
        // The first evidence stays: it is what earlier refusals named.
        let writes = if log.distrusted { Vec::new() } else { vec![write] };
        log.distrusted = true;
        let done = move |durable| {
            // Nobody waits any more.
            let _gone = answer.send(durable);
        };
        self.committer.commit(Step { writes, head: None, done: Box::new(done) });
    }
}

/// What must become durable before an answer.
#[derive(Default)]
struct Planned {
    writes: Vec<Write>,
    head: Option<(Origin, Held)>,
}

impl Planned {
    fn set(&mut self, origin: &Origin, held: Held, row: StoredCheckpoint) {
        self.writes.push(Write::Checkpoint { origin: origin.clone(), row });
        self.head = Some((origin.clone(), held));
    }
}

impl LogState {
    /// A submission may carry a cosignature of ours on a larger tree than is held: then the store is an
    /// old one, brought back. What we cosigned then is held again, before anything else is decided.
    fn catch_up(
        &mut self,
        cosigner: &Cosigner,
        request: &AddCheckpoint,
        verified: &VerifiedCheckpoint,
    ) -> Planned {
        let mut planned = Planned::default();
        let submitted = request.checkpoint();
        if submitted.size() <= self.held.size || !cosigner.may_have_cosigned(submitted) {
            return planned;
        }
        // A line that only says it is ours is one of an unknown key.
        let Ok(time) = cosigner.cosigned_at(submitted) else { return planned };
        let (origin, size) = (verified.origin(), submitted.size().get());
        tracing::error!(
            %origin, size, held = self.held.size.get(),
            "a checkpoint that this witness cosigned is newer than its store: the store was rolled back"
        );
        let time = time.max(self.held.time);
        self.held = Held { size: submitted.size(), root: *submitted.root(), time };
        let note =
            [trusted_note(verified).as_bytes(), own_lines(cosigner, submitted).as_bytes()].concat();
        planned.set(origin, self.held, StoredCheckpoint { time, note });
        planned
    }

    /// Decides, signs, and takes the submission's place as what is held.
    fn cosign(
        &mut self,
        cosigner: &Cosigner,
        request: &AddCheckpoint,
        verified: &VerifiedCheckpoint,
        now_s: u64,
    ) -> Result<(StoredCheckpoint, String), Refusal> {
        decide::decide(request, &self.held)?;
        let time = decide::time(now_s, self.held.time);
        let lines = cosigner.cosign(verified, time).map_err(|error| unsigned(&error))?;
        assert!(verified.size() >= self.held.size, "what is held only grows");
        self.held = Held { size: verified.size(), root: *verified.root(), time };
        let note = [trusted_note(verified).as_bytes(), lines.as_bytes()].concat();
        Ok((StoredCheckpoint { time, note }, lines))
    }

    fn keep_refused(
        &mut self,
        verified: &VerifiedCheckpoint,
        refusal: &Refusal,
        now_s: u64,
    ) -> Option<Write> {
        if !refusal.may_be_evidence() {
            return None;
        }
        let slot = self.refused.slot(verified.signed(), &self.held, now_s)?;
        let (origin, status) = (verified.origin().clone(), refusal.status().as_u16());
        tracing::warn!(%origin, size = verified.size().get(), status, slot, "kept a refused checkpoint");
        let note = trusted_note(verified).into_bytes();
        Some(Write::Refused { origin, slot, row: RefusedNote { time: now_s, status, note } })
    }
}

/// The text of a checkpoint with the log's own signatures that hold, one of each key.
fn trusted_note(verified: &VerifiedCheckpoint) -> String {
    let mut note = verified.checkpoint().to_string();
    note.push('\n');
    let lines: Vec<&str> = verified.signature_lines().collect();
    for (position, signature) in verified.signatures().iter().enumerate() {
        let before = &verified.signatures()[..position];
        if before.iter().all(|earlier| earlier.key() != signature.key()) {
            note.push_str(lines[position]);
        }
    }
    note
}

/// The lines on a checkpoint that are ours, one of each key.
fn own_lines(cosigner: &Cosigner, signed: &SignedCheckpoint) -> String {
    let mut lines = String::new();
    for key in cosigner.verifier_keys() {
        let ours = signed
            .signatures()
            .find(|line| key.id() == line.id && key.name().as_str() == line.name);
        lines.extend(ours.map(|found| found.line));
    }
    lines
}

fn unsigned(error: &formats::SignError) -> Refusal {
    tracing::error!(%error, "a key of this witness does not sign");
    Refusal::Unavailable
}
