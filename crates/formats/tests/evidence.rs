//! Evidence: what holds against a log that lied, and that nothing holds against one that did not.

#![expect(clippy::unwrap_used, reason = "what fails to unwrap fails the test")]

use formats::evidence::{EVIDENCE_BYTES_MAX, PREFIX_HASHES_MAX};
use formats::{
    Checkpoint, CheckpointError, Contradiction, Evidence, EvidenceError, KeyName, NotShown, Origin,
    PrivateKey, SignedCheckpoint, Timestamp, VerifiedCheckpoint, VerifierKey, sign,
};
use merkle::{CompactRange, Hash, ProofError, TreeSize, leaf_hash, plan_prefix};
use proptest::prelude::*;

const LOG: &str = "example.com/log";

fn name(text: &str) -> KeyName {
    KeyName::new(text).unwrap()
}

fn key() -> PrivateKey {
    PrivateKey::ed25519(name(LOG), &[1; 32])
}

fn keys() -> Vec<VerifierKey> {
    vec![key().verifier_key().clone()]
}

/// A tree of entries that are the decimal numbers, written after `history`.
struct Tree(Vec<Hash>);

impl Tree {
    fn new(history: &str, size: u64) -> Self {
        Self((0..size).map(|entry| leaf_hash(format!("{history}{entry}").as_bytes())).collect())
    }

    fn root(&self, start: u64, end: u64) -> Hash {
        let [start, end] = [start, end].map(|bound| usize::try_from(bound).unwrap());
        let mut range = CompactRange::empty();
        self.0[start..end].iter().for_each(|leaf| range.append(*leaf));
        range.root()
    }

    fn prefix(&self, from: u64, to: u64) -> Vec<Hash> {
        let plan = plan_prefix(size(from), size(to)).unwrap();
        let nodes = plan.nodes().iter().map(|node| node.leaves());
        let hashes: Vec<Hash> = nodes.map(|leaves| self.root(leaves.start, leaves.end)).collect();
        plan.build(&hashes).unwrap()
    }

    fn head(&self, at: u64) -> SignedCheckpoint {
        signed(at, self.root(0, at), &key())
    }
}

fn size(size: u64) -> TreeSize {
    TreeSize::new(size).unwrap()
}

fn signed(at: u64, root: Hash, key: &PrivateKey) -> SignedCheckpoint {
    let head = Checkpoint::new(Origin::new(LOG).unwrap(), size(at), root);
    SignedCheckpoint::parse(&sign(&head, &[key], Timestamp::ZERO).unwrap()).unwrap()
}

fn holds(evidence: &Evidence, contradiction: Contradiction) {
    let read = Evidence::parse(&evidence.format()).unwrap();
    assert_eq!(&read, evidence);
    let shown = read.verify(&keys()).unwrap();
    assert_eq!((shown.contradiction(), read.claim()), (contradiction, contradiction));
    assert_eq!(shown.first().signed(), read.first());
    assert_eq!(shown.second().map(VerifiedCheckpoint::signed), read.second());
}

#[test]
fn two_roots_for_one_size_are_evidence_in_one_order() {
    let (one, other) = (Tree::new("", 5), Tree::new("forged ", 5));
    let evidence = Evidence::of_same_size(one.head(5), other.head(5)).unwrap();
    assert_eq!(evidence, Evidence::of_same_size(other.head(5), one.head(5)).unwrap());
    holds(&evidence, Contradiction::TwoRoots);
    let shown = evidence.verify(&keys()).unwrap();
    assert_eq!(shown.to_string(), "the log example.com/log signed two roots for size 5");

    let same = Evidence::of_same_size(one.head(5), one.head(5)).unwrap().verify(&keys());
    assert_eq!(same.unwrap_err(), NotShown::SameHead { size: 5, root: one.root(0, 5) });
    let text = String::from_utf8(evidence.format()).unwrap();
    let [head, first, second] = parts(&text);
    let swapped = Evidence::parse(format!("{head}\n{second}\n{first}").as_bytes());
    assert_eq!(swapped, Err(EvidenceError::Order));
}

