//! The event of an audit trail, pure and strict.
//!
//! | module | what |
//! |---|---|
//! | [`event`] | [`AuditEvent`], all members of an event; unchecked |
//! | [`validate`] | [`ValidEvent`]: every limit holds, every default is filled in |
//! | [`json`] | an event's JSON form, read strictly |
//! | [`protobuf`] | its protobuf form |
//! | [`catalogue`], [`sentence`] | what is known and said of each action |
//! | [`mapping`] | items of other formats to events, and events to other formats |
//! | [`text`] | the text of a block: written one way, and only that way is read |
//! | [`blocks`] | event to blocks and back |
//! | [`leaf`] | the bytes a log commits to |
//! | [`commit`] | salted commitments, and what a leaf says about the blocks that are shown |
//! | [`keys`] | once only: event keys, content digests, ids of items that have none |
//! | [`evidence`] | evidence files: written, read, verified |
//!
//! Nothing here reads a clock, a file, the network or a random number generator: times, salts and ids
//! are passed in. Bytes from outside give an error, never a panic, and no error repeats a value of
//! an event, because it may be personal.

#![warn(missing_docs)]

pub mod blocks;
pub mod catalogue;
pub mod commit;
pub mod event;
pub mod evidence;
pub mod flag;
pub mod json;
pub mod keys;
pub mod leaf;
pub mod mapping;
pub mod path;
pub mod sentence;
pub mod text;
pub mod time;
pub mod validate;
pub mod value;

pub mod protobuf;

mod hex;
mod limits;
mod members;
mod schema;
mod wire;

pub use blocks::{Block, Blocks, Raw, RecordedEvent, Stamp, Tag, Tags, Writer};
pub use commit::{Salt, Shown};
pub use event::AuditEvent;
pub use flag::{Flag, Flags};
pub use keys::LogSecret;
pub use leaf::Leaf;
pub use members::{FieldError, Rule, Unknown};
pub use path::Path;
pub use sentence::Sentence;
pub use time::Instant;
pub use validate::{Fill, ValidEvent};
pub use value::{Integer, Value};
