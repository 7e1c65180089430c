//! Checkpoints: tree heads as signed notes.
//!
//! ```text
//! <origin>
//! <tree size, decimal>
//! base64(root hash)
//! [<extension line>...]
//!
//! — <key name> base64(key id || signature)
//! ```
//!
//! <https://c2sp.org/tlog-checkpoint@v1.0.0>. A [`SignedCheckpoint`] has been parsed, a
//! [`VerifiedCheckpoint`] has been signed by a trusted key of the log it names.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::borrow::Borrow;
use core::fmt;
use core::str::FromStr;

use merkle::{Hash, TreeSize};

use crate::key::VerifierKey;
use crate::name::{NameError, Origin};
use crate::note::{NoteError, UnverifiedNote, UnverifiedSignature, VerifiedSignature};
use crate::parse::{self, Base64Error, Lines, NumberError};

/// The largest tree: 2^63 - 1 leaves.
pub(crate) const TREE_SIZE_MAX: u64 = u64::MAX >> 1;

/// Why a checkpoint was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    /// The note it is in.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// Fewer than three lines, or a last line that does not end.
    #[error("a checkpoint has fewer than three whole lines")]
    TooFewLines,
    /// The first line.
    #[error("a checkpoint has a bad origin")]
    Origin(#[from] NameError),
    /// The second line.
    #[error("a checkpoint's tree size is {0}")]
    Size(NumberError),
    /// The third line.
    #[error("a checkpoint's root hash is {0}")]
    Root(Base64Error),
    /// An empty line, or one with a control character, where an extension belongs.
    #[error("a checkpoint's extension line {line} is empty or holds a control character")]
    Extension {
        /// Which extension line, from 1.
        line: usize,
    },
    /// Signed, but by no trusted key whose name is the origin.
    #[error("no trusted key of the log {origin} has signed the checkpoint")]
    NoLogSignature {
        /// The log the checkpoint names.
        origin: Origin,
    },
}

/// A log's name and tree head, without signatures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    origin: Origin,
    size: TreeSize,
    root: Hash,
    extensions: Vec<Box<str>>,
}

impl Checkpoint {
    /// A checkpoint without extension lines, as all of ours are.
    pub fn new(origin: Origin, size: TreeSize, root: Hash) -> Self {
        Self { origin, size, root, extensions: Vec::new() }
    }

    /// Parses the text of a checkpoint's note, last newline included.
    ///
    /// The size may be 0 with any root: that log has contradicted itself, and the checkpoint is the
    /// evidence of it ([`Checkpoint::is_empty_with_wrong_root`]).
    pub fn parse(text: &str) -> Result<Self, CheckpointError> {
        let mut lines = Lines::new(text);
        let (Some(origin), Some(size), Some(root)) = (lines.take(), lines.take(), lines.take())
        else {
            return Err(CheckpointError::TooFewLines);
        };
        Ok(Self {
            origin: Origin::new(origin)?,
            size: parse_size(size).map_err(CheckpointError::Size)?,
            root: parse::hash(root).map_err(CheckpointError::Root)?,
            extensions: parse_extensions(lines)?,
        })
    }

    /// The log's identity.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Leaves in the tree.
    pub fn size(&self) -> TreeSize {
        self.size
    }

    /// The root hash at that size.
    pub fn root(&self) -> &Hash {
        &self.root
    }

    /// Lines after the third. ML-DSA-44 cosignatures do not cover them, so nothing may depend on
    /// them.
    pub fn extensions(&self) -> impl ExactSizeIterator<Item = &str> {
        self.extensions.iter().map(|line| &**line)
    }

    /// Whether it states a tree that cannot exist: no leaves, and another root than theirs.
    pub fn is_empty_with_wrong_root(&self) -> bool {
        self.size == TreeSize::ZERO && self.root != Hash::EMPTY_ROOT
    }

    /// Appends the text of the note.
    pub fn push_to(&self, text: &mut String) {
        push_head(&self.origin, self.size, &self.root, text);
        for line in &self.extensions {
            text.push_str(line);
            text.push('\n');
        }
    }
}

impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        self.push_to(&mut text);
        f.write_str(&text)
    }
}

impl FromStr for Checkpoint {
    type Err = CheckpointError;

    fn from_str(text: &str) -> Result<Self, CheckpointError> {
        Self::parse(text)
    }
}

/// Appends the three lines every checkpoint has.
pub(crate) fn push_head(origin: &Origin, size: TreeSize, root: &Hash, text: &mut String) {
    use fmt::Write as _;

    text.push_str(origin.as_str());
    write!(text, "\n{}\n", size.get()).expect("writing to a string cannot fail");
    parse::push_base64(root.as_bytes(), text);
    text.push('\n');
}

/// A tree size as every format of the field writes it.
pub(crate) fn parse_size(text: &str) -> Result<TreeSize, NumberError> {
    let size = parse::decimal(text, TREE_SIZE_MAX)?;
    TreeSize::new(size).map_err(|_| NumberError::TooLarge { max: TREE_SIZE_MAX })
}

