//! The rows of attachments, and of erasures whose bytes may still be in files.

use bytes::Bytes;
use merkle::LeafIndex;

use super::super::{Attachment, Beside, Corrupt, Erasure, Family, LogId, RowFault, Unpurged};
use super::fields::{Fields, seal};
use super::{Key, ROW_VERSION, corrupt, decode_key};

/// The version byte of a tombstone.
const TOMBSTONE_VERSION: u8 = 2;

/// What the keys of [`unpurged_key`] begin with.
pub const UNPURGED_PREFIX: [u8; 5] = [0xff, 0xff, 0xff, 0xff, b'e'];

/// The key of the row that says that an erasure's bytes may still be in files.
pub fn unpurged_key(log: LogId, by: LeafIndex) -> [u8; 17] {
    let mut key = [0; 17];
    key[..5].copy_from_slice(&UNPURGED_PREFIX);
    key[5..9].copy_from_slice(&log.get().to_be_bytes());
    key[9..].copy_from_slice(&by.get().to_be_bytes());
    key
}

/// Writes an attachment's value over `out`.
pub fn encode_attachment(key: &[u8], attachment: &Attachment, out: &mut Vec<u8>) {
    out.clear();
    out.push(ROW_VERSION);
    out.extend_from_slice(&attachment.key_id.to_be_bytes());
    out.extend_from_slice(&attachment.bytes);
    seal(key, out);
}

/// The value that takes an attachment's place when it is erased.
pub fn encode_tombstone(key: &[u8], time_ns: u64, by: LeafIndex) -> Vec<u8> {
    let mut value = vec![TOMBSTONE_VERSION];
    value.extend_from_slice(&time_ns.to_be_bytes());
    value.extend_from_slice(&by.get().to_be_bytes());
    seal(key, &mut value);
    value
}

/// Reads an attachment or its tombstone. The bytes share memory with `value`.
pub fn decode_beside(key: &[u8], value: &Bytes) -> Result<Beside, Corrupt> {
    let mut rest = Fields::sealed(Family::Attachments, key, value)?;
    let Key::Attachment(_, _, kind) = decode_key(Family::Attachments, key)? else {
        return Err(corrupt(Family::Attachments, key, RowFault::UnknownKey));
    };
    match rest.byte()? {
        ROW_VERSION => {
            let key_id = u32::from_be_bytes(rest.array()?);
            let bytes = value.slice_ref(rest.rest);
            if bytes.is_empty() || bytes.len() > Attachment::LEN_MAX {
                return Err(rest.length());
            }
            Ok(Beside::Kept(Attachment { kind, key_id, bytes }))
        }
        TOMBSTONE_VERSION => {
            let time_ns = rest.u64()?;
            let by = rest.leaf_index("index")?;
            rest.end()?;
            Ok(Beside::Erased { kind, time_ns, by })
        }
        found => Err(corrupt(Family::Attachments, key, RowFault::Version { found })),
    }
}

/// The value of the row that says that the bytes of an erasure may still be in files.
pub fn encode_unpurged(key: &[u8], entries: impl Iterator<Item = LeafIndex>) -> Vec<u8> {
    let mut value = vec![ROW_VERSION];
    for index in entries {
        value.extend_from_slice(&index.get().to_be_bytes());
    }
    seal(key, &mut value);
    value
}

/// Reads which erasure's bytes may still be in files.
pub fn decode_unpurged(key: &[u8], value: &[u8]) -> Result<Unpurged, Corrupt> {
    let Key::Unpurged(log, by) = decode_key(Family::Meta, key)? else {
        return Err(corrupt(Family::Meta, key, RowFault::UnknownKey));
    };
    let mut rest = Fields::sealed(Family::Meta, key, value)?;
    rest.version()?;
    let mut entries: Vec<LeafIndex> = Vec::new();
    while !rest.rest.is_empty() {
        let index = rest.leaf_index("index")?;
        if entries.last().is_some_and(|last| *last >= index) || index >= by {
            return Err(rest.field("index"));
        }
        entries.push(index);
    }
    if !(1..=Erasure::TARGETS_MAX).contains(&entries.len()) {
        return Err(rest.length());
    }
    Ok(Unpurged { log, by, entries })
}
