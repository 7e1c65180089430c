//! What can go wrong in a call, sorted by what the caller can do about it.
//!
//! The server answers errors with `google.rpc` details. [`ClientError::from`] reads them and sorts every
//! status into one of four variants: wait and send again, find out with the same key, change the
//! request, or call the operator.

use std::{fmt, io::ErrorKind, time::Duration};

use base::error::with_sources;
pub use log_proto::log_v1::ErrorReason;
use tls::{AddressError, AuthoritiesError};
pub use tonic::Code;
use tonic::Status;
use tonic_types::StatusExt as _;

/// The `ErrorInfo` domain whose reasons are [`ErrorReason`]s.
const ERROR_DOMAIN: &str = "cairn.log.v1";

/// Why a call did not give what was asked for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// Nothing was done; the same call may be sent again after [`ClientError::retry_after`].
    #[error("server cannot take the call now: {0}")]
    Busy(Box<ServerError>),
    /// No connection came about, so that nothing was sent.
    #[error("server cannot be reached: {0}")]
    Unreachable(Box<ServerError>),
    /// This machine is short of something, open files for one, so that nothing was sent. It passes.
    #[error("this machine cannot connect now: {0}")]
    Exhausted(Box<ServerError>),
    /// A call that changes nothing was broken off.
    #[error("no answer came: {0}")]
    NoAnswer(Box<ServerError>),
    /// The connection or the server failed while the call was under way: it may or may not have been
    /// done. An append is sent again with the same deduplication key, a read simply again.
    #[error("outcome of the call is not known: {0}")]
    OutcomeUnknown(Box<ServerError>),
    /// The request is at fault, and will fail again until it is changed.
    #[error("server refused the request: {0}")]
    Refused(Box<ServerError>),
    /// The server is at fault; its operator has to act.
    #[error("server failed: {0}")]
    Operator(Box<ServerError>),
    /// The address of the server is not one.
    #[error("server address {0}")]
    Address(#[from] AddressError),
    /// The address is one of HTTPS, and nobody can say which server to believe.
    #[error(transparent)]
    Authorities(#[from] AuthoritiesError),
    /// The server's answer breaks the API's promises; nothing of it was used.
    #[error("answer to {call} is not valid")]
    BadAnswer {
        /// The RPC that was answered.
        call: &'static str,
        /// Which promise it breaks.
        #[source]
        source: AnswerError,
    },
}

/// What the caller of a failed call can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Advice {
    /// Send the same call again, with the same deduplication keys, after a pause.
    Retry,
    /// Change the request; as it is, it fails again.
    FixRequest,
    /// The server or its operator is at fault.
    Operator,
}

impl ClientError {
    /// What to do about this error.
    pub fn advice(&self) -> Advice {
        match self {
            Self::Busy(_)
            | Self::Unreachable(_)
            | Self::Exhausted(_)
            | Self::NoAnswer(_)
            | Self::OutcomeUnknown(_) => Advice::Retry,
            Self::Refused(_) | Self::Address(_) | Self::Authorities(_) => Advice::FixRequest,
            Self::Operator(_) | Self::BadAnswer { .. } => Advice::Operator,
        }
    }

    /// How long the server asked to wait before the same call is sent again, if it said so.
    pub fn retry_after(&self) -> Option<Duration> {
        self.server().and_then(|error| error.retry_after)
    }

    /// What the server said, unless the error arose on this side.
    pub fn server(&self) -> Option<&ServerError> {
        match self {
            Self::Busy(error)
            | Self::Unreachable(error)
            | Self::Exhausted(error)
            | Self::NoAnswer(error)
            | Self::OutcomeUnknown(error)
            | Self::Refused(error)
            | Self::Operator(error) => Some(error),
            Self::Address(_) | Self::Authorities(_) | Self::BadAnswer { .. } => None,
        }
    }

    /// The reason the server gave; `Unspecified` if it gave none.
    pub fn reason(&self) -> ErrorReason {
        self.server().map_or(ErrorReason::Unspecified, |error| error.reason)
    }

