//! How much of a log a follower takes at once, and how soon again: followers yield to appends. Pure.
//!
//! A log has a turn every [`TICK`] at most while it is written to. While it grows faster than a bound, only
//! as many entries are taken in a second as the busy rate says; once it is quieter, or where a back-fill
//! has more to do than callers write, large steps follow one another.

use std::collections::BTreeSet;
use std::time::Duration;

use base::backoff::Backoff;

/// Between two turns of a log that is up to date or busy.
pub(super) const TICK: Duration = Duration::from_millis(100);
/// Entries taken at once from a quiet log.
pub(super) const STEP_MAX: u64 = 16_384;
/// A log that grows by more entries than this in a tick is busy.
const BUSY_ENTRIES: u64 = 2_000;
/// The first pause after an error, and the longest.
const PAUSE_FIRST: Duration = Duration::from_millis(100);
const PAUSE_LONGEST: Duration = Duration::from_mins(1);

/// What is known of a log's growth.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// When the growth was last measured, and the size then.
    measured: Option<(Duration, u64)>,
    busy: bool,
}

impl Pace {
    /// Takes note of the size at the time `now`. Spans shorter than a tick are not measured.
    pub(super) fn measure(&mut self, now: Duration, size: u64) {
        if let Some((at, before)) = self.measured {
            let ticks = now.saturating_sub(at).as_millis() / TICK.as_millis();
            let ticks = u64::try_from(ticks).unwrap_or(u64::MAX);
            if ticks == 0 {
                return;
            }
            self.busy = size.saturating_sub(before) > BUSY_ENTRIES.saturating_mul(ticks);
        }
        self.measured = Some((now, size));
    }

    /// The log takes entries so fast that followers hold back.
    pub(super) fn is_busy(&self) -> bool {
        self.busy
    }

    /// The most entries of one turn; 0 says not now.
    pub(super) fn step(&self, busy_rate: u64) -> u64 {
        if self.busy { busy_rate / 10 } else { STEP_MAX }
    }
}

/// The errors of one log since it last went on.
#[derive(Debug)]
pub(super) struct Trouble {
    pauses: Backoff,
    kinds: BTreeSet<&'static str>,
}

impl Default for Trouble {
    fn default() -> Self {
        Self { pauses: Backoff::new(PAUSE_FIRST, PAUSE_LONGEST), kinds: BTreeSet::new() }
    }
}

impl Trouble {
    /// One more error: how long to wait, and whether its kind is new.
    pub(super) fn add(&mut self, kind: &'static str) -> (Duration, bool) {
        (self.pauses.failed(), self.kinds.insert(kind))
    }

    /// The log goes on: whether there was trouble.
    pub(super) fn end(&mut self) -> bool {
        std::mem::take(self).pauses.failures() > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_is_busy_at_the_bound_and_one_beyond() {
        for (grown, ticks, busy) in
            [(2_000, 1, false), (2_001, 1, true), (6_000, 3, false), (6_001, 3, true)]
        {
            let mut pace = Pace::default();
            pace.measure(TICK, 1_000_000);
            assert!(!pace.is_busy(), "a back-fill is not growth");
            pace.measure(TICK + TICK / 2, 1_009_000);
            assert!(!pace.is_busy(), "too short to tell");
            pace.measure(TICK * (ticks + 1), 1_000_000 + grown);
            assert_eq!(pace.is_busy(), busy, "{grown} in {ticks}");
            assert_eq!(pace.step(500), if busy { 50 } else { STEP_MAX });
            pace.measure(TICK * (ticks + 2), 1_000_000 + grown);
            assert!(!pace.is_busy());
        }
    }

    #[test]
    fn pauses_double_up_to_the_longest() {
        let mut trouble = Trouble::default();
        let pauses: Vec<_> = (0..100).map(|_| trouble.add("read").0.as_millis()).collect();
        assert_eq!(pauses[..4], [100, 200, 400, 800]);
        assert_eq!(pauses[8..11], [25_600, 51_200, 60_000]);
        assert_eq!(pauses[99], 60_000);
        assert!(trouble.end());
        assert_eq!(trouble.add("read").0.as_millis(), 100);
    }

    #[test]
    fn a_kind_of_trouble_is_new_once_until_it_is_over() {
        let mut trouble = Trouble::default();
        assert!(!trouble.end());
        let new = ["read", "read", "storage", "read"].map(|kind| trouble.add(kind).1);
        assert_eq!(new, [true, false, true, false]);
        assert!(trouble.end());
        assert!(!trouble.end());
        assert!(trouble.add("read").1);
    }
}
