//! The secret of an audit log: without its own the log is read, and takes no events.

use std::fs;
use std::path::PathBuf;

use super::*;

fn leaf() -> Vec<NewLeaf> {
    vec![NewLeaf { leaf: vec![0; 20].into(), once: None, attachments: vec![] }]
}

fn file(rig: &Rig) -> PathBuf {
    rig.dir.path().join("keys/trail.audit")
}

/// A stopped server with an audit log of so many entries, and the log's secret.
async fn stopped(entries: u64) -> (Rig, Vec<u8>) {
    let mut rig = Rig::new();
    let registry = rig.open().unwrap();
    registry.create(new_log("default")).await.unwrap();
    let new = CreateLog::new("trail", LogKind::Audit);
    let log = registry.create(new).await.unwrap();
    for _ in 0..entries {
        log.append_stamped(leaf()).await.unwrap();
    }
    let secret = fs::read(file(&rig)).unwrap();
    assert_eq!(log.secret().unwrap().as_bytes()[..], secret[..]);
    assert!(registry.without_secret().is_empty());
    assert!(registry.log("default").unwrap().secret().is_none());
    drop(log);
    rig.kill(registry).await;
    (rig, secret)
}

/// Opens the logs, appends an event, and stops again.
async fn append(rig: &mut Rig) -> Result<(), AppendError> {
    let registry = rig.open().unwrap();
    let log = registry.log("trail").unwrap();
    let appended = log.append_stamped(leaf()).await.map(drop);
    let named = registry.without_secret().iter().any(|name| name.as_str() == "trail");
    assert_eq!(named, log.secret().is_none());
    assert_eq!(named, matches!(appended, Err(AppendError::AuditSecretMissing)), "{appended:?}");
    registry.log("default").unwrap().append(numbered(0, 1)).await.unwrap();
    drop(log);
    rig.kill(registry).await;
    appended
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_with_events_takes_no_more_until_its_own_secret_is_back() {
    let (mut rig, secret) = stopped(1).await;
    append(&mut rig).await.unwrap();
    let other = [secret[0] ^ 1].into_iter().chain(secret[1..].iter().copied()).collect();
    for wrong in [None, Some(other), Some(vec![1; 31])] {
        fs::remove_file(file(&rig)).ok();
        if let Some(bytes) = &wrong {
            base::durable::replace(&file(&rig), bytes, 0o600).unwrap();
        }
        append(&mut rig).await.unwrap_err();
    }
    base::durable::replace(&file(&rig), &secret, 0o600).unwrap();
    append(&mut rig).await.unwrap();
}

/// A creation that was cut short leaves neither entries nor a secret.
#[tokio::test(flavor = "multi_thread")]
async fn a_log_without_events_gets_a_new_secret() {
    let (mut rig, secret) = stopped(0).await;
    fs::remove_file(file(&rig)).unwrap();
    append(&mut rig).await.unwrap();
    let made = fs::read(file(&rig)).unwrap();
    assert_ne!(made, secret);
    append(&mut rig).await.unwrap();
    assert_eq!(fs::read(file(&rig)).unwrap(), made, "it is made once");
}

/// If we crash between the file and the row, the next start finds another secret than the row says. So
/// does a start on a backup without secrets, where the operator brought one.
#[tokio::test(flavor = "multi_thread")]
async fn a_log_without_events_goes_on_with_the_secret_that_is_there() {
    let (mut rig, _) = stopped(0).await;
    base::durable::replace(&file(&rig), &[5; 32], 0o600).unwrap();
    append(&mut rig).await.unwrap();
    assert_eq!(fs::read(file(&rig)).unwrap(), [5; 32]);
    append(&mut rig).await.unwrap();
    base::durable::replace(&file(&rig), &[6; 32], 0o600).unwrap();
    append(&mut rig).await.unwrap_err();
}

/// Whatever is wrong with the file, all other logs are served.
#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_cannot_be_made_stops_its_own_log_alone() {
    let (mut rig, _) = stopped(0).await;
    fs::remove_file(file(&rig)).unwrap();
    // A file that is written has this name first.
    let in_the_way = rig.dir.path().join("keys/.trail.audit.tmp");
    fs::create_dir(&in_the_way).unwrap();
    append(&mut rig).await.unwrap_err();
    fs::remove_dir(&in_the_way).unwrap();
    append(&mut rig).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_is_final_misses_no_secret() {
    let (mut rig, _) = stopped(1).await;
    let registry = rig.open().unwrap();
    registry.log("trail").unwrap().freeze().await.unwrap();
    rig.kill(registry).await;
    fs::remove_file(file(&rig)).unwrap();
    let registry = rig.open().unwrap();
    assert!(registry.log("trail").unwrap().secret().is_none());
    assert!(registry.without_secret().is_empty());
    registry.shutdown().await;
}
