//! The gRPC health of the server, by name.

use std::time::Duration;

use base::clock::Clock as _;
use base::tasks::Background;
use log_api::service::Service;
use log_core::Registry;
use log_proto::log_v1::log_service_server::LogServiceServer;
use serve::health::Health;
use tonic::server::NamedService;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

/// The gRPC health name of witnessed receipts. It fails by itself, because witnesses never stop
/// appends.
pub const WITNESSED_HEALTH: &str = "cairn.log.v1.LogService/witnessed";
/// How often readiness is looked at.
const HEALTH_INTERVAL: Duration = Duration::from_millis(500);

/// Sets the health names now, and keeps them up to date until the server stops.
pub(crate) async fn follow(
    reporter: &HealthReporter,
    health: &Health,
    registry: &Registry,
    background: &mut Background,
) {
    set(reporter, statuses(health, registry)).await;
    let (reporter, health, registry) = (reporter.clone(), health.clone(), registry.clone());
    background.helper("health", move || {
        let (reporter, health, registry) = (reporter.clone(), health.clone(), registry.clone());
        async move {
            let mut before = None;
            loop {
                let now = statuses(&health, &registry);
                if before.replace(now) != Some(now) {
                    set(&reporter, now).await;
                }
                registry.clock().sleep(HEALTH_INTERVAL).await;
            }
        }
    });
}

/// The status of the server, and that of witnessed receipts.
pub(crate) fn statuses(health: &Health, registry: &Registry) -> (ServingStatus, ServingStatus) {
    let status = |is| if is { ServingStatus::Serving } else { ServingStatus::NotServing };
    let witnessed = registry.is_witnessing() && !health.is_stopping();
    (status(health.readiness().is_ok()), status(witnessed))
}

pub(crate) async fn set(
    reporter: &HealthReporter,
    (server, witnessed): (ServingStatus, ServingStatus),
) {
    reporter.set_service_status(WITNESSED_HEALTH, witnessed).await;
    let log = <LogServiceServer<Service> as NamedService>::NAME;
    reporter.set_service_status(log, server).await;
    reporter.set_service_status("", server).await;
}
