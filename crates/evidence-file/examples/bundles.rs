//! Leaves evidence files of every kind, good and damaged, in a folder, with `expected.json`, which says how
//! each is verified and with which exit status: `cargo run -p evidence-file --example bundles -- DIR`.

#![expect(clippy::unwrap_used, reason = "what fails to unwrap fails the example")]

#[path = "../tests/kit/mod.rs"]
#[expect(dead_code, unreachable_pub, reason = "the tests use more of it")]
mod kit;

use std::path::PathBuf;

fn main() {
    let folder = std::env::args_os().nth(1).map(PathBuf::from);
    let folder = folder.expect("the folder to be made is the only argument");
    std::fs::create_dir(&folder).unwrap();
    kit::cases::make(&folder);
}
