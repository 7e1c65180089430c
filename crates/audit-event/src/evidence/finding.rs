//! What can be wrong with an evidence file, and what a verifier says at the end.

use super::line::LineError;
use super::manifest::proof_name;
use super::proof::ProofError;
use super::step::Step;
use crate::blocks::Tag;
use crate::commit::CommitError;
use crate::text::TextError;

/// Findings that a report lists; the others are counted.
pub const FINDINGS_MAX: usize = 1_000;

/// What a verifier says at the end; the number is its exit status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Status {
    /// 0: all holds.
    Holds,
    /// 1: it can be read, and something does not hold.
    DoesNotHold,
    /// 2: it cannot be used.
    Unusable,
}

impl Status {
    /// The exit status.
    pub fn code(self) -> u8 {
        match self {
            Self::Holds => 0,
            Self::DoesNotHold => 1,
            Self::Unusable => 2,
        }
    }
}

/// One thing that is wrong with an evidence file. Lines count from 1.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Finding {
    /// A line that cannot be read.
    #[error("line {line} cannot be used")]
    Line {
        /// The line.
        line: u64,
        /// What is wrong with it.
        #[source]
        source: LineError,
    },
    /// The last line does not end with a newline.
    #[error("line {line} does not end")]
    Unterminated {
        /// The line.
        line: u64,
    },
    /// A proof that cannot be read.
    #[error("the file {} cannot be used", proof_name(*number))]
    Proof {
        /// The proof, from 1.
        number: u64,
        /// What is wrong with it.
        #[source]
        source: ProofError,
    },
    /// Lines whose proof was never given.
    #[error("the file {} is missing", proof_name(*number))]
    ProofMissing {
        /// The proof, from 1.
        number: u64,
    },
    /// The checkpoint cannot be read.
    #[error("the checkpoint cannot be used")]
    Checkpoint {
        /// What is wrong with it.
        #[source]
        source: formats::CheckpointError,
    },
    /// No key was given to verify the checkpoint with.
    #[error("no key is given")]
    NoKey,
    /// The receipt of an event cannot be read.
    #[error("the receipt cannot be used")]
    ReceiptForm {
        /// What is wrong with it.
        #[source]
        source: formats::ProofError,
    },
    /// The receipt of an event does not prove it.
    #[error("the receipt does not prove the event")]
    Receipt {
        /// Why.
        #[source]
        source: formats::ProofError,
    },
    /// The receipt is of another index than the event.
    #[error("the receipt is of another index than the event")]
    Index,
    /// A file has another length or hash than the manifest says.
    #[error("the file {name:?} is not the one in the manifest")]
    File {
        /// Its name.
        name: String,
    },
    /// The checkpoint is not believed.
    #[error("the checkpoint is not trusted")]
    Trust {
        /// Why.
        #[source]
        source: formats::TrustError,
    },
    /// The manifest names another log than the checkpoint.
    #[error("the manifest names another log than the checkpoint")]
    Origin,
    /// The manifest or a proof states another size than the checkpoint.
    #[error("{name} states another tree size than the checkpoint")]
    Size {
        /// Which file.
        name: String,
    },
    /// There are other lines than the manifest says.
    #[error("there are {found} lines where the manifest says {expected}")]
    Count {
        /// Lines found, or one more than there should be.
        found: u64,
        /// Lines stated.
        expected: u64,
    },
    /// A line's index does not come after that of the line before.
    #[error("line {line}: its index does not come after the one before")]
    Order {
        /// The line.
        line: u64,
    },
    /// A line was received before the line before.
    #[error("line {line}: it was received before the one before")]
    Time {
        /// The line.
        line: u64,
    },
    /// A block is not what was committed to, or not one of the leaf's.
    #[error("line {line}: the blocks are not those of the leaf")]
    Block {
        /// The line.
        line: u64,
        /// Which block, and how.
        #[source]
        source: CommitError,
    },
    /// Shown, withheld and erased blocks are not exactly those of the leaf.
    #[error("line {line}: shown, withheld and erased blocks are not exactly those of the leaf")]
    Tags {
        /// The line.
        line: u64,
    },
    /// Blocks stand in both lists.
    #[error("line {line}: the block {tag} is both withheld and erased")]
    BothLists {
        /// The line.
        line: u64,
        /// Which block.
        tag: Tag,
    },
    /// `core` is withheld, which it never is.
    #[error("line {line}: the block core is withheld")]
    CoreWithheld {
        /// The line.
        line: u64,
    },
    /// Committed, and not the text that a log's server writes: the log is at fault, not the file.
    #[error("line {line}: the block {tag} is committed, but not canonical")]
    NotCanonical {
        /// The line.
        line: u64,
        /// Which block.
        tag: Tag,
        /// Where.
        #[source]
        source: TextError,
    },
    /// A block is shown that the manifest says no line shows.
    #[error("line {line}: the block {tag} is shown, and the manifest says that it is withheld")]
    Announced {
        /// The line.
        line: u64,
        /// Which block.
        tag: Tag,
    },
    /// A block is withheld that the manifest does not name.
    #[error("line {line}: the block {tag} is withheld, and the manifest does not say so")]
    Unannounced {
        /// The line.
        line: u64,
        /// Which block.
        tag: Tag,
    },
    /// An earlier line has the same source and id.
    #[error("line {line}: an earlier line has the same source and id")]
    Twice {
        /// The line.
        line: u64,
    },
    /// The lines are not in the tree.
    #[error("{} does not lead to the checkpoint", proof_name(*number))]
    Inclusion {
        /// The proof, from 1.
        number: u64,
        /// What the tree says.
        #[source]
        source: merkle::ProofError,
    },
    /// A complete file does not have exactly the lines of its range, or the range does not go as
    /// far as the filter.
    #[error("the file is not complete: {reason}")]
    Incomplete {
        /// What is wrong.
        reason: Gap,
    },
    /// The filter does not match a line of a complete file that shows more than `core`.
    #[error("line {line}: it is shown, and the filter does not match it")]
    ShownUnmatched {
        /// The line.
        line: u64,
    },
    /// The filter matches a line of a complete file that is reduced to `core`.
    #[error("line {line}: it is withheld, and the filter matches it")]
    WithheldMatched {
        /// The line.
        line: u64,
    },
    /// A view is not made of the events.
    #[error("the file {name:?} is not made of the events: row {row}, column {column}")]
    View {
        /// Which file.
        name: String,
        /// The row, from 1, without the head.
        row: u64,
        /// The column.
        column: &'static str,
    },
}

