//! Entries on disk, in order, while the server is away.
//!
//! A spool is a folder of segment files `<number, 16 hex digits>.seg`, written and removed in order:
//!
//! ```text
//! segment  = "cairnsp" version(1)=1  frame*
//! frame    = length(u32 BE, of payload)  CRC-32(u32 BE, of payload)  payload
//! payload  = key length(u8)  key  entry
//! ```
//!
//! Durability: a push is one `fdatasync` over all its entries, and returns after it. A segment that was
//! sent whole is removed. Positions inside a segment are not kept: after a restart its entries are sent
//! again with the deduplication keys they were stored with, so that the log still has each once.
//!
//! A crash can cut the last segment short. What follows its last whole frame was never acknowledged, and
//! is cut off when the spool is opened. A bad frame anywhere else is damage, and refuses the opening.

use std::{
    collections::VecDeque,
    fs::{File, OpenOptions},
    io::{self, BufReader, ErrorKind, Read as _, Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
};

use bytes::Bytes;

use crate::{
    durable,
    types::{ENTRY_BYTES_MAX, NewEntry},
};

const MAGIC: &[u8; 8] = b"cairnsp\x01";
const MAGIC_BYTES: u64 = 8;
const FRAME_HEADER_BYTES: usize = 8;
/// The longest deduplication key.
const KEY_BYTES_MAX: usize = 64;
const PAYLOAD_BYTES_MAX: usize = 1 + KEY_BYTES_MAX + ENTRY_BYTES_MAX;

/// Where a spool lies and how large it may grow.
#[derive(Clone, Debug)]
pub struct SpoolOptions {
    /// The folder; made if absent, used by one process at a time.
    pub dir: PathBuf,
    /// The most bytes on disk; beyond it the appender waits, as it does without a spool.
    pub bytes_max: u64,
    /// A new segment is begun once one has this many bytes.
    pub segment_bytes: u64,
}

impl SpoolOptions {
    /// A spool of at most 1 GiB in segments of 16 MiB.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into(), bytes_max: 1 << 30, segment_bytes: 16 << 20 }
    }
}

/// Why a spool cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SpoolError {
    /// The file system failed.
    #[error("spool {path:?}: cannot {action}")]
    Io {
        /// What was being done.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// Another process uses the folder.
    #[error("spool {dir:?} is in use by another process")]
    InUse {
        /// The folder.
        dir: PathBuf,
    },
    /// A frame that was once whole is not any more.
    #[error("spool segment {path:?} is damaged at byte {offset}")]
    Damaged {
        /// The segment.
        path: PathBuf,
        /// Where the bad frame starts.
        offset: u64,
    },
    /// The entries do not fit.
    #[error("spool is full: {bytes} bytes more would pass the limit of {bytes_max}")]
    Full {
        /// Bytes that were to be added.
        bytes: u64,
        /// The limit.
        bytes_max: u64,
    },
    /// An entry or its key is too long for any log.
    #[error("entry of {entry_bytes} bytes with a key of {key_bytes} bytes is too long for a spool")]
    TooLong {
        /// The entry's length.
        entry_bytes: usize,
        /// The key's length.
        key_bytes: usize,
    },
}

/// A durable first-in, first-out queue of entries with their deduplication keys.
#[derive(Debug)]
pub struct Spool {
    options: SpoolOptions,
    /// Held while the spool is open.
    _lock: File,
    /// Oldest first; the last one is written to, if `writer` is there.
    segments: VecDeque<Segment>,
    writer: Option<File>,
    next_number: u64,
    /// Where the first entry not yet taken starts in the first segment, and how many were taken from it.
    head_offset: u64,
    head_taken: usize,
}

#[derive(Debug)]
struct Segment {
    number: u64,
    bytes: u64,
    entries: usize,
}

