//! Evidence: what shows anyone that a log contradicted itself.
//!
//! ```text
//! cairn/evidence@v1
//! origin <origin>
//! [base64(hash)...]        a prefix proof, if the two sizes differ
//!
//! <a signed checkpoint, verbatim>
//!
//! <another signed checkpoint of the log, verbatim>
//! ```
//!
//! There are three kinds, and their sizes say which one it is:
//!
//! | sizes | the log signed | holds if |
//! |---|---|---|
//! | one checkpoint, of size 0 | another root than the empty tree's | that root differs |
//! | two equal ones | two roots for one size | the roots differ; the lower one stands first |
//! | m < n | a tree that does not continue an older one | the tree of n had another root at m |
//!
//! For the last kind the hashes are those of [`merkle::prefix_root`]: the frontier of m, always
//! written out, and what completes it to the signed root of n. They cannot be made up, so nobody can
//! make evidence against a log whose heads are all of one tree. A consistency proof that fails, or is
//! missing, is no evidence: anyone can make a wrong one.

use alloc::string::String;
use alloc::vec::Vec;
use core::borrow::Borrow;
use core::fmt;

use merkle::{Hash, TreeSize};

use crate::checkpoint::{CheckpointError, SignedCheckpoint, VerifiedCheckpoint};
use crate::key::VerifierKey;
use crate::name::{NameError, Origin};
use crate::note::NOTE_BYTES_MAX;
use crate::parse::{self, Base64Error, Lines};
use crate::proof;

/// Hashes a prefix proof may have: the height of the largest tree, and one more.
pub const PREFIX_HASHES_MAX: usize = 64;

/// Bytes an evidence file may have: the two largest checkpoints, 64 hashes, and room.
pub const EVIDENCE_BYTES_MAX: usize = 2 * NOTE_BYTES_MAX + 4 * 1024;

const HEADER: &str = "cairn/evidence@v1";

/// Why a file is no evidence at all: it cannot be read, or is not in the one form it has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EvidenceError {
    /// More than [`EVIDENCE_BYTES_MAX`] bytes.
    #[error("evidence of {bytes} bytes exceeds {EVIDENCE_BYTES_MAX}")]
    TooLarge {
        /// Bytes found.
        bytes: usize,
    },
    /// Not UTF-8.
    #[error("evidence is not UTF-8 from byte {offset} on")]
    NotUtf8 {
        /// Where the first bad sequence starts.
        offset: usize,
    },
    /// The first line is not the one that evidence starts with.
    #[error("evidence does not start with the line {HEADER}")]
    Header,
    /// The second line names no origin.
    #[error("evidence has no origin line")]
    NoOrigin,
    /// The origin.
    #[error("evidence has a bad origin")]
    Origin(#[from] NameError),
    /// One line of the prefix proof.
    #[error("hash {position} of evidence is {reason}")]
    Hash {
        /// Which hash, from 1.
        position: usize,
        /// What is wrong with it.
        reason: Base64Error,
    },
    /// More than [`PREFIX_HASHES_MAX`] hashes.
    #[error("evidence has more than {PREFIX_HASHES_MAX} hashes")]
    TooManyHashes,
    /// An empty line is missing, or there is one too many.
    #[error("evidence does not have an empty line before each of one or two checkpoints")]
    Form,
    /// A checkpoint, as it is written.
    #[error("checkpoint {position} of evidence is malformed")]
    Checkpoint {
        /// Which one, from 1.
        position: usize,
        /// What is wrong with it.
        #[source]
        source: CheckpointError,
    },
    /// A checkpoint of another log than the origin line names.
    #[error("evidence about {expected} holds a checkpoint of {found}")]
    OtherLog {
        /// The origin line.
        expected: Origin,
        /// The checkpoint's.
        found: Origin,
    },
    /// One checkpoint alone says something only of the empty tree.
    #[error("evidence has a single checkpoint, of size {size} and not of size 0")]
    Alone {
        /// Its size.
        size: u64,
    },
    /// A checkpoint of size 0 beside another one. It can be evidence only by itself.
    #[error("evidence has a checkpoint of size 0 beside another, where it belongs alone")]
    EmptyBesideAnother,
    /// The smaller checkpoint, or of equal sizes the one with the lower root, comes first.
    #[error("the checkpoints of evidence are not in ascending order")]
    Order,
    /// Hashes where none belong: between equal sizes, and beside a single checkpoint.
    #[error("evidence without two sizes has {found} hashes")]
    HashesWithoutSizes {
        /// Hashes found.
        found: usize,
    },
}

