//! Proofs and request bodies: real trees, real signatures, and everything that is refused.

#![expect(clippy::unwrap_used, reason = "what fails to unwrap fails the test")]

use formats::proof::{EXTRA_BYTES_MAX, PROOF_BYTES_MAX, PROOF_HASHES_MAX};
use formats::witness::{BODY_BYTES_MAX, BodyError};
use formats::{
    AddCheckpoint, Base64Error, Checkpoint, CheckpointError, KeyName, NoteError, NumberError,
    PrivateKey, ProofError, SignSubtree, SignedCheckpoint, Timestamp, TlogProof, Trust, TrustError,
    sign,
};
use merkle::{CompactRange, Hash, LeafIndex, Subtree, TreeSize, leaf_hash, plan_inclusion};

const ZEROS: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

fn key() -> PrivateKey {
    PrivateKey::ed25519(KeyName::new("example.com/log").unwrap(), &[1; 32])
}

fn trust() -> Trust {
    Trust::Keys(vec![key().verifier_key().clone()])
}

fn signed(size: u64, root: Hash) -> SignedCheckpoint {
    let origin = key().verifier_key().name().clone().into();
    let head = Checkpoint::new(origin, TreeSize::new(size).unwrap(), root);
    SignedCheckpoint::parse(&sign(&head, &[&key()], Timestamp::ZERO).unwrap()).unwrap()
}

/// A receipt for one of the entries "0", "1", ... of a tree.
fn receipt(index: u64, size: u64) -> TlogProof {
    let leaf = |index: u64| leaf_hash(index.to_string().as_bytes());
    let root_of = |start: u64, end: u64| {
        let mut range = CompactRange::empty();
        (start..end).for_each(|index| range.append(leaf(index)));
        range.root()
    };
    let index = LeafIndex::new(index).unwrap();
    let plan = plan_inclusion(index, TreeSize::new(size).unwrap()).unwrap();
    let nodes: Vec<Hash> =
        plan.nodes().iter().map(|node| root_of(node.leaves().start, node.leaves().end)).collect();
    let hashes = plan.build(&nodes).unwrap();
    TlogProof::new(index, hashes, signed(size, root_of(0, size))).unwrap()
}

#[test]
fn receipts_of_small_trees_hold_for_their_entry_alone() {
    for size in 1..=20 {
        for index in 0..size {
            let written = receipt(index, size).format();
            let proof = TlogProof::parse(&written).unwrap();
            let note = proof.checkpoint().as_bytes();
            assert_eq!(TlogProof::format_under(proof.index(), proof.hashes(), note), written);
            let entry = index.to_string();
            let verified = proof.verify_entry(entry.as_bytes(), &trust()).unwrap();
            assert_eq!(verified.index().get(), index);
            assert_eq!(verified.checkpoint().size().get(), size);
            assert_eq!(verified.leaf(), &leaf_hash(entry.as_bytes()));
            let other = proof.verify_entry(b"another entry", &trust());
            assert!(matches!(other, Err(ProofError::Inclusion { .. })));
        }
    }
}

#[test]
fn a_receipt_altered_anywhere_is_refused() {
    let proof = receipt(4, 7).with_extra(b"extra".to_vec()).unwrap();
    let bytes = proof.format();
    let text = std::str::from_utf8(&bytes).unwrap();
    let extra = text.find("extra").unwrap()..text.find("\nindex").unwrap();
    for position in 0..bytes.len() {
        for bit in 0..8 {
            let mut altered = bytes.clone();
            altered[position] ^= 1 << bit;
            let held =
                TlogProof::parse(&altered).and_then(|proof| proof.verify_entry(b"4", &trust()));
            // Nothing authenticates the extra data; everything else is covered.
            assert!(held.is_err() || extra.contains(&position), "bit {bit} of byte {position}");
        }
    }
}

#[test]
fn a_remembered_checkpoint_spares_its_signatures() {
    let (proof, other) = (receipt(4, 7), receipt(3, 7));
    let verified = proof.verify_entry(b"4", &trust()).unwrap().into_checkpoint();
    assert_eq!(other.verify_under(&leaf_hash(b"3"), &verified).unwrap().index().get(), 3);
    let wrong = other.verify_under(&leaf_hash(b"4"), &verified);
    assert!(matches!(wrong, Err(ProofError::Inclusion { .. })));
    let larger = receipt(4, 8).verify_under(&leaf_hash(b"4"), &verified);
    assert_eq!(larger, Err(ProofError::OtherCheckpoint));
}

