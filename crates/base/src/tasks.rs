//! Tasks and threads, named and supervised: none of them dies unnoticed.
//!
//! | declared | after a panic in it |
//! |---|---|
//! | vital | the process ends, with [`PANIC_EXIT_CODE`] |
//! | helper | it is started again after a pause, and the server is not ready meanwhile |
//! | task | whoever waits for its result is told |
//!
//! Every panic is counted and logged by name.

mod background;
mod trip;

pub use background::Background;
pub use trip::{PANIC_DIR_VARIABLE, trip};

use std::any::Any;
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::runtime::Handle;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, error};

use crate::backoff::Backoff;
use crate::clock::machine::park_until;
use crate::clock::{Clock, SystemClock};

/// The exit status of a process that a vital task or thread panicked in (`EX_SOFTWARE`).
pub const PANIC_EXIT_CODE: u8 = 70;

/// The pause before a helper is started again; it doubles with every panic.
const PAUSE_MIN: Duration = Duration::from_secs(1);
/// The longest pause. A helper that ran for so long has earned the shortest one again.
const PAUSE_MAX: Duration = Duration::from_mins(1);

/// Watches over the tasks and threads of one server. Cloning it is cheap.
///
/// Tasks are started on the runtime of the caller; threads made here are within the runtime of theirs.
#[derive(Clone, Debug)]
pub struct Supervisor {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    /// What the pauses of helpers go by.
    clock: Arc<dyn Clock>,
    /// Panics so far, by task.
    panics: Mutex<BTreeMap<&'static str, u64>>,
    /// How many helpers of a name wait to be started again.
    down: Mutex<BTreeMap<&'static str, usize>>,
    /// The first vital task that panicked.
    vital: watch::Sender<Option<&'static str>>,
    /// Cancelled when no helper is worth waiting for any more.
    stopping: CancellationToken,
    /// Tasks that were started and are not gone.
    running: AtomicUsize,
    /// Told when the last one goes.
    idle: Notify,
}

impl Default for Supervisor {
    fn default() -> Self {
        Self::new()
    }
}

impl Supervisor {
    /// On the clock of the machine.
    pub fn new() -> Self {
        Self::on(Arc::new(SystemClock::new()))
    }

    /// Nothing has panicked yet. Helpers pause by this clock, threads by that of the machine.
    pub fn on(clock: Arc<dyn Clock>) -> Self {
        let inner = Inner {
            clock,
            panics: Mutex::default(),
            down: Mutex::default(),
            vital: watch::Sender::default(),
            stopping: CancellationToken::new(),
            running: AtomicUsize::new(0),
            idle: Notify::new(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Starts a task that others wait for, or that ends soon. `None` is what it gives after a panic.
    ///
    /// # Panics
    /// Outside a tokio runtime, as all that start tasks here.
    pub fn task<F>(&self, name: &'static str, future: F) -> JoinHandle<Option<F::Output>>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let supervisor = self.clone();
        self.start(name, async move { supervisor.caught(name, future).await })
    }

    /// Starts a task that the process cannot do without. After a panic [`Self::vital_panicked`] completes,
    /// and `on_panic` runs.
    pub fn vital<F>(
        &self,
        name: &'static str,
        future: F,
        on_panic: impl FnOnce() + Send + 'static,
    ) -> JoinHandle<Option<F::Output>>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let supervisor = self.clone();
        self.start(name, async move {
            let output = supervisor.vitally(name, future).await;
            if output.is_none() {
                on_panic();
            }
            output
        })
    }

    /// The body of a vital task.
    pub async fn vitally<F: Future>(&self, name: &'static str, future: F) -> Option<F::Output> {
        let output = self.caught(name, future).await;
        if output.is_none() {
            self.end(name);
        }
        output
    }

    /// Starts a task that is started again, by `make`, after a panic.
    pub fn helper<F>(
        &self,
        name: &'static str,
        make: impl FnMut() -> F + Send + 'static,
    ) -> JoinHandle<()>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.start(name, self.clone().keep(name, make))
    }

    /// The body of a helper: runs what `make` gives until it ends without a panic, or until the server
    /// stops and it panics.
    pub async fn keep<F>(self, name: &'static str, mut make: impl FnMut() -> F + Send)
    where
        F: Future<Output = ()> + Send,
    {
        let mut pauses = Pauses::new(&*self.inner.clock);
        while self.caught(name, async { make().await }).await.is_none() {
            if self.inner.stopping.is_cancelled() {
                return;
            }
            let down = self.down_for_now(name);
            let pause = self.inner.clock.sleep(pauses.next());
            // A stop ends the pause, not the helper: others may wait for its last work.
            self.inner.stopping.run_until_cancelled(pause).await;
            drop(down);
            pauses.started();
        }
    }

    /// As [`Self::vital`], on a thread of its own.
    ///
    /// # Errors
    /// The system refuses another thread.
    pub fn vital_thread(
        &self,
        name: &'static str,
        body: impl FnOnce() + Send + 'static,
        on_panic: impl FnOnce() + Send + 'static,
    ) -> std::io::Result<thread::JoinHandle<()>> {
        let supervisor = self.clone();
        spawn_thread(name, move || {
            if !supervisor.survived(name, body) {
                supervisor.end(name);
                on_panic();
            }
        })
    }

    /// As [`Self::helper`], on a thread of its own. It is not started again once `stopping` is set; setting
    /// it and unparking the thread ends a pause.
    ///
    /// # Errors
    /// The system refuses another thread.
    pub fn helper_thread(
        &self,
        name: &'static str,
        stopping: Arc<AtomicBool>,
        mut body: impl FnMut() + Send + 'static,
    ) -> std::io::Result<thread::JoinHandle<()>> {
        let supervisor = self.clone();
        spawn_thread(name, move || {
            let mut pauses = Pauses::new(&*supervisor.inner.clock);
            while !supervisor.survived(name, &mut body) && !stopping.load(Ordering::Acquire) {
                let down = supervisor.down_for_now(name);
                let stops = || stopping.load(Ordering::Acquire);
                park_until(stops, Some(pauses.next()));
                drop(down);
                if stops() {
                    return;
                }
                pauses.started();
            }
        })
    }

    /// Counts a panic that was caught elsewhere.
    pub fn panicked(&self, name: &'static str) {
        *lock(&self.inner.panics).entry(name).or_default() += 1;
    }

    /// Panics so far, by task.
    pub fn panics(&self) -> BTreeMap<&'static str, u64> {
        lock(&self.inner.panics).clone()
    }

    /// The helpers that panicked and were not started again yet.
    pub fn down(&self) -> Vec<&'static str> {
        lock(&self.inner.down).keys().copied().collect()
    }

