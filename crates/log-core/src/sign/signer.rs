//! The signer: one thread that signs on demand, journals, then releases.
//!
//! In each step it takes everybody who waits, signs the newest committed head of each of their
//! logs, writes all records to the journal and syncs once. **The sync is the commit point**: after
//! it the heads may be released. If we crash before it, a record may be in the journal or not, but
//! nobody saw its head.

use std::collections::BTreeMap;
use std::sync::Arc;

use base::clock::Clock as _;
use base::tasks;
use storage::journal::{Journal, JournalError, JournalHead, origin_hash};
use storage::{LogId, StoredHead};

use super::{Answer, Seal, SignerInbox};
use crate::error::SignError;
use crate::health::Surroundings;
use crate::inbox::DELIVER_IN_TASK_FROM;
use crate::invariants::Invariant;
use crate::types::{SignedHead, TreeView};

/// The only writer of the head journal.
pub(crate) struct Signer {
    inbox: Arc<SignerInbox>,
    journal: Journal,
    around: Arc<Surroundings>,
}

/// A log with everybody who waits for it.
struct Waiting {
    seal: Arc<Seal>,
    answers: Vec<Answer>,
}

impl Signer {
    pub(crate) fn new(
        inbox: Arc<SignerInbox>,
        journal: Journal,
        around: Arc<Surroundings>,
    ) -> Self {
        Self { inbox, journal, around }
    }

    /// The thread's body.
    pub(crate) fn run(mut self) {
        let inbox = Arc::clone(&self.inbox);
        let _attended = inbox.attended();
        while inbox.wait(0).is_some() {
            tasks::trip("signing");
            self.step();
        }
    }

    /// Signs the heads that a start finds, all with one sync, before anybody can ask.
    pub(crate) fn sign_at_start<'a>(
        &mut self,
        seals: impl Iterator<Item = &'a Arc<Seal>>,
    ) -> Result<(), JournalError> {
        let mut signed = Vec::new();
        let mut heads = Vec::new();
        for seal in seals.filter(|seal| !seal.is_retired()) {
            match self.sign(seal) {
                Ok(head) => {
                    heads.extend(self.unjournaled(seal, &head));
                    signed.push((seal, head));
                }
                Err(error) => {
                    let log = &seal.record.name;
                    tracing::error!(%log, %error, "the head was not signed at start");
                }
            }
        }
        self.journal.append(&heads)?;
        for (seal, head) in signed {
            self.release(seal, &head);
        }
        Ok(())
    }

    /// Signs for everybody who waits. It waits for nothing but the journal.
    pub(crate) fn step(&mut self) {
        let mut signed = Vec::new();
        let mut heads = Vec::new();
        for Waiting { seal, answers } in by_log(self.inbox.take()) {
            match self.sign(&seal) {
                Ok(head) => {
                    heads.extend(self.unjournaled(&seal, &head));
                    signed.push((seal, head, answers));
                }
                Err(error) => refuse(answers, &error),
            }
        }
        if let Err(error) = self.write(&heads) {
            for (_, _, answers) in signed {
                refuse(answers, &error);
            }
            return;
        }
        for (seal, head, answers) in signed {
            self.release(&seal, &head);
            self.deliver(head, answers);
        }
    }

    /// Answers everybody who waits for a head.
    fn deliver(&self, head: Arc<SignedHead>, answers: Vec<Answer>) {
        // A send fails only if the caller has gone, and then nobody needs the answer.
        let send = move |answer: Answer| drop(answer.send(Ok(Arc::clone(&head))));
        if answers.len() < DELIVER_IN_TASK_FROM {
            answers.into_iter().for_each(send);
        } else {
            let delivery = async move { answers.into_iter().for_each(send) };
            drop(self.around.supervisor.task("deliver", delivery));
        }
    }

    /// Signs the newest committed head of a log. Nobody may see it yet.
    fn sign(&self, seal: &Seal) -> Result<Arc<SignedHead>, SignError> {
        if self.around.health.is_halted() {
            return Err(SignError::ShuttingDown);
        }
        if self.around.health.journaling.has_given_up() {
            return Err(SignError::JournalUnavailable);
        }
        if seal.is_retired() {
            return Err(SignError::Retired);
        }
        let view = seal.tree.load_full();
        let signed = seal.signed.load_full();
        if signed.is_released() && signed.size() == view.head.size {
            return Ok(signed);
        }
        sign_view(seal, view)
    }

    /// The record a head needs, if the journal does not end with it.
    fn unjournaled(&self, seal: &Seal, head: &SignedHead) -> Option<JournalHead> {
        let record = journal_head(seal, &head.view.head);
        let last = self.journal.heads().get(&record.origin_hash);
        let one_root = last.is_none_or(|last| {
            last.size < record.size || (last.size == record.size && last.root == record.root)
        });
        self.around.check(one_root, Invariant::OneRootPerSize);
        last.is_none_or(|last| last.size != record.size).then_some(record)
    }

    fn write(&mut self, heads: &[JournalHead]) -> Result<(), SignError> {
        let Surroundings { clock, observer, health, .. } = &*self.around;
        let started = clock.monotonic();
        health.journaling.begin(started);
        if let Err(error) = self.journal.append(heads) {
            tracing::error!(%error, "the head journal cannot be written, signing stops");
            health.journaling.give_up();
            observer.journal_failed();
            return Err(SignError::JournalUnavailable);
        }
        health.journaling.succeed();
        let took = clock.monotonic().saturating_sub(started);
        observer.journaled(heads.len(), took);
        Ok(())
    }

    fn release(&self, seal: &Seal, head: &Arc<SignedHead>) {
        let record = journal_head(seal, &head.view.head);
        let last = self.journal.heads().get(&record.origin_hash);
        let journaled =
            last.is_some_and(|last| last.size == record.size && last.root == record.root);
        self.around.check(journaled, Invariant::JournaledBeforeReleased);
        seal.signed.store(Arc::clone(head));
    }
}

fn by_log(requests: Vec<(Arc<Seal>, Answer)>) -> Vec<Waiting> {
    let mut waiting: BTreeMap<LogId, Waiting> = BTreeMap::new();
    for (seal, answer) in requests {
        let id = seal.record.id;
        let entry = waiting.entry(id).or_insert_with(|| Waiting { seal, answers: Vec::new() });
        entry.answers.push(answer);
    }
    waiting.into_values().collect()
}

fn sign_view(seal: &Seal, view: Arc<TreeView>) -> Result<Arc<SignedHead>, SignError> {
    let keys = seal.keys.as_ref().ok_or(SignError::ReadOnly)?;
    let note = keys.sign_head(&seal.record.origin, &view).map_err(|error| {
        tracing::error!(log = %seal.record.name, %error, "the key could not sign");
        SignError::KeyFailed
    })?;
    Ok(Arc::new(SignedHead { view, note }))
}

fn journal_head(seal: &Seal, head: &StoredHead) -> JournalHead {
    JournalHead {
        origin_hash: origin_hash(seal.record.origin.as_str()),
        size: head.size,
        root: head.root,
        time_ms: head.time_ms,
        epoch: head.epoch,
        retired: false,
    }
}

fn refuse(answers: Vec<Answer>, error: &SignError) {
    for answer in answers {
        // A send fails only if the caller has gone, and then nobody needs the answer.
        drop(answer.send(Err(error.clone())));
    }
}
