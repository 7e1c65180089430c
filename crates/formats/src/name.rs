//! Names: of keys, and of logs.

use alloc::string::String;
use alloc::sync::Arc;
use core::fmt;
use core::str::FromStr;

use sha2::{Digest as _, Sha256};

/// Bytes a name may have. ML-DSA cosignatures carry names behind a one-byte length.
pub const NAME_BYTES_MAX: usize = 255;

/// Why a name was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing at all.
    #[error("a name is empty")]
    Empty,
    /// More than [`NAME_BYTES_MAX`] bytes.
    #[error("a name of {bytes} bytes exceeds {NAME_BYTES_MAX}")]
    TooLong {
        /// Bytes found.
        bytes: usize,
    },
    /// A character the format forbids in this name.
    #[error("a name holds the character {character:?}")]
    Character {
        /// The first such character.
        character: char,
    },
}

/// The name of a key: non-empty, without Unicode spaces, `+` and control characters, at most 255
/// bytes (<https://c2sp.org/signed-note@v1.0.0#format>). Cloning is cheap.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyName(Arc<str>);

impl KeyName {
    /// Checks a name.
    pub fn new(name: &str) -> Result<Self, NameError> {
        check(name, is_key_name_character)?;
        Ok(Self(name.into()))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The first line of a log's checkpoints: the log's identity. Non-empty, one line, at most 255
/// bytes. Logs of others may have spaces in it, so it is looser than a [`KeyName`]; our own logs
/// take their origin from their key's name. Cloning is cheap.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Origin(Arc<str>);

impl Origin {
    /// Checks an origin.
    pub fn new(origin: &str) -> Result<Self, NameError> {
        check(origin, |character| !is_control(character))?;
        Ok(Self(origin.into()))
    }

    /// The origin as text, without a newline.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What stands for the origin where its text does not fit.
    pub fn sha256(&self) -> OriginHash {
        OriginHash::of(&self.0)
    }

    /// The same text as the name of a key, where it can be one.
    pub fn key_name(&self) -> Result<KeyName, NameError> {
        KeyName::new(&self.0)
    }
}

impl From<KeyName> for Origin {
    fn from(name: KeyName) -> Self {
        Self(name.0)
    }
}

/// SHA-256 of an origin, without a newline: the name of a log in the paths of a witness, in gossip and in
/// the head journal. As text 64 lowercase hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OriginHash([u8; 32]);

/// A text or a row of bytes is not the hash of an origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an origin's hash has 32 bytes, as text 64 lowercase hexadecimal digits")]
pub struct OriginHashError;

impl OriginHash {
    /// The hash of an origin's text.
    pub fn of(origin: &str) -> Self {
        Self(Sha256::digest(origin).into())
    }

    /// The 32 bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl TryFrom<&[u8]> for OriginHash {
    type Error = OriginHashError;

    fn try_from(bytes: &[u8]) -> Result<Self, OriginHashError> {
        bytes.try_into().map(Self).map_err(|_| OriginHashError)
    }
}

impl FromStr for OriginHash {
    type Err = OriginHashError;

    fn from_str(hex: &str) -> Result<Self, OriginHashError> {
        let digit = |byte: u8| match byte {
            b'0'..=b'9' => Ok(byte - b'0'),
            b'a'..=b'f' => Ok(byte - b'a' + 10),
            _ => Err(OriginHashError),
        };
        let (pairs, []) = hex.as_bytes().as_chunks::<2>() else { return Err(OriginHashError) };
        let pairs: &[[u8; 2]; 32] = pairs.try_into().map_err(|_| OriginHashError)?;
        let mut hash = [0; 32];
        for (byte, [high, low]) in hash.iter_mut().zip(pairs) {
            *byte = digit(*high)? << 4 | digit(*low)?;
        }
        Ok(Self(hash))
    }
}

impl fmt::Display for OriginHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for OriginHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Bytes of a host's name that are kept in a name made from it: room for what comes behind it.
const HOST_BYTES_MAX: usize = 128;

/// The part of a name that says on which host it was made. What names may not hold becomes `-`, and
/// so does `/`, which separates the parts: a machine may be called anything.
pub fn host_part(hostname: &str) -> String {
    let mut part = String::new();
    for character in hostname.trim().chars() {
        if part.len() + character.len_utf8() > HOST_BYTES_MAX {
            break;
        }
        let taken = is_key_name_character(character)
            && !character.is_control()
            && !matches!(character, '/' | char::REPLACEMENT_CHARACTER);
        part.push(if taken { character } else { '-' });
    }
    if part.is_empty() { "host".into() } else { part }
}

/// Whether a signature line may carry this name. The limit of [`KeyName`] does not apply: a longer
/// name belongs to no key that we know, and the line of an unknown key is ignored, not refused.
pub(crate) fn is_key_name(name: &str) -> bool {
    !name.is_empty() && name.chars().all(is_key_name_character)
}

fn check(name: &str, allowed: impl Fn(char) -> bool) -> Result<(), NameError> {
    if name.is_empty() {
        return Err(NameError::Empty);
    }
    if name.len() > NAME_BYTES_MAX {
        return Err(NameError::TooLong { bytes: name.len() });
    }
    match name.chars().find(|&character| !allowed(character)) {
        Some(character) => Err(NameError::Character { character }),
        None => Ok(()),
    }
}

fn is_key_name_character(character: char) -> bool {
    !character.is_whitespace() && character != '+' && !is_control(character)
}

/// The control characters that signed notes forbid: those below U+0020.
fn is_control(character: char) -> bool {
    character < ' '
}

macro_rules! text_impls {
    ($name:ident) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&*self.0, f)
            }
        }

        impl FromStr for $name {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                Self::new(text)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl PartialEq<str> for $name {
            fn eq(&self, other: &str) -> bool {
                &*self.0 == other
            }
        }
    };
}

