//! Ids that the server gives: ULIDs, 48 bits of milliseconds and 80 random ones in 26 characters.

/// Crockford's alphabet: no I, L, O, U.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// The id of a moment and 10 random bytes.
pub(crate) fn ulid(unix_ms: u64, random: [u8; 10]) -> String {
    let mut bits = u128::from(unix_ms & ((1 << 48) - 1)) << 80;
    for (position, byte) in random.into_iter().rev().enumerate() {
        bits |= u128::from(byte) << (8 * position);
    }
    let digit = |position: u32| {
        let five = usize::try_from((bits >> (5 * position)) & 31).unwrap_or(0);
        char::from(ALPHABET[five])
    };
    (0..26).rev().map(digit).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_ordered_by_time_and_of_26_characters() {
        assert_eq!(ulid(1_469_918_176_385, [0xff; 10]), "01ARYZ6S41ZZZZZZZZZZZZZZZZ");
        assert_eq!(ulid(0, [0; 10]), "0".repeat(26));
        let mut last = [0; 10];
        last[9] = 1;
        assert_eq!(ulid(0, last), format!("{}1", "0".repeat(25)));
        assert!(ulid(1, [0; 10]) > ulid(0, [0xff; 10]));
    }
}
