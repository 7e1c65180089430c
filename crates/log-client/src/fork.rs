//! Evidence that a log showed two histories.

use std::{
    io,
    path::{Path, PathBuf},
};

use formats::{Contradiction, Evidence, VerifiedCheckpoint};
use merkle::{CompactRange, Hash, LeafIndex, TreeSize};

use crate::durable;

/// Two signed checkpoints of one log that cannot both be true, and what shows it. Cannot be made of an
/// honest log: a proof that is missing, or simply wrong, is no evidence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fork {
    smaller: VerifiedCheckpoint,
    larger: VerifiedCheckpoint,
    evidence: Evidence,
}

impl Fork {
    /// Whether these checkpoints of one size contradict each other.
    pub(crate) fn of_same_size(
        one: &VerifiedCheckpoint,
        other: &VerifiedCheckpoint,
    ) -> Option<Self> {
        if one.size() != other.size() {
            return None;
        }
        let evidence = Evidence::of_same_size(one.signed().clone(), other.signed().clone()).ok()?;
        Self::of(one, other, evidence)
    }

    /// Whether this checkpoint contradicts itself.
    pub(crate) fn of_empty(checkpoint: &VerifiedCheckpoint) -> Option<Self> {
        let evidence = Evidence::of_empty(checkpoint.signed().clone()).ok()?;
        Self::of(checkpoint, checkpoint, evidence)
    }

    /// Whether this consistency proof, which does not hold, shows that the larger tree does not continue
    /// the smaller one. A proof from a size that is a power of two never does.
    pub(crate) fn of_consistency(
        smaller: &VerifiedCheckpoint,
        larger: &VerifiedCheckpoint,
        proof: &[Hash],
    ) -> Option<Self> {
        let prefix = merkle::prefix_from_consistency(smaller.size(), larger.size(), proof)?;
        Self::of_prefix(smaller, larger, prefix)
    }

    /// Whether this inclusion proof of the smaller tree's last leaf in the larger tree shows that the one
    /// does not continue the other.
    pub(crate) fn of_inclusion(
        smaller: &VerifiedCheckpoint,
        larger: &VerifiedCheckpoint,
        leaf: &Hash,
        inclusion: &[Hash],
    ) -> Option<Self> {
        let (from, to) = (smaller.size(), larger.size());
        Self::of_prefix(smaller, larger, merkle::prefix_from_inclusion(leaf, from, to, inclusion)?)
    }

    /// Whether this prefix proof shows that the larger tree does not continue the smaller one.
    pub(crate) fn of_prefix(
        smaller: &VerifiedCheckpoint,
        larger: &VerifiedCheckpoint,
        prefix: Vec<Hash>,
    ) -> Option<Self> {
        let (first, second) = (smaller.signed().clone(), larger.signed().clone());
        Self::of(smaller, larger, Evidence::of_sizes(first, second, prefix).ok()?)
    }

    fn of(
        smaller: &VerifiedCheckpoint,
        larger: &VerifiedCheckpoint,
        evidence: Evidence,
    ) -> Option<Self> {
        let (smaller, larger) = (smaller.clone(), larger.clone());
        evidence.contradicts().is_ok().then_some(Self { smaller, larger, evidence })
    }

    /// The checkpoint of the smaller tree; of two equal sizes the one that was trusted.
    pub fn smaller(&self) -> &VerifiedCheckpoint {
        &self.smaller
    }

    /// The checkpoint of the larger tree.
    pub fn larger(&self) -> &VerifiedCheckpoint {
        &self.larger
    }

    /// What the log did.
    pub fn contradiction(&self) -> Contradiction {
        self.evidence.claim()
    }

    /// What shows it to anyone: [`Evidence::format`] is the file, [`Evidence::verify`] checks it.
    pub fn evidence(&self) -> &Evidence {
        &self.evidence
    }

