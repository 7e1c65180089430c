//! The committed corpus of each fuzz target, through the same function.

use std::path::Path;

#[path = "../../../../fuzz/targets/merkle.rs"]
mod targets;

fn run(target: &str, function: fn(&[u8])) {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
    let mut seeds = 0;
    for file in std::fs::read_dir(&corpus).unwrap() {
        let path = file.unwrap().path();
        function(&std::fs::read(&path).unwrap());
        seeds += 1;
    }
    assert!(seeds > 0, "{target} has no seeds");
}

#[test]
fn inclusion() {
    run("merkle_inclusion", targets::inclusion);
}

#[test]
fn consistency() {
    run("merkle_consistency", targets::consistency);
}

#[test]
fn prefix() {
    run("merkle_prefix", targets::prefix);
}

#[test]
fn batch() {
    run("merkle_batch", targets::batch);
}

#[test]
fn range() {
    run("merkle_range", targets::range);
}

#[test]
fn path() {
    run("merkle_path", targets::path);
}

#[test]
fn bundle() {
    run("merkle_bundle", targets::bundle);
}
