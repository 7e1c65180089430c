//! What audit logs add to a server: the logs of a first start, search indexes, exports.

use std::sync::Arc;

use audit_api::audit::Audit;
use audit_api::exports::Exports;
use audit_index::AuditFollower;
use audit_stream::Destinations;
use audit_trail::{AUDIT_LOG, SYSTEM_LOG, Trail};
use base::tasks::Background;
use log_api::logs::Logs;
use log_api::metrics::followers::FollowerCollector;
use log_core::follow::Follow;
use log_core::{CreateLog, Registry};
use storage::LogKind;
use tokio_util::sync::CancellationToken;

use super::{DEFAULT_LOG, Parts, StartError};
use crate::config::Config;
use crate::copies::Copies;
use crate::system::System;

/// Events that the search indexes take in a second while others are appended; they keep up with every
/// rate at which events can be recorded.
const EVENTS_BUSY_RATE: u64 = 200_000;
/// The logs that a first start makes.
const FIRST_LOGS: [(&str, LogKind); 3] =
    [(DEFAULT_LOG, LogKind::Plain), (AUDIT_LOG, LogKind::Audit), (SYSTEM_LOG, LogKind::Audit)];

pub(super) async fn create_first_logs(registry: &Registry) -> Result<(), StartError> {
    for (name, kind) in FIRST_LOGS {
        let created = registry.create(CreateLog::new(name, kind)).await;
        created.map_err(|source| StartError::FirstLog { name, source })?;
    }
    Ok(())
}

/// Says that the server started, unless nothing is written in this process.
pub(super) fn start_system(
    config: &Config,
    trail: &Trail,
    background: &mut Background,
) -> Option<System> {
    let system = (!config.read_only).then(|| System::new(trail.clone(), config))?;
    let saying = system.clone();
    background.helper("system events", move || saying.clone().started());
    Some(system)
}

impl Parts {
    /// Makes evidence files that are asked for, unless nothing is written in this process.
    pub(super) fn start_exports(
        &self,
        config: &Config,
        trail: &Trail,
        destinations: &Destinations,
        background: &mut Background,
    ) -> Result<Option<Exports>, StartError> {
        if config.read_only {
            return Ok(None);
        }
        let (reads, indexes) = (Arc::clone(&self.reads), Arc::clone(&self.indexes));
        let exports = Exports::open(config.exports_dir(), trail.clone(), reads, indexes);
        let waiting = destinations.clone();
        let copies = Copies::of_server(config, Arc::clone(&self.indexes), exports.clone(), waiting);
        tokio::task::block_in_place(|| copies.clean_marked(&self.registry))?;
        let making = exports.clone();
        background.helper("exports", move || making.clone().run());
        destinations.start(background);
        Ok(Some(exports))
    }

    /// What is sent to others. Nothing is before the exports have begun, which is after what erasures left
    /// undone is done.
    pub(super) fn destinations(&self, config: &Config, trail: &Trail) -> Destinations {
        let (root, all) = (config.destinations_dir(), config.destinations.clone());
        let destinations = Destinations::new(root, trail.clone(), all);
        self.metrics.collect(destinations.collector());
        destinations
    }

    pub(super) fn audit(
        &self,
        config: &Config,
        trail: Trail,
        exports: Option<Exports>,
        stopping: &CancellationToken,
    ) -> Audit {
        let (reads, metrics) = (Arc::clone(&self.reads), Arc::clone(&self.metrics));
        let logs = Logs::new(self.registry.clone(), reads, metrics);
        let indexes = Arc::clone(&self.indexes);
        Audit::new(trail, logs, indexes, exports, config.audit, stopping.clone())
    }

    /// Fills the search indexes.
    pub(super) fn follow_events(&self, background: &mut Background) {
        let (registry, reads) = (self.registry.clone(), Arc::clone(&self.reads));
        let follower = AuditFollower::new(Arc::clone(&self.indexes));
        let events = Follow::new(follower, registry, reads, EVENTS_BUSY_RATE);
        self.indexes.filled_by(events.handle());
        self.metrics.collect(FollowerCollector::new(vec![events.handle()]));
        let events = Arc::new(events);
        background.helper("search index", move || Arc::clone(&events).run());
    }
}
