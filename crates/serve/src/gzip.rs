//! What was compressed with gzip, opened within a bound.

use std::io::Read as _;

use flate2::bufread::MultiGzDecoder;

use crate::room::{NoRoom, Room};

/// Why compressed bytes were not opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotOpened {
    /// They are not gzip, end before their end, or have a wrong checksum.
    #[error("not gzip")]
    NotGzip,
    /// They open to more than the limit.
    #[error("more than {bytes_max} bytes decompressed")]
    TooLarge {
        /// The limit.
        bytes_max: usize,
    },
    /// The server holds as much as it takes.
    #[error(transparent)]
    NoRoom(#[from] NoRoom),
}

/// All members of a gzip file, and the room that the opened bytes take. Never makes more than one byte
/// above the limit.
pub fn open(content: &[u8], bytes_max: usize) -> Result<(Vec<u8>, Room), NotOpened> {
    let mut room = Room::take(bytes_max)?;
    let limit = u64::try_from(bytes_max).unwrap_or(u64::MAX).saturating_add(1);
    let mut opened = Vec::new();
    let read = MultiGzDecoder::new(content).take(limit).read_to_end(&mut opened);
    read.map_err(|_| NotOpened::NotGzip)?;
    if opened.len() > bytes_max {
        return Err(NotOpened::TooLarge { bytes_max });
    }
    room.hold(opened.len())?;
    Ok((opened, room))
}
