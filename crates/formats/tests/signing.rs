//! Signing and verifying with every kind of key, and what each signature covers.

#![expect(clippy::unwrap_used, reason = "what fails to unwrap fails the test")]

use curve25519_dalek::Scalar;
use ed25519_dalek::Verifier as _;
use formats::cosignature::{SubtreeSignatureError, verify_subtree};
use formats::sign::sign_text;
use formats::{
    Checkpoint, CheckpointError, KeyKind, KeyName, NoteError, Origin, PrivateKey, SignError,
    SignatureLine, SignedCheckpoint, Signer, Timestamp, UnverifiedNote, VerifiedSignature,
    VerifierKey, sign, sign_head,
};
use merkle::{Hash, Subtree, TreeSize};
use sha2::{Digest as _, Sha512};

const ORIGIN: &str = "example.com/log";

fn name(text: &str) -> KeyName {
    KeyName::new(text).unwrap()
}

fn time(seconds: u64) -> Timestamp {
    Timestamp::new(seconds).unwrap()
}

fn head(size: u64) -> Checkpoint {
    let origin = Origin::new(ORIGIN).unwrap();
    Checkpoint::new(origin, TreeSize::new(size).unwrap(), Hash::from([9; 32]))
}

fn log_keys() -> [PrivateKey; 2] {
    [PrivateKey::ed25519(name(ORIGIN), &[1; 32]), PrivateKey::ml_dsa_44(name(ORIGIN), &[2; 32])]
}

fn witness_keys() -> [PrivateKey; 2] {
    let witness = name("witness.example/w");
    [
        PrivateKey::cosigner_ed25519(witness.clone(), &[3; 32]),
        PrivateKey::ml_dsa_44(witness, &[4; 32]),
    ]
}

fn vkeys(keys: &[PrivateKey]) -> Vec<VerifierKey> {
    keys.iter().map(|key| key.verifier_key().clone()).collect()
}

#[test]
fn every_kind_signs_what_it_verifies() {
    let ([log, log_pq], [witness, witness_pq]) = (log_keys(), witness_keys());
    let signers: [&dyn Signer; 4] = [&log, &log_pq, &witness, &witness_pq];
    let note = sign(&head(5), &signers, time(1_700_000_000)).unwrap();
    let signed = SignedCheckpoint::parse(&note).unwrap();
    let order: Vec<u32> = signed.signatures().map(|signature| signature.id).collect();
    let expected: Vec<u32> = signers.iter().map(|signer| signer.verifier_key().id()).collect();
    assert_eq!(order, expected, "signatures keep the order of the signers");

    let keys = [vkeys(&log_keys()), vkeys(&witness_keys())].concat();
    let verified = signed.verify(&keys).unwrap();
    assert_eq!(verified.checkpoint(), &head(5));
    let times: Vec<_> = verified.signatures().iter().map(VerifiedSignature::time).collect();
    assert_eq!(times[0], None);
    assert_eq!(times[1..], [Some(time(1_700_000_000)); 3]);
    let lines: Vec<&str> = signed.signatures().map(|signature| signature.line).collect();
    assert_eq!(verified.signature_lines().collect::<Vec<_>>(), lines);

    // Lines of keys that are not known stand between those that are, and are not vouched for.
    let known = signed.verify(&[log_pq.verifier_key(), witness_pq.verifier_key()]).unwrap();
    let positions: Vec<_> = known.signatures().iter().map(VerifiedSignature::position).collect();
    assert_eq!(positions, [1, 3]);
    assert_eq!(known.signature_lines().collect::<Vec<_>>(), [lines[1], lines[3]]);

    // One key of the log is enough, whichever it is; no key of a witness is.
    for key in vkeys(&log_keys()) {
        assert_eq!(signed.verify(&[key]).unwrap().signatures().len(), 1);
    }
    let refused = signed.verify(&vkeys(&witness_keys()));
    let origin = Origin::new(ORIGIN).unwrap();
    assert_eq!(refused, Err(CheckpointError::NoLogSignature { origin }));
}

