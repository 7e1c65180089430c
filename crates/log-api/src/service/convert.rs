//! Between the API's messages and the log's types. Every message is taken apart field by field, so that
//! a new field does not compile until somebody decides what it means.

use std::ops::Range;
use std::time::Duration;

use bytes::Bytes;
use log_proto::log_v1 as pb;
use merkle::{Hash, LeafIndex, TreeSize};
use serve::refusal::Refusal;

use crate::receipts::Level;
use crate::refusal::{self, entry_refusal};
use log_core::{CALL_ENTRIES_MAX, EntryRefusal, Log, NewEntry, Published};
use storage::{
    ArchivePosition, ArchivedCheckpoint, DedupKey, LogKind, LogState, ProducerId, Scope,
};

/// Rows of a page if the request does not say how many.
const PAGE_DEFAULT: usize = 100;
/// The most rows of a page.
pub(super) const PAGE_MAX: usize = 1_000;

/// The receipt level that a request asks for.
pub fn level(receipt: i32) -> Result<Level, Refusal> {
    match pb::Receipt::try_from(receipt) {
        Ok(pb::Receipt::Unspecified | pb::Receipt::Index) => Ok(Level::Index),
        Ok(pb::Receipt::Signed) => Ok(Level::Signed),
        Ok(pb::Receipt::Witnessed) => Ok(Level::Witnessed),
        Err(_) => Err(refusal::bad_field("receipt", "a known receipt level")),
    }
}

/// The level that an answer carries.
pub fn level_message(level: Level) -> i32 {
    match level {
        Level::Index => pb::Receipt::Index.into(),
        Level::Signed => pb::Receipt::Signed.into(),
        Level::Witnessed => pb::Receipt::Witnessed.into(),
    }
}

/// How long to wait for a receipt, `None` if the request does not say.
pub fn receipt_wait(wait: Option<prost_types::Duration>) -> Result<Option<Duration>, Refusal> {
    let wait = wait.map(Duration::try_from).transpose();
    wait.map_err(|_| refusal::bad_field("receipt_wait", "a duration that is not negative"))
}

/// An entry as the log takes it, its deduplication key in the caller's scope. Lengths are checked there.
pub(super) fn entry(entry: pb::Entry, scope: Scope) -> NewEntry {
    let pb::Entry { data, dedup_key } = entry;
    let dedup = (!dedup_key.is_empty()).then_some(DedupKey { scope, key: dedup_key });
    NewEntry::new(data, dedup)
}

pub(super) fn refused(refusal: &EntryRefusal) -> pb::AppendResult {
    let (kind, reason) = entry_refusal(refusal);
    let code = kind.grpc();
    let refused =
        pb::Refused { code: code.into(), reason: reason.into(), message: refusal.to_string() };
    pb::AppendResult { result: Some(pb::append_result::Result::Refused(refused)) }
}

pub(super) fn appended(index: LeafIndex, duplicate: bool) -> pb::AppendResult {
    let appended = pb::Appended { leaf_index: index.get(), duplicate };
    pb::AppendResult { result: Some(pb::append_result::Result::Appended(appended)) }
}

pub fn producer_id(id: &[u8]) -> Result<ProducerId, Refusal> {
    id.try_into().map(ProducerId).map_err(|_| refusal::bad_producer_id(id.len()))
}

pub(super) fn hash(field: &'static str, bytes: &[u8]) -> Result<Hash, Refusal> {
    Hash::try_from(bytes).map_err(|_| refusal::bad_hash(field, bytes.len()))
}

pub(super) fn index(field: &'static str, index: u64) -> Result<LeafIndex, Refusal> {
    LeafIndex::new(index).map_err(|_| refusal::bad_range(field, "below 2^63 - 1"))
}

pub(super) fn size(field: &'static str, size: u64) -> Result<TreeSize, Refusal> {
    TreeSize::new(size).map_err(|_| refusal::bad_range(field, "at most 2^63 - 1"))
}

/// A request's range, ascending; if it is absent, `[0, 0)`.
pub(super) fn range(range: Option<pb::IndexRange>) -> Result<Range<TreeSize>, Refusal> {
    let pb::IndexRange { start, end } = range.unwrap_or_default();
    Ok(size("range.start", start)?..size("range.end", end)?)
}

