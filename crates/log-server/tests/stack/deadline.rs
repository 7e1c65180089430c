//! What an append answers whose receipt cannot come before its deadline. Signing stands still here, and
//! time passes only where everybody waits for it, so when an answer comes is known to the millisecond.

use std::future::pending;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use base::clock::machine::now;
use base::clock::{Clock, Sleep, SystemClock};
use bytes::Bytes;
use log_api::logs::Logs;
use log_api::metrics::Metrics;
use log_api::receipts::Waits;
use log_api::service::{Service, ServiceOptions};
use log_core::observe::Observer;
use log_core::read::Reads;
use log_core::{CreateLog, Limits, Registry, RegistryOptions, testing};
use log_proto::log_v1 as pb;
use log_proto::log_v1::log_service_server::LogService as _;
use merkle::leaf_hash;
use serve::middleware::deadline::Deadline;
use storage::Store;
use storage::memory::MemoryEngine;
use tokio_util::sync::CancellationToken;
use tonic::Request;

use crate::harness::{LOG, append_request, batch_request, entry};

/// Longer than any deadline here.
const HOUR: Duration = Duration::from_hours(1);

/// Keeps heads from being released while it is closed; once it is broken, none is signed any more.
#[derive(Default)]
struct Gate {
    closed: Mutex<bool>,
    moved: Condvar,
    broken: AtomicBool,
}

impl Gate {
    fn set(&self, closed: bool) {
        *self.closed.lock().unwrap() = closed;
        self.moved.notify_all();
    }
}

impl Observer for Gate {
    /// On the thread that signs, before anybody gets the head.
    fn journaled(&self, _heads: usize, _took: Duration) {
        assert!(!self.broken.load(Ordering::SeqCst), "the signing thread ends here");
        let closed = self.closed.lock().unwrap();
        drop(self.moved.wait_while(closed, |closed| *closed).unwrap());
    }
}

tokio::task_local! {
    /// Set within a call of a test.
    static CALL: ();
}

/// The clock of the runtime for calls. For all other tasks time stands still: their timers would let the
/// paused time run on while a thread commits.
#[derive(Debug)]
struct CallClock(SystemClock);

impl Clock for CallClock {
    fn unix_ms(&self) -> u64 {
        1_700_000_000_000
    }

    fn monotonic(&self) -> Duration {
        self.0.monotonic()
    }

    fn boot_time(&self) -> Duration {
        Duration::ZERO
    }

    fn sleep(&self, duration: Duration) -> Sleep {
        if CALL.try_get().is_ok() { self.0.sleep(duration) } else { Box::pin(pending()) }
    }
}

pub(crate) struct Rig {
    _dir: tempfile::TempDir,
    gate: Arc<Gate>,
    registry: Registry,
    pub(crate) service: Service,
}

impl Rig {
    pub(crate) async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let engine: Arc<dyn Store> = Arc::new(MemoryEngine::new());
        let gate = Arc::new(Gate::default());
        let clock = Arc::new(CallClock(SystemClock::new()));
        let registry = Registry::open(RegistryOptions {
            limits: limits(),
            observer: Arc::<Gate>::clone(&gate),
            ..testing::options(dir.path(), Arc::<dyn Store>::clone(&engine), clock)
        });
        let registry = registry.unwrap();
        registry.create(CreateLog::new(LOG, storage::LogKind::Plain)).await.unwrap();
        let options = ServiceOptions { waits: Waits { default: HOUR, max: HOUR }, streams_max: 1 };
        let reads = Arc::new(Reads::new(engine, 1 << 20));
        let metrics =
            Arc::new(Metrics::new(&log_api::routes::table(), base::tasks::Supervisor::new()));
        let stopping = CancellationToken::new();
        let logs = Logs::new(registry.clone(), reads, metrics);
        let service = Service::new(logs, options, stopping);
        Self { _dir: dir, gate, registry, service }
    }

    pub(crate) async fn stop(self) {
        self.gate.set(false);
        self.registry.shutdown().await;
    }
}

/// A call as the deadline layer hands it on.
fn due<T>(rig: &Rig, request: T, within: Duration) -> Request<T> {
    let mut request = Request::new(request);
    request.extensions_mut().insert(Deadline(rig.registry.clock().monotonic() + within));
    request
}

fn waiting(receipt_wait: Option<Duration>) -> pb::AppendRequest {
    let receipt_wait = receipt_wait.map(|wait| wait.try_into().unwrap());
    pb::AppendRequest { receipt_wait, ..append_request(LOG, entry(b"x"), pb::Receipt::Signed) }
}

