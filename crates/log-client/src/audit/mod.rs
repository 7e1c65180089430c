//! A full audit: everything a log published is read, hashed again and compared.
//!
//! The auditor reads a log's public tiles and nothing else. It hashes every entry of every bundle, compares
//! the leaf hashes with the level-0 tiles, every tile above with the hashes below it, and the root with the
//! signed checkpoint. A log whose stored hashes agree with each other, but not with its entries, does not
//! pass.
//!
//! An audit can be resumed: an [`AuditState`] holds the right edge of what was audited, and the newest
//! checkpoint seen. It is checked before it is used, and a log that does not continue it is refused, with
//! the evidence where there is any.
//!
//! Fetching and hashing run in parallel over a bounded window; memory is at most the window's bundles.

mod chunk;
mod state;

use std::{num::NonZeroUsize, ops::Range};

use formats::{Origin, Trust, VerifiedCheckpoint};
use futures_util::stream::{self, StreamExt as _};
use merkle::{
    Frontier, Hash, LeafIndex, TreeSize,
    bundle::BundleError,
    tile::{self, TileCoord, TilePath},
};

use self::chunk::{Chunk, fetch};
pub use self::state::{AuditState, StateError};
use crate::{
    backoff::RetryPolicy,
    fork::Fork,
    tasks,
    tiles::{Resource, Source, SourceError},
    verify::{CheckpointVerifier as _, VerifyError},
};

/// Entries in a full bundle.
const WIDTH: u64 = 256;

/// How an audit fetches.
#[derive(Clone, Debug)]
pub struct AuditOptions {
    /// Bundles fetched and hashed as one piece of work.
    pub bundles_per_chunk: NonZeroUsize,
    /// Pieces of work under way at once.
    pub chunks_in_flight: NonZeroUsize,
    /// Pauses and attempts for answers that failed for a passing reason.
    pub retry: RetryPolicy,
}

impl Default for AuditOptions {
    fn default() -> Self {
        Self {
            bundles_per_chunk: NonZeroUsize::new(16).expect("not zero"),
            chunks_in_flight: NonZeroUsize::new(4).expect("not zero"),
            retry: RetryPolicy { attempts_max: Some(6), ..RetryPolicy::default() },
        }
    }
}

/// What was found to be wrong, or why it could not be found out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuditError {
    /// A file of the log could not be read.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The checkpoint is not to be believed.
    #[error("log's checkpoint does not verify")]
    Checkpoint(#[source] VerifyError),
    /// A bundle cannot be taken apart.
    #[error("{path} is no entry bundle")]
    Bundle {
        /// Its path.
        path: String,
        /// What is wrong with it.
        #[source]
        source: BundleError,
    },
    /// An entry is not what its leaf hash says.
    #[error("entry {index} hashes to {computed}, the tile says {stored}")]
    Entry {
        /// Where it stands.
        index: LeafIndex,
        /// The leaf hash of its bytes.
        computed: Hash,
        /// The hash in the level-0 tile.
        stored: Hash,
    },
    /// A tile is not what follows from the tiles below it.
    #[error("{path} differs from the hashes below it, first at position {position}")]
    Tile {
        /// Its path.
        path: String,
        /// The first hash that differs.
        position: usize,
    },
    /// An entry is not the one that was audited before.
    #[error("entry {index} is not the one that was audited before")]
    Changed {
        /// Where it stands.
        index: LeafIndex,
    },
    /// The entries do not give the root that the log signed.
    #[error("entries up to size {size} give the root {computed}, the log signed {signed}")]
    Root {
        /// The checkpoint's size.
        size: TreeSize,
        /// Its root.
        signed: Hash,
        /// The root of the entries.
        computed: Hash,
    },
    /// The log now shows less than it did.
    #[error("log shows a checkpoint of size {found}, and has shown one of size {seen} before")]
    Shrunk {
        /// The size it shows.
        found: TreeSize,
        /// The size it has shown.
        seen: TreeSize,
    },
    /// The state is of another log.
    #[error("audit state is of the log {expected}, the checkpoint of {found}")]
    OtherLog {
        /// The state's log.
        expected: Origin,
        /// The log read.
        found: Origin,
    },
    /// The state cannot be used.
    #[error("audit state cannot be used")]
    State(#[from] StateError),
    /// The log showed two histories.
    #[error("{0}")]
    Fork(Box<Fork>),
}

impl AuditError {
    /// Whether the log was read and found wrong, as opposed to not read.
    pub fn is_finding(&self) -> bool {
        match self {
            Self::Source(error) => matches!(error, SourceError::Length { .. }),
            Self::State(_) | Self::OtherLog { .. } => false,
            Self::Checkpoint(_)
            | Self::Bundle { .. }
            | Self::Entry { .. }
            | Self::Tile { .. }
            | Self::Changed { .. }
            | Self::Root { .. }
            | Self::Shrunk { .. }
            | Self::Fork(_) => true,
        }
    }
}

/// How far an audit is.
#[derive(Debug)]
pub struct Progress<'a> {
    /// Entries hashed and compared so far, those of earlier runs included.
    pub audited: TreeSize,
    /// Entries that the checkpoint covers.
    pub target: TreeSize,
    frontier: &'a Frontier,
    checkpoint: &'a VerifiedCheckpoint,
}

