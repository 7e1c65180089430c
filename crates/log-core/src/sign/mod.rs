//! Signing: the keys of the logs, and the thread that signs and journals their heads.
//!
//! Other rooms hold a [`Sign`] for each log.

mod keyring;
mod signer;

pub(crate) use keyring::{Keyring, generate};
pub use keyring::{KeyringError, LogKeys};
pub(crate) use signer::Signer;

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use base::tasks;
use bytes::Bytes;
use formats::VerifierKey;
use merkle::TreeSize;
use storage::{LogRecord, LogState};
use tokio::sync::oneshot;

use crate::error::SignError;
use crate::inbox::Inbox;
use crate::types::{SignedHead, TreeView};
use crate::watch::Watch;

/// Callers that may wait for a signed head at a time, over all logs: some hundred bytes each.
pub(crate) const WAITING_MAX: usize = 1 << 20;
/// How long any further caller should wait.
const BUSY_RETRY_AFTER: Duration = Duration::from_millis(50);

pub(crate) type Answer = oneshot::Sender<Result<Arc<SignedHead>, SignError>>;
/// How the signer hears of callers that wait.
pub(crate) type SignerInbox = Inbox<(Arc<Seal>, Answer)>;

/// One log as the signer sees it.
#[derive(Debug)]
pub(crate) struct Seal {
    pub(crate) record: Arc<LogRecord>,
    /// `None` only in a read-only process.
    pub(crate) keys: Option<LogKeys>,
    /// The committed tree.
    pub(crate) tree: Arc<Watch<TreeView>>,
    /// Written by the signer.
    pub(crate) signed: ArcSwap<SignedHead>,
}

impl Seal {
    /// A log is retired only while no server runs, so its row says whether it was.
    fn is_retired(&self) -> bool {
        self.record.state == LogState::Retired
    }
}

/// The signing of one log. Cloning it is cheap.
#[derive(Clone, Debug)]
pub(crate) struct Sign {
    seal: Arc<Seal>,
    inbox: Arc<SignerInbox>,
    read_only: bool,
}

impl Sign {
    pub(crate) fn new(seal: Arc<Seal>, inbox: Arc<SignerInbox>, read_only: bool) -> Self {
        Self { seal, inbox, read_only }
    }

    pub(crate) fn seal(&self) -> &Arc<Seal> {
        &self.seal
    }

    /// The newest head that is signed and journaled.
    pub(crate) fn signed(&self) -> Arc<SignedHead> {
        self.seal.signed.load_full()
    }

    /// The keys that verify the log's checkpoints; none in a read-only process without keys.
    pub(crate) fn verifier_keys(&self) -> Vec<VerifierKey> {
        self.seal.keys.as_ref().map(LogKeys::verifier_keys).unwrap_or_default()
    }

    /// Waits for a released head of at least `size`.
    pub(crate) async fn covering(&self, size: TreeSize) -> Result<Arc<SignedHead>, SignError> {
        let signed = self.signed();
        if signed.size() >= size {
            return Ok(signed);
        }
        let committed = self.seal.tree.load().head.size;
        if size > committed {
            return Err(SignError::BeyondSize { wanted: size, committed });
        }
        self.newest().await
    }

    /// Waits until the head that is newest now, or a later one, is released.
    pub(crate) async fn newest(&self) -> Result<Arc<SignedHead>, SignError> {
        if self.read_only {
            return Err(SignError::ReadOnly);
        }
        if !self.inbox.is_open() {
            return Err(SignError::ShuttingDown);
        }
        let (answer, answered) = oneshot::channel();
        let request = (Arc::clone(&self.seal), answer);
        let busy = |_| SignError::TooManyWaiting { retry_after: BUSY_RETRY_AFTER };
        self.inbox.push(request).map_err(busy)?;
        answered.await.unwrap_or(Err(SignError::ShuttingDown))
    }

    /// The note of a head that is journaled, signed with all keys of the log. Runs on a thread of
    /// its own, because ML-DSA-44 takes most of a millisecond, in which this thread could serve no
    /// request.
    pub(crate) async fn with_all_keys(&self, view: &Arc<TreeView>) -> Result<Bytes, SignError> {
        let (seal, view) = (Arc::clone(&self.seal), Arc::clone(view));
        tasks::blocking(move || seal.sign_all(&view)).await
    }
}

impl Seal {
    /// A view as a note with the signatures of all keys.
    pub(crate) fn sign_all(&self, view: &TreeView) -> Result<Bytes, SignError> {
        let keys = self.keys.as_ref().ok_or(SignError::ReadOnly)?;
        keys.sign_all(&self.record.origin, view).map_err(|error| {
            tracing::error!(log = %self.record.name, %error, "a key could not sign");
            SignError::KeyFailed
        })
    }
}
