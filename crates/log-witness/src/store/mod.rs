//! What the witness must never forget, in one redb file.
//!
//! [`Store::commit`] is the commit point of everything this program promises: it returns once its writes
//! are on stable storage, all of them or none. Whoever waits for a write shares its sync with everybody
//! else who waits, whatever their log.

mod overlay;
mod rows;

pub use rows::{RefusedNote, RowFault, StoredCheckpoint, TrustRow};

use std::path::{Path, PathBuf};

use base::durable::{self, FileError};
use formats::Origin;
use overlay::Overlay;
use redb::{Database, DatabaseError, ReadableDatabase as _, ReadableTable, TableDefinition};

const CHECKPOINTS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("checkpoints");
const KEYS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("keys");
const TRUST: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("trust");
const REFUSED: TableDefinition<'_, (&str, u8), &[u8]> = TableDefinition::new("refused");
const META: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("meta");
const LAYOUT_KEY: &str = "layout";

/// Why the store cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error(transparent)]
    File(#[from] FileError),
    #[error("{path}: another process uses this store: stop it first", path = path.display())]
    InUse { path: PathBuf },
    #[error("cannot {what}: {source}")]
    Engine { what: &'static str, source: Box<redb::Error> },
    #[error("the store's layout is {found:?}, this program reads version {known}", known = rows::LAYOUT_VERSION)]
    Layout { found: Vec<u8> },
    #[error(
        "the row of {key:?} in {table} is damaged: {fault}; bring a whole copy of the store back"
    )]
    Corrupt { table: &'static str, key: String, fault: RowFault },
}

fn engine<E: Into<redb::Error>>(what: &'static str) -> impl FnOnce(E) -> StoreError {
    move |error| StoreError::Engine { what, source: Box::new(error.into()) }
}

fn corrupt(table: &'static str, key: &str) -> impl FnOnce(RowFault) -> StoreError {
    move |fault| StoreError::Corrupt { table, key: key.to_owned(), fault }
}

/// One change. Those of a [`Store::commit`] become durable together.
#[derive(Clone, Debug)]
pub enum Write {
    /// The new last checkpoint of a log.
    Checkpoint { origin: Origin, row: StoredCheckpoint },
    /// A refused note, in place of what was in its slot.
    Refused { origin: Origin, slot: u8, row: RefusedNote },
    /// The keys a log is known by from here on.
    Keys { origin: Origin, vkeys: String },
    /// A log is known by no keys any more: the next ones found are taken.
    ForgetKeys { origin: Origin },
    /// Whether a log is trusted.
    Trust { origin: Origin, row: TrustRow },
}

/// An open store. May be shared between threads; only one of them may commit at a time.
#[derive(Debug)]
pub struct Store {
    db: Database,
}

impl Store {
    /// Whether a store lies at `path`. An empty file is none: the engine would make a new one of it.
    pub fn is_at(path: &Path) -> bool {
        std::fs::metadata(path).map_or_else(
            |error| error.kind() != std::io::ErrorKind::NotFound,
            |metadata| metadata.len() > 0,
        )
    }

    /// Opens the store at `path`, and makes it if it is missing. `cache_bytes` bounds its memory.
    pub fn open(path: &Path, cache_bytes: usize) -> Result<Self, StoreError> {
        let folder = path.parent().unwrap_or_else(|| Path::new("."));
        durable::create_dir_all(folder, 0o700)?;
        let fresh = !Self::is_at(path);
        let opened = Database::builder().set_cache_size(cache_bytes).create(path);
        let store = Self { db: opened.map_err(|error| opening(path, error))? };
        if fresh {
            durable::sync_dir(folder)?;
        }
        store.check_layout()?;
        Ok(store)
    }

    /// Opens the store at `path` to check it: nothing is written to its file, which may be on a disk that
    /// takes no writes.
    ///
    /// # Errors
    /// Another process has it open.
    pub fn open_to_check(path: &Path, cache_bytes: usize) -> Result<Self, StoreError> {
        let file = Overlay::open(path).map_err(|error| opening(path, error))?;
        let opened = Database::builder().set_cache_size(cache_bytes).create_with_backend(file);
        let store = Self { db: opened.map_err(|error| opening(path, error))? };
        store.check_layout()?;
        Ok(store)
    }

