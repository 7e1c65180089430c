//! The layout on disk, version 1. All integers are big-endian; `log` is a log's number, 4 bytes.
//!
//! ```text
//! family   key                               value
//! entries  log ‖ index 8                     01 ‖ key length 1 [‖ scope 16 ‖ key] ‖ entry
//! tiles    log ‖ level 1 ‖ index 8           256 hashes of 32 bytes
//! index    log ‖ 'd' ‖ scope 16 ‖ SHA-256    01 ‖ index 8 ‖ leaf hash 32
//!                                        or  02 ‖ index 8 ‖ leaf hash 32 ‖ digest 32 ‖ CRC 4
//!                                        or  03 ‖ index 8 ‖ leaf hash 32 ‖ time_ns 8 [‖ digest 32] ‖ CRC 4
//! index    log ‖ 'p' ‖ producer 16           01 ‖ last sequence 8 ‖ last index 8 ‖ CRC 4
//! index    log ‖ 'l' ‖ leaf hash 16 ‖ index 8  (empty)
//! index    log ‖ 'i'                         01 ‖ indexed size 8 ‖ CRC 4
//! meta     log ‖ 'h'                         01 ‖ size 8 ‖ root 32 ‖ time 8 ‖ epoch 4 ‖ CRC 4
//! meta     log ‖ 'r'                         01 ‖ flags 1 ‖ state 1 ‖ created 8
//!                                               ‖ length 1 ‖ name ‖ length 1 ‖ origin [‖ check 32] ‖ CRC 4
//! meta     log ‖ 'c' ‖ size 8 ‖ time 8       01 ‖ note ‖ CRC 4
//! meta     ff ff ff ff ‖ 'e' ‖ log ‖ index 8  01 ‖ index 8 for each entry ‖ CRC 4
//! meta     ff ff ff ff ‖ 'v'                 layout version 1
//! attachments  log ‖ index 8 ‖ kind 1        01 ‖ key id 4 ‖ bytes ‖ CRC 4
//!                                        or  02 ‖ time_ns 8 ‖ index 8 ‖ CRC 4
//! ```
//!
//! CRC is CRC-32 (IEEE) of the key and the value before it. It stands where no hash of the tree and no
//! other row would show a changed bit. Times are milliseconds since the Unix epoch, those named `time_ns`
//! nanoseconds. Decoding is strict: a row that this page does not describe is [`Corrupt`], never ignored.

mod beside;
mod dedup;
mod fields;
mod record;

use bytes::Bytes;
use merkle::tile::TileCoord;
use merkle::{Hash, LeafIndex, TreeSize};

use super::{
    ArchivePosition, ArchivedCheckpoint, Corrupt, DedupId, DedupKey, Family, FullTile, LogId,
    ProducerId, ProducerRow, RowFault, RowKey, Scope, StoredEntry, StoredHead,
};

pub use beside::{
    UNPURGED_PREFIX, decode_beside, decode_unpurged, encode_attachment, encode_tombstone,
    encode_unpurged, unpurged_key,
};
pub use dedup::{decode_dedup, encode_dedup};
pub use record::{decode_record, encode_record};

use fields::{Fields, seal};

/// The version of the whole layout.
pub const LAYOUT_VERSION: u8 = 1;

/// The key of the layout row.
pub const LAYOUT_KEY: [u8; 5] = [0xff, 0xff, 0xff, 0xff, b'v'];

/// Bytes of a tile's value.
pub const TILE_BYTES: usize = 256 * Hash::LEN;

/// The version byte of every row that has one.
const ROW_VERSION: u8 = 1;
/// Bytes of a leaf hash in a leaf-hash row's key.
const LEAF_PREFIX_BYTES: usize = 16;

/// What a key says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    /// An entry.
    Entry(LogId, LeafIndex),
    /// A full tile.
    Tile(LogId, TileCoord),
    /// A deduplication row.
    Dedup(LogId, DedupId),
    /// A producer.
    Producer(LogId, ProducerId),
    /// A leaf-hash row: the first half of the hash, and the index.
    Leaf(LogId, [u8; 16], LeafIndex),
    /// The size up to which leaf hashes are indexed.
    IndexedTo(LogId),
    /// A log's head.
    Head(LogId),
    /// A log's record.
    Record(LogId),
    /// An archived checkpoint.
    Checkpoint(LogId, ArchivePosition),
    /// The layout version.
    Layout,
    /// An attachment and its kind.
    Attachment(LogId, LeafIndex, u8),
    /// An erasure whose bytes may still be in files: its log, and the entry that states it.
    Unpurged(LogId, LeafIndex),
}

/// The key of an entry.
pub fn entry_key(log: LogId, index: LeafIndex) -> [u8; 12] {
    let mut key = [0; 12];
    key[..4].copy_from_slice(&log.get().to_be_bytes());
    key[4..].copy_from_slice(&index.get().to_be_bytes());
    key
}

