//! Full tiles in memory, expanded to all 511 nodes, so that a proof of hot entries hashes nothing.
//!
//! A full tile never changes, so nothing here is ever stale. To drop the cache costs nothing but
//! time.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use merkle::Hash;
use merkle::tile::{ExpandedTile, TileCoord};

use storage::LogId;

/// What one cached tile costs: its nodes and the cache's own bookkeeping, in bytes.
pub const TILE_BYTES: usize = ExpandedTile::NODES * Hash::LEN + 256;
/// Independent parts, so that readers on several cores rarely wait for each other.
const SHARDS: usize = 16;

type Key = (LogId, TileCoord);

/// A bounded set of expanded tiles of all logs.
pub struct TileCache {
    shards: Box<[Mutex<Shard>]>,
    shard_tiles_max: usize,
}

/// Two generations. A tile that is used moves to the young one. When the young one is full it
/// becomes the old one, and the tiles that nobody asked for since the last such turn are dropped.
#[derive(Default)]
struct Shard {
    young: HashMap<Key, Arc<ExpandedTile>>,
    old: HashMap<Key, Arc<ExpandedTile>>,
}

impl fmt::Debug for TileCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TileCache").field("tiles_max", &self.tiles_max()).finish_non_exhaustive()
    }
}

impl TileCache {
    /// A cache of at most `bytes_max` bytes, rounded down to whole tiles, but at least two a part.
    pub fn new(bytes_max: usize) -> Self {
        let shard_tiles_max = (bytes_max / TILE_BYTES / SHARDS).max(2);
        Self { shards: (0..SHARDS).map(|_| Mutex::default()).collect(), shard_tiles_max }
    }

    /// The most tiles it holds.
    pub fn tiles_max(&self) -> usize {
        self.shard_tiles_max * SHARDS
    }

    /// A tile, if it is here.
    pub fn tile(&self, log: LogId, coord: TileCoord) -> Option<Arc<ExpandedTile>> {
        let key = (log, coord);
        let mut shard = self.shard(key);
        if let Some(tile) = shard.young.get(&key) {
            return Some(Arc::clone(tile));
        }
        let tile = shard.old.remove(&key)?;
        self.add(&mut shard, key, Arc::clone(&tile));
        Some(tile)
    }

    /// Keeps a tile. Only for tiles whose root was compared with the level above, or whose use in a
    /// proof is verified.
    pub fn keep(&self, log: LogId, coord: TileCoord, tile: Arc<ExpandedTile>) {
        let key = (log, coord);
        self.add(&mut self.shard(key), key, tile);
    }

    /// Forgets a tile that took part in a proof which did not verify.
    pub fn forget(&self, log: LogId, coord: TileCoord) {
        let key = (log, coord);
        let mut shard = self.shard(key);
        shard.young.remove(&key);
        shard.old.remove(&key);
    }

    fn add(&self, shard: &mut Shard, key: Key, tile: Arc<ExpandedTile>) {
        if shard.young.len() >= self.shard_tiles_max.div_ceil(2) {
            shard.old = std::mem::take(&mut shard.young);
        }
        shard.young.insert(key, tile);
    }

    fn shard(&self, (log, coord): Key) -> MutexGuard<'_, Shard> {
        let spread = coord.index ^ u64::from(coord.level) << 3 ^ u64::from(log.get());
        let shards = u64::try_from(SHARDS).expect("a small constant");
        let at = usize::try_from(spread % shards).expect("below a small constant");
        // A panic while a shard is held leaves whole tiles behind, so it stays usable.
        self.shards[at].lock().unwrap_or_else(PoisonError::into_inner)
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
        assert!(Arc::strong_count(&one) <= 1 + cache.tiles_max());
        assert_eq!(cache.tiles_max(), 64);
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
