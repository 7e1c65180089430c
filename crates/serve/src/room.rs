//! Room for bytes of requests that the server holds in memory at a time.
//!
//! Each body and each message has a limit, but there may be a thousand of them; and some kilobytes may
//! decompress to a message as long as the longest. So all of them together have a bound as well.

use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};

use crate::refusal::{Kind, Refusal};

/// Bytes of all bodies and decompressed messages of the process, in KiB.
static KIB: Semaphore = Semaphore::const_new(KIB_MAX);
const KIB_MAX: usize = 256 * 1024;

/// When a caller may try again that found no room.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Room that is held until it is dropped.
#[derive(Debug)]
pub struct Room {
    permits: SemaphorePermit<'static>,
}

/// All room is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("server holds as many bytes of requests as it takes")]
pub struct NoRoom;

impl From<NoRoom> for Refusal {
    fn from(no_room: NoRoom) -> Self {
        Self::new(Kind::Exhausted, "OVERLOADED").retry(RETRY_AFTER).says(no_room.to_string())
    }
}

impl Room {
    /// Room for so many bytes, at once or not at all.
    pub fn take(bytes: usize) -> Result<Self, NoRoom> {
        let permits = u32::try_from(kib(bytes)).map_err(|_| NoRoom)?;
        KIB.try_acquire_many(permits).map(|permits| Self { permits }).map_err(|_| NoRoom)
    }

    /// Holds room for so many bytes in all from here on.
    pub fn hold(&mut self, bytes: usize) -> Result<(), NoRoom> {
        let (held, wanted) = (self.permits.num_permits(), kib(bytes));
        if wanted > held {
            let more = Self::take((wanted - held).saturating_mul(1024))?;
            self.permits.merge(more.permits);
        } else {
            drop(self.permits.split(held - wanted));
        }
        Ok(())
    }
}

/// What is larger than all the room counts as all of it.
fn kib(bytes: usize) -> usize {
    bytes.div_ceil(1024).min(KIB_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_grows_and_shrinks_and_comes_back() {
        let mut room = Room::take(1_500).unwrap();
        assert_eq!(room.permits.num_permits(), 2);
        room.hold(10 * 1024).unwrap();
        assert_eq!(room.permits.num_permits(), 10);
        room.hold(1).unwrap();
        assert_eq!(room.permits.num_permits(), 1);
        assert!(Room::take(usize::MAX).is_err(), "all the room is not there while some is held");
    }
}
