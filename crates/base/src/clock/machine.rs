//! The machine's own time: [`SystemClock`], and what there is for code that no [`Clock`] reaches, such as a
//! command line, the client library, benchmarks and threads that park. Nothing else reads it.

#![expect(
    clippy::disallowed_methods,
    reason = "this module is what the disallowed calls are replaced with"
)]

use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};
use tokio::time::Instant;

use super::{Clock, Sleep};

/// The clock of the machine. In a tokio runtime whose time is paused, that is the monotonic time.
#[derive(Debug)]
pub struct SystemClock {
    start: Instant,
}

impl SystemClock {
    /// Its monotonic time starts now.
    pub fn new() -> Self {
        Self { start: now() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn unix_ms(&self) -> u64 {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX)
    }

    fn monotonic(&self) -> Duration {
        self.start.elapsed()
    }

    fn boot_time(&self) -> Duration {
        // The system counts from zero and never has a negative boot time.
        clock_gettime(ClockId::Boottime).try_into().unwrap_or_default()
    }

    fn sleep(&self, duration: Duration) -> Sleep {
        Box::pin(sleep(duration))
    }
}

/// What a stopwatch starts with.
pub fn now() -> Instant {
    Instant::now()
}

/// Completes after `duration`, within a tokio runtime.
pub async fn sleep(duration: Duration) {
    tokio::time::sleep(duration).await;
}

/// Completes at `at`, within a tokio runtime.
pub async fn sleep_until(at: Instant) {
    tokio::time::sleep_until(at).await;
}

/// Blocks the thread until `done`, or for `at_most`. Whoever makes `done` true unparks the thread after it.
pub fn park_until(done: impl Fn() -> bool, at_most: Option<Duration>) {
    // Where a runtime's time is paused, parking takes time all the same.
    let end = at_most.and_then(|wait| std::time::Instant::now().checked_add(wait));
    while !done() {
        match end.map(|end| end.saturating_duration_since(std::time::Instant::now())) {
            None => thread::park(),
            Some(left) if left.is_zero() => return,
            Some(left) => thread::park_timeout(left),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    #[test]
    fn the_boot_time_of_the_machine_goes_on() {
        let clock = SystemClock::new();
        let before = clock.boot_time();
        assert!(before > Duration::ZERO);
        assert!(clock.boot_time() >= before);
    }

    #[tokio::test(start_paused = true)]
    async fn a_sleep_ends_when_its_time_has_passed_on_the_same_clock() {
        let clock = SystemClock::new();
        clock.sleep(Duration::from_hours(1)).await;
        let slept = clock.monotonic();
        assert!(slept >= Duration::from_hours(1) && slept < Duration::from_hours(2));
        let started = now();
        sleep(Duration::from_secs(1)).await;
        sleep_until(started + Duration::from_secs(3)).await;
        assert_eq!(started.elapsed().as_secs(), 3);
    }

    #[test]
    fn a_parked_thread_goes_on_when_it_is_told_or_its_time_is_over() {
        let done = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&done);
        let thread = thread::spawn(move || park_until(|| told.load(Ordering::Acquire), None));
        done.store(true, Ordering::Release);
        thread.thread().unpark();
        thread.join().unwrap();
        park_until(|| false, Some(Duration::from_millis(1)));
        park_until(|| true, None);
    }
}
