//! A log's witness policy: who is asked, where, and what is enough.

use std::collections::BTreeMap;

use checkpoint::{Policy, VerifierKey};
use witness_client::{UrlError, WitnessUrl};

/// What happens when witnesses no longer form a quorum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnQuorumLoss {
    /// Nothing is published until they do.
    #[default]
    Wait,
    /// Checkpoints are published with the log's own signatures, and say so.
    PublishUnwitnessed,
}

/// Why a policy cannot be used by a log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PolicyRefusal {
    #[error("witness {name}: {source}")]
    Url { name: String, source: UrlError },
    #[error("the witnesses that have an address do not form the quorum: give more of them one")]
    NoReachableQuorum,
}

/// An address, with the witnesses of the policy that are asked there: one operator's keys share it.
#[derive(Clone, Debug)]
pub struct Peer {
    /// The first of its witnesses' names, for metrics and messages.
    pub name: String,
    pub url: WitnessUrl,
    /// Positions in the policy's list.
    pub witnesses: Vec<usize>,
}

/// Who witnesses a log.
#[derive(Clone, Debug)]
pub struct LogPolicy {
    policy: Policy,
    peers: Vec<Peer>,
    on_quorum_loss: OnQuorumLoss,
}

impl LogPolicy {
    /// Checks that the witnesses with an address can satisfy the policy.
    pub fn new(policy: Policy, on_quorum_loss: OnQuorumLoss) -> Result<Self, PolicyRefusal> {
        let peers = peers(&policy)?;
        if !policy.is_quorum_of(|witness| witness.url().is_some()) {
            return Err(PolicyRefusal::NoReachableQuorum);
        }
        Ok(Self { policy, peers, on_quorum_loss })
    }

    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// The addresses, in the order of their first witnesses.
    pub fn peers(&self) -> &[Peer] {
        &self.peers
    }

    pub fn on_quorum_loss(&self) -> OnQuorumLoss {
        self.on_quorum_loss
    }

    /// Whether the witnesses at these positions of the list form the quorum.
    pub(super) fn is_quorum(&self, counts: impl Fn(usize) -> bool) -> bool {
        let position = |key: &VerifierKey| {
            self.policy.witnesses().iter().position(|witness| witness.key() == key)
        };
        self.policy.is_quorum_of(|witness| position(witness.key()).is_some_and(&counts))
    }
}

fn peers(policy: &Policy) -> Result<Vec<Peer>, PolicyRefusal> {
    let mut peers: Vec<Peer> = Vec::new();
    let mut known: BTreeMap<WitnessUrl, usize> = BTreeMap::new();
    for (position, witness) in policy.witnesses().iter().enumerate() {
        let Some(url) = witness.url() else { continue };
        let name = witness.name().escape_ascii().to_string();
        let url = WitnessUrl::parse(url)
            .map_err(|source| PolicyRefusal::Url { name: name.clone(), source })?;
        if let Some(&peer) = known.get(&url) {
            peers[peer].witnesses.push(position);
        } else {
            known.insert(url.clone(), peers.len());
            peers.push(Peer { name, url, witnesses: vec![position] });
        }
    }
    Ok(peers)
}
