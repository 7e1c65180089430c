//! The index answers as the log itself does, for random events and queries.

use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{Config, TestRunner};

use crate::rig::{Rig, query};

const WORDS: [&str; 18] = [
    "ana",
    "Ana",
    "Silva",
    "José",
    "jose",
    "王",
    "王小明",
    "invoice",
    "b_c",
    "a/b/c",
    "100%",
    "%",
    "x@y.example",
    "192.0.2.7",
    "::ffff:192.0.2.7",
    "2001:db8::1",
    "4a9909a9516d02fd",
    "İpek",
];

fn text() -> impl Strategy<Value = String> {
    subsequence(&WORDS[..], 1..4).prop_shuffle().prop_map(|words| words.join(" "))
}

prop_compose! {
    fn any_event()(
        id in 0..5_u8,
        action in select(&["a.b", "a.c", "d.e"][..]),
        outcome in select(&["success", "failure", "denied"][..]),
        second in 0..60_u8,
        (actor, name, target, note) in (text(), text(), text(), text()),
        ip in select(&["192.0.2.7", "::ffff:192.0.2.7", "2001:DB8:0::1", "elsewhere"][..]),
        (label, value) in (0..3_u8, 0..3_u8),
    ) -> String {
        format!(
            r#"{{"id":"{id}","source":"/s","time":"2026-03-04T09:10:{second:02}Z","action":"{action}",
            "category":"data","operation":"update","outcome":"{outcome}","labels":{{"l{label}":"{value}"}},
            "actor":{{"type":"user","id":"{actor}","name":"{name}"}},"origin":{{"ip":"{ip}"}},
            "targets":[{{"type":"t","id":"{target}"}}],"metadata":{{"note":"{note}"}}}}"#
        )
    }
}

fn any_filter() -> impl Strategy<Value = (&'static str, String)> {
    let time = (0..60_u8).prop_map(|second| format!("2026-03-04T09:10:{second:02}Z"));
    prop_oneof![
        text().prop_map(|it| ("text", it)),
        select(&WORDS[..]).prop_map(|it| ("text", it.to_owned())),
        select(&WORDS[..]).prop_map(|it| ("text", format!("{}*", it.chars().next().unwrap()))),
        text().prop_map(|it| ("actor", it)),
        select(&WORDS[..]).prop_map(|it| ("actor", it.to_owned())),
        text().prop_map(|it| ("target", it)),
        select(&["192.0.2.7", "2001:db8::1", "elsewhere"][..]).prop_map(|it| ("ip", it.to_owned())),
        select(&["a.b", "d.e", "x.y"][..]).prop_map(|it| ("action", it.to_owned())),
        select(&["success", "denied"][..]).prop_map(|it| ("outcome", it.to_owned())),
        (0..4_u8, 0..4_u8).prop_map(|(key, value)| ("label", format!("l{key}={value}"))),
        time.clone().prop_map(|it| ("from", it)),
        time.prop_map(|it| ("to", it)),
    ]
}

prop_compose! {
    fn any_query()(
        filters in prop::collection::vec(any_filter(), 0..4),
        order in select(&["newest", "oldest"][..]),
        limit in select(&["64", "1000"][..]),
        time in select(&["received", "event"][..]),
    ) -> Vec<(&'static str, String)> {
        let mut pairs = vec![("order", order.to_owned()), ("limit", limit.to_owned())];
        pairs.push(("time", time.to_owned()));
        for (name, value) in filters {
            let is_single = matches!(name, "from" | "to");
            if !(is_single && pairs.iter().any(|(found, _)| *found == name)) {
                pairs.push((name, value));
            }
        }
        pairs
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_index_answers_as_the_log_does() {
    let mut runner = TestRunner::new(Config { cases: 4, ..Config::default() });
    for case in 0..3 {
        let tree = prop::collection::vec(any_event(), 600..700).new_tree(&mut runner).unwrap();
        let events = tree.current();
        let rig = Rig::new().await;
        rig.append(&events).await;
        rig.indexed().await;
        let without = Rig::without_follower().await;
        without.append(&events).await;
        assert!(!rig.files().is_empty(), "case {case} has an index");
        for _ in 0..40 {
            let pairs = any_query().new_tree(&mut runner).unwrap().current();
            let pairs: Vec<_> = pairs.iter().map(|(name, value)| (*name, &**value)).collect();
            if query(&pairs).is_err() {
                continue;
            }
            assert_eq!(rig.found(&pairs), without.found(&pairs), "{pairs:?}");
            let (with, scanned) = (rig.search(&pairs).count, without.search(&pairs).count);
            assert_eq!(with, scanned, "{pairs:?}");
        }
        rig.end().await;
        without.end().await;
    }
}
