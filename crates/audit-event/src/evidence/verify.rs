//! Whether everything in an evidence file holds, line after line, in bounded memory.
//!
//! The caller opens the files and feeds lines and proofs; ten million events take 16 bytes each.

use formats::{Checkpoint, SignedCheckpoint, Trust};
use merkle::{Hash, LeafIndex};

use super::EVENTS_PER_PROOF;
use super::finding::{Finding, Gap, Report, Status};
use super::line::{self, Line};
use super::manifest::{FileFact, Manifest, proof_name};
use super::proof::BatchProof;
use super::seen::Seen;
use crate::blocks::{Tag, Tags};
use crate::text;
use crate::time::Instant;
use crate::value::Object;

/// Parses the checkpoint of an evidence file and asks whether it is believed. Without a checkpoint
/// that can be read there is nothing to verify against; one that is not believed is a finding, and
/// the rest can still be looked at.
pub fn check_trust(
    bytes: &[u8],
    trust: &Trust,
) -> Result<(SignedCheckpoint, Option<Finding>), Finding> {
    if matches!(trust, Trust::Keys(keys) if keys.is_empty()) {
        return Err(Finding::NoKey);
    }
    let signed = SignedCheckpoint::parse(bytes).map_err(|source| Finding::Checkpoint { source })?;
    let finding = trust.verify(&signed).err().map(|source| Finding::Trust { source });
    Ok((signed, finding))
}

/// Compares a file with what the manifest says of it.
pub fn check_file(name: &str, stated: &FileFact, found: &FileFact) -> Result<(), Finding> {
    if stated == found { Ok(()) } else { Err(Finding::File { name: name.to_owned() }) }
}

/// Verifies all lines and proofs. `proof` gives the file of a name such as `proofs/000001.txt`; lines
/// come with their newline. Errors are those of the caller's reading.
pub fn verify<E>(
    manifest: &Manifest,
    checkpoint: &Checkpoint,
    lines: impl IntoIterator<Item = Result<Vec<u8>, E>>,
    mut proof: impl FnMut(&str) -> Result<Vec<u8>, E>,
) -> Result<Report, E> {
    let mut verifier = Verifier::new(manifest, checkpoint);
    for line in lines {
        verifier.line(&line?);
        if verifier.proof_is_due() {
            verifier.proof(&proof(&verifier.proof_name())?);
        }
    }
    if verifier.has_unproven_lines() {
        verifier.proof(&proof(&verifier.proof_name())?);
    }
    Ok(verifier.finish())
}

/// Verifies lines as they come. After each line that makes [`proof_is_due`](Self::proof_is_due) true,
/// and at the end if [`has_unproven_lines`](Self::has_unproven_lines), the next proof must be given.
#[derive(Debug)]
pub struct Verifier<'a> {
    manifest: &'a Manifest,
    checkpoint: &'a Checkpoint,
    report: Report,
    /// The lines that the next proof is about.
    unproven: Vec<(LeafIndex, Hash)>,
    /// Proofs given.
    proofs: u64,
    /// The line before: its index and time of receipt.
    last: Option<(LeafIndex, u64)>,
    /// The first line of a complete file that is not the next of its range.
    out_of_range: Option<u64>,
    /// The time of receipt of the first line.
    first_received: Option<Instant>,
    seen: Seen,
}

impl<'a> Verifier<'a> {
    /// A verifier of the lines of a file with this manifest and checkpoint.
    pub fn new(manifest: &'a Manifest, checkpoint: &'a Checkpoint) -> Self {
        let mut report = Report { decided: manifest.filter.is_decidable(), ..Report::default() };
        if manifest.origin != checkpoint.origin().as_str() {
            report.add(Finding::Origin);
        }
        if manifest.tree_size != checkpoint.size() {
            report.add(Finding::Size { name: super::manifest::NAME.to_owned() });
        }
        Self {
            manifest,
            checkpoint,
            report,
            unproven: Vec::new(),
            proofs: 0,
            last: None,
            out_of_range: None,
            first_received: None,
            seen: Seen::with_room_for(manifest.events),
        }
    }