/// Why a file that says that nothing was left out does not show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Gap {
    /// The range ends beyond the tree.
    #[error("its range ends beyond the tree")]
    Beyond,
    /// A line is not the next of the range.
    #[error("line {line} is not the next of its range")]
    Line {
        /// The line.
        line: u64,
    },
    /// The lines end before the range does.
    #[error("its range has more events than lines")]
    Short,
    /// The range is not the whole tree, and no range of receipt times says why.
    #[error("its range is not the whole tree")]
    NotWhole,
    /// The first line does not lie before the times asked for.
    #[error("events before its first line may have been received in time")]
    Start,
    /// The last line does not lie after the times asked for.
    #[error("events after its last line may have been received in time")]
    End,
}

impl Finding {
    /// The line that it is about, from 1.
    pub fn line(&self) -> Option<u64> {
        match self {
            Self::Line { line, .. }
            | Self::Unterminated { line }
            | Self::Order { line }
            | Self::Time { line }
            | Self::Block { line, .. }
            | Self::Tags { line }
            | Self::BothLists { line, .. }
            | Self::CoreWithheld { line }
            | Self::NotCanonical { line, .. }
            | Self::Announced { line, .. }
            | Self::Unannounced { line, .. }
            | Self::Twice { line }
            | Self::ShownUnmatched { line }
            | Self::WithheldMatched { line }
            | Self::View { row: line, .. }
            | Self::Incomplete { reason: Gap::Line { line } } => Some(*line),
            _ => None,
        }
    }

    /// The block that it is about.
    pub fn block(&self) -> Option<Tag> {
        match self {
            Self::Block { source, .. } => match source {
                CommitError::Mismatch { tag }
                | CommitError::NotInLeaf { tag }
                | CommitError::Twice { tag } => Some(*tag),
            },
            Self::BothLists { tag, .. }
            | Self::NotCanonical { tag, .. }
            | Self::Announced { tag, .. }
            | Self::Unannounced { tag, .. } => Some(*tag),
            Self::CoreWithheld { .. } => Some(Tag::Core),
            _ => None,
        }
    }

    /// The step of the verification that found it.
    pub fn step(&self) -> Step {
        match self {
            Self::Line { .. }
            | Self::Unterminated { .. }
            | Self::Proof { .. }
            | Self::ProofMissing { .. }
            | Self::Checkpoint { .. }
            | Self::ReceiptForm { .. } => Step::Form,
            Self::File { .. } => Step::Files,
            Self::NoKey | Self::Trust { .. } => Step::Signature,
            Self::Origin | Self::Size { .. } | Self::Index => Step::Tree,
            Self::Inclusion { .. } | Self::Receipt { .. } => Step::Proof,
            Self::Count { .. } | Self::Order { .. } | Self::Time { .. } => Step::Order,
            Self::Block { .. } => Step::Commitment,
            Self::NotCanonical { .. } => Step::Text,
            Self::Tags { .. }
            | Self::BothLists { .. }
            | Self::CoreWithheld { .. }
            | Self::Announced { .. }
            | Self::Unannounced { .. } => Step::Blocks,
            Self::Twice { .. } => Step::Once,
            Self::Incomplete { .. } => Step::Complete,
            Self::ShownUnmatched { .. } | Self::WithheldMatched { .. } => Step::Filter,
            Self::View { .. } => Step::View,
        }
    }

    /// Whether the file does not hold, or cannot be used.
    pub fn status(&self) -> Status {
        match self {
            Self::Line { .. }
            | Self::Unterminated { .. }
            | Self::Proof { .. }
            | Self::ProofMissing { .. }
            | Self::Checkpoint { .. }
            | Self::ReceiptForm { .. }
            | Self::NoKey => Status::Unusable,
            _ => Status::DoesNotHold,
        }
    }
}

/// What was found, and how much was looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// The first [`FINDINGS_MAX`] findings.
    pub findings: Vec<Finding>,
    /// Findings beyond those.
    pub more: u64,
    /// Lines read.
    pub lines: u64,
    /// Lines that show all that the manifest does not withhold, or what is left of it.
    pub in_full: u64,
    /// Lines reduced to `core` because they do not match the filter.
    pub reduced: u64,
    /// Lines with a block that is said to be erased.
    pub erased: u64,
    /// Lines of a complete file that could not be judged because their `core` is erased.
    pub unjudged: u64,
    /// Whether it can be seen here that the reduced lines are those that the filter does not match.
    pub decided: bool,
}

impl Report {
    /// The worst of the findings.
    pub fn status(&self) -> Status {
        self.findings.iter().map(Finding::status).max().unwrap_or(Status::Holds)
    }

    /// Adds a finding, in its place or in the count. What cannot be used is never only counted.
    pub fn add(&mut self, finding: Finding) {
        if self.findings.len() < FINDINGS_MAX || finding.status() == Status::Unusable {
            self.findings.push(finding);
        } else {
            self.more += 1;
        }
    }
}
