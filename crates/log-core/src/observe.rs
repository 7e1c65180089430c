//! Where a log reports what it does, for metrics. Called from the write path: must not block.

use std::time::Duration;

use crate::invariants::Invariant;
use storage::LogName;

/// Receives events of all logs of a process. Every method does nothing by default.
pub trait Observer: Send + Sync + 'static {
    /// One synced write: entries and entry bytes over all logs in it, and how long it took.
    fn committed(&self, _logs: usize, _entries: usize, _bytes: usize, _took: Duration) {}

    /// A write failed; `ambiguous` if it may be found after a restart.
    fn commit_failed(&self, _ambiguous: bool) {}

    /// A call was refused because the log's queue was full.
    fn queue_full(&self, _log: &LogName) {}

    /// One sync of the journal with this many heads.
    fn journaled(&self, _heads: usize, _took: Duration) {}

    /// The journal cannot be written: signed receipts fail until a restart.
    fn journal_failed(&self) {}

    /// A checkpoint was published.
    fn published(&self, _log: &LogName) {}

    /// An invariant does not hold; the process ends right after this.
    fn invariant_violated(&self, _invariant: Invariant) {}
}

/// Reports to nobody.
#[derive(Clone, Copy, Debug)]
pub struct Unobserved;

impl Observer for Unobserved {}
