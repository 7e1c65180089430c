//! The one place where this crate starts a task.

use std::future::Future;

use tokio::task::JoinHandle;

/// Starts a task whose handle the caller keeps: it ends with the object that owns it.
#[expect(clippy::disallowed_methods, reason = "this is the wrapper that the lint points to")]
pub(crate) fn spawn<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    tokio::spawn(future)
}
