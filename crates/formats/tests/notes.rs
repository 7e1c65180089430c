//! Notes and checkpoints: one spelling each, limits at the limit and one beyond.

use std::collections::HashMap;

use formats::note::{NOTE_BYTES_MAX, SIGNATURES_MAX, parse_signature_lines};
use formats::sign::sign_text;
use formats::{
    Base64Error, Checkpoint, CheckpointError, KeyKind, KeyName, NameError, NoteError, NumberError,
    PrivateKey, SignatureLine, SignedCheckpoint, Signer, Timestamp, UnverifiedNote, VerifierKey,
    sign,
};
use merkle::{Hash, TreeSize};
use sha2::{Digest as _, Sha256};

const LINE: &str = "— a AAAAAAA=\n";

fn parse(note: &str) -> Result<(), NoteError> {
    UnverifiedNote::parse(note.as_bytes()).map(|parsed| {
        assert_eq!(parsed.as_bytes(), note.as_bytes());
        let lines: String = parsed.signatures().map(|signature| signature.line).collect();
        assert_eq!(format!("{}\n{lines}", parsed.text()), note);
    })
}

#[test]
fn a_note_has_a_text_an_empty_line_and_signatures() {
    for good in ["text\n\n", "\n\n", "text\n\ntext\n\n", "text\n\n\n\n"] {
        assert_eq!(parse(&format!("{good}{LINE}")), Ok(()), "{good:?}");
        assert_eq!(parse(&format!("{good}{LINE}{LINE}")), Ok(()), "{good:?}");
    }
    for (bad, error) in [
        ("", NoteError::Unterminated),
        ("\n", NoteError::NoSeparator),
        ("text\n", NoteError::NoSeparator),
        ("text\n\n", NoteError::NoSignature),
        ("text\n— a AAAAAAA=\n", NoteError::NoSeparator),
        ("text\n\n— a AAAAAAA=", NoteError::Unterminated),
        ("text\n\n— a AAAAAAA=\n\n", NoteError::NoSignature),
        ("text\n\n— a AAAAAAA=\n\n— a AAAAAAA=", NoteError::Unterminated),
    ] {
        assert_eq!(parse(bad), Err(error), "{bad:?}");
    }
}

#[test]
fn a_signature_line_has_one_spelling() {
    let form = NoteError::SignatureForm { position: 1 };
    let name = NoteError::SignatureName { position: 1 };
    let base64 = NoteError::SignatureBase64 { position: 1, reason: Base64Error::NotCanonical };
    let short = NoteError::SignatureTooShort { position: 1 };
    for (line, error) in [
        ("- a AAAAAAA=", &form),
        ("—a AAAAAAA=", &form),
        ("—  a AAAAAAA=", &name),
        ("— a", &form),
        ("—", &form),
        (" — a AAAAAAA=", &form),
        ("—\u{a0}a AAAAAAA=", &form),
        ("— a+b AAAAAAA=", &name),
        ("— a\u{a0}b AAAAAAA=", &name),
        ("— a  AAAAAAA=", &base64),
        ("— a AAAAAAA= ", &base64),
        ("— a AAAAAAB=", &base64),
        ("— a AAAAAAA", &base64),
        ("— a AAAA_AA=", &base64),
        ("— a AAAAAAA=b", &base64),
        ("— a AAAAAA==", &short),
        ("— a AAAA", &short),
        ("— a ", &short),
    ] {
        assert_eq!(parse(&format!("text\n\n{line}\n")).as_ref(), Err(error), "{line:?}");
    }
    let second = parse("text\n\n— a AAAAAAA=\n— b\n");
    assert_eq!(second, Err(NoteError::SignatureForm { position: 2 }));
}

