//! Verifier keys: a name, an algorithm and a public key.
//!
//! ```text
//! <key name>+hex(32-bit key id)+base64(signature type || public key)
//! ```
//!
//! <https://c2sp.org/signed-note@v1.0.0#verifier-keys>

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt::{self, Write as _};
use core::str::FromStr;

use sha2::{Digest as _, Sha256};

use crate::Checkpoint;
use crate::cosignature::{self, Timestamp};
use crate::name::{KeyName, NameError};
use crate::parse::{self, Base64Error};

/// Bytes a vkey may have: the longest name, the id, and an ML-DSA-44 key in base64 stay below it.
pub const VKEY_BYTES_MAX: usize = 2_048;

/// Keys that [`parse_vkeys`] takes at most.
pub const VKEYS_MAX: usize = 256;

/// What a key signs, and with which algorithm. The number is the signature type identifier byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeyKind {
    /// 0x01: Ed25519 over the text of a note.
    Ed25519,
    /// 0x04: timestamped Ed25519 cosignature of a checkpoint.
    CosignatureEd25519,
    /// 0x06: timestamped ML-DSA-44 cosignature of a checkpoint or subtree. Logs sign their own
    /// checkpoints with it too.
    CosignatureMlDsa44,
}

impl KeyKind {
    /// The signature type identifier byte.
    pub const fn signature_type(self) -> u8 {
        match self {
            Self::Ed25519 => 0x01,
            Self::CosignatureEd25519 => 0x04,
            Self::CosignatureMlDsa44 => 0x06,
        }
    }

    /// Bytes of a public key.
    pub const fn public_key_len(self) -> usize {
        match self {
            Self::Ed25519 | Self::CosignatureEd25519 => 32,
            Self::CosignatureMlDsa44 => 1_312,
        }
    }

    /// Bytes of a signature, timestamp included, key id not.
    pub const fn signature_len(self) -> usize {
        match self {
            Self::Ed25519 => 64,
            Self::CosignatureEd25519 => 8 + 64,
            Self::CosignatureMlDsa44 => 8 + 2_420,
        }
    }

    /// Whether signatures of this kind carry a time.
    pub const fn is_cosignature(self) -> bool {
        matches!(self, Self::CosignatureEd25519 | Self::CosignatureMlDsa44)
    }

    pub(crate) const fn from_signature_type(byte: u8) -> Option<Self> {
        match byte {
            0x01 => Some(Self::Ed25519),
            0x04 => Some(Self::CosignatureEd25519),
            0x06 => Some(Self::CosignatureMlDsa44),
            _ => None,
        }
    }
}

/// Why a verifier key was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// More than [`VKEY_BYTES_MAX`] bytes.
    #[error("a vkey of {bytes} bytes exceeds {VKEY_BYTES_MAX}")]
    TooLong {
        /// Bytes found.
        bytes: usize,
    },
    /// Not `name+id+key`.
    #[error("a vkey is not of the form name+id+key")]
    Form,
    /// The name.
    #[error("a vkey has a bad name")]
    Name(#[from] NameError),
    /// The id is not eight lowercase hexadecimal digits.
    #[error("a vkey's id is not eight lowercase hexadecimal digits")]
    Id,
    /// The id is not the hash of name, type and key: a typing error, or another key's id.
    #[error("a vkey says its id is {found:08x} where name and key give {expected:08x}")]
    IdMismatch {
        /// What name and key give.
        expected: u32,
        /// What the vkey says.
        found: u32,
    },
    /// The key's base64.
    #[error("a vkey's key is {0}")]
    Base64(Base64Error),
    /// No such signature type here.
    #[error("a vkey has the signature type {signature_type:#04x}, which is not supported")]
    UnknownType {
        /// The type byte found.
        signature_type: u8,
    },
    /// The public key has another length than its type has.
    #[error("a vkey holds a public key of {found} bytes where its type has {expected}")]
    KeyLength {
        /// Bytes its type has.
        expected: usize,
        /// Bytes found.
        found: usize,
    },
    /// Not a point of the curve, a second encoding of one, or one of small order.
    #[error("a vkey holds an unusable public key")]
    UnusableKey,
}

/// Why a list of verifier keys was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeysError {
    /// One line is no vkey.
    #[error("line {line} is not a vkey")]
    Line {
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        #[source]
        source: KeyError,
    },
    /// The same line twice.
    #[error("line {line} repeats a key")]
    Duplicate {
        /// The later line, from 1.
        line: usize,
    },
    /// Not UTF-8.
    #[error("not UTF-8 from byte {offset} on")]
    NotUtf8 {
        /// Where the first bad sequence starts.
        offset: usize,
    },
    /// The last line does not end with a newline.
    #[error("the last line does not end")]
    Unterminated,
    /// No key at all.
    #[error("no key")]
    Empty,
    /// More than [`VKEYS_MAX`].
    #[error("more than {VKEYS_MAX} keys")]
    TooMany,
}

/// A public key with the name and id it signs under. The decoded point, or the expanded ML-DSA key,
/// is kept and shared: cloning costs one reference count, and verifying decodes nothing again.
#[derive(Clone)]
pub struct VerifierKey(Arc<Inner>);

