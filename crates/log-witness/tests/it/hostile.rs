//! What nobody honest sends. Nothing of it changes anything, and nothing of it is answered with 5xx.

use formats::witness::BODY_BYTES_MAX;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::common::{Node, TestLog};

/// The body of a submission whose checkpoint's text is replaced with one that is signed as it is.
fn signed_text(log: &TestLog, first: &str, text: &str) -> Vec<u8> {
    let note = formats::sign::sign_text(text, &[&log.keys[0]]).unwrap();
    [first.as_bytes(), b"\n", &note].concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn other_spellings_of_a_submission_are_no_submission() {
    let log = TestLog::new("example.com/log");
    let node = Node::start(&[&log]).await;
    node.cosigned(&log, 0, 5).await;
    let held = node.held(&log).await.body;
    let body = String::from_utf8(log.body(5, 8)).unwrap();
    let hash = body.lines().nth(1).unwrap();
    let surplus = format!("{hash}\n").repeat(64);
    let mut cases = vec![
        String::new(),
        "old 5".to_owned(),
        body.replace("old 5", "old 05"),
        body.replace("old 5", "old +5"),
        body.replace("old 5", "old  5"),
        body.replace("old 5", "old 5 "),
        body.replace("old 5", "Old 5"),
        body.replace("old 5", "old -5"),
        body.replace("old 5", "old 9223372036854775808"),
        body.replace("old 5", "old 18446744073709551621"),
        body.replace('\n', "\r\n"),
        body.replacen("\n\n", "\n\n\n", 1),
        body.replacen("\n\n", "\n", 1),
        body.replace(hash, hash.trim_end_matches('=')),
        body.replace(hash, &format!("{hash} ")),
        body.replace(&format!("{hash}\n"), &surplus),
        format!("{body}\n"),
        format!("{body}x"),
        body.trim_end().to_owned(),
        body.replace("example.com/log\n8\n", "example.com/log\n08\n"),
        body.replace("example.com/log\n8\n", "example.com/log\n9223372036854775808\n"),
        body.replace('—', "-"),
        body.replace("example.com/log\n8\n", &format!("{}\n8\n", "x".repeat(256))),
    ];
    cases.push(body.replace("— example.com/log ", "— example.com/log  "));
    for case in cases {
        let answer = node.add(case.clone().into_bytes()).await;
        assert_eq!(answer.status, 400, "{answer:?}\n{case}");
    }
    let not_utf8 = [body.as_bytes(), b"\xff"].concat();
    assert_eq!(node.add(not_utf8).await.status, 400);
    // Signed, so that only the form of the text is at fault.
    let text = log.checkpoint(8).checkpoint().to_string();
    for text in [
        format!("{text}\n"),
        format!("{text}extension\n\nmore\n"),
        text.replace("\n8\n", "\n+8\n"),
        "example.com/log\n8\n".to_owned(),
    ] {
        let answer = node.add(signed_text(&log, "old 5\n", &text)).await;
        assert_eq!(answer.status, 400, "{answer:?}\n{text}");
    }
    assert_eq!(node.held(&log).await.body, held, "nothing of this changed anything");
    assert_eq!(node.add(body.into_bytes()).await.status, 200, "the canonical form is one");
}

#[tokio::test(flavor = "multi_thread")]
async fn signatures_that_fail_are_refused_and_unknown_ones_are_dropped() {
    let (log, other) = (TestLog::new("example.com/log"), TestLog::new("example.com/other"));
    let node = Node::start(&[&log, &other]).await;
    let signed = log.checkpoint(5);
    let line = signed.signatures().next().unwrap().line.to_owned();
    let of_another = other.checkpoint(5);
    let foreign = of_another.signatures().next().unwrap().line.to_owned();
    let of_later = log.checkpoint(6);
    let failing = of_later.signatures().next().unwrap().line.to_owned();
    let text = signed.checkpoint().to_string();
    let body = |lines: &str| format!("old 0\n\n{text}\n{lines}").into_bytes();

    for (lines, why) in [
        (failing.clone(), "forged"),
        (format!("{line}{failing}"), "a second line of a trusted key fails"),
        (format!("{failing}{line}"), "a first line of a trusted key fails"),
        (foreign.clone(), "another log's key"),
    ] {
        let answer = node.add(body(&lines)).await;
        assert_eq!(answer.status, 403, "{why}: {answer:?}");
    }
    assert_eq!(node.held(&log).await.status, 404);
    let answer = node.add(body(&format!("{foreign}{line}{line}"))).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let held = node.held(&log).await.body;
    assert_eq!(held, format!("{text}\n{line}{}", answer.body), "the trusted line, once");
}

/// Sends a head and a part of a body, and gives what is answered while the rest is still to come.
async fn answered_early(node: &Node, head: &str, sent: &[u8]) -> String {
    let mut stream = TcpStream::connect(node.server.address()).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(sent).await.unwrap();
    let mut first = vec![0; 12];
    stream.read_exact(&mut first).await.unwrap();
    String::from_utf8(first).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_over_the_limit_is_refused_before_its_end() {
    let node = Node::start(&[]).await;
    let limit = 128 * 1024;
    let announced = "POST /add-checkpoint HTTP/1.1\r\nhost: a\r\ncontent-length: 131073\r\n\r\n";
    assert_eq!(answered_early(&node, announced, b"old 0").await, "HTTP/1.1 413");
    let chunked = "POST /add-checkpoint HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n";
    let mut chunk = format!("{:x}\r\n", limit + 1).into_bytes();
    chunk.extend(vec![b'a'; limit + 1]);
    assert_eq!(answered_early(&node, chunked, &chunk).await, "HTTP/1.1 413");
    assert_eq!(node.add(vec![b'a'; limit]).await.status, 400, "read to its end");
    assert_eq!(node.add(vec![b'a'; limit + 1]).await.status, 413);
    assert!(limit <= BODY_BYTES_MAX, "what is read is parsed");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_largest_notes_are_taken() {
    let log = TestLog::new("example.com/log");
    let node = Node::start(&[&log]).await;
    let extension = "x".repeat(120_000);
    let text = format!("{}{extension}\n", log.checkpoint(5).checkpoint());
    let answer = node.add(signed_text(&log, "old 0\n", &text)).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert!(node.held(&log).await.body.starts_with(&text));
    let many = log.checkpoint(8);
    let lines: String = (0..15u8)
        .map(|n| {
            let other = TestLog::new(&format!("example.com/o{n}")).checkpoint(5);
            other.signatures().next().unwrap().line.to_owned()
        })
        .collect();
    let many = many.with_signature_lines(lines.as_bytes()).unwrap();
    let body = crate::common::submission(5, log.proof(5, 8), many);
    assert_eq!(node.add(body).await.status, 200, "sixteen signatures");
}
