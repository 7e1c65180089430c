//! The tree and its proofs as the specifications define them: recursion over lists of leaf hashes,
//! with no thought for speed. Everything in the crate is compared with this.

use std::ops::Range;

use merkle::{Hash, LeafIndex, NodeId, Plan, Subtree, TreeSize, leaf_hash, node_hash};

/// Leaves `0..count`, each the hash of its own number.
pub(crate) fn leaves(count: usize) -> Vec<Hash> {
    (0..count).map(|number| leaf_hash(&number.to_be_bytes())).collect()
}

pub(crate) fn subtree(leaves: Range<usize>) -> Option<Subtree> {
    Subtree::new(leaves.start as u64..leaves.end as u64).ok()
}

pub(crate) fn size(value: usize) -> TreeSize {
    TreeSize::new(value as u64).unwrap()
}

pub(crate) fn index(value: usize) -> LeafIndex {
    LeafIndex::new(value as u64).unwrap()
}

/// A list of leaves, and the trees over its parts.
pub(crate) struct Tree {
    /// The perfect subtrees, by level, so that the recursion ends early.
    perfect: Vec<Vec<Hash>>,
}

impl Tree {
    pub(crate) fn new(leaves: Vec<Hash>) -> Self {
        let mut perfect = vec![leaves];
        while perfect[perfect.len() - 1].len() > 1 {
            let (pairs, _) = perfect[perfect.len() - 1].as_chunks::<2>();
            perfect.push(pairs.iter().map(|[left, right]| node_hash(left, right)).collect());
        }
        Self { perfect }
    }

    pub(crate) fn leaf(&self, index: usize) -> Hash {
        self.perfect[0][index]
    }

    /// `MTH(D[start:end])`, RFC 6962, section 2.1.
    pub(crate) fn mth(&self, range: Range<usize>) -> Hash {
        let n = range.len();
        if n == 0 {
            return Hash::EMPTY_ROOT;
        }
        if n.is_power_of_two() && range.start.is_multiple_of(n) {
            return self.perfect[n.ilog2() as usize][range.start / n];
        }
        let middle = range.start + split(n);
        node_hash(&self.mth(range.start..middle), &self.mth(middle..range.end))
    }

    pub(crate) fn node(&self, node: NodeId) -> Hash {
        let leaves = node.leaves();
        self.mth(usize::try_from(leaves.start).unwrap()..usize::try_from(leaves.end).unwrap())
    }

    /// Does what a server does with a plan: fetches the nodes and builds the proof.
    pub(crate) fn build(&self, plan: &Plan) -> Vec<Hash> {
        let fetched: Vec<Hash> = plan.nodes().iter().map(|node| self.node(*node)).collect();
        let proof = plan.build(&fetched).unwrap();
        assert_eq!(proof.len(), plan.proof_len());
        proof
    }

    /// `PATH(m, D[start:end])`, RFC 6962, section 2.1.1; `m` counts from the start of the range.
    pub(crate) fn path(&self, m: usize, range: Range<usize>) -> Vec<Hash> {
        if range.len() == 1 {
            return Vec::new();
        }
        let k = split(range.len());
        let (left, right) = (range.start..range.start + k, range.start + k..range.end);
        let (mut path, sibling) =
            if m < k { (self.path(m, left), right) } else { (self.path(m - k, right), left) };
        path.push(self.mth(sibling));
        path
    }

    /// `SUBPROOF(m, D[start:end], b)`, RFC 6962, section 2.1.2.
    pub(crate) fn subproof(&self, m: usize, range: Range<usize>, b: bool) -> Vec<Hash> {
        let n = range.len();
        if m == n {
            return if b { Vec::new() } else { vec![self.mth(range)] };
        }
        let k = split(n);
        let (left, right) = (range.start..range.start + k, range.start + k..range.end);
        let (mut proof, sibling) = if m <= k {
            (self.subproof(m, left, b), right)
        } else {
            (self.subproof(m - k, right, false), left)
        };
        proof.push(self.mth(sibling));
        proof
    }

    /// `SUBTREE_SUBPROOF(start, end, D_n, b)`, draft-ietf-plants-merkle-tree-certs-03, section
    /// 4.4.1.
    pub(crate) fn subtree_subproof(
        &self,
        target: Range<usize>,
        range: Range<usize>,
        b: bool,
    ) -> Vec<Hash> {
        if target == (0..range.len()) {
            return if b { Vec::new() } else { vec![self.mth(range)] };
        }
        let k = split(range.len());
        let (left, right) = (range.start..range.start + k, range.start + k..range.end);
        let (mut proof, sibling) = if target.end <= k {
            (self.subtree_subproof(target, left, b), right)
        } else if k <= target.start {
            (self.subtree_subproof(target.start - k..target.end - k, right, b), left)
        } else {
            assert_eq!(target.start, 0);
            (self.subtree_subproof(0..target.end - k, right, false), left)
        };
        proof.push(self.mth(sibling));
        proof
    }

    /// The batch proof by recursion: each hash tagged with its row, then sorted by row, stably from
    /// the left.
    pub(crate) fn batch(&self, proven: &[usize], size: usize) -> Vec<Hash> {
        let mut tagged = Vec::new();
        self.batch_below(proven, 0..size, &mut tagged);
        tagged.sort_by_key(|(row, _)| *row);
        tagged.into_iter().map(|(_, hash)| hash).collect()
    }

    fn batch_below(&self, proven: &[usize], range: Range<usize>, tagged: &mut Vec<(u32, Hash)>) {
        if range.len() == 1 {
            return;
        }
        let k = split(range.len());
        let middle = range.start + k;
        let (left, right) = proven.split_at(proven.partition_point(|leaf| *leaf < middle));
        for (side, part) in [(left, range.start..middle), (right, middle..range.end)] {
            if side.is_empty() {
                tagged.push((k.ilog2(), self.mth(part)));
            } else {
                self.batch_below(side, part, tagged);
            }
        }
    }
}

/// The largest power of two below `n`, for `n` above 1.
fn split(n: usize) -> usize {
    n.next_power_of_two() / 2
}
