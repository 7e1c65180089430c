//! Bits that change on the disk: found, named, and never served as proven.

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use e2e::{Home, Server, copy_folder, numbered_lines, stderr_of, stdout_of};

use super::{append, clean_report, last_line, offline, refusal};

const ENTRIES: usize = 600;

/// A stopped server with entries, tiles, heads and an archive in its store.
fn stopped() -> Home {
    let home = Home::new();
    let server = home.start();
    append(&server, &home, &numbered_lines(ENTRIES));
    server.stop().unwrap();
    // A second start writes what is in the write-ahead log to table files.
    home.start().stop().unwrap();
    home
}

pub(crate) fn files(db: &Path, extension: &str) -> Vec<PathBuf> {
    let files = fs::read_dir(db).unwrap().map(|file| file.unwrap().path());
    let mut files: Vec<_> =
        files.filter(|path| path.extension().is_some_and(|found| found == extension)).collect();
    files.sort();
    files
}

fn flip(path: &Path, at: u64) {
    let file = File::options().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 1], at).unwrap();
}

/// Copies a folder and what is in it.
fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            copy(&entry.path(), &target);
        } else if kind.is_file() {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Whatever a server over a damaged store still proves, holds for the entry it is about.
fn proves_only_what_is_true(server: &Server, home: &Home) {
    let vkey = home.vkey_argument("default");
    for index in [0, 100, 255, 256, 599] {
        let out = home.path(&format!("{index}.tlog-proof"));
        let (number, out) = (index.to_string(), out.to_str().unwrap());
        let proved = server.cairn(home, ["prove", "default", "--index", &number, "--out", out]);
        if proved.status.success() {
            let entry = home.file("entry", format!("entry {index:06}").as_bytes());
            let entry = entry.to_str().unwrap();
            stdout_of(&e2e::cairn(["verify", out, "--entry", entry, "--vkey", &vkey]));
        }
    }
}

#[test]
fn a_bit_flipped_in_any_table_file_is_found_and_never_served_as_proven() {
    let home = stopped();
    clean_report(&home.data());
    let tables = files(&home.data().join("db"), "sst");
    assert!(!tables.is_empty());
    for (number, table) in tables.iter().enumerate() {
        let length = fs::metadata(table).unwrap().len();
        for part in [0, 1, 2] {
            let at = length * part / 3 + 5;
            flip(table, at);
            let found = offline("fsck", &home.data(), &[]);
            let context = format!("{}, byte {at} of {length}", table.display());
            assert!(!found.status.success(), "{context}");
            if number == 0 || part == 0 {
                // A server writes when it starts, so what it started on is put back.
                let kept = home.path("kept");
                copy(&home.data(), &kept);
                match home.start_with(&[] as &[&str]) {
                    Ok(server) => {
                        proves_only_what_is_true(&server, &home);
                        server.kill();
                    }
                    Err(refused) => {
                        let said = refused.to_string();
                        let named = ["storage", "fsck", "corrupt", "Corruption"];
                        assert!(named.iter().any(|name| last_line(&said).contains(name)), "{said}");
                    }
                }
                fs::remove_dir_all(home.data()).unwrap();
                fs::rename(&kept, home.data()).unwrap();
            }
            flip(table, at);
        }
    }
    clean_report(&home.data());
}

/// A server that was killed, with everything still in its write-ahead log.
fn killed(lines: [&str; 3], receipt: &str) -> Home {
    let home = Home::new();
    let server = home.start();
    for line in lines {
        let arguments = ["append", "default", "-", "--lines", "--receipt", receipt];
        stdout_of(&server.cairn_stdin(&home, arguments, line.as_bytes()));
    }
    server.kill();
    home
}

/// Flips a bit of an entry in the write-ahead log.
pub(crate) fn damage_wal(home: &Home, entry: &str) {
    let wals = files(&home.data().join("db"), "log");
    let wal = wals.iter().max_by_key(|path| fs::metadata(path).unwrap().len()).unwrap();
    let bytes = fs::read(wal).unwrap();
    let at = bytes.windows(entry.len()).position(|found| found == entry.as_bytes());
    flip(wal, u64::try_from(at.expect("the entry is in the write-ahead log")).unwrap());
}

#[test]
fn a_write_ahead_log_damaged_in_the_middle_refuses_the_start() {
    let home = killed(["first entry\n", "second entry\n", "third entry\n"], "signed");
    damage_wal(&home, "second entry");
    let before = home.path("before");
    copy_folder(&home.data().join("db"), &before).unwrap();
    let said = refusal(&home, &[]);
    assert!(said.contains("storage") && said.contains("orrupt"), "{said}");
    // Heads beyond the damage were signed: going on before them would be a second history.
    let refused = offline("recover", &home.data(), &["--truncate-wal"]);
    assert!(!refused.status.success(), "{}", stdout_of(&refused));
    let refused = stderr_of(&refused);
    assert!(last_line(&refused).contains("default"), "{refused}");
    for file in files(&before, "log") {
        let now = home.data().join("db").join(file.file_name().unwrap());
        assert_eq!(fs::read(&file).unwrap(), fs::read(now).unwrap(), "a refusal changes nothing");
    }
}
