//! One event alone: a line of `events.ndjson` in a file of its own, and the log's receipt of its leaf.

use formats::{TlogProof, Trust};

use super::finding::{Finding, Report};
use super::line::Line;
use super::verify::check_blocks;

/// Verifies an event against its receipt. Lines count from 1, so findings name line 1.
pub fn verify_event(event: &[u8], receipt: &[u8], trust: &Trust) -> (Report, Option<Line>) {
    let mut report = Report::default();
    if matches!(trust, Trust::Keys(keys) if keys.is_empty()) {
        report.add(Finding::NoKey);
    }
    let line = Line::parse(event).map_err(|source| Finding::Line { line: 1, source });
    let proof = TlogProof::parse(receipt).map_err(|source| Finding::ReceiptForm { source });
    let (line, proof) = match (line, proof) {
        (Ok(line), Ok(proof)) => (line, proof),
        (line, proof) => {
            for finding in line.err().into_iter().chain(proof.err()) {
                report.add(finding);
            }
            return (report, None);
        }
    };
    report.lines = 1;
    check_blocks(1, &line, &mut report);
    if proof.index() != line.index {
        report.add(Finding::Index);
    }
    if let Err(source) = proof.verify(&line.leaf_hash(), trust) {
        report.add(Finding::Receipt { source });
    }
    (report, Some(line))
}
