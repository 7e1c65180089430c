//! Processes whose stdout and stderr cannot be written.

use super::*;

const UNWRITABLE: [Output; 2] = [Output::BrokenPipe, Output::Full];

#[test]
fn a_server_that_cannot_print_does_everything_else() {
    for output in UNWRITABLE {
        let server = Process::start("cairn-server", &output, &[]);
        append(&server);
        // A refused backup is logged by the thread that then has to write the next one.
        for out in ["backup", "another"] {
            let report = stdout_of(&backup(&server, out));
            assert!(report.contains("the running server"), "{report}");
            assert!(!backup(&server, out).status.success(), "nothing is overwritten");
        }
        assert!(server.metric("cairn_panics_total 0"));
        assert!(is_ok(&server.get("/readyz").unwrap()));
        server.eventually("published", || {
            server.metric("cairn_log_published_size{log=\"default\"} 3")
        });
        server.stop();
    }
}

#[test]
fn a_witness_that_cannot_print_does_everything_else() {
    for output in UNWRITABLE {
        let witness = Process::start("cairn-witness", &output, &["--logs-poll-ms", "50"]);
        // A bad file is logged by the task that then has to find the next one.
        fs::write(witness.data().join("logs/bad.vkey"), "no key\n").unwrap();
        witness.eventually("logged", || witness.metric("cairn_witness_bad_log_files 1"));
        let server = Process::server(&[]);
        add_log(&witness, &fs::read_to_string(server.data().join("keys/default.vkey")).unwrap());
        assert!(witness.metric("cairn_witness_panics_total 0"));
        assert!(is_ok(&witness.get("/readyz").unwrap()));
        witness.stop();
    }
}

#[test]
fn a_panic_that_cannot_be_printed_is_counted() {
    if !cfg!(debug_assertions) {
        return;
    }
    for output in UNWRITABLE {
        let server = Process::start("cairn-server", &output, &[]);
        server.trip("disk watch");
        server.eventually("down", || server.metric("cairn_task_panics_total{task=\"disk watch\"}"));
        server.heal("disk watch");
        server.eventually("back", || is_ok(&server.get("/readyz").unwrap()));
        server.stop();
    }
}

#[test]
fn a_check_that_cannot_print_says_by_its_exit_code_what_it_found() {
    let server = Process::server(&[]);
    append(&server);
    let dir = server.into_dir();
    let fsck = |data: &str| {
        let mut command = Command::new(binary("cairn-server"));
        command.args(["fsck", "--data-dir"]).arg(dir.path().join(data));
        let full = || Output::Full.stdio(Path::new(""));
        command.stdout(full()).stderr(full()).status().unwrap().code()
    };
    assert_eq!(fsck("data"), Some(0));
    assert_eq!(fsck("nowhere"), Some(2));
}
