//! Reads that are proven: every answer is checked against a checkpoint that continues all that were seen.
//!
//! A [`VerifiedLog`] trusts one checkpoint at a time. Each checkpoint that an answer brings must be
//! signed by the log, and proven to continue the trusted one, or be continued by it. If the server
//! cannot prove that, the read fails; if what it sent shows that the log forked, it fails with
//! [`ReadError::Fork`] and the evidence.
//!
//! In memory the trusted checkpoint moves with every read; the [`TrustedStore`] follows when the log is
//! opened, on [`VerifiedLog::update`], and while tailing.

mod tail;
mod witnessed;

use std::{
    collections::{BTreeSet, VecDeque},
    num::NonZeroUsize,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use formats::{Origin, Trust, VerifiedCheckpoint};
use merkle::{Hash, LeafIndex, TreeSize};

pub use self::tail::{Tail, TailEvent};
use crate::{
    client::{Client, Entries},
    error::{AnswerError, ClientError},
    fork::{Fork, last_index},
    trusted::{Advance, LogKey, TrustedError, TrustedStore, judge},
    types::{EntryRange, EntryRef, RangeReceipt},
    verify::{self, CheckpointVerifier as _, VerifiedCheckpoints, VerifyError},
};

/// Checkpoints whose signatures are remembered, and heads known to be consistent.
const REMEMBERED: usize = 1024;

/// Why a read gave nothing, or nothing that can be believed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The call failed.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// What the server sent does not verify.
    #[error("answer to {call} does not verify")]
    Unverified {
        /// The RPC that was answered.
        call: &'static str,
        /// Why not.
        #[source]
        source: VerifyError,
    },
    /// The log showed two histories.
    #[error("{0}")]
    Fork(Box<Fork>),
    /// The checkpoint could not be trusted, or the trusted one not be read or kept.
    #[error(transparent)]
    Trusted(TrustedError),
    /// Nobody was given to trust for this log.
    #[error("no trusted key is of the log {origin}")]
    NoKey {
        /// The log's origin.
        origin: Origin,
    },
    /// The entries do not give the root that the log signed.
    #[error("entries up to size {size} give the root {computed}, the log signed {signed}")]
    OtherRoot {
        /// The checkpoint's size.
        size: TreeSize,
        /// Its root.
        signed: Hash,
        /// The root of the entries as they were received.
        computed: Hash,
    },
    /// The log holds fewer entries than that.
    #[error("log has {size} entries, and none at index {index}")]
    BeyondSize {
        /// The index asked for.
        index: LeafIndex,
        /// The trusted size.
        size: TreeSize,
    },
}

impl From<TrustedError> for ReadError {
    fn from(error: TrustedError) -> Self {
        match error {
            TrustedError::Fork(fork) => Self::Fork(fork),
            other => Self::Trusted(other),
        }
    }
}

/// A log read through a server that is not trusted. Clones are cheap and share what is known.
#[derive(Clone, Debug)]
pub struct VerifiedLog {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    client: Client,
    log: String,
    key: LogKey,
    verifier: Arc<VerifiedCheckpoints>,
    store: TrustedStore,
    known: Mutex<Known>,
    /// Held while the trusted checkpoint is moved, so that the moves form one chain.
    moving: tokio::sync::Mutex<()>,
}

#[derive(Debug)]
struct Known {
    /// Only `VerifiedLog::accept` writes it, and only to larger sizes.
    trusted: Arc<VerifiedCheckpoint>,
    /// Heads proven consistent with a trusted one, so that an older one seen again costs no call.
    consistent: BTreeSet<(u64, Hash)>,
    oldest_first: VecDeque<(u64, Hash)>,
}

/// An entry that is proven to be in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedEntry {
    /// Where it stands.
    pub index: LeafIndex,
    /// Its bytes.
    pub data: Bytes,
    /// Its leaf hash.
    pub leaf_hash: Hash,
    /// The checkpoint it is proven under.
    pub checkpoint: VerifiedCheckpoint,
    receipt: RangeReceipt,
}

