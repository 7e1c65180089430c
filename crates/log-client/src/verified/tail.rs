//! Following a log as it grows.
//!
//! Entries up to the trusted size come with receipts. From there on the tail keeps the compact range of
//! all it has seen, hashes every entry that arrives onto it, and compares the root with the next signed
//! checkpoint: nothing is handed on before it is covered by one.

use std::{collections::VecDeque, time::Duration};

use base::clock::machine::now;
use bytes::Bytes;
use formats::VerifiedCheckpoint;
use merkle::{CompactRange, Hash, LeafIndex, TreeSize};
use tokio::time::Instant;

use super::{ReadError, VerifiedEntries, VerifiedLog};
use crate::{
    client::Watch,
    error::{AnswerError, ClientError},
    fork::{last_index, prefix_of},
    types::{EntryRange, EntryRef, WatchEvent},
    verify::VerifyError,
};

/// Entry bytes that wait for the checkpoint which covers them. A tail that lags further behind drops them
/// and reads them again, with receipts.
const PENDING_BYTES_MAX: usize = 64 * 1024 * 1024;
/// How often the trusted checkpoint is stored while it moves.
const PERSIST_EVERY: Duration = Duration::from_secs(1);

/// Something new, verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TailEvent {
    /// Entries, each covered by a checkpoint that is trusted now.
    Entries {
        /// Where the first stands.
        first: LeafIndex,
        /// Their bytes.
        entries: Vec<Bytes>,
    },
    /// A checkpoint that continues all before it, and covers all entries so far and nothing more.
    Checkpoint(Box<VerifiedCheckpoint>),
}

/// Follows a log; made by [`VerifiedLog::tail`].
#[derive(Debug)]
pub struct Tail {
    log: VerifiedLog,
    /// The index of the next entry to hand on.
    next: u64,
    mode: Mode,
    ready: VecDeque<TailEvent>,
    persisted: Option<Instant>,
}

#[derive(Debug)]
enum Mode {
    Start,
    CatchUp { entries: Box<VerifiedEntries>, to: Box<VerifiedCheckpoint> },
    Watch(Box<Following>),
}

#[derive(Debug)]
struct Following {
    watch: Watch,
    /// The size sent before.
    from: TreeSize,
    /// Of everything up to and with the pending entries.
    range: CompactRange,
    pending: Vec<(u64, Vec<Bytes>)>,
    pending_bytes: usize,
}

impl Tail {
    pub(super) fn new(log: VerifiedLog, next: u64) -> Self {
        Self { log, next, mode: Mode::Start, ready: VecDeque::new(), persisted: None }
    }

