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
//! The ML-DSA message leaves out a checkpoint's extension lines, so nothing may depend on them.

use alloc::format;
use alloc::vec::Vec;
use core::fmt;
use core::ops::Range;

use merkle::{Hash, Subtree};

use crate::checkpoint::Checkpoint;
use crate::key::{KeyKind, VerifierKey};
use crate::name::{KeyName, Origin};
use crate::note::SignatureLine;

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
    /// An ML-DSA-44 cosignature with this time states no time. Cosignatures of subtrees that do not
    /// start at 0 must carry it.
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

/// Why a cosignature of a subtree was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SubtreeSignatureError {
    /// The line's name and id are of another key.
    #[error("the signature line of {name}+{id:08x} is of another key")]
    OtherKey {
        /// The line's name.
        name: KeyName,
        /// The line's id.
        id: u32,
    },
    /// Keys of this kind do not sign subtrees.
    #[error("a key of signature type {signature_type:#04x} signs no subtrees")]
    Kind {
        /// The key's type.
        signature_type: u8,
    },
    /// The subtree does not start at 0, so its cosignature may not state a time.
    #[error("a cosignature of a subtree that does not start at 0 states the time {time}")]
    StatesTime {
        /// The time stated.
        time: Timestamp,
    },
    /// The signature itself.
    #[error("the subtree cosignature of {name}+{id:08x} does not verify")]
    BadSignature {
        /// The key's name.
        name: KeyName,
        /// The key's id.
        id: u32,
    },
}

/// Verifies a cosignature of a subtree of the log `origin`. Gives the time it states: zero from
/// `sign-subtree`, and always zero where the subtree does not start at 0.
pub fn verify_subtree(
    key: &VerifierKey,
    line: &SignatureLine,
    origin: &Origin,
    subtree: Subtree,
    hash: &Hash,
) -> Result<Timestamp, SubtreeSignatureError> {
    let (name, id) = (line.name().clone(), line.id());
    if !key.signs_as(name.as_str(), id) {
        return Err(SubtreeSignatureError::OtherKey { name, id });
    }
    if key.kind() != KeyKind::CosignatureMlDsa44 {
        let signature_type = key.kind().signature_type();
        return Err(SubtreeSignatureError::Kind { signature_type });
    }
    let Some((time, signature)) = split_time(line.signature()) else {
        return Err(SubtreeSignatureError::BadSignature { name, id });
    };
    if subtree.start() != 0 && time != Timestamp::ZERO {
        return Err(SubtreeSignatureError::StatesTime { time });
    }
    let message = subtree_message(key.name(), time, origin, subtree, hash);
    if !key.verify_raw(&message, signature) {
        return Err(SubtreeSignatureError::BadSignature { name, id });
    }
    Ok(time)
}

/// The message a type 0x04 key signs; `text` is the checkpoint's, with its last newline.
pub(crate) fn ed25519_message(time: Timestamp, text: &str) -> Vec<u8> {
    format!("cosignature/v1\ntime {time}\n{text}").into_bytes()
}

/// The message a type 0x06 key signs for a whole checkpoint, of an empty tree too.
pub(crate) fn checkpoint_message(
    cosigner: &KeyName,
    time: Timestamp,
    checkpoint: &Checkpoint,
) -> Vec<u8> {
    let leaves = 0..checkpoint.size().get();
    ml_dsa_44_message(cosigner, time, checkpoint.origin(), leaves, checkpoint.root())
}

/// The message a type 0x06 key signs for a subtree.
pub(crate) fn subtree_message(
    cosigner: &KeyName,
    time: Timestamp,
    origin: &Origin,
    subtree: Subtree,
    hash: &Hash,
) -> Vec<u8> {
    ml_dsa_44_message(cosigner, time, origin, subtree.leaves(), hash)
}

/// The `cosigned_message` of the specification.
fn ml_dsa_44_message(
    cosigner: &KeyName,
    time: Timestamp,
    origin: &Origin,
    leaves: Range<u64>,
    hash: &Hash,
) -> Vec<u8> {
    [
        b"subtree/v1\n\0".as_slice(),
        &[short_length(cosigner.as_str())],
        cosigner.as_str().as_bytes(),
        &time.seconds().to_be_bytes(),
        &[short_length(origin.as_str())],
        origin.as_str().as_bytes(),
        &leaves.start.to_be_bytes(),
        &leaves.end.to_be_bytes(),
        hash.as_bytes(),
    ]
    .concat()
}

/// The one byte before opaque bytes.
fn short_length(name: &str) -> u8 {
    u8::try_from(name.len()).expect("names have at most 255 bytes")
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
