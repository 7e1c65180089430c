//! What an operator asks for, and the standard services beside the log.

use std::path::Path;
use std::sync::Arc;

use http_body_util::Full;
use log_core::{CreateLog, NewLeaf};
use log_proto::log_v1 as pb;
use log_server::server::StartError;
use storage::{LogKind, LogName, LogState, StorageError};
use storage_rocksdb::RocksOptions;
use storage_rocksdb::backup::{BackupError, retire};
use tokio_stream::StreamExt as _;
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

use crate::harness::{LOG, Stack, start};

#[tokio::test(flavor = "multi_thread")]
async fn the_health_service_knows_the_server_the_log_and_the_witnesses() {
    let stack = Stack::new().await;
    let mut health = HealthClient::new(stack.channel.clone());
    for (service, status) in [
        ("", ServingStatus::Serving),
        ("cairn.log.v1.LogService", ServingStatus::Serving),
        ("cairn.log.v1.LogService/witnessed", ServingStatus::NotServing),
    ] {
        let request = HealthCheckRequest { service: service.to_owned() };
        let answer = health.check(request).await.unwrap().into_inner();
        assert_eq!(answer.status(), status, "{service:?}");
    }
    let unknown = HealthCheckRequest { service: "no.such.Service".to_owned() };
    assert_eq!(health.check(unknown).await.unwrap_err().code(), Code::NotFound);
    let request = HealthCheckRequest { service: String::new() };
    let mut watch = health.watch(request).await.unwrap().into_inner();
    assert_eq!(watch.message().await.unwrap().unwrap().status(), ServingStatus::Serving);
    stack.stop().await;
    let end = watch.message().await;
    let told = end
        .as_ref()
        .is_ok_and(|end| end.as_ref().is_none_or(|end| end.status() == ServingStatus::NotServing));
    assert!(told || end.is_err(), "{end:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_health_service_says_when_nothing_can_be_committed() {
    let (mut stack, engine) = Stack::faulty(&[]).await;
    engine.fail_commit(storage::faulty::Fault::Lost, 0);
    stack.append(b"a", pb::Receipt::Index).await.unwrap_err();
    let mut health = HealthClient::new(stack.channel.clone());
    let request = HealthCheckRequest { service: "cairn.log.v1.LogService".to_owned() };
    while health.check(request.clone()).await.unwrap().into_inner().status()
        != ServingStatus::NotServing
    {
        tokio::task::yield_now().await;
    }
    assert_eq!(stack.get("/readyz", &[]).await.status(), 503);
    assert_eq!(stack.get("/healthz", &[]).await.status(), 200, "it lives");
}

#[tokio::test(flavor = "multi_thread")]
async fn reflection_lists_the_services_and_describes_them() {
    let stack = Stack::new().await;
    let mut reflection = ServerReflectionClient::new(stack.channel.clone());
    let ask =
        |message| ServerReflectionRequest { host: String::new(), message_request: Some(message) };
    let requests = tokio_stream::iter([
        ask(MessageRequest::ListServices(String::new())),
        ask(MessageRequest::FileContainingSymbol("cairn.log.v1.LogService".to_owned())),
        ask(MessageRequest::FileContainingSymbol("no.such.Symbol".to_owned())),
    ]);
    let answers = reflection.server_reflection_info(requests).await.unwrap().into_inner();
    let answers: Vec<_> = answers.collect().await;
    let MessageResponse::ListServicesResponse(services) =
        answers[0].as_ref().unwrap().message_response.clone().unwrap()
    else {
        panic!("{answers:?}");
    };
    let names: Vec<_> = services.service.iter().map(|service| service.name.as_str()).collect();
    assert!(names.contains(&"cairn.log.v1.LogService"), "{names:?}");
    assert!(names.contains(&"grpc.health.v1.Health"), "{names:?}");
    let file = answers[1].as_ref().unwrap().message_response.as_ref().unwrap();
    let MessageResponse::FileDescriptorResponse(file) = file else { panic!("{file:?}") };
    assert!(!file.file_descriptor_proto.is_empty());
    match &answers[2] {
        Err(status) => assert_eq!(status.code(), Code::NotFound),
        Ok(answer) => {
            assert!(matches!(answer.message_response, Some(MessageResponse::ErrorResponse(_))));
        }
    }
    stack.stop().await;
}

/// An audit log takes no events without its secret. One that takes none anyway does not miss it.
#[tokio::test(flavor = "multi_thread")]
async fn a_missing_secret_makes_a_server_unready_unless_its_log_is_final() {
    for (state, status) in
        [(LogState::Active, 503), (LogState::Frozen, 200), (LogState::Retired, 200)]
    {
        let stack = Stack::new().await;
        let new = CreateLog::new("trail", LogKind::Audit);
        let log = stack.server.registry().create(new).await.unwrap();
        let leaf = NewLeaf { leaf: vec![0; 20].into(), once: None, attachments: vec![] };
        log.append_stamped(vec![leaf]).await.unwrap();
        assert_eq!(stack.get("/readyz", &[]).await.status(), 200);
        if state == LogState::Frozen {
            log.freeze().await.unwrap();
        }
        let name = log.name().clone();
        drop(log);
        let data = stack.stop().await;
        std::fs::remove_file(data.path().join("keys/trail.audit")).unwrap();
        if state == LogState::Retired {
            let heads = data.path().join("heads");
            retire_when_free(data.path(), &heads, &name).await;
        }
        let stack = Stack::over(data, &[]).await;
        let page = stack.get("/readyz", &[]).await;
        assert_eq!(page.status(), status, "{state:?}");
        let text = String::from_utf8_lossy(page.body());
        assert_eq!(
            text.contains("the secret of audit log trail is missing"),
            status == 503,
            "{text}"
        );
        assert_eq!(stack.get("/healthz", &[]).await.status(), 200);
        stack.stop().await;
    }
}

/// The tasks of a server let go of the store a moment after it has stopped.
async fn retire_when_free(data: &Path, heads: &Path, log: &LogName) {
    while let Err(error) = retire(data, heads, log, &RocksOptions::default()) {
        let in_use = matches!(error, BackupError::Storage(StorageError::InUse { .. }));
        assert!(in_use, "{error}");
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn health_readiness_and_metrics_are_plain_pages() {
    let mut stack = Stack::new().await;
    stack.fill(0, 5).await;
    stack.published(LOG, 5).await;
    for path in ["/healthz", "/readyz", "/metrics"] {
        let page = stack.get(path, &[]).await;
        assert_eq!(page.status(), 200, "{path}");
        assert_eq!(page.headers()["cache-control"], "no-store", "{path}");
    }
    let floor = stack.post("/healthz", vec![7; 200]).await;
    assert_eq!(floor.status(), 200);
    let refused = stack.post("/healthz", vec![7; 65_536]).await;
    assert_eq!(
        (refused.status().as_u16(), &refused.headers()["connection"]),
        (413, &"close".parse().unwrap())
    );
    let metrics = stack.get("/metrics", &[]).await;
    assert!(
        metrics.headers()["content-type"]
            .to_str()
            .unwrap()
            .starts_with("application/openmetrics-text")
    );
    let metrics = String::from_utf8(metrics.into_body().to_vec()).unwrap();
    assert!(metrics.ends_with("# EOF\n"));
    let line = |name: &str| {
        let of = |line: &&str| line.starts_with(name) && line.contains("log=\"default\"");
        metrics.lines().find(of).unwrap_or_else(|| panic!("{name} in {metrics}"))
    };
    for gauge in ["cairn_log_tree_size", "cairn_log_published_size"] {
        assert!(line(gauge).ends_with(" 5.0"), "{}", line(gauge));
    }
    stack.stop().await;
}

/// A gRPC path that is none is told so in gRPC, with HTTP status 200, as callers expect.
#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_method_is_unimplemented() {
    let stack = Stack::new().await;
    for path in ["/cairn.log.v1.LogService/NoSuchCall", "/no.such.Service/Call"] {
        let request = http::Request::post(stack.uri(path));
        let request = request.header("content-type", "application/grpc");
        let answer = stack.send(request.body(Full::default()).unwrap()).await;
        assert_eq!(answer.status(), 200, "{path}");
        let code = answer.headers()["grpc-status"].to_str().unwrap().parse().unwrap();
        assert_eq!(Code::from_i32(code), Code::Unimplemented, "{path}");
    }
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_beyond_the_limit_are_refused_over_http_and_grpc() {
    let stack = Stack::with(&[("header_bytes_max", "1024")]).await;
    let long = "v".repeat(1_024);
    let refused = stack.get("/logs/default/checkpoint", &[("x-long", &long)]).await;
    assert_eq!(refused.status(), 431);
    let mut client = stack.client.clone();
    let ask = pb::GetLogRequest { log: LOG.to_owned() };
    let mut request = tonic::Request::new(ask.clone());
    request.metadata_mut().insert("x-long", long.parse().unwrap());
    let refused = client.get_log(request).await.unwrap_err();
    let expected = crate::harness::because(Code::ResourceExhausted, "BAD_FIELD");
    assert_eq!(crate::harness::refused(&refused), expected);
    client.get_log(ask).await.unwrap();
    stack.stop().await;
}

/// Within one process, where nothing but the server itself can let go of its store.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_stopped_or_did_not_start_lets_go_of_its_store() {
    let mut stack = Stack::new().await;
    stack.append(b"a", pb::Receipt::Signed).await.unwrap();
    stack.get("/metrics", &[]).await;
    let metrics = Arc::clone(stack.server.metrics());
    let data = stack.stop().await;
    // What the server said of itself is counted too.
    let told = metrics.encode();
    let counted = told.lines().find_map(|line| line.strip_prefix("cairn_entries_total "));
    assert_ne!(counted, Some("0"), "what was counted is still told");
    assert!(counted.is_some(), "what was counted is still told");

    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for _ in 0..2 {
        let refused = start(&data, &[("listen", &address)]).await;
        assert!(matches!(refused, Err(StartError::Listen { .. })), "{refused:?}");
    }
    let mut stack = Stack::over(data, &[]).await;
    assert_eq!(stack.append(b"b", pb::Receipt::Signed).await.unwrap().leaf_index, 1);
    stack.stop().await;
}
