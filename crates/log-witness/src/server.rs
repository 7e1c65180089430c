//! The node put together: store, keys, witness, logs, and one port.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use base::clock::checked::CheckedClock;
use base::clock::{Clock, SystemClock};
use base::durable::{self, FileError};
use base::tasks::{self, Background, PANIC_EXIT_CODE, Supervisor};
use bytes::Bytes;
use formats::{Origin, VerifierKey};
use http::Response;
use log_proto::gossip_v1::gossip_service_server::GossipServiceServer;
use serve::admin::AdminServer;
use serve::body::Body;
use serve::config::{ConfigError, Listen};
use serve::grpc;
use serve::health::Health;
use serve::identity::{Identity, IdentityError};
use serve::middleware::Chain;
use serve::ops::Ops;
use serve::port::Port;
use serve::process::{Fatal, Serving};
use serve::refusal::Api;
use serve::route::Matched;
use tls::Pin;
use tokio_util::sync::CancellationToken;

use crate::admin;
use crate::config::Config;
use crate::gossip::{
    self, Gossip, GossipError, GossipOptions, PeerUrlError, Webhook, WebhookError,
};
use crate::http::{Http, readiness};
use crate::metrics::{LogGauges, Metrics};
use crate::roster::{Roster, Watcher};
use crate::routes::{self, To};
use crate::store::{Store, StoreError};
use crate::witness::{Cosigner, CosignerError, Options, Refusal, Witness};

/// What the mark beside the keys says: that they have signed, and that a store goes with them.
const IN_USE: &str = "These keys have cosigned. They must never be used without their store, db/: a \
witness that forgets what it cosigned can be made to cosign its opposite.\n";
/// The exit status after a failed write: the next start finds out what is stored (`EX_TEMPFAIL`).
const STORE_FAILED: u8 = 75;
/// How long tasks may take to end once the server has stopped.
const TASKS_END_WITHIN: Duration = Duration::from_secs(2);
/// The part of the time that looking at the folder of logs may take.
const LOOK_SHARE: u32 = 50;
/// The longest pause between two looks, in pauses that were set.
const LOOK_PAUSES_MAX: u32 = 30;

/// How the gossip API names what every server refuses.
static API: Api = Api {
    domain: "cairn.gossip.v1",
    message_too_large: "MESSAGE_TOO_LARGE",
    deadline_passed: "deadline passed",
};

