//! The one place where errors become gRPC statuses, with `google.rpc` details: `ErrorInfo` always,
//! `BadRequest` where a field is at fault, `RetryInfo` where the same call may be sent again.
//!
//! What is wrong inside is logged here, once, and never sent: a caller learns the kind of failure.
#![deny(clippy::wildcard_enum_match_arm)]

use std::time::Duration;

use log_proto::log_v1::ErrorReason;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use log_core::read::ReadError;
use log_core::{AppendError, CreateError, EntryRefusal, FreezeError, SignError, WitnessError};
use storage::StorageError;

/// The domain of every `ErrorInfo`.
pub const DOMAIN: &str = "cairn.log.v1";
/// What a caller is told to wait when the server is about to restart or to recover.
const RETRY_RESTART: Duration = Duration::from_secs(1);

/// A status in the making.
#[derive(Debug)]
struct Refusal {
    code: Code,
    reason: ErrorReason,
    field: Option<&'static str>,
    retry_after: Option<Duration>,
}

impl Refusal {
    const fn new(code: Code, reason: ErrorReason) -> Self {
        Self { code, reason, field: None, retry_after: None }
    }

    const fn field(mut self, field: &'static str) -> Self {
        self.field = Some(field);
        self
    }

    const fn retry(mut self, after: Duration) -> Self {
        self.retry_after = Some(after);
        self
    }

    fn says(self, message: impl Into<String>) -> Status {
        let message = message.into();
        let mut details = ErrorDetails::new();
        details.set_error_info(reason_name(self.reason), DOMAIN, []);
        if let Some(field) = self.field {
            details.add_bad_request_violation(field, message.as_str());
        }
        if self.retry_after.is_some() {
            details.set_retry_info(self.retry_after);
        }
        Status::with_error_details(self.code, message, details)
    }
}

/// The reason as `ErrorInfo` and metrics spell it: without the enum's prefix.
pub fn reason_name(reason: ErrorReason) -> &'static str {
    let name = reason.as_str_name();
    name.strip_prefix("ERROR_REASON_").unwrap_or(name)
}

/// The reason in a status made here.
pub fn reason_of(status: &Status) -> Option<String> {
    status.get_details_error_info().map(|info| info.reason)
}

/// A reason as a label with a bounded set of values.
pub(crate) fn known_reason(reason: &str) -> &'static str {
    let full = format!("ERROR_REASON_{reason}");
    ErrorReason::from_str_name(&full).map_or("UNKNOWN", reason_name)
}

/// How long a refused caller should wait, in a status made here.
pub fn retry_after(status: &Status) -> Option<Duration> {
    status.get_details_retry_info().and_then(|info| info.retry_delay)
}

// Refusals of the layers before a handler.

/// What a layer refused before any handler.
pub fn of_layer(refused: &serve::middleware::Refusal) -> Status {
    use serve::middleware::Refusal as Layer;

    let refusal = match refused {
        Layer::Panicked => Refusal::new(Code::Internal, ErrorReason::Internal),
        Layer::HeadersTooLarge { .. } => {
            Refusal::new(Code::ResourceExhausted, ErrorReason::BadField).field("headers")
        }
        Layer::NoSuchPath => return no_such_path(),
        Layer::BodyTooLarge { .. } => {
            Refusal::new(Code::InvalidArgument, ErrorReason::EntryTooLarge).field("body")
        }
        Layer::Overloaded { retry_after } => {
            Refusal::new(Code::ResourceExhausted, ErrorReason::Overloaded).retry(*retry_after)
        }
        Layer::BadTimeout => {
            Refusal::new(Code::InvalidArgument, ErrorReason::BadField).field("grpc-timeout")
        }
        Layer::DeadlinePassed => return deadline(),
    };
    refusal.says(refused.to_string())
}

pub fn no_such_path() -> Status {
    Status::unimplemented("no such path")
}

pub(crate) fn deadline() -> Status {
    Refusal::new(Code::DeadlineExceeded, ErrorReason::Deadline)
        .says("deadline passed; an append may still be committed, a deduplication key finds it")
}