/// The key of a full tile.
pub fn tile_key(log: LogId, coord: TileCoord) -> [u8; 13] {
    let mut key = [0; 13];
    key[..4].copy_from_slice(&log.get().to_be_bytes());
    key[4] = coord.level;
    key[5..].copy_from_slice(&coord.index.to_be_bytes());
    key
}

/// The key of a deduplication row.
pub fn dedup_key(log: LogId, id: &DedupId) -> [u8; 53] {
    let mut key = [0; 53];
    key[..5].copy_from_slice(&tagged(log, b'd'));
    key[5..21].copy_from_slice(&id.scope.0);
    key[21..].copy_from_slice(&id.key_hash);
    key
}

/// The key of a producer's row.
pub fn producer_key(log: LogId, id: &ProducerId) -> [u8; 21] {
    let mut key = [0; 21];
    key[..5].copy_from_slice(&tagged(log, b'p'));
    key[5..].copy_from_slice(&id.0);
    key
}

/// The part of a leaf-hash row's key that all indexes of one leaf hash share.
pub fn leaf_prefix(log: LogId, leaf: &Hash) -> [u8; 21] {
    let mut key = [0; 21];
    key[..5].copy_from_slice(&tagged(log, b'l'));
    key[5..].copy_from_slice(&leaf.as_bytes()[..LEAF_PREFIX_BYTES]);
    key
}

/// The key of a leaf-hash row.
pub fn leaf_key(log: LogId, leaf: &Hash, index: LeafIndex) -> [u8; 29] {
    let mut key = [0; 29];
    key[..21].copy_from_slice(&leaf_prefix(log, leaf));
    key[21..].copy_from_slice(&index.get().to_be_bytes());
    key
}

/// The key of the row that says up to which size leaf hashes are indexed.
pub fn indexed_to_key(log: LogId) -> [u8; 5] {
    tagged(log, b'i')
}

/// The key of a log's head.
pub fn head_key(log: LogId) -> [u8; 5] {
    tagged(log, b'h')
}

/// The key of a log's record.
pub fn record_key(log: LogId) -> [u8; 5] {
    tagged(log, b'r')
}

/// The key of an archived checkpoint.
pub fn checkpoint_key(log: LogId, position: ArchivePosition) -> [u8; 21] {
    let mut key = [0; 21];
    key[..5].copy_from_slice(&tagged(log, b'c'));
    key[5..13].copy_from_slice(&position.size.get().to_be_bytes());
    key[13..].copy_from_slice(&position.published_ms.to_be_bytes());
    key
}

/// The key of an attachment; it begins with that of its entry.
pub fn attachment_key(log: LogId, index: LeafIndex, kind: u8) -> [u8; 13] {
    let mut key = [kind; 13];
    key[..12].copy_from_slice(&entry_key(log, index));
    key
}

/// A log's number and a tag: the beginning of a key in `index` and `meta`.
pub fn tagged(log: LogId, tag: u8) -> [u8; 5] {
    let [a, b, c, d] = log.get().to_be_bytes();
    [a, b, c, d, tag]
}

/// Reads any key.
pub fn decode_key(family: Family, key: &[u8]) -> Result<Key, Corrupt> {
    if family == Family::Meta && key == LAYOUT_KEY {
        return Ok(Key::Layout);
    }
    let known = match family {
        Family::Entries => entry_of(key),
        Family::Tiles => tile_of(key),
        Family::Index => lookup_of(key),
        Family::Meta => meta_of(key),
        Family::Attachments => attachment_of(key),
    };
    known.ok_or_else(|| corrupt(family, key, RowFault::UnknownKey))
}

fn entry_of(key: &[u8]) -> Option<Key> {
    let (log, index) = log_of(key)?;
    Some(Key::Entry(log, index_of(index)?))
}

fn attachment_of(key: &[u8]) -> Option<Key> {
    let (kind, entry) = key.split_last()?;
    let (log, index) = log_of(entry)?;
    Some(Key::Attachment(log, index_of(index)?, *kind))
}

fn tile_of(key: &[u8]) -> Option<Key> {
    let (log, rest) = log_of(key)?;
    let (level, index) = rest.split_first()?;
    Some(Key::Tile(log, TileCoord { level: *level, index: number_of(index)? }))
}

fn lookup_of(key: &[u8]) -> Option<Key> {
    let (log, rest) = log_of(key)?;
    match rest.split_first()? {
        (b'd', rest) => {
            let (scope, key_hash) = rest.split_first_chunk()?;
            let id = DedupId { scope: Scope(*scope), key_hash: key_hash.try_into().ok()? };
            Some(Key::Dedup(log, id))
        }
        (b'p', id) => Some(Key::Producer(log, ProducerId(id.try_into().ok()?))),
        (b'l', rest) => {
            let (prefix, index) = rest.split_first_chunk::<LEAF_PREFIX_BYTES>()?;
            Some(Key::Leaf(log, *prefix, index_of(index)?))
        }
        (b'i', []) => Some(Key::IndexedTo(log)),
        _ => None,
    }
}

