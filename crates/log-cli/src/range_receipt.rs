//! A file that proves many entries at once.
//!
//! ```text
//! cairn/range-receipt@v1
//! range <start> <end>       half-open, decimal; one line for each run of indexes, ascending
//! [range ...]
//! [base64(hash)...]         the batch inclusion proof, one hash a line
//!
//! <the signed checkpoint, verbatim>
//! ```
//!
//! Modelled on c2sp.org/tlog-proof, which proves one entry: newline-separated lines, base64 of RFC
//! 4648 Section 4, and the checkpoint verbatim after an empty line. Ranges neither touch nor
//! overlap, so a set of indexes has one form. Order and count of the hashes follow from the indexes
//! and the tree size alone (`merkle::plan_batch_inclusion`).

use std::fmt::Write;
use std::ops::Range;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use formats::{CheckpointError, SignedCheckpoint};
use log_client::RangeReceipt;
use merkle::Hash;

const HEADER: &str = "cairn/range-receipt@v1";

/// Most entries one receipt proves: what the API gives in one call.
pub(crate) const RANGE_ENTRIES_MAX: u64 = 10_000;

/// Why a range receipt was refused, before anything was verified.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RangeReceiptError {
    #[error("it is not UTF-8")]
    NotUtf8,
    #[error("it does not start with the line {HEADER}")]
    Header,
    #[error("it has no range line")]
    NoRange,
    #[error("line {line} is no range of ascending indexes apart from the one before")]
    Range { line: usize },
    #[error("it proves more than {RANGE_ENTRIES_MAX} entries")]
    TooManyEntries,
    #[error("line {line} is no hash in base64")]
    Hash { line: usize },
    #[error("it has no empty line before its checkpoint")]
    NoSeparator,
    #[error("its checkpoint is malformed")]
    Checkpoint { source: CheckpointError },
}

/// Parses the canonical form. It verifies nothing.
pub(crate) fn parse(bytes: &[u8]) -> Result<RangeReceipt, RangeReceiptError> {
    let text = std::str::from_utf8(bytes).map_err(|_| RangeReceiptError::NotUtf8)?;
    let (head, checkpoint) = text.split_once("\n\n").ok_or(RangeReceiptError::NoSeparator)?;
    let mut lines = head.split('\n').zip(1..).peekable();
    if lines.next().is_none_or(|(header, _)| header != HEADER) {
        return Err(RangeReceiptError::Header);
    }
    let mut indexes = Vec::new();
    while let Some((range, line)) = lines.next_if(|(text, _)| text.starts_with("range ")) {
        let after = indexes.last().map(|range: &Range<u64>| range.end);
        indexes.push(parse_range(range, after).ok_or(RangeReceiptError::Range { line })?);
    }
    check_entries(&indexes)?;
    let hash = |(text, line)| parse_hash(text).ok_or(RangeReceiptError::Hash { line });
    let hashes = lines.map(hash).collect::<Result<Vec<_>, _>>()?;
    SignedCheckpoint::parse(checkpoint.as_bytes())
        .map_err(|source| RangeReceiptError::Checkpoint { source })?;
    Ok(RangeReceipt { checkpoint: Bytes::copy_from_slice(checkpoint.as_bytes()), indexes, hashes })
}

/// The file's bytes; [`parse`] gives the same receipt back.
pub(crate) fn format(receipt: &RangeReceipt) -> Vec<u8> {
    let mut text = format!("{HEADER}\n");
    for range in &receipt.indexes {
        writeln!(text, "range {} {}", range.start, range.end).expect("a string takes everything");
    }
    for hash in &receipt.hashes {
        STANDARD.encode_string(hash.as_bytes(), &mut text);
        text.push('\n');
    }
    text.push('\n');
    let mut bytes = text.into_bytes();
    bytes.extend_from_slice(&receipt.checkpoint);
    bytes
}

/// Ascending indexes, each once, as the fewest ranges.
pub(crate) fn ranges(indexes: impl IntoIterator<Item = u64>) -> Vec<Range<u64>> {
    let mut ranges: Vec<Range<u64>> = Vec::new();
    for index in indexes {
        match ranges.last_mut() {
            Some(last) if last.end == index => last.end += 1,
            _ => ranges.push(index..index + 1),
        }
    }
    ranges
}

fn parse_range(line: &str, after: Option<u64>) -> Option<Range<u64>> {
    let (start, end) = line.strip_prefix("range ")?.split_once(' ')?;
    let range = parse_decimal(start)?..parse_decimal(end)?;
    let apart = after.is_none_or(|after| range.start > after);
    (apart && range.start < range.end).then_some(range)
}

/// Digits alone, without leading zeros.
fn parse_decimal(text: &str) -> Option<u64> {
    let number: u64 = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}

fn parse_hash(line: &str) -> Option<Hash> {
    let bytes = STANDARD.decode(line).ok()?;
    Hash::try_from(bytes.as_slice()).ok()
}

fn check_entries(indexes: &[Range<u64>]) -> Result<(), RangeReceiptError> {
    if indexes.is_empty() {
        return Err(RangeReceiptError::NoRange);
    }
    let entries =
        indexes.iter().try_fold(0_u64, |sum, range| sum.checked_add(range.end - range.start));
    match entries {
        Some(entries) if entries <= RANGE_ENTRIES_MAX => Ok(()),
        _ => Err(RangeReceiptError::TooManyEntries),
    }
}
