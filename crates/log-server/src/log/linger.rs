//! When a commit waits a moment for more calls.
//!
//! Callers in a closed loop come back soon after they are answered. Where many do, a sync that starts at
//! once takes a few of them and leaves the rest for the next; waiting up to a millisecond takes most of
//! them together. Where few do, waiting only costs them time, so there is none.

/// Calls in a commit from which on waiting pays.
const CALLS_MIN: u64 = 16;
/// Commits after which the estimate is tested upwards once.
const PROBE_EVERY: u32 = 16;

/// Estimates how many calls come back together. Owned by the committer.
#[derive(Debug, Default)]
pub(super) struct Linger {
    /// How many calls are worth waiting for.
    estimate: u64,
    since_probe: u32,
}

impl Linger {
    /// How many calls to wait for, `None` to start at once.
    pub(super) fn calls_wanted(&self) -> Option<u64> {
        let probing = self.since_probe >= PROBE_EVERY;
        let growth = if probing { self.estimate / 2 } else { 0 };
        (self.estimate >= CALLS_MIN).then_some(self.estimate + growth)
    }

    /// Learns from a commit of `calls` calls.
    pub(super) fn observe(&mut self, calls: u64) {
        self.since_probe = if self.since_probe >= PROBE_EVERY { 0 } else { self.since_probe + 1 };
        self.estimate = if calls >= self.estimate {
            calls
        } else {
            // Falls slowly, as one small commit between large ones says little.
            (self.estimate * 3 + calls) / 4
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(calls: &[u64]) -> Linger {
        let mut linger = Linger::default();
        for calls in calls {
            linger.observe(*calls);
        }
        linger
    }

    #[test]
    fn few_callers_never_wait() {
        assert_eq!(after(&[]).calls_wanted(), None);
        assert_eq!(after(&[1; 100]).calls_wanted(), None);
        assert_eq!(after(&[CALLS_MIN - 1; 100]).calls_wanted(), None);
    }

    #[test]
    fn many_callers_are_awaited_and_probed() {
        assert_eq!(after(&[64]).calls_wanted(), Some(64));
        assert_eq!(after(&[64; 16]).calls_wanted(), Some(96));
        assert_eq!(after(&[64; 17]).calls_wanted(), Some(64));
    }

    #[test]
    fn the_estimate_falls_when_callers_leave() {
        let mut calls = vec![64];
        calls.extend([1; 8]);
        assert_eq!(after(&calls).calls_wanted(), None);
    }
}
