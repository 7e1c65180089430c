//! Events that go out: each destination gets the events of its logs in their order, at least once,
//! with what is needed to find each of them in its log again.
//!
//! ```text
//! log ─► batch ─► records ─► attempt ─► fates ─► dead letters ─► cursor
//!       (filter)  (of a kind) (one call)         (durable)       (durable)
//! ```
//!
//! | module | what |
//! |---|---|
//! | [`destination`] | what is configured of a destination |
//! | [`streams`] | all destinations of a server: started, listed, retried |
//! | [`routes`], `http` | the same over HTTP |
//! | `lane` | the events of one log on their way to one destination |
//! | `state` | what a lane remembers: its cursor and its dead letters |
//! | `batch` | events read and written as records |
//! | `sender` | one attempt, as a kind of destination takes it |
//! | `kinds` | requests and answers, a file a kind; pure |
//! | `metrics` | lanes in a scrape |
//!
//! **At least once.** The cursor is the index of the first event that is neither confirmed nor a dead
//! letter. It is written after the destination has answered, so what was sent just before a crash is
//! sent again. Dead letters are written before the cursor passes them.
//!
//! **Nothing personal is kept here.** Cursors and dead letters hold indexes; what is sent is read from
//! the log for each batch, and read again for the next attempt if something was erased meanwhile.

#![warn(missing_docs)]

pub mod destination;
pub mod routes;
pub mod streams;

mod http;
mod metrics;

mod batch;
mod lane;
mod sender;
mod state;

mod kinds;
mod reply;

pub use destination::{Ack, Destination, Form, Kind};
pub use reply::{Reason, SetUp, Trouble};
pub use streams::{Destinations, forget_stored};

#[cfg(test)]
mod tests;
