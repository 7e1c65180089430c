//! The library that services and auditors use: append, verify, follow.
//!
//! # Append
//!
//! [`Appender`] takes entries one at a time and sends them in batches, each exactly once, in order, with
//! bounded memory, through restarts of the server. [`ProducerStream`](producer::ProducerStream) does the
//! same for a producer that outlives its own process.
//!
//! ```no_run
//! use log_client::{Appender, AppenderOptions, Client, ClientOptions, NewEntry};
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let client = Client::connect("http://127.0.0.1:6962", &ClientOptions::default())?;
//! let appender = Appender::start(client, "default", AppenderOptions::default())?;
//! let pending = appender.append(NewEntry::new("user 17 logged in")).await?;
//! if let Some(appended) = pending.await?.appended() {
//!     println!("{} {}", appended.index, appended.leaf_hash);
//! }
//! appender.close().await;
//! # Ok(())
//! # }
//! ```
//!
//! # Record events
//!
//! [`AuditClient`](events::AuditClient) records events in an audit log and reads them back, and
//! [`AuditLayer`](layer::AuditLayer) makes events of what a service says with `tracing`.
//!
//! # Verify
//!
//! [`verify`] is plain functions over bytes: a receipt, a batch receipt, a consistency proof, a
//! checkpoint, each against the keys or the policy that the auditor trusts. No server, no runtime.
//!
//! # Follow
//!
//! [`verified::VerifiedLog`] reads a log through a server that nobody trusts: every entry comes with a
//! proof, every checkpoint continues the one before, and what was once seen is remembered in a
//! [`trusted::TrustedStore`]. A server that shows two histories is answered with a [`fork::Fork`]:
//! evidence that anyone can check.
//!
//! [`audit::Auditor`] replays a whole log from its public tiles, over HTTP or from a folder, and
//! re-hashes everything.
//!
//! # Errors
//!
//! [`ClientError`] says what to do: [`ClientError::advice`] is to retry, to change the request or to call
//! the operator, and [`ClientError::hint`] says it in a sentence.
#![warn(missing_docs)]

pub mod error;
pub mod types;

mod backoff;
mod client;
mod connect;
mod convert;
mod tasks;

pub mod appender;
pub mod events;
pub mod layer;
pub mod producer;
pub mod receipt;
pub mod spool;

mod durable;

pub mod verify;

pub mod fork;
pub mod gossip;
pub mod trusted;
pub mod verified;

pub mod tiles;

pub mod audit;

pub use appender::{Appender, AppenderOptions};
pub use backoff::RetryPolicy;
pub use client::{Client, ClientOptions, Entries, Watch};
pub use error::{Advice, ClientError};
pub use events::AuditClient;
pub use layer::{AuditGuard, AuditLayer};
pub use types::{
    AppendAnswer, BATCH_BYTES_MAX, BATCH_ENTRIES_MAX, BatchAnswer, ENTRY_BYTES_MAX, EntryOutcome,
    EntryRef, LogInfo, LogKind, LogState, LookupBy, NewEntry, NewLog, RangeReceipt, ReceiptLevel,
    Wanted,
};
