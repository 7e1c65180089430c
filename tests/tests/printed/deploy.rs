//! deploy/README.md: what it has an operator type, under another root, without systemd and other users.

use std::fs;

use crate::blocks::{commands, of_document};
use crate::place::{Place, Running, document};

/// Commands inside sentences, which stand in no block, and where they come in.
const BEFORE_RESTORE: &str = "mv /var/lib/cairn/db /var/lib/cairn/db.old";

/// A machine as the document has it, below the folder of a test.
fn machine() -> Place {
    let mut place = Place::new();
    for folder in ["/var/lib", "/etc/cairn", "/tmp"] {
        fs::create_dir_all(place.path(&format!("root{folder}"))).unwrap();
        place.replace(format!("{folder}/"), format!("root{folder}/"));
    }
    place.replace(" -o cairn -g cairn", "");
    place.stand_in("runuser", "[ \"$1\" = -u ] && [ \"$3\" = -- ] && shift 3 && exec \"$@\"");
    place
}

/// The server that a command is for, where none runs.
fn running_for(place: &Place, command: &str, runs: bool) -> Option<Running> {
    let serve = if command.contains("cairn-witness clock accept") {
        "cairn-witness --data-dir /var/lib/cairn-witness"
    } else if command.contains("cairn-server clock accept") && !runs {
        "cairn-server --data-dir /var/lib/cairn"
    } else {
        return None;
    };
    let mut running = place.start(&format!("{serve} --listen 127.0.0.1:0"));
    running.url();
    Some(running)
}

#[test]
fn every_command_of_the_deployment_guide_works_in_order() {
    let text = document("deploy/README.md");
    assert!(text.contains(BEFORE_RESTORE), "the guide moves the old store aside");
    let mut place = machine();
    place.file("root/etc/cairn/cairn-server.toml", document("deploy/cairn-server.toml"));
    let serve = "cairn-server --config /etc/cairn/cairn-server.toml --data-dir /var/lib/cairn";
    let mut server = Some(place.start(&format!("{serve} --listen 127.0.0.1:0")));
    place.set("CAIRN_SERVER", server.as_mut().unwrap().url());
    place.run("echo one | cairn append default --lines");
    place.run("cairn log show default --vkeys > /tmp/default.vkey");
    place.run("cairn checkpoint default --out newest.checkpoint");
    place.run("mkdir /var/lib/cairn-backup");
    for key in ["default", "audit", "audit.audit", "system", "system.audit"] {
        place.run(&format!("cp /var/lib/cairn/keys/{key} {key}"));
    }
    // The document's names of a log.
    place.replace("NAME", "default");

    let blocks = of_document(&text);
    let mut functions = String::new();
    let mut ran = Vec::new();
    for command in blocks.iter().flat_map(|block| commands(block)) {
        if command.contains("() {") {
            functions.push_str(&command);
            functions.push('\n');
            continue;
        }
        if command.starts_with("on_store restore") {
            drop(server.take());
            place.run(BEFORE_RESTORE);
            place.run("rm -r /var/lib/cairn/keys");
        }
        // What it shows is tested with clocks that step.
        if command.starts_with("curl ") && command.ends_with("/readyz") {
            continue;
        }
        let _running = running_for(&place, &command, server.is_some());
        place.run(&format!("{functions}{command}"));
        ran.push(command);
    }
    assert!(ran.len() >= 6, "{ran:#?}");
    for named in ["add-log", "backup", "restore", "install", "recover"] {
        assert!(ran.iter().any(|command| command.contains(named)), "{named}: {ran:#?}");
    }
    // The commands that stand in sentences.
    for command in ["on_store fsck", "on_store retire NAME"] {
        assert!(text.contains(command), "{command}");
        place.run(&format!("{functions}{command}"));
    }
    let again = place.start(&format!("{serve} --listen 127.0.0.1:0")).url();
    place.set("CAIRN_SERVER", again);
}
