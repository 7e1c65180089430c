//! What answers requests, and what each of them passes first.

use std::sync::Arc;

use audit_api::audit::Audit;
use audit_stream::Destinations;
use base::clock::Clock;
use log_api::http::Http;
use log_api::http::encoding::Encoder;
use log_api::logs::Logs;
use log_api::metrics::Metrics;
use log_api::refusal::API;
use log_api::service::{MESSAGE_BYTES_MAX, Service};
use log_proto::audit_v1::audit_service_server::AuditServiceServer;
use log_proto::log_v1::log_service_server::LogServiceServer;
use serve::health::Health;
use serve::middleware::Chain;
use serve::ops::Ops;
use tokio_util::sync::CancellationToken;
use tonic_health::pb::health_server::HealthServer;
use tonic_health::server::{HealthReporter, HealthService};

use super::Parts;
use crate::config::Config;
use crate::handler::Handler;
use crate::receivers;
use crate::routes::{self, To};

/// What answers for events.
pub(super) struct Events {
    pub(super) audit: Audit,
    pub(super) destinations: Destinations,
}

impl Parts {
    pub(super) fn handler<R>(
        &self,
        config: &Config,
        health: &Health,
        reporter: &HealthReporter,
        reflection: R,
        events: Events,
        stopping: &CancellationToken,
    ) -> Handler<R> {
        let Events { audit, destinations } = events;
        let (reads, metrics) = (Arc::clone(&self.reads), Arc::clone(&self.metrics));
        let logs = Logs::new(self.registry.clone(), reads, Arc::clone(&metrics));
        let service = Service::new(logs.clone(), config.service, stopping.clone());
        let ops = Ops::new(health.clone(), move || metrics.encode());
        let trail = audit.trail().clone();
        let receive = receivers::receive(config, trail, logs.clone(), health.clone());
        let http = Http::new(logs, Encoder::new(config.bundle_cache_bytes), ops);
        let health = HealthServer::new(HealthService::from_health_reporter(reporter.clone()));
        let log = LogServiceServer::new(service).max_decoding_message_size(MESSAGE_BYTES_MAX);
        let calls = AuditServiceServer::new(audit.clone());
        let calls = calls.max_decoding_message_size(MESSAGE_BYTES_MAX);
        Handler { log, health, reflection, http, audit, calls, receive, destinations }
    }
}

pub(super) fn chain(
    config: &Config,
    metrics: &Arc<Metrics>,
    request_id_prefix: u32,
    clock: Arc<dyn Clock>,
) -> Chain<To> {
    Chain {
        api: &API,
        routes: Arc::new(routes::table()),
        requests: Arc::clone(metrics.requests()),
        request_id_prefix,
        header_bytes_max: config.port.header_bytes_max,
        requests_max: config.requests_max,
        clock,
        http_timeout: config.http_timeout,
        grpc_timeout: config.http_timeout + config.service.waits.max,
        identity: None,
        quota: None,
    }
}