/// Why evidence does not show that the log misbehaved. It can be read, and proves nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotShown {
    /// A checkpoint that no given key of the log has signed: another log's, or a forgery.
    #[error("the checkpoint of size {size} is not signed by a key of the log")]
    NotSigned {
        /// Its size.
        size: u64,
        /// What the signatures say.
        #[source]
        source: CheckpointError,
    },
    /// The empty tree's own root, for size 0.
    #[error("the checkpoint of size 0 has the root of the empty tree")]
    EmptyRoot,
    /// The same root for the same size.
    #[error("both checkpoints have the root {root} for size {size}")]
    SameHead {
        /// Their size.
        size: u64,
        /// Their root.
        root: Hash,
    },
    /// The hashes do not lead to the signed root of the larger tree, so they say nothing.
    #[error("the hashes are no proof of what the tree of size {size} was at size {at}")]
    Proof {
        /// The older size.
        at: u64,
        /// The larger tree's size.
        size: u64,
        /// What they lead to.
        #[source]
        source: merkle::ProofError,
    },
    /// The larger tree continues the smaller one: the log did what it should.
    #[error("the tree of size {size} continues the one of size {at}")]
    Continues {
        /// The smaller size.
        at: u64,
        /// The larger size.
        size: u64,
    },
}

/// What a log did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Contradiction {
    /// It signed another root than the empty one for size 0.
    EmptyRoot,
    /// It signed two roots for one size.
    TwoRoots,
    /// It signed a tree that does not continue an older one it had signed.
    NotContinued,
}

/// Evidence as it is written. **Nothing is shown until [`Evidence::verify`] says so.**
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    hashes: Vec<Hash>,
    first: SignedCheckpoint,
    second: Option<SignedCheckpoint>,
}

/// Evidence that was verified: the log's own signatures show that it misbehaved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misbehaviour {
    contradiction: Contradiction,
    first: VerifiedCheckpoint,
    second: Option<VerifiedCheckpoint>,
}

impl Evidence {
    /// Evidence of one checkpoint of size 0.
    pub fn of_empty(checkpoint: SignedCheckpoint) -> Result<Self, EvidenceError> {
        Self { hashes: Vec::new(), first: checkpoint, second: None }.checked()
    }

    /// Evidence of two checkpoints of one size, in any order.
    pub fn of_same_size(
        one: SignedCheckpoint,
        other: SignedCheckpoint,
    ) -> Result<Self, EvidenceError> {
        let mut checkpoints = [one, other];
        checkpoints.sort_by_key(|checkpoint| *checkpoint.root());
        let [first, second] = checkpoints;
        Self { hashes: Vec::new(), first, second: Some(second) }.checked()
    }

    /// Evidence of two checkpoints of different sizes, with the prefix proof of the smaller size in
    /// the larger tree.
    pub fn of_sizes(
        smaller: SignedCheckpoint,
        larger: SignedCheckpoint,
        prefix: Vec<Hash>,
    ) -> Result<Self, EvidenceError> {
        Self { hashes: prefix, first: smaller, second: Some(larger) }.checked()
    }

