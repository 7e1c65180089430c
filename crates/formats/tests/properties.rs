//! Round trips, and that no bytes from outside panic or parse in two ways.

#![expect(clippy::unwrap_used, reason = "what fails to unwrap fails the test")]

use formats::{
    AddCheckpoint, Checkpoint, KeyKind, KeyName, Origin, PrivateKey, SignSubtree, SignedCheckpoint,
    Signer, Timestamp, TlogProof, UnverifiedNote, VerifierKey, sign,
};
use merkle::{Hash, LeafIndex, Subtree, TreeSize};
use proptest::prelude::*;

#[path = "../../../fuzz/targets/checkpoint.rs"]
mod targets;

const SIZE_MAX: u64 = u64::MAX >> 1;

fn hashes(most: usize) -> impl Strategy<Value = Vec<Hash>> {
    prop::collection::vec(any::<[u8; 32]>().prop_map(Hash::from), 0..=most)
}

fn bytes() -> impl Strategy<Value = u8> {
    prop_oneof![Just(b'\n'), Just(b' '), Just(b'0'), any::<u8>()]
}

fn kinds() -> impl Strategy<Value = KeyKind> {
    let pq = KeyKind::CosignatureMlDsa44;
    prop_oneof![Just(KeyKind::Ed25519), Just(KeyKind::CosignatureEd25519), Just(pq)]
}

fn keys() -> impl Strategy<Value = PrivateKey> {
    ("[!-*,-~é]{1,40}", kinds(), any::<[u8; 32]>()).prop_map(|(name, kind, seed)| {
        PrivateKey::from_seed(KeyName::new(&name).unwrap(), kind, &seed)
    })
}

fn checkpoints() -> impl Strategy<Value = Checkpoint> {
    ("[ -~é]{1,40}", 0..=SIZE_MAX, any::<[u8; 32]>(), prop::collection::vec("[ -~é]{1,10}", 0..3))
        .prop_map(|(origin, size, root, extensions)| {
            let origin = Origin::new(&origin).unwrap();
            let head = Checkpoint::new(origin, TreeSize::new(size).unwrap(), root.into());
            let lines: String = extensions.iter().map(|line| line.clone() + "\n").collect();
            Checkpoint::parse(&format!("{head}{lines}")).unwrap()
        })
}

fn signed() -> impl Strategy<Value = SignedCheckpoint> {
    (checkpoints(), prop::collection::vec(keys(), 1..4), 0..=SIZE_MAX).prop_map(
        |(checkpoint, keys, time)| {
            let signers: Vec<&dyn Signer> = keys.iter().map(|key| key as &dyn Signer).collect();
            let note = sign(&checkpoint, &signers, Timestamp::new(time).unwrap()).unwrap();
            SignedCheckpoint::parse(&note).unwrap()
        },
    )
}

/// Feeds bytes to every parser; what any accepts has to format back to the same bytes.
fn every_parser(bytes: &[u8]) {
    let files = [targets::proof, targets::evidence, targets::body, targets::policy];
    for target in [targets::note, targets::key].into_iter().chain(files) {
        target(bytes);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn checkpoints_format_back(checkpoint in checkpoints()) {
        prop_assert_eq!(&Checkpoint::parse(&checkpoint.to_string()).unwrap(), &checkpoint);
    }

    #[test]
    fn keys_format_back(key in keys()) {
        let vkey = key.verifier_key();
        prop_assert_eq!(&VerifierKey::parse(&vkey.to_string()).unwrap(), vkey);
        let parsed = PrivateKey::parse(&key.format()).unwrap();
        prop_assert_eq!(parsed.verifier_key(), vkey);
    }

    #[test]
    fn what_a_key_signs_it_verifies(
        checkpoint in checkpoints(),
        key in keys(),
        time in 0..=SIZE_MAX,
    ) {
        let time = Timestamp::new(time).unwrap();
        let note = sign(&checkpoint, &[&key], time).unwrap();
        let parsed = UnverifiedNote::parse(&note).unwrap();
        let verified = parsed.verify(&[key.verifier_key()]).unwrap();
        let stated = key.verifier_key().kind().is_cosignature().then_some(time);
        prop_assert_eq!(verified.signatures()[0].time(), stated);
        prop_assert_eq!(verified.text(), checkpoint.to_string());
    }

    #[test]
    fn proofs_format_back(
        index in 0..SIZE_MAX,
        hashes in hashes(63),
        extra in prop::option::of(prop::collection::vec(any::<u8>(), 1..100)),
        signed in signed(),
    ) {
        let mut proof = TlogProof::new(LeafIndex::new(index).unwrap(), hashes, signed).unwrap();
        if let Some(extra) = extra {
            proof = proof.with_extra(extra).unwrap();
        }
        prop_assert_eq!(&TlogProof::parse(&proof.format()).unwrap(), &proof);
    }

    #[test]
    fn bodies_format_back(
        old in 0..=SIZE_MAX,
        hashes in hashes(63),
        hash: [u8; 32],
        signed in signed(),
    ) {
        let old = TreeSize::new(old).unwrap();
        let request = AddCheckpoint::new(old, hashes.clone(), signed.clone()).unwrap();
        prop_assert_eq!(&AddCheckpoint::parse(&request.format()).unwrap(), &request);
        if let Some(whole) = Subtree::whole(signed.size()) {
            let request = SignSubtree::new(whole, hash.into(), hashes, signed).unwrap();
            prop_assert_eq!(&SignSubtree::parse(&request.format()).unwrap(), &request);
        }
    }

    #[test]
    fn no_bytes_panic_or_parse_in_two_ways(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        every_parser(&bytes);
    }

    #[test]
    fn no_mutation_panics_or_parses_in_two_ways(
        signed in signed(),
        hashes in hashes(3),
        at: prop::sample::Index,
        removed in 0usize..4,
        inserted in prop::collection::vec(bytes(), 0..3),
    ) {
        let index = LeafIndex::new(5).unwrap();
        let proof = TlogProof::new(index, hashes.clone(), signed.clone()).unwrap().format();
        let request = AddCheckpoint::new(TreeSize::ZERO, hashes.clone(), signed.clone()).unwrap();
        let subtree = Subtree::whole(signed.size()).map_or_else(Vec::new, |whole| {
            SignSubtree::new(whole, *signed.root(), hashes, signed.clone()).unwrap().format()
        });
        for mut bytes in [signed.as_bytes().to_vec(), proof, request.format(), subtree] {
            let at = at.index(bytes.len() + 1);
            let end = (at + removed).min(bytes.len());
            bytes.splice(at..end, inserted.iter().copied());
            every_parser(&bytes);
        }
    }

    #[test]
    fn no_mutated_key_panics_or_parses_in_two_ways(
        key in keys(),
        at: prop::sample::Index,
        byte: u8,
    ) {
        let vkey = key.verifier_key().to_string();
        let policy = format!("log {vkey}\nquorum none\n");
        for text in [vkey.clone(), vkey + "\n", key.format().to_string(), policy] {
            let mut bytes = text.into_bytes();
            let at = at.index(bytes.len());
            bytes[at] = byte;
            every_parser(&bytes);
        }
    }
}
