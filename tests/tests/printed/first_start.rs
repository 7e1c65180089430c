//! What the servers print when they start for the first time.

use crate::place::{Place, Running};

/// What is printed after "What to do next": commands, and the rest.
fn printed(server: &Running) -> (Vec<String>, Vec<String>) {
    let said = e2e::eventually(|| Some(server.stderr()).filter(|said| said.contains("  give ")));
    let lines = said.lines().filter_map(|line| line.strip_prefix("  ")).map(str::to_owned);
    lines.partition(|line| line.starts_with("cairn") || line.contains("| cairn"))
}

#[test]
fn what_the_server_prints_at_its_first_start_works_in_order() {
    let place = Place::new();
    let mut server = place.start("cairn-server --listen 127.0.0.1:0 --data-dir data");
    server.url();
    let (commands, others) = printed(&server);
    assert_eq!(commands.len(), 3, "{commands:?}");
    assert_eq!(others.len(), 1, "{others:?}");
    for command in commands {
        place.run(&command);
    }
    assert!(place.path("receipts/0.tlog-proof").exists());
    let file = others[0].strip_prefix("give ").unwrap().split(' ').next().unwrap();
    assert!(place.path(file).exists(), "{others:?}");
}

#[test]
fn what_the_witness_prints_at_its_first_start_works() {
    let mut place = Place::new();
    place.run("cairn keygen --name example.com/log --out log.key > default.vkey");
    place.replace("NAME", "default");
    let start = "cairn-witness --listen 127.0.0.1:0 --logs-poll-ms 50 --data-dir data";
    let mut witness = place.start(start);
    let url = witness.url();
    let (commands, others) = printed(&witness);
    assert_eq!(commands.len(), 1, "{commands:?}");
    place.run(&commands[0]);
    let file = others[0].strip_prefix("give ").unwrap().split(' ').next().unwrap();
    assert!(place.path(file).exists(), "{others:?}");
    place.run(&format!("cairn witness status {url} --vkey @default.vkey"));

    // What other witnesses are given: another one starts with it.
    let said = witness.stderr();
    let peer = said.lines().find_map(|line| line.split_once(" by --peer ")).unwrap().1;
    let start = "cairn-witness --listen 127.0.0.1:0 --data-dir other";
    let mut other = place.start(&format!("{start} --peer {peer}"));
    other.url();
}
