//! Entry bundles of [c2sp.org/tlog-tiles]: up to 256 entries, each after its length as a big-endian
//! `u16`.
//!
//! ```text
//! +--------+-------------+--------+-------------+
//! | length | entry bytes | length | entry bytes | ...
//! +--------+-------------+--------+-------------+
//!   2 bytes                2 bytes
//! ```
//!
//! [c2sp.org/tlog-tiles]: https://github.com/C2SP/C2SP/blob/main/tlog-tiles.md#log-entries

use alloc::vec::Vec;

/// Bytes in the largest entry a bundle can hold.
pub const ENTRY_BYTES_MAX: usize = 65_535;

/// Bytes that are not a bundle, or an entry that fits in none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BundleError {
    /// Longer than its length prefix can say.
    #[error("an entry has at most {ENTRY_BYTES_MAX} bytes, found {found}")]
    EntryTooLong {
        /// How many bytes it has.
        found: usize,
    },
    /// The bytes end inside an entry or its length.
    #[error("the bundle ends inside entry {position}")]
    Truncated {
        /// Which entry, from 0 within the bundle.
        position: u16,
    },
    /// More bytes follow the last entry.
    #[error("{surplus} bytes follow the last of {width} entries")]
    Surplus {
        /// How many entries the bundle should have.
        width: u16,
        /// How many bytes follow them.
        surplus: usize,
    },
}

/// Adds one entry to the end of a bundle. A refused entry leaves the bundle as it was.
pub fn push(bundle: &mut Vec<u8>, entry: &[u8]) -> Result<(), BundleError> {
    let found = entry.len();
    let length = u16::try_from(found).map_err(|_| BundleError::EntryTooLong { found })?;
    bundle.extend_from_slice(&length.to_be_bytes());
    bundle.extend_from_slice(entry);
    Ok(())
}

/// The bundle of these entries, in order.
pub fn encode<E: AsRef<[u8]>>(
    entries: impl IntoIterator<Item = E>,
) -> Result<Vec<u8>, BundleError> {
    let mut bundle = Vec::new();
    entries.into_iter().try_for_each(|entry| push(&mut bundle, entry.as_ref()))?;
    Ok(bundle)
}

/// The entries of a bundle that holds exactly `width` of them, borrowed from its bytes.
pub fn decode(bytes: &[u8], width: u16) -> Result<Vec<&[u8]>, BundleError> {
    let mut rest = bytes;
    let entries = (0..width)
        .map(|position| {
            let entry;
            (entry, rest) = split_entry(rest).ok_or(BundleError::Truncated { position })?;
            Ok(entry)
        })
        .collect::<Result<_, _>>()?;
    if !rest.is_empty() {
        return Err(BundleError::Surplus { width, surplus: rest.len() });
    }
    Ok(entries)
}

fn split_entry(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<2>()?;
    rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))
}