    /// The layout's version, written by the first commit of a store.
    fn check_layout(&self) -> Result<(), StoreError> {
        let write = self.db.begin_write().map_err(engine("open the store"))?;
        {
            // Every table is there from the beginning, so that reading needs no special case.
            write.open_table(CHECKPOINTS).map_err(engine("open checkpoints"))?;
            write.open_table(KEYS).map_err(engine("open keys"))?;
            write.open_table(TRUST).map_err(engine("open trust"))?;
            write.open_table(REFUSED).map_err(engine("open refused"))?;
            let mut meta = write.open_table(META).map_err(engine("open meta"))?;
            let found = meta.get(LAYOUT_KEY).map_err(engine("read the layout"))?;
            let found = found.map(|value| value.value().to_vec());
            match found {
                Some(found) if found != [rows::LAYOUT_VERSION] => {
                    return Err(StoreError::Layout { found });
                }
                Some(_) => return Ok(()),
                None => meta
                    .insert(LAYOUT_KEY, &[rows::LAYOUT_VERSION][..])
                    .map_err(engine("write the layout"))?,
            };
        }
        write.commit().map_err(engine("write the layout"))
    }

    /// Makes all of `writes` durable, or none. One sync. After an error nobody knows which: the process
    /// must end, and the next one reads what is there.
    pub fn commit(&self, writes: &[Write]) -> Result<(), StoreError> {
        const WHAT: &str = "write to the store";
        let transaction = self.db.begin_write().map_err(engine(WHAT))?;
        {
            let open = |table| transaction.open_table(table).map_err(engine(WHAT));
            let (mut checkpoints, mut keys, mut trust) = (None, None, None);
            let mut refused = None;
            for write in writes {
                match write {
                    Write::Checkpoint { origin, row } => {
                        let value = row.seal(origin.as_str());
                        put(lazily(&mut checkpoints, || open(CHECKPOINTS))?, origin, &value)?;
                    }
                    Write::Keys { origin, vkeys } => {
                        let key = origin.as_str();
                        let value = rows::seal(key.as_bytes(), &[vkeys.as_bytes()]);
                        put(lazily(&mut keys, || open(KEYS))?, origin, &value)?;
                    }
                    Write::ForgetKeys { origin } => {
                        let keys = lazily(&mut keys, || open(KEYS))?;
                        keys.remove(origin.as_str()).map(drop).map_err(engine(WHAT))?;
                    }
                    Write::Trust { origin, row } => {
                        let value = row.seal(origin.as_str());
                        put(lazily(&mut trust, || open(TRUST))?, origin, &value)?;
                    }
                    Write::Refused { origin, slot, row } => {
                        let key = (origin.as_str(), *slot);
                        let value = row.seal(key.0, key.1);
                        let refused = lazily(&mut refused, || {
                            transaction.open_table(REFUSED).map_err(engine(WHAT))
                        })?;
                        refused.insert(key, &value[..]).map(drop).map_err(engine(WHAT))?;
                    }
                }
            }
        }
        // The commit point.
        transaction.commit().map_err(engine(WHAT))
    }

    /// The last checkpoint of a log.
    pub fn checkpoint(&self, origin: &Origin) -> Result<Option<StoredCheckpoint>, StoreError> {
        self.row(CHECKPOINTS, "checkpoints", origin, StoredCheckpoint::unseal)
    }

    /// Whether a log was ever distrusted, and why.
    pub fn trust(&self, origin: &Origin) -> Result<Option<TrustRow>, StoreError> {
        self.row(TRUST, "trust", origin, TrustRow::unseal)
    }

    /// The keys a log is known by, one vkey a line.
    pub fn keys(&self, origin: &Origin) -> Result<Option<String>, StoreError> {
        self.row(KEYS, "keys", origin, unseal_keys)
    }

