//! The worked examples of the specifications, verbatim: c2sp.org/signed-note@v1.0.0,
//! tlog-checkpoint@v1.0.0, and tlog-cosignature, tlog-proof and tlog-witness as of November 2026.

use formats::key::KeyKind;
use formats::note::parse_signature_lines;
use formats::{AddCheckpoint, NoteError, SignedCheckpoint, TlogProof, UnverifiedNote, VerifierKey};

const NOTE_VKEY: &str = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";

const NOTE: &str = "\
This is an example message.

— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=
";

const POEM: &str = "\
Ognuno sta solo sul cuor della terra
trafitto da un raggio di sole:

ed è subito sera.

— quasimodo.example/salvatore NnugSzTjtVAewIS+Z/iJhUPeFDkO/5QQ2i5ddnGITLlC+EhfLW9oJKONrMouFSQU0xMcXxj99ihAQwaqP3ZekRwNtIc=
";

const CHECKPOINT: &str = "\
example.com/behind-the-sofa
20852163
CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=

— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=
";

const COSIGNED: &str = "\
example.com/behind-the-sofa
20852163
CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=

— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=
— witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==
";

const ADD_CHECKPOINT: &str = "\
old 20852014
PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=
jrJZDmY8Y7SyJE0MWLpLozkIVMSMZcD5kvuKxPC3swk=
5+pKlUdi2LeF/BcMHBn+Ku6yhPGNCswZZD1X/6QgPd8=
/6WVhPs2CwSsb5rYBH5cjHV/wSmA79abXAwhXw3Kj/0=

example.com/behind-the-sofa
20852163
CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=

— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=
— example.com/behind-the-sofa opLqBQsREYCgu6xQkYQwJr9fo45a62DN9EdmHXnZdXNqlcVGlCum2Wks+49/V6267UEjw6QUXTS5Rovnzv++qbSzm9Q=
";

const WITNESS_ANSWER: &str = "\
— witness.example/w1 CMp+6LWBU0anHGH5aNDTJkH/gj79sG+T6+iP2ThYN5krrDJbR1HDnucjL39QsZTSvVjyQLrdk3DXDqI5G2HgLatVs0pWh6Up69HVOw==
— witness.example/w1 I7rEps0pvK2UqkS2gSpVUDhrhVtQV9lgF6pRrWAvjJHjyWpW7VcE3SiOlVlbQNt64vWhO+DlkL0+UfzuOBMh9ChdMkP1vi/lCAsmlw==
— witness.example/w2 AWui8Sk55XjYLOijihBjhqEH6nS1ndDymE0a+6idX7pLcnoB+dhnz0854aLZgrrKbYKA7nC3HNJhm/kWl7oJlqU3rXXvpysAdyP3wQ==
";

#[test]
fn the_example_key_verifies_the_example_note() {
    let key = VerifierKey::parse(NOTE_VKEY).unwrap();
    assert_eq!((key.name().as_str(), key.id()), ("example.com/foo", 0x530d_903a));
    assert_eq!(key.kind(), KeyKind::Ed25519);
    assert_eq!(key.to_string(), NOTE_VKEY);

    let note = UnverifiedNote::parse(NOTE.as_bytes()).unwrap();
    let verified = note.verify(std::slice::from_ref(&key)).unwrap();
    assert_eq!(verified.text(), "This is an example message.\n");
    assert_eq!(verified.signatures()[0].key(), &key);
    assert_eq!(verified.signatures()[0].time(), None);

    let altered = NOTE.replace("example message", "Example message");
    let note = UnverifiedNote::parse(altered.as_bytes()).unwrap();
    let refused = note.verify(std::slice::from_ref(&key));
    assert_eq!(refused, Err(NoteError::BadSignature { name: key.name().clone(), id: key.id() }));
}

#[test]
fn the_text_ends_at_the_last_empty_line() {
    let note = UnverifiedNote::parse(POEM.as_bytes()).unwrap();
    assert!(note.text().ends_with("sole:\n\ned è subito sera.\n"));
    let signature = note.signatures().next().unwrap();
    assert_eq!(signature.name, "quasimodo.example/salvatore");
    assert_eq!(signature.signature.len(), KeyKind::Ed25519.signature_len());
    assert_eq!(note.as_bytes(), POEM.as_bytes());
}

