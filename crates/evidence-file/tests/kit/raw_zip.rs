//! Zip archives byte by byte, so that every field can be wrong.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::DeflateEncoder;

use super::Files;

/// An archive before it is written.
#[derive(Debug, Clone)]
pub struct RawZip {
    pub entries: Vec<RawEntry>,
    /// Bytes in front of everything.
    pub prefix: Vec<u8>,
    /// Bytes between the last entry and the directory.
    pub before_directory: Vec<u8>,
    /// Bytes between the directory and its end record.
    pub behind_directory: Vec<u8>,
    pub comment: Vec<u8>,
    /// Bytes behind everything.
    pub suffix: Vec<u8>,
    /// Whether the end has a ZIP64 record; then this is added to the size of the directory in it.
    pub end_64: Option<u64>,
    /// Entries of the directory, by their place among the entries.
    pub directory: Vec<usize>,
    /// Added to the number of entries in the end record.
    pub count_more: u16,
    /// The number of entries on this disk, where it is not that of all.
    pub count_here: Option<u16>,
}

/// An entry with what its headers say of it.
#[derive(Debug, Clone)]
pub struct RawEntry {
    pub data: Vec<u8>,
    pub local: Header,
    pub central: Header,
    /// Bytes in front of the local header.
    pub gap: Vec<u8>,
    /// The bytes behind the data.
    pub descriptor: Vec<u8>,
    pub comment: Vec<u8>,
    pub attributes: u32,
    /// Added to the offset in the directory.
    pub offset_more: u32,
}

#[derive(Debug, Clone, Default)]
pub struct Header {
    pub name: Vec<u8>,
    pub flags: u16,
    pub method: u16,
    pub time: u32,
    pub crc: u32,
    pub packed: u64,
    pub size: u64,
    pub extra: Vec<u8>,
    /// Sizes stand in the ZIP64 field. In the directory the offset does too.
    pub is_64: bool,
}

impl RawZip {
    /// The archive that the files make, stored.
    pub fn of(files: &Files) -> Self {
        let entries: Vec<RawEntry> = files.iter().map(|it| RawEntry::of(it.0, it.1)).collect();
        Self {
            directory: (0..entries.len()).collect(),
            entries,
            prefix: vec![],
            before_directory: vec![],
            behind_directory: vec![],
            comment: vec![],
            suffix: vec![],
            end_64: None,
            count_more: 0,
            count_here: None,
        }
    }

    /// The entry of a name.
    pub fn entry(&mut self, name: &str) -> &mut RawEntry {
        self.entries.iter_mut().find(|it| it.central.name == name.as_bytes()).unwrap()
    }

    pub fn bytes(&self) -> Vec<u8> {
        let mut out = self.prefix.clone();
        let mut offsets = Vec::new();
        for entry in &self.entries {
            out.extend_from_slice(&entry.gap);
            offsets.push(number(out.len()));
            entry.push_local(&mut out);
        }
        out.extend_from_slice(&self.before_directory);
        let start = number(out.len());
        for at in &self.directory {
            self.entries[*at].push_central(offsets[*at], &mut out);
        }
        let size = number(out.len()) - start;
        out.extend_from_slice(&self.behind_directory);
        let count = u16::try_from(self.directory.len()).unwrap() + self.count_more;
        if let Some(more) = self.end_64 {
            let at = number(out.len());
            put(&mut out, 4, 0x0606_4b50);
            put(&mut out, 8, 44);
            put(&mut out, 4, 0x002d_002d);
            put(&mut out, 8, 0);
            for value in [count.into(), count.into(), size + more, start] {
                put(&mut out, 8, value);
            }
            put(&mut out, 4, 0x0706_4b50);
            put(&mut out, 4, 0);
            put(&mut out, 8, at);
            put(&mut out, 4, 1);
        }
        let is_64 = self.end_64.is_some();
        put(&mut out, 4, 0x0605_4b50);
        put(&mut out, 4, 0);
        let stated = if is_64 { 0xffff } else { count };
        put(&mut out, 2, self.count_here.unwrap_or(stated).into());
        put(&mut out, 2, stated.into());
        for value in [size, start] {
            put(&mut out, 4, if is_64 { 0xffff_ffff } else { value });
        }
        put(&mut out, 2, number(self.comment.len()));
        out.extend_from_slice(&self.comment);
        out.extend_from_slice(&self.suffix);
        out
    }
}

