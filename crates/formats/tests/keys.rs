//! Verifier keys, private keys and key files: what is accepted formats back, and each rule refuses.

#![expect(clippy::unwrap_used, reason = "what fails to unwrap fails the test")]

use formats::key::{KeysError, VKEY_BYTES_MAX, VKEYS_MAX, format_vkeys, parse_vkeys, read_vkeys};
use formats::private::FILE_KEYS_MAX;
use formats::{
    KeyError, KeyFile, KeyFileError, KeyKind, KeyName, PrivateKey, PrivateKeyError, VerifierKey,
};

const VKEY: &str = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";

fn name(text: &str) -> KeyName {
    KeyName::new(text).unwrap()
}

fn one_of_each_kind() -> [PrivateKey; 3] {
    [
        PrivateKey::ed25519(name("example.com/log"), &[1; 32]),
        PrivateKey::cosigner_ed25519(name("example.com/log"), &[2; 32]),
        PrivateKey::ml_dsa_44(name("example.com/log"), &[3; 32]),
    ]
}

#[test]
fn vkeys_of_every_kind_format_back() {
    for (key, signature_type) in one_of_each_kind().iter().zip([0x01, 0x04, 0x06]) {
        let text = key.verifier_key().to_string();
        let parsed = VerifierKey::parse(&text).unwrap();
        assert_eq!(&parsed, key.verifier_key());
        assert_eq!(parsed.id(), key.verifier_key().id());
        assert_eq!(parsed.kind().signature_type(), signature_type);
        assert_eq!(parsed.public_key().len(), parsed.kind().public_key_len());
        assert_eq!(parsed.to_string(), text);
    }
}

#[test]
fn a_vkey_has_one_spelling() {
    let key = "AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";
    let cases = [
        ("", KeyError::Form),
        ("example.com/foo", KeyError::Form),
        ("example.com/foo+530d903a", KeyError::Form),
        (&*format!("example.com/foo+530d903a+{key} "), base64_error()),
        (&*format!("example.com/foo+530d903a+{key}\n"), base64_error()),
        (&*format!("example.com/foo+530D903A+{key}"), KeyError::Id),
        (&*format!("example.com/foo+0530d903a+{key}"), KeyError::Id),
        ("example.com/foo+530d903a+", KeyError::Form),
    ];
    for (text, error) in cases {
        assert_eq!(VerifierKey::parse(text), Err(error), "{text:?}");
    }
    assert!(matches!(VerifierKey::parse(&format!("+530d903a+{key}")), Err(KeyError::Name(_))));
    assert!(matches!(VerifierKey::parse(&format!("a b+530d903a+{key}")), Err(KeyError::Name(_))));
    let other_id = VerifierKey::parse(&VKEY.replace("530d903a", "530d903b"));
    let mismatch = KeyError::IdMismatch { expected: 0x530d_903a, found: 0x530d_903b };
    assert_eq!(other_id, Err(mismatch));
    let other_name = VerifierKey::parse(&VKEY.replace("foo", "fop"));
    assert!(matches!(other_name, Err(KeyError::IdMismatch { .. })));
    let long = format!("{VKEY}{}", "A".repeat(VKEY_BYTES_MAX));
    assert_eq!(VerifierKey::parse(&long), Err(KeyError::TooLong { bytes: long.len() }));
    assert_eq!(VerifierKey::parse(&long[..VKEY_BYTES_MAX]), Err(base64_error()));
}

fn base64_error() -> KeyError {
    KeyError::Base64(formats::Base64Error::NotCanonical)
}

#[test]
fn unusable_public_keys_are_refused() {
    let parse = |key: [u8; 32]| VerifierKey::from_public_key(name("a"), KeyKind::Ed25519, &key);
    // The neutral element, y = 1: of small order.
    let mut neutral = [0; 32];
    neutral[0] = 1;
    assert_eq!(parse(neutral), Err(KeyError::UnusableKey));
    // y = 2 is on no point of the curve.
    let mut off_curve = [0; 32];
    off_curve[0] = 2;
    assert_eq!(parse(off_curve), Err(KeyError::UnusableKey));
    // y = p + 3 is a second encoding of y = 3, which is a point.
    let mut three = [0; 32];
    three[0] = 3;
    assert!(parse(three).is_ok());
    let mut second = [0xff; 32];
    (second[0], second[31]) = (0xf0, 0x7f);
    assert_eq!(parse(second), Err(KeyError::UnusableKey));

    let short = VerifierKey::from_public_key(name("a"), KeyKind::CosignatureMlDsa44, &[0; 1_311]);
    assert_eq!(short, Err(KeyError::KeyLength { expected: 1_312, found: 1_311 }));
    let whole = VerifierKey::from_public_key(name("a"), KeyKind::CosignatureMlDsa44, &[0; 1_312]);
    assert!(whole.is_ok());
}

#[test]
fn unknown_signature_types_are_refused() {
    // 0x02 (ECDSA) over the same bytes, with the id that belongs to it.
    let text = "example.com/foo+00000000+AukyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";
    assert_eq!(VerifierKey::parse(text), Err(KeyError::UnknownType { signature_type: 2 }));
}

