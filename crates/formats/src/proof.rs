//! Proofs of one entry that verify offline: the receipts of a log.
//!
//! ```text
//! c2sp.org/tlog-proof@v1
//! [extra <base64>]
//! index <decimal>
//! [base64(hash)...]        the inclusion proof, from the leaf's sibling upwards
//!
//! <the signed checkpoint, verbatim>
//! ```
//!
//! <https://c2sp.org/tlog-proof>

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use merkle::{Hash, LeafIndex};

use crate::checkpoint::{CheckpointError, SignedCheckpoint, TREE_SIZE_MAX, VerifiedCheckpoint};
use crate::note::NOTE_BYTES_MAX;
use crate::parse::{self, Base64Error, Lines, NumberError};
use crate::trust::{Trust, TrustError};

/// Hashes a proof may have: the height of the largest tree.
pub const PROOF_HASHES_MAX: usize = 63;

/// Bytes of extra data a proof may carry.
pub const EXTRA_BYTES_MAX: usize = 64 * 1024;

/// Bytes a whole proof may have: the largest checkpoint, the largest extra data, 63 hashes, and
/// room.
pub const PROOF_BYTES_MAX: usize = NOTE_BYTES_MAX + EXTRA_BYTES_MAX / 3 * 4 + 4 * 1024;

const HEADER: &str = "c2sp.org/tlog-proof@v1";

/// Why a proof was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// More than [`PROOF_BYTES_MAX`] bytes.
    #[error("a proof of {bytes} bytes exceeds {PROOF_BYTES_MAX}")]
    TooLarge {
        /// Bytes found.
        bytes: usize,
    },
    /// Not UTF-8.
    #[error("a proof is not UTF-8 from byte {offset} on")]
    NotUtf8 {
        /// Where the first bad sequence starts.
        offset: usize,
    },
    /// The first line is not the one that a proof starts with.
    #[error("a proof does not start with the line {HEADER}")]
    Header,
    /// The base64 of the extra line.
    #[error("a proof's extra data is {0}")]
    Extra(Base64Error),
    /// An extra line without data. A proof without extra data has no such line.
    #[error("a proof has an empty extra line")]
    EmptyExtra,
    /// More than [`EXTRA_BYTES_MAX`] bytes of extra data.
    #[error("a proof's extra data of {bytes} bytes exceeds {EXTRA_BYTES_MAX}")]
    ExtraTooLarge {
        /// Bytes found.
        bytes: usize,
    },
    /// No index line where it belongs.
    #[error("a proof has no index line")]
    NoIndex,
    /// The index.
    #[error("a proof's index is {0}")]
    Index(NumberError),
    /// One line of the inclusion proof.
    #[error("hash {position} of a proof is {reason}")]
    Hash {
        /// Which hash, from 1.
        position: usize,
        /// What is wrong with it.
        reason: Base64Error,
    },
    /// More than [`PROOF_HASHES_MAX`] hashes.
    #[error("a proof has more than {PROOF_HASHES_MAX} hashes")]
    TooManyHashes,
    /// No empty line between hashes and checkpoint.
    #[error("a proof has no empty line before its checkpoint")]
    NoSeparator,
    /// The checkpoint, as it is written.
    #[error("the checkpoint of a proof is malformed")]
    Checkpoint(#[from] CheckpointError),
    /// The checkpoint is not believed.
    #[error("the checkpoint of a proof is not trusted")]
    Trust(#[from] TrustError),
    /// The entry is not where the proof says in the tree the checkpoint states.
    #[error("the entry is not at index {} of the tree of {size} leaves", index.get())]
    Inclusion {
        /// The index claimed.
        index: LeafIndex,
        /// The size of the checkpoint.
        size: u64,
        /// What the tree says.
        #[source]
        source: merkle::ProofError,
    },
    /// A remembered checkpoint was offered for the proof of another.
    #[error("the proof carries another checkpoint than the one verified")]
    OtherCheckpoint,
}

/// What proves that one entry stands in a log. **Not verified by being parsed.**
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlogProof {
    index: LeafIndex,
    hashes: Vec<Hash>,
    extra: Option<Vec<u8>>,
    checkpoint: SignedCheckpoint,
}

/// An entry proven to stand in a log, under a trusted checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedReceipt {
    index: LeafIndex,
    leaf: Hash,
    checkpoint: VerifiedCheckpoint,
}

