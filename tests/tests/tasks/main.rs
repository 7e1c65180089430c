//! What becomes of a process when one of its tasks dies, when it cannot print, and when it is to stop.

#![expect(clippy::unwrap_used, reason = "a test fails where its fixtures do")]

mod panics;
mod printing;
mod read_only;
mod stopping;

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use e2e::{binary, cairn_server, numbered_lines, stdout_of};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// How long something may take that must come. Generous, for a debug build on a busy machine.
const SOON: Duration = Duration::from_mins(2);

/// A server or a witness, whatever its output goes to. Killed when dropped.
struct Process {
    child: Child,
    address: String,
    dir: TempDir,
}

/// Where a process prints to.
enum Output {
    /// `stderr` in its folder; nothing on stdout.
    Kept,
    /// A pipe that nobody reads any more.
    BrokenPipe,
    /// A device without room.
    Full,
}

impl Output {
    fn stdio(&self, file: &Path) -> Stdio {
        match self {
            Self::Kept => File::create(file).unwrap().into(),
            Self::BrokenPipe => std::io::pipe().unwrap().1.into(),
            Self::Full => File::options().write(true).open("/dev/full").unwrap().into(),
        }
    }
}

impl Process {
    fn server(args: &[&str]) -> Self {
        Self::start("cairn-server", &Output::Kept, args)
    }

    fn witness(args: &[&str]) -> Self {
        Self::start("cairn-witness", &Output::Kept, args)
    }

    fn start(program: &str, output: &Output, args: &[&str]) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), program, output, args)
    }

    /// Starts it on a free port, as its first line may have nowhere to go, and waits until it is ready.
    fn start_in(dir: TempDir, program: &str, output: &Output, args: &[&str]) -> Self {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        fs::create_dir_all(dir.path().join("panics")).unwrap();
        let child = Command::new(binary(program))
            .args(["--listen", &address])
            .arg("--data-dir")
            .arg(dir.path().join("data"))
            .args(args)
            .env("CAIRN_PANIC_DIR", dir.path().join("panics"))
            .env("CAIRN_LOG", "debug")
            .stdin(Stdio::null())
            .stdout(output.stdio(&dir.path().join("stdout")))
            .stderr(output.stdio(&dir.path().join("stderr")))
            .spawn()
            .unwrap();
        let process = Self { child, address, dir };
        process.eventually("ready", || process.get("/readyz").is_some_and(|text| is_ok(&text)));
        process
    }

    fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    fn stderr(&self) -> String {
        fs::read_to_string(self.dir.path().join("stderr")).unwrap_or_default()
    }

    fn get(&self, path: &str) -> Option<String> {
        self.call(&format!("GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"))
    }

    /// Appends one entry over HTTP.
    fn add(&self) -> Option<String> {
        self.call(
            "POST /logs/default/add HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: 1\r\n\r\nx",
        )
    }

    /// The whole answer, if there is one.
    fn call(&self, request: &str) -> Option<String> {
        let mut stream = TcpStream::connect(&self.address).ok()?;
        stream.set_read_timeout(Some(SOON)).ok()?;
        stream.write_all(request.as_bytes()).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        Some(answer).filter(|answer| !answer.is_empty())
    }

    fn metric(&self, line: &str) -> bool {
        let scrape = self.get("/metrics").unwrap_or_default();
        scrape.lines().any(|found| found.starts_with(line))
    }

    fn eventually(&self, what: &str, holds: impl Fn() -> bool) {
        let until = Instant::now() + SOON;
        while !holds() {
            assert!(Instant::now() < until, "not {what}: {}", self.stderr());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Asks a task to panic whenever it runs.
    fn trip(&self, task: &str) {
        File::create(self.dir.path().join("panics").join(task)).unwrap();
    }

    fn heal(&self, task: &str) {
        fs::remove_file(self.dir.path().join("panics").join(task)).unwrap();
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    fn end(&mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }

    fn stop(mut self) {
        self.signal(Signal::TERM);
        let status = self.end();
        assert_eq!(status.code(), Some(0), "{}", self.stderr());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn is_ok(answer: &str) -> bool {
    answer.starts_with("HTTP/1.1 200")
}

/// Asks a running server for a backup.
fn backup(server: &Process, out: &str) -> std::process::Output {
    let (data, out) = (server.data(), server.dir.path().join(out));
    cairn_server([
        "backup".as_ref(),
        "--data-dir".as_ref(),
        data.as_os_str(),
        "--out".as_ref(),
        out.as_os_str(),
    ])
}

/// Appends some entries with signed receipts.
fn append(server: &Process) {
    let url = server.url();
    let append = ["--server", &url, "append", "default", "-", "--lines", "--receipt", "signed"];
    let state = server.dir.path().join("state");
    let env = [("CAIRN_STATE", state.to_str().unwrap())];
    stdout_of(&e2e::cairn_with(append, &env, numbered_lines(3).as_bytes()));
}

/// A log server and the witness that must cosign its log.
struct Site {
    witness: Process,
    server: Process,
}

impl Site {
    fn start() -> Self {
        let witness = Process::witness(&[]);
        // The first start makes the keys, which the witness has to know.
        let server = Process::server(&[]);
        let vkeys = fs::read_to_string(server.data().join("keys/default.vkey")).unwrap();
        add_log(&witness, &vkeys);
        let (policy, dir) = (Self::policy(&witness), server.into_dir());
        let policy_file = dir.path().join("policy");
        fs::write(&policy_file, policy).unwrap();
        let policy = format!("default={}", policy_file.display());
        let args = ["--policy", &policy, "--witness-pause-max-ms", "200"];
        Self { server: Process::start_in(dir, "cairn-server", &Output::Kept, &args), witness }
    }

    fn policy(witness: &Process) -> String {
        let vkeys = fs::read_to_string(witness.data().join("keys/witness.vkey")).unwrap();
        let vkey = vkeys.lines().next().unwrap();
        format!("witness w1 {vkey} {}\nquorum w1\n", witness.url())
    }
}

impl Process {
    /// Stops it, and gives its folder to the next one.
    fn into_dir(mut self) -> TempDir {
        self.signal(Signal::TERM);
        assert_eq!(self.end().code(), Some(0), "{}", self.stderr());
        std::mem::replace(&mut self.dir, tempfile::tempdir().unwrap())
    }
}

/// Makes a log known to a witness, and waits until it is.
fn add_log(witness: &Process, vkeys: &str) {
    let temporary = witness.dir.path().join("log.vkey");
    fs::write(&temporary, vkeys).unwrap();
    fs::rename(temporary, witness.data().join("logs/log.vkey")).unwrap();
    witness.eventually("a known log", || witness.metric("cairn_witness_logs 1"));
}
