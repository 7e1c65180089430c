//! Every example of every `--help` of the three binaries.

use std::fs;

use e2e::{Home, Server, eventually, numbered_lines, stdout_of, witness::Witness};
use formats::{Checkpoint, Evidence, KeyFile, SignedCheckpoint, Signer, Timestamp};
use log_client::tiles::{HttpSource, Resource, Source as _};
use merkle::tile::{BundlePath, TileCoord, TilePath};
use merkle::{Hash, TreeSize};

use crate::blocks::{examples, subcommands};
use crate::place::Place;

/// Entries of the log before any example: so many lines, and three files.
const LINES: usize = 210;
const ENTRIES: u16 = 213;

/// A log file of `CloudTrail` with one record.
const CLOUDTRAIL: &str = r#"{"Records":[{"eventVersion":"1.09","eventID":"6f1c1a52-7d0b-4a53-9a55-0c6a0f6a1d11",
"eventTime":"2026-03-02T10:00:00Z","eventSource":"s3.amazonaws.com","eventName":"DeleteObject",
"awsRegion":"eu-west-1","recipientAccountId":"123456789012","sourceIPAddress":"192.0.2.1",
"userIdentity":{"type":"IAMUser","userName":"ana","arn":"arn:aws:iam::123456789012:user/ana"}}]}"#;

/// The examples of a program and of all that is below it, with the words that lead there.
fn all_examples(place: &Place, words: &str) -> Vec<(String, String)> {
    let help = place.run(&format!("{words} --help"));
    let below = subcommands(&help);
    let own = examples(&help);
    // A server serves without a word for it, and shows how above; a group shows nothing of its own.
    let exempt = !below.is_empty() || words.ends_with(" serve");
    assert!(exempt || !own.is_empty(), "{words} shows no example");
    let own = own.into_iter().map(|example| (words.to_owned(), example));
    let below = below.iter().flat_map(|name| all_examples(place, &format!("{words} {name}")));
    own.chain(below).collect()
}

/// A log with entries, a witness, and files of the names that examples use.
struct Site {
    server: Server,
    _witness: Witness,
    place: Place,
    _home: Home,
}

