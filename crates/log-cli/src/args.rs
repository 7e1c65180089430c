//! The command line. Each command's own arguments stand beside it in `commands/`.

use std::env;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::commands::{
    append, audit, bench, count, destination, event, export, fetch_checkpoint, import, keygen, log,
    prove, record, search, tail, verify, verify_batch, verify_consistency, verify_event,
    verify_evidence, verify_export, witness,
};
use crate::error::CliError;

const AFTER_HELP: &str = "\
Exit codes: 0 done, or verified; 1 what was signed does not hold, or the work was refused in part;
2 wrong usage, or a file that is missing, empty, damaged or of another form; 3 could not be done
(server, network, disk, permissions). Trouble with files of your own is 2 or 3, never 1.

A first receipt, from a server on this machine:
  cairn log show default --vkeys > default.vkey
  echo 'hello' | cairn append default --lines --receipt signed --out receipts
  cairn verify receipts/0.tlog-proof --entry receipts/0.entry --vkey @default.vkey";

/// Where the help lists what every command takes.
const HEADING: &str = "Options of every command";

/// Append to a transparency log, and verify what it says without trusting it.
#[derive(Debug, Parser)]
#[command(name = "cairn", version, after_help = AFTER_HELP, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Args)]
pub(crate) struct Global {
    #[command(flatten)]
    pub(crate) server: Server,
    /// Print JSON on stdout, one document a line
    #[arg(long, global = true, help_heading = HEADING)]
    pub(crate) json: bool,
    /// Only results and errors: no notes, no progress, and nothing for what verifies
    #[arg(long, short, global = true, help_heading = HEADING)]
    pub(crate) quiet: bool,
}

/// Where trusted checkpoints are kept.
#[derive(Clone, Debug, Args)]
pub(crate) struct State {
    /// Folder of trusted checkpoints [default: cairn in the XDG state folder]
    #[arg(long, value_name = "DIR", env = "CAIRN_STATE")]
    state: Option<PathBuf>,
}

impl State {
    /// The folder, by the rules of the XDG base directory specification.
    pub(crate) fn folder(&self) -> Result<PathBuf, CliError> {
        let absolute =
            |name: &str| env::var_os(name).map(PathBuf::from).filter(|dir| dir.is_absolute());
        let home = || absolute("HOME").map(|home| home.join(".local/state"));
        let default = || absolute("XDG_STATE_HOME").or_else(home).map(|state| state.join("cairn"));
        self.state.clone().or_else(default).ok_or(CliError::NoStateFolder)
    }
}

/// Which server to ask. Taken before and after the name of any command.
#[derive(Clone, Debug, Args)]
pub(crate) struct Server {
    /// The server, where one is asked: http://HOST:PORT, or over TLS https://HOST:PORT, whose
    /// certificate the machine's authorities vouch for, or https://HOST:PORT#sha256//PIN, by its key
    /// alone
    #[arg(
        long,
        global = true,
        help_heading = HEADING,
        value_name = "URL",
        env = "CAIRN_SERVER",
        default_value = "http://127.0.0.1:6962"
    )]
    pub(crate) server: String,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make the private keys of a log or of a witness, offline
    Keygen(keygen::KeygenArgs),
    /// Create, list, show and freeze logs
    #[command(subcommand)]
    Log(log::LogCommand),
    /// Append entries, and keep their receipts
    Append(append::AppendArgs),
    /// Record an event in an audit log, from a shell or a CI job
    Record(Box<record::RecordArgs>),
    /// Show an event of an audit log with its receipt, or follow events
    #[command(subcommand)]
    Event(event::EventCommand),
    /// Search the events of an audit log
    Search(Box<search::SearchArgs>),
    /// Count the events of an audit log by day, action, actor or the like
    Count(Box<count::CountArgs>),
    /// Have an evidence file made of an audit log, and bring it here
    Export(Box<export::ExportArgs>),
    /// Import files of events into an audit log
    #[command(subcommand)]
    Import(import::ImportCommand),
    /// Fetch a receipt of entries already in the log, or a proof that the log only grew
    Prove(prove::ProveArgs),
    /// Fetch and verify what a log has signed, to keep
    Checkpoint(fetch_checkpoint::CheckpointArgs),
    /// Verify receipts of single entries, offline
    Verify(verify::VerifyArgs),
    /// Verify one receipt of many entries, offline
    VerifyBatch(verify_batch::VerifyBatchArgs),
    /// Verify that a later checkpoint extends an earlier one, offline
    VerifyConsistency(verify_consistency::VerifyConsistencyArgs),
    /// Verify that a log contradicted itself, offline
    VerifyEvidence(verify_evidence::VerifyEvidenceArgs),
    /// Verify an evidence file: events taken out of an audit log, offline
    VerifyExport(verify_export::VerifyExportArgs),
    /// Verify one event of an audit log, offline
    VerifyEvent(verify_event::VerifyEventArgs),
    /// Follow a log, and with --verify every step it takes
    Tail(tail::TailArgs),
    /// Replay a whole log over its tiles: re-hash everything, compare everything
    Audit(audit::AuditArgs),
    /// Have a witness witness a log, and ask witnesses what they hold
    #[command(subcommand)]
    Witness(witness::WitnessCommand),
    /// List who else gets events, and send again or give up what they did not take
    #[command(subcommand)]
    Destination(destination::DestinationCommand),
    /// Put load on a log, and measure it against the floor of empty calls
    Bench(bench::BenchArgs),
}

/// The name of a log.
pub(crate) fn log_name(text: &str) -> Result<String, String> {
    let is_part = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let is_name = (1..=64).contains(&text.len()) && text.bytes().all(is_part);
    if is_name && !text.starts_with('-') {
        return Ok(text.to_owned());
    }
    Err("is not 1 to 64 characters of a-z, 0-9 and -, the first a letter or a digit".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn names_of_logs_go_into_addresses_and_names_of_files() {
        for name in ["a", "audit-2026", &"9".repeat(64)] {
            assert_eq!(log_name(name).as_deref(), Ok(name));
        }
        for other in ["", "-a", "A", "a/b", "..", "a b", &"a".repeat(65)] {
            assert!(log_name(other).is_err(), "{other}");
        }
    }

    #[test]
    fn the_server_is_named_before_or_after_a_command() {
        let named = |args: &[&str]| {
            let args = ["cairn"].iter().chain(args);
            Cli::try_parse_from(args).unwrap().global.server.server
        };
        assert_eq!(named(&["--server", "http://a:1", "log", "show", "default"]), "http://a:1");
        assert_eq!(named(&["log", "--server", "http://a:1", "show", "default"]), "http://a:1");
        assert_eq!(named(&["log", "show", "default", "--server", "http://a:1"]), "http://a:1");
        assert_eq!(named(&["tail", "default", "--server=http://a:1"]), "http://a:1");
        let twice = ["cairn", "log", "list", "--server", "http://a:1", "--server", "http://b:1"];
        assert!(Cli::try_parse_from(twice).is_err());
    }
}
