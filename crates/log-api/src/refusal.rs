//! The one place where errors of the log become [`Refusal`]s, for both edges.
//!
//! What is wrong inside is logged here, once, and never sent: a caller learns only the kind of
//! failure.
#![deny(clippy::wildcard_enum_match_arm)]

use std::time::Duration;

use log_proto::log_v1::ErrorReason;
use serve::refusal::{Api, Kind, Refusal};

use log_core::read::ReadError;
use log_core::{AppendError, CreateError, EntryRefusal, FreezeError, SignError, WitnessError};
use storage::StorageError;

/// How this API names what every server refuses.
pub static API: Api = Api {
    domain: "cairn.log.v1",
    message_too_large: "BATCH_TOO_LARGE",
    deadline_passed: "deadline passed; an append may still be committed, a deduplication key finds it",
};
/// How long a caller is told to wait when the server is about to restart or to recover.
const RETRY_RESTART: Duration = Duration::from_secs(1);

/// The reason as `ErrorInfo` and metrics spell it: without the enum's prefix.
pub fn reason_name(reason: ErrorReason) -> &'static str {
    let name = reason.as_str_name();
    name.strip_prefix("ERROR_REASON_").unwrap_or(name)
}

fn refuse(kind: Kind, reason: ErrorReason) -> Refusal {
    Refusal::new(kind, reason_name(reason))
}

pub(crate) fn bad_field(field: &'static str, expected: &str) -> Refusal {
    refuse(Kind::Invalid, ErrorReason::BadField)
        .field(field)
        .says(format!("{field} must be {expected}"))
}

pub(crate) fn bad_hash(field: &'static str, bytes: usize) -> Refusal {
    refuse(Kind::Invalid, ErrorReason::BadHash)
        .field(field)
        .says(format!("{field} has {bytes} bytes, a hash has 32"))
}

pub(crate) fn bad_range(field: &'static str, expected: &str) -> Refusal {
    refuse(Kind::Invalid, ErrorReason::BadRange)
        .field(field)
        .says(format!("{field} must be {expected}"))
}

pub(crate) fn bad_producer_id(bytes: usize) -> Refusal {
    refuse(Kind::Invalid, ErrorReason::BadProducerId)
        .field("producer_id")
        .says(format!("producer_id has {bytes} bytes, it must have 16"))
}

pub(crate) fn bad_log_name() -> Refusal {
    refuse(Kind::BadName, ErrorReason::BadLogName)
        .field("log")
        .says(storage::BadLogName.to_string())
}

pub(crate) fn log_not_found(name: &str) -> Refusal {
    refuse(Kind::NotFound, ErrorReason::LogNotFound).says(format!("log {name} does not exist"))
}

pub(crate) fn entry_not_found() -> Refusal {
    refuse(Kind::NotFound, ErrorReason::EntryNotFound).says("log has no such entry")
}

pub(crate) fn beyond_size(field: &'static str, asked: u64, limit: u64) -> Refusal {
    refuse(Kind::OutOfRange, ErrorReason::BeyondSize)
        .field(field)
        .says(format!("{field} {asked} is beyond the size {limit}"))
}

pub(crate) fn too_many_streams(streams_max: usize) -> Refusal {
    refuse(Kind::Exhausted, ErrorReason::Overloaded)
        .retry(RETRY_RESTART)
        .says(format!("server has {streams_max} streams open, the most it takes"))
}

pub(crate) fn shutting_down() -> Refusal {
    refuse(Kind::Unavailable, ErrorReason::ShuttingDown)
        .retry(RETRY_RESTART)
        .says("server is shutting down")
}

