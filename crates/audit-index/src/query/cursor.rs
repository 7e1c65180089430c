//! Where a page ended.

use merkle::LeafIndex;

/// The form of cursors, so that a later one is told apart.
const VERSION: u8 = 1;
/// Bytes of a cursor: version, time of receipt, index, fingerprint of the query.
const BYTES: usize = 25;

/// The order key of the last event of a page, in full. Time and index never change, so pages neither
/// repeat nor leave out an event while others arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    /// When the event was received, in nanoseconds since the Unix epoch.
    pub received_at_ns: u64,
    /// Where it stands.
    pub index: LeafIndex,
}

/// A text that is not a cursor of the query.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a cursor of this search")]
pub struct CursorError;

impl Cursor {
    /// The text that stands for it, in hexadecimal digits.
    pub(super) fn write(self, fingerprint: u64) -> String {
        let numbers = [self.received_at_ns, self.index.get(), fingerprint];
        let digits = numbers.map(|number| format!("{number:016x}")).concat();
        format!("{VERSION:02x}{digits}")
    }

    /// Reads what [`Self::write`] wrote for the same query.
    pub(super) fn parse(text: &str, fingerprint: u64) -> Result<Self, CursorError> {
        let is_lower_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if text.len() != 2 * BYTES || !text.bytes().all(is_lower_hex) {
            return Err(CursorError);
        }
        let number = |at: usize| u64::from_str_radix(&text[at..at + 16], 16);
        let version = u8::from_str_radix(&text[..2], 16).map_err(|_| CursorError)?;
        let numbers = [number(2), number(18), number(34)];
        let [Ok(received_at_ns), Ok(index), Ok(found)] = numbers else { return Err(CursorError) };
        let index = LeafIndex::new(index).map_err(|_| CursorError)?;
        if version != VERSION || found != fingerprint {
            return Err(CursorError);
        }
        Ok(Self { received_at_ns, index })
    }
}
