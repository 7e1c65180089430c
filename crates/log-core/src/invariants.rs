//! What must always hold. A violation ends the process before it can answer or sign; the hook counts
//! it first, as `cairn_invariant_violations_total{id}`.

use crate::observe::Observer;

/// Makes the enum, its list and its ids from one table, so that none of them can lack a line.
macro_rules! invariants {
    ($($(#[$meaning:meta])* $name:ident = $id:literal,)*) => {
        /// The invariants this crate asserts, by their id in the documentation and in metrics.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Invariant {
            $($(#[$meaning])* $name,)*
        }

        impl Invariant {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The id, as in `L-1`.
            pub fn id(self) -> &'static str {
                match self {
                    $(Self::$name => $id,)*
                }
            }
        }
    };
}

invariants! {
    /// No two roots are ever signed for one size of one log.
    OneRootPerSize = "L-1",
    /// No index is answered before its commit is durable.
    DurableBeforeAnswered = "L-2",
    /// Size and head time only grow.
    OnlyGrows = "L-5",
    /// A witnessed head is never ahead of the committed head.
    NotAheadOfCommitted = "L-7",
    /// No signed head leaves the process before its journal record is durable.
    JournaledBeforeReleased = "L-8",
}

/// Panics if `holds` is false, after counting the violation.
#[track_caller]
pub(crate) fn check(observer: &dyn Observer, holds: bool, invariant: Invariant) {
    if !holds {
        observer.invariant_violated(invariant);
    }
    assert!(holds, "invariant {} does not hold: {invariant:?}", invariant.id());
}
