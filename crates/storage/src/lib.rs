//! Where a log is kept.
//!
//! [`Engine`] is the contract, and [`LeafIndexStore`] that of the index beside it. Both are enforced by
//! [`conformance`], one suite that every engine passes, and passes again through [`faulty`]. [`memory`] is
//! the engine of tests. [`keys`] is the layout on disk, [`stamp`] the time in an audit log's entries, and
//! [`journal`] the record of every head ever signed, outside the store.

mod erasure;
mod error;
mod leaf_index;
mod types;

pub mod keys;

pub mod stamp;

pub mod journal;

#[cfg(feature = "testing")]
pub mod conformance;
#[cfg(feature = "testing")]
pub mod faulty;
#[cfg(feature = "testing")]
pub mod memory;
#[cfg(feature = "testing")]
pub mod testing;

pub use erasure::{Beside, EraseTarget, Erasure, Unpurged};
pub use error::{Corrupt, EngineError, Family, RowFault, RowKey, StorageError, Violation};
pub use leaf_index::{LeafCandidates, LeafIndexStore};
pub use types::{
    ArchivePosition, ArchivedCheckpoint, Attachment, BadAttachments, BadLogName, ContentDigest,
    DedupId, DedupKey, DedupRow, FullTile, LogCommit, LogId, LogKind, LogName, LogRecord, LogState,
    ProducerId, ProducerRow, Row, Scope, SecretCheck, StoredEntry, StoredHead, attachment_bytes,
    check_attachments,
};

use std::collections::BTreeSet;

use merkle::LeafIndex;
use merkle::TreeSize;
use merkle::tile::TileCoord;

/// What became of a [`Engine::commit`].
#[must_use = "an outcome decides what callers are told"]
#[derive(Debug)]
pub enum CommitOutcome {
    /// Durable: everything of every log in the batch.
    Committed,
    /// A log's head is not the expected one. Nothing was written, for any log.
    Conflict {
        /// The first such log in the batch.
        log: LogId,
        /// The head it has.
        found: Option<StoredHead>,
    },
    /// The error arose before the write was issued: nothing is written and nothing ever will be.
    /// The engine can be used further.
    NotCommitted(StorageError),
    /// Anything else: the batch may be durable as a whole, may become so at the next start, or may be
    /// lost. The engine refuses further commits with [`StorageError::Poisoned`]; only a restart, with
    /// recovery, tells what was written.
    Ambiguous(StorageError),
}

/// A store of logs. Blocking: called from a thread that may wait for the disk.
///
/// **Atomicity.** A commit is visible and durable as a whole or not at all, over all logs in it. A reader
/// that has seen a head finds every entry and full tile below it, and every row of its commit.
///
/// **Durability.** [`Engine::commit`] returns [`CommitOutcome::Committed`] after the data are on stable
/// storage. What an open engine reads is durable too: opening one makes replayed writes durable first.
///
/// **Concurrency.** One caller commits at a time, and only through this handle: an engine holds its
/// store exclusively, and may keep heads in memory. Everything else may be called from any thread at any
/// time and never waits for a commit.
///
/// **Immutability.** Entries, full tiles, deduplication rows, archived checkpoints and attachments
/// are written once. A commit that would write them again is a defect of the caller. The one change
/// that any of them sees is a [`Row::Erasure`]: a tombstone takes the place of an attachment, and the
/// entry's deduplication row loses its digest. No row that a proof needs ever changes.
///
/// **Cost.** A commit is one synced write whatever the number of logs in it. Reads of heads, tiles and
/// look-up rows are point reads; entries are one scan.
pub trait Engine: Send + Sync + 'static {
    /// Writes all of `batch` in one synced, atomic write, after checking each expected head. A log may
    /// stand in a batch only once. An empty batch is committed at no cost.
    fn commit(&self, batch: &[LogCommit]) -> CommitOutcome;

    /// The committed head, `None` if the log does not exist.
    fn head(&self, log: LogId) -> Result<Option<StoredHead>, StorageError>;

    /// All logs, by id.
    fn logs(&self) -> Result<Vec<LogRecord>, StorageError>;

    /// Consecutive entries from `start` on: at most `limit`, and no more once their data exceed
    /// `bytes_max`, but at least one if there is one at `start` and `limit` is not 0. Shorter than asked
    /// where the log ends. A gap is [`StorageError::Corrupt`].
    fn entries(
        &self,
        log: LogId,
        start: LeafIndex,
        limit: usize,
        bytes_max: usize,
    ) -> Result<Vec<StoredEntry>, StorageError>;

    /// What is stored beside an entry, by kind: an attachment, or the tombstone of an erased one. A row that
    /// is damaged is left out, so that it hides no other; the entry says which there have to be.
    fn attachments(&self, log: LogId, index: LeafIndex) -> Result<Vec<Beside>, StorageError>;

    /// A full tile, `None` if it is not stored.
    fn tile(&self, log: LogId, coord: TileCoord) -> Result<Option<FullTile>, StorageError>;

    /// A full tile, if it can be had without waiting for the disk. Never blocks; `None` says nothing
    /// about what is stored.
    fn tile_at_hand(&self, log: LogId, coord: TileCoord) -> Result<Option<FullTile>, StorageError>;

    /// Looks deduplication keys up, one answer for each id in their order.
    fn dedup(&self, log: LogId, ids: &[DedupId]) -> Result<Vec<Option<DedupRow>>, StorageError>;

    /// How far a producer has come, `None` if it never committed.
    fn producer(&self, log: LogId, id: &ProducerId) -> Result<Option<ProducerRow>, StorageError>;

    /// Archived checkpoints of at least `from_size` and beyond `after`, in the archive's order.
    fn checkpoints(
        &self,
        log: LogId,
        from_size: TreeSize,
        after: Option<ArchivePosition>,
        limit: usize,
    ) -> Result<Vec<ArchivedCheckpoint>, StorageError>;

    /// Bytes an unprivileged process can still write to the store's file system.
    fn free_bytes(&self) -> Result<u64, StorageError>;

    /// Writes everything committed, and the derived rows, to synced table files, so that the next start
    /// has nothing to replay.
    fn flush(&self) -> Result<(), StorageError>;
}

