//! Pages, cursors and counts of searches.

use std::time::Duration;

use audit_index::search::COUNT_MAX;
use audit_index::{Cursor, SearchError};
use merkle::LeafIndex;

use crate::rig::{Rig, SCAN_MAX, START_MS, event, events, query};

/// Numbers as ids.
fn ids(numbers: impl Iterator<Item = usize>) -> Vec<String> {
    numbers.map(|number| number.to_string()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_reach_every_event_once_in_both_orders() {
    let rig = Rig::new().await;
    rig.append(&events(1_500)).await;
    rig.indexed().await;
    rig.append(&events(1_700)[1_500..]).await;
    let is_failure = |number: &usize| number % 3 == 1;
    for limit in ["1000", "97"] {
        let found = rig.found(&[("order", "oldest"), ("limit", limit), ("outcome", "failure")]);
        assert_eq!(found, ids((0..1_700).filter(is_failure)));
        let found = rig.found(&[("limit", limit), ("outcome", "failure")]);
        assert_eq!(found, ids((0..1_700).rev().filter(is_failure)));
        let found = rig.found(&[("limit", limit)]);
        assert_eq!(found, ids((0..1_700).rev()));
        let either = [("outcome", "failure"), ("outcome", "denied"), ("actor", "u-3")];
        let wanted = |number: &usize| !number.is_multiple_of(3) && number % 17 == 3;
        assert_eq!(rig.found(&either), ids((0..1_700).rev().filter(wanted)));
    }
    let page = rig.search(&[("outcome", "failure"), ("limit", "5")]);
    assert_eq!((page.count.value, page.count.exact), (567, true));
    assert!(page.next.is_some() && page.indexed_to <= page.tree_size);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_all_that_is_left_is_the_last() {
    let rig = Rig::new().await;
    rig.append(&events(600)).await;
    rig.indexed().await;
    for (limit, is_last) in [("199", false), ("200", true), ("201", true)] {
        for order in ["newest", "oldest"] {
            let page = rig.search(&[("outcome", "denied"), ("limit", limit), ("order", order)]);
            assert_eq!(page.next.is_none(), is_last, "{limit} {order}");
        }
    }
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_range_of_receipt_times_is_half_open() {
    let rig = Rig::new().await;
    for at in 0..4 {
        rig.append(&events(300 * (at + 1))[300 * at..]).await;
        rig.indexed().await;
        rig.clock.set_unix_ms(START_MS + 3_600_000 * u64::try_from(at + 1).unwrap());
    }
    let times: Vec<u64> = [0, 300, 600, 900, 1_199]
        .map(|index| {
            let index = LeafIndex::new(index).unwrap();
            audit_index::read::event(&rig.log, index).unwrap().unwrap().received_at_ns
        })
        .into();
    let text = |nanos: u64| audit_event::Instant::from_nanos(nanos).to_string();
    let (from, to) = (text(times[1]), text(times[3]));
    for more in [&[][..], &[("source", "/billing")]] {
        let pairs: Vec<_> = [("from", &*from), ("to", &*to)].iter().chain(more).copied().collect();
        let page = rig.search(&pairs);
        assert_eq!((page.count.value, page.count.exact), (600, true));
        assert_eq!(rig.found(&pairs), ids((300..900).rev()));
    }
    let after = text(times[4] + 1);
    assert!(rig.found(&[("from", &after)]).is_empty());
    assert!(rig.found(&[("to", "1960-01-01")]).is_empty());
    assert_eq!(rig.found(&[("from", "1960-01-01"), ("to", "9999-01-01")]).len(), 1_200);
    assert!(rig.found(&[("from", &to), ("to", &from)]).is_empty());
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn counts_beyond_the_most_are_said_to_be_more() {
    let rig = Rig::new().await;
    let most = usize::try_from(COUNT_MAX).unwrap();
    rig.append(&events(most + 500)).await;
    rig.indexed().await;
    let count = |pairs: &[(&str, &str)]| {
        let count = rig.search(pairs).count;
        (count.value, count.exact)
    };
    let all = COUNT_MAX + 500;
    assert_eq!(count(&[]), (all, true));
    assert_eq!(count(&[("source", "/billing")]), (all, true), "one term is counted exactly");
    assert_eq!(count(&[("text", "ana silva")]), (COUNT_MAX, false));
    assert_eq!(count(&[("text", "ana silva"), ("order", "oldest")]), (COUNT_MAX, false));
    assert_eq!(count(&[("action", "auth.login"), ("text", "ana")]), (all / 4, true));
    assert!(count(&[("actor", "u-1"), ("outcome", "denied")]).1);
    let last = rig.found(&[("text", "ana silva"), ("limit", "1000")]);
    assert_eq!(last, ids((0..most + 500).rev()));
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_index_a_call_reads_so_many_events_and_says_where_to_go_on() {
    let rig = Rig::without_follower().await;
    let size = usize::try_from(SCAN_MAX).unwrap() + 300;
    let mut events = events(size);
    events[0] = event(4, r#","description":"needle""#);
    rig.append(&events).await;
    let first = rig.search(&[("text", "needle")]);
    assert!(first.hits.is_empty() && !first.count.exact);
    let next = first.next.unwrap();
    assert_eq!(next.index.get(), 300);
    let query = query(&[("text", "needle")]).unwrap().behind(next);
    let second = rig.indexes.search(&rig.log, &query).unwrap();
    assert_eq!(second.hits, [LeafIndex::new(0).unwrap()]);
    assert_eq!(second.next, None);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_of_another_log_is_refused() {
    let rig = Rig::new().await;
    rig.append(&events(3)).await;
    rig.clock.advance(Duration::from_secs(1));
    rig.append(&events(3)).await;
    let page = rig.search(&[("limit", "2")]);
    let cursor = page.next.unwrap();
    let search = |cursor| rig.indexes.search(&rig.log, &query(&[]).unwrap().behind(cursor));
    assert_eq!(search(cursor).unwrap().hits.len(), 4);
    let other = Cursor { received_at_ns: cursor.received_at_ns + 1, ..cursor };
    assert!(matches!(search(other), Err(SearchError::Cursor)));
    let other = Cursor { index: LeafIndex::new(6).unwrap(), ..cursor };
    assert!(matches!(search(other), Err(SearchError::Cursor)));
    rig.end().await;
}
