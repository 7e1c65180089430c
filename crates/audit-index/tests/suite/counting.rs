//! Counts by day, by hour and by members.

use std::collections::BTreeMap;
use std::time::Duration;

use audit_index::counts::{By, KEYS_MAX, Key};

use crate::rig::{Rig, START_MS, event, events, query};

fn counts(rig: &Rig, by: By, pairs: &[(&str, &str)]) -> (Vec<(String, u64)>, u64) {
    let counts = rig.indexes.counts(&rig.log, &query(pairs).unwrap(), by).unwrap();
    (counts.counts, counts.other)
}

#[tokio::test(flavor = "multi_thread")]
async fn members_are_counted_over_index_and_tail() {
    let rig = Rig::new().await;
    rig.append(&events(1_300)).await;
    rig.indexed().await;
    rig.append(&events(1_700)[1_300..]).await;
    for (by, key) in [
        (
            Key::Outcome,
            (|it| ["success", "failure", "denied"][it % 3].to_owned()) as fn(usize) -> _,
        ),
        (Key::Actor, |it| format!("u-{}", it % 17)),
        (Key::Source, |_| "/billing".to_owned()),
        (Key::Category, |_| "data".to_owned()),
    ] {
        let mut wanted = BTreeMap::new();
        for number in (0..1_700).filter(|it| it % 4 == 1) {
            *wanted.entry(key(number)).or_insert(0) += 1;
        }
        let (found, other) = counts(&rig, By::Key(by), &[("action", "user.deleted")]);
        assert!(found.is_sorted_by_key(|(key, count)| (u64::MAX - count, key.clone())));
        assert_eq!(found.into_iter().collect::<BTreeMap<_, _>>(), wanted);
        assert_eq!(other, 0);
    }
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn days_and_hours_are_those_of_the_zone() {
    let rig = Rig::new().await;
    // 2026-10-24T22:30Z and on, every half hour: the day of 25 hours in London.
    rig.clock.advance(Duration::from_millis(1_792_881_000_000 - START_MS));
    for _ in 0..54 {
        rig.append(&events(20)).await;
        rig.clock.advance(Duration::from_mins(30));
    }
    rig.indexed().await;
    let day = |day: &str, count| (day.to_owned(), count);
    let london = [("zone", "Europe/London")];
    let wanted = vec![day("2026-10-24", 20), day("2026-10-25", 1_000), day("2026-10-26", 60)];
    assert_eq!(counts(&rig, By::Day, &london), (wanted, 0));
    let filtered = [("zone", "Europe/London"), ("id", "7"), ("id", "8")];
    let wanted = vec![day("2026-10-24", 2), day("2026-10-25", 100), day("2026-10-26", 6)];
    assert_eq!(counts(&rig, By::Day, &filtered), (wanted, 0));
    let (hours, other) = counts(&rig, By::Hour, &filtered);
    assert_eq!((hours.len(), other), (28, 0));
    assert_eq!(hours[2].0, "2026-10-25T01:00:00+01:00");
    assert_eq!(hours[3].0, "2026-10-25T01:00:00+00:00");
    assert!(hours[1..27].iter().all(|(_, count)| *count == 4));
    // The events themselves are all of one time.
    let by_event = [("time", "event"), ("zone", "Asia/Tokyo")];
    assert_eq!(counts(&rig, By::Day, &by_event), (vec![day("2026-03-04", 1_080)], 0));
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_beyond_the_most_are_other() {
    let rig = Rig::new().await;
    let actor = |number: usize| event(number, "").replace("\"u-", &format!("\"v{number:04}-"));
    let many: Vec<String> = (0..KEYS_MAX + 200).map(actor).collect();
    rig.append(&many[..KEYS_MAX]).await;
    rig.indexed().await;
    let (found, other) = counts(&rig, By::Key(Key::Actor), &[]);
    assert_eq!((found.len(), other), (KEYS_MAX, 0));
    rig.append(&many[KEYS_MAX..]).await;
    rig.append(&many[..1]).await;
    let (found, other) = counts(&rig, By::Key(Key::Actor), &[]);
    assert_eq!((found.len(), other), (KEYS_MAX, 200));
    assert_eq!(found[0], ("v0000-0".to_owned(), 2));
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_no_key_any_more_is_other() {
    let rig = Rig::new().await;
    rig.append(&events(700)).await;
    for index in 0..7 {
        rig.erase(index, &[2]).await;
    }
    rig.indexed().await;
    let (found, other) = counts(&rig, By::Key(Key::Actor), &[]);
    assert_eq!(
        found.iter().map(|(_, count)| count).sum::<u64>() + other,
        707,
        "and the seven that state it"
    );
    assert!(other <= 7);
    rig.indexes.erase(&rig.log, &[merkle::LeafIndex::new(0).unwrap()]).unwrap();
    assert_eq!(counts(&rig, By::Key(Key::Actor), &[]).1, 7);
    rig.end().await;
}
