//! Private keys, and files of them.
//!
//! ```text
//! PRIVATE+KEY+<key name>+hex(32-bit key id)+base64(signature type || 32-byte seed)
//! ```
//!
//! Go's note package writes this form for Ed25519 keys; we use it for the other signature types
//! too. Seeds are wiped from memory when a key is dropped, and no `Debug` shows them.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use ml_dsa::signature::Signer as _;
use zeroize::Zeroizing;

use crate::key::{KeyKind, VerifierKey};
use crate::name::{KeyName, NameError};
use crate::parse::{self, Base64Error, Lines};
use crate::sign::{SignError, Signer};

/// Bytes of a seed, of every kind of key.
pub const SEED_LEN: usize = 32;

/// Keys one file may hold: old and new of each kind, with room.
pub const FILE_KEYS_MAX: usize = 16;

/// Bytes one line may have: the longest name and everything around it.
const LINE_BYTES_MAX: usize = 512;

const PREFIX: &str = "PRIVATE+KEY+";

/// Why a private key was refused. Never holds any of its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PrivateKeyError {
    /// Longer than any key can be.
    #[error("a private key of {bytes} bytes exceeds {LINE_BYTES_MAX}")]
    TooLong {
        /// Bytes found.
        bytes: usize,
    },
    /// Not `PRIVATE+KEY+name+id+seed`.
    #[error("a private key is not of the form PRIVATE+KEY+name+id+seed")]
    Form,
    /// The name.
    #[error("a private key has a bad name")]
    Name(#[from] NameError),
    /// The id is not eight lowercase hexadecimal digits.
    #[error("a private key's id is not eight lowercase hexadecimal digits")]
    Id,
    /// The id is of another key or name.
    #[error("a private key says its id is {found:08x} where name and seed give {expected:08x}")]
    IdMismatch {
        /// What name and seed give.
        expected: u32,
        /// What the line says.
        found: u32,
    },
    /// The seed's base64.
    #[error("a private key's seed is {0}")]
    Base64(Base64Error),
    /// No such signature type here.
    #[error("a private key has the signature type {signature_type:#04x}, which is not supported")]
    UnknownType {
        /// The type byte found.
        signature_type: u8,
    },
}

/// Why a key file was refused. Never holds any of its bytes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyFileError {
    /// One line is no private key.
    #[error("line {line} is not a private key")]
    Line {
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        #[source]
        source: PrivateKeyError,
    },
    /// The last line does not end with a newline: the file may have been cut short.
    #[error("the last line does not end")]
    Unterminated,
    /// No key at all.
    #[error("no private key")]
    Empty,
    /// More than [`FILE_KEYS_MAX`].
    #[error("more than {FILE_KEYS_MAX} private keys")]
    TooMany,
    /// All keys of a file sign under one name.
    #[error("key {position} is named {found} where the first is named {expected}")]
    OtherName {
        /// Which key, from 1.
        position: usize,
        /// The first key's name.
        expected: KeyName,
        /// This key's name.
        found: KeyName,
    },
    /// Ed25519 keys come before ML-DSA-44 keys, as their signatures do in a note.
    #[error("key {position} is an Ed25519 key after an ML-DSA-44 key")]
    Order {
        /// Which key, from 1.
        position: usize,
    },
    /// Two keys have the same seed.
    #[error("key {position} has the seed of an earlier key")]
    SeedReused {
        /// The later key, from 1.
        position: usize,
    },
}

/// A private key. Its seed is wiped when it is dropped.
pub struct PrivateKey {
    verifier: VerifierKey,
    secret: Secret,
}

enum Secret {
    Ed25519(Box<ed25519_dalek::SigningKey>),
    MlDsa44(Box<ml_dsa::SigningKey<ml_dsa::MlDsa44>>),
}

impl PrivateKey {
    /// A log's key: signs notes (type 0x01).
    pub fn ed25519(name: KeyName, seed: &[u8; SEED_LEN]) -> Self {
        Self::from_ed25519_seed(name, KeyKind::Ed25519, seed)
    }

    /// A witness's key: signs timestamped cosignatures (type 0x04).
    pub fn cosigner_ed25519(name: KeyName, seed: &[u8; SEED_LEN]) -> Self {
        Self::from_ed25519_seed(name, KeyKind::CosignatureEd25519, seed)
    }

