//! Inclusion, consistency and batch proofs, each verified against a root computed here.

use log_proto::log_v1 as pb;
use log_proto::log_v1::get_inclusion_proof_request::Entry as Of;
use merkle::leaf_hash;
use tonic::Code;

use crate::harness::{
    LOG, Stack, at, at_fault, because, hashes, joined, numbered, numbered_leaves, refused,
    refused_field, root_of_numbered, size, verified,
};

const SIZE: u64 = 600;

fn inclusion(entry: Of, tree_size: u64) -> pb::GetInclusionProofRequest {
    pb::GetInclusionProofRequest { log: LOG.to_owned(), entry: Some(entry), tree_size }
}

fn leaf_of(number: u64) -> Of {
    Of::LeafHash(leaf_hash(&numbered(number)).as_bytes().to_vec().into())
}

#[tokio::test(flavor = "multi_thread")]
async fn inclusion_is_proved_by_index_and_by_leaf_hash_in_any_size() {
    let mut stack = Stack::new().await;
    stack.fill(0, SIZE).await;
    for index in [0, 1, 255, 256, 511, 599] {
        for tree_size in [index + 1, (index + 7).min(SIZE), SIZE] {
            for of in [Of::LeafIndex(index), leaf_of(index)] {
                let request = inclusion(of, tree_size);
                let answer = stack.client.get_inclusion_proof(request).await.unwrap();
                let proof = answer.into_inner();
                assert_eq!((proof.leaf_index, proof.tree_size), (index, tree_size));
                assert!(proof.checkpoint.is_empty(), "only where no size is named");
                let leaf = leaf_hash(&numbered(index));
                assert_eq!(proof.leaf_hash, leaf.as_bytes()[..]);
                let root = root_of_numbered(tree_size);
                let path = hashes(&proof.hashes);
                merkle::verify_inclusion(&leaf, at(index), size(tree_size), &path, &root).unwrap();
            }
        }
    }
    let trust = stack.trust(LOG).await;
    let newest = inclusion(Of::LeafIndex(5), 0);
    let newest = stack.client.get_inclusion_proof(newest).await.unwrap().into_inner();
    let head = verified(&newest.checkpoint, &trust);
    assert_eq!((newest.tree_size, head.size().get()), (SIZE, SIZE));
    let path = hashes(&newest.hashes);
    merkle::verify_inclusion(&leaf_hash(&numbered(5)), at(5), head.size(), &path, head.root())
        .unwrap();
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn inclusion_of_what_is_not_there_is_refused() {
    let mut stack = Stack::new().await;
    stack.fill(0, 10).await;
    for (request, code, reason, field) in [
        (inclusion(Of::LeafIndex(10), 0), Code::OutOfRange, "BEYOND_SIZE", "leaf_index"),
        (inclusion(Of::LeafIndex(5), 5), Code::OutOfRange, "BEYOND_SIZE", "leaf_index"),
        (inclusion(Of::LeafIndex(5), 11), Code::OutOfRange, "BEYOND_SIZE", "tree_size"),
        (inclusion(Of::LeafIndex(5), 1 << 63), Code::InvalidArgument, "BAD_RANGE", "tree_size"),
        (inclusion(Of::LeafIndex(1 << 63), 0), Code::InvalidArgument, "BAD_RANGE", "leaf_index"),
        (inclusion(Of::LeafIndex(u64::MAX), 0), Code::InvalidArgument, "BAD_RANGE", "leaf_index"),
        (
            inclusion(Of::LeafHash(vec![1; 31].into()), 0),
            Code::InvalidArgument,
            "BAD_HASH",
            "leaf_hash",
        ),
    ] {
        let refusal = stack.client.get_inclusion_proof(request).await.unwrap_err();
        assert_eq!(refused_field(&refusal), at_fault(code, reason, field));
    }
    let beyond =
        stack.client.get_inclusion_proof(inclusion(Of::LeafIndex(10), 0)).await.unwrap_err();
    assert_eq!(beyond.message(), "leaf_index 10 is beyond the size 10");
    let unknown = stack.client.get_inclusion_proof(inclusion(leaf_of(10), 0)).await.unwrap_err();
    assert_eq!(refused(&unknown), because(Code::NotFound, "ENTRY_NOT_FOUND"));
    let neither = pb::GetInclusionProofRequest { log: LOG.to_owned(), entry: None, tree_size: 0 };
    let neither = stack.client.get_inclusion_proof(neither).await.unwrap_err();
    assert_eq!(refused_field(&neither), at_fault(Code::InvalidArgument, "BAD_FIELD", "entry"));
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn consistency_is_proved_between_any_two_sizes() {
    let mut stack = Stack::new().await;
    stack.fill(0, SIZE).await;
    let ask = |from_size, to_size| pb::GetConsistencyProofRequest {
        log: LOG.to_owned(),
        from_size,
        to_size,
    };
    let sizes = [0, 1, 2, 255, 256, 257, 512, 600];
    for (position, from) in sizes.into_iter().enumerate() {
        for to in sizes[position..].iter().copied().filter(|to| *to > 0) {
            let answer = stack.client.get_consistency_proof(ask(from, to)).await.unwrap();
            let proof = answer.into_inner();
            assert_eq!((proof.from_size, proof.to_size), (from, to));
            let (old, new) = (root_of_numbered(from), root_of_numbered(to));
            let path = hashes(&proof.hashes);
            merkle::verify_consistency(size(from), size(to), &old, &new, &path).unwrap();
            assert!(from != 0 && from != to || path.is_empty());
        }
    }
    let trust = stack.trust(LOG).await;
    let newest = stack.client.get_consistency_proof(ask(300, 0)).await.unwrap().into_inner();
    assert_eq!((newest.from_size, newest.to_size), (300, SIZE));
    assert_eq!(*verified(&newest.checkpoint, &trust).root(), root_of_numbered(SIZE));

    for (from, to, code, reason, field) in [
        (0, 601, Code::OutOfRange, "BEYOND_SIZE", "to_size"),
        (601, 0, Code::OutOfRange, "BEYOND_SIZE", "from_size"),
        (1 << 63, 0, Code::InvalidArgument, "BAD_RANGE", "from_size"),
        (0, u64::MAX, Code::InvalidArgument, "BAD_RANGE", "to_size"),
        (7, 6, Code::InvalidArgument, "BAD_RANGE", "from_size"),
    ] {
        let refusal = stack.client.get_consistency_proof(ask(from, to)).await.unwrap_err();
        assert_eq!(refused_field(&refusal), at_fault(code, reason, field), "{from} to {to}");
    }
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_leaves_are_proved_by_one_set_of_hashes() {
    let mut stack = Stack::new().await;
    stack.fill(0, SIZE).await;
    let ask = |leaf_indexes: Vec<u64>, tree_size| pb::GetBatchInclusionProofRequest {
        log: LOG.to_owned(),
        leaf_indexes,
        tree_size,
    };
    let trust = stack.trust(LOG).await;
    for indexes in [vec![0], vec![599], vec![0, 1, 2], vec![3, 255, 256, 300, 599]] {
        let request = ask(indexes.clone(), 0);
        let proof = stack.client.get_batch_inclusion_proof(request).await.unwrap().into_inner();
        let head = verified(&proof.checkpoint, &trust);
        assert_eq!((proof.tree_size, head.size().get()), (SIZE, SIZE));
        let leaves = numbered_leaves(indexes);
        assert!(hashes(&proof.leaf_hashes).iter().eq(leaves.iter().map(|(_, leaf)| leaf)));
        let set = joined(&proof.hashes);
        merkle::verify_batch_inclusion(&leaves, head.size(), &set, head.root()).unwrap();
    }
    let older = ask(vec![1, 5], 100);
    let older = stack.client.get_batch_inclusion_proof(older).await.unwrap().into_inner();
    assert!(older.checkpoint.is_empty());
    let (set, root) = (joined(&older.hashes), root_of_numbered(100));
    merkle::verify_batch_inclusion(&numbered_leaves([1, 5]), size(100), &set, &root).unwrap();

    for (indexes, tree_size, code, reason) in [
        (vec![], 0, Code::InvalidArgument, "BAD_RANGE"),
        (vec![1; 10_001], 0, Code::InvalidArgument, "BAD_RANGE"),
        (vec![1, 1], 0, Code::InvalidArgument, "BAD_RANGE"),
        (vec![2, 1], 0, Code::InvalidArgument, "BAD_RANGE"),
        (vec![u64::MAX], 0, Code::InvalidArgument, "BAD_RANGE"),
        (vec![1], 1 << 63, Code::InvalidArgument, "BAD_RANGE"),
        (vec![1, 600], 0, Code::OutOfRange, "BEYOND_SIZE"),
        (vec![1], 601, Code::OutOfRange, "BEYOND_SIZE"),
        (vec![1, 100], 100, Code::OutOfRange, "BEYOND_SIZE"),
    ] {
        let request = ask(indexes.clone(), tree_size);
        let refusal = stack.client.get_batch_inclusion_proof(request).await.unwrap_err();
        let (found_code, found_reason, field) = refused_field(&refusal);
        assert_eq!((found_code, found_reason.as_str()), (code, reason), "{refusal}");
        assert!(["leaf_indexes", "leaf_index", "tree_size"].contains(&&*field), "{field}");
    }
    stack.stop().await;
}
