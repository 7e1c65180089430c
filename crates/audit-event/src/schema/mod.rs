//! Which member of an event stands in which block, read and written in one place each.

mod read;
mod write;

pub(crate) use read::{Part, Server, read_block, read_event};
pub(crate) use write::{Noted, objects};