/// Takes the bytes that were erased out of a store's files.
///
/// A [`Row::Erasure`] hides the bytes; files still hold them. The same commit notes that, so that a
/// start can finish what a crash cut short. What purging cannot reach are copies that left the store:
/// backups, and what the file system keeps of deleted files. Bytes that are encrypted (see
/// [`Attachment::key_id`]) go from every copy with their key.
pub trait Erase: Send + Sync + 'static {
    /// The erasures whose bytes may still be in files, by log and entry.
    fn unpurged(&self) -> Result<Vec<Unpurged>, StorageError>;

    /// Takes the bytes of an erasure out of table files and write-ahead logs, and then forgets that
    /// this was to be done. Doing it again is the way to go on after a crash or an error.
    ///
    /// Blocking. **Cost.** A flush of the store, and rewriting the table files that hold the
    /// entries' neighbours. May run beside commits. Files that a reader or a backup holds go when it
    /// lets go: until then this is [`StorageError::StillInFiles`].
    fn purge(&self, erasure: &Unpurged) -> Result<(), StorageError>;
}

/// An engine with the leaf-hash index beside it: what a server serves from.
pub trait IndexedEngine: Engine + LeafIndexStore {}

impl<T: Engine + LeafIndexStore> IndexedEngine for T {}

/// All that an engine of ours does.
pub trait Store: IndexedEngine + Erase {}

impl<T: IndexedEngine + Erase> Store for T {}

/// Checks what can be checked of a batch without reading anything. Engines call it before they write.
pub fn check_batch(batch: &[LogCommit]) -> Result<(), StorageError> {
    let mut seen = BTreeSet::new();
    for commit in batch {
        let log = commit.log;
        let refuse = |violation| Err(StorageError::Contract { log, violation });
        if !seen.insert(log) {
            return refuse(Violation::LogTwice);
        }
        if let Err(violation) = check_commit(commit) {
            return refuse(violation);
        }
    }
    Ok(())
}

fn check_commit(commit: &LogCommit) -> Result<(), Violation> {
    let old_size = commit.expected.map_or(TreeSize::ZERO, |head| head.size);
    let added = u64::try_from(commit.entries.len()).unwrap_or(u64::MAX);
    if old_size.checked_add(added) != Some(commit.new.size) {
        return Err(Violation::Size {
            old: old_size.get(),
            new: commit.new.size.get(),
            entries: commit.entries.len(),
        });
    }
    if let Some(old) = commit.expected {
        check_succession(&old, &commit.new)?;
    }
    check_records(commit)?;
    check_entries(&commit.entries)?;
    erasure::check_erasures(commit)?;
    check_tiles(commit, old_size)
}

fn check_succession(old: &StoredHead, new: &StoredHead) -> Result<(), Violation> {
    if new.time_ms < old.time_ms || new.epoch < old.epoch {
        return Err(Violation::TimeBack);
    }
    if new.size == old.size && new.root != old.root {
        return Err(Violation::RootChanged);
    }
    Ok(())
}

fn check_records(commit: &LogCommit) -> Result<(), Violation> {
    let mut found = false;
    for row in &commit.rows {
        if let Row::Log(record) = row {
            let has_check = record.secret_check.is_some();
            if record.id != commit.log || has_check != (record.kind == LogKind::Audit) {
                return Err(Violation::Record);
            }
            found = true;
        }
    }
    if commit.expected.is_none() && !found {
        return Err(Violation::Record);
    }
    Ok(())
}