#[test]
fn the_empty_tree_has_one_root() {
    let wrong = Evidence::of_empty(signed(0, leaf_hash(b"x"), &key())).unwrap();
    holds(&wrong, Contradiction::EmptyRoot);
    let right = Evidence::of_empty(signed(0, Hash::EMPTY_ROOT, &key())).unwrap();
    assert_eq!(right.verify(&keys()).unwrap_err(), NotShown::EmptyRoot);
    let text = String::from_utf8(wrong.format()).unwrap();
    let stray = text.replacen("\n\n", &format!("\n{ZEROS}\n\n"), 1);
    let hashes = EvidenceError::HashesWithoutSizes { found: 1 };
    assert_eq!(Evidence::parse(stray.as_bytes()), Err(hashes));
    let tree = Tree::new("", 5);
    assert_eq!(Evidence::of_empty(tree.head(5)), Err(EvidenceError::Alone { size: 5 }));
    let beside = Evidence::of_sizes(wrong.first().clone(), tree.head(5), vec![tree.root(0, 5)]);
    assert_eq!(beside, Err(EvidenceError::EmptyBesideAnother));
}

#[test]
fn a_tree_that_does_not_continue_another_is_evidence_at_all_small_sizes() {
    let (honest, forged) = (Tree::new("", 24), Tree::new("forged ", 24));
    for n in 2..=24 {
        for m in 1..n {
            let proof = forged.prefix(m, n);
            let evidence = Evidence::of_sizes(honest.head(m), forged.head(n), proof).unwrap();
            assert_eq!(evidence.hashes(), forged.prefix(m, n));
            holds(&evidence, Contradiction::NotContinued);
            // The same proof against the head that tree really had.
            let proof = forged.prefix(m, n);
            let grown = Evidence::of_sizes(forged.head(m), forged.head(n), proof).unwrap();
            let continues = NotShown::Continues { at: m, size: n };
            assert_eq!(grown.verify(&keys()).unwrap_err(), continues);
        }
    }
}

#[test]
fn the_larger_tree_must_be_the_one_the_hashes_lead_to() {
    let (honest, forged) = (Tree::new("", 9), Tree::new("forged ", 9));
    for (m, n) in [(1, 2), (4, 8), (4, 9), (5, 8), (7, 9), (8, 9)] {
        for proof in [honest.prefix(m, n), Vec::new(), vec![forged.root(0, n); PREFIX_HASHES_MAX]] {
            let evidence = Evidence::of_sizes(honest.head(m), forged.head(n), proof).unwrap();
            let refused = evidence.verify(&keys()).unwrap_err();
            assert!(matches!(refused, NotShown::Proof { .. }), "{m} and {n}: {refused}");
        }
    }
}

#[test]
fn heads_that_the_log_did_not_sign_show_nothing() {
    let (one, other) = (Tree::new("", 5), Tree::new("forged ", 5));
    let stranger = PrivateKey::ed25519(name(LOG), &[2; 32]);
    let foreign = signed(5, other.root(0, 5), &stranger);
    let evidence = Evidence::of_same_size(one.head(5), foreign).unwrap();
    let refused = evidence.verify(&keys()).unwrap_err();
    let source = CheckpointError::NoLogSignature { origin: Origin::new(LOG).unwrap() };
    assert_eq!(refused, NotShown::NotSigned { size: 5, source });
    // A witness's cosignature is none of the log's, whatever it covers.
    let witness = PrivateKey::cosigner_ed25519(name("witness.example/w"), &[3; 32]);
    let cosigned = signed(5, other.root(0, 5), &witness);
    let evidence = Evidence::of_same_size(one.head(5), cosigned).unwrap();
    let with_witness = [keys(), vec![witness.verifier_key().clone()]].concat();
    assert!(matches!(evidence.verify(&with_witness), Err(NotShown::NotSigned { .. })));
}

#[test]
fn another_logs_notes_are_refused() {
    let tree = Tree::new("", 5);
    let origin = Origin::new("example.com/other").unwrap();
    let head = Checkpoint::new(origin.clone(), size(5), leaf_hash(b"x"));
    let note = sign(&head, &[&key()], Timestamp::ZERO).unwrap();
    let foreign = SignedCheckpoint::parse(&note).unwrap();
    let mixed = Evidence::of_sizes(tree.head(4), foreign.clone(), tree.prefix(4, 5));
    let other_log = EvidenceError::OtherLog { expected: Origin::new(LOG).unwrap(), found: origin };
    assert_eq!(mixed, Err(other_log));
    // Signed by the same key under another origin: another log, whose key is not among these.
    let renamed = Evidence::of_same_size(foreign.clone(), foreign).unwrap();
    assert!(matches!(renamed.verify(&keys()), Err(NotShown::NotSigned { .. })));
    let text = String::from_utf8(renamed.format()).unwrap();
    let lied = text.replacen("origin example.com/other", "origin example.com/log", 1);
    assert!(matches!(Evidence::parse(lied.as_bytes()), Err(EvidenceError::OtherLog { .. })));
}

