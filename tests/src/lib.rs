//! Real processes on loopback, for the end-to-end tests: the binaries, built once, and a server that
//! is started, stopped, killed and started again over one data folder.

pub mod layout_1;
pub mod witness;
pub mod wrong_clock;

use std::{
    ffi::OsStr,
    fs::{self, File},
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::OnceLock,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// How long a server may take to say that it listens. Generous, for a debug build on a busy machine.
const START_WITHIN: Duration = Duration::from_mins(1);

/// True in the long profile, which `CAIRN_LONG=1` turns on.
pub fn long_profile() -> bool {
    std::env::var_os("CAIRN_LONG").is_some_and(|value| value != "0")
}

/// The path of one of the workspace's binaries, built first if need be.
///
/// The build selects what `cargo test --workspace` selects, so that it is a no-op there.
pub fn binary(name: &str) -> PathBuf {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| {
        let exe = std::env::current_exe().expect("a test knows its own path");
        let profile = exe.ancestors().nth(2).expect("target/PROFILE/deps/TEST").to_owned();
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo
            .args(["build", "--quiet", "--locked", "--workspace", "--bins", "--tests"])
            .arg("--target-dir")
            .arg(profile.parent().expect("target/PROFILE"))
            .current_dir(env!("CARGO_MANIFEST_DIR"));
        if profile.ends_with("release") {
            cargo.arg("--release");
        }
        let status = cargo.status().expect("cargo runs");
        assert!(status.success(), "the binaries build");
        profile
    });
    folder.join(name)
}

/// Runs `cairn` to its end.
pub fn cairn<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> Output {
    cairn_with(args, &[], b"")
}

/// Runs `cairn` to its end with variables in its environment and bytes on its standard input.
pub fn cairn_with<S: AsRef<OsStr>>(
    args: impl IntoIterator<Item = S>,
    env: &[(&str, &str)],
    stdin: &[u8],
) -> Output {
    run(Command::new(binary("cairn")).args(args).envs(env.iter().copied()), stdin)
}

/// Runs `cairn-server` with a subcommand that ends by itself.
pub fn cairn_server<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> Output {
    run(Command::new(binary("cairn-server")).args(args), b"")
}

fn run(command: &mut Command, stdin: &[u8]) -> Output {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    let mut pipe = child.stdin.take().expect("stdin is piped");
    let bytes = stdin.to_owned();
    // A process may end without reading its input; that is for the test to judge by its output.
    let writer = std::thread::spawn(move || pipe.write_all(&bytes));
    let output = child.wait_with_output().expect("the process ends");
    drop(writer.join().expect("the writer does not panic"));
    output
}

/// Standard output of a process that succeeded; otherwise a panic that shows what it said.
pub fn stdout_of(output: &Output) -> String {
    assert!(
        output.status.success(),
        "{}: {}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout.clone()).expect("results are UTF-8")
}

/// Standard error, whatever the status.
pub fn stderr_of(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A program to start another through, as a user whom file permissions bind, which they do not for root.
pub fn bound() -> &'static [&'static str] {
    const BOUND: [&str; 3] =
        ["setpriv", "--inh-caps=-all", "--bounding-set=-dac_override,-dac_read_search"];
    if rustix::process::geteuid().is_root() { &BOUND } else { &[] }
}

/// Asks again, with short pauses, until there is an answer.
///
/// # Panics
/// If there is none for a minute.
pub fn eventually<T>(mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_mins(1);
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < deadline, "no answer for a minute");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The status and the body of a GET from a server at `http://ADDRESS:PORT`.
pub fn get(url: &str, path: &str) -> (u16, String) {
    let authority = url.strip_prefix("http://").expect("the server listens on http");
    let request = format!("GET {path} HTTP/1.1\r\nhost: {authority}\r\nconnection: close\r\n\r\n");
    let mut answer = String::new();
    let mut exchange = || -> std::io::Result<()> {
        let mut stream = TcpStream::connect(authority)?;
        stream.write_all(request.as_bytes())?;
        stream.read_to_string(&mut answer).map(drop)
    };
    exchange().expect("the server answers");
    let (head, body) = answer.split_once("\r\n\r\n").expect("an HTTP answer");
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    (status.expect("a status"), body.to_owned())
}

/// `count` different lines of one length.
pub fn numbered_lines(count: usize) -> String {
    let line = |n| format!("entry {n:06}\n");
    (0..count).map(line).collect::<Vec<_>>().concat()
}

/// A folder for one installation: data, client state, and whatever a test leaves there.
#[derive(Debug)]
pub struct Home {
    dir: TempDir,
}

impl Default for Home {
    fn default() -> Self {
        Self::new()
    }
}

impl Home {
    pub fn new() -> Self {
        Self { dir: tempfile::tempdir().expect("a temporary folder") }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn data(&self) -> PathBuf {
        self.path("data")
    }

    /// Writes a file below this folder and gives its path.
    pub fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.path(name);
        File::create(&path).and_then(|mut f| f.write_all(bytes)).expect("the folder is writable");
        path
    }

    pub fn vkey_argument(&self, log: &str) -> String {
        format!("@{}", self.data().join(format!("keys/{log}.vkey")).display())
    }

    /// Starts a server over this folder on a free port.
    pub fn start(&self) -> Server {
        self.start_with(&[] as &[&str]).expect("the server starts")
    }

    /// Starts a server with more arguments, on a free port unless they name one; the error holds what it
    /// said on stderr.
    pub fn start_with<S: AsRef<OsStr>>(&self, args: &[S]) -> Result<Server> {
        self.start_command(Command::new(binary("cairn-server")), args)
    }

    /// Starts a server through another program, which ends with the command line it is to run: one that
    /// takes rights or resources away first.
    pub fn start_under<S: AsRef<OsStr>>(&self, wrapper: &[&str], args: &[S]) -> Result<Server> {
        let [program, rest @ ..] = wrapper else { return self.start_with(args) };
        let mut command = Command::new(program);
        command.args(rest).arg(binary("cairn-server"));
        self.start_command(command, args)
    }

    /// Starts a server with the command line that is given, on a free port.
    pub fn start_as(&self, mut command: Command) -> Result<Server> {
        command.args(["--listen", "127.0.0.1:0"]);
        self.spawn(command)
    }

    /// Starts a server that is another program than this workspace's, such as one of an older
    /// version.
    pub fn start_program<S: AsRef<OsStr>>(&self, program: &Path, args: &[S]) -> Result<Server> {
        self.start_command(Command::new(program), args)
    }

    fn start_command<S: AsRef<OsStr>>(&self, mut command: Command, args: &[S]) -> Result<Server> {
        let listens = args.iter().any(|arg| arg.as_ref() == "--listen");
        command
            .arg("--data-dir")
            .arg(self.data())
            .args(if listens { &[] } else { &["--listen", "127.0.0.1:0"][..] })
            .args(args);
        self.spawn(command)
    }

    fn spawn(&self, mut command: Command) -> Result<Server> {
        let stderr = self.path("server.stderr");
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create(&stderr)?)
            .spawn()?;
        let stdout = BufReader::new(child.stdout.take().context("stdout is piped")?);
        let Some(line) = first_line(stdout) else {
            drop(child.kill());
            let status = child.wait()?;
            bail!("{status}: {}", fs::read_to_string(&stderr)?)
        };
        let url = line
            .strip_prefix("listening on ")
            .with_context(|| format!("an unexpected first line: {line:?}"))?
            .to_owned();
        Ok(Server { child, url, stderr })
    }
}