#[test]
fn a_flipped_bit_in_any_known_signature_refuses_the_note() {
    let (log, witness) = (log_keys(), witness_keys());
    let signers: [&dyn Signer; 4] = [&log[0], &log[1], &witness[0], &witness[1]];
    let keys = [vkeys(&log), vkeys(&witness)].concat();
    let head = head(5);
    let lines: Vec<SignatureLine> =
        signers.iter().map(|signer| signer.sign_checkpoint(&head, time(77)).unwrap()).collect();
    for (position, key) in keys.iter().enumerate() {
        let bytes = lines[position].signature().len();
        let stride = if key.kind() == KeyKind::CosignatureMlDsa44 { 97 } else { 1 };
        for byte in (0..bytes).step_by(stride) {
            let mut signature = lines[position].signature().to_vec();
            signature[byte] ^= 1 << (byte % 8);
            let mut altered = lines.clone();
            altered[position] = SignatureLine::new(key, signature);
            let refused = parse(&head, &altered).verify(&keys).unwrap_err();
            let bad = NoteError::BadSignature { name: key.name().clone(), id: key.id() };
            assert_eq!(refused, CheckpointError::Note(bad), "byte {byte} of {key:?}");
        }
    }
    assert!(parse(&head, &lines).verify(&keys).is_ok());
}

fn parse(head: &Checkpoint, lines: &[SignatureLine]) -> SignedCheckpoint {
    let mut note = format!("{head}\n");
    for line in lines {
        line.push_to(&mut note);
    }
    SignedCheckpoint::parse(note.as_bytes()).unwrap()
}

#[test]
fn surplus_or_missing_signature_bytes_refuse_the_note() {
    for key in [log_keys(), witness_keys()].concat_keys() {
        let line = key.sign_checkpoint(&head(5), time(77)).unwrap();
        let log = &log_keys()[0];
        let of_log = log.sign_checkpoint(&head(5), time(77)).unwrap();
        let keys = [log.verifier_key(), key.verifier_key()];
        let longer = [line.signature(), &[0]].concat();
        let shorter = line.signature()[..line.signature().len() - 1].to_vec();
        for signature in [longer, shorter, vec![0], vec![0; 8]] {
            let altered = SignatureLine::new(key.verifier_key(), signature);
            let refused = parse(&head(5), &[of_log.clone(), altered]).verify(&keys).unwrap_err();
            assert!(matches!(refused, CheckpointError::Note(NoteError::BadSignature { .. })));
        }
    }
}

/// Arrays of keys that are not `Clone`, as one list.
trait ConcatKeys {
    fn concat_keys(self) -> Vec<PrivateKey>;
}

impl ConcatKeys for [[PrivateKey; 2]; 2] {
    fn concat_keys(self) -> Vec<PrivateKey> {
        self.into_iter().flatten().collect()
    }
}

#[test]
fn signatures_cover_head_and_text_as_their_kind_says() {
    let ([log, log_pq], [witness, witness_pq]) = (log_keys(), witness_keys());
    let signers: [&dyn Signer; 4] = [&log, &log_pq, &witness, &witness_pq];
    let note = String::from_utf8(sign(&head(5), &signers, time(77)).unwrap()).unwrap();
    for (from, to) in
        [("\n5\n", "\n6\n"), ("CQkJ", "CQkK"), ("example.com/log\n", "example.com/lag\n")]
    {
        let altered = note.replacen(from, to, 1);
        for signer in signers {
            let key = signer.verifier_key();
            let refused =
                UnverifiedNote::parse(altered.as_bytes()).unwrap().verify(&[key]).map(|_| ());
            assert!(
                matches!(refused, Err(NoteError::BadSignature { .. })),
                "{from:?} under {key:?}"
            );
        }
    }
    // An extension line is covered by the Ed25519 kinds alone.
    let extended = note.replacen("\n\n", "\nextension\n\n", 1);
    let extended = UnverifiedNote::parse(extended.as_bytes()).unwrap();
    assert!(extended.verify(&[log.verifier_key()]).is_err());
    assert!(extended.verify(&[witness.verifier_key()]).is_err());
    assert!(extended.verify(&[log_pq.verifier_key()]).is_ok());
    assert!(extended.verify(&[witness_pq.verifier_key()]).is_ok());
}

