//! Opens the store: replays what a crash left, and checks the layout and the heads.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;

use base::durable;
use rocksdb::{DB, DBRecoveryMode, Options, ReadOptions, ReadTier};

use super::{RocksEngine, RocksOptions, StoreLock, Writer, engine, synced, wal};
use storage::keys::{self, LAYOUT_KEY, LAYOUT_VERSION};
use storage::{Engine as _, Family, RowFault, StorageError};

impl RocksEngine {
    /// Whether there is a store in a folder.
    pub fn exists(path: &Path) -> bool {
        path.join("CURRENT").exists()
    }

    /// Opens the store in `path`, creating it if there is none. Replays what a crash left, and
    /// makes it durable before it returns. A torn last record, which a crash leaves, is dropped.
    /// Corruption before the last record of the write-ahead log refuses the start.
    pub fn open(path: &Path, options: &RocksOptions) -> Result<Self, StorageError> {
        durable::create_dir_all(path, 0o700)?;
        Self::open_recovering(path, options, DBRecoveryMode::TolerateCorruptedTailRecords)
    }

    /// As [`RocksEngine::open`], but gives up everything in the write-ahead log from the first corrupt
    /// record on. Only for an operator who has decided to lose those entries.
    pub fn open_truncating(path: &Path, options: &RocksOptions) -> Result<Self, StorageError> {
        Self::open_recovering(path, options, DBRecoveryMode::PointInTime)
    }

    fn open_recovering(
        path: &Path,
        options: &RocksOptions,
        mode: DBRecoveryMode,
    ) -> Result<Self, StorageError> {
        let mut database = options.database();
        database.create_if_missing(true);
        database.create_missing_column_families(true);
        database.set_wal_recovery_mode(mode);
        let opened = DB::open_cf_descriptors(&database, path, options.families(&Family::ALL));
        let db = opened.map_err(|source| not_opened(path, source))?;
        let engine = Self::new(db, path, false);
        engine.check_layout()?;
        engine.flush()?;
        engine.load_heads()?;
        Ok(engine)
    }

    /// Opens the store to read it, as it is now: what a crash left is replayed in memory only.
    pub fn open_read_only(path: &Path, options: &RocksOptions) -> Result<Self, StorageError> {
        let mode = DBRecoveryMode::TolerateCorruptedTailRecords;
        Self::open_read_only_recovering(path, options, mode)
    }

    pub(crate) fn open_read_only_recovering(
        path: &Path,
        options: &RocksOptions,
        mode: DBRecoveryMode,
    ) -> Result<Self, StorageError> {
        if !Self::exists(path) {
            let path = path.to_path_buf();
            return Err(StorageError::NotAStore { path });
        }
        let mut database = options.database();
        database.set_wal_recovery_mode(mode);
        let families = options.families(&families_there(&database, path));
        let db = DB::open_cf_descriptors_read_only(&database, path, families, false)
            .map_err(|source| wal::not_opened(path, "open the database read-only", source))?;
        let engine = Self::new(db, path, true);
        engine.check_layout()?;
        Ok(engine)
    }

    fn new(db: DB, path: &Path, read_only: bool) -> Self {
        let writer = Writer { heads: BTreeMap::new(), poisoned: false, value: Vec::new() };
        let mut at_hand = ReadOptions::default();
        at_hand.set_read_tier(ReadTier::BlockCache);
        Self {
            db,
            at_hand,
            path: path.to_path_buf(),
            read_only,
            writer: Mutex::new(writer),
            index_writer: Mutex::new(()),
            eraser: Mutex::new(()),
        }
    }

    /// Checks the layout version, and writes it to a store that is still empty.
    fn check_layout(&self) -> Result<(), StorageError> {
        match self.read(Family::Meta, &LAYOUT_KEY)?.as_deref() {
            Some([LAYOUT_VERSION]) => Ok(()),
            Some([found]) => Err(StorageError::Layout { found: *found, expected: LAYOUT_VERSION }),
            Some(value) => {
                let found = value.len();
                Err(keys::corrupt(Family::Meta, &LAYOUT_KEY, RowFault::Length { found }).into())
            }
            None if self.read_only || !self.is_empty()? => {
                Err(StorageError::NotAStore { path: self.path.clone() })
            }
            None => {
                let meta = self.family(Family::Meta);
                self.db
                    .put_cf_opt(meta, LAYOUT_KEY, [LAYOUT_VERSION], &synced())
                    .map_err(engine("write the layout version"))
            }
        }
    }

    fn is_empty(&self) -> Result<bool, StorageError> {
        for family in Family::ALL {
            if self.scan(family, &[]).next().transpose()?.is_some() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn load_heads(&self) -> Result<(), StorageError> {
        let mut heads = BTreeMap::new();
        for record in self.logs()? {
            // A log's record and its first head are one commit.
            let head = self.head(record.id)?.ok_or_else(|| {
                keys::corrupt(Family::Meta, &keys::head_key(record.id), RowFault::Missing)
            })?;
            heads.insert(record.id, head);
        }
        self.lock_writer().heads = heads;
        Ok(())
    }
}

/// The families that a read-only open can ask for. It creates none, and a store that an older
/// program made has no attachments. If the list of families cannot be read, the open says why.
fn families_there(database: &Options, path: &Path) -> Vec<Family> {
    let there = DB::list_cf(database, path).unwrap_or_default();
    let is_there = |family: &Family| {
        let may_lack = *family == Family::Attachments && !there.is_empty();
        !may_lack || there.iter().any(|name| name == family.name())
    };
    Family::ALL.into_iter().filter(is_there).collect()
}

/// Why the database did not open. RocksDB does not tell a lock held by another process from any other
/// I/O error, so the lock itself is asked.
fn not_opened(path: &Path, source: rocksdb::Error) -> StorageError {
    if source.as_ref().contains("lock hold by current process") {
        // We must not ask for the lock here: that would drop the one that this process holds.
        return StorageError::InUse { path: path.to_path_buf() };
    }
    match StoreLock::take(path) {
        Err(in_use @ StorageError::InUse { .. }) => in_use,
        _ => wal::not_opened(path, "open the database", source),
    }
}