fn parse_extensions(mut lines: Lines<'_>) -> Result<Vec<Box<str>>, CheckpointError> {
    let mut extensions = Vec::new();
    while let Some(line) = lines.take() {
        if line.is_empty() || line.chars().any(|character| character < ' ') {
            return Err(CheckpointError::Extension { line: extensions.len() + 1 });
        }
        extensions.push(line.into());
    }
    if !lines.rest().is_empty() {
        return Err(CheckpointError::TooFewLines);
    }
    Ok(extensions)
}

/// A note whose text is a checkpoint. **No signature has been verified.**
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedCheckpoint {
    note: UnverifiedNote<'static>,
    checkpoint: Checkpoint,
}

impl SignedCheckpoint {
    /// Parses the bytes of a signed checkpoint; the limits are those of notes.
    pub fn parse(bytes: &[u8]) -> Result<Self, CheckpointError> {
        let note = UnverifiedNote::parse(bytes)?;
        let checkpoint = Checkpoint::parse(note.text())?;
        Ok(Self { note: note.into_owned(), checkpoint })
    }

    /// The same checkpoint with more signature lines (each ended) behind its own, as in a witness's
    /// answer.
    pub fn with_signature_lines(&self, lines: &[u8]) -> Result<Self, CheckpointError> {
        Self::parse(&[self.as_bytes(), lines].concat())
    }

    /// The claimed tree head.
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// The log it claims to be of.
    pub fn origin(&self) -> &Origin {
        self.checkpoint.origin()
    }

    /// The claimed size.
    pub fn size(&self) -> TreeSize {
        self.checkpoint.size()
    }

    /// The claimed root.
    pub fn root(&self) -> &Hash {
        self.checkpoint.root()
    }

    /// The note, byte for byte.
    pub fn as_bytes(&self) -> &[u8] {
        self.note.as_bytes()
    }

    /// All signature lines in order.
    pub fn signatures(&self) -> impl ExactSizeIterator<Item = UnverifiedSignature<'_>> {
        self.note.signatures()
    }

    /// Verifies every signature made by one of `keys`, and that the log made at least one of them:
    /// with a key whose name is the origin. `keys` may hold other keys too, such as those of
    /// witnesses; their signatures are in [`VerifiedCheckpoint::signatures`].
    pub fn verify<K: Borrow<VerifierKey>>(
        &self,
        keys: &[K],
    ) -> Result<VerifiedCheckpoint, CheckpointError> {
        self.verify_of_log(keys, |_| true)
    }

    /// As [`SignedCheckpoint::verify`], where the log's key must also satisfy `is_log_key`.
    pub(crate) fn verify_of_log<K: Borrow<VerifierKey>>(
        &self,
        keys: &[K],
        is_log_key: impl Fn(&VerifierKey) -> bool,
    ) -> Result<VerifiedCheckpoint, CheckpointError> {
        let signatures = match self.note.verified_signatures(keys, Some(&self.checkpoint)) {
            Err(NoteError::NoTrustedSignature) => Vec::new(),
            other => other?,
        };
        let of_log = |signature: &VerifiedSignature| {
            signature.key().name().as_str() == self.origin().as_str() && is_log_key(signature.key())
        };
        if !signatures.iter().any(of_log) {
            return Err(CheckpointError::NoLogSignature { origin: self.origin().clone() });
        }
        Ok(VerifiedCheckpoint { signed: self.clone(), signatures })
    }
}

/// A checkpoint signed by a trusted key of its log. It may still be old, or one side of a fork.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedCheckpoint {
    signed: SignedCheckpoint,
    signatures: Vec<VerifiedSignature>,
}

impl VerifiedCheckpoint {
    /// The tree head.
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.signed.checkpoint
    }

    /// The log it is of.
    pub fn origin(&self) -> &Origin {
        self.signed.origin()
    }

    /// Leaves in the tree.
    pub fn size(&self) -> TreeSize {
        self.signed.size()
    }

    /// The root hash at that size.
    pub fn root(&self) -> &Hash {
        self.signed.root()
    }

    /// The note, byte for byte, unverified signatures included.
    pub fn as_bytes(&self) -> &[u8] {
        self.signed.as_bytes()
    }

    /// The note it was verified from.
    pub fn signed(&self) -> &SignedCheckpoint {
        &self.signed
    }

    /// The signatures that verified, in the note's order: the log's and known cosigners'.
    pub fn signatures(&self) -> &[VerifiedSignature] {
        &self.signatures
    }

    /// The signature lines that verified, each with its newline, in the note's order.
    pub fn signature_lines(&self) -> impl Iterator<Item = &str> {
        let lines: Vec<&str> = self.signed.signatures().map(|signature| signature.line).collect();
        let line = move |signature: &VerifiedSignature| lines[signature.position()];
        self.signatures.iter().map(line)
    }
}