/// The two messages, written out by hand and verified by the bare algorithms.
#[test]
fn messages_are_those_of_the_specification() {
    let [witness, witness_pq] = witness_keys();
    let line = witness.sign_checkpoint(&head(5), time(1_679_315_147)).unwrap();
    let message = "cosignature/v1\ntime 1679315147\nexample.com/log\n5\n\
                   CQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQk=\n";
    let (stamp, signature) = line.signature().split_at(8);
    assert_eq!(stamp, 1_679_315_147u64.to_be_bytes());
    let public = witness.verifier_key().public_key().try_into().unwrap();
    let public = ed25519_dalek::VerifyingKey::from_bytes(public).unwrap();
    let signature = ed25519_dalek::Signature::from_slice(signature).unwrap();
    public.verify_strict(message.as_bytes(), &signature).unwrap();

    let line = witness_pq.sign_checkpoint(&head(5), time(1_679_315_147)).unwrap();
    let mut message = b"subtree/v1\n\0".to_vec();
    message.extend_from_slice(b"\x11witness.example/w");
    message.extend_from_slice(&[0, 0, 0, 0, 0x64, 0x18, 0x50, 0xcb]);
    message.extend_from_slice(b"\x0fexample.com/log");
    message.extend_from_slice(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5]);
    message.extend_from_slice(&[9; 32]);
    let (stamp, signature) = line.signature().split_at(8);
    assert_eq!(stamp, 1_679_315_147u64.to_be_bytes());
    let public = witness_pq.verifier_key().public_key().try_into().unwrap();
    let public = ml_dsa::VerifyingKey::<ml_dsa::MlDsa44>::decode(&public);
    let signature = ml_dsa::Signature::try_from(signature).unwrap();
    assert!(public.verify_with_context(&message, &[], &signature));
}

/// A signer can make a signature whose R is the neutral element. The plain equation holds for it, and
/// implementations differ on whether that is enough: one note, two verdicts.
#[test]
fn a_signature_with_a_point_of_small_order_is_refused() {
    let (log, text) = (&log_keys()[0], head(5).to_string());
    let signing = ed25519_dalek::SigningKey::from_bytes(&[1; 32]);
    let mut neutral = [0; 32];
    neutral[0] = 1;
    let digest: [u8; 64] = Sha512::new()
        .chain_update(neutral)
        .chain_update(signing.verifying_key().as_bytes())
        .chain_update(&text)
        .finalize()
        .into();
    let s = Scalar::from_bytes_mod_order_wide(&digest) * signing.to_scalar();
    let signature = [neutral, s.to_bytes()].concat();
    let bare = ed25519_dalek::Signature::from_slice(&signature).unwrap();
    assert!(signing.verifying_key().verify(text.as_bytes(), &bare).is_ok());
    assert!(signing.verifying_key().verify_strict(text.as_bytes(), &bare).is_err());

    let line = SignatureLine::new(log.verifier_key(), signature);
    let refused = verify_as_note(&parse(&head(5), &[line]), log.verifier_key());
    assert!(matches!(refused, Err(NoteError::BadSignature { .. })));
}

#[test]
fn times_end_at_2_to_the_63() {
    assert_eq!(Timestamp::new((1 << 63) - 1), Ok(Timestamp::MAX));
    assert!(Timestamp::new(1 << 63).is_err());
    for key in witness_keys() {
        let line = key.sign_checkpoint(&head(5), Timestamp::MAX).unwrap();
        let note = parse(&head(5), std::slice::from_ref(&line));
        assert_eq!(verify_as_note(&note, key.verifier_key()), Ok(Some(Timestamp::MAX)));
        let mut beyond = line.signature().to_vec();
        beyond[0] |= 0x80;
        let note = parse(&head(5), &[SignatureLine::new(key.verifier_key(), beyond)]);
        let refused = verify_as_note(&note, key.verifier_key());
        assert!(matches!(refused, Err(NoteError::BadSignature { .. })));
    }
}

fn verify_as_note(
    signed: &SignedCheckpoint,
    key: &VerifierKey,
) -> Result<Option<Timestamp>, NoteError> {
    let note = UnverifiedNote::parse(signed.as_bytes())?;
    Ok(note.verify(&[key])?.signatures()[0].time())
}

#[test]
fn an_ml_dsa_key_signs_no_text_that_is_no_checkpoint() {
    let [log, log_pq] = log_keys();
    let signed = sign_text("a text\n", &[&log]).unwrap();
    let note = UnverifiedNote::parse(&signed).unwrap();
    assert_eq!(note.verify(&[log.verifier_key()]).unwrap().text(), "a text\n");
    assert!(matches!(sign_text("a text\n", &[&log_pq]), Err(SignError::Kind { .. })));
    assert!(matches!(sign_text("a text\n", &[]), Err(SignError::NoSigner)));
    assert!(matches!(sign(&head(5), &[], time(1)), Err(SignError::NoSigner)));

    let line = log_pq.sign_checkpoint(&head(5), time(1)).unwrap();
    let forged = format!("a text\n\n{line}\n");
    let note = UnverifiedNote::parse(forged.as_bytes()).unwrap();
    let refused = note.verify(&[log_pq.verifier_key()]);
    assert!(matches!(refused, Err(NoteError::BadSignature { .. })));
}