    /// Writes the evidence into a folder, made if absent, as `fork-<m>-<n>-<hash>.evidence`: the two sizes,
    /// and the first half of the hash of the content, so that no evidence overwrites other. Gives its path.
    pub fn write_file(&self, dir: &Path) -> io::Result<PathBuf> {
        std::fs::create_dir_all(dir)?;
        let bytes = self.evidence.format();
        // A leaf hash serves as the hash here: SHA-256 behind a zero byte.
        let hash = merkle::leaf_hash(&bytes).to_string();
        let (from, to) = (self.smaller.size(), self.larger.size());
        let path = dir.join(format!("fork-{from}-{to}-{}.evidence", &hash[..32]));
        durable::replace(&path, &bytes).map(|()| path)
    }
}

impl std::fmt::Display for Fork {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (smaller, larger) = (&self.smaller, &self.larger);
        let origin = smaller.origin().as_str();
        match self.contradiction() {
            Contradiction::TwoRoots => {
                write!(f, "log {origin} signed two roots for size {}", smaller.size())
            }
            Contradiction::EmptyRoot => {
                write!(f, "log {origin} signed another root than the empty one for size 0")
            }
            Contradiction::NotContinued => write!(
                f,
                "log {origin} signed a tree of size {} that does not continue the one it signed of size {}",
                larger.size(),
                smaller.size()
            ),
        }
    }
}

/// The index of the last leaf of a tree.
pub(crate) fn last_index(size: TreeSize) -> Option<LeafIndex> {
    size.get().checked_sub(1).and_then(|last| LeafIndex::new(last).ok())
}

/// The compact range of the first `prefix` leaves, from the inclusion proof of the last of them in the
/// tree of `size` leaves with this root. `None` if the proof does not hold.
pub(crate) fn prefix_of(
    leaf: &Hash,
    prefix: TreeSize,
    size: TreeSize,
    inclusion: &[Hash],
    root: &Hash,
) -> Option<CompactRange> {
    let mut hashes = merkle::prefix_from_inclusion(leaf, prefix, size, inclusion)?;
    merkle::prefix_root(prefix, size, root, &hashes).ok()?;
    // The frontier comes first: one hash for each bit of the size.
    hashes.truncate(usize::try_from(prefix.get().count_ones()).ok()?);
    CompactRange::from_parts(prefix, hashes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaves(count: u64) -> Vec<Hash> {
        (0..count).map(|index| merkle::leaf_hash(&index.to_be_bytes())).collect()
    }

    fn root(leaves: &[Hash]) -> CompactRange {
        let mut range = CompactRange::empty();
        for leaf in leaves {
            range.append(*leaf);
        }
        range
    }

    /// An inclusion proof by the definition: RFC 6962, Section 2.1.1.
    fn path(index: usize, leaves: &[Hash]) -> Vec<Hash> {
        if leaves.len() == 1 {
            return Vec::new();
        }
        let split = leaves.len().next_power_of_two() / 2;
        let (near, far, index) = if index < split {
            (&leaves[..split], &leaves[split..], index)
        } else {
            (&leaves[split..], &leaves[..split], index - split)
        };
        let mut path = path(index, near);
        path.push(root(far).root());
        path
    }

    #[test]
    fn the_prefix_follows_from_the_proof_of_its_last_leaf_for_all_small_sizes() {
        let all = leaves(70);
        for size in 1..=all.len() {
            let tree = root(&all[..size]);
            for prefix in 1..=size {
                let proof = path(prefix - 1, &all[..size]);
                let [prefix_size, size] =
                    [prefix, size].map(|size| TreeSize::new(u64::try_from(size).unwrap()).unwrap());
                let found = prefix_of(&all[prefix - 1], prefix_size, size, &proof, &tree.root());
                let found = found.expect("the proof holds");
                assert_eq!(found.hashes(), root(&all[..prefix]).hashes());

                let mut wrong = proof.clone();
                if let Some(hash) = wrong.first_mut() {
                    *hash = Hash::EMPTY_ROOT;
                    let refused =
                        prefix_of(&all[prefix - 1], prefix_size, size, &wrong, &tree.root());
                    assert!(refused.is_none());
                }
            }
        }
    }
}
