//! Signed notes: a text, an empty line, and one line for each signature.
//!
//! ```text
//! <text, one line or more>
//!
//! — <key name> base64(32-bit key id || signature)
//! ```
//!
//! <https://c2sp.org/signed-note@v1.0.0>. The text means nothing until a trusted key has signed it,
//! so the types that give it out say whether the signatures were checked.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;
use core::borrow::Borrow;
use core::fmt;
use core::ops::Range;

use crate::Checkpoint;
use crate::cosignature::Timestamp;
use crate::key::{KeyKind, VerifierKey};
use crate::name::{self, KeyName};
use crate::parse::{self, Base64Error, Lines};

/// Bytes a note may have: 16 post-quantum signatures take less than half of it.
pub const NOTE_BYTES_MAX: usize = 128 * 1024;

/// Signatures a note may have. The format asks verifiers to accept at least 16.
pub const SIGNATURES_MAX: usize = 64;

/// What starts a signature line: an em dash and a space.
const SIGNATURE_PREFIX: &str = "— ";

/// Why a note was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// More than [`NOTE_BYTES_MAX`] bytes.
    #[error("a note of {bytes} bytes exceeds {NOTE_BYTES_MAX}")]
    TooLarge {
        /// Bytes found.
        bytes: usize,
    },
    /// Not UTF-8.
    #[error("a note is not UTF-8 from byte {offset} on")]
    NotUtf8 {
        /// Where the first bad sequence starts.
        offset: usize,
    },
    /// A control character other than newline: a carriage return, for one.
    #[error("a note holds the control character {byte:#04x} at byte {offset}")]
    ControlCharacter {
        /// The character.
        byte: u8,
        /// Where it stands.
        offset: usize,
    },
    /// No empty line between a text and signatures.
    #[error("a note has no empty line before its signatures")]
    NoSeparator,
    /// The last line does not end with a newline.
    #[error("a note's last line does not end")]
    Unterminated,
    /// Nothing follows the empty line.
    #[error("a note has no signature")]
    NoSignature,
    /// More than [`SIGNATURES_MAX`] signatures.
    #[error("a note has more than {SIGNATURES_MAX} signatures")]
    TooManySignatures,
    /// A line after the empty line is not of the form "— name base64".
    #[error("signature {position} of a note is not of the form \"— name base64\"")]
    SignatureForm {
        /// Which signature, from 1.
        position: usize,
    },
    /// A key name that no key can have.
    #[error("signature {position} of a note has a bad key name")]
    SignatureName {
        /// Which signature, from 1.
        position: usize,
    },
    /// Its base64.
    #[error("signature {position} of a note is {reason}")]
    SignatureBase64 {
        /// Which signature, from 1.
        position: usize,
        /// What is wrong with it.
        reason: Base64Error,
    },
    /// No signature behind the four bytes of the key id.
    #[error("signature {position} of a note is too short")]
    SignatureTooShort {
        /// Which signature, from 1.
        position: usize,
    },
    /// A signature of a known key does not verify, so the whole note is refused.
    #[error("the signature of {name}+{id:08x} does not verify")]
    BadSignature {
        /// The key's name.
        name: KeyName,
        /// The key's id.
        id: u32,
    },
    /// Two of the given keys share a name and id, so a signature cannot be assigned.
    #[error("two different keys are both {name}+{id:08x}")]
    AmbiguousKey {
        /// The shared name.
        name: KeyName,
        /// The shared id.
        id: u32,
    },
    /// None of the given keys signed.
    #[error("no signature is of a trusted key")]
    NoTrustedSignature,
}

/// A note whose syntax was checked, and nothing else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnverifiedNote<'a> {
    note: Cow<'a, str>,
    text_bytes: usize,
    signatures: Vec<RawSignature>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct RawSignature {
    line: Range<usize>,
    name: Range<usize>,
    id: u32,
    signature: Vec<u8>,
}

/// One signature line as found, of whatever key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnverifiedSignature<'a> {
    /// The key's name.
    pub name: &'a str,
    /// The key's id.
    pub id: u32,
    /// What follows the id: for a cosignature the time, then the signature itself.
    pub signature: &'a [u8],
    /// The whole line with its newline.
    pub line: &'a str,
}

