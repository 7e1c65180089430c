//! The whole stack on 127.0.0.1:0 over a real store, called by a raw tonic client and plain HTTP: every
//! call and every route, what they give and what they refuse.

#![expect(clippy::unwrap_used, reason = "a test fails where its fixtures do")]
#![expect(clippy::disallowed_methods, reason = "a panic in a test's own task must reach the test")]

mod harness;

mod appending;
mod attachments;
mod batches;
mod deadline;
mod deduplication;
mod pressure;
mod principals;
mod receipts;
mod streams;

mod checkpoints;
mod entries;
mod logs;
mod proofs;
mod sizes;

mod add;
mod audit;
mod bundles;
mod clock;
mod operations;
mod routes;
mod tiles;