fn meta_of(key: &[u8]) -> Option<Key> {
    if let Some(rest) = key.strip_prefix(&UNPURGED_PREFIX) {
        let (log, by) = log_of(rest)?;
        return Some(Key::Unpurged(log, index_of(by)?));
    }
    let (log, rest) = log_of(key)?;
    match rest.split_first()? {
        (b'h', []) => Some(Key::Head(log)),
        (b'r', []) => Some(Key::Record(log)),
        (b'c', rest) => {
            let (size, published_ms) = rest.split_at_checked(8)?;
            let size = TreeSize::new(number_of(size)?).ok()?;
            let published_ms = number_of(published_ms)?;
            Some(Key::Checkpoint(log, ArchivePosition { size, published_ms }))
        }
        _ => None,
    }
}

fn log_of(key: &[u8]) -> Option<(LogId, &[u8])> {
    let (log, rest) = key.split_first_chunk::<4>()?;
    Some((LogId::new(u32::from_be_bytes(*log))?, rest))
}

fn number_of(bytes: &[u8]) -> Option<u64> {
    bytes.try_into().ok().map(u64::from_be_bytes)
}

fn index_of(bytes: &[u8]) -> Option<LeafIndex> {
    LeafIndex::new(number_of(bytes)?).ok()
}

/// Writes an entry's value over `out`.
pub fn encode_entry(entry: &StoredEntry, out: &mut Vec<u8>) {
    out.clear();
    out.push(ROW_VERSION);
    match &entry.dedup {
        None => out.push(0),
        Some(dedup) => {
            out.push(u8::try_from(dedup.key.len()).expect("a commit's keys have at most 64 bytes"));
            out.extend_from_slice(&dedup.scope.0);
            out.extend_from_slice(&dedup.key);
        }
    }
    out.extend_from_slice(&entry.data);
}

/// Reads an entry. Its bytes share memory with `value`.
pub fn decode_entry(key: &[u8], value: &Bytes) -> Result<StoredEntry, Corrupt> {
    let mut rest = Fields::new(Family::Entries, key, value);
    rest.version()?;
    let key_len = usize::from(rest.byte()?);
    let dedup = match key_len {
        0 => None,
        1..=DedupKey::LEN_MAX => {
            let scope = Scope(rest.array()?);
            let key = value.slice_ref(rest.take(key_len)?);
            Some(DedupKey { scope, key })
        }
        _ => return Err(rest.field("key length")),
    };
    let data = value.slice_ref(rest.rest);
    if data.is_empty() || data.len() > StoredEntry::LEN_MAX {
        return Err(rest.length());
    }
    Ok(StoredEntry { dedup, data, attachments: Vec::new() })
}

/// Writes a tile's value over `out`.
pub fn encode_tile(tile: &[Hash; 256], out: &mut Vec<u8>) {
    out.clear();
    for hash in tile {
        out.extend_from_slice(hash.as_bytes());
    }
}

/// Reads a tile.
pub fn decode_tile(key: &[u8], value: &[u8]) -> Result<FullTile, Corrupt> {
    let (hashes, rest) = value.as_chunks::<{ Hash::LEN }>();
    let hashes: Vec<Hash> = hashes.iter().map(|hash| Hash::from(*hash)).collect();
    match hashes.into_boxed_slice().try_into() {
        Ok(tile) if rest.is_empty() => Ok(tile),
        _ => Err(Fields::new(Family::Tiles, key, value).length()),
    }
}

/// A producer row's value.
pub fn encode_producer(key: &[u8], row: &ProducerRow) -> Vec<u8> {
    let mut value = vec![ROW_VERSION];
    value.extend_from_slice(&row.last_sequence.to_be_bytes());
    value.extend_from_slice(&row.last_index.get().to_be_bytes());
    seal(key, &mut value);
    value
}

/// Reads a producer's row.
pub fn decode_producer(key: &[u8], value: &[u8]) -> Result<ProducerRow, Corrupt> {
    let mut rest = Fields::sealed(Family::Index, key, value)?;
    rest.version()?;
    let last_sequence = rest.u64()?;
    let last_index = rest.leaf_index("last index")?;
    rest.end()?;
    Ok(ProducerRow { last_sequence, last_index })
}

/// The value of the row that says up to which size leaf hashes are indexed.
pub fn encode_indexed_to(key: &[u8], size: TreeSize) -> Vec<u8> {
    let mut value = vec![ROW_VERSION];
    value.extend_from_slice(&size.get().to_be_bytes());
    seal(key, &mut value);
    value
}

