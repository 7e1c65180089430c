//! Publishing: the checkpoints that everybody sees, and their archive.

pub(crate) mod publisher;
