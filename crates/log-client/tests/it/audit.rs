//! Audits of a folder and over HTTP: what holds, what does not, and what is resumed.

use std::{fs, num::NonZeroUsize, path::Path};

use bytes::Bytes;
use formats::Contradiction;
use log_client::{
    audit::{AuditError, AuditOptions, AuditState, Audited, Auditor},
    tiles::{DirSource, HttpSource, Source},
};
use merkle::{
    Frontier, TreeSize, bundle,
    tile::{self, BundlePath, TilePath},
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::fake::{leaves, note, numbered, shown, size, trust};

/// Writes a log as its server would publish it: the tiles of this size, and the checkpoint.
fn publish(dir: &Path, entries: &[Bytes]) {
    let hashes = leaves(entries);
    let mut frontier = Frontier::new();
    let full = frontier.append(&hashes);
    let end = frontier.size();
    let partial = tile::partial_tiles(end)
        .map(|(coord, width)| (coord, width, frontier.partial(coord.level).to_vec()));
    let tiles = full.into_iter().map(|(coord, row)| (coord, 256, row.to_vec())).chain(partial);
    for (coord, width, row) in tiles {
        put(dir, &TilePath::new(coord, width).unwrap().to_string(), &tile::encode(&row));
        if coord.level == 0 {
            let start = usize::try_from(coord.index).unwrap() * 256;
            let some = &entries[start..start + row.len()];
            let path = BundlePath::new(coord.index, width).unwrap();
            put(dir, &path.to_string(), &bundle::encode(some).unwrap());
        }
    }
    put(dir, "checkpoint", &note(&hashes));
}

fn put(dir: &Path, path: &str, bytes: &[u8]) {
    let path = dir.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

async fn audit(source: impl Source, resume: Option<&AuditState>) -> Result<Audited, AuditError> {
    let options = AuditOptions {
        bundles_per_chunk: NonZeroUsize::new(3).unwrap(),
        ..AuditOptions::default()
    };
    Auditor::new(source, trust(), options).run(resume, |_| ()).await
}

async fn audit_dir(dir: &Path, resume: Option<&AuditState>) -> Result<Audited, AuditError> {
    audit(DirSource::new(dir), resume).await
}

#[tokio::test]
async fn logs_of_all_shapes_pass() {
    for count in [0, 1, 255, 256, 257, 1000, 65_536, 66_000] {
        let folder = tempfile::tempdir().unwrap();
        publish(folder.path(), &numbered(0..count));
        let audited = audit_dir(folder.path(), None).await.unwrap();
        assert_eq!((audited.entries, audited.checkpoint.size()), (count, size(count)));
    }
}

#[tokio::test]
async fn a_changed_byte_anywhere_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    publish(dir, &numbered(0..600));
    for file in [
        "tile/entries/001",
        "tile/entries/002.p/88",
        "tile/0/000",
        "tile/0/002.p/88",
        "tile/1/000.p/2",
        "checkpoint",
    ] {
        let path = dir.join(file);
        let good = fs::read(&path).unwrap();
        for position in [0, good.len() / 2, good.len() - 2] {
            let mut bad = good.clone();
            bad[position] ^= 1;
            fs::write(&path, &bad).unwrap();
            let error = audit_dir(dir, None).await.expect_err(file);
            assert!(error.is_finding(), "{file}: {error}");
        }
        for bad in [&good[..good.len() - 1], &[&good[..], b"\0"].concat()] {
            fs::write(&path, bad).unwrap();
            assert!(audit_dir(dir, None).await.expect_err(file).is_finding());
        }
        fs::write(&path, &good).unwrap();
    }
    audit_dir(dir, None).await.unwrap();
}

#[tokio::test]
async fn stored_hashes_that_agree_with_each_other_do_not_hide_a_changed_entry() {
    let folder = tempfile::tempdir().unwrap();
    let honest = numbered(0..300);
    let mut changed = honest.clone();
    changed[7] = Bytes::from_static(b"edited");
    // All tiles and bundles of the changed log, under the checkpoint of the honest one.
    publish(folder.path(), &changed);
    put(folder.path(), "checkpoint", &note(&leaves(&honest)));
    let error = audit_dir(folder.path(), None).await.unwrap_err();
    assert!(matches!(error, AuditError::Root { .. }), "{error}");
}

#[tokio::test]
async fn an_audit_goes_on_where_it_ended() {
    for (before, after) in [(0, 10), (100, 100), (100, 257), (256, 600), (300, 70_000)] {
        let folder = tempfile::tempdir().unwrap();
        publish(folder.path(), &numbered(0..before));
        let first = audit_dir(folder.path(), None).await.unwrap();
        let state = AuditState::parse(&first.state.format()).unwrap();
        assert_eq!(state, first.state);
        publish(folder.path(), &numbered(0..after));
        let second = audit_dir(folder.path(), Some(&state)).await.unwrap();
        assert_eq!(second.entries, after - before);
        assert_eq!(second.state.size(), size(after));
    }
}

#[tokio::test]
async fn an_interrupted_audit_goes_on_and_still_checks_the_checkpoint_it_had_seen() {
    let folder = tempfile::tempdir().unwrap();
    publish(folder.path(), &numbered(0..2000));
    let options = AuditOptions { bundles_per_chunk: NonZeroUsize::MIN, ..AuditOptions::default() };
    let mut states = Vec::new();
    Auditor::new(DirSource::new(folder.path()), trust(), options)
        .run(None, |progress| states.push(progress.state()))
        .await
        .unwrap();
    let half = states.swap_remove(3);
    assert_eq!(half.size(), size(1024));
    publish(folder.path(), &numbered(0..3000));
    audit_dir(folder.path(), Some(&half)).await.unwrap();
    // The same start, and then another history than the checkpoint of size 2,000 was signed for.
    let forked = [numbered(0..1500), numbered(5000..6500)].concat();
    publish(folder.path(), &forked);
    let Err(AuditError::Fork(fork)) = audit_dir(folder.path(), Some(&half)).await else {
        panic!("two histories");
    };
    assert_eq!(shown(&fork), Contradiction::NotContinued);
}

#[tokio::test]
async fn a_fork_and_a_shrunken_log_are_refused_when_resumed() {
    let folder = tempfile::tempdir().unwrap();
    publish(folder.path(), &numbered(0..300));
    let state = audit_dir(folder.path(), None).await.unwrap().state;
    publish(folder.path(), &numbered(0..299));
    let shrunk = audit_dir(folder.path(), Some(&state)).await.unwrap_err();
    assert!(matches!(shrunk, AuditError::Shrunk { .. }));
    for (count, same_size) in [(300, true), (301, false), (900, false)] {
        publish(folder.path(), &numbered(7..7 + count));
        let Err(AuditError::Fork(fork)) = audit_dir(folder.path(), Some(&state)).await else {
            panic!("two histories");
        };
        assert_eq!(shown(&fork) == Contradiction::TwoRoots, same_size);
    }
}

#[tokio::test]
async fn a_changed_state_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    publish(folder.path(), &numbered(0..300));
    let good = audit_dir(folder.path(), None).await.unwrap().state.format();
    publish(folder.path(), &numbered(0..310));
    for position in 0..good.len() {
        let mut bad = good.clone();
        bad[position] ^= 1;
        let Ok(state) = AuditState::parse(&bad) else { continue };
        let error = audit_dir(folder.path(), Some(&state)).await.unwrap_err();
        assert!(matches!(error, AuditError::State(_)), "byte {position}: {error}");
    }
    let state = AuditState::parse(&good).unwrap();
    audit_dir(folder.path(), Some(&state)).await.unwrap();
}

