//! Records of an archive, as far as bytes alone decide.

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::as_conversions)]

use super::{CENTRAL, CENTRAL_BYTES, DESCRIBED, DESCRIPTOR, LOCAL, UTF_8, ZIP64, ZipError};
use crate::container::is_known;

/// What is left of a record.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bytes<'a>(pub(super) &'a [u8]);

impl<'a> Bytes<'a> {
    pub(super) fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*taken)
    }

    pub(super) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }
}

/// An entry as the directory describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) flags: u16,
    pub(super) is_deflated: bool,
    pub(super) crc: u32,
    pub(super) packed: u64,
    pub(super) size: u64,
    /// Where its local header begins.
    pub(super) offset: u64,
}

impl Entry {
    pub(super) fn has_descriptor(&self) -> bool {
        self.flags & DESCRIPTOR != 0
    }
}

/// Takes the next header of a directory.
pub(super) fn central(bytes: &mut Bytes<'_>) -> Result<Entry, ZipError> {
    let header = bytes.take(CENTRAL_BYTES).ok_or(ZipError::Directory)?;
    let raw = RawCentral::read(Bytes(header)).ok_or(ZipError::Directory)?;
    let name = bytes.take(raw.name.into()).ok_or(ZipError::Directory)?;
    let extra = bytes.take(raw.extra.into()).ok_or(ZipError::Directory)?;
    let name = String::from_utf8_lossy(name).into_owned();
    if !is_known(&name) {
        return Err(ZipError::Unknown { name });
    }
    if let Some(what) = raw.refused() {
        return Err(ZipError::Form { name, what });
    }
    let Some((size, packed, offset)) = raw.places(extra) else {
        return Err(ZipError::Header { name });
    };
    let is_deflated = raw.method == 8;
    if !is_deflated && packed != size {
        return Err(ZipError::Size { name });
    }
    Ok(Entry { name, flags: raw.flags, is_deflated, crc: raw.crc, packed, size, offset })
}

struct RawCentral {
    flags: u16,
    method: u16,
    crc: u32,
    packed: u32,
    size: u32,
    name: u16,
    extra: u16,
    comment: u16,
    attributes: u32,
    offset: u32,
}

impl RawCentral {
    fn read(mut header: Bytes<'_>) -> Option<Self> {
        if header.u32()? != CENTRAL {
            return None;
        }
        let _versions = header.u32()?;
        let (flags, method) = (header.u16()?, header.u16()?);
        let _time = header.u32()?;
        let (crc, packed, size) = (header.u32()?, header.u32()?, header.u32()?);
        let (name, extra, comment) = (header.u16()?, header.u16()?, header.u16()?);
        let _disk_and_kind = header.u32()?;
        let (attributes, offset) = (header.u32()?, header.u32()?);
        Some(Self { flags, method, crc, packed, size, name, extra, comment, attributes, offset })
    }

    /// What makes it an entry that is not read here.
    fn refused(&self) -> Option<&'static str> {
        // The upper half holds the mode of Unix, whose upper four bits say what kind of file it is.
        let kind = self.attributes >> 28;
        if self.flags & !(DESCRIPTOR | UTF_8) != 0 {
            Some("its flags")
        } else if !matches!(self.method, 0 | 8) {
            Some("its method")
        } else if self.comment != 0 {
            Some("a comment")
        } else if !matches!(kind, 0 | 8) {
            Some("not a regular file")
        } else {
            None
        }
    }

    /// Size, packed size and offset. Those that do not fit stand in the extra field, in this order.
    fn places(&self, extra: &[u8]) -> Option<(u64, u64, u64)> {
        if [self.size, self.packed, self.offset].iter().all(|it| *it != u32::MAX) {
            return Some((self.size.into(), self.packed.into(), self.offset.into()));
        }
        let mut large = zip64(extra)?;
        let mut value = |small: u32| {
            if small == u32::MAX { large.u64() } else { Some(u64::from(small)) }
        };
        Some((value(self.size)?, value(self.packed)?, value(self.offset)?))
    }
}

/// The one ZIP64 field among extra fields.
fn zip64(extra: &[u8]) -> Option<Bytes<'_>> {
    let (mut rest, mut found) = (Bytes(extra), None);
    while !rest.0.is_empty() {
        let (kind, length) = (rest.u16()?, rest.u16()?);
        let field = rest.take(length.into())?;
        if kind == ZIP64 && found.replace(Bytes(field)).is_some() {
            return None;
        }
    }
    found
}

/// The lengths of name and extra fields of a local header of 30 bytes.
pub(super) fn local_lengths(header: &[u8]) -> Option<(u16, u16)> {
    let mut tail = Bytes(header.get(26..)?);
    Some((tail.u16()?, tail.u16()?))
}

/// Whether a local header says what the directory says. Where a descriptor follows, it says checksum
/// and sizes.
pub(super) fn local_agrees(header: &[u8], name: &[u8], extra: &[u8], entry: &Entry) -> bool {
    let agrees = |mut header: Bytes<'_>| {
        let signature = header.u32()?;
        let _version = header.u16()?;
        let (flags, method) = (header.u16()?, header.u16()?);
        let _time = header.u32()?;
        let (crc, packed, size) = (header.u32()?, header.u32()?, header.u32()?);
        let method_of_entry = if entry.is_deflated { 8 } else { 0 };
        let is_same = signature == LOCAL
            && (flags, method) == (entry.flags, method_of_entry)
            && name == entry.name.as_bytes();
        if entry.has_descriptor() || !is_same {
            return Some(is_same);
        }
        let (mut sizes, stated) = ((u64::from(size), u64::from(packed)), crc);
        if size == u32::MAX || packed == u32::MAX {
            let mut large = zip64(extra)?;
            let (size_64, packed_64) = (large.u64()?, large.u64()?);
            sizes.0 = if size == u32::MAX { size_64 } else { sizes.0 };
            sizes.1 = if packed == u32::MAX { packed_64 } else { sizes.1 };
        }
        Some(stated == entry.crc && sizes == (entry.size, entry.packed))
    };
    agrees(Bytes(header)).unwrap_or(false)
}

/// Whether the bytes between the data and what follows are a descriptor that says what the directory
/// says. Its signature may lack; its sizes have 4 bytes or 8.
pub(super) fn descriptor_agrees(bytes: &[u8], entry: &Entry) -> bool {
    let agrees = |mut rest: Bytes<'_>| {
        if matches!(bytes.len(), 16 | 24) && rest.u32()? != DESCRIBED {
            return None;
        }
        let crc = rest.u32()?;
        let (packed, size) = if rest.0.len() == 8 {
            (u64::from(rest.u32()?), u64::from(rest.u32()?))
        } else {
            (rest.u64()?, rest.u64()?)
        };
        let is_whole = rest.0.is_empty();
        Some(is_whole && (crc, packed, size) == (entry.crc, entry.packed, entry.size))
    };
    agrees(Bytes(bytes)).unwrap_or(false)
}
