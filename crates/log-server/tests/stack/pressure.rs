//! Too much at once: refused with how long to wait, over gRPC and over HTTP.

use bytes::Bytes;
use http_body_util::StreamBody;
use hyper_util::client::legacy::Client as HttpClient;
use hyper_util::rt::TokioExecutor;
use log_proto::log_v1 as pb;
use storage::faulty::Fault;
use tonic::Code;

use crate::harness::{LOG, Stack, append_request, because, entry, refused, retry_after};

#[tokio::test(flavor = "multi_thread")]
async fn a_full_queue_refuses_at_once_and_takes_more_afterwards() {
    let settings = [("queue_entries_max", "10000"), ("batch_entries_max", "10000")];
    let (mut stack, engine) = Stack::faulty(&settings).await;
    engine.block_sync();
    let call = |entries: usize| {
        let entries = vec![entry(b"x"); entries];
        let request = pb::AppendBatchRequest { log: LOG.to_owned(), entries, ..Default::default() };
        let mut client = stack.client.clone();
        async move { client.append_batch(request).await }
    };
    let (first, second) = (call(1), call(10_000));
    let first = tokio::spawn(first);
    engine.wait_until_blocked();
    let second = tokio::spawn(second);
    while stack.server.registry().queued().0 < 10_000 {
        tokio::task::yield_now().await;
    }
    let full = stack.append(b"one too many", pb::Receipt::Index).await.unwrap_err();
    assert_eq!(refused(&full), because(Code::ResourceExhausted, "QUEUE_FULL"));
    assert!(!retry_after(&full).is_zero());
    let full = stack.post("/logs/default/add", b"one too many".to_vec()).await;
    assert_eq!(full.status(), 429);
    let seconds: u64 = full.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!(seconds >= 1);
    let metrics = stack.get("/metrics", &[]).await;
    let metrics = String::from_utf8(metrics.into_body().to_vec()).unwrap();
    assert!(metrics.contains("QUEUE_FULL"), "{metrics}");

    engine.release_sync();
    assert!(first.await.unwrap().is_ok() && second.await.unwrap().is_ok());
    assert_eq!(stack.append(b"x", pb::Receipt::Index).await.unwrap().leaf_index, 10_001);
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_is_nearly_full_takes_no_appends_and_serves_reads() {
    let (mut stack, engine) = Stack::faulty(&[("min_free_bytes", "1000")]).await;
    stack.append(b"a", pb::Receipt::Signed).await.unwrap();
    engine.set_free_bytes(Some(999));
    let low = loop {
        // Free space is looked at now and then, beside the calls.
        match stack.append(b"b", pb::Receipt::Index).await {
            Ok(_) => tokio::task::yield_now().await,
            Err(low) => break low,
        }
    };
    assert_eq!(refused(&low), because(Code::ResourceExhausted, "DISK_LOW"));
    assert!(!retry_after(&low).is_zero());
    assert!(low.message().contains("999"), "{low}");
    let low = stack.post("/logs/default/add", b"b".to_vec()).await;
    assert_eq!(low.status(), 503);
    assert!(low.headers().contains_key("retry-after"));
    assert_eq!(stack.get("/readyz", &[]).await.status(), 503);
    assert_eq!(stack.get("/healthz", &[]).await.status(), 200);
    assert_eq!(stack.get("/logs/default/checkpoint", &[]).await.status(), 200);
    engine.set_free_bytes(None);
    while stack.append(b"c", pb::Receipt::Signed).await.is_err() {
        tokio::task::yield_now().await;
    }
    assert_eq!(stack.get("/readyz", &[]).await.status(), 200);
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_server_sheds_calls_and_still_says_that_it_lives() {
    let (mut stack, engine) = Stack::faulty(&[("requests_max", "1")]).await;
    engine.block_sync();
    let mut client = stack.client.clone();
    let only = append_request(LOG, entry(b"x"), pb::Receipt::Index);
    let only = tokio::spawn(async move { client.append(only).await });
    engine.wait_until_blocked();
    let shed = stack.append(b"y", pb::Receipt::Index).await.unwrap_err();
    assert_eq!(refused(&shed), because(Code::ResourceExhausted, "OVERLOADED"));
    assert!(!retry_after(&shed).is_zero());
    let shed = stack.post("/logs/default/add", b"y".to_vec()).await;
    assert_eq!(shed.status(), 503);
    assert!(shed.headers().contains_key("retry-after"));
    for path in ["/healthz", "/readyz", "/metrics"] {
        assert_eq!(stack.get(path, &[]).await.status(), 200, "{path}");
    }
    engine.release_sync();
    only.await.unwrap().unwrap();
    stack.append(b"y", pb::Receipt::Index).await.unwrap();
    stack.stop().await;
}

/// A commit that fails in the server's hands: nobody is told that it holds, and nobody that it does not.
#[tokio::test(flavor = "multi_thread")]
async fn a_failed_sync_is_an_unknown_outcome_and_ends_the_process() {
    let (mut stack, engine) = Stack::faulty(&[]).await;
    engine.fail_commit(Fault::NotIssued, 0);
    let written = stack.append(b"a", pb::Receipt::Index).await.unwrap_err();
    assert_eq!(refused(&written), because(Code::Unavailable, "INTERNAL"));
    assert!(!retry_after(&written).is_zero());
    assert!(!written.message().contains("injected"), "what is wrong inside stays there");
    stack.append(b"a", pb::Receipt::Index).await.unwrap();

    engine.fail_commit(Fault::Persisted, 0);
    let unknown = stack.append(b"b", pb::Receipt::Index).await.unwrap_err();
    assert_eq!(refused(&unknown), because(Code::Unavailable, "OUTCOME_UNKNOWN"));
    assert!(!retry_after(&unknown).is_zero());
    assert_eq!(stack.server.fatal().await.exit_code(), 75);
    let later = stack.post("/logs/default/add", b"c".to_vec()).await;
    assert_eq!(later.status(), 503);
    assert_eq!(stack.get("/readyz", &[]).await.status(), 503);
}

/// A body that never ends holds its place for no longer than a plain request may take.
#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_never_ends_is_given_up() {
    let stack = Stack::with(&[("http_timeout_ms", "300")]).await;
    let first = Ok::<_, std::io::Error>(http_body::Frame::data(Bytes::from_static(b"begun")));
    let body = futures_util::stream::once(std::future::ready(first));
    let body = futures_util::StreamExt::chain(body, futures_util::stream::pending());
    let request = http::Request::post(stack.uri("/logs/default/add"));
    let request = request.body(StreamBody::new(body)).unwrap();
    let http = HttpClient::builder(TokioExecutor::new()).build_http();
    let answer = http.request(request).await.unwrap();
    assert_eq!(answer.status(), 503);
    drop(answer);
    stack.stop().await;
}
