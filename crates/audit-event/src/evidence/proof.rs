//! A batch inclusion proof: that all events of some lines stand in the tree.
//!
//! ```text
//! cairn/batch-proof@v1
//! <tree size, decimal>
//! [base64(hash)...]        in the order of `merkle::proof`, level by level from the leaves
//! ```

use base64::{Engine as _, engine::general_purpose::STANDARD};
use merkle::{Hash, TreeSize};

const HEADER: &str = "cairn/batch-proof@v1";

/// Hashes a proof of 10,000 leaves may have: at most one for each leaf and level.
const HASHES_MAX: usize = 10_000 * 63;

/// Bytes a proof may have.
pub const PROOF_BYTES_MAX: usize = 64 + HASHES_MAX * 45;

/// Why a proof file cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// More than [`PROOF_BYTES_MAX`] bytes.
    #[error("a proof of {bytes} bytes exceeds {PROOF_BYTES_MAX}")]
    TooLarge {
        /// Bytes found.
        bytes: usize,
    },
    /// The first line is another one.
    #[error("a proof does not start with the line {HEADER}")]
    Header,
    /// The second line is not a tree size.
    #[error("a proof has no size line")]
    Size,
    /// A line that is not 32 bytes in base64.
    #[error("hash {position} of a proof is not 32 bytes in canonical base64")]
    Hash {
        /// Which hash, from 1.
        position: usize,
    },
    /// The last line does not end.
    #[error("the last line of a proof does not end")]
    Unterminated,
}

/// A proof about the leaves of some lines. **Not verified by being parsed.**
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchProof {
    /// The size of the tree.
    pub size: TreeSize,
    /// The hashes, level by level from the leaves, in each level from left to right.
    pub hashes: Vec<Hash>,
}

impl BatchProof {
    /// Parses a proof file. Accepts the canonical form only.
    pub fn parse(bytes: &[u8]) -> Result<Self, ProofError> {
        if bytes.len() > PROOF_BYTES_MAX {
            return Err(ProofError::TooLarge { bytes: bytes.len() });
        }
        let body = bytes.strip_suffix(b"\n").ok_or(ProofError::Unterminated)?;
        let mut lines = body.split(|byte| *byte == b'\n');
        if lines.next() != Some(HEADER.as_bytes()) {
            return Err(ProofError::Header);
        }
        let size = lines.next().and_then(decimal).ok_or(ProofError::Size)?;
        let hash = |(position, line): (usize, &[u8])| {
            let bytes = STANDARD.decode(line).ok();
            let hash = bytes.and_then(|bytes| Hash::try_from(&bytes[..]).ok());
            hash.ok_or(ProofError::Hash { position: position + 1 })
        };
        Ok(Self { size, hashes: lines.enumerate().map(hash).collect::<Result<_, _>>()? })
    }

    /// The bytes of the proof file; [`BatchProof::parse`] gives the same proof back.
    pub fn write(&self) -> String {
        let mut out = format!("{HEADER}\n{}\n", self.size);
        for hash in &self.hashes {
            STANDARD.encode_string(hash.as_bytes(), &mut out);
            out.push('\n');
        }
        out
    }
}

/// A tree size in its one spelling.
fn decimal(line: &[u8]) -> Option<TreeSize> {
    let text = std::str::from_utf8(line).ok()?;
    let size: u64 = text.parse().ok()?;
    (size.to_string() == text).then(|| TreeSize::new(size).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proof_has_one_form() {
        let proof =
            BatchProof { size: TreeSize::new(7).unwrap(), hashes: vec![Hash::EMPTY_ROOT; 2] };
        let text = proof.write();
        assert_eq!(BatchProof::parse(text.as_bytes()), Ok(proof));
        let refused = |text: &str| BatchProof::parse(text.as_bytes()).unwrap_err();
        assert_eq!(refused(""), ProofError::Unterminated);
        assert_eq!(refused(text.trim_end()), ProofError::Unterminated);
        assert_eq!(refused(&text.replace("v1", "v2")), ProofError::Header);
        assert_eq!(refused("cairn/batch-proof@v1\n"), ProofError::Size);
        for size in ["", "07", "+7", "7 ", "x", "9223372036854775808"] {
            assert_eq!(refused(&text.replace("\n7\n", &format!("\n{size}\n"))), ProofError::Size);
        }
        assert_eq!(refused(&format!("{text}\n")), ProofError::Hash { position: 3 });
        assert_eq!(refused(&format!("{text}AAAA\n")), ProofError::Hash { position: 3 });
        assert_eq!(
            refused(&text.replace("VVU=\n", "VVV=\n").replace("\n7\n", "\n7\r\n")),
            ProofError::Size
        );
    }
}
