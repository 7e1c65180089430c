//! Time, read through a trait so that tests decide what it is, and believed only as far as clocks agree.
//!
//! | module | what |
//! |---|---|
//! | [`steps`] | whether the wall clock is believed: pure |
//! | [`checked`] | a clock that gives the wall clock's time only while it is believed |
//! | [`machine`] | the clock of the machine, and its time where no clock reaches |
//! | [`accepted`] | the file that remembers what an operator accepted |
//! | [`rfc3339`] | times as text |

pub mod accepted;
pub mod checked;
pub mod machine;
pub mod rfc3339;
pub mod steps;

pub use machine::SystemClock;

use std::fmt;
use std::future::{Future, poll_fn, ready};
use std::pin::{Pin, pin};
use std::sync::{Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;

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

/// The time was up first.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the time is up")]
pub struct TimeIsUp;

impl dyn Clock {
    /// Completes once [`Self::monotonic`] has reached `at`.
    pub fn sleep_until(&self, at: Duration) -> Sleep {
        let left = at.saturating_sub(self.monotonic());
        if left.is_zero() { Box::pin(ready(())) } else { self.sleep(left) }
    }

    /// What `future` gives, if it does within this time.
    pub async fn timeout<F: Future>(
        &self,
        within: Duration,
        future: F,
    ) -> Result<F::Output, TimeIsUp> {
        self.timeout_at(self.monotonic().saturating_add(within), future).await
    }

    /// What `future` gives, if it does before [`Self::monotonic`] reaches `at`.
    pub async fn timeout_at<F: Future>(
        &self,
        at: Duration,
        future: F,
    ) -> Result<F::Output, TimeIsUp> {
        let mut future = pin!(future);
        // Made when the future turns out to wait for something.
        let mut late: Option<Sleep> = None;
        poll_fn(|cx| {
            if let Poll::Ready(output) = future.as_mut().poll(cx) {
                return Poll::Ready(Ok(output));
            }
            let late = late.get_or_insert_with(|| self.sleep_until(at));
            late.as_mut().poll(cx).map(|()| Err(TimeIsUp))
        })
        .await
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
    use std::future::pending;

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

    #[tokio::test]
    async fn a_timeout_gives_what_comes_in_time_and_else_ends_by_the_clock() {
        let manual = ManualClock::new(1_000);
        let clock: &dyn Clock = &manual;
        let (hour, second) = (Duration::from_hours(1), Duration::from_secs(1));
        assert_eq!(clock.timeout(second, ready(7)).await, Ok(7));
        assert_eq!(clock.timeout_at(Duration::ZERO, ready(7)).await, Ok(7));
        assert_eq!(manual.sleepers(), 0, "no sleep for what is there");
        assert_eq!(clock.timeout_at(Duration::ZERO, pending::<()>()).await, Err(TimeIsUp));

        let never = clock.timeout(hour, pending::<()>());
        let passes = async {
            tokio::task::yield_now().await;
            manual.advance(Duration::from_secs(3_599));
            assert_eq!(manual.sleepers(), 1);
            manual.advance(second);
        };
        let (late, ()) = tokio::join!(never, passes);
        assert_eq!(late, Err(TimeIsUp));
        clock.sleep_until(hour).await;
    }
}