#[test]
fn strangers_are_not_trusted() {
    let stranger = PrivateKey::ed25519(KeyName::new("example.com/log").unwrap(), &[2; 32]);
    let trust = Trust::Keys(vec![stranger.verifier_key().clone()]);
    let refused = receipt(4, 7).verify_entry(b"4", &trust);
    let no_log_signature = |error: &ProofError| {
        matches!(
            error,
            ProofError::Trust(TrustError::Checkpoint(CheckpointError::NoLogSignature { .. }))
        )
    };
    assert!(no_log_signature(&refused.unwrap_err()));
    let nobody = receipt(4, 7).verify_entry(b"4", &Trust::Keys(vec![]));
    assert!(no_log_signature(&nobody.unwrap_err()));
}

#[test]
fn a_proof_has_one_spelling() {
    let proof = String::from_utf8(receipt(4, 7).format()).unwrap();
    let parse = |text: &str| TlogProof::parse(text.as_bytes()).map(|_| ()).unwrap_err();
    let replaced = |from: &str, to: &str| {
        assert!(proof.contains(from));
        parse(&proof.replacen(from, to, 1))
    };
    assert_eq!(parse(""), ProofError::Header);
    assert_eq!(parse("c2sp.org/tlog-proof@v1"), ProofError::Header);
    assert_eq!(parse("c2sp.org/tlog-proof@v1\n"), ProofError::NoIndex);
    assert_eq!(parse("c2sp.org/tlog-proof@v1\nextra AA==\n"), ProofError::NoIndex);
    assert_eq!(parse("c2sp.org/tlog-proof@v1\nindex 0\n"), ProofError::NoSeparator);
    assert_eq!(replaced("@v1", "@v2"), ProofError::Header);
    assert_eq!(replaced("@v1\n", "@v1\r\n"), ProofError::Header);
    assert_eq!(replaced("@v1\n", "@v1\n\n"), ProofError::NoIndex);
    assert_eq!(replaced("index 4", "index  4"), ProofError::Index(NumberError::NotDecimal));
    assert_eq!(replaced("index 4", "index +4"), ProofError::Index(NumberError::NotDecimal));
    assert_eq!(replaced("index 4", "index 4\r"), ProofError::Index(NumberError::NotDecimal));
    assert_eq!(replaced("index 4", "index 04"), ProofError::Index(NumberError::LeadingZero));
    assert_eq!(replaced("index 4", "Index 4"), ProofError::NoIndex);
    assert_eq!(replaced("index", "extra \nindex"), ProofError::EmptyExtra);
    let base64 = Base64Error::NotCanonical;
    assert_eq!(replaced("index", "extra AA=\nindex"), ProofError::Extra(base64));
    assert_eq!(replaced("index", "extra AA==\nextra AA==\nindex"), ProofError::NoIndex);
    let hash = |reason| ProofError::Hash { position: 1, reason };
    assert_eq!(
        replaced("index 4\n", "index 4\nAAAA\n"),
        hash(Base64Error::Length { expected: 32, found: 3 })
    );
    assert_eq!(replaced("index 4\n", "index 4\n \n"), hash(base64));
    assert_eq!(replaced("index 4\n", &format!("index 4\n{ZEROS}\r\n")), hash(base64));
    let note = replaced("\n\n", "\n\n\n");
    assert!(matches!(note, ProofError::Checkpoint(_)));
    let cut = parse(&proof[..proof.len() - 1]);
    assert_eq!(cut, ProofError::Checkpoint(CheckpointError::Note(NoteError::Unterminated)));
    let surplus = parse(&format!("{proof}\n"));
    assert_eq!(surplus, ProofError::Checkpoint(CheckpointError::Note(NoteError::NoSignature)));
    let not_utf8 = TlogProof::parse(b"c2sp\xff").unwrap_err();
    assert_eq!(not_utf8, ProofError::NotUtf8 { offset: 4 });
}

