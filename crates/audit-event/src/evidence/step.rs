//! What a verification consists of.

/// A step of a verification.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// Everything can be read.
    Form,
    /// Every file is the one that the manifest states.
    Files,
    /// The checkpoint is signed by whom the verifier believes.
    Signature,
    /// Manifest, proofs and checkpoint are about one tree.
    Tree,
    /// Every event stands in the tree at its index.
    Proof,
    /// The lines are in order, as many as stated, and were received in that order.
    Order,
    /// Every shown block is what the log committed to.
    Commitment,
    /// Every shown block is the text that a log's server writes.
    Text,
    /// Shown, withheld and erased blocks are those of the leaf and of the manifest.
    Blocks,
    /// No source and id stands twice.
    Once,
    /// A complete file has all of its range, and the range goes as far as the filter.
    Complete,
    /// A complete file shows what the filter matches, and nothing else.
    Filter,
    /// The views are made of the events.
    View,
}

impl Step {
    /// All of them, in the order of a report.
    pub const ALL: [Self; 13] = [
        Self::Form,
        Self::Files,
        Self::Signature,
        Self::Tree,
        Self::Proof,
        Self::Order,
        Self::Commitment,
        Self::Text,
        Self::Blocks,
        Self::Once,
        Self::Complete,
        Self::Filter,
        Self::View,
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Form => "form",
            Self::Files => "files",
            Self::Signature => "signature",
            Self::Tree => "tree",
            Self::Proof => "proof",
            Self::Order => "order",
            Self::Commitment => "commitment",
            Self::Text => "text",
            Self::Blocks => "blocks",
            Self::Once => "once",
            Self::Complete => "complete",
            Self::Filter => "filter",
            Self::View => "view",
        }
    }
}
