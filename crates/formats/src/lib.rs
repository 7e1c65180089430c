//! The signed formats of a transparency log, pure and strict.
//!
//! | module | format |
//! |---|---|
//! | [`note`] | <https://c2sp.org/signed-note@v1.0.0>: a text and its signature lines |
//! | [`key`], [`private`] | verifier keys ("vkeys"), private keys and files of them |
//! | [`checkpoint`] | <https://c2sp.org/tlog-checkpoint@v1.0.0>: a tree head as a note |
//! | [`cosignature`] | <https://c2sp.org/tlog-cosignature>: Ed25519 and ML-DSA-44, timestamped |
//! | [`proof`] | <https://c2sp.org/tlog-proof>: what proves one entry offline |
//! | [`policy`] | <https://c2sp.org/tlog-policy>: which logs and which quorum are trusted |
//! | [`witness`] | the request bodies of <https://c2sp.org/tlog-witness> |
//! | [`evidence`] | what shows anyone that a log contradicted itself; ours, in the style of tlog-proof |
//!
//! Nothing here reads a clock, a file, the network or a random number generator: times and seeds
//! are passed in. Every parser checks limits first, then syntax, and accepts exactly one encoding
//! of each value, so that what was parsed formats back to the same bytes. Bytes from outside give
//! an error, never a panic.
//!
//! ```
//! use formats::{Checkpoint, KeyName, PrivateKey, SignedCheckpoint, Timestamp, sign};
//! use merkle::{Hash, TreeSize};
//!
//! let name = KeyName::new("example.com/log")?;
//! let key = PrivateKey::ed25519(name.clone(), &[7; 32]);
//! let head = Checkpoint::new(name.into(), TreeSize::ZERO, Hash::EMPTY_ROOT);
//! let note = sign(&head, &[&key], Timestamp::new(1_700_000_000)?)?;
//!
//! let verified = SignedCheckpoint::parse(&note)?.verify(&[key.verifier_key().clone()])?;
//! assert_eq!(verified.size(), TreeSize::ZERO);
//! # Ok::<(), Box<dyn core::error::Error>>(())
//! ```

#![cfg_attr(not(any(feature = "std", test)), no_std)]
#![warn(missing_docs)]

extern crate alloc;

pub mod checkpoint;
pub mod cosignature;
pub mod evidence;
pub mod key;
pub mod name;
pub mod note;
pub mod policy;
pub mod private;
pub mod proof;
pub mod sign;
pub mod trust;
pub mod witness;

mod parse;

pub use checkpoint::{Checkpoint, CheckpointError, SignedCheckpoint, VerifiedCheckpoint};
pub use cosignature::{Timestamp, TimestampOutOfRange};
pub use evidence::{Contradiction, Evidence, EvidenceError, Misbehaviour, NotShown};
pub use key::{KeyError, KeyKind, VerifierKey};
pub use name::{KeyName, NameError, Origin, OriginHash, OriginHashError, host_part};
pub use note::{NoteError, SignatureLine, UnverifiedNote, VerifiedNote, VerifiedSignature};
pub use parse::{Base64Error, Conversion, NumberError};
pub use policy::{Policy, PolicyError};
pub use private::{KeyFile, KeyFileError, PrivateKey, PrivateKeyError};
pub use proof::{ProofError, TlogProof, VerifiedReceipt};
pub use sign::{SignError, Signer, sign, sign_head};
pub use trust::{Trust, TrustError};
pub use witness::{AddCheckpoint, SignSubtree};