#[test]
fn swapped_sizes_and_stray_hashes_are_refused() {
    let tree = Tree::new("", 8);
    let proof = tree.prefix(5, 8);
    let swapped = Evidence::of_sizes(tree.head(8), tree.head(5), proof.clone());
    assert_eq!(swapped, Err(EvidenceError::Order));
    let found = proof.len();
    let same = Evidence::of_sizes(tree.head(8), tree.head(8), proof);
    assert_eq!(same, Err(EvidenceError::HashesWithoutSizes { found }));
    let many = vec![Hash::EMPTY_ROOT; PREFIX_HASHES_MAX + 1];
    let too_many = Evidence::of_sizes(tree.head(5), tree.head(8), many.clone());
    assert_eq!(too_many, Err(EvidenceError::TooManyHashes));
    let text = String::from_utf8(
        Evidence::of_sizes(tree.head(5), tree.head(8), many[1..].to_vec()).unwrap().format(),
    )
    .unwrap();
    let one_more = text.replacen("\n\n", &format!("\n{ZEROS}\n\n"), 1);
    assert_eq!(Evidence::parse(one_more.as_bytes()), Err(EvidenceError::TooManyHashes));
}

const ZEROS: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

/// Head, first and second note of a file.
fn parts(text: &str) -> [String; 3] {
    let blocks: Vec<&str> = text.trim_end().split("\n\n").collect();
    let [head, first, first_lines, second, second_lines] = blocks[..] else { panic!("{text}") };
    let note = |text: &str, lines: &str| format!("{text}\n\n{lines}\n");
    [format!("{head}\n"), note(first, first_lines), note(second, second_lines)]
}

#[test]
fn a_file_has_one_form() {
    let (honest, forged) = (Tree::new("", 8), Tree::new("forged ", 8));
    let evidence = Evidence::of_sizes(honest.head(5), forged.head(8), forged.prefix(5, 8)).unwrap();
    let text = String::from_utf8(evidence.format()).unwrap();
    let hash = text.lines().nth(2).unwrap().to_owned();
    let replaced = |from: &str, to: &str| {
        let changed = text.replacen(from, to, 1);
        assert_ne!(changed, text, "{from:?}");
        Evidence::parse(changed.as_bytes()).unwrap_err()
    };
    assert_eq!(replaced("@v1", "@v2"), EvidenceError::Header);
    assert_eq!(replaced("cairn/evidence@v1\n", "cairn/evidence@v1\r\n"), EvidenceError::Header);
    assert_eq!(replaced("origin ", "log "), EvidenceError::NoOrigin);
    assert!(matches!(replaced("origin ", "origin origin "), EvidenceError::OtherLog { .. }));
    assert!(matches!(replaced("origin example.com/log", "origin "), EvidenceError::Origin(_)));
    assert!(matches!(replaced(&hash, "AAAA"), EvidenceError::Hash { position: 1, .. }));
    assert!(matches!(replaced(&hash, &format!(" {hash}")), EvidenceError::Hash { .. }));
    assert!(matches!(replaced("\n\n", "\n\n\n"), EvidenceError::Checkpoint { .. }));
    assert!(matches!(replaced("\n8\n", "\n08\n"), EvidenceError::Checkpoint { position: 2, .. }));
    let [head, first, second] = parts(&text);
    for cut in [String::new(), head.clone(), format!("{head}\n"), head.clone() + &first] {
        assert!(Evidence::parse(cut.as_bytes()).is_err(), "{cut:?}");
    }
    let alone = Evidence::parse(format!("{head}\n{first}").as_bytes());
    assert_eq!(alone, Err(EvidenceError::Alone { size: 5 }));
    let third = Evidence::parse(format!("{text}\n{second}").as_bytes());
    assert!(matches!(third, Err(EvidenceError::Checkpoint { position: 2, .. })));
    assert_eq!(
        Evidence::parse(&[b"cairn", &[0xff][..]].concat()),
        Err(EvidenceError::NotUtf8 { offset: 5 })
    );
    let bytes = EVIDENCE_BYTES_MAX + 1;
    assert_eq!(Evidence::parse(&vec![b'a'; bytes]), Err(EvidenceError::TooLarge { bytes }));
    assert_eq!(Evidence::parse(&vec![b'a'; bytes - 1]), Err(EvidenceError::Header));
}

