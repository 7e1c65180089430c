//! What is answered to a submission that is well-formed and signed: pure, in the order of
//! c2sp.org/tlog-witness.

use formats::{AddCheckpoint, Timestamp};
use merkle::{Hash, TreeSize, verify_consistency};

use super::refusal::Refusal;

/// What the witness remembers of a log's last checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// Its size.
    pub size: TreeSize,
    /// Its root hash.
    pub root: Hash,
    /// What its cosignatures state.
    pub time: Timestamp,
}

impl Held {
    /// Of a log that was never cosigned.
    pub(super) const NOTHING: Self =
        Self { size: TreeSize::ZERO, root: Hash::EMPTY_ROOT, time: Timestamp::ZERO };
}

/// Whether the submitted checkpoint continues what is held. Costs two hashes for each of the proof.
pub(super) fn decide(request: &AddCheckpoint, held: &Held) -> Result<(), Refusal> {
    let (old, submitted) = (request.old(), request.checkpoint());
    let size = submitted.size();
    if old > size {
        return Err(Refusal::OldBeyondSize { old, size });
    }
    if old != held.size {
        return Err(Refusal::OtherOldSize { held: held.size });
    }
    if submitted.checkpoint().is_empty_with_wrong_root() {
        return Err(Refusal::EmptyRoot);
    }
    if old == TreeSize::ZERO {
        return if request.proof().is_empty() { Ok(()) } else { Err(Refusal::ProofFromZero) };
    }
    // At one size the proof is empty, and what may differ is the root.
    if old == size && request.proof().is_empty() && held.root != *submitted.root() {
        return Err(Refusal::OtherRoot);
    }
    verify_consistency(old, size, &held.root, submitted.root(), request.proof())
        .map_err(Refusal::Proof)
}

/// The time of a cosignature: it never goes back for a log, so a clock behind the last one states that one's
/// time again. `now_s` is in seconds since the Unix epoch.
pub(super) fn time(now_s: u64, last: Timestamp) -> Timestamp {
    // Zero means that no time is stated, and a cosignature of a checkpoint must state one.
    let seconds = now_s.max(last.seconds()).max(1);
    Timestamp::new(seconds).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::new(seconds).unwrap()
    }

    #[test]
    fn time_never_goes_back() {
        assert_eq!(time(100, at(50)), at(100));
        assert_eq!(time(100, at(100)), at(100));
        assert_eq!(time(100, at(101)), at(101));
        assert_eq!(time(100, at(40_000_000)), at(40_000_000));
        assert_eq!(time(0, Timestamp::ZERO), at(1), "zero states no time");
        assert_eq!(time(u64::MAX, Timestamp::ZERO), Timestamp::MAX);
    }
}
