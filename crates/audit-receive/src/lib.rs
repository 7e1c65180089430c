//! Receivers: what others send in their own formats becomes events of an audit log.
//!
//! ```text
//! body ─► items ─► mapped (audit-event) ─► recorded (audit-trail) ─► the sender's own answer
//!                    └──────────┴─ what cannot be taken ─► one `source.malformed`
//! ```
//!
//! | module | what |
//! |---|---|
//! | [`routes`] | every route, one row each |
//! | [`sources`] | what is configured of a source: its log and its defaults |
//! | [`receive`] | [`receive::Receive`]: what all receivers share |
//! | [`syslog`] | the receiver that has ports of its own |
//!
//! Each receiver is a file: it cuts a request into items, says what each item's source is, and says in
//! the words of its protocol what became of the request. Nothing is acknowledged before it is durable.
//! What a sender cannot be told to shorten or to correct is never lost: its bytes are kept with an event
//! that says so.

pub mod routes;

pub mod sources;

pub mod receive;

pub mod syslog;

mod quarantine;
mod take;

mod cloudevents;
mod cloudtrail;
mod hec;
mod imports;
mod kubernetes;
mod otlp;