type Encode = fn(&[u8]) -> Vec<u8>;

/// Serves a folder over HTTP/1.1, one answer a connection, as it is or compressed. What is asked under
/// `/moved/` is sent to where the folder is.
async fn serve(dir: &Path, encoding: Option<Encode>) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/logs/x", listener.local_addr().unwrap());
    let dir = dir.to_owned();
    tokio::spawn(async move {
        while let Ok((mut connection, _)) = listener.accept().await {
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                request.push(connection.read_u8().await.unwrap());
            }
            let request = String::from_utf8(request).unwrap();
            let path = request.split(' ').nth(1).unwrap();
            if let Some(path) = path.strip_prefix("/moved/") {
                let head = format!(
                    "HTTP/1.1 301 Moved Permanently\r\nlocation: /logs/x/{path}\r\n\
                     content-length: 0\r\nconnection: close\r\n\r\n"
                );
                connection.write_all(head.as_bytes()).await.unwrap();
                continue;
            }
            let path = path.strip_prefix("/logs/x/").unwrap();
            let (status, body) = match fs::read(dir.join(path)) {
                Ok(body) => match encoding {
                    Some(encode) => ("200 OK\r\ncontent-encoding: gzip", encode(&body)),
                    None => ("200 OK", body),
                },
                Err(_) => ("404 Not Found", Vec::new()),
            };
            let head = format!(
                "HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                body.len()
            );
            connection.write_all(&[head.as_bytes(), &body].concat()).await.unwrap();
        }
    });
    url
}