/// Why the witness does not start. Nothing was answered.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    File(#[from] FileError),
    #[error(transparent)]
    Cosigner(#[from] CosignerError),
    #[error(transparent)]
    Witness(#[from] crate::witness::StartError),
    #[error(
        "{store}: the store is missing, and these keys have cosigned: bring the store back, or give the keys up and let new ones be made (remove {keys} and {keys}.vkey, not the keys of TLS)", store = store.display(), keys = keys.display()
    )]
    StoreMissing { store: PathBuf, keys: PathBuf },
    #[error("the keys of the logs cannot be stored: {0}")]
    Pins(#[from] Refusal),
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error("cannot listen on {listen}: {source}: choose another address with --listen")]
    Listen { listen: Listen, source: std::io::Error },
    #[error("no random bytes: {0}")]
    Random(getrandom::Error),
    #[error(transparent)]
    Peer(#[from] PeerUrlError),
    #[error(transparent)]
    Webhook(#[from] WebhookError),
    #[error(transparent)]
    Gossip(#[from] GossipError),
    #[error(transparent)]
    Identity(#[from] IdentityError),
}

/// A witness that serves.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    pin: Pin,
    first_start: bool,
    witness: Witness,
    metrics: Arc<Metrics>,
    clock: Arc<dyn Clock>,
    health: Health,
    stopping: CancellationToken,
    background: Background,
    accepting: tokio::task::JoinHandle<Option<()>>,
    /// Answers operators; `None` once it has stopped.
    admin: Option<AdminServer>,
}

impl Server {
    /// Opens the store and the keys, checks them, and opens the port. Makes what is missing at a first
    /// start.
    pub async fn start(config: &Config) -> Result<Self, StartError> {
        Self::start_with(config, Arc::new(SystemClock::new())).await
    }

    /// As [`Self::start`], with a clock that is there already.
    pub async fn start_with(config: &Config, clock: Arc<dyn Clock>) -> Result<Self, StartError> {
        let checked = CheckedClock::new(clock, config.clock_step_max, config.clock_path());
        let checked = Arc::new(checked);
        let clock = Arc::clone(&checked) as Arc<dyn Clock>;
        let gossip_options = tokio::task::block_in_place(|| gossip_options(config, &clock))?;
        let opened = tokio::task::block_in_place(|| open(config))?;
        let supervisor = Supervisor::on(Arc::clone(&clock));
        let metrics = Arc::new(Metrics::new(supervisor.clone()));
        let roster = Arc::new(Roster::default());
        let witness = tokio::task::block_in_place(|| {
            Witness::start(Options {
                store: opened.store,
                cosigner: opened.cosigner,
                roster: Arc::clone(&roster),
                clock: Arc::clone(&clock),
                metrics: Arc::clone(&metrics),
                lanes: signer_threads(config.signer_threads),
            })
        })?;
        if let Some(newest_s) = witness.public().newest_s() {
            checked.open(newest_s.saturating_mul(1_000));
        }
        metrics.collect_logs(LogGauges {
            public: Arc::clone(witness.public()),
            roster,
            clock: Arc::clone(&checked),
        });
        let stopping = CancellationToken::new();
        let mut background = Background::new(supervisor.clone(), stopping.clone());
        let logs = Logs { witness: witness.clone(), metrics: Arc::clone(&metrics) };
        logs.follow(opened.watcher, config, &clock, &mut background).await?;
        let watched = Arc::clone(&checked);
        background.helper("clock", move || Arc::clone(&watched).watch());

        let commands = admin::commands(Arc::clone(&checked));
        let admin =
            AdminServer::start(&config.data_dir, commands, Arc::clone(&clock), &supervisor)?;
        let pin = opened.identity.pin();
        let port = open_port(config, &metrics, &stopping, &clock)?.with_tls(opened.identity);
        let address = port.address();
        let prefix = getrandom::u32().map_err(StartError::Random)?;
        let gossip = Gossip::start(
            witness.clone(),
            gossip_options,
            Arc::clone(&clock),
            Arc::clone(&metrics),
            &mut background,
        )?;
        let (checking, believed) = (witness.clone(), Arc::clone(&checked));
        let ready = move || readiness(&checking, &believed);
        let health = Health::new(supervisor.clone(), ready);
        let scraped = Arc::clone(&metrics);
        let ops = Ops::new(health.clone(), move || scraped.encode());
        let http = Http { witness: witness.clone(), ops };
        let handler = Handler { http, gossip: gossip.service() };
        let stack = chain(config, &metrics, prefix, &clock).around(handler);
        let accepting = supervisor.task("port", port.serve(stack, supervisor.clone()));
        Ok(Self {
            address,
            pin,
            first_start: opened.first_start,
            witness,
            metrics,
            clock,
            health,
            stopping,
            background,
            accepting,
            admin: Some(admin),
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// By what peers know its TLS.
    pub fn pin(&self) -> Pin {
        self.pin
    }

    /// There was no store, and one was made.
    pub fn is_first_start(&self) -> bool {
        self.first_start
    }

    /// The witness.
    pub fn witness(&self) -> &Witness {
        &self.witness
    }

    /// The keys that cosign.
    pub fn verifier_keys(&self) -> &[VerifierKey] {
        self.witness.verifier_keys()
    }

    /// What is counted.
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// Stops: no new connection, requests in flight end, what was accepted is written. Dropping this future
    /// stops at once; nothing that was answered is lost either way.
    pub async fn stop(&mut self) {
        self.health.stop();
        self.metrics.supervisor().stop();
        self.stopping.cancel();
        // A panic of the task was logged where it happened.
        drop((&mut self.accepting).await);
        self.background.ended().await;
        if let Some(admin) = self.admin.take() {
            admin.stop().await;
        }
        let witness = self.witness.clone();
        tasks::blocking(move || witness.stop()).await;
        let ended = self.metrics.supervisor().ended();
        if self.clock.timeout(TASKS_END_WITHIN, ended).await.is_err() {
            tracing::warn!("some tasks did not end in time");
        }
    }
}

impl Serving for Server {
    async fn must_end(&self) -> Fatal {
        let supervisor = self.metrics.supervisor();
        tokio::select! {
            biased;
            name = supervisor.vital_panicked() => {
                let reason = format!("{name} panicked; restart it");
                Fatal { reason, exit_code: PANIC_EXIT_CODE }
            }
            () = self.witness.failed() => {
                let reason = "the store cannot be written; restart it to see what is stored";
                Fatal { reason: reason.to_owned(), exit_code: STORE_FAILED }
            }
        }
    }

    async fn announce_stop(&mut self) {
        self.health.stop();
    }

    async fn stop(&mut self) {
        Self::stop(self).await;
    }

    async fn stop_at_once(&mut self) {}

    async fn last_answers(&mut self) {
        self.stopping.cancel();
        drop((&mut self.accepting).await);
    }

    /// Its store is Rust alone: nothing is in the way of the exit code.
    async fn abandon(&mut self) {}
}

fn signer_threads(setting: usize) -> usize {
    let cores = || std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    if setting == 0 { cores() } else { setting }
}

/// What is there before anything is signed.
struct Opened {
    store: Arc<Store>,
    cosigner: Cosigner,
    identity: Identity,
    watcher: Watcher,
    first_start: bool,
}

/// The order matters: store, then keys, then the mark that they belong together. A start cut short goes on
/// the next time; a mark without a store always means loss.
fn open(config: &Config) -> Result<Opened, StartError> {
    let (store_path, keys) = (config.store_path(), config.keys_path());
    let mark = keys.with_extension("in-use");
    let first_start = !Store::is_at(&store_path);
    if first_start && mark.exists() {
        return Err(StartError::StoreMissing { store: store_path, keys });
    }
    let store = Arc::new(Store::open(&store_path, config.cache_bytes)?);
    let hostname = gethostname::gethostname().to_string_lossy().into_owned();
    let cosigner = Cosigner::open(&keys, config.key_readers, config.name.as_deref(), &hostname)?;
    if !mark.exists() {
        durable::create_new(&mark, IN_USE.as_bytes(), 0o644)?;
    }
    let identity = Identity::open(&config.tls_key_path(), config.key_readers)?;
    durable::create_dir_all(&config.logs_dir, 0o755)?;
    let watcher = Watcher::new(config.logs_dir.clone(), pins(&store)?);
    Ok(Opened { store, cosigner, identity, watcher, first_start })
}

fn pins(store: &Store) -> Result<HashMap<Origin, Arc<str>>, StoreError> {
    let (mut pins, mut damage) = (HashMap::new(), None);
    store.each_keys(|origin, vkeys| match vkeys {
        Ok(vkeys) => drop(pins.insert(origin, Arc::from(vkeys))),
        Err(found) => damage = Some(found),
    })?;
    damage.map_or(Ok(pins), Err)
}

/// What is done with what is found in the folder of logs.
#[derive(Clone)]
struct Logs {
    witness: Witness,
    metrics: Arc<Metrics>,
}

impl Logs {
    /// Takes what is in the folder now, and follows it from then on.
    async fn follow(
        self,
        watcher: Watcher,
        config: &Config,
        clock: &Arc<dyn Clock>,
        background: &mut Background,
    ) -> Result<(), Refusal> {
        let mut watcher = Some(self.look(watcher).await?);
        let (poll, dir) = (config.logs_poll, config.logs_dir.clone());
        let clock = Arc::clone(clock);
        background.helper("logs", move || {
            let (logs, dir, clock) = (self.clone(), dir.clone(), Arc::clone(&clock));
            let watcher = watcher.take();
            async move {
                let watcher = match watcher {
                    Some(watcher) => watcher,
                    // The one before panicked: this one looks at every file again.
                    None => logs.new_watcher(dir, poll, &*clock).await,
                };
                logs.follow_on(watcher, poll, &*clock).await;
            }
        });
        Ok(())
    }

    async fn new_watcher(&self, dir: PathBuf, poll: Duration, clock: &dyn Clock) -> Watcher {
        loop {
            let store = Arc::clone(self.witness.store());
            match tasks::blocking(move || pins(&store)).await {
                Ok(pins) => return Watcher::new(dir, pins),
                Err(error) => tracing::error!(%error, "the keys of the logs cannot be read"),
            }
            clock.sleep(poll * LOOK_PAUSES_MAX).await;
        }
    }

    async fn follow_on(&self, mut watcher: Watcher, poll: Duration, clock: &dyn Clock) {
        let mut pause = poll;
        loop {
            clock.sleep(pause).await;
            let started = clock.monotonic();
            watcher = match self.look(watcher).await {
                Ok(watcher) => watcher,
                // The store failed, and the process ends.
                Err(_) => return,
            };
            let took = clock.monotonic().saturating_sub(started);
            pause = (took * LOOK_SHARE).clamp(poll, poll * LOOK_PAUSES_MAX);
        }
    }

    /// Looks once, on a thread that may wait for the disk.
    async fn look(&self, watcher: Watcher) -> Result<Watcher, Refusal> {
        let looked = move || {
            let mut watcher = watcher;
            let change = watcher.look();
            (watcher, change)
        };
        let (mut watcher, change) = tasks::blocking(looked).await;
        let Some(change) = change else { return Ok(watcher) };
        change.problems.iter().for_each(|problem| tracing::error!("{problem}"));
        let rotated = change.rotated.iter();
        rotated.for_each(|origin| tracing::warn!(%origin, "the log has other keys than before"));
        self.metrics.bad_log_files(change.refused);
        // Durable before they are used: from then on nobody replaces them silently.
        if !change.pins.is_empty() {
            self.witness.pin_keys(change.pins.clone()).await?;
        }
        watcher.apply(change, self.witness.roster());
        tracing::info!(logs = self.witness.roster().len(), "the folder of logs was read");
        Ok(watcher)
    }
}

fn open_port(
    config: &Config,
    metrics: &Metrics,
    stopping: &CancellationToken,
    clock: &Arc<dyn Clock>,
) -> Result<Port, StartError> {
    let options = tokio::task::block_in_place(|| config.port.options())?;
    let (listen, counts) = (config.port.listen.clone(), Arc::clone(metrics.requests()));
    Port::open(&options, counts, stopping, Arc::clone(clock))
        .map_err(|source| StartError::Listen { listen, source })
}

fn chain(
    config: &Config,
    metrics: &Arc<Metrics>,
    request_id_prefix: u32,
    clock: &Arc<dyn Clock>,
) -> Chain<To> {
    Chain {
        api: &API,
        routes: Arc::new(routes::table()),
        requests: Arc::clone(metrics.requests()),
        request_id_prefix,
        header_bytes_max: config.port.header_bytes_max,
        requests_max: config.requests_max,
        clock: Arc::clone(clock),
        http_timeout: config.http_timeout,
        grpc_timeout: config.http_timeout,
        identity: None,
        quota: None,
    }
}

fn gossip_options(config: &Config, clock: &Arc<dyn Clock>) -> Result<GossipOptions, StartError> {
    let webhook = config.webhook.as_deref().map(|url| Webhook::new(url, Arc::clone(clock)));
    Ok(GossipOptions {
        peers: gossip::parse_peers(&config.peers, config.insecure_peers)?,
        interval: config.gossip_interval,
        suspect_after: config.suspect_after,
        logs_dir: config.logs_dir.clone(),
        webhook: webhook.transpose()?,
    })
}

/// Where requests end.
#[derive(Clone)]
struct Handler {
    http: Http,
    gossip: GossipServiceServer<Gossip>,
}

impl<B> tower::Service<Matched<B, To>> for Handler
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>> + Send,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future =
        std::pin::Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, matched: Matched<B, To>) -> Self::Future {
        let Matched { request, route, to, .. } = matched;
        match to {
            To::Gossip => match grpc::checked(request, route, &API) {
                Ok(request) => Box::pin(self.gossip.call(request)),
                Err(refused) => Box::pin(std::future::ready(Ok(*refused))),
            },
            To::Http(target) => {
                let http = self.http.clone();
                Box::pin(async move { Ok(http.answer(request, route, target).await) })
            }
        }
    }
}
