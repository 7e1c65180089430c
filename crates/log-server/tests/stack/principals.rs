//! Who sent a request decides whose deduplication keys are meant.

use http::Request;
use log_api::service::Service;
use log_proto::log_v1 as pb;
use log_proto::log_v1::append_result::Result as One;
use log_proto::log_v1::append_stream_request::{Items, Message as Ask, Open};
use log_proto::log_v1::append_stream_response::Message as Answer;
use log_proto::log_v1::log_service_client::LogServiceClient;
use log_proto::log_v1::log_service_server::LogServiceServer;
use log_proto::log_v1::lookup_entry_request::By;
use serve::principal::Principal;
use tonic::body::Body;
use tonic::{Code, Status};
use tower::ServiceExt as _;

use crate::deadline::Rig;
use crate::harness::{LOG, append_request, batch_request, because, keyed, refused};

type Marked<F> = LogServiceClient<tower::util::MapRequest<LogServiceServer<Service>, F>>;

/// A client whose requests are marked as the middleware marks them.
fn client_of(
    rig: &Rig,
    who: Principal,
) -> Marked<impl FnMut(Request<Body>) -> Request<Body> + Clone + use<>> {
    let mark = move |mut request: Request<Body>| {
        who.clone().mark(request.extensions_mut());
        request
    };
    LogServiceClient::new(LogServiceServer::new(rig.service.clone()).map_request(mark))
}

/// Index and whether it was there already.
type Appended = Result<(u64, bool), Status>;

macro_rules! append {
    ($client:expr, $data:expr) => {{
        let request = append_request(LOG, keyed($data, b"key"), pb::Receipt::Index);
        let answer = $client.append(request).await;
        let appended: Appended = answer.map(|answer| {
            let pb::AppendResponse { leaf_index, duplicate, .. } = answer.into_inner();
            (leaf_index, duplicate)
        });
        appended
    }};
}

macro_rules! look_up {
    ($client:expr) => {{
        let by = Some(By::DedupKey(b"key"[..].into()));
        let request = pb::LookupEntryRequest { log: LOG.to_owned(), by };
        let answer = $client.lookup_entry(request).await;
        let found: Result<u64, Status> = answer.map(|answer| answer.into_inner().leaf_index);
        found
    }};
}

#[tokio::test(flavor = "multi_thread")]
async fn each_principal_has_its_own_deduplication_keys() {
    let rig = Rig::new().await;
    let named = |id: &str| client_of(&rig, Principal::Named(id.into()));
    let (mut alice, mut bob) = (named("alice"), named("bob"));
    let mut nobody = client_of(&rig, Principal::Anonymous);

    assert_eq!(append!(alice, b"hers").unwrap(), (0, false));
    let unknown = look_up!(bob).unwrap_err();
    assert_eq!(refused(&unknown), because(Code::NotFound, "ENTRY_NOT_FOUND"));
    assert_eq!(append!(bob, b"his").unwrap(), (1, false));
    assert_eq!(append!(nobody, b"nobody's").unwrap(), (2, false));

    assert_eq!(append!(alice, b"hers").unwrap(), (0, true));
    let conflict = append!(alice, b"his").unwrap_err();
    assert_eq!(refused(&conflict), because(Code::AlreadyExists, "DEDUP_KEY_CONFLICT"));
    assert_eq!(look_up!(alice).unwrap(), 0);
    assert_eq!(look_up!(bob).unwrap(), 1);
    assert_eq!(look_up!(nobody).unwrap(), 2);
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_and_streams_are_their_senders_too() {
    let rig = Rig::new().await;
    let named = |id: &str| client_of(&rig, Principal::Named(id.into()));
    let (mut alice, mut bob) = (named("alice"), named("bob"));
    assert_eq!(append!(alice, b"hers").unwrap(), (0, false));

    let batch = || batch_request(vec![keyed(b"hers", b"key")], pb::Receipt::Index);
    let results = alice.append_batch(batch()).await.unwrap().into_inner().results;
    let Some(One::Appended(appended)) = &results[0].result else { panic!("{results:?}") };
    assert_eq!((appended.leaf_index, appended.duplicate), (0, true));
    let results = bob.append_batch(batch()).await.unwrap().into_inner().results;
    let Some(One::Appended(appended)) = &results[0].result else { panic!("{results:?}") };
    assert_eq!((appended.leaf_index, appended.duplicate), (1, false));

    for (client, producer, index) in [(&mut alice, 1, 0), (&mut bob, 2, 1)] {
        let open = Open {
            log: LOG.to_owned(),
            producer_id: vec![producer; 16].into(),
            receipt: pb::Receipt::Index.into(),
        };
        let entries = vec![keyed(b"hers", b"key")];
        let items = Items { first_sequence: 1, entries };
        let asks = [Ask::Open(open), Ask::Items(items)];
        let asks = asks.map(|ask| pb::AppendStreamRequest { message: Some(ask) });
        let mut answers =
            client.append_stream(tokio_stream::iter(asks)).await.unwrap().into_inner();
        let mut committed = None;
        while let Some(answer) = answers.message().await.unwrap() {
            if let Some(Answer::Committed(found)) = answer.message {
                committed = Some(found.first_index);
            }
        }
        assert_eq!(committed, Some(index), "the entry that its sender appended before");
    }
    rig.stop().await;
}
