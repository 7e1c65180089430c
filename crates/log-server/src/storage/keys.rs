//! The layout on disk, version 1. All integers are big-endian; `log` is a log's number, 4 bytes.
//!
//! ```text
//! family   key                               value
//! entries  log ‖ index 8                     01 ‖ key length 1 [‖ scope 16 ‖ key] ‖ entry
//! tiles    log ‖ level 1 ‖ index 8           256 hashes of 32 bytes
//! index    log ‖ 'd' ‖ scope 16 ‖ SHA-256    01 ‖ index 8 ‖ leaf hash 32
//! index    log ‖ 'p' ‖ producer 16           01 ‖ last sequence 8 ‖ last index 8 ‖ CRC 4
//! index    log ‖ 'l' ‖ leaf hash 16 ‖ index 8  (empty)
//! index    log ‖ 'i'                         01 ‖ indexed size 8 ‖ CRC 4
//! meta     log ‖ 'h'                         01 ‖ size 8 ‖ root 32 ‖ time 8 ‖ epoch 4 ‖ CRC 4
//! meta     log ‖ 'r'                         01 ‖ flags 1 ‖ state 1 ‖ created 8
//!                                               ‖ length 1 ‖ name ‖ length 1 ‖ origin ‖ CRC 4
//! meta     log ‖ 'c' ‖ size 8 ‖ time 8       01 ‖ note ‖ CRC 4
//! meta     ff ff ff ff ‖ 'v'                 layout version 1
//! ```
//!
//! CRC is CRC-32 (IEEE) of the key and the value before it. It stands where no hash of the tree and no
//! other row would show a changed bit. Times are milliseconds since the Unix epoch. Decoding is strict: a
//! row that this page does not describe is [`Corrupt`], never ignored.

use bytes::Bytes;
use checkpoint::Origin;
use merkle::tile::TileCoord;
use merkle::{Hash, LeafIndex, TreeSize};

use super::{
    ArchivePosition, ArchivedCheckpoint, Corrupt, DedupId, DedupKey, DedupRow, Family, FullTile,
    LogId, LogName, LogRecord, LogState, ProducerId, ProducerRow, RowFault, RowKey, Scope,
    StoredEntry, StoredHead,
};

/// The version of the whole layout.
pub const LAYOUT_VERSION: u8 = 1;

/// The key of the layout row.
pub const LAYOUT_KEY: [u8; 5] = [0xff, 0xff, 0xff, 0xff, b'v'];

/// Bytes of a tile's value.
pub const TILE_BYTES: usize = 256 * Hash::LEN;

/// The version byte of every row that has one.
const ROW_VERSION: u8 = 1;
/// Bit 0 of a record's flags.
const FLAG_DEDUPLICATE_ENTRIES: u8 = 1;
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
    let unknown = || corrupt(family, key, RowFault::UnknownKey);
    let mut rest = Fields::new(family, key, key);
    let log = LogId::new(u32::from_be_bytes(rest.array()?)).ok_or_else(unknown)?;
    let decoded = match family {
        Family::Entries => Key::Entry(log, rest.leaf_index("index")?),
        Family::Tiles => {
            let level = rest.byte()?;
            let index = rest.u64()?;
            Key::Tile(log, TileCoord { level, index })
        }
        Family::Index => match rest.byte()? {
            b'd' => {
                let scope = Scope(rest.array()?);
                let key_hash = rest.array()?;
                Key::Dedup(log, DedupId { scope, key_hash })
            }
            b'p' => Key::Producer(log, ProducerId(rest.array()?)),
            b'l' => Key::Leaf(log, rest.array()?, rest.leaf_index("index")?),
            b'i' => Key::IndexedTo(log),
            _ => return Err(unknown()),
        },
        Family::Meta => match rest.byte()? {
            b'h' => Key::Head(log),
            b'r' => Key::Record(log),
            b'c' => {
                let size = rest.tree_size("size")?;
                let published_ms = rest.u64()?;
                Key::Checkpoint(log, ArchivePosition { size, published_ms })
            }
            _ => return Err(unknown()),
        },
    };
    rest.end()?;
    Ok(decoded)
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
    Ok(StoredEntry { dedup, data })
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

/// A deduplication row's value.
pub fn encode_dedup(row: &DedupRow) -> [u8; 41] {
    let mut value = [0; 41];
    value[0] = ROW_VERSION;
    value[1..9].copy_from_slice(&row.index.get().to_be_bytes());
    value[9..].copy_from_slice(row.leaf.as_bytes());
    value
}

/// Reads a deduplication row.
pub fn decode_dedup(key: &[u8], value: &[u8]) -> Result<DedupRow, Corrupt> {
    let mut rest = Fields::new(Family::Index, key, value);
    rest.version()?;
    let index = rest.leaf_index("index")?;
    let leaf = rest.hash()?;
    rest.end()?;
    Ok(DedupRow { index, leaf })
}