impl Progress<'_> {
    /// What to save so that the audit can go on from here.
    pub fn state(&self) -> AuditState {
        AuditState::new(self.frontier, self.checkpoint)
    }
}

/// An audit that found nothing wrong.
#[derive(Debug)]
pub struct Audited {
    /// The checkpoint that holds.
    pub checkpoint: VerifiedCheckpoint,
    /// Entries hashed in this run.
    pub entries: u64,
    /// Tiles compared in this run, at all levels.
    pub tiles: u64,
    /// What to save for the next run.
    pub state: AuditState,
}

/// Audits one log.
#[derive(Clone, Debug)]
pub struct Auditor<S> {
    source: S,
    trust: Trust,
    options: AuditOptions,
}

/// The state of one run.
struct Replay<'a, S> {
    auditor: &'a Auditor<S>,
    frontier: Frontier,
    checkpoint: &'a VerifiedCheckpoint,
    /// A checkpoint that lies on the way, and must hold too.
    seen: Option<&'a VerifiedCheckpoint>,
    tiles: u64,
}

impl<S: Source> Auditor<S> {
    /// An audit of the log at `source`, whose checkpoints `trust` believes.
    pub fn new(source: S, trust: Trust, options: AuditOptions) -> Self {
        Self { source, trust, options }
    }

