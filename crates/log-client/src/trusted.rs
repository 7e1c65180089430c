//! What is remembered of a log: one checkpoint, moved only by proof.
//!
//! A [`TrustedStore`] is a folder with one small file for each log **key**: `<hash>.checkpoint`, its name
//! the first 16 bytes, in hex, of SHA-256(origin, newline, verifier key), its content the signed
//! checkpoint as it came. Another key is another log. The file is verified again whenever it is read.
//!
//! The first checkpoint of a log is taken as it is; every later one must be proven to continue it, and
//! sizes only grow. A file is replaced whole: written beside it, synced, renamed. A lock file keeps two
//! processes from moving it at once; readers need no lock.

use std::{
    fs::File,
    io::{self, ErrorKind},
    path::{Path, PathBuf},
};

use formats::{Origin, Trust, VerifiedCheckpoint, VerifierKey};
use merkle::{Hash, TreeSize};

use crate::{
    durable,
    fork::Fork,
    verify::{self, CheckpointVerifier, VerifyError},
};

/// The longest checkpoint file that is read, in bytes: the limit of signed notes.
const FILE_BYTES_MAX: u64 = 128 * 1024;

/// A folder of trusted checkpoints. Its methods block; they are quick, but sync files.
#[derive(Clone, Debug)]
pub struct TrustedStore {
    dir: PathBuf,
}

/// Which log: an origin and the key that signs for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogKey {
    origin: Origin,
    key: VerifierKey,
}

impl LogKey {
    /// The log of this origin: its first key among those that `trust` believes.
    pub fn of(trust: &Trust, origin: &Origin) -> Option<Self> {
        let is_of = |key: &&VerifierKey| key.name().as_str() == origin.as_str();
        let key = match trust {
            Trust::Keys(keys) => keys.iter().find(is_of).cloned(),
            Trust::Policy(policy) => {
                policy.logs().iter().map(formats::policy::Log::key).find(is_of).cloned()
            }
        };
        key.map(|key| Self { origin: origin.clone(), key })
    }

    /// The first line of the log's checkpoints.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    fn file_stem(&self) -> String {
        let id = format!("{}\n{}", self.origin.as_str(), self.key);
        // A leaf hash serves as the hash here: SHA-256 behind a zero byte.
        let hash = merkle::leaf_hash(id.as_bytes()).to_string();
        hash[..32].to_owned()
    }
}

/// What became of a checkpoint that was offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Advance {
    /// It is the first of its log, and trusted from now on.
    First,
    /// It continues the one trusted before, and takes its place.
    Moved {
        /// The size trusted before.
        from: TreeSize,
    },
    /// It is the head that is trusted already.
    Unchanged,
    /// It is older than the trusted one, and consistent with it.
    Older,
}

/// Why a checkpoint is not trusted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrustedError {
    /// It contradicts the one trusted: evidence.
    #[error("{0}")]
    Fork(Box<Fork>),
    /// It was not proven to be consistent with the trusted one. That alone is no evidence.
    #[error(
        "checkpoint of size {offered} is not proven consistent with the trusted one of size {trusted}"
    )]
    Unproven {
        /// The size offered.
        offered: TreeSize,
        /// The size trusted.
        trusted: TreeSize,
        /// Why not.
        #[source]
        source: VerifyError,
    },
    /// The file system failed.
    #[error("trusted checkpoint {path:?}: cannot {action}")]
    Io {
        /// What was being done.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// The stored file does not verify: it was changed, or is of another log.
    #[error("trusted checkpoint {path:?} does not verify")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: VerifyError,
    },
    /// The checkpoint that is offered is of another log.
    #[error("checkpoint is of the log {found}, not {expected}")]
    OtherLog {
        /// The log asked for.
        expected: Origin,
        /// The log it is of.
        found: Origin,
    },
}

impl TrustedError {
    /// Whether the trouble is with the store's own folder and files: it says nothing about the log.
    pub fn is_local(&self) -> bool {
        match self {
            Self::Io { .. } | Self::Damaged { .. } => true,
            Self::Fork(_) | Self::Unproven { .. } | Self::OtherLog { .. } => false,
        }
    }
}

impl TrustedStore {
    /// Opens a folder, made if absent.
    pub fn open(dir: impl Into<PathBuf>) -> Result<Self, TrustedError> {
        let dir = dir.into();
        std::fs::create_dir_all(&dir).map_err(io_error("make the folder", &dir))?;
        Ok(Self { dir })
    }

