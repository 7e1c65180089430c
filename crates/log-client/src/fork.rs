//! Evidence that a log showed two histories.

use std::{
    io,
    path::{Path, PathBuf},
};

use checkpoint::{TlogProof, VerifiedCheckpoint};
use merkle::{CompactRange, Hash, LeafIndex, TreeSize};

use crate::durable;

/// Two signed checkpoints of one log that cannot both be true, and what shows it. Cannot be made of an
/// honest log: a proof that is missing, or simply wrong, is no evidence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fork {
    smaller: VerifiedCheckpoint,
    larger: VerifiedCheckpoint,
    proof: ForkProof,
}

/// Why the two cannot both be true.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ForkProof {
    /// They state two roots for one size.
    SameSize,
    /// The smaller is of the empty tree, and does not state its root. It alone is the evidence.
    EmptyRoot,
    /// The tree of the larger, cut to the size of the smaller, has another root than the smaller states.
    Prefix {
        /// The leaf hash of the last entry of the smaller tree, as it stands in the larger one.
        leaf: Hash,
        /// Its inclusion proof in the larger tree. The hashes of it that lie to the left are, with the
        /// leaf, those of the whole tree up to it.
        inclusion: Vec<Hash>,
    },
}

impl Fork {
    /// Whether these checkpoints of one size contradict each other.
    pub(crate) fn of_same_size(
        one: &VerifiedCheckpoint,
        other: &VerifiedCheckpoint,
    ) -> Option<Self> {
        let contradict = one.origin() == other.origin()
            && one.size() == other.size()
            && one.root() != other.root();
        let proof = ForkProof::SameSize;
        contradict.then(|| Self { smaller: one.clone(), larger: other.clone(), proof })
    }

    /// Whether this checkpoint contradicts itself.
    pub(crate) fn of_empty(checkpoint: &VerifiedCheckpoint) -> Option<Self> {
        checkpoint.checkpoint().is_empty_with_wrong_root().then(|| Self {
            smaller: checkpoint.clone(),
            larger: checkpoint.clone(),
            proof: ForkProof::EmptyRoot,
        })
    }

    /// Whether this inclusion proof of the smaller tree's last leaf in the larger tree shows that the one
    /// does not continue the other.
    pub(crate) fn of_prefix(
        smaller: &VerifiedCheckpoint,
        larger: &VerifiedCheckpoint,
        leaf: Hash,
        inclusion: Vec<Hash>,
    ) -> Option<Self> {
        let proof = ForkProof::Prefix { leaf, inclusion };
        let fork = Self { smaller: smaller.clone(), larger: larger.clone(), proof };
        fork.holds().then_some(fork)
    }

    /// Checks the evidence once more from its parts.
    pub fn holds(&self) -> bool {
        let (smaller, larger) = (&self.smaller, &self.larger);
        if smaller.origin() != larger.origin() {
            return false;
        }
        match &self.proof {
            ForkProof::SameSize => {
                smaller.size() == larger.size() && smaller.root() != larger.root()
            }
            ForkProof::EmptyRoot => smaller.checkpoint().is_empty_with_wrong_root(),
            ForkProof::Prefix { leaf, inclusion } => {
                prefix_of(leaf, smaller.size(), larger.size(), inclusion, larger.root())
                    .is_some_and(|prefix| prefix.root() != *smaller.root())
            }
        }
    }

    /// The checkpoint of the smaller tree; of two equal sizes the one that was trusted.
    pub fn smaller(&self) -> &VerifiedCheckpoint {
        &self.smaller
    }

    /// The checkpoint of the larger tree.
    pub fn larger(&self) -> &VerifiedCheckpoint {
        &self.larger
    }

    /// What shows that they contradict each other.
    pub fn proof(&self) -> &ForkProof {
        &self.proof
    }

    /// Writes the evidence into a folder, made if absent: `fork-1.checkpoint` and `fork-2.checkpoint`, the
    /// two notes as they came, and where it takes one `fork.tlog-proof`, the proof of the smaller tree's
    /// last entry in the larger one, its extra data the leaf hash. Gives the files' paths.
    pub fn write_files(&self, dir: &Path) -> io::Result<Vec<PathBuf>> {
        std::fs::create_dir_all(dir)?;
        let mut files = vec![
            (dir.join("fork-1.checkpoint"), self.smaller.as_bytes().to_vec()),
            (dir.join("fork-2.checkpoint"), self.larger.as_bytes().to_vec()),
        ];
        if let Some(proof) = self.tlog_proof() {
            files.push((dir.join("fork.tlog-proof"), proof.format()));
        }
        files
            .into_iter()
            .map(|(path, bytes)| durable::replace(&path, &bytes).map(|()| path))
            .collect()
    }

    fn tlog_proof(&self) -> Option<TlogProof> {
        let ForkProof::Prefix { leaf, inclusion } = &self.proof else { return None };
        let last = last_index(self.smaller.size())?;
        TlogProof::new(last, inclusion.clone(), self.larger.signed().clone())
            .and_then(|proof| proof.with_extra(leaf.as_bytes().to_vec()))
            .ok()
    }
}

impl std::fmt::Display for Fork {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (smaller, larger) = (&self.smaller, &self.larger);
        let origin = smaller.origin().as_str();
        match self.proof {
            ForkProof::SameSize => {
                write!(f, "log {origin} signed two roots for size {}", smaller.size())
            }
            ForkProof::EmptyRoot => {
                write!(f, "log {origin} signed another root than the empty one for size 0")
            }
            ForkProof::Prefix { .. } => write!(
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
///
/// What stands to the left on the way from that leaf to the root is, with the leaf, all of the prefix.
pub(crate) fn prefix_of(
    leaf: &Hash,
    prefix: TreeSize,
    size: TreeSize,
    inclusion: &[Hash],
    root: &Hash,
) -> Option<CompactRange> {
    let last = last_index(prefix)?;
    merkle::verify_inclusion(leaf, last, size, inclusion, root).ok()?;
    let left = left_siblings(last, size, inclusion);
    // The last perfect subtree of the prefix ends with the leaf: its inner hashes come first.
    let height = usize::try_from(prefix.get().trailing_zeros()).ok()?;
    let (inner, peaks) = left.split_at_checked(height)?;
    let lowest = inner.iter().fold(*leaf, |below, sibling| merkle::node_hash(sibling, &below));
    let hashes = peaks.iter().rev().copied().chain([lowest]).collect();
    CompactRange::from_parts(prefix, hashes).ok()
}

/// The hashes of an inclusion proof, known to hold, that stand to the left of the path (RFC 9162, Section
/// 2.1.3.2 walks in the same way).
fn left_siblings(index: LeafIndex, size: TreeSize, inclusion: &[Hash]) -> Vec<Hash> {
    let (mut node, mut last) = (index.get(), size.get() - 1);
    let mut left = Vec::new();
    for hash in inclusion {
        if node & 1 == 1 || node == last {
            left.push(*hash);
            // A last node without a sibling moves up until it has one.
            while node & 1 == 0 && node != 0 {
                node >>= 1;
                last >>= 1;
            }
        }
        node >>= 1;
        last >>= 1;
    }
    left
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