/// Reads up to which size leaf hashes are indexed.
pub fn decode_indexed_to(key: &[u8], value: &[u8]) -> Result<TreeSize, Corrupt> {
    let mut rest = Fields::sealed(Family::Index, key, value)?;
    rest.version()?;
    let size = rest.tree_size("indexed size")?;
    rest.end()?;
    Ok(size)
}

/// A head's value.
pub fn encode_head(key: &[u8], head: &StoredHead) -> Vec<u8> {
    let mut value = vec![ROW_VERSION];
    value.extend_from_slice(&head.size.get().to_be_bytes());
    value.extend_from_slice(head.root.as_bytes());
    value.extend_from_slice(&head.time_ms.to_be_bytes());
    value.extend_from_slice(&head.epoch.to_be_bytes());
    seal(key, &mut value);
    value
}

/// Reads a head.
pub fn decode_head(key: &[u8], value: &[u8]) -> Result<StoredHead, Corrupt> {
    let mut rest = Fields::sealed(Family::Meta, key, value)?;
    rest.version()?;
    let size = rest.tree_size("size")?;
    let root = rest.hash()?;
    let time_ms = rest.u64()?;
    let epoch = u32::from_be_bytes(rest.array()?);
    rest.end()?;
    Ok(StoredHead { size, root, time_ms, epoch })
}

/// An archived checkpoint's value.
pub fn encode_checkpoint(key: &[u8], checkpoint: &ArchivedCheckpoint) -> Vec<u8> {
    let mut value = Vec::with_capacity(checkpoint.note.len() + 5);
    value.push(ROW_VERSION);
    value.extend_from_slice(&checkpoint.note);
    seal(key, &mut value);
    value
}

/// Reads an archived checkpoint.
pub fn decode_checkpoint(key: &[u8], value: &[u8]) -> Result<ArchivedCheckpoint, Corrupt> {
    let mut rest = Fields::sealed(Family::Meta, key, value)?;
    rest.version()?;
    let note = Bytes::copy_from_slice(rest.rest);
    let Key::Checkpoint(_, ArchivePosition { size, published_ms }) = decode_key(Family::Meta, key)?
    else {
        return Err(corrupt(Family::Meta, key, RowFault::UnknownKey));
    };
    Ok(ArchivedCheckpoint { size, published_ms, note })
}

