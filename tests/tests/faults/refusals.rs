//! Starts that are refused: the reason names the file and the way out, and nothing is changed.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;

use e2e::{Home, bound, stderr_of, stdout_of};

use super::{append, clean_report, last_line, offline, refusal};

#[test]
fn a_data_folder_that_cannot_be_written_is_named() {
    let home = Home::new();
    fs::create_dir(home.data()).unwrap();
    fs::set_permissions(home.data(), Permissions::from_mode(0o555)).unwrap();
    let none: [&str; 0] = [];
    let said = home.start_under(bound(), &none).unwrap_err().to_string();
    fs::set_permissions(home.data(), Permissions::from_mode(0o755)).unwrap();
    assert!(last_line(&said).contains(home.data().to_str().unwrap()), "{said}");
    assert!(last_line(&said).contains("Permission denied"), "{said}");
    assert_eq!(fs::read_dir(home.data()).unwrap().count(), 0, "nothing half made is left");
    home.start().stop().unwrap();
}

#[test]
fn a_store_that_became_read_only_is_refused_and_left_as_it_was() {
    let home = Home::new();
    let server = home.start();
    append(&server, &home, "a\nb\n");
    server.stop().unwrap();
    let db = home.data().join("db");
    fs::set_permissions(&db, Permissions::from_mode(0o555)).unwrap();
    let none: [&str; 0] = [];
    let said = home.start_under(bound(), &none).unwrap_err().to_string();
    fs::set_permissions(&db, Permissions::from_mode(0o755)).unwrap();
    assert!(last_line(&said).contains(db.to_str().unwrap()), "{said}");
    assert!(last_line(&said).contains("Permission denied"), "{said}");
    assert_eq!(clean_report(&home.data())["logs"][0]["size"], 2);
    home.start().stop().unwrap();
}

#[test]
fn a_backup_or_a_check_of_nothing_says_where_it_looked() {
    let home = Home::new();
    let nowhere = home.path("nowhere");
    for (command, more) in
        [("fsck", &[][..]), ("recover", &["--truncate-wal"]), ("retire", &["default"])]
    {
        let output = offline(command, &nowhere, more);
        assert_eq!(output.status.code(), Some(2), "{command}");
        let said = stderr_of(&output);
        assert!(last_line(&said).contains("nowhere"), "{command}: {said}");
    }
    assert!(!nowhere.exists(), "a look makes nothing");
}

#[test]
fn a_restored_older_backup_is_refused_and_served_read_only() {
    let home = Home::new();
    let server = home.start();
    append(&server, &home, "a\nb\n");
    let backup = home.path("backup");
    stdout_of(&offline("backup", &home.data(), &["--out", backup.to_str().unwrap()]));
    append(&server, &home, "c\n");
    server.stop().unwrap();
    fs::remove_dir_all(home.data().join("db")).unwrap();
    let restored = offline("restore", &home.data(), &["--from", backup.to_str().unwrap()]);
    assert!(stdout_of(&restored).contains("behind the journal"));

    let said = refusal(&home, &[]);
    for expected in ["default", "size 3", "size 2", "--read-only", "retire", "restore newer data"] {
        assert!(said.contains(expected), "{expected}: {said}");
    }
    let server = home.start_with(&["--read-only"]).unwrap();
    let shown = stdout_of(&server.cairn(&home, ["log", "show", "default", "--json"]));
    let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
    assert_eq!((&shown["state"], &shown["size"]), (&"read-only".into(), &2.into()));
    let late = server.cairn_stdin(&home, super::APPEND, b"d\n");
    assert!(!late.status.success());
}