#[test]
fn the_example_checkpoint_has_its_fields() {
    let signed = SignedCheckpoint::parse(CHECKPOINT.as_bytes()).unwrap();
    assert_eq!(signed.origin().as_str(), "example.com/behind-the-sofa");
    assert_eq!(signed.size().get(), 20_852_163);
    let root = "0ac5186a91863e8e1d90c808014aa89bf5da8e3ee1d9f07630f0378f68f1ab62";
    assert_eq!(signed.root().to_string(), root);
    assert!(CHECKPOINT.starts_with(&format!("{}\n", signed.checkpoint())));
}

#[test]
fn the_example_cosignature_has_the_example_time() {
    let signed = SignedCheckpoint::parse(COSIGNED.as_bytes()).unwrap();
    let cosignature = signed.signatures().nth(1).unwrap();
    assert_eq!(cosignature.signature.len(), KeyKind::CosignatureEd25519.signature_len());
    let (time, _) = cosignature.signature.split_first_chunk::<8>().unwrap();
    assert_eq!(u64::from_be_bytes(*time), 1_679_315_147);
}

#[test]
fn the_example_request_is_read_and_written() {
    let request = AddCheckpoint::parse(ADD_CHECKPOINT.as_bytes()).unwrap();
    assert_eq!(request.old().get(), 20_852_014);
    assert_eq!(request.proof().len(), 4);
    assert_eq!(request.checkpoint().signatures().len(), 2);
    assert_eq!(request.format(), ADD_CHECKPOINT.as_bytes());
}

#[test]
fn the_example_answer_is_three_cosignatures() {
    let lines = parse_signature_lines(WITNESS_ANSWER.as_bytes()).unwrap();
    assert_eq!(lines.len(), 3);
    for line in &lines {
        assert_eq!(line.signature().len(), KeyKind::CosignatureEd25519.signature_len());
    }
    let mut written = String::new();
    for line in &lines {
        line.push_to(&mut written);
    }
    assert_eq!(written, WITNESS_ANSWER);

    let answered = SignedCheckpoint::parse(CHECKPOINT.as_bytes()).unwrap();
    let merged = answered.with_signature_lines(WITNESS_ANSWER.as_bytes()).unwrap();
    assert_eq!(merged.as_bytes(), [CHECKPOINT, WITNESS_ANSWER].concat().as_bytes());
}

/// The specification elides its checkpoint's signatures; those of another example stand in.
#[test]
fn the_example_proof_is_read_and_written() {
    let proof = format!(
        "c2sp.org/tlog-proof@v1
index 73894
gSKyXoYZUgZ6jduWYrkDOARinOMGJveXjgMkBTcdPlQ=
B95lDa8R83lS8n0eG+o0buTxRKQTYFi//1U8anccXmA=
EKNzoDWG8LGC0Yp9o+sv3qllpMP9uHQ9B20KNL+Q1zs=
RoopEkOdqkYqMB4MJXrbt/hMjOxsVn0IrWjpz1ZMMes=
AHCioX9nLjsrse6YhjRRmk1WUEirVOLLRoOQ6vfO5vk=

{CHECKPOINT}"
    );
    let parsed = TlogProof::parse(proof.as_bytes()).unwrap();
    assert_eq!(parsed.index().get(), 73_894);
    assert_eq!(parsed.hashes().len(), 5);
    assert_eq!(parsed.extra(), None);
    assert_eq!(parsed.format(), proof.as_bytes());

    let extra = "\nextra YWdlLXYxLjIuMS1kYXJ3aW4tYXJtNjQudGFyLmd6kYXJ3aW4tYXJ\nindex";
    let proof = proof.replace("\nindex", extra);
    let parsed = TlogProof::parse(proof.as_bytes()).unwrap();
    assert!(parsed.extra().unwrap().starts_with(b"age-v1.2.1-darwin-arm64.tar.gz"));
    assert_eq!(parsed.format(), proof.as_bytes());
}