#[test]
fn proofs_have_limits() {
    let hashes = |count| {
        TlogProof::new(
            LeafIndex::new(0).unwrap(),
            vec![Hash::from([0; 32]); count],
            signed(1, Hash::EMPTY_ROOT),
        )
    };
    let most = hashes(PROOF_HASHES_MAX).unwrap();
    assert_eq!(TlogProof::parse(&most.format()).unwrap(), most);
    assert_eq!(hashes(PROOF_HASHES_MAX + 1), Err(ProofError::TooManyHashes));
    let text = String::from_utf8(most.format()).unwrap();
    let more = text.replacen("index 0\n", &format!("index 0\n{ZEROS}\n"), 1);
    assert_eq!(TlogProof::parse(more.as_bytes()), Err(ProofError::TooManyHashes));

    let extra = |bytes| hashes(0).unwrap().with_extra(vec![0; bytes]);
    let most = extra(EXTRA_BYTES_MAX).unwrap();
    assert_eq!(TlogProof::parse(&most.format()).unwrap(), most);
    let bytes = EXTRA_BYTES_MAX + 1;
    assert_eq!(extra(bytes), Err(ProofError::ExtraTooLarge { bytes }));
    assert_eq!(extra(0), Err(ProofError::EmptyExtra));
    let bytes = PROOF_BYTES_MAX + 1;
    assert_eq!(TlogProof::parse(&vec![b'a'; bytes]), Err(ProofError::TooLarge { bytes }));
    assert_eq!(TlogProof::parse(&vec![b'a'; bytes - 1]), Err(ProofError::Header));

    let index = |digits: &str| {
        TlogProof::parse(text.replacen("index 0", &format!("index {digits}"), 1).as_bytes())
    };
    let max = (1 << 63) - 2;
    assert_eq!(index("9223372036854775806").unwrap().index().get(), max);
    let beyond = Err(ProofError::Index(NumberError::TooLarge { max }));
    assert_eq!(index("9223372036854775807"), beyond);
    assert_eq!(index("18446744073709551616"), beyond);
}

fn add_checkpoint(hashes: usize) -> String {
    let proof = vec![Hash::from([0; 32]); hashes];
    let old = TreeSize::new(4).unwrap();
    let request = AddCheckpoint::new(old, proof, signed(7, Hash::from([1; 32]))).unwrap();
    String::from_utf8(request.format()).unwrap()
}

#[test]
fn an_add_checkpoint_body_has_one_spelling() {
    for hashes in [0, 1, 63] {
        let body = add_checkpoint(hashes);
        let parsed = AddCheckpoint::parse(body.as_bytes()).unwrap();
        assert_eq!((parsed.old().get(), parsed.proof().len()), (4, hashes));
        assert_eq!(parsed.format(), body.as_bytes());
    }
    let parse = |body: &str| AddCheckpoint::parse(body.as_bytes()).map(|_| ()).unwrap_err();
    let body = add_checkpoint(1);
    let replaced = |from: &str, to: &str| parse(&body.replacen(from, to, 1));
    let first = BodyError::FirstLine { form: "old <size>" };
    assert_eq!(parse(""), first);
    assert_eq!(parse("old 4"), first);
    assert_eq!(replaced("old ", "old"), first);
    assert_eq!(replaced("old ", "Old "), first);
    assert_eq!(replaced("old 4\n", ""), first);
    assert_eq!(replaced("old 4", "old +4"), BodyError::OldSize(NumberError::NotDecimal));
    assert_eq!(replaced("old 4", "old  4"), BodyError::OldSize(NumberError::NotDecimal));
    assert_eq!(replaced("old 4", "old 4 "), BodyError::OldSize(NumberError::NotDecimal));
    assert_eq!(replaced("old 4", "old 4\r"), BodyError::OldSize(NumberError::NotDecimal));
    assert_eq!(replaced("old 4", "old 04"), BodyError::OldSize(NumberError::LeadingZero));
    let max = (1 << 63) - 1;
    let beyond = replaced("old 4", "old 9223372036854775808");
    assert_eq!(beyond, BodyError::OldSize(NumberError::TooLarge { max }));
    assert_eq!(parse("old 4\n"), BodyError::NoSeparator);
    assert!(matches!(parse("old 4\n\n"), BodyError::Checkpoint(_)));
    assert!(matches!(replaced("\n\n", "\n"), BodyError::Hash { position: 2, .. }));
    assert!(matches!(replaced("AAA=", "AAB="), BodyError::Hash { position: 1, .. }));
    assert!(matches!(replaced("\n\n", "\n\n\n"), BodyError::Checkpoint(_)));
    assert!(matches!(parse(&body.replace('\n', "\r\n")), BodyError::OldSize(_)));
    let more = add_checkpoint(63).replacen("old 4\n", &format!("old 4\n{ZEROS}\n"), 1);
    assert_eq!(parse(&more), BodyError::TooManyHashes);
    let bytes = BODY_BYTES_MAX + 1;
    assert_eq!(parse(&"a".repeat(bytes)), BodyError::TooLarge { bytes });
    assert_eq!(parse(&"a".repeat(bytes - 1)), first);
    assert_eq!(AddCheckpoint::parse(b"\xff"), Err(BodyError::NotUtf8 { offset: 0 }));
    // Beyond the checkpoint's size is for the witness to answer, after it has checked the
    // signatures.
    let old = body.replacen("old 4", "old 8", 1);
    assert_eq!(AddCheckpoint::parse(old.as_bytes()).unwrap().old().get(), 8);
    let proof = vec![Hash::from([0; 32]); 64];
    let refused = AddCheckpoint::new(TreeSize::ZERO, proof, signed(7, Hash::from([1; 32])));
    assert_eq!(refused, Err(BodyError::TooManyHashes));
}

