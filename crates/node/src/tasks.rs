//! Tasks and threads, named and supervised: one that panics is reported by name.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::thread;

use futures_util::FutureExt as _;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
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

    #[test]
    fn a_panicking_thread_calls_its_supervisor() {
        let (sent, received) = std::sync::mpsc::channel();
        let thread = spawn_thread("t", || panic!("on purpose"), move || sent.send(1).unwrap());
        thread.unwrap().join().unwrap();
        assert_eq!(received.recv(), Ok(1));
    }
}
