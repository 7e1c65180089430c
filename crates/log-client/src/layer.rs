//! A layer for `tracing` that records what a service says under one target in an audit log.
//!
//! ```no_run
//! use log_client::layer::{AuditLayer, LayerOptions};
//! use tracing_subscriber::prelude::*;
//!
//! # fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let options = LayerOptions::new("urn:service:billing");
//! let (layer, guard) = AuditLayer::start("http://127.0.0.1:6962", options)?;
//! tracing_subscriber::registry().with(layer).init();
//! tracing::info!(target: "audit", action = "invoice.updated", actor = "user:ana",
//!     item = "invoice:4711", amount = 120, "corrected by hand");
//! drop(guard); // sends what waits
//! # Ok(())
//! # }
//! ```
//!
//! | field | member |
//! |---|---|
//! | `action` | `action`; without it [`LayerOptions::action`] |
//! | the message | `description` |
//! | `actor`, as `TYPE:ID`; `actor.name`, `actor.email` | `actor`; without it the service itself |
//! | `item`, as `TYPE:ID`; `item.name` | the one of `targets` |
//! | `outcome`, `category`, `operation`, `severity` | the same, by their words |
//! | `outcome_code`, `id`, `time`, `source` | the same |
//! | `ip`, `session` | `origin.ip`, `actor.session_id` |
//! | `request_id`, `trace_id` | `request.id`, `trace.trace_id` |
//! | every other | `metadata` |
//!
//! Without `outcome` an event of the level ERROR is a failure and any other a success; without `severity`
//! it is high for ERROR, medium for WARN, else info.
//!
//! The layer never blocks: events wait in a bounded queue, which a thread of its own empties. What finds
//! it full is lost, and so is what the server refuses; both are counted, and the count is itself recorded,
//! as `audit.events_lost`.

mod fields;
mod worker;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, Layer};

use crate::{
    client::{Client, ClientOptions},
    error::ClientError,
    events::{AuditClient, AuditEvent},
};

use self::{fields::Fields, worker::Worker};

/// What the layer records, and where.
#[derive(Clone, Debug)]
pub struct LayerOptions {
    /// The target whose events are recorded, and those below it: `audit` takes `audit::login` too.
    pub target: String,
    /// The log.
    pub log: String,
    /// The source of every event that states none: a URI.
    pub source: String,
    /// The action of an event that states none.
    pub action: String,
    /// Events that may wait; what comes beyond is lost, and counted.
    pub queue_events_max: usize,
    /// How long dropping the guard may take.
    pub flush_timeout: Duration,
    /// How the server is reached.
    pub client: ClientOptions,
}

impl LayerOptions {
    /// The target and the log `audit`, and room for 10,000 events.
    pub fn new(source: impl Into<String>) -> Self {
        Self {
            target: "audit".to_owned(),
            log: "audit".to_owned(),
            source: source.into(),
            action: "app.event".to_owned(),
            queue_events_max: 10_000,
            flush_timeout: Duration::from_secs(5),
            client: ClientOptions::default(),
        }
    }
}

/// Why a layer does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The server cannot be asked.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The thread that sends cannot be started.
    #[error("no thread for the layer")]
    Thread(#[source] std::io::Error),
}

/// Counts of a layer.
#[derive(Debug, Default)]
struct Counts {
    recorded: AtomicU64,
    lost: AtomicU64,
    /// Of those lost, the ones that no event says yet.
    untold: AtomicU64,
    /// Events that are on their way.
    sending: AtomicU64,
}

impl Counts {
    fn lose(&self, events: u64) {
        self.lost.fetch_add(events, Ordering::Relaxed);
        self.untold.fetch_add(events, Ordering::Relaxed);
    }
}

/// Hands events of a target to the thread that records them.
#[derive(Debug)]
pub struct AuditLayer {
    options: Arc<LayerOptions>,
    queue: mpsc::Sender<AuditEvent>,
    counts: Arc<Counts>,
}

/// Sends what waits when it is dropped, for at most [`LayerOptions::flush_timeout`].
#[derive(Debug)]
pub struct AuditGuard {
    stop: CancellationToken,
    thread: Option<JoinHandle<()>>,
    counts: Arc<Counts>,
}

impl AuditLayer {
    /// Starts the thread that records. The server need not be there yet.
    ///
    /// # Errors
    /// The address has another form, or no thread can be started.
    pub fn start(url: &str, options: LayerOptions) -> Result<(Self, AuditGuard), StartError> {
        let options = Arc::new(options);
        let counts = Arc::new(Counts::default());
        let stop = CancellationToken::new();
        // A channel without room would take nothing.
        let (queue, events) = mpsc::channel(options.queue_events_max.max(1));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(StartError::Thread)?;
        let client = {
            let _within = runtime.enter();
            Client::connect(url, &options.client)
        };
        let client = match client {
            Ok(client) => AuditClient::new(client),
            Err(error) => {
                // The caller may be within a runtime, where this one may not wait.
                runtime.shutdown_background();
                return Err(error.into());
            }
        };
        let worker = Worker {
            client,
            options: Arc::clone(&options),
            events,
            counts: Arc::clone(&counts),
            stop: stop.clone(),
        };
        let thread = std::thread::Builder::new().name("audit-layer".to_owned());
        let thread = thread.spawn(move || runtime.block_on(worker.run()));
        let thread = Some(thread.map_err(StartError::Thread)?);
        let guard = AuditGuard { stop, thread, counts: Arc::clone(&counts) };
        Ok((Self { options, queue, counts }, guard))
    }

    fn takes(&self, target: &str) -> bool {
        let below = target.strip_prefix(self.options.target.as_str());
        below.is_some_and(|below| below.is_empty() || below.starts_with("::"))
    }
}

impl AuditGuard {
    /// Events that the log has.
    pub fn recorded(&self) -> u64 {
        self.counts.recorded.load(Ordering::Relaxed)
    }

    /// Events that found the queue full, that the server refused, or of which it had not said that it has
    /// them when the time was over.
    pub fn lost(&self) -> u64 {
        self.counts.lost.load(Ordering::Relaxed)
    }

    /// Sends what waits, for at most [`LayerOptions::flush_timeout`], as dropping the guard does. Events
    /// that come later are lost. Blocks its thread.
    pub fn stop(&mut self) {
        self.stop.cancel();
        if let Some(thread) = self.thread.take() {
            // It ends by itself within the time for it. If it panicked, there is nothing more to send.
            let _ended = thread.join();
        }
    }
}

impl Drop for AuditGuard {
    fn drop(&mut self) {
        self.stop();
    }
}

impl<S: Subscriber> Layer<S> for AuditLayer {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        let metadata = event.metadata();
        if !self.takes(metadata.target()) {
            return;
        }
        let mut fields = Fields::default();
        event.record(&mut fields);
        let event = fields.into_event(*metadata.level(), &self.options);
        if self.queue.try_send(event).is_err() {
            self.counts.lose(1);
        }
    }
}
