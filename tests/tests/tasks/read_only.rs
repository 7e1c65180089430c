//! Checks of stores on a disk that takes no writes. Needs a kernel that lets a user mount; where it does
//! not, there is nothing to test.

use std::process::Output as Said;

use e2e::stderr_of;

use super::*;

/// Runs `fsck` with its data folder mounted to read only; `None` where that is not granted.
fn fsck(program: &str, data: &Path) -> Option<Said> {
    let unshare = |script: &str| {
        let mut command = Command::new("unshare");
        command.args(["-rm", "sh", "-c", script, "sh"]).arg(data).arg(binary(program));
        command.output().unwrap()
    };
    let mount = "mount --bind \"$1\" \"$1\" && mount -o remount,bind,ro \"$1\"";
    let granted = unshare(&format!("{mount} && ! touch \"$1/written\"")).status.success();
    granted.then(|| unshare(&format!("{mount} && exec \"$2\" fsck --data-dir \"$1\"")))
}

#[test]
fn a_store_of_logs_is_checked_on_a_disk_that_takes_no_writes() {
    let server = Process::server(&[]);
    append(&server);
    let Some(in_use) = fsck("cairn-server", &server.data()) else { return };
    assert_eq!(in_use.status.code(), Some(2), "{}", stderr_of(&in_use));
    assert!(stderr_of(&in_use).contains("in use"), "{}", stderr_of(&in_use));
    let dir = server.into_dir();
    let data = dir.path().join("data");
    stdout_of(&fsck("cairn-server", &data).unwrap());
    // A store that was never opened again has no lock file, and none is made.
    fs::remove_file(data.join("db/LOCK")).unwrap();
    stdout_of(&fsck("cairn-server", &data).unwrap());
    assert!(!data.join("db/LOCK").exists());
}

#[test]
fn a_store_of_a_witness_is_checked_on_a_disk_that_takes_no_writes() {
    let Site { mut witness, server } = Site::start();
    drop(server.add());
    witness.eventually("cosigned", || witness.metric("cairn_witness_log_size"));
    let Some(in_use) = fsck("cairn-witness", &witness.data()) else { return };
    assert_eq!(in_use.status.code(), Some(2), "{}", stderr_of(&in_use));
    // What `kill -9` left is repaired in memory only, as often as it is checked.
    witness.signal(Signal::KILL);
    witness.end();
    let store = witness.data().join("db/witness.redb");
    let before = fs::read(&store).unwrap();
    for _ in 0..2 {
        let report = stdout_of(&fsck("cairn-witness", &witness.data()).unwrap());
        assert!(report.contains("read 1 checkpoints"), "{report}");
    }
    assert_eq!(fs::read(&store).unwrap(), before);
    // Damage is found there as well.
    let mut damaged = before;
    // Everything behind the header.
    damaged[4_096..].fill(0xff);
    fs::write(&store, damaged).unwrap();
    let report = fsck("cairn-witness", &witness.data()).unwrap();
    assert_ne!(report.status.code(), Some(0), "{}", stderr_of(&report));
}