    /// Where the checkpoint of this log lies.
    pub fn path(&self, log: &LogKey) -> PathBuf {
        self.dir.join(format!("{}.checkpoint", log.file_stem()))
    }

    /// The trusted checkpoint of a log, if there is one; verified anew.
    pub fn current(
        &self,
        log: &LogKey,
        trust: &impl CheckpointVerifier,
    ) -> Result<Option<VerifiedCheckpoint>, TrustedError> {
        let path = self.path(log);
        let Some(bytes) = read(&path)? else { return Ok(None) };
        let damaged = |source| TrustedError::Damaged { path: path.clone(), source };
        let verified = trust.verify_note(&bytes).map_err(damaged)?;
        if log.origin != *verified.origin() {
            let (from, to) = (verified.origin().clone(), log.origin.clone());
            return Err(damaged(VerifyError::OtherLog { from, to }));
        }
        Ok(Some(verified))
    }

    /// Offers a checkpoint, with the consistency proof between it and the trusted one, from the smaller
    /// size to the larger; empty for equal sizes and for a first one. On success it is trusted durably,
    /// unless a larger one is.
    pub fn advance(
        &self,
        log: &LogKey,
        trust: &impl CheckpointVerifier,
        offered: &VerifiedCheckpoint,
        proof: &[Hash],
    ) -> Result<Advance, TrustedError> {
        same_log(log, offered)?;
        let _lock = self.lock(log)?;
        let Some(trusted) = self.current(log, trust)? else {
            if let Some(fork) = Fork::of_empty(offered) {
                return Err(TrustedError::Fork(Box::new(fork)));
            }
            self.replace(log, offered)?;
            return Ok(Advance::First);
        };
        let step = judge(&trusted, offered, proof)?;
        if let Advance::Moved { .. } = step {
            self.replace(log, offered)?;
        }
        Ok(step)
    }

    /// The commit point is the rename inside.
    fn replace(&self, log: &LogKey, checkpoint: &VerifiedCheckpoint) -> Result<(), TrustedError> {
        let path = self.path(log);
        durable::replace(&path, checkpoint.as_bytes()).map_err(io_error("replace", &path))
    }

    /// Waits for the lock of this log. Released when the file is dropped.
    fn lock(&self, log: &LogKey) -> Result<File, TrustedError> {
        let path = self.dir.join(format!("{}.lock", log.file_stem()));
        let file = durable::lock_file(&path).map_err(io_error("open", &path))?;
        file.lock().map_err(io_error("lock", &path))?;
        Ok(file)
    }
}

/// Whether a checkpoint may take the place of, or stand beside, the trusted one. Pure.
pub fn judge(
    trusted: &VerifiedCheckpoint,
    offered: &VerifiedCheckpoint,
    proof: &[Hash],
) -> Result<Advance, TrustedError> {
    if let Some(fork) = Fork::of_empty(offered).or_else(|| Fork::of_same_size(trusted, offered)) {
        return Err(TrustedError::Fork(Box::new(fork)));
    }
    let older = offered.size() < trusted.size();
    let (from, to) = if older { (offered, trusted) } else { (trusted, offered) };
    verify::consistency(from, to, proof).map_err(|source| TrustedError::Unproven {
        offered: offered.size(),
        trusted: trusted.size(),
        source,
    })?;
    Ok(match offered.size().cmp(&trusted.size()) {
        std::cmp::Ordering::Less => Advance::Older,
        std::cmp::Ordering::Equal => Advance::Unchanged,
        std::cmp::Ordering::Greater => Advance::Moved { from: trusted.size() },
    })
}

fn same_log(log: &LogKey, checkpoint: &VerifiedCheckpoint) -> Result<(), TrustedError> {
    if log.origin == *checkpoint.origin() {
        return Ok(());
    }
    let (expected, found) = (log.origin.clone(), checkpoint.origin().clone());
    Err(TrustedError::OtherLog { expected, found })
}

fn read(path: &Path) -> Result<Option<Vec<u8>>, TrustedError> {
    use std::io::Read as _;
    let file = match File::open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(io_error("open", path))?,
    };
    let mut bytes = Vec::new();
    // One byte more than can be valid, so that a longer file is seen as one.
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(io_error("read", path))?;
    Ok(Some(bytes))
}

fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> TrustedError {
    let path = path.to_owned();
    move |source| TrustedError::Io { action, path, source }
}
