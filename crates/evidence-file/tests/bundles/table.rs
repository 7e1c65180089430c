//! The table of files, through this verifier and through the one in Python.

use std::path::Path;
use std::process::Command;

use evidence_file::verify;
use formats::key::read_vkeys;
use formats::{Policy, Trust, VerifierKey};

use crate::kit::cases;

fn trust(folder: &Path, arguments: &[String]) -> Trust {
    match [&*arguments[0], &*arguments[1]] {
        ["--policy", file] => {
            Trust::Policy(Policy::parse(&std::fs::read(folder.join(file)).unwrap()).unwrap())
        }
        [_, key] => match key.strip_prefix('@') {
            None => Trust::Keys(vec![VerifierKey::parse(key).unwrap()]),
            Some(file) => {
                let read = read_vkeys(&std::fs::read(folder.join(file)).unwrap());
                Trust::Keys(read.unwrap_or_default())
            }
        },
    }
}

#[test]
fn every_file_of_the_kit_has_its_exit_status() {
    let folder = tempfile::tempdir().unwrap();
    let expected = cases::make(folder.path());
    let mut wrong = Vec::new();
    for case in &expected {
        let trust = trust(folder.path(), &case.arguments);
        let verdict = verify(&folder.path().join(&case.name), &trust, |_| {}).unwrap();
        if verdict.status().code() != case.status {
            let why =
                (&verdict.unusable, verdict.report.findings.iter().take(3).collect::<Vec<_>>());
            wrong.push(format!("{}: {} expected, not {why:?}", case.name, case.status));
        }
    }
    assert_eq!(wrong, [""; 0]);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../audit-event/tests/verifier.py");
    let output = Command::new("python3")
        .args(["-I".as_ref(), script.as_os_str(), "--table".as_ref(), folder.path().as_os_str()])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
