//! A file that is only read, under whatever is written over it in memory: the engine marks a file that it
//! opens, and repairs one that was not closed, and a check must change nothing.

use std::collections::BTreeMap;
use std::fs::{File, TryLockError};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use redb::{DatabaseError, StorageBackend};

/// What is copied into memory when a part of it is written.
const PAGE_BYTES: u64 = 4_096;

/// The file, and what was written over it.
#[derive(Debug)]
pub(super) struct Overlay {
    file: File,
    written: Mutex<Written>,
}

#[derive(Debug)]
struct Written {
    len: u64,
    /// By their position in the file. Bounded by what the engine repairs.
    pages: BTreeMap<u64, Vec<u8>>,
    /// Beyond this the file's own bytes do not count: it was cut there.
    file_len: u64,
}

impl Overlay {
    /// Opens the file, which no process may have open to write.
    pub(super) fn open(path: &Path) -> Result<Self, DatabaseError> {
        let io = |error| DatabaseError::Storage(redb::StorageError::Io(error));
        let file = File::open(path).map_err(io)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(DatabaseError::DatabaseAlreadyOpen),
            Err(TryLockError::Error(error)) => return Err(io(error)),
        }
        let len = file.metadata().map_err(io)?.len();
        let written = Mutex::new(Written { len, pages: BTreeMap::new(), file_len: len });
        Ok(Self { file, written })
    }

    fn written(&self) -> MutexGuard<'_, Written> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Fills `out` from the file, and with zeros behind its end.
    fn read_file(&self, written: &Written, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let left = usize::try_from(written.file_len.saturating_sub(offset)).unwrap_or(usize::MAX);
        let (there, behind) = out.split_at_mut(left.min(out.len()));
        behind.fill(0);
        self.file.read_exact_at(there, offset)
    }
}

/// The pages that `bytes` from `offset` on touch: position of the page, and range within it.
fn pages(offset: u64, bytes: usize) -> impl Iterator<Item = (u64, std::ops::Range<usize>)> {
    let end = offset + u64::try_from(bytes).expect("a length in memory");
    let first = offset - offset % PAGE_BYTES;
    (first..end).step_by(4_096).map(move |page| {
        let within = |position: u64| {
            let position = position.clamp(page, page + PAGE_BYTES) - page;
            usize::try_from(position).expect("at most a page")
        };
        (page, within(offset)..within(end))
    })
}

impl StorageBackend for Overlay {
    fn len(&self) -> io::Result<u64> {
        Ok(self.written().len)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let written = self.written();
        let end = offset.checked_add(u64::try_from(out.len()).unwrap_or(u64::MAX));
        if end.is_none_or(|end| end > written.len) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut done = 0;
        for (page, range) in pages(offset, out.len()) {
            let part = &mut out[done..done + range.len()];
            done += range.len();
            if let Some(bytes) = written.pages.get(&page) {
                part.copy_from_slice(&bytes[range]);
            } else {
                let start = page + u64::try_from(range.start).expect("within a page");
                self.read_file(&written, start, part)?;
            }
        }
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut written = self.written();
        if len < written.len {
            written.file_len = written.file_len.min(len);
            written.pages.retain(|page, _| *page < len);
            if let Some(last) = written.pages.get_mut(&(len - len % PAGE_BYTES)) {
                let kept = usize::try_from(len % PAGE_BYTES).expect("less than a page");
                last[kept..].fill(0);
            }
        }
        written.len = len;
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut written = self.written();
        let mut done = 0;
        for (page, range) in pages(offset, data.len()) {
            let part = &data[done..done + range.len()];
            done += range.len();
            if !written.pages.contains_key(&page) {
                let mut bytes = vec![0; usize::try_from(PAGE_BYTES).expect("a page")];
                self.read_file(&written, page, &mut bytes)?;
                written.pages.insert(page, bytes);
            }
            let bytes = written.pages.get_mut(&page).expect("it was just put there");
            bytes[range].copy_from_slice(part);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    /// Whatever is written, cut and grown, the overlay reads as a vector of bytes does, and the file stays.
    #[test]
    fn it_reads_as_a_file_would_and_leaves_the_file_alone() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        let mut model: Vec<u8> = (0..10_000_u32).map(|n| (n % 251) as u8).collect();
        file.write_all(&model).unwrap();
        let original = model.clone();
        let overlay = Overlay::open(file.path()).unwrap();
        let mut state = 7_u64;
        for step in 0..3_000_u64 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let (at, bytes) = (state >> 40, (state >> 20) % 6_000);
            let at = at % (model.len() as u64 + 1);
            if step % 50 == 49 {
                let len = at + bytes;
                overlay.set_len(len).unwrap();
                model.resize(usize::try_from(len).unwrap(), 0);
                continue;
            }
            let end = (at + bytes).min(model.len() as u64);
            let range = usize::try_from(at).unwrap()..usize::try_from(end).unwrap();
            if step % 2 == 0 {
                model[range.clone()].fill(step.to_le_bytes()[0]);
                overlay.write(at, &model[range]).unwrap();
            } else {
                let mut read = vec![0; range.len()];
                overlay.read(at, &mut read).unwrap();
                assert_eq!(read, model[range], "step {step}");
            }
        }
        assert_eq!(overlay.len().unwrap(), model.len() as u64);
        assert!(overlay.read(model.len() as u64, &mut [0]).is_err());
        assert_eq!(std::fs::read(file.path()).unwrap(), original);
    }

    #[test]
    fn a_file_that_is_locked_is_in_use() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let first = Overlay::open(file.path()).unwrap();
        let second = Overlay::open(file.path());
        assert!(matches!(second, Err(DatabaseError::DatabaseAlreadyOpen)), "{second:?}");
        drop(first);
        assert!(Overlay::open(file.path()).is_ok());
    }
}
