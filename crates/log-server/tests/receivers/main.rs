//! The receivers over real sockets: what each sender sends, what it is answered, and what stands in the
//! log afterwards.

#![expect(clippy::unwrap_used, reason = "a test fails where its fixtures do")]
#![expect(clippy::disallowed_methods, reason = "a panic in a test's own task must reach the test")]

mod harness;

mod busy;
mod cloudevents;
mod cloudtrail;
mod destinations;
mod hec;
mod json;
mod kubernetes;
mod otlp;
mod senders;
mod sources;
mod syslog;
