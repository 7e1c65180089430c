//! Starting, stopping and refusing to start.

use std::ffi::OsStr;
use std::{
    fs::{self, File, Permissions},
    os::unix::{
        ffi::OsStrExt as _,
        fs::{FileExt as _, PermissionsExt as _, chown, symlink},
    },
    path::Path,
    process::Command,
};

use e2e::{Home, binary, cairn, cairn_server, copy_folder, numbered_lines, stderr_of, stdout_of};

fn last_line(text: &str) -> &str {
    text.trim_end().lines().last().unwrap_or_default()
}

#[test]
fn a_first_start_makes_private_keys_and_says_what_to_do_next() {
    let home = Home::new();
    let server = home.start();
    let mode = |path: &str| fs::metadata(home.data().join(path)).unwrap().permissions().mode();
    assert_eq!(mode("keys/default") & 0o777, 0o600);
    assert!(fs::read_to_string(home.data().join("keys/default.vkey")).unwrap().ends_with('\n'));
    server.stop().unwrap();
    let said = fs::read_to_string(home.path("server.stderr")).unwrap();
    assert!(said.contains("append default"), "{said}");
}

#[test]
fn a_restart_keeps_keys_entries_and_size() {
    let home = Home::new();
    let server = home.start();
    stdout_of(&server.cairn_stdin(&home, ["append", "default", "-", "--lines"], b"a\nb\n"));
    let before = stdout_of(&server.cairn(&home, ["log", "show", "default", "--json"]));
    server.stop().unwrap();
    let server = home.start();
    let after = stdout_of(&server.cairn(&home, ["log", "show", "default", "--json"]));
    let root = |text: &str| {
        let shown: serde_json::Value = serde_json::from_str(text).unwrap();
        (shown["root"].clone(), shown["size"].clone(), shown["vkeys"].clone())
    };
    assert_eq!(root(&before), root(&after));
    stdout_of(&server.cairn_stdin(&home, ["append", "default", "-", "--lines"], b"c\n"));

    // The keys that the server names are those in its folder, in the form that --vkey @FILE takes.
    let named = stdout_of(&server.cairn(&home, ["log", "show", "default", "--vkeys"]));
    assert_eq!(named, fs::read_to_string(home.data().join("keys/default.vkey")).unwrap());
}

#[test]
fn a_key_that_others_can_read_is_refused() {
    let home = Home::new();
    home.start().stop().unwrap();
    let key = home.data().join("keys/default");
    fs::set_permissions(&key, Permissions::from_mode(0o644)).unwrap();
    let refusal = home.start_with(&[] as &[&str]).unwrap_err().to_string();
    assert!(last_line(&refusal).contains("keys/default"), "{refusal}");
    assert!(refusal.contains("chmod"), "the way out is named: {refusal}");

    fs::set_permissions(&key, Permissions::from_mode(0o600)).unwrap();
    home.start().stop().unwrap();
}

