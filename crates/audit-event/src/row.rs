//! Values of the rows that a store keeps beside an entry. All integers are big-endian.
//!
//! ```text
//! block     01 ‖ key id u32 (0: not encrypted) ‖ salt 16 ‖ bytes
//! erased    02 ‖ time_ns u64 ‖ index u64 of the `privacy.erased` event in the same log
//! once-only index u64 ‖ leaf hash 32 ‖ content digest 32; after an erasure without the digest
//! ```

use merkle::{Hash, LeafIndex};

use crate::commit::Salt;
use crate::keys::ContentDigest;

const KEPT: u8 = 1;
const ERASED: u8 = 2;

/// Why a stored value is damage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RowError {
    /// Another version than these two.
    #[error("a row has the unknown version {found}")]
    Version {
        /// The first byte.
        found: u8,
    },
    /// Another length than the form has.
    #[error("a row of {found} bytes is of no known length")]
    Length {
        /// Bytes found.
        found: usize,
    },
    /// An index that no tree has.
    #[error("a row holds an index that no tree has")]
    Index,
}

/// The row of a block. Erasure is the one change that it ever sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BlockRow {
    /// The block and its salt.
    Kept {
        /// Which key the bytes are encrypted with; 0: none.
        key_id: u32,
        /// The salt of the commitment.
        salt: Salt,
        /// The block, as bytes that are committed to or encrypted.
        bytes: Vec<u8>,
    },
    /// What an erasure left.
    Erased {
        /// When, in nanoseconds since the Unix epoch.
        time_ns: u64,
        /// The `privacy.erased` event in the same log.
        by: LeafIndex,
    },
}

impl BlockRow {
    /// The bytes of the value; [`BlockRow::decode`] gives the same row back.
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Kept { key_id, salt, bytes } => {
                [&[KEPT], &key_id.to_be_bytes()[..], salt.as_bytes(), bytes].concat()
            }
            Self::Erased { time_ns, by } => {
                [&[ERASED], &time_ns.to_be_bytes()[..], &by.get().to_be_bytes()].concat()
            }
        }
    }

    /// Reads a value.
    pub fn decode(value: &[u8]) -> Result<Self, RowError> {
        let length = RowError::Length { found: value.len() };
        let (version, rest) = value.split_first().ok_or(length)?;
        match *version {
            KEPT => {
                let (key_id, rest) = rest.split_first_chunk().ok_or(length)?;
                let (salt, bytes) = rest.split_first_chunk::<{ Salt::LEN }>().ok_or(length)?;
                let key_id = u32::from_be_bytes(*key_id);
                Ok(Self::Kept { key_id, salt: Salt::from(*salt), bytes: bytes.to_vec() })
            }
            ERASED => {
                let (time, rest) = rest.split_first_chunk().ok_or(length)?;
                let by = index(rest.try_into().map_err(|_| length)?)?;
                Ok(Self::Erased { time_ns: u64::from_be_bytes(*time), by })
            }
            found => Err(RowError::Version { found }),
        }
    }
}

/// The once-only row of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OnceRow {
    /// Where the first event of this key stands.
    pub index: LeafIndex,
    /// Its leaf hash.
    pub leaf: Hash,
    /// Its content; `None` after an erasure: then every retry is a duplicate.
    pub digest: Option<ContentDigest>,
}

impl OnceRow {
    /// The bytes of the value; [`OnceRow::decode`] gives the same row back.
    pub fn encode(&self) -> Vec<u8> {
        let digest = self.digest.as_ref().map_or(&[][..], |digest| &digest.0);
        [&self.index.get().to_be_bytes()[..], self.leaf.as_bytes(), digest].concat()
    }

    /// Reads a value.
    pub fn decode(value: &[u8]) -> Result<Self, RowError> {
        let length = RowError::Length { found: value.len() };
        let (at, rest) = value.split_first_chunk().ok_or(length)?;
        let (leaf, rest) = rest.split_first_chunk::<32>().ok_or(length)?;
        let digest = match rest {
            [] => None,
            digest => Some(ContentDigest(digest.try_into().map_err(|_| length)?)),
        };
        Ok(Self { index: index(*at)?, leaf: Hash::from(*leaf), digest })
    }
}

fn index(bytes: [u8; 8]) -> Result<LeafIndex, RowError> {
    LeafIndex::new(u64::from_be_bytes(bytes)).map_err(|_| RowError::Index)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_blocks_have_two_forms() {
        let by = LeafIndex::new(9).unwrap();
        let kept = BlockRow::Kept { key_id: 7, salt: Salt::from([5; 16]), bytes: b"{}".to_vec() };
        let erased = BlockRow::Erased { time_ns: 3, by };
        for row in [&kept, &erased] {
            assert_eq!(BlockRow::decode(&row.encode()).as_ref(), Ok(row));
        }
        assert_eq!(kept.encode()[..5], [1, 0, 0, 0, 7]);
        let bytes = erased.encode();
        assert_eq!(bytes, [&[2][..], &[0; 7], &[3], &[0; 7], &[9]].concat());
        assert_eq!(BlockRow::decode(&[]), Err(RowError::Length { found: 0 }));
        assert_eq!(BlockRow::decode(&[3]), Err(RowError::Version { found: 3 }));
        assert_eq!(BlockRow::decode(&kept.encode()[..20]), Err(RowError::Length { found: 20 }));
        for other in [&bytes[..16], &[&bytes[..], &[0]].concat()] {
            assert!(matches!(BlockRow::decode(other), Err(RowError::Length { .. })));
        }
        let beyond = [&[2][..], &[0xff; 16]].concat();
        assert_eq!(BlockRow::decode(&beyond), Err(RowError::Index));
    }

    #[test]
    fn once_only_rows_lose_their_digest() {
        let index = LeafIndex::new(1).unwrap();
        let leaf = Hash::from([2; 32]);
        for digest in [Some(ContentDigest([3; 32])), None] {
            let row = OnceRow { index, leaf, digest };
            let bytes = row.encode();
            assert_eq!(OnceRow::decode(&bytes), Ok(row));
            for other in [&bytes[..bytes.len() - 1], &[&bytes[..], &[0]].concat()] {
                assert!(matches!(OnceRow::decode(other), Err(RowError::Length { .. })));
            }
        }
        assert_eq!(OnceRow::decode(&[0xff; 40]), Err(RowError::Index));
    }
}
