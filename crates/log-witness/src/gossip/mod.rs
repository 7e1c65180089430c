//! Gossip: what witnesses tell one another, so that a log cannot show two of them different histories.
//!
//! ```text
//! peers, clients ──► service ──► offer ──► book ──► a contradiction ──► convict ──► store, peers, webhook
//!                                           │  ▲
//!                       heads that wait  ◄──┘  └── compare: the log's tiles prove or contradict
//! ```
//!
//! We believe nothing about a head from elsewhere except that the log signed it. Another root for a known
//! size is evidence at once. A head of another size is compared by a proof from the log's tiles, at the
//! addresses that the operator named. A witness that gets no proof hands its heads to its peers, and after
//! a while the log is a suspect. Nothing is frozen then.

mod address;
mod book;
mod compare;
mod exchange;
mod head;
mod peers;
mod rounds;
mod service;
mod webhook;

pub(crate) use exchange::MESSAGE_BYTES_MAX;

#[cfg(test)]
mod tests;

pub use address::{PeerAddress, PeerUrlError, parse_peers};
pub use webhook::{Webhook, WebhookError};

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base::clock::Clock;
use base::tasks::Background;
use bytes::Bytes;
use formats::{Evidence, NotShown, Origin, SignedCheckpoint};
use log_proto::gossip_v1::gossip_service_server::GossipServiceServer;
use tls::AuthoritiesError;
use tokio::sync::watch;

use crate::metrics::Metrics;
use crate::store::{StoreError, TrustRow};
use crate::witness::{Refusal, Witness};
use book::{Book, Kept, Offered};
use exchange::Given;
use head::{Head, HeadError};

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
    /// Counts convictions, so that peers are told at once.
    convictions: watch::Sender<u64>,
    calls: tokio::sync::Semaphore,
}

/// Why evidence convicted nobody.
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
    // Every step leaves the state whole, so a panic under the lock did no harm.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Gossip {
    /// Starts the task that compares and exchanges.
    ///
    /// # Errors
    /// The machine's certificate authorities, which vouch for a peer, cannot be read.
    pub fn start(
        witness: Witness,
        options: GossipOptions,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
        background: &mut Background,
    ) -> Result<Self, GossipError> {
        let inner = Inner {
            witness,
            options,
            clock,
            metrics,
            book: Mutex::default(),
            convictions: watch::channel(0).0,
            calls: tokio::sync::Semaphore::new(service::CALLS_MAX),
        };
        let gossip = Self { inner: Arc::new(inner) };
        gossip.follow_witness();
        let rounds = rounds::Rounds::new(&gossip)?;
        background.helper("gossip", move || rounds.run());
        Ok(gossip)
    }

    /// The service for the witness's port.
    pub fn service(&self) -> GossipServiceServer<Self> {
        GossipServiceServer::new(self.clone()).max_decoding_message_size(MESSAGE_BYTES_MAX)
    }

    /// Takes over which logs are configured, what was cosigned, and which logs are distrusted.
    fn follow_witness(&self) {
        let (inner, now) = (&self.inner, self.inner.clock.monotonic());
        let mut book = lock(&inner.book);
        book.keep(inner.witness.roster().origins());
        for (origin, held) in inner.witness.public().heads() {
            book.held(&origin, held.size, held.root, now);
        }
        for (origin, distrusted) in inner.witness.public().accused() {
            if distrusted {
                book.stop_waiting(&origin);
            }
        }
    }

    /// Takes a checkpoint from anyone: verifies it, and compares it with what is known, including what was
    /// cosigned a moment ago.
    async fn offer(&self, note: &[u8]) -> Result<(Origin, Offered), HeadError> {
        let (origin, head) = Head::verify(note, self.inner.witness.roster())?;
        if let Some(held) = self.inner.witness.public().head(&origin) {
            let now = self.inner.clock.monotonic();
            lock(&self.inner.book).held(&origin, held.size, held.root, now);
        }
        let offered = self.judge(&origin, head).await;
        Ok((origin, offered))
    }

    async fn judge(&self, origin: &Origin, head: Head) -> Offered {
        if self.inner.witness.public().is_distrusted(origin) {
            return Offered::Convicted;
        }
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

    /// A head of a log with its signatures. For one that was cosigned, the one that was cosigned last.
    fn signed(&self, origin: &Origin, head: &Kept) -> Option<SignedCheckpoint> {
        match head {
            Kept::Heard(head) => Some(head.signed()),
            Kept::Held(..) => {
                let stored = self.inner.witness.store().checkpoint(origin).ok()??;
                stored.checkpoint(origin).ok()
            }
        }
    }

    /// The notes of heads, as many as a message has room for, and which heads those are. Reads from the
    /// store: blocks.
    fn notes(&self, heads: Vec<Given>) -> (Vec<Given>, Vec<Bytes>) {
        let (mut given, mut notes, mut bytes) = (Vec::new(), Vec::new(), 0);
        for (origin, head) in heads {
            if notes.len() >= exchange::CHECKPOINTS_MAX {
                break;
            }
            let Some(signed) = self.signed(&origin, &head) else { continue };
            let note = signed.as_bytes();
            if bytes + note.len() <= exchange::CHECKPOINT_BYTES_MAX {
                bytes += note.len();
                notes.push(Bytes::copy_from_slice(note));
                given.push((origin, head));
            }
        }
        (given, notes)
    }

    /// Takes evidence from anyone. When this returns `Ok` it is durable, and the peers are being told.
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
        lock(&inner.book).stop_waiting(origin);
        tracing::error!(%origin, "evidence: {shown}; the log's keys are not trusted any more");
        inner.convictions.send_modify(|convictions| *convictions += 1);
        if let Some(webhook) = inner.options.webhook.clone() {
            let post = webhook.post(evidence.format());
            drop(inner.metrics.supervisor().task("webhook", post));
        }
        Ok(())
    }

    /// The evidence held against a log.
    fn evidence(&self, origin: &Origin) -> Option<Bytes> {
        let row = self.inner.witness.store().trust(origin);
        row.ok().flatten().map(|row| row.evidence.into())
    }
}

/// Whether evidence adds nothing: its log is distrusted already, or the operator knew as much when they
/// trusted it again.
fn is_settled(row: &TrustRow, found: &Evidence) -> bool {
    let forgiven = || Evidence::parse(&row.evidence);
    !row.trusted || forgiven().is_ok_and(|forgiven| !book::says_more(found, &forgiven))
}
