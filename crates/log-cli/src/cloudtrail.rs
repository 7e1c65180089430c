//! Digests of AWS CloudTrail (AWS CloudTrail User Guide, "CloudTrail digest file structure"): what an
//! account's trail said, hour by hour, about its log files, and whether that holds. Pure: no file, clock
//! or network.
//!
//! | module | what |
//! |---|---|
//! | [`digest`] | a digest file, and a time as they state it |
//! | [`keys`] | the public keys that digests are signed with |
//! | [`chain`] | verdicts on digests, log files and the hours between digests |

pub(crate) mod chain;
pub(crate) mod digest;
pub(crate) mod keys;

use std::collections::BTreeMap;

/// Signatures of digests, which are no part of the files: the metadata of the objects in their bucket.
#[derive(Clone, Debug, Default)]
pub(crate) struct Signatures {
    by_name: BTreeMap<String, String>,
}

impl Signatures {
    /// Takes the signature of an object. `key` is its whole key; a later one of the same key counts.
    pub(crate) fn insert(&mut self, key: &str, signature: String) {
        self.by_name.insert(key.to_owned(), signature);
    }

    fn of(&self, key: &str) -> Option<&str> {
        self.by_name.get(key).map(String::as_str)
    }
}

/// The last part of a key or a path.
pub(crate) fn name_of(key: &str) -> &str {
    key.rsplit('/').next().unwrap_or(key)
}

/// Small letters and digits, two a byte.
pub(crate) fn to_hex(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from_digit(nibble.into(), 16).unwrap_or('0');
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    if !text.is_ascii() || !text.len().is_multiple_of(2) {
        return None;
    }
    let pairs = (0..text.len()).step_by(2);
    pairs.map(|at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok()).collect()
}
