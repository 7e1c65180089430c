//! When a commit waits a moment for more calls.
//!
//! Callers in a closed loop come back soon after their answer. If many of them do, a sync that starts at
//! once takes only a few calls, so few calls share its cost. Waiting for all callers is no better: while
//! all of them wait for the disk, the cores have nothing to do. So a commit waits, up to a millisecond,
//! for half of the callers: one half is served while the other is synced. If there are few callers,
//! waiting only costs them time, so a commit does not wait.

/// With fewer callers than this, waiting does not pay.
const CALLERS_MIN: u64 = 32;

/// Estimates how many callers there are. Owned by the committer.
#[derive(Debug, Default)]
pub(super) struct Linger {
    /// The most calls seen at one time, in a commit and queued behind it. Decays slowly.
    callers: u64,
}

impl Linger {
    /// How many calls to wait for, `None` to start at once. Costs nothing.
    pub(super) fn calls_wanted(&self) -> Option<u64> {
        (self.callers >= CALLERS_MIN).then_some(self.callers / 2)
    }

    /// Learns from a commit of `calls` calls, at whose end `queued` others waited.
    pub(super) fn observe(&mut self, calls: u64, queued: u64) {
        let callers = calls.saturating_add(queued);
        self.callers = if callers >= self.callers {
            callers
        } else {
            // Falls slowly, as one small commit between large ones says little.
            (self.callers.saturating_mul(7) + callers) / 8
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(commits: &[(u64, u64)]) -> Linger {
        let mut linger = Linger::default();
        for (calls, queued) in commits {
            linger.observe(*calls, *queued);
        }
        linger
    }

    #[test]
    fn few_callers_never_wait() {
        assert_eq!(after(&[]).calls_wanted(), None);
        assert_eq!(after(&[(1, 0); 100]).calls_wanted(), None);
        assert_eq!(after(&[(16, 15); 100]).calls_wanted(), None);
    }

    #[test]
    fn half_of_the_callers_are_awaited_however_they_are_spread() {
        for commit in [(64, 0), (40, 24), (1, 63)] {
            assert_eq!(after(&[commit; 9]).calls_wanted(), Some(32), "{commit:?}");
        }
    }

    #[test]
    fn the_estimate_falls_when_callers_leave() {
        let mut commits = vec![(256, 0)];
        commits.extend([(1, 0); 24]);
        assert_eq!(after(&commits).calls_wanted(), None);
    }
}