impl TlogProof {
    /// Puts a proof together; hashes beyond the limit are refused.
    pub fn new(
        index: LeafIndex,
        hashes: Vec<Hash>,
        checkpoint: SignedCheckpoint,
    ) -> Result<Self, ProofError> {
        if hashes.len() > PROOF_HASHES_MAX {
            return Err(ProofError::TooManyHashes);
        }
        Ok(Self { index, hashes, extra: None, checkpoint })
    }

    /// The same proof with extra data. Nothing authenticates it.
    pub fn with_extra(mut self, extra: Vec<u8>) -> Result<Self, ProofError> {
        self.extra = Some(checked_extra(extra)?);
        Ok(self)
    }

    /// Parses a proof and its checkpoint. Accepts the canonical form only.
    pub fn parse(bytes: &[u8]) -> Result<Self, ProofError> {
        if bytes.len() > PROOF_BYTES_MAX {
            return Err(ProofError::TooLarge { bytes: bytes.len() });
        }
        let text = core::str::from_utf8(bytes)
            .map_err(|error| ProofError::NotUtf8 { offset: error.valid_up_to() })?;
        let mut lines = Lines::new(text);
        if lines.take() != Some(HEADER) {
            return Err(ProofError::Header);
        }
        let (extra, index) = parse_extra_and_index(&mut lines)?;
        let hashes = parse_hashes(&mut lines)?;
        let checkpoint = SignedCheckpoint::parse(lines.rest().as_bytes())?;
        Ok(Self { index, hashes, extra, checkpoint })
    }

    /// The bytes of the proof; [`TlogProof::parse`] gives the same proof back.
    pub fn format(&self) -> Vec<u8> {
        format_parts(self.index, &self.hashes, self.extra.as_deref(), self.checkpoint.as_bytes())
    }

    /// The bytes of a proof under a checkpoint that the caller signed or parsed before. A log that
    /// answers with these need not parse its own head for each answer.
    pub fn format_under(index: LeafIndex, hashes: &[Hash], checkpoint: &[u8]) -> Vec<u8> {
        format_parts(index, hashes, None, checkpoint)
    }

    /// The entry's index, as claimed.
    pub fn index(&self) -> LeafIndex {
        self.index
    }

    /// The inclusion proof, from the leaf's sibling upwards.
    pub fn hashes(&self) -> &[Hash] {
        &self.hashes
    }

    /// Extra data, if any. **Nothing authenticates it**, verified or not.
    pub fn extra(&self) -> Option<&[u8]> {
        self.extra.as_deref()
    }

    /// The checkpoint, as claimed.
    pub fn checkpoint(&self) -> &SignedCheckpoint {
        &self.checkpoint
    }

    /// Verifies that `entry` stands in a log that `trust` believes.
    pub fn verify_entry(&self, entry: &[u8], trust: &Trust) -> Result<VerifiedReceipt, ProofError> {
        self.verify(&merkle::leaf_hash(entry), trust)
    }

    /// Verifies that the entry of this leaf hash stands in a log that `trust` believes. Costs the
    /// checkpoint's signatures, and one hash for each level of the tree.
    pub fn verify(&self, leaf: &Hash, trust: &Trust) -> Result<VerifiedReceipt, ProofError> {
        let checkpoint = trust.verify(&self.checkpoint)?;
        self.verify_inclusion(leaf, checkpoint)
    }

    /// As [`TlogProof::verify`] with a checkpoint already verified, byte for byte the one in the
    /// proof. Costs no signature.
    pub fn verify_under(
        &self,
        leaf: &Hash,
        verified: &VerifiedCheckpoint,
    ) -> Result<VerifiedReceipt, ProofError> {
        if self.checkpoint.as_bytes() != verified.as_bytes() {
            return Err(ProofError::OtherCheckpoint);
        }
        self.verify_inclusion(leaf, verified.clone())
    }

    fn verify_inclusion(
        &self,
        leaf: &Hash,
        checkpoint: VerifiedCheckpoint,
    ) -> Result<VerifiedReceipt, ProofError> {
        let (index, size, root) = (self.index, checkpoint.size(), checkpoint.root());
        merkle::verify_inclusion(leaf, index, size, &self.hashes, root)
            .map_err(|source| ProofError::Inclusion { index, size: size.get(), source })?;
        Ok(VerifiedReceipt { index, leaf: *leaf, checkpoint })
    }
}