/// Why one entry was refused, as a batch answers it by position and a single append as a whole.
pub(crate) fn entry_refusal(refusal: &EntryRefusal) -> (Kind, ErrorReason) {
    match refusal {
        EntryRefusal::Empty => (Kind::Invalid, ErrorReason::EmptyEntry),
        EntryRefusal::TooLarge { .. } => (Kind::TooLarge, ErrorReason::EntryTooLarge),
        EntryRefusal::BadDedupKey { .. } | EntryRefusal::DedupKeyNotTaken => {
            (Kind::Invalid, ErrorReason::BadDedupKey)
        }
        EntryRefusal::DigestWithoutKey
        | EntryRefusal::NoRoomForTime { .. }
        | EntryRefusal::TimeGiven
        | EntryRefusal::BadAttachments(_) => (Kind::Invalid, ErrorReason::BadField),
        EntryRefusal::DedupKeyConflict { .. } => (Kind::Exists, ErrorReason::DedupKeyConflict),
    }
}

fn entry_field(refusal: &EntryRefusal) -> &'static str {
    match refusal {
        EntryRefusal::Empty | EntryRefusal::TooLarge { .. } => "entry.data",
        // This API takes no attachments, digests and events, so these errors cannot come.
        EntryRefusal::DigestWithoutKey
        | EntryRefusal::NoRoomForTime { .. }
        | EntryRefusal::TimeGiven
        | EntryRefusal::BadAttachments(_) => "entry",
        EntryRefusal::BadDedupKey { .. }
        | EntryRefusal::DedupKeyNotTaken
        | EntryRefusal::DedupKeyConflict { .. } => "entry.dedup_key",
    }
}

/// An error of a module below, as the caller sees it.
pub trait IntoRefusal {
    /// As the caller sees it. What is wrong inside is logged, once.
    fn into_refusal(self) -> Refusal;
}

impl IntoRefusal for EntryRefusal {
    fn into_refusal(self) -> Refusal {
        let (kind, reason) = entry_refusal(&self);
        refuse(kind, reason).field(entry_field(&self)).says(self.to_string())
    }
}

impl IntoRefusal for AppendError {
    fn into_refusal(self) -> Refusal {
        let message = self.to_string();
        let invalid = |reason| refuse(Kind::Invalid, reason);
        let refused = |reason| refuse(Kind::Precondition, reason);
        let refusal = match self {
            Self::EmptyBatch => invalid(ErrorReason::EmptyBatch).field("entries"),
            Self::TooManyEntries { .. } | Self::TooManyBytes { .. } => {
                invalid(ErrorReason::BatchTooLarge).field("entries")
            }
            Self::StreamEntryRefused { refusal, .. } => {
                let (kind, reason) = entry_refusal(&refusal);
                refuse(kind, reason).field("entries")
            }
            Self::SequenceGap { .. } => refused(ErrorReason::SequenceGap).field("first_sequence"),
            Self::ProducerFenced => refuse(Kind::Aborted, ErrorReason::ProducerFenced),
            Self::EventsOnly => refused(ErrorReason::EventsOnly),
            // No call of this API appends events, so this error cannot come.
            Self::EntriesOnly => return bad_field("log", "an audit log"),
            Self::AuditSecretMissing => refused(ErrorReason::AuditSecretMissing),
            Self::Frozen => refused(ErrorReason::LogFrozen),
            Self::Retired => refused(ErrorReason::LogRetired),
            Self::ReadOnly => refused(ErrorReason::ReadOnly),
            Self::RolledBack => refused(ErrorReason::RolledBack),
            Self::WitnessesPending { retry_after } => {
                refuse(Kind::Unavailable, ErrorReason::WitnessesPending).retry(retry_after)
            }
            Self::QueueFull { retry_after } => {
                refuse(Kind::QueueFull, ErrorReason::QueueFull).retry(retry_after)
            }
            Self::DiskLow { retry_after, .. } => {
                refuse(Kind::Exhausted, ErrorReason::DiskLow).retry(retry_after)
            }
            Self::ShuttingDown => return shutting_down(),
            Self::NotCommitted { source } => return not_committed(&source),
            Self::OutcomeUnknown => {
                refuse(Kind::Unavailable, ErrorReason::OutcomeUnknown).retry(RETRY_RESTART)
            }
        };
        refusal.says(message)
    }
}

