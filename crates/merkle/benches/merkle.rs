//! The hot paths: hashing, growing, proving, verifying. `cargo bench -p merkle`.
//!
//! Each rate is in elements: leaves or nodes hashed, proofs made or verified, a second and core.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use merkle::tile::{ExpandedTile, FullRow};
use merkle::{
    CompactRange, Frontier, Hash, LeafIndex, NodeId, Plan, TreeSize, expand, leaf_hash,
    leaf_hashes, node_hash, parent_hashes, plan_batch_inclusion, plan_consistency, plan_inclusion,
    root_of, verify_batch_inclusion, verify_consistency, verify_inclusion,
};

/// Bytes in an entry: a small structured event.
const ENTRY_BYTES: usize = 200;

/// Leaves in the tree that proofs are about.
const TREE_SIZE: u64 = 1_000_003;

fn leaves(count: u64) -> Vec<Hash> {
    (0..count).map(|number| leaf_hash(&number.to_be_bytes())).collect()
}

fn hashing(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("hash");
    let bytes = vec![7; 1000 * ENTRY_BYTES];
    let entries: Vec<&[u8]> = bytes.chunks(ENTRY_BYTES).collect();
    let hashes = leaves(256);

    group.throughput(Throughput::Elements(1));
    group.bench_function("leaf", |bencher| bencher.iter(|| leaf_hash(black_box(entries[0]))));
    group.bench_function("node", |bencher| {
        bencher.iter(|| node_hash(black_box(&hashes[0]), &hashes[1]));
    });
    for count in [2, 4, 8, 16, 64, 1000] {
        group.throughput(Throughput::Elements(count as u64));
        group.bench_function(format!("{count}_leaves"), |bencher| {
            bencher.iter(|| leaf_hashes(black_box(&entries[..count])));
        });
    }
    for pairs in [2, 4, 8, 16, 64, 128] {
        group.throughput(Throughput::Elements(pairs as u64));
        group.bench_function(format!("{pairs}_pairs"), |bencher| {
            bencher.iter(|| parent_hashes(black_box(&hashes[..2 * pairs])));
        });
    }
    let row: &FullRow = hashes.as_slice().try_into().expect("256 hashes");
    group.throughput(Throughput::Elements(255));
    group.bench_function("tile_root", |bencher| bencher.iter(|| root_of(black_box(row))));
    group.bench_function("tile_expanded", |bencher| {
        bencher.iter(|| ExpandedTile::from_full(black_box(row)));
    });
    group.finish();
}

fn growing(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("append");
    let new = leaves(100_000);
    group.throughput(Throughput::Elements(new.len() as u64));
    group.bench_function("compact_range", |bencher| {
        bencher.iter(|| {
            let mut range = CompactRange::empty();
            for leaf in &new {
                range.append(*leaf);
            }
            range.root()
        });
    });
    for batch in [1, 25, 1000] {
        group.bench_function(format!("frontier_{batch}_at_a_time"), |bencher| {
            bencher.iter(|| {
                let mut frontier = Frontier::new();
                let full: usize =
                    new.chunks(batch).map(|leaves| frontier.append(leaves).len()).sum();
                (frontier.root(), full)
            });
        });
    }
    group.finish();
}

/// A tree with every perfect subtree at hand, as a server's tile cache has them.
struct Tree(Vec<Vec<Hash>>);

impl Tree {
    fn new() -> Self {
        let mut levels = vec![leaves(TREE_SIZE)];
        while levels[levels.len() - 1].len() > 1 {
            let below = &levels[levels.len() - 1];
            levels.push(parent_hashes(&below[..below.len() / 2 * 2]));
        }
        Self(levels)
    }

    fn node(&self, node: NodeId) -> Hash {
        self.0[usize::from(node.level())][usize::try_from(node.index()).expect("64-bit machine")]
    }

    fn build(&self, plan: &Plan) -> Vec<Hash> {
        let fetched: Vec<Hash> = plan.nodes().iter().map(|node| self.node(*node)).collect();
        plan.build(&fetched).expect("all nodes were fetched")
    }
}

fn proving(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("proof");
    group.throughput(Throughput::Elements(1));
    let tree = Tree::new();
    let size = TreeSize::new(TREE_SIZE).expect("below 2^63");
    let old = TreeSize::new(700_001).expect("below 2^63");
    let range = |size: u64| {
        let hashes = tree.0[0][..usize::try_from(size).expect("64-bit machine")].iter();
        hashes.fold(CompactRange::empty(), |mut range, leaf| {
            range.append(*leaf);
            range
        })
    };
    let (root, old_root) = (range(TREE_SIZE).root(), range(700_001).root());
    let index = LeafIndex::new(TREE_SIZE / 3).expect("below 2^63");
    let leaf = tree.node(NodeId::leaf(index));

    let inclusion = || tree.build(&plan_inclusion(index, size).expect("within the tree"));
    let proof = inclusion();
    group.bench_function("inclusion/build", |bencher| bencher.iter(inclusion));
    group.bench_function("inclusion/verify", |bencher| {
        bencher.iter(|| verify_inclusion(black_box(&leaf), index, size, &proof, &root));
    });

    let consistency = || tree.build(&plan_consistency(old, size).expect("within the tree"));
    let proof = consistency();
    group.bench_function("consistency/build", |bencher| bencher.iter(consistency));
    group.bench_function("consistency/verify", |bencher| {
        bencher.iter(|| verify_consistency(old, size, &old_root, black_box(&root), &proof));
    });

    for (name, step, count) in [("scattered_100", 9_973, 100), ("run_1000", 1, 1000)] {
        let indexes: Vec<LeafIndex> = (0..count)
            .map(|position| LeafIndex::new(1000 + position * step).expect("below 2^63"))
            .collect();
        let leaves: Vec<_> =
            indexes.iter().map(|index| (*index, tree.node(NodeId::leaf(*index)))).collect();
        let batch = || tree.build(&plan_batch_inclusion(&indexes, size).expect("within the tree"));
        let proof = batch();
        group.throughput(Throughput::Elements(count));
        group.bench_function(format!("batch_{name}/build"), |bencher| bencher.iter(batch));
        group.bench_function(format!("batch_{name}/verify"), |bencher| {
            bencher.iter(|| verify_batch_inclusion(black_box(&leaves), size, &proof, &root));
        });
        group.bench_function(format!("batch_{name}/expand"), |bencher| {
            bencher.iter(|| expand(black_box(&leaves), size, &proof, &root));
        });
    }
    group.finish();
}

criterion_group!(benches, hashing, growing, proving);
criterion_main!(benches);
