//! What all the formats are made of: lines, decimal numbers, base64. Each accepts one spelling
//! only.

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::as_conversions)]

use alloc::string::String;
use alloc::vec::Vec;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use merkle::Hash;

/// Why a decimal number was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NumberError {
    /// Something other than the digits 0 to 9, or nothing at all.
    #[error("not written in decimal digits alone")]
    NotDecimal,
    /// A second spelling of a shorter number.
    #[error("written with a leading zero")]
    LeadingZero,
    /// More than the format can hold.
    #[error("greater than {max}")]
    TooLarge {
        /// The largest number accepted.
        max: u64,
    },
}

/// Why a base64 field was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Base64Error {
    /// Not the one RFC 4648 section 4 encoding of any bytes: alphabet, padding, or loose last bits.
    #[error("not canonical base64")]
    NotCanonical,
    /// Decodes to another number of bytes than the field has.
    #[error("{found} bytes where {expected} belong")]
    Length {
        /// Bytes the field has.
        expected: usize,
        /// Bytes found.
        found: usize,
    },
}

/// What an editor, or a transfer as text, did to a file. Nothing here reads such a file but
/// [`key::read_vkeys`](crate::key::read_vkeys); the others say what happened to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Conversion {
    /// Its first three bytes are U+FEFF in UTF-8.
    #[error("starts with a byte order mark")]
    ByteOrderMark,
    /// A carriage return stands before the first newline.
    #[error("line ends are CR LF")]
    LineEnds,
}

impl Conversion {
    /// What was done to these bytes, if anything was.
    pub fn of(bytes: &[u8]) -> Option<Self> {
        if bytes.starts_with(BYTE_ORDER_MARK.as_bytes()) {
            return Some(Self::ByteOrderMark);
        }
        let first = bytes.iter().position(|byte| *byte == b'\n')?;
        bytes.get(..first)?.ends_with(b"\r").then_some(Self::LineEnds)
    }
}

/// What some editors put in front of a text.
pub(crate) const BYTE_ORDER_MARK: &str = "\u{feff}";

/// A decimal number without sign, blanks or leading zeros, at most `max`.
pub(crate) fn decimal(text: &str, max: u64) -> Result<u64, NumberError> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(NumberError::NotDecimal);
    }
    if text.len() > 1 && text.starts_with('0') {
        return Err(NumberError::LeadingZero);
    }
    match text.parse::<u64>() {
        Ok(number) if number <= max => Ok(number),
        Ok(_) | Err(_) => Err(NumberError::TooLarge { max }),
    }
}

/// Eight lowercase hexadecimal digits, as key ids are written.
pub(crate) fn hex_u32(text: &str) -> Option<u32> {
    let canonical = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    if text.len() != 8 || !text.bytes().all(canonical) {
        return None;
    }
    u32::from_str_radix(text, 16).ok()
}

/// Any number of bytes; the engine refuses missing padding and loose last bits.
pub(crate) fn base64(text: &str) -> Result<Vec<u8>, Base64Error> {
    STANDARD.decode(text).map_err(|_| Base64Error::NotCanonical)
}

/// One SHA-256 hash: 44 characters.
pub(crate) fn hash(text: &str) -> Result<Hash, Base64Error> {
    // The engine asks for room for whole groups of three bytes; a hash has 32.
    let mut buffer = [0u8; 33];
    base64_into(text, Hash::LEN, &mut buffer)?;
    buffer.first_chunk::<32>().map(|bytes| Hash::from(*bytes)).ok_or(Base64Error::NotCanonical)
}

/// Decodes exactly `expected` bytes into the front of `buffer`. It leaves no copy elsewhere,
/// because they may be a seed.
pub(crate) fn base64_into(
    text: &str,
    expected: usize,
    buffer: &mut [u8],
) -> Result<(), Base64Error> {
    let found = match STANDARD.decode_slice(text, buffer) {
        Ok(found) => found,
        Err(base64::DecodeSliceError::OutputSliceTooSmall) => {
            base64::decoded_len_estimate(text.len())
        }
        Err(base64::DecodeSliceError::DecodeError(_)) => return Err(Base64Error::NotCanonical),
    };
    if found == expected { Ok(()) } else { Err(Base64Error::Length { expected, found }) }
}

/// Appends the base64 of `bytes`.
pub(crate) fn push_base64(bytes: &[u8], out: &mut String) {
    STANDARD.encode_string(bytes, out);
}

