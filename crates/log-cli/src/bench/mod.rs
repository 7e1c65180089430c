//! The load generator: one loop for every kind of call, so that a result and its floor are measured
//! by the same code.
//!
//! `template` builds request bytes once, of audit logs from what `items` prepares; `codec`, `grpc`,
//! `stream` and `http` send them; `load` keeps calls in flight and measures how long they take; `probe`
//! measures the disk and the server's CPU.

pub(crate) mod builtin;
pub(crate) mod codec;
pub(crate) mod events;
pub(crate) mod grpc;
pub(crate) mod http;
pub(crate) mod items;
pub(crate) mod load;
pub(crate) mod probe;
pub(crate) mod publication;
pub(crate) mod read;
pub(crate) mod receipts;
pub(crate) mod stream;
pub(crate) mod template;