    /// Parses an evidence file. Accepts the canonical form only.
    pub fn parse(bytes: &[u8]) -> Result<Self, EvidenceError> {
        if bytes.len() > EVIDENCE_BYTES_MAX {
            return Err(EvidenceError::TooLarge { bytes: bytes.len() });
        }
        let text = core::str::from_utf8(bytes)
            .map_err(|error| EvidenceError::NotUtf8 { offset: error.valid_up_to() })?;
        let mut lines = Lines::new(text);
        if lines.take() != Some(HEADER) {
            return Err(EvidenceError::Header);
        }
        let origin = lines.take().and_then(|line| line.strip_prefix("origin "));
        let origin = Origin::new(origin.ok_or(EvidenceError::NoOrigin)?)?;
        let hashes = take_hashes(&mut lines)?;
        let (first, second) = split_notes(lines.rest())?;
        let second = second.map(|note| parse_checkpoint(2, note, &origin)).transpose()?;
        let first = parse_checkpoint(1, first, &origin)?;
        Self { hashes, first, second }.checked()
    }

    /// The bytes of the file; [`Evidence::parse`] gives the same evidence back.
    pub fn format(&self) -> Vec<u8> {
        let mut head = String::from(HEADER);
        head.push_str("\norigin ");
        head.push_str(self.origin().as_str());
        head.push('\n');
        proof::push_hashes(&self.hashes, &mut head);
        let mut bytes = head.into_bytes();
        for checkpoint in core::iter::once(&self.first).chain(&self.second) {
            bytes.push(b'\n');
            bytes.extend_from_slice(checkpoint.as_bytes());
        }
        bytes
    }

    /// The log it is about.
    pub fn origin(&self) -> &Origin {
        self.first.origin()
    }

    /// The checkpoint of the smaller size, or of two of one size the one with the lower root.
    pub fn first(&self) -> &SignedCheckpoint {
        &self.first
    }

    /// The other one, if there are two.
    pub fn second(&self) -> Option<&SignedCheckpoint> {
        self.second.as_ref()
    }

    /// The prefix proof; empty unless the sizes differ.
    pub fn hashes(&self) -> &[Hash] {
        &self.hashes
    }

    /// What the log did if the evidence holds.
    pub fn claim(&self) -> Contradiction {
        match &self.second {
            None => Contradiction::EmptyRoot,
            Some(second) if second.size() == self.first.size() => Contradiction::TwoRoots,
            Some(_) => Contradiction::NotContinued,
        }
    }

    /// Whether this shows that the log whose keys these are contradicted itself. Every checkpoint
    /// must be signed by one of `keys` whose name is the origin. Costs their signatures, and at most
    /// 128 hashes.
    pub fn verify<K: Borrow<VerifierKey>>(&self, keys: &[K]) -> Result<Misbehaviour, NotShown> {
        let signed = |checkpoint: &SignedCheckpoint| {
            let size = checkpoint.size().get();
            checkpoint.verify(keys).map_err(|source| NotShown::NotSigned { size, source })
        };
        let first = signed(&self.first)?;
        let second = self.second.as_ref().map(signed).transpose()?;
        self.contradicts()?;
        Ok(Misbehaviour { contradiction: self.claim(), first, second })
    }

    /// Whether the checkpoints contradict each other, **whoever signed them**: for a caller that
    /// has verified the signatures already.
    pub fn contradicts(&self) -> Result<(), NotShown> {
        let (at, stated) = (self.first.size(), *self.first.root());
        let Some(second) = &self.second else {
            let contradicts = self.first.checkpoint().is_empty_with_wrong_root();
            return if contradicts { Ok(()) } else { Err(NotShown::EmptyRoot) };
        };
        let size = second.size();
        if at == size {
            let same = NotShown::SameHead { size: size.get(), root: stated };
            return if stated == *second.root() { Err(same) } else { Ok(()) };
        }
        let (at_size, size_number) = (at.get(), size.get());
        let was = merkle::prefix_root(at, size, second.root(), &self.hashes)
            .map_err(|source| NotShown::Proof { at: at_size, size: size_number, source })?;
        if was == stated {
            return Err(NotShown::Continues { at: at_size, size: size_number });
        }
        Ok(())
    }

