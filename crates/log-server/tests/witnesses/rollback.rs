//! A restored backup, journal and all, that only the witnesses can recognise.

use super::*;

/// Two witnessed entries, a copy of everything, and two more.
async fn rolled_back(site: &Site) {
    let mut running = site.start().await;
    running.witnessed("one").await;
    running.witnessed("two").await;
    running.stop().await;
    site.settled().await;
    let copy_dir = site.dir.path().join("copy");
    copy(&site.data(), &copy_dir);
    let mut running = site.start().await;
    running.witnessed("three").await;
    running.witnessed("four").await;
    running.stop().await;
    site.settled().await;
    std::fs::rename(site.data(), site.dir.path().join("newest")).unwrap();
    copy(&copy_dir, &site.data());
}

fn refused(result: Result<Running, StartError>) -> String {
    result.err().expect("a rolled back log does not start").to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_backup_is_refused_and_the_evidence_kept() {
    let witnesses = three().await;
    let mut site = Site::new(&policy(&witnesses, 2));
    rolled_back(&site).await;
    // One of three is enough to know.
    witnesses[1].set(Mode::Down);
    witnesses[2].set(Mode::Down);
    let refusal = refused(site.try_start().await);
    for word in ["w1-ed", "size 4", "size 2", "restore", "retire", "--read-only", "evidence"] {
        assert!(refusal.contains(word), "{word}: {refusal}");
    }
    let evidence = site.data().join("evidence/default.w1-ed.checkpoint");
    let note = SignedCheckpoint::parse(&std::fs::read(&evidence).unwrap()).unwrap();
    assert_eq!(note.size().get(), 4);

    // No word against a signed checkpoint.
    site.distrusted = vec!["w1-ed".to_owned()];
    refused(site.try_start().await);
    let accepting = Site { dir: site.dir, settings: site.settings, distrusted: Vec::new() }
        .set("accept_unwitnessed_start", "true");
    refused(accepting.try_start().await);

    // Read-only it is served, and the newest data starts.
    let site = accepting.set("read_only", "true");
    let mut running = site.start().await;
    assert_eq!(running.log().await.tree_size, 2);
    running.stop().await;
    site.settled().await;
    std::fs::remove_dir_all(site.data()).unwrap();
    std::fs::rename(site.dir.path().join("newest"), site.data()).unwrap();
    let site = site.set("read_only", "false");
    for witness in &witnesses {
        witness.set(Mode::Honest);
    }
    let mut running = site.start().await;
    running.witnessed("five").await;
    running.stop().await;
}

/// A checkpoint of this size that the log's own key has signed, over another tree.
fn contradicting(site: &Site, leaves: u64) -> Bytes {
    let keys = std::fs::read_to_string(site.data().join("keys/default")).unwrap();
    let keys = formats::KeyFile::parse(&keys).unwrap();
    let leaves = merkle::TreeSize::new(leaves).unwrap();
    let root = merkle::Hash::from([7; 32]);
    let head = formats::Checkpoint::new(keys.name().clone().into(), leaves, root);
    let key: &dyn formats::Signer = &keys.keys()[0];
    formats::sign(&head, &[key], formats::Timestamp::ZERO).unwrap().into()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_contradiction_is_kept_as_evidence_that_anyone_can_check() {
    let witness = [Witness::start("w1").await];
    let site = Site::new(&policy(&witness, 1));
    let mut running = site.start().await;
    for entry in ["one", "two", "three", "four", "five"] {
        running.witnessed(entry).await;
    }
    running.stop().await;
    let vkeys = std::fs::read_to_string(site.data().join("keys/default.vkey")).unwrap();
    let keys = formats::key::parse_vkeys(&vkeys).unwrap();
    let kept = |ending: &str| site.data().join(format!("evidence/default.w1-ed.{ending}"));
    for size in [5, 4, 3, 2, 1] {
        let note = contradicting(&site, size);
        witness[0].with(|state| {
            state.size = merkle::TreeSize::new(size).unwrap();
            state.note = Some(note.clone());
        });
        let refusal = refused(site.try_start().await);
        assert!(refusal.contains("default.w1-ed.evidence"), "{size}: {refusal}");
        let evidence = std::fs::read(kept("evidence")).unwrap();
        let evidence = formats::Evidence::parse(&evidence).unwrap();
        evidence.verify(&keys).unwrap();
        let heads = [Some(evidence.first()), evidence.second()];
        assert!(heads.iter().flatten().any(|head| head.as_bytes() == note), "{size}");
        std::fs::remove_file(kept("evidence")).unwrap();
    }

    // Of a larger tree this log can show nothing.
    let note = contradicting(&site, 9);
    witness[0].with(|state| {
        state.size = merkle::TreeSize::new(9).unwrap();
        state.note = Some(note.clone());
    });
    let refusal = refused(site.try_start().await);
    assert!(refusal.contains("default.w1-ed.checkpoint"), "{refusal}");
    assert_eq!(std::fs::read(kept("checkpoint")).unwrap(), note);
    assert!(!kept("evidence").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bare_number_is_believed_unless_its_witness_is_not() {
    let witnesses = three().await;
    let mut site = Site::new(&policy(&witnesses, 2));
    rolled_back(&site).await;
    for witness in &witnesses {
        witness.with(|state| state.monitoring = false);
    }
    witnesses[1].set(Mode::NotFound);
    witnesses[2].set(Mode::NotFound);
    let refusal = refused(site.try_start().await);
    assert!(refusal.contains("--distrust-witness w1-ed"), "{refusal}");
    assert!(!site.data().join("evidence").exists());

    site.distrusted = vec!["w1-ed".to_owned()];
    let mut running = site.start().await;
    running.append("a", pb::Receipt::Signed, LONG).await.unwrap();
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_enough_answers_a_log_is_only_read() {
    let witnesses = three().await;
    let site = Site::new(&policy(&witnesses, 2));
    let mut running = site.start().await;
    running.witnessed("one").await;
    running.stop().await;

    // The two that are silent could have witnessed what one does not know of.
    witnesses[1].set(Mode::Down);
    witnesses[2].set(Mode::Busy);
    let mut running = site.start().await;
    let refusal = running.append("a", pb::Receipt::Index, LONG).await.unwrap_err();
    assert_eq!(
        (refusal.code(), reason(&refusal)),
        (Code::Unavailable, "WITNESSES_PENDING".to_owned())
    );
    assert!(refusal.get_details_retry_info().is_some());
    assert_eq!(running.log().await.tree_size, 1);
    assert_eq!(running.metric(r#"cairn_log_witnesses_pending{log="default"}"#), 1);
    running.serving(false).await;

    // With two answers the third could not have a quorum by itself.
    witnesses[1].set(Mode::Honest);
    running.serving(true).await;
    running.append("a", pb::Receipt::Index, LONG).await.unwrap();
    running.witnessed("b").await;
    running.stop().await;

    witnesses[1].set(Mode::Down);
    let site = site.set("accept_unwitnessed_start", "true");
    let mut running = site.start().await;
    running.append("c", pb::Receipt::Index, LONG).await.unwrap();
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_witness_that_cannot_say_what_it_holds_has_not_answered() {
    let witnesses = three().await;
    let site = Site::new(&policy(&witnesses, 2));
    rolled_back(&site).await;
    for mode in [Mode::ProxyAlone, Mode::Blind] {
        for witness in &witnesses {
            witness.set(mode);
        }
        let mut running = site.start().await;
        let refusal = running.append("a", pb::Receipt::Index, LONG).await.unwrap_err();
        assert_eq!(reason(&refusal), "WITNESSES_PENDING", "{mode:?}");
        running.stop().await;
    }
    witnesses[0].set(Mode::Honest);
    refused(site.try_start().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_head_found_late_closes_the_log() {
    let witnesses = three().await;
    let site = Site::new(&policy(&witnesses, 2));
    rolled_back(&site).await;
    for witness in &witnesses {
        witness.set(Mode::Down);
    }
    let mut running = site.start().await;
    let refusal = running.append("a", pb::Receipt::Index, LONG).await.unwrap_err();
    assert_eq!(reason(&refusal), "WITNESSES_PENDING");
    witnesses[2].set(Mode::Honest);
    let closed = async {
        loop {
            let refusal = running.append("a", pb::Receipt::Index, LONG).await.unwrap_err();
            if reason(&refusal) == "ROLLED_BACK" {
                return refusal;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let refusal = tokio::time::timeout(LONG, closed).await.unwrap();
    assert_eq!(refusal.code(), Code::FailedPrecondition);
    assert!(site.data().join("evidence/default.w3-ed.checkpoint").exists());
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_set_later_asks_witnesses_that_know_nothing() {
    let witness = [Witness::start("w1").await];
    let mut site = Site::new(&policy(&witness, 1));
    let logs = site.settings.remove(0);
    let mut running = site.start().await;
    running.append("a", pb::Receipt::Signed, LONG).await.unwrap();
    running.stop().await;
    site.settings.push(logs);
    let mut running = site.start().await;
    // What is there already is witnessed without another entry.
    let log = running.server.registry().log("default").unwrap();
    let mut published = log.watch_published();
    drop(published.wait_for(|published| published.witnessed).await.unwrap());
    running.witnessed("b").await;
    running.stop().await;
}
