use std::os::unix::fs::PermissionsExt as _;
use std::task::{Context, Poll};

use base::keys::KeysError;
use merkle::Hash;

use super::*;

#[tokio::test]
async fn the_kind_of_a_log_outlives_the_process_and_decides_what_it_takes() {
    let mut rig = Rig::new();
    let registry = rig.open().unwrap();
    let audit = CreateLog::new("trail", LogKind::Audit);
    let both = CreateLog { deduplicate_entries: true, ..audit.clone() };
    let refused = registry.create(both).await;
    assert!(matches!(refused, Err(CreateError::AuditDeduplicates)), "{refused:?}");
    registry.create(audit).await.unwrap();
    registry.create(new_log("plain")).await.unwrap();
    rig.kill(registry).await;
    let registry = rig.open().unwrap();
    let kind = |name| registry.log(name).unwrap().record().kind;
    assert_eq!([kind("trail"), kind("plain")], [LogKind::Audit, LogKind::Plain]);
    let trail = registry.log("trail").unwrap();
    assert!(matches!(trail.append(numbered(0, 1)).await, Err(AppendError::EventsOnly)));
    let opened = trail.open_producer(ProducerId([1; 16])).await;
    assert!(matches!(opened, Err(AppendError::EventsOnly)), "{opened:?}");
    assert_eq!(trail.tree().head.size, TreeSize::ZERO);
    registry.log("plain").unwrap().append(numbered(0, 1)).await.unwrap();
}
use storage::journal::{Journal, JournalHead, origin_hash};
use storage::testing::{Planner, entries};
use storage::{CommitOutcome, LogCommit};

/// A started and killed server with `count` entries in its log.
async fn killed_with(count: u64) -> Rig {
    let mut rig = Rig::new();
    let (registry, log) = rig.start().await;
    if count > 0 {
        log.append(numbered(0, count)).await.unwrap();
        log.sign_covering(size(count)).await.unwrap();
    }
    drop(log);
    rig.kill(registry).await;
    rig
}

fn refusal(rig: &Rig) -> StartError {
    rig.open().map(|_| ()).unwrap_err()
}

