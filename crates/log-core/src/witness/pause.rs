//! Pauses after failed submissions. Pure.

use std::time::Duration;

/// The first pause, before jitter: a witness that restarts is back soon.
const PAUSE_MIN: Duration = Duration::from_millis(100);

/// The pause after the `failures`-th failure in a row. It doubles up to `max`; `random` takes off up to a
/// half, so that logs do not all come back at once. It is never shorter than the witness asked for.
pub(super) fn pause(
    failures: u32,
    max: Duration,
    asked: Option<Duration>,
    random: u32,
) -> Duration {
    let doublings = failures.saturating_sub(1).min(30);
    let full = PAUSE_MIN.saturating_mul(1 << doublings).min(max);
    let jittered = full / 2 + (full / 2).mul_f64(f64::from(random) / f64::from(u32::MAX));
    asked.map_or(jittered, |asked| asked.saturating_add(jittered / 4))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_to_their_limit_within_the_jitter() {
        let max = Duration::from_secs(1);
        for (failures, full_ms) in [(1, 100), (2, 200), (4, 800), (5, 1_000), (u32::MAX, 1_000)] {
            let full = Duration::from_millis(full_ms);
            assert_eq!(pause(failures, max, None, 0), full / 2);
            assert_eq!(pause(failures, max, None, u32::MAX), full);
        }
    }

    #[test]
    fn the_witness_s_pause_is_never_shortened() {
        let asked = Duration::from_secs(9);
        assert!(pause(1, Duration::from_secs(1), Some(asked), 0) >= asked);
    }
}