impl RawEntry {
    pub fn of(name: &str, bytes: &[u8]) -> Self {
        let header = Header {
            name: name.as_bytes().to_vec(),
            crc: crc32fast::hash(bytes),
            packed: number(bytes.len()),
            size: number(bytes.len()),
            time: 0x5c64_4a2b,
            ..Header::default()
        };
        Self {
            data: bytes.to_vec(),
            local: header.clone(),
            central: header,
            gap: vec![],
            descriptor: vec![],
            comment: vec![],
            attributes: 0,
            offset_more: 0,
        }
    }

    /// Changes both headers.
    pub fn both(&mut self, change: impl Fn(&mut Header)) {
        change(&mut self.local);
        change(&mut self.central);
    }

    /// Packs the data.
    pub fn deflate(&mut self) {
        let mut packer = DeflateEncoder::new(Vec::new(), Compression::default());
        packer.write_all(&self.data).unwrap();
        self.data = packer.finish().unwrap();
        let length = number(self.data.len());
        self.both(|header| {
            header.method = 8;
            header.packed = length;
        });
    }

    /// Puts checksum and sizes behind the data.
    pub fn describe(&mut self, signed: bool, size_bytes: usize) {
        let header = self.central.clone();
        self.both(|header| header.flags |= 8);
        (self.local.crc, self.local.packed, self.local.size) = (0, 0, 0);
        if signed {
            put(&mut self.descriptor, 4, 0x0807_4b50);
        }
        put(&mut self.descriptor, 4, header.crc.into());
        put(&mut self.descriptor, size_bytes, header.packed);
        put(&mut self.descriptor, size_bytes, header.size);
    }

    fn push_local(&self, out: &mut Vec<u8>) {
        let extra = self.local.extra_with(None);
        put(out, 4, 0x0403_4b50);
        put(out, 2, 45);
        self.local.push(&extra, out);
        out.extend_from_slice(&self.local.name);
        out.extend_from_slice(&extra);
        out.extend_from_slice(&self.data);
        out.extend_from_slice(&self.descriptor);
    }

    fn push_central(&self, offset: u64, out: &mut Vec<u8>) {
        let offset = offset + u64::from(self.offset_more);
        let extra = self.central.extra_with(Some(offset));
        put(out, 4, 0x0201_4b50);
        put(out, 4, 0x002d_031e);
        self.central.push(&extra, out);
        put(out, 2, number(self.comment.len()));
        put(out, 4, 0);
        put(out, 4, self.attributes.into());
        put(out, 4, if self.central.is_64 { 0xffff_ffff } else { offset });
        out.extend_from_slice(&self.central.name);
        out.extend_from_slice(&extra);
        out.extend_from_slice(&self.comment);
    }
}

impl Header {
    fn extra_with(&self, offset: Option<u64>) -> Vec<u8> {
        let mut extra = self.extra.clone();
        if self.is_64 {
            put(&mut extra, 2, 1);
            put(&mut extra, 2, if offset.is_some() { 24 } else { 16 });
            [Some(self.size), Some(self.packed), offset]
                .into_iter()
                .flatten()
                .for_each(|it| put(&mut extra, 8, it));
        }
        extra
    }

    /// Both headers have these fields in a row.
    fn push(&self, extra: &[u8], out: &mut Vec<u8>) {
        put(out, 2, self.flags.into());
        put(out, 2, self.method.into());
        put(out, 4, self.time.into());
        put(out, 4, self.crc.into());
        for size in [self.packed, self.size] {
            put(out, 4, if self.is_64 { 0xffff_ffff } else { size });
        }
        put(out, 2, number(self.name.len()));
        put(out, 2, number(extra.len()));
    }
}

fn put(out: &mut Vec<u8>, bytes: usize, value: u64) {
    out.extend_from_slice(&value.to_le_bytes()[..bytes]);
}

fn number(length: usize) -> u64 {
    u64::try_from(length).unwrap()
}
