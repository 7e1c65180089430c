//! Logs on the memory engine, and destinations of them.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use audit_event::mapping::cloudevents::Domain;
use audit_trail::{Draft, StoredEvent, Trail};
use base::clock::{Clock, Sleep, SystemClock};
use base::durable;
use base::tasks::{Background, Supervisor};
use http::Request;
use http_body_util::{BodyExt as _, Full};
use log_core::{CreateLog, Limits, Log, Registry, RegistryOptions, testing};
use merkle::LeafIndex;
use serde_json::{Value, json};
use storage::LogKind;
use storage::memory::MemoryEngine;
use tempfile::TempDir;
use tls::Known;
use tokio_util::sync::CancellationToken;

use crate::routes::{ROWS, To};
use crate::{Ack, Destination, Destinations, Form, Kind};

/// How long a test waits for what must come at some time.
const PATIENCE: Duration = Duration::from_mins(1);
/// Longer sleeps are as long as they say.
const QUICK_MAX: Duration = Duration::from_secs(20);
/// The origin of the published answers.
pub(crate) const ORIGIN: &str = "cairn.example";

/// A clock whose sleeps of some seconds are over at once, and are noted.
#[derive(Debug)]
struct QuickClock {
    real: SystemClock,
    slept: Arc<Mutex<Vec<Duration>>>,
}

impl Clock for QuickClock {
    fn unix_ms(&self) -> u64 {
        self.real.unix_ms()
    }

    fn monotonic(&self) -> Duration {
        self.real.monotonic()
    }

    fn boot_time(&self) -> Duration {
        self.real.boot_time()
    }

    fn sleep(&self, duration: Duration) -> Sleep {
        if duration > QUICK_MAX {
            return self.real.sleep(duration);
        }
        self.slept.lock().unwrap().push(duration);
        self.real.sleep(Duration::from_millis(2))
    }
}

pub(crate) struct Rig {
    pub(crate) dir: TempDir,
    pub(crate) trail: Trail,
    pub(crate) slept: Arc<Mutex<Vec<Duration>>>,
    pub(crate) destinations: Destinations,
    running: Option<(Background, CancellationToken)>,
}

pub(crate) fn destination(kind: Kind, url: &str) -> Destination {
    Destination {
        name: "siem".to_owned(),
        kind,
        url: url.parse().unwrap(),
        known: Known::ByNothing,
        logs: vec!["audit".to_owned()],
        filter: None,
        secret_file: None,
        timeout: Duration::from_secs(30),
    }
}

pub(crate) fn elastic() -> Kind {
    Kind::Elasticsearch { index: "cairn-audit".to_owned(), form: Form::Event }
}

pub(crate) fn splunk(ack: Ack, ack_wait: Duration) -> Kind {
    let (index, sourcetype) = (None, "audit:json".to_owned());
    Kind::Splunk { index, sourcetype, form: Form::Event, ack, ack_wait }
}

pub(crate) fn webhook() -> Kind {
    Kind::Webhook { domain: Domain::new("com.example").unwrap() }
}