/// A refusal of tonic's, which has no details, as one of ours: of a message it would not read.
pub(crate) fn of_tonic(status: Status) -> Status {
    if !status.details().is_empty() {
        return status;
    }
    let message = status.message();
    if status.code() == Code::OutOfRange {
        // It says both numbers, in a sentence of its own.
        let numbers = message.split(|byte: char| !byte.is_ascii_digit());
        let mut numbers = numbers.filter_map(|number| number.parse::<u64>().ok());
        let (Some(bytes), Some(bytes_max)) = (numbers.next(), numbers.next()) else {
            return status;
        };
        return Refusal::new(Code::InvalidArgument, ErrorReason::BatchTooLarge)
            .field("message")
            .says(format!("message has {bytes} bytes, the limit is {bytes_max}"));
    }
    if status.code() == Code::Internal && message.starts_with("failed to decode") {
        return Refusal::new(Code::InvalidArgument, ErrorReason::BadField)
            .field("message")
            .says("message is not that of the method");
    }
    status
}

/// The same for an answer that is nothing but a refusal. Any other costs one look at its headers.
pub fn of_answer<B: Default>(response: http::Response<B>) -> http::Response<B> {
    let headers = response.headers();
    if !headers.contains_key(Status::GRPC_STATUS)
        || headers.contains_key(Status::GRPC_STATUS_DETAILS)
    {
        return response;
    }
    match Status::from_header_map(headers).map(of_tonic) {
        Some(status) if !status.details().is_empty() => status.into_http(),
        _ => response,
    }
}

// Refusals of a handler.

pub(crate) fn bad_field(field: &'static str, expected: &str) -> Status {
    Refusal::new(Code::InvalidArgument, ErrorReason::BadField)
        .field(field)
        .says(format!("{field} must be {expected}"))
}

pub(crate) fn bad_hash(field: &'static str, bytes: usize) -> Status {
    Refusal::new(Code::InvalidArgument, ErrorReason::BadHash)
        .field(field)
        .says(format!("{field} has {bytes} bytes, a hash has 32"))
}

pub(crate) fn bad_range(field: &'static str, expected: &str) -> Status {
    Refusal::new(Code::InvalidArgument, ErrorReason::BadRange)
        .field(field)
        .says(format!("{field} must be {expected}"))
}

pub(crate) fn bad_producer_id(bytes: usize) -> Status {
    Refusal::new(Code::InvalidArgument, ErrorReason::BadProducerId)
        .field("producer_id")
        .says(format!("producer_id has {bytes} bytes, it must have 16"))
}

pub(crate) fn bad_log_name() -> Status {
    Refusal::new(Code::InvalidArgument, ErrorReason::BadLogName)
        .field("log")
        .says(storage::BadLogName.to_string())
}

pub(crate) fn log_not_found(name: &str) -> Status {
    Refusal::new(Code::NotFound, ErrorReason::LogNotFound)
        .says(format!("log {name} does not exist"))
}

pub(crate) fn entry_not_found() -> Status {
    Refusal::new(Code::NotFound, ErrorReason::EntryNotFound).says("log has no such entry")
}

pub(crate) fn beyond_size(field: &'static str, asked: u64, limit: u64) -> Status {
    Refusal::new(Code::OutOfRange, ErrorReason::BeyondSize)
        .field(field)
        .says(format!("{field} {asked} is beyond the size {limit}"))
}

pub(crate) fn too_many_streams(streams_max: usize) -> Status {
    Refusal::new(Code::ResourceExhausted, ErrorReason::Overloaded)
        .retry(RETRY_RESTART)
        .says(format!("server has {streams_max} streams open, the most it takes"))
}

pub(crate) fn shutting_down() -> Status {
    Refusal::new(Code::Unavailable, ErrorReason::ShuttingDown)
        .retry(RETRY_RESTART)
        .says("server is shutting down")
}

/// A task of the server ended before it answered. Logged where it happened.
pub(crate) fn internal() -> Status {
    of_layer(&serve::middleware::Refusal::Panicked)
}

