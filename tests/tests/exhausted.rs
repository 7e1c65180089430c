//! A machine that is short of something says so; it is not the server that is away, nor its outcome unknown.

use std::process::Command;

use e2e::{Home, binary, stderr_of};

#[test]
fn a_process_without_a_file_to_spare_says_that_this_machine_cannot_connect() {
    let home = Home::new();
    let server = home.start();
    let mut said = Vec::new();
    // Somewhere between none and enough there is a file for everything but the connection.
    for files in 3..=32 {
        let script = format!("ulimit -n {files} && exec \"$@\"");
        let output = Command::new("sh")
            .args(["-c", &script, "sh"])
            .arg(binary("cairn"))
            .args(["log", "create", &format!("log-{files}"), "--server", server.url()])
            .output()
            .expect("a shell starts");
        said.push(format!("{files}: {:?} {}", output.status.code(), stderr_of(&output)));
        if output.status.success() {
            break;
        }
    }
    let all = said.concat();
    assert!(said.last().is_some_and(|last| last.contains("Some(0)")), "{all}");
    assert!(all.contains("this machine cannot connect now"), "{all}");
    assert!(all.contains("ulimit -n"), "{all}");
    assert!(!all.contains("not known") && !all.contains("check that the server runs"), "{all}");
}