#[test]
fn only_newlines_control() {
    for byte in (0..b' ').filter(|&byte| byte != b'\n') {
        let note = [b"te", &[byte][..], b"xt\n\n", LINE.as_bytes()].concat();
        let refused = UnverifiedNote::parse(&note).unwrap_err();
        assert_eq!(refused, NoteError::ControlCharacter { byte, offset: 2 });
    }
    let crlf = format!("text\n\n{LINE}").replace('\n', "\r\n");
    assert!(matches!(parse(&crlf), Err(NoteError::ControlCharacter { byte: b'\r', .. })));
    let not_utf8 = [b"t\xff\n\n", LINE.as_bytes()].concat();
    assert_eq!(UnverifiedNote::parse(&not_utf8), Err(NoteError::NotUtf8 { offset: 1 }));
    assert_eq!(parse(&format!("\u{7f}\u{85}\n\n{LINE}")), Ok(()));
}

#[test]
fn limits_hold_at_the_limit_and_not_beyond() {
    let signatures = |count: usize| format!("text\n\n{}", LINE.repeat(count));
    assert_eq!(parse(&signatures(SIGNATURES_MAX)), Ok(()));
    assert_eq!(parse(&signatures(SIGNATURES_MAX + 1)), Err(NoteError::TooManySignatures));

    let sized = |bytes: usize| format!("{}\n\n{LINE}", "a".repeat(bytes - 2 - LINE.len()));
    assert_eq!(parse(&sized(NOTE_BYTES_MAX)), Ok(()));
    let bytes = NOTE_BYTES_MAX + 1;
    assert_eq!(parse(&sized(bytes)), Err(NoteError::TooLarge { bytes }));

    // 16 ML-DSA-44 signatures, the least a verifier has to take.
    let name = KeyName::new("example.com/log").unwrap();
    let keys: Vec<PrivateKey> =
        (0..16).map(|seed| PrivateKey::ml_dsa_44(name.clone(), &[seed; 32])).collect();
    let signers: Vec<&dyn Signer> = keys.iter().map(|key| key as &dyn Signer).collect();
    let head = Checkpoint::new(name.into(), TreeSize::ZERO, Hash::EMPTY_ROOT);
    let note = sign(&head, &signers, Timestamp::ZERO).unwrap();
    let vkeys: Vec<&VerifierKey> = keys.iter().map(PrivateKey::verifier_key).collect();
    let verified = SignedCheckpoint::parse(&note).unwrap().verify(&vkeys).unwrap();
    assert_eq!(verified.signatures().len(), 16);
}

#[test]
fn unknown_keys_are_ignored_and_known_ones_must_hold() {
    let name = KeyName::new("a").unwrap();
    let (known, other) =
        (PrivateKey::ed25519(name.clone(), &[1; 32]), PrivateKey::ed25519(name, &[2; 32]));
    let note = String::from_utf8(sign_text("text\n", &[&known]).unwrap()).unwrap();
    let verify = |note: &str, keys: &[&VerifierKey]| {
        let note = UnverifiedNote::parse(note.as_bytes()).unwrap();
        note.verify(keys).map(|verified| verified.signatures().len())
    };
    let (key, stranger) = (known.verifier_key(), other.verifier_key());
    assert_eq!(verify(&note, &[key]), Ok(1));
    assert_eq!(verify(&note, &[key, stranger]), Ok(1));
    assert_eq!(verify(&note, &[key, key]), Ok(1), "the same key twice is one key");
    assert_eq!(verify(&note, &[stranger]), Err(NoteError::NoTrustedSignature));
    assert_eq!(verify(&note, &[]), Err(NoteError::NoTrustedSignature));
    let nobody: &[VerifierKey] = &[];
    let refused = UnverifiedNote::parse(note.as_bytes()).unwrap().verify(nobody).map(|_| ());
    assert_eq!(refused, Err(NoteError::NoTrustedSignature));

    // Lines of unknown keys, of names no key of ours can have, and of our name under another id.
    let long = "x".repeat(300);
    assert_eq!(verify(&format!("{note}{LINE}— {long} AAAAAAA=\n"), &[key]), Ok(1));
    // Our id under another name.
    let renamed = note.replace("— a ", "— b ");
    assert_eq!(verify(&renamed, &[key]), Err(NoteError::NoTrustedSignature));

    // A good line does not excuse a bad one of the same key, before or after it.
    let line = note.split_once("\n\n").unwrap().1;
    let bad = sign_text("other\n", &[&known]).unwrap();
    let bad = std::str::from_utf8(&bad).unwrap().split_once("\n\n").unwrap().1;
    assert_eq!(verify(&format!("text\n\n{line}{line}"), &[key]), Ok(2));
    for lines in [[line, bad], [bad, line]] {
        let refused = verify(&format!("text\n\n{}", lines.concat()), &[key]);
        assert!(matches!(refused, Err(NoteError::BadSignature { .. })));
    }
}

