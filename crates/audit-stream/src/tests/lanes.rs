//! What holds for every kind: nothing is lost, nothing waits for others, nothing erased goes out.

use std::time::Duration;

use audit_event::Tag;
use audit_index::Query;
use audit_trail::OwnEvent;
use log_core::erase::Targets;
use merkle::LeafIndex;
use serde_json::json;

use super::elasticsearch::created;
use super::receiver::{Answer, Receiver, Sent};
use super::rig::{Rig, destination, elastic};
use crate::{Destination, forget_stored};

fn ids(sent: &Sent) -> Vec<String> {
    let lines = sent.lines();
    let ids = lines.iter().filter_map(|line| line["create"]["_id"].as_str());
    ids.map(str::to_owned).collect()
}

async fn until(receiver: &Receiver, count: usize) {
    let waiting = async {
        while receiver.sent().len() < count {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(Duration::from_mins(1), waiting).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_before_the_cursor_sends_twice_and_loses_nothing() {
    let receiver = Receiver::new(vec![Answer::Never], created).await;
    let mut rig = Rig::one(elastic(), &receiver.url, 3, 1).await;
    until(&receiver, 1).await;
    rig.crash().await;
    assert_eq!(rig.cursor(), 1);
    rig.start();
    rig.until_idle().await;
    let sent: Vec<_> = receiver.sent().iter().map(ids).collect();
    assert_eq!(sent, [["cairn.example-1", "cairn.example-2"]; 2]);
    rig.crash().await;
    rig.start();
    rig.record(3, "door.opened").await;
    rig.until(|lane| lane["next"] == 4).await;
    assert_eq!(ids(receiver.sent().last().unwrap()), ["cairn.example-3"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_destination_that_hangs_slows_no_other() {
    let silent = Receiver::new(vec![], |_| Answer::Never).await;
    let good = Receiver::new(vec![], created).await;
    let other = Destination { name: "other".to_owned(), ..destination(elastic(), &good.url) };
    // Its calls are given up after some milliseconds by the clock of the test.
    let timeout = Duration::from_secs(10);
    let hanging = Destination { timeout, ..destination(elastic(), &silent.url) };
    let rig = Rig::new(vec![hanging, other], 5, 0).await;
    until(&good, 1).await;
    until(&silent, 2).await;
    let lane = rig.until(|lane| lane["failed_calls"].as_u64() >= Some(1)).await;
    assert_eq!((&lane["next"], rig.cursor()), (&json!(0), 0));
    assert!(lane["oldest_unsent_at"].is_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_decides_what_goes_out_and_the_cursor_passes_the_rest() {
    let receiver = Receiver::new(vec![], created).await;
    let filter = Some(Query::parse([("action", "door.closed")]).unwrap());
    let closed = Destination { filter, ..destination(elastic(), &receiver.url) };
    let rig = Rig::new(vec![closed], 2, 0).await;
    rig.until(|lane| lane["next"] == 2).await;
    assert!(receiver.sent().is_empty());
    rig.record(2, "door.closed").await;
    rig.record(3, "door.opened").await;
    let lane = rig.until(|lane| lane["next"] == 4).await;
    assert_eq!((&lane["sent"], receiver.sent().len()), (&json!(1), 1));
    assert_eq!(ids(&receiver.sent()[0]), ["cairn.example-2"]);
}

async fn erase(rig: &Rig, index: u64, tags: &[Tag]) {
    let (log, at) = (rig.log(), LeafIndex::new(index).unwrap());
    let kinds = tags.iter().map(|tag| tag.number()).collect();
    let erasing = log.erase(Targets::from([(at, kinds)])).await.unwrap();
    let leaf = rig.trail.own_leaf(&log, OwnEvent::new("privacy.erased")).unwrap();
    erasing.commit(leaf).await.unwrap();
    let (destinations, name) = (rig.destinations.clone(), log.name().as_str().to_owned());
    tokio::task::block_in_place(|| destinations.forget(&name, index)).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_erased_while_it_waits_does_not_go_out() {
    let busy = Answer::Says {
        status: 503,
        headers: "Retry-After: 60\r\n".to_owned(),
        body: String::new(),
    };
    let receiver = Receiver::new(vec![busy], created).await;
    let rig = Rig::one(elastic(), &receiver.url, 3, 0).await;
    rig.until(|lane| lane["state"] == "waiting").await;
    erase(&rig, 0, &[Tag::Core, Tag::Actor]).await;
    erase(&rig, 1, &[Tag::Actor]).await;
    rig.ask(crate::routes::To::Retry, "/v1/destinations/siem/retry", "").await;
    rig.until(|lane| lane["next"] == 5).await;
    let sent = receiver.sent();
    assert_eq!(ids(&sent[0]).len(), 3);
    assert_eq!(ids(&sent[1]), ["cairn.example-1", "cairn.example-2"]);
    let documents = sent[1].lines();
    assert!(documents[1]["actor"].is_null() && documents[1]["erased"] == json!(["actor"]));
    assert_eq!(documents[3]["actor"]["id"], "u-2");
    let later: String = sent[1..].iter().map(|sent| sent.body.as_str()).collect();
    assert!(!later.contains("u-0") && !later.contains("u-1"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_erasure_drops_the_dead_letters_of_the_event() {
    let refused = |sent: &Sent| {
        let items = ids(sent).into_iter();
        let items = items.map(|id| json!({"create": {"_id": id, "status": 400}}));
        Answer::new(200, json!({"items": items.collect::<Vec<_>>()}).to_string())
    };
    let receiver = Receiver::new(vec![], refused).await;
    let mut rig = Rig::one(elastic(), &receiver.url, 3, 0).await;
    rig.until_idle().await;
    assert_eq!(rig.dead().len(), 3);
    rig.crash().await;
    erase(&rig, 1, &[Tag::Actor]).await;
    let dead: Vec<u64> = rig.dead().iter().map(|(index, _)| *index).collect();
    assert_eq!(dead, [0, 2]);
    // The same in a folder that nobody serves.
    let root = rig.dir.path().join("destinations");
    forget_stored(&root, "audit", 2).unwrap();
    forget_stored(&root, "system", 0).unwrap();
    assert_eq!(rig.dead().len(), 1);
    forget_stored(&root.join("none"), "audit", 0).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_audit_log_stops() {
    let receiver = Receiver::new(vec![], created).await;
    let plain =
        Destination { logs: vec!["plain".to_owned()], ..destination(elastic(), &receiver.url) };
    let rig = Rig::new(vec![plain], 0, 0).await;
    let lane = rig.until(|lane| lane["state"] == "stopped").await;
    assert_eq!(lane["says"], "the log is not an audit log");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_that_cannot_be_read_is_not_a_beginning() {
    let receiver = Receiver::new(vec![], created).await;
    let mut rig = Rig::one(elastic(), &receiver.url, 3, 3).await;
    rig.until_idle().await;
    rig.crash().await;
    let cursor = rig.dir.path().join("destinations/siem/audit.cursor");
    base::durable::replace(&cursor, b"damaged", 0o600).unwrap();
    rig.start();
    rig.until(|lane| lane["state"] == "stopped").await;
    assert!(receiver.sent().is_empty());
}
