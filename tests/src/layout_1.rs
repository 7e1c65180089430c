//! What the stored data folder `fixtures/layout-1` holds: the tool that made it and the test that
//! opens it agree here. Never changed, as the folder never is.

use std::path::{Path, PathBuf};

/// A log with deduplication keys and a producer's stream, its last commits in the write-ahead log
/// only.
pub const OPEN_LOG: &str = "default";
/// A log that deduplicates whole entries, and is frozen.
pub const FROZEN_LOG: &str = "frozen";
/// Entries of the frozen log.
pub const FROZEN: u64 = 20;

/// Entries with keys that were flushed to table files, in the open log from index 0 on.
pub const KEYED_FLUSHED: u64 = 300;
/// The producer's sequences, in the open log behind them.
pub const SEQUENCES: u64 = 100;
/// Entries with keys that were in the write-ahead log alone, behind those.
pub const KEYED_UNFLUSHED: u64 = 130;
/// Who streamed.
pub const PRODUCER: [u8; 16] = *b"layout-1-stream.";

/// The folder of the fixture.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/layout-1")
}

/// An entry with a key: its bytes and the key.
pub fn keyed(number: u64) -> (String, String) {
    (format!("keyed entry {number}"), format!("key {number}"))
}

/// An entry of the producer's stream.
pub fn streamed(sequence: u64) -> String {
    format!("sequence {sequence}")
}

/// An entry of the frozen log.
pub fn frozen(number: u64) -> String {
    format!("frozen entry {number}")
}

/// Every entry of the open log, in order.
pub fn open_log_entries() -> Vec<String> {
    let keyed = |number| keyed(number).0;
    (0..KEYED_FLUSHED)
        .map(keyed)
        .chain((1..=SEQUENCES).map(streamed))
        .chain((KEYED_FLUSHED..KEYED_FLUSHED + KEYED_UNFLUSHED).map(keyed))
        .collect()
}
