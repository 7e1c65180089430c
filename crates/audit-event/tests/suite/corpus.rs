//! The seeds of the fuzz targets of events.

#[path = "../../../../fuzz/targets/corpus.rs"]
mod seeds;
#[path = "../../../../fuzz/targets/audit.rs"]
pub(crate) mod targets;

use seeds::run;

#[test]
fn event() {
    run("audit_event", targets::event);
}

#[test]
fn block() {
    run("audit_block", targets::block);
}

#[test]
fn evidence() {
    run("audit_evidence", targets::evidence);
}

#[test]
fn mapping() {
    run("audit_mapping", targets::mapping);
}