/// The indexes of a range that one answer can prove.
pub(super) fn indexes(range: &Range<TreeSize>) -> Result<Vec<LeafIndex>, Refusal> {
    let count = range.end.get().saturating_sub(range.start.get());
    let limit = u64::try_from(CALL_ENTRIES_MAX).unwrap_or(u64::MAX);
    if count == 0 || count > limit {
        return Err(refusal::bad_range("range", "1 to 10,000 indexes"));
    }
    (range.start.get()..range.end.get()).map(|at| index("range", at)).collect()
}

pub(super) fn hashes(hashes: &[Hash]) -> Vec<Bytes> {
    hashes.iter().map(hash_bytes).collect()
}

pub(super) fn hash_bytes(hash: &Hash) -> Bytes {
    Bytes::copy_from_slice(hash.as_bytes())
}

pub(super) fn concatenated(hashes: &[Hash]) -> Bytes {
    let mut bytes = Vec::with_capacity(hashes.len() * Hash::LEN);
    for hash in hashes {
        bytes.extend_from_slice(hash.as_bytes());
    }
    bytes.into()
}

/// Ascending indexes as the fewest half-open ranges.
pub(super) fn index_ranges(indexes: &[LeafIndex]) -> Vec<pb::IndexRange> {
    let runs = indexes.chunk_by(|left, right| left.get() + 1 == right.get());
    let range = |run: &[LeafIndex]| {
        let (first, last) = (run.first()?, run.last()?);
        Some(pb::IndexRange { start: first.get(), end: last.size_through().get() })
    };
    runs.filter_map(range).collect()
}

pub(super) fn page_size(asked: u32) -> Result<usize, Refusal> {
    match usize::try_from(asked).unwrap_or(usize::MAX) {
        0 => Ok(PAGE_DEFAULT),
        size if size <= PAGE_MAX => Ok(size),
        _ => Err(refusal::bad_field("page_size", "at most 1,000")),
    }
}

/// A place in the archive, as a page token spells it: `<size>.<published_ms>`.
pub(super) fn archive_token(position: ArchivePosition) -> String {
    format!("{}.{}", position.size.get(), position.published_ms)
}

/// Accepts exactly what [`archive_token`] gives; empty is the start.
pub(super) fn archive_position(token: &str) -> Result<Option<ArchivePosition>, Refusal> {
    if token.is_empty() {
        return Ok(None);
    }
    let parsed = token.split_once('.').and_then(|(size, published_ms)| {
        let size = TreeSize::new(size.parse().ok()?).ok()?;
        Some(ArchivePosition { size, published_ms: published_ms.parse().ok()? })
    });
    let position = parsed.filter(|position| archive_token(*position) == token);
    position.map(Some).ok_or_else(|| refusal::bad_field("page_token", "one of an answer before"))
}

pub(super) fn timestamp(unix_ms: u64) -> prost_types::Timestamp {
    let seconds = i64::try_from(unix_ms / 1_000).unwrap_or(i64::MAX);
    let nanos = i32::try_from(unix_ms % 1_000 * 1_000_000).expect("below 10^9");
    prost_types::Timestamp { seconds, nanos }
}

pub(super) fn published(published: &Published) -> pb::GetCheckpointResponse {
    pb::GetCheckpointResponse {
        checkpoint: published.note.clone(),
        published_at: Some(timestamp(published.published_ms)),
        witnessed: Some(published.witnessed),
    }
}

pub(super) fn archived(archived: &ArchivedCheckpoint) -> pb::GetCheckpointResponse {
    let ArchivedCheckpoint { size: _, published_ms, note } = archived;
    pb::GetCheckpointResponse {
        checkpoint: note.clone(),
        published_at: Some(timestamp(*published_ms)),
        witnessed: None,
    }
}

/// What a new log takes: any bytes, if the request does not say.
pub(super) fn log_kind(kind: i32) -> Result<LogKind, Refusal> {
    match pb::LogKind::try_from(kind) {
        Ok(pb::LogKind::Unspecified | pb::LogKind::Plain) => Ok(LogKind::Plain),
        Ok(pb::LogKind::Audit) => Ok(LogKind::Audit),
        Err(_) => Err(refusal::bad_field("kind", "a known kind of log")),
    }
}