    /// Reads the newest checkpoint and audits everything up to it; `progress` is called now and then.
    pub async fn run(
        &self,
        resume: Option<&AuditState>,
        progress: impl FnMut(&Progress<'_>) + Send,
    ) -> Result<Audited, AuditError> {
        let note = self.fetch_one(Resource::Checkpoint).await?;
        let checkpoint = self.trust.verify_note(&note).map_err(AuditError::Checkpoint)?;
        let (frontier, seen) = match resume {
            None => (Frontier::new(), None),
            Some(state) => {
                let (frontier, seen) = state.check(&self.trust)?;
                continues(&seen, &checkpoint)?;
                (frontier, Some(seen))
            }
        };
        let start = frontier.size();
        let mut replay = Replay {
            auditor: self,
            frontier,
            checkpoint: &checkpoint,
            seen: seen.as_ref(),
            tiles: 0,
        };
        if let Err(error) = replay.run(progress).await {
            return Err(self.evidence(seen.as_ref(), &checkpoint, error).await);
        }
        let (tiles, state) = (replay.tiles, AuditState::new(&replay.frontier, &checkpoint));
        let entries = checkpoint.size().get() - start.get();
        Ok(Audited { checkpoint, entries, tiles, state })
    }

    async fn fetch_one(&self, resource: Resource) -> Result<bytes::Bytes, AuditError> {
        let fetched = fetch(&self.source, &self.options.retry, vec![resource]).await?;
        Ok(fetched.into_iter().next().expect("a source answers for each resource"))
    }

    /// Turns a mismatch into evidence, if the log's own tiles show that it forked.
    async fn evidence(
        &self,
        seen: Option<&VerifiedCheckpoint>,
        now: &VerifiedCheckpoint,
        error: AuditError,
    ) -> AuditError {
        let Some(seen) = seen.filter(|_| error.is_finding()) else { return error };
        let proof = self.prefix_proof(seen.size(), now.size()).await;
        match proof.ok().flatten().and_then(|proof| Fork::of_prefix(seen, now, proof)) {
            Some(fork) => AuditError::Fork(Box::new(fork)),
            None => error,
        }
    }

    /// What shows the root of a smaller tree, from the tiles as they are now.
    async fn prefix_proof(
        &self,
        prefix: TreeSize,
        now: TreeSize,
    ) -> Result<Option<Vec<Hash>>, AuditError> {
        let Ok(plan) = merkle::plan_prefix(prefix, now) else { return Ok(None) };
        let mut fetched = Vec::new();
        for node in plan.nodes() {
            fetched.extend(self.node(*node, now).await?);
        }
        Ok(plan.build(&fetched).ok())
    }

    async fn node(&self, node: merkle::NodeId, size: TreeSize) -> Result<Option<Hash>, AuditError> {
        let location = tile::locate(node);
        let Some(path) = tile_path(location.coord, size) else { return Ok(None) };
        let width = path.width();
        let bytes = self.fetch_one(Resource::Tile(path)).await?;
        let row = tile::decode(&bytes, width).ok();
        Ok(row.and_then(|row| location.slice(&row).map(merkle::root_of)))
    }
}

impl<S: Source> Replay<'_, S> {
    async fn run(
        &mut self,
        mut progress: impl FnMut(&Progress<'_>) + Send,
    ) -> Result<(), AuditError> {
        let target = self.checkpoint.size();
        let options = &self.auditor.options;
        let chunks = chunks(self.frontier.size(), target, options.bundles_per_chunk);
        let work = chunks.map(|tiles| {
            let (source, retry) = (self.auditor.source.clone(), options.retry.clone());
            tasks::spawn(async move { Chunk::replay(&source, &retry, tiles, target).await })
        });
        let mut replayed = stream::iter(work).buffered(options.chunks_in_flight.get());
        self.check_seen()?;
        while let Some(chunk) = replayed.next().await {
            let chunk = chunk.expect("hashing does not panic, and is not cancelled")?;
            self.append(chunk).await?;
            progress(&Progress {
                audited: self.frontier.size(),
                target,
                frontier: &self.frontier,
                checkpoint: self.checkpoint,
            });
        }
        self.check_partial_tiles().await?;
        check_root(&self.frontier, self.checkpoint)
    }

    async fn append(&mut self, chunk: Chunk) -> Result<(), AuditError> {
        self.tiles += chunk.tiles;
        let fresh = self.skip_known(&chunk)?;
        let seen_at = self.seen.map(|seen| seen.size().get()).filter(|seen| {
            (self.frontier.size().get()..self.frontier.size().get() + len(fresh)).contains(seen)
        });
        let up_to_seen = seen_at.map_or(0, |seen| {
            usize::try_from(seen - self.frontier.size().get()).expect("within the chunk")
        });
        let (before, after) = fresh.split_at(up_to_seen);
        for part in [before, after] {
            let full = self.frontier.append(part);
            self.check_seen()?;
            for (coord, row) in full.iter().filter(|(coord, _)| coord.level > 0) {
                self.compare(*coord, &row[..]).await?;
            }
        }
        Ok(())
    }

    /// The hashes that are new: those before were audited, and must be the same.
    fn skip_known<'c>(&self, chunk: &'c Chunk) -> Result<&'c [Hash], AuditError> {
        let skip = self.frontier.size().get() - chunk.first;
        let known = self.frontier.partial(0);
        let skip = usize::try_from(skip).expect("less than a tile");
        let (again, fresh) = chunk.leaves.split_at(skip);
        match known.iter().zip(again).position(|(known, again)| known != again) {
            None => Ok(fresh),
            Some(position) => {
                let index = chunk.first + len(&known[..position]);
                Err(AuditError::Changed {
                    index: LeafIndex::new(index).expect("below a tree size"),
                })
            }
        }
    }

    /// The checkpoint on the way, once its size is reached.
    fn check_seen(&self) -> Result<(), AuditError> {
        match self.seen.filter(|seen| seen.size() == self.frontier.size()) {
            Some(seen) => check_root(&self.frontier, seen),
            None => Ok(()),
        }
    }

    /// Partial tiles of level 0 were compared with their bundles; these are the ones above.
    async fn check_partial_tiles(&mut self) -> Result<(), AuditError> {
        let partial: Vec<_> = tile::partial_tiles(self.checkpoint.size()).collect();
        for (coord, _) in partial.into_iter().filter(|(coord, _)| coord.level > 0) {
            let own = self.frontier.partial(coord.level).to_vec();
            self.compare(coord, &own).await?;
        }
        Ok(())
    }

    async fn compare(&mut self, coord: TileCoord, own: &[Hash]) -> Result<(), AuditError> {
        let path = tile_path(coord, self.checkpoint.size()).expect("a tile of this tree");
        self.tiles += 1;
        let bytes = self.auditor.fetch_one(Resource::Tile(path)).await?;
        let differs = |(own, stored): (&Hash, &[u8])| own.as_bytes() != stored;
        match own.iter().zip(bytes.chunks_exact(Hash::LEN)).position(differs) {
            None => Ok(()),
            Some(position) => Err(AuditError::Tile { path: path.to_string(), position }),
        }
    }
}