    /// The refused notes of a log, by slot.
    pub fn refused(&self, origin: &Origin) -> Result<Vec<(u8, RefusedNote)>, StoreError> {
        const WHAT: &str = "read refused";
        let read = self.db.begin_read().map_err(engine(WHAT))?;
        let table = read.open_table(REFUSED).map_err(engine(WHAT))?;
        let key = origin.as_str();
        let range = table.range((key, 0)..=(key, u8::MAX)).map_err(engine(WHAT))?;
        let note = |row: Result<_, redb::StorageError>| {
            let (key, value): (redb::AccessGuard<'_, (&str, u8)>, redb::AccessGuard<'_, &[u8]>) =
                row.map_err(engine(WHAT))?;
            let (origin, slot) = key.value();
            let note = RefusedNote::unseal(origin, slot, value.value());
            Ok((slot, note.map_err(corrupt("refused", origin))?))
        };
        range.map(note).collect()
    }

    fn row<T>(
        &self,
        table: TableDefinition<'_, &str, &'static [u8]>,
        name: &'static str,
        origin: &Origin,
        unseal: impl Fn(&str, &[u8]) -> Result<T, RowFault>,
    ) -> Result<Option<T>, StoreError> {
        let read = self.db.begin_read().map_err(engine("read the store"))?;
        let table = read.open_table(table).map_err(engine("read the store"))?;
        let value = table.get(origin.as_str()).map_err(engine("read the store"))?;
        let unseal = |value: redb::AccessGuard<'_, &[u8]>| unseal(origin.as_str(), value.value());
        value.map(unseal).transpose().map_err(corrupt(name, origin.as_str()))
    }

    /// Gives every checkpoint to `each`, in the order of the origins, or what is wrong with its row.
    pub fn each_checkpoint(
        &self,
        each: impl FnMut(Origin, Result<StoredCheckpoint, StoreError>),
    ) -> Result<(), StoreError> {
        self.each(CHECKPOINTS, "checkpoints", StoredCheckpoint::unseal, each)
    }

    /// As [`Self::each_checkpoint`], with the keys of every log.
    pub fn each_keys(
        &self,
        each: impl FnMut(Origin, Result<String, StoreError>),
    ) -> Result<(), StoreError> {
        self.each(KEYS, "keys", unseal_keys, each)
    }

    /// As [`Self::each_checkpoint`], with the trust of every log that was ever distrusted.
    pub fn each_trust(
        &self,
        each: impl FnMut(Origin, Result<TrustRow, StoreError>),
    ) -> Result<(), StoreError> {
        self.each(TRUST, "trust", TrustRow::unseal, each)
    }

    fn each<T>(
        &self,
        table: TableDefinition<'_, &str, &'static [u8]>,
        name: &'static str,
        unseal: impl Fn(&str, &[u8]) -> Result<T, RowFault>,
        mut each: impl FnMut(Origin, Result<T, StoreError>),
    ) -> Result<(), StoreError> {
        let read = self.db.begin_read().map_err(engine("read the store"))?;
        let table = read.open_table(table).map_err(engine("read the store"))?;
        for row in table.iter().map_err(engine("read the store"))? {
            let (key, value) = row.map_err(engine("read the store"))?;
            let key = key.value();
            let origin = rows::origin(key).map_err(corrupt(name, key))?;
            each(origin, unseal(key, value.value()).map_err(corrupt(name, key)));
        }
        Ok(())
    }

    /// Every origin that has refused notes.
    pub fn refused_origins(&self) -> Result<Vec<Origin>, StoreError> {
        const WHAT: &str = "read refused";
        let read = self.db.begin_read().map_err(engine(WHAT))?;
        let table = read.open_table(REFUSED).map_err(engine(WHAT))?;
        let mut origins: Vec<Origin> = Vec::new();
        for row in table.iter().map_err(engine(WHAT))? {
            let (key, _) = row.map_err(engine(WHAT))?;
            let (origin, _) = key.value();
            if origins.last().is_none_or(|last| last.as_str() != origin) {
                origins.push(rows::origin(origin).map_err(corrupt("refused", origin))?);
            }
        }
        Ok(origins)
    }

