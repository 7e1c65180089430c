//! The whole stack on 127.0.0.1:0 over a real store, called by a raw tonic client and plain HTTP.

#![expect(clippy::unwrap_used, reason = "a test fails where its fixtures do")]

use std::time::Duration;

use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client as HttpClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use log_proto::log_v1 as pb;
use log_proto::log_v1::log_service_client::LogServiceClient;
use log_server::config::{Config, TABLE};
use log_server::server::Server;
use node::config::{Origin, Values};
use tonic::transport::Channel;
use tonic::{Code, Request, Status};
use tonic_types::StatusExt as _;

struct Stack {
    server: Server,
    client: LogServiceClient<Channel>,
    http: HttpClient<HttpConnector, Full<bytes::Bytes>>,
    _data: tempfile::TempDir,
}

fn config(data: &tempfile::TempDir, settings: &[(&str, &str)]) -> Config {
    let mut values = Values::new(&TABLE);
    let folder = data.path().to_str().unwrap();
    let own = [("listen", "127.0.0.1:0"), ("data_dir", folder), ("min_free_bytes", "0")];
    for (key, value) in own.iter().chain(settings) {
        values.set(TABLE.named(key).unwrap(), (*value).to_owned(), Origin::Flag).unwrap();
    }
    Config::new(&values, |_| None).unwrap()
}

impl Stack {
    async fn start(settings: &[(&str, &str)]) -> Self {
        let data = tempfile::tempdir().unwrap();
        let server = Server::start(&config(&data, settings)).await.unwrap();
        let url = format!("http://{}", server.address());
        let client =
            LogServiceClient::new(Channel::from_shared(url).unwrap().connect().await.unwrap());
        let client = client.max_decoding_message_size(9 << 20);
        let http = HttpClient::builder(TokioExecutor::new()).build_http();
        Self { server, client, http, _data: data }
    }

    async fn append(
        &mut self,
        data: &[u8],
        receipt: pb::Receipt,
    ) -> Result<pb::AppendResponse, Status> {
        let entry = pb::Entry { data: data.to_vec().into(), dedup_key: bytes::Bytes::new() };
        let request = pb::AppendRequest {
            log: "default".to_owned(),
            entry: Some(entry),
            receipt: receipt.into(),
            receipt_wait: None,
        };
        self.client.append(request).await.map(tonic::Response::into_inner)
    }

    async fn get(&self, path: &str, headers: &[(&str, &str)]) -> http::Response<bytes::Bytes> {
        let uri = format!("http://{}{path}", self.server.address());
        let mut request = http::Request::get(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::default()).unwrap();
        let (parts, body) = self.http.request(request).await.unwrap().into_parts();
        http::Response::from_parts(parts, body.collect().await.unwrap().to_bytes())
    }

    async fn post(&self, path: &str, body: Vec<u8>) -> http::Response<bytes::Bytes> {
        let uri = format!("http://{}{path}", self.server.address());
        let request = http::Request::post(uri).body(Full::new(body.into())).unwrap();
        let (parts, body) = self.http.request(request).await.unwrap().into_parts();
        http::Response::from_parts(parts, body.collect().await.unwrap().to_bytes())
    }
}

fn reason(status: &Status) -> String {
    let info = status.get_details_error_info().expect("every error has a reason");
    assert_eq!(info.domain, "cairn.log.v1");
    info.reason
}