    /// Ends the pauses of helpers, and starts none again that panics from here on.
    pub fn stop(&self) {
        self.inner.stopping.cancel();
    }

    /// The vital task that panicked, if one did.
    pub fn vital_down(&self) -> Option<&'static str> {
        *self.inner.vital.borrow()
    }

    /// Completes when a vital task has panicked, with its name.
    pub async fn vital_panicked(&self) -> &'static str {
        let mut vital = self.inner.vital.subscribe();
        match vital.wait_for(Option::is_some).await.map(|name| *name) {
            Ok(Some(name)) => name,
            // The sender is held here.
            Ok(None) | Err(_) => std::future::pending().await,
        }
    }

    /// Completes when no task is left.
    pub async fn ended(&self) {
        loop {
            let idle = self.inner.idle.notified();
            if self.inner.running.load(Ordering::SeqCst) == 0 {
                return;
            }
            idle.await;
        }
    }

    /// Starts a body made of [`Self::keep`] or [`Self::vitally`], which catch the panics.
    pub fn start<F>(&self, name: &'static str, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let running = Running::new(Arc::clone(&self.inner));
        let counted = async move {
            let _running = running;
            future.await
        };
        Handle::current().spawn(counted.instrument(tracing::debug_span!("task", name)))
    }

    fn end(&self, name: &'static str) {
        self.inner.vital.send_if_modified(|vital| {
            let first = vital.is_none();
            vital.get_or_insert(name);
            first
        });
    }

    /// Runs a future to its end, or to its panic, which is counted and logged.
    pub async fn caught<F: Future>(&self, name: &'static str, future: F) -> Option<F::Output> {
        let mut future = pin!(future);
        let polled = poll_fn(|cx| {
            trip(name);
            future.as_mut().poll(cx)
        });
        let result = AssertUnwindSafe(polled).catch_unwind().await;
        result.map_err(|panic| self.report(name, &*panic)).ok()
    }

    fn survived(&self, name: &'static str, body: impl FnOnce()) -> bool {
        let result = catch_unwind(AssertUnwindSafe(body));
        result.map_err(|panic| self.report(name, &*panic)).is_ok()
    }

    fn report(&self, name: &'static str, panic: &(dyn Any + Send)) {
        self.panicked(name);
        error!(task = name, panic = message(panic), "a task panicked");
    }

    fn down_for_now(&self, name: &'static str) -> Down<'_> {
        *lock(&self.inner.down).entry(name).or_default() += 1;
        Down { supervisor: self, name }
    }
}

/// Runs `work`, which may wait for the disk or compute for long, on a thread for that. A panic in it goes
/// on in the caller.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(output) => output,
        Err(error) if error.is_panic() => resume_unwind(error.into_panic()),
        // The runtime ends, and this task with it.
        Err(_) => std::future::pending().await,
    }
}

fn spawn_thread(
    name: &'static str,
    body: impl FnOnce() + Send + 'static,
) -> std::io::Result<thread::JoinHandle<()>> {
    let runtime = Handle::try_current().ok();
    thread::Builder::new().name(name.to_owned()).spawn(move || {
        let _within = runtime.as_ref().map(Handle::enter);
        body();
    })
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a panic said, as far as it is text.
fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("(no text)")
}

/// A task counts as running for as long as this lives.
struct Running(Arc<Inner>);

impl Running {
    fn new(inner: Arc<Inner>) -> Self {
        inner.running.fetch_add(1, Ordering::SeqCst);
        Self(inner)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.0.running.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.0.idle.notify_waiters();
        }
    }
}

/// A helper counts as down for as long as this lives.
struct Down<'a> {
    supervisor: &'a Supervisor,
    name: &'static str,
}

impl Drop for Down<'_> {
    fn drop(&mut self) {
        let mut down = lock(&self.supervisor.inner.down);
        let left = down.remove(self.name).unwrap_or_default();
        if left > 1 {
            down.insert(self.name, left - 1);
        }
    }
}

/// The pauses of one helper.
struct Pauses<'a> {
    clock: &'a dyn Clock,
    backoff: Backoff,
    /// By the clock's monotonic time.
    started: Duration,
}

impl<'a> Pauses<'a> {
    fn new(clock: &'a dyn Clock) -> Self {
        let started = clock.monotonic();
        Self { clock, backoff: Backoff::new(PAUSE_MIN, PAUSE_MAX), started }
    }

    fn started(&mut self) {
        self.started = self.clock.monotonic();
    }

    /// The pause after a panic that comes now.
    fn next(&mut self) -> Duration {
        if self.clock.monotonic().saturating_sub(self.started) >= PAUSE_MAX {
            self.backoff.reset();
        }
        self.backoff.failed()
    }
}

#[cfg(test)]
mod tests;
