//! What can go wrong, what to do next, and the exit code that says so.

mod hints;

use hints::KEYS_OR_OPERATOR_HINT;

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use log_client::ClientError;
use log_client::audit::{AuditError, StateError};
use log_client::fork::Fork;
use log_client::tiles::{Resource, SourceError};
use log_client::trusted::TrustedError;
use log_client::verified::ReadError;

use crate::api::ApiError;
use crate::bench::items::ItemsError;
use crate::commands::append::InputError;
use crate::commands::destination::DestinationError;
use crate::commands::export::ExportError;
use crate::commands::import::ImportError;
use crate::commands::record::SpoolError;
use crate::commands::verify_consistency::Refusal;
use crate::commands::witness::WitnessError;
use crate::events::DraftError;
use crate::range_receipt::{RANGE_ENTRIES_MAX, RangeReceiptError};
use crate::ui::complain;

/// The exit codes of every command. They are stable: scripts act on them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Done, or verified.
    Done,
    /// What somebody signed does not hold; or the work was refused in part. Never for trouble with the
    /// caller's own files.
    No,
    /// Wrong usage, or a file that is missing, empty, damaged or of another form.
    Unusable,
    /// Could not be done: server, network, disk or permissions.
    Failed,
}

impl Exit {
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::No => 1,
            Self::Unusable => 2,
            Self::Failed => 3,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// Every error a command ends with.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CliError {
    #[error("cannot read {path}")]
    Read { path: PathBuf, source: io::Error },
    #[error("{path} has more than {bytes_max} bytes")]
    TooLarge { path: PathBuf, bytes_max: u64 },
    #[error("cannot write {path}")]
    Write { path: PathBuf, source: io::Error },
    #[error("{path} exists and is never overwritten")]
    Exists { path: PathBuf },
    #[error("cannot write to stdout")]
    Stdout { source: io::Error },
    #[error("cannot start")]
    Runtime { source: io::Error },
    #[error("no random numbers from the operating system")]
    Random { source: getrandom::Error },

