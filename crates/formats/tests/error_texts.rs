//! The text of every error. A change here is a change of what operators read and search for.

#![expect(clippy::unwrap_used, reason = "what fails to unwrap fails the test")]

use formats::cosignature::SubtreeSignatureError;
use formats::evidence::{EvidenceError, NotShown};
use formats::key::KeysError;
use formats::policy::{LineError, QuorumError};
use formats::private::KeyFileError;
use formats::witness::BodyError;
use formats::{
    Base64Error, CheckpointError, Conversion, KeyError, KeyName, NameError, NoteError, NumberError,
    Origin, PolicyError, PrivateKeyError, ProofError, SignError, Timestamp, TrustError,
};
use merkle::{LeafIndex, Subtree};

const BASE64: Base64Error = Base64Error::NotCanonical;
const NUMBER: NumberError = NumberError::LeadingZero;

fn name() -> KeyName {
    KeyName::new("example.com/log").unwrap()
}

/// One line for each error: what it says, then what caused it.
fn texts<E: core::error::Error>(errors: &[E]) -> String {
    let line = |error: &E| {
        let mut line = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            line.push_str(" <- ");
            line.push_str(&error.to_string());
            cause = error.source();
        }
        let first = line.chars().next().unwrap();
        assert!(!first.is_uppercase() && !line.contains(". ") && !line.ends_with('.'), "{line}");
        line + "\n"
    };
    errors.iter().map(line).collect()
}

#[test]
fn texts_of_the_smallest_parts() {
    let number = [
        NumberError::NotDecimal,
        NumberError::LeadingZero,
        NumberError::TooLarge { max: 9_223_372_036_854_775_807 },
    ];
    let base64 = [BASE64, Base64Error::Length { expected: 32, found: 31 }];
    let name = [
        NameError::Empty,
        NameError::TooLong { bytes: 256 },
        NameError::Character { character: '\r' },
    ];
    let time = [Timestamp::new(u64::MAX).unwrap_err()];
    insta::assert_snapshot!(texts(&number) + &texts(&base64) + &texts(&name) + &texts(&time));
}

#[test]
fn texts_of_key_errors() {
    let key = [
        KeyError::TooLong { bytes: 3_000 },
        KeyError::Form,
        KeyError::Name(NameError::Empty),
        KeyError::Id,
        KeyError::IdMismatch { expected: 1, found: 0xffff_ffff },
        KeyError::Base64(BASE64),
        KeyError::UnknownType { signature_type: 2 },
        KeyError::KeyLength { expected: 32, found: 31 },
        KeyError::UnusableKey,
    ];
    let keys = [
        KeysError::Line { line: 2, source: KeyError::Form },
        KeysError::Duplicate { line: 2 },
        KeysError::NotUtf8 { offset: 7 },
        KeysError::Unterminated,
        KeysError::Empty,
        KeysError::TooMany,
    ];
    insta::assert_snapshot!(texts(&key) + &texts(&keys));
}

#[test]
fn texts_of_private_key_errors() {
    let key = [
        PrivateKeyError::TooLong { bytes: 600 },
        PrivateKeyError::Form,
        PrivateKeyError::Name(NameError::Empty),
        PrivateKeyError::Id,
        PrivateKeyError::IdMismatch { expected: 1, found: 0xffff_ffff },
        PrivateKeyError::Base64(BASE64),
        PrivateKeyError::UnknownType { signature_type: 2 },
    ];
    let file = [
        KeyFileError::Line { line: 2, source: PrivateKeyError::Form },
        KeyFileError::Unterminated,
        KeyFileError::Empty,
        KeyFileError::TooMany,
        KeyFileError::OtherName {
            position: 2,
            expected: name(),
            found: KeyName::new("example.com/other").unwrap(),
        },
        KeyFileError::Order { position: 2 },
        KeyFileError::SeedReused { position: 2 },
    ];
    insta::assert_snapshot!(texts(&key) + &texts(&file));
}

#[test]
fn texts_of_note_errors() {
    let errors = [
        NoteError::TooLarge { bytes: 200_000 },
        NoteError::NotUtf8 { offset: 7 },
        NoteError::ControlCharacter { byte: b'\r', offset: 7 },
        NoteError::NoSeparator,
        NoteError::Unterminated,
        NoteError::NoSignature,
        NoteError::TooManySignatures,
        NoteError::SignatureForm { position: 1 },
        NoteError::SignatureName { position: 1 },
        NoteError::SignatureBase64 { position: 1, reason: BASE64 },
        NoteError::SignatureTooShort { position: 1 },
        NoteError::BadSignature { name: name(), id: 0x00c0_ffee },
        NoteError::AmbiguousKey { name: name(), id: 0x00c0_ffee },
        NoteError::NoTrustedSignature,
    ];
    insta::assert_snapshot!(texts(&errors));
}

#[test]
fn texts_of_checkpoint_errors() {
    let origin = Origin::from(name());
    let errors = [
        CheckpointError::Note(NoteError::NoSignature),
        CheckpointError::TooFewLines,
        CheckpointError::Origin(NameError::Empty),
        CheckpointError::Size(NUMBER),
        CheckpointError::Root(BASE64),
        CheckpointError::Extension { line: 1 },
        CheckpointError::NoLogSignature { origin },
    ];
    let trust = [
        TrustError::Checkpoint(CheckpointError::TooFewLines),
        TrustError::Quorum(QuorumError { cosigned: 1, witnesses: 3 }),
    ];
    insta::assert_snapshot!(texts(&errors) + &texts(&trust));
}

