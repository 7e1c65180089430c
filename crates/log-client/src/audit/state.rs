//! What an audit leaves for the next one.
//!
//! ```text
//! cairn audit state v1
//! size 70000
//! root <64 hex digits>
//! level 0 <hex of the partial level-0 tile>
//! level 1 <hex of the partial level-1 tile>
//!
//! <the newest signed checkpoint, to the end of the file>
//! ```
//!
//! The levels are those whose last tile is partial at this size, in order; together they are the right edge
//! of everything audited so far, which is enough to go on. The root is what they must give.

use std::{fmt::Write as _, fs::File, io, io::Read as _, path::Path};

use formats::{SignedCheckpoint, Trust, VerifiedCheckpoint};
use merkle::{Frontier, FrontierError, Hash, TreeSize, tile};

use crate::{
    durable,
    verify::{CheckpointVerifier as _, VerifyError},
};

const HEADER: &str = "cairn audit state v1";
/// Eight partial tiles in hex, a checkpoint, and the lines around them.
const STATE_BYTES_MAX: usize = 8 * 255 * 64 + 128 * 1024 + 1024;

/// How far an audit came: checked when it is used, by [`super::Auditor::run`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditState {
    size: TreeSize,
    root: Hash,
    levels: Vec<Vec<Hash>>,
    note: Vec<u8>,
}

