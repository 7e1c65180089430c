//! What all routes of audit logs share.

use std::sync::Arc;

use audit_event::Writer;
use audit_index::AuditIndexes;
use audit_trail::Trail;
use base::clock::Clock;
use bytes::Bytes;
use log_api::logs::Logs;
use log_api::receipts::{self, Waits};
use log_core::Log;
use merkle::{LeafIndex, TreeSize};
use serve::principal::Principal;
use serve::refusal::Refusal;
use storage::LogKind;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use crate::exports::Exports;
use crate::refusal;

/// Settings of the audit logs' interface.
#[derive(Clone, Copy, Debug)]
pub struct AuditOptions {
    /// How long calls wait for receipts.
    pub waits: Waits,
    /// Bytes of one event of our own API, at most 1 MiB.
    pub event_bytes_max: usize,
    /// Streams open at a time.
    pub streams_max: usize,
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
    indexes: Arc<AuditIndexes>,
    /// `None` where nothing is written.
    exports: Option<Exports>,
    options: AuditOptions,
    /// One permit for each stream that may be open.
    streams: Arc<Semaphore>,
    stopping: CancellationToken,
}

impl Audit {
    /// Serves the audit logs among `logs`; `stopping` ends the streams.
    pub fn new(
        trail: Trail,
        logs: Logs,
        indexes: Arc<AuditIndexes>,
        exports: Option<Exports>,
        options: AuditOptions,
        stopping: CancellationToken,
    ) -> Self {
        let streams = Arc::new(Semaphore::new(options.streams_max));
        Self {
            parts: Arc::new(Parts { trail, logs, indexes, exports, options, streams, stopping }),
        }
    }

    /// The way into the logs.
    pub fn trail(&self) -> &Trail {
        &self.parts.trail
    }

    /// All logs of the server.
    pub fn logs(&self) -> &Logs {
        &self.parts.logs
    }

    /// Where events are searched.
    pub fn indexes(&self) -> &Arc<AuditIndexes> {
        &self.parts.indexes
    }

    pub(crate) fn exports(&self) -> Result<&Exports, Refusal> {
        self.parts.exports.as_ref().ok_or_else(refusal::read_only)
    }

    pub(crate) fn options(&self) -> &AuditOptions {
        &self.parts.options
    }

    pub(crate) fn clock(&self) -> &dyn Clock {
        &**self.trail().registry().clock()
    }

    /// A place for one more stream. It is free again when it is dropped.
    pub(crate) fn open_stream(&self) -> Result<OwnedSemaphorePermit, Refusal> {
        let streams = Arc::clone(&self.parts.streams);
        let full = |_| refusal::too_many_streams(self.options().streams_max);
        streams.try_acquire_owned().map_err(full)
    }

    /// Cancelled when the server stops.
    pub(crate) fn stopping(&self) -> CancellationToken {
        self.parts.stopping.clone()
    }

    /// The bytes of a tlog-proof against the newest signed head that covers the event.
    pub async fn receipt(&self, log: &Log, index: LeafIndex) -> Result<Bytes, Refusal> {
        if !log.tree().head.size.contains(index) {
            return Err(refusal::event_not_found());
        }
        let size = TreeSize::new(index.get() + 1).map_err(|_| refusal::event_not_found())?;
        let head = receipts::covering(log, "index", size).await?;
        receipts::tlog_proof(self.logs().reads(), log, &head, index).await
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