#[test]
fn texts_of_proof_errors() {
    let errors = [
        ProofError::TooLarge { bytes: 300_000 },
        ProofError::NotUtf8 { offset: 7 },
        ProofError::Header,
        ProofError::Extra(BASE64),
        ProofError::EmptyExtra,
        ProofError::ExtraTooLarge { bytes: 70_000 },
        ProofError::NoIndex,
        ProofError::Index(NUMBER),
        ProofError::Hash { position: 2, reason: BASE64 },
        ProofError::TooManyHashes,
        ProofError::NoSeparator,
        ProofError::Checkpoint(CheckpointError::TooFewLines),
        ProofError::Trust(TrustError::Checkpoint(CheckpointError::TooFewLines)),
        ProofError::OtherCheckpoint,
    ];
    insta::assert_snapshot!(texts(&errors));
    let inclusion = ProofError::Inclusion {
        index: LeafIndex::new(4).unwrap(),
        size: 7,
        source: merkle::verify_inclusion(
            &merkle::Hash::EMPTY_ROOT,
            LeafIndex::new(0).unwrap(),
            merkle::TreeSize::new(1).unwrap(),
            &[],
            &merkle::Hash::from([0; 32]),
        )
        .unwrap_err(),
    };
    assert_eq!(inclusion.to_string(), "the entry is not at index 4 of the tree of 7 leaves");
}

#[test]
fn texts_of_policy_errors() {
    let word = |word: &[u8]| word.into();
    let lines = [
        LineError::ControlCharacter { byte: b'\r' },
        LineError::UnknownWord { word: word(b"logs\xff") },
        LineError::Form { form: "log <vkey> [<url>]" },
        LineError::Key(KeyError::Form),
        LineError::KeyNotUtf8,
        LineError::NotACosigner { signature_type: 1 },
        LineError::DuplicateKey { what: "witness" },
        LineError::DuplicateName { name: word(b"w1") },
        LineError::NameIsNone,
        LineError::UnknownName { name: word("ẃ".as_bytes()) },
        LineError::MemberTwice { name: word(b"w1") },
        LineError::Threshold(NUMBER),
        LineError::ThresholdRange { threshold: 3, members: 2 },
        LineError::SecondQuorum,
        LineError::TooMany { what: "log", max: 256 },
    ];
    let policy = [
        PolicyError::TooLarge { bytes: 2_000_000 },
        PolicyError::Unterminated,
        PolicyError::Converted(Conversion::ByteOrderMark),
        PolicyError::Converted(Conversion::LineEnds),
        PolicyError::NoQuorum,
        PolicyError::Line { line: 3, source: LineError::NameIsNone },
    ];
    insta::assert_snapshot!(texts(&lines) + &texts(&policy));
}

#[test]
fn texts_of_body_errors() {
    let errors = [
        BodyError::TooLarge { bytes: 200_000 },
        BodyError::NotUtf8 { offset: 7 },
        BodyError::FirstLine { form: "old <size>" },
        BodyError::OldSize(NUMBER),
        BodyError::Start(NUMBER),
        BodyError::End(NUMBER),
        BodyError::Subtree(Subtree::new(7..13).unwrap_err()),
        BodyError::BeyondCheckpoint { end: 15, size: 14 },
        BodyError::NoSubtreeHash,
        BodyError::SubtreeHash(BASE64),
        BodyError::Hash { position: 2, reason: BASE64 },
        BodyError::TooManyHashes,
        BodyError::NoSeparator,
        BodyError::Checkpoint(CheckpointError::TooFewLines),
    ];
    insta::assert_snapshot!(texts(&errors));
}

#[test]
fn texts_of_evidence_errors() {
    let origin = Origin::from(name());
    let unusable = [
        EvidenceError::TooLarge { bytes: 300_000 },
        EvidenceError::NotUtf8 { offset: 7 },
        EvidenceError::Header,
        EvidenceError::NoOrigin,
        EvidenceError::Origin(NameError::Empty),
        EvidenceError::Hash { position: 2, reason: BASE64 },
        EvidenceError::TooManyHashes,
        EvidenceError::Form,
        EvidenceError::Checkpoint { position: 2, source: CheckpointError::TooFewLines },
        EvidenceError::OtherLog { expected: origin.clone(), found: origin.clone() },
        EvidenceError::Alone { size: 5 },
        EvidenceError::EmptyBesideAnother,
        EvidenceError::Order,
        EvidenceError::HashesWithoutSizes { found: 1 },
    ];
    let proof = merkle::ProofError::MissingHashes { found: 2 };
    let not_shown = [
        NotShown::NotSigned { size: 5, source: CheckpointError::NoLogSignature { origin } },
        NotShown::EmptyRoot,
        NotShown::SameHead { size: 5, root: [0; 32].into() },
        NotShown::Proof { at: 5, size: 8, source: proof },
        NotShown::Continues { at: 5, size: 8 },
    ];
    insta::assert_snapshot!(texts(&unusable) + &texts(&not_shown));
}

#[test]
fn texts_of_signing_errors() {
    let (name, id) = (name(), 0x00c0_ffee);
    let sign = [
        SignError::Failed { name: name.clone(), id, source: "the token was pulled out".into() },
        SignError::Length { name: name.clone(), id, expected: 64, found: 63 },
        SignError::Kind { name: name.clone(), id, what: "subtrees" },
        SignError::NoSigner,
    ];
    let subtree = [
        SubtreeSignatureError::OtherKey { name: name.clone(), id },
        SubtreeSignatureError::Kind { signature_type: 1 },
        SubtreeSignatureError::StatesTime { time: Timestamp::MAX },
        SubtreeSignatureError::BadSignature { name, id },
    ];
    insta::assert_snapshot!(texts(&sign) + &texts(&subtree));
}
