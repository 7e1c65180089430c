//! The witness itself, in the order a submission meets it.
//!
//! ```text
//! request task                     lane (one thread for each of a few shares of the logs)
//! parse 400 → log 404 → 403   ──►  400 409 422 → time → sign          committer (one thread)
//!                                  and what is held is replaced  ──►  one synced write for all logs
//!        ◄──────────────────────────── answer ─────────────────────────────────┘
//! ```
//!
//! Signatures of the log are verified in the request's own task, as they need nothing that changes.

mod committer;
mod cosigner;
mod decide;
mod lane;
mod public;
mod refusal;
mod refused;

pub use committer::StoreFailed;
pub use cosigner::{Cosigner, CosignerError};
pub use decide::Held;
pub use public::{Public, origin_path};
pub use refusal::Refusal;

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use base::clock::{Clock, boot_ms};
use base::tasks;
use formats::{AddCheckpoint, Origin, SignSubtree, Timestamp, VerifierKey};
use tokio::sync::{oneshot, watch};

use crate::metrics::Metrics;
use crate::roster::Roster;
use crate::store::{Store, StoreError, Write};
use committer::{Committer, Parts, Step};
use lane::{Lane, Lines, LogState, Order};
use refused::Refused;

/// Orders that may wait for one lane. Beyond it submissions are refused at once.
const LANE_ORDERS_MAX: usize = 1_024;

/// Why the witness does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the system refuses another thread: {0}")]
    Thread(#[from] std::io::Error),
}

/// What a witness is made of.
#[derive(Debug)]
pub struct Options {
    pub store: Arc<Store>,
    pub cosigner: Cosigner,
    pub roster: Arc<Roster>,
    pub clock: Arc<dyn Clock>,
    pub metrics: Arc<Metrics>,
    /// Threads that decide and sign.
    pub lanes: usize,
}