impl VerifiedEntry {
    /// The bytes of its c2sp.org/tlog-proof, to keep beside the entry.
    pub fn tlog_proof(&self) -> Result<Vec<u8>, VerifyError> {
        // The proof of a batch of one is the plain inclusion proof.
        let (signed, hashes) = (self.checkpoint.signed().clone(), self.receipt.hashes.clone());
        formats::TlogProof::new(self.index, hashes, signed)
            .map(|proof| proof.format())
            .map_err(VerifyError::Receipt)
    }
}

/// Consecutive entries that are proven to be in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedRange {
    /// Where the first stands.
    pub first: LeafIndex,
    /// Their bytes.
    pub entries: Vec<Bytes>,
    /// The checkpoint they are proven under.
    pub checkpoint: VerifiedCheckpoint,
    /// The receipt that proves them.
    pub receipt: RangeReceipt,
}

impl VerifiedLog {
    /// Opens a log: verifies its published checkpoint against what the store remembers. The first one of
    /// a log is taken as it is, and remembered.
    pub async fn open(
        client: Client,
        log: impl Into<String>,
        trust: Trust,
        store: TrustedStore,
    ) -> Result<Self, ReadError> {
        let log = log.into();
        let capacity = NonZeroUsize::new(REMEMBERED).expect("not zero");
        let verifier = Arc::new(VerifiedCheckpoints::new(trust, capacity));
        let published = client.checkpoint(&log).await?;
        let seen = verifier
            .verify_note(&published.checkpoint)
            .map_err(|source| ReadError::Unverified { call: "GetCheckpoint", source })?;
        let key = LogKey::of(verifier.trust(), seen.origin())
            .ok_or_else(|| ReadError::NoKey { origin: seen.origin().clone() })?;
        let trusted = match blocking_current(&store, &key, &verifier).await? {
            Some(trusted) => trusted,
            None => blocking_advance(&store, &key, &verifier, &seen, Vec::new())
                .await
                .map(|_| seen.clone())?,
        };
        let known = Known {
            trusted: Arc::new(trusted),
            consistent: BTreeSet::new(),
            oldest_first: VecDeque::new(),
        };
        let (known, moving) = (Mutex::new(known), tokio::sync::Mutex::new(()));
        let opened =
            Self { inner: Arc::new(Inner { client, log, key, verifier, store, known, moving }) };
        opened.accept(&seen, None).await?;
        opened.persist().await?;
        Ok(opened)
    }

    /// The checkpoint that is trusted now.
    pub fn trusted(&self) -> Arc<VerifiedCheckpoint> {
        self.known(|known| Arc::clone(&known.trusted))
    }

    /// The log's origin.
    pub fn origin(&self) -> &Origin {
        self.inner.key.origin()
    }

    /// The server it is read from.
    pub fn client(&self) -> &Client {
        &self.inner.client
    }

    /// Fetches the published checkpoint, verifies that it belongs, and remembers the newest one durably.
    pub async fn update(&self) -> Result<Arc<VerifiedCheckpoint>, ReadError> {
        let published = self.inner.client.checkpoint(&self.inner.log).await?;
        let seen = self.verified("GetCheckpoint", &published.checkpoint)?;
        self.accept(&seen, None).await?;
        self.persist().await?;
        Ok(self.trusted())
    }

    /// The entry at an index, proven.
    pub async fn entry(&self, index: LeafIndex) -> Result<VerifiedEntry, ReadError> {
        let mut entries = self.entries(index, Some(index.size_through())).await?;
        let missing = || ReadError::BeyondSize { index, size: self.trusted().size() };
        let verified = entries.next().await?.ok_or_else(missing)?;
        let data = verified.entries.into_iter().next().ok_or_else(missing)?;
        Ok(VerifiedEntry {
            index,
            leaf_hash: merkle::leaf_hash(&data),
            data,
            checkpoint: verified.checkpoint,
            receipt: verified.receipt,
        })
    }

    /// The entries from `start` up to `end`, or to the newest signed head, proven range by range. Under a
    /// policy whose quorum needs witnesses: up to the newest head that they have cosigned.
    pub async fn entries(
        &self,
        start: LeafIndex,
        end: Option<TreeSize>,
    ) -> Result<VerifiedEntries, ReadError> {
        if self.inner.verifier.trust().needs_witnesses() {
            return self.witnessed_entries(start, end).await;
        }
        let entries = self.inner.client.entries(&self.inner.log, start, end, true).await?;
        Ok(VerifiedEntries { log: self.clone(), entries, under: None })
    }

