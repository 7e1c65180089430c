//! A head as gossip carries it.

use bytes::Bytes;
use formats::{CheckpointError, Origin, SignedCheckpoint, VerifiedCheckpoint};
use merkle::{Hash, TreeSize};

use crate::roster::Roster;

/// A tree head that keys of its log have signed. Nothing is believed about it but that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Head {
    size: TreeSize,
    root: Hash,
    note: Bytes,
}

/// Why bytes from elsewhere are no head.
#[derive(Debug, thiserror::Error)]
pub(super) enum HeadError {
    #[error("it is no checkpoint")]
    Malformed(#[source] CheckpointError),
    #[error("its log is not known here")]
    UnknownLog,
    #[error("no key of its log has signed it")]
    NotSigned(#[source] CheckpointError),
}

impl Head {
    /// Verifies a note by the keys its log is known by. What others have signed on it is left out, so
    /// that nobody can make it longer. Costs one verification for each key of the log.
    pub(super) fn verify(note: &[u8], roster: &Roster) -> Result<(Origin, Self), HeadError> {
        let signed = SignedCheckpoint::parse(note).map_err(HeadError::Malformed)?;
        let origin = signed.origin().clone();
        let keys = roster.keys(&origin).ok_or(HeadError::UnknownLog)?;
        let verified = signed.verify(&keys).map_err(HeadError::NotSigned)?;
        Ok((origin, Self::of(&verified)))
    }

    /// A verified checkpoint, without the lines that were not verified, and one line of each key.
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