/// Why a state cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StateError {
    /// The file cannot be read or written.
    #[error("state file cannot be read or written")]
    Io(#[from] io::Error),
    /// It has more bytes than a state can have.
    #[error("state has more than {STATE_BYTES_MAX} bytes")]
    TooLarge,
    /// A line is not what it must be.
    #[error("line {line} of the state is not valid")]
    Line {
        /// Which line, from 1.
        line: usize,
    },
    /// The hashes are not those of a right edge of this size.
    #[error("state has the wrong number of hashes")]
    Levels(#[from] FrontierError),
    /// The hashes do not give the state's own root, or that of its checkpoint.
    #[error("state's hashes give the root {computed}, not {expected}")]
    Root {
        /// The root it must be.
        expected: Hash,
        /// The root the hashes give.
        computed: Hash,
    },
    /// More was audited than the checkpoint covers.
    #[error("state of size {size} is beyond its checkpoint of size {checkpoint}")]
    BeyondCheckpoint {
        /// The state's size.
        size: TreeSize,
        /// The checkpoint's size.
        checkpoint: TreeSize,
    },
    /// The checkpoint is not one to believe.
    #[error("state's checkpoint does not verify")]
    Checkpoint(#[source] VerifyError),
}

impl AuditState {
    pub(super) fn new(frontier: &Frontier, checkpoint: &VerifiedCheckpoint) -> Self {
        let levels = (0..tile::LEVELS).map(|level| frontier.partial(level).to_vec()).collect();
        Self {
            size: frontier.size(),
            root: frontier.root(),
            levels,
            note: checkpoint.as_bytes().to_vec(),
        }
    }

    /// Entries audited.
    pub fn size(&self) -> TreeSize {
        self.size
    }

    /// The newest checkpoint seen, as it came.
    pub fn checkpoint(&self) -> &[u8] {
        &self.note
    }

    /// Reads a state from its file.
    pub fn load(path: &Path) -> Result<Self, StateError> {
        let limit = u64::try_from(STATE_BYTES_MAX).expect("a small constant") + 1;
        let mut bytes = Vec::new();
        File::open(path)?.take(limit).read_to_end(&mut bytes)?;
        Self::parse(&bytes)
    }

    /// Replaces the file, durably and whole.
    pub fn save(&self, path: &Path) -> Result<(), StateError> {
        Ok(durable::replace(path, &self.format())?)
    }

    /// The bytes of the state; [`AuditState::parse`] gives the same state back.
    pub fn format(&self) -> Vec<u8> {
        let mut text = format!("{HEADER}\nsize {}\nroot {}\n", self.size, self.root);
        for (level, hashes) in self.levels.iter().enumerate().filter(|(_, row)| !row.is_empty()) {
            write!(text, "level {level} ").expect("writing to a string cannot fail");
            for hash in hashes {
                write!(text, "{hash}").expect("writing to a string cannot fail");
            }
            text.push('\n');
        }
        text.push('\n');
        [text.as_bytes(), &self.note].concat()
    }

    /// Reads a state: the canonical form only.
    pub fn parse(bytes: &[u8]) -> Result<Self, StateError> {
        if bytes.len() > STATE_BYTES_MAX {
            return Err(StateError::TooLarge);
        }
        let text = std::str::from_utf8(bytes).map_err(|_| StateError::Line { line: 1 })?;
        let (head, note) = text.split_once("\n\n").ok_or(StateError::Line { line: 1 })?;
        let mut lines = (1..).zip(head.split('\n'));
        let mut field = |prefix: &str| -> Result<&str, StateError> {
            let (line, text) = lines.next().ok_or(StateError::Line { line: 1 })?;
            text.strip_prefix(prefix).ok_or(StateError::Line { line })
        };
        let empty = field(HEADER)?;
        let (size, root) = (field("size ")?, field("root ")?);
        let size = size.parse().ok().and_then(|size| TreeSize::new(size).ok());
        let size = size.ok_or(StateError::Line { line: 2 })?;
        let root = parse_hashes(root).and_then(|hashes| <[Hash; 1]>::try_from(hashes).ok());
        let [root] = root.ok_or(StateError::Line { line: 3 })?;
        let mut levels = vec![Vec::new(); usize::from(tile::LEVELS)];
        for (line, text) in lines {
            let (level, hashes) = parse_level(text).ok_or(StateError::Line { line })?;
            *levels.get_mut(level).ok_or(StateError::Line { line })? = hashes;
        }
        let state = Self { size, root, levels, note: note.as_bytes().to_vec() };
        if !empty.is_empty() || state.format() != bytes {
            return Err(StateError::Line { line: 1 });
        }
        Ok(state)
    }

    /// The right edge and the checkpoint, both shown to be what they claim.
    pub(super) fn check(
        &self,
        trust: &Trust,
    ) -> Result<(Frontier, VerifiedCheckpoint), StateError> {
        let frontier = Frontier::from_levels(self.size, self.levels.clone())?;
        same_root(&self.root, &frontier)?;
        let signed = SignedCheckpoint::parse(&self.note)
            .map_err(|error| StateError::Checkpoint(VerifyError::MalformedCheckpoint(error)))?;
        let checkpoint = trust.verify_signed(&signed).map_err(StateError::Checkpoint)?;
        if self.size > checkpoint.size() {
            let (size, checkpoint) = (self.size, checkpoint.size());
            return Err(StateError::BeyondCheckpoint { size, checkpoint });
        }
        if self.size == checkpoint.size() {
            same_root(checkpoint.root(), &frontier)?;
        }
        Ok((frontier, checkpoint))
    }
}

fn same_root(expected: &Hash, frontier: &Frontier) -> Result<(), StateError> {
    let (expected, computed) = (*expected, frontier.root());
    if expected == computed { Ok(()) } else { Err(StateError::Root { expected, computed }) }
}

fn parse_level(line: &str) -> Option<(usize, Vec<Hash>)> {
    let (level, hashes) = line.strip_prefix("level ")?.split_once(' ')?;
    Some((level.parse().ok()?, parse_hashes(hashes)?))
}

fn parse_hashes(hex: &str) -> Option<Vec<Hash>> {
    let bytes = hex.as_bytes();
    if !bytes.len().is_multiple_of(2 * Hash::LEN) {
        return None;
    }
    let digits: Option<Vec<u8>> = bytes.iter().map(|digit| nibble(*digit)).collect();
    let bytes: Vec<u8> = digits?.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect();
    bytes.chunks_exact(Hash::LEN).map(|hash| Hash::try_from(hash).ok()).collect()
}

fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}
