//! An evidence file: events taken out of a log, with all that proves them.
//!
//! | module | what |
//! |---|---|
//! | [`manifest`] | what the file holds and says of itself: `manifest.json` |
//! | [`line`](mod@line) | one event with its leaf and blocks: a line of `events.ndjson` |
//! | [`filter`] | which events were asked for, evaluated where `core` is enough |
//! | [`proof`] | a batch inclusion proof: `proofs/NNNNNN.txt` |
//! | [`view`] | the same events as a table: columns, CSV, JSON |
//! | [`verify`] | whether everything holds |
//! | [`single`] | one event with its own receipt |
//! | [`finding`] | what does not |
//!
//! Containers (folder, zip) and Parquet are somebody else's: nothing here opens a file.

pub mod filter;
pub mod finding;
pub mod line;
pub mod manifest;
pub mod proof;
pub mod single;
pub mod verify;
pub mod view;

mod fields;
mod seen;
mod step;

pub use filter::Filter;
pub use finding::{Finding, Gap, Report, Status};
pub use line::Line;
pub use manifest::Manifest;
pub use proof::BatchProof;
pub use single::verify_event;
pub use step::Step;
pub use verify::Verifier;

/// Events that one file may hold.
pub const EVENTS_MAX: u64 = 10_000_000;

/// Events that one proof is about.
pub const EVENTS_PER_PROOF: u64 = 10_000;

/// Bytes of a manifest.
pub const MANIFEST_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Bytes of a line of `events.ndjson`, without its end.
pub const LINE_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Files in one evidence file, the manifest included.
pub const FILES_MAX: usize = 1_100;
