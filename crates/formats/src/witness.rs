//! The request bodies of witnesses (<https://c2sp.org/tlog-witness>).
//!
//! ```text
//! old <decimal>                      subtree <start> <end>
//! [base64(hash)...]                  base64(subtree hash)
//!                                    [base64(hash)...]
//! <signed checkpoint>
//!                                    <signed checkpoint>
//! ```
//!
//! Parsing refuses what makes a request malformed (status 400). The answer to a well-formed request
//! depends on what the witness knows, so the witness decides it. That includes an `old` beyond the
//! checkpoint's size.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write as _;

use merkle::{Hash, Subtree, SubtreeError, TreeSize};

use crate::checkpoint::{self, CheckpointError, SignedCheckpoint};
use crate::note::NOTE_BYTES_MAX;
use crate::parse::{self, Base64Error, Lines, NumberError};
use crate::proof::{self, HashLinesError, PROOF_HASHES_MAX};

/// Bytes a request body may have: the largest note, 64 hashes, and room for the first line.
pub const BODY_BYTES_MAX: usize = NOTE_BYTES_MAX + 4 * 1024;

/// Why a request body was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// More than [`BODY_BYTES_MAX`] bytes.
    #[error("a body of {bytes} bytes exceeds {BODY_BYTES_MAX}")]
    TooLarge {
        /// Bytes found.
        bytes: usize,
    },
    /// Not UTF-8.
    #[error("a body is not UTF-8 from byte {offset} on")]
    NotUtf8 {
        /// Where the first bad sequence starts.
        offset: usize,
    },
    /// The first line is not what this request starts with.
    #[error("a body does not start with the line: {form}")]
    FirstLine {
        /// What belongs there.
        form: &'static str,
    },
    /// The old size.
    #[error("the old size is {0}")]
    OldSize(NumberError),
    /// The start of the subtree.
    #[error("the subtree's start is {0}")]
    Start(NumberError),
    /// The end of the subtree.
    #[error("the subtree's end is {0}")]
    End(NumberError),
    /// Start and end are not those of a subtree.
    #[error("the range is no subtree")]
    Subtree(#[from] SubtreeError),
    /// The subtree ends after the checkpoint.
    #[error("the subtree ends at {end}, beyond the checkpoint's size {size}")]
    BeyondCheckpoint {
        /// The subtree's end.
        end: u64,
        /// The checkpoint's size.
        size: u64,
    },
    /// No line with the subtree's hash.
    #[error("a body has no line with the subtree's hash")]
    NoSubtreeHash,
    /// The subtree's hash.
    #[error("the subtree's hash is {0}")]
    SubtreeHash(Base64Error),
    /// One line of the consistency proof.
    #[error("hash {position} of the proof is {reason}")]
    Hash {
        /// Which hash, from 1.
        position: usize,
        /// What is wrong with it.
        reason: Base64Error,
    },
    /// More than [`PROOF_HASHES_MAX`] hashes.
    #[error("the proof has more than {PROOF_HASHES_MAX} hashes")]
    TooManyHashes,
    /// No empty line between proof and checkpoint.
    #[error("a body has no empty line before its checkpoint")]
    NoSeparator,
    /// The checkpoint.
    #[error("the checkpoint is malformed")]
    Checkpoint(#[from] CheckpointError),
}

/// The body of `add-checkpoint`: a checkpoint, and the proof that it continues an earlier one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddCheckpoint {
    old: TreeSize,
    proof: Vec<Hash>,
    checkpoint: SignedCheckpoint,
}

impl AddCheckpoint {
    /// Puts a request together; hashes beyond the limit are refused.
    pub fn new(
        old: TreeSize,
        proof: Vec<Hash>,
        checkpoint: SignedCheckpoint,
    ) -> Result<Self, BodyError> {
        check_hashes(&proof)?;
        Ok(Self { old, proof, checkpoint })
    }

    /// Parses a body. Accepts the canonical form only.
    pub fn parse(body: &[u8]) -> Result<Self, BodyError> {
        let mut lines = Lines::new(checked_body(body)?);
        let old = lines
            .take()
            .and_then(|line| line.strip_prefix("old "))
            .ok_or(BodyError::FirstLine { form: "old <size>" })?;
        let old = checkpoint::parse_size(old).map_err(BodyError::OldSize)?;
        let proof = take_proof(&mut lines)?;
        let checkpoint = SignedCheckpoint::parse(lines.rest().as_bytes())?;
        Ok(Self { old, proof, checkpoint })
    }

    /// The bytes of the body; [`AddCheckpoint::parse`] gives the same request back.
    pub fn format(&self) -> Vec<u8> {
        let mut head = String::new();
        writeln!(head, "old {}", self.old.get()).expect("writing to a string cannot fail");
        finish(head, &self.proof, &self.checkpoint)
    }

