//! A log whose machine's clock is wrong for a while: it signs on, and no head states an earlier time than the
//! one before.

use base::clock::steps::Standing;

use super::*;

const DAY_MS: u64 = 24 * 3_600_000;
const YEAR_MS: u64 = 365 * DAY_MS;

/// Appends one entry, and gives the time of the head that is signed over it.
async fn signed_time(log: &Log) -> u64 {
    let count = log.tree().head.size.get();
    log.append(numbered(count, 1)).await.unwrap();
    log.sign_covering(size(count + 1)).await.unwrap().view.head.time_ms
}

fn standing(registry: &Registry) -> Standing {
    registry.clock().reading().standing
}

/// A stopped server whose only head over an entry states a time `after` that of the clock now.
async fn stopped_ahead(after: u64) -> Rig {
    let mut rig = Rig::new();
    let (registry, log) = rig.start().await;
    rig.clock.set_unix_ms(START_MS + after);
    registry.clock().accept();
    assert_eq!(signed_time(&log).await, START_MS + after);
    drop(log);
    rig.kill(registry).await;
    rig.clock.set_unix_ms(START_MS);
    rig
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_of_a_year_is_as_if_it_had_not_happened() {
    for stepped in [START_MS + YEAR_MS, START_MS - YEAR_MS] {
        let rig = Rig::new();
        let (registry, log) = rig.start().await;
        rig.clock.set_unix_ms(stepped);
        rig.clock.advance(Duration::from_secs(1));
        assert_eq!(signed_time(&log).await, START_MS + 1_000);
        assert_eq!(standing(&registry), Standing::Stepped);
        // It comes back.
        rig.clock.set_unix_ms(START_MS + 2_000);
        assert_eq!(signed_time(&log).await, START_MS + 2_000);
        assert_eq!(standing(&registry), Standing::Agrees);
        registry.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn within_a_day_a_clock_behind_the_last_head_states_that_head_s_time() {
    let rig = Rig::new();
    let (registry, log) = rig.start().await;
    for behind in [0, 60_001, DAY_MS] {
        rig.clock.set_unix_ms(START_MS - behind);
        assert_eq!(signed_time(&log).await, START_MS);
        assert_eq!(standing(&registry), Standing::Agrees);
    }
    rig.clock.set_unix_ms(START_MS + 1);
    assert_eq!(signed_time(&log).await, START_MS + 1);
    registry.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_accepted_step_is_the_log_s_time_and_never_takes_a_head_s_time_back() {
    let rig = Rig::new();
    let (registry, log) = rig.start().await;
    rig.clock.set_unix_ms(START_MS + YEAR_MS);
    registry.clock().accept();
    assert_eq!(signed_time(&log).await, START_MS + YEAR_MS);
    rig.clock.set_unix_ms(START_MS);
    assert_eq!(standing(&registry), Standing::Stepped);
    registry.clock().accept();
    assert_eq!(standing(&registry), Standing::Agrees);
    assert_eq!(signed_time(&log).await, START_MS + YEAR_MS);
    assert_eq!(registry.clock().reading().offset_ms, 0);
    registry.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn time_between_two_processes_is_no_step() {
    let mut rig = Rig::new();
    let (registry, log) = rig.start().await;
    signed_time(&log).await;
    drop(log);
    rig.kill(registry).await;
    rig.clock.set_unix_ms(START_MS + YEAR_MS);
    let registry = rig.open().unwrap();
    let log = registry.log("default").unwrap();
    assert_eq!(standing(&registry), Standing::Agrees);
    assert_eq!(signed_time(&log).await, START_MS + YEAR_MS);
    registry.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_behind_the_store_signs_on_until_the_clock_has_caught_up() {
    let rig = stopped_ahead(YEAR_MS).await;
    let registry = rig.open().unwrap();
    let log = registry.log("default").unwrap();
    let until_ms = i64::try_from(START_MS + YEAR_MS).unwrap();
    assert_eq!(standing(&registry), Standing::Behind { until_ms });
    assert_eq!(signed_time(&log).await, START_MS + YEAR_MS);
    // A log that was not there then states no time of the other's.
    let other = registry.create(new_log("other")).await.unwrap();
    assert_eq!(signed_time(&other).await, START_MS);
    rig.clock.set_unix_ms(START_MS + YEAR_MS + 1);
    assert_eq!(standing(&registry), Standing::Agrees);
    assert_eq!(signed_time(&log).await, START_MS + YEAR_MS + 1);
    registry.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_behind_the_store_is_accepted_once_for_all_starts() {
    let mut rig = stopped_ahead(YEAR_MS).await;
    let registry = rig.open().unwrap();
    assert_ne!(standing(&registry), Standing::Agrees);
    registry.clock().accept_for_operator().unwrap();
    let log = registry.log("default").unwrap();
    assert_eq!(signed_time(&log).await, START_MS + YEAR_MS);
    drop(log);
    rig.kill(registry).await;
    rig.clock.advance(Duration::from_hours(1));
    let registry = rig.open().unwrap();
    assert_eq!(standing(&registry), Standing::Agrees);
    let log = registry.log("default").unwrap();
    assert_eq!(signed_time(&log).await, START_MS + YEAR_MS);
    registry.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_a_little_behind_the_store_is_nothing_to_decide() {
    let rig = stopped_ahead(DAY_MS).await;
    let registry = rig.open().unwrap();
    assert_eq!(standing(&registry), Standing::Agrees);
    let log = registry.log("default").unwrap();
    assert_eq!(signed_time(&log).await, START_MS + DAY_MS);
    registry.shutdown().await;
}
