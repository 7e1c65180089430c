//! Keeps calls in flight and measures how long they take.
//!
//! Closed loop: each worker sends, waits, and sends again; a latency is the time from sending to
//! the answer. Open loop (`--rate`): each call has an intended time, fixed beforehand, and its
//! latency begins then. So a server that stalls pays for the calls that could not be sent
//! meanwhile. All calls that end inside the measured window count, and no others.

use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base::clock::machine::{self, sleep};
use hdrhistogram::Histogram;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// The longest latency that is recorded, in microseconds; longer ones count as this one.
const LATENCY_MAX_US: u64 = 60_000_000;
/// Pause after a failed call, so that a dead server is not called a million times.
const ERROR_PAUSE: Duration = Duration::from_millis(10);
/// How long the pacer sleeps at most, so that it notices the end of the run.
const PACER_SLEEP_MAX: Duration = Duration::from_millis(5);

/// One worker's way of making a call.
pub(crate) trait Call: Send + 'static {
    /// Makes call number `number`; numbers never repeat within a run.
    fn call(&mut self, number: u64) -> impl Future<Output = Reply> + Send;
}

/// The outcome of a call.
#[derive(Debug)]
pub(crate) enum Reply {
    Done(Done),
    /// The server refused the call for now; nothing was written.
    Shed {
        retry_after: Option<Duration>,
    },
    Failed(String),
}

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Done {
    /// New leaves, without duplicates.
    pub(crate) leaves: u64,
    pub(crate) duplicates: u64,
    /// The highest index among them, if the answer says it.
    pub(crate) last_index: Option<u64>,
    /// Events of an audit log that were found or counted.
    pub(crate) found: u64,
    /// Bytes of the events that were sent, as JSON, or of the answer with those that were found.
    pub(crate) bytes: u64,
}

/// How long a run lasts, and how fast it sends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Schedule {
    pub(crate) warmup: Duration,
    pub(crate) duration: Duration,
    /// Calls per second of the open loop; `None` for the closed loop.
    pub(crate) rate: Option<f64>,
}

/// The result of a run. Rates are over the measured window.
#[derive(Debug)]
pub(crate) struct Measured {
    pub(crate) latency_us: Histogram<u64>,
    pub(crate) calls: u64,
    pub(crate) leaves: u64,
    pub(crate) duplicates: u64,
    pub(crate) found: u64,
    pub(crate) bytes: u64,
    pub(crate) shed: u64,
    pub(crate) errors: u64,
    pub(crate) first_error: Option<String>,
    /// New leaves of the whole run, warm-up and tail too: the tree grew by at least so many.
    pub(crate) leaves_whole_run: u64,
    pub(crate) calls_whole_run: u64,
}

/// Runs every worker until the schedule ends and its last calls are answered.
pub(crate) async fn run<C: Call>(workers: Vec<C>, schedule: Schedule) -> Measured {
    let task = |worker| move |clock, tally| work(worker, clock, tally);
    run_tasks(workers.into_iter().map(task), schedule).await
}

/// Runs tasks that each keep calls in flight by themselves.
pub(crate) async fn run_tasks<T, F>(starts: impl Iterator<Item = T>, schedule: Schedule) -> Measured
where
    T: FnOnce(Arc<RunClock>, Arc<Mutex<Measured>>) -> F,
    F: Future<Output = ()> + Send + 'static,
{
    let clock = Arc::new(RunClock::start(schedule));
    let pacer = clock.pace.as_ref().map(|_| {
        let clock = Arc::clone(&clock);
        std::thread::spawn(move || clock.release_until_end())
    });
    let tally = Arc::new(Mutex::new(Measured::new()));
    let mut tasks = JoinSet::new();
    for start in starts {
        tasks.spawn(start(Arc::clone(&clock), Arc::clone(&tally)));
    }
    while let Some(ended) = tasks.join_next().await {
        ended.expect("a worker does not panic");
    }
    if let Some(pacer) = pacer {
        pacer.join().expect("the pacer does not panic");
    }
    let tally = Arc::into_inner(tally).expect("every worker has ended");
    tally.into_inner().unwrap_or_else(PoisonError::into_inner)
}

async fn work<C: Call>(mut worker: C, clock: Arc<RunClock>, tally: Arc<Mutex<Measured>>) {
    while let Some((number, since)) = clock.next_call().await {
        let reply = worker.call(number).await;
        let now = machine::now();
        let pause = reply.pause();
        let counts = clock.counts(now);
        tally.lock().unwrap_or_else(PoisonError::into_inner).add(reply, now - since, counts);
        if let Some(pause) = pause {
            sleep(pause).await;
        }
    }
}

/// The run's time line, shared by its workers.
#[derive(Debug)]
pub(crate) struct RunClock {
    measured_from: Instant,
    end: Instant,
    sent: AtomicU64,
    pace: Option<Pace>,
}

#[derive(Debug)]
struct Pace {
    start: Instant,
    calls_per_s: f64,
    due: Semaphore,
}

impl RunClock {
    fn start(schedule: Schedule) -> Self {
        let start = machine::now();
        let measured_from = start + schedule.warmup;
        let pace = |calls_per_s| Pace { start, calls_per_s, due: Semaphore::new(0) };
        Self {
            measured_from,
            end: measured_from + schedule.duration,
            sent: AtomicU64::new(0),
            pace: schedule.rate.map(pace),
        }
    }