/// The system lacks files or disk space for a while; the stored data are fine.
fn passing() -> Refusal {
    refuse(Kind::Unavailable, ErrorReason::Overloaded)
        .retry(RETRY_RESTART)
        .says("server is out of open files or disk space for now")
}

/// Nothing was written, and nothing will be: the caller may send it again.
fn not_committed(source: &StorageError) -> Refusal {
    tracing::error!(error = %source, "a commit was not written");
    refuse(Kind::Unavailable, ErrorReason::Internal)
        .retry(RETRY_RESTART)
        .says("nothing was written, the store refused")
}

impl IntoRefusal for SignError {
    fn into_refusal(self) -> Refusal {
        let message = self.to_string();
        let refusal = match self {
            Self::BeyondSize { .. } => refuse(Kind::OutOfRange, ErrorReason::BeyondSize),
            Self::KeyFailed => {
                tracing::error!("a private key does not sign");
                return Refusal::internal();
            }
            Self::JournalUnavailable => {
                refuse(Kind::Unavailable, ErrorReason::JournalUnavailable).retry(RETRY_RESTART)
            }
            Self::Retired => refuse(Kind::Precondition, ErrorReason::LogRetired),
            Self::ReadOnly => refuse(Kind::Precondition, ErrorReason::ReadOnly),
            Self::TooManyWaiting { retry_after } => {
                refuse(Kind::QueueFull, ErrorReason::QueueFull).retry(retry_after)
            }
            Self::ShuttingDown => return shutting_down(),
        };
        refusal.says(message)
    }
}

impl IntoRefusal for WitnessError {
    fn into_refusal(self) -> Refusal {
        match self {
            Self::NoWitnessPolicy => refuse(Kind::Precondition, ErrorReason::NoWitnessPolicy)
                .field("receipt")
                .says("log has no witness policy: set `policy` under [logs.NAME]"),
            // The caller gets a receipt of the level below instead.
            Self::QuorumLost => Refusal::internal(),
            Self::ShuttingDown => shutting_down(),
        }
    }
}

impl IntoRefusal for CreateError {
    fn into_refusal(self) -> Refusal {
        let message = self.to_string();
        let refusal = match self {
            Self::BadName { .. } => refuse(Kind::BadName, ErrorReason::BadLogName).field("log"),
            Self::BadOrigin { .. } => refuse(Kind::Invalid, ErrorReason::BadOrigin).field("origin"),
            Self::AuditDeduplicates => {
                refuse(Kind::Invalid, ErrorReason::BadField).field("deduplicate_entries")
            }
            Self::NameTaken { .. } => refuse(Kind::Exists, ErrorReason::LogExists).field("log"),
            Self::OriginTaken { .. } => {
                refuse(Kind::Exists, ErrorReason::OriginExists).field("origin")
            }
            Self::TooManyLogs { .. } => refuse(Kind::Exhausted, ErrorReason::TooManyLogs),
            Self::ReadOnly => refuse(Kind::Precondition, ErrorReason::ReadOnly),
            Self::ShuttingDown => return shutting_down(),
            Self::Keyring(error) if error.is_passing() => {
                tracing::warn!(%error, "the keys of a new log could not be made for now");
                return passing();
            }
            Self::Keyring(error) => {
                tracing::error!(%error, "the keys of a new log could not be made");
                return Refusal::internal();
            }
            Self::NotCommitted { source } => return not_committed(&source),
            Self::OutcomeUnknown => {
                refuse(Kind::Unavailable, ErrorReason::OutcomeUnknown).retry(RETRY_RESTART)
            }
            Self::Sign(error) => return error.into_refusal(),
        };
        refusal.says(message)
    }
}

impl IntoRefusal for FreezeError {
    fn into_refusal(self) -> Refusal {
        match self {
            Self::Append(error) => error.into_refusal(),
            Self::Sign(error) => error.into_refusal(),
        }
    }
}