pub(super) fn log(log: &Log) -> pb::Log {
    let (record, tree) = (log.record(), log.tree());
    let state = if log.is_read_only() {
        pb::LogState::ReadOnly
    } else {
        match record.state {
            LogState::Active => pb::LogState::Active,
            LogState::Draining => pb::LogState::Draining,
            LogState::Frozen => pb::LogState::Frozen,
            LogState::Retired => pb::LogState::Retired,
        }
    };
    let kind = match record.kind {
        LogKind::Plain => pb::LogKind::Plain,
        LogKind::Audit => pb::LogKind::Audit,
    };
    pb::Log {
        name: record.name.as_str().to_owned(),
        origin: record.origin.to_string(),
        state: state.into(),
        vkeys: log.vkeys().iter().map(ToString::to_string).collect(),
        tree_size: tree.head.size.get(),
        root_hash: hash_bytes(&tree.head.root),
        checkpoint: log.published().note.clone(),
        kind: kind.into(),
        deduplicate_entries: record.deduplicate_entries,
        created_at: Some(timestamp(record.created_ms)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serve::refusal::Kind;

    fn indexes_of(values: &[u64]) -> Vec<LeafIndex> {
        values.iter().map(|value| LeafIndex::new(*value).unwrap()).collect()
    }

    #[test]
    fn indexes_become_the_fewest_ranges() {
        let ranges = |values: &[u64]| -> Vec<(u64, u64)> {
            let ranges = index_ranges(&indexes_of(values));
            ranges.into_iter().map(|range| (range.start, range.end)).collect()
        };
        assert_eq!(ranges(&[]), []);
        assert_eq!(ranges(&[7]), [(7, 8)]);
        assert_eq!(ranges(&[0, 1, 2, 5, 6, 9]), [(0, 3), (5, 7), (9, 10)]);
    }

    #[test]
    fn ranges_are_taken_up_to_the_limit() {
        let of = |end: u64| {
            let asked = range(Some(pb::IndexRange { start: 5, end })).unwrap();
            indexes(&asked).map(|found| found.len()).map_err(|refusal| refusal.kind)
        };
        assert_eq!(of(5), Err(Kind::Invalid));
        assert_eq!(of(4), Err(Kind::Invalid));
        assert_eq!(of(6), Ok(1));
        assert_eq!(of(10_005), Ok(10_000));
        assert_eq!(of(10_006), Err(Kind::Invalid));
    }

    #[test]
    fn page_tokens_are_canonical() {
        let size = TreeSize::new(12).unwrap();
        let position = ArchivePosition { size, published_ms: 34 };
        assert_eq!(archive_position("12.34").unwrap(), Some(position));
        assert_eq!(archive_position("").unwrap(), None);
        for bad in ["12", "012.34", "+12.34", "12.34.5", "12.", ".34", " 12.34", "-1.0"] {
            assert_eq!(archive_position(bad).unwrap_err().kind, Kind::Invalid, "{bad}");
        }
    }

    #[test]
    fn page_sizes_levels_and_kinds_are_bounded() {
        assert_eq!(page_size(0).unwrap(), PAGE_DEFAULT);
        assert_eq!(page_size(1_000).unwrap(), 1_000);
        assert!(page_size(1_001).is_err());
        assert_eq!(level(0).unwrap(), Level::Index);
        assert_eq!(level(3).unwrap(), Level::Witnessed);
        assert!(level(4).is_err());
        assert_eq!(log_kind(0).unwrap(), LogKind::Plain);
        assert_eq!(log_kind(2).unwrap(), LogKind::Audit);
        assert!(log_kind(3).is_err());
    }

    #[test]
    fn a_negative_wait_is_refused() {
        let wait = |seconds, nanos| receipt_wait(Some(prost_types::Duration { seconds, nanos }));
        assert_eq!(wait(1, 0).unwrap(), Some(Duration::from_secs(1)));
        assert!(wait(-1, 0).is_err());
        assert_eq!(receipt_wait(None).unwrap(), None);
    }

    #[test]
    fn times_keep_their_milliseconds() {
        let time = timestamp(1_700_000_000_123);
        assert_eq!((time.seconds, time.nanos), (1_700_000_000, 123_000_000));
    }
}
