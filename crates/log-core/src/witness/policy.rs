//! A log's witness policy: who is asked, where, and what is enough.

use std::collections::BTreeMap;

use formats::note::{NOTE_BYTES_MAX, SIGNATURES_MAX};
use formats::{KeyKind, Policy, VerifierKey};

use super::calls::{CallError, WitnessAddress, WitnessCalls};

/// Lines and bytes of a checkpoint that we reserve for its text and for the log's own signatures.
const OWN_LINES: usize = 4;
const OWN_BYTES: usize = 16 * 1024;

/// What happens when witnesses no longer form a quorum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnQuorumLoss {
    /// The log publishes nothing until they do.
    #[default]
    Wait,
    /// Checkpoints are published with the log's own signatures, and say so.
    PublishUnwitnessed,
}

/// Why a policy cannot be used by a log.
#[derive(Debug, thiserror::Error)]
pub enum PolicyRefusal {
    #[error("witness {name}: {source}")]
    Address { name: String, source: CallError },
    #[error("the witnesses that have an address do not form the quorum: give more of them one")]
    NoReachableQuorum,
    #[error(
        "a checkpoint has no room for {lines} cosignatures of {bytes} bytes, its limits are {} and {}: \
         list fewer witnesses with an address",
        SIGNATURES_MAX - OWN_LINES, NOTE_BYTES_MAX - OWN_BYTES
    )]
    TooManyLines { lines: usize, bytes: usize },
}

