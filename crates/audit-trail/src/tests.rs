//! Recording on the memory engine, from draft to stored event.

use std::sync::Arc;
use std::time::Duration;

use audit_event::event::{Actor, ActorKind};
use audit_event::mapping::{Intake, cloudevents};
use audit_event::{Flag, Instant, Tag};
use base::clock::ManualClock;
use log_core::{CreateLog, testing};
use merkle::LeafIndex;
use serde_json::{Value, json};
use storage::memory::MemoryEngine;
use storage::{Engine as _, LogKind};
use tempfile::TempDir;

use super::*;

const START_MS: u64 = 1_700_000_000_000;

struct Rig {
    _dir: TempDir,
    trail: Trail,
    engine: Arc<MemoryEngine>,
    clock: Arc<ManualClock>,
}

impl Rig {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let engine = Arc::new(MemoryEngine::new());
        let clock = Arc::new(ManualClock::new(START_MS));
        let registry = Registry::open(testing::options(
            dir.path(),
            Arc::clone(&engine) as Arc<dyn storage::Store>,
            Arc::clone(&clock) as Arc<dyn Clock>,
        ));
        let registry = registry.unwrap();
        for (name, kind) in
            [("default", LogKind::Plain), ("audit", LogKind::Audit), ("system", LogKind::Audit)]
        {
            registry.create(CreateLog::new(name, kind)).await.unwrap();
        }
        Self { _dir: dir, trail: Trail::new(registry), engine, clock }
    }

    fn log(&self, name: &str) -> Log {
        self.trail.registry().log(name).unwrap()
    }

    async fn record(&self, drafts: Vec<Draft<'_>>) -> Vec<Result<Taken, Refused>> {
        self.trail.record(&self.log("audit"), drafts, None).await.unwrap().results
    }

    /// Records one event of our own API.
    async fn own(&self, event: &Value) -> Result<Taken, Refused> {
        let bytes = event.to_string();
        let draft = Draft::json(bytes.as_bytes(), 1 << 20).unwrap();
        self.record(vec![draft]).await.remove(0)
    }

    fn stored(&self, name: &str, index: LeafIndex) -> StoredEvent {
        StoredEvent::read(&self.log(name), index).unwrap()
    }

    async fn stop(self) {
        self.trail.registry().shutdown().await;
    }
}