struct Inner {
    name: KeyName,
    id: u32,
    kind: KeyKind,
    encoded: Box<[u8]>,
    decoded: Decoded,
}

/// A signature does not verify; the caller knows whose.
pub(crate) struct BadSignature;

enum Decoded {
    Ed25519(ed25519_dalek::VerifyingKey),
    MlDsa44(ml_dsa::VerifyingKey<ml_dsa::MlDsa44>),
}

impl VerifierKey {
    /// Parses a vkey. Accepts the canonical form only: [`Display`](fmt::Display) gives the same
    /// text back.
    ///
    /// Costs one point decompression, or one expansion of an ML-DSA-44 key.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        if text.len() > VKEY_BYTES_MAX {
            return Err(KeyError::TooLong { bytes: text.len() });
        }
        let mut parts = text.splitn(3, '+');
        let (Some(name), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(KeyError::Form);
        };
        let name = KeyName::new(name)?;
        let found = parse::hex_u32(id).ok_or(KeyError::Id)?;
        let key = parse::base64(key).map_err(KeyError::Base64)?;
        let (&signature_type, public_key) = key.split_first().ok_or(KeyError::Form)?;
        let kind = KeyKind::from_signature_type(signature_type)
            .ok_or(KeyError::UnknownType { signature_type })?;
        let parsed = Self::from_public_key(name, kind, public_key)?;
        if parsed.id() != found {
            return Err(KeyError::IdMismatch { expected: parsed.id(), found });
        }
        Ok(parsed)
    }

    /// A verifier key from the bytes of a public key; the id follows from name, kind and key.
    pub fn from_public_key(
        name: KeyName,
        kind: KeyKind,
        public_key: &[u8],
    ) -> Result<Self, KeyError> {
        let expected = kind.public_key_len();
        if public_key.len() != expected {
            return Err(KeyError::KeyLength { expected, found: public_key.len() });
        }
        let decoded = match kind {
            KeyKind::Ed25519 | KeyKind::CosignatureEd25519 => decode_ed25519(public_key)?,
            KeyKind::CosignatureMlDsa44 => decode_ml_dsa_44(public_key)?,
        };
        Ok(Self::assemble(name, kind, public_key, decoded))
    }

    pub(crate) fn from_ed25519(
        name: KeyName,
        kind: KeyKind,
        key: &ed25519_dalek::VerifyingKey,
    ) -> Self {
        Self::assemble(name, kind, key.as_bytes(), Decoded::Ed25519(*key))
    }

    pub(crate) fn from_ml_dsa_44(
        name: KeyName,
        key: &ml_dsa::VerifyingKey<ml_dsa::MlDsa44>,
    ) -> Self {
        let decoded = Decoded::MlDsa44(key.clone());
        Self::assemble(name, KeyKind::CosignatureMlDsa44, &key.encode(), decoded)
    }

    fn assemble(name: KeyName, kind: KeyKind, encoded: &[u8], decoded: Decoded) -> Self {
        let id = key_id(&name, kind, encoded);
        Self(Arc::new(Inner { name, id, kind, encoded: encoded.into(), decoded }))
    }

    /// The name it signs under.
    pub fn name(&self) -> &KeyName {
        &self.0.name
    }

    /// The id in its signature lines: an identifier, not a strong hash.
    pub fn id(&self) -> u32 {
        self.0.id
    }

    /// What it signs, and how.
    pub fn kind(&self) -> KeyKind {
        self.0.kind
    }

    /// The encoded public key: 32 or 1,312 bytes.
    pub fn public_key(&self) -> &[u8] {
        &self.0.encoded
    }

    /// Whether both wrap the same public key, whatever their names and kinds.
    pub fn same_public_key(&self, other: &Self) -> bool {
        self.0.encoded == other.0.encoded
    }

    /// Whether a signature line of this name and id is this key's.
    pub(crate) fn signs_as(&self, name: &str, id: u32) -> bool {
        self.0.id == id && self.0.name == *name
    }

    /// Verifies the signature of a note's text (without key id). `checkpoint` is the parsed text,
    /// if it is one: ML-DSA signs its fields, not its bytes. Gives the time of a cosignature.
    pub(crate) fn verify_text(
        &self,
        text: &str,
        checkpoint: Option<&Checkpoint>,
        signature: &[u8],
    ) -> Result<Option<Timestamp>, BadSignature> {
        if self.kind() == KeyKind::Ed25519 {
            let holds = self.verify_raw(text.as_bytes(), signature);
            return if holds { Ok(None) } else { Err(BadSignature) };
        }
        let (time, signature) = cosignature::split_time(signature).ok_or(BadSignature)?;
        let message = if self.kind() == KeyKind::CosignatureEd25519 {
            cosignature::ed25519_message(time, text)
        } else {
            cosignature::checkpoint_message(self.name(), time, checkpoint.ok_or(BadSignature)?)
        };
        if self.verify_raw(&message, signature) { Ok(Some(time)) } else { Err(BadSignature) }
    }

    /// Verifies a bare signature over a message, with the stricter of Ed25519's rules: no
    /// small-order points, no second encodings.
    pub(crate) fn verify_raw(&self, message: &[u8], signature: &[u8]) -> bool {
        match &self.0.decoded {
            Decoded::Ed25519(key) => ed25519_dalek::Signature::from_slice(signature)
                .and_then(|signature| key.verify_strict(message, &signature))
                .is_ok(),
            Decoded::MlDsa44(key) => ml_dsa::Signature::try_from(signature)
                .is_ok_and(|signature| key.verify_with_context(message, &[], &signature)),
        }
    }
}

