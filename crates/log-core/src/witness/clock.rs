//! What the witnesses' clocks say of ours.
//!
//! A cosignature states the time by its witness's clock. While our own clock is in question, a quorum of
//! witnesses whose times agree with it settles that; at a start ahead of the store, a quorum
//! whose times do not agree stops it from being believed. One witness alone changes nothing.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base::clock::Clock as _;
use base::clock::checked::{CheckedClock, Opinion};
use base::tasks;
use formats::SignedCheckpoint;
use futures_util::future::join_all;
use merkle::TreeSize;

use super::ask;
use super::calls::Answer;
use super::cosign::{Cosignature, cosignatures};
use super::submit::{body, proof};
use super::trouble::Trouble;
use super::{LogPolicy, Witnesses, Witnessing};
use crate::types::TreeView;

/// How often the clocks are compared where nobody asks for the time.
const WATCH_INTERVAL: Duration = Duration::from_secs(1);
/// How often witnesses are asked while the clock is in question: those of one log each time, as their answers
/// are about the one clock of the process.
const ASK_INTERVAL: Duration = Duration::from_secs(10);

/// By how much each witness's clock leads our boot-time clock, in milliseconds, by the witness's position in
/// the policy. That holds on while both go on.
#[derive(Debug, Default)]
pub(super) struct Clocks(Mutex<BTreeMap<usize, i64>>);

/// Takes the times of cosignatures that verified, fresh ones, and judges our clock by all that are known.
pub(super) fn heard(witnessing: &Witnessing, cosigned: &BTreeMap<usize, Cosignature>) {
    let clock = &witnessing.around.clock;
    let clocks = || witnessing.clocks.0.lock().unwrap_or_else(PoisonError::into_inner);
    for (witness, cosignature) in cosigned {
        clocks().insert(*witness, clock.lead_ms(cosignature.time.seconds()));
    }
    if clock.consult(|agrees| opinion(&witnessing.policy, &clocks(), agrees)) {
        let clock = Arc::clone(clock);
        let remember = move || {
            if let Err(error) = clock.remember() {
                tracing::warn!(%error, "what the witnesses say of the clock was not written down");
            }
        };
        let write = async move { tasks::blocking(remember).await };
        drop(witnessing.around.supervisor.task("clock accepted", write));
    }
}

/// What the witnesses whose clocks are known say together. Pure.
fn opinion(
    policy: &LogPolicy,
    leads: &BTreeMap<usize, i64>,
    agrees: &dyn Fn(i64) -> bool,
) -> Opinion {
    let say = |agreeing: bool| {
        policy.is_quorum(|witness| {
            leads.get(&witness).is_some_and(|lead_ms| agrees(*lead_ms) == agreeing)
        })
    };
    if policy.policy().needs_no_witness() {
        // Nobody says nothing.
        Opinion::Undecided
    } else if say(true) {
        Opinion::Agree
    } else if say(false) {
        Opinion::Contradict
    } else {
        Opinion::Undecided
    }
}

/// Asks witnesses of a log for the time, if our clock is in question: each for another
/// cosignature on the newest signed head, from the size that it holds.
pub(super) async fn ask(witnessing: &Witnessing, holders: &[(usize, TreeSize)]) {
    let signed = witnessing.sign.signed();
    let asks = witnessing.around.clock.reading().is_in_question() && signed.is_released();
    if holders.is_empty() || !asks {
        return;
    }
    let note = witnessing.sign.with_all_keys(&signed.view).await;
    let Some(target) = note.ok().and_then(|note| SignedCheckpoint::parse(&note).ok()) else {
        return;
    };
    let (view, target) = (&signed.view, &target);
    let asked = holders.iter().map(async |&(peer, held)| {
        if held > target.size() {
            return;
        }
        if let Err(trouble) = ask_one(witnessing, (view, target), peer, held).await {
            let log = &witnessing.record.name;
            tracing::debug!(%log, %trouble, "a witness does not say the time");
        }
    });
    join_all(asked).await;
}

