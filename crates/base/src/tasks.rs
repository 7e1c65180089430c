//! Tasks and threads, named and supervised: one that panics is reported by name.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::thread;

use futures_util::FutureExt as _;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, error};

/// Runs `future` on the current runtime. `None` is what the task gives after a panic.
///
/// # Panics
/// Outside a tokio runtime.
pub fn spawn<F>(name: &'static str, future: F) -> JoinHandle<Option<F::Output>>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    spawn_on(&Handle::current(), name, future)
}

/// As [`spawn`], on the runtime of `handle`: for threads that are not part of one.
pub fn spawn_on<F>(handle: &Handle, name: &'static str, future: F) -> JoinHandle<Option<F::Output>>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    spawn_vital_on(handle, name, future, || {})
}

/// As [`spawn_on`], for a task that others wait for: `on_panic` runs if it panics.
pub fn spawn_vital_on<F>(
    handle: &Handle,
    name: &'static str,
    future: F,
    on_panic: impl FnOnce() + Send + 'static,
) -> JoinHandle<Option<F::Output>>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    let supervised = async move {
        let result = AssertUnwindSafe(future).catch_unwind().await;
        if result.is_err() {
            error!(task = name, "a task panicked");
            on_panic();
        }
        result.ok()
    };
    handle.spawn(supervised.instrument(tracing::debug_span!("task", name)))
}

/// Tasks that go on until a server stops, and that are waited for then: what they hold, such as a store, is
/// free for the next one only when they are gone.
#[derive(Debug)]
pub struct Background {
    stopping: CancellationToken,
    tasks: Vec<JoinHandle<Option<()>>>,
}

impl Background {
    /// None yet. They stop, wherever they wait, when `stopping` is cancelled.
    pub fn new(stopping: CancellationToken) -> Self {
        Self { stopping, tasks: Vec::new() }
    }

    /// One more, as [`spawn`].
    pub fn spawn(&mut self, name: &'static str, future: impl Future<Output = ()> + Send + 'static) {
        let stopping = self.stopping.clone();
        self.tasks.push(spawn(name, async move {
            stopping.run_until_cancelled_owned(future).await;
        }));
    }

    /// Completes when all of them are gone.
    pub async fn ended(&mut self) {
        for task in self.tasks.drain(..) {
            // A panic was logged where it happened.
            drop(task.await);
        }
    }
}

/// Runs `body` on its own operating-system thread; `on_panic` runs there if it panics.
///
/// # Errors
/// The system refuses another thread.
pub fn spawn_thread(
    name: &'static str,
    body: impl FnOnce() + Send + 'static,
    on_panic: impl FnOnce() + Send + 'static,
) -> std::io::Result<thread::JoinHandle<()>> {
    thread::Builder::new().name(name.to_owned()).spawn(move || {
        if std::panic::catch_unwind(AssertUnwindSafe(body)).is_err() {
            error!(thread = name, "a thread panicked");
            on_panic();
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_ends_only_its_task() {
        let panics = async { std::panic::panic_any("on purpose") };
        let task: JoinHandle<Option<()>> = spawn("panics", panics);
        assert!(task.await.unwrap().is_none());
        assert_eq!(spawn("fine", async { 7 }).await.unwrap(), Some(7));
    }

    #[tokio::test]
    async fn a_panicking_vital_task_calls_its_supervisor() {
        let (sent, received) = std::sync::mpsc::channel();
        let panics = async { panic!("on purpose") };
        let task: JoinHandle<Option<()>> =
            spawn_vital_on(&Handle::current(), "t", panics, move || sent.send(1).unwrap());
        assert!(task.await.unwrap().is_none());
        assert_eq!(received.recv(), Ok(1));
    }

    #[tokio::test]
    async fn what_background_tasks_hold_is_free_when_they_ended() {
        let stopping = CancellationToken::new();
        let mut background = Background::new(stopping.clone());
        let held = std::sync::Arc::new(());
        for _ in 0..100 {
            let holds = std::sync::Arc::clone(&held);
            background.spawn("waits", async move {
                std::future::pending::<()>().await;
                drop(holds);
            });
        }
        background.spawn("panics", async { std::panic::panic_any("on purpose") });
        stopping.cancel();
        background.ended().await;
        assert_eq!(std::sync::Arc::strong_count(&held), 1);
    }

    #[test]
    fn a_panicking_thread_calls_its_supervisor() {
        let (sent, received) = std::sync::mpsc::channel();
        let thread = spawn_thread("t", || panic!("on purpose"), move || sent.send(1).unwrap());
        thread.unwrap().join().unwrap();
        assert_eq!(received.recv(), Ok(1));
    }
}
