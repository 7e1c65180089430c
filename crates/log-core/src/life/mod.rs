//! The life of a process's logs: how they start, are created and end. This room connects the others.

mod naming;
mod recover;
mod registry;
mod rooms;
mod start;

pub use registry::{Registry, RegistryOptions, WeakRegistry};
pub(crate) use rooms::Rooms;
