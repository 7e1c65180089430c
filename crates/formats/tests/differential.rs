//! Against `signed_note`, another implementation of c2sp.org/signed-note: each reads what the other
//! writes, and whatever ours accepts, it accepts too.

#![expect(clippy::unwrap_used, reason = "what fails to unwrap fails the test")]

use formats::sign::sign_text;
use formats::{KeyName, PrivateKey, UnverifiedNote, VerifierKey};
use proptest::prelude::*;
use signed_note::{Note, StandardSigner, StandardVerifier, VerifierList};

fn theirs_verifies(note: &[u8], vkey: &str) -> bool {
    let Ok(note) = Note::from_bytes(note) else {
        return false;
    };
    let verifier = StandardVerifier::new(vkey).unwrap();
    note.verify(&VerifierList::new(vec![Box::new(verifier)])).is_ok()
}

fn ours_verifies(note: &[u8], vkey: &str) -> bool {
    let key = VerifierKey::parse(vkey).unwrap();
    UnverifiedNote::parse(note).is_ok_and(|note| note.verify(&[key]).is_ok())
}

/// Texts of lines, empty ones and signature look-alikes among them.
fn texts() -> impl Strategy<Value = String> {
    let line = prop_oneof![Just(String::new()), Just("— a AAAAAAA=".into()), "[ -~é—]{0,20}"];
    prop::collection::vec(line, 0..5).prop_map(|lines| lines.join("\n") + "\n")
}

proptest! {
    #[test]
    fn each_reads_what_the_other_writes(
        text in texts(),
        seed: [u8; 32],
        name in "[a-z./é-]{1,30}",
    ) {
        let key = PrivateKey::ed25519(KeyName::new(&name).unwrap(), &seed);
        let vkey = key.verifier_key().to_string();
        let ours = sign_text(&text, &[&key]).unwrap();

        let their_key = StandardSigner::new(&key.format()).unwrap();
        let mut their_note = Note::new(text.as_bytes(), &[]).unwrap();
        their_note.add_sigs(&[&their_key]).unwrap();

        prop_assert_eq!(&ours, &their_note.to_bytes());
        prop_assert!(theirs_verifies(&ours, &vkey));
        prop_assert!(ours_verifies(&ours, &vkey));
    }

    #[test]
    fn what_ours_accepts_theirs_accepts(
        text in texts(),
        at: prop::sample::Index,
        byte in prop_oneof![Just(b'\n'), Just(b'='), Just(b' '), any::<u8>()],
        removed in 0usize..3,
    ) {
        let key = PrivateKey::ed25519(KeyName::new("a").unwrap(), &[1; 32]);
        let vkey = key.verifier_key().to_string();
        let mut note = sign_text(&text, &[&key]).unwrap();
        let at = at.index(note.len());
        let end = (at + removed).min(note.len());
        note.splice(at..end, [byte]);
        if ours_verifies(&note, &vkey) {
            prop_assert!(theirs_verifies(&note, &vkey), "{:?}", String::from_utf8_lossy(&note));
        }
        if let Ok(parsed) = UnverifiedNote::parse(&note) {
            let theirs = Note::from_bytes(&note);
            prop_assert!(theirs.is_ok(), "{:?}", String::from_utf8_lossy(&note));
            let theirs = theirs.unwrap();
            prop_assert_eq!(theirs.text(), parsed.text().as_bytes());
        }
    }

    #[test]
    fn keys_are_read_alike(seed: [u8; 32], at: prop::sample::Index, byte in 0x20u8..0x7f) {
        let key = PrivateKey::ed25519(KeyName::new("a").unwrap(), &seed);
        let mut vkey = key.verifier_key().to_string().into_bytes();
        prop_assert!(StandardVerifier::new(std::str::from_utf8(&vkey).unwrap()).is_ok());
        let at = at.index(vkey.len());
        vkey[at] = byte;
        let vkey = std::str::from_utf8(&vkey).unwrap();
        if VerifierKey::parse(vkey).is_ok() {
            prop_assert!(StandardVerifier::new(vkey).is_ok(), "{vkey}");
        }
    }
}
