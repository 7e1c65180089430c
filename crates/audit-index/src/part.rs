//! A part of an index: consecutive events of a log, in the order of the log, so that a document's number
//! is the event's index less the first one's.

use std::collections::BTreeSet;
use std::ops::{ControlFlow, Range};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use log_core::Log;
use merkle::{Hash, LeafIndex};
use storage::StorageError;
use tantivy::directory::error::OpenReadError;
use tantivy::directory::{Directory as _, RamDirectory};
use tantivy::indexer::merge_indices;
use tantivy::query::{
    AllQuery, BooleanQuery, EmptyQuery, EnableScoring, Query as IndexQuery, RangeQuery, TermQuery,
};
use tantivy::schema::IndexRecordOption;
use tantivy::{
    DocSet as _, Index, SegmentReader, SingleSegmentIndexWriter, TERMINATED, TantivyDocument,
    TantivyError, Term,
};

use crate::directory::PackDirectory;
use crate::document::Field;
use crate::matching::Wanted;
use crate::pack::{Blocks, Head, Pack, PackError};
use crate::read;
use crate::schema::{Fields, TIME, VERSION};

/// The file that names the others.
const META: &str = "meta.json";

/// Why a part cannot be read or made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PartError {
    #[error("a part {0}")]
    Pack(#[from] PackError),
    /// What tantivy says may repeat terms, which may be personal.
    #[error("a part is not one that can be read")]
    Tantivy(#[source] Box<TantivyError>),
    #[error("a part holds other events than its name says")]
    Other,
    #[error("a part has an event that is another one in the log")]
    Lies,
    #[error("a search in a part panicked")]
    Panicked,
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl PartError {
    /// Whether it is the index that is at fault, and not the log.
    pub(crate) fn is_damage(&self) -> bool {
        !matches!(self, Self::Storage(_))
    }
}

impl From<TantivyError> for PartError {
    fn from(error: TantivyError) -> Self {
        Self::Tantivy(Box::new(error))
    }
}

/// The bytes of a part that was made in memory, and what it covers.
pub(crate) struct Made {
    pub(crate) head: Head,
    pub(crate) bytes: Vec<u8>,
}

/// The memory that making a part may take, in bytes: it ends early where its events are large.
pub(crate) const MAKING_BYTES_MAX: usize = 32 * 1024 * 1024;

/// Makes a part of the events of a range, or of those at its start.
pub(crate) fn make(log: &Log, fields: &Fields, range: Range<u64>) -> Result<Made, PartError> {
    let folder = RamDirectory::create();
    let expected = usize::try_from(range.end - range.start).unwrap_or(usize::MAX);
    let memory = expected.saturating_mul(4 * 1024).clamp(1024 * 1024, MAKING_BYTES_MAX);
    let mut writer: SingleSegmentIndexWriter<TantivyDocument> = Index::builder()
        .schema(fields.schema.clone())
        .single_segment_index_writer(folder.clone(), memory)?;
    let mut at = range.start;
    while at < range.end && writer.mem_usage() < MAKING_BYTES_MAX {
        let Ok(start) = LeafIndex::new(at) else { return Err(PartError::Other) };
        let limit = usize::try_from(range.end - at).unwrap_or(usize::MAX);
        let seen = read::seen(log, start, limit)?;
        if seen.is_empty() {
            return Err(PartError::Other);
        }
        for seen in seen {
            writer.add_document(fields.document(&seen.event))?;
            at += 1;
        }
    }
    let index = writer.finalize()?;
    finished(&index, &folder, range.start..at, leaf_hash_at(log, at - 1)?)
}

/// One part of those that follow one another.
pub(crate) fn merged(parts: &[Arc<PartReader>]) -> Result<Made, PartError> {
    let (Some(first), Some(last)) = (parts.first(), parts.last()) else {
        return Err(PartError::Other);
    };
    let folder = RamDirectory::create();
    let indexes: Vec<Index> = parts.iter().map(|part| part.index.clone()).collect();
    let index = merge_indices(&indexes, folder.clone())?;
    let range = first.pack.head().range.start..last.pack.head().range.end;
    finished(&index, &folder, range, last.pack.head().last_leaf)
}

fn finished(
    index: &Index,
    folder: &RamDirectory,
    range: Range<u64>,
    last_leaf: Hash,
) -> Result<Made, PartError> {
    let meta = folder.atomic_read(Path::new(META)).map_err(TantivyError::from)?;
    let mut files = vec![(META.to_owned(), meta)];
    let paths: BTreeSet<PathBuf> = index.load_metas()?.list_segment_files().into_iter().collect();
    for path in paths {
        let content = match folder.open_read(&path) {
            Ok(content) => content.read_bytes().map_err(TantivyError::from)?,
            Err(OpenReadError::FileDoesNotExist(_)) => continue,
            Err(error) => return Err(TantivyError::from(error).into()),
        };
        let name = path.to_str().ok_or(PartError::Other)?.to_owned();
        files.push((name, content.to_vec()));
    }
    let head = Head { version: VERSION, range, last_leaf };
    let bytes = crate::pack::write(&head, &files);
    Ok(Made { head, bytes })
}

/// The leaf hash of a stored entry.
pub(crate) fn leaf_hash_at(log: &Log, index: u64) -> Result<Hash, PartError> {
    let index = LeafIndex::new(index).map_err(|_| PartError::Other)?;
    let entry = log.engine().entries(log.id(), index, 1, 1)?.pop();
    entry.map(|entry| merkle::leaf_hash(&entry.data)).ok_or(PartError::Other)
}

/// A part that is open for searching.
pub(crate) struct PartReader {
    pack: Arc<Pack>,
    index: Index,
    segment: SegmentReader,
    fields: Fields,
}

/// Event times that match, as the index states them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Times {
    pub(crate) from: i64,
    /// The last that matches.
    pub(crate) last: i64,
}

impl PartReader {
    pub(crate) fn open(
        path: &Path,
        range: &Range<u64>,
        blocks: Arc<Blocks>,
        fields: &Fields,
    ) -> Result<Self, PartError> {
        let pack = Arc::new(Pack::open(path, blocks)?);
        if pack.head().range != *range || pack.head().version != VERSION {
            return Err(PartError::Other);
        }
        let index = Index::open(PackDirectory(Arc::clone(&pack)))?;
        let [segment] = &index.searchable_segments()?[..] else { return Err(PartError::Other) };
        let segment = SegmentReader::open(segment)?;
        if u64::from(segment.max_doc()) != range.end - range.start
            || index.schema() != fields.schema
        {
            return Err(PartError::Other);
        }
        Ok(Self { pack, index, segment, fields: fields.clone() })
    }

    /// Whether the last event of the part is the one that the log has there.
    pub(crate) fn is_of(&self, log: &Log) -> Result<bool, PartError> {
        let head = self.pack.head();
        Ok(leaf_hash_at(log, head.range.end - 1)? == head.last_leaf)
    }

    pub(crate) fn range(&self) -> Range<u64> {
        self.pack.head().range.clone()
    }

    pub(crate) fn segment(&self) -> &SegmentReader {
        &self.segment
    }

    /// How many events have a term, known without looking at each.
    pub(crate) fn count_of_term(&self, wanted: &Wanted) -> Result<Option<u64>, PartError> {
        let Wanted::Term(field, text) = wanted else { return Ok(None) };
        let terms = self.segment.inverted_index(self.fields.terms)?;
        let count = terms.doc_freq(&self.term(*field, text)).map_err(TantivyError::from)?;
        Ok(Some(u64::from(count)))
    }

    /// Calls `sink` with the index of each event of `within` that matches, ascending, until it breaks.
    pub(crate) fn each(
        &self,
        wanted: &Wanted,
        times: Option<Times>,
        within: &Range<u64>,
        mut sink: impl FnMut(u64) -> ControlFlow<()>,
    ) -> Result<(), PartError> {
        let range = self.range();
        let (low, high) = (within.start.max(range.start), within.end.min(range.end));
        let document =
            |index: u64| u32::try_from(index - range.start).map_err(|_| PartError::Other);
        if low >= high {
            return Ok(());
        }
        let (first, end) = (document(low)?, document(high)?);
        let column = match times {
            None => None,
            Some(times) => match self.segment.fast_fields().column_opt::<i64>(TIME)? {
                Some(column) => Some((column, times)),
                None => return Ok(()),
            },
        };
        let query = self.query(wanted);
        let scoring = EnableScoring::disabled_from_schema(&self.fields.schema);
        let mut found = query.weight(scoring)?.scorer(&self.segment, 1.0)?;
        let mut at = found.doc();
        if at < first {
            at = found.seek(first);
        }
        while at != TERMINATED && at < end {
            let is_in_time = column.as_ref().is_none_or(|(column, times)| {
                column.first(at).is_some_and(|time| (times.from..=times.last).contains(&time))
            });
            if is_in_time && sink(range.start + u64::from(at)).is_break() {
                break;
            }
            at = found.advance();
        }
        Ok(())
    }

    fn query(&self, wanted: &Wanted) -> Box<dyn IndexQuery> {
        match wanted {
            Wanted::Term(field, text) => {
                Box::new(TermQuery::new(self.term(*field, text), IndexRecordOption::Basic))
            }
            Wanted::Beginning(field, text) => {
                let from = term_bytes(*field, text);
                let mut to = from.clone();
                // No byte of UTF-8 or of a field is the last one.
                if let Some(last) = to.last_mut() {
                    *last = last.saturating_add(1);
                }
                let bound = |bytes: &[u8]| Term::from_field_bytes(self.fields.terms, bytes);
                let (from, to) = (bound(&from), bound(&to));
                let range =
                    RangeQuery::new(std::ops::Bound::Included(from), std::ops::Bound::Excluded(to));
                Box::new(range)
            }
            Wanted::All(all) if all.is_empty() => Box::new(AllQuery),
            Wanted::Any(any) if any.is_empty() => Box::new(EmptyQuery),
            Wanted::All(all) => {
                Box::new(BooleanQuery::intersection(all.iter().map(|it| self.query(it)).collect()))
            }
            Wanted::Any(any) => {
                Box::new(BooleanQuery::union(any.iter().map(|it| self.query(it)).collect()))
            }
        }
    }

    fn term(&self, field: Field, text: &str) -> Term {
        Term::from_field_bytes(self.fields.terms, &term_bytes(field, text))
    }
}

fn term_bytes(field: Field, text: &str) -> Vec<u8> {
    [&[field.byte()], text.as_bytes()].concat()
}
