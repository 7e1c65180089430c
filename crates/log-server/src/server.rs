//! The server put together: storage, logs, services, and one port for gRPC and HTTP.

mod answering;
mod audit;
mod offline;

pub use offline::with_logs;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use base::clock::{Clock, SystemClock};
use base::durable::FileError;
use base::tasks::{Background, Supervisor};
use serve::admin::AdminServer;
use serve::config::{ConfigError, Listen};
use serve::health::Health;
use serve::port::Port;
use serve::process::{self, Serving};
use tokio_util::sync::CancellationToken;
use tonic_health::server::HealthReporter;

use crate::admin;
use crate::config::{Config, WitnessConfig};
use crate::copies::{Copies, CopyError};
use crate::health;
pub use crate::health::WITNESSED_HEALTH;
use crate::receivers;
use crate::routes;
use crate::system::System;
use crate::witnesses::HttpWitnesses;
use answering::Events;
use audit_index::{AuditIndexes, IndexOptions};
use audit_receive::syslog::Syslog;
use audit_trail::Trail;
use log_api::http::ops::{RegistryGauges, readiness};
use log_api::metrics::Metrics;
use log_api::metrics::followers::FollowerCollector;
use log_api::metrics::witness::WitnessCollector;
use log_core::follow::Follow;
use log_core::follow::leaf_index::LeafIndexer;
use log_core::read::Reads;
use log_core::witness::WitnessOptions;
use log_core::{CreateError, Fatal, Registry, RegistryOptions, StartError as RegistryError};
use storage::{StorageError, Store};
use storage_rocksdb::RocksEngine;

/// The log for entries that a first start makes.
pub const DEFAULT_LOG: &str = "default";
/// How long tasks may take to end once the server has stopped.
const TASKS_END_WITHIN: Duration = Duration::from_secs(2);

