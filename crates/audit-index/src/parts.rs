//! The index of one log: parts that follow one another from the first event on, in a folder of their own.
//!
//! A part appears whole, by being renamed: **that is the commit point**, and the number of events that
//! parts cover is the cursor. A crash before it leaves the parts as they were; a crash between a merged
//! part and the removal of those it is made of leaves both, and the next start removes the smaller ones.

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base::durable::FileError;
use log_core::Log;

use crate::disk::Disk;
use crate::merging;
use crate::pack::Blocks;
use crate::part::{Made, PartError, PartReader, make, merged};
use crate::schema::Fields;

/// Events that make a part of their own at least; fewer are read from the log.
pub(crate) const PART_MIN: u64 = 512;
/// Events that are taken at once at most.
const BATCH_MAX: u64 = 16_384;
/// So many events are worth two threads.
const SPLIT_MIN: u64 = 4_096;

/// Open parts that are kept open, over all logs. Each holds a file and some hundred kilobytes.
const OPEN_MAX: usize = 256;

/// Why the index of a log does not go on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum IndexError {
    #[error(transparent)]
    Part(#[from] PartError),
    #[error("the folder of the index cannot be used: {0}")]
    Disk(#[from] FileError),
    #[error("the disk is nearly full")]
    Full,
    #[error("{missing} events before the next one are not in the index")]
    Gap { missing: u64 },
}

/// What the indexes of all logs share.
pub(crate) struct Shared {
    pub(crate) fields: Fields,
    pub(crate) blocks: Arc<Blocks>,
    pub(crate) disk: Arc<dyn Disk>,
    /// Bytes of the disk that are left to the log.
    pub(crate) free_bytes_min: u64,
    open: quick_cache::sync::Cache<u64, Arc<PartReader>>,
}

impl Shared {
    pub(crate) fn new(blocks: Arc<Blocks>, disk: Arc<dyn Disk>, free_bytes_min: u64) -> Self {
        let open = quick_cache::sync::Cache::new(OPEN_MAX);
        Self { fields: Fields::new(), blocks, disk, free_bytes_min, open }
    }

    /// A part, opened where it is not.
    pub(crate) fn reader(&self, part: &Part) -> Result<Arc<PartReader>, PartError> {
        if let Some(reader) = self.open.get(&part.id) {
            return Ok(reader);
        }
        let blocks = Arc::clone(&self.blocks);
        let open = || PartReader::open(&part.path, &part.range, blocks, &self.fields);
        let reader = Arc::new(caught(open)?);
        self.open.insert(part.id, Arc::clone(&reader));
        Ok(reader)
    }

    fn close(&self, part: &Part) {
        self.open.remove(&part.id);
    }
}

/// What tantivy answers, or an error where it panics: damage that no checksum shows must not end more than
/// the search.
pub(crate) fn caught<T>(run: impl FnOnce() -> Result<T, PartError>) -> Result<T, PartError> {
    catch_unwind(AssertUnwindSafe(run)).unwrap_or(Err(PartError::Panicked))
}

/// A part on disk.
#[derive(Debug)]
pub(crate) struct Part {
    /// Tells it from all others, also from one that had its name before.
    id: u64,
    pub(crate) range: Range<u64>,
    path: PathBuf,
}

/// What a search sees.
#[derive(Debug, Clone, Default)]
pub(crate) struct View {
    /// They follow one another from index 0 on.
    pub(crate) parts: Arc<[Arc<Part>]>,
    /// Events that the follower has taken note of; those beyond the parts are read from the log.
    pub(crate) noted: u64,
}

impl View {
    /// Events that parts cover.
    pub(crate) fn covered(&self) -> u64 {
        self.parts.last().map_or(0, |part| part.range.end)
    }
}

/// The index of one log.
pub(crate) struct LogIndex {
    folder: PathBuf,
    shared: Arc<Shared>,
    /// `None` before the folder was looked at. Written while `writing` is held.
    view: Mutex<Option<View>>,
    /// Held by whoever changes the folder.
    writing: Mutex<()>,
    /// Something in the folder is damaged.
    is_abandoned: AtomicBool,
}

impl LogIndex {
    pub(crate) fn new(root: &Path, log: &Log, shared: Arc<Shared>) -> Self {
        let folder = root.join(log.name().as_str());
        let is_abandoned = AtomicBool::new(false);
        Self { folder, shared, view: Mutex::default(), writing: Mutex::default(), is_abandoned }
    }

    /// Events that parts cover. Empties a folder that was abandoned.
    pub(crate) fn cursor(&self, log: &Log) -> Result<u64, IndexError> {
        if self.is_abandoned.load(Ordering::Acquire) {
            self.reset()?;
        }
        Ok(self.view(log)?.covered())
    }

    /// What there is to search in.
    pub(crate) fn view(&self, log: &Log) -> Result<View, IndexError> {
        if let Some(view) = &*lock(&self.view) {
            return Ok(view.clone());
        }
        let writing = lock(&self.writing);
        self.opened(log, &writing)
    }

    fn opened(&self, log: &Log, _writing: &MutexGuard<'_, ()>) -> Result<View, IndexError> {
        if let Some(view) = &*lock(&self.view) {
            return Ok(view.clone());
        }
        let size = log.tree().head.size.get();
        let mut found = Vec::new();
        for name in self.shared.disk.list(&self.folder)? {
            let path = self.folder.join(&name);
            match range_of(&name) {
                Some(range) if range.end <= size => found.push((range, path)),
                _ => self.shared.disk.remove(&path)?,
            }
        }
        // Of parts that begin together the larger one is made of the others.
        found.sort_by_key(|(range, _)| (range.start, u64::MAX - range.end));
        let mut parts: Vec<Arc<Part>> = Vec::new();
        let mut covered = 0;
        for (range, path) in found {
            let part = Arc::new(Part { id: next_id(), range, path });
            if part.range.start == covered && self.is_whole(log, &part)? {
                covered = part.range.end;
                parts.push(part);
            } else {
                self.shared.close(&part);
                self.shared.disk.remove(&part.path)?;
            }
        }
        let view = View { parts: parts.into(), noted: covered };
        *lock(&self.view) = Some(view.clone());
        Ok(view)
    }

    /// Whether a part can be read and is of this log. Only an error of the log itself is one.
    fn is_whole(&self, log: &Log, part: &Part) -> Result<bool, IndexError> {
        match self.shared.reader(part).and_then(|reader| reader.is_of(log)) {
            Ok(is_of) => Ok(is_of),
            Err(error @ PartError::Storage(_)) => Err(error.into()),
            Err(error) => {
                tracing::warn!(log = %log.name(), %error, "a part of a search index is built anew");
                Ok(false)
            }
        }
    }

    /// Takes events up to `end`, of which those before `start` are taken already. How far it is then.
    pub(crate) fn take(&self, log: &Log, start: u64, end: u64) -> Result<u64, IndexError> {
        let writing = lock(&self.writing);
        let view = self.opened(log, &writing)?;
        let covered = view.covered();
        if start > covered.max(view.noted) || self.is_abandoned.load(Ordering::Acquire) {
            return Err(IndexError::Gap { missing: start.saturating_sub(covered) });
        }
        if end < covered + PART_MIN {
            self.publish(View { noted: view.noted.max(end), ..view });
            return Ok(end);
        }
        self.check_room()?;
        let end = end.min(covered + BATCH_MAX);
        let mut parts = view.parts.to_vec();
        for made in self.make(log, covered..end)? {
            parts.push(Arc::new(self.write(&made)?));
        }
        let covered = parts.last().map_or(0, |part| part.range.end);
        self.publish(View { parts: parts.into(), noted: covered });
        self.merge(log);
        Ok(covered)
    }

    /// One or two parts of a range or of its beginning, made at once.
    fn make(&self, log: &Log, range: Range<u64>) -> Result<Vec<Made>, IndexError> {
        let fields = &self.shared.fields;
        let middle = range.start + (range.end - range.start) / 2;
        if range.end - range.start < SPLIT_MIN {
            return Ok(vec![caught(|| make(log, fields, range))?]);
        }
        let (first, second) = std::thread::scope(|scope| {
            let second = scope.spawn(|| caught(|| make(log, fields, middle..range.end)));
            let first = caught(|| make(log, fields, range.start..middle));
            (first, second.join().unwrap_or(Err(PartError::Panicked)))
        });
        let first = first?;
        // The first may have ended early.
        let is_joined = first.head.range.end == middle;
        let second = is_joined.then_some(second).transpose()?;
        Ok(std::iter::once(first).chain(second).collect())
    }

    fn write(&self, made: &Made) -> Result<Part, IndexError> {
        let range = made.head.range.clone();
        let path = self.folder.join(format!("{:016}-{:016}.part", range.start, range.end));
        self.shared.disk.write(&path, &made.bytes)?;
        Ok(Part { id: next_id(), range, path })
    }

    fn check_room(&self) -> Result<(), IndexError> {
        let free = self.shared.disk.free_bytes(&self.folder)?;
        if free < self.shared.free_bytes_min { Err(IndexError::Full) } else { Ok(()) }
    }

    fn publish(&self, view: View) {
        *lock(&self.view) = Some(view);
    }

    /// Makes large parts of small ones. What the disk refuses is tried again when more events were taken.
    fn merge(&self, log: &Log) {
        loop {
            let Some(view) = lock(&self.view).clone() else { return };
            let sizes: Vec<u64> =
                view.parts.iter().map(|part| part.range.end - part.range.start).collect();
            let Some(run) = merging::due(&sizes) else { return };
            if let Err(error) = self.merge_run(&view, run) {
                tracing::warn!(log = %log.name(), %error, "parts of a search index are not merged");
                if matches!(&error, IndexError::Part(error) if error.is_damage()) {
                    self.abandon();
                }
                return;
            }
        }
    }

    fn merge_run(&self, view: &View, run: Range<usize>) -> Result<(), IndexError> {
        let old = &view.parts[run.clone()];
        let readers: Result<Vec<_>, _> = old.iter().map(|part| self.shared.reader(part)).collect();
        let readers = readers?;
        self.check_room()?;
        let made = caught(|| merged(&readers))?;
        let part = Arc::new(self.write(&made)?);
        let mut parts = view.parts.to_vec();
        let old: Vec<Arc<Part>> = parts.splice(run, [part]).collect();
        self.publish(View { parts: parts.into(), noted: view.noted });
        old.iter().try_for_each(|part| self.discard(part))
    }

    fn discard(&self, part: &Part) -> Result<(), IndexError> {
        self.shared.close(part);
        Ok(self.shared.disk.remove(&part.path)?)
    }

    /// Makes the parts of these events anew from what is still stored. Afterwards the folder holds
    /// nothing of what is not.
    pub(crate) fn renew(&self, log: &Log, indexes: &[u64]) -> Result<(), IndexError> {
        let writing = lock(&self.writing);
        let mut view = self.opened(log, &writing)?;
        let all = Arc::clone(&view.parts);
        for old in all.iter() {
            if !indexes.iter().any(|index| old.range.contains(index)) {
                continue;
            }
            let mut renewed = Vec::new();
            let mut at = old.range.start;
            while at < old.range.end {
                let end = old.range.end.min(at + BATCH_MAX);
                for made in self.make(log, at..end)? {
                    at = made.head.range.end;
                    renewed.push(made);
                }
            }
            let mut written = Vec::new();
            for made in &renewed {
                written.push(Arc::new(self.write(made)?));
            }
            let mut parts = view.parts.to_vec();
            let place = parts.iter().position(|part| part.id == old.id);
            let place = place.expect("the part is in the view that it was taken from");
            let is_same_file = written.iter().any(|part| part.path == old.path);
            parts.splice(place..=place, written);
            view = View { parts: parts.into(), noted: view.noted };
            self.publish(view.clone());
            self.shared.close(old);
            if !is_same_file {
                self.shared.disk.remove(&old.path)?;
            }
        }
        self.merge(log);
        Ok(())
    }

    /// Forgets everything.
    pub(crate) fn reset(&self) -> Result<(), IndexError> {
        let _writing = lock(&self.writing);
        let view = lock(&self.view).take().unwrap_or_default();
        view.parts.iter().for_each(|part| self.shared.close(part));
        for name in self.shared.disk.list(&self.folder)? {
            self.shared.disk.remove(&self.folder.join(name))?;
        }
        self.publish(View::default());
        self.is_abandoned.store(false, Ordering::Release);
        Ok(())
    }

    /// Sees no part any more, because one is damaged. The folder is emptied by [`Self::reset`].
    pub(crate) fn abandon(&self) {
        let view = lock(&self.view).replace(View::default()).unwrap_or_default();
        view.parts.iter().for_each(|part| self.shared.close(part));
        self.is_abandoned.store(true, Ordering::Release);
    }
}

fn range_of(name: &str) -> Option<Range<u64>> {
    let (start, end) = name.strip_suffix(".part")?.split_once('-')?;
    let number = |text: &str| text.parse().ok().filter(|_| text.len() == 16);
    let (start, end) = (number(start)?, number(end)?);
    (start < end).then_some(start..end)
}

fn next_id() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
