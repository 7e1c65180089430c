//! Verified reads of an honest log, and every lie refused; trusted checkpoints; evidence.

use formats::{Contradiction, Evidence, SignedCheckpoint, VerifiedCheckpoint};
use log_client::{
    Client,
    trusted::{Advance, LogKey, TrustedError, TrustedStore},
    verified::{ReadError, TailEvent, VerifiedLog},
    verify::{self, CheckpointVerifier as _, VerifiedCheckpoints},
};

use crate::fake::{
    Fake, Lie, build, index, leaves, note, note_of, numbered, policy, shown, size, trust,
};

async fn open(client: &Client, store: &TrustedStore) -> Result<VerifiedLog, ReadError> {
    VerifiedLog::open(client.clone(), "default", trust(), store.clone()).await
}

fn store() -> (tempfile::TempDir, TrustedStore) {
    let folder = tempfile::tempdir().unwrap();
    let store = TrustedStore::open(folder.path().join("state")).unwrap();
    (folder, store)
}

fn log_key() -> LogKey {
    let signed = SignedCheckpoint::parse(&note(&[])).unwrap();
    LogKey::of(&trust(), signed.origin()).unwrap()
}

#[tokio::test]
async fn an_honest_log_is_read_as_it_grows() {
    let (_folder, store) = store();
    let (fake, client) = Fake::start(numbered(0..7)).await;
    let log = open(&client, &store).await.unwrap();
    let entry = log.entry(index(3)).await.unwrap();
    assert_eq!(entry.data, "entry 3");
    let proof = entry.tlog_proof().unwrap();
    verify::receipt(&proof, b"entry 3", &trust()).unwrap();
    verify::receipt(&proof, b"entry 4", &trust()).unwrap_err();

    fake.state().entries = numbered(0..20);
    let mut ranges = log.entries(index(5), None).await.unwrap();
    let mut read = Vec::new();
    while let Some(range) = ranges.next().await.unwrap() {
        read.extend(range.entries);
    }
    assert_eq!(read, numbered(5..20));
    assert_eq!(log.trusted().size(), size(20));
    // On disk only after an update; then a new process starts from there.
    let stored = || store.current(&log_key(), &trust()).unwrap().unwrap().size();
    assert_eq!(stored(), size(7));
    log.update().await.unwrap();
    assert_eq!(stored(), size(20));
}

#[tokio::test]
async fn every_lie_about_an_entry_is_refused() {
    for lie in [Lie::WrongProof, Lie::WrongIndex, Lie::WrongEntry, Lie::OtherRoot] {
        let (_folder, store) = store();
        let (fake, client) = Fake::start(numbered(0..9)).await;
        let log = open(&client, &store).await.unwrap();
        log.entry(index(4)).await.unwrap();
        fake.state().lie = lie;
        log.entry(index(4)).await.expect_err("a lie");
        fake.state().lie = Lie::None;
        log.entry(index(4)).await.unwrap();
    }
}

#[tokio::test]
async fn a_checkpoint_that_is_not_proven_to_continue_is_refused_and_nothing_moves() {
    for lie in [Lie::WrongProof, Lie::NoConsistency] {
        let (_folder, store) = store();
        let (fake, client) = Fake::start(numbered(0..6)).await;
        let log = open(&client, &store).await.unwrap();
        fake.state().entries = numbered(0..11);
        fake.state().lie = lie;
        let error = log.update().await.unwrap_err();
        assert!(!matches!(error, ReadError::Fork(_)), "a bad proof is no evidence: {error}");
        assert_eq!(log.trusted().size(), size(6));
        fake.state().lie = Lie::None;
        assert_eq!(log.update().await.unwrap().size(), size(11));
    }
}

#[tokio::test]
async fn a_log_that_shrinks_is_refused_unless_the_smaller_tree_is_proven_older() {
    let (_folder, store) = store();
    let (fake, client) = Fake::start(numbered(0..12)).await;
    open(&client, &store).await.unwrap();
    fake.state().entries = numbered(0..8);
    let error = open(&client, &store).await.unwrap_err();
    assert!(matches!(error, ReadError::Client(_)), "no proof beyond what it has: {error}");
    fake.state().entries = numbered(0..12);
    open(&client, &store).await.unwrap();
}