impl IntoRefusal for ReadError {
    fn into_refusal(self) -> Refusal {
        let message = self.to_string();
        match self {
            Self::BeyondSize { field, asked, size } => beyond_size(field, asked, size.get()),
            Self::BadIndexes => {
                refuse(Kind::Invalid, ErrorReason::BadRange).field("leaf_indexes").says(message)
            }
            Self::BackwardSizes { .. } => {
                refuse(Kind::Invalid, ErrorReason::BadRange).field("from_size").says(message)
            }
            Self::Corrupt { .. } | Self::Storage(StorageError::Corrupt(_)) => {
                tracing::error!(error = %message, "stored data do not match the tree");
                refuse(Kind::DataLoss, ErrorReason::Corrupt)
                    .says("stored data do not match the tree; run `cairn-server fsck`")
            }
            Self::NeedsDisk => {
                tracing::error!("a read from memory was answered as a failure");
                Refusal::internal()
            }
            Self::Storage(error) => storage(&error),
        }
    }
}

impl IntoRefusal for StorageError {
    fn into_refusal(self) -> Refusal {
        storage(&self)
    }
}

fn storage(error: &StorageError) -> Refusal {
    if error.is_passing() {
        tracing::warn!(%error, "a read of the store failed for now");
        return passing();
    }
    tracing::error!(%error, "a read of the store failed");
    match error {
        StorageError::Corrupt(_) => refuse(Kind::DataLoss, ErrorReason::Corrupt)
            .says("stored data do not match the tree; run `cairn-server fsck`"),
        StorageError::Io { .. }
        | StorageError::Engine { .. }
        | StorageError::WalDamaged { .. }
        | StorageError::InUse { .. }
        | StorageError::Layout { .. }
        | StorageError::NotAStore { .. }
        | StorageError::StillInFiles { .. }
        | StorageError::Poisoned
        | StorageError::ReadOnly
        | StorageError::Contract { .. }
        | StorageError::Injected { .. } => Refusal::internal(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reasons are a part of the API, whoever refuses.
    #[test]
    fn what_every_server_refuses_has_reasons_of_this_api() {
        let message_too_large = Refusal::new(Kind::TooLarge, API.message_too_large);
        for refusal in [Refusal::internal(), Refusal::deadline_passed(&API), message_too_large] {
            let reason = format!("ERROR_REASON_{}", refusal.reason.unwrap());
            assert!(ErrorReason::from_str_name(&reason).is_some(), "{reason}");
        }
    }

    /// Out of files or space is for a while; any other trouble of the disk is not.
    #[test]
    fn what_passes_is_retryable_and_what_does_not_is_not() {
        // EMFILE, ENFILE, ENOSPC and EDQUOT on Linux; EIO is a broken disk.
        for (code, expected) in [
            (24, Kind::Unavailable),
            (23, Kind::Unavailable),
            (28, Kind::Unavailable),
            (122, Kind::Unavailable),
            (5, Kind::Internal),
        ] {
            let failed = std::io::Error::from_raw_os_error(code);
            let refusal = StorageError::io("/data/db", failed).into_refusal();
            assert_eq!(refusal.kind, expected, "{code}");
            assert_eq!(refusal.retry_after.is_some(), expected == Kind::Unavailable, "{code}");
            assert!(!refusal.to_string().contains("/data"), "{refusal}");
        }
    }

    #[test]
    fn entries_and_names_have_the_http_status_that_tools_expect() {
        let queue_full = AppendError::QueueFull { retry_after: RETRY_RESTART };
        for (refusal, status) in [
            (EntryRefusal::Empty.into_refusal(), 400),
            (bad_log_name(), 404),
            (log_not_found("a"), 404),
            (queue_full.into_refusal(), 429),
            (AppendError::OutcomeUnknown.into_refusal(), 503),
            (AppendError::Frozen.into_refusal(), 409),
            (storage(&StorageError::Poisoned), 500),
        ] {
            assert_eq!(refusal.kind.http().as_u16(), status, "{refusal}");
        }
    }
}