    /// Has the engine check its own checksums, over all pages. `false`: it had to repair something.
    pub fn check_pages(&mut self) -> Result<bool, StoreError> {
        self.db.check_integrity().map_err(engine("check the store's pages"))
    }
}

fn opening(path: &Path, error: DatabaseError) -> StoreError {
    match error {
        DatabaseError::DatabaseAlreadyOpen => StoreError::InUse { path: path.to_owned() },
        other => engine("open the store")(other),
    }
}

fn unseal_keys(origin: &str, value: &[u8]) -> Result<String, RowFault> {
    let body = rows::unseal(origin.as_bytes(), value)?;
    String::from_utf8(body.to_vec()).map_err(|_| RowFault::Text)
}

/// Opens a table at its first write of a commit.
fn lazily<T>(
    table: &mut Option<T>,
    open: impl FnOnce() -> Result<T, StoreError>,
) -> Result<&mut T, StoreError> {
    if table.is_none() {
        *table = Some(open()?);
    }
    Ok(table.as_mut().expect("it was opened above"))
}

fn put(
    table: &mut redb::Table<'_, &'static str, &'static [u8]>,
    origin: &Origin,
    value: &[u8],
) -> Result<(), StoreError> {
    table.insert(origin.as_str(), value).map(drop).map_err(engine("write to the store"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CACHE_BYTES: usize = 1 << 20;

    fn origin(name: &str) -> Origin {
        Origin::new(name).unwrap()
    }

    fn checkpoint(name: &str, time: u64) -> Write {
        let time = formats::Timestamp::new(time).unwrap();
        let row = StoredCheckpoint { time, note: name.as_bytes().to_vec() };
        Write::Checkpoint { origin: origin(name), row }
    }

    #[test]
    fn what_was_committed_is_there_after_opening_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("db/a.redb");
        let store = Store::open(&path, CACHE_BYTES).unwrap();
        let keys = Write::Keys { origin: origin("b"), vkeys: "k\n".to_owned() };
        store.commit(&[checkpoint("a", 1), checkpoint("a", 2), keys]).unwrap();
        drop(store);
        let store = Store::open(&path, CACHE_BYTES).unwrap();
        let stored = store.checkpoint(&origin("a")).unwrap().unwrap();
        assert_eq!(stored.time.seconds(), 2, "the last write of a commit wins");
        assert_eq!(store.checkpoint(&origin("b")).unwrap(), None);
        assert_eq!(store.keys(&origin("b")).unwrap().as_deref(), Some("k\n"));
        store.commit(&[Write::ForgetKeys { origin: origin("b") }]).unwrap();
        assert_eq!(store.keys(&origin("b")).unwrap(), None);
    }

    #[test]
    fn a_store_in_use_and_one_of_another_layout_are_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.redb");
        let store = Store::open(&path, CACHE_BYTES).unwrap();
        let error = Store::open(&path, CACHE_BYTES).unwrap_err();
        assert!(matches!(error, StoreError::InUse { .. }), "{error}");
        let write = store.db.begin_write().unwrap();
        write.open_table(META).unwrap().insert(LAYOUT_KEY, &[9_u8][..]).unwrap();
        write.commit().unwrap();
        drop(store);
        let error = Store::open(&path, CACHE_BYTES).unwrap_err();
        insta::assert_snapshot!(error, @"the store's layout is [9], this program reads version 1");
    }

    #[test]
    fn a_damaged_row_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("a.redb"), CACHE_BYTES).unwrap();
        let write = store.db.begin_write().unwrap();
        write.open_table(CHECKPOINTS).unwrap().insert("a", &b"\x01junk"[..]).unwrap();
        write.commit().unwrap();
        let error = store.checkpoint(&origin("a")).unwrap_err();
        insta::assert_snapshot!(
            error,
            @r#"the row of "a" in checkpoints is damaged: its checksum does not match; bring a whole copy of the store back"#
        );
    }
}