/// A handle to the witness. Cloning it is cheap.
#[derive(Clone, Debug)]
pub struct Witness {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    store: Arc<Store>,
    cosigner: Arc<Cosigner>,
    roster: Arc<Roster>,
    public: Arc<Public>,
    metrics: Arc<Metrics>,
    lanes: Vec<SyncSender<Order>>,
    committer: Committer,
    failed: watch::Receiver<bool>,
    /// Taken when they are joined.
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Witness {
    /// Reads what is stored, and starts the threads. Costs one pass over all rows.
    pub fn start(options: Options) -> Result<Self, StartError> {
        let Options { store, cosigner, roster, clock, metrics, lanes } = options;
        let lanes = lanes.max(1);
        let public = Arc::new(Public::default());
        let shares = load(&store, &public, lanes, &*clock)?;
        let (on_failed, failed) = watch::channel(false);
        let parts = Parts {
            store: Arc::clone(&store),
            public: Arc::clone(&public),
            metrics: Arc::clone(&metrics),
            clock: Arc::clone(&clock),
            failed: on_failed.clone(),
        };
        let supervisor = parts.metrics.supervisor().clone();
        let (committer, thread) = Committer::start(parts, &supervisor)?;
        let mut threads = vec![thread];
        let (cosigner, mut senders) = (Arc::new(cosigner), Vec::with_capacity(lanes));
        for logs in shares {
            let (orders, received) = sync_channel(LANE_ORDERS_MAX);
            let mut lane =
                Lane::new(logs, Arc::clone(&cosigner), committer.clone(), Arc::clone(&clock));
            let on_failed = on_failed.clone();
            let on_panic = move || {
                on_failed.send_replace(true);
            };
            let run = move || lane.run(&received);
            threads.insert(0, supervisor.vital_thread("lane", run, on_panic)?);
            senders.push(orders);
        }
        let threads = Mutex::new(threads);
        let inner = Inner {
            store,
            cosigner,
            roster,
            public,
            metrics,
            lanes: senders,
            committer,
            failed,
            threads,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Answers `add-checkpoint` with the lines of our cosignatures, once they are durable.
    pub async fn add_checkpoint(&self, body: &[u8]) -> Result<String, Refusal> {
        let request = AddCheckpoint::parse(body).map_err(|error| self.count(None, error.into()))?;
        let origin = request.checkpoint().origin().clone();
        self.submit(request).await.map_err(|refusal| self.count(Some(&origin), refusal))
    }

    /// Counts a refusal; for a log that is not known, without its name, of which there is no end.
    fn count(&self, origin: Option<&Origin>, refusal: Refusal) -> Refusal {
        let known = origin.filter(|origin| self.inner.roster.knows(origin));
        self.inner.metrics.refused(known.map_or("", Origin::as_str), refusal.reason());
        refusal
    }

    async fn submit(&self, request: AddCheckpoint) -> Lines {
        let submitted = request.checkpoint();
        let keys = self.inner.roster.keys(submitted.origin()).ok_or(Refusal::UnknownLog)?;
        let verified = submitted.verify(&keys).map_err(Refusal::Signature)?;
        let origin = submitted.origin().clone();
        let (answer, answered) = oneshot::channel();
        let (request, verified) = (Box::new(request), Box::new(verified));
        self.order(&origin, Order::Submit { request, verified, answer })?;
        answered.await.unwrap_or(Err(Refusal::Unavailable))
    }

    /// Answers `sign-subtree` with the lines of our keys that sign subtrees.
    pub async fn sign_subtree(&self, body: &[u8]) -> Result<String, Refusal> {
        let request = SignSubtree::parse(body).map_err(|error| self.count(None, error.into()))?;
        let origin = request.checkpoint().origin().clone();
        self.subtree(request).await.map_err(|refusal| self.count(Some(&origin), refusal))
    }

    async fn subtree(&self, request: SignSubtree) -> Lines {
        let reference = request.checkpoint();
        let origin = reference.origin().clone();
        if !self.inner.roster.knows(&origin) {
            return Err(Refusal::UnknownLog);
        }
        // Never a proof under a root that we have not signed.
        self.inner.cosigner.cosigned_at(reference).map_err(Refusal::NotCosigned)?;
        let (answer, answered) = oneshot::channel();
        self.order(&origin, Order::SignSubtree { request: Box::new(request), answer })?;
        answered.await.unwrap_or(Err(Refusal::Unavailable))
    }

    /// Takes a log's keys out of those that are trusted, durably: from the return on, submissions of this
    /// log get 403 and the path of the evidence, which is opaque here. Whoever calls this has checked it.
    pub async fn distrust(&self, origin: &Origin, evidence: Vec<u8>) -> Result<(), Refusal> {
        let (answer, answered) = oneshot::channel();
        self.order(origin, Order::Distrust { origin: origin.clone(), evidence, answer })?;
        match answered.await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(StoreFailed)) | Err(_) => Err(Refusal::Unavailable),
        }
    }

    /// Makes the keys that a log is known by from here on durable.
    pub async fn pin_keys(&self, pins: Vec<(Origin, String)>) -> Result<(), Refusal> {
        let (answer, answered) = oneshot::channel();
        let write = |(origin, vkeys)| Write::Keys { origin, vkeys };
        let writes = pins.into_iter().map(write).collect();
        let done = Box::new(move |durable| {
            // Nobody waits any more.
            let _gone = answer.send(durable);
        });
        let committer = self.inner.committer.clone();
        // It waits where the queue is full, so not on a thread that serves.
        let step = Step { writes, head: None, done };
        tasks::blocking(move || committer.commit(step)).await;
        match answered.await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(StoreFailed)) | Err(_) => Err(Refusal::Unavailable),
        }
    }

    /// The durable state that is kept in memory.
    pub fn public(&self) -> &Arc<Public> {
        &self.inner.public
    }

    /// The store, for reading.
    pub fn store(&self) -> &Arc<Store> {
        &self.inner.store
    }

    /// The logs that are witnessed.
    pub fn roster(&self) -> &Arc<Roster> {
        &self.inner.roster
    }

    /// The keys that cosign.
    pub fn verifier_keys(&self) -> &[VerifierKey] {
        self.inner.cosigner.verifier_keys()
    }

    /// Whether nothing can be written any more: the process must end.
    pub fn has_failed(&self) -> bool {
        *self.inner.failed.borrow()
    }

    /// Completes when the process must end.
    pub async fn failed(&self) {
        let mut failed = self.inner.failed.clone();
        if failed.wait_for(|failed| *failed).await.is_err() {
            // Nobody is left who could fail.
            std::future::pending::<()>().await;
        }
    }

    /// Ends the threads, after everything that was ordered before. Blocks until they are gone.
    pub fn stop(&self) {
        for lane in &self.inner.lanes {
            drop(lane.send(Order::Stop));
        }
        let mut threads = self.inner.threads.lock().unwrap_or_else(PoisonError::into_inner);
        let mut threads: Vec<JoinHandle<()>> = threads.drain(..).collect();
        // The lanes first: what they hand over must still be written.
        let committer = threads.pop();
        for lane in threads {
            drop(lane.join());
        }
        self.inner.committer.stop();
        drop(committer.map(JoinHandle::join));
    }

    fn order(&self, origin: &Origin, order: Order) -> Result<(), Refusal> {
        let lane = &self.inner.lanes[share(origin, self.inner.lanes.len())];
        lane.try_send(order).map_err(|error| match error {
            TrySendError::Full(_) => Refusal::Busy,
            TrySendError::Disconnected(_) => Refusal::Unavailable,
        })
    }
}