    /// A log's or witness's post-quantum key: signs timestamped cosignatures (type 0x06).
    pub fn ml_dsa_44(name: KeyName, seed: &[u8; SEED_LEN]) -> Self {
        let seed = Zeroizing::new(ml_dsa::Seed::from(*seed));
        let key = Box::new(ml_dsa::SigningKey::from_seed(&seed));
        let verifier = VerifierKey::from_ml_dsa_44(name, (*key).as_ref());
        Self { verifier, secret: Secret::MlDsa44(key) }
    }

    fn from_ed25519_seed(name: KeyName, kind: KeyKind, seed: &[u8; SEED_LEN]) -> Self {
        let key = Box::new(ed25519_dalek::SigningKey::from_bytes(seed));
        let verifier = VerifierKey::from_ed25519(name, kind, &key.verifying_key());
        Self { verifier, secret: Secret::Ed25519(key) }
    }

    /// A key of any kind from its seed.
    pub fn from_seed(name: KeyName, kind: KeyKind, seed: &[u8; SEED_LEN]) -> Self {
        match kind {
            KeyKind::Ed25519 | KeyKind::CosignatureEd25519 => {
                Self::from_ed25519_seed(name, kind, seed)
            }
            KeyKind::CosignatureMlDsa44 => Self::ml_dsa_44(name, seed),
        }
    }

    /// Parses one private key, without newline. Accepts the canonical form only.
    pub fn parse(text: &str) -> Result<Self, PrivateKeyError> {
        if text.len() > LINE_BYTES_MAX {
            return Err(PrivateKeyError::TooLong { bytes: text.len() });
        }
        let rest = text.strip_prefix(PREFIX).ok_or(PrivateKeyError::Form)?;
        let mut parts = rest.splitn(3, '+');
        let (Some(name), Some(id), Some(seed)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(PrivateKeyError::Form);
        };
        let name = KeyName::new(name)?;
        let found = parse::hex_u32(id).ok_or(PrivateKeyError::Id)?;
        let parsed = Self::from_tagged_seed(name, seed)?;
        let expected = parsed.verifier.id();
        if expected != found {
            return Err(PrivateKeyError::IdMismatch { expected, found });
        }
        Ok(parsed)
    }

    fn from_tagged_seed(name: KeyName, encoded: &str) -> Result<Self, PrivateKeyError> {
        let mut tagged = Zeroizing::new([0u8; 1 + SEED_LEN]);
        parse::base64_into(encoded, 1 + SEED_LEN, &mut *tagged).map_err(PrivateKeyError::Base64)?;
        let [signature_type, seed @ ..] = &*tagged;
        let kind = KeyKind::from_signature_type(*signature_type)
            .ok_or(PrivateKeyError::UnknownType { signature_type: *signature_type })?;
        Ok(Self::from_seed(name, kind, seed))
    }

    /// The key as one line without newline; wiped when dropped. **This is the secret itself.**
    pub fn format(&self) -> Zeroizing<String> {
        let mut tagged = Zeroizing::new([0u8; 1 + SEED_LEN]);
        tagged[0] = self.verifier.kind().signature_type();
        tagged[1..].copy_from_slice(&*self.seed());
        // Room for all of it from the start: growing would leave unwiped copies behind.
        let mut text = Zeroizing::new(String::with_capacity(LINE_BYTES_MAX));
        let (name, id) = (self.verifier.name(), self.verifier.id());
        fmt::Write::write_fmt(&mut *text, format_args!("{PREFIX}{name}+{id:08x}+"))
            .expect("writing to a string cannot fail");
        // 33 bytes are 44 characters, without padding.
        let mut encoded = Zeroizing::new([0u8; 44]);
        text.push_str(parse::base64_from(&*tagged, &mut *encoded));
        text
    }

    /// The public half.
    pub fn verifier_key(&self) -> &VerifierKey {
        &self.verifier
    }

    /// The same Ed25519 key for cosignatures (type 0x04): witnesses take key files that other tools
    /// wrote with type 0x01. An ML-DSA-44 key stays what it is.
    #[must_use]
    pub fn to_cosigner(&self) -> Self {
        let kind = match self.verifier.kind() {
            KeyKind::Ed25519 | KeyKind::CosignatureEd25519 => KeyKind::CosignatureEd25519,
            KeyKind::CosignatureMlDsa44 => KeyKind::CosignatureMlDsa44,
        };
        Self::from_seed(self.verifier.name().clone(), kind, &self.seed())
    }

