//! Cosignatures: timestamped statements about a checkpoint or subtree.
//!
//! A signature is the time as a big-endian `u64`, then the Ed25519 (64 bytes) or ML-DSA-44 (2,420
//! bytes) signature over one of two messages (<https://c2sp.org/tlog-cosignature>):
//!
//! ```text
//! Ed25519, type 0x04                 ML-DSA-44, type 0x06
//! cosignature/v1\n                   "subtree/v1\n\0"
//! time <seconds, decimal>\n          length (u8) || cosigner name
//! <the checkpoint's whole text>      time (u64)
//!                                    length (u8) || log origin
//!                                    start (u64) || end (u64) || hash (32)
//! ```
//!
//! The ML-DSA message leaves out a checkpoint's extension lines: nothing may depend on them.

use alloc::format;
use alloc::vec::Vec;
use core::fmt;

use merkle::Hash;

use crate::checkpoint::Checkpoint;
use crate::name::{KeyName, Origin};

/// Seconds since the Epoch (POSIX), at most 2^63 - 1, as cosignatures carry it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(u64);

/// A time beyond 2^63 - 1 seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the timestamp {seconds} exceeds 2^63 - 1 seconds")]
pub struct TimestampOutOfRange {
    /// Seconds found.
    pub seconds: u64,
}

impl Timestamp {
    /// The latest time there is.
    pub const MAX: Self = Self(u64::MAX >> 1);
    /// Carried by ML-DSA-44 cosignatures that make no statement as to time, as those of subtrees must.
    pub const ZERO: Self = Self(0);

    /// Checks a time.
    pub const fn new(seconds: u64) -> Result<Self, TimestampOutOfRange> {
        if seconds > Self::MAX.0 {
            return Err(TimestampOutOfRange { seconds });
        }
        Ok(Self(seconds))
    }

    /// Seconds since the Epoch.
    pub const fn seconds(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// The message a type 0x04 key signs; `text` is the checkpoint's, with its last newline.
pub(crate) fn ed25519_message(time: Timestamp, text: &str) -> Vec<u8> {
    format!("cosignature/v1\ntime {time}\n{text}").into_bytes()
}

/// The message a type 0x06 key signs for a whole checkpoint.
pub(crate) fn checkpoint_message(
    cosigner: &KeyName,
    time: Timestamp,
    checkpoint: &Checkpoint,
) -> Vec<u8> {
    let (origin, size) = (checkpoint.origin(), checkpoint.size());
    ml_dsa_44_message(cosigner, time, origin, (0, size.get()), checkpoint.root())
}

fn ml_dsa_44_message(
    cosigner: &KeyName,
    time: Timestamp,
    origin: &Origin,
    (start, end): (u64, u64),
    hash: &Hash,
) -> Vec<u8> {
    let mut message = Vec::with_capacity(12 + 2 * 256 + 3 * 8 + Hash::LEN);
    message.extend_from_slice(b"subtree/v1\n\0");
    push_short(&mut message, cosigner.as_str());
    message.extend_from_slice(&time.seconds().to_be_bytes());
    push_short(&mut message, origin.as_str());
    message.extend_from_slice(&start.to_be_bytes());
    message.extend_from_slice(&end.to_be_bytes());
    message.extend_from_slice(hash.as_bytes());
    message
}

/// Opaque bytes behind a one-byte length.
fn push_short(message: &mut Vec<u8>, name: &str) {
    let length = u8::try_from(name.len()).expect("names have at most 255 bytes");
    message.push(length);
    message.extend_from_slice(name.as_bytes());
}

/// Splits a cosignature into its time and the bare signature.
pub(crate) fn split_time(signature: &[u8]) -> Option<(Timestamp, &[u8])> {
    let (time, signature) = signature.split_first_chunk::<8>()?;
    let time = Timestamp::new(u64::from_be_bytes(*time)).ok()?;
    Some((time, signature))
}

/// The time and the bare signature as one.
pub(crate) fn join_time(time: Timestamp, signature: &[u8]) -> Vec<u8> {
    [&time.seconds().to_be_bytes(), signature].concat()
}
