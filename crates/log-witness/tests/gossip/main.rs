//! Gossip between real processes: heads spread, forks become evidence, and nobody is accused wrongly.

#![expect(clippy::disallowed_methods, reason = "files and pauses of a test")]

#[cfg(test)]
mod distributions;
#[cfg(test)]
#[path = "../support/eventually.rs"]
mod eventually;
#[cfg(test)]
mod nodes;
#[cfg(test)]
mod over_tls;

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{Arc, Mutex};

    use formats::{Contradiction, Evidence};
    use log_proto::gossip_v1::{self as pb, Standing};

    use crate::eventually::{eventually, once};
    use crate::nodes::{Cable, Node, Tiles, WITHIN, add_log, head, head_of, history, key, serve};

    fn verified(evidence: &[u8]) -> Contradiction {
        let evidence = Evidence::parse(evidence).unwrap();
        evidence.verify(&[key().verifier_key()]).unwrap().contradiction()
    }

    /// Seven in a ring, two cables of which go through `Cable`s: cutting them leaves 0 to 3 and 4 to 6.
    struct Ring {
        _dir: tempfile::TempDir,
        tiles: Tiles,
        nodes: Vec<Node>,
        cables: Vec<Cable>,
    }

    impl Ring {
        fn start() -> Self {
            let (dir, tiles) = (tempfile::tempdir().unwrap(), Tiles::start());
            let (mut nodes, mut cables): (Vec<Node>, Vec<Cable>) = (Vec::new(), Vec::new());
            for number in 0..7 {
                let mut peers: Vec<String> =
                    nodes.last().map(|node| node.url.clone()).into_iter().collect();
                if number == 4 || number == 6 {
                    let other = if number == 4 { &nodes[3] } else { &nodes[0] };
                    let cable = Cable::to(&other.url);
                    if number == 4 {
                        peers.clear();
                    }
                    peers.push(cable.url.clone());
                    cables.push(cable);
                }
                let peers: Vec<&str> = peers.iter().map(String::as_str).collect();
                let dir = dir.path().join(number.to_string());
                nodes.push(Node::start(&dir, Some(&tiles.url), &peers, &[]));
            }
            Self { _dir: dir, tiles, nodes, cables }
        }

        async fn all_know(&self, leaves: &[merkle::Hash]) {
            for node in &self.nodes {
                node.learns(leaves).await;
            }
        }
    }

    #[tokio::test]
    async fn seven_in_a_ring_all_know_a_head_and_after_a_partition_a_fork() {
        let mut ring = Ring::start();
        let honest = history("honest", 30, 300);
        ring.tiles.publish(&honest[..12]);
        assert_eq!(ring.nodes[0].add(&honest[..5], 0).0, 200);
        ring.all_know(&honest[..5]).await;
        // Another size is believed once the log's tiles prove it, far from where it was submitted.
        assert_eq!(ring.nodes[3].add(&honest[..12], 0).0, 200);
        ring.all_know(&honest[..12]).await;
        assert!(ring.nodes.iter().all(|node| node.evidence().is_none()));

        // The log shows each side of a partition another history, and serves tiles of the second.
        ring.cables.iter().for_each(Cable::cut);
        let forked = history("forked", 30, 300);
        ring.tiles.publish(&honest[..260]);
        assert_eq!(ring.nodes[0].add(&honest[..260], 5).0, 200);
        for node in &ring.nodes[..4] {
            node.learns(&honest[..260]).await;
        }
        ring.tiles.publish(&forked[..280]);
        assert_eq!(ring.nodes[5].add(&forked[..280], 0).0, 200);
        for node in &ring.nodes[4..] {
            node.learns(&forked[..280]).await;
        }
        assert!(ring.nodes.iter().all(|node| node.evidence().is_none()), "nobody knows of a fork");

        ring.cables.iter().for_each(Cable::join);
        for node in &ring.nodes {
            assert_eq!(verified(&node.convicts().await), Contradiction::NotContinued);
            let (status, body) = node.add(&honest[..280], 260);
            assert_eq!(status, 403, "{body}");
            assert!(body.contains("/evidence"), "{body}");
            assert_eq!(node.metric("cairn_witness_logs_distrusted"), "1.0");
        }

        // It survives a kill, and ends by the operator's word alone, which evidence known then does not undo.
        let node = &mut ring.nodes[0];
        node.restart();
        assert_eq!(node.add(&honest[..280], 260).0, 403);
        node.kill();
        let trusted = node.command(&["trust", "example.com/log"]);
        assert!(trusted.status.success(), "{trusted:?}");
        node.restart();
        let node = &ring.nodes[0];
        // Peers told it what they hold.
        node.shows("cairn_witness_requests_total{route=\"gossip\"", |done| done > 20).await;
        assert_eq!(node.add(&honest[..280], 260).0, 200);
        assert!(node.evidence().is_some(), "what was found stays served");
    }

    #[tokio::test]
    async fn two_roots_for_one_size_are_evidence_without_the_log() {
        let dir = tempfile::tempdir().unwrap();
        let posted: Arc<Mutex<Vec<Vec<u8>>>> = Arc::default();
        let hook = Arc::clone(&posted);
        let webhook = serve(move |_, body| {
            hook.lock().unwrap().push(body.to_vec());
            Some(Vec::new())
        });
        let more = ["--webhook", webhook.as_str()];
        let one = Node::start(&dir.path().join("1"), None, &[], &more);
        let other = Node::start(&dir.path().join("2"), None, &[&one.url], &[]);
        let (honest, forked) = (history("honest", 2, 9), history("forked", 2, 9));
        assert_eq!(one.add(&honest, 0).0, 200);
        // A client was shown the other one, and reports it.
        let answer = other.report(&head(&forked)).await;
        assert_eq!(answer.standing(), Standing::Known, "nothing else is known there yet");
        for node in [&one, &other] {
            assert_eq!(verified(&node.convicts().await), Contradiction::TwoRoots);
        }
        let answer = one.report(&head(&forked)).await;
        assert_eq!(answer.standing(), Standing::Contradicts);
        assert_eq!(verified(&answer.evidence), Contradiction::TwoRoots);
        let told = eventually("the webhook was told", WITHIN, async || {
            posted.lock().unwrap().first().cloned().ok_or("nothing")
        })
        .await;
        assert_eq!(verified(&told), Contradiction::TwoRoots);
    }

    /// What the client library does with a fork it was shown.
    #[tokio::test]
    async fn a_head_that_was_reported_before_the_other_root_was_cosigned_is_evidence() {
        let dir = tempfile::tempdir().unwrap();
        let node = Node::start(dir.path(), None, &[], &[]);
        let (honest, forked) = (history("honest", 2, 9), history("forked", 2, 9));
        assert_eq!(node.add(&honest[..5], 0).0, 200);
        // The log gives no proof of what it showed a client, and has the other head cosigned later.
        assert_eq!(node.report(&head(&forked)).await.standing(), Standing::Pending);
        assert_eq!(node.add(&honest, 5).0, 200);
        assert_eq!(verified(&node.convicts().await), Contradiction::TwoRoots);
    }

    #[tokio::test]
    async fn logs_that_do_not_answer_make_no_other_wait() {
        let (dir, tiles) = (tempfile::tempdir().unwrap(), Tiles::start());
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        let silent = serve(move |_, _| {
            count.fetch_add(1, Ordering::SeqCst);
            loop {
                std::thread::park();
            }
        });
        // More than could be waited for one after the other while this test runs.
        let others: Vec<String> = (0..40).map(|number| format!("example.com/{number}")).collect();
        for origin in &others {
            add_log(dir.path(), origin, &[&silent]);
        }
        let node = Node::start(dir.path(), Some(&tiles.url), &[], &[]);
        for origin in &others {
            let leaves = history(origin, 0, 9);
            for size in [5, 9] {
                node.report(&head_of(origin, &leaves[..size])).await;
            }
        }
        eventually("they are asked", WITHIN, async || {
            let asked = asked.load(Ordering::SeqCst);
            once(asked >= others.len(), asked)
        })
        .await;
        let honest = history("honest", 0, 12);
        assert_eq!(node.add(&honest[..5], 0).0, 200);
        tiles.publish(&honest);
        node.report(&head(&honest)).await;
        node.learns(&honest).await;
    }

    #[tokio::test]
    async fn a_client_reports_evidence_and_checkpoints() {
        use log_client::gossip::{self, ReportError, Standing};

        let dir = tempfile::tempdir().unwrap();
        let node = Node::start(&dir.path().join("1"), None, &[], &[]);
        let (honest, forked) = (history("honest", 2, 9), history("forked", 2, 9));
        assert_eq!(node.add(&honest[..4], 0).0, 200);
        let signed = || bytes::Bytes::copy_from_slice(head(&honest[..4]).as_bytes());
        assert_eq!(gossip::report_checkpoint(&node.url, signed()).await.unwrap(), Standing::Known);
        let same = Evidence::of_same_size(head(&honest), head(&honest)).unwrap();
        assert_eq!(gossip::report_evidence(&node.url, &same).await.unwrap(), Standing::NotShown);
        assert!(node.evidence().is_none());
        let fork = Evidence::of_same_size(head(&honest), head(&forked)).unwrap();
        // The prefix of submissions may have a path; gossip is at the root of the port.
        let prefix = format!("{}/witness/", node.url);
        assert_eq!(gossip::report_evidence(&prefix, &fork).await.unwrap(), Standing::Contradicts);
        assert_eq!(node.evidence().unwrap(), fork.format());
        assert_eq!(
            gossip::report_checkpoint(&node.url, signed()).await.unwrap(),
            Standing::Contradicts
        );
        let nobody = gossip::report_evidence("http://127.0.0.1:1", &fork).await.unwrap_err();
        assert!(matches!(nobody, ReportError::Call { .. }), "{nobody}");
        let no_url = gossip::report_evidence("ftp://w", &fork).await.unwrap_err();
        assert!(matches!(no_url, ReportError::Address { .. }), "{no_url}");
    }

    #[tokio::test]
    async fn a_refused_submission_is_kept_and_compared() {
        let dir = tempfile::tempdir().unwrap();
        let node = Node::start(&dir.path().join("1"), None, &[], &[]);
        let (honest, forked) = (history("honest", 2, 9), history("forked", 2, 9));
        assert_eq!(node.add(&honest, 0).0, 200);
        assert_eq!(node.add(&forked, 9).0, 422);
        assert_eq!(verified(&node.convicts().await), Contradiction::TwoRoots);
    }

    #[tokio::test]
    async fn a_log_without_a_proof_is_a_suspect_and_goes_on() {
        let (dir, tiles) = (tempfile::tempdir().unwrap(), Tiles::start());
        let more = ["--suspect-after-ms", "500"];
        let node = Node::start(&dir.path().join("1"), Some(&tiles.url), &[], &more);
        let (honest, forked) = (history("honest", 2, 20), history("forked", 2, 20));
        assert_eq!(node.add(&honest[..9], 0).0, 200);
        // No tiles, then tiles of another history: neither proves nor accuses anything.
        assert_eq!(node.report(&head(&forked[..14])).await.standing(), Standing::Pending);
        tiles.publish(&history("third", 0, 14));
        eventually("the log is a suspect", WITHIN, async || {
            let standing = node.report(&head(&forked[..14])).await.standing();
            once(standing == Standing::Suspect, standing)
        })
        .await;
        node.shows("cairn_witness_logs_suspect", |suspects| suspects == 1).await;
        assert!(node.evidence().is_none());
        assert_eq!(node.add(&honest[..12], 9).0, 200, "nothing is frozen");
        assert_eq!(node.heads().await.len(), 2, "both heads are kept and told");
        // The log gives its proof in the end, and it is one of a fork.
        tiles.publish(&forked[..14]);
        node.convicts().await;
    }

    #[tokio::test]
    async fn what_proves_nothing_changes_nothing() {
        let (dir, tiles) = (tempfile::tempdir().unwrap(), Tiles::start());
        let node = Node::start(&dir.path().join("1"), Some(&tiles.url), &[], &[]);
        let honest = history("honest", 2, 20);
        tiles.publish(&honest[..14]);
        assert_eq!(node.add(&honest[..9], 0).0, 200);
        let mut client = node.client().await;
        let stranger = formats::PrivateKey::ed25519(
            formats::KeyName::new("example.com/log").unwrap(),
            &[2; 32],
        );
        let forged = |key: &formats::PrivateKey, origin: &str| {
            let origin = formats::Origin::new(origin).unwrap();
            let size = merkle::TreeSize::new(9).unwrap();
            let head = formats::Checkpoint::new(origin, size, merkle::Hash::EMPTY_ROOT);
            let bytes = formats::sign(&head, &[key], formats::Timestamp::ZERO).unwrap();
            formats::SignedCheckpoint::parse(&bytes).unwrap()
        };
        assert_eq!(
            node.report(&forged(&stranger, "example.com/log")).await.standing(),
            Standing::NotShown
        );
        assert_eq!(
            node.report(&forged(&key(), "example.com/other")).await.standing(),
            Standing::UnknownLog
        );
        assert_eq!(node.report(&head(&honest[..9])).await.standing(), Standing::Known);
        // Honest heads, larger and smaller, and every order: no evidence.
        for size in [14, 3, 12, 8, 13] {
            node.report(&head(&honest[..size])).await;
        }
        node.learns(&honest[..14]).await;
        assert!(node.evidence().is_none());
        // Evidence that shows nothing, and messages that are no messages.
        let proof = vec![merkle::Hash::EMPTY_ROOT; 3];
        let junk = Evidence::of_sizes(head(&honest[..9]), head(&honest[..14]), proof).unwrap();
        let report = pb::report_checkpoint_request::Report::Evidence(junk.format().into());
        let request = pb::ReportCheckpointRequest { report: Some(report) };
        let answer = client.report_checkpoint(request).await.unwrap().into_inner();
        assert_eq!(answer.standing(), Standing::NotShown);
        let many =
            pb::PushRequest { checkpoints: vec![bytes::Bytes::new(); 257], evidence: vec![] };
        let refused = client.push(many).await.unwrap_err();
        assert_eq!(refused.code(), tonic::Code::InvalidArgument);
        let most =
            pb::PushRequest { checkpoints: vec![bytes::Bytes::new(); 256], evidence: vec![] };
        client.push(most).await.unwrap();
        let heads = vec![pb::KnownHead::default(); 2];
        let refused = client.pull(pb::PullRequest { heads, ..Default::default() }).await;
        assert_eq!(refused.unwrap_err().code(), tonic::Code::InvalidArgument);
        let nothing = pb::ReportCheckpointRequest { report: None };
        let refused = client.report_checkpoint(nothing).await.unwrap_err();
        assert_eq!(refused.code(), tonic::Code::InvalidArgument);
        let hash = bytes::Bytes::from(crate::nodes::origin_hash().to_vec());
        let held = client.get_evidence(pb::GetEvidenceRequest { origin_hash: hash }).await;
        assert_eq!(held.unwrap_err().code(), tonic::Code::NotFound);
        assert!(node.evidence().is_none());
    }
}