/// Parses verifier keys, one a line, every line ended. `.vkey` files are written in this form, and
/// keys are stored and compared in no other. For files that people keep there is [`read_vkeys`].
pub fn parse_vkeys(text: &str) -> Result<Vec<VerifierKey>, KeysError> {
    let mut lines = parse::Lines::new(text);
    let keys = collect_vkeys((1..).zip(core::iter::from_fn(|| lines.take())))?;
    if !lines.rest().is_empty() {
        return Err(KeysError::Unterminated);
    }
    if keys.is_empty() { Err(KeysError::Empty) } else { Ok(keys) }
}

/// Reads a `.vkey` file as editors and mail programs leave it: accepts a byte order mark, line ends
/// of CR LF, empty lines and a last line that does not end. Each key still has one spelling.
/// [`format_vkeys`] gives the one form of the file.
pub fn read_vkeys(bytes: &[u8]) -> Result<Vec<VerifierKey>, KeysError> {
    let text = core::str::from_utf8(bytes)
        .map_err(|error| KeysError::NotUtf8 { offset: error.valid_up_to() })?;
    let text = text.strip_prefix(parse::BYTE_ORDER_MARK).unwrap_or(text);
    let lines = text
        .split_inclusive('\n')
        .map(|line| line.strip_suffix("\r\n").or_else(|| line.strip_suffix('\n')).unwrap_or(line));
    let keys = collect_vkeys((1..).zip(lines).filter(|(_, line)| !line.is_empty()))?;
    if keys.is_empty() { Err(KeysError::Empty) } else { Ok(keys) }
}

/// Verifier keys one a line, every line ended; [`parse_vkeys`] gives the same keys back.
pub fn format_vkeys(keys: &[VerifierKey]) -> String {
    let mut text = String::new();
    for key in keys {
        writeln!(text, "{key}").expect("writing to a string cannot fail");
    }
    text
}

fn collect_vkeys<'a>(
    lines: impl Iterator<Item = (usize, &'a str)>,
) -> Result<Vec<VerifierKey>, KeysError> {
    let mut keys: Vec<VerifierKey> = Vec::new();
    for (line, text) in lines {
        if keys.len() == VKEYS_MAX {
            return Err(KeysError::TooMany);
        }
        let key = VerifierKey::parse(text).map_err(|source| KeysError::Line { line, source })?;
        if keys.contains(&key) {
            return Err(KeysError::Duplicate { line });
        }
        keys.push(key);
    }
    Ok(keys)
}

/// The first four bytes, big endian, of SHA-256(name ‖ 0x0A ‖ type ‖ public key).
fn key_id(name: &KeyName, kind: KeyKind, public_key: &[u8]) -> u32 {
    let digest: [u8; 32] = Sha256::new()
        .chain_update(name.as_str())
        .chain_update([b'\n', kind.signature_type()])
        .chain_update(public_key)
        .finalize()
        .into();
    let [a, b, c, d, ..] = digest;
    u32::from_be_bytes([a, b, c, d])
}

fn decode_ed25519(public_key: &[u8]) -> Result<Decoded, KeyError> {
    let key =
        ed25519_dalek::VerifyingKey::try_from(public_key).map_err(|_| KeyError::UnusableKey)?;
    let canonical = key.to_edwards().compress().to_bytes();
    if key.is_weak() || canonical != *public_key {
        return Err(KeyError::UnusableKey);
    }
    Ok(Decoded::Ed25519(key))
}

fn decode_ml_dsa_44(public_key: &[u8]) -> Result<Decoded, KeyError> {
    let encoded = ml_dsa::EncodedVerifyingKey::<ml_dsa::MlDsa44>::try_from(public_key)
        .map_err(|_| KeyError::UnusableKey)?;
    Ok(Decoded::MlDsa44(ml_dsa::VerifyingKey::decode(&encoded)))
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut tagged = Vec::with_capacity(self.public_key().len() + 1);
        tagged.push(self.kind().signature_type());
        tagged.extend_from_slice(self.public_key());
        let mut encoded = String::new();
        parse::push_base64(&tagged, &mut encoded);
        write!(f, "{}+{:08x}+{encoded}", self.name(), self.id())
    }
}

impl fmt::Debug for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VerifierKey({}+{:08x} {:?})", self.name(), self.id(), self.kind())
    }
}

impl FromStr for VerifierKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        Self::parse(text)
    }
}

impl PartialEq for VerifierKey {
    fn eq(&self, other: &Self) -> bool {
        self.kind() == other.kind() && self.name() == other.name() && self.same_public_key(other)
    }
}

impl Eq for VerifierKey {}
