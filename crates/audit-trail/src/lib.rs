//! Recording audit events, and reading them back.
//!
//! ```text
//! Draft ─► ValidEvent ─► blocks, salts, leaf ─► append, once only ─► Taken
//! (checked  (every limit   (sealed)               (log-core)          (index, time)
//!  schema)   holds)
//! ```
//!
//! | module | what |
//! |---|---|
//! | [`draft`] | what is recorded: an event of our own API, or an item of another format |
//! | [`record`] | [`Trail::record`]: the one way into an audit log |
//! | [`own`] | events of the server itself |
//! | [`stored`] | an event as it is stored, each block compared with its commitment |
//!
//! Nothing here knows a protocol: callers turn [`RecordError`] and [`Refused`] into answers.

#![warn(missing_docs)]

pub mod draft;
pub mod own;
pub mod record;
pub mod stored;

mod ids;
mod seal;

pub use draft::Draft;
pub use own::OwnEvent;
pub use record::{RecordError, Recorded, Refused, Taken};
pub use stored::{StoredError, StoredEvent};

use std::sync::Arc;

use base::clock::Clock;
use log_core::{Log, Registry};

/// The log that a first start makes for events.
pub const AUDIT_LOG: &str = "audit";

/// The log in which the server says what happens to itself. Nobody else writes to it.
pub const SYSTEM_LOG: &str = "system";

/// The way into the audit logs of a server. Cloning it is cheap.
#[derive(Clone, Debug)]
pub struct Trail {
    registry: Registry,
    clock: Arc<dyn Clock>,
}

impl Trail {
    /// Records in the logs of `registry`.
    pub fn new(registry: Registry) -> Self {
        let clock = Arc::clone(registry.clock()) as Arc<dyn Clock>;
        Self { registry, clock }
    }

    /// The logs.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Where the server says what happens to itself; `None` if it has no such log.
    pub fn system(&self) -> Option<Log> {
        let is_audit = |log: &Log| log.record().kind == storage::LogKind::Audit;
        self.registry.log(SYSTEM_LOG).filter(is_audit)
    }
}

#[cfg(test)]
mod tests;
