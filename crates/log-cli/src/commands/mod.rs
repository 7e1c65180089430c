//! One file for each command: its arguments, its help, what it does and prints.

pub(crate) mod append;
pub(crate) mod audit;
pub(crate) mod bench;
pub(crate) mod count;
pub(crate) mod destination;
pub(crate) mod event;
pub(crate) mod export;
pub(crate) mod fetch_checkpoint;
pub(crate) mod import;
pub(crate) mod keygen;
pub(crate) mod log;
pub(crate) mod prove;
pub(crate) mod record;
pub(crate) mod search;
pub(crate) mod tail;
pub(crate) mod verify;
pub(crate) mod verify_batch;
pub(crate) mod verify_consistency;
pub(crate) mod verify_event;
pub(crate) mod verify_evidence;
pub(crate) mod verify_export;
pub(crate) mod witness;

use std::future::Future;
use std::path::Path;

use base::error::chain;
use formats::trust::Trust;
use log_client::fork::Fork;
use log_client::gossip::Standing;
use log_client::{Client, ClientOptions, LogInfo, gossip};

use crate::args::{Cli, Command, Server};
use crate::error::{CliError, Exit};
use crate::trust::{self, OptionalTrustArgs};
use crate::ui::Ui;

pub(crate) fn run(cli: Cli, ui: &Ui) -> Result<Exit, CliError> {
    let server = &cli.global.server;
    match cli.command {
        Command::Keygen(args) => keygen::run(&args, ui),
        Command::Verify(args) => verify::run(&args, ui),
        Command::VerifyBatch(args) => verify_batch::run(&args, ui),
        Command::VerifyConsistency(args) => verify_consistency::run(&args, ui),
        Command::VerifyEvidence(args) => verify_evidence::run(&args, ui),
        Command::VerifyExport(args) => verify_export::run(&args, ui),
        Command::VerifyEvent(args) => verify_event::run(&args, ui),
        Command::Log(command) => online(log::run(command, server, ui)),
        Command::Witness(command) => online(witness::run(command, ui)),
        Command::Destination(command) => online(destination::run(command, server, ui)),
        Command::Append(args) => online(append::run(args, server, ui)),
        Command::Record(args) => online(record::run(*args, server, ui)),
        Command::Event(command) => online(event::run(command, server, ui)),
        Command::Search(args) => online(search::run(*args, server, ui)),
        Command::Export(args) => online(export::run(*args, server, ui)),
        Command::Import(command) => online(import::run(command, server, ui)),
        Command::Count(args) => online(count::run(*args, server, ui)),
        Command::Prove(args) => online(prove::run(args, server, ui)),
        Command::Checkpoint(args) => online(fetch_checkpoint::run(args, server, ui)),
        Command::Tail(args) => online(tail::run(args, server, ui)),
        Command::Audit(args) => parallel(audit::run(args, ui)),
        Command::Bench(args) => bench::run(&args, server, ui),
    }
}

/// Runs a command that talks to a server, on one thread: it waits for the network, and one thread
/// hashes as fast as the network brings data.
fn online(command: impl Future<Output = Result<Exit, CliError>>) -> Result<Exit, CliError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|source| CliError::Runtime { source })?.block_on(command)
}

/// Runs a command whose hashing is worth every core.
fn parallel(command: impl Future<Output = Result<Exit, CliError>>) -> Result<Exit, CliError> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.map_err(|source| CliError::Runtime { source })?.block_on(command)
}

fn client(server: &Server) -> Result<Client, CliError> {
    Ok(Client::connect(&server.server, &ClientOptions::default())?)
}

/// The keys or the policy that the caller named. If there are none, the keys that the server names;
/// stderr says so.
fn trust_of(args: &OptionalTrustArgs, log: &LogInfo, ui: &Ui) -> Result<Trust, CliError> {
    if let Some(trust) = args.load(ui)? {
        return Ok(trust);
    }
    let keys = log.vkeys.iter().map(|vkey| trust::vkey(vkey)).collect::<Result<Vec<_>, _>>()?;
    ui.note(format_args!(
        "note: verifying under the {} keys that the server names, as no --vkey or --policy is given",
        keys.len()
    ));
    Ok(Trust::Keys(keys))
}

/// Writes evidence down, then reports it to the witnesses of the policy. A witness that cannot be
/// told is only named on stderr, because the evidence is kept.
async fn fork_error(fork: &Fork, folder: &Path, witnesses: &[String], ui: &Ui) -> CliError {
    let error = CliError::fork(fork, folder);
    for url in witnesses {
        match gossip::report_evidence(url, fork.evidence()).await {
            Ok(standing) => ui.note(format_args!(
                "reported to the witness at {url}: {}",
                standing_words(standing)
            )),
            Err(error) => ui.note(chain(&error)),
        }
    }
    error
}

/// What a witness says about evidence, for a person.
fn standing_words(standing: Standing) -> &'static str {
    match standing {
        Standing::UnknownLog => "it does not know the log",
        Standing::NotShown => "it finds nothing shown",
        Standing::Known => "it knew this head already",
        Standing::Pending => "it has yet to compare",
        Standing::Suspect => "it suspects the log, which gives it no proof",
        Standing::Contradicts => "it holds evidence that the log contradicted itself",
        _ => "it took the report",
    }
}

async fn trust_or_servers(
    args: &OptionalTrustArgs,
    client: &Client,
    log: &str,
    ui: &Ui,
) -> Result<Trust, CliError> {
    match args.load(ui)? {
        Some(trust) => Ok(trust),
        None => trust_of(args, &client.log(log).await?, ui),
    }
}
