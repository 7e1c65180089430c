//! Proofs, each verified against the head before it is returned.

use merkle::{Hash, LeafIndex, NodeId, TreeSize, proof};

use super::{Access, BatchInclusion, Inclusion, ReadError, Snapshot, corrupt_proof};

impl Snapshot {
    /// An inclusion proof of one leaf in the tree of `size` leaves, which must not be beyond this one.
    pub fn inclusion(
        &self,
        index: LeafIndex,
        size: TreeSize,
        access: Access,
    ) -> Result<Inclusion, ReadError> {
        self.check_size("tree_size", size)?;
        if !size.contains(index) {
            return Err(ReadError::BeyondSize { field: "leaf_index", asked: index.get(), size });
        }
        let plan = proof::plan_inclusion(index, size).map_err(|_| corrupt_proof(size))?;
        let hashes = self.build(&plan, size, access)?;
        let leaf = self.node(NodeId::leaf(index), access)?;
        let root = self.root_at(size, access)?;
        proof::verify_inclusion(&leaf, index, size, &hashes, &root)
            .map_err(|_| corrupt_proof(size))?;
        Ok(Inclusion { index, leaf, size, hashes })
    }

    /// A consistency proof between two sizes up to this one.
    pub fn consistency(
        &self,
        from: TreeSize,
        to: TreeSize,
        access: Access,
    ) -> Result<Vec<Hash>, ReadError> {
        self.check_size("to_size", to)?;
        if to < from {
            return Err(ReadError::BackwardSizes { from, to });
        }
        let from_root = self.raw_root(from, access)?;
        let to_root = self.root_at(to, access)?;
        self.prove_consistency(from, to, (&from_root, &to_root), access)
    }

    /// The root of the tree at a size up to this one, proved consistent with this one's.
    pub fn root(&self, size: TreeSize, access: Access) -> Result<Hash, ReadError> {
        self.check_size("tree_size", size)?;
        self.root_at(size, access)
    }

    /// What shows the root that this tree had at a smaller size, whatever anyone claims about it.
    pub fn prefix(&self, size: TreeSize, access: Access) -> Result<Vec<Hash>, ReadError> {
        self.check_size("tree_size", size)?;
        let (whole, root) = (self.size(), &self.view.head.root);
        let plan = proof::plan_prefix(size, whole).map_err(|_| corrupt_proof(size))?;
        let hashes = self.build(&plan, whole, access)?;
        let had = proof::prefix_root(size, whole, root, &hashes);
        if had.is_ok_and(|had| self.raw_root(size, access).is_ok_and(|root| root == had)) {
            return Ok(hashes);
        }
        Err(corrupt_proof(size))
    }

    /// One proof of many leaves, their indexes ascending and each once.
    pub fn batch_inclusion(
        &self,
        indexes: &[LeafIndex],
        size: TreeSize,
        access: Access,
    ) -> Result<BatchInclusion, ReadError> {
        self.check_size("tree_size", size)?;
        Self::check_indexes(indexes, size)?;
        let leaf = |index: &LeafIndex| self.node(NodeId::leaf(*index), access);
        let leaves = indexes.iter().map(leaf).collect::<Result<Vec<_>, _>>()?;
        let hashes = self.prove_batch(indexes, &leaves, size, access)?;
        Ok(BatchInclusion { size, leaves, hashes })
    }

    /// As [`Self::batch_inclusion`] at this size, for leaf hashes the caller already holds: the proof is
    /// verified for those, so stored leaves that differ are found.
    pub fn prove_leaves(
        &self,
        indexes: &[LeafIndex],
        leaves: &[Hash],
        access: Access,
    ) -> Result<Vec<Hash>, ReadError> {
        Self::check_indexes(indexes, self.size())?;
        self.prove_batch(indexes, leaves, self.size(), access)
    }

    fn prove_batch(
        &self,
        indexes: &[LeafIndex],
        leaves: &[Hash],
        size: TreeSize,
        access: Access,
    ) -> Result<Vec<Hash>, ReadError> {
        let plan = proof::plan_batch_inclusion(indexes, size).map_err(|_| corrupt_proof(size))?;
        let hashes = self.build(&plan, size, access)?;
        let root = self.root_at(size, access)?;
        let pairs: Vec<_> = indexes.iter().copied().zip(leaves.iter().copied()).collect();
        proof::verify_batch_inclusion(&pairs, size, &hashes, &root)
            .map_err(|_| corrupt_proof(size))?;
        Ok(hashes)
    }

    fn check_size(&self, field: &'static str, size: TreeSize) -> Result<(), ReadError> {
        if size > self.size() {
            let asked = size.get();
            return Err(ReadError::BeyondSize { field, asked, size: self.size() });
        }
        Ok(())
    }

    fn check_indexes(indexes: &[LeafIndex], size: TreeSize) -> Result<(), ReadError> {
        let last = *indexes.last().ok_or(ReadError::BadIndexes)?;
        if !indexes.is_sorted_by(|left, right| left < right) {
            return Err(ReadError::BadIndexes);
        }
        if !size.contains(last) {
            return Err(ReadError::BeyondSize { field: "leaf_indexes", asked: last.get(), size });
        }
        Ok(())
    }

    /// The root of a tree up to this one, proved consistent with this one's.
    fn root_at(&self, size: TreeSize, access: Access) -> Result<Hash, ReadError> {
        let root = self.raw_root(size, access)?;
        if size != self.size() {
            let head = (&root, &self.view.head.root);
            self.prove_consistency(size, self.size(), head, access)?;
        }
        Ok(root)
    }

    /// The root of a tree up to this one, as its nodes give it.
    fn raw_root(&self, size: TreeSize, access: Access) -> Result<Hash, ReadError> {
        if size == self.size() {
            return Ok(self.view.head.root);
        }
        if size == TreeSize::ZERO {
            return Ok(Hash::EMPTY_ROOT);
        }
        let root = self.build(&proof::plan_root(size), size, access)?;
        root.first().copied().ok_or_else(|| corrupt_proof(size))
    }

    fn prove_consistency(
        &self,
        from: TreeSize,
        to: TreeSize,
        (from_root, to_root): (&Hash, &Hash),
        access: Access,
    ) -> Result<Vec<Hash>, ReadError> {
        let plan = proof::plan_consistency(from, to).map_err(|_| corrupt_proof(to))?;
        let hashes = self.build(&plan, to, access)?;
        proof::verify_consistency(from, to, from_root, to_root, &hashes)
            .map_err(|_| corrupt_proof(to))?;
        Ok(hashes)
    }

    fn build(
        &self,
        plan: &proof::Plan,
        size: TreeSize,
        access: Access,
    ) -> Result<Vec<Hash>, ReadError> {
        let nodes = plan.nodes().iter().map(|node| self.node(*node, access));
        let fetched = nodes.collect::<Result<Vec<_>, _>>()?;
        plan.build(&fetched).map_err(|_| corrupt_proof(size))
    }
}
