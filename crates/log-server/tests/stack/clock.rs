//! The whole server on a clock that steps: what is signed, what an operator sees, and the way back.

use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;
use std::time::Duration;

use base::clock::{Clock as _, ManualClock};
use formats::SignedCheckpoint;
use log_proto::log_v1 as pb;

use crate::harness::{LOG, Stack};

const START_S: u64 = 1_700_000_000;
const DAY_S: u64 = 86_400;
const YEAR_S: u64 = 365 * DAY_S;

/// How far the clock goes on at a time while the publisher is waited for.
const TICK: Duration = Duration::from_millis(5);
/// How far it may go on altogether in a test: an hour, where steps are of a year.
const LATE_S: u64 = 3_600;

/// Appends an entry, and gives the time, in seconds, that the log's ML-DSA-44 line over it states.
async fn signed_time(stack: &mut Stack, clock: &ManualClock) -> u64 {
    let size = stack.append(b"x", pb::Receipt::Signed).await.unwrap().tree_size;
    let published = stack.published(LOG, size);
    tokio::pin!(published);
    let note = loop {
        tokio::select! {
            biased;
            note = &mut published => break note,
            // The publisher waits by this clock.
            () = tokio::time::sleep(Duration::from_millis(1)) => clock.advance(TICK),
        }
    };
    let signed = SignedCheckpoint::parse(&note).unwrap();
    let line = signed.signatures().nth(1).unwrap();
    assert_eq!(line.signature.len(), 8 + 2_420);
    u64::from_be_bytes(line.signature[..8].try_into().unwrap())
}

fn is_near(found: u64, expected: u64) -> bool {
    (expected..expected + LATE_S).contains(&found)
}

/// The seconds that a clock which was right at the start shows, if nobody sets it.
fn by_boot_time(clock: &ManualClock) -> u64 {
    START_S + clock.boot_time().as_secs()
}

async fn ready(stack: &Stack) -> Result<(), String> {
    let answer = stack.get("/readyz", &[]).await;
    let body = String::from_utf8(answer.body().to_vec()).unwrap();
    match answer.status().as_u16() {
        200 => Ok(()),
        503 => Err(body),
        other => panic!("{other}"),
    }
}

async fn gauge(stack: &Stack, name: &str) -> f64 {
    let answer = stack.get("/metrics", &[]).await;
    let text = std::str::from_utf8(answer.body()).unwrap();
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    value.unwrap_or_else(|| panic!("{name}\n{text}")).parse().unwrap()
}

/// Over the socket in the server's folder, as the command does it.
fn accept(stack: &Stack) -> String {
    tokio::task::block_in_place(|| log_server::admin::clock_accept(stack.data())).unwrap()
}

