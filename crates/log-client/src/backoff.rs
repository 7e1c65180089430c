//! Pauses between attempts: exponential, jittered, and never shorter than what the server asked for.

use std::time::Duration;

use base::backoff;

/// How long to wait between attempts, and when to give up.
#[derive(Clone, Debug)]
pub struct RetryPolicy {
    /// The first pause, before jitter.
    pub pause_min: Duration,
    /// No pause is longer, before jitter, unless the server asks for more.
    pub pause_max: Duration,
    /// Attempts in all before the last error is handed to the caller; `None`: never give up.
    pub attempts_max: Option<u32>,
}

impl Default for RetryPolicy {
    /// 50 ms doubling to 10 s, without end: an audit entry is not dropped because a server restarts.
    fn default() -> Self {
        Self {
            pause_min: Duration::from_millis(50),
            pause_max: Duration::from_secs(10),
            attempts_max: None,
        }
    }
}

/// Counts the attempts of one call and names the pause after each.
#[derive(Debug)]
pub(crate) struct Backoff {
    pauses: backoff::Backoff,
    attempts_max: Option<u32>,
    jitter: Jitter,
}

impl Backoff {
    pub(crate) fn new(policy: &RetryPolicy, jitter: Jitter) -> Self {
        let pauses = backoff::Backoff::new(policy.pause_min, policy.pause_max);
        Self { pauses, attempts_max: policy.attempts_max, jitter }
    }

    /// Failed attempts since the last success.
    pub(crate) fn attempts(&self) -> u32 {
        self.pauses.failures()
    }

    pub(crate) fn succeeded(&mut self) {
        self.pauses.reset();
    }

    /// The pause after one more failed attempt; `None` to give up.
    pub(crate) fn failed(&mut self, retry_after: Option<Duration>) -> Option<Duration> {
        let pause = self.pauses.failed_jittered(retry_after, self.jitter.next());
        let spent = self.attempts_max.is_some_and(|max| self.pauses.failures() >= max);
        (!spent).then_some(pause)
    }
}

/// A small seeded generator (splitmix64): spreading pauses needs no cryptography.
#[derive(Clone, Debug)]
pub(crate) struct Jitter(u64);

impl Jitter {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Seeded by bytes that differ from caller to caller.
    pub(crate) fn of(id: &[u8; 16]) -> Self {
        let (seed, _) = id.split_first_chunk().expect("16 bytes hold eight");
        Self(u64::from_be_bytes(*seed))
    }

    fn next(&mut self) -> u32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        u32::try_from((mixed ^ (mixed >> 31)) >> 32).expect("half of 64 bits fits 32")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(attempts_max: Option<u32>) -> RetryPolicy {
        RetryPolicy {
            pause_min: Duration::from_millis(100),
            pause_max: Duration::from_secs(1),
            attempts_max,
        }
    }

    #[test]
    fn pauses_double_up_to_the_limit_and_stay_within_the_jitter() {
        let mut backoff = Backoff::new(&policy(None), Jitter::new(7));
        for expected_ms in [100_u64, 200, 400, 800, 1000, 1000] {
            let pause = backoff.failed(None).expect("no limit of attempts");
            let expected = Duration::from_millis(expected_ms);
            assert!(pause >= expected / 2 && pause <= expected, "{pause:?} for {expected:?}");
        }
    }

    #[test]
    fn the_server_s_pause_is_never_shortened() {
        let mut backoff = Backoff::new(&policy(None), Jitter::new(7));
        let asked = Duration::from_secs(3);
        assert!(backoff.failed(Some(asked)).expect("no limit of attempts") >= asked);
    }

    #[test]
    fn gives_up_at_the_limit_of_attempts_and_starts_over_after_a_success() {
        let mut backoff = Backoff::new(&policy(Some(2)), Jitter::new(7));
        assert!(backoff.failed(None).is_some());
        backoff.succeeded();
        assert!(backoff.failed(None).is_some());
        assert_eq!(backoff.failed(None), None);
    }
}
