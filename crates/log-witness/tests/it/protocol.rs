//! add-checkpoint and the monitoring route (c2sp.org/tlog-witness), every status and their order.

use formats::note::parse_signature_lines;
use formats::{KeyFile, KeyName, PrivateKey, SignatureLine, VerifiedSignature, VerifierKey};
use http::Method;
use log_witness::witness::origin_path;
use merkle::Hash;
use serve::route::Call;

use crate::common::{NOW_S, Node, TestLog, submission, write_vkeys};

/// The request of the specification, byte for byte (as of November 2026).
const PUBLISHED: &str = "\
old 20852014
PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=
jrJZDmY8Y7SyJE0MWLpLozkIVMSMZcD5kvuKxPC3swk=
5+pKlUdi2LeF/BcMHBn+Ku6yhPGNCswZZD1X/6QgPd8=
/6WVhPs2CwSsb5rYBH5cjHV/wSmA79abXAwhXw3Kj/0=

example.com/behind-the-sofa
20852163
CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=

— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=
— example.com/behind-the-sofa opLqBQsREYCgu6xQkYQwJr9fo45a62DN9EdmHXnZdXNqlcVGlCum2Wks+49/V6267UEjw6QUXTS5Rovnzv++qbSzm9Q=
";

#[tokio::test(flavor = "multi_thread")]
async fn the_published_request_is_well_formed_and_its_keys_decide() {
    let other = TestLog::new("example.com/behind-the-sofa");
    let node = Node::start(&[]).await;
    assert_eq!(node.add(PUBLISHED.into()).await.status, 404, "the log is not known");
    // A log of that name with another key: both lines are of unknown keys.
    write_vkeys(node.dir.path(), "sofa", &other.keys);
    node.answers(403, PUBLISHED.as_bytes()).await;
    let cut = PUBLISHED.replace("old 20852014", "old 020852014");
    assert_eq!(node.add(cut.into()).await.status, 400, "syntax comes before everything");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checkpoint_that_continues_the_last_is_cosigned_and_served() {
    let log = TestLog::new("example.com/log").with_ml_dsa();
    let node = Node::start(&[&log]).await;
    assert_eq!(node.held(&log).await.status, 404, "never cosigned");
    for (old, size) in [(0, 5), (5, 8), (8, 8), (8, 21)] {
        let lines = node.cosigned(&log, old, size).await;
        assert_eq!(parse_signature_lines(lines.as_bytes()).unwrap().len(), 2);
        let signed = log.checkpoint(size);
        let cosigned = signed.with_signature_lines(lines.as_bytes()).unwrap();
        let mut keys = node.vkeys();
        keys.push(log.keys[0].verifier_key().clone());
        let verified = cosigned.verify(&keys).unwrap();
        let times: Vec<_> =
            verified.signatures().iter().filter_map(VerifiedSignature::time).collect();
        assert_eq!(times.len(), 2, "Ed25519 first, ML-DSA-44 second");
        assert!(times.iter().all(|time| time.seconds() == NOW_S));

        let held = node.held(&log).await;
        assert_eq!(held.status, 200);
        assert_eq!(held.content_type, "text/plain; charset=utf-8");
        assert_eq!(held.body.as_bytes(), cosigned.as_bytes(), "byte for byte what was returned");
        let again = node.held(&log).await;
        assert_eq!(again.body, held.body);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_refusal_has_its_status_in_the_order_of_the_specification() {
    let (log, unknown) = (TestLog::new("example.com/log"), TestLog::new("example.com/unknown"));
    let node = Node::start(&[&log]).await;
    let hash = Hash::try_from(&[7; 32][..]).unwrap();

    // First contact: another old size than 0 is a conflict, and 0 is held.
    let first = node.add(log.body(3, 5)).await;
    assert_eq!((first.status, first.body.as_str()), (409, "0\n"));
    assert_eq!(first.content_type, "text/x.tlog.size");
    let proof_from_zero = submission(0, vec![hash], log.checkpoint(5));
    assert_eq!(node.add(proof_from_zero).await.status, 422);
    let empty_root = submission(0, vec![], log.signed(0, hash));
    assert_eq!(node.add(empty_root).await.status, 422);
    assert_eq!(node.held(&log).await.status, 404, "nothing of this changed anything");

    node.cosigned(&log, 0, 5).await;
    // 404 before 403 and 400: unknown log, unsigned, old size above the checkpoint's.
    assert_eq!(node.add(unknown.body(0, 5)).await.status, 404);
    let mut forged = log.body(9, 9);
    let text = String::from_utf8(forged.clone()).unwrap();
    assert_eq!(node.add(text.replace("old 9", "old 10").into()).await.status, 400);
    // 403 before 400: the same with a signature that fails.
    let at = forged.len() - 10;
    forged[at] = if forged[at] == b'A' { b'B' } else { b'A' };
    let forged = String::from_utf8(forged).unwrap().replace("old 9", "old 10");
    assert_eq!(node.add(forged.into()).await.status, 403);
    // 400 before 409: above the checkpoint's size, and not what is held.
    let above = submission(6, vec![], log.checkpoint(5));
    assert_eq!(node.add(above).await.status, 400);
    // 409 before 422: not what is held, and a proof that is none.
    let conflict = node.add(submission(4, vec![hash], log.checkpoint(8))).await;
    assert_eq!((conflict.status, conflict.body.as_str()), (409, "5\n"));
    // 422: a proof that does not hold, one that is missing, one too long, another root at one size.
    let mut proof = log.proof(5, 8);
    proof.push(hash);
    for body in [
        submission(5, vec![hash], log.checkpoint(8)),
        submission(5, vec![], log.checkpoint(8)),
        submission(5, proof, log.checkpoint(8)),
        submission(5, vec![], log.signed(5, hash)),
        submission(5, vec![hash], log.checkpoint(5)),
        submission(5, log.proof(5, 8), log.fork().checkpoint(8)),
    ] {
        let answer = node.add(body).await;
        assert_eq!(answer.status, 422, "{answer:?}");
    }
    let held = node.held(&log).await;
    assert!(held.body.starts_with("example.com/log\n5\n"), "nothing of this changed anything");
    node.cosigned(&log, 5, 8).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn during_a_rotation_old_and_new_keys_cosign() {
    let log = TestLog::new("example.com/log");
    let node = Node::start(&[&log]).await;
    let before = node.vkeys();
    node.cosigned(&log, 0, 5).await;
    let (dir, clock) = node.stop().await;
    let path = dir.path().join("keys/witness");
    let name = KeyName::new("example.com/witness").unwrap();
    let mut keys = vec![PrivateKey::cosigner_ed25519(name, &[9; 32])];
    keys.extend(base::keys::read(&path, base::keys::Readers::Nobody).unwrap().unwrap().into_keys());
    let file = KeyFile::new(keys).unwrap();
    base::durable::replace(&path, file.format().as_bytes(), 0o600).unwrap();
    let node = Node::start_at(dir, clock).await.unwrap();
    assert_eq!(node.vkeys()[1..], before);
    let lines = node.cosigned(&log, 5, 8).await;
    let ids: Vec<u32> =
        parse_signature_lines(lines.as_bytes()).unwrap().iter().map(SignatureLine::id).collect();
    let expected: Vec<u32> = node.vkeys().iter().map(VerifierKey::id).collect();
    assert_eq!(ids, expected, "all three, in the order of the file");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_cosigned_is_known_after_a_restart() {
    let (log, other) = (TestLog::new("example.com/log"), TestLog::new("example.com/other"));
    let node = Node::start(&[&log, &other]).await;
    node.cosigned(&log, 0, 5).await;
    let held = node.held(&log).await.body;
    let node = node.restart().await;
    assert_eq!(node.held(&log).await.body, held);
    let conflict = node.add(log.body(0, 8)).await;
    assert_eq!((conflict.status, conflict.body.as_str()), (409, "5\n"));
    node.cosigned(&log, 5, 8).await;
    node.cosigned(&other, 0, 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_sees_every_log_and_every_refusal() {
    let log = TestLog::new("example.com/log");
    let node = Node::start(&[&log]).await;
    node.cosigned(&log, 0, 5).await;
    assert_eq!(node.add(log.body(3, 5)).await.status, 409);
    assert_eq!(node.add(b"old".to_vec()).await.status, 400);
    assert_eq!(node.get("/healthz").await.status, 200);
    assert_eq!(node.get("/readyz").await.status, 200);
    let metrics = node.get("/metrics").await.body;
    for line in [
        r#"cairn_witness_log_size{log="example.com/log"} 5.0"#,
        r#"cairn_witness_log_age_seconds{log="example.com/log"} 0.0"#,
        r#"cairn_witness_refusals_total{log="example.com/log",reason="other_old_size"} 1"#,
        r#"cairn_witness_refusals_total{log="",reason="malformed"} 1"#,
        r#"cairn_witness_requests_total{route="add_checkpoint",code="200"} 1"#,
        "cairn_witness_logs 1.0",
    ] {
        assert!(metrics.lines().any(|found| found == line), "{line}\n{metrics}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn paths_and_methods_that_are_none_are_refused() {
    let node = Node::start(&[]).await;
    assert_eq!(node.get("/add-checkpoint").await.status, 405);
    assert_eq!(node.get("/").await.status, 404);
    assert_eq!(node.get(&format!("/{}/checkpoint", "0".repeat(64))).await.status, 404);
    assert_eq!(node.get(&format!("/{}/evidence", "0".repeat(64))).await.status, 404);
    assert_eq!(node.call(Method::POST, "/readyz", vec![]).await.status, 405);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_row_of_the_table_is_answered_by_its_method_and_by_no_other() {
    let log = TestLog::new("example.com/log");
    let node = Node::start(&[&log]).await;
    node.cosigned(&log, 0, 5).await;
    let origin = origin_path(&log.origin());
    let table = log_witness::routes::table();
    for route in table.routes() {
        let path = route.pattern.fill(origin.trim_start_matches('/'), "");
        let (method, body, expected) = match route.call {
            // No field of the message is there.
            Call::Unary | Call::Streaming => (Method::POST, vec![0; 5], 200),
            Call::Post => (Method::POST, Vec::new(), 400),
            Call::Options => (Method::OPTIONS, Vec::new(), 204),
            Call::Get if route.name == "evidence" => (Method::GET, Vec::new(), 404),
            Call::Get => (Method::GET, Vec::new(), 200),
            Call::Delete => (Method::DELETE, Vec::new(), 204),
        };
        let answer = node.call(method, &path, body).await;
        assert_eq!(answer.status, expected, "{path}: {answer:?}");
        assert_ne!(answer.body, "not found\n", "{path}");
        for method in [Method::GET, Method::POST, Method::PUT, Method::DELETE] {
            if !route.call.takes(&method) {
                let answer = node.call(method.clone(), &path, Vec::new()).await;
                assert_eq!(answer.status, 405, "{method} {path}");
            }
        }
        assert_eq!(node.get(&format!("{path}/")).await.body, "not found\n", "{path}/");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_encoded_body_is_refused() {
    let node = Node::start(&[]).await;
    for path in ["/add-checkpoint", "/sign-subtree"] {
        let ask =
            async |encoding| node.ask(Method::POST, path, ("content-encoding", encoding)).await.0;
        assert_eq!(ask("gzip").await, 415, "{path}");
        assert_eq!(ask("identity").await, 400, "{path}: nothing is no request");
    }
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_the_web_may_read_what_is_public_and_nothing_else() {
    let log = TestLog::new("example.com/log");
    let node = Node::start(&[&log]).await;
    node.cosigned(&log, 0, 5).await;
    let origin = ("origin", "https://monitor.example");
    let allowed = "access-control-allow-origin";
    for route in ["checkpoint", "evidence"] {
        let path = format!("{}/{route}", origin_path(&log.origin()));
        let (_, headers) = node.ask(Method::GET, &path, origin).await;
        assert_eq!(headers[allowed], "*", "{path}");
        let (status, headers) = node.ask(Method::OPTIONS, &path, origin).await;
        assert_eq!((status, &headers[allowed]), (204, &http::HeaderValue::from_static("*")));
    }
    for (method, path) in [
        (Method::POST, "/add-checkpoint"),
        (Method::OPTIONS, "/add-checkpoint"),
        (Method::OPTIONS, "/sign-subtree"),
        (Method::GET, "/metrics"),
    ] {
        let (status, headers) = node.ask(method, path, origin).await;
        assert_ne!(status, 204, "{path}");
        assert!(!headers.contains_key(allowed), "{path}");
    }
    node.stop().await;
}
