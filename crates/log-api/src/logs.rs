//! The logs of a server, as both edges ask for them.

use std::sync::Arc;

use log_core::read::Reads;
use log_core::{Committed, EntryOutcome, Log, Registry};
use merkle::{Hash, LeafIndex};
use serve::principal::Principal;
use serve::refusal::Refusal;
use sha2::{Digest as _, Sha256};
use storage::{LogName, Scope};

use crate::metrics::Metrics;
use crate::refusal::{self, IntoRefusal as _};

/// What precedes a principal's id in the hash from which its scope is cut.
const SCOPE_DOMAIN: &[u8] = b"cairn/dedup-scope/v1\0";

/// The logs, and where they are read and counted. Cloning it is cheap.
#[derive(Clone, Debug)]
pub struct Logs {
    parts: Arc<Parts>,
}

#[derive(Debug)]
struct Parts {
    registry: Registry,
    reads: Arc<Reads>,
    metrics: Arc<Metrics>,
}

impl Logs {
    /// The logs of `registry`.
    pub fn new(registry: Registry, reads: Arc<Reads>, metrics: Arc<Metrics>) -> Self {
        Self { parts: Arc::new(Parts { registry, reads, metrics }) }
    }

    /// The log that a request names.
    pub fn named(&self, name: &str) -> Result<Log, Refusal> {
        if let Some(log) = self.registry().log(name) {
            return Ok(log);
        }
        Err(match LogName::new(name) {
            Ok(_) => refusal::log_not_found(name),
            Err(_) => refusal::bad_log_name(),
        })
    }

    pub(crate) fn registry(&self) -> &Registry {
        &self.parts.registry
    }

    /// Where the logs are read.
    pub fn reads(&self) -> &Arc<Reads> {
        &self.parts.reads
    }

    pub(crate) fn metrics(&self) -> &Metrics {
        &self.parts.metrics
    }

    /// Counts a refusal by its reason.
    pub fn refused(&self, refusal: &Refusal) {
        self.metrics().refused(refusal.reason.unwrap_or("UNKNOWN"));
    }
}

/// The outcome of an append of one entry.
pub(crate) fn single(committed: &Committed) -> Result<(LeafIndex, Hash, bool), Refusal> {
    match committed.outcomes.first() {
        Some(EntryOutcome::Appended { index, leaf_hash, duplicate }) => {
            Ok((*index, *leaf_hash, *duplicate))
        }
        Some(EntryOutcome::Refused(refusal)) => Err(refusal.clone().into_refusal()),
        Some(EntryOutcome::Skipped) | None => Err(Refusal::internal()),
    }
}

/// The scope of a caller's deduplication keys.
///
/// The scope of a caller with an id begins with a byte from 0x01 to 0x7f, so it is neither the
/// scope of anonymous callers nor that of whole entries.
pub(crate) fn scope(who: &Principal) -> Scope {
    match who {
        Principal::Anonymous => Scope::ANONYMOUS,
        Principal::Named(id) => {
            let hash = Sha256::new().chain_update(SCOPE_DOMAIN).chain_update(id.as_bytes());
            let mut scope = [0; 16];
            scope.copy_from_slice(&hash.finalize()[..16]);
            scope[0] = (scope[0] & 0x7f) | 0x01;
            Scope(scope)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_principal_has_a_scope_of_its_own() {
        assert_eq!(scope(&Principal::Anonymous), Scope([0; 16]));
        let of = |id: &str| scope(&Principal::Named(id.into()));
        // What is stored under it must be found by every later version.
        let stored = 0x7dc1_36f2_f843_db98_aa25_e977_85f8_5faf_u128;
        assert_eq!(of("issuer alice").0, stored.to_be_bytes());
        assert_eq!(of("issuer alice"), of("issuer alice"));
        let scopes: Vec<Scope> = (0..1_000).map(|id| of(&id.to_string())).collect();
        let distinct: std::collections::BTreeSet<Scope> = scopes.iter().copied().collect();
        assert_eq!(distinct.len(), scopes.len());
        assert!(!distinct.contains(&Scope::ANONYMOUS) && !distinct.contains(&Scope::LEAF));
        assert!(scopes.iter().all(|scope| (1..=0x7f).contains(&scope.0[0])));
        assert_ne!(of(""), Scope::ANONYMOUS);
    }
}
