//! For how long a step has not succeeded, when everything waits for that step. Readiness depends on
//! it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// A failure counts for this long after the last attempt. After that the next attempt may well
/// succeed.
const FAILURE_COUNTS_FOR: Duration = Duration::from_secs(5);
/// The value for "no such moment".
const NEVER: u64 = u64::MAX;

/// The attempts at one step, one at a time. Written by the thread that makes them, read by anybody.
#[derive(Debug)]
pub(crate) struct Progress {
    /// When the first attempt since the last success began, in milliseconds of the monotonic clock.
    since_ms: AtomicU64,
    /// When the last attempt failed, unless another one is under way.
    failed_ms: AtomicU64,
    /// No more attempts are made before a restart.
    given_up: AtomicBool,
}

impl Progress {
    pub(crate) const fn new() -> Self {
        Self {
            since_ms: AtomicU64::new(NEVER),
            failed_ms: AtomicU64::new(NEVER),
            given_up: AtomicBool::new(false),
        }
    }

    /// An attempt begins.
    pub(crate) fn begin(&self, now: Duration) {
        self.failed_ms.store(NEVER, Ordering::Relaxed);
        if self.since_ms.load(Ordering::Relaxed) == NEVER {
            self.since_ms.store(millis(now), Ordering::Relaxed);
        }
    }

    /// The attempt succeeded.
    pub(crate) fn succeed(&self) {
        self.since_ms.store(NEVER, Ordering::Relaxed);
    }

    /// The attempt failed.
    pub(crate) fn fail(&self, now: Duration) {
        self.failed_ms.store(millis(now), Ordering::Relaxed);
    }

    /// The attempt failed, and no other is made before a restart.
    pub(crate) fn give_up(&self) {
        self.given_up.store(true, Ordering::SeqCst);
    }

    pub(crate) fn has_given_up(&self) -> bool {
        self.given_up.load(Ordering::Relaxed)
    }

    /// How long attempts have gone on without success; zero if no attempt is under way or failed lately.
    pub(crate) fn stalled_for(&self, now: Duration) -> Duration {
        let now = millis(now);
        let since = self.since_ms.load(Ordering::Relaxed);
        let failed = self.failed_ms.load(Ordering::Relaxed);
        let forgotten = failed != NEVER && now.saturating_sub(failed) > millis(FAILURE_COUNTS_FOR);
        if since == NEVER || forgotten {
            return Duration::ZERO;
        }
        Duration::from_millis(now.saturating_sub(since))
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(NEVER - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn an_attempt_that_hangs_is_counted_from_its_start() {
        let progress = Progress::new();
        assert_eq!(progress.stalled_for(ms(9)), ms(0));
        progress.begin(ms(10));
        assert_eq!(progress.stalled_for(ms(17)), ms(7));
        progress.succeed();
        assert_eq!(progress.stalled_for(ms(18)), ms(0));
    }

    #[test]
    fn failures_add_up_until_one_succeeds() {
        let progress = Progress::new();
        for start in [1_000, 2_000, 3_000] {
            progress.begin(ms(start));
            progress.fail(ms(start + 1));
        }
        assert_eq!(progress.stalled_for(ms(3_002)), ms(2_002));
        progress.begin(ms(4_000));
        progress.succeed();
        assert_eq!(progress.stalled_for(ms(4_000)), ms(0));
    }

    #[test]
    fn an_old_failure_says_nothing() {
        let progress = Progress::new();
        progress.begin(ms(0));
        progress.fail(ms(1_000));
        assert_eq!(progress.stalled_for(ms(6_000)), ms(6_000));
        assert_eq!(progress.stalled_for(ms(6_001)), ms(0));
    }
}