#[test]
fn the_short_way_gives_the_same_note() {
    let [log, log_pq] = log_keys();
    let head = head(5);
    let short = sign_head(head.origin(), head.size(), head.root(), &log).unwrap();
    assert_eq!(short, sign(&head, &[&log], Timestamp::ZERO).unwrap());
    let refused = sign_head(head.origin(), head.size(), head.root(), &log_pq);
    assert!(matches!(refused, Err(SignError::Kind { .. })));
}

#[test]
fn subtree_cosignatures_state_no_time() {
    let [_, witness_pq] = witness_keys();
    let (key, origin, hash) =
        (witness_pq.verifier_key(), Origin::new(ORIGIN).unwrap(), Hash::from([7; 32]));
    let subtree = Subtree::new(8..13).unwrap();
    let line = witness_pq.sign_subtree(&origin, subtree, &hash).unwrap();
    let verify = |line: &SignatureLine, subtree, hash: Hash| {
        verify_subtree(key, line, &origin, subtree, &hash)
    };
    assert_eq!(verify(&line, subtree, hash), Ok(Timestamp::ZERO));

    let bad = SubtreeSignatureError::BadSignature { name: key.name().clone(), id: key.id() };
    assert_eq!(verify(&line, Subtree::new(8..14).unwrap(), hash), Err(bad.clone()));
    assert_eq!(verify(&line, Subtree::new(0..13).unwrap(), hash), Err(bad.clone()));
    assert_eq!(verify(&line, subtree, Hash::from([8; 32])), Err(bad.clone()));
    let elsewhere = Origin::new("example.com/other").unwrap();
    assert_eq!(verify_subtree(key, &line, &elsewhere, subtree, &hash), Err(bad.clone()));
    let short = SignatureLine::new(key, vec![0; 7]);
    assert_eq!(verify(&short, subtree, hash), Err(bad));

    let mut timed = line.signature().to_vec();
    timed[7] = 1;
    let timed = SignatureLine::new(key, timed);
    let states = SubtreeSignatureError::StatesTime { time: time(1) };
    assert_eq!(verify(&timed, subtree, hash), Err(states));
}

#[test]
fn a_checkpoint_cosignature_is_one_of_the_whole_tree() {
    let [witness, witness_pq] = witness_keys();
    let (head, key) = (head(5), witness_pq.verifier_key());
    let line = witness_pq.sign_checkpoint(&head, time(77)).unwrap();
    let whole = Subtree::whole(head.size()).unwrap();
    assert_eq!(verify_subtree(key, &line, head.origin(), whole, head.root()), Ok(time(77)));

    let plain = witness.sign_checkpoint(&head, time(77)).unwrap();
    let other = verify_subtree(key, &plain, head.origin(), whole, head.root());
    assert!(matches!(other, Err(SubtreeSignatureError::OtherKey { .. })));
    let kind = verify_subtree(witness.verifier_key(), &plain, head.origin(), whole, head.root());
    assert_eq!(kind, Err(SubtreeSignatureError::Kind { signature_type: 4 }));
    let refused = witness.sign_subtree(head.origin(), whole, head.root());
    assert!(matches!(refused, Err(SignError::Kind { .. })));
}

/// A key that is elsewhere, and gives what a test wants.
struct Remote {
    key: VerifierKey,
    signature: Option<Vec<u8>>,
}

impl Signer for Remote {
    fn verifier_key(&self) -> &VerifierKey {
        &self.key
    }

    fn sign_message(&self, _message: &[u8]) -> Result<Vec<u8>, SignError> {
        self.signature.clone().ok_or_else(|| SignError::Failed {
            name: self.key.name().clone(),
            id: self.key.id(),
            source: "the token was pulled out".into(),
        })
    }
}

#[test]
fn a_signer_may_fail_and_may_not_give_nonsense() {
    let key = log_keys()[0].verifier_key().clone();
    let pulled = Remote { key: key.clone(), signature: None };
    assert!(matches!(sign(&head(5), &[&pulled], time(1)), Err(SignError::Failed { .. })));
    let nonsense = Remote { key: key.clone(), signature: Some(vec![0; 63]) };
    let refused = sign(&head(5), &[&nonsense], time(1));
    assert!(matches!(refused, Err(SignError::Length { expected: 64, found: 63, .. })));
    let right = Remote { key, signature: Some(vec![0; 64]) };
    assert!(sign(&head(5), &[&right], time(1)).is_ok());
}
