//! A panic in each long-lived task. Release builds have no way to ask for one.

use std::os::unix::net::UnixStream;

use super::*;

/// The documented exit status after a panic in a vital task.
const PANICKED: i32 = 70;

/// A helper panics, is named while it is down, counted, and comes back; nothing else is harmed.
fn a_helper_comes_back(process: &Process, prefix: &str, task: &str, poke: impl Fn()) {
    process.trip(task);
    process.eventually(task, || {
        poke();
        let ready = process.get("/readyz").unwrap();
        ready.starts_with("HTTP/1.1 503") && ready.contains(task)
    });
    assert!(is_ok(&process.get("/healthz").unwrap()));
    let counted = format!("{prefix}_task_panics_total{{task=\"{task}\"}}");
    assert!(process.metric(&counted), "{counted}");
    assert!(!process.metric(&format!("{prefix}_panics_total 0")));
    process.heal(task);
    process.eventually("back", || is_ok(&process.get("/readyz").unwrap()));
    assert!(process.stderr().contains(&format!("asked {task} to panic")));
}

/// A vital task panics, and the process ends as documented.
fn the_process_ends(mut process: Process, task: &str, poke: impl Fn(&Process)) {
    process.trip(task);
    poke(&process);
    assert_eq!(process.end().code(), Some(PANICKED), "{task}: {}", process.stderr());
    assert!(process.stderr().contains("the process must end"), "{}", process.stderr());
}

#[test]
fn helpers_of_the_server_come_back() {
    if !cfg!(debug_assertions) {
        return;
    }
    let server = Process::server(&[]);
    let add = || drop(server.add());
    for task in ["publisher", "leaf index", "health", "disk watch", "clock watch"] {
        a_helper_comes_back(&server, "cairn", task, add);
    }
    let socket = server.data().join("admin.sock");
    a_helper_comes_back(&server, "cairn", "admin", || drop(UnixStream::connect(&socket)));
    append(&server);
    let report = stdout_of(&backup(&server, "backup"));
    assert!(report.contains("the running server"), "{report}");
    server.stop();
}

#[test]
fn a_publisher_that_is_down_does_not_keep_the_server_from_stopping() {
    if !cfg!(debug_assertions) {
        return;
    }
    let server = Process::server(&[]);
    server.trip("publisher");
    server.eventually("down", || {
        drop(server.add());
        server.metric("cairn_task_down{task=\"publisher\"} 1")
    });
    server.stop();
}

#[test]
fn a_vital_task_of_the_server_ends_it() {
    if !cfg!(debug_assertions) {
        return;
    }
    // Whoever waits is answered, and not with success.
    let refused = |server: &Process| {
        let answer = server.add();
        assert!(!answer.as_deref().is_some_and(is_ok), "{answer:?}");
    };
    the_process_ends(Process::server(&[]), "committer", refused);
    the_process_ends(Process::server(&[]), "signing", |server| drop(server.add()));
    the_process_ends(Process::server(&[]), "listener", |server| drop(server.get("/healthz")));
}

#[test]
fn the_tasks_that_ask_witnesses_come_back() {
    if !cfg!(debug_assertions) {
        return;
    }
    let Site { witness, server } = Site::start();
    let add = || drop(server.add());
    for task in ["witness rounds", "witness submitter"] {
        a_helper_comes_back(&server, "cairn", task, add);
    }
    // A log that was there before is asked about; its witness is away, and so it is asked on.
    let dir = server.into_dir();
    drop(witness);
    let policy = format!("default={}", dir.path().join("policy").display());
    let args = ["--policy", &policy, "--witness-pause-max-ms", "200"];
    let server = Process::start_in(dir, "cairn-server", &Output::Kept, &args);
    a_helper_comes_back(&server, "cairn", "ask witnesses", || ());
    server.stop();
}

#[test]
fn helpers_of_the_witness_come_back() {
    if !cfg!(debug_assertions) {
        return;
    }
    let witness = Process::witness(&[
        "--logs-poll-ms",
        "50",
        "--peer",
        "http://127.0.0.1:9",
        "--gossip-interval-ms",
        "50",
    ]);
    for task in ["logs", "gossip"] {
        a_helper_comes_back(&witness, "cairn_witness", task, || ());
    }
    let server = Process::server(&[]);
    add_log(&witness, &fs::read_to_string(server.data().join("keys/default.vkey")).unwrap());
    witness.stop();
}

#[test]
fn a_vital_task_of_the_witness_ends_it() {
    if !cfg!(debug_assertions) {
        return;
    }
    the_process_ends(Process::witness(&[]), "listener", |witness| drop(witness.get("/healthz")));
    for task in ["lane", "committer"] {
        let Site { witness, server } = Site::start();
        the_process_ends(witness, task, |_| drop(server.add()));
    }
}
