//! The table of routes against the server that it is for, and against the APIs that it lists.

use std::collections::BTreeSet;
use std::io::Write as _;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::{Method, Request, Response};
use http_body_util::Full;
use hyper_util::client::legacy::Client as HttpClient;
use hyper_util::rt::TokioExecutor;
use log_api::routes;
use log_proto::log_v1::{Entry, LookupEntryRequest, Receipt, lookup_entry_request};
use prost::Message as _;
use prost_types::{FileDescriptorProto, FileDescriptorSet, MethodDescriptorProto};
use serve::route::{Call, Route};
use tonic::{Code, Status};

use crate::harness::{LOG, Stack, append_request, at_fault, refused_field};

/// A path of the route: of the log that a first start makes, and of the tiles of its first entries.
fn path(route: &Route) -> String {
    let rest = if route.name == "http_bundle" { "000" } else { "0/000" };
    route.pattern.fill(LOG, rest)
}

/// The head of an answer, whose body may have no end.
async fn head(request: http::request::Builder, body: &[u8]) -> Response<()> {
    let http = HttpClient::builder(TokioExecutor::new()).build_http();
    let request = request.body(Full::new(Bytes::copy_from_slice(body))).unwrap();
    let (parts, _) = http.request(request).await.unwrap().into_parts();
    Response::from_parts(parts, ())
}

/// One message without a field.
const EMPTY_MESSAGE: &[u8] = &[0; 5];

#[tokio::test(flavor = "multi_thread")]
async fn every_row_is_answered_by_its_method_and_by_no_other() {
    let mut stack = Stack::new().await;
    stack.fill(0, 256).await;
    let table = routes::table();
    for route in table.routes() {
        let uri = stack.uri(&path(route));
        let text = route.pattern.text();
        let request = |method: Method| Request::builder().method(method).uri(&uri);
        if route.call.is_grpc() {
            let call = request(Method::POST).header("content-type", "application/grpc");
            let answer = head(call, EMPTY_MESSAGE).await;
            assert_eq!(answer.status(), 200, "{text}");
            assert_ne!(
                answer.headers().get("grpc-status").map(http::HeaderValue::as_bytes),
                Some(&b"12"[..]),
                "{text}"
            );
        } else if route.call == Call::Post {
            assert_eq!(head(request(Method::POST), b"x").await.status(), 200, "{text}");
        } else {
            assert_eq!(head(request(Method::GET), b"").await.status(), 200, "{text}");
            assert_eq!(head(request(Method::HEAD), b"").await.status(), 200, "{text}");
        }
        let rows = || table.routes().filter(|other| other.pattern == route.pattern);
        for method in [Method::GET, Method::POST, Method::PUT, Method::DELETE] {
            if rows().any(|row| row.call.takes(&method)) {
                continue;
            }
            let answer = head(request(method.clone()), b"").await;
            assert_eq!(answer.status(), 405, "{method} {text}");
            let allow = answer.headers()["allow"].to_str().unwrap();
            assert!(!allow.split(", ").any(|allowed| allowed == method), "{method} {text}");
        }
        let beyond = head(Request::get(format!("{uri}/")), b"").await;
        assert_eq!(beyond.status(), 404, "{text}/");
    }
    let metrics = stack.server.metrics().encode();
    for route in table.routes() {
        let label = format!("cairn_requests_total{{route=\"{}\",", route.name);
        assert!(metrics.contains(&label), "{label} in {metrics}");
    }
    stack.stop().await;
}

/// Paths of the calls of an API, and whether each takes any number of messages.
fn calls(files: &[u8]) -> BTreeSet<(String, bool)> {
    let of = |file: &FileDescriptorProto| {
        let call = |service: &str, method: &MethodDescriptorProto| {
            let path = format!("/{}.{service}/{}", file.package(), method.name());
            (path, method.client_streaming())
        };
        let services = file.service.iter();
        let calls = services.flat_map(|service| {
            service.method.iter().map(move |method| call(service.name(), method))
        });
        calls.collect::<Vec<_>>()
    };
    FileDescriptorSet::decode(files).unwrap().file.iter().flat_map(of).collect()
}

#[test]
fn the_calls_of_the_table_are_those_of_the_apis() {
    let mut expected = calls(log_proto::FILE_DESCRIPTOR_SET);
    assert_eq!(expected.len(), 16);
    expected.extend(calls(tonic_health::pb::FILE_DESCRIPTOR_SET));
    expected.extend(calls(tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET));
    let table = routes::table();
    let rows = table.routes().filter(|route| route.call.is_grpc());
    let row = |route: &Route| (route.pattern.text().to_owned(), route.call == Call::Streaming);
    assert_eq!(rows.map(row).collect::<BTreeSet<_>>(), expected);
}

