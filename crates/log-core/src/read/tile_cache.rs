//! Full tiles in memory, expanded to all 511 nodes, so that a proof of hot entries hashes nothing.
//!
//! A full tile never changes, so nothing here is ever stale. To drop the cache costs nothing but
//! time.

use std::fmt;
use std::sync::Arc;

use merkle::Hash;
use merkle::tile::{ExpandedTile, TileCoord};
use quick_cache::sync::Cache;

use storage::LogId;

/// What one cached tile costs: its nodes and the cache's own bookkeeping, in bytes.
pub const TILE_BYTES: usize = ExpandedTile::NODES * Hash::LEN + 256;
/// The fewest tiles that a cache is worth having for.
const TILES_MIN: usize = 32;

/// A bounded set of expanded tiles of all logs.
pub struct TileCache(Cache<(LogId, TileCoord), Arc<ExpandedTile>>);

impl fmt::Debug for TileCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TileCache").field(&self.0).finish()
    }
}

impl TileCache {
    /// A cache of at most `bytes_max` bytes, rounded down to whole tiles, but of 32 tiles at least.
    pub fn new(bytes_max: usize) -> Self {
        Self(Cache::new((bytes_max / TILE_BYTES).max(TILES_MIN)))
    }

    /// A tile, if it is here.
    pub fn tile(&self, log: LogId, coord: TileCoord) -> Option<Arc<ExpandedTile>> {
        self.0.get(&(log, coord))
    }

    /// Keeps a tile. Only for tiles whose root was compared with the level above, or whose use in a
    /// proof is verified.
    pub fn keep(&self, log: LogId, coord: TileCoord, tile: Arc<ExpandedTile>) {
        self.0.insert((log, coord), tile);
    }

    /// Forgets a tile that took part in a proof which did not verify.
    pub fn forget(&self, log: LogId, coord: TileCoord) {
        self.0.remove(&(log, coord));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use merkle::tile::WIDTH;

    fn tile(byte: u8) -> Arc<ExpandedTile> {
        Arc::new(ExpandedTile::from_full(&[Hash::from([byte; 32]); WIDTH]))
    }

    fn at(index: u64) -> TileCoord {
        TileCoord { level: 0, index }
    }

    #[test]
    fn it_never_holds_more_than_its_bound() {
        let cache = TileCache::new(64 * TILE_BYTES);
        let log = LogId::new(1).unwrap();
        let one = tile(1);
        for index in 0..10_000 {
            cache.keep(log, at(index), Arc::clone(&one));
        }
        let held = Arc::strong_count(&one) - 1;
        assert!((32..=64).contains(&held), "{held} tiles");
    }

    #[test]
    fn a_tile_in_use_stays_and_logs_do_not_mix() {
        let cache = TileCache::new(0);
        let (one, two) = (LogId::new(1).unwrap(), LogId::new(2).unwrap());
        cache.keep(one, at(0), tile(1));
        cache.keep(two, at(0), tile(2));
        assert_ne!(cache.tile(one, at(0)).unwrap().root(), cache.tile(two, at(0)).unwrap().root());
        cache.forget(one, at(0));
        assert!(cache.tile(one, at(0)).is_none());
        assert!(cache.tile(two, at(0)).is_some());
    }
}