    /// Whether a call that changes something may have been done all the same.
    pub fn outcome_is_unknown(&self) -> bool {
        match self {
            Self::OutcomeUnknown(_) | Self::BadAnswer { .. } => true,
            Self::Busy(_)
            | Self::Unreachable(_)
            | Self::Exhausted(_)
            | Self::NoAnswer(_)
            | Self::Refused(_)
            | Self::Operator(_)
            | Self::Address(_)
            | Self::Authorities(_) => false,
        }
    }

    /// The error of a call that was sent before, with an outcome that is not known, and again with this one.
    pub(crate) fn after(self, unknown: Option<Box<ServerError>>) -> Self {
        match unknown {
            Some(mut before) if !self.outcome_is_unknown() => {
                before.message = format!("{}, and later {self}", before.message);
                before.retry_after = self.retry_after();
                Self::OutcomeUnknown(before)
            }
            _ => self,
        }
    }

    /// One sentence for a person: what to do next.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Address(_) => "give the server as http://HOST:PORT or https://HOST:PORT",
            Self::Authorities(_) => {
                "install ca-certificates, or pin the server's key: https://HOST:PORT#sha256//PIN"
            }
            Self::BadAnswer { .. } => {
                "check that client and server speak the same version, and keep the answer for the operator"
            }
            Self::Unreachable(_) => "check that the server runs and that its address is right",
            Self::Exhausted(_) => {
                "wait until other programs need less, or raise the limit: `ulimit -n` for open files"
            }
            Self::Busy(error)
            | Self::NoAnswer(error)
            | Self::OutcomeUnknown(error)
            | Self::Refused(error)
            | Self::Operator(error) => reason_hint(error.reason, self.advice()),
        }
    }
}

/// An error status as the server sent it, its details decoded.
#[derive(Clone, Debug)]
pub struct ServerError {
    /// The gRPC status code.
    pub code: Code,
    /// The stable reason; `Unspecified` if the status named none this client knows.
    pub reason: ErrorReason,
    /// One sentence for a person.
    pub message: String,
    /// The field of the request at fault.
    pub field: Option<String>,
    /// How long to wait before the same call is sent again.
    pub retry_after: Option<Duration>,
}

impl fmt::Display for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.message)?;
        if let Some(field) = &self.field {
            write!(f, " (field {field})")?;
        }
        match self.reason {
            ErrorReason::Unspecified => write!(f, " [{:?}]", self.code),
            reason => write!(f, " [{}]", reason_name(reason)),
        }
    }
}

/// Which promise of the API an answer breaks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AnswerError {
    /// A field that the answer must carry is not there.
    #[error("{field} is missing")]
    Missing {
        /// The field.
        field: &'static str,
    },
    /// A hash is not 32 bytes, or a list of hashes not a multiple of it.
    #[error("{field} has {len} bytes, which is no SHA-256 hash")]
    HashLength {
        /// The field.
        field: &'static str,
        /// Its length in bytes.
        len: usize,
    },
    /// An index or a size is beyond what a tree can hold.
    #[error("{field} is {value}, beyond what a tree can hold")]
    OutOfRange {
        /// The field.
        field: &'static str,
        /// Its value.
        value: u64,
    },
    /// An index range ends before it starts.
    #[error("range [{start}, {end}) is empty or not ascending")]
    Range {
        /// Its start.
        start: u64,
        /// Its end, not included.
        end: u64,
    },
    /// An answer has more or fewer items than the request asked for.
    #[error("{field} has {found} items where {expected} were asked for")]
    Count {
        /// The field.
        field: &'static str,
        /// Items that the request asked for.
        expected: usize,
        /// Items that came.
        found: usize,
    },
    /// The answer is about another index, size or entry than the request.
    #[error("{field} is {found} where {expected} was asked for")]
    Other {
        /// The field.
        field: &'static str,
        /// The value asked for.
        expected: u64,
        /// The value that came.
        found: u64,
    },
    /// The leaf hash in the answer is not that of the entry that was sent.
    #[error("leaf hash is not that of the entry")]
    LeafHash,
    /// An enumeration has a value that this client does not know.
    #[error("{field} has the unknown value {value}")]
    UnknownValue {
        /// The field.
        field: &'static str,
        /// Its value.
        value: i32,
    },
    /// A stream ended before its first message, or sent one where none may come.
    #[error("stream sent {found} where {expected} must come")]
    Sequence {
        /// What came.
        found: &'static str,
        /// What must come.
        expected: &'static str,
    },
}