/// Why one entry was refused, as a batch answers it by position and a single append as its status.
pub(crate) fn entry_refusal(refusal: &EntryRefusal) -> (Code, ErrorReason) {
    match refusal {
        EntryRefusal::Empty => (Code::InvalidArgument, ErrorReason::EmptyEntry),
        EntryRefusal::TooLarge { .. } => (Code::InvalidArgument, ErrorReason::EntryTooLarge),
        EntryRefusal::BadDedupKey { .. } | EntryRefusal::DedupKeyNotTaken => {
            (Code::InvalidArgument, ErrorReason::BadDedupKey)
        }
        EntryRefusal::DedupKeyConflict { .. } => {
            (Code::AlreadyExists, ErrorReason::DedupKeyConflict)
        }
    }
}

fn entry_field(refusal: &EntryRefusal) -> &'static str {
    match refusal {
        EntryRefusal::Empty | EntryRefusal::TooLarge { .. } => "entry.data",
        EntryRefusal::BadDedupKey { .. }
        | EntryRefusal::DedupKeyNotTaken
        | EntryRefusal::DedupKeyConflict { .. } => "entry.dedup_key",
    }
}

/// An error of a module below, as the caller sees it.
pub(crate) trait IntoStatus {
    fn into_status(self) -> Status;
}

impl IntoStatus for EntryRefusal {
    fn into_status(self) -> Status {
        let (code, reason) = entry_refusal(&self);
        Refusal::new(code, reason).field(entry_field(&self)).says(self.to_string())
    }
}

impl IntoStatus for AppendError {
    fn into_status(self) -> Status {
        let message = self.to_string();
        let invalid = |reason| Refusal::new(Code::InvalidArgument, reason);
        let refused = |reason| Refusal::new(Code::FailedPrecondition, reason);
        let refusal = match self {
            Self::EmptyBatch => invalid(ErrorReason::EmptyBatch).field("entries"),
            Self::TooManyEntries { .. } | Self::TooManyBytes { .. } => {
                invalid(ErrorReason::BatchTooLarge).field("entries")
            }
            Self::StreamEntryRefused { refusal, .. } => {
                let (code, reason) = entry_refusal(&refusal);
                Refusal::new(code, reason).field("entries")
            }
            Self::SequenceGap { .. } => refused(ErrorReason::SequenceGap).field("first_sequence"),
            Self::ProducerFenced => Refusal::new(Code::Aborted, ErrorReason::ProducerFenced),
            Self::Frozen => refused(ErrorReason::LogFrozen),
            Self::Retired => refused(ErrorReason::LogRetired),
            Self::ReadOnly => refused(ErrorReason::ReadOnly),
            Self::RolledBack => refused(ErrorReason::RolledBack),
            Self::WitnessesPending { retry_after } => {
                Refusal::new(Code::Unavailable, ErrorReason::WitnessesPending).retry(retry_after)
            }
            Self::QueueFull { retry_after } => {
                Refusal::new(Code::ResourceExhausted, ErrorReason::QueueFull).retry(retry_after)
            }
            Self::DiskLow { retry_after, .. } => {
                Refusal::new(Code::ResourceExhausted, ErrorReason::DiskLow).retry(retry_after)
            }
            Self::ShuttingDown => return shutting_down(),
            Self::NotCommitted { source } => return not_committed(&source),
            Self::OutcomeUnknown => {
                Refusal::new(Code::Unavailable, ErrorReason::OutcomeUnknown).retry(RETRY_RESTART)
            }
        };
        refusal.says(message)
    }
}

/// Nothing was written, and nothing will be: the caller may send it again.
fn not_committed(source: &StorageError) -> Status {
    tracing::error!(error = %source, "a commit was not written");
    Refusal::new(Code::Unavailable, ErrorReason::Internal)
        .retry(RETRY_RESTART)
        .says("nothing was written, the store refused")
}

impl IntoStatus for SignError {
    fn into_status(self) -> Status {
        let message = self.to_string();
        let refusal = match self {
            Self::BeyondSize { .. } => Refusal::new(Code::OutOfRange, ErrorReason::BeyondSize),
            Self::KeyFailed => {
                tracing::error!("a private key does not sign");
                return internal();
            }
            Self::JournalUnavailable => {
                Refusal::new(Code::Unavailable, ErrorReason::JournalUnavailable)
                    .retry(RETRY_RESTART)
            }
            Self::ClockBehind { .. } => {
                Refusal::new(Code::Unavailable, ErrorReason::ClockBehind).retry(RETRY_RESTART)
            }
            Self::Retired => Refusal::new(Code::FailedPrecondition, ErrorReason::LogRetired),
            Self::ReadOnly => Refusal::new(Code::FailedPrecondition, ErrorReason::ReadOnly),
            Self::ShuttingDown => return shutting_down(),
        };
        refusal.says(message)
    }
}