/// A producer row's value.
pub fn encode_producer(key: &[u8], row: &ProducerRow) -> Vec<u8> {
    let mut value = vec![ROW_VERSION];
    value.extend_from_slice(&row.last_sequence.to_be_bytes());
    value.extend_from_slice(&row.last_index.get().to_be_bytes());
    seal(key, value)
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
    seal(key, value)
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
    seal(key, value)
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

/// A log record's value.
pub fn encode_record(key: &[u8], record: &LogRecord) -> Vec<u8> {
    let flags = if record.deduplicate_entries { FLAG_DEDUPLICATE_ENTRIES } else { 0 };
    let mut value = vec![ROW_VERSION, flags, encode_state(record.state)];
    value.extend_from_slice(&record.created_ms.to_be_bytes());
    for text in [record.name.as_str(), record.origin.as_str()] {
        value.push(u8::try_from(text.len()).expect("names and origins have at most 255 bytes"));
        value.extend_from_slice(text.as_bytes());
    }
    seal(key, value)
}

/// Reads a log's record.
pub fn decode_record(key: &[u8], value: &[u8]) -> Result<LogRecord, Corrupt> {
    let mut rest = Fields::sealed(Family::Meta, key, value)?;
    rest.version()?;
    let deduplicate_entries = match rest.byte()? {
        0 => false,
        FLAG_DEDUPLICATE_ENTRIES => true,
        _ => return Err(rest.field("flags")),
    };
    let state = decode_state(rest.byte()?).ok_or_else(|| rest.field("state"))?;
    let created_ms = rest.u64()?;
    let name = LogName::new(rest.text("name")?).map_err(|_| rest.field("name"))?;
    let origin = rest.text("origin")?;
    let origin = Origin::new(origin).map_err(|_| rest.field("origin"))?;
    rest.end()?;
    let Key::Record(id) = decode_key(Family::Meta, key)? else {
        return Err(corrupt(Family::Meta, key, RowFault::UnknownKey));
    };
    Ok(LogRecord { id, name, origin, created_ms, deduplicate_entries, state })
}

/// An archived checkpoint's value.
pub fn encode_checkpoint(key: &[u8], checkpoint: &ArchivedCheckpoint) -> Vec<u8> {
    let mut value = Vec::with_capacity(checkpoint.note.len() + 5);
    value.push(ROW_VERSION);
    value.extend_from_slice(&checkpoint.note);
    seal(key, value)
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

fn encode_state(state: LogState) -> u8 {
    match state {
        LogState::Active => 0,
        LogState::Draining => 1,
        LogState::Frozen => 2,
        LogState::Retired => 3,
    }
}

fn decode_state(byte: u8) -> Option<LogState> {
    match byte {
        0 => Some(LogState::Active),
        1 => Some(LogState::Draining),
        2 => Some(LogState::Frozen),
        3 => Some(LogState::Retired),
        _ => None,
    }
}

/// Appends the checksum of key and value.
fn seal(key: &[u8], mut value: Vec<u8>) -> Vec<u8> {
    let crc = checksum(key, &value);
    value.extend_from_slice(&crc);
    value
}

fn checksum(key: &[u8], value: &[u8]) -> [u8; 4] {
    let mut crc = crc32fast::Hasher::new();
    crc.update(key);
    crc.update(value);
    crc.finalize().to_be_bytes()
}

/// Takes a row's fields off its front; every error names the row.
struct Fields<'a> {
    family: Family,
    key: &'a [u8],
    len: usize,
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    fn new(family: Family, key: &'a [u8], value: &'a [u8]) -> Self {
        Self { family, key, len: value.len(), rest: value }
    }

    /// The fields before the checksum, once that has been checked.
    fn sealed(family: Family, key: &'a [u8], value: &'a [u8]) -> Result<Self, Corrupt> {
        let mut fields = Self::new(family, key, value);
        let (front, crc) = value.split_last_chunk::<4>().ok_or_else(|| fields.length())?;
        if *crc != checksum(key, front) {
            return Err(corrupt(family, key, RowFault::Checksum));
        }
        fields.rest = front;
        Ok(fields)
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], Corrupt> {
        let (taken, rest) = self.rest.split_at_checked(len).ok_or_else(|| self.length())?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Corrupt> {
        let (taken, rest) = self.rest.split_first_chunk::<N>().ok_or_else(|| self.length())?;
        self.rest = rest;
        Ok(*taken)
    }

    fn byte(&mut self) -> Result<u8, Corrupt> {
        self.array::<1>().map(|[byte]| byte)
    }

    fn u64(&mut self) -> Result<u64, Corrupt> {
        self.array().map(u64::from_be_bytes)
    }

    fn hash(&mut self) -> Result<Hash, Corrupt> {
        self.array::<32>().map(Hash::from)
    }

    fn leaf_index(&mut self, field: &'static str) -> Result<LeafIndex, Corrupt> {
        LeafIndex::new(self.u64()?).map_err(|_| self.field(field))
    }

    fn tree_size(&mut self, field: &'static str) -> Result<TreeSize, Corrupt> {
        TreeSize::new(self.u64()?).map_err(|_| self.field(field))
    }

    fn text(&mut self, field: &'static str) -> Result<&'a str, Corrupt> {
        let len = usize::from(self.byte()?);
        std::str::from_utf8(self.take(len)?).map_err(|_| self.field(field))
    }

    fn version(&mut self) -> Result<(), Corrupt> {
        match self.byte()? {
            ROW_VERSION => Ok(()),
            found => Err(corrupt(self.family, self.key, RowFault::Version { found })),
        }
    }

    fn end(&self) -> Result<(), Corrupt> {
        if self.rest.is_empty() { Ok(()) } else { Err(self.length()) }
    }

    fn length(&self) -> Corrupt {
        corrupt(self.family, self.key, RowFault::Length { found: self.len })
    }

    fn field(&self, field: &'static str) -> Corrupt {
        corrupt(self.family, self.key, RowFault::Field { field })
    }
}
