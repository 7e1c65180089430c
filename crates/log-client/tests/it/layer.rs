//! The layer against a service that keeps what it is sent.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use futures_util::Stream;
use log_client::ClientError;
use log_client::events::AuditEvent;
use log_client::layer::{AuditLayer, LayerOptions, StartError};
use log_proto::audit_v1::audit_event::value::Value;
use log_proto::audit_v1::audit_service_server::{AuditService, AuditServiceServer};
use log_proto::{audit_v1 as pb, events};
use prost::Message as _;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status, Streaming};
use tracing_subscriber::prelude::*;

/// Keeps events but those of the action `bad.one`; answers the first call that it is away if told to.
#[derive(Clone, Debug, Default)]
struct Service {
    kept: Arc<Mutex<Vec<AuditEvent>>>,
    is_away: Arc<AtomicBool>,
}

#[tonic::async_trait]
impl AuditService for Service {
    type RecordStreamStream =
        Pin<Box<dyn Stream<Item = Result<pb::RecordStreamResponse, Status>> + Send>>;
    type TailEventsStream = Pin<Box<dyn Stream<Item = Result<pb::StoredEvent, Status>> + Send>>;
    type ExportEventsStream =
        Pin<Box<dyn Stream<Item = Result<pb::ExportEventsResponse, Status>> + Send>>;

    async fn record_event(
        &self,
        _: Request<events::RecordEventRequest>,
    ) -> Result<Response<pb::RecordEventResponse>, Status> {
        Err(Status::unimplemented("not here"))
    }

    async fn record_events(
        &self,
        request: Request<events::RecordEventsRequest>,
    ) -> Result<Response<pb::RecordEventsResponse>, Status> {
        if self.is_away.swap(false, Ordering::SeqCst) {
            return Err(Status::unavailable("later"));
        }
        let mut kept = self.kept.lock().unwrap();
        let mut results = Vec::new();
        for bytes in request.into_inner().events {
            let event = AuditEvent::decode(bytes).unwrap();
            let result = if event.action.as_deref() == Some("bad.one") {
                pb::record_result::Result::Refused(pb::EventRefused::default())
            } else {
                let index = u64::try_from(kept.len()).unwrap();
                kept.push(event);
                let leaf_hash = vec![0; 32].into();
                let recorded = pb::Recorded { index, leaf_hash, ..Default::default() };
                pb::record_result::Result::Recorded(recorded)
            };
            results.push(pb::RecordResult { result: Some(result) });
        }
        let tree_size = u64::try_from(kept.len()).unwrap();
        Ok(Response::new(pb::RecordEventsResponse { results, tree_size, ..Default::default() }))
    }

    async fn record_stream(
        &self,
        _: Request<Streaming<pb::RecordStreamRequest>>,
    ) -> Result<Response<Self::RecordStreamStream>, Status> {
        Err(Status::unimplemented("not here"))
    }

    async fn get_event(
        &self,
        _: Request<pb::GetEventRequest>,
    ) -> Result<Response<pb::StoredEvent>, Status> {
        Err(Status::unimplemented("not here"))
    }

    async fn get_event_receipt(
        &self,
        _: Request<pb::GetEventRequest>,
    ) -> Result<Response<pb::GetEventReceiptResponse>, Status> {
        Err(Status::unimplemented("not here"))
    }

    async fn search_events(
        &self,
        _: Request<pb::SearchEventsRequest>,
    ) -> Result<Response<pb::SearchEventsResponse>, Status> {
        Err(Status::unimplemented("not here"))
    }

    async fn count_events(
        &self,
        _: Request<pb::CountEventsRequest>,
    ) -> Result<Response<pb::CountEventsResponse>, Status> {
        Err(Status::unimplemented("not here"))
    }

    async fn tail_events(
        &self,
        _: Request<pb::TailEventsRequest>,
    ) -> Result<Response<Self::TailEventsStream>, Status> {
        Err(Status::unimplemented("not here"))
    }

    async fn export_events(
        &self,
        _: Request<pb::ExportEventsRequest>,
    ) -> Result<Response<Self::ExportEventsStream>, Status> {
        Err(Status::unimplemented("not here"))
    }
}

/// Serves on a thread of its own until the test ends.
fn serve(service: Service) -> SocketAddr {
    let (sender, address) = mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            sender.send(listener.local_addr().unwrap()).unwrap();
            let service = AuditServiceServer::new(service);
            let server = tonic::transport::Server::builder().add_service(service);
            server.serve_with_incoming(TcpListenerStream::new(listener)).await.unwrap();
        });
    });
    address.recv().unwrap()
}

