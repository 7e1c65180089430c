//! What to do next, for each error.

use super::{CliError, audit_hint, distrusted_hint, trusted_hint};

impl CliError {
    /// What to do next.
    pub(crate) fn hint(&self) -> Option<&'static str> {
        Some(match self {
            Self::Read { .. } | Self::EvidenceFile(_) => "check the path, and that it may be read",
            Self::TooLarge { .. } => "check that it is the right file",
            Self::Write { .. } => "check that the folder exists, may be written and has room",
            Self::Exists { .. } => "choose another path, or move the file away first",
            Self::Stdout { .. } | Self::Runtime { .. } | Self::Random { .. } => return None,
            Self::KeyName { .. } => "use a name like example.com/log: no spaces, no +",
            Self::Vkey { .. } => VKEY_HINT,
            Self::VkeyFile { .. } => "put one verifier key a line, each line ended",
            Self::Policy { .. } => "see c2sp.org/tlog-policy for the form",
            Self::PolicyWithoutLog { .. } => POLICY_WITHOUT_LOG_HINT,
            Self::Receipt { .. } => RECEIPT_HINT,
            Self::RangeReceipt { .. } => "pass what `cairn prove --range` or several --index wrote",
            Self::Checkpoint { .. } => "pass a checkpoint, or a receipt as a file of its own",
            Self::Consistency { .. } => "pass what `cairn prove --consistency` wrote",
            Self::Evidence { .. } => {
                "pass the file that `cairn tail`, `cairn audit` or a witness wrote"
            }
            Self::Converted { .. } => {
                "an editor or a transfer as text changed it: bring it again, byte for byte"
            }
            Self::EmptyEntry { .. } => "pass the entry exactly as it was appended",
            Self::Index { .. } => "pass an index below the log's size: `cairn log show` prints it",
            Self::EntryCount { .. } => "pass --entry once for each proven index, or --entries DIR",
            Self::TooManyEntries { .. } => "ask for several receipts",
            Self::Witness(error) => return error.hint(),
            Self::Destination(error) => error.hint(),
            Self::ReceiptBelowPolicy => "pass --receipt witnessed",
            Self::Input(error) => error.hint(),
            Self::Appender { .. } => "try again",
            Self::AppendStopped { hint, .. } => hint,
            Self::AppendUnkept { .. } => UNKEPT_HINT,
            Self::Client(error) => error.hint(),
            Self::Api(error) => error.hint(),
            Self::Spool(error) => error.hint(),
            Self::Export(error) => return error.hint(),
            Self::Import(_) => "check the paths",
            Self::BenchItems { .. } => "put one item of the mode a line, as JSON",
            Self::Event { .. } | Self::EventText { .. } => "change the argument that states it",
            Self::NothingToRecord | Self::EventTwice => RECORD_HINT,
            Self::Connect { .. } | Self::Post { .. } => SERVER_HINT,
            Self::PlainHttpOnly { .. } => PLAIN_HTTP_HINT,
            Self::GrewLess { .. } => {
                "do not trust this run; check the server with `cairn-server fsck`"
            }
            Self::NoCallSucceeded { .. } => "look at the server's log, or measure longer",
            Self::NoCheckpoint | Self::ServedCheckpoint { .. } | Self::GrowthForm { .. } => {
                "check that client and server are of one version"
            }
            Self::Audit { source, of_folder } => audit_hint(source, *of_folder),
            Self::AuditSource { .. } => AUDIT_SOURCE_HINT,
            Self::AuditState { .. } | Self::AuditResume { .. } => AUDIT_STATE_HINT,
            Self::AuditStateUnsaved { .. } => "check that the folder may be written and has room",
            Self::Fork { .. } => FORK_HINT,
            Self::ForkUnkept { .. } => FORK_UNKEPT_HINT,
            Self::Trusted(error) => trusted_hint(error),
            Self::NoStateFolder => "set CAIRN_STATE, or pass --state DIR",
            Self::OneEntryManyReceipts => "pass --entries DIR, which holds <index>.entry for each",
            Self::Distrusted { source } => distrusted_hint(source),
            Self::CheckpointRefused { .. }
            | Self::ProofRefused { .. }
            | Self::RangeProofRefused { .. } => KEYS_OR_OPERATOR_HINT,
            Self::NotGrown { .. } => NOT_GROWN_HINT,
        })
    }
}

const VKEY_HINT: &str =
    "pass a line of a .vkey file, like example.com/log+5a21c5d4+AX..., or @FILE for a file of them";

const RECEIPT_HINT: &str =
    "pass the FILE.tlog-proof that `cairn append --out` or `cairn prove` wrote";

const NOT_GROWN_HINT: &str =
    "check that both are of one log; if so, keep both files: they may be evidence of a fork";

const POLICY_WITHOUT_LOG_HINT: &str = "add the log's verifier key, which `cairn log show LOG --vkeys` prints, \
                                       in the form of c2sp.org/tlog-policy";

const AUDIT_STATE_HINT: &str =
    "pass the state of an audit of this log, or move the file away to audit from the start";

const FORK_HINT: &str =
    "keep this file: anyone can check it with `cairn verify-evidence` and the log's public key";

const FORK_UNKEPT_HINT: &str = "keep what was printed: anyone can check it with `cairn verify-evidence` and the log's public key";

const AUDIT_SOURCE_HINT: &str =
    "give a folder, or an address with its scheme, like http://127.0.0.1:6962/logs/default";

pub(super) const KEYS_OR_OPERATOR_HINT: &str =
    "check the keys; if they are right, keep the answer and ask the log's operator";

const RECORD_HINT: &str =
    "give an ACTION with its arguments, or events on stdin with - and no arguments";

const SERVER_HINT: &str = "check that the server runs, and name it with --server or CAIRN_SERVER";

const PLAIN_HTTP_HINT: &str =
    "use a form like http://127.0.0.1:6962, or another mode, which speaks TLS";

const UNKEPT_HINT: &str = "make room, fetch what is missing of the printed entries with `cairn prove`, and append the rest";
