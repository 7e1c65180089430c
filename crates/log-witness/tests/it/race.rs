//! Many who submit at once: for each size one wins, and nothing is ever rolled back.

use std::collections::BTreeMap;
use std::sync::Arc;

use base::tasks::Supervisor;
use formats::SignedCheckpoint;

use crate::common::{Node, TestLog};

const SUBMITTERS: u64 = 64;

/// The race of the specification: submitters that all build on the same size, with different sizes.
#[tokio::test(flavor = "multi_thread")]
async fn of_many_that_build_on_one_size_one_is_cosigned() {
    let log = Arc::new(TestLog::new("example.com/log"));
    let node = Arc::new(Node::start(&[&log]).await);
    node.cosigned(&log, 0, 1).await;
    let mut held = 1;
    for round in 0..5 {
        let submit = |extra: u64| {
            let (log, node) = (Arc::clone(&log), Arc::clone(&node));
            let size = held + extra;
            Supervisor::new()
                .task("submit", async move { (size, node.add(log.body(held, size)).await) })
        };
        let submitted: Vec<_> = (1..=SUBMITTERS).map(submit).collect();
        let mut won = Vec::new();
        for task in submitted {
            let (size, answer) = task.await.unwrap().unwrap();
            match answer.status {
                200 => won.push(size),
                409 => {
                    let now: u64 = answer.body.trim_end().parse().unwrap();
                    assert!(now > held, "round {round}: told a size that was not yet held");
                }
                _ => panic!("round {round}: {answer:?}"),
            }
        }
        let [size] = won[..] else { panic!("round {round}: {won:?} were all cosigned") };
        held = size;
        let served = node.held(&log).await.body;
        assert_eq!(SignedCheckpoint::parse(served.as_bytes()).unwrap().size().get(), held);
    }
}

/// Submitters that go on where the others got: every size is cosigned at most once, and sizes only grow.
#[tokio::test(flavor = "multi_thread")]
async fn concurrent_submitters_only_ever_grow_the_tree() {
    let log = Arc::new(TestLog::new("example.com/log"));
    let others: Vec<TestLog> = (0..8).map(|n| TestLog::new(&format!("example.com/{n}"))).collect();
    let known: Vec<&TestLog> = others.iter().chain([&*log]).collect();
    let node = Arc::new(Node::start(&known).await);
    let submit = |step: u64| {
        let (log, node) = (Arc::clone(&log), Arc::clone(&node));
        async move {
            let (mut old, mut cosigned) = (0, Vec::new());
            for _ in 0..10 {
                let size = old + step;
                let answer = node.add(log.body(old, size)).await;
                match answer.status {
                    200 => {
                        cosigned.push((old, size));
                        old = size;
                    }
                    409 => {
                        let now: u64 = answer.body.trim_end().parse().unwrap();
                        assert!(now >= old, "{now} after {old} was held");
                        old = now;
                    }
                    _ => panic!("{answer:?}"),
                }
            }
            cosigned
        }
    };
    let tasks: Vec<_> =
        (1..=16).map(|step| Supervisor::new().task("submit", submit(step))).collect();
    let mut steps = BTreeMap::new();
    for task in tasks {
        for (old, size) in task.await.unwrap().unwrap() {
            assert!(steps.insert(old, size).is_none(), "two trees were cosigned from {old}");
        }
    }
    let mut at = 0;
    for (old, size) in steps {
        assert_eq!(old, at, "each builds on the one before");
        at = size;
    }
    assert!(node.held(&log).await.body.starts_with(&format!("example.com/log\n{at}\n")));
}