#[test]
fn a_sign_subtree_body_has_one_spelling() {
    let subtree = Subtree::new(8..13).unwrap();
    let (hash, proof) = (Hash::from([0; 32]), vec![Hash::from([0; 32]); 2]);
    let reference = signed(14, Hash::from([1; 32]));
    let request = SignSubtree::new(subtree, hash, proof.clone(), reference).unwrap();
    let body = String::from_utf8(request.format()).unwrap();
    assert!(body.starts_with(&format!("subtree 8 13\n{ZEROS}\n{ZEROS}\n{ZEROS}\n\n")));
    let parsed = SignSubtree::parse(body.as_bytes()).unwrap();
    assert_eq!((parsed.subtree(), parsed.hash(), parsed.proof()), (subtree, &hash, &proof[..]));
    assert_eq!(parsed, request);

    let parse = |body: &str| SignSubtree::parse(body.as_bytes()).map(|_| ()).unwrap_err();
    let range = |range: &str| parse(&body.replacen("subtree 8 13", range, 1));
    let first = BodyError::FirstLine { form: "subtree <start> <end>" };
    for bad in ["", "subtree", "subtree 8", "subtree8 13", "Subtree 8 13"] {
        assert_eq!(range(bad), first, "{bad:?}");
    }
    assert_eq!(range("subtree 08 13"), BodyError::Start(NumberError::LeadingZero));
    assert_eq!(range("subtree +8 13"), BodyError::Start(NumberError::NotDecimal));
    assert_eq!(range("subtree  8 13"), BodyError::Start(NumberError::NotDecimal));
    assert_eq!(range("subtree 8 013"), BodyError::End(NumberError::LeadingZero));
    assert_eq!(range("subtree 8 13 "), BodyError::End(NumberError::NotDecimal));
    assert_eq!(range("subtree 8 13 14"), BodyError::End(NumberError::NotDecimal));
    assert!(matches!(range("subtree 13 8"), BodyError::Subtree(_)));
    assert!(matches!(range("subtree 7 13"), BodyError::Subtree(_)));
    let beyond = BodyError::BeyondCheckpoint { end: 15, size: 14 };
    assert_eq!(range("subtree 8 15"), beyond);
    assert!(SignSubtree::parse(body.replacen("8 13", "8 14", 1).as_bytes()).is_ok());
    assert_eq!(parse("subtree 8 13\n"), BodyError::NoSubtreeHash);
    assert!(matches!(parse("subtree 8 13\n\n"), BodyError::SubtreeHash(_)));
    assert_eq!(parse(&format!("subtree 8 13\n{ZEROS}\n")), BodyError::NoSeparator);
    let refused = SignSubtree::new(subtree, hash, vec![hash; 64], signed(14, hash));
    assert_eq!(refused, Err(BodyError::TooManyHashes));
    let refused = SignSubtree::new(Subtree::new(8..15).unwrap(), hash, proof, signed(14, hash));
    assert_eq!(refused, Err(beyond));
}
