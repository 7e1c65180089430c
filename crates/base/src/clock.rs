//! Time, read through a trait so that tests decide what it is, and believed only as far as clocks agree.
//!
//! | module | what |
//! |---|---|
//! | [`steps`] | whether the wall clock is believed: pure |
//! | [`checked`] | a clock that gives the wall clock's time only while it is believed |
//! | [`accepted`] | the file that remembers what an operator accepted |
//! | [`rfc3339`] | times as text |

pub mod accepted;
pub mod checked;
pub mod rfc3339;
pub mod steps;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};
use tokio::sync::oneshot;

/// A sleep in progress.
pub type Sleep = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Where the server reads the time. Cheap to call from any thread.
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// Milliseconds since the Unix epoch. May step back when an operator sets the clock.
    fn unix_ms(&self) -> u64;

    /// Time since an arbitrary start; never steps back.
    fn monotonic(&self) -> Duration;

    /// Time since the machine started, time asleep included: nobody sets this clock.
    fn boot_time(&self) -> Duration;

    /// Completes once [`Self::monotonic`] has advanced by `duration`.
    fn sleep(&self, duration: Duration) -> Sleep;
}

/// The boot-time clock in milliseconds.
pub fn boot_ms(clock: &dyn Clock) -> i64 {
    i64::try_from(clock.boot_time().as_millis()).unwrap_or(i64::MAX)
}

/// The clock of the machine.
#[derive(Debug)]
pub struct SystemClock {
    start: Instant,
}

impl SystemClock {
    pub fn new() -> Self {
        Self { start: Instant::now() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn unix_ms(&self) -> u64 {
        #[expect(clippy::disallowed_methods, reason = "the one place that reads the wall clock")]
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
        Box::pin(tokio::time::sleep(duration))
    }
}

/// A clock that only moves when it is told to: for tests.
#[derive(Debug)]
pub struct ManualClock {
    state: Mutex<ManualState>,
}

#[derive(Debug)]
struct ManualState {
    unix_ms: u64,
    monotonic: Duration,
    asleep: Duration,
    sleepers: Vec<(Duration, oneshot::Sender<()>)>,
}

impl ManualClock {
    /// Starts at `unix_ms` milliseconds since the Unix epoch.
    pub fn new(unix_ms: u64) -> Self {
        let state = ManualState {
            unix_ms,
            monotonic: Duration::ZERO,
            asleep: Duration::ZERO,
            sleepers: Vec::new(),
        };
        Self { state: Mutex::new(state) }
    }

    /// Moves all readings on, and ends the sleeps that are due.
    pub fn advance(&self, by: Duration) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.monotonic += by;
        state.unix_ms += u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
        let now = state.monotonic;
        let (due, later) = state.sleepers.drain(..).partition(|(at, _)| *at <= now);
        state.sleepers = later;
        drop(state);
        let due: Vec<(Duration, oneshot::Sender<()>)> = due;
        for (_, wake) in due {
            // A sleeper that was dropped needs no waking.
            let _gone = wake.send(());
        }
    }

    /// The machine sleeps: the wall clock and the boot-time clock go on, sleeps do not notice.
    pub fn suspend(&self, duration: Duration) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.asleep += duration;
        state.unix_ms += u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    }

    /// Sets the wall clock alone, forwards or back; sleeps do not notice.
    pub fn set_unix_ms(&self, unix_ms: u64) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).unix_ms = unix_ms;
    }

    /// How many sleeps have not ended.
    pub fn sleepers(&self) -> usize {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).sleepers.len()
    }
}

impl Clock for ManualClock {
    fn unix_ms(&self) -> u64 {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).unix_ms
    }

    fn monotonic(&self) -> Duration {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).monotonic
    }

    fn boot_time(&self) -> Duration {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.monotonic + state.asleep
    }

    fn sleep(&self, duration: Duration) -> Sleep {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let (wake, woken) = oneshot::channel();
        let at = state.monotonic + duration;
        state.sleepers.push((at, wake));
        Box::pin(async move {
            // An error means that the clock is gone, and with it whoever could be waiting for time.
            drop(woken.await);
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn manual_sleep_ends_when_time_has_passed() {
        let clock = ManualClock::new(1_000);
        let sleep = clock.sleep(Duration::from_millis(5));
        clock.advance(Duration::from_millis(4));
        assert_eq!(clock.sleepers(), 1);
        clock.advance(Duration::from_millis(1));
        assert_eq!(clock.sleepers(), 0);
        sleep.await;
        assert_eq!(clock.unix_ms(), 1_005);
    }

    #[test]
    fn the_wall_clock_steps_alone_and_sleep_counts_as_boot_time() {
        let clock = ManualClock::new(1_000);
        clock.set_unix_ms(500);
        assert_eq!((clock.unix_ms(), clock.boot_time()), (500, Duration::ZERO));
        clock.suspend(Duration::from_secs(1));
        assert_eq!((clock.unix_ms(), clock.boot_time()), (1_500, Duration::from_secs(1)));
        assert_eq!(clock.monotonic(), Duration::ZERO);
    }

    #[test]
    fn the_boot_time_of_the_machine_goes_on() {
        let clock = SystemClock::new();
        let before = clock.boot_time();
        assert!(before > Duration::ZERO);
        assert!(clock.boot_time() >= before);
    }
}