/// An address, with the witnesses of the policy that we ask there. One operator's keys share an address.
#[derive(Clone, Debug)]
pub struct Peer {
    /// The first of its witnesses' names, for metrics and messages.
    pub name: String,
    pub address: WitnessAddress,
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
    /// Checks the addresses as `C` wants them, that the witnesses with an address can satisfy the policy, and
    /// that the cosignatures of all of them fit into one checkpoint.
    pub fn new<C: WitnessCalls>(
        policy: Policy,
        on_quorum_loss: OnQuorumLoss,
    ) -> Result<Self, PolicyRefusal> {
        let peers = peers::<C>(&policy)?;
        if !policy.is_quorum_of(|witness| witness.url().is_some()) {
            return Err(PolicyRefusal::NoReachableQuorum);
        }
        check_room(&policy)?;
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

/// Nobody could read a checkpoint that is larger than a note may be, not even our own next start.
fn check_room(policy: &Policy) -> Result<(), PolicyRefusal> {
    let asked = policy.witnesses().iter().filter(|witness| witness.url().is_some());
    let lengths: Vec<usize> = asked.map(|witness| line_bytes(witness.key())).collect();
    let (lines, bytes) = (lengths.len(), lengths.iter().sum());
    if lines > SIGNATURES_MAX - OWN_LINES || bytes > NOTE_BYTES_MAX - OWN_BYTES {
        return Err(PolicyRefusal::TooManyLines { lines, bytes });
    }
    Ok(())
}

/// The bytes of one line: a dash, the name and base64 of key id, time and signature.
fn line_bytes(key: &VerifierKey) -> usize {
    let signature = if key.kind() == KeyKind::CosignatureMlDsa44 { 2_420 } else { 64 };
    let tagged: usize = 4 + 8 + signature;
    "\u{2014}  \n".len() + key.name().as_str().len() + tagged.div_ceil(3) * 4
}

fn peers<C: WitnessCalls>(policy: &Policy) -> Result<Vec<Peer>, PolicyRefusal> {
    let mut peers: Vec<Peer> = Vec::new();
    let mut known: BTreeMap<WitnessAddress, usize> = BTreeMap::new();
    for (position, witness) in policy.witnesses().iter().enumerate() {
        let Some(given) = witness.url() else { continue };
        let name = witness.name().escape_ascii().to_string();
        let address = C::address(given)
            .map_err(|source| PolicyRefusal::Address { name: name.clone(), source })?;
        if let Some(&peer) = known.get(&address) {
            peers[peer].witnesses.push(position);
        } else {
            known.insert(address.clone(), peers.len());
            peers.push(Peer { name, address, witnesses: vec![position] });
        }
    }
    Ok(peers)
}

#[cfg(test)]
pub(super) mod tests {
    use bytes::Bytes;
    use formats::{Checkpoint, KeyName, Origin, PrivateKey, Signer as _, Timestamp};
    use futures_util::future::BoxFuture;
    use merkle::{Hash, TreeSize};

    use super::*;
    use crate::witness::Answer;

    /// Takes every address that is text, and makes no call.
    pub(in super::super) struct NoCalls;

    impl WitnessCalls for NoCalls {
        fn address(given: &[u8]) -> Result<WitnessAddress, CallError> {
            let text = std::str::from_utf8(given).map_err(CallError::new)?;
            Ok(WitnessAddress::of_checked(text.trim_end_matches('/').to_owned()))
        }

        fn add_checkpoint<'a>(
            &'a self,
            _: &'a WitnessAddress,
            _: Bytes,
        ) -> BoxFuture<'a, Result<Answer, CallError>> {
            unreachable!("a policy makes no call")
        }

        fn monitored_checkpoint<'a>(
            &'a self,
            _: &'a WitnessAddress,
            _: &'a Origin,
        ) -> BoxFuture<'a, Result<Option<Bytes>, CallError>> {
            unreachable!("a policy makes no call")
        }
    }

    fn key(number: u8, kind: KeyKind) -> PrivateKey {
        let name = KeyName::new(&format!("w{number}.example")).unwrap();
        match kind {
            KeyKind::CosignatureMlDsa44 => PrivateKey::ml_dsa_44(name, &[number; 32]),
            _ => PrivateKey::cosigner_ed25519(name, &[number; 32]),
        }
    }

    fn policy(count: u8, kind: KeyKind) -> Result<LogPolicy, PolicyRefusal> {
        let line = |number| {
            let key = key(number, kind);
            format!("witness w{number} {} http://127.0.0.1:1\n", key.verifier_key())
        };
        let lines: String = (0..count).map(line).collect();
        let policy = format!("{lines}quorum w0\n");
        LogPolicy::new::<NoCalls>(Policy::parse(policy.as_bytes()).unwrap(), OnQuorumLoss::Wait)
    }

    #[test]
    fn a_line_has_the_bytes_it_is_thought_to_have() {
        for kind in [KeyKind::CosignatureEd25519, KeyKind::CosignatureMlDsa44] {
            let key = key(1, kind);
            let head = Checkpoint::new(
                Origin::new("log.example").unwrap(),
                TreeSize::new(1).unwrap(),
                Hash::EMPTY_ROOT,
            );
            let line = key.sign_checkpoint(&head, Timestamp::MAX).unwrap();
            assert_eq!(line_bytes(key.verifier_key()), format!("{line}\n").len());
        }
    }

    #[test]
    fn witnesses_at_one_address_are_one_peer_and_a_bad_address_is_refused() {
        let line = |number, address: &str| {
            let key = key(number, KeyKind::CosignatureEd25519);
            format!("witness w{number} {} {address}\n", key.verifier_key())
        };
        let of = |second: &[u8]| {
            let text = [line(0, "http://a/").as_bytes(), second, b"quorum w0\n"].concat();
            LogPolicy::new::<NoCalls>(Policy::parse(&text).unwrap(), OnQuorumLoss::Wait)
        };
        let one = of(line(1, "http://a").as_bytes()).unwrap();
        assert_eq!(one.peers().len(), 1);
        assert_eq!(one.peers()[0].witnesses, [0, 1]);
        let two = of(line(1, "http://b").as_bytes()).unwrap();
        assert_eq!(two.peers().len(), 2);
        let bad = line(1, "http://@").replace('@', "\u{e9}");
        let bad: Vec<u8> = bad.into_bytes().into_iter().filter(|byte| *byte != 0xa9).collect();
        assert!(matches!(of(&bad), Err(PolicyRefusal::Address { name, .. }) if name == "w1"));
    }

    #[test]
    fn all_cosignatures_must_fit_into_one_checkpoint() {
        for (kind, most) in [(KeyKind::CosignatureEd25519, 60), (KeyKind::CosignatureMlDsa44, 35)] {
            assert!(policy(most, kind).is_ok());
            let refusal = policy(most + 1, kind).unwrap_err();
            let lines = usize::from(most) + 1;
            assert!(
                matches!(refusal, PolicyRefusal::TooManyLines { lines: found, .. } if found == lines)
            );
        }
    }
}
