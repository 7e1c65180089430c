//! Reading rows as they are, in key order.

use rocksdb::{DB, DBRawIteratorWithThreadMode, ReadOptions};

use super::{RocksEngine, engine};
use storage::{Family, StorageError};

/// Bytes read ahead in a scan.
const READ_AHEAD_BYTES: usize = 2 * 1024 * 1024;

/// A row's key and value.
pub type RawRow = (Box<[u8]>, Box<[u8]>);

/// The rows whose keys start with a prefix, in key order. Every block that is read has its checksum
/// verified; a mismatch ends the scan with an error. Blocks do not enter the cache.
pub struct Scan<'db> {
    /// `None` once the scan has ended, and for a family that the store does not have.
    rows: Option<DBRawIteratorWithThreadMode<'db, DB>>,
}

/// Table files of the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TableFiles {
    /// How many there are.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl std::fmt::Debug for Scan<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scan").field("ended", &self.rows.is_none()).finish()
    }
}

impl RocksEngine {
    /// The rows of a family whose keys start with `prefix`.
    pub fn scan(&self, family: Family, prefix: &[u8]) -> Scan<'_> {
        self.scan_from(family, prefix, prefix)
    }

    /// The rows of a family whose keys start with `prefix`, from the key `from` on.
    pub fn scan_from(&self, family: Family, prefix: &[u8], from: &[u8]) -> Scan<'_> {
        self.scan_with(ReadOptions::default(), family, prefix, from)
    }

    /// As [`Self::scan_from`], with the snapshot of `options`.
    pub(super) fn scan_with(
        &self,
        mut options: ReadOptions,
        family: Family,
        prefix: &[u8],
        from: &[u8],
    ) -> Scan<'_> {
        let Some(handle) = self.family_if_there(family) else { return Scan { rows: None } };
        options.set_verify_checksums(true);
        options.fill_cache(false);
        options.set_total_order_seek(true);
        options.set_readahead_size(READ_AHEAD_BYTES);
        if let Some(end) = prefix_end(prefix) {
            options.set_iterate_upper_bound(end);
        }
        let mut rows = self.db.raw_iterator_cf_opt(handle, options);
        rows.seek(from);
        Scan { rows: Some(rows) }
    }

    /// Whether there is a row with this key.
    pub fn holds(&self, family: Family, key: &[u8]) -> Result<bool, StorageError> {
        Ok(self.read(family, key)?.is_some())
    }

    /// Opens every table file and has the checksums of its index and filter verified, by reading its
    /// first key. Data blocks are verified by scanning. The first bad file ends it.
    pub fn verify_table_files(&self) -> Result<TableFiles, StorageError> {
        let mut found = TableFiles::default();
        let mut options = ReadOptions::default();
        options.set_verify_checksums(true);
        let files = self.db.live_files().map_err(engine("list the table files"))?;
        for file in files {
            let family =
                Family::ALL.into_iter().find(|family| family.name() == file.column_family_name);
            if let (Some(family), Some(key)) = (family, file.start_key) {
                let family = self.family(family);
                let read = self.db.get_pinned_cf_opt(family, key, &options);
                drop(read.map_err(engine("verify a table file"))?);
            }
            found.files += 1;
            found.bytes += u64::try_from(file.size).unwrap_or(u64::MAX);
        }
        Ok(found)
    }
}

impl Iterator for Scan<'_> {
    type Item = Result<RawRow, StorageError>;

    fn next(&mut self) -> Option<Self::Item> {
        let rows = self.rows.as_mut()?;
        if let Some((key, value)) = rows.item() {
            let row = (key.into(), value.into());
            rows.next();
            return Some(Ok(row));
        }
        let status = rows.status().map_err(engine("scan rows"));
        self.rows = None;
        status.err().map(Err)
    }
}

/// The first key beyond all that start with `prefix`, `None` if there is none.
fn prefix_end(prefix: &[u8]) -> Option<Vec<u8>> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if let Some(next) = last.checked_add(1) {
            end.push(next);
            return Some(end);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_prefix_is_the_next_key_of_its_length_or_shorter() {
        assert_eq!(prefix_end(b"ab"), Some(b"ac".to_vec()));
        assert_eq!(prefix_end(&[1, 0xff, 0xff]), Some(vec![2]));
        assert_eq!(prefix_end(&[0xff, 0xff]), None);
        assert_eq!(prefix_end(&[]), None);
    }
}