/// A finding about a row.
pub fn corrupt(family: Family, key: &[u8], fault: RowFault) -> Corrupt {
    Corrupt { family, key: RowKey(key.to_vec()), fault }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use formats::Origin;

    use super::super::{
        Attachment, Beside, ContentDigest, DedupRow, Erasure, LogKind, LogName, LogRecord,
        LogState, SecretCheck,
    };
    use super::record::decode_state;
    use super::*;

    fn log() -> LogId {
        LogId::new(0x0102_0304).unwrap()
    }

    fn head() -> StoredHead {
        StoredHead { size: TreeSize::new(5).unwrap(), root: Hash::EMPTY_ROOT, time_ms: 6, epoch: 7 }
    }

    fn attachment() -> Attachment {
        Attachment { kind: 7, key_id: 10, bytes: Bytes::from_static(b"a") }
    }

    fn record() -> LogRecord {
        LogRecord {
            id: log(),
            name: LogName::new("default").unwrap(),
            origin: Origin::new("example.com/log").unwrap(),
            created_ms: 8,
            kind: LogKind::Plain,
            secret_check: None,
            deduplicate_entries: true,
            state: LogState::Frozen,
        }
    }

    /// The layout as docs/formats.md draws it, byte for byte.
    #[test]
    fn rows_have_the_documented_bytes() {
        let index = LeafIndex::new(9).unwrap();
        let hex = |bytes: &[u8]| RowKey(bytes.to_vec()).to_string();
        assert_eq!(hex(&entry_key(log(), index)), "010203040000000000000009");
        let tile = TileCoord { level: 1, index: 2 };
        assert_eq!(hex(&tile_key(log(), tile)), "01020304010000000000000002");
        let leaf = Hash::EMPTY_ROOT;
        let prefix = "e3b0c44298fc1c149afbf4c8996fb924";
        let wanted = format!("010203046c{prefix}0000000000000009");
        assert_eq!(hex(&leaf_key(log(), &leaf, index)), wanted);
        let key = head_key(log());
        let value = encode_head(&key, &head());
        let wanted = format!("010000000000000005{leaf}000000000000000600000007");
        assert_eq!(hex(&value[..53]), wanted);
        assert_eq!(value.len(), 57);
        let mut entry = vec![];
        let scope = Scope([0xaa; 16]);
        let dedup = Some(DedupKey { scope, key: Bytes::from_static(b"k") });
        let data = Bytes::from_static(b"d");
        encode_entry(&StoredEntry { dedup, data, attachments: vec![] }, &mut entry);
        assert_eq!(hex(&entry), "0101aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa6b64");
        let key = attachment_key(log(), index, 7);
        assert_eq!(hex(&key), "01020304000000000000000907");
        encode_attachment(&key, &attachment(), &mut entry);
        assert_eq!(hex(&entry[..6]), "010000000a61");
        assert_eq!(entry.len(), 10);
        let mut row = DedupRow { index, leaf, time_ns: None, digest: None };
        let wanted = format!("010000000000000009{leaf}");
        assert_eq!(hex(&encode_dedup(b"key", &row)), wanted);
        row.digest = Some(ContentDigest([0xdd; 32]));
        let value = encode_dedup(b"key", &row);
        assert_eq!(hex(&value[..73]), format!("020000000000000009{leaf}{}", "dd".repeat(32)));
        assert_eq!(value.len(), 77);
        row.time_ns = Some(11);
        let value = encode_dedup(b"key", &row);
        let wanted = format!("030000000000000009{leaf}000000000000000b");
        assert_eq!(hex(&value[..81]), format!("{wanted}{}", "dd".repeat(32)));
        row.digest = None;
        let value = encode_dedup(b"key", &row);
        assert_eq!((hex(&value[..49]), value.len()), (wanted, 53));
    }

    #[test]
    fn rows_of_erasures_have_the_documented_bytes() {
        let index = LeafIndex::new(9).unwrap();
        let hex = |bytes: &[u8]| RowKey(bytes.to_vec()).to_string();
        let key = attachment_key(log(), index, 7);
        let value = encode_tombstone(&key, 10, LeafIndex::new(11).unwrap());
        assert_eq!(hex(&value[..17]), "02000000000000000a000000000000000b");
        assert_eq!(value.len(), 21);
        let key = unpurged_key(log(), index);
        assert_eq!(hex(&key), "ffffffff65010203040000000000000009");
        let value = encode_unpurged(&key, [3, 4].map(|at| LeafIndex::new(at).unwrap()).into_iter());
        assert_eq!(hex(&value[..17]), "0100000000000000030000000000000004");
        assert_eq!(value.len(), 21);
    }

    #[test]
    fn records_come_back_and_any_flipped_bit_is_refused() {
        let key = record_key(log());
        let value = encode_record(&key, &record());
        assert_eq!(decode_record(&key, &value).unwrap(), record());
        let head_row = (head_key(log()), encode_head(&head_key(log()), &head()));
        assert_eq!(decode_head(&head_row.0, &head_row.1).unwrap(), head());
        for bit in 0..value.len() * 8 {
            let mut flipped = value.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(decode_record(&key, &flipped).is_err(), "bit {bit}");
        }
        // The same bytes under another key are another log's row.
        let other = record_key(LogId::new(1).unwrap());
        assert!(decode_record(&other, &value).is_err());
    }

    #[test]
    fn a_record_of_an_audit_log_has_one_more_flag_and_no_unknown_one() {
        let key = record_key(log());
        let (kind, secret_check) = (LogKind::Audit, Some(SecretCheck([0xcc; 32])));
        let audit = LogRecord { kind, secret_check, deduplicate_entries: false, ..record() };
        let value = encode_record(&key, &audit);
        assert_eq!(value[1], 2);
        assert_eq!(value[value.len() - 36..value.len() - 4], [0xcc; 32]);
        assert_eq!(decode_record(&key, &value).unwrap(), audit);
        // Both flags together, and a flag that the layout does not know.
        for flags in [3, 4] {
            let mut other = value[..value.len() - 4].to_vec();
            other[1] = flags;
            seal(&key, &mut other);
            let fault = decode_record(&key, &other).unwrap_err().fault;
            assert_eq!(fault, RowFault::Field { field: "flags" });
        }
    }

    #[test]
    fn attachments_and_digests_come_back_and_any_flipped_bit_is_refused() {
        let index = LeafIndex::new(9).unwrap();
        let key = attachment_key(log(), index, 7);
        let mut value = vec![];
        encode_attachment(&key, &attachment(), &mut value);
        let decode = |value: &[u8]| decode_beside(&key, &Bytes::copy_from_slice(value));
        assert_eq!(decode(&value).unwrap(), Beside::Kept(attachment()));
        let (time_ns, by) = (u64::MAX, LeafIndex::new(12).unwrap());
        let tombstone = encode_tombstone(&key, time_ns, by);
        assert_eq!(decode(&tombstone).unwrap(), Beside::Erased { kind: 7, time_ns, by });
        let id = DedupId { scope: Scope::ANONYMOUS, key_hash: [1; 32] };
        let dedup = dedup_key(log(), &id);
        let digest = ContentDigest([3; 32]);
        let rows = [(None, Some(digest)), (Some(4), Some(digest)), (Some(4), None)];
        let rows = rows.map(|(time_ns, digest)| {
            let row = DedupRow { index, leaf: Hash::EMPTY_ROOT, time_ns, digest };
            let encoded = encode_dedup(&dedup, &row);
            assert_eq!(decode_dedup(&dedup, &encoded).unwrap(), row);
            encoded
        });
        let flip = |value: &[u8], bit: usize| {
            let mut flipped = value.to_vec();
            flipped[bit / 8] ^= 1 << (bit % 8);
            flipped
        };
        for value in [value, tombstone] {
            for bit in 0..value.len() * 8 {
                assert!(decode(&flip(&value, bit)).is_err(), "bit {bit}");
            }
        }
        for encoded in rows {
            for bit in 0..encoded.len() * 8 {
                assert!(decode_dedup(&dedup, &flip(&encoded, bit)).is_err(), "bit {bit}");
            }
        }
    }

    #[test]
    fn an_unpurged_erasure_names_entries_before_its_own_in_order() {
        let key = unpurged_key(log(), LeafIndex::new(5_000).unwrap());
        let verdict = |entries: &mut dyn Iterator<Item = u64>| {
            let entries = entries.map(|at| LeafIndex::new(at).unwrap());
            let value = encode_unpurged(&key, entries);
            decode_unpurged(&key, &value).map(|unpurged| unpurged.entries.len())
        };
        let most = u64::try_from(Erasure::TARGETS_MAX).unwrap();
        assert_eq!(verdict(&mut (0..most)), Ok(Erasure::TARGETS_MAX));
        assert_eq!(verdict(&mut [7, 4_999].into_iter()), Ok(2));
        assert!(verdict(&mut (0..=most)).is_err());
        for entries in [&[][..], &[7, 7], &[7, 6], &[5_000]] {
            assert!(verdict(&mut entries.iter().copied()).is_err(), "{entries:?}");
        }
        let value = encode_unpurged(&key, [LeafIndex::new(1).unwrap()].into_iter());
        for bit in 0..value.len() * 8 {
            let mut flipped = value.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(decode_unpurged(&key, &flipped).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn attachments_have_one_byte_at_least_and_a_limit() {
        let key = attachment_key(log(), LeafIndex::new(9).unwrap(), 7);
        let decode = |bytes: usize| {
            let mut value = vec![];
            let bytes = Bytes::from(vec![1; bytes]);
            encode_attachment(&key, &Attachment { bytes, ..attachment() }, &mut value);
            decode_beside(&key, &value.into())
        };
        for (bytes, legal) in
            [(0, false), (1, true), (Attachment::LEN_MAX, true), (Attachment::LEN_MAX + 1, false)]
        {
            assert_eq!(decode(bytes).is_ok(), legal, "{bytes}");
        }
    }

    #[test]
    fn errors_name_the_row() {
        let entry = |value: &'static [u8]| {
            decode_entry(b"\x01", &Bytes::from_static(value)).unwrap_err().to_string()
        };
        let found = [
            entry(b""),
            entry(b"\x02\x00x"),
            entry(b"\x01\x00"),
            entry(b"\x01\x41"),
            entry(b"\x01\x01short"),
            decode_tile(b"\x02", b"x").unwrap_err().to_string(),
            decode_dedup(b"\x03", &[1; 42]).unwrap_err().to_string(),
            decode_key(Family::Meta, b"\x00\x00\x00\x01?").unwrap_err().to_string(),
            decode_key(Family::Entries, &[0xff; 12]).unwrap_err().to_string(),
            decode_key(Family::Tiles, b"\x00").unwrap_err().to_string(),
        ];
        assert_eq!(
            found,
            [
                "corrupt row in entries, key 01: the value has 0 bytes",
                "corrupt row in entries, key 01: unknown version 2",
                "corrupt row in entries, key 01: the value has 2 bytes",
                "corrupt row in entries, key 01: field key length is out of range",
                "corrupt row in entries, key 01: the value has 7 bytes",
                "corrupt row in tiles, key 02: the value has 1 bytes",
                "corrupt row in index, key 03: the value has 42 bytes",
                "corrupt row in meta, key 000000013f: unknown key",
                "corrupt row in entries, key ffffffffffffffffffffffff: unknown key",
                "corrupt row in tiles, key 00: unknown key",
            ]
        );
    }

    /// Keys of every length and tag, most of them well formed.
    fn any_key() -> impl Strategy<Value = Vec<u8>> {
        let tail = proptest::sample::select(vec![0_usize, 7, 8, 9, 12, 16, 24, 48]);
        let tail = tail.prop_flat_map(|len| vec(any::<u8>(), len));
        let tag = proptest::sample::select(b"dplihrcve\0\x01?".to_vec());
        let log = proptest::sample::select(vec![[0; 4], [0, 0, 0, 1], [1, 2, 3, 4], [0xff; 4]]);
        let tail = (any::<bool>(), tail).prop_map(|(small, mut tail)| {
            // Indexes and sizes have 62 bits.
            if let (true, Some(first)) = (small, tail.first_mut()) {
                *first = 0;
            }
            tail
        });
        (log, proptest::option::of(tag), tail)
            .prop_map(|(log, tag, tail)| [&log[..], tag.as_slice(), &tail].concat())
    }

    /// Values of the rows' lengths and of others, most of them of the known version.
    fn any_value() -> impl Strategy<Value = Vec<u8>> {
        let lens = vec![0_usize, 1, 9, 17, 18, 41, 49, 53, 60, 81, 8_192];
        let bytes = proptest::sample::select(lens).prop_flat_map(|len| vec(any::<u8>(), len));
        (bytes, 0..6_u8).prop_map(|(mut bytes, kind)| {
            let front: &[u8] = match kind {
                0 => &[],
                1 => &[ROW_VERSION],
                2 => &[ROW_VERSION, 0],
                3 => &[2, 0],
                4 => &[3, 0],
                _ => &[ROW_VERSION, 1, 2],
            };
            for (byte, wanted) in bytes.iter_mut().zip(front) {
                *byte = *wanted;
            }
            bytes
        })
    }

    fn reencode_key(family: Family, key: &[u8]) {
        let Ok(decoded) = decode_key(family, key) else { return };
        let encoded = match decoded {
            Key::Entry(log, index) => entry_key(log, index).to_vec(),
            Key::Attachment(log, index, kind) => attachment_key(log, index, kind).to_vec(),
            Key::Tile(log, coord) => tile_key(log, coord).to_vec(),
            Key::Dedup(log, id) => dedup_key(log, &id).to_vec(),
            Key::Producer(log, id) => producer_key(log, &id).to_vec(),
            Key::Leaf(log, prefix, index) => {
                let mut leaf = [0; Hash::LEN];
                leaf[..LEAF_PREFIX_BYTES].copy_from_slice(&prefix);
                leaf_key(log, &Hash::from(leaf), index).to_vec()
            }
            Key::IndexedTo(log) => indexed_to_key(log).to_vec(),
            Key::Head(log) => head_key(log).to_vec(),
            Key::Record(log) => record_key(log).to_vec(),
            Key::Checkpoint(log, position) => checkpoint_key(log, position).to_vec(),
            Key::Layout => LAYOUT_KEY.to_vec(),
            Key::Unpurged(log, by) => unpurged_key(log, by).to_vec(),
        };
        assert_eq!(encoded, key, "{decoded:?}");
    }

    /// Whatever decodes is written back as the same bytes: no row has two forms.
    fn reencode_value(key: &[u8], value: Vec<u8>) {
        let mut sealed = value.clone();
        seal(key, &mut sealed);
        for value in [value, sealed] {
            reencode_plain(key, &value);
            if let Ok(row) = decode_producer(key, &value) {
                assert_eq!(encode_producer(key, &row), value);
            }
            if let Ok(size) = decode_indexed_to(key, &value) {
                assert_eq!(encode_indexed_to(key, size), value);
            }
            if let Ok(head) = decode_head(key, &value) {
                assert_eq!(encode_head(key, &head), value);
            }
            if let Ok(record) = decode_record(key, &value) {
                assert_eq!(encode_record(key, &record), value);
            }
            if let Ok(checkpoint) = decode_checkpoint(key, &value) {
                assert_eq!(encode_checkpoint(key, &checkpoint), value);
            }
            match decode_beside(key, &Bytes::copy_from_slice(&value)) {
                Ok(Beside::Kept(attachment)) => {
                    let mut out = Vec::new();
                    encode_attachment(key, &attachment, &mut out);
                    assert_eq!(out, value);
                }
                Ok(Beside::Erased { time_ns, by, .. }) => {
                    assert_eq!(encode_tombstone(key, time_ns, by), value);
                }
                Err(_) => {}
            }
            if let Ok(unpurged) = decode_unpurged(key, &value) {
                assert_eq!(encode_unpurged(key, unpurged.entries.into_iter()), value);
            }
        }
    }

    fn reencode_plain(key: &[u8], value: &[u8]) {
        let mut out = Vec::new();
        if let Ok(entry) = decode_entry(key, &Bytes::copy_from_slice(value)) {
            encode_entry(&entry, &mut out);
            assert_eq!(out, value);
        }
        if let Ok(tile) = decode_tile(key, value) {
            encode_tile(&tile, &mut out);
            assert_eq!(out, value);
        }
        if let Ok(row) = decode_dedup(key, value) {
            assert_eq!(encode_dedup(key, &row), value);
        }
    }

    #[test]
    fn every_row_is_read_by_its_own_decoder_after_a_seal() {
        // What the properties below rely on: bytes of these lengths do decode.
        for len in [9, 17, 53] {
            let mut value = [&[ROW_VERSION][..], &vec![0; len - 1]].concat();
            seal(b"k", &mut value);
            let decoded = [
                decode_indexed_to(b"k", &value).is_ok(),
                decode_producer(b"k", &value).is_ok(),
                decode_head(b"k", &value).is_ok(),
            ];
            assert_eq!(decoded, [len == 9, len == 17, len == 53]);
        }
    }

    proptest! {
        #[test]
        fn entries_come_back(
            data in vec(any::<u8>(), 1..300),
            key in proptest::option::of((any::<[u8; 16]>(), vec(any::<u8>(), 1..=64))),
        ) {
            let dedup = key.map(|(scope, key)| DedupKey { scope: Scope(scope), key: key.into() });
            let entry = StoredEntry { dedup, data: data.into(), attachments: vec![] };
            let mut value = vec![];
            encode_entry(&entry, &mut value);
            prop_assert_eq!(decode_entry(b"", &value.into()).unwrap(), entry);
        }

        #[test]
        fn what_decodes_is_what_would_be_written(
            family in 0..Family::ALL.len(),
            key in any_key(),
            value in any_value(),
        ) {
            reencode_key(Family::ALL[family], &key);
            reencode_value(&key, value);
        }

        #[test]
        fn records_and_checkpoints_come_back(
            name in "[a-z0-9]{1,20}",
            origin in "[ -~]{1,40}",
            created_ms in any::<u64>(),
            kind in proptest::sample::select(vec![LogKind::Plain, LogKind::Audit]),
            deduplicate_entries in any::<bool>(),
            state in 0..4_u8,
            note in vec(any::<u8>(), 0..100),
        ) {
            let key = record_key(log());
            let record = LogRecord {
                id: log(),
                name: LogName::new(&name).unwrap(),
                origin: Origin::new(&origin).unwrap(),
                created_ms,
                kind,
                secret_check: (kind == LogKind::Audit).then_some(SecretCheck([5; 32])),
                deduplicate_entries: deduplicate_entries && kind == LogKind::Plain,
                state: decode_state(state).unwrap(),
            };
            let value = encode_record(&key, &record);
            prop_assert_eq!(&decode_record(&key, &value).unwrap(), &record);
            reencode_value(&key, value);
            let position = ArchivePosition { size: TreeSize::ZERO, published_ms: created_ms };
            let key = checkpoint_key(log(), position);
            let archived = ArchivedCheckpoint {
                size: position.size,
                published_ms: position.published_ms,
                note: note.into(),
            };
            let value = encode_checkpoint(&key, &archived);
            prop_assert_eq!(&decode_checkpoint(&key, &value).unwrap(), &archived);
            reencode_value(&key, value);
        }

        #[test]
        fn keys_come_back(scope in any::<[u8; 16]>(), key_hash in any::<[u8; 32]>(), number in 0..1_u64 << 62, ms in any::<u64>()) {
            let id = DedupId { scope: Scope(scope), key_hash };
            let index = LeafIndex::new(number).unwrap();
            let size = TreeSize::new(number).unwrap();
            let position = ArchivePosition { size, published_ms: ms };
            let leaf = Hash::from(key_hash);
            let tile = TileCoord { level: 3, index: number };
            let read = |family, key: &[u8]| decode_key(family, key).unwrap();
            prop_assert_eq!(read(Family::Index, &dedup_key(log(), &id)), Key::Dedup(log(), id));
            prop_assert_eq!(read(Family::Index, &producer_key(log(), &ProducerId(scope))), Key::Producer(log(), ProducerId(scope)));
            prop_assert_eq!(read(Family::Index, &indexed_to_key(log())), Key::IndexedTo(log()));
            prop_assert_eq!(read(Family::Entries, &entry_key(log(), index)), Key::Entry(log(), index));
            let attachment = attachment_key(log(), index, scope[0]);
            prop_assert_eq!(read(Family::Attachments, &attachment), Key::Attachment(log(), index, scope[0]));
            prop_assert_eq!(read(Family::Meta, &unpurged_key(log(), index)), Key::Unpurged(log(), index));
            prop_assert_eq!(read(Family::Tiles, &tile_key(log(), tile)), Key::Tile(log(), tile));
            prop_assert_eq!(read(Family::Meta, &checkpoint_key(log(), position)), Key::Checkpoint(log(), position));
            let mut prefix = [0; 16];
            prefix.copy_from_slice(&key_hash[..16]);
            prop_assert_eq!(read(Family::Index, &leaf_key(log(), &leaf, index)), Key::Leaf(log(), prefix, index));
        }
    }
}
