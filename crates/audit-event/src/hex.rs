//! Lower-case hexadecimal digits.

use std::fmt::Write as _;

/// The digits of bytes.
pub(crate) fn encode(bytes: &[u8]) -> String {
    let mut digits = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        write!(digits, "{byte:02x}").expect("writing to a string cannot fail");
    }
    digits
}

/// 32 bytes from 64 lower-case digits.
pub(crate) fn decode_32(digits: &str) -> Option<[u8; 32]> {
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    if digits.len() != 64 || !digits.bytes().all(is_digit) {
        return None;
    }
    let mut bytes = [0; 32];
    for (byte, at) in bytes.iter_mut().zip((0..64).step_by(2)) {
        *byte = u8::from_str_radix(&digits[at..at + 2], 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_come_back() {
        let bytes: [u8; 32] = std::array::from_fn(|at| u8::try_from(at * 7).unwrap());
        let digits = encode(&bytes);
        assert_eq!(decode_32(&digits), Some(bytes));
        for other in ["", &digits[1..], &digits.to_uppercase(), &format!("+{}", &digits[1..])] {
            assert_eq!(decode_32(other), None, "{other}");
        }
    }
}
