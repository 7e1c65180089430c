//! The search index of an audit log: a follower that can be deleted at any time.
//!
//! ```text
//! log ──► follower ──► parts of one log ──► search: hits, each compared with the stored blocks
//!   │                  DATA/index/<log>       ▲
//!   └──────────── events beyond the index ────┘
//! ```
//!
//! | module | what |
//! |---|---|
//! | [`query`] | what is asked, as names and values state it |
//! | [`fold`], `words`, `document` | texts as they are compared, and the terms of an event |
//! | `matching` | whether an event matches: the same terms, without an index |
//! | [`read`] | events as the log has stored them |
//! | [`search`], [`counts`] | pages and counts, over the index and what it does not hold yet |
//! | [`follower`] | fills the indexes of all audit logs |
//! | `parts`, `merging` | the index of one log: parts that follow one another |
//! | `part`, `schema` | a part: a tantivy index of consecutive events |
//! | `pack`, `directory`, [`disk`] | a part on disk: one file, every block of it with a checksum |
//!
//! **A bad index can hide, never invent.** Every hit is compared with the stored blocks before it is
//! answered. Damage that is found drops the index of that log, which is then filled from zero; searches
//! read the log itself meanwhile. Nothing here is in the way of an append.
//!
//! **Memory.** The blocks of all parts within [`IndexOptions::cache_bytes`], up to 256 open parts of some
//! hundred kilobytes, and while events are taken two parts of 32 MiB, or one of those that are merged:
//! about 130 MiB. All calls block.

#![warn(missing_docs)]

pub mod fold;
pub mod query;

mod document;
mod matching;
mod words;

pub mod read;

pub mod counts;
pub mod search;

pub mod follower;

mod merging;
mod part;
mod parts;
mod schema;

mod directory;
pub mod disk;
mod pack;

pub use counts::{By, Counts};
pub use follower::AuditFollower;
pub use query::{Cursor, Member, Order, Query, QueryError, QueryRule};
pub use read::Recorded;
pub use search::{AuditIndexes, Count, EraseError, IndexOptions, Page, SearchError, Trouble};
