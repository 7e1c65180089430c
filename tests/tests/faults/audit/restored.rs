//! A backup of an audit log, restored with its secret and without.

use std::fs;

use e2e::{Home, Server, stdout_of};
use serde_json::Value;

use super::super::{clean_report, offline};
use super::{EVENTS, answered, event, record, search, secret, verified_export};

const EVENTS_BEFORE: usize = 7;

fn events() -> Vec<Value> {
    (0..EVENTS_BEFORE).map(|number| event(&format!("e-{number}"), "ana")).collect()
}

/// A server that recorded events, and was stopped.
fn stopped() -> Home {
    let home = Home::new();
    let server = home.start();
    assert_eq!(record(&server, &events()).len(), EVENTS_BEFORE);
    server.stop().unwrap();
    home
}

/// Another installation, from a backup and the signing keys, which are kept apart from backups.
fn restored(home: &Home, name: &str, options: &[&str]) -> Home {
    let backup = home.path(name);
    let backup = backup.to_str().unwrap();
    stdout_of(&offline("backup", &home.data(), &[&["--out", backup], options].concat()));
    let restored = Home::new();
    stdout_of(&offline("restore", &restored.data(), &["--from", backup]));
    let (from, to) = (home.data().join("keys"), restored.data().join("keys"));
    fs::create_dir_all(&to).unwrap();
    for file in fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        let is_secret = file.path().extension().is_some_and(|end| end == "audit");
        if !is_secret {
            fs::copy(file.path(), to.join(file.file_name())).unwrap();
        }
    }
    // The record of what was signed is not in a backup; the operator accepts that.
    restored.start_with(&["--adopt-journal"]).unwrap().stop().unwrap();
    restored
}

/// All events are found, and in evidence that the key of the first installation verifies.
fn reads(server: &Server, home: &Home, keys: &Home) {
    assert_eq!(search(server, "").len(), EVENTS_BEFORE);
    assert_eq!(search(server, "&id=e-3").len(), 1);
    assert_eq!(verified_export(server, home, keys, "evidence").len(), EVENTS_BEFORE);
}

#[test]
fn a_backup_with_its_secret_goes_on_as_the_log_did() {
    let home = stopped();
    let restored = restored(&home, "with", &["--with-secrets"]);
    let kept = fs::read(secret(&home.data())).unwrap();
    assert_eq!(fs::read(secret(&restored.data())).unwrap(), kept);
    clean_report(&restored.data());
    let server = restored.start();
    reads(&server, &restored, &home);
    let again = record(&server, &events());
    assert!(again.iter().all(|result| result["duplicate"] == true), "{again:?}");
    let new = record(&server, &[event("new", "ana")]);
    assert_eq!(new[0]["index"], EVENTS_BEFORE, "{new:?}");
    server.stop().unwrap();
    clean_report(&restored.data());
}

#[test]
fn a_backup_without_its_secret_reads_and_exports_and_refuses_events_by_name() {
    let home = stopped();
    let restored = restored(&home, "without", &[]);
    assert!(!secret(&restored.data()).exists());
    clean_report(&restored.data());
    let server = restored.start();
    reads(&server, &restored, &home);
    for event in [event("new", "ana"), event("e-3", "ana")] {
        let (status, answer) = answered(&server, "POST", EVENTS, &event.to_string());
        assert!((400..600).contains(&status), "{status}: {answer}");
        assert_eq!(answer["error"]["reason"], "AUDIT_SECRET_MISSING", "{status}: {answer}");
    }
    assert_eq!(search(&server, "").len(), EVENTS_BEFORE);
    server.stop().unwrap();
    assert!(!secret(&restored.data()).exists(), "no other secret takes its place");
    clean_report(&restored.data());

    // The operator finds the file: the log goes on.
    fs::copy(secret(&home.data()), secret(&restored.data())).unwrap();
    let server = restored.start();
    assert_eq!(record(&server, &events())[3]["duplicate"], true);
    server.stop().unwrap();
}