impl IntoStatus for WitnessError {
    fn into_status(self) -> Status {
        match self {
            Self::NoWitnessPolicy => {
                Refusal::new(Code::FailedPrecondition, ErrorReason::NoWitnessPolicy)
                    .field("receipt")
                    .says("log has no witness policy: set `policy` under [logs.NAME]")
            }
            // Callers get the level below instead.
            Self::QuorumLost => internal(),
            Self::ShuttingDown => shutting_down(),
        }
    }
}

impl IntoStatus for CreateError {
    fn into_status(self) -> Status {
        let message = self.to_string();
        let refusal = match self {
            Self::BadName { .. } => {
                Refusal::new(Code::InvalidArgument, ErrorReason::BadLogName).field("log")
            }
            Self::BadOrigin { .. } => {
                Refusal::new(Code::InvalidArgument, ErrorReason::BadOrigin).field("origin")
            }
            Self::NameTaken { .. } => {
                Refusal::new(Code::AlreadyExists, ErrorReason::LogExists).field("log")
            }
            Self::OriginTaken { .. } => {
                Refusal::new(Code::AlreadyExists, ErrorReason::OriginExists).field("origin")
            }
            Self::TooManyLogs { .. } => {
                Refusal::new(Code::ResourceExhausted, ErrorReason::TooManyLogs)
            }
            Self::ReadOnly => Refusal::new(Code::FailedPrecondition, ErrorReason::ReadOnly),
            Self::ShuttingDown => return shutting_down(),
            Self::Keyring(error) => {
                tracing::error!(%error, "the keys of a new log could not be made");
                return internal();
            }
            Self::NotCommitted { source } => return not_committed(&source),
            Self::OutcomeUnknown => {
                Refusal::new(Code::Unavailable, ErrorReason::OutcomeUnknown).retry(RETRY_RESTART)
            }
            Self::Sign(error) => return error.into_status(),
        };
        refusal.says(message)
    }
}

impl IntoStatus for FreezeError {
    fn into_status(self) -> Status {
        match self {
            Self::Append(error) => error.into_status(),
            Self::Sign(error) => error.into_status(),
        }
    }
}

impl IntoStatus for ReadError {
    fn into_status(self) -> Status {
        let message = self.to_string();
        match self {
            Self::BeyondSize { field, asked, size } => beyond_size(field, asked, size.get()),
            Self::BadIndexes => Refusal::new(Code::InvalidArgument, ErrorReason::BadRange)
                .field("leaf_indexes")
                .says(message),
            Self::BackwardSizes { .. } => {
                Refusal::new(Code::InvalidArgument, ErrorReason::BadRange)
                    .field("from_size")
                    .says(message)
            }
            Self::Corrupt { .. } | Self::Storage(StorageError::Corrupt(_)) => {
                tracing::error!(error = %message, "stored data do not match the tree");
                Refusal::new(Code::DataLoss, ErrorReason::Corrupt)
                    .says("stored data do not match the tree; run `cairn-server fsck`")
            }
            Self::NeedsDisk => {
                tracing::error!("a read from memory was answered as a failure");
                internal()
            }
            Self::Storage(error) => storage(&error),
        }
    }
}

impl IntoStatus for StorageError {
    fn into_status(self) -> Status {
        storage(&self)
    }
}

fn storage(error: &StorageError) -> Status {
    tracing::error!(%error, "a read of the store failed");
    match error {
        StorageError::Corrupt(_) => Refusal::new(Code::DataLoss, ErrorReason::Corrupt)
            .says("stored data do not match the tree; run `cairn-server fsck`"),
        StorageError::Io { .. }
        | StorageError::Engine { .. }
        | StorageError::WalDamaged { .. }
        | StorageError::InUse { .. }
        | StorageError::Layout { .. }
        | StorageError::NotAStore { .. }
        | StorageError::Poisoned
        | StorageError::ReadOnly
        | StorageError::Contract { .. }
        | StorageError::Injected { .. } => internal(),
    }
}