impl Site {
    async fn new() -> Self {
        let (home, witness, mut place) = (Home::new(), Witness::start("w1"), Place::new());
        place.file("destinations.toml", DESTINATION);
        let config = place.path("destinations.toml");
        let server = home.start_with(&["--config".as_ref(), config.as_os_str()]).unwrap();
        place.set("CAIRN_SERVER", server.url());
        place.replace("https://log.example/logs/audit", "https://log.example/logs/default");
        place.replace("https://log.example", server.url());
        place.replace("http://127.0.0.1:6962", server.url());
        place.replace("http://127.0.0.1:6963", witness.url());
        place.stand_in("journalctl", "echo '{\"a\":1}'; echo '{\"b\":2}'");
        place.stand_in("curl", "exec cat \"$(dirname \"$0\")\"/../work/fork-6-8.evidence");
        place.stand_in("pidof", &format!("echo {}", server.pid()));
        place.file("lines", numbered_lines(LINES));
        for name in ["invoice", "a", "b"] {
            place.file(&format!("{name}.json"), format!("{{\"of\":\"{name}\"}}"));
        }
        place.file("trail.json", r#"{"Records":[{"n":1},{"n":2}]}"#);
        place.file("AWSLogs/a.json", CLOUDTRAIL);
        place.file("public-keys.json", r#"{"PublicKeyList":[]}"#);
        place.file("events.ndjson", events(EVENTS));
        place.file("events/more.ndjson", events(3));
        for command in FIXTURE {
            place.run(command);
        }
        let vkeys = fs::read_to_string(place.path("audit.vkey")).unwrap();
        witness.add_log("default", &vkeys);
        let trail = fs::read_to_string(place.path("trail.vkey")).unwrap();
        let logs = vkeys.lines().chain(trail.lines());
        let logs: Vec<String> = logs.map(|vkey| format!("log {vkey}\n")).collect();
        place.file("policy.txt", logs.concat() + &witness.policy_lines() + "quorum none\n");
        let receipt = fs::read_to_string(place.path("42.tlog-proof")).unwrap();
        place.file("yesterday.checkpoint", receipt.split_once("\n\n").unwrap().1);
        place.file("fork-6-8.evidence", evidence(&home));
        let site = Self { server, _witness: witness, place, _home: home };
        site.mirror().await;
        site
    }

    /// The log's public files, once all its entries are published.
    async fn mirror(&self) {
        let show = "cairn checkpoint default --quiet | sed -n 2p";
        eventually(|| (self.place.run(show).trim() == ENTRIES.to_string()).then_some(()));
        let tile = TilePath::new(TileCoord { level: 0, index: 0 }, ENTRIES).unwrap();
        let bundle = BundlePath::new(0, ENTRIES).unwrap();
        let files = vec![Resource::Checkpoint, Resource::Tile(tile), Resource::Bundle(bundle)];
        let source = HttpSource::new(&format!("{}/logs/default", self.server.url())).unwrap();
        let contents = source.fetch(files.clone()).await.unwrap();
        for (file, content) in files.iter().zip(contents) {
            self.place.file(&format!("mirror/{}", file.path()), content);
        }
    }
}

/// The destination of the examples, which nobody answers for; there are no events for it.
const DESTINATION: &str =
    "[[destination]]\nname = \"siem\"\nkind = \"otlp\"\nurl = \"http://127.0.0.1:1\"\n";

/// Events of the audit log before any example, as one looks at the last of them by its index.
const EVENTS: usize = 43;

/// Events as JSON, a line each.
fn events(count: usize) -> String {
    let event = |at: usize| {
        format!(
            "{{\"source\":\"urn:x\",\"id\":\"{at}\",\"time\":\"2026-03-04T09:10:11Z\",\
             \"action\":\"invoice.updated\",\"outcome\":\"success\",\
             \"actor\":{{\"type\":\"user\",\"id\":\"ana\"}}}}\n"
        )
    };
    (0..count).map(event).collect::<Vec<_>>().concat()
}

const FIXTURE: [&str; 14] = [
    "cairn record - < events.ndjson",
    "cairn log show audit --vkeys > trail.vkey",
    "cairn event show audit 42 --out kept",
    "cairn export audit --out evidence.zip",
    "cairn export audit --out evidence",
    "cairn log create payments-2025",
    "cairn log create invoices-2025",
    "cairn log show default --vkeys | tee default.vkey > audit.vkey",
    "cairn append default lines --lines --receipt signed --out receipts",
    "cairn append default a.json b.json invoice.json",
    "cp receipts/42.entry receipts/42.tlog-proof .",
    "cairn prove default --range 100..200 --out 100-200.range-receipt",
    "cairn prove default --index 210 --index 211 --out two.range-receipt",
    "cairn prove default --consistency 42.tlog-proof --out now.consistency",
];

/// Two heads of one size that the log's own key signed.
fn evidence(home: &Home) -> Vec<u8> {
    let keys = fs::read_to_string(home.data().join("keys/default")).unwrap();
    let file = KeyFile::parse(&keys).unwrap();
    let key: &dyn Signer = &file.keys()[0];
    let head = |root: u8| {
        let (origin, size) = (file.name().clone().into(), TreeSize::new(6).unwrap());
        let head = Checkpoint::new(origin, size, Hash::from([root; 32]));
        let note = formats::sign(&head, &[key], Timestamp::ZERO).unwrap();
        SignedCheckpoint::parse(&note).unwrap()
    };
    Evidence::of_same_size(head(1), head(2)).unwrap().format()
}

/// A command as it is run: the load of a moment, not of half a minute.
fn shortened(words: &str, example: &str) -> String {
    if words != "cairn bench" {
        return example.to_owned();
    }
    let bare = example.replace(" --duration 30", "").replace("--rate 10000", "--rate 100");
    format!("{bare} --duration 1 --warmup 0.1 --floor 0.1")
}

/// What an example writes, and other examples read, is not there before it.
fn remove_output(place: &Place, example: &str) {
    let mut words = example.split(' ').skip_while(|word| *word != "--out");
    let file = words.nth(1).map(|name| place.path(name));
    if let Some(file) = file.filter(|file| file.is_file()) {
        fs::remove_file(file).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_example_of_cairn_works() {
    let site = Site::new().await;
    let all = all_examples(&site.place, "cairn");
    assert!(all.len() >= 40, "{all:?}");
    for (words, example) in all {
        let before = copy_of(&site.place);
        remove_output(&site.place, &example);
        if words == "cairn event tail" && !example.contains("--no-follow") {
            let mut tail = site.place.start(&example);
            let line = std::thread::scope(|scope| {
                let line = scope.spawn(|| tail.first_line());
                eventually(|| {
                    site.place.run("cairn record shop.opened");
                    line.is_finished().then_some(())
                });
                line.join().unwrap()
            });
            assert!(line.contains('\t'), "{example}: {line}");
        } else if words == "cairn tail" && !example.contains("--no-follow") {
            let mut tail = site.place.start(&example);
            let line = std::thread::scope(|scope| {
                let line = scope.spawn(|| tail.first_line());
                // What is appended before the tail has begun, it does not print.
                eventually(|| {
                    site.place.run("echo next | cairn append default --lines");
                    line.is_finished().then_some(())
                });
                line.join().unwrap()
            });
            assert!(line.contains('\t'), "{example}: {line}");
        } else {
            site.place.run(&shortened(&words, &example));
        }
        restore(&site.place, &before);
    }
    let shown = stdout_of(&e2e::cairn(["log", "list", "--server", site.server.url()]));
    for created in ["payments", "invoices", "receipts"] {
        assert!(shown.lines().any(|line| line.split('\t').next() == Some(created)), "{shown}");
    }
}

/// Examples do not build on one another: each starts from the same files.
fn copy_of(place: &Place) -> std::path::PathBuf {
    let kept = place.work().with_file_name("kept");
    e2e::copy_folder(&place.work(), &kept).unwrap();
    kept
}

fn restore(place: &Place, kept: &std::path::Path) {
    fs::remove_dir_all(place.work()).unwrap();
    fs::rename(kept, place.work()).unwrap();
}

/// Runs the examples of a server in order, in a folder where one finds what another left.
fn run_all(place: &Place, program: &str) -> usize {
    let all = all_examples(place, program);
    for (_, example) in &all {
        let command = example.split(' ').nth(1);
        if command.is_none_or(|word| word == "serve" || word.starts_with("--")) {
            let mut server = place.start(&format!("{example} --listen 127.0.0.1:0"));
            server.url();
        } else if example.contains(" clock accept") {
            let mut server =
                place.start(&format!("{program} --data-dir data --listen 127.0.0.1:0"));
            server.url();
            place.run(example);
        } else if example.contains(" erase ") {
            // No call takes events yet, so the log has none that could be erased.
            let said = place.refused(example);
            assert!(said.contains("entry 17 is beyond the committed size 0"), "{example}: {said}");
        } else {
            place.run(example);
        }
    }
    all.len()
}

#[test]
fn every_example_of_the_server_works() {
    let mut place = Place::new();
    let mut server = place.start("cairn-server --data-dir data --listen 127.0.0.1:0");
    place.set("CAIRN_SERVER", server.url());
    place.run("cairn log create payments");
    place.run("cairn log create trail --kind audit");
    place.run("echo one | cairn append default --lines");
    place.run("cairn checkpoint default --out newest.checkpoint");
    drop(server);
    assert!(run_all(&place, "cairn-server") >= 7);
}

#[test]
fn every_example_of_the_witness_works() {
    assert!(run_all(&Place::new(), "cairn-witness") >= 3);
}
