//! README.md, from its first block to its last.

use crate::blocks::{Skipped, commands, of_document, run_here};
use crate::place::{Place, document};

const SKIPPED: [Skipped; 5] = [
    Skipped { part: "make demo", reason: "tests/demo.rs runs it without the build" },
    Skipped { part: "make test", reason: "this is it" },
    Skipped { part: "make build", reason: "takes minutes; the binaries are there" },
    Skipped { part: "go run", reason: "needs Go and the network: scripts/interop runs it" },
    Skipped { part: "grpcurl", reason: "needs Go and the network: scripts/interop runs it" },
];

#[test]
fn every_command_of_the_readme_works_in_order() {
    let mut place = Place::new();
    std::os::unix::fs::symlink("../bin", place.path("bin")).unwrap();
    let blocks = of_document(&document("README.md"));
    let all: Vec<String> = blocks.iter().flat_map(|block| commands(block)).collect();
    let mut server = None;
    let mut ran = 0;
    for command in run_here(all, &SKIPPED) {
        if command.starts_with("bin/cairn-server") {
            let (bare, _) = command.split_once(" #").unwrap_or((&command, ""));
            let mut started = place.start(&format!("{} --listen 127.0.0.1:0", bare.trim()));
            place.set("CAIRN_SERVER", started.url());
            server = Some(started);
        } else {
            place.run(&command);
        }
        ran += 1;
    }
    assert!(server.is_some() && ran >= 5, "{ran}");
    // What the text says of the last command: of another entry the receipt does not hold.
    place.file("receipts/0.entry", "invoice 4711 approved by mallory");
    let verify =
        "bin/cairn verify receipts/0.tlog-proof --entry receipts/0.entry --vkey @default.vkey";
    assert!(document("README.md").contains(verify));
    place.run(&format!("code=0; {verify} || code=$?; [ $code = 1 ]"));
}