fn check_entries(entries: &[StoredEntry]) -> Result<(), Violation> {
    let legal = |entry: &StoredEntry| {
        let key_fits = entry.dedup.as_ref().is_none_or(|dedup| {
            (1..=DedupKey::LEN_MAX).contains(&dedup.key.len()) && dedup.scope != Scope::LEAF
        });
        key_fits && (1..=StoredEntry::LEN_MAX).contains(&entry.data.len())
    };
    for (position, entry) in entries.iter().enumerate() {
        if !legal(entry) {
            return Err(Violation::Entry { position });
        }
        check_attachments(&entry.attachments)
            .map_err(|fault| Violation::Attachments { position, fault })?;
    }
    Ok(())
}

fn check_tiles(commit: &LogCommit, old_size: TreeSize) -> Result<(), Violation> {
    let became_full = |tile: &(TileCoord, FullTile)| {
        let end = tile_end(tile.0);
        end.is_some_and(|end| end > old_size.get() && end <= commit.new.size.get())
    };
    let expected = full_tiles(commit.new.size) - full_tiles(old_size);
    let given = u64::try_from(commit.tiles.len()).unwrap_or(u64::MAX);
    if given == expected && commit.tiles.iter().all(became_full) {
        Ok(())
    } else {
        Err(Violation::Tiles)
    }
}

/// The size at which a tile is full, `None` beyond 2^64.
fn tile_end(coord: TileCoord) -> Option<u64> {
    let shift = u32::from(coord.level).checked_add(1)?.checked_mul(8)?;
    let leaves = 1_u64.checked_shl(shift)?;
    coord.index.checked_add(1)?.checked_mul(leaves)
}

/// Tiles of any level that are full at a size.
fn full_tiles(size: TreeSize) -> u64 {
    (1..8).map(|level| size.get() >> (8 * level)).sum()
}

#[cfg(test)]
mod tests {
    use merkle::Hash;

    use super::*;

    #[test]
    fn attachments_are_checked_at_the_limit_and_beyond() {
        let attachment = |kind: u8, len: usize| Attachment {
            kind,
            key_id: 0,
            bytes: bytes::Bytes::from(vec![1; len]),
        };
        let kinds = |count: u8| (0..count).map(|kind| attachment(kind, 1)).collect::<Vec<_>>();
        let most = u8::try_from(Attachment::COUNT_MAX).unwrap();
        assert_eq!(check_attachments(&[]), Ok(()));
        assert_eq!(check_attachments(&kinds(most)), Ok(()));
        let count = Attachment::COUNT_MAX + 1;
        assert_eq!(check_attachments(&kinds(most + 1)), Err(BadAttachments::TooMany { count }));
        assert_eq!(check_attachments(&[attachment(3, Attachment::LEN_MAX)]), Ok(()));
        for bytes in [0, Attachment::LEN_MAX + 1] {
            let found = check_attachments(&[attachment(3, bytes)]);
            assert_eq!(found, Err(BadAttachments::Length { kind: 3, bytes }));
        }
        for kind in [0, 3] {
            let found = check_attachments(&[attachment(3, 1), attachment(kind, 1)]);
            assert_eq!(found, Err(BadAttachments::Order { kind }));
        }
    }

    #[test]
    fn names_are_checked() {
        let longest = "a".repeat(64);
        for good in ["a", "0-", "default", longest.as_str()] {
            assert_eq!(LogName::new(good).unwrap().as_str(), good);
        }
        let too_long = "a".repeat(65);
        for bad in ["", "-a", "A", "a_b", "a/b", "..", "é", too_long.as_str()] {
            assert_eq!(LogName::new(bad), Err(BadLogName), "{bad}");
        }
    }

    /// The check value as docs/formats.md states it.
    #[test]
    fn the_check_value_of_a_secret_is_a_keyed_hash_of_a_label() {
        let check = SecretCheck::of(&[7; 32]);
        assert_eq!(
            Hash::from(check.0).to_string(),
            "da7749b99f5520654d463f7bc62c7f124d13f14fc3c00011cac371181ed5c5fb"
        );
        assert_ne!(SecretCheck::of(&[8; 32]), check);
    }

    #[test]
    fn the_last_log_id_is_reserved() {
        assert!(LogId::new(u32::MAX).is_none());
        assert_eq!(LogId::new(7).map(LogId::get), Some(7));
    }

    #[test]
    fn tiles_are_counted_at_every_level() {
        let count = |size| full_tiles(TreeSize::new(size).unwrap());
        assert_eq!([0, 255, 256, 511, 512].map(count), [0, 0, 1, 1, 2]);
        assert_eq!(count(65_535), 255);
        assert_eq!(count(65_536), 257);
    }
}