fn event(id: &str) -> Value {
    json!({
        "id": id, "source": "/billing", "time": "2023-11-14T22:13:20Z", "action": "invoice.updated",
        "outcome": "success", "actor": {"type": "user", "id": "u-1", "name": "Alice Chen"},
        "targets": [{"type": "invoice", "id": "4711"}],
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_comes_back_as_it_was_recorded() {
    let rig = Rig::new().await;
    let taken = rig.own(&event("e-1")).await.unwrap();
    assert_eq!((taken.id.as_str(), taken.index.get(), taken.duplicate), ("e-1", 0, false));
    assert_eq!(taken.received_at.to_string(), "2023-11-14T22:13:20Z");
    let stored = rig.stored("audit", taken.index);
    assert_eq!((stored.leaf_hash, stored.received_at()), (taken.leaf_hash, taken.received_at));
    let tags: Vec<Tag> = stored.blocks.iter().map(|block| block.tag).collect();
    assert_eq!(tags, [Tag::Core, Tag::Actor, Tag::Target], "nothing unknown, so no RAW");
    assert!(stored.erased.is_empty() && stored.damaged.is_empty());
    let recorded = stored.recorded();
    assert_eq!(recorded.event.action.as_deref(), Some("invoice.updated"));
    assert_eq!(recorded.event.actor.unwrap().name.as_deref(), Some("Alice Chen"));
    let line = stored.into_line();
    line.leaf.verify(&line.shown(), line.erased).unwrap();
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_event_names_its_field_and_costs_the_others_nothing() {
    let rig = Rig::new().await;
    let (mut bad, good) = (event("e-1"), event("e-2"));
    bad["source"] = json!("cairn:host.example/audit");
    let (bad, good) = (bad.to_string(), good.to_string());
    let drafts = [&bad, &good].map(|text| Draft::json(text.as_bytes(), 1 << 20).unwrap());
    let results = rig.record(drafts.into()).await;
    let refused = results[0].as_ref().unwrap_err();
    assert_eq!(refused.to_string(), "source is reserved for the server itself");
    assert_eq!(results[1].as_ref().unwrap().index.get(), 0);
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repetition_is_a_duplicate_and_another_content_is_refused_and_reported_once() {
    let rig = Rig::new().await;
    let first = rig.own(&event("e-1")).await.unwrap();
    rig.clock.advance(Duration::from_secs(9));
    let again = rig.own(&event("e-1")).await.unwrap();
    assert_eq!(again, Taken { duplicate: true, ..first.clone() });
    let mut other = event("e-1");
    other["outcome"] = json!("denied");
    for _ in 0..2 {
        let refused = rig.own(&other).await.unwrap_err();
        assert_eq!(refused, Refused::IdTaken { index: first.index });
    }
    assert_eq!(rig.log("system").tree().head.size.get(), 1, "one report for one conflict");
    let report = rig.stored("system", LeafIndex::new(0).unwrap()).recorded().event;
    let origin = rig.log("system").origin().as_str().to_owned();
    assert_eq!(report.action.as_deref(), Some("security.id_reused"));
    assert_eq!(report.source, Some(format!("cairn:{origin}")));
    assert_eq!(report.targets[0].id, "audit/0");
    // Without an id of its own each event is another one.
    let mut unnamed = event("");
    unnamed.as_object_mut().unwrap().remove("id");
    let ids = [rig.own(&unnamed).await.unwrap(), rig.own(&unnamed).await.unwrap()];
    assert_eq!((ids[0].index.get(), ids[1].index.get()), (1, 2));
    assert!(ids[0].id.len() == 26 && ids[0].id != ids[1].id);
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_members_are_kept_as_the_bytes_that_came() {
    let rig = Rig::new().await;
    let mut more = event("e-1");
    more["shoe_size"] = json!(43);
    let taken = rig.own(&more).await.unwrap();
    let stored = rig.stored("audit", taken.index);
    let raw = stored.blocks.iter().find(|block| block.tag == Tag::Raw).unwrap();
    assert_eq!(raw.bytes, more.to_string().as_bytes());
    assert_eq!(stored.recorded().raw_content_type.as_deref(), Some("application/json"));
    more["shoe_size"] = json!(44);
    assert!(matches!(rig.own(&more).await, Err(Refused::IdTaken { .. })), "the content is another");
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_item_is_never_refused_for_its_id() {
    let rig = Rig::new().await;
    let now = Instant::from_nanos(START_MS * 1_000_000);
    let actor = Actor::new(ActorKind::Service, "/ce");
    let intake = Intake { now, source: "/ce", action: None, actor: Some(&actor), category: None };
    let item = |kind: &str| {
        let kind = format!("org.example.{kind}.changed");
        json!({"specversion": "1.0", "id": "1", "source": "/ce", "type": kind}).to_string()
    };
    let (one, two) = (item("one"), item("two"));
    let map = |text| Draft::Item(cloudevents::map(text, &intake).unwrap());
    let drafts = || vec![map(one.as_bytes()), map(two.as_bytes())];
    for round in [0, 1] {
        let results = rig.record(drafts()).await;
        let taken: Vec<&Taken> = results.iter().map(|result| result.as_ref().unwrap()).collect();
        assert_eq!((taken[0].index.get(), taken[1].index.get()), (0, 1));
        assert_eq!(taken.iter().map(|taken| taken.duplicate).collect::<Vec<_>>(), [round == 1; 2]);
        assert_eq!(taken[0].id, "1");
        assert!(taken[1].id.starts_with("1#") && taken[1].id.len() == 18, "{}", taken[1].id);
    }
    let stored = rig.stored("audit", LeafIndex::new(1).unwrap());
    assert!(stored.recorded().flags.contains(&Flag::ID_REUSED));
    let raw = stored.blocks.last().unwrap();
    assert_eq!((raw.tag, &raw.bytes[..]), (Tag::Raw, two.as_bytes()));
    assert_eq!(rig.log("system").tree().head.size.get(), 1);
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_audit_logs_take_events_and_the_server_s_own_log_takes_none_of_others() {
    let rig = Rig::new().await;
    let text = event("e-1").to_string();
    let record = async |name| {
        let draft = Draft::json(text.as_bytes(), 1 << 20).unwrap();
        rig.trail.record(&rig.log(name), vec![draft], None).await.unwrap_err().to_string()
    };
    assert_eq!(record("default").await, "log default is not an audit log: it takes no events");
    assert_eq!(record("system").await, "only the server writes to the log system");
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_is_beyond_and_what_is_no_leaf_is_named() {
    let rig = Rig::new().await;
    let index = LeafIndex::new(0).unwrap();
    let beyond = StoredEvent::read(&rig.log("audit"), index).unwrap_err();
    assert_eq!(beyond.to_string(), "the log has 0 events");
    rig.log("default").append(log_core::Submission::single("x".into(), None)).await.unwrap();
    let no_leaf = StoredEvent::read(&rig.log("default"), index).unwrap_err();
    assert_eq!(no_leaf.to_string(), "entry 0 is not the leaf of an event");
    assert!(rig.engine.logs().unwrap().len() == 3);
    rig.stop().await;
}
