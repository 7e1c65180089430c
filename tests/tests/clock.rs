//! A real server, and a real witness, whose machine's clock is set wrong and right again.

#![expect(clippy::unwrap_used, reason = "a test fails where its fixtures do")]

use std::time::{SystemTime, UNIX_EPOCH};

use e2e::{
    Home, Server, cairn_server, eventually, get, stderr_of, stdout_of, witness::Witness,
    wrong_clock::WrongClock,
};
use formats::SignedCheckpoint;

const DAY_S: i64 = 86_400;
const YEAR_S: i64 = 365 * DAY_S;
/// How late a test may look at a clock. Nothing is timed: only a step of days is told from none.
const LATE_S: i64 = 3_600;

fn start(home: &Home, clock: &WrongClock) -> Server {
    let wrapper = clock.wrapper();
    let wrapper: Vec<&str> = wrapper.iter().map(String::as_str).collect();
    home.start_under(&wrapper, &[] as &[&str]).unwrap()
}

/// By how far a time is from what the clock of this test says.
fn beside_now(unix_s: i64) -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    unix_s - i64::try_from(now).unwrap()
}

fn is_near(one: i64, other: i64) -> bool {
    (one - other).abs() < LATE_S
}

/// Appends, and gives by how far the time that the log's ML-DSA-44 line states is from now.
fn signed_beside_now(home: &Home, server: &Server) -> i64 {
    let append = ["append", "default", "-", "--lines", "--receipt", "signed"];
    let index = stdout_of(&server.cairn_stdin(home, append, b"x\n"));
    let index: u64 = index.split('\t').next().unwrap().parse().unwrap();
    let published = eventually(|| {
        let (_, note) = get(server.url(), "/logs/default/checkpoint");
        let signed = SignedCheckpoint::parse(note.as_bytes()).unwrap();
        (signed.size().get() > index).then_some(signed)
    });
    let line = published.signatures().nth(1).unwrap();
    let time = u64::from_be_bytes(line.signature[..8].try_into().unwrap());
    beside_now(i64::try_from(time).unwrap())
}

fn ready(url: &str) -> Result<(), String> {
    match get(url, "/readyz") {
        (200, _) => Ok(()),
        (503, trouble) => Err(trouble),
        (status, body) => panic!("{status}: {body}"),
    }
}

/// The gauge with "clock" in its name, of which there is one.
fn offset(url: &str) -> i64 {
    let (_, metrics) = get(url, "/metrics");
    let mut clocks =
        metrics.lines().filter(|line| !line.starts_with('#') && line.contains("clock"));
    let (name, value) = clocks.next().unwrap().split_once(' ').unwrap();
    assert!(name.ends_with("clock_offset_seconds"), "{name}");
    assert_eq!(clocks.next(), None);
    let seconds = value.split('.').next().unwrap();
    seconds.parse().unwrap()
}

#[test]
fn a_server_whose_clock_steps_signs_on_and_its_operator_decides() {
    let home = Home::new();
    let clock = WrongClock::new(&home.path(""));
    let server = start(&home, &clock);
    let (url, data) = (server.url().to_owned(), home.data());
    let accept = || cairn_server(["clock", "accept", "--data-dir", data.to_str().unwrap()]);
    assert!(is_near(signed_beside_now(&home, &server), 0));
    assert!(stdout_of(&accept()).starts_with("there is nothing to accept"));

    for step in [YEAR_S, -YEAR_S] {
        clock.set(step);
        let trouble = ready(&url).unwrap_err();
        assert!(trouble.contains("clock") && trouble.contains("cairn-server clock accept"));
        assert!(is_near(offset(&url), step));
        assert!(is_near(signed_beside_now(&home, &server), 0));
        clock.set(60);
        ready(&url).unwrap();
        assert_eq!(offset(&url), 0);
    }
    let said = eventually(|| {
        let said = server.stderr();
        said.contains("the clock is believed again").then_some(said)
    });
    assert!(said.contains("the clock stepped and is not believed"), "{said}");

    clock.set(YEAR_S);
    assert!(stdout_of(&accept()).starts_with("the clock is accepted"));
    ready(&url).unwrap();
    assert!(is_near(signed_beside_now(&home, &server), YEAR_S));
    server.kill();
    assert!(data.join("admin.sock").exists(), "as a killed process leaves it");
    let none = accept();
    assert_eq!(none.status.code(), Some(2));
    assert!(stderr_of(&none).contains("no cairn-server runs over"), "{}", stderr_of(&none));

    // The clock was set right meanwhile, and is behind what was signed.
    clock.set(0);
    let server = start(&home, &clock);
    let trouble = ready(server.url()).unwrap_err();
    assert!(trouble.contains(" until 20"), "{trouble}");
    assert!(is_near(offset(server.url()), -YEAR_S));
    assert!(is_near(signed_beside_now(&home, &server), YEAR_S));
    assert!(stdout_of(&accept()).starts_with("the clock is accepted"));
    ready(server.url()).unwrap();
    assert!(is_near(signed_beside_now(&home, &server), YEAR_S));
    server.stop().unwrap();
    assert!(!data.join("admin.sock").exists());
    let server = start(&home, &clock);
    ready(server.url()).unwrap();
    server.stop().unwrap();
}

#[test]
fn a_witness_whose_clock_steps_cosigns_on_and_its_operator_decides() {
    let home = Home::new();
    let clock = WrongClock::new(&home.path(""));
    let witness = Witness::start_under(&clock.wrapper(), "w");
    let url = witness.url();
    let accept = || witness.command(&["clock", "accept"]);
    let first = home.start();
    let vkeys = std::fs::read_to_string(home.data().join("keys/default.vkey")).unwrap();
    first.stop().unwrap();
    witness.add_log("default", &vkeys);
    let policy = home.file("policy", format!("{}quorum w\n", witness.policy_lines()).as_bytes());
    let policy = format!("default={}", policy.display());
    let server = home.start_with(&["--policy", &policy]).unwrap();
    let cosigned = |line: &[u8]| {
        let append = ["append", "default", "-", "--lines", "--receipt", "witnessed"];
        stdout_of(&server.cairn_stdin(&home, append, line));
    };
    cosigned(b"one\n");
    assert!(stdout_of(&accept()).starts_with("there is nothing to accept"));
    for step in [YEAR_S, -YEAR_S] {
        clock.set(step);
        let trouble = ready(url).unwrap_err();
        assert!(trouble.contains("clock") && trouble.contains("cairn-witness clock accept"));
        assert!(is_near(offset(url), step));
        cosigned(format!("{step}\n").as_bytes());
        clock.set(0);
        ready(url).unwrap();
        assert_eq!(offset(url), 0);
    }
    clock.set(-YEAR_S);
    ready(url).unwrap_err();
    assert!(stdout_of(&accept()).starts_with("the clock is accepted"));
    ready(url).unwrap();
    cosigned(b"two\n");
    server.stop().unwrap();
}

#[test]
fn a_command_for_the_clock_says_where_no_server_is() {
    let home = Home::new();
    let accept = |dir: &std::path::Path| {
        let output = cairn_server(["clock", "accept", "--data-dir", dir.to_str().unwrap()]);
        assert_eq!(output.status.code(), Some(2));
        stderr_of(&output)
    };
    assert!(accept(&home.path("none")).contains("not a data folder of cairn-server"));
    assert!(accept(&home.path("")).contains("not a data folder of cairn-server"));
    home.start().stop().unwrap();
    assert!(accept(&home.data()).contains("no cairn-server runs over"));
}
