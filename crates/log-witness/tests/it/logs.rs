//! Logs come and go while the witness runs, and none changes its keys unnoticed.

use formats::{KeyName, PrivateKey};

use crate::common::{Node, TestLog, write_log, write_vkeys};
use crate::eventually::once;

fn other_key(log: &TestLog) -> PrivateKey {
    let name = KeyName::new(log.origin().as_str()).unwrap();
    PrivateKey::ed25519(name, &[42; 32])
}

async fn bad_files(node: &Node) -> String {
    let metrics = node.get("/metrics").await.body;
    let line = metrics.lines().find(|line| line.starts_with("cairn_witness_bad_log_files "));
    line.unwrap().rsplit(' ').next().unwrap().to_owned()
}

async fn refuses_files(node: &Node, expected: &str) {
    node.look_until(&format!("{expected} files are not used"), async || {
        let found = bad_files(node).await;
        once(found == expected, found)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_is_known_once_its_file_is_there_and_forgotten_with_it() {
    let log = TestLog::new("example.com/log");
    let node = Node::start(&[]).await;
    assert_eq!(node.add(log.body(0, 5)).await.status, 404);
    let path = write_vkeys(node.dir.path(), "a", &log.keys);
    node.answers(200, &log.body(0, 5)).await;
    std::fs::remove_file(path).unwrap();
    node.answers(404, &log.body(5, 5)).await;
    assert_eq!(node.held(&log).await.status, 200, "what was cosigned stays served");
    write_vkeys(node.dir.path(), "b", &log.keys);
    node.answers(200, &log.body(5, 5)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_added_beside_known_ones_and_never_replaced() {
    let log = TestLog::new("example.com/log");
    let node = Node::start(&[&log]).await;
    node.cosigned(&log, 0, 5).await;
    let replaced = TestLog::new("example.com/log").with_keys(vec![other_key(&log)]);
    write_vkeys(node.dir.path(), "log0", &replaced.keys);
    refuses_files(&node, "1").await;
    assert_eq!(node.add(replaced.body(5, 8)).await.status, 403);
    node.cosigned(&log, 5, 8).await;
    // Nor by a restart.
    let node = node.restart().await;
    assert_eq!(node.add(replaced.body(8, 9)).await.status, 403);
    node.cosigned(&log, 8, 9).await;
    // Beside the known one it is taken, and from then on known itself.
    let both = [log.keys[0].verifier_key(), replaced.keys[0].verifier_key()];
    write_log(node.dir.path(), "log0", format!("{}\n{}\n", both[0], both[1]).as_bytes());
    node.answers(200, &replaced.body(9, 9)).await;
    node.cosigned(&log, 9, 10).await;
    write_vkeys(node.dir.path(), "log0", &replaced.keys);
    node.answers(403, &log.body(10, 10)).await;
    node.cosigned(&replaced, 10, 11).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_read_as_editors_leave_it_and_is_no_rotation() {
    let log = TestLog::new("example.com/log");
    let node = Node::start(&[&log]).await;
    node.cosigned(&log, 0, 5).await;
    let vkeys: Vec<String> = log.keys.iter().map(|key| key.verifier_key().to_string()).collect();
    let kept = format!("\u{feff}{}\r\n\r\n", vkeys.join("\r\n"));
    write_log(node.dir.path(), "log0", kept.as_bytes());
    // The same keys in another dress: nothing has changed for the log, before a restart and after it.
    let node = node.restart().await;
    assert_eq!(bad_files(&node).await, "0");
    node.cosigned(&log, 5, 6).await;
    write_log(node.dir.path(), "log0", vkeys.join("\n").as_bytes());
    let node = node.restart().await;
    assert_eq!(bad_files(&node).await, "0");
    node.cosigned(&log, 6, 7).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_files_are_refused_one_by_one() {
    let (log, other) = (TestLog::new("example.com/log"), TestLog::new("example.com/other"));
    let node = Node::start(&[&log]).await;
    let witness = KeyName::new("example.com/w").unwrap();
    let witness = PrivateKey::cosigner_ed25519(witness, &[1; 32]);
    let vkey = other.keys[0].verifier_key().to_string();
    let mixed = format!("{vkey}\n{}\n", log.keys[0].verifier_key());
    let long_name = "x".repeat(256);
    let contents = [
        ("empty", String::new()),
        ("blank", format!("{vkey} \n")),
        ("wide", format!("\u{feff}\u{feff}{vkey}\n")),
        ("twice", format!("{vkey}\n{vkey}\n")),
        ("mixed", mixed),
        ("witness", format!("{}\n", witness.verifier_key())),
        ("long", vkey.replace("example.com/other", &long_name) + "\n"),
        ("same-log", format!("{}\n", log.keys[0].verifier_key())),
        ("huge", format!("{vkey}\n").repeat(2_000)),
    ];
    for (name, content) in &contents {
        write_log(node.dir.path(), name, content.as_bytes());
    }
    let all = contents.len().to_string();
    refuses_files(&node, &all).await;
    node.cosigned(&log, 0, 5).await;
    assert_eq!(node.add(other.body(0, 5)).await.status, 404);
    let node = node.restart().await;
    assert_eq!(bad_files(&node).await, all);
    node.cosigned(&log, 5, 6).await;
}
