//! The hot paths of servers and verifiers: signing a head, verifying a checkpoint or receipt.

#![expect(clippy::unwrap_used, reason = "what fails to unwrap fails the test")]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use formats::{
    Checkpoint, KeyName, PrivateKey, SignedCheckpoint, Signer, Timestamp, TlogProof, Trust,
    VerifierKey, sign, sign_head,
};
use merkle::{Hash, LeafIndex, TreeSize, leaf_hash, node_hash};

fn keys() -> [PrivateKey; 2] {
    let name = KeyName::new("log.example/payments/0123456789abcdef").unwrap();
    [PrivateKey::ed25519(name.clone(), &[1; 32]), PrivateKey::ml_dsa_44(name, &[2; 32])]
}

/// An inclusion proof of made-up hashes for leaf 0, and the head of the tree of 2^20 leaves that it
/// leads to.
fn proof() -> (Hash, Vec<Hash>, Checkpoint) {
    let leaf = leaf_hash(&[7; 200]);
    let hashes: Vec<Hash> = (0..20).map(|level| Hash::from([level; 32])).collect();
    let root = hashes.iter().fold(leaf, |left, right| node_hash(&left, right));
    let origin = keys()[0].verifier_key().name().clone().into();
    (leaf, hashes, Checkpoint::new(origin, TreeSize::new(1 << 20).unwrap(), root))
}

fn signing(criterion: &mut Criterion) {
    let ([ed25519, ml_dsa], (_, _, head)) = (keys(), proof());
    criterion.bench_function("sign/head_ed25519", |bencher| {
        bencher.iter(|| sign_head(head.origin(), black_box(head.size()), head.root(), &ed25519));
    });
    let both: [&dyn Signer; 2] = [&ed25519, &ml_dsa];
    criterion.bench_function("sign/checkpoint_both", |bencher| {
        bencher.iter(|| sign(black_box(&head), &both, Timestamp::ZERO));
    });
}

fn verifying(criterion: &mut Criterion) {
    let ([ed25519, ml_dsa], (leaf, hashes, head)) = (keys(), proof());
    let one = sign(&head, &[&ed25519], Timestamp::ZERO).unwrap();
    let both = sign(&head, &[&ed25519, &ml_dsa], Timestamp::ZERO).unwrap();
    let vkeys: Vec<VerifierKey> = [&ed25519, &ml_dsa].map(|key| key.verifier_key().clone()).into();
    criterion.bench_function("parse/checkpoint", |bencher| {
        bencher.iter(|| SignedCheckpoint::parse(black_box(&one)).unwrap());
    });
    for (name, note) in [("receipt_ed25519", one), ("receipt_both", both)] {
        let signed = SignedCheckpoint::parse(&note).unwrap();
        let index = LeafIndex::new(0).unwrap();
        let receipt = TlogProof::new(index, hashes.clone(), signed).unwrap().format();
        let trust = Trust::Keys(vkeys.clone());
        criterion.bench_function(&format!("verify/{name}"), |bencher| {
            bencher.iter(|| {
                TlogProof::parse(black_box(&receipt)).unwrap().verify(&leaf, &trust).unwrap()
            });
        });
        let parsed = TlogProof::parse(&receipt).unwrap();
        let verified = trust.verify(parsed.checkpoint()).unwrap();
        criterion.bench_function(&format!("verify/{name}_remembered"), |bencher| {
            bencher.iter(|| {
                let parsed = TlogProof::parse(black_box(&receipt)).unwrap();
                parsed.verify_under(&leaf, &verified).unwrap()
            });
        });
    }
}

fn decoding(criterion: &mut Criterion) {
    for (name, key) in ["ed25519", "ml_dsa_44"].into_iter().zip(keys()) {
        let vkey = key.verifier_key().to_string();
        criterion.bench_function(&format!("parse/vkey_{name}"), |bencher| {
            bencher.iter(|| VerifierKey::parse(black_box(&vkey)).unwrap());
        });
    }
}

criterion_group!(benches, signing, verifying, decoding);
criterion_main!(benches);
