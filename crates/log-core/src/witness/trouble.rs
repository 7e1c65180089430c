//! What can go wrong with one witness, by what we do about it.

use std::time::Duration;

use formats::NoteError;
use merkle::TreeSize;

use super::calls::{Answer, CallError};
use crate::read::ReadError;

/// Why a submission gave no cosignature.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    // Ask again after a pause.
    #[error("{0}")]
    Call(#[from] CallError),
    #[error("witness cannot now (status {status}): {said}")]
    Busy { status: u16, retry_after: Option<Duration>, said: String },
    #[error("witness does not know this log or its keys (status {status}): {said}")]
    Unknown { status: u16, said: String },
    #[error("witness refused the submission (status {status}): {said}")]
    Refused { status: u16, said: String },
    #[error("witness does not accept the proof: {said}")]
    Unprocessable { said: String },
    #[error("witness holds another size and does not say which")]
    SizelessConflict,
    #[error("witness contradicts itself about the size it holds")]
    Contradiction,
    #[error("proof cannot be made: {0}")]
    Proof(#[from] ReadError),
    // Do not ask it for a while, and tell the operator.
    #[error("answer is refused: {0}")]
    BadAnswer(#[from] BadAnswer),
    #[error(
        "witness claims size {}, the log has {}: was the log restored from a backup?",
        claimed.get(), committed.get()
    )]
    Ahead { claimed: TreeSize, committed: TreeSize },
    #[error("witness cosigned size {} and now holds {}: it lost data", from.get(), to.get())]
    Shrunk { from: TreeSize, to: TreeSize },
}

/// Why signature lines were refused.
#[derive(Debug, thiserror::Error)]
pub(super) enum BadAnswer {
    #[error(transparent)]
    Note(#[from] NoteError),
    #[error("it has no cosignature of a key of the policy")]
    NoCosignature,
    #[error("a cosignature states no time")]
    NoTime,
}

/// The kinds of trouble, as labels.
pub(super) const KINDS: [&str; 11] = [
    "unreachable",
    "busy",
    "unknown_log",
    "refused",
    "proof_refused",
    "sizeless_conflict",
    "contradiction",
    "no_proof",
    "bad_answer",
    "ahead",
    "shrunk",
];

impl Trouble {
    /// Its position in [`KINDS`].
    pub(super) fn kind(&self) -> usize {
        match self {
            Self::Call(_) => 0,
            Self::Busy { .. } => 1,
            Self::Unknown { .. } => 2,
            Self::Refused { .. } => 3,
            Self::Unprocessable { .. } => 4,
            Self::SizelessConflict => 5,
            Self::Contradiction => 6,
            Self::Proof(_) => 7,
            Self::BadAnswer(_) => 8,
            Self::Ahead { .. } => 9,
            Self::Shrunk { .. } => 10,
        }
    }

    /// How long the witness asked us to wait.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Busy { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// Whether the witness misbehaves. Being away or not configured is not misbehaviour.
    pub(super) fn is_misbehaviour(&self) -> bool {
        matches!(self, Self::BadAnswer(_) | Self::Ahead { .. } | Self::Shrunk { .. })
    }

    /// The trouble that an answer means which brings neither cosignatures nor a size.
    pub(super) fn of(answer: Answer) -> Self {
        match answer {
            Answer::Cosigned(_) => Self::BadAnswer(BadAnswer::NoCosignature),
            Answer::Conflict { .. } => Self::SizelessConflict,
            Answer::Unprocessable { said } => Self::Unprocessable { said },
            Answer::Unknown { status, said } => Self::Unknown { status, said },
            Answer::Busy { status, retry_after, said } => Self::Busy { status, retry_after, said },
            Answer::Refused { status, said } => Self::Refused { status, said },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_busy_witness_is_heard_out() {
        let said = "its clock is 61 seconds behind".to_owned();
        let busy = Trouble::of(Answer::Busy { status: 503, retry_after: None, said });
        let text = "witness cannot now (status 503): its clock is 61 seconds behind";
        assert_eq!(busy.to_string(), text);
    }

    #[test]
    fn every_kind_has_its_own_label() {
        let size = TreeSize::ZERO;
        let said = String::new;
        let all = [
            CallError::new("nobody there").into(),
            Trouble::Busy { status: 503, retry_after: None, said: said() },
            Trouble::Unknown { status: 404, said: said() },
            Trouble::Refused { status: 500, said: said() },
            Trouble::Unprocessable { said: said() },
            Trouble::SizelessConflict,
            Trouble::Contradiction,
            ReadError::BadIndexes.into(),
            BadAnswer::NoTime.into(),
            Trouble::Ahead { claimed: size, committed: size },
            Trouble::Shrunk { from: size, to: size },
        ];
        let kinds: Vec<usize> = all.iter().map(Trouble::kind).collect();
        assert_eq!(kinds, (0..KINDS.len()).collect::<Vec<_>>());
    }
}
