//! The server put together: storage, logs, services, and one port for gRPC and HTTP.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use base::clock::{Clock, SystemClock};
use base::tasks::{Background, Supervisor};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{Request, Response};
use log_proto::log_v1::log_service_server::LogServiceServer;
use serve::body::Body;
use serve::config::{ConfigError, Listen};
use serve::grpc;
use serve::health::Health;
use serve::middleware::Chain;
use serve::ops::Ops;
use serve::port::Port;
use serve::process::{self, Serving};
use serve::route::Matched;
use tokio_util::sync::CancellationToken;
use tonic::server::NamedService;
use tonic_health::ServingStatus;
use tonic_health::pb::health_server::HealthServer;
use tonic_health::server::{HealthReporter, HealthService};

use crate::config::{Config, WitnessConfig};
use crate::witnesses::HttpWitnesses;
use log_api::http::Http;
use log_api::http::encoding::Encoder;
use log_api::http::ops::{RegistryGauges, readiness};
use log_api::logs::Logs;
use log_api::metrics::Metrics;
use log_api::metrics::witness::WitnessCollector;
use log_api::refusal::API;
use log_api::routes::{self, To};
use log_api::service::{MESSAGE_BYTES_MAX, Service};
use log_core::read::Reads;
use log_core::witness::WitnessOptions;
use log_core::{
    CreateError, CreateLog, Fatal, Registry, RegistryOptions, StartError as RegistryError,
    follow::leaf_index,
};
use storage::{Engine, StorageError};
use storage_rocksdb::RocksEngine;
use storage_rocksdb::backup::ControlServer;

/// The log that a first start makes.
pub const DEFAULT_LOG: &str = "default";
/// The gRPC health name of witnessed receipts: it fails alone, as stale witnesses never stop appends.
pub const WITNESSED_HEALTH: &str = "cairn.log.v1.LogService/witnessed";
/// How long a backup waits for its checkpoints, at most.
const ARCHIVE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long tasks may take to end once the server has stopped.
const TASKS_END_WITHIN: Duration = Duration::from_secs(2);
/// How often readiness is looked at for the gRPC health service.
const HEALTH_INTERVAL: Duration = Duration::from_millis(500);

