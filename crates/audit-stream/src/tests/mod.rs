//! Lanes over real sockets, to receivers that answer as the published examples do.

#![expect(clippy::disallowed_methods, reason = "a panic in a test's own task must reach the test")]

mod elasticsearch;
mod lanes;
mod others;
mod receiver;
mod rig;
mod splunk;