fn format_parts(
    index: LeafIndex,
    hashes: &[Hash],
    extra: Option<&[u8]>,
    checkpoint: &[u8],
) -> Vec<u8> {
    let mut text = String::with_capacity(64 + hashes.len() * 45 + checkpoint.len());
    text.push_str(HEADER);
    text.push('\n');
    if let Some(extra) = extra {
        text.push_str("extra ");
        parse::push_base64(extra, &mut text);
        text.push('\n');
    }
    fmt::Write::write_fmt(&mut text, format_args!("index {}\n", index.get()))
        .expect("writing to a string cannot fail");
    push_hashes(hashes, &mut text);
    text.push('\n');
    let mut bytes = text.into_bytes();
    bytes.extend_from_slice(checkpoint);
    bytes
}

impl VerifiedReceipt {
    /// Where the entry stands.
    pub fn index(&self) -> LeafIndex {
        self.index
    }

    /// The entry's leaf hash.
    pub fn leaf(&self) -> &Hash {
        &self.leaf
    }

    /// The checkpoint it stands under.
    pub fn checkpoint(&self) -> &VerifiedCheckpoint {
        &self.checkpoint
    }

    /// The checkpoint it stands under.
    pub fn into_checkpoint(self) -> VerifiedCheckpoint {
        self.checkpoint
    }
}

/// Why a list of hash lines was refused; each format wraps it in its own words.
pub(crate) enum HashLinesError {
    Hash { position: usize, reason: Base64Error },
    TooMany,
    NoSeparator,
}

/// Hash lines up to and with the empty line after them.
pub(crate) fn take_hash_lines(lines: &mut Lines<'_>) -> Result<Vec<Hash>, HashLinesError> {
    let mut hashes = Vec::new();
    loop {
        let line = lines.take().ok_or(HashLinesError::NoSeparator)?;
        if line.is_empty() {
            return Ok(hashes);
        }
        if hashes.len() == PROOF_HASHES_MAX {
            return Err(HashLinesError::TooMany);
        }
        let position = hashes.len() + 1;
        let hash = parse::hash(line).map_err(|reason| HashLinesError::Hash { position, reason })?;
        hashes.push(hash);
    }
}

/// One line for each hash.
pub(crate) fn push_hashes(hashes: &[Hash], text: &mut String) {
    for hash in hashes {
        parse::push_base64(hash.as_bytes(), text);
        text.push('\n');
    }
}

fn parse_hashes(lines: &mut Lines<'_>) -> Result<Vec<Hash>, ProofError> {
    take_hash_lines(lines).map_err(|error| match error {
        HashLinesError::Hash { position, reason } => ProofError::Hash { position, reason },
        HashLinesError::TooMany => ProofError::TooManyHashes,
        HashLinesError::NoSeparator => ProofError::NoSeparator,
    })
}

fn parse_extra_and_index(
    lines: &mut Lines<'_>,
) -> Result<(Option<Vec<u8>>, LeafIndex), ProofError> {
    let mut line = lines.take().ok_or(ProofError::NoIndex)?;
    let extra = match line.strip_prefix("extra ") {
        Some(encoded) => {
            let extra = checked_extra(parse::base64(encoded).map_err(ProofError::Extra)?)?;
            line = lines.take().ok_or(ProofError::NoIndex)?;
            Some(extra)
        }
        None => None,
    };
    let digits = line.strip_prefix("index ").ok_or(ProofError::NoIndex)?;
    Ok((extra, parse_index(digits).map_err(ProofError::Index)?))
}

fn checked_extra(extra: Vec<u8>) -> Result<Vec<u8>, ProofError> {
    match extra.len() {
        0 => Err(ProofError::EmptyExtra),
        bytes if bytes > EXTRA_BYTES_MAX => Err(ProofError::ExtraTooLarge { bytes }),
        _ => Ok(extra),
    }
}

fn parse_index(digits: &str) -> Result<LeafIndex, NumberError> {
    let max = TREE_SIZE_MAX - 1;
    let index = parse::decimal(digits, max)?;
    LeafIndex::new(index).map_err(|_| NumberError::TooLarge { max })
}