impl<'a> UnverifiedNote<'a> {
    /// Parses a note. Only one spelling of each note is accepted; the last empty line ends the
    /// text.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, NoteError> {
        let note = checked_text(bytes)?;
        if !note.ends_with('\n') {
            return Err(NoteError::Unterminated);
        }
        let separator = note.rfind("\n\n").ok_or(NoteError::NoSeparator)?;
        let text_bytes = separator + 1;
        let signatures = parse_signatures(note, text_bytes + 1)?;
        Ok(Self { note: Cow::Borrowed(note), text_bytes, signatures })
    }

    /// The same note, owning its bytes.
    pub fn into_owned(self) -> UnverifiedNote<'static> {
        UnverifiedNote {
            note: Cow::Owned(self.note.into_owned()),
            text_bytes: self.text_bytes,
            signatures: self.signatures,
        }
    }

    /// The text with its last newline. **Nothing has vouched for it.**
    pub fn text(&self) -> &str {
        &self.note[..self.text_bytes]
    }

    /// All signatures in order.
    pub fn signatures(&self) -> impl ExactSizeIterator<Item = UnverifiedSignature<'_>> {
        self.signatures.iter().map(|raw| UnverifiedSignature {
            name: &self.note[raw.name.clone()],
            id: raw.id,
            signature: &raw.signature,
            line: &self.note[raw.line.clone()],
        })
    }

    /// The whole note, byte for byte.
    pub fn as_bytes(&self) -> &[u8] {
        self.note.as_bytes()
    }

    /// Verifies each signature made by one of `keys`; there must be at least one. Signatures of
    /// unknown keys are ignored. If a signature of a known key fails, the note is refused. Costs
    /// one signature verification for each line of a known key.
    pub fn verify<K: Borrow<VerifierKey>>(
        &self,
        keys: &[K],
    ) -> Result<VerifiedNote<'_>, NoteError> {
        let signs_fields = |key: &K| key.borrow().kind() == KeyKind::CosignatureMlDsa44;
        let checkpoint =
            if keys.iter().any(signs_fields) { Checkpoint::parse(self.text()).ok() } else { None };
        let signatures = self.verified_signatures(keys, checkpoint.as_ref())?;
        Ok(VerifiedNote { text: self.text(), signatures })
    }

    pub(crate) fn verified_signatures<K: Borrow<VerifierKey>>(
        &self,
        keys: &[K],
        checkpoint: Option<&Checkpoint>,
    ) -> Result<Vec<VerifiedSignature>, NoteError> {
        let mut verified = Vec::new();
        for (position, found) in self.signatures().enumerate() {
            let Some(key) = known_key(keys, found.name, found.id)? else {
                continue;
            };
            let time = key
                .verify_text(self.text(), checkpoint, found.signature)
                .map_err(|_| NoteError::BadSignature { name: key.name().clone(), id: key.id() })?;
            verified.push(VerifiedSignature { key: key.clone(), time, position });
        }
        if verified.is_empty() {
            return Err(NoteError::NoTrustedSignature);
        }
        Ok(verified)
    }
}

/// A note signed by at least one trusted key, all of whose signatures by trusted keys verify.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedNote<'a> {
    text: &'a str,
    signatures: Vec<VerifiedSignature>,
}

impl<'a> VerifiedNote<'a> {
    /// The text with its last newline.
    pub fn text(&self) -> &'a str {
        self.text
    }

    /// The verified signatures in the note's order. A key that signed twice is in it twice.
    pub fn signatures(&self) -> &[VerifiedSignature] {
        &self.signatures
    }
}

/// A signature that verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedSignature {
    key: VerifierKey,
    time: Option<Timestamp>,
    position: usize,
}

impl VerifiedSignature {
    /// The key that signed.
    pub fn key(&self) -> &VerifierKey {
        &self.key
    }

    /// The time a cosignature states; none for a plain Ed25519 signature.
    pub fn time(&self) -> Option<Timestamp> {
        self.time
    }

    /// Which signature of the note it is, from 0.
    pub fn position(&self) -> usize {
        self.position
    }
}

/// One signature line to be written. [`Display`](fmt::Display) gives it without its newline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignatureLine {
    name: KeyName,
    id: u32,
    signature: Vec<u8>,
}

impl SignatureLine {
    /// A line of this key; `signature` is what follows the key id.
    pub fn new(key: &VerifierKey, signature: Vec<u8>) -> Self {
        Self { name: key.name().clone(), id: key.id(), signature }
    }

    /// The key's name.
    pub fn name(&self) -> &KeyName {
        &self.name
    }

    /// The key's id.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// What follows the key id.
    pub fn signature(&self) -> &[u8] {
        &self.signature
    }

