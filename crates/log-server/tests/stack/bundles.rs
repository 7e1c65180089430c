//! Entry bundles, as they are and compressed as the caller accepts.

use std::io::Read as _;

use bytes::Bytes;

use crate::harness::{Stack, numbered};

/// Entries long enough to be worth compressing.
fn entry(number: u64) -> Vec<u8> {
    [numbered(number), vec![b' '; 100]].concat()
}

async fn filled(count: u64) -> Stack {
    let stack = Stack::new().await;
    let mut client = stack.client.clone();
    let entries = (0..count).map(|number| crate::harness::entry(&entry(number))).collect();
    let request = crate::harness::batch_request(entries, log_proto::log_v1::Receipt::Signed);
    client.append_batch(request).await.unwrap();
    stack
}

fn encoded(start: u64, end: u64) -> Vec<u8> {
    merkle::bundle::encode((start..end).map(entry).collect::<Vec<_>>()).unwrap()
}

fn decompressed(encoding: &str, body: &Bytes) -> Vec<u8> {
    match encoding {
        "gzip" => {
            let mut plain = Vec::new();
            flate2::read::GzDecoder::new(&body[..]).read_to_end(&mut plain).unwrap();
            plain
        }
        "zstd" => zstd::bulk::decompress(body, 1 << 20).unwrap(),
        other => panic!("{other}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bundles_are_served_in_every_width_up_to_the_signed_tree() {
    let stack = filled(600).await;
    for (path, start, end) in [
        ("000", 0, 256),
        ("001", 256, 512),
        ("002.p/88", 512, 600),
        ("002.p/1", 512, 513),
        ("000.p/5", 0, 5),
        ("000.p/255", 0, 255),
    ] {
        let bundle = stack.get(&format!("/logs/default/tile/entries/{path}"), &[]).await;
        assert_eq!(bundle.status(), 200, "{path}");
        assert_eq!(bundle.headers()["content-type"], "application/octet-stream");
        assert_eq!(bundle.headers()["cache-control"], "public, max-age=31536000, immutable");
        assert_eq!(bundle.body()[..], encoded(start, end), "{path}");
        let width = u16::try_from(end - start).unwrap();
        let entries = merkle::bundle::decode(bundle.body(), width).unwrap();
        assert!(entries.into_iter().eq((start..end).map(entry).collect::<Vec<_>>()));
    }
    for beyond in ["002", "002.p/89", "003.p/1", "x001/000"] {
        let missing = stack.get(&format!("/logs/default/tile/entries/{beyond}"), &[]).await;
        assert_eq!(missing.status(), 404, "{beyond}");
        assert_eq!(missing.headers()["cache-control"], "no-store");
    }
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bundles_are_compressed_only_as_the_caller_accepts() {
    let stack = filled(256).await;
    let plain = encoded(0, 256);
    for (accept, encoding) in [
        (None, None),
        (Some("gzip"), Some("gzip")),
        (Some("zstd"), Some("zstd")),
        (Some("gzip, zstd"), Some("zstd")),
        (Some("gzip;q=1.0, zstd;q=0.5"), Some("gzip")),
        (Some("*"), Some("zstd")),
        (Some("identity"), None),
        (Some("br"), None),
        (Some("gzip;q=0"), None),
        (Some("zstd;q=0.000, gzip;q=0.0"), None),
        (Some("zstd;q=0, *"), Some("gzip")),
        (Some("*;q=0"), None),
    ] {
        // The second answer comes from the cache.
        for _ in 0..2 {
            let headers: Vec<_> =
                accept.iter().map(|accept| ("accept-encoding", *accept)).collect();
            let bundle = stack.get("/logs/default/tile/entries/000", &headers).await;
            assert_eq!(bundle.headers()["vary"], "Accept-Encoding", "{accept:?}");
            let found = bundle.headers().get("content-encoding");
            let found = found.map(|found| found.to_str().unwrap());
            assert_eq!(found, encoding, "{accept:?}");
            match encoding {
                None => assert_eq!(bundle.body()[..], plain),
                Some(encoding) => {
                    assert!(bundle.body().len() < plain.len() / 2);
                    assert_eq!(decompressed(encoding, bundle.body()), plain, "{accept:?}");
                }
            }
        }
    }
    let tile = stack.get("/logs/default/tile/0/000", &[("accept-encoding", "gzip")]).await;
    assert!(!tile.headers().contains_key("content-encoding"), "hashes do not compress");
    stack.stop().await;
}