    /// Follows the log: every entry from `from` on (from the trusted size, if not given), and every
    /// checkpoint, verified.
    pub fn tail(&self, from: Option<LeafIndex>) -> Tail {
        let next = from.map_or_else(|| self.trusted().size().get(), LeafIndex::get);
        Tail::new(self.clone(), next)
    }

    /// Makes the trusted checkpoint the stored one.
    pub async fn persist(&self) -> Result<(), ReadError> {
        let inner = &self.inner;
        let trusted = self.trusted();
        let stored = blocking_current(&inner.store, &inner.key, &inner.verifier).await?;
        let Some(stored) = stored else {
            blocking_advance(&inner.store, &inner.key, &inner.verifier, &trusted, Vec::new())
                .await?;
            return Ok(());
        };
        if stored.size() == trusted.size() && stored.root() == trusted.root() {
            return Ok(());
        }
        let proof = self.fetch_consistency(&stored, &trusted).await?;
        judge_or_evidence(self, &stored, &trusted, &proof).await?;
        blocking_advance(&inner.store, &inner.key, &inner.verifier, &trusted, proof).await?;
        Ok(())
    }

    fn verified(&self, call: &'static str, note: &[u8]) -> Result<VerifiedCheckpoint, ReadError> {
        let verified = self
            .inner
            .verifier
            .verify_note(note)
            .map_err(|source| ReadError::Unverified { call, source })?;
        if verified.origin() == self.origin() {
            return Ok(verified);
        }
        let (expected, found) = (self.origin().clone(), verified.origin().clone());
        Err(ReadError::Trusted(TrustedError::OtherLog { expected, found }))
    }

    async fn verify_range(&self, range: EntryRange) -> Result<VerifiedRange, ReadError> {
        let EntryRange { first, entries, receipt } = range;
        let missing = AnswerError::Missing { field: "range_receipt" };
        let receipt =
            receipt.ok_or(ClientError::BadAnswer { call: "GetEntries", source: missing })?;
        let checkpoint = self.verified("GetEntries", &receipt.checkpoint)?;
        verify::range_receipt_entries(&receipt, first, &entries, &*self.inner.verifier)
            .map_err(|source| ReadError::Unverified { call: "GetEntries", source })?;
        self.accept(&checkpoint, None).await?;
        Ok(VerifiedRange { first, entries, checkpoint, receipt })
    }

    /// Proves that a checkpoint, its signature verified, belongs to the one history, and trusts it if it
    /// is the newest. `hint` is a consistency proof from a size, if one came along.
    async fn accept(
        &self,
        offered: &VerifiedCheckpoint,
        hint: Option<(TreeSize, &[Hash])>,
    ) -> Result<(), ReadError> {
        if self.is_consistent(offered) {
            return Ok(());
        }
        let _one_at_a_time = self.inner.moving.lock().await;
        if self.is_consistent(offered) {
            return Ok(());
        }
        let trusted = self.trusted();
        let proof = match hint {
            Some((from, proof)) if from == trusted.size() && from <= offered.size() => {
                proof.to_vec()
            }
            Some(_) | None => self.fetch_consistency(&trusted, offered).await?,
        };
        let step = judge_or_evidence(self, &trusted, offered, &proof).await?;
        self.known(|known| known.learn(offered, step));
        Ok(())
    }

    fn is_consistent(&self, offered: &VerifiedCheckpoint) -> bool {
        let head = (offered.size().get(), *offered.root());
        self.known(|known| known.consistent.contains(&head) || known.trusts(offered))
    }

    /// The proof between two checkpoints, whichever is larger. None is needed where none exists.
    async fn fetch_consistency(
        &self,
        one: &VerifiedCheckpoint,
        other: &VerifiedCheckpoint,
    ) -> Result<Vec<Hash>, ReadError> {
        let (from, to) = (one.size().min(other.size()), one.size().max(other.size()));
        if from == to || from == TreeSize::ZERO {
            return Ok(Vec::new());
        }
        let proof = self.inner.client.consistency_proof(&self.inner.log, from, Some(to)).await?;
        Ok(proof.hashes)
    }

