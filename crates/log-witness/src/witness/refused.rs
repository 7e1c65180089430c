//! Which refused notes are kept: signed by the log, and not in line with what was cosigned.
//!
//! A log has one slot for the first note that contradicts it at one size, which is evidence by itself and
//! is never overwritten, and [`RING_SLOTS`] for the newest others. Anyone can send a log's old
//! checkpoints again, so a note that is kept already is not written again.

use formats::SignedCheckpoint;
use merkle::{Hash, TreeSize, leaf_hash};

use super::decide::Held;
use crate::store::RefusedNote;

/// The slot of the first contradiction at one size.
const CONFLICT_SLOT: u8 = 0;
/// Notes kept beside it: at 16 one log holds at most some 2 MiB.
const RING_SLOTS: u8 = 16;

/// The notes of one log that are kept. Empty, and without memory of its own, for almost every log.
#[derive(Debug, Default)]
pub(super) struct Refused {
    kept: Vec<Kept>,
}

#[derive(Clone, Copy, Debug)]
struct Kept {
    slot: u8,
    time: u64,
    text: Hash,
}

impl Refused {
    /// What the store holds.
    pub(super) fn load(rows: &[(u8, RefusedNote)]) -> Self {
        let kept = |(slot, row): &(u8, RefusedNote)| {
            let text = SignedCheckpoint::parse(&row.note).ok()?;
            let text = leaf_hash(text.checkpoint().to_string().as_bytes());
            Some(Kept { slot: *slot, time: row.time, text })
        };
        Self { kept: rows.iter().filter_map(kept).collect() }
    }

    /// The slot to write a refused checkpoint to, if it is worth keeping and not kept yet.
    pub(super) fn slot(
        &mut self,
        refused: &SignedCheckpoint,
        held: &Held,
        time: u64,
    ) -> Option<u8> {
        if is_in_line(refused, held) {
            return None;
        }
        let text = leaf_hash(refused.checkpoint().to_string().as_bytes());
        if self.kept.iter().any(|kept| kept.text == text) {
            return None;
        }
        let slot = self.choose(contradicts(refused, held));
        self.kept.retain(|kept| kept.slot != slot);
        self.kept.push(Kept { slot, time, text });
        Some(slot)
    }

    fn choose(&self, contradicts: bool) -> u8 {
        let taken = |slot: u8| self.kept.iter().any(|kept| kept.slot == slot);
        if contradicts && !taken(CONFLICT_SLOT) {
            return CONFLICT_SLOT;
        }
        let free = (1..=RING_SLOTS).find(|slot| !taken(*slot));
        let ring = self.kept.iter().filter(|kept| kept.slot != CONFLICT_SLOT);
        let oldest = || ring.min_by_key(|kept| kept.time).map_or(1, |kept| kept.slot);
        free.unwrap_or_else(oldest)
    }
}

/// Nothing can be shown with it: it says what was cosigned, or it says nothing at all.
fn is_in_line(refused: &SignedCheckpoint, held: &Held) -> bool {
    let same = refused.size() == held.size && *refused.root() == held.root;
    let empty = refused.size() == TreeSize::ZERO && *refused.root() == Hash::EMPTY_ROOT;
    same || empty
}

/// Beside the checkpoint that was cosigned, or alone, it cannot be true.
fn contradicts(refused: &SignedCheckpoint, held: &Held) -> bool {
    refused.checkpoint().is_empty_with_wrong_root()
        || (refused.size() == held.size && *refused.root() != held.root)
}

#[cfg(test)]
mod tests {
    use super::*;
    use formats::{Checkpoint, KeyName, PrivateKey, Timestamp, sign};

    fn signed(size: u64, root: u8) -> SignedCheckpoint {
        let name = KeyName::new("example.com/log").unwrap();
        let key = PrivateKey::ed25519(name.clone(), &[1; 32]);
        let root = Hash::try_from(&[root; 32][..]).unwrap();
        let head = Checkpoint::new(name.into(), TreeSize::new(size).unwrap(), root);
        SignedCheckpoint::parse(&sign(&head, &[&key], Timestamp::MAX).unwrap()).unwrap()
    }

    fn held(size: u64, root: u8) -> Held {
        let root = Hash::try_from(&[root; 32][..]).unwrap();
        Held { size: TreeSize::new(size).unwrap(), root, time: Timestamp::ZERO }
    }

    #[test]
    fn the_first_contradiction_is_never_overwritten() {
        let (mut refused, held) = (Refused::default(), held(5, 1));
        assert_eq!(refused.slot(&signed(5, 1), &held, 0), None, "what was cosigned");
        assert_eq!(refused.slot(&signed(5, 2), &held, 0), Some(CONFLICT_SLOT));
        assert_eq!(refused.slot(&signed(5, 2), &held, 1), None, "kept already");
        for n in 0..RING_SLOTS {
            let slot = refused.slot(&signed(5, 10 + n), &held, 10 + u64::from(n));
            assert_eq!(slot, Some(1 + n));
        }
        assert_eq!(refused.slot(&signed(6, 9), &held, 99), Some(1), "the oldest makes room");
        assert_eq!(refused.slot(&signed(0, 9), &held, 99), Some(2), "the next oldest");
        assert_eq!(refused.kept.len(), usize::from(RING_SLOTS) + 1);
    }

    #[test]
    fn an_impossible_empty_tree_contradicts_itself() {
        let mut refused = Refused::default();
        assert_eq!(refused.slot(&signed(0, 9), &held(5, 1), 0), Some(CONFLICT_SLOT));
    }

    #[test]
    fn what_is_kept_is_known_again_after_a_start() {
        let note = RefusedNote { time: 3, status: 409, note: signed(7, 7).as_bytes().to_vec() };
        let mut refused = Refused::load(&[(4, note)]);
        assert_eq!(refused.slot(&signed(7, 7), &held(9, 9), 4), None);
        assert_eq!(refused.slot(&signed(8, 8), &held(9, 9), 4), Some(1));
    }
}
