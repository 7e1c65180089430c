//! The cosignatures in a witness's answer, verified before any other code sees them. Pure.

use std::collections::BTreeMap;

use formats::note::parse_signature_lines;
use formats::{Policy, SignedCheckpoint, Timestamp, UnverifiedNote, VerifierKey};

use super::trouble::BadAnswer;

/// A cosignature that verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cosignature {
    pub(super) line: String,
    /// What the witness's clock showed.
    pub(super) time: Timestamp,
}

/// The cosignatures of an answer, by the witness's position in the policy. `asked` are the positions of
/// the witnesses that we asked. We ignore lines of unknown keys; one bad line of a known key refuses the
/// whole answer.
pub(super) fn cosignatures(
    target: &SignedCheckpoint,
    policy: &Policy,
    asked: &[usize],
    answer: &[u8],
) -> Result<BTreeMap<usize, Cosignature>, BadAnswer> {
    // The lines are parsed alone first: behind the checkpoint, an empty line would change its text.
    parse_signature_lines(answer)?;
    let note = [target.as_bytes(), answer].concat();
    let note = UnverifiedNote::parse(&note)?;
    let key = |&position: &usize| policy.witnesses()[position].key();
    let keys: Vec<&VerifierKey> = asked.iter().map(key).collect();
    let lines: Vec<&str> = note.signatures().map(|signature| signature.line).collect();
    let verified = match note.verify(&keys) {
        Err(formats::NoteError::NoTrustedSignature) => return Err(BadAnswer::NoCosignature),
        other => other?,
    };
    let mut found = BTreeMap::new();
    for signature in verified.signatures() {
        let time = signature.time().filter(|time| *time != Timestamp::ZERO);
        let time = time.ok_or(BadAnswer::NoTime)?;
        let position = asked.iter().find(|position| key(position) == signature.key());
        let position = *position.expect("only the keys given here verify");
        let line = lines[signature.position()].to_owned();
        found.entry(position).or_insert(Cosignature { line, time });
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use formats::{Checkpoint, KeyName, PrivateKey, Signer as _};
    use merkle::{Hash, TreeSize};

    use super::*;

    struct Rig {
        target: SignedCheckpoint,
        policy: Policy,
        ed: PrivateKey,
        ml: PrivateKey,
        head: Checkpoint,
    }

    fn rig() -> Rig {
        let name = |name: &str| KeyName::new(name).unwrap();
        let log = PrivateKey::ed25519(name("log.example/a"), &[1; 32]);
        let ed = PrivateKey::cosigner_ed25519(name("w.example"), &[2; 32]);
        let ml = PrivateKey::ml_dsa_44(name("w.example"), &[3; 32]);
        let size = TreeSize::new(7).unwrap();
        let head = Checkpoint::new(log.name().clone().into(), size, Hash::EMPTY_ROOT);
        let note = formats::sign(&head, &[&log], Timestamp::ZERO).unwrap();
        let (first, second) = (ed.verifier_key(), ml.verifier_key());
        let text = format!(
            "witness a {first} http://w.example\nwitness b {second} http://w.example\n\
             group w any a b\nquorum w\n"
        );
        let policy = Policy::parse(text.as_bytes()).unwrap();
        Rig { target: SignedCheckpoint::parse(&note).unwrap(), policy, ed, ml, head }
    }

    fn line(key: &PrivateKey, head: &Checkpoint, seconds: u64) -> String {
        let time = Timestamp::new(seconds).unwrap();
        format!("{}\n", key.sign_checkpoint(head, time).unwrap())
    }

    #[test]
    fn lines_of_known_keys_are_kept_and_others_ignored() {
        let Rig { target, policy, ed, ml, head } = rig();
        let stranger = PrivateKey::cosigner_ed25519(KeyName::new("x").unwrap(), &[9; 32]);
        let (first, second) = (line(&ed, &head, 5), line(&ml, &head, 6));
        let answer = format!("{}{second}{first}{}", line(&stranger, &head, 5), line(&ed, &head, 8));
        let found = cosignatures(&target, &policy, &[0, 1], answer.as_bytes()).unwrap();
        let at = |line: String, seconds| {
            let time = Timestamp::new(seconds).unwrap();
            Cosignature { line, time }
        };
        assert_eq!(found, BTreeMap::from([(0, at(first, 5)), (1, at(second, 6))]));
        let both = found.into_values().map(|cosignature| cosignature.line).collect::<String>();
        let signed = target.with_signature_lines(both.as_bytes()).unwrap();
        let keys: Vec<_> = policy.witnesses().iter().map(|witness| witness.key().clone()).collect();
        let note = UnverifiedNote::parse(signed.as_bytes()).unwrap();
        assert_eq!(note.verify(&keys).unwrap().signatures().len(), 2);
    }

    #[test]
    fn what_does_not_verify_refuses_the_whole_answer() {
        let Rig { target, policy, ed, ml, head } = rig();
        let refused =
            |answer: &str| cosignatures(&target, &policy, &[0, 1], answer.as_bytes()).unwrap_err();
        let other = Checkpoint::new(head.origin().clone(), head.size(), Hash::from([1; 32]));
        let (good, bad) = (line(&ed, &head, 5), line(&ml, &other, 5));
        assert!(matches!(refused(&(good.clone() + &bad)), BadAnswer::Note(_)));
        assert!(matches!(refused(&bad), BadAnswer::Note(_)));
        assert!(matches!(refused(""), BadAnswer::Note(_)));
        assert!(matches!(refused("hello\n"), BadAnswer::Note(_)));
        assert!(matches!(refused(good.trim_end()), BadAnswer::Note(_)));
        assert!(matches!(refused(&format!("more text\n\n{good}")), BadAnswer::Note(_)));
        assert!(matches!(refused(&format!("\n{good}")), BadAnswer::Note(_)));
        assert!(matches!(refused(&line(&ed, &head, 0)), BadAnswer::NoTime));
        // The key of a witness that was not asked here, and a wrong name.
        let elsewhere = cosignatures(&target, &policy, &[1], good.as_bytes()).unwrap_err();
        assert!(matches!(elsewhere, BadAnswer::NoCosignature));
        let renamed = good.replace("w.example", "v.example");
        assert!(matches!(refused(&renamed), BadAnswer::NoCosignature));
    }
}
