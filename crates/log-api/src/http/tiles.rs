//! The read API of c2sp.org/tlog-tiles: the published checkpoint, tiles and entry bundles up to the
//! newest signed head. A tile of any width up to that of the signed tree is served, because it is a
//! prefix of each wider one.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use merkle::tile::{BundlePath, TilePath};
use serve::body::{Body, full, plain};
use serve::refusal::Kind;

use super::encoding::{Encoder, Encoding, Key};
use super::not_found;
use crate::logs::Logs;
use crate::refusal::IntoRefusal as _;
use log_core::read::{ReadError, Reads, Snapshot};

const IMMUTABLE: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");
const OCTETS: HeaderValue = HeaderValue::from_static("application/octet-stream");
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");

pub(super) fn checkpoint(logs: &Logs, log: &str) -> Response<Body> {
    let Ok(log) = logs.named(log) else { return not_found() };
    let published = log.published();
    if published.note.is_empty() {
        return not_found();
    }
    let mut response = Response::new(full(published.note.clone()));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, TEXT);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

pub(super) async fn tile(logs: &Logs, log: &str, path: TilePath) -> Response<Body> {
    let Some((_, snapshot)) = signed(logs, log) else { return not_found() };
    let read = move |tree: &Snapshot, access| tree.tile(&path, access);
    match Reads::run(&snapshot, read).await {
        Ok(Some(bytes)) => immutable(bytes.into()),
        Ok(None) => not_found(),
        Err(error) => failed(error),
    }
}

pub(super) async fn bundle(
    logs: &Logs,
    encoder: &Encoder,
    log: &str,
    path: BundlePath,
    headers: &HeaderMap,
) -> Response<Body> {
    let Some((id, snapshot)) = signed(logs, log) else { return not_found() };
    let encoding = Encoding::accepted(headers);
    let key = Key { log: id, index: path.index(), width: path.width(), encoding };
    if let Some(bytes) = encoder.kept(&key) {
        return encoded(bytes, encoding);
    }
    let read = move |tree: &Snapshot, access| tree.bundle(&path, access);
    match Reads::run(&snapshot, read).await {
        Ok(Some(bytes)) => {
            let (bytes, encoding) = encoder.encode(key, bytes.into()).await;
            encoded(bytes, encoding)
        }
        Ok(None) => not_found(),
        Err(error) => failed(error),
    }
}

fn signed(logs: &Logs, log: &str) -> Option<(storage::LogId, std::sync::Arc<Snapshot>)> {
    let log = logs.named(log).ok()?;
    let snapshot = logs.reads().signed(log.id(), &log.signed());
    let snapshot = snapshot.inspect_err(|error| {
        tracing::error!(%error, log = %log.name(), "the right edge does not match the signed head");
    });
    Some((log.id(), snapshot.ok()?))
}

fn immutable(bytes: Bytes) -> Response<Body> {
    let mut response = Response::new(full(bytes));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, OCTETS);
    headers.insert(header::CACHE_CONTROL, IMMUTABLE);
    response
}

fn encoded(bytes: Bytes, encoding: Encoding) -> Response<Body> {
    let mut response = immutable(bytes);
    let headers = response.headers_mut();
    headers.insert(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    if let Some(name) = encoding.name() {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(name));
    }
    response
}

fn failed(error: ReadError) -> Response<Body> {
    let refusal = error.into_refusal();
    match refusal.kind {
        Kind::OutOfRange => not_found(),
        _ => plain(StatusCode::INTERNAL_SERVER_ERROR, &refusal.message),
    }
}