fn field(status: &Status) -> String {
    status.get_details_bad_request().unwrap().field_violations[0].field.clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_is_appended_proved_and_found() {
    let mut stack = Stack::start(&[]).await;
    for number in 0..300_u32 {
        let answer = stack.append(&number.to_be_bytes(), pb::Receipt::Index).await.unwrap();
        assert_eq!(answer.leaf_index, u64::from(number));
    }
    let signed = stack.append(b"last", pb::Receipt::Signed).await.unwrap();
    assert_eq!(signed.receipt_reached(), pb::Receipt::Signed);
    let log = pb::GetLogRequest { log: "default".to_owned() };
    let log = stack.client.get_log(log).await.unwrap().into_inner().log.unwrap();
    let keys = checkpoint::key::parse_vkeys(&(log.vkeys.join("\n") + "\n")).unwrap();
    let trust = checkpoint::Trust::Keys(keys);
    let proof = checkpoint::TlogProof::parse(&signed.tlog_proof).unwrap();
    proof.verify_entry(b"last", &trust).unwrap();
    assert!(proof.verify_entry(b"other", &trust).is_err());

    let by = pb::lookup_entry_request::By::LeafHash(signed.leaf_hash.clone());
    let lookup = pb::LookupEntryRequest { log: "default".to_owned(), by: Some(by) };
    let found = stack.client.lookup_entry(lookup).await.unwrap().into_inner();
    assert_eq!(found.leaf_index, 300);

    let request = pb::GetEntriesRequest {
        log: "default".to_owned(),
        range: Some(pb::IndexRange { start: 250, end: 0 }),
        with_receipts: true,
    };
    let mut entries = stack.client.get_entries(request).await.unwrap().into_inner();
    let first = entries.message().await.unwrap().unwrap();
    assert_eq!(first.entries.unwrap().entries.len(), 51);
    assert!(first.range_receipt.is_some());
    assert!(entries.message().await.unwrap().is_none());

    let request =
        pb::GetConsistencyProofRequest { log: "default".to_owned(), from_size: 7, to_size: 300 };
    let proof = stack.client.get_consistency_proof(request).await.unwrap().into_inner();
    assert_eq!((proof.from_size, proof.to_size), (7, 300));
    stack.server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_carry_their_details() {
    let mut stack = Stack::start(&[]).await;
    let empty = stack.append(b"", pb::Receipt::Index).await.unwrap_err();
    assert_eq!((empty.code(), reason(&empty)), (Code::InvalidArgument, "EMPTY_ENTRY".to_owned()));
    assert_eq!(field(&empty), "entry.data");
    stack.append(&vec![1; 65_535], pb::Receipt::Index).await.unwrap();
    let large = stack.append(&vec![1; 65_536], pb::Receipt::Index).await.unwrap_err();
    assert_eq!(reason(&large), "ENTRY_TOO_LARGE");
    let witnessed = stack.append(b"a", pb::Receipt::Witnessed).await.unwrap_err();
    assert_eq!(witnessed.code(), Code::FailedPrecondition);
    assert_eq!(reason(&witnessed), "NO_WITNESS_POLICY");
    assert!(witnessed.message().contains("policy"));

    let request = pb::GetLogRequest { log: "nothing".to_owned() };
    let missing = stack.client.get_log(request).await.unwrap_err();
    assert_eq!((missing.code(), reason(&missing)), (Code::NotFound, "LOG_NOT_FOUND".to_owned()));
    let request = pb::GetLogRequest { log: "Not A Name".to_owned() };
    let bad = stack.client.get_log(request).await.unwrap_err();
    assert_eq!(reason(&bad), "BAD_LOG_NAME");

    let request = pb::GetInclusionProofRequest {
        log: "default".to_owned(),
        entry: Some(pb::get_inclusion_proof_request::Entry::LeafIndex(99)),
        tree_size: 0,
    };
    let beyond = stack.client.get_inclusion_proof(request).await.unwrap_err();
    assert_eq!((beyond.code(), reason(&beyond)), (Code::OutOfRange, "BEYOND_SIZE".to_owned()));
    stack.server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_are_taken_up_to_the_limit() {
    let mut stack = Stack::start(&[]).await;
    let batch = |count: usize| {
        let entry = |_| pb::Entry { data: bytes::Bytes::from_static(b"x"), ..Default::default() };
        pb::AppendBatchRequest {
            log: "default".to_owned(),
            entries: (0..count).map(entry).collect(),
            receipt: pb::Receipt::Signed.into(),
            receipt_wait: None,
        }
    };
    let answer = stack.client.append_batch(batch(10_000)).await.unwrap().into_inner();
    assert_eq!(answer.results.len(), 10_000);
    assert!(answer.range_receipt.is_some());
    let beyond = stack.client.append_batch(batch(10_001)).await.unwrap_err();
    assert_eq!(reason(&beyond), "BATCH_TOO_LARGE");
    let none = stack.client.append_batch(batch(0)).await.unwrap_err();
    assert_eq!(reason(&none), "EMPTY_BATCH");
    stack.server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_goes_on_where_it_ended() {
    let mut stack = Stack::start(&[]).await;
    let open = pb::append_stream_request::Open {
        log: "default".to_owned(),
        producer_id: bytes::Bytes::from_static(&[7; 16]),
        receipt: pb::Receipt::Signed.into(),
    };
    let entry = pb::Entry { data: bytes::Bytes::from_static(b"x"), ..Default::default() };
    let items = pb::append_stream_request::Items { first_sequence: 1, entries: vec![entry; 3] };
    for already in [0, 3] {
        use pb::append_stream_request::Message;
        use pb::append_stream_response::Message as Answer;
        let messages = [Message::Open(open.clone()), Message::Items(items.clone())];
        let messages = messages.map(|message| pb::AppendStreamRequest { message: Some(message) });
        let requests = tokio_stream::iter(messages);
        let mut answers = stack.client.append_stream(requests).await.unwrap().into_inner();
        let (mut committed, mut proven) = (0, 0);
        while let Some(answer) = answers.message().await.unwrap() {
            match answer.message.unwrap() {
                Answer::Opened(opened) => assert_eq!(opened.last_sequence, already),
                Answer::Committed(run) => committed += run.to_sequence - run.from_sequence + 1,
                Answer::Receipt(receipt) => {
                    proven += receipt.indexes.iter().map(|r| r.end - r.start).sum::<u64>();
                }
            }
        }
        assert_eq!((committed, proven), (3 - already, 3 - already));
    }
    stack.server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn http_serves_tiles_and_takes_entries() {
    let stack = Stack::start(&[]).await;
    let empty = stack.get("/logs/default/checkpoint", &[]).await;
    assert_eq!(empty.headers()["content-type"], "text/plain; charset=utf-8");
    assert_eq!(empty.headers()["cache-control"], "no-cache");
    for number in 0..260_u32 {
        let answer = stack.post("/logs/default/add", vec![b'a'; 100]).await;
        assert_eq!(answer.body().as_ref(), format!("{number}\n").as_bytes());
    }
    let wait = async {
        while stack.get("/logs/default/tile/0/001.p/4", &[]).await.status() != 200 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), wait).await.unwrap();
    let tile = stack.get("/logs/default/tile/0/000", &[]).await;
    assert_eq!(tile.body().len(), 8_192);
    assert_eq!(tile.headers()["content-type"], "application/octet-stream");
    assert_eq!(tile.headers()["cache-control"], "public, max-age=31536000, immutable");
    let prefix = stack.get("/logs/default/tile/0/000.p/5", &[]).await;
    assert_eq!(prefix.body()[..], tile.body()[..5 * 32]);
    let plain =
        stack.get("/logs/default/tile/entries/000", &[("accept-encoding", "gzip;q=0")]).await;
    assert_eq!(plain.body().len(), 256 * 102);
    assert_eq!(plain.headers()["vary"], "Accept-Encoding");
    assert!(!plain.headers().contains_key("content-encoding"));
    let packed = stack.get("/logs/default/tile/entries/000", &[("accept-encoding", "zstd")]).await;
    assert_eq!(packed.headers()["content-encoding"], "zstd");
    assert_eq!(zstd::bulk::decompress(packed.body(), 1 << 20).unwrap(), plain.body()[..]);
    for path in ["/", "/logs/default", "/logs/none/checkpoint", "/logs/default/tile/0/002"] {
        let missing = stack.get(path, &[]).await;
        assert_eq!(missing.status(), 404, "{path}");
        assert_eq!(missing.headers()["cache-control"], "no-store");
    }
    assert_eq!(stack.post("/logs/default/add", vec![1; 65_535]).await.status(), 200);
    assert_eq!(stack.post("/logs/default/add", vec![1; 65_536]).await.status(), 413);
    assert_eq!(stack.post("/logs/default/add", Vec::new()).await.status(), 400);
    for path in ["/healthz", "/readyz", "/metrics"] {
        assert_eq!(stack.get(path, &[]).await.status(), 200, "{path}");
    }
    let mut server = stack.server;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_that_is_not_reached_in_time_is_never_claimed() {
    let mut stack = Stack::start(&[]).await;
    let entry = pb::Entry { data: bytes::Bytes::from_static(b"x"), ..Default::default() };
    let mut request = Request::new(pb::AppendRequest {
        log: "default".to_owned(),
        entry: Some(entry),
        receipt: pb::Receipt::Signed.into(),
        receipt_wait: Some(prost_types::Duration { seconds: 0, nanos: 0 }),
    });
    request.set_timeout(Duration::from_secs(5));
    let answer = stack.client.append(request).await.unwrap().into_inner();
    let carries = !answer.tlog_proof.is_empty();
    assert_eq!(answer.receipt_reached() == pb::Receipt::Signed, carries);
    stack.server.stop().await;
}