#[test]
fn what_a_service_says_is_recorded_and_the_rest_is_not() {
    let service = Service::default();
    service.is_away.store(true, Ordering::SeqCst);
    let address = serve(service.clone());
    let options = LayerOptions::new("urn:x");
    let (layer, mut guard) = AuditLayer::start(&format!("http://{address}"), options).unwrap();
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
        tracing::warn!(target: "audit", action = "shop.order.deleted", actor = "api_key:k:1",
            item = "order:7", ip = "203.0.113.7", category = "data", amount = 5_u64, big = u64::MAX,
            rush = true, "by hand");
        tracing::info!(target: "audit::login", action = "auth.login", outcome = "denied");
        tracing::info!(target: "other", action = "not.this");
        tracing::info!(target: "auditor", action = "not.this");
        tracing::error!(target: "audit", action = "bad.one");
    });
    guard.stop();
    let kept = service.kept.lock().unwrap();
    let actions: Vec<&str> = kept.iter().filter_map(|event| event.action.as_deref()).collect();
    assert_eq!(actions[..2], ["shop.order.deleted", "auth.login"]);
    assert_eq!(guard.lost(), 1);
    let (first, second) = (&kept[0], &kept[1]);
    let actor = first.actor.as_ref().unwrap();
    assert_eq!((actor.r#type(), actor.id.as_deref()), (pb::ActorType::ApiKey, Some("k:1")));
    assert_eq!(first.targets[0].id.as_deref(), Some("7"));
    assert_eq!((first.category(), first.operation()), (pb::Category::Data, pb::Operation::Other));
    assert_eq!((first.outcome(), first.severity()), (pb::Outcome::Success, pb::Severity::Medium));
    assert_eq!(first.description.as_deref(), Some("by hand"));
    let detail = |name: &str| first.metadata[name].value.clone();
    assert_eq!(detail("amount"), Some(Value::Number(5)));
    assert_eq!(detail("big"), Some(Value::Text(u64::MAX.to_string())));
    assert_eq!((detail("rush"), first.metadata.len()), (Some(Value::Truth(true)), 3));
    // Of an action that the server knows, it knows the category.
    assert_eq!(
        (second.category(), second.outcome()),
        (pb::Category::Unspecified, pb::Outcome::Denied)
    );
    assert_eq!(second.actor.as_ref().unwrap().id.as_deref(), Some("urn:x"));
}

#[test]
fn what_finds_no_room_is_counted_and_the_count_is_recorded() {
    let service = Service::default();
    let address = serve(service.clone());
    let options = LayerOptions { queue_events_max: 2, ..LayerOptions::new("urn:x") };
    let (layer, mut guard) = AuditLayer::start(&format!("http://{address}"), options).unwrap();
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
        for _ in 0..1_000 {
            tracing::info!(target: "audit", action = "a.b");
        }
    });
    guard.stop();
    let kept = service.kept.lock().unwrap();
    let (losses, said): (Vec<_>, Vec<_>) =
        kept.iter().partition(|it| it.action.as_deref() == Some("audit.events_lost"));
    let lost = losses.iter().map(|event| match event.metadata["events"].value {
        Some(Value::Number(events)) => u64::try_from(events).unwrap(),
        _ => panic!("no count"),
    });
    let lost: u64 = lost.sum();
    assert!(lost > 0, "the queue has room for two");
    assert_eq!(lost + u64::try_from(said.len()).unwrap(), 1_000);
    assert_eq!(guard.lost(), lost);
}

#[test]
fn a_server_that_stays_away_holds_nobody_up() {
    let time = Duration::from_millis(50);
    let options = LayerOptions { flush_timeout: time, ..LayerOptions::new("urn:x") };
    let (layer, mut guard) = AuditLayer::start("http://127.0.0.1:1", options).unwrap();
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
        tracing::info!(target: "audit", action = "a.b");
    });
    assert_eq!(guard.recorded(), 0);
    guard.stop();
    assert_eq!((guard.recorded(), guard.lost()), (0, 1));
    let bad = AuditLayer::start("127.0.0.1:1", LayerOptions::new("urn:x"));
    assert!(matches!(bad, Err(StartError::Client(ClientError::Address(_)))));
}
