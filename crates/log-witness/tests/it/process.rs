//! The binary: started, killed between store and answer, stopped, checked.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use formats::SignedCheckpoint;
use log_witness::witness::origin_path;

use crate::common::{TestLog, write_vkeys};

struct Process {
    child: Child,
    address: String,
}

fn command(data: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cairn-witness"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("CAIRN_")) {
        command.env_remove(name);
    }
    command.arg("--data-dir").arg(data);
    command
}

fn run(data: &Path, subcommand: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cairn-witness"));
    command.args(subcommand).arg("--data-dir").arg(data).output().unwrap()
}

impl Process {
    fn start(data: &Path) -> Self {
        let mut command = command(data);
        command.args(["--listen", "127.0.0.1:0"]).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim_end().strip_prefix("listening on http://").unwrap().to_owned();
        Self { child, address }
    }

    fn held(&self, log: &TestLog) -> u64 {
        let path = origin_path(&log.origin());
        let request =
            format!("GET {path}/checkpoint HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
        let answer = call(&self.address, request.as_bytes()).unwrap();
        let (head, note) = answer.split_once("\r\n\r\n").unwrap();
        if head.starts_with("HTTP/1.1 404") {
            return 0;
        }
        SignedCheckpoint::parse(note.as_bytes()).unwrap().size().get()
    }

    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// Submissions go on until the process is gone: every answer that came must be true of what is found.
#[test]
fn what_was_answered_survives_kill_9() {
    let cycles =
        if std::env::var_os("CAIRN_LONG").is_some_and(|value| value != "0") { 100 } else { 4 };
    let data = tempfile::tempdir().unwrap();
    let log = TestLog::new("example.com/log");
    write_vkeys(data.path(), "log", &log.keys);
    let mut answered = 0;
    for cycle in 0..cycles {
        let process = Process::start(data.path());
        let held = process.held(&log);
        assert!(held >= answered, "cycle {cycle}: {held} is held, {answered} was answered");
        let address = process.address.clone();
        let submitter =
            std::thread::spawn(move || submit_on(&address, &TestLog::new("example.com/log"), held));
        // Some submissions, then no more, wherever the next one is.
        for _ in 0..200 + cycle * 37 {
            if process.held(&log) > held + 20 {
                break;
            }
        }
        process.kill();
        answered = submitter.join().unwrap();
        assert!(answered >= held);
    }
    let checked = run(data.path(), &["fsck"]);
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stdout));
}

/// Submits one size after the other until nobody answers; gives the last that was cosigned.
fn submit_on(address: &str, log: &TestLog, held: u64) -> u64 {
    let mut last = held;
    loop {
        let body = log.body(last, last + 1);
        let header = format!(
            "POST /add-checkpoint HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        match call(address, &[header.as_bytes(), &body].concat()) {
            Some(answer) if answer.starts_with("HTTP/1.1 200") && answer.ends_with('\n') => {
                last += 1;
            }
            _ => return last,
        }
    }
}

/// The whole answer, if there was one.
fn call(address: &str, request: &[u8]) -> Option<String> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.write_all(request).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer).filter(|answer| !answer.is_empty())
}

#[test]
fn a_store_in_use_a_missing_store_and_a_readable_key_are_refused_by_name() {
    let data = tempfile::tempdir().unwrap();
    let missing = run(data.path(), &["fsck"]);
    assert_eq!(missing.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&missing.stderr).contains("no store is there"));
    let process = Process::start(data.path());
    for subcommand in [&["fsck"][..], &["trust", "example.com/log"]] {
        let busy = run(data.path(), subcommand);
        assert_eq!(busy.status.code(), Some(2));
        let said = String::from_utf8_lossy(&busy.stderr).into_owned();
        assert!(said.contains("another process uses this store"), "{said}");
    }
    process.kill();
    let trusted = run(data.path(), &["trust", "example.com/log"]);
    assert!(trusted.status.success(), "{}", String::from_utf8_lossy(&trusted.stderr));
    let key = data.path().join("keys/witness");
    assert_eq!(std::fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    let refused = command(data.path()).args(["--listen", "127.0.0.1:0"]).output().unwrap();
    assert_eq!(refused.status.code(), Some(2));
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(said.lines().last().unwrap().contains("chmod 600"), "{said}");
}

/// Refuses to start; gives the reason.
fn refused(data: &Path, arguments: &[&str]) -> String {
    let mut command = command(data);
    // A file without certificates: a machine without authorities.
    command.env("SSL_CERT_FILE", "/dev/null").env_remove("SSL_CERT_DIR");
    let output = command.args(["--listen", "127.0.0.1:0"]).args(arguments).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    said.lines().last().unwrap_or_default().to_owned()
}

#[test]
fn the_key_of_tls_is_kept_and_a_bad_one_is_refused_by_name() {
    let data = tempfile::tempdir().unwrap();
    let started = || {
        Process::start(data.path()).kill();
        std::fs::read_to_string(data.path().join("keys/tls.pin")).unwrap()
    };
    let pin = started();
    assert_eq!(started(), pin);
    let key = data.path().join("keys/tls");
    let good = std::fs::read(&key).unwrap();
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    let said = refused(data.path(), &[]);
    assert!(said.contains("keys/tls: mode is 644") && said.contains("chmod 600"), "{said}");
    for bad in [&good[..good.len() - 40], b""] {
        base::durable::replace(&key, bad, 0o600).unwrap();
        let said = refused(data.path(), &[]);
        assert!(said.contains("keys/tls: no private key"), "{said}");
    }
    std::fs::remove_file(&key).unwrap();
    let said = refused(data.path(), &[]);
    assert!(said.contains("keys/tls: the private key is missing"), "{said}");
    base::durable::replace(&key, &good, 0o600).unwrap();
    assert_eq!(started(), pin);
}

#[test]
fn addresses_that_nobody_vouches_for_are_refused_at_start() {
    let data = tempfile::tempdir().unwrap();
    for (arguments, reason) in [
        (["--peer", "https://w.example"], "install ca-certificates"),
        (["--webhook", "https://hooks.example/a"], "install ca-certificates"),
        (["--webhook", "hooks.example/a"], "is not of the form"),
        (["--peer", "http://192.0.2.1:6963"], "use https and the pin that the peer prints"),
        (["--peer", "https://192.0.2.1:6963#sha256//AAAA"], "is not sha256// and the base64 of"),
    ] {
        let said = refused(data.path(), &arguments);
        assert!(said.contains(reason), "{arguments:?}: {said}");
    }
}
