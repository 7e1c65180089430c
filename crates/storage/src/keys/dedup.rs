//! The row of a deduplication key.

use super::super::{ContentDigest, Corrupt, DedupRow, Family, RowFault};
use super::fields::{Fields, seal};
use super::{ROW_VERSION, corrupt};

/// The version byte of a row with a digest.
const DIGEST_VERSION: u8 = 2;
/// The version byte of a row of an audit log: with a time, and until an erasure with a digest.
const EVENT_VERSION: u8 = 3;

/// A deduplication row's value. A row with neither digest nor time needs no checksum, because its
/// entry says the same.
pub fn encode_dedup(key: &[u8], row: &DedupRow) -> Vec<u8> {
    let version = match (row.time_ns, row.digest) {
        (Some(_), _) => EVENT_VERSION,
        (None, Some(_)) => DIGEST_VERSION,
        (None, None) => ROW_VERSION,
    };
    let mut value = Vec::with_capacity(85);
    value.push(version);
    value.extend_from_slice(&row.index.get().to_be_bytes());
    value.extend_from_slice(row.leaf.as_bytes());
    if let Some(time_ns) = row.time_ns {
        value.extend_from_slice(&time_ns.to_be_bytes());
    }
    if let Some(ContentDigest(digest)) = &row.digest {
        value.extend_from_slice(digest);
    }
    if version != ROW_VERSION {
        seal(key, &mut value);
    }
    value
}

/// Reads a deduplication row.
pub fn decode_dedup(key: &[u8], value: &[u8]) -> Result<DedupRow, Corrupt> {
    let version = value.first().copied();
    let mut rest = match version {
        Some(DIGEST_VERSION | EVENT_VERSION) => Fields::sealed(Family::Index, key, value)?,
        Some(ROW_VERSION) | None => Fields::new(Family::Index, key, value),
        Some(found) => return Err(corrupt(Family::Index, key, RowFault::Version { found })),
    };
    rest.byte()?;
    let index = rest.leaf_index("index")?;
    let leaf = rest.hash()?;
    let time_ns = if version == Some(EVENT_VERSION) { Some(rest.u64()?) } else { None };
    let may_have_digest = version != Some(ROW_VERSION);
    let must_have_digest = version == Some(DIGEST_VERSION);
    let has_digest = must_have_digest || (may_have_digest && !rest.rest.is_empty());
    let digest = if has_digest { Some(ContentDigest(rest.array()?)) } else { None };
    rest.end()?;
    Ok(DedupRow { index, leaf, time_ns, digest })
}
