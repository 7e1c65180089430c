//! The seeds of the fuzz targets of evidence files.

#[path = "../../../../fuzz/targets/corpus.rs"]
mod seeds;
#[path = "../../../../fuzz/targets/evidence_file.rs"]
mod targets;

#[test]
fn zip() {
    seeds::run("evidence_zip", targets::zip);
}
