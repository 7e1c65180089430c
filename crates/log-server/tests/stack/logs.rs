//! Creating, listing and freezing logs.

use log_proto::log_v1 as pb;
use tonic::Code;

use crate::harness::{
    LOG, Stack, at_fault, batch_request, because, entry, refused, refused_field, verified,
};

fn create(log: &str, origin: &str) -> pb::CreateLogRequest {
    pb::CreateLogRequest {
        log: log.to_owned(),
        origin: origin.to_owned(),
        ..pb::CreateLogRequest::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_log_has_its_origin_its_keys_and_a_signed_head_of_size_zero() {
    let mut stack = Stack::new().await;
    let request = create("books", "example.org/books");
    let log = stack.client.create_log(request).await.unwrap().into_inner().log.unwrap();
    assert_eq!((log.name.as_str(), log.origin.as_str()), ("books", "example.org/books"));
    assert_eq!((log.state(), log.tree_size), (pb::LogState::Active, 0));
    assert_eq!(log.vkeys.len(), 2);
    assert!(log.vkeys.iter().all(|vkey| vkey.starts_with("example.org/books+")));
    let trust = stack.trust("books").await;
    let head = verified(&log.checkpoint, &trust);
    assert_eq!((head.origin().as_str(), head.size().get()), ("example.org/books", 0));

    let request = create("other", "");
    let other = stack.client.create_log(request).await.unwrap().into_inner().log.unwrap();
    assert!(other.origin.contains("/other/"), "{}", other.origin);
    // Logs do not touch: each has its own indexes, and the other's keys prove nothing.
    for name in ["books", "other"] {
        let answer = stack.append_to(name, entry(b"a"), pb::Receipt::Signed).await.unwrap();
        assert_eq!(answer.leaf_index, 0);
    }
    let foreign = formats::SignedCheckpoint::parse(&stack.published("other", 1).await).unwrap();
    assert!(trust.verify(&foreign).is_err());
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn names_and_origins_are_checked_and_never_used_twice() {
    let mut stack = Stack::with(&[("logs_max", "5")]).await;
    stack.client.create_log(create("books", "example.org/books")).await.unwrap();
    for (name, origin, code, reason, field) in [
        ("Books", "", Code::InvalidArgument, "BAD_LOG_NAME", "log"),
        ("", "", Code::InvalidArgument, "BAD_LOG_NAME", "log"),
        ("b", "with space", Code::InvalidArgument, "BAD_ORIGIN", "origin"),
        ("b", "with+plus", Code::InvalidArgument, "BAD_ORIGIN", "origin"),
        ("b", &"o".repeat(256), Code::InvalidArgument, "BAD_ORIGIN", "origin"),
        ("b", "example.org/books", Code::AlreadyExists, "ORIGIN_EXISTS", "origin"),
        ("books", "", Code::AlreadyExists, "LOG_EXISTS", "log"),
    ] {
        let refusal = stack.client.create_log(create(name, origin)).await.unwrap_err();
        assert_eq!(refused_field(&refusal), at_fault(code, reason, field));
    }
    let longest = create("longest", &"o".repeat(255));
    stack.client.create_log(longest).await.unwrap();
    let beyond = stack.client.create_log(create("one-more", "")).await.unwrap_err();
    assert_eq!(refused(&beyond), because(Code::ResourceExhausted, "TOO_MANY_LOGS"));
    let missing = stack.describe("one-more").await.unwrap_err();
    assert_eq!(refused(&missing), because(Code::NotFound, "LOG_NOT_FOUND"));
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_are_listed_by_name_in_pages() {
    let mut stack = Stack::new().await;
    for name in ["c", "a", "b", "e"] {
        stack.client.create_log(create(name, "")).await.unwrap();
    }
    let ask = |page_size, page_token: &str| pb::ListLogsRequest {
        page_size,
        page_token: page_token.to_owned(),
    };
    let (mut names, mut token) = (Vec::new(), String::new());
    for expected in [2, 2, 2, 1] {
        let page = stack.client.list_logs(ask(2, &token)).await.unwrap().into_inner();
        assert_eq!(page.logs.len(), expected);
        names.extend(page.logs.into_iter().map(|log| log.name));
        token = page.next_page_token;
    }
    assert!(token.is_empty());
    assert_eq!(names, ["a", "audit", "b", "c", LOG, "e", "system"]);
    for (request, field) in [(ask(1_001, ""), "page_size"), (ask(0, "No Name"), "page_token")] {
        let refusal = stack.client.list_logs(request).await.unwrap_err();
        assert_eq!(refused_field(&refusal), at_fault(Code::InvalidArgument, "BAD_FIELD", field));
    }
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn freezing_drains_what_is_queued_and_is_final() {
    let (mut stack, engine) = Stack::faulty(&[]).await;
    stack.fill(0, 5).await;
    engine.block_sync();
    let append = |count: usize| {
        let mut client = stack.client.clone();
        let request = batch_request(vec![entry(b"x"); count], pb::Receipt::Index);
        tokio::spawn(async move { client.append_batch(request).await })
    };
    let in_flight = append(3);
    engine.wait_until_blocked();
    let queued = append(4);
    while stack.server.registry().queued().0 < 4 {
        tokio::task::yield_now().await;
    }
    let freeze = pb::FreezeLogRequest { log: LOG.to_owned() };
    let freezing = {
        let (mut client, freeze) = (stack.client.clone(), freeze.clone());
        tokio::spawn(async move { client.freeze_log(freeze).await })
    };
    while stack.describe(LOG).await.unwrap().state() == pb::LogState::Active {
        if freezing.is_finished() {
            break;
        }
        tokio::task::yield_now().await;
        engine.release_sync();
    }
    in_flight.await.unwrap().unwrap();
    queued.await.unwrap().unwrap();
    let frozen = freezing.await.unwrap().unwrap().into_inner();
    let log = frozen.log.unwrap();
    assert_eq!((log.state(), log.tree_size), (pb::LogState::Frozen, 12));
    let trust = stack.trust(LOG).await;
    assert_eq!(verified(&frozen.checkpoint, &trust).size().get(), 12, "the final checkpoint");

    let late = stack.append(b"late", pb::Receipt::Index).await.unwrap_err();
    assert_eq!(refused(&late), because(Code::FailedPrecondition, "LOG_FROZEN"));
    let late = stack.post("/logs/default/add", b"late".to_vec()).await;
    assert_eq!(late.status(), 409);
    let again = stack.client.freeze_log(freeze).await.unwrap().into_inner();
    assert_eq!(again.checkpoint, frozen.checkpoint, "freezing again answers the same");
    let served = stack.get("/logs/default/checkpoint", &[]).await;
    assert_eq!(served.body(), &frozen.checkpoint);
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_log_stays_frozen_over_a_restart_and_keeps_its_proofs() {
    let mut stack = Stack::new().await;
    stack.fill(0, 300).await;
    let freeze = pb::FreezeLogRequest { log: LOG.to_owned() };
    let frozen = stack.client.freeze_log(freeze).await.unwrap().into_inner();
    let data = stack.stop().await;
    let mut stack = Stack::over(data, &[]).await;
    let log = stack.describe(LOG).await.unwrap();
    assert_eq!((log.state(), log.tree_size), (pb::LogState::Frozen, 300));
    let trust = stack.trust(LOG).await;
    let (kept, last) = (verified(&log.checkpoint, &trust), verified(&frozen.checkpoint, &trust));
    assert_eq!((kept.size(), kept.root()), (last.size(), last.root()));
    let late = stack.append(b"late", pb::Receipt::Index).await.unwrap_err();
    assert_eq!(refused(&late), because(Code::FailedPrecondition, "LOG_FROZEN"));
    let missing = pb::FreezeLogRequest { log: "nothing".to_owned() };
    let missing = stack.client.freeze_log(missing).await.unwrap_err();
    assert_eq!(refused(&missing), because(Code::NotFound, "LOG_NOT_FOUND"));
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_audit_log_says_what_it_is_and_refuses_entries_at_every_door() {
    let mut stack = Stack::new().await;
    let audit = pb::LogKind::Audit.into();
    let request = pb::CreateLogRequest { kind: audit, ..create("trail", "") };
    let both = pb::CreateLogRequest { deduplicate_entries: true, ..request.clone() };
    let unknown = pb::CreateLogRequest { kind: 3, ..request.clone() };
    for (wrong, field) in [(both, "deduplicate_entries"), (unknown, "kind")] {
        let refusal = stack.client.create_log(wrong).await.unwrap_err();
        assert_eq!(refused_field(&refusal), at_fault(Code::InvalidArgument, "BAD_FIELD", field));
    }
    let log = stack.client.create_log(request).await.unwrap().into_inner().log.unwrap();
    assert_eq!(log.kind(), pb::LogKind::Audit);
    assert_eq!(stack.describe(LOG).await.unwrap().kind(), pb::LogKind::Plain);

    let expected = because(Code::FailedPrecondition, "EVENTS_ONLY");
    let single = stack.append_to("trail", entry(b"a"), pb::Receipt::Index).await.unwrap_err();
    assert_eq!(refused(&single), expected);
    let batch = batch_request(vec![entry(b"a")], pb::Receipt::Index);
    let batch = pb::AppendBatchRequest { log: "trail".to_owned(), ..batch };
    let batch = stack.client.append_batch(batch).await.unwrap_err();
    assert_eq!(refused(&batch), expected);
    let open = pb::append_stream_request::Open {
        log: "trail".to_owned(),
        producer_id: vec![1; 16].into(),
        receipt: pb::Receipt::Index.into(),
    };
    let open = pb::append_stream_request::Message::Open(open);
    let open = pb::AppendStreamRequest { message: Some(open) };
    let answers = stack.client.append_stream(tokio_stream::iter([open])).await.unwrap();
    let stream = answers.into_inner().message().await.unwrap_err();
    assert_eq!(refused(&stream), expected);
    let added = stack.post("/logs/trail/add", b"a".to_vec()).await;
    assert_eq!(added.status(), 409);

    let counted = stack.get("/metrics", &[]).await;
    let counted = String::from_utf8(counted.body().to_vec()).unwrap();
    assert!(counted.contains("EVENTS_ONLY"), "{counted}");
    assert_eq!(stack.describe("trail").await.unwrap().tree_size, 0);
    stack.stop().await;
}
