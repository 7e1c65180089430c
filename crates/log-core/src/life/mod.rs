//! The life of the logs of a process: how they start, are created and end.

pub(crate) mod recover;
pub(crate) mod registry;
pub(crate) mod start;
pub(crate) mod state;