/// Why the server does not start. Nothing was answered.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("storage: {0}")]
    Storage(#[from] StorageError),
    #[error(transparent)]
    Registry(#[from] RegistryError),
    #[error("log {DEFAULT_LOG} cannot be made: {0}")]
    DefaultLog(#[from] CreateError),
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error("cannot listen on {listen}: {source}: choose another address with --listen")]
    Listen { listen: Listen, source: std::io::Error },
    #[error("the reflection service cannot be built: {0}")]
    Reflection(#[from] tonic_reflection::server::Error),
    #[error("no random bytes: {0}")]
    Random(getrandom::Error),
    #[error(transparent)]
    Witnesses(#[from] witness_client::AuthoritiesError),
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
    fatal: tokio::sync::watch::Receiver<Option<Fatal>>,
    /// Answers `cairn-server backup` while the store is open here.
    control: Option<ControlServer>,
}

impl Server {
    /// Opens the store and its logs, checks them, and opens the port. Makes the log `default` where there
    /// is none at all.
    pub async fn start(config: &Config) -> Result<Self, StartError> {
        let engine = Arc::new(open_engine(config)?);
        let store = Arc::<RocksEngine>::clone(&engine);
        let mut server = Self::start_on(config, store, Arc::new(SystemClock::new())).await?;
        if config.read_only {
            return Ok(server);
        }
        let (runtime, registry) = (tokio::runtime::Handle::current(), server.registry.downgrade());
        let prepare = move || {
            if let Some(registry) = registry.upgrade() {
                let archived =
                    async { tokio::time::timeout(ARCHIVE_TIMEOUT, registry.archive()).await };
                if runtime.block_on(archived).is_err() {
                    tracing::warn!("a backup holds older checkpoints than it could");
                }
            }
        };
        let supervisor = server.metrics.supervisor().clone();
        match ControlServer::start(engine, &config.data_dir, prepare, &supervisor) {
            Ok(control) => server.control = Some(control),
            Err(error) => {
                server.stop().await;
                return Err(error.into());
            }
        }
        Ok(server)
    }

    /// As [`Self::start`], on an engine and a clock that are there already.
    pub async fn start_on(
        config: &Config,
        engine: Arc<dyn Engine>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, StartError> {
        let metrics = Arc::new(Metrics::new(Supervisor::new()));
        let reads = Arc::new(Reads::new(Arc::clone(&engine), config.tile_cache_bytes));
        let (mut options, fatal) = registry_options(config, &engine, &clock, &metrics);
        options.witness = witness_options(config, &reads)?;
        let registry = tokio::task::block_in_place(|| Registry::open(options))?;
        let stopping = CancellationToken::new();
        let supervisor = metrics.supervisor().clone();
        let parts = Parts { registry: registry.clone(), reads, metrics, clock, fatal };
        let served = parts.serve(config, stopping.clone()).await;
        if served.is_err() {
            // What has begun ends, and lets go of the store.
            stopping.cancel();
            registry.shutdown().await;
            drop(tokio::time::timeout(TASKS_END_WITHIN, supervisor.ended()).await);
        }
        served
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// There was no log at all, and `default` was made.
    pub fn is_first_start(&self) -> bool {
        self.first_start
    }

    /// The logs.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// What is counted.
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
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
        drop(tokio::time::timeout(within, Serving::last_answers(self)).await);
    }

    /// Stops: no new connection, requests in flight end, what is queued is committed, heads are signed and
    /// published. Dropping this future, and calling [`Registry::shutdown`] again, stops at once; nothing
    /// that was acknowledged is lost either way.
    pub async fn stop(&mut self) {
        self.announce_stop().await;
        self.stopping.cancel();
        // A panic of the task was logged where it happened.
        drop((&mut self.accepting).await);
        self.registry.shutdown().await;
        self.background.ended().await;
        drop(self.control.take());
        let ended = self.metrics.supervisor().ended();
        if tokio::time::timeout(TASKS_END_WITHIN, ended).await.is_err() {
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
        set_statuses(&self.reporter, statuses(&self.health, &self.registry)).await;
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
}

/// What a server is made of before it listens.
struct Parts {
    registry: Registry,
    reads: Arc<Reads>,
    metrics: Arc<Metrics>,
    clock: Arc<dyn Clock>,
    fatal: tokio::sync::watch::Receiver<Option<Fatal>>,
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
            create_default(&self.registry).await?;
        }
        self.collect();
        let supervisor = self.metrics.supervisor().clone();
        let mut background = Background::new(supervisor.clone(), stopping.clone());
        self.follow_leaves(config, &mut background);
        let checked = self.registry.clone();
        let health = Health::new(supervisor.clone(), move || readiness(&checked));
        let reporter = HealthReporter::new();
        report_health(&reporter, &health, &self.registry, &mut background).await;
        let prefix = getrandom::u32().map_err(StartError::Random)?;
        let chain = chain(config, &self.metrics, prefix);
        let reflection = tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(log_proto::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
            .build_v1()?;
        let stack = chain.around(self.handler(config, &health, &reporter, reflection, &stopping));
        let port = self.open_port(config, &stopping)?;
        let address = port.address();
        let accepting = supervisor.task("port", port.serve(stack, supervisor.clone()));
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
            fatal,
            control: None,
        })
    }

    fn open_port(&self, config: &Config, stopping: &CancellationToken) -> Result<Port, StartError> {
        let options = tokio::task::block_in_place(|| config.port())?;
        let (listen, counts) = (config.listen.clone(), Arc::clone(self.metrics.requests()));
        Port::open(&options, counts, stopping)
            .map_err(|source| StartError::Listen { listen, source })
    }

    fn follow_leaves(&self, config: &Config, background: &mut Background) {
        if config.read_only {
            return;
        }
        let rate = config.leaf_index_busy_rate;
        let (registry, reads) = (self.registry.clone(), Arc::clone(&self.reads));
        let clock = Arc::clone(&self.clock);
        background.helper("leaf index", move || {
            leaf_index::follow(registry.clone(), Arc::clone(&reads), Arc::clone(&clock), rate)
        });
    }

    fn collect(&self) {
        self.metrics.collect_logs(Arc::new(RegistryGauges {
            registry: self.registry.downgrade(),
            reads: Arc::downgrade(&self.reads),
            clock: Arc::clone(&self.clock),
        }));
        self.metrics.collect(WitnessCollector::new(self.registry.downgrade()));
    }

    fn handler<R>(
        &self,
        config: &Config,
        health: &Health,
        reporter: &HealthReporter,
        reflection: R,
        stopping: &CancellationToken,
    ) -> Handler<R> {
        let (reads, metrics) = (Arc::clone(&self.reads), Arc::clone(&self.metrics));
        let logs = Logs::new(self.registry.clone(), reads, Arc::clone(&metrics));
        let service = Service::new(logs.clone(), config.service, stopping.clone());
        let ops = Ops::new(health.clone(), move || metrics.encode());
        let http = Http::new(logs, Encoder::new(config.bundle_cache_bytes), ops);
        let health = HealthServer::new(HealthService::from_health_reporter(reporter.clone()));
        let log = LogServiceServer::new(service).max_decoding_message_size(MESSAGE_BYTES_MAX);
        Handler { log, health, reflection, http }
    }
}

/// What the logs are opened with, and where they say that the process must end.
fn registry_options(
    config: &Config,
    engine: &Arc<dyn Engine>,
    clock: &Arc<dyn Clock>,
    metrics: &Arc<Metrics>,
) -> (RegistryOptions, tokio::sync::watch::Receiver<Option<Fatal>>) {
    let (on_fatal, fatal) = tokio::sync::watch::channel(None);
    let options = RegistryOptions {
        engine: Arc::clone(engine),
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

/// Who witnesses the logs; `None` where nobody does.
fn witness_options(
    config: &Config,
    reads: &Arc<Reads>,
) -> Result<Option<WitnessOptions>, witness_client::AuthoritiesError> {
    let WitnessConfig { policies, settings, timeout, accept_unwitnessed_start, distrusted } =
        &config.witness;
    if policies.is_empty() {
        return Ok(None);
    }
    Ok(Some(WitnessOptions {
        policies: policies.clone(),
        calls: Arc::new(HttpWitnesses::new(*timeout, policies.values())?),
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

async fn create_default(registry: &Registry) -> Result<(), CreateError> {
    let name = DEFAULT_LOG.to_owned();
    let create = CreateLog { name, origin: None, deduplicate_entries: false };
    registry.create(create).await.map(drop)
}

/// Sets the health names now, and keeps them up to date until the server stops.
async fn report_health(
    reporter: &HealthReporter,
    health: &Health,
    registry: &Registry,
    background: &mut Background,
) {
    set_statuses(reporter, statuses(health, registry)).await;
    let (reporter, health, registry) = (reporter.clone(), health.clone(), registry.clone());
    background.helper("health", move || {
        let (reporter, health, registry) = (reporter.clone(), health.clone(), registry.clone());
        async move {
            let mut before = None;
            loop {
                let now = statuses(&health, &registry);
                if before.replace(now) != Some(now) {
                    set_statuses(&reporter, now).await;
                }
                tokio::time::sleep(HEALTH_INTERVAL).await;
            }
        }
    });
}

/// Of the server, and of witnessed receipts alone.
fn statuses(health: &Health, registry: &Registry) -> (ServingStatus, ServingStatus) {
    let status = |is| if is { ServingStatus::Serving } else { ServingStatus::NotServing };
    let witnessed = registry.is_witnessing() && !health.is_stopping();
    (status(health.readiness().is_ok()), status(witnessed))
}

async fn set_statuses(
    reporter: &HealthReporter,
    (server, witnessed): (ServingStatus, ServingStatus),
) {
    reporter.set_service_status(WITNESSED_HEALTH, witnessed).await;
    let log = <LogServiceServer<Service> as NamedService>::NAME;
    reporter.set_service_status(log, server).await;
    reporter.set_service_status("", server).await;
}

fn chain(config: &Config, metrics: &Arc<Metrics>, request_id_prefix: u32) -> Chain<To> {
    Chain {
        api: &API,
        routes: Arc::new(routes::table()),
        requests: Arc::clone(metrics.requests()),
        request_id_prefix,
        header_bytes_max: config.header_bytes_max,
        requests_max: config.requests_max,
        http_timeout: config.http_timeout,
        grpc_timeout: config.http_timeout + config.service.receipt_wait_max,
        identity: None,
        quota: None,
    }
}

/// Sends a request to what answers its row.
#[derive(Clone)]
struct Handler<R> {
    log: LogServiceServer<Service>,
    health: HealthServer<HealthService>,
    reflection: R,
    http: Http,
}

impl<R, B> tower::Service<Matched<B, To>> for Handler<R>
where
    R: tower::Service<
            Request<grpc::Checked<B>>,
            Response = Response<Body>,
            Error = Infallible,
            Future: Send + 'static,
        >,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>> + Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Answering;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        // None of the services has to be waited for: each bounds itself when it is called.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, matched: Matched<B, To>) -> Self::Future {
        let Matched { request, route, to, .. } = matched;
        let checked = |request| grpc::checked(request, route, &API);
        let answer: Result<Answer, Box<Response<Body>>> = match to {
            To::Log => checked(request).map(|request| self.log.call(request)),
            To::Health => checked(request).map(|request| self.health.call(request)),
            To::Reflection => checked(request)
                .map(|request| -> Answer { Box::pin(self.reflection.call(request)) }),
            To::Http(target) => {
                let http = self.http.clone();
                let answer = async move { Ok(http.answer(request, route, target).await) };
                return Answering::Http(Box::pin(answer));
            }
        };
        let refuse =
            |refused: Box<Response<Body>>| -> Answer { Box::pin(std::future::ready(Ok(*refused))) };
        Answering::Grpc(answer.unwrap_or_else(refuse))
    }
}

type Answer = BoxFuture<'static, Result<Response<Body>, Infallible>>;

/// An answer on its way. A refusal of gRPC has details whoever made it.
enum Answering {
    Grpc(Answer),
    Http(Answer),
}

impl Future for Answering {
    type Output = Result<Response<Body>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut *self {
            Self::Grpc(answer) => {
                answer.as_mut().poll(cx).map_ok(|answer| grpc::answered(answer, &API))
            }
            Self::Http(answer) => answer.as_mut().poll(cx),
        }
    }
}
