//! A clock that is wrong for a while: the witness cosigns on, no cosignature of a log states an earlier time
//! than the last, and an operator has a way back.

use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use formats::note::parse_signature_lines;

use crate::common::{NOW_S, Node, TestLog};

const DAY_S: u64 = 86_400;
const YEAR_S: u64 = 365 * DAY_S;

/// What a new cosignature over the tree of `size` states.
async fn cosigned_at(node: &Node, log: &TestLog, old: u64, size: u64) -> u64 {
    let lines = node.cosigned(log, old, size).await;
    let line = &parse_signature_lines(lines.as_bytes()).unwrap()[0];
    u64::from_be_bytes(line.signature()[..8].try_into().unwrap())
}

async fn ready(node: &Node) -> Result<(), String> {
    let answer = node.get("/readyz").await;
    match answer.status {
        200 => Ok(()),
        503 => Err(answer.body),
        other => panic!("{other}"),
    }
}

async fn gauge(node: &Node, name: &str) -> String {
    let metrics = node.get("/metrics").await.body;
    let value = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    value.unwrap_or_else(|| panic!("{name}\n{metrics}")).to_owned()
}

/// Over the socket in the witness's folder, as the command does it.
fn accept(node: &Node) -> String {
    tokio::task::block_in_place(|| log_witness::admin::clock_accept(node.dir.path())).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn within_a_day_a_clock_behind_the_last_cosignature_states_its_time_again() {
    let log = TestLog::new("example.com/log");
    let node = Node::start(&[&log]).await;
    assert_eq!(cosigned_at(&node, &log, 0, 5).await, NOW_S);
    for behind in [61, DAY_S] {
        node.clock.set_unix_ms((NOW_S - behind) * 1_000);
        assert_eq!(cosigned_at(&node, &log, 5, 5).await, NOW_S);
        ready(&node).await.unwrap();
    }
    node.clock.set_unix_ms((NOW_S + 7) * 1_000);
    assert_eq!(cosigned_at(&node, &log, 5, 8).await, NOW_S + 7);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_is_not_believed_until_it_is_accepted_or_undone() {
    let (log, other) = (TestLog::new("example.com/log"), TestLog::new("example.com/other"));
    for stepped in [NOW_S + YEAR_S, NOW_S - YEAR_S] {
        let node = Node::start(&[&log, &other]).await;
        assert_eq!(cosigned_at(&node, &log, 0, 5).await, NOW_S);
        assert!(accept(&node).starts_with("there is nothing to accept"));
        node.clock.set_unix_ms(stepped * 1_000);
        node.clock.advance(Duration::from_secs(3));
        assert_eq!(cosigned_at(&node, &log, 5, 8).await, NOW_S + 3);
        assert_eq!(cosigned_at(&node, &other, 0, 1).await, NOW_S + 3);
        let trouble = ready(&node).await.unwrap_err();
        assert!(trouble.contains("clock") && trouble.contains("cairn-witness clock accept"));
        let offset = gauge(&node, "cairn_witness_clock_offset_seconds").await;
        assert_eq!(offset.trim_start_matches('-'), "31536000.0");

        node.clock.set_unix_ms((NOW_S + 4) * 1_000);
        ready(&node).await.unwrap();
        assert_eq!(gauge(&node, "cairn_witness_clock_offset_seconds").await, "0.0");

        node.clock.set_unix_ms(stepped * 1_000);
        ready(&node).await.unwrap_err();
        assert!(accept(&node).starts_with("the clock is accepted"));
        ready(&node).await.unwrap();
        let expected = stepped.max(NOW_S + 3);
        assert_eq!(cosigned_at(&node, &log, 8, 9).await, expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_behind_what_was_cosigned_goes_on_and_is_accepted_once() {
    let log = TestLog::new("example.com/log");
    let node = Node::start(&[&log]).await;
    node.clock.set_unix_ms((NOW_S + YEAR_S) * 1_000);
    accept(&node);
    assert_eq!(cosigned_at(&node, &log, 0, 5).await, NOW_S + YEAR_S);
    // Idle for a while, which is no step.
    node.clock.set_unix_ms((NOW_S + 2 * YEAR_S) * 1_000);
    let node = node.restart().await;
    ready(&node).await.unwrap();

    node.clock.set_unix_ms(NOW_S * 1_000);
    let node = node.restart().await;
    assert_eq!(cosigned_at(&node, &log, 5, 6).await, NOW_S + YEAR_S);
    let trouble = ready(&node).await.unwrap_err();
    assert!(trouble.contains("until 2024-11-13T22:13:20Z"), "{trouble}");
    assert_eq!(gauge(&node, "cairn_witness_clock_offset_seconds").await, "-31536000.0");
    accept(&node);
    ready(&node).await.unwrap();
    let node = node.restart().await;
    ready(&node).await.unwrap();
    assert_eq!(cosigned_at(&node, &log, 6, 7).await, NOW_S + YEAR_S);
    node.clock.set_unix_ms((NOW_S + YEAR_S + 1) * 1_000);
    let node = node.restart().await;
    assert_eq!(cosigned_at(&node, &log, 7, 8).await, NOW_S + YEAR_S + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_age_of_a_cosignature_does_not_hang_on_the_clock() {
    let log = TestLog::new("example.com/log");
    let node = Node::start(&[&log]).await;
    node.cosigned(&log, 0, 5).await;
    node.clock.set_unix_ms((NOW_S - DAY_S) * 1_000);
    node.clock.advance(Duration::from_secs(90));
    let age = r#"cairn_witness_log_age_seconds{log="example.com/log"}"#;
    assert_eq!(gauge(&node, age).await, "90.0");
    let node = node.restart().await;
    node.clock.advance(Duration::from_secs(5));
    assert_eq!(gauge(&node, age).await, "5.0", "from the start on, where the clock says later");
    let metrics = node.get("/metrics").await.body;
    let clocks = metrics.lines().filter(|line| !line.starts_with('#') && line.contains("clock"));
    assert_eq!(clocks.count(), 1, "{metrics}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_socket_is_its_owner_s_and_goes_with_the_witness() {
    let log = TestLog::new("example.com/log");
    let node = Node::start(&[&log]).await;
    let socket = node.dir.path().join("admin.sock");
    assert_eq!(std::fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o600);
    let (dir, _clock) = node.stop().await;
    assert!(!socket.exists());
    let error = log_witness::admin::clock_accept(dir.path()).unwrap_err().to_string();
    assert!(error.starts_with("no cairn-witness runs over "), "{error}");
}
