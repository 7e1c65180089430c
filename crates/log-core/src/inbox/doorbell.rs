//! Wakes one worker thread. While the worker is busy, ringing costs one atomic addition and no system
//! call; a worker that wants to wait for several rings is only woken by the last of them.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, Thread};
use std::time::Duration;

use base::clock::machine::park_until;

const NOBODY_WAITS: u64 = u64::MAX;

#[derive(Debug)]
pub(crate) struct Doorbell {
    /// How many rings there were so far. Written by callers.
    rung: AtomicU64,
    /// The ring that wakes the worker. Written by the worker.
    wake_at: AtomicU64,
    /// Set by the worker when it first waits.
    worker: OnceLock<Thread>,
}

impl Doorbell {
    pub(crate) fn new() -> Self {
        Self {
            rung: AtomicU64::new(0),
            wake_at: AtomicU64::new(NOBODY_WAITS),
            worker: OnceLock::new(),
        }
    }

    /// Counts one ring. What the caller wrote before is visible to the worker that sees the ring.
    pub(crate) fn ring(&self) {
        // Both sides first store their own word and then load the other's, all sequentially
        // consistent. So either this thread sees that the worker waits, or the worker sees this
        // ring before it parks.
        let rung = self.rung.fetch_add(1, Ordering::SeqCst) + 1;
        if rung >= self.wake_at.load(Ordering::SeqCst)
            && let Some(worker) = self.worker.get()
        {
            worker.unpark();
        }
    }

    /// All rings so far.
    pub(crate) fn rung(&self) -> u64 {
        self.rung.load(Ordering::SeqCst)
    }

    /// Blocks the worker until `count` rings after `seen` have happened, or `at_most` has passed.
    pub(crate) fn wait(&self, seen: u64, count: u64, at_most: Option<Duration>) {
        self.worker.get_or_init(thread::current);
        let target = seen.saturating_add(count);
        self.wake_at.store(target, Ordering::SeqCst);
        park_until(|| self.rung() >= target, at_most);
        self.wake_at.store(NOBODY_WAITS, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn rings_before_and_while_waiting_wake_the_worker() {
        let bell = Arc::new(Doorbell::new());
        bell.ring();
        bell.wait(0, 1, None);
        let ringer = Arc::clone(&bell);
        let thread = thread::spawn(move || (0..1_000).for_each(|_| ringer.ring()));
        bell.wait(1, 1_000, None);
        thread.join().unwrap();
        assert_eq!(bell.rung(), 1_001);
    }

    #[test]
    fn a_bounded_wait_ends() {
        Doorbell::new().wait(0, 1, Some(Duration::ZERO));
    }
}
