//! Evidence, the operator's way back, refused notes, and stores that were rolled back.

use log_witness::config::Config;
use log_witness::store::Store;
use log_witness::witness::origin_path;
use log_witness::{fsck, trust};
use merkle::Hash;

use crate::common::{Node, TestLog, config, submission};

fn store(dir: &tempfile::TempDir) -> Store {
    Store::open(&config(dir.path()).store_path(), 1 << 20).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_with_evidence_against_it_is_refused_until_the_operator_says_otherwise() {
    let (log, other) = (TestLog::new("example.com/log"), TestLog::new("example.com/other"));
    let node = Node::start(&[&log, &other]).await;
    node.cosigned(&log, 0, 5).await;
    let path = format!("{}/evidence", origin_path(&log.origin()));
    assert_eq!(node.get(&path).await.status, 404);
    node.server.witness().distrust(&log.origin(), b"the evidence\n".to_vec()).await.unwrap();
    node.server.witness().distrust(&log.origin(), b"more\n".to_vec()).await.unwrap();
    let node = {
        let refused = node.add(log.body(5, 8)).await;
        assert_eq!(refused.status, 403);
        assert!(refused.body.contains(&path), "{refused:?}");
        let conflict = node.add(log.body(4, 8)).await;
        assert_eq!(conflict.status, 403, "before the old size");
        node.restart().await
    };
    assert_eq!(node.add(log.body(5, 8)).await.status, 403, "a restart forgets nothing");
    assert_eq!(node.get(&path).await.body, "the evidence\n", "the first evidence");
    let served = node.held(&log).await.body;
    let subtree = log.subtree(0..4, served.as_bytes());
    let answer = node.call(http::Method::POST, "/sign-subtree", subtree.format()).await;
    assert_eq!(answer.status, 403);
    node.cosigned(&other, 0, 5).await;
    let (dir, clock) = node.stop().await;
    let decision = trust::run(&store(&dir), &log.origin()).unwrap();
    assert!(decision.despite_evidence && decision.forgot_keys);
    let node = Node::start_at(dir, clock).await.unwrap();
    node.cosigned(&log, 5, 8).await;
    assert_eq!(node.get(&path).await.body, "the evidence\n", "it stays served");
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_notes_that_may_be_evidence_are_kept() {
    let log = TestLog::new("example.com/log");
    let node = Node::start(&[&log]).await;
    node.cosigned(&log, 0, 5).await;
    let fork = log.fork();
    assert_eq!(node.add(submission(5, vec![], fork.checkpoint(5))).await.status, 422);
    assert_eq!(node.add(fork.body(3, 7)).await.status, 409);
    assert_eq!(node.add(fork.body(3, 7)).await.status, 409, "kept once");
    assert_eq!(node.add(log.body(3, 5)).await.status, 409, "what was cosigned is not kept");
    let junk = Hash::try_from(&[7; 32][..]).unwrap();
    let probe = submission(0, vec![junk], log.checkpoint(0));
    assert_eq!(node.add(probe).await.status, 409, "a question for the size is not kept");
    let kept = node.server.witness().store().refused(&log.origin()).unwrap();
    let kept: Vec<(u8, u16, &[u8])> =
        kept.iter().map(|(slot, row)| (*slot, row.status, &row.note[..])).collect();
    let (conflict, ahead) = (fork.checkpoint(5), fork.checkpoint(7));
    assert_eq!(kept, [(0, 422, conflict.as_bytes()), (1, 409, ahead.as_bytes())]);
}

#[tokio::test(flavor = "multi_thread")]
async fn our_own_cosignature_brings_back_what_a_rolled_back_store_forgot() {
    let log = TestLog::new("example.com/log");
    let node = Node::start(&[&log]).await;
    node.cosigned(&log, 0, 5).await;
    let (dir, clock) = node.stop().await;
    let (path, copy) = (config(dir.path()).store_path(), dir.path().join("old.redb"));
    std::fs::copy(&path, &copy).unwrap();
    let node = Node::start_at(dir, clock).await.unwrap();
    node.cosigned(&log, 5, 9).await;
    let cosigned = node.held(&log).await.body;
    let (dir, clock) = node.stop().await;
    std::fs::copy(&copy, &path).unwrap();
    let node = Node::start_at(dir, clock).await.unwrap();
    assert!(node.held(&log).await.body.starts_with("example.com/log\n5\n"), "rolled back");
    // Alone it cannot know; shown what it signed, it does, whatever else the submission says.
    let served = formats::SignedCheckpoint::parse(cosigned.as_bytes()).unwrap();
    let shown = node.add(submission(7, vec![], served)).await;
    assert_eq!((shown.status, shown.body.as_str()), (409, "9\n"));
    assert_eq!(node.held(&log).await.body, cosigned);
    assert_eq!(node.add(log.fork().body(5, 7)).await.status, 409);
    node.cosigned(&log, 9, 10).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_have_signed_are_not_used_without_their_store() {
    type Loss = fn(&Config) -> std::io::Result<()>;
    let losses: [Loss; 2] = [
        |config| std::fs::remove_dir_all(config.store_path().parent().unwrap()),
        // Of an empty file the engine would make a new store.
        |config| {
            base::durable::replace(&config.store_path(), b"", 0o600).map_err(std::io::Error::other)
        },
    ];
    for lose in losses {
        let log = TestLog::new("example.com/log");
        let node = Node::start(&[&log]).await;
        node.cosigned(&log, 0, 5).await;
        let (dir, _) = node.stop().await;
        lose(&config(dir.path())).unwrap();
        let Err(error) = Node::start_in(dir).await else { panic!("it must not start") };
        assert!(error.to_string().contains("bring the store back"), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fsck_finds_nothing_in_a_sound_store_and_every_changed_row() {
    let log = TestLog::new("example.com/log").with_ml_dsa();
    let node = Node::start(&[&log]).await;
    node.cosigned(&log, 0, 5).await;
    assert_eq!(node.add(log.fork().body(3, 7)).await.status, 409);
    node.server.witness().distrust(&log.origin(), b"e".to_vec()).await.unwrap();
    let own = node.vkeys();
    let (dir, _) = node.stop().await;
    let report = fsck::run(&mut store(&dir), &own).unwrap();
    assert!(report.is_clean(), "{report:?}");
    let counts = (report.checkpoints, report.keys, report.trust, report.refused);
    assert_eq!(counts, (1, 1, 1, 1));
    let mut text = Vec::new();
    report.write_text(&mut text).unwrap();
    assert_eq!(
        String::from_utf8(text).unwrap(),
        "read 1 checkpoints, 1 sets of keys, 1 decisions of trust, 1 refused notes\nclean\n"
    );

    let path = config(dir.path()).store_path();
    let sound = std::fs::read(&path).unwrap();
    let served = log.checkpoint(5);
    let needle = &served.as_bytes()[..40];
    let places: Vec<usize> =
        (0..sound.len() - 40).filter(|at| &sound[*at..*at + 40] == needle).collect();
    assert!(!places.is_empty());
    let mut changed = sound;
    for at in places {
        changed[at + 20] ^= 1;
    }
    base::durable::replace(&path, &changed, 0o600).unwrap();
    // The engine's own checks may refuse before the rows are read.
    let found = Store::open(&path, 1 << 20).and_then(|mut store| fsck::run(&mut store, &own));
    assert!(!found.is_ok_and(|report| report.is_clean()));
}
