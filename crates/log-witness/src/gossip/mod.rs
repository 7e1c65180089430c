//! Gossip: what witnesses tell one another, so that a log cannot show two of them different histories.
//!
//! ```text
//! peers, clients ──► service ──► offer ──► book ──► a contradiction ──► convict ──► store, peers, webhook
//!                                           │  ▲
//!                       heads that wait  ◄──┘  └── compare: the log's tiles prove or contradict
//! ```
//!
//! A head from elsewhere counts for nothing but the log's signature. Another root for a size that is
//! known is evidence at once; a head of another size is compared by a proof that the log itself has to
//! give, from the tiles that the operator named. A log that gives none is a suspect, and goes on.

mod address;
mod book;
mod compare;
mod exchange;
mod head;
mod peers;
mod service;
mod webhook;

pub(crate) use exchange::MESSAGE_BYTES_MAX;

pub use address::{PeerAddress, PeerUrlError, parse_peers};
pub use webhook::{Webhook, WebhookError};

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base::clock::Clock;
use base::tasks::{self, Background};
use bytes::Bytes;
use formats::{Evidence, NotShown, Origin, SignedCheckpoint};
use futures_util::StreamExt as _;
use futures_util::future::join_all;
use futures_util::stream::FuturesUnordered;
use log_proto::gossip_v1::gossip_service_server::GossipServiceServer;
use merkle::Hash;
use tls::AuthoritiesError;
use tokio::sync::watch;

use crate::metrics::Metrics;
use crate::store::{StoreError, TrustRow};
use crate::witness::{Held, Refusal, Witness};
use book::{Book, Due, Newest, Offered};
use compare::Compared;
use head::{Head, HeadError};

/// Logs that are asked for proofs at the same time: most answer at once, and one that does not holds its
/// place for as long as its addresses may take.
const COMPARISONS_MAX: usize = 64;
/// How often heads that wait are looked for in the time of a round.
const TICKS_PER_ROUND: u32 = 4;
/// How often the files of URLs are read again, at most.
const URLS_EVERY: Duration = Duration::from_secs(5);

/// How this witness gossips.
#[derive(Clone, Debug)]
pub struct GossipOptions {
    /// Addresses of other witnesses.
    pub peers: Vec<PeerAddress>,
    /// The mean time between two rounds with one peer.
    pub interval: Duration,
    /// How long a log may give no proof before it is a suspect.
    pub suspect_after: Duration,
    /// Where `NAME.url` lies beside `NAME.vkey`.
    pub logs_dir: PathBuf,
    /// Where evidence is posted to when it is first held.
    pub webhook: Option<Webhook>,
}

/// Why there is no gossip.
#[derive(Debug, thiserror::Error)]
pub enum GossipError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Authorities(#[from] AuthoritiesError),
}

/// A handle to the gossip of one witness. Cloning it is cheap.
#[derive(Clone, Debug)]
pub struct Gossip {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    witness: Witness,
    options: GossipOptions,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    /// Locked for look-ups and changes in memory, never across a wait.
    book: Mutex<Book>,
    /// Written by the task that compares.
    urls: Mutex<Urls>,
    /// Logs with evidence against them, and whether they are distrusted.
    convicted: Mutex<HashMap<Origin, bool>>,
    /// Refused notes that were offered already. Bounded by what the store keeps.
    refused_seen: Mutex<HashSet<Hash>>,
    /// Counts convictions, so that peers are told at once.
    convictions: watch::Sender<u64>,
    calls: tokio::sync::Semaphore,
}

#[derive(Debug, Default)]
struct Urls {
    read: Option<Duration>,
    by_log: HashMap<Origin, Vec<String>>,
}

