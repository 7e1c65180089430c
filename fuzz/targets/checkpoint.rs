//! What each target does with its input: whatever a parser accepts formats back to the same bytes, and
//! nothing panics. Each says whether any parser accepted, so that seeds can say what they expect.

use formats::key::parse_vkeys;
use formats::note::parse_signature_lines;
use formats::{
    AddCheckpoint, Checkpoint, Evidence, KeyFile, KeyName, Policy, PrivateKey, SignSubtree,
    SignedCheckpoint, TlogProof, UnverifiedNote, VerifierKey,
};

/// Notes, checkpoints and lines of signatures.
pub(crate) fn note(input: &[u8]) -> bool {
    let note = UnverifiedNote::parse(input).inspect(|note| assert_eq!(note.as_bytes(), input));
    let signed = SignedCheckpoint::parse(input).inspect(|signed| {
        assert_eq!(signed.as_bytes(), input);
        assert!(note.as_ref().is_ok_and(|note| note.text() == signed.checkpoint().to_string()));
    });
    let lines = parse_signature_lines(input).inspect(|lines| {
        let written: String = lines.iter().map(|line| line.to_string() + "\n").collect();
        assert_eq!(written.as_bytes(), input);
    });
    let text = core::str::from_utf8(input).map(Checkpoint::parse);
    if let Ok(Ok(checkpoint)) = &text {
        assert_eq!(checkpoint.to_string().as_bytes(), input);
    }
    note.is_ok() || signed.is_ok() || lines.is_ok() || matches!(text, Ok(Ok(_)))
}

/// Proofs of single entries.
pub(crate) fn proof(input: &[u8]) -> bool {
    let proof = TlogProof::parse(input).inspect(|proof| assert_eq!(proof.format(), input));
    proof.is_ok()
}

/// Evidence against a log: the log of the seeds, for one, whose key anyone may know here.
pub(crate) fn evidence(input: &[u8]) -> bool {
    let evidence = Evidence::parse(input).inspect(|evidence| {
        assert_eq!(evidence.format(), input);
        let name = KeyName::new("example.com/log").expect("it is a name");
        let key = PrivateKey::ed25519(name, &[1; 32]).verifier_key().clone();
        if let Ok(shown) = evidence.verify(&[key]) {
            assert_eq!(shown.contradiction(), evidence.claim());
            assert_eq!(shown.second().is_some(), evidence.second().is_some());
        }
    });
    evidence.is_ok()
}

/// The request bodies of witnesses.
pub(crate) fn body(input: &[u8]) -> bool {
    let add = AddCheckpoint::parse(input).inspect(|body| assert_eq!(body.format(), input));
    let sign = SignSubtree::parse(input).inspect(|body| assert_eq!(body.format(), input));
    add.is_ok() || sign.is_ok()
}

/// Policies: blanks and comments are free, so only what was formatted formats back.
pub(crate) fn policy(input: &[u8]) -> bool {
    let policy = Policy::parse(input).inspect(|policy| {
        let formatted = policy.format();
        assert_eq!(Policy::parse(&formatted).as_ref(), Ok(policy));
        assert!(policy.is_quorum_of(|_| true), "all witnesses together satisfy any policy");
        assert_eq!(policy.is_quorum_of(|_| false), policy.needs_no_witness());
    });
    policy.is_ok()
}

/// Verifier keys, private keys, and files of both.
pub(crate) fn key(input: &[u8]) -> bool {
    let Ok(text) = core::str::from_utf8(input) else {
        return false;
    };
    let vkey = VerifierKey::parse(text).inspect(|key| assert_eq!(key.to_string(), text));
    let vkeys = parse_vkeys(text).inspect(|keys| {
        let written: String = keys.iter().map(|key| key.to_string() + "\n").collect();
        assert_eq!(written, text);
    });
    let private = PrivateKey::parse(text).inspect(|key| assert_eq!(*key.format(), text));
    let file = KeyFile::parse(text).inspect(|file| assert_eq!(*file.format(), text));
    vkey.is_ok() || vkeys.is_ok() || private.is_ok() || file.is_ok()
}