impl From<Status> for ClientError {
    fn from(status: Status) -> Self {
        let error = Box::new(server_error(&status));
        if never_connected(&status) {
            return if is_exhaustion(&status) {
                Self::Exhausted(error)
            } else {
                Self::Unreachable(error)
            };
        }
        match advice_of(error.code, error.reason) {
            StatusKind::Busy => Self::Busy(error),
            StatusKind::OutcomeUnknown => Self::OutcomeUnknown(error),
            StatusKind::Refused => Self::Refused(error),
            StatusKind::Operator => Self::Operator(error),
        }
    }
}

impl ClientError {
    /// The error of a call that changes nothing: its outcome is of no concern once it is broken off.
    pub(crate) fn of_read(status: Status) -> Self {
        match Self::from(status) {
            Self::OutcomeUnknown(error) if signing_failed(error.reason) => Self::Busy(error),
            Self::OutcomeUnknown(error) => Self::NoAnswer(error),
            error => error,
        }
    }
}

/// The transport found nobody to talk to.
fn never_connected(status: &Status) -> bool {
    with_sources(status).any(<dyn std::error::Error>::is::<tonic::ConnectError>)
}

/// Whether this comes of a machine, or a process, that is short of something others may give back: open
/// files, memory, room on a disk. The same is worth trying again.
pub(crate) fn is_exhaustion(error: &(dyn std::error::Error + 'static)) -> bool {
    /// ENFILE, EMFILE and ENOBUFS, which have no kind of their own.
    const CODES: [i32; 3] = [23, 24, 105];
    let short = |error: &std::io::Error| {
        let kinds = [ErrorKind::StorageFull, ErrorKind::QuotaExceeded, ErrorKind::OutOfMemory];
        kinds.contains(&error.kind())
            || error.raw_os_error().is_some_and(|code| CODES.contains(&code))
    };
    with_sources(error).filter_map(|error| error.downcast_ref()).any(short)
}

/// The entry is committed before its head is signed, so an append that fails with these is in the log.
fn signing_failed(reason: ErrorReason) -> bool {
    reason == ErrorReason::JournalUnavailable
}

/// The name of a reason as it stands in `ErrorInfo`: without the enumeration's prefix.
pub fn reason_name(reason: ErrorReason) -> &'static str {
    let name = reason.as_str_name();
    name.strip_prefix("ERROR_REASON_").unwrap_or(name)
}

fn server_error(status: &Status) -> ServerError {
    let details = status.get_error_details();
    let reason = details
        .error_info()
        .filter(|info| info.domain == ERROR_DOMAIN)
        .and_then(|info| ErrorReason::from_str_name(&format!("ERROR_REASON_{}", info.reason)))
        .unwrap_or(ErrorReason::Unspecified);
    ServerError {
        code: status.code(),
        reason,
        message: message_of(status),
        field: details
            .bad_request()
            .and_then(|bad| bad.field_violations.first())
            .map(|violation| violation.field.clone()),
        retry_after: details.retry_info().and_then(|info| info.retry_delay),
    }
}

/// A transport error's own message says little ("transport error"); its deepest source says why.
fn message_of(status: &Status) -> String {
    if let Some(other) = tls::other_key(status) {
        return other.to_string();
    }
    match with_sources(status).skip(1).last() {
        Some(cause) if status.message().is_empty() => cause.to_string(),
        Some(cause) => format!("{}: {cause}", status.message()),
        None => status.message().to_owned(),
    }
}

enum StatusKind {
    Busy,
    OutcomeUnknown,
    Refused,
    Operator,
}

fn advice_of(code: Code, reason: ErrorReason) -> StatusKind {
    match (code, reason) {
        (Code::ResourceExhausted, _)
        | (
            Code::Unavailable,
            // An internal error that may be sent again: the store refused, and nothing was written.
            ErrorReason::ShuttingDown | ErrorReason::WitnessesPending | ErrorReason::Internal,
        ) => StatusKind::Busy,
        (Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled | Code::Unknown, _) => {
            StatusKind::OutcomeUnknown
        }
        (
            Code::InvalidArgument
            | Code::NotFound
            | Code::OutOfRange
            | Code::AlreadyExists
            | Code::FailedPrecondition
            | Code::Aborted
            | Code::PermissionDenied
            | Code::Unauthenticated,
            _,
        ) => StatusKind::Refused,
        (Code::Ok | Code::DataLoss | Code::Internal | Code::Unimplemented, _) => {
            StatusKind::Operator
        }
    }
}