    /// The one form each contradiction is written in.
    fn checked(self) -> Result<Self, EvidenceError> {
        let (size, found) = (self.first.size(), self.hashes.len());
        if found > PREFIX_HASHES_MAX {
            return Err(EvidenceError::TooManyHashes);
        }
        let Some(second) = &self.second else {
            return match size {
                TreeSize::ZERO if found == 0 => Ok(self),
                TreeSize::ZERO => Err(EvidenceError::HashesWithoutSizes { found }),
                size => Err(EvidenceError::Alone { size: size.get() }),
            };
        };
        if second.origin() != self.origin() {
            let (expected, found) = (self.origin().clone(), second.origin().clone());
            return Err(EvidenceError::OtherLog { expected, found });
        }
        if (second.size(), second.root()) < (size, self.first.root()) {
            return Err(EvidenceError::Order);
        }
        if size == TreeSize::ZERO {
            return Err(EvidenceError::EmptyBesideAnother);
        }
        if size == second.size() && found > 0 {
            return Err(EvidenceError::HashesWithoutSizes { found });
        }
        Ok(self)
    }
}

impl Misbehaviour {
    /// What the log did.
    pub fn contradiction(&self) -> Contradiction {
        self.contradiction
    }

    /// The log.
    pub fn origin(&self) -> &Origin {
        self.first.origin()
    }

    /// The checkpoint of the smaller size, or of two of one size the one with the lower root.
    pub fn first(&self) -> &VerifiedCheckpoint {
        &self.first
    }

    /// The other one, if there are two.
    pub fn second(&self) -> Option<&VerifiedCheckpoint> {
        self.second.as_ref()
    }
}

/// One sentence about what the log did, as a part of a longer one.
impl fmt::Display for Misbehaviour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (origin, size) = (self.origin(), self.first.size());
        match (self.contradiction, &self.second) {
            (Contradiction::NotContinued, Some(second)) => write!(
                f,
                "the log {origin} signed a tree of size {} that does not continue the one of size \
                 {size} it had signed",
                second.size()
            ),
            (Contradiction::TwoRoots | Contradiction::NotContinued, _) => {
                write!(f, "the log {origin} signed two roots for size {size}")
            }
            (Contradiction::EmptyRoot, _) => {
                write!(f, "the log {origin} signed another root than the empty one for size 0")
            }
        }
    }
}

/// Hash lines up to and with the empty line after them.
fn take_hashes(lines: &mut Lines<'_>) -> Result<Vec<Hash>, EvidenceError> {
    let mut hashes = Vec::new();
    loop {
        let line = lines.take().ok_or(EvidenceError::Form)?;
        if line.is_empty() {
            return Ok(hashes);
        }
        if hashes.len() == PREFIX_HASHES_MAX {
            return Err(EvidenceError::TooManyHashes);
        }
        let position = hashes.len() + 1;
        let bad = |reason| EvidenceError::Hash { position, reason };
        hashes.push(parse::hash(line).map_err(bad)?);
    }
}

/// One or two notes with an empty line between them. A checkpoint's text has no empty line, so a
/// note has exactly one: the second empty line stands between two notes.
fn split_notes(text: &str) -> Result<(&str, Option<&str>), EvidenceError> {
    let (_, after_text) = text.split_once("\n\n").ok_or(EvidenceError::Form)?;
    let Some((_, second)) = after_text.split_once("\n\n") else {
        return Ok((text, None));
    };
    let first = text.strip_suffix(second).and_then(|rest| rest.strip_suffix('\n'));
    let first = first.ok_or(EvidenceError::Form)?;
    Ok((first, Some(second)))
}

fn parse_checkpoint(
    position: usize,
    note: &str,
    origin: &Origin,
) -> Result<SignedCheckpoint, EvidenceError> {
    let checkpoint = SignedCheckpoint::parse(note.as_bytes())
        .map_err(|source| EvidenceError::Checkpoint { position, source })?;
    if checkpoint.origin() != origin {
        let (expected, found) = (origin.clone(), checkpoint.origin().clone());
        return Err(EvidenceError::OtherLog { expected, found });
    }
    Ok(checkpoint)
}
