//! Opening an archive: every record is read and compared before any data is.

use std::collections::BTreeMap;
use std::io::{self, Read, Seek};

use audit_event::evidence::FILES_MAX;

use super::data::EntryReader;
use super::directory::{self, Bytes, Entry};
use super::{
    DIRECTORY_BYTES_MAX, END, END_64, END_64_BYTES, END_BYTES, LOCAL_BYTES, LOCATOR_64,
    LOCATOR_64_BYTES, ZipError,
};
use crate::section::Section;

/// Why an archive was not opened.
#[derive(Debug, thiserror::Error)]
pub enum ZipReadError {
    /// The archive is not of the one form.
    #[error(transparent)]
    Zip(#[from] ZipError),
    /// The system did not give its bytes.
    #[error("the archive cannot be read")]
    Io(#[from] io::Error),
}

/// An archive whose records agree with each other. Data is checked while it is read.
#[derive(Debug)]
pub struct Zip<R> {
    archive: Section<R>,
    entries: BTreeMap<String, Placed>,
}

#[derive(Debug)]
struct Placed {
    entry: Entry,
    /// Where its data begins.
    data: u64,
}

/// Where the directory lies.
struct Directory {
    start: u64,
    end: u64,
    entries: u64,
}

impl<R: Read + Seek> Zip<R> {
    /// Opens an archive.
    pub fn open(source: R) -> Result<Self, ZipReadError> {
        let archive = Section::whole(source)?;
        let directory = find_directory(&archive)?;
        let entries = read_directory(&archive, &directory)?;
        let entries = place(&archive, entries, directory.start)?;
        Ok(Self { archive, entries })
    }

    /// The names of its entries, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.keys().map(|name| &**name)
    }

    /// A reader of an entry, which fails at its end if size or checksum are not as stated.
    pub fn reader(&self, name: &str) -> Option<EntryReader<R>> {
        let placed = self.entries.get(name)?;
        let packed = self.archive.part(placed.data, placed.entry.packed);
        Some(EntryReader::new(&packed, &placed.entry))
    }

    /// The bytes of an entry that is stored as it is.
    pub(crate) fn section(&self, name: &str) -> Option<Section<R>> {
        let placed = self.entries.get(name).filter(|placed| !placed.entry.is_deflated)?;
        Some(self.archive.part(placed.data, placed.entry.packed))
    }
}

fn find_directory<R: Read + Seek>(archive: &Section<R>) -> Result<Directory, ZipReadError> {
    let end_at = archive.bytes().checked_sub(END_BYTES).ok_or(ZipError::End)?;
    let mut end = [0; 22];
    archive.read_exact_at(end_at, &mut end)?;
    let stated = read_end(Bytes(&end)).ok_or(ZipError::End)?;
    let directory = match find_end_64(archive, end_at)? {
        None => {
            Directory { start: stated.offset.into(), end: end_at, entries: stated.entries.into() }
        }
        Some((directory, size)) => {
            let agrees = |small: u64, most: u64, large: u64| small == large || small == most;
            let (most_16, most_32) = (u16::MAX.into(), u32::MAX.into());
            let same = agrees(stated.entries.into(), most_16, directory.entries)
                && agrees(stated.size.into(), most_32, size)
                && agrees(stated.offset.into(), most_32, directory.start);
            return if same { Ok(directory) } else { Err(ZipError::End64.into()) };
        }
    };
    let is_whole = directory.start.checked_add(stated.size.into()) == Some(directory.end);
    if is_whole { Ok(directory) } else { Err(ZipError::Directory.into()) }
}

struct End {
    entries: u16,
    size: u32,
    offset: u32,
}

fn read_end(mut end: Bytes<'_>) -> Option<End> {
    let signature = end.u32()?;
    let _disks = end.u32()?;
    let (here, entries) = (end.u16()?, end.u16()?);
    let (size, offset, comment) = (end.u32()?, end.u32()?, end.u16()?);
    let is_end = signature == END && here == entries && comment == 0;
    is_end.then_some(End { entries, size, offset })
}

/// The directory as the ZIP64 record states it, and its size, if there is such a record.
fn find_end_64<R: Read + Seek>(
    archive: &Section<R>,
    end_at: u64,
) -> Result<Option<(Directory, u64)>, ZipReadError> {
    let Some(locator_at) = end_at.checked_sub(LOCATOR_64_BYTES) else { return Ok(None) };
    let mut locator = [0; 20];
    archive.read_exact_at(locator_at, &mut locator)?;
    if !locator.starts_with(&LOCATOR_64.to_le_bytes()) {
        return Ok(None);
    }
    let stated_at = Bytes(&locator[8..]).u64();
    let record_at = locator_at.checked_sub(END_64_BYTES).ok_or(ZipError::End64)?;
    if stated_at != Some(record_at) {
        return Err(ZipError::End64.into());
    }
    let mut record = [0; 56];
    archive.read_exact_at(record_at, &mut record)?;
    let found = read_end_64(Bytes(&record), record_at);
    Ok(Some(found.ok_or(ZipError::End64)?))
}

fn read_end_64(mut record: Bytes<'_>, record_at: u64) -> Option<(Directory, u64)> {
    let (signature, rest) = (record.u32()?, record.u64()?);
    let _versions_and_disks = (record.u32()?, record.u64()?);
    let (here, entries) = (record.u64()?, record.u64()?);
    let (size, start) = (record.u64()?, record.u64()?);
    let is_end = signature == END_64
        && rest == END_64_BYTES - 12
        && here == entries
        && start.checked_add(size) == Some(record_at);
    is_end.then_some((Directory { start, end: record_at, entries }, size))
}

fn read_directory<R: Read + Seek>(
    archive: &Section<R>,
    directory: &Directory,
) -> Result<Vec<Entry>, ZipReadError> {
    let length = directory.end - directory.start;
    let count = usize::try_from(directory.entries).ok().filter(|count| *count <= FILES_MAX);
    let length = usize::try_from(length).ok().filter(|_| length <= DIRECTORY_BYTES_MAX);
    let (Some(count), Some(length)) = (count, length) else {
        return Err(ZipError::TooManyFiles.into());
    };
    let mut bytes = vec![0; length];
    archive.read_exact_at(directory.start, &mut bytes)?;
    let mut rest = Bytes(&bytes);
    let entries = (0..count).map(|_| directory::central(&mut rest));
    let entries = entries.collect::<Result<Vec<_>, _>>()?;
    if rest.0.is_empty() { Ok(entries) } else { Err(ZipError::Directory.into()) }
}

/// Compares each entry with what lies before and behind its data. Entries must fill the archive up to
/// the directory, none over another.
fn place<R: Read + Seek>(
    archive: &Section<R>,
    mut entries: Vec<Entry>,
    directory_at: u64,
) -> Result<BTreeMap<String, Placed>, ZipReadError> {
    entries.sort_by_key(|entry| entry.offset);
    let ends = entries.iter().skip(1).map(|entry| entry.offset).chain([directory_at]);
    let ends: Vec<u64> = ends.collect();
    let mut begin = 0;
    let mut placed = BTreeMap::new();
    for (entry, end) in entries.into_iter().zip(ends) {
        if entry.offset != begin {
            return Err(ZipError::Place { name: entry.name }.into());
        }
        let data = check_local(archive, &entry, end)?;
        begin = end;
        let name = entry.name.clone();
        if placed.insert(name.clone(), Placed { entry, data }).is_some() {
            return Err(ZipError::Twice { name }.into());
        }
    }
    if begin == directory_at { Ok(placed) } else { Err(ZipError::Directory.into()) }
}

/// Checks what lies around the data of an entry that ends at `end`, and says where its data begins.
fn check_local<R: Read + Seek>(
    archive: &Section<R>,
    entry: &Entry,
    end: u64,
) -> Result<u64, ZipReadError> {
    let misplaced = || ZipError::Place { name: entry.name.clone() };
    let contradicts = || ZipError::Header { name: entry.name.clone() };
    let room = end.checked_sub(entry.offset).ok_or_else(misplaced)?;
    let mut header = [0; 30];
    let names_at =
        if room < LOCAL_BYTES { Err(misplaced()) } else { Ok(entry.offset + LOCAL_BYTES) }?;
    archive.read_exact_at(entry.offset, &mut header)?;
    let (name, extra) = directory::local_lengths(&header).ok_or_else(contradicts)?;
    let data = names_at + u64::from(name) + u64::from(extra);
    let behind = end.checked_sub(data).and_then(|room| room.checked_sub(entry.packed));
    let behind = behind.ok_or_else(misplaced)?;
    let mut tail = vec![0; usize::from(name) + usize::from(extra)];
    archive.read_exact_at(names_at, &mut tail)?;
    let (name, extra) = tail.split_at(usize::from(name));
    if !directory::local_agrees(&header, name, extra, entry) {
        return Err(contradicts().into());
    }
    if !entry.has_descriptor() {
        return if behind == 0 { Ok(data) } else { Err(misplaced().into()) };
    }
    let length = usize::try_from(behind).ok().filter(|it| matches!(it, 12 | 16 | 20 | 24));
    let mut descriptor = vec![0; length.ok_or_else(misplaced)?];
    archive.read_exact_at(data + entry.packed, &mut descriptor)?;
    let agrees = directory::descriptor_agrees(&descriptor, entry);
    if agrees { Ok(data) } else { Err(contradicts().into()) }
}
