//! The time in an entry of an audit log.
//!
//! ```text
//! 4 bytes ‖ time_ns u64, big-endian ‖ the rest
//! ```
//!
//! The time is nanoseconds since the Unix epoch. A log gives it together with the index, and knows
//! nothing else of such an entry.

use std::ops::Range;

/// Where the time lies.
const PLACE: Range<usize> = 4..12;

/// The time in an entry, `None` if the entry is too short for one.
pub fn time_ns(entry: &[u8]) -> Option<u64> {
    let bytes = entry.get(PLACE)?.try_into().ok()?;
    Some(u64::from_be_bytes(bytes))
}

/// The entry with this time, `None` if it is too short for one.
pub fn with_time_ns(entry: &[u8], time_ns: u64) -> Option<Vec<u8>> {
    let mut entry = entry.to_vec();
    entry.get_mut(PLACE)?.copy_from_slice(&time_ns.to_be_bytes());
    Some(entry)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_lies_at_offset_4_and_nothing_else_changes() {
        let entry: Vec<u8> = (0..13).collect();
        assert_eq!(time_ns(&entry), Some(0x0405_0607_0809_0a0b));
        let stamped = with_time_ns(&entry, 0x2122_2324_2526_2728).unwrap();
        let wanted = [0, 1, 2, 3, 0x21, 0x22, 0x23, 0x24, 0x25, 0x26, 0x27, 0x28, 12];
        assert_eq!(stamped, wanted);
        assert_eq!(time_ns(&stamped), Some(0x2122_2324_2526_2728));
    }

    #[test]
    fn twelve_bytes_hold_a_time_and_eleven_do_not() {
        assert_eq!((time_ns(&[0; 12]), time_ns(&[0; 11])), (Some(0), None));
        assert_eq!(with_time_ns(&[0; 12], 0), Some(vec![0; 12]));
        assert_eq!(with_time_ns(&[0; 11], 0), None);
    }
}
