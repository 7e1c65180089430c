//! Evidence files on disk: written by whoever exports events, verified by anybody.
//!
//! | module | what |
//! |---|---|
//! | [`write`](mod@write) | a [`Writer`] takes events one by one and leaves a whole file, or nothing |
//! | [`verify`](mod@verify) | opens a file and says whether all of it holds |
//! | [`zip`] | zip archives: a strict reader, and a writer that streams |
//! | [`readme`], [`page`] | the two files for people |
//! | [`words`] | texts of others, made safe to show |
//!
//! What the files say is `audit_event::evidence`; here is all that touches bytes on disk. A file of ten
//! million events is written and verified in bounded memory. Nothing here believes what it reads, and
//! no error repeats a value of an event, because it may be personal.

#![warn(missing_docs)]

pub mod page;
pub mod readme;
pub mod verify;
pub mod words;
pub mod write;
pub mod zip;

mod container;
mod digest;
mod folder;
mod section;
mod views;

pub use container::ContainerError;
pub use folder::FolderError;
pub use verify::{Unusable, Verdict, verify};
pub use write::{Options, Statements, Writer};
