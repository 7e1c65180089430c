//! What all routes of audit logs share.

use std::sync::Arc;

use audit_event::Writer;
use audit_trail::Trail;
use base::clock::Clock;
use log_api::logs::Logs;
use log_api::receipts::Waits;
use log_core::Log;
use serve::principal::Principal;
use serve::refusal::Refusal;
use storage::LogKind;

use crate::refusal;

/// Settings of the audit logs' interface.
#[derive(Clone, Copy, Debug)]
pub struct AuditOptions {
    /// How long calls wait for receipts.
    pub waits: Waits,
    /// Bytes of one event of our own API, at most 1 MiB.
    pub event_bytes_max: usize,
}

/// The audit logs of a server, as requests ask for them. Cloning it is cheap.
#[derive(Clone, Debug)]
pub struct Audit {
    parts: Arc<Parts>,
}

#[derive(Debug)]
struct Parts {
    trail: Trail,
    logs: Logs,
    options: AuditOptions,
}

impl Audit {
    /// Serves the audit logs among `logs`.
    pub fn new(trail: Trail, logs: Logs, options: AuditOptions) -> Self {
        Self { parts: Arc::new(Parts { trail, logs, options }) }
    }

    /// The way into the logs.
    pub fn trail(&self) -> &Trail {
        &self.parts.trail
    }

    /// All logs of the server.
    pub fn logs(&self) -> &Logs {
        &self.parts.logs
    }

    pub(crate) fn options(&self) -> &AuditOptions {
        &self.parts.options
    }

    pub(crate) fn clock(&self) -> &dyn Clock {
        &**self.trail().registry().clock()
    }

    /// The audit log that a request names.
    pub fn log(&self, name: &str) -> Result<Log, Refusal> {
        let log = self.logs().named(name)?;
        if log.record().kind == LogKind::Audit { Ok(log) } else { Err(refusal::not_audit(name)) }
    }
}

/// Who an event says that it was written by; nobody while the caller is anonymous.
pub fn writer(principal: &Principal) -> Option<Writer> {
    match principal {
        Principal::Anonymous => None,
        Principal::Named(id) => Some(Writer::Token(id.as_ref().to_owned())),
    }
}
