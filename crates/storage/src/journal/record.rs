//! One record: 128 bytes, integers big-endian.
//!
//! ```text
//!   0  u8    version = 1
//!   1  u8    kind: 1 head, 2 retired (size, root, time and epoch then are those of the last head)
//!   2  u16   position in the group of records that one sync made durable, from 0
//!   4  u32   epoch
//!   8  u64   sequence: one more than the record before, over both segments, from 1
//!  16  u64   size
//!  24  u64   time, in milliseconds since the Unix epoch
//!  32  [32]  SHA-256 of the origin
//!  64  [32]  root
//!  96  [28]  zero
//! 124  u32   CRC-32 (IEEE) of the 124 bytes before
//! ```

use merkle::{Hash, TreeSize};

/// Bytes of a record.
pub(super) const RECORD_BYTES: usize = 128;
const CRC_AT: usize = RECORD_BYTES - 4;
const VERSION: u8 = 1;

/// A head this server has signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JournalHead {
    /// SHA-256 of the log's origin.
    pub origin_hash: Hash,
    pub size: TreeSize,
    pub root: Hash,
    /// Milliseconds since the Unix epoch.
    pub time_ms: u64,
    pub epoch: u32,
    /// The operator gave the log up at this head: it signs nothing any more.
    pub retired: bool,
}

/// A record as it lies in a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) sequence: u64,
    pub(super) group_position: u16,
    pub(super) head: JournalHead,
}

pub(super) fn encode(record: &Record) -> [u8; RECORD_BYTES] {
    let head = &record.head;
    let mut bytes = [0; RECORD_BYTES];
    bytes[0] = VERSION;
    bytes[1] = if head.retired { 2 } else { 1 };
    bytes[2..4].copy_from_slice(&record.group_position.to_be_bytes());
    bytes[4..8].copy_from_slice(&head.epoch.to_be_bytes());
    bytes[8..16].copy_from_slice(&record.sequence.to_be_bytes());
    bytes[16..24].copy_from_slice(&head.size.get().to_be_bytes());
    bytes[24..32].copy_from_slice(&head.time_ms.to_be_bytes());
    bytes[32..64].copy_from_slice(head.origin_hash.as_bytes());
    bytes[64..96].copy_from_slice(head.root.as_bytes());
    let crc = crc32fast::hash(&bytes[..CRC_AT]);
    bytes[CRC_AT..].copy_from_slice(&crc.to_be_bytes());
    bytes
}

/// The record in these bytes; `None` for anything that is not exactly one.
pub(super) fn decode(bytes: &[u8; RECORD_BYTES]) -> Option<Record> {
    let crc = u32::from_be_bytes(field(bytes, CRC_AT));
    let zero = bytes[96..CRC_AT].iter().all(|byte| *byte == 0);
    if bytes[0] != VERSION || !zero || crc != crc32fast::hash(&bytes[..CRC_AT]) {
        return None;
    }
    let retired = match bytes[1] {
        1 => false,
        2 => true,
        _ => return None,
    };
    let head = JournalHead {
        origin_hash: Hash::from(field(bytes, 32)),
        size: TreeSize::new(u64::from_be_bytes(field(bytes, 16))).ok()?,
        root: Hash::from(field(bytes, 64)),
        time_ms: u64::from_be_bytes(field(bytes, 24)),
        epoch: u32::from_be_bytes(field(bytes, 4)),
        retired,
    };
    let group_position = u16::from_be_bytes(field(bytes, 2));
    Some(Record { sequence: u64::from_be_bytes(field(bytes, 8)), group_position, head })
}

fn field<const N: usize>(bytes: &[u8; RECORD_BYTES], at: usize) -> [u8; N] {
    bytes[at..at + N].try_into().expect("the layout lies within a record")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> Record {
        let head = JournalHead {
            origin_hash: Hash::from([3; 32]),
            size: TreeSize::new(77).unwrap(),
            root: Hash::from([4; 32]),
            time_ms: 1_000,
            epoch: 5,
            retired: false,
        };
        Record { sequence: 9, group_position: 2, head }
    }

    #[test]
    fn records_survive_and_every_flipped_bit_is_found() {
        for retired in [false, true] {
            let mut record = record();
            record.head.retired = retired;
            let bytes = encode(&record);
            assert_eq!(decode(&bytes), Some(record));
            for bit in 0..RECORD_BYTES * 8 {
                let mut flipped = bytes;
                flipped[bit / 8] ^= 1 << (bit % 8);
                assert_eq!(decode(&flipped), None, "bit {bit}");
            }
        }
    }

    /// No record has two forms: with a checksum that fits, every changed bit is another record or
    /// none.
    #[test]
    fn what_decodes_is_what_would_be_written() {
        let bytes = encode(&record());
        let mut decoded = 0;
        for bit in 0..CRC_AT * 8 {
            let mut changed = bytes;
            changed[bit / 8] ^= 1 << (bit % 8);
            let crc = crc32fast::hash(&changed[..CRC_AT]).to_be_bytes();
            changed[CRC_AT..].copy_from_slice(&crc);
            if let Some(record) = decode(&changed) {
                assert_eq!(encode(&record), changed, "bit {bit}");
                decoded += 1;
            }
        }
        assert!(decoded > 96 * 4, "{decoded}: most fields take any bits");
    }

    #[test]
    fn zeros_are_no_record() {
        assert_eq!(decode(&[0; RECORD_BYTES]), None);
    }
}