#[tokio::test]
async fn a_fork_gives_evidence_that_anyone_can_check() {
    // Of one size, and of two: with a power of two, where the proof starts from the old root itself.
    for (before, after) in [(7, 7), (6, 11), (8, 9), (1, 5)] {
        let (folder, store) = store();
        let (fake, client) = Fake::start(numbered(0..before)).await;
        let log = open(&client, &store).await.unwrap();
        fake.state().entries = numbered(1000..1000 + after);
        let Err(ReadError::Fork(fork)) = log.update().await else { panic!("two histories") };
        assert_eq!(shown(&fork) == Contradiction::TwoRoots, before == after);
        assert_eq!((fork.smaller().size(), fork.larger().size()), (size(before), size(after)));

        let file = fork.write_file(&folder.path().join("evidence")).unwrap();
        let evidence = Evidence::parse(&std::fs::read(file).unwrap()).unwrap();
        let heads = [numbered(0..before), numbered(1000..1000 + after)];
        let notes = heads.map(|leaves| note(&crate::fake::leaves(&leaves)));
        for found in [evidence.first(), evidence.second().unwrap()] {
            assert!(notes.contains(&found.as_bytes().to_vec()), "the notes as they came");
        }
        // The trusted checkpoint stayed.
        assert_eq!(log.trusted().size(), size(before));
        assert!(matches!(open(&client, &store).await, Err(ReadError::Fork(_))));
    }
}

#[tokio::test]
async fn a_tail_hands_on_every_entry_once_and_only_what_is_covered() {
    let (_folder, store) = store();
    let (fake, client) = Fake::start(numbered(0..5)).await;
    let log = open(&client, &store).await.unwrap();
    let mut tail = log.tail(Some(index(2)));
    let mut read = Vec::new();
    let mut heads = Vec::new();
    while heads.last() != Some(&9) {
        match tail.next().await.unwrap() {
            TailEvent::Entries { first, entries } => {
                assert_eq!(first.get(), 2 + u64::try_from(read.len()).unwrap());
                read.extend(entries);
            }
            TailEvent::Checkpoint(head) => {
                heads.push(head.size().get());
                fake.state().entries = numbered(0..9);
            }
        }
    }
    assert_eq!(read, numbered(2..9));
    assert_eq!(log.trusted().size(), size(9));
}

#[tokio::test]
async fn a_tail_refuses_entries_that_the_checkpoint_does_not_cover() {
    for lie in [Lie::WrongEntry, Lie::WrongIndex, Lie::OtherRoot, Lie::WrongProof] {
        let (_folder, store) = store();
        let (fake, client) = Fake::start(numbered(0..5)).await;
        let log = open(&client, &store).await.unwrap();
        let mut tail = log.tail(None);
        while !matches!(tail.next().await.unwrap(), TailEvent::Checkpoint(_)) {}
        fake.state().entries = numbered(0..9);
        fake.state().lie = lie;
        tail.next().await.expect_err("a lie");
        assert_eq!(tail.position(), 5, "{lie:?}");
    }
}

#[test]
fn a_trusted_checkpoint_moves_only_forward_and_only_by_proof() {
    let (_folder, store) = store();
    let all = leaves(&numbered(0..20));
    let at = |size: usize| trust().verify_note(&note(&all[..size])).unwrap();
    let proof =
        |from: u64, to: u64| build(&merkle::plan_consistency(size(from), size(to)).unwrap(), &all);
    let advance = |head: &VerifiedCheckpoint, proof: &[merkle::Hash]| {
        store.advance(&log_key(), &trust(), head, proof)
    };
    assert_eq!(advance(&at(5), &[]).unwrap(), Advance::First);
    assert_eq!(advance(&at(13), &proof(5, 13)).unwrap(), Advance::Moved { from: size(5) });
    assert_eq!(advance(&at(13), &[]).unwrap(), Advance::Unchanged);
    assert_eq!(advance(&at(6), &proof(6, 13)).unwrap(), Advance::Older);
    for wrong in [vec![], proof(5, 20), [proof(13, 20), vec![all[0]]].concat()] {
        assert!(matches!(advance(&at(20), &wrong), Err(TrustedError::Unproven { .. })));
    }
    let fork = trust().verify_note(&note_of(size(13), all[0])).unwrap();
    assert!(matches!(advance(&fork, &[]), Err(TrustedError::Fork(_))));
    let kept = store.current(&log_key(), &trust()).unwrap().unwrap();
    assert_eq!(kept.as_bytes(), at(13).as_bytes());
}

