//! The public keys of CloudTrail: the answer of `aws cloudtrail list-public-keys`.

use std::collections::BTreeMap;

use audit_event::Instant;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use serde::Deserialize;
use serde_json::Value;

/// AWS signs with the key before for some time after another became valid.
const ROTATION_SECONDS: u32 = 2 * 60 * 60;

/// RFC 3279, section 2.3.1: `rsaEncryption` without parameters, as it stands in a `SubjectPublicKeyInfo`.
const RSA_ENCRYPTION: [u8; 15] =
    [0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00];

const SEQUENCE: u8 = 0x30;
const BIT_STRING: u8 = 0x03;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Document {
    public_key_list: Vec<KeyDocument>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct KeyDocument {
    value: String,
    fingerprint: String,
    validity_start_time: Value,
    validity_end_time: Value,
}

/// A key, and when it was used.
#[derive(Clone, Debug)]
struct Key {
    /// `RSAPublicKey` of PKCS#1 in DER.
    der: Vec<u8>,
    start: Instant,
    end: Instant,
}

impl Key {
    fn of(document: KeyDocument) -> Option<(String, Self)> {
        let KeyDocument { value, fingerprint, validity_start_time, validity_end_time } = document;
        let der = STANDARD.decode(&value).ok()?;
        let der = pkcs1_of(&der)?.to_vec();
        let (start, end) = (time(&validity_start_time)?, time(&validity_end_time)?);
        Some((fingerprint, Self { der, start, end }))
    }
}

/// Keys by their fingerprints.
#[derive(Clone, Debug, Default)]
pub(crate) struct PublicKeys {
    keys: BTreeMap<String, Vec<Key>>,
}

impl PublicKeys {
    /// Takes the keys of a file; false if it is none of keys, or one of them cannot be read.
    pub(crate) fn read(&mut self, bytes: &[u8]) -> bool {
        let document = serde_json::from_slice(bytes).ok();
        let keys = document.and_then(|Document { public_key_list }| {
            public_key_list.into_iter().map(Key::of).collect::<Option<Vec<_>>>()
        });
        for (fingerprint, key) in keys.iter().flatten() {
            self.keys.entry(fingerprint.clone()).or_default().push(key.clone());
        }
        keys.is_some()
    }

    /// Whether `signature` is one of `text` by the key of this fingerprint; `None` if there is no key
    /// that was used at this time.
    pub(crate) fn verify(
        &self,
        fingerprint: &str,
        at: Instant,
        text: &[u8],
        signature: &[u8],
    ) -> Option<bool> {
        let keys = self.keys.get(fingerprint)?.iter();
        let mut used = keys
            .filter(|key| key.start <= at && at <= key.end.later_by(ROTATION_SECONDS))
            .peekable();
        used.peek()?;
        Some(used.any(|key| {
            let key = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, &key.der);
            key.verify(text, signature).is_ok()
        }))
    }
}

/// RFC 3339, or seconds since the Unix epoch, as some versions of the tool print.
fn time(value: &Value) -> Option<Instant> {
    match value {
        Value::String(text) => Instant::parse(text).ok().map(|stated| stated.instant),
        Value::Number(number) => {
            let spelled = number.to_string();
            let seconds = spelled.split('.').next()?.parse().ok()?;
            Instant::new(seconds, 0).ok()
        }
        _ => None,
    }
}

/// The key in the form of PKCS#1, which may stand in a `SubjectPublicKeyInfo`.
fn pkcs1_of(der: &[u8]) -> Option<&[u8]> {
    let (content, rest) = element(der, SEQUENCE)?;
    if !rest.is_empty() {
        return None;
    }
    let Some(key) = content.strip_prefix(&RSA_ENCRYPTION) else { return Some(der) };
    let (bits, rest) = element(key, BIT_STRING)?;
    let key = bits.strip_prefix(&[0])?;
    rest.is_empty().then_some(key)
}

/// The content of a DER element, and what follows it.
fn element(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (first, der) = der.split_first()?;
    let (length, der) = der.split_first()?;
    let (length, der) = match *length {
        short @ 0..=0x7f => (usize::from(short), der),
        0x81 => (usize::from(*der.first()?), &der[1..]),
        0x82 => {
            let (bytes, der) = der.split_first_chunk::<2>()?;
            (usize::from(u16::from_be_bytes(*bytes)), der)
        }
        _ => return None,
    };
    if *first == tag { der.split_at_checked(length) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_found_in_both_forms() {
        let key = [&[SEQUENCE, 4][..], &[2, 0, 2, 0]].concat();
        let wrapped = [&RSA_ENCRYPTION[..], &[BIT_STRING, 7, 0], &key].concat();
        let length = u8::try_from(wrapped.len()).unwrap();
        let wrapped = [&[SEQUENCE, length][..], &wrapped].concat();
        assert_eq!(pkcs1_of(&key), Some(&key[..]));
        assert_eq!(pkcs1_of(&wrapped), Some(&key[..]));
        for end in 0..wrapped.len() {
            assert_eq!(pkcs1_of(&wrapped[..end]), None, "{end}");
        }
        assert_eq!(pkcs1_of(&[&key[..], &[0]].concat()), None);
    }

    #[test]
    fn keys_are_read_with_times_of_both_forms() {
        let list = |start: &str| {
            let value = STANDARD.encode([SEQUENCE, 4, 2, 0, 2, 0]);
            format!(
                r#"{{"PublicKeyList":[{{"Value":"{value}","Fingerprint":"f",
                "ValidityStartTime":{start},"ValidityEndTime":"2026-03-31T00:00:00Z"}}]}}"#
            )
        };
        for start in ["1767139200.0", "1767139200", "\"2025-12-31T00:00:00+00:00\""] {
            let mut keys = PublicKeys::default();
            assert!(keys.read(list(start).as_bytes()));
            let at = |time: &str| {
                let at = Instant::parse(time).unwrap().instant;
                keys.verify("f", at, b"text", b"no signature")
            };
            assert_eq!(at("2026-01-01T00:00:00Z"), Some(false), "{start}");
            assert_eq!(at("2026-03-31T02:00:00Z"), Some(false), "{start}");
            assert_eq!(at("2026-03-31T02:00:01Z"), None, "{start}");
            assert_eq!(at("2025-12-30T23:59:59Z"), None, "{start}");
        }
        let mut keys = PublicKeys::default();
        assert!(!keys.read(list("true").as_bytes()));
        assert!(!keys.read(b"{}") && keys.keys.is_empty());
    }
}
