//! What is durable, for everybody who reads: the newest heads, and which logs have evidence against them.
//! Written by the committer alone, after each sync.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use formats::{Origin, OriginHash};

use super::decide::Held;
use crate::store::Write;

/// The path below which a log is found.
pub fn origin_path(origin: &Origin) -> String {
    format!("/{}", origin.sha256())
}

/// The durable state, as far as it is kept in memory.
#[derive(Debug, Default)]
pub struct Public {
    state: RwLock<State>,
}

#[derive(Debug, Default)]
struct State {
    heads: HashMap<Origin, Head>,
    by_hash: HashMap<OriginHash, Origin>,
    /// Logs with evidence against them, and whether they are distrusted.
    accused: HashMap<Origin, bool>,
}

/// The last checkpoint cosigned for a log.
#[derive(Clone, Copy, Debug)]
struct Head {
    held: Held,
    /// The boot-time clock when it was cosigned, in milliseconds; below 0 if that was before the machine
    /// started. Its age is counted from here, as the wall clock may step.
    boot_ms: i64,
}

impl Public {
    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// The last checkpoint cosigned for a log.
    pub fn head(&self, origin: &Origin) -> Option<Held> {
        self.read().heads.get(origin).map(|head| head.held)
    }

    /// All of them.
    pub fn heads(&self) -> Vec<(Origin, Held)> {
        self.read().heads.iter().map(|(origin, head)| (origin.clone(), head.held)).collect()
    }

    /// All of them, each with the seconds since it was cosigned. `now_ms` is by the boot-time clock.
    pub fn heads_with_age(&self, now_ms: i64) -> Vec<(Origin, Held, u64)> {
        let age_s = |head: &Head| {
            let age_ms = now_ms.saturating_sub(head.boot_ms);
            u64::try_from(age_ms / 1_000).unwrap_or(0)
        };
        let heads = &self.read().heads;
        heads.iter().map(|(origin, head)| (origin.clone(), head.held, age_s(head))).collect()
    }

    /// The latest time that a cosignature states, in seconds since the Unix epoch.
    pub fn newest_s(&self) -> Option<u64> {
        self.read().heads.values().map(|head| head.held.time.seconds()).max()
    }

    /// The log of that name in a path, if anything is stored of it.
    pub fn origin(&self, hash: &OriginHash) -> Option<Origin> {
        self.read().by_hash.get(hash).cloned()
    }

    /// How many logs are not trusted because of evidence.
    pub fn distrusted(&self) -> usize {
        self.read().accused.values().filter(|distrusted| **distrusted).count()
    }

    /// Whether there is evidence against a log, and nobody has said that it is trusted nevertheless.
    pub fn is_distrusted(&self, origin: &Origin) -> bool {
        self.read().accused.get(origin) == Some(&true)
    }

    /// The logs with evidence against them, and whether they are distrusted. Without the operator's word
    /// they are.
    pub fn accused(&self) -> HashMap<Origin, bool> {
        self.read().accused.clone()
    }

    /// What an earlier process cosigned, at `boot_ms` by the boot-time clock.
    pub(super) fn load_head(&self, origin: Origin, held: Held, boot_ms: i64) {
        self.write().set_head(origin, Head { held, boot_ms });
    }

    pub(super) fn load_trust(&self, origin: &Origin, trusted: bool) {
        self.write().set_trust(origin, trusted);
    }

    /// Takes over what has just become durable, at `boot_ms` by the boot-time clock.
    pub(super) fn committed(&self, heads: Vec<(Origin, Held)>, writes: &[Write], boot_ms: i64) {
        let mut state = self.write();
        for (origin, held) in heads {
            state.set_head(origin, Head { held, boot_ms });
        }
        for write in writes {
            if let Write::Trust { origin, row } = write {
                state.set_trust(origin, row.trusted);
            }
        }
    }
}

impl State {
    fn set_head(&mut self, origin: Origin, new: Head) {
        if let Some(head) = self.heads.get_mut(&origin) {
            *head = new;
        } else {
            self.by_hash.insert(origin.sha256(), origin.clone());
            self.heads.insert(origin, new);
        }
    }

    fn set_trust(&mut self, origin: &Origin, trusted: bool) {
        self.by_hash.insert(origin.sha256(), origin.clone());
        self.accused.insert(origin.clone(), !trusted);
    }
}