#[tokio::test(start_paused = true)]
async fn what_is_not_signed_in_time_is_answered_with_its_index_50_ms_before_the_deadline() {
    let rig = Rig::new().await;
    rig.gate.set(true);
    // Deadline, wait, when the answer comes: all in milliseconds.
    let cases = [
        (10_000, None, 9_950),
        (10_000, Some(20_000), 9_950),
        (10_000, Some(300), 300),
        (10_000, Some(0), 0),
        (51, None, 1),
        // Too near to wait at all.
        (50, None, 0),
        (20, None, 0),
    ];
    for (index, (deadline, wait, answered)) in (0..).zip(cases) {
        let start = now();
        let request =
            due(&rig, waiting(wait.map(Duration::from_millis)), Duration::from_millis(deadline));
        let answer = CALL.scope((), rig.service.append(request)).await.unwrap().into_inner();
        let took = u64::try_from(start.elapsed().as_millis()).unwrap();
        assert!((answered..=answered + 1).contains(&took), "{deadline}, {wait:?}: {took} ms");
        assert_eq!(answer.receipt_reached(), pb::Receipt::Index);
        assert_eq!((answer.leaf_index, answer.tree_size), (index, index + 1));
        assert_eq!(answer.leaf_hash[..], leaf_hash(b"x").as_bytes()[..]);
        assert_eq!(answer.tlog_proof, Bytes::new());
    }

    let batch = batch_request(vec![entry(b"y"), entry(b"z")], pb::Receipt::Signed);
    let start = now();
    let call = rig.service.append_batch(due(&rig, batch, Duration::from_secs(1)));
    let answer = CALL.scope((), call).await;
    let answer = answer.unwrap().into_inner();
    assert!((950..=951).contains(&start.elapsed().as_millis()));
    assert_eq!((answer.receipt_reached(), answer.range_receipt), (pb::Receipt::Index, None));
    assert_eq!(answer.results.len(), 2);
    rig.stop().await;
}

/// The entries are committed, so a refusal would say less than is known.
#[tokio::test(flavor = "multi_thread")]
async fn what_can_no_longer_be_signed_is_answered_with_its_index() {
    let broken = async || {
        let rig = Rig::new().await;
        rig.gate.broken.store(true, Ordering::SeqCst);
        rig
    };
    let rig = broken().await;
    let answer = rig.service.append(due(&rig, waiting(None), HOUR)).await.unwrap().into_inner();
    assert_eq!((answer.receipt_reached(), answer.leaf_index), (pb::Receipt::Index, 0));
    assert!(answer.tlog_proof.is_empty());
    rig.stop().await;

    let rig = broken().await;
    let batch = batch_request(vec![entry(b"y"), entry(b"z")], pb::Receipt::Signed);
    let answer = rig.service.append_batch(due(&rig, batch, HOUR)).await.unwrap().into_inner();
    assert_eq!((answer.receipt_reached(), answer.range_receipt), (pb::Receipt::Index, None));
    assert_eq!(answer.results.len(), 2);
    rig.stop().await;
}

/// The same calls where heads are signed.
#[tokio::test(start_paused = true)]
async fn what_is_signed_in_time_has_its_receipt() {
    let rig = Rig::new().await;
    // Somebody is always busy, so time stands still.
    let busy = tokio::spawn(async {
        loop {
            tokio::task::yield_now().await;
        }
    });
    let call = rig.service.append(due(&rig, waiting(None), Duration::from_secs(10)));
    let answer = CALL.scope((), call).await;
    let answer = answer.unwrap().into_inner();
    assert_eq!(answer.receipt_reached(), pb::Receipt::Signed);
    assert!(!answer.tlog_proof.is_empty());
    let batch = batch_request(vec![entry(b"y"), entry(b"z")], pb::Receipt::Signed);
    let call = rig.service.append_batch(due(&rig, batch, Duration::from_secs(10)));
    let answer = CALL.scope((), call).await;
    assert_eq!(answer.unwrap().into_inner().receipt_reached(), pb::Receipt::Signed);
    busy.abort();
    rig.stop().await;
}

fn limits() -> Limits {
    let publish_interval_min = Duration::from_millis(4);
    Limits { publish_interval_min, logs_max: 1, min_free_bytes: 0, ..testing::limits() }
}