/// Why the server does not start. Nothing was answered.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("storage: {0}")]
    Storage(#[from] StorageError),
    #[error(transparent)]
    Registry(#[from] RegistryError),
    #[error("log {name} cannot be made: {source}")]
    FirstLog { name: &'static str, source: CreateError },
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error("cannot listen on {listen}: {source}: choose another address with --listen")]
    Listen { listen: Listen, source: std::io::Error },
    #[error("the reflection service cannot be built: {0}")]
    Reflection(#[from] tonic_reflection::server::Error),
    #[error("no random bytes: {0}")]
    Random(getrandom::Error),
    #[error("cannot listen on {listen} for syslog: {source}")]
    Syslog { listen: Listen, source: std::io::Error },
    #[error("syslog over TLS: {0}")]
    SyslogIdentity(serve::identity::IdentityError),
    #[error(transparent)]
    Witnesses(#[from] witness_client::AuthoritiesError),
    #[error("what was erased may still be in a copy: {0}")]
    Copies(#[from] CopyError),
    #[error("operators cannot be answered: {0}")]
    Admin(#[from] FileError),
}

/// A server that serves.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    first_start: bool,
    registry: Registry,
    metrics: Arc<Metrics>,
    health: Health,
    reporter: HealthReporter,
    stopping: CancellationToken,
    background: Background,
    accepting: tokio::task::JoinHandle<Option<()>>,
    syslog: Option<tokio::task::JoinHandle<Option<()>>>,
    syslog_addresses: Vec<SocketAddr>,
    fatal: tokio::sync::watch::Receiver<Option<Fatal>>,
    /// Speaks of itself; `None` if the server is read-only.
    system: Option<System>,
    /// Answers operators; `None` if the server is read-only.
    admin: Option<AdminServer>,
}

impl Server {
    /// Opens the store and its logs, checks them, and opens the port. Makes the first logs if
    /// there is no log at all.
    pub async fn start(config: &Config) -> Result<Self, StartError> {
        let engine = Arc::new(open_engine(config)?);
        let store = Arc::<RocksEngine>::clone(&engine);
        Self::start_with(config, store, Some(engine), Arc::new(SystemClock::new())).await
    }

    /// As [`Self::start`], on an engine and a clock that are there already. It writes no backups.
    pub async fn start_on(
        config: &Config,
        engine: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, StartError> {
        Self::start_with(config, engine, None, clock).await
    }

    async fn start_with(
        config: &Config,
        engine: Arc<dyn Store>,
        rocks: Option<Arc<RocksEngine>>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, StartError> {
        let metrics = Arc::new(Metrics::new(&routes::table(), Supervisor::on(Arc::clone(&clock))));
        let reads = Arc::<dyn Store>::clone(&engine);
        let reads = Arc::new(Reads::new(reads, config.tile_cache_bytes));
        let (mut options, fatal) = registry_options(config, &engine, &clock, &metrics);
        options.witness = witness_options(config, &reads, &clock)?;
        let registry = tokio::task::block_in_place(|| Registry::open(options))?;
        let stopping = CancellationToken::new();
        let supervisor = metrics.supervisor().clone();
        let indexes = Arc::new(AuditIndexes::new(IndexOptions::new(config.index_dir())));
        let parts = Parts { registry: registry.clone(), reads, metrics, rocks, fatal, indexes };
        let served = parts.serve(config, stopping.clone()).await;
        if served.is_err() {
            // The tasks that have begun must end and release the store.
            stopping.cancel();
            registry.shutdown().await;
            drop(clock.timeout(TASKS_END_WITHIN, supervisor.ended()).await);
        }
        served
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where it listens for syslog: without TLS, then with it, as far as each is open.
    pub fn syslog_addresses(&self) -> &[SocketAddr] {
        &self.syslog_addresses
    }

    /// There was no log at all, and the first logs were made.
    pub fn is_first_start(&self) -> bool {
        self.first_start
    }

    /// The logs.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// The counters of this server.
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(self.registry.clock()) as Arc<dyn Clock>
    }

    /// Completes when the process must end, with the reason.
    pub async fn fatal(&self) -> Fatal {
        let mut fatal = self.fatal.clone();
        let written = async {
            match fatal.wait_for(Option::is_some).await.map(|fatal| *fatal) {
                Ok(Some(fatal)) => fatal,
                Ok(None) | Err(_) => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            fatal = written => fatal,
            _ = self.metrics.supervisor().vital_panicked() => Fatal::Panic,
        }
    }

    /// Takes no new connection and waits, within a time, until the answers to requests in flight have
    /// left.
    pub async fn last_answers(&mut self, within: Duration) {
        let clock = self.clock();
        drop(clock.timeout(within, Serving::last_answers(self)).await);
    }

    /// Stops: takes no new connection, lets requests in flight end, commits what is queued, and
    /// signs and publishes heads. To stop at once, drop this future and call [`Registry::shutdown`]
    /// again; nothing that was acknowledged is lost either way.
    pub async fn stop(&mut self) {
        self.announce_stop().await;
        self.stopping.cancel();
        // A panic of the task was logged where it happened.
        drop((&mut self.accepting).await);
        if let Some(syslog) = self.syslog.take() {
            // What its connections have read is recorded before the logs stop.
            drop(syslog.await);
        }
        if let Some(system) = &self.system {
            system.stopping().await;
        }
        self.registry.shutdown().await;
        self.background.ended().await;
        if let Some(admin) = self.admin.take() {
            admin.stop().await;
        }
        let ended = self.metrics.supervisor().ended();
        if self.clock().timeout(TASKS_END_WITHIN, ended).await.is_err() {
            tracing::warn!("some tasks did not end in time");
        }
    }
}

impl Serving for Server {
    async fn must_end(&self) -> process::Fatal {
        let fatal = self.fatal().await;
        let reason = format!("{fatal:?}; restart it to recover");
        process::Fatal { reason, exit_code: u8::try_from(fatal.exit_code()).unwrap_or(u8::MAX) }
    }

    async fn announce_stop(&mut self) {
        self.health.stop();
        health::set(&self.reporter, health::statuses(&self.health, &self.registry)).await;
    }

    async fn stop(&mut self) {
        Self::stop(self).await;
    }

    async fn stop_at_once(&mut self) {
        self.registry.shutdown().await;
    }

    async fn last_answers(&mut self) {
        self.stopping.cancel();
        drop((&mut self.accepting).await);
    }

    async fn abandon(&mut self) {
        self.registry.abandon().await;
        if let Some(admin) = self.admin.take() {
            admin.stop().await;
        }
    }
}

/// What a server is made of before it listens.
struct Parts {
    registry: Registry,
    reads: Arc<Reads>,
    metrics: Arc<Metrics>,
    /// The store, if it can be backed up.
    rocks: Option<Arc<RocksEngine>>,
    fatal: tokio::sync::watch::Receiver<Option<Fatal>>,
    indexes: Arc<AuditIndexes>,
}

impl Parts {
    /// Asks the witnesses, and opens the port.
    async fn serve(
        self,
        config: &Config,
        stopping: CancellationToken,
    ) -> Result<Server, StartError> {
        self.registry.ask_witnesses().await?;
        let first_start = self.registry.is_empty() && !config.read_only;
        if first_start {
            audit::create_first_logs(&self.registry).await?;
        }
        self.collect();
        let supervisor = self.metrics.supervisor().clone();
        let mut background = Background::new(supervisor.clone(), stopping.clone());
        self.start_followers(config, &mut background);
        let checked = self.registry.clone();
        let health = Health::new(supervisor.clone(), move || readiness(&checked));
        let reporter = HealthReporter::new();
        health::follow(&reporter, &health, &self.registry, &mut background).await;
        let trail = Trail::new(self.registry.clone());
        let streams = self.destinations(config, &trail);
        let exports = self.start_exports(config, &trail, &streams, &mut background)?;
        let system = audit::start_system(config, &trail, &mut background);
        let audit = self.audit(config, trail, exports.clone(), &stopping);
        let prefix = getrandom::u32().map_err(StartError::Random)?;
        let clock = Arc::clone(self.registry.clock()) as Arc<dyn Clock>;
        let chain = answering::chain(config, &self.metrics, prefix, clock);
        let reflection = tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(log_proto::AUDIT_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(log_proto::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
            .build_v1()?;
        let events = Events { audit, destinations: streams.clone() };
        let handler = self.handler(config, &health, &reporter, reflection, events, &stopping);
        let receive = handler.receive.clone();
        let stack = chain.around(handler);
        let indexes = Arc::clone(&self.indexes);
        let copies = exports.map(|it| Copies::of_server(config, indexes, it, streams));
        let own = (system.clone(), copies);
        let admin = admin::start(config, &self.registry, self.rocks.clone(), own, &supervisor)?;
        let port = self.open_port(config, &stopping)?;
        let address = port.address();
        let syslog = receivers::open_syslog(config)?;
        let syslog_addresses = syslog.as_ref().map(Syslog::addresses).unwrap_or_default();
        let accepting = supervisor.task("port", port.serve(stack, supervisor.clone()));
        let syslog = syslog.map(|syslog| {
            let served = syslog.serve(receive, supervisor.clone(), stopping.clone());
            supervisor.task("syslog", served)
        });
        let Self { registry, metrics, fatal, .. } = self;
        Ok(Server {
            address,
            first_start,
            registry,
            metrics,
            health,
            reporter,
            stopping,
            background,
            accepting,
            syslog,
            syslog_addresses,
            fatal,
            system,
            admin,
        })
    }

    fn open_port(&self, config: &Config, stopping: &CancellationToken) -> Result<Port, StartError> {
        let options = tokio::task::block_in_place(|| config.port.options())?;
        let (listen, counts) = (config.port.listen.clone(), Arc::clone(self.metrics.requests()));
        let clock = Arc::clone(self.registry.clock());
        Port::open(&options, counts, stopping, clock)
            .map_err(|source| StartError::Listen { listen, source })
    }

    /// Starts what follows the logs, unless nothing is written in this process.
    fn start_followers(&self, config: &Config, background: &mut Background) {
        if config.read_only {
            return;
        }
        let (registry, reads) = (self.registry.clone(), Arc::clone(&self.reads));
        self.follow_events(background);
        let indexer = LeafIndexer::new(Arc::clone(reads.engine()));
        let leaves = Follow::new(indexer, registry, reads, config.leaf_index_busy_rate);
        self.metrics.collect(FollowerCollector::new(vec![leaves.handle()]));
        let leaves = Arc::new(leaves);
        background.helper("leaf index", move || Arc::clone(&leaves).run());
    }

    fn collect(&self) {
        self.metrics.collect_logs(Arc::new(RegistryGauges {
            registry: self.registry.downgrade(),
            reads: Arc::downgrade(&self.reads),
            clock: Arc::clone(self.registry.clock()),
        }));
        self.metrics.collect(WitnessCollector::new(self.registry.downgrade()));
    }
}

/// The options to open the logs with, and the channel on which they say that the process must end.
fn registry_options(
    config: &Config,
    engine: &Arc<dyn Store>,
    clock: &Arc<dyn Clock>,
    metrics: &Arc<Metrics>,
) -> (RegistryOptions, tokio::sync::watch::Receiver<Option<Fatal>>) {
    let (on_fatal, fatal) = tokio::sync::watch::channel(None);
    let options = RegistryOptions {
        engine: Arc::<dyn Store>::clone(engine),
        clock: Arc::clone(clock),
        limits: config.limits.clone(),
        keys_dir: config.keys_dir(),
        key_readers: config.key_readers,
        heads_dir: config.heads_dir.clone(),
        hostname: gethostname::gethostname().to_string_lossy().into_owned(),
        read_only: config.read_only,
        adopt_journal: config.adopt_journal,
        witness: None,
        observer: Arc::<Metrics>::clone(metrics),
        supervisor: metrics.supervisor().clone(),
        on_fatal: Arc::new(move |fatal| {
            on_fatal.send_replace(Some(fatal));
        }),
    };
    (options, fatal)
}

/// Who witnesses the logs; `None` if nobody does.
fn witness_options(
    config: &Config,
    reads: &Arc<Reads>,
    clock: &Arc<dyn Clock>,
) -> Result<Option<WitnessOptions>, witness_client::AuthoritiesError> {
    let WitnessConfig { policies, settings, timeout, accept_unwitnessed_start, distrusted } =
        &config.witness;
    if policies.is_empty() {
        return Ok(None);
    }
    Ok(Some(WitnessOptions {
        policies: policies.clone(),
        calls: Arc::new(HttpWitnesses::new(*timeout, policies.values(), Arc::clone(clock))?),
        reads: Arc::clone(reads),
        settings: *settings,
        evidence_dir: config.evidence_dir(),
        accept_unwitnessed_start: *accept_unwitnessed_start,
        distrusted: distrusted.clone(),
    }))
}

fn open_engine(config: &Config) -> Result<RocksEngine, StorageError> {
    let path = config.db_dir();
    tokio::task::block_in_place(|| {
        if config.read_only {
            RocksEngine::open_read_only(&path, &config.storage)
        } else {
            RocksEngine::open(&path, &config.storage)
        }
    })
}