text_impls!(KeyName);
text_impls!(Origin);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_name_is_one_word_without_plus() {
        for good in ["a", "example.com/log", "é.example", &"x".repeat(255)] {
            assert!(KeyName::new(good).is_ok(), "{good}");
            assert!(is_key_name(good));
        }
        for (bad, character) in [
            ("a b", ' '),
            ("a+b", '+'),
            ("a\u{a0}b", '\u{a0}'),
            ("a\u{2003}b", '\u{2003}'),
            ("a\u{85}b", '\u{85}'),
            ("a\n", '\n'),
            ("a\0", '\0'),
        ] {
            assert_eq!(KeyName::new(bad), Err(NameError::Character { character }));
            assert!(!is_key_name(bad));
        }
        assert_eq!(KeyName::new(""), Err(NameError::Empty));
        let long = "x".repeat(256);
        assert_eq!(KeyName::new(&long), Err(NameError::TooLong { bytes: 256 }));
        assert!(is_key_name(&long), "a longer name is unknown, not malformed");
    }

    #[test]
    fn any_host_has_a_part_in_a_name() {
        for (hostname, part) in [
            ("log.example.com", "log.example.com"),
            ("Anna's laptop", "Anna's-laptop"),
            ("c++ box", "c---box"),
            (" a\tb\n", "a-b"),
            ("a/b", "a-b"),
            ("b\u{fffd}ro", "b-ro"),
            ("büro", "büro"),
            ("a\u{7f}b\u{85}c", "a-b-c"),
            ("", "host"),
            ("  ", "host"),
        ] {
            assert_eq!(host_part(hostname), part, "{hostname:?}");
            assert!(KeyName::new(&host_part(hostname)).is_ok(), "{hostname:?}");
        }
        assert_eq!(host_part(&"ü".repeat(300)), "ü".repeat(64));
    }

    #[test]
    fn an_origin_is_one_line() {
        let sumdb = Origin::new("go.sum database tree").unwrap();
        assert_eq!(sumdb.key_name(), Err(NameError::Character { character: ' ' }));
        assert_eq!(Origin::new("a\nb"), Err(NameError::Character { character: '\n' }));
        assert_eq!(Origin::new("a\r"), Err(NameError::Character { character: '\r' }));
        assert_eq!(Origin::new(""), Err(NameError::Empty));
        assert!(Origin::new(&"x".repeat(255)).is_ok());
        assert!(Origin::new(&"x".repeat(256)).is_err());
    }

    #[test]
    fn an_origin_s_hash_is_its_sha_256() {
        let hash = Origin::new("abc").unwrap().sha256();
        let hex = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(hash.to_string(), hex);
        assert_eq!(hash, OriginHash::of("abc"));
        assert_ne!(hash, OriginHash::of("abd"));
        assert_eq!(OriginHash::try_from(&hash.as_bytes()[..]), Ok(hash));
        assert_eq!(OriginHash::try_from(&[0; 31][..]), Err(OriginHashError));
        assert_eq!(OriginHash::try_from(&[0; 33][..]), Err(OriginHashError));
    }

    #[test]
    fn an_origin_s_hash_has_one_spelling() {
        let hex = "0123456789abcdef".repeat(4);
        let hash: OriginHash = hex.parse().unwrap();
        assert_eq!(hash.as_bytes()[..3], [0x01, 0x23, 0x45]);
        assert_eq!(hash.to_string(), hex);
        for bad in [
            String::new(),
            hex.to_uppercase(),
            hex[1..].to_owned(),
            hex[2..].to_owned(),
            format!("{hex}0"),
            format!("{hex}00"),
            "0g".repeat(32),
            "é".repeat(32),
        ] {
            assert_eq!(bad.parse::<OriginHash>(), Err(OriginHashError), "{bad}");
        }
    }
}