#[tokio::test]
async fn a_log_over_http_passes_with_and_without_its_last_slash_and_with_partial_tiles_gone() {
    let folder = tempfile::tempdir().unwrap();
    publish(folder.path(), &numbered(0..300));
    let url = serve(folder.path(), None).await;
    for url in [url.clone(), format!("{url}/")] {
        audit(HttpSource::new(&url).unwrap(), None).await.unwrap();
    }
    // The tiles of a larger tree, and of the partial ones only what the checkpoint is of.
    let old = fs::read(folder.path().join("checkpoint")).unwrap();
    publish(folder.path(), &numbered(0..600));
    put(folder.path(), "checkpoint", &old);
    for gone in ["tile/0/001.p", "tile/entries/001.p"] {
        fs::remove_dir_all(folder.path().join(gone)).unwrap();
    }
    let audited = audit(HttpSource::new(&url).unwrap(), None).await.unwrap();
    assert_eq!(audited.checkpoint.size(), TreeSize::new(300).unwrap());
    fs::remove_file(folder.path().join("tile/entries/000")).unwrap();
    let error = audit(HttpSource::new(&url).unwrap(), None).await.unwrap_err();
    assert_eq!(error.to_string(), "tile/entries/000 is not there");
    for url in ["http://log.example", "https://log.example:1/logs/a/"] {
        HttpSource::check(url).unwrap();
    }
    for url in ["ftp://a", "log.example", "https://", "http://a/?b", "http://a/#b", "https://b@a/"]
    {
        assert!(HttpSource::check(url).is_err(), "{url}");
    }
}

/// Answers every request by sending it on: `/x/PATH` to the answer of `target` for `PATH`.
async fn redirector(target: impl Fn(&str) -> String + Send + 'static) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut connection, _)) = listener.accept().await {
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                request.push(connection.read_u8().await.unwrap());
            }
            let request = String::from_utf8(request).unwrap();
            let location = target(request.split(' ').nth(1).unwrap());
            let head = format!(
                "HTTP/1.1 302 Found\r\nlocation: {location}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
            );
            connection.write_all(head.as_bytes()).await.unwrap();
        }
    });
    url
}

async fn refused(url: &str) -> String {
    let error = audit(HttpSource::new(url).unwrap(), None).await.unwrap_err();
    assert!(!error.is_finding(), "{error}");
    let AuditError::Source(source) = error else { panic!("{error}") };
    format!("{source}: {}", std::error::Error::source(&source).unwrap())
}

#[tokio::test]
async fn a_redirect_out_of_the_origin_or_a_second_one_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    publish(folder.path(), &numbered(0..300));
    let elsewhere = serve(folder.path(), None).await;
    let to = elsewhere.clone();
    let out = redirector(move |path| format!("{to}{path}")).await;
    assert_eq!(
        refused(&out).await,
        format!(
            "checkpoint cannot be fetched: the server redirects to \"{elsewhere}/checkpoint\", \
             which is outside {out}"
        )
    );
    let round = redirector(|path| format!("/again{path}")).await;
    assert_eq!(
        refused(&round).await,
        "checkpoint cannot be fetched: the server redirects a second time, to \"/again/again/checkpoint\""
    );
}

#[tokio::test]
async fn one_redirect_within_the_origin_is_followed() {
    let folder = tempfile::tempdir().unwrap();
    publish(folder.path(), &numbered(0..300));
    let url = serve(folder.path(), None).await;
    let old = url.replace("/logs/x", "/moved");
    for url in [old.clone(), format!("{old}/")] {
        let audited = audit(HttpSource::new(&url).unwrap(), None).await.unwrap();
        assert_eq!(audited.entries, 300);
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut encoder, bytes).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test]
async fn compressed_answers_are_unfolded_and_held_to_the_same_limits() {
    let folder = tempfile::tempdir().unwrap();
    publish(folder.path(), &numbered(0..300));
    let source = |url: String| HttpSource::new(&url).unwrap();
    audit(source(serve(folder.path(), Some(gzip)).await), None).await.unwrap();
    // A few bytes that unfold to far more than a checkpoint or a tile can have.
    let bomb = serve(folder.path(), Some(|_| gzip(&vec![b'x'; 1 << 20]))).await;
    let error = audit(source(bomb), None).await.unwrap_err();
    assert_eq!(error.to_string(), "checkpoint has 131073 bytes, where 1 to 131072 are possible");
    let garbage = serve(folder.path(), Some(|_| b"no gzip".to_vec())).await;
    let error = audit(source(garbage), None).await.unwrap_err();
    assert_eq!(error.to_string(), "checkpoint cannot be read");
}
