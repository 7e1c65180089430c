//! Servers whose processes may open few files: connections never take those of the store.

#![expect(clippy::unwrap_used, reason = "a test fails where its fixtures do")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::Command;

use e2e::{Home, binary};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

const BASH: [&str; 3] = ["bash", "-c", "ulimit -n \"$0\"; exec \"$@\""];

/// Runs what follows with a limit on open files that it cannot raise.
fn limited(files: &'static str) -> Vec<&'static str> {
    [&BASH[..], &[files]].concat()
}

/// One connection that stays open, request after request.
struct Kept {
    stream: BufReader<TcpStream>,
    host: String,
}

impl Kept {
    fn open(authority: &str) -> Self {
        let stream = TcpStream::connect(authority).unwrap();
        Self { stream: BufReader::new(stream), host: authority.to_owned() }
    }

    /// The status and the body of the answer.
    fn ask(&mut self, method: &str, path: &str, body: &[u8]) -> (u16, String) {
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nContent-Length: {}\r\n\r\n",
            self.host,
            body.len()
        );
        self.stream.get_mut().write_all(&[head.as_bytes(), body].concat()).unwrap();
        let mut line = String::new();
        self.stream.read_line(&mut line).unwrap();
        let status = line.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap();
        let mut length = 0;
        loop {
            line.clear();
            self.stream.read_line(&mut line).unwrap();
            let Some((name, value)) = line.split_once(':') else { break };
            if name.eq_ignore_ascii_case("content-length") {
                length = value.trim().parse().unwrap();
            }
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).unwrap();
        (status, String::from_utf8(body).unwrap())
    }
}

/// The idle connections are files of this process too.
fn raise_own_limit() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    setrlimit(Resource::Nofile, raised).unwrap();
}

/// The value of one line of `/metrics`.
fn counted(metrics: &str, name: &str) -> u64 {
    let value = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    value.unwrap_or_else(|| panic!("{name}: {metrics}")).parse().unwrap()
}

#[test]
fn idle_connections_leave_the_store_its_files() {
    let home = Home::new();
    // Small tables, so that the store opens many files.
    let settings = ["--memtable-bytes", "1048576", "--wal-bytes-max", "8388608"];
    let server = home.start_under(&limited("1024"), &settings).unwrap();
    let said = server.stderr();
    assert_eq!(said.matches("fewer connections than configured").count(), 1, "{said}");
    let mut kept = Kept::open(server.authority());
    assert_eq!(kept.ask("GET", "/healthz", b"").0, 200);

    raise_own_limit();
    let idle: Vec<TcpStream> =
        (0..1_200).map(|_| TcpStream::connect(server.authority()).unwrap()).collect();
    let mut entry = vec![0; 65_535];
    for index in 0..600_u64 {
        entry[..8].copy_from_slice(&index.to_be_bytes());
        let answer = kept.ask("POST", "/logs/default/add", &entry);
        assert_eq!(answer, (200, format!("{index}\n")), "{}", server.stderr());
    }
    let (_, metrics) = kept.ask("GET", "/metrics", b"");
    let refused = counted(&metrics, "cairn_connections_refused_total{reason=\"total\"}");
    // 1,024 less the store's half and the reserve is 448, of which one is the connection that
    // appends.
    assert!(refused >= 1_200 - 447, "{refused}");
    let said = server.stderr();
    assert!(said.lines().count() < 50, "no line for each connection: {said}");
    drop(idle);
    server.stop().unwrap();
}

#[test]
fn a_process_that_may_open_too_few_files_does_not_start() {
    let home = Home::new();
    let refusal = home.start_under(&limited("255"), &[] as &[&str]).unwrap_err().to_string();
    assert!(refusal.contains("the limit on open files is 255"), "{refusal}");
    assert!(refusal.contains("ulimit -n"), "the way out is named: {refusal}");
    home.start_under(&limited("256"), &[] as &[&str]).unwrap().stop().unwrap();
}

#[test]
fn a_soft_limit_is_raised_to_the_hard_one() {
    let home = Home::new();
    let soft = ["bash", "-c", "ulimit -Sn 100; exec \"$@\"", "bash"];
    let server = home.start_under(&soft, &[] as &[&str]).unwrap();
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", server.pid())).unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    let values: Vec<&str> = line.split_whitespace().skip(3).take(2).collect();
    assert_eq!(values[0], values[1], "{line}");
    server.stop().unwrap();
}

#[test]
fn a_witness_shares_its_files_out_too() {
    let dir = tempfile::tempdir().unwrap();
    let [bash, flag, script] = BASH;
    let mut command = Command::new(bash);
    command.args([flag, script, "255"]).arg(binary("cairn-witness"));
    command.arg("--data-dir").arg(dir.path().join("data"));
    let refused = command.args(["--listen", "127.0.0.1:0"]).output().unwrap();
    assert_eq!(refused.status.code(), Some(2));
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(said.contains("the limit on open files is 255"), "{said}");
    assert!(!dir.path().join("data").exists(), "nothing is made");
}
