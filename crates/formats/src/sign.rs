//! Signing, behind a trait, so that the key may sit in a KMS or token.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::error::Error;

use merkle::{Hash, Subtree, TreeSize};

use crate::checkpoint::{self, Checkpoint};
use crate::cosignature::{self, Timestamp};
use crate::key::{KeyKind, VerifierKey};
use crate::name::{KeyName, Origin};
use crate::note::{self, SignatureLine};

/// Why nothing was signed.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// The signer cannot reach its key, or the key refused. A later attempt may succeed.
    #[error("the key {name}+{id:08x} could not sign")]
    Failed {
        /// The key's name.
        name: KeyName,
        /// The key's id.
        id: u32,
        /// The signer's own error.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// The signer gave something that is no signature of its key's kind: a fault of the signer.
    #[error(
        "the key {name}+{id:08x} gave a signature of {found} bytes where its kind has {expected}"
    )]
    Length {
        /// The key's name.
        name: KeyName,
        /// The key's id.
        id: u32,
        /// Bytes its kind has.
        expected: usize,
        /// Bytes given.
        found: usize,
    },
    /// A key of this kind does not sign this.
    #[error("the key {name}+{id:08x} is of a kind that does not sign {what}")]
    Kind {
        /// The key's name.
        name: KeyName,
        /// The key's id.
        id: u32,
        /// What was to be signed.
        what: &'static str,
    },
    /// A note needs at least one signature.
    #[error("no key was given to sign with")]
    NoSigner,
}

/// Something that holds one private key. Implementations give [`Signer::verifier_key`] and
/// [`Signer::sign_message`]; what a message looks like is decided here.
///
/// May be called from several threads at once, and may block for as long as the key needs.
pub trait Signer: Send + Sync {
    /// The public half, with the name and kind it signs under.
    fn verifier_key(&self) -> &VerifierKey;

    /// The bare signature over `message`: 64 bytes of Ed25519 or 2,420 of ML-DSA-44 (pure, empty
    /// context).
    fn sign_message(&self, message: &[u8]) -> Result<Vec<u8>, SignError>;

    /// The name it signs under.
    fn name(&self) -> &KeyName {
        self.verifier_key().name()
    }

    /// Signs a checkpoint in the way of the key's kind. A plain Ed25519 key leaves `time` unused.
    fn sign_checkpoint(
        &self,
        checkpoint: &Checkpoint,
        time: Timestamp,
    ) -> Result<SignatureLine, SignError> {
        let mut text = String::new();
        checkpoint.push_to(&mut text);
        sign_head_text(self, &text, checkpoint, time)
    }

    /// Signs a subtree of a log, without stating a time. Only ML-DSA-44 cosignatures can.
    fn sign_subtree(
        &self,
        origin: &Origin,
        subtree: Subtree,
        hash: &Hash,
    ) -> Result<SignatureLine, SignError> {
        let key = self.verifier_key();
        if key.kind() != KeyKind::CosignatureMlDsa44 {
            return Err(kind_error(key, "subtrees"));
        }
        let time = Timestamp::ZERO;
        let message = cosignature::subtree_message(key.name(), time, origin, subtree, hash);
        let signature = checked_signature(self, &message)?;
        Ok(SignatureLine::new(key, cosignature::join_time(time, &signature)))
    }
}

/// A checkpoint as a signed note, with the signatures in the order of `signers`.
pub fn sign(
    checkpoint: &Checkpoint,
    signers: &[&dyn Signer],
    time: Timestamp,
) -> Result<Vec<u8>, SignError> {
    if signers.is_empty() {
        return Err(SignError::NoSigner);
    }
    let mut text = String::with_capacity(1_024);
    checkpoint.push_to(&mut text);
    let lines: Vec<SignatureLine> = signers
        .iter()
        .map(|signer| sign_head_text(*signer, &text, checkpoint, time))
        .collect::<Result<_, _>>()?;
    Ok(assemble(text, &lines))
}

/// A tree head signed by one plain Ed25519 key: what a log does for every head it signs, with two
/// small allocations beside the note.
pub fn sign_head(
    origin: &Origin,
    size: TreeSize,
    root: &Hash,
    signer: &dyn Signer,
) -> Result<Vec<u8>, SignError> {
    let key = signer.verifier_key();
    if key.kind() != KeyKind::Ed25519 {
        return Err(kind_error(key, "a head without a time"));
    }
    let mut note = String::with_capacity(2 * origin.as_str().len() + 192);
    checkpoint::push_head(origin, size, root, &mut note);
    let signature = checked_signature(signer, note.as_bytes())?;
    note.push('\n');
    note::push_signature_line(key.name(), key.id(), &signature, &mut note);
    Ok(note.into_bytes())
}

/// Any text as a signed note, by plain Ed25519 keys. The text ends with a newline.
pub fn sign_text(text: &str, signers: &[&dyn Signer]) -> Result<Vec<u8>, SignError> {
    if signers.is_empty() {
        return Err(SignError::NoSigner);
    }
    let line = |signer: &&dyn Signer| {
        let key = signer.verifier_key();
        if key.kind() != KeyKind::Ed25519 {
            return Err(kind_error(key, "a text that is no checkpoint"));
        }
        Ok(SignatureLine::new(key, checked_signature(*signer, text.as_bytes())?))
    };
    let lines: Vec<SignatureLine> = signers.iter().map(line).collect::<Result<_, _>>()?;
    Ok(assemble(text.into(), &lines))
}

fn assemble(text: String, lines: &[SignatureLine]) -> Vec<u8> {
    let mut note = text;
    note.push('\n');
    for line in lines {
        line.push_to(&mut note);
    }
    note.into_bytes()
}

fn sign_head_text<S: Signer + ?Sized>(
    signer: &S,
    text: &str,
    checkpoint: &Checkpoint,
    time: Timestamp,
) -> Result<SignatureLine, SignError> {
    let key = signer.verifier_key();
    let signature = match key.kind() {
        KeyKind::Ed25519 => checked_signature(signer, text.as_bytes())?,
        KeyKind::CosignatureEd25519 => {
            let message = cosignature::ed25519_message(time, text);
            cosignature::join_time(time, &checked_signature(signer, &message)?)
        }
        KeyKind::CosignatureMlDsa44 => {
            let message = cosignature::checkpoint_message(key.name(), time, checkpoint);
            cosignature::join_time(time, &checked_signature(signer, &message)?)
        }
    };
    Ok(SignatureLine::new(key, signature))
}

/// A signer's answer, of the length its kind has.
fn checked_signature<S: Signer + ?Sized>(signer: &S, message: &[u8]) -> Result<Vec<u8>, SignError> {
    let key = signer.verifier_key();
    let signature = signer.sign_message(message)?;
    let time_bytes = if key.kind().is_cosignature() { 8 } else { 0 };
    let expected = key.kind().signature_len() - time_bytes;
    if signature.len() != expected {
        let (name, id, found) = (key.name().clone(), key.id(), signature.len());
        return Err(SignError::Length { name, id, expected, found });
    }
    Ok(signature)
}

fn kind_error(key: &VerifierKey, what: &'static str) -> SignError {
    SignError::Kind { name: key.name().clone(), id: key.id(), what }
}