/// The first line of a process, or `None` when it ends, or stays silent too long, without one.
fn first_line(mut stdout: BufReader<std::process::ChildStdout>) -> Option<String> {
    let (sender, receiver) = std::sync::mpsc::sync_channel(1);
    std::thread::spawn(move || {
        let mut line = String::new();
        if stdout.read_line(&mut line).is_ok() && !line.is_empty() {
            drop(sender.send(line.trim_end().to_owned()));
        }
        // Keeps the pipe open and empty for as long as the process writes.
        drop(std::io::copy(&mut stdout, &mut std::io::sink()));
    });
    receiver.recv_timeout(START_WITHIN).ok()
}

/// A running `cairn-server`. Killed when dropped.
#[derive(Debug)]
pub struct Server {
    child: Child,
    url: String,
    stderr: PathBuf,
}

impl Server {
    pub fn url(&self) -> &str {
        &self.url
    }

    /// `127.0.0.1:PORT`
    pub fn authority(&self) -> &str {
        self.url.strip_prefix("http://").expect("the server listens on http")
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn stderr(&self) -> String {
        fs::read_to_string(&self.stderr).unwrap_or_default()
    }

    /// `kill -9`, and waits until the process is gone.
    pub fn kill(mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }

    /// Waits for a process that ends by itself: its exit status, `None` if a signal ended it.
    pub fn end(mut self) -> Result<Option<i32>> {
        Ok(self.child.wait()?.code())
    }

    /// SIGTERM, and waits for a clean end.
    pub fn stop(mut self) -> Result<()> {
        self.signal(Signal::TERM)?;
        let status = self.child.wait()?;
        ensure!(status.success(), "{status}: {}", self.stderr());
        Ok(())
    }

    pub fn signal(&self, signal: Signal) -> Result<()> {
        let pid = Pid::from_raw(i32::try_from(self.child.id())?).context("a process id")?;
        Ok(kill_process(pid, signal)?)
    }

    /// Runs `cairn` against this server, with its own state folder.
    pub fn cairn<S: AsRef<OsStr>>(&self, home: &Home, args: impl IntoIterator<Item = S>) -> Output {
        self.cairn_stdin(home, args, b"")
    }

    /// The same with bytes on standard input.
    pub fn cairn_stdin<S: AsRef<OsStr>>(
        &self,
        home: &Home,
        args: impl IntoIterator<Item = S>,
        stdin: &[u8],
    ) -> Output {
        let state = home.path("state");
        let state = state.to_str().expect("temporary paths are UTF-8");
        cairn_with(args, &[("CAIRN_SERVER", &self.url), ("CAIRN_STATE", state)], stdin)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Copies a folder with everything in it, as an operator restoring a backup by hand would.
pub fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_folder(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}
