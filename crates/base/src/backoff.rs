//! Pauses between attempts, for whoever tries again: each twice as long as the one before, up to a longest.

use std::time::Duration;

/// Counts failures in a row, and says how long to pause after each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
    failures: u32,
}

impl Backoff {
    /// Nothing has failed yet. The pause after the first failure is `first`; none is longer than `longest`.
    pub fn new(first: Duration, longest: Duration) -> Self {
        Self { first, longest, failures: 0 }
    }

    /// Failures since the last success.
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// A success, or what counts as one: the next pause is the first again.
    pub fn reset(&mut self) {
        self.failures = 0;
    }

    /// The pause after one more failure.
    pub fn failed(&mut self) -> Duration {
        let doublings = self.failures.min(30);
        self.failures = self.failures.saturating_add(1);
        self.first.saturating_mul(1 << doublings).min(self.longest)
    }

    /// The pause after one more failure, between half of [`Self::failed`] and all of it, so that those who
    /// failed together do not come back together. `random` says where between. The pause is never shorter
    /// than `asked`, what the other side asked for, and the jitter comes on top of that.
    pub fn failed_jittered(&mut self, asked: Option<Duration>, random: u32) -> Duration {
        let half = self.failed() / 2;
        let jittered = half + half.mul_f64(f64::from(random) / f64::from(u32::MAX));
        asked.map_or(jittered, |asked| asked.saturating_add(jittered / 4))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn backoff() -> Backoff {
        Backoff::new(Duration::from_millis(100), Duration::from_secs(1))
    }

    #[test]
    fn pauses_double_up_to_the_longest_and_begin_anew_after_a_reset() {
        let mut backoff = backoff();
        let pauses: Vec<u128> = (0..40).map(|_| backoff.failed().as_millis()).collect();
        assert_eq!(pauses[..5], [100, 200, 400, 800, 1_000]);
        assert!(pauses[5..].iter().all(|pause| *pause == 1_000));
        assert_eq!(backoff.failures(), 40);
        backoff.reset();
        assert_eq!((backoff.failures(), backoff.failed()), (0, Duration::from_millis(100)));
    }

    #[test]
    fn a_pause_never_overflows() {
        let mut backoff = Backoff::new(Duration::MAX / 3, Duration::MAX);
        let pauses = [(); 3].map(|()| backoff.failed());
        assert_eq!(pauses, [Duration::MAX / 3, (Duration::MAX / 3) * 2, Duration::MAX]);
    }

    #[test]
    fn jitter_takes_off_up_to_a_half() {
        let (mut low, mut high) = (backoff(), backoff());
        for full_ms in [100, 200, 400, 800, 1_000, 1_000] {
            let full = Duration::from_millis(full_ms);
            assert_eq!(low.failed_jittered(None, 0), full / 2);
            assert_eq!(high.failed_jittered(None, u32::MAX), full);
        }
    }

    #[test]
    fn the_pause_that_was_asked_for_is_never_shortened() {
        let asked = Duration::from_secs(9);
        assert_eq!(
            backoff().failed_jittered(Some(asked), 0),
            asked + Duration::from_micros(12_500)
        );
        assert_eq!(
            backoff().failed_jittered(Some(asked), u32::MAX),
            asked + Duration::from_millis(25)
        );
    }
}
