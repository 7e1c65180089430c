//! Which pairs of source and id were seen, in 16 bytes a line.

use sha2::{Digest as _, Sha256};

/// Slots for each line, in tenths: a table that is nine tenths full is still searched quickly.
const TENTHS: usize = 9;

/// An open-addressing table of the first 16 bytes of SHA-256 over each pair.
#[derive(Debug)]
pub(super) struct Seen {
    slots: Vec<[u8; 16]>,
}

impl Seen {
    /// Room for so many lines. Takes 16 bytes for each, and a tenth more; pages that are never
    /// touched cost nothing.
    pub(super) fn with_room_for(lines: u64) -> Self {
        let lines = usize::try_from(lines).unwrap_or(usize::MAX);
        let slots = lines.saturating_mul(10) / TENTHS + 2;
        Self { slots: vec![[0; 16]; slots] }
    }

    /// Adds a pair; false if it was there. No more pairs may come than there is room for.
    pub(super) fn insert(&mut self, source: &str, id: &str) -> bool {
        let length = u64::try_from(source.len()).unwrap_or(u64::MAX);
        let digest = Sha256::new()
            .chain_update(length.to_be_bytes())
            .chain_update(source)
            .chain_update(id)
            .finalize();
        let mut key = [0; 16];
        key.copy_from_slice(&digest[..16]);
        key[15] |= 1; // an empty slot is all zeros
        let mut number = [0; 8];
        number.copy_from_slice(&key[..8]);
        let count = u64::try_from(self.slots.len()).unwrap_or(u64::MAX);
        let mut at = usize::try_from(u64::from_be_bytes(number) % count).unwrap_or(0);
        loop {
            let slot = &mut self.slots[at];
            if *slot == key {
                return false;
            }
            if *slot == [0; 16] {
                *slot = key;
                return true;
            }
            at = (at + 1) % self.slots.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_is_new_once() {
        let mut seen = Seen::with_room_for(3_000);
        for id in 0..1_000 {
            assert!(seen.insert("/a", &id.to_string()));
            assert!(seen.insert("/a1", &id.to_string()));
            assert!(seen.insert("", &format!("/a{id}-")));
        }
        for id in 0..1_000 {
            assert!(!seen.insert("/a", &id.to_string()));
            assert!(!seen.insert("/a1", &id.to_string()));
        }
        assert!(Seen::with_room_for(0).insert("/a", "1"));
    }
}
