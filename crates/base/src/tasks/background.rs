//! Helpers that end with their server.

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::Supervisor;

/// Helpers that go on until a server stops, and that are waited for then: what they hold, such as a store,
/// is free for the next one only when they are gone.
#[derive(Debug)]
pub struct Background {
    supervisor: Supervisor,
    stopping: CancellationToken,
    tasks: Vec<JoinHandle<()>>,
}

impl Background {
    /// None yet. They stop, wherever they wait, when `stopping` is cancelled.
    pub fn new(supervisor: Supervisor, stopping: CancellationToken) -> Self {
        Self { supervisor, stopping, tasks: Vec::new() }
    }

    /// One more, as [`Supervisor::helper`].
    pub fn helper<F>(&mut self, name: &'static str, make: impl FnMut() -> F + Send + 'static)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let kept = self.supervisor.clone().keep(name, make);
        let stopping = self.stopping.clone();
        self.tasks.push(self.supervisor.start(name, async move {
            stopping.run_until_cancelled_owned(kept).await;
        }));
    }

    /// Completes when all of them are gone.
    pub async fn ended(&mut self) {
        for task in self.tasks.drain(..) {
            // Panics were caught within it.
            drop(task.await);
        }
    }
}