    /// Takes the next line, with its newline. Gives the event back, for the views, if it can be read.
    pub fn line(&mut self, bytes: &[u8]) -> Option<Line> {
        if self.report.status() == Status::Unusable {
            return None;
        }
        let number = self.report.lines + 1;
        let expected = self.manifest.events;
        if number > expected {
            if number == expected + 1 {
                self.report.lines = number;
                self.report.add(Finding::Count { found: number, expected });
            }
            return None;
        }
        self.report.lines = number;
        let Some(text) = bytes.strip_suffix(b"\n") else {
            self.report.add(Finding::Unterminated { line: number });
            return None;
        };
        match Line::parse(text) {
            Ok(line) => {
                self.check(number, &line);
                Some(line)
            }
            Err(source) => {
                self.report.add(Finding::Line { line: number, source });
                None
            }
        }
    }

    /// Whether as many lines wait as one proof is about.
    pub fn proof_is_due(&self) -> bool {
        u64::try_from(self.unproven.len()).is_ok_and(|lines| lines == EVENTS_PER_PROOF)
    }

    /// Whether lines wait for their proof.
    pub fn has_unproven_lines(&self) -> bool {
        !self.unproven.is_empty()
    }

    /// What was found so far.
    pub fn findings(&self) -> &[Finding] {
        &self.report.findings
    }

    /// The name of the next proof.
    pub fn proof_name(&self) -> String {
        proof_name(self.proofs + 1)
    }

    /// Takes the proof of the lines that wait.
    pub fn proof(&mut self, bytes: &[u8]) {
        self.proofs += 1;
        let number = self.proofs;
        let leaves = std::mem::take(&mut self.unproven);
        let proof = match BatchProof::parse(bytes) {
            Ok(proof) => proof,
            Err(source) => return self.report.add(Finding::Proof { number, source }),
        };
        let (size, root) = (self.checkpoint.size(), self.checkpoint.root());
        if proof.size != size {
            self.report.add(Finding::Size { name: proof_name(number) });
        }
        if let Err(source) = merkle::verify_batch_inclusion(&leaves, size, &proof.hashes, root) {
            self.report.add(Finding::Inclusion { number, source });
        }
    }

    /// The report, after the last line and proof.
    pub fn finish(mut self) -> Report {
        if self.report.status() == Status::Unusable {
            return self.report; // the lines behind it were not read
        }
        if self.has_unproven_lines() {
            self.report.add(Finding::ProofMissing { number: self.proofs + 1 });
        }
        let (found, expected) = (self.report.lines, self.manifest.events);
        if found < expected {
            self.report.add(Finding::Count { found, expected });
        }
        for reason in self.gaps() {
            self.report.add(Finding::Incomplete { reason });
        }
        self.report
    }

    fn check(&mut self, number: u64, line: &Line) {
        self.unproven.push((line.index, line.leaf_hash()));
        self.check_order(number, line);
        let core = check_blocks(number, line, &mut self.report);
        if let Some(core) = &core {
            self.check_pair(number, core);
        }
        self.check_withheld(number, line);
        if self.manifest.complete.is_some() {
            self.check_complete(number, line, core.as_ref());
        }
        if !line.erased.is_empty() {
            self.report.erased += 1;
        }
        if line.withheld.without(self.manifest.withheld).is_empty() {
            self.report.in_full += 1;
        } else {
            self.report.reduced += 1;
        }
    }

    fn check_order(&mut self, line: u64, found: &Line) {
        let received = found.leaf.received_at_ns();
        if let Some((index, time)) = self.last {
            if found.index <= index {
                self.report.add(Finding::Order { line });
            }
            if received < time {
                self.report.add(Finding::Time { line });
            }
        }
        if let Some(range) = &self.manifest.complete {
            let index = found.index.get();
            let is_next = range.contains(&index) && index - range.start == line - 1;
            if !is_next {
                self.out_of_range.get_or_insert(line);
            }
        }
        self.first_received.get_or_insert_with(|| Instant::from_nanos(received));
        self.last = Some((found.index, received));
    }

