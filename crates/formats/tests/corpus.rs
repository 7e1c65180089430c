//! The seeds of the fuzz targets of signed formats.

#![expect(clippy::unwrap_used, reason = "what fails to unwrap fails the test")]

#[path = "../../../fuzz/targets/corpus.rs"]
mod seeds;
#[path = "../../../fuzz/targets/checkpoint.rs"]
mod targets;

use seeds::run;

#[test]
fn note() {
    run("checkpoint_note", targets::note);
}

#[test]
fn proof() {
    run("checkpoint_proof", targets::proof);
}

#[test]
fn evidence() {
    run("checkpoint_evidence", targets::evidence);
}

#[test]
fn body() {
    run("checkpoint_body", targets::body);
}

#[test]
fn policy() {
    run("checkpoint_policy", targets::policy);
}

#[test]
fn key() {
    run("checkpoint_key", targets::key);
}
