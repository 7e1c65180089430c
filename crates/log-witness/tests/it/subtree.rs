//! sign-subtree (c2sp.org/tlog-witness).

use formats::cosignature::verify_subtree;
use formats::note::parse_signature_lines;
use formats::{KeyFile, KeyName, PrivateKey, SignSubtree, SignedCheckpoint, Timestamp};
use http::Method;
use merkle::Hash;

use crate::common::{Answer, Node, TestLog};

async fn sign(node: &Node, request: &SignSubtree) -> Answer {
    node.call(Method::POST, "/sign-subtree", request.format()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subtree_of_a_cosigned_tree_is_signed_without_a_time() {
    let log = TestLog::new("example.com/log");
    let node = Node::start(&[&log]).await;
    node.cosigned(&log, 0, 14).await;
    let served = node.held(&log).await.body;
    for leaves in [8..13, 0..14, 0..8, 13..14] {
        let request = log.subtree(leaves, served.as_bytes());
        let answer = sign(&node, &request).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let lines = parse_signature_lines(answer.body.as_bytes()).unwrap();
        let [line] = &lines[..] else { panic!("one key signs subtrees") };
        let (key, origin) = (&node.vkeys()[1], log.origin());
        let time = verify_subtree(key, line, &origin, request.subtree(), request.hash());
        assert_eq!(time, Ok(Timestamp::ZERO));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_come_in_their_order() {
    let (log, unknown) = (TestLog::new("example.com/log"), TestLog::new("example.com/unknown"));
    let node = Node::start(&[&log]).await;
    node.cosigned(&log, 0, 14).await;
    let served = node.held(&log).await.body;
    let request = log.subtree(8..13, served.as_bytes());
    let other = Hash::try_from(&[7; 32][..]).unwrap();

    let body = String::from_utf8(request.format()).unwrap();
    for malformed in [
        body.replace("subtree 8 13", "subtree 08 13"),
        body.replace("subtree 8 13", "subtree 9 13"),
        body.replace("subtree 8 13", "subtree 8 15"),
        body.replace("subtree 8 13", "subtree 8 8"),
    ] {
        let answer = node.call(Method::POST, "/sign-subtree", malformed.into_bytes()).await;
        assert_eq!(answer.status, 400, "{answer:?}");
    }
    // 404 before 403 and 422.
    let foreign = unknown.subtree(8..13, unknown.checkpoint(14).as_bytes());
    assert_eq!(sign(&node, &foreign).await.status, 404);
    // 403 before 422: not ours, and a hash that is none.
    let unsigned = log.subtree(8..13, log.checkpoint(14).as_bytes());
    assert_eq!(sign(&node, &unsigned).await.status, 403);
    let (subtree, proof) = (request.subtree(), request.proof().to_vec());
    let wrong = SignSubtree::new(subtree, other, proof.clone(), log.checkpoint(14)).unwrap();
    assert_eq!(sign(&node, &wrong).await.status, 403);
    // One of our lines fails.
    let bent = format!("{}AAAAAAA=\n", &served[..served.len() - 9]);
    let bent = SignedCheckpoint::parse(bent.as_bytes()).unwrap();
    let bent = SignSubtree::new(subtree, *request.hash(), proof.clone(), bent).unwrap();
    assert_eq!(sign(&node, &bent).await.status, 403);
    // 422: ours, and a hash or a proof that does not hold.
    let reference = request.checkpoint().clone();
    let wrong = SignSubtree::new(subtree, other, proof, reference.clone()).unwrap();
    assert_eq!(sign(&node, &wrong).await.status, 422);
    let missing = SignSubtree::new(subtree, *request.hash(), vec![], reference).unwrap();
    assert_eq!(sign(&node, &missing).await.status, 422);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_line_of_ours_is_enough_and_a_witness_without_such_a_key_signs_none() {
    let log = TestLog::new("example.com/log");
    let node = Node::start(&[&log]).await;
    let lines = node.cosigned(&log, 0, 14).await;
    let ed25519 = lines.lines().next().unwrap();
    let reference = log.checkpoint(14);
    let reference = reference.with_signature_lines(format!("{ed25519}\n").as_bytes()).unwrap();
    let request = log.subtree(8..13, reference.as_bytes());
    assert_eq!(sign(&node, &request).await.status, 200);

    let (dir, clock) = node.stop().await;
    let name = KeyName::new("example.com/witness").unwrap();
    let file = KeyFile::new(vec![PrivateKey::cosigner_ed25519(name, &[9; 32])]).unwrap();
    let path = dir.path().join("keys/witness");
    base::durable::replace(&path, file.format().as_bytes(), 0o600).unwrap();
    let node = Node::start_at(dir, clock).await.unwrap();
    node.cosigned(&log, 14, 14).await;
    let served = node.held(&log).await.body;
    assert_eq!(sign(&node, &log.subtree(8..13, served.as_bytes())).await.status, 404);
}
