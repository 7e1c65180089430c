//! A write-ahead log that is damaged: the start names it, `recover` says what is lost and cuts no more.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use e2e::{Home, Server, copy_folder, stderr_of, stdout_of};

use super::damage::{damage_wal, files};
use super::{clean_report, last_line, offline, refusal};

/// Heads are signed for those who ask, and not by the way.
const RARELY_PUBLISHED: [&str; 2] = ["--publish-interval-min-ms", "3600000"];
const CUT: [&str; 1] = ["--truncate-wal"];

/// Appends one line, and gives the index that was acknowledged.
fn append(server: &Server, home: &Home, log: &str, receipt: &str, line: &str) -> u64 {
    let arguments = ["append", log, "-", "--lines", "--receipt", receipt];
    let row = stdout_of(&server.cairn_stdin(home, arguments, format!("{line}\n").as_bytes()));
    row.split_once('\t').unwrap().0.parse().unwrap()
}

/// A server that was killed. Of both logs two entries are under signed heads, and more are not; the calls
/// behind those are in this order in the write-ahead log.
struct Killed {
    home: Home,
    /// Log and index of each call.
    unsigned: Vec<(&'static str, u64)>,
}

/// The entry of a call.
fn text(call: usize) -> String {
    format!("call {call} of those without a signed head")
}

impl Killed {
    fn new() -> Self {
        let home = Home::new();
        let server = home.start_with(&RARELY_PUBLISHED).unwrap();
        stdout_of(&server.cairn(&home, ["log", "create", "other"]));
        for (log, receipt, line) in [
            ("other", "index", "another"),
            ("other", "signed", "the last under a head"),
            ("default", "index", "an entry below a signed head"),
            ("default", "signed", "the last under its head"),
        ] {
            append(&server, &home, log, receipt, line);
        }
        let logs = ["default", "default", "other", "other", "default", "other", "default"];
        let call = |(number, log)| (log, append(&server, &home, log, "index", &text(number)));
        let unsigned = logs.into_iter().enumerate().map(call).collect();
        server.kill();
        Self { home, unsigned }
    }

    fn wal(&self) -> PathBuf {
        let wals = files(&self.home.data().join("db"), "log");
        wals.into_iter().max_by_key(|path| fs::metadata(path).unwrap().len()).unwrap()
    }

    /// What was acknowledged by the calls from `first` on: first and last index of each log.
    fn acknowledged_from(&self, first: usize) -> Ranges<'static> {
        let mut ranges = BTreeMap::new();
        for (log, index) in &self.unsigned[first..] {
            ranges.entry(*log).or_insert((*index, *index)).1 = *index;
        }
        ranges
    }
}

/// First and last index of what is lost, by log.
type Ranges<'a> = BTreeMap<&'a str, (u64, u64)>;

/// The ranges that `recover` says are lost, and the entries it says are kept.
fn told(said: &str) -> (Ranges<'_>, BTreeMap<&str, u64>) {
    let (mut lost, mut kept) = (BTreeMap::new(), BTreeMap::new());
    for line in said.lines().filter_map(|line| line.strip_prefix("log ")) {
        let (log, rest) = line.split_once(": kept ").unwrap();
        // They hold what the server says of itself, and entries of nobody else.
        if ["audit", "system"].contains(&log) {
            continue;
        }
        let (count, rest) = rest.split_once(" entries").unwrap();
        kept.insert(log, count.parse().unwrap());
        if let Some(range) = rest.strip_prefix(", lost entries ") {
            let (from, to) = range.split_once(" to ").unwrap();
            lost.insert(log, (from.parse().unwrap(), to.parse().unwrap()));
        }
    }
    (lost, kept)
}

fn contents(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let file = |entry: Result<fs::DirEntry, _>| entry.unwrap().path();
    let files = fs::read_dir(folder).unwrap().map(file);
    files.map(|path| (path.file_name().unwrap().into(), fs::read(path).unwrap())).collect()
}

#[test]
fn what_is_lost_is_said_and_the_rest_goes_on() {
    // In the middle of the write-ahead log, and in its last record.
    for call in [0, 3, 6] {
        let killed = Killed::new();
        let home = &killed.home;
        damage_wal(home, &text(call));
        let wal = killed.wal();

        let said = refusal(home, &[]);
        assert!(said.contains(wal.to_str().unwrap()), "{said}");
        assert!(said.contains("cairn-server recover --truncate-wal"), "{said}");
        let checked = offline("fsck", &home.data(), &[]);
        assert!(!checked.status.success(), "{}", stderr_of(&checked));

        let said = stdout_of(&offline("recover", &home.data(), &CUT));
        assert!(said.contains(wal.to_str().unwrap()), "{said}");
        let (lost, kept) = told(&said);
        assert_eq!(lost, killed.acknowledged_from(call), "{said}");
        assert!(!said.contains("could not be read"), "{said}");

        clean_report(&home.data());
        let server = home.start();
        for (log, kept) in kept {
            assert_eq!(append(&server, home, log, "signed", "after"), kept, "{log}: {said}");
        }
        server.stop().unwrap();
        clean_report(&home.data());
    }
}

#[test]
fn a_store_that_is_whole_is_left_as_it_is() {
    let killed = Killed::new();
    let home = &killed.home;
    let db = home.data().join("db");
    let before = contents(&db);
    let said = stdout_of(&offline("recover", &home.data(), &CUT));
    assert!(said.contains("nothing was changed"), "{said}");
    assert!(told(&said).0.is_empty(), "{said}");
    let after = contents(&db);
    for (name, bytes) in before.iter().filter(|(name, _)| name.extension().is_some()) {
        assert_eq!(after.get(name), Some(bytes), "{}", name.display());
    }

    let server = home.start();
    for (log, (_, last)) in killed.acknowledged_from(0) {
        assert_eq!(append(&server, home, log, "index", "after"), last + 1);
    }
    server.stop().unwrap();
}

#[test]
fn nothing_is_cut_below_a_signed_head_nor_without_a_journal_to_say_so() {
    let killed = Killed::new();
    let home = &killed.home;
    let (data, whole) = (home.data(), home.path("whole"));
    copy_folder(&data.join("db"), &whole).unwrap();
    // Both are under the head of size 2 that was signed.
    damage_wal(home, "an entry below a signed head");
    let damaged = contents(&data.join("db"));
    let refused = offline("recover", &data, &CUT);
    let said = stderr_of(&refused);
    assert_eq!(refused.status.code(), Some(2), "{said}");
    for expected in ["default", "size 0", "size 2"] {
        assert!(last_line(&said).contains(expected), "{expected}: {said}");
    }
    let wals = |files: BTreeMap<PathBuf, Vec<u8>>| {
        files
            .into_iter()
            .filter(|(name, _)| name.extension().is_some_and(|end| end == "log"))
            .collect::<Vec<_>>()
    };
    assert_eq!(wals(contents(&data.join("db"))), wals(damaged), "a refusal changes nothing");

    fs::remove_dir_all(data.join("db")).unwrap();
    copy_folder(&whole, &data.join("db")).unwrap();
    damage_wal(home, &text(1));
    let heads = home.path("heads");
    fs::rename(data.join("heads"), &heads).unwrap();
    let said = stderr_of(&offline("recover", &data, &CUT));
    assert!(last_line(&said).contains("--heads-dir"), "{said}");
    let named = ["--truncate-wal", "--heads-dir", heads.to_str().unwrap()];
    let said = stdout_of(&offline("recover", &data, &named));
    assert_eq!(told(&said).0, killed.acknowledged_from(1), "{said}");
}
