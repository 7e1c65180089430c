//! `POST /logs/<name>/add`.

use bytes::Bytes;
use http_body_util::{BodyExt as _, StreamBody};
use hyper_util::client::legacy::Client as HttpClient;
use hyper_util::rt::TokioExecutor;
use log_proto::log_v1 as pb;

use crate::harness::{LOG, Stack};

#[tokio::test(flavor = "multi_thread")]
async fn the_answer_is_the_bare_index_and_a_newline_whatever_the_content_type() {
    let mut stack = Stack::new().await;
    for (number, content_type) in
        ["", "text/plain", "application/json", "nonsense"].iter().enumerate()
    {
        let mut request = http::Request::post(stack.uri("/logs/default/add"));
        if !content_type.is_empty() {
            request = request.header("content-type", *content_type);
        }
        let entry = Bytes::from(format!("entry {number}"));
        let answer = stack.send(request.body(entry.into()).unwrap()).await;
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["content-type"], "text/plain; charset=utf-8");
        assert_eq!(answer.headers()["cache-control"], "no-store");
        assert_eq!(answer.body()[..], *format!("{number}\n").as_bytes());
    }
    assert_eq!(stack.describe(LOG).await.unwrap().tree_size, 4);
    stack.stop().await;
}

/// A log commits to the bytes that were sent: it neither decodes them nor takes them for something
/// else.
#[tokio::test(flavor = "multi_thread")]
async fn an_encoded_body_is_refused() {
    let mut stack = Stack::new().await;
    for (encoding, status) in [("gzip", 415), ("identity, br", 415), ("identity", 200)] {
        let request = http::Request::post(stack.uri("/logs/default/add"));
        let request = request.header("content-encoding", encoding);
        let answer = stack.send(request.body(Bytes::from_static(b"x").into()).unwrap()).await;
        assert_eq!(answer.status(), status, "{encoding}");
        if status == 415 {
            assert_eq!(answer.headers()["accept-encoding"], "identity");
        }
    }
    assert_eq!(stack.describe(LOG).await.unwrap().tree_size, 1);
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_have_1_to_65535_bytes_here_too() {
    let mut stack = Stack::new().await;
    assert_eq!(stack.post("/logs/default/add", vec![1]).await.status(), 200);
    assert_eq!(stack.post("/logs/default/add", vec![1; 65_535]).await.status(), 200);
    let large = stack.post("/logs/default/add", vec![1; 65_536]).await;
    assert_eq!(large.status(), 413);
    assert!(String::from_utf8_lossy(large.body()).contains("65535"), "the limit is named");
    let empty = stack.post("/logs/default/add", Vec::new()).await;
    assert_eq!(empty.status(), 400);
    assert!(String::from_utf8_lossy(empty.body()).contains("empty"));
    for status in [large, empty] {
        assert_eq!(status.headers()["cache-control"], "no-store");
    }
    assert_eq!(stack.describe(LOG).await.unwrap().tree_size, 2);
    stack.stop().await;
}

/// A body whose length is not announced is cut off where it becomes too long.
#[tokio::test(flavor = "multi_thread")]
async fn a_body_in_pieces_is_bounded_as_well() {
    let mut stack = Stack::new().await;
    let http = HttpClient::builder(TokioExecutor::new()).build_http();
    for (pieces, status) in [(65, 413), (3, 200)] {
        let piece = || Ok::<_, std::io::Error>(http_body::Frame::data(Bytes::from(vec![7; 1_024])));
        let body = tokio_stream::iter((0..pieces).map(move |_| piece()));
        let request = http::Request::post(stack.uri("/logs/default/add"));
        let answer = http.request(request.body(StreamBody::new(body)).unwrap()).await.unwrap();
        assert_eq!(answer.status(), status);
        drop(answer.into_body().collect().await);
    }
    let leaf = merkle::leaf_hash(&[7; 3 * 1_024]);
    let by = pb::lookup_entry_request::By::LeafHash(leaf.as_bytes().to_vec().into());
    let lookup = pb::LookupEntryRequest { log: LOG.to_owned(), by: Some(by) };
    assert_eq!(stack.client.lookup_entry(lookup).await.unwrap().into_inner().leaf_index, 0);
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_is_not_there_is_not_found() {
    let stack = Stack::new().await;
    for path in ["/logs/none/add", "/logs/No%20Name/add", "/logs//add", "/logs/default/add/"] {
        let missing = stack.post(path, b"a".to_vec()).await;
        assert_eq!(missing.status(), 404, "{path}");
        assert_eq!(missing.headers()["cache-control"], "no-store");
    }
    stack.stop().await;
}