impl Rig {
    /// With a log of `events` events, of which those below `done` were sent before.
    pub(crate) async fn new(all: Vec<Destination>, events: u64, done: u64) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let slept = Arc::new(Mutex::new(Vec::new()));
        let clock = QuickClock { real: SystemClock::new(), slept: Arc::clone(&slept) };
        let registry = Registry::open(RegistryOptions {
            limits: limits(),
            ..testing::options(dir.path(), Arc::new(MemoryEngine::new()), Arc::new(clock))
        });
        let registry = registry.unwrap();
        for (name, kind, origin) in [
            ("audit", LogKind::Audit, Some(ORIGIN.to_owned())),
            ("system", LogKind::Audit, None),
            ("plain", LogKind::Plain, None),
        ] {
            let new = CreateLog { origin, ..CreateLog::new(name, kind) };
            registry.create(new).await.unwrap();
        }
        let trail = Trail::new(registry);
        let secret = dir.path().join("secret");
        durable::replace(&secret, b"s3cret\n", 0o600).unwrap();
        let with_secret = |it| Destination { secret_file: Some(secret.clone()), ..it };
        let all: Vec<_> = all.into_iter().map(with_secret).collect();
        for destination in &all {
            let folder = dir.path().join("destinations").join(&destination.name);
            durable::create_dir_all(&folder, 0o700).unwrap();
            let cursor = format!("cairn/destination-cursor@v1\n{done}\n");
            durable::replace(&folder.join("audit.cursor"), cursor.as_bytes(), 0o600).unwrap();
        }
        let destinations = Destinations::new(dir.path().join("destinations"), trail.clone(), all);
        let mut rig = Self { dir, trail, slept, destinations, running: None };
        for number in 0..events {
            rig.record(number, "door.opened").await;
        }
        rig.start();
        rig
    }

    /// One destination, started behind `done` of `events`.
    pub(crate) async fn one(kind: Kind, url: &str, events: u64, done: u64) -> Self {
        Self::new(vec![destination(kind, url)], events, done).await
    }

    pub(crate) fn start(&mut self) {
        let stopping = CancellationToken::new();
        let mut background = Background::new(Supervisor::new(), stopping.clone());
        self.destinations.start(&mut background);
        self.running = Some((background, stopping));
    }

    /// Ends the tasks where they are, as a crash does; what is in memory is gone.
    pub(crate) async fn crash(&mut self) {
        let (mut background, stopping) = self.running.take().unwrap();
        stopping.cancel();
        background.ended().await;
        let all = self.destinations.all().iter().map(|(it, _)| Destination::clone(it)).collect();
        self.destinations = Destinations::new(self.root(), self.trail.clone(), all);
    }

    fn root(&self) -> PathBuf {
        self.dir.path().join("destinations")
    }

    pub(crate) fn log(&self) -> Log {
        self.trail.registry().log("audit").unwrap()
    }

    pub(crate) async fn record(&self, number: u64, action: &str) {
        let event = json!({
            "id": format!("e-{number}"), "action": action, "source": "/gate",
            "actor": {"type": "user", "id": format!("u-{number}"), "name": "Ana"},
            "category": "access", "operation": "execute", "outcome": "success", "severity": "high", "time": "2026-03-04T09:10:11.5Z",
        });
        let bytes = event.to_string();
        let draft = Draft::json(bytes.as_bytes(), 1 << 20).unwrap();
        let recorded = self.trail.record(&self.log(), vec![draft], None).await.unwrap();
        recorded.results.into_iter().next().unwrap().unwrap();
    }

    /// The answer to a request of a route, as JSON.
    pub(crate) async fn ask(&self, to: To, path: &str, body: &str) -> (u16, Value) {
        let (route, to) = ROWS.iter().find(|(_, it)| *it == to).unwrap();
        let request = Request::builder().uri(path).body(Full::from(body.to_owned())).unwrap();
        let answer = self.destinations.answer(request, route, *to).await;
        let status = answer.status().as_u16();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&body).unwrap())
    }

    /// What is shown of the log `audit` at the first destination.
    pub(crate) async fn lane(&self) -> Value {
        let (status, all) = self.ask(To::List, "/v1/destinations", "").await;
        assert_eq!(status, 200);
        all["destinations"][0]["logs"][0].clone()
    }

    /// Waits until what is shown is so.
    pub(crate) async fn until(&self, is: impl Fn(&Value) -> bool) -> Value {
        let waiting = async {
            loop {
                let lane = self.lane().await;
                if is(&lane) {
                    return lane;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let found = tokio::time::timeout(PATIENCE, waiting).await.ok();
        let Some(lane) = found else { panic!("still {:?}", self.lane().await) };
        lane
    }

    /// Waits until everything is sent, and gives what is shown.
    pub(crate) async fn until_idle(&self) -> Value {
        self.until(|lane| lane["state"] == "idle").await
    }

    /// The cursor as it is on disk.
    pub(crate) fn cursor(&self) -> u64 {
        let text = std::fs::read_to_string(self.root().join("siem/audit.cursor")).unwrap();
        text.lines().nth(1).unwrap().parse().unwrap()
    }

    /// Index and reason of every dead letter on disk.
    pub(crate) fn dead(&self) -> Vec<(u64, String)> {
        let text = std::fs::read_to_string(self.root().join("siem/audit.dead")).unwrap_or_default();
        let letters = text.lines().skip(1).map(|line| {
            let fields: Vec<&str> = line.split(' ').collect();
            (fields[0].parse().unwrap(), fields[2..].join(" "))
        });
        letters.collect()
    }

    /// The actions of the log `system`.
    pub(crate) fn said(&self) -> Vec<String> {
        let system = self.trail.system().unwrap();
        let events = StoredEvent::run(&system, LeafIndex::new(0).unwrap(), 100).unwrap();
        events.iter().map(|event| event.recorded().event.action.unwrap()).collect()
    }
}

fn limits() -> Limits {
    let (publish_interval_min, history_interval) =
        (Duration::from_secs(1), Duration::from_hours(1));
    Limits { publish_interval_min, history_interval, ..testing::limits() }
}