impl Spool {
    /// Opens the spool, makes its folder if absent, and reads every segment once to check it.
    pub fn open(options: SpoolOptions) -> Result<Self, SpoolError> {
        let dir = options.dir.clone();
        std::fs::create_dir_all(&dir).map_err(io_error("make the folder", &dir))?;
        let lock = lock(&dir)?;
        let numbers = segment_numbers(&dir)?;
        let last = numbers.last().copied();
        let mut segments = VecDeque::new();
        for number in numbers {
            let segment = check_segment(&dir, number, Some(number) == last)?;
            if segment.entries == 0 {
                remove(&segment_path(&dir, number))?;
            } else {
                segments.push_back(segment);
            }
        }
        Ok(Self {
            options,
            _lock: lock,
            segments,
            writer: None,
            next_number: last.map_or(0, |last| last + 1),
            head_offset: MAGIC_BYTES,
            head_taken: 0,
        })
    }

    /// Entries in the spool.
    pub fn len(&self) -> usize {
        let all: usize = self.segments.iter().map(|segment| segment.entries).sum();
        all - self.head_taken
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes on disk.
    pub fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.bytes).sum()
    }

    /// Adds the entries behind all others. On return they are on disk; on an error none of them counts.
    pub fn push(&mut self, entries: &[NewEntry]) -> Result<(), SpoolError> {
        let frames = encode(entries)?;
        if frames.is_empty() {
            return Ok(());
        }
        let added = length(&frames);
        let bytes = if self.must_begin_segment() { added + MAGIC_BYTES } else { added };
        let bytes_max = self.options.bytes_max;
        if self.bytes().saturating_add(bytes) > bytes_max {
            return Err(SpoolError::Full { bytes, bytes_max });
        }
        self.write(&frames).inspect_err(|_| self.abandon_writer())?;
        let segment = self.segments.back_mut().expect("`write` opened a segment");
        segment.bytes += added;
        segment.entries += entries.len();
        Ok(())
    }

    /// The oldest entries, up to these many and these bytes of data, and at least one if there is one.
    pub fn peek(&self, entries_max: usize, bytes_max: usize) -> Result<Vec<NewEntry>, SpoolError> {
        let mut entries = Vec::new();
        let Some(segment) = self.segments.front() else { return Ok(entries) };
        let path = segment_path(&self.options.dir, segment.number);
        let mut frames = Frames::open(&path, self.head_offset)?;
        let left = segment.entries - self.head_taken;
        let mut bytes = 0;
        while entries.len() < entries_max.min(left) {
            let offset = frames.offset;
            let Frame::Whole(entry) = frames.next()? else {
                return Err(SpoolError::Damaged { path, offset });
            };
            bytes += entry.data.len();
            if bytes > bytes_max && !entries.is_empty() {
                break;
            }
            entries.push(entry);
        }
        Ok(entries)
    }

    /// Removes the first entries, which [`Spool::peek`] gave and which are in the log now.
    pub fn pop(&mut self, taken: &[NewEntry]) -> Result<(), SpoolError> {
        for entry in taken {
            self.head_offset += length_of_frame(entry);
            self.head_taken += 1;
        }
        let Some(segment) = self.segments.front() else { return Ok(()) };
        if self.head_taken < segment.entries {
            return Ok(());
        }
        let path = segment_path(&self.options.dir, segment.number);
        if self.segments.len() == 1 {
            self.writer = None;
        }
        self.segments.pop_front();
        self.head_offset = MAGIC_BYTES;
        self.head_taken = 0;
        remove(&path)
    }

    /// The `fdatasync` is the commit point: a crash before it leaves a tail that the next opening cuts
    /// off, unless it happens to be whole.
    fn write(&mut self, frames: &[u8]) -> Result<(), SpoolError> {
        if self.must_begin_segment() {
            self.begin_segment()?;
        }
        let number = self.segments.back().expect("a writer has its segment").number;
        let path = segment_path(&self.options.dir, number);
        let file = self.writer.as_mut().expect("begun above");
        file.write_all(frames).map_err(io_error("write", &path))?;
        file.sync_data().map_err(io_error("sync", &path))
    }

    fn must_begin_segment(&self) -> bool {
        let full = |segment: &Segment| segment.bytes >= self.options.segment_bytes;
        self.writer.is_none() || self.segments.back().is_some_and(full)
    }

    fn begin_segment(&mut self) -> Result<(), SpoolError> {
        let number = self.next_number;
        let path = segment_path(&self.options.dir, number);
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&path)
            .map_err(io_error("make", &path))?;
        self.next_number += 1;
        file.write_all(MAGIC).map_err(io_error("write", &path))?;
        durable::sync_folder_of(&path).map_err(io_error("sync the folder of", &path))?;
        self.segments.push_back(Segment { number, bytes: MAGIC_BYTES, entries: 0 });
        self.writer = Some(file);
        Ok(())
    }

    /// After a failed write nobody knows what the file holds beyond the last sync: cut it back and write
    /// to a new segment.
    fn abandon_writer(&mut self) {
        let Some(file) = self.writer.take() else { return };
        let Some(segment) = self.segments.back() else { return };
        if let Err(error) = file.set_len(segment.bytes).and_then(|()| file.sync_all()) {
            tracing::error!(%error, segment = segment.number, "spool segment could not be cut back");
        }
        if segment.entries == 0 {
            let empty = self.segments.pop_back().expect("it was there just now");
            let removed = remove(&segment_path(&self.options.dir, empty.number));
            if let Err(error) = removed {
                tracing::warn!(%error, "empty spool segment stays");
            }
        }
    }
}

