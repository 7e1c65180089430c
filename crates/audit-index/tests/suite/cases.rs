//! Searches that failed in other products, by what is right.

use crate::rig::{Rig, event};

const PEOPLE: &str = include_str!("../cases/people.ndjson");
const IDS_AND_IPS: &str = include_str!("../cases/ids-and-ips.ndjson");
const TIES: &str = include_str!("../cases/ties.ndjson");
const DAY_EDGES: &str = include_str!("../cases/day-edges.ndjson");

fn lines(text: &str) -> Vec<String> {
    text.lines().map(str::to_owned).collect()
}

/// Runs a test on a log that is indexed, on one that is not, and on one of both.
async fn on_every_log(events: &[String], test: impl Fn(&Rig)) {
    for before in [0, 600, 10] {
        let mut rig = Rig::without_follower().await;
        let others: Vec<String> = (0..before).map(|it| event(it, "")).collect();
        if before == 10 {
            rig.append(events).await;
            test(&rig);
        } else {
            rig.follow();
            // So many make a part of their own, and more are read from the log.
            rig.append(&others).await;
            rig.append(events).await;
            rig.append(&others).await;
            rig.indexed().await;
            assert_eq!(rig.files().is_empty(), before == 0);
            test(&rig);
        }
        rig.end().await;
    }
}

fn ids(numbers: &[u32]) -> Vec<String> {
    numbers.iter().map(|number| format!("s-{number:03}")).collect()
}

/// The ids that are found, oldest first.
fn found(rig: &Rig, pairs: &[(&str, &str)]) -> Vec<String> {
    let pairs: Vec<_> = [("order", "oldest")].iter().chain(pairs).copied().collect();
    rig.found(&pairs)
}

