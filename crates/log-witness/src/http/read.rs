//! What monitors and everybody else read. The store is asked on threads that may wait for the disk.

use formats::OriginHash;
use http::{HeaderValue, Response, StatusCode, header};
use serve::body::{Body, full, plain};

use crate::store::StoreError;
use crate::witness::Witness;

/// The last checkpoint of a log, byte for byte as it was stored with the lines last returned.
pub(super) async fn checkpoint(witness: &Witness, hash: OriginHash) -> Response<Body> {
    let found = look_up(witness, hash, |store, origin| {
        Ok(store.checkpoint(origin)?.map(|stored| stored.note))
    });
    answer(found.await, "this witness never cosigned that log")
}

/// The evidence against a log.
pub(super) async fn evidence(witness: &Witness, hash: OriginHash) -> Response<Body> {
    let found =
        look_up(witness, hash, |store, origin| Ok(store.trust(origin)?.map(|row| row.evidence)));
    answer(found.await, "there is no evidence against that log")
}

async fn look_up(
    witness: &Witness,
    hash: OriginHash,
    read: impl FnOnce(&crate::store::Store, &formats::Origin) -> Result<Option<Vec<u8>>, StoreError>
    + Send
    + 'static,
) -> Result<Option<Vec<u8>>, StoreError> {
    let Some(origin) = witness.public().origin(&hash) else { return Ok(None) };
    let store = std::sync::Arc::clone(witness.store());
    base::tasks::blocking(move || read(&store, &origin)).await
}

fn answer(found: Result<Option<Vec<u8>>, StoreError>, absent: &str) -> Response<Body> {
    match found {
        Ok(Some(bytes)) => {
            let mut response = Response::new(full(bytes));
            let headers = response.headers_mut();
            let text = HeaderValue::from_static("text/plain; charset=utf-8");
            headers.insert(header::CONTENT_TYPE, text);
            headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
            response
        }
        Ok(None) => plain(StatusCode::NOT_FOUND, absent),
        Err(error) => {
            tracing::error!(%error, "a stored row cannot be read: run cairn-witness fsck");
            plain(StatusCode::INTERNAL_SERVER_ERROR, "internal error")
        }
    }
}