/// Whether the log can have grown from what was seen to what it shows.
fn continues(seen: &VerifiedCheckpoint, now: &VerifiedCheckpoint) -> Result<(), AuditError> {
    if seen.origin() != now.origin() {
        let (expected, found) = (seen.origin().clone(), now.origin().clone());
        return Err(AuditError::OtherLog { expected, found });
    }
    if let Some(fork) = Fork::of_empty(now).or_else(|| Fork::of_same_size(seen, now)) {
        return Err(AuditError::Fork(Box::new(fork)));
    }
    if now.size() < seen.size() {
        return Err(AuditError::Shrunk { found: now.size(), seen: seen.size() });
    }
    Ok(())
}

fn check_root(frontier: &Frontier, checkpoint: &VerifiedCheckpoint) -> Result<(), AuditError> {
    assert_eq!(frontier.size(), checkpoint.size(), "roots are compared at one size");
    let (computed, signed) = (frontier.root(), *checkpoint.root());
    if computed == signed {
        return Ok(());
    }
    Err(AuditError::Root { size: checkpoint.size(), signed, computed })
}

/// The level-0 tiles from that of the first new entry on, in pieces.
fn chunks(
    from: TreeSize,
    to: TreeSize,
    bundles: NonZeroUsize,
) -> impl Iterator<Item = Range<u64>> + use<> {
    let bundles = u64::try_from(bundles.get()).unwrap_or(u64::MAX);
    let end = if from < to { to.get().div_ceil(WIDTH) } else { 0 };
    let first = from.get() / WIDTH;
    std::iter::successors(Some(first), move |start| start.checked_add(bundles))
        .take_while(move |start| *start < end)
        .map(move |start| start..end.min(start.saturating_add(bundles)))
}

fn tile_path(coord: TileCoord, size: TreeSize) -> Option<TilePath> {
    tile::width_at(coord, size).and_then(|width| TilePath::new(coord, width).ok())
}

fn len(hashes: &[Hash]) -> u64 {
    u64::try_from(hashes.len()).expect("a count in memory fits 64 bits")
}