#[test]
fn an_empty_tree_with_another_root_is_evidence_by_itself() {
    let (_folder, store) = store();
    let head = trust().verify_note(&note_of(size(0), leaves(&numbered(0..1))[0])).unwrap();
    let error = store.advance(&log_key(), &trust(), &head, &[]).unwrap_err();
    let TrustedError::Fork(fork) = error else { panic!("evidence") };
    assert_eq!(shown(&fork), Contradiction::EmptyRoot);
}

#[test]
fn a_changed_file_is_not_trusted() {
    let (_folder, store) = store();
    let head = trust().verify_note(&note(&leaves(&numbered(0..3)))).unwrap();
    store.advance(&log_key(), &trust(), &head, &[]).unwrap();
    let path = store.path(&log_key());
    let good = std::fs::read(&path).unwrap();
    for position in 0..good.len() {
        let mut bad = good.clone();
        bad[position] ^= 1;
        std::fs::write(&path, &bad).unwrap();
        assert!(store.current(&log_key(), &trust()).is_err(), "byte {position}");
    }
}

#[test]
fn remembered_checkpoints_are_believed_byte_for_byte_and_forgotten_in_order() {
    let remembered = VerifiedCheckpoints::new(trust(), std::num::NonZeroUsize::new(2).unwrap());
    let all = leaves(&numbered(0..3));
    let notes = [note(&all[..1]), note(&all[..2]), note(&all)];
    for good in &notes {
        remembered.verify_note(good).unwrap();
        remembered.verify_note(good).unwrap();
    }
    assert_eq!(remembered.len(), 2);
    let mut bad = notes[2].clone();
    let last = bad.len() - 3;
    bad[last] = if bad[last] == b'A' { b'B' } else { b'A' };
    remembered.verify_note(&bad).unwrap_err();
    assert_eq!(remembered.len(), 2);
}

#[tokio::test]
async fn a_policy_believes_what_its_quorum_cosigned_and_nothing_beyond() {
    let (folder, store) = store();
    let (fake, client) = Fake::start(numbered(0..20)).await;
    let open = || VerifiedLog::open(client.clone(), "default", policy(), store.clone());
    let refused = open().await.unwrap_err();
    assert!(matches!(refused, ReadError::Unverified { call: "GetCheckpoint", .. }), "{refused}");

    fake.state().cosigned = Some(13);
    let log = open().await.unwrap();
    assert_eq!(log.trusted().size(), size(13));
    let entry = log.entry(index(12)).await.unwrap();
    verify::receipt(&entry.tlog_proof().unwrap(), b"entry 12", &policy()).unwrap();
    let beyond = log.entry(index(13)).await.unwrap_err();
    assert!(matches!(beyond, ReadError::BeyondSize { .. }), "{beyond}");
    let mut ranges = log.entries(index(5), None).await.unwrap();
    let mut read = Vec::new();
    while let Some(range) = ranges.next().await.unwrap() {
        assert_eq!(range.checkpoint.size(), size(13));
        read.extend(range.entries);
    }
    assert_eq!(read, numbered(5..13));

    // The witness cosigns more, and the same call sees it; a lie is refused as ever.
    fake.state().cosigned = Some(17);
    assert_eq!(log.entry(index(16)).await.unwrap().data, "entry 16");
    fake.state().lie = Lie::WrongEntry;
    let lied = log.entry(index(3)).await.unwrap_err();
    assert!(matches!(lied, ReadError::Unverified { .. }), "{lied}");
    // What a key alone believes, the policy does not: it stays where the quorum was.
    fake.state().lie = Lie::None;
    fake.state().cosigned = None;
    log.update().await.unwrap_err();
    assert_eq!(open().await.unwrap_err().to_string(), refused.to_string());
    drop(folder);
}
