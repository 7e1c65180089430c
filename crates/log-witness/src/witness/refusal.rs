//! Every way a request is refused, with its status (c2sp.org/tlog-witness). The order of the variants is
//! the order of the checks.

use formats::CheckpointError;
use formats::note::NoteError;
use formats::witness::BodyError;
use http::StatusCode;
use merkle::{ProofError, TreeSize};

/// Why a submission, or a request for a subtree, was refused. Nothing has changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("malformed request: {0}{cause}", cause = cause(.0))]
    Malformed(#[from] BodyError),
    #[error("this witness does not know the log")]
    UnknownLog,
    #[error("the log's keys are not trusted any more: its misbehaviour is on record at {evidence}")]
    Distrusted {
        /// The path that serves the evidence.
        evidence: String,
    },
    #[error("{0}")]
    Signature(CheckpointError),
    #[error("no valid cosignature of this witness: {0}")]
    NotCosigned(NoteError),
    #[error("the old size {old} exceeds the checkpoint's size {size}")]
    OldBeyondSize { old: TreeSize, size: TreeSize },
    #[error("the latest checkpoint this witness cosigned has size {held}")]
    OtherOldSize { held: TreeSize },
    #[error("a checkpoint of size 0 has the root hash of the empty tree, and no other")]
    EmptyRoot,
    #[error("a consistency proof from size 0 is empty")]
    ProofFromZero,
    #[error("the root hash is another one than that of the checkpoint cosigned at this size")]
    OtherRoot,
    #[error("the proof does not hold: {0}")]
    Proof(ProofError),
    #[error("this witness has no key that signs subtrees")]
    NoSubtreeKey,
    #[error("this witness has as many submissions waiting as it takes: try again")]
    Busy,
    #[error("this witness is stopping, or cannot write: try again")]
    Unavailable,
}

/// What is wrong with the checkpoint in a body.
fn cause(error: &BodyError) -> String {
    std::error::Error::source(error).map(|cause| format!(": {cause}")).unwrap_or_default()
}

impl Refusal {
    /// The HTTP status.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Malformed(BodyError::TooLarge { .. }) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Malformed(_) | Self::OldBeyondSize { .. } => StatusCode::BAD_REQUEST,
            Self::UnknownLog | Self::NoSubtreeKey => StatusCode::NOT_FOUND,
            Self::Distrusted { .. } | Self::Signature(_) | Self::NotCosigned(_) => {
                StatusCode::FORBIDDEN
            }
            Self::OtherOldSize { .. } => StatusCode::CONFLICT,
            Self::EmptyRoot | Self::ProofFromZero | Self::OtherRoot | Self::Proof(_) => {
                StatusCode::UNPROCESSABLE_ENTITY
            }
            Self::Busy | Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// Its name in the metrics, out of this fixed list.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "malformed",
            Self::UnknownLog => "unknown_log",
            Self::Distrusted { .. } => "distrusted",
            Self::Signature(_) => "signature",
            Self::NotCosigned(_) => "not_cosigned",
            Self::OldBeyondSize { .. } => "old_beyond_size",
            Self::OtherOldSize { .. } => "other_old_size",
            Self::EmptyRoot => "empty_root",
            Self::ProofFromZero => "proof_from_zero",
            Self::OtherRoot => "other_root",
            Self::Proof(_) => "proof",
            Self::NoSubtreeKey => "no_subtree_key",
            Self::Busy => "busy",
            Self::Unavailable => "unavailable",
        }
    }

    /// Whether the refused note may be half of an evidence: it is signed, and this witness could not put
    /// it in line with what it has cosigned.
    pub(super) fn may_be_evidence(&self) -> bool {
        matches!(self.status(), StatusCode::CONFLICT | StatusCode::UNPROCESSABLE_ENTITY)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use formats::AddCheckpoint;

    #[test]
    fn every_refusal_says_what_is_wrong_under_its_status_and_name() {
        let size = |size| TreeSize::new(size).unwrap();
        let origin = formats::Origin::new("example.com/log").unwrap();
        let malformed = AddCheckpoint::parse(b"old 0\n\nnote").unwrap_err();
        let refusals = [
            malformed.into(),
            BodyError::TooLarge { bytes: 7 }.into(),
            Refusal::UnknownLog,
            Refusal::Distrusted { evidence: "/00/evidence".to_owned() },
            Refusal::Signature(CheckpointError::NoLogSignature { origin }),
            Refusal::NotCosigned(NoteError::NoTrustedSignature),
            Refusal::OldBeyondSize { old: size(2), size: size(1) },
            Refusal::OtherOldSize { held: size(3) },
            Refusal::EmptyRoot,
            Refusal::ProofFromZero,
            Refusal::OtherRoot,
            Refusal::Proof(ProofError::MissingHashes { found: 0 }),
            Refusal::NoSubtreeKey,
            Refusal::Busy,
            Refusal::Unavailable,
        ];
        let line = |refusal: &Refusal| {
            format!("{} {}: {refusal}", refusal.status().as_u16(), refusal.reason())
        };
        let lines: Vec<String> = refusals.iter().map(line).collect();
        insta::assert_snapshot!(lines.join("\n"), @r"
        400 malformed: malformed request: the checkpoint is malformed: a note's last line does not end
        413 malformed: malformed request: a body of 7 bytes exceeds 135168
        404 unknown_log: this witness does not know the log
        403 distrusted: the log's keys are not trusted any more: its misbehaviour is on record at /00/evidence
        403 signature: no trusted key of the log example.com/log has signed the checkpoint
        403 not_cosigned: no valid cosignature of this witness: no signature is of a trusted key
        400 old_beyond_size: the old size 2 exceeds the checkpoint's size 1
        409 other_old_size: the latest checkpoint this witness cosigned has size 3
        422 empty_root: a checkpoint of size 0 has the root hash of the empty tree, and no other
        422 proof_from_zero: a consistency proof from size 0 is empty
        422 other_root: the root hash is another one than that of the checkpoint cosigned at this size
        422 proof: the proof does not hold: the proof has 0 hashes, too few for these indexes and sizes
        404 no_subtree_key: this witness has no key that signs subtrees
        503 busy: this witness has as many submissions waiting as it takes: try again
        503 unavailable: this witness is stopping, or cannot write: try again
        ");
    }
}
