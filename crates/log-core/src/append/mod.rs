//! Appending: from a call to its answer. The committer is the only code that writes entries.

pub(crate) mod admission;
pub(crate) mod queue;

pub(crate) mod committer;
pub(crate) mod linger;
pub(crate) mod plan;
pub(crate) mod resolve;
pub(crate) mod sequencer;

pub(crate) mod producers;