fn lock(dir: &Path) -> Result<File, SpoolError> {
    let path = dir.join("lock");
    let file = durable::lock_file(&path).map_err(io_error("open", &path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => Err(SpoolError::InUse { dir: dir.to_owned() }),
        Err(std::fs::TryLockError::Error(source)) => {
            Err(SpoolError::Io { action: "lock", path, source })
        }
    }
}

fn segment_path(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("{number:016x}.seg"))
}

fn segment_numbers(dir: &Path) -> Result<Vec<u64>, SpoolError> {
    let mut numbers = Vec::new();
    for item in std::fs::read_dir(dir).map_err(io_error("list", dir))? {
        let name = item.map_err(io_error("list", dir))?.file_name();
        let number = name
            .to_str()
            .and_then(|name| name.strip_suffix(".seg"))
            .filter(|digits| digits.len() == 16)
            .and_then(|digits| u64::from_str_radix(digits, 16).ok());
        numbers.extend(number);
    }
    numbers.sort_unstable();
    Ok(numbers)
}

fn remove(path: &Path) -> Result<(), SpoolError> {
    std::fs::remove_file(path).map_err(io_error("remove", path))
}

/// Reads a segment through. Only the last one may end in a torn frame, which is cut off.
fn check_segment(dir: &Path, number: u64, last: bool) -> Result<Segment, SpoolError> {
    let path = segment_path(dir, number);
    let torn = |offset, entries| -> Result<Segment, SpoolError> {
        if !last {
            return Err(SpoolError::Damaged { path: path.clone(), offset });
        }
        let file = OpenOptions::new().write(true).open(&path).map_err(io_error("open", &path))?;
        file.set_len(offset).and_then(|()| file.sync_all()).map_err(io_error("cut", &path))?;
        Ok(Segment { number, bytes: offset, entries })
    };
    let mut frames = match Frames::open(&path, MAGIC_BYTES) {
        Err(SpoolError::Damaged { .. }) => return torn(0, 0),
        opened => opened?,
    };
    let mut entries = 0;
    loop {
        let offset = frames.offset;
        match frames.next()? {
            Frame::Whole(_) => entries += 1,
            Frame::End => return Ok(Segment { number, bytes: offset, entries }),
            Frame::Bad => return torn(offset, entries),
        }
    }
}

enum Frame {
    Whole(NewEntry),
    End,
    Bad,
}

/// Reads frames one after the other.
struct Frames {
    path: PathBuf,
    file: BufReader<File>,
    offset: u64,
}

