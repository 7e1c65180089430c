//! The asking side of <https://c2sp.org/tlog-witness>: submit a checkpoint, read what a witness holds.
//!
//! Nothing a witness answers is believed here: cosignatures are bytes to verify, sizes are claims. Every
//! call is bounded in time and in bytes, follows no redirect and is sent once; when to ask again is the
//! caller's to decide.

#![warn(missing_docs)]

mod answer;
mod call;
mod url;

pub use answer::Answer;
pub use call::{CallError, WitnessClient};
pub use tls::AuthoritiesError;
pub use url::{UrlError, WitnessUrl};

/// The longest answer of signature lines that is read, in bytes: a dozen post-quantum signatures.
pub const ANSWER_BYTES_MAX: usize = 64 * 1024;