    /// The number of the next call and the time at which its latency begins; `None` when the run is
    /// over.
    pub(crate) async fn next_call(&self) -> Option<(u64, Instant)> {
        if let Some(pace) = &self.pace {
            pace.due.acquire().await.ok()?.forget();
        }
        let now = machine::now();
        if now >= self.end {
            return None;
        }
        let number = self.sent.fetch_add(1, Ordering::Relaxed);
        Some((number, self.pace.as_ref().map_or(now, |pace| pace.intended(number))))
    }

    /// Whether a call that ends now is of the measured window.
    pub(crate) fn counts(&self, now: Instant) -> bool {
        now >= self.measured_from && now < self.end
    }

    /// Releases each call at its time. Runs on its own thread, because the runtime's timer (1 ms)
    /// is coarser than the latencies to be measured.
    fn release_until_end(&self) {
        let pace = self.pace.as_ref().expect("only an open loop has a pacer");
        let mut released = 0_u64;
        loop {
            let now = machine::now();
            if now >= self.end {
                pace.due.close();
                return;
            }
            let mut due = 0;
            while pace.intended(released) <= now {
                released += 1;
                due += 1;
            }
            pace.due.add_permits(due);
            let wait = pace.intended(released).saturating_duration_since(machine::now());
            std::thread::sleep(wait.min(PACER_SLEEP_MAX));
        }
    }
}

impl Pace {
    fn intended(&self, number: u64) -> Instant {
        self.start + Duration::from_secs_f64(float(number) / self.calls_per_s)
    }
}

impl Reply {
    fn pause(&self) -> Option<Duration> {
        match self {
            Self::Done(_) => None,
            Self::Shed { retry_after } => Some(retry_after.unwrap_or(ERROR_PAUSE)),
            Self::Failed(_) => Some(ERROR_PAUSE),
        }
    }
}

impl Measured {
    fn new() -> Self {
        let latency_us = Histogram::new_with_bounds(1, LATENCY_MAX_US, 3)
            .expect("the bounds are valid for three digits");
        Self {
            latency_us,
            calls: 0,
            leaves: 0,
            duplicates: 0,
            found: 0,
            bytes: 0,
            shed: 0,
            errors: 0,
            first_error: None,
            leaves_whole_run: 0,
            calls_whole_run: 0,
        }
    }

    pub(crate) fn add(&mut self, reply: Reply, latency: Duration, counts: bool) {
        match reply {
            Reply::Done(done) => self.add_done(done, latency, counts),
            Reply::Shed { .. } => self.shed += u64::from(counts),
            Reply::Failed(error) => {
                self.errors += 1;
                self.first_error.get_or_insert(error);
            }
        }
    }

    pub(crate) fn add_done(&mut self, done: Done, latency: Duration, counts: bool) {
        self.leaves_whole_run += done.leaves;
        self.calls_whole_run += 1;
        if counts {
            self.calls += 1;
            self.leaves += done.leaves;
            self.duplicates += done.duplicates;
            self.found += done.found;
            self.bytes += done.bytes;
            let latency_us = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
            self.latency_us.saturating_record(latency_us);
        }
    }

    /// A latency quantile in milliseconds.
    pub(crate) fn quantile_ms(&self, quantile: f64) -> f64 {
        float(self.latency_us.value_at_quantile(quantile)) / 1000.0
    }

    pub(crate) fn max_ms(&self) -> f64 {
        float(self.latency_us.max()) / 1000.0
    }
}

/// A count as a float, for rates: exact to 2^53, which no count of a run reaches.
#[expect(clippy::cast_precision_loss, reason = "a rate is rounded anyway")]
pub(crate) fn float(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_open_loop_takes_its_time_from_the_intended_send() {
        let start = machine::now();
        let pace = Pace { start, calls_per_s: 1000.0, due: Semaphore::new(2) };
        assert_eq!(pace.intended(1500), start + Duration::from_millis(1500));

        let end = start + Duration::from_hours(1);
        let sent = AtomicU64::new(250);
        let clock = RunClock { measured_from: start, end, sent, pace: Some(pace) };
        let since = |call: Option<(u64, Instant)>| call.map(|(number, at)| (number, at - start));
        let late = clock.next_call().await;
        assert_eq!(since(late), Some((250, Duration::from_millis(250))));
        let next = clock.next_call().await;
        assert_eq!(since(next), Some((251, Duration::from_millis(251))));
    }

    #[test]
    fn whole_run_and_window_are_counted_apart() {
        let mut measured = Measured::new();
        measured.add_done(
            Done { leaves: 5, duplicates: 1, ..Done::default() },
            Duration::from_millis(2),
            false,
        );
        measured.add_done(Done { leaves: 7, ..Done::default() }, Duration::from_millis(4), true);
        measured.add(Reply::Failed("gone".into()), Duration::ZERO, true);
        measured.add(Reply::Shed { retry_after: None }, Duration::ZERO, true);
        assert_eq!((measured.calls, measured.leaves, measured.duplicates), (1, 7, 0));
        assert_eq!((measured.leaves_whole_run, measured.errors, measured.shed), (12, 1, 1));
        assert!((measured.max_ms() - 4.0).abs() < 0.01);
    }
}