/// The base64 of `bytes` in `buffer`, which is exactly as large; for seeds, as above.
pub(crate) fn base64_from<'a>(bytes: &[u8], buffer: &'a mut [u8]) -> &'a str {
    let length = STANDARD.encode_slice(bytes, buffer).expect("the caller gives room for it");
    let encoded = buffer.get(..length).expect("what was written fits");
    core::str::from_utf8(encoded).expect("base64 is ASCII")
}

/// Takes lines from the front of a text. A line is what a newline ends; the newline is not part of
/// it.
#[derive(Debug, Clone)]
pub(crate) struct Lines<'a> {
    rest: &'a str,
}

impl<'a> Lines<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self { rest: text }
    }

    /// The next line, or `None` when no newline is left; what follows the last newline stays in
    /// [`Lines::rest`].
    pub(crate) fn take(&mut self) -> Option<&'a str> {
        let (line, rest) = self.rest.split_once('\n')?;
        self.rest = rest;
        Some(line)
    }

    /// What has not been taken.
    pub(crate) fn rest(&self) -> &'a str {
        self.rest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimal_accepts_one_spelling() {
        assert_eq!(decimal("0", u64::MAX), Ok(0));
        assert_eq!(decimal("10", 10), Ok(10));
        assert_eq!(decimal("18446744073709551615", u64::MAX), Ok(u64::MAX));
        assert_eq!(decimal("11", 10), Err(NumberError::TooLarge { max: 10 }));
        let beyond = decimal("18446744073709551616", u64::MAX);
        assert_eq!(beyond, Err(NumberError::TooLarge { max: u64::MAX }));
        for padded in ["00", "05", "007"] {
            assert_eq!(decimal(padded, 100), Err(NumberError::LeadingZero));
        }
        for other in ["", "+5", "-5", " 5", "5 ", "5\r", "0x5", "5_0", "٣", "5.0"] {
            assert_eq!(decimal(other, 100), Err(NumberError::NotDecimal), "{other:?}");
        }
    }

    #[test]
    fn hex_is_eight_lowercase_digits() {
        assert_eq!(hex_u32("00c0ffee"), Some(0x00c0_ffee));
        for other in ["", "c0ffee", "00C0FFEE", "+0c0ffee", "00c0ffeg", "000c0ffee"] {
            assert_eq!(hex_u32(other), None, "{other:?}");
        }
    }

    #[test]
    fn base64_accepts_one_spelling() {
        assert_eq!(base64("/+8=").unwrap(), [0xff, 0xef]);
        for other in ["/+8", "/+9=", "/+8=\r", " /+8=", "_-8=", "/+8==", "=", "/+8=\n"] {
            assert_eq!(base64(other), Err(Base64Error::NotCanonical), "{other:?}");
        }
    }

    #[test]
    fn hash_is_exactly_32_bytes() {
        let zeros = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
        assert_eq!(hash(zeros), Ok(Hash::from([0; 32])));
        let length = |found| Err(Base64Error::Length { expected: 32, found });
        assert_eq!(hash(""), length(0));
        assert_eq!(hash("AAAA"), length(3));
        assert_eq!(hash(&"A".repeat(44)), length(33));
        assert_eq!(hash(&"A".repeat(400)), length(300));
        assert_eq!(hash(&zeros.replace("A=", "B=")), Err(Base64Error::NotCanonical));
        assert_eq!(hash(&zeros.replace('=', "")), Err(Base64Error::NotCanonical));
    }

    #[test]
    fn conversions_are_told_from_other_bytes() {
        assert_eq!(Conversion::of("\u{feff}a\r\n".as_bytes()), Some(Conversion::ByteOrderMark));
        assert_eq!(Conversion::of(b"a\r\nb\r\n"), Some(Conversion::LineEnds));
        assert_eq!(Conversion::of(b"\r\n"), Some(Conversion::LineEnds));
        for other in ["", "a\n", "a\rb\n", "a\nb\r\n", "a\n\u{feff}", "\n\r", "\r"] {
            assert_eq!(Conversion::of(other.as_bytes()), None, "{other:?}");
        }
    }

    #[test]
    fn lines_end_with_a_newline() {
        let mut lines = Lines::new("one\n\ntwo\nthree");
        assert_eq!(lines.take(), Some("one"));
        assert_eq!(lines.take(), Some(""));
        assert_eq!(lines.take(), Some("two"));
        assert_eq!(lines.take(), None);
        assert_eq!(lines.rest(), "three");
    }
}