    /// Appends the line and its newline.
    pub fn push_to(&self, note: &mut String) {
        push_signature_line(&self.name, self.id, &self.signature, note);
    }
}

impl fmt::Display for SignatureLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line = String::new();
        self.push_to(&mut line);
        f.write_str(line.trim_end_matches('\n'))
    }
}

/// Parses signature lines without a note, each ended, as a witness answers them. There must be at
/// least one.
pub fn parse_signature_lines(bytes: &[u8]) -> Result<Vec<SignatureLine>, NoteError> {
    let text = checked_text(bytes)?;
    if !text.is_empty() && !text.ends_with('\n') {
        return Err(NoteError::Unterminated);
    }
    let line = |(index, raw): (usize, RawSignature)| {
        let name = KeyName::new(&text[raw.name])
            .map_err(|_| NoteError::SignatureName { position: index + 1 })?;
        Ok(SignatureLine { name, id: raw.id, signature: raw.signature })
    };
    parse_signatures(text, 0)?.into_iter().enumerate().map(line).collect()
}

pub(crate) fn push_signature_line(name: &KeyName, id: u32, signature: &[u8], note: &mut String) {
    let tagged = [&id.to_be_bytes(), signature].concat();
    note.push_str(SIGNATURE_PREFIX);
    note.push_str(name.as_str());
    note.push(' ');
    parse::push_base64(&tagged, note);
    note.push('\n');
}

/// Limits and character set: UTF-8 without control characters other than newline.
pub(crate) fn checked_text(bytes: &[u8]) -> Result<&str, NoteError> {
    if bytes.len() > NOTE_BYTES_MAX {
        return Err(NoteError::TooLarge { bytes: bytes.len() });
    }
    let control = |&(_, &byte): &(usize, &u8)| byte < b' ' && byte != b'\n';
    if let Some((offset, &byte)) = bytes.iter().enumerate().find(control) {
        return Err(NoteError::ControlCharacter { byte, offset });
    }
    core::str::from_utf8(bytes).map_err(|error| NoteError::NotUtf8 { offset: error.valid_up_to() })
}

/// The signature lines from byte `start` of a note that ends with a newline.
fn parse_signatures(note: &str, start: usize) -> Result<Vec<RawSignature>, NoteError> {
    let mut signatures = Vec::new();
    let mut lines = Lines::new(&note[start..]);
    let mut offset = start;
    while let Some(line) = lines.take() {
        if signatures.len() == SIGNATURES_MAX {
            return Err(NoteError::TooManySignatures);
        }
        signatures.push(parse_signature(line, offset, signatures.len() + 1)?);
        offset += line.len() + 1;
    }
    if signatures.is_empty() {
        return Err(NoteError::NoSignature);
    }
    Ok(signatures)
}

/// One line, without its newline, that stands at byte `offset` of the note.
fn parse_signature(line: &str, offset: usize, position: usize) -> Result<RawSignature, NoteError> {
    let (name, encoded) = line
        .strip_prefix(SIGNATURE_PREFIX)
        .and_then(|rest| rest.split_once(' '))
        .ok_or(NoteError::SignatureForm { position })?;
    if !name::is_key_name(name) {
        return Err(NoteError::SignatureName { position });
    }
    let mut signature =
        parse::base64(encoded).map_err(|reason| NoteError::SignatureBase64 { position, reason })?;
    let id = match signature.first_chunk::<4>() {
        Some(id) if signature.len() > 4 => u32::from_be_bytes(*id),
        Some(_) | None => return Err(NoteError::SignatureTooShort { position }),
    };
    signature.drain(..4);
    let name_start = offset + SIGNATURE_PREFIX.len();
    Ok(RawSignature {
        line: offset..offset + line.len() + 1,
        name: name_start..name_start + name.len(),
        id,
        signature,
    })
}

/// The one key of this name and id. The same key given twice is one key.
fn known_key<'k, K: Borrow<VerifierKey>>(
    keys: &'k [K],
    name: &str,
    id: u32,
) -> Result<Option<&'k VerifierKey>, NoteError> {
    let mut known: Option<&VerifierKey> = None;
    for key in keys.iter().map(Borrow::borrow).filter(|key| key.signs_as(name, id)) {
        if known.is_some_and(|known| known != key) {
            return Err(NoteError::AmbiguousKey { name: key.name().clone(), id });
        }
        known = Some(key);
    }
    Ok(known)
}
