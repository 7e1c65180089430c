//! What must always hold. A violation ends the process before it can answer or sign; the hook counts
//! it first, as `cairn_invariant_violations_total{id}`.

use crate::observe::Observer;

/// The invariants this crate asserts, by their id in the documentation and in metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Invariant {
    /// L-1: no two roots are ever signed for one size of one log.
    OneRootPerSize,
    /// L-2: no index is answered before its commit is durable.
    DurableBeforeAnswered,
    /// L-5: size and head time only grow.
    OnlyGrows,
    /// L-7: a witnessed head is never ahead of the committed head.
    NotAheadOfCommitted,
    /// L-8: no signed head leaves the process before its journal record is durable.
    JournaledBeforeReleased,
}

impl Invariant {
    /// The id, as in `L-1`.
    pub fn id(self) -> &'static str {
        match self {
            Self::OneRootPerSize => "L-1",
            Self::DurableBeforeAnswered => "L-2",
            Self::OnlyGrows => "L-5",
            Self::NotAheadOfCommitted => "L-7",
            Self::JournaledBeforeReleased => "L-8",
        }
    }
}

/// Panics if `holds` is false, after counting the violation.
#[track_caller]
pub(crate) fn check(observer: &dyn Observer, holds: bool, invariant: Invariant) {
    if !holds {
        observer.invariant_violated(invariant);
    }
    assert!(holds, "invariant {} does not hold: {invariant:?}", invariant.id());
}
