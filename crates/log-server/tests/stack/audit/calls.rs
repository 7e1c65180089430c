//! `AuditService`.

use std::collections::BTreeSet;

use log_proto::audit_v1 as pb;
use log_proto::audit_v1::record_result::Result as Outcome;
use log_proto::audit_v1::record_stream_request::{Message, Open};
use log_proto::audit_v1::record_stream_response::Message as Answer;
use log_proto::events;
use log_proto::log_v1::Receipt;
use merkle::{Hash, LeafIndex};
use prost::Message as _;
use prost_types::FileDescriptorSet;
use serde_json::json;
use serve::route::Call;
use tonic::Code;

use super::{event, message};
use crate::harness::{Stack, proven, refused_field};

fn batch(events: Vec<bytes::Bytes>, receipt: Receipt) -> events::RecordEventsRequest {
    let log = "audit".to_owned();
    events::RecordEventsRequest { log, events, receipt: receipt.into(), receipt_wait: None }
}

#[tokio::test(flavor = "multi_thread")]
async fn both_forms_of_an_event_are_one_event() {
    let stack = Stack::new().await;
    stack.record_all(&[event("1", "ana", "invoice.updated")]).await;
    let request = events::RecordEventRequest {
        log: "audit".to_owned(),
        event: message("1", &[]),
        receipt: Receipt::Signed.into(),
        receipt_wait: None,
    };
    let answer = stack.audit().record_event(request).await.unwrap().into_inner();
    let recorded = answer.recorded.unwrap();
    assert!(recorded.duplicate && recorded.index == 0);
    assert!(answer.tlog_proof.starts_with(b"c2sp.org/tlog-proof@v1\n"));
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_names_what_it_did_not_know_and_proves_what_it_took() {
    let mut stack = Stack::new().await;
    // Field 99, a number.
    let unknown = message("2", &[0x98, 6, 7]);
    let bad = message("3", &[0x0a, 1, 0xff]);
    let request = batch(vec![message("1", &[]), unknown, bad, message("1", &[])], Receipt::Signed);
    let answer = stack.audit().record_events(request).await.unwrap().into_inner();
    let outcomes: Vec<Outcome> =
        answer.results.into_iter().map(|result| result.result.unwrap()).collect();
    let Outcome::Recorded(first) = &outcomes[0] else { panic!("{outcomes:?}") };
    let Outcome::Recorded(second) = &outcomes[1] else { panic!("{outcomes:?}") };
    assert_eq!(second.unknown_fields, ["/99"]);
    let Outcome::Refused(refused) = &outcomes[2] else { panic!("{outcomes:?}") };
    assert_eq!((refused.field.as_str(), refused.reason.as_str()), ("id", "BAD_FIELD"));
    let Outcome::Recorded(again) = &outcomes[3] else { panic!("{outcomes:?}") };
    assert!(again.duplicate && again.index == first.index);
    let leaf = |it: &pb::Recorded| {
        (LeafIndex::new(it.index).unwrap(), Hash::try_from(&it.leaf_hash[..]).unwrap())
    };
    let trust = stack.trust("audit").await;
    proven(&answer.range_receipt.unwrap(), &[leaf(first), leaf(second)], &trust);
    let (_, shown) = stack.json("/v1/events/1").await;
    assert!(shown["blocks"]["raw"].is_object(), "the bytes are kept");

    let empty = stack.audit().record_events(batch(vec![], Receipt::Index)).await.unwrap_err();
    assert_eq!(refused_field(&empty).1, "EMPTY_BATCH");
    let many = batch(vec![message("9", &[]); 1_001], Receipt::Index);
    let many = stack.audit().record_events(many).await.unwrap_err();
    assert_eq!(
        (many.code(), refused_field(&many).1),
        (Code::InvalidArgument, "TOO_MANY_EVENTS".to_owned())
    );
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_is_opened_again_records_nothing_twice() {
    let stack = Stack::new().await;
    let requests = || {
        let open = Open {
            log: "audit".to_owned(),
            producer_id: vec![7; 16].into(),
            receipt: Receipt::Signed.into(),
        };
        // The second has no id of its own: its place in the stream stands for one.
        let events = vec![message("1", &[]), message("", &[])];
        let items = events::RecordStreamItems { first_sequence: 5, events };
        let messages = [Message::Open(open), Message::Items(items)];
        messages.map(|message| pb::RecordStreamRequest { message: Some(message) })
    };
    for round in [0, 1] {
        let answers = stack.audit().record_stream(tokio_stream::iter(requests())).await;
        let mut answers = answers.unwrap().into_inner();
        let mut seen = Vec::new();
        while let Some(answer) = answers.message().await.unwrap() {
            seen.push(answer.message.unwrap());
        }
        assert!(matches!(seen[0], Answer::Opened(_)) && matches!(seen[2], Answer::Receipt(_)));
        let Answer::Results(results) = &seen[1] else { panic!("{seen:?}") };
        assert_eq!((results.first_sequence, results.results.len()), (5, 2));
        for result in &results.results {
            let Some(Outcome::Recorded(recorded)) = &result.result else { panic!("{result:?}") };
            assert_eq!(recorded.duplicate, round == 1);
        }
    }
    assert_eq!(stack.server.registry().log("audit").unwrap().tree().head.size.get(), 2);
    let not_open = [pb::RecordStreamRequest { message: None }];
    let refused = stack.audit().record_stream(tokio_stream::iter(not_open)).await.unwrap_err();
    assert_eq!(refused_field(&refused).2, "open");
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_read_found_counted_and_followed() {
    let stack = Stack::new().await;
    let events: Vec<_> =
        (0..3).map(|id| event(&id.to_string(), "ana", "invoice.updated")).collect();
    stack.record_all(&events).await;
    let mut audit = stack.audit();
    let log = || "audit".to_owned();
    let one = pb::GetEventRequest { log: log(), index: 1 };
    let shown = audit.get_event(one.clone()).await.unwrap().into_inner();
    assert_eq!((shown.index, shown.blocks[0].name.as_str()), (1, "core"));
    assert!(audit.get_event_receipt(one).await.unwrap().into_inner().tlog_proof.len() > 100);
    let beyond = audit.get_event(pb::GetEventRequest { log: log(), index: 3 }).await.unwrap_err();
    assert_eq!(beyond.code(), Code::NotFound);
    let parameter =
        |name: &str, value: &str| pb::Parameter { name: name.to_owned(), value: value.to_owned() };
    let query = vec![parameter("actor", "ana"), parameter("limit", "2")];
    let search = pb::SearchEventsRequest { log: log(), query };
    let page = audit.search_events(search).await.unwrap().into_inner();
    assert_eq!((page.events.len(), page.count, page.count_exact, page.tree_size), (2, 3, true, 3));
    assert!(!page.next.is_empty() && page.events[0].blocks.is_empty());
    let event: serde_json::Value = serde_json::from_str(&page.events[0].event_json).unwrap();
    assert_eq!(event["id"], json!("2"));
    let count = pb::CountEventsRequest { log: log(), by: "action".to_owned(), query: vec![] };
    let counts = audit.count_events(count).await.unwrap().into_inner().counts;
    assert_eq!((counts[0].key.as_str(), counts[0].count), ("invoice.updated", 3));
    let tail = pb::TailEventsRequest { log: log(), from: Some(1) };
    let mut tail = audit.tail_events(tail).await.unwrap().into_inner();
    for index in [1, 2] {
        assert_eq!(tail.message().await.unwrap().unwrap().index, index);
    }
    let bad = pb::SearchEventsRequest { log: log(), query: vec![parameter("shoe", "1")] };
    assert_eq!(refused_field(&audit.search_events(bad).await.unwrap_err()).2, "shoe");
    drop(tail);
    stack.stop().await;
}

#[test]
fn the_calls_of_the_table_are_those_of_the_service() {
    let files = FileDescriptorSet::decode(log_proto::AUDIT_DESCRIPTOR_SET).unwrap().file;
    let services = files.iter().filter(|file| file.package() == "cairn.audit.v1");
    let methods = services.flat_map(|file| &file.service).flat_map(|service| &service.method);
    let expected: BTreeSet<(String, bool)> = methods
        .map(|method| {
            let path = format!("/cairn.audit.v1.AuditService/{}", method.name());
            (path, method.client_streaming())
        })
        .collect();
    let table = log_server::routes::table();
    let rows = table.routes().filter(|route| route.pattern.text().starts_with("/cairn.audit.v1."));
    let rows = rows.map(|route| {
        assert!(route.call.is_grpc());
        (route.pattern.text().to_owned(), route.call == Call::Streaming)
    });
    assert_eq!(rows.collect::<BTreeSet<_>>(), expected);
}
