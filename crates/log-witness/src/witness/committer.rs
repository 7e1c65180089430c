//! The one thread that writes: whatever waits, of all logs, becomes durable with one sync.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use base::clock::{Clock, boot_ms};
use base::tasks::{self, Supervisor};
use formats::Origin;
use tokio::sync::watch;

use super::decide::Held;
use super::public::Public;
use crate::metrics::Metrics;
use crate::store::{Store, Write};

/// Steps that may wait for a commit. Beyond it the threads that sign wait.
const QUEUE_STEPS_MAX: usize = 4_096;
/// Bytes that one commit writes, about: what bounds the latency of those who wait for it.
const COMMIT_BYTES_MAX: usize = 4 * 1024 * 1024;

/// The store did not take a write. Nobody knows what it holds until the next start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the store cannot be written")]
pub struct StoreFailed;

/// What is said once a step is durable, or cannot become so.
type Done = Box<dyn FnOnce(Result<(), StoreFailed>) + Send>;

/// Writes that belong together, and who waits for them. Without writes it only waits its turn: an answer
/// that depends on what was written before it must not overtake that.
pub(super) struct Step {
    pub(super) writes: Vec<Write>,
    /// What is a log's newest head once this is durable.
    pub(super) head: Option<(Origin, Held)>,
    pub(super) done: Done,
}

enum Order {
    Step(Step),
    Stop,
}

/// Hands steps to the committer. Cloning it is cheap.
#[derive(Clone)]
pub(super) struct Committer {
    orders: SyncSender<Order>,
}

impl std::fmt::Debug for Committer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Committer")
    }
}

/// What the committer's thread works with.
pub(super) struct Parts {
    pub(super) store: Arc<Store>,
    pub(super) public: Arc<Public>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) clock: Arc<dyn Clock>,
    /// Set when the process must end.
    pub(super) failed: watch::Sender<bool>,
}

impl Committer {
    /// Starts the thread.
    pub(super) fn start(
        parts: Parts,
        supervisor: &Supervisor,
    ) -> std::io::Result<(Self, JoinHandle<()>)> {
        let (orders, received) = sync_channel(QUEUE_STEPS_MAX);
        let failed = parts.failed.clone();
        let on_panic = move || {
            failed.send_replace(true);
        };
        let body = move || run(&parts, &received);
        let thread = supervisor.vital_thread("committer", body, on_panic)?;
        Ok((Self { orders }, thread))
    }

    /// Waits while the queue is full. A step that cannot be handed over is answered.
    pub(super) fn commit(&self, step: Step) {
        if let Err(unsent) = self.orders.send(Order::Step(step)) {
            refuse(unsent.0);
        }
    }

    /// Ends the thread after what was handed over before.
    pub(super) fn stop(&self) {
        // It has stopped already.
        drop(self.orders.send(Order::Stop));
    }
}

fn refuse(order: Order) {
    if let Order::Step(step) = order {
        (step.done)(Err(StoreFailed));
    }
}

fn run(parts: &Parts, orders: &Receiver<Order>) {
    let mut stopping = false;
    while !stopping {
        let Ok(first) = orders.recv() else { return };
        tasks::trip("committer");
        let steps = gather(first, orders, &mut stopping);
        if !commit(parts, steps) {
            parts.failed.send_replace(true);
            return;
        }
    }
}

/// The first order and what else has queued while the last commit ran.
fn gather(first: Order, orders: &Receiver<Order>, stopping: &mut bool) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut bytes = 0;
    let mut next = Some(first);
    while let Some(order) = next {
        let Order::Step(step) = order else {
            *stopping = true;
            break;
        };
        bytes += step.writes.iter().map(write_bytes).sum::<usize>();
        steps.push(step);
        next = if bytes < COMMIT_BYTES_MAX { orders.try_recv().ok() } else { None };
    }
    steps
}

fn write_bytes(write: &Write) -> usize {
    match write {
        Write::Checkpoint { row, .. } => row.note.len(),
        Write::Refused { row, .. } => row.note.len(),
        Write::Keys { vkeys, .. } => vkeys.len(),
        Write::Trust { row, .. } => row.evidence.len(),
        Write::ForgetKeys { .. } => 0,
    }
}

/// One sync. **Its return is the commit point**: before it nothing was answered and a crash leaves the
/// state before; after it a crash leaves what is about to be answered.
fn commit(parts: &Parts, steps: Vec<Step>) -> bool {
    let mut writes = Vec::with_capacity(steps.len());
    let mut answers = Vec::with_capacity(steps.len());
    let mut heads = Vec::new();
    for step in steps {
        writes.extend(step.writes);
        heads.extend(step.head);
        answers.push(step.done);
    }
    let written = if writes.is_empty() { Ok(()) } else { write(parts, heads, &writes) };
    for done in answers {
        done(written);
    }
    written.is_ok()
}

fn write(parts: &Parts, heads: Vec<(Origin, Held)>, writes: &[Write]) -> Result<(), StoreFailed> {
    let started = parts.clock.monotonic();
    if let Err(error) = parts.store.commit(writes) {
        tracing::error!(%error, "nothing is signed any more: the process ends");
        return Err(StoreFailed);
    }
    let took = parts.clock.monotonic().saturating_sub(started);
    parts.metrics.committed(took, writes.len());
    parts.public.committed(heads, writes, boot_ms(&*parts.clock));
    Ok(())
}