/// The largest of everything fits: two notes at their limit, and all hashes.
#[test]
fn the_largest_evidence_is_read() {
    let padded = |at: u64| {
        let mut text = signed(at, leaf_hash(b"x"), &key()).as_bytes().to_vec();
        let (open, close) = ("— other.example/x ", "\n");
        while text.len() + 2_200 < formats::note::NOTE_BYTES_MAX {
            text.extend([open, &"AAAA".repeat(520), close].concat().bytes());
        }
        SignedCheckpoint::parse(&text).unwrap()
    };
    let hashes = vec![Hash::EMPTY_ROOT; PREFIX_HASHES_MAX];
    let evidence = Evidence::of_sizes(padded(1), padded(u64::MAX >> 1), hashes).unwrap();
    assert_eq!(Evidence::parse(&evidence.format()), Ok(evidence));
}

/// Every bit counts: flipped anywhere, what held no longer does.
#[test]
fn altered_evidence_shows_nothing() {
    let (honest, forged) = (Tree::new("", 7), Tree::new("forged ", 7));
    let files = [
        Evidence::of_sizes(honest.head(6), forged.head(7), forged.prefix(6, 7)).unwrap(),
        Evidence::of_sizes(honest.head(4), forged.head(7), forged.prefix(4, 7)).unwrap(),
        Evidence::of_same_size(honest.head(7), forged.head(7)).unwrap(),
        Evidence::of_empty(signed(0, leaf_hash(b"x"), &key())).unwrap(),
    ];
    for bytes in files.map(|evidence| evidence.format()) {
        for position in 0..bytes.len() {
            for bit in 0..8 {
                let mut altered = bytes.clone();
                altered[position] ^= 1 << bit;
                let held = Evidence::parse(&altered).map(|evidence| evidence.verify(&keys()));
                assert!(!matches!(held, Ok(Ok(_))), "bit {bit} of byte {position}");
            }
        }
    }
}

#[test]
fn the_worked_example_of_the_documentation_holds() {
    let (shown, signed_before) = (Tree::new("other entry ", 8), Tree::new("entry ", 6));
    let proof = shown.prefix(6, 8);
    let evidence = Evidence::of_sizes(signed_before.head(6), shown.head(8), proof).unwrap();
    let text = String::from_utf8(evidence.format()).unwrap();
    let formats = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/formats.md");
    let formats = std::fs::read_to_string(formats).unwrap();
    assert!(formats.contains(&format!("```text\n{text}```\n")), "docs/formats.md lacks:\n{text}");
    assert!(formats.contains(&key().verifier_key().to_string()));
    holds(&evidence, Contradiction::NotContinued);
}

#[test]
fn a_proof_that_leads_nowhere_says_so() {
    let tree = Tree::new("", 8);
    let evidence = Evidence::of_sizes(tree.head(5), tree.head(8), vec![tree.root(0, 4)]).unwrap();
    let source = ProofError::MissingHashes { found: 1 };
    assert_eq!(evidence.verify(&keys()).unwrap_err(), NotShown::Proof { at: 5, size: 8, source });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// All heads of one honest log, and any hashes of its tree or from elsewhere: nothing holds.
    #[test]
    fn nobody_makes_evidence_of_an_honest_log(
        one in 0u64..40,
        other in 0u64..40,
        of in (0u64..40, 0u64..40),
        junk in prop::collection::vec((0u64..40, 0u64..40), 0..10),
        random: [u8; 32],
    ) {
        let tree = Tree::new("", 40);
        let (m, n) = (one.min(other), one.max(other));
        let junk: Vec<Hash> = junk
            .iter()
            .map(|(a, b)| if a == b { random.into() } else { tree.root(*a.min(b), *a.max(b)) })
            .collect();
        let own = tree.prefix(of.0.min(of.1), of.0.max(of.1));
        let right = tree.prefix(m, n);
        let mixed: Vec<Hash> = right
            .iter()
            .enumerate()
            .map(|(at, hash)| junk.get(at).copied().unwrap_or(*hash))
            .collect();
        let powers = (0..6).map(|power| tree.root(0, 1 << power)).collect();
        for proof in [junk, own, right, mixed, powers, Vec::new()] {
            let made = [
                Evidence::of_sizes(tree.head(m), tree.head(n), proof.clone()),
                Evidence::of_sizes(tree.head(n), tree.head(m), proof),
                Evidence::of_same_size(tree.head(m), tree.head(n)),
                Evidence::of_same_size(tree.head(m), tree.head(m)),
                Evidence::of_empty(tree.head(m)),
            ];
            for evidence in made.into_iter().flatten() {
                prop_assert!(evidence.verify(&keys()).is_err());
            }
        }
    }
}