    fn known<T>(&self, use_it: impl FnOnce(&mut Known) -> T) -> T {
        // Every step leaves what is known whole, so a panic elsewhere while it was locked did no harm.
        use_it(&mut self.inner.known.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Known {
    fn trusts(&self, offered: &VerifiedCheckpoint) -> bool {
        self.trusted.size() == offered.size() && self.trusted.root() == offered.root()
    }

    fn learn(&mut self, offered: &VerifiedCheckpoint, step: Advance) {
        let head = (offered.size().get(), *offered.root());
        if let Advance::First | Advance::Moved { .. } = step {
            assert!(offered.size() >= self.trusted.size(), "the trusted size only grows");
            self.trusted = Arc::new(offered.clone());
        }
        if self.consistent.insert(head) {
            self.oldest_first.push_back(head);
        }
        if self.oldest_first.len() > REMEMBERED
            && let Some(oldest) = self.oldest_first.pop_front()
        {
            self.consistent.remove(&oldest);
        }
    }
}

/// Entries with their proofs, as they arrive.
#[derive(Debug)]
pub struct VerifiedEntries {
    log: VerifiedLog,
    entries: Entries,
    /// What they are proven under, if they come without receipts.
    under: Option<Arc<VerifiedCheckpoint>>,
}

impl VerifiedEntries {
    /// The next entries, or `None` at the end of the range.
    pub async fn next(&mut self) -> Result<Option<VerifiedRange>, ReadError> {
        let Some(range) = self.entries.next().await? else { return Ok(None) };
        match &self.under {
            Some(under) => self.log.prove_range(range, under).await.map(Some),
            None => self.log.verify_range(range).await.map(Some),
        }
    }
}

/// As [`judge`]; where the proof fails, asks the server for what would turn the failure into evidence.
async fn judge_or_evidence(
    log: &VerifiedLog,
    trusted: &VerifiedCheckpoint,
    offered: &VerifiedCheckpoint,
    proof: &[Hash],
) -> Result<Advance, ReadError> {
    let unproven = match judge(trusted, offered, proof) {
        Err(unproven @ TrustedError::Unproven { .. }) => unproven,
        judged => return Ok(judged?),
    };
    let (smaller, larger) =
        if offered.size() < trusted.size() { (offered, trusted) } else { (trusted, offered) };
    let shown = match Fork::of_consistency(smaller, larger, proof) {
        Some(fork) => Some(fork),
        None => prefix_evidence(log, smaller, larger).await,
    };
    match shown {
        Some(fork) => Err(ReadError::Fork(Box::new(fork))),
        None => Err(ReadError::Trusted(unproven)),
    }
}

/// Whether the server itself proves that the larger tree does not continue the smaller one.
async fn prefix_evidence(
    log: &VerifiedLog,
    smaller: &VerifiedCheckpoint,
    larger: &VerifiedCheckpoint,
) -> Option<Fork> {
    let last = EntryRef::Index(last_index(smaller.size())?);
    let inner = &log.inner;
    let proof = inner.client.inclusion_proof(&inner.log, last, Some(larger.size())).await;
    match proof {
        Ok(proof) => Fork::of_inclusion(smaller, larger, &proof.leaf_hash, &proof.hashes),
        Err(error) => {
            tracing::warn!(%error, "server does not show why its proof fails");
            None
        }
    }
}

async fn blocking_current(
    store: &TrustedStore,
    key: &LogKey,
    verifier: &Arc<VerifiedCheckpoints>,
) -> Result<Option<VerifiedCheckpoint>, TrustedError> {
    let (store, key, verifier) = (store.clone(), key.clone(), Arc::clone(verifier));
    blocking(move || store.current(&key, &*verifier)).await
}

async fn blocking_advance(
    store: &TrustedStore,
    key: &LogKey,
    verifier: &Arc<VerifiedCheckpoints>,
    offered: &VerifiedCheckpoint,
    proof: Vec<Hash>,
) -> Result<Advance, TrustedError> {
    let (store, key, verifier) = (store.clone(), key.clone(), Arc::clone(verifier));
    let offered = offered.clone();
    blocking(move || store.advance(&key, &*verifier, &offered, &proof)).await
}

async fn blocking<T: Send + 'static>(step: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(step).await.expect("the store does not panic, and is not cancelled")
}