fn reason_hint(reason: ErrorReason, advice: Advice) -> &'static str {
    match reason {
        ErrorReason::EmptyEntry => "an entry has at least one byte",
        ErrorReason::EntryTooLarge => {
            "an entry has at most 65,535 bytes: append its hash, or split it"
        }
        ErrorReason::EmptyBatch => "send at least one entry",
        ErrorReason::BatchTooLarge => "send at most 10,000 entries and 8 MiB in one call",
        ErrorReason::BadDedupKey => {
            "a deduplication key has 1 to 64 bytes, and none is taken by a log that deduplicates entries"
        }
        ErrorReason::BadLogName => {
            "a log's name has 1 to 64 characters of [a-z0-9-] and starts with a letter or digit"
        }
        ErrorReason::LogNotFound => "list the server's logs, or create this one",
        ErrorReason::EntryNotFound => {
            "the log has no such entry as far as it is signed: check every byte, the last line feed too"
        }
        ErrorReason::BeyondSize => {
            "ask for less, or wait until the log has grown and signed a head"
        }
        ErrorReason::DedupKeyConflict => "this key belongs to another entry: never use a key twice",
        ErrorReason::LogExists | ErrorReason::OriginExists => "choose another name and origin",
        ErrorReason::LogFrozen => "the log is final: append to another one",
        ErrorReason::EventsOnly => "an audit log takes audit events: append to another log",
        ErrorReason::AuditSecretMissing => {
            "the operator has to bring the log's secret back; its entries can be read"
        }
        ErrorReason::NoWitnessPolicy => {
            "ask for a signed receipt, or give the log a witness policy"
        }
        ErrorReason::SequenceGap => "open the stream again and go on after its last sequence",
        ErrorReason::ReadOnly => "the server serves a restored or damaged store: only reads work",
        ErrorReason::RolledBack => {
            "the operator has to bring newer data back, or retire this log: append to another one"
        }
        ErrorReason::WitnessesPending => {
            "send again later; the log waits for its witnesses to say what they hold"
        }
        ErrorReason::LogRetired => "the operator retired this log: append to another one",
        ErrorReason::ProducerFenced => {
            "another process opened this producer id: let one of them go"
        }
        ErrorReason::QueueFull | ErrorReason::Overloaded => {
            "send again after the pause the server asked for"
        }
        ErrorReason::DiskLow => "send again later; the operator has to free disk space",
        ErrorReason::OutcomeUnknown => "send again with the same deduplication key to find out",
        ErrorReason::Corrupt => {
            "call the operator: stored data is damaged; run `cairn-server fsck`"
        }
        ErrorReason::Unspecified
        | ErrorReason::BadOrigin
        | ErrorReason::BadProducerId
        | ErrorReason::BadRange
        | ErrorReason::BadHash
        | ErrorReason::BadField
        | ErrorReason::TooManyLogs
        | ErrorReason::JournalUnavailable
        | ErrorReason::ShuttingDown
        | ErrorReason::Deadline
        | ErrorReason::Internal => advice_hint(advice),
    }
}

fn advice_hint(advice: Advice) -> &'static str {
    match advice {
        Advice::Retry => "send again after a pause",
        Advice::FixRequest => "change the request",
        Advice::Operator => "call the operator of the server",
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("outer")]
    struct Outer(#[source] io::Error);

    #[test]
    fn what_a_machine_is_short_of_is_told_from_what_is_wrong() {
        // EMFILE, ENFILE, ENOSPC, EDQUOT, ENOMEM, ENOBUFS.
        for code in [24, 23, 28, 122, 12, 105] {
            assert!(is_exhaustion(&Outer(io::Error::from_raw_os_error(code))), "{code}");
        }
        // ECONNREFUSED, EACCES, ENOENT, EROFS.
        for code in [111, 13, 2, 30] {
            assert!(!is_exhaustion(&Outer(io::Error::from_raw_os_error(code))), "{code}");
        }
        assert!(!is_exhaustion(&Outer(io::Error::other("no space left"))));
    }
}