/// Kubernetes gives every file of a volume to the pod's group, by `fsGroup`.
#[test]
fn a_key_that_its_group_can_read_is_set_back_or_accepted_where_asked() {
    let home = Home::new();
    home.start().stop().unwrap();
    let key = home.data().join("keys/default");
    fs::set_permissions(&key, Permissions::from_mode(0o660)).unwrap();
    let server = home.start();
    let said = server.stderr();
    assert!(said.contains("keys/default") && said.contains("0600"), "{said}");
    assert_eq!(fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
    server.stop().unwrap();

    // A file of another user; only root can make one.
    if chown(&key, Some(1), None).is_err() {
        return;
    }
    fs::set_permissions(&key, Permissions::from_mode(0o640)).unwrap();
    let refusal = home.start_with(&[] as &[&str]).unwrap_err().to_string();
    assert!(last_line(&refusal).contains("allow_group_readable_keys"), "{refusal}");
    home.start_with(&["--allow-group-readable-keys"]).unwrap().stop().unwrap();
    assert_eq!(fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o640, "not ours");
    fs::set_permissions(&key, Permissions::from_mode(0o644)).unwrap();
    let refusal = home.start_with(&["--allow-group-readable-keys"]).unwrap_err().to_string();
    assert!(last_line(&refusal).contains("chmod 600"), "{refusal}");
}

#[test]
fn a_data_folder_whose_name_is_not_utf8_works_or_is_refused_with_the_way_out() {
    let home = Home::new();
    let folder = home.path("x").with_file_name(OsStr::from_bytes(b"d\xe9partement"));
    fs::create_dir(&folder).unwrap();
    // Reached by a relative path, and by a link.
    let link = home.path("link");
    symlink(&folder, &link).unwrap();
    for (within, data) in [(&*folder, Path::new("data")), (Path::new("/"), &*link.join("linked"))] {
        let mut server = Command::new(binary("cairn-server"));
        server.current_dir(within).arg("--data-dir").arg(data);
        let server = home.start_as(server).unwrap();
        stdout_of(&server.cairn_stdin(&home, ["append", "default", "-", "--lines"], b"a\n"));
        server.stop().unwrap();
    }
    assert!(folder.join("data/db/CURRENT").exists() && folder.join("linked/db/CURRENT").exists());

    // Named as it is, by a flag or the environment: never another folder in its place.
    let mut by_flag = Command::new(binary("cairn-server"));
    by_flag.arg("--data-dir").arg(&folder);
    let mut by_variable = Command::new(binary("cairn-server"));
    by_variable.env("CAIRN_DATA_DIR", &folder);
    let mut by_home = Command::new(binary("cairn-witness"));
    by_home.env("HOME", &folder).env_remove("XDG_DATA_HOME");
    for mut command in [by_flag, by_variable, by_home] {
        let refused = command.args(["--listen", "127.0.0.1:0"]).output().unwrap();
        assert_eq!(refused.status.code(), Some(2), "{}", stderr_of(&refused));
        let said = stderr_of(&refused);
        assert!(said.contains("UTF-8") && said.contains("symbolic link"), "{said}");
    }
}

#[test]
fn a_missing_key_of_a_log_with_entries_is_refused() {
    let home = Home::new();
    let server = home.start();
    stdout_of(&server.cairn_stdin(&home, ["append", "default", "-", "--lines"], b"a\n"));
    server.stop().unwrap();
    fs::remove_file(home.data().join("keys/default")).unwrap();
    let refusal = home.start_with(&[] as &[&str]).unwrap_err().to_string();
    assert!(last_line(&refusal).contains("keys/default"), "{refusal}");
}

#[test]
fn a_hosts_name_is_listened_on_if_all_its_addresses_are_this_machine() {
    let home = Home::new();
    let server = home.start_with(&["--listen", "localhost:0"]).unwrap();
    stdout_of(&server.cairn_stdin(&home, ["append", "default", "-", "--lines"], b"a\n"));
    server.stop().unwrap();
    let refusal = home.start_with(&["--listen", "no-such-host.invalid:0"]).unwrap_err();
    assert!(last_line(&refusal.to_string()).contains("no-such-host.invalid"), "{refusal}");
}

#[test]
fn a_port_in_use_and_a_second_server_are_refused() {
    let home = Home::new();
    let server = home.start();
    let other = Home::new();
    let taken = other.start_with(&["--listen", server.authority()]).unwrap_err().to_string();
    assert!(last_line(&taken).contains(server.authority()), "{taken}");

    let second = home.start_with(&[] as &[&str]).unwrap_err().to_string();
    assert!(last_line(&second).contains("in use"), "{second}");
    drop(server);
}

#[test]
fn a_listener_beyond_loopback_needs_a_word() {
    let home = Home::new();
    let refusal = home.start_with(&["--listen", "0.0.0.0:0"]).unwrap_err().to_string();
    assert!(last_line(&refusal).contains("--insecure-listen"), "{refusal}");
}

#[test]
fn an_older_copy_of_the_store_is_refused_and_served_read_only() {
    let home = Home::new();
    let server = home.start();
    let append = ["append", "default", "-", "--lines", "--receipt", "signed"];
    stdout_of(&server.cairn_stdin(&home, append, b"a\nb\n"));
    server.stop().unwrap();
    let old = home.path("old-db");
    copy_folder(&home.data().join("db"), &old).unwrap();

    let server = home.start();
    stdout_of(&server.cairn_stdin(&home, append, b"c\n"));
    server.stop().unwrap();
    fs::remove_dir_all(home.data().join("db")).unwrap();
    copy_folder(&old, &home.data().join("db")).unwrap();

    let refusal = home.start_with(&[] as &[&str]).unwrap_err().to_string();
    assert!(last_line(&refusal).contains("journal"), "{refusal}");
    assert!(refusal.contains("--read-only"), "the way out is named: {refusal}");

    let server = home.start_with(&["--read-only"]).unwrap();
    let shown = stdout_of(&server.cairn(&home, ["log", "show", "default", "--json"]));
    let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
    assert_eq!((&shown["state"], &shown["size"]), (&"read-only".into(), &2.into()));
    let late = server.cairn_stdin(&home, append, b"d\n");
    assert!(stderr_of(&late).contains("read-only"), "{}", stderr_of(&late));
}

#[test]
fn a_store_without_its_journal_and_keys_without_a_store_are_refused() {
    let home = Home::new();
    let server = home.start();
    let append = ["append", "default", "-", "--lines", "--receipt", "signed"];
    stdout_of(&server.cairn_stdin(&home, append, b"a\n"));
    server.stop().unwrap();

    let heads = home.path("heads");
    fs::rename(home.data().join("heads"), &heads).unwrap();
    let refusal = home.start_with(&[] as &[&str]).unwrap_err().to_string();
    assert!(last_line(&refusal).contains("--adopt-journal"), "{refusal}");
    home.start_with(&["--adopt-journal"]).unwrap().stop().unwrap();

    fs::remove_dir_all(home.data().join("db")).unwrap();
    let refusal = home.start_with(&[] as &[&str]).unwrap_err().to_string();
    assert!(refusal.contains("restore"), "{refusal}");
}

#[test]
fn a_backup_taken_while_serving_restores_and_passes_fsck() {
    let home = Home::new();
    let server = home.start();
    let append = ["append", "default", "-", "--lines", "--receipt", "signed"];
    stdout_of(&server.cairn_stdin(&home, append, b"a\nb\nc\n"));
    // At most one checkpoint a second is archived by itself, and these get none.
    for line in [b"d\n", b"e\n"] {
        stdout_of(&server.cairn_stdin(&home, ["append", "default", "-", "--lines"], line));
    }
    let (data, backup) = (home.data(), home.path("backup"));
    let (data, backup) = (data.to_str().unwrap(), backup.to_str().unwrap());
    stdout_of(&cairn_server(["backup", "--data-dir", data, "--out", backup]));
    server.stop().unwrap();

    let restored = Home::new();
    let target = restored.data();
    let target = target.to_str().unwrap();
    stdout_of(&cairn_server(["restore", "--data-dir", target, "--from", backup]));
    stdout_of(&cairn_server(["fsck", "--data-dir", target]));
    let read_only = restored.start_with(&["--read-only"]).unwrap();
    let (vkey, out) = (home.vkey_argument("default"), restored.path("proof"));
    let prove = ["prove", "default", "--index", "4", "--vkey", &vkey, "--out"].map(OsStr::new);
    let prove = prove.into_iter().chain([out.as_os_str()]);
    stdout_of(&read_only.cairn(&restored, prove));
    read_only.stop().unwrap();
    let over = cairn_server(["restore", "--data-dir", data, "--from", backup]);
    assert!(!over.status.success(), "a restore overwrites nothing");
}

#[test]
fn fsck_counts_what_it_read_and_finds_a_flipped_bit() {
    let home = Home::new();
    let server = home.start();
    let lines = numbered_lines(600);
    let append = ["append", "default", "-", "--lines", "--receipt", "signed"];
    stdout_of(&server.cairn_stdin(&home, append, lines.as_bytes()));
    server.stop().unwrap();
    let data = home.data();
    let fsck = || cairn_server(["fsck", "--data-dir", data.to_str().unwrap(), "--json"]);

    let report: serde_json::Value = serde_json::from_str(&stdout_of(&fsck())).unwrap();
    assert_eq!(report["logs"][0]["entries"], 600, "{report}");

    // One bit in every file of the store that holds entries; the engine's checksums must notice.
    let table = fs::read_dir(data.join("db"))
        .unwrap()
        .map(|file| file.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "sst" || e == "log"))
        .max_by_key(|path| fs::metadata(path).unwrap().len())
        .unwrap();
    let file = File::options().read(true).write(true).open(&table).unwrap();
    let mut byte = [0];
    let middle = file.metadata().unwrap().len() / 3;
    file.read_exact_at(&mut byte, middle).unwrap();
    file.write_all_at(&[byte[0] ^ 1], middle).unwrap();
    let damaged = fsck();
    assert_eq!(damaged.status.code(), Some(1), "{}", stderr_of(&damaged));

    let nothing = cairn_server(["fsck", "--data-dir", home.path("nowhere").to_str().unwrap()]);
    assert_eq!(nothing.status.code(), Some(2), "{}", stderr_of(&nothing));
}

#[test]
fn unknown_arguments_and_settings_are_refused_by_name() {
    let home = Home::new();
    let config = home.file("cairn.toml", b"listne = \"127.0.0.1:0\"\n");
    let refusal = home.start_with(&["--config", config.to_str().unwrap()]).unwrap_err().to_string();
    assert!(refusal.contains("listne"), "{refusal}");
    let unknown = cairn(["appendix"]);
    assert_eq!(unknown.status.code(), Some(2));
}