#[test]
fn the_same_key_under_other_names_is_the_same_public_key() {
    let [log, other, _] = one_of_each_kind();
    let cosigner = log.to_cosigner();
    assert!(log.verifier_key().same_public_key(cosigner.verifier_key()));
    assert_ne!(log.verifier_key(), cosigner.verifier_key());
    assert_ne!(log.verifier_key().id(), cosigner.verifier_key().id());
    assert!(!log.verifier_key().same_public_key(other.verifier_key()));
}

#[test]
fn lists_of_vkeys_are_lines() {
    let keys: Vec<String> =
        one_of_each_kind().iter().map(|key| format!("{}\n", key.verifier_key())).collect();
    assert_eq!(parse_vkeys(&keys.concat()).unwrap().len(), 3);
    assert_eq!(parse_vkeys(""), Err(KeysError::Empty));
    assert_eq!(parse_vkeys(keys[0].trim_end()), Err(KeysError::Unterminated));
    assert_eq!(parse_vkeys(&keys[0].repeat(2)), Err(KeysError::Duplicate { line: 2 }));
    let blank = parse_vkeys(&format!("{}\n", keys[0]));
    assert_eq!(blank, Err(KeysError::Line { line: 2, source: KeyError::Form }));

    let many = |count: usize| -> String {
        let key = |index| PrivateKey::ed25519(name(&format!("log{index}")), &[1; 32]);
        (0..count)
            .fold(String::new(), |text, index| text + &key(index).verifier_key().to_string() + "\n")
    };
    assert_eq!(parse_vkeys(&many(VKEYS_MAX)).unwrap().len(), VKEYS_MAX);
    assert_eq!(parse_vkeys(&many(VKEYS_MAX + 1)), Err(KeysError::TooMany));
}

#[test]
fn files_of_vkeys_are_read_as_editors_leave_them() {
    let lines: Vec<String> =
        one_of_each_kind().iter().map(|key| key.verifier_key().to_string()).collect();
    let written = lines.join("\n") + "\n";
    let keys = parse_vkeys(&written).unwrap();
    assert_eq!(format_vkeys(&keys), written);
    for kept in [
        written.clone(),
        lines.join("\n"),
        lines.join("\r\n"),
        lines.join("\r\n") + "\r\n",
        format!("\u{feff}{written}"),
        format!("\u{feff}\r\n{}\r\n\r\n", lines.join("\r\n\r\n")),
        format!("\n\n{written}\n"),
        format!("{}\r\n{}\n{}", lines[0], lines[1], lines[2]),
    ] {
        let read = read_vkeys(kept.as_bytes());
        assert_eq!(read.as_deref().map(format_vkeys), Ok(written.clone()), "{kept:?}");
    }
}

#[test]
fn what_editors_do_not_do_to_a_file_of_vkeys_is_refused() {
    let key = one_of_each_kind()[0].verifier_key().to_string();
    let read = |text: &str| read_vkeys(text.as_bytes()).unwrap_err();
    let form = |line| KeysError::Line { line, source: KeyError::Form };
    for empty in ["", "\n", "\r\n", "\u{feff}", "\n\r\n\n"] {
        assert_eq!(read(empty), KeysError::Empty, "{empty:?}");
    }
    assert_eq!(read("\n\nno key\n"), form(3), "the line as an editor counts it");
    assert_eq!(read(&format!("{key}\r\n\r\n{key}")), KeysError::Duplicate { line: 3 });
    for changed in [
        format!(" {key}\n"),
        format!("{key} \n"),
        format!("{key}\t\r\n"),
        format!("{key}\r\r\n"),
        format!("{key}\r"),
        format!("\r{key}\n"),
        format!("\u{feff}\u{feff}{key}\n"),
        format!("{key}\n\u{feff}"),
        format!("# a comment\n{key}\n"),
        format!("{key}\n \n"),
    ] {
        let refused = read_vkeys(changed.as_bytes());
        assert!(matches!(refused, Err(KeysError::Line { .. })), "{changed:?}: {refused:?}");
    }
    // As a shell of Windows writes a file, in UTF-16.
    let wide: Vec<u8> = key.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let wide = read_vkeys(&[&[0xff, 0xfe][..], &wide].concat());
    assert_eq!(wide, Err(KeysError::NotUtf8 { offset: 0 }));
    let key = |index| PrivateKey::ed25519(name(&format!("log{index}")), &[1; 32]);
    let many = |count: usize| -> Vec<_> {
        (0..count).map(|index| key(index).verifier_key().clone()).collect()
    };
    assert_eq!(read_vkeys(format_vkeys(&many(VKEYS_MAX)).as_bytes()).unwrap().len(), VKEYS_MAX);
    let beyond = read_vkeys(format_vkeys(&many(VKEYS_MAX + 1)).as_bytes());
    assert_eq!(beyond, Err(KeysError::TooMany));
}

