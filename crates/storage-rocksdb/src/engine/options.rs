//! How the database is set up, and why.

use rocksdb::{
    BlockBasedOptions, Cache, ColumnFamilyDescriptor, DBCompressionType, LogLevel, Options,
};

use storage::Family;

/// Bytes in a block of a table file. More than the default, because entries are read in ranges of
/// 256.
const BLOCK_BYTES: usize = 16 * 1024;
/// Bits for each key in a Bloom filter. With so many, one look-up in a hundred reads a block for
/// nothing.
const BLOOM_BITS: f64 = 10.0;
/// Memtables a family may have before writers wait for the flush.
const MEMTABLES_MAX: i32 = 4;
/// The level at which attachments are compressed when they come, and when they have settled. They
/// come as fast as a core can compress them; what settles is rewritten seldom and read for years.
const ZSTD_LEVEL: i32 = 1;
const ZSTD_LEVEL_SETTLED: i32 = 3;
/// Bytes of a table file's dictionary, and of the sample that it is trained with. Blocks of events
/// repeat the same names and values, and a block of a table file is too short to learn them. zstd
/// advises a sample of a hundred dictionaries. A dictionary is made of its own file's rows alone, so
/// what is erased is in none once its file is rewritten.
const DICTIONARY_BYTES: i32 = 16 * 1024;
const DICTIONARY_SAMPLE_BYTES: i32 = 100 * DICTIONARY_BYTES;
/// The window of zstd: the library's own default, which fits its level.
const ZSTD_WINDOW_BITS: i32 = -14;
/// Bytes between two syncs of a table file while it is written. Keeps the disk's queue short for
/// commits.
const BYTES_PER_SYNC: u64 = 1024 * 1024;

/// The engine's settings that an operator may change. All are bounds on memory or time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RocksOptions {
    /// Bytes of the cache of blocks, indexes and filters, over all families.
    pub block_cache_bytes: usize,
    /// About the most bytes of the write-ahead log that are replayed after a crash. Replay runs at
    /// some 100 MB/s.
    pub wal_bytes_max: u64,
    /// Bytes of a memtable of entries, of attachments or of look-up rows. Each family may hold up
    /// to four.
    pub memtable_bytes: usize,
    /// Table files kept open, and what the database opens beside them.
    pub open_files_max: usize,
}

impl Default for RocksOptions {
    fn default() -> Self {
        Self {
            block_cache_bytes: 64 * 1024 * 1024,
            wal_bytes_max: 96 * 1024 * 1024,
            memtable_bytes: 32 * 1024 * 1024,
            open_files_max: 1_024,
        }
    }
}

impl RocksOptions {
    pub(super) fn database(&self) -> Options {
        let mut options = Options::default();
        // With recycled log files RocksDB cannot tell a torn tail from an old record.
        options.set_recycle_log_file_num(0);
        options.set_max_total_wal_size(self.wal_bytes_max);
        options.set_paranoid_checks(true);
        options.set_max_open_files(i32::try_from(self.open_files_max).unwrap_or(i32::MAX));
        options.set_max_background_jobs(2);
        options.set_bytes_per_sync(BYTES_PER_SYNC);
        options.set_stats_dump_period_sec(0);
        options.set_stats_persist_period_sec(0);
        options.set_skip_stats_update_on_db_open(true);
        options.set_log_level(LogLevel::Warn);
        options.set_keep_log_file_num(4);
        options.set_max_log_file_size(4 * 1024 * 1024);
        options
    }

    pub(super) fn families(&self, families: &[Family]) -> Vec<ColumnFamilyDescriptor> {
        let cache = Cache::new_lru_cache(self.block_cache_bytes);
        let describe = |family: &Family| {
            ColumnFamilyDescriptor::new(family.name(), self.family(*family, &cache))
        };
        families.iter().map(describe).collect()
    }

    fn family(&self, family: Family, cache: &Cache) -> Options {
        let mut table = BlockBasedOptions::default();
        table.set_block_cache(cache);
        table.set_block_size(BLOCK_BYTES);
        table.set_format_version(6);
        table.set_cache_index_and_filter_blocks(true);
        table.set_pin_l0_filter_and_index_blocks_in_cache(true);
        let mut options = Options::default();
        // Hashes do not compress, and entries arrive faster than a core can compress them.
        options.set_compression_type(DBCompressionType::None);
        if family == Family::Attachments {
            compress(&mut options);
        }
        options.set_max_write_buffer_number(MEMTABLES_MAX);
        options.set_write_buffer_size(match family {
            Family::Entries | Family::Index | Family::Attachments => self.memtable_bytes,
            Family::Tiles | Family::Meta => self.memtable_bytes / 4,
        });
        if family == Family::Index {
            // Most deduplication keys are new: the filter answers for all table files.
            table.set_bloom_filter(BLOOM_BITS, false);
        }
        options.set_block_based_table_factory(&table);
        options
    }
}

/// Attachments of neighbours are alike, and far larger than their entries.
fn compress(options: &mut Options) {
    let (window, dictionary) = (ZSTD_WINDOW_BITS, DICTIONARY_BYTES);
    options.set_compression_type(DBCompressionType::Zstd);
    options.set_compression_options(window, ZSTD_LEVEL, 0, dictionary);
    options.set_zstd_max_train_bytes(DICTIONARY_SAMPLE_BYTES);
    options.set_bottommost_compression_type(DBCompressionType::Zstd);
    options.set_bottommost_compression_options(window, ZSTD_LEVEL_SETTLED, 0, dictionary, true);
    options.set_bottommost_zstd_max_train_bytes(DICTIONARY_SAMPLE_BYTES, true);
}