/// Rows are told apart by pattern and method, names only by what is counted together.
#[test]
fn no_two_rows_are_one() {
    let table = routes::table();
    let keys: BTreeSet<_> =
        table.routes().map(|route| (route.pattern.text(), format!("{:?}", route.call))).collect();
    assert_eq!(keys.len(), table.routes().len());
    let names: BTreeSet<_> = table.routes().map(|route| route.name).collect();
    assert_eq!(
        names.into_iter().collect::<Vec<_>>(),
        [
            "Append",
            "AppendBatch",
            "AppendStream",
            "CreateLog",
            "FreezeLog",
            "GetBatchInclusionProof",
            "GetCheckpoint",
            "GetConsistencyProof",
            "GetEntries",
            "GetInclusionProof",
            "GetLog",
            "GetReceipt",
            "Health",
            "ListCheckpoints",
            "ListLogs",
            "LookupEntry",
            "Reflection",
            "WatchCheckpoints",
            "http_add",
            "http_bundle",
            "http_checkpoint",
            "http_healthz",
            "http_metrics",
            "http_readyz",
            "http_tile",
        ]
    );
}

/// What is wrong about a call before anybody reads its message.
#[tokio::test(flavor = "multi_thread")]
async fn frames_are_refused_with_details() {
    let stack = Stack::new().await;
    let call = |method: &str| {
        Request::post(stack.uri(&format!("/cairn.log.v1.LogService/{method}")))
            .header("content-type", "application/grpc")
    };
    // 9 MiB and one byte, of which only the length is sent.
    let too_long: &[u8] = &[0, 0, 0x90, 0, 1, 7];
    for (body, reason, message) in [
        (&[][..], "BAD_FIELD", "message is missing"),
        (&[0, 0, 0], "BAD_FIELD", "message ends before its end"),
        (&[0, 0, 0, 0, 2, 7], "BAD_FIELD", "message ends before its end"),
        (&[1, 0, 0, 0, 0], "BAD_FIELD", "message is compressed and the call names no encoding"),
        (too_long, "BATCH_TOO_LARGE", "message has 9437185 bytes, the limit is 9437184"),
        (&[0, 0, 0, 0, 1, 0xff], "BAD_FIELD", "message is not that of the method"),
    ] {
        let answer = head(call("Append"), body).await;
        let status = Status::from_header_map(answer.headers()).unwrap();
        let expected = at_fault(Code::InvalidArgument, reason, "message");
        assert_eq!((refused_field(&status), status.message()), (expected, message));
    }
    let unknown = head(call("Append").header("grpc-encoding", "snappy"), EMPTY_MESSAGE).await;
    assert_eq!(unknown.headers()["grpc-accept-encoding"], "identity,gzip");
    let status = Status::from_header_map(unknown.headers()).unwrap();
    let expected = at_fault(Code::Unimplemented, "BAD_FIELD", "grpc-encoding");
    assert_eq!(refused_field(&status), expected);
    // At the limit the frame is taken: the empty message is refused for what it does not say.
    let taken = head(call("Append"), EMPTY_MESSAGE).await;
    let status = Status::from_header_map(taken.headers()).unwrap();
    assert_eq!(refused_field(&status), at_fault(Code::InvalidArgument, "BAD_LOG_NAME", "log"));
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_compressed_message_is_read_within_the_limits_of_a_plain_one() {
    let stack = Stack::new().await;
    let append = async |entry: Vec<u8>| {
        let entry = Entry { data: entry.into(), ..Entry::default() };
        let message = append_request(LOG, entry, Receipt::Index);
        let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
        gzip.write_all(&message.encode_to_vec()).unwrap();
        let gzip = gzip.finish().unwrap();
        let length = u32::try_from(gzip.len()).unwrap().to_be_bytes();
        let call = Request::post(stack.uri("/cairn.log.v1.LogService/Append"))
            .header("content-type", "application/grpc")
            .header("grpc-encoding", "gzip");
        head(call, &[&[1], &length[..], &gzip].concat()).await
    };
    let taken = append(vec![7; 60_000]).await;
    assert!(!taken.headers().contains_key("grpc-status"), "{taken:?}");
    let leaf = merkle::leaf_hash(&vec![7; 60_000]);
    let by = lookup_entry_request::By::LeafHash(leaf.as_bytes().to_vec().into());
    let lookup = LookupEntryRequest { log: LOG.to_owned(), by: Some(by) };
    let found = stack.client.clone().lookup_entry(lookup).await.unwrap();
    assert_eq!(found.into_inner().leaf_index, 0);

    let bomb = append(vec![0; 10_000_000]).await;
    let status = Status::from_header_map(bomb.headers()).unwrap();
    let expected = at_fault(Code::InvalidArgument, "BATCH_TOO_LARGE", "message");
    assert_eq!(refused_field(&status), expected);
    stack.stop().await;
}
