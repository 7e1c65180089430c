//! Checkpoints whose signatures were verified before.

use std::{
    collections::{BTreeMap, VecDeque},
    num::NonZeroUsize,
    sync::{Arc, Mutex, PoisonError},
};

use formats::{SignedCheckpoint, Trust, VerifiedCheckpoint};

use super::{CheckpointVerifier, VerifyError};

/// Verifies checkpoints and remembers those that held, by their exact bytes.
///
/// Many receipts of a busy log carry the same checkpoint: the appends that one signed head answers. For
/// all but the first, verification then costs no signature. What did not verify is not remembered.
/// Bounded: the checkpoint remembered longest makes room for the next.
#[derive(Debug)]
pub struct VerifiedCheckpoints {
    trust: Trust,
    capacity: NonZeroUsize,
    /// Locked for a look-up or an insertion, never while a signature is verified.
    remembered: Mutex<Remembered>,
}

#[derive(Debug, Default)]
struct Remembered {
    by_note: BTreeMap<Arc<[u8]>, VerifiedCheckpoint>,
    oldest_first: VecDeque<Arc<[u8]>>,
}

impl VerifiedCheckpoints {
    /// Remembers up to `capacity` checkpoints that `trust` believes, some hundred bytes each.
    pub fn new(trust: Trust, capacity: NonZeroUsize) -> Self {
        Self { trust, capacity, remembered: Mutex::default() }
    }

    /// Whom this believes.
    pub fn trust(&self) -> &Trust {
        &self.trust
    }

    /// Checkpoints remembered now.
    pub fn len(&self) -> usize {
        self.lock(|remembered| remembered.by_note.len())
    }

    /// Whether none is remembered.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn remember(&self, verified: &VerifiedCheckpoint) {
        let note: Arc<[u8]> = verified.as_bytes().into();
        self.lock(|remembered| {
            if remembered.by_note.insert(Arc::clone(&note), verified.clone()).is_some() {
                return;
            }
            remembered.oldest_first.push_back(note);
            if remembered.oldest_first.len() > self.capacity.get()
                && let Some(oldest) = remembered.oldest_first.pop_front()
            {
                remembered.by_note.remove(&oldest);
            }
        });
    }

    fn lock<T>(&self, use_it: impl FnOnce(&mut Remembered) -> T) -> T {
        // Every state of the map is a valid one, so a panic elsewhere while it was locked did no harm.
        use_it(&mut self.remembered.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl CheckpointVerifier for VerifiedCheckpoints {
    fn verify_signed(&self, signed: &SignedCheckpoint) -> Result<VerifiedCheckpoint, VerifyError> {
        let known = self.lock(|remembered| remembered.by_note.get(signed.as_bytes()).cloned());
        if let Some(known) = known {
            return Ok(known);
        }
        let verified = self.trust.verify_signed(signed)?;
        self.remember(&verified);
        Ok(verified)
    }

    fn verify_note(&self, note: &[u8]) -> Result<VerifiedCheckpoint, VerifyError> {
        let known = self.lock(|remembered| remembered.by_note.get(note).cloned());
        if let Some(known) = known {
            return Ok(known);
        }
        let signed = SignedCheckpoint::parse(note).map_err(VerifyError::MalformedCheckpoint)?;
        self.verify_signed(&signed)
    }
}