    #[error("the key name {name:?} is not valid")]
    KeyName { name: String, source: formats::NameError },
    #[error("the verifier key {vkey:?} is not valid")]
    Vkey { vkey: String, source: formats::KeyError },
    #[error("{path} holds no valid verifier keys")]
    VkeyFile { path: PathBuf, source: formats::key::KeysError },
    #[error("{path} is no valid policy")]
    Policy { path: PathBuf, source: formats::policy::PolicyError },
    #[error("{path} names no log, and a policy for verifying needs a line `log <vkey>` for each")]
    PolicyWithoutLog { path: PathBuf },
    #[error("{path} is no receipt")]
    Receipt { path: PathBuf, source: formats::ProofError },
    #[error("{path} is no receipt of many entries")]
    RangeReceipt { path: PathBuf, source: RangeReceiptError },
    #[error("{path} is no checkpoint")]
    Checkpoint { path: PathBuf, source: formats::CheckpointError },
    #[error("{path} is no consistency proof")]
    Consistency { path: PathBuf, source: formats::witness::BodyError },
    #[error("{path} is no evidence")]
    Evidence { path: PathBuf, source: formats::EvidenceError },
    #[error(transparent)]
    EvidenceFile(evidence_file::verify::ReadError),
    #[error("{path} is no {what} any more: {how}")]
    Converted { path: PathBuf, what: &'static str, how: formats::Conversion },
    #[error("{path} is empty, and an entry has at least one byte")]
    EmptyEntry { path: PathBuf },
    #[error("index {index} is beyond what a tree can hold")]
    Index { index: u64, source: merkle::OutOfRange },
    #[error("{entries} entries were given for a receipt of {proven}")]
    EntryCount { entries: u64, proven: u64 },
    #[error("{given} entries were given, and one receipt proves at most {RANGE_ENTRIES_MAX}")]
    TooManyEntries { given: u64 },

    #[error("the policy needs witnesses, and signed receipts carry none")]
    ReceiptBelowPolicy,
    #[error(transparent)]
    Witness(#[from] WitnessError),
    #[error(transparent)]
    Destination(#[from] DestinationError),
    #[error(transparent)]
    Input(#[from] InputError),
    #[error("cannot append")]
    Appender { source: log_client::appender::StartError },
    #[error("stopped after {appended} entries: {first}")]
    AppendStopped { first: String, appended: u64, hint: &'static str },
    #[error("cannot write {path}; {appended} entries are in the log, and were printed")]
    AppendUnkept { path: PathBuf, appended: u64, source: io::Error },
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error("the connection to the server failed")]
    Post { source: io::Error },
    #[error("the log grew by {grew} entries, and {acknowledged} were acknowledged")]
    GrewLess { grew: u64, acknowledged: u64 },
    #[error("no call succeeded in the measured time: {first_error}")]
    NoCallSucceeded { first_error: String },
    #[error("the server's answer carries no checkpoint")]
    NoCheckpoint,
    #[error("the server's checkpoint is malformed")]
    ServedCheckpoint { source: formats::CheckpointError },
    #[error("the server's consistency proof is malformed")]
    GrowthForm { source: formats::witness::BodyError },
    #[error("the server's receipt does not hold")]
    ProofRefused { source: formats::ProofError },
    #[error("the server's receipt does not hold")]
    RangeProofRefused { source: log_client::verify::VerifyError },
    #[error("the server's checkpoint does not hold")]
    CheckpointRefused { source: formats::trust::TrustError },
    #[error("what the server says does not hold")]
    Distrusted { source: Box<ReadError> },
    #[error("the log shows two histories: {fork}; the evidence is in {path}")]
    Fork { fork: String, path: PathBuf },
    #[error(
        "the log shows two histories: {fork}; the evidence, printed above, cannot be kept in {path}"
    )]
    ForkUnkept { fork: String, path: PathBuf, source: io::Error },
    #[error("the audit ended")]
    Audit { source: Box<AuditError>, of_folder: bool },
    #[error("the audit cannot go on from {path}")]
    AuditResume { path: PathBuf, source: Box<AuditError> },
    #[error("there is no folder {given:?}, and no address is of that form")]
    AuditSource { given: String },
    #[error("{path} is no audit state")]
    AuditState { path: PathBuf, source: StateError },
    #[error("the audit state {path} cannot be saved")]
    AuditStateUnsaved { path: PathBuf, source: StateError },
    #[error(transparent)]
    Trusted(TrustedError),
    #[error("no folder for trusted checkpoints: neither CAIRN_STATE nor HOME is set")]
    NoStateFolder,
    #[error("one entry was given for several receipts")]
    OneEntryManyReceipts,
    #[error("the log is not shown to have only grown")]
    NotGrown { source: Refusal },
    #[error("the server {url:?} cannot be reached")]
    Connect { url: String, source: tonic::transport::Error },
    #[error(transparent)]
    Api(#[from] ApiError),
    #[error("the event is not valid")]
    Event { source: audit_event::FieldError },
    #[error("the event is not valid")]
    EventText { source: DraftError },
    #[error("no event is given")]
    NothingToRecord,
    #[error("events are read from stdin or from --spool, and arguments state one too")]
    EventTwice,
    #[error(transparent)]
    Spool(#[from] SpoolError),
    #[error(transparent)]
    Export(#[from] ExportError),
    #[error(transparent)]
    Import(#[from] ImportError),
    #[error("{path} cannot be sent")]
    BenchItems { path: PathBuf, source: ItemsError },
    #[error("this mode speaks plain HTTP alone, and {url:?} is not of the form http://HOST:PORT")]
    PlainHttpOnly { url: String },
}

impl CliError {
    /// Writes evidence down, so that it is kept whatever the caller does next. If it cannot be
    /// written, for example to a full disk, it is printed on stderr, so that it is not lost.
    pub(crate) fn fork(found: &Fork, state_folder: &Path) -> Self {
        let (folder, fork) = (state_folder.join("evidence"), found.to_string());
        match found.write_file(&folder) {
            Ok(path) => Self::Fork { fork, path },
            Err(source) => {
                complain(String::from_utf8_lossy(&found.evidence().format()));
                Self::ForkUnkept { fork, path: folder, source }
            }
        }
    }

    /// Gives `malformed`, unless an editor or a transfer changed a file that may have been
    /// well-formed.
    pub(crate) fn of_form(path: &Path, what: &'static str, bytes: &[u8], malformed: Self) -> Self {
        match formats::Conversion::of(bytes) {
            Some(how) => Self::Converted { path: path.to_owned(), what, how },
            None => malformed,
        }
    }

    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Audit { source, of_folder } => audit_exit(source, *of_folder),
            Self::Witness(error) => error.exit(),
            Self::Destination(error) => error.exit(),
            Self::Client(error) => client_exit(error),
            Self::Api(error) => error.exit(),
            Self::Spool(error) => error.exit(),
            Self::Export(error) => error.exit(),
            Self::Distrusted { source } => distrusted_exit(source),
            Self::Read { source, .. }
            | Self::Write { source, .. }
            | Self::AppendUnkept { source, .. } => file_exit(source),
            Self::EvidenceFile(error) => file_exit(&error.source),
            Self::Trusted(error) => trusted_exit(error),
            Self::AuditState { source, .. } | Self::AuditStateUnsaved { source, .. } => {
                state_exit(source)
            }
            Self::Stdout { .. }
            | Self::Runtime { .. }
            | Self::Random { .. }
            | Self::Connect { .. }
            | Self::Post { .. }
            | Self::Appender { .. }
            | Self::AppendStopped { .. }
            | Self::NoCallSucceeded { .. }
            | Self::NoCheckpoint
            | Self::ServedCheckpoint { .. }
            | Self::GrowthForm { .. } => Exit::Failed,
            Self::ProofRefused { .. }
            | Self::RangeProofRefused { .. }
            | Self::CheckpointRefused { .. }
            | Self::Fork { .. }
            | Self::ForkUnkept { .. }
            | Self::NotGrown { .. }
            | Self::GrewLess { .. } => Exit::No,
            Self::TooLarge { .. }
            | Self::Exists { .. }
            | Self::KeyName { .. }
            | Self::Vkey { .. }
            | Self::VkeyFile { .. }
            | Self::Policy { .. }
            | Self::PolicyWithoutLog { .. }
            | Self::AuditSource { .. }
            | Self::Receipt { .. }
            | Self::RangeReceipt { .. }
            | Self::Checkpoint { .. }
            | Self::Consistency { .. }
            | Self::Evidence { .. }
            | Self::Converted { .. }
            | Self::EmptyEntry { .. }
            | Self::Index { .. }
            | Self::EntryCount { .. }
            | Self::TooManyEntries { .. }
            | Self::Input(_)
            | Self::ReceiptBelowPolicy
            | Self::NoStateFolder
            | Self::AuditResume { .. }
            | Self::OneEntryManyReceipts
            | Self::Event { .. }
            | Self::EventText { .. }
            | Self::NothingToRecord
            | Self::EventTwice
            | Self::Import(_)
            | Self::BenchItems { .. }
            | Self::PlainHttpOnly { .. } => Exit::Unusable,
        }
    }

    /// Whether the reader of stdout closed it.
    pub(crate) fn is_broken_pipe(&self) -> bool {
        matches!(self, Self::Stdout { source } if source.kind() == io::ErrorKind::BrokenPipe)
    }
}

fn trusted_hint(error: &TrustedError) -> &'static str {
    match error {
        TrustedError::Damaged { .. } => {
            "bring the file back from a copy, or move it away: the next run then trusts what it is shown first"
        }
        _ => "check that the folder of --state or CAIRN_STATE may be written and has room",
    }
}

/// The exit code for a file that could not be read or written. If the path is missing or is
/// something else, the caller must change it; any other trouble, such as permissions, is the
/// machine's.
pub(crate) fn file_exit(error: &io::Error) -> Exit {
    match error.kind() {
        io::ErrorKind::NotFound
        | io::ErrorKind::AlreadyExists
        | io::ErrorKind::IsADirectory
        | io::ErrorKind::NotADirectory
        | io::ErrorKind::InvalidFilename
        | io::ErrorKind::InvalidInput
        | io::ErrorKind::InvalidData => Exit::Unusable,
        _ => Exit::Failed,
    }
}

fn trusted_exit(error: &TrustedError) -> Exit {
    match error {
        TrustedError::Io { source, .. } => file_exit(source),
        TrustedError::Damaged { .. } => Exit::Unusable,
        _ => Exit::No,
    }
}

fn state_exit(error: &StateError) -> Exit {
    match error {
        StateError::Io(source) => file_exit(source),
        _ => Exit::Unusable,
    }
}

/// Whether the answer was no checkpoint or receipt at all: then nobody has signed anything.
fn nothing_signed(error: &ReadError) -> bool {
    matches!(error, ReadError::Unverified { source, .. } if source.is_malformed())
}

fn distrusted_exit(error: &ReadError) -> Exit {
    match error {
        error if nothing_signed(error) => Exit::Failed,
        ReadError::Client(error) => client_exit(error),
        ReadError::BeyondSize { .. } | ReadError::NoKey { .. } => Exit::Unusable,
        _ => Exit::No,
    }
}

fn distrusted_hint(error: &ReadError) -> &'static str {
    match error {
        error if nothing_signed(error) => "check that client and server are of one version",
        ReadError::BeyondSize { .. } => "pass an index below the log's size",
        _ => KEYS_OR_OPERATOR_HINT,
    }
}

/// Whether the file in the place of the checkpoint is not a checkpoint.
fn no_checkpoint(error: &AuditError) -> bool {
    match error {
        AuditError::Checkpoint(error) => error.is_malformed(),
        AuditError::Source(SourceError::Length { path, .. }) => {
            *path == Resource::Checkpoint.path()
        }
        _ => false,
    }
}

fn audit_hint(error: &AuditError, of_folder: bool) -> &'static str {
    match error {
        error if no_checkpoint(error) && of_folder => {
            "check the folder, or copy the log's files again: `checkpoint` is no signed checkpoint"
        }
        error if no_checkpoint(error) => AUDIT_PREFIX_HINT,
        AuditError::Checkpoint(_) => KEYS_OR_OPERATOR_HINT,
        AuditError::Source(SourceError::Redirect { .. }) => {
            "if you trust the address it leads to, audit the log there"
        }
        error if error.is_finding() && of_folder => {
            "compare with the log's own files; if they are the same, keep them and ask its operator"
        }
        error if error.is_finding() => "keep a copy of what was read, and ask the log's operator",
        _ => AUDIT_PREFIX_HINT,
    }
}

const AUDIT_PREFIX_HINT: &str =
    "check the URL or folder: `checkpoint` and `tile/` lie right under it";

fn client_exit(error: &ClientError) -> Exit {
    match error {
        ClientError::Address(_) => Exit::Unusable,
        _ => Exit::Failed,
    }
}

fn audit_exit(error: &AuditError, of_folder: bool) -> Exit {
    match error {
        error if no_checkpoint(error) => {
            if of_folder {
                Exit::Unusable
            } else {
                Exit::Failed
            }
        }
        error if error.is_finding() => Exit::No,
        AuditError::State(_)
        | AuditError::OtherLog { .. }
        | AuditError::Source(SourceError::Address { .. }) => Exit::Unusable,
        _ => Exit::Failed,
    }
}