    /// Waits for what comes next. After an error the tail starts over where it stood: call again, after a
    /// pause, unless the error is evidence or a proof that does not hold.
    pub async fn next(&mut self) -> Result<TailEvent, ReadError> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Ok(event);
            }
            if let Err(error) = self.step().await {
                self.mode = Mode::Start;
                return Err(error);
            }
        }
    }

    /// The index of the next entry that [`Tail::next`] has not handed on yet.
    pub fn position(&self) -> u64 {
        self.next
    }

    async fn step(&mut self) -> Result<(), ReadError> {
        match std::mem::replace(&mut self.mode, Mode::Start) {
            Mode::Start => self.start().await,
            Mode::CatchUp { entries, to } => self.catch_up(entries, to).await,
            Mode::Watch(following) => self.follow(following).await,
        }
    }

    async fn start(&mut self) -> Result<(), ReadError> {
        let to = self.log.update().await?;
        let to = Box::new(to.as_ref().clone());
        if self.next >= to.size().get() {
            return self.watch(&to).await;
        }
        let start = LeafIndex::new(self.next).expect("below a tree size");
        let entries = Box::new(self.log.entries(start, Some(to.size())).await?);
        self.mode = Mode::CatchUp { entries, to };
        Ok(())
    }

    async fn catch_up(
        &mut self,
        mut entries: Box<VerifiedEntries>,
        to: Box<VerifiedCheckpoint>,
    ) -> Result<(), ReadError> {
        if let Some(range) = entries.next().await? {
            self.hand_on(range.first.get(), range.entries);
            self.mode = Mode::CatchUp { entries, to };
            return Ok(());
        }
        if self.next < to.size().get() {
            let found = usize::try_from(self.next).unwrap_or(usize::MAX);
            let expected = usize::try_from(to.size().get()).unwrap_or(usize::MAX);
            return Err(bad_answer(
                "GetEntries",
                AnswerError::Count { field: "entries", expected, found },
            ));
        }
        self.ready.push_back(TailEvent::Checkpoint(to.clone()));
        self.watch(&to).await
    }

    async fn watch(&mut self, from: &VerifiedCheckpoint) -> Result<(), ReadError> {
        let range = self.range_of(from).await?;
        let inner = &self.log.inner;
        let watch = inner.client.watch(&inner.log, from.size(), true).await?;
        let (from, pending) = (from.size(), Vec::new());
        let following = Following { watch, from, range, pending, pending_bytes: 0 };
        self.mode = Mode::Watch(Box::new(following));
        Ok(())
    }

    /// The compact range of a trusted tree, from the inclusion proof of its last leaf.
    async fn range_of(&self, tree: &VerifiedCheckpoint) -> Result<CompactRange, ReadError> {
        let size = tree.size();
        let Some(last) = last_index(size) else { return Ok(CompactRange::empty()) };
        let inner = &self.log.inner;
        let proof =
            inner.client.inclusion_proof(&inner.log, EntryRef::Index(last), Some(size)).await?;
        prefix_of(&proof.leaf_hash, size, size, &proof.hashes, tree.root()).ok_or_else(|| {
            let inclusion =
                merkle::verify_inclusion(&proof.leaf_hash, last, size, &proof.hashes, tree.root());
            let source = inclusion.err().map_or(
                VerifyError::OtherSize { expected: size, found: proof.tree_size },
                VerifyError::Proof,
            );
            ReadError::Unverified { call: "GetInclusionProof", source }
        })
    }

    async fn follow(&mut self, mut following: Box<Following>) -> Result<(), ReadError> {
        let Some(event) = following.watch.next().await? else { return Ok(()) };
        match event {
            WatchEvent::Entries(range) => {
                following.take(range)?;
                if following.pending_bytes <= PENDING_BYTES_MAX {
                    self.mode = Mode::Watch(following);
                }
            }
            WatchEvent::Checkpoint { checkpoint, from, consistency } => {
                self.covered(&mut following, &checkpoint, from, &consistency).await?;
                self.mode = Mode::Watch(following);
            }
        }
        Ok(())
    }

    async fn covered(
        &mut self,
        following: &mut Following,
        note: &[u8],
        from: TreeSize,
        consistency: &[Hash],
    ) -> Result<(), ReadError> {
        let checkpoint = self.log.verified("WatchCheckpoints", note)?;
        if checkpoint.size() < following.from {
            // Published before the signed head that this tail started from: nothing new.
            return self.log.accept(&checkpoint, None).await;
        }
        if from != following.from {
            let (expected, found) = (following.from.get(), from.get());
            let other = AnswerError::Other { field: "from_size", expected, found };
            return Err(bad_answer("WatchCheckpoints", other));
        }
        self.log.accept(&checkpoint, Some((from, consistency))).await?;
        following.matches(&checkpoint)?;
        following.from = checkpoint.size();
        following.pending_bytes = 0;
        for (first, entries) in std::mem::take(&mut following.pending) {
            self.hand_on(first, entries);
        }
        self.ready.push_back(TailEvent::Checkpoint(Box::new(checkpoint)));
        self.persist_at_times().await
    }

    fn hand_on(&mut self, first: u64, entries: Vec<Bytes>) {
        // A tail that starts beyond the tree skips what comes before.
        let skip = usize::try_from(self.next.saturating_sub(first)).unwrap_or(usize::MAX);
        let entries: Vec<Bytes> = entries.into_iter().skip(skip).collect();
        if entries.is_empty() {
            return;
        }
        let first = first.max(self.next);
        self.next = first.saturating_add(count(entries.len()));
        let first = LeafIndex::new(first).expect("below a size that was verified");
        self.ready.push_back(TailEvent::Entries { first, entries });
    }

    async fn persist_at_times(&mut self) -> Result<(), ReadError> {
        if self.persisted.is_some_and(|last| last.elapsed() < PERSIST_EVERY) {
            return Ok(());
        }
        self.log.persist().await?;
        self.persisted = Some(now());
        Ok(())
    }
}

impl Following {
    fn take(&mut self, range: EntryRange) -> Result<(), ReadError> {
        let (expected, found) = (self.range.end().get(), range.first.get());
        if expected != found {
            let other = AnswerError::Other { field: "first_index", expected, found };
            return Err(bad_answer("WatchCheckpoints", other));
        }
        if self.range.end().checked_add(count(range.entries.len())).is_none() {
            let beyond = AnswerError::OutOfRange { field: "first_index", value: found };
            return Err(bad_answer("WatchCheckpoints", beyond));
        }
        let data: Vec<&[u8]> = range.entries.iter().map(AsRef::as_ref).collect();
        self.pending_bytes += data.iter().map(|entry| entry.len()).sum::<usize>();
        for leaf in merkle::leaf_hashes(&data) {
            self.range.append(leaf);
        }
        self.pending.push((found, range.entries));
        Ok(())
    }

    /// The entries so far are all that the checkpoint covers, and give its root.
    fn matches(&self, checkpoint: &VerifiedCheckpoint) -> Result<(), ReadError> {
        let (size, end) = (checkpoint.size(), self.range.end());
        if size != end {
            let (expected, found) = (size.get(), end.get());
            let other = AnswerError::Other { field: "entries", expected, found };
            return Err(bad_answer("WatchCheckpoints", other));
        }
        let (computed, signed) = (self.range.root(), *checkpoint.root());
        if computed == signed {
            return Ok(());
        }
        Err(ReadError::OtherRoot { size, signed, computed })
    }
}

fn bad_answer(call: &'static str, source: AnswerError) -> ReadError {
    ReadError::Client(ClientError::BadAnswer { call, source })
}

fn count(len: usize) -> u64 {
    u64::try_from(len).expect("a count in memory fits 64 bits")
}