/// Which of `shares` a log belongs to.
fn share(origin: &Origin, shares: usize) -> usize {
    let mut hasher = DefaultHasher::new();
    origin.hash(&mut hasher);
    let shares = u64::try_from(shares).unwrap_or(u64::MAX);
    usize::try_from(hasher.finish() % shares).unwrap_or_default()
}

/// What is stored, shared out.
fn load(
    store: &Store,
    public: &Public,
    shares: usize,
    clock: &dyn Clock,
) -> Result<Vec<HashMap<Origin, LogState>>, StoreError> {
    let mut logs: HashMap<Origin, LogState> = HashMap::new();
    let mut damage = None;
    store.each_checkpoint(|origin, row| match row.and_then(|row| held(&origin, &row)) {
        Ok(held) => {
            public.load_head(origin.clone(), held, cosigned_boot_ms(clock, held.time));
            logs.entry(origin).or_default().held = held;
        }
        Err(found) => damage = Some(found),
    })?;
    store.each_trust(|origin, row| match row {
        Ok(row) => {
            public.load_trust(&origin, row.trusted);
            logs.entry(origin).or_default().distrusted = !row.trusted;
        }
        Err(found) => damage = Some(found),
    })?;
    for origin in store.refused_origins()? {
        let refused = Refused::load(&store.refused(&origin)?);
        logs.entry(origin).or_default().refused = refused;
    }
    if let Some(damage) = damage {
        return Err(damage);
    }
    let mut lanes: Vec<HashMap<Origin, LogState>> = Vec::new();
    lanes.resize_with(shares, HashMap::new);
    for (origin, state) in logs {
        lanes[share(&origin, shares)].insert(origin, state);
    }
    Ok(lanes)
}

/// When an earlier process cosigned, by the boot-time clock; now where the wall clock says that it was later.
fn cosigned_boot_ms(clock: &dyn Clock, time: Timestamp) -> i64 {
    let age_ms = clock.unix_ms().saturating_sub(time.seconds().saturating_mul(1_000));
    boot_ms(clock).saturating_sub(i64::try_from(age_ms).unwrap_or(i64::MAX))
}

fn held(origin: &Origin, row: &crate::store::StoredCheckpoint) -> Result<Held, StoreError> {
    let signed = row.checkpoint(origin).map_err(|fault| StoreError::Corrupt {
        table: "checkpoints",
        key: origin.to_string(),
        fault,
    })?;
    Ok(Held { size: signed.size(), root: *signed.root(), time: row.time })
}