#[tokio::test(flavor = "multi_thread")]
async fn people_are_found_however_they_are_written() {
    on_every_log(&lines(PEOPLE), |rig| {
        for (question, wanted) in [
            ("ana+audit@example.com", &[1, 3][..]),
            ("Ana+Audit@Example.COM", &[1, 3]),
            ("ana@example.com", &[2]),
            ("ana audit@example.com", &[]),
            ("José Núñez", &[4, 5]),
            ("Jose\u{301} Nun\u{303}ez", &[4, 5]),
            ("jose nunez", &[4, 5]),
            ("nunez", &[4, 5]),
            ("nunez jose", &[]),
            ("WEISS", &[7]),
            ("weiß", &[7]),
            ("ışık", &[6]),
            ("IŞIK", &[6]),
            ("ipek", &[6]),
            ("İPEK", &[6]),
            ("王", &[8]),
            ("小明", &[8]),
            ("王明", &[]),
            ("an", &[]),
            ("%", &[]),
            ("_", &[]),
        ] {
            let found = found(
                rig,
                &[
                    ("actor", question),
                    ("source", "/billing"),
                    ("id", "s-001"),
                    ("id", "s-002"),
                    ("id", "s-003"),
                    ("id", "s-004"),
                    ("id", "s-005"),
                    ("id", "s-006"),
                    ("id", "s-007"),
                    ("id", "s-008"),
                ],
            );
            assert_eq!(found, ids(wanted), "{question}");
        }
        for (question, wanted) in [
            ("ana+audit@example.com", &[1, 3][..]),
            ("ana@example.com", &[2]),
            ("José", &[4, 5]),
            ("WEISS", &[7]),
            ("小明", &[8]),
            ("example.com ipek", &[6]),
        ] {
            assert_eq!(found(rig, &[("text", question)]), ids(wanted), "{question}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn identifiers_and_addresses_are_found_whole() {
    let arn = "arn:aws:iam::111122223333:role/service-role-with-a-rather-long-name-service-role-with-a-rather-long-name-service-role-with-a-rather-long-name-end";
    let hash = "sha256:4a9909a9516d02fd4c729a45922398fb41c398c235423a5304085bc923a8db67";
    on_every_log(&lines(IDS_AND_IPS), |rig| {
        for (name, value, wanted) in [
            ("target", arn, &[11][..]),
            ("text", arn, &[11]),
            ("text", &arn[..60], &[11]),
            ("target", &format!("{}*", &arn[..60]), &[11]),
            ("target", &arn[..60], &[]),
            ("target", hash, &[12]),
            ("text", hash, &[12]),
            ("text", &hash[7..], &[12]),
            ("text", &hash[..40], &[12]),
            ("text", &hash[7..20], &[12]),
            ("target", &format!("{}*", &hash[..12]), &[12]),
            ("text", &hash[8..], &[]),
            ("ip", "2001:db8::1", &[13, 14]),
            ("ip", "2001:0DB8:0000:0000:0000:0000:0000:0001", &[13, 14]),
            ("text", "2001:db8::1", &[13, 14]),
            ("ip", "192.0.2.7", &[15, 16]),
            ("ip", "::ffff:192.0.2.7", &[15, 16]),
            ("text", "192.0.2.7", &[15, 16]),
            ("ip", "192.0.2.70", &[]),
            ("target", "/srv/A/b_c%d*.txt", &[17]),
            ("text", "/srv/A/b_c%d*.txt", &[17]),
            ("text", "b_c", &[17]),
            ("target", "/srv/A/bXc%d*.txt", &[]),
            ("target", "/srv/A/b_c", &[]),
            ("target", "%", &[]),
            ("target", "/srv/A/b_c*", &[17]),
        ] {
            assert_eq!(found(rig, &[(name, value)]), ids(wanted), "{name}={value}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_of_one_time_are_paged_each_once() {
    for order in ["newest", "oldest"] {
        let rig = Rig::new().await;
        let events = lines(TIES);
        rig.append(&events).await;
        rig.indexed().await;
        let pairs = [("order", order), ("limit", "3"), ("action", "invoice.updated")];
        let first = rig.search(&pairs);
        // More of the same time arrive meanwhile.
        rig.append(&[event(4, "")]).await;
        let mut pages = vec![first.hits.len()];
        let mut indexes = first.hits;
        let mut next = first.next;
        while let Some(cursor) = next {
            let query = crate::rig::query(&pairs).unwrap().behind(cursor);
            let page = rig.indexes.search(&rig.log, &query).unwrap();
            pages.push(page.hits.len());
            indexes.extend(page.hits);
            next = page.next;
        }
        let mut found: Vec<u64> = indexes.iter().map(|index| index.get()).collect();
        if order == "newest" {
            assert_eq!(pages, [3, 3, 2]);
            found.reverse();
        } else {
            assert_eq!(pages, [3, 3, 3], "the one that arrived is the last");
            assert_eq!(found.pop(), Some(8));
        }
        assert_eq!(found, [0, 1, 2, 3, 4, 5, 6, 7]);
        rig.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_is_that_of_its_zone() {
    on_every_log(&lines(DAY_EDGES), |rig| {
        let days = |from, to, zone| {
            let pairs =
                [("time", "event"), ("from", from), ("to", to), ("zone", zone), ("text", "7")];
            found(rig, &pairs)
        };
        let day = days("2026-10-25", "2026-10-26", "Europe/London");
        assert_eq!(day, ids(&[32, 33, 34, 35]));
        assert_eq!(days("2026-10-25", "2026-10-26", "UTC"), ids(&[33, 34, 35]));
        let instants = days("2026-10-24T23:00:00Z", "2026-10-26T00:00:00Z", "Asia/Tokyo");
        assert_eq!(instants, ids(&[32, 33, 34, 35]));
        let last = days("2026-10-25T23:59:59.999999999Z", "2026-10-26T00:00:00Z", "UTC");
        assert_eq!(last, ids(&[35]));
        assert!(days("2026-10-27", "2026-10-26", "UTC").is_empty());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_whole_range_is_searched() {
    let rig = Rig::new().await;
    let mut events = crate::rig::events(3_000);
    events[0] = event(7, r#","description":"the needle""#);
    rig.append(&events).await;
    let without = Rig::without_follower().await;
    without.append(&events).await;
    rig.indexed().await;
    for rig in [&rig, &without] {
        let page = rig.search(&[("text", "needle")]);
        assert_eq!(page.hits.len(), 1);
        assert_eq!((page.count.value, page.count.exact), (1, true));
        assert_eq!(page.next, None);
        assert_eq!(page.tree_size.get(), 3_000);
        let nothing = rig.search(&[("text", "haystack")]);
        assert!(nothing.hits.is_empty() && nothing.next.is_none() && nothing.count.exact);
    }
    assert_eq!(without.search(&[]).indexed_to.get(), 0);
    rig.end().await;
    without.end().await;
}