async fn ask_one(
    witnessing: &Witnessing,
    (view, target): (&Arc<TreeView>, &SignedCheckpoint),
    peer: usize,
    held: TreeSize,
) -> Result<(), Trouble> {
    let asked = &witnessing.policy.peers()[peer];
    let proof = proof(witnessing, held, target.size(), view).await?;
    let body = body(held, &proof, target);
    match witnessing.options.calls.add_checkpoint(&asked.address, body).await? {
        Answer::Cosigned(answer) => {
            let policy = witnessing.policy.policy();
            heard(witnessing, &cosignatures(target, policy, &asked.witnesses, &answer)?);
            Ok(())
        }
        other => Err(Trouble::of(other)),
    }
}

/// Compares the clocks, and asks the witnesses of `logs` while ours is in question, until the
/// task is ended or
/// `logs` gives none.
pub(crate) async fn watch_clock(
    logs: impl Fn() -> Option<Vec<Witnesses>> + Send,
    clock: Arc<CheckedClock>,
) {
    let mut asked_at: Option<Duration> = None;
    let mut turn = 0_usize;
    loop {
        let in_question = clock.reading().is_in_question();
        let now = clock.monotonic();
        if in_question && asked_at.is_none_or(|at| now.saturating_sub(at) >= ASK_INTERVAL) {
            asked_at = Some(now);
            let Some(mut logs) = logs() else { return };
            // Until a log is open, the question at its start asks for the time too.
            logs.retain(|witnessing| witnessing.gate.is_open());
            if !logs.is_empty() {
                ask_all_of(&logs[turn % logs.len()]).await;
                turn = turn.wrapping_add(1);
            }
        }
        clock.sleep(WATCH_INTERVAL).await;
    }
}

async fn ask_all_of(witnessing: &Witnessing) {
    let peers = 0..witnessing.policy.peers().len();
    let held = peers.map(async |peer| Some((peer, ask::held(witnessing, peer).await.ok()?)));
    let holders: Vec<(usize, TreeSize)> = join_all(held).await.into_iter().flatten().collect();
    ask(witnessing, &holders).await;
}

#[cfg(test)]
mod tests {
    use formats::{KeyName, Policy, PrivateKey};

    use super::super::OnQuorumLoss;
    use super::super::policy::tests::NoCalls;
    use super::*;

    /// `threshold` of three witnesses.
    fn policy(threshold: usize) -> LogPolicy {
        let line = |number: u8| {
            let name = KeyName::new(&format!("w{number}.example")).unwrap();
            let key = PrivateKey::cosigner_ed25519(name, &[number; 32]);
            format!("witness w{number} {} http://127.0.0.1:1\n", key.verifier_key())
        };
        let lines: String = (0..3).map(line).collect();
        let text = format!("{lines}group q {threshold} w0 w1 w2\nquorum q\n");
        LogPolicy::new::<NoCalls>(Policy::parse(text.as_bytes()).unwrap(), OnQuorumLoss::Wait)
            .unwrap()
    }

    #[test]
    fn a_quorum_agrees_or_contradicts_and_less_says_nothing() {
        use Opinion::{Agree, Contradict, Undecided};
        // Leads of 0 agree.
        for (threshold, leads, expected) in [
            (2, &[][..], Undecided),
            (2, &[0], Undecided),
            (2, &[9], Undecided),
            (2, &[0, 0], Agree),
            (2, &[9, 9], Contradict),
            (2, &[0, 9], Undecided),
            (2, &[0, 9, 0], Agree),
            (2, &[9, 0, 9], Contradict),
            (3, &[0, 0, 9], Undecided),
            (3, &[9, 9, 9], Contradict),
            (1, &[0, 9, 9], Agree),
            (1, &[9, 9], Contradict),
        ] {
            let leads: BTreeMap<usize, i64> = leads.iter().copied().enumerate().collect();
            let found = opinion(&policy(threshold), &leads, &|lead_ms| lead_ms == 0);
            assert_eq!(found, expected, "{threshold} of {leads:?}");
        }
    }

    #[test]
    fn a_policy_without_witnesses_says_nothing() {
        let policy = Policy::parse(b"quorum none\n").unwrap();
        let policy = LogPolicy::new::<NoCalls>(policy, OnQuorumLoss::Wait).unwrap();
        assert_eq!(opinion(&policy, &BTreeMap::new(), &|_| true), Opinion::Undecided);
        assert_eq!(opinion(&policy, &BTreeMap::new(), &|_| false), Opinion::Undecided);
    }
}
