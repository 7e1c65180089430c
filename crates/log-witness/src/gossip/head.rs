//! A head as gossip carries it.

use bytes::Bytes;
use formats::{CheckpointError, Origin, SignedCheckpoint, VerifiedCheckpoint};
use merkle::{Hash, TreeSize};

use crate::roster::Roster;

/// A tree head that its log signed. We believe nothing else about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Head {
    size: TreeSize,
    root: Hash,
    note: Bytes,
}

/// Why bytes from elsewhere are not a head.
#[derive(Debug, thiserror::Error)]
pub(super) enum HeadError {
    #[error("it is not a checkpoint")]
    Malformed(#[source] CheckpointError),
    #[error("its log is not known here")]
    UnknownLog,
    #[error("no key of its log has signed it")]
    NotSigned(#[source] CheckpointError),
}

impl Head {
    /// Verifies a note with the keys of its log, and leaves out all other signatures, so that nobody can
    /// make the note longer. Costs one verification for each key.
    pub(super) fn verify(note: &[u8], roster: &Roster) -> Result<(Origin, Self), HeadError> {
        let signed = SignedCheckpoint::parse(note).map_err(HeadError::Malformed)?;
        let origin = signed.origin().clone();
        let keys = roster.keys(&origin).ok_or(HeadError::UnknownLog)?;
        let verified = signed.verify(&keys).map_err(HeadError::NotSigned)?;
        Ok((origin, Self::of(&verified)))
    }

    /// A verified checkpoint, with one verified line of each key and no other lines.
    pub(super) fn of(verified: &VerifiedCheckpoint) -> Self {
        let mut note = verified.checkpoint().to_string();
        note.push('\n');
        let signatures = verified.signatures();
        for (position, line) in verified.signature_lines().enumerate() {
            let key = signatures[position].key();
            if signatures[..position].iter().all(|earlier| earlier.key() != key) {
                note.push_str(line);
            }
        }
        Self { size: verified.size(), root: *verified.root(), note: note.into() }
    }

    pub(super) fn size(&self) -> TreeSize {
        self.size
    }

    pub(super) fn root(&self) -> &Hash {
        &self.root
    }

    /// The head without its signatures.
    pub(super) fn is(&self, size: TreeSize, root: &Hash) -> bool {
        self.size == size && self.root == *root
    }

    pub(super) fn signed(&self) -> SignedCheckpoint {
        SignedCheckpoint::parse(&self.note).expect("it was parsed when it was verified")
    }
}
