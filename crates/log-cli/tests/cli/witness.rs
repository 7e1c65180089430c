//! `cairn witness`, as far as it goes without a witness.

use std::io::{Read, Write};
use std::net::TcpListener;

use crate::common::{Folder, TestLog};

#[test]
fn a_log_is_added_once_with_its_addresses() {
    let (folder, log) = (Folder::new(), TestLog::new(1, 1));
    let vkey = log.vkey();
    let url = "http://127.0.0.1:6962/logs/audit";
    let args = ["witness", "add-log", "audit", "--vkey", &vkey, "--logs-dir", "logs", "--url", url];
    let run = folder.cairn(args);
    assert_eq!((run.exit, run.stdout.as_str()), (Some(0), "logs/audit.url\nlogs/audit.vkey\n"));
    let read = |name: &str| std::fs::read_to_string(folder.path(name)).unwrap();
    assert_eq!(read("logs/audit.vkey"), format!("{vkey}\n"));
    assert_eq!(read("logs/audit.url"), format!("{url}\n"));
    let again = folder.cairn(args);
    assert_eq!(again.exit, Some(2), "{again:?}");
}

#[test]
fn what_is_no_log_adds_nothing() {
    let folder = Folder::new();
    let vkey = TestLog::new(1, 1).vkey();
    for args in [
        ["a/b", "--vkey", &vkey, "--url", "http://127.0.0.1:1"],
        [".hidden", "--vkey", &vkey, "--url", "http://127.0.0.1:1"],
        ["audit", "--vkey", "no key", "--url", "http://127.0.0.1:1"],
        ["audit", "--vkey", &vkey, "--url", "not a url"],
    ] {
        let run = folder.cairn(["witness", "add-log", "--logs-dir", "logs"].iter().chain(&args));
        assert_eq!(run.exit, Some(2), "{args:?}: {run:?}");
        assert!(!folder.path("logs").exists());
    }
}

#[test]
fn why_a_witness_cannot_answer_is_said() {
    let folder = Folder::new();
    let vkey = TestLog::new(1, 1).vkey();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        while let Ok((mut connection, _)) = listener.accept() {
            drop(connection.read(&mut [0; 4096]));
            let said = "its clock is 61 seconds behind\u{1b}[2J\n";
            let head =
                format!("HTTP/1.1 503 Service Unavailable\r\ncontent-length: {}\r\n", said.len());
            drop(connection.write_all(format!("{head}connection: close\r\n\r\n{said}").as_bytes()));
        }
    });
    let run = folder.cairn(["witness", "status", &url, "--vkey", &vkey]);
    assert_eq!(run.exit, Some(3), "{run:?}");
    let said = "the answer has status 503: its clock is 61 seconds behind [2J\n";
    assert!(run.stdout.ends_with(said), "{run:?}");
}

#[test]
fn a_witness_that_is_not_there_is_exit_code_3() {
    let folder = Folder::new();
    let vkey = TestLog::new(1, 1).vkey();
    let run = folder.cairn(["witness", "status", "http://127.0.0.1:1", "--vkey", &vkey]);
    assert_eq!(run.exit, Some(3), "{run:?}");
    assert!(run.stdout.contains("witness cannot be reached"), "{run:?}");
    let nobody = folder.cairn(["witness", "status", "--vkey", &vkey]);
    assert_eq!(nobody.exit, Some(2), "{nobody:?}");
    let bad = folder.cairn(["witness", "status", "nowhere", "--vkey", &vkey]);
    assert_eq!(bad.exit, Some(2), "{bad:?}");
}