/// What became of evidence that was offered.
#[derive(Debug, thiserror::Error)]
enum NoConviction {
    #[error("its log is not known here")]
    UnknownLog,
    #[error(transparent)]
    NotShown(#[from] NotShown),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Refused(#[from] Refusal),
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Every step leaves what is known whole, so a panic elsewhere while it was locked did no harm.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Gossip {
    /// Reads which logs have evidence against them, and starts to compare and to exchange.
    ///
    /// # Errors
    /// The store cannot be read, or the machine's certificate authorities where a peer is known by them.
    pub fn start(
        witness: Witness,
        options: GossipOptions,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
        background: &mut Background,
    ) -> Result<Self, GossipError> {
        let convicted = convicted(&witness)?;
        let inner = Inner {
            witness,
            options,
            clock,
            metrics,
            book: Mutex::default(),
            urls: Mutex::default(),
            convicted: Mutex::new(convicted),
            refused_seen: Mutex::default(),
            convictions: watch::channel(0).0,
            calls: tokio::sync::Semaphore::new(service::CALLS_MAX),
        };
        let gossip = Self { inner: Arc::new(inner) };
        gossip.follow_witness();
        background.spawn("gossip", gossip.clone().compare_rounds());
        for peer in &gossip.inner.options.peers {
            let channel = peer.channel(peers::CALL_TIMEOUT)?;
            background.spawn("peer", peers::follow(gossip.clone(), peer.clone(), channel));
        }
        Ok(gossip)
    }

    /// The service to be put on the witness's port.
    pub fn service(&self) -> GossipServiceServer<Self> {
        GossipServiceServer::new(self.clone()).max_decoding_message_size(MESSAGE_BYTES_MAX)
    }

    async fn compare_rounds(self) {
        let mut comparing = FuturesUnordered::new();
        let mut busy: HashSet<Origin> = HashSet::new();
        for tick in 0_u64.. {
            // Reading the configuration and the store costs more than looking for what waits.
            if tick.is_multiple_of(u64::from(TICKS_PER_ROUND)) {
                self.follow_witness();
                if let Err(error) = self.offer_own().await {
                    tracing::error!(%error, "the store cannot be read for gossip");
                }
            }
            for (origin, due) in self.due(&busy).await {
                busy.insert(origin.clone());
                comparing.push(self.compare_all(origin, due));
            }
            let (pending, suspects) = lock(&self.inner.book).counts();
            self.inner.metrics.gossip(pending, suspects);
            let mut pause = self.inner.clock.sleep(self.inner.options.interval / TICKS_PER_ROUND);
            loop {
                tokio::select! {
                    Some(origin) = comparing.next() => drop(busy.remove(&origin)),
                    () = &mut pause => break,
                }
            }
        }
    }

    /// Takes over which logs are configured, and which have evidence against them.
    fn follow_witness(&self) {
        let mut book = lock(&self.inner.book);
        book.keep(self.inner.witness.roster().origins());
        for (origin, distrusted) in lock(&self.inner.convicted).iter() {
            book.convict(origin, *distrusted);
        }
    }

    /// Offers what this witness cosigned, and what it refused and kept, as any other head.
    async fn offer_own(&self) -> Result<(), StoreError> {
        let inner = &self.inner;
        for (origin, held) in inner.witness.public().heads() {
            self.offer_held(&origin, held).await?;
        }
        let mut kept = HashSet::new();
        for origin in inner.witness.store().refused_origins()? {
            for (_, refused) in inner.witness.store().refused(&origin)? {
                let note = merkle::leaf_hash(&refused.note);
                kept.insert(note);
                let seen = lock(&inner.refused_seen).contains(&note);
                if !seen && let Err(error) = self.offer(&refused.note).await {
                    tracing::debug!(%origin, %error, "a refused note says nothing");
                }
            }
        }
        // Without those the store has let go of: anyone can have another one kept.
        *lock(&inner.refused_seen) = kept;
        Ok(())
    }

    /// Takes over what was cosigned for a log, and compares it if something newer was heard of before.
    async fn offer_held(&self, origin: &Origin, held: Held) -> Result<(), StoreError> {
        let inner = &self.inner;
        if lock(&inner.book).held(origin, held.size, held.root).is_none() {
            return Ok(());
        }
        if let Some(stored) = inner.witness.store().checkpoint(origin)?
            && let Ok((origin, head)) = Head::verify(&stored.note, inner.witness.roster())
        {
            self.judge(&origin, head).await;
        }
        Ok(())
    }

    /// Takes a checkpoint from anyone: verifies it, and compares it with what is known, what was
    /// cosigned a moment ago included.
    async fn offer(&self, note: &[u8]) -> Result<(Origin, Offered), HeadError> {
        let (origin, head) = Head::verify(note, self.inner.witness.roster())?;
        if let Some(held) = self.inner.witness.public().head(&origin)
            && let Err(error) = self.offer_held(&origin, held).await
        {
            tracing::error!(%origin, %error, "the store cannot be read for gossip");
        }
        let offered = self.judge(&origin, head).await;
        Ok((origin, offered))
    }

    async fn judge(&self, origin: &Origin, head: Head) -> Offered {
        let now = self.inner.clock.monotonic();
        let offered = lock(&self.inner.book).offer(origin, head.clone(), now);
        let evidence = match &offered {
            Offered::WrongEmptyRoot => Evidence::of_empty(head.signed()).ok(),
            Offered::ContradictsNewest(newest) => self
                .signed(origin, newest)
                .and_then(|newest| Evidence::of_same_size(head.signed(), newest).ok()),
            Offered::ContradictsPending(other) => {
                Evidence::of_same_size(head.signed(), other.signed()).ok()
            }
            Offered::UnknownLog
            | Offered::Known
            | Offered::Pending { .. }
            | Offered::Dropped
            | Offered::Convicted => None,
        };
        if let Some(evidence) = evidence
            && let Err(error) = self.convict(&evidence).await
        {
            tracing::warn!(%origin, %error, "a contradiction was not kept as evidence");
        }
        offered
    }

    /// The newest head of a log with its signatures, if it is still that.
    fn signed(&self, origin: &Origin, newest: &Newest) -> Option<SignedCheckpoint> {
        match newest {
            Newest::Heard(head) => Some(head.signed()),
            Newest::Held(..) => {
                let stored = self.inner.witness.store().checkpoint(origin).ok()??;
                stored.checkpoint(origin).ok()
            }
        }
    }

    /// The heads to compare now, by their logs, without those of `busy` ones, and as many logs as there is
    /// room for.
    async fn due(&self, busy: &HashSet<Origin>) -> HashMap<Origin, Vec<Due>> {
        let room = COMPARISONS_MAX.saturating_sub(busy.len());
        let mut by_log: HashMap<Origin, Vec<Due>> = HashMap::new();
        for due in lock(&self.inner.book).due(self.inner.clock.monotonic()) {
            if let Some(others) = by_log.get_mut(&due.origin) {
                others.push(due);
            } else if by_log.len() < room && !busy.contains(&due.origin) {
                by_log.insert(due.origin.clone(), vec![due]);
            }
        }
        if !by_log.is_empty() {
            self.read_urls().await;
        }
        by_log
    }

    /// Compares the heads of one log: whoever does not answer makes its own heads wait, and no others.
    async fn compare_all(&self, origin: Origin, due: Vec<Due>) -> Origin {
        join_all(due.into_iter().map(|due| self.compare(due))).await;
        origin
    }

    async fn read_urls(&self) {
        let now = self.inner.clock.monotonic();
        let fresh = |read: Duration| now.saturating_sub(read) < URLS_EVERY;
        if lock(&self.inner.urls).read.is_some_and(fresh) {
            return;
        }
        let dir = self.inner.options.logs_dir.clone();
        // A panic in it was logged where it happened: the addresses stay those of before.
        if let Ok(by_log) = tokio::task::spawn_blocking(move || compare::read_urls(&dir)).await {
            *lock(&self.inner.urls) = Urls { read: Some(now), by_log };
        }
    }

    async fn compare(&self, due: Due) {
        let urls = lock(&self.inner.urls).by_log.get(&due.origin).cloned().unwrap_or_default();
        let Some(newest) = self.signed(&due.origin, &due.newest) else { return };
        let head = due.head.signed();
        let (smaller, larger) =
            if head.size() < newest.size() { (&head, &newest) } else { (&newest, &head) };
        match compare::compare(&urls, smaller, larger).await {
            Compared::Consistent => lock(&self.inner.book).consistent(due),
            Compared::Contradiction(evidence) => {
                if let Err(error) = self.convict(&evidence).await {
                    tracing::warn!(origin = %due.origin, %error, "evidence was not kept");
                }
            }
            Compared::Unproven => self.unproven(&due, urls.is_empty()),
        }
    }

    fn unproven(&self, due: &Due, nobody_asked: bool) {
        let suspect_after = (!nobody_asked).then_some(self.inner.options.suspect_after);
        let now = self.inner.clock.monotonic();
        if lock(&self.inner.book).unproven(due, now, suspect_after) {
            tracing::error!(
                origin = %due.origin, size = due.head.size().get(), known = due.newest.size().get(),
                "the log is a suspect: it signed two heads, and gives no proof that one continues the other"
            );
        }
    }

    /// Takes evidence from anyone. Durable, and told to everybody, when this returns `Ok`.
    async fn convict(&self, evidence: &Evidence) -> Result<(), NoConviction> {
        let (inner, origin) = (&self.inner, evidence.origin());
        let keys = inner.witness.roster().keys(origin).ok_or(NoConviction::UnknownLog)?;
        let shown = evidence.verify(&keys)?;
        if let Some(row) = inner.witness.store().trust(origin)?
            && is_settled(&row, evidence)
        {
            return Ok(());
        }
        inner.witness.distrust(origin, evidence.format()).await?;
        lock(&inner.convicted).insert(origin.clone(), true);
        lock(&inner.book).convict(origin, true);
        tracing::error!(%origin, "evidence: {shown}; the log's keys are not trusted any more");
        inner.convictions.send_modify(|convictions| *convictions += 1);
        if let Some(webhook) = inner.options.webhook.clone() {
            let post = webhook.post(evidence.format(), Arc::clone(&inner.clock));
            drop(tasks::spawn("webhook", post));
        }
        Ok(())
    }

    /// The evidence held against a log.
    fn evidence(&self, origin: &Origin) -> Option<Bytes> {
        let row = self.inner.witness.store().trust(origin);
        row.ok().flatten().map(|row| row.evidence.into())
    }
}

/// Whether evidence adds nothing: its log is not trusted already, or the operator trusts it in spite of
/// what this says.
fn is_settled(row: &TrustRow, found: &Evidence) -> bool {
    let forgiven = || Evidence::parse(&row.evidence);
    !row.trusted || forgiven().is_ok_and(|forgiven| !book::says_more(found, &forgiven))
}

fn convicted(witness: &Witness) -> Result<HashMap<Origin, bool>, StoreError> {
    let (mut convicted, mut damage) = (HashMap::new(), None);
    witness.store().each_trust(|origin, row| match row {
        Ok(row) => drop(convicted.insert(origin, !row.trusted)),
        Err(found) => damage = Some(found),
    })?;
    damage.map_or(Ok(convicted), Err)
}