    /// The size of the checkpoint the witness is thought to hold.
    pub fn old(&self) -> TreeSize {
        self.old
    }

    /// The consistency proof from the old size to the checkpoint's.
    pub fn proof(&self) -> &[Hash] {
        &self.proof
    }

    /// The checkpoint, unverified.
    pub fn checkpoint(&self) -> &SignedCheckpoint {
        &self.checkpoint
    }
}

/// The body of `sign-subtree`: a subtree, and the proof that a checkpoint contains it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignSubtree {
    subtree: Subtree,
    hash: Hash,
    proof: Vec<Hash>,
    checkpoint: SignedCheckpoint,
}

impl SignSubtree {
    /// Puts a request together; hashes beyond the limit, and a subtree beyond the checkpoint, are
    /// refused.
    pub fn new(
        subtree: Subtree,
        hash: Hash,
        proof: Vec<Hash>,
        checkpoint: SignedCheckpoint,
    ) -> Result<Self, BodyError> {
        check_hashes(&proof)?;
        if subtree.end() > checkpoint.size() {
            let (end, size) = (subtree.end().get(), checkpoint.size().get());
            return Err(BodyError::BeyondCheckpoint { end, size });
        }
        Ok(Self { subtree, hash, proof, checkpoint })
    }

    /// Parses a body. Accepts the canonical form only.
    pub fn parse(body: &[u8]) -> Result<Self, BodyError> {
        let mut lines = Lines::new(checked_body(body)?);
        let subtree = parse_range(lines.take())?;
        let hash = lines.take().ok_or(BodyError::NoSubtreeHash)?;
        let hash = parse::hash(hash).map_err(BodyError::SubtreeHash)?;
        let proof = take_proof(&mut lines)?;
        let checkpoint = SignedCheckpoint::parse(lines.rest().as_bytes())?;
        Self::new(subtree, hash, proof, checkpoint)
    }

    /// The bytes of the body; [`SignSubtree::parse`] gives the same request back.
    pub fn format(&self) -> Vec<u8> {
        let mut head = String::new();
        let (start, end) = (self.subtree.start(), self.subtree.end().get());
        writeln!(head, "subtree {start} {end}").expect("writing to a string cannot fail");
        proof::push_hashes(&[self.hash], &mut head);
        finish(head, &self.proof, &self.checkpoint)
    }

    /// The subtree to sign.
    pub fn subtree(&self) -> Subtree {
        self.subtree
    }

    /// The hash it is said to have.
    pub fn hash(&self) -> &Hash {
        &self.hash
    }

    /// The subtree consistency proof to the checkpoint.
    pub fn proof(&self) -> &[Hash] {
        &self.proof
    }

    /// The reference checkpoint, unverified.
    pub fn checkpoint(&self) -> &SignedCheckpoint {
        &self.checkpoint
    }
}

fn checked_body(body: &[u8]) -> Result<&str, BodyError> {
    if body.len() > BODY_BYTES_MAX {
        return Err(BodyError::TooLarge { bytes: body.len() });
    }
    core::str::from_utf8(body).map_err(|error| BodyError::NotUtf8 { offset: error.valid_up_to() })
}

fn parse_range(line: Option<&str>) -> Result<Subtree, BodyError> {
    let (start, end) = line
        .and_then(|line| line.strip_prefix("subtree "))
        .and_then(|range| range.split_once(' '))
        .ok_or(BodyError::FirstLine { form: "subtree <start> <end>" })?;
    let start = checkpoint::parse_size(start).map_err(BodyError::Start)?;
    let end = checkpoint::parse_size(end).map_err(BodyError::End)?;
    Ok(Subtree::new(start.get()..end.get())?)
}

fn take_proof(lines: &mut Lines<'_>) -> Result<Vec<Hash>, BodyError> {
    proof::take_hash_lines(lines).map_err(|error| match error {
        HashLinesError::Hash { position, reason } => BodyError::Hash { position, reason },
        HashLinesError::TooMany => BodyError::TooManyHashes,
        HashLinesError::NoSeparator => BodyError::NoSeparator,
    })
}

fn check_hashes(proof: &[Hash]) -> Result<(), BodyError> {
    if proof.len() > PROOF_HASHES_MAX { Err(BodyError::TooManyHashes) } else { Ok(()) }
}

fn finish(head: String, proof: &[Hash], checkpoint: &SignedCheckpoint) -> Vec<u8> {
    let mut body = head;
    proof::push_hashes(proof, &mut body);
    body.push('\n');
    let mut body = body.into_bytes();
    body.extend_from_slice(checkpoint.as_bytes());
    body
}
