//! Salted commitments to blocks: `HMAC-SHA256(key = salt, 0x01 ‖ tag ‖ block bytes)`.
//!
//! Without its salt a commitment cannot be compared with a guess, so a block can be withheld or
//! erased, with its salt, while the leaf stays provable.

use std::fmt;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::blocks::{Block, Blocks, Tag, Tags};
use crate::leaf::{Leaf, LeafError};

/// What comes before tag and block, so that no commitment can pose as another keyed digest.
const PREFIX: u8 = 0x01;

/// 16 random bytes, of one block alone.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Salt([u8; 16]);

impl Salt {
    /// Bytes of a salt.
    pub const LEN: usize = 16;

    /// The salt's bytes.
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl From<[u8; 16]> for Salt {
    fn from(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }
}

/// Never shows the bytes: with them a withheld block could be guessed.
impl fmt::Debug for Salt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Salt(..)")
    }
}

/// What a leaf holds for a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Commitment([u8; 32]);

impl Commitment {
    /// The commitment to a block.
    pub fn to(tag: Tag, salt: &Salt, block: &[u8]) -> Self {
        Self(hmac(&salt.0, &[&[PREFIX, tag.number()], block]))
    }

    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl From<[u8; 32]> for Commitment {
    fn from(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

/// HMAC-SHA256 over the parts, one after the other.
pub(crate) fn hmac(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

/// A block that somebody shows.
#[derive(Debug, Clone, Copy)]
pub struct Shown<'a> {
    /// Which block.
    pub tag: Tag,
    /// Its salt.
    pub salt: &'a Salt,
    /// Its bytes.
    pub bytes: &'a [u8],
}

/// What a leaf says about the blocks of its event. Together they are all of its tags.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Coverage {
    /// Shown, and exactly what was committed to.
    pub shown: Tags,
    /// Not shown: somebody keeps them back.
    pub withheld: Tags,
    /// Not shown: said to be erased. Nothing here proves that.
    pub erased: Tags,
}

/// Why shown blocks are not those of a leaf.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CommitError {
    /// The block is not what was committed to.
    #[error("the block {tag} is not what the leaf commits to")]
    Mismatch {
        /// Which block.
        tag: Tag,
    },
    /// The leaf has no such block.
    #[error("the leaf has no block {tag}")]
    NotInLeaf {
        /// Which block.
        tag: Tag,
    },
    /// One block is shown twice, or both shown and erased.
    #[error("the block {tag} is given twice")]
    Twice {
        /// Which block.
        tag: Tag,
    },
}

impl Leaf {
    /// Commits to the blocks of an event. `salt` gives 16 random bytes at each call.
    pub fn commit(
        received_at_ns: u64,
        blocks: &Blocks,
        mut salt: impl FnMut() -> Salt,
    ) -> Result<(Self, Vec<Salt>), LeafError> {
        let salts: Vec<Salt> = blocks.iter().map(|_| salt()).collect();
        let commitment = |(block, salt): (&Block, &Salt)| {
            (block.tag(), Commitment::to(block.tag(), salt, block.bytes()))
        };
        let leaf = Self::new(received_at_ns, blocks.iter().zip(&salts).map(commitment).collect())?;
        Ok((leaf, salts))
    }

    /// Verifies each shown block against its commitment, and says what became of the others.
    pub fn verify(&self, shown: &[Shown<'_>], erased: Tags) -> Result<Coverage, CommitError> {
        let mut seen = erased;
        if let Some(tag) = erased.without(self.tags()).iter().next() {
            return Err(CommitError::NotInLeaf { tag });
        }
        for Shown { tag, salt, bytes } in shown {
            let tag = *tag;
            let commitment = self.commitment(tag).ok_or(CommitError::NotInLeaf { tag })?;
            if !seen.insert(tag) {
                return Err(CommitError::Twice { tag });
            }
            if Commitment::to(tag, salt, bytes) != *commitment {
                return Err(CommitError::Mismatch { tag });
            }
        }
        let withheld = self.tags().without(seen);
        Ok(Coverage { shown: seen.without(erased), withheld, erased })
    }
}
