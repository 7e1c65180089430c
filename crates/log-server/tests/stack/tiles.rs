//! The read API of tlog-tiles: the checkpoint and tiles, whole and partial.

use http_body_util::Full;

use crate::harness::{LOG, Stack, joined, numbered, numbered_leaves, root_of_numbered, verified};
use merkle::Hash;

const IMMUTABLE: &str = "public, max-age=31536000, immutable";

fn leaf_hashes(start: u64, end: u64) -> Vec<Hash> {
    numbered_leaves(start..end).into_iter().map(|(_, leaf)| leaf).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_checkpoint_is_plain_text_that_nobody_caches() {
    let mut stack = Stack::new().await;
    for (first, count) in [(0, 0), (0, 5)] {
        if count > 0 {
            stack.fill(first, count).await;
        }
        let note = stack.published(LOG, count).await;
        let answer = stack.get("/logs/default/checkpoint", &[]).await;
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["content-type"], "text/plain; charset=utf-8");
        assert_eq!(answer.headers()["cache-control"], "no-cache");
        assert_eq!(answer.body(), &note);
        let trust = stack.trust(LOG).await;
        assert_eq!(*verified(&note, &trust).root(), root_of_numbered(count));
    }
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tiles_are_served_in_every_width_up_to_the_signed_tree() {
    let mut stack = Stack::new().await;
    stack.fill(0, 600).await;
    for (path, start, end) in [
        ("tile/0/000", 0, 256),
        ("tile/0/001", 256, 512),
        ("tile/0/000.p/1", 0, 1),
        ("tile/0/000.p/255", 0, 255),
        ("tile/0/002.p/1", 512, 513),
        ("tile/0/002.p/87", 512, 599),
        ("tile/0/002.p/88", 512, 600),
    ] {
        let tile = stack.get(&format!("/logs/default/{path}"), &[]).await;
        assert_eq!(tile.status(), 200, "{path}");
        assert_eq!(tile.headers()["content-type"], "application/octet-stream");
        assert_eq!(tile.headers()["cache-control"], IMMUTABLE);
        assert_eq!(joined(tile.body()), leaf_hashes(start, end), "{path}");
    }
    for width in [1, 2] {
        let tile = stack.get(&format!("/logs/default/tile/1/000.p/{width}"), &[]).await;
        let roots = [(0, 256), (256, 512)].map(|(a, b)| merkle::root_of(&leaf_hashes(a, b)));
        assert_eq!(joined(tile.body()), roots[..width]);
    }
    for beyond in
        ["0/002", "0/002.p/89", "0/003.p/1", "1/000.p/3", "1/000", "1/001.p/1", "2/000.p/1"]
    {
        let missing = stack.get(&format!("/logs/default/tile/{beyond}"), &[]).await;
        assert_eq!(missing.status(), 404, "{beyond}");
        assert_eq!(missing.headers()["cache-control"], "no-store");
    }
    stack.stop().await;
}

/// Size 256 is a full tile of leaves and a partial tile of width 1 above it.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_tile_begins_the_level_above() {
    let mut stack = Stack::new().await;
    stack.fill(0, 255).await;
    for missing in ["tile/0/000", "tile/1/000.p/1", "tile/entries/000"] {
        assert_eq!(stack.get(&format!("/logs/default/{missing}"), &[]).await.status(), 404);
    }
    stack.fill(255, 1).await;
    let above = stack.get("/logs/default/tile/1/000.p/1", &[]).await;
    assert_eq!(joined(above.body()), [root_of_numbered(256)]);
    for there in ["tile/0/000", "tile/0/000.p/255", "tile/entries/000"] {
        assert_eq!(stack.get(&format!("/logs/default/{there}"), &[]).await.status(), 200);
    }
    for missing in ["tile/0/001.p/1", "tile/1/000", "tile/entries/001.p/1"] {
        assert_eq!(stack.get(&format!("/logs/default/{missing}"), &[]).await.status(), 404);
    }
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_other_path_is_not_found_never_stored_and_never_a_redirect() {
    let mut stack = Stack::new().await;
    stack.fill(0, 300).await;
    for path in [
        "/",
        "/logs",
        "/logs/default",
        "/logs/default/",
        "/logs/default/checkpoint/",
        "/logs/none/checkpoint",
        "/logs/none/tile/0/000",
        "/logs/none/tile/entries/000",
        "/logs/Default/checkpoint",
        "/logs/default/tile/0/0",
        "/logs/default/tile/0/0000",
        "/logs/default/tile/00/000",
        "/logs/default/tile/0/x000/000",
        "/logs/default/tile/0/000.p/0",
        "/logs/default/tile/0/000.p/256",
        "/logs/default/tile/0/000.p/01",
        "/logs/default/tile/64/000",
        "/logs/default/tile/0/+01",
        "/logs/default/tile/data/000",
        "/logs/default/tile/entries/000.p/",
        "/logs/default/tile/0/x999/x999/x999/x999/x999/x999/999",
        "/logs/default/../default/checkpoint",
        "/healthz/",
        "/add",
    ] {
        let missing = stack.get(path, &[]).await;
        assert_eq!(missing.status(), 404, "{path}");
        assert_eq!(missing.headers()["cache-control"], "no-store", "{path}");
        assert!(!missing.headers().contains_key("location"));
    }
    let long = format!("/logs/{}/checkpoint", "a".repeat(2_000));
    assert_eq!(stack.get(&long, &[]).await.status(), 404);
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_are_get_and_head_and_add_is_post() {
    let mut stack = Stack::new().await;
    stack.fill(0, 256).await;
    for (path, allow) in [
        ("/logs/default/checkpoint", "GET, HEAD"),
        ("/logs/default/tile/0/000", "GET, HEAD"),
        ("/logs/default/tile/entries/000", "GET, HEAD"),
        ("/metrics", "GET, HEAD"),
    ] {
        let refused = stack.post(path, numbered(0)).await;
        assert_eq!(refused.status(), 405, "{path}");
        assert_eq!(refused.headers()["allow"], allow);
        let request = http::Request::head(stack.uri(path)).body(Full::default()).unwrap();
        let head = stack.send(request).await;
        assert_eq!((head.status().as_u16(), head.body().len()), (200, 0), "{path}");
    }
    let refused = stack.get("/logs/default/add", &[]).await;
    assert_eq!(refused.status(), 405);
    assert_eq!(refused.headers()["allow"], "POST");
    stack.stop().await;
}

/// What anybody may read, any web page may; it may neither append nor look at what operators do.
#[tokio::test(flavor = "multi_thread")]
async fn pages_of_the_web_may_read_what_is_public_and_nothing_else() {
    let mut stack = Stack::new().await;
    stack.fill(0, 256).await;
    stack.published(LOG, 256).await;
    let origin = [("origin", "https://monitor.example")];
    let ask = async |method: &str, path: &str| {
        let request = http::Request::builder().method(method).uri(stack.uri(path));
        let request = request.header(origin[0].0, origin[0].1);
        stack.send(request.body(Full::default()).unwrap()).await
    };
    let allowed = "access-control-allow-origin";
    for path in ["checkpoint", "tile/0/000", "tile/entries/000", "tile/0/999"] {
        let path = format!("/logs/default/{path}");
        for method in ["GET", "HEAD"] {
            let answer = ask(method, &path).await;
            assert_eq!(answer.headers()[allowed], "*", "{method} {path}");
        }
        let preflight = ask("OPTIONS", &path).await;
        assert_eq!(preflight.status(), 204);
        assert_eq!(preflight.headers()[allowed], "*");
        assert_eq!(preflight.headers()["access-control-allow-methods"], "GET, HEAD");
        assert!(preflight.body().is_empty());
    }
    for (method, path) in [
        ("POST", "/logs/default/add"),
        ("OPTIONS", "/logs/default/add"),
        ("GET", "/metrics"),
        ("OPTIONS", "/metrics"),
        ("GET", "/healthz"),
        ("OPTIONS", "/nothing"),
    ] {
        let answer = ask(method, path).await;
        assert_ne!(answer.status(), 204, "{method} {path}");
        assert!(!answer.headers().contains_key(allowed), "{method} {path}");
    }
    stack.stop().await;
}