    /// An event is known by its source and id, where `core` states both as texts.
    fn check_pair(&mut self, line: u64, core: &Object) {
        let pair = line::text_of(core, "source").zip(line::text_of(core, "id"));
        if pair.is_some_and(|(source, id)| !self.seen.insert(source, id)) {
            self.report.add(Finding::Twice { line });
        }
    }

    fn check_withheld(&mut self, line: u64, found: &Line) {
        let shown = found.shown_tags();
        if let Some(tag) = shown.intersection(self.manifest.withheld).iter().next() {
            self.report.add(Finding::Announced { line, tag });
        }
        let unannounced = found.withheld.without(self.manifest.withheld);
        let may_be_reduced =
            self.manifest.complete.is_some() && shown.without(Tags::CORE).is_empty();
        if let Some(tag) = unannounced.iter().next()
            && !may_be_reduced
        {
            self.report.add(Finding::Unannounced { line, tag });
        }
    }

    /// A line that matches the filter is whole, one that does not shows `core` alone.
    fn check_complete(&mut self, line: u64, found: &Line, core: Option<&Object>) {
        if found.erased.contains(Tag::Core) {
            self.report.unjudged += 1;
        }
        let Some(core) = core.filter(|_| self.report.decided) else { return };
        let received = Instant::from_nanos(found.leaf.received_at_ns());
        if self.manifest.filter.matches(core, received) {
            if !found.withheld.without(self.manifest.withheld).is_empty() {
                self.report.add(Finding::WithheldMatched { line });
            }
        } else if !found.shown_tags().without(Tags::CORE).is_empty() {
            self.report.add(Finding::ShownUnmatched { line });
        }
    }
}

/// Completeness, judged at the end from the first and last line.
impl Verifier<'_> {
    fn gaps(&self) -> Vec<Gap> {
        let Some(range) = &self.manifest.complete else { return Vec::new() };
        let size = self.checkpoint.size().get();
        let filter = &self.manifest.filter;
        let mut gaps = Vec::new();
        gaps.extend((range.end > size).then_some(Gap::Beyond));
        gaps.extend(self.out_of_range.map(|line| Gap::Line { line }));
        gaps.extend((self.report.lines < range.end - range.start).then_some(Gap::Short));
        if !filter.has_receipt_range() {
            gaps.extend((*range != (0..size)).then_some(Gap::NotWhole));
            return gaps;
        }
        let before = self.first_received.is_some_and(|first| !filter.is_not_before(first));
        gaps.extend((range.start != 0 && !before).then_some(Gap::Start));
        let last = self.last.map(|(_, received)| Instant::from_nanos(received));
        let after = last.is_some_and(|last| !filter.is_before_end(last));
        gaps.extend((range.end != size && !after).then_some(Gap::End));
        gaps
    }
}

/// Whether the blocks of a line are those of its leaf and canonical. Gives the members of `core`, if it
/// is shown and canonical.
pub(super) fn check_blocks(line: u64, found: &Line, report: &mut Report) -> Option<Object> {
    if let Some(tag) = found.withheld.intersection(found.erased).iter().next() {
        report.add(Finding::BothLists { line, tag });
    }
    if found.withheld.contains(Tag::Core) {
        report.add(Finding::CoreWithheld { line });
    }
    let shown = found.shown_tags();
    let all = shown.union(found.withheld).union(found.erased);
    let twice = shown.intersection(found.withheld.union(found.erased));
    if all != found.leaf.tags() || !twice.is_empty() {
        report.add(Finding::Tags { line });
    }
    if let Err(source) = found.leaf.verify(&found.shown(), Tags::NONE) {
        report.add(Finding::Block { line, source });
    }
    let mut core = None;
    for block in found.blocks.iter().filter(|block| block.tag != Tag::Raw) {
        match text::read(&block.bytes) {
            Ok(members) if block.tag == Tag::Core => core = Some(members),
            Ok(_) => {}
            Err(source) => report.add(Finding::NotCanonical { line, tag: block.tag, source }),
        }
    }
    core
}