/// Ids have 32 bits, so two keys of one name and id are found in a moment.
#[test]
fn two_keys_of_one_name_and_id_are_ambiguous() {
    let encoded = |number: u32| {
        let mut key = vec![0; KeyKind::CosignatureMlDsa44.public_key_len()];
        key[..4].copy_from_slice(&number.to_be_bytes());
        key
    };
    let id_of = |number: u32| -> [u8; 4] {
        let input = [b"a\n\x06".as_slice(), &encoded(number)].concat();
        *<[u8; 32]>::from(Sha256::digest(input)).first_chunk().unwrap()
    };
    let mut seen: HashMap<[u8; 4], u32> = HashMap::new();
    let (first, second) = (0..)
        .find_map(|number| seen.insert(id_of(number), number).map(|found| (found, number)))
        .unwrap();
    let name = KeyName::new("a").unwrap();
    let key = |number| {
        let kind = KeyKind::CosignatureMlDsa44;
        VerifierKey::from_public_key(name.clone(), kind, &encoded(number)).unwrap()
    };
    let (first, second) = (key(first), key(second));
    assert_eq!(first.id(), second.id());
    let line = SignatureLine::new(&first, vec![0; 2_428]);
    let note = format!("text\n\n{line}\n");
    let note = UnverifiedNote::parse(note.as_bytes()).unwrap();
    let (name, id) = (name.clone(), first.id());
    let ambiguous = NoteError::AmbiguousKey { name: name.clone(), id };
    assert_eq!(note.verify(&[&first, &second]), Err(ambiguous));
    assert_eq!(note.verify(&[&first, &first]), Err(NoteError::BadSignature { name, id }));
}

#[test]
fn a_checkpoint_has_one_spelling() {
    let root = "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=";
    let good = format!("example.com/log\n5\n{root}\n");
    assert_eq!(Checkpoint::parse(&good).unwrap().to_string(), good);
    let extended = format!("{good}one\n two \n");
    let parsed = Checkpoint::parse(&extended).unwrap();
    assert_eq!(parsed.extensions().collect::<Vec<_>>(), ["one", " two "]);
    assert_eq!(parsed.to_string(), extended);
    let sumdb = Checkpoint::parse(&good.replace("example.com/log", "go.sum database tree"));
    assert_eq!(sumdb.unwrap().origin().as_str(), "go.sum database tree");

    let decimal = CheckpointError::Size(NumberError::NotDecimal);
    let zero = CheckpointError::Size(NumberError::LeadingZero);
    for (size, error) in [
        ("+5", &decimal),
        ("-5", &decimal),
        ("", &decimal),
        ("5 ", &decimal),
        (" 5", &decimal),
        ("5\r", &decimal),
        ("0x5", &decimal),
        ("5e0", &decimal),
        ("05", &zero),
        ("00", &zero),
    ] {
        let refused = Checkpoint::parse(&good.replace("\n5\n", &format!("\n{size}\n")));
        assert_eq!(refused.as_ref(), Err(error), "{size:?}");
    }
    for (root, error) in [
        (&root[..43], Base64Error::NotCanonical),
        (&root.replace("2I=", "2J="), Base64Error::NotCanonical),
        (&format!("{root}\r"), Base64Error::NotCanonical),
        (&format!(" {root}"), Base64Error::NotCanonical),
        ("", Base64Error::Length { expected: 32, found: 0 }),
        (
            "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jx",
            Base64Error::Length { expected: 32, found: 30 },
        ),
    ] {
        let refused = Checkpoint::parse(&format!("example.com/log\n5\n{root}\n"));
        assert_eq!(refused, Err(CheckpointError::Root(error)), "{root:?}");
    }
}