    fn seed(&self) -> Zeroizing<[u8; SEED_LEN]> {
        match &self.secret {
            Secret::Ed25519(key) => Zeroizing::new(key.to_bytes()),
            Secret::MlDsa44(key) => Zeroizing::new(key.to_seed().into()),
        }
    }
}

impl Signer for PrivateKey {
    fn verifier_key(&self) -> &VerifierKey {
        &self.verifier
    }

    fn sign_message(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        match &self.secret {
            Secret::Ed25519(key) => Ok(key.sign(message).to_bytes().to_vec()),
            Secret::MlDsa44(key) => match key.try_sign(message) {
                Ok(signature) => Ok(signature.encode().to_vec()),
                Err(source) => Err(SignError::Failed {
                    name: self.verifier.name().clone(),
                    id: self.verifier.id(),
                    source: Box::new(source),
                }),
            },
        }
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivateKey({:?})", self.verifier)
    }
}

/// The private keys of one log or witness: one name, Ed25519 before ML-DSA-44, no seed twice.
#[derive(Debug)]
pub struct KeyFile {
    keys: Vec<PrivateKey>,
}

impl KeyFile {
    /// Checks the rules above.
    pub fn new(keys: Vec<PrivateKey>) -> Result<Self, KeyFileError> {
        let first = keys.first().ok_or(KeyFileError::Empty)?;
        if keys.len() > FILE_KEYS_MAX {
            return Err(KeyFileError::TooMany);
        }
        for (index, key) in keys.iter().enumerate() {
            check_key(first, &keys[..index], key, index + 1)?;
        }
        Ok(Self { keys })
    }

    /// Parses private keys one a line, every line ended.
    pub fn parse(text: &str) -> Result<Self, KeyFileError> {
        let mut keys = Vec::new();
        let mut lines = Lines::new(text);
        while let Some(line) = lines.take() {
            if keys.len() == FILE_KEYS_MAX {
                return Err(KeyFileError::TooMany);
            }
            let line_number = keys.len() + 1;
            let key = PrivateKey::parse(line)
                .map_err(|source| KeyFileError::Line { line: line_number, source })?;
            keys.push(key);
        }
        if !lines.rest().is_empty() {
            return Err(KeyFileError::Unterminated);
        }
        Self::new(keys)
    }

    /// The bytes of the file; wiped when dropped. **These are the secrets themselves.**
    pub fn format(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::with_capacity(self.keys.len() * LINE_BYTES_MAX));
        for key in &self.keys {
            text.push_str(&key.format());
            text.push('\n');
        }
        text
    }

    /// The matching file of verifier keys: one vkey a line, every line ended.
    pub fn format_vkeys(&self) -> String {
        let mut text = String::new();
        for key in &self.keys {
            fmt::Write::write_fmt(&mut text, format_args!("{}\n", key.verifier_key()))
                .expect("writing to a string cannot fail");
        }
        text
    }

    /// The name all the keys sign under.
    pub fn name(&self) -> &KeyName {
        self.keys.first().expect("a key file holds a key").verifier_key().name()
    }

    /// The keys in order.
    pub fn keys(&self) -> &[PrivateKey] {
        &self.keys
    }

    /// The keys in order.
    pub fn into_keys(self) -> Vec<PrivateKey> {
        self.keys
    }
}

fn check_key(
    first: &PrivateKey,
    earlier: &[PrivateKey],
    key: &PrivateKey,
    position: usize,
) -> Result<(), KeyFileError> {
    let (expected, found) = (first.verifier.name(), key.verifier.name());
    if expected != found {
        let (expected, found) = (expected.clone(), found.clone());
        return Err(KeyFileError::OtherName { position, expected, found });
    }
    let is_ml_dsa = |key: &PrivateKey| key.verifier.kind() == KeyKind::CosignatureMlDsa44;
    if !is_ml_dsa(key) && earlier.last().is_some_and(is_ml_dsa) {
        return Err(KeyFileError::Order { position });
    }
    if earlier.iter().any(|earlier| *earlier.seed() == *key.seed()) {
        return Err(KeyFileError::SeedReused { position });
    }
    Ok(())
}