/// A gauge in whole seconds.
fn is(found: f64, expected: i32) -> bool {
    (found - f64::from(expected)).abs() < 0.001
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_is_not_believed_until_it_is_accepted_or_undone() {
    for stepped in [START_S + YEAR_S, START_S - YEAR_S] {
        let clock = Arc::new(ManualClock::new(START_S * 1_000));
        let mut stack = Stack::on_clock(&clock).await;
        assert!(is_near(signed_time(&mut stack, &clock).await, START_S));
        ready(&stack).await.unwrap();
        assert!(accept(&stack).starts_with("there is nothing to accept"));

        clock.set_unix_ms(stepped * 1_000);
        let expected = by_boot_time(&clock);
        assert!(is_near(signed_time(&mut stack, &clock).await, expected));
        let trouble = ready(&stack).await.unwrap_err();
        assert!(trouble.contains("clock") && trouble.contains("cairn-server clock accept"));
        let offset = gauge(&stack, "cairn_clock_offset_seconds").await;
        assert!((offset.abs() - 31_536_000.0).abs() < 3_600.0, "{offset}");

        let right = START_S + 2 * LATE_S;
        clock.set_unix_ms(right * 1_000);
        ready(&stack).await.unwrap();
        assert!(is(gauge(&stack, "cairn_clock_offset_seconds").await, 0));
        assert!(is_near(signed_time(&mut stack, &clock).await, right));

        clock.set_unix_ms(stepped * 1_000);
        ready(&stack).await.unwrap_err();
        assert!(accept(&stack).starts_with("the clock is accepted"));
        ready(&stack).await.unwrap();
        assert!(is(gauge(&stack, "cairn_clock_offset_seconds").await, 0));
        assert!(is_near(signed_time(&mut stack, &clock).await, stepped.max(right)));
        stack.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_was_wrong_for_one_append_does_not_stop_the_log() {
    let clock = Arc::new(ManualClock::new(START_S * 1_000));
    let mut stack = Stack::on_clock(&clock).await;
    clock.set_unix_ms((START_S + YEAR_S) * 1_000);
    accept(&stack);
    let ahead = signed_time(&mut stack, &clock).await;
    assert!(is_near(ahead, START_S + YEAR_S));
    let data = stack.stop().await;

    clock.set_unix_ms(START_S * 1_000);
    let mut stack = Stack::over_on_clock(data, &clock).await;
    let trouble = ready(&stack).await.unwrap_err();
    assert!(trouble.contains("until 2024-11-13T2"), "{trouble}");
    let offset = gauge(&stack, "cairn_clock_offset_seconds").await;
    assert!((offset + 31_536_000.0).abs() < 3_600.0, "{offset}");
    let stated = signed_time(&mut stack, &clock).await;
    assert!(stated >= ahead && is_near(stated, START_S + YEAR_S), "the last head's time");
    let said = accept(&stack);
    assert!(said.contains("2024-11-13T2"), "{said}");
    ready(&stack).await.unwrap();
    assert_eq!(signed_time(&mut stack, &clock).await, stated);
    let data = stack.stop().await;

    let mut stack = Stack::over_on_clock(data, &clock).await;
    ready(&stack).await.unwrap();
    assert_eq!(signed_time(&mut stack, &clock).await, stated);
    let data = stack.stop().await;
    clock.set_unix_ms((stated + 60) * 1_000);
    let mut stack = Stack::over_on_clock(data, &clock).await;
    ready(&stack).await.unwrap();
    assert!(signed_time(&mut stack, &clock).await >= stated + 60);
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_age_of_a_checkpoint_does_not_hang_on_the_clock() {
    let clock = Arc::new(ManualClock::new(START_S * 1_000));
    let mut stack = Stack::on_clock(&clock).await;
    let age = r#"cairn_log_published_age_seconds{log="default"}"#;
    signed_time(&mut stack, &clock).await;
    let before = gauge(&stack, age).await;
    for wrong in [START_S - DAY_S, START_S + DAY_S, START_S - YEAR_S] {
        clock.set_unix_ms(wrong * 1_000);
        assert!((gauge(&stack, age).await - before).abs() < 0.001);
    }
    clock.advance(Duration::from_secs(90));
    assert!((gauge(&stack, age).await - before - 90.0).abs() < 0.001);
    let data = stack.stop().await;
    // Published in the future, as the clock has it: the age counts from the start.
    let stack = Stack::over_on_clock(data, &clock).await;
    let before = gauge(&stack, age).await;
    clock.advance(Duration::from_secs(90));
    assert!((gauge(&stack, age).await - before - 90.0).abs() < 0.001);
    let answer = stack.get("/metrics", &[]).await;
    let text = std::str::from_utf8(answer.body()).unwrap();
    let clocks = text.lines().filter(|line| !line.starts_with('#') && line.contains("clock"));
    assert_eq!(clocks.count(), 1, "{text}");
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_socket_is_its_owner_s_and_goes_with_the_server() {
    let stack = Stack::on_clock(&Arc::new(ManualClock::new(START_S * 1_000))).await;
    let socket = stack.data().join("admin.sock");
    assert_eq!(std::fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o600);
    let data = stack.stop().await;
    assert!(!socket.exists());
    let error = log_server::admin::clock_accept(data.path()).unwrap_err().to_string();
    assert!(error.starts_with("no cairn-server runs over "), "{error}");
}
