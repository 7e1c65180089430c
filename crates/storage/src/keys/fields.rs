//! The fields of a row's value, and the checksum over a row.

use merkle::{Hash, LeafIndex, TreeSize};

use super::super::{Corrupt, Family, RowFault};
use super::{ROW_VERSION, corrupt};

/// Appends the checksum of key and value.
pub(super) fn seal(key: &[u8], value: &mut Vec<u8>) {
    let crc = checksum(key, value);
    value.extend_from_slice(&crc);
}

fn checksum(key: &[u8], value: &[u8]) -> [u8; 4] {
    let mut crc = crc32fast::Hasher::new();
    crc.update(key);
    crc.update(value);
    crc.finalize().to_be_bytes()
}

/// Takes the fields of a row's value, from the front; every error names the row.
pub(super) struct Fields<'a> {
    family: Family,
    key: &'a [u8],
    len: usize,
    pub(super) rest: &'a [u8],
}

impl<'a> Fields<'a> {
    pub(super) fn new(family: Family, key: &'a [u8], value: &'a [u8]) -> Self {
        Self { family, key, len: value.len(), rest: value }
    }

    /// The fields before the checksum, once that has been checked.
    pub(super) fn sealed(family: Family, key: &'a [u8], value: &'a [u8]) -> Result<Self, Corrupt> {
        let mut fields = Self::new(family, key, value);
        let (front, crc) = value.split_last_chunk::<4>().ok_or_else(|| fields.length())?;
        if *crc != checksum(key, front) {
            return Err(corrupt(family, key, RowFault::Checksum));
        }
        fields.rest = front;
        Ok(fields)
    }

    pub(super) fn take(&mut self, len: usize) -> Result<&'a [u8], Corrupt> {
        let (taken, rest) = self.rest.split_at_checked(len).ok_or_else(|| self.length())?;
        self.rest = rest;
        Ok(taken)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], Corrupt> {
        let (taken, rest) = self.rest.split_first_chunk::<N>().ok_or_else(|| self.length())?;
        self.rest = rest;
        Ok(*taken)
    }

    pub(super) fn byte(&mut self) -> Result<u8, Corrupt> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(super) fn u64(&mut self) -> Result<u64, Corrupt> {
        self.array().map(u64::from_be_bytes)
    }

    pub(super) fn hash(&mut self) -> Result<Hash, Corrupt> {
        self.array::<32>().map(Hash::from)
    }

    pub(super) fn leaf_index(&mut self, field: &'static str) -> Result<LeafIndex, Corrupt> {
        LeafIndex::new(self.u64()?).map_err(|_| self.field(field))
    }

    pub(super) fn tree_size(&mut self, field: &'static str) -> Result<TreeSize, Corrupt> {
        TreeSize::new(self.u64()?).map_err(|_| self.field(field))
    }

    pub(super) fn text(&mut self, field: &'static str) -> Result<&'a str, Corrupt> {
        let len = usize::from(self.byte()?);
        std::str::from_utf8(self.take(len)?).map_err(|_| self.field(field))
    }

    pub(super) fn version(&mut self) -> Result<(), Corrupt> {
        match self.byte()? {
            ROW_VERSION => Ok(()),
            found => Err(corrupt(self.family, self.key, RowFault::Version { found })),
        }
    }

    pub(super) fn end(&self) -> Result<(), Corrupt> {
        if self.rest.is_empty() { Ok(()) } else { Err(self.length()) }
    }

    pub(super) fn length(&self) -> Corrupt {
        corrupt(self.family, self.key, RowFault::Length { found: self.len })
    }

    pub(super) fn field(&self, field: &'static str) -> Corrupt {
        corrupt(self.family, self.key, RowFault::Field { field })
    }
}