impl Frames {
    fn open(path: &Path, offset: u64) -> Result<Self, SpoolError> {
        let file = File::open(path).map_err(io_error("open", path))?;
        let mut file = BufReader::new(file);
        let mut magic = [0; MAGIC.len()];
        match file.read_exact(&mut magic) {
            Ok(()) if magic == *MAGIC => {}
            Err(error) if error.kind() != ErrorKind::UnexpectedEof => {
                return Err(io_error("read", path)(error));
            }
            Ok(()) | Err(_) => {
                return Err(SpoolError::Damaged { path: path.to_owned(), offset: 0 });
            }
        }
        file.seek(SeekFrom::Start(offset)).map_err(io_error("read", path))?;
        Ok(Self { path: path.to_owned(), file, offset })
    }

    fn next(&mut self) -> Result<Frame, SpoolError> {
        let mut header = [0; FRAME_HEADER_BYTES];
        match self.fill(&mut header)? {
            0 => return Ok(Frame::End),
            FRAME_HEADER_BYTES => {}
            _ => return Ok(Frame::Bad),
        }
        let [l0, l1, l2, l3, c0, c1, c2, c3] = header;
        let len = usize::try_from(u32::from_be_bytes([l0, l1, l2, l3])).unwrap_or(usize::MAX);
        if len > PAYLOAD_BYTES_MAX {
            return Ok(Frame::Bad);
        }
        let mut payload = vec![0; len];
        let whole = self.fill(&mut payload)? == len
            && crc32fast::hash(&payload) == u32::from_be_bytes([c0, c1, c2, c3]);
        let Some(entry) = whole.then(|| decode(&payload.into())).flatten() else {
            return Ok(Frame::Bad);
        };
        self.offset += length_of_frame(&entry);
        Ok(Frame::Whole(entry))
    }

    /// Fills the buffer as far as the file goes.
    fn fill(&mut self, buffer: &mut [u8]) -> Result<usize, SpoolError> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.file.read(&mut buffer[filled..]) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(io_error("read", &self.path)(error)),
            }
        }
        Ok(filled)
    }
}

fn encode(entries: &[NewEntry]) -> Result<Vec<u8>, SpoolError> {
    let mut frames = Vec::new();
    for NewEntry { data, dedup_key } in entries {
        let too_long = SpoolError::TooLong { entry_bytes: data.len(), key_bytes: dedup_key.len() };
        if data.len() > ENTRY_BYTES_MAX || dedup_key.len() > KEY_BYTES_MAX {
            return Err(too_long);
        }
        let key_len = u8::try_from(dedup_key.len()).expect("at most KEY_BYTES_MAX");
        let len =
            u32::try_from(1 + dedup_key.len() + data.len()).expect("at most PAYLOAD_BYTES_MAX");
        let mut crc = crc32fast::Hasher::new();
        for part in [&[key_len], &dedup_key[..], &data[..]] {
            crc.update(part);
        }
        frames.extend_from_slice(&len.to_be_bytes());
        frames.extend_from_slice(&crc.finalize().to_be_bytes());
        frames.push(key_len);
        frames.extend_from_slice(dedup_key);
        frames.extend_from_slice(data);
    }
    Ok(frames)
}

fn decode(payload: &Bytes) -> Option<NewEntry> {
    let key_len = usize::from(*payload.first()?);
    if key_len > KEY_BYTES_MAX || payload.len() < 1 + key_len {
        return None;
    }
    let data = payload.slice(1 + key_len..);
    (data.len() <= ENTRY_BYTES_MAX)
        .then(|| NewEntry { data, dedup_key: payload.slice(1..=key_len) })
}

fn length(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).expect("a length in memory fits 64 bits")
}

fn length_of_frame(entry: &NewEntry) -> u64 {
    let len = FRAME_HEADER_BYTES + 1 + entry.dedup_key.len() + entry.data.len();
    u64::try_from(len).expect("a length in memory fits 64 bits")
}

fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> SpoolError {
    let path = path.to_owned();
    move |source| SpoolError::Io { action, path, source }
}