#[test]
fn private_keys_of_every_kind_format_back() {
    for key in one_of_each_kind() {
        let text = key.format();
        assert!(text.starts_with("PRIVATE+KEY+example.com/log+"), "the form Go's note writes");
        let parsed = PrivateKey::parse(&text).unwrap();
        assert_eq!(parsed.verifier_key(), key.verifier_key());
        assert_eq!(*parsed.format(), *text);
    }
}

#[test]
fn a_private_key_has_one_spelling() {
    let text = one_of_each_kind()[0].format().to_string();
    let parse = |text: &str| PrivateKey::parse(text).map(|_| ()).unwrap_err();
    assert_eq!(parse(""), PrivateKeyError::Form);
    assert_eq!(parse(&text.to_lowercase()), PrivateKeyError::Form);
    assert_eq!(parse("PRIVATE+KEY+name+00000000"), PrivateKeyError::Form);
    assert!(matches!(parse(&format!("{text}\n")), PrivateKeyError::Base64(_)));
    assert!(matches!(parse(&format!("{text}AAAA")), PrivateKeyError::Base64(_)));
    assert!(matches!(parse(&text[..text.len() - 4]), PrivateKeyError::Base64(_)));
    assert!(matches!(parse(&text.replace("log+", "log+0")), PrivateKeyError::Id));
    assert!(matches!(parse(&text.replace("/log", "/lag")), PrivateKeyError::IdMismatch { .. }));
    assert!(matches!(parse(&text.replace("/log", "/ log")), PrivateKeyError::Name(_)));
    let ecdsa = "PRIVATE+KEY+a+00000000+AgEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB";
    assert_eq!(parse(ecdsa), PrivateKeyError::UnknownType { signature_type: 2 });
    let long = format!("PRIVATE+KEY+{}", "a".repeat(512));
    assert_eq!(parse(&long), PrivateKeyError::TooLong { bytes: long.len() });
    assert_eq!(parse(&long[..512]), PrivateKeyError::Form);
}

#[test]
fn debug_never_shows_a_seed() {
    for key in one_of_each_kind() {
        let shown = format!("{key:?}");
        let text = key.format().to_string();
        let seed = text.rsplit('+').next().unwrap();
        assert!(!shown.contains(seed) && !shown.contains(&text), "{shown}");
        assert!(shown.starts_with("PrivateKey(VerifierKey(example.com/log+"), "{shown}");
    }
}

#[test]
fn key_files_hold_one_name_in_order() {
    let key = |kind, seed| PrivateKey::from_seed(name("log"), kind, &[seed; 32]);
    let (ed25519, ml_dsa) = (KeyKind::Ed25519, KeyKind::CosignatureMlDsa44);

    let file = KeyFile::new(vec![key(ed25519, 1), key(ed25519, 2), key(ml_dsa, 3)]).unwrap();
    let parsed = KeyFile::parse(&file.format()).unwrap();
    assert_eq!(*parsed.format(), *file.format());
    assert_eq!(parsed.name().as_str(), "log");
    let vkeys = parse_vkeys(&file.format_vkeys()).unwrap();
    let of_file = |key: &PrivateKey| key.verifier_key().clone();
    assert_eq!(vkeys, file.keys().iter().map(of_file).collect::<Vec<_>>());
    assert_eq!(vkeys, file.into_keys().iter().map(of_file).collect::<Vec<_>>());

    let refused = |keys| KeyFile::new(keys).map(|_| ()).unwrap_err();
    assert_eq!(refused(vec![]), KeyFileError::Empty);
    assert_eq!(refused(vec![key(ml_dsa, 1), key(ed25519, 2)]), KeyFileError::Order { position: 2 });
    let twice = refused(vec![key(ed25519, 1), key(ml_dsa, 1)]);
    assert_eq!(twice, KeyFileError::SeedReused { position: 2 });
    let other = PrivateKey::ed25519(name("other"), &[2; 32]);
    let other = refused(vec![key(ed25519, 1), other]);
    assert!(matches!(other, KeyFileError::OtherName { position: 2, .. }));

    let many = |count: u8| (0..count).map(|seed| key(ed25519, seed)).collect::<Vec<_>>();
    assert_eq!(KeyFile::new(many(16)).unwrap().keys().len(), FILE_KEYS_MAX);
    assert_eq!(refused(many(17)), KeyFileError::TooMany);
}

#[test]
fn key_files_are_whole_lines() {
    let file = KeyFile::new(vec![PrivateKey::ed25519(name("log"), &[1; 32])]).unwrap();
    let text = file.format().to_string();
    let refused = |text: &str| KeyFile::parse(text).map(|_| ()).unwrap_err();
    assert_eq!(refused(""), KeyFileError::Empty);
    assert_eq!(refused(text.trim_end()), KeyFileError::Unterminated);
    assert_eq!(refused(&format!("{text}cut short")), KeyFileError::Unterminated);
    let blank = refused(&format!("{text}\n"));
    assert_eq!(blank, KeyFileError::Line { line: 2, source: PrivateKeyError::Form });
    assert_eq!(refused(&text.repeat(2)), KeyFileError::SeedReused { position: 2 });
    assert_eq!(refused(&text.repeat(17)), KeyFileError::TooMany);
}