#[test]
fn a_checkpoint_has_at_least_three_whole_lines() {
    let root = "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=";
    let few = Err(CheckpointError::TooFewLines);
    for text in ["", "a\n", "a\n5\n", &format!("a\n5\n{root}"), &format!("a\n5\n{root}\nextension")]
    {
        assert_eq!(Checkpoint::parse(text), few, "{text:?}");
    }
    let origin = Checkpoint::parse(&format!("\n5\n{root}\n"));
    assert_eq!(origin, Err(CheckpointError::Origin(NameError::Empty)));
    for (extension, line) in [("\n", 1), ("one\n\n", 2), ("one\ntwo\r\n", 2)] {
        let refused = Checkpoint::parse(&format!("a\n5\n{root}\n{extension}"));
        assert_eq!(refused, Err(CheckpointError::Extension { line }), "{extension:?}");
    }
}

#[test]
fn sizes_end_below_2_to_the_63() {
    let parse = |size: u64| {
        let text = format!("a\n{size}\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n");
        Checkpoint::parse(&text).map(|checkpoint| checkpoint.size().get())
    };
    let max = (1 << 63) - 1;
    assert_eq!(parse(max), Ok(max));
    let beyond = Err(CheckpointError::Size(NumberError::TooLarge { max }));
    assert_eq!(parse(max + 1), beyond);
    assert_eq!(parse(u64::MAX), beyond);
}

#[test]
fn an_empty_tree_with_another_root_is_read_and_recognised() {
    let origin = KeyName::new("a").unwrap();
    let head = |size, root| {
        Checkpoint::new(origin.clone().into(), TreeSize::new(size).unwrap(), root)
            .is_empty_with_wrong_root()
    };
    assert!(head(0, Hash::from([1; 32])));
    assert!(!head(0, Hash::EMPTY_ROOT));
    assert!(!head(1, Hash::from([1; 32])));
    let wrong = Checkpoint::parse("a\n0\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n");
    assert!(wrong.unwrap().is_empty_with_wrong_root());
}

#[test]
fn the_logs_key_is_named_as_its_origin() {
    let key = |name: &str| PrivateKey::ed25519(KeyName::new(name).unwrap(), &[1; 32]);
    let (log, other) = (key("example.com/log"), key("example.com/other"));
    let head = Checkpoint::new(log.name().clone().into(), TreeSize::ZERO, Hash::EMPTY_ROOT);
    let note = sign(&head, &[&other], Timestamp::ZERO).unwrap();
    let signed = SignedCheckpoint::parse(&note).unwrap();
    let refused = signed.verify(&[other.verifier_key(), log.verifier_key()]);
    let origin = head.origin().clone();
    assert_eq!(refused, Err(CheckpointError::NoLogSignature { origin }));
    let note = sign(&head, &[&other, &log], Timestamp::ZERO).unwrap();
    let signed = SignedCheckpoint::parse(&note).unwrap();
    assert!(signed.verify(&[log.verifier_key()]).is_ok());
}

#[test]
fn answers_of_witnesses_are_lines_alone() {
    assert_eq!(parse_signature_lines(LINE.as_bytes()).unwrap().len(), 1);
    let parse = |lines: &str| parse_signature_lines(lines.as_bytes()).map(|_| ()).unwrap_err();
    assert_eq!(parse(""), NoteError::NoSignature);
    assert_eq!(parse(LINE.trim_end()), NoteError::Unterminated);
    assert_eq!(parse(&format!("\n{LINE}")), NoteError::SignatureForm { position: 1 });
    assert_eq!(parse(&format!("{LINE}\n")), NoteError::SignatureForm { position: 2 });
    assert_eq!(parse(&LINE.repeat(65)), NoteError::TooManySignatures);
    let long = format!("— {} AAAAAAA=\n", "x".repeat(256));
    assert_eq!(parse(&long), NoteError::SignatureName { position: 1 });
}
