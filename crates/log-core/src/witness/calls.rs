//! What this room needs from whoever speaks a witness's protocol: two calls and the form of an address.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use formats::Origin;
use futures_util::future::BoxFuture;
use merkle::TreeSize;

/// A witness's answer to `add-checkpoint`, by what we do about it. Nothing in it has been verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Signature lines.
    Cosigned(Bytes),
    /// The witness holds another size; `None` where it does not say which.
    Conflict { size: Option<TreeSize> },
    /// The witness does not accept the proof.
    Unprocessable { said: String },
    /// The witness does not know the log, or trusts none of its keys.
    Unknown { status: u16, said: String },
    /// The witness asks us to come back later.
    Busy { status: u16, retry_after: Option<Duration>, said: String },
    /// Anything else.
    Refused { status: u16, said: String },
}

/// Why a call gave no answer, in the words of whoever made it.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct CallError(Box<dyn Error + Send + Sync>);

impl CallError {
    pub fn new(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self(source.into())
    }
}

/// Where a witness is asked, in the form that [`WitnessCalls::address`] gives it: two that are equal are
/// one witness's.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WitnessAddress(String);

impl WitnessAddress {
    /// Takes an address that was checked and brought into its one form.
    pub fn of_checked(address: String) -> Self {
        Self(address)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for WitnessAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for WitnessAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Makes the calls. Each is sent once and is bounded in time and in bytes; when to ask again is decided
/// in this room.
pub trait WitnessCalls: Send + Sync + 'static {
    /// Checks an address out of a policy and brings it into its one form.
    fn address(given: &[u8]) -> Result<WitnessAddress, CallError>
    where
        Self: Sized;

    /// Submits the body of an `add-checkpoint`.
    fn add_checkpoint<'a>(
        &'a self,
        witness: &'a WitnessAddress,
        body: Bytes,
    ) -> BoxFuture<'a, Result<Answer, CallError>>;

    /// The checkpoint that a witness serves of a log; `None` if it serves none.
    fn monitored_checkpoint<'a>(
        &'a self,
        witness: &'a WitnessAddress,
        origin: &'a Origin,
    ) -> BoxFuture<'a, Result<Option<Bytes>, CallError>>;
}