/// Adds a head to the journal of a stopped server.
fn journal_more(rig: &Rig, change: impl FnOnce(&mut JournalHead)) {
    let mut journal = Journal::open(&rig.dir.path().join("heads")).unwrap();
    let mut head = *journal.heads().values().next().unwrap();
    change(&mut head);
    journal.append(&[head]).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_finds_everything() {
    for count in [0, 1, 255, 256, 257, 700] {
        let rig = killed_with(count).await;
        let registry = rig.open().unwrap();
        let log = registry.log("default").unwrap();
        assert_eq!(log.tree().head.size, size(count));
        assert_eq!(log.signed().size(), size(count));
        assert_eq!(log.vkeys().len(), 2);
        let committed = log.append(numbered(count, 1)).await.unwrap();
        assert_eq!(indexes(&committed), [Some((count, false))]);
        registry.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_journal_ahead_of_the_store_or_with_another_root_refuses() {
    let rig = killed_with(3).await;
    journal_more(&rig, |head| head.root = Hash::from([9; 32]));
    assert!(matches!(refusal(&rig), StartError::JournalFork { .. }));

    let rig = killed_with(300).await;
    let older = |head: &mut JournalHead| (head.size, head.root) = (size(2), Hash::from([9; 32]));
    journal_more(&rig, older);
    assert!(matches!(refusal(&rig), StartError::JournalFork { .. }));

    let mut rig = killed_with(3).await;
    journal_more(&rig, |head| head.size = size(4));
    let error = refusal(&rig);
    assert!(matches!(error, StartError::JournalAhead { .. }), "{error}");
    rig.read_only = true;
    let registry = rig.open().unwrap();
    let log = registry.log("default").unwrap();
    assert_eq!(log.tree().head.size, size(3));
    assert!(matches!(log.append(numbered(0, 1)).await, Err(AppendError::ReadOnly)));
    assert_eq!(log.sign_covering(size(3)).await.unwrap_err(), SignError::ReadOnly);
    assert!(!log.signed().note.is_empty());
    registry.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_journal_behind_the_store_is_normal() {
    let mut rig = Rig::new();
    rig.limits.publish_interval_min = Duration::from_hours(1);
    let (registry, log) = rig.start().await;
    log.append(numbered(0, 700)).await.unwrap();
    log.sign_covering(size(700)).await.unwrap();
    log.append(numbered(700, 900)).await.unwrap();
    drop(log);
    rig.kill(registry).await;
    let registry = rig.open().unwrap();
    assert_eq!(registry.log("default").unwrap().signed().size(), size(1_600));
    registry.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_lost_is_noticed() {
    let mut rig = killed_with(3).await;
    std::fs::remove_dir_all(rig.dir.path().join("heads")).unwrap();
    assert!(matches!(refusal(&rig), StartError::JournalMissing { .. }));
    rig.adopt_journal = true;
    let registry = rig.open().unwrap();
    registry.shutdown().await;

    let mut rig = killed_with(3).await;
    let fresh = Rig::new();
    rig.engine = Arc::clone(&fresh.engine);
    assert!(matches!(refusal(&rig), StartError::JournalWithoutStore { .. }));
    std::fs::remove_dir_all(rig.dir.path().join("heads")).unwrap();
    assert!(matches!(refusal(&rig), StartError::KeysWithoutStore { .. }));
    std::fs::remove_dir_all(rig.dir.path().join("keys")).unwrap();
    rig.open().unwrap().shutdown().await;

    let rig = killed_with(3).await;
    journal_more(&rig, |head| head.origin_hash = origin_hash("another.example/log"));
    assert!(matches!(refusal(&rig), StartError::UnknownOrigin { .. }));
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_are_missing_wrong_or_readable_by_others_refuse() {
    let rig = killed_with(3).await;
    let key = rig.dir.path().join("keys/default");
    assert_eq!(std::fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    let error = refusal(&rig);
    assert!(
        matches!(
            error,
            StartError::Keyring(KeyringError::Keys(KeysError::Readable { mode: 0o644, .. }))
        ),
        "{error}"
    );
    let other = Rig::new();
    let (registry, _) = other.start().await;
    registry.shutdown().await;
    std::fs::copy(other.dir.path().join("keys/default"), &key).unwrap();
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
    let error = refusal(&rig);
    assert!(matches!(error, StartError::Keyring(KeyringError::WrongName { .. })), "{error}");
    std::fs::remove_file(&key).unwrap();
    let error = refusal(&rig);
    assert!(matches!(error, StartError::Keyring(KeyringError::Missing { .. })), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_creation_that_was_cut_short_goes_on() {
    let rig = killed_with(0).await;
    std::fs::remove_dir_all(rig.dir.path().join("keys")).unwrap();
    let registry = rig.open().unwrap();
    let log = registry.log("default").unwrap();
    log.append(numbered(0, 1)).await.unwrap();
    let again = registry.create(new_log("default")).await;
    assert!(matches!(again, Err(CreateError::NameTaken { .. })));
    registry.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_origin_is_never_used_twice() {
    let rig = Rig::new();
    let registry = rig.open().unwrap();
    let named =
        |name: &str| CreateLog { origin: Some("example.com/a".to_owned()), ..new_log(name) };
    assert_eq!(registry.create(named("a")).await.unwrap().origin().as_str(), "example.com/a");
    let taken = registry.create(named("b")).await;
    assert!(matches!(taken, Err(CreateError::OriginTaken { .. })));
    for origin in ["", "a b", "a+b", "a\nb"] {
        let bad = CreateLog { origin: Some(origin.to_owned()), ..new_log("c") };
        assert!(matches!(registry.create(bad).await, Err(CreateError::BadOrigin { .. })));
    }
    let bad = registry.create(new_log("Bad")).await;
    assert!(matches!(bad, Err(CreateError::BadName { .. })));
    assert_eq!(registry.list(None, 9).len(), 1);
    registry.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_name_or_origin_is_repeated_in_part_only() {
    let rig = Rig::new();
    let registry = rig.open().unwrap();
    let long = "\n".repeat(1 << 20);
    let name = registry.create(new_log(&long)).await.unwrap_err();
    assert!(name.to_string().len() < 400, "{name}");
    let origin = CreateLog { origin: Some(long), ..new_log("a") };
    let origin = registry.create(origin).await.unwrap_err();
    assert!(origin.to_string().len() < 400, "{origin}");
    registry.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_creation_whose_caller_gives_up_goes_on() {
    let rig = Rig::new();
    let registry = rig.open().unwrap();
    for polls in 1..4 {
        let name = format!("log-{polls}");
        let mut creation = Box::pin(registry.create(new_log(&name)));
        for _ in 0..polls {
            let once = |cx: &mut Context<'_>| {
                let _unfinished = creation.as_mut().poll(cx);
                Poll::Ready(())
            };
            std::future::poll_fn(once).await;
            tokio::task::yield_now().await;
        }
        drop(creation);
        let there = async {
            while registry.log(&name).is_none() {
                tokio::task::yield_now().await;
            }
        };
        let there = tokio::time::timeout(Duration::from_mins(1), there).await;
        assert!(there.is_ok(), "the name is taken and there is no log");
    }
    registry.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retired_log_signs_nothing_and_serves_what_was_archived() {
    let rig = killed_with(3).await;
    let record = rig.engine.logs().unwrap().remove(0);
    let mut journal = Journal::open(&rig.dir.path().join("heads")).unwrap();
    journal.retire(record.origin.as_str()).unwrap();
    drop(journal);
    let registry = rig.open().unwrap();
    let log = registry.log("default").unwrap();
    assert_eq!(log.state(), LogState::Retired);
    assert!(matches!(log.append(numbered(3, 1)).await, Err(AppendError::Retired)));
    assert_eq!(log.signed().note, log.published().note);
    registry.shutdown().await;
}

/// Plans a log of `count` entries, lets a test spoil the commit, and opens it.
fn open_spoiled(count: u64, spoil: impl FnOnce(&mut LogCommit)) -> StartError {
    let rig = Rig { adopt_journal: true, ..Rig::new() };
    let mut planner = Planner::new(1);
    let create = planner.create();
    let mut append = planner.append(entries(0, count));
    spoil(&mut append);
    for commit in [create, append] {
        assert!(matches!(rig.engine.commit(&[commit]), CommitOutcome::Committed));
    }
    refusal(&rig)
}

#[tokio::test]
async fn damage_refuses_and_is_named() {
    type Spoil = fn(&mut LogCommit);
    let cases: [(Spoil, Damage); 4] = [
        (|commit| commit.new.root = Hash::from([9; 32]), Damage::Head { size: 700 }),
        (|commit| commit.tiles[1].1[77] = Hash::from([9; 32]), Damage::Tile { level: 0, index: 1 }),
        (
            |commit| commit.entries[300].data = Bytes::from_static(b"edited"),
            // Only the right edge is re-hashed at start; fsck reads the rest.
            Damage::Head { size: 0 },
        ),
        (
            |commit| commit.entries[699].data = Bytes::from_static(b"edited"),
            Damage::Head { size: 700 },
        ),
    ];
    for (spoil, expected) in cases {
        match open_spoiled(700, spoil) {
            StartError::Damaged { what, .. } => assert_eq!(what, expected),
            // The log itself is fine at start, but has no keys.
            StartError::Keyring(KeyringError::Missing { .. }) => {
                assert_eq!(expected, Damage::Head { size: 0 });
            }
            other => panic!("{other}"),
        }
    }
}

/// The heads of all logs are journaled in one group at start.
#[tokio::test]
async fn logs_max_ends_where_the_journal_does() {
    let mut rig = Rig::new();
    rig.limits.logs_max = storage::journal::HEADS_MAX + 1;
    assert!(matches!(refusal(&rig), StartError::LogsMaxTooHigh { found: 16_385, max: 16_384 }));
    rig.limits.logs_max -= 1;
    rig.open().unwrap().shutdown().await;
}

#[test]
fn limits_below_a_call_refuse() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let _inside = runtime.enter();
    let mut rig = Rig::new();
    rig.limits.batch_entries_max = CALL_ENTRIES_MAX - 1;
    let error = refusal(&rig).to_string();
    assert_eq!(
        error,
        "batch_entries_max is 9999, it must be at least 10000, as a call is never split"
    );
}
