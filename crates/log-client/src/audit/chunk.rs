//! One piece of an audit: some bundles and their level-0 tiles, fetched, hashed and compared.

use std::ops::Range;

use base::clock::machine::sleep;
use bytes::Bytes;
use merkle::{
    Hash, LeafIndex, TreeSize, bundle,
    tile::{self, BundlePath, TileCoord, TilePath},
};

use super::{AuditError, WIDTH};
use crate::{
    backoff::{Backoff, Jitter, RetryPolicy},
    tiles::{Resource, Source, SourceError},
};

/// The leaf hashes of consecutive entries, computed from the entries and equal to the tiles'.
pub(super) struct Chunk {
    /// The index of the first.
    pub(super) first: u64,
    pub(super) leaves: Vec<Hash>,
    /// Tiles compared.
    pub(super) tiles: u64,
}

impl Chunk {
    /// Fetches the bundles and tiles of this range of level-0 tiles, and hashes where blocking is allowed.
    pub(super) async fn replay(
        source: &impl Source,
        retry: &RetryPolicy,
        tiles: Range<u64>,
        size: TreeSize,
    ) -> Result<Self, AuditError> {
        let paths: Vec<(BundlePath, TilePath)> =
            tiles.clone().filter_map(|index| paths(index, size)).collect();
        let resources = paths
            .iter()
            .flat_map(|(bundle, tile)| [Resource::Bundle(*bundle), Resource::Tile(*tile)])
            .collect();
        let fetched = fetch(source, retry, resources).await?;
        tokio::task::spawn_blocking(move || Self::hash(tiles.start * WIDTH, &paths, &fetched))
            .await
            .expect("hashing does not panic, and is not cancelled")
    }

    fn hash(
        first: u64,
        paths: &[(BundlePath, TilePath)],
        fetched: &[Bytes],
    ) -> Result<Self, AuditError> {
        let mut leaves = Vec::with_capacity(paths.len() * tile::WIDTH);
        for ((bundle, _), pair) in paths.iter().zip(fetched.chunks_exact(2)) {
            let entries = bundle::decode(&pair[0], bundle.width())
                .map_err(|source| AuditError::Bundle { path: bundle.to_string(), source })?;
            let hashes = merkle::leaf_hashes(&entries);
            same_hashes(bundle.index() * WIDTH, &hashes, &pair[1])?;
            leaves.extend_from_slice(&hashes);
        }
        let tiles = u64::try_from(paths.len()).expect("a count in memory fits 64 bits");
        Ok(Self { first, leaves, tiles })
    }
}

/// Fetches, and once more after a pause where that may help.
pub(super) async fn fetch(
    source: &impl Source,
    retry: &RetryPolicy,
    resources: Vec<Resource>,
) -> Result<Vec<Bytes>, SourceError> {
    let mut backoff = Backoff::new(retry, Jitter::new(0));
    loop {
        let error = match source.fetch(resources.clone()).await {
            Err(error) if error.is_transient() => error,
            fetched => return fetched,
        };
        let Some(pause) = backoff.failed(None) else { return Err(error) };
        tracing::info!(%error, attempts = backoff.attempts(), ?pause, "fetched again");
        sleep(pause).await;
    }
}

fn paths(index: u64, size: TreeSize) -> Option<(BundlePath, TilePath)> {
    let coord = TileCoord { level: 0, index };
    let width = tile::width_at(coord, size)?;
    BundlePath::new(index, width).ok().zip(TilePath::new(coord, width).ok())
}

/// Compares leaf hashes with a tile, whose length the source has checked.
fn same_hashes(first: u64, computed: &[Hash], tile: &[u8]) -> Result<(), AuditError> {
    for ((index, computed), stored) in (first..).zip(computed).zip(tile.chunks_exact(Hash::LEN)) {
        if computed.as_bytes() != stored {
            return Err(AuditError::Entry {
                index: LeafIndex::new(index).expect("below a tree size"),
                computed: *computed,
                stored: Hash::try_from(stored).expect("chunks of a hash's length"),
            });
        }
    }
    Ok(())
}
